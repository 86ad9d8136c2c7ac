//! Promise: a client of WebSocket asks as RFC 6455 has it, is let in by nothing but the right answer, speaks and closes as a
//! client does, and tells the app what has come of it. In memory and in virtual time.

#![allow(clippy::indexing_slicing)] // a failing index fails the test

#[path = "websocket/server.rs"]
mod server;
mod support;

use std::collections::HashSet;
use std::time::Duration;

use proptest::prelude::*;
use server::{accept, answer, close, frame, frames, header, open, text, told};
use support::Log;
use workerman::testing::{Peer, Simulation};
use workerman::{AsyncTcpConnection, Message, SendStatus, Status, Websocket, WebsocketType, Worker, Ws};

type Client = AsyncTcpConnection<Ws>;

const SECOND: Duration = Duration::from_secs(1);

/// A client that logs all it is told, and its loop.
fn client_of(address: &str) -> (Simulation, Client, Log) {
    let simulation = Simulation::new();
    let client = Client::new(address);
    let log = Log::default();
    let logs: [Log; 8] = std::array::from_fn(|_| log.clone());
    let [connect, let_in, message, ping, pong, bye, error, end] = logs;
    client.on_connect(move |_| connect.add("connect"));
    client.on_websocket_connect(move |_, answer| let_in.add(format!("let in {}", answer.status())));
    client.on_message(move |_, told: Message| message.add(format!("{told:?}")));
    client.on_websocket_ping(move |_, payload| ping.add(format!("ping {}", payload.escape_ascii())));
    client.on_websocket_pong(move |_, payload| pong.add(format!("pong {}", payload.escape_ascii())));
    client.on_websocket_close(move |client, code, reason| {
        assert_eq!(client.send("too late"), SendStatus::Closed);
        bye.add(format!("bye {code} {reason}"));
    });
    client.on_error(move |_, code, text| error.add(format!("error {code} {text}")));
    client.on_close(move |_| end.add("close"));
    (simulation, client, log)
}

fn client() -> (Simulation, Client, Log) {
    client_of("ws://server.test:8080/chat?room=1")
}

/// A client whose handshake is done, and the other end.
fn opened() -> (Simulation, Client, Log, Peer) {
    let (simulation, client, log) = client();
    client.connect();
    let peer = open(&simulation);
    assert_eq!(log.take(), ["connect", "let in 101"]);
    (simulation, client, log, peer)
}

#[test]
fn the_request_is_for_the_place_that_the_address_names() {
    for (address, line, host) in [
        ("ws://server.test:8080/chat?room=1", "GET /chat?room=1 HTTP/1.1", "server.test:8080"),
        ("ws://server.test", "GET / HTTP/1.1", "server.test"),
        ("ws://server.test:80/x", "GET /x HTTP/1.1", "server.test"),
        ("ws://server.test:443/x", "GET /x HTTP/1.1", "server.test:443"),
        ("ws://[::1]:9001?a=b", "GET /?a=b HTTP/1.1", "[::1]:9001"),
        ("unix:///run/app.sock", "GET / HTTP/1.1", "localhost"),
    ] {
        let (simulation, client, _log) = client_of(address);
        client.connect();
        let (_, request) = accept(&simulation);
        assert_eq!((request.lines().next(), header(&request, "Host")), (Some(line), Some(host)), "{address}");
        assert_eq!(header(&request, "Upgrade"), Some("websocket"));
        assert_eq!(header(&request, "Connection"), Some("Upgrade"));
        assert_eq!(header(&request, "Sec-WebSocket-Version"), Some("13"));
        let offer = cfg!(feature = "deflate").then_some("permessage-deflate; client_max_window_bits");
        assert_eq!(header(&request, "Sec-WebSocket-Extensions"), offer);
    }
}

#[test]
fn the_app_says_more_in_its_request() {
    let (simulation, client, _log) = client();
    client.set_headers(&[("Authorization", "Bearer 0123"), ("X-Split", "a\r\nb: c"), ("Upgrade", "h2c")]);
    client.set_origin("https://example.com");
    client.set_protocols(&["soap", "chat"]);
    client.connect();
    let (_, request) = accept(&simulation);
    assert_eq!(header(&request, "Authorization"), Some("Bearer 0123"));
    assert_eq!(header(&request, "Origin"), Some("https://example.com"));
    assert_eq!(header(&request, "Sec-WebSocket-Protocol"), Some("soap, chat"));
    assert_eq!((header(&request, "X-Split"), request.matches("pgrade:").count()), (None, 1));
}

#[test]
fn every_connection_has_a_key_of_its_own() {
    let (simulation, client, _log) = client();
    client.on_close(|client| client.reconnect(0));
    client.connect();
    let keys: HashSet<String> = (0..20)
        .map(|_| {
            let (peer, request) = accept(&simulation);
            peer.reset();
            header(&request, "Sec-WebSocket-Key").expect("a key").to_owned()
        })
        .collect();
    assert!(keys.len() == 20 && keys.iter().all(|key| key.len() == 24 && key.ends_with("==")), "{keys:?}");
}

#[test]
fn what_comes_with_the_answer_is_delivered_at_once() {
    let (simulation, client, log) = client();
    client.connect();
    let (peer, request) = accept(&simulation);
    assert_eq!((log.take(), client.status()), (vec!["connect".to_owned()], Status::Established));
    peer.write([answer(&request, "").as_bytes(), &text("one"), &frame(0x82, [0]), &close(1001, "")].concat());
    simulation.run();
    assert_eq!(log.take(), ["let in 101", "Text(\"one\")", "Binary(\"\\\\x00\")", "bye 1001 "]);
    assert_eq!(told(&peer.read()), ["88 \\x03\\xe9"]);
}

#[test]
fn the_answer_may_come_byte_by_byte() {
    let (simulation, client, log) = client();
    client.connect();
    let (peer, request) = accept(&simulation);
    peer.set_segment(1);
    peer.write([answer(&request, "").as_bytes(), &text("one")].concat());
    simulation.run();
    assert_eq!(log.take(), ["connect", "let in 101", "Text(\"one\")"]);
}

#[test]
fn what_is_sent_too_early_leaves_right_behind_the_answer() {
    let (simulation, client, _log) = client();
    assert_eq!(client.send("before connect"), SendStatus::Queued);
    client.on_connect(|client| assert_eq!(client.send("on connect"), SendStatus::Queued));
    client.on_websocket_connect(|client, _| client.send("let in"));
    client.connect();
    let (peer, request) = accept(&simulation);
    assert_eq!(client.send(vec![1]), SendStatus::Queued);
    assert_eq!(client.ping("x"), SendStatus::Dropped);
    assert_eq!(client.connection().expect("it stands").send_raw("x"), SendStatus::Dropped);
    simulation.run();
    assert!(peer.read().is_empty(), "nothing but the request");
    peer.write(answer(&request, ""));
    simulation.run();
    assert_eq!(told(&peer.read()), ["81 before connect", "81 on connect", "82 \\x01", "81 let in"]);
}

#[test]
fn no_more_than_a_megabyte_waits_for_the_answer() {
    let (simulation, client, _log) = client();
    client.connect();
    let (peer, request) = accept(&simulation);
    let piece = "x".repeat(64 * 1024);
    let sent: Vec<SendStatus> = (0..20).map(|_| client.send(piece.clone())).collect();
    assert_eq!((sent[15], sent[16]), (SendStatus::Queued, SendStatus::Dropped));
    peer.write(answer(&request, ""));
    simulation.run();
    assert_eq!(frames(&peer.read()).len(), 16);
}

#[test]
fn an_answer_that_does_not_let_us_in_is_an_error_and_then_the_end() {
    for (wrong, told) in [
        ("HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno", "with 401 Unauthorized"),
        ("HTTP/1.1 301 Moved Permanently\r\nLocation: wss://b/\r\n\r\n", "with 301 Moved Permanently, see wss://b/"),
        ("HTTP/1.1 200 OK\r\n\r\n<html>", "with 200 OK"),
        (
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
            "Sec-WebSocket-Accept",
        ),
        ("220 mail.test ESMTP\r\n", "HTTP/1.1"),
    ] {
        let (simulation, client, log) = client();
        client.send("never");
        client.connect();
        let (peer, _) = accept(&simulation);
        peer.write(wrong);
        simulation.run();
        let lines = log.take();
        assert!(
            matches!(lines.as_slice(), [_, error] if error.starts_with("error 3 ") && error.contains(told)),
            "{lines:?}"
        );
        assert!(peer.is_finished() && peer.read().is_empty());
        peer.finish();
        simulation.run();
        assert_eq!((log.take(), client.status()), (vec!["close".to_owned()], Status::Closed), "{told}");
    }
}

#[test]
fn the_answer_has_what_is_left_of_the_time_to_connect() {
    for (timeout, late) in [(3, 5), (0, 100)] {
        let (simulation, client, log) = client();
        client.set_connect_timeout(timeout);
        client.connect();
        let (peer, _) = accept(&simulation);
        // A slow answer is as late as none.
        peer.write("HTTP/1.1 101 ");
        simulation.advance(SECOND * 2);
        peer.write("Switching ");
        simulation.run();
        assert_eq!(log.take(), ["connect"]);
        simulation.advance(SECOND * (late - 2));
        let expected: &[&str] = match timeout {
            0 => &[],
            _ => &["error 3 the server has not answered the handshake in time", "close"],
        };
        assert_eq!(log.take(), expected);
    }
}

#[test]
fn a_server_that_hangs_up_before_its_answer_is_an_error() {
    for hang_up in [Peer::finish, Peer::reset] {
        for begun in ["", "HTTP/1.1 101 Swit"] {
            let (simulation, client, log) = client();
            client.connect();
            let (peer, _) = accept(&simulation);
            peer.write(begun);
            hang_up(&peer);
            simulation.run();
            let error = "error 3 the server has closed before it answered the handshake";
            assert_eq!(log.take(), ["connect", error, "close"]);
        }
    }
}

#[test]
fn who_closes_before_the_answer_is_told_of_no_error() {
    for end in [Client::close, Client::destroy] {
        let (simulation, client, log) = client();
        client.connect();
        let (peer, _) = accept(&simulation);
        end(client);
        simulation.run();
        assert_eq!((log.take(), peer.is_closed()), (vec!["connect".to_owned(), "close".to_owned()], true));
    }
    let (simulation, client, log) = client();
    client.on_connect(Client::close);
    client.connect();
    simulation.run();
    let peer = simulation.accept().expect("it has connected");
    assert_eq!((log.take(), peer.read_text()), (vec!["close".to_owned()], String::new()));
}

#[test]
fn a_client_that_comes_back_asks_anew() {
    let (simulation, client, log) = client();
    let told_close = log.clone();
    client.on_close(move |client| {
        told_close.add("close");
        client.reconnect(1);
    });
    client.connect();
    let (peer, request) = accept(&simulation);
    peer.write("HTTP/1.1 503 Service Unavailable\r\n\r\n");
    peer.finish();
    simulation.run();
    assert_eq!(log.take().len(), 3);
    client.send("waits");
    simulation.advance(SECOND);
    let (peer, again) = accept(&simulation);
    assert_ne!(header(&request, "Sec-WebSocket-Key"), header(&again, "Sec-WebSocket-Key"));
    peer.write([answer(&again, "").as_bytes(), &frame(0x01, "ha")].concat());
    simulation.run();
    assert_eq!(told(&peer.read()), ["81 waits"]);
    peer.reset();
    simulation.advance(SECOND);
    let peer = open(&simulation);
    peer.write(text("whole"));
    simulation.run();
    assert_eq!(log.take(), ["connect", "let in 101", "close", "connect", "let in 101", "Text(\"whole\")"]);
}

#[test]
fn messages_of_any_length_go_both_ways() {
    let (simulation, client, log, peer) = opened();
    for length in [0, 1, 125, 126, 127, 200, 65_535, 65_536, 200_000] {
        let payload = "x".repeat(length);
        peer.write(text(&payload));
        peer.write(frame(0x82, &payload));
        simulation.run();
        let escaped = payload.escape_debug().to_string();
        assert_eq!(log.take(), [format!("Text(\"{escaped}\")"), format!("Binary({:?})", payload)], "{length}");
        client.send(payload.clone());
        client.send(payload.as_bytes().to_vec());
        client.send(Message::from(payload.clone()));
        simulation.run();
        let sent = frames(&peer.read());
        assert_eq!(sent.iter().map(|frame| frame.first & 0xbf).collect::<Vec<_>>(), [0x81, 0x82, 0x81], "{length}");
        assert!(sent.iter().all(|frame| frame.first & 0x40 != 0 || frame.payload == payload.as_bytes()), "{length}");
    }
}

#[test]
fn each_frame_has_a_mask_of_its_own() {
    let (simulation, client, _log, peer) = opened();
    for _ in 0..600 {
        client.send("the same");
    }
    client.ping("");
    peer.write(frame(0x89, "p"));
    simulation.run();
    client.close();
    simulation.run();
    let sent = frames(&peer.read());
    let masks: HashSet<[u8; 4]> = sent.iter().map(|frame| frame.mask).collect();
    assert!(masks.len() == sent.len() && sent.len() == 603, "{} masks of {}", masks.len(), sent.len());
    assert!(!masks.contains(&[0; 4]));
}

#[test]
fn text_and_bytes_go_out_as_the_type_says() {
    let (simulation, client, _log) = client();
    client.set_websocket_type(WebsocketType::Binary);
    client.connect();
    let peer = open(&simulation);
    client.send("a");
    client.send(Message::from("b"));
    client.set_websocket_type(WebsocketType::Text);
    client.send(b"c".to_vec());
    assert_eq!(client.send(vec![0xff]), SendStatus::Dropped);
    simulation.run();
    assert_eq!(told(&peer.read()), ["82 a", "81 b", "81 c"]);
}

#[test]
fn what_a_server_may_not_send_costs_it_the_connection() {
    let masked = [0x81, 0x81, 1, 2, 3, 4, b'a' ^ 1];
    let cases: [(&[u8], u16); 7] = [
        (&masked, 1002),
        (b"\x83\x00", 1002),
        (b"\xc1\x00", 1002),
        (b"\x80\x00", 1002),
        (b"\x09\x00", 1002),
        (b"\x81\x01\xff", 1007),
        (b"\x88\x02\x03\xed", 1002),
    ];
    for (bytes, code) in cases {
        let (simulation, _client, log, peer) = opened();
        peer.write([bytes, text("not heard").as_slice()].concat());
        simulation.run();
        let sent = frames(&peer.read());
        assert!(sent.len() == 1 && sent[0].first == 0x88, "{bytes:x?}");
        assert_eq!(sent[0].payload[..2], code.to_be_bytes(), "{bytes:x?}");
        assert!(peer.is_finished());
        peer.finish();
        simulation.run();
        assert_eq!(log.take(), ["close"], "{bytes:x?}");
    }
}

#[test]
fn a_message_that_is_too_large_is_refused_before_it_arrives() {
    let (simulation, client, log, peer) = opened();
    client.connection().expect("it stands").set_max_package_size(1000);
    peer.write([&[0x82, 126], 1001_u16.to_be_bytes().as_slice()].concat());
    simulation.run();
    assert_eq!(frames(&peer.read())[0].payload[..2], 1009_u16.to_be_bytes());
    peer.finish();
    simulation.run();
    assert_eq!(log.take(), ["close"]);
}

#[test]
fn pings_are_answered_between_fragments() {
    let (simulation, client, log, peer) = opened();
    let bytes = [frame(0x01, "first-"), frame(0x89, "P"), frame(0x00, "middle-"), frame(0x8a, ""), frame(0x80, "last")];
    peer.write(bytes.concat());
    simulation.run();
    assert_eq!(log.take(), ["ping P", "pong ", "Text(\"first-middle-last\")"]);
    assert_eq!(told(&peer.read()), ["8a P"]);
    assert_eq!(client.ping("x".repeat(126)), SendStatus::Dropped);
    assert_eq!(client.ping("there?"), SendStatus::Sent);
    simulation.run();
    assert_eq!(told(&peer.read()), ["89 there?"]);
}

#[test]
fn a_silent_server_is_asked_and_then_left() {
    let (simulation, client, log) = client();
    client.set_ping_interval(55);
    client.connect();
    let peer = open(&simulation);
    log.take();
    simulation.advance(SECOND * 54);
    assert!(peer.read().is_empty());
    simulation.advance(SECOND * 2);
    assert_eq!(told(&peer.read()), ["89 "]);
    peer.write(frame(0x8a, ""));
    simulation.advance(SECOND * 54);
    assert!(peer.read().is_empty() && log.take() == ["pong "], "it has answered");
    simulation.advance(SECOND * 2);
    assert_eq!(told(&peer.read()), ["89 "]);
    simulation.advance(SECOND * 12);
    assert_eq!((log.take(), peer.is_closed()), (vec!["close".to_owned()], true));
}

#[test]
fn without_an_interval_nobody_is_asked() {
    let (simulation, _client, log, peer) = opened();
    simulation.advance(SECOND * 3600);
    assert!(peer.read().is_empty() && log.take().is_empty());
}

#[test]
fn a_server_that_closes_is_answered_and_closes_first() {
    for (sent, answered, told_app) in [
        (close(1000, ""), "88 \\x03\\xe8", "bye 1000 "),
        (close(4999, "enough"), "88 \\x13\\x87", "bye 4999 enough"),
        (frame(0x88, ""), "88 ", "bye 1005 "),
    ] {
        let (simulation, client, log, peer) = opened();
        peer.write([sent, text("ignored")].concat());
        simulation.run();
        assert_eq!((told(&peer.read()), log.take()), (vec![answered.to_owned()], vec![told_app.to_owned()]));
        assert!(!peer.is_finished() && client.status() == Status::Closing, "the server's end closes first");
        peer.finish();
        simulation.run();
        assert_eq!((log.take(), peer.is_closed()), (vec!["close".to_owned()], true));
    }
}

#[test]
fn a_server_that_closes_and_stays_is_left_in_time() {
    let (simulation, _client, log, peer) = opened();
    peer.write(close(1000, ""));
    simulation.advance(SECOND * 9);
    assert_eq!(log.take(), ["bye 1000 "]);
    simulation.advance(SECOND * 3);
    assert_eq!((log.take(), peer.is_closed()), (vec!["close".to_owned()], true));
}

#[test]
fn a_client_that_closes_waits_for_the_server() {
    let (simulation, client, log, peer) = opened();
    client.send("last words");
    client.close();
    assert_eq!(client.send("too late"), SendStatus::Closed);
    simulation.run();
    assert_eq!(told(&peer.read()), ["81 last words", "88 \\x03\\xe8"]);
    peer.write([text("not heard"), frame(0x89, "nor this"), close(1000, "")].concat());
    simulation.run();
    assert!(peer.read().is_empty() && log.take().is_empty() && !peer.is_finished());
    peer.finish();
    simulation.run();
    assert_eq!(log.take(), ["close"]);
}

#[test]
fn a_client_closes_with_a_code_and_not_for_ever() {
    for answers in [false, true] {
        let (simulation, client, log, peer) = opened();
        client.close_with_code(4000, "see you");
        simulation.run();
        assert_eq!(told(&peer.read()), ["88 \\x0f\\xa0see you"]);
        if answers {
            peer.write(close(4000, ""));
        }
        simulation.advance(SECOND * 9);
        assert!(log.take().is_empty());
        simulation.advance(SECOND * 3);
        assert_eq!(log.take(), ["close"], "answers: {answers}");
    }
}

#[test]
fn a_callback_that_fails_is_1011() {
    let (simulation, client, log, peer) = opened();
    client.on_message(|_, _| Err::<(), _>("no"));
    peer.write(text("one"));
    simulation.run();
    assert_eq!(told(&peer.read()), ["88 \\x03\\xf3"]);
    peer.write(close(1011, ""));
    peer.finish();
    simulation.run();
    assert_eq!(log.take(), ["close"]);
}

#[test]
fn a_process_that_stops_says_1001() {
    let (simulation, _client, log, peer) = opened();
    simulation.begin_stop();
    simulation.advance(SECOND * 2);
    assert_eq!(told(&peer.read()), ["88 \\x03\\xe9"]);
    peer.write(close(1001, ""));
    peer.finish();
    simulation.run();
    assert_eq!((log.take(), simulation.has_stopped()), (vec!["close".to_owned()], true));
}

/// Carries bytes between a client and a worker until nothing more is said.
fn carry(simulation: &Simulation, client: &Peer, worker: &Peer) {
    loop {
        simulation.run();
        let (from, to) = (client.read(), worker.read());
        if from.is_empty() && to.is_empty() {
            break;
        }
        worker.write(from);
        client.write(to);
    }
}

/// A client and a worker of ours, each knowing the other.
fn pair(set_up: impl FnOnce(Client)) -> (Simulation, Client, Log, Peer, Peer) {
    let (simulation, client, log) = client();
    let worker = Worker::<Websocket>::new("");
    worker.on_message(|connection, message: Message| connection.send(message));
    set_up(client);
    client.connect();
    simulation.run();
    let (there, here) = (simulation.accept().expect("it has connected"), simulation.connect(worker));
    carry(&simulation, &there, &here);
    assert_eq!(log.take(), ["connect", "let in 101"]);
    (simulation, client, log, there, here)
}

#[test]
fn our_client_and_our_server_understand_each_other() {
    let (simulation, client, log, there, here) = pair(|_| {});
    for message in ["", "hello", &"so it goes ".repeat(1000), &"x".repeat(100_000)] {
        client.send(message.to_owned());
        client.send(message.as_bytes().to_vec());
        carry(&simulation, &there, &here);
        assert_eq!(
            log.take(),
            [format!("{:?}", Message::from(message)), format!("{:?}", Message::from(message.as_bytes()))]
        );
    }
    client.close();
    carry(&simulation, &there, &here);
    assert!(here.is_finished() && !there.is_finished());
    there.finish();
    simulation.run();
    assert_eq!(log.take(), ["close"]);
}

#[cfg(feature = "deflate")]
#[test]
fn messages_are_compressed_under_every_agreement() {
    use workerman::Deflate;

    let ways = [
        Deflate::default(),
        Deflate::default().client_context(false),
        Deflate::default().server_context(false).level(9),
        Deflate::default().client_context(false).server_context(false).threshold(1),
    ];
    for way in ways {
        let (simulation, client, log, there, here) = pair(|client| client.set_deflate(way));
        let mut sizes = Vec::new();
        for _ in 0..3 {
            client.send("so it goes, and so it goes, and goes ".repeat(10));
            simulation.run();
            let sent = there.read();
            let [frame] = frames(&sent).try_into().unwrap_or_else(|_| panic!("one frame"));
            assert_eq!(frame.first, 0xc1);
            sizes.push(frame.payload.len());
            here.write(sent);
            carry(&simulation, &there, &here);
            assert_eq!(
                log.take(),
                [format!("{:?}", Message::from("so it goes, and so it goes, and goes ".repeat(10)))]
            );
        }
        assert!(sizes.iter().all(|size| *size < 100), "{sizes:?}");
    }
}

#[cfg(feature = "deflate")]
#[test]
fn a_window_is_kept_to() {
    // What repeats at a greater distance than the window does not get shorter by it.
    let distant = |bits: u8| {
        let (simulation, client, _log) = client();
        client.connect();
        let (peer, request) = accept(&simulation);
        let line = format!("Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits={bits}\r\n");
        peer.write(answer(&request, &line));
        simulation.run();
        let digits = std::iter::successors(Some(1_u32), |seed| Some(seed.wrapping_mul(1_664_525).wrapping_add(1)));
        let noise: String = digits.take(1500).filter_map(|seed| char::from_digit(seed >> 27, 32)).collect();
        client.send(noise.repeat(2));
        simulation.run();
        frames(&peer.read())[0].payload.len()
    };
    assert!(distant(9) > distant(15) + 300, "{} {}", distant(9), distant(15));
    assert_eq!(distant(8), 3000, "there is no such window here, so nothing is compressed");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the pieces and the windows, the same messages.
    #[test]
    fn a_conversation_may_be_cut_anywhere(
        messages in proptest::collection::vec((any::<bool>(), "[a-z ]{0,300}"), 1..8),
        segment in 1_usize..200,
        window in 1_usize..300,
    ) {
        let (simulation, client, log) = client();
        client.connect();
        let (peer, request) = accept(&simulation);
        peer.set_segment(segment);
        let mut bytes = answer(&request, "").into_bytes();
        let mut expected = vec!["connect".to_owned(), "let in 101".to_owned()];
        for (is_text, message) in &messages {
            bytes.extend(frame(if *is_text { 0x81 } else { 0x82 }, message));
            let message = if *is_text { Message::from(message) } else { Message::from(message.as_bytes()) };
            expected.push(format!("{message:?}"));
        }
        peer.write(bytes);
        simulation.run();
        prop_assert_eq!(log.take(), expected);
        peer.set_window(window);
        for (_, message) in &messages {
            client.send(message.clone());
        }
        let mut sent = Vec::new();
        loop {
            simulation.run();
            let piece = peer.read();
            if piece.is_empty() {
                break;
            }
            sent.extend(piece);
        }
        prop_assert_eq!(frames(&sent).len(), messages.len());
    }
}
