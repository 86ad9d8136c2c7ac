//! What carries the bytes of a connection: TCP, or memory in tests.
//!
//! All transports keep the same rules, those of a non-blocking socket in an edge-triggered epoll: an event for each
//! arrival, `WouldBlock` when there is nothing to read or no room to write, an event again once that has changed; a
//! read that fills less than the buffer has taken all there was.

pub(crate) mod memory;

use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr};

use mio::event::Source;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

/// What an event says about a connection or a listener.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Readiness {
    pub(crate) readable: bool,
    pub(crate) writable: bool,
    /// The peer sends no more; what it sent before may still wait to be read.
    pub(crate) read_closed: bool,
    /// The connection is broken.
    pub(crate) error: bool,
}

impl From<&mio::event::Event> for Readiness {
    #[inline]
    fn from(event: &mio::event::Event) -> Self {
        Self {
            readable: event.is_readable(),
            writable: event.is_writable(),
            read_closed: event.is_read_closed(),
            error: event.is_error(),
        }
    }
}

/// An open way to a peer.
#[derive(Debug)]
pub(crate) enum Transport {
    Tcp(TcpStream),
    Memory(memory::End),
    Closed,
}

impl Transport {
    pub(crate) fn register(
        &mut self,
        registry: impl FnOnce(&mut dyn Source) -> io::Result<()>,
        token: Token,
    ) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => registry(stream),
            Self::Memory(end) => {
                end.register(token);
                Ok(())
            }
            Self::Closed => Ok(()),
        }
    }

    #[inline]
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let result = match self {
                Self::Tcp(stream) => stream.read(buffer),
                Self::Memory(end) => end.read(buffer),
                Self::Closed => Ok(0),
            };
            if !is_interrupted(&result) {
                return result;
            }
        }
    }

    #[inline]
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            let result = match self {
                Self::Tcp(stream) => stream.write(bytes),
                Self::Memory(end) => end.write(bytes),
                Self::Closed => Err(io::ErrorKind::NotConnected.into()),
            };
            if !is_interrupted(&result) {
                return result;
            }
        }
    }

    pub(crate) fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        loop {
            let result = match self {
                Self::Tcp(stream) => stream.write_vectored(slices),
                Self::Memory(end) => end.write_vectored(slices),
                Self::Closed => Err(io::ErrorKind::NotConnected.into()),
            };
            if !is_interrupted(&result) {
                return result;
            }
        }
    }

    /// Tells the peer that nothing more will be sent.
    pub(crate) fn shutdown_write(&mut self) {
        match self {
            // Fails only when the connection is gone already.
            Self::Tcp(stream) => drop(stream.shutdown(Shutdown::Write)),
            Self::Memory(end) => end.shutdown_write(),
            Self::Closed => {}
        }
    }

    pub(crate) fn local_addr(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(stream) => stream.local_addr().ok(),
            Self::Memory(_) => Some(memory::LOCAL),
            Self::Closed => None,
        }
    }
}

/// Registered once, for both directions: no `epoll_ctl` ever after.
pub(crate) fn register_source(registry: &Registry, source: &mut dyn Source, token: Token) -> io::Result<()> {
    registry.register(source, token, Interest::READABLE | Interest::WRITABLE)
}

#[inline]
fn is_interrupted<T>(result: &io::Result<T>) -> bool {
    matches!(result, Err(error) if error.kind() == io::ErrorKind::Interrupted)
}
