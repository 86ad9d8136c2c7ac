//! What a client has for itself, or passes on to its connection: pipes, data, limits.

use super::AsyncTcpConnection;
use super::registry::with;
use crate::connection::{Destination, Pending, SendStatus, TcpConnection};
use crate::data::{self, Bag, Holder};
use crate::protocols::{Codec, Encode};
use crate::reactor::Key;

/// # To another connection
impl<P: Codec> AsyncTcpConnection<P> {
    /// Sends each message of this client's connection on to another, as [`TcpConnection::pipe`] does; of the connection that
    /// stands, or of the next one. When nothing comes of that, the other closes.
    ///
    /// ```
    /// use workerman::{AsyncTcpConnection, Tcp, Worker};
    ///
    /// let worker = Worker::<Tcp>::new("tcp://127.0.0.1:8080");
    /// worker.on_connect(|connection| {
    ///     let server = AsyncTcpConnection::<Tcp>::new("tcp://127.0.0.1:80");
    ///     connection.pipe(server);
    ///     server.pipe(connection);
    ///     server.connect();
    /// });
    /// ```
    #[track_caller]
    pub fn pipe<D>(self, to: D)
    where
        D: Destination,
        D::Protocol: Encode<P::Message>,
    {
        match self.current() {
            Some(connection) => connection.pipe(to),
            None => {
                let to = Pending::new(to);
                self.queue(move |connection| {
                    if let Some(to) = to.take() {
                        connection.pipe(to);
                    }
                });
            }
        }
    }
}

impl<P: Codec> Destination for AsyncTcpConnection<P> {
    type Protocol = P;

    fn at_once(self) -> Option<TcpConnection<P>> {
        self.current()
    }

    fn in_time(self, then: impl FnOnce(TcpConnection<P>) + 'static) {
        self.queue(then);
    }

    fn part(self) {
        self.close();
    }
}

/// # As of a connection
///
/// What is not here is had of the [connection](Self::connection), while that stands.
impl<P: Codec> AsyncTcpConnection<P> {
    /// Sends bytes as they are, as [`TcpConnection::send_raw`]; or has them wait, as [`send`](Self::send).
    ///
    /// ```
    /// # use workerman::{AsyncTcpConnection, Text};
    /// # let upstream = AsyncTcpConnection::<Text>::new("text://127.0.0.1:1234");
    /// upstream.send_raw("half of a line, ");
    /// ```
    #[doc(alias = "send")]
    pub fn send_raw(self, bytes: impl AsRef<[u8]>) -> SendStatus {
        match self.current() {
            Some(connection) => connection.send_raw(bytes),
            None => {
                let bytes: Box<[u8]> = bytes.as_ref().into();
                self.queue(move |connection| connection.send_raw(bytes))
            }
        }
    }

    /// Sends a last message and [closes](Self::close). What does not stand yet closes without, as in PHP.
    ///
    /// ```
    /// # use workerman::{AsyncTcpConnection, Text};
    /// # let upstream = AsyncTcpConnection::<Text>::new("text://127.0.0.1:1234");
    /// upstream.close_with("bye");
    /// ```
    #[doc(alias = "close")]
    pub fn close_with<M>(self, message: M)
    where
        P: Encode<M>,
    {
        self.end(|connection| connection.close_with(message));
    }

    /// Delivers no messages of the connection that stands: see [`TcpConnection::pause_recv`].
    ///
    /// ```
    /// # use workerman::{AsyncTcpConnection, Tcp, TcpConnection};
    /// # fn example(browser: TcpConnection<Tcp>, upstream: AsyncTcpConnection<Tcp>) {
    /// browser.on_buffer_full(move |_| upstream.pause_recv());
    /// # }
    /// ```
    #[doc(alias = "pauseRecv")]
    pub fn pause_recv(self) {
        if let Some(connection) = self.connection() {
            connection.pause_recv();
        }
    }

    /// Delivers messages again: see [`TcpConnection::resume_recv`].
    ///
    /// ```
    /// # use workerman::{AsyncTcpConnection, Tcp, TcpConnection};
    /// # fn example(browser: TcpConnection<Tcp>, upstream: AsyncTcpConnection<Tcp>) {
    /// browser.on_buffer_drain(move |_| upstream.resume_recv());
    /// # }
    /// ```
    #[doc(alias = "resumeRecv")]
    pub fn resume_recv(self) {
        if let Some(connection) = self.connection() {
            connection.resume_recv();
        }
    }

    /// Sets [how much may wait](TcpConnection::set_max_send_buffer_size) to be sent, in bytes, on this connection and on those
    /// after it.
    ///
    /// ```
    /// # use workerman::{AsyncTcpConnection, Tcp};
    /// # let upstream = AsyncTcpConnection::<Tcp>::new("tcp://127.0.0.1:1");
    /// upstream.set_max_send_buffer_size(64 * 1024);
    /// ```
    #[doc(alias = "maxSendBufferSize")]
    pub fn set_max_send_buffer_size(self, bytes: usize) {
        with(self.key, |entry| entry.extra().max_send_buffer_size = Some(bytes));
        if let Some(connection) = self.connection() {
            connection.set_max_send_buffer_size(bytes);
        }
    }

    /// Sets [how long a message may be](TcpConnection::set_max_package_size), in bytes, on this connection and on those after
    /// it.
    ///
    /// ```
    /// # use workerman::{AsyncTcpConnection, Tcp};
    /// # let upstream = AsyncTcpConnection::<Tcp>::new("tcp://127.0.0.1:1");
    /// upstream.set_max_package_size(64 * 1024);
    /// ```
    #[doc(alias = "maxPackageSize")]
    pub fn set_max_package_size(self, bytes: usize) {
        with(self.key, |entry| entry.extra().max_package_size = Some(bytes));
        if let Some(connection) = self.connection() {
            connection.set_max_package_size(bytes);
        }
    }
}

/// # Data of its own
///
/// They stay when the client connects anew; those of its [connection](Self::connection) do not.
impl<P: Codec> AsyncTcpConnection<P> {
    /// Keeps a value with the client, one of each type: see [`TcpConnection::set`]. It is dropped when the client is forgotten.
    ///
    /// ```
    /// # use workerman::{AsyncTcpConnection, Tcp};
    /// # let upstream = AsyncTcpConnection::<Tcp>::new("tcp://127.0.0.1:1");
    /// struct Attempts(u32);
    ///
    /// upstream.set(Attempts(0));
    /// upstream.on_close(|upstream| {
    ///     upstream.with(|attempts: &mut Attempts| attempts.0 += 1);
    ///     upstream.reconnect(1);
    /// });
    /// ```
    pub fn set<T: 'static>(self, value: T) {
        data::set(ClientData(self.key), value);
    }

    /// A copy of the value of this type.
    ///
    /// ```
    /// # use workerman::{AsyncTcpConnection, Tcp};
    /// let upstream = AsyncTcpConnection::<Tcp>::new("tcp://127.0.0.1:1");
    /// upstream.set(5_u32);
    /// assert_eq!(upstream.get(), Some(5_u32));
    /// ```
    pub fn get<T: Clone + 'static>(self) -> Option<T> {
        data::get(ClientData(self.key))
    }

    /// Lends the value of this type to a closure; `None` if there is none, or while another `with` has it.
    ///
    /// ```
    /// # use workerman::{AsyncTcpConnection, Tcp};
    /// let upstream = AsyncTcpConnection::<Tcp>::new("tcp://127.0.0.1:1");
    /// upstream.set(5_u32);
    /// upstream.with(|number: &mut u32| *number += 1);
    /// assert_eq!(upstream.get(), Some(6_u32));
    /// ```
    pub fn with<T: 'static, R>(self, f: impl FnOnce(&mut T) -> R) -> Option<R> {
        data::with(ClientData(self.key), f)
    }

    /// Removes the value of this type and gives it back; `None` if there is none, or while a `with` has it.
    ///
    /// ```
    /// # use workerman::{AsyncTcpConnection, Tcp};
    /// let upstream = AsyncTcpConnection::<Tcp>::new("tcp://127.0.0.1:1");
    /// upstream.set(5_u32);
    /// assert_eq!((upstream.take(), upstream.get()), (Some(5_u32), None::<u32>));
    /// ```
    #[doc(alias = "unset")]
    pub fn take<T: 'static>(self) -> Option<T> {
        data::take(ClientData(self.key))
    }
}

/// A client, as whoever has data.
#[derive(Clone, Copy)]
struct ClientData(Key);

impl Holder for ClientData {
    fn bag<R>(self, f: impl FnOnce(&mut Bag) -> R) -> Option<R> {
        with(self.0, |entry| f(&mut entry.extra().data))
    }
}
