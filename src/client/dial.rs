//! A socket that is being connected: it is told of when it stands, or when it never will.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use mio::event::Source;
use mio::net::{TcpStream, UnixStream};
use rustix::io::Errno;
use socket2::{SockRef, TcpKeepalive};

use crate::reactor::{self, Key, Kind, token};
use crate::shared::{Leaked, Shared};
use crate::transport::{Transport, memory};

/// As of accepted connections: a peer that is gone without a word is found after two minutes.
const KEEPALIVE: Duration = Duration::from_secs(55);

thread_local! {
    /// The other ends of connections in memory, until a test takes them.
    static OFFERED: Leaked<Shared<VecDeque<memory::Peer>>> = const { Leaked::new() };
}

/// In virtual time a client connects to whoever writes the test.
pub(super) fn offer(peer: memory::Peer) {
    offered(|offered| offered.push_back(peer));
}

/// The other end of the next connection that a client has made.
pub(crate) fn take_offered() -> Option<memory::Peer> {
    offered(VecDeque::pop_front)
}

/// At the end of a loop: what it has offered, nobody takes any more.
pub(super) fn clear() {
    drop(offered(std::mem::take));
}

fn offered<R>(f: impl FnOnce(&mut VecDeque<memory::Peer>) -> R) -> R {
    OFFERED.with(Leaked::get).with(f)
}

#[derive(Debug)]
pub(super) enum Dialled {
    Tcp(TcpStream, SocketAddr),
    Unix(UnixStream),
    /// In a test, which answers by hand.
    Memory(memory::End),
}

impl Dialled {
    pub(super) fn tcp(address: SocketAddr) -> io::Result<Self> {
        Ok(Self::Tcp(TcpStream::connect(address)?, address))
    }

    pub(super) fn unix(path: &str) -> io::Result<Self> {
        Ok(Self::Unix(match path.strip_prefix('@') {
            Some(name) => UnixStream::connect_addr(&abstract_address(name)?)?,
            None => UnixStream::connect(path)?,
        }))
    }

    /// Has its news come to this client.
    pub(super) fn register(&mut self, key: Key) -> io::Result<()> {
        match self {
            Self::Memory(end) => {
                end.register(token(Kind::Client, key));
                Ok(())
            }
            Self::Tcp(stream, _) => reactor::get().register(stream, Kind::Client, key),
            Self::Unix(stream) => reactor::get().register(stream, Kind::Client, key),
        }
    }

    fn source(&mut self) -> Option<&mut dyn Source> {
        match self {
            Self::Tcp(stream, _) => Some(stream),
            Self::Unix(stream) => Some(stream),
            Self::Memory(_) => None,
        }
    }

    /// Whether it stands; an error if it never will.
    pub(super) fn stands(&self) -> io::Result<bool> {
        let failed = match self {
            Self::Tcp(stream, _) => stream.take_error()?,
            Self::Unix(stream) => stream.take_error()?,
            Self::Memory(_) => None,
        };
        if let Some(error) = failed {
            return Err(error);
        }
        let peer = match self {
            Self::Tcp(stream, _) => stream.peer_addr().map(drop),
            Self::Unix(stream) => stream.peer_addr().map(drop),
            Self::Memory(_) => Ok(()),
        };
        match peer {
            Ok(()) => Ok(true),
            Err(error) if is_not_yet(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// What it has become, out of the loop, for whoever takes it in; and its peer's address.
    pub(super) fn into_transport(mut self) -> (Transport, Option<SocketAddr>) {
        reactor::get().with_registry(|registry| {
            if let (Some(registry), Some(source)) = (registry, self.source()) {
                // What is not registered needs not be taken out.
                let _ = registry.deregister(source);
            }
        });
        match self {
            Self::Tcp(stream, address) => {
                let socket = SockRef::from(&stream);
                let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE).with_retries(1);
                // Without these the connection is slower to notice things, no more.
                let _ = socket.set_tcp_nodelay(true).and_then(|()| socket.set_tcp_keepalive(&keepalive));
                (stream.into(), Some(address))
            }
            Self::Unix(stream) => (stream.into(), None),
            Self::Memory(end) => (Transport::Memory(end), Some(memory::LOCAL)),
        }
    }
}

/// What is said before the connection is the app's.
impl Read for Dialled {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream, _) => stream.read(buffer),
            Self::Unix(stream) => stream.read(buffer),
            Self::Memory(end) => end.read(buffer),
        }
    }
}

impl Write for Dialled {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream, _) => stream.write(bytes),
            Self::Unix(stream) => stream.write(bytes),
            Self::Memory(end) => end.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn is_not_yet(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotConnected || error.raw_os_error() == Some(Errno::INPROGRESS.raw_os_error())
}

#[cfg(target_os = "linux")]
fn abstract_address(name: &str) -> io::Result<std::os::unix::net::SocketAddr> {
    use std::os::linux::net::SocketAddrExt;
    std::os::unix::net::SocketAddr::from_abstract_name(name)
}

#[cfg(not(target_os = "linux"))]
fn abstract_address(_: &str) -> io::Result<std::os::unix::net::SocketAddr> {
    Err(io::ErrorKind::Unsupported.into())
}
