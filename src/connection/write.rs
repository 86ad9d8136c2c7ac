//! The way out: encoding what the app sends, the cork, and the socket.
//!
//! What is sent in a callback is collected and leaves when the callback returns, in one write; what is sent to the
//! connection whose messages are being handled leaves after all of them. Long output is written through, and outside
//! of callbacks everything is.

use std::io::{self, IoSlice};

use super::along;
use super::event::Event;
use super::id;
use super::lifecycle;
use super::state::{Flags, Visit, visit};
use super::status::{SendStatus, Status};
use crate::callback;
use crate::protocols::output::{After, Outbound, Output};
use crate::protocols::{Codec, Encoded};
use crate::reactor::{self, Key, Kind};
use crate::transport::Transport;

/// More corked bytes than these are written through.
const CORK_LIMIT: usize = 64 * 1024;
/// Parts written at a time.
const SLICES: usize = 32;
/// So many pieces of files leave before other connections have their turn, however fast the peer takes them.
const PIECES: usize = 4;

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
    /// The rest waits for room, or for others to have had their turn.
    Blocked,
    /// The peer is gone.
    Failed,
    /// A file ended before what was promised of it, or cannot be read: nothing true can follow.
    Broken,
}

/// Lets the codec of a connection write, and sends what it wrote when its time has come.
pub(super) fn transmit<P: Codec>(
    key: Key,
    ticket: u32,
    limit: Limit,
    encode: impl FnOnce(&mut P, &mut Output<'_>) -> Encoded,
) -> SendStatus {
    if along::is_there() {
        transmit_accompanied(key, ticket, limit, encode)
    } else {
        transmit_alone(key, ticket, limit, encode)
    }
}

/// The same when what is sent may be an answer that something goes along with.
#[cold]
fn transmit_accompanied<P: Codec>(
    key: Key,
    ticket: u32,
    limit: Limit,
    encode: impl FnOnce(&mut P, &mut Output<'_>) -> Encoded,
) -> SendStatus {
    let headers = along::prepare(key, ticket);
    let mut begun = false;
    // Not the instance of `transmit_alone` that is above, which is inlined because it has one caller.
    let status = transmit_alone(key, ticket, limit, |codec: &mut P, output| {
        let encoded;
        (encoded, begun) = output.offer(headers.as_ref(), |output| encode(codec, output));
        encoded
    });
    if begun {
        along::leave(key);
    }
    status
}

#[inline(always)]
fn transmit_alone<P: Codec>(
    key: Key,
    ticket: u32,
    limit: Limit,
    encode: impl FnOnce(&mut P, &mut Output<'_>) -> Encoded,
) -> SendStatus {
    let taken = visit(key, |visit| visit.check_out::<P>(limit));
    let (mut codec, mut outbound) = match taken {
        Some(Ok(taken)) => taken,
        None => return SendStatus::Closed,
        Some(Err(Some(status))) => return status,
        Some(Err(None)) => {
            log::error!("a message was sent to a connection from within its own codec: dropped");
            return SendStatus::Dropped;
        }
    };
    let before = outbound.len();
    let date = reactor::get().clock.date();
    let mut output = Output::new(&mut outbound, &date, ticket);
    let mut encoded = encode(&mut codec, &mut output);
    let after = output.after;
    // A connection does not leave the table while it encodes.
    let checked_in = visit(key, |visit| visit.check_in(before, codec, outbound, &mut encoded, after));
    let (status, touched) = checked_in.unwrap_or((SendStatus::Closed, false));
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
    let first = visit(key, |visit| {
        let first = !visit.flags.has(Flags::STRAY_LOGGED);
        visit.flags.set(Flags::STRAY_LOGGED);
        first
    });
    if first == Some(true) {
        log::warn!("connection {}: a message was dropped: {reason}", id::of(key));
    }
}

/// Has the connection visited when the current callback returns.
pub(super) fn touch(key: Key) {
    visit(key, |visit| visit.flags.set(Flags::TOUCHED));
    reactor::get().touch(key);
}

impl Visit<'_> {
    /// Takes what encoding needs out of the table, or says why nothing can be sent: `None` when that is out already.
    #[inline(always)]
    fn check_out<P: Codec>(&mut self, limit: Limit) -> Result<(P, Box<Outbound>), Option<SendStatus>> {
        if self.status != Status::Established {
            return Err(SendStatus::Closed.into());
        }
        if !self.driver.speaks::<P>() {
            return Err(SendStatus::WrongProtocol.into());
        }
        // The pieces of an answer that is owed are never dropped: a hole would be filled by the next answer.
        let keep = limit == Limit::Keep && !self.flags.has(Flags::OWES);
        if keep && self.queued() > 0 && self.is_full() {
            self.make_room()?;
        }
        let codec = self.take_codec().ok_or(None)?;
        let outbound = self.connection.outbound.take();
        Ok((codec, outbound.unwrap_or_else(|| self.spare.take())))
    }

    /// The queue is full. If nothing keeps it from leaving, it leaves; else the new message is dropped.
    #[cold]
    fn make_room(&mut self) -> Result<(), SendStatus> {
        let room = self.find_room();
        if room == Err(SendStatus::Dropped) {
            self.overflowed();
        }
        room
    }

    /// The same, and nobody is told.
    #[cold]
    pub(super) fn find_room(&mut self) -> Result<(), SendStatus> {
        if !self.flags.has(Flags::BLOCKED) {
            self.flush();
        }
        match self.status {
            Status::Established if self.is_full() => Err(SendStatus::Dropped),
            Status::Established => Ok(()),
            _ => Err(SendStatus::Closed),
        }
    }

    /// Puts everything back and decides when it leaves. The second answer asks for [`reactor::Reactor::touch`].
    #[inline(always)]
    fn check_in<P: Codec>(
        &mut self,
        before: usize,
        codec: P,
        outbound: Box<Outbound>,
        encoded: &mut Encoded,
        after: After,
    ) -> (SendStatus, bool) {
        self.put_codec(codec);
        let length = outbound.len();
        if length > 0 || self.flags.has(Flags::CORKED) {
            self.outbound = Some(outbound);
        } else {
            self.spare.recycle(outbound);
        }
        match encoded {
            Encoded::Done => {}
            Encoded::Kept => return (SendStatus::Queued, false),
            Encoded::Stray(_) => return (SendStatus::Dropped, false),
            Encoded::Failed(reason) => {
                self.fail(std::mem::take(reason).into());
                return (SendStatus::Closed, false);
            }
        }
        match after {
            After::Stay | After::Part => {}
            After::Close => self.status = Status::Closing,
            After::End => {
                self.end();
                return (SendStatus::Sent, false);
            }
        }
        self.leave(before, length)
    }

    /// Lets `length` bytes that wait, `before` of them for longer, leave now, or when the callback returns.
    #[inline]
    pub(super) fn leave(&mut self, before: usize, length: usize) -> (SendStatus, bool) {
        if !self.flags.has(Flags::BLOCKED) {
            let write_through = length >= CORK_LIMIT.min(self.max_send_buffer_size as usize);
            if callback::is_inside() && !(write_through && length > 0) {
                // Its own batch, or the end of the callback, takes care of it.
                let touched = !self.flags.has(Flags::CORKED | Flags::TOUCHED);
                if touched {
                    self.flags.set(Flags::TOUCHED);
                }
                return (SendStatus::Sent, touched);
            }
            let flushed = self.flush();
            self.go_on();
            match flushed {
                Flushed::Empty => return (SendStatus::Sent, false),
                Flushed::Failed | Flushed::Broken => return (SendStatus::Closed, false),
                Flushed::Blocked => {}
            }
        }
        // Told once: whoever was full before has been told.
        if self.is_full() && before < self.max_send_buffer_size as usize {
            lifecycle::defer(self.key, Event::BufferFull);
        }
        (SendStatus::Queued, false)
    }

    /// Writes what waits, as far as there is room, and does what follows from that for the connection's life.
    #[inline]
    pub(super) fn flush(&mut self) -> Flushed {
        let flushed = self.write();
        match flushed {
            Flushed::Empty => self.drained(),
            Flushed::Blocked => {}
            Flushed::Failed => {
                lifecycle::defer(self.key, Event::PeerGone);
                self.shut();
            }
            Flushed::Broken => self.break_off(),
        }
        flushed
    }

    /// Writes what waits, as far as there is room.
    #[inline]
    pub(super) fn write(&mut self) -> Flushed {
        let connection = &mut *self.connection;
        let mut pieces = 0;
        while let Some(outbound) = connection.outbound.as_deref_mut().filter(|outbound| !outbound.is_empty()) {
            let (result, offered) = match outbound.as_single() {
                Some(bytes) => (connection.transport.write(bytes), bytes.len()),
                None => {
                    if outbound.needs_piece() {
                        if pieces == PIECES {
                            return self.rest();
                        }
                        pieces += 1;
                        if outbound.load().is_err() {
                            return Flushed::Broken;
                        }
                    }
                    write_parts(&mut connection.transport, outbound)
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
            // Less than offered: there is no room left, and an event will come when there is.
            if written < offered {
                outbound.unload();
                outbound.set_resting(false);
                connection.flags.set(Flags::BLOCKED);
                return self.blocked();
            }
        }
        if let Some(outbound) = connection.outbound.take() {
            self.spare.recycle(outbound);
        }
        Flushed::Empty
    }

    /// There is no room. Where that is not told of itself once it has changed, it is asked for.
    #[cold]
    fn blocked(&mut self) -> Flushed {
        match self.await_room(true) {
            Ok(()) => Flushed::Blocked,
            Err(_) => Flushed::Failed,
        }
    }

    pub(super) fn await_room(&mut self, wanted: bool) -> io::Result<()> {
        let token = reactor::token(Kind::Connection, self.key);
        reactor::get().with_registry(|registry| self.transport.await_room(wanted, registry, token))
    }

    /// A file has left as fast as it could be read for long enough: it goes on in the next turn.
    #[cold]
    fn rest(&mut self) -> Flushed {
        if let Some(outbound) = &mut self.outbound {
            outbound.set_resting(true);
        }
        self.flags.set(Flags::BLOCKED);
        self.list();
        Flushed::Blocked
    }

    /// Whether a visit is the turn that a file waits for.
    #[cold]
    pub(super) fn has_rested(&self) -> bool {
        self.outbound.as_ref().is_some_and(|outbound| outbound.is_resting())
    }

    /// What was promised cannot be sent. The peer has to see that something is missing, so the connection ends here.
    #[cold]
    fn break_off(&mut self) {
        lifecycle::defer(self.key, Event::FileBroken);
        self.shut();
    }

    /// There is room again.
    #[cold]
    pub(super) fn writable(&mut self) {
        self.flags.clear(Flags::BLOCKED);
        let waited = self.queued();
        match self.write() {
            Flushed::Empty => {
                // At worst there are more events than needed.
                let _ = self.await_room(false);
                if waited > 0 {
                    lifecycle::defer(self.key, Event::BufferDrain);
                }
                self.drained();
            }
            Flushed::Blocked => {
                let progress = self.queued() < waited;
                self.set_deadline(progress);
            }
            // As PHP does: what breaks in the background is told by `on_close` alone.
            Flushed::Failed => self.shut(),
            Flushed::Broken => self.break_off(),
        }
        self.go_on();
    }

    /// An answer may be complete now, and let the next request in, or a FIN that stood behind it.
    fn go_on(&mut self) {
        self.set_deadline(false);
        self.heed_fin();
        self.list_if_ready();
    }
}

#[cold]
fn write_parts(transport: &mut Transport, outbound: &Outbound) -> (io::Result<usize>, usize) {
    let mut slices = [IoSlice::new(&[]); SLICES];
    let filled = outbound.slices(&mut slices);
    let slices = slices.get(..filled).unwrap_or_default();
    (transport.write_vectored(slices), slices.iter().map(|slice| slice.len()).sum())
}

/// The callback that touched this connection has returned.
pub(super) fn flush_touched(key: Key) {
    let raw = visit(key, |visit| {
        visit.flags.clear(Flags::TOUCHED);
        visit.flags.take(Flags::RAW).then(|| visit.driver.clone())
    });
    if let Some(driver) = raw.flatten() {
        driver.settle_raw(key);
    }
    visit(key, |visit| {
        if !visit.flags.has(Flags::BLOCKED | Flags::CORKED) {
            visit.flush();
        }
        visit.go_on();
    });
}
