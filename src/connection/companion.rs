//! What goes along with the answer to the open request, for a layer above: a session that is to be saved, and its cookie.
//!
//! Invariant: a connection has at most one, that of its open request.

use std::any::Any;
use std::fmt;
use std::rc::Rc;

use super::along::Counted;
use super::state::visit;
use crate::reactor::Key;

/// Something that goes along with an answer.
pub(crate) trait Companion: Any + fmt::Debug {
    /// The ticket of its request.
    fn ticket(&self) -> u32;

    /// Something is about to be sent that may be the answer. Answers the value of a `Set-Cookie` line for its head,
    /// empty for none. No borrow is alive: this may run user code.
    fn depart(&self) -> Box<str>;
}

/// Before a message with this ticket is encoded: what the companion of its request wants in the head of the answer.
pub(super) fn depart(key: Key, ticket: u32) -> Option<Box<str>> {
    let companion = of(key).filter(|companion| ticket == 0 || ticket == companion.ticket())?;
    Some(companion.depart())
}

/// The companion of the connection's open request.
pub(crate) fn of(key: Key) -> Option<Rc<dyn Companion>> {
    visit(key, |visit| Some(Rc::clone(&visit.extra.as_ref()?.along.companion.as_ref()?.0))).flatten()
}

/// Gives the connection's open request a companion; the one before is dropped.
pub(crate) fn seat(key: Key, companion: Rc<dyn Companion>) {
    let companion = Counted::new(companion);
    let before = visit(key, |visit| visit.extra().along.companion.replace(companion));
    drop(before);
}
