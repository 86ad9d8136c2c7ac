//! Promise: a request has one answer or one error, whatever the server does; connections are used again when that is safe and
//! only then. In memory and in virtual time.

#![allow(clippy::indexing_slicing)] // a failing index fails the test

mod common;

use std::time::Duration;

use common::Log;
use workerman::testing::{Peer, Simulation};
use workerman::{ClientResponse, HttpClient, HttpError, Multipart, PendingRequest, RequestBody, RequestOptions};

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

/// What is seen of a request on the wire, without the lines that all have.
fn wire(url: &str, options: RequestOptions) -> String {
    let scene = Scene::new();
    scene.http.request(url, options, |_| {});
    let text = scene.accept().read_text();
    let usual = |line: &&str| !line.starts_with("User-Agent: workerman/") && *line != "Accept-Encoding: gzip, deflate";
    text.split("\r\n").filter(usual).collect::<Vec<_>>().join("|")
}

#[test]
fn a_request_says_what_it_has_to() {
    let new = RequestOptions::new;
    assert_eq!(wire("http://a", new()), "GET / HTTP/1.1|Host: a||");
    assert_eq!(wire("http://A:80/b#c", new().method("DELETE")), "DELETE /b HTTP/1.1|Host: a||");
    assert_eq!(wire("http://[::1]:8080", new()), "GET / HTTP/1.1|Host: [::1]:8080||");
    assert_eq!(wire("http://a", new().body("x")), "POST / HTTP/1.1|Host: a|Content-Length: 1||x");
    assert_eq!(wire("http://a", new().method("POST")), "POST / HTTP/1.1|Host: a|Content-Length: 0||");
    assert_eq!(wire("http://a", new().method("PUT").body("")), "PUT / HTTP/1.1|Host: a|Content-Length: 0||");
    assert_eq!(
        wire("http://a", new().header("host", "b").header("X", "\u{fc}").header("X", "")),
        "GET / HTTP/1.1|host: b|X: \u{fc}|X: ||"
    );
    assert_eq!(
        wire("http://a", new().body(RequestBody::form([("a b", "c&d"), ("e", "\u{fc}")]))),
        "POST / HTTP/1.1|Host: a|Content-Type: application/x-www-form-urlencoded|Content-Length: 16||a+b=c%26d&e=%C3%BC"
            .replace("16", "18")
    );
    let own_type = new().header("content-type", "text/x").body(RequestBody::form([("a", "b")]));
    assert_eq!(wire("http://a", own_type), "POST / HTTP/1.1|Host: a|Content-Length: 3|content-type: text/x||a=b");
    #[cfg(feature = "json")]
    assert_eq!(
        wire("http://a", new().json(&[1, 2])),
        "POST / HTTP/1.1|Host: a|Content-Type: application/json|Content-Length: 5||[1,2]"
    );
}

/// The boundary, which is another each time, and what is seen on the wire with a `b` in its place.
fn multipart(form: Multipart) -> (String, String) {
    let wire = wire("http://a", RequestOptions::new().body(form));
    let boundary = wire.split_once("; boundary=").and_then(|(_, rest)| rest.split_once('|')).expect("it has one").0;
    (boundary.to_owned(), wire.replace(boundary, "b"))
}

#[test]
fn a_form_with_files_is_what_browsers_send() {
    let form = Multipart::new().field("a\"\r\nb%", "1").file("c", "d\".txt", "text/plain", b"--\0");
    let (one, text) = multipart(form);
    assert_eq!(
        text.split_once("boundary=b").expect("its type is said").1,
        "|Content-Length: 291||\
            --b|Content-Disposition: form-data; name=\"a%22%0D%0Ab%\"||1|\
            --b|Content-Disposition: form-data; name=\"c\"; filename=\"d%22.txt\"|Content-Type: text/plain||--\0|--b--|"
    );
    let (other, empty) = multipart(Multipart::new());
    assert!(empty.ends_with("|Content-Type: multipart/form-data; boundary=b|Content-Length: 47||--b--|"), "{empty}");
    assert_ne!(one, other);
}

#[test]
fn a_request_that_would_be_another_is_not_sent() {
    let scene = Scene::new();
    for options in [
        RequestOptions::new().header("A", "b\r\nC: d"),
        RequestOptions::new().header("A\r\nC", "b"),
        RequestOptions::new().header("A", "b\0"),
        RequestOptions::new().header("", "b"),
        RequestOptions::new().header("Content-Length", "3"),
        RequestOptions::new().header("transfer-encoding", "chunked"),
        RequestOptions::new().method("GET / HTTP/1.1\r\nX: y"),
        RequestOptions::new().method(""),
        RequestOptions::new().method("CONNECT"),
        RequestOptions::new().body(Multipart::new().file("a", "b", "text/plain\r\nC: d", "e")),
    ] {
        scene.request(options);
        assert!(scene.log.take().is_empty(), "not from inside of the call");
        assert!(scene.is_alone());
        assert!(scene.log.take()[0].starts_with("Request("));
    }
    for url in ["", "server.test", "ftp://server.test", "http://server.test\r\nX: y/", "http://a:b@server.test/"] {
        scene.get(url);
        assert!(scene.is_alone());
        assert!(scene.log.take()[0].starts_with("Address("), "{url}");
    }
}

#[test]
fn no_more_connections_are_made_than_may_be() {
    let scene = Scene { http: HttpClient::new().max_conn_per_addr(2).max_waiting(2), ..Scene::new() };
    for path in ["1", "2", "3", "4", "5"] {
        scene.get(&format!("{URL}{path}"));
    }
    let (one, two) = (scene.accept(), scene.accept());
    assert!(scene.is_alone());
    assert_eq!(scene.log.take(), ["Busy"]);
    assert!(scene.answer(&two, OK).starts_with("GET /2 "));
    assert!(scene.answer(&two, OK).starts_with("GET /3 "), "who has waited longest is next");
    assert!(
        scene.answer(&one, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n").starts_with("GET /1 ")
    );
    assert!(one.is_closed());
    assert!(scene.answer(&two, OK).starts_with("GET /4 ") && scene.is_alone());
    assert_eq!(scene.log.take(), ["200 ok", "200 ok", "200 ", "200 ok"]);
}

#[test]
fn who_waits_gets_a_new_connection_when_one_is_gone() {
    let scene = Scene { http: HttpClient::new().max_conn_per_addr(1), ..Scene::new() };
    scene.get(URL);
    scene.get(URL);
    let first = scene.accept();
    first.reset();
    let second = scene.accept();
    assert_eq!(scene.log.take(), ["Closed(\"the server closed the connection without an answer\")"]);
    scene.answer(&second, OK);
    assert_eq!(scene.log.take(), ["200 ok"]);
}

#[test]
fn servers_have_connections_of_their_own() {
    let scene = Scene { http: HttpClient::new().max_conn_per_addr(1), ..Scene::new() };
    scene.get("http://a.test/");
    scene.get("http://A.test:80/x");
    scene.get("http://a.test:81/");
    scene.get("http://b.test/");
    let peers = [scene.accept(), scene.accept(), scene.accept()];
    assert!(scene.is_alone());
    for peer in &peers {
        scene.answer(peer, OK);
    }
    assert_eq!(scene.log.take().len(), 3);
    assert!(scene.answer(&peers[0], OK).starts_with("GET /x "));
}

#[test]
fn a_connection_without_a_request_is_closed_after_15_seconds() {
    let scene = Scene::new();
    scene.get(URL);
    let peer = scene.accept();
    scene.answer(&peer, OK);
    scene.advance(14.0);
    scene.get(URL);
    scene.answer(&peer, OK);
    scene.advance(14.0);
    assert!(!peer.is_closed());
    scene.advance(2.0);
    assert!(peer.is_closed());
    assert_eq!(scene.simulation.next_wake_up(), None, "nothing is to do");
    let http = scene.http.keepalive_timeout(0);
    http.get(URL, |_| {});
    let peer = scene.accept();
    scene.answer(&peer, OK);
    assert!(peer.is_closed());
}

#[test]
fn a_connection_that_the_server_has_closed_is_not_used() {
    for end in [Peer::finish, Peer::reset, |peer: &Peer| peer.write("HTTP/1.1 408 X\r\nContent-Length: 0\r\n\r\n")] {
        let scene = Scene::new();
        scene.get(URL);
        let peer = scene.accept();
        scene.answer(&peer, OK);
        end(&peer);
        scene.simulation.run();
        assert!(peer.is_closed());
        scene.get(URL);
        scene.answer(&scene.accept(), OK);
        assert_eq!(scene.log.take(), ["200 ok", "200 ok"]);
    }
}

#[test]
fn what_was_sent_as_the_server_closed_is_sent_once_more() {
    let unanswered = "Closed(\"the server closed the connection without an answer\")";
    for end in [Peer::finish, Peer::reset] {
        let scene = Scene::new();
        scene.get(URL);
        let peer = scene.accept();
        scene.answer(&peer, OK);
        // The second leaves, and the server has closed in the meantime.
        scene.get(&format!("{URL}again"));
        scene.simulation.run();
        assert!(peer.read_text().contains("GET /again "));
        end(&peer);
        let other = scene.accept();
        assert!(other.read_text().starts_with("GET /again "));
        other.finish();
        assert!(scene.is_alone(), "once");
        assert_eq!(scene.log.take(), ["200 ok", unanswered]);
    }
}

#[test]
fn what_may_have_had_an_effect_is_not_sent_twice() {
    let scene = Scene::new();
    scene.get(URL);
    let peer = scene.accept();
    scene.answer(&peer, OK);
    scene.request(RequestOptions::new().body("an order"));
    scene.simulation.run();
    assert!(peer.read_text().ends_with("an order"));
    peer.finish();
    assert!(scene.is_alone());
    // Neither is what was answered in part, nor what was the first on its connection.
    scene.get(URL);
    scene.answer(&scene.accept(), "HTTP/1.1 2");
    scene.advance(31.0);
    scene.get(URL);
    scene.accept().finish();
    assert!(scene.is_alone());
    let log = scene.log.take();
    assert_eq!(log[0], "200 ok");
    assert!(
        log[1].contains("without an answer") && log[2] == "Timeout" && log[3].contains("without an answer"),
        "{log:?}"
    );
}

#[test]
fn an_answer_that_is_cut_short_is_none() {
    for (bytes, reason) in [
        ("HTTP/1.1 200 OK\r\nCont", "in the middle of the head"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok", "in the middle of the body"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n", "in the middle of the body"),
    ] {
        for end in [Peer::finish, Peer::reset] {
            let scene = Scene::new();
            scene.get(URL);
            let peer = scene.accept();
            scene.answer(&peer, bytes);
            end(&peer);
            assert!(scene.is_alone());
            assert!(scene.log.take()[0].contains(reason));
        }
    }
}

#[test]
fn a_body_may_end_with_the_connection_but_not_with_a_reset() {
    for (end, expected) in [
        (Peer::finish as fn(&Peer), "200 all of it".to_owned()),
        (Peer::reset, format!("{:?}", HttpError::Closed("the connection broke in the middle of the body"))),
    ] {
        let scene = Scene::new();
        scene.get(URL);
        let peer = scene.accept();
        scene.answer(&peer, "HTTP/1.1 200 OK\r\n\r\nall of it");
        assert!(scene.log.take().is_empty());
        end(&peer);
        scene.simulation.run();
        assert_eq!(scene.log.take(), [expected]);
    }
}

#[test]
fn bytes_behind_an_answer_are_not_the_next_answer() {
    let scene = Scene::new();
    scene.get(URL);
    let peer = scene.accept();
    scene.answer(&peer, format!("{OK}HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"));
    assert!(peer.is_closed());
    scene.get(URL);
    scene.answer(&scene.accept(), OK);
    assert_eq!(scene.log.take(), ["200 ok", "200 ok"]);
}

#[test]
fn a_request_takes_30_seconds_at_most() {
    let scene = Scene::new();
    scene.get(URL);
    let peer = scene.accept();
    scene.answer(&peer, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok");
    scene.advance(29.9);
    assert!(scene.log.take().is_empty());
    scene.advance(0.2);
    assert_eq!(scene.log.take(), ["Timeout"]);
    assert!(peer.is_closed());
    scene.request(RequestOptions::new().timeout(0.5));
    scene.advance(0.6);
    scene.request(RequestOptions::new().timeout(0));
    scene.advance(3600.0);
    assert_eq!(scene.log.take(), ["Timeout"]);
}

#[test]
fn an_answer_in_pieces_may_take_as_long_as_it_likes_once_it_has_begun() {
    let scene = Scene::new();
    scene.stream(RequestOptions::new());
    scene.advance(31.0);
    assert_eq!(scene.log.take(), ["Timeout"]);
    scene.simulation.accept();
    scene.stream(RequestOptions::new());
    let peer = scene.accept();
    scene.answer(&peer, "HTTP/1.1 200 OK\r\n\r\none");
    scene.advance(3600.0);
    scene.answer(&peer, "two");
    assert_eq!(scene.log.take(), ["head 200", "piece one", "piece two"]);
    scene.stream(RequestOptions::new().timeout(5));
    scene.answer(&scene.accept(), "HTTP/1.1 200 OK\r\n\r\n");
    scene.advance(6.0);
    assert_eq!(scene.log.take(), ["head 200", "Timeout"]);
}

#[test]
fn who_waits_for_too_long_or_gives_up_is_not_sent() {
    let scene = Scene { http: HttpClient::new().max_conn_per_addr(1), ..Scene::new() };
    scene.get(URL);
    let peer = scene.accept();
    scene.request(RequestOptions::new().timeout(1));
    scene.get(URL).abort();
    scene.get(&format!("{URL}last"));
    scene.advance(2.0);
    assert_eq!(scene.log.take(), ["Timeout"]);
    assert!(scene.answer(&peer, OK).starts_with("GET / "));
    assert!(scene.answer(&peer, OK).starts_with("GET /last "));
    assert_eq!(scene.log.take(), ["200 ok", "200 ok"]);
}

#[test]
fn a_request_can_be_given_up_while_its_answer_arrives() {
    let scene = Scene::new();
    let write = scene.log.writer();
    scene.request(RequestOptions::new().on_head(|request, _| request.abort()).on_chunk(|_, _| unreachable!()));
    let peer = scene.accept();
    scene.answer(&peer, OK);
    assert!(peer.is_closed());
    scene.request(RequestOptions::new().on_chunk(move |request, _| {
        write("a piece".to_owned());
        request.abort();
        request.abort();
    }));
    let peer = scene.accept();
    scene.answer(&peer, OK);
    assert!(peer.is_closed());
    assert_eq!(scene.log.take(), ["a piece"]);
}
