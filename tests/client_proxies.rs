//! Promise: a client reaches its server through a proxy as if there were none, and says in words why it does not.

#![allow(clippy::indexing_slicing)] // a failing index fails the test

mod common;

use std::time::Duration;

use common::Log;
use workerman::testing::{Peer, Simulation};
use workerman::{AsyncTcpConnection, Status, Text};

type Client = AsyncTcpConnection<Text>;

/// A client behind a proxy that logs all it is told, and the proxy.
fn client(proxy: &str) -> (Simulation, Client, Log<String>, Peer) {
    let simulation = Simulation::new();
    let client = Client::new("text://server.test:1234");
    let log = log(client);
    client.set_proxy(proxy);
    client.connect();
    simulation.run();
    let peer = simulation.accept().expect("it has connected");
    simulation.run();
    (simulation, client, log, peer)
}

fn log(client: Client) -> Log<String> {
    let log = Log::new();
    let (connect, message, error, close) = (log.writer(), log.writer(), log.writer(), log.writer());
    client.on_connect(move |_| connect("connect".to_owned()));
    client.on_message(move |_, line| message(format!("message {line}")));
    client.on_error(move |_, code, text| error(format!("error {code} {text}")));
    client.on_close(move |_| close("close".to_owned()));
    log
}

#[test]
fn an_http_proxy_is_asked_for_the_way() {
    let (simulation, client, log, proxy) = client("http://me:secret@proxy.test:3128");
    assert_eq!(client.send("early"), workerman::SendStatus::Queued);
    assert_eq!(
        proxy.read_text(),
        "CONNECT server.test:1234 HTTP/1.1\r\nHost: server.test:1234\r\n\
         Proxy-Authorization: Basic bWU6c2VjcmV0\r\n\r\n"
    );
    assert_eq!((client.status(), log.take().len()), (Status::Connecting, 0));
    proxy.write("HTTP/1.1 200 Connection established\r\n\r\nhello\n");
    simulation.run();
    assert_eq!(log.take(), ["connect", "message hello"], "what the server has said at once is not lost");
    assert_eq!(proxy.read_text(), "early\n");
}

#[test]
fn a_socks5_proxy_is_asked_for_the_way() {
    let (simulation, _client, log, proxy) = client("socks5://me:secret@proxy.test");
    assert_eq!(proxy.read(), b"\x05\x02\x00\x02");
    proxy.write(b"\x05\x02");
    simulation.run();
    assert_eq!(proxy.read(), b"\x01\x02me\x06secret");
    proxy.write(b"\x01\x00");
    simulation.run();
    assert_eq!(proxy.read(), b"\x05\x01\x00\x03\x0bserver.test\x04\xd2");
    proxy.write(b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x01hello\n");
    simulation.run();
    assert_eq!(log.take(), ["connect", "message hello"]);
}

#[test]
fn an_answer_may_come_byte_by_byte_and_a_request_leave_so() {
    for (address, answers) in [
        ("http://proxy.test", &[&b"HTTP/1.1 200 OK\r\n\r\nhello\n"[..]][..]),
        ("socks5://proxy.test", &[b"\x05\x00", b"\x05\x00\x00\x03\x01a\x00\x01hello\n"]),
    ] {
        let (simulation, client) = (Simulation::new(), Client::new("text://server.test:1234"));
        let log = log(client);
        client.set_proxy(address);
        client.connect();
        simulation.turn();
        let proxy = simulation.accept().expect("it has connected");
        proxy.set_segment(1);
        proxy.set_write_limit(1);
        for answer in answers {
            simulation.run();
            assert!(log.take().is_empty());
            proxy.write(answer);
        }
        simulation.run();
        assert_eq!(log.take(), ["connect", "message hello"]);
    }
}

#[test]
fn what_a_proxy_has_against_it_is_told() {
    for (address, answer, text) in [
        (
            "http://proxy.test",
            &b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"[..],
            "the proxy says 407 Proxy Auth",
        ),
        ("http://proxy.test", b"nonsense", "the proxy does not speak HTTP"),
        ("socks5://proxy.test", b"\x05\xff", "SOCKS5: the proxy wants a user and a password"),
        ("socks5://proxy.test", b"\x05\x00\x05\x05", "SOCKS5: connection refused"),
    ] {
        let (simulation, client, log, proxy) = client(address);
        proxy.write(answer);
        simulation.run();
        let events = log.take();
        assert!(
            events[0].starts_with("error 1 connect text://server.test:1234 fail after 0.000 seconds: "),
            "{events:?}"
        );
        assert!(events[0].contains(text) && events[1] == "close" && events.len() == 2, "{events:?}");
        assert!(proxy.is_closed());
        assert_eq!(client.address(), "", "it is forgotten");
    }
}

#[test]
fn a_proxy_that_goes_or_says_nothing_ends_the_attempt() {
    let (simulation, _client, log, proxy) = client("http://proxy.test");
    proxy.write("HTTP/1.1 200 OK\r\n");
    proxy.finish();
    simulation.run();
    assert!(log.take()[0].ends_with("the proxy has closed the connection"));

    let (simulation, _client, log, proxy) = client("socks5://proxy.test");
    proxy.reset();
    simulation.run();
    assert!(log.take()[0].contains("the proxy is lost: "));

    let (simulation, _client, log, proxy) = client("http://proxy.test");
    simulation.advance(Duration::from_secs(11));
    let events = log.take();
    assert!(events[0].contains("fail after 10.00") && events[0].ends_with("it takes too long"), "{events:?}");
    assert!(events.len() == 2 && proxy.is_closed());
}

#[test]
fn a_proxys_address_that_is_wrong_is_told_as_that_of_the_server_is() {
    let simulation = Simulation::new();
    for (server, proxy, text) in [
        ("text://server.test:1", "https://proxy.test:1", "a proxy is \"socks5://host:port\""),
        ("text://server.test:1", "http://:1", "the proxy's address: there is no host"),
        ("unix:///run/app.sock", "http://proxy.test:1", "no proxy leads to a Unix socket"),
    ] {
        let client = Client::new(server);
        let log = log(client);
        client.set_proxy(proxy);
        client.connect();
        simulation.run();
        let events = log.take();
        assert!(events[0].contains(text) && events.len() == 2, "{events:?}");
    }
}

#[test]
fn each_attempt_asks_the_proxy_that_is_set_then() {
    let (simulation, client, log, proxy) = client("http://proxy.test");
    client.on_close(|client| {
        client.set_proxy("");
        client.reconnect(1);
    });
    assert!(proxy.read_text().starts_with("CONNECT "));
    proxy.finish();
    simulation.run();
    assert!(log.take()[0].starts_with("error"));
    simulation.advance(Duration::from_secs(1));
    let server = simulation.accept().expect("it has connected");
    assert_eq!((server.read_text(), log.take()), (String::new(), vec!["connect".to_owned()]));
}

#[test]
fn who_gives_up_while_the_proxy_is_asked_is_told_of_the_end_once() {
    let (simulation, client, log, proxy) = client("http://proxy.test");
    client.close();
    simulation.run();
    assert!(proxy.is_closed());
    proxy.write("HTTP/1.1 200 OK\r\n\r\n");
    simulation.advance(Duration::from_secs(20));
    assert_eq!(log.take(), ["close"]);
}
