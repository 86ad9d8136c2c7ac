//! Sockets that one process makes, and others listen on.
//!
//! The maker binds ([`Bound::new`]), and keeps the sockets for as long as the address is to be its app's: what a process
//! leaves behind in the queue of its socket waits there for its successor. Each process is given its share
//! ([`Bound::share_of`]) and takes it in ([`Which::adopt`]) before it listens.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use socket2::{SockRef, Type};

use super::socket::{self, Made, path_of};
use super::unix::SocketFile;
use super::{BACKLOG, tcp};
use crate::address::Address;
use crate::error::Error;
use crate::reactor::Key;
use crate::transport::Layout;
use crate::udp;
use crate::worker::registry::registry;
use crate::worker::which::{Kind, Which};

/// Where a socket is, as the system says.
#[derive(Clone, PartialEq, Eq)]
pub enum Local {
    /// TCP.
    Tcp(SocketAddr),
    /// UDP.
    Udp(SocketAddr),
    /// A Unix socket with this path.
    Unix(PathBuf),
    /// A Unix socket with this name, and without a file.
    Abstract(Vec<u8>),
}

impl Local {
    /// Where this socket is; `None` if it is of another sort than workers have.
    pub fn of(socket: BorrowedFd<'_>) -> io::Result<Option<Self>> {
        let socket = SockRef::from(&socket);
        let (kind, address) = (socket.r#type()?, socket.local_addr()?);
        let stream = kind == Type::STREAM;
        let unix = || {
            let path = address.as_pathname().map(|path| Self::Unix(path.to_owned()));
            path.or_else(|| address.as_abstract_namespace().map(|name| Self::Abstract(name.to_owned())))
        };
        Ok(match address.as_socket() {
            Some(address) if stream => Some(Self::Tcp(address)),
            Some(address) if kind == Type::DGRAM => Some(Self::Udp(address)),
            None if stream => unix(),
            _ => None,
        })
    }
}

impl fmt::Debug for Local {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "tcp://{address}"),
            Self::Udp(address) => write!(f, "udp://{address}"),
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Abstract(name) => write!(f, "unix://@{}", String::from_utf8_lossy(name)),
        }
    }
}

/// The sockets of a worker's processes, in the hands of who has made them. As long as this is there, nobody is refused.
#[derive(Debug)]
pub struct Bound {
    /// Goes first: as long as the sockets are there, nobody takes the name.
    file: Option<SocketFile>,
    which: Which,
    local: Local,
    layout: Layout,
    /// This program has made them.
    ours: bool,
    sockets: Vec<OwnedFd>,
}

impl Bound {
    /// Binds and listens for so many processes; `None` for a worker without an address. Nothing joins the loop.
    ///
    /// # Errors
    ///
    /// As those of [`Worker::listen`](crate::Worker::listen). That somebody else listens there is one whatever the layout.
    pub fn new(which: Which, slots: usize) -> Result<Option<Self>, Error> {
        // The first is bound without `SO_REUSEPORT`, which fails if anybody has the address; it is set when it is ours.
        let made = match which.0 {
            Kind::Connections(key) => make(which, key)?,
            Kind::Datagrams(key) => udp::bind(key)?.map(|socket| Made { file: None, socket }),
        };
        let Some(Made { file, socket }) = made else { return Ok(None) };
        let mut bound = Self::take(which, vec![socket], true)?;
        bound.file = file;
        bound.resize(slots)?;
        Ok(Some(bound))
    }

    /// Takes sockets that the system's manager has made, whose file that of a Unix socket is. All processes get all of
    /// them, and none is made beside them. Of TCP and Unix sockets, what does not listen yet does now.
    ///
    /// # Errors
    ///
    /// [`Error::Listen`], if there is no socket, or one that cannot listen.
    pub fn inherited(which: Which, sockets: Vec<OwnedFd>) -> Result<Self, Error> {
        Self::take(which, sockets, false)
    }

    /// Takes sockets that this program has [made](Self::is_ours) in its former image, in the same order, and the file of a
    /// Unix socket with them.
    ///
    /// # Errors
    ///
    /// Those of [`inherited`](Self::inherited).
    pub fn resumed(which: Which, sockets: Vec<OwnedFd>) -> Result<Self, Error> {
        let mut bound = Self::take(which, sockets, true)?;
        let path = which.parse().ok().and_then(|address| path_of(&address).ok().flatten());
        bound.file = path.and_then(|path| SocketFile::found(&path));
        Ok(bound)
    }

    fn take(which: Which, sockets: Vec<OwnedFd>, ours: bool) -> Result<Self, Error> {
        let local = prepare(which, &sockets).map_err(|source| which.failed(source))?;
        // Unix sockets know nothing of sharing an address.
        let can_be_dealt_out = ours && matches!(local, Local::Tcp(_) | Local::Udp(_));
        let layout = which.look_at(|_, sharing, usual| sharing.layout(usual)).filter(|_| can_be_dealt_out);
        Ok(Self { file: None, which, local, layout: layout.unwrap_or(Layout::One), ours, sockets })
    }

    /// Makes what is missing for so many processes. What there is stays: see [`share_of`](Self::share_of).
    ///
    /// # Errors
    ///
    /// [`Error::Listen`].
    pub fn resize(&mut self, slots: usize) -> Result<(), Error> {
        self.fill(slots).map_err(|source| self.which.failed(source))
    }

    fn fill(&mut self, slots: usize) -> io::Result<()> {
        if self.layout == Layout::One || self.sockets.len() >= slots {
            return Ok(());
        }
        // All of them need it, those that were alone too.
        self.sockets.iter().try_for_each(|socket| SockRef::from(socket).set_reuse_port(true))?;
        while self.sockets.len() < slots {
            let socket = match (self.which.0, &self.local) {
                (Kind::Connections(_), Local::Tcp(local)) => tcp::bind(*local, true)?.into(),
                (Kind::Datagrams(key), Local::Udp(local)) => udp::bind_beside(key, *local)?,
                _ => return Err(io::ErrorKind::Unsupported.into()),
            };
            self.sockets.push(socket);
        }
        Ok(())
    }

    /// The sockets of one of so many processes, which begin at 0. Of one for each, those that are too many since there are
    /// fewer processes are somebody's too: the system goes on filling their queues. Of too few, some are several processes':
    /// who has none would bind the address anew, in vain.
    pub fn share_of(&self, slot: usize, slots: usize) -> Vec<BorrowedFd<'_>> {
        let slots = slots.min(self.sockets.len()).max(1);
        let is_mine = |index: usize| self.layout == Layout::One || index % slots == slot % slots;
        let sockets = self.sockets.iter().enumerate();
        sockets.filter(|(index, _)| is_mine(*index)).map(|(_, socket)| socket.as_fd()).collect()
    }

    /// How much each of so many processes takes in at a visit, for [`Which::adopt`]. Where all have the same socket it is
    /// one, so that the others have theirs.
    pub fn budget(&self, slots: usize) -> usize {
        if self.layout == Layout::One && slots > 1 { 1 } else { usize::MAX }
    }

    /// All sockets, to be handed to this program's next self.
    pub fn sockets(&self) -> &[OwnedFd] {
        &self.sockets
    }

    /// Whose they are.
    pub fn which(&self) -> Which {
        self.which
    }

    /// Where they are. Of a Unix socket that has got its name later, this is not it.
    pub fn local(&self) -> &Local {
        &self.local
    }

    /// Whether this program has made them, or the system's manager.
    pub fn is_ours(&self) -> bool {
        self.ours
    }

    /// Whether there is one for each process.
    pub fn layout(&self) -> Layout {
        self.layout
    }
}

fn make(which: Which, key: Key) -> Result<Option<Made>, Error> {
    let address = which.parse()?;
    let access = registry().with(|table| table.get(key).map(|entry| entry.access.clone()));
    match (&address, access) {
        (Address::None, _) | (_, None) => Ok(None),
        (address, Some(access)) => {
            socket::make(address, &access, false).map(Some).map_err(|source| which.failed(source))
        }
    }
}

/// Has the sockets listen without blocking; answers where they are.
fn prepare(which: Which, sockets: &[OwnedFd]) -> io::Result<Local> {
    for socket in sockets {
        let socket = SockRef::from(socket);
        socket.set_nonblocking(true)?;
        if matches!(which.0, Kind::Connections(_)) {
            socket.listen(BACKLOG)?;
        }
    }
    let local = sockets.first().map(|first| Local::of(first.as_fd())).transpose()?.flatten();
    local.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "no socket was handed over that fits"))
}
