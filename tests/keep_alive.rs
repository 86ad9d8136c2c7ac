//! Promise: a connection stays or closes as RFC 9112 §9.3 says and as the answer told the client, and closes only after
//! the whole answer has left; `on_close` follows once.

mod common;

use std::time::Duration;

use common::{GET, Log, answers, exchange, get, serve};
use workerman::testing::{Peer, Simulation};
use workerman::{Http, Response, Timer, Worker};

/// A server that answers with the path, and the log of connections that closed.
fn server() -> (Simulation, Worker<Http>, Log<u64>) {
    let (simulation, worker) = serve(|connection, request| connection.send(request.path().to_owned()));
    let closed = Log::new();
    let write = closed.writer();
    worker.on_close(move |connection| write(connection.id()));
    (simulation, worker, closed)
}

fn request(version: &str, lines: &str) -> String {
    format!("GET / HTTP/{version}\r\nHost: a\r\n{lines}\r\n")
}

fn assert_open(simulation: &Simulation, peer: &Peer) {
    assert!(!peer.is_finished());
    peer.write(get("/again"));
    simulation.run();
    assert_eq!(common::bodies(&peer.read()), ["/again"]);
}

#[test]
fn the_clients_word_decides_and_the_answer_says_what_happens() {
    let table = [
        ("1.1", "", true),
        ("1.1", "Connection: keep-alive\r\n", true),
        ("1.1", "Connection: close\r\n", false),
        ("1.1", "connection: CLOSE\r\n", false),
        ("1.1", "Connection: Close , x\r\n", false),
        ("1.1", "Connection: foo,\t close\r\n", false),
        ("1.1", "Connection: upgrade, keep-alive\r\n", true),
        ("1.1", "Connection: closed\r\n", true),
        ("1.1", "Connection: not-close\r\n", true),
        ("1.1", "Connection:\r\n", true),
        ("1.1", "Connection: keep-alive\r\nConnection: close\r\n", false),
        ("1.1", "Connection: close, keep-alive\r\n", false),
        ("1.1", "X-Connection: close\r\n", true),
        ("1.1", "Proxy-Connection: close\r\n", true),
        ("1.0", "", false),
        ("1.0", "Connection: close\r\n", false),
        ("1.0", "Connection: keep-alive\r\n", true),
        ("1.0", "connection: Keep-ALIVE\r\n", true),
        ("1.0", "Connection: foo, keep-alive ,bar\r\n", true),
        ("1.0", "Connection: keep-alive, close\r\n", false),
        ("1.0", "Connection: keep-alived\r\n", false),
    ];
    for (version, lines, stays) in table {
        let (simulation, worker, closed) = server();
        let (peer, bytes) = exchange(&simulation, worker, request(version, lines));
        let [answer] = answers(&bytes).try_into().expect("one answer");
        let said = if stays { "keep-alive" } else { "close" };
        assert_eq!(answer.header("connection"), Some(said), "HTTP/{version} {lines:?}");
        assert_eq!(answer.body(), "/");
        assert_eq!(peer.is_closed(), !stays, "HTTP/{version} {lines:?}");
        assert_eq!(closed.take().len(), usize::from(!stays), "HTTP/{version} {lines:?}");
        if stays {
            assert_open(&simulation, &peer);
            assert!(closed.take().is_empty());
        }
    }
}

#[test]
fn a_connection_answers_any_number_of_requests() {
    let (simulation, worker, closed) = server();
    let peer = simulation.connect(worker);
    for number in 0..1000 {
        peer.write(get(&format!("/{number}")));
        simulation.run();
        assert_eq!(common::bodies(&peer.read()), [format!("/{number}")]);
    }
    simulation.advance(Duration::from_secs(1));
    assert!(!peer.is_finished() && closed.take().is_empty());
}

#[test]
fn each_request_decides_afresh() {
    let (simulation, worker, closed) = server();
    let peer = simulation.connect(worker);
    for lines in ["Connection: keep-alive\r\n", "", "Connection: close\r\n"] {
        assert!(!peer.is_finished());
        peer.write(request("1.1", lines));
        simulation.run();
    }
    assert_eq!(answers(&peer.read()).len(), 3);
    assert!(peer.is_closed());
    assert_eq!(closed.take().len(), 1);
}

#[test]
fn the_app_may_close_with_its_answer() {
    for value in ["close", "Close", "x, CLOSE", "keep-alive, close"] {
        let (simulation, worker) =
            serve(move |connection, _| connection.send(Response::new(200, &[("connection", value)], "bye")));
        let (peer, bytes) = exchange(&simulation, worker, GET.repeat(2));
        let [answer] = answers(&bytes).try_into().expect("one answer");
        assert_eq!((answer.header("connection"), answer.body().as_str()), (Some(value), "bye"));
        assert!(peer.is_closed(), "{value}");
    }
}

#[test]
fn the_answers_to_head_and_those_without_a_body_keep_the_connection() {
    let (simulation, worker) = serve(|connection, request| match request.path() {
        "/204" => connection.send(Response::new(204, &[], "")),
        "/304" => connection.send(Response::new(304, &[], "")),
        path => connection.send(path.to_owned()),
    });
    let peer = simulation.connect(worker);
    for request in ["HEAD /head HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), get("/204"), get("/304")] {
        peer.write(request);
        simulation.run();
        let bytes = peer.read();
        assert_eq!(common::split_head(&bytes).1, b"");
        assert!(common::text(bytes).contains("\r\nConnection: keep-alive\r\n"));
        assert_open(&simulation, &peer);
    }
}

#[test]
fn nothing_behind_the_last_request_is_delivered() {
    let log = Log::new();
    let write = log.writer();
    let (simulation, worker) = serve(move |connection, request| {
        write(request.path().to_owned());
        connection.send("ok")
    });
    let last = "GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let (peer, bytes) = exchange(&simulation, worker, format!("{}{last}{}", get("/first"), get("/never")));
    assert_eq!(answers(&bytes).len(), 2);
    assert_eq!(log.take(), ["/first", "/last"]);
    assert!(peer.is_closed());
}

#[test]
fn the_whole_answer_leaves_before_the_connection_closes() {
    let (simulation, worker) = serve(|connection, _| connection.send(vec![b'x'; 300_000]));
    let closed = Log::new();
    let write = closed.writer();
    worker.on_close(move |_| write(()));
    let peer = simulation.connect(worker);
    peer.set_window(1000);
    peer.write(request("1.1", "Connection: close\r\n"));
    let mut bytes = Vec::new();
    while !peer.is_closed() {
        assert!(closed.take().is_empty());
        simulation.run();
        let piece = peer.read();
        assert!(!piece.is_empty() || peer.is_closed(), "neither more bytes nor an end");
        bytes.extend(piece);
    }
    bytes.extend(peer.read());
    assert_eq!(answers(&bytes)[0].body.len(), 300_000);
    assert_eq!(closed.take().len(), 1);
}

#[test]
fn a_late_answer_closes_as_an_early_one() {
    let (simulation, worker) = serve(|connection, _| {
        Timer::delay(5, move || connection.send("late"));
    });
    let (peer, bytes) = exchange(&simulation, worker, request("1.1", "Connection: close\r\n"));
    assert!(bytes.is_empty() && !peer.is_finished());
    simulation.advance(Duration::from_secs(6));
    let [answer] = answers(&peer.read()).try_into().expect("one answer");
    assert_eq!((answer.header("connection"), answer.body().as_str()), (Some("close"), "late"));
    assert!(peer.is_closed());
}

#[test]
fn on_close_follows_the_close_in_the_same_turn_and_once() {
    let (simulation, worker, closed) = server();
    let peer = simulation.connect(worker);
    peer.write(request("1.0", ""));
    simulation.turn();
    assert_eq!(closed.take().len(), 1);
    peer.finish();
    peer.reset();
    simulation.advance(Duration::from_secs(60));
    assert!(closed.take().is_empty());
    assert_eq!(worker.connections().count(), 0);
}

#[test]
fn a_client_that_goes_on_sending_can_still_read_its_last_answer() {
    // Closing with unread bytes makes a reset of it, which may overtake the answer: so these are read first.
    let (simulation, worker, closed) = server();
    let peer = simulation.connect(worker);
    peer.set_segment(60);
    peer.write([request("1.1", "Connection: close\r\n").into_bytes(), vec![b'x'; 1000]].concat());
    simulation.run();
    assert_eq!(answers(&peer.read()).len(), 1);
    assert!(peer.is_finished());
    simulation.advance(Duration::from_secs(2));
    assert!(peer.is_closed());
    assert_eq!(closed.take().len(), 1);
}
