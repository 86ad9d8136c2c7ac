//! One message on its way in: from the head of its first frame to the last byte of its last.
//!
//! Invariants: a size that is declared counts before its bytes arrive; text is refused at the byte after which it can no
//! longer be UTF-8, compressed or not; room grows with what arrives.

use super::close::Fault;
use super::deflate::{History, Inflater};
use super::frame::{Header, Opcode};
use super::mask;
use super::message::Message;
use super::utf8::Utf8;
use crate::protocols::pool;

#[derive(Debug)]
pub(super) struct Incoming {
    is_text: bool,
    /// The frame at hand is the last.
    fin: bool,
    /// Bytes of that frame's payload that are still to come.
    rest: usize,
    /// Its mask, turned to fit the next byte.
    mask: [u8; 4],
    /// Payload of all frames so far, this one in full.
    declared: usize,
    /// What there is of the message.
    bytes: Vec<u8>,
    utf8: Utf8,
    inflater: Option<Inflater>,
}

impl Incoming {
    /// The first frame of a message begins.
    pub(super) fn new(header: Header, history: Option<&History>, limit: usize) -> Result<Self, Fault> {
        let inflater = match header.compressed {
            true => Some(Inflater::new(history)?),
            false => None,
        };
        let mut incoming = Self {
            is_text: header.opcode == Opcode::Text,
            fin: false,
            rest: 0,
            mask: [0; 4],
            declared: 0,
            bytes: pool::take(),
            utf8: Utf8::default(),
            inflater,
        };
        incoming.begin(header, limit)?;
        Ok(incoming)
    }

    /// A frame of it begins.
    pub(super) fn begin(&mut self, header: Header, limit: usize) -> Result<(), Fault> {
        let length = usize::try_from(header.length).unwrap_or(usize::MAX);
        self.declared = self.declared.saturating_add(length);
        if self.declared > limit {
            return Err(Fault::TOO_BIG);
        }
        (self.fin, self.rest, self.mask) = (header.fin, length, header.mask);
        Ok(())
    }

    /// Takes what there is of the frame's payload; answers how many bytes that is.
    pub(super) fn take(&mut self, input: &[u8], limit: usize) -> Result<usize, Fault> {
        let piece = input.get(..self.rest.min(input.len())).unwrap_or_default();
        let known = self.bytes.len();
        match &mut self.inflater {
            None => {
                if self.bytes.capacity() - known < piece.len() {
                    self.bytes.reserve_exact(self.rest.min(known.max(piece.len())));
                }
                mask::append(&mut self.bytes, piece, &mut self.mask);
                self.check(known)?;
            }
            Some(inflater) => {
                let mut plain = pool::take();
                mask::append(&mut plain, piece, &mut self.mask);
                let inflated = inflater.inflate(&plain, &mut self.bytes, limit);
                pool::give(plain);
                // What came out before a fault comes first, or the outcome would depend on how the bytes were cut.
                self.check(known)?;
                inflated?;
            }
        }
        self.rest -= piece.len();
        Ok(piece.len())
    }

    /// Whether the frame at hand is complete.
    #[inline]
    pub(super) fn has_frame(&self) -> bool {
        self.rest == 0
    }

    /// Whether the message is.
    #[inline]
    pub(super) fn is_whole(&self) -> bool {
        self.fin && self.rest == 0
    }

    /// Whether it came compressed.
    #[inline]
    pub(super) fn is_compressed(&self) -> bool {
        self.inflater.is_some()
    }

    /// The message, once it is whole.
    pub(super) fn finish(mut self, limit: usize) -> Result<Message, Fault> {
        if let Some(mut inflater) = self.inflater.take() {
            inflater.finish(&mut self.bytes, limit)?;
        }
        message(self.is_text, self.bytes)
    }

    /// Looks at the text that has come since there were `known` bytes.
    fn check(&mut self, known: usize) -> Result<(), Fault> {
        if self.is_text && !self.utf8.accepts(self.bytes.get(known..).unwrap_or_default()) {
            return Err(Fault::NOT_UTF8);
        }
        Ok(())
    }
}

/// A message of these bytes.
#[inline]
pub(super) fn message(is_text: bool, bytes: Vec<u8>) -> Result<Message, Fault> {
    match is_text {
        true => String::from_utf8(bytes).map(Message::Text).map_err(|_| Fault::NOT_UTF8),
        false => Ok(Message::Binary(bytes)),
    }
}
