//! Promise: the screens and messages of PHP Workerman 5.2.2 come out of the same data, byte for byte, except where one
//! list says what we say instead and why.
//!
//! The oracle: `tests/captures/screens.jsonl`, recorded by running PHP (its format: `tests/captures/README.md`). What a
//! case shows is made here from what its note and its screen tell of the app, with PHP's names and versions for ours.

#![allow(clippy::indexing_slicing)] // serde_json answers `null` for what is not there

use std::collections::BTreeSet;

use serde_json::Value;
use workerman::Command;
use workerman::testing::process::log_line;
use workerman::testing::process::screens::{
    ConnectionStatus, Counts, Exit, Lines, ProcessStatus, Status, Versions, WorkerRow, WorkerStatus, banner,
    connections, exited, status,
};

/// A reason, and the cases that it explains, each with the lines that are PHP's (`-`) and ours (`+`).
type Differences = &'static [(&'static str, &'static [(&'static str, &'static [&'static str])])];

const DIFFERENCES: Differences = &[
    (
        "a program has a name of its own; a reload takes the program that is on disk and is always graceful; `--json` is ours; \
         wrong usage is no success",
        &[("usage_unknown_command", USAGE)],
    ),
    (
        "without a word the app starts: a container and a unit run the program as it is",
        &[("usage_no_command", STARTS), ("usage_only_mode", STARTS_DAEMON)],
    ),
    (
        "who runs already is worth knowing",
        &[(
            "second_start_while_running",
            &["-Workerman[start.php] already running", "+Workerman[start.php] already running, pid {PID}", "+exit 1"],
        )],
    ),
    (
        "a log has the same line for whoever runs",
        &[(
            "log_file_foreground_session",
            &[
                "-{DATETIME} pid:{PID} Workerman[start.php] already running",
                "+{DATETIME} pid:{PID} Workerman[start.php] already running, pid {PID}",
            ],
        )],
    ),
    ("the program is run by its name", &[("start_daemon_1_worker", INPUT), ("start_daemon_3_workers", INPUT)]),
];

const USAGE: &[&str] = &[
    "-Usage: php yourfile <command> [mode]",
    "-\t\tUse mode -g to reload gracefully.",
    "+unknown command \"frobnicate\"",
    "+Usage: yourprogram <command> [mode]",
    "+\t\tUse mode --json for programs.",
    "+exit 2",
];
const STARTS: &[&str] = &["-its usage", "+it starts"];
const STARTS_DAEMON: &[&str] = &["-its usage", "+it starts in the background"];
const INPUT: &[&str] =
    &["-Input \"php start.php stop\" to stop. Start success.", "+Input \"start.php stop\" to stop. Start success."];

/// What nothing here says: PHP's own errors and stack traces, and what apps print.
const OTHERS: [&str; 4] =
    ["foreground_worker_exception", "start_port_in_use", "reload_3_workers_master_text", "reload_graceful_master_text"];

const LINES: Lines<'_> = Lines { program: "start.php" };

#[test]
fn screens_and_messages_are_phps_except_where_the_list_says_why_not() {
    let cases: Vec<Value> = include_str!("captures/screens.jsonl")
        .lines()
        .map(|line| serde_json::from_str(line).expect("a line is JSON"))
        .collect();
    assert_eq!(cases.len(), 30, "all cases are there");
    let mut listed: BTreeSet<&str> =
        DIFFERENCES.iter().flat_map(|(_, cases)| cases.iter().map(|(name, _)| *name)).collect();
    for case in &cases {
        let name = case["name"].as_str().expect("a name");
        if OTHERS.contains(&name) {
            continue;
        }
        let found = differences(case, name);
        let entry = DIFFERENCES.iter().flat_map(|(_, cases)| *cases).find(|(case, _)| *case == name);
        let expected = entry.map_or(&[][..], |(_, lines)| lines);
        assert_eq!(found, expected, "{name}");
        listed.remove(name);
    }
    assert!(listed.is_empty(), "no such cases: {listed:?}");
}

/// The lines that only one of both has; what is not of lines is a remark.
fn differences(case: &Value, name: &str) -> Vec<String> {
    let arguments: Vec<&str> =
        case["argv"].as_array().expect("arguments").iter().map(|word| word.as_str().expect("text")).collect();
    let parsed = Command::parse(&arguments);
    let php = case["stdout"].as_str().expect("text");
    let mut found = Vec::new();
    let (ours, exit) = match parsed {
        Err(usage) => (usage.to_string(), usage.exit_code()),
        Ok(Command::Start { daemon, .. }) if php.starts_with("Usage:") => {
            let ours = if daemon { "+it starts in the background" } else { "+it starts" };
            return vec!["-its usage".to_owned(), ours.to_owned()];
        }
        Ok(command) => said(name, command),
    };
    let log = case["log_file"].as_str();
    let recorded = log.unwrap_or(php);
    // Byte for byte: lines, blanks and line ends.
    let (php, ours): (Vec<&str>, Vec<&str>) = (recorded.split('\n').collect(), ours.split('\n').collect());
    found.extend(php.iter().filter(|line| !ours.contains(line)).map(|line| format!("-{line}")));
    found.extend(ours.iter().filter(|line| !php.contains(line)).map(|line| format!("+{line}")));
    found.dedup();
    if found.is_empty() {
        assert_eq!(ours, php, "{name}: the lines are PHP's, in another order or number");
    }
    if exit != 0 {
        assert_eq!(case["exit_code"], 0, "{name}");
        found.push(format!("+exit {exit}"));
    }
    found
}

/// All that is said in a case, and what the process ends with.
fn said(name: &str, command: Command) -> (String, i32) {
    let first = format!("{}\n", LINES.command(command));
    let text = match name {
        "not_running_stop" | "not_running_reload" | "not_running_status" => format!("{first}{}\n", LINES.not_run()),
        "second_start_while_running" => {
            return (recorded(&format!("{first}{}\n", LINES.already_running(Some(10_000)))), 1);
        }
        "start_foreground_quiet" | "reload_command" | "reload_daemon" => first,
        "start_foreground_1_worker" => first + &banner(&versions(), &rows(&ONE)) + &LINES.started(false),
        "start_daemon_1_worker" => first + &banner(&versions(), &rows(&ONE)) + &LINES.started(true),
        "start_daemon_3_workers" => first + &banner(&versions(), &rows(&THREE)) + &LINES.started(true),
        "start_foreground_long_names_udp_unix" => first + &banner(&versions(), &rows(&FIVE)) + &LINES.started(false),
        "status_foreground_1_worker" => first + &status(&of(false, &ONE, &[])),
        "status_daemon_1" => first + &status(&of(true, &ONE, &[])),
        "status_foreground_3_workers" => first + &status(&of(false, &THREE, &[])),
        "status_daemon_3" => first + &status(&of(true, &THREE, &[])),
        "status_with_busy_worker" => first + &status(&with_a_busy_worker()),
        "connections_one_http" => first + &connections(&[one_connection()]),
        "foreground_worker_exit_3" => format!("Worker[{{PID}}] process terminated\n{}\n", exited("web", 10_000, 768)),
        "reload_seen_by_foreground_master" => LINES.reloading() + "\n",
        "stop_graceful_daemon" => format!("{first}{}\n{}\n", LINES.is_stopping(true), LINES.stop_success()),
        "foreground_master_text_all" => session(&first),
        "log_file_foreground_session" => log_of_a_session(),
        "log_file_daemon_3" => log_of_a_daemon(),
        _ => panic!("{name}: what does it say?"),
    };
    (recorded(&text), 0)
}

/// Varying numbers as the recordings have them.
fn recorded(text: &str) -> String {
    let mut text = text.replace("run 0 days 0 hours", "run {N} days {N} hours").replace("-, -, -", "{LOAD}");
    text = text.replace("127.0.0.1:50000", "127.0.0.1:{EPHEMERAL_PORT}");
    for pid in 10_000..10_010 {
        text = text.replace(&pid.to_string(), "{PID}");
    }
    // The placeholder stands for six characters: the field of a busy process is three for `N/A` and five blanks.
    MEMORIES.iter().for_each(|memory| text = text.replace(memory, "{MEM}"));
    text
}

/// Of a process, so that its text and those of two, three and four have six characters.
const MEMORY: u64 = 12_855_542;
const MEMORIES: [&str; 4] = ["12.26M", "24.52M", "36.78M", "49.04M"];

/// Name, listening, transport and count of workers.
type Worker = (&'static str, &'static str, &'static str, usize);

const WEB: Worker = ("web", "http://127.0.0.1:18080", "tcp", 2);
const BACKGROUND: Worker = ("background", "none", "tcp", 1);
const ONE: [Worker; 1] = [("web", "http://127.0.0.1:18080", "tcp", 1)];
const THREE: [Worker; 3] = [WEB, ("lines", "text://127.0.0.1:18081", "tcp", 1), BACKGROUND];
const FIVE: [Worker; 5] = [
    WEB,
    ("a-rather-long-worker-name-for-columns", "text://127.0.0.1:18081", "tcp", 1),
    BACKGROUND,
    ("none", "udp://127.0.0.1:18082", "udp", 1),
    ("unix", "unix:///tmp/wm-screen.sock", "unix", 1),
];

fn versions() -> Versions {
    Versions { workerman: "5.2.2".into(), language: "PHP/8.2.36 (JIT off)".into(), system: "{OS}".into() }
}

fn rows(workers: &[Worker]) -> Vec<WorkerRow> {
    let row = |&(name, listen, transport, count): &Worker| WorkerRow {
        event_loop: "select".into(),
        transport: transport.into(),
        user: "root".into(),
        name: name.into(),
        listen: listen.into(),
        count,
    };
    workers.iter().map(row).collect()
}

/// An app with these workers, idle, after so many exits of each.
fn of(daemon: bool, workers: &[Worker], exits: &[u64]) -> Status {
    let exits = |nth: usize| exits.get(nth).filter(|count| **count > 0).map(|count| Exit { status: 0, count: *count });
    let idle = Counts { memory: MEMORY, ..Counts::default() };
    let mut processes = Vec::new();
    for (name, listening, _, count) in workers {
        for _ in 0..*count {
            let pid = 10_000 + u32::try_from(processes.len()).expect("few");
            let (name, listening) = ((*name).to_owned(), (*listening).to_owned());
            processes.push(ProcessStatus { pid, listening, name, counts: Some(idle) });
        }
    }
    let worker = |(nth, &(name, ..)): (usize, &Worker)| WorkerStatus {
        name: name.into(),
        event_loop: "select".into(),
        exits: exits(nth).into_iter().collect(),
    };
    Status {
        daemon,
        versions: versions(),
        started: "{DATETIME}".into(),
        uptime: 0,
        load_average: None,
        workers: workers.iter().enumerate().map(worker).collect(),
        processes,
    }
}

/// After two reloads the process that is never reloaded has the lowest number.
fn with_a_busy_worker() -> Status {
    let mut status = of(false, &THREE, &[4, 2, 0]);
    status.processes[0].counts = None;
    for process in &mut status.processes[..3] {
        process.pid += 5;
    }
    status
}

fn one_connection() -> ConnectionStatus {
    ConnectionStatus {
        pid: 10_000,
        worker: "web".into(),
        id: 1,
        transport: "tcp".into(),
        protocol: "Http".into(),
        is_ipv4: true,
        is_ipv6: false,
        received: 0,
        queued: 0,
        bytes_read: 27,
        bytes_written: 103,
        status: "ESTABLISHED".into(),
        local: "127.0.0.1:18080".into(),
        remote: "127.0.0.1:50000".into(),
    }
}

fn session(first: &str) -> String {
    let reload = format!("{}\nbackground onWorkerReload\n", LINES.reloading());
    let end = [LINES.received("SIGINT"), LINES.stopping(), LINES.stopped()].join("\n");
    let screen = banner(&versions(), &rows(&THREE)) + &LINES.started(false);
    format!("{first}{screen}{reload}{reload}worker[{{PID}}] remains 0 connection(s)\n{end}\n")
}

fn log(lines: &[String]) -> String {
    let time = std::time::SystemTime::UNIX_EPOCH;
    let info = log::Level::Info;
    let stamp = |line: String| line.replacen(line.split(" pid:").next().expect("a time"), "{DATETIME}", 1);
    lines.iter().map(|line| stamp(log_line(time, 10_000, info, &line))).collect()
}

fn command(words: &[&str]) -> String {
    LINES.command(Command::parse(words).expect("a command"))
}

fn log_of_a_session() -> String {
    log(&[
        command(&["start"]),
        command(&["start"]),
        LINES.already_running(Some(10_001)),
        command(&["start", "-d"]),
        LINES.already_running(Some(10_001)),
        command(&["status"]),
        command(&["connections"]),
        command(&["connections"]),
        "RuntimeException: boom in {DIR}/start.php:18\nStack trace:\n{STACK_TRACE}".to_owned(),
        exited("web", 10_001, 64_000),
        "Worker[{PID}] process terminated".to_owned(),
        exited("web", 10_001, 768),
        command(&["status"]),
        command(&["reload"]),
        LINES.reloading(),
        LINES.received("SIGINT"),
        LINES.stopping(),
        LINES.stopped(),
    ])
}

fn log_of_a_daemon() -> String {
    log(&[
        command(&["start", "-d"]),
        command(&["status"]),
        command(&["stop"]),
        LINES.is_stopping(false),
        LINES.received("SIGINT"),
        LINES.stopping(),
        LINES.stopped(),
        LINES.stop_success(),
    ])
}
