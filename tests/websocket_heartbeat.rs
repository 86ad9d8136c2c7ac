//! Promise: a worker that wants to know whether its clients are there asks those that are silent, closes those that do not answer
//! in time, and leaves all others alone.

#[path = "websocket/client.rs"]
mod client;
mod support;

use std::time::Duration;

use client::{BINARY, CONTINUATION, FIN, Frame, PONG, echo, exchange, frame, frames, open, text};
use support::Log;
use workerman::Deadlines;
use workerman::testing::{Peer, Simulation};

const PING: Frame = Frame(0x89, Vec::new());

fn seconds(simulation: &Simulation, peer: &Peer, seconds: u64) -> Vec<Frame> {
    simulation.advance(Duration::from_secs(seconds));
    frames(&peer.read())
}

#[test]
fn who_is_silent_is_asked_and_who_answers_stays() {
    let (simulation, worker) = echo();
    worker.set_deadlines(Deadlines::default().ping(30).pong(5));
    let peer = open(&simulation, worker);
    for _ in 0..3 {
        assert_eq!(seconds(&simulation, &peer, 29), []);
        assert_eq!(seconds(&simulation, &peer, 3), [PING]);
        assert_eq!(exchange(&simulation, &peer, frame(FIN | PONG, "")), []);
    }
    assert!(!peer.is_finished());
}

#[test]
fn who_does_not_answer_is_closed() {
    let (simulation, worker) = echo();
    worker.set_deadlines(Deadlines::default().ping(30).pong(5));
    let log = Log::default();
    worker.on_close({
        let log = log.clone();
        move |_| log.add("closed")
    });
    let peer = open(&simulation, worker);
    assert_eq!(seconds(&simulation, &peer, 32), [PING]);
    assert_eq!(seconds(&simulation, &peer, 4), []);
    assert!(log.take().is_empty());
    seconds(&simulation, &peer, 3);
    assert_eq!(log.take(), ["closed"]);
    assert!(peer.is_closed());
}

#[test]
fn whoever_says_anything_is_not_asked() {
    let (simulation, worker) = echo();
    worker.set_deadlines(Deadlines::default().ping(30).pong(5));
    let (talks, uploads) = (open(&simulation, worker), open(&simulation, worker));
    uploads.write(frame(FIN | BINARY, vec![0; 300]).split_at(8).0);
    for _ in 0..10 {
        talks.write(text("x"));
        uploads.write([0; 10]);
        assert_eq!(seconds(&simulation, &talks, 20), [Frame::text("x")]);
        assert_eq!(frames(&uploads.read()), []);
    }
}

#[test]
fn anything_is_an_answer() {
    let (simulation, worker) = echo();
    worker.set_deadlines(Deadlines::default().ping(30).pong(5));
    let peer = open(&simulation, worker);
    assert_eq!(seconds(&simulation, &peer, 32), [PING]);
    peer.write(frame(BINARY, "half"));
    assert_eq!(seconds(&simulation, &peer, 29), []);
    assert_eq!(exchange(&simulation, &peer, frame(FIN | CONTINUATION, "")), [Frame::binary("half")]);
}

#[test]
fn nobody_is_asked_unless_the_worker_says_so() {
    let (simulation, worker) = echo();
    let peer = open(&simulation, worker);
    assert_eq!(seconds(&simulation, &peer, 24 * 3600), []);
    assert_eq!(simulation.next_wake_up(), None, "and no timer runs for it");
}
