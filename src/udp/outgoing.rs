//! Datagrams on their way out: sent at once, or waiting for room in the system's buffer.
//!
//! Invariants: they leave in the order they were given; what waits is bounded in bytes, each datagram with what it costs
//! beside them, so empty ones are bounded too.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;

/// What a datagram that waits costs beside its bytes.
const COST: usize = size_of::<Waiting>();

/// The datagrams that wait.
#[derive(Debug)]
pub(crate) struct Outgoing {
    waiting: VecDeque<Waiting>,
    /// What they cost.
    cost: usize,
    limit: usize,
}

#[derive(Debug)]
struct Waiting {
    peer: SocketAddr,
    bytes: Box<[u8]>,
}

/// What became of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Given {
    /// The system has it.
    Sent,
    /// It waits.
    Queued,
    /// Too much waits already.
    Full,
}

impl Outgoing {
    /// At this limit no more may wait, in bytes. It is checked before a datagram is added.
    pub(crate) fn new(limit: usize) -> Self {
        Self { waiting: VecDeque::new(), cost: 0, limit }
    }

    pub(crate) fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(crate) fn clear(&mut self) {
        self.waiting = VecDeque::new();
        self.cost = 0;
    }

    /// Sends a datagram with this system call, unless others wait before it or there is no room.
    pub(crate) fn send(
        &mut self,
        peer: SocketAddr,
        bytes: &[u8],
        write: impl FnMut(&[u8], SocketAddr) -> io::Result<usize>,
    ) -> io::Result<Given> {
        if self.is_empty() && attempt(bytes, peer, write)? {
            return Ok(Given::Sent);
        }
        if self.cost >= self.limit {
            return Ok(Given::Full);
        }
        self.cost += COST + bytes.len();
        self.waiting.push_back(Waiting { peer, bytes: bytes.into() });
        Ok(Given::Queued)
    }

    /// Sends what waits, as far as there is room; answers which datagrams the system refused, and why.
    pub(crate) fn drain(
        &mut self,
        mut write: impl FnMut(&[u8], SocketAddr) -> io::Result<usize>,
    ) -> Vec<(SocketAddr, io::Error)> {
        let mut refused = Vec::new();
        while let Some(Waiting { peer, bytes }) = self.waiting.front() {
            match attempt(bytes, *peer, &mut write) {
                Ok(true) => {}
                Ok(false) => return refused,
                Err(error) => refused.push((*peer, error)),
            }
            self.cost -= COST + bytes.len();
            self.waiting.pop_front();
        }
        self.clear();
        refused
    }
}

/// Whether the system took it; if not, there is no room.
fn attempt(
    bytes: &[u8],
    peer: SocketAddr,
    mut write: impl FnMut(&[u8], SocketAddr) -> io::Result<usize>,
) -> io::Result<bool> {
    loop {
        match write(bytes, peer) {
            Ok(_) => return Ok(true),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: usize = 1000;

    fn peer(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    /// A system with room for so many datagrams, which refuses those to port 9.
    fn system(mut room: usize, wire: &mut Vec<Vec<u8>>) -> impl FnMut(&[u8], SocketAddr) -> io::Result<usize> {
        move |bytes, peer| {
            if peer.port() == 9 {
                return Err(io::ErrorKind::ConnectionRefused.into());
            }
            room = room.checked_sub(1).ok_or(io::ErrorKind::WouldBlock)?;
            wire.push(bytes.to_vec());
            Ok(bytes.len())
        }
    }

    #[test]
    fn what_finds_no_room_waits_and_leaves_in_order() {
        let mut wire = Vec::new();
        let mut outgoing = Outgoing::new(LIMIT);
        assert_eq!(outgoing.send(peer(1), b"a", system(1, &mut wire)).unwrap(), Given::Sent);
        assert_eq!(outgoing.send(peer(1), b"b", system(0, &mut wire)).unwrap(), Given::Queued);
        // There would be room again, but not before "b".
        assert_eq!(outgoing.send(peer(2), b"c", system(9, &mut wire)).unwrap(), Given::Queued);
        assert_eq!(outgoing.send(peer(2), b"", system(9, &mut wire)).unwrap(), Given::Queued);
        assert!(outgoing.drain(system(1, &mut wire)).is_empty() && !outgoing.is_empty());
        assert!(outgoing.drain(system(9, &mut wire)).is_empty() && outgoing.is_empty());
        assert_eq!(wire, [&b"a"[..], b"b", b"c", b""]);
        assert_eq!(outgoing.cost, 0);
    }

    #[test]
    fn what_waits_is_bounded_even_if_it_is_empty() {
        for bytes in [&b""[..], &[0; 100]] {
            let mut outgoing = Outgoing::new(LIMIT);
            let mut queued = 0;
            while outgoing.send(peer(1), bytes, system(0, &mut Vec::new())).unwrap() == Given::Queued {
                queued += 1;
            }
            assert_eq!(queued, LIMIT.div_ceil(COST + bytes.len()));
        }
    }

    #[test]
    fn what_the_system_refuses_does_not_hold_up_the_rest() {
        let mut wire = Vec::new();
        let mut outgoing = Outgoing::new(LIMIT);
        assert!(outgoing.send(peer(9), b"a", system(1, &mut wire)).is_err() && outgoing.is_empty());
        for port in [1, 9, 2] {
            outgoing.send(peer(port), &[0], system(0, &mut wire)).unwrap();
        }
        let refused = outgoing.drain(system(9, &mut wire));
        assert_eq!((refused.len(), refused[0].0, outgoing.is_empty()), (1, peer(9), true));
        assert_eq!(wire.len(), 2);
    }

    #[test]
    fn an_interrupted_call_is_made_again() {
        let mut calls = 0;
        let given = Outgoing::new(LIMIT).send(peer(1), b"a", |_, _| {
            calls += 1;
            if calls == 1 { Err(io::ErrorKind::Interrupted.into()) } else { Ok(1) }
        });
        assert_eq!((given.unwrap(), calls), (Given::Sent, 2));
    }
}
