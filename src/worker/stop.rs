//! Stopping: from the first word of it to the last connection's end.
//!
//! ```text
//!  running ──asked──▶ no more connections ─▶ on_worker_stop ─▶ connections leave ──none left──▶ over
//!                                                                   └── its time is up ─▶ cut ──▲
//! ```
//!
//! Invariants: whoever asks only takes note ([`request`]), the loop does the rest; who asks again can shorten a stop, never
//! lengthen it; everything here that waits is a deadline of the loop, so stops are tested in virtual time.

use std::cell::Cell;
use std::process::ExitCode;

use signal_hook::consts::{SIGINT, SIGTERM};

use super::listener::{self, Queue};
use super::registry::keys;
use super::{Which, Worker, signals};
use crate::connection;
use crate::error::Error;
use crate::reactor;
use crate::timer::Interval;
use crate::udp;

/// How much time a stop takes at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum How {
    /// [`Worker::set_graceful_timeout`].
    Gracefully,
    /// [`Worker::set_stop_timeout`].
    Plainly,
    /// None.
    AtOnce,
}

const SECOND: u64 = 1_000_000_000;
/// Turns for what has come in before the connections leave, of a thousand events each.
const TURNS: usize = 8;
/// Two signals within this time, in nanoseconds, are one: who signals a process and then its group means one.
const SAME_SIGNAL: u64 = 1_000_000;

/// Of this thread's loop. The times are in nanoseconds.
struct Stop {
    graceful_timeout: Cell<u64>,
    stop_timeout: Cell<u64>,
    stream_end_window: Cell<u64>,
    exit_code: Cell<u8>,
    asked: Cell<Option<How>>,
    begun: Cell<bool>,
    cut: Cell<bool>,
    meaning: Cell<Meaning>,
    /// Others go on to listen where this process does: what waits there is theirs.
    leaves_queue: Cell<bool>,
}

thread_local! {
    /// Nothing in it is dropped, so that it can be reached at any time.
    static STOP: Stop = const {
        Stop {
            graceful_timeout: Cell::new(30 * SECOND),
            stop_timeout: Cell::new(2 * SECOND),
            stream_end_window: Cell::new(SECOND),
            exit_code: Cell::new(0),
            asked: Cell::new(None),
            begun: Cell::new(false),
            cut: Cell::new(false),
            meaning: Cell::new(Meaning::new(false)),
            leaves_queue: Cell::new(false),
        }
    };
}

/// # Stopping
///
/// SIGTERM, SIGQUIT and SIGHUP stop gracefully, as [`stop_all_gracefully`](Worker::stop_all_gracefully) does; SIGINT, the
/// Ctrl-C of a terminal, stops as [`stop_all`](Worker::stop_all). A second SIGINT or SIGTERM cuts what is left.
/// `docs/processes.md` tells what becomes of which connection.
impl Worker<()> {
    /// Stops the loop of this thread: in short, nobody else comes in, what has begun is completed, and
    /// [`set_stop_timeout`](Self::set_stop_timeout) (2 s) later the rest is cut. `run_all` then returns.
    ///
    /// ```standalone_crate
    /// # use workerman::{Timer, Worker};
    /// Timer::delay(0.01, Worker::stop_all);
    /// Worker::run_all()?;
    /// # workerman::Result::<()>::Ok(())
    /// ```
    #[doc(alias = "stopAll")]
    pub fn stop_all() {
        request(How::Plainly);
    }

    /// The same with more time, [`set_graceful_timeout`](Self::set_graceful_timeout) (30 s). A call of `stop_all` shortens it.
    ///
    /// ```standalone_crate
    /// # use workerman::{Timer, Worker};
    /// Timer::delay(0.01, Worker::stop_all_gracefully);
    /// Worker::run_all()?;
    /// # workerman::Result::<()>::Ok(())
    /// ```
    #[doc(alias = "stopAll")]
    pub fn stop_all_gracefully() {
        request(How::Gracefully);
    }

    /// [`stop_all`](Self::stop_all), and says what [`exit_code`](Self::exit_code) is to be: PHP's `Worker::stopAll($code)`.
    ///
    /// ```no_run
    /// use std::process::ExitCode;
    /// use workerman::{Http, Worker};
    ///
    /// fn main() -> workerman::Result<ExitCode> {
    ///     let worker = Worker::<Http>::new("http://127.0.0.1:8080");
    ///     let mut requests = 0;
    ///     worker.on_message(move |connection, _request| {
    ///         requests += 1;
    ///         if requests == 10_000 {
    ///             Worker::stop_all_with_code(3);
    ///         }
    ///         connection.send("hello")
    ///     });
    ///     Worker::run_all()?;
    ///     Ok(Worker::exit_code())
    /// }
    /// ```
    #[doc(alias = "stopAll")]
    pub fn stop_all_with_code(code: u8) {
        STOP.with(|stop| stop.exit_code.set(code));
        request(How::Plainly);
    }

    /// The code that the process is to end with, for `main` to return after `run_all`: 0, or what the last
    /// [`stop_all_with_code`](Self::stop_all_with_code) on this thread has said.
    ///
    /// ```standalone_crate
    /// use std::process::ExitCode;
    /// use workerman::Worker;
    ///
    /// fn main() -> workerman::Result<ExitCode> {
    ///     # Worker::stop_all();
    ///     Worker::run_all()?;
    ///     Ok(Worker::exit_code())
    /// }
    /// ```
    pub fn exit_code() -> ExitCode {
        STOP.with(|stop| ExitCode::from(stop.exit_code.get()))
    }

    /// Sets how long a plain stop may take, in seconds or as a `Duration`: 2 s unless set, for the loop of this thread.
    ///
    /// ```
    /// # use workerman::Worker;
    /// Worker::set_stop_timeout(0.5);
    /// ```
    #[doc(alias = "stopTimeout")]
    pub fn set_stop_timeout(time: impl Interval) {
        let time = time.nanoseconds();
        STOP.with(|stop| stop.stop_timeout.set(time));
    }

    /// Sets how long a graceful stop may take, in seconds or as a `Duration`: 30 s unless set, for the loop of this thread.
    /// Whoever starts the process has to wait longer before it kills.
    ///
    /// ```
    /// # use workerman::Worker;
    /// Worker::set_graceful_timeout(60);
    /// ```
    pub fn set_graceful_timeout(time: impl Interval) {
        let time = time.nanoseconds();
        STOP.with(|stop| stop.graceful_timeout.set(time));
    }

    /// Sets over which time event streams and WebSockets are closed when the loop stops, in seconds or as a `Duration`: 1 s
    /// unless set, for the loop of this thread. All their clients come back, and together they would be a burst. Few
    /// take less, 10 ms each, and no more than half of the time that the stop has.
    ///
    /// ```
    /// # use workerman::Worker;
    /// Worker::set_stream_end_window(5);
    /// ```
    pub fn set_stream_end_window(time: impl Interval) {
        let time = time.nanoseconds();
        STOP.with(|stop| stop.stream_end_window.set(time));
    }
}

/// Whether others go on to listen where this process does, if it stops.
pub(crate) fn leave_queue(leaves: bool) {
    STOP.with(|stop| stop.leaves_queue.set(leaves));
}

/// Has the loop of this thread stop, after its present turn.
pub(crate) fn request(how: How) {
    let shortens = STOP.with(|stop| {
        let is_news = stop.asked.get().is_none_or(|before| before < how);
        if is_news {
            stop.asked.set(Some(how));
        }
        is_news && stop.begun.get()
    });
    reactor::get().stop();
    if shortens {
        limit(how);
    }
}

/// The same by one of the signals that stop a process.
pub(crate) fn by_signal(signal: i32) {
    let now = reactor::get().clock.now();
    let how = STOP.with(|stop| {
        let mut meaning = stop.meaning.get();
        let how = meaning.of(signal, now);
        stop.meaning.set(meaning);
        how
    });
    log::info!("{}: stopping {}", signals::name(signal), how.word());
    request(how);
}

/// What the signals mean that stop a process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Meaning {
    /// SIGINT too stops gracefully.
    is_patient: bool,
    /// When SIGINT or SIGTERM came first.
    first: Option<u64>,
}

impl Meaning {
    pub(crate) const fn new(is_patient: bool) -> Self {
        Self { is_patient, first: None }
    }

    /// Of this signal, at this time in nanoseconds.
    pub(crate) fn of(&mut self, signal: i32, now: u64) -> How {
        let first = self.first;
        if matches!(signal, SIGINT | SIGTERM) {
            self.first = first.or(Some(now));
        }
        match (signal, first) {
            (SIGINT | SIGTERM, Some(first)) if now > first.saturating_add(SAME_SIGNAL) => How::AtOnce,
            (SIGINT, _) if !self.is_patient => How::Plainly,
            _ => How::Gracefully,
        }
    }
}

/// Has SIGINT stop gracefully too.
pub(crate) fn be_patient() {
    STOP.with(|stop| stop.meaning.set(Meaning::new(true)));
}

impl How {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Gracefully => "gracefully",
            Self::Plainly => "soon",
            Self::AtOnce => "at once",
        }
    }
}

/// A loop begins: what an earlier one was to end with is of no concern, unless it is to stop at once.
pub(super) fn forget_code() {
    STOP.with(|stop| {
        if stop.asked.get().is_none() {
            stop.exit_code.set(0);
        }
    });
}

/// Stops the workers: nobody comes in, they are told, their connections begin to leave.
pub(crate) fn begin() -> Result<(), Error> {
    let reactor = reactor::get();
    STOP.with(|stop| stop.begun.set(true));
    let queue = if STOP.with(|stop| stop.leaves_queue.get()) { Queue::Left } else { Queue::Accepted };
    for key in keys() {
        listener::close(key, queue);
    }
    reactor.settle();
    for which in Which::present() {
        if let Some(on_stop) = which.on_stop() {
            // Its failure is logged; stopping goes on.
            let _ = on_stop.run();
            reactor.settle();
        }
    }
    let (how, window) = STOP.with(|stop| (stop.asked.get().unwrap_or(How::Plainly), stop.stream_end_window.get()));
    limit(how);
    // Whom something has come from is not idle.
    for _ in 0..TURNS {
        reactor.turn(false)?;
        if reactor.last_events() == 0 {
            break;
        }
    }
    udp::leave();
    log::debug!("{} connections are there when stopping begins", connection::count());
    connection::retire_all(window.min(how.time() / 2));
    reactor.settle();
    Ok(())
}

/// Whether nobody comes in any more.
pub(crate) fn has_begun() -> bool {
    STOP.with(|stop| stop.begun.get())
}

/// Whether the connections need more turns of the loop.
pub(crate) fn goes_on() -> bool {
    let waits = !STOP.with(|stop| stop.cut.get()) || reactor::get().has_deferred();
    waits && (connection::count() > 0 || connection::awaits_guests() || udp::is_leaving())
}

/// The loop has ended, or is being given up: the thread's next one starts from nothing.
pub(super) fn clear() {
    STOP.with(|stop| {
        stop.asked.set(None);
        stop.begun.set(false);
        stop.cut.set(false);
        stop.meaning.set(Meaning::new(false));
        stop.leaves_queue.set(false);
    });
}

impl How {
    pub(crate) fn time(self) -> u64 {
        STOP.with(|stop| match self {
            Self::Gracefully => stop.graceful_timeout.get(),
            Self::Plainly => stop.stop_timeout.get(),
            Self::AtOnce => 0,
        })
    }
}

/// The connections have so much time from now on. If they had less before, they still have.
fn limit(how: How) {
    let time = how.time();
    if time == 0 || reactor::get().add_deadline(time, Box::new(|_| cut())).is_err() {
        cut();
    }
}

fn cut() {
    STOP.with(|stop| stop.cut.set(true));
    let count = connection::count();
    if count > 0 {
        log::warn!("{count} connections are cut, because the time for stopping is over");
    }
    connection::destroy_all();
}
