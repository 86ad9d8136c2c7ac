//! The one request of a connection that may be waiting for its answer.

use super::head::Head;

/// Which request is being answered, and how far the answer is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Exchange {
    /// Counts the requests of the connection, from 1. 0 is a handle's word for "whichever is open".
    pub(super) ticket: u32,
    pub(super) phase: Phase,
    /// The request asked for the head of the answer only.
    pub(super) head_only: bool,
    /// The peer speaks HTTP/1.0: no chunks.
    pub(super) http10: bool,
    /// The connection stays open after the answer.
    pub(super) keep_alive: bool,
    /// The app has framed the last answer itself, and may not be done with it.
    pub(super) raw: bool,
}

/// How far the answer is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Phase {
    /// No request is waiting.
    #[default]
    Idle,
    /// A request was delivered, nothing of its answer was sent.
    Open,
    /// The app sends its own framing; counts as answered once the callback returns.
    Raw,
    /// An event stream in chunks.
    Chunked,
    /// An event stream that ends with the connection.
    Plain,
}

impl Exchange {
    /// How many bits [`Exchange::pack`] uses.
    pub(super) const BITS: u32 = 48;

    #[inline]
    pub(super) fn begin(&mut self, head: &Head) {
        self.ticket = self.ticket.checked_add(1).unwrap_or(1);
        self.phase = Phase::Open;
        self.head_only = head.head_only;
        self.http10 = head.http10;
        self.keep_alive = head.keep_alive;
        self.raw = false;
    }

    /// Whether a handle with this ticket may speak to the request or stream at hand.
    #[inline]
    pub(super) fn admits(&self, ticket: u32) -> bool {
        ticket == 0 || ticket == self.ticket
    }

    #[inline]
    pub(super) fn pack(self) -> u64 {
        u64::from(self.ticket)
            | (self.phase as u64) << 32
            | u64::from(self.head_only) << 40
            | u64::from(self.http10) << 41
            | u64::from(self.keep_alive) << 42
            | u64::from(self.raw) << 43
    }

    #[inline]
    #[allow(clippy::cast_possible_truncation)] // the low 32 bits are the ticket
    pub(super) fn unpack(bits: u64) -> Self {
        let phase = match (bits >> 32) & 0xff {
            1 => Phase::Open,
            2 => Phase::Raw,
            3 => Phase::Chunked,
            4 => Phase::Plain,
            _ => Phase::Idle,
        };
        Self {
            ticket: bits as u32,
            phase,
            head_only: bits & 1 << 40 != 0,
            http10: bits & 1 << 41 != 0,
            keep_alive: bits & 1 << 42 != 0,
            raw: bits & 1 << 43 != 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packing_loses_nothing() {
        for phase in [Phase::Idle, Phase::Open, Phase::Raw, Phase::Chunked, Phase::Plain] {
            for bits in 0..16 {
                let exchange = Exchange {
                    ticket: u32::MAX,
                    phase,
                    head_only: bits & 1 != 0,
                    http10: bits & 2 != 0,
                    keep_alive: bits & 4 != 0,
                    raw: bits & 8 != 0,
                };
                assert!(exchange.pack() >> Exchange::BITS == 0);
                assert_eq!(Exchange::unpack(exchange.pack() | 0xabcd << Exchange::BITS), exchange);
            }
        }
        assert_eq!(Exchange::unpack(0), Exchange::default());
    }
}
