//! HTTP/1.1 on the client's side: requests out, answers in.
//!
//! In scope: one answer to each request, whole or in pieces; its framing, limits and encoding; whether the connection can
//! take another request. Out of scope: which request goes where, redirects, time.
//!
//! ```text
//!   send: a request is under way            head                  body complete
//!  Idle ─────────────────────────▶ Head ───────────▶ Body ───────────────────────▶ Idle
//!   │ bytes: nobody has asked       │ ▲ 1xx                │ the connection ends: complete if nothing
//!   ▼                               └─┘                    ▼ but that says how long the body is
//! Failed                                                 Idle, and not to be used again
//! ```
//!
//! Invariants: an answer belongs to the one request that is under way; bytes behind it, or without a request, make the
//! connection unfit for another; what was begun and not ended in order is never handed out as a whole.

mod body;
mod content;
mod head;
mod response;

use std::convert::Infallible;
use std::sync::Arc;

use body::{Incoming, Taken};
use head::Framing;
pub(crate) use head::HEAD_MOST;
pub use response::ClientResponse;

use crate::protocols::http::class::{CONTROL, TOKEN};
use crate::protocols::output::Output;
use crate::protocols::{Codec, Encode, Encoded, Leave, Limits, Pace, Stance, Step, pool, sealed};

/// So many heads of status 1xx may stand before an answer.
const INTERIM: u8 = 32;
/// So much room a body gets for what is declared of it.
const AT_ONCE: usize = 64 * 1024;

/// What [`HttpClient`](crate::HttpClient) speaks with a server.
#[derive(Debug, Default)]
pub(crate) struct Answers(Box<State>);

#[derive(Debug, Default)]
struct State {
    /// Of the request that is under way.
    expected: Option<Expected>,
    reading: Reading,
    /// The answer whose body is arriving; none if its head has been handed out.
    response: Option<ClientResponse>,
    /// What has arrived of the next piece.
    piece: Vec<u8>,
    trailers: Vec<u8>,
    interim: u8,
}

#[derive(Debug)]
enum Reading {
    /// Waiting for the end of a head; so many bytes have been searched for it.
    Head {
        scanned: usize,
    },
    Body(Incoming),
}

impl Default for Reading {
    fn default() -> Self {
        Self::Head { scanned: 0 }
    }
}

/// What is known of an answer before it comes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expected {
    /// There is no body, whatever the head says.
    pub(crate) head_only: bool,
    /// The app takes head and body as they come.
    pub(crate) in_pieces: bool,
    /// The app has left encodings to us.
    pub(crate) decodes: bool,
    pub(crate) max_head: usize,
    /// Decoded or not.
    pub(crate) max_body: usize,
}

/// A request, ready to leave.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) head: Vec<u8>,
    pub(crate) body: Option<Arc<[u8]>>,
    pub(crate) expected: Expected,
}

/// What has come of an answer.
#[derive(Debug, PartialEq)]
pub(crate) struct Event {
    /// Its head, with the body if that was wanted whole.
    pub(crate) response: Option<ClientResponse>,
    /// The next piece of the body, if it is not empty.
    pub(crate) piece: Vec<u8>,
    pub(crate) trailers: Vec<u8>,
    pub(crate) end: End,
}

/// Whether more is to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// More of this answer.
    Not,
    /// The next answer, to the next request.
    Reusable,
    /// Nothing that could be relied on.
    Last,
    /// Nothing: the answer is no use.
    Failed(Fault),
}

/// What is wrong with an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Malformed(&'static str),
    HeadTooLarge,
    TooLarge,
    /// The connection ended, and no byte of it had come.
    Unanswered,
    /// It ended before it was complete.
    Cut(&'static str),
}

impl sealed::Sealed for Answers {}

impl Codec for Answers {
    type Message = Event;
    type Setup = ();
    type Signal = Infallible;

    const SCHEME: &'static str = "http";

    fn receive(&mut self, input: &[u8], _limits: &Limits, _output: &mut Output<'_>) -> Step<Event> {
        let mut rest = input;
        match self.0.receive(&mut rest) {
            Ok(None) => Step::More { consumed: input.len() - rest.len() },
            Ok(Some(event)) => Step::Message { consumed: input.len() - rest.len(), message: event },
            Err(fault) => Step::Message { consumed: input.len(), message: self.0.fail(fault) },
        }
    }

    fn stance(&self) -> Stance {
        Stance { ready: true, owes: false, pace: Pace::Free }
    }

    fn retire(&mut self) -> Leave {
        match &self.0.expected {
            None => Leave::Now,
            Some(expected) if expected.in_pieces && self.0.response.is_none() => Leave::InTurn,
            Some(_) => Leave::Later,
        }
    }

    fn park(self) -> Result<u64, Self> {
        Err(self)
    }

    fn unpark(_parked: u64) -> Self {
        Self::default()
    }
}

impl Encode<Outgoing> for Answers {
    fn encode(&mut self, request: Outgoing, output: &mut Output<'_>) -> Encoded {
        if self.0.expected.is_some() {
            return Encoded::Stray("an answer is still to come");
        }
        let Outgoing { mut head, body, expected } = request;
        output.reusable(&mut head);
        pool::give(head);
        if let Some(body) = body {
            output.shared(&body, 0..body.len());
        }
        self.0.expected = Some(expected);
        self.0.interim = 0;
        Encoded::Done
    }
}

impl Answers {
    /// The connection has ended, `orderly` or not: what that means for the answer that is under way, if one is.
    pub(crate) fn close(&mut self, orderly: bool) -> Option<Event> {
        self.0.expected?;
        let ended = match &self.0.reading {
            Reading::Body(_) if !orderly => Err(Fault::Cut("the connection broke in the middle of the body")),
            Reading::Body(incoming) => incoming.end(),
            Reading::Head { scanned: 0 } if self.0.interim == 0 => Err(Fault::Unanswered),
            Reading::Head { .. } => Err(Fault::Cut("the server closed the connection in the middle of the head")),
        };
        Some(match ended {
            Ok(()) => self.0.complete(false),
            Err(fault) => self.0.fail(fault),
        })
    }
}

impl State {
    fn receive(&mut self, input: &mut &[u8]) -> Result<Option<Event>, Fault> {
        let Some(expected) = self.expected else {
            return Err(Fault::Malformed("an answer that nobody has asked for"));
        };
        loop {
            match &mut self.reading {
                Reading::Head { scanned } => {
                    let Some((head, length)) = head::read(input, *scanned, expected.max_head)? else {
                        *scanned = input.len();
                        return Ok(None);
                    };
                    *scanned = 0;
                    *input = input.get(length..).unwrap_or_default();
                    if let Some(event) = self.begin(head, &expected, input.is_empty())? {
                        return Ok(Some(event));
                    }
                }
                Reading::Body(incoming) => {
                    let out = match &mut self.response {
                        Some(response) if !expected.in_pieces => &mut response.parts().body,
                        _ => &mut self.piece,
                    };
                    return match incoming.take(input, out, &mut self.trailers, &expected)? {
                        Taken::End => Ok(Some(self.complete(input.is_empty()))),
                        Taken::All if self.piece.is_empty() => Ok(None),
                        Taken::All | Taken::Piece => Ok(Some(self.event(End::Not))),
                    };
                }
            }
        }
    }

    /// A head has come. Of an answer that comes in pieces, it is the first; `None` if the body comes next.
    fn begin(&mut self, head: head::Head, expected: &Expected, is_all: bool) -> Result<Option<Event>, Fault> {
        let status = head.response.status();
        if status < 200 {
            self.interim += 1;
            return match status {
                101 => Err(Fault::Malformed("a switch of protocols that nobody has asked for")),
                _ if self.interim > INTERIM => Err(Fault::Malformed("too many heads of status 1xx")),
                _ => Ok(None),
            };
        }
        let bodiless = expected.head_only || status == 204 || status == 304;
        let framing = if bodiless { Framing::None } else { head.framing };
        let incoming = Incoming::new(framing, head.coding, head.keep_alive, expected)?;
        let mut response = head.response;
        if let Framing::Length(length) = framing
            && !expected.in_pieces
        {
            let body = &mut response.parts().body;
            *body = if length > pool::LARGEST { Vec::new() } else { pool::take() };
            body.reserve(length.min(AT_ONCE));
        }
        self.response = Some(response);
        let Some(incoming) = incoming else {
            return Ok(Some(self.end(is_all && head.keep_alive)));
        };
        self.reading = Reading::Body(incoming);
        Ok(expected.in_pieces.then(|| self.event(End::Not)))
    }

    /// The body is complete.
    fn complete(&mut self, is_all: bool) -> Event {
        let keep_alive = matches!(&self.reading, Reading::Body(incoming) if incoming.keep_alive);
        self.end(is_all && keep_alive)
    }

    /// The answer is complete.
    fn end(&mut self, reusable: bool) -> Event {
        self.expected = None;
        self.reading = Reading::default();
        self.event(if reusable { End::Reusable } else { End::Last })
    }

    fn fail(&mut self, fault: Fault) -> Event {
        self.expected = None;
        self.reading = Reading::default();
        self.response = None;
        self.event(End::Failed(fault))
    }

    fn event(&mut self, end: End) -> Event {
        Event {
            response: self.response.take(),
            piece: std::mem::take(&mut self.piece),
            trailers: if end == End::Not { Vec::new() } else { std::mem::take(&mut self.trailers) },
            end,
        }
    }
}

/// Whether this is a token, as methods and names of headers are.
pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| TOKEN.has(byte))
}

/// Whether this may be the value of a header: whatever is one line.
pub(crate) fn is_value(text: &str) -> bool {
    !text.bytes().any(|byte| CONTROL.has(byte))
}

/// Frees what the thread keeps.
pub(super) fn clear() {
    response::clear();
}
