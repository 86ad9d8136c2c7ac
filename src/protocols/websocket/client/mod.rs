//! WebSocket on the client's side: PHP's `Ws`.
//!
//! ```text
//!  Opening ──open()──▶ asked ──101──▶ Open ─▶ ...
//!                        └── any other answer ──▶ Over, and the app is told
//! ```
//!
//! Invariants: the request is the first that leaves, and what the app sends before its answer leaves right behind that; every
//! frame has a mask of its own; the server closes first.

mod opening;
mod setup;

use super::talk::{Phase, Role, Talk};
use super::{Message, WebsocketSignal, WebsocketType, close};
use crate::protocols::output::Output;
use crate::protocols::{Codec, Encoded, Leave, Limits, Stance, Step, sealed};
use opening::Opening;
pub(crate) use setup::Setup;

/// The client's side of WebSocket, for an [`AsyncTcpConnection`](crate::AsyncTcpConnection): PHP's `Ws`.
///
/// When the connection stands, it asks the server for a WebSocket; what is sent before the answer leaves right after it. Then
/// `on_message` receives a [`Message`], and `send` accepts text, bytes or a [`Message`], as on a worker of
/// [`Websocket`](crate::Websocket).
///
/// ```
/// use workerman::{AsyncTcpConnection, Worker, Ws};
///
/// let worker = Worker::<Ws>::new("");
/// worker.on_worker_start(|_| {
///     let prices = AsyncTcpConnection::<Ws>::new("ws://127.0.0.1:8080/prices?of=tea");
///     prices.on_websocket_connect(|prices, _answer| prices.send("all of them"));
///     prices.on_message(|_, message| println!("{message}"));
///     prices.on_error(|_, code, text| eprintln!("{code}: {text}"));
///     prices.on_close(|prices| prices.reconnect(1));
///     prices.connect();
/// });
/// ```
#[derive(Debug, Default)]
pub struct Ws {
    pub(super) talk: Talk<Client>,
}

/// The client's side.
#[derive(Debug, Default)]
pub(super) struct Client;

impl Role for Client {
    const MASKS: bool = true;
    type Opening = Opening;
}

impl sealed::Sealed for Ws {}

impl Codec for Ws {
    type Message = Message;
    type Signal = WebsocketSignal;
    type Setup = Setup;

    const SCHEME: &'static str = "ws";
    const TALKS: bool = true;

    fn open(&mut self, setup: &Setup, host: &str, uri: &str, output: &mut Output<'_>) {
        if self.talk.kind == WebsocketType::Auto {
            self.talk.kind = setup.kind;
        }
        self.talk.rest().opening = Some(Opening::begin(setup, host, uri, output));
    }

    fn receive(&mut self, input: &[u8], limits: &Limits, output: &mut Output<'_>) -> Step<Message, WebsocketSignal> {
        match self.talk.phase {
            Phase::Opening => self.receive_answer(input, output),
            _ => self.talk.receive(input, limits, output),
        }
    }

    #[inline]
    fn stance(&self) -> Stance {
        self.talk.stance()
    }

    fn encode_raw(&mut self, bytes: &[u8], output: &mut Output<'_>) -> Encoded {
        if self.talk.phase == Phase::Opening {
            return Encoded::Stray("the handshake is not done");
        }
        output.bytes(bytes);
        Encoded::Done
    }

    fn fail(&mut self, output: &mut Output<'_>) {
        self.talk.part(close::INTERNAL_ERROR, "", output);
    }

    fn finish(&mut self, output: &mut Output<'_>) {
        self.talk.part(close::NORMAL, "", output);
    }

    fn retire(&mut self) -> Leave {
        self.talk.retire()
    }

    fn stop(&mut self, output: &mut Output<'_>) {
        self.talk.part(close::GOING_AWAY, "", output);
    }

    fn probe(&mut self, output: &mut Output<'_>) {
        self.talk.probe(output);
    }

    #[inline]
    fn park(self) -> Result<u64, Self> {
        self.talk.bits().ok_or(self)
    }

    #[inline]
    fn unpark(parked: u64) -> Self {
        Self { talk: Talk::from_bits(parked) }
    }
}

impl Ws {
    fn receive_answer(&mut self, input: &[u8], output: &mut Output<'_>) -> Step<Message, WebsocketSignal> {
        let Some(opening) = self.talk.rest.as_mut().and_then(|rest| rest.opening.as_mut()) else {
            return Step::Failed("`Ws` is for connections that the app makes itself".into());
        };
        match opening.read(input) {
            Ok(None) => Step::More { consumed: 0 },
            Ok(Some(answer)) => {
                self.talk.open(answer.agreed, output);
                Step::Signal { consumed: answer.size, signal: WebsocketSignal::Opened(answer.response) }
            }
            Err(reason) => {
                self.talk.end();
                Step::Failed(reason.into())
            }
        }
    }
}

#[cfg(test)]
mod tests;
