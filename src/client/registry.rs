//! The clients of a thread, by key, without their types: where each stands, and what waits for it.
//!
//! ```text
//!  Initial ──connect()──▶ Resolving ─▶ Dialling (─▶ Talking) ─▶ Established ──▶ Closed ─▶ forgotten
//!                             ▲            └─────────── nobody answers, or says no ──▶ ┤
//!                             └────────────── Waiting ◀──────────────── reconnect() ───┘
//! ```
//!
//! Invariants: whoever fails to connect has one `on_error`, then one `on_close`; whoever stood has one `on_close`; a client
//! is forgotten once that has returned, unless it has been told to connect anew. What belongs to an earlier attempt
//! (a name that is found, a timer) is known by its number and ignored.

use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;
use std::rc::Rc;

use super::callbacks::Told;
use super::dial::Dialled;
use super::proxy::{Proxy, Talk};
use super::resolve::Found;
use super::target::{Place, Target};
use crate::callback;
use crate::data::Bag;
use crate::reactor::{Key, Table};
use crate::shared::{Leaked, Shared};

thread_local! {
    static CLIENTS: Leaked<Shared<Table<Entry>>> = const { Leaked::new() };
}

/// A send that waits for the connection of this key.
pub(super) type Queued = Box<dyn FnOnce(Key)>;

pub(super) struct Entry {
    /// As given to `new`.
    pub(super) address: Box<str>,
    pub(super) scheme: &'static str,
    #[cfg(feature = "_tls")]
    pub(super) tls: Option<Rc<crate::transport::tls::TlsClientOptions>>,
    pub(super) handlers: Rc<dyn Told>,
    pub(super) stage: Stage,
    /// Counts the attempts.
    pub(super) attempt: u32,
    /// Of the attempt, or until the next one.
    pub(super) timer: Option<Key>,
    /// Nanoseconds that an attempt may take.
    pub(super) timeout: u64,
    /// When the attempt began.
    pub(super) began: u64,
    pub(super) queue: Vec<Queued>,
    /// It is to connect anew so many nanoseconds after its `on_close`.
    pub(super) again: Option<u64>,
    pub(super) extra: Option<Box<Extra>>,
}

/// What few clients have.
#[derive(Default)]
pub(super) struct Extra {
    /// The address of one, as given.
    pub(super) proxy: Option<Box<str>>,
    pub(super) data: Bag,
    /// Of its connections, where they are not the usual ones.
    pub(super) max_send_buffer_size: Option<usize>,
    pub(super) max_package_size: Option<usize>,
}

pub(super) enum Stage {
    Initial,
    /// Its attempt is about to begin.
    Due,
    Resolving,
    /// What has come of looking its name up.
    Resolved(Box<Found>),
    /// One address is tried, these come next.
    Dialling(Box<(Dialled, VecDeque<SocketAddr>)>),
    /// A proxy is asked for the way to the server.
    Talking(Box<(Dialled, Talk)>),
    /// The server and we agree on how to encrypt.
    #[cfg(feature = "_tls")]
    Securing(super::secure::Securing),
    /// Its connection is being made. Whatever is called meanwhile, by the codec's constructor, puts an end to that.
    Opening,
    Established(Key),
    Closed,
    /// The next attempt is a matter of time.
    Waiting,
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").field("address", &self.address).field("attempt", &self.attempt).finish_non_exhaustive()
    }
}

impl Entry {
    /// The place for what few have.
    pub(super) fn extra(&mut self) -> &mut Extra {
        self.extra.get_or_insert_default()
    }

    pub(super) fn proxy(&self) -> Option<&str> {
        self.extra.as_ref()?.proxy.as_deref()
    }

    /// Its address as it is meant, or what is wrong with it.
    pub(super) fn target(&self) -> Result<Target, String> {
        Target::parse(&self.address, self.scheme)
    }

    /// Where to connect to: the server, or the proxy before it.
    pub(super) fn first_place(&self) -> Result<Place, String> {
        match (self.proxy(), self.target()?.place) {
            (None, place) => Ok(place),
            (Some(_), Place::Unix(_)) => Err("no proxy leads to a Unix socket".into()),
            (Some(proxy), Place::Host { .. }) => Ok(Proxy::parse(proxy)?.place),
        }
    }

    /// What to say to the proxy, if there is one.
    pub(super) fn talk(&self) -> Result<Option<Talk>, String> {
        match (self.proxy(), self.target()?.place) {
            (Some(proxy), Place::Host { host, port }) => Talk::new(&Proxy::parse(proxy)?, &host, port).map(Some),
            _ => Ok(None),
        }
    }

    /// Nanoseconds that are left of the attempt; 0 when it may take for ever.
    pub(super) fn time_left(&self, now: u64) -> u64 {
        let spent = now.saturating_sub(self.began);
        self.timeout.saturating_sub(spent).max(self.timeout.min(1))
    }

    /// Whether a connection is on its way.
    pub(super) fn is_under_way(&self) -> bool {
        !matches!(self.stage, Stage::Initial | Stage::Established(_) | Stage::Closed | Stage::Waiting)
    }
}

/// Keeps a client; a key of nobody if there are four million.
pub(super) fn insert(entry: Entry) -> Key {
    let inserted = clients().with(|table| table.insert(entry));
    inserted.unwrap_or(Key::NONE)
}

pub(super) fn with<R>(key: Key, f: impl FnOnce(&mut Entry) -> R) -> Option<R> {
    clients().with(|table| Some(f(table.get_mut(key)?)))
}

/// The client stands there now. Where it stood is left outside of the borrow: a handshake is given up with that.
pub(super) fn enter(key: Key, stage: Stage) {
    drop(with(key, |entry| std::mem::replace(&mut entry.stage, stage)));
}

/// Forgets a client with all that waited for it, which is user code.
pub(super) fn forget(key: Key) {
    let entry = clients().with(|table| table.remove(key));
    callback::discard(entry);
}

/// At the end of a loop: nothing of this thread's clients stays.
pub(crate) fn clear() {
    callback::discard_all(clients().with(Table::clear));
}

fn clients() -> &'static Shared<Table<Entry>> {
    CLIENTS.with(Leaked::get)
}
