//! The promise: a client of datagrams speaks with its server, says what it cannot, and is gone when it is closed.
//!
//! Over loopback: a datagram has arrived when `send` returns.

mod common;
mod outside;

use std::cell::Cell;
use std::net::UdpSocket;
use std::rc::Rc;

use common::Log;
use outside::PATIENCE;
use workerman::{
    AsyncUdpConnection, CONNECT_FAIL, PROTOCOL_FAIL, PanicPolicy, SEND_FAIL, SendStatus, Status, Tcp, Text, Timer,
    UdpWorker, Worker,
};

type Client = AsyncUdpConnection<Text>;

/// A server that the test plays itself.
fn server() -> (UdpSocket, String) {
    let server = UdpSocket::bind("127.0.0.1:0").expect("a port is free");
    server.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
    let address = format!("udp://{}", server.local_addr().expect("an address"));
    (server, address)
}

/// A client that logs all it is told.
fn client(address: &str) -> (Client, Log<String>) {
    let (client, log) = (Client::new(address), Log::new());
    let (connect, message, error, close) = (log.writer(), log.writer(), log.writer(), log.writer());
    client.on_connect(move |_| connect("connect".to_owned()));
    client.on_message(move |_, line| message(format!("message {line}")));
    client.on_error(move |_, code, text| error(format!("error {code} {text}")));
    client.on_close(move |_| close("close".to_owned()));
    (client, log)
}

/// Runs the loop until a callback stops it.
fn run() {
    Worker::set_panic_policy(PanicPolicy::Propagate);
    Timer::delay(PATIENCE, || panic!("nothing has stopped the loop"));
    Worker::run_all().expect("the loop ends without an error");
}

/// Has the loop stop when this client is closed, which is the last that it is told of.
fn stop_on_close(client: Client, log: &Log<String>) {
    let told = log.writer();
    client.on_close(move |_| {
        told("close".to_owned());
        Worker::stop_all();
    });
}

#[test]
fn a_client_speaks_with_a_worker() {
    let worker = UdpWorker::<Text>::new("udp://127.0.0.1:0");
    worker.listen().expect("a port is free");
    worker.on_message(|connection, line| connection.send(format!("you said {line}")));
    let server = worker.local_addr().expect("it listens");
    let (client, log) = client(&server.to_string());
    let told = log.writer();
    client.on_message(move |client, line| {
        told(format!("message {line}"));
        assert_eq!((client.status(), client.remote_addr()), (Status::Established, Some(server)));
        assert!(client.local_addr().is_some_and(|address| address.ip().is_loopback()));
        client.close();
        assert_eq!((client.status(), client.send("x")), (Status::Closed, SendStatus::Closed));
    });
    stop_on_close(client, &log);
    assert_eq!((client.status(), client.send("hello")), (Status::Initial, SendStatus::Queued));
    run();
    assert_eq!(log.take(), ["connect", "message you said hello", "close"]);
    assert_eq!((client.status(), client.remote_addr()), (Status::Closed, None));
}

#[test]
fn a_name_is_looked_up() {
    let (client, log) = client("udp://localhost:9");
    client.on_connect(|client| client.close());
    stop_on_close(client, &log);
    client.connect();
    assert_eq!(client.status(), Status::Connecting);
    run();
    assert_eq!(log.take(), ["close"]);
}

#[test]
fn what_is_sent_before_the_socket_is_there_leaves_first_and_close_waits_for_it() {
    let (server, address) = server();
    let (client, log) = client(&address);
    stop_on_close(client, &log);
    assert_eq!(client.send("early"), SendStatus::Queued);
    assert_eq!(client.send_raw("raw"), SendStatus::Queued);
    client.on_connect(|_| panic!("it was closed before"));
    client.close_with("bye");
    assert_eq!((client.status(), client.send("late")), (Status::Closing, SendStatus::Closed));
    run();
    let mut buffer = [0; 100];
    for expected in ["early\n", "raw", "bye\n"] {
        let length = server.recv(&mut buffer).expect("a datagram");
        assert_eq!(std::str::from_utf8(&buffer[..length]), Ok(expected));
    }
    assert_eq!(log.take(), ["close"]);
}

#[test]
fn only_the_server_is_heard() {
    let (server, address) = server();
    let (client, log) = client(&address);
    stop_on_close(client, &log);
    let stranger = UdpSocket::bind("127.0.0.1:0").expect("a port is free");
    client.on_connect(move |client| {
        client.send("x");
        let mut buffer = [0; 10];
        let (_, own) = server.recv_from(&mut buffer).expect("a datagram");
        stranger.send_to(b"from a stranger\n", own).expect("it is sent");
        for line in ["one\ntwo\n", "broken", "three\n"] {
            server.send_to(line.as_bytes(), own).expect("it is sent");
        }
    });
    let (told, mut left) = (log.writer(), 3);
    client.on_message(move |client, line| {
        told(line);
        left -= 1;
        if left == 0 {
            client.close();
        }
    });
    client.connect();
    run();
    assert_eq!(log.take(), ["one", "two", "three", "close"]);
}

#[test]
fn what_goes_wrong_is_told() {
    for (address, part) in [
        ("udp://127.0.0.1", "no port"),
        ("text://127.0.0.1:1", "\"text\""),
        ("ssl://127.0.0.1:1", "udp://host:port"),
        ("unix:///a", "udp://host:port"),
        (&format!("udp://{}:1", "x".repeat(300)), "fail: "),
    ] {
        let (client, log) = client(address);
        stop_on_close(client, &log);
        client.send("lost");
        run();
        let events = log.take();
        assert!(events[0].starts_with(&format!("error {CONNECT_FAIL} connect {address} fail: ")), "{events:?}");
        assert!(events[0].contains(part) && events[1] == "close" && events.len() == 2, "{events:?}");
    }
}

#[test]
fn a_server_that_is_not_there_and_a_message_that_is_too_long_cost_no_more_than_that() {
    let (server, address) = server();
    drop(server);
    let client = AsyncUdpConnection::<Tcp>::new(&address);
    let told = Rc::new(Cell::new(0));
    let telling = Rc::clone(&told);
    client.on_error(move |client, code, text| {
        assert_eq!(code, SEND_FAIL);
        telling.set(telling.get() + 1);
        match telling.get() {
            1 => {
                assert!(text.contains("refused"), "{text}");
                Timer::delay(0.001, move || assert_eq!(client.send(vec![0; 65_508]), SendStatus::Dropped));
            }
            _ => {
                assert!(text.contains("too long"), "{text}");
                client.close();
            }
        }
    });
    client.on_close(|_| Worker::stop_all());
    client.send("is anybody there?");
    run();
    assert_eq!(told.get(), 2);
}

#[test]
fn what_is_against_the_protocol_is_told_and_the_next_is_read() {
    let (server, address) = server();
    let client = AsyncUdpConnection::<workerman::Frame>::new(&address);
    let log = Log::new();
    let (error, message) = (log.writer(), log.writer());
    client.on_error(move |_, code, _| error(format!("error {code}")));
    client.on_message(move |client, bytes| {
        message(format!("{} bytes", bytes.len()));
        client.close();
    });
    client.on_close(|_| Worker::stop_all());
    client.on_connect(move |client| {
        let own = client.local_addr().expect("a socket");
        server.send_to(b"\0\0\0\x03", own).expect("it is sent");
        server.send_to(b"\0\0\0\x05x", own).expect("it is sent");
    });
    client.connect();
    run();
    assert_eq!(log.take(), [format!("error {PROTOCOL_FAIL}"), "1 bytes".to_owned()]);
}

#[test]
fn who_was_never_used_is_forgotten_without_a_word() {
    let (client, log) = client("udp://127.0.0.1:9");
    client.close();
    assert_eq!((client.status(), log.take().len()), (Status::Closed, 0));
}
