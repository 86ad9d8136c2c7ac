//! UDP: a worker that listens for datagrams, and its peers.
//!
//! It is no worker of connections: nothing of a peer is kept, so there is nothing to close, to time out or to list. Of the
//! protocols it takes the messages in a datagram (`protocols::datagram`). The way in is `socket`, the way out `send` and
//! `outgoing`, and `driver` leads from untyped sockets to typed callbacks.
//!
//! Invariant: a datagram costs nothing but itself. Whatever is in it, and whatever its callback does, the next is read.

mod connection;
mod driver;
mod outgoing;
mod processes;
mod registry;
mod send;
mod socket;

use std::fmt;
use std::marker::PhantomData;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use crate::callback::{CallbackResult, Site, WorkerCallback};
use crate::data;
use crate::error::{Error, Result};
use crate::handle::handle;
use crate::handover;
use crate::protocols::datagram::Datagram;
use crate::reactor::{self, Key};

use driver::Handlers;
use registry::{Entry, WorkerData, with_entry, with_socket};

pub use connection::UdpConnection;
pub(crate) use driver::deliver;
pub(crate) use outgoing::{Given, Outgoing};
pub(crate) use processes::{address, bind, bind_beside, look_at, name, on_start, on_stop, part};
pub(crate) use registry::{clear, is_leaving, keys, leave, listen, overview};
pub(crate) use send::{Refusal, encode, text_of};

/// A worker that listens for datagrams, by a handle that is copied freely: PHP's `new Worker('udp://…')`.
///
/// It runs beside the others, by [`Worker::run_all`](crate::Worker::run_all). Each datagram is read by a fresh value of the
/// protocol: what is incomplete at its end is dropped, and what is wrong in it takes the rest of it along, no more.
///
/// ```standalone_crate
/// use workerman::{Tcp, UdpWorker, Worker};
///
/// let worker = UdpWorker::<Tcp>::new("udp://127.0.0.1:0");
/// worker.on_message(|connection, bytes| connection.send(bytes));
/// # Worker::stop_all();
/// Worker::run_all()?;
/// # workerman::Result::<()>::Ok(())
/// ```
#[doc(alias = "Worker")]
pub struct UdpWorker<P> {
    key: Key,
    protocol: PhantomData<*const P>,
}

/// # Making and naming
impl<P> UdpWorker<P> {
    /// A worker for this address: `udp://host:port`, or `host:port`, whatever the protocol. Port 0 lets the system choose,
    /// see [`local_addr`](Self::local_addr). With `""` the worker has no socket.
    ///
    /// Nothing is bound yet, and an address that is wrong is not an error yet:
    /// [`Worker::run_all`](crate::Worker::run_all) and [`listen`](Self::listen) tell.
    ///
    /// ```
    /// # use workerman::{Tcp, Text, UdpWorker};
    /// let bytes = UdpWorker::<Tcp>::new("udp://0.0.0.0:9000");
    /// let lines_over_ipv6 = UdpWorker::<Text>::new("udp://[::]:9001");
    /// ```
    #[doc(alias = "__construct")]
    pub fn new(address: &str) -> Self
    where
        P: Datagram,
    {
        if reactor::get().is_stray() {
            log::warn!("a worker was made on a thread without an event loop while another thread runs one");
        }
        handover::move_away();
        let key = registry::insert(address, Rc::new(Handlers::<P>::default()));
        Self { key, protocol: PhantomData }
    }
}

impl<P: Datagram> UdpWorker<P> {
    /// The worker's name, `none` unless set.
    ///
    /// ```
    /// # use workerman::{Tcp, UdpWorker};
    /// assert_eq!(UdpWorker::<Tcp>::new("").name(), "none");
    /// ```
    pub fn name(self) -> String {
        with_entry(self.key, |entry| entry.name.clone()).unwrap_or_default()
    }

    /// Names the worker, for logs and errors.
    ///
    /// ```
    /// # use workerman::{Tcp, UdpWorker};
    /// let worker = UdpWorker::<Tcp>::new("");
    /// worker.set_name("statistics");
    /// assert_eq!(worker.name(), "statistics");
    /// ```
    pub fn set_name(self, name: &str) {
        with_entry(self.key, |entry| name.clone_into(&mut entry.name));
    }

    /// Where the worker listens, once it does: with port 0 this is how the port is learnt.
    ///
    /// ```
    /// # use workerman::{Tcp, UdpWorker};
    /// # let worker = UdpWorker::<Tcp>::new("");
    /// worker.on_worker_start(|worker| println!("listening on {:?}", worker.local_addr()));
    /// ```
    #[doc(alias = "getSocketName")]
    pub fn local_addr(self) -> Option<SocketAddr> {
        with_socket(self.key, |socket| socket.local)
    }

    /// A handle for this address, which need not have sent anything: to speak first, or to all, see
    /// [`set_broadcast`](Self::set_broadcast).
    ///
    /// ```
    /// # use std::net::SocketAddr;
    /// # use workerman::{Tcp, Timer, UdpWorker};
    /// # let worker = UdpWorker::<Tcp>::new("");
    /// worker.set_broadcast(true);
    /// let all = worker.connection(SocketAddr::from(([255, 255, 255, 255], 9000)));
    /// Timer::add(10, move || all.send("here I am"));
    /// # Timer::del_all();
    /// ```
    pub fn connection(self, peer: SocketAddr) -> UdpConnection<P> {
        UdpConnection::new(self.key, peer)
    }
}

/// # Callbacks
///
/// Each may be set again at any time. A callback may return nothing, what `send` or `Timer` return, or a `Result`: see
/// [`PanicPolicy`](crate::PanicPolicy). Under `CloseConnection` an error costs the rest of the datagram, as there is no
/// connection to close.
impl<P: Datagram> UdpWorker<P> {
    /// Called when the loop starts, before datagrams are read. An error here ends `run_all` with it.
    ///
    /// ```
    /// # use workerman::{Tcp, UdpWorker};
    /// # let worker = UdpWorker::<Tcp>::new("");
    /// worker.on_worker_start(|worker| println!("{} starts", worker.name()));
    /// ```
    #[doc(alias = "onWorkerStart")]
    #[track_caller]
    pub fn on_worker_start<F, R>(self, mut callback: F)
    where
        F: FnMut(Self) -> R + 'static,
        R: CallbackResult,
    {
        let site = Site::here("on_worker_start");
        self.own_callback(|entry| &entry.on_start, site, Box::new(move || callback(self).into_result()));
    }

    /// Called when the loop stops, before the socket is closed.
    ///
    /// ```
    /// # use workerman::{Tcp, UdpWorker};
    /// # let worker = UdpWorker::<Tcp>::new("");
    /// worker.on_worker_stop(|worker| println!("{} stops", worker.name()));
    /// ```
    #[doc(alias = "onWorkerStop")]
    #[track_caller]
    pub fn on_worker_stop<F, R>(self, mut callback: F)
    where
        F: FnMut(Self) -> R + 'static,
        R: CallbackResult,
    {
        let site = Site::here("on_worker_stop");
        self.own_callback(|entry| &entry.on_stop, site, Box::new(move || callback(self).into_result()));
    }

    /// Called with each message. A datagram of [`Tcp`](crate::Tcp), which is bytes as they are, is one message, even
    /// without a byte in it; other protocols may find several in one.
    ///
    /// ```
    /// # use workerman::{Text, UdpWorker};
    /// # let worker = UdpWorker::<Text>::new("");
    /// worker.on_message(|connection, line| println!("{} says {line}", connection.remote_address()));
    /// ```
    #[doc(alias = "onMessage")]
    #[track_caller]
    pub fn on_message<F, R>(self, mut callback: F)
    where
        F: FnMut(UdpConnection<P>, P::Message) -> R + 'static,
        R: CallbackResult,
    {
        let site = Site::here("on_message");
        if let Some(handlers) = registry::handlers::<Handlers<P>>(self.key) {
            handlers
                .on_message
                .set(site, Box::new(move |connection, message| callback(connection, message).into_result()));
        }
    }

    /// Called when a message cannot be sent, with [`SEND_FAIL`](crate::SEND_FAIL), and when a datagram is against the
    /// protocol, or cannot be encoded, with [`PROTOCOL_FAIL`](crate::PROTOCOL_FAIL); and with a text. What is dropped inside
    /// an `on_error` raises no other: there `send` alone tells.
    ///
    /// ```
    /// # use workerman::{Frame, UdpWorker};
    /// # let worker = UdpWorker::<Frame>::new("");
    /// worker.on_error(|connection, code, text| eprintln!("{}: {code} {text}", connection.remote_address()));
    /// ```
    #[doc(alias = "onError")]
    #[track_caller]
    pub fn on_error<F, R>(self, mut callback: F)
    where
        F: FnMut(UdpConnection<P>, u32, &str) -> R + 'static,
        R: CallbackResult,
    {
        let site = Site::here("on_error");
        if let Some(handlers) = registry::handlers::<Handlers<P>>(self.key) {
            handlers
                .on_error
                .set(site, Box::new(move |connection, code, text| callback(connection, code, text).into_result()));
        }
    }

    fn own_callback(
        self,
        slot: impl FnOnce(&Entry) -> &Rc<WorkerCallback>,
        site: Site,
        callback: Box<dyn FnMut() -> Result<()>>,
    ) {
        if let Some(slot) = with_entry(self.key, |entry| Rc::clone(slot(entry))) {
            slot.set(site, callback);
        }
    }
}

/// # Listening
impl<P: Datagram> UdpWorker<P> {
    /// Listens now: in a callback, for a worker that is made while the loop runs. Its `on_worker_start` is not called,
    /// as in PHP. A worker that listens already goes on doing so.
    ///
    /// # Errors
    ///
    /// [`Error::Address`] and [`Error::Listen`] name the address and the cause. That another program has the port is none,
    /// if that one allows it, as those written with PHP do: the system gives each datagram to one of them.
    ///
    /// ```
    /// # use workerman::{Tcp, UdpWorker};
    /// # let worker = UdpWorker::<Tcp>::new("");
    /// worker.on_worker_start(|_| -> workerman::Result<()> {
    ///     let inner = UdpWorker::<Tcp>::new("udp://127.0.0.1:0");
    ///     inner.on_message(|connection, _bytes| connection.send("from inside"));
    ///     inner.listen()?;
    ///     Ok(())
    /// });
    /// ```
    pub fn listen(self) -> Result<(), Error> {
        listen(self.key)
    }

    /// Closes the socket. What waits to be sent is lost; handles answer [`SendStatus::Closed`](crate::SendStatus::Closed).
    ///
    /// ```
    /// # use workerman::{Tcp, UdpWorker};
    /// # let worker = UdpWorker::<Tcp>::new("");
    /// worker.on_message(move |_connection, _bytes| worker.unlisten());
    /// ```
    pub fn unlisten(self) {
        with_entry(self.key, |entry| entry.socket = None);
    }

    /// Sets how much may wait for room in the system's buffer, in bytes, for all peers together: 1 MiB unless set, or what
    /// [`TcpConnection::set_default_max_send_buffer_size`](crate::TcpConnection::set_default_max_send_buffer_size) says.
    /// More is dropped, and `on_error` called.
    ///
    /// ```
    /// # use workerman::{Tcp, UdpWorker};
    /// # let worker = UdpWorker::<Tcp>::new("");
    /// worker.set_max_send_buffer_size(64 * 1024);
    /// ```
    #[doc(alias = "maxSendBufferSize")]
    pub fn set_max_send_buffer_size(self, bytes: usize) {
        with_entry(self.key, |entry| {
            entry.options.max_send_buffer_size = Some(bytes);
            if let Some(socket) = &mut entry.socket {
                socket.outgoing.set_limit(bytes);
            }
        });
    }

    /// Sets whether datagrams may be sent to broadcast addresses, which the system refuses otherwise.
    ///
    /// ```
    /// # use workerman::{Tcp, UdpWorker};
    /// # let worker = UdpWorker::<Tcp>::new("");
    /// worker.set_broadcast(true);
    /// ```
    #[doc(alias = "SO_BROADCAST")]
    pub fn set_broadcast(self, enabled: bool) {
        let failed = with_entry(self.key, |entry| {
            entry.options.broadcast = enabled;
            entry.socket.as_ref()?.set_broadcast(enabled).err()
        });
        if let Some(error) = failed.flatten() {
            log::error!("broadcasting cannot be set: {error}");
        }
    }

    /// Receives what is sent to this multicast group too, on the interface that the system chooses. The worker listens on
    /// the group's port, and on `0.0.0.0`, `[::]` or the group itself.
    ///
    /// # Errors
    ///
    /// [`Error::Listen`], if the worker listens already and the system refuses. Else `listen` or `run_all` tells.
    ///
    /// ```
    /// # use workerman::{Tcp, UdpWorker};
    /// let worker = UdpWorker::<Tcp>::new("udp://0.0.0.0:5353");
    /// worker.join_multicast([224, 0, 0, 251].into())?;
    /// # workerman::Result::<()>::Ok(())
    /// ```
    pub fn join_multicast(self, group: IpAddr) -> Result<(), Error> {
        let joined = with_entry(self.key, |entry| {
            if let Some(socket) = &entry.socket {
                let failed = |source| Error::Listen { address: entry.address.clone(), source };
                socket.join(group).map_err(failed)?;
            }
            entry.options.groups.push(group);
            Ok(())
        });
        joined.unwrap_or(Ok(()))
    }
}

/// # Data of its own
impl<P: Datagram> UdpWorker<P> {
    /// Keeps a value with the worker, one of each type; see [`Worker::set`](crate::Worker::set).
    ///
    /// ```
    /// # use std::collections::HashSet;
    /// # use workerman::{Tcp, UdpConnection, UdpWorker};
    /// # let worker = UdpWorker::<Tcp>::new("");
    /// #[derive(Default)]
    /// struct Players(HashSet<UdpConnection<Tcp>>);
    ///
    /// worker.set(Players::default());
    /// worker.on_message(move |connection, _bytes| {
    ///     worker.with(|players: &mut Players| players.0.insert(connection));
    /// });
    /// ```
    pub fn set<T: 'static>(self, value: T) {
        data::set(WorkerData(self.key), value);
    }

    /// A copy of the value of this type.
    ///
    /// ```
    /// # use workerman::{Tcp, UdpWorker};
    /// let worker = UdpWorker::<Tcp>::new("");
    /// worker.set(5_u32);
    /// assert_eq!(worker.get(), Some(5_u32));
    /// ```
    pub fn get<T: Clone + 'static>(self) -> Option<T> {
        data::get(WorkerData(self.key))
    }

    /// Removes the value of this type and gives it back; `None` if there is none, or while a `with` has it.
    ///
    /// ```
    /// # use workerman::{Tcp, UdpWorker};
    /// let worker = UdpWorker::<Tcp>::new("");
    /// worker.set(5_u32);
    /// assert_eq!((worker.take(), worker.get()), (Some(5_u32), None::<u32>));
    /// ```
    pub fn take<T: 'static>(self) -> Option<T> {
        data::take(WorkerData(self.key))
    }

    /// Lends the value of this type to a closure; `None` if there is none, or while another `with` has it.
    ///
    /// ```
    /// # use workerman::{Tcp, UdpWorker};
    /// let worker = UdpWorker::<Tcp>::new("");
    /// worker.set(5_u32);
    /// worker.with(|number: &mut u32| *number += 1);
    /// assert_eq!(worker.get(), Some(6_u32));
    /// ```
    pub fn with<T: 'static, R>(self, f: impl FnOnce(&mut T) -> R) -> Option<R> {
        data::with(WorkerData(self.key), f)
    }
}

handle!(UdpWorker);

impl<P> fmt::Debug for UdpWorker<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UdpWorker({})", self.key.number())
    }
}
