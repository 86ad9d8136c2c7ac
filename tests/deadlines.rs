//! The promise: a peer that is too slow loses its connection: never early, at most a second late, and told so when it had
//! begun a request. Streams and requests that wait for the app have all the time there is.

use std::time::Duration;

use workerman::testing::{Peer, Simulation};
use workerman::{Deadlines, Http, Response, ServerSentEvents, Tcp, TcpConnection, Timer, Worker};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// A worker with round deadlines of different lengths, and one connection to it.
fn serve(mut answer: impl FnMut(TcpConnection<Http>) + 'static) -> (Simulation, Worker<Http>, Peer) {
    let sim = Simulation::new();
    let worker = Worker::<Http>::new("");
    worker.set_deadlines(Deadlines::default().head(10).body(20).keep_alive(40).write(30));
    worker.on_message(move |connection, _| answer(connection));
    let peer = sim.connect(worker);
    (sim, worker, peer)
}

fn ok(connection: TcpConnection<Http>) {
    connection.send("ok");
}

/// Asserts that the connection ends within a second after so many from now, and not before.
fn ends_after(sim: &Simulation, peer: &Peer, seconds: u64) {
    sim.advance(Duration::from_secs(seconds) - Duration::from_millis(1));
    assert!(!peer.is_finished(), "early");
    sim.advance(Duration::from_millis(1002));
    assert!(peer.is_finished(), "late");
}

#[test]
fn the_defaults_are_those_of_the_documentation() {
    let sim = Simulation::new();
    let worker = Worker::<Http>::new("");
    worker.on_message(|connection, _| connection.send("ok"));
    let silent = sim.connect(worker);
    ends_after(&sim, &silent, 30);
    let idle = sim.connect(worker);
    idle.write(GET);
    sim.run();
    ends_after(&sim, &idle, 75);
}

#[test]
fn a_connection_on_which_nothing_comes_is_closed_without_a_word() {
    let (sim, _, peer) = serve(ok);
    ends_after(&sim, &peer, 10);
    assert_eq!(peer.read_text(), "");
    assert!(peer.is_closed());
}

#[test]
fn a_head_has_its_time_from_its_first_byte_however_it_drips() {
    let (sim, _, peer) = serve(ok);
    peer.write(GET);
    sim.advance(Duration::from_secs(5));
    peer.read();
    peer.write("GET / HTTP/1.1\r\nX: ");
    sim.run();
    for _ in 0..9 {
        sim.advance(Duration::from_secs(1));
        peer.write("x");
        sim.run();
    }
    ends_after(&sim, &peer, 1);
    let text = peer.read_text();
    assert!(text.starts_with("HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n"), "{text}");
}

#[test]
fn the_next_request_may_come_until_the_keep_alive_time_is_over() {
    let (sim, _, peer) = serve(ok);
    for _ in 0..5 {
        peer.write(GET);
        sim.advance(Duration::from_secs(39));
        assert!(peer.read_text().ends_with("ok"));
    }
    peer.write(GET);
    sim.run();
    ends_after(&sim, &peer, 40);
    assert!(peer.read_text().ends_with("ok"), "no 408: nothing had begun");
}

#[test]
fn a_body_may_pause_so_long_between_two_pieces() {
    let (sim, _, peer) = serve(ok);
    peer.write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n");
    for _ in 0..5 {
        peer.write(vec![b'x'; 100_000]);
        sim.advance(Duration::from_secs(19));
        assert!(!peer.is_finished());
    }
    peer.write(vec![b'x'; 100_000]);
    sim.run();
    ends_after(&sim, &peer, 20);
    assert!(peer.read_text().starts_with("HTTP/1.1 408 "));
}

#[test]
fn a_body_that_drips_below_the_rate_ends_and_one_above_it_does_not() {
    for (bytes, survives) in [(100, false), (1100, true)] {
        let (sim, _, peer) = serve(ok);
        peer.write("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
        sim.run();
        let mut alive = 0;
        for _ in 0..60 {
            for _ in 0..10 {
                let piece = "x".repeat(bytes / 10);
                peer.write(format!("{:x}\r\n{piece}\r\n", piece.len()));
                sim.advance(Duration::from_millis(100));
            }
            alive += u32::from(!peer.is_finished());
        }
        assert_eq!(alive == 60, survives, "{bytes} bytes a second for {alive} s");
    }
}

#[test]
fn an_answer_that_nobody_reads_ends_the_connection_and_one_that_is_read_slowly_does_not() {
    let (sim, _, peer) = serve(|connection| {
        connection.send("x".repeat(10_000));
    });
    peer.set_window(100);
    peer.write(GET);
    for _ in 0..10 {
        sim.advance(Duration::from_secs(29));
        assert_eq!(peer.read_at_most(10).len(), 10);
        sim.run();
    }
    ends_after(&sim, &peer, 30);
}

#[test]
fn a_closing_answer_that_nobody_reads_does_not_keep_the_connection() {
    let (sim, worker, peer) = serve(|connection| connection.close_with("x".repeat(10_000)));
    peer.set_window(100);
    peer.write(GET);
    sim.run();
    ends_after(&sim, &peer, 30);
    assert_eq!(worker.connections().count(), 0);
}

#[test]
fn an_open_stream_has_no_deadline() {
    let (sim, worker, peer) = serve(|connection| {
        connection.send(Response::new(200, &[("Content-Type", "text/event-stream")], ""));
    });
    peer.write(GET);
    sim.advance(Duration::from_secs(3600));
    peer.set_window(10);
    for connection in worker.connections() {
        connection.send(ServerSentEvents::new().data("x".repeat(1000)));
    }
    sim.advance(Duration::from_secs(3600));
    assert!(!peer.is_finished());
}

#[test]
fn a_request_that_waits_for_the_app_has_no_deadline() {
    let (sim, _, peer) = serve(|connection| {
        Timer::delay(1000, move || connection.send("late"));
    });
    peer.write(GET);
    sim.advance(Duration::from_secs(1001));
    assert!(peer.read_text().ends_with("late"));
    ends_after(&sim, &peer, 39);
}

#[test]
fn a_paused_connection_has_no_deadline_until_it_is_resumed() {
    let (sim, worker, peer) = serve(ok);
    let connection = worker.connections().next().unwrap();
    connection.pause_recv();
    sim.advance(Duration::from_secs(3600));
    assert!(!peer.is_finished());
    connection.resume_recv();
    ends_after(&sim, &peer, 10);
}

#[test]
fn none_means_none_and_zero_too() {
    for deadlines in [Deadlines::none(), Deadlines::default().head(0).keep_alive(0)] {
        let (sim, worker, _) = serve(ok);
        worker.set_deadlines(deadlines);
        let (silent, idle) = (sim.connect(worker), sim.connect(worker));
        idle.write(GET);
        sim.advance(Duration::from_secs(100_000));
        assert!(!silent.is_finished() && !idle.is_finished());
    }
}

#[test]
fn raw_tcp_has_no_deadlines() {
    let sim = Simulation::new();
    let worker = Worker::<Tcp>::new("");
    let peer = sim.connect(worker);
    peer.set_window(1);
    worker.connections().for_each(|connection| assert!(connection.send("waits").is_accepted()));
    sim.advance(Duration::from_secs(100_000));
    assert!(!peer.is_finished());
    assert_eq!(sim.next_wake_up(), None);
}

#[test]
fn the_loop_wakes_for_deadlines_once_a_second_at_most_and_not_at_all_without_connections() {
    let (sim, worker, first) = serve(ok);
    let peers: Vec<Peer> = (0..100)
        .map(|_| {
            sim.advance(Duration::from_millis(10));
            sim.connect(worker)
        })
        .collect();
    let mut wake_ups = 0;
    while let Some(next) = sim.next_wake_up() {
        sim.advance(next);
        wake_ups += 1;
        assert!(wake_ups < 10, "a wake-up for each connection");
    }
    assert!(first.is_closed() && peers.iter().all(Peer::is_closed));
}

#[test]
fn a_stream_that_failed_has_no_time_for_a_reader_that_never_reads() {
    let (sim, worker, peer) = serve(|connection| {
        connection.send(Response::new(200, &[("Content-Type", "text/event-stream")], ""));
        connection.add_timer(1, move || connection.send(ServerSentEvents::new().data("x".repeat(5000))));
        connection.add_timer(5, || panic!("a stream's timer"));
    });
    Worker::set_panic_policy(workerman::PanicPolicy::CloseConnection);
    peer.set_window(100);
    peer.write(GET);
    sim.run();
    sim.advance(Duration::from_secs(60));
    assert!(peer.is_finished() && worker.connections().next().is_none(), "it is kept");
}

/// Reads a kilobyte a second, and nothing more; answers how much there was.
fn read_steadily(sim: &Simulation, peer: &Peer) -> usize {
    let mut length = 0;
    for _ in 0..200 {
        sim.advance(Duration::from_secs(1));
        length += peer.read().len();
        sim.run();
    }
    length
}

#[test]
fn a_steady_reader_gets_all_of_a_last_answer_however_long_it_takes() {
    let body = || Response::new(200, &[], vec![b'x'; 100_000]);
    for half_closes in [true, false] {
        let (sim, _, peer) = serve(move |connection| {
            if half_closes {
                connection.send(body());
            } else {
                connection.end_with(body());
            }
        });
        peer.set_window(1000);
        peer.write(GET);
        if half_closes {
            peer.finish();
        }
        assert!(read_steadily(&sim, &peer) > 100_000, "half-closed: {half_closes}");
        assert!(peer.is_finished());
    }
}
