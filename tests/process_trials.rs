//! A master in trouble: what comes at the wrong moment, and what it may not lose by that.

mod outside;

use std::fs;

use outside::{Process, Program, children_of, eventually};

#[test]
fn workers_of_a_master_run_as_the_user_that_the_app_wants() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let program = Program::new("trials").with("ACCOUNT", "65534");
    let (code, output, errors) = program.run(&["start", "-d", "-q"]);
    assert_eq!(code, 0, "{output}{errors}");
    let master = program.pid().expect("it runs");
    let users = children_of(master).into_iter().map(|process| {
        let status = fs::read_to_string(format!("/proc/{process}/status")).expect("it is there");
        status.lines().find_map(|line| line.strip_prefix("Uid:")).expect("it has a user").to_owned()
    });
    assert_eq!(users.collect::<Vec<_>>(), ["\t65534\t65534\t65534\t65534"; 2]);
    assert_eq!(program.run(&["stop"]).0, 0);
}

#[test]
fn who_asks_while_workers_start_does_not_end_them() {
    let program = Program::new("trials").with("PAUSE", "0.3");
    let process = start(&program);
    let (code, text, errors) = program.run(&["status"]);
    assert!(code == 0 && text.contains("[busy]"), "{text}{errors}");
    process.line_after("worker ");
    process.signal("TERM");
    assert!(process.wait().0.success());
}

#[test]
fn who_stops_while_workers_start_waits_for_none() {
    let program = Program::new("trials").with("PAUSE", "60");
    let process = start(&program);
    assert_eq!(program.run(&["stop"]).0, 0);
    assert!(process.wait().0.success());
}

#[test]
fn signals_that_come_while_the_master_becomes_a_new_program_are_obeyed_then() {
    let program = Program::new("trials").with("PAUSE", "0.2");
    let process = start(&program);
    process.line_after("worker ");
    process.line_after("worker ");
    // It is refused while the app starts.
    eventually("it becomes a new program", || {
        process.signal("USR1");
        let stdin = fs::read_link(format!("/proc/{}/fd/0", process.id()));
        stdin.is_ok_and(|stdin| stdin.to_string_lossy().starts_with("socket:"))
    });
    process.signal("USR2");
    process.signal("TERM");
    let (status, errors) = process.wait();
    assert!(status.success(), "{status}: {errors}");
    assert!(!program.pid_file().exists());
}

/// An app whose workers have been started.
fn start(program: &Program) -> Process {
    let process = Process::start(&mut program.command(&["start"]));
    eventually("it has workers", || children_of(process.id()).len() == 2);
    process
}
