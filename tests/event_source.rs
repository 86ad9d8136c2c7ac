//! Promise: a source tells each event once and in order, comes back behind the last one however its stream was lost, stays away
//! when nothing would come of it, and leaves nothing behind. In memory and in virtual time.

#![allow(clippy::indexing_slicing)] // a failing index fails the test

mod common;

use std::rc::Rc;
use std::time::Duration;

use common::Log;
use workerman::testing::{Peer, Simulation};
use workerman::{EventSource, HttpClient, PanicPolicy, ReadyState, Worker};

const URL: &str = "http://server.test/events?a=b";
const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";

/// A source that logs all it is told, and its loop.
fn source() -> (Simulation, EventSource, Log<String>) {
    let simulation = Simulation::new();
    let source = EventSource::new(URL);
    let log = Log::new();
    let (open, message, error) = (log.writer(), log.writer(), log.writer());
    source.on_open(move |_| open("open".to_owned()));
    source.on_message(move |_, event| message(format!("{} {} {}", event.event(), event.data(), event.id())));
    source.on_error(move |source, text| {
        let text = text.strip_prefix("http://server.test/events?a=b: ").expect("the text begins with the address");
        error(format!("{:?}: {text}", source.ready_state()));
    });
    (simulation, source, log)
}

fn accept(simulation: &Simulation) -> Peer {
    simulation.run();
    let peer = simulation.accept().expect("it has connected");
    simulation.run();
    peer
}

/// The next stream, open, and the request for it.
fn open(simulation: &Simulation) -> (Peer, String) {
    let peer = accept(simulation);
    let request = peer.read_text();
    write(simulation, &peer, HEAD);
    (peer, request)
}

fn write(simulation: &Simulation, peer: &Peer, text: &str) {
    peer.write(text);
    simulation.run();
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// How many whole seconds it is until the source asks again.
fn wait(simulation: &Simulation) -> (u64, Peer) {
    for passed in 0..100_000 {
        if let Some(peer) = simulation.accept() {
            simulation.run();
            return (passed, peer);
        }
        simulation.advance(seconds(1));
    }
    panic!("it does not come back");
}

#[test]
fn a_source_asks_for_a_stream_and_tells_its_events() {
    let (simulation, source, log) = source();
    assert_eq!((source.ready_state(), source.url().as_str()), (ReadyState::Connecting, URL));
    let (peer, request) = open(&simulation);
    assert!(request.starts_with("GET /events?a=b HTTP/1.1\r\nHost: server.test\r\n"), "{request}");
    assert!(request.contains("\r\nAccept: text/event-stream\r\nCache-Control: no-store\r\n"), "{request}");
    assert!(!request.contains("Last-Event-ID"), "{request}");
    assert_eq!((log.take(), source.ready_state()), (vec!["open".to_owned()], ReadyState::Open));
    write(&simulation, &peer, "data: one\n\nevent: price\nid: 7\ndata: 1\ndata: 2\n\n: comment\n\ndata: thr");
    assert_eq!(log.take(), ["message one ", "price 1\n2 7"]);
    write(&simulation, &peer, "ee\r\n\r\n");
    assert_eq!((log.take(), source.last_event_id().as_str()), (vec!["message three 7".to_owned()], "7"));
}

#[test]
fn a_chunked_stream_is_the_same_however_it_is_cut() {
    let answer = "HTTP/1.1 200 OK\r\nContent-Type: Text/Event-Stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n\
                  9\r\ndata: one\r\n1\r\n\n\r\n10\r\n\nid: 2\ndata: two\r\n2\r\n\n\n\r\n0\r\n\r\n";
    for size in [1, 2, 3, 7, 1000] {
        let (simulation, _source, log) = source();
        let peer = accept(&simulation);
        for piece in answer.as_bytes().chunks(size) {
            peer.write(piece);
            simulation.run();
        }
        let told = log.take();
        assert_eq!(told, ["open", "message one ", "message two 2", "Connecting: the stream has ended"], "{size}");
    }
}

#[test]
fn events_of_a_type_go_to_its_own_callback_if_it_has_one() {
    let (simulation, source, log) = source();
    let (price, again) = (log.writer(), log.writer());
    source.on_event("price", move |_, event| price(format!("first {}", event.data())));
    source.on_event("price", move |_, event| again(format!("price: {}", event.data())));
    let (peer, _) = open(&simulation);
    write(&simulation, &peer, "event: price\ndata: 1\n\nevent: other\ndata: 2\n\ndata: 3\n\n");
    assert_eq!(log.take(), ["open", "price: 1", "other 2 ", "message 3 "]);
}

#[test]
fn a_source_comes_back_behind_the_last_event_after_the_time_that_the_server_has_asked_for() {
    let (simulation, source, log) = source();
    let (peer, _) = open(&simulation);
    write(&simulation, &peer, "id: 41\ndata: a\n\nid: 42\ndata: lost");
    peer.finish();
    simulation.run();
    assert_eq!(log.take(), ["open", "message a 41", "Connecting: the stream has ended"]);
    assert_eq!(source.ready_state(), ReadyState::Connecting);
    simulation.advance(Duration::from_millis(2999));
    assert!(simulation.accept().is_none(), "3 s unless the server says otherwise");
    simulation.advance(Duration::from_millis(1));
    let (peer, request) = open(&simulation);
    assert!(request.contains("\r\nLast-Event-ID: 41\r\n"), "{request}");
    write(&simulation, &peer, "retry: 500\n\nid: \u{e9}\n\ndata: b\n\n");
    peer.reset();
    simulation.run();
    assert_eq!(log.take()[..2], ["open", "message b \u{e9}"]);
    simulation.advance(Duration::from_millis(499));
    assert!(simulation.accept().is_none());
    simulation.advance(Duration::from_millis(1));
    assert!(open(&simulation).1.contains("\r\nLast-Event-ID: \u{e9}\r\n"));
}

#[test]
fn attempts_that_come_to_nothing_wait_longer_and_longer_each_by_chance() {
    let waits = |seed| {
        let (simulation, _source, _log) = source();
        simulation.set_seed(seed);
        let mut peer = accept(&simulation);
        let mut waits = Vec::new();
        for _ in 0..9 {
            peer.finish();
            simulation.run();
            let (wait, next) = wait(&simulation);
            waits.push(wait);
            peer = next;
        }
        write(&simulation, &peer, HEAD);
        peer.finish();
        simulation.run();
        (waits, wait(&simulation).0)
    };
    let (first, other) = (waits(1), waits(2));
    for (waits, after_a_stream) in [&first, &other] {
        assert_eq!((waits[0], *after_a_stream), (3, 3), "a stream that was there makes up for it");
        for (wait, most) in waits[1..].iter().zip([6, 12, 24, 48, 60, 60, 60, 60]) {
            assert!(*wait > most / 2 && *wait <= most, "{waits:?}");
        }
    }
    assert_ne!(first, other);
}

#[test]
fn statuses_say_whether_asking_again_is_of_use() {
    for status in ["408 Request Timeout", "425 Too Early", "429 Slow", "500 Oops", "502 Bad Gateway", "503", "504 Late"]
    {
        let (simulation, _source, log) = source();
        let peer = accept(&simulation);
        write(&simulation, &peer, &format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"));
        assert_eq!(log.take(), [format!("Connecting: the server answers {status}")]);
        assert_eq!(wait(&simulation).0, 3);
    }
    let (page, none) = ("Content-Type: text/html\r\n", "Content-Length: 100\r\n");
    for (status, header, text) in [
        ("204 No Content", "", "the server has no more to tell (204)"),
        ("200 OK", page, "the answer is no event stream but text/html"),
        ("200 OK", none, "the answer has no type, and is no event stream"),
        ("200 OK", "Content-Type: text/event-streams\r\n", "the answer is no event stream but text/event-streams"),
        ("206 Part", page, "the server answers 206 Part"),
        ("304 Not Modified", "", "the server answers 304 Not Modified"),
        ("400 Bad Request", "", "the server answers 400 Bad Request"),
        ("401 Unauthorized", "", "the server answers 401 Unauthorized"),
        ("404 Not Found", page, "the server answers 404 Not Found"),
        ("410 Gone", "", "the server answers 410 Gone"),
    ] {
        let (simulation, source, log) = source();
        let peer = accept(&simulation);
        write(&simulation, &peer, &format!("HTTP/1.1 {status}\r\n{header}\r\ndata: x\n\n"));
        assert_eq!(log.take(), [format!("Closed: {text}")]);
        assert!(peer.is_finished() || header.is_empty(), "nobody reads the rest: {status}");
        simulation.advance(seconds(1000));
        assert!(simulation.accept().is_none() && log.take().is_empty());
        assert_eq!((source.ready_state(), source.url().as_str()), (ReadyState::Closed, ""), "it is forgotten");
    }
}

#[test]
fn a_server_may_say_when_to_ask_again() {
    for (header, expected) in [
        ("Retry-After: Sun, 06 Nov 1994 08:50:07 GMT", 30), // the first, as the clock goes on
        ("Retry-After: 20", 20),
        ("Retry-After: Sun, 06 Nov 1994 08:00:00 GMT", 3),
        ("Retry-After: 1", 3),
        ("Retry-After: soon", 3),
        ("Retry-After: 99999999999999999999999", 24 * 60 * 60),
    ] {
        let (simulation, _source, _log) = source();
        let peer = accept(&simulation);
        write(
            &simulation,
            &peer,
            &format!("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n{header}\r\n\r\n"),
        );
        assert_eq!(wait(&simulation).0, expected, "{header}");
    }
}

#[test]
fn redirects_are_followed() {
    let (simulation, _source, log) = source();
    let peer = accept(&simulation);
    write(&simulation, &peer, "HTTP/1.1 307 There\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n");
    let peer = simulation.accept().unwrap_or(peer);
    simulation.run();
    let request = peer.read_text();
    assert!(request.contains("GET /elsewhere HTTP/1.1\r\n"), "{request}");
    write(&simulation, &peer, HEAD);
    write(&simulation, &peer, "data: x\n\n");
    assert_eq!(log.take(), ["open", "message x "]);
}

#[test]
fn an_address_that_is_none_is_told_once() {
    for url in ["", "events", "ftp://server.test/", "http://", "http://a b/"] {
        let simulation = Simulation::new();
        let (source, log) = (EventSource::new(url), Log::new());
        let told = log.writer();
        source.on_error(move |source, text| told((source.ready_state(), text.contains("cannot be asked"))));
        simulation.advance(seconds(100));
        assert_eq!(log.take(), [(ReadyState::Closed, true)], "{url}");
        assert!(simulation.accept().is_none());
    }
}

#[test]
fn what_was_closed_is_silent_and_costs_nothing() {
    let held = Rc::new(());
    for at in 0..5 {
        let (simulation, source, log) = source();
        let kept = Rc::clone(&held);
        source.on_event("never", move |_, _| drop(Rc::clone(&kept)));
        if at == 0 {
            source.close();
        }
        simulation.run();
        let peer = simulation.accept();
        if at == 1 {
            source.close();
        }
        if let Some(peer) = &peer {
            write(&simulation, peer, HEAD);
            write(&simulation, peer, "data: x\n\nda");
            if at == 2 {
                source.close();
            }
            peer.finish();
            simulation.run();
        }
        if at == 3 {
            source.close();
        }
        let told = log.take();
        assert_eq!(told.len(), [0, 0, 2, 3, 3][at], "{told:?}");
        if at == 4 {
            simulation.advance(seconds(3));
            assert!(simulation.accept().is_some());
            source.close();
        }
        simulation.advance(seconds(100));
        assert!(log.take().is_empty() && simulation.accept().is_none());
        assert_eq!(source.ready_state(), ReadyState::Closed);
        assert_eq!(Rc::strong_count(&held), 1, "its callbacks are gone: {at}");
        assert_eq!(simulation.next_wake_up(), None, "and its timers: {at}");
        source.close();
        source.resume_recv();
        source.pause_recv();
    }
}

#[test]
fn a_source_that_is_closed_in_a_callback_tells_nothing_more() {
    let (simulation, source, log) = source();
    let told = log.writer();
    source.on_message(move |source, event| {
        told(event.data().to_owned());
        if event.data() == "[DONE]" {
            source.close();
        }
    });
    let (peer, _) = open(&simulation);
    write(&simulation, &peer, "data: one\n\ndata: [DONE]\n\ndata: three\n\n");
    assert_eq!(log.take(), ["open", "one", "[DONE]"]);
    assert!(peer.is_closed());
    simulation.advance(seconds(100));
    assert!(log.take().is_empty() && simulation.accept().is_none());
}

#[test]
fn on_error_may_call_the_next_attempt_off() {
    let (simulation, source, log) = source();
    let told = log.writer();
    source.on_error(move |source, _| {
        told("error".to_owned());
        source.close();
    });
    accept(&simulation).finish();
    simulation.advance(seconds(100));
    assert_eq!(log.take(), ["error"]);
    assert!(simulation.accept().is_none());
}

#[test]
fn settings_hold_for_the_first_request_if_they_come_with_the_source() {
    let (simulation, source, _log) = source();
    source.set_header("authorization", "Bearer 1");
    source.set_header("Authorization", "Bearer 2");
    source.set_header("Accept", "text/event-stream, text/plain");
    source.set_last_event_id("4\r\nX: y\0\n1");
    let request = accept(&simulation).read_text();
    assert!(request.contains("\r\nAuthorization: Bearer 2\r\n") && !request.contains("Bearer 1"), "{request}");
    assert!(request.contains("\r\nAccept: text/event-stream, text/plain\r\n"), "{request}");
    assert_eq!(request.matches("Accept:").count(), 1, "{request}");
    assert!(request.contains("\r\nLast-Event-ID: 4X: y1\r\n"), "{request}");
}

#[test]
fn an_id_that_no_header_can_hold_is_not_sent() {
    let (simulation, source, _log) = source();
    let (peer, _) = open(&simulation);
    write(&simulation, &peer, "id: a\u{1b}b\ndata: x\n\n");
    assert_eq!(source.last_event_id(), "a\u{1b}b");
    peer.finish();
    simulation.advance(seconds(3));
    assert!(!accept(&simulation).read_text().contains("Last-Event-ID"));
}

#[test]
fn a_question_is_asked_once_unless_it_is_to_be_asked_again() {
    for comes_back in [false, true] {
        let (simulation, source, log) = source();
        source.set_header("Content-Type", "application/json");
        source.set_body(r#"{"stream":true}"#);
        if comes_back {
            source.set_reconnect(true);
        }
        let (peer, request) = open(&simulation);
        assert!(request.starts_with("POST /events?a=b HTTP/1.1\r\n"), "{request}");
        assert!(request.ends_with("\r\n\r\n{\"stream\":true}"), "{request}");
        write(&simulation, &peer, "data: token\n\n");
        peer.finish();
        simulation.run();
        let state = if comes_back { "Connecting" } else { "Closed" };
        assert_eq!(log.take(), ["open", "message token ", &format!("{state}: the stream has ended")]);
        simulation.advance(seconds(3));
        let again = simulation.accept().map(|peer| (simulation.run(), peer.read_text()).1);
        assert_eq!(again, comes_back.then_some(request));
    }
}

#[test]
fn a_server_that_says_nothing_for_too_long_is_left() {
    let (simulation, source, log) = source();
    source.set_silence_timeout(10);
    let (peer, _) = open(&simulation);
    for _ in 0..5 {
        simulation.advance(seconds(9));
        write(&simulation, &peer, ":\n");
    }
    assert_eq!(log.take(), ["open"]);
    simulation.advance(Duration::from_millis(9_990));
    assert!(log.take().is_empty());
    simulation.advance(Duration::from_millis(20));
    assert_eq!(log.take(), ["Connecting: the server was silent for too long"]);
    assert!(peer.is_closed());
    let (_, next) = wait(&simulation);
    write(&simulation, &next, HEAD);
    source.set_silence_timeout(0);
    simulation.advance(seconds(1000));
    assert_eq!(log.take(), ["open"]);
}

#[test]
fn a_stream_has_to_be_open_in_time() {
    let (simulation, source, log) = source();
    let peer = accept(&simulation);
    write(&simulation, &peer, "HTTP/1.1 200 OK\r\n");
    simulation.advance(seconds(29));
    assert!(log.take().is_empty());
    simulation.advance(seconds(2));
    assert_eq!(log.take(), ["Connecting: it takes too long"]);
    source.set_connect_timeout(0);
    let (_, peer) = wait(&simulation);
    simulation.advance(seconds(1000));
    write(&simulation, &peer, HEAD);
    assert_eq!(log.take(), ["open"]);
}

#[test]
fn who_is_paused_is_told_nothing_and_misses_nothing() {
    let (simulation, source, log) = source();
    let told = log.writer();
    source.on_message(move |source, event| {
        told(event.data().to_owned());
        source.pause_recv();
    });
    source.set_silence_timeout(10);
    let (peer, _) = open(&simulation);
    write(&simulation, &peer, "data: 1\n\ndata: 2\n\ndata: 3\n\n");
    peer.finish();
    simulation.advance(seconds(1000));
    assert_eq!(log.take(), ["open", "1"], "not even the end");
    for expected in [&["2"][..], &["3"], &["Connecting: the stream has ended"]] {
        source.resume_recv();
        simulation.run();
        assert_eq!(log.take(), expected);
    }
}

#[test]
fn what_a_paused_source_keeps_has_a_bound() {
    let (simulation, source, log) = source();
    let (peer, _) = open(&simulation);
    source.pause_recv();
    let event = format!("data: {}\n\n", "x".repeat(991));
    for _ in 0..4000 {
        peer.write(&event);
    }
    simulation.run();
    let before = log.take().len();
    source.resume_recv();
    simulation.run();
    assert_eq!((before, log.take().len()), (1, 4000));
}

#[test]
fn an_event_that_is_too_large_is_the_end() {
    let (simulation, source, log) = source();
    source.set_max_event_size(1000);
    let (peer, _) = open(&simulation);
    write(&simulation, &peer, "data: fits\n\ndata: ");
    write(&simulation, &peer, &"x".repeat(1000));
    assert_eq!(log.take(), ["open", "message fits ", "Closed: an event is larger than may be"]);
    assert!(peer.is_closed());
}

#[test]
fn a_callback_that_fails_costs_its_stream() {
    let (simulation, source, log) = source();
    Worker::set_panic_policy(PanicPolicy::CloseConnection);
    let told = log.writer();
    source.on_message(move |_, event| {
        told(event.data().to_owned());
        if event.data() == "bad" { Err("no use for it") } else { Ok(()) }
    });
    let (peer, _) = open(&simulation);
    write(&simulation, &peer, "id: 1\ndata: bad\n\nid: 2\ndata: good\n\n");
    assert_eq!(log.take(), ["open", "bad", "Connecting: a callback has failed: no use for it"]);
    assert!(peer.is_closed());
    simulation.advance(seconds(3));
    let (peer, request) = open(&simulation);
    assert!(request.contains("\r\nLast-Event-ID: 1\r\n"), "the same event does not come again: {request}");
    write(&simulation, &peer, "id: 2\ndata: good\n\n");
    assert_eq!(log.take(), ["open", "good"]);
}

#[test]
fn a_loop_that_stops_has_no_sources() {
    let held = Rc::new(());
    let (simulation, source, log) = source();
    let kept = Rc::clone(&held);
    source.on_event("x", move |_, _| drop(Rc::clone(&kept)));
    let (peer, _) = open(&simulation);
    simulation.stop();
    assert!(peer.is_closed());
    assert_eq!(Rc::strong_count(&held), 1);
    assert_eq!(log.take()[0], "open");
    assert_eq!(source.ready_state(), ReadyState::Closed);
}

#[test]
fn sources_are_apart_from_each_other() {
    let simulation = Simulation::new();
    let log = Log::new();
    let sources: Vec<EventSource> =
        (0..3).map(|number| EventSource::new(&format!("http://server.test/{number}"))).collect();
    for (number, source) in sources.iter().enumerate() {
        let told = log.writer();
        source.on_message(move |_, event| told(format!("{number} {}", event.data())));
    }
    assert_ne!(sources[0], sources[1]);
    simulation.run();
    let peers: Vec<Peer> = (0..3).map(|_| accept(&simulation)).collect();
    for peer in &peers {
        let path = peer.read_text()[5..6].to_owned();
        write(&simulation, peer, &format!("{HEAD}data: for {path}\n\n"));
    }
    sources[1].close();
    for peer in &peers {
        write(&simulation, peer, "data: more\n\n");
    }
    let mut told = log.take();
    told.sort_unstable();
    assert_eq!(told, ["0 for 0", "0 more", "1 for 1", "2 for 2", "2 more"]);
}

#[test]
fn streams_take_no_connections_from_requests_nor_from_each_other() {
    let simulation = Simulation::new();
    let sources: Vec<EventSource> = (0..200).map(|_| EventSource::new(URL)).collect();
    simulation.run();
    let peers: Vec<Peer> = std::iter::from_fn(|| simulation.accept()).collect();
    assert_eq!(peers.len(), 200);
    simulation.run();
    peers.iter().for_each(|peer| peer.write(HEAD));
    simulation.run();
    assert!(sources.iter().all(|source| source.ready_state() == ReadyState::Open));
    HttpClient::new().get("http://server.test/", |_| ());
    assert!(accept(&simulation).read_text().starts_with("GET / HTTP/1.1\r\n"));
}

#[test]
fn a_source_goes_through_a_proxy_each_time() {
    let (simulation, source, log) = source();
    source.set_proxy("http://me:secret@proxy.test:3128");
    for nth in 0..2 {
        let proxy = if nth == 0 { accept(&simulation) } else { wait(&simulation).1 };
        assert!(proxy.read_text().starts_with("CONNECT server.test:80 HTTP/1.1\r\n"));
        write(&simulation, &proxy, "HTTP/1.1 200 OK\r\n\r\n");
        assert!(proxy.read_text().starts_with("GET /events?a=b HTTP/1.1\r\nHost: server.test\r\n"));
        write(&simulation, &proxy, &format!("{HEAD}data: {nth}\n\n"));
        assert_eq!(log.take(), ["open".to_owned(), format!("message {nth} ")]);
        proxy.finish();
        simulation.run();
        assert_eq!(log.take(), ["Connecting: the stream has ended"]);
    }
    let proxy = wait(&simulation).1;
    write(&simulation, &proxy, "HTTP/1.1 407 Who are you\r\n\r\n");
    let told = log.take();
    assert!(told.len() == 1 && told[0].starts_with("Connecting: no connection: "), "{told:?}");
    assert!(told[0].ends_with("the proxy says 407 Who are you"), "{told:?}");
}
