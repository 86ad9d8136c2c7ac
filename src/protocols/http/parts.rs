//! What a request is made of: its bytes, and where things are in them.
//!
//! Invariants: offsets fit 16 bits because a head is below 16 KiB and four bytes; parts that wait for their next use keep
//! at most 16 KiB of room for bytes and 1 KiB for the target.

use std::cell::OnceCell;

use super::form::Submitted;
use super::params::Params;
use crate::protocols::reuse::{Home, Reuse, Shelf};
use crate::protocols::{Origin, pool, warm};
use crate::shared::{Leaked, Shared};

/// Parts keep at most this much room for bytes.
const ROOM: usize = 16 * 1024;
/// Parts keep at most this much room for the target.
const TARGET_ROOM: usize = 1024;
/// Parts keep room for at most so many header lines.
const FIELDS: usize = 32;

thread_local! {
    static HOME: Leaked<Shared<Shelf<Parts>>> = const { Leaked::new() };
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
    pub(super) origin: Origin,
    /// ASCII, and asked for by every app: kept as text, so that it is not validated each time.
    pub(super) target: String,
    pub(super) fields: Vec<Field>,
    pub(super) query: OnceCell<Params>,
    pub(super) rare: OnceCell<Box<Rare>>,
}

/// What few requests have, or are asked for.
#[derive(Default)]
pub(super) struct Rare {
    /// Fields and files of a form in the body.
    pub(super) form: OnceCell<Submitted>,
    /// Values that are not in the buffer as they are wanted: joined from several lines, or not UTF-8.
    pub(super) values: OnceCell<Box<[(String, String)]>>,
    /// Values of cookies that had to be decoded.
    pub(super) cookies: OnceCell<Box<[String]>>,
    /// The lines behind a chunked body, as they came.
    pub(super) trailers: Vec<u8>,
}

/// Where a header line is: its name, a colon, and its value between white space.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Field {
    start: u16,
    colon: u16,
    end: u16,
}

impl Reuse for Parts {
    const HOME: &'static Home<Self> = &HOME;

    #[inline]
    fn clear(&mut self) {
        if self.buffer.capacity() > ROOM {
            give(std::mem::take(&mut self.buffer));
        }
        if self.target.capacity() > TARGET_ROOM {
            self.target = String::new();
        }
        if self.fields.capacity() > FIELDS {
            self.fields = Vec::new();
        }
        self.buffer.clear();
        self.target.clear();
        self.fields.clear();
        self.query.take();
        if self.rare.get().is_some() {
            self.rare.take();
        }
    }
}

/// A buffer that is too large for parts to keep may be what another wants.
#[cold]
fn give(buffer: Vec<u8>) {
    if buffer.capacity() > pool::LARGEST { warm::give(buffer) } else { pool::give(buffer) }
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

    /// Whether this is its name, in any case. Most names differ in length from the one that is asked for.
    #[inline]
    pub(super) fn is(&self, head: &[u8], name: &[u8]) -> bool {
        usize::from(self.colon) == usize::from(self.start) + name.len() && self.name(head).eq_ignore_ascii_case(name)
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

/// What stands before the first of these bytes, which is ASCII, and behind it. For short text quicker than a search that
/// has to be set up.
#[inline]
pub(super) fn cut(text: &str, separator: u8) -> Option<(&str, &str)> {
    let (front, rest) = text.split_at_checked(text.bytes().position(|byte| byte == separator)?)?;
    Some((front, rest.get(1..)?))
}

/// Where a part of the head begins.
#[inline]
fn offset(head: &[u8], part: &[u8]) -> usize {
    (part.as_ptr() as usize).wrapping_sub(head.as_ptr() as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_parts_keep_is_bounded() {
        let mut parts = Parts::default();
        parts.buffer.reserve(2 * ROOM);
        parts.target.reserve(2 * ROOM);
        parts.fields.reserve(2 * FIELDS);
        parts.clear();
        assert!(parts.buffer.capacity() <= ROOM && parts.target.capacity() <= TARGET_ROOM);
        assert!(parts.fields.capacity() <= FIELDS);
    }

    #[test]
    fn what_was_decoded_is_not_the_next_requests() {
        let mut parts = Parts::default();
        parts.query.get_or_init(|| Params::parse(b"a=1"));
        parts.rare.get_or_init(Box::default).form.get_or_init(Submitted::default);
        parts.clear();
        assert!(parts.query.get().is_none() && parts.rare.get().is_none());
    }

    #[test]
    fn parts_keep_room_for_the_usual_request() {
        let mut parts = Parts::default();
        parts.buffer.extend_from_slice(&[1; 1000]);
        parts.target.push_str("/path");
        parts.fields.push(Field::default());
        parts.clear();
        assert!(parts.buffer.is_empty() && parts.target.is_empty() && parts.fields.is_empty());
        assert!(parts.buffer.capacity() >= 1000);
    }
}
