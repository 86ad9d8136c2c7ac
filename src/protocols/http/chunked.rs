//! `Transfer-Encoding: chunked` (RFC 9112 §7.1): a resumable decoder of bodies, and the frame around a chunk to send.
//!
//! ```text
//!       hex                SP HTAB            text
//!      ┌───┐                ┌───┐            ┌───┐
//!      │   ▼   SP HTAB      │   ▼     ";"    │   ▼
//!   ──▶ Size ───────────▶ Blank ─────▶ Extension
//!    ▲    ├──────── ";" ──────────────────▶  │
//!    │    └─ CR ─▶ SizeLf ◀──────── CR ──────┘
//!    │               ├─ LF, size > 0 ─▶ Data ─ all of it ─▶ DataCr ─ CR ─▶ DataLf ─┐
//!    └───────────────┼────────────────────────────── LF ───────────────────────────┘
//!                    └─ LF, size = 0 ─▶ Trailer ─ token ─▶ Name ─ ":" ─▶ Value ─ CR ─▶ ValueLf ─┐
//!                                        ▲  └─ CR ─▶ LastLf ─ LF ─▶ done                        │
//!                                        └──────────────────────────── LF ──────────────────────┘
//! ```
//!
//! `Name` takes any more token bytes and `Value` any text (all but control bytes, HTAB allowed). Every edge that is not
//! drawn is [`Error::Malformed`]. Invariants:
//! * the result does not depend on how the input was cut, and each byte is looked at once;
//! * nothing behind the body is consumed;
//! * memory follows what has arrived, never what a chunk declares; a declared size over the limit is refused before
//!   its data arrive, and so is everything that is not data beyond its bound.
//!
//! Trailer fields are validated and handed on as they are.

use std::io::Write as _;

use super::class::TOKEN;

/// Bytes between one chunk's size and its CRLF.
const MAX_EXTENSION: u16 = 256;
/// Such bytes in a whole body.
const MAX_EXTENSIONS: u16 = 16 * 1024;
/// Bytes of all trailer fields, each with its CRLF.
const MAX_TRAILERS: u16 = 8 * 1024;
const MAX_SIZE_DIGITS: u16 = 16;

pub(crate) const CRLF: &[u8] = b"\r\n";
/// The most bytes that framing adds to a chunk: 16 digits and two CRLF.
pub(crate) const OVERHEAD: usize = 20;

/// Appends the head of a chunk: the size of its data and CRLF. The data and [`CRLF`] are to follow; a chunk without
/// data ends the body.
pub(crate) fn encode_head(length: usize, out: &mut Vec<u8>) {
    let _ = write!(out, "{length:x}\r\n"); // a `Vec` takes every write
}

/// What comes next of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece<'i> {
    /// Data, never empty.
    Data(&'i [u8]),
    /// Bytes of the trailer fields, each of which ends with CRLF.
    Trailers(&'i [u8]),
    /// The body is complete.
    End,
}

/// Why a body is refused. The connection cannot be used any further: where the body ends is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Error {
    Malformed,
    TooLarge,
}

/// What the next byte is.
#[derive(Clone, Copy, Debug, Default)]
enum State {
    #[default]
    Size,
    Blank,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    Trailer,
    Name,
    Value,
    ValueLf,
    LastLf,
}

/// Takes a chunked body apart.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Decoder {
    /// The declared size of the chunk, then how much of it is still to come.
    size: usize,
    /// The declared sizes of all chunks so far.
    total: usize,
    /// How long the present digits, extension or trailers are.
    length: u16,
    /// How long the extensions of all chunks are.
    extensions: u16,
    state: State,
}

const _: () = assert!(size_of::<Decoder>() <= 32);

impl Decoder {
    /// The next piece in `input`, which loses the bytes that were looked at; `None` when all were and more is needed.
    /// After the end, the decoder is ready for the next body. `limit` bounds the data of a whole body. After an error the
    /// decoder must not be used again.
    pub(crate) fn next<'i>(&mut self, input: &mut &'i [u8], limit: usize) -> Result<Option<Piece<'i>>, Error> {
        while let Some((&byte, behind)) = input.split_first() {
            self.state = match (self.state, byte) {
                (State::Size, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => self.digit(byte)?,
                (State::Size, b'\r' | b';' | b' ' | b'\t') => {
                    self.declare(limit)?;
                    match byte {
                        b'\r' => State::SizeLf,
                        b';' => self.extension(State::Extension)?,
                        _ => self.extension(State::Blank)?,
                    }
                }
                (State::Blank, b' ' | b'\t') => self.extension(State::Blank)?,
                (State::Blank, b';') => self.extension(State::Extension)?,
                (State::Extension, b'\r') => State::SizeLf,
                (State::Extension, _) if is_text(byte) => self.extension(State::Extension)?,
                (State::SizeLf, b'\n') if self.size > 0 => State::Data,
                (State::SizeLf, b'\n') => self.start(State::Trailer),
                (State::Data, _) => return Ok(Some(Piece::Data(self.take_data(input)))),
                (State::DataCr, b'\r') => State::DataLf,
                (State::DataLf, b'\n') => self.start(State::Size),
                (State::Trailer, b'\r') => State::LastLf,
                (State::Trailer | State::Name | State::Value | State::ValueLf, _) => {
                    return Ok(Some(Piece::Trailers(self.take_trailers(input)?)));
                }
                (State::LastLf, b'\n') => {
                    *self = Self::default();
                    *input = behind;
                    return Ok(Some(Piece::End));
                }
                _ => return Err(Error::Malformed),
            };
            *input = behind;
        }
        Ok(None)
    }

    /// How much is to come of a chunk's data, if that is next.
    pub(crate) fn rest_of_data(&self) -> usize {
        if let State::Data = self.state { self.size } else { 0 }
    }

    /// So many bytes of it, but not the last, were taken elsewhere.
    pub(crate) fn skip_data(&mut self, count: usize) {
        debug_assert!(count < self.size);
        self.size = self.size.saturating_sub(count).max(1);
    }

    fn take_data<'i>(&mut self, input: &mut &'i [u8]) -> &'i [u8] {
        let (data, behind) = input.split_at(self.size.min(input.len()));
        *input = behind;
        self.size -= data.len();
        if self.size == 0 {
            self.state = State::DataCr;
        }
        data
    }

    /// Takes what there is of the trailer fields.
    fn take_trailers<'i>(&mut self, input: &mut &'i [u8]) -> Result<&'i [u8], Error> {
        let whole = *input;
        while let Some((&byte, behind)) = input.split_first() {
            let state = match (self.state, byte) {
                (State::Trailer, b'\r') => break,
                (State::Trailer | State::Name, _) if TOKEN.has(byte) => State::Name,
                (State::Name, b':') => State::Value,
                (State::Value, b'\r') => State::ValueLf,
                (State::Value, _) if is_text(byte) => State::Value,
                (State::ValueLf, b'\n') => State::Trailer,
                _ => return Err(Error::Malformed),
            };
            count(&mut self.length, MAX_TRAILERS)?;
            self.state = state;
            *input = behind;
        }
        Ok(whole.get(..whole.len() - input.len()).unwrap_or_default())
    }

    /// Begins a new count of bytes.
    fn start(&mut self, state: State) -> State {
        self.length = 0;
        state
    }

    fn digit(&mut self, byte: u8) -> Result<State, Error> {
        count(&mut self.length, MAX_SIZE_DIGITS)?;
        let digit = char::from(byte).to_digit(16).ok_or(Error::Malformed)?;
        self.size = self.size.checked_mul(16).ok_or(Error::Malformed)? | digit as usize;
        Ok(State::Size)
    }

    /// The digits are complete: judges the size they declare.
    fn declare(&mut self, limit: usize) -> Result<(), Error> {
        if self.length == 0 || isize::try_from(self.size).is_err() {
            return Err(Error::Malformed);
        }
        if self.size > limit.saturating_sub(self.total) {
            return Err(Error::TooLarge);
        }
        self.total += self.size;
        self.length = 0;
        Ok(())
    }

    fn extension(&mut self, state: State) -> Result<State, Error> {
        count(&mut self.length, MAX_EXTENSION)?;
        count(&mut self.extensions, MAX_EXTENSIONS)?;
        Ok(state)
    }
}

fn count(bytes: &mut u16, max: u16) -> Result<(), Error> {
    if *bytes == max {
        return Err(Error::Malformed);
    }
    *bytes += 1;
    Ok(())
}

/// A byte of a field value or an extension: no control character except HTAB.
fn is_text(byte: u8) -> bool {
    byte == b'\t' || !byte.is_ascii_control()
}

#[cfg(test)]
mod tests;
