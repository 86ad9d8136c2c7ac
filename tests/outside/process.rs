//! Processes that tests have started, each with a deadline and an end.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use rustix::process::{Pid, Signal, kill_process};

use super::{PATIENCE, Program, now, receive};

/// A process that is killed when this is dropped, with what it prints.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    output: Receiver<String>,
    errors: Option<JoinHandle<String>>,
    /// What it runs, if that goes with it.
    program: Option<Program>,
}

impl Process {
    pub(crate) fn start(command: &mut Command) -> Self {
        command.env_remove("RUST_LOG").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let (sender, output) = mpsc::channel();
        let stdout = child.stdout.take().expect("stdout is piped");
        thread::spawn(move || {
            let mut lines = BufReader::new(stdout).lines().map_while(Result::ok).peekable();
            // What every app says at its start, up to how it is stopped, is no line of the program's own.
            if lines.peek().is_some_and(|line| line.starts_with("Workerman[")) {
                lines.by_ref().take_while(|line| !line.ends_with("Start success.")).for_each(drop);
            }
            for line in lines.filter(|line| !line.starts_with("Workerman[")) {
                let _ = sender.send(line);
            }
        });
        let mut stderr = child.stderr.take().expect("stderr is piped");
        let errors = thread::spawn(move || {
            let mut bytes = Vec::new();
            let _ = stderr.read_to_end(&mut bytes);
            String::from_utf8_lossy(&bytes).into_owned()
        });
        Self { child, output, errors: Some(errors), program: None }
    }

    /// Keeps its program until it has ended.
    pub(crate) fn of(program: Program) -> Self {
        let mut process = Self::start(&mut program.command(&[]));
        process.program = Some(program);
        process
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The next line of its output.
    pub(crate) fn line(&self) -> String {
        receive("a line of output", &self.output)
    }

    /// The next line of its output, if one comes within a moment.
    pub(crate) fn try_line(&self) -> Option<String> {
        self.output.recv_timeout(Duration::from_millis(300)).ok()
    }

    /// The rest of the first line of its output that starts with this text.
    pub(crate) fn line_after(&self, start: &str) -> String {
        loop {
            let line = self.line();
            if let Some(rest) = line.strip_prefix(start) {
                return rest.to_owned();
            }
        }
    }

    /// Sends a signal by its name.
    pub(crate) fn signal(&self, name: &str) {
        signal(self.id(), name);
    }

    /// How it ended, and what it wrote to stderr.
    pub(crate) fn wait(mut self) -> (ExitStatus, String) {
        let start = now();
        loop {
            match self.child.try_wait().expect("the process can be waited for") {
                Some(status) => {
                    let errors = self.errors.take().map(|thread| thread.join().unwrap_or_default());
                    return (status, errors.unwrap_or_default());
                }
                None if start.elapsed() > PATIENCE => panic!("process {} does not end", self.id()),
                None => thread::sleep(Duration::from_millis(5)),
            }
        }
    }

    /// How many descriptors it has open.
    pub(crate) fn descriptors(&self) -> usize {
        descriptors(&self.id().to_string())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        let family = descendants(self.id());
        let _ = self.child.kill();
        let _ = self.child.wait();
        // A browser's helpers end when they miss it; whoever does not is ended too.
        let start = now();
        while family.iter().any(|process| is_alive(*process)) && start.elapsed() < Duration::from_secs(5) {
            thread::sleep(Duration::from_millis(10));
        }
        for process in family.into_iter().filter(|process| is_alive(*process)) {
            kill(process);
        }
    }
}

/// Sends a signal by its name to a process that is there.
pub(crate) fn signal(process: u32, name: &str) {
    let kill = format!("kill -{name} {process}");
    let status = Command::new("sh").arg("-c").arg(&kill).status().expect("sh runs");
    assert!(status.success(), "{kill}: {status}");
}

/// Kills a process, which may have ended by itself meanwhile.
pub(super) fn kill(process: u32) {
    let process = i32::try_from(process).ok().and_then(Pid::from_raw).expect("the number of a process");
    let _ = kill_process(process, Signal::KILL);
}

/// Whether a process has not ended. One that has ended and was not waited for has.
pub(crate) fn is_alive(process: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{process}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

/// The processes that a process has started and that have not ended.
pub(crate) fn children_of(process: u32) -> Vec<u32> {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{process}/task")) else { return Vec::new() };
    let lists = tasks.flatten().filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    let children: Vec<u32> = lists.flat_map(|list| numbers(&list)).collect();
    children.into_iter().filter(|child| is_alive(*child)).collect()
}

/// Those, and the ones that these have started.
fn descendants(ancestor: u32) -> Vec<u32> {
    let children = children_of(ancestor);
    let theirs = children.iter().flat_map(|child| descendants(*child)).collect();
    [children, theirs].concat()
}

fn numbers(list: &str) -> Vec<u32> {
    list.split_whitespace().filter_map(|number| number.parse().ok()).collect()
}

/// How many descriptors a process has open, by its number or `self`.
pub(crate) fn descriptors(process: &str) -> usize {
    std::fs::read_dir(format!("/proc/{process}/fd")).expect("/proc is there").count()
}

/// Raises the limit of descriptors, of this process and those it starts, to `wanted` or as near as the system permits,
/// and answers what it is.
pub(crate) fn raise_descriptors(wanted: usize) -> usize {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("the limit can be read");
    let limit = hard.min(wanted as u64).max(soft);
    setrlimit(Resource::RLIMIT_NOFILE, limit, hard).expect("a limit below the hard one can be set");
    usize::try_from(limit).unwrap_or(usize::MAX)
}
