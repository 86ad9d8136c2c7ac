//! Promise: what PHP Workerman's own tests show of `Text` and `Frame` holds here, and the app is told why a connection ends
//! whose peer speaks neither.
//!
//! The rows are those of PHP's `TextTest` and `FrameTest`; recordings of both are in `tests/captures.rs`.

mod support;

use support::Log;
use workerman::testing::{Peer, Simulation};
use workerman::{Codec, Frame, PROTOCOL_FAIL, SendStatus, Status, Text, Worker};

/// A worker that writes down what it receives and why connections end.
fn watched<P: Codec<Message: Into<Vec<u8>>>>(limit: usize) -> (Simulation, Worker<P>, Peer, Log) {
    let (sim, worker, log) = (Simulation::new(), Worker::<P>::new(""), Log::default());
    worker.on_connect(move |connection| connection.set_max_package_size(limit));
    worker.on_message({
        let log = log.clone();
        move |_, message| log.add(message.into().escape_ascii())
    });
    worker.on_error({
        let log = log.clone();
        move |connection, code, text| {
            assert_eq!((code, connection.status()), (PROTOCOL_FAIL, Status::Ending));
            log.add(text);
        }
    });
    worker.on_close({
        let log = log.clone();
        move |_| log.add("close")
    });
    let peer = sim.connect(worker);
    (sim, worker, peer, log)
}

#[test]
fn a_line_longer_than_the_limit_closes() {
    let (sim, _, peer, log) = watched::<Text>(5);
    peer.write("12345678");
    sim.run();
    assert!(peer.is_finished());
    peer.finish();
    sim.run();
    assert_eq!(log.take(), ["the line is longer than max_package_size", "close"]);
}

#[test]
fn a_line_waits_for_its_end_and_comes_without_it() {
    let (sim, worker, peer, log) = watched::<Text>(1 << 20);
    peer.write("jhdxr");
    sim.run();
    assert_eq!((log.take(), peer.is_finished()), (vec![], false));
    peer.write("\n");
    sim.run();
    assert_eq!(log.take(), ["jhdxr"]);
    let connection = worker.connections().next().expect("a connection");
    assert_eq!(connection.send("jhdxr"), SendStatus::Sent);
    assert_eq!(peer.read(), b"jhdxr\n");
}

#[test]
fn a_frame_waits_for_its_length_and_for_its_end() {
    let (sim, worker, peer, log) = watched::<Frame>(1 << 20);
    peer.write([0, 0, 0]);
    sim.run();
    peer.write([42]);
    sim.run();
    peer.write([b'x'; 37]);
    sim.run();
    assert_eq!((log.take(), peer.is_finished()), (vec![], false), "42 bytes are promised, and 41 have come");
    peer.write("y");
    sim.run();
    assert_eq!(log.take(), [format!("{}y", "x".repeat(37))]);
    let connection = worker.connections().next().expect("a connection");
    assert_eq!(connection.send("jhdxr"), SendStatus::Sent);
    assert_eq!(peer.read(), b"\0\0\0\x09jhdxr");
}

#[test]
fn a_frame_that_is_none_closes_before_anything_follows_it() {
    for (head, reason) in [
        ([0, 0, 0, 3], "the length of the frame does not count itself"),
        ([0, 0, 1, 1], "the frame is longer than max_package_size"),
    ] {
        let (sim, _, peer, log) = watched::<Frame>(256);
        peer.write(head);
        sim.run();
        assert!(peer.is_finished());
        peer.finish();
        sim.run();
        assert_eq!(log.take(), [reason, "close"]);
    }
}
