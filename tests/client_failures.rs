//! Promise: whatever keeps a client from its server, or ends their connection, is told once and in words that a person
//! understands: an attempt that fails by one `on_error` and one `on_close`, a connection that ends by one `on_close`.

mod outside;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::thread;
use std::time::Duration;

use outside::{TemporaryDirectory, Told, free_address, now};
use workerman::{Tcp, Text};

/// The error of a client, with the seconds and these texts taken out.
fn failure(address: &str, secrets: &[(&str, &str)]) -> String {
    let client = Told::by::<Text>(address, |client| client.set_connect_timeout(0.3));
    let mut text = client.fails("");
    if let Some((start, rest)) = text.split_once(" after ")
        && let Some((seconds, reason)) = rest.split_once(" seconds: ")
    {
        assert!(seconds.parse::<f64>().is_ok(), "{text}");
        text = format!("{start}: {reason}");
    }
    secrets.iter().fold(text, |text, (secret, name)| text.replace(secret, name))
}

#[test]
fn each_failure_is_told_in_words_that_a_person_understands() {
    let dead = free_address();
    let silent = Silent::new();
    let directory = TemporaryDirectory::new("failures");
    let [none, file, left] = ["none", "file", "left"].map(|name| directory.0.join(name));
    std::fs::write(&file, "").expect("a file can be made");
    drop(UnixListener::bind(&left).expect("the path is free")); // as a server that was killed leaves it
    let place = directory.0.display().to_string();
    let (dead_port, silent) = (dead.port().to_string(), silent.address.to_string());
    let secrets = [(&*dead_port, "DEAD"), (&*silent, "SILENT"), (&*place, "DIR")];

    let rows = [
        (format!("text://127.0.0.1:{dead_port}"), "Connection refused (os error 111)"),
        (format!("text://localhost:{dead_port}"), "Connection refused (os error 111)"),
        (format!("text://{silent}"), "it takes too long"),
        (format!("unix://{}", none.display()), "No such file or directory (os error 2)"),
        (format!("unix://{}", file.display()), "Connection refused (os error 111)"),
        (format!("unix://{}", left.display()), "Connection refused (os error 111)"),
        (format!("unix://{}", directory.0.display()), "Connection refused (os error 111)"),
        (String::new(), "there is no address"),
    ];
    for (address, reason) in rows {
        let shown = secrets.iter().fold(address.clone(), |text, (secret, name)| text.replace(secret, name));
        assert_eq!(failure(&address, &secrets), format!("1 connect {shown} fail: {reason}"));
    }
    let rows = [
        ("text://127.0.0.1", "there is no port"),
        ("text://127.0.0.1:65536", "\"65536\" is not a port"),
        ("text://127.0.0.1:x", "\"x\" is not a port"),
        ("text://:80", "there is no host"),
        ("frame://127.0.0.1:1", "the scheme is \"frame\""),
    ];
    for (address, reason) in rows {
        let error = failure(address, &[]);
        assert!(error.starts_with(&format!("1 connect {address} fail: ")) && error.contains(reason), "{error}");
    }
}

#[test]
fn a_name_that_does_not_resolve_is_told() {
    // Without a network the reason is another one; the name is told in any case.
    let client = Told::by::<Text>("text://nothing.invalid:1", |_| {});
    let error = client.fails("connect text://nothing.invalid:1 fail after ");
    assert!(error.contains("failed to lookup address information: "), "{error}");
}

#[test]
fn a_server_that_never_answers_takes_as_long_as_it_may_and_no_longer() {
    let silent = Silent::new();
    let start = now();
    let client = Told::by::<Text>(&format!("text://{}", silent.address), |client| client.set_connect_timeout(0.3));
    client.fails("it takes too long");
    let took = start.elapsed();
    assert!((Duration::from_millis(300)..Duration::from_secs(5)).contains(&took), "{took:?}");
}

/// An address from which no answer comes: a listener whose queue is full, and from where nobody is taken.
struct Silent {
    address: SocketAddr,
    _sockets: Vec<socket2::Socket>,
}

impl Silent {
    fn new() -> Self {
        let new = || socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
        let listener = new();
        listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("a port is free");
        listener.listen(0).expect("it listens");
        let address = listener.local_addr().ok().and_then(|address| address.as_socket()).expect("it is bound");
        let fill = |_| {
            let socket = new();
            socket.set_nonblocking(true).expect("it need not wait");
            let _ = socket.connect(&address.into());
            socket
        };
        Self { address, _sockets: (0..4).map(fill).chain([listener]).collect() }
    }
}

/// A server that treats its one client so.
fn server(treat: impl FnOnce(TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || treat(listener.accept().expect("somebody comes").0));
    address
}

/// Ends a connection by RST.
fn reset(stream: TcpStream) {
    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("linger can be set");
    drop(stream);
}

#[test]
fn a_server_that_resets_at_once_is_told_once() {
    for _ in 0..20 {
        let address = server(reset);
        let client = Told::by::<Text>(&format!("text://{address}"), |_| {});
        // The reset may be there before anybody has seen that the connection stood.
        let first = client.next();
        assert!(first == "connect" || first.ends_with(": Connection reset by peer (os error 104)"), "{first}");
        client.ends();
    }
}

#[test]
fn half_a_message_before_a_reset_is_none() {
    let address = server(|mut stream| {
        stream.write_all(b"whole\nhal").expect("it listens");
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("it has heard that");
        reset(stream);
    });
    let client = Told::by::<Text>(&format!("text://{address}"), |client| {
        client.on_message({
            let mut first = true;
            move |client, line| {
                assert!(std::mem::take(&mut first) && line == "whole");
                client.send("x");
            }
        });
    });
    assert_eq!(client.next(), "connect");
    client.ends();
}

#[test]
fn what_cannot_be_sent_any_more_is_told_once() {
    let address = server(|mut stream| {
        let _ = stream.read(&mut [0]);
        reset(stream);
    });
    let client = Told::by::<Tcp>(&format!("tcp://{address}"), |client| {
        client.on_connect(|client| client.send(vec![b'x'; 8 << 20]));
    });
    // The reset is seen while the bytes leave, or after.
    let first = client.next();
    if first == "close" {
        assert_eq!(client.try_next(), None);
    } else {
        assert!(first.starts_with("2 "), "{first}");
        client.ends();
    }
}
