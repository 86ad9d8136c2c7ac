//! Promise: the example of heartbeats closes who is silent and nobody else, by both of its ways.

#![allow(clippy::indexing_slicing)] // a failing index fails the test

#[path = "websocket/client.rs"]
mod client;
mod outside;

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use client::{FIN, PONG, frame, handshake};
use outside::{PATIENCE, Process, Program, address_in, connect, now, read_until};

/// Two clients of the example, one of its lines and one of its WebSocket.
fn start() -> (Process, [TcpStream; 2], [TcpStream; 2]) {
    let program = Program::new("heartbeat").with("WEBSOCKET_ADDRESS", "127.0.0.1:0").with("SILENCE", "1");
    let (process, text) = program.serve();
    let websocket = address_in(&process.line());
    let open = || {
        let mut stream = connect(websocket);
        stream.write_all(handshake("").as_bytes()).expect("it is sent");
        read_until(&mut stream, "\r\n\r\n");
        stream
    };
    (process, [connect(text), connect(text)], [open(), open()])
}

/// What comes within a moment; `None` for the end.
fn hear(stream: &mut TcpStream) -> Option<Vec<u8>> {
    stream.set_read_timeout(Some(Duration::from_millis(50))).expect("a timeout");
    let mut buffer = [0; 1000];
    match stream.read(&mut buffer) {
        Ok(0) => None,
        Ok(count) => Some(buffer[..count].to_vec()),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Some(Vec::new()),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn who_is_silent_is_closed_and_who_talks_or_answers_is_not() {
    let (_process, [mut silent, mut talking], [mut deaf, mut answering]) = start();
    let began = now();
    let (mut silent_ends, mut deaf_ends) = (None, None);
    while silent_ends.is_none() || deaf_ends.is_none() {
        assert!(began.elapsed() < PATIENCE, "{silent_ends:?} {deaf_ends:?}");
        talking.write_all(b"here\n").expect("it is sent");
        assert_eq!(hear(&mut talking), Some(b"here\n".to_vec()));
        if hear(&mut answering).expect("it stays open").starts_with(b"\x89") {
            answering.write_all(&frame(FIN | PONG, "")).expect("it is sent");
        }
        if silent_ends.is_none() && hear(&mut silent).is_none() {
            silent_ends = Some(began.elapsed());
        }
        if deaf_ends.is_none() && hear(&mut deaf).is_none() {
            deaf_ends = Some(began.elapsed());
        }
    }
    for end in [silent_ends, deaf_ends].into_iter().flatten() {
        assert!(end > Duration::from_millis(900), "{end:?}");
    }
}
