//! Why there is no session, or why it is not saved.

use std::error::Error;
use std::fmt;

use crate::error::BoxError;

/// Why a session cannot be had or saved.
///
/// ```
/// # use workerman::{Request, SessionError};
/// # fn example(request: &Request) {
/// match request.session() {
///     Err(SessionError::Answered) => println!("too late"),
///     other => { /* … */ }
/// }
/// # }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum SessionError {
    /// The request is not on the thread of the loop that has received it.
    OffLoop,
    /// The answer to the request has begun, or its connection is gone: no cookie can be set any more.
    Answered,
    /// The id is none: 16 to 128 letters, digits, `,` or `-`.
    InvalidId,
    /// The value cannot be JSON.
    Value(BoxError),
    /// The data are larger than 1 MiB.
    TooLarge,
    /// What was stored has ended since it was read.
    Gone,
    /// The handler has failed, or the operating system has no random numbers.
    Storage(BoxError),
}

impl fmt::Display for SessionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OffLoop => f.write_str("the request is not on the thread of its loop, where its session is"),
            Self::Answered => f.write_str("the answer to the request has begun, or its connection is gone"),
            Self::InvalidId => f.write_str("a session id has 16 to 128 letters, digits, `,` or `-`"),
            Self::Value(error) => write!(f, "a value cannot be kept in a session: {error}"),
            Self::TooLarge => f.write_str("a session may have 1 MiB of data"),
            Self::Gone => f.write_str("the session has ended since it was read"),
            Self::Storage(error) => write!(f, "sessions cannot be stored: {error}"),
        }
    }
}

impl Error for SessionError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Value(error) | Self::Storage(error) => Some(&**error),
            _ => None,
        }
    }
}
