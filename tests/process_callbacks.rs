//! Promise: what an app has the framework call runs in the process and as often as it is said to, and what becomes of its
//! processes is seen there, in `status` and in the log.
//!
//! The app is `tests/outside/operated.rs`, which prints each of its callbacks.

#![allow(clippy::indexing_slicing)] // a failing index fails the test

#[path = "outside/load.rs"]
mod load;
mod outside;

use std::collections::BTreeSet;
use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::process::Stdio;

use outside::{Process, Program, ask, children_of, connect, eventually, finish, is_alive, read_until, signal};

fn app(count: usize) -> Program {
    Program::new("operated").with("COUNT", count.to_string())
}

/// Starts it in the foreground; answers where it serves and the lines that so many workers have said when they started.
fn serve(program: &Program, workers: usize) -> (Process, SocketAddr, Vec<String>) {
    let process = Process::start(&mut program.command(&["start"]));
    let lines = starts(&process, workers);
    // Who tells of itself has said before that it is ready.
    assert_eq!(program.run(&["status"]).0, 0);
    let address = outside::address_in(lines.iter().find(|line| line.contains("web")).expect("web is among them"));
    (process, address, lines)
}

/// The next lines of workers that start, in the order of the alphabet.
fn starts(process: &Process, count: usize) -> Vec<String> {
    let mut lines: Vec<String> = (0..count).map(|_| process.line_after("start ")).collect();
    lines.sort();
    lines
}

/// `web 1 pid 4711 on 127.0.0.1:8080`
fn pid_in(line: &str) -> u32 {
    let pid = line.split("pid ").nth(1).and_then(|rest| rest.split_whitespace().next());
    pid.and_then(|pid| pid.parse().ok()).unwrap_or_else(|| panic!("no pid: {line:?}"))
}

/// What is left of its output when it has stopped, each line without the addresses.
fn stopped(process: Process) -> Vec<String> {
    process.signal("TERM");
    let mut lines = Vec::new();
    loop {
        let line = process.line();
        let is_last = line == format!("returned pid {}", process.id());
        lines.push(line.split(" on ").next().unwrap_or_default().to_owned());
        if is_last {
            assert_eq!(process.wait().0.code(), Some(0));
            return lines;
        }
    }
}

fn place_of(lines: &[String], line: &str) -> usize {
    lines.iter().position(|found| found == line).unwrap_or_else(|| panic!("no {line:?} in {lines:#?}"))
}

/// A process of each id, by its connections.
fn connection_to(address: SocketAddr, pid: u32) -> TcpStream {
    let mine = format!("pid {pid} ");
    let mut found = None;
    eventually("the process is met", || {
        let mut stream = connect(address);
        if ask(&mut stream, "/", "\n").contains(&mine) {
            found = Some(stream);
        }
        found.is_some()
    });
    found.expect("it was met")
}

/// An answer without its head.
fn body(answer: &str) -> &str {
    answer.rsplit("\r\n\r\n").next().unwrap_or_default().trim_end()
}

#[test]
fn each_callback_of_a_single_process_runs_once_and_in_it() {
    let program = app(1).with("OTHERS", "2");
    let (server, _, lines) = serve(&program, 3);
    let pid = server.id();
    assert!(lines.iter().all(|line| pid_in(line) == pid), "{lines:?}");
    server.signal("USR1");
    let told: Vec<String> = (0..3).map(|_| server.line_after("reload ")).collect();
    assert!(
        told.iter().zip(["web 0 ", "other0 0 ", "other1 0 "]).all(|(line, name)| line.starts_with(name)),
        "{told:?}"
    );
    let names = ["web", "other0", "other1"].map(|name| format!("stop {name} 0 pid {pid}"));
    let expected = [&names[..], &[format!("master stop pid {pid}"), format!("returned pid {pid}")]].concat();
    assert_eq!(stopped(server), expected);
}

#[test]
fn workers_of_one_process_share_it_and_others_have_their_own() {
    let program = app(3).with("OTHERS", "3");
    let (server, _, lines) = serve(&program, 6);
    let pids =
        |name: &str| -> Vec<u32> { lines.iter().filter(|line| line.starts_with(name)).map(|it| pid_in(it)).collect() };
    let ids: Vec<&str> = lines.iter().filter(|it| it.starts_with("web")).map(|it| &it[4..5]).collect();
    assert_eq!(ids, ["0", "1", "2"]);
    assert_eq!(pids("").into_iter().collect::<BTreeSet<u32>>().len(), 5, "{lines:?}");
    assert_eq!(pids("other1"), pids("other2"), "those that are not reloaded are together");
    assert_eq!(children_of(server.id()).len(), 5);
    let all = stopped(server);
    for worker in &lines {
        let stop = format!("stop {}", worker.split(" on ").next().unwrap_or_default());
        assert_eq!(all.iter().filter(|line| **line == stop).count(), 1, "{stop}: {all:#?}");
    }
}

#[test]
fn the_masters_callbacks_run_in_the_master_and_behind_those_of_the_workers() {
    let program = app(2);
    let (server, _, old) = serve(&program, 2);
    server.signal("USR1");
    assert_eq!(server.line(), format!("master reload pid {}", server.id()), "before anything else happens");
    let new = starts(&server, 2);
    assert!(old.iter().chain(&new).all(|line| pid_in(line) != server.id()));
    for ended in [server.line_after("exit web "), server.line_after("exit web ")] {
        let (pid, status) = ended.split_once(" status ").expect("a status");
        assert!(old.iter().any(|line| pid_in(line).to_string() == pid), "{ended}, of {old:?}");
        assert_eq!(status, "0");
    }
    let pid = server.id();
    let lines = stopped(server);
    let last = place_of(&lines, &format!("master stop pid {pid}"));
    assert_eq!((last + 2, &lines[last + 1]), (lines.len(), &format!("returned pid {pid}")));
    for line in &new {
        let process = pid_in(line);
        let worker = line.split(" on ").next().unwrap_or_default();
        let order = [
            format!("stop {worker}"),
            format!("returned pid {process}"),
            format!("exit web {process} status 0"),
            format!("master stop pid {pid}"),
        ];
        let places = order.map(|line| place_of(&lines, &line));
        assert!(places.is_sorted(), "{places:?}: {lines:#?}");
    }
}

#[test]
fn a_worker_is_told_of_a_reload_before_it_stops_and_one_that_is_not_reloaded_goes_on() {
    let program = app(2).with("OTHERS", "2");
    let (server, _, old) = serve(&program, 4);
    server.signal("USR2");
    let mut lines = Vec::new();
    // Two of web and one of other0, in any order.
    while lines.iter().filter(|line: &&String| line.starts_with("returned ")).count() < 3 {
        lines.push(server.line().split(" on ").next().unwrap_or_default().to_owned());
    }
    for worker in old.iter().filter(|line| !line.starts_with("other1")) {
        let worker = worker.split(" on ").next().unwrap_or_default();
        let order = ["reload", "stop"].map(|what| place_of(&lines, &format!("{what} {worker}")));
        assert!(order.is_sorted(), "{lines:#?}");
    }
    let stays = old.iter().find(|line| line.starts_with("other1")).expect("it runs");
    eventually("the others are new", || children_of(server.id()).len() == 4);
    assert!(is_alive(pid_in(stays)));
    let mut all = lines;
    all.extend(stopped(server));
    for (what, count) in [("reload", 1), ("stop", 1)] {
        let line = format!("{what} {stays}");
        assert_eq!(all.iter().filter(|found| **found == line).count(), count, "{line}: {all:#?}");
    }
    assert_eq!(all.iter().filter(|line| line.starts_with("reload")).count(), 4, "{all:#?}");
}

#[test]
fn a_successor_has_the_id_and_the_port_of_who_was_there() {
    let program = app(3);
    let (server, address, lines) = serve(&program, 3);
    for (id, line) in lines.iter().enumerate() {
        let pid = pid_in(line);
        signal(pid, ["KILL", "TERM", "INT"][id]);
        let successor = starts(&server, 1).remove(0);
        assert!(
            successor.starts_with(&format!("web {id} ")) && successor.ends_with(&address.to_string()),
            "{successor}"
        );
        drop(connection_to(address, pid_in(&successor)));
        eventually("the old one is gone", || children_of(server.id()).len() == 3);
        assert!(!is_alive(pid));
    }
    server.signal("USR1");
    let ids: Vec<String> = starts(&server, 3).iter().map(|line| line[..5].to_owned()).collect();
    assert_eq!(ids, ["web 0", "web 1", "web 2"]);
}

#[test]
fn sigterm_to_a_worker_replaces_it_and_loses_nothing() {
    let program = app(2);
    let (server, address, lines) = serve(&program, 2);
    let load = load::Load::start(address, 8, 100);
    for line in &lines {
        signal(pid_in(line), "TERM");
        starts(&server, 1);
    }
    eventually("the old ones are gone", || {
        let running = children_of(server.id());
        running.len() == 2 && !lines.iter().any(|line| running.contains(&pid_in(line)))
    });
    let enough = load.requests() + 50;
    eventually("the new ones serve", || load.requests() > enough);
    let report = load.stop();
    assert_eq!(report.failures, Vec::<String>::new());
}

#[test]
fn workers_have_no_standard_input_and_the_masters_stays_its_own() {
    for count in [1, 2] {
        let program = app(count);
        let mut child = program.command(&["start"]);
        let mut child = child.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("it starts");
        let stdin = || fs::read_link(format!("/proc/{}/fd/0", program.pid().unwrap_or(0))).unwrap_or_default();
        eventually("it runs", || {
            program.processes().len() == if count == 1 { 1 } else { 3 } && program.pid().is_some()
        });
        let pipe = stdin();
        assert!(pipe.starts_with("") && pipe.display().to_string().starts_with("pipe:"), "{pipe:?}");
        if count > 1 {
            for _ in 0..2 {
                eventually("it is reloaded", || program.run(&["reload"]).0 == 0);
                assert_eq!(stdin(), pipe);
                for worker in children_of(child.id()) {
                    assert_eq!(
                        fs::read_link(format!("/proc/{worker}/fd/0")).unwrap_or_default().as_os_str(),
                        "/dev/null"
                    );
                }
            }
        }
        assert_eq!(program.run(&["stop"]).0, 0);
        assert_eq!(child.wait().expect("it ends").code(), Some(0));
    }
}

#[test]
fn no_two_connections_of_the_host_have_one_id() {
    let program = app(3);
    let (server, address, _) = serve(&program, 3);
    let mut streams: Vec<TcpStream> = (0..30).map(|_| connect(address)).collect();
    let mut ids = BTreeSet::new();
    let mut pids = BTreeSet::new();
    for round in 0..2 {
        for stream in &mut streams {
            let answer = ask(stream, "/", "\n");
            let (place, id) = body(&answer).split_once(" connection ").expect("an id");
            pids.insert(pid_in(place));
            assert!(ids.insert(id.to_owned()) || round > 0, "{id} twice");
        }
        assert_eq!(ids.len(), streams.len());
    }
    assert_eq!(pids.len(), 3, "all have some");
    let (code, output, _) = program.run(&["connections"]);
    let shown: BTreeSet<String> =
        output.lines().skip(3).filter_map(|row| row.split_whitespace().nth(2)).map(str::to_owned).collect();
    assert_eq!((code, shown), (0, ids), "{output}");
    drop(server);
}

#[test]
fn who_stops_itself_is_replaced_and_its_exit_code_is_seen() {
    let program = app(2);
    let (server, address, lines) = serve(&program, 2);
    for (path, status) in [("/stop", 0), ("/code", 768)] {
        let line = if path == "/stop" { &lines[0] } else { &lines[1] };
        let pid = pid_in(line);
        let mut stream = connection_to(address, pid);
        let answer = ask(&mut stream, path, "\n");
        assert!(answer.contains("200 OK"), "the request is answered: {answer}");
        let rest = server.line_after(&format!("exit web {pid} "));
        assert_eq!(rest, format!("status {status}"));
        let successor = server.line_after("start ");
        assert!(successor.starts_with(&line[..5]), "{successor} after {line}");
    }
    let (_, output, _) = program.run(&["status"]);
    let exits: Vec<Vec<&str>> = output
        .lines()
        .skip_while(|line| !line.starts_with("name "))
        .skip(1)
        .take(2)
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(exits, [["web", "epoll", "0", "1"], ["web", "epoll", "768", "1"]], "{output}");
}

#[test]
fn a_panic_that_ends_its_process_is_told_of_by_the_master() {
    let place = outside::TemporaryDirectory::new("log");
    let log = place.0.join("app.log");
    let program = app(2).with("LOG_FILE", &log).with("MODE", "exit process");
    let (server, address, lines) = serve(&program, 2);
    let pid = pid_in(&lines[0]);
    let mut stream = connection_to(address, pid);
    std::io::Write::write_all(&mut stream, b"GET /panic HTTP/1.1\r\nHost: test\r\n\r\n").expect("it is sent");
    assert_eq!(server.line_after(&format!("exit web {pid} ")), "status 64000");
    let successor = server.line_after("start ");
    assert!(successor.starts_with("web 0 "), "{successor}");
    let log = fs::read_to_string(&log).expect("there is a log");
    let from = |process: u32| log.lines().filter(move |line| line.contains(&format!(" pid:{process} ")));
    let own = from(pid).find(|line| line.contains("as it was asked to")).unwrap_or_else(|| panic!("no panic: {log}"));
    assert!(own.contains("on_message") && own.contains("operated.rs:"), "{own}");
    let told = from(server.id())
        .find(|line| line.contains(&format!("worker[web:{pid}] exit with status 64000 (code 250) after ")));
    let told = told.unwrap_or_else(|| panic!("the master says nothing: {log}"));
    assert!(
        told.contains(" s; last of its callbacks: on_message") && told.ends_with("panicked: as it was asked to"),
        "{told}"
    );
}

#[test]
fn who_dies_again_and_again_has_to_wait_and_the_others_serve() {
    let program = app(2).with("MODE", "die");
    let (server, address, _) = serve(&program, 2);
    // After the third death 0.5 s, then 1 s.
    let mut times = Vec::new();
    for _ in 0..4 {
        let rest = server.line_after("exit web ");
        assert!(rest.ends_with("status 1024"), "{rest}");
        times.push(outside::now());
    }
    let waits: Vec<u128> = times.windows(2).map(|pair| (pair[1] - pair[0]).as_millis()).collect();
    assert!(waits[2] >= 500 && waits[2] < 10_000, "{waits:?}");
    let answer = ask(&mut connection_of_first(address), "/", "\n");
    assert!(body(&answer).starts_with("worker 0 "), "{answer}");
    let (_, output, _) = program.run(&["status"]);
    let deaths = |line: &str| -> Option<u32> {
        let columns: Vec<&str> = line.split_whitespace().collect();
        columns.strip_prefix(&["web", "epoll", "1024"])?.first()?.parse().ok()
    };
    // Another one may have come meanwhile.
    assert!(output.lines().filter_map(deaths).any(|deaths| deaths >= 4), "{output}");
}

/// The other one's connections wait for its successor, so whoever gets no answer tries another.
fn connection_of_first(address: SocketAddr) -> TcpStream {
    for _ in 0..100 {
        let mut stream = connect(address);
        stream.set_read_timeout(Some(std::time::Duration::from_millis(200))).expect("a time can be set");
        std::io::Write::write_all(&mut stream, b"GET / HTTP/1.1\r\nHost: test\r\n\r\n").expect("it is sent");
        let mut byte = [0];
        if stream.peek(&mut byte).is_ok_and(|count| count > 0) {
            stream.set_read_timeout(Some(outside::PATIENCE)).expect("a time can be set");
            read_until(&mut stream, "\n");
            return stream;
        }
    }
    panic!("nobody answers");
}

#[test]
fn the_records_of_all_processes_are_in_the_log_file() {
    for count in [1, 2] {
        let place = outside::TemporaryDirectory::new("log");
        let path = place.0.join("logs/app.log");
        let program = app(count).with("LOG_FILE", &path);
        let (server, address, lines) = serve(&program, count);
        for line in &lines {
            drop(ask(&mut connection_to(address, pid_in(line)), "/log", "\n"));
        }
        let (master, pids) = (server.id(), lines.iter().map(|line| pid_in(line)));
        assert_eq!(program.run(&["stop"]).0, 0);
        server.wait();
        let log = fs::read_to_string(&path).expect("there is a log");
        let mut wanted: Vec<String> = pids.map(|pid| format!("pid:{pid} a record of {pid}")).collect();
        wanted.push(format!("pid:{master} Workerman[operated] start in DEBUG mode"));
        wanted.push(format!("pid:{master} Workerman[operated] has been stopped"));
        for end in wanted {
            assert_eq!(log.lines().filter(|line| line.ends_with(&end)).count(), 1, "{end}: {log}");
        }
        for text in ["Workerman[operated] status", "Workerman[operated] stop", "Workerman[operated] stop success"] {
            assert_eq!(log.lines().filter(|line| line.ends_with(text)).count(), 1, "{text}: {log}");
        }
        let is_time = |line: &str| line.len() > 25 && line.as_bytes()[4] == b'-' && line[19..].starts_with(" pid:");
        assert!(log.lines().all(is_time), "{log}");
    }
}

#[test]
fn on_another_thread_and_without_workers_nothing_of_this_happens() {
    for mode in ["on a thread", "no workers"] {
        let program = app(3).with("MODE", mode);
        // Neither is looked at.
        let (code, output, errors) = finish(program.command(&["frobnicate", "--what"]).stdin(Stdio::null()));
        assert_eq!((code, errors.as_str()), (0, ""), "{mode}: {output}");
        let said: Vec<&str> = output.lines().map(|line| line.split(" pid ").next().unwrap_or_default()).collect();
        let expected: &[&str] =
            if mode == "no workers" { &["returned"] } else { &["start web 0", "stop web 0", "returned"] };
        assert_eq!(said, expected, "{mode}");
        assert!(!program.pid_file().exists());
    }
}
