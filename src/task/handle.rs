//! Work for the loop from other threads.

use crate::callback::{CallbackResult, Site};
use crate::reactor::{self, LoopError, SharedRemote};

/// A handle to the event loop of the thread that asked for it. It may be cloned and sent to other threads, and is the
/// only thing of this crate that calls back across them.
///
/// ```standalone_crate
/// use workerman::{LoopHandle, Worker};
///
/// let handle = LoopHandle::current();
/// std::thread::spawn(move || {
///     let sum: u64 = (1..=1_000_000).sum(); // work that would block the loop
///     let _ = handle.run(move || {
///         println!("{sum}"); // on the loop: connections, timers and workers are at hand
///         Worker::stop_all();
///     });
/// });
/// Worker::run_all()?;
/// # workerman::Result::<()>::Ok(())
/// ```
#[derive(Clone, Debug)]
pub struct LoopHandle(SharedRemote);

impl LoopHandle {
    /// The loop of this thread, running or not yet.
    ///
    /// ```
    /// let handle = workerman::LoopHandle::current();
    /// std::thread::spawn(move || handle.run(|| println!("on the loop")));
    /// ```
    pub fn current() -> Self {
        Self(reactor::get().remote())
    }

    /// Runs a closure on the loop, in its next turn. Connections are found there by their id:
    /// [`TcpConnection::find`](crate::TcpConnection::find).
    ///
    /// # Errors
    ///
    /// [`LoopError::Full`] when 4,096 closures wait already, [`LoopError::Stopped`] after the loop has ended. The
    /// closure is dropped then.
    ///
    /// ```
    /// use workerman::{Http, LoopHandle, TcpConnection, Worker};
    ///
    /// let worker = Worker::<Http>::new("http://127.0.0.1:0");
    /// worker.on_message(|connection, _request| {
    ///     let (id, handle) = (connection.id(), LoopHandle::current());
    ///     std::thread::spawn(move || {
    ///         let answer = "computed elsewhere";
    ///         handle.run(move || {
    ///             if let Some(connection) = TcpConnection::<Http>::find(id) {
    ///                 connection.send(answer);
    ///             }
    ///         })
    ///     });
    /// });
    /// ```
    #[track_caller]
    pub fn run<R: CallbackResult>(&self, task: impl FnOnce() -> R + Send + 'static) -> Result<(), LoopError> {
        self.0.push((Site::here("a task of another thread"), Box::new(move || task().into_result())))
    }
}
