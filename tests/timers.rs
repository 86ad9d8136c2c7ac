//! The promise: timers fire on time, in order, once a turn, cost nothing when they are gone, and end when told to.

mod support;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use support::{Log, OnDrop, boom, get, keep, never};
use workerman::testing::Simulation;
use workerman::{Http, PanicPolicy, Status, Tcp, TcpConnection, Timer, TimerId, Worker};

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// Advances a millisecond at a time and notes when `log` grew.
fn beats(sim: &Simulation, log: &Log, milliseconds: u64) -> Vec<(u64, Vec<String>)> {
    let mut found = Vec::new();
    for now in 1..=milliseconds {
        sim.advance(ms(1));
        let lines = log.take();
        if !lines.is_empty() {
            found.push((now, lines));
        }
    }
    found
}

fn times(sim: &Simulation, log: &Log, milliseconds: u64) -> Vec<u64> {
    beats(sim, log, milliseconds).into_iter().map(|(now, _)| now).collect()
}

#[test]
fn add_and_repeat_fire_again_and_again_and_delay_once() {
    let sim = Simulation::new();
    let log = Log::default();
    for (name, start) in [("add", 0), ("repeat", 1), ("delay", 2)] {
        let log = log.clone();
        let callback = move || log.add(name);
        match start {
            0 => Timer::add(ms(10), callback),
            1 => Timer::repeat(ms(10), callback),
            _ => Timer::delay(ms(10), callback),
        };
    }
    assert_eq!(sim.next_wake_up(), Some(ms(10)));
    sim.advance(ms(35));
    assert_eq!((log.count("add"), log.count("repeat"), log.count("delay")), (3, 3, 1));
}

#[test]
fn seconds_are_integers_or_floats_or_a_duration() {
    let sim = Simulation::new();
    let log = Log::default();
    let add = |name: &'static str| {
        let log = log.clone();
        move || log.add(name)
    };
    Timer::delay(1, add("i32"));
    Timer::delay(2_u64, add("u64"));
    Timer::delay(3_i64, add("i64"));
    Timer::delay(4_u32, add("u32"));
    Timer::delay(5_usize, add("usize"));
    Timer::delay(0.25, add("f64"));
    Timer::delay(0.5_f32, add("f32"));
    Timer::delay(ms(750), add("Duration"));
    sim.advance(ms(999));
    assert_eq!(log.take(), ["f64", "f32", "Duration"]);
    sim.advance(ms(4001));
    assert_eq!(log.take(), ["i32", "u64", "i64", "u32", "usize"]);
    assert_eq!(sim.next_wake_up(), None);
}

#[test]
fn an_interval_that_is_negative_or_no_number_counts_as_zero() {
    let sim = Simulation::new();
    let fired = Rc::new(Cell::new(0));
    let count = || {
        let fired = Rc::clone(&fired);
        move || fired.set(fired.get() + 1)
    };
    for interval in [-1.0, -0.001, f64::NAN, f64::NEG_INFINITY, -0.0] {
        Timer::delay(interval, count());
    }
    Timer::delay(-5, count());
    Timer::delay(f32::NAN, count());
    assert_eq!(sim.next_wake_up(), Some(Duration::ZERO));
    sim.run();
    assert_eq!(fired.get(), 7);
}

#[test]
fn an_interval_beyond_all_bounds_is_accepted_and_never_comes() {
    let sim = Simulation::new();
    Timer::add(f64::INFINITY, never);
    Timer::add(f64::MAX, never);
    Timer::add(u64::MAX, never);
    Timer::add(Duration::MAX, never);
    Timer::delay(Duration::MAX, never);
    sim.advance(Duration::from_secs(100 * 365 * 24 * 3600));
    assert!(Timer::add(1, || {}).to_string() != "0");
}

#[test]
fn ids_start_at_one_are_unique_and_shown_as_numbers() {
    let sim = Simulation::new();
    let first = Timer::add(1, || {});
    assert_eq!((first.to_string(), format!("{first:?}")), ("1".to_owned(), "TimerId(1)".to_owned()));
    let mut ids: Vec<TimerId> = (0..100).map(|_| Timer::add(1, || {})).collect();
    ids.push(first);
    Timer::del(first);
    ids.push(Timer::add(1, || {}));
    for (nth, id) in ids.iter().enumerate() {
        assert!(!ids[..nth].contains(id));
        assert!(id.to_string().parse::<u64>().unwrap() >= 1);
    }
    drop(sim);
    // Not even for the next loop of the thread.
    let _sim = Simulation::new();
    assert!(!ids.contains(&Timer::add(1, || {})));
}

#[test]
fn a_callback_may_take_its_id() {
    let sim = Simulation::new();
    let seen = Rc::new(Cell::new(None));
    let id = Timer::add(1, {
        let seen = Rc::clone(&seen);
        move |timer_id| seen.set(Some(timer_id))
    });
    sim.advance(ms(1000));
    assert_eq!(seen.get(), Some(id));
}

#[test]
fn zero_fires_once_a_turn_and_starves_no_connection() {
    let sim = Simulation::new();
    let worker = Worker::<Tcp>::new("");
    worker.on_message(|connection, bytes| connection.send(bytes));
    let fired = Rc::new(Cell::new(0));
    Timer::add(0, {
        let fired = Rc::clone(&fired);
        move || fired.set(fired.get() + 1)
    });
    let peer = sim.connect(worker);
    for turn in 1..=100 {
        peer.write("x");
        sim.turn();
        assert_eq!(fired.get(), turn);
        assert_eq!(peer.read_text(), "x");
    }
}

#[test]
fn a_zero_timer_added_in_a_callback_waits_for_the_next_turn() {
    fn again(log: Log, nth: u32) {
        Timer::delay(0, move || {
            log.add(nth);
            again(log.clone(), nth + 1);
        });
    }
    let sim = Simulation::new();
    let log = Log::default();
    again(log.clone(), 0);
    for turn in 0..50 {
        sim.turn();
        assert_eq!(log.take(), [turn.to_string()]);
    }
}

#[test]
fn a_timer_is_never_early() {
    for start in [0_u64, 1, 333_333, 999_999, 1_000_000, 1_500_000] {
        let sim = Simulation::new();
        sim.advance(Duration::from_nanos(start));
        for interval in [1_u64, 500_000, 999_999, 1_000_000, 1_000_001, 2_700_000, 64_000_000, 100_000_001] {
            let fired = Rc::new(Cell::new(false));
            Timer::delay(Duration::from_nanos(interval), {
                let fired = Rc::clone(&fired);
                move || fired.set(true)
            });
            sim.advance(Duration::from_nanos(interval - 1));
            assert!(!fired.get(), "{interval} ns after {start} ns is early");
            sim.advance(ms(1));
            assert!(fired.get(), "{interval} ns after {start} ns is late by more than a millisecond");
        }
    }
}

#[test]
fn runs_stay_on_the_grid_of_the_first() {
    let sim = Simulation::new();
    let log = Log::default();
    Timer::add(0.0025, {
        let log = log.clone();
        move || log.add("tick")
    });
    // 2.5, 5, 7.5, 10, …: rounded up to the millisecond, not added up.
    assert_eq!(times(&sim, &log, 20), [3, 5, 8, 10, 13, 15, 18, 20]);
}

#[test]
fn beats_missed_in_a_stall_stay_missed() {
    let sim = Simulation::new();
    let log = Log::default();
    // A loop that is blocked looks like a clock that jumps: no turn between 100 and 450.
    Timer::add(0.1, {
        let log = log.clone();
        move || log.add("tick")
    });
    sim.advance(ms(100));
    assert_eq!(log.take().len(), 1);
    sim.stall(ms(350));
    sim.turn();
    assert_eq!(log.take().len(), 1, "at 450: one for 200, 300 and 400");
    sim.turn();
    assert_eq!(log.len(), 0);
    assert_eq!(times(&sim, &log, 250), [50, 150, 250], "at 500, 600 and 700, as planned from the start");
}

#[test]
fn timers_fire_in_order_of_due_time_then_of_adding() {
    let sim = Simulation::new();
    let log = Log::default();
    for milliseconds in [200, 100, 300, 100, 5000, 64, 65, 100, 1, 70_000, 300] {
        let log = log.clone();
        Timer::delay(ms(milliseconds), move || log.add(milliseconds));
    }
    sim.stall(ms(100_000));
    sim.turn();
    let expected = [1, 64, 65, 100, 100, 100, 200, 300, 300, 5000, 70_000];
    assert_eq!(log.take(), expected.map(|due: u32| due.to_string()));
}

#[test]
fn timers_added_in_a_callback_fire_after_their_delay() {
    let sim = Simulation::new();
    let log = Log::default();
    Timer::delay(ms(50), {
        let log = log.clone();
        move || {
            log.add("a");
            let log = log.clone();
            Timer::delay(ms(50), move || {
                log.add("b");
                let log = log.clone();
                Timer::delay(ms(50), move || log.add("c"));
            });
        }
    });
    let found = beats(&sim, &log, 200);
    assert_eq!(found, [(50, vec!["a".to_owned()]), (100, vec!["b".to_owned()]), (150, vec!["c".to_owned()])]);
}

#[test]
fn a_deleted_timer_never_fires_and_is_deleted_once() {
    let sim = Simulation::new();
    let id = Timer::add(1, never);
    assert!(Timer::del(id));
    assert!(!Timer::del(id));
    let later = Timer::add(1, || {});
    assert!(!Timer::del(id), "the slot's next tenant is another timer");
    sim.advance(ms(2000));
    assert!(Timer::del(later));
}

#[test]
fn a_timer_may_delete_itself_and_others_in_its_callback() {
    let sim = Simulation::new();
    let log = Log::default();
    let victim = Timer::add(ms(10), never);
    Timer::del(victim);
    let victim = Rc::new(Cell::new(None));
    Timer::add(ms(10), {
        let (log, victim) = (log.clone(), Rc::clone(&victim));
        move |timer_id| {
            log.add(format!("{:?}", victim.take().map(Timer::del)));
            log.add(format!("{} {}", Timer::del(timer_id), Timer::del(timer_id)));
        }
    });
    victim.set(Some(Timer::add(ms(10), never)));
    sim.advance(ms(100));
    assert_eq!(log.take(), ["Some(true)", "true false"]);
    assert_eq!(sim.next_wake_up(), None);
}

#[test]
fn del_all_ends_all_and_those_added_after_it_live() {
    let sim = Simulation::new();
    let log = Log::default();
    let worker = Worker::<Tcp>::new("");
    let _peer = sim.connect(worker);
    for connection in worker.connections() {
        connection.add_timer(1, never);
    }
    Timer::add(ms(50), never);
    Timer::delay(ms(50), never);
    Timer::add(ms(10), {
        let log = log.clone();
        move || {
            log.add("x");
            Timer::del_all();
            let log = log.clone();
            Timer::delay(ms(30), move || log.add("n"));
        }
    });
    sim.advance(ms(2000));
    assert_eq!(log.take(), ["x", "n"]);
    assert_eq!(sim.next_wake_up(), None);
}

#[test]
fn deleted_timers_do_not_keep_the_loop_awake() {
    let sim = Simulation::new();
    assert_eq!(sim.next_wake_up(), None);
    let ids: Vec<TimerId> = (0..1000).map(|nth| Timer::add(ms(nth), || {})).collect();
    assert_eq!(sim.next_wake_up(), Some(Duration::ZERO));
    ids.into_iter().for_each(|id| assert!(Timer::del(id)));
    assert_eq!(sim.next_wake_up(), None);
    Timer::delay(3600, || {});
    assert_eq!(sim.next_wake_up(), Some(Duration::from_secs(3600)));
}

#[test]
fn the_callback_is_dropped_at_once_when_its_timer_ends() {
    let sim = Simulation::new();
    let value = Rc::new(());
    let owner = || {
        let value = Rc::clone(&value);
        move || keep(&value)
    };
    let id = Timer::add(1, owner());
    assert_eq!(Rc::strong_count(&value), 2);
    Timer::del(id);
    assert_eq!(Rc::strong_count(&value), 1);
    Timer::delay(1, owner());
    sim.advance(ms(1000));
    assert_eq!(Rc::strong_count(&value), 1);
    Timer::add(1, owner());
    Timer::del_all();
    assert_eq!(Rc::strong_count(&value), 1);
    Timer::add(1, owner());
    drop(sim);
    assert_eq!(Rc::strong_count(&value), 1);
}

fn resident_bytes() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    text.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).unwrap_or(0) * 4096
}

#[test]
fn adding_and_deleting_does_not_grow_memory() {
    let sim = Simulation::new();
    let some = |count: u64| {
        for nth in 0..count {
            let ballast = [nth; 64];
            let id = Timer::add(ms(nth % 100_000), move || keep(&ballast));
            assert!(Timer::del(id));
        }
    };
    some(1000);
    let before = resident_bytes();
    some(200_000);
    let grown = resident_bytes().saturating_sub(before);
    // Kept, they would be 100 MB of closures and 13 MB of entries.
    assert!(grown < 8 << 20, "{grown} bytes more for 200,000 timers that are gone");
    assert_eq!(sim.next_wake_up(), None);
}

#[test]
fn a_connections_timer_ends_with_it_before_on_close() {
    let sim = Simulation::new();
    let log = Log::default();
    let worker = Worker::<Tcp>::new("");
    worker.on_connect({
        let log = log.clone();
        move |connection| {
            let (ticks, gone) = (log.clone(), log.clone());
            let last = OnDrop(move || gone.add("timer dropped"));
            connection.add_timer(ms(10), move || {
                keep(&last);
                ticks.add(connection.status());
            });
        }
    });
    worker.on_close({
        let log = log.clone();
        move |_| log.add("on_close")
    });
    let peer = sim.connect(worker);
    sim.advance(ms(25));
    assert_eq!(log.take(), ["ESTABLISHED", "ESTABLISHED"]);
    peer.finish();
    sim.run();
    assert_eq!(log.take(), ["timer dropped", "on_close"]);
    assert_eq!(sim.next_wake_up(), None);
}

#[test]
fn a_connections_timer_may_close_it_and_delete_itself() {
    let sim = Simulation::new();
    let log = Log::default();
    let worker = Worker::<Tcp>::new("");
    worker.on_close({
        let log = log.clone();
        move |_| log.add("on_close")
    });
    worker.on_connect({
        let log = log.clone();
        move |connection| {
            let log = log.clone();
            connection.add_timer(ms(50), move |timer_id| {
                connection.send("tick");
                if log.len() == 2 {
                    connection.close();
                    log.add(format!("{:?} {}", connection.status(), Timer::del(timer_id)));
                } else {
                    log.add("tick");
                }
            });
        }
    });
    let peer = sim.connect(worker);
    sim.advance(ms(300));
    assert_eq!(log.take(), ["tick", "tick", "Closed true", "on_close"]);
    assert_eq!(peer.read_text(), "tickticktick");
    assert_eq!(sim.next_wake_up(), None);
}

#[test]
fn a_connection_may_have_many_timers_and_all_of_them_end() {
    let sim = Simulation::new();
    let worker = Worker::<Tcp>::new("");
    let _peer = sim.connect(worker);
    let connection = worker.connections().next().unwrap();
    let value = Rc::new(());
    for nth in 0..200 {
        let value = Rc::clone(&value);
        let id = connection.add_timer(ms(nth), move || keep(&value));
        if nth % 3 == 0 {
            assert!(Timer::del(id));
        }
    }
    // Timers that add timers, while they are on their own way.
    connection.add_timer(ms(1), {
        let value = Rc::clone(&value);
        move || {
            let value = Rc::clone(&value);
            connection.add_timer(1, move || keep(&value));
        }
    });
    sim.advance(ms(20));
    connection.destroy();
    sim.run();
    assert_eq!(Rc::strong_count(&value), 1);
    assert_eq!(sim.next_wake_up(), None);
}

#[test]
fn a_timer_for_a_connection_that_is_gone_is_none() {
    let sim = Simulation::new();
    let worker = Worker::<Tcp>::new("");
    let _peer = sim.connect(worker);
    let connection = worker.connections().next().unwrap();
    connection.destroy();
    sim.run();
    let id = connection.add_timer(0, never);
    assert_eq!((id.to_string(), Timer::del(id)), ("0".to_owned(), false));
    assert_eq!(sim.next_wake_up(), None);
}

#[test]
fn a_timer_added_in_on_close_ends_with_the_connection() {
    let sim = Simulation::new();
    let worker = Worker::<Tcp>::new("");
    let value = Rc::new(());
    worker.on_close({
        let value = Rc::clone(&value);
        move |connection| {
            let value = Rc::clone(&value);
            connection.add_timer(1, move || keep(&value));
        }
    });
    let peer = sim.connect(worker);
    peer.finish();
    sim.run();
    assert_eq!(Rc::strong_count(&value), 2, "the callback's own, and no timer's");
    assert_eq!(sim.next_wake_up(), None);
}

#[test]
fn a_timer_added_to_a_connection_that_was_just_destroyed_ends_with_it() {
    let sim = Simulation::new();
    let worker = Worker::<Tcp>::new("");
    worker.on_message(|connection, _| {
        connection.destroy();
        connection.add_timer(0, never);
    });
    let peer = sim.connect(worker);
    peer.write("x");
    sim.run();
    assert_eq!(sim.next_wake_up(), None);
}

#[test]
fn a_panicking_timer_goes_on() {
    let sim = Simulation::new();
    Worker::set_panic_policy(PanicPolicy::CloseConnection);
    let log = Log::default();
    Timer::add(ms(10), {
        let log = log.clone();
        move || {
            log.add("tick");
            boom();
        }
    });
    Timer::add(ms(10), {
        let log = log.clone();
        move || -> workerman::Result<()> {
            log.add("tock");
            Err("boom".into())
        }
    });
    sim.advance(ms(30));
    assert_eq!((log.count("tick"), log.count("tock")), (3, 3));
}

#[test]
fn a_panicking_connection_timer_closes_its_connection() {
    let sim = Simulation::new();
    Worker::set_panic_policy(PanicPolicy::CloseConnection);
    let log = Log::default();
    let worker = Worker::<Tcp>::new("");
    worker.on_close({
        let log = log.clone();
        move |_| log.add("on_close")
    });
    let (bad, good) = (sim.connect(worker), sim.connect(worker));
    let connection = worker.connections().next().unwrap();
    connection.add_timer(ms(10), boom);
    sim.advance(ms(100));
    assert_eq!(log.take(), ["on_close"]);
    assert!(bad.is_closed() && !good.is_closed());
    assert_eq!(sim.next_wake_up(), None);
}

#[test]
fn a_failing_connection_timer_answers_an_open_request_with_500() {
    let sim = Simulation::new();
    Worker::set_panic_policy(PanicPolicy::CloseConnection);
    let worker = Worker::<Http>::new("");
    worker.on_message(|connection, _| {
        connection.add_timer(1, || -> workerman::Result<()> { Err("boom".into()) });
    });
    let peer = sim.connect(worker);
    peer.write(get("/"));
    sim.advance(ms(1000));
    let wire = peer.read_text();
    assert!(wire.starts_with("HTTP/1.1 500 ") && wire.contains("\r\nConnection: close\r\n"), "{wire}");
    assert!(peer.is_finished());
}

#[test]
fn a_timer_outlives_its_connection_unless_it_is_the_connections() {
    // The capture `peer_close_with_timer`.
    let sim = Simulation::new();
    let log = Log::default();
    let worker = Worker::<Tcp>::new("");
    worker.on_connect({
        let log = log.clone();
        move |connection| {
            let log = log.clone();
            Timer::add(ms(50), move |timer_id| {
                log.add(format!("{:?}", connection.send("tick")));
                if log.len() == 8 {
                    Timer::del(timer_id);
                }
            });
        }
    });
    let peer = sim.connect(worker);
    sim.advance(ms(270));
    peer.finish();
    sim.advance(ms(1000));
    assert_eq!(log.count("Sent"), 5);
    assert_eq!(log.count("Closed"), 3);
    assert_eq!(peer.read_text(), "tick".repeat(5));
    assert_eq!(sim.next_wake_up(), None);
}

/// What the rows `timer_*` of `captures/connection_semantics.jsonl` record of PHP Workerman, as far as no other test
/// of this file says the same.
mod captures {
    use super::{Http, Log, Simulation, Status, Tcp, TcpConnection, Timer, TimerId, Worker, beats, get, ms};
    use super::{answers_in_order, named, never};
    use std::cell::Cell;
    use std::rc::Rc;

    #[test]
    fn timer_order_and_timer_same_deadline() {
        let sim = Simulation::new();
        let log = Log::default();
        for (name, milliseconds) in [("b", 200), ("a", 100), ("c", 300), ("d", 100)] {
            named(&log, name, milliseconds);
        }
        sim.advance(ms(1000));
        assert_eq!(log.take(), ["a", "d", "b", "c"]);
    }

    #[test]
    fn timer_one_shot_del_after() {
        let sim = Simulation::new();
        let log = Log::default();
        let id = Rc::new(Cell::new(None));
        let del = |name: &'static str| {
            let (log, id) = (log.clone(), Rc::clone(&id));
            move || log.add(format!("{name} {:?}", id.get().map(Timer::del)))
        };
        id.set(Some(Timer::delay(ms(50), del("t"))));
        Timer::delay(ms(200), del("u"));
        sim.advance(ms(300));
        assert_eq!(log.take(), ["t Some(false)", "u Some(false)"]);
    }

    #[test]
    fn timer_del_before_fire() {
        let sim = Simulation::new();
        let id = Timer::delay(ms(100), never);
        assert_eq!((Timer::del(id), Timer::del(id)), (true, false));
        sim.advance(ms(200));
    }

    #[test]
    fn timer_zero_from_zero() {
        let sim = Simulation::new();
        let log = Log::default();
        Timer::delay(0, {
            let log = log.clone();
            move || {
                log.add("z");
                named(&log, "y", 0);
                log.add("in z");
            }
        });
        sim.run();
        assert_eq!(log.take(), ["z", "in z", "y"]);
    }

    #[test]
    fn timer_readd_same_label() {
        let sim = Simulation::new();
        let log = Log::default();
        let second = |log: Log| {
            Timer::add(ms(100), move |timer_id: TimerId| {
                log.add(format!("second {}", Timer::del(timer_id)));
            });
        };
        Timer::add(ms(50), {
            let log = log.clone();
            move |timer_id| {
                log.add(format!("first {}", Timer::del(timer_id)));
                second(log.clone());
            }
        });
        let found = beats(&sim, &log, 400);
        assert_eq!(found, [(50, vec!["first true".to_owned()]), (150, vec!["second true".to_owned()])]);
    }

    #[test]
    fn timer_auth_deadline_missed() {
        let sim = Simulation::new();
        let log = Log::default();
        let worker = Worker::<Tcp>::new("");
        worker.on_connect(|connection| connection.set(Timer::delay(ms(150), move || connection.close_with("timeout"))));
        worker.on_message(|connection, _| connection.get::<TimerId>().map(Timer::del));
        worker.on_close({
            let log = log.clone();
            move |connection: TcpConnection<Tcp>| log.add(connection.status() == Status::Closed)
        });
        let (slow, quick) = (sim.connect(worker), sim.connect(worker));
        quick.write("password");
        sim.advance(ms(300));
        assert_eq!((slow.read_text(), slow.is_closed()), ("timeout".to_owned(), true));
        assert!(!quick.is_closed());
        assert_eq!(log.take(), ["true"]);
    }

    /// PHP lets the fast answer overtake the slow one (`http_async_replies_out_of_order`); we do not.
    #[test]
    fn late_answers_come_in_order() {
        let sim = Simulation::new();
        let worker = Worker::<Http>::new("");
        worker.on_message(|connection, request| {
            if request.path() == "/slow" {
                Timer::delay(ms(150), move || connection.send("slow"));
            } else {
                connection.send("fast");
            }
        });
        let peer = sim.connect(worker);
        peer.write(get("/slow") + &get("/fast"));
        sim.advance(ms(149));
        assert_eq!(peer.read_text(), "");
        sim.advance(ms(1));
        answers_in_order(&peer.read_text(), &["slow", "fast"]);
    }
}

fn named(log: &Log, name: &'static str, milliseconds: u64) {
    let log = log.clone();
    Timer::delay(ms(milliseconds), move || log.add(name));
}

fn answers_in_order(wire: &str, bodies: &[&str]) {
    let found: Vec<String> = support::answers(wire).into_iter().map(|(_, body)| body).collect();
    assert_eq!(found, bodies);
}
