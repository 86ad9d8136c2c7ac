//! One turn of the loop.

use std::io;
use std::time::Duration;

use mio::Events;

use super::{DEADLINE, Kind, LONGEST_INTERVAL, Reactor, TICK, Timer, due_tick, from_token};
use crate::callback;
use crate::error::Error;
use crate::protocols::warm;
use crate::transport::Readiness;

/// Events taken from the system at a time.
const EVENTS: usize = 1024;
/// Buffers that nobody needs for so many nanoseconds are freed.
const COOLING: u64 = 1_000_000_000;

impl Reactor {
    /// Waits until something happens (unless `wait` is false or something has), and handles it.
    pub(crate) fn turn(&self, wait: bool) -> Result<(), Error> {
        self.settle();
        self.wait_for_events(wait)?;
        while let Some((token, readiness)) = self.memory.pop() {
            self.dispatch(token, readiness);
        }
        self.visit_ready_list();
        self.fire_timers();
        self.run_tasks();
        if warm::is_warm() {
            self.cool_later();
        }
        Ok(())
    }

    /// Has large buffers freed when nobody needs them for a while.
    #[cold]
    fn cool_later(&self) {
        let cool = |_| {
            warm::cool();
            super::get().cooling.set(false);
        };
        if !self.cooling.replace(true) {
            // Without a slot for the timer the next turn tries again.
            self.cooling.set(self.add_deadline(COOLING, Box::new(cool)).is_ok());
        }
    }

    /// Whether a turn would find something to do without waiting.
    pub(crate) fn has_work(&self) -> bool {
        self.ready.with(|ready| !ready.is_empty())
            || self.has_deferred()
            || self.memory.len() > 0
            || self.next_timer().is_some_and(|tick| tick <= self.clock.now() / TICK)
    }

    /// When the next timer is due, in ticks.
    pub(crate) fn next_timer(&self) -> Option<u64> {
        self.timers.with(|wheel| wheel.next_due())
    }

    /// Nanoseconds until the next timer is due, `None` if there is none.
    pub(crate) fn until_next_timer(&self) -> Option<u64> {
        Some((self.next_timer()?.saturating_mul(TICK)).saturating_sub(self.clock.now()))
    }

    fn wait_for_events(&self, wait: bool) -> Result<(), Error> {
        let timeout = if !wait || self.has_work() { Some(Duration::ZERO) } else { self.time_to_wait() };
        let mut events = self.events.take().unwrap_or_else(|| Events::with_capacity(EVENTS));
        self.pulse.wait();
        let result = self.poll.with(|poll| poll.as_mut().map(|poll| poll.poll(&mut events, timeout)));
        self.clock.read();
        match result {
            Some(Err(error)) if error.kind() != io::ErrorKind::Interrupted => {
                return Err(Error::Loop { action: "wait for events", source: error });
            }
            Some(Ok(())) => {
                for event in &events {
                    self.dispatch(event.token(), Readiness::from(event));
                }
            }
            // Without descriptors there are memory connections only; an interrupted wait is a turn without events.
            _ => {}
        }
        self.events.set(Some(events));
        Ok(())
    }

    /// How many timers of the app there are.
    pub(crate) fn timers(&self) -> usize {
        self.timers.with(|wheel| wheel.count(|timer| timer.interval != DEADLINE))
    }

    /// How many events the last turn began with.
    pub(crate) fn last_events(&self) -> usize {
        let Some(events) = self.events.take() else { return 0 };
        let count = events.iter().count();
        self.events.set(Some(events));
        count
    }

    /// Until the next timer. The time that callbacks took counts, so the clock is read once more.
    fn time_to_wait(&self) -> Option<Duration> {
        self.next_timer()?;
        self.clock.read();
        self.until_next_timer().map(Duration::from_nanos)
    }

    #[inline]
    fn dispatch(&self, token: mio::Token, readiness: Readiness) {
        let (kind, key) = from_token(token);
        if kind == Kind::Waker {
            self.woken.set(true);
        } else if let Some(handler) = self.handler(kind).get() {
            (handler.ready)(key, readiness);
            self.settle();
        }
    }

    /// Those that listed themselves before this turn; whoever does so again waits for the next.
    fn visit_ready_list(&self) {
        let mut listed = self.ready.with(std::mem::take);
        for (kind, key) in listed.drain(..) {
            if let Some(handler) = self.handler(kind).get() {
                (handler.ready)(key, Readiness::default());
                self.settle();
            }
        }
        // Its room is used again, unless the list grew meanwhile.
        self.ready.with(|ready| {
            if ready.is_empty() {
                *ready = listed;
            }
        });
    }

    /// Those that are due now; a timer that is added or due again at once waits for the next turn.
    fn fire_timers(&self) {
        let now = self.clock.now();
        self.timers.with(|wheel| wheel.advance(now / TICK));
        loop {
            let fired = self.timers.with(|wheel| {
                let key = wheel.pop_expired()?;
                let callback = wheel.get_mut(key)?.callback.take()?;
                Some((key, callback))
            });
            let Some((key, mut callback)) = fired else { return };
            // The wrapper around the user's callback reports its failures.
            callback(key.number());
            let rest = self.timers.with(|wheel| match wheel.get_mut(key) {
                Some(timer) if timer.repeats() => {
                    let planned = timer.plan_next(now);
                    timer.callback = Some(callback);
                    wheel.reschedule(key, due_tick(planned));
                    None
                }
                Some(_) => {
                    wheel.remove(key);
                    Some(callback)
                }
                // It deleted itself.
                None => Some(callback),
            });
            if let Some(callback) = rest {
                callback::discard(callback);
            }
            self.settle();
        }
    }

    fn run_tasks(&self) {
        // By hand there is no waker to hear.
        if !self.woken.replace(false) && !self.clock.is_manual() {
            return;
        }
        let Some(remote) = self.remote.with(|remote| remote.clone()) else { return };
        for (site, task) in remote.take() {
            // A failing task is logged, there is no connection to close.
            let _ = callback::call(site, task);
            self.settle();
        }
    }
}

impl Timer {
    pub(super) fn repeats(&self) -> bool {
        self.interval <= LONGEST_INTERVAL
    }

    /// The next planned run after `now`: on the grid of the first, and beats missed in a stall stay missed.
    fn plan_next(&mut self, now: u64) -> u64 {
        let late = now.saturating_sub(self.planned);
        let beats = late.checked_div(self.interval).unwrap_or(0).saturating_add(1);
        self.planned = self.planned.saturating_add(self.interval.saturating_mul(beats)).max(now);
        self.planned
    }
}
