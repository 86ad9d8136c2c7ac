//! Promise: with the feature `session`, a client finds its data again by its cookie, and nobody else does; what a request
//! has changed is stored before its answer leaves, whatever kind of answer that is.
//!
//! Rows 37 to 41 are those of PHP's `RequestSessionTest`.

#![cfg(feature = "session")]

mod common;

use std::time::Duration;

use common::{Answer, Log, answers, exchange, serve, split_head};
use proptest::prelude::*;
use workerman::testing::{Peer, Simulation};
use workerman::{
    Chunk, Http, PanicPolicy, Request, Response, SameSite, SendStatus, ServerSentEvents, Session, SessionConfig,
    SessionError, TcpConnection, Timer, Worker,
};

type Connection = TcpConnection<Http>;

fn request(path: &str, cookie: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\nCookie: {cookie}\r\n\r\n")
}

fn sid(id: &str) -> String {
    format!("PHPSID={id}")
}

/// The answer to a request on a connection of its own.
fn ask(simulation: &Simulation, worker: Worker<Http>, path: &str, cookie: &str) -> Answer {
    let (_peer, bytes) = exchange(simulation, worker, request(path, cookie));
    let [answer] = <[Answer; 1]>::try_from(answers(&bytes)).expect("one answer");
    answer
}

/// The id that a head sets.
fn set_id(head: &str) -> Option<String> {
    let line = head.lines().find_map(|line| line.strip_prefix("Set-Cookie: PHPSID="))?;
    Some(line.split(';').next().unwrap_or_default().to_owned())
}

/// Counts visits, in the session.
fn visit(request: &Request) -> Result<u64, SessionError> {
    let session = request.session()?;
    let visits = session.get::<u64>("visits").unwrap_or(0) + 1;
    session.set("visits", visits)?;
    Ok(visits)
}

fn counter() -> (Simulation, Worker<Http>) {
    serve(|connection, request| -> workerman::Result<()> {
        connection.send(visit(&request)?.to_string());
        Ok(())
    })
}

#[test]
fn a_client_finds_its_data_again_and_nobody_else_does() {
    let (simulation, worker) = counter();
    let first = ask(&simulation, worker, "/", "a=b");
    let id = set_id(&first.head).expect("a cookie");
    assert_eq!(first.header("set-cookie"), Some(format!("PHPSID={id}; Max-Age=1440; Path=/; HttpOnly").as_str()));
    let second = ask(&simulation, worker, "/", &format!("x=y; {}", sid(&id)));
    assert_eq!((second.body().as_str(), second.header("set-cookie")), ("2", None));
    let other = ask(&simulation, worker, "/", "");
    assert_eq!(other.body(), "1");
    assert_ne!(set_id(&other.head), Some(id.clone()));
    // Quotes are not a part of it.
    assert_eq!(ask(&simulation, worker, "/", &format!("PHPSID=\"{id}\"")).body(), "3");
}

#[test]
fn who_uses_no_session_gets_no_cookie() {
    let (simulation, worker) = serve(|connection, _| connection.send("ok"));
    assert_eq!(ask(&simulation, worker, "/", "").header("set-cookie"), None);
}

#[test]
fn a_session_that_was_only_read_is_not_stored() {
    let (simulation, worker) = serve(|connection, request| -> workerman::Result<()> {
        connection.send(request.session()?.all().len().to_string());
        Ok(())
    });
    let id = set_id(&ask(&simulation, worker, "/", "").head).expect("a cookie");
    assert_ne!(set_id(&ask(&simulation, worker, "/", &sid(&id)).head), Some(id), "it is not known");
}

#[test]
fn an_id_that_a_client_made_up_is_never_taken_on() {
    let (simulation, worker) = counter();
    let long = "a".repeat(256);
    for made_up in ["abcdefghijklmnop1234567890", "", "short", "../../../../etc/passwd", &long, "\"\"", "a_b"] {
        let answer = ask(&simulation, worker, "/", &sid(made_up));
        assert_eq!(answer.body(), "1", "{made_up}");
        let id = set_id(&answer.head).expect("a cookie of ours");
        assert_ne!(id, made_up);
        assert!(id.len() == 26 && id.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{id}");
    }
}

proptest! {
    #[test]
    fn whatever_a_cookie_holds_is_an_unknown_session(value in "[!-~ ]{0,300}") {
        let (simulation, worker) = counter();
        prop_assert_eq!(ask(&simulation, worker, "/", &sid(&value)).body(), "1");
    }
}

#[test]
fn a_session_that_expired_is_gone() {
    let (simulation, worker) = counter();
    let id = set_id(&ask(&simulation, worker, "/", "").head).expect("a cookie");
    simulation.advance(Duration::from_secs(1439));
    assert_eq!(ask(&simulation, worker, "/", &sid(&id)).body(), "2");
    simulation.advance(Duration::from_secs(1440));
    let answer = ask(&simulation, worker, "/", &sid(&id));
    assert_eq!(answer.body(), "1");
    assert_ne!(set_id(&answer.head).expect("a new one"), id);
}

#[test]
fn reading_keeps_a_session_only_if_that_is_configured() {
    for (auto, expected) in [(false, "0"), (true, "1")] {
        let (simulation, worker) = serve(|connection, request| -> workerman::Result<()> {
            let session = request.session()?;
            if request.path() == "/set" {
                session.set("a", 1)?;
            }
            connection.send(session.all().len().to_string());
            Ok(())
        });
        Session::configure(SessionConfig::default().lifetime(100).auto_update_timestamp(auto));
        let id = set_id(&ask(&simulation, worker, "/set", "").head).expect("a cookie");
        simulation.advance(Duration::from_secs(60));
        assert_eq!(ask(&simulation, worker, "/", &sid(&id)).body(), "1");
        simulation.advance(Duration::from_secs(60));
        assert_eq!(ask(&simulation, worker, "/", &sid(&id)).body(), expected, "auto: {auto}");
    }
}

// Row 37.
#[test]
fn a_new_id_keeps_the_data() {
    let (simulation, worker) = serve(|connection, request| -> workerman::Result<()> {
        let session = request.session()?;
        session.put([("user_id", 42)])?;
        session.set("role", "admin")?;
        let old = request.session_id(None)?;
        let new = request.session_regenerate_id(false)?;
        assert_ne!(old, new);
        assert_eq!((request.session_id(None)?, request.session()?.id()), (new.clone(), new));
        let copy = request.session()?;
        assert_eq!((copy.get("user_id"), copy.get("role")), (Some(42), Some("admin".to_owned())));
        connection.send("ok");
        Ok(())
    });
    ask(&simulation, worker, "/", "");
}

// Row 38.
#[test]
fn the_old_id_keeps_its_data_unless_it_is_deleted() {
    for (delete, before) in [(false, "1"), (true, "0")] {
        let (simulation, worker) = serve(move |connection, request| -> workerman::Result<()> {
            let session = request.session()?;
            match request.path() {
                "/set" => session.set("a", 1)?,
                "/regenerate" => drop(request.session_regenerate_id(delete)?),
                _ => {}
            }
            connection.send(session.all().len().to_string());
            Ok(())
        });
        let old = set_id(&ask(&simulation, worker, "/set", "").head).expect("a cookie");
        let new = set_id(&ask(&simulation, worker, "/regenerate", &sid(&old)).head).expect("a new cookie");
        assert_eq!(ask(&simulation, worker, "/", &sid(&old)).body(), before, "delete: {delete}");
        assert_eq!(ask(&simulation, worker, "/", &sid(&new)).body(), "1");
    }
}

#[test]
fn what_is_set_after_a_new_id_is_not_stored_under_the_old_one() {
    let (simulation, worker) = serve(|connection, request| -> workerman::Result<()> {
        let session = request.session()?;
        match request.path() {
            "/login" => {
                request.session_regenerate_id(true)?;
                session.set("user_id", 7)?;
            }
            "/set" => session.set("a", 1)?,
            _ => {}
        }
        connection.send(if session.has("user_id") { "in" } else { "out" });
        Ok(())
    });
    let fixed = set_id(&ask(&simulation, worker, "/set", "").head).expect("a cookie");
    let new = set_id(&ask(&simulation, worker, "/login", &sid(&fixed)).head).expect("a cookie");
    assert_eq!(ask(&simulation, worker, "/", &sid(&new)).body(), "in");
    assert_eq!(ask(&simulation, worker, "/", &sid(&fixed)).body(), "out");
}

// Row 39.
#[test]
fn the_one_cookie_of_a_new_id_has_all_that_is_configured() {
    for path in ["/regenerate", "/id"] {
        let (simulation, worker) = serve(|connection, request| -> workerman::Result<()> {
            match request.path() {
                "/id" => drop(request.session_id(Some(&"A".repeat(32)))?),
                _ => drop(request.session_regenerate_id(false)?),
            }
            connection.send("ok");
            Ok(())
        });
        let config = SessionConfig::default().domain("example.com").cookie_lifetime(7200).cookie_path("/app");
        Session::configure(config.same_site(SameSite::Lax).secure(true));
        let answer = ask(&simulation, worker, path, "");
        let id = set_id(&answer.head).expect("a cookie");
        let attributes = "Domain=example.com; Max-Age=7200; Path=/app; SameSite=Lax; Secure; HttpOnly";
        assert_eq!(answer.all("set-cookie"), [format!("PHPSID={id}; {attributes}")]);
    }
}

#[test]
fn a_cookie_may_have_another_name_and_end_with_the_browser() {
    let (simulation, worker) = counter();
    Session::configure(SessionConfig::default().name("SID").cookie_lifetime(0));
    let answer = ask(&simulation, worker, "/", "");
    let line = answer.header("set-cookie").expect("a cookie").to_owned();
    assert!(line.starts_with("SID=") && line.ends_with("; Path=/; HttpOnly") && !line.contains("Max-Age"), "{line}");
    assert_eq!(ask(&simulation, worker, "/", line.split(';').next().unwrap_or_default()).body(), "2");
}

// Row 40.
#[test]
fn two_new_ids_in_a_row_leave_one_cookie() {
    let log = Log::new();
    let write = log.writer();
    let (simulation, worker) = serve(move |connection, request| -> workerman::Result<()> {
        let mut ids = vec![request.session_id(None)?];
        for _ in 0..2 {
            visit(&request)?;
            ids.push(request.session_regenerate_id(false)?);
            assert_eq!(request.session()?.id(), *ids.last().expect("an id"));
        }
        write(ids);
        connection.send(request.session()?.get::<u64>("visits").unwrap_or(0).to_string());
        Ok(())
    });
    let answer = ask(&simulation, worker, "/", "");
    let ids = log.take().pop().expect("the ids");
    assert!(ids[0] != ids[1] && ids[1] != ids[2] && ids[0] != ids[2]);
    assert_eq!((answer.body().as_str(), answer.all("set-cookie").len()), ("2", 1));
    assert_eq!(set_id(&answer.head).as_ref(), ids.last());
}

// Row 41.
#[test]
fn another_id_brings_its_own_data_and_what_was_changed_before_is_saved() {
    let other = "A".repeat(32);
    let (simulation, worker) = serve(|connection, request| -> workerman::Result<()> {
        let other = "A".repeat(32);
        let before = request.session()?;
        match request.path() {
            "/switch" => {
                before.set("unsaved", true)?;
                assert_eq!(request.session_id(Some(&other))?, other);
                let session = request.session()?;
                assert_eq!((session.id(), before.id() == other), (other, false));
                assert!(!session.has("unsaved") && before.has("unsaved"));
                session.set("its", "own")?;
            }
            "/back" => drop(request.session_id(Some(&other))?),
            _ => {}
        }
        let names: Vec<String> = request.session()?.all().keys().cloned().collect();
        connection.send(names.join(","));
        Ok(())
    });
    let first = ask(&simulation, worker, "/switch", "");
    assert_eq!((set_id(&first.head), first.all("set-cookie").len()), (Some(other.clone()), 1));
    assert_eq!(ask(&simulation, worker, "/back", "").body(), "its", "data that are stored are there");
    assert_eq!(ask(&simulation, worker, "/", &sid(&other)).body(), "its");
}

#[test]
fn what_was_changed_before_another_id_is_stored_under_the_one_before() {
    let (simulation, worker) = serve(|connection, request| -> workerman::Result<()> {
        if request.path() == "/switch" {
            visit(&request)?;
            let before = request.session_id(None)?;
            request.session_id(Some(&"A".repeat(32)))?;
            connection.send(before);
        } else {
            connection.send(visit(&request)?.to_string());
        }
        Ok(())
    });
    let before = ask(&simulation, worker, "/switch", "").body();
    assert_eq!(ask(&simulation, worker, "/", &sid(&before)).body(), "2");
}

#[test]
fn an_id_of_the_apps_is_checked_too() {
    let (simulation, worker) = serve(|connection, request| {
        for id in ["", "short", "../../../../etc/passwd", "abcdefghijklmnop\r\nX: y", &"a".repeat(129)] {
            assert!(matches!(request.session_id(Some(id)), Err(SessionError::InvalidId)), "{id:?}");
        }
        connection.send("ok")
    });
    assert_eq!(ask(&simulation, worker, "/", "").header("set-cookie"), None);
}

/// Answers in every way there is.
fn answer(connection: Connection, path: &str) -> SendStatus {
    match path {
        "/text" => connection.send("ok"),
        "/bytes" => connection.send(vec![b'x'; 70_000]),
        "/response" => connection.send(Response::new(200, &[("X-A", "b")], "ok")),
        "/bare" => connection.send(Response::new(200, &[], "ok")),
        "/none" => connection.send(Response::new(204, &[], "")),
        "/borrowed" => connection.send(&Response::new(200, &[], "ok")),
        "/events" => connection.send(Response::new(200, &[("Content-Type", "text/event-stream")], "")),
        "/chunks" => connection.send(Response::new(200, &[("Transfer-Encoding", "chunked")], "ok")),
        "/file" => connection.send(Response::default().with_file("Cargo.toml", 0, 0)),
        "/missing" => connection.send(Response::default().with_file("no such file", 0, 0)),
        "/close" => {
            connection.close_with("ok");
            SendStatus::Sent
        }
        other => unreachable!("{other}"),
    }
}

const KINDS: [&str; 11] = [
    "/text",
    "/bytes",
    "/response",
    "/bare",
    "/none",
    "/borrowed",
    "/events",
    "/chunks",
    "/file",
    "/missing",
    "/close",
];

#[test]
fn every_kind_of_answer_takes_the_cookie_along_and_is_behind_the_data() {
    for path in KINDS {
        for late in [false, true] {
            let (simulation, worker) = serve(move |connection, request: Request| -> workerman::Result<()> {
                let visits = visit(&request)?;
                match request.path() {
                    "/visits" => drop(connection.send(visits.to_string())),
                    _ if late => {
                        // Outside of its callback, with the request at hand.
                        Timer::delay(1, move || answer(connection, request.path()));
                    }
                    path => drop(answer(connection, path)),
                }
                Ok(())
            });
            let peer = simulation.connect(worker);
            peer.write(request(path, ""));
            simulation.run();
            simulation.advance(Duration::from_secs(1));
            let (head, _) = split_head(&peer.read());
            assert_eq!(head.matches("Set-Cookie: ").count(), 1, "{path}, late: {late}: {head}");
            let id = set_id(&head).expect("a cookie");
            assert_eq!(ask(&simulation, worker, "/visits", &sid(&id)).body(), "2", "{path}, late: {late}");
        }
    }
}

#[test]
fn the_cookie_stands_behind_the_apps_own_lines_as_in_php() {
    let (simulation, worker) = serve(|connection, request| -> workerman::Result<()> {
        request.session()?;
        match request.path() {
            "/text" => connection.send("ok"),
            _ => connection.send(Response::new(200, &[("X-A", "b"), ("Set-Cookie", "own=1")], "ok")),
        };
        Ok(())
    });
    let tail = "Connection: keep-alive\r\nContent-Type: text/html;charset=utf-8\r\nContent-Length: 2";
    for (path, own) in [("/text", ""), ("/response", "X-A: b\r\nSet-Cookie: own=1\r\n")] {
        let answer = ask(&simulation, worker, path, "");
        let cookie = format!("PHPSID={}; Max-Age=1440; Path=/; HttpOnly", set_id(&answer.head).expect("a cookie"));
        let expected = format!("HTTP/1.1 200 OK\r\n{own}Set-Cookie: {cookie}\r\n{tail}\r\n");
        assert!(answer.head.starts_with(&expected), "{}", answer.head);
    }
}

#[test]
fn an_interim_answer_leaves_the_cookie_to_the_answer() {
    let (simulation, worker) = serve(|connection, request| -> workerman::Result<()> {
        request.session()?;
        connection.send(Response::new(103, &[("Link", "</a.css>")], ""));
        request.session()?.set("a", 1)?;
        connection.send("ok");
        Ok(())
    });
    let (_peer, bytes) = exchange(&simulation, worker, request("/", ""));
    let (interim, rest) = split_head(&bytes);
    assert!(interim.starts_with("HTTP/1.1 103 ") && !interim.contains("Set-Cookie"), "{interim}");
    assert!(set_id(&split_head(rest).0).is_some());
}

#[test]
fn one_clients_cookie_is_not_in_anothers_answer() {
    // The response and the connection outlive the request that had a session.
    let shared = Response::new(200, &[("X-A", "b")], "ok");
    let (simulation, worker) = serve(move |connection, request: Request| -> workerman::Result<()> {
        if request.path() != "/without" {
            request.session()?.set("a", 1)?;
        }
        match request.path() {
            "/raw" => connection.send_raw("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
            _ => connection.send(&shared),
        };
        Ok(())
    });
    for first in ["/with", "/raw"] {
        let requests = request(first, "") + &request("/without", "") + &request("/with", "");
        let (_peer, bytes) = exchange(&simulation, worker, requests);
        let all = answers(&bytes);
        assert_eq!(all.len(), 3);
        assert_eq!(all[1].header("set-cookie"), None, "behind {first}");
        assert_ne!(set_id(&all[0].head), set_id(&all[2].head));
    }
}

#[test]
fn after_the_answer_has_begun_there_is_no_session() {
    let log = Log::new();
    let write = log.writer();
    let (simulation, worker) = serve(move |connection, request: Request| -> workerman::Result<()> {
        let answered = |result: Result<String, SessionError>| matches!(result, Err(SessionError::Answered));
        let session = request.session()?;
        answer(connection, request.path());
        write(request.session().is_err());
        write(answered(request.session_id(None)));
        write(answered(request.session_id(Some(&"A".repeat(32)))));
        write(answered(request.session_regenerate_id(true)));
        session.set("a", 1)?;
        Ok(())
    });
    for path in KINDS {
        exchange(&simulation, worker, request(path, ""));
        assert_eq!(log.take(), [true; 4], "{path}");
    }
}

#[test]
fn a_request_of_another_connection_or_time_has_no_session_here() {
    let log = Log::new();
    let write = log.writer();
    let kept: std::cell::Cell<Option<Request>> = std::cell::Cell::default();
    let (simulation, worker) = serve(move |connection, request: Request| -> workerman::Result<()> {
        if let Some(old) = kept.replace(Some(request)) {
            write(matches!(old.session(), Err(SessionError::Answered)));
        }
        connection.send("ok");
        Ok(())
    });
    let peer = simulation.connect(worker);
    // Of the same connection, of one that is gone while its slot has a new tenant, of another that stands.
    peer.write(request("/", "").repeat(2));
    simulation.run();
    peer.finish();
    simulation.run();
    exchange(&simulation, worker, request("/", ""));
    exchange(&simulation, worker, request("/", ""));
    assert_eq!(log.take(), [true; 3]);
}

#[test]
fn another_thread_has_no_session_even_with_a_loop_of_its_own() {
    let log = Log::new();
    let write = log.writer();
    let (simulation, worker) = serve(move |connection, request: Request| {
        let request = std::thread::spawn(move || {
            assert!(matches!(request.session(), Err(SessionError::OffLoop)));
            // The same slot, generation and ticket, on another loop.
            let (simulation, worker) = serve(|_, _| {});
            exchange(&simulation, worker, self::request("/", ""));
            assert!(matches!(request.session(), Err(SessionError::OffLoop)));
            assert!(matches!(request.session_id(Some(&"A".repeat(32))), Err(SessionError::OffLoop)));
            request
        });
        let request = request.join().expect("no panic");
        write(request.session().is_ok());
        connection.send("ok")
    });
    ask(&simulation, worker, "/", "");
    assert_eq!(log.take(), [true]);
}

/// A server whose session is kept in the way that is tested, and a look at what was stored.
fn stored_after(on_message: fn(Connection, Request) -> workerman::Result<()>, then: fn(&Simulation, &Peer)) -> String {
    let (simulation, worker) = serve(move |connection: Connection, request: Request| match request.path() {
        "/look" => {
            request.session_id(Some(&"A".repeat(32)))?;
            connection.send(request.session()?.get::<String>("a").unwrap_or_default());
            Ok(())
        }
        _ => on_message(connection, request),
    });
    Worker::set_panic_policy(PanicPolicy::CloseConnection);
    let peer = simulation.connect(worker);
    peer.write(request("/", ""));
    simulation.run();
    then(&simulation, &peer);
    ask(&simulation, worker, "/look", "").body()
}

fn set(request: &Request, value: &str) -> Result<Session, SessionError> {
    request.session_id(Some(&"A".repeat(32)))?;
    let session = request.session()?;
    session.set("a", value)?;
    Ok(session)
}

#[test]
fn what_was_changed_is_stored_however_the_request_ends() {
    let nothing = |_: &Simulation, _: &Peer| {};
    let failed = |_, request: Request| set(&request, "failed").map(|_| Err("no".into()))?;
    let failed = stored_after(failed, nothing);
    assert_eq!(failed, "failed");
    let panicked = stored_after(|_, request| set(&request, "panicked").map(|_| panic!("boom"))?, nothing);
    assert_eq!(panicked, "panicked");
    let closed = |connection: Connection, request: Request| {
        set(&request, "closed")?;
        connection.close();
        Ok(())
    };
    assert_eq!(stored_after(closed, nothing), "closed");
    let gone = stored_after(
        |_, request| {
            set(&request, "gone")?;
            Ok(())
        },
        |simulation, peer| {
            peer.reset();
            simulation.run();
        },
    );
    assert_eq!(gone, "gone");
    let raw = |connection: Connection, request: Request| {
        set(&request, "raw")?;
        connection.send_raw("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        Ok(())
    };
    assert_eq!(stored_after(raw, nothing), "raw");
}

#[test]
fn what_is_changed_after_the_answer_is_stored_with_the_last_handle() {
    let after = |connection: Connection, request: Request| {
        let session = set(&request, "before")?;
        connection.send("ok");
        session.set("a", "after")?;
        Ok(())
    };
    assert_eq!(stored_after(after, |_, _| {}), "after");

    let stream = |connection: Connection, request: Request| {
        let session = set(&request, "begun")?;
        connection.send(Response::new(200, &[("Content-Type", "text/event-stream")], ""));
        connection.add_timer(1, move || -> workerman::Result<()> {
            session.set("a", "ticked")?;
            connection.send(ServerSentEvents::new().data("tick"));
            Ok(())
        });
        Ok(())
    };
    let tick = |simulation: &Simulation, _: &Peer| simulation.advance(Duration::from_secs(1));
    assert_eq!(stored_after(stream, tick), "begun", "the handle lives as long as the stream");
    assert_eq!(
        stored_after(stream, |simulation, peer| {
            simulation.advance(Duration::from_secs(1));
            peer.finish();
            simulation.run();
        }),
        "ticked"
    );

    let chunks = |connection: Connection, request: Request| {
        let session = set(&request, "begun")?;
        connection.send(Response::new(200, &[("Transfer-Encoding", "chunked")], ""));
        Timer::delay(1, move || -> workerman::Result<()> {
            session.set("a", "saved")?;
            session.save()?;
            connection.send(Chunk::new(""));
            Ok(())
        });
        Ok(())
    };
    assert_eq!(stored_after(chunks, tick), "saved");
}

#[test]
fn a_session_is_there_from_the_head_of_a_request_on() {
    for in_pieces in [false, true] {
        let (simulation, worker) = serve(|connection, request: Request| -> workerman::Result<()> {
            let session = request.session()?;
            assert_eq!(request.session_id(None)?, session.get::<String>("id").unwrap_or_default());
            connection.send(session.get::<String>("seen").unwrap_or_default());
            Ok(())
        });
        worker.on_head(move |connection, request: &Request| -> workerman::Result<()> {
            let session = request.session()?;
            session.put([("id", session.id()), ("seen", request.path().to_owned())])?;
            if request.path() == "/refused" {
                connection.send(Response::new(403, &[], "no"));
            } else if in_pieces {
                connection.on_body(|_, _| {});
            }
            Ok(())
        });
        for (path, segments) in [("/at-once", 1), ("/slowly", 30), ("/refused", 30)] {
            let peer = simulation.connect(worker);
            let post = format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 30\r\n\r\n{}", "x".repeat(30));
            let (head, body) = post.split_at(post.len() - 30);
            if segments > 1 {
                peer.write(head);
                simulation.run();
                peer.set_segment(1);
                peer.write(body);
            } else {
                peer.write(&post);
            }
            simulation.run();
            let answer = peer.read();
            let (head, rest) = split_head(&answer);
            assert!(set_id(&head).is_some(), "{path}, in pieces: {in_pieces}: {head}");
            assert_eq!(rest, if path == "/refused" { b"no" } else { path.as_bytes() });
        }
    }
}
