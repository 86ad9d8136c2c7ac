//! Promise: what fails in a protocol of one's own costs that connection and is told; and it may use the framework, but not
//! the connection that it works for.

mod support;

#[path = "protocols/script.rs"]
mod script;

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use script::{Message, Script, State, Step, logged, script, tell, watch};
use support::{Log, OnDrop, boom};
use workerman::testing::Simulation;
use workerman::{PanicPolicy, Protocol, Result, SendStatus, Status, TcpConnection, Text, Worker};

/// A loop where failures cost a connection.
fn tolerant() -> Simulation {
    let sim = Simulation::new();
    Worker::set_panic_policy(PanicPolicy::CloseConnection);
    sim
}

#[test]
fn what_fails_in_a_method_costs_that_connection_and_is_told() {
    for method in ["input", "decode", "encode"] {
        for (way, expected) in [("Err", "it is bad"), ("panic", "boom")] {
            let sim = tolerant();
            let worker = Worker::<Script>::new("");
            worker.on_message(|connection, message: Message| {
                let status = connection.send(message);
                let is_fine = status != SendStatus::Closed;
                assert_eq!(is_fine, connection.status() == Status::Established, "{status:?}");
            });
            let log = watch(worker);
            script(move |step| {
                let (name, bytes) = match step {
                    Step::Input(buffer) => ("input", buffer),
                    Step::Decode(package) => ("decode", package),
                    Step::Encode(message) => ("encode", message),
                };
                match (name == method && bytes.starts_with(b"bad"), way) {
                    (false, _) => Ok(Some(3)),
                    (true, "Err") => Err("it is bad".into()),
                    (true, _) => {
                        boom();
                        Ok(None)
                    }
                }
            });
            let (other, answer) = tell(&sim, worker, &[b"one"]);
            assert_eq!(answer, b"one");
            logged();
            // What was sent before it leaves, what comes behind it is not read, and nothing of itself leaves.
            let (peer, answer) = tell(&sim, worker, &[b"onetwobadmor", b"mor"]);
            assert_eq!((answer.as_slice(), peer.is_finished()), (&b"onetwo"[..], true), "{way} in {method}");
            assert_eq!(log.take(), [format!("error 3 {expected}")], "{way} in {method}");
            let lines = logged();
            let line = format!("of 127.0.0.1:50001: closed, {expected}");
            assert!(lines.iter().any(|text| text.contains(&line)), "{line:?} in {lines:?}");
            assert_eq!(lines.iter().any(|text| text.contains("panicked: boom")), way == "panic", "{lines:?}");
            sim.advance(Duration::from_secs(2));
            assert!(peer.is_closed());
            assert_eq!(log.take(), ["close"], "{way} in {method}");
            // Nobody else notices.
            other.write("two");
            sim.run();
            assert_eq!(other.read(), b"two");
        }
    }
}

#[test]
fn what_cannot_be_sent_from_elsewhere_is_told_too() {
    let sim = tolerant();
    let worker = Worker::<Script>::new("");
    let log = watch(worker);
    script(|_| Err("no".into()));
    let peer = sim.connect(worker);
    let connection = worker.connections().next().expect("a connection");
    assert_eq!(connection.send_raw("before"), SendStatus::Sent);
    assert_eq!(connection.send(Message::from("x")), SendStatus::Closed);
    assert_eq!(connection.send(Message::from("y")), SendStatus::Closed);
    sim.run();
    assert_eq!((log.take(), peer.read_text().as_str()), (vec!["error 3 no".to_owned()], "before"));
    peer.finish();
    sim.run();
    assert_eq!(log.take(), ["close"]);
    // Nor does it as the last message.
    let peer = sim.connect(worker);
    worker.connections().for_each(|connection| connection.close_with(Message::from("x")));
    sim.run();
    assert!(peer.is_closed());
    assert_eq!(log.take(), ["error 3 no", "close"]);
}

#[test]
fn what_a_peer_sends_never_ends_the_process_but_a_panic_may() {
    let sim = Simulation::new();
    let worker = Worker::<Script>::new("");
    let log = watch(worker);
    Worker::set_panic_policy(PanicPolicy::ExitProcess);
    script(|_| Err("no".into()));
    tell(&sim, worker, &[b"x"]);
    assert_eq!(log.take(), ["error 3 no"]);
    Worker::set_panic_policy(PanicPolicy::Propagate);
    script(|_| {
        boom();
        Ok(None)
    });
    assert!(catch_unwind(AssertUnwindSafe(|| tell(&sim, worker, &[b"x"]))).is_err());
}

#[test]
fn what_is_told_in_on_error_cannot_be_answered() {
    let sim = tolerant();
    let worker = Worker::<Script>::new("");
    let log = Log::default();
    worker.on_error({
        let log = log.clone();
        move |connection, _, _| {
            log.add(format_args!("{:?}", connection.send(Message::from("x"))));
            boom();
        }
    });
    script(|_| Err("no".into()));
    let (peer, answer) = tell(&sim, worker, &[b"x"]);
    assert!(answer.is_empty() && peer.is_finished());
    assert_eq!(log.take(), ["Closed"]);
}

thread_local! {
    /// What the next codec does when it is made or dropped.
    static MISDEED: Cell<Option<fn()>> = const { Cell::new(None) };
}

/// Misbehaves when it is made and when it is dropped.
struct Bad;

impl Default for Bad {
    fn default() -> Self {
        if let Some(misdeed) = MISDEED.take() {
            misdeed();
        }
        Self
    }
}

impl Drop for Bad {
    fn drop(&mut self) {
        if let Some(misdeed) = MISDEED.take() {
            misdeed();
        }
    }
}

impl Protocol for Bad {
    type Message = OnDrop<fn()>;

    fn input(&mut self, _buffer: &[u8]) -> Result<Option<usize>> {
        Ok(Some(1))
    }

    fn decode(&mut self, _package: &[u8]) -> Result<OnDrop<fn()>> {
        Ok(OnDrop(|| {
            if let Some(misdeed) = MISDEED.take() {
                misdeed();
            }
        }))
    }
}

#[test]
fn a_protocol_that_cannot_be_made_costs_its_connection_alone() {
    let sim = tolerant();
    let worker = Worker::<Bad>::new("");
    worker.on_connect(|_| State::add("connect"));
    worker.on_close(|_| State::add("close"));
    let other = sim.connect(worker);
    assert_eq!(State::take(), ["connect"]);
    MISDEED.set(Some(boom));
    let peer = sim.connect(worker);
    assert!(peer.is_closed() && MISDEED.take().is_none());
    assert!(State::take().is_empty(), "nobody came, so nobody goes");
    // Its end is nobody else's either.
    MISDEED.set(Some(boom));
    other.finish();
    sim.run();
    assert!(other.is_closed() && MISDEED.take().is_none());
    assert_eq!((State::take(), worker.connections().count()), (vec!["close".to_owned()], 0));
    // Nor that of a message which nobody wants.
    let peer = sim.connect(worker);
    State::take();
    MISDEED.set(Some(boom));
    peer.write("x");
    sim.run();
    assert!(!peer.is_closed() && MISDEED.take().is_none());
}

#[test]
fn a_protocol_may_use_the_framework_but_not_its_own_connection() {
    let sim = Simulation::new();
    let worker = Worker::<Script>::new("");
    let other = Worker::<Text>::new("");
    let elsewhere = sim.connect(other);
    worker.on_message(|connection, message: Message| connection.send(message));
    let own = move || worker.connections().next();
    let statuses = Log::default();
    script({
        let statuses = statuses.clone();
        move |step| {
            for connection in other.connections() {
                connection.send("1");
            }
            if let Some(connection) = own() {
                statuses.add(format_args!("{:?}", connection.send(Message::from("own"))));
                statuses.add(format_args!("{:?}", connection.send_raw("own")));
                connection.set(connection.get::<u32>().unwrap_or_default() + 1);
            }
            Ok(matches!(step, Step::Input(_)).then_some(2))
        }
    });
    let (peer, answer) = tell(&sim, worker, &[b"ab"]);
    assert_eq!((answer.as_slice(), peer.is_finished()), (&b"ab"[..], false));
    assert_eq!(statuses.take(), ["Dropped"; 6]);
    assert_eq!(elsewhere.read_text(), "1\n1\n1\n");
    assert_eq!(own().and_then(|connection| connection.get::<u32>()), Some(3));
    logged();
    // Closing it there is possible, by whatever way.
    for close in [TcpConnection::close, TcpConnection::destroy, TcpConnection::end] {
        for method in ["input", "decode", "encode"] {
            script(move |step| {
                if step.name() == method {
                    own().into_iter().for_each(close);
                }
                Ok(Some(2))
            });
            worker.connections().for_each(TcpConnection::destroy);
            sim.run();
            let (peer, _) = tell(&sim, worker, &[b"abcd"]);
            assert!(peer.is_finished(), "in {method}");
            peer.finish();
            sim.run();
            assert_eq!(worker.connections().count(), 0, "in {method}");
        }
    }
}

#[test]
fn making_a_protocol_may_use_the_framework() {
    let sim = Simulation::new();
    let (worker, other) = (Worker::<Bad>::new(""), Worker::<Text>::new(""));
    let elsewhere = sim.connect(other);
    thread_local!(static OTHER: Cell<Option<Worker<Text>>> = const { Cell::new(None) });
    OTHER.set(Some(other));
    let send = || {
        let connections = OTHER.get().map(Worker::connections);
        connections.into_iter().flatten().for_each(|connection| assert_eq!(connection.send("7"), SendStatus::Sent));
    };
    MISDEED.set(Some(send));
    let peer = sim.connect(worker);
    sim.run();
    assert_eq!(elsewhere.read_text(), "7\n");
    MISDEED.set(Some(send));
    peer.reset();
    sim.run();
    assert_eq!(elsewhere.read_text(), "7\n");
}
