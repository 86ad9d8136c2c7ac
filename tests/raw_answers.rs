//! The promise: an answer that an app writes by hand, with `send_raw`, counts as one answer, from its first byte to its last.

mod support;

use std::time::Duration;

use support::{Log, answers, get};
use workerman::testing::Simulation;
use workerman::{Http, Response, SendStatus, Tcp, Timer, Worker};

const RAW: &str = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nraw";

/// Answers `/raw` late and by hand, everything else at once.
fn late_raw() -> Worker<Http> {
    let worker = Worker::<Http>::new("");
    worker.on_message(|connection, request| {
        if request.path() == "/raw" {
            Timer::delay(1, move || connection.send_raw(RAW));
        } else {
            connection.send("x".repeat(1000));
        }
    });
    worker
}

#[test]
fn a_late_raw_answer_lets_the_next_request_in() {
    let sim = Simulation::new();
    let peer = sim.connect(late_raw());
    peer.write(get("/raw") + &get("/next"));
    sim.advance(Duration::from_secs(2));
    assert_eq!(answers(&peer.read_text()).len(), 2);
}

#[test]
fn a_late_raw_answer_behind_bytes_that_wait_lets_the_next_request_in() {
    let sim = Simulation::new();
    let peer = sim.connect(late_raw());
    peer.set_window(100);
    peer.write(get("/first") + &get("/raw") + &get("/next"));
    sim.advance(Duration::from_secs(2));
    let mut wire = String::new();
    for _ in 0..100 {
        wire += &peer.read_text();
        sim.run();
    }
    assert_eq!(answers(&wire).len(), 3);
}

#[test]
fn a_raw_answer_sent_in_another_connections_on_close_lets_the_next_request_in() {
    let sim = Simulation::new();
    let worker = Worker::<Http>::new("");
    let other = Worker::<Tcp>::new("");
    let _other_peer = sim.connect(other);
    let victim = other.connections().next().unwrap();
    worker.on_message(move |connection, request| {
        if request.path() == "/raw" {
            victim.on_close(move |_| connection.send_raw(RAW));
            victim.destroy();
        } else {
            connection.send("next");
        }
    });
    let peer = sim.connect(worker);
    peer.write(get("/raw") + &get("/next"));
    sim.run();
    assert_eq!(answers(&peer.read_text()).len(), 2);
}

#[test]
fn raw_bytes_behind_a_complete_answer_go_nowhere() {
    let sim = Simulation::new();
    let worker = Worker::<Http>::new("");
    worker.on_message(|connection, request| {
        connection.send(request.path());
        if request.path() == "/1" {
            assert_eq!(connection.send_raw(RAW), SendStatus::Dropped);
        }
    });
    let peer = sim.connect(worker);
    peer.write(get("/1") + &get("/2"));
    sim.run();
    assert!(!peer.read_text().contains("raw"));
}

#[test]
fn a_raw_stream_goes_on_after_its_callback() {
    let sim = Simulation::new();
    let worker = Worker::<Http>::new("");
    worker.on_message(|connection, _| {
        connection.send_raw("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n");
        connection.add_timer(1, move || connection.send_raw("data: x\n\n"));
    });
    let peer = sim.connect(worker);
    peer.write(get("/"));
    sim.advance(Duration::from_millis(2500));
    assert!(peer.read_text().ends_with("\r\n\r\ndata: x\n\ndata: x\n\n"));
}

#[test]
fn an_empty_raw_send_is_no_answer() {
    let sim = Simulation::new();
    let worker = Worker::<Http>::new("");
    worker.on_message(
        |connection, request| {
            if request.path() == "/1" { connection.send_raw("") } else { connection.send("two") }
        },
    );
    let peer = sim.connect(worker);
    peer.write(get("/1") + &get("/2"));
    sim.run();
    assert_eq!(peer.read_text(), "");
}

#[test]
fn an_interim_response_does_not_use_up_the_answer() {
    let sim = Simulation::new();
    let worker = Worker::<Http>::new("");
    worker.on_message(|connection, _| {
        connection.send(Response::new(103, &[("Link", "</a.css>; rel=preload")], ""));
        connection.send("final")
    });
    let peer = sim.connect(worker);
    peer.write(get("/"));
    sim.run();
    let text = peer.read_text();
    assert!(text.starts_with("HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\nHTTP/1.1 200 OK\r\n"));
    assert!(text.ends_with("final"));
}

#[test]
fn a_full_buffer_is_told_once_however_much_raw_is_sent_after_it() {
    let sim = Simulation::new();
    let worker = Worker::<Http>::new("");
    worker.on_message(|connection, _| {
        connection.send_raw("HTTP/1.1 200 OK\r\nContent-Length: 4000000\r\n\r\n");
        for _ in 0..4 {
            connection.send_raw("x".repeat(1_000_000));
        }
    });
    let log = Log::default();
    let full = log.clone();
    worker.on_buffer_full(move |_| full.add("full"));
    let peer = sim.connect(worker);
    peer.set_window(10);
    peer.write(get("/"));
    sim.run();
    assert_eq!(log.take(), ["full"]);
}

#[test]
fn a_raw_answer_is_given_before_other_callbacks_see_the_connection() {
    // What a full connection got from its on_buffer_full had counted as a piece of the answer, which is never dropped.
    let sim = Simulation::new();
    let worker = Worker::<Http>::new("");
    let log = Log::default();
    worker.on_connect(|connection| connection.set_max_send_buffer_size(1000));
    worker.on_message(|connection, _| {
        connection.send_raw(format!("HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n{:5000}", ""))
    });
    let told = log.clone();
    worker.on_buffer_full(move |connection| told.add(format!("{:?}", connection.send_raw("more"))));
    let peer = sim.connect(worker);
    peer.set_window(2000);
    peer.write(get("/"));
    sim.run();
    assert_eq!(log.take(), ["Dropped"]);
}
