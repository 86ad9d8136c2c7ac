//! Promise: each request takes exactly one answer. Requests of a connection are delivered one at a time and answered in
//! order, however late; what is sent through a handle reaches its own request or nothing; and what cannot be a request
//! is refused with a complete answer, behind those that are owed.

mod common;

use std::cell::{Cell, OnceCell};
use std::rc::Rc;
use std::time::Duration;

use common::{Answer, GET, Log, answers, bodies, exchange, get, serve, text};
use proptest::prelude::*;
use workerman::testing::Peer;
use workerman::{Http, Request, Response, SendStatus, Status, TcpConnection, Timer};

const SECOND: Duration = Duration::from_secs(1);

fn requests(paths: &[&str]) -> String {
    paths.iter().map(|path| get(path)).collect()
}

fn statuses(bytes: &[u8]) -> Vec<u16> {
    answers(bytes).iter().map(Answer::status).collect()
}

/// Answers with the path: `/2` after two seconds, `/0` at once.
fn answer_after(connection: TcpConnection<Http>, request: &Request) {
    let path = request.path().to_owned();
    match path.trim_start_matches('/').parse().unwrap_or(0) {
        0_u64 => {
            connection.send(path);
        }
        seconds => {
            Timer::delay(seconds, move || connection.send(path.clone()));
        }
    }
}

#[test]
fn requests_of_one_segment_are_answered_in_order() {
    let (simulation, worker) = serve(|connection, request| {
        connection.send(format!("{} {} {}", request.method(), request.path(), text(request.raw_body())))
    });
    let post = "POST /save HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
    let (_peer, bytes) = exchange(&simulation, worker, format!("{}{post}{}", get("/first"), get("/after")));
    assert_eq!(bodies(&bytes), ["GET /first ", "POST /save abc", "GET /after "]);
}

#[test]
fn the_answers_of_a_batch_leave_in_one_write() {
    let peer = Rc::new(OnceCell::<Peer>::new());
    let seen = Rc::clone(&peer);
    let (simulation, worker) = serve(move |connection, request| {
        let peer = seen.get().expect("a peer");
        assert_eq!((peer.read(), connection.bytes_written()), (vec![], 0), "nothing leaves before the batch is done");
        assert_eq!(connection.send(request.path().to_owned()), SendStatus::Sent);
        assert!(connection.send_buffer_queue_size() > 0);
    });
    let peer = peer.get_or_init(|| simulation.connect(worker));
    let paths: Vec<_> = (0..100).map(|number| format!("/{number}")).collect();
    peer.write(paths.iter().map(|path| get(path)).collect::<String>());
    simulation.turn();
    assert_eq!(bodies(&peer.read()), paths);
}

#[test]
fn a_batch_leaves_whole_through_a_small_window() {
    for (window, limit) in [(1, usize::MAX), (50, usize::MAX), (50, 7), (usize::MAX, 1), (100_000, 13)] {
        let (simulation, worker) = serve(|connection, request| connection.send(request.path().to_owned()));
        let peer = simulation.connect(worker);
        peer.set_window(window);
        peer.set_write_limit(limit);
        peer.write(requests(&["/a", "/b", "/c"]));
        simulation.turn();
        let mut bytes = peer.read();
        if limit == usize::MAX {
            assert_eq!(bytes.len(), window, "one write, of as much as there is room for");
        }
        loop {
            simulation.run();
            let piece = peer.read();
            if piece.is_empty() {
                break;
            }
            bytes.extend(piece);
        }
        assert_eq!(bodies(&bytes), ["/a", "/b", "/c"], "window {window}, writes of {limit}");
    }
}

#[test]
fn a_long_batch_is_not_held_back_whole() {
    let queued = Log::new();
    let write = queued.writer();
    let (simulation, worker) = serve(move |connection, _| {
        connection.send(vec![b'x'; 10_000]);
        write(connection.send_buffer_queue_size());
    });
    let (_peer, bytes) = exchange(&simulation, worker, GET.repeat(100));
    assert_eq!(answers(&bytes).len(), 100);
    assert!(queued.take().into_iter().all(|queued| queued < 80_000), "more than the cork holds is written through");
}

#[test]
fn a_late_answer_holds_the_requests_behind_it() {
    let log = Log::new();
    let write = log.writer();
    let (simulation, worker) = serve(move |connection, request| {
        write(request.path().to_owned());
        answer_after(connection, &request);
    });
    let (peer, bytes) = exchange(&simulation, worker, requests(&["/0", "/2", "/1", "/00"]));
    assert_eq!((bodies(&bytes), log.take()), (vec!["/0".to_owned()], vec!["/0".to_owned(), "/2".to_owned()]));
    simulation.advance(SECOND);
    assert_eq!((peer.read(), log.take()), (vec![], vec![]));
    simulation.advance(SECOND);
    assert_eq!((bodies(&peer.read()), log.take()), (vec!["/2".to_owned()], vec!["/1".to_owned()]));
    simulation.advance(SECOND);
    assert_eq!((bodies(&peer.read()), log.take()), (vec!["/1".into(), "/00".into()], vec!["/00".to_owned()]));
}

#[test]
fn requests_that_come_while_one_waits_are_kept() {
    let (simulation, worker) = serve(|connection, request| answer_after(connection, &request));
    let (peer, _) = exchange(&simulation, worker, requests(&["/3"]));
    let more = requests(&["/0", "/1"]);
    for piece in more.as_bytes().chunks(10) {
        peer.write(piece);
        simulation.advance(Duration::from_millis(10));
    }
    assert!(peer.read().is_empty());
    simulation.advance(10 * SECOND);
    assert_eq!(bodies(&peer.read()), ["/3", "/0", "/1"]);
}

proptest! {
    #[test]
    fn answers_come_in_order_whatever_is_late_and_however_requests_are_cut(
        delays in proptest::collection::vec(0..4_u8, 1..10),
        segment in 1..200_usize,
        window in prop_oneof![Just(usize::MAX), 1..500_usize],
    ) {
        let (simulation, worker) = serve(|connection, request| answer_after(connection, &request));
        let paths: Vec<_> = delays.iter().map(|delay| format!("/{delay}")).collect();
        let peer = simulation.connect(worker);
        peer.set_segment(segment);
        peer.set_window(window);
        peer.write(paths.iter().map(|path| get(path)).collect::<String>());
        let mut bytes = Vec::new();
        for _ in 0..40 {
            simulation.advance(SECOND);
            while let piece = peer.read() && !piece.is_empty() {
                bytes.extend(piece);
                simulation.run();
            }
        }
        prop_assert_eq!(bodies(&bytes), paths);
    }
}

#[test]
fn a_late_answer_reaches_its_own_request_or_nothing() {
    let log = Log::new();
    let write = log.writer();
    let (simulation, worker) = serve(move |connection, request| {
        if request.path() == "/first" {
            connection.send("first");
            let write = write.clone();
            // The second request is open then.
            Timer::delay(1, move || {
                write(connection.send("stray text"));
                write(connection.send(Response::new(200, &[], "stray response")));
                write(connection.send(Response::new(200, &[("Content-Type", "text/event-stream")], "stray stream")));
            });
        } else {
            Timer::delay(2, move || connection.send("second"));
        }
    });
    let (peer, bytes) = exchange(&simulation, worker, requests(&["/first", "/second"]));
    assert_eq!(bodies(&bytes), ["first"]);
    simulation.advance(SECOND);
    assert_eq!((peer.read(), log.take()), (vec![], vec![SendStatus::Dropped; 3]));
    simulation.advance(SECOND);
    assert_eq!(bodies(&peer.read()), ["second"]);
}

#[test]
fn late_raw_bytes_reach_their_own_request_or_nothing() {
    let log = Log::new();
    let write = log.writer();
    let (simulation, worker) = serve(move |connection, request| {
        if request.path() == "/first" {
            connection.send("first");
            let write = write.clone();
            Timer::delay(1, move || {
                write(connection.send_raw("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstray"));
            });
        } else {
            Timer::delay(2, move || connection.send("second"));
        }
    });
    let (peer, bytes) = exchange(&simulation, worker, requests(&["/first", "/second"]));
    assert_eq!(bodies(&bytes), ["first"]);
    simulation.advance(2 * SECOND);
    assert_eq!(bodies(&peer.read()), ["second"], "the answer of the second request is not the first one's raw bytes");
    assert_eq!(log.take(), [SendStatus::Dropped]);
}

#[test]
fn a_second_answer_is_dropped() {
    let log = Log::new();
    let write = log.writer();
    let (simulation, worker) = serve(move |connection, request| {
        write(connection.send(request.path().to_owned()));
        write(connection.send("again"));
        write(connection.send(Response::default()));
    });
    let (_peer, bytes) = exchange(&simulation, worker, requests(&["/a", "/b"]));
    assert_eq!(bodies(&bytes), ["/a", "/b"]);
    let each = [SendStatus::Sent, SendStatus::Dropped, SendStatus::Dropped];
    assert_eq!(log.take(), [each, each].concat());
}

#[test]
fn what_is_sent_to_an_idle_connection_is_dropped() {
    let (simulation, worker) = serve(|connection, request| connection.send(request.path().to_owned()));
    let connected = Log::new();
    let write = connected.writer();
    worker.on_connect(move |connection| write(connection.send("welcome")));
    let peer = simulation.connect(worker);
    assert_eq!(connected.take(), [SendStatus::Dropped]);
    let stray = || {
        for connection in worker.connections() {
            assert_eq!(connection.send("news"), SendStatus::Dropped);
            assert_eq!(connection.send(Response::default()), SendStatus::Dropped);
            assert_eq!(connection.send(workerman::ServerSentEvents::new().data("news")), SendStatus::Dropped);
        }
    };
    for path in ["/one", "/two"] {
        stray();
        peer.write(get(path));
        simulation.run();
        assert_eq!(bodies(&peer.read()), [path]);
    }
    stray();
    // Part of a request is no request yet.
    peer.write("GET /three HTTP/1.1\r\n");
    simulation.run();
    stray();
    peer.write("Host: a\r\n\r\n");
    simulation.run();
    assert_eq!(bodies(&peer.read()), ["/three"]);
}

#[test]
fn handles_from_elsewhere_reach_the_open_request() {
    let (simulation, worker) = serve(|_, _| ());
    let (peer, bytes) = exchange(&simulation, worker, GET.repeat(2));
    assert!(bytes.is_empty());
    let connection = worker.connections().next().expect("a connection");
    for answer in ["first", "second"] {
        assert_eq!(
            worker.connection(connection.id()).map(|connection| connection.send(answer)),
            Some(SendStatus::Sent)
        );
        simulation.run();
        assert_eq!(bodies(&peer.read()), [answer]);
    }
    assert_eq!(connection.send("third"), SendStatus::Dropped);
}

#[test]
fn raw_bytes_count_as_the_answer_once_the_callback_returns() {
    let raw = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nraw";
    let log = Log::new();
    let write = log.writer();
    let (simulation, worker) = serve(move |connection, request| {
        write(request.path().to_owned());
        if request.path() == "/raw" {
            for piece in raw.as_bytes().chunks(5) {
                assert_eq!(connection.send_raw(piece), SendStatus::Sent);
                assert_eq!(connection.send("no"), SendStatus::Dropped, "the app has begun an answer of its own");
            }
        } else {
            connection.send("usual");
        }
    });
    let (peer, bytes) = exchange(&simulation, worker, requests(&["/raw", "/usual", "/raw"]));
    assert_eq!((bodies(&bytes), log.take().len()), (vec!["raw".into(), "usual".into(), "raw".into()], 3));
    assert!(!peer.is_finished(), "closing is the app's");
}

#[test]
fn late_raw_bytes_let_the_next_request_in() {
    for length in [3, 100_000, 3_000_000] {
        let (simulation, worker) = serve(move |connection, request| {
            if request.path() == "/raw" {
                Timer::delay(1, move || {
                    connection.send_raw(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n"));
                    connection.send_raw(vec![b'r'; length]);
                });
            } else {
                connection.send("usual");
            }
        });
        let (peer, _) = exchange(&simulation, worker, requests(&["/raw", "/usual"]));
        simulation.advance(2 * SECOND);
        let lengths: Vec<_> = answers(&peer.read()).iter().map(|answer| answer.body.len()).collect();
        assert_eq!(lengths, [length, 5]);
    }
}

#[test]
fn late_raw_bytes_to_a_slow_client_let_the_next_request_in() {
    let (simulation, worker) = serve(|connection, request| {
        if request.path() == "/raw" {
            Timer::delay(1, move || {
                connection.send_raw("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
                connection.send_raw([b'r'; 500]);
                connection.send_raw([b'r'; 500]);
            });
        } else {
            connection.send("usual");
        }
    });
    let peer = simulation.connect(worker);
    peer.set_window(10);
    peer.write(requests(&["/usual", "/raw", "/usual"]));
    simulation.advance(2 * SECOND);
    let mut bytes = Vec::new();
    while let piece = peer.read()
        && !piece.is_empty()
    {
        bytes.extend(piece);
        simulation.run();
    }
    assert_eq!(answers(&bytes).len(), 3);
}

#[test]
fn a_raw_answer_that_outgrows_the_send_buffer_gets_no_hole() {
    let (simulation, worker) = serve(|connection, request| {
        if request.path() == "/raw" {
            connection.send_raw("HTTP/1.1 200 OK\r\nContent-Length: 3000\r\n\r\n");
            for _ in 0..3 {
                connection.send_raw([b'r'; 1000]);
            }
        } else {
            connection.send("usual");
        }
    });
    worker.on_connect(|connection| connection.set_max_send_buffer_size(1000));
    let peer = simulation.connect(worker);
    peer.set_window(0);
    peer.write(requests(&["/raw", "/usual"]));
    simulation.run();
    peer.set_window(usize::MAX);
    simulation.run();
    let bytes = peer.read();
    // Cut off by the end of the connection is what a client notices; the next answer in place of a piece is not.
    if !peer.is_closed() {
        let lengths: Vec<_> = answers(&bytes).iter().map(|answer| answer.body.len()).collect();
        assert_eq!(lengths, [3000, 5]);
    }
}

#[test]
fn raw_bytes_from_outside_of_callbacks_count_at_once() {
    let (simulation, worker) = serve(|_, _| ());
    let (peer, _) = exchange(&simulation, worker, GET.repeat(2));
    for _ in 0..2 {
        let connection = worker.connections().next().expect("a connection");
        connection.send_raw("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nraw");
        simulation.run();
        assert_eq!(bodies(&peer.read()), ["raw"]);
    }
}

#[test]
fn no_request_is_decoded_while_the_client_reads_nothing_and_the_queue_is_full() {
    let delivered = Log::new();
    let write = delivered.writer();
    let (simulation, worker) = serve(move |connection, _| {
        write(connection.send_buffer_queue_size());
        connection.send(vec![b'x'; 1000])
    });
    worker.on_connect(|connection| connection.set_max_send_buffer_size(3000));
    let peer = simulation.connect(worker);
    peer.set_window(0);
    peer.write(GET.repeat(20));
    simulation.advance(10 * SECOND);
    let queued = delivered.take();
    assert!(queued.iter().all(|queued| *queued < 3000), "{queued:?}");
    assert!((3..=4).contains(&queued.len()), "{queued:?}");
    // Each time it reads, more is decoded; nothing was dropped for lack of room.
    peer.set_window(700);
    let mut bytes = Vec::new();
    loop {
        simulation.run();
        assert!(delivered.take().iter().all(|queued| *queued < 3000));
        let piece = peer.read();
        if piece.is_empty() {
            break;
        }
        bytes.extend(piece);
    }
    let answers = answers(&bytes);
    assert_eq!(answers.len(), 20);
    assert!(answers.iter().all(|answer| answer.body == [b'x'; 1000]));
}

#[test]
fn an_answer_may_close_or_destroy_with_requests_behind_it() {
    for destroy in [false, true] {
        let delivered = Rc::new(Cell::new(0));
        let count = Rc::clone(&delivered);
        let (simulation, worker) = serve(move |connection, _| {
            count.set(count.get() + 1);
            connection.send("last");
            if destroy {
                connection.destroy();
            } else {
                connection.close();
            }
            assert_eq!(connection.send("no"), SendStatus::Closed);
        });
        let (peer, bytes) = exchange(&simulation, worker, GET.repeat(3));
        assert_eq!((bodies(&bytes), delivered.get()), (vec!["last".to_owned()], 1));
        assert!(peer.is_closed());
    }
}

/// Sends something that is no request and checks how it is refused.
fn assert_refused(input: &[u8], status: u16) {
    for (segment, polite) in [(usize::MAX, false), (usize::MAX, true), (1009, false), (7, true)] {
        let closed = Log::new();
        let write = closed.writer();
        let (simulation, worker) = serve(|_, request| assert!(request.uri().is_empty(), "delivered: {request:?}"));
        worker.on_close(move |connection| write(connection.status()));
        let peer = simulation.connect(worker);
        peer.set_segment(segment);
        peer.write(input);
        for _ in 0..20 {
            simulation.run();
        }
        let bytes = peer.read();
        let [answer] = answers(&bytes).try_into().expect("one answer");
        assert_eq!(answer.status(), status);
        assert_eq!(answer.header("connection"), Some("close"));
        assert_eq!((answer.header("content-length"), answer.body.len()), (Some("0"), 0));
        assert!(answer.header("date").is_some());
        assert!(peer.is_finished(), "nothing more will come");
        // What it still sends is not read as a request.
        peer.write(GET);
        simulation.run();
        if polite {
            peer.finish();
            simulation.run();
            assert!(peer.is_closed(), "gone with the client's FIN");
        } else {
            simulation.advance(SECOND);
            assert!(peer.is_closed(), "gone after a second at the latest");
        }
        assert_eq!(closed.take(), [Status::Closed]);
        assert_eq!((peer.read(), worker.connections().count()), (vec![], 0));
    }
}

#[test]
fn what_is_malformed_is_refused_with_a_complete_answer() {
    assert_refused(b"GET / HTTP/1.1\r\n\r\n", 400);
    assert_refused(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400);
    assert_refused(b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 400);
    assert_refused(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400);
    assert_refused(b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505);
    assert_refused(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501);
}

#[test]
fn a_head_that_is_too_large_is_refused() {
    assert_refused(format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(20_000)).as_bytes(), 414);
    assert_refused(&[b'a'; 16_385], 431);
    assert_refused(format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(100)).as_bytes(), 431);
}

#[test]
fn a_body_that_is_too_large_is_refused_before_it_comes() {
    let head = |length: usize| format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n");
    assert_refused(head(10 * 1024 * 1024).as_bytes(), 413);
    assert_refused(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999999\r\n\r\n", 413);
    assert_refused(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\na00000\r\n", 413);
    // The limit is the connection's.
    let (simulation, worker) = serve(|connection, request| connection.send(request.raw_body().len().to_string()));
    worker.on_connect(|connection| connection.set_max_package_size(1000));
    let fits = head(1000 - head(900).len());
    let body = vec![b'x'; 1000 - fits.len()];
    let (_peer, bytes) = exchange(&simulation, worker, [fits.as_bytes(), &body].concat());
    assert_eq!(bodies(&bytes), [body.len().to_string()]);
    let (_peer, bytes) = exchange(&simulation, worker, head(body.len() + 1));
    assert_eq!(statuses(&bytes), [413]);
}

#[test]
fn a_refusal_stands_behind_the_answers_that_are_owed() {
    let (simulation, worker) = serve(|connection, request| answer_after(connection, &request));
    let (peer, bytes) = exchange(&simulation, worker, format!("{}junk\r\n\r\n", requests(&["/0", "/0"])));
    assert_eq!(statuses(&bytes), [200, 200, 400]);
    assert!(peer.is_finished());
    let (peer, bytes) = exchange(&simulation, worker, format!("{}junk\r\n\r\n{GET}", requests(&["/0", "/2"])));
    assert_eq!(statuses(&bytes), [200]);
    simulation.advance(2 * SECOND);
    assert_eq!(statuses(&peer.read()), [200, 400]);
    simulation.advance(SECOND);
    assert!(peer.is_closed());
}

#[test]
fn a_refusal_reaches_a_client_that_reads_slowly() {
    let (simulation, worker) = serve(|_, _| ());
    let peer = simulation.connect(worker);
    peer.set_window(10);
    peer.write("junk\r\n\r\n");
    let mut bytes = Vec::new();
    for _ in 0..100 {
        simulation.advance(Duration::from_millis(100));
        bytes.extend(peer.read());
    }
    assert_eq!(statuses(&bytes), [400]);
    assert!(peer.is_closed());
}
