//! The event loop of a thread: readiness, time, and what must happen after a callback. It knows no connections.
//!
//! One turn of the loop:
//!
//! ```text
//!  wait for events ──▶ events ──▶ ready list ──▶ due timers ──▶ tasks of other threads
//!                         │           │              │              │
//!                         └───────────┴──── after each callback: settle ──▶ flush what it touched,
//!                                                                           deliver what it caused
//! ```
//!
//! Invariants:
//! * callbacks never nest: what a callback causes is deferred and delivered by [`Reactor::settle`];
//! * each file descriptor is registered once, edge-triggered (Unix streams and UDP anew when they wait for room); whoever
//!   does not finish with an edge puts itself on the ready list, so no edge is lost and none is waited for twice;
//! * the clock is read once a turn;
//! * a key that travels through epoll names its slot and generation, so an event never reaches the next tenant;
//! * descriptors exist only between [`Reactor::open`] and [`Reactor::close`]; what stays of a thread's loop is memory.

mod clock;
mod random;
mod remote;
mod table;
mod token;
mod turn;
mod wheel;

use std::cell::Cell;
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use mio::event::Source;
use mio::{Events, Interest, Poll, Registry, Waker};

use crate::callback::{self, Pulse};
use crate::error::Error;
use crate::shared::{Leaked, Shared};
use crate::transport::{self, Readiness, memory};

pub(crate) use clock::{Clock, monotonic, nanoseconds, wall_clock};
pub(crate) use random::Random;
pub use remote::LoopError;
pub(crate) use remote::SharedRemote;
pub(crate) use table::{Key, SLOT_BITS, Table};
use token::from_token;
pub(crate) use token::{KINDS, Kind, token};
pub(crate) use wheel::Wheel;

/// Bytes read at a time, into one buffer for all connections.
pub(crate) const SCRATCH_SIZE: usize = 64 * 1024;
/// So many connections are flushed together: more would fall out of the processor's cache.
const TOUCHED_LIMIT: usize = 64;
/// So many deferred events are delivered before I/O has its turn, however many they cause in turn.
const DEFERRED_LIMIT: usize = 10_000;

thread_local! {
    static REACTOR: Leaked<Reactor> = const { Leaked::new() };
    static NUMBER: Cell<u32> = const { Cell::new(0) };
}

/// How many loops of this process are running.
static RUNNING: AtomicUsize = AtomicUsize::new(0);

/// How many threads have had a loop.
static NUMBERS: AtomicU32 = AtomicU32::new(0);

/// The number of this thread's loop in the process, 0 before the first.
#[inline]
pub(crate) fn number() -> u32 {
    NUMBER.get()
}

/// This thread's loop.
#[inline]
pub(crate) fn get() -> &'static Reactor {
    REACTOR.with(Leaked::get)
}

/// Who handles a kind. Set once by the layer above, so that the loop needs not know it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Handler {
    /// Something happened, or the key was on the ready list (then nothing is set).
    pub(crate) ready: fn(Key, Readiness),
    /// The callback that touched this key has returned.
    pub(crate) flush: fn(Key),
}

/// Something to do once the current callback has returned.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deferred {
    pub(crate) run: fn(Key, u32),
    pub(crate) key: Key,
    pub(crate) code: u32,
}

/// A timer's callback; it is given the public number of its timer.
pub(crate) type TimerCallback = Box<dyn FnMut(u64)>;

/// What the wheel keeps for a timer.
pub(crate) struct Timer {
    /// `None` while it runs.
    callback: Option<TimerCallback>,
    /// When it is due, in nanoseconds of the clock.
    planned: u64,
    /// Nanoseconds from one run to the next; [`ONCE`] or [`DEADLINE`] for none.
    interval: u64,
}

/// The interval of a timer that fires once.
pub(crate) const ONCE: u64 = u64::MAX;
/// The interval of a timer of the framework's own: it fires once, and no app can end it.
const DEADLINE: u64 = u64::MAX - 1;
/// The longest interval of a timer that repeats.
pub(crate) const LONGEST_INTERVAL: u64 = DEADLINE - 1;
/// A tick of the wheel, in nanoseconds.
const TICK: u64 = 1_000_000;

/// The state of a thread's loop.
#[derive(Default)]
pub(crate) struct Reactor {
    pub(crate) clock: Clock,
    pub(crate) random: Random,
    /// What other threads see of this one's callbacks.
    pulse: &'static Pulse,
    poll: Shared<Option<Poll>>,
    events: Cell<Option<Events>>,
    handlers: [Cell<Option<Handler>>; KINDS],
    timers: Shared<Wheel<Timer>>,
    ready: Shared<Vec<(Kind, Key)>>,
    deferred: Shared<VecDeque<Deferred>>,
    touched: Shared<Vec<Key>>,
    settling: Cell<bool>,
    /// Something was touched or deferred since [`Reactor::settle`] has last done all there was.
    unsettled: Cell<bool>,
    scratch: Cell<Option<Box<[u8]>>>,
    remote: Shared<Option<SharedRemote>>,
    /// The waker has been heard: tasks of other threads wait.
    woken: Cell<bool>,
    memory: Rc<memory::Events>,
    /// A timer will look at buffers that are kept.
    cooling: Cell<bool>,
    running: Cell<bool>,
    stopping: Cell<bool>,
}

impl fmt::Debug for Reactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reactor").field("running", &self.running).finish_non_exhaustive()
    }
}

impl Reactor {
    /// Makes the descriptors of the loop, unless they exist.
    pub(crate) fn open(&self) -> Result<(), Error> {
        if self.poll.with(|poll| poll.is_some()) {
            return Ok(());
        }
        let failed = |action| move |source| Error::Loop { action, source };
        let poll = Poll::new().map_err(failed("make an epoll instance"))?;
        let waker = Waker::new(poll.registry(), token(Kind::Waker, Key { slot: 0, generation: 0 }));
        self.remote().open(waker.map_err(failed("make a waker"))?);
        self.poll.with(|slot| *slot = Some(poll));
        Ok(())
    }

    /// Drops everything but memory that the next loop of this thread needs: descriptors, timers, what was deferred.
    /// Runs destructors of users' values.
    pub(crate) fn close(&self) {
        if let Some(remote) = self.remote.with(Option::take) {
            callback::discard_all(remote.stop());
        }
        self.ready.with(|ready| *ready = Vec::new());
        self.touched.with(|touched| *touched = Vec::new());
        self.deferred.with(|deferred| *deferred = VecDeque::new());
        // Destructors may add timers; a few rounds are enough for all but those who do so for ever.
        for _ in 0..100 {
            let timers = self.timers.with(Wheel::clear);
            if timers.is_empty() {
                break;
            }
            callback::discard_all(timers);
        }
        self.poll.with(|poll| *poll = None);
        self.events.set(None);
        self.scratch.set(None);
        self.stopping.set(false);
        self.cooling.set(false);
        while self.memory.pop().is_some() {}
    }

    /// Marks the loop as running for as long as the guard lives; `None` if it is running already.
    pub(crate) fn enter(&'static self) -> Option<Running> {
        if self.running.replace(true) {
            return None;
        }
        RUNNING.fetch_add(1, Ordering::Relaxed);
        if NUMBER.get() == 0 {
            NUMBER.set(NUMBERS.fetch_add(1, Ordering::Relaxed).wrapping_add(1));
        }
        Some(Running(self))
    }

    pub(crate) fn is_running(&self) -> bool {
        self.running.get()
    }

    /// Whether what is started on this thread now may never run, because the loop that runs is another thread's.
    pub(crate) fn is_stray(&self) -> bool {
        !self.running.get() && RUNNING.load(Ordering::Relaxed) > 0 && !self.clock.is_manual()
    }

    /// Asks the loop to end after this turn.
    pub(crate) fn stop(&self) {
        self.stopping.set(true);
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.get()
    }

    pub(crate) fn set_handler(&self, kind: Kind, handler: Handler) {
        self.handler(kind).set(Some(handler));
    }

    /// Registers a source for both directions, once and for all. It leaves the loop when its descriptor is closed.
    pub(crate) fn register(&self, source: &mut dyn Source, kind: Kind, key: Key) -> io::Result<()> {
        self.with_registry(|registry| match registry {
            Some(registry) => transport::register_source(registry, source, token(kind, key)),
            None => Err(io::ErrorKind::NotConnected.into()),
        })
    }

    /// Lends what transports register themselves with, if the loop has descriptors.
    pub(crate) fn with_registry<R>(&self, f: impl FnOnce(Option<&Registry>) -> R) -> R {
        self.poll.with(|poll| f(poll.as_ref().map(Poll::registry)))
    }

    /// Registers a source for reading alone. It tells of room to write only while [`Reactor::watch_room`] asks for that.
    pub(crate) fn register_reader(&self, source: &mut dyn Source, kind: Kind, key: Key) -> io::Result<()> {
        self.with_registry(|registry| match registry {
            Some(registry) => registry.register(source, token(kind, key), Interest::READABLE),
            None => Err(io::ErrorKind::NotConnected.into()),
        })
    }

    /// Has a source that was registered for reading tell of room to write, or no longer.
    pub(crate) fn watch_room(&self, source: &mut dyn Source, kind: Kind, key: Key, watch: bool) -> io::Result<()> {
        let interest = if watch { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE };
        self.with_registry(|registry| match registry {
            Some(registry) => registry.reregister(source, token(kind, key), interest),
            None => Err(io::ErrorKind::NotConnected.into()),
        })
    }

    /// Events of memory connections, for those who make such.
    pub(crate) fn memory_events(&self) -> Rc<memory::Events> {
        Rc::clone(&self.memory)
    }

    /// Comes back to this key in the next turn, whether or not there is an event.
    pub(crate) fn list(&self, kind: Kind, key: Key) {
        self.ready.with(|ready| ready.push((kind, key)));
    }

    /// Has the connection flushed when the current callback returns.
    pub(crate) fn touch(&self, key: Key) {
        self.unsettled.set(true);
        let full = self.touched.with(|touched| {
            touched.push(key);
            touched.len() >= TOUCHED_LIMIT
        });
        if full {
            self.flush();
        }
    }

    /// Has something done when the current callback returns.
    pub(crate) fn defer(&self, deferred: Deferred) {
        self.unsettled.set(true);
        self.deferred.with(|queue| queue.push_back(deferred));
    }

    /// Whether more is deferred than [`Reactor::settle`] has delivered.
    pub(crate) fn has_deferred(&self) -> bool {
        self.deferred.with(|deferred| !deferred.is_empty())
    }

    /// Whether [`Reactor::settle`] may have something to do.
    #[inline]
    pub(crate) fn is_unsettled(&self) -> bool {
        self.unsettled.get()
    }

    /// A callback has returned: flushes what it touched, delivers what it caused, and what that causes in turn.
    #[inline]
    pub(crate) fn settle(&self) {
        if self.is_unsettled() && !self.settling.get() {
            self.settle_all();
        }
    }

    fn settle_all(&self) {
        let _settling = Settling::begin(&self.settling);
        for _ in 0..DEFERRED_LIMIT {
            // Before, because flushing may touch others.
            self.unsettled.set(false);
            self.flush();
            let Some(next) = self.deferred.with(VecDeque::pop_front) else {
                return;
            };
            self.unsettled.set(true);
            (next.run)(next.key, next.code);
        }
    }

    /// Lends the read buffer, by moving a pointer.
    #[inline]
    pub(crate) fn scratch(&self) -> Scratch<'_> {
        let buffer = self.scratch.take().unwrap_or_else(|| vec![0; SCRATCH_SIZE].into_boxed_slice());
        Scratch { home: &self.scratch, buffer: Some(buffer) }
    }

    /// Has something of the framework's own done once, in so many nanoseconds.
    pub(crate) fn add_deadline(&self, delay: u64, callback: TimerCallback) -> Result<Key, Error> {
        self.add_timer(delay, DEADLINE, callback)
    }

    /// Starts a timer that is first due `delay` nanoseconds from now; answers its key.
    pub(crate) fn add_timer(&self, delay: u64, interval: u64, callback: TimerCallback) -> Result<Key, Error> {
        // Read afresh: a callback that has blocked must not make its timers early.
        let planned = self.clock.read().saturating_add(delay);
        let timer = Timer { callback: Some(callback), planned, interval };
        let rejected = match self.timers.with(|wheel| wheel.insert(due_tick(planned), timer)) {
            Ok(key) => return Ok(key),
            Err(timer) => timer,
        };
        callback::discard(rejected.callback);
        Err(Error::Exhausted)
    }

    /// Ends a timer; answers whether it was still to fire. The callback is dropped, which is user code.
    pub(crate) fn remove_timer(&self, key: Key) -> bool {
        let Some(timer) = self.timers.with(|wheel| wheel.remove(key)) else {
            return false;
        };
        // Without its callback it is running right now, and fires again only if it repeats.
        let was_to_fire = timer.callback.is_some() || timer.repeats();
        callback::discard(timer.callback);
        was_to_fire
    }

    pub(crate) fn has_timer(&self, key: Key) -> bool {
        self.timers.with(|wheel| wheel.due(key).is_some())
    }

    pub(crate) fn remove_all_timers(&self) {
        let timers = self.timers.with(|wheel| {
            let (ours, users): (Vec<_>, Vec<_>) =
                wheel.clear().into_iter().partition(|timer| timer.interval == DEADLINE);
            for timer in ours {
                let _ = wheel.insert(due_tick(timer.planned), timer);
            }
            users
        });
        callback::discard_all(timers);
    }

    /// The queue through which other threads reach this loop.
    pub(crate) fn remote(&self) -> SharedRemote {
        self.remote.with(|remote| Arc::clone(remote.get_or_insert_default()))
    }

    #[inline]
    fn flush(&self) {
        if self.touched.with(|touched| touched.is_empty()) {
            return;
        }
        let mut touched = self.touched.with(std::mem::take);
        if let Some(handler) = self.handler(Kind::Connection).get() {
            for key in touched.drain(..) {
                (handler.flush)(key);
            }
        }
        // Its room is used again, unless flushing has touched others.
        self.touched.with(|new| {
            if new.is_empty() {
                *new = touched;
            }
        });
    }

    fn handler(&self, kind: Kind) -> &Cell<Option<Handler>> {
        let [waker, signal, listener, datagram, control, client, datagram_client, handshake, connection] =
            &self.handlers;
        match kind {
            Kind::Waker => waker,
            Kind::Signal => signal,
            Kind::Listener => listener,
            Kind::Datagram => datagram,
            Kind::Control => control,
            Kind::Client => client,
            Kind::DatagramClient => datagram_client,
            Kind::Handshake => handshake,
            Kind::Connection => connection,
        }
    }
}

/// The loop runs while this lives.
#[derive(Debug)]
pub(crate) struct Running(&'static Reactor);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.set(false);
        self.0.pulse.wait();
        RUNNING.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Clears the mark even when a panic passes.
struct Settling<'a>(&'a Cell<bool>);

impl<'a> Settling<'a> {
    #[inline]
    fn begin(mark: &'a Cell<bool>) -> Self {
        mark.set(true);
        Self(mark)
    }
}

impl Drop for Settling<'_> {
    #[inline]
    fn drop(&mut self) {
        self.0.set(false);
    }
}

/// The read buffer, on loan.
pub(crate) struct Scratch<'a> {
    home: &'a Cell<Option<Box<[u8]>>>,
    buffer: Option<Box<[u8]>>,
}

impl Scratch<'_> {
    #[inline]
    pub(crate) fn bytes(&mut self) -> &mut [u8] {
        self.buffer.as_deref_mut().unwrap_or_default()
    }
}

impl Drop for Scratch<'_> {
    #[inline]
    fn drop(&mut self) {
        self.home.set(self.buffer.take());
    }
}

/// The tick at which a time has certainly come.
fn due_tick(planned: u64) -> u64 {
    planned.div_ceil(TICK)
}
