//! The server's side, written from RFC 6455 and not from our code: the answer to a handshake, frames out, and a strict reader
//! of what comes.

#![allow(dead_code, clippy::cast_possible_truncation, clippy::indexing_slicing)] // each test file uses some of it

use tungstenite::handshake::derive_accept_key;
use workerman::testing::{Peer, Simulation};

/// The other end of the next connection that a client makes, once it has asked; and what it has asked.
pub(crate) fn accept(simulation: &Simulation) -> (Peer, String) {
    simulation.run();
    let peer = simulation.accept().expect("it has connected");
    simulation.run();
    let request = peer.read_text();
    assert!(request.starts_with("GET ") && request.ends_with("\r\n\r\n"), "{request}");
    (peer, request)
}

/// The value of a header of a request.
pub(crate) fn header<'a>(request: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = request.lines().filter_map(|line| line.split_once(": "));
    lines.find(|line| line.0.eq_ignore_ascii_case(name)).map(|line| line.1)
}

/// The answer that lets somebody in, with these lines besides.
pub(crate) fn answer(request: &str, lines: &str) -> String {
    let key = header(request, "Sec-WebSocket-Key").expect("a key");
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {}\r\n{lines}\r\n",
        derive_accept_key(key.as_bytes())
    )
}

/// A connection whose handshake is done.
pub(crate) fn open(simulation: &Simulation) -> Peer {
    let (peer, request) = accept(simulation);
    peer.write(answer(&request, ""));
    simulation.run();
    peer
}

/// A frame whose first byte is this, not masked.
pub(crate) fn frame(first: u8, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let payload = payload.as_ref();
    let mut frame = vec![first];
    match payload.len() {
        length @ 0..=125 => frame.push(length as u8),
        length @ 126..=0xffff => {
            frame.push(126);
            frame.extend((length as u16).to_be_bytes());
        }
        length => {
            frame.push(127);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    frame.extend(payload);
    frame
}

pub(crate) fn text(payload: impl AsRef<[u8]>) -> Vec<u8> {
    frame(0x81, payload)
}

pub(crate) fn close(code: u16, reason: &str) -> Vec<u8> {
    frame(0x88, [&code.to_be_bytes(), reason.as_bytes()].concat())
}

/// A frame of the client's: its first byte, its mask and its payload without that.
pub(crate) struct Frame {
    pub(crate) first: u8,
    pub(crate) mask: [u8; 4],
    pub(crate) payload: Vec<u8>,
}

/// All frames in `bytes`, each whole, masked, with a length as short as can be.
pub(crate) fn frames(mut bytes: &[u8]) -> Vec<Frame> {
    let mut frames = Vec::new();
    while let [first, second, rest @ ..] = bytes {
        assert_eq!(second & 0x80, 0x80, "a client masks");
        assert_eq!(first & 0x30, 0, "reserved bits");
        let (length, rest) = match second & 0x7f {
            126 => {
                let length = usize::from(u16::from_be_bytes(rest[..2].try_into().expect("a length")));
                assert!(length > 125);
                (length, &rest[2..])
            }
            127 => {
                let length = u64::from_be_bytes(rest[..8].try_into().expect("a length"));
                assert!(length > 0xffff);
                (usize::try_from(length).expect("a length that fits"), &rest[8..])
            }
            length => (usize::from(length), rest),
        };
        let mask: [u8; 4] = rest[..4].try_into().expect("a mask");
        let (masked, behind) = rest[4..].split_at(length);
        let payload = masked.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
        frames.push(Frame { first: *first, mask, payload });
        bytes = behind;
    }
    assert!(bytes.is_empty(), "half a head: {bytes:x?}");
    frames
}

/// First bytes and payloads, readable.
pub(crate) fn told(bytes: &[u8]) -> Vec<String> {
    frames(bytes).iter().map(|frame| format!("{:x} {}", frame.first, frame.payload.escape_ascii())).collect()
}
