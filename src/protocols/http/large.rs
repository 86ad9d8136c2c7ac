//! A large body while it arrives: one buffer, and how much of it is filled, so that bytes can be read straight into it.
//!
//! Invariants: room that has to be made grows with what has arrived, and never past what was declared; of a declared body
//! at most a third is moved while the buffer grows, and next to nothing when one of that size has just gone.

use crate::protocols::warm;

/// When this part of a declared body has arrived, there is room for all of it. It comes zeroed from the system, which
/// takes no memory before something is written there.
const SHARE: usize = 16;
/// Reading straight into the buffer is worth it from here on.
const DIRECT_FROM: usize = 16 * 1024;
/// So much is read at a time.
const DIRECT: usize = 256 * 1024;

#[derive(Debug)]
pub(super) struct Large {
    bytes: Vec<u8>,
    filled: usize,
    /// How much there will be, if that is known.
    total: Option<usize>,
}

impl Large {
    /// Begins with these bytes, and has `total` in the end, if that is known.
    pub(super) fn new(begun: &[u8], total: Option<usize>) -> Self {
        let mut large = Self { bytes: Vec::new(), filled: 0, total };
        large.append(begun);
        large
    }

    pub(super) fn append(&mut self, data: &[u8]) {
        let end = self.filled + data.len();
        if end > self.bytes.capacity() {
            self.grow(end);
        }
        if let Some(room) = self.bytes.get_mut(self.filled..end) {
            room.copy_from_slice(data);
        } else {
            self.bytes.truncate(self.filled);
            self.bytes.extend_from_slice(data);
        }
        self.filled = end;
    }

    /// Where the next of `rest` bytes may be read to, if they are many. The last one comes another way, so that whoever
    /// reads need not find the end.
    pub(super) fn room(&mut self, rest: usize) -> Option<&mut [u8]> {
        let most = rest.saturating_sub(1).min(DIRECT).min(self.bytes.len() - self.filled);
        if most < DIRECT_FROM {
            return None;
        }
        self.bytes.get_mut(self.filled..self.filled + most)
    }

    /// So many bytes were read there.
    pub(super) fn fill(&mut self, count: usize) {
        self.filled = (self.filled + count).min(self.bytes.len());
    }

    /// What has arrived. Room that is much too large for it goes to the next body.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        let Self { mut bytes, filled, total } = self;
        if bytes.capacity() / 4 > filled {
            let exact = bytes.get(..filled).unwrap_or_default().to_vec();
            warm::give(bytes);
            return exact;
        }
        bytes.truncate(filled);
        if total.is_none() {
            bytes.shrink_to_fit();
        }
        bytes
    }

    /// Makes room for `least` bytes in all.
    #[cold]
    fn grow(&mut self, least: usize) {
        let wanted = self.total.map_or(usize::MAX, |total| total.max(least));
        let mut bytes = match (warm::take(least, wanted), self.total) {
            (Some(mut warm), Some(_)) => {
                let length = wanted.min(warm.capacity());
                warm.resize(length.max(warm.len()), 0);
                warm
            }
            (Some(warm), None) => warm,
            (None, Some(total)) if self.filled >= total / SHARE => vec![0; wanted],
            (None, Some(total)) => vec![0; (4 * self.filled).min(total / SHARE).max(least)],
            (None, None) => return self.bytes.reserve_exact((2 * self.filled).max(least) - self.bytes.len()),
        };
        let begun = self.bytes.get(..self.filled).unwrap_or_default();
        match bytes.get_mut(..begun.len()) {
            Some(room) => room.copy_from_slice(begun),
            None => begun.clone_into(&mut bytes),
        }
        warm::give(std::mem::replace(&mut self.bytes, bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocols::reuse;

    fn content(length: usize) -> Vec<u8> {
        (0..length).map(|at| (at % 251).try_into().unwrap_or_default()).collect()
    }

    /// Takes a body in by pieces of these sizes, as far as possible without a look at it.
    fn take_in(content: &[u8], sizes: &[usize], declared: bool) -> Vec<u8> {
        let (begun, mut rest) = content.split_at(sizes[0].min(content.len()));
        let mut large = Large::new(begun, declared.then_some(content.len()));
        for size in sizes.iter().cycle() {
            let size = match large.room(if declared { rest.len() } else { 0 }) {
                Some(room) => {
                    let size = room.len().min(*size);
                    room[..size].copy_from_slice(&rest[..size]);
                    large.fill(size);
                    size
                }
                None => {
                    let size = rest.len().min(*size);
                    large.append(&rest[..size]);
                    size
                }
            };
            rest = &rest[size..];
            if rest.is_empty() {
                break;
            }
        }
        large.into_bytes()
    }

    #[test]
    fn a_body_is_the_same_however_it_arrives() {
        for keeps in [false, true] {
            reuse::set_keeps(keeps);
            for length in [65_537, 1_000_000, 100_000, 1_000_001, 70_000] {
                let content = content(length);
                for sizes in [&[65_536][..], &[1, 100_000, 7], &[1_000_000, 3]] {
                    for declared in [true, false] {
                        let bytes = take_in(&content, sizes, declared);
                        assert!(bytes == content, "{length} bytes by {sizes:?}");
                        warm::give(bytes);
                    }
                }
            }
            warm::clear();
        }
    }

    #[test]
    fn room_is_never_more_than_was_declared_nor_much_more_than_has_arrived() {
        let total = 10_000_000;
        let mut large = Large::new(&content(65_537), Some(total));
        while large.filled < total {
            assert!(large.bytes.capacity() <= (16 * large.filled).max(65_537).min(total));
            large.append(&content(1000.min(total - large.filled)));
        }
        assert_eq!(large.into_bytes().capacity(), total);
    }

    #[test]
    fn a_small_body_does_not_keep_the_room_of_a_large_one() {
        reuse::set_keeps(true);
        warm::give(vec![0; 5_000_000]);
        let body = take_in(&content(100_000), &[65_536], false);
        assert!(body.capacity() < 200_000);
        assert!(warm::take(5_000_000, 5_000_000).is_some());
        warm::clear();
    }

    #[test]
    fn the_end_of_a_body_is_not_read_unseen() {
        let mut large = Large::new(&content(100_000), Some(400_000));
        large.append(&content(100_000));
        assert!(large.room(50_000).is_some_and(|room| room.len() == 49_999));
        assert!(large.room(DIRECT_FROM).is_none() && large.room(0).is_none());
    }
}
