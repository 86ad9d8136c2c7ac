//! Promise: with the feature `session`, what keeps sessions can be chosen; files are whole, private and in their folder; what
//! has ended goes away; and whatever a handler does, the client gets its answer.

#![cfg(feature = "session")]

mod common;

use std::cell::Cell;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use common::{answers, exchange, serve};
use workerman::testing::{Peer, Simulation};
use workerman::{
    FileSessionHandler, Http, MemorySessionHandler, PanicPolicy, Request, Session, SessionConfig, SessionError,
    SessionHandler, TcpConnection, Worker,
};

const ID: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
const LIFETIME: Duration = Duration::from_secs(1440);

fn request(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\nCookie: PHPSID={ID}\r\n\r\n")
}

/// A server that knows `/set` (a new session under our id), `/get` and `/end`.
fn server() -> (Simulation, Worker<Http>) {
    serve(|connection, request: Request| -> workerman::Result<()> {
        if request.path() == "/set" {
            request.session_id(Some(ID))?;
        }
        let session = request.session()?;
        match request.path() {
            "/set" | "/change" => session.set("a", "stored")?,
            "/end" => session.flush(),
            _ => {}
        }
        connection.send(session.get::<String>("a").unwrap_or_else(|| "nothing".to_owned()));
        Ok(())
    })
}

fn ask(simulation: &Simulation, worker: Worker<Http>, path: &str) -> String {
    let (_peer, bytes) = exchange(simulation, worker, request(path));
    answers(&bytes).pop().expect("an answer").body()
}

/// A folder that goes away with the test.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder can be made"))
    }

    /// Where the sessions are: not there yet.
    fn path(&self) -> PathBuf {
        self.0.path().join("app/sessions")
    }

    fn handler(&self) -> FileSessionHandler {
        FileSessionHandler::new(self.path()).expect("a folder for sessions")
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path()).expect("the folder can be read");
        let mut names: Vec<String> =
            entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("it is there").permissions().mode() & 0o777
}

#[test]
fn a_session_in_a_file_is_there_for_the_next_process() {
    let folder = Folder::new();
    // Each loop forgets what was set, as a process does.
    for (path, expected) in [("/set", "stored"), ("/get", "stored"), ("/end", "nothing"), ("/get", "nothing")] {
        let (simulation, worker) = server();
        Session::set_handler(folder.handler());
        assert_eq!(ask(&simulation, worker, path), expected, "{path}");
    }
    assert_eq!(folder.names(), [""; 0], "a session without values is no file");
}

#[test]
fn files_are_whole_and_for_this_user_only() {
    let folder = Folder::new();
    let (simulation, worker) = server();
    Session::set_handler(folder.handler());
    ask(&simulation, worker, "/set");
    assert_eq!(folder.names(), [format!("session_{ID}")], "nothing temporary is left");
    let file = folder.path().join(format!("session_{ID}"));
    assert_eq!((mode(&folder.path()), mode(&file)), (0o700, 0o600));
    assert_eq!(fs::read_to_string(file).expect("it can be read"), r#"{"a":"stored"}"#);
}

#[test]
fn a_write_that_fails_leaves_what_was_there() {
    let folder = Folder::new();
    let handler = folder.handler();
    handler.write(ID, b"first", LIFETIME).expect("it is written");
    // A folder in its place cannot be replaced by a file.
    let other = "B".repeat(32);
    fs::create_dir(folder.path().join(format!("session_{other}"))).expect("it can be made");
    handler.write(&other, b"second", LIFETIME).expect_err("it cannot be written");
    assert_eq!(folder.names().len(), 2, "nothing temporary is left: {:?}", folder.names());
    assert_eq!(handler.read(ID, LIFETIME).expect("it can be read"), Some(b"first".to_vec()));
    assert_eq!(handler.read(&other, LIFETIME).expect("it can be read"), None);
}

#[test]
fn no_id_leads_out_of_the_folder() {
    let folder = Folder::new();
    let handler = folder.handler();
    let outside = folder.path().join("../outside-of-the-folder");
    fs::write(&outside, "secret").expect("it can be written");
    let ids =
        ["../outside-of-the-folder", "/etc/passwd", "", "..", "a/../../outside-of-the-folder", "AAAAAAAAAAAAAAAA\0"];
    for id in ids {
        assert_eq!(handler.read(id, LIFETIME).expect("no error"), None, "{id:?}");
        handler.write(id, b"x", LIFETIME).expect_err("not an id");
        handler.destroy(id).expect("nothing to do");
    }
    // Nor does a link that stands there.
    symlink(&outside, folder.path().join(format!("session_{ID}"))).expect("a link can be made");
    assert!(!matches!(handler.read(ID, LIFETIME), Ok(Some(_))));
    assert_eq!((fs::read_to_string(outside).expect("it is there").as_str(), folder.names().len()), ("secret", 1));
}

#[test]
fn what_is_stored_and_is_no_session_is_none() {
    let folder = Folder::new();
    let (simulation, worker) = server();
    Session::set_handler(folder.handler());
    let too_large = format!(r#"{{"a":"{}"}}"#, "x".repeat(1 << 20));
    for wrong in ["", "{", "[]", "5", r#"{"a":"stored"} "#, &too_large, &"[".repeat(100_000)] {
        fs::write(folder.path().join(format!("session_{ID}")), wrong).expect("it can be written");
        let mtime = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        let file = fs::File::options().write(true).open(folder.path().join(format!("session_{ID}")));
        file.and_then(|file| file.set_modified(mtime)).expect("it can be set");
        let expected = if wrong.ends_with(' ') { "stored" } else { "nothing" };
        assert_eq!(ask(&simulation, worker, "/get"), expected, "{:?}", wrong.get(..20));
    }
}

#[test]
fn a_file_ends_by_the_clock_of_the_loop() {
    let folder = Folder::new();
    let (simulation, worker) = server();
    Session::set_handler(folder.handler());
    ask(&simulation, worker, "/set");
    simulation.advance(Duration::from_secs(1439));
    assert_eq!(ask(&simulation, worker, "/get"), "stored");
    simulation.advance(Duration::from_secs(1));
    assert_eq!(ask(&simulation, worker, "/get"), "nothing");
    assert_eq!(folder.names(), [""; 0], "found to have ended, it is removed");
}

#[test]
fn a_refreshed_session_begins_its_lifetime_anew() {
    let folder = Folder::new();
    let _simulation = Simulation::new();
    let handlers: [&dyn SessionHandler; 2] = [&folder.handler(), &MemorySessionHandler::default()];
    for handler in handlers {
        handler.write(ID, b"x", LIFETIME).expect("it is written");
        _simulation.advance(Duration::from_secs(1000));
        handler.update_timestamp(ID, LIFETIME).expect("it is refreshed");
        _simulation.advance(Duration::from_secs(1000));
        assert!(handler.exists(ID, LIFETIME).expect("no error"));
        _simulation.advance(Duration::from_secs(440));
        assert!(!handler.exists(ID, LIFETIME).expect("no error"));
        handler.update_timestamp(ID, LIFETIME).expect("nothing to do");
        assert!(!handler.exists(ID, LIFETIME).expect("what has ended does not begin anew"));
    }
}

#[test]
fn what_has_ended_is_removed_behind_a_request_now_and_then() {
    let folder = Folder::new();
    let (simulation, worker) = server();
    Session::set_handler(folder.handler());
    fs::write(folder.path().join("notes.txt"), "of the app").expect("it can be written");
    // A process that was killed while it wrote left the first; the last ends later.
    let handler = folder.handler();
    handler.write(&"B".repeat(16), b"x", LIFETIME).expect("it is written");
    let killed = folder.path().join(format!("session_{}", "B".repeat(16)));
    fs::rename(killed, folder.path().join(".session_killed")).expect("it can be renamed");
    ask(&simulation, worker, "/set");
    simulation.advance(Duration::from_secs(1000));
    handler.write(&"C".repeat(16), b"x", LIFETIME).expect("it is written");
    simulation.advance(Duration::from_secs(440));
    assert_eq!(folder.names().len(), 4);
    exchange(&simulation, worker, "GET /new HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(folder.names(), ["notes.txt".to_owned(), format!("session_{}", "C".repeat(16))]);
    // Not each time: a store with many sessions is not looked through for each request.
    handler.write(ID, b"x", LIFETIME).expect("it is written");
    simulation.advance(Duration::from_secs(599));
    exchange(&simulation, worker, "GET /new HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(folder.names().len(), 3);
}

#[test]
fn a_full_memory_refuses_what_is_new_and_keeps_what_it_has() {
    let simulation = Simulation::new();
    let handler = MemorySessionHandler::with_limit(1000);
    let id = |number: usize| format!("{number:016}");
    let fits = (0..100).find(|number| handler.write(&id(*number), &[0; 100], LIFETIME).is_err()).expect("it is full");
    assert!((2..10).contains(&fits), "{fits}");
    assert!((0..fits).all(|number| handler.exists(&id(number), LIFETIME).expect("no error")));
    handler.write(&id(0), &[0; 50], LIFETIME).expect("what is there may change");
    handler.write(&id(0), &[0; 900], LIFETIME).expect_err("but not grow without room");
    assert_eq!(handler.read(&id(0), LIFETIME).expect("no error"), Some(vec![0; 50]));
    handler.destroy(&id(1)).expect("it is destroyed");
    handler.write(&id(fits), &[0; 100], LIFETIME).expect("there is room again");
    // Once they have ended, there is room for as many.
    simulation.advance(LIFETIME);
    for number in 0..fits {
        handler.write(&id(1000 + number), &[0; 100], LIFETIME).expect("there is room");
    }
}

#[test]
fn memory_forgets_what_has_ended() {
    let simulation = Simulation::new();
    let handler = MemorySessionHandler::with_limit(500);
    handler.write(ID, &[0; 100], LIFETIME).expect("it is written");
    simulation.advance(LIFETIME);
    assert_eq!(handler.read(ID, LIFETIME).expect("no error"), None);
    handler.gc(LIFETIME).expect("no error");
    handler.write(&"B".repeat(32), &[0; 300], LIFETIME).expect("there is room");
}

/// What a handler of a test does.
#[derive(Clone, Copy, PartialEq)]
enum Mood {
    Works,
    FailsToRead,
    FailsToWrite,
    Panics,
    Answers,
}

/// A handler of the app's, over memory.
struct Moody {
    store: MemorySessionHandler,
    mood: Rc<Cell<Mood>>,
    peer: Rc<Peer>,
    log: Rc<Cell<Vec<String>>>,
    worker: Worker<Http>,
}

impl SessionHandler for Moody {
    fn read(&self, id: &str, lifetime: Duration) -> workerman::Result<Option<Vec<u8>>> {
        if self.mood.get() == Mood::FailsToRead { Err("no disk".into()) } else { self.store.read(id, lifetime) }
    }

    fn write(&self, id: &str, data: &[u8], lifetime: Duration) -> workerman::Result<()> {
        let mut log = self.log.take();
        log.push(format!("write, {} bytes sent", self.peer.read().len()));
        self.log.set(log);
        match self.mood.get() {
            Mood::FailsToWrite => return Err("no room".into()),
            Mood::Panics => panic!("a handler panics"),
            Mood::Answers => {
                for connection in self.worker.connections() {
                    connection.send("by the handler");
                }
            }
            _ => {}
        }
        self.store.write(id, data, lifetime)
    }

    fn destroy(&self, id: &str) -> workerman::Result<()> {
        self.store.destroy(id)
    }
}

/// What a client gets while the handler is in a mood, and how often it was asked to write.
fn with(mood: Mood, path: &str) -> (u16, String, Vec<String>) {
    let (simulation, worker) = server();
    Worker::set_panic_policy(PanicPolicy::CloseConnection);
    let moods = Rc::new(Cell::new(Mood::Works));
    let (peer, log) = (Rc::new(simulation.connect(worker)), Rc::new(Cell::default()));
    let store = MemorySessionHandler::default();
    let moody = Moody { store, mood: Rc::clone(&moods), peer: Rc::clone(&peer), log: Rc::clone(&log), worker };
    Session::set_handler(moody);
    ask(&simulation, worker, "/set");
    log.take();
    moods.set(mood);
    peer.write(request(path));
    simulation.run();
    let answer = answers(&peer.read()).pop().expect("an answer");
    let written = log.take();
    moods.set(Mood::Works);
    (answer.status(), answer.body(), written)
}

#[test]
fn nothing_of_the_answer_has_left_when_the_data_are_written() {
    assert_eq!(with(Mood::Works, "/change"), (200, "stored".to_owned(), vec!["write, 0 bytes sent".to_owned()]));
}

#[test]
fn what_was_not_changed_is_not_written() {
    assert_eq!(with(Mood::Works, "/get"), (200, "stored".to_owned(), vec![]));
}

#[test]
fn whatever_a_handler_does_the_client_gets_its_answer() {
    assert_eq!(with(Mood::FailsToRead, "/get").0, 500, "the app has asked, and fails with it");
    for mood in [Mood::FailsToWrite, Mood::Panics] {
        let (status, body, written) = with(mood, "/change");
        assert_eq!((status, body.as_str()), (200, "stored"));
        assert!(!written.is_empty());
    }
    assert_eq!(with(Mood::Answers, "/change").1, "by the handler", "who answers first has answered");
}

#[test]
fn an_app_that_wants_to_know_saves_by_itself() {
    let (simulation, worker) = serve(|connection, request: Request| -> workerman::Result<()> {
        let session = request.session()?;
        session.set("a", "x".repeat(1 << 20))?;
        assert!(matches!(session.save(), Err(SessionError::TooLarge)));
        session.set("a", "small")?;
        session.save()?;
        session.save()?;
        let numbers = std::collections::HashMap::from([((1, 2), 3)]);
        assert!(matches!(session.set("b", numbers), Err(SessionError::Value(_))));
        assert_eq!(session.get::<String>("b"), None);
        connection.send("ok");
        Ok(())
    });
    assert_eq!(ask(&simulation, worker, "/"), "ok");
}

#[test]
fn a_session_that_was_ended_elsewhere_stays_so() {
    let kept: Cell<Option<Session>> = Cell::default();
    let (simulation, worker) = serve(move |connection: TcpConnection<Http>, request: Request| {
        let session = match request.path() {
            "/set" => request.session_id(Some(ID)).and_then(|_| request.session()),
            _ => request.session(),
        }?;
        let answer = match request.path() {
            "/set" => session.set("user_id", 7).map(|()| "in")?,
            "/keep" => {
                kept.set(Some(session));
                "kept"
            }
            "/logout" => {
                session.flush();
                session.save()?;
                let kept = kept.take().expect("a handle from before");
                kept.set("seen", true)?;
                assert!(kept.has("user_id") && matches!(kept.save(), Err(SessionError::Gone)));
                kept.set("seen", false)?;
                "out"
            }
            _ if session.has("user_id") => "in",
            _ => "out",
        };
        connection.send(answer);
        Ok::<(), workerman::BoxError>(())
    });
    for (path, expected) in [("/set", "in"), ("/", "in"), ("/keep", "kept"), ("/logout", "out"), ("/", "out")] {
        assert_eq!(ask(&simulation, worker, path), expected, "{path}");
    }
}

#[test]
fn a_session_takes_any_value_of_serde_and_tells_nothing_to_a_log() {
    #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
    struct User {
        name: String,
        roles: Vec<String>,
    }
    let (simulation, worker) = serve(|connection, request: Request| -> workerman::Result<()> {
        let session = request.session()?;
        let user = User { name: "Ada".into(), roles: vec!["admin".into()] };
        session.set("user", &user)?;
        assert_eq!(session.get("user"), Some(user));
        assert_eq!((session.get::<u8>("user"), session.get::<u8>("none")), (None, None));
        session.put([("null", None::<u8>), ("zero", Some(0))])?;
        assert!(!session.has("null") && session.exists("null") && session.has("zero") && !session.exists("none"));
        assert_eq!((session.pull::<u8>("zero"), session.pull::<u8>("zero")), (Some(0), None));
        session.forget(["null", "none"]);
        session.delete("none");
        assert_eq!(session.all().keys().collect::<Vec<_>>(), ["user"]);
        let text = format!("{session:?} {:?}", session.clone());
        assert!(!text.contains(&session.id()) && !text.contains("Ada"), "{text}");
        connection.send("ok");
        Ok(())
    });
    assert_eq!(ask(&simulation, worker, "/"), "ok");
}

#[test]
fn what_a_timer_still_holds_at_the_end_of_the_loop_is_stored() {
    let folder = Folder::new();
    let (simulation, worker) = serve(|connection, request: Request| -> workerman::Result<()> {
        request.session_id(Some(ID))?;
        let session = request.session()?;
        connection.send("ok");
        session.set("a", "late")?;
        workerman::Timer::add(1, move || session.all().len() > 1);
        Ok(())
    });
    Session::set_handler(folder.handler());
    ask(&simulation, worker, "/");
    assert_eq!(folder.names(), [""; 0]);
    drop(simulation);
    let file = folder.path().join(format!("session_{ID}"));
    assert_eq!(fs::read_to_string(file).expect("it is stored"), r#"{"a":"late"}"#);
}

#[test]
fn what_was_set_for_sessions_ends_with_the_loop() {
    let (simulation, worker) = server();
    Session::configure(SessionConfig::default().name("OTHER"));
    ask(&simulation, worker, "/set");
    drop(simulation);
    assert_eq!(Session::config(), SessionConfig::default());
    let (simulation, worker) = server();
    assert_eq!(ask(&simulation, worker, "/get"), "nothing");
}
