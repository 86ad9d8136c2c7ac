//! The one request of a connection that may be waiting for its answer.

use super::head::Head;

/// Which request is being answered, and how far the answer is: 48 bits, so that a codec at rest is one number.
///
/// The ticket counts the requests of the connection, from 1; 0 is a handle's word for "whichever is open". Above it come
/// the phase and the flags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Exchange(u64);

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
    /// An answer whose parts come one by one, in chunks. It owes its end.
    Parts,
    /// The same without chunks, for HTTP/1.0: the connection ends with it.
    PlainParts,
}

impl Phase {
    /// What is sent goes into chunks.
    #[inline]
    pub(super) fn is_chunked(self) -> bool {
        matches!(self, Self::Chunked | Self::Parts)
    }

    /// More of an answer that has begun is to come from the app.
    pub(super) fn owes_parts(self) -> bool {
        matches!(self, Self::Raw | Self::Parts | Self::PlainParts)
    }
}

const PHASE: u32 = 32;
const HEAD_ONLY: u64 = 1 << 40;
const HTTP10: u64 = 1 << 41;
const KEEP_ALIVE: u64 = 1 << 42;
const RAW: u64 = 1 << 43;
#[cfg(feature = "compression")]
const ACCEPTS_GZIP: u64 = 1 << 44;
const RETIRED: u64 = 1 << 45;
/// Where the number of the worker's settings of compression is: four bits, as those of the phase.
#[cfg(feature = "compression")]
const COMPRESSION: u32 = 36;
const FOUR_BITS: u64 = 0xf;
/// What is known before an exchange begins.
#[cfg(feature = "compression")]
const NEGOTIATED: u64 = FOUR_BITS << COMPRESSION | ACCEPTS_GZIP;
#[cfg(not(feature = "compression"))]
const NEGOTIATED: u64 = 0;
/// What an exchange leaves to the next one.
const KEPT: u64 = NEGOTIATED | RETIRED;

impl Exchange {
    /// How many bits [`Exchange::bits`] uses.
    pub(super) const BITS: u32 = 48;

    #[inline]
    pub(super) fn begin(&mut self, head: &Head) {
        let ticket = self.ticket().checked_add(1).unwrap_or(1);
        let flag = |bit: u64, on: bool| if on { bit } else { 0 };
        self.0 = self.0 & KEPT
            | u64::from(ticket)
            | (Phase::Open as u64) << PHASE
            | flag(HEAD_ONLY, head.head_only)
            | flag(HTTP10, head.http10)
            | flag(KEEP_ALIVE, head.keep_alive);
    }

    #[inline]
    #[allow(clippy::cast_possible_truncation)] // the low 32 bits
    pub(super) fn ticket(self) -> u32 {
        self.0 as u32
    }

    #[inline]
    pub(super) fn phase(self) -> Phase {
        match (self.0 >> PHASE) & FOUR_BITS {
            1 => Phase::Open,
            2 => Phase::Raw,
            3 => Phase::Chunked,
            4 => Phase::Plain,
            5 => Phase::Parts,
            6 => Phase::PlainParts,
            _ => Phase::Idle,
        }
    }

    #[inline]
    pub(super) fn set_phase(&mut self, phase: Phase) {
        self.0 = self.0 & !(FOUR_BITS << PHASE) | (phase as u64) << PHASE;
    }

    /// Takes note by which settings the worker compresses its answers, and whether this client accepts that. It holds for
    /// the exchange that begins next.
    #[cfg(feature = "compression")]
    #[inline]
    pub(super) fn set_compression(&mut self, settings: u8, accepts_gzip: bool) {
        let number = (u64::from(settings) & FOUR_BITS) << COMPRESSION;
        let flag = if accepts_gzip { ACCEPTS_GZIP } else { 0 };
        self.0 = self.0 & !NEGOTIATED | number | flag;
    }

    /// The number of the settings, 0 for none.
    #[cfg(feature = "compression")]
    #[inline]
    #[allow(clippy::cast_possible_truncation)] // four bits
    pub(super) fn compression(self) -> u8 {
        (self.0 >> COMPRESSION & FOUR_BITS) as u8
    }

    #[cfg(feature = "compression")]
    pub(super) fn accepts_gzip(self) -> bool {
        self.0 & ACCEPTS_GZIP != 0
    }

    /// The request asked for the head of the answer only.
    #[inline]
    pub(super) fn head_only(self) -> bool {
        self.0 & HEAD_ONLY != 0
    }

    /// The peer speaks HTTP/1.0: no chunks.
    #[inline]
    pub(super) fn http10(self) -> bool {
        self.0 & HTTP10 != 0
    }

    /// The connection stays open after the answer.
    #[inline]
    pub(super) fn keep_alive(self) -> bool {
        self.0 & (KEEP_ALIVE | RETIRED) == KEEP_ALIVE
    }

    /// The connection closes after the answer to this request, or to the next one if there is none.
    pub(super) fn retire(&mut self) {
        self.0 |= RETIRED;
    }

    pub(super) fn is_retired(self) -> bool {
        self.0 & RETIRED != 0
    }

    /// The answer that has begun is the connection's last.
    pub(super) fn set_last(&mut self) {
        self.set_keep_alive(false);
    }

    pub(super) fn set_keep_alive(&mut self, keep_alive: bool) {
        self.0 = self.0 & !KEEP_ALIVE | if keep_alive { KEEP_ALIVE } else { 0 };
    }

    /// The app has framed the last answer itself, and may not be done with it.
    #[inline]
    pub(super) fn is_raw(self) -> bool {
        self.0 & RAW != 0
    }

    /// The raw answer counts as given.
    pub(super) fn settle_raw(&mut self) {
        self.set_phase(Phase::Idle);
        self.0 |= RAW;
    }

    /// Whether a handle with this ticket may speak to the request or stream at hand.
    #[inline]
    pub(super) fn admits(self, ticket: u32) -> bool {
        ticket == 0 || ticket == self.ticket()
    }

    #[inline]
    pub(super) fn bits(self) -> u64 {
        self.0
    }

    #[inline]
    pub(super) fn from_bits(bits: u64) -> Self {
        Self(bits & ((1 << Self::BITS) - 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phase_and_ticket_do_not_disturb_each_other() {
        let mut exchange = Exchange(u64::from(u32::MAX) | KEEP_ALIVE);
        let phases = [Phase::Open, Phase::Raw, Phase::Chunked, Phase::Plain, Phase::Parts, Phase::PlainParts];
        for phase in phases.into_iter().chain([Phase::Idle]) {
            exchange.set_phase(phase);
            assert_eq!((exchange.phase(), exchange.ticket()), (phase, u32::MAX));
            assert!(exchange.keep_alive() && !exchange.head_only() && !exchange.http10() && !exchange.is_raw());
        }
        exchange.set_last();
        assert!(!exchange.keep_alive());
        exchange.settle_raw();
        assert!(exchange.is_raw() && exchange.phase() == Phase::Idle);
        assert_eq!(Exchange::from_bits(exchange.bits() | 0xabcd << Exchange::BITS), exchange);
        assert_eq!(exchange.bits() >> Exchange::BITS, 0);
        assert_eq!(Exchange::from_bits(0), Exchange::default());
    }

    #[test]
    fn no_request_brings_a_retired_connection_back() {
        let mut exchange = Exchange(7 | KEEP_ALIVE);
        exchange.retire();
        assert!(exchange.is_retired() && !exchange.keep_alive());
        let head = super::super::head::read(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", 0).ok().flatten().expect("a head").0;
        assert!(head.keep_alive);
        exchange.begin(&head);
        exchange.set_keep_alive(true);
        assert!(exchange.is_retired() && !exchange.keep_alive() && exchange.ticket() == 8);
    }

    #[cfg(feature = "compression")]
    #[test]
    fn what_is_known_of_compression_stands_beside_the_rest() {
        for accepts in [true, false] {
            let mut exchange = Exchange(7);
            exchange.set_compression(15, accepts);
            exchange.set_phase(Phase::PlainParts);
            exchange.set_phase(Phase::Open);
            assert_eq!((exchange.compression(), exchange.accepts_gzip()), (15, accepts));
            assert_eq!((exchange.phase(), exchange.ticket(), exchange.head_only()), (Phase::Open, 7, false));
        }
    }
}
