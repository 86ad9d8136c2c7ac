//! WebSocket (RFC 6455), with compression (RFC 7692) when the feature `deflate` is on: the server's side.
//!
//! In scope: the handshake, frames both ways, control frames, closing. Out of scope: sockets, deadlines, who is told what.
//! What follows the handshake is the same on both sides (`talk`).
//!
//! ```text
//!          request          101
//!  Opening ──────▶ is asked ────▶ Open ─▶ ...
//!   │ no handshake: 400 or 426 │
//!   ▼                          ▼
//!  Over                      Over: the app refuses
//! ```
//!
//! Invariants: nothing but HTTP is sent before the 101 and nothing but frames after it; a connection between two messages
//! without a compression context is eight bytes (`park`).

mod broadcast;
pub(crate) mod client;
mod close;
#[cfg(feature = "deflate")]
mod deflate;
#[cfg(not(feature = "deflate"))]
#[path = "without_deflate.rs"]
mod deflate;
mod encode;
mod frame;
mod frames;
mod handshake;
mod incoming;
mod mask;
mod message;
mod signal;
mod talk;
mod utf8;

use super::broadcast::{Edition, Editions};
use super::http::{Http, Request, Response};
use super::output::{After, Output};
use super::{Codec, Encode as _, Encoded, Leave, Limits, Stance, Step, sealed};
pub(super) use broadcast::Frames;
use handshake::Asked;
use talk::{Phase, Role, Talk};

pub use client::Ws;
#[cfg(feature = "deflate")]
pub use deflate::Deflate;
#[cfg(not(feature = "deflate"))]
pub(crate) use deflate::Deflate;
pub use encode::EitherSide;
pub use message::Message;
pub(crate) use signal::WebsocketSignal;

/// The WebSocket protocol: `on_message` receives a [`Message`], `send` accepts text, bytes or a [`Message`].
///
/// Text goes out as text and bytes go out as binary messages, unless [`set_websocket_type`] says otherwise. Pings are
/// answered, Close frames too; a plain [`close`] says 1000, a worker that stops 1001. What a peer may not do costs it the
/// connection, with the code that RFC 6455 has for it; a message larger than
/// [`max_package_size`](crate::TcpConnection::set_max_package_size), before it arrives or while it is decompressed, 1009.
///
/// ```
/// use workerman::{Websocket, Worker};
///
/// let worker = Worker::<Websocket>::new("websocket://127.0.0.1:0");
/// worker.on_message(|connection, message| connection.send(format!("you said {message}")));
/// ```
///
/// [`set_websocket_type`]: crate::TcpConnection::set_websocket_type
/// [`close`]: crate::TcpConnection::close
#[derive(Debug, Default)]
pub struct Websocket {
    /// Until the answer to the handshake is out.
    http: Http,
    talk: Talk<Server>,
}

/// What `send` makes of text and bytes: PHP's `$connection->websocketType`.
///
/// ```
/// # use workerman::{Websocket, WebsocketType, Worker};
/// # let worker = Worker::<Websocket>::new("");
/// worker.on_connect(|connection| connection.set_websocket_type(WebsocketType::Binary));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WebsocketType {
    /// Text goes out as text, bytes as binary messages.
    #[default]
    Auto,
    /// All goes out as text. Bytes that are not UTF-8 are dropped.
    #[doc(alias = "BINARY_TYPE_BLOB")]
    Text,
    /// All goes out as binary messages.
    #[doc(alias = "BINARY_TYPE_ARRAYBUFFER")]
    Binary,
}

/// The server's side.
#[derive(Debug, Default)]
struct Server;

impl Role for Server {
    const MASKS: bool = false;
    type Opening = Asking;
}

/// A handshake that waits for its answer.
#[derive(Debug)]
struct Asking {
    asked: Asked,
    /// Its request, when the app is still to be told of it.
    request: Option<Request>,
}

impl sealed::Sealed for Websocket {}

impl Codec for Websocket {
    type Message = Message;
    type Signal = WebsocketSignal;
    type Setup = ();

    const SCHEME: &'static str = "websocket";
    const TALKS: bool = true;
    const ALIKE: bool = true;

    fn receive(&mut self, input: &[u8], limits: &Limits, output: &mut Output<'_>) -> Step<Message, WebsocketSignal> {
        match self.talk.phase {
            Phase::Opening => self.receive_handshake(input, limits, output),
            _ => self.talk.receive(input, limits, output),
        }
    }

    #[inline]
    fn stance(&self) -> Stance {
        match self.talk.phase {
            Phase::Opening => self.http.stance(),
            _ => self.talk.stance(),
        }
    }

    fn ticket(&self) -> u32 {
        if self.talk.phase == Phase::Opening { self.http.ticket() } else { 0 }
    }

    /// The handshake goes on as if its request had just come in here; the app is told once its callback is back.
    fn upgrade(
        &mut self,
        http: &mut Http,
        request: Request,
        limits: &Limits,
        _output: &mut Output<'_>,
    ) -> Result<(), Response> {
        let asked = handshake::examine(&request, limits.deflate)?;
        self.http = std::mem::take(http);
        self.talk.rest().opening = Some(Asking { asked, request: Some(request) });
        Ok(())
    }

    fn begin(&mut self) -> Option<WebsocketSignal> {
        Some(WebsocketSignal::Connect(self.asking()?.request.take()?))
    }

    /// Lets a client in that nobody has refused.
    fn follow(&mut self, signal: WebsocketSignal, output: &mut Output<'_>) -> Option<WebsocketSignal> {
        let WebsocketSignal::Connect(request) = signal else { return None };
        if self.is_asked() {
            self.accept(None, output);
        }
        match self.talk.phase {
            Phase::Open => Some(WebsocketSignal::Connected(request)),
            // It was refused with raw bytes.
            _ => {
                output.after = After::Close;
                None
            }
        }
    }

    fn encode_raw(&mut self, bytes: &[u8], output: &mut Output<'_>) -> Encoded {
        if self.talk.phase == Phase::Opening {
            if !self.is_asked() {
                return NOT_ASKED;
            }
            self.end();
        }
        output.bytes(bytes);
        Encoded::Done
    }

    #[inline]
    fn edition<'a>(&mut self, editions: &'a mut Editions) -> Option<Edition<'a>> {
        let frame = self.talk.frame_of(editions.as_frames()?)?;
        Some((frame, 0..frame.len()))
    }

    fn fail(&mut self, output: &mut Output<'_>) {
        if self.talk.phase == Phase::Opening {
            self.http.fail(output);
            self.end();
        }
        self.talk.part(close::INTERNAL_ERROR, "", output);
    }

    fn finish(&mut self, output: &mut Output<'_>) {
        self.leave(403, close::NORMAL, output);
    }

    fn retire(&mut self) -> Leave {
        let asked = self.is_asked();
        match self.talk.phase {
            Phase::Opening => match self.http.retire() {
                // It is not let in any more.
                Leave::Later if asked => Leave::Now,
                leave => leave,
            },
            _ => self.talk.retire(),
        }
    }

    fn stop(&mut self, output: &mut Output<'_>) {
        self.leave(503, close::GOING_AWAY, output);
    }

    fn time_out(&mut self, output: &mut Output<'_>) {
        if self.talk.phase == Phase::Opening {
            self.http.time_out(output);
        }
    }

    fn probe(&mut self, output: &mut Output<'_>) {
        self.talk.probe(output);
    }

    #[inline]
    fn park(self) -> Result<u64, Self> {
        match self.talk.bits() {
            Some(0) => self.park_handshake(),
            Some(bits) if self.talk.phase != Phase::Opening => Ok(bits),
            _ => Err(self),
        }
    }

    #[inline]
    fn unpark(parked: u64) -> Self {
        // Before its request, a connection of HTTP has nothing in the low bits; after the handshake, they are the phase.
        match parked & 3 {
            0 => Self { http: Http::unpark(parked), talk: Talk::default() },
            _ => Self { http: Http::default(), talk: Talk::from_bits(parked) },
        }
    }
}

/// A request that asks for a WebSocket has little of a body, if any; its head has HTTP's bound.
const HANDSHAKE_LIMIT: usize = 64 * 1024;

const NOT_ASKED: Encoded = Encoded::Stray("no handshake is waiting for an answer here");

impl Websocket {
    fn receive_handshake(
        &mut self,
        input: &[u8],
        limits: &Limits,
        output: &mut Output<'_>,
    ) -> Step<Message, WebsocketSignal> {
        let http = &mut self.http;
        let of_http = Limits { max_package_size: HANDSHAKE_LIMIT, tell_heads: false, ..*limits };
        match http.receive(input, &of_http, output) {
            Step::More { consumed } | Step::Head { consumed, .. } | Step::Piece { consumed, .. } => {
                Step::More { consumed }
            }
            Step::Refused(reason) => {
                self.end();
                Step::Refused(reason)
            }
            // HTTP has neither.
            Step::Part { .. } | Step::Failed(_) => Step::More { consumed: 0 },
            Step::Message { consumed, message: request } => match handshake::examine(&request, limits.deflate) {
                Ok(_) if http.is_retired() => {
                    http.encode(handshake::refusal(503, ""), output);
                    self.end();
                    Step::Refused("the server stops")
                }
                Ok(asked) => {
                    self.talk.rest().opening = Some(Asking { asked, request: None });
                    Step::Signal { consumed, signal: WebsocketSignal::Connect(request) }
                }
                Err(response) => {
                    http.encode(response, output);
                    self.end();
                    Step::Refused("no WebSocket handshake")
                }
            },
        }
    }

    /// Answers the request that waits, with what the app wants to say in the answer, and lets out what waits for it.
    fn accept(&mut self, own: Option<&Response>, output: &mut Output<'_>) -> Encoded {
        let Some(Asking { asked, .. }) = self.talk.rest.as_mut().and_then(|rest| rest.opening.take()) else {
            return NOT_ASKED;
        };
        let (response, agreed) = asked.accept(own);
        let encoded = std::mem::take(&mut self.http).switch(response, output);
        self.talk.open(agreed, output);
        encoded
    }

    /// Answers the request that waits with something else; the connection ends with it.
    fn refuse(&mut self, response: Response, output: &mut Output<'_>) -> Encoded {
        let encoded = self.http.encode(response.with_header("Connection", "close"), output);
        self.end();
        encoded
    }

    /// Whether a handshake waits for its answer, and is the request with this ticket.
    #[cfg(feature = "session")]
    pub(crate) fn awaits(&self, ticket: u32) -> bool {
        self.talk.phase == Phase::Opening && self.http.awaits(ticket)
    }

    fn is_asked(&self) -> bool {
        self.talk.rest.as_ref().is_some_and(|rest| rest.opening.is_some())
    }

    fn asking(&mut self) -> Option<&mut Asking> {
        self.talk.rest.as_mut()?.opening.as_mut()
    }

    /// The app has no more use for the connection, whatever it has come to.
    fn leave(&mut self, status: u16, code: u16, output: &mut Output<'_>) {
        if self.is_asked() {
            self.refuse(handshake::refusal(status, ""), output);
        }
        self.talk.part(code, "", output);
    }

    /// Nothing more is said.
    fn end(&mut self) {
        self.http = Http::default();
        self.talk.end();
    }

    fn park_handshake(self) -> Result<u64, Self> {
        match self.http.park() {
            Ok(parked) if parked & 3 == 0 => Ok(parked),
            Ok(parked) => Err(Self { http: Http::unpark(parked), talk: self.talk }),
            Err(http) => Err(Self { http, talk: self.talk }),
        }
    }
}

/// Frees what the thread keeps for later messages.
pub(super) fn clear() {
    deflate::clear();
}

#[cfg(test)]
mod tests;
