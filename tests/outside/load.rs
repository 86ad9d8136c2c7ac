//! Clients that make requests without a pause and forgive nothing: by them the process tests judge a server under load.
//!
//! Each answer must come, whole and with status 200. A connection may end after an answer that says `Connection: close`,
//! by a proper end, and nowhere else.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::outside::{now, try_connect};

const KEEP: &str = "GET / HTTP/1.1\r\nHost: test\r\n\r\n";
const CLOSE: &str = "GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n";
/// Those who open new connections take turns: one that has to wait does not keep the others.
const OPENERS: u32 = 8;
/// Who was turned away asks again after that.
const BREATH: Duration = Duration::from_millis(5);

/// What carries a client's bytes.
pub(crate) trait Stream: Read + Write {}

impl<S: Read + Write> Stream for S {}

/// How a client comes to a connection.
type Dial = dyn Fn() -> io::Result<Box<dyn Stream>> + Send + Sync;

/// Clients that ask for `/`, some on connections that are kept and some on new ones, until they are stopped.
#[derive(Debug)]
pub(crate) struct Load {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<Report>>,
}

/// What became of them.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// Requests that were answered as they should be.
    pub(crate) requests: usize,
    /// What became of the others.
    pub(crate) failures: Vec<String>,
    /// How often a connection ended because the server had said so.
    pub(crate) closes: usize,
    /// The longest time that a request took, with the connection if it needed one.
    pub(crate) longest_pause: Duration,
    /// The bodies that came, and how often each.
    pub(crate) bodies: BTreeMap<String, usize>,
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    requests: AtomicUsize,
    failures: AtomicUsize,
}

impl Load {
    /// So many connections with one request after the other, and so many new ones each second with one request each.
    pub(crate) fn start(address: SocketAddr, connections: usize, new_per_second: u32) -> Self {
        Self::start_by(move || Ok(Box::new(try_connect(address)?)), connections, new_per_second)
    }

    /// The same with connections of another kind.
    pub(crate) fn start_by(
        dial: impl Fn() -> io::Result<Box<dyn Stream>> + Send + Sync + 'static,
        connections: usize,
        new_per_second: u32,
    ) -> Self {
        let shared = Arc::new(Shared::default());
        let dial: Arc<Dial> = Arc::new(dial);
        // Each in its own thread: what a connection is made of may stay where it is.
        let run = |go: Box<dyn FnOnce(Client) -> Report + Send>| {
            let (dial, shared) = (Arc::clone(&dial), Arc::clone(&shared));
            thread::spawn(move || go(Client { dial, shared, kept: None, report: Report::default() }))
        };
        let keepers = (0..connections).map(|_| run(Box::new(Client::keep_on)));
        let openers = OPENERS.min(new_per_second);
        let newcomers = (0..openers).map(|nth| {
            let period = Duration::from_secs(1) / new_per_second;
            run(Box::new(move |client| client.come_anew(period * nth, period * openers)))
        });
        let threads = keepers.chain(newcomers).collect();
        Self { shared, threads }
    }

    /// How many requests have been answered so far.
    pub(crate) fn requests(&self) -> usize {
        self.shared.requests.load(Ordering::Relaxed)
    }

    /// How many have failed so far.
    #[allow(dead_code)] // each test program uses its part
    pub(crate) fn failures(&self) -> usize {
        self.shared.failures.load(Ordering::Relaxed)
    }

    /// Lets each client finish what it has begun.
    pub(crate) fn stop(mut self) -> Report {
        self.shared.stop.store(true, Ordering::Relaxed);
        let reports = self.threads.drain(..).map(|thread| thread.join().expect("a client does not panic"));
        reports.fold(Report::default(), Report::and)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
    }
}

impl Report {
    fn and(mut self, other: Self) -> Self {
        self.requests += other.requests;
        self.failures.extend(other.failures);
        self.closes += other.closes;
        self.longest_pause = self.longest_pause.max(other.longest_pause);
        for (body, count) in other.bodies {
            *self.bodies.entry(body).or_default() += count;
        }
        self
    }
}

struct Client {
    dial: Arc<Dial>,
    shared: Arc<Shared>,
    kept: Option<Box<dyn Stream>>,
    report: Report,
}

impl Client {
    fn keep_on(mut self) -> Report {
        while !self.is_stopped() {
            self.request(KEEP);
        }
        self.report
    }

    fn come_anew(mut self, delay: Duration, period: Duration) -> Report {
        let mut next = now() + delay;
        while !self.is_stopped() {
            thread::sleep(next.saturating_duration_since(now()));
            next += period;
            self.request(CLOSE);
        }
        self.report
    }

    fn is_stopped(&self) -> bool {
        self.shared.stop.load(Ordering::Relaxed)
    }

    fn request(&mut self, request: &str) {
        let start = now();
        match self.exchange(request) {
            Ok(body) => {
                self.report.requests += 1;
                *self.report.bodies.entry(body).or_default() += 1;
                self.shared.requests.fetch_add(1, Ordering::Relaxed);
            }
            Err(failure) => {
                self.report.failures.push(failure);
                self.shared.failures.fetch_add(1, Ordering::Relaxed);
                thread::sleep(BREATH);
            }
        }
        self.report.longest_pause = self.report.longest_pause.max(start.elapsed());
    }

    fn exchange(&mut self, request: &str) -> Result<String, String> {
        let mut stream = match self.kept.take() {
            Some(stream) => stream,
            None => (self.dial)().map_err(|error| format!("no connection: {error}"))?,
        };
        stream.write_all(request.as_bytes()).map_err(|error| format!("the request is not taken: {error}"))?;
        let answer = Answer::read(&mut stream)?;
        if answer.closes {
            self.report.closes += 1;
            match stream.read(&mut [0]) {
                Ok(0) => {}
                other => return Err(format!("after Connection: close no end but {other:?}")),
            }
        } else {
            self.kept = Some(stream);
        }
        Ok(answer.body)
    }
}

struct Answer {
    body: String,
    /// It says that no other follows.
    closes: bool,
}

impl Answer {
    fn read(stream: &mut impl Read) -> Result<Self, String> {
        let mut bytes = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            if let Some(answer) = Self::parse(&String::from_utf8_lossy(&bytes))? {
                return Ok(answer);
            }
            let so_far = bytes.len();
            match stream.read(&mut buffer) {
                Ok(0) => return Err(format!("the end after {so_far} bytes of an answer")),
                Ok(count) => bytes.extend_from_slice(&buffer[..count]),
                Err(error) => return Err(format!("{error} after {so_far} bytes of an answer")),
            }
        }
    }

    /// `None` while something is missing.
    fn parse(text: &str) -> Result<Option<Self>, String> {
        let Some((head, body)) = text.split_once("\r\n\r\n") else { return Ok(None) };
        let head = head.to_ascii_lowercase();
        if !head.starts_with("http/1.1 200 ") {
            return Err(format!("not 200: {text:?}"));
        }
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        let length: usize = length.ok_or_else(|| format!("no length: {text:?}"))?;
        if body.len() > length {
            return Err(format!("more than an answer: {text:?}"));
        }
        let closes = head.lines().any(|line| line == "connection: close");
        Ok((body.len() == length).then(|| Self { body: body.to_owned(), closes }))
    }
}
