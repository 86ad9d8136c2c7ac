//! Promise: a large body is taken in as it comes, however it comes, next to nothing of it is kept when it is over, and
//! whoever does not go on with one is dealt with as with a small one.

mod common;

use std::time::Duration;

use common::{Log, answers, bodies, get, serve};
use workerman::testing::{Peer, Simulation};
use workerman::{Deadlines, Http, TcpConnection, Worker};

/// More than is read at a time, and no round number of anything.
const LENGTH: usize = 700_001;

fn content() -> Vec<u8> {
    (0..LENGTH).map(|at| (at % 251).try_into().unwrap_or_default()).collect()
}

fn declared(body: &[u8]) -> Vec<u8> {
    [format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes(), body].concat()
}

fn chunked(body: &[u8], size: usize) -> Vec<u8> {
    let mut bytes = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for chunk in body.chunks(size) {
        bytes.extend(format!("{:x}\r\n", chunk.len()).bytes());
        bytes.extend(chunk);
        bytes.extend(b"\r\n");
    }
    bytes.extend(b"0\r\n\r\n");
    bytes
}

/// Answers what came with `whole`, or with what is wrong with it.
fn examine() -> (Simulation, Worker<Http>) {
    serve(|connection, request| match request.raw_body() {
        [] => connection.send("nothing"),
        body if body == content() => connection.send(format!("whole, {}", request.raw_buffer().len() - body.len())),
        body => connection.send(format!("{} bytes that were not sent", body.len())),
    })
}

/// A connection that may receive so much.
fn connect(simulation: &Simulation, worker: Worker<Http>) -> Peer {
    worker.on_connect(|connection| connection.set_max_package_size(1 << 20));
    simulation.connect(worker)
}

#[test]
fn a_large_body_is_whole_however_it_comes_and_the_next_request_follows() {
    let body = content();
    for segment in [1459, 65_535, 65_536, 100_000, 1 << 20] {
        let (simulation, worker) = examine();
        let peer = connect(&simulation, worker);
        peer.set_window(1 << 22);
        peer.set_segment(segment);
        for message in [declared(&body), chunked(&body, 10_000), declared(&body), chunked(&body, 300_000)] {
            let head = message.len();
            peer.write([message, get("/next").into_bytes()].concat());
            simulation.run();
            let answers = bodies(&peer.read());
            assert_eq!(answers.len(), 2, "by {segment}, {head} bytes");
            assert!(answers[0].starts_with("whole, ") && answers[1] == "nothing", "by {segment}: {answers:?}");
        }
    }
}

#[test]
fn the_head_stands_before_a_large_body() {
    let (simulation, worker) = serve(|connection, request| {
        let head = request.raw_buffer().len() - request.raw_body().len();
        connection.send(String::from_utf8_lossy(&request.raw_buffer()[..head]).into_owned())
    });
    let peer = connect(&simulation, worker);
    peer.set_window(1 << 22);
    peer.write(declared(&content()));
    simulation.run();
    assert!(bodies(&peer.read())[0].ends_with("Content-Length: 700001\r\n\r\n"));
}

#[test]
fn who_stops_in_the_middle_is_given_up_and_who_goes_away_is_forgotten() {
    for goes_away in [false, true] {
        let simulation = Simulation::new();
        let worker = Worker::<Http>::new("");
        let log = Log::new();
        let write = log.writer();
        worker.on_message(move |_, request| write(format!("message of {}", request.raw_body().len())));
        let write = log.writer();
        worker.on_close(move |connection: TcpConnection<Http>| {
            write(format!("close, {}", connection.bytes_read() > 500_000));
        });
        worker.set_deadlines(Deadlines::default().body(10));
        let peer = connect(&simulation, worker);
        peer.set_window(1 << 22);
        peer.write(&declared(&content())[..600_000]);
        simulation.run();
        if goes_away {
            peer.finish();
            simulation.run();
        } else {
            simulation.advance(Duration::from_secs(60));
            assert_eq!(answers(&peer.read())[0].status(), 408);
        }
        assert_eq!(log.take(), ["close, true"]);
    }
}

#[test]
fn what_a_large_body_leaves_is_freed_and_the_loop_sleeps() {
    let (simulation, worker) = examine();
    worker.set_deadlines(Deadlines::none());
    let peer = connect(&simulation, worker);
    peer.set_window(1 << 22);
    peer.write(declared(&content()));
    simulation.run();
    peer.finish();
    simulation.run();
    assert_eq!(simulation.next_wake_up(), Some(Duration::from_secs(1)), "somebody looks after it");
    simulation.advance(Duration::from_secs(10));
    assert_eq!(simulation.next_wake_up(), None);
}
