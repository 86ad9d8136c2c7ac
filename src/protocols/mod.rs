//! Codecs: bytes in, messages out, and back. No sockets, no clock, no callbacks: everything here is tested in memory.
//!
//! A protocol is a type. One value of it lives with each connection and is its codec: [`Codec::receive`] turns bytes
//! into messages, [`Encode::encode`] turns what the app sends into bytes on an [`Output`]. Protocols of users' own come
//! through a simpler door, [`Protocol`].
//!
//! Invariants of ours:
//! * `receive` is resumable at every byte and looks at each byte once;
//! * limits are checked on declared sizes, before the bytes arrive;
//! * a codec at rest fits in eight bytes ([`Codec::park`]), so an idle connection owns no memory for it.

pub(crate) mod base64;
pub(crate) mod broadcast;
mod chance;
pub(crate) mod custom;
pub(crate) mod datagram;
#[cfg(test)]
mod fed;
pub(crate) mod file;
pub(crate) mod frame;
pub(crate) mod http;
pub(crate) mod output;
pub(crate) mod pool;
pub(crate) mod reuse;
pub(crate) mod tcp;
pub(crate) mod text;
pub(crate) mod warm;
pub(crate) mod websocket;

use std::convert::Infallible;
use std::fmt;

use broadcast::{Edition, Editions};
pub use custom::Protocol;
use http::{Request, Response};
use output::Output;

/// A protocol: what is between the bytes of a connection and its messages.
///
/// Implemented by [`Http`](crate::Http), [`Websocket`](crate::Websocket), [`Tcp`](crate::Tcp), [`Text`](crate::Text),
/// [`Frame`](crate::Frame), and every protocol of your own that implements [`Protocol`]. It cannot be implemented
/// otherwise.
pub trait Codec: sealed::Sealed + Default + 'static {
    /// What `on_message` receives.
    type Message: 'static;

    /// What arrives besides messages; `Infallible` for nothing.
    #[doc(hidden)]
    type Signal: Signal;

    /// What a client of it can be told before it connects; `()` for nothing.
    #[doc(hidden)]
    type Setup: Clone + Default + 'static;

    /// The scheme of a worker's address, before `://`.
    const SCHEME: &'static str;

    /// Whether peers say more than messages: whatever they say counts as a sign of life, and the codec may end a
    /// connection or hold messages back. The other protocols do not pay for it.
    #[doc(hidden)]
    const TALKS: bool = false;

    /// Whether a message looks alike on all connections, or has editions of which each connection knows its own; else each
    /// connection encodes it for itself. What has no state cannot do otherwise.
    #[doc(hidden)]
    const ALIKE: bool = size_of::<Self>() == 0;
    /// Whether it is a user's: its methods may fail and panic, and nothing is borrowed while they run.
    #[doc(hidden)]
    const CUSTOM: bool = false;

    /// Looks at the bytes that follow those consumed so far, up to the end of the next message.
    #[doc(hidden)]
    fn receive(&mut self, input: &[u8], limits: &Limits, output: &mut Output<'_>) -> Step<Self::Message, Self::Signal>;

    /// Takes a package whose length was told by a [`Step::Part`], whole.
    #[doc(hidden)]
    fn complete(&mut self, _package: &[u8]) -> Step<Self::Message, Self::Signal> {
        Step::More { consumed: 0 }
    }

    /// The callback for a signal has returned, and the connection stands: does what follows, and answers what the app is
    /// to be told next.
    #[doc(hidden)]
    fn follow(&mut self, _signal: Self::Signal, _output: &mut Output<'_>) -> Option<Self::Signal> {
        None
    }

    /// Where the next bytes may be read to instead of being looked at, if there is such a place.
    #[doc(hidden)]
    fn room(&mut self) -> Option<&mut [u8]> {
        None
    }

    /// So many bytes were read there.
    #[doc(hidden)]
    fn fill(&mut self, _count: usize) {}

    /// A client of HTTP has asked to go on in this protocol: begins it, or answers what the client gets instead.
    #[doc(hidden)]
    fn upgrade(
        &mut self,
        http: &mut http::Http,
        request: Request,
        _limits: &Limits,
        output: &mut Output<'_>,
    ) -> Result<(), Response> {
        http.switch_as_asked(&request, Self::SCHEME, output)
    }

    /// The connection speaks this protocol from now on: answers what the app is to be told first.
    #[doc(hidden)]
    fn begin(&mut self) -> Option<Self::Signal> {
        None
    }

    /// A connection that the app has made itself is there, and its `on_connect` has run: the codec may speak first, to this
    /// host and about this URI.
    #[doc(hidden)]
    fn open(&mut self, _setup: &Self::Setup, _host: &str, _uri: &str, _output: &mut Output<'_>) {}

    /// What it waits for.
    #[doc(hidden)]
    #[inline]
    fn stance(&self) -> Stance {
        Stance { ready: true, owes: false, pace: Pace::Free }
    }

    /// Writes into a message where it came in.
    #[doc(hidden)]
    #[inline]
    fn stamp(_message: &mut Self::Message, _origin: Origin) {}

    /// The number of the message last decoded; its handle carries it, so that late answers find their question.
    #[doc(hidden)]
    fn ticket(&self) -> u32 {
        0
    }

    /// The app has been told of a [`Step::Head`] and gives it back; it takes the rest `in_pieces`, or wants the whole
    /// message. Answers why the peer gets a refusal instead.
    #[doc(hidden)]
    fn go_on(&mut self, _head: Self::Message, _in_pieces: bool, _output: &mut Output<'_>) -> Option<&'static str> {
        None
    }

    /// Takes bytes that the app framed itself.
    #[doc(hidden)]
    fn encode_raw(&mut self, bytes: &[u8], output: &mut Output<'_>) -> Encoded {
        output.bytes(bytes);
        Encoded::Done
    }

    /// The edition of a message for many that this connection takes now, if it takes any.
    #[doc(hidden)]
    #[inline]
    fn edition<'a>(&mut self, editions: &'a mut Editions) -> Option<Edition<'a>> {
        editions.as_bytes()
    }

    /// The callback that called `encode_raw` has returned.
    #[doc(hidden)]
    fn settle(&mut self) {}

    /// A callback failed: says so to the peer if that is still possible. The connection closes next.
    #[doc(hidden)]
    fn fail(&mut self, _output: &mut Output<'_>) {}

    /// The app closes the connection: ends what is open.
    #[doc(hidden)]
    fn finish(&mut self, _output: &mut Output<'_>) {}

    /// The process stops: what has begun is the last of this connection, and says so to the peer if the protocol has words
    /// for it. Answers how the connection leaves.
    #[doc(hidden)]
    fn retire(&mut self) -> Leave {
        Leave::Now
    }

    /// The connection closes because the process stops.
    #[doc(hidden)]
    fn stop(&mut self, output: &mut Output<'_>) {
        self.finish(output);
    }

    /// The peer took too long with a message that it had begun: says so. The connection ends next.
    #[doc(hidden)]
    fn time_out(&mut self, _output: &mut Output<'_>) {}

    /// Nothing was heard of the peer for long: asks whether it is there.
    #[doc(hidden)]
    fn probe(&mut self, _output: &mut Output<'_>) {}

    /// Packs a codec at rest into eight bytes, or gives it back when it holds more than that.
    #[doc(hidden)]
    fn park(self) -> Result<u64, Self>;

    /// The inverse of [`Codec::park`]. A new connection starts with 0.
    #[doc(hidden)]
    fn unpark(parked: u64) -> Self;
}

/// What can be sent over a protocol: `connection.send(message)` compiles when the protocol encodes `M`.
///
/// A [`Protocol`] of your own implements it for each type that it sends, as PHP's `encode`:
///
/// ```
/// use workerman::{Encode, Encoded, Output, Protocol, Result};
///
/// /// One byte each.
/// #[derive(Default)]
/// struct Bytes;
///
/// impl Protocol for Bytes {
///     type Message = u8;
///
///     fn input(&mut self, _buffer: &[u8]) -> Result<Option<usize>> {
///         Ok(Some(1))
///     }
///
///     fn decode(&mut self, package: &[u8]) -> Result<u8> {
///         Ok(package[0])
///     }
/// }
///
/// impl Encode<u8> for Bytes {
///     fn encode(&mut self, message: u8, output: &mut Output<'_>) -> Encoded {
///         output.bytes(&[message]);
///         Encoded::Done
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{M}` cannot be sent over `{Self}`",
    label = "not a message of this protocol",
    note = "an `Http` connection sends a `Response`, a `ServerSentEvents` (or a reference to one), a `Chunk`, text or bytes",
    note = "a `Websocket` connection sends text, bytes or a `Message`, and a `Response` as the answer to its handshake",
    note = "a `Tcp`, `Text` or `Frame` connection sends text or bytes: `&str`, `String`, `&[u8]`, `Vec<u8>`",
    note = "a protocol of your own sends what it implements `Encode` for"
)]
pub trait Encode<M>: Codec {
    /// Appends the message's bytes to `output`, or says why not. A message without bytes sends nothing.
    ///
    /// If it does not end in [`Encoded::Done`], what it has written is taken back. A panic costs the connection, as
    /// [`Encoded::Failed`] does.
    fn encode(&mut self, message: M, output: &mut Output<'_>) -> Encoded;

    /// Makes it ready for many connections.
    #[doc(hidden)]
    fn editions(message: M) -> Editions {
        Editions::alike::<Self, M>(message)
    }
}

/// What arrives besides messages: a handshake, a Ping. Each kind has a callback of its own.
pub trait Signal: 'static {
    /// Which callback it is for.
    fn callback(&self) -> usize;

    /// Writes into it where it came in.
    fn stamp(&mut self, _origin: Origin) {}
}

/// A protocol has at most so many kinds of signals.
pub(crate) const SIGNALS: usize = 5;

impl Signal for Infallible {
    fn callback(&self) -> usize {
        match *self {}
    }
}

/// What [`Codec::receive`] came to. If the output of a `More` or a `Signal` says `after`, the connection ends once
/// everything is written; if `hold` is set in that of a `More`, the rest comes again when messages are wanted.
#[derive(Debug, PartialEq)]
pub enum Step<M, S = Infallible> {
    /// `consumed` bytes were taken, and more are needed. The rest comes again, in front of what arrives next.
    More {
        /// Bytes that are done with.
        consumed: usize,
    },
    /// A whole message ended after `consumed` bytes.
    Message {
        /// Bytes that are done with.
        consumed: usize,
        /// The message.
        message: M,
    },
    /// The head of a message ended after `consumed` bytes; the rest is to come. Only when [`Limits::tell_heads`] asks for
    /// it, and to be given back by [`Codec::go_on`].
    Head {
        /// Bytes that are done with.
        consumed: usize,
        /// The message, without its body.
        message: M,
    },
    /// A piece of the rest, for an app that takes it in pieces. That it was the last one is told by the next step.
    Piece {
        /// Bytes that are done with. Of the last piece a byte comes again, so that an app which pauses there is not told
        /// of the message before it goes on.
        consumed: usize,
        /// Where the piece begins.
        start: u32,
        /// How long it is.
        length: u32,
    },
    /// Something else ended after `consumed` bytes.
    Signal {
        /// Bytes that are done with.
        consumed: usize,
        /// What it is.
        signal: S,
    },
    /// A message of `length` bytes has begun, and its end is not there yet. When it is, [`Codec::complete`] is given the
    /// whole of it, and nothing is asked before.
    Part {
        /// Bytes from the first that was not consumed.
        length: usize,
    },
    /// The peer broke the protocol. What is to be said about it lies in the output; nothing more will be read.
    Refused(&'static str),
    /// The same in a protocol that has no words for it, or its codec has failed: the app is told.
    Failed(Box<str>),
}

impl<M, S> Step<M, S> {
    /// The same behind so many bytes more.
    pub(crate) fn after(mut self, before: usize) -> Self {
        match &mut self {
            Self::More { consumed }
            | Self::Message { consumed, .. }
            | Self::Head { consumed, .. }
            | Self::Piece { consumed, .. }
            | Self::Signal { consumed, .. } => *consumed += before,
            Self::Part { length } => *length += before,
            Self::Refused(_) | Self::Failed(_) => {}
        }
        self
    }
}

/// What [`Encode::encode`] came to.
///
/// A `Result` converts into it, so that the last expression may be one:
///
/// ```
/// use workerman::Encoded;
///
/// let number: Encoded = "7".parse::<u32>().map(|number| assert_eq!(number, 7)).into();
/// assert_eq!(number, Encoded::Done);
/// let other: Encoded = "seven".parse::<u32>().map(drop).into();
/// assert_eq!(other, Encoded::Failed("invalid digit found in string".to_owned()));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Encoded {
    /// The bytes are in the output; `send` answers `Sent` or `Queued`.
    Done,
    /// The codec keeps the message until it may be sent; `send` answers `Queued`.
    Kept,
    /// The message has no place on this connection now, for this reason, which is logged once for each connection; `send`
    /// answers `Dropped`.
    Stray(&'static str),
    /// The message cannot be encoded, for this reason, and the connection ends: `on_error` is called with
    /// [`PROTOCOL_FAIL`](crate::PROTOCOL_FAIL), and `send` answers `Closed`. Over UDP it costs this datagram, and `send` answers
    /// `Dropped`.
    Failed(String),
}

impl<E: fmt::Display> From<Result<(), E>> for Encoded {
    fn from(result: Result<(), E>) -> Self {
        match result {
            Ok(()) => Self::Done,
            Err(error) => Self::Failed(error.to_string()),
        }
    }
}

/// Where a message came in, in plain numbers: a message may leave its thread, and what these name may not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The loop's number, 0 for none.
    pub thread: u32,
    /// The connection's slot.
    pub slot: u32,
    /// The connection's generation.
    pub generation: u32,
    /// The message's ticket.
    pub ticket: u32,
}

/// What a codec waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stance {
    /// The next message may be decoded: the answer to the last one is complete.
    pub ready: bool,
    /// A peer that sends no more is still owed an answer.
    pub owes: bool,
    /// What the peer is expected to do now.
    pub pace: Pace,
}

/// What a peer is expected to do, and so which deadline counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// To begin, on a connection that is new.
    New,
    /// To complete the head it has begun.
    Head,
    /// To go on with a body.
    Body,
    /// To begin with the next message, or not.
    Between,
    /// To answer the first that we have said.
    Greet,
    /// To read what was sent.
    Write,
    /// To say goodbye, as we have done. What it says until then is for the codec alone.
    Farewell,
    /// Nothing: it is our turn.
    Answer,
    /// Whatever it likes, and it is heard even while it does not read, though its messages are not.
    Talk,
    /// To say anything at all, as it was asked to.
    Reply,
    /// Whatever it likes: this protocol has no deadlines.
    Free,
}

/// How a connection leaves a process that stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leave {
    /// Nothing has begun: it can close.
    Now,
    /// It would go on for ever: it is closed when its turn comes.
    InTurn,
    /// Something has begun, and the connection closes by itself when that is complete.
    Later,
}

/// The bounds a codec keeps, and what else it is asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limits {
    /// The largest message, head and body together, in bytes.
    pub max_package_size: usize,
    /// The peer does not read what it was sent: messages have to wait, as answers to them would be dropped.
    pub congested: bool,
    /// Whether a request whose method is none of the common ones is refused.
    pub common_methods_only: bool,
    /// Whether the app is told of the head of a message whose body is to come.
    pub tell_heads: bool,
    /// The number of the settings by which answers are compressed, 0 for none.
    pub compression: u8,
    /// How WebSocket messages are compressed.
    pub(crate) deflate: websocket::Deflate,
}

impl Limits {
    /// These of a new worker, but for the size.
    pub(crate) const fn of_size(max_package_size: usize) -> Self {
        Self {
            max_package_size,
            congested: false,
            common_methods_only: false,
            tell_heads: false,
            compression: 0,
            deflate: websocket::Deflate::new(),
        }
    }
}

/// A loop begins on this thread: from now on it keeps what later messages can use again, and has random bytes from there.
pub(crate) fn open(random: chance::Source) {
    reuse::set_keeps(true);
    chance::set_source(random);
}

/// The loop has ended: frees what the thread keeps.
pub(crate) fn clear() {
    reuse::set_keeps(false);
    http::clear();
    websocket::clear();
    chance::clear();
    pool::clear();
    warm::clear();
}

pub(crate) mod sealed {
    /// Keeps [`Codec`](super::Codec) ours: users implement [`Protocol`](super::Protocol).
    pub trait Sealed {}

    impl<P: super::Protocol> Sealed for P {}
}
