//! Connections that speak another protocol than the one they were accepted for: who still has to know of their end.
//!
//! A [`Switched`] driver hands everything on to that of the present protocol, and remembers those before it. It is shared
//! by all connections with the same past, so a connection pays for its past with nothing.
//!
//! Invariants: the accepting worker counts the connection until it is forgotten; each worker that was told of a
//! connection is told of its end, once; a past has nobody in it twice, so it ends.

use std::any::TypeId;
use std::io;
use std::rc::{Rc, Weak};

use super::admission::Admission;
use super::deadline::Deadlines;
use super::driver::{Driver, Handlers};
use super::event::Event;
use super::owner::NOBODY;
use super::read::Fed;
use super::state::CodecSlot;
use crate::protocols::{Codec, Leave, Pace};
use crate::reactor::Key;
use crate::transport::Transport;

#[derive(Debug)]
pub(crate) struct Switched {
    /// Of the present protocol: a worker's, or one without callbacks.
    pub(super) to: Rc<dyn Driver>,
    /// The accepting worker's first.
    before: Box<[Rc<dyn Driver>]>,
    /// Whose deadlines hold: the present worker's, else the last one's.
    rules: Rc<dyn Driver>,
}

/// Those that connections have now.
#[derive(Debug, Default)]
pub(super) struct Known(Vec<Weak<Switched>>);

impl Known {
    /// The driver of connections that had this one and go on with the worker `to`, or with whichever; and whether that is news to
    /// the worker. One that was not `told` of them yet has no part in their past.
    pub(super) fn driver<Q: Codec>(
        &mut self,
        now: &Rc<dyn Driver>,
        told: bool,
        to: Option<Rc<dyn Driver>>,
    ) -> (Rc<dyn Driver>, bool) {
        let mut past = match now.as_switched() {
            Some(switched) => switched.past(told),
            None => vec![Rc::clone(now)],
        };
        self.0.retain(|known| known.strong_count() > 0);
        let to = to.unwrap_or_else(|| self.by_protocol::<Q>(&past));
        let joins = to.worker() != NOBODY && !contains(&past, &to);
        if let [acceptor] = &*past
            && Rc::ptr_eq(acceptor, &to)
        {
            return (to, false);
        }
        let mut nth = 0;
        // The accepting worker stays where it is.
        past.retain(|driver| std::mem::replace(&mut nth, 1) == 0 || !Rc::ptr_eq(driver, &to));
        if let Some(known) = self.0.iter().filter_map(Weak::upgrade).find(|known| known.is(&to, &past)) {
            return (known, joins);
        }
        let ruler = past.iter().chain([&to]).rfind(|driver| driver.worker() != NOBODY).unwrap_or(&to);
        let switched = Rc::new(Switched { rules: Rc::clone(ruler), to, before: past.into() });
        self.0.push(Rc::downgrade(&switched));
        (switched, joins)
    }

    /// The last one of this protocol that the connection had, or one that is nobody's; those are all the same.
    fn by_protocol<Q: Codec>(&self, past: &[Rc<dyn Driver>]) -> Rc<dyn Driver> {
        let known = || {
            let mut known = self.0.iter().filter_map(Weak::upgrade).map(|known| Rc::clone(&known.to));
            known.find(|driver| driver.worker() == NOBODY && driver.client() == Key::NONE && driver.speaks::<Q>())
        };
        let had = past.iter().rfind(|driver| driver.speaks::<Q>()).cloned();
        had.or_else(known).unwrap_or_else(|| Rc::new(Handlers::<Q>::new()))
    }
}

impl Switched {
    /// The driver of the worker that has accepted the connection.
    pub(super) fn acceptor(&self) -> &Rc<dyn Driver> {
        self.before.first().unwrap_or(&self.to)
    }

    /// All that have had a connection which switches once more.
    fn past(&self, told: bool) -> Vec<Rc<dyn Driver>> {
        let now = told.then_some(&self.to).filter(|now| !contains(&self.before, now));
        self.before.iter().chain(now).cloned().collect()
    }

    fn is(&self, to: &Rc<dyn Driver>, before: &[Rc<dyn Driver>]) -> bool {
        let same = |(one, other): (&Rc<dyn Driver>, _)| Rc::ptr_eq(one, other);
        Rc::ptr_eq(&self.to, to) && self.before.len() == before.len() && self.before.iter().zip(before).all(same)
    }
}

fn contains(drivers: &[Rc<dyn Driver>], wanted: &Rc<dyn Driver>) -> bool {
    drivers.iter().any(|driver| Rc::ptr_eq(driver, wanted))
}

impl Driver for Switched {
    fn protocol(&self) -> TypeId {
        self.to.protocol()
    }

    fn feed(&self, key: Key, bytes: &[u8], length: usize) -> Fed {
        self.to.feed(key, bytes, length)
    }

    fn absorb(
        &self,
        codec: &mut CodecSlot,
        transport: &mut Transport,
        behind: &mut [u8],
    ) -> Option<(usize, io::Result<usize>)> {
        self.to.absorb(codec, transport, behind)
    }

    /// The end is told to all, the last one first.
    fn deliver(&self, key: Key, event: Event) {
        self.to.deliver(key, event);
        if event == Event::Close {
            for driver in self.before.iter().rev().filter(|driver| !Rc::ptr_eq(driver, &self.to)) {
                driver.deliver(key, event);
            }
        }
    }

    fn settle_raw(&self, key: Key) {
        self.to.settle_raw(key);
    }

    fn finish(&self, key: Key) {
        self.to.finish(key);
    }

    fn stop(&self, key: Key) {
        self.to.stop(key);
    }

    fn retire(&self, key: Key) -> Leave {
        self.to.retire(key)
    }

    fn fail(&self, key: Key) {
        self.to.fail(key);
    }

    fn time_out(&self, key: Key) {
        self.to.time_out(key);
    }

    fn probe(&self, key: Key) {
        self.to.probe(key);
    }

    fn admission(&self) -> &Admission {
        self.acceptor().admission()
    }

    fn deadlines(&self) -> Deadlines {
        self.rules.deadlines()
    }

    fn allowance(&self, pace: Pace) -> u32 {
        self.rules.allowance(pace)
    }

    fn codec(&self) -> Result<(CodecSlot, Pace), Box<str>> {
        self.to.codec()
    }

    fn open(&self, key: Key, host: &str, uri: &str, time: u64) {
        self.to.open(key, host, uri, time);
    }

    fn worker(&self) -> Key {
        self.to.worker()
    }

    fn client(&self) -> Key {
        self.acceptor().client()
    }

    fn begin(&self, key: Key, join: bool) {
        self.to.begin(key, join);
    }

    fn as_switched(&self) -> Option<&Switched> {
        Some(self)
    }
}
