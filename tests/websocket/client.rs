//! The client's side, written from RFC 6455 and not from our code: frames out, and a strict reader of what comes.

#![allow(dead_code, clippy::cast_possible_truncation, clippy::indexing_slicing)] // each test file uses some of it

use workerman::testing::{Peer, Simulation};
use workerman::{Websocket, Worker};

pub(crate) const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
pub(crate) const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

pub(crate) const CONTINUATION: u8 = 0x0;
pub(crate) const TEXT: u8 = 0x1;
pub(crate) const BINARY: u8 = 0x2;
pub(crate) const CLOSE: u8 = 0x8;
pub(crate) const PING: u8 = 0x9;
pub(crate) const PONG: u8 = 0xa;

pub(crate) const FIN: u8 = 0x80;
pub(crate) const RSV1: u8 = 0x40;

/// A handshake with these lines besides.
pub(crate) fn handshake(lines: &str) -> String {
    format!(
        "GET /chat?a=1 HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n\
         Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n{lines}\r\n"
    )
}

/// A masked frame whose first byte is this.
pub(crate) fn frame(first: u8, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let payload = payload.as_ref();
    let mut frame = vec![first];
    match payload.len() {
        length @ 0..=125 => frame.push(0x80 | length as u8),
        length @ 126..=0xffff => {
            frame.push(0x80 | 126);
            frame.extend((length as u16).to_be_bytes());
        }
        length => {
            frame.push(0x80 | 127);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    frame.extend(MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// A message in one frame.
pub(crate) fn text(payload: impl AsRef<[u8]>) -> Vec<u8> {
    frame(FIN | TEXT, payload)
}

pub(crate) fn binary(payload: impl AsRef<[u8]>) -> Vec<u8> {
    frame(FIN | BINARY, payload)
}

pub(crate) fn close(code: u16, reason: &str) -> Vec<u8> {
    frame(FIN | CLOSE, [&code.to_be_bytes(), reason.as_bytes()].concat())
}

/// A frame of the server's: its first byte and its payload.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Frame(pub(crate) u8, pub(crate) Vec<u8>);

impl std::fmt::Debug for Frame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{:#x} {:?} ({} bytes)",
            self.0,
            self.1.get(..64).unwrap_or(&self.1).escape_ascii().to_string(),
            self.1.len()
        )
    }
}

impl Frame {
    pub(crate) fn text(payload: impl AsRef<[u8]>) -> Self {
        Self(FIN | TEXT, payload.as_ref().to_vec())
    }

    pub(crate) fn binary(payload: impl AsRef<[u8]>) -> Self {
        Self(FIN | BINARY, payload.as_ref().to_vec())
    }

    pub(crate) fn pong(payload: impl AsRef<[u8]>) -> Self {
        Self(FIN | PONG, payload.as_ref().to_vec())
    }

    pub(crate) fn close(code: u16) -> Self {
        Self(FIN | CLOSE, code.to_be_bytes().to_vec())
    }

    /// The code of a Close frame.
    pub(crate) fn code(&self) -> Option<u16> {
        assert_eq!(self.0, FIN | CLOSE, "{self:?}");
        self.1.first_chunk().map(|code| u16::from_be_bytes(*code))
    }
}

/// All frames in `bytes`, each whole, unmasked, with a length as short as can be.
pub(crate) fn frames(mut bytes: &[u8]) -> Vec<Frame> {
    let mut frames = Vec::new();
    while let [first, second, rest @ ..] = bytes {
        assert_eq!(second & 0x80, 0, "a server does not mask");
        assert_eq!(first & 0x30, 0, "reserved bits");
        let (length, rest) = match second {
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
            length => (usize::from(*length), rest),
        };
        assert!(rest.len() >= length, "a frame is whole: {} of {length} bytes", rest.len());
        let (payload, behind) = rest.split_at(length);
        frames.push(Frame(*first, payload.to_vec()));
        bytes = behind;
    }
    assert!(bytes.is_empty(), "half a head: {bytes:x?}");
    frames
}

/// A connection whose handshake is done.
pub(crate) fn open(simulation: &Simulation, worker: Worker<Websocket>) -> Peer {
    open_with(simulation, worker, "").0
}

/// A connection whose handshake had these lines, and the answer to it.
pub(crate) fn open_with(simulation: &Simulation, worker: Worker<Websocket>, lines: &str) -> (Peer, String) {
    let peer = simulation.connect(worker);
    peer.write(handshake(lines));
    simulation.run();
    let answer = peer.read_text();
    assert!(answer.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\n"), "{answer}");
    (peer, answer)
}

/// Sends bytes and gives back the frames that came, once nothing more happens.
pub(crate) fn exchange(simulation: &Simulation, peer: &Peer, bytes: impl AsRef<[u8]>) -> Vec<Frame> {
    peer.write(bytes);
    simulation.run();
    frames(&peer.read())
}

/// An echo server without a listener.
pub(crate) fn echo() -> (Simulation, Worker<Websocket>) {
    let simulation = Simulation::new();
    let worker = Worker::new("");
    worker.on_message(|connection, message| connection.send(message));
    (simulation, worker)
}
