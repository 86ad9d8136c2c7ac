//! Between untyped connections and typed callbacks: one driver for each worker, shared by its connections, and one for each client.

use std::any::TypeId;
use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::ops::Deref;
use std::rc::Rc;

use super::admission::Admission;
use super::callbacks::{Callbacks, ErrorFn, EventFn, MessageFn, SignalFn, own_callbacks};
use super::deadline::Deadlines;
use super::event::Event;
use super::input::{Input, origin};
use super::owner::{OfWorker, Owner};
use super::read::Fed;
use super::state::{CodecSlot, Flags, visit};
use super::survey::Named;
use super::switched::Switched;
use super::{PROTOCOL_FAIL, SEND_FAIL, TcpConnection, custom, id, lifecycle, stopping, tally, write};
use crate::callback::{self, Slot};
use crate::error::BoxError;
use crate::protocols::output::{After, Output};
use crate::protocols::{Codec, Encoded, Leave, Pace, Signal, Step};
use crate::reactor::{self, Key};
use crate::transport::Transport;

/// What a connection needs of its protocol and of its worker's callbacks, whatever their types.
pub(crate) trait Driver: fmt::Debug + Named {
    fn protocol(&self) -> TypeId;

    /// Decodes bytes and delivers the messages in them. If the codec has said how long the first one is, `length` tells;
    /// else it is 0.
    fn feed(&self, key: Key, bytes: &[u8], length: usize) -> Fed;

    /// Reads bytes that the codec need not look at to where it wants them, if it does, and what comes behind them; answers
    /// how many there was room for.
    fn absorb(
        &self,
        codec: &mut CodecSlot,
        transport: &mut Transport,
        behind: &mut [u8],
    ) -> Option<(usize, io::Result<usize>)>;

    /// Runs the callback for an event.
    fn deliver(&self, key: Key, event: Event);

    /// The callback that framed an answer itself has returned.
    fn settle_raw(&self, key: Key);

    /// Lets the codec end what is open, before the connection closes.
    fn finish(&self, key: Key);

    /// The same, because the process stops.
    fn stop(&self, key: Key);

    /// The process stops: the codec takes nothing on any more, and says how the connection leaves.
    fn retire(&self, key: Key) -> Leave;

    /// A callback of this connection has failed: the peer is told if that is still possible, and the connection closes.
    fn fail(&self, key: Key);

    /// The peer took too long with a message that it had begun: it is told, and the connection ends.
    fn time_out(&self, key: Key);

    /// Nothing was heard of the peer for long: it is asked whether it is there.
    fn probe(&self, key: Key);

    /// How many connections the worker takes.
    fn admission(&self) -> &Admission;

    /// How long peers may take.
    fn deadlines(&self) -> Deadlines;

    /// How long a peer may take for this, in ticks.
    fn allowance(&self, pace: Pace) -> u32;

    /// The codec of a new connection, and what it expects of the peer; or why there is none.
    fn codec(&self) -> Result<(CodecSlot, Pace), Box<str>>;

    /// A connection that the app has made itself is there: its codec speaks first, to this host and about this URI, and the
    /// answer may take so many nanoseconds, 0 for ever.
    fn open(&self, key: Key, host: &str, uri: &str, time: u64);

    /// The connection is forgotten: whoever has made it is told.
    fn gone(&self, _key: Key) {}

    /// The worker, as a key of the layer above; [`NOBODY`](super::owner::NOBODY) for none.
    fn worker(&self) -> Key;

    /// The client that has made the connection, as a key of the layer above; [`Key::NONE`] for none.
    fn client(&self) -> Key;

    /// The connection has switched to this protocol: tells the app, of those that `join` the worker that they have come.
    fn begin(&self, key: Key, join: bool);

    /// Those that had the connection before, for one that has switched.
    fn as_switched(&self) -> Option<&Switched> {
        None
    }
}

impl dyn Driver {
    #[inline]
    pub(super) fn speaks<P: 'static>(&self) -> bool {
        self.protocol() == TypeId::of::<P>()
    }
}

/// The driver of an owner's connections.
pub(crate) struct Handlers<P: Codec, O: Owner<P> = OfWorker<P>> {
    owner: O,
    protocol: PhantomData<fn() -> P>,
}

impl<P: Codec, O: Owner<P>> fmt::Debug for Handlers<P, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handlers").field("scheme", &P::SCHEME).finish_non_exhaustive()
    }
}

impl<P: Codec, O: Owner<P>> Deref for Handlers<P, O> {
    type Target = O;

    #[inline]
    fn deref(&self) -> &O {
        &self.owner
    }
}

impl<P: Codec> Handlers<P> {
    pub(crate) fn new() -> Self {
        Self::of(OfWorker::default())
    }
}

impl<P: Codec, O: Owner<P>> Handlers<P, O> {
    pub(crate) fn of(owner: O) -> Self {
        Self { owner, protocol: PhantomData }
    }

    /// Runs the connection's own callback, else the owner's, else nothing.
    #[inline(always)]
    fn run<F: ?Sized>(
        &self,
        own: Option<Rc<Callbacks<P>>>,
        slot: impl Fn(&Callbacks<P>) -> Option<&Slot<F>>,
        call: impl FnOnce(&mut F) -> Result<(), BoxError>,
    ) -> Result<(), String> {
        let own = own.as_deref().and_then(|callbacks| slot(callbacks)?.take());
        let Some(mut taken) = own.or_else(|| slot(self.owner.callbacks())?.take()) else {
            if P::CUSTOM {
                // The message that nobody wants is of a user's type.
                callback::discard(call);
            }
            return Ok(());
        };
        callback::call(taken.site(), || taken.get().map_or(Ok(()), call))
    }

    /// Delivers one message, then what its callback caused.
    #[inline(always)]
    fn deliver_message(&self, key: Key, has_own: bool, ticket: u32, message: P::Message) {
        tally::count_message();
        let connection = TcpConnection::with_ticket(key, ticket);
        let call = |f: &mut MessageFn<P>| f(connection, message);
        let own = if has_own { own_callbacks(key) } else { None };
        if let Some(own) = &own {
            own.rare().inspect(|rare| rare.on_body.clear());
        }
        let result = self.run(own, |callbacks| Some(&callbacks.on_message), call);
        self.settle(key, &result);
    }

    /// A callback for what the codec has found is back: settles what it caused.
    #[inline(always)]
    fn settle(&self, key: Key, result: &Result<(), String>) {
        if result.is_err() {
            lifecycle::fail(key);
        }
        let reactor = reactor::get();
        // Other callbacks come first to see a raw answer; else the next look at this connection settles it.
        if reactor.is_unsettled() && visit(key, |visit| visit.flags.take(Flags::RAW)) == Some(true) {
            self.settle_raw(key);
        }
        reactor.settle();
    }

    /// Tells of a head, and lets the codec go on with the body as the app wants it.
    #[cold]
    fn deliver_head(&self, key: Key, ticket: u32, head: P::Message) {
        let connection = TcpConnection::with_ticket(key, ticket);
        let result = self.run(None, |callbacks| Some(&callbacks.rare()?.on_head), |f| f(connection, &head));
        self.settle(key, &result);
        let in_pieces = own_callbacks::<P>(key).is_some_and(|own| own.rare().is_some_and(|rare| rare.on_body.is_set()));
        let mut refused = None;
        self.with_codec(key, |codec, output| refused = codec.go_on(head, in_pieces, output));
        if let Some(reason) = refused {
            self.refuse(key, reason);
        }
    }

    /// Delivers a piece of a body.
    #[cold]
    fn deliver_piece(&self, key: Key, ticket: u32, piece: &[u8]) {
        let connection = TcpConnection::with_ticket(key, ticket);
        let result = self.run(own_callbacks(key), |own| Some(&own.rare()?.on_body), |f| f(connection, piece));
        self.settle(key, &result);
    }

    fn refuse(&self, key: Key, reason: &str) {
        log::debug!("connection {}: refused, {reason}", id::of(key));
        visit(key, |visit| visit.end());
    }

    /// Delivers something else, and what follows from that.
    fn deliver_signal(&self, key: Key, signal: P::Signal) {
        let mut next = Some(signal);
        while let Some(signal) = next.take() {
            let nth = signal.callback();
            let call = |f: &mut SignalFn<P>| f(TcpConnection::new(key), &signal);
            if self.run(own_callbacks(key), |callbacks| callbacks.rare()?.on_signal(nth), call).is_err() {
                lifecycle::fail(key);
            }
            self.with_codec(key, |codec, output| next = codec.follow(signal, output));
            reactor::get().settle();
        }
    }

    fn with_codec(&self, key: Key, f: impl FnOnce(&mut P, &mut Output<'_>)) {
        write::transmit(key, 0, write::Limit::Ignore, |codec: &mut P, output| {
            f(codec, output);
            Encoded::Done
        });
    }
}

impl<P: Codec, O: Owner<P>> Driver for Handlers<P, O> {
    fn protocol(&self) -> TypeId {
        TypeId::of::<P>()
    }

    fn feed(&self, key: Key, bytes: &[u8], mut length: usize) -> Fed {
        let mut done = 0;
        while done < bytes.len() {
            let input = visit(key, |visit| visit.check_out_input::<P>(self.owner.limits()));
            let (mut codec, mut outbound, limits) = match input {
                Some(Input::Codec(codec, outbound, limits)) => (codec, outbound, limits),
                Some(Input::Raw) => {
                    self.settle_raw(key);
                    continue;
                }
                Some(Input::Later) => return Fed { done, length },
                Some(Input::Another) => return Fed::up_to(done),
                Some(Input::Never) | None => return Fed::up_to(bytes.len()),
            };
            let date = reactor::get().clock.date();
            let mut output = Output::new(&mut outbound, &date, 0);
            let step = match bytes.get(done..done + length) {
                Some(package) if P::CUSTOM && length > 0 => codec.complete(package),
                _ => codec.receive(bytes.get(done..).unwrap_or_default(), &limits, &mut output),
            };
            length = 0;
            let after = if P::TALKS { output.after } else { After::Stay };
            let holds = P::TALKS && output.hold;
            let ticket = codec.ticket();
            let heard = matches!(step, Step::Message { .. }) || P::TALKS && codec.stance().pace == Pace::Talk;
            let has_own = visit(key, |visit| visit.check_in_input(codec, outbound, heard)) == Some(true);
            match step {
                Step::More { .. } if after != After::Stay => {
                    visit(key, |visit| visit.end_after(after));
                    return Fed::up_to(bytes.len());
                }
                Step::More { consumed } => {
                    if holds {
                        visit(key, |visit| visit.flags.set(Flags::PENDING));
                    }
                    return Fed::up_to(done + consumed);
                }
                Step::Message { consumed, mut message } => {
                    done += consumed;
                    P::stamp(&mut message, origin(key, ticket));
                    self.deliver_message(key, has_own, ticket, message);
                }
                Step::Head { consumed, mut message } => {
                    done += consumed;
                    P::stamp(&mut message, origin(key, ticket));
                    self.deliver_head(key, ticket, message);
                }
                Step::Piece { consumed, start, length } => {
                    let start = done + start as usize;
                    done += consumed;
                    let piece = bytes.get(start..start + length as usize).unwrap_or_default();
                    self.deliver_piece(key, ticket, piece);
                }
                Step::Signal { consumed, mut signal } => {
                    done += consumed;
                    signal.stamp(origin(key, ticket));
                    if after != After::Stay {
                        visit(key, |visit| visit.end_after(after));
                    }
                    self.deliver_signal(key, signal);
                }
                Step::Part { length } => return Fed { done, length },
                Step::Refused(reason) => {
                    self.refuse(key, reason);
                    return Fed::up_to(bytes.len());
                }
                Step::Failed(reason) => {
                    visit(key, |visit| visit.fail(reason));
                    return Fed::up_to(bytes.len());
                }
            }
        }
        Fed::up_to(done)
    }

    fn absorb(
        &self,
        codec: &mut CodecSlot,
        transport: &mut Transport,
        behind: &mut [u8],
    ) -> Option<(usize, io::Result<usize>)> {
        let codec = codec.at_work::<P>()?;
        let room = codec.room()?;
        let offered = room.len();
        let result = transport.read_vectored(room, behind);
        codec.fill(offered.min(*result.as_ref().unwrap_or(&0)));
        Some((offered, result))
    }

    fn deliver(&self, key: Key, event: Event) {
        let connection = TcpConnection::new(key);
        let error = |message: &'static str| move |f: &mut ErrorFn<P>| f(connection, SEND_FAIL, message);
        let plain = |f: &mut EventFn<P>| f(connection);
        let own = own_callbacks(key);
        let result = match event {
            Event::Connect => self.run(own, |callbacks| Some(&callbacks.on_connect), plain),
            Event::BufferOverflow => {
                let call = error("send buffer full and drop package");
                self.run(own, |callbacks| Some(&callbacks.on_error), call)
            }
            Event::PeerGone => self.run(own, |callbacks| Some(&callbacks.on_error), error("client closed")),
            Event::FileBroken => {
                let call = error("the file that was being sent ends too soon or cannot be read");
                self.run(own, |callbacks| Some(&callbacks.on_error), call)
            }
            Event::ProtocolFailed => {
                let reason = visit(key, |visit| visit.extra.as_mut()?.failure.take()).flatten().unwrap_or_default();
                let call = |f: &mut ErrorFn<P>| f(connection, PROTOCOL_FAIL, &reason);
                self.run(own, |callbacks| Some(&callbacks.on_error), call)
            }
            Event::BufferFull => self.run(own, |callbacks| Some(&callbacks.rare()?.on_buffer_full), plain),
            Event::BufferDrain => self.run(own, |callbacks| Some(&callbacks.rare()?.on_buffer_drain), plain),
            Event::Close => {
                let result = self.run(own.clone(), |callbacks| Some(&callbacks.on_close), plain);
                // The next to be told may be another worker of this protocol.
                own.iter().for_each(|own| own.on_close.clear());
                result
            }
        };
        if result.is_err() {
            lifecycle::fail(key);
        }
    }

    fn settle_raw(&self, key: Key) {
        self.with_codec(key, |codec, _output| codec.settle());
    }

    fn finish(&self, key: Key) {
        self.with_codec(key, Codec::finish);
    }

    fn stop(&self, key: Key) {
        self.with_codec(key, Codec::stop);
    }

    fn retire(&self, key: Key) -> Leave {
        stopping::retire::<P>(key)
    }

    #[cold]
    fn fail(&self, key: Key) {
        self.with_codec(key, |codec, output| codec.fail(output));
        lifecycle::close_unfinished(key);
    }

    #[cold]
    fn time_out(&self, key: Key) {
        self.with_codec(key, Codec::time_out);
        visit(key, |visit| visit.end());
    }

    fn probe(&self, key: Key) {
        self.with_codec(key, Codec::probe);
        visit(key, |visit| visit.set_deadline(false));
    }

    #[inline]
    fn admission(&self) -> &Admission {
        self.owner.admission()
    }

    #[inline]
    fn deadlines(&self) -> Deadlines {
        self.owner.deadlines()
    }

    #[inline]
    fn allowance(&self, pace: Pace) -> u32 {
        self.owner.deadlines().of(pace)
    }

    fn codec(&self) -> Result<(CodecSlot, Pace), Box<str>> {
        let codec = custom::make::<P>()?;
        let pace = codec.stance().pace;
        Ok((CodecSlot::new(codec), pace))
    }

    fn open(&self, key: Key, host: &str, uri: &str, time: u64) {
        self.owner.with_setup(|setup| self.with_codec(key, |codec, output| codec.open(setup, host, uri, output)));
        if visit(key, |visit| visit.codec_pace != Pace::Free) == Some(true) {
            self.owner.allow(time);
            visit(key, |visit| visit.set_deadline(true));
        }
    }

    fn gone(&self, key: Key) {
        self.owner.gone(key);
    }

    fn worker(&self) -> Key {
        self.owner.worker()
    }

    fn client(&self) -> Key {
        self.owner.client()
    }

    fn begin(&self, key: Key, join: bool) {
        if join {
            self.deliver(key, Event::Connect);
        }
        let mut first = None;
        self.with_codec(key, |codec, _output| first = codec.begin());
        if let Some(signal) = first {
            self.deliver_signal(key, signal);
        }
    }
}
