//! What a driver takes out of the table to decode, and puts back.

use super::state::{Flags, Visit};
use super::status::Status;
use crate::protocols::output::Outbound;
use crate::protocols::{Codec, Limits, Origin};
use crate::reactor::{self, Key};

/// What a message is stamped with.
#[inline(always)]
pub(super) fn origin(key: Key, ticket: u32) -> Origin {
    // Only a session asks which thread it was.
    let thread = if cfg!(feature = "session") { reactor::number() } else { 0 };
    Origin { thread, slot: key.slot, generation: key.generation, ticket }
}

/// Whether more can be decoded now.
pub(super) enum Input<P> {
    Codec(P, Box<Outbound>, Limits),
    /// When the answer that the app framed itself has been settled.
    Raw,
    Later,
    /// By another codec: a callback has switched protocols.
    Another,
    Never,
}

impl Visit<'_> {
    /// Takes what decoding needs out of the table. Decoding may answer too, so the queue comes along.
    #[inline]
    pub(super) fn check_out_input<P: Codec>(&mut self, limits: Limits) -> Input<P> {
        if self.status != Status::Established && !self.awaits_farewell() {
            return Input::Never;
        }
        if self.flags.has(Flags::RAW | Flags::SWITCHED) {
            return if self.flags.take(Flags::RAW) { Input::Raw } else { Input::Another };
        }
        let wanted = self.wants_input();
        self.flags.assign(Flags::PENDING, !wanted);
        if !wanted {
            return Input::Later;
        }
        let limits = Limits {
            max_package_size: self.max_package_size as usize,
            congested: P::TALKS && self.is_congested() && !self.leads_away(),
            ..limits
        };
        let Some(codec) = self.take_codec() else { return Input::Never };
        let outbound = self.connection.outbound.take();
        Input::Codec(codec, outbound.unwrap_or_else(|| self.spare.take()), limits)
    }

    /// Puts everything back. An empty queue stays with the connection: the answer needs it next. Answers whether the
    /// connection has callbacks of its own.
    #[inline]
    pub(super) fn check_in_input<P: Codec>(&mut self, codec: P, outbound: Box<Outbound>, heard: bool) -> bool {
        self.put_codec(codec);
        self.outbound = Some(outbound);
        if heard {
            self.flags.set(Flags::HEARD);
        }
        self.flags.has(Flags::OWN_CALLBACKS)
    }
}
