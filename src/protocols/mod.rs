//! Codecs: bytes in, messages out, and back. No sockets, no clock, no callbacks: everything here is tested in memory.
//!
//! A protocol is a type. One value of it lives with each connection and is its codec: [`Codec::receive`] turns bytes
//! into messages, [`Encode::encode`] turns what the app sends into bytes on an [`Output`].
//!
//! Invariants:
//! * `receive` is resumable at every byte and looks at each byte once;
//! * limits are checked on declared sizes, before the bytes arrive;
//! * a codec at rest fits in eight bytes ([`Codec::park`]), so an idle connection owns no memory for it.

pub(crate) mod file;
pub(crate) mod frame;
pub(crate) mod http;
pub(crate) mod output;
pub(crate) mod pool;
pub(crate) mod reuse;
pub(crate) mod tcp;
pub(crate) mod text;

use output::Output;

/// A protocol: what is between the bytes of a connection and its messages.
///
/// Implemented by [`Http`](crate::Http), [`Tcp`](crate::Tcp), [`Text`](crate::Text) and [`Frame`](crate::Frame); sealed for now, protocols of your own come later.
#[doc(alias = "ProtocolInterface")]
pub trait Codec: sealed::Sealed + Default + 'static {
    /// What `on_message` receives.
    type Message: 'static;

    /// The scheme of a worker's address, before `://`.
    const SCHEME: &'static str;

    /// Looks at the bytes that follow those consumed so far, up to the end of the next message.
    #[doc(hidden)]
    fn receive(&mut self, input: &[u8], limits: &Limits, output: &mut Output<'_>) -> Step<Self::Message>;

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

    /// The callback that called `encode_raw` has returned.
    #[doc(hidden)]
    fn settle(&mut self) {}

    /// A callback failed: says so to the peer if that is still possible. The connection closes next.
    #[doc(hidden)]
    fn fail(&mut self, _output: &mut Output<'_>) {}

    /// The app closes the connection: ends what is open.
    #[doc(hidden)]
    fn finish(&mut self, _output: &mut Output<'_>) {}

    /// The peer took too long with a message that it had begun: says so. The connection ends next.
    #[doc(hidden)]
    fn time_out(&mut self, _output: &mut Output<'_>) {}

    /// Packs a codec at rest into eight bytes, or gives it back when it holds more than that.
    #[doc(hidden)]
    fn park(self) -> Result<u64, Self>;

    /// The inverse of [`Codec::park`]. A new connection starts with 0.
    #[doc(hidden)]
    fn unpark(parked: u64) -> Self;
}

/// What can be sent over a protocol: `connection.send(message)` compiles when the protocol encodes `M`.
#[diagnostic::on_unimplemented(
    message = "`{M}` cannot be sent over `{Self}`",
    label = "not a message of this protocol",
    note = "an `Http` connection sends a `Response`, a `ServerSentEvents` (or a reference to one), a `Chunk`, text or bytes",
    note = "a `Tcp`, `Text` or `Frame` connection sends text or bytes: `&str`, `String`, `&[u8]`, `Vec<u8>`"
)]
pub trait Encode<M>: Codec {
    /// Appends the message's bytes to `output`, or says why it has no place on this connection now.
    #[doc(hidden)]
    fn encode(&mut self, message: M, output: &mut Output<'_>) -> Encoded;
}

/// What [`Codec::receive`] came to.
#[derive(Debug, PartialEq)]
pub enum Step<M> {
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
    /// A piece of the rest, for an app that takes it in pieces.
    Piece {
        /// Bytes that are done with.
        consumed: usize,
        /// How many of them, at their end, are the piece.
        length: u32,
        /// The message that ends with this piece.
        last: Option<M>,
    },
    /// The peer broke the protocol. What is to be said about it lies in the output; nothing more will be read.
    Refused(&'static str),
}

/// What [`Encode::encode`] came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoded {
    /// The bytes are in the output.
    Done,
    /// The message belongs to no request or stream of this connection, for this reason; nothing was written.
    Stray(&'static str),
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
    /// To read what was sent.
    Write,
    /// Nothing: it is our turn.
    Answer,
    /// Whatever it likes: this protocol has no deadlines.
    Free,
}

/// The bounds a codec keeps, and what else it is asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limits {
    /// The largest message, head and body together, in bytes.
    pub max_package_size: usize,
    /// Whether a request whose method is none of the common ones is refused.
    pub common_methods_only: bool,
    /// Whether the app is told of the head of a message whose body is to come.
    pub tell_heads: bool,
    /// The number of the settings by which answers are compressed, 0 for none.
    pub compression: u8,
}

/// A loop begins on this thread: from now on it keeps what later messages can use again.
pub(crate) fn open() {
    reuse::set_keeps(true);
}

/// The loop has ended: frees what the thread keeps.
pub(crate) fn clear() {
    reuse::set_keeps(false);
    http::clear();
    pool::clear();
}

pub(crate) mod sealed {
    /// Keeps [`Codec`](super::Codec) ours until protocols of users' own have a door of their own.
    pub trait Sealed {}
}
