//! The promise: memory is bounded by the peer's pace, in both directions; what was accepted arrives in order; the app is
//! told when to slow down and when to go on.

mod support;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use support::{Log, get, never};
use workerman::testing::{Peer, Simulation};
use workerman::{
    Codec, Deadlines, Http, Response, SEND_FAIL, SendStatus, ServerSentEvents, Status, Tcp, TcpConnection, Timer,
    Worker,
};

const MIB: usize = 1024 * 1024;

/// A connection with a send buffer of this size, and a log of what it is told.
fn one<P: Codec>(sim: &Simulation, limit: usize) -> (Worker<P>, TcpConnection<P>, Peer, Log) {
    let worker = Worker::<P>::new("");
    let log = Log::default();
    let note = |name: &'static str| {
        let log = log.clone();
        move |_: TcpConnection<P>| log.add(name)
    };
    worker.on_buffer_full(note("full"));
    worker.on_buffer_drain(note("drain"));
    worker.on_close(note("close"));
    worker.on_error({
        let log = log.clone();
        move |_, code, text| log.add(format!("error {code} {text}"))
    });
    let peer = sim.connect(worker);
    let connection = worker.connections().next().expect("a connection");
    connection.set_max_send_buffer_size(limit);
    (worker, connection, peer, log)
}

const DROPPED: &str = "error 2 send buffer full and drop package";

/// All that comes while the peer reads so many bytes at a time.
fn read_slowly(sim: &Simulation, peer: &Peer, step: usize) -> String {
    let mut all = Vec::new();
    loop {
        sim.run();
        let bytes = peer.read_at_most(step);
        if bytes.is_empty() {
            return String::from_utf8(all).expect("text");
        }
        all.extend(bytes);
    }
}

mod sending {
    use super::{
        Cell, DROPPED, Http, Log, MIB, Rc, SEND_FAIL, SendStatus, Simulation, Status, Tcp, Timer, Worker, get, one,
        read_slowly,
    };

    #[test]
    fn sent_queued_dropped_closed() {
        let sim = Simulation::new();
        let (_, connection, peer, log) = one::<Tcp>(&sim, 10);
        peer.set_window(4);
        assert_eq!((connection.send("ab"), connection.send_buffer_queue_size()), (SendStatus::Sent, 0));
        assert_eq!((connection.send("cdef"), connection.send_buffer_queue_size()), (SendStatus::Queued, 2));
        assert_eq!((connection.send("ghijklmn"), connection.send_buffer_queue_size()), (SendStatus::Queued, 10));
        assert_eq!((connection.send("dropped"), connection.send_buffer_queue_size()), (SendStatus::Dropped, 10));
        assert_eq!(connection.send_raw("dropped"), SendStatus::Dropped);
        assert_eq!(connection.status(), Status::Established);
        sim.run();
        assert_eq!(log.take(), ["full", DROPPED, DROPPED]);
        assert_eq!(SEND_FAIL, 2);
        assert_eq!(read_slowly(&sim, &peer, 4), "abcdefghijklmn");
        assert_eq!(log.take(), ["drain"]);
        connection.close();
        assert_eq!(connection.send("closed"), SendStatus::Closed);
        sim.run();
        assert_eq!(log.take(), ["close"]);
    }

    #[test]
    fn an_empty_message_is_sent() {
        let sim = Simulation::new();
        let (_, connection, peer, log) = one::<Tcp>(&sim, 10);
        assert_eq!((connection.send(""), connection.send_raw("")), (SendStatus::Sent, SendStatus::Sent));
        peer.set_window(0);
        assert_eq!((connection.send("x"), connection.send("")), (SendStatus::Queued, SendStatus::Queued));
        sim.run();
        assert_eq!(log.take().len(), 0);
    }

    #[test]
    fn the_limit_is_tested_before_the_append_so_one_huge_message_passes() {
        let sim = Simulation::new();
        let (_, connection, peer, log) = one::<Tcp>(&sim, 1000);
        peer.set_window(500);
        assert_eq!(connection.send("x".repeat(MIB / 2)), SendStatus::Queued);
        assert_eq!(connection.send_buffer_queue_size(), MIB / 2 - 500);
        assert_eq!(connection.send("y"), SendStatus::Dropped);
        sim.run();
        assert_eq!(log.take(), ["full", DROPPED]);
        assert_eq!(read_slowly(&sim, &peer, MIB).len(), MIB / 2);
        assert_eq!(log.take(), ["drain"]);
        // And with one byte less than the limit in the queue.
        peer.set_window(0);
        assert_eq!(connection.send("z".repeat(999)), SendStatus::Queued);
        assert_eq!(connection.send("w".repeat(5000)), SendStatus::Queued);
        assert_eq!(connection.send_buffer_queue_size(), 5999);
    }

    #[test]
    fn full_is_told_once_and_again_only_after_room_was_made() {
        let sim = Simulation::new();
        let (_, connection, peer, log) = one::<Tcp>(&sim, 10);
        peer.set_window(0);
        connection.send("12345678901234");
        for _ in 0..3 {
            connection.send("dropped");
        }
        sim.run();
        assert_eq!(log.take(), ["full", DROPPED, DROPPED, DROPPED]);
        peer.set_window(4);
        sim.run();
        assert_eq!((log.take().len(), connection.send_buffer_queue_size()), (0, 10));
        assert_eq!(connection.send("still full"), SendStatus::Dropped);
        peer.set_window(6);
        sim.run();
        assert_eq!(log.take(), [DROPPED]);
        assert_eq!(connection.send("abc"), SendStatus::Queued);
        sim.run();
        assert_eq!(log.take(), ["full"]);
        assert_eq!(read_slowly(&sim, &peer, 3), "12345678901234abc");
        assert_eq!(log.take(), ["drain"]);
    }

    #[test]
    fn drain_is_told_each_time_the_queue_empties_even_if_it_never_was_full() {
        let sim = Simulation::new();
        let (_, connection, peer, log) = one::<Tcp>(&sim, MIB);
        for _ in 0..3 {
            peer.set_window(0);
            connection.send("queued");
            sim.run();
            assert_eq!(log.len(), 0);
            peer.set_window(3);
            sim.run();
            assert_eq!(log.len(), 0, "the queue is not empty yet");
            peer.set_window(100);
            sim.run();
            assert_eq!((log.take(), peer.read_text()), (vec!["drain".to_owned()], "queued".to_owned()));
            connection.send("written at once");
            sim.run();
            assert_eq!((log.len(), peer.read_text()), (0, "written at once".to_owned()));
        }
    }

    #[test]
    fn a_callback_that_sends_more_than_the_limit_to_a_peer_that_reads_is_told_nothing() {
        let sim = Simulation::new();
        let (worker, _, peer, log) = one::<Tcp>(&sim, 1000);
        worker.on_message(|connection, _| {
            for _ in 0..100 {
                assert_eq!(connection.send("x".repeat(100)), SendStatus::Sent);
            }
        });
        peer.write("x");
        sim.run();
        assert_eq!((peer.read().len(), log.len()), (10_000, 0));
    }

    #[test]
    fn a_callback_that_sends_more_than_the_limit_to_a_peer_that_does_not_read_is_told_so() {
        let sim = Simulation::new();
        let (worker, connection, peer, log) = one::<Tcp>(&sim, 1000);
        let statuses = Log::default();
        worker.on_message({
            let statuses = statuses.clone();
            move |connection, _| {
                for _ in 0..20 {
                    statuses.add(format!("{:?}", connection.send("x".repeat(100))));
                }
            }
        });
        peer.set_window(500);
        peer.write("x");
        sim.run();
        // The first thousand is held for one write; that leaves 500 behind, and five more fit.
        assert_eq!((statuses.count("Dropped"), connection.send_buffer_queue_size()), (5, 1000));
        assert_eq!((statuses.count("Sent"), statuses.count("Queued")), (9, 6));
        assert_eq!(log.take(), std::iter::once("full").chain([DROPPED; 5]).collect::<Vec<_>>());
        assert_eq!(read_slowly(&sim, &peer, 100).len(), 1500);
        assert_eq!(log.take(), ["drain"]);
    }

    #[test]
    fn what_waits_for_the_end_of_a_callback_counts_as_queued_bytes() {
        let sim = Simulation::new();
        let (worker, _, peer, _) = one::<Tcp>(&sim, 1000);
        worker.on_message(|connection, _| {
            connection.send("abc");
            assert_eq!(connection.send_buffer_queue_size(), 3);
        });
        peer.write("x");
        sim.run();
        assert_eq!(peer.read_text(), "abc");
    }

    #[test]
    fn small_windows_and_writes_deliver_everything_in_order() {
        let text: String = (0..400).map(|nth| format!("{nth},")).collect();
        for (window, write) in
            [(1, 1), (7, 3), (100, 1), (1000, 999), (usize::MAX, 1), (usize::MAX, 4096), (640, usize::MAX)]
        {
            let sim = Simulation::new();
            let (_, connection, peer, log) = one::<Tcp>(&sim, 100 * MIB);
            peer.set_window(window);
            peer.set_write_limit(write);
            let mut expected = String::new();
            for (nth, piece) in text.as_bytes().chunks(177).enumerate() {
                let piece = String::from_utf8_lossy(piece).into_owned();
                expected += &piece;
                match nth % 3 {
                    0 => connection.send(piece),
                    1 => connection.send(piece.as_bytes()),
                    _ => connection.send_raw(piece),
                };
            }
            // Parts that are queued by reference as well as those that are merged.
            let large = "L".repeat(if window.min(write) < 100 { 1000 } else { 20_000 });
            connection.send(large.clone());
            connection.send("the end");
            assert_eq!(read_slowly(&sim, &peer, 4096), expected + &large + "the end", "window {window}, write {write}");
            assert_eq!(connection.send_buffer_queue_size(), 0);
            assert!(log.count("drain") <= 1);
        }
    }

    #[test]
    fn prepared_events_keep_their_order_between_small_ones() {
        let sim = Simulation::new();
        let (worker, _, peer, _) = one::<Http>(&sim, 100 * MIB);
        worker.on_message(|connection, _| {
            connection.send(super::Response::new(200, &[("Content-Type", "text/event-stream")], ""))
        });
        peer.write("GET / HTTP/1.0\r\n\r\n");
        sim.run();
        peer.read();
        let connection = worker.connections().next().unwrap();
        peer.set_window(1000);
        peer.set_write_limit(77);
        let large = super::ServerSentEvents::new().data("L".repeat(2000));
        let mut expected = String::new();
        for nth in 0..10 {
            let small = super::ServerSentEvents::new().data(nth.to_string());
            expected += &format!("{small}{large}");
            assert!(connection.send(small).is_accepted() && connection.send(&large).is_accepted());
        }
        assert_eq!(read_slowly(&sim, &peer, 1000), expected);
    }

    #[test]
    fn more_may_be_sent_in_on_buffer_drain() {
        let sim = Simulation::new();
        let (worker, connection, peer, _) = one::<Tcp>(&sim, 10);
        let left = Rc::new(Cell::new(50));
        worker.on_buffer_drain(move |connection| {
            if left.get() > 0 {
                left.set(left.get() - 1);
                assert!(connection.send(format!("{:02}-4567890123456789", left.get())).is_accepted());
            }
        });
        peer.set_window(5);
        connection.send("first part.");
        let text = read_slowly(&sim, &peer, 5);
        let expected: String = (0..50).rev().map(|nth| format!("{nth:02}-4567890123456789")).collect();
        assert_eq!(text, "first part.".to_owned() + &expected);
    }

    #[test]
    fn one_slow_peer_keeps_nobody_else_waiting() {
        let sim = Simulation::new();
        let (worker, slow, peer, log) = one::<Tcp>(&sim, 100);
        let quick = sim.connect(worker);
        peer.set_window(0);
        for _ in 0..100 {
            for connection in worker.connections() {
                connection.send("0123456789");
            }
        }
        sim.run();
        assert_eq!(quick.read().len(), 1000);
        assert_eq!((slow.send_buffer_queue_size(), log.count("full"), log.count(DROPPED)), (100, 1, 90));
    }

    #[test]
    fn limits_are_the_processes_unless_the_connection_has_its_own() {
        // All in one test: the defaults belong to the process. Limits only grow here, which no other test notices.
        let sim = Simulation::new();
        let worker = Worker::<Tcp>::new("");
        let _first = sim.connect(worker);
        let old = worker.connections().next().unwrap();
        assert_eq!((old.max_send_buffer_size(), old.max_package_size()), (MIB, 10 * MIB));
        super::TcpConnection::set_default_max_send_buffer_size(3 * MIB);
        super::TcpConnection::set_default_max_package_size(usize::MAX);
        let _second = sim.connect(worker);
        let new = worker.connections().nth(1).unwrap();
        assert_eq!((new.max_send_buffer_size(), old.max_send_buffer_size()), (3 * MIB, MIB));
        assert_eq!((new.max_package_size(), old.max_package_size()), (u32::MAX as usize, 10 * MIB));
        new.set_max_send_buffer_size(5);
        new.set_max_package_size(6);
        assert_eq!((new.max_send_buffer_size(), new.max_package_size()), (5, 6));
        assert_eq!((old.max_send_buffer_size(), old.max_package_size()), (MIB, 10 * MIB));
        super::TcpConnection::set_default_max_send_buffer_size(MIB);
        super::TcpConnection::set_default_max_package_size(10 * MIB);
    }

    #[test]
    fn a_limit_set_later_counts_from_the_next_send() {
        let sim = Simulation::new();
        let (_, connection, peer, log) = one::<Tcp>(&sim, 100);
        peer.set_window(0);
        connection.send("0123456789");
        connection.set_max_send_buffer_size(10);
        assert_eq!(connection.send("x"), SendStatus::Dropped);
        connection.set_max_send_buffer_size(11);
        assert_eq!(connection.send("x"), SendStatus::Queued);
        assert_eq!(connection.send("x"), SendStatus::Dropped);
        sim.run();
        assert_eq!(log.take(), [DROPPED, "full", DROPPED]);
    }

    #[test]
    fn an_answer_is_never_dropped_for_lack_of_room() {
        let sim = Simulation::new();
        let (worker, connection, peer, log) = one::<Http>(&sim, 50);
        worker.on_message(|connection, request| {
            let path = request.path().to_owned();
            Timer::delay(0, move || assert!(connection.send(&path).is_accepted()));
        });
        peer.set_window(1);
        let requests: String = (0..30).map(|nth| get(&format!("/{nth}"))).collect();
        peer.write(requests);
        sim.run();
        assert!(connection.send_buffer_queue_size() < 500, "the next requests wait until there is room");
        let wire = read_slowly(&sim, &peer, 1);
        let bodies: Vec<_> = super::support::answers(&wire).into_iter().map(|(_, body)| body).collect();
        assert_eq!(bodies, (0..30).map(|nth| format!("/{nth}")).collect::<Vec<_>>());
        assert_eq!(log.count(DROPPED), 0);
    }

    #[test]
    fn events_over_the_limit_are_dropped_whole() {
        let sim = Simulation::new();
        let (worker, connection, peer, log) = one::<Http>(&sim, 2000);
        worker.on_message(|connection, _| {
            connection.send(super::Response::new(200, &[("Content-Type", "text/event-stream")], ""))
        });
        peer.write("GET / HTTP/1.0\r\n\r\n");
        sim.run();
        peer.read();
        peer.set_window(10);
        let mut expected = String::new();
        let mut dropped = 0;
        for nth in 0..100 {
            let event = super::ServerSentEvents::new().data(format!("{nth} {}", "x".repeat(100)));
            match connection.send(&event) {
                SendStatus::Dropped => dropped += 1,
                _ => expected += &event.to_string(),
            }
        }
        sim.run();
        assert!(dropped > 50);
        assert_eq!((log.count("full"), log.count(DROPPED)), (1, dropped));
        assert_eq!(read_slowly(&sim, &peer, 17), expected);
    }

    #[test]
    fn full_and_drain_stop_and_start_a_source() {
        let sim = Simulation::new();
        let sink_worker = Worker::<Tcp>::new("");
        let slow = sim.connect(sink_worker);
        let sink = sink_worker.connections().next().unwrap();
        sink.set_max_send_buffer_size(1000);
        let source_worker = Worker::<Tcp>::new("");
        let log = Log::default();
        source_worker.on_message({
            let log = log.clone();
            move |source, bytes| {
                assert!(sink.send(bytes).is_accepted(), "the source was not stopped");
                sink.on_buffer_full({
                    let log = log.clone();
                    move |_| {
                        log.add("stop");
                        source.pause_recv();
                    }
                });
                sink.on_buffer_drain(move |_| source.resume_recv());
            }
        });
        let fast = sim.connect(source_worker);
        fast.set_segment(300);
        slow.set_window(100);
        let text: String = (0..3000).map(|nth| format!("{nth},")).collect();
        fast.write(&text);
        assert_eq!(read_slowly(&sim, &slow, 100), text);
        assert!(log.count("stop") > 3);
    }
}

mod closing {
    use super::{DROPPED, Http, Peer, SendStatus, Simulation, Status, Tcp, Timer, get, never, one, read_slowly};

    #[test]
    fn close_waits_for_the_queue() {
        let sim = Simulation::new();
        let (worker, connection, peer, log) = one::<Tcp>(&sim, 100);
        worker.on_message(|_, _| never());
        peer.set_window(2);
        connection.send("abcdef");
        connection.close();
        assert_eq!((connection.status(), connection.send("x")), (Status::Closing, SendStatus::Closed));
        peer.write("is not delivered any more");
        sim.advance(std::time::Duration::from_secs(3600));
        assert_eq!((connection.status(), connection.send_buffer_queue_size()), (Status::Closing, 4));
        assert!(!peer.is_closed());
        assert_eq!(read_slowly(&sim, &peer, 2), "abcdef");
        // What the peer has sent lies unread: a plain close would be a reset, which can take the last bytes with it.
        assert!(peer.is_finished() && !peer.is_closed());
        sim.advance(std::time::Duration::from_secs(1));
        assert!(peer.is_closed());
        assert_eq!(log.take().last().map(String::as_str), Some("close"));
    }

    #[test]
    fn destroy_loses_the_queue() {
        let sim = Simulation::new();
        let (_, connection, peer, log) = one::<Tcp>(&sim, 100);
        peer.set_window(2);
        connection.send("abcdef");
        connection.destroy();
        sim.run();
        assert_eq!((read_slowly(&sim, &peer, 2), log.take()), ("ab".to_owned(), vec!["close".to_owned()]));
        assert!(peer.is_closed());
    }

    #[test]
    fn destroy_after_close_gives_up() {
        let sim = Simulation::new();
        let (_, connection, peer, log) = one::<Tcp>(&sim, 100);
        peer.set_window(2);
        connection.close_with("abcdef");
        sim.run();
        connection.destroy();
        sim.run();
        assert_eq!((peer.read_text(), log.take()), ("ab".to_owned(), vec!["close".to_owned()]));
    }

    fn closing_data_is_queued(full: bool) -> Vec<String> {
        let sim = Simulation::new();
        let (_, connection, peer, log) = one::<Tcp>(&sim, 10);
        peer.set_window(0);
        connection.send(if full { "0123456789" } else { "012345678" });
        assert_eq!(connection.send(if full { "dropped" } else { "" }).is_accepted(), !full);
        sim.run();
        log.take();
        connection.close_with("BYE");
        connection.close_with("no second one");
        assert_eq!(connection.status(), Status::Closing);
        let text = read_slowly(&sim, with_window(&peer, 4), 4);
        assert_eq!(text, if full { "0123456789BYE" } else { "012345678BYE" });
        assert!(peer.is_closed());
        log.take()
    }

    fn with_window(peer: &Peer, bytes: usize) -> &Peer {
        peer.set_window(bytes);
        peer
    }

    #[test]
    fn closing_data_is_always_queued() {
        let told = closing_data_is_queued(true);
        assert!(!told.contains(&DROPPED.to_owned()) && told.last().is_some_and(|last| last == "close"), "{told:?}");
        closing_data_is_queued(false);
    }

    #[test]
    fn closing_a_full_connection_tells_full_no_second_time() {
        assert_eq!(closing_data_is_queued(true).iter().filter(|line| *line == "full").count(), 0);
        let sim = Simulation::new();
        let (_, connection, peer, log) = one::<Tcp>(&sim, 10);
        peer.set_window(0);
        connection.send("0123456789");
        connection.close();
        sim.run();
        assert_eq!(log.take(), ["full"]);
    }

    #[test]
    fn closing_data_larger_than_the_limit_arrives_whole() {
        let sim = Simulation::new();
        let (_, connection, peer, _) = one::<Tcp>(&sim, 10);
        peer.set_window(3000);
        peer.set_write_limit(1000);
        connection.close_with("x".repeat(100_000));
        assert_eq!(read_slowly(&sim, &peer, 3000).len(), 100_000);
        assert!(peer.is_closed());
    }

    #[test]
    fn an_answer_that_closes_waits_for_a_slow_peer() {
        let sim = Simulation::new();
        let (worker, _, peer, _) = one::<Http>(&sim, 100);
        worker.on_message(|connection, _| connection.send("x".repeat(100_000)));
        peer.set_window(1000);
        peer.write("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
        let wire = read_slowly(&sim, &peer, 1000);
        assert_eq!(super::support::answers(&wire), [(200, "x".repeat(100_000))]);
        assert!(peer.is_finished());
    }

    #[test]
    fn a_late_closing_answer_in_a_timer_arrives() {
        let sim = Simulation::new();
        let (worker, _, peer, log) = one::<Http>(&sim, 100);
        worker.on_message(|connection, _| {
            Timer::delay(1, move || connection.close_with("late"));
        });
        peer.write(get("/"));
        sim.advance(std::time::Duration::from_secs(1));
        assert!(peer.read_text().ends_with("late"));
        assert_eq!((peer.is_closed(), log.take()), (true, vec!["close".to_owned()]));
    }
}

mod receiving {
    use super::{
        Cell, Deadlines, Duration, Http, Log, Peer, Rc, SendStatus, Simulation, Status, Tcp, TcpConnection, Timer,
        Worker, get,
    };

    fn echoes(sim: &Simulation) -> (TcpConnection<Tcp>, Peer, Log) {
        let worker = Worker::<Tcp>::new("");
        let log = Log::default();
        worker.on_message({
            let log = log.clone();
            move |_, bytes| log.add(String::from_utf8_lossy(&bytes))
        });
        let peer = sim.connect(worker);
        (worker.connections().next().expect("a connection"), peer, log)
    }

    #[test]
    fn nothing_is_delivered_while_paused_and_order_is_kept() {
        let sim = Simulation::new();
        let (connection, peer, log) = echoes(&sim);
        connection.pause_recv();
        for text in ["1", "2", "3"] {
            peer.write(text);
            sim.advance(Duration::from_secs(60));
        }
        assert_eq!((log.len(), connection.bytes_read()), (0, 0));
        assert_eq!(sim.next_wake_up(), None, "nothing to do while paused");
        connection.resume_recv();
        assert_eq!(log.len(), 0, "not inside resume_recv");
        sim.run();
        peer.write("4");
        sim.run();
        let all = log.take();
        assert_eq!((all.concat(), all.last().map(String::as_str)), ("1234".to_owned(), Some("4")));
    }

    #[test]
    fn resume_without_pause_does_nothing() {
        let sim = Simulation::new();
        let (connection, peer, log) = echoes(&sim);
        sim.run();
        connection.resume_recv();
        connection.resume_recv();
        assert_eq!(sim.next_wake_up(), None);
        peer.write("1");
        connection.resume_recv();
        sim.run();
        connection.resume_recv();
        sim.run();
        assert_eq!(log.take(), ["1"]);
    }

    #[test]
    fn pausing_twice_and_resuming_once_resumes() {
        let sim = Simulation::new();
        let (connection, peer, log) = echoes(&sim);
        connection.pause_recv();
        connection.pause_recv();
        peer.write("1");
        sim.run();
        connection.resume_recv();
        sim.run();
        assert_eq!(log.take(), ["1"]);
    }

    #[test]
    fn pausing_and_resuming_at_once_loses_nothing() {
        let sim = Simulation::new();
        let (connection, peer, log) = echoes(&sim);
        for _ in 0..10 {
            connection.pause_recv();
            connection.resume_recv();
            peer.write("x");
            connection.pause_recv();
            sim.turn();
            connection.resume_recv();
            connection.pause_recv();
            sim.turn();
            connection.resume_recv();
        }
        sim.run();
        assert_eq!(log.take().concat(), "xxxxxxxxxx");
    }

    #[test]
    fn sending_goes_on_while_paused() {
        let sim = Simulation::new();
        let worker = Worker::<Tcp>::new("");
        worker.on_message(|connection, _| {
            connection.pause_recv();
            assert_eq!(connection.send("reply"), SendStatus::Sent);
        });
        let peer = sim.connect(worker);
        peer.write("x");
        sim.run();
        assert_eq!(peer.read_text(), "reply");
        let connection = worker.connections().next().unwrap();
        peer.set_window(2);
        assert_eq!(connection.send("waits"), SendStatus::Queued);
        sim.run();
        peer.set_window(100);
        sim.run();
        assert_eq!(peer.read_text(), "waits");
        connection.close();
        assert_eq!(connection.status(), Status::Closed);
    }

    #[test]
    fn a_pause_in_on_message_holds_the_requests_behind() {
        let sim = Simulation::new();
        let log = Log::default();
        let worker = Worker::<Http>::new("");
        worker.on_message({
            let log = log.clone();
            move |connection, request| {
                log.add(request.path());
                connection.send("ok");
                connection.pause_recv();
                Timer::delay(1, move || connection.resume_recv());
            }
        });
        let peer = sim.connect(worker);
        peer.write(get("/1") + &get("/2") + &get("/3"));
        for path in ["/1", "/2", "/3"] {
            sim.advance(Duration::from_millis(999));
            assert_eq!(log.take(), [path]);
            sim.advance(Duration::from_millis(1));
        }
        assert_eq!(super::support::answers(&peer.read_text()).len(), 3);
    }

    #[test]
    fn a_pause_in_on_connect_holds_the_first_message() {
        let sim = Simulation::new();
        let log = Log::default();
        let worker = Worker::<Tcp>::new("");
        worker.on_connect(|connection| {
            connection.pause_recv();
            Timer::delay(0.3, move || connection.resume_recv());
        });
        worker.on_message({
            let log = log.clone();
            move |_, bytes| log.add(String::from_utf8_lossy(&bytes))
        });
        let peer = sim.connect(worker);
        peer.write("x");
        sim.advance(Duration::from_millis(299));
        assert_eq!(log.len(), 0);
        sim.advance(Duration::from_millis(1));
        assert_eq!(log.take(), ["x"]);
    }

    #[test]
    fn resuming_inside_the_callback_that_paused_goes_on_at_once() {
        let sim = Simulation::new();
        let seen = Rc::new(Cell::new(0));
        let worker = Worker::<Http>::new("");
        worker.on_message({
            let seen = Rc::clone(&seen);
            move |connection, _| {
                connection.pause_recv();
                seen.set(seen.get() + 1);
                connection.resume_recv();
                connection.send("ok")
            }
        });
        let peer = sim.connect(worker);
        peer.write(get("/").repeat(5));
        sim.run();
        assert_eq!(seen.get(), 5);
    }

    #[test]
    fn a_flood_is_read_within_a_budget_so_that_others_have_their_turn() {
        let sim = Simulation::new();
        let worker = Worker::<Tcp>::new("");
        let log = Log::default();
        worker.on_message({
            let log = log.clone();
            move |connection, bytes| log.add(format!("{} {}", connection.id(), bytes.len()))
        });
        let (flood, quiet) = (sim.connect(worker), sim.connect(worker));
        let quiet_id = worker.connections().nth(1).unwrap().id();
        flood.write(vec![b'x'; 1 << 20]);
        quiet.write("hello");
        sim.turn();
        assert_eq!(log.count(&format!("{quiet_id} 5")), 1);
        sim.run();
        assert_eq!(worker.connections().next().unwrap().bytes_read(), 1 << 20);
    }

    #[test]
    fn a_peer_that_does_not_read_its_answers_is_not_read_from() {
        let sim = Simulation::new();
        let worker = Worker::<Http>::new("");
        let seen = Rc::new(Cell::new(0));
        worker.on_message({
            let seen = Rc::clone(&seen);
            move |connection, _| {
                seen.set(seen.get() + 1);
                connection.send("x".repeat(1000))
            }
        });
        worker.on_connect(|connection| connection.set_max_send_buffer_size(10_000));
        worker.set_deadlines(Deadlines::none());
        let peer = sim.connect(worker);
        peer.set_window(5000);
        for _ in 0..100 {
            peer.write(get("/"));
            sim.run();
        }
        assert!((10..=30).contains(&seen.get()), "{}", seen.get());
        assert_eq!(sim.next_wake_up(), None);
        let wire = super::read_slowly(&sim, &peer, 5000);
        assert_eq!((super::support::answers(&wire).len(), seen.get()), (100, 100));
    }

    #[test]
    fn half_a_message_keeps_nobody_awake() {
        let sim = Simulation::new();
        let worker = Worker::<Http>::new("");
        worker.on_message(|connection, _| connection.send("ok"));
        worker.set_deadlines(Deadlines::none());
        let peer = sim.connect(worker);
        for piece in ["GET / HT", "TP/1.1\r\nHo", "st: h\r\nContent-Length: 5\r\n\r\n", "12", "34"] {
            peer.write(piece);
            sim.run();
            assert_eq!(sim.next_wake_up(), None, "after {piece:?}");
        }
        peer.write("5");
        sim.run();
        assert!(peer.read_text().ends_with("ok"));
    }
}
