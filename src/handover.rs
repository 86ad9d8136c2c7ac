//! The control socket of a process that another process of the same app has started: it comes as standard input, the one
//! descriptor that safe code can hand on by its number.
//!
//! It is moved away by whatever an app calls first, and standard input then is `/dev/null`. The environment says which
//! socket it is, and keeps saying so to the processes that the app starts itself: they have another standard input, so they
//! do not take themselves for one of us.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, Once, PoisonError};

use rustix::fs::FileType;

/// Names the socket by its number in the system.
pub(crate) const MARK: &str = "WORKERMAN_CONTROL";

static MOVED: Once = Once::new();
static CONTROL: Mutex<Option<UnixStream>> = Mutex::new(None);

/// What the environment has to say to whom this end of the socket is given.
pub(crate) fn mark(socket: impl AsFd) -> io::Result<String> {
    Ok(rustix::fs::fstat(socket)?.st_ino.to_string())
}

/// Moves the control socket away from standard input, if there is one. Only the first call does anything.
pub(crate) fn move_away() {
    MOVED.call_once(|| match move_stdin() {
        Ok(socket) => *CONTROL.lock().unwrap_or_else(PoisonError::into_inner) = socket,
        Err(error) => log::error!("the control socket cannot be taken: {error}"),
    });
}

/// The control socket, for the one who asks first.
pub(crate) fn take() -> Option<UnixStream> {
    move_away();
    CONTROL.lock().unwrap_or_else(PoisonError::into_inner).take()
}

fn move_stdin() -> io::Result<Option<UnixStream>> {
    let Some(mark) = std::env::var_os(MARK) else { return Ok(None) };
    let stdin = rustix::stdio::stdin();
    let is_ours = rustix::fs::fstat(stdin).is_ok_and(|found| {
        FileType::from_raw_mode(found.st_mode) == FileType::Socket && *found.st_ino.to_string() == *mark
    });
    if !is_ours {
        return Ok(None);
    }
    let socket: OwnedFd = rustix::io::fcntl_dupfd_cloexec(stdin, 3)?;
    rustix::stdio::dup2_stdin(OpenOptions::new().read(true).write(true).open("/dev/null")?)?;
    Ok(Some(socket.into()))
}
