//! Randomness: the only place that asks the operating system for it.
//!
//! Replaceable as the clocks are: a test counts from a seed, so what it sees is the same each time.

#![cfg_attr(not(feature = "session"), allow(dead_code))]

use std::cell::Cell;
use std::io;

/// Where random bytes come from.
#[derive(Debug, Default)]
pub(crate) struct Random {
    /// The state of a test's generator; `None` for the operating system.
    seed: Cell<Option<u64>>,
}

impl Random {
    /// Fills the buffer with bytes that nobody can guess.
    pub(crate) fn fill(&self, buffer: &mut [u8]) -> io::Result<()> {
        match self.seed.get() {
            None => getrandom::fill(buffer).map_err(io::Error::from),
            Some(seed) => {
                self.seed.set(Some(expand(seed, buffer)));
                Ok(())
            }
        }
    }

    /// Takes chance in hand: from now on the bytes follow from the seed.
    pub(crate) fn make_seeded(&self, seed: u64) {
        self.seed.set(Some(seed));
    }
}

/// SplitMix64; answers the next state.
fn expand(mut state: u64, buffer: &mut [u8]) -> u64 {
    for chunk in buffer.chunks_mut(8) {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = state;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        for (to, from) in chunk.iter_mut().zip((word ^ (word >> 31)).to_le_bytes()) {
            *to = from;
        }
    }
    state
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(random: &Random) -> [u8; 20] {
        let mut bytes = [0; 20];
        random.fill(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn the_operating_system_never_says_the_same_twice() {
        let random = Random::default();
        assert_ne!(draw(&random), draw(&random));
        assert_ne!(draw(&random), [0; 20]);
    }

    #[test]
    fn a_seed_tells_all_that_follows() {
        let (one, two) = (Random::default(), Random::default());
        one.make_seeded(7);
        two.make_seeded(7);
        let first = draw(&one);
        assert_eq!(first, draw(&two));
        assert_ne!(first, draw(&one));
        two.make_seeded(8);
        assert_ne!(first, draw(&two));
    }
}
