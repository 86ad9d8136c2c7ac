//! Promise: an answer in chunks is what the app sent, in framing that nothing inside it can break; it is complete when the
//! app says so and visibly incomplete otherwise, and the next request waits for its end.

mod common;

use std::cell::Cell;
use std::time::Duration;

use common::{Answer, DATE, GET, Log, exchange, get, only, read_all, serve, split_head, text};
use proptest::prelude::*;
use workerman::testing::Simulation;
use workerman::{
    Chunk, Deadlines, Http, PanicPolicy, Response, SendStatus, ServerSentEvents, Status, TcpConnection, Timer, Worker,
};

const GET_10: &str = "GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n";
const HEAD: &str = "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n";
const CHUNKED: (&str, &str) = ("Transfer-Encoding", "chunked");
const EVENTS: (&str, &str) = ("Content-Type", "text/event-stream");

fn open(first: &str) -> Response {
    Response::new(200, &[CHUNKED], first)
}

/// A server whose every request begins an answer in chunks.
fn streams() -> (Simulation, Worker<Http>) {
    serve(|connection, _| assert_eq!(connection.send(open("")), SendStatus::Sent))
}

/// The first answer in chunks, its parts, whether it has ended, and what stands behind it.
fn chunked(bytes: &[u8]) -> (Answer, Vec<String>, bool, String) {
    let (head, mut rest) = split_head(bytes);
    let answer = Answer { head, body: Vec::new() };
    assert_eq!((answer.header("transfer-encoding"), answer.header("content-length")), (Some("chunked"), None));
    let mut parts = Vec::new();
    while let Some(at) = rest.windows(2).position(|window| window == b"\r\n") {
        let (size, behind) = rest.split_at(at);
        let size = usize::from_str_radix(&text(size), 16).expect("a chunk's size");
        let (data, behind) = behind.split_at(2).1.split_at(size);
        let (end, behind) = behind.split_at(2);
        assert_eq!(end, b"\r\n", "a chunk ends in CRLF");
        rest = behind;
        if size == 0 {
            return (answer, parts, true, text(rest));
        }
        parts.push(text(data));
    }
    assert!(rest.is_empty(), "half a chunk");
    (answer, parts, false, String::new())
}

#[test]
fn an_answer_in_chunks_has_phps_bytes() {
    let (simulation, worker) = serve(|connection, _| {
        assert_eq!(connection.send(open("hello")), SendStatus::Sent);
        assert_eq!(connection.send(Chunk::new("k".repeat(171))), SendStatus::Sent);
        assert_eq!(connection.send(Chunk::new("\u{4e2d}")), SendStatus::Sent);
        assert_eq!(connection.send(Chunk::new("")), SendStatus::Sent);
    });
    let (peer, bytes) = exchange(&simulation, worker, GET);
    let php = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\
               Content-Type: text/html;charset=utf-8\r\n";
    let body = format!("5\r\nhello\r\nab\r\n{}\r\n3\r\n\u{4e2d}\r\n0\r\n\r\n", "k".repeat(171));
    assert_eq!(text(bytes), format!("{php}{DATE}\r\n{body}"));
    assert!(!peer.is_finished(), "the connection goes on");
}

#[test]
fn the_next_request_waits_for_the_empty_chunk() {
    let log = Log::new();
    let write = log.writer();
    let (simulation, worker) = serve(move |connection, request| {
        write(request.path().to_owned());
        connection.send(open(request.path()));
    });
    let (peer, _) = exchange(&simulation, worker, [get("/1"), get("/2")].concat());
    simulation.advance(Duration::from_secs(3600));
    assert_eq!(log.take(), ["/1"]);
    only(worker).send(Chunk::new("late"));
    only(worker).send(Chunk::new(""));
    simulation.run();
    assert_eq!(log.take(), ["/2"]);
    only(worker).send(Chunk::new(""));
    peer.write(get("/3"));
    simulation.run();
    assert_eq!(log.take(), ["/3"]);
    assert!(!peer.is_finished());
}

#[test]
fn answers_in_chunks_follow_each_other_on_one_connection() {
    let (simulation, worker) = serve(|connection, request| {
        connection.send(open(request.path()));
        connection.send(Chunk::new(vec![b'x'; 40_000]));
        connection.send(Chunk::new(b""));
    });
    let (_peer, mut bytes) = exchange(&simulation, worker, [get("/1"), get("/2"), get("/3")].concat());
    for path in ["/1", "/2", "/3"] {
        let (_, parts, ended, rest) = chunked(&bytes);
        assert_eq!((parts.concat(), ended), (format!("{path}{}", "x".repeat(40_000)), true));
        bytes = rest.into_bytes();
    }
    assert!(bytes.is_empty());
}

#[test]
fn an_http_1_0_client_gets_the_plain_bytes_and_the_end() {
    let answers: [fn() -> Response; 2] = [|| open("first "), || open("first ").with_protocol_version("1.0")];
    for (request, response) in [GET_10, GET].into_iter().zip(answers) {
        let (simulation, worker) = serve(move |connection, _| {
            connection.send(response());
            connection.send_raw("second ");
            connection.send(Chunk::new("third"));
        });
        let (peer, bytes) = exchange(&simulation, worker, request);
        let (head, body) = split_head(&bytes);
        assert!(head.starts_with("HTTP/1.0 200 OK\r\nConnection: close\r\n"), "{head}");
        assert!(!head.contains("Transfer-Encoding") && !head.contains("Content-Length"), "{head}");
        assert_eq!((body, peer.is_finished()), (&b"first second third"[..], false));
        assert_eq!(only(worker).send(Chunk::new("")), SendStatus::Sent);
        simulation.run();
        assert_eq!((peer.read_text().as_str(), peer.is_closed()), ("", true));
    }
}

#[test]
fn the_answer_to_head_is_the_head_and_its_parts_are_taken_and_not_sent() {
    let (simulation, worker) = serve(|connection, request| match request.method() {
        "HEAD" => connection.send(open("first")),
        _ => connection.send("next"),
    });
    let (peer, bytes) = exchange(&simulation, worker, [HEAD, GET].concat());
    let (head, rest) = split_head(&bytes);
    assert!(head.contains("\r\nTransfer-Encoding: chunked\r\n"), "{head}");
    assert_eq!(rest, b"");
    let connection = only(worker);
    assert_eq!(connection.send(Chunk::new("part")), SendStatus::Sent);
    assert_eq!(connection.send_raw("raw"), SendStatus::Sent);
    simulation.run();
    assert_eq!(peer.read(), b"", "the answer to GET waits for its turn");
    assert_eq!(connection.send(Chunk::new("")), SendStatus::Sent);
    simulation.run();
    assert_eq!(common::bodies(&peer.read()), ["next"]);
}

#[test]
fn a_chunk_without_an_answer_in_chunks_is_dropped_and_leaves_the_request_open() {
    let (simulation, worker) = serve(|connection, _| {
        assert_eq!(connection.send(Chunk::new("early")), SendStatus::Dropped);
        assert_eq!(connection.send(Chunk::new("")), SendStatus::Dropped);
        assert_eq!(connection.send("answer"), SendStatus::Sent);
        assert_eq!(connection.send(Chunk::new("late")), SendStatus::Dropped);
    });
    let (_peer, bytes) = exchange(&simulation, worker, GET.repeat(2));
    assert_eq!(common::bodies(&bytes), ["answer", "answer"]);
    assert_eq!(only(worker).send(Chunk::new("idle")), SendStatus::Dropped);
}

#[test]
fn an_answer_that_has_no_content_opens_nothing() {
    for status in [204, 205, 304] {
        let (simulation, worker) = serve(move |connection, _| {
            connection.send(Response::new(status, &[CHUNKED], "body"));
            assert_eq!(connection.send(Chunk::new("part")), SendStatus::Dropped, "{status}");
        });
        let answers = common::answers(&exchange(&simulation, worker, GET.repeat(2)).1);
        assert_eq!(answers.iter().map(Answer::status).collect::<Vec<_>>(), [status, status]);
    }
}

#[test]
fn an_open_answer_takes_no_other_and_no_event() {
    let (simulation, worker) = serve(|connection, _| {
        connection.send(open("a"));
        assert_eq!(connection.send("text"), SendStatus::Dropped);
        assert_eq!(connection.send(Response::default()), SendStatus::Dropped);
        assert_eq!(connection.send(open("again")), SendStatus::Dropped);
        assert_eq!(connection.send(ServerSentEvents::new().data("x")), SendStatus::Dropped);
        assert_eq!(connection.send(Chunk::new("b")), SendStatus::Sent);
        connection.send(Chunk::new(""));
    });
    let (_peer, bytes) = exchange(&simulation, worker, GET);
    assert_eq!(chunked(&bytes).1, ["a", "b"]);
}

#[test]
fn a_handle_of_an_earlier_request_sends_nothing_into_a_later_answer() {
    let earlier = Cell::new(None);
    let log = Log::new();
    let write = log.writer();
    let (simulation, worker) = serve(move |connection, _| {
        if let Some(handle) = earlier.replace(Some(connection)) {
            connection.send(open("later"));
            write((handle.send(Chunk::new("stray")), handle.send(Chunk::new("")), handle.send_raw("stray")));
            connection.send(Chunk::new(""));
        } else {
            connection.send("first");
        }
    });
    let (_peer, bytes) = exchange(&simulation, worker, GET.repeat(2));
    assert_eq!(log.take(), [(SendStatus::Dropped, SendStatus::Dropped, SendStatus::Dropped)]);
    let second = text(bytes).split_once("first").expect("the first answer").1.to_owned();
    assert_eq!(chunked(second.as_bytes()).1, ["later"]);
}

#[test]
fn raw_bytes_travel_inside_the_framing_and_never_end_it() {
    let (simulation, worker) = serve(|connection, _| {
        connection.send(open(""));
        connection.send_raw("0\r\n\r\n");
        connection.send_raw("");
        connection.send(Chunk::new("HTTP/1.1 200 OK\r\n\r\n"));
        connection.send(Chunk::new(""));
    });
    let (_, parts, ended, rest) = chunked(&exchange(&simulation, worker, GET).1);
    assert_eq!((parts, ended, rest), (vec!["0\r\n\r\n".into(), "HTTP/1.1 200 OK\r\n\r\n".into()], true, String::new()));
}

#[test]
fn headers_of_the_app_cannot_contradict_the_chunks() {
    let headers =
        [("transfer-ENCODING", " Chunked "), ("Content-Length", "3"), ("Connection", "keep-alive"), ("A", "b")];
    let request = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let (simulation, worker) = serve(move |connection, _| {
        connection.send(Response::new(200, &headers, "body").with_status(418));
        connection.send(Chunk::new(""));
    });
    let (peer, bytes) = exchange(&simulation, worker, request);
    let bytes = text(bytes).replace(" Chunked ", "chunked");
    let (answer, parts, ended, _) = chunked(bytes.as_bytes());
    assert_eq!((answer.status(), answer.header("connection"), answer.header("a")), (418, Some("close"), Some("b")));
    assert_eq!((parts, ended, peer.is_closed()), (vec!["body".into()], true, true));
}

#[test]
fn an_answer_that_closes_does_so_at_its_end_and_not_before() {
    let (simulation, worker) = serve(|connection, _| {
        connection.send(Response::new(200, &[CHUNKED, ("Connection", "close")], "a"));
    });
    let (peer, mut bytes) = exchange(&simulation, worker, GET.repeat(2));
    simulation.advance(Duration::from_secs(100));
    assert_eq!((peer.is_finished(), only(worker).status()), (false, Status::Established));
    only(worker).send(Chunk::new("b"));
    only(worker).send(Chunk::new(""));
    simulation.run();
    bytes.extend(peer.read());
    let (_, parts, ended, rest) = chunked(&bytes);
    assert_eq!((parts, ended, rest.as_str(), peer.is_finished()), (vec!["a".into(), "b".into()], true, "", true));
}

#[test]
fn close_ends_the_answer_well_and_what_breaks_it_off_does_not() {
    type Act = fn(TcpConnection<Http>);
    let table: [(&str, bool, Act); 6] = [
        ("close", true, |connection| connection.close()),
        ("close_with", true, |connection| connection.close_with(Chunk::new("b"))),
        ("close_with the end", true, |connection| connection.close_with(Chunk::new(""))),
        ("end", true, |connection| connection.end()),
        ("destroy", false, |connection| connection.destroy()),
        ("failure", false, |_| {}),
    ];
    Worker::set_panic_policy(PanicPolicy::CloseConnection);
    for (name, well, act) in table {
        let (simulation, worker) = serve(move |connection, _| -> workerman::Result<()> {
            connection.send(open("a"));
            act(connection);
            if name == "failure" { Err("boom".into()) } else { Ok(()) }
        });
        let (peer, bytes) = exchange(&simulation, worker, GET.repeat(2));
        let (_, parts, ended, rest) = chunked(&bytes);
        assert_eq!(
            (parts.first().map(String::as_str), ended, rest.as_str(), peer.is_finished()),
            (Some("a"), well, "", true),
            "{name}"
        );
        assert_eq!(parts.len(), if name == "close_with" { 2 } else { 1 }, "{name}");
    }
}

#[test]
fn the_end_of_the_loop_does_not_make_an_answer_look_complete() {
    let (simulation, worker) = streams();
    let (peer, bytes) = exchange(&simulation, worker, GET);
    simulation.stop();
    let bytes = [bytes, peer.read()].concat();
    assert_eq!((chunked(&bytes).2, peer.is_finished()), (false, true));
}

#[test]
fn on_an_event_stream_a_chunk_is_a_piece_and_the_empty_one_its_end() {
    for version in ["1.1", "1.0"] {
        let (simulation, worker) = serve(|connection, request| match request.path() {
            "/events" => {
                connection.send(Response::new(200, &[EVENTS, CHUNKED], "\r\n"));
                connection.send(ServerSentEvents::new().data("a"));
                connection.send(Chunk::new("data: b\n\n"));
                connection.send(Chunk::new(""))
            }
            _ => connection.send("next"),
        });
        let request = format!("GET /events HTTP/{version}\r\nHost: a\r\n\r\n{}", get("/next"));
        let (peer, bytes) = exchange(&simulation, worker, request);
        if version == "1.0" {
            assert!(text(bytes).ends_with("\r\n\r\ndata: a\n\ndata: b\n\n"));
            assert!(peer.is_finished(), "only the end of the connection can end it");
        } else {
            let (_, parts, ended, rest) = chunked(&bytes);
            assert_eq!((parts.concat().as_str(), ended), ("data: a\n\ndata: b\n\n", true));
            assert_eq!((common::bodies(rest.as_bytes()), peer.is_finished()), (vec!["next".into()], false));
        }
    }
}

#[test]
fn a_peer_that_sends_fin_gets_the_rest_as_long_as_there_is_some() {
    let (simulation, worker) = streams();
    let (peer, mut bytes) = exchange(&simulation, worker, GET);
    peer.finish();
    simulation.run();
    for _ in 0..5 {
        simulation.advance(Duration::from_secs(29));
        assert_eq!(only(worker).send(Chunk::new("part ")), SendStatus::Sent);
        simulation.run();
    }
    only(worker).send(Chunk::new(""));
    simulation.run();
    bytes.extend(peer.read());
    let (_, parts, ended, _) = chunked(&bytes);
    assert_eq!((parts.concat(), ended, peer.is_closed()), ("part ".repeat(5), true, true));

    let (peer, _) = exchange(&simulation, worker, GET);
    peer.finish();
    simulation.advance(Duration::from_secs(29));
    assert!(!peer.is_closed());
    simulation.advance(Duration::from_secs(2));
    assert!(peer.is_closed(), "nothing more was made");
}

#[test]
fn the_app_may_take_its_time_and_the_peer_may_not() {
    let (simulation, worker) = streams();
    worker.set_deadlines(Deadlines::default().head(1).body(1).keep_alive(1).write(30));
    let (peer, _) = exchange(&simulation, worker, GET);
    simulation.advance(Duration::from_secs(3600));
    peer.set_window(10);
    only(worker).send(Chunk::new("x".repeat(1000)));
    for _ in 0..3 {
        simulation.advance(Duration::from_secs(29));
        assert_eq!(peer.read_at_most(5).len(), 5);
        simulation.run();
    }
    simulation.advance(Duration::from_secs(29));
    assert!(!peer.is_finished());
    simulation.advance(Duration::from_secs(2));
    assert!(peer.is_finished());
}

#[test]
fn no_part_is_dropped_for_lack_of_room_and_the_app_is_told_to_wait() {
    let log = Log::new();
    let (simulation, worker) = streams();
    let (full, drain) = (log.writer(), log.writer());
    worker.on_buffer_full(move |_| full("full"));
    worker.on_buffer_drain(move |_| drain("drain"));
    let (peer, mut bytes) = exchange(&simulation, worker, GET);
    let connection = only(worker);
    connection.set_max_send_buffer_size(1000);
    peer.set_window(10);
    for _ in 0..20 {
        assert_eq!(connection.send(Chunk::new("x".repeat(100))), SendStatus::Queued);
    }
    assert_eq!(connection.send(Chunk::new("")), SendStatus::Queued);
    simulation.run();
    assert_eq!(log.take(), ["full"]);
    bytes.extend(read_all(&simulation, &peer));
    assert_eq!((chunked(&bytes).1.concat().len(), chunked(&bytes).2), (2000, true));
    assert_eq!(log.take(), ["drain"]);
}

#[test]
fn an_answer_in_chunks_may_begin_late_and_end_with_its_timer() {
    let (simulation, worker) = serve(|connection, _| {
        Timer::delay(1, move || {
            connection.send(open("0"));
            let mut number = 0;
            Timer::add(1, move |timer_id| {
                number += 1;
                let part = if number < 4 { number.to_string() } else { String::new() };
                if part.is_empty() {
                    Timer::del(timer_id);
                }
                connection.send(Chunk::new(part));
            });
        });
    });
    let (peer, mut bytes) = exchange(&simulation, worker, GET);
    simulation.advance(Duration::from_secs(6));
    bytes.extend(peer.read());
    assert_eq!((chunked(&bytes).1.concat().as_str(), chunked(&bytes).2), ("0123", true));
}

/// What an app does while its answer is open.
#[derive(Clone, Debug)]
enum Action {
    Part(Vec<u8>, bool),
    Raw(Vec<u8>),
    Read(usize),
    Turn,
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
    let bytes = || prop_oneof![proptest::collection::vec(any::<u8>(), 1..40), Just(b"0\r\n\r\n".to_vec())];
    let action = prop_oneof![
        (bytes(), any::<bool>()).prop_map(|(bytes, owned)| Action::Part(bytes, owned)),
        (15_000..40_000_usize, any::<bool>()).prop_map(|(length, owned)| Action::Part(vec![b'z'; length], owned)),
        bytes().prop_map(Action::Raw),
        (0..3000_usize).prop_map(Action::Read),
        Just(Action::Turn),
    ];
    proptest::collection::vec(action, 0..30)
}

proptest! {
    #[test]
    fn the_body_is_the_parts_joined_however_slowly_it_is_read(
        actions in actions(),
        http10 in any::<bool>(),
        window in 100..50_000_usize,
    ) {
        let (simulation, worker) = streams();
        let (peer, _) = exchange(&simulation, worker, if http10 { GET_10 } else { GET });
        peer.set_window(window);
        let connection = only(worker);
        let (mut expected, mut bytes) = (Vec::new(), Vec::new());
        for action in actions {
            match action {
                Action::Part(part, owned) => {
                    expected.extend_from_slice(&part);
                    let sent = if owned { connection.send(Chunk::new(part)) } else { connection.send(Chunk::new(&part)) };
                    prop_assert!(sent.is_accepted());
                }
                Action::Raw(part) => {
                    prop_assert!(connection.send_raw(&part).is_accepted());
                    expected.extend(part);
                }
                Action::Read(most) => bytes.extend(peer.read_at_most(most)),
                Action::Turn => simulation.turn(),
            }
        }
        prop_assert!(connection.send(Chunk::new("")).is_accepted());
        simulation.run();
        bytes.extend(read_all(&simulation, &peer));
        prop_assert_eq!(peer.is_closed(), http10);
        if http10 {
            prop_assert!(bytes == expected);
        } else {
            let (chunks, ended) = common::chunks(&bytes);
            prop_assert!(ended && chunks.concat() == expected);
        }
    }
}
