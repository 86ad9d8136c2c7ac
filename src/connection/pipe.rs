//! What one connection receives goes to another.
//!
//! ```text
//!  source ──each message──▶ destination
//!     ▲                          │
//!     ├── pauses when the send buffer of the destination is full, goes on when all of it has left
//!     └── when either is closed, so is the other, once what waits for its peer has left
//! ```
//!
//! Both ends know of each other by their keys, so nothing but `on_message` is taken from the app: its `on_close` and the
//! others run as ever, and the pipe does its part behind them.
//!
//! A source is read although its own peer may read nothing: the two directions of a tunnel do not wait for each other.
//!
//! One that is still to come, a client's, is a destination too: its source is paused until it stands.
//!
//! Invariants: no message is dropped for lack of room, since that would be a hole; a source whose destination is full is
//! paused before its next message, so one message at most waits beyond the limit of the send buffer.

use super::TcpConnection;
use super::custom;
use super::event::Event;
use super::lifecycle;
use super::state::{Flags, state, visit};
use super::status::{SendStatus, Status};
use super::write::{self, Limit};
use crate::protocols::{Codec, Encode};
use crate::reactor::Key;

/// How a connection is joined with others.
#[derive(Debug, Default)]
pub(super) struct Joints {
    /// Where its messages go.
    to: Option<Key>,
    /// Whose messages come here.
    from: Vec<Key>,
    /// It is paused, because there is no room where its messages go.
    held: bool,
}

impl Joints {
    /// Whether all that a connection receives is for another.
    pub(super) fn lead_away(&self) -> bool {
        self.to.is_some()
    }
}

/// What can be [piped](TcpConnection::pipe) to: a connection, or an [`AsyncTcpConnection`](crate::AsyncTcpConnection), which
/// need not stand yet.
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
pub trait Destination: Copy + 'static {
    /// What it speaks.
    type Protocol: Codec;

    /// The connection, if it stands.
    #[doc(hidden)]
    fn at_once(self) -> Option<TcpConnection<Self::Protocol>>;

    /// Has this called once it stands; it is dropped if that never comes about.
    #[doc(hidden)]
    fn in_time(self, then: impl FnOnce(TcpConnection<Self::Protocol>) + 'static);

    /// Closes, since what was to come here never will.
    #[doc(hidden)]
    fn part(self);
}

impl<P: Codec> Destination for TcpConnection<P> {
    type Protocol = P;

    fn at_once(self) -> Option<Self> {
        Some(self)
    }

    fn in_time(self, then: impl FnOnce(Self) + 'static) {
        then(self);
    }

    fn part(self) {
        close(self.key);
    }
}

/// One end of a pipe that is still to be. It closes with that, if nothing comes of it.
pub(crate) struct Pending<D: Destination>(Option<D>);

impl<D: Destination> Pending<D> {
    pub(crate) fn new(end: D) -> Self {
        Self(Some(end))
    }

    /// The other end is there.
    pub(crate) fn take(mut self) -> Option<D> {
        self.0.take()
    }
}

impl<D: Destination> Drop for Pending<D> {
    fn drop(&mut self) {
        if let Some(end) = self.0.take() {
            end.part();
        }
    }
}

/// # To another connection
impl<P: Codec> TcpConnection<P> {
    /// Sends each message of this connection on to another, from now on; for both directions, call it on both.
    ///
    /// * While the other's send buffer is full, this connection is paused, and it goes on when that has drained; so nothing
    ///   is dropped, and what waits is bounded. Do not pause and resume a connection of your own accord that is the source
    ///   of a pipe.
    /// * When this connection closes, by FIN or in any other way, the other closes as soon as what came before has left.
    ///   When the other closes, so does this one, and likewise when the other cannot take a message.
    /// * It sets this connection's own `on_message`; set it anew, and messages go elsewhere. All other callbacks stay as
    ///   they are, those of the worker too. (PHP overwrites `onClose` here, `onBufferFull` and `onBufferDrain` there.)
    /// * A second pipe from this connection takes the place of the first. Into one connection there may be many.
    /// * A client that does not stand yet has this connection wait, paused. When nothing comes of it, this connection closes.
    /// * It ends when this connection switches to another protocol, and closes nothing then. When the other does, it cannot
    ///   take the next message.
    ///
    /// What this connection receives, the other has to be able to send. Bytes from [`Tcp`](crate::Tcp) are binary messages on a
    /// WebSocket, and messages of a WebSocket are plain bytes on `Tcp`.
    ///
    /// ```
    /// # use workerman::{Tcp, TcpConnection};
    /// fn tunnel(one: TcpConnection<Tcp>, other: TcpConnection<Tcp>) {
    ///     one.pipe(other);
    ///     other.pipe(one);
    /// }
    /// ```
    #[track_caller]
    pub fn pipe<D>(self, to: D)
    where
        D: Destination,
        D::Protocol: Encode<P::Message>,
    {
        if self.status() != Status::Established {
            return;
        }
        leave(self.key);
        if let Some(to) = to.at_once() {
            return self.join(to);
        }
        hold(self.key);
        let source = Pending::new(self);
        to.in_time(move |to| match source.take().filter(|source| source.status() == Status::Established) {
            Some(source) => {
                release(source.key);
                source.join(to);
            }
            None => to.close(),
        });
    }

    fn join<Q>(self, to: TcpConnection<Q>)
    where
        Q: Encode<P::Message>,
    {
        let full = visit(to.key, |visit| {
            let stands = visit.status == Status::Established && visit.driver.speaks::<Q>();
            stands.then(|| {
                visit.extra().joints.from.push(self.key);
                visit.is_congested()
            })
        });
        let Some(full) = full.flatten() else { return self.close() };
        self.on_message(move |source, message| pass(source, to, message));
        visit(self.key, |visit| {
            visit.extra().joints.to = Some(to.key);
            visit.list_if_ready();
        });
        if full {
            hold(self.key);
        }
    }
}

/// Sends a message on, however full the other's buffer is, and lets the next one wait until there is room.
fn pass<P: Codec, Q: Encode<P::Message>>(from: TcpConnection<P>, to: TcpConnection<Q>, message: P::Message) {
    let status =
        write::transmit(to.key, 0, Limit::Ignore, |codec: &mut Q, output| custom::encode(codec, message, output));
    match status {
        SendStatus::Sent => {}
        SendStatus::Queued => {
            if visit(to.key, |visit| visit.is_congested()) == Some(true) {
                hold(from.key);
            }
        }
        // Without this message, those that follow mean something else.
        SendStatus::Dropped | SendStatus::Closed | SendStatus::WrongProtocol => from.close(),
    }
}

/// Something has happened to a connection, and its callback has run.
pub(super) fn follow(key: Key, event: Event) {
    match event {
        Event::BufferFull => for_sources(key, hold),
        Event::BufferDrain if visit(key, |visit| visit.is_congested()) == Some(false) => for_sources(key, release),
        _ => {}
    }
}

/// A connection is gone: so are those that it was joined with.
pub(super) fn sever(key: Key, joints: Joints) {
    if let Some(to) = joints.to {
        visit(to, |visit| visit.extra().joints.from.retain(|from| *from != key));
        close(to);
    }
    joints.from.into_iter().for_each(close);
}

/// Closes a connection, unless it is about to be closed.
fn close(key: Key) {
    if visit(key, |visit| visit.status) == Some(Status::Established) {
        lifecycle::close(key);
    }
}

/// The messages of this connection go nowhere any more.
pub(super) fn leave(key: Key) {
    release(key);
    if let Some(to) = visit(key, |visit| visit.extra.as_mut()?.joints.to.take()).flatten() {
        visit(to, |visit| visit.extra().joints.from.retain(|from| *from != key));
    }
}

fn for_sources(key: Key, f: fn(Key)) {
    let source = |nth: usize| state().with(|state| state.get(key)?.extra.as_ref()?.joints.from.get(nth).copied());
    for nth in 0.. {
        let Some(source) = source(nth) else { return };
        f(source);
    }
}

/// Pauses a source, unless the app has.
fn hold(key: Key) {
    visit(key, |visit| {
        if !visit.flags.has(Flags::PAUSED) {
            visit.flags.set(Flags::PAUSED);
            visit.set_deadline(false);
            visit.extra().joints.held = true;
        }
    });
}

/// Lets a source go on that was paused by its pipe.
fn release(key: Key) {
    visit(key, |visit| {
        let held = visit.extra.as_mut().is_some_and(|extra| std::mem::take(&mut extra.joints.held));
        if held {
            visit.flags.clear(Flags::PAUSED);
            visit.list_if_ready();
            visit.set_deadline(false);
        }
    });
}
