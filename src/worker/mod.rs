//! Workers: an address, a protocol, callbacks; and the start and end of the loop.

mod broadcast;
mod callbacks;
mod http;
mod incoming;
mod listener;
mod overview;
mod parts;
mod processes;
mod registry;
pub(crate) mod reload;
pub(crate) mod run;
pub(crate) mod signals;
pub(crate) mod stop;
#[cfg(feature = "_tls")]
pub(crate) mod tls;
mod unix;
mod upgrade;
mod websocket;
mod which;

use std::any::Any;
use std::fmt;
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::rc::Rc;

use crate::callback::{self, PanicPolicy};
use crate::connection::{Deadlines, Driver, Handlers, TcpConnection};
use crate::data::{self, Bag};
use crate::error::{Error, Result};
use crate::handle::handle;
use crate::handover;
use crate::part::Part;
use crate::protocols::Codec;
use crate::reactor::{self, Key, Kind};
use crate::transport::Sharing;

pub(crate) use incoming::take_in;
use listener::Listener;
pub(crate) use listener::account;
pub use listener::bound::{Bound, Local};
pub(crate) use overview::overview;
use registry::{Entry, WorkerData, registry};
pub use which::Which;

/// A listener for one protocol and what happens on its connections, by a handle that is copied freely.
///
/// Make workers, set their callbacks, then [`Worker::run_all`]. A worker may be captured by its own callbacks.
/// Everything happens on the thread that does so.
///
/// ```standalone_crate
/// use workerman::{Http, Worker};
///
/// let worker = Worker::<Http>::new("http://127.0.0.1:0");
/// worker.on_message(|connection, request| {
///     connection.send(format!("hello, your address has {} bytes", request.uri().len()));
/// });
/// # Worker::stop_all();
/// Worker::run_all()?;
/// # workerman::Result::<()>::Ok(())
/// ```
pub struct Worker<P> {
    key: Key,
    protocol: PhantomData<*const P>,
}

/// # Making and naming
impl<P: Codec> Worker<P> {
    /// A worker for this address: `scheme://host:port`, or `host:port`. Port 0 lets the system choose, see
    /// [`local_addr`](Self::local_addr). `unix:///path` is a [Unix socket](#unix-sockets), whatever the protocol. With
    /// `""` the worker has no listener.
    ///
    /// Nothing is bound yet, and an address that is wrong is not an error yet: [`Worker::run_all`] and
    /// [`listen`](Self::listen) tell.
    ///
    /// ```
    /// # use workerman::{Http, Worker};
    /// let all_interfaces = Worker::<Http>::new("http://0.0.0.0:8080");
    /// let ipv6 = Worker::<Http>::new("http://[::1]:8080");
    /// let without_scheme = Worker::<Http>::new("127.0.0.1:8080");
    /// let unix = Worker::<Http>::new("unix:///run/app/http.sock");
    /// let without_listener = Worker::<Http>::new("");
    /// ```
    #[doc(alias = "__construct")]
    pub fn new(address: &str) -> Self {
        if reactor::get().is_stray() {
            log::warn!("a worker was made on a thread without an event loop while another thread runs one");
        }
        handover::move_away();
        let handlers = Rc::new(Handlers::<P>::new());
        let entry = Entry {
            name: "none".to_owned(),
            address: address.into(),
            scheme: P::SCHEME,
            access: listener::Access::default(),
            sharing: Sharing::default(),
            #[cfg(feature = "_tls")]
            tls: None,
            part: Part::default(),
            listener: None,
            paused: false,
            driver: Rc::clone(&handlers) as Rc<dyn Driver>,
            handlers: Rc::clone(&handlers) as Rc<dyn Any>,
            on_start: Rc::default(),
            on_stop: Rc::default(),
            data: Bag::default(),
        };
        let inserted = registry().with(|table| table.insert(entry));
        // A worker past the four-millionth is one that nothing ever happens to.
        let key = inserted.unwrap_or(Key::NONE);
        handlers.set_worker(key);
        Self { key, protocol: PhantomData }
    }

    /// The worker's name, `none` unless set.
    ///
    /// ```
    /// # use workerman::{Http, Worker};
    /// assert_eq!(Worker::<Http>::new("").name(), "none");
    /// ```
    pub fn name(self) -> String {
        self.entry(|entry| entry.name.clone()).unwrap_or_default()
    }

    /// Names the worker, for logs and errors.
    ///
    /// ```
    /// # use workerman::{Http, Worker};
    /// let worker = Worker::<Http>::new("");
    /// worker.set_name("api");
    /// assert_eq!(worker.name(), "api");
    /// ```
    pub fn set_name(self, name: &str) {
        self.entry(|entry| name.clone_into(&mut entry.name));
    }

    /// Sets how long peers of this worker's connections may take, from their next step on.
    ///
    /// ```
    /// # use workerman::{Deadlines, Http, Worker};
    /// # let worker = Worker::<Http>::new("");
    /// worker.set_deadlines(Deadlines::default().head(10).body(10).keep_alive(20).write(30));
    /// ```
    pub fn set_deadlines(self, deadlines: Deadlines) {
        self.with_handlers(|handlers| handlers.set_deadlines(deadlines));
    }

    /// Where the worker listens, once it does: with port 0 this is how the port is learnt. `None` on a Unix socket, which
    /// has a [`local_path`](Self::local_path).
    ///
    /// ```
    /// # use workerman::{Http, Worker};
    /// let worker = Worker::<Http>::new("http://127.0.0.1:0");
    /// worker.on_worker_start(|worker| println!("listening on {:?}", worker.local_addr()));
    /// ```
    #[doc(alias = "getSocketName")]
    pub fn local_addr(self) -> Option<SocketAddr> {
        self.entry(|entry| entry.listener.as_ref().and_then(Listener::local_addr)).flatten()
    }
}

/// # Connections
impl<P: Codec> Worker<P> {
    /// The worker's connections, one after another. The walk holds nothing fast: connections may be closed and sent to
    /// on the way, and those that come meanwhile may be met or not.
    ///
    /// ```
    /// # use workerman::{Http, ServerSentEvents, Timer, Worker};
    /// # let worker = Worker::<Http>::new("");
    /// Timer::add(1, move || {
    ///     let event = ServerSentEvents::new().data("to all");
    ///     for connection in worker.connections() {
    ///         connection.send(&event);
    ///     }
    /// });
    /// # workerman::Timer::del_all();
    /// ```
    pub fn connections(self) -> Connections<P> {
        Connections { worker: self.key, next_slot: 0, protocol: PhantomData }
    }

    /// The connection with this id, if it is this worker's: PHP's `$worker->connections[$id]`.
    ///
    /// ```
    /// # use workerman::{Http, Worker};
    /// # let worker = Worker::<Http>::new("");
    /// assert!(worker.connection(1).is_none());
    /// ```
    #[doc(alias = "connections")]
    pub fn connection(self, id: u64) -> Option<TcpConnection<P>> {
        TcpConnection::find(id).filter(|connection| connection.worker_key() == Some(self.key))
    }
}

/// # Listening
impl<P: Codec> Worker<P> {
    /// Listens now: in a callback, for a worker that is made while the loop runs. Its `on_worker_start` is not called,
    /// as in PHP. A worker that listens already goes on doing so.
    ///
    /// # Errors
    ///
    /// [`Error::Address`] and [`Error::Listen`] name the address and the cause.
    ///
    /// ```
    /// # use workerman::{Http, Worker};
    /// # let worker = Worker::<Http>::new("");
    /// worker.on_worker_start(|_| -> workerman::Result<()> {
    ///     let inner = Worker::<Http>::new("http://127.0.0.1:0");
    ///     inner.on_message(|connection, _request| connection.send("from inside"));
    ///     inner.listen()?;
    ///     Ok(())
    /// });
    /// ```
    pub fn listen(self) -> Result<(), Error> {
        run::listen(self.key)
    }

    /// Takes no more connections for now; they wait in the system's queue. Those there are go on. A worker that does not
    /// listen yet will take none when it does.
    ///
    /// ```
    /// # use workerman::{Http, Timer, Worker};
    /// # let worker = Worker::<Http>::new("");
    /// worker.on_message(move |connection, _request| {
    ///     worker.pause_accept();
    ///     Timer::delay(10, move || worker.resume_accept());
    ///     connection.send("nobody comes in for ten seconds")
    /// });
    /// ```
    #[doc(alias = "pauseAccept")]
    pub fn pause_accept(self) {
        self.entry(|entry| entry.paused = true);
    }

    /// Takes connections again, those that waited first.
    ///
    /// ```
    /// # use workerman::{Http, Worker};
    /// # let worker = Worker::<Http>::new("");
    /// worker.resume_accept();
    /// ```
    #[doc(alias = "resumeAccept")]
    pub fn resume_accept(self) {
        self.entry(|entry| entry.paused = false);
        reactor::get().list(Kind::Listener, self.key);
    }

    /// Sets how many connections the worker has at most. More are not accepted: they wait in the system's queue until
    /// one closes.
    ///
    /// ```
    /// # use workerman::{Http, Worker};
    /// # let worker = Worker::<Http>::new("");
    /// worker.set_max_connections(10_000);
    /// ```
    pub fn set_max_connections(self, limit: usize) {
        if let Some(driver) = driver(self.key) {
            driver.admission().set_limit(limit);
            reactor::get().list(Kind::Listener, self.key);
        }
    }

    /// Sets how many connections one address has at most. More are closed as soon as they are accepted, without
    /// `on_connect`, and counted in [`refused_connections`](Self::refused_connections). Set it before the loop runs:
    /// connections that are open then do not count.
    ///
    /// ```
    /// # use workerman::{Http, Worker};
    /// # let worker = Worker::<Http>::new("");
    /// worker.set_max_connections_per_address(100);
    /// ```
    pub fn set_max_connections_per_address(self, limit: usize) {
        if let Some(driver) = driver(self.key) {
            driver.admission().set_limit_per_address(limit);
        }
    }

    /// How many connections were refused because their address has too many.
    ///
    /// ```
    /// # use workerman::{Http, Worker};
    /// assert_eq!(Worker::<Http>::new("").refused_connections(), 0);
    /// ```
    pub fn refused_connections(self) -> u64 {
        driver(self.key).map_or(0, |driver| driver.admission().refused())
    }

    /// Stops accepting and closes the listener; the connections stay. The file of a Unix socket is removed.
    ///
    /// ```
    /// # use workerman::{Http, Worker};
    /// # let worker = Worker::<Http>::new("");
    /// worker.on_message(move |connection, _request| {
    ///     worker.unlisten();
    ///     connection.send("nobody else comes in")
    /// });
    /// ```
    pub fn unlisten(self) {
        self.entry(|entry| entry.listener = None);
    }
}

/// # Data of its own
impl<P: Codec> Worker<P> {
    /// Keeps a value with the worker: the place for what PHP programs hang on it, such as `$worker->uidConnections`.
    /// There is one value of each type.
    ///
    /// ```
    /// # use std::collections::HashMap;
    /// # use workerman::{Http, TcpConnection, Worker};
    /// # let worker = Worker::<Http>::new("");
    /// struct Users(HashMap<u32, TcpConnection<Http>>);
    ///
    /// worker.set(Users(HashMap::new()));
    /// worker.on_connect(move |connection| {
    ///     worker.with(|users: &mut Users| users.0.insert(7, connection));
    /// });
    /// ```
    pub fn set<T: 'static>(self, value: T) {
        data::set(WorkerData(self.key), value);
    }

    /// A copy of the value of this type.
    ///
    /// ```
    /// # use workerman::{Http, Worker};
    /// let worker = Worker::<Http>::new("");
    /// worker.set(5_u32);
    /// assert_eq!(worker.get(), Some(5_u32));
    /// ```
    pub fn get<T: Clone + 'static>(self) -> Option<T> {
        data::get(WorkerData(self.key))
    }

    /// Lends the value of this type to a closure; `None` if there is none, or while another `with` has it.
    ///
    /// ```
    /// # use workerman::{Http, Worker};
    /// let worker = Worker::<Http>::new("");
    /// worker.set(5_u32);
    /// worker.with(|number: &mut u32| *number += 1);
    /// assert_eq!(worker.get(), Some(6_u32));
    /// ```
    pub fn with<T: 'static, R>(self, f: impl FnOnce(&mut T) -> R) -> Option<R> {
        data::with(WorkerData(self.key), f)
    }

    /// Removes the value of this type and gives it back; `None` if there is none, or while a `with` has it.
    ///
    /// ```
    /// # use workerman::{Http, Worker};
    /// let worker = Worker::<Http>::new("");
    /// worker.set(5_u32);
    /// assert_eq!((worker.take(), worker.get()), (Some(5_u32), None::<u32>));
    /// ```
    #[doc(alias = "unset")]
    pub fn take<T: 'static>(self) -> Option<T> {
        data::take(WorkerData(self.key))
    }
}

/// # All workers of a thread
impl Worker<()> {
    /// Sets what a panic or an `Err` in a callback costs, for the loop of this thread.
    ///
    /// ```
    /// # use workerman::{PanicPolicy, Worker};
    /// Worker::set_panic_policy(PanicPolicy::CloseConnection);
    /// ```
    pub fn set_panic_policy(policy: PanicPolicy) {
        callback::set_policy(policy);
    }

    /// Sets how long peers may take, for workers of the process that are made from here on.
    ///
    /// ```
    /// # use workerman::{Deadlines, Worker};
    /// Worker::set_default_deadlines(Deadlines::default().keep_alive(20));
    /// ```
    pub fn set_default_deadlines(deadlines: Deadlines) {
        deadlines.set_default();
    }

    /// Whether the loop of the main thread takes the signals that [stop](#stopping) it, which is so unless set otherwise.
    /// Call it before `run_all`.
    ///
    /// ```
    /// # use workerman::Worker;
    /// Worker::set_signals(false);
    /// ```
    pub fn set_signals(enabled: bool) {
        signals::set_enabled(enabled);
    }
}

impl<P> Worker<P> {
    pub(crate) fn key(self) -> Key {
        self.key
    }

    fn entry<R>(self, f: impl FnOnce(&mut Entry) -> R) -> Option<R> {
        registry().with(|table| Some(f(table.get_mut(self.key)?)))
    }
}

impl<P: Codec> Worker<P> {
    /// What its connections share, with its type.
    fn handlers(self) -> Option<Rc<Handlers<P>>> {
        self.entry(|entry| Rc::clone(&entry.handlers))?.downcast().ok()
    }

    fn with_handlers(self, f: impl FnOnce(&Handlers<P>)) {
        if let Some(handlers) = self.handlers() {
            f(&handlers);
        }
    }
}

/// The driver of a worker, for connections that no listener brings.
pub(crate) fn driver(key: Key) -> Option<Rc<dyn Driver>> {
    registry().with(|table| Some(Rc::clone(&table.get(key)?.driver)))
}

/// A walk over a worker's connections; see [`Worker::connections`].
///
/// ```
/// # use workerman::{Http, Worker};
/// # let worker = Worker::<Http>::new("");
/// assert_eq!(worker.connections().count(), 0);
/// ```
#[derive(Debug)]
pub struct Connections<P> {
    worker: Key,
    next_slot: u32,
    protocol: PhantomData<*const P>,
}

impl<P: Codec> Iterator for Connections<P> {
    type Item = TcpConnection<P>;

    fn next(&mut self) -> Option<TcpConnection<P>> {
        let connection = TcpConnection::next_of(self.worker, self.next_slot)?;
        self.next_slot = connection.slot() + 1;
        Some(connection)
    }
}

handle!(Worker);

impl<P> fmt::Debug for Worker<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Worker({})", self.key.number())
    }
}
