//! The public number of a connection: that of its key, and that of its process above it.
//!
//! Numbers of processes that live at the same time differ, so on one machine no two open connections of an app have the
//! same. They stay below 2^53, so that browsers can be told them.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::reactor::Key;

/// The numbers of keys have so many bits.
const BITS: u32 = 45;

/// 0 without a master.
static PROCESS: AtomicU64 = AtomicU64::new(0);

/// Numbers connections from here on as those of this process of the app.
pub(crate) fn set_process(number: u8) {
    PROCESS.store(u64::from(number) << BITS, Ordering::Relaxed);
}

/// The number of a connection of this process.
#[inline]
pub(crate) fn of(key: Key) -> u64 {
    PROCESS.load(Ordering::Relaxed) + key.number()
}

/// The key to a number; `None` if it is another process's.
pub(super) fn key(number: u64) -> Option<Key> {
    let bits = number.checked_sub(1)?.checked_sub(PROCESS.load(Ordering::Relaxed))?;
    (bits >> BITS == 0).then(|| Key::from_number(bits + 1)).flatten()
}
