//! How many connections a worker takes, in all and from one address. On a Unix socket peers have no address.

use std::cell::Cell;
use std::collections::HashMap;
use std::net::IpAddr;

use crate::shared::Shared;

/// The limits of a worker and what counts against them.
#[derive(Debug)]
pub(crate) struct Admission {
    limit: Cell<usize>,
    limit_per_address: Cell<usize>,
    open: Cell<usize>,
    refused: Cell<u64>,
    /// Kept only while there is a limit per address.
    by_address: Shared<HashMap<IpAddr, usize>>,
}

impl Default for Admission {
    fn default() -> Self {
        Self {
            limit: Cell::new(usize::MAX),
            limit_per_address: Cell::new(usize::MAX),
            open: Cell::new(0),
            refused: Cell::new(0),
            by_address: Shared::default(),
        }
    }
}

impl Admission {
    pub(crate) fn set_limit(&self, limit: usize) {
        self.limit.set(limit);
    }

    /// Connections that are open already do not count: set the limit before the loop runs.
    pub(crate) fn set_limit_per_address(&self, limit: usize) {
        self.limit_per_address.set(limit);
    }

    /// Connections that were closed at once because their address has too many.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.get()
    }

    /// How many connections there are.
    pub(crate) fn open(&self) -> usize {
        self.open.get()
    }

    /// Whether no more connections are taken now. They wait in the system's queue.
    pub(crate) fn is_full(&self) -> bool {
        self.open.get() >= self.limit.get()
    }

    /// Whether this address has too many; if so, that is counted.
    pub(crate) fn refuses(&self, address: IpAddr) -> bool {
        let limit = self.limit_per_address.get();
        let refuses =
            limit != usize::MAX && self.by_address.with(|open| open.get(&address).copied().unwrap_or(0)) >= limit;
        self.refused.set(self.refused.get() + u64::from(refuses));
        refuses
    }

    #[inline]
    pub(crate) fn enter(&self, address: Option<IpAddr>) {
        self.open.set(self.open.get() + 1);
        if self.limit_per_address.get() != usize::MAX
            && let Some(address) = address
        {
            self.by_address.with(|open| *open.entry(address).or_default() += 1);
        }
    }

    /// Answers whether the worker was full, so that its listener has to be woken.
    #[inline]
    pub(crate) fn leave(&self, address: Option<IpAddr>) -> bool {
        let was_full = self.is_full();
        self.open.set(self.open.get().saturating_sub(1));
        if self.limit_per_address.get() != usize::MAX
            && let Some(address) = address
        {
            self.by_address.with(|open| {
                if let Some(count) = open.get_mut(&address) {
                    *count -= 1;
                    if *count == 0 {
                        open.remove(&address);
                    }
                }
            });
        }
        was_full
    }
}
