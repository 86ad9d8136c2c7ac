//! What the framework keeps of a connection, inline in one table: everything small and usual here, the rest boxed.
//!
//! Invariants: an idle connection owns no buffer and no box; nothing in here runs user code; a connection stays in the
//! table, `Closed`, until its `on_close` has returned, so that its id, addresses and user data can be read there.

use std::any::Any;
use std::net::SocketAddr;
use std::ops::{Deref, DerefMut};
use std::rc::Rc;

use super::along::Along;
use super::deadline::{NEVER, Sweep};
use super::driver::Driver;
use super::pipe::Joints;
use super::status::Status;
use super::switched::Known;
use crate::data::{Bag, Holder};
use crate::protocols::output::Outbound;
use crate::protocols::{Codec, Pace, pool};
use crate::reactor::{self, Key, Kind, Table};
use crate::shared::{Leaked, Shared};
use crate::transport::{Readiness, Transport};

thread_local! {
    static STATE: Leaked<Shared<State>> = const { Leaked::new() };
}

/// The connections of this thread.
#[inline]
pub(crate) fn state() -> &'static Shared<State> {
    STATE.with(Leaked::get)
}

/// Lends a connection, if there is one under this key. The closure must not run user code.
#[inline]
pub(super) fn visit<R>(key: Key, f: impl FnOnce(&mut Visit<'_>) -> R) -> Option<R> {
    state().with(|state| Some(f(&mut state.visit(key)?)))
}

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(super) table: Table<Connection>,
    spare: Spare,
    pub(super) sweep: Sweep,
    pub(super) switched: Known,
}

/// A connection that was looked up, and what working on it needs besides: one look-up, however much there is to do.
#[derive(Debug)]
pub(super) struct Visit<'a> {
    pub(super) key: Key,
    pub(super) connection: &'a mut Connection,
    pub(super) spare: &'a mut Spare,
    pub(super) sweep: &'a mut Sweep,
}

impl Visit<'_> {
    /// Has the connection visited in the next turn if there is something it could go on with.
    #[inline]
    pub(super) fn list_if_ready(&mut self) {
        // An incomplete message is no reason: nothing comes of it until more has arrived.
        let has_input = self.flags.has(Flags::PENDING | Flags::READABLE | Flags::READ_CLOSED);
        if has_input && !self.flags.has(Flags::LISTED | Flags::CORKED) && self.wants_input() {
            self.list();
        }
    }

    /// Has the connection visited in the next turn.
    #[inline]
    pub(super) fn list(&mut self) {
        if !self.flags.has(Flags::LISTED) {
            self.flags.set(Flags::LISTED);
            reactor::get().list(Kind::Connection, self.key);
        }
    }
}

impl Deref for Visit<'_> {
    type Target = Connection;

    #[inline]
    fn deref(&self) -> &Connection {
        self.connection
    }
}

impl DerefMut for Visit<'_> {
    #[inline]
    fn deref_mut(&mut self) -> &mut Connection {
        self.connection
    }
}

/// Queues that are empty and will be used again: the usual answer needs no allocation.
#[derive(Debug, Default)]
#[allow(clippy::vec_box)] // the box moves between here and a connection, its content stays
pub(super) struct Spare(Vec<Box<Outbound>>);

impl Spare {
    /// An empty queue.
    #[inline]
    pub(super) fn take(&mut self) -> Box<Outbound> {
        self.0.pop().unwrap_or_default()
    }

    /// Takes a queue back.
    #[inline]
    pub(super) fn recycle(&mut self, mut outbound: Box<Outbound>) {
        outbound.reset();
        if self.0.len() < SPARE_LIMIT && outbound.capacity() <= SPARE_ROOM {
            self.0.push(outbound);
        }
    }
}

/// Spare queues beyond these are freed.
const SPARE_LIMIT: usize = 64;
/// A spare queue keeps at most this much room.
const SPARE_ROOM: usize = 16 * 1024;

#[derive(Debug)]
pub(crate) struct Connection {
    pub(super) transport: Transport,
    pub(super) driver: Rc<dyn Driver>,
    pub(super) codec: CodecSlot,
    /// Bytes that were read and are not decoded yet.
    pub(super) inbound: Option<Box<Inbound>>,
    /// Bytes that have not left yet; `None` for none.
    pub(super) outbound: Option<Box<Outbound>>,
    pub(super) extra: Option<Box<Extra>>,
    /// Kept because a reset socket no longer knows it; `None` on a Unix socket.
    pub(super) remote: Option<SocketAddr>,
    pub(super) bytes_read: u64,
    pub(super) bytes_written: u64,
    pub(super) max_send_buffer_size: u32,
    pub(super) max_package_size: u32,
    /// The tick of its deadline, and what that is for.
    pub(super) deadline: u32,
    pub(super) pace: Pace,
    /// What the codec expects of the peer.
    pub(super) codec_pace: Pace,
    pub(super) status: Status,
    pub(super) flags: Flags,
}

/// So much may wait beyond the limit of the send buffer in answers that no app has sent: Pongs.
const CONTROL_ROOM: usize = 4 * 1024;

/// The size that decides what an idle connection costs.
const _: () = assert!(size_of::<Connection>() <= 160);

/// The codec of a connection, packed while it is at rest.
#[derive(Debug)]
pub(crate) enum CodecSlot {
    Parked(u64),
    /// An `Option` of it, `None` while it is in use: the box stays. Of a codec of no size, the codec itself, which
    /// allocates nothing.
    Boxed(Box<dyn Any>),
    /// In use further up the stack.
    Out,
}

impl CodecSlot {
    /// The codec, if it is in the middle of something.
    pub(super) fn at_work<P: Codec>(&mut self) -> Option<&mut P> {
        if let Self::Boxed(boxed) = self { boxed.downcast_mut::<Option<P>>()?.as_mut() } else { None }
    }

    /// The codec of a new connection.
    pub(super) fn new<P: Codec>(codec: P) -> Self {
        let mut slot = Self::Out;
        match codec.park() {
            Ok(bits) => slot = Self::Parked(bits),
            Err(codec) => slot.keep(codec),
        }
        slot
    }

    fn keep<P: Codec>(&mut self, codec: P) {
        if size_of::<P>() == 0 {
            *self = Self::Boxed(Box::new(codec));
        } else if let Self::Boxed(boxed) = self
            && let Some(place) = boxed.downcast_mut::<Option<P>>()
        {
            *place = Some(codec);
        } else {
            *self = Self::Boxed(Box::new(Some(codec)));
        }
    }

    fn unbox<P: Codec>(&mut self) -> Option<P> {
        let Self::Boxed(boxed) = self else { return None };
        if size_of::<P>() > 0 {
            return boxed.downcast_mut::<Option<P>>()?.take();
        }
        if !boxed.is::<P>() {
            return None;
        }
        let Self::Boxed(boxed) = std::mem::replace(self, Self::Out) else { return None };
        boxed.downcast().ok().map(|codec| *codec)
    }
}

/// Bytes that were read and not consumed: the first `start` of them are done with.
#[derive(Debug, Default)]
pub(super) struct Inbound {
    pub(super) bytes: Vec<u8>,
    pub(super) start: usize,
    /// So many bytes the message has that begins there, as far as the codec has said; 0 for as yet unknown.
    pub(super) length: usize,
}

/// What few connections have.
#[derive(Debug, Default)]
pub(super) struct Extra {
    pub(super) data: Bag,
    /// How long it listens for the peer's FIN when it ends, in nanoseconds.
    pub(super) linger: Option<u64>,
    /// Timers that end with the connection.
    pub(super) timers: Vec<Key>,
    /// The connections that its messages go to and come from.
    pub(super) joints: Joints,
    /// How many broadcasts in a row found no room.
    pub(super) missed: u32,
    /// The connection's own callbacks, by the types of the protocols that it has spoken: mostly one.
    pub(super) callbacks: Vec<Rc<dyn Any>>,
    /// Why its protocol has failed, until `on_error` has been told.
    pub(super) failure: Option<Box<str>>,
    /// What goes along with the next answer.
    pub(super) along: Along,
}

/// One bit for each thing to remember.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Flags(u32);

impl Flags {
    /// Bytes may wait in the transport.
    pub(super) const READABLE: u32 = 1;
    /// The transport has said that the peer sends no more.
    pub(super) const READ_CLOSED: u32 = 1 << 1;
    /// The app wants no messages now.
    pub(super) const PAUSED: u32 = 1 << 2;
    /// On the reactor's ready list.
    pub(super) const LISTED: u32 = 1 << 3;
    /// Flushed when the current callback returns.
    pub(super) const TOUCHED: u32 = 1 << 4;
    /// Its messages are being handled: flushed after all of them.
    pub(super) const CORKED: u32 = 1 << 5;
    /// The last write found no room; an event will tell when there is.
    pub(super) const BLOCKED: u32 = 1 << 6;
    /// The codec takes no further message before an answer is complete.
    pub(super) const WAITING: u32 = 1 << 7;
    /// The codec owes the peer an answer.
    pub(super) const OWES: u32 = 1 << 8;
    /// The current callback has sent raw bytes as its answer.
    pub(super) const RAW: u32 = 1 << 9;
    /// The peer sends no more and is owed an answer; a timer limits that.
    pub(super) const HALF_CLOSED: u32 = 1 << 10;
    /// A message without a place was logged.
    pub(super) const STRAY_LOGGED: u32 = 1 << 12;
    /// The connection has callbacks of its own.
    pub(super) const OWN_CALLBACKS: u32 = 1 << 13;
    /// A message was delivered since the deadline was last looked at.
    pub(super) const HEARD: u32 = 1 << 11;
    /// Our FIN is out.
    pub(super) const FIN_SENT: u32 = 1 << 14;
    /// Bytes were read that the codec has not looked at yet.
    pub(super) const PENDING: u32 = 1 << 15;
    /// A callback has switched protocols while bytes were decoded: the rest is for the new one.
    pub(super) const SWITCHED: u32 = 1 << 16;
    /// The worker that it has switched to is still to be told of it.
    pub(super) const JOINING: u32 = 1 << 17;
    /// All that the peer has sent was read, to its FIN.
    pub(super) const FIN_READ: u32 = 1 << 18;

    #[inline]
    pub(super) fn has(self, bits: u32) -> bool {
        self.0 & bits != 0
    }

    #[inline]
    pub(super) fn set(&mut self, bits: u32) {
        self.0 |= bits;
    }

    #[inline]
    pub(super) fn clear(&mut self, bits: u32) {
        self.0 &= !bits;
    }

    #[inline]
    pub(super) fn assign(&mut self, bits: u32, on: bool) {
        if on { self.set(bits) } else { self.clear(bits) }
    }

    /// Clears the bits and answers whether one was set.
    #[inline]
    pub(super) fn take(&mut self, bits: u32) -> bool {
        let had = self.has(bits);
        self.clear(bits);
        had
    }
}

impl State {
    #[inline]
    pub(super) fn get(&mut self, key: Key) -> Option<&mut Connection> {
        self.table.get_mut(key)
    }

    #[inline]
    pub(super) fn visit(&mut self, key: Key) -> Option<Visit<'_>> {
        let Self { table, spare, sweep, .. } = self;
        Some(Visit { key, connection: table.get_mut(key)?, spare, sweep })
    }

    /// Frees what is kept for later use, and hands out what connections there still are.
    pub(crate) fn clear(&mut self) -> Vec<Connection> {
        self.spare = Spare::default();
        self.sweep = Sweep::default();
        self.switched = Known::default();
        self.table.clear()
    }
}

impl Connection {
    pub(super) fn new(
        transport: Transport,
        remote: Option<SocketAddr>,
        driver: Rc<dyn Driver>,
        codec: CodecSlot,
        limits: (u32, u32),
    ) -> Self {
        Self {
            transport,
            driver,
            codec,
            inbound: None,
            outbound: None,
            extra: None,
            remote,
            bytes_read: 0,
            bytes_written: 0,
            max_send_buffer_size: limits.0,
            max_package_size: limits.1,
            deadline: NEVER,
            pace: Pace::Answer,
            codec_pace: Pace::Answer,
            status: Status::Established,
            flags: Flags::default(),
        }
    }

    /// Takes the codec out; `None` while it is in use, or when it is another protocol's.
    #[inline(always)]
    pub(super) fn take_codec<P: Codec>(&mut self) -> Option<P> {
        match self.codec {
            CodecSlot::Parked(bits) => {
                self.codec = CodecSlot::Out;
                Some(P::unpark(bits))
            }
            CodecSlot::Boxed(_) => self.codec.unbox(),
            CodecSlot::Out => None,
        }
    }

    #[inline(always)]
    pub(super) fn put_codec<P: Codec>(&mut self, codec: P) {
        let stance = codec.stance();
        self.flags.assign(Flags::WAITING, !stance.ready);
        self.flags.assign(Flags::OWES, stance.owes);
        self.codec_pace = stance.pace;
        match codec.park() {
            Ok(bits) => self.codec = CodecSlot::Parked(bits),
            Err(codec) => self.codec.keep(codec),
        }
    }

    /// Bytes that have not left yet.
    #[inline]
    pub(super) fn queued(&self) -> usize {
        self.outbound.as_ref().map_or(0, |outbound| outbound.len())
    }

    #[inline]
    pub(super) fn is_full(&self) -> bool {
        self.queued() >= self.max_send_buffer_size as usize
    }

    /// Whether this is an open stream: it takes no more messages and owes no answer.
    #[inline]
    pub(super) fn is_stream(&self) -> bool {
        self.flags.has(Flags::WAITING) && !self.flags.has(Flags::OWES)
    }

    /// Whether bytes of the peer are wanted now.
    #[inline]
    pub(super) fn wants_input(&self) -> bool {
        match self.status {
            Status::Established => {
                (!self.is_congested() || self.hears_more()) && !self.flags.has(Flags::PAUSED | Flags::WAITING)
            }
            Status::Closing => self.awaits_farewell(),
            Status::Ending => true,
            _ => false,
        }
    }

    /// Whether the peer does not read, and nothing more finds room for it.
    #[inline]
    pub(super) fn is_congested(&self) -> bool {
        self.flags.has(Flags::BLOCKED) && self.is_full()
    }

    /// Whether a peer that does not read is heard all the same: when nothing of it is answered here, or until it comes to a
    /// message, and while our answers to the rest are few.
    #[cold]
    fn hears_more(&self) -> bool {
        let talks = matches!(self.codec_pace, Pace::Talk | Pace::Reply);
        let room = (self.max_send_buffer_size as usize).saturating_add(CONTROL_ROOM);
        if self.leads_away() {
            // What waits may be one message beyond the limit; what the codec answers has a bound all the same.
            return !talks || self.queued() < room.saturating_add(self.max_package_size as usize);
        }
        talks && !self.flags.has(Flags::PENDING) && self.queued() < room
    }

    /// Whether all messages go to another connection, so that none is answered here.
    #[cold]
    pub(super) fn leads_away(&self) -> bool {
        self.extra.as_ref().is_some_and(|extra| extra.joints.lead_away())
    }

    /// Whether the connection closes when the peer has said goodbye too.
    #[inline]
    pub(super) fn awaits_farewell(&self) -> bool {
        self.status == Status::Closing && self.codec_pace == Pace::Farewell
    }

    /// Remembers what an event said until it has been dealt with.
    #[inline]
    pub(super) fn remember(&mut self, readiness: Readiness) {
        if readiness.readable {
            self.flags.set(Flags::READABLE);
        }
        if readiness.read_closed {
            self.flags.set(Flags::READ_CLOSED | Flags::READABLE);
        }
    }

    pub(super) fn drop_inbound(&mut self) {
        if let Some(inbound) = self.inbound.take() {
            pool::give(inbound.bytes);
        }
    }

    pub(super) fn extra(&mut self) -> &mut Extra {
        self.extra.get_or_insert_default()
    }
}

impl Holder for Key {
    fn bag<R>(self, f: impl FnOnce(&mut Bag) -> R) -> Option<R> {
        state().with(|state| Some(f(&mut state.get(self)?.extra().data)))
    }
}
