//! Buffers that are used again: a small stack of empty `Vec<u8>` per thread.
//!
//! More come in than go out, because texts that the app has made and sent end here too. So what came last stays, being
//! most likely to fit what comes next, and what came first is freed.
//!
//! Invariants: at most 64 buffers, 1 MiB in all and 64 KiB each; a thread without a loop keeps none.

use std::collections::VecDeque;

use super::reuse;
use crate::shared::{Leaked, Shared};

/// A buffer larger than this is freed, not kept.
pub(crate) const LARGEST: usize = 64 * 1024;
/// All buffers of a thread together keep at most this many bytes.
const TOTAL: usize = 1024 * 1024;
/// And there are at most so many: of short ones, a mebibyte would cost many times that beside its bytes.
const COUNT: usize = 64;

thread_local! {
    static POOL: Leaked<Shared<Pool>> = const { Leaked::new() };
}

#[derive(Default)]
struct Pool {
    /// The oldest first.
    buffers: VecDeque<Vec<u8>>,
    bytes: usize,
}

/// An empty buffer, with room from earlier use when there is one.
#[inline]
pub(crate) fn take() -> Vec<u8> {
    with(|pool| {
        let buffer = pool.buffers.pop_back()?;
        pool.bytes -= buffer.capacity();
        Some(buffer)
    })
    .unwrap_or_default()
}

/// Gives a buffer back.
#[inline]
pub(crate) fn give(mut buffer: Vec<u8>) {
    let capacity = buffer.capacity();
    if capacity == 0 || capacity > LARGEST || !reuse::keeps() {
        return;
    }
    with(|pool| {
        buffer.clear();
        pool.bytes += capacity;
        pool.buffers.push_back(buffer);
        while pool.bytes > TOTAL || pool.buffers.len() > COUNT {
            pool.bytes -= pool.buffers.pop_front().map_or(0, |oldest| oldest.capacity());
        }
    });
}

/// Frees what the thread keeps.
pub(crate) fn clear() {
    with(|pool| {
        pool.buffers = VecDeque::new();
        pool.bytes = 0;
    });
}

#[inline]
fn with<R>(f: impl FnOnce(&mut Pool) -> R) -> R {
    POOL.with(|pool| pool.get().with(f))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_empty_with_its_room() {
        reuse::set_keeps(true);
        let mut buffer = take();
        buffer.extend_from_slice(&[1; 1000]);
        give(buffer);
        let again = take();
        assert!(again.is_empty() && again.capacity() >= 1000);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        reuse::set_keeps(true);
        for _ in 0..100 {
            give(Vec::with_capacity(LARGEST));
        }
        give(Vec::with_capacity(LARGEST + 1));
        assert!(with(|pool| pool.bytes <= TOTAL && pool.buffers.len() <= TOTAL / LARGEST));
        clear();
    }

    #[test]
    fn of_many_short_ones_the_last_are_kept() {
        reuse::set_keeps(true);
        for length in 1..=10_000 {
            give(Vec::with_capacity(length % 50 + 1));
        }
        give(Vec::with_capacity(1000));
        assert!(with(
            |pool| pool.buffers.len() == COUNT && pool.bytes == pool.buffers.iter().map(Vec::capacity).sum::<usize>()
        ));
        assert!(take().capacity() >= 1000);
        clear();
    }

    #[test]
    fn a_thread_without_a_loop_keeps_none() {
        let kept = std::thread::spawn(|| {
            give(take());
            give(Vec::with_capacity(10));
            with(|pool| pool.buffers.len())
        });
        assert_eq!(kept.join().unwrap(), 0);
    }
}
