//! What a session is made of, and when it is written.
//!
//! Invariants: what is stored and has ended meanwhile is not written again, so that a session which was ended elsewhere
//! stays so; what could not be written counts as changed.

use std::mem;

use serde_json::{Map, Value};

use super::error::SessionError;
use super::{config, id};
use crate::callback::{self, Site};
use crate::error::BoxError;
use crate::shared::Shared;

/// The most that is stored of a session, and read.
pub(super) const MAX_BYTES: usize = 1024 * 1024;

/// The data of a session in memory. Dropped with its last handle, which saves it.
pub(super) struct Record(Shared<State>);

struct State {
    id: String,
    data: Map<String, Value>,
    /// Differs from what is stored.
    changed: bool,
    /// Something is stored under the id, as far as is known.
    stored: bool,
    /// Its lifetime has begun anew in this request.
    refreshed: bool,
}

impl Record {
    /// An empty one, of which nothing is stored.
    pub(super) fn new(id: String) -> Self {
        Self(Shared::new(State { id, data: Map::new(), changed: false, stored: false, refreshed: false }))
    }

    /// What is stored under an id, if anything is.
    pub(super) fn load(id: &str) -> Result<Option<Self>, SessionError> {
        let (handler, lifetime, _) = config::storage();
        let Some(bytes) = handler.read(id, lifetime).map_err(SessionError::Storage)? else { return Ok(None) };
        let data = if bytes.len() > MAX_BYTES { None } else { serde_json::from_slice(&bytes).ok() };
        if data.is_none() {
            log::warn!("what is stored of a session is no JSON object of at most 1 MiB: the client gets a new one");
        }
        let record = |data| State { id: id.to_owned(), data, changed: false, stored: true, refreshed: false };
        Ok(data.map(|data| Self(Shared::new(record(data)))))
    }

    pub(super) fn id(&self) -> String {
        self.0.with(|state| state.id.clone())
    }

    /// Lends the data; the closure runs no user code.
    pub(super) fn read<R>(&self, f: impl FnOnce(&Map<String, Value>) -> R) -> R {
        self.0.with(|state| f(&state.data))
    }

    /// Lends the data to be changed; the closure runs no user code.
    pub(super) fn change(&self, f: impl FnOnce(&mut Map<String, Value>)) {
        self.0.with(|state| {
            f(&mut state.data);
            state.changed = true;
        });
    }

    pub(super) fn remove(&self, name: &str) -> Option<Value> {
        self.0.with(|state| {
            let removed = state.data.remove(name);
            state.changed |= removed.is_some();
            removed
        })
    }

    /// Writes what was changed.
    pub(super) fn save(&self) -> Result<(), SessionError> {
        let (id, stored, due) = self.0.with(State::take_due);
        let result = match due {
            Due::Nothing => return self.refresh_if_wanted(),
            Due::Destroy if stored => config::storage().0.destroy(&id).map_err(SessionError::Storage),
            Due::Destroy => Ok(()),
            Due::Write(bytes) => write(&id, stored, &bytes),
        };
        let written = result.is_ok();
        self.0.with(|state| {
            state.changed |= !written && !matches!(result, Err(SessionError::Gone));
            if written {
                state.stored = !state.data.is_empty();
            }
        });
        result
    }

    /// The same where nobody hears of a failure.
    pub(super) fn save_quietly(&self) {
        // A handler is user code.
        let _ = callback::call(Site::unset("a session handler"), || {
            match self.save() {
                Ok(()) => {}
                Err(SessionError::Gone) => log::info!("a session that has ended meanwhile is not saved"),
                Err(error) => log::error!("a session is not saved: {error}"),
            }
            Ok(())
        });
    }

    /// Lets the lifetime of what is stored begin anew.
    pub(super) fn refresh(&self) -> Result<(), SessionError> {
        let (handler, lifetime, _) = config::storage();
        handler.update_timestamp(&self.id(), lifetime).map_err(SessionError::Storage)?;
        self.0.with(|state| state.refreshed = true);
        Ok(())
    }

    /// Goes on under another id. What was stored under the one before is removed, or stays with all changes so far.
    pub(super) fn renew(&self, delete_old: bool) -> Result<String, SessionError> {
        let new = id::create()?;
        if delete_old {
            config::storage().0.destroy(&self.id()).map_err(SessionError::Storage)?;
        } else {
            self.save()?;
        }
        self.0.with(|state| {
            state.id.clone_from(&new);
            state.stored = false;
            state.changed = !state.data.is_empty();
        });
        Ok(new)
    }

    fn refresh_if_wanted(&self) -> Result<(), SessionError> {
        let wanted = self.0.with(|state| state.stored && !state.refreshed);
        if wanted && config::storage().2 { self.refresh() } else { Ok(()) }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.save_quietly();
        if config::is_gc_due() {
            let _ = callback::call(Site::unset("a session handler"), || {
                if let Err(error) = collect() {
                    log::error!("sessions that have ended are not removed: {error}");
                }
                Ok(())
            });
        }
    }
}

/// What saving comes to.
enum Due {
    Nothing,
    /// There are no data, which is not stored.
    Destroy,
    Write(Vec<u8>),
}

impl State {
    /// Takes note that it is saved now; what fails sets the mark again.
    fn take_due(&mut self) -> (String, bool, Due) {
        let due = match mem::take(&mut self.changed) {
            false => Due::Nothing,
            true if self.data.is_empty() => Due::Destroy,
            true => Due::Write(serde_json::to_vec(&self.data).unwrap_or_default()),
        };
        (self.id.clone(), self.stored, due)
    }
}

/// Writes data under an id, of which something is stored or not.
fn write(id: &str, stored: bool, bytes: &[u8]) -> Result<(), SessionError> {
    if bytes.len() > MAX_BYTES {
        return Err(SessionError::TooLarge);
    }
    let (handler, lifetime, _) = config::storage();
    let write = || -> Result<bool, BoxError> {
        let there = !stored || handler.exists(id, lifetime)?;
        if there {
            handler.write(id, bytes, lifetime)?;
        }
        Ok(there)
    };
    if write().map_err(SessionError::Storage)? { Ok(()) } else { Err(SessionError::Gone) }
}

/// Removes what is stored and has ended.
pub(super) fn collect() -> Result<(), SessionError> {
    let (handler, lifetime, _) = config::storage();
    handler.gc(lifetime).map_err(SessionError::Storage)
}
