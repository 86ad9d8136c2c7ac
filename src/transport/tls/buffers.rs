//! Room that all sessions of a thread share, so that one at rest needs none of its own.

use std::cell::Cell;
use std::io::IoSlice;

/// So much ciphertext is read at a time.
pub(super) const READ: usize = 64 * 1024;
/// So much may wait of a message that is incomplete: a handshake message may have 64 KiB, in records of their own.
const WAITING: usize = 80 * 1024;
/// So many bytes are encrypted at a time.
const BATCH: usize = 64 * 1024;
/// What a record adds to its bytes, at most, and how many bytes it has.
const OVERHEAD: usize = 256;
const RECORD: usize = 16 * 1024;

thread_local! {
    static BUFFERS: Cell<Option<Box<Buffers>>> = const { Cell::new(None) };
}

pub(super) struct Buffers {
    /// Ciphertext that was read: that which waited, then what is new.
    incoming: Box<[u8]>,
    waited: usize,
    /// What is to be encrypted, in one piece.
    plain: Vec<u8>,
    sealed: Box<[u8]>,
}

impl Buffers {
    /// Lends them. No other session works meanwhile.
    pub(super) fn lend<R>(f: impl FnOnce(&mut Self) -> R) -> R {
        let mut buffers = BUFFERS.take().unwrap_or_else(|| {
            Box::new(Self {
                incoming: vec![0; WAITING + READ].into(),
                waited: 0,
                plain: Vec::new(),
                sealed: vec![0; BATCH + BATCH / RECORD * OVERHEAD].into(),
            })
        });
        let result = f(&mut buffers);
        BUFFERS.set(Some(buffers));
        result
    }

    /// Room to read to, behind what waited; `None` if that is more than there may be.
    pub(super) fn behind(&mut self, waiting: &[u8]) -> Option<&mut [u8]> {
        self.waited = waiting.len();
        self.incoming.get_mut(..waiting.len()).filter(|_| waiting.len() <= WAITING)?.copy_from_slice(waiting);
        self.incoming.get_mut(waiting.len()..waiting.len() + READ)
    }

    /// What was read last.
    pub(super) fn received(&self, count: usize) -> &[u8] {
        self.incoming.get(self.waited..self.waited + count).unwrap_or_default()
    }

    /// What waited and what was read.
    pub(super) fn filled(&mut self, count: usize) -> &mut [u8] {
        self.incoming.get_mut(..count).unwrap_or_default()
    }

    /// Some of these bytes but for the first `skip`, in one piece; and where to encrypt them to.
    pub(super) fn gather<'a>(&'a mut self, slices: &'a [IoSlice<'_>], mut skip: usize) -> (&'a [u8], &'a mut [u8]) {
        self.plain.clear();
        for (nth, slice) in slices.iter().enumerate() {
            let rest = slice.get(skip..).unwrap_or_default();
            skip = skip.saturating_sub(slice.len());
            if self.plain.is_empty() && (rest.len() >= RECORD || nth + 1 == slices.len()) {
                // All there is, or long enough for records of its own: worth no copy.
                return (rest.get(..BATCH).unwrap_or(rest), &mut self.sealed);
            }
            let room = BATCH - self.plain.len();
            self.plain.extend_from_slice(rest.get(..room).unwrap_or(rest));
        }
        (&self.plain, &mut self.sealed)
    }
}

/// At the end of a loop.
pub(super) fn clear() {
    BUFFERS.set(None);
}
