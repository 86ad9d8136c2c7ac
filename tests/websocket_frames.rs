//! Promise: messages come out as they were put in, however they are framed and cut; what a client may not do ends its
//! connection with the code of RFC 6455, at the byte that shows it.

#![allow(clippy::indexing_slicing, clippy::cast_possible_truncation)] // a failing index fails the test

#[path = "websocket/client.rs"]
mod client;
mod support;

use client::{
    BINARY, CLOSE, CONTINUATION, FIN, Frame, PING, PONG, RSV1, TEXT, binary, close, echo, exchange, frame, frames,
    open, text,
};
use support::Log;
use workerman::testing::Simulation;
use workerman::{Message, Websocket, Worker};

/// The lengths at which the form of a frame changes.
const LENGTHS: [usize; 9] = [0, 1, 124, 125, 126, 127, 65_535, 65_536, 200_000];

#[test]
fn messages_of_any_length_are_echoed_as_what_they_were() {
    let (simulation, worker) = echo();
    let peer = open(&simulation, worker);
    for length in LENGTHS {
        let payload = vec![b'*'; length];
        assert_eq!(exchange(&simulation, &peer, text(&payload)), [Frame::text(&payload)]);
        let payload: Vec<u8> = (0..length).map(|at| at as u8).collect();
        assert_eq!(exchange(&simulation, &peer, binary(&payload)), [Frame::binary(&payload)]);
    }
}

#[test]
fn messages_may_be_cut_anywhere() {
    let wire = [
        text("h\u{e9}llo"),
        binary([0, 159, 255]),
        frame(TEXT, "\u{20ac}".as_bytes()[..1].as_ref()),
        frame(FIN | PING, "between"),
        frame(CONTINUATION, ""),
        frame(FIN | CONTINUATION, &"\u{20ac}".as_bytes()[1..]),
        text([b'x'; 300]),
        text(""),
        close(1001, "going"),
    ]
    .concat();
    let expected = [
        Frame::text("h\u{e9}llo"),
        Frame::binary([0, 159, 255]),
        Frame::pong("between"),
        Frame::text("\u{20ac}"),
        Frame::text([b'x'; 300]),
        Frame::text(""),
        Frame::close(1001),
    ];
    let (simulation, worker) = echo();
    for size in (1..=20).chain([wire.len()]) {
        let peer = open(&simulation, worker);
        peer.set_segment(size);
        assert_eq!(exchange(&simulation, &peer, &wire), expected, "in segments of {size}");
        assert!(peer.is_finished());
    }
    for cut in 1..wire.len() {
        let peer = open(&simulation, worker);
        let (front, back) = wire.split_at(cut);
        peer.write(front);
        simulation.run();
        let mut bytes = peer.read();
        peer.write(back);
        simulation.run();
        bytes.extend(peer.read());
        assert_eq!(frames(&bytes), expected, "cut at {cut}");
    }
}

#[test]
fn frames_behind_the_handshake_in_one_segment_are_messages() {
    let (simulation, worker) = echo();
    let peer = simulation.connect(worker);
    peer.write([client::handshake("").into_bytes(), text("glued"), text("twice")].concat());
    simulation.run();
    let answer = peer.read();
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("the answer's end") + 4;
    assert_eq!(frames(&answer[end..]), [Frame::text("glued"), Frame::text("twice")]);
}

/// What the connection is told when these bytes come, whole and byte by byte; it has to end either way.
fn refused(bytes: &[u8]) -> Option<u16> {
    let (simulation, worker) = echo();
    let mut codes = Vec::new();
    for size in [1, bytes.len().max(1)] {
        let peer = open(&simulation, worker);
        peer.set_segment(size);
        peer.write(bytes);
        simulation.run();
        let told = frames(&peer.read());
        let last = told.last().expect("a Close frame");
        codes.push(last.code());
        assert!(peer.is_finished(), "the connection ends");
    }
    assert_eq!(codes[0], codes[1], "{bytes:x?}");
    codes[0]
}

#[test]
fn a_protocol_error_is_1002() {
    let unmasked = [0x81, 0x02, b'h', b'i'];
    let long_ping = frame(FIN | PING, [b'p'; 126]);
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("no mask", unmasked.to_vec()),
        ("no mask, empty", vec![0x81, 0]),
        ("RSV1 without an extension", frame(FIN | RSV1 | TEXT, "x")),
        ("RSV2", frame(FIN | 0x20 | TEXT, "x")),
        ("RSV3", frame(FIN | 0x10 | TEXT, "x")),
        ("RSV1 on a ping", frame(FIN | RSV1 | PING, "")),
        ("opcode 3", frame(FIN | 3, "")),
        ("opcode 7", frame(FIN | 7, "")),
        ("opcode 11", frame(FIN | 11, "")),
        ("opcode 15", frame(FIN | 15, "")),
        ("a long ping", long_ping),
        ("a long close", frame(FIN | CLOSE, [3; 126])),
        ("a ping in fragments", frame(PING, "")),
        ("a close in fragments", frame(CLOSE, [3, 232])),
        ("a continuation of nothing", frame(FIN | CONTINUATION, "x")),
        ("a continuation behind a message", [text("a"), frame(CONTINUATION, "x")].concat()),
        ("a message in a message", [frame(TEXT, "a"), text("b")].concat()),
        ("a length that could be shorter", [&[0x81, 0xfe, 0, 2][..], &[0; 4], b"ok"].concat()),
        ("the same with 64 bits", [&[0x81, 0xff, 0, 0, 0, 0, 0, 0, 0, 2][..], &[0; 4], b"ok"].concat()),
        ("a length of 64 bits", vec![0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4]),
        ("a close with half a code", frame(FIN | CLOSE, [3])),
    ];
    for (what, bytes) in cases {
        assert_eq!(refused(&bytes), Some(1002), "{what}");
    }
    for code in [0_u16, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535] {
        assert_eq!(refused(&close(code, "")), Some(1002), "close {code}");
    }
}

#[test]
fn text_that_is_not_utf8_is_1007() {
    assert_eq!(refused(&text(b"\xff\xfe")), Some(1007));
    assert_eq!(refused(&text(b"abc\xe2\x82")), Some(1007), "half a character at the end");
    assert_eq!(refused(&[frame(TEXT, b"\xe2"), frame(FIN | CONTINUATION, b"x")].concat()), Some(1007));
    assert_eq!(refused(&frame(FIN | CLOSE, b"\x03\xe8\xff")), Some(1007), "a reason");
}

#[test]
fn text_is_refused_at_the_byte_that_shows_it_while_the_frame_still_arrives() {
    // RFC 6455 §8.1 and Autobahn 6.4: U+110000 begins with F4 90, and nothing more is needed.
    let wrong = b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xf4\x90\x80\x80edited";
    let (simulation, worker) = echo();
    for fragmented in [false, true] {
        let peer = open(&simulation, worker);
        let first = if fragmented { TEXT } else { FIN | TEXT };
        let wire = frame(first, wrong);
        let shows = 6 + 13;
        peer.write(&wire[..shows - 1]);
        simulation.run();
        assert_eq!(peer.read(), b"");
        peer.write(&wire[shows - 1..shows]);
        simulation.run();
        assert_eq!(frames(&peer.read())[0].code(), Some(1007));
        assert!(peer.is_finished());
    }
}

#[test]
fn a_size_that_is_declared_counts_before_its_bytes_arrive() {
    let (simulation, worker) = echo();
    worker.on_connect(|connection| connection.set_max_package_size(1000));
    let whole = frame(FIN | BINARY, vec![0; 1001]);
    let fragments = [frame(BINARY, vec![0; 600]), frame(FIN | CONTINUATION, vec![0; 401])].concat();
    let huge = [0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4];
    for (wire, head) in [(&whole[..], 8), (&fragments[..], 608 + 8), (&huge[..], 14)] {
        for end in [head, wire.len()] {
            let peer = open(&simulation, worker);
            let told = exchange(&simulation, &peer, &wire[..end]);
            assert_eq!(told[0].code(), Some(1009));
            assert!(peer.is_finished());
        }
    }
    let peer = open(&simulation, worker);
    let fits = [frame(BINARY, vec![0; 600]), frame(FIN | CONTINUATION, vec![0; 400])].concat();
    assert_eq!(exchange(&simulation, &peer, fits), [Frame::binary(vec![0; 1000])]);
    assert_eq!(exchange(&simulation, &peer, text(vec![b'a'; 1000])), [Frame::text(vec![b'a'; 1000])]);
}

#[test]
fn pings_are_answered_between_fragments_and_leave_the_message_alone() {
    let simulation = Simulation::new();
    let worker = Worker::<Websocket>::new("");
    let log = Log::default();
    worker.on_message({
        let log = log.clone();
        move |connection, message: Message| {
            log.add(format!("message {message}"));
            connection.send(message)
        }
    });
    worker.on_websocket_ping({
        let log = log.clone();
        move |_, payload| log.add(format!("ping {}", payload.escape_ascii()))
    });
    worker.on_websocket_pong({
        let log = log.clone();
        move |_, payload| log.add(format!("pong {}", payload.escape_ascii()))
    });
    let peer = open(&simulation, worker);
    let wire = [
        frame(TEXT, "first-"),
        frame(FIN | PING, "P"),
        frame(FIN | PONG, "unasked"),
        frame(FIN | PING, [b'p'; 125]),
        frame(FIN | CONTINUATION, "last"),
    ];
    let expected = [Frame::pong("P"), Frame::pong([b'p'; 125]), Frame::text("first-last")];
    assert_eq!(exchange(&simulation, &peer, wire.concat()), expected);
    let long = format!("ping {}", "p".repeat(125));
    assert_eq!(log.take(), ["ping P", "pong unasked", &long, "message first-last"]);
}

#[test]
fn a_message_may_have_any_number_of_fragments() {
    let (simulation, worker) = echo();
    let peer = open(&simulation, worker);
    let mut wire = frame(TEXT, "");
    for _ in 0..1000 {
        wire.extend(frame(CONTINUATION, "ab"));
        wire.extend(frame(CONTINUATION, ""));
    }
    wire.extend(frame(FIN | CONTINUATION, ""));
    assert_eq!(exchange(&simulation, &peer, wire), [Frame::text("ab".repeat(1000))]);
}

#[test]
fn equal_bytes_of_two_clients_are_two_messages() {
    // PHP keeps what it made of some bytes and gives it to whoever sends the same.
    let (simulation, worker) = echo();
    let (a, b) = (open(&simulation, worker), open(&simulation, worker));
    a.write(frame(TEXT, "SECRET-of-A, "));
    b.write(frame(TEXT, "plain B, "));
    let last = frame(FIN | CONTINUATION, "the same end");
    assert_eq!(exchange(&simulation, &a, &last), [Frame::text("SECRET-of-A, the same end")]);
    assert_eq!(exchange(&simulation, &b, &last), [Frame::text("plain B, the same end")]);
}
