//! Promise: a connection of HTTP goes on in another protocol when its client asks for that, without losing a byte, its
//! data, its limits or the end that its worker is told of; and old handles reach nothing.

#![allow(clippy::indexing_slicing)] // a failing index fails the test

#[path = "websocket/client.rs"]
mod client;
mod support;

use std::time::Duration;

use client::{FIN, Frame, PING, TEXT, close, exchange, frame, frames, handshake, text};
use proptest::prelude::*;
use support::{Log, get};
use workerman::testing::{Peer, Simulation};
use workerman::{
    Deadlines, Frame as Framed, Http, Request, Response, SendStatus, Status, Tcp, TcpConnection, Text, UpgradeError,
    Websocket, Worker,
};

/// A worker that upgrades what asks for `/chat` to an echo of its own, and answers everything else.
fn site() -> (Simulation, Worker<Http>) {
    let simulation = Simulation::new();
    let worker = Worker::<Http>::new("");
    worker.on_message(|connection, request| {
        if request.path() != "/chat" {
            connection.send(request.path());
        } else if let Ok(websocket) = connection.upgrade::<Websocket>(request) {
            websocket.on_message(|websocket, message| websocket.send(message));
        }
    });
    (simulation, worker)
}

/// A worker whose upgraded connections are those of another.
fn two_workers() -> (Simulation, Worker<Http>, Worker<Websocket>) {
    let simulation = Simulation::new();
    let (site, chat) = (Worker::<Http>::new(""), Worker::<Websocket>::new(""));
    site.on_message(move |connection, request| {
        if request.path() != "/chat" {
            connection.send(request.path());
        } else {
            connection.upgrade_to(chat, request).expect("an upgrade");
        }
    });
    chat.on_message(|connection, message| connection.send(message));
    (simulation, site, chat)
}

/// A connection that has been upgraded.
fn upgraded(simulation: &Simulation, worker: Worker<Http>) -> Peer {
    let peer = simulation.connect(worker);
    peer.write(handshake(""));
    simulation.run();
    let answer = peer.read_text();
    assert!(answer.starts_with("HTTP/1.1 101 ") && answer.ends_with("\r\n\r\n"), "{answer}");
    peer
}

/// Splits what came behind the first blank line.
fn behind_head(bytes: &[u8]) -> (&str, &[u8]) {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("the answer's end") + 4;
    (std::str::from_utf8(&bytes[..end]).expect("a head in ASCII"), &bytes[end..])
}

#[test]
fn one_port_serves_pages_and_websockets() {
    let (simulation, worker) = site();
    let peer = simulation.connect(worker);
    peer.write(get("/a") + &get("/b") + &handshake(""));
    peer.write(text("hi"));
    simulation.run();
    let all = peer.read();
    let (first, rest) = behind_head(&all);
    assert!(first.starts_with("HTTP/1.1 200 OK") && rest.starts_with(b"/a"), "{first}");
    let (second, rest) = behind_head(&rest[2..]);
    assert!(second.starts_with("HTTP/1.1 200 OK") && rest.starts_with(b"/b"), "{second}");
    let (third, rest) = behind_head(&rest[2..]);
    assert_eq!(
        third,
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
    );
    assert_eq!(frames(rest), [Frame::text("hi")]);
    assert_eq!(exchange(&simulation, &peer, frame(FIN | PING, "p")), [Frame::pong("p")]);
    assert_eq!(exchange(&simulation, &peer, close(4000, "")), [Frame::close(4000)]);
}

#[test]
fn bytes_behind_the_request_are_frames_wherever_they_are_cut() {
    let bytes = [get("/a").as_bytes(), handshake("").as_bytes(), &text("one"), &text("two")].concat();
    for cut in 1..bytes.len() {
        let (simulation, worker) = site();
        let peer = simulation.connect(worker);
        peer.write(&bytes[..cut]);
        simulation.run();
        peer.write(&bytes[cut..]);
        simulation.run();
        let all = peer.read();
        let rest = behind_head(&all).1;
        let (head, rest) = behind_head(&rest[2..]);
        assert!(head.starts_with("HTTP/1.1 101 "), "cut at {cut}: {head}");
        assert_eq!(frames(rest), [Frame::text("one"), Frame::text("two")], "cut at {cut}");
    }
    let (simulation, worker) = site();
    let peer = simulation.connect(worker);
    peer.set_segment(1);
    peer.write(&bytes);
    simulation.run();
    assert!(peer.read().ends_with(b"\x81\x03one\x81\x03two"), "byte by byte");
}

#[test]
fn the_rest_is_handled_in_the_same_turn() {
    let (simulation, worker) = site();
    let peer = simulation.connect(worker);
    peer.write([handshake("").as_bytes(), &text("hi")].concat());
    simulation.turn();
    assert!(peer.read().ends_with(b"\x81\x02hi"));
}

#[test]
fn a_request_behind_the_upgrade_is_no_frame() {
    let (simulation, worker) = site();
    let peer = simulation.connect(worker);
    peer.write(handshake("") + &get("/never"));
    simulation.run();
    let all = peer.read();
    let (head, rest) = behind_head(&all);
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    assert_eq!(frames(rest).iter().map(Frame::code).collect::<Vec<_>>(), [Some(1002)]);
    assert!(peer.is_finished());
}

#[test]
fn old_handles_answer_that_they_speak_another_protocol() {
    let simulation = Simulation::new();
    let worker = Worker::<Http>::new("");
    worker.on_message(|connection, request| {
        let old = TcpConnection::<Http>::find(connection.id()).expect("it is there");
        let websocket = connection.upgrade::<Websocket>(request).expect("an upgrade");
        assert_eq!(websocket.id(), connection.id());
        for handle in [connection, old] {
            assert_eq!(handle.send("x"), SendStatus::WrongProtocol);
            assert_eq!(handle.send_raw("x"), SendStatus::WrongProtocol);
            assert_eq!(handle.status(), Status::Established);
        }
        assert_eq!(TcpConnection::<Http>::find(connection.id()), None);
        assert_eq!(TcpConnection::<Websocket>::find(connection.id()), Some(websocket));
        assert_eq!(websocket.send("early"), SendStatus::Queued);
        connection.add_timer(1, move || assert_eq!(connection.send("late"), SendStatus::WrongProtocol));
    });
    let peer = simulation.connect(worker);
    peer.write(handshake(""));
    simulation.advance(Duration::from_secs(3));
    assert_eq!(frames(behind_head(&peer.read()).1), [Frame::text("early")]);
}

#[test]
fn the_end_is_told_once_to_each_with_data_and_addresses() {
    let (simulation, site, chat) = two_workers();
    let log = Log::default();
    let tell = {
        let log = log.clone();
        move |who: &str, id: u64, data: Option<u32>, address: String| log.add(format!("{who} {id} {data:?} {address}"))
    };
    site.on_connect(|connection| connection.set(7_u32));
    site.on_close({
        let tell = tell.clone();
        move |connection| tell("site", connection.id(), connection.get(), connection.remote_address())
    });
    chat.on_connect({
        let tell = tell.clone();
        move |connection| tell("came", connection.id(), connection.get(), connection.remote_address())
    });
    chat.on_close(move |connection| tell("chat", connection.id(), connection.get(), connection.remote_address()));
    let peer = upgraded(&simulation, site);
    assert_eq!(log.take(), ["came 1 Some(7) 127.0.0.1:50000"]);
    peer.write(close(1000, ""));
    peer.finish();
    simulation.run();
    assert_eq!(log.take(), ["chat 1 Some(7) 127.0.0.1:50000", "site 1 Some(7) 127.0.0.1:50000"]);
    simulation.advance(Duration::from_secs(60));
    assert_eq!(log.len(), 0);
}

#[test]
fn own_callbacks_of_both_protocols_are_told_of_the_end() {
    let simulation = Simulation::new();
    let worker = Worker::<Http>::new("");
    let log = Log::default();
    let writer = |line: &'static str| {
        let log = log.clone();
        move || log.add(line)
    };
    let (of_http, of_websocket, of_worker) = (writer("http"), writer("websocket"), writer("worker"));
    worker.on_message(move |connection, request| {
        let (of_http, of_websocket) = (of_http.clone(), of_websocket.clone());
        connection.on_close(move |_| of_http());
        let websocket = connection.upgrade::<Websocket>(request).expect("an upgrade");
        websocket.on_close(move |_| of_websocket());
    });
    worker.on_close(move |_| of_worker());
    let peer = upgraded(&simulation, worker);
    peer.reset();
    simulation.run();
    assert_eq!(log.take(), ["websocket", "http"], "a connection's own takes precedence over its worker's");
}

#[test]
fn an_own_callback_is_told_of_the_end_once_among_workers_of_one_protocol() {
    let simulation = Simulation::new();
    let (site, other) = (Worker::<Http>::new(""), Worker::<Http>::new(""));
    let log = Log::default();
    let (own, of_site) = (log.clone(), log.clone());
    site.on_message(move |connection, request| {
        let own = own.clone();
        connection.on_close(move |_| own.add("own"));
        connection.upgrade_to(other, request).expect("an upgrade");
    });
    site.on_close(move |_| of_site.add("site"));
    other.on_close(|_| support::never());
    other.on_message(|connection, _| connection.send("from the other"));
    let peer = simulation.connect(site);
    peer.write(handshake("").replace("websocket", "HTTP") + &get("/"));
    simulation.run();
    let answer = peer.read_text();
    assert!(answer.contains("\r\nUpgrade: HTTP\r\n") && answer.ends_with("from the other"), "{answer}");
    peer.reset();
    simulation.run();
    assert_eq!(log.take(), ["own", "site"]);
}

#[test]
fn the_connection_is_one_of_the_named_worker_and_no_longer_of_the_accepting_one() {
    let (simulation, site, chat) = two_workers();
    let peer = upgraded(&simulation, site);
    let other = simulation.connect(site);
    assert_eq!((site.connections().count(), chat.connections().count()), (1, 1));
    let connection = chat.connections().next().expect("it is there");
    assert_eq!(chat.connection(connection.id()), Some(connection));
    assert!(site.connection(connection.id()).is_none());
    connection.send("to you");
    assert_eq!(frames(&peer.read()), [Frame::text("to you")]);
    drop(other);

    let (simulation, site) = self::site();
    let _peer = upgraded(&simulation, site);
    assert_eq!(site.connections().count(), 0, "nor does one that belongs to nobody stay");
}

#[test]
fn limits_timers_and_data_survive() {
    let simulation = Simulation::new();
    let worker = Worker::<Http>::new("");
    let log = Log::default();
    let ticks = log.clone();
    worker.on_connect(move |connection| {
        connection.set("data".to_owned());
        connection.set_max_package_size(2000);
        connection.set_max_send_buffer_size(5000);
        let ticks = ticks.clone();
        connection.add_timer(1, move || ticks.add("tick"));
    });
    worker.on_message(|connection, request| {
        let websocket = connection.upgrade::<Websocket>(request).expect("an upgrade");
        websocket.on_message(|websocket, message| websocket.send(message));
        assert_eq!((websocket.max_package_size(), websocket.max_send_buffer_size()), (2000, 5000));
        assert_eq!(websocket.get(), Some("data".to_owned()));
    });
    let peer = upgraded(&simulation, worker);
    assert_eq!(exchange(&simulation, &peer, text("x".repeat(1900))).len(), 1);
    simulation.advance(Duration::from_millis(3500));
    assert_eq!(log.take().len(), 3);
    assert_eq!(exchange(&simulation, &peer, text("x".repeat(2001)))[0].code(), Some(1009));
    peer.finish();
    simulation.advance(Duration::from_secs(5));
    assert_eq!(log.len(), 0, "timers end with the connection");
}

#[test]
fn the_accepting_worker_goes_on_counting() {
    let simulation = Simulation::new();
    let (site, chat) = (Worker::<Http>::new("http://127.0.0.1:0"), Worker::<Websocket>::new(""));
    site.set_max_connections_per_address(2);
    site.set_max_connections(1);
    site.on_message(move |connection, request| connection.upgrade_to(chat, request));
    simulation.start().expect("it listens");
    let peer = upgraded(&simulation, site);
    let address = site.local_addr().expect("it listens");
    let _waiting = std::net::TcpStream::connect(address).expect("the system's queue takes it");
    simulation.run();
    assert_eq!(site.connections().count(), 0, "the upgraded one counts, so this one waits");
    peer.reset();
    simulation.run();
    simulation.run();
    assert_eq!((site.connections().count(), chat.connections().count()), (1, 0), "and is woken by its end");
}

#[test]
fn what_is_no_handshake_is_told_so_and_the_app_too() {
    let plain = get("/");
    let bad_key = handshake("").replace("dGhlIHNhbXBsZSBub25jZQ==", "YQ==");
    for (request, status) in [(plain, 426), (handshake("").replace("GET ", "PUT "), 400), (bad_key, 400)] {
        let simulation = Simulation::new();
        let worker = Worker::<Http>::new("");
        let log = Log::default();
        let errors = log.clone();
        worker.on_message(move |connection, request| {
            let error = connection.upgrade::<Websocket>(request).expect_err("a refusal");
            errors.add(error);
            assert_eq!(error, UpgradeError::Refused(status));
            assert!(!connection.send("a second answer").is_accepted());
        });
        let peer = simulation.connect(worker);
        peer.write(request + &get("/next"));
        simulation.run();
        let answer = peer.read_text();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")) && peer.is_finished(), "{answer}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1);
        assert_eq!(log.take(), [format!("no request for this protocol, answered with {status}")]);
    }
}

#[test]
fn the_app_refuses_in_the_callback_of_the_handshake() {
    let (simulation, site, chat) = two_workers();
    let log = Log::default();
    chat.on_websocket_connect(|connection, request| {
        if request.get("a") == Some("1") {
            connection.send(Response::new(403, &[], "not you"));
        }
    });
    chat.on_websocket_connected(|_, _| support::never());
    let (of_chat, of_site) = (log.clone(), log.clone());
    chat.on_close(move |_| of_chat.add("chat"));
    site.on_close(move |_| of_site.add("site"));
    let peer = simulation.connect(site);
    peer.write([handshake("").as_bytes(), &text("not heard")].concat());
    simulation.run();
    let answer = peer.read_text();
    assert!(answer.starts_with("HTTP/1.1 403 Forbidden\r\n") && answer.ends_with("not you"), "{answer}");
    peer.finish();
    simulation.run();
    assert_eq!(log.take(), ["chat", "site"]);
}

#[test]
fn the_app_lets_in_with_a_sub_protocol_and_callbacks_never_nest() {
    let simulation = Simulation::new();
    let worker = Worker::<Http>::new("");
    let (depth, log) = (support::Depth::default(), Log::default());
    let lines = log.clone();
    worker.on_message(move |connection, request| {
        let _inside = depth.enter();
        let websocket = connection.upgrade::<Websocket>(request).expect("an upgrade");
        let (depth, lines) = (depth.clone(), lines.clone());
        let (deeper, more) = (depth.clone(), lines.clone());
        websocket.on_websocket_connect(move |websocket, request| {
            let _inside = depth.enter();
            lines.add(request.path());
            websocket.send(Response::new(101, &[("Sec-WebSocket-Protocol", "chat"), ("X-A", "1")], ""));
        });
        websocket.on_websocket_connected(move |websocket, _| {
            let _inside = deeper.enter();
            more.add("connected");
            websocket.send("welcome");
        });
        websocket.send("early");
    });
    let peer = simulation.connect(worker);
    peer.write(handshake("Sec-WebSocket-Protocol: soap, chat\r\n"));
    simulation.run();
    let all = peer.read();
    let (head, rest) = behind_head(&all);
    assert!(head.contains("\r\nSec-WebSocket-Protocol: chat\r\nX-A: 1\r\n"), "{head}");
    assert_eq!(frames(rest), [Frame::text("early"), Frame::text("welcome")]);
    assert_eq!(log.take(), ["/chat", "connected"]);
}

#[test]
fn a_request_is_upgraded_once_and_only_where_it_waits() {
    let simulation = Simulation::new();
    let worker = Worker::<Http>::new("");
    let log = Log::default();
    let errors = log.clone();
    worker.on_message(move |connection, request: Request| match request.path() {
        "/answered" => {
            connection.send("ok");
            errors.add(connection.upgrade::<Websocket>(request).expect_err("an error"));
        }
        "/raw" => {
            connection.send_raw("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
            errors.add(connection.upgrade::<Websocket>(request).expect_err("an error"));
        }
        "/keep" => {
            connection.with(|kept: &mut Vec<Request>| kept.push(request));
            connection.send("ok");
        }
        "/kept" => {
            let kept = connection.with(|kept: &mut Vec<Request>| std::mem::take(kept)).expect("they are kept");
            let whichever = TcpConnection::<Http>::find(connection.id()).expect("it is there");
            for (handle, kept) in [connection, whichever].into_iter().zip(kept) {
                errors.add(handle.upgrade::<Websocket>(kept).expect_err("an error"));
            }
            connection.send("ok");
        }
        "/closed" => {
            connection.destroy();
            errors.add(connection.upgrade::<Websocket>(request).expect_err("an error"));
        }
        _ => {
            let kept = connection.with(Vec::<Request>::pop).flatten().expect("it is kept");
            connection.upgrade::<Websocket>(request).expect("an upgrade");
            errors.add(connection.upgrade::<Websocket>(kept).expect_err("an error"));
        }
    });
    worker.on_connect(|connection| connection.set(Vec::<Request>::new()));
    let peer = simulation.connect(worker);
    for (path, expected) in [
        ("/answered", &["the request waits for no answer here"][..]),
        ("/raw", &["the request waits for no answer here"]),
        ("/keep", &[]),
        ("/keep", &[]),
        ("/kept", &["the request waits for no answer here"; 2]),
        ("/keep", &[]),
        ("/twice", &["the connection speaks another protocol already"]),
    ] {
        peer.write(handshake("").replace("/chat?a=1", path));
        simulation.run();
        assert_eq!(log.take(), expected, "{path}");
    }
    peer.read();
    assert_eq!(exchange(&simulation, &peer, frame(FIN | PING, "")), [Frame::pong("")]);
    let peer = simulation.connect(worker);
    peer.write(handshake("").replace("/chat?a=1", "/closed"));
    simulation.run();
    assert_eq!(log.take(), ["the connection is closed"]);
}

#[test]
fn the_request_of_another_connection_is_no_request_of_this_one() {
    let simulation = Simulation::new();
    let worker = Worker::<Http>::new("");
    worker.on_message(move |connection, request: Request| match worker.with(Option::<Request>::take).flatten() {
        None => worker.set(Some(request)),
        Some(first) => {
            let error = connection.upgrade::<Websocket>(first).expect_err("an error");
            assert_eq!(error, UpgradeError::NotWaiting);
            connection.send("nothing has happened");
        }
    });
    let peers = [simulation.connect(worker), simulation.connect(worker)];
    for peer in &peers {
        peer.write(handshake(""));
        simulation.run();
    }
    assert_eq!(peers[0].read_text(), "");
    assert!(peers[1].read_text().ends_with("nothing has happened"));
}

#[test]
fn a_late_callback_upgrades_too() {
    let simulation = Simulation::new();
    let worker = Worker::<Http>::new("");
    worker.on_message(|connection, request| {
        let mut request = Some(request);
        connection.add_timer(1, move || {
            let Some(request) = request.take() else { return };
            let websocket = connection.upgrade::<Websocket>(request).expect("an upgrade");
            websocket.on_message(|websocket, message| websocket.send(message));
        });
    });
    let peer = simulation.connect(worker);
    peer.write([handshake("").as_bytes(), &text("wait"), &text("for me")[..3]].concat());
    simulation.run();
    assert_eq!(peer.read(), b"");
    simulation.advance(Duration::from_secs(1));
    assert_eq!(frames(behind_head(&peer.read()).1), [Frame::text("wait")]);
    assert_eq!(exchange(&simulation, &peer, &text("for me")[3..]), [Frame::text("for me")]);
}

#[test]
fn outside_of_callbacks_it_works_as_well() {
    let simulation = Simulation::new();
    let worker = Worker::<Http>::new("");
    worker.on_message(move |_connection, request: Request| worker.set(Some(request)));
    let peer = simulation.connect(worker);
    peer.write([handshake("").as_bytes(), &text("hi")].concat());
    simulation.run();
    let request = worker.with(Option::<Request>::take).flatten().expect("a request");
    let connection = worker.connections().next().expect("a connection");
    let websocket = connection.upgrade::<Websocket>(request).expect("an upgrade");
    websocket.on_message(|websocket, message| websocket.send(message));
    simulation.run();
    assert_eq!(frames(behind_head(&peer.read()).1), [Frame::text("hi")]);
}

#[test]
fn a_callback_that_fails_costs_the_connection_in_its_protocol() {
    Worker::set_panic_policy(workerman::PanicPolicy::CloseConnection);
    let simulation = Simulation::new();
    Worker::set_panic_policy(workerman::PanicPolicy::CloseConnection);
    let worker = Worker::<Http>::new("");
    let log = Log::default();
    let closed = log.clone();
    worker.on_connect(|connection| {
        connection.add_timer(5, support::boom);
    });
    worker.on_message(|connection, request| -> workerman::Result<()> {
        let fails = request.header("x-fail").is_some();
        connection.upgrade::<Websocket>(request)?;
        if fails { Err("after the upgrade".into()) } else { Ok(()) }
    });
    worker.on_close(move |_| closed.add("closed"));
    let peer = simulation.connect(worker);
    peer.write(handshake("X-Fail: 1\r\n"));
    simulation.run();
    assert!(peer.read_text().starts_with("HTTP/1.1 500 ") && peer.is_finished(), "the 101 was still to come");
    let peer = upgraded(&simulation, worker);
    simulation.advance(Duration::from_secs(5));
    assert_eq!(frames(&peer.read())[0].code(), Some(1011), "a timer from before fails in the new protocol");
    peer.finish();
    simulation.run();
    assert_eq!(log.take().len(), 2);
}

#[test]
fn a_worker_that_stops_says_so_in_the_new_protocol() {
    let (simulation, worker) = site();
    let peer = upgraded(&simulation, worker);
    simulation.stop();
    assert_eq!(frames(&peer.read())[0].code(), Some(1001));
}

#[test]
fn the_deadlines_of_http_are_over_and_those_of_the_worker_hold() {
    let (simulation, worker) = site();
    worker.set_deadlines(Deadlines::default().head(5).keep_alive(5));
    let peer = upgraded(&simulation, worker);
    simulation.advance(Duration::from_secs(300));
    assert!(!peer.is_finished() && peer.read().is_empty());

    for named in [false, true] {
        let (simulation, site, chat) = two_workers();
        let (simulation, site) = if named {
            chat.set_deadlines(Deadlines::default().ping(30).pong(10));
            (simulation, site)
        } else {
            drop(simulation);
            let (simulation, site) = self::site();
            site.set_deadlines(Deadlines::default().ping(30).pong(10));
            (simulation, site)
        };
        let peer = upgraded(&simulation, site);
        simulation.advance(Duration::from_secs(32));
        assert_eq!(peer.read(), b"\x89\0", "a Ping");
        simulation.advance(Duration::from_secs(12));
        assert!(peer.is_closed());
    }
}

#[test]
fn closing_before_the_handshake_is_done_refuses() {
    let simulation = Simulation::new();
    let worker = Worker::<Http>::new("");
    worker.on_message(|connection, request| {
        let websocket = connection.upgrade::<Websocket>(request).expect("an upgrade");
        websocket.on_websocket_connect(|_, _| support::never());
        websocket.close();
    });
    let peer = simulation.connect(worker);
    peer.write(handshake(""));
    simulation.run();
    assert!(peer.read_text().starts_with("HTTP/1.1 403 "));
}

#[cfg(feature = "deflate")]
#[test]
fn compression_is_that_of_the_named_worker() {
    let offer = "Sec-WebSocket-Extensions: permessage-deflate\r\n";
    for (off, expected) in [(false, true), (true, false)] {
        let (simulation, site, chat) = two_workers();
        if off {
            chat.set_deflate(workerman::Deflate::off());
        }
        let peer = simulation.connect(site);
        peer.write(handshake(offer));
        simulation.run();
        assert_eq!(peer.read_text().contains("permessage-deflate"), expected);
        let answer = exchange(&simulation, &peer, text("x".repeat(1000)));
        assert_eq!(answer[0].1.len() < 1000, expected);
    }
}

#[cfg(feature = "session")]
#[test]
fn a_session_of_the_request_sets_its_cookie_with_the_101() {
    let simulation = Simulation::new();
    let worker = Worker::<Http>::new("");
    worker.on_message(|connection, request: Request| -> workerman::Result<()> {
        request.session()?.set("a", 1)?;
        if request.path() == "/text" {
            connection.upgrade::<Text>(request)?;
        } else {
            let websocket = connection.upgrade::<Websocket>(request)?;
            websocket.on_websocket_connect(|_, request| -> workerman::Result<()> {
                assert_eq!(request.session()?.get("a"), Some(1));
                Ok(())
            });
        }
        Ok(())
    });
    for request in [handshake(""), handshake("").replace("/chat?a=1", "/text").replace("websocket", "text")] {
        let peer = simulation.connect(worker);
        peer.write(request);
        simulation.run();
        let answer = peer.read_text();
        assert_eq!(answer.matches("\r\nSet-Cookie: ").count(), 1, "{answer}");
    }
}

#[test]
fn any_protocol_can_be_upgraded_to() {
    let simulation = Simulation::new();
    let worker = Worker::<Http>::new("");
    worker.on_message(|connection, request: Request| {
        if request.path() == "/text" {
            let Ok(lines) = connection.upgrade::<Text>(request) else { return };
            lines.on_message(|lines, line| lines.send(format!("you said {line}")));
            assert_eq!(lines.send("welcome"), SendStatus::Sent);
        } else {
            let Ok(frames) = connection.upgrade::<Framed>(request) else { return };
            frames.on_message(|frames, frame| frames.send(frame));
        }
    });
    let ask = |path: &str, lines: &str, behind: &str| {
        let peer = simulation.connect(worker);
        peer.write(format!("GET {path} HTTP/1.1\r\nHost: a\r\n{lines}\r\n{behind}"));
        simulation.run();
        peer.read_text()
    };
    let upgrade = |names: &str| format!("Connection: keep-alive, upgrade\r\nUpgrade: {names}\r\n");
    assert_eq!(
        ask("/text", &upgrade("soap/1, TEXT"), "hello\n"),
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: TEXT\r\nConnection: Upgrade\r\n\r\nwelcome\nyou said hello\n"
    );
    assert!(ask("/text", &upgrade("soap/1, irc"), "").contains("\r\nUpgrade: soap/1\r\n"));
    assert!(ask("/frame", &upgrade("frame"), "\0\0\0\u{5}x").ends_with("\r\n\r\n\0\0\0\u{5}x"));
    for lines in ["", "Upgrade: text\r\n", "Connection: upgrade\r\n", "Connection: upgrade\r\nUpgrade: \r\n"] {
        let answer = ask("/text", lines, "");
        assert!(answer.starts_with("HTTP/1.1 426 ") && answer.contains("\r\nUpgrade: text\r\n"), "{lines}: {answer}");
    }
}

#[test]
fn both_ends_may_know_that_the_protocol_changes() {
    let simulation = Simulation::new();
    let worker = Worker::<Text>::new("");
    let log = Log::default();
    let closed = log.clone();
    worker.on_message(|connection, line| match line.as_str() {
        "raw" => {
            let raw = connection.set_protocol::<Tcp>();
            assert_eq!(connection.send("x"), SendStatus::WrongProtocol);
            assert_eq!(raw.send("raw it is\n"), SendStatus::Sent);
            raw.on_message(|raw, bytes| {
                if bytes == b"text" {
                    raw.set_protocol::<Text>();
                } else {
                    raw.send(bytes);
                }
            });
        }
        line => drop(connection.send(line)),
    });
    worker.on_close(move |_| closed.add("closed"));
    let peer = simulation.connect(worker);
    peer.write("a\nraw\nb\nc");
    simulation.run();
    assert_eq!(peer.read_text(), "a\nraw it is\nb\nc");
    assert_eq!(worker.connections().count(), 0);
    // Back home: the worker's own callbacks count again.
    peer.write("text");
    simulation.run();
    assert_eq!(worker.connections().count(), 1);
    peer.write("d\nraw\n");
    simulation.run();
    assert_eq!(peer.read_text(), "d\nraw it is\n");
    for _ in 0..1000 {
        peer.write("text");
        simulation.run();
        peer.write("raw\n");
        simulation.run();
    }
    peer.reset();
    simulation.run();
    assert_eq!(log.take(), ["closed"], "however often it has switched");
}

#[test]
fn a_request_without_an_answer_counts_as_answered() {
    let simulation = Simulation::new();
    let worker = Worker::<Http>::new("");
    worker.on_message(|connection, _request| {
        connection.send_raw("HTTP/1.1 101 Switching Protocols\r\nUpgrade: mine\r\nConnection: Upgrade\r\n\r\n");
        let lines = connection.set_protocol::<Text>();
        lines.on_message(|lines, line| lines.send(line));
    });
    let peer = simulation.connect(worker);
    peer.write(get("/") + "one\ntwo\n");
    simulation.run();
    assert!(peer.read_text().ends_with("\r\n\r\none\ntwo\n"));
    peer.finish();
    simulation.run();
    assert!(peer.is_closed(), "nothing is owed");
}

#[test]
fn a_switch_on_what_is_over_is_no_switch() {
    let simulation = Simulation::new();
    let worker = Worker::<Text>::new("");
    worker.on_message(|connection, _line| {
        let raw = connection.set_protocol::<Tcp>();
        let again = connection.set_protocol::<Framed>();
        assert_eq!((again.send("x"), raw.send("raw")), (SendStatus::WrongProtocol, SendStatus::Sent));
        raw.destroy();
        assert_eq!(raw.set_protocol::<Text>().send("x"), SendStatus::Closed);
    });
    let peer = simulation.connect(worker);
    peer.write("go\n");
    simulation.run();
    assert_eq!(peer.read_text(), "raw");
    assert!(peer.is_closed());
}

#[test]
fn a_worker_that_was_not_told_of_a_connection_is_not_told_of_its_end() {
    let (simulation, site, chat) = two_workers();
    let log = Log::default();
    chat.on_connect(|_| support::never());
    chat.on_close(|_| support::never());
    let closed = log.clone();
    site.on_close(move |_| closed.add("closed"));
    site.on_message(move |connection, request| {
        let raw = connection.upgrade_to(chat, request).expect("an upgrade").set_protocol::<Tcp>();
        raw.on_message(|raw, bytes| raw.send(bytes));
    });
    let peer = simulation.connect(site);
    peer.write(handshake("") + "raw");
    simulation.run();
    assert_eq!(peer.read_text(), "raw");
    peer.finish();
    simulation.run();
    assert_eq!(log.take(), ["closed"]);
}

#[test]
fn a_connection_that_ends_at_once_has_come_and_gone() {
    let (simulation, site, chat) = two_workers();
    let log = Log::default();
    let (came, went, closed) = (log.clone(), log.clone(), log.clone());
    chat.on_connect(move |_| came.add("came"));
    chat.on_close(move |_| went.add("went"));
    chat.on_websocket_connect(|_, _| support::never());
    site.on_close(move |_| closed.add("closed"));
    site.on_message(move |connection, request| {
        connection.upgrade_to(chat, request).expect("an upgrade");
        connection.destroy();
    });
    let peer = simulation.connect(site);
    peer.write(handshake(""));
    simulation.run();
    assert!(peer.is_closed());
    assert_eq!(log.take(), ["came", "went", "closed"]);
}

#[test]
fn a_pause_holds_the_frames_behind_the_handshake() {
    let simulation = Simulation::new();
    let worker = Worker::<Http>::new("");
    worker.on_message(|connection, request| {
        let websocket = connection.upgrade::<Websocket>(request).expect("an upgrade");
        websocket.on_message(|websocket, message| websocket.send(message));
        websocket.pause_recv();
        websocket.add_timer(1, move || websocket.resume_recv());
    });
    let peer = simulation.connect(worker);
    peer.write([handshake("").as_bytes(), &frame(FIN | TEXT, "later")].concat());
    simulation.run();
    assert_eq!(behind_head(&peer.read()).1, b"");
    simulation.advance(Duration::from_secs(1));
    assert_eq!(frames(&peer.read()), [Frame::text("later")]);
}

/// A handle of whichever protocol.
#[derive(Clone, Copy)]
enum Any {
    Http(TcpConnection<Http>),
    Websocket(TcpConnection<Websocket>),
    Text(TcpConnection<Text>),
    Tcp(TcpConnection<Tcp>),
}

/// Does the same with a handle of any protocol.
macro_rules! each {
    ($any:expr, $connection:ident => $do:expr) => {
        match $any {
            Any::Http($connection) => $do,
            Any::Websocket($connection) => $do,
            Any::Text($connection) => $do,
            Any::Tcp($connection) => $do,
        }
    };
}

/// What an app may do in a callback.
#[derive(Clone, Copy, Debug)]
enum Act {
    /// If there is a request for it.
    UpgradeTo(usize),
    Http,
    Websocket,
    Text,
    Tcp,
    Send,
    Return,
    Close,
    Destroy,
}

#[derive(Default)]
struct Script {
    acts: Vec<Act>,
    request: Option<Request>,
}

/// Goes on with the script of a connection until the callback is to return.
fn play(mut any: Any, chats: [Worker<Websocket>; 2]) {
    loop {
        let (act, request) = each!(any, connection => connection.with(|script: &mut Script| {
            let act = script.acts.pop();
            let request = if let Some(Act::UpgradeTo(_)) = act { script.request.take() } else { None };
            (act, request)
        }))
        .unwrap_or_default();
        match (act, any) {
            (None | Some(Act::Return), _) => return,
            (Some(Act::UpgradeTo(nth)), Any::Http(connection)) => {
                let Some(request) = request else { continue };
                let Ok(websocket) = connection.upgrade_to(chats[nth], request) else { continue };
                any = Any::Websocket(websocket);
            }
            (Some(Act::UpgradeTo(_)), _) => {}
            (Some(Act::Http), any_before) => {
                any = each!(any_before, connection => Any::Http(connection.set_protocol()));
            }
            (Some(Act::Websocket), any_before) => {
                any = each!(any_before, connection => Any::Websocket(connection.set_protocol()));
            }
            (Some(Act::Text), any_before) => {
                any = each!(any_before, connection => Any::Text(connection.set_protocol()));
            }
            (Some(Act::Tcp), any_before) => any = each!(any_before, connection => Any::Tcp(connection.set_protocol())),
            (Some(Act::Send), any) => drop(each!(any, connection => connection.send("sent").is_accepted())),
            (Some(Act::Close), any) => each!(any, connection => connection.close()),
            (Some(Act::Destroy), any) => each!(any, connection => connection.destroy()),
        }
        match any {
            Any::Text(connection) => connection.on_message(move |connection, _| play(Any::Text(connection), chats)),
            Any::Tcp(connection) => connection.on_message(move |connection, _| play(Any::Tcp(connection), chats)),
            Any::Websocket(connection) => {
                connection.on_message(move |connection, _| play(Any::Websocket(connection), chats));
            }
            Any::Http(_) => {}
        }
    }
}

proptest! {
    /// Whatever an app switches to, and when: whoever is told of a connection is told of its end, once.
    #[test]
    fn each_worker_is_told_of_the_end_as_often_as_of_the_beginning(
        acts in prop::collection::vec(
            prop_oneof![
                (0..2_usize).prop_map(Act::UpgradeTo),
                Just(Act::Http), Just(Act::Websocket), Just(Act::Text), Just(Act::Tcp),
                Just(Act::Send), Just(Act::Return), Just(Act::Return), Just(Act::Close), Just(Act::Destroy),
            ],
            0..12,
        ),
        segment in 1_usize..400,
    ) {
        let simulation = Simulation::new();
        let site = Worker::<Http>::new("");
        let chats = [Worker::<Websocket>::new(""), Worker::<Websocket>::new("")];
        let log = Log::default();
        let teller = |line: &'static str| {
            let log = log.clone();
            move || log.add(line)
        };
        site.on_message(move |connection, request| {
            connection.with(|script: &mut Script| script.request = Some(request));
            play(Any::Http(connection), chats);
        });
        let (came, gone) = (teller("site came"), teller("site gone"));
        site.on_connect(move |connection| {
            connection.set(Script { acts: acts.clone(), request: None });
            came();
        });
        site.on_close(move |_| gone());
        for (chat, [came, gone]) in chats.into_iter().zip([["0 came", "0 gone"], ["1 came", "1 gone"]]) {
            let (came, gone) = (teller(came), teller(gone));
            chat.on_connect(move |_| came());
            chat.on_close(move |_| gone());
        }
        let peer = simulation.connect(site);
        peer.set_segment(segment);
        for _ in 0..3 {
            peer.write(handshake(""));
            peer.write(text("frame"));
            simulation.run();
        }
        peer.reset();
        simulation.run();
        prop_assert_eq!((log.count("site came"), log.count("site gone")), (1, 1));
        prop_assert_eq!(log.count("0 came"), log.count("0 gone"));
        prop_assert_eq!(log.count("1 came"), log.count("1 gone"));
        prop_assert!(log.count("0 came") < 2 && log.count("1 came") < 2);
    }
}
