//! Promise: a program that a test starts lies in a directory of its own, can be replaced there, and is gone with the test.

#![allow(clippy::indexing_slicing)] // a failing index fails the test

mod outside;

use std::fs;

use outside::{Process, Program, ask, children_of, connect, eventually, example, is_alive, signal};

#[test]
fn the_same_example_runs_side_by_side_in_two_directories() {
    let [one, other] = ["lifecycle", "lifecycle"].map(Program::new);
    assert_ne!(one.directory(), other.directory());
    assert_ne!(one.pid_file(), other.pid_file());
    let [first, second] = [&one, &other].map(|program| Process::start(&mut program.command(&[])));
    assert_eq!(one.processes(), [first.id()]);
    assert_eq!(other.processes(), [second.id()]);
}

#[test]
fn a_program_that_is_replaced_goes_on_and_the_next_one_is_another() {
    let program = Program::new("lifecycle").with("MODE", "stay");
    let old = Process::start(&mut program.command(&[]));
    let address = outside::address_in(&old.line());
    program.replace_with(&example("hello"));
    ask(&mut connect(address), "/", "ok\n");
    assert_eq!(program.processes(), [old.id()]);
    drop(old);
    let new = Process::start(&mut program.command(&[]));
    ask(&mut connect(outside::address_in(&new.line())), "/", "hello world\n");
    assert_eq!(program.processes(), [new.id()]);
    // The same file once more changes nothing.
    program.replace_with(&example("hello"));
    assert_eq!(
        fs::read_dir(program.directory()).expect("it is there").filter_map(Result::ok).filter(is_new).count(),
        0
    );
}

fn is_new(entry: &fs::DirEntry) -> bool {
    entry.file_name() == "new"
}

#[test]
fn a_command_tells_its_exit_code_and_what_it_says() {
    let (code, output, errors) = Program::new("lifecycle").with("ADDRESS", "127.0.0.1").run(&[]);
    assert_eq!((code, output.as_str()), (1, "Workerman[lifecycle] start in DEBUG mode\n"));
    assert!(errors.contains("no port"), "{errors}");
    let program = Program::new("lifecycle").prepared_by("echo \"$1\"; exit 3");
    assert_eq!(program.run(&["status"]), (3, "status\n".to_owned(), String::new()));
}

#[test]
fn what_nobody_holds_ends_with_the_program_and_its_directory_too() {
    let program = Program::new("lifecycle");
    let left = program.command(&[]).stdout(std::process::Stdio::null()).spawn().expect("it starts").id();
    eventually("it runs", || program.processes() == [left]);
    let directory = program.directory().to_owned();
    drop(program);
    assert!(!is_alive(left));
    assert!(!directory.exists());
}

#[test]
fn the_children_of_a_process_are_those_that_live() {
    let mut shell = std::process::Command::new("sh");
    let shell = Process::start(shell.args(["-c", "sleep 100 & sleep 100 & echo started; wait"]));
    shell.line();
    let children = children_of(shell.id());
    assert_eq!(children.len(), 2);
    signal(children[0], "KILL");
    eventually("one is left", || children_of(shell.id()) == children[1..]);
    assert!(!is_alive(children[0]) && is_alive(children[1]));
    signal(children[1], "TERM");
    eventually("none is left", || children_of(shell.id()).is_empty());
}
