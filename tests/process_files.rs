//! The promises about the files of a process, with several real ones: who runs is said by a lock, and a log that many
//! write to has whole lines.
//!
//! A test starts its own program again and has it play a part, which an environment variable names.

mod outside;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Barrier;
use std::thread;

use outside::{TemporaryDirectory, eventually};
use workerman::Worker;
use workerman::testing::process::{Holder, LogFile, PidFile, PidFileError};

const PART: &str = "WORKERMAN_TEST_PART";
const PLACE: &str = "WORKERMAN_TEST_PLACE";
/// What a child says when it is where its test wants it.
const THERE: &str = "it is there";

/// This program again, playing a part with a file; killed when dropped.
struct Actor(Child);

impl Actor {
    fn start(part: &str, place: &Path, variables: &[(&str, &str)]) -> Self {
        let program = std::env::current_exe().expect("the test's own program");
        let mut command = Command::new(program);
        command.args(["--exact", "a_part_is_played", "--nocapture"]).env(PART, part).env(PLACE, place);
        command.envs(variables.iter().copied()).stdin(Stdio::piped()).stdout(Stdio::piped());
        Self(command.spawn().expect("it starts"))
    }

    /// Until it says so.
    fn is_there(&mut self) {
        let output = self.0.stdout.as_mut().expect("a pipe");
        let mut lines = BufReader::new(output).lines();
        assert!(lines.any(|line| line.expect("text").contains(THERE)), "it ended before");
    }

    fn kill(mut self) {
        self.0.kill().expect("it can be killed");
        self.0.wait().expect("it ends");
    }

    /// Ends its input, on which it waits, and waits for it.
    fn end(mut self) {
        drop(self.0.stdin.take());
        let mut status = None;
        eventually("a part is played to its end", || {
            status = self.0.try_wait().expect("it can be waited for");
            status.is_some()
        });
        assert!(status.is_some_and(|status| status.success()));
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Not a test of its own: what the other process of a test does.
#[test]
fn a_part_is_played() {
    let (Ok(part), Some(place)) = (std::env::var(PART), std::env::var_os(PLACE)) else { return };
    let place = PathBuf::from(place);
    match part.as_str() {
        "holder" => {
            let _held = PidFile::acquire(&place).expect("nobody runs");
            wait_to_end();
        }
        "logger" => {
            Worker::set_log_file(&place);
            log::info!("Workerman[app] stopping");
            log::warn!("two\nlines");
            log::debug!("nobody wants to know");
        }
        "logger of its own" => {
            env_logger::init();
            Worker::set_log_file(&place);
            log::error!("to the app's logger");
        }
        who => {
            let limit = std::env::var("LIMIT").expect("a limit").parse().expect("a number");
            let mut log = LogFile::open(&place, limit).expect("it opens");
            for number in 0..RECORDS {
                log.append(format!("{who} {number} {FILLER}\n").as_bytes()).expect("it is written");
            }
        }
    }
}

fn wait_to_end() {
    println!("{THERE}");
    std::io::stdout().flush().expect("it is read");
    let _ = std::io::stdin().read(&mut [0]);
}

fn place(name: &str, file: &str) -> (TemporaryDirectory, PathBuf) {
    let directory = TemporaryDirectory::new(&format!("process-{name}"));
    let path = directory.0.join(file);
    (directory, path)
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn own_line() -> String {
    format!("{}\n", std::process::id())
}

fn running(result: Result<PidFile, PidFileError>) -> Option<u32> {
    match result {
        Err(PidFileError::Running { pid }) => pid,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_second_start_says_which_process_runs_and_a_killed_one_is_no_obstacle() {
    let (_directory, path) = place("second", "app.pid");
    assert_eq!(PidFile::holder(&path).expect("there is no file"), None);
    let mut first = Actor::start("holder", &path, &[]);
    first.is_there();
    let pid = first.0.id();
    assert_eq!(text(&path), format!("{pid}\n"));
    assert_eq!(PidFile::holder(&path).expect("it can be read"), Some(Holder { pid: Some(pid) }));
    let refused = PidFile::acquire(&path);
    assert_eq!(refused.as_ref().expect_err("one runs").to_string(), format!("already running, pid {pid}"));
    assert_eq!(running(refused), Some(pid));
    assert_eq!(text(&path), format!("{pid}\n"), "it is left alone");

    first.kill();
    assert_eq!(text(&path), format!("{pid}\n"), "it could not remove it");
    assert_eq!(PidFile::holder(&path).expect("it can be read"), None);
    let second = PidFile::acquire(&path).expect("nobody runs");
    assert_eq!(text(&path), own_line());
    assert_eq!(fs::metadata(&path).expect("it is there").permissions().mode() & 0o777, 0o644);
    drop(second);
    assert!(!path.exists(), "it is removed at the end");
}

#[test]
fn the_file_is_gone_when_its_process_has_ended() {
    let (_directory, path) = place("end", "app.pid");
    let mut first = Actor::start("holder", &path, &[]);
    first.is_there();
    first.end();
    assert!(!path.exists());
}

#[test]
fn a_stale_file_is_no_obstacle_whatever_it_says() {
    let (_directory, path) = place("stale", "app.pid");
    for stale in ["", "1\n", "999999999\n", "123456789012345678901234567890\nmore\n", "not a number", "\0\0\0"] {
        fs::write(&path, stale).expect("it can be written");
        let held = PidFile::acquire(&path).unwrap_or_else(|error| panic!("{stale:?}: {error}"));
        assert_eq!(text(&path), own_line(), "{stale:?}");
        assert_eq!(running(PidFile::acquire(&path)), Some(std::process::id()));
        drop(held);
    }
}

#[test]
fn another_users_file_is_an_error_that_names_both() {
    let (_directory, path) = place("foreign", "app.pid");
    fs::write(&path, "4711\n").expect("it can be written");
    // Root gives one away, anybody else takes one of root's.
    let (path, owner) = match chown(&path, Some(65_534), None) {
        Ok(()) => (path, 65_534),
        Err(_) => (PathBuf::from("/etc/passwd"), 0),
    };
    let before = text(&path);
    let error = PidFile::acquire(&path).expect_err("it is another's").to_string();
    assert_eq!(error, format!("the pid file {} belongs to user {owner}", path.display()));
    assert_eq!(text(&path), before);
    assert_eq!(fs::metadata(&path).expect("it is there").uid(), owner);
}

#[test]
fn what_is_no_file_of_ours_is_left_alone() {
    let (directory, path) = place("no-file", "app.pid");
    let other = directory.0.join("other");
    fs::write(&other, "precious").expect("it can be written");
    symlink(&other, &path).expect("it can be made");
    assert!(matches!(PidFile::acquire(&path), Err(PidFileError::Io { .. })), "a link leads elsewhere");
    assert_eq!(text(&other), "precious");
    let error = PidFile::acquire(&directory.0).expect_err("a directory").to_string();
    assert!(error.contains(&*directory.0.to_string_lossy()), "{error}");
    assert!(PidFile::acquire(&directory.0.join("none/app.pid")).is_err(), "there is no such directory");
}

#[test]
fn a_file_that_is_no_longer_ours_is_not_removed() {
    let (_directory, path) = place("replaced", "app.pid");
    let held = PidFile::acquire(&path).expect("nobody runs");
    fs::remove_file(&path).expect("it can be removed");
    let other = PidFile::acquire(&path).expect("nobody has this one");
    drop(held);
    assert_eq!(text(&path), own_line(), "it is the other's");
    drop(other);
    assert!(!path.exists());
}

#[test]
fn the_place_goes_with_its_descriptor() {
    let (_directory, path) = place("descriptor", "app.pid");
    let held = PidFile::acquire(&path).expect("nobody runs");
    let descriptor = held.as_fd().try_clone_to_owned().expect("a descriptor");
    std::mem::forget(held); // as by an `exec`
    assert_eq!(running(PidFile::acquire(&path)), Some(std::process::id()));
    let held = PidFile::from_fd(&path, descriptor);
    assert_eq!(text(&path), own_line());
    drop(held);
    assert!(!path.exists());
}

#[test]
fn who_only_looks_keeps_nobody_from_starting() {
    use rustix::fs::{FlockOperation, flock};

    let (_directory, path) = place("looks", "app.pid");
    // Stale, and yet the number is that of a process: in a container they are few.
    fs::write(&path, own_line()).expect("it can be written");
    let looks = File::open(&path).expect("it can be read");
    flock(&looks, FlockOperation::NonBlockingLockShared).expect("nobody runs");
    let held = thread::scope(|scope| {
        let starts = scope.spawn(|| PidFile::acquire(&path));
        thread::yield_now();
        drop(looks);
        starts.join().expect("it ends")
    });
    held.expect("nobody runs");
}

#[test]
fn of_many_starts_at_once_one_runs() {
    let (_directory, path) = place("many", "app.pid");
    for stale in [false, true] {
        if stale {
            fs::write(&path, "999999999\n").expect("it can be written");
        }
        let barrier = Barrier::new(8);
        let results: Vec<_> = thread::scope(|scope| {
            let start = || {
                barrier.wait();
                PidFile::acquire(&path)
            };
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(start)).collect();
            threads.into_iter().map(|thread| thread.join().expect("it ends")).collect()
        });
        let (held, refused): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
        assert_eq!((held.len(), refused.len()), (1, 7), "{refused:?}");
        for refusal in refused {
            assert_eq!(running(refusal), Some(std::process::id()));
        }
    }
}

const RECORDS: usize = 1500;
const FILLER: &str = "................................................................";

/// What is left of each writer's records: those from a number on, none lost, none twice, none in pieces.
fn numbers(path: &Path) -> BTreeMap<String, Vec<usize>> {
    let mut numbers = BTreeMap::<_, Vec<usize>>::new();
    for line in text(path).lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let [who, number, FILLER] = words.as_slice() else { panic!("in pieces: {line:?}") };
        numbers.entry((*who).to_owned()).or_default().push(number.parse().expect("a number"));
    }
    numbers
}

#[test]
fn what_several_processes_log_stands_there_once_and_whole() {
    let (_directory, path) = place("log", "app.log");
    let writers = ["a", "b", "c"].map(|who| Actor::start(who, &path, &[("LIMIT", "0")]));
    writers.into_iter().for_each(Actor::end);
    for (who, numbers) in numbers(&path) {
        assert!(numbers.into_iter().eq(0..RECORDS), "{who}");
    }
}

#[test]
fn a_log_that_is_cut_while_several_processes_write_loses_its_oldest_lines_only() {
    const LIMIT: u64 = 20_000;
    let (directory, path) = place("cut", "app.log");
    let writers = ["a", "b", "c"].map(|who| Actor::start(who, &path, &[("LIMIT", "20000")]));
    writers.into_iter().for_each(Actor::end);
    // Who is never alone with the file while the others write leaves it too long.
    LogFile::open(&path, LIMIT)
        .and_then(|mut log| log.append(format!("d 0 {FILLER}\n").as_bytes()))
        .expect("it is cut");
    let size = File::open(&path).and_then(|file| file.metadata()).expect("it is there").len();
    assert!(size <= LIMIT, "{size}");
    let numbers = numbers(&path);
    assert_eq!(numbers.get("d"), Some(&vec![0]), "the youngest is there");
    for (who, numbers) in numbers {
        let first = numbers.first().copied().unwrap_or_default();
        assert!(numbers.iter().copied().eq(first..first + numbers.len()), "{who}: {numbers:?}");
    }
    assert_eq!(fs::read_dir(&directory.0).expect("it can be read").count(), 1, "nothing is left beside it");
}

#[test]
fn records_go_to_the_log_file_with_time_and_process() {
    let (_directory, path) = place("logger", "made/app.log");
    let actor = Actor::start("logger", &path, &[("TZ", "UTC0")]);
    let pid = actor.0.id();
    actor.end();
    let log = text(&path);
    let lines: Vec<&str> = log.lines().collect();
    let expected = ["Workerman[app] stopping", "warning: two", "lines"];
    assert_eq!(lines.len(), expected.len(), "{log}");
    for (line, expected) in lines.iter().zip(expected).take(2) {
        let (stamp, rest) = line.split_at(19);
        let shape: String =
            stamp.chars().map(|character| if character.is_ascii_digit() { '0' } else { character }).collect();
        assert_eq!(shape, "0000-00-00 00:00:00");
        assert_eq!(rest, format!(" pid:{pid} {expected}"));
    }
}

#[test]
fn the_time_is_that_of_the_systems_zone() {
    let hour = |zone| {
        let (_directory, path) = place(&format!("zone-{zone}"), "app.log");
        Actor::start("logger", &path, &[("TZ", zone)]).end();
        text(&path).get(11..13).and_then(|hour| hour.parse::<i32>().ok()).expect("an hour")
    };
    let ahead = (hour("JST-9") - hour("UTC0")).rem_euclid(24);
    assert!(ahead == 9 || ahead == 8, "{ahead}: an hour may end in between");
}

#[test]
fn an_app_with_a_logger_of_its_own_keeps_it() {
    let (_directory, path) = place("own-logger", "app.log");
    Actor::start("logger of its own", &path, &[("RUST_LOG", "off")]).end();
    assert!(!path.exists());
}
