//! Promise: an event stream opens whenever the content type says so, carries exactly the events that were sent, whole
//! and framed, ends only by `close`, and costs no copy of an event for each subscriber.

mod common;

use std::rc::Rc;
use std::time::Duration;

use common::{Answer, DATE, GET, Log, exchange, get, only, read_all, serve, split_head, stream, text};
use proptest::prelude::*;
use workerman::testing::{Peer, Simulation};
use workerman::{Http, Response, SendStatus, ServerSentEvents, Status, TcpConnection, Timer, Worker};

const GET_10: &str = "GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n";
const KIND: (&str, &str) = ("Content-Type", "text/event-stream");

fn open() -> Response {
    Response::new(200, &[KIND], "\r\n")
}

fn data(data: impl AsRef<str>) -> ServerSentEvents {
    ServerSentEvents::new().data(data)
}

/// A server whose every request opens a stream.
fn streams() -> (Simulation, Worker<Http>) {
    serve(|connection, _| assert_eq!(connection.send(open()), SendStatus::Sent))
}

/// The stream that a response opens, or the answer that it is.
fn head_of(request: &str, response: Response) -> Answer {
    let response = std::cell::Cell::new(Some(response));
    let (simulation, worker) = serve(move |connection, _| connection.send(response.take().expect("one request")));
    let (_peer, bytes) = exchange(&simulation, worker, request);
    let (head, body) = split_head(&bytes);
    Answer { head, body: body.to_vec() }
}

#[test]
fn the_program_of_the_manual_streams_events() {
    let (simulation, worker) = serve(|connection, request| {
        if request.header("accept") == Some("text/event-stream") {
            connection.send(Response::new(200, &[("Content-Type", "text/event-stream")], "\r\n"));
            Timer::add(2, move |timer_id| {
                if connection.status() != Status::Established {
                    Timer::del(timer_id);
                    return;
                }
                connection.send(ServerSentEvents::new().event("message").data("hello").id(1));
            });
            return;
        }
        connection.send("ok");
    });
    let (peer, bytes) = exchange(&simulation, worker, "GET / HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n\r\n");
    let expected = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: keep-alive\r\nCache-Control: no-cache\r\n\
         X-Accel-Buffering: no\r\nTransfer-Encoding: chunked\r\n{DATE}\r\n"
    );
    assert_eq!(text(bytes), expected);
    for _ in 0..3 {
        simulation.advance(Duration::from_secs(2));
        assert_eq!(text(peer.read()), "22\r\nevent: message\nid: 1\ndata: hello\n\n\r\n");
    }
    peer.finish();
    simulation.run();
    assert!(peer.is_closed());
    simulation.advance(Duration::from_secs(10));
}

#[test]
fn a_stream_opens_for_the_type_in_any_case_and_with_parameters() {
    let table = [
        ("Content-Type", "text/event-stream", true),
        ("content-type", "Text/Event-Stream", true),
        ("CONTENT-TYPE", "text/event-stream; charset=utf-8", true),
        ("Content-Type", "text/event-stream;charset=utf-8", true),
        ("Content-Type", "text/event-stream ;x=y", true),
        ("Content-Type", "text/plain", false),
        ("Content-Type", "text/event", false),
        ("Content-Type", "application/text/event-stream", false),
        ("X-Content-Type", "text/event-stream", false),
    ];
    for (name, value, opens) in table {
        let (simulation, worker) =
            serve(move |connection, _| connection.send(Response::new(200, &[(name, value)], "")));
        let (peer, _) = exchange(&simulation, worker, GET);
        let sent = only(worker).send(data("x"));
        assert_eq!(sent, if opens { SendStatus::Sent } else { SendStatus::Dropped }, "{name}: {value}");
        assert_eq!(text(peer.read()), if opens { "9\r\ndata: x\n\n\r\n" } else { "" });
    }
}

#[test]
fn the_last_content_type_decides() {
    let opened = head_of(GET, Response::new(200, &[("Content-Type", "text/plain")], "").with_header(KIND.0, KIND.1));
    assert_eq!(opened.header("transfer-encoding"), Some("chunked"));
    for response in [
        open().with_header("content-type", "text/plain"),
        open().without_header("CONTENT-TYPE"),
        open().with_headers(&[("Content-type", "text/plain")]),
        Response::new(200, &[KIND, ("content-type", "text/plain")], "\r\n"),
    ] {
        assert_eq!(head_of(GET, response).header("content-length"), Some("2"));
    }
}

#[test]
fn a_stream_has_no_length_and_asks_not_to_be_buffered() {
    let head = head_of(GET, Response::new(200, &[KIND, ("Content-Length", "5"), ("Transfer-Encoding", "gzip")], ""));
    assert_eq!(head.header("content-length"), None);
    assert_eq!(head.header("transfer-encoding"), Some("chunked"));
    assert_eq!(head.header("cache-control"), Some("no-cache"));
    assert_eq!(head.header("x-accel-buffering"), Some("no"));
    assert_eq!(head.header("connection"), Some("keep-alive"));
    let own = [KIND, ("cache-control", "no-store"), ("X-ACCEL-BUFFERING", "yes"), ("date", "now"), ("X-Foo", "1")];
    let head = head_of(GET, Response::new(201, &own, ""));
    assert_eq!(head.status(), 201);
    assert_eq!(head.header("cache-control"), Some("no-store"));
    assert_eq!(head.header("x-accel-buffering"), Some("yes"));
    assert_eq!((head.header("date"), head.header("x-foo")), (Some("now"), Some("1")));
}

#[test]
fn an_http_1_0_stream_ends_with_the_connection() {
    let (simulation, worker) = streams();
    let (peer, bytes) = exchange(&simulation, worker, GET_10);
    let (head, body) = split_head(&bytes);
    let answer = Answer { head, body: body.to_vec() };
    assert!(answer.head.starts_with("HTTP/1.0 200 OK\r\n"), "{}", answer.head);
    assert_eq!((answer.header("transfer-encoding"), answer.header("content-length")), (None, None));
    assert_eq!(answer.header("connection"), Some("close"), "what ends with the connection cannot keep it");
    assert_eq!(body, b"");
    let connection = only(worker);
    connection.send(data("a"));
    connection.send(&data("b"));
    connection.send_raw(": raw\n\n");
    assert_eq!(text(peer.read()), "data: a\n\ndata: b\n\n: raw\n\n");
    connection.close();
    simulation.run();
    assert_eq!((peer.read(), peer.is_closed()), (vec![], true));
}

#[test]
fn an_app_can_ask_for_a_stream_that_ends_with_the_connection() {
    let response = open().with_protocol_version("1.0").with_header("Connection", "keep-alive");
    let head = head_of(GET, response);
    assert_eq!((head.header("transfer-encoding"), head.header("connection")), (None, Some("close")));
}

#[test]
fn a_client_that_wants_no_keep_alive_gets_its_stream_too() {
    let head = head_of("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", open());
    assert_eq!((head.header("connection"), head.header("transfer-encoding")), (Some("close"), Some("chunked")));
    let (simulation, worker) = streams();
    let (peer, _) = exchange(&simulation, worker, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    simulation.advance(Duration::from_secs(3600));
    assert!(!peer.is_finished(), "a stream has no deadline");
    assert_eq!(only(worker).send(data("x")), SendStatus::Sent);
}

#[test]
fn the_line_break_of_php_programs_is_no_part_of_the_stream_and_any_other_body_is() {
    for request in [GET, GET_10] {
        for body in ["", "\r\n", "\n", " \r\n"] {
            assert_eq!(head_of(request, Response::new(200, &[KIND], body)).body, b"", "{body:?}");
        }
    }
    let first = ": welcome\n\nretry: 1000\n\n";
    let expected = format!("{:x}\r\n{first}\r\n", first.len());
    assert_eq!(head_of(GET, Response::new(200, &[KIND], first)).body(), expected);
    assert_eq!(head_of(GET_10, Response::new(200, &[KIND], first)).body(), first);
}

#[test]
fn an_open_stream_takes_no_second_answer() {
    let (simulation, worker) = streams();
    let (peer, _) = exchange(&simulation, worker, GET);
    let connection = only(worker);
    assert_eq!(connection.send("text"), SendStatus::Dropped);
    assert_eq!(connection.send(b"bytes"), SendStatus::Dropped);
    assert_eq!(connection.send(Response::default()), SendStatus::Dropped);
    assert_eq!(connection.send(open()), SendStatus::Dropped);
    assert_eq!(peer.read(), b"");
    assert_eq!(connection.send(data("x")), SendStatus::Sent);
    assert_eq!(text(peer.read()), "9\r\ndata: x\n\n\r\n");
}

#[test]
fn a_request_behind_a_stream_is_never_delivered() {
    let log = Log::new();
    let write = log.writer();
    let (simulation, worker) = serve(move |connection, request| {
        write(request.path().to_owned());
        connection.send(open())
    });
    let (peer, _) = exchange(&simulation, worker, get("/stream") + &get("/behind"));
    peer.write(get("/later"));
    simulation.advance(Duration::from_secs(60));
    only(worker).close();
    simulation.run();
    assert_eq!(log.take(), ["/stream"]);
    assert_eq!(text(peer.read()), "0\r\n\r\n");
    assert!(peer.is_finished());
    simulation.advance(Duration::from_secs(1));
    assert!(peer.is_closed());
}

#[test]
fn an_event_without_a_stream_is_dropped_and_leaves_the_request_open() {
    let (simulation, worker) = serve(|connection, _| {
        assert_eq!(connection.send(data("early")), SendStatus::Dropped);
        assert_eq!(connection.send(&data("early")), SendStatus::Dropped);
        assert_eq!(connection.send("answer"), SendStatus::Sent);
        assert_eq!(connection.send(data("late")), SendStatus::Dropped);
    });
    assert_eq!(common::bodies(&exchange(&simulation, worker, GET).1), ["answer"]);
}

#[test]
fn raw_bytes_travel_inside_the_framing() {
    let (simulation, worker) = serve(|connection, _| {
        connection.send(open());
        assert_eq!(connection.send_raw("data: a\n\n"), SendStatus::Sent);
        assert_eq!(connection.send_raw(""), SendStatus::Sent);
        connection.send_raw("0\r\n\r\n");
        connection.send(data("b"));
    });
    let (_peer, bytes) = exchange(&simulation, worker, GET);
    let (_, chunks, ended) = stream(&bytes);
    assert_eq!((chunks, ended), (vec!["data: a\n\n".into(), "0\r\n\r\n".into(), "data: b\n\n".into()], false));
}

#[test]
fn close_ends_the_stream_with_the_last_chunk_and_destroy_does_not() {
    let ended_by = |end: fn(TcpConnection<Http>)| {
        let (simulation, worker) = streams();
        let (peer, mut bytes) = exchange(&simulation, worker, GET);
        only(worker).send(data("x"));
        end(only(worker));
        simulation.run();
        bytes.extend(peer.read());
        assert!(peer.is_closed());
        let (_, chunks, ended) = stream(&bytes);
        (chunks.concat(), ended)
    };
    assert_eq!(ended_by(TcpConnection::close), ("data: x\n\n".into(), true));
    assert_eq!(ended_by(|connection| connection.close_with(data("bye"))), ("data: x\n\ndata: bye\n\n".into(), true));
    assert_eq!(ended_by(|connection| connection.close_with(&data("bye"))), ("data: x\n\ndata: bye\n\n".into(), true));
    // Even a message that has no place here.
    assert_eq!(ended_by(|connection| connection.close_with("text")), ("data: x\n\n".into(), true));
    // A client can tell the difference: what was cut off has no last chunk.
    assert_eq!(ended_by(TcpConnection::destroy), ("data: x\n\n".into(), false));
}

#[test]
fn a_stream_can_open_and_end_in_one_callback() {
    let (simulation, worker) = serve(|connection, _| {
        connection.send(open());
        connection.send(data("only"));
        connection.close();
        assert_eq!(connection.send(data("no")), SendStatus::Closed);
    });
    let (peer, bytes) = exchange(&simulation, worker, GET);
    let (_, chunks, ended) = stream(&bytes);
    assert_eq!((chunks, ended, peer.is_closed()), (vec!["data: only\n\n".into()], true, true));
}

#[test]
fn a_stream_may_open_late() {
    let (simulation, worker) = serve(|connection, _| {
        Timer::delay(1, move || {
            connection.send(open());
            connection.send(data("late"));
        });
    });
    let (peer, bytes) = exchange(&simulation, worker, GET);
    assert!(bytes.is_empty());
    simulation.advance(Duration::from_secs(1));
    assert_eq!(stream(&peer.read()).1, ["data: late\n\n"]);
}

#[test]
fn a_handle_of_an_earlier_request_sends_nothing_into_a_later_stream() {
    let first = Log::new();
    let write = first.writer();
    let (simulation, worker) = serve(move |connection, request| {
        if request.path() == "/stream" {
            connection.send(open());
        } else {
            write(connection);
            connection.send("ok");
        }
    });
    let (peer, _) = exchange(&simulation, worker, get("/first") + &get("/stream"));
    let earlier = first.take().pop().expect("the first request's handle");
    assert_eq!(earlier.send(data("stray")), SendStatus::Dropped);
    assert_eq!(earlier.send(&data("stray")), SendStatus::Dropped);
    assert_eq!(peer.read(), b"");
    assert_eq!(only(worker).send(data("x")), SendStatus::Sent);
}

#[test]
fn raw_bytes_of_an_earlier_requests_handle_do_not_enter_a_later_stream() {
    let first = Log::new();
    let write = first.writer();
    let (simulation, worker) = serve(move |connection, request| {
        if request.path() == "/stream" {
            connection.send(open());
        } else {
            write(connection);
            connection.send("ok");
        }
    });
    let (peer, _) = exchange(&simulation, worker, get("/first") + &get("/stream"));
    let earlier = first.take().pop().expect("the first request's handle");
    assert_eq!(earlier.send_raw("stray"), SendStatus::Dropped);
    assert_eq!(text(peer.read()), "");
}

#[test]
fn one_prepared_event_serves_every_framing() {
    let (simulation, worker) = streams();
    let clients: Vec<_> =
        [GET, GET_10, GET, GET_10].iter().map(|request| exchange(&simulation, worker, request)).collect();
    let event = ServerSentEvents::new().event("e").data("x".repeat(5000)).id(7);
    let small = data("small");
    Timer::delay(1, move || {
        for connection in worker.connections() {
            assert_eq!(connection.send(&event), SendStatus::Sent);
            assert_eq!(connection.send(&small), SendStatus::Sent);
            assert_eq!(connection.send(&event), SendStatus::Sent);
        }
    });
    simulation.advance(Duration::from_secs(1));
    let event = format!("event: e\nid: 7\ndata: {}\n\n", "x".repeat(5000));
    let events = format!("{event}data: small\n\n{event}");
    for (number, (peer, head)) in clients.iter().enumerate() {
        let bytes = peer.read();
        if number % 2 == 0 {
            let (_, chunks, _) = stream(&[head.clone(), bytes].concat());
            assert_eq!(chunks.concat(), events);
        } else {
            assert_eq!(text(bytes), events);
        }
    }
}

#[test]
fn an_event_can_be_made_on_another_thread() {
    let event = std::thread::spawn(|| data("from afar").id(9)).join().expect("an event");
    let (simulation, worker) = streams();
    let (peer, _) = exchange(&simulation, worker, GET);
    only(worker).send(&event);
    only(worker).send(event);
    assert_eq!(text(peer.read()), "17\r\nid: 9\ndata: from afar\n\n\r\n".repeat(2));
}

/// Resident memory of this process in bytes.
#[cfg(target_os = "linux")]
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("/proc");
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).expect("a number") * 4096
}

#[test]
#[cfg(target_os = "linux")]
fn an_event_is_not_copied_for_each_subscriber_that_reads_slowly() {
    const SUBSCRIBERS: usize = 1000;
    let (simulation, worker) = streams();
    let mut peers = Vec::new();
    for number in 0..SUBSCRIBERS {
        let (peer, _) = exchange(&simulation, worker, if number % 3 == 0 { GET_10 } else { GET });
        peer.set_window(number % 100);
        peers.push(peer);
    }
    let event = Rc::new(data("e".repeat(64 * 1024)));
    let length = event.to_string().len();
    let broadcast = {
        let event = Rc::clone(&event);
        move || {
            for connection in worker.connections() {
                assert_eq!(connection.send(&*event), SendStatus::Queued);
            }
        }
    };
    // All that is needed once is made first.
    broadcast();
    let before = resident();
    for _ in 0..3 {
        broadcast();
    }
    let grown = resident().saturating_sub(before);
    for (number, connection) in worker.connections().enumerate() {
        let queued = connection.send_buffer_queue_size();
        assert!(queued >= 4 * length - number % 100, "{queued} bytes wait");
    }
    // Copies would be 187 MiB.
    assert!(grown < 16 << 20, "{grown} bytes for {SUBSCRIBERS} subscribers of three events");
    for (number, peer) in peers.iter().enumerate().step_by(97) {
        peer.set_window(50_000);
        simulation.run();
        let bytes = read_all(&simulation, peer);
        let body = if number % 3 == 0 { bytes } else { common::chunks(&bytes).0.concat() };
        assert!(body == event.to_string().repeat(4).as_bytes(), "subscriber {number} got something else");
    }
}

#[test]
fn small_events_are_merged_in_the_queue() {
    let (simulation, worker) = streams();
    let (peer, _) = exchange(&simulation, worker, GET);
    peer.set_window(1);
    let event = data("x");
    for _ in 0..1000 {
        assert_eq!(only(worker).send(&event), SendStatus::Queued);
    }
    assert_eq!(only(worker).send_buffer_queue_size(), 1000 * "9\r\ndata: x\n\n\r\n".len() - 1);
    peer.set_window(usize::MAX);
    simulation.run();
    let bytes = read_all(&simulation, &peer);
    assert_eq!(text(bytes), "9\r\ndata: x\n\n\r\n".repeat(1000));
}

#[test]
fn at_the_limit_whole_events_are_dropped_and_no_part_of_one() {
    let (simulation, worker) = streams();
    let (peer, _) = exchange(&simulation, worker, GET);
    peer.set_window(100);
    let connection = only(worker);
    connection.set_max_send_buffer_size(10_000);
    let (mut accepted, mut dropped) = (Vec::new(), 0);
    for number in 0..50 {
        let event = format!("{number}:{}", "x".repeat(1500));
        match connection.send(data(&event)) {
            SendStatus::Queued => accepted.push(format!("data: {event}\n\n")),
            SendStatus::Dropped => dropped += 1,
            other => panic!("{other:?}"),
        }
    }
    assert!(connection.send_buffer_queue_size() < 12_000, "at most one event over the limit");
    assert_eq!((accepted.len(), dropped), (7, 43));
    assert_eq!(connection.status(), Status::Established);
    let bytes = read_all(&simulation, &peer);
    assert_eq!(common::chunks(&bytes).0.into_iter().map(text).collect::<Vec<_>>(), accepted);
    // And then there is room again.
    peer.set_window(usize::MAX);
    simulation.run();
    assert_eq!(connection.send(data("again")), SendStatus::Sent);
}

#[test]
fn a_client_that_disconnects_in_the_middle_of_an_event_harms_no_other() {
    for leave in [Peer::finish, Peer::reset] {
        let (simulation, worker) = streams();
        let closed = Log::new();
        let write = closed.writer();
        worker.on_close(move |connection| write(connection.id()));
        let clients: Vec<_> = (0..5).map(|_| exchange(&simulation, worker, GET).0).collect();
        for (number, peer) in clients.iter().enumerate() {
            peer.set_window(1000 * number + 1);
        }
        let (event, small) = (data("y".repeat(10_000)), data("small"));
        let broadcast = || {
            for connection in worker.connections() {
                assert_eq!(connection.send(&event), SendStatus::Queued);
                assert_eq!(connection.send(&small), SendStatus::Queued);
            }
        };
        broadcast();
        let mut got: Vec<_> = clients.iter().map(Peer::read).collect();
        assert!(got.iter().all(|bytes| !bytes.is_empty() && bytes.len() < 10_000), "all are in the middle of it");
        leave(&clients[1]);
        leave(&clients[3]);
        simulation.run();
        assert_eq!((closed.take().len(), worker.connections().count()), (2, 3));
        broadcast();
        let expected = vec![[event.to_string(), small.to_string()]; 2].concat();
        for number in [0, 2, 4] {
            clients[number].set_window(usize::MAX);
            simulation.run();
            got[number].extend(read_all(&simulation, &clients[number]));
            let (chunks, ended) = common::chunks(&got[number]);
            assert_eq!((chunks.into_iter().map(text).collect::<Vec<_>>() == expected, ended), (true, false));
        }
        // Their places are taken by others, who see nothing of it.
        let (newcomer, bytes) = exchange(&simulation, worker, GET);
        assert_eq!(split_head(&bytes).1, b"");
        broadcast_small(worker);
        assert_eq!(text(newcomer.read()), "a\r\ndata: to\n\n\r\n");
    }
}

fn broadcast_small(worker: Worker<Http>) {
    let event = data("to");
    for connection in worker.connections() {
        connection.send(&event);
    }
}

#[test]
fn a_callback_that_fails_leaves_the_stream_visibly_unfinished() {
    let (simulation, worker) = serve(|connection, _| -> workerman::Result<()> {
        connection.send(open());
        connection.send(data("x"));
        Err("boom".into())
    });
    let (peer, bytes) = exchange(&simulation, worker, GET);
    let (_, chunks, ended) = stream(&bytes);
    assert_eq!((chunks, ended, peer.is_closed()), (vec!["data: x\n\n".into()], false, true));
}

/// What an app does on an open stream.
#[derive(Clone, Debug)]
enum Action {
    Event(String, bool),
    Raw(String),
    Read(usize),
    Turn,
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
    let action = prop_oneof![
        ("[a-z\r\n]{0,20}", any::<bool>()).prop_map(|(text, shared)| Action::Event(text, shared)),
        ((900..3000_usize), any::<bool>()).prop_map(|(length, shared)| Action::Event("z".repeat(length), shared)),
        "[ -~]{0,30}".prop_map(Action::Raw),
        (0..3000_usize).prop_map(Action::Read),
        Just(Action::Turn),
    ];
    proptest::collection::vec(action, 0..40)
}

proptest! {
    #[test]
    fn the_chunks_are_exactly_the_events_however_slowly_they_are_read(
        actions in actions(),
        http10 in any::<bool>(),
        window in 1..5000_usize,
        limit in prop_oneof![Just(usize::MAX), 1..2000_usize],
    ) {
        let (simulation, worker) = streams();
        let (peer, _) = exchange(&simulation, worker, if http10 { GET_10 } else { GET });
        peer.set_window(window);
        peer.set_write_limit(limit);
        let connection = only(worker);
        let (mut expected, mut bytes) = (Vec::new(), Vec::new());
        for action in actions {
            match action {
                Action::Event(text, shared) => {
                    let event = data(text);
                    expected.push(event.to_string());
                    let sent = if shared { connection.send(&event) } else { connection.send(event) };
                    prop_assert!(sent.is_accepted());
                }
                Action::Raw(text) => {
                    prop_assert!(connection.send_raw(&text).is_accepted());
                    expected.extend((!text.is_empty()).then_some(text));
                }
                Action::Read(most) => bytes.extend(peer.read_at_most(most)),
                Action::Turn => simulation.turn(),
            }
        }
        connection.close();
        simulation.run();
        bytes.extend(read_all(&simulation, &peer));
        prop_assert!(peer.is_closed());
        if http10 {
            prop_assert_eq!(text(bytes), expected.concat());
        } else {
            let (chunks, ended) = common::chunks(&bytes);
            prop_assert_eq!(chunks.into_iter().map(text).collect::<Vec<_>>(), expected);
            prop_assert!(ended);
        }
    }
}
