//! The servers that a thread has to do with: the connections to each, and the requests that wait for one.
//!
//! Invariants: a server has at most as many connections as the client of the request allows that would make one more; a
//! request waits only while there is none for it; a server without connections and without waiting requests is forgotten.

use std::collections::VecDeque;

use super::HttpClient;
use super::error::HttpError;
use super::exchange::{self, Exchange};
use super::link::{self, Link};
use super::route::Route;
use crate::reactor::{self, Key, Table};
use crate::shared::{Leaked, Shared};

/// So many connections without a request a thread keeps, to all servers together.
const IDLE: usize = 1024;
/// How often it is looked which of them have been idle for too long, in nanoseconds.
const SWEEP: u64 = 1_000_000_000;

thread_local! {
    static STATE: Leaked<Shared<State>> = const { Leaked::new() };
}

#[derive(Debug)]
pub(super) struct State {
    #[allow(clippy::vec_box)] // a page of the table is a thousand slots, mostly empty
    pub(super) exchanges: Table<Box<Exchange>>,
    pub(super) links: Table<Link>,
    pub(super) servers: Table<Server>,
    /// The first is straight and as usual.
    pub(super) routes: Vec<Route>,
    /// How many connections have no request.
    idle: usize,
    /// A timer looks at these.
    sweeping: bool,
}

#[derive(Debug)]
pub(super) struct Server {
    origin: Box<str>,
    route: u16,
    pub(super) dial: Box<str>,
    connections: u32,
    /// Those without a request; the one that was used last is used next.
    idle: Vec<Key>,
    waiting: VecDeque<Key>,
}

/// Lends the state of the thread. The closure must not run user code.
pub(super) fn with<R>(f: impl FnOnce(&mut State) -> R) -> R {
    STATE.with(|state| state.get().with(f))
}

pub(super) fn with_exchange<R>(key: Key, f: impl FnOnce(&mut Exchange) -> R) -> Option<R> {
    with(|state| Some(f(state.exchanges.get_mut(key)?)))
}

/// Where a request goes.
enum Place {
    Link(Key),
    /// A connection is to be made.
    New(Key),
    Waits,
    Busy,
    NoWay,
    Nowhere,
}

/// Sends a request as soon as there is a connection for it: a new one if it is to be `fresh`.
pub(super) fn submit(key: Key, fresh: bool) {
    loop {
        match with(|state| state.place(key, fresh)) {
            Place::Link(link) if !link::send(link, key) => {}
            Place::New(server) => return link::dial(server, key),
            Place::Busy => return exchange::fail(key, HttpError::Busy),
            Place::NoWay => {
                return exchange::fail(key, HttpError::Request("there have been too many different proxies"));
            }
            Place::Link(_) | Place::Waits | Place::Nowhere => return,
        }
    }
}

/// There is room for one more connection, or one has become free: sends what waits, as far as that goes.
pub(super) fn go_on(server: Key) {
    while let Some(key) = with(|state| state.next_waiting(server)) {
        submit(key, false);
    }
    with(|state| state.forget_unused(server));
}

/// A request does not wait any more.
pub(super) fn leave(server: Key, key: Key) {
    with(|state| {
        if let Some(server) = state.servers.get_mut(server)
            && let Some(at) = server.waiting.iter().position(|waiting| *waiting == key)
        {
            server.waiting.remove(at);
        }
    });
}

/// The request that has waited longest for this server, if any does, for a connection that has become free.
pub(super) fn take_waiting(server: Key) -> Option<Key> {
    with(|state| {
        let key = state.servers.get_mut(server)?.waiting.pop_front()?;
        state.exchanges.get_mut(key)?.waits_for = None;
        Some(key)
    })
}

/// Keeps a connection for the next request; whether it may stay.
pub(super) fn keep(link: Key) -> bool {
    let now = reactor::get().clock.now();
    let kept = with(|state| {
        if state.idle >= IDLE {
            return None;
        }
        let kept = state.links.get_mut(link)?;
        kept.idle_since = Some(now);
        state.servers.get_mut(kept.server)?.idle.push(link);
        state.idle += 1;
        Some(!std::mem::replace(&mut state.sweeping, true))
    });
    if kept == Some(true) {
        arm_sweep();
    }
    kept.is_some()
}

fn arm_sweep() {
    let armed = reactor::get().add_deadline(SWEEP, Box::new(|_| sweep()));
    with(|state| state.sweeping = armed.is_ok());
}

/// Closes what has been idle for too long.
fn sweep() {
    let now = reactor::get().clock.now();
    let (old, goes_on) = with(|state| {
        let keys = state.servers.keys();
        let idle = keys.into_iter().filter_map(|key| state.servers.get(key)).flat_map(|server| &server.idle);
        let is_old = |key: &&Key| state.links.get(**key).is_none_or(|link| link.is_old(now));
        let old: Vec<Key> = idle.filter(is_old).copied().collect();
        let goes_on = state.idle > old.len();
        (old, goes_on)
    });
    with(|state| state.sweeping = goes_on);
    if goes_on {
        arm_sweep();
    }
    old.into_iter().for_each(link::abandon);
}

impl Default for State {
    fn default() -> Self {
        Self {
            exchanges: Table::default(),
            links: Table::default(),
            servers: Table::default(),
            routes: vec![Route::default()],
            idle: 0,
            sweeping: false,
        }
    }
}

impl State {
    pub(super) fn route(&self, number: u16) -> Option<&Route> {
        self.routes.get(usize::from(number))
    }

    fn place(&mut self, key: Key, fresh: bool) -> Place {
        let Some(exchange) = self.exchanges.get_mut(key) else { return Place::Nowhere };
        let HttpClient { max_conn_per_addr, max_waiting, route, .. } = exchange.client;
        let Some(route) = self.routes.get_mut(usize::from(route)) else { return Place::NoWay };
        let server_key = match route.names.get(exchange.url.origin()).copied() {
            Some(key) => key,
            None => match self.servers.insert(Server::new(exchange)) {
                Ok(key) => {
                    route.names.insert(exchange.url.origin().into(), key);
                    key
                }
                Err(_) => return Place::Busy,
            },
        };
        let Some(server) = self.servers.get_mut(server_key) else { return Place::Busy };
        if !fresh && let Some(link) = server.idle.pop() {
            self.idle -= 1;
            return Place::Link(link);
        }
        if server.connections < max_conn_per_addr {
            server.connections += 1;
            return Place::New(server_key);
        }
        if server.waiting.len() >= max_waiting as usize {
            return Place::Busy;
        }
        server.waiting.push_back(key);
        exchange.waits_for = Some(server_key);
        Place::Waits
    }

    /// Takes the first of those who wait, if there is a connection for it or may be.
    fn next_waiting(&mut self, key: Key) -> Option<Key> {
        let server = self.servers.get_mut(key)?;
        let first = *server.waiting.front()?;
        let exchange = self.exchanges.get_mut(first);
        let room = exchange.as_ref().is_none_or(|exchange| server.connections < exchange.client.max_conn_per_addr);
        if server.idle.is_empty() && !room {
            return None;
        }
        server.waiting.pop_front();
        if let Some(exchange) = exchange {
            exchange.waits_for = None;
        }
        Some(first)
    }

    /// A connection is gone.
    pub(super) fn forget_link(&mut self, key: Key) -> Option<Link> {
        let link = self.links.remove(key)?;
        if let Some(server) = self.servers.get_mut(link.server) {
            server.connections = server.connections.saturating_sub(1);
            if let Some(at) = server.idle.iter().position(|idle| *idle == key) {
                server.idle.remove(at);
                self.idle -= 1;
            }
        }
        Some(link)
    }

    fn forget_unused(&mut self, key: Key) {
        if let Some(server) = self.servers.get(key)
            && server.connections == 0
            && server.waiting.is_empty()
            && let Some(server) = self.servers.remove(key)
            && let Some(route) = self.routes.get_mut(usize::from(server.route))
        {
            route.names.remove(&server.origin);
        }
    }
}

impl Server {
    fn new(exchange: &Exchange) -> Self {
        Self {
            origin: exchange.url.origin().into(),
            route: exchange.client.route,
            dial: exchange.url.dial().into(),
            connections: 0,
            idle: Vec::new(),
            waiting: VecDeque::new(),
        }
    }
}

/// At the end of a loop: hands out the requests that there are, which hold user code.
#[allow(clippy::vec_box)] // as they lay in their table
pub(super) fn clear() -> Vec<Box<Exchange>> {
    with(|state| {
        let exchanges = state.exchanges.clear();
        drop((state.links.clear(), state.servers.clear()));
        // Clients outlive a loop, and keep their ways.
        state.routes.iter_mut().for_each(|route| route.names.clear());
        (state.idle, state.sweeping) = (0, false);
        exchanges
    })
}
