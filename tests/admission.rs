//! The promise: a worker takes as many connections as it was told to, and no more; the others wait or are closed.

mod outside;

use std::io::Read;
use std::net::TcpStream;
use std::sync::mpsc;
use std::time::Duration;

use outside::{Server, eventually, receive};
use workerman::{Http, Worker};

/// Something to be done on the server's thread.
type Job = Box<dyn FnMut(Worker<Http>) + Send>;

/// A server, what it has accepted so far, and a way to its worker.
fn serve(set_up: impl FnOnce(Worker<Http>) + Send + 'static) -> (Server, mpsc::Receiver<u64>, impl Fn(Job)) {
    let (accepted, receiver) = mpsc::channel();
    let server = Server::start(move |worker| {
        set_up(worker);
        worker.on_connect(move |connection| accepted.send(connection.id()).is_ok());
        worker.on_message(|connection, _| connection.send("ok"));
        WORKER.set(Some(worker));
    });
    let handle = server.handle.clone();
    let run = move |job: Job| handle.run(move || WORKER.get().into_iter().for_each(job)).expect("the loop runs");
    (server, receiver, run)
}

thread_local! {
    static WORKER: std::cell::Cell<Option<Worker<Http>>> = const { std::cell::Cell::new(None) };
}

const A_MOMENT: Duration = Duration::from_millis(150);

fn is_closed(client: &mut TcpStream) -> bool {
    matches!(client.read(&mut [0; 16]), Ok(0))
}

#[test]
fn more_than_the_limit_wait_until_one_closes() {
    let (server, accepted, _) = serve(|worker| worker.set_max_connections(2));
    let mut clients: Vec<TcpStream> = (0..3).map(|_| server.connect()).collect();
    receive("the first", &accepted);
    receive("the second", &accepted);
    assert!(accepted.recv_timeout(A_MOMENT).is_err(), "a third was accepted");
    clients.remove(0);
    receive("the third, now that there is room", &accepted);
}

#[test]
fn more_than_the_limit_of_an_address_are_closed_and_counted() {
    let (server, accepted, run) = serve(|worker| worker.set_max_connections_per_address(2));
    let mut clients: Vec<TcpStream> = (0..2).map(|_| server.connect()).collect();
    receive("the first", &accepted);
    receive("the second", &accepted);
    assert!(is_closed(&mut server.connect()));
    let (tell, told) = mpsc::channel();
    run(Box::new(move |worker| assert!(tell.send(worker.refused_connections()).is_ok())));
    assert_eq!(receive("the count", &told), 1);
    clients.remove(0);
    eventually("room again", || {
        clients.push(server.connect());
        accepted.recv_timeout(A_MOMENT).is_ok()
    });
}

#[test]
fn while_accepting_is_paused_connections_wait_and_those_there_are_go_on() {
    let (server, accepted, run) = serve(|_| {});
    let mut first = server.connect();
    receive("the first", &accepted);
    run(Box::new(Worker::pause_accept));
    outside::ask(&mut first, "/", "ok");
    let _second = server.connect();
    assert!(accepted.recv_timeout(A_MOMENT).is_err(), "accepted while paused");
    outside::ask(&mut first, "/", "ok");
    run(Box::new(Worker::resume_accept));
    receive("the second", &accepted);
}

#[test]
fn a_worker_that_is_paused_before_it_listens_takes_nobody() {
    let (server, accepted, run) = serve(|worker| worker.pause_accept());
    let _client = server.connect();
    assert!(accepted.recv_timeout(A_MOMENT).is_err(), "one was accepted");
    run(Box::new(|worker| worker.resume_accept()));
    receive("the one that waited", &accepted);
}
