//! Promise: another implementation of a WebSocket server understands our client and is understood by it, in memory with random
//! cuts, and on real sockets.

#![allow(clippy::indexing_slicing)] // a failing index fails the test

mod outside;
mod support;

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};

use outside::Program;
use proptest::prelude::*;
use support::Log;
use tungstenite::protocol::CloseFrame;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Error, HandshakeError, Message as Theirs, WebSocket};
use workerman::testing::{Peer, Simulation};
use workerman::{AsyncTcpConnection, Message, Ws};

/// A server's stream in memory: reading it lets the loop turn.
struct Wire {
    simulation: Simulation,
    peer: Peer,
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.simulation.run();
        let bytes = self.peer.read_at_most(buffer.len());
        if bytes.is_empty() && !self.peer.is_finished() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        buffer[..bytes.len()].copy_from_slice(&bytes);
        Ok(bytes.len())
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.peer.write(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Our client that gives back what it is told, its log, and their server, whose handshake is done.
fn connect(segment: usize) -> (AsyncTcpConnection<Ws>, Log, WebSocket<Wire>) {
    let simulation = Simulation::new();
    let client = AsyncTcpConnection::<Ws>::new("ws://server.test/chat?a=1");
    let log = Log::default();
    let (bye, end) = (log.clone(), log.clone());
    client.on_message(|client, message: Message| client.send(message));
    client.on_websocket_close(move |_, code, reason| bye.add(format!("{code} {reason}")));
    client.on_close(move |_| end.add("close"));
    client.connect();
    simulation.run();
    let peer = simulation.accept().expect("it has connected");
    peer.set_segment(segment);
    let mut result = tungstenite::accept(Wire { simulation, peer });
    for _ in 0..10 {
        match result {
            Err(HandshakeError::Interrupted(middle)) => result = middle.handshake(),
            other => return (client, log, other.unwrap_or_else(|error| panic!("{error}"))),
        }
    }
    panic!("the handshake does not end");
}

/// The next that comes.
fn next(server: &mut WebSocket<Wire>) -> Result<Theirs, Error> {
    for _ in 0..10 {
        match server.read() {
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {}
            other => return other,
        }
    }
    panic!("nothing comes");
}

#[test]
fn their_server_closes_and_ours_is_the_answer() {
    let (_client, log, mut server) = connect(usize::MAX);
    let frame = CloseFrame { code: CloseCode::Library(4001), reason: "enough".into() };
    server.close(Some(frame)).expect("it is sent");
    assert!(matches!(next(&mut server), Ok(Theirs::Close(Some(answer))) if answer.code == CloseCode::Library(4001)));
    assert!(matches!(next(&mut server), Err(Error::ConnectionClosed)));
    server.get_ref().peer.finish();
    server.get_ref().simulation.run();
    assert_eq!(log.take(), ["4001 enough", "close"]);
}

#[test]
fn our_client_closes_and_their_server_answers() {
    let (client, log, mut server) = connect(usize::MAX);
    server.get_ref().simulation.run();
    client.close();
    assert!(matches!(next(&mut server), Ok(Theirs::Close(Some(frame))) if frame.code == CloseCode::Normal));
    assert!(matches!(next(&mut server), Err(Error::ConnectionClosed)));
    server.get_ref().simulation.run();
    assert!(log.take().is_empty(), "the server closes first");
    server.get_ref().peer.finish();
    server.get_ref().simulation.run();
    assert_eq!(log.take(), ["close"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn messages_come_back_as_they_were(
        messages in proptest::collection::vec((any::<bool>(), "\\PC{0,400}"), 1..8),
        segment in 1_usize..300,
    ) {
        let (_client, _log, mut server) = connect(segment);
        for (is_text, text) in messages {
            let message = if is_text { Theirs::Text(text.into()) } else { Theirs::Binary(text.into_bytes().into()) };
            server.send(Theirs::Ping("p".into())).expect("it is sent");
            server.send(message.clone()).expect("it is sent");
            prop_assert_eq!(next(&mut server).expect("an answer"), Theirs::Pong("p".into()));
            prop_assert_eq!(next(&mut server).expect("an echo"), message);
        }
    }
}

fn accept(listener: &TcpListener) -> WebSocket<TcpStream> {
    let (stream, _) = listener.accept().expect("it connects");
    stream.set_read_timeout(Some(outside::PATIENCE)).expect("a timeout");
    tungstenite::accept(stream).expect("a handshake")
}

#[test]
fn the_client_example_talks_and_comes_back() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let client = Program::new("websocket_client").with("ADDRESS", address.to_string()).start();
    let mut server = accept(&listener);
    assert_eq!(server.read().expect("a greeting"), "hello".into());
    assert_eq!(client.line(), "let in with 101");
    server.send("good day".into()).expect("it is sent");
    assert_eq!(client.line(), "it says good day");
    let frame = CloseFrame { code: CloseCode::Away, reason: "for lunch".into() };
    server.close(Some(frame)).expect("it is sent");
    assert_eq!(client.line(), "it closes: 1001 for lunch");
    while server.read().is_ok() {}
    drop(server);
    let mut server = accept(&listener);
    assert_eq!(server.read().expect("a greeting"), "hello".into());
    drop(listener);
    drop(server);
    assert_eq!(client.line_after("let in with "), "101");
    assert!(client.line_after("connect ws://").contains("Connection refused"));
}

#[test]
fn the_client_example_talks_with_the_echo_example() {
    let (_echo, address) = outside::start_example("websocket_echo");
    let client = Program::new("websocket_client").with("ADDRESS", address.to_string()).start();
    assert_eq!((client.line(), client.line()), ("let in with 101".to_owned(), "it says hello".to_owned()));
}
