//! Programs that lie in a directory of their own, as an installed one does: any number of the same example run side by
//! side, each with its own pid file, and a newer program can take the place of an older one.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use super::process::{is_alive, kill};
use super::{PATIENCE, Process, TemporaryDirectory, address_in, now};

/// A built example. `cargo test` builds them all before it runs a test.
pub(crate) fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own file");
    let path = test.parent().and_then(|deps| deps.parent()).map(|target| target.join("examples").join(name));
    let path = path.expect("a test lies in the target directory");
    assert!(path.exists(), "{} is missing: run `cargo build --examples` first", path.display());
    path
}

/// An example, started on a port of its own, and its address, which is in the first line it prints.
pub(crate) fn start_example(name: &str) -> (Process, SocketAddr) {
    Program::new(name).serve()
}

/// A program in its own directory. When this is dropped, what runs of it is killed and the directory removed.
#[derive(Debug)]
pub(crate) struct Program {
    path: PathBuf,
    environment: Vec<(OsString, OsString)>,
    /// Lines of shell that come before it.
    preparation: Option<String>,
    directory: TemporaryDirectory,
}

impl Program {
    /// An example that listens on a port that the system chooses.
    pub(crate) fn new(name: &str) -> Self {
        let directory = TemporaryDirectory::new(name);
        let path = directory.0.join(name);
        link(&example(name), &path);
        let program = Self { path, environment: Vec::new(), preparation: None, directory };
        program.with("ADDRESS", "127.0.0.1:0")
    }

    /// With this in its environment.
    pub(crate) fn with(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.environment.push((name.into(), value.as_ref().into()));
        self
    }

    /// In a directory below its own.
    pub(crate) fn in_directory(mut self, name: &str) -> Self {
        let directory = self.directory.0.join(name);
        fs::create_dir_all(&directory).expect("a directory can be made");
        let path = directory.join(self.path.file_name().unwrap_or_default());
        fs::rename(&self.path, &path).expect("it can be moved");
        self.path = path;
        self
    }

    /// Started by a shell that does this before it becomes the program: `ulimit -n 64`.
    pub(crate) fn prepared_by(mut self, shell: &str) -> Self {
        self.preparation = Some(shell.to_owned());
        self
    }

    /// Itself with these words on its command line.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = match &self.preparation {
            Some(preparation) => {
                let mut shell = Command::new("sh");
                shell.arg("-c").arg(format!("{preparation}; exec \"$0\" \"$@\"")).arg(&self.path);
                shell
            }
            None => Command::new(&self.path),
        };
        command.args(words).envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.env_remove("RUST_LOG").stdin(Stdio::null());
        command
    }

    /// Runs it in the foreground; it goes with the process.
    pub(crate) fn start(self) -> Process {
        Process::of(self)
    }

    /// The same, and the address in the first line that it prints.
    pub(crate) fn serve(self) -> (Process, SocketAddr) {
        let process = self.start();
        let address = address_in(&process.line());
        (process, address)
    }

    /// Gives a command and waits until that has ended; answers its exit code and what it wrote to stdout and stderr.
    pub(crate) fn run(&self, words: &[&str]) -> (i32, String, String) {
        finish(&mut self.command(words))
    }

    /// Puts another file in its place, at once and under the same name, as an installation does.
    pub(crate) fn replace_with(&self, file: &Path) {
        let new = self.directory.0.join("new");
        link(file, &new);
        fs::rename(&new, &self.path).expect("it can be renamed");
        // To rename one link of a file to another does nothing.
        let _ = fs::remove_file(&new);
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Where it and its files lie.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory.0
    }

    pub(crate) fn pid_file(&self) -> PathBuf {
        let name = self.path.file_name().unwrap_or_default().display();
        self.path.with_file_name(format!("workerman.{name}.pid"))
    }

    /// The process in its pid file.
    pub(crate) fn pid(&self) -> Option<u32> {
        fs::read_to_string(self.pid_file()).ok()?.trim().parse().ok()
    }

    /// All processes that run it or what it was before it was replaced, whoever has started them.
    pub(crate) fn processes(&self) -> Vec<u32> {
        let entries = fs::read_dir("/proc").expect("/proc is there");
        let numbers = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let home = self.directory.0.canonicalize().expect("it is there");
        let is_ours = |process: &u32| {
            fs::read_link(format!("/proc/{process}/exe")).is_ok_and(|program| program.starts_with(&home))
        };
        numbers.filter(is_ours).collect()
    }
}

/// Starts a command and waits until it has ended; answers its exit code and what it wrote to stdout and stderr.
pub(crate) fn finish(command: &mut Command) -> (i32, String, String) {
    // Not pipes: a daemon that a command leaves behind may keep those open.
    let outputs = TemporaryDirectory::new("command");
    let [output, errors] = ["stdout", "stderr"].map(|name| outputs.0.join(name));
    let create = |path: &Path| File::create(path).expect("a file can be made");
    let mut child = command.stdout(create(&output)).stderr(create(&errors)).spawn().expect("it starts");
    let said = || [&output, &errors].map(|path| fs::read_to_string(path).expect("what it wrote is text"));
    let start = now();
    loop {
        if let Some(status) = child.try_wait().expect("it can be waited for") {
            let [output, errors] = said();
            let code = status.code().unwrap_or_else(|| panic!("{command:?}: {status}: {errors}"));
            return (code, output, errors);
        }
        if start.elapsed() > PATIENCE {
            let _ = child.kill();
            let _ = child.wait();
            panic!("{command:?} does not end: {:?}", said());
        }
        thread::sleep(Duration::from_millis(2));
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let start = now();
        let mut killed = Vec::new();
        // More than once: a master that is still there replaces its workers. And on until they are gone: a process that
        // ends runs no file any more some time before its sockets are closed and it counts as dead.
        loop {
            let running = self.processes();
            killed.retain(|process| is_alive(*process));
            if running.is_empty() && killed.is_empty() || start.elapsed() > PATIENCE {
                return;
            }
            running.iter().copied().for_each(kill);
            killed.extend(running);
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// A second name of a file; a copy where the system permits none, as between two disks.
fn link(file: &Path, name: &Path) {
    if fs::hard_link(file, name).is_err() {
        // By another process: a program that this one writes could not be run while a thread starts something else.
        let status = Command::new("cp").arg(file).arg(name).status().expect("cp runs");
        assert!(status.success(), "{} cannot be copied: {status}", file.display());
    }
}
