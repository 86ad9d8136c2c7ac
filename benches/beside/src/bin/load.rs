//! The load: keep-alive clients in a closed loop, bounded in number and in time. Prints one line of JSON.
//!
//! ```text
//! load fetch  PORT PID CLIENTS SECONDS PATH...
//! load upload PORT PID CLIENTS SECONDS PATH BYTES length|chunked
//! load count  PORT PID CLIENTS ROUNDS  PATH...      exactly so many answers each, for callgrind and strace
//! ```
//!
//! What the server takes is read from `/proc/PID` at both ends of the time that counts, which begins after half a second.

use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use memchr::memmem;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const WARM_UP: Duration = Duration::from_millis(500);
const PATIENCE: Duration = Duration::from_secs(5);
/// Clients with curl's habits send chunks of about this size.
const CHUNK: usize = 64 * 1024;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [mode, port, pid, clients, amount, rest @ ..] = arguments.as_slice() else { return Err("usage".into()) };
    let requests = match (mode.as_str(), rest) {
        ("fetch" | "count", paths) if !paths.is_empty() => paths.iter().map(|path| fetch(path)).collect(),
        ("upload", [path, bytes, framing]) => vec![upload(path, bytes.parse()?, framing == "chunked")],
        _ => return Err("usage".into()),
    };
    let amount: f64 = amount.parse()?;
    let mut load = Load::new(port.parse()?, clients.parse()?, requests)?;
    if mode == "count" {
        load.run(Until::Answers(amount as u64 * load.clients.len() as u64))?;
        return Ok(());
    }
    load.run(Until::Time(Instant::now() + WARM_UP))?;
    let (answers, bytes) = (load.answers, load.bytes);
    let (began, before) = (Instant::now(), Process::read(pid)?);
    load.run(Until::Time(began + Duration::from_secs_f64(amount)))?;
    let (seconds, after) = (began.elapsed().as_secs_f64(), Process::read(pid)?);
    let (answers, bytes) = (load.answers - answers, load.bytes - bytes);
    if answers == 0 {
        return Err("no answer in the time that counts: more seconds are needed".into());
    }
    let nanoseconds = after.nanoseconds - before.nanoseconds;
    println!(
        "{{\"answers\":{answers},\"cpu_us\":{:.3},\"cpu_us_mib\":{:.3},\"mib_s\":{:.1},\"busy\":{:.3},\"rss_kb\":{},\"peak_kb\":{}}}",
        nanoseconds as f64 / 1e3 / answers as f64,
        nanoseconds as f64 / 1e3 / (bytes as f64 / f64::from(1 << 20)),
        bytes as f64 / f64::from(1 << 20) / seconds,
        nanoseconds as f64 / 1e9 / seconds,
        after.rss,
        after.peak,
    );
    Ok(())
}

fn fetch(path: &str) -> Request {
    Request { bytes: format!("GET {path} HTTP/1.1\r\nHost: a\r\nAccept-Encoding: identity\r\n\r\n").into(), body: None }
}

fn upload(path: &str, length: usize, chunked: bool) -> Request {
    let framing = if chunked { "Transfer-Encoding: chunked".to_owned() } else { format!("Content-Length: {length}") };
    let mut bytes = format!("POST {path} HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n").into_bytes();
    let body: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
    if chunked {
        for chunk in body.chunks(CHUNK) {
            bytes.extend(format!("{:x}\r\n", chunk.len()).bytes());
            bytes.extend(chunk);
            bytes.extend(b"\r\n");
        }
        bytes.extend(b"0\r\n\r\n");
    } else {
        bytes.extend(body);
    }
    Request { bytes, body: Some(length) }
}

struct Request {
    bytes: Vec<u8>,
    /// The length of an uploaded body, which is the answer.
    body: Option<usize>,
}

#[derive(Clone, Copy)]
enum Until {
    Time(Instant),
    Answers(u64),
}

struct Load {
    poll: Poll,
    clients: Vec<Client>,
    requests: Vec<Request>,
    buffer: Vec<u8>,
    answers: u64,
    /// Of bodies, those of requests or those of answers.
    bytes: u64,
}

struct Client {
    stream: TcpStream,
    /// Which request, and how much of it has left.
    request: usize,
    sent: usize,
    /// The beginning of an answer, up to the end of its head.
    head: Vec<u8>,
    /// What is still to come of its body.
    rest: Option<usize>,
    /// The body of an answer to an upload.
    answer: Vec<u8>,
}

impl Load {
    fn new(port: u16, clients: usize, requests: Vec<Request>) -> Result<Self> {
        let poll = Poll::new()?;
        let connect = |at: usize| -> Result<Client> {
            let stream = std::net::TcpStream::connect(("127.0.0.1", port))?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            let mut stream = TcpStream::from_std(stream);
            poll.registry().register(&mut stream, Token(at), Interest::READABLE | Interest::WRITABLE)?;
            let request = at % requests.len();
            Ok(Client { stream, request, sent: 0, head: Vec::new(), rest: None, answer: Vec::new() })
        };
        let clients = (0..clients).map(connect).collect::<Result<_>>()?;
        Ok(Self { poll, clients, requests, buffer: vec![0; 256 * 1024], answers: 0, bytes: 0 })
    }

    fn run(&mut self, until: Until) -> Result<()> {
        let mut events = Events::with_capacity(1024);
        loop {
            self.poll.poll(&mut events, Some(PATIENCE))?;
            if events.is_empty() {
                return Err("the server has stalled".into());
            }
            for event in &events {
                self.turn(event.token().0)?;
            }
            let over = match until {
                Until::Time(end) => Instant::now() >= end,
                Until::Answers(count) => self.answers >= count,
            };
            if over {
                return Ok(());
            }
        }
    }

    /// Writes and reads as much as there is room for and as has come.
    fn turn(&mut self, at: usize) -> Result<()> {
        let Self { clients, requests, buffer, answers, bytes, .. } = self;
        let client = &mut clients[at];
        loop {
            client.send(&requests[client.request])?;
            let count = match client.stream.read(buffer) {
                Ok(0) => return Err("the server has closed the connection".into()),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            if let Some(length) = client.receive(&buffer[..count])? {
                let request = &requests[client.request];
                if request.body.is_some_and(|body| client.answer != body.to_string().as_bytes()) {
                    return Err(format!("answered {}", client.answer.escape_ascii()).into());
                }
                *answers += 1;
                *bytes += request.body.unwrap_or(length) as u64;
                client.answer.clear();
                client.request = (client.request + 1) % requests.len();
                client.sent = 0;
            }
        }
    }
}

impl Client {
    fn send(&mut self, request: &Request) -> io::Result<()> {
        while self.sent < request.bytes.len() {
            match self.stream.write(&request.bytes[self.sent..]) {
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Takes what has come; the length of the body when it is complete.
    fn receive(&mut self, bytes: &[u8]) -> Result<Option<usize>> {
        let mut body = bytes;
        if self.rest.is_none() {
            let known = self.head.len();
            self.head.extend_from_slice(&bytes[..bytes.len().min(4096)]);
            let Some(end) = memmem::find(&self.head, b"\r\n\r\n") else { return Ok(None) };
            self.head.truncate(end);
            body = &bytes[end + 4 - known..];
            self.rest = Some(self.content_length()?);
        }
        let rest = self.rest.unwrap_or_default();
        if body.len() > rest {
            return Err("more came than was asked for".into());
        }
        self.answer.extend_from_slice(&body[..body.len().min(20)]);
        self.rest = Some(rest - body.len());
        if self.rest != Some(0) {
            return Ok(None);
        }
        let length = self.content_length()?;
        self.answer.truncate(length);
        self.head.clear();
        self.rest = None;
        Ok(Some(length))
    }

    fn content_length(&self) -> Result<usize> {
        let head = std::str::from_utf8(&self.head)?;
        if !head.starts_with("HTTP/1.1 200 ") {
            return Err(format!("not answered with 200: {head}").into());
        }
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
        });
        length.ok_or_else(|| format!("no length: {head}").into())
    }
}

/// What a process has taken so far.
struct Process {
    /// On the processor, all threads together.
    nanoseconds: u64,
    /// Resident memory in KiB, now and at most.
    rss: u64,
    peak: u64,
}

impl Process {
    fn read(pid: &str) -> Result<Self> {
        let mut nanoseconds = 0;
        for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
            let text = fs::read_to_string(thread?.path().join("schedstat"))?;
            nanoseconds += text.split_whitespace().next().ok_or("no schedstat")?.parse::<u64>()?;
        }
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let kib = |name: &str| -> Option<u64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse().ok()
        };
        let (rss, peak) = (kib("VmRSS:").ok_or("no VmRSS")?, kib("VmHWM:").ok_or("no VmHWM")?);
        Ok(Self { nanoseconds, rss, peak })
    }
}
