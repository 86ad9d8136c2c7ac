//! A task: work for another thread, and what the loop does with its result.
//!
//! What is to be done on the loop stays there, in a table, since it may hold what no other thread may have. The work takes its
//! key along and comes back with it and the result.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::pool::{self, Job as _, Pool, TaskError};
use crate::callback::{self, CallbackResult, Site};
use crate::error::BoxError;
use crate::reactor::{self, Key, SharedRemote, Table};
use crate::shared::{Leaked, Shared};

/// Takes the result, which is of the type that its task has.
type Done = Box<dyn FnOnce(Box<dyn Any + Send>) -> Result<(), BoxError>>;

thread_local! {
    static WAITING: Leaked<Shared<Table<Done>>> = const { Leaked::new() };
}

/// Work that would block the loop, on one of a few threads that are kept for that: a query, a file, a calculation.
///
/// ```standalone_crate
/// use workerman::{Http, Task, Worker};
///
/// let worker = Worker::<Http>::new("http://127.0.0.1:0");
/// worker.on_message(|connection, _request| -> workerman::Result<()> {
///     Task::run(
///         || (1..=1_000_000_u64).sum::<u64>(), // on another thread
///         move |sum| match sum {
///             Ok(sum) => connection.send(sum.to_string()), // on the loop
///             Err(panicked) => connection.send(panicked.to_string()),
///         },
///     )?;
///     Ok(())
/// });
/// # Worker::stop_all();
/// Worker::run_all()?;
/// # workerman::Result::<()>::Ok(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Task;

impl Task {
    /// Has `work` done on another thread, then calls `done` with its result on this thread's loop. What `done` captures never
    /// leaves this thread: connections, timers, anything. It is called even if its connection has gone meanwhile; sending
    /// then answers [`SendStatus::Closed`](crate::SendStatus::Closed). A panic of the work costs nothing but its result. When
    /// the loop ends first, `done` is dropped.
    ///
    /// # Errors
    ///
    /// [`TaskError::Full`] when all threads are busy and so many tasks wait as may; both closures are dropped then.
    ///
    /// ```
    /// # use workerman::Task;
    /// Task::run(|| std::fs::read_to_string("/etc/hostname"), |name| println!("{name:?}"))?;
    /// # Ok::<(), workerman::TaskError>(())
    /// ```
    #[track_caller]
    pub fn run<T, R>(
        work: impl FnOnce() -> T + Send + 'static,
        done: impl FnOnce(Result<T, Panicked>) -> R + 'static,
    ) -> Result<(), TaskError>
    where
        T: Send + 'static,
        R: CallbackResult,
    {
        begin(&pool::TASKS, Site::here("a task"), work, done)
    }

    /// Sets how many threads there are at most, for all loops of the process: 4 unless set, and at least one. They are started
    /// when there is work for them, and end when there has been none for 10 s, or when they are too many for a lower limit and
    /// have done their job.
    ///
    /// ```
    /// # use workerman::Task;
    /// Task::set_threads(16);
    /// ```
    pub fn set_threads(count: usize) {
        pool::TASKS.set_threads(count);
    }

    /// Sets how many tasks may wait for a thread, for all loops of the process: 1,024 unless set.
    ///
    /// ```
    /// # use workerman::Task;
    /// Task::set_queue_limit(100);
    /// ```
    pub fn set_queue_limit(tasks: usize) {
        pool::TASKS.set_queue_limit(tasks);
    }
}

/// Does as [`Task::run`] does, on threads of its own: names are found while all tasks wait for something.
#[track_caller]
pub(crate) fn look_up<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
    done: impl FnOnce(Result<T, Panicked>) + 'static,
) -> Result<(), TaskError> {
    begin(&pool::NAMES, Site::here("a name"), work, done)
}

fn begin<T, R>(
    pool: &'static Pool,
    site: Site,
    work: impl FnOnce() -> T + Send + 'static,
    done: impl FnOnce(Result<T, Panicked>) -> R + 'static,
) -> Result<(), TaskError>
where
    T: Send + 'static,
    R: CallbackResult,
{
    if reactor::get().is_stray() {
        log::warn!("a task was given on a thread without an event loop while another thread runs one");
    }
    let remote = reactor::get().remote();
    let take = move |result: Box<dyn Any + Send>| match result.downcast::<Result<T, Panicked>>() {
        Ok(result) => done(*result).into_result(),
        Err(_) => Ok(()),
    };
    let Ok(key) = WAITING.with(Leaked::get).with(|waiting| waiting.insert(Box::new(take) as Done)) else {
        return Err(TaskError::Full);
    };
    let mut job = Box::new(Job { stage: Stage::Work(work), key, site, remote });
    if reactor::get().clock.is_manual() {
        // In virtual time the work takes none.
        job.work();
        job.tell();
        return Ok(());
    }
    pool.push(job).inspect_err(|_| {
        let unused = WAITING.with(Leaked::get).with(|waiting| waiting.remove(key));
        callback::discard(unused);
    })
}

/// A task on its way to a thread and back.
struct Job<W, T> {
    stage: Stage<W, T>,
    key: Key,
    site: Site,
    remote: SharedRemote,
}

enum Stage<W, T> {
    Work(W),
    Working,
    Done(Result<T, Panicked>),
}

impl<W: FnOnce() -> T + Send, T: Send + 'static> pool::Job for Job<W, T> {
    fn work(&mut self) {
        if let Stage::Work(work) = std::mem::replace(&mut self.stage, Stage::Working) {
            self.stage = Stage::Done(catch_unwind(AssertUnwindSafe(work)).map_err(Panicked::new));
        }
    }

    fn tell(self: Box<Self>) {
        let Self { stage: Stage::Done(result), key, site, remote } = *self else { return };
        // If the loop has ended, nobody waits for it.
        let _ = remote.push_result((site, Box::new(move || finish(key, Box::new(result)))));
    }
}

/// The work of a task has panicked, with this text.
///
/// ```
/// # use workerman::Task;
/// Task::run(|| [1, 2, 3].iter().sum::<i32>(), |sum| {
///     if let Err(panicked) = sum {
///         eprintln!("no sum: {panicked}");
///     }
/// })?;
/// # Ok::<(), workerman::TaskError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Panicked(String);

impl Panicked {
    /// What the panic was raised with is a user's value: dropping it may panic again, which is worth less than the thread.
    fn new(payload: Box<dyn Any + Send>) -> Self {
        let text = callback::panic_text(&*payload);
        if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            std::mem::forget(second);
        }
        Self(text)
    }
}

impl fmt::Display for Panicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the task panicked: {}", self.0)
    }
}

impl std::error::Error for Panicked {}

/// On the loop: what is to be done with the result.
fn finish(key: Key, result: Box<dyn Any + Send>) -> Result<(), BoxError> {
    let done = WAITING.with(Leaked::get).with(|waiting| waiting.remove(key));
    done.map_or(Ok(()), |done| done(result))
}

/// The loop ends: what waited for results is dropped, which is user code.
pub(crate) fn clear() {
    callback::discard_all(WAITING.with(Leaked::get).with(Table::clear));
}
