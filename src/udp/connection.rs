//! The handle of a peer.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::net::SocketAddr;

use super::registry::with_socket;
use super::send;
use crate::connection::SendStatus;
use crate::protocols::Encode;
use crate::protocols::datagram::Datagram;
use crate::reactor::Key;

/// A peer that has sent a datagram, by a handle that is copied freely: into closures, timers, maps.
///
/// UDP has no connections. The handle is the worker and the peer's address, so it can be answered through at any time, for as
/// long as the worker listens; whether anybody hears it, nobody knows. There is no `on_connect` and no `on_close`.
///
/// ```
/// use workerman::{Tcp, Timer, UdpWorker};
///
/// let worker = UdpWorker::<Tcp>::new("udp://127.0.0.1:0");
/// worker.on_message(|connection, bytes| {
///     connection.send(bytes);
///     Timer::delay(1, move || connection.send("still there?"));
/// });
/// ```
pub struct UdpConnection<P> {
    worker: Key,
    peer: SocketAddr,
    protocol: PhantomData<*const P>,
}

/// # Sending
impl<P: Datagram> UdpConnection<P> {
    /// Sends a message, which is one datagram, however long. It leaves at once. Should the system have no room, it waits, up
    /// to [`set_max_send_buffer_size`](super::UdpWorker::set_max_send_buffer_size) for all peers of the worker together.
    ///
    /// What cannot be sent (a message that no datagram can hold, 65,507 bytes over IPv4; a network that cannot be reached)
    /// is dropped, and `on_error` is called with [`SEND_FAIL`](crate::SEND_FAIL); what a protocol of your own fails to encode
    /// likewise, with [`PROTOCOL_FAIL`](crate::PROTOCOL_FAIL). That the peer is not there is no such case: nobody knows.
    ///
    /// ```
    /// # use workerman::{Text, UdpWorker};
    /// # let worker = UdpWorker::<Text>::new("");
    /// worker.on_message(|connection, line| connection.send(format!("you said {line}")));
    /// ```
    pub fn send<M>(self, message: M) -> SendStatus
    where
        P: Encode<M>,
    {
        send::message::<P, M>(self.worker, self.peer, message)
    }

    /// Sends bytes as they are, as one datagram: PHP's `send($bytes, true)`. None at all are a datagram too.
    ///
    /// ```
    /// # use workerman::{Text, UdpWorker};
    /// # let worker = UdpWorker::<Text>::new("");
    /// worker.on_message(|connection, _line| connection.send_raw(b"no line"));
    /// ```
    #[doc(alias = "send")]
    pub fn send_raw(self, bytes: impl AsRef<[u8]>) -> SendStatus {
        // User code: before anything is borrowed.
        let bytes = bytes.as_ref();
        send::datagram(self.worker, self.peer, bytes)
    }

    /// Does nothing: there is no connection to close, and the socket is the worker's, which goes on listening. (In PHP it
    /// closes that socket, for all.) So programs that close what they have answered can be ported as they are.
    ///
    /// ```
    /// # use workerman::{Tcp, UdpWorker};
    /// # let worker = UdpWorker::<Tcp>::new("");
    /// worker.on_message(|connection, _bytes| {
    ///     connection.send("bye");
    ///     connection.close();
    /// });
    /// ```
    pub fn close(self) {}

    /// Sends a last message: PHP's `close($data)`. The worker goes on listening.
    ///
    /// ```
    /// # use workerman::{Tcp, UdpWorker};
    /// # let worker = UdpWorker::<Tcp>::new("");
    /// worker.on_message(|connection, _bytes| connection.close_with("bye"));
    /// ```
    #[doc(alias = "close")]
    pub fn close_with<M>(self, message: M)
    where
        P: Encode<M>,
    {
        self.send(message);
    }
}

/// # Who and where
impl<P: Datagram> UdpConnection<P> {
    /// The peer's address.
    ///
    /// ```
    /// # use workerman::{Tcp, UdpWorker};
    /// let worker = UdpWorker::<Tcp>::new("");
    /// let peer = "127.0.0.1:9000".parse().expect("an address");
    /// assert_eq!(worker.connection(peer).remote_addr(), peer);
    /// ```
    pub fn remote_addr(self) -> SocketAddr {
        self.peer
    }

    /// The peer's address without the port; an IPv6 address without brackets, as in PHP.
    ///
    /// ```
    /// # use workerman::{Tcp, UdpWorker};
    /// # let worker = UdpWorker::<Tcp>::new("");
    /// let connection = worker.connection("[::1]:9000".parse().expect("an address"));
    /// assert_eq!(connection.remote_ip(), "::1");
    /// ```
    #[doc(alias = "getRemoteIp")]
    pub fn remote_ip(self) -> String {
        self.peer.ip().to_string()
    }

    /// The peer's port.
    ///
    /// ```
    /// # use workerman::{Tcp, UdpWorker};
    /// # let worker = UdpWorker::<Tcp>::new("");
    /// let connection = worker.connection("127.0.0.1:9000".parse().expect("an address"));
    /// assert_eq!(connection.remote_port(), 9000);
    /// ```
    #[doc(alias = "getRemotePort")]
    pub fn remote_port(self) -> u16 {
        self.peer.port()
    }

    /// The peer's address and port.
    ///
    /// ```
    /// # use workerman::{Tcp, UdpWorker};
    /// # let worker = UdpWorker::<Tcp>::new("");
    /// let connection = worker.connection("[::1]:9000".parse().expect("an address"));
    /// assert_eq!(connection.remote_address(), "[::1]:9000");
    /// ```
    #[doc(alias = "getRemoteAddress")]
    pub fn remote_address(self) -> String {
        self.peer.to_string()
    }

    /// The address the worker listens on, `None` once it does not: with `0.0.0.0` not the one that the peer has sent to.
    ///
    /// ```
    /// # use workerman::{Tcp, UdpWorker};
    /// # let worker = UdpWorker::<Tcp>::new("");
    /// worker.on_message(|connection, _bytes| println!("{:?}", connection.local_addr()));
    /// ```
    pub fn local_addr(self) -> Option<SocketAddr> {
        with_socket(self.worker, |socket| socket.local)
    }

    /// The same without the port, and without brackets; empty once the worker listens no more.
    ///
    /// ```
    /// # use workerman::{Tcp, UdpWorker};
    /// # let worker = UdpWorker::<Tcp>::new("");
    /// worker.on_message(|connection, _bytes| println!("{}", connection.local_ip())); // 127.0.0.1
    /// ```
    #[doc(alias = "getLocalIp")]
    pub fn local_ip(self) -> String {
        self.local_addr().map_or_else(String::new, |address| address.ip().to_string())
    }

    /// The port the worker listens on, 0 once it does not.
    ///
    /// ```
    /// # use workerman::{Tcp, UdpWorker};
    /// # let worker = UdpWorker::<Tcp>::new("");
    /// worker.on_message(|connection, _bytes| println!("{}", connection.local_port())); // 9000
    /// ```
    #[doc(alias = "getLocalPort")]
    pub fn local_port(self) -> u16 {
        self.local_addr().map_or(0, |address| address.port())
    }

    /// The address and port the worker listens on, empty once it does not.
    ///
    /// ```
    /// # use workerman::{Tcp, UdpWorker};
    /// # let worker = UdpWorker::<Tcp>::new("");
    /// worker.on_message(|connection, _bytes| println!("{}", connection.local_address())); // 127.0.0.1:9000
    /// ```
    #[doc(alias = "getLocalAddress")]
    pub fn local_address(self) -> String {
        self.local_addr().map_or_else(String::new, |address| address.to_string())
    }

    /// Whether the peer's address is one of IPv4.
    ///
    /// ```
    /// # use workerman::{Tcp, UdpWorker};
    /// # let worker = UdpWorker::<Tcp>::new("");
    /// assert!(worker.connection("127.0.0.1:9000".parse().expect("an address")).is_ipv4());
    /// ```
    #[doc(alias = "isIpV4")]
    pub fn is_ipv4(self) -> bool {
        self.peer.is_ipv4()
    }

    /// Whether the peer's address is one of IPv6.
    ///
    /// ```
    /// # use workerman::{Tcp, UdpWorker};
    /// # let worker = UdpWorker::<Tcp>::new("");
    /// assert!(worker.connection("[::1]:9000".parse().expect("an address")).is_ipv6());
    /// ```
    #[doc(alias = "isIpV6")]
    pub fn is_ipv6(self) -> bool {
        self.peer.is_ipv6()
    }
}

impl<P> UdpConnection<P> {
    pub(super) fn new(worker: Key, peer: SocketAddr) -> Self {
        Self { worker, peer, protocol: PhantomData }
    }
}

impl<P> Clone for UdpConnection<P> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<P> Copy for UdpConnection<P> {}

/// Handles are equal when they name the same peer of the same worker.
impl<P> PartialEq for UdpConnection<P> {
    fn eq(&self, other: &Self) -> bool {
        (self.worker, self.peer) == (other.worker, other.peer)
    }
}

impl<P> Eq for UdpConnection<P> {}

impl<P> Hash for UdpConnection<P> {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        (self.worker, self.peer).hash(hasher);
    }
}

impl<P> fmt::Debug for UdpConnection<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UdpConnection({})", self.peer)
    }
}
