//! Promise: a request has one answer or one error, whatever the server does; connections are used again when that is safe and
//! only then. In memory and in virtual time.

#![allow(clippy::indexing_slicing)] // a failing index fails the test

mod common;

use std::time::Duration;

use common::Log;
use workerman::testing::{Peer, Simulation};
use workerman::{ClientResponse, HttpClient, HttpError, PendingRequest, RequestOptions};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const URL: &str = "http://server.test/";

/// What a callback was told, in short: the status and the body, or the error.
fn told(answer: Result<ClientResponse, HttpError>) -> String {
    match answer {
        Ok(response) => format!("{} {}", response.status(), response.text()),
        Err(error) => format!("{error:?}"),
    }
}

/// The loop, a client, and what its callbacks are told.
struct Scene {
    simulation: Simulation,
    http: HttpClient,
    log: Log<String>,
}

impl Scene {
    fn new() -> Self {
        Self { simulation: Simulation::new(), http: HttpClient::new(), log: Log::new() }
    }

    fn get(&self, url: &str) -> PendingRequest {
        let write = self.log.writer();
        self.http.get(url, move |answer| write(told(answer)))
    }

    fn request(&self, options: RequestOptions) -> PendingRequest {
        let write = self.log.writer();
        self.http.request(URL, options, move |answer| write(told(answer)))
    }

    /// A request whose head and pieces are told as they come.
    fn stream(&self, options: RequestOptions) -> PendingRequest {
        let (head, piece) = (self.log.writer(), self.log.writer());
        self.request(
            options
                .on_head(move |_, response| head(format!("head {}", response.status())))
                .on_chunk(move |_, bytes| piece(format!("piece {}", String::from_utf8_lossy(bytes)))),
        )
    }

    fn accept(&self) -> Peer {
        self.simulation.run();
        let peer = self.simulation.accept().expect("it has connected");
        self.simulation.run();
        peer
    }

    fn answer(&self, peer: &Peer, bytes: impl AsRef<[u8]>) -> String {
        let request = peer.read_text();
        peer.write(bytes);
        self.simulation.run();
        request
    }

    fn is_alone(&self) -> bool {
        self.simulation.run();
        self.simulation.accept().is_none()
    }

    #[allow(dead_code)]
    fn advance(&self, seconds: f64) {
        self.simulation.advance(Duration::from_secs_f64(seconds));
    }
}

#[test]
fn a_request_is_answered() {
    let scene = Scene::new();
    scene.get("http://server.test/path?query#fragment");
    assert!(scene.log.take().is_empty());
    let request = scene.answer(&scene.accept(), OK);
    assert!(
        request.starts_with("GET /path?query HTTP/1.1\r\nHost: server.test\r\nUser-Agent: workerman/"),
        "{request}"
    );
    assert_eq!(scene.log.take(), ["200 ok"]);
}

#[test]
fn a_connection_is_used_again() {
    let scene = Scene::new();
    scene.get(URL);
    let peer = scene.accept();
    for _ in 0..3 {
        scene.answer(&peer, OK);
        assert_eq!(scene.log.take(), ["200 ok"]);
        scene.get(URL);
        assert!(scene.is_alone());
    }
    assert!(peer.read_text().starts_with("GET / "));
}

#[test]
fn an_answer_in_pieces_is_told_as_it_comes() {
    let scene = Scene::new();
    scene.stream(RequestOptions::new());
    let peer = scene.accept();
    scene.answer(&peer, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_eq!(scene.log.take(), ["head 200"]);
    scene.answer(&peer, "3\r\none\r\n");
    assert_eq!(scene.log.take(), ["piece one"]);
    scene.answer(&peer, "3\r\ntwo\r\n0\r\n\r\n");
    assert_eq!(scene.log.take(), ["piece two", "200 "]);
    scene.get(URL);
    assert!(scene.is_alone());
}

#[test]
fn an_aborted_request_is_never_heard_of() {
    let scene = Scene::new();
    let request = scene.get(URL);
    let peer = scene.accept();
    assert!(request.is_pending());
    request.abort();
    scene.answer(&peer, OK);
    assert!(peer.is_closed() && scene.log.take().is_empty() && !request.is_pending());
}
