//! A connection without a socket, for tests in memory and in virtual time.
//!
//! It keeps the edge rules of a socket and makes the rare cases ordinary: segments as small as wished (each arrival is
//! an event of its own), a send window, writes that take less than offered, FIN with and without data, RST.

use std::collections::VecDeque;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;

use mio::Token;

use super::Readiness;
use crate::shared::Shared;

/// The address of the server's end.
pub(crate) const LOCAL: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 80);

/// Events of all memory connections of a thread, in order; several of one connection become one, as in epoll.
#[derive(Debug, Default)]
pub(crate) struct Events(Shared<VecDeque<(Token, Readiness)>>);

impl Events {
    pub(crate) fn pop(&self) -> Option<(Token, Readiness)> {
        self.0.with(VecDeque::pop_front)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.with(|events| events.len())
    }

    fn push(&self, token: Token, new: Readiness) {
        self.0.with(|events| match events.iter_mut().find(|(known, _)| *known == token) {
            None => events.push_back((token, new)),
            Some((_, old)) => {
                old.readable |= new.readable;
                old.writable |= new.writable;
                old.read_closed |= new.read_closed;
                old.error |= new.error;
            }
        });
    }
}

/// The server's end.
#[derive(Debug)]
pub(crate) struct End(Rc<Pipe>);

/// The peer's end, which the test holds.
#[derive(Clone, Debug)]
pub(crate) struct Peer(Rc<Pipe>);

#[derive(Debug)]
struct Pipe {
    state: Shared<State>,
    events: Rc<Events>,
}

#[derive(Debug)]
struct State {
    token: Option<Token>,
    /// What the peer has sent and the network still carries.
    travelling: VecDeque<u8>,
    /// What the server can read.
    arrived: VecDeque<u8>,
    /// What the server has sent and the peer has not read.
    answers: VecDeque<u8>,
    /// Bytes that arrive at a time.
    segment: usize,
    /// Bytes that fit between the server and a peer that does not read.
    window: usize,
    /// Bytes that one write takes.
    write_limit: usize,
    /// The server was told that there is no room.
    wants_room: bool,
    peer_fin: bool,
    server_fin: bool,
    reset: bool,
    server_gone: bool,
}

/// A connection of two ends.
pub(crate) fn pair(events: Rc<Events>) -> (End, Peer) {
    let state = State {
        token: None,
        travelling: VecDeque::new(),
        arrived: VecDeque::new(),
        answers: VecDeque::new(),
        segment: usize::MAX,
        window: usize::MAX,
        write_limit: usize::MAX,
        wants_room: false,
        peer_fin: false,
        server_fin: false,
        reset: false,
        server_gone: false,
    };
    let pipe = Rc::new(Pipe { state: Shared::new(state), events });
    (End(Rc::clone(&pipe)), Peer(pipe))
}

impl End {
    pub(crate) fn register(&mut self, token: Token) {
        self.0.state.with(|state| state.token = Some(token));
        self.0.announce(|state| {
            state.arrive();
            Readiness { writable: true, ..state.readiness() }
        });
    }

    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let result = self.0.state.with(|state| {
            if state.arrived.is_empty() {
                return if state.reset {
                    Err(io::ErrorKind::ConnectionReset.into())
                } else if state.peer_fin && state.travelling.is_empty() {
                    Ok(0)
                } else {
                    Err(io::ErrorKind::WouldBlock.into())
                };
            }
            let count = buffer.len().min(state.arrived.len());
            for (to, from) in buffer.iter_mut().zip(state.arrived.drain(..count)) {
                *to = from;
            }
            Ok(count)
        });
        // The next segment comes once the last one was read.
        let more = self.0.state.with(|state| state.arrived.is_empty() && state.arrive());
        if more {
            self.0.announce(|state| state.readiness());
        }
        result
    }

    pub(super) fn read_vectored(&mut self, slices: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        let mut count = 0;
        for slice in slices {
            match self.read(slice) {
                Ok(read) => count += read,
                Err(error) if count == 0 => return Err(error),
                Err(_) => break,
            }
            if count < slice.len() {
                break;
            }
        }
        Ok(count)
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    pub(super) fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let (result, more_room) = self.0.state.with(|state| {
            if state.reset {
                return (Err(io::ErrorKind::BrokenPipe.into()), false);
            }
            let offered: usize = slices.iter().map(|slice| slice.len()).sum();
            let room = state.window.saturating_sub(state.answers.len());
            let count = offered.min(room).min(state.write_limit);
            state.answers.extend(slices.iter().flat_map(|slice| slice.iter()).take(count));
            state.wants_room = count < offered;
            let result = if count == 0 && offered > 0 { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(count) };
            (result, state.wants_room && count < room)
        });
        if more_room {
            self.0.announce(State::room);
        }
        result
    }

    pub(super) fn shutdown_write(&mut self) {
        self.0.state.with(|state| state.server_fin = true);
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.0.state.with(|state| {
            state.server_gone = true;
            state.token = None;
        });
    }
}

impl Peer {
    pub(crate) fn write(&self, bytes: &[u8]) {
        self.0.state.with(|state| state.travelling.extend(bytes));
        self.announce_arrival();
    }

    /// All that the server has sent and was not read yet.
    pub(crate) fn read(&self, most: usize) -> Vec<u8> {
        let bytes = self.0.state.with(|state| {
            let count = state.answers.len().min(most);
            state.answers.drain(..count).collect()
        });
        self.0.announce(State::room);
        bytes
    }

    pub(crate) fn finish(&self) {
        self.0.state.with(|state| state.peer_fin = true);
        self.announce_arrival();
    }

    pub(crate) fn reset(&self) {
        self.0.state.with(|state| state.reset = true);
        self.0.announce(|_| Readiness { readable: true, writable: true, read_closed: true, error: true });
    }

    pub(crate) fn set_segment(&self, bytes: usize) {
        self.0.state.with(|state| state.segment = bytes.max(1));
    }

    pub(crate) fn set_window(&self, bytes: usize) {
        self.0.state.with(|state| state.window = bytes);
        self.0.announce(State::room);
    }

    pub(crate) fn set_write_limit(&self, bytes: usize) {
        self.0.state.with(|state| state.write_limit = bytes.max(1));
    }

    /// Whether the server has said that it sends no more, or has closed.
    pub(crate) fn is_finished(&self) -> bool {
        self.0.state.with(|state| state.server_fin || state.server_gone)
    }

    /// Whether the server has closed the connection.
    pub(crate) fn is_closed(&self) -> bool {
        self.0.state.with(|state| state.server_gone)
    }

    fn announce_arrival(&self) {
        self.0.announce(|state| {
            // Without segments of a size, bytes join those that wait, as in the kernel's buffer.
            if state.arrived.is_empty() || state.segment == usize::MAX {
                state.arrive();
            }
            state.readiness()
        });
    }
}

impl Pipe {
    fn announce(&self, what: impl FnOnce(&mut State) -> Readiness) {
        let event = self.state.with(|state| Some((state.token?, what(state))));
        if let Some((token, readiness)) = event.filter(|(_, readiness)| *readiness != Readiness::default()) {
            self.events.push(token, readiness);
        }
    }
}

impl State {
    /// Lets the next segment arrive.
    fn arrive(&mut self) -> bool {
        let count = self.travelling.len().min(self.segment);
        self.arrived.extend(self.travelling.drain(..count));
        count > 0
    }

    fn readiness(&mut self) -> Readiness {
        let read_closed = self.peer_fin && self.travelling.is_empty();
        Readiness { readable: !self.arrived.is_empty() || read_closed, read_closed, ..Readiness::default() }
    }

    /// Writable, if the server waits for room and there is some.
    fn room(&mut self) -> Readiness {
        let writable = self.wants_room && self.answers.len() < self.window;
        self.wants_room &= !writable;
        Readiness { writable, ..Readiness::default() }
    }
}
