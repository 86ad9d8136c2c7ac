//! What a worker promises, it promises over every transport: one list of promises, run over each.

#![allow(clippy::indexing_slicing, clippy::unwrap_used)] // a failing index fails the test
#![cfg(feature = "_tls")]

mod common;
mod support;
mod ways;

use std::cell::Cell;
use std::rc::Rc;

use common::{answers, bodies, get, split_head, stream, text};
use support::Log;
use ways::{End, Way};
use workerman::{
    Chunk, Frame, Http, Response, SendStatus, ServerSentEvents, Status, Tcp, Text, TlsInfo, Websocket, Worker,
};

macro_rules! over_every_way {
    ($($promise:ident),* $(,)?) => {
        over!(memory, Memory, $($promise),*);
        over!(tcp, Tcp, $($promise),*);
        over!(unix, Unix, $($promise),*);
        over!(tls_in_memory, TlsInMemory, $($promise),*);
        over!(tls, Tls, $($promise),*);
        over!(tls_over_unix, TlsOverUnix, $($promise),*);
    };
}

macro_rules! over {
    ($module:ident, $way:ident, $($promise:ident),*) => {
        mod $module {
            use super::Way;
            $(
                #[test]
                fn $promise() {
                    super::$promise(Way::$way);
                }
            )*
        }
    };
}

over_every_way!(
    requests_are_answered_in_turn,
    a_request_may_come_byte_by_byte,
    a_large_body_arrives_whole,
    a_large_answer_arrives_whole_at_a_slow_reader,
    a_file_arrives_whole,
    a_body_in_pieces_arrives_whole,
    chunks_and_events_leave_as_they_are_sent,
    lines_frames_and_bytes_are_echoed,
    a_websocket_echoes_small_and_large_messages,
    who_sends_no_more_is_still_answered,
    what_the_app_closes_ends_in_order,
    what_the_app_destroys_in_the_middle_does_not_look_complete,
    who_goes_is_noticed_once,
    what_is_counted_is_what_the_app_sends_and_receives,
    a_paused_connection_reads_nothing_until_it_goes_on,
    the_limit_of_the_send_buffer_holds,
    all_are_reached_by_a_broadcast,
    a_process_that_stops_completes_what_has_begun,
    what_one_receives_goes_to_another_that_is_not_encrypted,
    a_request_becomes_a_websocket,
    a_part_of_a_file_arrives,
);

/// Neither random nor the same everywhere: what is shuffled, lost or doubled shows.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 31 + at / 251 + at / 65_537).to_le_bytes()[0]).collect()
}

fn requests_are_answered_in_turn(way: Way) {
    let server = way.serve(|worker: Worker<Http>| {
        worker.on_message(|connection, request| {
            connection.send(format!("{} {}", request.path(), request.raw_body().len()))
        });
    });
    let mut client = server.connect();
    assert_eq!(bodies(&server.exchange(&mut client, get("/one"))), ["/one 0"]);
    assert_eq!(
        bodies(&server.exchange(&mut client, "POST /two HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")),
        ["/two 3"]
    );
    let pipelined = [get("/3"), get("/4"), get("/5")].concat();
    assert_eq!(bodies(&server.exchange(&mut client, pipelined)), ["/3 0", "/4 0", "/5 0"]);
    assert_eq!(server.worker.connections().count(), 1);
    assert_eq!(client.end(), None);
}

fn a_request_may_come_byte_by_byte(way: Way) {
    let server = way.serve(|worker: Worker<Http>| {
        worker.on_message(|connection, request| connection.send(request.raw_body().to_vec()));
    });
    let mut client = server.connect();
    let request = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbyte\r\n5\r\n by b\r\n3\r\nyte\r\n0\r\n\r\n";
    let mut come = Vec::new();
    for byte in request {
        assert!(come.is_empty(), "an answer before the end of its request");
        come = server.exchange(&mut client, [*byte]);
    }
    assert_eq!(bodies(&come), ["byte by byte"]);
}

fn a_large_body_arrives_whole(way: Way) {
    let body = pattern(3_000_000);
    let expected = body.clone();
    let server = way.serve(|worker: Worker<Http>| {
        worker.on_message(move |connection, request| {
            connection.send(if request.raw_body() == expected { "the same" } else { "another" })
        });
    });
    let mut client = server.connect();
    let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len());
    let come = server.exchange_much(&mut client, [head.as_bytes(), &body, get("/next").as_bytes()].concat(), 200);
    assert_eq!(bodies(&come), ["the same", "another"]);
}

fn a_large_answer_arrives_whole_at_a_slow_reader(way: Way) {
    let body = pattern(5_000_000);
    let log = Log::default();
    let (full, drained, sent) = (log.clone(), log.clone(), body.clone());
    let server = way.serve(|worker: Worker<Http>| {
        worker.on_buffer_full(move |_| full.add("full"));
        worker.on_buffer_drain(move |_| drained.add("drained"));
        worker.on_message(move |connection, _| connection.send(sent.clone()));
    });
    let mut client = server.connect();
    client.read_at_most(7_001);
    let come = server.exchange_much(&mut client, [get("/"), get("/")].concat(), 2 * body.len() + 200);
    let answers = answers(&come);
    assert_eq!(answers.len(), 2);
    assert!(answers.iter().all(|answer| answer.body == body), "bytes were lost, doubled or shuffled");
    assert_eq!(log.count("full") > 0, log.count("drained") > 0, "a full buffer is drained");
}

fn a_file_arrives_whole(way: Way) {
    let body = pattern(1_500_000);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file.bin");
    std::fs::write(&path, &body).unwrap();
    let server = way.serve(|worker: Worker<Http>| {
        worker.on_message(move |connection, _| connection.send(Response::new(200, &[], "").with_file(&path, 0, 0)));
    });
    let mut client = server.connect();
    client.read_at_most(20_011);
    let come = server.exchange_much(&mut client, get("/"), body.len() + 100);
    assert!(answers(&come)[0].body == body);
}

fn a_body_in_pieces_arrives_whole(way: Way) {
    let body = pattern(400_000);
    let come = Rc::new(Cell::new(Vec::new()));
    let pieces = Rc::clone(&come);
    let server = way.serve(|worker: Worker<Http>| {
        worker.on_head(move |connection, _| {
            let pieces = Rc::clone(&pieces);
            connection.on_body(move |_, piece| {
                let mut all = pieces.take();
                all.extend_from_slice(piece);
                pieces.set(all);
            });
        });
        worker.on_message(|connection, _| connection.send("done"));
    });
    let mut client = server.connect();
    let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len());
    assert_eq!(bodies(&server.exchange_much(&mut client, [head.as_bytes(), &body].concat(), 50)), ["done"]);
    assert!(come.take() == body);
}

fn chunks_and_events_leave_as_they_are_sent(way: Way) {
    let server = way.serve(|worker: Worker<Http>| {
        worker.on_message(|connection, request| {
            if request.path() == "/events" {
                connection.send(Response::new(200, &[("Content-Type", "text/event-stream")], ""));
            } else {
                connection.send(Response::new(200, &[("Transfer-Encoding", "chunked")], "first"));
                connection.send(Chunk::new("second"));
                connection.send(Chunk::new(""));
            }
        });
    });
    let mut client = server.connect();
    let come = server.exchange(&mut client, get("/chunks"));
    let (_, chunks, ended) = stream(&come);
    assert_eq!((chunks, ended), (vec!["first".to_owned(), "second".to_owned()], true));
    let opened = text(server.exchange(&mut client, get("/events")));
    assert!(opened.starts_with("HTTP/1.1 200"), "{opened}");
    for number in 0..3 {
        let connection = server.worker.connections().next().unwrap();
        assert_eq!(connection.send(ServerSentEvents::new().data(format!("{number}"))), SendStatus::Sent);
        server.run(&mut client);
        let event = text(client.take());
        assert!(event.contains(&format!("data: {number}\n\n")), "{event}");
    }
}

fn lines_frames_and_bytes_are_echoed(way: Way) {
    let server = way.serve(|worker: Worker<Text>| worker.on_message(|connection, line| connection.send(line)));
    let mut client = server.connect();
    assert_eq!(server.exchange(&mut client, "one\ntwo\nthr"), b"one\ntwo\n");
    assert_eq!(server.exchange(&mut client, "ee\n"), b"three\n");
    drop((client, server));

    let server = way.serve(|worker: Worker<Frame>| worker.on_message(|connection, frame| connection.send(frame)));
    let mut client = server.connect();
    let frame = [&70_004_u32.to_be_bytes(), &*pattern(70_000)].concat();
    assert!(server.exchange_much(&mut client, &frame, frame.len()) == frame);
    drop((client, server));

    let server = way.serve(|worker: Worker<Tcp>| worker.on_message(|connection, bytes| connection.send(bytes)));
    let mut client = server.connect();
    let bytes = pattern(1_000_000);
    assert!(server.exchange_much(&mut client, &bytes, bytes.len()) == bytes);
}

const OPENING: &str = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// A frame as clients send it.
fn masked(payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x82];
    match payload.len() {
        length @ 0..126 => frame.push(0x80 | length.to_le_bytes()[0]),
        length => {
            frame.push(0xff);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    let mask = [1, 2, 3, 4];
    frame.extend(mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

fn a_websocket_echoes_small_and_large_messages(way: Way) {
    let server =
        way.serve(|worker: Worker<Websocket>| worker.on_message(|connection, message| connection.send(message)));
    let mut client = server.connect();
    // The first message comes right behind the request.
    let come = server.exchange(&mut client, [OPENING.as_bytes(), &masked(b"hello")].concat());
    let (head, rest) = split_head(&come);
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    assert_eq!(rest, b"\x82\x05hello");
    let large = pattern(900_000);
    let come = server.exchange_much(&mut client, masked(&large), large.len() + 10);
    assert_eq!(come[..2], [0x82, 127]);
    assert!(come[10..] == large);
}

fn who_sends_no_more_is_still_answered(way: Way) {
    let late = Rc::new(Cell::new(None));
    let keep = Rc::clone(&late);
    let server = way.serve(|worker: Worker<Http>| {
        worker.on_message(move |connection, _| keep.set(Some(connection)));
    });
    let mut client = server.connect();
    client.write(get("/"));
    client.finish();
    server.run(&mut client);
    assert!(client.take().is_empty());
    let connection = late.take().unwrap();
    assert_eq!(connection.status(), Status::Established);
    connection.send("late");
    server.run(&mut client);
    assert_eq!(bodies(&client.take()), ["late"]);
    assert_eq!(client.end(), Some(End::Orderly));
    assert_eq!(connection.status(), Status::Closed);
}

fn what_the_app_closes_ends_in_order(way: Way) {
    let server = way.serve(|worker: Worker<Http>| {
        worker.on_message(|connection, _| {
            connection.send(pattern(2_000_000));
            connection.close();
        });
    });
    let mut client = server.connect();
    let come = server.exchange_much(&mut client, get("/"), usize::MAX);
    assert!(answers(&come)[0].body == pattern(2_000_000));
    assert_eq!(client.end(), Some(End::Orderly));
}

fn what_the_app_destroys_in_the_middle_does_not_look_complete(way: Way) {
    if !way.is_encrypted() {
        // Nothing tells the one from the other there.
        return;
    }
    let server = way.serve(|worker: Worker<Tcp>| {
        worker.on_message(|connection, _| {
            connection.send("half of");
            connection.destroy();
        });
    });
    let mut client = server.connect();
    assert_eq!(server.exchange(&mut client, "?"), b"half of");
    assert_eq!(client.end(), Some(End::Abrupt));
}

fn who_goes_is_noticed_once(way: Way) {
    let log = Log::default();
    let (come, gone) = (log.clone(), log.clone());
    let server = way.serve(|worker: Worker<Text>| {
        worker.on_connect(move |_| come.add("on_connect"));
        worker.on_close(move |_| gone.add("on_close"));
        worker.on_message(|connection, line| connection.send(line));
    });
    // In order, and in the middle of something.
    let mut client = server.connect();
    client.finish();
    server.run(&mut client);
    assert_eq!(log.take(), ["on_connect", "on_close"]);
    assert_eq!(client.end(), Some(End::Orderly));
    let mut client = server.connect();
    assert_eq!(server.exchange(&mut client, "a\nb"), b"a\n");
    client.finish();
    server.run(&mut client);
    assert_eq!(log.take(), ["on_connect", "on_close"]);
    assert_eq!(server.worker.connections().count(), 0);
}

fn what_is_counted_is_what_the_app_sends_and_receives(way: Way) {
    let server = way.serve(|worker: Worker<Text>| worker.on_message(|connection, _| connection.send("four")));
    let mut client = server.connect();
    server.exchange(&mut client, "123456\n");
    let connection = server.worker.connections().next().unwrap();
    assert_eq!((connection.bytes_read(), connection.bytes_written()), (7, 5));
    let encrypted: Option<TlsInfo> = connection.tls();
    assert_eq!((encrypted.is_some(), connection.is_encrypted()), (way.is_encrypted(), way.is_encrypted()));
    if let Some(info) = encrypted {
        assert_eq!(info.version, "TLSv1_3");
        assert_eq!(client.tls().protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
    }
}

fn a_paused_connection_reads_nothing_until_it_goes_on(way: Way) {
    let log = Log::default();
    let heard = log.clone();
    let server = way.serve(|worker: Worker<Text>| {
        worker.on_message(move |connection, line| {
            heard.add(&line);
            connection.pause_recv();
        });
    });
    let mut client = server.connect();
    server.exchange(&mut client, "1\n2\n3\n");
    let connection = server.worker.connections().next().unwrap();
    assert_eq!(log.take(), ["1"]);
    server.exchange(&mut client, "4\n");
    for expected in ["2", "3", "4"] {
        assert_eq!(log.take(), [""; 0]);
        connection.resume_recv();
        server.run(&mut client);
        assert_eq!(log.take(), [expected]);
    }
    // What comes with the end is heard as well.
    client.write("5\n");
    client.finish();
    server.run(&mut client);
    connection.resume_recv();
    server.run(&mut client);
    assert_eq!(log.take(), ["5"]);
    connection.resume_recv();
    server.run(&mut client);
    assert_eq!(connection.status(), Status::Closed);
}

fn the_limit_of_the_send_buffer_holds(way: Way) {
    let server = way.serve(|worker: Worker<Tcp>| {
        worker.on_connect(|connection| connection.set_max_send_buffer_size(100_000));
    });
    let mut client = server.connect();
    let connection = server.worker.connections().next().unwrap();
    let piece = pattern(50_000);
    let mut kept = Vec::new();
    let mut dropped = 0;
    // Nobody reads.
    for _ in 0..400 {
        match connection.send(piece.clone()) {
            SendStatus::Dropped => dropped += 1,
            status => {
                assert!(matches!(status, SendStatus::Sent | SendStatus::Queued));
                kept.extend_from_slice(&piece);
            }
        }
        server.simulation.run();
    }
    assert!(matches!(way, Way::Memory | Way::TlsInMemory) || dropped > 0, "an unread socket takes 20 MB");
    let come = server.exchange_much(&mut client, "", kept.len());
    assert!(come == kept, "what was not dropped arrives, once and in order");
}

fn all_are_reached_by_a_broadcast(way: Way) {
    let server = way.serve(|_: Worker<Text>| {});
    let mut clients: Vec<_> = (0..5).map(|_| server.connect()).collect();
    server.worker.broadcast("news");
    for client in &mut clients {
        server.run(client);
        assert_eq!(client.take(), b"news\n");
    }
}

fn a_process_that_stops_completes_what_has_begun(way: Way) {
    let late = Rc::new(Cell::new(None));
    let keep = Rc::clone(&late);
    let server = way.serve(|worker: Worker<Http>| {
        worker.on_message(move |connection, _| keep.set(Some(connection)));
    });
    let (mut idle, mut busy) = (server.connect(), server.connect());
    server.exchange(&mut busy, get("/"));
    Worker::stop_all_gracefully();
    server.simulation.begin_stop();
    server.simulation.advance(std::time::Duration::from_secs(1));
    server.run(&mut idle);
    assert_eq!(idle.end(), Some(End::Orderly));
    assert!(!server.simulation.has_stopped());
    late.take().unwrap().send("the last");
    server.simulation.advance(std::time::Duration::from_secs(1));
    server.run(&mut busy);
    let come = busy.take();
    assert_eq!(answers(&come)[0].header("connection"), Some("close"));
    assert_eq!(bodies(&come), ["the last"]);
    assert_eq!(busy.end(), Some(End::Orderly));
    assert!(server.simulation.has_stopped());
}

fn what_one_receives_goes_to_another_that_is_not_encrypted(way: Way) {
    let server = way.serve(|_: Worker<Tcp>| {});
    let beyond = Worker::<Tcp>::new("");
    let mut client = server.connect();
    let peer = server.simulation.connect(beyond);
    let (one, other) = (server.worker.connections().next().unwrap(), beyond.connections().next().unwrap());
    for connection in [one, other] {
        connection.set_max_send_buffer_size(50_000);
    }
    one.pipe(other);
    other.pipe(one);
    let (there, back) = (pattern(700_000), pattern(1_200_001));
    peer.set_window(30_001);
    client.read_at_most(20_003);
    client.write(&there);
    peer.write(&back);
    let (mut arrived, mut returned) = (Vec::new(), Vec::new());
    for _ in 0..500 {
        server.run(&mut client);
        arrived.extend(peer.read());
        returned.extend(client.take());
        if arrived.len() >= there.len() && returned.len() >= back.len() {
            break;
        }
    }
    assert!(arrived == there && returned == back, "{} {}", arrived.len(), returned.len());
    peer.finish();
    server.run(&mut client);
    assert_eq!(client.end(), Some(End::Orderly), "the end goes through as well");
}

fn a_request_becomes_a_websocket(way: Way) {
    let server = way.serve(|worker: Worker<Http>| {
        worker.on_message(|connection, request| {
            if let Ok(websocket) = connection.upgrade::<Websocket>(request) {
                websocket.on_message(|websocket, message| websocket.send(message));
            }
        });
    });
    let mut client = server.connect();
    let come = server.exchange(&mut client, [OPENING.as_bytes(), &masked(b"hello")].concat());
    let (head, rest) = split_head(&come);
    assert!(head.starts_with("HTTP/1.1 101") && rest == b"\x82\x05hello", "{head} {rest:?}");
}

fn a_part_of_a_file_arrives(way: Way) {
    let body = pattern(400_000);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file.bin");
    std::fs::write(&path, &body).unwrap();
    let server = way.serve(|worker: Worker<Http>| {
        worker.on_message(move |connection, request| connection.send(Response::file(&request, &path)));
    });
    let mut client = server.connect();
    client.read_at_most(10_007);
    let request = "GET / HTTP/1.1\r\nHost: a\r\nRange: bytes=70001-330000\r\n\r\n";
    let come = server.exchange_much(&mut client, request, 260_000);
    let answer = &answers(&come)[0];
    assert_eq!(answer.header("content-range"), Some("bytes 70001-330000/400000"));
    assert!(answer.body == body[70_001..=330_000]);
}
