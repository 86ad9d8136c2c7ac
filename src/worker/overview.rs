//! A look at all workers of a thread, for those who watch the loop.

use super::registry::{keys, registry};
use crate::reactor::Key;

/// What there is to be seen of a worker, whatever its protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Overview {
    pub(crate) key: Key,
    pub(crate) name: String,
    /// The address as it was given; empty for none.
    pub(crate) address: String,
    /// Connections that it has accepted, whatever they speak now.
    pub(crate) connections: usize,
}

/// All workers of connections that run here, in the order they were made in unless some are gone.
pub(crate) fn overview() -> Vec<Overview> {
    let look_at = |key: Key| {
        registry().with(|table| {
            let entry = table.get(key).filter(|entry| !entry.part.absent)?;
            let connections = entry.driver.admission().open();
            Some(Overview { key, name: entry.name.clone(), address: entry.address.to_string(), connections })
        })
    };
    keys().into_iter().filter_map(look_at).collect()
}
