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
    /// Of the client that was made last.
    static ADDRESS: Leaked<Shared<Rc<str>>> = const { Leaked::new() };
}

/// Nanoseconds that an attempt may take unless the app says otherwise.
const TIMEOUT: u64 = 10_000_000_000;

/// A send that waits for the connection of this key.
pub(super) type Queued = Box<dyn FnOnce(Key)>;

pub(super) struct Entry {
    /// As given to `new`.
    pub(super) address: Rc<str>,
    pub(super) handlers: Rc<dyn Told>,
    pub(super) stage: Stage,
    /// Counts the attempts.
    pub(super) attempt: u32,
    pub(super) meanwhile: Option<Box<Meanwhile>>,
    pub(super) extra: Option<Box<Extra>>,
}

/// The size that decides what a client costs beside its connection.
const _: () = assert!(size_of::<Entry>() <= 72);

/// What a client has while it has no connection.
#[derive(Default)]
pub(super) struct Meanwhile {
    /// Of the attempt, or until the next one.
    pub(super) timer: Option<Key>,
    /// When the attempt began.
    pub(super) began: u64,
    pub(super) queue: Vec<Queued>,
    /// It is to connect anew so many nanoseconds after its `on_close`.
    pub(super) again: Option<u64>,
}

/// What few clients have.
#[derive(Default)]
pub(super) struct Extra {
    /// Nanoseconds that an attempt may take.
    pub(super) timeout: Option<u64>,
    #[cfg(feature = "_tls")]
    pub(super) tls: Option<Rc<crate::transport::tls::TlsClientOptions>>,
    /// The address of one, as given.
    pub(super) proxy: Option<Box<str>>,
    pub(super) data: Bag,
    /// Of its connections, where they are not the usual ones.
    pub(super) max_send_buffer_size: Option<usize>,
    pub(super) max_package_size: Option<usize>,
}

impl Extra {
    /// Of a client like this one, without its data.
    pub(super) fn another(&self) -> Self {
        Self {
            timeout: self.timeout,
            #[cfg(feature = "_tls")]
            tls: self.tls.clone(),
            proxy: self.proxy.clone(),
            data: Bag::default(),
            max_send_buffer_size: self.max_send_buffer_size,
            max_package_size: self.max_package_size,
        }
    }
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
    pub(super) fn new(address: Rc<str>, handlers: Rc<dyn Told>) -> Self {
        Self { address, handlers, stage: Stage::Initial, attempt: 0, meanwhile: None, extra: None }
    }

    /// The place for what it has while it has no connection.
    pub(super) fn meanwhile(&mut self) -> &mut Meanwhile {
        self.meanwhile.get_or_insert_default()
    }

    /// Whether, and when, it is to connect anew.
    pub(super) fn again(&self) -> Option<u64> {
        self.meanwhile.as_ref()?.again
    }

    /// It is not to connect anew.
    pub(super) fn call_off(&mut self) {
        self.meanwhile.iter_mut().for_each(|meanwhile| meanwhile.again = None);
    }

    pub(super) fn take_timer(&mut self) -> Option<Key> {
        self.meanwhile.as_mut()?.timer.take()
    }

    pub(super) fn take_queue(&mut self) -> Vec<Queued> {
        self.meanwhile.as_mut().map_or_else(Vec::new, |meanwhile| std::mem::take(&mut meanwhile.queue))
    }

    /// How many sends wait.
    pub(super) fn queued(&self) -> usize {
        self.meanwhile.as_ref().map_or(0, |meanwhile| meanwhile.queue.len())
    }

    /// The place for what few have.
    pub(super) fn extra(&mut self) -> &mut Extra {
        self.extra.get_or_insert_default()
    }

    pub(super) fn proxy(&self) -> Option<&str> {
        self.extra.as_ref()?.proxy.as_deref()
    }

    /// Its address as it is meant, or what is wrong with it.
    pub(super) fn target(&self) -> Result<Target, String> {
        Target::parse(&self.address, self.handlers.scheme())
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

    /// Nanoseconds that an attempt may take; 0 for ever.
    pub(super) fn timeout(&self) -> u64 {
        self.extra.as_ref().and_then(|extra| extra.timeout).unwrap_or(TIMEOUT)
    }

    /// Nanoseconds since the attempt began.
    pub(super) fn spent(&self, now: u64) -> u64 {
        now.saturating_sub(self.meanwhile.as_ref().map_or(now, |meanwhile| meanwhile.began))
    }

    /// Nanoseconds that are left of the attempt; 0 when it may take for ever.
    pub(super) fn time_left(&self, now: u64) -> u64 {
        self.timeout().saturating_sub(self.spent(now)).max(self.timeout().min(1))
    }

    /// Whether a connection is on its way.
    pub(super) fn is_under_way(&self) -> bool {
        !matches!(self.stage, Stage::Initial | Stage::Established(_) | Stage::Closed | Stage::Waiting)
    }
}

/// Keeps a client that is made of its key; answers a key of nobody if there are four million.
pub(super) fn insert(make: impl FnOnce(Key) -> Entry) -> Key {
    let inserted = clients().with(|table| table.insert_with(make, |key, make| make(key)));
    inserted.unwrap_or(Key::NONE)
}

/// An address to keep. Many clients have the same, one after another: they share it.
pub(super) fn keep(address: &str) -> Rc<str> {
    ADDRESS.with(Leaked::get).with(|last| {
        if **last != *address {
            *last = address.into();
        }
        Rc::clone(last)
    })
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
    keep("");
}

fn clients() -> &'static Shared<Table<Entry>> {
    CLIENTS.with(Leaked::get)
}
