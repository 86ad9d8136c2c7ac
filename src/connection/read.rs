//! The way in: from an event to the codec, within a budget.
//!
//! Bytes are read into the loop's one buffer and decoded there. Only what cannot be decoded yet (an incomplete head, a
//! request behind an unanswered one) moves into a buffer of the connection, which is given back when it is empty.
//! Nothing is read while the app has paused the connection, an answer is outstanding, or the peer does not read.

use std::io;
use std::rc::Rc;

use super::driver::Driver;
use super::state::{Flags, Inbound, State, state};
use super::status::Status;
use crate::protocols::{Pace, pool};
use crate::reactor::{self, Key};
use crate::transport::Readiness;

/// So many bytes of one connection are read before the others have their turn.
const READ_BUDGET: usize = 4 * reactor::SCRATCH_SIZE;

/// Something happened to a connection, or it asked to be visited.
pub(super) fn ready(key: Key, readiness: Readiness) {
    let driver = state().with(|state| {
        if readiness == Readiness::default() {
            state.get(key)?.flags.clear(Flags::LISTED);
        }
        state.note(key, readiness);
        if readiness.writable {
            state.writable(key);
        }
        let connection = state.get(key)?;
        let has_input = connection.inbound.is_some() || connection.flags.has(Flags::READABLE | Flags::READ_CLOSED);
        if !has_input || !connection.wants_input() {
            return None;
        }
        connection.flags.set(Flags::CORKED);
        Some((Rc::clone(&connection.driver), connection.inbound.is_some()))
    });
    if let Some((driver, waits)) = driver {
        pump(key, &*driver, waits);
    }
}

/// Handles what was read before, if any of it `waits`, and what can be read now, and flushes the answers together.
fn pump(key: Key, driver: &dyn Driver, waits: bool) {
    let mut scratch = reactor::get().scratch();
    if waits {
        take_in(key, driver, &[]);
    }
    let mut budget = READ_BUDGET;
    loop {
        match state().with(|state| state.read(key, scratch.bytes())) {
            Read::Bytes(count) => {
                take_in(key, driver, scratch.bytes().get(..count).unwrap_or_default());
                budget = budget.saturating_sub(count);
            }
            Read::Discarded(count) => budget = budget.saturating_sub(count),
            Read::Nothing => break,
        }
        if budget == 0 {
            break;
        }
    }
    // Raw answers that came while this connection's messages were handled, from another's callback.
    let raw = state().with(|state| state.get(key).is_some_and(|connection| connection.flags.take(Flags::RAW)));
    if raw {
        driver.settle_raw(key);
    }
    state().with(|state| state.end_batch(key));
}

/// Hands bytes to the codec, after those that waited before them, and keeps what it could not use yet.
fn take_in(key: Key, driver: &dyn Driver, bytes: &[u8]) {
    let Some(waiting) = state().with(|state| Some(state.get(key)?.inbound.take())) else { return };
    let mut inbound = match waiting {
        None => {
            let consumed = driver.feed(key, bytes);
            let Some(rest) = bytes.get(consumed..).filter(|rest| !rest.is_empty()) else { return };
            let mut buffer = pool::take();
            buffer.extend_from_slice(rest);
            Box::new(Inbound { bytes: buffer, start: 0 })
        }
        Some(mut inbound) => {
            inbound.bytes.extend_from_slice(bytes);
            inbound.start += driver.feed(key, inbound.bytes.get(inbound.start..).unwrap_or_default());
            inbound
        }
    };
    if inbound.start * 2 > inbound.bytes.len() {
        // Moving less than what is done with, so each byte moves once on average.
        inbound.bytes.drain(..inbound.start.min(inbound.bytes.len()));
        inbound.start = 0;
    }
    let unused = state().with(|state| match state.get(key) {
        Some(connection) if connection.status == Status::Established && !inbound.bytes.is_empty() => {
            connection.inbound = Some(inbound);
            None
        }
        _ => Some(inbound),
    });
    if let Some(inbound) = unused {
        pool::give(inbound.bytes);
    }
}

/// What a look at the transport found.
enum Read {
    Bytes(usize),
    /// Read and thrown away: the connection is ending.
    Discarded(usize),
    Nothing,
}

impl State {
    /// Reads once, if bytes are wanted and may be there.
    #[inline]
    fn read(&mut self, key: Key, buffer: &mut [u8]) -> Read {
        let Some(connection) = self.get(key) else { return Read::Nothing };
        if !connection.wants_input() || !connection.flags.has(Flags::READABLE | Flags::READ_CLOSED) {
            return Read::Nothing;
        }
        match connection.transport.read(buffer) {
            Ok(0) => {
                connection.flags.set(Flags::READ_CLOSED);
                self.peer_finished(key);
                Read::Nothing
            }
            Ok(count) => {
                let before = connection.bytes_read;
                connection.bytes_read += count as u64;
                let in_body = connection.pace == Pace::Body;
                // A short read has taken all there was, unless FIN stands behind it: that needs one more read.
                if count < buffer.len() && !connection.flags.has(Flags::READ_CLOSED) {
                    connection.flags.clear(Flags::READABLE);
                }
                let discarded = connection.status == Status::Ending;
                if in_body {
                    self.pay_for_body(key, before);
                }
                if discarded { Read::Discarded(count) } else { Read::Bytes(count) }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                connection.flags.clear(Flags::READABLE | Flags::READ_CLOSED);
                Read::Nothing
            }
            Err(_) => {
                self.shut(key);
                Read::Nothing
            }
        }
    }

    /// The messages at hand are handled: their answers leave in one write.
    #[inline]
    fn end_batch(&mut self, key: Key) {
        let Some(connection) = self.get(key) else { return };
        connection.flags.clear(Flags::CORKED);
        if !connection.flags.has(Flags::BLOCKED) && connection.status != Status::Closed {
            let flushed = self.flush(key);
            self.after_flush(key, flushed);
        }
        let heard = self.get(key).is_some_and(|connection| connection.flags.take(Flags::HEARD));
        self.set_deadline(key, heard);
        self.heed_fin(key);
        // Over its budget, or answered from elsewhere meanwhile: it goes on in the next turn.
        if let Some(connection) = self.get(key) {
            connection.list_if_ready(key);
        }
    }
}
