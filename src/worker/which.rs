//! All workers of a thread alike, whether they take connections or datagrams: for who starts, stops and describes them.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use super::listener::bound::Local;
use super::listener::socket::path_of;
use super::{registry, run};
use crate::address::Address;
use crate::callback::WorkerCallback;
use crate::error::Error;
use crate::part::Part;
use crate::reactor::Key;
use crate::transport::{Handed, Layout, Sharing};
use crate::udp;
use run::with_entry;

/// A worker of this thread, of whichever kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Which(pub(crate) Kind);

/// By what its part of the crate knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Connections(Key),
    Datagrams(Key),
}

impl Which {
    /// All workers: those of connections, then those of datagrams, each in the order in which they were made.
    pub fn all() -> Vec<Self> {
        let connections = registry::keys().into_iter().map(Kind::Connections);
        connections.chain(udp::keys().into_iter().map(Kind::Datagrams)).map(Self).collect()
    }

    /// Those that are to run in this process.
    pub(crate) fn present() -> Vec<Self> {
        Self::all().into_iter().filter(|which| which.part(|part| !part.absent) == Some(true)).collect()
    }

    /// Its address as the app has given it; empty for none.
    pub fn address(self) -> String {
        self.look_at(|address, _, _| address.to_owned()).unwrap_or_default()
    }

    /// How many processes it is to have.
    pub fn count(self) -> usize {
        self.look_at(|_, sharing, _| sharing.count).unwrap_or(1)
    }

    /// Lends what part it has in the processes of its app.
    pub(crate) fn part<R>(self, f: impl FnOnce(&mut Part) -> R) -> Option<R> {
        match self.0 {
            Kind::Connections(key) => with_entry(key, |entry| f(&mut entry.part)),
            Kind::Datagrams(key) => udp::part(key, f),
        }
    }

    /// Listens, unless it does already or has no address.
    pub(crate) fn listen(self) -> Result<(), Error> {
        match self.0 {
            Kind::Connections(key) => run::listen(key),
            Kind::Datagrams(key) => udp::listen(key),
        }
    }

    /// What it calls when it starts.
    pub(crate) fn on_start(self) -> Option<Rc<WorkerCallback>> {
        match self.0 {
            Kind::Connections(key) => with_entry(key, |entry| Rc::clone(&entry.on_start)),
            Kind::Datagrams(key) => udp::on_start(key),
        }
    }

    /// What it calls when it stops.
    pub(crate) fn on_stop(self) -> Option<Rc<WorkerCallback>> {
        match self.0 {
            Kind::Connections(key) => with_entry(key, |entry| Rc::clone(&entry.on_stop)),
            Kind::Datagrams(key) => udp::on_stop(key),
        }
    }

    /// Its name, and what carries its messages: `tcp`, `unix`, `ssl` or `udp`.
    pub fn name_and_transport(self) -> (String, &'static str) {
        match self.0 {
            Kind::Connections(key) => {
                let name = with_entry(key, |entry| entry.name.clone());
                let is_unix = matches!(self.parse(), Ok(Address::Unix { .. }));
                #[cfg(feature = "_tls")]
                if with_entry(key, |entry| entry.tls.is_some()) == Some(true) {
                    return (name.unwrap_or_default(), "ssl");
                }
                (name.unwrap_or_default(), if is_unix { "unix" } else { "tcp" })
            }
            Kind::Datagrams(key) => (udp::name(key), "udp"),
        }
    }

    /// Has it listen on these sockets and bind nothing, when it listens next. It is given up by the stop of its process.
    pub fn adopt(self, sockets: Vec<OwnedFd>, budget: usize) {
        self.look_at(|_, sharing, _| sharing.handed = Some(Handed { sockets, budget }));
    }

    /// Whether the worker is to listen just there. A port that the system chooses is nowhere yet.
    pub fn is_at(self, local: &Local) -> bool {
        let Ok(address) = self.parse() else { return false };
        let resolves_to = |wanted: &SocketAddr| {
            wanted.port() != 0 && address.resolve().is_ok_and(|addresses| addresses.contains(wanted))
        };
        match (self.0, local) {
            (Kind::Connections(_), Local::Tcp(local)) | (Kind::Datagrams(_), Local::Udp(local)) => resolves_to(local),
            (Kind::Connections(_), Local::Unix(path)) => path_of(&address).ok().flatten().as_ref() == Some(path),
            (Kind::Connections(_), Local::Abstract(name)) => match &address {
                Address::Unix { path, .. } => path.strip_prefix('@').map(str::as_bytes) == Some(name),
                _ => false,
            },
            _ => false,
        }
    }

    pub(super) fn parse(self) -> Result<Address, Error> {
        match self.0 {
            Kind::Connections(key) => {
                with_entry(key, |entry| Address::parse(&entry.address, entry.scheme)).unwrap_or(Ok(Address::None))
            }
            Kind::Datagrams(key) => udp::address(key),
        }
    }

    /// Lends its address, how it is shared, and how it usually would be.
    pub(super) fn look_at<R>(self, f: impl FnOnce(&str, &mut Sharing, Layout) -> R) -> Option<R> {
        match self.0 {
            Kind::Connections(key) => with_entry(key, |entry| f(&entry.address, &mut entry.sharing, Layout::USUAL)),
            Kind::Datagrams(key) => udp::look_at(key, f),
        }
    }

    /// What is told of a socket that cannot be had for it.
    pub(super) fn failed(self, source: io::Error) -> Error {
        Error::Listen { address: self.address().into(), source }
    }
}
