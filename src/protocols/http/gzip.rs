//! The compressors of a thread, each for one set of settings and used for one answer after the other.
//!
//! Invariants: there are at most 15, so that their numbers fit four bits, and each keeps about 300 KiB, from its first
//! answer to the end of the loop; what comes out is smaller than what went in, so no more room than that is needed.

use flate2::{Compress, FlushCompress, Status};

use super::compression::Compression;
use crate::protocols::{pool, reuse};
use crate::shared::{Leaked, Shared};

/// More settings than these share the last number.
const COUNT: usize = 15;
/// A gzip head, and the window of 32 KiB that every decoder has.
const WINDOW_BITS: u8 = 15;
/// From this size on, room that was not needed is given back.
const LARGE: usize = 64 * 1024;

thread_local! {
    static COMPRESSORS: Leaked<Shared<Vec<Compressor>>> = const { Leaked::new() };
}

struct Compressor {
    settings: Compression,
    /// Made when it is first needed.
    state: Option<Compress>,
}

/// The number of these settings, from 1.
pub(super) fn number_of(settings: Compression) -> u8 {
    with(|compressors| {
        let known = compressors.iter().position(|known| known.settings == settings);
        let at = known.unwrap_or_else(|| {
            if compressors.len() == COUNT {
                log::error!("more than {COUNT} different settings of compression: the last ones count for all others");
                compressors.pop();
            }
            compressors.push(Compressor { settings, state: None });
            compressors.len() - 1
        });
        u8::try_from(at + 1).unwrap_or_default()
    })
}

/// The settings of a number.
pub(super) fn settings(number: u8) -> Compression {
    with(|compressors| at(compressors, number).map_or_else(Compression::new, |known| known.settings))
}

/// The same in gzip, if that is smaller.
pub(super) fn compress(number: u8, plain: &[u8]) -> Option<Vec<u8>> {
    let mut compressed = pool::take();
    compressed.reserve(plain.len());
    let done = with(|compressors| {
        let known = at(compressors, number)?;
        let level = flate2::Compression::new(known.settings.effort().into());
        let state = known.state.get_or_insert_with(|| Compress::new_gzip(level, WINDOW_BITS));
        state.reset();
        let status = state.compress_vec(plain, &mut compressed, FlushCompress::Finish);
        if !reuse::keeps() {
            known.state = None;
        }
        matches!(status, Ok(Status::StreamEnd)).then_some(())
    });
    if done.is_none() || compressed.len() >= plain.len() {
        pool::give(compressed);
        return None;
    }
    if compressed.capacity() > LARGE {
        compressed.shrink_to_fit();
    }
    Some(compressed)
}

/// Frees what the thread keeps. Numbers stay what they are.
pub(super) fn clear() {
    with(|compressors| compressors.iter_mut().for_each(|known| known.state = None));
}

fn at(compressors: &mut [Compressor], number: u8) -> Option<&mut Compressor> {
    compressors.get_mut(usize::from(number).wrapping_sub(1))
}

fn with<R>(f: impl FnOnce(&mut Vec<Compressor>) -> R) -> R {
    COMPRESSORS.with(|compressors| compressors.get().with(f))
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;
    use proptest::prelude::*;

    use super::*;

    fn decoded(compressed: &[u8]) -> Vec<u8> {
        let mut plain = Vec::new();
        GzDecoder::new(compressed).read_to_end(&mut plain).unwrap();
        plain
    }

    #[test]
    fn settings_have_one_number_each_and_the_last_one_is_shared() {
        let numbers: Vec<_> = (1..=COUNT).map(|size| number_of(Compression::new().threshold(size))).collect();
        assert_eq!(numbers, (1..=15).collect::<Vec<_>>());
        assert_eq!(number_of(Compression::new().threshold(3)), 3);
        assert_eq!(settings(3), Compression::new().threshold(3));
        let one_more = Compression::new().threshold(1000);
        assert_eq!((number_of(one_more), settings(15)), (15, one_more));
    }

    #[test]
    fn what_does_not_become_smaller_stays() {
        let number = number_of(Compression::new().level(9));
        let noise: Vec<u8> = (0..5000_u32).map(|at| at.wrapping_mul(2_654_435_761).to_le_bytes()[3]).collect();
        for plain in [&b""[..], b"a", b"short", &noise[..300]] {
            assert_eq!(compress(number, plain), None);
        }
    }

    #[test]
    fn one_answer_leaves_nothing_behind_for_the_next() {
        reuse::set_keeps(true);
        for level in 1..=9 {
            let number = number_of(Compression::new().level(level));
            let (one, two) = ("one and another, ".repeat(500), "something else ".repeat(5000));
            let first = compress(number, one.as_bytes()).unwrap();
            assert_eq!(decoded(&compress(number, two.as_bytes()).unwrap()), two.as_bytes());
            assert_eq!(compress(number, &[7; 10]), None, "given up in the middle");
            assert_eq!(compress(number, one.as_bytes()).unwrap(), first, "level {level}");
            assert_eq!(decoded(&first), one.as_bytes());
        }
        clear();
        assert!(with(|compressors| compressors.iter().all(|known| known.state.is_none())));
    }

    #[test]
    fn a_thread_without_a_loop_keeps_no_compressor() {
        reuse::set_keeps(false);
        let number = number_of(Compression::new());
        assert!(compress(number, &[0; 5000]).is_some());
        assert!(with(|compressors| compressors.iter().all(|known| known.state.is_none())));
    }

    proptest! {
        #[test]
        fn whatever_is_compressed_comes_out_again(seed in proptest::collection::vec(any::<u8>(), 1..300), times in 1_usize..300) {
            let plain = seed.repeat(times);
            let number = number_of(Compression::new().level(seed[0] % 9 + 1));
            if let Some(compressed) = compress(number, &plain) {
                prop_assert!(compressed.len() < plain.len() && compressed.starts_with(b"\x1f\x8b\x08"));
                prop_assert_eq!(decoded(&compressed), plain);
            } else {
                prop_assert!(times < 3 || plain.len() < 40);
            }
        }
    }
}
