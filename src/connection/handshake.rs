//! Connections to be: sockets that are open, and whose ends still have to agree on how to encrypt.
//!
//! Invariants: whoever begins is told once what has come of it, unless it gives up; nothing of a connection is made before;
//! every handshake has an end, by its own deadline or by that of who has begun it.

use std::fmt;
use std::io;

use crate::callback;
use crate::reactor::{self, Handler, Key, Kind, Table};
use crate::shared::{Leaked, Shared};
use crate::transport::{Readiness, Transport};

thread_local! {
    static HANDSHAKES: Leaked<Shared<Table<Handshake>>> = const { Leaked::new() };
}

/// What is to be done with the encrypted way, or about that there is none.
pub(crate) type Done = Box<dyn FnOnce(io::Result<Transport>)>;

struct Handshake {
    /// It was accepted: a loop that stops waits for it, as the peer knows of no stop.
    is_guest: bool,
    transport: Transport,
    done: Done,
    deadline: Option<Key>,
}

impl fmt::Debug for Handshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handshake").field("transport", &self.transport).finish_non_exhaustive()
    }
}

/// Begins a handshake that may take so many nanoseconds, 0 for ever. What comes of it is told later, not from inside of this;
/// unless there is no room for it.
pub(crate) fn begin(mut transport: Transport, is_guest: bool, time: u64, done: Done) -> Option<Key> {
    let reactor = reactor::get();
    reactor.set_handler(Kind::Handshake, Handler { ready, flush: |_| {} });
    let handshake = Handshake { is_guest, transport: Transport::Closed, done, deadline: None };
    let key = match handshakes().with(|table| table.insert(handshake)) {
        Ok(key) => key,
        Err(handshake) => {
            (handshake.done)(Err(io::ErrorKind::OutOfMemory.into()));
            return None;
        }
    };
    let token = reactor::token(Kind::Handshake, key);
    let registered = reactor.with_registry(|registry| transport.register(registry, token));
    let late = move |_| end(key, Err(io::Error::other("the TLS handshake takes too long")));
    let deadline = if time > 0 { reactor.add_deadline(time, Box::new(late)).ok() } else { None };
    with(key, |handshake| {
        handshake.transport = transport;
        handshake.deadline = deadline;
    });
    match registered {
        // A client speaks first, and a server may have been spoken to.
        Ok(()) => reactor.list(Kind::Handshake, key),
        Err(error) => end(key, Err(error)),
    }
    Some(key)
}

/// Gives up one of a client's, and nobody is told. What would have been called has nothing of the app's in it, so it may go
/// while the client is borrowed.
pub(crate) fn cancel(key: Key) {
    drop(take(key));
}

/// Whether there are some with peers that were accepted.
pub(crate) fn has_guests() -> bool {
    handshakes().with(|table| {
        let keys = table.keys();
        keys.into_iter().any(|key| table.get_mut(key).is_some_and(|handshake| handshake.is_guest))
    })
}

/// At the end of a loop.
pub(crate) fn clear() {
    let all = handshakes().with(Table::clear);
    callback::discard_all(all.into_iter().map(|handshake| handshake.done));
}

fn ready(key: Key, _: Readiness) {
    match with(key, |handshake| handshake.transport.handshake()) {
        None | Some(Ok(false)) => {}
        Some(Ok(true)) => end(key, Ok(())),
        Some(Err(error)) => end(key, Err(error)),
    }
}

fn end(key: Key, result: io::Result<()>) {
    if let Some(handshake) = take(key) {
        (handshake.done)(result.map(|()| handshake.transport));
        reactor::get().settle();
    }
}

fn take(key: Key) -> Option<Handshake> {
    let mut handshake = handshakes().with(|table| table.remove(key))?;
    if let Some(deadline) = handshake.deadline.take() {
        reactor::get().remove_timer(deadline);
    }
    Some(handshake)
}

fn with<R>(key: Key, f: impl FnOnce(&mut Handshake) -> R) -> Option<R> {
    handshakes().with(|table| Some(f(table.get_mut(key)?)))
}

fn handshakes() -> &'static Shared<Table<Handshake>> {
    HANDSHAKES.with(Leaked::get)
}
