//! From bytes to requests: the head, then the body if there is one.

use super::chunked::{self, Piece};
use super::exchange::Phase;
use super::head::{self, Framing, Head, Refusal};
use super::incoming::{Incoming, Rest};
use super::request::Request;
use super::{CONTINUE, Http, Reading};
use crate::protocols::output::Output;
use crate::protocols::{Limits, Step};

/// The methods that PHP Workerman knows; the others reach the app unless its worker wants none but these.
const COMMON_METHODS: [&str; 7] = ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"];

/// A piece of a body has at most so many bytes.
const MAX_PIECE: usize = 64 * 1024;

impl Http {
    #[inline(always)]
    pub(super) fn receive_head(
        &mut self,
        input: &[u8],
        scanned: u16,
        limits: &Limits,
        output: &mut Output<'_>,
    ) -> Result<Step<Request>, Refusal> {
        let skipped = if scanned == 0 { head::leading_lines(input) } else { 0 };
        let rest = input.get(skipped..).unwrap_or_default();
        if rest == b"\r" {
            // Perhaps half of one more empty line.
            return Ok(Step::More { consumed: skipped });
        }
        let Some((head, length)) = head::read(rest, scanned)? else {
            // At most the head's limit, or it had been refused.
            self.reading = Reading::Head { scanned: u16::try_from(rest.len()).unwrap_or(u16::MAX) };
            return Ok(Step::More { consumed: skipped });
        };
        self.reading = Reading::Head { scanned: 0 };
        if limits.common_methods_only && !COMMON_METHODS.contains(&head.request.method()) {
            return Err(Refusal { status: 501, reason: "a method that is none of the common ones" });
        }
        #[cfg(feature = "compression")]
        self.negotiate(limits.compression, &head.request);
        let too_large = |body: usize| length.saturating_add(body) > limits.max_package_size;
        let done = skipped + length;
        let (rest, too_large) = match head.framing {
            Framing::None | Framing::Length(0) if too_large(0) => return Err(Refusal::TOO_LARGE),
            Framing::None | Framing::Length(0) => return Ok(self.deliver(head, done)),
            Framing::Length(body) => (Rest::Length(body), too_large(body)),
            Framing::Chunked => (Rest::Chunked(chunked::Decoder::default()), too_large(0)),
        };
        let incoming = Incoming::new(head, rest, too_large);
        let body = input.get(done..).unwrap_or_default();
        if limits.tell_heads {
            Ok(self.tell(incoming, body, done))
        } else {
            self.begin_body(incoming, body, done, limits, output)
        }
    }

    /// Hands the head out, for the app to have a look at it. The exchange begins here, so that the app may answer.
    fn tell(&mut self, mut incoming: Incoming, body: &[u8], done: usize) -> Step<Request> {
        self.exchange.begin(&incoming.head);
        // The answer may begin before it is known whether the body ends well.
        self.exchange.set_last();
        incoming.head.expects_continue &= body.is_empty();
        incoming.told = true;
        let request = std::mem::replace(&mut incoming.head.request, Request::empty());
        self.reading = Reading::Body(Box::new(incoming));
        Step::Head { consumed: done, message: request }
    }

    fn begin_body(
        &mut self,
        mut incoming: Incoming,
        body: &[u8],
        done: usize,
        limits: &Limits,
        output: &mut Output<'_>,
    ) -> Result<Step<Request>, Refusal> {
        if incoming.too_large {
            return Err(Refusal::TOO_LARGE);
        }
        if incoming.head.expects_continue && body.is_empty() {
            output.bytes(CONTINUE);
        }
        // Mostly all of the body has come along: a box is for what has not.
        let (taken, complete) = incoming.take(body, limits)?;
        if complete {
            return Ok(self.deliver(incoming.head, done + taken));
        }
        self.reading = Reading::Body(Box::new(incoming));
        Ok(Step::More { consumed: done + taken })
    }

    pub(super) fn receive_body(
        &mut self,
        input: &[u8],
        limits: &Limits,
        output: &mut Output<'_>,
    ) -> Result<Step<Request>, Refusal> {
        let Reading::Body(mut incoming) = std::mem::take(&mut self.reading) else {
            return Ok(Step::More { consumed: 0 });
        };
        let (consumed, complete) = if incoming.is_handed_out() {
            let input = input.get(..MAX_PIECE).unwrap_or(input);
            let mut rest = input;
            let piece = incoming.next_data(&mut rest, limits)?;
            let consumed = input.len() - rest.len();
            if let Some(Piece::Data(data)) = piece {
                return Ok(self.hand_out(incoming, consumed, data.len()));
            }
            (consumed, piece == Some(Piece::End))
        } else {
            incoming.take(input, limits)?
        };
        if !complete {
            self.reading = Reading::Body(incoming);
            return Ok(Step::More { consumed });
        }
        match self.close_body(*incoming) {
            Some(message) => Ok(Step::Message { consumed, message }),
            None => self.receive_next(input, consumed, limits, output),
        }
    }

    /// Goes on behind so many bytes, which came to nothing.
    #[cold]
    fn receive_next(
        &mut self,
        input: &[u8],
        consumed: usize,
        limits: &Limits,
        output: &mut Output<'_>,
    ) -> Result<Step<Request>, Refusal> {
        let rest = input.get(consumed..).unwrap_or_default();
        Ok(self.receive_head(rest, 0, limits, output)?.after(consumed))
    }

    /// A piece of `length` bytes, the last of those consumed, goes to the app.
    #[allow(clippy::cast_possible_truncation)] // at most MAX_PIECE
    fn hand_out(&mut self, mut incoming: Box<Incoming>, consumed: usize, length: usize) -> Step<Request> {
        let held = usize::from(incoming.hold_back());
        self.reading = Reading::Body(incoming);
        Step::Piece { consumed: consumed - held, start: (consumed - length) as u32, length: length as u32 }
    }

    /// The body is complete. Nothing is to be delivered of a request that was answered before.
    fn close_body(&mut self, incoming: Incoming) -> Option<Request> {
        match self.exchange.phase() {
            _ if !incoming.told => self.exchange.begin(&incoming.head),
            Phase::Idle => return None,
            Phase::Open => self.exchange.set_keep_alive(incoming.head.keep_alive),
            _ => {}
        }
        Some(incoming.head.request)
    }

    #[inline]
    fn deliver(&mut self, head: Head, consumed: usize) -> Step<Request> {
        self.exchange.begin(&head);
        Step::Message { consumed, message: head.request }
    }
}
