//! Promise: the clients by which the process tests judge a server under load miss nothing that goes wrong, and find
//! nothing wrong with a server that does as it should.

#![allow(clippy::indexing_slicing)] // a failing index fails the test

mod outside;

#[path = "outside/load.rs"]
mod load;
#[path = "outside/streams.rs"]
mod streams;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use load::{Load, Report};
use outside::{Server, eventually, raise_descriptors};
use socket2::SockRef;
use streams::{Streams, StreamsReport};
use workerman::{Chunk, Response, ServerSentEvents, Timer, Worker};

const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const LAST_ANSWER: &str = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok";
const STREAM: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
/// Eleven bytes of an event, in a chunk.
const EVENT: &str = "13\r\nid: 1\ndata: hello\n\n\r\n";

/// A server that does this with each of its connections.
fn server(handle: impl Fn(TcpStream) + Copy + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("a listener has an address");
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || handle(stream));
        }
    });
    address
}

/// An address at which nobody listens: other tests are at home on 127.0.0.1.
fn nobody() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 77], outside::free_address().port()))
}

/// Reads requests and answers each with the next of these.
fn answer(stream: &mut TcpStream, answers: &[&str]) {
    for answer in answers {
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            match stream.read(&mut byte) {
                Ok(1) => request.push(byte[0]),
                _ => return,
            }
        }
        let _ = stream.write_all(answer.as_bytes());
    }
}

fn reset(stream: &TcpStream) {
    // It is dropped behind that.
    SockRef::from(stream).set_linger(Some(Duration::ZERO)).expect("linger can be set");
}

/// What a server comes to that has three clients.
fn load(address: SocketAddr) -> Report {
    let load = Load::start(address, 3, 0);
    eventually("something has become of them", || load.failures() > 0 || load.requests() >= 10);
    load.stop()
}

#[track_caller]
fn fails(failures: &[String], text: &str) {
    assert!(!failures.is_empty(), "nothing has failed");
    assert!(failures.iter().all(|failure| failure.contains(text)), "{text:?}: {failures:?}");
}

#[test]
fn a_server_that_answers_fails_nobody() {
    let server = Server::start(|worker| worker.on_message(|connection, _| connection.send("ok")));
    let load = Load::start(server.address, 8, 200);
    eventually("requests are answered", || load.requests() > 300);
    thread::sleep(Duration::from_millis(100));
    let report = load.stop();
    assert_eq!(report.failures, [""; 0]);
    assert!(report.closes >= 8, "those that came anew: {report:?}");
    assert_eq!(report.bodies.into_iter().collect::<Vec<_>>(), [("ok".to_owned(), report.requests)]);
    assert!(report.longest_pause > Duration::ZERO);
}

#[test]
fn new_connections_come_at_their_pace() {
    let server = Server::start(|worker| worker.on_message(|connection, _| connection.send("ok")));
    let start = outside::now();
    let load = Load::start(server.address, 0, 100);
    eventually("requests are answered", || load.requests() >= 20);
    assert!(start.elapsed() > Duration::from_millis(150), "{:?}", start.elapsed());
    assert_eq!(load.stop().failures, [""; 0]);
}

#[test]
fn an_end_that_was_announced_is_no_failure() {
    let report = load(server(|mut stream| answer(&mut stream, &[ANSWER, ANSWER, LAST_ANSWER])));
    assert_eq!(report.failures, [""; 0]);
    assert!(report.closes > 0 && report.requests >= 3 * report.closes, "{report:?}");
}

#[test]
fn an_end_that_was_not_announced_is_a_failure() {
    let report = load(server(|mut stream| {
        answer(&mut stream, &[ANSWER, ANSWER]);
        // It is kept open until the next request has come, so that the end is an end and no reset.
        answer(&mut stream, &[""]);
    }));
    assert!(report.requests > 0);
    fails(&report.failures, "the end after 0 bytes of an answer");
}

#[test]
fn a_reset_is_a_failure() {
    let report = load(server(|mut stream| {
        answer(&mut stream, &[ANSWER, ""]);
        reset(&stream);
    }));
    assert!(report.requests > 0);
    fails(&report.failures, "Connection reset by peer");
}

#[test]
fn a_reset_in_the_place_of_an_announced_end_is_a_failure() {
    let report = load(server(|mut stream| {
        answer(&mut stream, &[LAST_ANSWER]);
        thread::sleep(Duration::from_millis(5)); // the answer may be read by then, or not
        reset(&stream);
    }));
    fails(&report.failures, "reset by peer");
}

#[test]
fn what_is_no_whole_answer_is_a_failure() {
    let report = load(server(|mut stream| answer(&mut stream, &["HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no"])));
    fails(&report.failures, "the end after 39 bytes of an answer");
    let report = load(server(|mut stream| answer(&mut stream, &["HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n"])));
    fails(&report.failures, "not 200");
    let report = load(server(|mut stream| answer(&mut stream, &["HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nok"])));
    fails(&report.failures, "more than an answer");
    assert_eq!(report.requests, 0);
}

#[test]
fn a_server_that_is_not_there_fails_all() {
    fails(&load(nobody()).failures, "no connection: Connection refused");
    let report = read(nobody());
    fails(&report.failures, "no connection: Connection refused");
}

#[test]
fn a_pause_is_measured() {
    let report = load(server(|mut stream| {
        answer(&mut stream, &[ANSWER]);
        thread::sleep(Duration::from_millis(100));
        answer(&mut stream, &[LAST_ANSWER]);
    }));
    assert!(report.longest_pause >= Duration::from_millis(100), "{report:?}");
    assert_eq!(report.failures, [""; 0]);
}

/// What a server comes to that has three readers.
fn read(address: SocketAddr) -> StreamsReport {
    let streams = Streams::start(address, "/", 3);
    eventually("something has become of them", || streams.failures() > 0 || streams.returns() >= 3);
    streams.stop()
}

#[test]
fn readers_of_streams_that_end_well_come_back_and_say_where_they_were() {
    raise_descriptors(2048);
    let server = Server::start(|worker| {
        worker.on_message(|connection, request| {
            let mut id: u64 = request.last_event_id().and_then(|id| id.parse().ok()).unwrap_or(0);
            connection.send(Response::new(200, &[("Content-Type", "text/event-stream")], ""));
            connection.add_timer(0.02, move |timer| {
                id += 1;
                connection.send(ServerSentEvents::new().data("hello").id(id));
                if id.is_multiple_of(3) {
                    Timer::del(timer);
                    connection.send(Chunk::new(""));
                }
            });
        });
    });
    let streams = Streams::start(server.address, "/", 200);
    eventually("all are open", || streams.open() == 200);
    eventually("all have come back", || streams.returns() > 400);
    let report = streams.stop();
    assert_eq!(report.failures, [""; 0]);
    assert_eq!(report.jumps, 0);
    assert!(report.events >= 1200, "{} events", report.events);
    assert!(report.longest_absence() > Duration::ZERO);
}

#[test]
fn the_loop_ends_streams_well() {
    let server = Server::start(|worker| {
        worker.on_message(|connection, _| {
            connection.send(Response::new(200, &[("Content-Type", "text/event-stream")], ""));
            connection.send(ServerSentEvents::new().data("hello"));
        });
    });
    let streams = Streams::start(server.address, "/", 20);
    eventually("all have an event", || streams.open() == 20 && streams.events() == 20);
    server.handle.run(Worker::stop_all_gracefully).expect("the loop is there");
    eventually("the streams have ended", || streams.open() == 0);
    let report = streams.stop();
    assert!(report.absences.len() == 20, "{report:?}");
    report.failures.iter().for_each(|failure| assert!(failure.contains("no connection: "), "{failure}"));
}

#[test]
fn a_stream_that_is_cut_is_a_failure() {
    let report = read(server(|mut stream| answer(&mut stream, &[&format!("{STREAM}{EVENT}")])));
    assert!(report.events > 0);
    fails(&report.failures, "the connection ends in a stream");
}

#[test]
fn a_stream_that_is_reset_is_a_failure() {
    let report = read(server(|mut stream| {
        answer(&mut stream, &[&format!("{STREAM}{EVENT}")]);
        reset(&stream);
    }));
    fails(&report.failures, "reset by peer");
}

#[test]
fn what_is_no_stream_is_a_failure() {
    let report = read(server(|mut stream| answer(&mut stream, &[ANSWER])));
    fails(&report.failures, "no stream but");
    let report = read(server(|mut stream| answer(&mut stream, &[""])));
    fails(&report.failures, "the connection ends in the place of a stream");
}

#[test]
fn a_stream_can_end_well_on_a_connection_that_stays() {
    let report = read(server(|mut stream| {
        answer(&mut stream, &[&format!("{STREAM}{EVENT}0\r\n\r\n")]);
        let _ = stream.read(&mut [0]); // until the reader hangs up
    }));
    assert_eq!(report.failures, [""; 0]);
    assert!(report.absences.len() >= 3, "{report:?}");
}

#[test]
fn an_id_that_does_not_follow_is_counted() {
    let report = read(server(|mut stream| answer(&mut stream, &[&format!("{STREAM}{EVENT}{EVENT}0\r\n\r\n")])));
    assert_eq!(report.failures, [""; 0]);
    assert!(report.jumps > 0);
}
