//! Timers, as PHP Workerman has them: static functions and numbers.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use crate::callback::{self, CallbackResult, Site};
use crate::error::BoxError;
use crate::reactor::{self, Key, LONGEST_INTERVAL, ONCE, TimerCallback as Boxed};

/// Timers of this thread's event loop. A timer fires on the loop, so a slow callback delays all the others; it is
/// never early, and late by a millisecond when nothing else is.
///
/// Timers may be added before `run_all`, in callbacks, and in timers. For one that belongs to a connection,
/// [`TcpConnection::add_timer`](crate::TcpConnection::add_timer) ends by itself.
///
/// ```standalone_crate
/// use workerman::{Timer, Worker};
///
/// let mut rest = 3;
/// Timer::add(0.001, move |timer_id| {
///     rest -= 1;
///     if rest == 0 {
///         Timer::del(timer_id);
///         Worker::stop_all();
///     }
/// });
/// Worker::run_all()?;
/// # workerman::Result::<()>::Ok(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Timer;

/// As what its failures are told.
const TIMER: &str = "a timer";

impl Timer {
    /// Calls `callback` every `interval`: seconds as an integer or a float, or a `Duration`. Answers the timer's id,
    /// which the callback may also take as its argument.
    ///
    /// Runs are planned from the first one on, so a late run does not shift those after it; what was missed while the
    /// loop was blocked is not made up for. 0 fires about once a millisecond and starves nothing. An interval that
    /// is negative or not a number counts as 0, with a warning (PHP throws).
    ///
    /// ```
    /// # use workerman::Timer;
    /// let id = Timer::add(2.5, || println!("tick"));
    /// assert!(Timer::del(id));
    /// ```
    #[doc(alias = "Timer::add")]
    #[track_caller]
    pub fn add<A, C: TimerCallback<A>>(interval: impl Interval, callback: C) -> TimerId {
        let interval = interval.nanoseconds();
        start(interval, interval, boxed(Site::here(TIMER), callback))
    }

    /// Calls `callback` once, after `delay`: PHP's `Timer::add($delay, $callback, [], false)`. What it has captured may
    /// be given away.
    ///
    /// ```
    /// # use workerman::{Http, Response, Timer, Worker};
    /// # let worker = Worker::<Http>::new("");
    /// worker.on_message(|connection, request| {
    ///     let response = Response::new(200, &[], format!("{} is late", request.path()));
    ///     Timer::delay(0.5, move || connection.send(response));
    /// });
    /// ```
    #[doc(alias = "persistent")]
    #[track_caller]
    pub fn delay<A, C: DelayCallback<A>>(delay: impl Interval, callback: C) -> TimerId {
        let (site, mut callback) = (Site::here(TIMER), Some(callback));
        let once = move |number| {
            if let Some(callback) = callback.take() {
                report(site, || callback.call_once(TimerId::new(number)));
            }
        };
        start(delay.nanoseconds(), ONCE, Box::new(once))
    }

    /// The same as [`Timer::add`], under PHP's newer name.
    ///
    /// ```
    /// # use workerman::Timer;
    /// Timer::repeat(1, || println!("tick"));
    /// # Timer::del_all();
    /// ```
    #[track_caller]
    pub fn repeat<A, C: TimerCallback<A>>(interval: impl Interval, callback: C) -> TimerId {
        Self::add(interval, callback)
    }

    /// Ends a timer. Answers whether it was still to fire: false the second time, and for one that has fired once and
    /// was done. Its memory is free at once; a timer may end itself.
    ///
    /// ```
    /// # use workerman::Timer;
    /// let id = Timer::add(1, || {});
    /// assert!(Timer::del(id));
    /// assert!(!Timer::del(id));
    /// ```
    pub fn del(timer_id: TimerId) -> bool {
        Key::from_number(timer_id.number).is_some_and(|key| reactor::get().remove_timer(key))
    }

    /// Ends all timers of this thread, those of connections too.
    ///
    /// ```
    /// # use workerman::Timer;
    /// Timer::add(1, || {});
    /// Timer::del_all();
    /// ```
    #[doc(alias = "delAll")]
    pub fn del_all() {
        reactor::get().remove_all_timers();
    }
}

/// Names a timer: a number from 1 on, never used twice in a thread, shown by `Display`. It means nothing on another
/// thread, so it stays on its own.
///
/// ```
/// use workerman::{Timer, TimerId};
///
/// let id: TimerId = Timer::add(1, || {});
/// println!("timer {id}");
/// # Timer::del(id);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TimerId {
    number: u64,
    _stays: PhantomData<*const ()>,
}

impl TimerId {
    pub(crate) fn new(number: u64) -> Self {
        Self { number, _stays: PhantomData }
    }

    /// The id of no timer.
    pub(crate) fn none() -> Self {
        Self::new(0)
    }

    pub(crate) fn key(self) -> Option<Key> {
        Key::from_number(self.number)
    }
}

impl fmt::Display for TimerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.number.fmt(f)
    }
}

impl fmt::Debug for TimerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TimerId({})", self.number)
    }
}

impl CallbackResult for TimerId {
    fn into_result(self) -> Result<(), BoxError> {
        Ok(())
    }
}

/// A length of time: seconds as an integer or a float, or a [`Duration`].
///
/// ```
/// # use workerman::Timer;
/// Timer::add(2, || {});
/// Timer::add(0.25, || {});
/// Timer::add(std::time::Duration::from_millis(250), || {});
/// # Timer::del_all();
/// ```
pub trait Interval {
    /// In nanoseconds; what cannot be counted so is 0 or the longest there is.
    #[doc(hidden)]
    fn nanoseconds(self) -> u64;
}

impl Interval for Duration {
    fn nanoseconds(self) -> u64 {
        reactor::nanoseconds(self).min(LONGEST_INTERVAL)
    }
}

impl Interval for f64 {
    fn nanoseconds(self) -> u64 {
        if self.is_nan() || self < 0.0 {
            return negative(self);
        }
        Duration::try_from_secs_f64(self).unwrap_or(Duration::MAX).nanoseconds()
    }
}

impl Interval for f32 {
    fn nanoseconds(self) -> u64 {
        f64::from(self).nanoseconds()
    }
}

macro_rules! interval_of_seconds {
    ($($kind:ty),*) => {$(
        impl Interval for $kind {
            fn nanoseconds(self) -> u64 {
                u64::try_from(self).map_or_else(|_| negative(self), |seconds| Duration::from_secs(seconds).nanoseconds())
            }
        }
    )*};
}

interval_of_seconds!(i32, i64, u32, u64, usize);

#[cold]
fn negative(interval: impl fmt::Display) -> u64 {
    log::warn!("a timer's interval cannot be {interval}: 0 is taken instead");
    0
}

/// What a timer calls: a closure without arguments, or with its [`TimerId`].
///
/// ```
/// # use workerman::Timer;
/// Timer::add(1, || println!("tick"));
/// Timer::add(1, |timer_id| Timer::del(timer_id));
/// # Timer::del_all();
/// ```
#[diagnostic::on_unimplemented(message = "a timer calls `||` or `|timer_id|` closures", label = "not such a closure")]
pub trait TimerCallback<Arguments>: 'static {
    /// Calls the closure.
    #[doc(hidden)]
    fn call(&mut self, timer_id: TimerId) -> Result<(), BoxError>;
}

impl<F, R> TimerCallback<()> for F
where
    F: FnMut() -> R + 'static,
    R: CallbackResult,
{
    fn call(&mut self, _timer_id: TimerId) -> Result<(), BoxError> {
        self().into_result()
    }
}

impl<F, R> TimerCallback<(TimerId,)> for F
where
    F: FnMut(TimerId) -> R + 'static,
    R: CallbackResult,
{
    fn call(&mut self, timer_id: TimerId) -> Result<(), BoxError> {
        self(timer_id).into_result()
    }
}

/// What [`Timer::delay`] calls: as [`TimerCallback`], but once, so it may give away what it has captured.
///
/// ```
/// # use workerman::Timer;
/// let text = String::from("moved");
/// Timer::delay(1, move || drop(text));
/// # Timer::del_all();
/// ```
#[diagnostic::on_unimplemented(message = "a timer calls `||` or `|timer_id|` closures", label = "not such a closure")]
pub trait DelayCallback<Arguments>: 'static {
    /// Calls the closure.
    #[doc(hidden)]
    fn call_once(self, timer_id: TimerId) -> Result<(), BoxError>;
}

impl<F, R> DelayCallback<()> for F
where
    F: FnOnce() -> R + 'static,
    R: CallbackResult,
{
    fn call_once(self, _timer_id: TimerId) -> Result<(), BoxError> {
        self().into_result()
    }
}

impl<F, R> DelayCallback<(TimerId,)> for F
where
    F: FnOnce(TimerId) -> R + 'static,
    R: CallbackResult,
{
    fn call_once(self, timer_id: TimerId) -> Result<(), BoxError> {
        self(timer_id).into_result()
    }
}

fn boxed<A, C: TimerCallback<A>>(site: Site, mut callback: C) -> Boxed {
    Box::new(move |number| report(site, || callback.call(TimerId::new(number))))
}

/// A failing callback is logged, and its timer goes on: there is no connection to close.
fn report(site: Site, callback: impl FnOnce() -> Result<(), BoxError>) {
    let _ = callback::call(site, callback);
}

/// Hands a callback to the loop.
pub(crate) fn start(delay: u64, interval: u64, callback: Boxed) -> TimerId {
    let reactor = reactor::get();
    if reactor.is_stray() {
        log::warn!("a timer was added on a thread without an event loop while another thread runs one: it never fires");
    }
    match reactor.add_timer(delay, interval, callback) {
        Ok(key) => TimerId::new(key.number()),
        Err(error) => {
            log::error!("a timer was not added: {error}");
            TimerId::none()
        }
    }
}
