//! A few threads that do what would block a loop, one job after another. There are two such pools: tasks that all wait for
//! something keep nobody from looking up a name, and servers of names that do not answer hold up no task.
//!
//! Invariants: a thread is started only for a job that finds none idle, and only up to the limit; a job that finds neither
//! waits, in a queue with a limit; who has been idle for a while ends, and so do those above a limit that was lowered, once
//! their job is done. Idle threads wait, and nothing wakes them but a job or a new limit. Whoever hears of a result finds the
//! thread that it came from free again.

use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// What a thread does: first the work, then, when it counts as free again, what tells of the result.
pub(super) trait Job: Send {
    fn work(&mut self);
    fn tell(self: Box<Self>);
}

/// libuv's number.
const THREADS: usize = 4;
const QUEUE: usize = 1024;
/// So long a thread without a job stays.
const IDLE: Duration = Duration::from_secs(10);

/// For what apps have to do.
pub(super) static TASKS: Pool = Pool::new("task");
/// For looking up names.
pub(super) static NAMES: Pool = Pool::new("names");

/// Why a task was not accepted. Neither of its closures is called.
///
/// ```
/// use workerman::{Task, TaskError};
///
/// match Task::run(|| 6 * 7, |answer| println!("{answer:?}")) {
///     Ok(()) => {}
///     Err(TaskError::Full) => println!("try again later"),
///     Err(error) => println!("{error}"),
/// }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum TaskError {
    /// All threads are busy, and so many tasks wait as may: see [`Task::set_queue_limit`](crate::Task::set_queue_limit).
    Full,
    /// There is no thread, and the system starts none.
    NoThread(std::io::Error),
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("all threads are busy, and as many tasks wait as may"),
            Self::NoThread(error) => write!(f, "no thread can be started: {error}"),
        }
    }
}

impl std::error::Error for TaskError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Full => None,
            Self::NoThread(error) => Some(error),
        }
    }
}

pub(super) struct Pool {
    /// What its threads are called.
    name: &'static str,
    state: Mutex<State>,
    job: Condvar,
}

struct State {
    queue: VecDeque<Box<dyn Job>>,
    threads: usize,
    /// Threads that wait for a job, or are about to, or have just been woken or started for one.
    idle: usize,
    /// Those of them that have to be woken.
    asleep: usize,
    limit: usize,
    queue_limit: usize,
}

impl Pool {
    const fn new(name: &'static str) -> Self {
        let queue = VecDeque::new();
        let state = State { queue, threads: 0, idle: 0, asleep: 0, limit: THREADS, queue_limit: QUEUE };
        Self { name, state: Mutex::new(state), job: Condvar::new() }
    }

    pub(super) fn set_threads(&self, count: usize) {
        self.state().limit = count.max(1);
        // Those that are too many now end.
        self.job.notify_all();
    }

    pub(super) fn set_queue_limit(&self, tasks: usize) {
        self.state().queue_limit = tasks;
    }

    /// Has a thread do a job.
    pub(super) fn push(&'static self, job: Box<dyn Job>) -> Result<(), TaskError> {
        let mut state = self.state();
        let free = state.free();
        let waiting = state.queue.len().saturating_sub(free);
        if state.queue.len() < free {
            state.queue.push_back(job);
            let is_asleep = state.asleep > 0;
            drop(state);
            if is_asleep {
                self.job.notify_one();
            }
            return Ok(());
        }
        if state.threads < state.limit {
            match thread::Builder::new().name(self.name.to_owned()).spawn(|| self.work()) {
                Ok(_) => {
                    state.threads += 1;
                    state.idle += 1;
                    state.queue.push_back(job);
                    return Ok(());
                }
                Err(error) if state.threads == 0 => return Err(TaskError::NoThread(error)),
                Err(error) => log::warn!("{} threads called {:?} have to do: {error}", state.threads, self.name),
            }
        }
        if waiting >= state.queue_limit {
            return Err(TaskError::Full);
        }
        state.queue.push_back(job);
        Ok(())
    }

    fn work(&'static self) {
        let mut state = self.state();
        state.idle -= 1;
        while state.threads <= state.limit {
            if let Some(job) = state.queue.pop_front() {
                drop(state);
                state = self.run(job);
                continue;
            }
            state.idle += 1;
            state.asleep += 1;
            let is_idle = |state: &mut State| state.queue.is_empty() && state.threads <= state.limit;
            let waited = self.job.wait_timeout_while(state, IDLE, is_idle);
            let (woken, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            state = woken;
            state.asleep -= 1;
            state.idle -= 1;
            if timeout.timed_out() {
                break;
            }
        }
        state.threads -= 1;
        if !state.queue.is_empty() {
            // It may be the one that was woken for this job.
            self.job.notify_one();
        }
    }

    /// A result that nobody takes any more is dropped here, which is user code: a panic of that is worth less than the thread.
    fn run(&self, mut job: Box<dyn Job>) -> MutexGuard<'_, State> {
        job.work();
        self.state().idle += 1;
        if let Err(panicked) = catch_unwind(AssertUnwindSafe(|| job.tell())) {
            std::mem::forget(panicked);
        }
        let mut state = self.state();
        state.idle -= 1;
        state
    }

    /// No job runs under the lock, so what a panic has left is whole.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Idle threads that will take a job: above a limit that was lowered they end.
    fn free(&self) -> usize {
        self.idle.saturating_sub(self.threads.saturating_sub(self.limit))
    }
}
