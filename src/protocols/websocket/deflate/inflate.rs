//! Decompression, piece by piece as a message arrives, with a bound on what comes out.

use std::cell::Cell;
use std::fmt;

use flate2::{Decompress, FlushDecompress, Status};

use super::{History, TAIL};
use crate::protocols::reuse;
use crate::protocols::websocket::close::Fault;
use crate::shared::Leaked;

/// A thread keeps so many decompressors for later messages, of some 40 KiB each.
const SPARE_LIMIT: usize = 4;
/// Room is made by at least so many bytes.
const ROOM: usize = 1024;

thread_local! {
    static SPARE: Leaked<Cell<Vec<Decompress>>> = const { Leaked::new() };
}

fn spare() -> &'static Cell<Vec<Decompress>> {
    SPARE.with(Leaked::get)
}

/// The decompressor of one message: `None` only while it goes back.
pub(in crate::protocols::websocket) struct Inflater(Option<Decompress>);

impl Inflater {
    /// For a message that may refer to what came before it.
    pub(in crate::protocols::websocket) fn new(history: Option<&History>) -> Result<Self, Fault> {
        let mut others = spare().take();
        let decompress = others.pop();
        spare().set(others);
        // The widest window: whatever the client was told, nothing it sends leads farther back.
        let mut decompress = decompress.unwrap_or_else(|| Decompress::new(false));
        if let Some(history) = history.filter(|history| !history.received.is_empty()) {
            decompress.set_dictionary(&history.received).map_err(|_| Fault::NOT_DEFLATE)?;
        }
        Ok(Self(Some(decompress)))
    }

    /// Appends what a piece of the message holds, up to `limit` or to where it is malformed. Room never grows past the limit.
    pub(in crate::protocols::websocket) fn inflate(
        &mut self,
        mut piece: &[u8],
        bytes: &mut Vec<u8>,
        limit: usize,
    ) -> Result<(), Fault> {
        let Some(decompress) = &mut self.0 else { return Ok(()) };
        loop {
            if bytes.len() == bytes.capacity() {
                // One more than the limit shows that there is more.
                bytes.reserve_exact(bytes.len().max(ROOM).min(limit - bytes.len() + 1));
            }
            let before = decompress.total_in();
            let status = decompress.decompress_vec(piece, bytes, FlushDecompress::Sync);
            let taken = usize::try_from(decompress.total_in() - before).unwrap_or(usize::MAX);
            piece = piece.get(taken..).unwrap_or_default();
            if bytes.len() > limit {
                bytes.truncate(limit);
                return Err(Fault::TOO_BIG);
            }
            match status {
                Err(_) => return Err(Fault::NOT_DEFLATE),
                // The sender may end its stream and begin another (RFC 7692 §7.2.3.4).
                Ok(Status::StreamEnd) => decompress.reset(false),
                Ok(_) if piece.is_empty() && bytes.len() < bytes.capacity() => return Ok(()),
                Ok(_) if taken == 0 && bytes.len() < bytes.capacity() => return Err(Fault::NOT_DEFLATE),
                Ok(_) => {}
            }
        }
    }

    /// The message is whole: what its last block still holds comes out.
    pub(in crate::protocols::websocket) fn finish(&mut self, bytes: &mut Vec<u8>, limit: usize) -> Result<(), Fault> {
        self.inflate(&TAIL, bytes, limit)
    }
}

impl fmt::Debug for Inflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Inflater")
    }
}

impl Drop for Inflater {
    fn drop(&mut self) {
        let Some(mut decompress) = self.0.take().filter(|_| reuse::keeps()) else { return };
        let mut others = spare().take();
        if others.len() < SPARE_LIMIT {
            decompress.reset(false);
            others.push(decompress);
        }
        spare().set(others);
    }
}

/// Frees what the thread keeps.
pub(super) fn clear() {
    spare().take();
}
