//! Promise: a WebSocket is closed as RFC 6455 §7 has it, from either side, with the right code, in bounded time; and each
//! connection has one `on_close`.

#![allow(clippy::indexing_slicing)] // a failing index fails the test

#[path = "websocket/client.rs"]
mod client;
mod support;

use std::time::Duration;

use client::{CLOSE, FIN, Frame, PING, TEXT, binary, close, echo, exchange, frame, frames, open, text};
use support::Log;
use workerman::testing::{Peer, Simulation};
use workerman::{Deadlines, SendStatus, Status, TcpConnection, Websocket, Worker};

/// A worker that closes as told when a message comes, and a log of what its connections go through.
fn closing(how: impl Fn(TcpConnection<Websocket>) + 'static) -> (Simulation, Worker<Websocket>, Log) {
    let simulation = Simulation::new();
    let worker = Worker::<Websocket>::new("");
    let log = Log::default();
    worker.on_message({
        let log = log.clone();
        move |connection, message| {
            log.add(message);
            how(connection);
        }
    });
    worker.on_websocket_close({
        let log = log.clone();
        move |connection, code, reason| {
            assert_eq!(connection.send("too late"), SendStatus::Closed);
            log.add(format!("websocket close {code} {reason}"));
        }
    });
    worker.on_close({
        let log = log.clone();
        move |_| log.add("closed")
    });
    (simulation, worker, log)
}

#[test]
fn a_peer_that_closes_is_answered_with_its_code() {
    for (sent, answer, told) in [
        (close(1000, ""), Frame::close(1000), "websocket close 1000 "),
        (close(1001, "going"), Frame::close(1001), "websocket close 1001 going"),
        (close(4999, "\u{e9}"), Frame::close(4999), "websocket close 4999 \u{e9}"),
        (frame(FIN | CLOSE, ""), Frame(FIN | CLOSE, Vec::new()), "websocket close 1005 "),
        (close(1000, &"r".repeat(123)), Frame::close(1000), &format!("websocket close 1000 {}", "r".repeat(123))),
    ] {
        let (simulation, worker, log) = closing(|_| {});
        let peer = open(&simulation, worker);
        // What follows a Close frame is not looked at.
        assert_eq!(exchange(&simulation, &peer, [sent, text("ignored")].concat()), [answer]);
        assert!(peer.is_finished(), "the server ends the connection first");
        peer.finish();
        simulation.run();
        assert_eq!(log.take(), [told, "closed"]);
    }
}

#[test]
fn a_peer_that_closes_and_stays_is_left_after_a_moment() {
    let (simulation, worker, log) = closing(|_| {});
    let peer = open(&simulation, worker);
    exchange(&simulation, &peer, close(1000, ""));
    simulation.advance(Duration::from_secs(2));
    assert_eq!(log.take(), ["websocket close 1000 ", "closed"]);
}

#[test]
fn messages_before_a_close_are_heard_and_answered() {
    let (simulation, worker) = echo();
    let peer = open(&simulation, worker);
    let wire = [text("a"), binary("b"), close(1000, "")].concat();
    assert_eq!(exchange(&simulation, &peer, wire), [Frame::text("a"), Frame::binary("b"), Frame::close(1000)]);
}

#[test]
fn a_plain_close_says_1000_and_waits_for_the_answer() {
    let (simulation, worker, log) = closing(|connection| {
        connection.send("last words");
        connection.close();
        assert_eq!((connection.status(), connection.send("late")), (Status::Closing, SendStatus::Closed));
    });
    let peer = open(&simulation, worker);
    // Nothing is delivered after it, pings are not answered, and what the peer says goes on being read as frames.
    let wire = [text("go"), text("not heard"), frame(FIN | PING, "x"), frame(TEXT, "half")].concat();
    assert_eq!(exchange(&simulation, &peer, wire), [Frame::text("last words"), Frame::close(1000)]);
    assert!(!peer.is_finished() && log.take() == ["go"]);
    simulation.advance(Duration::from_secs(5));
    assert!(!peer.is_finished());
    assert_eq!(exchange(&simulation, &peer, [frame(FIN, "whole"), close(1000, "")].concat()), []);
    assert!(peer.is_finished());
    peer.finish();
    simulation.run();
    assert_eq!(log.take(), ["closed"]);
}

#[test]
fn the_answer_to_our_close_may_come_byte_by_byte() {
    let (simulation, worker, log) = closing(TcpConnection::close);
    let peer = open(&simulation, worker);
    exchange(&simulation, &peer, text("go"));
    peer.set_segment(1);
    assert_eq!(exchange(&simulation, &peer, [binary([0; 300]), close(1000, "done")].concat()), []);
    peer.finish();
    simulation.run();
    assert_eq!(log.take(), ["go", "closed"]);
}

#[test]
fn a_peer_that_does_not_answer_our_close_is_left_in_time() {
    let (simulation, worker, log) = closing(TcpConnection::close);
    for (deadlines, seconds) in [(Deadlines::default(), 10), (Deadlines::default().farewell(3), 3)] {
        worker.set_deadlines(deadlines);
        let peer = open(&simulation, worker);
        exchange(&simulation, &peer, text("go"));
        // Whatever it says instead does not help.
        for _ in 0..seconds - 1 {
            simulation.advance(Duration::from_secs(1));
            exchange(&simulation, &peer, text("still here"));
        }
        assert!(!peer.is_closed());
        simulation.advance(Duration::from_millis(2100));
        assert!(peer.is_closed());
        assert_eq!(log.take(), ["go", "closed"]);
    }
}

#[test]
fn a_peer_that_hangs_up_on_our_close_is_gone_at_once() {
    let (simulation, worker, log) = closing(TcpConnection::close);
    for reset in [false, true] {
        let peer = open(&simulation, worker);
        exchange(&simulation, &peer, text("go"));
        if reset {
            peer.reset();
        } else {
            peer.finish();
        }
        simulation.run();
        assert_eq!(log.take(), ["go", "closed"]);
    }
}

#[test]
fn a_close_may_have_a_code_and_a_reason() {
    let (simulation, worker, _) = closing(|connection| connection.close_with_code(4001, "bye"));
    let peer = open(&simulation, worker);
    let expected = Frame(FIN | CLOSE, [&4001_u16.to_be_bytes()[..], b"bye"].concat());
    assert_eq!(exchange(&simulation, &peer, text("go")), [expected]);

    let (simulation, worker, _) = closing(|connection| {
        connection.close_with_code(1008, &"\u{20ac}".repeat(50));
        connection.close_with_code(1000, "not said");
        connection.close();
    });
    let peer = open(&simulation, worker);
    let told = exchange(&simulation, &peer, text("go"));
    assert_eq!((told.len(), told[0].code(), told[0].1.len()), (1, Some(1008), 2 + 41 * 3));

    for code in [0, 1005, 1006, 1015, 2000, 5000] {
        let (simulation, worker, _) = closing(move |connection| connection.close_with_code(code, ""));
        let peer = open(&simulation, worker);
        assert_eq!(exchange(&simulation, &peer, text("go")), [Frame::close(1011)], "{code}");
    }
}

#[test]
fn a_last_message_comes_before_the_close() {
    let (simulation, worker, _) = closing(|connection| connection.close_with("bye"));
    let peer = open(&simulation, worker);
    assert_eq!(exchange(&simulation, &peer, text("go")), [Frame::text("bye"), Frame::close(1000)]);

    let (simulation, worker, _) = closing(|connection| connection.end_with("bye"));
    let peer = open(&simulation, worker);
    assert_eq!(exchange(&simulation, &peer, text("go")), [Frame::text("bye"), Frame::close(1000)]);
    assert!(peer.is_finished(), "`end` does not wait");
}

#[test]
fn a_close_gets_out_behind_a_full_buffer() {
    let (simulation, worker, log) = closing(|connection| {
        connection.set_max_send_buffer_size(1000);
        while connection.send(vec![7; 100]) != SendStatus::Dropped {}
        connection.close_with_code(1013, "");
    });
    let peer = open(&simulation, worker);
    peer.set_window(50);
    peer.write(text("go"));
    simulation.run();
    let mut bytes = Vec::new();
    while let piece = peer.read()
        && !piece.is_empty()
    {
        bytes.extend(piece);
        simulation.run();
    }
    let told = frames(&bytes);
    assert_eq!(told.last().and_then(Frame::code), Some(1013));
    assert!(told.len() > 10 && !peer.is_finished());
    exchange(&simulation, &peer, close(1013, ""));
    peer.finish();
    simulation.run();
    assert_eq!(log.take(), ["go", "closed"]);
}

#[test]
fn both_may_close_at_once() {
    let (simulation, worker, log) = closing(TcpConnection::close);
    let peer = open(&simulation, worker);
    assert_eq!(exchange(&simulation, &peer, [text("go"), close(1001, "")].concat()), [Frame::close(1000)]);
    assert!(peer.is_finished());
    peer.finish();
    simulation.run();
    assert_eq!(log.take(), ["go", "closed"]);
}

#[test]
fn a_paused_connection_hears_the_answer_to_its_close() {
    let (simulation, worker, log) = closing(|connection| {
        connection.pause_recv();
        connection.add_timer(1, move || connection.close());
    });
    let peer = open(&simulation, worker);
    exchange(&simulation, &peer, text("go"));
    exchange(&simulation, &peer, close(1001, ""));
    assert!(!peer.is_finished() && log.take() == ["go"]);
    simulation.advance(Duration::from_millis(1100));
    assert!(peer.is_finished());
    peer.finish();
    simulation.run();
    assert_eq!(log.take(), ["closed"]);
}

#[test]
fn a_worker_that_stops_says_1001() {
    let (simulation, worker, log) = closing(|_| {});
    let (answers, silent, asking) = (open(&simulation, worker), open(&simulation, worker), simulation.connect(worker));
    answers.write(close(1001, ""));
    asking.write("GET ");
    let closes = |peer: &Peer| frames(&peer.read());
    simulation.stop();
    // Its own Close and our 1001 may cross, but one of them is out.
    assert_eq!(closes(&answers), [Frame::close(1001)]);
    assert_eq!(closes(&silent), [Frame::close(1001)]);
    assert_eq!(asking.read(), b"");
    assert_eq!(log.count("closed"), 3);
}

#[test]
fn a_failed_callback_is_1011() {
    let (simulation, worker, log) = closing(|_| {});
    worker.on_message(|connection, _| -> workerman::Result<()> {
        connection.send("before");
        Err("no".into())
    });
    let peer = open(&simulation, worker);
    assert_eq!(exchange(&simulation, &peer, text("go")), [Frame::text("before"), Frame::close(1011)]);
    exchange(&simulation, &peer, close(1011, ""));
    peer.finish();
    simulation.run();
    assert_eq!(log.take(), ["closed"]);
}

#[test]
fn a_peer_that_goes_without_a_word_is_told_by_on_close_alone() {
    let (simulation, worker, log) = closing(|_| {});
    for reset in [false, true] {
        let peer = open(&simulation, worker);
        peer.write(frame(TEXT, "half"));
        simulation.run();
        if reset {
            peer.reset();
        } else {
            peer.finish();
        }
        simulation.run();
        assert_eq!(log.take(), ["closed"]);
    }
}

#[test]
fn a_client_that_never_asks_is_left_as_on_http() {
    let (simulation, worker, log) = closing(|_| {});
    let (silent, slow) = (simulation.connect(worker), simulation.connect(worker));
    slow.write("GET / HTTP/1.1\r\nHost:");
    simulation.advance(Duration::from_secs(32));
    assert!(silent.is_finished() && silent.read() == b"");
    assert!(slow.is_finished() && slow.read_text().starts_with("HTTP/1.1 408 "));
    slow.finish();
    simulation.run();
    assert_eq!(log.take(), ["closed", "closed"]);
}

#[test]
fn an_open_connection_may_be_silent_for_ever() {
    let (simulation, worker) = echo();
    let peer = open(&simulation, worker);
    simulation.advance(Duration::from_secs(24 * 3600));
    assert_eq!(exchange(&simulation, &peer, text("still here")), [Frame::text("still here")]);
    assert_eq!(worker.connections().count(), 1);
}
