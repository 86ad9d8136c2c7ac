//! What a loop counts for those who watch it: messages that came, and messages that could not be sent. As in PHP these
//! are the process's and not a worker's, and they are never set back.

use std::cell::Cell;

/// The counts of this thread's loop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Messages that were decoded, datagrams' too.
    pub(crate) messages: u64,
    /// Messages that were dropped, as `on_error` is told.
    pub(crate) send_failures: u64,
}

thread_local! {
    static MESSAGES: Cell<u64> = const { Cell::new(0) };
    static SEND_FAILURES: Cell<u64> = const { Cell::new(0) };
}

#[inline(always)]
pub(crate) fn count_message() {
    MESSAGES.set(MESSAGES.get().wrapping_add(1));
}

#[cold]
pub(crate) fn count_send_failure() {
    SEND_FAILURES.set(SEND_FAILURES.get().wrapping_add(1));
}

pub(crate) fn tally() -> Tally {
    Tally { messages: MESSAGES.get(), send_failures: SEND_FAILURES.get() }
}
