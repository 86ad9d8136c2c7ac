//! What goes along with the answer to the open request, for a layer above: a session that is to be saved, and its cookie.
//!
//! Invariants: a connection has at most one, that of its open request; it leaves when the answer begins, and with the
//! connection at the latest; a thread on which no connection has one pays for a look at a number.

use std::any::Any;
use std::cell::Cell;
use std::fmt;
use std::rc::Rc;

use super::Status;
use super::state::visit;
use crate::protocols::Codec;
use crate::reactor::Key;

thread_local! {
    /// How many connections have one.
    static SEATED: Cell<usize> = const { Cell::new(0) };
}

/// Something that goes along with an answer.
pub(crate) trait Companion: Any + fmt::Debug {
    /// The ticket of its request.
    fn ticket(&self) -> u32;

    /// Something is about to be sent that may be the answer. Answers the value of a `Set-Cookie` line for its head,
    /// empty for none. No borrow is alive: this may run user code.
    fn depart(&self) -> Box<str>;
}

/// A place for one, counted.
#[derive(Debug)]
pub(super) struct Seat(Rc<dyn Companion>);

impl Seat {
    fn new(companion: Rc<dyn Companion>) -> Self {
        SEATED.set(SEATED.get() + 1);
        Self(companion)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        SEATED.set(SEATED.get() - 1);
    }
}

/// Whether any connection of this thread has one.
#[inline]
pub(super) fn are_there() -> bool {
    cfg!(feature = "session") && SEATED.get() > 0
}

/// Before a message with this ticket is encoded: what the companion of its request wants in the head of the answer.
pub(super) fn prepare(key: Key, ticket: u32) -> Option<Box<str>> {
    let companion = of(key).filter(|companion| ticket == 0 || ticket == companion.ticket())?;
    Some(companion.depart())
}

/// The answer has begun.
pub(super) fn leave(key: Key) {
    // Dropped outside of the visit: its destructor may run user code.
    drop(visit(key, |visit| visit.extra.as_mut()?.companion.take()));
}

/// The companion of the connection's open request.
pub(crate) fn of(key: Key) -> Option<Rc<dyn Companion>> {
    visit(key, |visit| Some(Rc::clone(&visit.extra.as_ref()?.companion.as_ref()?.0))).flatten()
}

/// Gives the connection's open request a companion; the one before is dropped.
pub(crate) fn seat(key: Key, companion: Rc<dyn Companion>) {
    let seat = Seat::new(companion);
    let before = visit(key, |visit| visit.extra().companion.replace(seat));
    drop(before);
}

/// Asks the codec of a connection that stands; `None` when there is none, or it speaks another protocol.
pub(crate) fn ask<P: Codec, R>(key: Key, question: impl FnOnce(&P) -> R) -> Option<R> {
    let answer = visit(key, |visit| {
        if visit.status != Status::Established || !visit.driver.speaks::<P>() {
            return None;
        }
        let codec = visit.take_codec::<P>()?;
        let answer = question(&codec);
        visit.put_codec(codec);
        Some(answer)
    });
    answer.flatten()
}
