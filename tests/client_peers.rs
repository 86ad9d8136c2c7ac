//! Promise: clients find real servers and come back to them, and talk with those of others: Redis, socat. What keeps them
//! from it: `tests/client_failures.rs`.

#![allow(clippy::indexing_slicing)] // a failing index fails the test

mod outside;
#[path = "protocols/resp.rs"]
mod resp;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;

use outside::{Peer, Process, TemporaryDirectory, Told, eventually, installed};
use resp::Resp;
use workerman::{Tcp, Text};

/// A server that says a line, and gives back what it is told in one.
fn echo_once(listener: &TcpListener) -> String {
    let (mut stream, _) = listener.accept().expect("somebody comes");
    stream.write_all(b"welcome\n").expect("it listens");
    let mut line = [0; 6];
    stream.read_exact(&mut line).expect("it says something");
    String::from_utf8_lossy(&line).into_owned()
}

fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    (listener, address)
}

#[test]
fn a_server_is_found_by_number_and_by_name() {
    let (listener, address) = listener();
    // A name may have addresses on which nobody listens: all are tried.
    for host in ["127.0.0.1", "localhost"] {
        let client = Told::by::<Text>(&format!("text://{host}:{}", address.port()), |client| {
            client.send("hello");
        });
        assert_eq!(echo_once(&listener), "hello\n");
        assert_eq!([client.next(), client.next(), client.next()], ["connect", "welcome", "close"]);
    }
}

#[test]
fn a_server_is_found_by_the_path_of_its_socket() {
    let directory = TemporaryDirectory::new("client");
    let path = directory.0.join("server.sock");
    let listener = UnixListener::bind(&path).expect("the path is free");
    let client = Told::by::<Text>(&format!("unix://{}", path.display()), |client| {
        client.send("hello");
    });
    let (mut stream, _) = listener.accept().expect("somebody comes");
    let mut line = [0; 6];
    stream.read_exact(&mut line).expect("it says something");
    stream.write_all(b"welcome\n").expect("it listens");
    drop(stream);
    assert_eq!([client.next(), client.next(), client.next()], ["connect", "welcome", "close"]);
}

#[test]
fn a_client_comes_back_to_a_server_that_comes_back() {
    let (listener, address) = listener();
    let client = Told::by::<Text>(&format!("text://{address}"), |client| {
        client.on_close(|client| client.reconnect(0.05));
    });
    drop(listener.accept().expect("it comes"));
    assert_eq!(client.next(), "connect");
    drop(listener);
    let error = client.next();
    assert!(error.contains("refused"), "{error}");
    let again = TcpListener::bind(address).expect("the port is free again");
    let (mut stream, _) = again.accept().expect("it comes back");
    stream.write_all(b"welcome\n").expect("it listens");
    let mut event = client.next();
    while event.starts_with("1 connect") {
        event = client.next();
    }
    assert_eq!([event, client.next()], ["connect", "welcome"]);
}

/// Redis on a port and on a socket of its own, with nothing on the disk.
fn redis() -> Peer {
    let peer = Peer::start("redis", |address, directory| {
        let mut command = installed("redis-server");
        command.args(["--bind", "127.0.0.1", "--port", &address.port().to_string(), "--save", "", "--dir"]);
        command.arg(directory).arg("--unixsocket").arg(directory.join("redis.sock"));
        command
    });
    eventually("Redis has its socket", || peer.directory.0.join("redis.sock").exists());
    peer
}

/// A client that asks all of this at once.
fn ask(address: &str, commands: Vec<String>) -> Told {
    Told::by::<Resp>(address, |client| {
        client.on_connect(move |client| {
            for command in &commands {
                client.send(command.clone());
            }
        });
    })
}

#[test]
fn redis_answers_a_thousand_commands_that_are_sent_at_once_in_their_order() {
    let redis = redis();
    let socket = redis.directory.0.join("redis.sock");
    for address in [format!("redis://{}", redis.address), format!("unix://{}", socket.display())] {
        let sets = (0..1000).map(|number| format!("SET key{number} v\u{e4}lue{number}"));
        let gets = (0..1000).map(|number| format!("GET key{number}"));
        let client = ask(&address, sets.chain(gets).chain(["GET nothing", "INCR key1"].map(str::to_owned)).collect());
        assert!((0..1000).all(|_| client.next() == "OK"));
        for number in 0..1000 {
            assert_eq!(client.next(), format!("v\u{e4}lue{number}"));
        }
        assert_eq!(client.next(), "(nil)");
        assert_eq!(client.next(), "ERR value is not an integer or out of range");
    }
}

#[test]
fn a_subscriber_of_redis_hears_what_another_client_says() {
    let redis = redis();
    let address = format!("redis://{}", redis.address);
    let subscriber = ask(&address, vec!["SUBSCRIBE news".to_owned()]);
    assert_eq!(subscriber.next(), "subscribe news 1");
    let large = "x".repeat(1 << 20);
    let publisher = ask(&address, vec!["PUBLISH news hello".to_owned(), format!("PUBLISH news {large}")]);
    assert_eq!([publisher.next(), publisher.next()], ["1", "1"]);
    assert_eq!(subscriber.next(), "message news hello");
    assert_eq!(subscriber.next(), format!("message news {large}"));
    // The server ends it, and the client is told.
    let killer = ask(&address, vec!["CLIENT KILL TYPE pubsub".to_owned()]);
    assert_eq!(killer.next(), "1");
    subscriber.ends();
}

/// socat, which does this for each who comes.
fn socat(work: &str) -> Peer {
    Peer::start("socat", |address, directory| {
        let mut command = installed("socat");
        command.arg(format!("TCP4-LISTEN:{},bind=127.0.0.1,fork", address.port())).arg(work).current_dir(directory);
        command
    })
}

#[test]
fn what_socat_gives_back_is_what_it_was_sent() {
    // Not its address `PIPE`: it writes to that without a look at how much room there is, and would wait for itself.
    let echo = socat("EXEC:cat");
    let path = echo.directory.0.join("echo.sock");
    let mut local = installed("socat");
    let _local = Process::start(local.arg(format!("UNIX-LISTEN:{},fork", path.display())).arg("EXEC:cat"));
    eventually("socat has its socket", || path.exists());
    let text: String = (0..200_000).map(|number| format!("{number:06}\n")).collect();
    for address in [echo.address.to_string(), format!("tcp://{}", echo.address), format!("unix://{}", path.display())] {
        let sent = text.clone();
        let client = Told::by::<Tcp>(&address, |client| {
            client.send(sent);
        });
        assert_eq!(client.next(), "connect");
        assert!(client.bytes(text.len()) == text, "{address}");
    }
}

#[test]
fn a_server_that_closes_its_half_ends_the_connection_after_its_last_bytes() {
    // It says what it has to say, then FIN; and would go on to listen.
    let server = socat("SYSTEM:echo one; echo two");
    let client = Told::by::<Text>(&format!("text://{}", server.address), |_| {});
    assert_eq!([client.next(), client.next(), client.next()], ["connect", "one", "two"]);
    client.ends();
}
