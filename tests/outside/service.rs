//! The example `unit`, started as a manager of services would.

use std::fs;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::process::{Child, ExitStatus, Stdio};

use super::{Program, ask, connect, eventually, signal};

/// A program that was started by a manager, with what it prints in files.
pub(crate) struct Unit {
    child: Child,
    pub(crate) program: Program,
}

impl Unit {
    /// As systemd does, with these sockets from descriptor 3 on. There are three ways at most for them into a process.
    pub(crate) fn start(program: Program, words: &[&str], sockets: Vec<OwnedFd>) -> Self {
        let moves: String = (0..sockets.len()).map(|index| format!("exec {}<&{index}; ", index + 3)).collect();
        let count = sockets.len();
        let [output, errors] = ["output", "errors"].map(|name| program.directory().join(name).display().to_string());
        let program = program.prepared_by(&format!(
            "{moves}exec </dev/null >>'{output}' 2>>'{errors}'; export LISTEN_PID=$$ LISTEN_FDS={count}"
        ));
        let mut command = program.command(words);
        let mut ways = sockets.into_iter().map(Stdio::from).chain(std::iter::repeat_with(Stdio::null));
        let mut way = || ways.next().expect("they do not end");
        command.stdin(way()).stdout(way()).stderr(way());
        Self { child: command.spawn().expect("it starts"), program }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn output(&self) -> String {
        fs::read_to_string(self.program.directory().join("output")).unwrap_or_default()
    }

    pub(crate) fn errors(&self) -> String {
        fs::read_to_string(self.program.directory().join("errors")).unwrap_or_default()
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        let mut status = None;
        eventually("it ends", || {
            status = self.child.try_wait().expect("it can be waited for");
            status.is_some()
        });
        status.expect("it has ended")
    }

    /// Is told to end, and does so well.
    pub(crate) fn stop(&mut self) {
        signal(self.id(), "TERM");
        let status = self.wait();
        assert_eq!(status.code(), Some(0), "{}", self.errors());
    }
}

impl Drop for Unit {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks over a connection of its own, until there is an answer; answers the pid in it.
pub(crate) fn pid_at(address: SocketAddr, path: &str) -> u32 {
    let answer = ask(&mut connect(address), path, "ok\n");
    let pid = answer.split("pid ").nth(1).and_then(|rest| rest.split(' ').next());
    pid.and_then(|pid| pid.parse().ok()).unwrap_or_else(|| panic!("{answer}"))
}

/// Reloads an app that may just be starting, which refuses.
pub(crate) fn reload(program: &Program) {
    eventually("it is reloaded", || program.run(&["reload"]).0 == 0);
}

/// Asks for what ends the process that is asked.
pub(crate) fn ask_and_lose(address: SocketAddr, path: &str) -> String {
    let mut stream = connect(address);
    write!(stream, "GET {path} HTTP/1.1\r\nHost: test\r\n\r\n").expect("the request is sent");
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    answer
}
