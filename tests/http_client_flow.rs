//! Promise: a request goes where it is sent on, its answer comes as fast as the app takes it, and callbacks are called one
//! after the other and dropped when they are of no use any more. In memory and in virtual time.

#![allow(clippy::indexing_slicing)] // a failing index fails the test

mod common;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use common::{Log, serve};
use workerman::testing::{Peer, Simulation};
use workerman::{ClientResponse, HttpClient, HttpError, PanicPolicy, RequestOptions, Worker};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const URL: &str = "http://server.test/a/b?c";

fn told(answer: Result<ClientResponse, HttpError>) -> String {
    match answer {
        Ok(response) => format!("{} {} from {}", response.status(), response.text(), response.url()),
        Err(error) => error.to_string(),
    }
}

fn accept(simulation: &Simulation) -> Peer {
    simulation.run();
    let peer = simulation.accept().expect("it has connected");
    simulation.run();
    peer
}

fn redirect(status: u16, location: &str) -> String {
    format!("HTTP/1.1 {status} X\r\nLocation: {location}\r\nContent-Length: 4\r\n\r\nbody")
}

/// Sends a request, answers it with a redirect, and the next with 200; gives back what that was, on the wire, and what the
/// callback was told.
fn follow(options: RequestOptions, status: u16, location: &str) -> (String, String) {
    let simulation = Simulation::new();
    let log = Log::new();
    let write = log.writer();
    HttpClient::new().request(URL, options, move |answer| write(told(answer)));
    let peer = accept(&simulation);
    peer.read();
    peer.write(redirect(status, location));
    simulation.run();
    let next = simulation.accept();
    simulation.run();
    let next = next.as_ref().unwrap_or(&peer);
    let request = next.read_text();
    next.write(OK);
    simulation.run();
    let usual = |line: &&str| !line.starts_with("User-Agent: workerman/") && *line != "Accept-Encoding: gzip, deflate";
    (request.split("\r\n").filter(usual).collect::<Vec<_>>().join("|"), log.take().concat())
}

#[test]
fn a_redirect_is_followed() {
    for (location, head, url) in [
        ("/x", "GET /x HTTP/1.1|Host: server.test", "http://server.test/x"),
        ("x", "GET /a/x HTTP/1.1|Host: server.test", "http://server.test/a/x"),
        ("../x?y#z", "GET /x?y HTTP/1.1|Host: server.test", "http://server.test/x?y"),
        ("?y", "GET /a/b?y HTTP/1.1|Host: server.test", "http://server.test/a/b?y"),
        ("//other.test/x", "GET /x HTTP/1.1|Host: other.test", "http://other.test/x"),
        ("http://other.test:81", "GET / HTTP/1.1|Host: other.test:81", "http://other.test:81/"),
        ("/\u{fc}", "GET /%C3%BC HTTP/1.1|Host: server.test", "http://server.test/%C3%BC"),
    ] {
        for status in [301, 302, 303, 307, 308] {
            let (request, told) = follow(RequestOptions::new(), status, location);
            assert_eq!((request, told), (format!("{head}||"), format!("200 ok from {url}")));
        }
    }
}

#[test]
fn a_method_and_a_body_go_on_as_the_standard_says() {
    let of = |method: &'static str, body: &str, status| {
        let options = RequestOptions::new().method(method).header("Content-Type", "text/x").header("X", "y");
        follow(options.body(body), status, "/x").0
    };
    let get = "GET /x HTTP/1.1|Host: server.test|X: y||";
    let again =
        |method| format!("{method} /x HTTP/1.1|Host: server.test|Content-Length: 4|Content-Type: text/x|X: y||body");
    for status in [301, 302, 303] {
        assert_eq!(of("POST", "body", status), get);
    }
    for status in [307, 308] {
        assert_eq!(of("POST", "body", status), again("POST"));
    }
    assert_eq!(of("PUT", "body", 303), get);
    assert_eq!(of("PUT", "body", 302), again("PUT"));
    let head = follow(RequestOptions::new().method("HEAD"), 303, "/x").0;
    assert_eq!(head, "HEAD /x HTTP/1.1|Host: server.test||");
}

#[test]
fn what_proves_who_one_is_stays_where_it_belongs() {
    let options = || {
        let options = RequestOptions::new().header("authorization", "Bearer 1").header("Cookie", "a=b");
        options.header("Host", "virtual.test").header("X", "y")
    };
    let (request, _) = follow(options(), 302, "/x");
    assert_eq!(request, "GET /x HTTP/1.1|authorization: Bearer 1|Cookie: a=b|Host: virtual.test|X: y||");
    for location in ["http://other.test/x", "http://server.test:81/x", "//server.test.evil.test/x"] {
        let (request, _) = follow(options(), 302, location);
        assert!(request.ends_with("|X: y||") && !request.contains("Bearer") && !request.contains("a=b"), "{request}");
        assert!(!request.contains("virtual.test"), "{request}");
    }
}

#[test]
fn what_leads_nowhere_is_an_error() {
    for location in ["ftp://a/", "javascript:alert(1)", "http://", "http://a:b/", "mailto:a@b.test"] {
        let (request, told) = follow(RequestOptions::new(), 302, location);
        assert!(request.is_empty() && told.starts_with("the redirect is not followed: "), "{told}");
    }
}

#[test]
fn no_more_redirects_are_followed_than_may_be() {
    let simulation = Simulation::new();
    let log = Log::new();
    for (most, requests, expected) in [
        (None, 6, "the redirect is not followed: it is one more than the 5 that may be"),
        (Some(1), 2, "the redirect is not followed: it is one more than the 1 that may be"),
        (Some(0), 1, "302 body from http://server.test/a/b?c"),
    ] {
        let write = log.writer();
        let options = RequestOptions::new();
        let options = if let Some(most) = most { options.max_redirects(most) } else { options };
        HttpClient::new().keepalive_timeout(60).request(URL, options, move |answer| write(told(answer)));
        simulation.run();
        let peer = simulation.accept().expect("a new connection");
        for _ in 0..requests {
            simulation.run();
            assert!(peer.read_text().starts_with("GET "));
            peer.write(redirect(302, "/a/b?c"));
            simulation.run();
        }
        assert_eq!(log.take(), [expected]);
        peer.finish();
        simulation.run();
    }
}

#[test]
fn an_answer_that_redirects_without_saying_where_to_is_the_answer() {
    for answer in ["HTTP/1.1 302 X\r\nContent-Length: 2\r\n\r\nok", "HTTP/1.1 304 X\r\nLocation: /x\r\n\r\n"] {
        let simulation = Simulation::new();
        let log = Log::new();
        let write = log.writer();
        HttpClient::new().get(URL, move |answer| write(told(answer)));
        let peer = accept(&simulation);
        peer.write(answer);
        simulation.run();
        assert!(log.take()[0].starts_with("30"));
    }
}

#[test]
fn a_redirect_of_an_answer_in_pieces_is_not_told() {
    let simulation = Simulation::new();
    let log = Log::new();
    let (head, piece, done) = (log.writer(), log.writer(), log.writer());
    let options = RequestOptions::new()
        .on_head(move |_, response| head(response.url().to_owned()))
        .on_chunk(move |_, bytes| piece(String::from_utf8_lossy(bytes).into_owned()));
    HttpClient::new().request(URL, options, move |answer| done(told(answer)));
    let peer = accept(&simulation);
    peer.write(redirect(302, "/x"));
    simulation.run();
    peer.write("HTTP/1.1 302 X\r\nLocation: /y\r\nTransfer-Encoding: chunked\r\n\r\n100000\r\n");
    simulation.run();
    // Nobody waits for the end of what nobody wants.
    peer.write(vec![0; 100_000]);
    simulation.run();
    assert!(peer.is_closed());
    accept(&simulation).write(OK);
    simulation.run();
    assert_eq!(log.take(), ["http://server.test/y", "ok", "200  from http://server.test/y"]);
}

#[test]
fn a_paused_request_holds_the_server_back() {
    let simulation = Simulation::new();
    let log = Log::new();
    let (head, piece, done) = (log.writer(), log.writer(), log.writer());
    let options = RequestOptions::new()
        .on_head(move |request, _| {
            head("head".to_owned());
            request.pause();
        })
        .on_chunk(move |request, bytes| {
            piece(String::from_utf8_lossy(bytes).into_owned());
            request.pause();
        });
    let request = HttpClient::new().request(URL, options, move |answer| done(told(answer)));
    let peer = accept(&simulation);
    peer.write("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\none");
    simulation.run();
    assert_eq!(log.take(), ["head"]);
    request.resume();
    simulation.run();
    assert_eq!(log.take(), ["one"]);
    peer.write("two");
    simulation.run();
    assert!(log.take().is_empty());
    request.resume();
    simulation.run();
    assert_eq!(log.take(), ["two"], "the end waits too");
    simulation.advance(Duration::from_secs(100));
    assert!(request.is_pending() && log.take().is_empty());
    request.resume();
    simulation.run();
    assert_eq!(log.take(), ["200  from http://server.test/a/b?c"]);
    // And the connection is as good as new.
    let done = log.writer();
    HttpClient::new().get(URL, move |answer| done(told(answer)));
    simulation.run();
    peer.write(OK);
    simulation.run();
    assert_eq!(log.take(), ["200 ok from http://server.test/a/b?c"]);
}

#[test]
fn a_paused_request_can_fail() {
    let simulation = Simulation::new();
    let log = Log::new();
    let done = log.writer();
    let options = RequestOptions::new().on_head(|request, _| request.pause()).timeout(5);
    HttpClient::new().request(URL, options, move |answer| done(told(answer)));
    let peer = accept(&simulation);
    peer.write("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\none");
    simulation.advance(Duration::from_secs(6));
    assert_eq!(log.take(), ["the answer was not complete in time"]);
    assert!(peer.is_closed());
}

#[test]
fn callbacks_never_nest() {
    let simulation = Simulation::new();
    let log = Log::new();
    let inside = Rc::new(Cell::new(false));
    let http = HttpClient::new();
    let (outer, inner) = (log.writer(), log.writer());
    let marks = [Rc::clone(&inside), Rc::clone(&inside)];
    http.get(URL, move |answer| {
        marks[0].set(true);
        let mark = Rc::clone(&marks[1]);
        http.get("nonsense", move |answer| {
            assert!(!mark.get());
            inner(told(answer));
        });
        outer(told(answer));
        marks[0].set(false);
    });
    accept(&simulation).write(OK);
    simulation.run();
    let log = log.take();
    assert!(log[0].starts_with("200 ok") && log[1].starts_with("the address cannot be asked"), "{log:?}");
}

#[test]
fn the_next_request_takes_the_same_connection_even_in_the_callback_of_the_last() {
    let simulation = Simulation::new();
    let log = Log::new();
    let write = log.writer();
    let http = HttpClient::new();
    http.get(URL, move |_| http.get("http://server.test/next", move |answer| write(told(answer))));
    let peer = accept(&simulation);
    peer.read();
    peer.write(OK);
    simulation.run();
    assert!(peer.read_text().starts_with("GET /next "));
    peer.write(OK);
    simulation.run();
    assert_eq!(log.take(), ["200 ok from http://server.test/next"]);
    assert!(simulation.accept().is_none());
}

#[test]
fn a_browser_is_answered_from_the_callback() {
    let http = HttpClient::new();
    let (simulation, worker) = serve(move |connection, _request| {
        http.get(URL, move |answer| match answer {
            Ok(response) => connection.send(response.into_body()),
            Err(error) => connection.send(error.to_string()),
        })
    });
    let browser = simulation.connect(worker);
    browser.write(common::GET);
    let upstream = accept(&simulation);
    assert!(browser.read().is_empty());
    upstream.write(OK);
    simulation.run();
    assert!(browser.read_text().ends_with("\r\n\r\nok"));
    // One who has left in the meantime does no harm.
    browser.write(common::GET);
    simulation.run();
    browser.reset();
    simulation.run();
    upstream.write(OK);
    simulation.run();
}

#[test]
fn a_proxy_is_asked_first_and_its_connections_are_used_by_nobody_else() {
    let simulation = Simulation::new();
    let log = Log::new();
    let proxied = HttpClient::new().proxy("http://me:secret@proxy.test:3128");
    assert_eq!(proxied, HttpClient::new().proxy("http://me:secret@proxy.test:3128"), "one way");
    let ask = |http: HttpClient| {
        let write = log.writer();
        http.get("http://server.test/", move |answer| write(told(answer)));
    };
    ask(proxied);
    let proxy = accept(&simulation);
    assert!(proxy.read_text().starts_with("CONNECT server.test:80 HTTP/1.1\r\n"));
    proxy.write("HTTP/1.1 200 Connection established\r\n\r\n");
    simulation.run();
    assert!(proxy.read_text().starts_with("GET / HTTP/1.1\r\nHost: server.test\r\n"));
    proxy.write(OK);
    simulation.run();
    ask(HttpClient::new());
    let straight = accept(&simulation);
    assert!(straight.read_text().starts_with("GET / "));
    straight.write(OK);
    ask(proxied);
    simulation.run();
    assert!(proxy.read_text().starts_with("GET / ") && simulation.accept().is_none());
    assert_eq!(log.take().len(), 2);
}

#[test]
fn what_a_callback_holds_goes_with_it() {
    let simulation = Simulation::new();
    let http = HttpClient::new();
    let held = Rc::new(());
    let send = |options: RequestOptions| {
        let (head, chunk, done) = (Rc::clone(&held), Rc::clone(&held), Rc::clone(&held));
        let options = options.on_head(move |_, _| drop(Rc::clone(&head))).on_chunk(move |_, _| drop(Rc::clone(&chunk)));
        http.request(URL, options, move |_| drop(done))
    };
    send(RequestOptions::new());
    let peer = accept(&simulation);
    peer.write(OK);
    simulation.run();
    assert_eq!(Rc::strong_count(&held), 1, "answered");
    send(RequestOptions::new()).abort();
    assert_eq!(Rc::strong_count(&held), 1, "aborted");
    send(RequestOptions::new().timeout(1));
    simulation.advance(Duration::from_secs(2));
    assert_eq!(Rc::strong_count(&held), 1, "timed out");
    send(RequestOptions::new().header("\n", ""));
    simulation.run();
    assert_eq!(Rc::strong_count(&held), 1, "never sent");
    send(RequestOptions::new().timeout(0));
    simulation.run();
    assert_eq!(Rc::strong_count(&held), 4);
    drop(simulation);
    assert_eq!(Rc::strong_count(&held), 1, "the loop has ended");
}

#[test]
fn an_answer_that_comes_before_all_was_said_is_heard_and_the_connection_not_used_again() {
    let simulation = Simulation::new();
    let log = Log::new();
    let write = log.writer();
    HttpClient::new().get(URL, |_| {});
    let peer = accept(&simulation);
    peer.write(OK);
    simulation.run();
    peer.set_window(10_000);
    HttpClient::new().post(URL, vec![0; 4 << 20], move |answer| write(told(answer)));
    simulation.run();
    peer.write("HTTP/1.1 413 X\r\nContent-Length: 2\r\n\r\nno");
    simulation.run();
    assert_eq!(log.take(), ["413 no from http://server.test/a/b?c"]);
    assert!(peer.is_closed());
}

#[test]
fn idle_connections_do_not_keep_a_process_from_stopping() {
    let simulation = Simulation::new();
    let http = HttpClient::new();
    http.get(URL, |_| {});
    let peer = accept(&simulation);
    peer.write(OK);
    simulation.run();
    simulation.begin_stop();
    simulation.advance(Duration::from_secs(1));
    assert!(simulation.has_stopped() && peer.is_closed());
}

#[test]
fn an_answer_that_is_on_its_way_is_waited_for_by_a_process_that_stops() {
    let http = HttpClient::new();
    let (simulation, worker) = serve(move |connection, _request| {
        http.get(URL, move |answer| connection.send(told(answer)));
    });
    let browser = simulation.connect(worker);
    browser.write(common::GET);
    let upstream = accept(&simulation);
    simulation.begin_stop();
    simulation.advance(Duration::from_millis(500));
    assert!(!simulation.has_stopped());
    upstream.write(OK);
    simulation.run();
    assert!(browser.read_text().contains("200 ok from"));
    simulation.advance(Duration::from_secs(1));
    assert!(simulation.has_stopped());
}

#[test]
fn ten_thousand_requests_leave_nothing_behind() {
    let simulation = Simulation::new();
    let http = HttpClient::new().max_conn_per_addr(3);
    let done = Rc::new(Cell::new(0));
    for number in 0..10_000 {
        let done = Rc::clone(&done);
        http.get(&format!("http://server{}.test/{number}", number % 2), move |answer| {
            assert!(answer.is_ok());
            done.set(done.get() + 1);
        });
    }
    simulation.run();
    let peers: Vec<Peer> = std::iter::from_fn(|| simulation.accept()).collect();
    assert_eq!(peers.len(), 6);
    while done.get() < 10_000 {
        for peer in &peers {
            if !peer.read().is_empty() {
                peer.write(OK);
            }
        }
        simulation.run();
    }
    simulation.advance(Duration::from_secs(17));
    assert!(peers.iter().all(Peer::is_closed) && simulation.next_wake_up().is_none());
}

#[test]
fn who_makes_up_proxies_without_end_is_told_and_led_through_nobody_elses() {
    let (simulation, log) = (Simulation::new(), Log::new());
    let proxied = |number: u32| HttpClient::new().proxy(&format!("socks5://user{number}@proxy.test"));
    let first = proxied(0);
    for number in 1..5000 {
        let _ = proxied(number);
    }
    let lost = proxied(5000);
    for http in [lost, lost.proxy("socks5://another"), lost.proxy("")] {
        let write = log.writer();
        http.get("http://server.test/", move |answer| write(told(answer)));
        simulation.run();
        assert_eq!(log.take(), ["the request cannot be sent: there have been too many different proxies"]);
        assert!(simulation.accept().is_none());
    }
    first.get("http://server.test/", |_| ());
    accept(&simulation);
}

#[test]
fn a_redirect_whose_last_piece_is_too_much_is_followed_once() {
    let (simulation, log) = (Simulation::new(), Log::new());
    let done = log.writer();
    let http = HttpClient::new();
    let options = RequestOptions::new().on_chunk(|_, _| ());
    http.request(URL, options, move |answer| done(told(answer)));
    let peer = accept(&simulation);
    peer.write("HTTP/1.1 302 X\r\nLocation: /x\r\nContent-Length: 70000\r\n\r\n");
    peer.write(vec![0; 60_000]);
    simulation.run();
    peer.write(vec![0; 10_000]);
    let second = accept(&simulation);
    second.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n");
    simulation.run();
    second.write("ok");
    simulation.run();
    assert_eq!(log.take(), ["200  from http://server.test/x"]);
    // Its connection is free again.
    second.read();
    let done = log.writer();
    http.get(URL, move |answer| done(told(answer)));
    simulation.run();
    assert!(second.read_text().starts_with("GET /a/b?c "));
    second.write(OK);
    simulation.run();
    assert_eq!(log.take(), ["200 ok from http://server.test/a/b?c"]);
}

#[test]
fn a_callback_that_fails_in_the_middle_of_an_answer_is_the_end_of_it() {
    type Fails = fn(RequestOptions) -> RequestOptions;
    let rows: [Fails; 4] = [
        |options| options.on_head(|_, _| panic!("on purpose")),
        |options| options.on_chunk(|_, _| panic!("on purpose")),
        |options| options.on_head(|_, _| Err::<(), _>("on purpose")),
        |options| options.on_chunk(|_, _| Err::<(), _>("on purpose")),
    ];
    for fails in rows {
        for rest in ["", "two"] {
            let (simulation, log) = (Simulation::new(), Log::new());
            Worker::set_panic_policy(PanicPolicy::CloseConnection);
            let (piece, done) = (log.writer(), log.writer());
            let options = RequestOptions::new().on_chunk(move |_, bytes| piece(format!("{bytes:?}")));
            HttpClient::new().request(URL, fails(options), move |answer| done(told(answer)));
            let peer = accept(&simulation);
            peer.write(format!("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\none{rest}"));
            simulation.run();
            peer.write("two");
            simulation.run();
            assert_eq!(log.take(), ["a callback of the request has failed"]);
            assert!(peer.is_closed());
        }
    }
}
