//! What several test files need: a server in memory, and a reader of answers written from RFC 9112, not from our code.

#![allow(dead_code)] // each test file uses some of it

use std::sync::mpsc::{Receiver, Sender, channel};

use workerman::testing::{Peer, Simulation};
use workerman::{CallbackResult, Http, Request, TcpConnection, Worker};

/// The virtual wall clock stands here until a test lets time pass.
pub(crate) const DATE: &str = "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n";

/// A request that asks for the connection to stay.
pub(crate) const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

pub(crate) fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")
}

/// An HTTP worker without a listener.
pub(crate) fn serve<R: CallbackResult>(
    on_message: impl FnMut(TcpConnection<Http>, Request) -> R + 'static,
) -> (Simulation, Worker<Http>) {
    let simulation = Simulation::new();
    let worker = Worker::new("");
    worker.on_message(on_message);
    (simulation, worker)
}

/// Sends a request on a new connection and gives back all that came, once nothing more happens.
pub(crate) fn exchange(simulation: &Simulation, worker: Worker<Http>, request: impl AsRef<[u8]>) -> (Peer, Vec<u8>) {
    let peer = simulation.connect(worker);
    peer.write(request);
    simulation.run();
    let answer = peer.read();
    (peer, answer)
}

/// The one connection of a worker.
pub(crate) fn only(worker: Worker<Http>) -> TcpConnection<Http> {
    let connections: Vec<_> = worker.connections().collect();
    let [connection] = connections.try_into().expect("one connection");
    connection
}

/// Reads what there is and what comes then, until nothing comes any more.
pub(crate) fn read_all(simulation: &Simulation, peer: &Peer) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let piece = peer.read()
        && !piece.is_empty()
    {
        bytes.extend(piece);
        simulation.run();
    }
    bytes
}

/// A log that callbacks write and the test reads.
pub(crate) struct Log<T>(Sender<T>, Receiver<T>);

impl<T> Log<T> {
    pub(crate) fn new() -> Self {
        let (sender, receiver) = channel();
        Self(sender, receiver)
    }

    pub(crate) fn writer(&self) -> impl Fn(T) + Clone + use<T> {
        let sender = self.0.clone();
        move |entry| drop(sender.send(entry))
    }

    /// What was written since the last look.
    pub(crate) fn take(&self) -> Vec<T> {
        self.1.try_iter().collect()
    }
}

/// Text of bytes that are to be text.
pub(crate) fn text(bytes: impl Into<Vec<u8>>) -> String {
    String::from_utf8(bytes.into()).expect("an answer in UTF-8")
}

/// One answer as a client reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// Without the blank line.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn status(&self) -> u16 {
        self.head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status")
    }

    /// All values of a header.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let lines = self.head.split("\r\n").skip(1).filter_map(|line| line.split_once(": "));
        lines.filter(|line| line.0.eq_ignore_ascii_case(name)).map(|line| line.1).collect()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let values = self.all(name);
        assert!(values.len() < 2, "{name} stands twice: {}", self.head);
        values.first().copied()
    }

    pub(crate) fn body(&self) -> String {
        text(self.body.as_slice())
    }
}

/// Splits the head from what follows it.
pub(crate) fn split_head(bytes: &[u8]) -> (String, &[u8]) {
    let at = bytes.windows(4).position(|window| window == b"\r\n\r\n").expect("a blank line after the head");
    let (head, rest) = bytes.split_at(at);
    (text(head), rest.split_at(4).1)
}

/// All answers in `bytes`, each with a `Content-Length` or without a body; nothing may be left over.
pub(crate) fn answers(bytes: &[u8]) -> Vec<Answer> {
    let (mut answers, mut rest) = (Vec::new(), bytes);
    while !rest.is_empty() {
        let (head, behind) = split_head(rest);
        let mut answer = Answer { head, body: Vec::new() };
        assert!(answer.head.starts_with("HTTP/1."), "{}", answer.head);
        assert_eq!(answer.header("transfer-encoding"), None);
        let length = answer.header("content-length").map_or(0, |length| length.parse().expect("a length"));
        assert!(length <= behind.len(), "{} of {length} bytes of a body came", behind.len());
        let (body, after) = behind.split_at(length);
        answer.body = body.to_vec();
        answers.push(answer);
        rest = after;
    }
    answers
}

/// The bodies of all answers, as text.
pub(crate) fn bodies(bytes: &[u8]) -> Vec<String> {
    answers(bytes).iter().map(Answer::body).collect()
}

/// The chunks of a body, and whether the last one came. A chunk that is not whole is left out.
pub(crate) fn chunks(mut bytes: &[u8]) -> (Vec<Vec<u8>>, bool) {
    let mut chunks = Vec::new();
    while let Some(at) = bytes.windows(2).position(|window| window == b"\r\n") {
        let (size, rest) = bytes.split_at(at);
        let size = usize::from_str_radix(&text(size), 16).expect("a chunk's size");
        let rest = rest.split_at(2).1;
        if rest.len() < size + 2 {
            break;
        }
        let (data, rest) = rest.split_at(size);
        let (end, rest) = rest.split_at(2);
        assert_eq!(end, b"\r\n", "a chunk ends in CRLF");
        if size == 0 {
            assert_eq!(rest, b"", "nothing follows the last chunk");
            return (chunks, true);
        }
        chunks.push(data.to_vec());
        bytes = rest;
    }
    (chunks, false)
}

/// An opened event stream: its head, and the chunks that came so far.
pub(crate) fn stream(bytes: &[u8]) -> (Answer, Vec<String>, bool) {
    let (head, body) = split_head(bytes);
    let (chunks, ended) = chunks(body);
    (Answer { head, body: body.to_vec() }, chunks.into_iter().map(text).collect(), ended)
}
