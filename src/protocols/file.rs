//! A part of a file on its way to the peer, of which one piece at a time is in memory.
//!
//! Invariants: at most [`PIECE`] bytes of it are in memory, and none while the peer takes nothing: what has not left by
//! then is forgotten and read once more. The descriptor stays open until the last byte was read, so that a file may be
//! deleted or replaced meanwhile.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use rustix::buffer::spare_capacity;
use rustix::io::{Errno, pread};

use super::pool;

/// So much is read at a time: a little less than the 64 KiB that a system sends as one, with room for a head. A piece that
/// were longer by one byte would leave as two packets, and cost nearly twice as much.
pub(crate) const PIECE: usize = 60 * 1024;

/// Appends this part of a file that is known to be of this size, or fails where it is shorter than the part.
///
/// A file on a disk has no readiness that a loop could wait for, so this may wait for the disk.
pub(crate) fn append(file: &File, range: Range<u64>, size: u64, buffer: &mut Vec<u8>) -> io::Result<()> {
    let length = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(usize::MAX);
    let start = buffer.len();
    buffer.reserve_exact(length);
    let room = buffer.capacity() - start;
    if range.end < size && room - length > length / 8 {
        // Too much of what stands behind the part would be read along.
        buffer.resize(start + length, 0);
        return file.read_exact_at(buffer.get_mut(start..).unwrap_or_default(), range.start);
    }
    while buffer.len() - start < length {
        // Into room that nobody has filled with zeros before.
        let at = range.start + (buffer.len() - start) as u64;
        match pread(file, spare_capacity(buffer), at) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    // The file may have grown, and the room may have been larger.
    buffer.truncate(start + length);
    Ok(())
}

/// What has not left yet of a file.
#[derive(Debug)]
pub(crate) struct FilePart {
    file: File,
    /// Not read yet.
    unread: Range<u64>,
    /// What stands before that.
    piece: Vec<u8>,
}

impl FilePart {
    pub(crate) fn new(file: File, range: Range<u64>) -> Self {
        Self { file, unread: range, piece: Vec::new() }
    }

    /// What is in memory.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.piece
    }

    /// Nothing is left to be read.
    pub(crate) fn is_read(&self) -> bool {
        self.unread.is_empty()
    }

    /// Nothing is in memory.
    pub(crate) fn needs_piece(&self) -> bool {
        self.piece.is_empty()
    }

    /// Reads the next piece. There is none in memory.
    pub(crate) fn load(&mut self) -> io::Result<()> {
        if self.piece.capacity() == 0 {
            self.piece = pool::take();
        }
        let end = self.unread.end.min(self.unread.start.saturating_add(PIECE as u64));
        let result = append(&self.file, self.unread.start..end, u64::MAX, &mut self.piece);
        match result {
            Ok(()) => self.unread.start = end,
            Err(_) => self.piece.clear(),
        }
        result
    }

    /// The piece has left.
    pub(crate) fn clear(&mut self) {
        self.piece.clear();
    }

    /// Forgets the piece but for the fact that its first `sent` bytes have left.
    pub(crate) fn unload(&mut self, sent: usize) {
        let kept = self.piece.len().saturating_sub(sent) as u64;
        self.unread.start = self.unread.start.saturating_sub(kept);
        self.give_buffer();
    }

    fn give_buffer(&mut self) {
        pool::give(std::mem::take(&mut self.piece));
    }
}

impl Drop for FilePart {
    fn drop(&mut self) {
        self.give_buffer();
    }
}
