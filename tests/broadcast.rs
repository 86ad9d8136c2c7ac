//! Promise: what is broadcast reaches all connections of its worker that can take it, encoded once; nobody waits for a slow
//! peer, and who does not keep up is counted.

#![allow(clippy::indexing_slicing)] // a failing index fails the test

#[path = "websocket/client.rs"]
mod client;
mod support;

use std::time::Duration;

use allocation_counter::measure;
use client::{Frame, frames, handshake, open, text};
use support::{Depth, Log, OnDrop, get, keep};
use workerman::testing::{Peer, Simulation};
use workerman::{
    Broadcast, Codec, Encode, Encoded, Frame as FrameProtocol, Http, Message, Output, PanicPolicy, Protocol, Response,
    SendStatus, ServerSentEvents, Tcp, Text, Timer, Websocket, WebsocketType, Worker,
};

fn counts(told: Broadcast) -> [usize; 3] {
    [told.sent, told.queued, told.dropped]
}

fn peers<P>(sim: &Simulation, worker: Worker<P>, count: usize) -> Vec<Peer> {
    let connect = |_| {
        let peer = sim.connect(worker);
        sim.run();
        peer
    };
    (0..count).map(connect).collect()
}

fn read<const N: usize>(peers: &[Peer; N]) -> [String; N] {
    peers.each_ref().map(Peer::read_text)
}

/// A thousand connections that are all told, but for one.
fn tells_all<P: Codec + Encode<&'static str>>(wire: &str) {
    let sim = Simulation::new();
    let worker = Worker::<P>::new("");
    let others = Worker::<P>::new("");
    let (all, other) = (peers(&sim, worker, 1000), sim.connect(others));
    assert_eq!(counts(worker.broadcast("hello")), [1000, 0, 0]);
    let chosen = worker.connections().nth(700).expect("it is there");
    assert_eq!(counts(worker.broadcast_except(chosen, "hello")), [999, 0, 0]);
    assert_eq!(
        counts(worker.broadcast_except(others.connections().next().expect("it is there"), "hello")),
        [1000, 0, 0]
    );
    sim.run();
    for (nth, peer) in all.iter().enumerate() {
        assert_eq!(peer.read_text(), wire.repeat(if nth == 700 { 2 } else { 3 }));
    }
    assert_eq!(other.read_text(), "", "another worker's");
}

#[test]
fn a_thousand_connections_are_told_and_one_is_not() {
    tells_all::<Text>("hello\n");
    tells_all::<Tcp>("hello");
    tells_all::<FrameProtocol>("\0\0\0\x09hello");
}

#[test]
fn an_event_goes_to_open_streams_in_the_framing_of_each() {
    let sim = Simulation::new();
    let worker = Worker::<Http>::new("");
    worker.on_message(|connection, request| {
        if request.path() == "/events" {
            connection.send(Response::new(200, &[("Content-Type", "text/event-stream")], ""));
        }
    });
    let errors = Log::default();
    let log = errors.clone();
    worker.on_error(move |_, _, text| log.add(text));
    let all = [(); 5].map(|()| sim.connect(worker));
    let [chunked, plain, waiting, idle, head] = &all;
    chunked.write(get("/events"));
    plain.write("GET /events HTTP/1.0\r\n\r\n");
    waiting.write(get("/other"));
    head.write("HEAD /events HTTP/1.1\r\nHost: a\r\n\r\n");
    sim.run();
    read(&all);
    for event in [ServerSentEvents::new().data("x"), ServerSentEvents::new().data("x".repeat(2000))] {
        let wire = event.to_string();
        assert_eq!(counts(worker.broadcast(&event)), [2, 0, 0]);
        assert_eq!(chunked.read_text(), format!("{:x}\r\n{wire}\r\n", wire.len()));
        assert_eq!(plain.read_text(), wire);
        assert_eq!(counts(worker.broadcast(event)), [2, 0, 0]);
        read(&all);
    }
    // What is an answer is nobody's.
    assert_eq!(counts(worker.broadcast("text")), [0, 0, 0]);
    assert_eq!(counts(worker.broadcast(Response::new(200, &[], ""))), [0, 0, 0]);
    sim.run();
    assert_eq!(read(&all), [""; 5]);
    assert!(!idle.is_closed());
    // An answer that waits for its reader is no stream that falls behind.
    waiting.set_window(0);
    worker.connections().nth(2).expect("it waits").send(vec![b'x'; 2 << 20]);
    assert_eq!(counts(worker.broadcast(ServerSentEvents::new())), [2, 0, 0]);
    sim.run();
    assert_eq!(errors.take(), [""; 0]);
}

#[test]
fn a_websocket_is_told_from_its_handshake_to_its_close_in_its_own_type() {
    let sim = Simulation::new();
    let worker = Worker::<Websocket>::new("");
    worker.on_websocket_connected(|connection, request| {
        if let Some(kind) = request.get("kind") {
            connection.set_websocket_type(if kind == "text" { WebsocketType::Text } else { WebsocketType::Binary });
        }
    });
    let join = |path: &str| {
        let peer = sim.connect(worker);
        peer.write(handshake("").replace("/chat?a=1", path));
        sim.run();
        peer.read();
        peer
    };
    let [auto, as_text, as_binary] = ["/", "/?kind=text", "/?kind=binary"].map(join);
    let early = sim.connect(worker);
    early.write(&handshake("")[..40]);
    let leaving = join("/");
    worker.connections().last().expect("it is there").close();
    sim.run();
    leaving.read();
    let mut seen = Vec::new();
    let mut tell = |told: Broadcast, count| {
        assert_eq!(counts(told), [count, 0, 0]);
        sim.run();
        seen.extend(
            [&auto, &as_text, &as_binary]
                .map(|peer| frames(&peer.read()).into_iter().map(|frame| frame.0 & 0xf).sum::<u8>()),
        );
        assert_eq!((early.read_text(), leaving.read_text()), (String::new(), String::new()));
    };
    tell(worker.broadcast("x"), 3);
    tell(worker.broadcast("x".to_owned()), 3);
    tell(worker.broadcast(b"x"), 3);
    tell(worker.broadcast(vec![b'x']), 3);
    tell(worker.broadcast(b"\xff"), 2);
    tell(worker.broadcast(Message::from("x")), 3);
    tell(worker.broadcast(&Message::from(vec![0xff])), 3);
    tell(worker.broadcast(Response::new(101, &[], "")), 0);
    let expected: [[u8; 3]; 8] =
        [[1, 1, 2], [1, 1, 2], [2, 1, 2], [2, 1, 2], [2, 0, 2], [1, 1, 1], [2, 2, 2], [0, 0, 0]];
    assert_eq!(seen, expected.concat());
}

/// A worker of whose connections the first reads nothing and the second all.
fn slow_and_quick(sim: &Simulation) -> (Worker<Text>, Peer, Peer, Log) {
    let worker = Worker::<Text>::new("");
    let log = Log::default();
    let told = log.clone();
    worker.on_error(move |_, _, text| told.add(text));
    let told = log.clone();
    worker.on_buffer_full(move |connection| told.add(format!("full {}", connection.id())));
    let told = log.clone();
    worker.on_close(move |connection| told.add(format!("close {}", connection.id())));
    let (slow, quick) = (sim.connect(worker), sim.connect(worker));
    slow.set_window(0);
    worker.connections().next().expect("the slow one").set_max_send_buffer_size(5000);
    (worker, slow, quick, log)
}

#[test]
fn who_does_not_read_misses_messages_and_nobody_waits() {
    let sim = Simulation::new();
    let (worker, slow, quick, log) = slow_and_quick(&sim);
    let line = "x".repeat(1999);
    let told = [(); 5].map(|()| counts(worker.broadcast(&line)));
    assert_eq!(told, [[1, 1, 0], [1, 1, 0], [1, 1, 0], [1, 0, 1], [1, 0, 1]]);
    sim.run();
    assert_eq!(quick.read().len(), 10_000);
    let connection = worker.connections().next().expect("it is there");
    assert_eq!((connection.missed_broadcasts(), connection.send_buffer_queue_size()), (2, 6000));
    // Told when it is full, and of no message that it missed.
    assert_eq!(log.take(), [format!("full {}", connection.id())]);
    slow.set_window(usize::MAX);
    sim.run();
    assert_eq!(slow.read().len(), 6000);
    assert_eq!(counts(worker.broadcast("again")), [2, 0, 0]);
    assert_eq!((connection.missed_broadcasts(), slow.read_text()), (0, "again\n".to_owned()));
}

#[test]
fn who_misses_too_many_in_a_row_is_closed_at_once() {
    let sim = Simulation::new();
    let (worker, slow, quick, log) = slow_and_quick(&sim);
    worker.set_max_missed_broadcasts(3);
    let line = "x".repeat(4999);
    let id = worker.connections().next().map(|connection| connection.id()).expect("it is there");
    worker.broadcast(&line);
    worker.broadcast(&line);
    worker.broadcast(&line);
    sim.run();
    log.take();
    // Who has caught up begins anew.
    slow.set_window(5000);
    sim.run();
    slow.set_window(0);
    assert_eq!(slow.read().len(), 5000);
    let told = [(); 4].map(|()| counts(worker.broadcast(&line)));
    assert_eq!(told, [[1, 1, 0], [1, 0, 1], [1, 0, 1], [1, 0, 1]]);
    assert_eq!(counts(worker.broadcast(&line)), [1, 0, 0]);
    sim.run();
    assert_eq!(log.take(), [format!("full {id}"), format!("close {id}")]);
    assert!(slow.is_closed() && !quick.is_closed());
}

#[test]
fn a_buffer_that_can_leave_leaves_before_anything_is_missed() {
    let sim = Simulation::new();
    let worker = Worker::<Text>::new("");
    let peer = sim.connect(worker);
    worker.connections().next().expect("it is there").set_max_send_buffer_size(10);
    worker.on_message(move |_, _| {
        for _ in 0..5 {
            assert_eq!(counts(worker.broadcast("123456")), [1, 0, 0]);
        }
    });
    peer.write("go\n");
    sim.run();
    assert_eq!(peer.read_text(), "123456\n".repeat(5));
}

#[test]
fn connections_may_be_gone_or_go_during_the_walk() {
    let sim = Simulation::new();
    let worker = Worker::<Text>::new("");
    let log = Log::default();
    let told = log.clone();
    worker.on_close(move |connection| {
        told.add(connection.remote_port());
        // From here too, and its own connection is no longer among them.
        worker.broadcast("somebody has gone");
    });
    let all = peers(&sim, worker, 100);
    for peer in all.iter().step_by(2) {
        peer.reset();
    }
    // The loop has not heard of it yet.
    assert_eq!(counts(worker.broadcast("hello")), [50, 0, 0]);
    sim.run();
    assert_eq!((log.len(), worker.connections().count()), (50, 50));
    for peer in all.iter().skip(1).step_by(2) {
        assert_eq!(peer.read_text(), format!("hello\n{}", "somebody has gone\n".repeat(50)));
    }
}

#[test]
fn a_broadcast_from_any_callback_leaves_in_one_write_and_nests_nothing() {
    let sim = Simulation::new();
    let worker = Worker::<Websocket>::new("");
    let depth = Depth::default();
    let inside = depth.clone();
    worker.on_message(move |connection, message| {
        let _inside = inside.enter();
        connection.send("to you");
        worker.broadcast_except(connection, message.clone());
        worker.broadcast(message)
    });
    let inside = depth.clone();
    worker.on_buffer_full(move |connection| {
        let _inside = inside.enter();
        worker.broadcast("somebody is slow");
        connection.destroy();
    });
    worker.on_close(move |_| {
        let _inside = depth.enter();
        worker.broadcast("somebody has gone");
    });
    let [one, two, slow] = [(); 3].map(|()| open(&sim, worker));
    slow.set_window(0);
    worker.connections().last().expect("the slow one").set_max_send_buffer_size(15);
    one.write([text("a"), text("b")].concat());
    sim.run();
    let says = |texts: &[&str]| texts.iter().map(Frame::text).collect::<Vec<_>>();
    assert_eq!(frames(&one.read()), says(&["to you", "a", "to you", "b"]));
    assert_eq!(frames(&two.read()), says(&["a", "a", "b", "b"]));
    Timer::delay(1, move || worker.broadcast("a timer's"));
    sim.advance(Duration::from_secs(2));
    let end = says(&["a timer's", "somebody is slow", "somebody has gone"]);
    assert_eq!((frames(&one.read()), frames(&two.read())), (end.clone(), end));
    assert!(slow.is_closed());
}

#[test]
fn a_destructor_may_broadcast() {
    let sim = Simulation::new();
    let worker = Worker::<Text>::new("");
    let peer = sim.connect(worker);
    let on_drop = OnDrop(move || assert_eq!(worker.broadcast("dropped").sent, 1));
    worker.on_message(move |_, line| {
        keep(&on_drop);
        worker.broadcast(line)
    });
    peer.write("a\n");
    sim.run();
    worker.on_message(|_, _| ());
    sim.run();
    assert_eq!(peer.read_text(), "a\ndropped\n");
}

#[test]
fn a_message_for_a_thousand_is_encoded_once_and_kept_once() {
    let sim = Simulation::new();
    let worker = Worker::<Websocket>::new("");
    let all: Vec<_> = (0..1000).map(|_| open(&sim, worker)).collect();
    let short = "x".repeat(100);
    let long = "x".repeat(20_000);
    for message in [&short, &long] {
        worker.broadcast(message);
        all.iter().for_each(|peer| drop(peer.read()));
        let cost = measure(|| assert_eq!(counts(worker.broadcast(message)), [1000, 0, 0]));
        assert!(cost.count_total <= 8, "{cost:?}");
        all.iter().for_each(|peer| drop(peer.read()));
    }
    // To those who do not read, the bytes exist once and count for each.
    all.iter().for_each(|peer| peer.set_window(0));
    let cost = measure(|| assert_eq!(counts(worker.broadcast(&long)), [0, 1000, 0]));
    assert!(cost.bytes_max < 1_000_000, "{cost:?}");
    assert!(worker.connections().all(|connection| connection.send_buffer_queue_size() == 20_004));
    assert_eq!(worker.connections().next().map(|connection| connection.send("x")), Some(SendStatus::Queued));
}

/// A protocol of one's own without state, which cannot encode everything.
#[derive(Default)]
struct Picky;

impl Protocol for Picky {
    type Message = Vec<u8>;

    fn input(&mut self, buffer: &[u8]) -> workerman::Result<Option<usize>> {
        Ok(Some(buffer.len()))
    }

    fn decode(&mut self, package: &[u8]) -> workerman::Result<Vec<u8>> {
        Ok(package.to_vec())
    }
}

impl Encode<&str> for Picky {
    fn encode(&mut self, message: &str, output: &mut Output<'_>) -> Encoded {
        assert!(message != "panic", "as asked");
        output.bytes(message.as_bytes());
        if message == "fail" { Encoded::Failed("as asked".into()) } else { Encoded::Done }
    }
}

#[test]
fn a_message_that_cannot_be_encoded_reaches_nobody_and_costs_nobody() {
    let sim = Simulation::new();
    Worker::set_panic_policy(PanicPolicy::CloseConnection);
    let worker = Worker::<Picky>::new("");
    let peers = [sim.connect(worker), sim.connect(worker)];
    assert_eq!(counts(worker.broadcast("panic")), [0, 0, 0]);
    assert_eq!(counts(worker.broadcast("fail")), [0, 0, 0]);
    assert_eq!(counts(worker.broadcast("fine")), [2, 0, 0]);
    sim.run();
    assert!(peers.iter().all(|peer| peer.read() == b"fine"));
}
