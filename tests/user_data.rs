//! Promise: a value that is kept with a connection or a worker is there once: who takes it has it, and nobody else.

mod common;

use std::rc::Rc;

use common::{GET, Log, exchange, serve};
use workerman::Worker;

#[derive(Debug)]
struct Kept(Rc<()>);

#[test]
fn what_is_taken_is_gone_and_can_be_set_again() {
    let worker = Worker::<workerman::Http>::new("");
    assert_eq!(worker.take::<u8>(), None);
    worker.set(1_u8);
    worker.set("text");
    assert_eq!((worker.take::<u8>(), worker.take::<u8>(), worker.get::<u8>()), (Some(1), None, None));
    assert_eq!(worker.with(|number: &mut u8| *number), None, "nor is there an empty place");
    worker.set(2_u8);
    assert_eq!((worker.get::<u8>(), worker.get::<&str>()), (Some(2), Some("text")));
}

#[test]
fn what_is_lent_cannot_be_taken_and_comes_back() {
    let worker = Worker::<workerman::Http>::new("");
    worker.set(1_u8);
    let inside = worker.with(|number: &mut u8| {
        *number += 1;
        (worker.take::<u8>(), worker.get::<u8>())
    });
    assert_eq!((inside, worker.take::<u8>()), (Some((None, None)), Some(2)));
}

#[test]
fn what_was_taken_from_a_connection_outlives_it() {
    let log = Log::new();
    let write = log.writer();
    let (simulation, worker) = serve(|connection, _| connection.send("text"));
    let value = Rc::new(());
    let kept = Rc::clone(&value);
    worker.on_connect(move |connection| connection.set(Kept(Rc::clone(&kept))));
    worker.on_close(move |connection| {
        write(connection.take::<Kept>());
        write(connection.take::<Kept>());
    });
    let (peer, _) = exchange(&simulation, worker, GET);
    assert_eq!(Rc::strong_count(&value), 3);
    peer.reset();
    simulation.run();
    let taken = log.take();
    assert_eq!((Rc::strong_count(&value), taken.len()), (3, 2));
    assert!(matches!(&taken[..], [Some(Kept(taken)), None] if Rc::ptr_eq(taken, &value)));
}
