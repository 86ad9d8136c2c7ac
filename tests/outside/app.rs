//! The app `generation` with its master and processes, as programs that answer differently take its place.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::Duration;

use super::outside::{
    PATIENCE, Process, Program, TemporaryDirectory, address_in, ask, children_of, connect, example, now, try_connect,
};

/// A running app. When this is dropped it is killed.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) master: Process,
    pub(crate) address: SocketAddr,
    pub(crate) program: Program,
    /// The same program elsewhere, for commands while that of the app is one that cannot obey any.
    pub(crate) tool: Program,
    variants: TemporaryDirectory,
}

impl App {
    /// Four processes that answer `first`.
    pub(crate) fn start() -> Self {
        Self::start_with("answer=first", |program| program)
    }

    /// A program of these words, with whatever else is set.
    pub(crate) fn start_with(words: &str, set: impl FnOnce(Program) -> Program) -> Self {
        let program = Program::new("generation");
        let log = program.directory().join("log");
        let program = set(program.with("LOG", log));
        let tool = Program::new("generation").with("PID_FILE", program.pid_file());
        let variants = TemporaryDirectory::new("variants");
        program.replace_with(&variant(&variants, words));
        let master = Process::start(&mut program.command(&[]));
        let address = address_in(&master.line());
        let app = Self { master, address, program, tool, variants };
        let count = words.split("count=").nth(1).and_then(|count| count.split(' ').next()?.parse().ok()).unwrap_or(4);
        app.has_processes(count);
        app
    }

    /// Puts a program of these words in the place of the one on the disk.
    pub(crate) fn install(&self, words: &str) {
        self.program.replace_with(&variant(&self.variants, words));
    }

    /// Answers the exit code of the command, and what it said.
    pub(crate) fn command(&self, words: &[&str]) -> (i32, String) {
        let (code, output, errors) = self.tool.run(words);
        (code, output + &errors)
    }

    pub(crate) fn reload(&self) {
        let (code, said) = self.command(&["reload"]);
        assert_eq!(code, 0, "{said}\n{}", self.log());
    }

    /// The same once no other goes on.
    pub(crate) fn reload_when_possible(&self) {
        let mut said = String::new();
        let done = || {
            let (code, text) = self.command(&["reload"]);
            said = text;
            code == 0
        };
        assert!(becomes(done), "{said}\n{}", self.log());
    }

    /// The reason why a reload is refused, which stands in the log as well.
    pub(crate) fn refused(&self) -> String {
        let (code, said) = self.command(&["reload"]);
        assert_eq!(code, 1, "{said}\n{}", self.log());
        let reason = said.lines().find_map(|line| line.strip_prefix("the reload is refused: "));
        let reason = reason.unwrap_or_else(|| panic!("no reason in {said:?}")).to_owned();
        let log = self.log();
        assert!(log.contains(&reason), "{reason:?} is not in the log: {log}");
        reason
    }

    pub(crate) fn workers(&self) -> Vec<u32> {
        children_of(self.master.id())
    }

    /// Waits until so many processes run and are ready, and no others.
    pub(crate) fn has_processes(&self, count: usize) {
        let mut status = String::new();
        let ready = || {
            status = self.status();
            self.workers().len() == count && status.matches("\"counts\":{").count() == count
        };
        if !becomes(ready) {
            panic!("not {count} processes but {:?}: {status}\n{}", self.workers(), self.log());
        }
    }

    /// For machines.
    pub(crate) fn status(&self) -> String {
        self.command(&["status", "--json"]).1
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.program.directory().join("log")).unwrap_or_default()
    }

    /// The word and the process that a new connection is answered with.
    pub(crate) fn answer(&self) -> (String, u32) {
        let mut stream = connect(self.address);
        answer_in(&ask(&mut stream, "/", "\n"))
    }

    /// Which file a process runs.
    pub(crate) fn image_of(&self, process: u32) -> PathBuf {
        fs::read_link(format!("/proc/{process}/exe")).expect("the process is there")
    }

    /// Whether nobody listens there any more.
    pub(crate) fn is_free(&self) -> bool {
        try_connect(self.address).is_err()
    }
}

/// The sockets that a process has open.
pub(crate) fn sockets_of(process: u32) -> BTreeSet<PathBuf> {
    let links = fs::read_dir(format!("/proc/{process}/fd")).into_iter().flatten().flatten();
    let targets = links.filter_map(|link| fs::read_link(link.path()).ok());
    targets.filter(|target| target.to_string_lossy().starts_with("socket:")).collect()
}

/// Whether something is so in time.
fn becomes(mut condition: impl FnMut() -> bool) -> bool {
    let start = now();
    while !condition() {
        if start.elapsed() > PATIENCE {
            return false;
        }
        thread::sleep(Duration::from_millis(5));
    }
    true
}

/// The word and the process in a body or a whole answer.
pub(crate) fn answer_in(text: &str) -> (String, u32) {
    let line = text.lines().last().unwrap_or_default();
    let parts = line.split_once(' ').and_then(|(word, process)| Some((word.to_owned(), process.parse().ok()?)));
    parts.unwrap_or_else(|| panic!("no word and process in {text:?}"))
}

/// A copy of the program with these words behind it.
fn variant(directory: &TemporaryDirectory, words: &str) -> PathBuf {
    let path = directory.0.join(words.replace(['/', ':'], "_"));
    // By another process: a program that this one writes could not be run while a thread starts something else.
    let script = "cat \"$0\" > \"$1\" && printf '\\ngeneration %s\\n' \"$2\" >> \"$1\" && chmod +x \"$1\"";
    if !path.exists() {
        let mut shell = Command::new("sh");
        let status = shell.arg("-c").arg(script).arg(example("generation")).arg(&path).arg(words).status();
        assert!(status.expect("sh runs").success(), "{} cannot be made", path.display());
    }
    path
}
