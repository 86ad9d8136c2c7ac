//! A worker's socket: binding it, reading from it, and sending what has waited for room.
//!
//! Invariants:
//! * a visit reads until the socket is empty or the budget is used up; then it goes on in the next turn, and events
//!   meanwhile bring no second visit;
//! * a socket that other processes have too leaves the loop before it is closed, since closing it here alone would not end
//!   its events;
//! * no error ends a socket, and a visit that meets nothing but errors waits for the next event, so it never spins;
//! * it is told of room to write only while a datagram waits for that: otherwise each one that leaves would make an event.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::rc::Rc;

use mio::net::UdpSocket;
use socket2::{Domain, Protocol, Type};

use super::outgoing::{Given, Outgoing};
use super::registry::{Entry, Options, with_entry, with_socket};
use super::send;
use crate::address::Address;
use crate::connection::{SEND_FAIL, TcpConnection};
use crate::error::Error;
use crate::reactor::{self, Handler, Key, Kind};
use crate::transport::{Handed, Readiness};

/// So many datagrams are read in a turn before others have theirs.
const BUDGET: usize = 64;

#[derive(Debug)]
pub(super) struct Socket {
    /// All of the same address. What leaves, leaves by the first.
    sockets: Box<[UdpSocket]>,
    /// Which of them is read next.
    turn: usize,
    /// So many datagrams are read at a visit.
    budget: usize,
    pub(super) local: SocketAddr,
    pub(super) outgoing: Outgoing,
    /// Will be visited without an event.
    listed: bool,
    /// Closes once nothing waits.
    leaving: bool,
}

impl Socket {
    /// Sends a datagram, or lets it wait for room.
    pub(super) fn send(&mut self, key: Key, peer: SocketAddr, bytes: &[u8]) -> io::Result<Given> {
        self.send_by(UdpSocket::send_to, key, peer, bytes)
    }

    /// The same by this system call.
    fn send_by(
        &mut self,
        call: impl Fn(&UdpSocket, &[u8], SocketAddr) -> io::Result<usize>,
        key: Key,
        peer: SocketAddr,
        bytes: &[u8],
    ) -> io::Result<Given> {
        let Self { sockets, outgoing, .. } = self;
        let socket = sockets.first_mut().ok_or(io::ErrorKind::NotConnected)?;
        let was_empty = outgoing.is_empty();
        let given = outgoing.send(peer, bytes, |bytes, peer| call(socket, bytes, peer));
        if was_empty
            && !outgoing.is_empty()
            && let Err(error) = reactor::get().watch_room(socket, Kind::Datagram, key, true)
        {
            // Nobody would tell when it can leave.
            outgoing.clear();
            return Err(error);
        }
        given
    }

    /// There is room again: sends what waits. Answers which datagrams the system refused, and why.
    fn drain(&mut self, key: Key) -> Vec<(SocketAddr, io::Error)> {
        let Self { sockets, outgoing, .. } = self;
        let Some(socket) = sockets.first_mut() else { return Vec::new() };
        let refused = outgoing.drain(|bytes, peer| socket.send_to(bytes, peer));
        if outgoing.is_empty() {
            // If that fails, it is told of room for nothing, which costs an event each time.
            let _ = reactor::get().watch_room(socket, Kind::Datagram, key, false);
        }
        refused
    }

    /// Nothing more is read; answers whether it can close now.
    pub(super) fn leave(&mut self) -> bool {
        self.leaving = true;
        self.outgoing.is_empty()
    }

    pub(super) fn set_broadcast(&self, enabled: bool) -> io::Result<()> {
        self.sockets.iter().try_for_each(|socket| socket.set_broadcast(enabled))
    }

    /// Joins a multicast group, on the interface that the system chooses.
    pub(super) fn join(&self, group: IpAddr) -> io::Result<()> {
        self.sockets.iter().try_for_each(|socket| join(socket, group))
    }

    /// The next datagram, of each socket in its turn.
    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        for _ in 0..self.sockets.len() {
            let Some(socket) = self.sockets.get(self.turn) else { break };
            self.turn = (self.turn + 1) % self.sockets.len();
            match socket.recv_from(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                received => return received,
            }
        }
        Err(io::ErrorKind::WouldBlock.into())
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        reactor::get().with_registry(|registry| {
            if let Some(registry) = registry {
                for socket in &mut self.sockets {
                    // Fails for those that never joined.
                    let _ = registry.deregister(socket);
                }
            }
        });
    }
}

/// Joins the loop, with the sockets that were handed over, or binds.
pub(super) fn open(key: Key, address: &Address) -> Result<(), Error> {
    let reactor = reactor::get();
    reactor.open()?;
    reactor.set_handler(Kind::Datagram, Handler { ready, flush: |_| {} });
    let failed = |source| Error::Listen { address: address.to_string().into(), source };
    let socket = make(key, address).map_err(failed)?;
    with_entry(key, |entry| entry.socket = Some(socket));
    Ok(())
}

fn make(key: Key, address: &Address) -> io::Result<Socket> {
    let look_at = |entry: &mut Entry| (entry.sharing.lend(), entry.sharing.leaves_port(), entry.options.clone());
    let Some((handed, reuse_port, options)) = with_entry(key, look_at) else {
        return Err(io::ErrorKind::NotFound.into());
    };
    let handed = match handed {
        Some(handed) => handed?,
        None => Handed { sockets: vec![bind_first(address, &options, reuse_port)?], budget: BUDGET },
    };
    let sockets: Box<[UdpSocket]> = handed.sockets.into_iter().map(UdpSocket::from).collect();
    let local = sockets.first().ok_or(io::ErrorKind::InvalidInput)?.local_addr()?;
    let limit = options.max_send_buffer_size.unwrap_or_else(TcpConnection::default_max_send_buffer_size);
    let mut socket = Socket {
        sockets,
        turn: 0,
        budget: handed.budget.clamp(1, BUDGET),
        local,
        outgoing: Outgoing::new(limit),
        listed: false,
        leaving: false,
    };
    for socket in &mut socket.sockets {
        reactor::get().register_reader(socket, Kind::Datagram, key)?;
    }
    Ok(socket)
}

/// The first of the addresses that can be had, or why the last could not.
pub(super) fn bind_first(address: &Address, options: &Options, reuse_port: bool) -> io::Result<OwnedFd> {
    let mut error = io::ErrorKind::AddrNotAvailable.into();
    for candidate in address.resolve()? {
        match bind(candidate, options, reuse_port) {
            Ok(socket) => return Ok(socket),
            Err(failure) => error = failure,
        }
    }
    Err(error)
}

/// With `reuse_port`, the system deals datagrams out to all who have said so.
pub(super) fn bind(address: SocketAddr, options: &Options, reuse_port: bool) -> io::Result<OwnedFd> {
    let socket = socket2::Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    // As PHP does: several programs may then have the port, as those of a multicast group need. Where the system chooses,
    // it would choose ports that others have.
    socket.set_reuse_address(address.port() != 0)?;
    socket.set_reuse_port(reuse_port)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.set_broadcast(options.broadcast)?;
    let socket = UdpSocket::from_std(socket.into());
    options.groups.iter().try_for_each(|group| join(&socket, *group))?;
    Ok(socket.into())
}

fn join(socket: &UdpSocket, group: IpAddr) -> io::Result<()> {
    let joined = match group {
        IpAddr::V4(group) => socket.join_multicast_v4(&group, &Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(group) => socket.join_multicast_v6(&group, 0),
    };
    match joined {
        // Another process that has the same socket was faster.
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Ok(()),
        joined => joined,
    }
}

fn ready(key: Key, readiness: Readiness) {
    // An event says something; a visit from the ready list nothing.
    let was_listed = readiness == Readiness::default();
    if readiness.writable {
        for (peer, error) in with_socket(key, |socket| socket.drain(key)).unwrap_or_default() {
            send::fail(key, peer, SEND_FAIL, send::text_of(&error));
        }
    }
    if with_socket(key, |socket| socket.leaving) == Some(true) {
        with_entry(key, |entry| entry.socket.take_if(Socket::leave));
        return;
    }
    let visits = with_socket(key, |socket| match was_listed {
        true => std::mem::take(&mut socket.listed),
        false => !socket.listed && (readiness.readable || readiness.error),
    });
    if visits == Some(true) {
        read(key);
    }
}

/// Reads datagrams and delivers them.
fn read(key: Key) {
    let reactor = reactor::get();
    let mut scratch = reactor.scratch();
    let mut delivered = 0;
    let budget = with_socket(key, |socket| socket.budget).unwrap_or_default();
    for _ in 0..budget {
        let received = with_entry(key, |entry| {
            let socket = entry.socket.as_mut()?;
            Some((socket.receive(scratch.bytes()), Rc::clone(&entry.driver)))
        });
        let Some((received, driver)) = received.flatten() else { return };
        match received {
            Ok((length, peer)) => {
                delivered += 1;
                driver.deliver(key, peer, scratch.bytes().get(..length).unwrap_or_default());
                reactor.settle();
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            Err(error) => log::debug!("a UDP socket has an error, and goes on: {error}"),
        }
    }
    if delivered > 0 && with_socket(key, |socket| socket.listed = true).is_some() {
        reactor.list(Kind::Datagram, key);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::connection::SendStatus;
    use crate::protocols::tcp::Tcp;
    use crate::udp::{UdpWorker, clear, is_leaving, leave};

    #[test]
    fn what_finds_no_room_leaves_when_there_is_some() {
        let worker = UdpWorker::<Tcp>::new("udp://127.0.0.1:0");
        worker.listen().unwrap();
        let peer = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        peer.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let connection = worker.connection(peer.local_addr().unwrap());
        let no_room = |_: &UdpSocket, _: &[u8], _| Err(io::ErrorKind::WouldBlock.into());
        let given =
            with_socket(worker.key, |socket| socket.send_by(no_room, worker.key, connection.remote_addr(), b"a"));
        assert_eq!(given.unwrap().unwrap(), Given::Queued);
        assert_eq!(connection.send("b"), SendStatus::Queued, "behind what waits");
        worker.set_max_send_buffer_size(1);
        assert_eq!(connection.send("c"), SendStatus::Dropped);
        let told = Rc::new(std::cell::Cell::new(0));
        let telling = Rc::clone(&told);
        worker.on_error(move |_, _, text| {
            assert_eq!(text, "send buffer full and drop package");
            telling.set(telling.get() + 1);
        });

        let reactor = reactor::get();
        reactor.turn(true).unwrap();
        assert_eq!((with_socket(worker.key, |socket| socket.outgoing.is_empty()), told.get()), (Some(true), 1));
        assert_eq!(connection.send("d"), SendStatus::Sent);
        let receive = |expected: &[u8]| {
            let mut buffer = [0; 10];
            let length = peer.recv(&mut buffer).unwrap();
            assert_eq!(&buffer[..length], expected);
        };
        [b"a", b"b", b"d"].into_iter().for_each(|expected| receive(expected));

        with_socket(worker.key, |socket| socket.send_by(no_room, worker.key, connection.remote_addr(), b"e"));
        leave();
        assert!(is_leaving(), "something waits");
        reactor.turn(true).unwrap();
        assert!(!is_leaving());
        receive(b"e");
        clear();
        reactor.close();
    }
}
