//! The promise: of a callback that fails, what is told says where the app has set it. So whoever reads the log of an app
//! with fifty callbacks knows which of them is meant.

#[path = "websocket/client.rs"]
mod client;
mod support;

use std::net::UdpSocket;
use std::time::Duration;

use client::{FIN, PING, PONG, close, frame, open};
use support::{boom, get};
use workerman::testing::process::last_failure;
use workerman::testing::{Peer, Simulation};
use workerman::{Codec, Http, LoopHandle, PanicPolicy, Tcp, TcpConnection, Text, Timer, UdpWorker, Websocket, Worker};

/// Sets something; answers the line where it did.
macro_rules! at {
    ($set:expr) => {{
        $set;
        line!()
    }};
}

/// A loop where failures cost a connection.
fn tolerant() -> Simulation {
    let sim = Simulation::new();
    Worker::set_panic_policy(PanicPolicy::CloseConnection);
    sim
}

/// The last failure is that of this callback, which was set in this line.
#[track_caller]
fn failed(name: &str, line: u32) {
    let failure = last_failure().unwrap_or_default();
    let expected = format!("{name} (registered at {}:{line}:", file!());
    assert!(failure.starts_with(&expected) && failure.ends_with(" panicked: boom"), "{failure:?}, not {expected:?}");
}

/// A connection of a worker, with a small send buffer.
fn connected<P: Codec>(sim: &Simulation, worker: Worker<P>) -> (Peer, TcpConnection<P>) {
    let peer = sim.connect(worker);
    let connection = worker.connections().next().expect("a connection");
    connection.set_max_send_buffer_size(4);
    (peer, connection)
}

/// Has a callback of each kind be called.
fn trigger(sim: &Simulation, name: &str, (peer, connection): (Peer, TcpConnection<Tcp>)) {
    match name {
        "on_message" => peer.write("x"),
        "on_close" => peer.finish(),
        "on_error" => {
            peer.reset();
            connection.send("x");
        }
        _ => {
            peer.set_window(0);
            connection.send("12345");
            sim.run();
            peer.set_window(10);
        }
    }
    sim.run();
}

#[test]
fn a_failure_names_the_line_where_the_worker_was_given_its_callback() {
    type Set = fn(Worker<Tcp>) -> u32;
    let cases: [(&str, Set); 5] = [
        ("on_message", |worker| at!(worker.on_message(|_, _| boom()))),
        ("on_close", |worker| at!(worker.on_close(|_| boom()))),
        ("on_error", |worker| at!(worker.on_error(|_, _, _| boom()))),
        ("on_buffer_full", |worker| at!(worker.on_buffer_full(|_| boom()))),
        ("on_buffer_drain", |worker| at!(worker.on_buffer_drain(|_| boom()))),
    ];
    let sim = tolerant();
    for (name, set) in cases {
        let worker = Worker::new("");
        let line = set(worker);
        trigger(&sim, name, connected(&sim, worker));
        failed(name, line);
    }
    let worker = Worker::<Tcp>::new("");
    let line = at!(worker.on_connect(|_| boom()));
    let _peer = sim.connect(worker);
    sim.run();
    failed("on_connect", line);
}

#[test]
fn a_failure_names_the_line_where_the_connection_was_given_its_callback() {
    type Set = fn(TcpConnection<Tcp>) -> u32;
    let cases: [(&str, Set); 5] = [
        ("on_message", |connection| at!(connection.on_message(|_, _| boom()))),
        ("on_close", |connection| at!(connection.on_close(|_| boom()))),
        ("on_error", |connection| at!(connection.on_error(|_, _, _| boom()))),
        ("on_buffer_full", |connection| at!(connection.on_buffer_full(|_| boom()))),
        ("on_buffer_drain", |connection| at!(connection.on_buffer_drain(|_| boom()))),
    ];
    let sim = tolerant();
    for (name, set) in cases {
        let (peer, connection) = connected(&sim, Worker::new(""));
        let line = set(connection);
        trigger(&sim, name, (peer, connection));
        failed(name, line);
    }
}

#[test]
fn those_of_start_and_stop_are_named_too() {
    let sim = tolerant();
    let worker = Worker::<Tcp>::new("");
    let line = at!(worker.on_worker_stop(|_| boom()));
    sim.begin_stop();
    failed("on_worker_stop", line);
    drop(sim);
    let sim = tolerant();
    let worker = Worker::<Tcp>::new("");
    let line = at!(worker.on_worker_start(|_| boom()));
    assert!(sim.start().is_err());
    failed("on_worker_start", line);
}

#[test]
fn timers_and_tasks_are_named_too() {
    let sim = tolerant();
    let cases: [fn() -> u32; 3] =
        [|| at!(Timer::add(1, boom)), || at!(Timer::repeat(1, boom)), || at!(Timer::delay(1, boom))];
    for set in cases {
        let line = set();
        sim.advance(Duration::from_secs(1));
        failed("a timer", line);
        Timer::del_all();
    }
    let line = at!(LoopHandle::current().run(boom).expect("there is room"));
    sim.run();
    failed("a task of another thread", line);
    let (_peer, connection) = connected(&sim, Worker::<Tcp>::new(""));
    let line = at!(connection.add_timer(1, boom));
    sim.advance(Duration::from_secs(1));
    failed("a connection's timer", line);
}

#[test]
fn those_of_http_are_named_too() {
    const HEAD: &str = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\n";
    let sim = tolerant();
    let worker = Worker::<Http>::new("");
    let (peer, _) = connected(&sim, worker);
    let line = at!(worker.on_head(|_, _| boom()));
    peer.write(HEAD);
    sim.run();
    failed("on_head", line);
    let (peer, _) = connected(&sim, worker);
    const BODY: u32 = line!() + 1;
    worker.on_head(|connection, _| connection.on_body(|_, _| boom()));
    peer.write(format!("{HEAD}x"));
    sim.run();
    failed("on_body", BODY);
    let (peer, _) = connected(&sim, worker);
    let line = at!(worker.on_message(|_, _| boom()));
    peer.write(get("/"));
    sim.run();
    failed("on_message", line);
}

#[test]
fn those_of_websocket_are_named_too() {
    type Set<T> = fn(T) -> u32;
    type Case = (&'static str, Set<Worker<Websocket>>, Set<TcpConnection<Websocket>>, Vec<u8>);
    let cases: [Case; 3] = [
        (
            "on_websocket_ping",
            |worker| at!(worker.on_websocket_ping(|_, _| boom())),
            |connection| at!(connection.on_websocket_ping(|_, _| boom())),
            frame(FIN | PING, ""),
        ),
        (
            "on_websocket_pong",
            |worker| at!(worker.on_websocket_pong(|_, _| boom())),
            |connection| at!(connection.on_websocket_pong(|_, _| boom())),
            frame(FIN | PONG, ""),
        ),
        (
            "on_websocket_close",
            |worker| at!(worker.on_websocket_close(|_, _, _| boom())),
            |connection| at!(connection.on_websocket_close(|_, _, _| boom())),
            close(1000, ""),
        ),
    ];
    let sim = tolerant();
    for (name, of_worker, of_connection, bytes) in cases {
        let worker = Worker::new("");
        let line = of_worker(worker);
        let (first, second) = (open(&sim, worker), open(&sim, worker));
        first.write(&bytes);
        sim.run();
        failed(name, line);
        let connection = worker.connections().last().expect("the second");
        let line = of_connection(connection);
        second.write(&bytes);
        sim.run();
        failed(name, line);
    }
    let cases: [(&str, Set<Worker<Websocket>>); 2] = [
        ("on_websocket_connected", |worker| at!(worker.on_websocket_connected(|_, _| boom()))),
        ("on_websocket_connect", |worker| at!(worker.on_websocket_connect(|_, _| boom()))),
    ];
    for (name, set) in cases {
        let worker = Worker::new("");
        let line = set(worker);
        sim.connect(worker).write(client::handshake(""));
        sim.run();
        failed(name, line);
    }
}

#[test]
fn those_of_udp_are_named_too() {
    let sim = tolerant();
    let worker = UdpWorker::<Text>::new("udp://127.0.0.1:0");
    worker.listen().expect("a port is free");
    let client = UdpSocket::bind("127.0.0.1:0").expect("a port is free");
    client.connect(worker.local_addr().expect("it listens")).expect("it can be reached");
    let line = at!(worker.on_message(|_, _| boom()));
    client.send(b"x\n").expect("it is sent");
    sim.turn();
    failed("on_message", line);
    let line = at!(worker.on_worker_stop(|_| boom()));
    sim.begin_stop();
    failed("on_worker_stop", line);
}
