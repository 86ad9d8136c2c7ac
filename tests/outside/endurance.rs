//! The server that `tests/faults.rs` measures while its clients misbehave. An example only so that cargo builds it as a
//! program: what a process uses can be seen from outside only when it does nothing else.
//!
//! It logs nothing and says nothing about panics, because those tests cause a hundred thousand of them. What it knows is
//! asked for: `GET /counters` and `GET /connections`. Environment: `ADDRESS`; `WRITE` and `LINGER` in seconds, `PACKAGE`
//! and `BUFFER` (the largest message and send buffer) in bytes.

#![forbid(unsafe_code)]

use std::cell::Cell;
use std::collections::HashSet;
use std::fmt::Write as _;
use std::io::{Write as _, stdout};
use std::panic;
use std::str::FromStr;
use std::time::Duration;

use workerman::{Deadlines, Http, Request, Response, SendStatus, ServerSentEvents, TcpConnection, Timer, Worker};

type Connection = TcpConnection<Http>;

const KIB: usize = 1024;
/// What `/large` answers.
const LARGE: usize = 4 * KIB * KIB;
/// What the answers that are made piece by piece come to.
const ENDLESS: usize = 1024 * KIB * KIB;
static PIECE: [u8; 64 * KIB] = [b'x'; 64 * KIB];
/// The data of an event.
const EVENT: usize = 16 * KIB;

/// What has happened so far.
#[derive(Debug, Default)]
struct Counters {
    connects: u64,
    closes: u64,
    /// Connections that asked for `/large` and have not closed.
    large: HashSet<u64>,
    /// How many of those have closed.
    large_closes: u64,
    panics: u64,
    events: u64,
    /// Pieces of endless answers, by what `send` said.
    accepted: u64,
    dropped: u64,
    closed: u64,
    full: u64,
    drained: u64,
    errors: u64,
    /// The bytes read of the connection that closed last.
    taken: u64,
}

fn main() -> workerman::Result<()> {
    panic::set_hook(Box::new(|_| {}));
    let address = std::env::var("ADDRESS").unwrap_or_else(|_| "127.0.0.1:0".to_owned());
    let worker = Worker::<Http>::new(&address);
    set_limits(worker);
    worker.set(Counters::default());
    worker.on_worker_start(|worker| {
        // A reader that has gone is no reason to fail.
        let _ = writeln!(stdout(), "start {:?}", worker.local_addr());
    });
    let count = move |change: fn(&mut Counters)| worker.with(change);
    worker.on_connect(move |_| count(|counters| counters.connects += 1));
    worker.on_buffer_full(move |_| count(|counters| counters.full += 1));
    worker.on_buffer_drain(move |_| count(|counters| counters.drained += 1));
    worker.on_error(move |_, _, _| count(|counters| counters.errors += 1));
    worker.on_close(move |connection| {
        worker.with(|counters: &mut Counters| {
            counters.closes += 1;
            counters.taken = connection.bytes_read();
            counters.large_closes += u64::from(counters.large.remove(&connection.id()));
        })
    });
    worker.on_head(move |connection, request: &Request| {
        if request.path() == "/pieces" {
            connection.set(0_usize);
            connection.on_body(move |connection, piece| connection.with(|length: &mut usize| *length += piece.len()));
        }
    });
    worker.on_message(move |connection, request| answer(worker, connection, &request));
    Worker::run_all()
}

fn set_limits(worker: Worker<Http>) {
    if let Some(seconds) = variable::<f64>("WRITE") {
        worker.set_deadlines(Deadlines::default().write(seconds));
    }
    if let Some(seconds) = variable::<f64>("LINGER") {
        TcpConnection::set_default_linger_timeout(seconds);
    }
    if let Some(bytes) = variable("PACKAGE") {
        TcpConnection::set_default_max_package_size(bytes);
    }
    if let Some(bytes) = variable("BUFFER") {
        TcpConnection::set_default_max_send_buffer_size(bytes);
    }
}

fn variable<T: FromStr>(name: &str) -> Option<T> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name}={value}: not a number")))
}

fn answer(worker: Worker<Http>, connection: Connection, request: &Request) {
    match request.path() {
        "/counters" => drop(connection.send(counters(worker))),
        "/connections" => drop(connection.send(connections(worker, connection))),
        "/large" => {
            worker.with(|counters: &mut Counters| counters.large.insert(connection.id()));
            connection.send(vec![b'x'; LARGE]);
        }
        "/some" => drop(connection.send(&PIECE[..KIB])),
        "/upload" => drop(connection.send(format!("{}\n\n", uploaded(request)))),
        "/pieces" => drop(connection.send(format!("{}\n\n", connection.get::<usize>().unwrap_or_default()))),
        "/never" => {}
        "/panic" => fail(worker),
        "/panics" => panic_in_timers(worker, connection, number(request)),
        "/whole" => endless_whole(worker, connection),
        "/guided" => endless_guided(worker, connection),
        "/heedless" => endless_heedless(worker, connection),
        "/subscribe" => drop(connection.send(stream())),
        "/publish" => publish(worker, connection, number(request)),
        _ => drop(connection.send("ok\n")),
    }
}

/// How many bytes a body or the files in it have.
fn uploaded(request: &Request) -> u64 {
    let files: u64 = request.files().list().map(|file| file.size()).sum();
    files + request.raw_body().len() as u64
}

/// The number in `?n=…`.
fn number(request: &Request) -> u64 {
    request.get("n").and_then(|number| number.parse().ok()).unwrap_or_default()
}

fn stream() -> Response {
    Response::new(200, &[("Content-Type", "text/event-stream")], "")
}

/// One line, `name=value` each.
fn counters(worker: Worker<Http>) -> String {
    let text = worker.with(|counters: &mut Counters| {
        let Counters { connects, closes, large, large_closes, panics, .. } = counters;
        let Counters { accepted, dropped, closed, full, drained, errors, taken, .. } = counters;
        format!(
            "connects={connects} closes={closes} large={} large_closes={large_closes} panics={panics} \
             accepted={accepted} dropped={dropped} closed={closed} full={full} drained={drained} errors={errors} \
             taken={taken} end\n",
            large.len()
        )
    });
    text.unwrap_or_default()
}

/// A line for each connection but the one that asks, and an empty one.
fn connections(worker: Worker<Http>, asking: Connection) -> String {
    let mut text = String::new();
    for connection in worker.connections().filter(|connection| *connection != asking) {
        let [read, written] = [connection.bytes_read(), connection.bytes_written()];
        let (port, queued) = (connection.remote_port(), connection.send_buffer_queue_size());
        let status = connection.status();
        let _ = writeln!(text, "port={port} read={read} written={written} queued={queued} status={status}");
    }
    text + "end\n"
}

fn fail(worker: Worker<Http>) {
    worker.with(|counters: &mut Counters| counters.panics += 1);
    panic!("as it was asked to");
}

/// So many panics in timers, which cost no connection. Answers when all have happened.
fn panic_in_timers(worker: Worker<Http>, connection: Connection, count: u64) {
    let mut left = count;
    Timer::add(Duration::from_millis(1), move |timer| {
        for _ in 0..left.min(500) {
            left -= 1;
            Timer::delay(0, move || fail(worker));
        }
        if left == 0 {
            Timer::del(timer);
            Timer::delay(Duration::from_millis(10), move || connection.send("done\n"));
        }
    });
}

/// Sends a piece and counts what became of it.
fn send_piece(worker: Worker<Http>, connection: Connection) -> SendStatus {
    let status = connection.send_raw(&PIECE[..]);
    worker.with(|counters: &mut Counters| match status {
        SendStatus::Sent | SendStatus::Queued => counters.accepted += 1,
        SendStatus::Dropped => counters.dropped += 1,
        _ => counters.closed += 1,
    });
    status
}

/// An event stream in one go: what `send` answers is ignored.
fn endless_whole(worker: Worker<Http>, connection: Connection) {
    connection.send(stream());
    for _ in 0..ENDLESS / PIECE.len() {
        send_piece(worker, connection);
    }
}

/// An answer of a known length, framed here: as much as can leave, and more when that has left.
fn endless_guided(worker: Worker<Http>, connection: Connection) {
    connection.send_raw(format!("HTTP/1.1 200 OK\r\nContent-Length: {ENDLESS}\r\n\r\n"));
    let left = Cell::new(ENDLESS / PIECE.len());
    let go_on = move || {
        while left.get() > 0 {
            left.set(left.get() - 1);
            if send_piece(worker, connection) != SendStatus::Sent {
                break;
            }
        }
    };
    go_on();
    // In place of the worker's.
    connection.on_buffer_drain(move |_| {
        worker.with(|counters: &mut Counters| counters.drained += 1);
        go_on();
    });
}

/// Pieces at the pace of a timer, whatever becomes of them.
fn endless_heedless(worker: Worker<Http>, connection: Connection) {
    connection.send(stream());
    let mut left = ENDLESS / PIECE.len();
    connection.add_timer(Duration::from_millis(1), move |timer| {
        for _ in 0..32_usize.min(left) {
            send_piece(worker, connection);
            left -= 1;
        }
        if left == 0 {
            Timer::del(timer);
        }
    });
}

/// So many events to all streams, each built once.
fn publish(worker: Worker<Http>, connection: Connection, count: u64) {
    for _ in 0..count {
        let id = worker.with(|counters: &mut Counters| {
            counters.events += 1;
            counters.events
        });
        let event = ServerSentEvents::new().id(id.unwrap_or_default()).data("x".repeat(EVENT));
        // Those that ask have no stream open.
        for subscriber in worker.connections().filter(|subscriber| *subscriber != connection) {
            match subscriber.send(&event) {
                SendStatus::Dropped => worker.with(|counters: &mut Counters| counters.dropped += 1),
                _ => worker.with(|counters: &mut Counters| counters.accepted += 1),
            };
        }
    }
    connection.send("ok\n");
}
