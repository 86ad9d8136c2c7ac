//! A WebSocket of either side: what it has come to, and what is known of it between two frames. What comes is in `frames`,
//! what is sent in `encode`.
//!
//! ```text
//!             the handshake is done      our Close              the peer's Close
//!  Opening ─────────────────────▶ Open ─────────────▶ Parting ───────────────────▶ Over
//!                                  ├── the peer's Close: answered with its code ────▲
//!                                  └── the peer is at fault: 1002, 1007 or 1009 ────┘
//! ```
//!
//! Invariants: no frame leaves before the handshake is done, nor after our Close; after it none is delivered.

use std::fmt;

use super::close;
use super::deflate::{Agreed, History};
use super::incoming::Incoming;
use super::{Message, WebsocketSignal, WebsocketType};
use crate::protocols::output::Output;
use crate::protocols::{Encoded, Leave, Limits, Pace, Stance, Step};

/// Which side we are.
pub(super) trait Role: fmt::Debug + Default + 'static {
    /// We mask what we send and the peer does not, or the other way round.
    const MASKS: bool;
    /// What there is of a handshake that is not done.
    type Opening: fmt::Debug;
}

/// One side of a WebSocket.
#[derive(Debug, Default)]
pub(super) struct Talk<R: Role> {
    pub(super) phase: Phase,
    pub(super) kind: WebsocketType,
    /// A Ping of ours is out, and nothing was heard since.
    pub(super) probed: bool,
    pub(super) agreed: Option<Agreed>,
    /// What a connection between two messages mostly has nothing of.
    pub(super) rest: Option<Box<Rest<R>>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Phase {
    /// The handshake is not done.
    #[default]
    Opening,
    Open,
    /// Our Close is out, the peer's is to come.
    Parting,
    Over,
}

#[derive(Debug)]
pub(super) struct Rest<R: Role> {
    pub(super) opening: Option<R::Opening>,
    /// Frames that wait for the end of the handshake.
    pub(super) early: Vec<u8>,
    pub(super) incoming: Option<Incoming>,
    pub(super) history: History,
}

impl<R: Role> Default for Rest<R> {
    fn default() -> Self {
        Self { opening: None, early: Vec::new(), incoming: None, history: Default::default() }
    }
}

/// Where a parked one has its parts: the phase in the two lowest bits, then these.
const KIND: u32 = 2;
const PROBED: u32 = 4;
const AGREED: u32 = 5;
const _: () = assert!(AGREED + Agreed::BITS <= u64::BITS);

impl<R: Role> Talk<R> {
    /// The handshake is done: what waits for that leaves.
    pub(super) fn open(&mut self, agreed: Option<Agreed>, output: &mut Output<'_>) {
        self.phase = Phase::Open;
        self.agreed = agreed;
        output.owned(self.rest.take().map_or_else(Vec::new, |rest| rest.early));
    }

    /// Takes what comes after the handshake.
    #[inline]
    pub(super) fn receive(
        &mut self,
        input: &[u8],
        limits: &Limits,
        output: &mut Output<'_>,
    ) -> Step<Message, WebsocketSignal> {
        self.probed = false;
        let result = match self.phase {
            Phase::Open | Phase::Parting => self.receive_frames(input, limits, output),
            Phase::Opening | Phase::Over => Ok(Step::More { consumed: input.len() }),
        };
        result.unwrap_or_else(|fault| {
            self.part(fault.code, fault.reason, output);
            self.end();
            Step::Refused(fault.reason)
        })
    }

    #[inline]
    pub(super) fn stance(&self) -> Stance {
        let pace = match self.phase {
            Phase::Opening => Pace::Greet,
            Phase::Open if self.probed => Pace::Reply,
            Phase::Open => Pace::Talk,
            Phase::Parting => Pace::Farewell,
            // The client waits for the server to close.
            Phase::Over if R::MASKS => Pace::Farewell,
            Phase::Over => Pace::Answer,
        };
        Stance { ready: true, owes: false, pace }
    }

    /// Sends our Close, unless it is out.
    pub(super) fn part(&mut self, code: u16, reason: &str, output: &mut Output<'_>) {
        if let Phase::Open = self.phase {
            close::push::<R>(&mut output.tail(), code, reason);
            self.phase = Phase::Parting;
        }
    }

    /// Asks whether the peer is there.
    pub(super) fn probe(&mut self, output: &mut Output<'_>) {
        self.probed = self.ping(b"", output) == Encoded::Done;
    }

    /// How it leaves a process that stops.
    pub(super) fn retire(&self) -> Leave {
        match self.phase {
            Phase::Open => Leave::InTurn,
            Phase::Parting => Leave::Later,
            Phase::Opening | Phase::Over => Leave::Now,
        }
    }

    /// Nothing more is said.
    pub(super) fn end(&mut self) {
        self.phase = Phase::Over;
        self.rest = None;
    }

    pub(super) fn rest(&mut self) -> &mut Rest<R> {
        self.rest.get_or_insert_default()
    }

    /// Gives back the box of what a connection at rest has nothing of.
    pub(super) fn tidy(&mut self) {
        let is_empty = |rest: &mut Box<Rest<R>>| {
            rest.opening.is_none() && rest.early.is_empty() && rest.incoming.is_none() && rest.history.is_empty()
        };
        self.rest.take_if(is_empty);
    }

    /// All of it in some bits, unless there is more than fits. Only of one whose handshake is not done, the two lowest are 0.
    #[inline]
    pub(super) fn bits(&self) -> Option<u64> {
        let agreed = self.agreed.map_or(0, Agreed::bits);
        let bits = self.phase as u64 | (self.kind as u64) << KIND | u64::from(self.probed) << PROBED | agreed << AGREED;
        self.rest.is_none().then_some(bits)
    }

    /// The inverse of [`Talk::bits`].
    #[inline]
    pub(super) fn from_bits(bits: u64) -> Self {
        let phase = match bits & 3 {
            0 => Phase::Opening,
            1 => Phase::Open,
            2 => Phase::Parting,
            _ => Phase::Over,
        };
        let kind = match bits >> KIND & 3 {
            1 => WebsocketType::Text,
            2 => WebsocketType::Binary,
            _ => WebsocketType::Auto,
        };
        let probed = bits >> PROBED & 1 != 0;
        Self { phase, kind, probed, agreed: Agreed::from_bits(bits >> AGREED), rest: None }
    }
}
