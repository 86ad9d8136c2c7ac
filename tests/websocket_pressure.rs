//! Promise: a client that does not read is still heard as far as its Pings go, its messages wait as those of any other, and what
//! it can make us keep is bounded.

#![allow(clippy::indexing_slicing)] // a failing index fails the test

#[path = "websocket/client.rs"]
mod client;
mod support;

use std::time::Duration;

use client::{CONTINUATION, FIN, Frame, PING, TEXT, close, frame, frames, open, text};
use support::Log;
use workerman::testing::{Peer, Simulation};
use workerman::{SendStatus, Status, TcpConnection, Websocket, Worker};

const LIMIT: usize = 10_000;

/// A client that has asked for more than it reads: the buffer for it is full.
fn congested(log: &Log) -> (Simulation, Peer, TcpConnection<Websocket>) {
    let simulation = Simulation::new();
    let worker = Worker::<Websocket>::new("");
    let messages = log.clone();
    worker.on_message(move |connection, message| {
        messages.add(&message);
        if message == "fill" {
            connection.set_max_send_buffer_size(LIMIT);
            while connection.send(vec![0; 1000]) != SendStatus::Dropped {}
        }
    });
    let peer = open(&simulation, worker);
    peer.set_window(100);
    peer.write(text("fill"));
    simulation.run();
    log.take();
    let connection = worker.connections().next().expect("it is there");
    assert!(connection.send_buffer_queue_size() >= LIMIT);
    (simulation, peer, connection)
}

/// All frames that come when the client reads again.
fn read_all(simulation: &Simulation, peer: &Peer) -> Vec<Frame> {
    let mut bytes = Vec::new();
    while let piece = peer.read()
        && !piece.is_empty()
    {
        bytes.extend(piece);
        simulation.run();
    }
    frames(&bytes)
}

#[test]
fn a_ping_is_answered_although_the_send_buffer_is_full() {
    let log = Log::default();
    let (simulation, peer, connection) = congested(&log);
    let before = connection.send_buffer_queue_size();
    peer.write(frame(FIN | PING, "there?"));
    simulation.run();
    assert_eq!(connection.send_buffer_queue_size(), before + 8, "the Pong is on its way");
    assert_eq!(connection.send("dropped"), SendStatus::Dropped);
    assert_eq!(read_all(&simulation, &peer).last(), Some(&Frame::pong("there?")));
}

#[test]
fn an_app_that_refills_the_buffer_does_not_keep_pings_from_their_answers() {
    let log = Log::default();
    let (simulation, peer, connection) = congested(&log);
    connection.on_buffer_drain(|connection| while connection.send(vec![1; 1000]) != SendStatus::Dropped {});
    peer.write(frame(FIN | PING, "there?"));
    let mut bytes = Vec::new();
    for _ in 0..300 {
        simulation.run();
        bytes.extend(peer.read());
    }
    let pong = b"\x8a\x06there?";
    assert!(bytes.windows(pong.len()).any(|window| window == pong));
}

#[test]
fn a_message_waits_until_there_is_room_for_its_answer() {
    let log = Log::default();
    let (simulation, peer, _) = congested(&log);
    // The Ping behind the message comes after it, as the client has sent it.
    let wire = [
        frame(FIN | PING, "before"),
        frame(TEXT, "a mess"),
        frame(FIN | PING, "within"),
        frame(FIN | CONTINUATION, "age"),
        text("another"),
    ];
    peer.set_segment(3);
    peer.write(wire.concat());
    simulation.run();
    assert!(log.take().is_empty());
    let told = read_all(&simulation, &peer);
    let pongs: Vec<_> = told.into_iter().filter(|frame| frame.0 == 0x8a).collect();
    assert_eq!(pongs, [Frame::pong("before"), Frame::pong("within")]);
    assert_eq!(log.take(), ["a message", "another"]);
}

#[test]
fn pings_without_end_and_without_reading_are_bounded_and_all_answered() {
    let log = Log::default();
    let (simulation, peer, connection) = congested(&log);
    for nth in 0..2000 {
        peer.write(frame(FIN | PING, format!("{nth:0>100}")));
        simulation.run();
        let size = connection.send_buffer_queue_size();
        assert!(size < LIMIT + 1004 + 4096 + 200, "{size} bytes wait");
    }
    peer.write(text("heard"));
    let told = read_all(&simulation, &peer);
    let pongs = told.iter().filter(|frame| frame.0 == 0x8a).count();
    assert_eq!(pongs, 2000);
    assert_eq!(log.take(), ["heard"]);
}

#[test]
fn a_close_is_heard_and_answered_behind_what_waits() {
    let log = Log::default();
    let (simulation, peer, _) = congested(&log);
    peer.write(close(1000, ""));
    simulation.run();
    assert_eq!(read_all(&simulation, &peer).last(), Some(&Frame::close(1000)));
    assert!(peer.is_finished());
}

#[test]
fn a_client_that_never_reads_is_closed_in_time_and_one_that_reads_a_little_is_not() {
    let log = Log::default();
    let (simulation, peer, connection) = congested(&log);
    for _ in 0..4 {
        simulation.advance(Duration::from_secs(50));
        assert_eq!(peer.read_at_most(10).len(), 10);
        simulation.run();
    }
    assert_eq!(connection.status(), Status::Established);
    simulation.advance(Duration::from_secs(62));
    assert_eq!(connection.status(), Status::Closed);
}
