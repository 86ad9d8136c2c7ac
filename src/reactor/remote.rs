//! The door for other threads: closures that run on the loop.
//!
//! Invariants: the queue is bounded, and full is an error for the caller, never a wait; the loop is woken once for each
//! batch, by whoever finds the queue empty.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mio::Waker;

use crate::callback::Site;
use crate::error::BoxError;

/// The most closures that may wait for the loop.
const CAPACITY: usize = 4096;

/// A closure, and where it was given.
pub(crate) type Task = (Site, Box<dyn FnOnce() -> Result<(), BoxError> + Send>);

/// Why a closure was not accepted.
///
/// ```
/// use workerman::{LoopError, LoopHandle};
///
/// let handle = LoopHandle::current();
/// for _ in 0..4096 {
///     handle.run(|| {})?;
/// }
/// assert_eq!(handle.run(|| {}), Err(LoopError::Full));
/// # Ok::<(), LoopError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LoopError {
    /// 4,096 closures wait already: the loop is busy, or blocked by a callback.
    Full,
    /// The loop has ended.
    Stopped,
}

impl fmt::Display for LoopError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "the event loop has 4096 tasks waiting already",
            Self::Stopped => "the event loop has stopped",
        })
    }
}

impl std::error::Error for LoopError {}

/// What the loop and the handles to it share.
#[derive(Default)]
pub(crate) struct Remote {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    tasks: VecDeque<Task>,
    waker: Option<Arc<Waker>>,
    stopped: bool,
}

impl Remote {
    pub(crate) fn push(&self, task: Task) -> Result<(), LoopError> {
        self.push_below(CAPACITY, task)
    }

    /// The same for what the loop itself has asked for, and so has bounded.
    pub(crate) fn push_result(&self, task: Task) -> Result<(), LoopError> {
        self.push_below(usize::MAX, task)
    }

    fn push_below(&self, capacity: usize, task: Task) -> Result<(), LoopError> {
        let mut inner = self.lock();
        if inner.stopped {
            return Err(LoopError::Stopped);
        }
        if inner.tasks.len() >= capacity {
            return Err(LoopError::Full);
        }
        let first = inner.tasks.is_empty();
        inner.tasks.push_back(task);
        let waker = inner.waker.as_ref().filter(|_| first).map(Arc::clone);
        // The loop may be there before this thread goes on: it is not to find the queue locked.
        drop(inner);
        if let Some(waker) = waker {
            wake(&waker);
        }
        Ok(())
    }

    /// Takes the batch that waits.
    pub(crate) fn take(&self) -> VecDeque<Task> {
        std::mem::take(&mut self.lock().tasks)
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().tasks.len()
    }

    pub(crate) fn open(&self, waker: Waker) {
        let mut inner = self.lock();
        // What came before there was a waker waits for it.
        if !inner.tasks.is_empty() {
            wake(&waker);
        }
        inner.waker = Some(Arc::new(waker));
    }

    /// Refuses what comes from here on and hands out what was never run; dropping that is for the caller.
    #[must_use]
    pub(crate) fn stop(&self) -> VecDeque<Task> {
        let mut inner = self.lock();
        inner.stopped = true;
        inner.waker = None;
        std::mem::take(&mut inner.tasks)
    }

    /// Nothing in here panics while it holds the lock, so a poisoned one is as good.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wake(waker: &Waker) {
    if let Err(error) = waker.wake() {
        log::error!("the event loop cannot be woken: {error}");
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").field("waiting", &self.len()).finish()
    }
}

/// A remote of a loop that can be sent to other threads.
pub(crate) type SharedRemote = Arc<Remote>;
