//! TLS in memory and in virtual time: handshakes that are slow, cut, wrong or many, on either side.

#![allow(clippy::indexing_slicing, clippy::unwrap_used)] // a failing index fails the test
#![cfg(feature = "_tls")]

mod support;
mod ways;

use std::fs;
use std::io::{Read, Write};
use std::time::Duration;

use rustls::ServerConnection;
use support::Log;
use ways::{End, Way, certificate};
use workerman::testing::{Peer, Simulation};
use workerman::{AsyncTcpConnection, Deadlines, Error, Http, Text, TlsClientOptions, TlsOptions, Worker};

const SECOND: Duration = Duration::from_secs(1);

fn echo(log: &Log) -> impl FnOnce(Worker<Text>) + use<> {
    let (connects, closes, errors) = (log.clone(), log.clone(), log.clone());
    move |worker| {
        worker.on_connect(move |_| connects.add("on_connect"));
        worker.on_close(move |_| closes.add("on_close"));
        worker.on_error(move |_, code, text| errors.add(format!("{code} {text}")));
        worker.on_message(|connection, line| connection.send(line));
    }
}

#[test]
fn handshakes_cut_at_every_byte_do_not_mix() {
    let log = Log::default();
    let server = Way::TlsInMemory.serve(echo(&log));
    let mut clients: Vec<_> = (0..3).map(|_| server.dial()).collect();
    for (nth, client) in clients.iter_mut().enumerate() {
        client.send_at_most(nth + 1);
        client.write(format!("line {nth}\n"));
    }
    // All of them a little further each time, in turn.
    let mut going = true;
    while going {
        going = false;
        for client in &mut clients {
            going |= client.go_on();
            server.simulation.run();
        }
    }
    for (nth, client) in clients.iter_mut().enumerate() {
        assert_eq!(client.take(), format!("line {nth}\n").as_bytes());
    }
    assert_eq!(log.take(), ["on_connect"; 3]);
}

#[test]
fn who_does_not_shake_hands_is_closed_in_time_and_the_app_has_not_heard_of_him() {
    for says in [&b""[..], b"\x16\x03\x01"] {
        let log = Log::default();
        let server = Way::TlsInMemory.serve(|worker| {
            echo(&log)(worker);
            worker.set_deadlines(Deadlines::default().handshake(3));
        });
        let mut client = server.dial();
        client.write_below(says);
        server.simulation.advance(2 * SECOND);
        assert!(client.take_below().is_empty());
        assert!(server.simulation.next_wake_up().is_some());
        server.simulation.advance(2 * SECOND);
        client.go_on();
        assert_eq!(client.end(), Some(End::Abrupt), "closed");
        assert_eq!(log.take(), [""; 0]);
        assert_eq!(server.simulation.next_wake_up(), None, "nothing of it is left");
    }
}

#[test]
fn plain_http_is_told_what_the_port_speaks() {
    let log = Log::default();
    let server = Way::TlsInMemory.serve(echo(&log));
    let mut client = server.dial();
    client.write_below("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    server.simulation.run();
    let answer = String::from_utf8(client.take_below()).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer}");
    assert!(head.contains(&format!("Content-Length: {}", body.len())), "{answer}");
    let mut client = server.dial();
    client.write_below("hello?");
    server.simulation.run();
    assert!(client.take_below().is_empty());
    assert_eq!(log.take(), [""; 0]);
}

#[test]
fn who_goes_in_the_middle_of_a_handshake_leaves_nothing() {
    let log = Log::default();
    let server = Way::TlsInMemory.serve(echo(&log));
    let mut client = server.dial();
    client.send_at_most(50);
    client.go_on();
    client.finish();
    server.simulation.run();
    assert_eq!((log.take(), server.simulation.next_wake_up()), (vec![], None));
}

#[test]
fn a_handshake_counts_as_a_connection() {
    let log = Log::default();
    let server = Way::Tls.serve(|worker| {
        echo(&log)(worker);
        worker.set_max_connections(1);
    });
    let first = server.dial();
    server.simulation.run();
    let mut second = server.dial();
    for _ in 0..3 {
        server.run(&mut second);
    }
    assert_eq!(log.take(), [""; 0], "the first has the only place and does not take it");
    drop(first);
    assert_eq!(server.exchange_much(&mut second, "now\n", 4), b"now\n");
    assert_eq!(log.take(), ["on_connect"]);
}

#[test]
fn what_is_garbled_costs_its_connection_and_is_told() {
    let log = Log::default();
    let server = Way::TlsInMemory.serve(echo(&log));
    let mut client = server.connect();
    client.write_below([0x17, 3, 3, 0, 20].into_iter().chain([0; 20]).collect::<Vec<u8>>());
    server.simulation.run();
    let lines = log.take();
    assert_eq!((lines[0].as_str(), lines[2].as_str()), ("on_connect", "on_close"));
    assert!(lines[1].contains("TLS: cannot decrypt"), "{}", lines[1]);
}

#[test]
fn what_came_before_something_garbled_is_heard_and_the_rest_is_no_end() {
    const GARBLED: [u8; 25] = [0x17, 3, 3, 0, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let log = Log::default();
    let server = Way::TlsInMemory.serve(|worker| {
        let heard = log.clone();
        echo(&log)(worker);
        worker.on_message(move |connection, line| {
            heard.add(&line);
            // For which it is too late.
            connection.send(line)
        });
    });
    let mut client = server.connect();
    client.write("line\n");
    client.write_below(GARBLED);
    server.simulation.run();
    let lines = log.take();
    assert_eq!((&*lines[0], &*lines[1], lines.last().map(|line| &**line)), ("on_connect", "line", Some("on_close")));
    assert!(lines[2].contains("TLS: cannot decrypt"), "{lines:?}");

    // A body goes where the app wants it, which may be full just before what is garbled.
    for length in [60_000, 65_536, 70_000] {
        let log = Log::default();
        let (errors, closes) = (log.clone(), log.clone());
        let server = Way::TlsInMemory.serve(|worker: Worker<Http>| {
            worker.on_head(|connection, _| connection.on_body(|_, _| {}));
            worker.on_error(move |_, _, text| errors.add(text));
            worker.on_close(move |_| closes.add("on_close"));
        });
        let mut client = server.connect();
        client.write(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", length + 1));
        server.run(&mut client);
        client.write(vec![b'x'; length]);
        client.write_below(GARBLED);
        server.simulation.run();
        let lines = log.take();
        assert!(lines.len() == 2 && lines[0].contains("TLS: cannot decrypt"), "{length}: {lines:?}");
    }
}

#[test]
fn a_process_that_stops_waits_for_a_handshake_and_what_is_asked_behind_it() {
    let log = Log::default();
    let server = Way::TlsInMemory.serve(echo(&log));
    let mut client = server.dial();
    client.send_at_most(100);
    client.go_on();
    Worker::stop_all_gracefully();
    server.simulation.begin_stop();
    server.simulation.advance(SECOND / 2);
    assert!(!server.simulation.has_stopped());
    client.send_at_most(usize::MAX);
    assert_eq!(server.exchange(&mut client, "late\n"), b"late\n");
    server.simulation.advance(SECOND);
    server.run(&mut client);
    assert_eq!(client.end(), Some(End::Orderly));
    assert!(server.simulation.has_stopped());
}

#[test]
fn files_that_are_wrong_are_an_error_at_start_that_names_them() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let (certificate, key) = certificate().files();
    fs::write(path("empty.pem"), "").unwrap();
    fs::write(path("broken.pem"), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
    fs::write(path("other.key"), rcgen::KeyPair::generate().unwrap().serialize_pem()).unwrap();
    fs::write(path("locked.key"), "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n")
        .unwrap();
    for (chain, key, wrong, reason) in [
        (path("none.pem"), key.clone(), "none.pem", "No such file"),
        (path("empty.pem"), key.clone(), "empty.pem", "no certificate"),
        (path("broken.pem"), key, "broken.pem", "cannot be understood"),
        (certificate.clone(), path("none.key"), "none.key", "No such file"),
        (certificate.clone(), certificate.clone(), "certificate.pem", "no private key"),
        (certificate.clone(), path("other.key"), "other.key", "not that of the certificate in"),
        (certificate, path("locked.key"), "locked.key", "is encrypted"),
    ] {
        let worker = Worker::<Text>::new("text://127.0.0.1:0");
        worker.set_transport_ssl(TlsOptions::new(&chain, &key));
        let error = worker.listen().unwrap_err();
        assert!(matches!(error, Error::Tls { .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains(wrong) && text.contains(reason), "{text}");
        assert!(worker.local_addr().is_none());
    }
}

#[test]
fn certificates_are_read_again_and_bad_ones_change_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (chain, key) = (directory.path().join("chain.pem"), directory.path().join("key.pem"));
    let install = || {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        fs::write(&chain, made.cert.pem()).unwrap();
        fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        made.cert.der().to_vec()
    };
    let first = install();
    let simulation = Simulation::new();
    let worker = Worker::<Text>::new("");
    worker.on_message(|connection, line| connection.send(line));
    worker.set_transport_ssl(TlsOptions::new(&chain, &key));
    worker.reload_certificates().unwrap();
    let shown = || {
        let client = AsyncTcpConnection::<Text>::new("ssl://localhost:1");
        client.set_transport_ssl(TlsClientOptions::new().danger_accept_invalid_certs(true));
        client.connect();
        simulation.run();
        let (ours, theirs) = (simulation.accept().unwrap(), simulation.connect(worker));
        for _ in 0..10 {
            theirs.write(ours.read());
            simulation.run();
            ours.write(theirs.read());
            simulation.run();
        }
        client.connection().unwrap().tls().unwrap().peer_certificates[0].clone()
    };
    assert_eq!(shown(), first);
    let second = install();
    assert_eq!(shown(), first, "nobody has read them again");
    worker.reload_certificates().unwrap();
    assert_eq!(shown(), second);
    fs::write(&chain, "half of a certific").unwrap();
    assert!(worker.reload_certificates().is_err());
    assert_eq!(shown(), second);
}

/// A client of ours, and the server's end of its connection.
fn client(log: &Log) -> (Simulation, AsyncTcpConnection<Text>, Peer) {
    let simulation = Simulation::new();
    let client = AsyncTcpConnection::<Text>::new("ssl://localhost:1");
    client.set_transport_ssl(TlsClientOptions::new().ca_file(certificate().files().0));
    let (connects, closes, errors, lines) = (log.clone(), log.clone(), log.clone(), log.clone());
    client.on_connect(move |client| {
        connects.add("on_connect");
        client.send("from on_connect");
    });
    client.on_close(move |_| closes.add("on_close"));
    client.on_error(move |_, code, text| errors.add(format!("{code} {text}")));
    client.on_message(move |_, line| lines.add(line));
    client.connect();
    client.send("from before");
    simulation.run();
    let peer = simulation.accept().unwrap();
    (simulation, client, peer)
}

/// Lets the server go on, with so many bytes at a time; answers what it has read.
fn serve(simulation: &Simulation, peer: &Peer, server: &mut ServerConnection, at_a_time: usize) -> String {
    let mut read = String::new();
    loop {
        let come = peer.read();
        let _ = server.read_tls(&mut &come[..]);
        let alerted = server.process_new_packets().is_err();
        let _ = server.reader().read_to_string(&mut read);
        let mut leaving = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut leaving).unwrap();
        }
        for piece in leaving.chunks(at_a_time) {
            peer.write(piece);
            simulation.run();
        }
        if come.is_empty() && leaving.is_empty() || alerted {
            return read;
        }
    }
}

#[test]
fn a_client_is_told_of_its_connection_when_it_is_encrypted() {
    for at_a_time in [1, 7, usize::MAX] {
        let log = Log::default();
        let (simulation, client, peer) = client(&log);
        let mut server = certificate().server();
        server.writer().write_all(b"greeting\n").unwrap();
        assert_eq!(log.take(), [""; 0]);
        let read = serve(&simulation, &peer, &mut server, at_a_time);
        assert_eq!(read, "from before\nfrom on_connect\n");
        assert_eq!(log.take(), ["on_connect", "greeting"]);
        server.send_close_notify();
        serve(&simulation, &peer, &mut server, at_a_time);
        peer.finish();
        simulation.run();
        assert_eq!(log.take(), ["on_close"]);
        assert_eq!(client.status(), workerman::Status::Closed);
    }
}

#[test]
fn what_goes_wrong_in_a_handshake_is_one_on_error_and_one_on_close() {
    type Wrong = fn(&Simulation, &AsyncTcpConnection<Text>, &Peer);
    let wrongs: [(&str, Wrong); 5] = [
        ("closes in the middle of the TLS handshake", |_, _, peer| peer.finish()),
        ("reset", |_, _, peer| peer.reset()),
        ("does not speak TLS: it begins with \"HTTP/1.1 400 Bad Request\"", |_, _, peer| {
            peer.write("HTTP/1.1 400 Bad Request\r\n\r\n");
        }),
        ("it takes too long", |simulation, _, _| simulation.advance(11 * SECOND)),
        // Which nobody who has no connection is told of.
        ("", |_, client, _| client.close()),
    ];
    for (reason, wrong) in wrongs {
        let log = Log::default();
        let (simulation, client, peer) = client(&log);
        wrong(&simulation, &client, &peer);
        simulation.run();
        let mut lines = log.take();
        assert_eq!(lines.pop().as_deref(), Some("on_close"), "{reason}");
        match lines.pop() {
            None => assert_eq!(reason, ""),
            Some(line) => assert!(line.contains(reason) && line.starts_with("1 connect ssl://"), "{line}"),
        }
        assert_eq!(lines, [""; 0], "{reason}");
        assert_eq!(simulation.next_wake_up(), None, "{reason}");
        assert!(peer.is_closed(), "{reason}");
    }
}

#[test]
fn a_server_whose_certificate_nobody_knows_is_not_talked_to() {
    let simulation = Simulation::new();
    for (options, reason) in [
        (TlsClientOptions::new().ca_file(certificate().files().0).server_name("example.com"), "not for example.com"),
        (TlsClientOptions::new().ca_file("/nowhere/ca.pem"), "/nowhere/ca.pem"),
        (TlsClientOptions::new().server_name("no name"), "\"no name\""),
    ] {
        let log = Log::default();
        let client = AsyncTcpConnection::<Text>::new("ssl://127.0.0.1:1");
        client.set_transport_ssl(options);
        let errors = log.clone();
        client.on_error(move |_, _, text| errors.add(text));
        client.connect();
        client.send("secret");
        simulation.run();
        let peer = simulation.accept().unwrap();
        let read = serve(&simulation, &peer, &mut certificate().server(), usize::MAX);
        assert_eq!(read, "");
        simulation.run();
        let lines = log.take();
        assert!(lines.len() == 1 && lines[0].contains(reason), "{lines:?}");
    }
}

#[test]
fn who_has_shaken_hands_with_a_process_that_stops_has_a_moment_to_ask() {
    // Whenever that is: connections are looked at again and again.
    for later in 0..6 {
        let server = Way::TlsInMemory.serve(|worker: Worker<Http>| {
            worker.on_message(|connection, request| connection.send(request.path()));
        });
        let mut client = server.dial();
        client.send_at_most(100);
        client.go_on();
        Worker::stop_all_gracefully();
        server.simulation.begin_stop();
        server.simulation.advance(SECOND + later * Duration::from_millis(49));
        client.send_at_most(usize::MAX);
        server.run(&mut client);
        // As long as the way there and back takes.
        server.simulation.advance(Duration::from_millis(100));
        let answer = String::from_utf8(server.exchange(&mut client, "GET /late HTTP/1.1\r\nHost: a\r\n\r\n")).unwrap();
        assert!(answer.ends_with("\r\n\r\n/late") && answer.contains("Connection: close\r\n"), "{later}: {answer}");
        server.run(&mut client);
        assert_eq!(client.end(), Some(End::Orderly));
        // Who asks nothing does not keep it.
        let mut idle = server.connect();
        server.simulation.advance(SECOND);
        server.run(&mut idle);
        assert_eq!(idle.end(), Some(End::Orderly));
        assert!(server.simulation.has_stopped());
    }
}
