//! Where a connection stands, and what became of a message.

use std::fmt;

use crate::callback::CallbackResult;
use crate::error::BoxError;

/// `on_error`'s code when a connection cannot be made.
///
/// ```
/// assert_eq!(workerman::CONNECT_FAIL, 1);
/// ```
pub const CONNECT_FAIL: u32 = 1;

/// `on_error`'s code when a message cannot be sent.
///
/// ```
/// # use workerman::{Http, SEND_FAIL, Worker};
/// # let worker = Worker::<Http>::new("");
/// worker.on_error(|connection, code, text| {
///     if code == SEND_FAIL {
///         println!("connection {}: {text}", connection.id());
///     }
/// });
/// ```
pub const SEND_FAIL: u32 = 2;

/// `on_error`'s code when a connection ends because its protocol cannot go on: the peer has sent what no message begins
/// with, or one that is too long, or a [`Protocol`](crate::Protocol) has failed. PHP has no such code.
/// Over UDP nothing ends: a datagram that cannot be understood is told with it, and dropped.
///
/// [`Http`](crate::Http) and [`Websocket`](crate::Websocket) tell the peer instead.
///
/// ```
/// # use workerman::{PROTOCOL_FAIL, Text, Worker};
/// # let worker = Worker::<Text>::new("");
/// worker.on_error(|connection, code, text| {
///     if code == PROTOCOL_FAIL {
///         println!("{}: {text}", connection.remote_address());
///     }
/// });
/// ```
pub const PROTOCOL_FAIL: u32 = 3;

/// Where a connection stands in its life.
///
/// ```
/// # use workerman::{Http, Status, TcpConnection};
/// # fn example(connection: TcpConnection<Http>) {
/// if connection.status() != Status::Established {
///     return;
/// }
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[doc(alias = "getStatus")]
#[doc(alias = "STATUS_ESTABLISHED")]
#[non_exhaustive]
pub enum Status {
    /// A client connection that was not asked to connect yet.
    #[doc(alias = "STATUS_INITIAL")]
    Initial,
    /// A client connection that is being made.
    #[doc(alias = "STATUS_CONNECTING")]
    Connecting,
    /// Bytes may go both ways.
    Established,
    /// All is sent; for a moment what the peer still sends is read and thrown away, so that it can read the last
    /// answer.
    #[doc(alias = "STATUS_ENDING")]
    Ending,
    /// Closes as soon as the bytes that wait have left.
    #[doc(alias = "STATUS_CLOSING")]
    Closing,
    /// Gone.
    #[doc(alias = "STATUS_CLOSED")]
    Closed,
}

/// PHP's names: `ESTABLISHED`, `CLOSED`, …
impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Initial => "INITIAL",
            Self::Connecting => "CONNECTING",
            Self::Established => "ESTABLISHED",
            Self::Ending => "ENDING",
            Self::Closing => "CLOSING",
            Self::Closed => "CLOSED",
        })
    }
}

/// What became of a message given to `send`. It may be ignored.
///
/// ```
/// # use workerman::{Http, SendStatus, ServerSentEvents, TcpConnection};
/// # fn example(connection: TcpConnection<Http>) {
/// match connection.send(ServerSentEvents::new().data("tick")) {
///     SendStatus::Sent => {}
///     SendStatus::Queued => println!("the client reads slowly"),
///     _ => println!("not sent"),
/// }
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SendStatus {
    /// Accepted, and nothing waits for the peer: PHP's `true`.
    Sent,
    /// Accepted, and bytes wait for the peer to read: PHP's `null`.
    Queued,
    /// Not accepted: the send buffer is full, or the message belongs to no request or stream. PHP's `false`.
    Dropped,
    /// Not accepted: the connection is closed or closing. PHP's `false`.
    Closed,
    /// Not accepted: the connection has been upgraded and speaks another protocol now.
    WrongProtocol,
}

impl SendStatus {
    /// Whether the message will leave: `Sent` or `Queued`.
    ///
    /// ```
    /// # use workerman::SendStatus;
    /// assert!(SendStatus::Queued.is_accepted() && !SendStatus::Dropped.is_accepted());
    /// ```
    pub fn is_accepted(self) -> bool {
        matches!(self, Self::Sent | Self::Queued)
    }
}

impl CallbackResult for SendStatus {
    #[inline]
    fn into_result(self) -> Result<(), BoxError> {
        Ok(())
    }
}
