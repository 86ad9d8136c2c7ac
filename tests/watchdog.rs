//! The promises of the watchdog, with real time and a real process: a callback that does not return is named with the
//! place where it was registered, and a process whose master is gone ends even then.
//!
//! A test starts its own program again and has it play a part, which an environment variable names.

mod outside;

use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::Command;
use std::thread;
use std::time::Duration;

use outside::{PATIENCE, Process, TemporaryDirectory, eventually};
use workerman::testing::process::{last_failure, pulse, set_last_words, spawn_watchdog};
use workerman::{PanicPolicy, Timer, Worker};

const PART: &str = "WORKERMAN_TEST_PART";
const PLACE: &str = "WORKERMAN_TEST_PLACE";

/// A part that another process plays, which connects to its test.
struct Part {
    process: Process,
    listener: UnixListener,
    /// What its callback says of itself: the place where it is registered.
    place: String,
    _directory: TemporaryDirectory,
}

impl Part {
    fn start(part: &str) -> Self {
        let directory = TemporaryDirectory::new(&format!("watchdog-{part}"));
        let path = directory.0.join("socket");
        let listener = UnixListener::bind(&path).expect("it can be bound");
        listener.set_nonblocking(true).expect("it is a socket");
        let mut command = Command::new(std::env::current_exe().expect("the test's own program"));
        command.args(["--exact", "a_part_is_played", "--nocapture"]).env(PART, part).env(PLACE, &path);
        let process = Process::start(&mut command);
        let place = process.line_after("registered at ");
        Self { process, listener, place, _directory: directory }
    }

    fn accept(&self) -> UnixStream {
        let mut accepted = None;
        eventually("the part connects", || match self.listener.accept() {
            Ok((stream, _)) => accepted.replace(stream).is_none(),
            Err(error) if error.kind() == ErrorKind::WouldBlock => false,
            Err(error) => panic!("{error}"),
        });
        let stream = accepted.expect("it has connected");
        stream.set_nonblocking(false).expect("it is a socket");
        stream.set_read_timeout(Some(PATIENCE)).expect("it is a socket");
        stream
    }
}

/// Not a test of its own: what the other process of a test does.
#[test]
fn a_part_is_played() {
    let (Ok(part), Some(path)) = (std::env::var(PART), std::env::var_os(PLACE)) else { return };
    if part == "failing" {
        Worker::set_panic_policy(PanicPolicy::ExitProcess);
        set_last_words(|| println!("{}", last_failure().expect("a failure")));
        println!("\nregistered at {}:{}:9", file!(), line!() + 1);
        Timer::delay(0, || panic!("boom"));
        return run();
    }
    let connect = move || UnixStream::connect(&path).expect("the test listens");
    let limit = if part == "unwatched" { Duration::ZERO } else { Duration::from_millis(50) };
    let callback = if part == "late" { wait_for_the_test } else { wait_for_ever };
    spawn_watchdog(pulse(), limit, connect()).expect("a thread");
    println!("\nregistered at {}:{}:5", file!(), line!() + 1);
    Timer::delay(0, move || callback(connect()));
    run();
}

fn run() {
    Worker::run_all().expect("the loop ends without an error");
}

fn wait_for_the_test(mut stream: UnixStream) {
    let _ = stream.read(&mut [0]);
}

fn wait_for_ever(_stream: UnixStream) {
    loop {
        thread::park();
    }
}

#[test]
fn a_callback_that_does_not_return_is_named_with_its_place_until_it_does() {
    let part = Part::start("late");
    let mut reports = BufReader::new(part.accept()).lines().map(|line| line.expect("a line"));
    let callback = part.accept();
    let name = format!("a timer (registered at {})", part.place);
    for _ in 0..2 {
        let report = reports.next().expect("a report");
        assert!(report.starts_with(&format!("{name} has been running for ")), "{report:?}");
    }
    drop(callback);
    let last = reports.find(|report| !report.contains("has been running")).expect("a report");
    assert!(last.starts_with(&format!("{name} has returned after ")), "{last:?}");
}

#[test]
fn a_process_whose_master_is_gone_ends_even_if_its_loop_is_stuck() {
    for part in ["stuck", "unwatched"] {
        let playing = Part::start(part);
        let mut lifeline = playing.accept();
        let _callback = playing.accept();
        if part == "stuck" {
            // The rest of it stays unread, as it would with a master that was killed.
            lifeline.read_exact(&mut [0]).expect("a report begins");
        }
        drop(lifeline);
        let (status, errors) = playing.process.wait();
        assert_eq!(status.code(), Some(1), "{part}: {status}: {errors}");
    }
}

#[test]
fn what_ends_a_process_can_be_told_before_it_does() {
    let part = Part::start("failing");
    let words = part.process.line();
    assert_eq!(words, format!("a timer (registered at {}) panicked: boom", part.place));
    let (status, errors) = part.process.wait();
    assert_eq!(status.code(), Some(250), "{status}: {errors}");
}
