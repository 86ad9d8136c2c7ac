//! The sources of a thread, by key: where each stands, and what has come that its app has not been told.
//!
//! ```text
//!             ┌────────────────── waits ◀──────────────┐
//!             ▼                                        │ lost
//!  new ─▶ Connecting ── 200, text/event-stream ──▶ Open ┤
//!             │                                        │ close(), nothing to come back for
//!             └── an answer that no waiting heals ─▶ Closed ─▶ forgotten
//! ```
//!
//! Invariants: what belongs to an earlier attempt is known by its number and ignored; whatever ends a stream, the app hears of
//! it once, after all events that came before.

use std::fmt;
use std::rc::Rc;

use super::ReadyState;
use super::backoff::Backoff;
use super::callbacks::Callbacks;
use super::stream::{End, Head};
use crate::callback;
use crate::http_client::{HttpClient, PendingRequest, RequestBody};
use crate::protocols::http::event_stream::EventStream;
use crate::reactor::{Key, Table};
use crate::shared::{Leaked, Shared};

/// Nanoseconds until a stream has to be open, unless the app says otherwise.
const PATIENCE: u64 = 30_000_000_000;
/// A source at rest keeps no more room for bytes.
const KEPT: usize = 16 << 10;

thread_local! {
    static SOURCES: Leaked<Shared<Table<Entry>>> = const { Leaked::new() };
}

pub(super) struct Entry {
    pub(super) asked: Asked,
    pub(super) callbacks: Rc<Callbacks>,
    pub(super) state: ReadyState,
    pub(super) stream: EventStream,
    pub(super) backoff: Backoff,
    /// Counts the attempts.
    pub(super) attempt: u32,
    pub(super) request: Option<PendingRequest>,
    /// Until the next attempt.
    pub(super) timer: Option<Key>,
    pub(super) news: News,
    pub(super) is_paused: bool,
    /// Nanoseconds until a stream has to be open, 0 for any number.
    pub(super) patience: u64,
    /// Nanoseconds without a byte that cost an open stream, 0 for any number.
    pub(super) silence: u64,
    /// When the attempt began or the last byte came.
    pub(super) heard: u64,
    /// Looks whether that was too long ago.
    pub(super) watch: Option<Key>,
}

/// What the app asks the server for.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    /// By which way.
    pub(super) http: HttpClient,
    pub(super) url: Rc<str>,
    pub(super) method: Option<Rc<str>>,
    pub(super) headers: Vec<(Rc<str>, Rc<str>)>,
    pub(super) body: Option<RequestBody>,
    pub(super) comes_back: Option<bool>,
}

impl Asked {
    pub(super) fn method(&self) -> &str {
        self.method.as_deref().unwrap_or(if self.body.is_some() { "POST" } else { "GET" })
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let of_name = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        of_name.map(|(_, value)| &**value)
    }

    /// Whether the same may be asked for again when the stream has ended.
    pub(super) fn comes_back(&self) -> bool {
        self.comes_back.unwrap_or_else(|| self.method() == "GET")
    }
}

/// What has come, in this order.
#[derive(Debug, Default)]
pub(super) struct News {
    pub(super) head: Option<Head>,
    pub(super) bytes: Vec<u8>,
    /// So many of the bytes have been told.
    pub(super) told: usize,
    pub(super) end: Option<End>,
}

impl News {
    /// All bytes have been told.
    pub(super) fn clear_bytes(&mut self) {
        if self.bytes.capacity() > KEPT {
            self.bytes = Vec::new();
        }
        self.bytes.clear();
        self.told = 0;
    }
}

impl Entry {
    pub(super) fn new(url: &str) -> Self {
        let http = HttpClient::for_streams();
        let asked = Asked { http, url: url.into(), method: None, headers: Vec::new(), body: None, comes_back: None };
        Self {
            asked,
            callbacks: Rc::default(),
            state: ReadyState::Connecting,
            stream: EventStream::default(),
            backoff: Backoff::default(),
            attempt: 0,
            request: None,
            timer: None,
            news: News::default(),
            is_paused: false,
            patience: PATIENCE,
            silence: 0,
            heard: 0,
            watch: None,
        }
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").field("url", &self.asked.url).field("attempt", &self.attempt).finish_non_exhaustive()
    }
}

/// Keeps a source; a key of nobody if there are four million.
pub(super) fn insert(entry: Entry) -> Key {
    sources().with(|table| table.insert(entry)).unwrap_or(Key::NONE)
}

pub(super) fn with<R>(key: Key, f: impl FnOnce(&mut Entry) -> R) -> Option<R> {
    sources().with(|table| Some(f(table.get_mut(key)?)))
}

pub(super) fn remove(key: Key) -> Option<Entry> {
    sources().with(|table| table.remove(key))
}

/// At the end of a loop: nothing of this thread's sources stays.
pub(crate) fn clear() {
    callback::discard_all(sources().with(Table::clear));
}

fn sources() -> &'static Shared<Table<Entry>> {
    SOURCES.with(Leaked::get)
}
