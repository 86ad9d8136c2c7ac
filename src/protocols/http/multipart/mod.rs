//! `multipart/form-data` (RFC 7578, RFC 2046 §5.1): a resumable decoder of bodies.
//!
//! ```text
//!   Preamble ─ delimiter ─▶ Delimiter ─ "-" ─▶ Dash ─ "-" ─▶ Done, the rest is ignored
//!                           ▲   ├─ SP HTAB ─▶ Padding ─┐
//!                           │   └─────── CR ───────────┴─▶ LineFeed ─ LF ─▶ Head ─ blank line ─▶ Body ─┐
//!                           └──────────────────────────────── delimiter ───────────────────────────────┘
//! ```
//!
//! A delimiter is CRLF, two dashes and the boundary; before the first one the CRLF may be missing. Every edge that is not
//! drawn is an error, which stays. Invariants:
//! * the events do not depend on how the input was cut, but for how the data of a part are cut;
//! * a byte that may belong to a delimiter is neither kept nor lost: a boundary has no CR, so what was held back is the
//!   beginning of the delimiter, and of all CR the last one only can begin it;
//! * nothing of a part's data is kept here, and of a head what has come, up to its bound.

mod boundary;
mod head;
mod parameters;

use std::fmt;

use memchr::memmem::Finder;
use memchr::{memchr, memrchr};

pub use boundary::Boundary;
pub use head::PartHead;

/// Bytes of one part's head, with its blank line.
const MAX_HEAD: usize = 16 * 1024;
/// Parts of a body: PHP Workerman's `maxFileUploads`.
const MAX_PARTS: u16 = 1024;

/// Why a form is not complete, for [`Request::form_error`](crate::Request::form_error).
///
/// ```
/// # use workerman::{FormError, Request};
/// # fn example(request: &Request) {
/// if request.form_error() == Some(FormError::Truncated) {
///     println!("the form breaks off");
/// }
/// # }
/// ```
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// What is sent is not what the RFCs describe.
    Malformed(&'static str),
    /// What is sent passes a bound.
    TooLarge(&'static str),
    /// The body ended before its last delimiter.
    #[doc(alias = "UPLOAD_ERR_PARTIAL")]
    Truncated,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(reason) | Self::TooLarge(reason) => f.write_str(reason),
            Self::Truncated => f.write_str("the body ends before its last boundary"),
        }
    }
}

impl std::error::Error for Error {}

/// What comes next in a body.
#[derive(Debug, PartialEq)]
pub enum Event<'a> {
    /// A part begins.
    Part(PartHead),
    /// The next piece of its data, never empty.
    Data(&'a [u8]),
    /// The part is complete.
    PartEnd,
    /// The body is complete; what follows is ignored.
    End,
}

/// What the next byte belongs to.
#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Preamble,
    Delimiter,
    Dash,
    Padding,
    LineFeed,
    Head,
    Body,
    /// The delimiter behind a body has come.
    BodyEnd,
    Done,
    Failed(Error),
}

/// Takes a body apart.
#[derive(Debug)]
pub struct Decoder {
    /// Searches for the delimiter, which is its needle.
    finder: Finder<'static>,
    /// How many bytes of the delimiter have come at the end of the input so far.
    matched: usize,
    /// What there is of the present head.
    head: Vec<u8>,
    /// Where its present line begins.
    line: usize,
    parts: u16,
    state: State,
    /// Whether anything has come at all.
    begun: bool,
}

impl Decoder {
    /// A decoder for a body with this boundary.
    pub fn new(boundary: &Boundary) -> Self {
        let delimiter = [b"\r\n--", boundary.as_bytes()].concat();
        Self {
            finder: Finder::new(&delimiter).into_owned(),
            // The first delimiter needs no CRLF: it is as if that had come already.
            matched: 2,
            head: Vec::new(),
            line: 0,
            parts: 0,
            state: State::Preamble,
            begun: false,
        }
    }

    /// The next event in `input`, which loses the bytes that were looked at; `None` when all were and more is needed.
    ///
    /// # Errors
    ///
    /// What is wrong with the body; the same for ever after.
    pub fn next<'a, 'i: 'a>(&'a mut self, input: &mut &'i [u8]) -> Result<Option<Event<'a>>, Error> {
        self.begun |= !input.is_empty();
        loop {
            let step = match self.state {
                State::Failed(error) => return Err(error),
                State::BodyEnd => {
                    self.state = State::Delimiter;
                    return Ok(Some(Event::PartEnd));
                }
                State::Done => {
                    *input = &[];
                    return Ok(None);
                }
                _ if input.is_empty() => return Ok(None),
                State::Preamble => {
                    self.search(input, State::Delimiter);
                    continue;
                }
                State::Body => match self.search(input, State::BodyEnd) {
                    Piece::Held(length) => return Ok(self.finder.needle().get(..length).map(Event::Data)),
                    Piece::Input([]) => continue,
                    Piece::Input(data) => return Ok(Some(Event::Data(data))),
                },
                State::Head => self.take_head(input),
                _ => self.take_delimiter_line(input),
            };
            match step {
                Ok(None) => {}
                Ok(event) => return Ok(event),
                Err(error) => self.state = State::Failed(error),
            }
        }
    }

    /// The body ends here, as far as its sender is concerned.
    ///
    /// # Errors
    ///
    /// If it was refused, or if it is not complete. A body of no bytes at all is one without parts, as in PHP.
    pub fn finish(&self) -> Result<(), Error> {
        match self.state {
            State::Done => Ok(()),
            State::Failed(error) => Err(error),
            _ if self.begun => Err(Error::Truncated),
            _ => Ok(()),
        }
    }

    /// Takes what stands before the next delimiter, as far as it is certain, and the delimiter if it is complete.
    fn search<'i>(&mut self, input: &mut &'i [u8], behind: State) -> Piece<'i> {
        let (delimiter, rest) = (self.finder.needle(), *input);
        if self.matched > 0 {
            let missing = delimiter.get(self.matched..).unwrap_or_default();
            let common = missing.iter().zip(rest).take_while(|(expected, byte)| expected == byte).count();
            *input = rest.get(common..).unwrap_or_default();
            let held = self.matched + common;
            if common == missing.len() {
                (self.matched, self.state) = (0, behind);
                return Piece::Input(&[]);
            }
            if common == rest.len() {
                self.matched = held;
                return Piece::Input(&[]);
            }
            self.matched = 0;
            return Piece::Held(held);
        }
        if let Some(at) = self.finder.find(rest) {
            *input = rest.get(at + delimiter.len()..).unwrap_or_default();
            self.state = behind;
            return Piece::Input(rest.get(..at).unwrap_or_default());
        }
        *input = &[];
        // Only the last CR can be the beginning of a delimiter, and only when the delimiter does not fit behind it.
        if let Some(at) = memrchr(b'\r', rest)
            && let Some((data, tail)) = rest.split_at_checked(at)
            && delimiter.starts_with(tail)
        {
            self.matched = tail.len();
            return Piece::Input(data);
        }
        Piece::Input(rest)
    }

    /// What stands between a delimiter and the head behind it.
    fn take_delimiter_line(&mut self, input: &mut &[u8]) -> Result<Option<Event<'static>>, Error> {
        let Some((byte, rest)) = input.split_first() else { return Ok(None) };
        *input = rest;
        self.state = match (self.state, byte) {
            (State::Delimiter, b'-') => State::Dash,
            (State::Dash, b'-') => {
                self.state = State::Done;
                return Ok(Some(Event::End));
            }
            (State::Delimiter | State::Padding, b' ' | b'\t') => State::Padding,
            (State::Delimiter | State::Padding, b'\r') => State::LineFeed,
            (State::LineFeed, b'\n') if self.parts == MAX_PARTS => return Err(Error::TooLarge("more than 1024 parts")),
            (State::LineFeed, b'\n') => {
                self.parts += 1;
                State::Head
            }
            _ => return Err(Error::Malformed("a boundary with something else in its line")),
        };
        Ok(None)
    }

    /// Takes a line of a head, or the part of it that has come.
    fn take_head(&mut self, input: &mut &[u8]) -> Result<Option<Event<'static>>, Error> {
        let end = memchr(b'\n', input).map(|at| at + 1);
        let (piece, rest) = input.split_at_checked(end.unwrap_or(input.len())).unwrap_or((input, &[]));
        if piece.len() > MAX_HEAD - self.head.len() {
            return Err(Error::TooLarge("the head of a part has more than 16 KiB"));
        }
        self.head.extend_from_slice(piece);
        *input = rest;
        if end.is_none() {
            return Ok(None);
        }
        let line = self.head.get(self.line..).unwrap_or_default();
        if line == b"\r\n" {
            let head = PartHead::parse(self.head.get(..self.line).unwrap_or_default());
            self.head.clear();
            (self.line, self.state) = (0, State::Body);
            return head.map(|head| Some(Event::Part(head)));
        }
        head::check_line(line)?;
        self.line = self.head.len();
        Ok(None)
    }
}

/// What stands before a delimiter.
enum Piece<'i> {
    Input(&'i [u8]),
    /// So many bytes of a delimiter, which were none.
    Held(usize),
}

#[cfg(test)]
mod tests;
