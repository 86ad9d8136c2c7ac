//! Datagrams to one server: PHP's `AsyncUdpConnection`.

mod callbacks;
mod life;

use std::fmt;
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::rc::Rc;

use crate::connection::{SendStatus, Status};
use crate::handle::handle;
use crate::protocols::Encode;
use crate::protocols::datagram::Datagram;
use crate::reactor::{self, Key};
use crate::udp;

use callbacks::Handlers;

pub(super) use life::clear;

/// A client that sends datagrams to a server and hears those that it answers with, by a handle that is copied freely: PHP's
/// `AsyncUdpConnection`.
///
/// It stays until it is [closed](Self::close); a server that is gone closes nothing. What anybody else sends to its port does
/// not reach it.
///
/// ```
/// use workerman::{AsyncUdpConnection, Tcp, Worker};
///
/// let worker = Worker::<Tcp>::new("");
/// worker.on_worker_start(|_| {
///     let client = AsyncUdpConnection::<Tcp>::new("udp://127.0.0.1:9090");
///     client.on_message(|client, bytes| {
///         println!("{}", String::from_utf8_lossy(&bytes));
///         client.close();
///     });
///     client.send("hello");
/// });
/// ```
pub struct AsyncUdpConnection<P> {
    key: Key,
    protocol: PhantomData<*const P>,
}

impl<P: Datagram> AsyncUdpConnection<P> {
    /// A client of the server at this address: `udp://host:port`, or `host:port`, whatever the protocol. What is wrong with it
    /// is told by `on_error`, once it is to connect.
    ///
    /// ```
    /// # use workerman::{AsyncUdpConnection, Tcp, Text};
    /// let bytes = AsyncUdpConnection::<Tcp>::new("udp://example.com:53");
    /// let lines = AsyncUdpConnection::<Text>::new("udp://[::1]:9001");
    /// ```
    #[doc(alias = "__construct")]
    pub fn new(address: &str) -> Self {
        if reactor::get().is_stray() {
            log::warn!("a client was made on a thread without an event loop while another thread runs one");
        }
        Self { key: life::insert(address, Rc::new(Handlers::<P>::default())), protocol: PhantomData }
    }

    /// Looks the name up, on another thread, and opens a socket; the first [`send`](Self::send) does so too. Comes back at
    /// once; `on_connect` or `on_error` tells what has come of it.
    ///
    /// ```
    /// # use workerman::{AsyncUdpConnection, Tcp};
    /// # let client = AsyncUdpConnection::<Tcp>::new("udp://127.0.0.1:9090");
    /// client.connect();
    /// ```
    pub fn connect(self) {
        life::connect(self.key);
    }

    /// Sends a message, which is one datagram, however long. It waits for the socket, and for room in the system's buffer, up to
    /// [1 MiB](crate::TcpConnection::set_default_max_send_buffer_size). What cannot be sent is dropped, and `on_error` called.
    ///
    /// ```
    /// # use workerman::{AsyncUdpConnection, Text};
    /// # let client = AsyncUdpConnection::<Text>::new("udp://127.0.0.1:9090");
    /// client.send("a line");
    /// ```
    pub fn send<M>(self, message: M) -> SendStatus
    where
        P: Encode<M>,
    {
        if !self.takes_more() {
            return SendStatus::Closed;
        }
        self.connect();
        udp::encode::<P, M, _>(message, |encoded| match encoded {
            Ok(None) => SendStatus::Sent,
            Ok(Some(bytes)) => life::send(self.key, bytes),
            Err(refusal) => life::refuse(self.key, refusal),
        })
    }

    /// Sends bytes as they are, as one datagram: PHP's `send($bytes, true)`. None at all are a datagram too.
    ///
    /// ```
    /// # use workerman::{AsyncUdpConnection, Text};
    /// # let client = AsyncUdpConnection::<Text>::new("udp://127.0.0.1:9090");
    /// client.send_raw(b"no line");
    /// ```
    #[doc(alias = "send")]
    pub fn send_raw(self, bytes: impl AsRef<[u8]>) -> SendStatus {
        // User code: before anything is borrowed.
        let bytes = bytes.as_ref();
        if !self.takes_more() {
            return SendStatus::Closed;
        }
        self.connect();
        life::send(self.key, bytes)
    }

    /// Closes, once what was sent has left; then `on_close` is called, and the client forgotten. Nothing is received from here
    /// on.
    ///
    /// ```
    /// # use workerman::{AsyncUdpConnection, Tcp};
    /// # let client = AsyncUdpConnection::<Tcp>::new("udp://127.0.0.1:9090");
    /// client.send("and nothing more");
    /// client.close();
    /// ```
    pub fn close(self) {
        life::close(self.key);
    }

    /// Sends a last message and closes: PHP's `close($data)`.
    ///
    /// ```
    /// # use workerman::{AsyncUdpConnection, Tcp};
    /// # let client = AsyncUdpConnection::<Tcp>::new("udp://127.0.0.1:9090");
    /// client.close_with("bye");
    /// ```
    #[doc(alias = "close")]
    pub fn close_with<M>(self, message: M)
    where
        P: Encode<M>,
    {
        self.send(message);
        self.close();
    }

    /// Where it stands; [`Status::Closed`] once it is forgotten.
    ///
    /// ```
    /// # use workerman::{AsyncUdpConnection, Status, Tcp};
    /// assert_eq!(AsyncUdpConnection::<Tcp>::new("udp://127.0.0.1:9090").status(), Status::Initial);
    /// ```
    pub fn status(self) -> Status {
        life::status(self.key)
    }

    /// The server's address, while there is a socket.
    ///
    /// ```
    /// # use workerman::{AsyncUdpConnection, Tcp};
    /// # let client = AsyncUdpConnection::<Tcp>::new("udp://127.0.0.1:9090");
    /// client.on_connect(|client| println!("{:?}", client.remote_addr()));
    /// ```
    #[doc(alias = "getRemoteAddress")]
    #[doc(alias = "getRemoteIp")]
    #[doc(alias = "getRemotePort")]
    pub fn remote_addr(self) -> Option<SocketAddr> {
        Some(life::addresses(self.key)?.0)
    }

    /// The address of the socket, while there is one.
    ///
    /// ```
    /// # use workerman::{AsyncUdpConnection, Tcp};
    /// # let client = AsyncUdpConnection::<Tcp>::new("udp://127.0.0.1:9090");
    /// client.on_connect(|client| println!("{:?}", client.local_addr()));
    /// ```
    #[doc(alias = "getLocalAddress")]
    #[doc(alias = "getLocalIp")]
    #[doc(alias = "getLocalPort")]
    pub fn local_addr(self) -> Option<SocketAddr> {
        Some(life::addresses(self.key)?.1)
    }

    fn takes_more(self) -> bool {
        !matches!(self.status(), Status::Closing | Status::Closed)
    }
}

handle!(AsyncUdpConnection);

impl<P> fmt::Debug for AsyncUdpConnection<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AsyncUdpConnection({})", self.key.number())
    }
}
