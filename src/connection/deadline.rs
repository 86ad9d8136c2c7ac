//! How long a peer may take: for a request's head, for its body, for the next request, for reading an answer.
//!
//! A connection has one deadline at a time and remembers what it is for; which that is follows from its state
//! ([`Connection::wanted_pace`]). There is no timer for each: one sweep looks at all connections when the earliest
//! deadline has come. Never early, at most a second late. Streams, paused connections and those that wait for the app
//! have none.

use std::rc::Rc;

use super::state::{Connection, Flags, State, Visit, state, visit};
use super::status::Status;
use super::{defaults, id, lifecycle};
use crate::protocols::Pace;
use crate::reactor::{self, Key};
use crate::timer::Interval;

/// How long peers may take before a connection is closed, for a worker's connections. 0 means for ever.
///
/// | what | unless set | then |
/// | --- | --- | --- |
/// | the whole head of a request, or the first byte on a new connection | 30 s | 408 if it had begun |
/// | between two pieces of a body | 30 s | 408 |
/// | the body's rate, averaged over that time | 1 KiB/s | 408 |
/// | the next request on a keep-alive connection | 75 s | closed |
/// | reading any of an answer that waits | 60 s | closed |
/// | the Close frame of a WebSocket that we have closed | 10 s | closed |
/// | anything at all on a WebSocket | never | it is sent a Ping |
/// | anything at all after that Ping | 10 s | closed |
/// | the handshake of TLS | 10 s | closed |
///
/// Event streams have none of these, nor has a request that waits for the app's answer, or for more of it.
///
/// ```
/// use workerman::{Deadlines, Http, Worker};
///
/// let worker = Worker::<Http>::new("http://127.0.0.1:0");
/// worker.set_deadlines(Deadlines::default().head(10).keep_alive(20.5));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Deadlines {
    head: u32,
    body: u32,
    keep_alive: u32,
    write: u32,
    farewell: u32,
    ping: u32,
    pong: u32,
    handshake: u32,
    /// Bytes a second.
    body_rate: u32,
}

/// A tick of deadlines, in nanoseconds: a sixteenth of a second.
const TICK: u64 = 62_500_000;
/// Ticks in a second.
pub(super) const SECOND: u32 = 16;
/// Younger than so many ticks is fresh.
const FRESH: u32 = 5;
/// The tick of no deadline.
pub(super) const NEVER: u32 = u32::MAX;

impl Default for Deadlines {
    fn default() -> Self {
        defaults::deadlines()
    }
}

impl Deadlines {
    /// No deadlines at all.
    ///
    /// ```
    /// # use workerman::{Deadlines, Http, Worker};
    /// Worker::<Http>::new("").set_deadlines(Deadlines::none());
    /// ```
    pub fn none() -> Self {
        Self {
            head: NEVER,
            body: NEVER,
            keep_alive: NEVER,
            write: NEVER,
            farewell: NEVER,
            ping: NEVER,
            pong: NEVER,
            handshake: NEVER,
            body_rate: 0,
        }
    }

    /// For the whole head of a request from its first byte, and for that on a new connection; seconds or a `Duration`.
    ///
    /// ```
    /// # use workerman::Deadlines;
    /// let deadlines = Deadlines::default().head(10);
    /// ```
    pub fn head(self, time: impl Interval) -> Self {
        Self { head: ticks(time), ..self }
    }

    /// Between two pieces of a body; seconds or a `Duration`. Without this time, the rate does not count either.
    ///
    /// ```
    /// # use workerman::Deadlines;
    /// let deadlines = Deadlines::default().body(10);
    /// ```
    pub fn body(self, time: impl Interval) -> Self {
        Self { body: ticks(time), ..self }
    }

    /// The least rate of a body, in bytes a second, averaged over the time of [`body`](Self::body).
    ///
    /// ```
    /// # use workerman::Deadlines;
    /// let deadlines = Deadlines::default().body_rate(16 * 1024);
    /// ```
    pub fn body_rate(self, bytes_per_second: u32) -> Self {
        Self { body_rate: bytes_per_second, ..self }
    }

    /// For the next request after an answer; seconds or a `Duration`.
    ///
    /// ```
    /// # use workerman::Deadlines;
    /// let deadlines = Deadlines::default().keep_alive(20);
    /// ```
    pub fn keep_alive(self, time: impl Interval) -> Self {
        Self { keep_alive: ticks(time), ..self }
    }

    /// For reading any part of an answer that waits, event streams apart; seconds or a `Duration`.
    ///
    /// ```
    /// # use workerman::Deadlines;
    /// let deadlines = Deadlines::default().write(20);
    /// ```
    pub fn write(self, time: impl Interval) -> Self {
        Self { write: ticks(time), ..self }
    }

    /// For the peer's Close frame on a WebSocket, once ours is out; seconds or a `Duration`.
    ///
    /// ```
    /// # use workerman::Deadlines;
    /// let deadlines = Deadlines::default().farewell(2);
    /// ```
    pub fn farewell(self, time: impl Interval) -> Self {
        Self { farewell: ticks(time), ..self }
    }

    /// How long a WebSocket may be silent before it is sent a Ping; seconds or a `Duration`. Never unless set. Proxies cut off
    /// what is silent for a minute or so.
    ///
    /// ```
    /// # use workerman::{Deadlines, Websocket, Worker};
    /// # let worker = Worker::<Websocket>::new("");
    /// worker.set_deadlines(Deadlines::default().ping(30).pong(10));
    /// ```
    #[doc(alias = "websocketPingInterval")]
    pub fn ping(self, time: impl Interval) -> Self {
        Self { ping: ticks(time), ..self }
    }

    /// For a word of the peer, a Pong or anything else, after the Ping of [`ping`](Self::ping); seconds or a `Duration`.
    ///
    /// ```
    /// # use workerman::Deadlines;
    /// let deadlines = Deadlines::default().ping(30).pong(5);
    /// ```
    pub fn pong(self, time: impl Interval) -> Self {
        Self { pong: ticks(time), ..self }
    }

    /// For the handshake of TLS, of a worker that speaks it; seconds or a `Duration`.
    ///
    /// ```
    /// # use workerman::Deadlines;
    /// let deadlines = Deadlines::default().handshake(5);
    /// ```
    pub fn handshake(self, time: impl Interval) -> Self {
        Self { handshake: ticks(time), ..self }
    }

    /// In nanoseconds, 0 for ever.
    #[cfg(feature = "_tls")]
    pub(crate) fn handshake_time(self) -> u64 {
        if self.handshake == NEVER { 0 } else { u64::from(self.handshake) * TICK }
    }

    /// What workers of this process that are made from here on start with.
    pub(crate) fn set_default(self) {
        defaults::set_deadlines(self.to_array());
    }

    pub(super) const fn from_array(array: [u32; 9]) -> Self {
        let [head, body, keep_alive, write, farewell, ping, pong, handshake, body_rate] = array;
        Self { head, body, keep_alive, write, farewell, ping, pong, handshake, body_rate }
    }

    fn to_array(self) -> [u32; 9] {
        let Self { head, body, keep_alive, write, farewell, ping, pong, handshake, body_rate } = self;
        [head, body, keep_alive, write, farewell, ping, pong, handshake, body_rate]
    }

    pub(super) fn of(&self, pace: Pace) -> u32 {
        match pace {
            Pace::New | Pace::Head | Pace::Greet => self.head,
            Pace::Body => self.body,
            Pace::Between => self.keep_alive,
            Pace::Write => self.write,
            Pace::Farewell => self.farewell,
            Pace::Talk => self.ping,
            Pace::Reply => self.pong,
            Pace::Answer | Pace::Free => NEVER,
        }
    }
}

/// Whole ticks, rounded up; 0 is for ever.
fn ticks(time: impl Interval) -> u32 {
    match time.nanoseconds() {
        0 => NEVER,
        nanoseconds => u32::try_from(nanoseconds.div_ceil(TICK)).unwrap_or(NEVER),
    }
}

/// The present tick.
fn now() -> u32 {
    // For the next eight years of running.
    u32::try_from(reactor::get().clock.now() / TICK).unwrap_or(NEVER)
}

/// When so many ticks have certainly passed.
fn after(ticks: u32) -> u32 {
    now().saturating_add(ticks).saturating_add(1)
}

/// When the connections are looked at next.
#[derive(Debug)]
pub(super) struct Sweep {
    next: u32,
}

impl Default for Sweep {
    fn default() -> Self {
        Self { next: NEVER }
    }
}

impl Connection {
    /// What the peer is expected to do now.
    fn wanted_pace(&self) -> Pace {
        match self.status {
            _ if self.pace == Pace::Free => Pace::Free,
            // A stream has none while it is open.
            Status::Established if self.flags.has(Flags::BLOCKED) && !self.is_stream() => Pace::Write,
            Status::Closing if self.flags.has(Flags::BLOCKED) => Pace::Write,
            Status::Closing if self.awaits_farewell() => Pace::Farewell,
            Status::Established if self.flags.has(Flags::PAUSED) => Pace::Answer,
            Status::Established => self.codec_pace,
            _ => Pace::Answer,
        }
    }

    /// Whether a message of this connection may be on its way although nothing has come yet: it was made, or its last
    /// message came, less than a third of a second ago, as far as its deadline tells.
    pub(super) fn is_fresh(&self) -> bool {
        match (self.pace, self.driver.allowance(self.pace)) {
            (Pace::New | Pace::Between, NEVER) => true,
            (Pace::New | Pace::Between, ticks) => now() < self.deadline.saturating_sub(ticks).saturating_add(FRESH),
            _ => false,
        }
    }

    /// Whether it came out of a handshake a moment ago, and nothing has come since. A stop waits for handshakes, so their
    /// connections may be younger than it.
    pub(super) fn has_shaken_hands(&self) -> bool {
        self.transport.is_encrypted() && self.pace == Pace::New && self.deadline != NEVER && self.is_fresh()
    }
}

impl Visit<'_> {
    /// Sets the deadline that follows from the connection's state. One for the same thing goes on running, unless the
    /// peer has made `progress`.
    #[inline]
    pub(super) fn set_deadline(&mut self, progress: bool) {
        let pace = self.wanted_pace();
        if pace == self.pace && !progress {
            return;
        }
        self.pace = pace;
        self.deadline = match self.driver.allowance(pace) {
            NEVER => NEVER,
            ticks => self.sweep.at(after(ticks)),
        };
    }

    /// A piece of a body has arrived: it pays for some time, at most for that between two pieces.
    pub(super) fn pay_for_body(&mut self, before: u64) {
        let limits = self.driver.deadlines();
        if self.pace != Pace::Body || self.deadline == NEVER {
            return;
        }
        let latest = after(limits.body);
        // Counted from the connection's beginning, so that no byte of a small piece is lost.
        let paid = |bytes: u64| bytes * u64::from(SECOND) / u64::from(limits.body_rate);
        self.deadline = match limits.body_rate {
            0 => latest,
            _ => {
                let paid = u32::try_from(paid(self.bytes_read) - paid(before)).unwrap_or(NEVER);
                self.deadline.saturating_add(paid).min(latest)
            }
        };
    }

    /// Nothing has told that the peer reads. The system does so only when much has left, so that a slow reader is found
    /// by trying.
    fn look_for_progress(&mut self) {
        let written = self.bytes_written;
        self.writable();
        if self.bytes_written == written {
            self.shut();
        }
    }
}

impl Sweep {
    /// Has the connections looked at when this deadline has come, if not before; answers it.
    #[inline]
    fn at(&mut self, deadline: u32) -> u32 {
        // At a whole second, so that there is one sweep a second at most.
        let at = deadline.div_ceil(SECOND).saturating_mul(SECOND);
        if at < self.next {
            self.plan(at);
        }
        deadline
    }

    #[cold]
    fn plan(&mut self, at: u32) {
        self.next = at;
        let clock = &reactor::get().clock;
        let delay = (u64::from(at) * TICK).saturating_sub(clock.now());
        // Without a slot for a timer there are no deadlines, which is better than no connections.
        let _ = reactor::get().add_deadline(delay, Box::new(move |_| sweep(at)));
    }
}

impl State {
    /// The connections whose time is over. The rest decide when to look next.
    fn expired(&mut self) -> Vec<Key> {
        let now = now();
        let mut expired = Vec::new();
        let (mut next, mut slot) = (NEVER, 0);
        while let Some((key, connection)) = self.table.next_from(slot) {
            slot = key.slot + 1;
            if connection.deadline <= now {
                expired.push(key);
            } else {
                next = next.min(connection.deadline);
            }
        }
        self.sweep.next = NEVER;
        self.sweep.at(next);
        expired
    }
}

/// Looks at all connections, unless a later plan has taken the place of this one.
fn sweep(at: u32) {
    if state().with(|state| state.sweep.next) != at {
        return;
    }
    for key in state().with(State::expired) {
        let found = visit(key, |visit| {
            visit.deadline = NEVER;
            (std::mem::replace(&mut visit.pace, Pace::Answer), Rc::clone(&visit.driver))
        });
        let Some((pace, driver)) = found else { continue };
        log::debug!("connection {}: too slow ({pace:?})", id::of(key));
        match pace {
            Pace::Head | Pace::Body => driver.time_out(key),
            Pace::New | Pace::Between => lifecycle::close(key),
            Pace::Farewell | Pace::Reply => lifecycle::destroy(key),
            Pace::Talk => driver.probe(key),
            Pace::Greet => {
                visit(key, |visit| visit.fail(lifecycle::NO_ANSWER.into()));
            }
            Pace::Write => {
                visit(key, |visit| visit.look_for_progress());
            }
            Pace::Answer | Pace::Free => {}
        }
    }
}
