//! Listening and accepting.
//!
//! Invariants: accepting has a budget for each visit, and who has used it up goes on in the next turn, with no second visit
//! by events meanwhile; when the process or the system runs out of descriptors, accepting
//! rests and is tried again by a timer, so it never spins; accepted sockets inherit their options from the listener, so
//! a connection costs `accept` and one `epoll_ctl`; a socket that other processes have too leaves the loop before it is closed,
//! since closing it here alone would not end its events.

pub(crate) mod account;
pub(super) mod bound;
pub(super) mod socket;
mod tcp;
mod unix;

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rustix::io::Errno;

use super::incoming::take_in;
use super::registry::{Entry, registry};
use super::run::with_entry;
use crate::address::Address;
use crate::connection;
use crate::error::Error;
use crate::reactor::{self, Handler, Key, Kind};
use crate::transport::{Handed, Readiness, Transport};

use socket::{Made, Socket, path_of};
pub(super) use unix::Access;
use unix::SocketFile;

/// PHP's default; the system caps it (`net.core.somaxconn`).
const BACKLOG: i32 = 102_400;
/// So many connections are accepted in a turn before others have theirs.
const ACCEPT_BUDGET: usize = 128;
/// So many when the listener closes: whoever comes in meanwhile is no reason to go on for ever.
const CLOSE_BUDGET: usize = 32 * ACCEPT_BUDGET;
/// How long accepting rests when there are no descriptors, in nanoseconds.
const REST: u64 = 100_000_000;

#[derive(Debug)]
pub(super) struct Listener {
    /// Goes first: as long as the socket is there, nobody takes the name.
    _file: Option<SocketFile>,
    path: Option<PathBuf>,
    /// All of the same address.
    sockets: Box<[Socket]>,
    /// Which of them is next.
    turn: usize,
    /// So many connections are accepted at a visit.
    budget: usize,
    /// Out of descriptors: a timer will try again.
    resting: bool,
    /// That descriptors are short was logged, and nothing was accepted since.
    warned: bool,
    /// Will be visited without an event.
    listed: bool,
}

/// What becomes of those who wait in the system's queue when a worker listens no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Queue {
    /// They are accepted first: whoever was told that he is connected is served.
    Accepted,
    /// They are left to the other processes that have the same socket.
    Left,
}

impl Listener {
    fn new(address: &Address, handed: Handed, file: Option<SocketFile>) -> io::Result<Self> {
        Ok(Self {
            _file: file,
            path: path_of(address)?,
            sockets: handed.sockets.into_iter().map(Socket::take).collect::<io::Result<_>>()?,
            turn: 0,
            budget: handed.budget.clamp(1, ACCEPT_BUDGET),
            resting: false,
            warned: false,
            listed: false,
        })
    }

    pub(super) fn local_addr(&self) -> Option<SocketAddr> {
        match self.sockets.first()? {
            Socket::Tcp { local, .. } => Some(*local),
            Socket::Unix(_) => None,
        }
    }

    pub(super) fn local_path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// The next connection, of each socket in its turn.
    fn accept(&mut self) -> io::Result<(Transport, Option<SocketAddr>)> {
        for _ in 0..self.sockets.len() {
            let Some(socket) = self.sockets.get(self.turn) else { break };
            self.turn = (self.turn + 1) % self.sockets.len();
            match socket.accept() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                accepted => return accepted,
            }
        }
        Err(io::ErrorKind::WouldBlock.into())
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        reactor::get().with_registry(|registry| {
            if let Some(registry) = registry {
                for socket in &mut self.sockets {
                    // Fails for those that never joined.
                    let _ = registry.deregister(socket.source());
                }
            }
        });
    }
}

/// Tells the loop who handles listeners.
pub(super) fn install() {
    reactor::get().set_handler(Kind::Listener, Handler { ready: accept_ready, flush: |_| {} });
}

/// Joins the loop, with the sockets that were handed over, or binds and listens.
pub(super) fn listen(key: Key, address: &Address) -> Result<(), Error> {
    reactor::get().open()?;
    install();
    connection::install();
    let failed = |source| Error::Listen { address: address.to_string().into(), source };
    let listener = open(key, address).map_err(failed)?;
    registry().with(|table| {
        if let Some(entry) = table.get_mut(key) {
            entry.listener = Some(listener);
        }
    });
    Ok(())
}

fn open(key: Key, address: &Address) -> io::Result<Listener> {
    let look_at = |entry: &mut Entry| (entry.sharing.lend(), entry.sharing.leaves_port(), entry.access.clone());
    let Some((handed, reuse_port, access)) = with_entry(key, look_at) else {
        return Err(io::ErrorKind::NotFound.into());
    };
    let (handed, file) = match handed {
        Some(handed) => (handed?, None),
        None => {
            let Made { file, socket } = socket::make(address, &access, reuse_port)?;
            (Handed { sockets: vec![socket], budget: ACCEPT_BUDGET }, file)
        }
    };
    let mut listener = Listener::new(address, handed, file)?;
    for socket in &mut listener.sockets {
        reactor::get().register(socket.source(), Kind::Listener, key)?;
    }
    Ok(listener)
}

/// Listens no more. What was handed over is given up too: while any process has a socket, the system lets clients in.
pub(super) fn close(key: Key, queue: Queue) {
    if queue == Queue::Accepted {
        accept(key, CLOSE_BUDGET);
    }
    with_entry(key, |entry| {
        entry.listener = None;
        entry.sharing.handed = None;
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
    let budget = with_listener(key, |listener| listener.budget).unwrap_or(ACCEPT_BUDGET);
    if visits == Some(true)
        && accept(key, budget)
        && with_listener(key, |listener| std::mem::replace(&mut listener.listed, true)) == Some(false)
    {
        reactor::get().list(Kind::Listener, key);
    }
}

/// Accepts within the budget; answers whether that is used up.
fn accept(key: Key, budget: usize) -> bool {
    for _ in 0..budget {
        let accepted = registry().with(|table| {
            let entry = table.get_mut(key)?;
            let listener = entry.listener.as_mut().filter(|listener| !listener.resting && !entry.paused)?;
            // When one of its connections closes, the listener is visited again.
            if entry.driver.admission().is_full() {
                return None;
            }
            let accepted = listener.accept();
            listener.warned &= accepted.is_err();
            Some((accepted, Rc::clone(&entry.driver)))
        });
        let Some((accepted, driver)) = accepted else { return false };
        match accepted {
            Ok((_, Some(remote))) if driver.admission().refuses(remote.ip()) => {
                log::debug!("a connection of {remote} is refused: its address has too many");
            }
            Ok((transport, remote)) => {
                take_in(key, transport, remote, &driver);
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

    use super::bound::Bound;
    use super::{ACCEPT_BUDGET, Queue, close, registry};
    use crate::Worker;
    use crate::protocols::tcp::Tcp;
    use crate::reactor::{self, Table};
    use crate::worker::Which;

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

    #[test]
    fn who_waits_is_accepted_at_the_end_or_left_to_others() {
        for (queue, expected) in [(Queue::Accepted, 3), (Queue::Left, 0)] {
            let worker = Worker::<Tcp>::new("tcp://127.0.0.1:0");
            let accepted = Rc::new(Cell::new(0));
            let count = Rc::clone(&accepted);
            worker.on_connect(move |_| count.set(count.get() + 1));
            let bound = Bound::new(Which::all()[0], 1).unwrap().unwrap();
            let sockets = || bound.sockets().iter().map(|socket| socket.try_clone().unwrap()).collect();
            bound.which().adopt(sockets(), 1);
            worker.listen().unwrap();
            let address = worker.local_addr().unwrap();
            let _clients: Vec<_> = (0..3).map(|_| TcpStream::connect(address).unwrap()).collect();
            close(worker.key(), queue);
            assert_eq!(accepted.get(), expected);
            assert!(worker.local_addr().is_none());
            drop(bound);
            assert!(TcpStream::connect(address).is_err(), "what was handed over is given up");
            registry().with(Table::clear);
            reactor::get().close();
        }
    }
}
