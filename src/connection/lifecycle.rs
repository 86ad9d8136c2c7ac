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
//! ([`Visit::shut`]), which defers the one [`Event::Close`] there is, and leaves the table only when that is delivered.

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use super::deadline::NEVER;
use super::driver::Driver;
use super::event::Event;
use super::state::{CodecSlot, Connection, Extra, Flags, State, Visit, state, visit};
use super::status::Status;
use super::switched::Switched;
use super::write::{self, Flushed};
use super::{defaults, id, pipe, read, tally};
use crate::callback;
use crate::protocols::output::After;
use crate::protocols::{self, Pace};
use crate::reactor::{self, Deferred, Handler, Key, Kind};
use crate::transport::{Readiness, Transport};

/// How long a peer that sends no more may wait for the answer it is owed, and take to read any of it, in nanoseconds.
const HALF_CLOSED_LIMIT: u64 = 30_000_000_000;

/// Why a client's connection fails whose server does not go along with its opening.
pub(super) const NO_ANSWER: &str = "the server has not answered the handshake in time";
const HUNG_UP: &str = "the server has closed before it answered the handshake";

/// Tells the loop who handles connections.
pub(crate) fn install() {
    protocols::open(|bytes| {
        if let Err(error) = reactor::get().random.fill(bytes) {
            // What is drawn then can be guessed, as that of many other programs.
            log::error!("the system has no random bytes: {error}");
        }
    });
    reactor::get().set_handler(Kind::Connection, Handler { ready: read::ready, flush: write::flush_touched });
}

/// Takes a new connection in and runs its `on_connect`.
pub(crate) fn open(mut transport: Transport, remote: Option<SocketAddr>, driver: &Rc<dyn Driver>) -> io::Result<Key> {
    let (codec, pace) = driver.codec().map_err(|reason| io::Error::other(reason.into_string()))?;
    let connection = Connection::new(Transport::Closed, remote, Rc::clone(driver), codec, defaults::limits());
    let inserted = state().with(|state| state.table.insert(connection));
    let key = inserted.map_err(|connection| {
        callback::discard(connection);
        io::Error::from(io::ErrorKind::OutOfMemory)
    })?;
    let reactor = reactor::get();
    let token = reactor::token(Kind::Connection, key);
    let registered = reactor.with_registry(|registry| transport.register(registry, token));
    if let Err(error) = registered {
        callback::discard(state().with(|state| state.table.remove(key)));
        return Err(error);
    }
    visit(key, |visit| {
        visit.transport = transport;
        visit.codec_pace = pace;
        // A protocol without deadlines never gets one.
        visit.pace = if pace == Pace::Free { Pace::Free } else { Pace::Answer };
        visit.set_deadline(false);
        // What came behind a handshake is here already, and no event will tell of it.
        if visit.transport.holds_more() {
            visit.flags.set(Flags::READABLE);
        }
    });
    driver.admission().enter(remote.map(|remote| remote.ip()));
    driver.deliver(key, Event::Connect);
    visit(key, |visit| visit.list_if_ready());
    Ok(key)
}

/// Has an event delivered once the current callback has returned.
pub(super) fn defer(key: Key, event: Event) {
    reactor::get().defer(Deferred { run: deliver, key, code: event as u32 });
}

/// Closes once everything queued has left: at once, if it can leave at once.
pub(crate) fn close(key: Key) {
    close_after(key, |driver| driver.finish(key));
}

/// Closes once the codec has said what it has to, and everything queued has left.
pub(super) fn close_after(key: Key, finish: impl FnOnce(&dyn Driver)) {
    let driver = visit(key, |visit| match visit.status {
        Status::Established => Some(Rc::clone(&visit.driver)),
        Status::Ending => {
            visit.shut();
            None
        }
        _ => None,
    });
    let Some(driver) = driver.flatten() else { return };
    finish(&*driver);
    visit(key, |visit| {
        if visit.status == Status::Established {
            visit.status = Status::Closing;
            if !visit.flags.has(Flags::BLOCKED) {
                visit.flush();
            }
            visit.set_deadline(false);
            // Of a connection that was paused, the peer's farewell may have been here for long.
            visit.list_if_ready();
        }
    });
}

/// Sends what is queued, then FIN, and closes when the peer has too, or after a moment.
pub(super) fn end(key: Key) {
    let driver = visit(key, |visit| (visit.status == Status::Established).then(|| Rc::clone(&visit.driver)));
    if let Some(driver) = driver.flatten() {
        driver.finish(key);
        visit(key, |visit| visit.end());
    }
}

/// Closes at once. What a callback has sent before leaves if it can; what waits for the peer is lost.
pub(crate) fn destroy(key: Key) {
    visit(key, |visit| {
        if !visit.flags.has(Flags::BLOCKED) {
            visit.write();
        }
        visit.shut();
    });
}

/// After a callback has failed: what was queued leaves, nothing is added, not even the end of a stream.
pub(super) fn close_unfinished(key: Key) {
    visit(key, |visit| {
        if visit.status == Status::Established {
            visit.status = Status::Closing;
            if !visit.flags.has(Flags::BLOCKED | Flags::CORKED) {
                visit.flush();
            }
            visit.set_deadline(false);
        }
    });
}

/// A callback of the connection has failed.
#[cold]
pub(super) fn fail(key: Key) {
    if let Some(driver) = visit(key, |visit| Rc::clone(&visit.driver)) {
        driver.fail(key);
    }
}

/// A connection that had begun an `on_close` is forgotten with all it owned. Destructors of users' values run here.
fn forget(key: Key) {
    let connection = state().with(|state| state.table.remove(key));
    let Some(mut connection) = connection else { return };
    if connection.flags.has(Flags::OWES) {
        log::info!("connection {}: closed before the answer to a request was complete", id::of(key));
    }
    let driver = &connection.driver;
    let acceptor = driver.as_switched().map_or(driver, Switched::acceptor);
    if acceptor.admission().leave(connection.remote.map(|remote| remote.ip())) {
        reactor::get().list(Kind::Listener, acceptor.worker());
    }
    // Nothing of the user's is in a connection without these.
    if let CodecSlot::Boxed(codec) = std::mem::replace(&mut connection.codec, CodecSlot::Out) {
        callback::discard(codec);
    }
    if let Some(extra) = connection.extra.take() {
        let Extra { data, linger: _, timers: _, joints, missed: _, callbacks, failure: _, along } = *extra;
        data.discard();
        callback::discard_all(callbacks);
        callback::discard(along);
        pipe::sever(key, joints);
    }
    let driver = &connection.driver;
    driver.as_switched().map_or(driver, Switched::acceptor).gone(key);
}

/// The connection's timers end before its `on_close`.
fn end_timers(key: Key) {
    let timers = visit(key, |visit| Some(std::mem::take(&mut visit.extra.as_mut()?.timers)));
    for timer in timers.flatten().unwrap_or_default() {
        reactor::get().remove_timer(timer);
    }
}

fn deliver(key: Key, code: u32) {
    let Some(driver) = visit(key, |visit| Rc::clone(&visit.driver)) else { return };
    let event = Event::from_code(code);
    match event {
        Event::Close => {
            end_timers(key);
            driver.deliver(key, event);
            forget(key);
        }
        Event::BufferOverflow | Event::PeerGone | Event::FileBroken | Event::ProtocolFailed => {
            let _reporting = Reporting::begin();
            if event == Event::ProtocolFailed {
                log_failure(key);
            } else {
                tally::count_send_failure();
            }
            if event == Event::FileBroken {
                log::warn!("connection {}: closed, because a file ends too soon or cannot be read", id::of(key));
            }
            driver.deliver(key, event);
        }
        _ => {
            driver.deliver(key, event);
            pipe::follow(key, event);
        }
    }
}

#[cold]
fn log_failure(key: Key) {
    let failure = visit(key, |visit| Some((visit.remote, visit.extra.as_ref()?.failure.clone()?)));
    if let Some((remote, reason)) = failure.flatten() {
        let remote = remote.map_or_else(|| "a Unix socket".to_owned(), |remote| remote.to_string());
        log::warn!("connection {} of {remote}: closed, {reason}", id::of(key));
    }
}

thread_local! {
    /// An `on_error` runs.
    static REPORTING: Cell<bool> = const { Cell::new(false) };
}

/// For as long as an `on_error` runs, even if a panic passes.
pub(crate) struct Reporting;

impl Reporting {
    pub(crate) fn begin() -> Self {
        REPORTING.set(true);
        Self
    }

    pub(crate) fn is_on() -> bool {
        REPORTING.get()
    }
}

impl Drop for Reporting {
    fn drop(&mut self) {
        REPORTING.set(false);
    }
}

impl Visit<'_> {
    /// A message was dropped for lack of room. What an `on_error` itself loses raises no other: whoever answers a drop
    /// with one more send, to this connection or to all, would be called for ever. `send` has told it.
    pub(super) fn overflowed(&self) {
        if !Reporting::is_on() {
            defer(self.key, Event::BufferOverflow);
        }
    }

    /// The one way into `Closed`: the transport closes, buffers go back, `on_close` is due.
    pub(super) fn shut(&mut self) {
        if self.status == Status::Closed {
            return;
        }
        self.status = Status::Closed;
        self.deadline = NEVER;
        self.transport = Transport::Closed;
        self.drop_inbound();
        if let Some(outbound) = self.outbound.take() {
            self.spare.recycle(outbound);
        }
        defer(self.key, Event::Close);
    }

    /// The peer is gone. Of one that was to answer our opening, the app is told.
    #[cold]
    pub(super) fn lost(&mut self) {
        if self.status == Status::Established && self.codec_pace == Pace::Greet {
            self.extra().failure = Some(HUNG_UP.into());
            defer(self.key, Event::ProtocolFailed);
        }
        self.shut();
    }

    /// Everything has left: a connection that waited for this goes on with its end.
    #[inline]
    pub(super) fn drained(&mut self) {
        match self.status {
            Status::Closing => self.close_drained(),
            Status::Ending => self.end_drained(),
            _ => {}
        }
    }

    fn close_drained(&mut self) {
        if self.awaits_farewell() {
            return;
        }
        if !self.take_leave() {
            return;
        }
        // Closing a socket with unread bytes makes a reset of it, which can take our last answer with it.
        if self.flags.has(Flags::READABLE) { self.end() } else { self.shut() }
    }

    /// Tells the peer that this is all. Answers whether that has left; if not, it does when there is room again.
    fn take_leave(&mut self) -> bool {
        if self.transport.farewell() {
            return true;
        }
        self.flags.set(Flags::BLOCKED);
        self.await_room(true).is_err()
    }

    fn end_drained(&mut self) {
        if !self.take_leave() {
            self.expire_after(HALF_CLOSED_LIMIT, |connection| {
                connection.status == Status::Ending && !connection.flags.has(Flags::FIN_SENT)
            });
        } else if self.flags.has(Flags::HALF_CLOSED) {
            self.shut();
        } else if !self.flags.has(Flags::FIN_SENT) {
            self.flags.set(Flags::FIN_SENT);
            self.transport.shutdown_write();
            let linger = self.extra.as_ref().and_then(|extra| extra.linger);
            let linger = linger.unwrap_or_else(defaults::linger);
            self.expire_after(linger, |connection| connection.status == Status::Ending);
        }
    }

    /// The codec has said its last.
    #[cold]
    pub(super) fn end_after(&mut self, after: After) {
        match after {
            // What is queued leaves with the batch that this is part of.
            After::Part if self.status == Status::Established => self.status = Status::Closing,
            After::Part => {}
            _ => self.end(),
        }
    }

    /// Sends what is queued, then FIN, then reads and throws away until the peer has closed too.
    #[cold]
    pub(super) fn end(&mut self) {
        if self.status == Status::Closed {
            return;
        }
        self.status = Status::Ending;
        self.deadline = NEVER;
        self.drop_inbound();
        let blocked = self.flags.has(Flags::BLOCKED);
        if blocked || self.flush() == Flushed::Blocked {
            self.expire_after(HALF_CLOSED_LIMIT, |connection| connection.status == Status::Ending);
        }
        if !blocked {
            self.list_if_ready();
        }
    }

    /// The protocol cannot go on: the app is told why, then the connection ends.
    #[cold]
    pub(super) fn fail(&mut self, reason: Box<str>) {
        if self.status != Status::Closed {
            self.extra().failure = Some(reason);
            defer(self.key, Event::ProtocolFailed);
            self.end();
        }
    }

    /// The peer sends no more, and everything it sent has been dealt with as far as that is possible now.
    #[cold]
    pub(super) fn peer_finished(&mut self) {
        if self.status == Status::Ending && (self.queued() > 0 || self.flags.has(Flags::BLOCKED)) {
            // The last answer first; `drained` does the rest.
            self.flags.clear(Flags::READABLE | Flags::READ_CLOSED);
            self.flags.set(Flags::HALF_CLOSED);
            return;
        }
        let owes = self.flags.has(Flags::OWES);
        if self.codec_pace == Pace::Greet {
            return self.lost();
        }
        if self.status == Status::Ending || !owes && self.is_stream() {
            self.transport.farewell();
            return self.shut();
        }
        if !owes {
            // Nothing but bytes is owed: the connection closes when they have left.
            self.status = Status::Closing;
            if !self.flags.has(Flags::BLOCKED) && self.write() != Flushed::Blocked && self.take_leave() {
                return self.shut();
            }
        }
        self.limit_half_closed();
    }

    /// A peer that sends no more has to take some of what it is owed within each [`HALF_CLOSED_LIMIT`].
    fn limit_half_closed(&mut self) {
        if !self.flags.has(Flags::HALF_CLOSED) {
            self.flags.set(Flags::HALF_CLOSED);
            self.expire_after(HALF_CLOSED_LIMIT, |connection| connection.flags.has(Flags::HALF_CLOSED));
        }
    }

    /// Remembers what an event said, and ends what cannot go on. While bytes are wanted, reading finds out by itself.
    #[inline]
    pub(super) fn note(&mut self, readiness: Readiness) {
        self.remember(readiness);
        if readiness.error && !self.wants_input() {
            self.lost();
        } else {
            self.heed_fin();
        }
    }

    /// A FIN that reading will not come upon: behind a request that waits for its answer, or on an open stream, whose
    /// peer can only have gone.
    #[inline]
    pub(super) fn heed_fin(&mut self) {
        if self.flags.has(Flags::READ_CLOSED) && !self.wants_input() {
            self.heed_hidden_fin();
        }
    }

    /// Destroys the connection after so many nanoseconds, if it is still as described and has read nothing meanwhile. Rare,
    /// so a timer is cheap enough.
    fn expire_after(&mut self, nanoseconds: u64, still: fn(&Connection) -> bool) {
        let (key, written) = (self.key, self.bytes_written);
        let expire = move |_| {
            visit(key, |visit| visit.expire(nanoseconds, still, written));
        };
        // Without a slot for the timer the connection waits for its peer as long as that likes.
        let _ = reactor::get().add_deadline(nanoseconds, Box::new(expire));
    }

    fn expire(&mut self, nanoseconds: u64, still: fn(&Connection) -> bool, written: u64) {
        if self.flags.has(Flags::BLOCKED) {
            // A slow reader is found by trying, as in the sweep of deadlines.
            self.writable();
        }
        match self.bytes_written > written {
            _ if !still(self) => {}
            true => self.expire_after(nanoseconds, still),
            false => self.shut(),
        }
    }

    fn heed_hidden_fin(&mut self) {
        match self.status {
            Status::Established if self.is_stream() => {
                self.write();
                self.shut();
            }
            Status::Established if self.flags.has(Flags::OWES) => self.peer_finished(),
            // Bytes wait for a peer that may never read them.
            Status::Established | Status::Closing if self.flags.has(Flags::BLOCKED) => {
                self.limit_half_closed();
            }
            _ => {}
        }
    }
}

/// How many connections there are, those in their `on_close` included.
pub(crate) fn count() -> usize {
    state().with(|state| state.table.len())
}

/// Closes all connections at once. An answer that the app has not ended does not look as if it were complete.
pub(crate) fn destroy_all() {
    for_all(destroy);
}

pub(super) fn for_all(mut f: impl FnMut(Key)) {
    let mut slot = 0;
    while let Some(key) = state().with(|state| state.table.next_from(slot).map(|(key, _)| key)) {
        f(key);
        slot = key.slot + 1;
    }
}

/// At the end of a loop: nothing of this thread's connections stays. Destructors of users' values run here.
pub(crate) fn clear() {
    #[cfg(feature = "_tls")]
    {
        super::handshake::clear();
        crate::transport::tls::clear();
    }
    callback::discard_all(state().with(State::clear));
    protocols::clear();
}
