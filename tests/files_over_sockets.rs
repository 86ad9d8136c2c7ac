//! The promise: what holds for files in memory holds over real sockets, whose room the system decides on.

#![allow(clippy::indexing_slicing)] // a failing index fails the test

mod outside;

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::mpsc;

use outside::{Server, TemporaryDirectory, receive};
use socket2::SockRef;
use workerman::Response;

/// More than sockets take ahead of their readers.
const LARGE: usize = 24 << 20;

/// Bytes of which none is 0 and no stretch is like another.
fn content(length: usize) -> Vec<u8> {
    (0..length).map(|at| ((at * 7 + at / 251 + at / 65_536) % 255 + 1).to_le_bytes()[0]).collect()
}

fn serve(path: &Path) -> (Server, mpsc::Receiver<String>) {
    let (sender, errors) = mpsc::channel();
    let path = path.to_owned();
    let server = Server::start(move |worker| {
        worker.on_message(move |connection, request| connection.send(Response::file(&request, &path)));
        worker.on_error(move |_, _, message| sender.send(message.to_owned()).is_ok());
    });
    (server, errors)
}

/// Asks for the file, and reads its head.
fn begin(stream: &mut TcpStream, line: &str) {
    write!(stream, "GET / HTTP/1.1\r\nHost: a\r\n{line}\r\n").expect("it can be sent");
    let mut end = [0; 4];
    while end != *b"\r\n\r\n" {
        end.rotate_left(1);
        stream.read_exact(&mut end[3..]).expect("a head");
    }
}

#[test]
fn a_large_file_arrives_as_it_is_and_the_connection_goes_on() {
    let directory = TemporaryDirectory::new("sockets-whole");
    let (path, all) = (directory.0.join("file"), content(LARGE));
    fs::write(&path, &all).expect("it can be written");
    let (server, _errors) = serve(&path);
    let mut stream = server.connect();
    let mut body = vec![0; LARGE];
    for (line, start, end) in [
        ("", 0, LARGE),
        ("Range: bytes=70000-9000000\r\n", 70_000, 9_000_001),
        ("Range: bytes=-5\r\n", LARGE - 5, LARGE),
    ] {
        begin(&mut stream, line);
        stream.read_exact(&mut body[..end - start]).expect("the body");
        assert!(body[..end - start] == all[start..end], "{line}");
    }
}

#[test]
fn a_file_that_is_cut_short_is_never_padded() {
    let directory = TemporaryDirectory::new("sockets-cut");
    let (path, all) = (directory.0.join("file"), content(LARGE));
    for kept in [0, 100_123, 1 << 20] {
        fs::write(&path, &all).expect("it can be written");
        let (server, errors) = serve(&path);
        let mut stream = server.connect();
        SockRef::from(&stream).set_recv_buffer_size(64 * 1024).expect("a small buffer");
        begin(&mut stream, "");
        File::options().write(true).open(&path).expect("it is there").set_len(kept).expect("it can be cut");
        let mut body = Vec::new();
        stream.read_to_end(&mut body).expect("a proper end");
        assert!(body.len() < LARGE && all.starts_with(&body), "{kept} were kept, {} came", body.len());
        let error = receive("an error", &errors);
        assert_eq!(error, "the file that was being sent ends too soon or cannot be read");
    }
}
