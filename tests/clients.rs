//! Promise: a connection that the app makes itself behaves as one that it accepts, tells what has come of it, and comes back
//! when it is told to. In memory and in virtual time.

#![allow(clippy::indexing_slicing)] // a failing index fails the test

mod common;

use std::time::Duration;

use common::Log;
use workerman::testing::{Peer, Simulation};
use workerman::{AsyncTcpConnection, PROTOCOL_FAIL, SendStatus, Status, TcpConnection, Text, Timer, Worker};

type Client = AsyncTcpConnection<Text>;

/// A client that logs all it is told, and its loop.
fn client() -> (Simulation, Client, Log<String>) {
    let simulation = Simulation::new();
    let client = Client::new("text://server.test:1234");
    let log = Log::new();
    let (connect, message, error, close) = (log.writer(), log.writer(), log.writer(), log.writer());
    client.on_connect(move |_| connect("connect".to_owned()));
    client.on_message(move |_, line| message(format!("message {line}")));
    client.on_error(move |_, code, text| error(format!("error {code} {text}")));
    client.on_close(move |_| close("close".to_owned()));
    (simulation, client, log)
}

fn accept(simulation: &Simulation) -> Peer {
    simulation.run();
    let peer = simulation.accept().expect("it has connected");
    simulation.run();
    peer
}

#[test]
fn a_client_speaks_with_its_server() {
    let (simulation, client, log) = client();
    assert_eq!(client.status(), Status::Initial);
    client.connect();
    assert_eq!((client.status(), log.take()), (Status::Connecting, vec![]), "nothing happens inside of `connect`");
    let peer = accept(&simulation);
    assert_eq!((client.status(), log.take()), (Status::Established, vec!["connect".to_owned()]));
    assert_eq!(client.send("hello"), SendStatus::Sent);
    simulation.run();
    assert_eq!(peer.read_text(), "hello\n");
    peer.write("one\ntwo\n");
    simulation.run();
    assert_eq!(log.take(), ["message one", "message two"]);
    client.connect();
    simulation.run();
    assert!(simulation.accept().is_none(), "it stands already");
}

#[test]
fn what_is_sent_too_early_waits_and_comes_first() {
    let (simulation, client, _log) = client();
    assert_eq!(client.send("before connect"), SendStatus::Queued);
    client.on_connect(|client| client.send("on connect"));
    client.connect();
    assert_eq!(client.send("on its way"), SendStatus::Queued);
    let peer = accept(&simulation);
    assert_eq!(peer.read_text(), "before connect\non its way\non connect\n");
}

#[test]
fn no_more_than_1024_messages_wait() {
    let (simulation, client, _log) = client();
    let statuses: Vec<SendStatus> = (0..1025).map(|number: u32| client.send(number.to_string())).collect();
    assert!(statuses[..1024].iter().all(|status| *status == SendStatus::Queued));
    assert_eq!(statuses[1024], SendStatus::Dropped);
    client.connect();
    assert_eq!(accept(&simulation).read_text().lines().count(), 1024);
}

#[test]
fn a_client_that_has_closed_is_forgotten() {
    let (simulation, client, log) = client();
    client.connect();
    let peer = accept(&simulation);
    peer.finish();
    simulation.run();
    assert_eq!(log.take(), ["connect", "close"]);
    assert_eq!(
        (client.status(), client.send("x"), client.address()),
        (Status::Closed, SendStatus::Closed, String::new())
    );
    client.connect();
    client.reconnect(0);
    client.close();
    simulation.advance(Duration::from_secs(20));
    assert!(simulation.accept().is_none() && log.take().is_empty());
    let other = Client::new("text://server.test:1234");
    assert_ne!(client, other);
}

#[test]
fn a_client_comes_back_when_on_close_says_so() {
    let (simulation, client, log) = client();
    let told = log.writer();
    client.on_close(move |client| {
        told("close".to_owned());
        client.reconnect(0.5);
    });
    client.connect();
    for _ in 0..3 {
        accept(&simulation).reset();
        simulation.run();
        assert_eq!(log.take(), ["connect", "close"]);
        assert_eq!(client.status(), Status::Initial);
        assert_eq!(client.send("waits"), SendStatus::Queued);
        simulation.advance(Duration::from_millis(499));
        assert!(simulation.accept().is_none());
        simulation.advance(Duration::from_millis(1));
    }
    assert!(accept(&simulation).read_text().starts_with("waits\n"));
}

#[test]
fn a_reconnect_can_be_called_off() {
    for call_off in [Client::close, Client::destroy, Client::cancel_reconnect] {
        let (simulation, client, _log) = client();
        client.on_close(|client| client.reconnect(1));
        client.connect();
        accept(&simulation).finish();
        simulation.run();
        call_off(client);
        simulation.advance(Duration::from_secs(5));
        assert!(simulation.accept().is_none());
        assert_eq!(client.status(), Status::Closed);
    }
}

#[test]
fn a_connection_that_stands_is_closed_before_it_is_made_anew() {
    let (simulation, client, log) = client();
    client.connect();
    let first = accept(&simulation);
    client.reconnect(0);
    simulation.run();
    assert!(first.is_closed());
    let second = accept(&simulation);
    assert_eq!(log.take(), ["connect", "close", "connect"]);
    client.send("again");
    simulation.run();
    assert_eq!(second.read_text(), "again\n");
}

#[test]
fn who_gives_up_while_connecting_is_told_of_the_end_once() {
    let (simulation, client, log) = client();
    client.send("for nobody");
    client.connect();
    client.close();
    simulation.run();
    assert_eq!(log.take(), ["close"]);
    assert!(simulation.accept().is_none());
    assert_eq!(client.status(), Status::Closed);

    let never = Client::new("text://server.test:1234");
    never.close();
    assert_eq!((never.status(), never.address()), (Status::Closed, String::new()));
}

#[test]
fn a_wrong_address_is_told_by_on_error_and_then_on_close() {
    let simulation = Simulation::new();
    for (address, part) in [("http://a:1", "\"http\""), ("text://a", "no port"), ("", "no address")] {
        let client = Client::new(address);
        let log = Log::new();
        let (error, close) = (log.writer(), log.writer());
        client.on_error(move |_, code, text| error(format!("{code} {text}")));
        client.on_close(move |_| close("close".to_owned()));
        client.connect();
        simulation.run();
        let [told, closed] = log.take().try_into().expect("two events");
        assert!(told.starts_with(&format!("1 connect {address} fail after 0.000 seconds: ")), "{told}");
        assert!(told.contains(part) && closed == "close", "{told}");
    }
}

#[test]
fn what_breaks_the_protocol_ends_the_connection_and_no_more() {
    let (simulation, client, log) = client();
    client.connect();
    let peer = accept(&simulation);
    client.connection().expect("it stands").set_max_package_size(10);
    peer.write("a line that is too long\n");
    simulation.run();
    peer.finish();
    simulation.run();
    let events = log.take();
    assert!(events[1].starts_with(&format!("error {PROTOCOL_FAIL} ")), "{events:?}");
    assert_eq!(events.len(), 3);
}

#[test]
fn a_callback_that_fails_costs_the_connection_alone() {
    let (simulation, client, log) = client();
    Worker::set_panic_policy(workerman::PanicPolicy::CloseConnection);
    client.on_message(|_, _| -> workerman::Result<()> { Err("no use for it".into()) });
    client.connect();
    let peer = accept(&simulation);
    peer.write("x\n");
    simulation.run();
    assert_eq!(log.take(), ["connect", "close"]);
    assert!(peer.is_closed());
}

#[test]
fn a_client_is_piped_as_any_other_connection() {
    let simulation = Simulation::new();
    let worker = Worker::<Text>::new("");
    worker.on_connect(|browser: TcpConnection<Text>| {
        browser.pause_recv();
        let upstream = Client::new("text://server.test:1234");
        upstream.on_connect(move |upstream| {
            if let Some(upstream) = upstream.connection() {
                upstream.pipe(browser);
                browser.pipe(upstream);
                browser.resume_recv();
            }
        });
        upstream.connect();
    });
    let browser = simulation.connect(worker);
    browser.write("to the server\n");
    let server = accept(&simulation);
    simulation.run();
    assert_eq!(server.read_text(), "to the server\n");
    server.write("to the browser\n");
    simulation.run();
    assert_eq!(browser.read_text(), "to the browser\n");
    browser.finish();
    simulation.run();
    assert!(server.is_finished());
}

#[test]
fn a_loop_that_stops_needs_its_clients_for_the_answers_it_owes() {
    let simulation = Simulation::new();
    let worker = Worker::<workerman::Http>::new("");
    let upstream = Client::new("text://server.test:1234");
    upstream.on_close(|upstream| upstream.reconnect(0));
    upstream.connect();
    let server = accept(&simulation);
    worker.on_message(move |browser, _| {
        upstream.on_message(move |_, line| browser.send(line));
        upstream.send("what is it?")
    });
    let browser = simulation.connect(worker);
    browser.write(common::GET);
    simulation.run();
    assert_eq!(server.read_text(), "what is it?\n");
    Worker::stop_all_gracefully();
    simulation.begin_stop();
    simulation.advance(Duration::from_secs(5));
    assert!(!simulation.has_stopped() && !server.is_finished());
    server.write("this\n");
    simulation.advance(Duration::from_secs(1));
    assert!(browser.read_text().ends_with("\r\n\r\nthis"));
    assert!(server.is_finished() && simulation.has_stopped());
    assert!(simulation.accept().is_none(), "nobody comes back");
}

#[test]
fn who_waits_for_his_next_attempt_does_not_come_back_to_a_loop_that_stops() {
    let (simulation, client, _log) = client();
    let worker = Worker::<workerman::Http>::new("");
    worker.on_message(|_, _| ()); // it owes an answer for long
    let browser = simulation.connect(worker);
    browser.write(common::GET);
    simulation.run();
    client.reconnect(1);
    Worker::stop_all_gracefully();
    simulation.begin_stop();
    simulation.advance(Duration::from_secs(5));
    assert!(!simulation.has_stopped() && simulation.accept().is_none());
}

#[test]
fn a_loop_that_ends_forgets_its_clients() {
    let kept = std::rc::Rc::new(());
    let (simulation, client, _log) = client();
    let held = std::rc::Rc::clone(&kept);
    client.on_message(move |_, _| {
        let _held = &held;
    });
    client.on_close(|client| client.reconnect(1));
    client.connect();
    let _peer = accept(&simulation);
    Timer::delay(1, || ());
    drop(simulation);
    assert_eq!(std::rc::Rc::strong_count(&kept), 1);
}

#[test]
fn a_connect_in_any_callback_comes_after_the_on_close_that_is_due() {
    let (simulation, client, log) = client();
    let told = log.writer();
    client.set_connect_timeout(1);
    client.on_message(move |client, line| {
        told(format!("message {line}"));
        client.destroy();
        client.connect();
        assert_eq!(client.send("after connect"), SendStatus::Queued);
    });
    client.connect();
    accept(&simulation).write("x\n");
    simulation.run();
    assert_eq!(log.take(), ["connect", "message x", "close", "connect"]);
    assert_eq!(client.status(), Status::Established);
    let second = accept(&simulation);
    assert_eq!(second.read_text(), "after connect\n");
    second.finish();
    simulation.run();
    assert_eq!((client.status(), log.take()), (Status::Closed, vec!["close".to_owned()]));
}

#[test]
fn a_connect_in_on_error_is_another_attempt_after_on_close() {
    let simulation = Simulation::new();
    let client = Client::new("http://wrong.test:1");
    let log = Log::new();
    let (error, close) = (log.writer(), log.writer());
    let mut left = 2;
    client.on_error(move |client, _, _| {
        error("error");
        left -= 1;
        if left > 0 {
            client.connect();
        }
    });
    client.on_close(move |_| close("close"));
    client.connect();
    simulation.run();
    assert_eq!(log.take(), ["error", "close", "error", "close"]);
    assert_eq!(client.address(), "", "it is forgotten");
}

#[test]
fn an_attempt_that_is_put_off_does_not_go_on() {
    let (simulation, client, _log) = client();
    client.connect();
    client.reconnect(60);
    simulation.advance(Duration::from_secs(59));
    assert!(simulation.accept().is_none(), "it comes in a minute");
    simulation.advance(Duration::from_secs(1));
    assert!(simulation.accept().is_some());
}

#[test]
fn a_client_hears_of_the_end_behind_an_on_close_of_its_connection() {
    let (simulation, client, log) = client();
    let told = log.writer();
    client.on_connect(move |client| {
        let told = told.clone();
        let connection = client.connection().expect("it stands");
        connection.on_close(move |_| {
            told("the connection's own".to_owned());
            client.reconnect(1);
        });
    });
    client.connect();
    accept(&simulation).finish();
    simulation.run();
    assert_eq!((client.status(), log.take()), (Status::Initial, vec!["the connection's own".to_owned()]));
    simulation.advance(Duration::from_secs(1));
    let again = accept(&simulation);
    client.connection().expect("it stands").on_close(|_| ());
    again.finish();
    simulation.run();
    assert_eq!(client.address(), "", "it is forgotten");
}

#[test]
fn what_was_sent_before_a_close_is_not_sent_by_the_connection_after_it() {
    let (simulation, client, _log) = client();
    client.on_close(|client| {
        client.reconnect(1);
        assert_eq!(client.send("anew"), SendStatus::Queued);
    });
    client.send("for nobody");
    client.connect();
    client.destroy();
    simulation.advance(Duration::from_secs(1));
    assert_eq!(accept(&simulation).read_text(), "anew\n");
}

#[test]
fn a_client_whose_callbacks_panic_when_dropped_costs_itself() {
    struct Bad;
    impl Drop for Bad {
        fn drop(&mut self) {
            panic!("in a destructor");
        }
    }
    let (simulation, log) = (Simulation::new(), Log::new());
    Worker::set_panic_policy(workerman::PanicPolicy::CloseConnection);
    let client = Client::new("http://wrong.test:1");
    let (bad, told) = (Bad, log.writer());
    client.on_message(move |_, _| {
        let _held = &bad;
    });
    client.connect();
    Timer::delay(1, move || told("the loop goes on"));
    simulation.advance(Duration::from_secs(1));
    assert_eq!(log.take(), ["the loop goes on"]);
    assert_eq!(client.address(), "");
}

#[test]
fn a_loop_offers_no_connections_of_one_before_it() {
    let (simulation, client, _log) = client();
    client.connect();
    simulation.run();
    drop(simulation);
    let simulation = Simulation::new();
    assert!(simulation.accept().is_none());
}

/// A protocol whose constructor does something to the client of this thread.
struct Meddling;

thread_local! {
    static MEDDLE: std::cell::Cell<fn(AsyncTcpConnection<Meddling>)> = const { std::cell::Cell::new(|_| ()) };
    static CLIENT: std::cell::Cell<Option<AsyncTcpConnection<Meddling>>> = const { std::cell::Cell::new(None) };
}

impl Default for Meddling {
    fn default() -> Self {
        if let Some(client) = CLIENT.get() {
            MEDDLE.replace(|_| ())(client);
        }
        Self
    }
}

impl workerman::Protocol for Meddling {
    type Message = Vec<u8>;

    const SCHEME: &'static str = "tcp";

    fn input(&mut self, buffer: &[u8]) -> workerman::Result<Option<usize>> {
        Ok(Some(buffer.len()))
    }

    fn decode(&mut self, package: &[u8]) -> workerman::Result<Vec<u8>> {
        Ok(package.to_vec())
    }
}

#[test]
fn who_gives_up_in_the_constructor_of_his_codec_is_told_of_the_end_once() {
    type Client = AsyncTcpConnection<Meddling>;
    type Case = (fn(Client), &'static [&'static str]);
    let cases: [Case; 5] = [
        (Client::close, &["close"]),
        (Client::destroy, &["close"]),
        (|client| client.reconnect(1), &["connect"]),
        (
            |client| {
                client.close();
                client.connect();
            },
            &["close", "connect"],
        ),
        (
            |client| {
                client.close();
                panic!("in the constructor");
            },
            &["close"],
        ),
    ];
    for (meddle, events) in cases {
        let (simulation, log) = (Simulation::new(), Log::new());
        Worker::set_panic_policy(workerman::PanicPolicy::CloseConnection);
        let client = Client::new("tcp://server.test:1234");
        let (connect, error, close) = (log.writer(), log.writer(), log.writer());
        client.on_connect(move |_| connect("connect"));
        client.on_error(move |_, _, _| error("error"));
        client.on_close(move |_| close("close"));
        CLIENT.set(Some(client));
        MEDDLE.set(meddle);
        client.connect();
        simulation.run();
        let first = simulation.accept().expect("it has connected");
        assert!(first.is_closed(), "nobody wants this one");
        simulation.advance(Duration::from_secs(2));
        assert_eq!(log.take(), events);
        let stands = events.ends_with(&["connect"]);
        assert_eq!(client.status(), if stands { Status::Established } else { Status::Closed });
    }
}
