//! Real processes, threads and sockets, each with a deadline and an end: for the tests that look from outside.

#![allow(dead_code, unused_imports)] // each test program uses its part
#![allow(clippy::indexing_slicing)] // a failing index fails the test

mod browser;
mod peer;
mod process;
mod program;
mod service;
mod told;

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use workerman::{Http, LoopHandle, PanicPolicy, Worker};

pub(crate) use browser::{Browser, start_browser};
pub(crate) use peer::{Peer, installed, is_listening};
pub(crate) use process::{Process, children_of, descriptors, is_alive, raise_descriptors, signal};
pub(crate) use program::{Program, example, finish, start_example};
pub(crate) use service::{Unit, ask_and_lose, pid_at, reload};
pub(crate) use told::Told;

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
    try_connect(address).expect("the server accepts")
}

/// The same for whoever is prepared for a server that does not accept.
pub(crate) fn try_connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// An address that was free a moment ago, for a server that cannot tell which one it has taken.
pub(crate) fn free_address() -> SocketAddr {
    let address = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    address.expect("a port is free")
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

/// The socket address in a line of text.
pub(crate) fn address_in(line: &str) -> SocketAddr {
    let start = line.find("127.0.0.1:").unwrap_or_else(|| panic!("no address in {line:?}"));
    let text = line[start..].trim_end_matches(|c: char| !c.is_ascii_digit());
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.' && c != ':').unwrap_or(text.len());
    text[..end].parse().unwrap_or_else(|error| panic!("{line:?}: {error}"))
}

/// A directory of its own that is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct TemporaryDirectory(pub(crate) PathBuf);

impl TemporaryDirectory {
    pub(crate) fn new(name: &str) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let nth = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("workerman-{name}-{}-{nth}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a temporary directory can be made");
        Self(path)
    }
}

impl Drop for TemporaryDirectory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
