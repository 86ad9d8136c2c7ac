//! The promise: a panic or an `Err` in a callback costs that connection only, and the peer is told as well as can be;
//! under `Propagate` it reaches whoever runs the loop.

mod support;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use support::{Log, answers, boom, get};
use workerman::testing::{Peer, Simulation};
use workerman::{
    Http, LoopHandle, PanicPolicy, Response, SendStatus, ServerSentEvents, Status, Tcp, TcpConnection, Timer, TimerId,
    Worker,
};

/// How a callback fails.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Panic,
    PanicWithText,
    PanicWithAValue,
    Err,
}

const WAYS: [Way; 4] = [Way::Panic, Way::PanicWithText, Way::PanicWithAValue, Way::Err];

fn fail(way: Way) -> workerman::Result<()> {
    match way {
        Way::Panic => boom(),
        Way::PanicWithText => panic!("with {}", "text"),
        Way::PanicWithAValue => std::panic::panic_any(5_u64),
        Way::Err => {}
    }
    Err("failed".into())
}

/// A loop where failures cost a connection.
fn tolerant() -> Simulation {
    let sim = Simulation::new();
    Worker::set_panic_policy(PanicPolicy::CloseConnection);
    sim
}

const STREAM: &[(&str, &str)] = &[("Content-Type", "text/event-stream")];

/// What a peer receives when `on_message` fails after `before`.
fn answer_of(before: impl Fn(TcpConnection<Http>) + Copy + 'static) -> Vec<String> {
    WAYS.map(|way| {
        let sim = tolerant();
        let log = Log::default();
        let worker = Worker::<Http>::new("");
        worker.on_message(move |connection, _| {
            before(connection);
            fail(way)
        });
        worker.on_close({
            let log = log.clone();
            move |_| log.add("close")
        });
        let peer = sim.connect(worker);
        peer.write(get("/"));
        sim.run();
        assert!(peer.is_finished(), "{way:?}");
        sim.advance(Duration::from_secs(60));
        assert!(peer.is_closed(), "{way:?}");
        assert_eq!(log.take(), ["close"], "{way:?}");
        peer.read_text()
    })
    .into()
}

#[test]
fn before_an_answer_the_peer_gets_a_complete_500_that_closes() {
    for wire in answer_of(|_| {}) {
        assert!(wire.starts_with("HTTP/1.1 500 Internal Server Error\r\n"), "{wire}");
        assert!(wire.contains("\r\nConnection: close\r\n"), "{wire}");
        assert_eq!(answers(&wire), [(500, String::new())]);
    }
}

#[test]
fn after_a_whole_answer_the_peer_gets_that_and_no_500() {
    for wire in answer_of(|connection| {
        connection.send("answer");
    }) {
        assert_eq!(answers(&wire), [(200, "answer".to_owned())]);
    }
}

#[test]
fn after_a_stream_was_opened_it_ends_without_a_last_chunk() {
    for wire in answer_of(|connection| {
        connection.send(Response::new(200, STREAM, ""));
        connection.send(ServerSentEvents::new().data("first"));
    }) {
        assert!(wire.starts_with("HTTP/1.1 200 OK\r\n") && wire.ends_with("data: first\n\n\r\n"), "{wire}");
    }
}

#[test]
fn after_raw_bytes_nothing_is_added() {
    for wire in answer_of(|connection| {
        connection.send_raw("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
    }) {
        assert_eq!(wire, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
    }
}

#[test]
fn after_close_nothing_is_added() {
    for wire in answer_of(|connection| connection.close_with("bye")) {
        assert_eq!(answers(&wire), [(200, "bye".to_owned())]);
    }
    for wire in answer_of(TcpConnection::destroy) {
        assert_eq!(wire, "");
    }
}

#[test]
fn requests_before_it_keep_their_answers_and_those_behind_get_none() {
    let sim = tolerant();
    let log = Log::default();
    let worker = Worker::<Http>::new("");
    worker.on_message({
        let log = log.clone();
        move |connection, request| {
            log.add(request.path());
            if request.path() == "/3" {
                boom();
            }
            connection.send(request.path());
        }
    });
    let peer = sim.connect(worker);
    peer.write((1..=5).map(|nth| get(&format!("/{nth}"))).collect::<String>());
    sim.run();
    assert_eq!(log.take(), ["/1", "/2", "/3"]);
    let expected = [(200, "/1".to_owned()), (200, "/2".to_owned()), (500, String::new())];
    assert_eq!(answers(&peer.read_text()), expected);
    assert!(peer.is_finished());
}

#[test]
fn the_500_waits_for_a_peer_that_reads_slowly() {
    let sim = tolerant();
    let worker = Worker::<Http>::new("");
    worker.on_message(|connection, request| {
        if request.path() == "/bad" {
            boom();
        }
        connection.send("x".repeat(5000));
    });
    let peer = sim.connect(worker);
    peer.set_window(100);
    peer.write(get("/good") + &get("/bad"));
    let mut wire = String::new();
    for _ in 0..200 {
        sim.run();
        wire += &peer.read_text();
    }
    assert_eq!(answers(&wire), [(200, "x".repeat(5000)), (500, String::new())]);
    assert!(peer.is_finished());
}

#[test]
fn a_failing_late_answer_closes_its_connection_if_the_timer_is_the_connections() {
    let sim = tolerant();
    let worker = Worker::<Http>::new("");
    worker.on_message(|connection, request| {
        if request.path() == "/own" {
            connection.add_timer(1, boom);
        } else {
            Timer::delay(1, boom);
        }
    });
    let (own, plain) = (sim.connect(worker), sim.connect(worker));
    own.write(get("/own"));
    plain.write(get("/plain"));
    sim.advance(Duration::from_secs(1));
    assert_eq!(answers(&own.read_text()), [(500, String::new())]);
    assert!(own.is_finished() && !plain.is_finished());
    assert_eq!(plain.read_text(), "");
}

/// One failing connection among others, in a server where everything goes on.
struct Crowd {
    sim: Simulation,
    worker: Worker<Tcp>,
    bad: Peer,
    victim: TcpConnection<Tcp>,
    good: Vec<Peer>,
    log: Log,
}

impl Crowd {
    fn new() -> Self {
        let sim = tolerant();
        let log = Log::default();
        let worker = Worker::<Tcp>::new("");
        worker.on_message(|connection, bytes| connection.send(bytes));
        worker.on_close({
            let log = log.clone();
            move |connection| log.add(format!("close {}", connection.id()))
        });
        Timer::add(1, {
            let log = log.clone();
            move || log.add("tick")
        });
        let bad = sim.connect(worker);
        let victim = worker.connections().next().expect("a connection");
        let good = (0..10).map(|_| sim.connect(worker)).collect();
        Self { sim, worker, bad, victim, good, log }
    }

    fn nobody_else_noticed(&self, closed: bool) {
        self.sim.run();
        let expected = if closed { Status::Closed } else { Status::Established };
        assert_eq!((self.victim.status(), self.bad.is_closed()), (expected, closed));
        assert_eq!(self.log.len(), usize::from(closed));
        self.log.take();
        for (nth, peer) in self.good.iter().enumerate() {
            peer.write(format!("echo {nth}"));
        }
        self.sim.advance(Duration::from_secs(3));
        for (nth, peer) in self.good.iter().enumerate() {
            assert_eq!(peer.read_text(), format!("echo {nth}"));
        }
        assert_eq!(self.log.take(), ["tick"; 3]);
        let new = self.sim.connect(self.worker);
        new.write("new");
        self.sim.run();
        assert_eq!(new.read_text(), "new");
    }
}

#[test]
fn others_notice_nothing_of_a_failing_on_message() {
    for way in WAYS {
        let crowd = Crowd::new();
        crowd.victim.on_message(move |_, _| fail(way));
        crowd.bad.write("x");
        crowd.nobody_else_noticed(true);
    }
}

#[test]
fn others_notice_nothing_of_a_failing_on_close() {
    for way in WAYS {
        let crowd = Crowd::new();
        crowd.victim.on_close(move |_| fail(way));
        crowd.bad.finish();
        crowd.sim.run();
        assert_eq!((crowd.victim.status(), crowd.log.len()), (Status::Closed, 0));
        crowd.log.add("close");
        crowd.nobody_else_noticed(true);
        assert_eq!(crowd.worker.connections().count(), 11);
    }
}

#[test]
fn others_notice_nothing_of_a_failing_buffer_callback_or_on_error() {
    for name in ["full", "drain", "error"] {
        for way in WAYS {
            let crowd = Crowd::new();
            match name {
                "full" => crowd.victim.on_buffer_full(move |_| fail(way)),
                "drain" => crowd.victim.on_buffer_drain(move |_| fail(way)),
                _ => crowd.victim.on_error(move |_, _, _| fail(way)),
            }
            crowd.victim.set_max_send_buffer_size(4);
            crowd.bad.set_window(0);
            crowd.victim.send("queued");
            crowd.victim.send("dropped");
            crowd.sim.run();
            crowd.bad.set_window(100);
            crowd.sim.run();
            assert_eq!(crowd.bad.read_text(), "queued", "{name}: what was queued leaves");
            crowd.nobody_else_noticed(true);
        }
    }
}

#[test]
fn others_notice_nothing_of_a_failing_on_connect() {
    for way in WAYS {
        let crowd = Crowd::new();
        crowd.worker.on_connect(move |connection| {
            connection.send("hello ");
            fail(way)
        });
        let refused = crowd.sim.connect(crowd.worker);
        crowd.worker.on_connect(|_| {});
        assert_eq!((refused.read_text(), refused.is_closed()), ("hello ".to_owned(), true));
        assert_eq!(crowd.log.take().len(), 1);
        crowd.nobody_else_noticed(false);
    }
}

#[test]
fn others_notice_nothing_of_failing_timers_and_tasks() {
    for way in WAYS {
        let crowd = Crowd::new();
        let id = Timer::add(0.1, move || fail(way));
        LoopHandle::current()
            .run(move || {
                if way != Way::Err {
                    let _ = fail(way);
                }
            })
            .unwrap();
        crowd.nobody_else_noticed(false);
        assert!(Timer::del(id), "a failing timer goes on");
    }
}

#[test]
fn a_failing_connection_timer_costs_its_connection() {
    for way in WAYS {
        let crowd = Crowd::new();
        crowd.victim.add_timer(0, move || fail(way));
        crowd.nobody_else_noticed(true);
    }
}

#[test]
fn a_callback_that_failed_is_called_again_for_the_next_connection() {
    let sim = tolerant();
    let log = Log::default();
    let worker = Worker::<Tcp>::new("");
    worker.on_message({
        let log = log.clone();
        move |_, _| {
            log.add("called");
            boom();
        }
    });
    for _ in 0..3 {
        let peer = sim.connect(worker);
        peer.write("x");
        sim.run();
        assert!(peer.is_closed());
    }
    assert_eq!(log.take().len(), 3);
}

#[test]
fn what_a_failing_callback_has_caused_still_happens() {
    let sim = tolerant();
    let log = Log::default();
    let worker = Worker::<Tcp>::new("");
    let peers = [sim.connect(worker), sim.connect(worker), sim.connect(worker)];
    let [one, two, three] = [0, 1, 2].map(|nth| worker.connections().nth(nth).unwrap());
    worker.on_close({
        let log = log.clone();
        move |connection| log.add([one, two, three].iter().position(|known| *known == connection).unwrap_or(99))
    });
    worker.on_message(move |connection, _| {
        connection.send("own");
        two.send("to two");
        three.destroy();
        Timer::delay(0, move || two.send(" later"));
        boom();
    });
    peers[0].write("x");
    sim.run();
    let mut closed = log.take();
    closed.sort();
    assert_eq!(closed, ["0", "2"]);
    assert_eq!((peers[0].read_text(), peers[1].read_text()), ("own".to_owned(), "to two later".to_owned()));
}

#[test]
fn a_failing_on_worker_start_ends_the_start_with_its_error() {
    for way in WAYS {
        let sim = tolerant();
        let worker = Worker::<Tcp>::new("");
        worker.set_name("named");
        worker.on_worker_start(move |_| fail(way));
        let error = sim.start().unwrap_err().to_string();
        assert!(error.contains("named"), "{error}");
        if way == Way::Err {
            assert!(error.contains("failed"), "{error}");
        }
    }
}

#[test]
fn a_failing_on_worker_stop_does_not_keep_the_app_from_stopping() {
    for way in WAYS {
        let sim = tolerant();
        let log = Log::default();
        let worker = Worker::<Tcp>::new("");
        worker.on_worker_stop(move |_| fail(way));
        worker.on_close({
            let log = log.clone();
            move |_| log.add("close")
        });
        let peer = sim.connect(worker);
        sim.stop();
        assert_eq!((log.take(), peer.is_closed()), (vec!["close".to_owned()], true));
    }
}

/// Runs something with the default panic policy of a simulation, and answers what came out of it.
fn propagated(run: impl FnOnce(&Simulation)) -> String {
    let sim = Simulation::new();
    let result = catch_unwind(AssertUnwindSafe(|| run(&sim)));
    let payload = result.expect_err("a panic was swallowed");
    payload.downcast_ref::<&str>().copied().unwrap_or("no text").to_owned()
}

#[test]
fn under_propagate_a_panic_in_each_callback_reaches_whoever_runs_the_loop() {
    fn connected(sim: &Simulation, worker: Worker<Tcp>) -> (Peer, TcpConnection<Tcp>) {
        let peer = sim.connect(worker);
        let connection = worker.connections().next().expect("a connection");
        connection.set_max_send_buffer_size(4);
        (peer, connection)
    }
    type Case = fn(&Simulation, Worker<Tcp>);
    let cases: [Case; 8] = [
        |sim, worker| {
            worker.on_connect(|_| boom());
            sim.connect(worker);
        },
        |sim, worker| {
            worker.on_message(|_, _| boom());
            connected(sim, worker).0.write("x");
        },
        |sim, worker| {
            worker.on_close(|_| boom());
            connected(sim, worker).0.finish();
        },
        |sim, worker| {
            worker.on_buffer_full(|_| boom());
            let (peer, connection) = connected(sim, worker);
            peer.set_window(0);
            connection.send("12345");
        },
        |sim, worker| {
            worker.on_buffer_drain(|_| boom());
            let (peer, connection) = connected(sim, worker);
            peer.set_window(0);
            connection.send("12345");
            peer.set_window(10);
        },
        |sim, worker| {
            worker.on_error(|_, _, _| boom());
            let (peer, connection) = connected(sim, worker);
            peer.reset();
            connection.send("x");
        },
        |_, _| {
            Timer::delay(0, boom);
        },
        |sim, worker| {
            connected(sim, worker).1.add_timer(0, boom);
        },
    ];
    for case in cases {
        let text = propagated(|sim| {
            case(sim, Worker::new(""));
            sim.run();
        });
        assert_eq!(text, "boom");
    }
    assert_eq!(
        propagated(|sim| {
            LoopHandle::current().run(boom).unwrap();
            sim.run();
        }),
        "boom"
    );
    assert_eq!(
        propagated(|sim| {
            Worker::<Tcp>::new("").on_worker_start(|_| boom());
            let _ = sim.start();
        }),
        "boom"
    );
}

#[test]
fn under_propagate_an_error_still_costs_the_connection_only() {
    let sim = Simulation::new();
    let worker = Worker::<Tcp>::new("");
    worker.on_message(|_, _| -> workerman::Result<()> { Err("failed".into()) });
    let (bad, good) = (sim.connect(worker), sim.connect(worker));
    bad.write("x");
    sim.run();
    assert!(bad.is_closed() && !good.is_closed());
}

#[test]
fn run_all_panics_through_and_the_thread_can_run_another_loop() {
    // Without a listener the loop needs no socket; the timer ends it.
    let thread = std::thread::spawn(|| {
        Worker::set_panic_policy(PanicPolicy::Propagate);
        Timer::delay(0, boom);
        assert!(catch_unwind(|| Worker::run_all().is_ok()).is_err());
        let worker = Worker::<Tcp>::new("");
        worker.on_worker_start(|_| Timer::delay(0, Worker::stop_all));
        Worker::run_all().unwrap();
    });
    thread.join().unwrap();
}

#[test]
fn callbacks_may_return_whatever_the_framework_answers() {
    let sim = Simulation::new();
    let worker = Worker::<Tcp>::new("");
    worker.on_message(|_, _| ());
    worker.on_message(|_, _| true);
    worker.on_message(|_, _| Some("anything"));
    worker.on_message(|connection, bytes| -> SendStatus { connection.send(bytes) });
    worker.on_message(|connection, _| -> TimerId { connection.add_timer(1, || {}) });
    worker.on_message(|_, _| -> workerman::Result<()> { Ok(()) });
    worker.on_message(|_, bytes| -> Result<u32, std::num::ParseIntError> { String::from_utf8_lossy(&bytes).parse() });
    worker.on_message(|_, _| -> Result<(), String> { Ok(()) });
    worker.on_message(|_, _| -> Result<(), &'static str> { Ok(()) });
    worker.on_connect(|connection| connection.send("x"));
    worker.on_connect(|connection| connection.get::<u8>());
    worker.on_close(|connection| connection.with(|number: &mut u8| *number));
    worker.on_buffer_full(|_| false);
    worker.on_buffer_drain(|_| -> workerman::Result<()> { Ok(()) });
    worker.on_error(|_, _, _| Timer::add(1, || {}));
    worker.on_worker_start(|_| Timer::add(1, || true));
    worker.on_worker_stop(|_| -> workerman::Result<()> { Ok(()) });
    Timer::add(1, Worker::stop_all);
    Timer::add(1, Timer::del);
    Timer::add(1, |_: TimerId| -> workerman::Result<()> { Ok(()) });
    Timer::delay(1, || Timer::add(1, || {}));
    sim.start().unwrap();
    let peer = sim.connect(worker);
    peer.write("x");
    sim.run();
    assert!(!peer.is_closed());
}

#[test]
fn a_question_mark_in_a_callback_converts_any_error() {
    let sim = tolerant();
    let worker = Worker::<Http>::new("");
    worker.on_message(|connection, request| -> workerman::Result<()> {
        let number: u32 = request.get("n").ok_or("n is missing")?.parse()?;
        std::str::from_utf8(&[b'0' + u8::try_from(number)?])?;
        connection.send(format!("{}", number + 1));
        Ok(())
    });
    for (path, status) in [("/?n=5", 200), ("/?n=five", 500), ("/?n=300", 500), ("/?n=200", 500), ("/", 500)] {
        let peer = sim.connect(worker);
        peer.write(get(path));
        sim.run();
        assert_eq!(answers(&peer.read_text()).first().map(|(status, _)| *status), Some(status), "{path}");
    }
}

#[test]
fn answers_of_a_failed_request_do_not_reach_another() {
    let sim = tolerant();
    let log = Log::default();
    let worker = Worker::<Http>::new("");
    worker.on_message({
        let log = log.clone();
        move |connection, _| {
            let log = log.clone();
            Timer::delay(1, move || log.add(format!("{:?}", connection.send("late"))));
            boom();
        }
    });
    let peer = sim.connect(worker);
    peer.write(get("/"));
    sim.advance(Duration::from_secs(2));
    assert_eq!((log.take(), answers(&peer.read_text()).len()), (vec!["Closed".to_owned()], 1));
}
