//! What can be asked of a connection, and its limits.

use std::net::SocketAddr;

use super::state::{Connection, state};
use super::{Status, TcpConnection, defaults, id};
use crate::protocols::Codec;
use crate::timer::Interval;

/// # What it is
impl<P: Codec> TcpConnection<P> {
    /// The connection with this [`id`](Self::id), if it is there and speaks this protocol: PHP's
    /// `TcpConnection::$connections[$id]`.
    ///
    /// ```
    /// # use workerman::{Http, TcpConnection};
    /// assert_eq!(TcpConnection::<Http>::find(12345), None);
    /// ```
    #[doc(alias = "connections")]
    pub fn find(id: u64) -> Option<Self> {
        let key = id::key(id)?;
        let found = state().with(|state| state.get(key).is_some_and(|connection| connection.driver.speaks::<P>()));
        found.then(|| Self::new(key))
    }

    /// A number from 1 on, below 2^53, never used again by this thread's loop.
    ///
    /// ```
    /// # use workerman::{Http, Worker};
    /// # let worker = Worker::<Http>::new("");
    /// worker.on_connect(|connection| println!("connection {}", connection.id()));
    /// ```
    pub fn id(self) -> u64 {
        id::of(self.key)
    }

    /// Where the connection stands; [`Status::Closed`] once it is gone.
    ///
    /// ```
    /// # use workerman::{Http, Status, TcpConnection};
    /// # fn example(connection: TcpConnection<Http>) {
    /// assert_eq!(connection.status(), Status::Established);
    /// # }
    /// ```
    #[doc(alias = "getStatus")]
    pub fn status(self) -> Status {
        self.read(|connection| connection.status).unwrap_or(Status::Closed)
    }

    /// The peer's address without the port, an IPv6 address in brackets as in PHP. Readable in `on_close`; empty after it,
    /// and on a Unix socket, whose peers have no address.
    ///
    /// ```
    /// # use workerman::{Http, Worker};
    /// # let worker = Worker::<Http>::new("");
    /// worker.on_connect(|connection| println!("{} came", connection.remote_ip()));
    /// ```
    #[doc(alias = "getRemoteIp")]
    pub fn remote_ip(self) -> String {
        self.peer().map_or_else(String::new, ip_text)
    }

    /// The peer's port, 0 once the connection is gone and on a Unix socket.
    ///
    /// ```
    /// # use workerman::{Http, TcpConnection};
    /// # fn example(connection: TcpConnection<Http>) {
    /// assert_ne!(connection.remote_port(), 0);
    /// # }
    /// ```
    #[doc(alias = "getRemotePort")]
    pub fn remote_port(self) -> u16 {
        self.peer().map_or(0, |address| address.port())
    }

    /// The peer's address and port, empty once the connection is gone and on a Unix socket.
    ///
    /// ```
    /// # use workerman::{Http, TcpConnection};
    /// # fn example(connection: TcpConnection<Http>) {
    /// println!("{}", connection.remote_address()); // 127.0.0.1:50000
    /// # }
    /// ```
    #[doc(alias = "getRemoteAddress")]
    pub fn remote_address(self) -> String {
        self.peer().map_or_else(String::new, |address| address.to_string())
    }

    /// This side's address without the port, empty once the socket is closed and on a Unix socket.
    ///
    /// ```
    /// # use workerman::{Http, TcpConnection};
    /// # fn example(connection: TcpConnection<Http>) {
    /// println!("{}", connection.local_ip()); // 127.0.0.1
    /// # }
    /// ```
    #[doc(alias = "getLocalIp")]
    pub fn local_ip(self) -> String {
        self.local().map_or_else(String::new, ip_text)
    }

    /// This side's port, 0 once the socket is closed and on a Unix socket.
    ///
    /// ```
    /// # use workerman::{Http, TcpConnection};
    /// # fn example(connection: TcpConnection<Http>) {
    /// println!("{}", connection.local_port()); // 8080
    /// # }
    /// ```
    #[doc(alias = "getLocalPort")]
    pub fn local_port(self) -> u16 {
        self.local().map_or(0, |address| address.port())
    }

    /// This side's address and port, empty once the socket is closed and on a Unix socket, whose path
    /// [`Worker::local_path`](crate::Worker::local_path) knows.
    ///
    /// ```
    /// # use workerman::{Http, TcpConnection};
    /// # fn example(connection: TcpConnection<Http>) {
    /// println!("{}", connection.local_address()); // 127.0.0.1:8080
    /// # }
    /// ```
    #[doc(alias = "getLocalAddress")]
    pub fn local_address(self) -> String {
        self.local().map_or_else(String::new, |address| address.to_string())
    }

    /// Whether the peer is connected over IPv4. On a Unix socket it is over neither.
    ///
    /// ```
    /// # use workerman::{Http, TcpConnection};
    /// # fn example(connection: TcpConnection<Http>) {
    /// assert_ne!(connection.is_ipv4(), connection.is_ipv6());
    /// # }
    /// ```
    #[doc(alias = "isIpV4")]
    pub fn is_ipv4(self) -> bool {
        self.peer().is_some_and(|address| address.is_ipv4())
    }

    /// Whether the peer is connected over IPv6. On a Unix socket it is over neither.
    ///
    /// ```
    /// # use workerman::{Http, TcpConnection};
    /// # fn example(connection: TcpConnection<Http>) {
    /// assert_ne!(connection.is_ipv4(), connection.is_ipv6());
    /// # }
    /// ```
    #[doc(alias = "isIpV6")]
    pub fn is_ipv6(self) -> bool {
        self.peer().is_some_and(|address| address.is_ipv6())
    }

    /// Bytes received so far, as they came over the wire.
    ///
    /// ```
    /// # use workerman::{Http, Worker};
    /// # let worker = Worker::<Http>::new("");
    /// worker.on_close(|connection| println!("{} bytes came", connection.bytes_read()));
    /// ```
    #[doc(alias = "bytesRead")]
    pub fn bytes_read(self) -> u64 {
        self.read(|connection| connection.bytes_read).unwrap_or(0)
    }

    /// Bytes the system has taken from us so far.
    ///
    /// ```
    /// # use workerman::{Http, Worker};
    /// # let worker = Worker::<Http>::new("");
    /// worker.on_close(|connection| println!("{} bytes went", connection.bytes_written()));
    /// ```
    #[doc(alias = "bytesWritten")]
    pub fn bytes_written(self) -> u64 {
        self.read(|connection| connection.bytes_written).unwrap_or(0)
    }
}

/// # Limits
impl<P: Codec> TcpConnection<P> {
    /// Bytes that were sent and have not left yet: those that wait for the peer, and those of the current callback.
    /// A file counts in full, though only a piece of it is ever in memory.
    ///
    /// ```
    /// # use workerman::{Http, ServerSentEvents, TcpConnection};
    /// # fn example(connection: TcpConnection<Http>) {
    /// if connection.send_buffer_queue_size() < 64 * 1024 {
    ///     connection.send(ServerSentEvents::new().data("for those who keep up"));
    /// }
    /// # }
    /// ```
    #[doc(alias = "getSendBufferQueueSize")]
    pub fn send_buffer_queue_size(self) -> usize {
        self.read(Connection::queued).unwrap_or(0)
    }

    /// The send buffer's limit in bytes: 1 MiB unless set.
    ///
    /// ```
    /// # use workerman::{Http, TcpConnection};
    /// # fn example(connection: TcpConnection<Http>) {
    /// assert_eq!(connection.max_send_buffer_size(), 1024 * 1024);
    /// # }
    /// ```
    #[doc(alias = "maxSendBufferSize")]
    pub fn max_send_buffer_size(self) -> usize {
        self.read(|connection| connection.max_send_buffer_size as usize).unwrap_or(0)
    }

    /// Sets the send buffer's limit, in bytes, of this connection. At the limit `on_buffer_full` is called and further
    /// messages are dropped.
    ///
    /// ```
    /// # use workerman::{Http, Worker};
    /// # let worker = Worker::<Http>::new("");
    /// worker.on_connect(|connection| connection.set_max_send_buffer_size(64 * 1024));
    /// ```
    #[doc(alias = "maxSendBufferSize")]
    pub fn set_max_send_buffer_size(self, bytes: usize) {
        self.update(|connection| connection.max_send_buffer_size = defaults::clamp(bytes));
    }

    /// Sets how long this connection listens for the peer's FIN when it [`end`](Self::end)s: seconds or a `Duration`,
    /// 1 s unless set.
    ///
    /// ```
    /// # use workerman::{Http, Worker};
    /// # let worker = Worker::<Http>::new("");
    /// worker.on_connect(|connection| connection.set_linger_timeout(0.5));
    /// ```
    #[doc(alias = "lingerTimeout")]
    pub fn set_linger_timeout(self, time: impl Interval) {
        let time = time.nanoseconds();
        self.update(|connection| connection.extra().linger = Some(time));
    }

    /// The size of the largest message the peer may send, in bytes: 10 MiB unless set.
    ///
    /// ```
    /// # use workerman::{Http, TcpConnection};
    /// # fn example(connection: TcpConnection<Http>) {
    /// assert_eq!(connection.max_package_size(), 10 * 1024 * 1024);
    /// # }
    /// ```
    #[doc(alias = "maxPackageSize")]
    pub fn max_package_size(self) -> usize {
        self.read(|connection| connection.max_package_size as usize).unwrap_or(0)
    }

    /// Sets the size of the largest message the peer may send, in bytes; of an HTTP request head and body together. It
    /// is checked on the size the peer declares, before the bytes arrive.
    ///
    /// ```
    /// # use workerman::{Http, Worker};
    /// # let worker = Worker::<Http>::new("");
    /// worker.on_connect(|connection| connection.set_max_package_size(1024 * 1024));
    /// ```
    #[doc(alias = "maxPackageSize")]
    pub fn set_max_package_size(self, bytes: usize) {
        self.update(|connection| connection.max_package_size = defaults::clamp(bytes));
    }
}

/// # Limits of new connections
impl TcpConnection<()> {
    /// Sets the send buffer's limit of connections accepted from here on, in bytes.
    ///
    /// ```
    /// # use workerman::TcpConnection;
    /// TcpConnection::set_default_max_send_buffer_size(1024 * 1024);
    /// ```
    #[doc(alias = "defaultMaxSendBufferSize")]
    pub fn set_default_max_send_buffer_size(bytes: usize) {
        defaults::set_max_send_buffer_size(bytes);
    }

    /// Sets how long connections that end listen for the peer's FIN, unless they have a time of their own: seconds or a
    /// `Duration`.
    ///
    /// ```
    /// # use workerman::TcpConnection;
    /// TcpConnection::set_default_linger_timeout(1);
    /// ```
    #[doc(alias = "defaultLingerTimeout")]
    pub fn set_default_linger_timeout(time: impl Interval) {
        defaults::set_linger(time.nanoseconds());
    }

    /// The send buffer's limit of new connections, in bytes: 1 MiB unless set.
    ///
    /// ```
    /// assert_eq!(workerman::TcpConnection::default_max_send_buffer_size(), 1024 * 1024);
    /// ```
    #[doc(alias = "defaultMaxSendBufferSize")]
    pub fn default_max_send_buffer_size() -> usize {
        defaults::limits().0 as usize
    }

    /// The size of the largest message of new connections, in bytes: 10 MiB unless set.
    ///
    /// ```
    /// assert_eq!(workerman::TcpConnection::default_max_package_size(), 10 * 1024 * 1024);
    /// ```
    #[doc(alias = "defaultMaxPackageSize")]
    pub fn default_max_package_size() -> usize {
        defaults::limits().1 as usize
    }

    /// Sets the size of the largest message, in bytes, for connections accepted from here on.
    ///
    /// ```
    /// # use workerman::TcpConnection;
    /// TcpConnection::set_default_max_package_size(10 * 1024 * 1024);
    /// ```
    #[doc(alias = "defaultMaxPackageSize")]
    pub fn set_default_max_package_size(bytes: usize) {
        defaults::set_max_package_size(bytes);
    }
}

impl<P: Codec> TcpConnection<P> {
    fn peer(self) -> Option<SocketAddr> {
        self.read(|connection| connection.remote).flatten()
    }

    fn local(self) -> Option<SocketAddr> {
        self.read(|connection| connection.transport.local_addr()).flatten()
    }
}

fn ip_text(address: SocketAddr) -> String {
    match address {
        SocketAddr::V4(address) => address.ip().to_string(),
        SocketAddr::V6(address) => format!("[{}]", address.ip()),
    }
}
