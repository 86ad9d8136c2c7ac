//! Promise: who dies is missed by nobody but those that it served, and nothing outlives its time or its master.

#![allow(dead_code)] // each test program uses its part of the modules
#![allow(clippy::indexing_slicing)] // a failing index fails the test

mod outside;

#[path = "outside/app.rs"]
mod app;
#[path = "outside/load.rs"]
mod load;

use std::io::Write;
use std::net::TcpStream;
use std::process::Command;
use std::thread;
use std::time::Duration;

use app::{App, answer_in, sockets_of};
use load::Load;
use outside::{
    Process, Program, address_in, ask, children_of, connect, descriptors, eventually, is_alive, now, read_to_end,
    read_until, signal, try_connect,
};

/// Connections that are kept, each with the process that it belongs to.
fn kept(app: &App, count: usize) -> Vec<(TcpStream, u32)> {
    let client = |_| {
        let mut stream = connect(app.address);
        let (_, process) = answer_in(&ask(&mut stream, "/", "\n"));
        (stream, process)
    };
    (0..count).map(client).collect()
}

/// Asks for something whose answer is waited for later, or never.
fn begin(app: &App, path: &str) -> TcpStream {
    let mut stream = connect(app.address);
    write!(stream, "GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").expect("the request is sent");
    stream
}

/// The lines that all processes say when they come up.
fn came_up(app: &App, count: usize) -> Vec<u32> {
    let pid =
        |line: String| line.split(' ').next().and_then(|pid| pid.parse().ok()).expect("the process is in its line");
    (0..count).map(|_| pid(app.master.line())).collect()
}

/// Keeps a process from ever answering again; answers which one.
fn stick(app: &App) -> (TcpStream, u32) {
    let mut stream = connect(app.address);
    let (_, process) = answer_in(&ask(&mut stream, "/", "\n"));
    write!(stream, "GET /stuck HTTP/1.1\r\nHost: test\r\n\r\n").expect("the request is sent");
    (stream, process)
}

#[test]
fn who_is_not_served_by_a_process_that_is_killed_does_not_notice() {
    let app = App::start();
    came_up(&app, 3);
    let mut clients = kept(&app, 32);
    let load = Load::start(app.address, 0, 100);
    let killed = clients[0].1;
    signal(killed, "KILL");
    let successor = came_up(&app, 1)[0];
    assert!(successor != killed && app.workers().contains(&successor));
    for (stream, process) in clients.iter_mut().filter(|(_, process)| *process != killed) {
        assert_eq!(answer_in(&ask(stream, "/", "\n")).1, *process);
    }
    eventually("the successor serves", || app.answer().1 == successor);
    let report = load.stop();
    assert!(report.failures.len() <= 1, "only one who was being served may fail: {:?}", report.failures);
    let log = app.log();
    assert!(log.contains(&format!("{killed}")) && log.contains("SIGKILL"), "{log}");
}

#[test]
fn when_all_are_killed_those_who_come_wait_for_their_successors() {
    let app = App::start();
    came_up(&app, 3);
    for nth in 0..3 {
        let start = now();
        app.workers().into_iter().for_each(|worker| signal(worker, "KILL"));
        assert_eq!(app.answer().0, "first", "who comes now is answered");
        came_up(&app, 4);
        let is_late = start.elapsed() >= Duration::from_millis(500);
        assert_eq!(is_late, nth == 2, "from the third death in ten seconds on, they wait: {:?}", start.elapsed());
        app.has_processes(4);
    }
    assert!(app.status().contains(r#""exits":[{"status":9,"count":12}]"#), "{}", app.status());
}

#[test]
fn deaths_leave_no_descriptor_behind_and_nobody_has_those_of_others() {
    let app = App::start_with("answer=first count=10", |program| program);
    let before = descriptors(&app.master.id().to_string());
    for _ in 0..2 {
        app.workers().into_iter().for_each(|worker| signal(worker, "KILL"));
        app.has_processes(10);
    }
    assert_eq!(descriptors(&app.master.id().to_string()), before);
    let of_master = sockets_of(app.master.id());
    let workers: Vec<_> = app.workers().into_iter().map(sockets_of).collect();
    for (nth, sockets) in workers.iter().enumerate() {
        let of_others = workers[nth + 1..].iter().flat_map(|others| others.intersection(sockets));
        assert_eq!(of_others.count(), 0, "processes have nothing in common");
        assert_eq!(sockets.intersection(&of_master).count(), 1, "but for the listener with the master");
    }
}

#[test]
fn a_process_that_is_stuck_is_shown_and_told_of_and_ends_by_reload_and_by_stop() {
    let app = App::start_with("answer=first patience=300", |program| program);
    let (_client, stuck) = stick(&app);
    let line = "on_message (registered at tests/outside/generation.rs:";
    eventually("the watchdog tells", || app.log().contains(line));
    assert!(app.log().contains(&format!("worker[web:{stuck}] {line}")), "{}", app.log());
    let (_, screen) = app.command(&["status"]);
    let row = screen.lines().find(|row| row.starts_with(&stuck.to_string())).unwrap_or_else(|| panic!("{screen}"));
    assert!(row.contains("[busy]"), "{row}");

    let start = now();
    app.reload();
    assert!(start.elapsed() < Duration::from_secs(1), "a reload waits for new ones, not for old ones");
    eventually("it is killed", || !app.workers().contains(&stuck));
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());

    let (_client, _) = stick(&app);
    signal(app.workers()[0], "STOP");
    ends_in_time(app);
}

/// By the command, with its time and the second after that, and well.
fn ends_in_time(app: App) {
    let start = now();
    let (code, said) = app.command(&["stop"]);
    assert!(code == 0 && start.elapsed() < Duration::from_millis(2300), "{:?}: {said}", start.elapsed());
    let (status, errors) = app.master.wait();
    assert_eq!(status.code(), Some(0), "{errors}");
}

#[test]
fn without_their_master_all_end_and_the_port_is_free_at_once() {
    for (path, limit) in [("", 1000), ("/late?seconds=30", 1000), ("/stuck", 2000)] {
        let app = App::start();
        let clients: Vec<TcpStream> = kept(&app, 8).into_iter().map(|(stream, _)| stream).collect();
        if !path.is_empty() {
            for mut stream in &clients {
                write!(stream, "GET {path} HTTP/1.1\r\nHost: test\r\n\r\n").expect("the request is sent");
            }
        }
        let (workers, address, start) = (app.workers(), app.address, now());
        signal(app.master.id(), "KILL");
        eventually("all are gone", || !workers.iter().any(|worker| is_alive(*worker)));
        // A busy machine may take longer to say so.
        assert!(start.elapsed() < Duration::from_millis(limit + 500), "{path}: {:?}", start.elapsed());
        assert!(try_connect(address).is_err());
        let mut again = app.program.command(&[]);
        let again = Process::start(again.env("ADDRESS", address.to_string()));
        assert_eq!(address_in(&again.line()), address);
        ask(&mut connect(address), "/", "\n");
        signal(again.id(), "TERM");
        assert_eq!(again.wait().0.code(), Some(0));
    }
}

#[test]
fn whoever_is_served_at_sigterm_is_served_to_the_end() {
    let app = App::start();
    let late: Vec<TcpStream> = (0..50).map(|_| begin(&app, "/late?seconds=0.5")).collect();
    let mut large: Vec<TcpStream> = (0..4).map(|_| begin(&app, "/large")).collect();
    for stream in &mut large {
        read_until(stream, "\r\n\r\n");
    }
    // What was sent before is in the queues of processes by now, or further.
    thread::sleep(Duration::from_millis(50));
    let start = now();
    app.master.signal("TERM");
    eventually("new connections are refused", || app.is_free());
    let refused = start.elapsed();
    assert!(refused < Duration::from_millis(500), "{refused:?}");
    println!("refused after {refused:?}");
    for mut stream in late {
        let answer = read_to_end(&mut stream);
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("late\n"), "{answer:?}");
    }
    for mut stream in large {
        let rest = read_to_end(&mut stream).len();
        assert!(rest > (32 << 20) - 8192, "{rest} bytes");
    }
    let (status, errors) = app.master.wait();
    assert_eq!(status.code(), Some(0), "{errors}");
}

#[test]
fn sixty_four_descriptors_are_enough() {
    let app = App::start_with("answer=first", |program| program.prepared_by("ulimit -n 64"));
    app.install("answer=second");
    let old = app.workers();
    app.reload();
    eventually("the old processes are gone", || app.workers().iter().all(|worker| !old.contains(worker)));
    assert_eq!(app.answer().0, "second");
    signal(app.workers()[0], "KILL");
    app.has_processes(4);
    assert_eq!(app.answer().0, "second");
}

#[test]
fn as_process_1_it_takes_orphans_in_and_stops_by_sigterm() {
    let isolated = ["--pid", "--fork", "--mount-proc"];
    if !Command::new("unshare").args(isolated).arg("true").status().is_ok_and(|status| status.success()) {
        println!("skipped: no namespace of processes can be made here");
        return;
    }
    let program = Program::new("generation");
    let mut command = Command::new("unshare");
    let container = Process::start(command.args(isolated).arg(program.path()).env("ADDRESS", "127.0.0.1:0"));
    let address = address_in(&container.line());
    let master = children_of(container.id())[0];
    for _ in 0..3 {
        ask(&mut connect(address), "/orphan", "\n");
    }
    let others = || children_of(master).len() > 4 || zombies(master) > 0;
    eventually("the orphans are gone", || !others());
    signal(master, "TERM");
    let (status, errors) = container.wait();
    assert_eq!(status.code(), Some(0), "{errors}");
}

/// The children that have ended and were not waited for.
fn zombies(process: u32) -> usize {
    let children = std::fs::read_to_string(format!("/proc/{process}/task/{process}/children")).unwrap_or_default();
    children.split_whitespace().filter_map(|child| child.parse().ok()).filter(|child| !is_alive(*child)).count()
}

#[test]
fn a_successor_serves_within_20_ms_on_a_machine_with_a_moment_to_spare() {
    let app = App::start_with("answer=first count=4", |program| program);
    came_up(&app, 3);
    let successors = |load: &str| {
        let times = app.workers().into_iter().map(|worker| {
            let start = now();
            signal(worker, "KILL");
            came_up(&app, 1);
            start.elapsed()
        });
        let times: Vec<Duration> = times.collect();
        // For docs/performance.md.
        println!("successors after {times:?}, {load}");
        times
    };
    let load = Load::start(app.address, 64, 200);
    eventually("requests are answered", || load.requests() > 1000);
    let under_load = successors("under load");
    let report = load.stop();
    println!("{} requests, {} failed", report.requests, report.failures.len());
    let idle = successors("with nothing else to do");
    let best = under_load.iter().chain(&idle).min().expect("eight");
    assert!(*best < Duration::from_millis(20), "{best:?}");
}
