//! What can go wrong outside a connection: addresses, listeners, the loop itself.

use std::fmt;
use std::io;

/// The result of callbacks and of [`Worker::run_all`](crate::Worker::run_all).
///
/// Its error is a box that every `std::error::Error`, `String` and `&str` converts into, so `?` works on anything in a
/// callback:
///
/// ```
/// # use workerman::{Http, Worker};
/// # let worker = Worker::<Http>::new("");
/// worker.on_message(|connection, request| -> workerman::Result<()> {
///     let number: u32 = request.get("number").ok_or("number is missing")?.parse()?;
///     connection.send(format!("{}", number + 1));
///     Ok(())
/// });
/// ```
pub type Result<T, E = BoxError> = std::result::Result<T, E>;

/// The error of [`Result`].
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why a worker could not be started.
///
/// ```
/// use workerman::{Error, Http, Worker};
///
/// let error = Worker::<Http>::new("websocket://0.0.0.0:80").listen().unwrap_err();
/// assert!(matches!(error, Error::Address { .. }));
/// println!("{error}");
/// ```
#[non_exhaustive]
pub enum Error {
    /// The address given to [`Worker::new`](crate::Worker::new) cannot be understood.
    Address {
        /// The address as given.
        address: Box<str>,
        /// What is wrong with it.
        reason: Box<str>,
    },
    /// The operating system refused to listen on the address.
    Listen {
        /// The address as given.
        address: Box<str>,
        /// What the system said, such as "Address already in use".
        source: io::Error,
    },
    /// The event loop itself failed: no epoll instance, no descriptors, no signal handler.
    Loop {
        /// What was tried.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// `on_worker_start` failed, so the worker was not started.
    Start {
        /// The worker's name.
        worker: Box<str>,
        /// The error or panic message of the callback.
        reason: Box<str>,
    },
    /// The process cannot become the user or the group that a worker wants.
    Account {
        /// As given to [`Worker::set_user`](crate::Worker::set_user) and [`Worker::set_group`](crate::Worker::set_group),
        /// with a colon between them: `www-data:`.
        account: Box<str>,
        /// What stands in the way.
        source: io::Error,
    },
    /// A file that TLS needs cannot be used.
    Tls {
        /// Which.
        file: Box<str>,
        /// What is wrong with it.
        reason: Box<str>,
    },
    /// The app's processes could not be started, or the first of them did not come up.
    Processes {
        /// Why.
        reason: Box<str>,
    },
    /// [`Worker::run_all`](crate::Worker::run_all) was called inside a callback.
    Running,
    /// More than four million connections, timers or workers at once.
    Exhausted,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address { address, reason } => write!(f, "bad address \"{address}\": {reason}"),
            Self::Listen { address, source } => write!(f, "cannot listen on {address}: {source}"),
            Self::Loop { action, source } => write!(f, "the event loop cannot {action}: {source}"),
            Self::Start { worker, reason } => write!(f, "on_worker_start of worker \"{worker}\" failed: {reason}"),
            Self::Account { account, source } => write!(f, "cannot run as \"{account}\": {source}"),
            Self::Tls { file, reason } => write!(f, "TLS: {file}: {reason}"),
            Self::Processes { reason } => f.write_str(reason),
            Self::Running => f.write_str("the event loop of this thread is already running"),
            Self::Exhausted => f.write_str("no slot is free: four million are in use"),
        }
    }
}

/// The same text as `Display`, because it is what a user sees when `main` returns the error.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Listen { source, .. } | Self::Loop { source, .. } | Self::Account { source, .. } => Some(source),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_stay_small() {
        assert!(size_of::<Error>() <= 40, "{}", size_of::<Error>());
    }

    #[test]
    fn a_listen_error_names_the_address_and_the_cause() {
        let error = Error::Listen { address: "http://0.0.0.0:80".into(), source: io::ErrorKind::AddrInUse.into() };
        assert_eq!(error.to_string(), "cannot listen on http://0.0.0.0:80: address in use");
        assert_eq!(format!("{error:?}"), error.to_string());
    }
}
