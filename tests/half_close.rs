//! The promise: a peer that sends no more gets what it is owed, for 30 s at most, and then the connection closes; with
//! nothing owed it closes at once. A reset ends the connection in every state.

mod support;

use std::time::Duration;

use support::{Log, answers, get, never};
use workerman::testing::{Peer, Simulation};
use workerman::{Deadlines, Http, Response, SendStatus, ServerSentEvents, Status, Tcp, TcpConnection, Timer, Worker};

const STREAM: &[(&str, &str)] = &[("Content-Type", "text/event-stream")];

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A server for these tests: the path says what it does.
///
/// `/now` answers, `/late` after a second, `/never` does not, `/sse` opens a stream, `/large` answers 10,000 bytes,
/// `/pause` answers and pauses.
fn server(log: &Log) -> Worker<Http> {
    let worker = Worker::<Http>::new("");
    worker.on_message({
        let log = log.clone();
        move |connection, request| {
            log.add(request.path());
            match request.path() {
                "/now" => connection.send("now"),
                "/large" => connection.send("x".repeat(10_000)),
                "/sse" => connection.send(Response::new(200, STREAM, "")),
                "/pause" => {
                    connection.pause_recv();
                    connection.send("paused")
                }
                "/late" | "/late-sse" => {
                    let late_stream = request.path() == "/late-sse";
                    Timer::delay(1, move || match late_stream {
                        true => connection.send(Response::new(200, STREAM, "")),
                        false => connection.send("late"),
                    });
                    SendStatus::Queued
                }
                _ => SendStatus::Queued,
            }
        }
    });
    worker.on_close({
        let log = log.clone();
        move |connection| {
            assert_eq!(connection.status(), Status::Closed);
            log.add("close");
        }
    });
    worker
}

fn one(sim: &Simulation) -> (TcpConnection<Http>, Peer, Log) {
    let log = Log::default();
    let worker = server(&log);
    worker.set_deadlines(Deadlines::none());
    let peer = sim.connect(worker);
    sim.run();
    (worker.connections().next().expect("a connection"), peer, log)
}

fn bodies(wire: &str) -> Vec<String> {
    answers(wire).into_iter().map(|(_, body)| body).collect()
}

#[test]
fn idle() {
    let sim = Simulation::new();
    let (connection, peer, log) = one(&sim);
    peer.finish();
    sim.turn();
    assert_eq!((log.take(), connection.status()), (vec!["close".to_owned()], Status::Closed));
    assert_eq!((peer.read_text(), peer.is_closed()), (String::new(), true));
    assert_eq!(sim.next_wake_up(), None);
}

#[test]
fn between_two_requests() {
    let sim = Simulation::new();
    let (_, peer, log) = one(&sim);
    peer.write(get("/now"));
    sim.run();
    peer.finish();
    sim.turn();
    assert_eq!((log.take(), peer.is_closed()), (vec!["/now".to_owned(), "close".to_owned()], true));
}

#[test]
fn in_the_middle_of_a_head_or_a_body() {
    let request = "POST /now HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n0123456789";
    let chunked = "POST /now HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n0\r\n\r\n";
    for wire in [request, chunked] {
        for cut in 1..wire.len() {
            for together in [true, false] {
                let sim = Simulation::new();
                let (_, peer, log) = one(&sim);
                peer.write(&wire[..cut]);
                if !together {
                    sim.turn();
                }
                peer.finish();
                sim.turn();
                sim.turn();
                assert_eq!(log.take(), ["close"], "cut at {cut}");
                assert_eq!((peer.read_text(), peer.is_closed()), (String::new(), true), "cut at {cut}");
            }
        }
    }
}

#[test]
fn with_an_outstanding_answer_that_comes_late() {
    for together in [true, false] {
        let sim = Simulation::new();
        let (connection, peer, log) = one(&sim);
        peer.write(get("/late"));
        if !together {
            sim.run();
        }
        peer.finish();
        sim.run();
        assert_eq!(connection.status(), Status::Established);
        sim.advance(seconds(1));
        assert_eq!(bodies(&peer.read_text()), ["late"]);
        assert_eq!((log.take(), peer.is_closed()), (vec!["/late".to_owned(), "close".to_owned()], true));
    }
}

fn without_an_answer(together: bool) {
    let sim = Simulation::new();
    let (connection, peer, log) = one(&sim);
    peer.write(get("/never"));
    if !together {
        sim.run();
    }
    peer.finish();
    sim.run();
    log.take();
    sim.advance(Duration::from_millis(29_999));
    assert_eq!((connection.status(), log.len()), (Status::Established, 0));
    sim.advance(Duration::from_millis(1));
    assert_eq!((log.take(), peer.is_closed()), (vec!["close".to_owned()], true));
}

#[test]
fn with_an_answer_that_never_comes_after_30_seconds() {
    without_an_answer(false);
}

#[test]
fn with_an_answer_that_never_comes_after_30_seconds_when_the_fin_came_with_the_request() {
    without_an_answer(true);
}

#[test]
fn data_and_fin_in_one_event() {
    let sim = Simulation::new();
    let (_, peer, log) = one(&sim);
    peer.write(get("/now"));
    peer.finish();
    sim.turn();
    assert_eq!((log.take(), peer.is_closed()), (vec!["/now".to_owned(), "close".to_owned()], true));
    assert_eq!(bodies(&peer.read_text()), ["now"]);
}

#[test]
fn a_pipeline_and_fin_in_one_event() {
    for segment in [usize::MAX, 1, 7, 40] {
        let sim = Simulation::new();
        let (_, peer, log) = one(&sim);
        peer.set_segment(segment);
        peer.write(get("/now") + &get("/late") + &get("/now") + &get("/late") + &get("/now"));
        peer.finish();
        sim.advance(seconds(3));
        assert_eq!(bodies(&peer.read_text()), ["now", "late", "now", "late", "now"]);
        assert_eq!((log.take().last().map(String::as_str), peer.is_closed()), (Some("close"), true));
    }
}

#[test]
fn with_requests_behind_the_outstanding_answer() {
    let sim = Simulation::new();
    let (_, peer, log) = one(&sim);
    peer.write(get("/late") + &get("/now"));
    sim.run();
    peer.write(get("/now") + "GET /half HTTP/1.1\r\n");
    sim.run();
    peer.finish();
    sim.run();
    assert_eq!((log.take(), peer.read_text()), (vec!["/late".to_owned()], String::new()));
    sim.advance(seconds(1));
    assert_eq!(bodies(&peer.read_text()), ["late", "now", "now"]);
    assert_eq!((log.take(), peer.is_closed()), (vec!["/now".to_owned(), "/now".to_owned(), "close".to_owned()], true));
}

#[test]
fn with_a_request_behind_whose_answer_never_comes() {
    let sim = Simulation::new();
    let (_, peer, log) = one(&sim);
    peer.write(get("/late") + &get("/never"));
    peer.finish();
    sim.advance(seconds(62));
    assert_eq!(bodies(&peer.read_text()), ["late"]);
    assert_eq!((log.take().last().map(String::as_str), peer.is_closed()), (Some("close"), true));
}

#[test]
fn while_paused_it_is_remembered_until_resume() {
    let sim = Simulation::new();
    let (connection, peer, log) = one(&sim);
    connection.pause_recv();
    peer.write(get("/now"));
    peer.finish();
    sim.advance(seconds(100));
    assert_eq!((log.len(), connection.status()), (0, Status::Established));
    assert_eq!(sim.next_wake_up(), None);
    connection.resume_recv();
    sim.run();
    assert_eq!(log.take(), ["/now", "close"]);
    assert_eq!((bodies(&peer.read_text()), peer.is_closed()), (vec!["now".to_owned()], true));
}

#[test]
fn while_paused_by_the_callback_that_answered() {
    for together in [true, false] {
        let sim = Simulation::new();
        let (connection, peer, log) = one(&sim);
        peer.write(get("/pause"));
        if !together {
            sim.run();
        }
        peer.finish();
        sim.run();
        assert_eq!((log.take(), connection.status()), (vec!["/pause".to_owned()], Status::Established));
        assert_eq!(bodies(&peer.read_text()), ["paused"]);
        connection.resume_recv();
        sim.run();
        assert_eq!((log.take(), peer.is_closed()), (vec!["close".to_owned()], true));
    }
}

#[test]
fn on_an_open_stream_it_closes_in_the_same_turn() {
    for wire in ["GET /sse HTTP/1.0\r\n\r\n", "GET /sse HTTP/1.1\r\nHost: h\r\n\r\n"] {
        for paused in [false, true] {
            let sim = Simulation::new();
            let (connection, peer, log) = one(&sim);
            peer.write(wire);
            sim.run();
            connection.send(ServerSentEvents::new().data("first"));
            if paused {
                connection.pause_recv();
            }
            log.take();
            peer.write("whatever");
            sim.run();
            peer.finish();
            sim.turn();
            assert_eq!((log.take(), peer.is_closed()), (vec!["close".to_owned()], true));
            assert_eq!(connection.send(ServerSentEvents::new().data("late")), SendStatus::Closed);
            assert!(peer.read_text().contains("data: first\n\n"));
        }
    }
}

#[test]
fn on_an_open_stream_with_bytes_that_wait() {
    let sim = Simulation::new();
    let (connection, peer, log) = one(&sim);
    peer.write(get("/sse"));
    sim.run();
    peer.set_window(1);
    connection.send(ServerSentEvents::new().data("waits"));
    peer.finish();
    sim.turn();
    assert_eq!((log.take(), peer.is_closed()), (vec!["/sse".to_owned(), "close".to_owned()], true));
    assert_eq!(sim.next_wake_up(), None);
}

#[test]
fn on_a_stream_that_was_opened_by_the_event_that_brought_the_fin() {
    let sim = Simulation::new();
    let (_, peer, log) = one(&sim);
    peer.write(get("/sse"));
    peer.finish();
    sim.run();
    assert_eq!((log.take(), peer.is_closed()), (vec!["/sse".to_owned(), "close".to_owned()], true));
}

#[test]
fn on_a_stream_that_is_opened_after_the_fin() {
    let sim = Simulation::new();
    let (_, peer, log) = one(&sim);
    peer.write(get("/late-sse"));
    sim.run();
    peer.finish();
    sim.advance(seconds(2));
    assert_eq!((log.take(), peer.is_closed()), (vec!["/late-sse".to_owned(), "close".to_owned()], true));
}

#[test]
fn with_a_blocked_queue_the_rest_is_delivered() {
    for limit in [100, 1 << 20] {
        for together in [true, false] {
            let sim = Simulation::new();
            let (connection, peer, log) = one(&sim);
            connection.set_max_send_buffer_size(limit);
            peer.set_window(1000);
            peer.write(get("/large"));
            if !together {
                sim.run();
            }
            peer.finish();
            sim.run();
            assert!(!peer.is_closed());
            let mut wire = String::new();
            for _ in 0..30 {
                wire += &peer.read_text();
                sim.run();
            }
            assert_eq!(bodies(&wire), ["x".repeat(10_000)], "limit {limit}");
            assert_eq!((log.take().last().map(String::as_str), peer.is_closed()), (Some("close"), true));
        }
    }
}

#[test]
fn with_a_blocked_queue_that_nobody_reads_after_30_seconds() {
    let sim = Simulation::new();
    let (connection, peer, log) = one(&sim);
    peer.set_window(1000);
    peer.write(get("/large"));
    sim.run();
    peer.finish();
    sim.run();
    assert_eq!(connection.status(), Status::Closing);
    sim.advance(seconds(30));
    assert_eq!((log.take().last().map(String::as_str), peer.is_closed()), (Some("close"), true));
}

#[test]
fn a_late_answer_that_does_not_fit_at_once() {
    let sim = Simulation::new();
    let (_, peer, log) = one(&sim);
    peer.set_window(20);
    peer.write(get("/late"));
    peer.finish();
    sim.advance(seconds(1));
    let mut wire = String::new();
    for _ in 0..30 {
        wire += &peer.read_text();
        sim.run();
    }
    assert_eq!((bodies(&wire), peer.is_closed(), log.count("close")), (vec!["late".to_owned()], true, 1));
}

#[test]
fn while_closing_the_queue_is_delivered() {
    let sim = Simulation::new();
    let (connection, peer, log) = one(&sim);
    peer.write(get("/never"));
    sim.run();
    peer.set_window(10);
    connection.close_with("bye");
    assert_eq!(connection.status(), Status::Closing);
    peer.finish();
    sim.run();
    assert!(!peer.is_closed());
    let mut wire = String::new();
    for _ in 0..30 {
        wire += &peer.read_text();
        sim.run();
    }
    assert_eq!((bodies(&wire), peer.is_closed(), log.count("close")), (vec!["bye".to_owned()], true, 1));
}

#[test]
fn while_ending_it_ends_the_wait() {
    let sim = Simulation::new();
    let (connection, peer, log) = one(&sim);
    peer.write("nonsense\r\n\r\n and much more of it");
    sim.run();
    assert_eq!((connection.status(), peer.is_finished(), peer.is_closed()), (Status::Ending, true, false));
    assert_eq!(answers(&peer.read_text()).first().map(|(status, _)| *status), Some(400));
    peer.write("which is read and thrown away");
    sim.run();
    assert_eq!((connection.status(), connection.send("x")), (Status::Ending, SendStatus::Closed));
    peer.finish();
    sim.turn();
    assert_eq!((log.take(), peer.is_closed()), (vec!["close".to_owned()], true));
}

#[test]
fn while_ending_without_a_fin_the_wait_is_a_second() {
    let sim = Simulation::new();
    let (connection, peer, log) = one(&sim);
    peer.write("nonsense\r\n\r\n");
    sim.advance(Duration::from_millis(999));
    assert_eq!(connection.status(), Status::Ending);
    sim.advance(Duration::from_millis(1));
    assert_eq!((log.take(), peer.is_closed()), (vec!["close".to_owned()], true));
}

#[test]
fn while_ending_the_queue_is_delivered() {
    let sim = Simulation::new();
    let (connection, peer, _) = one(&sim);
    peer.set_window(100);
    peer.write(get("/large") + "nonsense\r\n\r\n");
    sim.run();
    assert_eq!(connection.status(), Status::Ending);
    peer.finish();
    let mut wire = String::new();
    for _ in 0..200 {
        sim.run();
        wire += &peer.read_text();
    }
    let statuses: Vec<u16> = answers(&wire).into_iter().map(|(status, _)| status).collect();
    assert_eq!((statuses, peer.is_closed()), (vec![200, 400], true));
}

#[test]
fn a_refused_request_and_fin_in_one_event() {
    let sim = Simulation::new();
    let (_, peer, log) = one(&sim);
    peer.write("nonsense\r\n\r\n");
    peer.finish();
    sim.run();
    assert_eq!(answers(&peer.read_text()).first().map(|(status, _)| *status), Some(400));
    assert_eq!((log.take(), peer.is_closed()), (vec!["close".to_owned()], true));
}

#[test]
fn an_answer_that_closes_and_fin_in_one_event() {
    for wire in ["GET /now HTTP/1.0\r\n\r\n", "GET /now HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"] {
        for together in [true, false] {
            let sim = Simulation::new();
            let (_, peer, log) = one(&sim);
            peer.write(wire);
            if !together {
                sim.run();
            }
            peer.finish();
            sim.run();
            assert_eq!(bodies(&peer.read_text()), ["now"]);
            assert_eq!((log.take(), peer.is_closed()), (vec!["/now".to_owned(), "close".to_owned()], true));
        }
    }
}

#[test]
fn fin_in_on_connects_own_turn() {
    let sim = Simulation::new();
    let log = Log::default();
    let worker = server(&log);
    worker.on_connect(|connection| connection.pause_recv());
    let peer = sim.connect(worker);
    peer.finish();
    sim.run();
    assert_eq!(log.len(), 0);
    worker.connections().for_each(TcpConnection::resume_recv);
    sim.run();
    assert_eq!((log.take(), peer.is_closed()), (vec!["close".to_owned()], true));
}

/// Each state a connection can be in, and what must not come any more once it was reset.
mod reset {
    use super::{Log, Peer, Simulation, Status, Tcp, TcpConnection, Worker, get, one, seconds};
    use workerman::{Http, SendStatus, ServerSentEvents};

    fn in_state(prepare: impl Fn(&Simulation, TcpConnection<Http>, &Peer)) {
        let sim = Simulation::new();
        let (connection, peer, log) = one(&sim);
        prepare(&sim, connection, &peer);
        assert_eq!(log.count("close"), 0);
        peer.reset();
        sim.run();
        assert_eq!((log.count("close"), connection.status(), peer.is_closed()), (1, Status::Closed, true));
        assert_eq!(connection.send("late"), SendStatus::Closed);
        sim.advance(seconds(100));
        assert_eq!((log.count("close"), sim.next_wake_up()), (1, None));
    }

    fn after(wire: &'static str) -> impl Fn(&Simulation, TcpConnection<Http>, &Peer) {
        move |sim, _, peer| {
            peer.write(wire);
            sim.run();
        }
    }

    #[test]
    fn idle_and_after_an_answer() {
        in_state(|_, _, _| {});
        in_state(after("GET /now HTTP/1.1\r\nHost: h\r\n\r\n"));
    }

    #[test]
    fn in_a_head_and_in_a_body() {
        in_state(after("GET / HT"));
        in_state(after("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n123"));
        in_state(after("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12"));
    }

    #[test]
    fn with_an_outstanding_answer() {
        in_state(after("GET /never HTTP/1.1\r\nHost: h\r\n\r\n"));
        in_state(after("GET /late HTTP/1.1\r\nHost: h\r\n\r\n"));
        in_state(after("GET /never HTTP/1.1\r\nHost: h\r\n\r\nGET /now HTTP/1.1\r\nHost: h\r\n\r\n"));
    }

    #[test]
    fn on_an_open_stream() {
        in_state(after("GET /sse HTTP/1.1\r\nHost: h\r\n\r\n"));
        in_state(|sim, connection, peer| {
            peer.write(get("/sse"));
            sim.run();
            peer.set_window(0);
            connection.send(ServerSentEvents::new().data("waits"));
        });
    }

    #[test]
    fn while_paused() {
        in_state(|sim, connection, peer| {
            connection.pause_recv();
            peer.write(get("/now"));
            sim.run();
        });
    }

    #[test]
    fn with_a_blocked_queue() {
        for limit in [100, 1 << 20] {
            in_state(|sim, connection, peer| {
                connection.set_max_send_buffer_size(limit);
                peer.set_window(10);
                peer.write(get("/large"));
                sim.run();
            });
        }
    }

    #[test]
    fn while_closing() {
        in_state(|sim, connection, peer| {
            peer.write(get("/never"));
            sim.run();
            peer.set_window(10);
            connection.close_with("bye");
            sim.run();
        });
    }

    #[test]
    fn while_ending() {
        in_state(after("nonsense\r\n\r\n"));
        in_state(|sim, _, peer| {
            peer.set_window(10);
            peer.write("nonsense\r\n\r\n");
            sim.run();
        });
    }

    #[test]
    fn after_a_fin_with_an_outstanding_answer() {
        in_state(|sim, _, peer| {
            peer.write(get("/late"));
            sim.run();
            peer.finish();
            sim.run();
        });
    }

    #[test]
    fn data_before_it_is_lost_or_delivered_but_on_close_comes_once_and_last() {
        let sim = Simulation::new();
        let log = Log::default();
        let worker = Worker::<Tcp>::new("");
        worker.on_message({
            let log = log.clone();
            move |connection, _| {
                log.add("message");
                connection.send("to nobody")
            }
        });
        worker.on_close({
            let log = log.clone();
            move |_| log.add("close")
        });
        let peer = sim.connect(worker);
        sim.run();
        peer.write("x");
        peer.reset();
        sim.run();
        let events = log.take();
        assert_eq!(events.last().map(String::as_str), Some("close"));
        assert_eq!(events.iter().filter(|event| *event == "close").count(), 1);
    }
}

/// Without a protocol nothing is ever owed but bytes that wait.
mod raw {
    use super::{Log, Peer, SendStatus, Simulation, Status, Tcp, TcpConnection, Timer, Worker, never, seconds};

    fn raw(sim: &Simulation) -> (TcpConnection<Tcp>, Peer, Log) {
        let log = Log::default();
        let worker = Worker::<Tcp>::new("");
        worker.on_message({
            let log = log.clone();
            move |_, bytes| log.add(String::from_utf8_lossy(&bytes))
        });
        worker.on_close({
            let log = log.clone();
            move |_| log.add("close")
        });
        let peer = sim.connect(worker);
        sim.run();
        (worker.connections().next().expect("a connection"), peer, log)
    }

    #[test]
    fn idle_it_closes_at_once() {
        let sim = Simulation::new();
        let (_, peer, log) = raw(&sim);
        peer.finish();
        sim.turn();
        assert_eq!((log.take(), peer.is_closed()), (vec!["close".to_owned()], true));
    }

    #[test]
    fn data_and_fin_in_one_event() {
        for segment in [usize::MAX, 1] {
            let sim = Simulation::new();
            let (_, peer, log) = raw(&sim);
            peer.set_segment(segment);
            peer.write("abc");
            peer.finish();
            sim.run();
            let events = log.take();
            assert_eq!((events.concat(), peer.is_closed()), ("abcclose".to_owned(), true));
        }
    }

    #[test]
    fn an_answer_at_once_is_delivered() {
        let sim = Simulation::new();
        let (connection, peer, log) = raw(&sim);
        connection.on_message(|connection, _| connection.send("reply"));
        peer.write("x");
        peer.finish();
        sim.run();
        assert_eq!(
            (peer.read_text(), log.take(), peer.is_closed()),
            ("reply".to_owned(), vec!["close".to_owned()], true)
        );
    }

    #[test]
    fn a_late_answer_comes_too_late() {
        // The capture `peer_half_close`: raw connections do not know what is an answer.
        let sim = Simulation::new();
        let (connection, peer, log) = raw(&sim);
        peer.write("x");
        sim.run();
        Timer::delay(1, {
            let log = log.clone();
            move || log.add(format!("{:?}", connection.send("late")))
        });
        peer.finish();
        sim.advance(seconds(2));
        assert_eq!(log.take(), ["x", "close", "Closed"]);
    }

    #[test]
    fn what_waits_is_delivered() {
        for limit in [5, 1000] {
            let sim = Simulation::new();
            let (connection, peer, log) = raw(&sim);
            connection.set_max_send_buffer_size(limit);
            peer.set_window(4);
            assert_eq!(connection.send("more than fits"), SendStatus::Queued);
            peer.finish();
            sim.run();
            assert!(!peer.is_closed());
            let mut text = String::new();
            for _ in 0..10 {
                text += &peer.read_text();
                sim.run();
            }
            assert_eq!(
                (text.as_str(), log.take(), peer.is_closed()),
                ("more than fits", vec!["close".to_owned()], true)
            );
        }
    }

    #[test]
    fn while_paused_it_is_remembered_until_resume() {
        let sim = Simulation::new();
        let (connection, peer, log) = raw(&sim);
        connection.pause_recv();
        peer.write("data");
        sim.run();
        peer.finish();
        sim.advance(seconds(100));
        assert_eq!((connection.status(), log.len(), sim.next_wake_up()), (Status::Established, 0, None));
        assert_eq!(connection.send("still goes"), SendStatus::Sent);
        connection.resume_recv();
        sim.run();
        assert_eq!(
            (log.take(), peer.read_text()),
            (vec!["data".to_owned(), "close".to_owned()], "still goes".to_owned())
        );
    }

    #[test]
    fn paused_by_the_data_before_it() {
        let sim = Simulation::new();
        let (connection, peer, log) = raw(&sim);
        connection.on_message(|connection, _| connection.pause_recv());
        peer.write("x");
        peer.finish();
        sim.run();
        assert_eq!((connection.status(), log.len()), (Status::Established, 0));
        connection.resume_recv();
        sim.run();
        assert_eq!((log.take(), peer.is_closed()), (vec!["close".to_owned()], true));
    }

    #[test]
    fn while_closing_the_queue_is_delivered() {
        let sim = Simulation::new();
        let (connection, peer, log) = raw(&sim);
        connection.on_message(|_, _| never());
        peer.set_window(4);
        connection.close_with("more than fits");
        peer.write("ignored");
        peer.finish();
        sim.run();
        let mut text = String::new();
        for _ in 0..10 {
            text += &peer.read_text();
            sim.run();
        }
        assert_eq!((text.as_str(), log.take()), ("more than fits", vec!["close".to_owned()]));
    }

    #[test]
    fn reset_in_every_state() {
        let prepare: [fn(&Simulation, TcpConnection<Tcp>, &Peer); 6] = [
            |_, _, _| {},
            |_, connection, _| connection.pause_recv(),
            |_, connection, peer| {
                peer.set_window(1);
                connection.send("waits");
            },
            |_, connection, peer| {
                peer.set_window(1);
                connection.set_max_send_buffer_size(2);
                connection.send("waits");
            },
            |_, connection, peer| {
                peer.set_window(1);
                connection.close_with("waits");
            },
            |sim, connection, peer| {
                peer.set_window(1);
                connection.send("waits");
                peer.finish();
                sim.run();
            },
        ];
        for prepare in prepare {
            let sim = Simulation::new();
            let (connection, peer, log) = raw(&sim);
            prepare(&sim, connection, &peer);
            sim.run();
            peer.reset();
            sim.run();
            assert_eq!((log.count("close"), connection.status()), (1, Status::Closed));
            sim.advance(seconds(100));
            assert_eq!((log.count("close"), sim.next_wake_up()), (1, None));
        }
    }
}
