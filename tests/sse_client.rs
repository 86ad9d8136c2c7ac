//! Promise: an app reads a stream from our own servers and through a proxy, hands it on, and neither loses nor doubles an event
//! when the server goes and comes back.

#![allow(clippy::indexing_slicing)] // a failing index fails the test

#[cfg(feature = "_tls")]
#[path = "outside/certificates.rs"]
mod certificates;
mod outside;

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc;
use std::time::Duration;

use outside::{PATIENCE, Peer, Process, Program, Server, connect, free_address, read_until};
use workerman::{EventSource, Http, ReadyState, Response, ServerSentEvents, Worker};

/// The example, fed by this one.
fn hand_on(source: &str) -> (Process, SocketAddr) {
    Program::new("sse_client").with("SOURCE", source).serve()
}

fn subscribe(address: SocketAddr, last: Option<&str>) -> TcpStream {
    let mut client = connect(address);
    let last = last.map_or_else(String::new, |id| format!("Last-Event-ID: {id}\r\n"));
    write!(client, "GET / HTTP/1.1\r\nHost: test\r\nAccept: text/event-stream\r\n{last}\r\n").expect("it is sent");
    client
}

#[test]
fn events_of_one_example_reach_the_subscribers_of_the_other() {
    let (_source, address) = Program::new("sse").serve();
    let (client, here) = hand_on(&format!("http://{address}/"));
    assert_eq!(client.line(), format!("connected to http://{address}/"));
    let mut first = subscribe(here, None);
    let text = read_until(&mut first, "id: 1\ndata: hello 1\n\n");
    assert!(text.contains("event: message\n"), "{text}");
    // Who comes later gets what was missed, and who has seen it does not.
    read_until(&mut subscribe(here, None), "id: 1\ndata: hello 1\n\n");
    let text = read_until(&mut subscribe(here, Some("1")), "id: 2\ndata: hello 2\n\n");
    assert!(!text.contains("hello 1"), "{text}");
}

#[test]
fn a_source_that_is_started_again_is_found_and_nothing_is_lost() {
    let address = free_address();
    let start = || Program::new("sse").with("ADDRESS", address.to_string()).start();
    let source = start();
    source.line();
    let (_client, here) = hand_on(&format!("http://{address}/"));
    let mut subscriber = subscribe(here, None);
    read_until(&mut subscriber, "id: 1\ndata: hello 1\n\n");
    source.signal("KILL");
    source.wait();
    let _source = start();
    // The example goes on behind the id that it is asked for.
    let text = read_until(&mut subscriber, "id: 3\n");
    assert!(!text.contains("id: 1\n") && text.matches("id: 2\n").count() == 1, "{text}");
}

#[test]
fn a_source_that_is_none_ends_the_example_with_the_cause() {
    let (_server, address) = Program::new("hello").serve();
    let (client, _) = hand_on(&format!("http://{address}/"));
    let line = client.line();
    assert!(line.contains("is no event stream"), "{line}");
    assert!(client.wait().0.success());
}

/// nginx in front of a server, until it is dropped.
fn nginx(server: SocketAddr) -> Peer {
    Peer::nginx(&format!(
        "server {{ listen 127.0.0.1:@PORT@; location / {{ proxy_pass http://{server}; proxy_http_version 1.1;
           proxy_set_header Connection \"\"; }} }}"
    ))
}

/// What a source on a loop of its own tells, and how it ends.
fn watch(url: String) -> (Server, mpsc::Receiver<String>) {
    watch_by(url, |_| {})
}

fn watch_by(url: String, how: impl FnOnce(EventSource) + Send + 'static) -> (Server, mpsc::Receiver<String>) {
    let (sender, told) = mpsc::channel();
    let server = Server::start(|_| {});
    let set_up = move || {
        let source = EventSource::new(&url);
        how(source);
        let (events, errors) = (sender.clone(), sender);
        source.on_message(move |_, event| events.send(format!("{} {}", event.id(), event.data())));
        source.on_error(move |source, text| errors.send(format!("{:?} {text}", source.ready_state())));
    };
    server.handle.run(set_up).expect("the loop runs");
    (server, told)
}

fn receive(told: &mpsc::Receiver<String>) -> String {
    told.recv_timeout(PATIENCE).expect("it is told")
}

#[test]
fn a_stream_through_nginx_is_the_same_and_comes_back_when_the_server_does() {
    let server = Server::start(tell_three);
    let nginx = nginx(server.address);
    let url = format!("http://{}/events", nginx.address);
    let (_watcher, told) = watch(url.clone());
    let mut next = 1;
    while next <= 9 {
        for id in next..next + 3 {
            assert_eq!(receive(&told), format!("{id} x\ny"));
        }
        assert_eq!(receive(&told), format!("Connecting {url}: the stream has ended"));
        next += 3;
    }
    // nginx answers for a server that is gone: that is no reason to stay away.
    drop(server);
    let lost = loop {
        let told = receive(&told);
        if !told.ends_with("the stream has ended") && !told.ends_with("x\ny") {
            break told;
        }
    };
    assert_eq!(lost, format!("Connecting {url}: the server answers 502 Bad Gateway"));
}

/// Three events for each who comes, behind those that he has seen.
fn tell_three(worker: Worker<Http>) {
    worker.on_message(|connection, request| {
        let seen: u64 = request.last_event_id().and_then(|id| id.parse().ok()).unwrap_or(0);
        connection.send(Response::new(200, &[("Content-Type", "text/event-stream")], ""));
        for id in seen + 1..=seen + 3 {
            connection.send(ServerSentEvents::new().id(id).retry(50).data("x\ny"));
        }
        connection.add_timer(0.05, move || connection.close());
    });
}

#[cfg(feature = "_tls")]
#[test]
fn a_stream_by_tls_comes_back_too_and_from_nobody_who_is_not_trusted() {
    use workerman::{TlsClientOptions, TlsOptions};

    let authority = certificates::Authority::new();
    let pair = authority.sign(&["127.0.0.1"]);
    let (certificate, key) = (pair.certificate.clone(), pair.key.clone());
    let server = Server::start(move |worker| {
        worker.set_transport_ssl(TlsOptions::new(certificate, key));
        tell_three(worker);
    });
    let nginx = Peer::nginx(&format!(
        "server {{ listen 127.0.0.1:@PORT@ ssl; ssl_certificate {}; ssl_certificate_key {};
             location / {{ proxy_pass https://{}; proxy_http_version 1.1; proxy_set_header Connection \"\"; }} }}",
        pair.certificate.display(),
        pair.key.display(),
        server.address
    ));
    for address in [server.address, nginx.address] {
        let (url, file) = (format!("https://{address}/events"), authority.file());
        let options = TlsClientOptions::new().ca_file(file);
        let (_watcher, told) = watch_by(url.clone(), |source| source.set_transport_ssl(options));
        for next in [1, 4, 7] {
            for id in next..next + 3 {
                assert_eq!(receive(&told), format!("{id} x\ny"));
            }
            assert_eq!(receive(&told), format!("Connecting {url}: the stream has ended"));
        }
        let (_watcher, told) = watch(url.clone());
        let refused = receive(&told);
        assert!(refused.starts_with(&format!("Connecting {url}: no connection: ")), "{refused}");
        assert!(refused.contains("signed"), "{refused}");
    }
}

#[test]
fn ten_thousand_events_come_in_order_to_one_who_pauses() {
    const EVENTS: u64 = 10_000;
    let server = Server::start(|worker| {
        worker.on_message(|connection, _| {
            connection.set_max_send_buffer_size(usize::MAX);
            connection.send(Response::new(200, &[("Content-Type", "text/event-stream")], ""));
            for id in 0..EVENTS {
                connection.send(ServerSentEvents::new().id(id).data("x".repeat(500)));
            }
        });
    });
    let (sender, told) = mpsc::channel();
    let url = server.url("/");
    let watcher = Server::start(|_| {});
    let set_up = move || {
        let source = EventSource::new(&url);
        let mut expected = 0;
        source.on_message(move |source, event| {
            assert_eq!(event.id(), expected.to_string());
            expected += 1;
            if expected % 1000 == 0 {
                source.pause_recv();
                workerman::Timer::delay(0.01, move || source.resume_recv());
            }
            if expected == EVENTS {
                source.close();
                assert_eq!(source.ready_state(), ReadyState::Closed);
                let _ = sender.send(());
            }
        });
    };
    watcher.handle.run(set_up).expect("the loop runs");
    told.recv_timeout(PATIENCE).expect("all come");
}

#[test]
fn a_loop_with_an_open_source_stops_at_once() {
    let server = Server::start(|worker| {
        worker.on_message(|connection, _| {
            connection.send(Response::new(200, &[("Content-Type", "text/event-stream")], "data: x\n\n"));
        });
    });
    let (watcher, told) = watch(server.url("/"));
    assert_eq!(receive(&told), " x");
    let start = outside::now();
    drop(watcher);
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
}
