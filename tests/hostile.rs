//! The promise: what could be read in two ways is not read at all. Whatever is no request gets one complete answer with
//! the status of the RFC, however its bytes come; nothing of it reaches the app; what stood before it is answered, and
//! the next connection notices nothing.
//!
//! `hostile/corpus.txt` is the corpus; what is too large for it stands here.

#![allow(clippy::indexing_slicing)] // a failing index fails the test

mod common;
mod outside;

use std::io::Write as _;
use std::time::Duration;

use common::{GET, Log, answers, exchange, get, serve};
use outside::{Server, read_to_end};
use workerman::{Http, Request, TcpConnection};

const LINGER: Duration = Duration::from_secs(1);

/// What is to be refused.
struct Case {
    status: u16,
    name: String,
    wire: Vec<u8>,
}

fn corpus() -> Vec<Case> {
    let lines = include_str!("hostile/corpus.txt").lines();
    let lines: Vec<_> = lines.filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    let cases = lines.chunks(2).map(|pair| {
        let (status, name) = pair[0].split_once(' ').expect("a status and a name");
        let wire = pair[1].strip_prefix("    ").expect("bytes behind four blanks");
        Case { status: status.parse().expect("a status"), name: name.to_owned(), wire: bytes(wire) }
    });
    cases.chain(large()).collect()
}

/// Reads `\r`, `\n`, `\t`, `\0`, `\\` and `\xhh`.
fn bytes(text: &str) -> Vec<u8> {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let [first, behind @ ..] = rest {
        let (byte, length) = match (first, behind) {
            (b'\\', [b'r', ..]) => (b'\r', 2),
            (b'\\', [b'n', ..]) => (b'\n', 2),
            (b'\\', [b't', ..]) => (b'\t', 2),
            (b'\\', [b'0', ..]) => (0, 2),
            (b'\\', [b'\\', ..]) => (b'\\', 2),
            (b'\\', [b'x', digits @ ..]) => {
                let digits = std::str::from_utf8(&digits[..2]).expect("two digits");
                (u8::from_str_radix(digits, 16).expect("two digits"), 4)
            }
            (b'\\', _) => panic!("an unknown escape: {text}"),
            _ => (*first, 1),
        };
        bytes.push(byte);
        rest = &rest[length..];
    }
    bytes
}

/// Heads, lines and bodies beyond the bounds.
fn large() -> Vec<Case> {
    let case = |status, name: &str, wire: String| Case { status, name: name.to_owned(), wire: wire.into_bytes() };
    let long = "a".repeat(20_000);
    let head = "GET / HTTP/1.1\r\nHost: a\r\n";
    let chunked = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let extended = |length: usize| format!("1;{}\r\nx\r\n", "e".repeat(length - 1));
    vec![
        case(414, "a target of 20,000 bytes", format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n")),
        case(414, "a query of 20,000 bytes", format!("GET /?{long} HTTP/1.1\r\nHost: a\r\n\r\n")),
        case(414, "a target without an end", format!("GET /{long}")),
        case(431, "a method of 20,000 bytes", format!("{long} / HTTP/1.1\r\nHost: a\r\n\r\n")),
        case(431, "bytes without an end", long.clone()),
        case(431, "a value of 20,000 bytes", format!("{head}X: {long}\r\n\r\n")),
        case(431, "a value without an end", format!("{head}X: {long}")),
        case(431, "a name of 20,000 bytes", format!("{head}{long}: x\r\n\r\n")),
        case(431, "lines of 20,000 bytes", format!("{head}{}\r\n", "X: 0123456789\r\n".repeat(1334))),
        case(431, "lines without an end", format!("{head}{}", "X: 0123456789\r\n".repeat(1334))),
        case(431, "101 lines", format!("{head}{}\r\n", "X: y\r\n".repeat(100))),
        case(431, "blanks in front of a value", format!("{head}X:{}y\r\n\r\n", " ".repeat(20_000))),
        case(400, "an extension of 257 bytes", format!("{chunked}{}0\r\n\r\n", extended(257))),
        case(400, "an extension without an end", format!("{chunked}1;{long}")),
        case(400, "extensions of more than 16 KiB", format!("{chunked}{}0\r\n\r\n", extended(200).repeat(82))),
        case(400, "a size of 20,000 digits", format!("{chunked}{}\r\n", "0".repeat(20_000))),
        case(400, "blanks behind a size without an end", format!("{chunked}1{}", " ".repeat(20_000))),
        case(400, "a trailer of 20,000 bytes", format!("{chunked}0\r\nX: {long}\r\n\r\n")),
        case(400, "a trailer's name without an end", format!("{chunked}0\r\n{long}")),
        case(400, "trailers of more than 8 KiB", format!("{chunked}0\r\n{}\r\n", "X: y\r\n".repeat(1366))),
    ]
}

/// How the bytes come.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    InOneGo,
    ByteByByte,
    BehindAGoodOne,
}

fn assert_refused(case: &Case, way: Way) {
    let what = format!("{} ({way:?}): {}", case.name, case.wire[..case.wire.len().min(200)].escape_ascii());
    let delivered = Log::new();
    let write = delivered.writer();
    let (simulation, worker) = serve(move |connection: TcpConnection<Http>, request: Request| {
        write(request.path().to_owned());
        connection.send("good")
    });
    let peer = simulation.connect(worker);
    match way {
        Way::InOneGo => peer.write(&case.wire),
        Way::BehindAGoodOne => peer.write([get("/good").as_bytes(), &case.wire].concat()),
        Way::ByteByByte => {
            peer.set_segment(1);
            peer.write(&case.wire);
            for _ in &case.wire {
                simulation.turn();
            }
        }
    }
    simulation.run();
    let wire = peer.read();
    assert!(!wire.is_empty(), "no answer to {what}");
    let mut answers = answers(&wire);
    let refusal = answers.pop().unwrap_or_else(|| panic!("no answer to {what}"));
    let good: Vec<_> = answers.iter().map(|answer| (answer.status(), answer.body())).collect();
    if way == Way::BehindAGoodOne {
        assert_eq!((good, delivered.take()), (vec![(200, "good".to_owned())], vec!["/good".to_owned()]), "{what}");
    } else {
        assert_eq!((good, delivered.take()), (vec![], vec![]), "delivered or answered: {what}");
    }
    assert_eq!(refusal.status(), case.status, "{what}");
    assert_eq!(refusal.header("connection"), Some("close"), "{what}");
    assert_eq!((refusal.header("content-length"), refusal.body.len()), (Some("0"), 0), "{what}");
    assert!(refusal.header("date").is_some() && refusal.head.starts_with("HTTP/1.1 "), "{what}");

    // FIN at once; what still comes is no request; the end with the peer's FIN, or after a second.
    assert!(peer.is_finished() && !peer.is_closed(), "{what}");
    peer.write(GET);
    simulation.run();
    if way == Way::InOneGo {
        peer.finish();
        simulation.run();
    } else {
        simulation.advance(LINGER);
    }
    assert!(peer.is_closed() && peer.read().is_empty(), "{what}");
    assert_eq!((delivered.take(), worker.connections().count()), (vec![], 0), "{what}");
    let (_next, wire) = exchange(&simulation, worker, GET);
    assert_eq!(common::bodies(&wire), ["good"], "the next connection, after {what}");
}

#[test]
fn the_corpus_is_refused_however_it_comes() {
    let cases = corpus();
    assert!(cases.len() > 350, "{} cases", cases.len());
    for case in &cases {
        for way in [Way::InOneGo, Way::ByteByByte, Way::BehindAGoodOne] {
            assert_refused(case, way);
        }
    }
}

/// Unread bytes in a socket that is closed make the system send RST, and the client may lose the answer.
#[test]
fn over_a_socket_the_answer_can_be_read_whatever_follows_it() {
    let server = Server::start(|worker| worker.on_message(|connection, _| connection.send("good")));
    for case in corpus() {
        let mut client = server.connect();
        let wire = [GET.as_bytes(), &case.wire, &[b'y'; 10_000]].concat();
        client.write_all(&wire).expect("the bytes are sent");
        let answer = read_to_end(&mut client);
        let answers = answers(answer.as_bytes());
        let statuses: Vec<_> = answers.iter().map(common::Answer::status).collect();
        assert_eq!(statuses, [200, case.status], "{}", case.name);
    }
    let mut client = server.connect();
    outside::ask(&mut client, "/", "good");
}

/// What looks odd and is allowed, so that the corpus is not refused because everything is.
#[test]
fn what_is_only_odd_is_accepted() {
    let head = |line: &str| format!("GET / HTTP/1.1\r\nHost: a\r\n{line}\r\n\r\n");
    let chunked = |body: &str| head(&format!("Transfer-Encoding: chunked\r\n\r\n{body}"));
    let table = [
        format!("\r\n\r\n{GET}"),
        "GET / HTTP/1.0\r\n\r\n".to_owned(),
        "GET //a//b?? HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        "GET /\"<>\\^`{|} HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        "GET http://b/x@y:z HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        "GET http://[::1]:80?a@b HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        "!#$%&'*+-.^_`|~ / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\nHost:a\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\nHost: \t a \t \r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\nHost: [::ffff:127.0.0.1]:00080\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\nHost: %41-._~!$&'()*+;=:0\r\n\r\n".to_owned(),
        head("X:"),
        head("X: \t "),
        head("X: a\tb"),
        head("X: \u{e9}"),
        head("X: \"a, b\\\""),
        head("Content-Length: 0"),
        head("Content-Length: 000000000000000000000000000000"),
        head("Content-Length:\t0 "),
        head("Connection: ,, ,"),
        head("Expect: something"),
        head("Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAA"),
        chunked("0"),
        chunked("0000000000000000"),
        chunked("1 \t;a=\"b;c\"; \u{e9}\r\nx\r\n0"),
        chunked("0\r\nContent-Length: 5\r\nTransfer-Encoding: gzip\r\nHost: b"),
    ];
    for wire in table {
        let (simulation, worker) = serve(|connection: TcpConnection<Http>, _| connection.send("good"));
        let (_peer, answer) = exchange(&simulation, worker, &wire);
        assert_eq!(common::bodies(&answer), ["good"], "{}", wire.escape_debug());
    }
}
