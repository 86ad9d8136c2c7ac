//! A connection over a Unix socket.
//!
//! It is registered for writing only while it waits for room: such a socket announces room with each answer that its
//! peer reads, which would double the events of a keep-alive connection.
//!
//! Descriptors that a peer sends along are closed by the system, because nobody asks for them. They also cut a read
//! short; what stands behind them is read when more comes.

use std::io;

use mio::net::UnixStream;
use mio::{Interest, Registry, Token};

/// A stream, and what it is registered for.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(super) inner: UnixStream,
    awaits_room: bool,
}

impl Stream {
    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(&mut self.inner, token, Interest::READABLE)
    }

    #[cfg(feature = "_tls")]
    pub(super) fn reregister(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        self.awaits_room = false;
        registry.reregister(&mut self.inner, token, Interest::READABLE)
    }

    /// Has the system tell of room, or no longer. If there is room already, an event says so.
    pub(super) fn await_room(&mut self, wanted: bool, registry: &Registry, token: Token) -> io::Result<()> {
        if self.awaits_room == wanted {
            return Ok(());
        }
        let interest = if wanted { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE };
        registry.reregister(&mut self.inner, token, interest)?;
        self.awaits_room = wanted;
        Ok(())
    }
}

impl From<UnixStream> for Stream {
    fn from(inner: UnixStream) -> Self {
        Self { inner, awaits_room: false }
    }
}
