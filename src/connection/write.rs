//! The way out: encoding what the app sends, the cork, and the socket.
//!
//! What is sent in a callback is collected and leaves when the callback returns, in one write; what is sent to the
//! connection whose messages are being handled leaves after all of them. Long output is written through, and outside
//! of callbacks everything is.

use std::io::{self, IoSlice};

use super::driver::Event;
use super::lifecycle;
use super::state::{Connection, Flags, State, state};
use super::status::{SendStatus, Status};
use crate::callback;
use crate::protocols::output::{Outbound, Output};
use crate::protocols::{Codec, Encoded};
use crate::reactor::{self, Key};

/// More corked bytes than these are written through.
const CORK_LIMIT: usize = 64 * 1024;
/// Parts written at a time.
const SLICES: usize = 32;

/// What the send-buffer limit means for a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Limit {
    /// Above the limit the message is dropped.
    Keep,
    /// The message is the connection's last: it is always queued.
    Ignore,
}

/// What a write came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flushed {
    /// Everything has left.
    Empty,
    /// The rest waits for room.
    Blocked,
    /// The peer is gone.
    Failed,
}

/// Lets the codec of a connection write, and sends what it wrote when its time has come.
pub(super) fn transmit<P: Codec>(
    key: Key,
    ticket: u32,
    limit: Limit,
    encode: impl FnOnce(&mut P, &mut Output<'_>) -> Encoded,
) -> SendStatus {
    let (mut codec, mut outbound) = match state().with(|state| state.check_out::<P>(key, limit)) {
        Ok(taken) => taken,
        Err(Some(status)) => return status,
        Err(None) => {
            log::error!("a message was sent to a connection from within its own codec: dropped");
            return SendStatus::Dropped;
        }
    };
    let before = outbound.len();
    let date = reactor::get().clock.date();
    let mut output = Output::new(&mut outbound, &date, ticket);
    let encoded = encode(&mut codec, &mut output);
    let close_after = output.close_after;
    let (status, touched) = state().with(|state| state.check_in(key, before, codec, outbound, encoded, close_after));
    if let Encoded::Stray(reason) = encoded {
        log_stray(key, reason);
    }
    if touched {
        // Outside of the borrow: a full list is flushed at once.
        reactor::get().touch(key);
    }
    status
}

/// Once for each connection. A logger is user code, so nothing is borrowed here.
#[cold]
fn log_stray(key: Key, reason: &str) {
    let first = state().with(|state| {
        let flags = &mut state.get(key)?.flags;
        let first = !flags.has(Flags::STRAY_LOGGED);
        flags.set(Flags::STRAY_LOGGED);
        Some(first)
    });
    if first == Some(true) {
        log::warn!("connection {}: a message was dropped: {reason}", key.number());
    }
}

/// Has the connection visited when the current callback returns.
pub(super) fn touch(key: Key) {
    state().with(|state| {
        if let Some(connection) = state.get(key) {
            connection.flags.set(Flags::TOUCHED);
        }
    });
    reactor::get().touch(key);
}

impl State {
    /// Takes what encoding needs out of the table, or says why nothing can be sent: `None` when that is out already.
    #[inline]
    fn check_out<P: Codec>(&mut self, key: Key, limit: Limit) -> Result<(P, Box<Outbound>), Option<SendStatus>> {
        let connection = self.get(key).ok_or(SendStatus::Closed)?;
        if connection.status != Status::Established {
            return Err(SendStatus::Closed.into());
        }
        if !connection.driver.speaks::<P>() {
            return Err(SendStatus::WrongProtocol.into());
        }
        // The pieces of an answer that is owed are never dropped: a hole would be filled by the next answer.
        let keep = limit == Limit::Keep && !connection.flags.has(Flags::OWES);
        if connection.queued() > 0 && connection.is_full() && keep {
            self.make_room(key)?;
        }
        let connection = self.get(key).ok_or(SendStatus::Closed)?;
        let codec = connection.take_codec().ok_or(None)?;
        let outbound = connection.outbound.take();
        Ok((codec, outbound.unwrap_or_else(|| self.spare())))
    }

    /// The queue is full. If nothing keeps it from leaving, it leaves; else the new message is dropped.
    #[cold]
    fn make_room(&mut self, key: Key) -> Result<(), SendStatus> {
        if self.get(key).is_some_and(|connection| !connection.flags.has(Flags::BLOCKED)) {
            let flushed = self.flush(key);
            self.after_flush(key, flushed);
        }
        match self.get(key) {
            Some(connection) if connection.status != Status::Established => Err(SendStatus::Closed),
            Some(connection) if connection.is_full() => {
                lifecycle::defer(key, Event::BufferOverflow);
                Err(SendStatus::Dropped)
            }
            Some(_) => Ok(()),
            None => Err(SendStatus::Closed),
        }
    }

    /// Puts everything back and decides when it leaves. The second answer asks for [`reactor::Reactor::touch`].
    #[inline]
    fn check_in<P: Codec>(
        &mut self,
        key: Key,
        before: usize,
        codec: P,
        outbound: Box<Outbound>,
        encoded: Encoded,
        close_after: bool,
    ) -> (SendStatus, bool) {
        let Some(connection) = self.table.get_mut(key) else {
            return (SendStatus::Closed, false);
        };
        connection.put_codec(codec);
        let length = outbound.len();
        if length > 0 || connection.flags.has(Flags::CORKED) {
            connection.outbound = Some(outbound);
        } else {
            self.recycle(outbound);
        }
        let Some(connection) = self.table.get_mut(key) else {
            return (SendStatus::Closed, false);
        };
        if let Encoded::Stray(_) = encoded {
            return (SendStatus::Dropped, false);
        }
        if close_after {
            connection.status = Status::Closing;
        }
        self.leave(key, before, length)
    }

    /// Lets `length` bytes that wait, `before` of them for longer, leave now, or when the callback returns.
    #[inline]
    fn leave(&mut self, key: Key, before: usize, length: usize) -> (SendStatus, bool) {
        let Some(connection) = self.table.get_mut(key) else {
            return (SendStatus::Closed, false);
        };
        let flags = &mut connection.flags;
        if !flags.has(Flags::BLOCKED) {
            let write_through = length >= CORK_LIMIT.min(connection.max_send_buffer_size as usize);
            if callback::is_inside() && !(write_through && length > 0) {
                // Its own batch, or the end of the callback, takes care of it.
                let touched = !flags.has(Flags::CORKED | Flags::TOUCHED);
                if touched {
                    flags.set(Flags::TOUCHED);
                }
                return (SendStatus::Sent, touched);
            }
            let flushed = self.flush(key);
            self.after_flush(key, flushed);
            self.go_on(key);
            match flushed {
                Flushed::Empty => return (SendStatus::Sent, false),
                Flushed::Failed => return (SendStatus::Closed, false),
                Flushed::Blocked => {}
            }
        }
        // Told once: whoever was full before has been told.
        let filled =
            |connection: &Connection| connection.is_full() && before < connection.max_send_buffer_size as usize;
        if self.table.get(key).is_some_and(filled) {
            lifecycle::defer(key, Event::BufferFull);
        }
        (SendStatus::Queued, false)
    }

    /// Writes what waits, as far as there is room.
    pub(super) fn flush(&mut self, key: Key) -> Flushed {
        let Some(connection) = self.table.get_mut(key) else {
            return Flushed::Empty;
        };
        let Some(outbound) = connection.outbound.as_deref_mut() else {
            return Flushed::Empty;
        };
        if outbound.is_empty() {
            if let Some(outbound) = connection.outbound.take() {
                self.recycle(outbound);
            }
            return Flushed::Empty;
        }
        loop {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let (result, offered) = match outbound.as_single() {
                Some(bytes) => (connection.transport.write(bytes), bytes.len()),
                None => {
                    let filled = outbound.slices(&mut slices);
                    let slices = slices.get(..filled).unwrap_or_default();
                    (connection.transport.write_vectored(slices), slices.iter().map(|slice| slice.len()).sum())
                }
            };
            let written = match result {
                Ok(0) if offered > 0 => return Flushed::Failed,
                Ok(written) => written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
                Err(_) => return Flushed::Failed,
            };
            connection.bytes_written += written as u64;
            outbound.advance(written);
            if outbound.is_empty() {
                if let Some(outbound) = connection.outbound.take() {
                    self.recycle(outbound);
                }
                return Flushed::Empty;
            }
            // Less than offered: there is no room left, and an event will come when there is.
            if written < offered {
                connection.flags.set(Flags::BLOCKED);
                return Flushed::Blocked;
            }
        }
    }

    /// What a flush means for the connection's life.
    pub(super) fn after_flush(&mut self, key: Key, flushed: Flushed) {
        match flushed {
            Flushed::Empty => self.drained(key),
            Flushed::Blocked => {}
            Flushed::Failed => {
                lifecycle::defer(key, Event::PeerGone);
                self.shut(key);
            }
        }
    }

    /// There is room again.
    pub(super) fn writable(&mut self, key: Key) {
        let Some(connection) = self.get(key) else { return };
        if !connection.flags.take(Flags::BLOCKED) {
            return;
        }
        let waited = connection.queued();
        match self.flush(key) {
            Flushed::Empty => {
                lifecycle::defer(key, Event::BufferDrain);
                self.drained(key);
            }
            Flushed::Blocked => {
                let progress = self.get(key).is_some_and(|connection| connection.queued() < waited);
                self.set_deadline(key, progress);
            }
            // As PHP does: what breaks in the background is told by `on_close` alone.
            Flushed::Failed => self.shut(key),
        }
        self.go_on(key);
    }

    /// An answer may be complete now, and let the next request in, or a FIN that stood behind it.
    fn go_on(&mut self, key: Key) {
        self.set_deadline(key, false);
        self.heed_fin(key);
        if let Some(connection) = self.get(key) {
            connection.list_if_ready(key);
        }
    }
}

/// The callback that touched this connection has returned.
pub(super) fn flush_touched(key: Key) {
    let raw = state().with(|state| {
        let connection = state.get(key)?;
        connection.flags.clear(Flags::TOUCHED);
        connection.flags.take(Flags::RAW).then(|| connection.driver.clone())
    });
    if let Some(driver) = raw {
        driver.settle_raw(key);
    }
    state().with(|state| {
        let Some(connection) = state.get(key) else { return };
        if !connection.flags.has(Flags::BLOCKED | Flags::CORKED) {
            let flushed = state.flush(key);
            state.after_flush(key, flushed);
        }
        state.go_on(key);
    });
}
