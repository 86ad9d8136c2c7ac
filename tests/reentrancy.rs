//! The promise: a callback may do anything. Callbacks never nest, state changes at once, handles never lie, and values
//! of users' own may call the framework when they are dropped.

mod support;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use support::{Depth, Log, OnDrop, boom, get, keep, never};
use workerman::testing::{Peer, Simulation};
use workerman::{Codec, Http, LoopHandle, PanicPolicy, SendStatus, Status, Tcp, TcpConnection, Timer, Worker};

/// The worker's first connection.
fn first<P: Codec>(worker: Worker<P>) -> TcpConnection<P> {
    worker.connections().next().expect("a connection")
}

/// A worker whose callbacks write their names, and fail when one runs inside another.
fn watched(log: &Log, depth: &Depth) -> Worker<Tcp> {
    let worker = Worker::<Tcp>::new("");
    let note = |name: &'static str| {
        let (log, depth) = (log.clone(), depth.clone());
        move |connection: TcpConnection<Tcp>| {
            let _inside = depth.enter();
            log.add(format!("{name} {}", connection.get::<char>().unwrap_or('?')));
        }
    };
    worker.on_close(note("close"));
    worker.on_buffer_full(note("full"));
    worker.on_buffer_drain(note("drain"));
    let error = note("error");
    worker.on_error(move |connection, _, _| error(connection));
    worker
}

fn named(sim: &Simulation, worker: Worker<Tcp>, name: char) -> (Peer, TcpConnection<Tcp>) {
    let known: Vec<_> = worker.connections().collect();
    let peer = sim.connect(worker);
    let connection = worker.connections().find(|new| !known.contains(new)).expect("the new one");
    connection.set(name);
    (peer, connection)
}

/// Every entrance there is, from wherever.
fn call_everything(worker: Worker<Tcp>, connection: TcpConnection<Tcp>) {
    connection.send("from drop ");
    connection.send_raw("raw ");
    connection.set(1_u8);
    connection.with(|number: &mut u8| *number += 1);
    connection.get::<u8>();
    connection.on_buffer_drain(|_| {});
    connection.pause_recv();
    connection.resume_recv();
    connection.add_timer(60, || {});
    let _ = (connection.status(), connection.remote_address(), connection.send_buffer_queue_size());
    worker.set(1_u8);
    worker.with(|number: &mut u8| *number += 1);
    worker.on_buffer_full(|_| {});
    worker.set_name("named in drop");
    for other in worker.connections() {
        other.send("to all ");
    }
    let id = Timer::add(60, || {});
    assert!(Timer::del(id) && !Timer::del(id));
    Timer::delay(60, || {});
    let _ = LoopHandle::current().run(|| {});
    let _ = Worker::<Http>::new("").listen();
}

mod replacing {
    use super::{Log, OnDrop, Simulation, Tcp, Worker, first, keep};

    #[test]
    fn a_message_callback_may_replace_itself_and_counts_from_the_next_message() {
        let sim = Simulation::new();
        let log = Log::default();
        let worker = Worker::<Tcp>::new("");
        let gone = log.clone();
        let owned = OnDrop(move || gone.add("old dropped"));
        let (one, two) = (log.clone(), log.clone());
        worker.on_message(move |_, _| {
            keep(&owned);
            let two = two.clone();
            worker.on_message(move |_, _| two.add("two"));
            one.add("one");
        });
        let peer = sim.connect(worker);
        for _ in 0..3 {
            peer.write("x");
            sim.run();
        }
        assert_eq!(log.take(), ["one", "old dropped", "two", "two"]);
    }

    #[test]
    fn a_connections_own_callback_may_replace_itself_again_and_again() {
        let sim = Simulation::new();
        let log = Log::default();
        let worker = Worker::<Tcp>::new("");
        worker.on_message(|_, _| super::never());
        let peer = sim.connect(worker);
        fn arm(connection: workerman::TcpConnection<Tcp>, log: Log, nth: u32) {
            connection.on_message(move |connection, _| {
                log.add(nth);
                arm(connection, log.clone(), nth + 100);
                arm(connection, log.clone(), nth + 1);
            });
        }
        arm(first(worker), log.clone(), 0);
        for _ in 0..4 {
            peer.write("x");
            sim.run();
        }
        assert_eq!(log.take(), ["0", "1", "2", "3"]);
    }

    #[test]
    fn every_callback_may_replace_itself() {
        let sim = Simulation::new();
        let log = Log::default();
        let worker = Worker::<Tcp>::new("");
        let note = |name: &'static str| {
            let log = log.clone();
            move || log.add(name)
        };
        let (old, new) = (note("old connect"), note("new connect"));
        worker.on_connect(move |connection| {
            connection.set_max_send_buffer_size(4);
            let new = new.clone();
            worker.on_connect(move |_| new());
            old();
        });
        let (old, new) = (note("old full"), note("new full"));
        worker.on_buffer_full(move |_| {
            let new = new.clone();
            worker.on_buffer_full(move |_| new());
            old();
        });
        let (old, new) = (note("old drain"), note("new drain"));
        worker.on_buffer_drain(move |_| {
            let new = new.clone();
            worker.on_buffer_drain(move |_| new());
            old();
        });
        let (old, new) = (note("old error"), note("new error"));
        worker.on_error(move |_, _, _| {
            let new = new.clone();
            worker.on_error(move |_, _, _| new());
            old();
        });
        let (old, new) = (note("old close"), note("new close"));
        worker.on_close(move |_| {
            let new = new.clone();
            worker.on_close(move |_| new());
            old();
        });
        let peers = [sim.connect(worker), sim.connect(worker)];
        assert_eq!(log.take(), ["old connect", "new connect"]);
        let connection = first(worker);
        for name in ["old", "new"] {
            peers[0].set_window(1);
            connection.send("xxxxxx");
            connection.send("dropped");
            sim.run();
            peers[0].set_window(usize::MAX);
            sim.run();
            assert_eq!(log.take(), ["full", "error", "drain"].map(|event| format!("{name} {event}")));
        }
        for (peer, name) in peers.iter().zip(["old close", "new close"]) {
            peer.finish();
            sim.run();
            assert_eq!(log.take(), [name]);
        }
    }

    #[test]
    fn worker_start_and_stop_may_replace_themselves() {
        let sim = Simulation::new();
        let log = Log::default();
        let worker = Worker::<Tcp>::new("");
        let (start, stop) = (log.clone(), log.clone());
        worker.on_worker_start(move |worker| {
            start.add("start");
            worker.on_worker_start(|_| {});
        });
        worker.on_worker_stop(move |worker| {
            stop.add("stop");
            worker.on_worker_stop(|_| {});
        });
        sim.start().unwrap();
        sim.stop();
        assert_eq!(log.take(), ["start", "stop"]);
    }
}

mod ending {
    use super::{Cell, Http, Log, Rc, SendStatus, Simulation, Status, Tcp, Timer, Worker, first, get, keep, named};

    #[test]
    fn a_connection_may_end_itself_in_each_of_its_callbacks() {
        for how in ["close", "destroy", "close_with"] {
            let sim = Simulation::new();
            let log = Log::default();
            let worker = Worker::<Tcp>::new("");
            let end = |name: &'static str| {
                let log = log.clone();
                move |connection: workerman::TcpConnection<Tcp>| {
                    if connection.get::<&str>() == Some(name) {
                        match how {
                            "close" => connection.close(),
                            "destroy" => connection.destroy(),
                            _ => connection.close_with("bye"),
                        }
                        log.add(format!("{name} {:?}", connection.send("more")));
                    }
                }
            };
            worker.on_buffer_full(end("full"));
            worker.on_buffer_drain(end("drain"));
            let (message, error) = (end("message"), end("error"));
            worker.on_message(move |connection, _| message(connection));
            worker.on_error(move |connection, _, _| error(connection));
            worker.on_close({
                let log = log.clone();
                move |connection| {
                    connection.close();
                    connection.destroy();
                    connection.close_with("nothing");
                    log.add("closed");
                }
            });
            for name in ["message", "full", "drain", "error"] {
                let peer = sim.connect(worker);
                let connection = first(worker);
                connection.set(name);
                connection.set_max_send_buffer_size(4);
                peer.write("x");
                sim.run();
                if name != "message" {
                    peer.set_window(2);
                    connection.send("xxxxxx");
                    connection.send("dropped");
                    sim.run();
                    peer.set_window(usize::MAX);
                    sim.run();
                }
                assert_eq!(log.take(), [format!("{name} Closed"), "closed".to_owned()], "{how} in {name}");
                assert!(peer.is_closed(), "{how} in {name}");
                assert_eq!(worker.connections().count(), 0);
            }
        }
    }

    #[test]
    fn a_callback_may_end_any_other_connection() {
        let sim = Simulation::new();
        let log = Log::default();
        let worker = Worker::<Tcp>::new("");
        let (a, one) = named(&sim, worker, 'a');
        let (b, two) = named(&sim, worker, 'b');
        let (c, three) = named(&sim, worker, 'c');
        worker.on_close({
            let log = log.clone();
            move |connection| log.add(connection.get::<char>().unwrap_or('?'))
        });
        worker.on_message(move |_, _| {
            two.close_with("bye");
            three.destroy();
            assert_eq!(
                (one.status(), two.status(), three.status()),
                (Status::Established, Status::Closed, Status::Closed)
            );
        });
        b.write("for nobody");
        c.write("for nobody");
        a.write("x");
        // The others' own messages come first, or not at all.
        worker.connections().skip(1).for_each(workerman::TcpConnection::pause_recv);
        sim.run();
        assert_eq!(log.take(), ["b", "c"]);
        assert_eq!((b.read_text(), c.read_text()), ("bye".to_owned(), String::new()));
        assert!(!a.is_closed() && b.is_closed() && c.is_closed());
    }

    #[test]
    fn all_connections_may_be_ended_while_walking_over_them() {
        let sim = Simulation::new();
        let log = Log::default();
        let worker = Worker::<Tcp>::new("");
        worker.on_close({
            let log = log.clone();
            move |connection| {
                for other in worker.connections() {
                    other.destroy();
                }
                log.add(connection.id());
            }
        });
        let peers: Vec<_> = (0..20).map(|_| sim.connect(worker)).collect();
        worker.on_message(move |_, _| {
            let mut met = 0;
            for (nth, other) in worker.connections().enumerate() {
                met += 1;
                match nth % 4 {
                    0 => other.close(),
                    1 => other.destroy(),
                    2 => other.close_with("bye"),
                    _ => {}
                }
            }
            assert_eq!(met, 20);
        });
        peers[7].write("x");
        sim.run();
        let mut closed = log.take();
        closed.sort();
        closed.dedup();
        assert_eq!(closed.len(), 20);
        assert!(peers.iter().all(workerman::testing::Peer::is_closed));
        assert_eq!(worker.connections().count(), 0);
    }

    #[test]
    fn the_status_changes_at_once() {
        let sim = Simulation::new();
        let worker = Worker::<Tcp>::new("");
        let peer = sim.connect(worker);
        let connection = first(worker);
        let checked = Rc::new(Cell::new(0));
        worker.on_message({
            let checked = Rc::clone(&checked);
            move |connection, _| {
                assert_eq!(connection.status(), Status::Established);
                assert_eq!(connection.send("answer"), SendStatus::Sent);
                connection.close();
                assert_eq!(connection.status(), Status::Closed);
                assert_eq!(connection.send("late"), SendStatus::Closed);
                assert_eq!(connection.send_raw("late"), SendStatus::Closed);
                checked.set(checked.get() + 1);
            }
        });
        peer.write("x");
        sim.run();
        assert_eq!((checked.get(), peer.read_text(), connection.status()), (1, "answer".to_owned(), Status::Closed));

        let peer = sim.connect(worker);
        let connection = first(worker);
        peer.set_window(3);
        assert_eq!(connection.send("abcdef"), SendStatus::Queued);
        connection.close();
        assert_eq!(connection.status(), Status::Closing);
        assert_eq!(connection.send("late"), SendStatus::Closed);
        connection.destroy();
        assert_eq!(connection.status(), Status::Closed);
        assert_eq!(worker.connections().count(), 1, "until its on_close has run");
        sim.run();
        assert_eq!((worker.connections().count(), peer.read_text()), (0, "abc".to_owned()));
    }

    #[test]
    fn nothing_of_a_pipeline_is_delivered_after_close() {
        for how in ["close", "destroy", "close_with"] {
            let sim = Simulation::new();
            let log = Log::default();
            let worker = Worker::<Http>::new("");
            worker.on_message({
                let log = log.clone();
                move |connection, request| {
                    log.add(request.path());
                    match (request.path(), how) {
                        ("/2", "close") => connection.close(),
                        ("/2", "destroy") => connection.destroy(),
                        ("/2", _) => connection.close_with("bye"),
                        _ => keep(&connection.send("ok")),
                    }
                }
            });
            let peer = sim.connect(worker);
            peer.write(get("/1") + &get("/2") + &get("/3"));
            sim.run();
            assert_eq!(log.take(), ["/1", "/2"], "{how}");
            assert!(peer.is_closed());
            assert_eq!(super::support::answers(&peer.read_text()).first().map(|(status, _)| *status), Some(200));
        }
    }

    #[test]
    fn a_timer_may_end_connections_and_their_timers() {
        let sim = Simulation::new();
        let worker = Worker::<Tcp>::new("");
        let peers = [sim.connect(worker), sim.connect(worker)];
        for connection in worker.connections() {
            connection.add_timer(1, move || {
                for other in worker.connections() {
                    other.destroy();
                }
                let id = connection.add_timer(1, super::never);
                Timer::del(id);
            });
        }
        sim.advance(std::time::Duration::from_secs(5));
        assert!(peers.iter().all(workerman::testing::Peer::is_closed));
        assert_eq!(sim.next_wake_up(), None);
    }
}

mod workers {
    use super::{Cell, Http, Log, Rc, Simulation, Tcp, Timer, Worker, first, get};

    #[test]
    fn a_callback_may_add_workers_and_listen() {
        let sim = Simulation::new();
        let made: Rc<Cell<Option<Worker<Http>>>> = Rc::default();
        let worker = Worker::<Tcp>::new("");
        worker.on_message({
            let made = Rc::clone(&made);
            move |_, _| {
                let inner = Worker::<Http>::new("http://127.0.0.1:0");
                inner.on_message(|connection, _| connection.send("from inside"));
                assert!(inner.local_addr().is_none());
                inner.listen().unwrap();
                inner.listen().unwrap();
                assert!(inner.local_addr().is_some_and(|address| address.port() > 0));
                inner.unlisten();
                inner.unlisten();
                assert!(inner.local_addr().is_none());
                made.set(Some(inner));
            }
        });
        let peer = sim.connect(worker);
        peer.write("x");
        sim.run();
        let inner = made.take().unwrap();
        let peer = sim.connect(inner);
        peer.write(get("/"));
        sim.run();
        assert!(peer.read_text().ends_with("from inside"));
        assert_eq!((worker.connections().count(), inner.connections().count()), (1, 1));
        assert!(inner.connection(first(worker).id()).is_none(), "another worker's");
    }

    #[test]
    fn a_bad_address_in_a_callback_is_an_error_and_no_more() {
        let sim = Simulation::new();
        let log = Log::default();
        Timer::delay(0, {
            let log = log.clone();
            move || {
                for address in ["nonsense://1.2.3.4:5", "http://", "127.0.0.1:99999"] {
                    let error = Worker::<Http>::new(address).listen().unwrap_err();
                    log.add(error.to_string().contains(address));
                }
            }
        });
        sim.run();
        assert_eq!(log.take(), ["true"; 3]);
    }

    #[test]
    fn the_loop_cannot_be_run_inside_itself() {
        let sim = Simulation::new();
        let log = Log::default();
        Timer::delay(0, {
            let log = log.clone();
            move || log.add(Worker::run_all().unwrap_err())
        });
        sim.run();
        assert_eq!(log.take().len(), 1);
    }

    #[test]
    fn the_loop_may_be_stopped_from_any_callback() {
        let sim = Simulation::new();
        let worker = Worker::<Tcp>::new("");
        worker.on_message(|_, _| Worker::stop_all());
        let peer = sim.connect(worker);
        assert!(!sim.is_stopping());
        peer.write("x");
        sim.run();
        assert!(sim.is_stopping());
    }
}

mod order {
    use super::{Depth, Duration, Http, Log, Simulation, Tcp, Worker, first, get, named, watched};

    #[test]
    fn what_a_callback_causes_comes_after_it_and_before_the_next_message() {
        let sim = Simulation::new();
        let (log, depth) = (Log::default(), Depth::default());
        let worker = watched(&log, &depth);
        let (_a, one) = named(&sim, worker, 'a');
        let (b, two) = named(&sim, worker, 'b');
        let (c, three) = named(&sim, worker, 'c');
        let (d, four) = named(&sim, worker, 'd');
        b.set_window(1);
        two.set_max_send_buffer_size(10);
        two.send("12345678");
        c.reset();
        assert_eq!(log.take().len(), 0);

        let http = Worker::<Http>::new("");
        http.on_message({
            let log = log.clone();
            move |connection, request| {
                let _inside = depth.enter();
                log.add(format!("begin {}", request.path()));
                if request.path() == "/1" {
                    two.send("90");
                    two.send("0123");
                    two.send("dropped");
                    three.send("to one who has gone");
                    one.destroy();
                }
                if request.path() == "/2" {
                    four.close();
                    two.destroy();
                }
                connection.send("ok");
                log.add(format!("end {}", request.path()));
            }
        });
        let peer = sim.connect(http);
        peer.write(get("/1") + &get("/2") + &get("/3"));
        // The reset of c is known to the network only: what is sent finds out first.
        sim.run();
        let events = log.take();
        let position = |line: &str| events.iter().position(|event| event == line).unwrap_or(usize::MAX);
        for line in ["full b", "error b", "close a", "close c"] {
            assert!(position(line) < position("begin /2"), "{line}: {events:?}");
        }
        for line in ["full b", "error b", "close a"] {
            assert!(position("end /1") < position(line), "{line}: {events:?}");
        }
        for line in ["close d", "close b"] {
            assert!(position("end /2") < position(line) && position(line) < position("begin /3"), "{events:?}");
        }
        assert!(d.is_closed());
        assert_eq!(events.len(), 6 + 6 + usize::from(events.iter().any(|event| event == "error c")), "{events:?}");
    }

    #[test]
    fn what_an_on_close_causes_comes_after_it() {
        let sim = Simulation::new();
        let (log, depth) = (Log::default(), Depth::default());
        let worker = Worker::<Tcp>::new("");
        worker.on_close({
            let log = log.clone();
            move |connection| {
                let _inside = depth.enter();
                log.add(format!("begin {}", connection.get::<usize>().unwrap_or(99)));
                if let Some(next) = worker.connections().find(|other| *other != connection) {
                    next.destroy();
                }
                log.add("end");
            }
        });
        let peers: Vec<_> = (0..50).map(|_| sim.connect(worker)).collect();
        for (nth, connection) in worker.connections().enumerate() {
            connection.set(nth);
        }
        peers[0].finish();
        sim.run();
        let expected: Vec<String> = (0..50).flat_map(|nth| [format!("begin {nth}"), "end".to_owned()]).collect();
        assert_eq!(log.take(), expected);
    }

    #[test]
    fn the_error_of_a_peer_that_has_gone_comes_before_its_on_close() {
        let sim = Simulation::new();
        let (log, depth) = (Log::default(), Depth::default());
        let worker = watched(&log, &depth);
        worker.on_error({
            let log = log.clone();
            move |connection, code, text| log.add(format!("{code} {text} {:?}", connection.status()))
        });
        let (peer, connection) = named(&sim, worker, 'a');
        peer.reset();
        assert_eq!(connection.send("x"), workerman::SendStatus::Closed);
        assert_eq!(log.len(), 0, "not inside send");
        sim.run();
        assert_eq!(log.take(), ["2 client closed Closed", "close a"]);
    }

    #[test]
    fn sends_to_others_leave_when_the_callback_returns_in_order() {
        let sim = Simulation::new();
        let worker = Worker::<Tcp>::new("");
        worker.on_message(move |connection, bytes| {
            for other in worker.connections().filter(|other| *other != connection) {
                other.send("to the others: ");
                other.send(&bytes);
            }
            connection.send("to you");
        });
        let peers: Vec<_> = (0..100).map(|_| sim.connect(worker)).collect();
        peers[3].write("hello");
        sim.run();
        for (nth, peer) in peers.iter().enumerate() {
            assert_eq!(peer.read_text(), if nth == 3 { "to you" } else { "to the others: hello" });
        }
    }

    #[test]
    fn timers_tasks_and_messages_never_nest() {
        let sim = Simulation::new();
        let (log, depth) = (Log::default(), Depth::default());
        let worker = watched(&log, &depth);
        let peers: Vec<_> = (0..10).map(|_| sim.connect(worker)).collect();
        worker.on_message({
            let depth = depth.clone();
            move |connection, _| {
                let _inside = depth.enter();
                let inner = depth.clone();
                workerman::Timer::delay(0, move || {
                    let _inside = inner.enter();
                    connection.destroy();
                });
                worker.connections().last().map(|other| other.send("x"))
            }
        });
        let inner = depth;
        first(worker).add_timer(0, move || {
            let _inside = inner.enter();
            worker.connections().nth(1).map(workerman::TcpConnection::destroy)
        });
        for peer in &peers {
            peer.write("x");
        }
        sim.advance(Duration::from_secs(1));
        assert!(log.count("close ?") >= 9);
    }
}

mod handles {
    use super::{Http, Log, SendStatus, Simulation, Status, Tcp, TcpConnection, Worker, first, get};

    #[test]
    fn a_handle_whose_connection_is_gone_never_reaches_the_next_tenant() {
        let sim = Simulation::new();
        let worker = Worker::<Tcp>::new("");
        let mut old: Vec<TcpConnection<Tcp>> = Vec::new();
        for _ in 0..50 {
            let peer = sim.connect(worker);
            let connection = first(worker);
            assert!(old.iter().all(|gone| *gone != connection && gone.id() != connection.id()));
            connection.set("data of the tenant");
            for gone in &old {
                assert_eq!(gone.status(), Status::Closed);
                assert_eq!(gone.send("x"), SendStatus::Closed);
                assert_eq!(gone.send_raw("x"), SendStatus::Closed);
                gone.close_with("x");
                gone.close();
                gone.destroy();
                gone.pause_recv();
                gone.resume_recv();
                gone.set(5_u8);
                gone.set_max_send_buffer_size(1);
                gone.set_max_package_size(1);
                gone.on_message(|_, _| super::never());
                gone.on_close(|_| super::never());
                assert_eq!((gone.get::<&str>(), gone.get::<u8>()), (None, None));
                assert_eq!(gone.with(|_: &mut &str| panic!("never")), None::<()>);
                assert_eq!((gone.remote_address(), gone.local_address()), (String::new(), String::new()));
                assert_eq!((gone.remote_port(), gone.local_port(), gone.remote_ip()), (0, 0, String::new()));
                assert_eq!((gone.bytes_read(), gone.send_buffer_queue_size()), (0, 0));
                assert!(!gone.is_ipv4() && !gone.is_ipv6());
                assert_eq!((TcpConnection::<Tcp>::find(gone.id()), worker.connection(gone.id())), (None, None));
            }
            assert_eq!((connection.status(), connection.get()), (Status::Established, Some("data of the tenant")));
            assert_eq!((connection.max_send_buffer_size(), connection.max_package_size()), (1 << 20, 10 << 20));
            sim.run();
            assert_eq!(peer.read_text(), "");
            peer.finish();
            sim.run();
            old.push(connection);
        }
    }

    #[test]
    fn handles_stay_dead_in_the_next_loop_of_the_thread() {
        let sim = Simulation::new();
        let worker = Worker::<Tcp>::new("");
        let _peer = sim.connect(worker);
        let old = first(worker);
        drop(sim);
        assert_eq!((old.status(), old.send("x")), (Status::Closed, SendStatus::Closed));
        let sim = Simulation::new();
        let other = Worker::<Tcp>::new("");
        let peer = sim.connect(other);
        assert!(worker.connections().next().is_none() && worker != other);
        worker.set(1);
        assert_eq!((worker.get::<i32>(), other.get::<i32>()), (None, None));
        assert_eq!((old.status(), old.send("x")), (Status::Closed, SendStatus::Closed));
        sim.run();
        assert_eq!(peer.read_text(), "");
    }

    #[test]
    fn a_late_answer_reaches_its_request_or_nothing() {
        let sim = Simulation::new();
        let log = Log::default();
        let worker = Worker::<Http>::new("");
        worker.on_message({
            let log = log.clone();
            move |connection, request| {
                if let Some(before) = connection.get::<TcpConnection<Http>>() {
                    log.add(format!("{:?}", before.send("stray")));
                }
                connection.set(connection);
                connection.send(request.path());
            }
        });
        let peer = sim.connect(worker);
        peer.write(get("/1") + &get("/2"));
        sim.run();
        assert_eq!(log.take(), ["Dropped"]);
        let bodies: Vec<_> = super::support::answers(&peer.read_text()).into_iter().map(|(_, body)| body).collect();
        assert_eq!(bodies, ["/1", "/2"]);
    }

    #[test]
    fn a_handle_of_another_protocol_is_not_found() {
        let sim = Simulation::new();
        let worker = Worker::<Tcp>::new("");
        let _peer = sim.connect(worker);
        let id = first(worker).id();
        assert!(TcpConnection::<Tcp>::find(id).is_some());
        assert!(TcpConnection::<Http>::find(id).is_none());
        assert!(TcpConnection::<Tcp>::find(0).is_none() && TcpConnection::<Tcp>::find(u64::MAX).is_none());
    }
}

mod values {
    use super::{Cell, Log, OnDrop, Rc, Simulation, Tcp, Worker, first};

    #[derive(Clone, Debug, PartialEq)]
    struct Uid(u32);

    #[test]
    fn a_nested_with_of_the_same_value_gives_none() {
        let sim = Simulation::new();
        let worker = Worker::<Tcp>::new("");
        let _peer = sim.connect(worker);
        let connection = first(worker);
        connection.set(Uid(1));
        connection.set("another type");
        worker.set(Uid(2));
        let found = connection.with(|uid: &mut Uid| {
            assert_eq!(connection.with(|_: &mut Uid| panic!("nested")), None::<()>);
            assert_eq!(connection.get::<Uid>(), None);
            assert_eq!((connection.get(), worker.get()), (Some("another type"), Some(Uid(2))));
            let inner = worker.with(|uid: &mut Uid| {
                assert_eq!(worker.with(|_: &mut Uid| panic!("nested")), None::<()>);
                uid.0
            });
            uid.0 += 10;
            inner
        });
        assert_eq!(found, Some(Some(2)));
        assert_eq!((connection.get(), worker.get()), (Some(Uid(11)), Some(Uid(2))));
    }

    #[test]
    fn a_value_set_while_it_is_lent_stays() {
        let sim = Simulation::new();
        let worker = Worker::<Tcp>::new("");
        let _peer = sim.connect(worker);
        let connection = first(worker);
        connection.set(Uid(1));
        connection.with(|uid: &mut Uid| {
            connection.set(Uid(2));
            assert_eq!(connection.get(), Some(Uid(2)));
            uid.0 = 100;
        });
        assert_eq!(connection.get(), Some(Uid(2)));
    }

    #[test]
    fn a_value_comes_back_when_a_with_panics() {
        let sim = Simulation::new();
        let worker = Worker::<Tcp>::new("");
        let _peer = sim.connect(worker);
        let connection = first(worker);
        connection.set(Uid(1));
        let panicked = std::panic::catch_unwind(|| connection.with(|_: &mut Uid| super::boom()));
        assert!(panicked.is_err());
        assert_eq!(connection.get(), Some(Uid(1)));
    }

    #[test]
    fn a_connection_may_end_while_its_value_is_lent() {
        let sim = Simulation::new();
        let worker = Worker::<Tcp>::new("");
        let dropped = Rc::new(Cell::new(0_u32));
        worker.on_message(move |connection, _| connection.with(|_: &mut Rc<Cell<u32>>| connection.destroy()));
        worker.on_close(|connection| assert!(connection.with(|_: &mut Rc<Cell<u32>>| ()).is_some()));
        let peer = sim.connect(worker);
        first(worker).set(Rc::clone(&dropped));
        peer.write("x");
        sim.run();
        assert_eq!(Rc::strong_count(&dropped), 1);
    }

    #[test]
    fn a_clone_may_ask_for_itself() {
        struct Curious(workerman::TcpConnection<Tcp>, Log);
        impl Clone for Curious {
            fn clone(&self) -> Self {
                self.1.add(self.0.get::<Self>().is_none());
                self.0.send("cloned");
                Self(self.0, self.1.clone())
            }
        }
        let sim = Simulation::new();
        let log = Log::default();
        let worker = Worker::<Tcp>::new("");
        let peer = sim.connect(worker);
        let connection = first(worker);
        connection.set(Curious(connection, log.clone()));
        assert!(connection.get::<Curious>().is_some());
        assert_eq!((log.take(), peer.read_text()), (vec!["true".to_owned()], "cloned".to_owned()));
    }

    #[test]
    fn the_old_value_may_set_a_new_one_when_it_is_dropped() {
        let sim = Simulation::new();
        let worker = Worker::<Tcp>::new("");
        let _peer = sim.connect(worker);
        let connection = first(worker);
        type Value = OnDrop<Box<dyn FnMut()>>;
        let value = move |left: u32| -> Value { OnDrop(Box::new(move || again(worker, connection, left))) };
        fn again(worker: Worker<Tcp>, connection: workerman::TcpConnection<Tcp>, left: u32) {
            if left > 0 {
                let value: Value = OnDrop(Box::new(move || again(worker, connection, left - 1)));
                if left.is_multiple_of(2) { connection.set(value) } else { worker.set(value) }
            }
        }
        connection.set(value(10));
        connection.set(value(0));
        worker.set(value(10));
        worker.set(value(0));
        connection.destroy();
        sim.run();
        drop(sim);
    }
}

/// Each place where a value of a user's own can be dropped, with a destructor that calls all of the framework.
mod destructors {
    use super::{
        Cell, Duration, LoopHandle, OnDrop, PanicPolicy, Peer, Rc, SendStatus, Simulation, Status, Tcp, TcpConnection,
        Timer, Worker, boom, call_everything, first, keep, never,
    };

    /// Runs `drops` with a value that calls everything; it must have been dropped once at the end.
    fn dropped_once(drops: impl FnOnce(&Simulation, Worker<Tcp>, Peer, Value)) {
        let sim = Simulation::new();
        let worker = Worker::<Tcp>::new("");
        let witness = sim.connect(worker);
        let other = first(worker);
        let peer = sim.connect(worker);
        let count = Rc::new(Cell::new(0));
        let value: Value = OnDrop(Box::new({
            let count = Rc::clone(&count);
            move || {
                count.set(count.get() + 1);
                call_everything(worker, other);
            }
        }));
        drops(&sim, worker, peer, value);
        sim.run();
        assert_eq!(count.get(), 1);
        assert!(witness.read_text().contains("from drop raw "));
        let connection = first(worker);
        assert_eq!(connection.status(), Status::Established);
    }

    type Value = OnDrop<Box<dyn FnMut()>>;

    fn second(worker: Worker<Tcp>) -> TcpConnection<Tcp> {
        worker.connections().nth(1).expect("the second connection")
    }

    #[test]
    fn user_data_of_a_connection() {
        dropped_once(|sim, worker, peer, value| {
            second(worker).set(value);
            peer.finish();
            sim.run();
        });
    }

    #[test]
    fn user_data_of_a_connection_destroyed_in_a_callback() {
        dropped_once(|sim, worker, peer, value| {
            second(worker).set(value);
            worker.on_message(move |_, _| worker.connections().nth(1).map(TcpConnection::destroy));
            peer.write("x");
            sim.run();
        });
    }

    #[test]
    fn user_data_that_is_replaced() {
        dropped_once(|_, worker, _, value| {
            second(worker).set(value);
            second(worker).set::<Value>(OnDrop(Box::new(|| {})));
        });
    }

    #[test]
    fn user_data_that_is_replaced_while_it_is_lent() {
        dropped_once(|_, worker, _, value| {
            second(worker).set(value);
            second(worker).with(|_: &mut Value| second(worker).set::<Value>(OnDrop(Box::new(|| {}))));
        });
    }

    #[test]
    fn user_data_for_a_connection_that_is_gone() {
        dropped_once(|sim, worker, _, value| {
            let gone = second(worker);
            gone.destroy();
            sim.run();
            gone.set(value);
        });
    }

    #[test]
    fn user_data_of_a_worker_that_is_replaced() {
        dropped_once(|_, worker, _, value| {
            worker.set(value);
            worker.set::<Value>(OnDrop(Box::new(|| {})));
        });
    }

    #[test]
    fn a_callback_of_a_worker_that_is_replaced() {
        dropped_once(|_, worker, _, value| {
            worker.on_message(move |_, _| keep(&value));
            worker.on_message(|_, _| {});
        });
    }

    #[test]
    fn a_callback_that_replaces_itself() {
        dropped_once(|sim, worker, peer, value| {
            worker.on_message(move |_, _| {
                keep(&value);
                worker.on_message(|_, _| {});
            });
            peer.write("x");
            sim.run();
        });
    }

    #[test]
    fn a_callback_of_a_connection_that_is_replaced_or_ends_with_it() {
        dropped_once(|_, worker, _, value| {
            second(worker).on_message(move |_, _| keep(&value));
            second(worker).on_message(|_, _| {});
        });
        dropped_once(|sim, worker, peer, value| {
            second(worker).on_close(move |_| keep(&value));
            peer.reset();
            sim.run();
        });
        dropped_once(|sim, worker, _, value| {
            let gone = second(worker);
            gone.destroy();
            sim.run();
            gone.on_message(move |_, _| keep(&value));
        });
    }

    #[test]
    fn a_timers_closure() {
        dropped_once(|_, _, _, value| {
            Timer::del(Timer::add(1, move || keep(&value)));
        });
        dropped_once(|sim, _, _, value| {
            Timer::delay(1, move || keep(&value));
            sim.advance(Duration::from_secs(1));
        });
        dropped_once(|sim, _, _, value| {
            Timer::add(1, move |timer_id| {
                keep(&value);
                Timer::del(timer_id);
            });
            sim.advance(Duration::from_secs(1));
        });
        dropped_once(|_, _, _, value| {
            Timer::add(1, move || keep(&value));
            Timer::del_all();
        });
    }

    #[test]
    fn a_connections_timer() {
        dropped_once(|sim, worker, peer, value| {
            second(worker).add_timer(1, move || keep(&value));
            peer.finish();
            sim.run();
        });
        dropped_once(|sim, worker, _, value| {
            let gone = second(worker);
            gone.destroy();
            sim.run();
            gone.add_timer(1, move || keep(&value));
        });
    }

    #[test]
    fn a_message() {
        dropped_once(|sim, worker, peer, value| {
            let value = Cell::new(Some(value));
            worker.on_message(move |_, _| drop(value.take()));
            peer.write("x");
            sim.run();
        });
    }

    /// What a destructor can be told of a value that is `Send`: it finds its way by the connection's number.
    fn finds_its_way(id: u64) -> OnDrop<impl FnMut() + Send> {
        OnDrop(move || {
            if let Some(connection) = TcpConnection::<Tcp>::find(id) {
                connection.send("from drop");
                connection.set(1);
                Timer::del(Timer::add(1, never));
                let _ = LoopHandle::current().run(|| {});
            }
        })
    }

    #[test]
    fn a_task() {
        let sim = Simulation::new();
        let worker = Worker::<Tcp>::new("");
        let peer = sim.connect(worker);
        let value = finds_its_way(first(worker).id());
        LoopHandle::current().run(move || keep(&value)).unwrap();
        sim.run();
        assert_eq!(peer.read_text(), "from drop");
        let value = finds_its_way(first(worker).id());
        LoopHandle::current().run(move || drop(value)).unwrap();
        sim.run();
        assert_eq!(peer.read_text(), "from drop");
    }

    #[test]
    fn a_task_that_is_refused_because_the_queue_is_full() {
        let sim = Simulation::new();
        let worker = Worker::<Tcp>::new("");
        let peer = sim.connect(worker);
        let id = first(worker).id();
        let handle = LoopHandle::current();
        while handle.run(|| {}).is_ok() {}
        let value = finds_its_way(id);
        assert_eq!(handle.run(move || keep(&value)), Err(workerman::LoopError::Full));
        sim.run();
        assert_eq!(peer.read_text(), "from drop");
    }

    #[test]
    fn everything_at_the_end_of_the_loop() {
        let sim = Simulation::new();
        let worker = Worker::<Tcp>::new("");
        let _peer = sim.connect(worker);
        let connection = first(worker);
        let count = Rc::new(Cell::new(0));
        let value = || {
            let count = Rc::clone(&count);
            OnDrop(move || {
                count.set(count.get() + 1);
                call_everything(worker, connection);
            })
        };
        connection.set(value());
        worker.set(value());
        let (a, b, c, d, e, f) = (value(), value(), value(), value(), value(), value());
        connection.on_message(move |_, _| keep(&a));
        connection.add_timer(1, move || keep(&b));
        worker.on_close(move |_| keep(&c));
        worker.on_worker_stop(move |_| keep(&d));
        Timer::add(1, move || keep(&e));
        Timer::delay(1, move || keep(&f));
        drop(sim);
        assert_eq!(count.get(), 8);
        assert_eq!((connection.status(), connection.send("x")), (Status::Closed, SendStatus::Closed));
        // The thread's next loop starts from nothing.
        let sim = Simulation::new();
        sim.advance(Duration::from_secs(3600));
        assert!(worker.connections().next().is_none());
    }

    #[test]
    fn everything_when_the_app_stops() {
        let sim = Simulation::new();
        let worker = Worker::<Tcp>::new("");
        let _peers = [sim.connect(worker), sim.connect(worker)];
        let count = Rc::new(Cell::new(0));
        let connection = first(worker);
        for other in worker.connections() {
            let count = Rc::clone(&count);
            other.set(OnDrop(move || {
                count.set(count.get() + 1);
                call_everything(worker, connection);
            }));
        }
        sim.stop();
        assert_eq!(count.get(), 2);
    }

    #[test]
    fn a_thread_local_after_the_loop() {
        thread_local! {
            static EARLY: Cell<Option<Value>> = const { Cell::new(None) };
            static LATE: Cell<Option<Value>> = const { Cell::new(None) };
        }
        let (sender, receiver) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            // Touched before the framework is, so that it is dropped after what that may have registered.
            EARLY.set(None);
            let sim = Simulation::new();
            let worker = Worker::<Tcp>::new("");
            let _peer = sim.connect(worker);
            let connection = first(worker);
            let value = |name: &'static str| -> Value {
                let sender = sender.clone();
                OnDrop(Box::new(move || {
                    call_everything(worker, connection);
                    let _ = sender.send((name, connection.status(), connection.send("x")));
                }))
            };
            EARLY.set(Some(value("early")));
            LATE.set(Some(value("late")));
            sim.stop();
        });
        thread.join().unwrap();
        let mut seen: Vec<_> = receiver.iter().collect();
        seen.sort_by_key(|(name, ..)| *name);
        let gone = (Status::Closed, SendStatus::Closed);
        assert_eq!(seen, [("early", gone.0, gone.1), ("late", gone.0, gone.1)]);
    }

    #[test]
    fn a_thread_local_of_a_thread_that_never_had_a_loop() {
        type Plain = OnDrop<fn()>;
        thread_local! {
            static VALUE: Cell<Option<Plain>> = const { Cell::new(None) };
        }
        let thread = std::thread::spawn(|| {
            VALUE.set(Some(OnDrop(|| {
                Timer::del(Timer::add(1, never));
                Worker::<Tcp>::new("").set(5);
                Worker::stop_all();
            })));
        });
        thread.join().unwrap();
    }

    /// Runs `drops` with a value whose destructor panics; another connection must go on.
    fn costs_nobody_else(drops: impl FnOnce(&Simulation, Worker<Tcp>, Peer, OnDrop<fn()>)) {
        let sim = Simulation::new();
        Worker::set_panic_policy(PanicPolicy::CloseConnection);
        let worker = Worker::<Tcp>::new("");
        let witness = sim.connect(worker);
        let other = first(worker);
        let peer = sim.connect(worker);
        drops(&sim, worker, peer, OnDrop(boom));
        sim.run();
        worker.on_message(|connection, bytes| connection.send(bytes));
        witness.write("echo");
        sim.run();
        assert_eq!((witness.read_text(), other.status()), ("echo".to_owned(), Status::Established));
    }

    #[test]
    fn a_panic_in_the_destructor_of_user_data() {
        for end in [Peer::finish, Peer::reset] {
            costs_nobody_else(|sim, worker, peer, value| {
                let gone = second(worker);
                gone.set(value);
                end(&peer);
                sim.run();
                assert_eq!(gone.status(), Status::Closed);
                assert_eq!(worker.connections().count(), 1);
            });
        }
        costs_nobody_else(|sim, worker, peer, value| {
            let gone = second(worker);
            gone.set(value);
            worker.on_message(|connection, _| connection.set::<OnDrop<fn()>>(OnDrop(|| {})));
            peer.write("x");
            sim.run();
            assert_eq!(gone.status(), Status::Closed, "it was the callback that panicked");
        });
    }

    #[test]
    fn a_panic_in_the_destructor_of_a_timer_or_a_task() {
        costs_nobody_else(|_, _, _, value| {
            Timer::del(Timer::add(1, move || keep(&value)));
        });
        costs_nobody_else(|sim, _, _, value| {
            Timer::delay(0, move || keep(&value));
            sim.run();
        });
        costs_nobody_else(|sim, worker, peer, value| {
            second(worker).add_timer(1, move || keep(&value));
            peer.finish();
            sim.run();
        });
        costs_nobody_else(|sim, _, _, value| {
            LoopHandle::current().run(move || keep(&value)).unwrap();
            sim.run();
        });
    }

    #[test]
    fn a_panic_in_the_destructor_of_a_callback_that_replaced_itself() {
        costs_nobody_else(|sim, worker, peer, value| {
            worker.on_message(move |_, _| {
                keep(&value);
                worker.on_message(|_, _| {});
            });
            peer.write("x");
            sim.run();
        });
    }

    #[test]
    fn a_panic_in_the_destructor_of_a_connections_callback() {
        costs_nobody_else(|sim, worker, peer, value| {
            second(worker).on_message(move |_, _| keep(&value));
            peer.finish();
            sim.run();
        });
    }
}
