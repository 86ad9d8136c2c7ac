//! A look at all connections, for those who watch the loop.

use std::net::SocketAddr;

use super::Status;
use super::driver::Handlers;
use super::id;
use super::owner::Owner;
use super::state::{Connection, state};
use super::switched::Switched;
use crate::protocols::Codec;
use crate::reactor::Key;

/// What there is to be seen of a connection, whatever its protocol.
#[derive(Clone, Debug)]
pub(crate) struct Survey {
    pub(crate) id: u64,
    /// The worker that has accepted it.
    pub(crate) worker: Key,
    /// The protocol's type, as the compiler calls it.
    pub(crate) protocol: &'static str,
    pub(crate) status: Status,
    /// Bytes that have come and are no message yet.
    pub(crate) received: usize,
    /// Bytes that wait for the peer.
    pub(crate) queued: usize,
    pub(crate) bytes_read: u64,
    pub(crate) bytes_written: u64,
    pub(crate) is_encrypted: bool,
    pub(crate) local: Option<SocketAddr>,
    /// `None` on a Unix socket.
    pub(crate) remote: Option<SocketAddr>,
}

/// All connections of this thread.
pub(crate) fn survey() -> Vec<Survey> {
    state().with(|state| {
        let mut found = Vec::with_capacity(state.table.len());
        let mut slot = 0;
        while let Some((key, connection)) = state.table.next_from(slot) {
            found.push(look_at(key, connection));
            slot = key.slot + 1;
        }
        found
    })
}

fn look_at(key: Key, connection: &Connection) -> Survey {
    let acceptor = connection.driver.as_switched().map_or(&connection.driver, Switched::acceptor);
    Survey {
        id: id::of(key),
        worker: acceptor.worker(),
        protocol: connection.driver.protocol_name(),
        status: connection.status,
        received: connection.inbound.as_ref().map_or(0, |inbound| inbound.bytes.len().saturating_sub(inbound.start)),
        queued: connection.queued(),
        bytes_read: connection.bytes_read,
        bytes_written: connection.bytes_written,
        is_encrypted: connection.transport.is_encrypted(),
        local: connection.transport.local_addr(),
        remote: connection.remote,
    }
}

/// A driver says what its protocol is called.
pub(crate) trait Named {
    /// The protocol's type, as the compiler calls it.
    fn protocol_name(&self) -> &'static str;
}

impl<P: Codec, O: Owner<P>> Named for Handlers<P, O> {
    fn protocol_name(&self) -> &'static str {
        std::any::type_name::<P>()
    }
}

impl Named for Switched {
    fn protocol_name(&self) -> &'static str {
        self.to.protocol_name()
    }
}
