//! A connection as other threads have it.

use std::fmt;
use std::marker::PhantomData;

use super::{Status, TcpConnection, id, lifecycle};
use crate::callback::{self, CallbackResult, Site};
use crate::protocols::{Codec, Encode};
use crate::reactor::{Key, LoopError};
use crate::task::LoopHandle;

/// A handle to a connection for other threads: what it is asked for happens on the connection's loop. It may be cloned and
/// sent; see [`TcpConnection::remote`].
pub struct RemoteConnection<P> {
    key: Key,
    ticket: u32,
    handle: LoopHandle,
    /// Neither the protocol nor the connection is touched from here.
    protocol: PhantomData<fn() -> P>,
}

/// # Other threads
impl<P: Codec> TcpConnection<P> {
    /// A handle to this connection for other threads. As this one, it remembers the request that it came with.
    ///
    /// ```
    /// use workerman::{Http, Worker};
    ///
    /// let worker = Worker::<Http>::new("http://127.0.0.1:0");
    /// worker.on_message(|connection, _request| {
    ///     let remote = connection.remote();
    ///     std::thread::spawn(move || remote.send("computed elsewhere"));
    /// });
    /// ```
    pub fn remote(self) -> RemoteConnection<P> {
        RemoteConnection { key: self.key, ticket: self.ticket, handle: LoopHandle::current(), protocol: PhantomData }
    }
}

impl<P: Codec> RemoteConnection<P> {
    /// The connection's [`id`](TcpConnection::id).
    ///
    /// ```
    /// # use workerman::{Http, TcpConnection};
    /// # fn example(connection: TcpConnection<Http>) {
    /// assert_eq!(connection.remote().id(), connection.id());
    /// # }
    /// ```
    #[must_use]
    pub fn id(&self) -> u64 {
        id::of(self.key)
    }

    /// Sends a message, in the loop's next turn. If the connection has gone by then, the message is dropped.
    ///
    /// # Errors
    ///
    /// [`LoopError::Full`] when 4,096 closures wait for the loop already, [`LoopError::Stopped`] after it has ended. The
    /// message is dropped then.
    ///
    /// ```
    /// # use workerman::{Http, TcpConnection};
    /// # fn example(connection: TcpConnection<Http>) {
    /// let remote = connection.remote();
    /// std::thread::spawn(move || remote.send("computed elsewhere"));
    /// # }
    /// ```
    #[track_caller]
    pub fn send<M: Send + 'static>(&self, message: M) -> Result<(), LoopError>
    where
        P: Encode<M>,
    {
        self.run(move |connection| connection.send(message))
    }

    /// Calls a closure with the connection on its loop, in the next turn; not at all if the connection has gone by then. One
    /// that fails closes the connection.
    ///
    /// # Errors
    ///
    /// Those of [`send`](Self::send).
    ///
    /// ```
    /// # use workerman::{Http, TcpConnection};
    /// # fn example(connection: TcpConnection<Http>) {
    /// let remote = connection.remote();
    /// std::thread::spawn(move || remote.run(|connection| connection.close()));
    /// # }
    /// ```
    #[track_caller]
    pub fn run<R: CallbackResult>(
        &self,
        task: impl FnOnce(TcpConnection<P>) -> R + Send + 'static,
    ) -> Result<(), LoopError> {
        let (key, ticket) = (self.key, self.ticket);
        let site = Site::here("a task of another thread");
        self.handle.run(move || {
            let connection = TcpConnection { key, ticket, protocol: PhantomData };
            let is_there = connection.status() != Status::Closed;
            if is_there && callback::call(site, || task(connection).into_result()).is_err() {
                lifecycle::fail(key);
            }
        })
    }
}

impl<P> Clone for RemoteConnection<P> {
    fn clone(&self) -> Self {
        Self { key: self.key, ticket: self.ticket, handle: self.handle.clone(), protocol: PhantomData }
    }
}

impl<P> fmt::Debug for RemoteConnection<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RemoteConnection({})", id::of(self.key))
    }
}
