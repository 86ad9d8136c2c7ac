//! Sessions in memory, for one process and as long as it runs.
//!
//! Invariant: what is kept has a bound; when it is reached, new data are refused and those of others stay.

use std::collections::HashMap;
use std::time::Duration;

use super::handler::SessionHandler;
use crate::error::Result;
use crate::reactor::{self, nanoseconds};
use crate::shared::Shared;

/// What clients without a cookie can fill.
const LIMIT: usize = 64 * 1024 * 1024;
/// What an entry takes besides its data, about.
const OVERHEAD: usize = 160;

/// Keeps sessions in memory: of this thread's loop only, until it ends. This is what there is unless another handler is
/// set. At most 64 MiB are kept, or what [`with_limit`](Self::with_limit) says.
///
/// ```
/// # use workerman::{MemorySessionHandler, Session};
/// Session::set_handler(MemorySessionHandler::default());
/// ```
#[derive(Debug)]
pub struct MemorySessionHandler {
    entries: Shared<Entries>,
    limit: usize,
}

#[derive(Debug, Default)]
struct Entries {
    by_id: HashMap<Box<str>, Entry>,
    bytes: usize,
    /// When those that have ended were last removed to make room.
    swept: u64,
}

#[derive(Debug)]
struct Entry {
    data: Box<[u8]>,
    /// When it was written, in nanoseconds of the clock.
    written: u64,
}

/// Room is made at most once in so many nanoseconds: a full store must not look at all it has for each new session.
const SWEEP_INTERVAL: u64 = 1_000_000_000;

impl Default for MemorySessionHandler {
    fn default() -> Self {
        Self::with_limit(LIMIT)
    }
}

impl MemorySessionHandler {
    /// A store of at most so many bytes. What has no room is an error of [`Session::save`](crate::Session::save), or a
    /// line in the log when the answer saves it.
    ///
    /// ```
    /// # use workerman::{MemorySessionHandler, Session};
    /// Session::set_handler(MemorySessionHandler::with_limit(8 << 20));
    /// ```
    pub fn with_limit(bytes: usize) -> Self {
        Self { entries: Shared::default(), limit: bytes }
    }
}

impl SessionHandler for MemorySessionHandler {
    fn read(&self, id: &str, lifetime: Duration) -> Result<Option<Vec<u8>>> {
        Ok(self.entries.with(|entries| entries.live(id, lifetime).map(|entry| entry.data.to_vec())))
    }

    fn write(&self, id: &str, data: &[u8], lifetime: Duration) -> Result<()> {
        let size = cost(id, data);
        self.entries.with(|entries| {
            if entries.bytes_without(id) + size > self.limit {
                entries.make_room(lifetime);
            }
            if entries.bytes_without(id) + size > self.limit {
                return Err("no room for more sessions in memory".into());
            }
            entries.remove(id);
            entries.bytes += size;
            entries.by_id.insert(id.into(), Entry { data: data.into(), written: now() });
            Ok(())
        })
    }

    fn destroy(&self, id: &str) -> Result<()> {
        self.entries.with(|entries| entries.remove(id));
        Ok(())
    }

    fn exists(&self, id: &str, lifetime: Duration) -> Result<bool> {
        Ok(self.entries.with(|entries| entries.live(id, lifetime).is_some()))
    }

    fn update_timestamp(&self, id: &str, lifetime: Duration) -> Result<()> {
        self.entries.with(|entries| {
            if let Some(entry) = entries.live(id, lifetime) {
                entry.written = now();
            }
        });
        Ok(())
    }

    fn gc(&self, lifetime: Duration) -> Result<()> {
        self.entries.with(|entries| entries.sweep(lifetime));
        Ok(())
    }
}

impl Entries {
    fn live(&mut self, id: &str, lifetime: Duration) -> Option<&mut Entry> {
        self.by_id.get_mut(id).filter(|entry| !entry.has_ended(lifetime))
    }

    /// What there would be if this one were removed.
    fn bytes_without(&self, id: &str) -> usize {
        self.bytes - self.by_id.get(id).map_or(0, |entry| cost(id, &entry.data))
    }

    fn remove(&mut self, id: &str) {
        if let Some(entry) = self.by_id.remove(id) {
            self.bytes -= cost(id, &entry.data);
        }
    }

    fn make_room(&mut self, lifetime: Duration) {
        let now = now();
        if self.swept == 0 || now.saturating_sub(self.swept) >= SWEEP_INTERVAL {
            self.swept = now;
            self.sweep(lifetime);
        }
    }

    fn sweep(&mut self, lifetime: Duration) {
        let bytes = &mut self.bytes;
        self.by_id.retain(|id, entry| {
            let ended = entry.has_ended(lifetime);
            if ended {
                *bytes -= cost(id, &entry.data);
            }
            !ended
        });
        self.by_id.shrink_to(2 * self.by_id.len());
    }
}

impl Entry {
    fn has_ended(&self, lifetime: Duration) -> bool {
        now().saturating_sub(self.written) >= nanoseconds(lifetime)
    }
}

fn cost(id: &str, data: &[u8]) -> usize {
    id.len() + data.len() + OVERHEAD
}

fn now() -> u64 {
    reactor::get().clock.now()
}
