//! The load for what echoes or passes on: connections in a closed loop, each with one message in flight, bounded in number
//! and in time. Prints one line of JSON.
//!
//! ```text
//! echo ws   PORT       PID CONNECTIONS SECONDS BYTES     binary WebSocket messages to /ws and back
//! echo raw  PORT       PID CONNECTIONS SECONDS BYTES     bytes and back
//! echo pass PORT,PORT  PID 1           SECONDS BYTES     bytes into one port and out of the other
//! echo hear PORT       PID CONNECTIONS SECONDS BYTES     text messages that the server sends to the WebSockets of /hear
//! ```
//!
//! What the server takes is read from `/proc/PID` at both ends of the time that counts, which begins after half a second;
//! its memory before the first connection and when all stand.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const WARM_UP: Duration = Duration::from_millis(500);
const PATIENCE: Duration = Duration::from_secs(5);
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [mode, ports, pid, connections, seconds, bytes] = arguments.as_slice() else { return Err("usage".into()) };
    let ports = ports.split(',').map(str::parse).collect::<std::result::Result<Vec<u16>, _>>()?;
    let payload: Vec<u8> = (0..bytes.parse::<usize>()?).map(|at| (at % 251) as u8).collect();
    let (message, expected) = match mode.as_str() {
        "ws" => (client_frame(&payload), server_frame(0x82, &payload)),
        "hear" => (Vec::new(), server_frame(0x81, &vec![b'x'; payload.len()])),
        _ => (payload.clone(), payload),
    };
    let (count, memory) = (connections.parse()?, resident(pid)?);
    let mut load = Load::new(mode, &ports, count, message, expected)?;
    let memory = (resident(pid)?.saturating_sub(memory)) * 1024 / count as u64;
    load.run(Instant::now() + WARM_UP)?;
    let (answers, began, before) = (load.answers, Instant::now(), nanoseconds(pid)?);
    load.run(began + Duration::from_secs_f64(seconds.parse()?))?;
    let (took, cpu) = (began.elapsed().as_secs_f64(), (nanoseconds(pid)? - before) as f64);
    let answers = (load.answers - answers) as f64;
    let mib = answers * bytes.parse::<f64>()? / f64::from(1 << 20);
    println!(
        "{{\"answers\":{answers},\"memory\":{memory},\"cpu_us\":{:.3},\"cpu_us_mib\":{:.3},\"mib_s\":{:.1},\"busy\":{:.3}}}",
        cpu / 1e3 / answers,
        cpu / 1e3 / mib,
        mib / took,
        cpu / 1e9 / took,
    );
    Ok(())
}

fn head(opcode: u8, masked: u8, length: usize) -> Vec<u8> {
    match length {
        0..126 => vec![opcode, masked | length as u8],
        126..0x1_0000 => [&[opcode, masked | 126][..], &(length as u16).to_be_bytes()].concat(),
        _ => [&[opcode, masked | 127][..], &(length as u64).to_be_bytes()].concat(),
    }
}

fn client_frame(payload: &[u8]) -> Vec<u8> {
    let masked = payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask);
    head(0x82, 0x80, payload.len()).into_iter().chain(MASK).chain(masked).collect()
}

fn server_frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    [head(opcode, 0, payload.len()), payload.to_vec()].concat()
}

struct Load {
    poll: Poll,
    connections: Vec<Connection>,
    message: Vec<u8>,
    expected: Vec<u8>,
    buffer: Vec<u8>,
    answers: u64,
}

struct Connection {
    into: TcpStream,
    /// Where the message comes out, unless it comes back.
    out: Option<TcpStream>,
    sent: usize,
    received: usize,
}

impl Load {
    fn new(mode: &str, ports: &[u16], count: usize, message: Vec<u8>, expected: Vec<u8>) -> Result<Self> {
        let poll = Poll::new()?;
        let both = Interest::READABLE | Interest::WRITABLE;
        let mut connections = Vec::new();
        for at in 0..count {
            let path = match mode {
                "ws" => Some("/ws"),
                "hear" => Some("/hear"),
                _ => None,
            };
            let mut into = connect(ports[0], path)?;
            poll.registry().register(&mut into, Token(at), both)?;
            let mut out = ports.get(1).map(|port| connect(*port, None)).transpose()?;
            if let Some(out) = &mut out {
                poll.registry().register(out, Token(at), both)?;
            }
            connections.push(Connection { into, out, sent: 0, received: 0 });
        }
        Ok(Self { poll, connections, message, expected, buffer: vec![0; 256 * 1024], answers: 0 })
    }

    fn run(&mut self, end: Instant) -> Result<()> {
        let mut events = Events::with_capacity(1024);
        for at in 0..self.connections.len() {
            self.turn(at)?;
        }
        while Instant::now() < end {
            self.poll.poll(&mut events, Some(PATIENCE))?;
            if events.is_empty() {
                return Err("the server has stalled".into());
            }
            for event in &events {
                self.turn(event.token().0)?;
            }
        }
        Ok(())
    }

    /// Writes and reads as much as there is room for and as has come.
    fn turn(&mut self, at: usize) -> Result<()> {
        let Self { connections, message, expected, buffer, answers, .. } = self;
        let connection = &mut connections[at];
        loop {
            while connection.sent < message.len() {
                match connection.into.write(&message[connection.sent..]) {
                    Ok(count) => connection.sent += count,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error.into()),
                }
            }
            let count = match connection.out.as_mut().unwrap_or(&mut connection.into).read(buffer) {
                Ok(0) => return Err("the server has closed the connection".into()),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            if message.is_empty() {
                connection.received += count;
                *answers += (connection.received / expected.len()) as u64;
                connection.received %= expected.len();
                continue;
            }
            // The ends of what came: looking at all of it would make the load the slower side.
            let came =
                expected.get(connection.received..connection.received + count).ok_or("more came than was sent")?;
            if came[0] != buffer[0] || came[count - 1] != buffer[count - 1] {
                return Err("something else came than was sent".into());
            }
            connection.received += count;
            if connection.received == expected.len() {
                *answers += 1;
                (connection.sent, connection.received) = (0, 0);
            }
        }
    }
}

fn connect(port: u16, websocket: Option<&str>) -> Result<TcpStream> {
    let end = Instant::now() + PATIENCE;
    let mut stream = loop {
        match std::net::TcpStream::connect(("127.0.0.1", port)) {
            Ok(stream) => break stream,
            // `socat` listens at its second port when somebody has come to the first.
            Err(error) if Instant::now() > end => return Err(error.into()),
            Err(_) => std::thread::sleep(Duration::from_millis(10)),
        }
    };
    stream.set_nodelay(true)?;
    if let Some(path) = websocket {
        let key = "dGhlIHNhbXBsZSBub25jZQ==";
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )?;
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte)?;
            answer.extend(byte);
        }
        if !answer.starts_with(b"HTTP/1.1 101 ") {
            return Err(format!("not answered with 101: {}", answer.escape_ascii()).into());
        }
    }
    stream.set_nonblocking(true)?;
    Ok(TcpStream::from_std(stream))
}

/// Memory in KiB.
fn resident(pid: &str) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.split_whitespace().next().ok_or("no VmRSS")?.parse()?)
}

/// On the processor, all threads together.
fn nanoseconds(pid: &str) -> Result<u64> {
    let mut sum = 0;
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        let text = fs::read_to_string(thread?.path().join("schedstat"))?;
        sum += text.split_whitespace().next().ok_or("no schedstat")?.parse::<u64>()?;
    }
    Ok(sum)
}
