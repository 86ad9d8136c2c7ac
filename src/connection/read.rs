//! The way in: from an event to the codec, within a budget.
//!
//! Bytes are read into the loop's one buffer and decoded there. Only what cannot be decoded yet (an incomplete head, a
//! request behind an unanswered one) moves into a buffer of the connection, which is given back when it is empty.
//! Nothing is read while the app has paused the connection, an answer is outstanding, or the peer does not read.

use std::io;
use std::rc::Rc;

use super::driver::Driver;
use super::state::{Flags, Inbound, Visit, visit};
use super::status::Status;
use crate::protocols::{Pace, pool};
use crate::reactor::{self, Key};
use crate::transport::Readiness;

/// So many bytes of one connection are read before the others have their turn.
const READ_BUDGET: u64 = 4 * reactor::SCRATCH_SIZE as u64;
/// So much is read along with what the codec need not look at: the head of a next chunk, or the next request.
const BEHIND: usize = 256;

/// How far bytes were decoded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fed {
    /// So many of them are done with.
    pub(super) done: usize,
    /// The message that begins there has so many, as far as the codec has said; 0 for as yet unknown.
    pub(super) length: usize,
}

impl Fed {
    #[inline(always)]
    pub(super) fn up_to(done: usize) -> Self {
        Self { done, length: 0 }
    }
}

/// Something happened to a connection, or it asked to be visited. Handles what waits and what can be read now, and
/// flushes the answers together.
pub(super) fn ready(key: Key, readiness: Readiness) {
    let mut scratch = reactor::get().scratch();
    let Some((driver, mut look, end)) = visit(key, |visit| visit.begin(readiness, scratch.bytes())).flatten() else {
        return;
    };
    loop {
        match look {
            Look::Bytes(count, inbound) => {
                take_in(key, &*driver, inbound, scratch.bytes().get(..count).unwrap_or_default());
            }
            Look::Done => {}
            Look::Raw => driver.settle_raw(key),
            Look::Nothing => return,
        }
        look = visit(key, |visit| visit.go_round(end, scratch.bytes())).unwrap_or(Look::Nothing);
    }
}

/// Hands bytes to the codec, after those that waited before them, and keeps what it could not use yet.
fn take_in(key: Key, driver: &dyn Driver, inbound: Option<Box<Inbound>>, bytes: &[u8]) {
    let mut inbound = match inbound {
        None => {
            let Fed { done, length } = driver.feed(key, bytes, 0);
            let Some(rest) = bytes.get(done..).filter(|rest| !rest.is_empty()) else { return };
            let mut buffer = pool::take();
            buffer.extend_from_slice(rest);
            Box::new(Inbound { bytes: buffer, start: 0, length })
        }
        Some(mut inbound) => {
            inbound.bytes.extend_from_slice(bytes);
            let waiting = inbound.bytes.get(inbound.start..).unwrap_or_default();
            if waiting.len() >= inbound.length {
                let fed = driver.feed(key, waiting, inbound.length);
                inbound.start += fed.done;
                inbound.length = fed.length;
            }
            inbound
        }
    };
    if inbound.start * 2 > inbound.bytes.len() {
        // Moving less than what is done with, so each byte moves once on average.
        inbound.bytes.drain(..inbound.start.min(inbound.bytes.len()));
        inbound.start = 0;
    }
    let mut unused = Some(inbound);
    visit(key, |visit| {
        if visit.status == Status::Established || visit.awaits_farewell() {
            visit.inbound = unused.take_if(|inbound| !inbound.bytes.is_empty());
        }
    });
    if let Some(inbound) = unused {
        pool::give(inbound.bytes);
    }
}

/// What a look at the connection found.
enum Look {
    /// So many bytes were read, behind those that waited.
    Bytes(usize, Option<Box<Inbound>>),
    /// What was read is done with: it lies where the codec wants it, or is thrown away as the connection is ending.
    Done,
    /// The app has framed an answer itself and is back from its callback.
    Raw,
    Nothing,
}

impl Visit<'_> {
    /// Takes note of an event and has a first look, if that may find something to handle. Answers also how many bytes the
    /// connection may have read by the end of the turn.
    #[inline]
    fn begin(&mut self, readiness: Readiness, buffer: &mut [u8]) -> Option<(Rc<dyn Driver>, Look, u64)> {
        let listed = readiness == Readiness::default();
        if listed {
            self.flags.clear(Flags::LISTED);
        }
        self.note(readiness);
        if self.flags.has(Flags::BLOCKED) && (readiness.writable || listed && self.has_rested()) {
            self.writable();
        }
        let has_input = self.inbound.is_some() || self.flags.has(Flags::READABLE | Flags::READ_CLOSED);
        if !has_input || !self.wants_input() {
            return None;
        }
        self.flags.set(Flags::CORKED);
        let end = self.bytes_read + READ_BUDGET;
        // What waits comes first: perhaps nothing more is wanted after it. What the codec has seen needs more behind it.
        let pending = self.flags.has(Flags::PENDING);
        let look = match self.inbound.take_if(|_| pending) {
            Some(inbound) => Look::Bytes(0, Some(inbound)),
            None => self.look(buffer),
        };
        match look {
            Look::Nothing => {
                self.end_batch();
                None
            }
            look => Some((Rc::clone(&self.driver), look, end)),
        }
    }

    /// Has another look, within the budget. When there is nothing left, the batch is over.
    #[inline]
    fn go_round(&mut self, end: u64, buffer: &mut [u8]) -> Look {
        if self.flags.has(Flags::RAW | Flags::SWITCHED) {
            return self.go_on_otherwise();
        }
        let look = if self.bytes_read < end { self.look(buffer) } else { Look::Nothing };
        if let Look::Nothing = look {
            self.end_batch();
        }
        look
    }

    /// A callback has framed an answer itself, or switched protocols. What is left is for the new one, in a visit of its
    /// own.
    #[cold]
    fn go_on_otherwise(&mut self) -> Look {
        if self.flags.take(Flags::RAW) {
            return Look::Raw;
        }
        self.flags.clear(Flags::SWITCHED);
        if self.inbound.is_some() {
            self.flags.set(Flags::PENDING);
        }
        self.end_batch();
        Look::Nothing
    }

    /// Reads once, if bytes are wanted and may be there.
    #[inline]
    fn look(&mut self, buffer: &mut [u8]) -> Look {
        if !self.flags.has(Flags::READABLE | Flags::READ_CLOSED) || !self.wants_input() {
            return Look::Nothing;
        }
        if self.codec_pace == Pace::Body
            && let Some(look) = self.absorb(buffer)
        {
            return look;
        }
        let result = self.transport.read(buffer);
        match self.account(buffer.len(), result) {
            None => Look::Nothing,
            Some(_) if self.status == Status::Ending => Look::Done,
            Some(count) => Look::Bytes(count, self.inbound.take()),
        }
    }

    /// Reads what the codec need not look at to where it wants it, and a little of what follows into the buffer, if
    /// nothing waits before it.
    #[cold]
    fn absorb(&mut self, buffer: &mut [u8]) -> Option<Look> {
        if self.inbound.is_some() || self.status != Status::Established {
            return None;
        }
        let behind = buffer.get_mut(..BEHIND)?;
        let connection = &mut *self.connection;
        let (room, result) = connection.driver.absorb(&mut connection.codec, &mut connection.transport, behind)?;
        let look = match self.account(room + BEHIND, result) {
            None => Look::Nothing,
            Some(count) if count <= room => Look::Done,
            Some(count) => Look::Bytes(count - room, None),
        };
        Some(look)
    }

    /// Takes note of what a read came to; answers how many bytes it brought.
    #[inline(always)]
    fn account(&mut self, offered: usize, result: io::Result<usize>) -> Option<usize> {
        match result {
            Ok(0) => {
                self.flags.set(Flags::READ_CLOSED | Flags::FIN_READ);
                self.peer_finished();
                None
            }
            Ok(count) => {
                let before = self.bytes_read;
                self.bytes_read += count as u64;
                // A short read has taken all there was, unless FIN stands behind it: that needs one more read.
                if count < offered && !self.flags.has(Flags::READ_CLOSED) && !self.transport.holds_more() {
                    self.flags.clear(Flags::READABLE);
                }
                if self.pace == Pace::Body {
                    self.pay_for_body(before);
                }
                Some(count)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if !self.transport.holds_more() {
                    self.flags.clear(Flags::READABLE | Flags::READ_CLOSED);
                }
                None
            }
            Err(error) => {
                self.broken(&error);
                None
            }
        }
    }

    /// Nothing more can be read. Why, the app is told only if the peer is to blame for more than being gone.
    #[cold]
    fn broken(&mut self, error: &io::Error) {
        match error.kind() {
            io::ErrorKind::InvalidData if self.status != Status::Ending => self.fail(error.to_string().into()),
            _ => self.lost(),
        }
    }

    /// The messages at hand are handled: their answers leave in one write.
    #[inline]
    fn end_batch(&mut self) {
        self.flags.clear(Flags::CORKED);
        if !self.flags.has(Flags::BLOCKED) && self.status != Status::Closed {
            self.flush();
        }
        let heard = self.flags.take(Flags::HEARD);
        self.set_deadline(heard);
        self.heed_fin();
        // Over its budget, or answered from elsewhere meanwhile: it goes on in the next turn.
        self.list_if_ready();
    }
}
