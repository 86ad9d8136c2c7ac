//! The door for benches: the HTTP codec without a connection, and the timer wheel without a clock.

use crate::protocols::http::{Http, Request};
use crate::protocols::output::{Outbound, Output};
use crate::protocols::{self, Codec as _, Encode, Encoded, Limits, Step};
use crate::reactor::{Key, Wheel};

const DATE: &[u8; 29] = b"Sun, 06 Nov 1994 08:49:37 GMT";
const LIMITS: Limits = Limits::of_size(10 << 20);

/// The server's end of a connection, as far as the codec knows it.
#[derive(Debug)]
pub struct Conversation {
    codec: Http,
    queue: Outbound,
    ticket: u32,
}

impl Default for Conversation {
    fn default() -> Self {
        // As on the thread of a loop.
        protocols::open(|_| {});
        Self { codec: Http::default(), queue: Outbound::default(), ticket: 0 }
    }
}

impl Conversation {
    /// Decodes one request, if the bytes are a whole one.
    pub fn receive(&mut self, bytes: &[u8]) -> Option<Request> {
        let step = self.codec.receive(bytes, &LIMITS, &mut Output::new(&mut self.queue, DATE, 0));
        self.ticket = self.codec.ticket();
        if let Step::Message { message, .. } = step { Some(message) } else { None }
    }

    /// Encodes a message and lets it leave; answers how long it was, 0 for one that has no place here.
    pub fn send<M>(&mut self, message: M) -> usize
    where
        Http: Encode<M>,
    {
        let encoded = self.codec.encode(message, &mut Output::new(&mut self.queue, DATE, self.ticket));
        let length = self.queue.len();
        self.queue.reset();
        if encoded == Encoded::Done { length } else { 0 }
    }
}

/// A wheel of values that are as large as a timer.
#[derive(Debug, Default)]
pub struct Timers(Wheel<[u64; 4]>);

impl Timers {
    /// Adds a timer that is due at a tick; answers its number.
    pub fn add(&mut self, due: u64) -> u64 {
        self.0.insert(due, [due; 4]).map_or(0, Key::number)
    }

    /// Ends a timer; answers whether there was one.
    pub fn remove(&mut self, number: u64) -> bool {
        Key::from_number(number).and_then(|key| self.0.remove(key)).is_some()
    }

    /// Goes on to a tick; answers how many timers were due, which are gone.
    pub fn advance(&mut self, now: u64) -> usize {
        self.0.advance(now);
        std::iter::from_fn(|| self.0.pop_expired().and_then(|key| self.0.remove(key))).count()
    }
}
