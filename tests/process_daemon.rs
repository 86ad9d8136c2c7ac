//! Promise: `start -d` comes back when the app serves, with exit code 0, or when it will not, with the reason and 1; and what
//! it leaves behind has nothing to do any more with whoever has started it.

#![allow(clippy::indexing_slicing)] // a failing index fails the test

mod outside;

use std::fs;
use std::io::Read;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::mpsc;
use std::thread;

use outside::{Program, ask, children_of, connect, eventually, finish, receive};

/// Its standard output goes to a file beside it.
fn app(count: usize) -> Program {
    let program = Program::new("operated").with("COUNT", count.to_string());
    let output = output_of(&program);
    program.with("STDOUT_FILE", output)
}

fn output_of(program: &Program) -> PathBuf {
    program.directory().join("stdout.log")
}

/// Lines that the app has printed since it left the terminal.
fn printed(program: &Program, start: &str) -> Vec<String> {
    let output = fs::read_to_string(output_of(program)).unwrap_or_default();
    output.lines().filter(|line| line.starts_with(start)).map(str::to_owned).collect()
}

/// Starts it in the background; answers its master and where it serves.
fn start(program: &Program) -> (u32, SocketAddr) {
    let (code, output, errors) = program.run(&["start", "-d"]);
    assert_eq!((code, errors.as_str()), (0, ""), "{output}");
    let address = outside::address_in(&printed(program, "start web")[0]);
    (program.pid().expect("the master has a pid file"), address)
}

fn stop(program: &Program) {
    let (code, output, errors) = program.run(&["stop"]);
    assert_eq!((code, errors.as_str()), (0, ""), "{output}");
}

/// A number of `/proc/<pid>/stat`, by its place behind the name: 1 the parent, 3 the session, 4 the terminal.
fn stat(process: u32, place: usize) -> i64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).expect("it runs");
    let rest = stat.rsplit_once(')').map(|(_, rest)| rest).unwrap_or_default();
    rest.split_whitespace().nth(place).and_then(|number| number.parse().ok()).expect("a number")
}

fn descriptor(process: u32, number: usize) -> PathBuf {
    fs::read_link(format!("/proc/{process}/fd/{number}")).unwrap_or_default()
}

#[test]
fn it_comes_back_when_everybody_serves_and_shows_phps_screen() {
    for count in [1, 3] {
        let program = app(count);
        let (code, output, errors) = program.run(&["start", "-d"]);
        assert_eq!((code, errors.as_str()), (0, ""), "{output}");
        assert_eq!(printed(&program, "start web").len(), count, "all were up by then");
        let lines: Vec<&str> = output.lines().collect();
        assert_eq!(lines[0], "Workerman[operated] start in DAEMON mode");
        assert!(lines[1].contains("- WORKERMAN -") && lines[3].contains("- WORKERS -"), "{output}");
        let columns: Vec<&str> = lines[4].split_whitespace().collect();
        assert_eq!(columns, ["event-loop", "proto", "user", "worker", "listen", "count", "state"]);
        let row: Vec<&str> = lines[5].split_whitespace().collect();
        assert_eq!((row[3], row[5], row[6]), ("web", &*count.to_string(), "[OK]"));
        assert!(output.ends_with("-\nInput \"operated stop\" to stop. Start success.\n\n"), "{output}");
        // A master, and a process for each.
        assert_eq!(program.processes().len(), 1 + count);
        let (_, status, _) = program.run(&["status"]);
        assert!(status.contains("Start worker in DAEMON mode."), "{status}");
        stop(&program);
        assert!(program.processes().is_empty());
    }
}

#[test]
fn whoever_asks_for_quiet_gets_no_table() {
    let program = app(1);
    let (code, output, _) = program.run(&["start", "-dq"]);
    let expected = "Workerman[operated] start in DAEMON mode\nInput \"operated stop\" to stop. Start success.\n\n";
    assert_eq!((code, output.as_str()), (0, expected));
}

#[test]
fn the_reason_why_it_does_not_start_is_told_and_nothing_is_left_behind() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let taken = (taken.local_addr().expect("it has an address").to_string(), taken).0;
    let in_use = format!("Error: cannot listen on {taken}: Address already in use (os error 98)\n");
    let failing = "Error: on_worker_start of worker \"web\" failed: as it was asked to\n";
    let panicking = "Error: a worker \"web\" did not come up, status 25856 (code 101)\n";
    let dying = "Error: a worker \"web\" did not come up, status 1024 (code 4)\n";
    for (mode, address, expected) in [
        ("", "127.0.0.1:99999", "99999"),
        ("fail in one", "127.0.0.1:0", failing),
        ("panic in main", "127.0.0.1:0", panicking),
        ("die in start", "127.0.0.1:0", dying),
        ("panic in daemon", "127.0.0.1:0", "Error: the process in the background has ended without a word\n"),
    ] {
        let program = app(2).with("MODE", mode);
        let (code, output, errors) = finish(program.command(&["start", "-d"]).env("ADDRESS", address));
        assert!(code == 1 && errors.contains(expected), "{mode:?} {address}: {errors}{output}");
        assert!(!output.contains("Start success"), "{output}");
        eventually("nobody is left", || program.processes().is_empty());
        assert!(!program.pid_file().exists() && !program.pid_file().with_extension("sock").exists(), "{mode:?}");
    }
    let _listener = TcpListener::bind(&taken).expect("it is free");
    let program = app(2);
    let (code, output, errors) = finish(program.command(&["start", "-d"]).env("ADDRESS", &taken));
    assert_eq!((code, errors), (1, in_use), "{output}");
}

#[test]
fn it_leaves_the_terminal_and_everything_of_whoever_has_started_it() {
    for count in [1, 2] {
        let program = app(count);
        let (master, address) = start(&program);
        let is_left = || {
            let workers = children_of(master);
            assert_eq!(workers.len(), count);
            for process in [vec![master], workers].concat() {
                assert_eq!((stat(process, 3), stat(process, 4)), (i64::from(master), 0), "session and terminal");
                assert_eq!(descriptor(process, 0), PathBuf::from("/dev/null"));
                for output in [1, 2] {
                    assert_eq!(descriptor(process, output), output_of(&program));
                }
            }
        };
        is_left();
        assert_ne!(stat(master, 1), i64::from(std::process::id()), "nobody waits for it");
        assert_eq!(program.run(&["reload"]).0, 0);
        eventually("the old ones are gone", || children_of(master).len() == count);
        is_left();
        ask(&mut connect(address), "/", "\n");
        stop(&program);
    }
}

#[test]
fn whoever_reads_what_start_says_comes_to_its_end() {
    let program = app(2);
    let mut command = program.command(&["start", "-d"]);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let stdin = child.stdin.take();
    let (sender, ends) = mpsc::channel();
    let read = |mut pipe: Box<dyn Read + Send>| {
        let sender = sender.clone();
        thread::spawn(move || {
            let mut text = String::new();
            let _ = pipe.read_to_string(&mut text);
            let _ = sender.send(text);
        })
    };
    read(Box::new(child.stdout.take().expect("it is piped")));
    read(Box::new(child.stderr.take().expect("it is piped")));
    let texts = [(); 2].map(|()| receive("the end of a pipe", &ends));
    assert!(
        texts.iter().any(|text| text.ends_with("Start success.\n\n")) && texts.contains(&String::new()),
        "{texts:?}"
    );
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
    drop(stdin);
    assert_eq!(program.processes().len(), 3, "it runs on");
}

#[test]
fn without_a_place_for_its_output_it_goes_nowhere() {
    let program = Program::new("operated").with("COUNT", "2");
    assert_eq!(program.run(&["start", "-d"]).0, 0);
    let master = program.pid().expect("it runs");
    for process in [vec![master], children_of(master)].concat() {
        assert_eq!([0, 1, 2].map(|number| descriptor(process, number)), [(); 3].map(|()| PathBuf::from("/dev/null")));
    }
}

#[test]
fn a_place_that_cannot_be_written_is_a_reason_not_to_start() {
    let program = Program::new("operated").with("STDOUT_FILE", "/nowhere/stdout.log");
    let (code, output, errors) = program.run(&["start", "-d"]);
    assert_eq!(code, 1, "{output}");
    let reason = "Error: the output cannot go to /nowhere/stdout.log: No such file or directory (os error 2)\n";
    assert!(errors.contains(reason), "{errors}");
    assert!(program.processes().is_empty());
}

#[test]
fn two_starts_at_the_same_time_are_one() {
    let program = app(2).with("MODE", "slow main");
    let starts = [(); 4].map(|()| {
        let mut command = program.command(&["start", "-d"]);
        thread::spawn(move || finish(&mut command))
    });
    let ends = starts.map(|start| start.join().expect("it ends"));
    let master = program.pid().expect("one runs");
    let good = ends.iter().filter(|(code, output, _)| *code == 0 && output.contains("Start success")).count();
    let told = format!("already running, pid {master}\n");
    let bad =
        ends.iter().filter(|(code, output, errors)| *code == 1 && (output.clone() + errors).contains(&told)).count();
    assert_eq!((good, bad), (1, 3), "{ends:?}");
    assert_eq!(program.processes().len(), 3);
}

#[test]
fn an_app_that_sets_so_goes_into_the_background_by_itself() {
    let program = app(1).with("DAEMONIZE", "yes");
    let (code, output, errors) = program.run(&["start"]);
    assert_eq!((code, errors.as_str()), (0, ""), "{output}");
    assert!(output.starts_with("Workerman[operated] start in DAEMON mode\n"), "{output}");
    assert_eq!(program.run(&["restart"]).0, 0);
    assert_eq!(program.processes().len(), 2);
    stop(&program);
}

/// What an app that really runs says beside PHP, and why; what its screens are made of is in `tests/process_screens.rs`.
const DIFFERENCES: [(&str, &[&str], &str); 2] = [
    (
        "reload_daemon",
        &["+Workerman[start.php] reload success"],
        "PHP's command does not wait, and knows nothing of what becomes of it",
    ),
    (
        "start_daemon_1_worker",
        &["-Input \"php start.php stop\" to stop. Start success.", "+Input \"start.php stop\" to stop. Start success."],
        "the program is run by its name",
    ),
];

#[test]
fn what_a_real_app_says_is_what_php_was_recorded_to_say() {
    let program = app(1);
    let recorded: Vec<serde_json::Value> = include_str!("captures/screens.jsonl")
        .lines()
        .map(|line| serde_json::from_str(line).expect("a line is JSON"))
        .collect();
    let mut client = None;
    for (name, words) in [
        ("not_running_stop", &["stop"][..]),
        ("not_running_reload", &["reload"]),
        ("not_running_status", &["status"]),
        ("start_daemon_1_worker", &["start", "-d"]),
        ("status_daemon_1", &["status"]),
        ("connections_one_http", &["connections"]),
        ("reload_daemon", &["reload"]),
        ("stop_graceful_daemon", &["stop", "-g"]),
    ] {
        if name == "connections_one_http" {
            let stream = client.insert(connect(outside::address_in(&printed(&program, "start web")[0])));
            ask(stream, "/", "\n");
        }
        let (code, output, errors) = program.run(words);
        assert_eq!((code != 0, errors.as_str()), (name.starts_with("not_running"), ""), "{name}");
        let case = recorded.iter().find(|case| case["name"] == name).unwrap_or_else(|| panic!("no case {name}"));
        let php: Vec<String> = case["stdout"].as_str().expect("text").lines().map(essence).collect();
        let ours: Vec<String> = output.replace("operated", "start.php").lines().map(essence).collect();
        let mut found: Vec<String> = php.iter().filter(|it| !ours.contains(it)).map(|it| format!("-{it}")).collect();
        found.extend(ours.iter().filter(|it| !php.contains(it)).map(|it| format!("+{it}")));
        let listed = DIFFERENCES.iter().find(|(case, ..)| *case == name).map_or(&[][..], |(_, lines, _)| lines);
        assert_eq!(found, listed, "{name}: {output}");
        let of = |sign: char| listed.iter().filter(|line| line.starts_with(sign)).count();
        assert_eq!(ours.len() + of('-'), php.len() + of('+'), "{name}: {output}");
    }
}

/// A line without what is another's each time: of a row the number of its columns, of a ruler its title.
fn essence(line: &str) -> String {
    let ruler = line.trim_matches('-');
    let is_said = ["Workerman[", "Start worker", "Input ", "event-loop ", "name ", "pid\t", "PID "];
    if ruler.len() + 8 < line.len() || line.is_empty() || line.ends_with("processes") {
        ruler.to_owned()
    } else if is_said.iter().any(|start| line.starts_with(start)) {
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    } else {
        let name = line.split(['/', ':', ' ', '\t']).next().unwrap_or_default();
        let words = line.split_whitespace().count();
        // Versions and times are of several words.
        if line.starts_with("Workerman/") || line.starts_with("start time") {
            name.to_owned()
        } else {
            words.to_string()
        }
    }
}
