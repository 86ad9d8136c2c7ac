//! What goes along with the next answer: header lines that the app has set, and the companion of the request.
//!
//! Invariants: it leaves when an answer begins, and with the connection at the latest; a thread on which no connection
//! has anything pays for a look at a number.

use std::cell::Cell;
use std::mem;
#[cfg(feature = "session")]
use std::rc::Rc;

use super::Status;
#[cfg(feature = "session")]
use super::companion::{self, Companion};
use super::state::visit;
use crate::protocols::Codec;
use crate::protocols::http::Headers;
use crate::reactor::Key;

thread_local! {
    /// How many things go along with answers.
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

/// What goes along with a connection's next answer.
#[derive(Debug, Default)]
pub(super) struct Along {
    pub(super) headers: Option<Counted<Headers>>,
    /// That of the open request.
    #[cfg(feature = "session")]
    pub(super) companion: Option<Counted<Rc<dyn Companion>>>,
}

/// One of the things that are counted.
#[derive(Debug)]
pub(super) struct Counted<T>(pub(super) T);

impl<T> Counted<T> {
    pub(super) fn new(value: T) -> Self {
        COUNT.set(COUNT.get() + 1);
        Self(value)
    }
}

impl<T> Drop for Counted<T> {
    fn drop(&mut self) {
        COUNT.set(COUNT.get() - 1);
    }
}

/// Whether any connection of this thread has something.
#[inline]
pub(super) fn is_there() -> bool {
    COUNT.get() > 0
}

/// The lines for the connection's next answer are these; none for none.
pub(super) fn set_headers(key: Key, headers: Headers) {
    let headers = (!headers.is_empty()).then(|| Counted::new(headers));
    visit(key, |visit| {
        // A connection that never had any needs no place for them.
        if headers.is_some() || visit.extra.is_some() {
            visit.extra().along.headers = headers;
        }
    });
}

/// Before a message with this ticket is encoded: the lines for the head of the answer, if it is one.
pub(super) fn prepare(key: Key, _ticket: u32) -> Option<Headers> {
    // First, since this may run user code.
    #[cfg(feature = "session")]
    let cookie = companion::depart(key, _ticket);
    #[cfg(not(feature = "session"))]
    let cookie: Option<Box<str>> = None;
    let own = visit(key, |visit| Some(visit.extra.as_ref()?.along.headers.as_ref()?.0.clone())).flatten();
    if own.is_none() && cookie.is_none() {
        return None;
    }
    let mut headers = own.unwrap_or_default();
    if let Some(cookie) = cookie.filter(|cookie| !cookie.is_empty()) {
        headers.add("Set-Cookie", &cookie);
    }
    Some(headers)
}

/// The answer has begun.
pub(super) fn leave(key: Key) {
    // Dropped outside of the visit: a destructor may run user code.
    drop(visit(key, |visit| Some(mem::take(&mut visit.extra.as_mut()?.along))));
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
