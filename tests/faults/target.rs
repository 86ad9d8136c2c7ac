//! The server process under test, what the system says about it, and clients that end as they like.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, Type};

use super::outside::{PATIENCE, Process, Program, address_in, ask, connect, eventually};

pub(crate) const KIB: usize = 1024;
pub(crate) const MIB: usize = 1024 * KIB;

/// What may stay behind of a storm that should leave nothing: the allocator keeps pages that are only half in use, and
/// a storm of another timing leaves others. That is sixteen pages; two bytes of each of 50,000 connections are more.
pub(crate) const ALLOCATOR_SLACK: usize = 64 * KIB;
/// What the allocator takes from the system at a time, once it needs more than it has: a leak would take it again and again.
pub(crate) const HEAP_STEP: usize = 132 * KIB;

/// A server process, and a connection on which it is asked what it knows.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
    control: TcpStream,
}

impl Target {
    pub(crate) fn start(settings: &[(&str, &str)]) -> Self {
        let program = settings.iter().fold(program(), |program, (name, value)| program.with(name, value));
        Self::new(program.start())
    }

    /// One that may have so many descriptors.
    pub(crate) fn start_with_descriptors(limit: usize) -> Self {
        Self::new(program().prepared_by(&format!("ulimit -n {limit}")).start())
    }

    fn new(process: Process) -> Self {
        let address = address_in(&process.line());
        let mut control = connect(address);
        // So that the code for this is in memory before anything is measured.
        ask(&mut control, "/counters", "end\n");
        Self { process, address, control }
    }

    /// Whether it serves.
    pub(crate) fn serves(&mut self) {
        ask(&mut connect(self.address), "/", "ok\n");
        ask(&mut self.control, "/", "ok\n");
    }

    /// What it counts under this name.
    pub(crate) fn count(&mut self, name: &str) -> usize {
        let text = ask(&mut self.control, "/counters", "end\n");
        value(text.rsplit("\r\n").next().unwrap_or_default(), name)
    }

    /// What it knows of its connection to this client; `None` when there is none.
    pub(crate) fn connection(&mut self, client: &TcpStream) -> Option<String> {
        let port = client.local_addr().expect("a connection has an address").port();
        let text = ask(&mut self.control, "/connections", "end\n");
        let line = text.lines().find(|line| line.starts_with(&format!("port={port} ")));
        line.map(str::to_owned)
    }

    pub(crate) fn ask(&mut self, path: &str, end: &str) -> String {
        ask(&mut self.control, path, end)
    }

    /// Waits until all connections but the one that asks are gone.
    pub(crate) fn wait_until_alone(&mut self) {
        eventually("all connections are closed", || self.count("connects") - self.count("closes") == 1);
    }

    /// Its resident memory in bytes and its descriptors, when no connection is left but the one for questions.
    pub(crate) fn at_rest(&mut self) -> (usize, usize) {
        self.wait_until_alone();
        (self.memory(), self.process.descriptors())
    }

    /// Its resident memory, in bytes. Not from `status`, where the system rounds by many pages.
    pub(crate) fn memory(&self) -> usize {
        self.number("smaps_rollup", "Rss:") * KIB
    }

    /// The most memory it ever had, in bytes. The system counts that in steps of some 32 pages for each processor.
    pub(crate) fn peak(&self) -> usize {
        self.number("status", "VmHWM:") * KIB
    }

    /// The processor time it has used, all threads together.
    pub(crate) fn cpu(&self) -> Duration {
        let threads = fs::read_dir(self.file("task")).expect("the process is there");
        let times = threads.flatten().map(|thread| {
            let text = fs::read_to_string(thread.path().join("schedstat")).unwrap_or_default();
            text.split(' ').next().and_then(|time| time.parse().ok()).unwrap_or(0)
        });
        Duration::from_nanos(times.sum())
    }

    /// How often it went to sleep, which is how often it woke.
    pub(crate) fn sleeps(&self) -> usize {
        self.number("status", "voluntary_ctxt_switches:")
    }

    /// A number in one of its files in `/proc`.
    fn number(&self, file: &str, name: &str) -> usize {
        let text = fs::read_to_string(self.file(file)).expect("the process is there");
        let rest = text.lines().find_map(|line| line.strip_prefix(name)).expect("the line is there");
        rest.trim().trim_end_matches(" kB").parse().expect("a number")
    }

    fn file(&self, name: &str) -> String {
        format!("/proc/{}/{name}", self.process.id())
    }
}

fn program() -> Program {
    // Else glibc puts large blocks onto the heap once it has freed one, and a single small block above keeps them there.
    Program::new("endurance").with("GLIBC_TUNABLES", "glibc.malloc.mmap_threshold=131072")
}

/// The number after `name=` in a line of such.
pub(crate) fn value(line: &str, name: &str) -> usize {
    let word = line.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
    word.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("no {name} in {line:?}"))
}

/// A client with an address of its own in 127.0.0.0/8, so that no number of them uses up the ports, and with a receive
/// buffer of its own if it is not to take much.
pub(crate) fn dial(address: SocketAddr, host: u8, receive_buffer: Option<usize>) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    if let Some(bytes) = receive_buffer {
        socket.set_recv_buffer_size(bytes).expect("the size can be set");
    }
    let own = SocketAddrV4::new(Ipv4Addr::new(127, 0, 0, host), 0);
    socket.bind(&own.into()).expect("a port is free");
    socket.connect_timeout(&address.into(), PATIENCE).expect("the server accepts");
    socket.set_tcp_nodelay(true).expect("nodelay can be set");
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
    socket.set_write_timeout(Some(PATIENCE)).expect("a timeout can be set");
    socket.into()
}

/// Closes with a reset.
pub(crate) fn reset(stream: TcpStream) {
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("linger can be set");
}
