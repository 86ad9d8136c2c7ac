//! Connections that the app makes itself: PHP's `AsyncTcpConnection`.
//!
//! A client is a handle of its own, because it is there before its connection and after it: it keeps the address, the
//! callbacks and what was sent too early, and can connect anew. Once connected, its connection is one as any other.

mod attempt;
mod callbacks;
mod dial;
mod line;
mod own;
mod owner;
mod proxy;
mod registry;
mod resolve;
#[cfg(feature = "_tls")]
mod secure;
mod target;
mod udp;
mod websocket;

use std::fmt;
use std::marker::PhantomData;
use std::rc::Rc;

use crate::connection::{Handlers, SendStatus, Status, TcpConnection};
use crate::handle::handle;
use crate::protocols::{Codec, Encode};
use crate::reactor::{self, Key};
use crate::timer::Interval;

pub(crate) use dial::take_offered;
use owner::OfClient;
use registry::{Entry, Stage, with};
use target::{Place, Target};
pub use udp::AsyncUdpConnection;

/// So many sends may wait for the connection.
const QUEUE: usize = 1024;

/// A connection to a server, by a handle that is copied freely: PHP's `AsyncTcpConnection`.
///
/// It is made, given callbacks, then told to [`connect`](Self::connect). What is sent before it stands waits for that. Nothing
/// here holds up the loop: names are looked up on another thread, and all their addresses are tried in turn.
///
/// When it has been closed and its `on_close` has returned, it is forgotten, unless that has called
/// [`reconnect`](Self::reconnect): a client that is lost for good costs nothing.
///
/// ```
/// use workerman::{AsyncTcpConnection, Text, Worker};
///
/// let worker = Worker::<Text>::new("");
/// worker.on_worker_start(|_| {
///     let upstream = AsyncTcpConnection::<Text>::new("text://127.0.0.1:1234");
///     upstream.on_connect(|upstream| upstream.send("hello"));
///     upstream.on_message(|_, line| println!("it says {line}"));
///     upstream.on_error(|_, code, text| eprintln!("{code}: {text}"));
///     upstream.on_close(|upstream| upstream.reconnect(1));
///     upstream.connect();
/// });
/// ```
pub struct AsyncTcpConnection<P> {
    key: Key,
    protocol: PhantomData<*const P>,
}

/// # Connecting
impl<P: Codec> AsyncTcpConnection<P> {
    /// A client of the server at this address: `scheme://host:port`, or `host:port`, or `unix:///path`. With `ssl` or `tls` as
    /// its scheme, TLS is spoken. What is wrong with it is told by `on_error`, once it is to connect.
    ///
    /// ```
    /// # use workerman::{AsyncTcpConnection, Frame, Tcp, Text};
    /// let bytes = AsyncTcpConnection::<Tcp>::new("tcp://example.com:80");
    /// let lines = AsyncTcpConnection::<Text>::new("text://[::1]:1234");
    /// let frames = AsyncTcpConnection::<Frame>::new("unix:///run/app.sock");
    /// ```
    #[doc(alias = "__construct")]
    pub fn new(address: &str) -> Self {
        if reactor::get().is_stray() {
            log::warn!("a client was made on a thread without an event loop while another thread runs one");
        }
        let address = registry::keep(address);
        let make = |key| Entry::new(address, Rc::new(Handlers::of(OfClient::<P>::new(key))));
        Self { key: registry::insert(make), protocol: PhantomData }
    }

    /// Another client, whose callbacks are those of this one: not a copy, so that one which is set later, for whichever of
    /// them, counts for all. What else was set of this one, such as a proxy, limits or headers, is set of the other too, and
    /// from here on each has its own; data are not passed on.
    ///
    /// A thousand connections that do the same cost half as much this way, as there are no callbacks but the first one's.
    ///
    /// ```
    /// # use workerman::{AsyncTcpConnection, Text};
    /// let first = AsyncTcpConnection::<Text>::new("text://127.0.0.1:1234");
    /// first.on_message(|client, line| println!("{}: {line}", client.address()));
    /// for port in 1235..1240 {
    ///     first.another(&format!("text://127.0.0.1:{port}")).connect();
    /// }
    /// ```
    pub fn another(self, address: &str) -> Self {
        let Some(handlers) = self.handlers() else {
            log::warn!("a client that was forgotten has no callbacks to share");
            return Self::new(address);
        };
        let address = registry::keep(address);
        let extra = with(self.key, |entry| Some(Box::new(entry.extra.as_ref()?.another()))).flatten();
        let make = |key| Entry { extra, ..Entry::new(address, Rc::new(Handlers::of(handlers.another(key)))) };
        Self { key: registry::insert(make), protocol: PhantomData }
    }

    /// Begins to connect, unless a connection stands or is on its way. Comes back at once; `on_connect` or `on_error` tells
    /// what has come of it. An `on_close` that is due, because of an error or of a `close`, comes first.
    ///
    /// ```
    /// # use workerman::{AsyncTcpConnection, Tcp};
    /// # let upstream = AsyncTcpConnection::<Tcp>::new("tcp://127.0.0.1:1");
    /// upstream.connect();
    /// ```
    pub fn connect(self) {
        match self.status() {
            Status::Initial | Status::Connecting | Status::Established => attempt::begin(self.key),
            _ => drop(with(self.key, |entry| entry.meanwhile().again = Some(0))),
        }
    }

    /// Connects anew, so many seconds or such a `Duration` from now; with the same address and callbacks. In `on_close` that
    /// is how a client comes back; a connection that stands is closed first. [`close`](Self::close) calls it off.
    ///
    /// ```
    /// # use workerman::{AsyncTcpConnection, Tcp};
    /// # let upstream = AsyncTcpConnection::<Tcp>::new("tcp://127.0.0.1:1");
    /// upstream.on_close(|upstream| upstream.reconnect(0.5));
    /// ```
    #[doc(alias = "reConnect")]
    pub fn reconnect(self, after: impl Interval) {
        let after = after.nanoseconds();
        let stands = with(self.key, |entry| {
            entry.meanwhile().again = Some(after);
            match entry.stage {
                Stage::Established(key) => Some(Some(key)),
                // The `on_close` that runs, or is about to, comes first.
                Stage::Closed => None,
                _ => Some(None),
            }
        });
        match stands.flatten() {
            Some(Some(connection)) => TcpConnection::<P>::new(connection).destroy(),
            Some(None) => {
                attempt::wait(self.key, after);
            }
            None if !self.is_there() => log::warn!("a client that was forgotten after its on_close cannot reconnect"),
            None => {}
        }
    }

    /// Calls off a [`reconnect`](Self::reconnect) that is to come, and forgets the client.
    ///
    /// ```
    /// # use workerman::{AsyncTcpConnection, Tcp};
    /// # let upstream = AsyncTcpConnection::<Tcp>::new("tcp://127.0.0.1:1");
    /// upstream.reconnect(60);
    /// upstream.cancel_reconnect();
    /// ```
    #[doc(alias = "cancelReconnect")]
    pub fn cancel_reconnect(self) {
        let waits = with(self.key, |entry| {
            entry.call_off();
            matches!(entry.stage, Stage::Waiting).then(|| entry.take_timer())
        });
        if let Some(timer) = waits.flatten() {
            if let Some(timer) = timer {
                reactor::get().remove_timer(timer);
            }
            registry::forget(self.key);
        }
    }

    /// Sets how long an attempt to connect may take, all addresses of a name together, in seconds or as a `Duration`: 10 s
    /// unless set, 0 for as long as the system takes.
    ///
    /// ```
    /// # use workerman::{AsyncTcpConnection, Tcp};
    /// # let upstream = AsyncTcpConnection::<Tcp>::new("tcp://127.0.0.1:1");
    /// upstream.set_connect_timeout(3);
    /// ```
    pub fn set_connect_timeout(self, time: impl Interval) {
        let time = time.nanoseconds();
        with(self.key, |entry| entry.extra().timeout = Some(time));
    }
}

/// # Proxies
impl<P: Codec> AsyncTcpConnection<P> {
    /// Connects through a proxy from the next attempt on: `socks5://user:password@host:port` or `http://...`, without user and
    /// password for one that asks for none, empty for no proxy. What is not allowed in an address is written as in URLs: `%40` for
    /// an `@`. The name of the server is looked up by the proxy. TLS is spoken with the server, through the proxy; the
    /// connection's `remote_address` is the proxy's.
    ///
    /// What goes wrong, and what the proxy has against it, is told by `on_error`, in words.
    ///
    /// ```
    /// # use workerman::{AsyncTcpConnection, Tcp};
    /// let upstream = AsyncTcpConnection::<Tcp>::new("tcp://example.com:80");
    /// upstream.set_proxy("socks5://me:secret@127.0.0.1:1080");
    /// upstream.connect();
    /// ```
    #[doc(alias = "proxySocks5")]
    #[doc(alias = "proxySocks5Username")]
    #[doc(alias = "proxySocks5Password")]
    #[doc(alias = "proxyHttp")]
    #[doc(alias = "proxyAuthorization")]
    pub fn set_proxy(self, address: &str) {
        let address = (!address.is_empty()).then(|| address.into());
        with(self.key, |entry| entry.extra().proxy = address);
    }
}

/// # Sending and closing
impl<P: Codec> AsyncTcpConnection<P> {
    /// Sends a message, or has it wait until the connection stands: [`SendStatus::Queued`], 1,024 messages at most.
    ///
    /// ```
    /// # use workerman::{AsyncTcpConnection, Text};
    /// let upstream = AsyncTcpConnection::<Text>::new("text://127.0.0.1:1234");
    /// upstream.connect();
    /// upstream.send("as soon as you are there");
    /// ```
    pub fn send<M: 'static>(self, message: M) -> SendStatus
    where
        P: Encode<M>,
    {
        match self.current() {
            Some(connection) => connection.send(message),
            None => self.queue(move |connection| connection.send(message)),
        }
    }

    /// The connection while it stands, with all that one can do: limits, addresses, counters, timers,
    /// [`pipe`](TcpConnection::pipe).
    ///
    /// ```
    /// # use workerman::{AsyncTcpConnection, Tcp};
    /// # let upstream = AsyncTcpConnection::<Tcp>::new("tcp://127.0.0.1:1");
    /// upstream.on_connect(|upstream| {
    ///     if let Some(connection) = upstream.connection() {
    ///         connection.set_max_send_buffer_size(1 << 20);
    ///     }
    /// });
    /// ```
    pub fn connection(self) -> Option<TcpConnection<P>> {
        with(self.key, |entry| match entry.stage {
            Stage::Established(key) => Some(TcpConnection::new(key)),
            _ => None,
        })?
    }

    /// Where it stands: [`Status::Initial`] before `connect` and until a `reconnect`, [`Status::Connecting`], then the
    /// connection's own; [`Status::Closed`] once it is forgotten.
    ///
    /// ```
    /// # use workerman::{AsyncTcpConnection, Status, Tcp};
    /// let upstream = AsyncTcpConnection::<Tcp>::new("tcp://127.0.0.1:1");
    /// assert_eq!(upstream.status(), Status::Initial);
    /// ```
    #[doc(alias = "getStatus")]
    pub fn status(self) -> Status {
        let own = with(self.key, |entry| match entry.stage {
            Stage::Initial | Stage::Waiting => Status::Initial,
            Stage::Established(key) => TcpConnection::<P>::new(key).status(),
            Stage::Closed => Status::Closed,
            _ => Status::Connecting,
        });
        own.unwrap_or(Status::Closed)
    }

    /// Closes once everything that was sent has left; a connection that does not stand yet, at once. No reconnect follows
    /// but one that `on_close` asks for.
    ///
    /// ```
    /// # use workerman::{AsyncTcpConnection, Tcp};
    /// # let upstream = AsyncTcpConnection::<Tcp>::new("tcp://127.0.0.1:1");
    /// upstream.close();
    /// ```
    pub fn close(self) {
        self.end(TcpConnection::close);
    }

    /// Closes at once; what waits is lost.
    ///
    /// ```
    /// # use workerman::{AsyncTcpConnection, Tcp};
    /// # let upstream = AsyncTcpConnection::<Tcp>::new("tcp://127.0.0.1:1");
    /// upstream.destroy();
    /// ```
    pub fn destroy(self) {
        self.end(TcpConnection::destroy);
    }

    /// The connection that stands, and is to stay.
    fn current(self) -> Option<TcpConnection<P>> {
        let is_to_stay = with(self.key, |entry| entry.again().is_none()) == Some(true);
        self.connection().filter(|_| is_to_stay)
    }

    /// Has this done once a connection stands; it is dropped if none ever will.
    fn queue<R>(self, then: impl FnOnce(TcpConnection<P>) -> R + 'static) -> SendStatus {
        let then = Box::new(move |key| drop(then(TcpConnection::new(key))));
        let refused = with(self.key, |entry| match entry.stage {
            Stage::Closed if entry.again().is_none() => Some(SendStatus::Closed),
            _ if entry.queued() >= QUEUE => Some(SendStatus::Dropped),
            _ => None,
        });
        match refused {
            None => SendStatus::Closed,
            Some(Some(status)) => status,
            Some(None) => {
                with(self.key, |entry| entry.meanwhile().queue.push(then));
                SendStatus::Queued
            }
        }
    }

    fn end(self, how: impl FnOnce(TcpConnection<P>)) {
        with(self.key, Entry::call_off);
        match self.connection() {
            Some(connection) => how(connection),
            None => attempt::give_up(self.key),
        }
    }

    /// The address as it was given to [`new`](Self::new).
    ///
    /// ```
    /// # use workerman::{AsyncTcpConnection, Tcp};
    /// assert_eq!(AsyncTcpConnection::<Tcp>::new("tcp://127.0.0.1:1").address(), "tcp://127.0.0.1:1");
    /// ```
    pub fn address(self) -> String {
        with(self.key, |entry| entry.address.to_string()).unwrap_or_default()
    }

    /// The host of the address, IPv6 without brackets; empty for a Unix socket, and for an address that is wrong.
    ///
    /// ```
    /// # use workerman::{AsyncTcpConnection, Tcp};
    /// assert_eq!(AsyncTcpConnection::<Tcp>::new("tcp://example.com:1").remote_host(), "example.com");
    /// ```
    #[doc(alias = "getRemoteHost")]
    pub fn remote_host(self) -> String {
        match self.target().map(|target| target.place) {
            Some(Place::Host { host, .. }) => host.into(),
            _ => String::new(),
        }
    }

    /// Path and query of the address, as a request names them: `/` if it has none, empty if it is wrong.
    ///
    /// ```
    /// # use workerman::{AsyncTcpConnection, Tcp};
    /// assert_eq!(AsyncTcpConnection::<Tcp>::new("tcp://127.0.0.1:1/chat?room=1").remote_uri(), "/chat?room=1");
    /// ```
    #[doc(alias = "getRemoteURI")]
    pub fn remote_uri(self) -> String {
        self.target().map_or_else(String::new, |target| target.uri.into())
    }

    fn target(self) -> Option<Target> {
        with(self.key, |entry| entry.target())?.ok()
    }

    fn is_there(self) -> bool {
        with(self.key, |_| ()).is_some()
    }
}

/// At the end of a loop: nothing of this thread's clients stays.
pub(crate) fn clear() {
    registry::clear();
    line::clear();
    udp::clear();
    dial::clear();
    resolve::clear();
}

handle!(AsyncTcpConnection);

impl<P> fmt::Debug for AsyncTcpConnection<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AsyncTcpConnection({})", self.key.number())
    }
}
