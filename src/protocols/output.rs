//! Where answers go: a queue of bytes that leave in order, and the face of it that codecs write to.
//!
//! Invariants:
//! * shared bytes of [`SHARED_FROM`] and more are queued by reference with an offset, never copied; what is smaller is
//!   merged into its neighbours, so that it leaves in one `send`;
//! * of a file, only the piece that leaves next is in memory, and only while it leaves; it counts in full all the same;
//! * a queue that is empty holds no buffer but the one it will use next, and that one at most 64 KiB.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, IoSlice};
use std::ops::Range;
use std::sync::Arc;

use super::file::FilePart;
use super::http::Headers;
use super::pool;

/// From this size on, shared bytes are queued by reference: below it a copy is cheaper than one more part to write.
pub(crate) const SHARED_FROM: usize = 1024;
/// From this size on, a buffer that is given away becomes a part of its own instead of being copied.
pub(crate) const OWNED_FROM: usize = 16 * 1024;
/// The tail is closed once it is this long, so that a long queue is freed piece by piece.
const TAIL_LIMIT: usize = 64 * 1024;

/// Where a codec writes a message. Everything written in one go leaves in order and unbroken.
///
/// It is an `io::Write` too, which never fails, so `write!` and whatever writes to that can be used.
///
/// ```
/// # use workerman::{Encode, Encoded, Output, Protocol, Result};
/// # #[derive(Default)]
/// # struct Replies;
/// # impl Protocol for Replies {
/// #     type Message = Vec<u8>;
/// #     fn input(&mut self, buffer: &[u8]) -> Result<Option<usize>> { Ok(Some(buffer.len())) }
/// #     fn decode(&mut self, package: &[u8]) -> Result<Vec<u8>> { Ok(package.to_vec()) }
/// # }
/// use std::io::Write as _;
///
/// impl Encode<Vec<u8>> for Replies {
///     fn encode(&mut self, body: Vec<u8>, output: &mut Output<'_>) -> Encoded {
///         let head = write!(output, "{:010}", body.len());
///         output.owned(body);
///         head.into()
///     }
/// }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct Output<'a> {
    pub(crate) queue: &'a mut Outbound,
    /// The value of a `Date` header, now.
    pub(crate) date: &'a [u8; 29],
    /// The message that the sending handle came with, 0 for none.
    pub(crate) ticket: u32,
    /// Lines that wait for the head of an answer, perhaps none. Whoever begins an answer takes them, and so tells that it
    /// has begun.
    pub(crate) headers: Option<&'a Headers>,
    /// Set by the codec: what becomes of the connection.
    pub(crate) after: After,
    /// Set by the codec: what it has left of the input is a message, and messages have to wait.
    pub(crate) hold: bool,
}

/// What becomes of a connection once everything is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    /// It goes on.
    Stay,
    /// It closes.
    Close,
    /// The peer is still sending: it is told that this was all, and heard out.
    End,
    /// The peer closes, having been told all.
    Part,
}

impl<'a> Output<'a> {
    pub(crate) fn new(queue: &'a mut Outbound, date: &'a [u8; 29], ticket: u32) -> Self {
        Self { queue, date, ticket, headers: None, after: After::Stay, hold: false }
    }

    /// Lends itself with lines for a head; answers whether those were taken, and so whether an answer has begun.
    pub(crate) fn offer<R>(
        &mut self,
        headers: Option<&Headers>,
        write: impl FnOnce(&mut Output<'_>) -> R,
    ) -> (R, bool) {
        let Self { queue, date, ticket, after, .. } = self;
        let mut lent = Output { queue, date, ticket: *ticket, headers, after: *after, hold: false };
        let result = write(&mut lent);
        *after = lent.after;
        (result, headers.is_some() && lent.headers.is_none())
    }

    /// Appends bytes by copying them.
    #[inline]
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.queue.push(bytes);
    }

    /// Appends bytes that are given away: long ones are not copied.
    pub fn owned(&mut self, bytes: Vec<u8>) {
        self.queue.push_owned(bytes);
    }

    /// Appends bytes that may be given away: long ones are, and short ones leave their buffer to its owner.
    #[inline]
    pub(crate) fn reusable(&mut self, bytes: &mut Vec<u8>) {
        if bytes.len() < OWNED_FROM {
            self.queue.push(bytes);
        } else {
            self.queue.push_owned(std::mem::take(bytes));
        }
    }

    /// Appends a part of shared bytes: long parts are not copied, however many connections they go to. Of a range that is
    /// not within them, nothing is appended.
    pub fn shared(&mut self, bytes: &Arc<[u8]>, range: Range<usize>) {
        self.queue.push_shared(bytes, range);
    }

    /// Appends a part of a file, by the offsets of its bytes, which is read piece by piece as the peer takes it. Should the
    /// file turn out to be shorter, the connection ends where it does, and `on_error` is called with
    /// [`SEND_FAIL`](crate::SEND_FAIL).
    pub fn file(&mut self, file: File, range: Range<u64>) {
        self.queue.push_file(file, range);
    }

    /// Has the connection close once all that was written so far, and with this message, has left.
    pub fn close_after(&mut self) {
        self.after = After::Close;
    }

    /// The buffer that [`Output::bytes`] appends to, for codecs that format in place.
    #[inline]
    pub(crate) fn tail(&mut self) -> Tail<'_> {
        Tail { start: self.queue.tail.len(), queue: self.queue }
    }
}

impl io::Write for Output<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Bytes on their way to the peer, in order.
#[derive(Debug, Default)]
pub(crate) struct Outbound {
    /// Parts that stand before the tail.
    parts: VecDeque<Part>,
    /// The last part, still growing.
    tail: Vec<u8>,
    /// How much of the first part has left already.
    sent: usize,
    /// Bytes that have not left yet, those of files that were not read yet among them.
    len: usize,
    /// A file had its turn, and goes on in the next.
    resting: bool,
}

/// An end of a queue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    parts: usize,
    tail: usize,
    len: usize,
}

#[derive(Debug)]
enum Part {
    Owned(Vec<u8>),
    Shared(Arc<[u8]>, Range<usize>),
    File(Box<FilePart>),
}

impl Outbound {
    /// Bytes that have not left yet.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    #[inline]
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.tail.extend_from_slice(bytes);
        self.len += bytes.len();
        if self.tail.len() >= TAIL_LIMIT {
            self.close_tail();
        }
    }

    pub(crate) fn push_owned(&mut self, bytes: Vec<u8>) {
        if bytes.len() < OWNED_FROM {
            self.push(&bytes);
            pool::give(bytes);
        } else {
            self.close_tail();
            self.len += bytes.len();
            self.parts.push_back(Part::Owned(bytes));
        }
    }

    pub(crate) fn push_shared(&mut self, bytes: &Arc<[u8]>, range: Range<usize>) {
        let Some(part) = bytes.get(range.clone()) else {
            debug_assert!(false, "a range outside its bytes");
            return;
        };
        if part.len() < SHARED_FROM {
            self.push(part);
        } else {
            self.close_tail();
            self.len += part.len();
            self.parts.push_back(Part::Shared(Arc::clone(bytes), range));
        }
    }

    pub(crate) fn push_file(&mut self, file: File, range: Range<u64>) {
        if !range.is_empty() {
            self.close_tail();
            self.len = self.len.saturating_add(usize::try_from(range.end - range.start).unwrap_or(usize::MAX));
            self.parts.push_back(Part::File(Box::new(FilePart::new(file, range))));
        }
    }

    /// The bytes to send when they lie in one piece, which is the usual case.
    #[inline]
    pub(crate) fn as_single(&self) -> Option<&[u8]> {
        let first = match (self.parts.front(), self.parts.len()) {
            (None, _) => &self.tail,
            (Some(Part::File(_)), _) => return None,
            (Some(part), 1) if self.tail.is_empty() => part.bytes(),
            _ => return None,
        };
        first.get(self.sent..)
    }

    /// All of it in one piece, to be shared; `None` if there is a file in it.
    pub(crate) fn to_shared(&self) -> Option<Arc<[u8]>> {
        if let Some(bytes) = self.as_single() {
            return Some(bytes.into());
        }
        if self.parts.iter().any(|part| matches!(part, Part::File(_))) {
            return None;
        }
        let parts = self.parts.iter().map(Part::bytes).chain([self.tail.as_slice()]);
        Some(parts.collect::<Vec<_>>().concat().into())
    }

    /// Fills `slices` with what comes first; answers how many were filled. What stands behind the piece of a file that is
    /// in memory has to wait for the rest of that file.
    pub(crate) fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let parts = self.parts.iter().map(|part| (part.bytes(), part.is_whole()));
        let mut skip = self.sent;
        let mut filled = 0;
        for (slice, (part, whole)) in slices.iter_mut().zip(parts.chain(std::iter::once((self.tail.as_slice(), true))))
        {
            *slice = IoSlice::new(part.get(skip..).unwrap_or_default());
            skip = 0;
            filled += 1;
            if !whole {
                break;
            }
        }
        filled
    }

    /// Whether the next piece of a file has to be read before it, or what stands right in front of it, can leave.
    pub(crate) fn needs_piece(&self) -> bool {
        let file = self.parts.iter().take(2).find_map(|part| match part {
            Part::File(part) => Some(part),
            _ => None,
        });
        file.is_some_and(|part| part.needs_piece())
    }

    /// Reads the next piece of the file that is next, or behind the first part. Fails when there is no such piece.
    pub(crate) fn load(&mut self) -> io::Result<()> {
        match self.next_file() {
            Some((0, part)) if part.needs_piece() => part.load(),
            Some((_, part)) if part.needs_piece() => {
                // What stands in front of it leaves in any case; if this fails, it fails once more after that.
                let _ = part.load();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// There is no room for more now: what is left of a file's piece is forgotten, to be read again when there is.
    pub(crate) fn unload(&mut self) {
        let sent = self.sent;
        match self.next_file() {
            Some((0, part)) => {
                part.unload(sent);
                self.sent = 0;
            }
            Some((_, part)) => part.unload(0),
            None => {}
        }
    }

    /// The file that is next or behind the first part, so that a head leaves with the beginning of its file.
    fn next_file(&mut self) -> Option<(usize, &mut FilePart)> {
        self.parts.iter_mut().take(2).enumerate().find_map(|(at, part)| match part {
            Part::File(part) => Some((at, &mut **part)),
            _ => None,
        })
    }

    /// Whether it stopped without need, to let others have their turn.
    pub(crate) fn is_resting(&self) -> bool {
        self.resting
    }

    pub(crate) fn set_resting(&mut self, resting: bool) {
        self.resting = resting;
    }

    /// Takes note that `count` bytes have left.
    pub(crate) fn advance(&mut self, count: usize) {
        debug_assert!(count <= self.len);
        self.len -= count;
        self.sent += count;
        while let Some(part) = self.parts.front_mut() {
            let length = part.bytes().len();
            if self.sent < length {
                return;
            }
            self.sent -= length;
            if let Part::File(part) = part
                && !part.is_read()
            {
                part.clear();
                return;
            }
            if let Some(Part::Owned(buffer)) = self.parts.pop_front() {
                pool::give(buffer);
            }
        }
        if self.sent == self.tail.len() {
            self.sent = 0;
            self.tail.clear();
        }
    }

    /// Empties the queue and keeps its buffer for the next use, unless that has grown out of the usual.
    pub(crate) fn reset(&mut self) {
        self.parts.clear();
        if self.parts.capacity() > 32 {
            self.parts = VecDeque::new();
        }
        if self.tail.capacity() > TAIL_LIMIT {
            self.tail = Vec::new();
        }
        self.tail.clear();
        self.sent = 0;
        self.len = 0;
        self.resting = false;
    }

    /// Memory that the queue keeps for its next use.
    pub(crate) fn capacity(&self) -> usize {
        self.tail.capacity() + self.parts.capacity() * size_of::<Part>()
    }

    /// Where it ends now.
    pub(crate) fn mark(&self) -> Mark {
        Mark { parts: self.parts.len(), tail: self.tail.len(), len: self.len }
    }

    /// Takes back what was appended since. Nothing may have left meanwhile.
    pub(crate) fn rewind(&mut self, mark: Mark) {
        if let Some(first) = self.parts.drain(mark.parts.min(self.parts.len())..).next() {
            // If there was a tail, it has become the first part behind the mark.
            self.tail = match first {
                Part::Owned(tail) if mark.tail > 0 => tail,
                _ => Vec::new(),
            };
        }
        self.tail.truncate(mark.tail);
        self.len = mark.len;
    }

    fn close_tail(&mut self) {
        if !self.tail.is_empty() {
            let tail = std::mem::replace(&mut self.tail, pool::take());
            self.parts.push_back(Part::Owned(tail));
        }
    }
}

impl Part {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Owned(bytes) => bytes,
            Self::Shared(bytes, range) => bytes.get(range.clone()).unwrap_or_default(),
            Self::File(part) => part.bytes(),
        }
    }

    /// Whether its bytes are all there is of it.
    fn is_whole(&self) -> bool {
        !matches!(self, Self::File(part) if !part.is_read())
    }
}

/// The growing end of a queue; counts what was appended when it is dropped.
#[derive(Debug)]
pub(crate) struct Tail<'a> {
    queue: &'a mut Outbound,
    start: usize,
}

impl std::ops::Deref for Tail<'_> {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.queue.tail
    }
}

impl std::ops::DerefMut for Tail<'_> {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.queue.tail
    }
}

impl Drop for Tail<'_> {
    #[inline]
    fn drop(&mut self) {
        self.queue.len += self.queue.tail.len() - self.start;
        if self.queue.tail.len() >= TAIL_LIMIT {
            self.queue.close_tail();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(queue: &mut Outbound, step: usize) -> Vec<u8> {
        let mut out = Vec::new();
        while !queue.is_empty() {
            let mut slices = [IoSlice::new(&[]); 4];
            let filled = queue.slices(&mut slices);
            let mut taken: Vec<u8> = slices[..filled].iter().flat_map(|slice| slice.to_vec()).collect();
            taken.truncate(step);
            queue.advance(taken.len());
            out.extend(taken);
        }
        out
    }

    #[test]
    fn bytes_leave_in_order_whatever_they_are_made_of() {
        let shared: Arc<[u8]> = vec![b's'; 3000].into();
        for step in [1, 7, 1023, 1024, 5000, 100_000] {
            let mut queue = Outbound::default();
            queue.push(b"head");
            queue.push_shared(&shared, 10..20);
            queue.push_shared(&shared, 0..2000);
            queue.push_owned(vec![b'o'; 20_000]);
            queue.push(b"tail");
            queue.push_owned(b"small".to_vec());
            let expected = [b"head".as_slice(), &[b's'; 2010], &[b'o'; 20_000], b"tailsmall"].concat();
            assert_eq!(queue.len(), expected.len());
            assert_eq!(drain(&mut queue, step), expected);
            assert!(queue.is_empty());
        }
    }

    type Filling = fn(&mut Outbound, &Arc<[u8]>);

    #[test]
    fn what_is_taken_back_was_never_there() {
        let shared: Arc<[u8]> = vec![b's'; 3000].into();
        let fillings: [Filling; 5] = [
            |_, _| {},
            |queue, _| queue.push(b"small"),
            |queue, shared| queue.push_shared(shared, 0..3000),
            |queue, _| queue.push_owned(vec![b'o'; 20_000]),
            |queue, _| queue.push(&[b'l'; 70_000]),
        ];
        for before in fillings {
            for first in fillings {
                for second in fillings {
                    for sent in [0, 1] {
                        let (mut queue, mut other) = (Outbound::default(), Outbound::default());
                        for queue in [&mut queue, &mut other] {
                            before(queue, &shared);
                            queue.advance(sent.min(queue.len()));
                        }
                        let mark = queue.mark();
                        first(&mut queue, &shared);
                        second(&mut queue, &shared);
                        queue.rewind(mark);
                        queue.push(b"end");
                        other.push(b"end");
                        assert_eq!(queue.len(), other.len());
                        assert_eq!(drain(&mut queue, 1000), drain(&mut other, 1000));
                    }
                }
            }
        }
    }

    /// A file without a name, of so many bytes.
    fn file(bytes: &[u8]) -> File {
        use std::io::Write;
        static COUNT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("workerman-output-{}-{number}", std::process::id()));
        let mut file = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    #[test]
    fn a_file_leaves_in_its_place_and_is_in_memory_by_the_piece() {
        let content: Vec<u8> = (0..300_000_u32).map(|at| (at % 251) as u8).collect();
        for step in [1000, 65_535, 65_536, 65_537, 1_000_000] {
            for forgetful in [false, true] {
                let mut queue = Outbound::default();
                queue.push(b"head");
                queue.push_file(file(&content), 10..290_000);
                queue.push(b"between");
                queue.push_file(file(&content), 0..0);
                queue.push_file(file(&content), 299_999..300_000);
                queue.push(b"tail");
                let expected = [b"head", &content[10..290_000], b"between", &content[299_999..], b"tail"].concat();
                assert_eq!(queue.len(), expected.len());
                let mut out = Vec::new();
                while !queue.is_empty() {
                    queue.load().unwrap();
                    let mut slices = [IoSlice::new(&[]); 8];
                    let filled = queue.slices(&mut slices);
                    let mut taken: Vec<u8> = slices[..filled].iter().flat_map(|slice| slice.to_vec()).collect();
                    assert!(!taken.is_empty() && taken.len() <= 65_536 + 20);
                    taken.truncate(step);
                    queue.advance(taken.len());
                    out.extend(taken);
                    if forgetful {
                        queue.unload();
                        assert!(
                            queue.parts.iter().all(|part| !matches!(part, Part::File(file) if !file.needs_piece()))
                        );
                    }
                    assert_eq!(queue.len(), expected.len() - out.len());
                }
                assert!(out == expected, "in steps of {step}");
            }
        }
    }

    #[test]
    fn a_file_that_is_too_short_has_no_such_piece() {
        let mut queue = Outbound::default();
        queue.push_file(file(&[1; 70_000]), 0..70_001);
        queue.load().unwrap();
        queue.advance(crate::protocols::file::PIECE);
        assert!(queue.needs_piece() && queue.load().is_err());
        queue.reset();
        assert!(queue.is_empty() && queue.as_single() == Some(b""));
    }

    #[test]
    fn a_long_shared_part_is_never_copied() {
        let shared: Arc<[u8]> = vec![b's'; SHARED_FROM].into();
        let mut queue = Outbound::default();
        queue.push_shared(&shared, 0..SHARED_FROM);
        assert_eq!(Arc::strong_count(&shared), 2);
        assert_eq!(queue.as_single().map(<[u8]>::as_ptr), Some(shared.as_ptr()));
        queue.advance(SHARED_FROM);
        assert_eq!(Arc::strong_count(&shared), 1);
    }

    #[test]
    fn small_shared_parts_are_merged() {
        let shared: Arc<[u8]> = vec![b's'; 100].into();
        let mut queue = Outbound::default();
        for _ in 0..10 {
            queue.push_shared(&shared, 0..100);
        }
        assert_eq!(queue.as_single().map(<[u8]>::len), Some(1000));
        assert_eq!(Arc::strong_count(&shared), 1);
    }

    #[test]
    fn what_is_formatted_in_place_counts() {
        let mut queue = Outbound::default();
        let mut output = Output::new(&mut queue, b"Sun, 06 Nov 1994 08:49:37 GMT", 0);
        output.tail().extend_from_slice(b"abc");
        output.bytes(b"de");
        assert_eq!(queue.len(), 5);
        assert_eq!(queue.as_single(), Some(b"abcde".as_slice()));
    }
}
