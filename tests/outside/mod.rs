//! Real processes, threads and sockets, each with a deadline and an end: for the tests that look from outside.

#![allow(dead_code)] // each test program uses its part
#![allow(clippy::indexing_slicing)] // a failing index fails the test

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use workerman::{Http, LoopHandle, PanicPolicy, Worker};

/// Nothing that a test waits for takes longer, however busy the machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The tests' own clock; the crate's comes from its loop.
#[allow(clippy::disallowed_methods)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Waits until something is so; panics when it does not become so in time.
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let start = now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "not in {PATIENCE:?}: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// What comes through a channel, in time.
pub(crate) fn receive<T>(what: &str, receiver: &Receiver<T>) -> T {
    receiver.recv_timeout(PATIENCE).unwrap_or_else(|error| panic!("not received: {what}: {error}"))
}

/// An HTTP server on a thread of its own and a port of its own, until it is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) handle: LoopHandle,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Sets the worker up on the server's thread, all but its `on_worker_start`, and comes back when it listens. A
    /// panic in a callback ends the loop.
    pub(crate) fn start(set_up: impl FnOnce(Worker<Http>) + Send + 'static) -> Self {
        let (sender, receiver) = mpsc::channel();
        let thread = thread::spawn(move || {
            Worker::set_panic_policy(PanicPolicy::Propagate);
            let worker = Worker::<Http>::new("http://127.0.0.1:0");
            set_up(worker);
            let first = sender;
            worker.on_worker_start(move |worker| {
                let _ = first.send((worker.local_addr(), LoopHandle::current()));
            });
            Worker::run_all().expect("the loop ends without an error");
        });
        let (address, handle) = receive("the server's address", &receiver);
        Self { address: address.expect("a worker that runs has an address"), handle, thread: Some(thread) }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn connect(&self) -> TcpStream {
        connect(self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        let _ = self.handle.run(Worker::stop_all);
        let start = now();
        while !thread.is_finished() && start.elapsed() < PATIENCE {
            thread::sleep(Duration::from_millis(2));
        }
        let result = if thread.is_finished() { thread.join().map_err(|_| "panicked") } else { Err("goes on") };
        if let Err(how) = result
            && !thread::panicking()
        {
            panic!("the server's thread {how}");
        }
    }
}

/// A connection whose reads and writes end in time.
pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect_timeout(&address, PATIENCE).expect("the server accepts");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
    stream.set_write_timeout(Some(PATIENCE)).expect("a timeout can be set");
    stream.set_nodelay(true).expect("nodelay can be set");
    stream
}

/// Everything until the peer's FIN. A reset, or none in time, is a failure.
pub(crate) fn read_to_end(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    if let Err(error) = stream.read_to_end(&mut bytes) {
        panic!("no proper end but \"{error}\", after {:?}", String::from_utf8_lossy(&bytes));
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Reads until the text has come.
pub(crate) fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    while !String::from_utf8_lossy(&bytes).contains(end) {
        match stream.read(&mut buffer) {
            Ok(count) if count > 0 => bytes.extend_from_slice(&buffer[..count]),
            other => panic!("{other:?} instead of {end:?}, after {:?}", String::from_utf8_lossy(&bytes)),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A request on a connection that is kept, and its answer, whose body ends in this text.
pub(crate) fn ask(stream: &mut TcpStream, path: &str, end: &str) -> String {
    write!(stream, "GET {path} HTTP/1.1\r\nHost: test\r\n\r\n").expect("the request is sent");
    read_until(stream, end)
}

/// Ends a connection for good.
pub(crate) fn hang_up(stream: &TcpStream) {
    let _ = stream.shutdown(Shutdown::Both);
}

/// A process that is killed when this is dropped, with what it prints.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    output: Receiver<String>,
    errors: Option<JoinHandle<String>>,
}

impl Process {
    pub(crate) fn start(command: &mut Command) -> Self {
        command.env_remove("RUST_LOG").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let (sender, output) = mpsc::channel();
        let stdout = child.stdout.take().expect("stdout is piped");
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let mut stderr = child.stderr.take().expect("stderr is piped");
        let errors = thread::spawn(move || {
            let mut bytes = Vec::new();
            let _ = stderr.read_to_end(&mut bytes);
            String::from_utf8_lossy(&bytes).into_owned()
        });
        Self { child, output, errors: Some(errors) }
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
        let kill = format!("kill -{name} {}", self.id());
        let status = Command::new("sh").arg("-c").arg(&kill).status().expect("sh runs");
        assert!(status.success(), "{kill}: {status}");
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
        while family.iter().any(|process| exists(*process)) && start.elapsed() < Duration::from_secs(5) {
            thread::sleep(Duration::from_millis(10));
        }
        for process in family.into_iter().filter(|process| exists(*process)) {
            let _ = Command::new("sh").arg("-c").arg(format!("kill -KILL {process}")).status();
        }
    }
}

fn exists(process: u32) -> bool {
    // A process that has ended and was not waited for is no more.
    std::fs::read_to_string(format!("/proc/{process}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

/// The processes that a process has started, and those that these have.
fn descendants(ancestor: u32) -> Vec<u32> {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{ancestor}/task")) else { return Vec::new() };
    let children = tasks.flatten().filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    let children: Vec<u32> = children.flat_map(|list| numbers(&list)).collect();
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
    start_example_in(name, &std::env::temp_dir())
}

/// An example that has its temporary files in this directory.
pub(crate) fn start_example_in(name: &str, temporary: &Path) -> (Process, SocketAddr) {
    let process = Process::start(Command::new(example(name)).arg("127.0.0.1:0").env("TMPDIR", temporary));
    let address = address_in(&process.line());
    (process, address)
}

/// A browser without a window that opens a page, with more options if the test needs them. What it keeps goes to the
/// profile, a directory.
pub(crate) fn start_browser(profile: &Path, options: &[&str], url: &str) -> Process {
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let installed = |name: &&str| {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).any(|directory| directory.join(name).is_file())
    };
    let browser = names.into_iter().find(installed).unwrap_or_else(|| {
        panic!("this test needs a browser and there is none ({}): ./tests/run installs chromium", names.join(", "))
    });
    Process::start(
        Command::new(browser)
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-dev-shm-usage"])
            .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
            .args(["--disable-breakpad", "--disable-crash-reporter", "--no-default-browser-check"])
            // Reaches nothing but this machine, whatever proxy the environment names.
            .args(["--no-proxy-server", "--remote-debugging-port=0"])
            .arg(format!("--user-data-dir={}", profile.display()))
            .envs([("HOME", profile), ("XDG_CONFIG_HOME", profile), ("XDG_CACHE_HOME", profile)])
            .args(options)
            .arg(url),
    )
}

/// The socket address in a line of text.
pub(crate) fn address_in(line: &str) -> SocketAddr {
    let start = line.find("127.0.0.1:").unwrap_or_else(|| panic!("no address in {line:?}"));
    let text = line[start..].trim_end_matches(|c: char| !c.is_ascii_digit());
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.' && c != ':').unwrap_or(text.len());
    text[..end].parse().unwrap_or_else(|error| panic!("{line:?}: {error}"))
}

/// A headless browser that shows a page until it is dropped, with a profile of its own.
#[derive(Debug)]
pub(crate) struct Browser {
    _process: Process,
    _profile: TemporaryDirectory,
}

impl Browser {
    pub(crate) fn open(url: &str) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let profile = TemporaryDirectory::new(&format!("browser-{}", COUNT.fetch_add(1, Ordering::Relaxed)));
        let process = start_browser(&profile.0, &[], url);
        Self { _process: process, _profile: profile }
    }
}

/// A directory of its own that is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct TemporaryDirectory(pub(crate) PathBuf);

impl TemporaryDirectory {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("workerman-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a temporary directory can be made");
        Self(path)
    }
}

impl Drop for TemporaryDirectory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
