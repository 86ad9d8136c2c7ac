//! The promise: each message that is dropped for lack of room is told once by `on_error`, and telling comes to an end,
//! whatever an `on_error` does.

mod support;

use support::{Log, boom};
use workerman::testing::{Peer, Simulation};
use workerman::{PanicPolicy, SEND_FAIL, SendStatus, Tcp, TcpConnection, Worker};

/// Connections that hold `b"x"` for a peer that reads nothing, and have room for no more.
fn full<const N: usize>(sim: &Simulation, worker: Worker<Tcp>) -> ([Peer; N], [TcpConnection<Tcp>; N]) {
    let peers = std::array::from_fn(|_| {
        let peer = sim.connect(worker);
        peer.set_window(0);
        peer
    });
    let mut connections = worker.connections();
    let connections = std::array::from_fn(|_| {
        let connection = connections.next().expect("a connection");
        connection.set_max_send_buffer_size(1);
        assert_eq!(connection.send("x"), SendStatus::Queued);
        connection
    });
    sim.run();
    (peers, connections)
}

#[test]
fn an_error_that_is_answered_by_what_caused_it_comes_to_rest() {
    let sim = Simulation::new();
    let worker = Worker::<Tcp>::new("");
    let (_peers, [one, two]) = full(&sim, worker);
    let log = Log::default();
    worker.on_error({
        let log = log.clone();
        move |connection, code, _| {
            // To itself, to the other that is full, and to all.
            for _ in 0..3 {
                for other in worker.connections() {
                    assert_eq!((other.send("y"), code), (SendStatus::Dropped, SEND_FAIL));
                }
            }
            log.add(connection.id());
        }
    });
    let (first, second) = (one.id().to_string(), two.id().to_string());
    assert_eq!(one.send("y"), SendStatus::Dropped);
    sim.run();
    assert_eq!(log.take(), [first.as_str()]);
    // Each drop outside of an `on_error` is told.
    for connection in [two, one, one] {
        assert_eq!(connection.send("y"), SendStatus::Dropped);
    }
    sim.run();
    assert_eq!(log.take(), [second, first.clone(), first]);
}

#[test]
fn errors_are_told_again_after_an_on_error_that_failed() {
    let sim = Simulation::new();
    Worker::set_panic_policy(PanicPolicy::CloseConnection);
    let worker = Worker::<Tcp>::new("");
    let (_peers, [one, two]) = full(&sim, worker);
    let log = Log::default();
    one.on_error(|_, _, _| boom());
    two.on_error({
        let log = log.clone();
        move |_, _, text| log.add(text)
    });
    for connection in [one, two] {
        assert_eq!(connection.send("y"), SendStatus::Dropped);
        sim.run();
    }
    assert_eq!(log.take(), ["send buffer full and drop package"]);
}
