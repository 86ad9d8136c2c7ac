//! Listening and accepting.
//!
//! Invariants: accepting has a budget for each visit, and who has used it up goes on in the next turn, with no second visit
//! by events meanwhile; when the process or the system runs out of descriptors, accepting
//! rests and is tried again by a timer, so it never spins; accepted sockets inherit their options from the listener, so
//! a connection costs `accept` and one `epoll_ctl`.

mod account;
mod tcp;
mod unix;

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;

use mio::event::Source;
use mio::net::TcpListener;
use rustix::io::Errno;

use super::registry::registry;
use crate::address::Address;
use crate::connection;
use crate::error::Error;
use crate::reactor::{self, Handler, Key, Kind};
use crate::transport::{Readiness, Transport};

pub(super) use unix::Access;
use unix::UnixSocket;

/// PHP's default; the system caps it (`net.core.somaxconn`).
const BACKLOG: i32 = 102_400;
/// So many connections are accepted in a turn before others have theirs.
const ACCEPT_BUDGET: usize = 128;
/// So many times that are accepted when the listener closes.
const CLOSE_BUDGET: usize = 32;
/// How long accepting rests when there are no descriptors, in nanoseconds.
const REST: u64 = 100_000_000;

#[derive(Debug)]
pub(super) struct Listener {
    socket: Socket,
    /// Out of descriptors: a timer will try again.
    resting: bool,
    /// That descriptors are short was logged, and nothing was accepted since.
    warned: bool,
    /// Will be visited without an event.
    listed: bool,
}

/// What connections are accepted from.
#[derive(Debug)]
enum Socket {
    Tcp { listener: TcpListener, local: SocketAddr },
    Unix(UnixSocket),
}

impl Listener {
    pub(super) fn local_addr(&self) -> Option<SocketAddr> {
        match self.socket {
            Socket::Tcp { local, .. } => Some(local),
            Socket::Unix(_) => None,
        }
    }

    pub(super) fn local_path(&self) -> Option<&Path> {
        match &self.socket {
            Socket::Tcp { .. } => None,
            Socket::Unix(socket) => socket.path(),
        }
    }
}

impl Socket {
    fn bind(address: &Address, access: &Access) -> io::Result<Self> {
        if let Address::Unix { path, .. } = address {
            return Ok(Self::Unix(UnixSocket::bind(path, access)?));
        }
        let listener = tcp::bind_first(address)?;
        let local = listener.local_addr()?;
        Ok(Self::Tcp { listener, local })
    }

    fn source(&mut self) -> &mut dyn Source {
        match self {
            Self::Tcp { listener, .. } => listener,
            Self::Unix(socket) => &mut socket.listener,
        }
    }

    /// The next connection, and its peer's address if it has one.
    fn accept(&self) -> io::Result<(Transport, Option<SocketAddr>)> {
        match self {
            Self::Tcp { listener, .. } => listener.accept().map(|(stream, remote)| (stream.into(), Some(remote))),
            Self::Unix(socket) => socket.listener.accept().map(|(stream, _)| (stream.into(), None)),
        }
    }
}

/// Tells the loop who handles listeners.
pub(super) fn install() {
    reactor::get().set_handler(Kind::Listener, Handler { ready: accept_ready, flush: |_| {} });
}

/// Binds, listens, and joins the loop.
pub(super) fn listen(key: Key, address: &Address, access: &Access) -> Result<(), Error> {
    reactor::get().open()?;
    install();
    connection::install();
    let failed = |source| Error::Listen { address: address.to_string().into(), source };
    let mut socket = Socket::bind(address, access).map_err(failed)?;
    reactor::get().register(socket.source(), Kind::Listener, key).map_err(failed)?;
    let listener = Listener { socket, resting: false, warned: false, listed: false };
    registry().with(|table| {
        if let Some(entry) = table.get_mut(key) {
            entry.listener = Some(listener);
        }
    });
    Ok(())
}

/// Takes in who waits already, then listens no more: whoever was told that he is connected is served.
pub(super) fn close(key: Key) {
    // Whoever comes in meanwhile is no reason to go on for ever.
    let _ = (0..CLOSE_BUDGET).all(|_| accept(key));
    registry().with(|table| {
        if let Some(entry) = table.get_mut(key) {
            entry.listener = None;
        }
    });
}

fn accept_ready(key: Key, readiness: Readiness) {
    // An event says something; a visit from the ready list nothing.
    let was_listed = readiness == Readiness::default();
    let visits = with_listener(key, |listener| match was_listed {
        // Others list it too: when a limit is no longer reached, or when it may go on.
        true => {
            listener.listed = false;
            true
        }
        false => !listener.listed,
    });
    if visits == Some(true)
        && accept(key)
        && with_listener(key, |listener| std::mem::replace(&mut listener.listed, true)) == Some(false)
    {
        reactor::get().list(Kind::Listener, key);
    }
}

/// Accepts within the budget; answers whether that is used up.
fn accept(key: Key) -> bool {
    for _ in 0..ACCEPT_BUDGET {
        let accepted = registry().with(|table| {
            let entry = table.get_mut(key)?;
            let listener = entry.listener.as_mut().filter(|listener| !listener.resting && !entry.paused)?;
            // When one of its connections closes, the listener is visited again.
            if entry.driver.admission().is_full() {
                return None;
            }
            let accepted = listener.socket.accept();
            listener.warned &= accepted.is_err();
            Some((accepted, Rc::clone(&entry.driver)))
        });
        let Some((accepted, driver)) = accepted else { return false };
        match accepted {
            Ok((_, Some(remote))) if driver.admission().refuses(remote.ip()) => {
                log::debug!("a connection of {remote} is refused: its address has too many");
            }
            Ok((transport, remote)) => {
                if let Err(error) = connection::open(transport, remote, &driver) {
                    let whose = remote.map_or_else(|| "a Unix socket".to_owned(), |remote| remote.to_string());
                    log::error!("a connection of {whose} cannot be taken in: {error}");
                }
                reactor::get().settle();
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
            Err(error) if is_exhausted(&error) => {
                rest(key, &error);
                return false;
            }
            // The peer has changed its mind, or the network did; the next one in the queue has not.
            Err(_) => {}
        }
    }
    true
}

fn with_listener<R>(key: Key, f: impl FnOnce(&mut Listener) -> R) -> Option<R> {
    registry().with(|table| table.get_mut(key)?.listener.as_mut().map(f))
}

fn is_exhausted(error: &io::Error) -> bool {
    let exhausted = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];
    error.raw_os_error().is_some_and(|code| exhausted.iter().any(|errno| errno.raw_os_error() == code))
}

/// Stops accepting for a moment. The connections wait in the system's queue meanwhile.
#[cold]
fn rest(key: Key, error: &io::Error) {
    let already_warned = with_listener(key, |listener| {
        listener.resting = true;
        std::mem::replace(&mut listener.warned, true)
    });
    if already_warned == Some(false) {
        log::error!("no connection can be accepted, trying every 0.1 s: {error}");
    }
    if reactor::get().add_deadline(REST, Box::new(move |_| wake(key))).is_err() {
        wake(key);
    }
}

fn wake(key: Key) {
    with_listener(key, |listener| listener.resting = false);
    reactor::get().list(Kind::Listener, key);
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::net::TcpStream;
    use std::rc::Rc;

    use super::ACCEPT_BUDGET;
    use crate::Worker;
    use crate::protocols::tcp::Tcp;
    use crate::reactor;

    #[test]
    fn a_flood_of_connections_takes_one_visit_in_each_turn_however_many_events_there_are() {
        let worker = Worker::<Tcp>::new("tcp://127.0.0.1:0");
        let accepted = Rc::new(Cell::new(0));
        let count = Rc::clone(&accepted);
        worker.on_connect(move |connection| {
            count.set(count.get() + 1);
            connection.destroy();
        });
        worker.listen().unwrap();
        let address = worker.local_addr().unwrap();
        // They wait in the system's queue, although they have gone.
        let come = |clients| (0..clients).for_each(|_| drop(TcpStream::connect(address).unwrap()));
        let turns = 4;
        come((turns + 2) * ACCEPT_BUDGET);
        reactor::get().turn(true).unwrap();
        assert_eq!(accepted.take(), 2 * ACCEPT_BUDGET, "by the event, and once more behind all others");
        for _ in 0..turns {
            come(1);
            reactor::get().turn(true).unwrap();
            assert_eq!(accepted.take(), ACCEPT_BUDGET);
        }
        reactor::get().turn(true).unwrap();
        assert_eq!(accepted.take(), turns);
        worker.unlisten();
        reactor::get().close();
    }
}
