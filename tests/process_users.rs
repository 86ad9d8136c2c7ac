//! Promises about whom workers run as, and what of them comes into the log, whoever they are.

mod outside;

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::thread;

use outside::{Process, Program, Unit, ask_and_lose, eventually, free_address, is_alive, pid_at, reload};

const NOBODY: u32 = 65534;

fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("not tested: it takes root");
    }
    root
}

/// The users, groups and rights in `/proc/…/status`.
fn rights_of(process: u32) -> [String; 4] {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("it lives");
    ["Uid", "Gid", "Groups", "CapEff"].map(|name| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).expect("a line");
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    })
}

fn rights(user: u32, group: u32) -> [String; 4] {
    let four = |number: u32| [number; 4].map(|number| number.to_string()).join(" ");
    [four(user), four(group), group.to_string(), "0".repeat(16)]
}

/// A port that only root may have, at an address of this machine that nobody else has in mind.
fn low_address() -> SocketAddr {
    let [_, first, second, third] = std::process::id().to_be_bytes();
    SocketAddr::from(([127, 100 + first % 64, second, third], 80))
}

#[test]
fn workers_run_as_their_user_and_the_master_as_who_has_started_it() {
    if !is_root() {
        return;
    }
    let address = low_address();
    let program = Program::new("unit").with("ADDRESS", address.to_string()).with("COUNT", "2");
    let mut unit = Unit::start(program.with("WORKER_USER", "nobody").with("WORKER_GROUP", "daemon"), &[], Vec::new());
    let check = || {
        let worker = pid_at(address, "/");
        assert_eq!(rights_of(worker), rights(NOBODY, 1));
        assert!(rights_of(unit.id())[0].starts_with("0 0"));
        worker
    };
    eventually("it serves", || TcpStream::connect(address).is_ok());
    check();
    reload(&unit.program);
    check();
    ask_and_lose(address, "/crash");
    let worker = check();
    reload(&unit.program);
    assert_ne!(check(), worker);
    let (code, status, _) = unit.program.run(&["status"]);
    assert!(code == 0 && !status.contains("[busy]"), "{status}");
    for file in [unit.program.pid_file(), unit.program.pid_file().with_extension("sock")] {
        assert_eq!(fs::metadata(file).expect("it is there").uid(), 0);
    }
    unit.stop();
    assert!(!unit.program.pid_file().exists());
}

#[test]
fn a_process_without_a_master_becomes_its_user() {
    if !is_root() {
        return;
    }
    let address = SocketAddr::new(low_address().ip(), 81);
    let program = Program::new("unit").with("ADDRESS", address.to_string()).with("WORKER_USER", NOBODY.to_string());
    let log = program.directory().join("log");
    let mut unit = Unit::start(program.with("LOG_FILE", &log), &[], Vec::new());
    eventually("it serves", || TcpStream::connect(address).is_ok());
    assert_eq!(pid_at(address, "/"), unit.id());
    assert_eq!(rights_of(unit.id()), rights(NOBODY, NOBODY));
    assert_eq!(unit.program.run(&["status"]).0, 0);
    let text = fs::read_to_string(&log).expect("a log");
    assert!(text.contains("it starts"), "{text}");
    assert_eq!(unit.errors(), "");
    unit.stop();
}

#[test]
fn who_may_not_become_the_user_does_not_start() {
    for count in ["1", "2"] {
        let program = Program::new("unit").with("COUNT", count).with("WORKER_USER", "root");
        let mut command = program.command(&[]);
        if rustix::process::geteuid().is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        let (status, errors) = Process::start(&mut command).wait();
        assert_eq!(status.code(), Some(1), "{count}: {errors}");
        assert!(errors.contains("cannot run as \"root:\": Operation not permitted"), "{count}: {errors}");
    }
    for count in ["1", "2"] {
        let program = Program::new("unit").with("COUNT", count).with("WORKER_USER", "nobody of that name");
        let (status, errors) = Process::start(&mut program.command(&[])).wait();
        assert_eq!(status.code(), Some(1), "{count}: {errors}");
        assert!(errors.contains("\"nobody of that name\" is not in /etc/passwd"), "{count}: {errors}");
    }
}

#[test]
fn threads_that_would_keep_the_rights_of_root_are_an_error() {
    if !is_root() {
        return;
    }
    for count in ["1", "2"] {
        let program = Program::new("unit").with("COUNT", count).with("WORKER_USER", "nobody").with("THREAD", "1");
        let (status, errors) = Process::start(&mut program.command(&[])).wait();
        assert_eq!(status.code(), Some(1), "{count}: {errors}");
        assert!(errors.contains("threads run already"), "{count}: {errors}");
    }
}

#[test]
fn workers_of_another_user_write_to_the_log_of_root() {
    if !is_root() {
        return;
    }
    let address = free_address();
    let program = Program::new("unit").with("ADDRESS", address.to_string()).with("COUNT", "2");
    let log = program.directory().join("log");
    let program = program.with("WORKER_USER", "nobody").with("LOG_FILE", &log).with("LOG_LIMIT", "50000");
    let mut unit = Unit::start(program, &[], Vec::new());
    eventually("it serves", || TcpStream::connect(address).is_ok());
    // 12 kB each time, where the directory is root's.
    for _ in 0..20 {
        pid_at(address, "/log");
    }
    let found = fs::metadata(&log).expect("a log");
    assert_eq!(found.uid(), NOBODY);
    assert!((12_000..64_000).contains(&found.len()), "{} bytes", found.len());

    // The master makes the next one.
    fs::rename(&log, log.with_extension("1")).expect("it can be moved");
    reload(&unit.program);
    let worker = pid_at(address, "/log");
    let text = fs::read_to_string(&log).expect("a log");
    assert!(text.contains(&format!("pid:{} ", unit.id())) && text.contains(&format!("pid:{worker} ")), "{text}");
    assert_eq!(fs::metadata(&log).expect("a log").uid(), NOBODY);

    // A worker comes first, and may not make one: the master does, with its next record.
    fs::rename(&log, log.with_extension("2")).expect("it can be moved");
    let worker = pid_at(address, "/log");
    ask_and_lose(address, "/crash");
    eventually("the master tells of the end", || log.exists());
    eventually("the worker that was there finds it", || {
        pid_at(address, "/log");
        fs::read_to_string(&log).is_ok_and(|text| text.contains(&format!("pid:{worker} ")) || !is_alive(worker))
    });
    assert_eq!(unit.errors(), "");
    unit.stop();
}

#[test]
fn records_of_all_processes_are_whole_lines_with_time_and_pid_while_the_file_is_cut() {
    let address = free_address();
    let program = Program::new("unit").with("ADDRESS", address.to_string()).with("COUNT", "4");
    let log = program.directory().join("log");
    let program = program.with("LOG_FILE", &log).with("LOG_LIMIT", "200000");
    let mut unit = Unit::start(program, &[], Vec::new());
    eventually("it serves", || TcpStream::connect(address).is_ok());
    let client = move || (0..15).map(|_| pid_at(address, "/log")).collect::<Vec<_>>();
    let clients: Vec<_> = (0..8).map(|_| thread::spawn(client)).collect();
    for client in clients {
        client.join().expect("it is answered");
    }
    let master = unit.id();
    unit.stop();
    let text = fs::read_to_string(&log).expect("a log");
    // Of 1.4 MB.
    assert!((50_000..260_000).contains(&text.len()), "{} bytes", text.len());
    for line in text.lines() {
        let (time, rest) = line.split_once(" pid:").unwrap_or_else(|| panic!("{line:?}"));
        let (pid, record) = rest.split_once(' ').unwrap_or_else(|| panic!("{line:?}"));
        assert!(time.len() == 19 && pid.parse::<u32>().is_ok(), "{line:?}");
        assert!(record == "x".repeat(200) || !record.contains("xx"), "{line:?}");
    }
    assert!(text.contains(&format!("pid:{master} ")), "the master's last words");
}

#[test]
fn a_daemon_with_a_logger_of_its_own_writes_to_the_file_of_its_output() {
    let address = free_address();
    let program = Program::new("unit").with("ADDRESS", address.to_string());
    let file = program.directory().join("stdout.log");
    let program = program.with("STDOUT_FILE", &file).prepared_by("export RUST_LOG=info");
    let (code, output, errors) = program.run(&["start", "-d"]);
    assert_eq!(code, 0, "{output}{errors}");
    assert!(pid_at(address, "/log") > 0);
    assert_eq!(program.run(&["stop"]).0, 0);
    let text = fs::read_to_string(&file).expect("a file");
    let has = |wanted: &str| text.lines().any(|line| line.contains("INFO") && line.contains(wanted));
    assert!(has("it starts") && has("xxx") && has("stop"), "{text}");
    assert!(text.lines().any(|line| line.starts_with("start Some")), "{text}");
}
