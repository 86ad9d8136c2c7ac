//! Buffers that are used again: a small stack of empty `Vec<u8>` per thread.
//!
//! Invariants: at most 1 MiB in all and 64 KiB each; a thread that never took a buffer keeps none, so what was decoded
//! on the loop and dropped on another thread is freed there.

use crate::shared::{Leaked, Shared};

/// A buffer larger than this is freed, not kept.
const LARGEST: usize = 64 * 1024;
/// All buffers of a thread together keep at most this many bytes.
const TOTAL: usize = 1024 * 1024;

thread_local! {
    static POOL: Leaked<Shared<Pool>> = const { Leaked::new() };
}

#[derive(Default)]
struct Pool {
    buffers: Vec<Vec<u8>>,
    bytes: usize,
    used: bool,
}

/// An empty buffer, with room from earlier use when there is one.
#[inline]
pub(crate) fn take() -> Vec<u8> {
    with(|pool| {
        pool.used = true;
        let buffer = pool.buffers.pop()?;
        pool.bytes -= buffer.capacity();
        Some(buffer)
    })
    .unwrap_or_default()
}

/// Gives a buffer back.
#[inline]
pub(crate) fn give(mut buffer: Vec<u8>) {
    let capacity = buffer.capacity();
    if capacity == 0 || capacity > LARGEST {
        return;
    }
    with(|pool| {
        if pool.used && pool.bytes + capacity <= TOTAL {
            buffer.clear();
            pool.bytes += capacity;
            pool.buffers.push(buffer);
        }
    });
}

/// Frees what the thread keeps.
pub(crate) fn clear() {
    with(|pool| {
        pool.buffers = Vec::new();
        pool.bytes = 0;
        pool.used = false;
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
        let mut buffer = take();
        buffer.extend_from_slice(&[1; 1000]);
        give(buffer);
        let again = take();
        assert!(again.is_empty() && again.capacity() >= 1000);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        give(take());
        for _ in 0..100 {
            give(Vec::with_capacity(LARGEST));
        }
        give(Vec::with_capacity(LARGEST + 1));
        assert!(with(|pool| pool.bytes <= TOTAL && pool.buffers.len() <= TOTAL / LARGEST));
        clear();
    }

    #[test]
    fn a_thread_that_took_none_keeps_none() {
        std::thread::spawn(|| {
            give(Vec::with_capacity(10));
            assert_eq!(with(|pool| pool.buffers.len()), 0);
        })
        .join()
        .unwrap();
    }
}
