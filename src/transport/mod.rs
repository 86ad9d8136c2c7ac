//! What carries the bytes of a connection: TCP, a Unix socket, or memory in tests; and TLS over any of these.
//!
//! All transports keep the same rules, those of a non-blocking socket in an edge-triggered epoll: an event for each
//! arrival, `WouldBlock` when there is nothing to read or no room to write, an event again once that has changed; a
//! read that fills less than the buffer has taken all there was.

pub(crate) mod memory;
mod sharing;
#[cfg(feature = "_tls")]
pub(crate) mod tls;
mod unix;

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::{Shutdown, SocketAddr};

use mio::event::Source;
use mio::net::{TcpStream, UnixStream};
use mio::{Interest, Registry, Token};

pub use sharing::Layout;
pub(crate) use sharing::{Handed, Sharing};

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
    Unix(unix::Stream),
    Memory(memory::End),
    #[cfg(feature = "_tls")]
    Tls(Box<tls::Session>),
    Closed,
}

impl Transport {
    /// Has events come under this token. In memory there is no registry.
    pub(crate) fn register(&mut self, registry: Option<&Registry>, token: Token) -> io::Result<()> {
        match (self, registry) {
            (Self::Tcp(stream), Some(registry)) => register_source(registry, stream, token),
            (Self::Unix(stream), Some(registry)) => stream.register(registry, token),
            (Self::Tcp(_) | Self::Unix(_), None) => Err(io::ErrorKind::NotConnected.into()),
            (Self::Memory(end), _) => {
                end.register(token);
                Ok(())
            }
            #[cfg(feature = "_tls")]
            (Self::Tls(session), registry) => session.register(registry, token),
            (Self::Closed, _) => Ok(()),
        }
    }

    /// Has events come under another token from now on; one comes for what there is already.
    #[cfg(feature = "_tls")]
    fn reregister(&mut self, registry: Option<&Registry>, token: Token) -> io::Result<()> {
        match (self, registry) {
            (Self::Tcp(stream), Some(registry)) => {
                registry.reregister(stream, token, Interest::READABLE | Interest::WRITABLE)
            }
            (Self::Unix(stream), Some(registry)) => stream.reregister(registry, token),
            (transport, registry) => transport.register(registry, token),
        }
    }

    /// Has an event come when there is room, or no longer, where that does not happen of itself.
    pub(crate) fn await_room(&mut self, wanted: bool, registry: Option<&Registry>, token: Token) -> io::Result<()> {
        match (self, registry) {
            (Self::Unix(stream), Some(registry)) => stream.await_room(wanted, registry, token),
            #[cfg(feature = "_tls")]
            (Self::Tls(session), registry) => session.under_mut().await_room(wanted, registry, token),
            _ => Ok(()),
        }
    }

    /// Goes on with what has to be agreed on before the first byte; answers whether that is done.
    #[cfg(feature = "_tls")]
    pub(crate) fn handshake(&mut self) -> io::Result<bool> {
        if let Self::Tls(session) = self { session.handshake() } else { Ok(true) }
    }

    /// What has been agreed on, if the way is encrypted.
    #[cfg(feature = "_tls")]
    pub(crate) fn tls(&self) -> Option<tls::TlsInfo> {
        if let Self::Tls(session) = self { Some(session.info()) } else { None }
    }

    /// Whether nobody on the way can read what is sent.
    pub(crate) fn is_encrypted(&self) -> bool {
        #[cfg(feature = "_tls")]
        return matches!(self, Self::Tls(_));
        #[cfg(not(feature = "_tls"))]
        false
    }

    /// Whether a read finds something that no event will tell of, though it has read less than it might have.
    #[inline]
    pub(crate) fn holds_more(&self) -> bool {
        match self {
            #[cfg(feature = "_tls")]
            Self::Tls(session) => session.holds_more(),
            _ => false,
        }
    }

    /// Tells the peer that what it has is all there was, where there is a word for that; answers whether it has left.
    #[inline]
    pub(crate) fn farewell(&mut self) -> bool {
        #[cfg(feature = "_tls")]
        if let Self::Tls(session) = self {
            return session.farewell();
        }
        true
    }

    #[inline]
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let result = match self {
                Self::Tcp(stream) => stream.read(buffer),
                Self::Unix(stream) => stream.inner.read(buffer),
                Self::Memory(end) => end.read(buffer),
                #[cfg(feature = "_tls")]
                Self::Tls(session) => session.read(buffer),
                Self::Closed => Ok(0),
            };
            if !is_interrupted(&result) {
                return result;
            }
        }
    }

    /// Fills the first buffer, then the second.
    pub(crate) fn read_vectored(&mut self, first: &mut [u8], second: &mut [u8]) -> io::Result<usize> {
        loop {
            let mut slices = [IoSliceMut::new(first), IoSliceMut::new(second)];
            let result = match self {
                Self::Tcp(stream) => stream.read_vectored(&mut slices),
                Self::Unix(stream) => stream.inner.read_vectored(&mut slices),
                Self::Memory(end) => end.read_vectored(&mut slices),
                #[cfg(feature = "_tls")]
                Self::Tls(session) => session.read_vectored(&mut slices),
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
                Self::Unix(stream) => stream.inner.write(bytes),
                Self::Memory(end) => end.write(bytes),
                #[cfg(feature = "_tls")]
                Self::Tls(session) => session.write(&[IoSlice::new(bytes)]),
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
                Self::Unix(stream) => stream.inner.write_vectored(slices),
                Self::Memory(end) => end.write_vectored(slices),
                #[cfg(feature = "_tls")]
                Self::Tls(session) => session.write(slices),
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
            Self::Unix(stream) => drop(stream.inner.shutdown(Shutdown::Write)),
            Self::Memory(end) => end.shutdown_write(),
            #[cfg(feature = "_tls")]
            Self::Tls(session) => session.shutdown_write(),
            Self::Closed => {}
        }
    }

    /// This side's address, where there is one: a Unix socket has a path, which the worker knows.
    pub(crate) fn local_addr(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(stream) => stream.local_addr().ok(),
            Self::Memory(_) => Some(memory::LOCAL),
            #[cfg(feature = "_tls")]
            Self::Tls(session) => session.under().local_addr(),
            Self::Unix(_) | Self::Closed => None,
        }
    }
}

impl From<TcpStream> for Transport {
    fn from(stream: TcpStream) -> Self {
        Self::Tcp(stream)
    }
}

impl From<UnixStream> for Transport {
    fn from(stream: UnixStream) -> Self {
        Self::Unix(stream.into())
    }
}

/// Registered once, for both directions: no `epoll_ctl` ever after. Not for Unix streams, see there.
pub(crate) fn register_source(registry: &Registry, source: &mut dyn Source, token: Token) -> io::Result<()> {
    registry.register(source, token, Interest::READABLE | Interest::WRITABLE)
}

#[inline]
fn is_interrupted<T>(result: &io::Result<T>) -> bool {
    matches!(result, Err(error) if error.kind() == io::ErrorKind::Interrupted)
}
