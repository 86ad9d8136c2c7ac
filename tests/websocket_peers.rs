//! Promise: another implementation of WebSocket understands ours and is understood by it, in memory with random cuts, and on
//! real sockets.

#![allow(clippy::indexing_slicing)] // a failing index fails the test

mod outside;

use std::io::{self, Read, Write};
use std::net::TcpStream;

use proptest::prelude::*;
use tungstenite::client::IntoClientRequest;
use tungstenite::handshake::client::Response as Answer;
use tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tungstenite::protocol::frame::{CloseFrame, Frame};
use tungstenite::{ClientHandshake, Error, HandshakeError, Message as Theirs, WebSocket};
use workerman::testing::{Peer, Simulation};
use workerman::{Message, Response, Websocket, Worker};

/// A client's stream in memory: reading it lets the loop turn.
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

/// A client whose handshake is done, and the answer to it.
fn connect(simulation: Simulation, worker: Worker<Websocket>, protocols: &str) -> (WebSocket<Wire>, Answer) {
    let peer = simulation.connect(worker);
    let mut request = "ws://a/chat?a=1".into_client_request().expect("an address");
    if !protocols.is_empty() {
        request.headers_mut().insert("Sec-WebSocket-Protocol", protocols.parse().expect("a header"));
    }
    let mut result = ClientHandshake::start(Wire { simulation, peer }, request, None).expect("a request").handshake();
    for _ in 0..10 {
        match result {
            Err(HandshakeError::Interrupted(middle)) => result = middle.handshake(),
            other => return other.unwrap_or_else(|error| panic!("{error}")),
        }
    }
    panic!("the handshake does not end");
}

fn echo() -> (Simulation, Worker<Websocket>) {
    let simulation = Simulation::new();
    let worker = Worker::<Websocket>::new("");
    worker.on_message(|connection, message: Message| connection.send(message));
    (simulation, worker)
}

#[test]
fn a_sub_protocol_and_a_cookie_are_understood() {
    let (simulation, worker) = echo();
    worker.on_websocket_connect(|connection, request| {
        assert_eq!(request.get("a"), Some("1"));
        connection.send(Response::new(101, &[("Sec-WebSocket-Protocol", "chat"), ("Set-Cookie", "a=1")], ""))
    });
    let (_, answer) = connect(simulation, worker, "soap, chat");
    assert_eq!(answer.headers()["sec-websocket-protocol"], "chat");
    assert_eq!(answer.headers()["set-cookie"], "a=1");
}

#[test]
fn closing_is_understood_from_both_sides() {
    let (simulation, worker) = echo();
    let (mut client, _) = connect(simulation, worker, "");
    let farewell = CloseFrame { code: CloseCode::Library(4321), reason: "bye".into() };
    client.close(Some(farewell)).expect("it closes");
    let answer = client.read().expect("an answer");
    assert_eq!(answer, Theirs::Close(Some(CloseFrame { code: CloseCode::Library(4321), reason: "".into() })));
    assert!(matches!(client.read(), Err(Error::ConnectionClosed)));

    let simulation = Simulation::new();
    let worker = Worker::<Websocket>::new("");
    worker.on_message(|connection, _| connection.close_with_code(4000, "enough"));
    let (mut client, _) = connect(simulation, worker, "");
    client.send("x".into()).expect("it is sent");
    let told = client.read().expect("a close");
    assert_eq!(told, Theirs::Close(Some(CloseFrame { code: CloseCode::Library(4000), reason: "enough".into() })));
    // Its answer leaves with the next read; then we end the connection.
    assert!(matches!(client.read(), Err(Error::ConnectionClosed)));
}

#[test]
fn pings_are_understood_both_ways() {
    let (simulation, worker) = echo();
    worker.on_websocket_connected(|connection, _| connection.ping("are you there"));
    worker.on_websocket_pong(|connection, payload| connection.send(payload));
    let (mut client, _) = connect(simulation, worker, "");
    assert_eq!(client.read().expect("a ping"), Theirs::Ping("are you there".into()));
    assert_eq!(client.read().expect("its payload comes back"), Theirs::Binary("are you there".into()));
    client.send(Theirs::Ping("hello".into())).expect("it is sent");
    assert_eq!(client.read().expect("a pong"), Theirs::Pong("hello".into()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Any messages, in any fragments, in any segments, with pings between: they come back as they were.
    #[test]
    fn messages_come_back_as_they_were(
        messages in prop::collection::vec(
            prop_oneof![
                prop::collection::vec(any::<u8>(), 0..300).prop_map(Message::Binary),
                "\\PC{0,200}".prop_map(Message::Text),
                (60_000_usize..70_000).prop_map(|length| Message::Binary(vec![7; length])),
            ],
            1..6,
        ),
        fragment in 1_usize..5000,
        segment in 1_usize..100_000,
        write in 1_usize..100_000,
    ) {
        let (simulation, worker) = echo();
        let (mut client, _) = connect(simulation, worker, "");
        for message in messages {
            client.get_ref().peer.set_segment(if message.len() > 1000 { segment.max(100) } else { segment });
            client.get_ref().peer.set_write_limit(write);
            let bytes = message.as_bytes();
            let pieces: Vec<&[u8]> = if bytes.is_empty() { vec![bytes] } else { bytes.chunks(fragment).collect() };
            for (nth, piece) in pieces.iter().enumerate() {
                let first = if message.is_text() { Data::Text } else { Data::Binary };
                let opcode = OpCode::Data(if nth == 0 { first } else { Data::Continue });
                let frame = Frame::message(piece.to_vec(), opcode, nth + 1 == pieces.len());
                client.send(Theirs::Frame(frame)).expect("it is sent");
                client.send(Theirs::Ping("p".into())).expect("it is sent");
            }
            let mut pongs = 0;
            let answer = loop {
                match client.read() {
                    Ok(Theirs::Pong(_)) => pongs += 1,
                    Ok(answer) => break answer,
                    Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) => panic!("{error}"),
                }
            };
            let expected = match message.clone() {
                Message::Text(text) => Theirs::Text(text.into()),
                Message::Binary(bytes) => Theirs::Binary(bytes.into()),
            };
            prop_assert_eq!(answer, expected);
            while pongs < pieces.len() {
                match client.read() {
                    Ok(Theirs::Pong(_)) => pongs += 1,
                    Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {}
                    other => panic!("{other:?}"),
                }
            }
        }
    }
}

/// A client on a real socket.
fn dial(address: std::net::SocketAddr, path: &str) -> WebSocket<TcpStream> {
    let stream = outside::connect(address);
    tungstenite::client(format!("ws://{address}{path}"), stream).expect("a handshake").0
}

#[test]
fn the_echo_example_gives_back_what_it_is_told() {
    let (_example, address) = outside::start_example("websocket_echo");
    let mut client = dial(address, "/");
    for length in [0, 125, 126, 65_535, 65_536, 2_000_000] {
        let message = Theirs::Binary(vec![5; length].into());
        client.send(message.clone()).expect("it is sent");
        assert_eq!(client.read().expect("an echo"), message);
    }
    client.send("text".into()).expect("it is sent");
    assert_eq!(client.read().expect("an echo"), "text".into());
    client.close(None).expect("it closes");
    assert_eq!(client.read().expect("an answer"), Theirs::Close(None));
    assert!(matches!(client.read(), Err(Error::ConnectionClosed)));
}

#[test]
fn two_guests_talk_through_the_chat_example() {
    let (_example, page) = outside::start_example("websocket_chat");
    let mut http = outside::connect(page);
    http.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").expect("a request");
    let html = outside::read_until(&mut http, "</script>");
    let port = html.split("hostname}:").nth(1).and_then(|rest| rest.split('/').next()).expect("the chat's port");
    let chat = std::net::SocketAddr::from(([127, 0, 0, 1], port.parse().expect("a port")));

    let mut ann = dial(chat, "/?name=Ann");
    assert_eq!(ann.read().expect("a greeting"), "Ann is here".into());
    let mut bob = dial(chat, "/?name=Bob");
    assert_eq!(ann.read().expect("news"), "Bob is here".into());
    assert_eq!(bob.read().expect("news"), "Bob is here".into());
    bob.send("hi".into()).expect("it is sent");
    assert_eq!(ann.read().expect("a message"), "Bob: hi".into());
    assert_eq!(bob.read().expect("a message"), "Bob: hi".into());
    bob.close(None).expect("it closes");
    assert_eq!(ann.read().expect("news"), "Bob has gone".into());

    let refused = tungstenite::client(format!("ws://{chat}/"), outside::connect(chat));
    match refused {
        Err(HandshakeError::Failure(Error::Http(answer))) => assert_eq!(answer.status(), 400),
        other => panic!("{:?}", other.map(drop)),
    }
}

#[test]
fn one_port_serves_a_page_and_its_websocket() {
    let (_example, address) = outside::start_example("http_and_websocket");
    let mut http = outside::connect(address);
    http.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").expect("a request");
    assert!(outside::read_until(&mut http, "</script>").contains("/viewers"));

    let mut viewer = dial(address, "/viewers");
    assert_eq!(viewer.read().expect("a count"), "1".into());
    let browser = outside::Browser::open(&format!("http://{address}/"));
    assert_eq!(viewer.read().expect("the browser's page"), "2".into());
    drop(browser);
    assert_eq!(viewer.read().expect("it has gone"), "1".into());

    let refused = tungstenite::client(format!("ws://{address}/"), outside::connect(address));
    match refused {
        Err(HandshakeError::Failure(Error::Http(answer))) => assert_eq!(answer.status(), 200),
        other => panic!("{:?}", other.map(drop)),
    }
    http.write_all(b"GET /viewers HTTP/1.1\r\nHost: a\r\n\r\n").expect("a request");
    assert!(outside::read_to_end(&mut http).starts_with("HTTP/1.1 426 "));
}
