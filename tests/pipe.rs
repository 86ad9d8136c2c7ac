//! Promise: what a piped connection receives arrives at the other end, whole and in order, however slow its reader is, and
//! both connections end together, with all data out; what waits in between is bounded.

#![allow(clippy::indexing_slicing, clippy::cast_possible_truncation)] // a failing index fails the test

#[path = "websocket/client.rs"]
mod client;
mod support;

use std::time::Duration;

use client::{Frame, binary, exchange, frames, open, text};
use proptest::collection::vec;
use proptest::prelude::*;
use support::Log;
use workerman::testing::{Peer, Simulation};
use workerman::{Codec, SendStatus, Status, Tcp, TcpConnection, Text, Websocket, Worker};

const LIMIT: usize = 100_000;

/// A connection of each of two workers, with what they log.
struct Pair<P, Q> {
    sim: Simulation,
    source: TcpConnection<P>,
    destination: TcpConnection<Q>,
    from: Peer,
    to: Peer,
    log: Log,
}

fn pair<P: Codec, Q: Codec>() -> Pair<P, Q> {
    let sim = Simulation::new();
    let (sources, destinations) = (Worker::<P>::new(""), Worker::<Q>::new(""));
    let log = Log::default();
    let told = log.clone();
    sources.on_close(move |_| told.add("source closed"));
    sources.on_message(|_, _| panic!("it goes to the destination"));
    let told = log.clone();
    destinations.on_close(move |_| told.add("destination closed"));
    let told = log.clone();
    destinations.on_buffer_full(move |_| told.add("full"));
    let told = log.clone();
    destinations.on_buffer_drain(move |_| told.add("drained"));
    let told = log.clone();
    destinations.on_error(move |_, _, text| told.add(text));
    let (from, to) = (sim.connect(sources), sim.connect(destinations));
    sim.run();
    let source = sources.connections().next().expect("it is there");
    let destination = destinations.connections().next().expect("it is there");
    destination.set_max_send_buffer_size(LIMIT);
    Pair { sim, source, destination, from, to, log }
}

/// Bytes of which none is like its neighbours.
fn bytes(count: usize) -> Vec<u8> {
    (0..count).map(|at| ((at % 251) ^ (at / 251)) as u8).collect()
}

/// Reads as long as something comes.
fn read_all(sim: &Simulation, peer: &Peer) -> Vec<u8> {
    let mut all = Vec::new();
    while let piece = peer.read()
        && !piece.is_empty()
    {
        all.extend(piece);
        sim.run();
    }
    all
}

#[test]
fn bytes_go_on_and_the_other_way_they_do_not() {
    let Pair { sim, source, destination, from, to, .. } = pair::<Tcp, Tcp>();
    destination.on_message(|connection, bytes| {
        assert_eq!((connection.send("own: "), bytes), (SendStatus::Sent, b"?".to_vec()));
    });
    source.pipe(destination);
    from.write("hello");
    sim.run();
    to.write("?");
    sim.run();
    from.write(" again");
    sim.run();
    assert_eq!((to.read_text(), from.read_text()), ("helloown:  again".to_owned(), String::new()));
}

#[test]
fn a_reader_that_is_slow_holds_the_source_back_and_loses_nothing() {
    let Pair { sim, source, destination, from, to, log } = pair::<Tcp, Tcp>();
    source.pipe(destination);
    to.set_window(1000);
    let sent = bytes(3_000_000);
    from.write(&sent);
    sim.run();
    let waits = destination.send_buffer_queue_size();
    assert!((LIMIT..LIMIT + 65_536).contains(&waits), "{waits} bytes wait");
    assert!(source.bytes_read() < 200_000, "the rest is left with the system");
    assert_eq!(log.take(), ["full"]);
    let mut most = waits;
    let mut read = Vec::new();
    while let piece = to.read()
        && !piece.is_empty()
    {
        read.extend(piece);
        sim.run();
        most = most.max(destination.send_buffer_queue_size());
    }
    assert!(read == sent, "{} of {} bytes", read.len(), sent.len());
    assert!(most < LIMIT + 65_536, "{most} bytes waited");
    assert!(log.count("full") > 10);
    assert_eq!(log.count("send buffer full and drop package"), 0);
}

#[test]
fn a_fin_behind_data_lets_the_data_leave_first() {
    for window in [usize::MAX, 1000] {
        let Pair { sim, source, destination, from, to, log } = pair::<Tcp, Tcp>();
        source.pipe(destination);
        to.set_window(window);
        let sent = bytes(500_000);
        from.write(&sent);
        from.finish();
        sim.run();
        assert!(read_all(&sim, &to) == sent);
        sim.run();
        assert!(to.is_closed() && from.is_closed());
        assert_eq!(log.count("source closed") + log.count("destination closed"), 2, "each once");
        assert_eq!((source.status(), destination.status()), (Status::Closed, Status::Closed));
    }
}

#[test]
fn a_destination_that_is_lost_takes_its_source_along() {
    for held in [false, true] {
        for reset in [false, true] {
            let Pair { sim, source, destination, from, to, log } = pair::<Tcp, Tcp>();
            source.pipe(destination);
            source.send("the last word");
            if held {
                to.set_window(0);
                from.write(bytes(300_000));
                sim.run();
            }
            if reset {
                to.reset();
            } else {
                to.finish();
            }
            sim.run();
            if held {
                // It may read yet, and the source say what it has to say; when they do not, they are given up.
                sim.advance(Duration::from_secs(31));
            }
            assert_eq!(source.status(), Status::Closed, "held: {held}, reset: {reset}");
            assert_eq!(from.read_text(), "the last word");
            assert_eq!((log.count("source closed"), log.count("destination closed")), (1, 1));
        }
    }
}

#[test]
fn what_the_app_closes_closes_the_other() {
    let end: [fn(TcpConnection<Tcp>, TcpConnection<Tcp>); 4] = [
        |source, _| source.close(),
        |_, destination| destination.close(),
        |source, _| source.destroy(),
        |_, destination| destination.end(),
    ];
    for end in end {
        let Pair { sim, source, destination, from, to, .. } = pair::<Tcp, Tcp>();
        source.pipe(destination);
        destination.pipe(source);
        from.write("there");
        to.write("back");
        sim.run();
        end(source, destination);
        sim.run();
        assert_eq!((to.read_text(), from.read_text()), ("there".to_owned(), "back".to_owned()));
        to.finish();
        sim.run();
        assert!(from.is_closed() && to.is_closed());
    }
}

#[test]
fn the_callbacks_of_the_app_are_all_called() {
    let Pair { sim, source, destination, from, to, log } = pair::<Tcp, Tcp>();
    let told = log.clone();
    source.on_close(move |connection| told.add(format!("own close {}", connection.remote_port())));
    let told = log.clone();
    destination.on_buffer_full(move |_| told.add("own full"));
    source.pipe(destination);
    to.set_window(0);
    from.write(bytes(LIMIT));
    from.write(bytes(LIMIT));
    sim.run();
    assert_eq!(log.take(), ["own full"]);
    from.reset();
    sim.run();
    // A paused connection is told of a reset at once.
    assert_eq!(log.take(), [format!("own close {}", 50_000)]);
    to.set_window(usize::MAX);
    sim.run();
    assert!(!read_all(&sim, &to).is_empty());
    assert_eq!(log.count("destination closed"), 1);
}

#[test]
fn a_pipe_into_a_full_buffer_waits_from_the_beginning() {
    let Pair { sim, source, destination, from, to, .. } = pair::<Tcp, Tcp>();
    to.set_window(0);
    destination.send(vec![b'0'; LIMIT]);
    source.pipe(destination);
    from.write("behind");
    sim.run();
    assert_eq!((destination.send_buffer_queue_size(), source.bytes_read()), (LIMIT, 0));
    to.set_window(usize::MAX);
    sim.run();
    assert!(read_all(&sim, &to).ends_with(b"0behind"));
}

#[test]
fn what_others_send_to_the_destination_holds_the_source_back_too() {
    let Pair { sim, source, destination, from, to, .. } = pair::<Tcp, Tcp>();
    source.pipe(destination);
    to.set_window(0);
    destination.send(vec![b'0'; LIMIT]);
    sim.run();
    from.write("behind");
    sim.run();
    assert_eq!(source.bytes_read(), 0);
    to.set_window(usize::MAX);
    sim.run();
    assert!(read_all(&sim, &to).ends_with(b"0behind"));
}

#[test]
fn a_second_pipe_takes_the_place_of_the_first() {
    let Pair { sim, source, destination, from, to, .. } = pair::<Tcp, Tcp>();
    let others = Worker::<Text>::new("");
    let other = sim.connect(others);
    source.pipe(destination);
    to.set_window(0);
    from.write(vec![b'1'; 2 * LIMIT]);
    sim.run();
    let read = source.bytes_read();
    source.pipe(others.connections().next().expect("it is there"));
    sim.run();
    assert_eq!(other.read().iter().filter(|byte| **byte == b'1').count() as u64, 2 * LIMIT as u64 - read);
    destination.destroy();
    sim.run();
    assert_eq!(source.status(), Status::Established, "they have nothing to do with each other any more");
    from.finish();
    sim.run();
    assert!(other.is_closed());
}

#[test]
fn a_pipe_to_nobody_closes_its_source() {
    let Pair { sim, source, destination, from, .. } = pair::<Tcp, Tcp>();
    destination.destroy();
    source.pipe(destination);
    assert_eq!(source.status(), Status::Closed);
    source.pipe(destination);
    sim.run();
    assert!(from.is_closed());
}

#[test]
fn a_pipe_into_itself_is_an_echo() {
    let Pair { sim, source, from, .. } = pair::<Tcp, Tcp>();
    source.set_max_send_buffer_size(LIMIT);
    source.pipe(source);
    from.set_window(1000);
    let sent = bytes(1_000_000);
    from.write(&sent);
    from.finish();
    sim.run();
    assert!(source.send_buffer_queue_size() < LIMIT + 65_536);
    assert!(read_all(&sim, &from) == sent);
    sim.run();
    assert!(from.is_closed());
}

#[test]
fn messages_go_from_protocol_to_protocol() {
    let Pair { sim, source, destination, from, to, .. } = pair::<Text, Tcp>();
    source.pipe(destination);
    destination.pipe(source);
    from.write("a\nb\n");
    to.write("c");
    sim.run();
    assert_eq!((to.read_text(), from.read_text()), ("ab".to_owned(), "c\n".to_owned()));

    let (sockets, plain) = (Worker::<Websocket>::new(""), Worker::<Tcp>::new(""));
    let (browser, server) = (open(&sim, sockets), sim.connect(plain));
    let (socket, connection) = (sockets.connections().next().expect("it"), plain.connections().next().expect("it"));
    socket.pipe(connection);
    connection.pipe(socket);
    assert!(exchange(&sim, &browser, [text("a"), binary("b")].concat()).is_empty());
    server.write("c");
    sim.run();
    assert_eq!((server.read_text(), frames(&browser.read())), ("ab".to_owned(), vec![Frame::binary("c")]));
    server.finish();
    sim.run();
    assert_eq!(frames(&browser.read()), [Frame::close(1000)]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn both_directions_carry_everything_whatever_the_pace(
        steps in vec((any::<bool>(), 0..150_000_usize, 0..100_000_usize), 1..20),
        windows in (1_usize..70_000, 1_usize..70_000),
        segment in 1_000_usize..100_000,
    ) {
        let Pair { sim, source, destination, from, to, .. } = pair::<Tcp, Tcp>();
        source.set_max_send_buffer_size(LIMIT);
        source.pipe(destination);
        destination.pipe(source);
        from.set_window(windows.0);
        to.set_window(windows.1);
        from.set_segment(segment);
        let (mut sent, mut read) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
        for (forward, count, take) in steps {
            let piece = bytes(count);
            let (peer, other, at) = if forward { (&from, &to, 0) } else { (&to, &from, 1) };
            peer.write(&piece);
            sent[at].extend(piece);
            sim.run();
            read[at].extend(other.read_at_most(take));
            sim.run();
            for connection in [source, destination] {
                prop_assert!(connection.send_buffer_queue_size() < LIMIT + 65_536);
            }
        }
        // One after the other: who does not read keeps nobody from being read.
        read[0].extend(read_all(&sim, &to));
        read[1].extend(read_all(&sim, &from));
        let lengths = [&read, &sent].map(|all| all.each_ref().map(Vec::len));
        prop_assert!(read == sent, "{:?}", lengths);
    }
}
