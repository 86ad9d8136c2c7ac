//! Many readers of an event stream on one thread, which come back when their stream has ended as it should, as an
//! `EventSource` does, and remember every other end.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Registry, Token};

use super::outside::now;

/// Who is away comes back within that.
const PERIOD: Duration = Duration::from_millis(5);
/// Who has failed tries again after that.
const BREATH: Duration = Duration::from_millis(100);

/// The readers, until they are stopped.
#[derive(Debug)]
pub(crate) struct Streams {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<StreamsReport>>,
}

/// What became of them.
#[derive(Debug, Default)]
pub(crate) struct StreamsReport {
    pub(crate) events: usize,
    /// Events whose number was not the one after that of the event before, on the same stream or the one before it.
    pub(crate) jumps: usize,
    /// Ends other than that of a whole stream, and streams that could not be opened.
    pub(crate) failures: Vec<String>,
    /// How long streams were away, each time: from the end of one to the head of the next, or to the end of the test.
    pub(crate) absences: Vec<Duration>,
}

impl StreamsReport {
    pub(crate) fn longest_absence(&self) -> Duration {
        self.absences.iter().max().copied().unwrap_or_default()
    }
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    open: AtomicUsize,
    events: AtomicUsize,
    returns: AtomicUsize,
    failures: AtomicUsize,
}

impl Streams {
    pub(crate) fn start(address: SocketAddr, path: &str, count: usize) -> Self {
        let shared = Arc::new(Shared::default());
        let mut driver = Driver {
            address,
            path: path.to_owned(),
            readers: (0..count).map(|_| Reader::default()).collect(),
            poll: Poll::new().expect("a poll"),
            shared: Arc::clone(&shared),
            report: StreamsReport::default(),
        };
        Self { shared, thread: Some(thread::spawn(move || driver.run())) }
    }

    /// How many streams are open.
    pub(crate) fn open(&self) -> usize {
        self.shared.open.load(Ordering::Relaxed)
    }

    /// How many events have come so far.
    pub(crate) fn events(&self) -> usize {
        self.shared.events.load(Ordering::Relaxed)
    }

    /// How often a stream has come back.
    pub(crate) fn returns(&self) -> usize {
        self.shared.returns.load(Ordering::Relaxed)
    }

    /// How many have failed so far.
    pub(crate) fn failures(&self) -> usize {
        self.shared.failures.load(Ordering::Relaxed)
    }

    pub(crate) fn stop(mut self) -> StreamsReport {
        self.shared.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().expect("it is stopped once");
        thread.join().expect("the readers do not panic")
    }
}

impl Drop for Streams {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
    }
}

struct Driver {
    address: SocketAddr,
    path: String,
    readers: Vec<Reader>,
    poll: Poll,
    shared: Arc<Shared>,
    report: StreamsReport,
}

impl Driver {
    fn run(&mut self) -> StreamsReport {
        let mut events = Events::with_capacity(1024);
        let mut next = now();
        while !self.shared.stop.load(Ordering::Relaxed) {
            if now() >= next {
                next = now() + PERIOD;
                self.dial();
            }
            self.poll.poll(&mut events, Some(PERIOD)).or_else(interrupted).expect("a poll");
            for event in &events {
                self.turn(event);
            }
            self.tell();
        }
        let absent = self.readers.iter().filter_map(|reader| reader.away);
        self.report.absences.extend(absent.map(|since| since.elapsed()));
        std::mem::take(&mut self.report)
    }

    /// Who has no connection gets one.
    fn dial(&mut self) {
        let time = now();
        let waits = |reader: &Reader| reader.socket.is_none() && reader.not_before.is_none_or(|moment| time >= moment);
        for (nth, reader) in self.readers.iter_mut().enumerate().filter(|(_, reader)| waits(reader)) {
            if let Err(error) = reader.dial(self.address, self.poll.registry(), Token(nth)) {
                self.report.failures.push(format!("no connection: {error}"));
                reader.leave(BREATH);
            }
        }
    }

    fn turn(&mut self, event: &Event) {
        let reader = &mut self.readers[event.token().0];
        let result = reader.turn(event, &self.path, &mut self.report);
        match result {
            Ok(Progress::More) => {}
            Ok(Progress::End) => reader.leave(Duration::ZERO),
            Err(failure) => {
                self.report.failures.push(failure);
                reader.leave(BREATH);
            }
        }
    }

    fn tell(&self) {
        let open = self.readers.iter().filter(|reader| reader.is_open()).count();
        self.shared.open.store(open, Ordering::Relaxed);
        self.shared.events.store(self.report.events, Ordering::Relaxed);
        self.shared.returns.store(self.report.absences.len(), Ordering::Relaxed);
        self.shared.failures.store(self.report.failures.len(), Ordering::Relaxed);
    }
}

fn interrupted(error: std::io::Error) -> std::io::Result<()> {
    if error.kind() == ErrorKind::Interrupted { Ok(()) } else { Err(error) }
}

enum Progress {
    More,
    /// The stream has ended as it should.
    End,
}

/// One stream after the other.
#[derive(Default)]
struct Reader {
    socket: Option<TcpStream>,
    has_asked: bool,
    framing: Framing,
    /// What has come and is not understood yet.
    bytes: Vec<u8>,
    /// What the stream says, as far as no event has ended.
    text: String,
    last_id: String,
    /// Since when it has no stream, once it had one.
    away: Option<Instant>,
    /// When it may connect again.
    not_before: Option<Instant>,
}

#[derive(Clone, Copy, Default, PartialEq)]
enum Framing {
    #[default]
    Head,
    Chunks,
    /// Up to the end of the connection.
    Plain,
}

impl Reader {
    fn is_open(&self) -> bool {
        self.framing != Framing::Head
    }

    fn dial(&mut self, address: SocketAddr, registry: &Registry, token: Token) -> std::io::Result<()> {
        let mut socket = TcpStream::connect(address)?;
        registry.register(&mut socket, token, Interest::READABLE | Interest::WRITABLE)?;
        self.socket = Some(socket);
        Ok(())
    }

    /// Its connection is gone; what it was told stays.
    fn leave(&mut self, pause: Duration) {
        let away = if self.is_open() { Some(now()) } else { self.away };
        let last_id = std::mem::take(&mut self.last_id);
        *self = Self { last_id, away, not_before: Some(now() + pause), ..Self::default() };
    }

    fn turn(&mut self, event: &Event, path: &str, report: &mut StreamsReport) -> Result<Progress, String> {
        // An event may be left of a connection that has ended.
        let Some(socket) = &mut self.socket else { return Ok(Progress::More) };
        if !self.has_asked {
            if let Some(error) = socket.take_error().unwrap_or_else(Some) {
                return Err(format!("no connection: {error}"));
            }
            if !event.is_writable() || socket.peer_addr().is_err() {
                return Ok(Progress::More);
            }
            let last = &self.last_id;
            let last = if last.is_empty() { String::new() } else { format!("Last-Event-ID: {last}\r\n") };
            let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\nAccept: text/event-stream\r\n{last}\r\n");
            // A new connection has room for it.
            socket.write_all(request.as_bytes()).map_err(|error| format!("the request is not taken: {error}"))?;
            self.has_asked = true;
        }
        let mut buffer = [0; 16 * 1024];
        loop {
            let Some(socket) = &mut self.socket else { return Ok(Progress::More) };
            match socket.read(&mut buffer) {
                Ok(0) => return self.end(),
                Ok(count) => self.bytes.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Progress::More),
                Err(error) => return Err(format!("{error} in {}", self.place())),
            }
            if let Progress::End = self.understand(report)? {
                return Ok(Progress::End);
            }
        }
    }

    fn end(&self) -> Result<Progress, String> {
        let is_whole = self.framing == Framing::Plain && self.text.trim().is_empty();
        if is_whole { Ok(Progress::End) } else { Err(format!("the connection ends in {}", self.place())) }
    }

    fn place(&self) -> &str {
        if self.is_open() { "a stream" } else { "the place of a stream" }
    }

    fn understand(&mut self, report: &mut StreamsReport) -> Result<Progress, String> {
        if self.framing == Framing::Head {
            let Some(end) = find(&self.bytes, b"\r\n\r\n") else { return Ok(Progress::More) };
            let head: Vec<u8> = self.bytes.drain(..end + 4).collect();
            self.framing = framing(&String::from_utf8_lossy(&head).to_ascii_lowercase())?;
            report.absences.extend(self.away.take().map(|since| since.elapsed()));
        }
        if self.framing == Framing::Plain {
            let bytes = std::mem::take(&mut self.bytes);
            self.hear(&bytes, report);
            return Ok(Progress::More);
        }
        while let Some(line) = find(&self.bytes, b"\r\n") {
            let size = String::from_utf8_lossy(&self.bytes[..line]);
            let size = usize::from_str_radix(&size, 16).map_err(|_| format!("{size:?} for the size of a chunk"))?;
            let (start, end) = (line + 2, line + 2 + size);
            if self.bytes.len() < end + 2 {
                break;
            }
            if size == 0 {
                return Ok(Progress::End);
            }
            let chunk: Vec<u8> = self.bytes.drain(..end + 2).skip(start).take(size).collect();
            self.hear(&chunk, report);
        }
        Ok(Progress::More)
    }

    /// Takes what is in whole events.
    fn hear(&mut self, bytes: &[u8], report: &mut StreamsReport) {
        self.text += &String::from_utf8_lossy(bytes).replace('\r', "");
        while let Some((event, rest)) = self.text.split_once("\n\n") {
            report.events += usize::from(event.lines().any(|line| line.starts_with("data:")));
            if let Some(id) = event.lines().find_map(|line| line.strip_prefix("id: ")) {
                let number = |id: &str| id.parse::<u64>().ok();
                report.jumps += usize::from(number(&self.last_id).is_some_and(|last| number(id) != Some(last + 1)));
                self.last_id = id.to_owned();
            }
            self.text = rest.to_owned();
        }
    }
}

/// How the body of an answer with this head, in small letters, ends.
fn framing(head: &str) -> Result<Framing, String> {
    if !head.starts_with("http/1.1 200 ") || !head.contains("\r\ncontent-type: text/event-stream") {
        return Err(format!("no stream but {head:?}"));
    }
    Ok(if head.contains("\r\ntransfer-encoding: chunked\r\n") { Framing::Chunks } else { Framing::Plain })
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
