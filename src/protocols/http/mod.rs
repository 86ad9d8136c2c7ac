//! HTTP/1.1 on the server's side.
//!
//! In scope: request heads and bodies (`Content-Length` and chunked), keep-alive, pipelining, whole answers, event
//! streams. Out of scope: sockets, deadlines, which answer belongs to whom beyond the ticket a handle carries.
//!
//! ```text
//!            head               body               message          answer complete
//!  Head ───────────────▶ Body ─────────▶ (delivered, exchange Open) ───────────────▶ Head, exchange Idle
//!   │ no body: straight to delivered           │ event stream: Chunked or Plain until it ends
//!   │                                          │ answer in parts: Parts or PlainParts until the empty chunk
//!   ▼                                          │ send_raw: Raw until the callback returns
//! Refused: 400, 413, 431, … and close          ▼
//! ```
//!
//! Invariants: a request takes exactly one answer; the next one is decoded when that is complete; an answer's bytes are
//! framed by us, so what the app sends can never be read as a second answer.

mod accept;
mod chunked;
mod class;
mod conditional;
mod cookie;
mod encode;
mod exchange;
mod file;
pub(crate) mod form;
mod head;
mod headers;
#[cfg(feature = "json")]
mod json;
pub(crate) mod multipart;
mod params;
mod parts;
mod plain;
mod range;
mod request;
mod response;
mod set_cookie;
mod sse;
mod static_file;
mod status;
mod stream;
pub(crate) mod upload;

#[cfg(feature = "json")]
pub use json::JsonError;
pub use params::{Param, Params, ParamsIter};
pub use request::Request;
pub use response::{Body, Response};
pub use set_cookie::{Cookie, SameSite};
pub use sse::ServerSentEvents;
pub use stream::Chunk;
pub use upload::{UploadError, UploadedFile};

use super::output::Output;
use super::{Codec, Encoded, Limits, Pace, Stance, Step, reuse, sealed};
use exchange::{Exchange, Phase};
use head::{Framing, Head, Refusal};

/// The methods that PHP Workerman knows; the others reach the app unless its worker wants none but these.
const COMMON_METHODS: [&str; 7] = ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"];

/// The HTTP/1.1 protocol: `on_message` receives a [`Request`], `send` accepts a [`Response`], a [`ServerSentEvents`],
/// a [`Chunk`], text or bytes.
///
/// ```
/// use workerman::{Http, Response, Worker};
///
/// let worker = Worker::<Http>::new("http://127.0.0.1:0");
/// worker.on_message(|connection, request| match request.path() {
///     "/" => connection.send("hello"),
///     _ => connection.send(Response::new(404, &[], "not found")),
/// });
/// ```
#[derive(Debug, Default)]
pub struct Http {
    reading: Reading,
    exchange: Exchange,
}

#[derive(Debug)]
enum Reading {
    /// Waiting for the end of a head; so many bytes have been searched for it.
    Head {
        scanned: u16,
    },
    Body(Box<Incoming>),
}

/// A request whose body is still arriving.
#[derive(Debug)]
struct Incoming {
    head: Head,
    rest: Rest,
}

#[derive(Debug)]
enum Rest {
    /// Bytes of the body that are still to come.
    Length(usize),
    Chunked(chunked::Decoder),
}

impl Default for Reading {
    fn default() -> Self {
        Self::Head { scanned: 0 }
    }
}

impl sealed::Sealed for Http {}

impl Codec for Http {
    type Message = Request;

    const SCHEME: &'static str = "http";

    fn receive(&mut self, input: &[u8], limits: &Limits, output: &mut Output<'_>) -> Step<Request> {
        let result = match &mut self.reading {
            Reading::Head { scanned } => {
                let scanned = *scanned;
                self.receive_head(input, scanned, limits, output)
            }
            Reading::Body(_) => self.receive_body(input, limits),
        };
        result.unwrap_or_else(|refusal| {
            encode::refuse(refusal, output);
            Step::Refused(refusal.reason)
        })
    }

    #[inline]
    fn stance(&self) -> Stance {
        let (ready, owes, pace) = match (self.exchange.phase(), &self.reading) {
            // What is to come of an answer in parts is owed as one that has not begun is.
            (Phase::Open | Phase::Raw | Phase::Parts | Phase::PlainParts, _) => (false, true, Pace::Answer),
            (Phase::Chunked | Phase::Plain, _) => (false, false, Pace::Answer),
            (Phase::Idle, Reading::Head { scanned: 0 }) if self.exchange.ticket() == 0 => (true, false, Pace::New),
            (Phase::Idle, Reading::Head { scanned: 0 }) => (true, false, Pace::Between),
            (Phase::Idle, Reading::Head { .. }) => (true, false, Pace::Head),
            (Phase::Idle, Reading::Body(_)) => (true, false, Pace::Body),
        };
        Stance { ready, owes, pace }
    }

    #[inline]
    fn ticket(&self) -> u32 {
        self.exchange.ticket()
    }

    fn encode_raw(&mut self, bytes: &[u8], output: &mut Output<'_>) -> Encoded {
        if !self.exchange.admits(output.ticket) {
            return Encoded::Stray("the request that these bytes are for has been answered");
        }
        match self.exchange.phase() {
            // An app that frames its answer may go on with it for as long as it likes.
            Phase::Idle if self.exchange.is_raw() => output.bytes(bytes),
            Phase::Idle => return Encoded::Stray("no request is waiting for raw bytes here"),
            // Nothing is no answer.
            Phase::Open if bytes.is_empty() => {}
            Phase::Open => {
                self.exchange.set_phase(Phase::Raw);
                output.bytes(bytes);
            }
            Phase::Raw => output.bytes(bytes),
            // Inside the framing we chose, so that raw bytes cannot break it.
            Phase::Chunked | Phase::Plain | Phase::Parts | Phase::PlainParts => {
                self.encode_part(bytes.into(), output);
            }
        }
        Encoded::Done
    }

    fn settle(&mut self) {
        if self.exchange.phase() == Phase::Raw {
            self.exchange.settle_raw();
        }
    }

    fn fail(&mut self, output: &mut Output<'_>) {
        if self.exchange.phase() == Phase::Open {
            self.exchange.set_phase(Phase::Idle);
            encode::refuse(Refusal { status: 500, reason: "a callback failed" }, output);
        }
    }

    fn finish(&mut self, output: &mut Output<'_>) {
        self.encode_last_chunk(output);
        self.exchange.set_phase(Phase::Idle);
    }

    fn time_out(&mut self, output: &mut Output<'_>) {
        encode::refuse(Refusal { status: 408, reason: "the request takes too long" }, output);
    }

    #[inline]
    fn park(self) -> Result<u64, Self> {
        match self.reading {
            Reading::Head { scanned } => Ok(self.exchange.bits() | u64::from(scanned) << Exchange::BITS),
            Reading::Body(_) => Err(self),
        }
    }

    #[inline]
    #[allow(clippy::cast_possible_truncation)] // the 16 bits above the exchange's 48
    fn unpark(parked: u64) -> Self {
        let scanned = (parked >> Exchange::BITS) as u16;
        Self { reading: Reading::Head { scanned }, exchange: Exchange::from_bits(parked) }
    }
}

impl Http {
    fn receive_head(
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
        let too_large = |body: usize| length.saturating_add(body) > limits.max_package_size;
        let done = skipped + length;
        match head.framing {
            Framing::None if too_large(0) => Err(Refusal::TOO_LARGE),
            Framing::None => Ok(self.deliver(head, done)),
            Framing::Length(body) if too_large(body) => Err(Refusal::TOO_LARGE),
            Framing::Length(body) => self.begin_body(head, Rest::Length(body), input, done, limits, output),
            Framing::Chunked if too_large(0) => Err(Refusal::TOO_LARGE),
            Framing::Chunked => {
                self.begin_body(head, Rest::Chunked(chunked::Decoder::default()), input, done, limits, output)
            }
        }
    }

    fn begin_body(
        &mut self,
        head: Head,
        rest: Rest,
        input: &[u8],
        done: usize,
        limits: &Limits,
        output: &mut Output<'_>,
    ) -> Result<Step<Request>, Refusal> {
        if head.expects_continue && input.len() == done {
            output.bytes(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        // Mostly all of the body has come along: a box is for what has not.
        let mut incoming = Incoming { head, rest };
        let (taken, complete) = incoming.take(input.get(done..).unwrap_or_default(), limits)?;
        if complete {
            return Ok(self.deliver(incoming.head, done + taken));
        }
        self.reading = Reading::Body(Box::new(incoming));
        Ok(Step::More { consumed: done + taken })
    }

    fn receive_body(&mut self, input: &[u8], limits: &Limits) -> Result<Step<Request>, Refusal> {
        let Reading::Body(mut incoming) = std::mem::take(&mut self.reading) else {
            return Ok(Step::More { consumed: 0 });
        };
        let (consumed, complete) = incoming.take(input, limits)?;
        if complete {
            return Ok(self.deliver(incoming.head, consumed));
        }
        self.reading = Reading::Body(incoming);
        Ok(Step::More { consumed })
    }

    #[inline]
    fn deliver(&mut self, head: Head, consumed: usize) -> Step<Request> {
        self.exchange.begin(&head);
        Step::Message { consumed, message: head.request }
    }
}

impl Incoming {
    /// Takes what there is of the body; answers how many bytes that is, and whether it is all.
    fn take(&mut self, bytes: &[u8], limits: &Limits) -> Result<(usize, bool), Refusal> {
        let request = &mut self.head.request;
        match &mut self.rest {
            Rest::Length(rest) => {
                let taken = bytes.len().min(*rest);
                request.append_body(bytes.get(..taken).unwrap_or_default(), *rest);
                *rest -= taken;
                Ok((taken, *rest == 0))
            }
            Rest::Chunked(decoder) => request.append_chunks(decoder, bytes, limits.max_package_size),
        }
    }
}

/// Frees what the thread keeps for later requests.
pub(crate) fn clear() {
    reuse::clear::<parts::Parts>();
    reuse::clear::<response::Parts>();
}

#[cfg(test)]
mod tests;
