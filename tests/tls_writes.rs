//! Promise: whatever room there is for ciphertext, and whoever talks meanwhile, what is sent over TLS arrives once and in
//! order, counts as written when it has left, and ends with a word that it is all.

#![allow(clippy::indexing_slicing, clippy::unwrap_used)] // a failing index fails the test
#![cfg(feature = "_tls")]

mod common;
mod support;
mod ways;

use std::cell::Cell;
use std::io::{ErrorKind, Read, Write};
use std::rc::Rc;

use common::{answers, get};
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;
use rustls::ClientConnection;
use ways::{Server, Way, certificate};
use workerman::testing::Peer;
use workerman::{Codec, Http, Response, SendStatus, Tcp, TcpConnection, Worker};

/// A client by hand: nothing moves unless it is told to.
struct Client {
    peer: Peer,
    tls: ClientConnection,
    /// What was taken from below, and what came out of it.
    taken: usize,
    come: Vec<u8>,
    /// The server has said that this is all.
    is_all: bool,
}

impl Client {
    /// One that has shaken hands.
    fn new<P: Codec>(server: &Server<P>) -> Self {
        let peer = server.simulation.connect(server.worker);
        let mut client = Self { peer, tls: certificate().client(), taken: 0, come: Vec::new(), is_all: false };
        while client.tls.is_handshaking() || client.tls.wants_write() {
            client.send();
            server.simulation.run();
            client.take(usize::MAX);
        }
        server.simulation.run();
        client.take(usize::MAX);
        client
    }

    fn send(&mut self) {
        let mut leaving = Vec::new();
        while self.tls.wants_write() {
            self.tls.write_tls(&mut leaving).unwrap();
        }
        self.peer.write(leaving);
    }

    /// Takes so much ciphertext; answers how much there was.
    fn take(&mut self, most: usize) -> usize {
        let bytes = self.peer.read_at_most(most);
        self.taken += bytes.len();
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            self.tls.read_tls(&mut rest).unwrap();
            self.tls.process_new_packets().unwrap();
            match self.tls.reader().read_to_end(&mut self.come) {
                Ok(_) => self.is_all = true,
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
        }
        bytes.len()
    }
}

#[derive(Clone, Debug)]
enum Act {
    Send(usize),
    Say(usize),
    UpdateKeys,
    Window(usize),
    WriteLimit(usize),
    Segment(usize),
    Take(usize),
    Run,
}

fn size() -> impl Strategy<Value = usize> {
    prop_oneof![0..10_usize, 0..2000_usize, 16_300..16_500_usize, 65_400..65_600_usize, 0..200_000_usize]
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        size().prop_map(Act::Send),
        (1..3000_usize).prop_map(Act::Say),
        Just(Act::UpdateKeys),
        size().prop_map(Act::Window),
        size().prop_map(Act::WriteLimit),
        (1..500_usize).prop_map(Act::Segment),
        size().prop_map(Act::Take),
        Just(Act::Run),
    ]
}

/// Bytes that go on from where the last have ended.
fn next(length: usize, from: usize) -> Vec<u8> {
    (from..from + length).map(|at| (at * 31 + at / 251 + at / 65_537).to_le_bytes()[0]).collect()
}

fn play(acts: &[Act], window: usize) -> TestCaseResult {
    let heard = Rc::new(Cell::new(Vec::new()));
    let hear = Rc::clone(&heard);
    let server = Way::TlsInMemory.serve(|worker: Worker<Tcp>| {
        worker.on_connect(|connection| connection.set_max_send_buffer_size(300_000));
        worker.on_message(move |_, bytes| {
            let mut all = hear.take();
            all.extend_from_slice(&bytes);
            hear.set(all);
        });
    });
    let mut client = Client::new(&server);
    let connection = server.worker.connections().next().unwrap();
    let (mut sent, mut said, greeting) = (Vec::new(), Vec::new(), client.taken);
    for act in acts {
        let mut is_empty = false;
        match act {
            Act::Send(length) => {
                let bytes = next(*length, sent.len());
                if connection.send(bytes.clone()) != SendStatus::Dropped {
                    sent.extend(bytes);
                }
            }
            Act::Say(length) => {
                let bytes = next(*length, said.len());
                client.tls.writer().write_all(&bytes).unwrap();
                client.send();
                said.extend(bytes);
            }
            Act::UpdateKeys => {
                client.tls.refresh_traffic_keys().unwrap();
                client.send();
            }
            Act::Window(bytes) => client.peer.set_window(*bytes),
            Act::WriteLimit(bytes) => client.peer.set_write_limit(*bytes),
            Act::Segment(bytes) => client.peer.set_segment(*bytes),
            Act::Take(bytes) => is_empty = client.take(*bytes) < *bytes,
            Act::Run => server.simulation.run(),
        }
        prop_assert!(sent.starts_with(&client.come), "bytes were lost, doubled or shuffled");
        let written = usize::try_from(connection.bytes_written()).unwrap();
        prop_assert_eq!(written + connection.send_buffer_queue_size(), sent.len());
        if is_empty {
            prop_assert!(written <= client.taken - greeting, "what counts as written has left");
        }
    }
    finish(&server, &mut client, connection, window)?;
    prop_assert!(client.come == sent, "{} of {} bytes", client.come.len(), sent.len());
    prop_assert!(heard.take() == said);
    Ok(())
}

fn take_all<P: Codec>(server: &Server<P>, client: &mut Client) {
    server.simulation.run();
    while client.take(usize::MAX) > 0 {
        server.simulation.run();
    }
}

/// Takes what is left, and closes while there is a window of this size.
fn finish<P: Codec>(
    server: &Server<P>,
    client: &mut Client,
    connection: TcpConnection<P>,
    window: usize,
) -> TestCaseResult {
    client.peer.set_write_limit(usize::MAX);
    client.peer.set_segment(usize::MAX);
    client.peer.set_window(1_000_000);
    take_all(server, client);
    prop_assert_eq!(connection.bytes_written(), client.come.len() as u64);
    client.peer.set_window(window);
    connection.close();
    take_all(server, client);
    prop_assert!(client.is_all, "the last word is missing");
    prop_assert!(client.peer.is_finished());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn what_is_sent_arrives_once_and_in_order_and_counts_when_it_has_left(
        acts in prop::collection::vec(act(), 1..40),
        window in 1..100_usize,
    ) {
        play(&acts, window)?;
    }

    #[test]
    fn a_file_arrives_whole_through_any_window(
        length in 1..250_000_usize,
        windows in prop::collection::vec(size(), 1..10),
        limit in 1..100_000_usize,
    ) {
        let file = next(length, 0);
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file.bin");
        std::fs::write(&path, &file).unwrap();
        let server = Way::TlsInMemory.serve(|worker: Worker<Http>| {
            worker.on_message(move |connection, _| connection.send(Response::new(200, &[], "").with_file(&path, 0, 0)));
        });
        let mut client = Client::new(&server);
        client.peer.set_write_limit(limit);
        client.tls.writer().write_all(get("/").as_bytes()).unwrap();
        client.send();
        for window in windows {
            client.peer.set_window(window);
            server.simulation.run();
            client.take(window / 2);
        }
        let connection = server.worker.connections().next().unwrap();
        finish(&server, &mut client, connection, limit)?;
        let answers = answers(&client.come);
        prop_assert!(answers.len() == 1 && answers[0].body == file);
    }
}

#[test]
fn the_last_word_waits_for_room() {
    type Close = fn(&mut Client, TcpConnection<Tcp>);
    let closes: [Close; 3] = [
        |_, connection| connection.close(),
        |_, connection| connection.end(),
        |client, _| {
            client.tls.send_close_notify();
            client.send();
            client.peer.finish();
        },
    ];
    for close in closes {
        let server = Way::TlsInMemory.serve(|_: Worker<Tcp>| {});
        let mut client = Client::new(&server);
        let connection = server.worker.connections().next().unwrap();
        // As much as a record of 100 bytes is long, and not more.
        client.peer.set_window(100 + 22);
        assert_eq!(connection.send(vec![b'x'; 100]), SendStatus::Sent);
        close(&mut client, connection);
        server.simulation.run();
        assert!(!client.peer.is_finished());
        for _ in 0..3 {
            client.take(usize::MAX);
            server.simulation.run();
        }
        assert_eq!((client.come.len(), client.is_all, client.peer.is_finished()), (100, true, true));
    }
}
