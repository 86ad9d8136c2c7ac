//! What a request is made of: its bytes, and where things are in them. Parts are used again, so that the usual request
//! costs no allocation and moves as one pointer.
//!
//! Invariants: offsets fit 16 bits because a head is below 16 KiB and four bytes; parts on the shelf are empty and keep
//! at most 16 KiB of room each; a thread that never parsed a request keeps none, so what was received on the loop and
//! dropped on another thread is freed there.

use std::cell::OnceCell;
use std::ops::{Deref, DerefMut};

use crate::protocols::pool;
use crate::shared::{Leaked, Shared};

/// Parts beyond these are freed.
const SHELF_LIMIT: usize = 64;
/// Parts keep at most this much room for bytes.
const ROOM: usize = 16 * 1024;
/// Parts keep room for at most so many header lines.
const FIELDS: usize = 32;

thread_local! {
    static SHELF: Leaked<Shared<Shelf>> = const { Leaked::new() };
}

#[derive(Default)]
#[allow(clippy::vec_box)] // the box moves between here and a request, its content stays
struct Shelf {
    parts: Vec<Box<Parts>>,
    used: bool,
}

#[derive(Default)]
pub(super) struct Parts {
    /// The head with its blank line, then the body.
    pub(super) buffer: Vec<u8>,
    pub(super) head_length: u16,
    pub(super) method_length: u16,
    /// Of the target, what stands before the first `?` or `#`.
    pub(super) path_length: u16,
    pub(super) minor: u8,
    /// ASCII, and asked for by every app: kept as text, so that it is not validated each time.
    pub(super) target: String,
    pub(super) fields: Vec<Field>,
    pub(super) query: OnceCell<Box<[(String, String)]>>,
    /// Values that are not in the buffer as they are wanted: joined from several lines, or not UTF-8.
    pub(super) values: OnceCell<Box<[(String, String)]>>,
}

/// Where a header line is: its name, a colon, and its value between white space.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Field {
    start: u16,
    colon: u16,
    end: u16,
}

/// Parts on loan from the shelf: `None` only while they go back.
pub(super) struct Lent(Option<Box<Parts>>);

impl Lent {
    /// Empty parts.
    #[inline]
    pub(super) fn take() -> Self {
        let parts = with(|shelf| {
            shelf.used = true;
            shelf.parts.pop()
        });
        Self(Some(parts.unwrap_or_default()))
    }
}

impl Deref for Lent {
    type Target = Parts;

    #[inline]
    fn deref(&self) -> &Parts {
        match &self.0 {
            Some(parts) => parts,
            None => unreachable!("parts that went back are not asked"),
        }
    }
}

impl DerefMut for Lent {
    #[inline]
    fn deref_mut(&mut self) -> &mut Parts {
        match &mut self.0 {
            Some(parts) => parts,
            None => unreachable!("parts that went back are not asked"),
        }
    }
}

impl Drop for Lent {
    #[inline]
    fn drop(&mut self) {
        let Some(mut parts) = self.0.take() else { return };
        parts.clear();
        with(|shelf| {
            if shelf.used && shelf.parts.len() < SHELF_LIMIT {
                shelf.parts.push(parts);
            }
        });
    }
}

impl Parts {
    /// Empties the parts; what they keep is room for the usual request.
    #[inline]
    fn clear(&mut self) {
        if self.buffer.capacity() > ROOM {
            pool::give(std::mem::take(&mut self.buffer));
        }
        if self.target.capacity() > ROOM / 16 {
            self.target = String::new();
        }
        if self.fields.capacity() > FIELDS {
            self.fields = Vec::new();
        }
        self.buffer.clear();
        self.target.clear();
        self.fields.clear();
        self.query.take();
        self.values.take();
    }
}

impl Field {
    /// A line that begins at `start` and ends, its CRLF excluded, at `end`.
    #[inline]
    #[allow(clippy::cast_possible_truncation)] // a head is at most HEAD_LIMIT + 4 bytes long; a longer one is refused
    pub(super) fn new(start: usize, colon: usize, end: usize) -> Self {
        Self { start: start as u16, colon: colon as u16, end: end as u16 }
    }

    /// The line that these two parts of the head are of.
    #[inline]
    pub(super) fn of(head: &[u8], name: &[u8], value: &[u8]) -> Self {
        let start = offset(head, name);
        Self::new(start, start + name.len(), offset(head, value) + value.len())
    }

    #[inline]
    pub(super) fn name(self, head: &[u8]) -> &[u8] {
        head.get(usize::from(self.start)..usize::from(self.colon)).unwrap_or_default()
    }

    #[inline]
    pub(super) fn value(self, head: &[u8]) -> &[u8] {
        trim(head.get(usize::from(self.colon) + 1..usize::from(self.end)).unwrap_or_default())
    }

    /// Whether CRLF stands in front of the line.
    #[inline]
    pub(super) fn follows_line_end(self, head: &[u8]) -> bool {
        let start = usize::from(self.start);
        head.get(start.wrapping_sub(2)..start) == Some(b"\r\n")
    }
}

/// Without the white space around it, of which there is mostly one space.
#[inline]
pub(super) fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = value {
        value = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// Where a part of the head begins.
#[inline]
fn offset(head: &[u8], part: &[u8]) -> usize {
    (part.as_ptr() as usize).wrapping_sub(head.as_ptr() as usize)
}

/// Frees what the thread keeps.
pub(super) fn clear() {
    with(|shelf| *shelf = Shelf::default());
}

#[inline]
fn with<R>(f: impl FnOnce(&mut Shelf) -> R) -> R {
    SHELF.with(|shelf| shelf.get().with(f))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_come_back_empty_with_room_for_the_usual_request() {
        let mut parts = Lent::take();
        parts.buffer.extend_from_slice(&[1; 1000]);
        parts.target.push_str("/path");
        parts.fields.push(Field::default());
        parts.query.get_or_init(Box::default);
        drop(parts);
        let again = Lent::take();
        assert!(again.buffer.is_empty() && again.target.is_empty() && again.fields.is_empty());
        assert!(again.query.get().is_none() && again.buffer.capacity() >= 1000);
    }

    #[test]
    fn what_parts_keep_is_bounded() {
        let many: Vec<Lent> = (0..2 * SHELF_LIMIT).map(|_| Lent::take()).collect();
        for mut parts in many {
            parts.buffer.reserve(2 * ROOM);
            parts.target.reserve(2 * ROOM);
            parts.fields.reserve(2 * FIELDS);
        }
        let small = |parts: &Parts| {
            parts.buffer.capacity() <= ROOM && parts.target.capacity() <= ROOM && parts.fields.capacity() <= FIELDS
        };
        assert!(with(|shelf| shelf.parts.len() == SHELF_LIMIT && shelf.parts.iter().all(|parts| small(parts))));
        clear();
    }

    #[test]
    fn a_thread_that_parsed_none_keeps_none() {
        let parts = Lent::take();
        std::thread::scope(|scope| {
            let kept = scope.spawn(move || {
                drop(parts);
                with(|shelf| shelf.parts.len())
            });
            assert_eq!(kept.join().unwrap(), 0);
        });
    }
}
