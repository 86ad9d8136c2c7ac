//! Promise: a client is piped before it stands, and nothing is lost or grows without bound meanwhile.

#![allow(clippy::indexing_slicing)] // a failing index fails the test

mod common;

use std::time::Duration;

use common::Log;
use workerman::testing::{Peer, Simulation};
use workerman::{AsyncTcpConnection, SendStatus, Status, Tcp, Worker};

type Client = AsyncTcpConnection<Tcp>;

/// A door to a server behind a proxy, which lets the server wait; a browser that has come, and the proxy.
fn door() -> (Simulation, Peer, Peer, Client) {
    let (simulation, worker) = (Simulation::new(), Worker::<Tcp>::new(""));
    worker.on_message(|_, _| panic!("all of it is the server's"));
    worker.on_connect(|browser| {
        let server = Client::new("tcp://server.test:1234");
        server.set_proxy("http://proxy.test");
        browser.pipe(server);
        server.pipe(browser);
        server.connect();
        browser.set(server);
    });
    let browser = simulation.connect(worker);
    simulation.run();
    let server = worker.connections().next().and_then(|browser| browser.get()).expect("a client");
    let proxy = simulation.accept().expect("it has connected");
    assert!(proxy.read_text().starts_with("CONNECT"));
    (simulation, browser, proxy, server)
}

fn let_through(simulation: &Simulation, proxy: &Peer) {
    proxy.write("HTTP/1.1 200 OK\r\n\r\n");
    simulation.run();
}

#[test]
fn what_comes_before_the_server_is_there_waits_for_it() {
    let (simulation, browser, proxy, server) = door();
    let bytes = "x".repeat(1 << 20);
    browser.write(&bytes);
    simulation.run();
    assert_eq!(server.status(), Status::Connecting);
    let_through(&simulation, &proxy);
    let mut heard = proxy.read_text();
    simulation.run();
    heard.push_str(&proxy.read_text());
    assert!(heard == bytes, "{}", heard.len());
    proxy.write("an answer");
    simulation.run();
    assert_eq!(browser.read_text(), "an answer");
    proxy.finish();
    simulation.run();
    assert!(browser.is_finished());
}

#[test]
fn nothing_is_read_of_a_source_that_waits() {
    let (simulation, worker) = (Simulation::new(), Worker::<Tcp>::new(""));
    let browser = simulation.connect(worker);
    let connection = worker.connections().next().expect("a connection");
    connection.pipe(Client::new("tcp://server.test:1234"));
    for _ in 0..100 {
        browser.write("x".repeat(10_000));
        simulation.run();
    }
    assert!(connection.bytes_read() <= 64 * 1024, "{}", connection.bytes_read());
}

#[test]
fn a_server_that_is_not_there_closes_the_door() {
    let (simulation, browser, proxy, server) = door();
    browser.write("for nobody");
    proxy.write("HTTP/1.1 502 Bad Gateway\r\n\r\n");
    simulation.run();
    assert!(browser.is_finished() && server.status() == Status::Closed);

    let (simulation, browser, _proxy, server) = door();
    server.close();
    simulation.run();
    assert!(browser.is_finished());
}

#[test]
fn a_browser_that_has_said_all_and_left_is_heard_to_its_end() {
    let (simulation, browser, proxy, server) = door();
    browser.write("all there is");
    browser.finish();
    simulation.run();
    let_through(&simulation, &proxy);
    assert_eq!(proxy.read_text(), "all there is");
    assert!(proxy.is_finished());
    simulation.advance(Duration::from_secs(2));
    assert_eq!(server.status(), Status::Closed);
}

#[test]
fn a_server_whose_browser_is_lost_is_not_kept() {
    let (simulation, browser, proxy, _server) = door();
    browser.reset();
    simulation.run();
    let_through(&simulation, &proxy);
    assert!(proxy.is_finished());
}

#[test]
fn a_client_that_tries_again_is_waited_for() {
    let (simulation, browser, proxy, server) = door();
    browser.write("patience");
    server.on_close(|server| {
        server.set_proxy("");
        server.reconnect(1);
    });
    proxy.reset();
    simulation.run();
    assert!(!browser.is_finished());
    simulation.advance(Duration::from_secs(1));
    assert_eq!(simulation.accept().expect("it has come back").read_text(), "patience");
}

#[test]
fn two_clients_are_joined_whichever_stands_first() {
    let simulation = Simulation::new();
    let (one, other) = (Client::new("tcp://one.test:1"), Client::new("tcp://other.test:1"));
    one.pipe(other);
    other.pipe(one);
    one.connect();
    simulation.run();
    let first = simulation.accept().expect("it has connected");
    first.write("early, ");
    simulation.run();
    other.connect();
    simulation.run();
    let second = simulation.accept().expect("it has connected");
    first.write("late");
    simulation.run();
    assert_eq!(second.read_text(), "early, late");
    second.write("back");
    simulation.run();
    assert_eq!(first.read_text(), "back");
    first.finish();
    simulation.run();
    assert!(second.is_finished());
}

#[test]
fn what_a_client_is_told_before_it_stands_holds_for_each_of_its_connections() {
    let (simulation, log) = (Simulation::new(), Log::new());
    let client = Client::new("tcp://server.test:1");
    client.set_max_send_buffer_size(5);
    client.set_max_package_size(6);
    client.set(7_u64);
    assert_eq!(client.send_raw("raw"), SendStatus::Queued);
    let told = log.writer();
    client.on_connect(move |client| {
        let connection = client.connection().expect("it stands");
        told((connection.max_send_buffer_size(), connection.max_package_size(), client.get()));
    });
    client.on_close(|client| client.reconnect(1));
    client.connect();
    simulation.run();
    let peer = simulation.accept().expect("it has connected");
    assert_eq!(peer.read_text(), "raw");
    client.pause_recv();
    peer.write("x");
    peer.reset();
    simulation.advance(Duration::from_secs(1));
    assert_eq!(log.take(), [(5, 6, Some(7_u64)); 2]);
    let peer = simulation.accept().expect("it has come back");
    client.close_with("bye");
    simulation.run();
    assert_eq!((peer.read_text().as_str(), peer.is_finished()), ("bye", true));
    simulation.advance(Duration::from_secs(1));
    assert_eq!((client.status(), client.get::<u64>()), (Status::Established, Some(7)), "it has come back");
}
