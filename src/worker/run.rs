//! From the first worker's start to the last connection's end.

use std::rc::Rc;

use super::listener::Access;
use super::registry::{Entry, WorkerCallback, keys, registry};
use super::{listener, signals};
use crate::address::Address;
use crate::callback;
use crate::connection;
use crate::error::{Error, Result};
use crate::protocols;
use crate::reactor::{self, Key, Table};
use crate::udp;

/// How long connections may take to send what is queued when the process stops, in nanoseconds.
const STOP_LIMIT: u64 = 2_000_000_000;

/// Starts all workers of this thread and handles events until something stops the loop.
pub(super) fn run_all() -> Result<()> {
    let reactor = reactor::get();
    let running = reactor.enter().ok_or(Error::Running)?;
    let cleanup = Cleanup;
    reactor.open()?;
    let signals = signals::install()?;
    start_all()?;
    while !reactor.is_stopping() {
        reactor.turn(true)?;
    }
    stop_all()?;
    drop((signals, cleanup, running));
    Ok(())
}

/// Binds every worker's address, then runs every `on_worker_start`; nothing is accepted before that.
pub(crate) fn start_all() -> Result<(), Error> {
    listener::install();
    connection::install();
    let keys = keys();
    for key in &keys {
        listen(*key)?;
    }
    let udp_keys = udp::listen_all()?;
    for key in keys {
        let Some((name, on_start)) = with_entry(key, |entry| (entry.name.clone(), Rc::clone(&entry.on_start))) else {
            continue;
        };
        run(&on_start, "on_worker_start")
            .map_err(|reason| Error::Start { worker: name.into(), reason: reason.into() })?;
        reactor::get().settle();
    }
    udp::start_all(udp_keys)
}

/// Listens on the worker's address, unless it does already or has none.
pub(super) fn listen(key: Key) -> Result<(), Error> {
    let wanted = with_entry(key, |entry| match entry.listener {
        Some(_) => Ok((Address::None, Access::default())),
        None => Address::parse(&entry.address, entry.scheme).map(|address| (address, entry.access.clone())),
    });
    match wanted.transpose()? {
        None | Some((Address::None, _)) => Ok(()),
        Some((address, access)) => listener::listen(key, &address, &access),
    }
}

/// `on_worker_stop` of every worker, then no more connections, then the end of those there are.
pub(crate) fn stop_all() -> Result<(), Error> {
    let reactor = reactor::get();
    for key in keys() {
        if let Some(on_stop) = with_entry(key, |entry| Rc::clone(&entry.on_stop)) {
            // Its failure is logged; stopping goes on.
            let _ = run(&on_stop, "on_worker_stop");
            reactor.settle();
        }
    }
    udp::stop_all();
    for key in keys() {
        with_entry(key, |entry| entry.listener = None);
    }
    connection::close_all();
    reactor.settle();
    let deadline = reactor.clock.read().saturating_add(STOP_LIMIT);
    if connection::count() > 0 {
        // Ends the wait for events at the deadline.
        reactor.add_deadline(STOP_LIMIT, Box::new(|_| {}))?;
    }
    while connection::count() > 0 && reactor.clock.now() < deadline {
        reactor.turn(!reactor.clock.is_manual())?;
        if reactor.clock.is_manual() {
            // Nobody else lets time pass now: a millisecond a turn.
            reactor.clock.advance(1_000_000);
        }
    }
    // More may be due than is delivered in one go. Nobody comes any more, so this ends.
    connection::destroy_all();
    reactor.settle();
    while connection::count() > 0 && reactor.has_deferred() {
        reactor.settle();
    }
    Ok(())
}

fn run(slot: &WorkerCallback, name: &str) -> Result<(), String> {
    let Some(mut taken) = slot.take() else { return Ok(()) };
    callback::call(name, || taken.get().map_or(Ok(()), |callback| callback()))
}

fn with_entry<R>(key: Key, f: impl FnOnce(&mut Entry) -> R) -> Option<R> {
    registry().with(|table| Some(f(table.get_mut(key)?)))
}

/// Empties the thread's state when the loop ends, however it ends.
#[derive(Debug)]
pub(crate) struct Cleanup;

impl Drop for Cleanup {
    fn drop(&mut self) {
        connection::clear();
        callback::discard_all(registry().with(Table::clear));
        udp::clear();
        reactor::get().close();
        // Those that destructors have made meanwhile.
        callback::discard_all(registry().with(Table::clear));
        udp::clear();
        // After all who may hold one.
        #[cfg(feature = "session")]
        crate::session::clear();
        protocols::clear();
    }
}
