//! Connections: the handle that users hold, and everything behind it.
//!
//! A [`TcpConnection`] is a key into a table of this thread (`state`); the way in is `read`, the way out is `write`,
//! birth and death are in `lifecycle`, and `driver` leads from untyped connections to typed callbacks. The handle's other
//! methods are in `about` and `own`.

mod about;
mod admission;
pub(crate) mod along;
mod broadcast;
mod callbacks;
#[cfg(feature = "session")]
pub(crate) mod companion;
pub(crate) mod custom;
mod deadline;
mod defaults;
mod driver;
mod event;
#[cfg(feature = "_tls")]
pub(crate) mod handshake;
mod http;
pub(crate) mod id;
mod input;
mod last;
mod lifecycle;
mod own;
mod owner;
mod pipe;
mod read;
mod remote;
mod state;
mod status;
mod stopping;
mod survey;
mod switched;
pub(crate) mod tally;
mod tls;
mod upgrade;
mod websocket;
mod write;

use std::fmt;
use std::marker::PhantomData;
use std::rc::Rc;

use crate::callback;
use crate::handle::handle;
use crate::protocols::output::After;
use crate::protocols::{Codec, Encode};
use crate::reactor::Key;

use state::{Connection, Flags, state, visit};

pub(crate) use admission::Admission;
pub use broadcast::Broadcast;
pub(crate) use broadcast::broadcast;
pub(crate) use callbacks::Callbacks;
pub use deadline::Deadlines;
pub(crate) use driver::{Driver, Handlers};
pub(crate) use last::with_last_codec;
pub(crate) use lifecycle::{Reporting, clear, count, destroy_all, install, open};
pub(crate) use owner::Owner;
pub use pipe::Destination;
pub(crate) use pipe::Pending;
pub use remote::RemoteConnection;
pub use status::{CONNECT_FAIL, PROTOCOL_FAIL, SEND_FAIL, SendStatus, Status};
pub(crate) use stopping::{awaits_guests, retire_all, retire_late};
pub(crate) use survey::{Survey, survey};
pub use upgrade::UpgradeError;

/// A connection, by a handle that is copied freely: into closures, timers, maps.
///
/// The handle never keeps the connection alive. Once that is gone, [`status`](Self::status) says
/// [`Status::Closed`] and [`send`](Self::send) answers [`SendStatus::Closed`], for ever: no later connection is reached
/// by an old handle. The handle given to `on_message` also remembers its request, so a late answer reaches that request
/// or nothing; handles from elsewhere address whichever request is open. Handles belong to their thread.
pub struct TcpConnection<P> {
    key: Key,
    /// The message this handle came with, 0 for none.
    ticket: u32,
    protocol: PhantomData<*const P>,
}

/// # Sending
impl<P: Codec> TcpConnection<P> {
    /// Sends a message: on [`Http`](crate::Http) a [`Response`](crate::Response), a
    /// [`ServerSentEvents`](crate::ServerSentEvents), text or bytes.
    ///
    /// What is sent in a callback leaves when the callback returns, in one write. When
    /// [`max_send_buffer_size`](Self::set_max_send_buffer_size) bytes or more wait already, the message is dropped and
    /// `on_error` called with [`SEND_FAIL`]; the limit is checked before the message is added, so one large message
    /// always passes. A message that belongs to no request or stream is dropped too, and logged once.
    ///
    /// ```
    /// # use workerman::{Http, Response, Worker};
    /// # let worker = Worker::<Http>::new("");
    /// worker.on_message(|connection, request| match request.path() {
    ///     "/json" => connection.send(Response::new(200, &[("Content-Type", "application/json")], "[]")),
    ///     _ => connection.send("text"),
    /// });
    /// ```
    pub fn send<M>(self, message: M) -> SendStatus
    where
        P: Encode<M>,
    {
        write::transmit(self.key, self.ticket, write::Limit::Keep, |codec: &mut P, output| {
            custom::encode(codec, message, output)
        })
    }

    /// Sends bytes as they are, PHP's `send($bytes, true)`. Before any `Response` the app frames the whole answer
    /// itself, and the request counts as answered when the callback returns; closing is then the app's. On an open event
    /// stream the bytes travel inside it.
    ///
    /// Pieces of an answer that is owed are never dropped, whatever the limit of the send buffer: what one callback sends
    /// in a loop is kept until the peer has read it.
    ///
    /// ```
    /// # use workerman::{Http, Worker};
    /// # let worker = Worker::<Http>::new("");
    /// worker.on_message(|connection, _request| {
    ///     connection.send_raw("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    /// });
    /// ```
    #[doc(alias = "send")]
    pub fn send_raw(self, bytes: impl AsRef<[u8]>) -> SendStatus {
        // User code: before anything is taken out.
        let bytes = bytes.as_ref();
        let status = write::transmit(self.key, self.ticket, write::Limit::Keep, |codec: &mut P, output| {
            codec.encode_raw(bytes, output)
        });
        if !status.is_accepted() {
            return status;
        }
        let unsettled = self.update(|connection| {
            let answers = connection.flags.has(Flags::OWES);
            connection.flags.assign(Flags::RAW, answers);
            (answers && !connection.flags.has(Flags::CORKED | Flags::TOUCHED)).then(|| Rc::clone(&connection.driver))
        });
        match unsettled.flatten() {
            Some(_) if callback::is_inside() => write::touch(self.key),
            // Outside of callbacks there is no return to wait for.
            Some(driver) => driver.settle_raw(self.key),
            None => {}
        }
        status
    }

    /// Closes the connection once everything sent before has left: the status is [`Status::Closing`] until then. An
    /// open event stream is ended properly. What the peer sends from here on is not delivered.
    ///
    /// ```
    /// # use workerman::{Http, Worker};
    /// # let worker = Worker::<Http>::new("");
    /// worker.on_message(|connection, _request| {
    ///     connection.send("bye");
    ///     connection.close();
    /// });
    /// ```
    pub fn close(self) {
        lifecycle::close(self.key);
    }

    /// Sends a last message and closes: PHP's `close($data)`. The message is queued even when the send buffer is full
    /// (PHP drops it).
    ///
    /// ```
    /// # use workerman::{Http, Response, Worker};
    /// # let worker = Worker::<Http>::new("");
    /// worker.on_message(|connection, _request| connection.close_with(Response::new(403, &[], "no")));
    /// ```
    #[doc(alias = "close")]
    pub fn close_with<M>(self, message: M)
    where
        P: Encode<M>,
    {
        write::transmit(self.key, self.ticket, write::Limit::Ignore, |codec: &mut P, output| {
            custom::encode(codec, message, output)
        });
        lifecycle::close(self.key);
    }

    /// Ends the connection gently: what was sent leaves, then FIN; what the peer still sends is read and thrown away
    /// until it has closed too, or for [`set_linger_timeout`](Self::set_linger_timeout) (1 s). So a peer that is still
    /// sending can read the last answer, which a plain close could cut off. The status is [`Status::Ending`] until then.
    ///
    /// ```
    /// # use workerman::{Http, Worker};
    /// # let worker = Worker::<Http>::new("");
    /// worker.on_message(|connection, _request| {
    ///     connection.send("bye");
    ///     connection.end();
    /// });
    /// ```
    pub fn end(self) {
        lifecycle::end(self.key);
    }

    /// Sends a last message and ends: PHP's `end($data)`. The message is queued even when the send buffer is full.
    ///
    /// ```
    /// # use workerman::{Http, Response, Worker};
    /// # let worker = Worker::<Http>::new("");
    /// worker.on_message(|connection, _request| connection.end_with(Response::new(413, &[], "too much")));
    /// ```
    #[doc(alias = "end")]
    pub fn end_with<M>(self, message: M)
    where
        P: Encode<M>,
    {
        write::transmit(self.key, self.ticket, write::Limit::Ignore, |codec: &mut P, output| {
            let encoded = custom::encode(codec, message, output);
            output.after = After::Stay;
            encoded
        });
        lifecycle::end(self.key);
    }

    /// Closes the connection at once; bytes that wait for the peer are lost.
    ///
    /// ```
    /// # use workerman::{Http, Worker};
    /// # let worker = Worker::<Http>::new("");
    /// worker.on_buffer_full(|connection| connection.destroy());
    /// ```
    pub fn destroy(self) {
        lifecycle::destroy(self.key);
    }
}

/// # Receiving
impl<P: Codec> TcpConnection<P> {
    /// Delivers no messages from here on. What the peer sends stays in the kernel's buffer, so a peer that sends more
    /// has to wait: this is back-pressure. Sending goes on.
    ///
    /// ```
    /// # use workerman::{Tcp, TcpConnection};
    /// # fn example(from: TcpConnection<Tcp>) {
    /// from.pause_recv();
    /// from.add_timer(30, move || from.resume_recv());
    /// # }
    /// ```
    #[doc(alias = "pauseRecv")]
    pub fn pause_recv(self) {
        visit(self.key, |visit| {
            visit.flags.set(Flags::PAUSED);
            visit.set_deadline(false);
        });
    }

    /// Delivers messages again, those that waited first, in the next turn of the loop.
    ///
    /// ```
    /// # use workerman::{Tcp, TcpConnection};
    /// # fn example(connection: TcpConnection<Tcp>) {
    /// connection.resume_recv();
    /// # }
    /// ```
    #[doc(alias = "resumeRecv")]
    pub fn resume_recv(self) {
        visit(self.key, |visit| {
            visit.flags.clear(Flags::PAUSED);
            visit.list_if_ready();
            visit.set_deadline(false);
        });
    }
}

impl<P: Codec> TcpConnection<P> {
    /// A handle without a request: what it sends goes to whichever is open.
    pub(crate) fn new(key: Key) -> Self {
        Self::with_ticket(key, 0)
    }

    #[inline]
    fn with_ticket(key: Key, ticket: u32) -> Self {
        Self { key, ticket, protocol: PhantomData }
    }

    /// The first connection of this worker at or after a slot of the table, for walks that survive any change.
    pub(crate) fn next_of(worker: Key, mut slot: u32) -> Option<Self> {
        state().with(|state| {
            loop {
                let (key, connection) = state.table.next_from(slot)?;
                if connection.driver.worker() == worker {
                    return Some(Self::new(key));
                }
                slot = key.slot + 1;
            }
        })
    }

    pub(crate) fn key(self) -> Key {
        self.key
    }

    pub(crate) fn slot(self) -> u32 {
        self.key.slot
    }

    /// The worker that accepted the connection.
    pub(crate) fn worker_key(self) -> Option<Key> {
        self.read(|connection| connection.driver.worker())
    }

    /// The client that has made the connection; [`Key::NONE`] for none.
    pub(crate) fn client(self) -> Key {
        self.read(|connection| connection.driver.client()).unwrap_or(Key::NONE)
    }

    #[inline]
    fn read<R>(self, f: impl FnOnce(&Connection) -> R) -> Option<R> {
        visit(self.key, |visit| f(visit))
    }

    fn update<R>(self, f: impl FnOnce(&mut Connection) -> R) -> Option<R> {
        visit(self.key, |visit| f(visit))
    }
}

handle!(TcpConnection);

impl<P> fmt::Debug for TcpConnection<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TcpConnection({})", id::of(self.key))
    }
}
