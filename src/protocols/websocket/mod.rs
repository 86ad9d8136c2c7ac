//! WebSocket on the server's side (RFC 6455), with compression (RFC 7692) when the feature `deflate` is on.
//!
//! In scope: the handshake, frames both ways, control frames, closing. Out of scope: sockets, deadlines, who is told what.
//!
//! ```text
//!                 request        101                     our Close              the peer's Close
//!  Handshake(Http) ─────▶ asked ─────▶ Open ───────────────────────▶ Parting ─────────────────▶ Over
//!   │ no handshake: 400 or 426  │       │ the peer's Close: answered with the same code ─────────▲
//!   ▼                           ▼       │ the peer is at fault: 1002, 1007 or 1009 ──────────────┘
//!  Over                       Over: the app refuses
//! ```
//!
//! Invariants: nothing but HTTP is sent before the 101 and nothing but frames after it; after our Close no frame is sent,
//! and none is delivered; a connection between two messages without a compression context is eight bytes
//! (`park`).

mod broadcast;
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
mod utf8;

use super::broadcast::{Edition, Editions};
use super::http::{Http, Request, Response};
use super::output::{After, Output};
use super::{Codec, Encode as _, Encoded, Leave, Limits, Pace, Stance, Step, sealed};
pub(super) use broadcast::Frames;
use deflate::{Agreed, History};
use handshake::Asked;
use incoming::Incoming;

#[cfg(feature = "deflate")]
pub use deflate::Deflate;
#[cfg(not(feature = "deflate"))]
pub(crate) use deflate::Deflate;
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
    phase: Phase,
    kind: WebsocketType,
    /// A Ping of ours is out, and nothing was heard since.
    probed: bool,
    agreed: Option<Agreed>,
    /// What a connection between two messages mostly has nothing of.
    rest: Option<Box<Rest>>,
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

#[derive(Debug)]
enum Phase {
    /// HTTP, until the answer to the request is out.
    Handshake(Http),
    Open,
    /// Our Close is out, the peer's is to come.
    Parting,
    Over,
}

impl Default for Phase {
    fn default() -> Self {
        Self::Handshake(Http::default())
    }
}

#[derive(Debug, Default)]
struct Rest {
    /// A handshake that waits for its answer.
    asked: Option<Asked>,
    /// Its request, when the app is still to be told of it.
    request: Option<Request>,
    /// Frames that wait for it.
    early: Vec<u8>,
    incoming: Option<Incoming>,
    history: History,
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
        self.probed = false;
        let result = match self.phase {
            Phase::Handshake(_) => return self.receive_handshake(input, limits, output),
            Phase::Open | Phase::Parting => self.receive_frames(input, limits, output),
            Phase::Over => Ok(Step::More { consumed: input.len() }),
        };
        result.unwrap_or_else(|fault| {
            self.part(fault.code, fault.reason, output);
            self.end();
            Step::Refused(fault.reason)
        })
    }

    #[inline]
    fn stance(&self) -> Stance {
        match &self.phase {
            Phase::Handshake(http) => http.stance(),
            Phase::Open if self.probed => Stance { ready: true, owes: false, pace: Pace::Reply },
            Phase::Open => Stance { ready: true, owes: false, pace: Pace::Talk },
            Phase::Over => Stance { ready: true, owes: false, pace: Pace::Answer },
            Phase::Parting => Stance { ready: true, owes: false, pace: Pace::Farewell },
        }
    }

    fn ticket(&self) -> u32 {
        if let Phase::Handshake(http) = &self.phase { http.ticket() } else { 0 }
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
        let rest = Rest { asked: Some(asked), request: Some(request), ..Rest::default() };
        self.phase = Phase::Handshake(std::mem::take(http));
        self.rest = Some(Box::new(rest));
        Ok(())
    }

    fn begin(&mut self) -> Option<WebsocketSignal> {
        Some(WebsocketSignal::Connect(self.rest.as_mut()?.request.take()?))
    }

    /// Lets a client in that nobody has refused.
    fn follow(&mut self, signal: WebsocketSignal, output: &mut Output<'_>) -> Option<WebsocketSignal> {
        let WebsocketSignal::Connect(request) = signal else { return None };
        if self.is_asked() {
            self.accept(None, output);
        }
        match self.phase {
            Phase::Open => Some(WebsocketSignal::Connected(request)),
            // It was refused with raw bytes.
            _ => {
                output.after = After::Close;
                None
            }
        }
    }

    fn encode_raw(&mut self, bytes: &[u8], output: &mut Output<'_>) -> Encoded {
        if let Phase::Handshake(_) = self.phase {
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
        let frame = self.frame_of(editions.as_frames()?)?;
        Some((frame, 0..frame.len()))
    }

    fn fail(&mut self, output: &mut Output<'_>) {
        match &mut self.phase {
            Phase::Handshake(http) => {
                http.fail(output);
                self.end();
            }
            _ => self.part(close::INTERNAL_ERROR, "", output),
        }
    }

    fn finish(&mut self, output: &mut Output<'_>) {
        self.leave(403, close::NORMAL, output);
    }

    fn retire(&mut self) -> Leave {
        let asked = self.is_asked();
        match &mut self.phase {
            Phase::Handshake(http) => match http.retire() {
                // It is not let in any more.
                Leave::Later if asked => Leave::Now,
                leave => leave,
            },
            Phase::Open => Leave::InTurn,
            Phase::Parting => Leave::Later,
            Phase::Over => Leave::Now,
        }
    }

    fn stop(&mut self, output: &mut Output<'_>) {
        self.leave(503, close::GOING_AWAY, output);
    }

    fn time_out(&mut self, output: &mut Output<'_>) {
        if let Phase::Handshake(http) = &mut self.phase {
            http.time_out(output);
        }
    }

    fn probe(&mut self, output: &mut Output<'_>) {
        self.probed = self.ping(b"", output) == Encoded::Done;
    }

    #[inline]
    fn park(self) -> Result<u64, Self> {
        if self.rest.is_some() {
            return Err(self);
        }
        let phase = match self.phase {
            Phase::Handshake(_) => return self.park_handshake(),
            Phase::Open => 1,
            Phase::Parting => 2,
            Phase::Over => 3,
        };
        let agreed = self.agreed.map_or(0, Agreed::bits);
        Ok(phase | (self.kind as u64) << KIND | u64::from(self.probed) << PROBED | agreed << AGREED)
    }

    #[inline]
    fn unpark(parked: u64) -> Self {
        let phase = match parked & 3 {
            0 => return Self { phase: Phase::Handshake(Http::unpark(parked)), ..Self::default() },
            1 => Phase::Open,
            2 => Phase::Parting,
            _ => Phase::Over,
        };
        let kind = match parked >> KIND & 3 {
            1 => WebsocketType::Text,
            2 => WebsocketType::Binary,
            _ => WebsocketType::Auto,
        };
        let probed = parked >> PROBED & 1 != 0;
        Self { phase, kind, probed, agreed: Agreed::from_bits(parked >> AGREED), rest: None }
    }
}

/// Where a parked codec has its parts: the phase in the two lowest bits, then these.
const KIND: u32 = 2;
const PROBED: u32 = 4;
const AGREED: u32 = 5;
const _: () = assert!(AGREED + Agreed::BITS <= u64::BITS);

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
        let Phase::Handshake(http) = &mut self.phase else { return Step::More { consumed: 0 } };
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
                    self.rest().asked = Some(asked);
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
        let (Phase::Handshake(http), Some(asked)) =
            (&mut self.phase, self.rest.as_mut().and_then(|rest| rest.asked.take()))
        else {
            return NOT_ASKED;
        };
        let (response, agreed) = asked.accept(own);
        let encoded = http.switch(response, output);
        self.phase = Phase::Open;
        self.agreed = agreed;
        output.owned(self.rest.take().map_or_else(Vec::new, |rest| rest.early));
        encoded
    }

    /// Answers the request that waits with something else; the connection ends with it.
    fn refuse(&mut self, response: Response, output: &mut Output<'_>) -> Encoded {
        let Phase::Handshake(http) = &mut self.phase else { return NOT_ASKED };
        let encoded = http.encode(response.with_header("Connection", "close"), output);
        self.end();
        encoded
    }

    /// Whether a handshake waits for its answer, and is the request with this ticket.
    #[cfg(feature = "session")]
    pub(crate) fn awaits(&self, ticket: u32) -> bool {
        matches!(&self.phase, Phase::Handshake(http) if http.awaits(ticket))
    }

    fn is_asked(&self) -> bool {
        self.rest.as_ref().is_some_and(|rest| rest.asked.is_some())
    }

    /// The app has no more use for the connection, whatever it has come to.
    fn leave(&mut self, status: u16, code: u16, output: &mut Output<'_>) {
        if self.is_asked() {
            self.refuse(handshake::refusal(status, ""), output);
        }
        self.part(code, "", output);
    }

    /// Sends our Close, unless it is out.
    pub(crate) fn part(&mut self, code: u16, reason: &str, output: &mut Output<'_>) {
        if let Phase::Open = self.phase {
            close::push(&mut output.tail(), code, reason);
            self.phase = Phase::Parting;
        }
    }

    /// Nothing more is said.
    fn end(&mut self) {
        self.phase = Phase::Over;
        self.rest = None;
    }

    pub(crate) fn set_type(&mut self, kind: WebsocketType) {
        self.kind = kind;
    }

    fn rest(&mut self) -> &mut Rest {
        self.rest.get_or_insert_default()
    }

    fn park_handshake(self) -> Result<u64, Self> {
        let Self { phase: Phase::Handshake(http), kind, .. } = self else { return Err(self) };
        let http = match http.park() {
            // Before its request, a connection of HTTP has nothing in the low bits.
            Ok(parked) if parked & 3 == 0 && kind == WebsocketType::Auto => return Ok(parked),
            Ok(parked) => Http::unpark(parked),
            Err(http) => http,
        };
        Err(Self { phase: Phase::Handshake(http), kind, ..Self::default() })
    }
}

/// Frees what the thread keeps for later messages.
pub(super) fn clear() {
    deflate::clear();
}

#[cfg(test)]
mod tests;
