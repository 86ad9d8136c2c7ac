//! The promise: `end` lets a peer that is still sending read the last answer.

use std::time::Duration;

use workerman::testing::{Peer, Simulation};
use workerman::{Http, Response, SendStatus, ServerSentEvents, Status, Tcp, TcpConnection, Worker};

fn one() -> (Simulation, Worker<Tcp>, TcpConnection<Tcp>, Peer) {
    let sim = Simulation::new();
    let worker = Worker::<Tcp>::new("");
    let peer = sim.connect(worker);
    let connection = worker.connections().next().expect("a connection");
    (sim, worker, connection, peer)
}

#[test]
fn what_was_sent_leaves_then_fin_and_what_comes_is_thrown_away() {
    let (sim, worker, connection, peer) = one();
    worker.on_message(|_, _| panic!("delivered"));
    connection.send("one ");
    connection.end_with("last");
    assert_eq!((connection.status(), connection.send("x")), (Status::Ending, SendStatus::Closed));
    peer.write("still sending");
    sim.run();
    assert_eq!((peer.read_text(), peer.is_finished(), peer.is_closed()), ("one last".to_owned(), true, false));
    sim.advance(Duration::from_millis(999));
    assert!(!peer.is_closed());
    sim.advance(Duration::from_millis(2));
    assert!(peer.is_closed());
    assert_eq!(connection.status(), Status::Closed);
}

#[test]
fn it_is_over_when_the_peer_closes_too() {
    let (sim, _, connection, peer) = one();
    connection.end();
    peer.finish();
    sim.run();
    assert!(peer.is_closed());
}

#[test]
fn it_waits_for_what_is_queued_before_the_time_begins() {
    let (sim, _, connection, peer) = one();
    peer.set_window(2);
    connection.set_linger_timeout(0.5);
    connection.send("abcd");
    connection.end();
    sim.advance(Duration::from_secs(20));
    assert!(!peer.is_finished());
    assert_eq!(peer.read_text(), "ab");
    sim.run();
    assert_eq!((peer.read_text(), peer.is_finished()), ("cd".to_owned(), true));
    sim.advance(Duration::from_millis(499));
    assert!(!peer.is_closed());
    sim.advance(Duration::from_millis(2));
    assert!(peer.is_closed());
}

#[test]
fn ending_twice_and_closing_after_it_are_harmless() {
    let (sim, worker, connection, peer) = one();
    worker.on_close(|connection| connection.end());
    connection.end();
    connection.end_with("too late");
    connection.close();
    assert_eq!(connection.status(), Status::Closed);
    connection.end();
    sim.run();
    assert_eq!((peer.read_text(), peer.is_closed()), (String::new(), true));
}

#[test]
fn an_answer_and_a_stream_end_properly() {
    for (stream, tail) in [(false, "\r\n\r\nno"), (true, "data: x\n\n\r\n0\r\n\r\n")] {
        let sim = Simulation::new();
        let worker = Worker::<Http>::new("");
        worker.on_message(move |connection, _| {
            if stream {
                connection.send(Response::new(200, &[("Content-Type", "text/event-stream")], ""));
                connection.send(ServerSentEvents::new().data("x"));
                connection.end();
            } else {
                connection.end_with(Response::new(403, &[], "no"));
            }
        });
        let peer = sim.connect(worker);
        peer.write("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /next HTTP/1.1\r\nHost: a\r\n\r\n");
        sim.run();
        assert!(peer.read_text().ends_with(tail));
        assert!(peer.is_finished());
    }
}
