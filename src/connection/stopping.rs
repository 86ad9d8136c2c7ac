//! How connections leave a process that stops: each as soon as it can, and none in the middle of something.
//!
//! | a connection | leaves |
//! | --- | --- |
//! | on which nothing has begun | now, when what is queued has left |
//! | of HTTP with a request that is being read, or has no answer yet | after the answer, which says so |
//! | that is an event stream or a WebSocket | in its turn: these come back as soon as they are closed |
//! | that was made, or was asked something, a moment ago | after that moment, or after its next answer |
//! | that comes out of a handshake of TLS now | the same |
//! | that the app has made itself | when all others have left |
//!
//! The last row is for peers that have seen no end yet: what they have sent meanwhile would be lost.

use std::rc::Rc;

use super::driver::Driver;
use super::lifecycle;
use super::owner::NOBODY;
use super::state::{Flags, visit};
use super::status::Status;
use super::switched::Switched;
use crate::protocols::{Codec, Leave};
use crate::reactor::{self, Key};

/// How long connections are spared that may have a message on the way, and how often they all are looked at again, in
/// nanoseconds: what has begun is over now, or has turned into something else.
const MOMENT: u64 = 250_000_000;
/// From one turn of streams to the next, in nanoseconds.
const STEP: u64 = 10_000_000;

/// Lets every connection leave; streams within `window` nanoseconds, one in each [`STEP`] if they are few.
pub(crate) fn retire_all(window: u64) {
    let streams = look_at_all(true);
    let steps = usize::try_from(window / STEP).unwrap_or(usize::MAX).clamp(1, streams.len().max(1));
    look_later(steps as u64 * STEP);
    end_streams(streams, steps);
}

/// The same for one that has come since: its next answer is the last.
pub(crate) fn retire_late(key: Key) {
    if let Some(driver) = visit(key, |visit| Rc::clone(&visit.driver)) {
        driver.retire(key);
    }
}

/// Has the codec of a connection take nothing on any more; answers how the connection leaves.
pub(super) fn retire<P: Codec>(key: Key) -> Leave {
    let leave = visit(key, |visit| {
        let mut codec: P = visit.take_codec()?;
        let leave = codec.retire();
        visit.put_codec(codec);
        Some(leave)
    });
    leave.flatten().unwrap_or(Leave::Later)
}

/// Ends some of the streams now and as many in each of the next steps.
fn end_streams(mut streams: Vec<Key>, steps: usize) {
    let later = streams.len() - streams.len().div_ceil(steps);
    streams.split_off(later).into_iter().for_each(close);
    if !streams.is_empty() {
        let next = move |_| end_streams(std::mem::take(&mut streams), steps - 1);
        // Without a slot for the timer the next look ends them.
        let _ = reactor::get().add_deadline(STEP, Box::new(next));
    }
}

/// Looks at the connections again and again. Until the present streams had their turns, in so many nanoseconds, streams are
/// left to these.
fn look_later(turns: u64) {
    let look = move |_| {
        let streams = look_at_all(false);
        if turns <= MOMENT {
            streams.into_iter().for_each(close);
        }
        if lifecycle::count() > 0 || awaits_guests() {
            look_later(turns.saturating_sub(MOMENT));
        }
    };
    // Without a slot for the timer they have the time that the stop may take.
    let _ = reactor::get().add_deadline(MOMENT, Box::new(look));
}

/// Whether some have come in, and still agree with us on how to go on.
pub(crate) fn awaits_guests() -> bool {
    #[cfg(feature = "_tls")]
    return super::handshake::has_guests();
    #[cfg(not(feature = "_tls"))]
    false
}

/// Closes what can be closed; answers the open streams. Those that the app has made itself stay as long as there are
/// others: answers may come of them.
fn look_at_all(spares: bool) -> Vec<Key> {
    let (mut streams, mut own, mut others) = (Vec::new(), Vec::new(), false);
    lifecycle::for_all(|key| {
        let Some((driver, status)) = visit(key, |visit| (Rc::clone(&visit.driver), visit.status)) else { return };
        // Whatever it speaks by now.
        let acceptor = driver.as_switched().map_or(&driver, Switched::acceptor);
        let is_own = acceptor.worker() == NOBODY;
        others |= !is_own;
        match driver {
            driver if status != Status::Established => drop(driver),
            driver if is_own => own.push((key, driver)),
            driver => look_at(key, &*driver, spares, &mut streams),
        }
    });
    if !others {
        own.into_iter().for_each(|(key, driver)| look_at(key, &*driver, spares, &mut streams));
    }
    streams
}

fn look_at(key: Key, driver: &dyn Driver, spares: bool, streams: &mut Vec<Key>) {
    match driver.retire(key) {
        Leave::InTurn => streams.push(key),
        Leave::Now if !(spares && may_have_more(key) || has_shaken_hands(key)) => close(key),
        Leave::Now | Leave::Later => {}
    }
}

/// Whether there is something to read, or may soon be.
fn may_have_more(key: Key) -> bool {
    let more = visit(key, |visit| {
        let has_input = visit.flags.has(Flags::PENDING | Flags::READABLE | Flags::READ_CLOSED) && visit.wants_input();
        has_input || visit.is_fresh()
    });
    more == Some(true)
}

fn has_shaken_hands(key: Key) -> bool {
    visit(key, |visit| visit.has_shaken_hands()) == Some(true)
}

fn close(key: Key) {
    lifecycle::close_after(key, |driver| driver.stop(key));
}
