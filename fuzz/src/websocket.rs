//! WebSocket: however the bytes behind a handshake are cut, one outcome; and that of a reference written from RFC 6455.

use std::cell::Cell;
use std::rc::Rc;

use workerman::testing::Simulation;
use workerman::{Message, Websocket, Worker};

const LIMIT: usize = 3000;

/// The first byte decides how the rest is cut and whether compression is offered; the rest is what a client sends behind its
/// handshake.
pub fn websocket(input: &[u8]) {
    let [how, wire @ ..] = input else { return };
    let deflate = how & 1 != 0;
    let whole = converse([wire], deflate);
    let size = usize::from(how >> 1) + 1;
    for size in [1, size] {
        let cut = converse(wire.chunks(size), deflate);
        assert_eq!(cut, whole, "in pieces of {size}: {}", wire.escape_ascii());
    }
    let told = frames(&whole.wire);
    if !deflate {
        let expected = reference(wire);
        assert_eq!(whole.messages, expected.messages, "{}", wire.escape_ascii());
        let pongs: Vec<_> = told.iter().filter(|frame| frame.0 == 0x8a).map(|frame| frame.1.clone()).collect();
        assert_eq!(pongs, expected.pongs, "{}", wire.escape_ascii());
        let close = told.iter().find(|frame| frame.0 == 0x88).map(|frame| frame.1.get(..2).map(<[u8]>::to_vec));
        match expected.end {
            End::Open => assert_eq!(close, None, "{}", wire.escape_ascii()),
            End::Answered(code) => assert_eq!(close, Some(code), "{}", wire.escape_ascii()),
            End::Refused => {
                let code = close.flatten().expect("a code");
                let code = u16::from_be_bytes([code[0], code[1]]);
                assert!([1002, 1007, 1009].contains(&code), "{code}: {}", wire.escape_ascii());
            }
        }
    }
    assert!(told.iter().rev().skip(1).all(|frame| frame.0 != 0x88), "nothing follows a Close");
}

/// What a connection came to.
#[derive(Debug, Default, PartialEq)]
struct Outcome {
    messages: Vec<Message>,
    wire: Vec<u8>,
    finished: bool,
}

fn converse<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, deflate: bool) -> Outcome {
    let simulation = Simulation::new();
    let worker = Worker::<Websocket>::new("");
    let messages = Rc::new(Cell::new(Vec::new()));
    let log = Rc::clone(&messages);
    worker.on_message(move |connection, message: Message| {
        connection.set_max_send_buffer_size(usize::MAX);
        connection.send(&message);
        let mut messages = log.take();
        messages.push(message);
        log.set(messages);
    });
    worker.on_connect(|connection| connection.set_max_package_size(LIMIT));
    let peer = simulation.connect(worker);
    let offer = if deflate { "Sec-WebSocket-Extensions: permessage-deflate\r\n" } else { "" };
    peer.write(format!(
        "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{offer}\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    ));
    simulation.run();
    assert!(peer.read_text().starts_with("HTTP/1.1 101 "));
    for piece in pieces {
        peer.write(piece);
        simulation.run();
    }
    Outcome { messages: messages.take(), wire: peer.read(), finished: peer.is_finished() }
}

/// The frames of the server: first bytes and payloads, all whole and unmasked.
fn frames(mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut frames = Vec::new();
    while let [first, second, rest @ ..] = bytes {
        let (length, rest) = match second {
            126 => (usize::from(u16::from_be_bytes([rest[0], rest[1]])), &rest[2..]),
            _ => (usize::from(*second), rest),
        };
        assert!(*second < 127 && rest.len() >= length, "a whole frame of at most {LIMIT} bytes");
        let (payload, behind) = rest.split_at(length);
        frames.push((*first, payload.to_vec()));
        bytes = behind;
    }
    assert!(bytes.is_empty());
    frames
}

/// What has to come of frames without an extension.
#[derive(Debug, Default)]
struct Expected {
    messages: Vec<Message>,
    pongs: Vec<Vec<u8>>,
    end: End,
}

#[derive(Debug, Default)]
enum End {
    #[default]
    Open,
    /// A Close was answered, with its code if it had one.
    Answered(Option<Vec<u8>>),
    Refused,
}

fn reference(mut bytes: &[u8]) -> Expected {
    let mut expected = Expected::default();
    let mut message: Option<(u8, Vec<u8>)> = None;
    while !bytes.is_empty() {
        let refused = match frame(bytes, message.as_ref()) {
            Frame::Refused => true,
            Frame::Incomplete => return expected,
            Frame::Whole { first, payload, length } => {
                bytes = &bytes[length..];
                match first & 0xf {
                    0x8 => {
                        let refused = !is_farewell(&payload);
                        expected.end =
                            if refused { End::Refused } else { End::Answered(payload.get(..2).map(<[u8]>::to_vec)) };
                        return expected;
                    }
                    0x9 => expected.pongs.push(payload),
                    0xa => {}
                    opcode => {
                        let (kind, mut bytes) = message.take().unwrap_or((opcode, Vec::new()));
                        bytes.extend(payload);
                        message = Some((kind, bytes));
                    }
                }
                let ends = first & 0x80 != 0 && first & 0x8 == 0;
                match message.take_if(|_| ends) {
                    Some((1, bytes)) => match String::from_utf8(bytes) {
                        Ok(text) => expected.messages.push(Message::Text(text)),
                        Err(_) => {
                            expected.end = End::Refused;
                            return expected;
                        }
                    },
                    Some((_, bytes)) => expected.messages.push(Message::Binary(bytes)),
                    None => {}
                }
                false
            }
        };
        if refused {
            expected.end = End::Refused;
            return expected;
        }
    }
    expected
}

enum Frame {
    Whole { first: u8, payload: Vec<u8>, length: usize },
    Incomplete,
    Refused,
}

fn frame(bytes: &[u8], message: Option<&(u8, Vec<u8>)>) -> Frame {
    let first = bytes[0];
    let control = first & 0x8 != 0;
    if first & 0x70 != 0 || ![0, 1, 2, 8, 9, 10].contains(&(first & 0xf)) || control && first & 0x80 == 0 {
        return Frame::Refused;
    }
    let Some(second) = bytes.get(1) else { return Frame::Incomplete };
    if second & 0x80 == 0 || control && second & 0x7f > 125 {
        return Frame::Refused;
    }
    let (at, least) = match second & 0x7f {
        126 => (4, 126),
        127 => (10, 0x1_0000),
        _ => (2, 0),
    };
    let Some(extended) = bytes.get(2..at) else { return Frame::Incomplete };
    let length = extended.iter().fold(0_u64, |length, byte| length << 8 | u64::from(*byte));
    let length = if at == 2 { u64::from(second & 0x7f) } else { length };
    if length < least || length >> 63 != 0 {
        return Frame::Refused;
    }
    let Some(mask) = bytes.get(at..at + 4) else { return Frame::Incomplete };
    let continues = first & 0xf == 0;
    let so_far = message.map_or(0, |message| message.1.len());
    if !control && (continues != message.is_some() || length > (LIMIT - so_far) as u64) {
        return Frame::Refused;
    }
    let masked = &bytes[at + 4..];
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    let there = &masked[..length.min(masked.len())];
    let payload: Vec<u8> = there.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
    if there.len() < length {
        let is_text = message.map_or(first & 0xf, |message| message.0) == 1;
        let text = [message.map_or(&[][..], |message| &message.1), &payload].concat();
        return if !control && is_text && !may_become_text(&text) { Frame::Refused } else { Frame::Incomplete };
    }
    if !control && first & 0x80 == 0 {
        let is_text = message.map_or(first & 0xf, |message| message.0) == 1;
        let text = [message.map_or(&[][..], |message| &message.1), &payload].concat();
        if is_text && !may_become_text(&text) {
            return Frame::Refused;
        }
    }
    Frame::Whole { first, length: at + 4 + payload.len(), payload }
}

fn may_become_text(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).map_or_else(|error| error.error_len().is_none(), |_| true)
}

fn is_farewell(payload: &[u8]) -> bool {
    match payload {
        [] => true,
        [_] => false,
        [high, low, reason @ ..] => {
            let code = u16::from_be_bytes([*high, *low]);
            let fine = (1000..5000).contains(&code) && !(1004..=1006).contains(&code) && !(1015..3000).contains(&code);
            fine && std::str::from_utf8(reason).is_ok()
        }
    }
}

/// A handshake: let in exactly when RFC 6455 §4.2.1 allows it, however it is cut; whoever is not is told so in HTTP.
pub fn handshake(input: &[u8]) {
    let whole = knock([input]);
    let size = input.iter().fold(7, |sum: usize, byte| sum.wrapping_mul(31).wrapping_add((*byte).into())) % 61 + 2;
    for size in [1, size] {
        assert_eq!(knock(input.chunks(size)), whole, "in pieces of {size}: {}", input.escape_ascii());
    }
    let mut head = input;
    while let Some(rest) = head.strip_prefix(b"\r\n") {
        head = rest;
    }
    let Some(end) = head.windows(4).position(|four| four == b"\r\n\r\n") else { return };
    let head = &head[..end + 4];
    let answer = knock([head]);
    let asks = super::reference_head(head) && asks_for_websocket(head);
    assert_eq!(answer.starts_with("HTTP/1.1 101 "), asks, "{}\n{answer}", head.escape_ascii());
    let extends = answer.contains("\r\nSec-WebSocket-Extensions: permessage-deflate");
    let offered = String::from_utf8_lossy(head).contains("permessage-deflate");
    assert!(offered || !extends, "{}", head.escape_ascii());
}

/// What somebody gets who sends this on a new connection, up to the end of the head.
fn knock<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> String {
    let simulation = Simulation::new();
    let worker = Worker::<Websocket>::new("");
    let peer = simulation.connect(worker);
    for piece in pieces {
        peer.write(piece);
        simulation.run();
    }
    // Whether the go-ahead for a body is sent depends on how much of it has come.
    let answer = peer.read_text().replace("HTTP/1.1 100 Continue\r\n\r\n", "");
    answer.split_inclusive("\r\n\r\n").next().unwrap_or_default().to_owned()
}

/// Whether a head that is one of HTTP asks for a WebSocket, and nothing is wrong with how it does.
fn asks_for_websocket(head: &[u8]) -> bool {
    let head = String::from_utf8_lossy(head);
    let (line, fields) = head.split_once("\r\n").unwrap_or_default();
    let values = |wanted: &str| {
        let fields = fields.split("\r\n").filter_map(|field| field.split_once(':'));
        let values = fields
            .filter(|(name, _)| name.eq_ignore_ascii_case(wanted))
            .map(|(_, value)| value.trim_matches([' ', '\t']));
        values.map(str::to_owned).collect::<Vec<_>>()
    };
    let has = |name: &str, token: &str| {
        values(name).iter().flat_map(|value| value.split(',')).any(|item| item.trim().eq_ignore_ascii_case(token))
    };
    let is_digit = |digit: char| digit.is_ascii_alphanumeric() || digit == '+' || digit == '/';
    let is_key =
        |key: &str| key.len() == 24 && key.strip_suffix("==").is_some_and(|digits| digits.chars().all(is_digit));
    // A body would have to come first.
    let has_body = values("Content-Length").iter().any(|length| !length.trim_start_matches('0').is_empty())
        || has("Transfer-Encoding", "chunked");
    line.starts_with("GET ")
        && line.ends_with(" HTTP/1.1")
        && has("Upgrade", "websocket")
        && has("Connection", "Upgrade")
        && values("Sec-WebSocket-Version") == ["13"]
        && matches!(values("Sec-WebSocket-Key").as_slice(), [key] if is_key(key))
        && !has_body
}
