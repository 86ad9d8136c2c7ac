//! The promise: a connection over a Unix socket costs the loop as many events as one over TCP, and misses none.
//!
//! The loop is turned by hand over real sockets, and its events are counted.

mod outside;

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;

use outside::TemporaryDirectory;
use workerman::testing::Simulation;
use workerman::{Http, Tcp, Worker};

const ANSWERS: usize = 100;

/// Turns until something can be read from the peer's end, and reads it. Answers how many events that took.
fn receive(simulation: &Simulation, peer: &mut impl Read, buffer: &mut [u8]) -> (usize, usize) {
    let mut events = 0;
    for _ in 0..10_000 {
        simulation.turn();
        events += simulation.events();
        match peer.read(buffer) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            count => return (count.expect("the connection stands"), events),
        }
    }
    panic!("nothing has come");
}

/// Events for so many requests one after another, up to the moment when the peer has read the last answer.
fn events_of_requests(simulation: &Simulation, peer: &mut (impl Read + Write)) -> usize {
    let (mut buffer, mut sum) = ([0; 4096], 0);
    for _ in 0..ANSWERS {
        peer.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").expect("it can be sent");
        let (count, events) = receive(simulation, peer, &mut buffer);
        assert!(buffer.get(..count).is_some_and(|answer| answer.ends_with(b"\r\n\r\nok")));
        // What the system tells because the peer has read.
        simulation.turn();
        sum += events + simulation.events();
    }
    sum
}

#[test]
fn a_keep_alive_answer_costs_as_many_events_on_a_unix_socket_as_on_tcp() {
    let directory = TemporaryDirectory::new("unix-events");
    let path = directory.0.join("app.sock");
    let simulation = Simulation::new();
    let addresses = ["127.0.0.1:0".to_owned(), format!("unix://{}", path.display())];
    let [tcp, unix] = addresses.map(|address| {
        let worker = Worker::<Http>::new(&address);
        worker.on_message(|connection, _request| connection.send("ok"));
        worker.listen().expect("the address is free");
        worker
    });
    let address = tcp.local_addr().expect("it listens");
    let mut peer = TcpStream::connect(address).expect("it listens");
    peer.set_nonblocking(true).expect("it can be set");
    (0..5).for_each(|_| simulation.turn());
    let over_tcp = events_of_requests(&simulation, &mut peer);

    let mut peer = UnixStream::connect(unix.local_path().expect("it listens")).expect("it listens");
    peer.set_nonblocking(true).expect("it can be set");
    (0..5).for_each(|_| simulation.turn());
    let over_unix = events_of_requests(&simulation, &mut peer);
    assert_eq!((over_tcp, over_unix), (ANSWERS, ANSWERS));
}

#[test]
fn a_full_unix_socket_is_told_of_room_and_costs_no_more_events_afterwards() {
    const LARGE: usize = 8 << 20;
    let directory = TemporaryDirectory::new("unix-room");
    let simulation = Simulation::new();
    let worker = Worker::<Http>::new(&format!("unix://{}", directory.0.join("app.sock").display()));
    worker.on_message(|connection, request| match request.path() {
        "/large" => connection.send("x".repeat(LARGE) + "end"),
        _ => connection.send("ok"),
    });
    worker.listen().expect("the path is free");
    let mut peer = UnixStream::connect(worker.local_path().expect("it listens")).expect("it listens");
    peer.set_nonblocking(true).expect("it can be set");
    (0..5).for_each(|_| simulation.turn());
    for _ in 0..3 {
        peer.write_all(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n").expect("it can be sent");
        let (mut buffer, mut received) = (vec![0; 64 * 1024], Vec::new());
        while !received.ends_with(b"end") {
            let (count, _) = receive(&simulation, &mut peer, &mut buffer);
            assert!(count > 0, "no end before all has come");
            received.extend(buffer.iter().take(count));
        }
        assert!(received.len() > LARGE);
        (0..5).for_each(|_| simulation.turn());
        assert_eq!(events_of_requests(&simulation, &mut peer), ANSWERS);
    }
}

#[test]
fn a_peer_that_reads_nothing_costs_no_events() {
    let directory = TemporaryDirectory::new("unix-silence");
    let simulation = Simulation::new();
    let worker = Worker::<Tcp>::new(&format!("unix://{}", directory.0.join("app.sock").display()));
    worker.on_connect(|connection| connection.send(vec![0; 4 << 20]));
    worker.listen().expect("the path is free");
    let _peer = UnixStream::connect(worker.local_path().expect("it listens")).expect("it listens");
    (0..5).for_each(|_| simulation.turn());
    assert!(worker.connections().all(|connection| connection.send_buffer_queue_size() > 0));
    for _ in 0..ANSWERS {
        simulation.turn();
        assert_eq!(simulation.events(), 0);
    }
}
