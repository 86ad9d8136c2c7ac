//! The lines that commands and the log say, beside the screens.

use crate::process::command::Command;

/// PHP's messages about a program of this name.
#[derive(Clone, Copy, Debug)]
pub struct Lines<'a> {
    /// What stands for PHP's `start.php`.
    pub program: &'a str,
}

impl Lines<'_> {
    /// What every command says first, and logs.
    pub fn command(self, command: Command) -> String {
        match command {
            Command::Start { daemon: true, .. } => self.of("start in DAEMON mode"),
            Command::Start { daemon: false, .. } => self.of("start in DEBUG mode"),
            _ => self.of(command.word()),
        }
    }

    /// Below the table of workers.
    pub fn started(self, daemon: bool) -> String {
        if daemon {
            format!("Input \"{} stop\" to stop. Start success.\n\n", self.program)
        } else {
            "Press Ctrl+C to stop. Start success.\n".to_owned()
        }
    }

    /// A second start; with the process that runs, which PHP does not name.
    pub fn already_running(self, pid: Option<u32>) -> String {
        match pid {
            Some(pid) => self.of(&format!("already running, pid {pid}")),
            None => self.of("already running"),
        }
    }

    /// A command that needs a program which runs.
    pub fn not_run(self) -> String {
        self.of("not run")
    }

    /// `stop` has begun.
    pub fn is_stopping(self, graceful: bool) -> String {
        self.of(if graceful { "is gracefully stopping ..." } else { "is stopping ..." })
    }

    /// `stop` is done.
    pub fn stop_success(self) -> String {
        self.of("stop success")
    }

    /// `stop` has given up.
    pub fn stop_fail(self) -> String {
        self.of("stop fail")
    }

    /// A signal has come, `SIGINT`.
    pub fn received(self, signal: &str) -> String {
        self.of(&format!("received signal {signal}"))
    }

    /// The master begins to stop.
    pub fn stopping(self) -> String {
        self.of("stopping")
    }

    /// The master ends.
    pub fn stopped(self) -> String {
        self.of("has been stopped")
    }

    /// The master begins to reload.
    pub fn reloading(self) -> String {
        self.of("reloading")
    }

    /// The new program has taken over.
    pub fn reloaded(self) -> String {
        self.of("reload success")
    }

    fn of(self, what: &str) -> String {
        format!("Workerman[{}] {what}", self.program)
    }
}

/// The line on a worker that has ended, by `wait`'s status.
pub fn exited(worker: &str, pid: u32, status: i32) -> String {
    format!("worker[{worker}:{pid}] exit with status {status}")
}
