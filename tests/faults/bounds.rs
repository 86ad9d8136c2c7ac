//! What a peer can make endless, and where it is cut off: measured by the memory of the process while a client pushes
//! without stop, and by what the server has taken from one that waits after each piece.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use super::outside::{connect, eventually};
use super::target::{KIB, MIB, Target, dial, value};

/// What a client pushes when nobody stops it.
const PUSHED: usize = 32 * MIB;
/// What the server reads at a time.
const ONE_READ: usize = 64 * KIB;
/// The largest head.
const HEAD: usize = 16 * KIB;
/// `max_package_size` unless set.
const PACKAGE: usize = 10 * MIB;

const GET: &str = "GET / HTTP/1.1\r\nHost: test\r\n";
const CHUNKED: &str = "POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n";

/// A request that does not end: its beginning, and what is repeated after it.
struct Endless {
    name: &'static str,
    start: String,
    piece: String,
    /// How much of it the server may take.
    limit: usize,
    status: u16,
}

fn endless(
    name: &'static str,
    start: impl Into<String>,
    piece: impl Into<String>,
    limit: usize,
    status: u16,
) -> Endless {
    Endless { name, start: start.into(), piece: piece.into(), limit, status }
}

fn heads() -> Vec<Endless> {
    vec![
        endless("a method", "", "A", HEAD, 431),
        endless("a request line", "GET /", "a", HEAD, 414),
        endless("a header's name", GET, "a", HEAD, 431),
        endless("a header line", format!("{GET}A: "), "b", HEAD, 431),
        endless("header lines", GET, "A: b\r\n", HEAD, 431),
        endless("header lines without end or content", GET, "A:\r\n", HEAD, 431),
        endless(
            "a body of a declared length",
            "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 1073741824\r\n\r\n",
            "x",
            HEAD,
            413,
        ),
    ]
}

fn bodies() -> Vec<Endless> {
    let head = CHUNKED.len();
    let chunk = |size: usize, extension: &str| format!("{size:x}{extension}\r\n{}\r\n", "x".repeat(size));
    let long = ";".to_owned() + &"e".repeat(200);
    vec![
        endless("the size of a chunk", CHUNKED, "0", head + KIB, 400),
        endless("blanks behind the size of a chunk", format!("{CHUNKED}1"), " ", head + KIB, 400),
        endless("the extension of a chunk", format!("{CHUNKED}1;"), "e", head + KIB, 400),
        endless("extensions of chunks", CHUNKED, chunk(1, &long), head + 17 * KIB, 400),
        endless("a trailer line", format!("{CHUNKED}0\r\na: "), "b", head + 8 * KIB, 400),
        endless("trailer lines", format!("{CHUNKED}0\r\n"), "a: b\r\n", head + 8 * KIB, 400),
        endless("a chunk", format!("{CHUNKED}40000000\r\n"), "x", head + KIB, 413),
        endless("chunks", CHUNKED, chunk(8 * KIB, ""), PACKAGE + 10 * KIB, 413),
    ]
}

#[test]
fn a_head_without_end_is_cut_off_at_its_limit_and_answered() {
    heads().iter().for_each(assert_cut_off);
}

#[test]
fn a_body_without_end_is_cut_off_at_its_limit_and_answered() {
    bodies().iter().for_each(assert_cut_off);
}

fn assert_cut_off(endless: &Endless) {
    let Endless { name, limit, .. } = endless;
    // So short that a client which pushes on after its answer is not waited for.
    let mut target = Target::start(&[("LINGER", "0.1")]);
    target.serves();
    let (memory, descriptors) = target.at_rest();

    let status = push_without_stop(&target, endless);
    let peak = target.peak().saturating_sub(memory);
    target.wait_until_alone();
    let (taken, piece) = push_and_wait(&mut target, endless);

    println!("{name}: {status}, {taken} bytes taken, {} KiB of memory at most", peak / KIB);
    assert_eq!(status, endless.status.to_string(), "{name}");
    assert!(peak <= limit + MIB, "{name}: {peak} bytes of memory");
    assert!(taken <= limit + piece, "{name}: {taken} bytes taken, where {limit} are the limit");
    assert_eq!(target.at_rest().1, descriptors, "{name}");
    target.serves();
}

/// Pushes until all is out or the server has closed, and answers the status that came.
fn push_without_stop(target: &Target, endless: &Endless) -> String {
    let mut client = connect(target.address);
    let mut reading = client.try_clone().expect("a socket can be shared");
    let reader = thread::spawn(move || {
        let (mut answer, mut buffer) = (Vec::new(), [0; 4 * KIB]);
        // A reset after the answer is the client's own fault.
        while let Ok(count @ 1..) = reading.read(&mut buffer) {
            answer.extend_from_slice(&buffer[..count]);
        }
        String::from_utf8_lossy(&answer).into_owned()
    });
    let block = endless.piece.repeat(ONE_READ.div_ceil(endless.piece.len()));
    let mut pushed = client.write(endless.start.as_bytes()).expect("the beginning is sent");
    while pushed < PUSHED {
        let Ok(count) = client.write(block.as_bytes()) else { break };
        // A cut inside a piece would be another request.
        let rest = &block.as_bytes()[count..];
        if client.write_all(rest).is_err() {
            break;
        }
        pushed += block.len();
    }
    let answer = reader.join().expect("the reader ends");
    answer.split(' ').nth(1).unwrap_or("no answer").to_owned()
}

/// Pushes the next piece when the last was read, until the server takes no more, and answers how much it took, and how
/// long the pieces were.
fn push_and_wait(target: &mut Target, endless: &Endless) -> (usize, usize) {
    let size = if endless.limit < MIB { KIB } else { ONE_READ };
    let block = endless.piece.repeat(size.div_ceil(endless.piece.len()));
    let mut client = connect(target.address);
    client.write_all(endless.start.as_bytes()).expect("the beginning is sent");
    let mut pushed = endless.start.len();
    let mut open = true;
    while open && pushed < PUSHED {
        if client.write_all(block.as_bytes()).is_ok() {
            pushed += block.len();
        }
        eventually("the piece is read", || {
            let connection = target.connection(&client);
            open = connection.as_ref().is_some_and(|line| line.ends_with("ESTABLISHED"));
            !open || connection.is_some_and(|line| value(&line, "read") == pushed)
        });
    }
    drop(client);
    target.wait_until_alone();
    (target.count("taken"), block.len())
}

#[test]
fn requests_behind_an_answer_that_nobody_reads_wait_in_the_clients_system() {
    let request = "GET /some HTTP/1.1\r\nHost: test\r\n\r\n";
    let mut target = Target::start(&[]);
    let answer = target.ask("/some", &"x".repeat(KIB)).len();
    let memory = target.memory();
    let mut client = dial(target.address, 2, Some(4 * KIB));
    let full = |line: &str| value(line, "queued") >= MIB;
    let pushed = push_until(&mut target, &mut client, request, full);

    let connection = target.connection(&client).expect("it stands");
    let [read, written, queued] = ["read", "written", "queued"].map(|name| value(&connection, name));
    let waiting = read - (written + queued) / answer * request.len();
    let peak = target.peak().saturating_sub(memory);
    println!("{pushed} bytes pushed, {waiting} wait in the server, {} KiB of memory; {connection}", peak / KIB);
    assert!(waiting <= ONE_READ, "{waiting} bytes of requests wait in the server");
    assert!(queued <= MIB + answer, "{queued} bytes of answers wait in the server");
    assert!(peak <= MIB + ONE_READ + MIB, "{peak} bytes of memory");
    target.serves();

    // Nothing is lost: whoever reads at last finds an answer for each request.
    let expected = pushed / request.len() * answer;
    client.set_read_timeout(Some(super::outside::PATIENCE)).expect("a timeout can be set");
    let mut answers = vec![0; expected];
    client.read_exact(&mut answers).expect("an answer for each request");
    assert!(answers.chunks(answer).all(|answer| answer.starts_with(b"HTTP/1.1 200 OK\r\n")));
}

#[test]
fn requests_behind_one_that_waits_for_the_app_wait_in_the_clients_system() {
    let mut target = Target::start(&[]);
    target.serves();
    let memory = target.memory();
    let mut client = connect(target.address);
    let pushed = push_until(&mut target, &mut client, "GET /never HTTP/1.1\r\nHost: test\r\n\r\n", |_| true);
    let connection = target.connection(&client).expect("it stands");
    let peak = target.peak().saturating_sub(memory);
    println!("{pushed} bytes pushed, {} KiB of memory; {connection}", peak / KIB);
    assert!(value(&connection, "read") <= ONE_READ, "{connection}");
    assert!(peak <= ONE_READ + MIB, "{peak} bytes of memory");
    target.serves();
}

/// Pushes for as long as something is taken, and answers how much that was; not all if the server says so of its
/// connection.
fn push_until(target: &mut Target, client: &mut TcpStream, piece: &str, done: impl Fn(&str) -> bool) -> usize {
    client.set_write_timeout(Some(Duration::from_millis(300))).expect("a timeout can be set");
    let block = piece.repeat(ONE_READ / piece.len());
    let mut pushed = 0;
    while pushed < PUSHED {
        match client.write(&block.as_bytes()[pushed % block.len()..]) {
            Ok(count) => pushed += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                if target.connection(client).is_some_and(|line| done(&line)) {
                    return pushed;
                }
            }
            Err(error) => panic!("{error} instead of a wait"),
        }
    }
    panic!("{pushed} bytes were taken");
}

#[test]
fn empty_lines_before_a_request_cost_no_memory() {
    let mut target = Target::start(&[]);
    target.serves();
    let memory = target.memory();
    let mut client = connect(target.address);
    let lines = "\r\n".repeat(32 * KIB);
    for _ in 0..PUSHED / lines.len() {
        client.write_all(lines.as_bytes()).expect("empty lines are taken");
    }
    super::outside::ask(&mut client, "/", "ok\n");
    let peak = target.peak().saturating_sub(memory);
    println!("{} KiB of memory at most", peak / KIB);
    assert!(peak <= ONE_READ + MIB, "{peak} bytes of memory");
}
