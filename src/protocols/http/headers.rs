//! The header lines of an answer, or of a request of ours, kept as they will stand on the wire.
//!
//! Invariants: names are found without regard to case; a line can never be split, because a name that is not a token
//! and a value with a control character (but HTAB) are left out, with a warning.

use super::class::{CONTROL, TOKEN};
use crate::protocols::pool;

/// Header lines, each `Name: value CRLF`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Headers {
    lines: Vec<u8>,
    known: u16,
}

/// What changes how an answer is framed or which defaults it gets: found once, when it is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub(super) enum Known {
    CacheControl = 1,
    Connection = 2,
    ContentLength = 4,
    ContentType = 8,
    Date = 16,
    TransferEncoding = 32,
    XAccelBuffering = 64,
    /// The value of `Content-Type` opens an event stream.
    EventStream = 128,
    /// The value of `Connection` closes it.
    Close = 256,
    /// The value of `Transfer-Encoding` is `chunked` and nothing else.
    Chunked = 512,
    /// How long the body would be that this head stands for is not known.
    #[cfg(feature = "compression")]
    Unmeasured = 1024,
}

impl Known {
    #[inline]
    fn of(name: &str) -> Option<Self> {
        let (known, canonical) = match name.len() {
            4 => (Self::Date, "Date"),
            10 => (Self::Connection, "Connection"),
            12 => (Self::ContentType, "Content-Type"),
            13 => (Self::CacheControl, "Cache-Control"),
            14 => (Self::ContentLength, "Content-Length"),
            17 if name.starts_with(['X', 'x']) => (Self::XAccelBuffering, "X-Accel-Buffering"),
            17 => (Self::TransferEncoding, "Transfer-Encoding"),
            _ => return None,
        };
        // Most programs write names as the standards do, and comparing those is one instruction or two.
        (name == canonical || name.eq_ignore_ascii_case(canonical)).then_some(known)
    }

    /// What the value of a known header means besides.
    #[inline]
    fn of_value(self, value: &str) -> u16 {
        const STREAM: &str = "text/event-stream";
        let meaning = match self {
            Self::ContentType => {
                let is_stream = value.len() >= STREAM.len()
                    && value.get(..STREAM.len()).is_some_and(|start| start.eq_ignore_ascii_case(STREAM));
                is_stream.then_some(Self::EventStream)
            }
            Self::Connection => {
                let closes = value.split(',').any(|token| token.trim().eq_ignore_ascii_case("close"));
                closes.then_some(Self::Close)
            }
            Self::TransferEncoding => value.trim().eq_ignore_ascii_case("chunked").then_some(Self::Chunked),
            _ => None,
        };
        meaning.map_or(0, |meaning| meaning as u16)
    }

    /// The bits that go with this header.
    fn bits(self) -> u16 {
        let of_value = match self {
            Self::ContentType => Self::EventStream as u16,
            Self::Connection => Self::Close as u16,
            Self::TransferEncoding => Self::Chunked as u16,
            _ => 0,
        };
        self as u16 | of_value
    }
}

impl Headers {
    /// Sets a header: what stood under this name before is gone.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        if is_name(name) && is_value(name, value) {
            self.remove(name);
            self.push(name, value, Known::of(name));
        }
    }

    /// Adds a line beside those of the same name; a header that may stand only once is replaced.
    #[inline]
    pub(crate) fn add(&mut self, name: &str, value: &str) {
        let known = Known::of(name);
        if (known.is_some() || is_name(name)) && is_value(name, value) {
            if known.is_some_and(|known| self.has(known)) {
                self.remove(name);
            }
            self.push(name, value, known);
        }
    }

    /// Adds the lines of others behind its own; of a header that may stand only once, its own stays.
    pub(super) fn accompany(&mut self, others: &Self) {
        for (name, value) in others.lines() {
            let known = Known::of(name);
            if known.is_none_or(|known| !self.has(known)) {
                self.push(name, value, known);
            }
        }
    }

    pub(crate) fn remove(&mut self, name: &str) {
        if self.lines.is_empty() || self.get(name).is_none() {
            return;
        }
        let mut kept = pool::take();
        for line in self.lines().filter(|line| !line.0.eq_ignore_ascii_case(name)) {
            append(&mut kept, line.0, line.1);
        }
        pool::give(std::mem::replace(&mut self.lines, kept));
        if let Some(known) = Known::of(name) {
            self.known &= !known.bits();
        }
    }

    /// The first value under this name.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.lines().find(|line| line.0.eq_ignore_ascii_case(name)).map(|line| line.1)
    }

    pub(super) fn has(&self, known: Known) -> bool {
        self.known & known as u16 != 0
    }

    /// Whether the answer may be a stream, of events or of chunks.
    #[inline]
    pub(super) fn has_stream(&self) -> bool {
        self.known & (Known::EventStream as u16 | Known::Chunked as u16) != 0
    }

    /// The head stands for a body that was not made: no length is named.
    #[cfg(feature = "compression")]
    pub(super) fn set_unmeasured(&mut self) {
        self.remove("Content-Length");
        self.known |= Known::Unmeasured as u16;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Names and values in the order they were set.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (&str, &str)> {
        let text = std::str::from_utf8(&self.lines).unwrap_or_default(); // made of `&str`s only
        text.split_terminator("\r\n").filter_map(|line| line.split_once(": "))
    }

    /// The lines as they go onto the wire.
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.lines
    }

    /// Copies into the room there is.
    pub(super) fn copy_from(&mut self, other: &Self) {
        self.lines.clone_from(&other.lines);
        self.known = other.known;
    }

    /// Takes all lines out, and keeps at most this much room for the next.
    #[inline]
    pub(super) fn clear(&mut self, room: usize) {
        if self.lines.capacity() > room {
            self.lines = Vec::new();
        }
        self.lines.clear();
        self.known = 0;
    }

    #[inline]
    fn push(&mut self, name: &str, value: &str, known: Option<Known>) {
        append(&mut self.lines, name, value);
        if let Some(known) = known {
            self.known |= known as u16 | known.of_value(value);
        }
    }
}

/// Appends a line.
#[inline]
pub(super) fn append(lines: &mut Vec<u8>, name: &str, value: &str) {
    lines.reserve(name.len() + value.len() + 4);
    lines.extend_from_slice(name.as_bytes());
    lines.extend_from_slice(b": ");
    lines.extend_from_slice(value.as_bytes());
    lines.extend_from_slice(b"\r\n");
}

#[inline]
fn is_name(name: &str) -> bool {
    let valid = !name.is_empty() && name.bytes().all(|byte| TOKEN.has(byte));
    if !valid {
        log::warn!("header left out: {name:?} is not a name");
    }
    valid
}

#[inline]
fn is_value(name: &str, value: &str) -> bool {
    // RFC 9110 §5.5. Line breaks would begin lines of their own; the others have no place in a value either.
    let valid = !value.bytes().any(|byte| CONTROL.has(byte));
    if !valid {
        log::warn!("header {name} left out: {value:?} has a control character in it");
    }
    valid
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_found_and_replaced_in_any_case() {
        let mut headers = Headers::default();
        headers.set("X-Foo", "1");
        headers.set("Y", "2");
        headers.set("x-foo", "3");
        assert_eq!(headers.get("X-FOO"), Some("3"));
        assert_eq!(headers.as_bytes(), b"Y: 2\r\nx-foo: 3\r\n");
        headers.remove("y");
        assert_eq!(headers.as_bytes(), b"x-foo: 3\r\n");
    }

    #[test]
    fn a_line_can_never_be_split() {
        let mut headers = Headers::default();
        for (name, value) in
            [("A", "1\r\nB: 2"), ("A", "1\rB"), ("A", "\n"), ("A", "\0"), ("A", "\x1b"), ("A:", "1"), ("", "1")]
        {
            headers.set(name, value);
            headers.add(name, value);
        }
        headers.set("A\r\nB", "1");
        headers.set("A B", "1");
        assert!(headers.is_empty());
    }

    #[test]
    fn lines_may_be_added_but_not_of_what_stands_once() {
        let mut headers = Headers::default();
        headers.add("Set-Cookie", "a=1");
        headers.add("Set-Cookie", "b=2");
        headers.add("content-type", "text/plain");
        headers.add("Content-Type", "text/html");
        assert_eq!(headers.as_bytes(), b"Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Type: text/html\r\n");
        assert!(headers.has(Known::ContentType) && !headers.has(Known::Date));
        headers.remove("CONTENT-TYPE");
        assert!(!headers.has(Known::ContentType));
    }

    #[test]
    fn what_a_value_means_goes_with_its_line() {
        let mut headers = Headers::default();
        for value in ["chunked", "Chunked", " CHUNKED\t"] {
            headers.set("transfer-encoding", value);
            assert!(headers.has(Known::Chunked) && headers.has_stream(), "{value:?}");
        }
        for value in ["", "gzip", "gzip, chunked", "chunked, chunked", "chunked;a=b", "chunke"] {
            headers.add("Transfer-Encoding", value);
            assert!(headers.has(Known::TransferEncoding) && !headers.has_stream(), "{value:?}");
        }
        headers.set("Transfer-Encoding", "chunked");
        headers.remove("TRANSFER-ENCODING");
        assert!(headers.is_empty() && !headers.has(Known::Chunked) && !headers.has(Known::TransferEncoding));
    }

    #[test]
    fn an_empty_value_stays_a_line() {
        let mut headers = Headers::default();
        headers.set("X-Foo", "");
        assert_eq!(headers.get("x-foo"), Some(""));
    }
}
