//! The promise: nothing a peer sends is without a bound. Whatever has no end is refused, with the status that says why,
//! at the byte that passes its bound; what may wait is not taken from the peer at all; and each byte is looked at once,
//! however the bytes come.

mod common;

use std::time::Duration;

use common::{GET, answers, get, serve};
use nix::time::{ClockId, clock_gettime};
use workerman::testing::fuzz;
use workerman::{Http, TcpConnection};

/// The most that is read at a time.
const READ: usize = 64 * 1024;
const HEAD: usize = 16 * 1024;
const PACKAGE: usize = 20_000;

/// Something without an end.
struct Endless {
    what: &'static str,
    start: String,
    /// Comes again and again behind the start.
    unit: String,
    /// So many bytes may come before it is refused.
    bound: usize,
    status: u16,
}

fn endless() -> Vec<Endless> {
    let head = "GET / HTTP/1.1\r\nHost: a\r\n";
    let chunked = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let of = |what, start: &str, unit: &str, bound, status| Endless {
        what,
        start: start.to_owned(),
        unit: unit.to_owned(),
        bound,
        status,
    };
    // What the chunks of the bodies below add to their data.
    let framed = |data: usize, unit: usize| chunked.len() + PACKAGE / data * unit;
    let thousand = format!("3e8\r\n{}\r\n", "x".repeat(1000));
    let extended = format!("1;{}\r\nx\r\n", "e".repeat(199));
    let begun = format!("{chunked}0\r\n");
    vec![
        of("a request line", "GET /", "a", HEAD, 414),
        of("a query", "GET /?", "a=b&", HEAD, 414),
        of("a method", "", "A", HEAD, 431),
        of("a header's value", &format!("{head}X: "), "a", HEAD, 431),
        of("blanks before a header's value", &format!("{head}X:"), " ", HEAD, 431),
        of("a header's name", head, "a", HEAD, 431),
        of("long header lines", head, "X: 0123456789\r\n", HEAD, 431),
        // A line end at the bound may be the beginning of the blank line.
        of("short header lines", head, "X:\r\n", HEAD + 3, 431),
        of("101 header lines", &format!("{head}{}\r\n", "X:\r\n".repeat(100)), "y", head.len() + 402, 431),
        of("the size of a chunk", chunked, "0", chunked.len() + 16, 400),
        of("an extension", &format!("{chunked}1;"), "e", chunked.len() + 1 + 256, 400),
        of("blanks behind a size", &format!("{chunked}1"), " ", chunked.len() + 1 + 256, 400),
        of("extensions of many chunks", chunked, &extended, chunked.len() + HEAD / 200 * extended.len() + 400, 400),
        of("a trailer's name", &begun, "n", begun.len() + 8192, 400),
        of("a trailer's value", &format!("{begun}N:"), "v", begun.len() + 8192, 400),
        of("trailers", &begun, "N: v\r\n", begun.len() + 8192, 400),
        of("a body of a length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 20000\r\n\r\n", "x", 51, 413),
        of("a body of chunks", chunked, &thousand, framed(1000, thousand.len()), 413),
        of("a body of chunks of a byte", chunked, "1\r\nx\r\n", framed(1, 6), 413),
        of("a body of chunks of a byte with long sizes", chunked, "0000000000000001\r\nx\r\n", framed(1, 21), 413),
    ]
}

#[test]
fn what_has_no_end_is_refused_at_the_byte_that_passes_its_bound() {
    for case in endless() {
        let longest = case.bound + 2 * READ;
        let wire = case.start.clone() + &case.unit.repeat(longest / case.unit.len());
        for piece in [1, 999, READ] {
            let what = format!("{} in pieces of {piece}", case.what);
            let (simulation, worker) = serve(|_: TcpConnection<Http>, _| panic!("delivered"));
            worker.on_connect(|connection| connection.set_max_package_size(PACKAGE));
            let peer = simulation.connect(worker);
            let connection = worker.connections().next().expect("a connection");
            let mut answer = Vec::new();
            for bytes in wire.as_bytes().chunks(piece) {
                peer.write(bytes);
                simulation.run();
                answer = peer.read();
                if !answer.is_empty() {
                    break;
                }
            }
            let statuses: Vec<_> = answers(&answer).iter().map(common::Answer::status).collect();
            assert_eq!((statuses, peer.is_finished()), (vec![case.status], true), "{what}");
            let taken = usize::try_from(connection.bytes_read()).expect("a number that fits");
            assert!(taken <= case.bound + piece, "{taken} bytes were taken: {what}");
        }
    }
}

#[test]
fn requests_behind_one_that_is_not_answered_are_not_taken() {
    for piece in [1, 999, READ] {
        let (simulation, worker) = serve(|_: TcpConnection<Http>, _| {});
        let peer = simulation.connect(worker);
        let connection = worker.connections().next().expect("a connection");
        for bytes in GET.repeat(10_000).as_bytes().chunks(piece) {
            peer.write(bytes);
            simulation.turn();
        }
        let taken = usize::try_from(connection.bytes_read()).expect("a number that fits");
        assert!(taken < GET.len() + piece, "{taken} bytes were taken in pieces of {piece}");
        assert!(peer.read().is_empty() && !peer.is_finished());
    }
}

#[test]
fn requests_behind_answers_that_nobody_reads_are_not_taken() {
    const LIMIT: usize = 100 * 1024;
    const ANSWER: usize = 1000;
    const REQUESTS: usize = 10_000;
    for piece in [999, READ] {
        let (simulation, worker) = serve(|connection: TcpConnection<Http>, _| connection.send("x".repeat(ANSWER)));
        worker.on_connect(|connection| connection.set_max_send_buffer_size(LIMIT));
        let peer = simulation.connect(worker);
        peer.set_window(0);
        let connection = worker.connections().next().expect("a connection");
        for bytes in GET.repeat(REQUESTS).as_bytes().chunks(piece) {
            peer.write(bytes);
            simulation.turn();
        }
        let (queued, taken) = (connection.send_buffer_queue_size(), connection.bytes_read());
        assert!((LIMIT..LIMIT + 2 * ANSWER).contains(&queued), "{queued} bytes wait");
        let taken = usize::try_from(taken).expect("a number that fits");
        assert!(taken < LIMIT / ANSWER * GET.len() + 2 * READ, "{taken} bytes were taken in pieces of {piece}");
        // Nothing is lost: they are answered as soon as the peer reads.
        peer.set_window(usize::MAX);
        let mut count = 0;
        while count < REQUESTS {
            simulation.run();
            let wire = peer.read();
            assert!(!wire.is_empty(), "{count} answers");
            count += answers(&wire).len();
        }
        assert_eq!(count, REQUESTS);
    }
}

#[test]
fn empty_lines_without_an_end_buy_no_time() {
    for (before, seconds) in [("", 30), (GET, 75)] {
        let (simulation, worker) = serve(|connection: TcpConnection<Http>, _| connection.send("ok"));
        let peer = simulation.connect(worker);
        peer.write(before);
        simulation.run();
        peer.read();
        let mut passed = 0;
        while !peer.is_closed() {
            assert!(passed <= seconds + 2, "{passed} s have passed");
            peer.write("\r\n".repeat(READ));
            simulation.advance(Duration::from_secs(1));
            passed += 1;
        }
        assert!(passed >= seconds && peer.read().is_empty(), "{passed} s have passed");
    }
}

/// The least time that feeding takes this thread, of some runs; what else the machine does counts little.
fn time(feed: &dyn Fn(&[u8]), wire: &[u8]) -> Duration {
    let now = || Duration::from(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("a clock of this thread"));
    let runs = (0..3).map(|_| {
        let start = now();
        feed(wire);
        now() - start
    });
    runs.min().unwrap_or_default()
}

#[test]
fn each_byte_is_looked_at_once_however_the_bytes_come() {
    const SHORT: usize = 500;
    const TIMES: u32 = 16;
    let codec = |wire: &[u8]| assert_eq!(fuzz::receive(wire.chunks(1), 1 << 20).requests.len(), 1);
    let connection = |wire: &[u8]| {
        let (simulation, worker) = serve(|connection: TcpConnection<Http>, _| connection.send("ok"));
        let peer = simulation.connect(worker);
        for byte in wire.chunks(1) {
            peer.write(byte);
            simulation.turn();
        }
        assert_eq!(answers(&peer.read()).len(), 1);
    };
    let post = "POST / HTTP/1.1\r\nHost: a\r\n";
    let wires: [(&str, &dyn Fn(usize) -> String); 5] = [
        ("a target", &|length| get(&format!("/{}", "a".repeat(length)))),
        ("a value", &|length| format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "a".repeat(length))),
        ("empty lines", &|length| "\r\n".repeat(length / 2) + GET),
        ("a body", &|length| format!("{post}Content-Length: {length}\r\n\r\n{}", "a".repeat(length))),
        ("chunks", &|length| {
            format!("{post}Transfer-Encoding: chunked\r\n\r\n{}0\r\n\r\n", "1\r\nx\r\n".repeat(length / 6))
        }),
    ];
    for (what, wire) in wires {
        for (where_, feed) in [("the codec", &codec as &dyn Fn(&[u8])), ("a connection", &connection)] {
            let short = time(feed, wire(SHORT).as_bytes());
            let long = time(feed, wire(SHORT * TIMES as usize).as_bytes());
            // Looking again at what has come takes 16 times 16 as long.
            assert!(long < short * TIMES * 5, "{what}, {where_}: {short:?} and {long:?}");
        }
    }
}
