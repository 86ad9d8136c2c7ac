//! Other threads reach the loop: in order, within bounds, and only while it is there.

mod outside;

use std::process::Command;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use outside::{Process, Server, descriptors, eventually, receive};
use workerman::{Http, LoopError, LoopHandle, TcpConnection, Timer, Worker};

/// The most closures that may wait.
const CAPACITY: usize = 4096;

fn server() -> Server {
    Server::start(|_| {})
}

#[test]
fn a_handle_may_be_cloned_sent_and_shared() {
    fn check<T: Clone + Send + Sync + 'static>() {}
    check::<LoopHandle>();
}

#[test]
fn a_closure_runs_on_the_thread_of_the_loop_which_sleeps_until_then() {
    let (sender, receiver) = mpsc::channel();
    let on_start = sender.clone();
    let server = Server::start(move |_| {
        let _ = on_start.send(thread::current().id());
    });
    let of_the_loop = receive("the loop's thread", &receiver);
    // Nothing else wakes the loop: it has no timers and no connections.
    thread::sleep(Duration::from_millis(50));
    for _ in 0..100 {
        let sender = sender.clone();
        server.handle.run(move || _ = sender.send(thread::current().id())).expect("the loop takes it");
        assert_eq!(receive("the closure's thread", &receiver), of_the_loop);
    }
}

#[test]
fn the_closures_of_a_thread_run_in_its_order() {
    const THREADS: usize = 4;
    const EACH: usize = 2_000;
    let server = server();
    let (sender, receiver) = mpsc::channel();
    let threads: Vec<_> = (0..THREADS)
        .map(|number| {
            let (handle, sender) = (server.handle.clone(), sender.clone());
            thread::spawn(move || {
                for count in 0..EACH {
                    let sender = sender.clone();
                    let task = move || _ = sender.send((number, count));
                    while handle.run(task.clone()) == Err(LoopError::Full) {
                        thread::yield_now();
                    }
                }
            })
        })
        .collect();
    let mut next = [0; THREADS];
    for _ in 0..THREADS * EACH {
        let (number, count) = receive("what a closure sends", &receiver);
        let expected = next.get_mut(number).expect("a thread's number");
        assert_eq!(count, *expected, "of thread {number}");
        *expected += 1;
    }
    threads.into_iter().for_each(|thread| thread.join().expect("no thread panics"));
}

#[test]
fn a_full_queue_refuses_and_drops_the_closure_and_recovers() {
    let server = server();
    let (blocked, is_blocked) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let block = move || {
        let _ = blocked.send(());
        let _ = released.recv_timeout(outside::PATIENCE);
    };
    server.handle.run(block).expect("the loop takes it");
    receive("the loop is blocked", &is_blocked);

    let (sender, receiver) = mpsc::channel();
    for number in 0..CAPACITY {
        let sender = sender.clone();
        server.handle.run(move || _ = sender.send(number)).expect("there is room");
    }
    let guard = Arc::new(());
    let held = Arc::clone(&guard);
    assert_eq!(server.handle.run(move || drop(held)), Err(LoopError::Full));
    assert_eq!(Arc::strong_count(&guard), 1, "the refused closure is dropped");

    drop(release);
    for expected in 0..CAPACITY {
        assert_eq!(receive("what a closure sends", &receiver), expected);
    }
    server.handle.run(move || _ = sender.send(CAPACITY)).expect("there is room again");
    assert_eq!(receive("what a closure sends", &receiver), CAPACITY);
}

#[test]
fn after_the_end_of_the_loop_closures_are_refused_and_none_is_kept() {
    let server = server();
    let handle = server.handle.clone();
    let guard = Arc::new(());
    let (held, late) = (Arc::clone(&guard), handle.clone());
    let last = move || {
        Worker::stop_all();
        // Behind the last turn: it runs or it is dropped, but it does not stay.
        let _ = late.run(move || drop(held));
    };
    handle.run(last).expect("the loop takes it");
    drop(server);
    let held = Arc::clone(&guard);
    assert_eq!(handle.run(move || drop(held)), Err(LoopError::Stopped));
    assert_eq!(Arc::strong_count(&guard), 1);
}

#[test]
fn what_came_before_the_loop_ran_runs_in_it() {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let handle = LoopHandle::current();
        let early = handle.clone();
        let first = sender.clone();
        thread::spawn(move || early.run(move || _ = first.send("early"))).join().expect("no panic").expect("taken");
        // A loop that never hears of it would wait for ever.
        Timer::delay(5, Worker::stop_all);
        handle.run(Worker::stop_all).expect("the loop takes it");
        let started = outside::now();
        Worker::run_all().expect("the loop ends without an error");
        assert!(started.elapsed() < Duration::from_secs(2), "the loop was not told of what waited");
        let _ = sender.send("ended");
    });
    assert_eq!(receive("the early closure", &receiver), "early");
    assert_eq!(receive("the end of the loop", &receiver), "ended");
}

#[test]
fn a_thread_may_run_a_second_loop_with_a_handle_of_its_own() {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for _ in 0..2 {
            let worker = Worker::<Http>::new("127.0.0.1:0");
            let sender = sender.clone();
            worker.on_worker_start(move |_| _ = sender.send(LoopHandle::current()));
            Worker::run_all().expect("the loop ends without an error");
        }
    });
    let first = receive("the first loop", &receiver);
    first.run(Worker::stop_all).expect("the first loop takes it");
    let second = receive("the second loop", &receiver);
    assert_eq!(first.run(|| ()), Err(LoopError::Stopped));
    second.run(Worker::stop_all).expect("the second loop takes it");
    eventually("the second loop has ended", || second.run(|| ()) == Err(LoopError::Stopped));
}

#[test]
fn a_closure_that_panics_ends_neither_the_loop_nor_those_behind_it() {
    let server = Server::start(|_| Worker::set_panic_policy(workerman::PanicPolicy::CloseConnection));
    let (sender, receiver) = mpsc::channel();
    server.handle.run(|| panic!("on purpose")).expect("the loop takes it");
    server.handle.run(move || _ = sender.send(())).expect("the loop takes it");
    receive("what the next closure sends", &receiver);
}

#[test]
fn an_answer_computed_elsewhere_reaches_its_connection_by_id() {
    let server = Server::start(|worker| {
        worker.on_message(|connection, _request| {
            let (id, handle) = (connection.id(), LoopHandle::current());
            thread::spawn(move || {
                let task = move || {
                    let connection = TcpConnection::<Http>::find(id).expect("it is there");
                    connection.send("from elsewhere");
                };
                handle.run(task)
            });
        });
    });
    let mut client = server.connect();
    for _ in 0..3 {
        outside::ask(&mut client, "/", "from elsewhere");
    }
}

const AS_CHILD: &str = "WORKERMAN_TEST_AS_CHILD";

#[test]
fn two_thousand_threads_with_a_loop_each_fit_into_64_descriptors() {
    if std::env::var_os(AS_CHILD).is_some() {
        return run_two_thousand_loops();
    }
    let this = std::env::current_exe().expect("a test knows its own file");
    let name = "two_thousand_threads_with_a_loop_each_fit_into_64_descriptors";
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 64 && exec \"$0\" \"$@\""]).arg(this).args(["--exact", name, "--nocapture"]);
    let child = Process::start(command.env(AS_CHILD, "1"));
    let counts = child.line_after("descriptors ");
    let (status, errors) = child.wait();
    assert!(status.success(), "{errors}");
    let counts: Vec<&str> = counts.split(' ').collect();
    assert!(matches!(*counts, [before, after] if before == after), "before and after: {counts:?}");
}

fn run_two_thousand_loops() {
    let run = || {
        thread::spawn(|| {
            let worker = Worker::<Http>::new("127.0.0.1:0");
            worker.on_worker_start(|_| Worker::stop_all());
            Worker::run_all().map_err(|error| error.to_string())
        })
        .join()
        .expect("no loop panics")
        .expect("each loop has its descriptors");
    };
    run();
    let before = descriptors("self");
    for _ in 0..2_000 {
        run();
    }
    println!("\ndescriptors {before} {}", descriptors("self"));
}
