//! Promise: with the feature `compression` and a worker that wants it, an answer comes in gzip exactly when the client accepts
//! that and the answer is worth it; its head says what it is, and whoever unpacks it has what the app sent. All else leaves
//! as it always does.

#![cfg(feature = "compression")]

mod common;
mod outside;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::thread;

use allocation_counter::measure;
use common::{Answer, GET, answers, exchange, get, serve, split_head};
use flate2::read::GzDecoder;
use outside::{Server, TemporaryDirectory, connect, receive};
use proptest::prelude::*;
use workerman::testing::Simulation;
use workerman::{Chunk, Compression, Http, LoopHandle, Response, ServerSentEvents, Worker};

const JSON: (&str, &str) = ("Content-Type", "application/json");

fn long() -> String {
    "text, over and over again; ".repeat(100)
}

/// What a client gets of an answer, from a worker with or without compression.
fn wire(response: Response, request: &str, compression: Option<Compression>) -> Vec<u8> {
    let (simulation, worker) = serve(move |connection, _| connection.send(&response));
    worker.set_compression(compression);
    exchange(&simulation, worker, request).1
}

fn asking(method: &str, accepted: &str) -> String {
    format!("{method} / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: {accepted}\r\n\r\n")
}

fn ask(response: Response, accepted: &str) -> Answer {
    let [answer] =
        answers(&wire(response, &asking("GET", accepted), Some(Compression::new()))).try_into().expect("one");
    answer
}

fn unpacked(answer: &Answer) -> Vec<u8> {
    assert_eq!(answer.header("content-encoding"), Some("gzip"), "{}", answer.head);
    unpack(&answer.body)
}

fn unpack(packed: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    let mut decoder = GzDecoder::new(packed);
    decoder.read_to_end(&mut plain).expect("it is gzip");
    assert!(decoder.into_inner().is_empty(), "nothing behind it");
    plain
}

/// Not compressed, and nothing said about it.
fn assert_untouched(response: Response) {
    for method in ["GET", "HEAD"] {
        let request = asking(method, "gzip");
        let plain = wire(response.clone(), &request, None);
        assert_eq!(wire(response.clone(), &request, Some(Compression::new())), plain, "{method} {response:?}");
    }
}

#[test]
fn who_accepts_gzip_gets_it_and_who_does_not_is_told_that_it_depends() {
    for (accepted, is_packed) in
        [("gzip", true), ("gzip, deflate, br", true), ("*", true), ("", false), ("br", false), ("gzip;q=0, *", false)]
    {
        let answer = ask(Response::new(200, &[JSON, ("X-A", "b")], long()), accepted);
        assert_eq!((answer.header("vary"), answer.header("x-a")), (Some("Accept-Encoding"), Some("b")), "{accepted}");
        assert_eq!(answer.header("content-length"), Some(&*answer.body.len().to_string()), "{accepted}");
        if is_packed {
            assert_eq!(unpacked(&answer), long().as_bytes());
            assert!(answer.body.len() < 100);
        } else {
            assert_eq!((answer.header("content-encoding"), answer.body()), (None, long()), "{accepted}");
        }
    }
    let plain = wire(Response::new(200, &[JSON], long()), GET, Some(Compression::new()));
    assert_eq!(answers(&plain)[0].body(), long(), "who says nothing gets what everybody can read");
    assert_eq!(answers(&plain)[0].header("vary"), Some("Accept-Encoding"));
}

#[test]
fn text_and_bytes_are_compressed_as_responses_are() {
    let (simulation, worker) = serve(|connection, request| match request.path() {
        "/text" => connection.send(long().as_str()),
        "/string" => connection.send(long()),
        _ => connection.send(long().into_bytes()),
    });
    worker.set_compression(Compression::default());
    for path in ["/text", "/string", "/bytes"] {
        let request = get(path).replace("\r\n\r\n", "\r\nAccept-Encoding: gzip\r\n\r\n");
        let [answer] = answers(&exchange(&simulation, worker, request).1).try_into().expect("one");
        assert_eq!(unpacked(&answer), long().as_bytes(), "{path}");
        assert_eq!(answer.header("content-type"), Some("text/html;charset=utf-8"));
        let [answer] = answers(&exchange(&simulation, worker, get(path)).1).try_into().expect("one");
        assert_eq!((answer.body(), answer.header("vary")), (long(), Some("Accept-Encoding")), "{path}");
    }
}

#[test]
fn unless_a_worker_wants_it_nothing_is_compressed() {
    let response = Response::new(200, &[JSON], long());
    let [answer] = answers(&wire(response, &asking("GET", "gzip"), None)).try_into().expect("one");
    assert_eq!((answer.body(), answer.header("vary"), answer.header("content-encoding")), (long(), None, None));
}

#[test]
fn what_is_short_leaves_as_it_always_does() {
    assert_untouched(Response::new(200, &[JSON], "a".repeat(1023)));
    assert_untouched(Response::new(200, &[], ""));
    assert_eq!(unpacked(&ask(Response::new(200, &[JSON], "a".repeat(1024)), "gzip")).len(), 1024);
    let (simulation, worker) = serve(|connection, _| connection.send("short"));
    let request = asking("GET", "gzip");
    let plain = exchange(&simulation, worker, &request).1;
    worker.set_compression(Compression::new());
    assert_eq!(exchange(&simulation, worker, &request).1, plain);
}

#[test]
fn what_is_compressed_already_or_says_so_is_left_alone() {
    for kind in ["image/png", "video/mp4", "application/zip", "application/octet-stream", "font/woff2"] {
        assert_untouched(Response::new(200, &[("Content-Type", kind)], long()));
    }
    for line in [
        ("Content-Encoding", "br"),
        ("content-encoding", "identity"),
        ("Cache-Control", "public, No-Transform"),
        ("Content-Range", "bytes 0-1/2"),
        ("Content-Digest", "sha-256=:x:"),
        ("Repr-Digest", "sha-256=:x:"),
    ] {
        assert_untouched(Response::new(200, &[JSON, line], long()));
    }
    let cached = ask(Response::new(200, &[JSON, ("Cache-Control", "no-cache, private")], long()), "gzip");
    assert_eq!(unpacked(&cached), long().as_bytes());
}

#[test]
fn statuses_without_content_and_parts_are_left_alone() {
    for status in [204, 205, 206] {
        assert_untouched(Response::new(status, &[JSON, ("ETag", "\"a\"")], long()));
    }
    for status in [200, 201, 404, 416, 500, 999] {
        assert_eq!(unpacked(&ask(Response::new(status, &[JSON], long()), "gzip")), long().as_bytes(), "{status}");
    }
}

#[test]
fn a_304_names_what_the_200_would_have_named() {
    let lines = [("ETag", "\"a\""), ("Vary", "Accept")];
    let whole = ask(Response::new(200, &lines, long()), "gzip");
    let known = ask(Response::new(304, &lines, ""), "gzip");
    assert_eq!((known.header("content-encoding"), known.body.len()), (None, 0));
    for answer in [&whole, &known] {
        assert_eq!(answer.header("vary"), Some("Accept, Accept-Encoding"), "RFC 9110 §15.4.5");
        assert_eq!(answer.header("etag"), Some("W/\"a\""), "RFC 9110 §8.8.3.3");
    }
    assert_eq!(ask(Response::new(304, &lines, ""), "br").header("etag"), Some("\"a\""));
}

#[test]
fn a_strong_tag_becomes_weak_and_a_weak_one_stays() {
    for (etag, sent) in [("\"a\"", "W/\"a\""), ("W/\"a\"", "W/\"a\"")] {
        let response = Response::new(200, &[("ETag", etag)], long());
        assert_eq!(ask(response.clone(), "gzip").header("etag"), Some(sent));
        assert_eq!(ask(response, "identity").header("etag"), Some(etag));
    }
}

#[test]
fn the_answer_to_head_is_the_head_of_the_answer_to_get() {
    for accepted in ["gzip", "br"] {
        let head = |method: &str| {
            let response = Response::new(200, &[JSON, ("ETag", "\"a\"")], long());
            let bytes = wire(response, &asking(method, accepted), Some(Compression::new()));
            let (head, body) = split_head(&bytes);
            assert_eq!(body.is_empty(), method == "HEAD");
            head
        };
        assert_eq!(head("HEAD"), head("GET"), "{accepted}");
    }
}

#[test]
fn to_head_the_length_of_a_body_that_was_not_made_is_named_if_it_would_be_sent_so() {
    let response = || Response::new(200, &[JSON, ("Content-Length", "5000"), ("ETag", "\"a\"")], "");
    let head = |accepted: &str| {
        let bytes = wire(response(), &asking("HEAD", accepted), Some(Compression::new()));
        let (head, body) = split_head(&bytes);
        assert_eq!(body, b"");
        Answer { head, body: Vec::new() }
    };
    let plain = head("br");
    assert_eq!((plain.header("content-length"), plain.header("vary")), (Some("5000"), Some("Accept-Encoding")));
    let packed = head("gzip");
    assert_eq!((packed.header("content-length"), packed.header("content-encoding")), (None, Some("gzip")));
    assert_eq!((packed.header("etag"), packed.header("vary")), (Some("W/\"a\""), Some("Accept-Encoding")));
}

#[test]
fn what_does_not_become_smaller_is_sent_as_it_is() {
    let mut state = 1_u64;
    let noise = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        state.to_be_bytes()[0]
    });
    let noise: Vec<u8> = noise.take(5000).collect();
    let answer = ask(Response::new(200, &[JSON, ("ETag", "\"a\"")], noise.clone()), "gzip");
    assert_eq!((answer.header("content-encoding"), answer.header("vary")), (None, Some("Accept-Encoding")));
    assert!(answer.body == noise && answer.header("etag") == Some("\"a\""));
}

#[test]
fn streams_chunks_and_files_leave_as_they_are() {
    let directory = TemporaryDirectory::new("compression-files");
    let path = directory.0.join("a.txt");
    std::fs::write(&path, long()).expect("it can be written");
    let run = |compression: Option<Compression>| {
        let path = path.clone();
        let (simulation, worker) = serve(move |connection, request| match request.path() {
            "/events" => {
                connection.send(Response::new(200, &[("Content-Type", "text/event-stream")], long()));
                connection.send(ServerSentEvents::new().data(long()));
                connection.close();
            }
            "/chunks" => {
                connection.send(Response::new(200, &[JSON, ("Transfer-Encoding", "chunked")], long()));
                connection.send(Chunk::new(long()));
                connection.send(Chunk::new(""));
            }
            "/raw" => drop(connection.send_raw(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na")),
            "/interim" => {
                connection.send(Response::new(103, &[("Link", "</a>")], ""));
                connection.send("done");
            }
            _ => drop(connection.send(Response::file(&request, &path))),
        });
        worker.set_compression(compression);
        let ask = |path| {
            let request = get(path).replace("\r\n\r\n", "\r\nAccept-Encoding: gzip\r\n\r\n");
            String::from_utf8_lossy(&exchange(&simulation, worker, request).1).into_owned()
        };
        ["/events", "/chunks", "/raw", "/interim", "/file"].map(ask)
    };
    assert_eq!(run(Some(Compression::new())), run(None));
}

#[test]
fn level_and_threshold_are_the_workers_and_may_change() {
    let simulation = Simulation::new();
    // Words whose order has nothing that repeats.
    let body: String = (0..4000_u32).map(|at| format!("word{} ", at.wrapping_mul(2_654_435_761) >> 23)).collect();
    let worker = || {
        let (worker, body) = (Worker::<Http>::new(""), body.clone());
        worker.on_message(move |connection, request| match request.path() {
            "/short" => connection.send("a".repeat(300)),
            _ => connection.send(body.as_str()),
        });
        worker
    };
    let length = |worker, path: &str| {
        let request = get(path).replace("\r\n\r\n", "\r\nAccept-Encoding: gzip\r\n\r\n");
        let [answer] = answers(&exchange(&simulation, worker, request).1).try_into().expect("one");
        answer.header("content-encoding").map(|_| unpacked(&answer));
        answer.body.len()
    };
    let (quick, small, off) = (worker(), worker(), worker());
    quick.set_compression(Compression::new().level(1).threshold(300));
    small.set_compression(Compression::new().level(9).threshold(301));
    assert!(length(quick, "/") > length(small, "/") && length(small, "/") < body.len());
    assert!(length(quick, "/short") < 100 && length(small, "/short") == 300);
    assert_eq!(length(off, "/"), body.len());
    quick.set_compression(None);
    assert_eq!(length(quick, "/"), body.len());
}

#[test]
fn an_http_1_0_client_that_accepts_it_gets_it() {
    let request = "GET / HTTP/1.0\r\nAccept-Encoding: x-gzip\r\n\r\n";
    let bytes = wire(Response::new(200, &[JSON], long()), request, Some(Compression::new()));
    let [answer] = answers(&bytes).try_into().expect("one answer");
    assert!(answer.head.starts_with("HTTP/1.0 200 OK\r\n"));
    assert_eq!(unpacked(&answer), long().as_bytes());
}

#[test]
fn each_answer_of_a_pipeline_can_be_unpacked_by_itself() {
    let (simulation, worker) = serve(|connection, request| connection.send(request.path().repeat(300)));
    worker.set_compression(Compression::new());
    let paths: Vec<_> = (0..50).map(|number| format!("/{number}/of/a/pipeline")).collect();
    let accepting = |(at, path): (usize, &String)| {
        let line = if at % 3 == 0 { "" } else { "Accept-Encoding: gzip\r\n" };
        format!("GET {path} HTTP/1.1\r\nHost: a\r\n{line}\r\n")
    };
    let requests: String = paths.iter().enumerate().map(accepting).collect();
    let found = answers(&exchange(&simulation, worker, requests).1);
    assert_eq!(found.len(), paths.len());
    for (at, (answer, path)) in found.iter().zip(&paths).enumerate() {
        let body = if at % 3 == 0 { answer.body.clone() } else { unpacked(answer) };
        assert_eq!(body, path.repeat(300).as_bytes(), "{path}");
    }
}

proptest! {
    #[test]
    fn whatever_was_sent_is_what_is_unpacked(
        piece in proptest::collection::vec(any::<u8>(), 0..100),
        times in 0_usize..400,
        level in 0_u8..12,
        threshold in 0_usize..3000,
        accepted in "(gzip|br|\\*|identity)(;q=[01](\\.[0-9]{1,3})?)?(, ?(gzip|\\*|identity)(;q=0\\.5)?)?",
    ) {
        let body = piece.repeat(times);
        let settings = Compression::new().level(level).threshold(threshold);
        let response = Response::new(200, &[("Content-Type", "text/plain")], body.clone());
        let [get, head] = ["GET", "HEAD"].map(|method| wire(response.clone(), &asking(method, &accepted), Some(settings)));
        let [answer] = answers(&get).try_into().expect("one answer");
        prop_assert_eq!(&split_head(&head).0, &answer.head);
        let plain = if answer.header("content-encoding").is_some() { unpacked(&answer) } else { answer.body.clone() };
        prop_assert_eq!(&plain, &body);
        prop_assert!(answer.body.len() <= body.len());
        prop_assert_eq!(answer.header("vary").is_some(), body.len() >= threshold.max(1));
    }
}

/// How often the thread of a loop allocates in its whole life, with so many compressed answers in it.
fn allocations(requests: usize) -> u64 {
    let (sender, receiver) = std::sync::mpsc::channel();
    let server = thread::spawn(move || {
        let worker = Worker::<Http>::new("http://127.0.0.1:0");
        worker.set_compression(Compression::new());
        let body = long();
        worker.on_message(move |connection, _| connection.send(Response::new(200, &[JSON], &body)));
        worker.on_worker_start(move |worker| {
            let _ = sender.send((worker.local_addr(), LoopHandle::current()));
        });
        measure(|| Worker::run_all().expect("it runs")).count_total
    });
    let (address, handle) = receive("the server's address", &receiver);
    let mut client = connect(address.expect("it listens"));
    for _ in 0..requests {
        client.write_all(asking("GET", "gzip").as_bytes()).expect("it can be sent");
        read_answer(&mut client);
    }
    handle.run(Worker::stop_all).expect("it runs");
    server.join().expect("the loop ends")
}

fn read_answer(client: &mut TcpStream) {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte).expect("a head");
        bytes.extend(byte);
    }
    let head = Answer { head: common::text(bytes), body: Vec::new() };
    assert_eq!(head.header("content-encoding"), Some("gzip"));
    let length = head.header("content-length").and_then(|length| length.parse().ok()).expect("a length");
    client.read_exact(&mut vec![0; length]).expect("a body");
}

#[test]
fn more_compressed_answers_are_no_more_allocations() {
    let (few, many) = (allocations(50), allocations(1050));
    assert!(many <= few + 5, "{few} for 50 answers, {many} for 1,050");
}

#[test]
fn curl_unpacks_what_it_has_asked_for() {
    let server = Server::start(|worker| {
        worker.set_compression(Compression::new());
        worker.on_message(|connection, _| connection.send(Response::new(200, &[JSON], "\u{4e2d}, ".repeat(20_000))));
    });
    let curl = |arguments: &[&str]| {
        let mut command = Command::new("curl");
        command.args(["-sS", "--noproxy", "*", "--max-time", "20"]).args(arguments).arg(server.url("/"));
        let output = command.output().expect("curl can be run: ./tests/run installs it");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    let plain = "\u{4e2d}, ".repeat(20_000).into_bytes();
    assert!(curl(&["--compressed"]) == plain && curl(&[]) == plain);
    let packed = curl(&["-H", "Accept-Encoding: gzip"]);
    assert!(packed.len() < 2000 && unpack(&packed) == plain);
    let head = String::from_utf8(curl(&["--compressed", "-I"])).expect("a head");
    assert!(head.contains(&format!("\r\nContent-Length: {}\r\n", packed.len())), "{head}");
}
