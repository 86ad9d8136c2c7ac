//! Promise: messages are compressed with clients that can, as RFC 7692 has it, whatever was agreed to; what a client
//! compresses costs no more than the message that it may send, and nothing stays of it that it may not refer to.

#![cfg(feature = "deflate")]
#![allow(clippy::indexing_slicing)] // a failing index fails the test

#[path = "websocket/client.rs"]
mod client;
mod support;

use client::{
    BINARY, CONTINUATION, FIN, Frame, PING, RSV1, TEXT, close, echo, exchange, frame, frames, handshake, open_with,
    text,
};
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
use workerman::testing::{Peer, Simulation};
use workerman::{Deflate, Message, Websocket, Worker};

const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];
const TAKEOVER: &str = "permessage-deflate";
const NO_TAKEOVER: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

/// A client that compresses, with contexts as zlib keeps them.
struct Zip {
    compress: Compress,
    decompress: Decompress,
    takeover: bool,
}

impl Zip {
    fn new(takeover: bool, bits: u8) -> Self {
        let compress = Compress::new_with_window_bits(Compression::best(), false, bits);
        Self { compress, decompress: Decompress::new_with_window_bits(false, bits), takeover }
    }

    fn pack(&mut self, message: &[u8]) -> Vec<u8> {
        if message.is_empty() {
            return vec![0];
        }
        if !self.takeover {
            self.compress.reset();
        }
        let mut packed = Vec::with_capacity(message.len() + 100);
        self.compress.compress_vec(message, &mut packed, FlushCompress::Sync).expect("zlib compresses");
        assert!(packed.ends_with(&TAIL));
        packed.truncate(packed.len() - TAIL.len());
        packed
    }

    fn unpack(&mut self, frame: &Frame) -> Vec<u8> {
        if frame.0 & RSV1 == 0 {
            return frame.1.clone();
        }
        if !self.takeover {
            self.decompress.reset(false);
        }
        let mut message = Vec::with_capacity(1 << 20);
        let packed = [frame.1.as_slice(), &TAIL].concat();
        self.decompress.decompress_vec(&packed, &mut message, FlushDecompress::Sync).expect("zlib understands");
        message
    }
}

/// An echo worker that compresses whatever there is.
fn eager() -> (Simulation, Worker<Websocket>) {
    let (simulation, worker) = echo();
    worker.set_deflate(Deflate::default().threshold(1));
    (simulation, worker)
}

fn offer(simulation: &Simulation, worker: Worker<Websocket>, offer: &str) -> (Peer, String) {
    let (peer, answer) = open_with(simulation, worker, &format!("Sec-WebSocket-Extensions: {offer}\r\n"));
    let lines = answer.split("\r\n").filter_map(|line| line.strip_prefix("Sec-WebSocket-Extensions: "));
    (peer, lines.collect::<Vec<_>>().join("|"))
}

#[test]
fn what_is_agreed_to_is_answered() {
    let (simulation, worker) = echo();
    for (offered, answer) in [
        (TAKEOVER, TAKEOVER),
        (NO_TAKEOVER, NO_TAKEOVER),
        ("permessage-deflate; client_max_window_bits", TAKEOVER),
        (
            "permessage-deflate; server_max_window_bits=8, permessage-deflate; server_max_window_bits=\"10\"",
            "permessage-deflate; server_max_window_bits=10",
        ),
        ("x-webkit-deflate-frame, permessage-deflate; what=1", ""),
        ("x\r\nSec-WebSocket-Extensions: permessage-deflate", TAKEOVER),
    ] {
        assert_eq!(offer(&simulation, worker, offered).1, answer, "{offered}");
    }
    worker.set_deflate(Deflate::off());
    assert_eq!(offer(&simulation, worker, TAKEOVER).1, "");
}

#[test]
fn messages_of_all_kinds_are_echoed_under_every_agreement() {
    let (simulation, worker) = eager();
    let long: Vec<u8> = (0..20_000_u32).flat_map(|at| (at % 1009 * (at % 7) % 251).to_be_bytes()).collect();
    for bits in [9_u8, 12, 15] {
        for takeover in [true, false] {
            let base = if takeover { TAKEOVER } else { NO_TAKEOVER };
            let offered = format!("{base}; server_max_window_bits={bits}; client_max_window_bits={bits}");
            let (peer, answer) = offer(&simulation, worker, &offered);
            assert_eq!(answer, offered);
            let mut zip = Zip::new(takeover, bits);
            for message in [&b"hello hello hello"[..], b"hello hello hello", b"", b"x", &[b'a'; 5000], &long, b"hello"]
            {
                let wire = frame(FIN | RSV1 | BINARY, zip.pack(message));
                let echoed = exchange(&simulation, &peer, wire);
                assert_eq!((echoed.len(), echoed[0].0 & 0xf), (1, BINARY));
                assert!(zip.unpack(&echoed[0]) == message, "{} bytes, {offered}", message.len());
            }
        }
    }
}

#[test]
fn compressed_messages_may_be_fragmented_and_cut_anywhere() {
    let (simulation, worker) = eager();
    let message = "compress me, \u{e9}\u{20ac}, compress me, compress me";
    for takeover in [true, false] {
        for size in 1..30 {
            let (peer, _) = offer(&simulation, worker, if takeover { TAKEOVER } else { NO_TAKEOVER });
            let mut zip = Zip::new(takeover, 15);
            for _ in 0..3 {
                let packed = zip.pack(message.as_bytes());
                let count = packed.chunks(size).count();
                let mut wire = Vec::new();
                for (nth, piece) in packed.chunks(size).enumerate() {
                    let fin = if nth + 1 == count { FIN } else { 0 };
                    wire.extend(frame(fin | if nth == 0 { RSV1 | TEXT } else { CONTINUATION }, piece));
                    wire.extend(frame(if fin == 0 { FIN | PING } else { FIN | 0xa }, ""));
                }
                peer.set_segment(31 - size);
                let mut told = exchange(&simulation, &peer, wire);
                told.retain(|frame| frame.0 != 0x8a);
                assert_eq!(told.len(), 1);
                assert_eq!(zip.unpack(&told[0]), message.as_bytes());
            }
        }
    }
}

#[test]
fn only_messages_that_gain_are_compressed() {
    let (simulation, worker) = echo();
    let (peer, _) = offer(&simulation, worker, TAKEOVER);
    let compressed = |payload: &[u8]| exchange(&simulation, &peer, text(payload))[0].0 & RSV1 != 0;
    assert!(!compressed(&[b'a'; 127]), "below the threshold");
    assert!(compressed(&[b'a'; 128]));
    assert!(!compressed(b""));
    let noise: Vec<u8> = (0..500_u32).map(|at| at.wrapping_mul(2_654_435_761).to_be_bytes()[1]).collect();
    assert_eq!(exchange(&simulation, &peer, client::binary(&noise)), [Frame::binary(&noise)]);
}

/// The code with which the connection ends after these bytes.
fn refused(offered: &str, wire: &[u8]) -> Option<u16> {
    let (simulation, worker) = echo();
    worker.on_connect(|connection| connection.set_max_package_size(512));
    let (peer, _) = offer(&simulation, worker, offered);
    let told = exchange(&simulation, &peer, wire);
    assert!(peer.is_finished());
    told.last().and_then(Frame::code)
}

#[test]
fn one_bad_compressed_frame_costs_one_connection() {
    // It ends PHP's worker process.
    let (simulation, worker) = echo();
    let (other, _) = offer(&simulation, worker, TAKEOVER);
    let (peer, _) = offer(&simulation, worker, TAKEOVER);
    let told = exchange(&simulation, &peer, frame(FIN | RSV1 | TEXT, b"\xff\xff\xff\xff"));
    assert_eq!(told[0].code(), Some(1007));
    assert!(peer.is_finished());
    assert_eq!(exchange(&simulation, &other, text("still here")), [Frame::text("still here")]);
}

#[test]
fn a_decompression_bomb_is_1009() {
    let bomb = Zip::new(false, 15).pack(&[0; 4000]);
    assert!(bomb.len() < 30);
    assert_eq!(refused(TAKEOVER, &frame(FIN | RSV1 | BINARY, &bomb)), Some(1009));
    let pieces = [frame(RSV1 | BINARY, &bomb[..5]), frame(CONTINUATION, &bomb[5..10]), frame(FIN, &bomb[10..])];
    assert_eq!(refused(TAKEOVER, &pieces.concat()), Some(1009));
    // What is declared counts before it comes, compressed or not.
    assert_eq!(refused(TAKEOVER, &[FIN | RSV1 | BINARY, 0xfe, 2, 1, 0, 0, 0, 0]), Some(1009));
}

#[test]
fn rsv1_is_for_the_first_frame_of_a_message_alone() {
    let packed = Zip::new(false, 15).pack(b"hello hello");
    for wire in [
        [frame(RSV1 | TEXT, &packed), frame(FIN | RSV1 | CONTINUATION, "")].concat(),
        [frame(TEXT, "a"), frame(FIN | RSV1 | CONTINUATION, &packed)].concat(),
        frame(FIN | RSV1 | PING, ""),
        frame(FIN | RSV1 | 0x8, ""),
        frame(FIN | RSV1 | 0x20 | TEXT, &packed),
    ] {
        assert_eq!(refused(TAKEOVER, &wire), Some(1002));
    }
    assert_eq!(refused("none", &frame(FIN | RSV1 | TEXT, &packed)), Some(1002), "nothing was agreed to");
}

#[test]
fn compressed_text_is_checked_as_it_comes() {
    let wrong = Zip::new(false, 15).pack(b"text text text text \xff text text");
    assert_eq!(refused(TAKEOVER, &frame(FIN | RSV1 | TEXT, &wrong)), Some(1007));
    assert_eq!(refused(TAKEOVER, &frame(RSV1 | TEXT, &wrong)), Some(1007), "before the message is whole");
    let half = Zip::new(false, 15).pack(b"half a character \xe2\x82");
    assert_eq!(refused(TAKEOVER, &frame(FIN | RSV1 | TEXT, &half)), Some(1007));
}

#[test]
fn a_client_that_gave_its_context_up_may_not_refer_to_it() {
    let (simulation, worker) = eager();
    let mut zip = Zip::new(true, 15);
    let (first, second) = (zip.pack(b"Hello"), zip.pack(b"Hello"));
    for (offered, fine) in [(TAKEOVER, true), (NO_TAKEOVER, false)] {
        let (peer, _) = offer(&simulation, worker, offered);
        exchange(&simulation, &peer, frame(FIN | RSV1 | TEXT, &first));
        let told = exchange(&simulation, &peer, frame(FIN | RSV1 | TEXT, &second));
        assert_eq!(told[0].0 & 0xf == TEXT, fine, "{offered}");
    }
}

#[test]
fn plain_messages_between_compressed_ones_are_no_part_of_the_context() {
    let (simulation, worker) = eager();
    let (peer, _) = offer(&simulation, worker, TAKEOVER);
    let mut zip = Zip::new(true, 15);
    for _ in 0..3 {
        let wire =
            [frame(FIN | RSV1 | TEXT, zip.pack(b"compressed, compressed")), text("plain, plain, plain")].concat();
        let told = exchange(&simulation, &peer, wire);
        assert_eq!(zip.unpack(&told[0]), b"compressed, compressed");
        assert_eq!(zip.unpack(&told[1]), b"plain, plain, plain");
    }
}

#[test]
fn the_last_message_and_the_close_are_compressed_and_plain() {
    let simulation = Simulation::new();
    let worker = Worker::<Websocket>::new("");
    worker.on_message(|connection, message: Message| connection.close_with(message));
    let (peer, _) = offer(&simulation, worker, TAKEOVER);
    let mut zip = Zip::new(true, 15);
    let told = exchange(&simulation, &peer, text([b'z'; 1000]));
    assert_eq!((told[0].0, zip.unpack(&told[0])), (FIN | RSV1 | TEXT, vec![b'z'; 1000]));
    assert_eq!(told[1], Frame::close(1000));
    exchange(&simulation, &peer, close(1000, ""));
    assert!(peer.is_finished());
}

#[test]
fn what_is_sent_before_the_handshake_is_not_compressed() {
    let (simulation, worker) = eager();
    worker.on_connect(|connection| connection.send("early ".repeat(100)));
    let peer = simulation.connect(worker);
    peer.write(handshake("Sec-WebSocket-Extensions: permessage-deflate\r\n"));
    simulation.run();
    let all = peer.read();
    let end = all.windows(4).position(|four| four == b"\r\n\r\n").expect("the answer's end") + 4;
    assert_eq!(frames(&all[end..]), [Frame::text("early ".repeat(100))]);
}

#[test]
fn what_is_wrong_first_is_said_however_it_was_cut() {
    // Text that is not UTF-8, then data that are no deflate; and text that is not UTF-8 beyond the limit.
    let mut wrong = Zip::new(false, 15).pack(b"text \xff");
    wrong.truncate(wrong.len() - 1);
    wrong.extend(b"\x00\x00\x00\xff\xff\x07\xff\xff\xff");
    let late = Zip::new(false, 15).pack(&[&[b'a'; 513][..], b"\xff"].concat());
    for (wire, reason) in [(wrong, "text that is not UTF-8"), (late, "the message is larger than max_package_size")] {
        for size in [1, 7, 1000] {
            let (simulation, worker) = echo();
            worker.on_connect(|connection| connection.set_max_package_size(512));
            let (peer, _) = offer(&simulation, worker, TAKEOVER);
            peer.set_segment(size);
            let told = exchange(&simulation, &peer, frame(FIN | RSV1 | TEXT, &wire));
            assert_eq!(String::from_utf8_lossy(&told[0].1[2..]), reason, "in segments of {size}");
        }
    }
}
