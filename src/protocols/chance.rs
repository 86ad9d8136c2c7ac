//! Random bytes in small pieces, of which many are fetched at a time: a mask for each frame is not worth a system call.

use std::cell::Cell;

use crate::shared::Leaked;

/// So many bytes are fetched at a time.
const BATCH: usize = 1024;

/// Where random bytes come from: it fills what it is given.
pub(crate) type Source = fn(&mut [u8]);

thread_local! {
    static CHANCE: Leaked<Chance> = const { Leaked::new() };
}

struct Chance {
    source: Cell<Source>,
    /// Fetched, and not used yet.
    rest: Cell<Vec<u8>>,
}

impl Default for Chance {
    fn default() -> Self {
        Self { source: Cell::new(|_| {}), rest: Cell::default() }
    }
}

/// Sets where this thread's bytes come from. Before that, they are zeros.
pub(super) fn set_source(source: Source) {
    CHANCE.with(|chance| chance.get().source.set(source));
}

/// Bytes that nobody can guess.
pub(super) fn draw<const N: usize>() -> [u8; N] {
    let chance = CHANCE.with(Leaked::get);
    let mut rest = chance.rest.take();
    if rest.len() < N {
        rest.clear();
        rest.resize(BATCH.max(N), 0);
        chance.source.get()(&mut rest);
    }
    let drawn = rest.split_last_chunk().map_or([0; N], |(_, drawn)| *drawn);
    rest.truncate(rest.len().saturating_sub(N));
    chance.rest.set(rest);
    drawn
}

/// Frees what the thread keeps.
pub(super) fn clear() {
    CHANCE.with(Leaked::get).rest.take();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_drawn_once() {
        set_source(|bytes| bytes.iter_mut().zip((0..251).cycle()).for_each(|(byte, nth)| *byte = nth));
        let drawn: Vec<[u8; 4]> = (0..BATCH / 4).map(|_| draw()).collect();
        let mut sorted: Vec<u8> = drawn.concat();
        sorted.sort_unstable();
        let mut all: Vec<u8> = (0..251).cycle().take(BATCH).collect();
        all.sort_unstable();
        assert_eq!(sorted, all);
        assert_eq!(draw::<4>(), drawn[0], "the next batch");
        assert_eq!(draw::<16>().len(), 16);
        clear();
        set_source(|_| {});
        assert_eq!(draw::<16>(), [0; 16]);
        clear();
    }
}
