//! Compression of whole messages, by one compressor for all connections of a thread.

use std::cell::Cell;

use flate2::{Compress, Compression, FlushCompress};

use super::{Agreed, History, TAIL};
use crate::protocols::reuse;
use crate::shared::Leaked;

/// More than a flush takes.
const ROOM: usize = 16;

/// A compressor, and what it was made for.
struct Compressor {
    window_bits: u8,
    level: u8,
    compress: Compress,
}

thread_local! {
    static SPARE: Leaked<Cell<Option<Compressor>>> = const { Leaked::new() };
}

fn spare() -> &'static Cell<Option<Compressor>> {
    SPARE.with(Leaked::get)
}

/// Compresses a message into `compressed`, which is empty; answers whether it became smaller that way. If so, it is to be
/// sent, as the next may refer to it.
pub(in crate::protocols::websocket) fn compress(
    message: &[u8],
    agreed: Agreed,
    history: &mut History,
    compressed: &mut Vec<u8>,
) -> bool {
    let mut compressor = take(agreed);
    let smaller = compressor.run(message, &history.sent, compressed) && compressed.len() < message.len();
    if smaller && agreed.context_out {
        history.has_sent(message, agreed.window_bits);
    }
    if reuse::keeps() {
        spare().set(Some(compressor));
    }
    smaller
}

fn take(agreed: Agreed) -> Compressor {
    let Agreed { window_bits, level, .. } = agreed;
    let fits = |spare: &Compressor| (spare.window_bits, spare.level) == (window_bits, level);
    spare().take().filter(fits).unwrap_or_else(|| Compressor {
        window_bits,
        level,
        // Bits below 9 are never agreed to.
        compress: Compress::new_with_window_bits(Compression::new(level.into()), false, window_bits.clamp(9, 15)),
    })
}

impl Compressor {
    /// Answers whether it could be done without becoming much longer.
    fn run(&mut self, message: &[u8], before: &[u8], compressed: &mut Vec<u8>) -> bool {
        let compress = &mut self.compress;
        compress.reset();
        if !before.is_empty() && compress.set_dictionary(before).is_err() {
            return false;
        }
        // What does not fit into this is longer than the message; and a flush that fills its room would be made twice.
        compressed.reserve(message.len() + ROOM);
        let flushed = compress.compress_vec(message, compressed, FlushCompress::Sync);
        let whole = flushed.is_ok() && compressed.len() < compressed.capacity() && compressed.ends_with(&TAIL);
        compressed.truncate(compressed.len() - if whole { TAIL.len() } else { 0 });
        whole
    }
}

/// Frees what the thread keeps.
pub(super) fn clear() {
    spare().take();
}
