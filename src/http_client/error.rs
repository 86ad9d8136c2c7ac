//! Why a request has no answer.

use std::error::Error;
use std::fmt;

use crate::protocols::http::client::Fault;

/// Why a request of [`HttpClient`](crate::HttpClient) has no answer. An answer whose status tells of an error is none of
/// these.
///
/// ```
/// use workerman::{HttpClient, HttpError};
///
/// # let http = HttpClient::new();
/// http.get("http://127.0.0.1:8080/", |answer| match answer {
///     Ok(response) => println!("{}", response.status()),
///     Err(HttpError::Timeout) => println!("it takes too long"),
///     Err(error) => println!("{error}"),
/// });
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HttpError {
    /// The address is none that can be asked: what is wrong with it.
    Address(Box<str>),
    /// The request cannot be sent as it is: a header that would be more than one line, a length that is counted anyway.
    Request(&'static str),
    /// As many requests wait for a connection to this server as may wait.
    Busy,
    /// No connection came about: the address and the reason.
    Connect(Box<str>),
    /// The time that the request may take is over.
    Timeout,
    /// The connection ended before the answer was complete.
    Closed(&'static str),
    /// What the server has said is no answer by the rules of HTTP/1.1.
    Malformed(&'static str),
    /// The answer is longer than the client takes, its head or its body, packed or unpacked.
    TooLarge,
    /// A redirect that leads nowhere, to where no request may go, or to one more redirect than are followed.
    Redirect(Box<str>),
    /// The app's `on_head` or `on_chunk` has failed, so the rest of the answer was not taken.
    Callback,
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(reason) => write!(f, "the address cannot be asked: {reason}"),
            Self::Request(reason) => write!(f, "the request cannot be sent: {reason}"),
            Self::Busy => f.write_str("too many requests to this server wait for a connection"),
            Self::Connect(reason) => write!(f, "no connection: {reason}"),
            Self::Timeout => f.write_str("the answer was not complete in time"),
            Self::Closed(reason) => f.write_str(reason),
            Self::Malformed(reason) => write!(f, "the answer is malformed: {reason}"),
            Self::TooLarge => f.write_str("the answer is larger than is taken"),
            Self::Callback => f.write_str("a callback of the request has failed"),
            Self::Redirect(reason) => write!(f, "the redirect is not followed: {reason}"),
        }
    }
}

impl Error for HttpError {}

impl From<Fault> for HttpError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Malformed(reason) => Self::Malformed(reason),
            Fault::HeadTooLarge | Fault::TooLarge => Self::TooLarge,
            Fault::Unanswered => Self::Closed("the server closed the connection without an answer"),
            Fault::Cut(reason) => Self::Closed(reason),
        }
    }
}
