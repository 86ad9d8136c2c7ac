//! Promise: what RFC 6455 §4.2 asks of a handshake is checked, the app decides who is let in and what the answer says, and
//! whoever does not speak WebSocket is told so in HTTP.

#![allow(clippy::indexing_slicing)] // a failing index fails the test

#[path = "websocket/client.rs"]
mod client;
mod support;

use std::time::Duration;

use client::{Frame, KEY, echo, exchange, frames, handshake, open, open_with, text};
use support::Log;
use workerman::testing::Simulation;
use workerman::{Message, Response, SendStatus, Status, Websocket, Worker};

const ACCEPT: &str = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";

/// What comes of these bytes on a new connection, and whether the connection ends with it.
fn answer(bytes: impl AsRef<[u8]>) -> (String, bool) {
    let (simulation, worker) = echo();
    let peer = simulation.connect(worker);
    peer.write(bytes);
    simulation.run();
    (peer.read_text(), peer.is_finished())
}

#[test]
fn the_handshake_of_the_standard_is_answered_as_there() {
    let (simulation, worker) = echo();
    let (peer, answer) = open_with(&simulation, worker, "Origin: http://example.com\r\n");
    assert_eq!(
        answer,
        format!("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{ACCEPT}\r\n")
    );
    assert_eq!(exchange(&simulation, &peer, text("hi")), [Frame::text("hi")]);
}

#[test]
fn tokens_are_found_in_lists_and_in_any_case() {
    let request = format!(
        "GET / HTTP/1.1\r\nhost: a\r\nUPGRADE: h2c, WebSocket\r\nconnection: keep-alive\r\nConnection: UPGRADE\r\n\
         sec-websocket-key: {KEY}\r\nsec-websocket-version: 13\r\n\r\n"
    );
    assert!(answer(request).0.starts_with("HTTP/1.1 101 "));
}

#[test]
fn a_handshake_may_come_byte_by_byte() {
    let (simulation, worker) = echo();
    let peer = simulation.connect(worker);
    peer.set_segment(1);
    peer.write([handshake("").as_bytes(), &text("hi")].concat());
    simulation.run();
    let answer = peer.read();
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("the answer's end") + 4;
    assert_eq!(frames(&answer[end..]), [Frame::text("hi")]);
}

#[test]
fn what_is_no_handshake_is_told_so() {
    let without = |line: &str| handshake("").replace(line, "");
    let with = |line: &str, other: &str| handshake("").replace(line, other);
    let key = format!("Sec-WebSocket-Key: {KEY}\r\n");
    let version = "Sec-WebSocket-Version: 13\r\n";
    for (what, request, status) in [
        ("POST", with("GET ", "POST "), "400 Bad Request"),
        ("HEAD", with("GET ", "HEAD "), "400 Bad Request"),
        ("get", with("GET ", "get "), "400 Bad Request"),
        ("HTTP/1.0", with("HTTP/1.1", "HTTP/1.0"), "426 Upgrade Required"),
        ("no Host", without("Host: a\r\n"), "400 Bad Request"),
        ("two Hosts", with("Host: a\r\n", "Host: a\r\nHost: b\r\n"), "400 Bad Request"),
        ("no Upgrade", without("Upgrade: websocket\r\n"), "426 Upgrade Required"),
        ("another Upgrade", with("Upgrade: websocket", "Upgrade: h2c"), "426 Upgrade Required"),
        ("no Connection", without("Connection: keep-alive, Upgrade\r\n"), "426 Upgrade Required"),
        ("another Connection", with("keep-alive, Upgrade", "keep-alive"), "426 Upgrade Required"),
        ("no key", without(&key), "400 Bad Request"),
        ("an empty key", with(KEY, ""), "400 Bad Request"),
        ("a short key", with(KEY, "YQ=="), "400 Bad Request"),
        ("two keys", with(&key, &key.repeat(2)), "400 Bad Request"),
        ("no base64", with(KEY, "dGhlIHNhbXBsZSBub25j!Q=="), "400 Bad Request"),
        ("no version", without(version), "400 Bad Request"),
        ("version 8", with(version, "Sec-WebSocket-Version: 8\r\n"), "426 Upgrade Required"),
        ("version 013", with(version, "Sec-WebSocket-Version: 013\r\n"), "426 Upgrade Required"),
        ("two versions", with(version, &version.repeat(2)), "426 Upgrade Required"),
        ("no HTTP", "\x16\x03\x01\x02\r\n\r\n".to_owned(), "400 Bad Request"),
        ("a plain request", "GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), "426 Upgrade Required"),
    ] {
        let (answer, ended) = answer(&request);
        assert!(
            answer.starts_with(&format!("HTTP/1.{} {status}\r\n", u8::from(what != "HTTP/1.0"))),
            "{what}: {answer}"
        );
        assert!(ended, "{what}");
        let head = answer.split("\r\n\r\n").next().expect("a head");
        if status.starts_with("426") {
            assert!(
                head.contains("\r\nUpgrade: websocket") && head.contains("\r\nConnection: Upgrade, close"),
                "{head}"
            );
        }
        if status.starts_with("426") || what == "no version" {
            assert!(head.contains("\r\nSec-WebSocket-Version: 13"), "{what}: {head}");
        }
    }
}

#[test]
fn a_frame_before_the_handshake_is_no_message() {
    let (simulation, worker) = echo();
    worker.on_message(|_, _| support::never());
    let peer = simulation.connect(worker);
    peer.write(text("hello"));
    simulation.advance(Duration::from_secs(32));
    assert!(peer.is_finished() && peer.read_text().starts_with("HTTP/1.1 408 "));
}

#[test]
fn a_head_that_does_not_end_is_bounded() {
    let (answer, ended) = answer(format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}", "x".repeat(20_000)));
    assert!(answer.starts_with("HTTP/1.1 431 ") && ended);
}

#[test]
fn the_app_lets_in_with_headers_of_its_own() {
    let (simulation, worker) = echo();
    worker.on_websocket_connect(|connection, request| {
        assert_eq!((request.path(), request.get("a"), request.cookie("sid")), ("/chat", Some("1"), Some("7")));
        let headers = [
            ("Sec-WebSocket-Protocol", "chat"),
            ("Set-Cookie", "a=1"),
            ("Set-Cookie", "b=2"),
            ("Connection", "close"),
            ("Sec-WebSocket-Accept", "forged"),
            ("Sec-WebSocket-Extensions", "permessage-deflate"),
        ];
        assert_eq!(connection.send(Response::new(101, &headers, "never sent")), SendStatus::Sent);
        connection.send("at once");
    });
    let (peer, all) = {
        let peer = simulation.connect(worker);
        peer.write(handshake("Cookie: sid=7\r\nSec-WebSocket-Protocol: soap, chat\r\n"));
        simulation.run();
        let all = peer.read();
        (peer, all)
    };
    let end = all.windows(4).position(|four| four == b"\r\n\r\n").expect("the answer's end") + 4;
    assert_eq!(
        String::from_utf8_lossy(&all[..end]),
        format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{ACCEPT}\
             Sec-WebSocket-Protocol: chat\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n\r\n"
        )
    );
    assert_eq!(frames(&all[end..]), [Frame::text("at once")]);
    assert_eq!(exchange(&simulation, &peer, text("hi")), [Frame::text("hi")]);
}

#[test]
fn a_sub_protocol_that_was_not_offered_is_left_out() {
    for offered in ["", "Sec-WebSocket-Protocol: Chat, superchat\r\n"] {
        let (simulation, worker) = echo();
        worker.on_websocket_connect(|connection, _| {
            connection.send(Response::new(101, &[("sec-websocket-protocol", "chat")], ""))
        });
        let (_, answer) = open_with(&simulation, worker, offered);
        assert!(!answer.to_lowercase().contains("protocol:"), "{answer}");
    }
}

#[test]
fn the_app_refuses_with_an_answer() {
    for way in ["send", "close_with", "close", "raw", "raw without close"] {
        let (simulation, worker) = echo();
        let log = Log::default();
        worker.on_websocket_connect(move |connection, _| {
            let response = Response::new(403, &[("X-A", "1")], "no");
            match way {
                "send" => drop(connection.send(response)),
                "close_with" => connection.close_with(response),
                "close" => connection.close(),
                _ => {
                    connection.send_raw("HTTP/1.1 403 Forbidden\r\n");
                    connection.send_raw("Content-Length: 0\r\n\r\n");
                    if way == "raw" {
                        connection.close();
                    }
                }
            }
            assert!(!connection.send("too late").is_accepted());
        });
        worker.on_websocket_connected(|_, _| support::never());
        worker.on_close({
            let log = log.clone();
            move |_| log.add("closed")
        });
        let peer = simulation.connect(worker);
        peer.write([handshake("").as_bytes(), &text("not heard")].concat());
        simulation.run();
        let answer = peer.read_text();
        assert!(answer.starts_with("HTTP/1.1 403 Forbidden\r\n") && peer.is_finished(), "{way}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1);
        assert_eq!(
            answer.contains("X-A: 1\r\n") && answer.ends_with("\r\n\r\nno"),
            !matches!(way, "close" | "raw" | "raw without close")
        );
        peer.finish();
        simulation.run();
        assert_eq!(log.take(), ["closed"], "{way}");
    }
}

#[test]
fn a_callback_that_fails_costs_the_handshake() {
    let (simulation, worker) = echo();
    worker.on_websocket_connect(|_, _| -> workerman::Result<()> { Err("no".into()) });
    let peer = simulation.connect(worker);
    peer.write(handshake(""));
    simulation.run();
    assert!(peer.read_text().starts_with("HTTP/1.1 500 ") && peer.is_finished());
}

#[test]
fn what_is_sent_early_waits_for_the_handshake_and_keeps_its_order() {
    let simulation = Simulation::new();
    let worker = Worker::<Websocket>::new("");
    worker.on_connect(|connection| {
        assert_eq!(connection.send("very early"), SendStatus::Queued);
        assert_eq!(connection.send(Message::from(vec![1])), SendStatus::Queued);
    });
    worker.on_websocket_connect(|connection, _| connection.send("early"));
    worker.on_websocket_connected(|connection, request| {
        assert_eq!(request.path(), "/chat");
        assert_eq!(connection.send("in time"), SendStatus::Sent);
    });
    let peer = simulation.connect(worker);
    simulation.run();
    assert_eq!(peer.read(), b"", "nothing before the handshake");
    peer.write(handshake(""));
    simulation.run();
    let all = peer.read();
    let end = all.windows(4).position(|four| four == b"\r\n\r\n").expect("the answer's end") + 4;
    let expected = [Frame::text("very early"), Frame::binary([1]), Frame::text("early"), Frame::text("in time")];
    assert_eq!(frames(&all[end..]), expected);
}

#[test]
fn what_is_sent_early_is_bounded() {
    let simulation = Simulation::new();
    let worker = Worker::<Websocket>::new("");
    worker.on_connect(|connection| {
        let piece = "x".repeat(100_000);
        let sent = (0..100).filter(|_| connection.send(&piece).is_accepted()).count();
        assert_eq!(sent, 11);
    });
    simulation.connect(worker);
}

#[test]
fn callbacks_come_in_order_and_a_connection_may_have_its_own() {
    let simulation = Simulation::new();
    let worker = Worker::<Websocket>::new("");
    let log = Log::default();
    let writer = |line: &'static str| {
        let log = log.clone();
        move || log.add(line)
    };
    let (connect, connected, own) = (writer("connect"), writer("connected"), writer("own connect"));
    worker.on_websocket_connect(move |_, _| connect());
    worker.on_websocket_connected(move |_, _| connected());
    let accepted = writer("accepted");
    worker.on_connect(move |connection| {
        accepted();
        let own = own.clone();
        connection.on_websocket_connect(move |_, _| own());
    });
    let message = writer("message");
    worker.on_message(move |_, _| message());
    let closed = writer("closed");
    worker.on_close(move |_| closed());
    let peer = open(&simulation, worker);
    peer.write(text("x"));
    peer.finish();
    simulation.run();
    assert_eq!(log.take(), ["accepted", "own connect", "connected", "message", "closed"]);
}

#[test]
fn a_response_is_for_the_handshake_alone() {
    let simulation = Simulation::new();
    let worker = Worker::<Websocket>::new("");
    let refused = |connection: workerman::TcpConnection<Websocket>| {
        assert_eq!(connection.send(Response::new(101, &[], "")), SendStatus::Dropped);
        assert_eq!(connection.send(&Response::new(404, &[], "")), SendStatus::Dropped);
        assert_eq!(connection.status(), Status::Established);
    };
    worker.on_connect(refused);
    worker.on_websocket_connected(move |connection, _| refused(connection));
    let peer = open(&simulation, worker);
    assert!(!peer.is_finished());
}

#[test]
fn pages_of_other_sites_are_told_apart() {
    for (origin, from, same) in [
        ("", true, true),
        ("Origin: https://example.com\r\n", true, false),
        ("Origin: HTTPS://EXAMPLE.com\r\n", true, false),
        ("Origin: https://example.com.evil.org\r\n", false, false),
        ("Origin: https://example.com:8443\r\n", false, false),
        ("Origin: http://A\r\n", false, true),
        ("Origin: null\r\n", false, false),
        ("Origin: \r\n", false, false),
        ("Origin: https://example.com\r\nOrigin: http://a\r\n", false, false),
    ] {
        let (simulation, worker) = echo();
        worker.on_websocket_connect(move |_, request| {
            assert_eq!((request.is_from(&["https://example.com"]), request.is_same_origin()), (from, same), "{origin}");
        });
        open_with(&simulation, worker, origin);
    }
}

#[cfg(feature = "session")]
#[test]
fn a_session_begins_with_the_handshake() {
    let (simulation, worker) = echo();
    worker.on_websocket_connect(|_, request| -> workerman::Result<()> {
        request.session()?.set("a", 1)?;
        Ok(())
    });
    let (_, answer) = open_with(&simulation, worker, "");
    assert_eq!(answer.matches("\r\nSet-Cookie: ").count(), 1, "{answer}");
}
