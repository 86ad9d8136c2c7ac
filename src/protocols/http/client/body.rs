//! The body of an answer as it arrives: out of its framing, decoded, and within its limit.
//!
//! Invariants: each byte is looked at once; memory follows what has arrived, never what was declared; a declared size over
//! the limit is refused before its bytes arrive.

use super::content::{Inflater, SLICE};
use super::head::{Coding, Framing};
use super::{Expected, Fault};
use crate::protocols::http::chunked::{self, Piece};

/// A piece for the app is complete with this length.
const PIECE: usize = 64 * 1024;

#[derive(Debug)]
pub(super) struct Incoming {
    rest: Rest,
    inflater: Option<Box<Inflater>>,
    /// How much has come out so far.
    total: usize,
    pub(super) keep_alive: bool,
}

#[derive(Debug)]
enum Rest {
    Length(usize),
    Chunked(chunked::Decoder),
    UntilClose,
}

/// What has become of some bytes.
#[derive(Debug, PartialEq)]
pub(super) enum Taken {
    /// All were looked at, and more are to come.
    All,
    /// There is enough for a piece.
    Piece,
    /// The body is complete.
    End,
}

impl Incoming {
    /// A body in this framing, if there is one.
    pub(super) fn new(
        framing: Framing,
        coding: Coding,
        keep_alive: bool,
        expected: &Expected,
    ) -> Result<Option<Self>, Fault> {
        let rest = match framing {
            Framing::None => return Ok(None),
            Framing::Length(length) if length > expected.max_body => return Err(Fault::TooLarge),
            Framing::Length(length) => Rest::Length(length),
            Framing::Chunked => Rest::Chunked(chunked::Decoder::default()),
            Framing::UntilClose => Rest::UntilClose,
        };
        let inflater = if expected.decodes { Inflater::new(coding).map(Box::new) } else { None };
        let keep_alive = keep_alive && framing != Framing::UntilClose;
        Ok(Some(Self { rest, inflater, total: 0, keep_alive }))
    }

    /// Takes bytes, which `input` loses, and appends what they say.
    pub(super) fn take(
        &mut self,
        input: &mut &[u8],
        out: &mut Vec<u8>,
        trailers: &mut Vec<u8>,
        expected: &Expected,
    ) -> Result<Taken, Fault> {
        while !input.is_empty() {
            if expected.in_pieces && out.len() >= PIECE {
                return Ok(Taken::Piece);
            }
            let most = if self.inflater.is_some() { SLICE } else { PIECE };
            let (mut window, behind) = input.split_at(most.min(input.len()));
            let whole = window.len();
            let ended = match &mut self.rest {
                Rest::Length(rest) => {
                    let (data, after) = window.split_at((*rest).min(whole));
                    window = after;
                    *rest -= data.len();
                    let ended = *rest == 0;
                    self.append(data, out, expected)?;
                    ended
                }
                Rest::UntilClose => {
                    let data = std::mem::take(&mut window);
                    self.append(data, out, expected)?;
                    false
                }
                Rest::Chunked(decoder) => match decoder.next(&mut window, expected.max_body) {
                    Ok(Some(Piece::Data(data))) => {
                        self.append(data, out, expected)?;
                        false
                    }
                    Ok(Some(Piece::Trailers(lines))) => {
                        trailers.extend_from_slice(lines);
                        false
                    }
                    Ok(Some(Piece::End)) => true,
                    Ok(None) => false,
                    Err(chunked::Error::TooLarge) => return Err(Fault::TooLarge),
                    Err(chunked::Error::Malformed) => return Err(Fault::Malformed("the chunked body is malformed")),
                },
            };
            debug_assert!(window.len() < whole);
            *input = input.get(whole - window.len()..).unwrap_or(behind);
            if ended {
                self.finish()?;
                return Ok(Taken::End);
            }
        }
        Ok(Taken::All)
    }

    /// The connection has ended in order: whether that is the end of the body.
    pub(super) fn end(&self) -> Result<(), Fault> {
        match self.rest {
            Rest::UntilClose => self.finish(),
            _ => Err(Fault::Cut("the server closed the connection in the middle of the body")),
        }
    }

    fn finish(&self) -> Result<(), Fault> {
        self.inflater.as_ref().map_or(Ok(()), |inflater| inflater.finish())
    }

    fn append(&mut self, data: &[u8], out: &mut Vec<u8>, expected: &Expected) -> Result<(), Fault> {
        let (before, room) = (out.len(), expected.max_body.saturating_sub(self.total));
        match &mut self.inflater {
            Some(inflater) => inflater.push(data, out, room)?,
            None if data.len() > room => return Err(Fault::TooLarge),
            None => out.extend_from_slice(data),
        }
        self.total += out.len() - before;
        Ok(())
    }
}
