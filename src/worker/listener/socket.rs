//! Sockets that listen: making them, and accepting from them.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::{PathBuf, absolute};

use mio::event::Source;
use mio::net::{TcpListener, UnixListener};

use super::unix::{self, Access, SocketFile};
use super::{BACKLOG, tcp};
use crate::address::Address;
use crate::transport::Transport;

/// A socket that listens, and its file if it has made one.
#[derive(Debug)]
pub(super) struct Made {
    /// Goes first: as long as the socket is there, nobody takes the name.
    pub(super) file: Option<SocketFile>,
    pub(super) socket: OwnedFd,
}

/// Binds and listens.
pub(super) fn make(address: &Address, access: &Access, reuse_port: bool) -> io::Result<Made> {
    let (socket, file) = match address {
        Address::Unix { path, .. } => unix::bind(path, access)?,
        _ => (tcp::bind_first(address, reuse_port)?, None),
    };
    Ok(Made { file, socket: socket.into() })
}

/// What connections are accepted from.
#[derive(Debug)]
pub(super) enum Socket {
    Tcp { listener: TcpListener, local: SocketAddr },
    Unix(UnixListener),
}

impl Socket {
    /// Takes a socket that is bound, and has it listen if it does not.
    pub(super) fn take(socket: OwnedFd) -> io::Result<Self> {
        let socket = socket2::Socket::from(socket);
        socket.set_nonblocking(true)?;
        socket.listen(BACKLOG)?;
        let local = socket.local_addr()?;
        let socket = OwnedFd::from(socket);
        Ok(match local.as_socket() {
            Some(local) => Self::Tcp { listener: socket.into(), local },
            None => Self::Unix(socket.into()),
        })
    }

    pub(super) fn source(&mut self) -> &mut dyn Source {
        match self {
            Self::Tcp { listener, .. } => listener,
            Self::Unix(listener) => listener,
        }
    }

    /// The next connection, and its peer's address if it has one.
    pub(super) fn accept(&self) -> io::Result<(Transport, Option<SocketAddr>)> {
        match self {
            Self::Tcp { listener, .. } => listener.accept().map(|(stream, remote)| (stream.into(), Some(remote))),
            Self::Unix(listener) => listener.accept().map(|(stream, _)| (stream.into(), None)),
        }
    }
}

/// Where the file of this address is, if it is one. The socket itself does not know: it got its name later.
pub(in crate::worker) fn path_of(address: &Address) -> io::Result<Option<PathBuf>> {
    match address {
        Address::Unix { path, .. } if !path.starts_with('@') => absolute(&**path).map(Some),
        _ => Ok(None),
    }
}
