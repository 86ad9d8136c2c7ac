//! The clients of datagrams of a thread, by key, without their types: their sockets, and what waits for them.
//!
//! ```text
//!  Initial ──connect(), send()──▶ Resolving ─▶ Open ──close()──▶ (what waits leaves) ─▶ Closed ─▶ on_close ─▶ forgotten
//! ```
//!
//! Invariants: whoever was told to connect has one `on_close`; what is sent leaves in order, or `on_error` is told; a message
//! is a datagram from the beginning, so what waits is bounded in bytes; a visit that meets nothing but errors waits for the
//! next event.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use mio::net::UdpSocket;

use super::callbacks::{Driver, report_to};
use crate::callback;
use crate::client::resolve::{self, Found};
use crate::client::target::{Place, Target};
use crate::connection::{CONNECT_FAIL, PROTOCOL_FAIL, Reporting, SEND_FAIL, SendStatus, Status, TcpConnection};
use crate::reactor::{self, Deferred, Handler, Key, Kind, Table};
use crate::shared::{Leaked, Shared};
use crate::transport::Readiness;
use crate::udp::{self, Given, Outgoing, Refusal};

/// So many datagrams are read in a turn before others have theirs.
const BUDGET: usize = 64;
/// So many failures of a client wait for its `on_error` at most.
const REPORTS: usize = 1000;
/// What waits before there is a peer.
const NOBODY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 0);

thread_local! {
    static CLIENTS: Leaked<Shared<Table<Entry>>> = const { Leaked::new() };
}

#[derive(Debug)]
pub(super) struct Entry {
    /// As given to `new`.
    pub(super) address: Box<str>,
    pub(super) driver: Rc<dyn Driver>,
    stage: Stage,
    outgoing: Outgoing,
    /// It closes once nothing waits.
    leaving: bool,
    /// Will be visited without an event.
    listed: bool,
    reports: VecDeque<Refusal>,
}

#[derive(Debug)]
enum Stage {
    Initial,
    Resolving,
    Open(UdpSocket, SocketAddr),
    Closed,
}

/// Keeps a client; a key of nobody if there are four million.
pub(super) fn insert(address: &str, driver: Rc<dyn Driver>) -> Key {
    let inserted = clients().with(|table| {
        table.insert(Entry {
            address: address.into(),
            driver,
            stage: Stage::Initial,
            outgoing: Outgoing::new(TcpConnection::default_max_send_buffer_size()),
            leaving: false,
            listed: false,
            reports: VecDeque::new(),
        })
    });
    inserted.unwrap_or(Key::NONE)
}

pub(super) fn with<R>(key: Key, f: impl FnOnce(&mut Entry) -> R) -> Option<R> {
    clients().with(|table| Some(f(table.get_mut(key)?)))
}

pub(super) fn status(key: Key) -> Status {
    let status = with(key, |entry| match entry.stage {
        Stage::Closed => Status::Closed,
        _ if entry.leaving => Status::Closing,
        Stage::Initial => Status::Initial,
        Stage::Resolving => Status::Connecting,
        Stage::Open(..) => Status::Established,
    });
    status.unwrap_or(Status::Closed)
}

/// The addresses of the socket: the server's, and its own.
pub(super) fn addresses(key: Key) -> Option<(SocketAddr, SocketAddr)> {
    let addresses = with(key, |entry| match &entry.stage {
        Stage::Open(socket, peer) => Some((*peer, socket.local_addr().ok()?)),
        _ => None,
    });
    addresses.flatten()
}

/// Begins, unless that has been done.
pub(super) fn connect(key: Key) {
    reactor::get().set_handler(Kind::DatagramClient, Handler { ready, flush: |_| {} });
    let is_new = with(key, |entry| {
        let is_new = matches!(entry.stage, Stage::Initial);
        if is_new {
            entry.stage = Stage::Resolving;
        }
        is_new
    });
    if is_new == Some(true) {
        reactor::get().defer(Deferred { run: |key, _| look_up(key), key, code: 0 });
    }
}

/// Sends a datagram, or lets it wait for the socket, or for room.
pub(super) fn send(key: Key, bytes: &[u8]) -> SendStatus {
    let given = with(key, |entry| match &mut entry.stage {
        Stage::Closed => None,
        _ if entry.leaving => None,
        Stage::Open(socket, peer) => {
            let was_empty = entry.outgoing.is_empty();
            let given = entry.outgoing.send(*peer, bytes, |bytes, _| send_by(socket, bytes));
            if was_empty && !entry.outgoing.is_empty() {
                // Should that fail, the next visit for whatever reason sends it.
                let _ = reactor::get().watch_room(socket, Kind::DatagramClient, key, true);
            }
            Some(given)
        }
        _ => Some(entry.outgoing.send(NOBODY, bytes, |_, _| Err(io::ErrorKind::WouldBlock.into()))),
    });
    match given.flatten() {
        None => SendStatus::Closed,
        Some(Ok(Given::Sent)) => SendStatus::Sent,
        Some(Ok(Given::Queued)) => SendStatus::Queued,
        Some(Ok(Given::Full)) => refuse(key, (SEND_FAIL, "send buffer full and drop package".into())),
        Some(Err(error)) => refuse(key, (SEND_FAIL, udp::text_of(&error))),
    }
}

/// A message is dropped: `on_error` is told, once the present callback has returned. What an `on_error` itself loses is told by
/// `send` alone.
pub(super) fn refuse(key: Key, refusal: Refusal) -> SendStatus {
    tell(key, refusal);
    SendStatus::Dropped
}

/// Closes once what waits has left.
pub(super) fn close(key: Key) {
    let (unused, done) = with(key, |entry| {
        entry.leaving = true;
        (matches!(entry.stage, Stage::Initial), entry.outgoing.is_empty())
    })
    .unwrap_or_default();
    if unused {
        forget(key);
    } else if done {
        end(key);
    }
}

/// Closes at once.
fn end(key: Key) {
    let stage = with(key, |entry| std::mem::replace(&mut entry.stage, Stage::Closed));
    if !matches!(stage, None | Some(Stage::Closed)) {
        reactor::get().defer(Deferred { run: |key, _| closed(key), key, code: 0 });
    }
}

fn closed(key: Key) {
    if let Some(driver) = with(key, |entry| Rc::clone(&entry.driver)) {
        // Its failure is logged.
        let _ = driver.plain().on_close.run();
        drop(driver);
        forget(key);
    }
}

fn forget(key: Key) {
    let entry = clients().with(|table| table.remove(key));
    callback::discard(entry);
}

/// The first thing after the callback that has asked for it.
fn look_up(key: Key) {
    let target = with(key, |entry| match Target::parse(&entry.address, "udp") {
        Ok(Target { secure: false, place: Place::Host { host, port }, .. }) => Ok((host, port)),
        Ok(_) => Err("datagrams go to \"udp://host:port\"".into()),
        Err(reason) => Err(reason),
    });
    match target {
        Some(Ok((host, port))) => resolve::resolve(&host, port, move |found| open(key, found)),
        Some(Err(reason)) => fail(key, &reason),
        None => {}
    }
}

/// The name has been looked up. This may be called by a task, which has to end before callbacks run.
fn open(key: Key, found: Found) {
    let opened = found.and_then(|addresses| first(key, addresses).map_err(|error| error.to_string()));
    let is_wanted = with(key, |entry| matches!(entry.stage, Stage::Resolving));
    match opened {
        _ if is_wanted != Some(true) => {}
        Ok((socket, peer)) => {
            with(key, |entry| entry.stage = Stage::Open(socket, peer));
            reactor::get().defer(Deferred { run: |key, _| stands(key), key, code: 0 });
        }
        Err(reason) => fail(key, &reason),
    }
}

/// A socket for the first of the addresses to which there is a way.
fn first(key: Key, addresses: Vec<SocketAddr>) -> io::Result<(UdpSocket, SocketAddr)> {
    let reactor = reactor::get();
    reactor.open().map_err(io::Error::other)?;
    let mut error = io::Error::other("the name has no address");
    for peer in addresses {
        let any = if peer.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let opened = any.parse().map_err(io::Error::other).and_then(UdpSocket::bind).and_then(|mut socket| {
            socket.connect(peer)?;
            reactor.register_reader(&mut socket, Kind::DatagramClient, key)?;
            Ok(socket)
        });
        match opened {
            Ok(socket) => return Ok((socket, peer)),
            Err(failure) => error = failure,
        }
    }
    Err(error)
}

/// What was sent before leaves, then the app is told.
fn stands(key: Key) {
    drain(key);
    let driver = with(key, |entry| matches!(entry.stage, Stage::Open(..)).then(|| Rc::clone(&entry.driver)));
    if let Some(driver) = driver.flatten() {
        // Its failure is logged.
        let _ = driver.plain().on_connect.run();
    }
}

/// Nothing comes of it: `on_error`, then `on_close`.
fn fail(key: Key, reason: &str) {
    let text = with(key, |entry| format!("connect {} fail: {reason}", entry.address));
    tell(key, (CONNECT_FAIL, text.unwrap_or_default().into()));
    end(key);
}

/// Sends what waits, as far as there is room.
fn drain(key: Key) {
    let drained = with(key, |entry| {
        let Stage::Open(socket, _) = &mut entry.stage else { return None };
        let refused = entry.outgoing.drain(|bytes, _| send_by(socket, bytes));
        let is_empty = entry.outgoing.is_empty();
        // If that fails, it is told of room for nothing, or the next visit sends.
        let _ = reactor::get().watch_room(socket, Kind::DatagramClient, key, !is_empty);
        Some((refused, is_empty && entry.leaving))
    });
    let Some((refused, is_done)) = drained.flatten() else { return };
    for (_, error) in refused {
        tell(key, (SEND_FAIL, udp::text_of(&error)));
    }
    if is_done {
        end(key);
    }
}

/// Sends once more what the system has refused because of the one before it, which nobody has received.
fn send_by(socket: &UdpSocket, bytes: &[u8]) -> io::Result<usize> {
    match socket.send(bytes) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => socket.send(bytes),
        sent => sent,
    }
}

fn ready(key: Key, readiness: Readiness) {
    // An event says something; a visit from the ready list nothing.
    let was_listed = readiness == Readiness::default();
    if readiness.writable {
        drain(key);
    }
    let visits = with(key, |entry| match was_listed {
        true => std::mem::take(&mut entry.listed),
        false => !entry.listed && (readiness.readable || readiness.error),
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
    for _ in 0..BUDGET {
        let received = with(key, |entry| match &entry.stage {
            Stage::Open(socket, peer) if !entry.leaving => {
                Some((socket.recv(scratch.bytes()), *peer, Rc::clone(&entry.driver)))
            }
            _ => None,
        });
        let Some((received, peer, driver)) = received.flatten() else { return };
        match received {
            Ok(length) => {
                delivered += 1;
                let datagram = scratch.bytes().get(..length).unwrap_or_default();
                if let Some(reason) = driver.deliver(peer, datagram) {
                    tell(key, (PROTOCOL_FAIL, Cow::Owned(reason.into_string())));
                }
                reactor.settle();
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            // What was sent before has found nobody, as its machine says.
            Err(error) => tell(key, (SEND_FAIL, udp::text_of(&error))),
        }
    }
    if delivered > 0 && with(key, |entry| entry.listed = true).is_some() {
        reactor.list(Kind::DatagramClient, key);
    }
}

fn tell(key: Key, refusal: Refusal) {
    if Reporting::is_on() {
        return;
    }
    let deferred = with(key, |entry| {
        let has_room = entry.reports.len() < REPORTS;
        if has_room {
            entry.reports.push_back(refusal);
        }
        has_room
    });
    if deferred == Some(true) {
        reactor::get().defer(Deferred { run: report, key, code: 0 });
    }
}

fn report(key: Key, _: u32) {
    let next = with(key, |entry| Some((entry.reports.pop_front()?, Rc::clone(&entry.driver))));
    if let Some(((code, text), driver)) = next.flatten() {
        report_to(&*driver, code, &text);
    }
}

/// At the end of a loop: nothing of this thread's clients stays.
pub(in crate::client) fn clear() {
    callback::discard_all(clients().with(Table::clear));
}

fn clients() -> &'static Shared<Table<Entry>> {
    CLIENTS.with(Leaked::get)
}
