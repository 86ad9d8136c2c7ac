//! Promise: what would block the loop is done elsewhere, its result comes back to the loop, and nothing of it is lost or left.

#![allow(clippy::indexing_slicing)] // a failing index fails the test

mod common;
mod outside;

use std::cell::Cell;
use std::net::TcpListener;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use common::{Log, bodies, exchange, get, serve};
use outside::{PATIENCE, Server, ask, eventually, read_to_end, receive};
use workerman::testing::Simulation;
use workerman::{AsyncTcpConnection, Http, PanicPolicy, Panicked, Status, Task, TaskError, Tcp, Timer, Worker};

/// Tests that change what all loops of the process share, or count its threads.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> std::sync::MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[test]
fn a_result_comes_back_in_a_later_turn_with_all_that_was_kept_for_it() {
    let (simulation, worker) = serve(|connection, request| -> workerman::Result<()> {
        let number: u64 = request.get("n").ok_or("no number")?.parse()?;
        // Not `Send`: it never leaves the loop.
        let kept = Rc::new(Cell::new(1));
        Task::run(move || number * 2, move |twice| connection.send((twice.unwrap_or(0) + kept.get()).to_string()))?;
        Ok(())
    });
    let (peer, answer) = exchange(&simulation, worker, get("/?n=20"));
    assert_eq!(bodies(&answer), ["41"]);
    peer.write(get("/?n=1"));
    simulation.run();
    assert_eq!(bodies(&peer.read()), ["3"]);
}

#[test]
fn a_panic_costs_the_result_alone() {
    let simulation = Simulation::new();
    let log = Log::new();
    let told = log.writer();
    Task::run(|| -> u32 { panic!("no luck") }, move |result| told(result.map_err(|error: Panicked| error.to_string())))
        .expect("it is taken");
    simulation.run();
    assert_eq!(log.take(), [Err("the task panicked: no luck".to_owned())]);
}

#[test]
fn a_connection_that_has_gone_keeps_nobody_from_the_result() {
    let log = Log::new();
    let told = log.writer();
    let (simulation, worker) = serve(move |connection, _| {
        let told = told.clone();
        connection.destroy();
        Task::run(|| 7, move |result| told((result.unwrap_or(0), connection.status())))
            .map_err(|error| error.to_string())
    });
    exchange(&simulation, worker, get("/"));
    assert_eq!(log.take(), [(7, Status::Closed)]);
}

#[test]
fn a_loop_that_ends_drops_what_waits_for_results() {
    let kept = Rc::new(());
    let (simulation, held) = (Simulation::new(), Rc::clone(&kept));
    Task::run(|| (), move |_| drop(held)).expect("it is taken");
    assert_eq!(Rc::strong_count(&kept), 2);
    simulation.stop();
    assert_eq!(Rc::strong_count(&kept), 1);
}

#[test]
fn the_loop_goes_on_while_threads_work() {
    let _alone = alone();
    let (finish, wait) = mpsc::channel::<()>();
    let wait = Arc::new(Mutex::new(wait));
    let server = Server::start(|worker| {
        worker.on_message(move |connection, request| -> workerman::Result<()> {
            let wait = Arc::clone(&wait);
            if request.path() == "/slow" {
                let work = move || wait.lock().is_ok_and(|wait| wait.recv_timeout(PATIENCE).is_ok());
                Task::run(work, move |_| connection.send("slow"))?;
            } else {
                connection.send("quick");
            }
            Ok(())
        });
    });
    let (mut slow, mut quick) = (server.connect(), server.connect());
    std::io::Write::write_all(&mut slow, b"GET /slow HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .expect("it is sent");
    for _ in 0..20 {
        ask(&mut quick, "/", "quick");
    }
    finish.send(()).expect("the work is not over yet");
    assert!(read_to_end(&mut slow).ends_with("slow"));
}

#[test]
fn a_name_is_found_while_all_tasks_wait_for_something() {
    let _alone = alone();
    Task::set_threads(1);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let server = format!("tcp://localhost:{}", listener.local_addr().expect("it is bound").port());
    let ((connected, wait), (tell, told)) = (mpsc::channel(), mpsc::channel());
    let waits = move || wait.recv_timeout(PATIENCE).is_ok();
    let loop_thread = thread::spawn(move || {
        Task::run(waits, move |found| {
            let _ = tell.send(found);
            Worker::stop_all();
        })
        .expect("it is taken");
        let client = AsyncTcpConnection::<Tcp>::new(&server);
        client.on_connect(move |client| {
            let _ = connected.send(());
            client.close();
        });
        client.connect();
        Worker::run_all()
    });
    assert_eq!(receive("whether it was found", &told), Ok(true));
    loop_thread.join().expect("no panic").expect("the loop ends without an error");
    Task::set_threads(4);
}

#[test]
fn a_full_queue_is_an_error_at_once_and_drops_both_closures() {
    let _alone = alone();
    let (held, gate) = (Arc::new(()), mpsc::channel::<()>());
    let (release, wait) = (gate.0, Arc::new(Mutex::new(gate.1)));
    let (start, started) = mpsc::channel();
    let give = || {
        let (wait, held, start) = (Arc::clone(&wait), Arc::clone(&held), start.clone());
        let work = move || {
            let _ = start.send(());
            let _ = wait.lock().map(|wait| wait.recv());
            drop(held);
        };
        match Task::run(work, |_| ()) {
            Ok(()) => true,
            Err(TaskError::Full) => false,
            Err(error) => panic!("{error}"),
        }
    };
    Task::set_threads(2);
    Task::set_queue_limit(3);
    assert_eq!([give(), give()], [true; 2]);
    // Threads may have been busy with the end of another test's task.
    (0..2).for_each(|_| receive("both are at work", &started));
    assert_eq!([give(), give(), give(), give()], [true, true, true, false]);
    assert_eq!(Arc::strong_count(&held), 6, "ours, and the five that were taken");
    drop(release);
    eventually("all are done", || Arc::strong_count(&held) == 1);
    Task::set_threads(4);
    Task::set_queue_limit(1024);
}

#[test]
fn whoever_has_a_result_finds_its_thread_free() {
    let _alone = alone();
    Task::set_threads(1);
    Task::set_queue_limit(0);
    let (sender, results) = mpsc::channel();
    let loop_thread = thread::spawn(move || {
        let worker = Worker::<Http>::new("");
        worker.on_worker_start(move |_| {
            let sender = sender.clone();
            // Once no other test's task is at work.
            Timer::add(0.002, move |timer| {
                let sender = sender.clone();
                if Task::run(|| (), move |_| one_by_one(500, sender)).is_ok() {
                    Timer::del(timer);
                }
            });
        });
        Worker::run_all().expect("the loop ends without an error");
    });
    assert_eq!(receive("the last result", &results), Ok(()));
    loop_thread.join().expect("the loop ends");
    Task::set_threads(4);
    Task::set_queue_limit(1024);
}

/// So many tasks, each when the one before has come back.
fn one_by_one(rest: usize, sender: Sender<Result<(), String>>) {
    let failed = sender.clone();
    let given = Task::run(
        || (),
        move |_| {
            if rest > 0 {
                return one_by_one(rest - 1, sender);
            }
            let _ = sender.send(Ok(()));
            Worker::stop_all();
        },
    );
    if let Err(error) = given {
        let _ = failed.send(Err(format!("{error}, {rest} before the end")));
        Worker::stop_all();
    }
}

#[test]
fn no_result_is_lost_or_doubled_however_they_come() {
    const TASKS: usize = 20_000;
    let _alone = alone();
    Task::set_queue_limit(TASKS);
    let (sender, results) = mpsc::channel();
    let loop_thread = thread::spawn(move || run_tasks(TASKS, &sender));
    let mut numbers = receive("all results", &results);
    loop_thread.join().expect("the loop ends");
    numbers.sort_unstable();
    assert!(numbers.into_iter().eq(0..TASKS));
    Task::set_queue_limit(1024);
}

/// Starts so many tasks on a loop and tells the numbers that came back.
fn run_tasks(tasks: usize, results: &Sender<Vec<usize>>) {
    let numbers: Rc<Cell<Vec<usize>>> = Rc::default();
    let worker = Worker::<Http>::new("");
    let came = Rc::clone(&numbers);
    worker.on_worker_start(move |_| {
        for number in 0..tasks {
            let came = Rc::clone(&came);
            Task::run(
                move || number,
                move |number| {
                    let mut all = came.take();
                    all.push(number.unwrap_or(usize::MAX));
                    if all.len() == tasks {
                        Worker::stop_all();
                    }
                    came.set(all);
                },
            )
            .expect("it is taken");
        }
    });
    Worker::run_all().expect("the loop ends without an error");
    results.send(numbers.take()).expect("somebody waits");
}

#[test]
fn threads_are_as_many_as_are_needed_and_no_more_than_may_be() {
    let _alone = alone();
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let done = Arc::new(AtomicUsize::new(0));
    for _ in 0..40 {
        let (running, most, done) = (Arc::clone(&running), Arc::clone(&most), Arc::clone(&done));
        let work = move || {
            most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            thread::sleep(Duration::from_millis(5));
            running.fetch_sub(1, Ordering::SeqCst);
            done.fetch_add(1, Ordering::SeqCst);
        };
        Task::run(work, |_| ()).expect("it is taken");
    }
    eventually("all are done", || done.load(Ordering::SeqCst) == 40);
    assert_eq!(most.load(Ordering::SeqCst), 4);
}

#[test]
fn another_thread_answers_the_request_that_its_handle_came_with() {
    let (sender, handles) = mpsc::channel();
    let server = Server::start(move |worker| {
        worker.on_message(move |connection, _| drop(sender.send(connection.remote())));
    });
    let mut client = server.connect();
    std::io::Write::write_all(&mut client, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").expect("it is sent");
    let first = receive("the first request", &handles);
    let other = first.clone();
    thread::spawn(move || other.send("from afar")).join().expect("it ends").expect("the loop runs");
    outside::read_until(&mut client, "from afar");
    std::io::Write::write_all(&mut client, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").expect("it is sent");
    let second = receive("the second request", &handles);
    first.send("too late").expect("the loop runs");
    second.run(|connection| connection.close_with("the end")).expect("the loop runs");
    let rest = read_to_end(&mut client);
    assert!(rest.ends_with("the end") && !rest.contains("too late"), "{rest}");
    let (sender, called) = mpsc::channel();
    second.run(move |_| sender.send(())).expect("the loop runs");
    assert!(called.recv().is_err(), "the connection has gone");
}

#[test]
fn a_callback_that_a_task_ends_in_may_fail() {
    let simulation = Simulation::new();
    let log = Log::new();
    let told = log.writer();
    Timer::delay(1, move || told("the loop goes on"));
    Worker::set_panic_policy(PanicPolicy::CloseConnection);
    Task::run(|| 7, |_| -> workerman::Result<()> { Err("no use for it".into()) }).expect("it is taken");
    simulation.advance(Duration::from_secs(1));
    assert_eq!(log.take(), ["the loop goes on"]);
}

#[test]
fn a_result_that_nobody_takes_may_panic_when_dropped() {
    struct Bad;
    impl Drop for Bad {
        fn drop(&mut self) {
            panic!("in a destructor");
        }
    }
    let _alone = alone();
    Task::set_threads(1);
    let (release, wait) = mpsc::channel::<()>();
    let work = move || {
        let _ = wait.recv();
        Bad
    };
    // Its loop has ended before it is done.
    let ended = thread::spawn(move || {
        Task::run(work, |_| ()).expect("it is taken");
        Worker::stop_all();
        Worker::run_all()
    });
    ended.join().expect("it ends").expect("the loop ends without an error");
    drop(release);
    let (tell, told) = mpsc::channel();
    Task::run(move || tell.send(()), |_| ()).expect("it is taken");
    receive("the next task", &told);
    Task::set_threads(4);
}

#[test]
fn a_lower_limit_holds_for_threads_that_there_are() {
    let _alone = alone();
    let (start, started) = (Arc::new(std::sync::Barrier::new(4)), mpsc::channel());
    for _ in 0..4 {
        let (start, tell) = (Arc::clone(&start), started.0.clone());
        Task::run(move || drop((start.wait(), tell.send(()))), |_| ()).expect("it is taken");
    }
    (0..4).for_each(|_| receive("all four", &started.1));
    Task::set_threads(1);
    let (running, most, done) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)), mpsc::channel());
    for _ in 0..20 {
        let (running, most, tell) = (Arc::clone(&running), Arc::clone(&most), done.0.clone());
        let work = move || {
            most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            thread::sleep(Duration::from_millis(1));
            running.fetch_sub(1, Ordering::SeqCst);
            tell.send(())
        };
        Task::run(work, |_| ()).expect("it is taken");
    }
    (0..20).for_each(|_| receive("all are done", &done.1));
    assert_eq!(most.load(Ordering::SeqCst), 1);
    Task::set_threads(4);
}

#[test]
fn what_another_thread_fails_with_costs_its_connection() {
    let (simulation, worker) = serve(|connection, _| {
        let remote = connection.remote();
        let given = thread::spawn(move || remote.run(|_| -> workerman::Result<()> { Err("no answer".into()) }));
        given.join().expect("it ends").expect("the loop runs");
    });
    Worker::set_panic_policy(PanicPolicy::CloseConnection);
    let (peer, answer) = exchange(&simulation, worker, get("/"));
    assert!(String::from_utf8_lossy(answer.as_ref()).starts_with("HTTP/1.1 500 ") && peer.is_finished());
}
