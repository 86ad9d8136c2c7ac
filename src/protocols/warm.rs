//! Large buffers that were in use a moment ago. Memory that is fresh from the system is made page by page as it is written
//! to, which costs several times what the writing does: so a large body takes the place of one that has just gone.
//!
//! Invariants: at most 64 MiB together; what nobody needed for a second or two is freed ([`cool`]); a thread without a loop
//! keeps none.

use std::cell::Cell;

use super::pool::LARGEST;
use super::reuse;
use crate::shared::{Leaked, Shared};

/// All buffers of a thread together keep at most this many bytes.
const TOTAL: usize = 64 * 1024 * 1024;

thread_local! {
    static KEPT: Leaked<Shared<Kept>> = const { Leaked::new() };
    static WARM: Cell<bool> = const { Cell::new(false) };
}

#[derive(Default)]
struct Kept {
    /// The smallest first.
    buffers: Vec<Vec<u8>>,
    bytes: usize,
    /// So many were there all the time since the last [`cool`].
    unused: usize,
}

impl Kept {
    /// Takes out the smallest until there is no more than may be.
    fn shrink(&mut self) -> Vec<Vec<u8>> {
        let mut freed = 0;
        while self.bytes > TOTAL
            && let Some(smallest) = self.buffers.get(freed)
        {
            self.bytes -= smallest.capacity();
            freed += 1;
        }
        self.unused = self.unused.min(self.buffers.len() - freed);
        self.buffers.drain(..freed).collect()
    }
}

/// A buffer with what was in it last: the smallest with room for `wanted` bytes, or else the largest, if it has room for
/// `least`.
pub(crate) fn take(least: usize, wanted: usize) -> Option<Vec<u8>> {
    if !WARM.get() {
        return None;
    }
    with(|kept| {
        let fitting = kept.buffers.partition_point(|buffer| buffer.capacity() < wanted);
        let at = fitting.min(kept.buffers.len().checked_sub(1)?);
        kept.buffers.get(at).filter(|buffer| buffer.capacity() >= least)?;
        let buffer = kept.buffers.remove(at);
        kept.bytes -= buffer.capacity();
        kept.unused = kept.unused.min(kept.buffers.len());
        WARM.set(!kept.buffers.is_empty());
        Some(buffer)
    })
}

/// Gives a buffer back, with whatever is in it. It is freed if it is no large one; if there are too many, the smallest are.
pub(crate) fn give(buffer: Vec<u8>) {
    let capacity = buffer.capacity();
    if !reuse::keeps() || !(LARGEST + 1..=TOTAL).contains(&capacity) {
        return;
    }
    let freed = with(|kept| {
        let at = kept.buffers.partition_point(|other| other.capacity() < capacity);
        kept.buffers.insert(at, buffer);
        kept.bytes += capacity;
        WARM.set(true);
        kept.shrink()
    });
    drop(freed);
}

/// Whether there is something to [`cool`].
#[inline]
pub(crate) fn is_warm() -> bool {
    WARM.get()
}

/// Frees as many buffers as nobody needed since the last time, the largest of them.
pub(crate) fn cool() {
    let freed = with(|kept| {
        let left = kept.buffers.len() - kept.unused;
        let freed = kept.buffers.split_off(left);
        kept.bytes -= freed.iter().map(Vec::capacity).sum::<usize>();
        kept.unused = left;
        WARM.set(left > 0);
        freed
    });
    drop(freed);
}

/// Frees what the thread keeps.
pub(crate) fn clear() {
    WARM.set(false);
    with(|kept| *kept = Kept::default());
}

fn with<R>(f: impl FnOnce(&mut Kept) -> R) -> R {
    KEPT.with(|kept| kept.get().with(f))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes() -> Vec<usize> {
        with(|kept| kept.buffers.iter().map(Vec::capacity).collect())
    }

    #[test]
    fn the_smallest_that_fits_is_taken_or_else_the_largest() {
        reuse::set_keeps(true);
        for size in [3_000_000, 1_000_000, 2_000_000] {
            give(vec![7; size]);
        }
        assert_eq!(take(1, 1_500_000).map(|buffer| buffer.len()), Some(2_000_000));
        assert_eq!(take(1, 5_000_000).map(|buffer| buffer.len()), Some(3_000_000));
        assert_eq!(take(1_001_000, 5_000_000), None);
        assert_eq!(take(1_000_000, 1_000_000).map(|buffer| buffer.len()), Some(1_000_000));
        assert!(!is_warm() && take(0, 0).is_none());
    }

    #[test]
    fn what_nobody_needs_is_freed_and_what_is_needed_stays() {
        reuse::set_keeps(true);
        give(vec![0; 1_000_000]);
        give(vec![0; 2_000_000]);
        cool();
        assert_eq!(sizes().len(), 2);
        give(take(1, 1).unwrap_or_default());
        cool();
        assert_eq!(sizes(), [1_000_000]);
        cool();
        assert!(!is_warm() && sizes().is_empty());
    }

    #[test]
    fn what_is_kept_is_bounded() {
        reuse::set_keeps(true);
        for _ in 0..100 {
            give(Vec::with_capacity(TOTAL / 10));
        }
        assert!(sizes().iter().sum::<usize>() <= TOTAL && sizes().len() >= 9);
        clear();
        assert!(!is_warm() && sizes().is_empty());
    }

    #[test]
    fn a_thread_without_a_loop_keeps_none() {
        let kept = std::thread::spawn(|| {
            give(vec![0; 1_000_000]);
            is_warm()
        });
        assert!(!kept.join().unwrap());
    }
}
