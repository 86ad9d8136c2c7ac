//! Promise: a compressed broadcast is made once for each window, every client can read it, and what a connection says before
//! and after it too, whatever was agreed to.

#![cfg(feature = "deflate")]
#![allow(clippy::indexing_slicing)] // a failing index fails the test

#[path = "websocket/client.rs"]
mod client;
mod support;

use allocation_counter::measure;
use client::{FIN, Frame, RSV1, TEXT, frame, frames, open_with};
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
use proptest::collection::vec;
use proptest::prelude::*;
use workerman::testing::{Peer, Simulation};
use workerman::{Deflate, Websocket, Worker};

const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// A client with contexts as zlib keeps them, or without any, or without compression.
struct Client {
    peer: Peer,
    agreed: bool,
    compress: Compress,
    decompress: Decompress,
    client_context: bool,
    server_context: bool,
}

impl Client {
    fn join(sim: &Simulation, worker: Worker<Websocket>, offer: &str) -> Self {
        let line = if offer.is_empty() { String::new() } else { format!("Sec-WebSocket-Extensions: {offer}\r\n") };
        let (peer, answer) = open_with(sim, worker, &line);
        let bits = offer.split_once("server_max_window_bits=").map_or(15, |(_, bits)| bits.parse().expect("bits"));
        Self {
            peer,
            agreed: answer.contains("permessage-deflate"),
            compress: Compress::new_with_window_bits(Compression::best(), false, 15),
            decompress: Decompress::new_with_window_bits(false, bits),
            client_context: !answer.contains("client_no_context_takeover"),
            server_context: !answer.contains("server_no_context_takeover"),
        }
    }

    fn say(&mut self, message: &str) {
        if !self.agreed || message.is_empty() {
            return self.peer.write(frame(FIN | TEXT, message));
        }
        if !self.client_context {
            self.compress.reset();
        }
        let mut packed = Vec::with_capacity(message.len() + 100);
        self.compress.compress_vec(message.as_bytes(), &mut packed, FlushCompress::Sync).expect("zlib compresses");
        packed.truncate(packed.len() - TAIL.len());
        self.peer.write(frame(FIN | RSV1 | TEXT, packed));
    }

    /// Everything that has come, and how much of it was compressed.
    fn hear(&mut self) -> (Vec<String>, usize) {
        let frames = frames(&self.peer.read());
        let compressed = frames.iter().filter(|frame| frame.0 & RSV1 != 0).count();
        (frames.iter().map(|frame| self.unpack(frame)).collect(), compressed)
    }

    fn unpack(&mut self, frame: &Frame) -> String {
        let mut message = Vec::with_capacity(1 << 18);
        if frame.0 & RSV1 == 0 {
            message = frame.1.clone();
        } else {
            if !self.server_context {
                self.decompress.reset(false);
            }
            let packed = [frame.1.as_slice(), &TAIL].concat();
            self.decompress.decompress_vec(&packed, &mut message, FlushDecompress::Sync).expect("zlib understands");
        }
        String::from_utf8(message).expect("text")
    }
}

const OFFERS: [&str; 7] = [
    "",
    "permessage-deflate",
    "permessage-deflate; server_no_context_takeover",
    "permessage-deflate; client_no_context_takeover",
    "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
    "permessage-deflate; server_max_window_bits=9",
    "permessage-deflate; client_no_context_takeover; server_max_window_bits=12",
];

/// Echoes what each client says, and tells all what is behind `all:`.
fn worker() -> (Simulation, Worker<Websocket>, Vec<Client>) {
    let sim = Simulation::new();
    let worker = Worker::<Websocket>::new("");
    worker.set_deflate(Deflate::default().threshold(20));
    worker.on_message(move |connection, message| match message.strip_prefix(b"all:") {
        Some(_) => {
            worker.broadcast(message);
        }
        None => {
            connection.send(message);
        }
    });
    let clients = OFFERS.iter().map(|offer| Client::join(&sim, worker, offer)).collect();
    (sim, worker, clients)
}

fn words() -> impl Strategy<Value = String> {
    let word =
        prop::sample::select(vec!["the price of ", "tea is ", "\u{20ac} 17.20 ", "coffee ", "has risen again ", "x"]);
    vec(word, 0..400).prop_map(|words| words.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn own_messages_and_broadcasts_may_alternate_in_any_way(
        said in vec((0..OFFERS.len(), any::<bool>(), words()), 1..12),
    ) {
        let (sim, _worker, mut clients) = worker();
        let mut expected = vec![Vec::new(); OFFERS.len()];
        for (who, to_all, words) in said {
            let message = if to_all { format!("all:{words}") } else { words };
            clients[who].say(&message);
            sim.run();
            for (nth, heard) in expected.iter_mut().enumerate() {
                if to_all || nth == who {
                    heard.push(message.clone());
                }
            }
        }
        for (client, expected) in clients.iter_mut().zip(expected) {
            prop_assert_eq!(client.hear().0, expected);
        }
    }
}

#[test]
fn a_broadcast_is_compressed_for_who_can_read_it_and_if_it_is_smaller_by_it() {
    let (sim, worker, mut clients) = worker();
    let text = "over and over again; ".repeat(100);
    let random: String =
        (0..60_u32).map(|at| char::from(b'!' + (at.wrapping_mul(2_654_435_761) >> 25) as u8 % 90)).collect();
    for (message, compressed) in [(text.as_str(), 1), (&random, 0), ("short", 0)] {
        worker.broadcast(message);
        sim.run();
        for (client, offer) in clients.iter_mut().zip(OFFERS) {
            let expected = if offer.is_empty() { 0 } else { compressed };
            assert_eq!(client.hear(), (vec![message.to_owned()], expected), "{offer}");
        }
    }
}

#[test]
fn a_broadcast_costs_as_many_compressions_as_there_are_windows() {
    let (sim, worker, clients) = worker();
    let more: Vec<_> = (0..50).flat_map(|_| OFFERS.map(|offer| Client::join(&sim, worker, offer))).collect();
    let message = "over and over again; ".repeat(1000);
    let tell = || {
        assert_eq!(worker.broadcast(&message).sent, 51 * OFFERS.len());
        clients.iter().chain(&more).for_each(|client| drop(client.peer.read()));
    };
    tell();
    // One for what each peer reads, and a few for each of the three windows.
    let cost = measure(tell).count_total - 51 * OFFERS.len() as u64;
    assert!(cost < 40, "{cost}");
}
