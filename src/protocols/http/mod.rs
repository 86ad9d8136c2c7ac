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
//! An app that wants to know of heads is told before the body, with the exchange open from then on; what it answers
//! before the body is complete is the connection's last.
//!
//! Invariants: a request takes exactly one answer; the next one is decoded when that is complete; an answer's bytes are
//! framed by us, so what the app sends can never be read as a second answer.

mod accept;
mod below;
mod chunked;
mod class;
pub(crate) mod client;
#[cfg(feature = "compression")]
mod compression;
pub(crate) mod conditional;
mod cookie;
mod encode;
pub(crate) mod event_stream;
mod exchange;
mod file;
mod files;
pub(crate) mod form;
#[cfg(feature = "compression")]
mod gzip;
mod head;
mod headers;
mod incoming;
#[cfg(feature = "json")]
mod json;
mod large;
pub(crate) mod multipart;
mod origin;
mod params;
mod parts;
mod plain;
pub(crate) mod range;
mod receive;
mod request;
mod response;
mod set_cookie;
mod sse;
mod static_file;
mod status;
mod stream;
mod upgrade;
pub(crate) mod upload;
pub(crate) mod uploads;

pub use client::ClientResponse;
#[cfg(feature = "compression")]
pub use compression::Compression;
pub use event_stream::MessageEvent;
pub use files::{Files, FilesIter, Uploaded};
pub(crate) use headers::Headers;
#[cfg(feature = "json")]
pub use json::JsonError;
pub use multipart::Error as FormError;
pub use params::{Param, Params, ParamsIter};
pub use request::Request;
pub use response::{Body, Response};
pub use set_cookie::{Cookie, SameSite};
pub(super) use sse::Prepared;
pub use sse::ServerSentEvents;
pub use stream::Chunk;
pub use upload::{UploadError, UploadedFile};

use std::convert::Infallible;

use super::broadcast::{Edition, Editions};
use super::output::{After, Output};
use super::{Codec, Encoded, Leave, Limits, Pace, Stance, Step, reuse, sealed};
use exchange::{Exchange, Phase};
use head::Refusal;
use incoming::Incoming;

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

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

impl Default for Reading {
    fn default() -> Self {
        Self::Head { scanned: 0 }
    }
}

impl sealed::Sealed for Http {}

impl Codec for Http {
    type Message = Request;
    type Signal = Infallible;
    type Setup = ();

    const SCHEME: &'static str = "http";
    const ALIKE: bool = true;

    #[inline(always)] // into the one place where requests are decoded; that of handshakes is cold
    fn receive(&mut self, input: &[u8], limits: &Limits, output: &mut Output<'_>) -> Step<Request> {
        let result = match &mut self.reading {
            Reading::Head { scanned } => {
                let scanned = *scanned;
                self.receive_head(input, scanned, limits, output)
            }
            Reading::Body(_) => self.receive_body(input, limits, output),
        };
        result.unwrap_or_else(|refusal| {
            self.refuse(refusal, output);
            Step::Refused(refusal.reason)
        })
    }

    fn room(&mut self) -> Option<&mut [u8]> {
        if let Reading::Body(incoming) = &mut self.reading { incoming.room() } else { None }
    }

    fn fill(&mut self, count: usize) {
        if let Reading::Body(incoming) = &mut self.reading {
            incoming.fill(count);
        }
    }

    #[inline]
    fn stance(&self) -> Stance {
        let (ready, owes, pace) = match (self.exchange.phase(), &self.reading) {
            (phase, Reading::Body(_)) => (true, phase.owes_parts(), Pace::Body),
            // What is to come of an answer in parts is owed as one that has not begun is.
            (Phase::Open | Phase::Raw | Phase::Parts | Phase::PlainParts, _) => (false, true, Pace::Answer),
            (Phase::Chunked | Phase::Plain, _) => (false, false, Pace::Answer),
            (Phase::Idle, Reading::Head { scanned: 0 }) if self.exchange.ticket() == 0 => (true, false, Pace::New),
            (Phase::Idle, Reading::Head { scanned: 0 }) => (true, false, Pace::Between),
            (Phase::Idle, Reading::Head { .. }) => (true, false, Pace::Head),
        };
        Stance { ready, owes, pace }
    }

    #[inline]
    fn stamp(request: &mut Request, origin: super::Origin) {
        request.parts.origin = origin;
    }

    #[inline]
    fn ticket(&self) -> u32 {
        self.exchange.ticket()
    }

    fn go_on(&mut self, request: Request, in_pieces: bool, output: &mut Output<'_>) -> Option<&'static str> {
        let Reading::Body(incoming) = &mut self.reading else { return None };
        incoming.head.request = request;
        if in_pieces {
            incoming.hand_out();
        } else if incoming.too_large {
            self.refuse(Refusal::TOO_LARGE, output);
            return Some(Refusal::TOO_LARGE.reason);
        }
        if incoming.head.expects_continue && self.exchange.phase() == Phase::Open {
            output.bytes(CONTINUE);
        }
        None
    }

    #[inline]
    fn edition<'a>(&mut self, editions: &'a mut Editions) -> Option<Edition<'a>> {
        let framing = self.stream(0)?;
        let event = editions.as_event()?;
        Some(if framing == Phase::Chunked { event.chunk() } else { event.event() })
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
                output.headers = None;
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
            let receiving = self.is_receiving();
            self.refuse(Refusal { status: 500, reason: "a callback failed" }, output);
            output.after = if receiving { After::End } else { After::Close };
        }
    }

    fn finish(&mut self, output: &mut Output<'_>) {
        self.encode_last_chunk(output);
        self.exchange.set_phase(Phase::Idle);
    }

    fn retire(&mut self) -> Leave {
        self.exchange.retire();
        match (self.exchange.phase(), &self.reading) {
            (Phase::Chunked | Phase::Plain, _) => Leave::InTurn,
            (Phase::Idle, Reading::Head { scanned: 0 }) => Leave::Now,
            _ => Leave::Later,
        }
    }

    fn time_out(&mut self, output: &mut Output<'_>) {
        self.refuse(Refusal { status: 408, reason: "the request takes too long" }, output);
    }

    #[inline]
    fn park(self) -> Result<u64, Self> {
        let Self { reading, exchange } = self;
        match reading {
            Reading::Head { scanned } => Ok(exchange.bits() | u64::from(scanned) << Exchange::BITS),
            Reading::Body(_) => Err(Self { reading, exchange }),
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
    /// Whether the answer to the message with this ticket has not begun.
    pub(crate) fn awaits(&self, ticket: u32) -> bool {
        self.exchange.phase() == Phase::Open && self.exchange.ticket() == ticket
    }

    /// Whether nothing is taken on any more.
    pub(crate) fn is_retired(&self) -> bool {
        self.exchange.is_retired()
    }

    /// Whether more of a body is to come.
    #[inline]
    fn is_receiving(&self) -> bool {
        matches!(self.reading, Reading::Body(_))
    }

    /// Says why nothing more will be read, unless an answer has begun: it would be taken for a part of that.
    fn refuse(&mut self, refusal: Refusal, output: &mut Output<'_>) {
        if matches!(self.exchange.phase(), Phase::Idle | Phase::Open) {
            self.exchange.set_phase(Phase::Idle);
            encode::refuse(refusal, output);
        }
    }
}

/// Frees what the thread keeps for later requests.
pub(crate) fn clear() {
    reuse::clear::<parts::Parts>();
    reuse::clear::<response::Parts>();
    client::clear();
    #[cfg(feature = "compression")]
    gzip::clear();
}

#[cfg(test)]
mod tests;
