//! A master in trouble: what comes at the wrong moment, and what it may not lose by that.

mod outside;

use std::fs;

use outside::{Program, children_of};

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
