//! Birth and death of a connection.
//!
//! ```text
//!  accept ─▶ Established ──close()──▶ Closing ──all sent──▶ Closed ─▶ on_close ─▶ forgotten
//!                 │                                           ▲
//!                 ├── the peer broke the protocol ─▶ Ending ──┤ 1 s, or the peer's FIN
//!                 └── destroy(), reset, FIN ──────────────────┘
//! ```
//!
//! Invariant: every `on_connect` is followed by exactly one `on_close`, because a connection enters `Closed` once
//! ([`State::shut`]), which defers the one [`Event::Close`] there is, and leaves the table only when that is delivered.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use super::deadline::NEVER;
use super::driver::{Driver, Event};
use super::state::{Connection, Extra, Flags, State, state};
use super::status::Status;
use super::write::{self, Flushed};
use super::{defaults, read};
use crate::callback;
use crate::protocols::{Pace, pool};
use crate::reactor::{self, Deferred, Handler, Key, Kind};
use crate::transport::{Readiness, Transport};

/// How long a peer that sends no more may wait for the answer it is owed, in nanoseconds.
const HALF_CLOSED_LIMIT: u64 = 30_000_000_000;

/// Tells the loop who handles connections.
pub(crate) fn install() {
    reactor::get().set_handler(Kind::Connection, Handler { ready: read::ready, flush: write::flush_touched });
}

/// Takes a new connection in and runs its `on_connect`.
pub(crate) fn open(mut transport: Transport, remote: SocketAddr, driver: &Rc<dyn Driver>) -> io::Result<Key> {
    let connection = Connection::new(Transport::Closed, remote, Rc::clone(driver), defaults::limits());
    let inserted = state().with(|state| state.table.insert(connection));
    let key = inserted.map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
    let reactor = reactor::get();
    let registered = transport
        .register(|source| reactor.register(source, Kind::Connection, key), reactor::token(Kind::Connection, key));
    if let Err(error) = registered {
        state().with(|state| state.table.remove(key));
        return Err(error);
    }
    state().with(|state| {
        if let Some(connection) = state.get(key) {
            connection.transport = transport;
            connection.codec_pace = driver.first_pace();
            // A protocol without deadlines never gets one.
            connection.pace = if connection.codec_pace == Pace::Free { Pace::Free } else { Pace::Answer };
        }
        state.set_deadline(key, false);
    });
    driver.admission().enter(remote.ip());
    driver.deliver(key, Event::Connect);
    Ok(key)
}

/// Has an event delivered once the current callback has returned.
pub(super) fn defer(key: Key, event: Event) {
    reactor::get().defer(Deferred { run: deliver, key, code: event as u32 });
}

/// Closes once everything queued has left: at once, if it can leave at once.
pub(crate) fn close(key: Key) {
    let driver = state().with(|state| {
        let connection = state.get(key)?;
        match connection.status {
            Status::Established => Some(Rc::clone(&connection.driver)),
            Status::Ending => {
                state.shut(key);
                None
            }
            _ => None,
        }
    });
    let Some(driver) = driver else { return };
    driver.finish(key);
    state().with(|state| {
        if let Some(connection) = state.get(key).filter(|connection| connection.status == Status::Established) {
            connection.status = Status::Closing;
            if !connection.flags.has(Flags::BLOCKED) {
                let flushed = state.flush(key);
                state.after_flush(key, flushed);
            }
            state.set_deadline(key, false);
        }
    });
}

/// Sends what is queued, then FIN, and closes when the peer has too, or after a moment.
pub(super) fn end(key: Key) {
    let driver = state().with(|state| {
        let connection = state.get(key).filter(|connection| connection.status == Status::Established)?;
        Some(Rc::clone(&connection.driver))
    });
    if let Some(driver) = driver {
        driver.finish(key);
        state().with(|state| state.end(key));
    }
}

/// Closes at once. What a callback has sent before leaves if it can; what waits for the peer is lost.
pub(crate) fn destroy(key: Key) {
    state().with(|state| {
        let Some(connection) = state.get(key) else { return };
        if !connection.flags.has(Flags::BLOCKED) {
            state.flush(key);
        }
        state.shut(key);
    });
}

/// After a callback has failed: what was queued leaves, nothing is added, not even the end of a stream.
pub(super) fn close_unfinished(key: Key) {
    state().with(|state| {
        let Some(connection) = state.get(key).filter(|connection| connection.status == Status::Established) else {
            return;
        };
        connection.status = Status::Closing;
        if !connection.flags.has(Flags::BLOCKED | Flags::CORKED) {
            let flushed = state.flush(key);
            state.after_flush(key, flushed);
        }
    });
}

/// A connection that had begun an `on_close` is forgotten with all it owned. Destructors of users' values run here.
fn forget(key: Key) {
    let connection = state().with(|state| state.table.remove(key));
    let Some(mut connection) = connection else { return };
    if connection.flags.has(Flags::OWES) {
        log::info!("connection {}: closed with a request that was not answered", key.number());
    }
    if connection.driver.admission().leave(connection.remote.ip()) {
        reactor::get().list(Kind::Listener, connection.driver.worker());
    }
    // Nothing of the user's is in a connection without these.
    if let Some(extra) = connection.extra.take() {
        let Extra { data, linger: _, timers: _, callbacks } = *extra;
        data.discard();
        callback::discard(callbacks);
    }
}

/// The connection's timers end before its `on_close`.
fn end_timers(key: Key) {
    let timers = state().with(|state| Some(std::mem::take(&mut state.get(key)?.extra.as_mut()?.timers)));
    for timer in timers.unwrap_or_default() {
        reactor::get().remove_timer(timer);
    }
}

fn deliver(key: Key, code: u32) {
    let Some(driver) = state().with(|state| Some(Rc::clone(&state.get(key)?.driver))) else { return };
    let event = Event::from_code(code);
    if event == Event::Close {
        end_timers(key);
        driver.deliver(key, event);
        forget(key);
    } else {
        driver.deliver(key, event);
    }
}

impl State {
    /// The one way into `Closed`: the transport closes, buffers go back, `on_close` is due.
    pub(super) fn shut(&mut self, key: Key) {
        let Some(connection) = self.table.get_mut(key) else { return };
        if connection.status == Status::Closed {
            return;
        }
        connection.status = Status::Closed;
        connection.deadline = NEVER;
        connection.transport = Transport::Closed;
        connection.drop_inbound();
        if let Some(outbound) = connection.outbound.take() {
            self.recycle(outbound);
        }
        defer(key, Event::Close);
    }

    /// Everything has left: a connection that waited for this goes on with its end.
    #[inline]
    pub(super) fn drained(&mut self, key: Key) {
        let Some(connection) = self.table.get_mut(key) else { return };
        match connection.status {
            // Closing a socket with unread bytes makes a reset of it, which can take our last answer with it.
            Status::Closing if connection.flags.has(Flags::READABLE) => self.end(key),
            Status::Closing => self.shut(key),
            Status::Ending if connection.flags.has(Flags::HALF_CLOSED) => self.shut(key),
            Status::Ending if !connection.flags.has(Flags::FIN_SENT) => {
                connection.flags.set(Flags::FIN_SENT);
                connection.transport.shutdown_write();
                let linger = connection.extra.as_ref().and_then(|extra| extra.linger);
                expire_after(linger.unwrap_or_else(defaults::linger), key, |connection| {
                    connection.status == Status::Ending
                });
            }
            _ => {}
        }
    }

    /// Sends what is queued, then FIN, then reads and throws away until the peer has closed too.
    pub(super) fn end(&mut self, key: Key) {
        let Some(connection) = self.table.get_mut(key).filter(|connection| connection.status != Status::Closed) else {
            return;
        };
        connection.status = Status::Ending;
        connection.deadline = NEVER;
        connection.drop_inbound();
        if connection.flags.has(Flags::BLOCKED) {
            expire_after(HALF_CLOSED_LIMIT, key, |connection| connection.status == Status::Ending);
            return;
        }
        let flushed = self.flush(key);
        self.after_flush(key, flushed);
        if flushed == Flushed::Blocked {
            expire_after(HALF_CLOSED_LIMIT, key, |connection| connection.status == Status::Ending);
        }
        if let Some(connection) = self.table.get_mut(key) {
            connection.list_if_ready(key);
        }
    }

    /// The peer sends no more, and everything it sent has been dealt with as far as that is possible now.
    pub(super) fn peer_finished(&mut self, key: Key) {
        let Some(connection) = self.table.get_mut(key) else { return };
        if connection.status == Status::Ending && connection.queued() > 0 {
            // The last answer first; `drained` does the rest.
            connection.flags.clear(Flags::READABLE | Flags::READ_CLOSED);
            connection.flags.set(Flags::HALF_CLOSED);
            return;
        }
        let owes = connection.flags.has(Flags::OWES);
        if connection.status == Status::Ending || !owes && (connection.is_stream() || connection.queued() == 0) {
            return self.shut(key);
        }
        if !owes {
            // Nothing but bytes is owed: the connection closes when they have left.
            connection.status = Status::Closing;
            if !connection.flags.has(Flags::BLOCKED) && self.flush(key) != Flushed::Blocked {
                return self.shut(key);
            }
        }
        self.limit_half_closed(key);
    }

    /// A peer that sends no more has to take what it is owed within [`HALF_CLOSED_LIMIT`].
    fn limit_half_closed(&mut self, key: Key) {
        let Some(connection) = self.table.get_mut(key) else { return };
        if !connection.flags.has(Flags::HALF_CLOSED) {
            connection.flags.set(Flags::HALF_CLOSED);
            expire_after(HALF_CLOSED_LIMIT, key, |connection| connection.flags.has(Flags::HALF_CLOSED));
        }
    }

    /// Remembers what an event said, and ends what cannot go on. While bytes are wanted, reading finds out by itself.
    pub(super) fn note(&mut self, key: Key, readiness: Readiness) {
        let Some(connection) = self.table.get_mut(key) else { return };
        connection.note(readiness);
        if readiness.error && !connection.wants_input() {
            self.shut(key);
        } else {
            self.heed_fin(key);
        }
    }

    /// A FIN that reading will not come upon: behind a request that waits for its answer, or on an open stream, whose
    /// peer can only have gone.
    pub(super) fn heed_fin(&mut self, key: Key) {
        let Some(connection) = self.table.get_mut(key) else { return };
        if !connection.flags.has(Flags::READ_CLOSED) || connection.wants_input() {
            return;
        }
        match connection.status {
            Status::Established if connection.is_stream() => {
                self.flush(key);
                self.shut(key);
            }
            Status::Established if connection.flags.has(Flags::OWES) => self.peer_finished(key),
            // Bytes wait for a peer that may never read them.
            Status::Established | Status::Closing if connection.flags.has(Flags::BLOCKED) => {
                self.limit_half_closed(key);
            }
            _ => {}
        }
    }
}

/// Destroys the connection after so many nanoseconds, if it is still as described. Rare, so a timer is cheap enough.
fn expire_after(nanoseconds: u64, key: Key, still: fn(&Connection) -> bool) {
    let expire = move |_| {
        state().with(|state| {
            if state.table.get(key).is_some_and(still) {
                state.shut(key);
            }
        });
    };
    // Without a slot for the timer the connection waits for its peer as long as that likes.
    let _ = reactor::get().add_deadline(nanoseconds, Box::new(expire));
}

/// How many connections there are, those in their `on_close` included.
pub(crate) fn count() -> usize {
    state().with(|state| state.table.len())
}

/// The loop ends: every connection sends what it has queued and closes.
pub(crate) fn close_all() {
    for_all(close);
}

/// The time for that is over.
pub(crate) fn destroy_all() {
    for_all(destroy);
}

fn for_all(f: fn(Key)) {
    let mut slot = 0;
    while let Some(key) = state().with(|state| state.table.next_from(slot).map(|(key, _)| key)) {
        f(key);
        slot = key.slot + 1;
    }
}

/// At the end of a loop: nothing of this thread's connections stays. Destructors of users' values run here.
pub(crate) fn clear() {
    callback::discard_all(state().with(State::clear));
    pool::clear();
}
