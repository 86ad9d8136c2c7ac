//! The workers of a thread, by key, without their types.

use std::any::Any;
use std::fmt;
use std::rc::Rc;

use super::listener::{Access, Listener};
use crate::callback::WorkerCallback;
use crate::connection::Driver;
use crate::data::{Bag, Holder};
use crate::part::Part;
use crate::reactor::{Key, Table};
use crate::shared::{Leaked, Shared};
use crate::transport::Sharing;

thread_local! {
    static REGISTRY: Leaked<Shared<Table<Entry>>> = const { Leaked::new() };
}

/// The workers of this thread.
pub(super) fn registry() -> &'static Shared<Table<Entry>> {
    REGISTRY.with(Leaked::get)
}

pub(super) struct Entry {
    pub(super) name: String,
    /// As given to `new`, which cannot say what is wrong with it: `listen` and `run_all` do.
    pub(super) address: Box<str>,
    pub(super) scheme: &'static str,
    /// Of a Unix socket.
    pub(super) access: Access,
    pub(super) sharing: Sharing,
    #[cfg(feature = "_tls")]
    pub(super) tls: Option<super::tls::Tls>,
    pub(super) part: Part,
    pub(super) listener: Option<Listener>,
    /// The app wants no connections now.
    pub(super) paused: bool,
    pub(super) driver: Rc<dyn Driver>,
    /// The same as `driver`, with a way back to its type.
    pub(super) handlers: Rc<dyn Any>,
    pub(super) on_start: Rc<WorkerCallback>,
    pub(super) on_stop: Rc<WorkerCallback>,
    pub(super) data: Bag,
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").field("name", &self.name).field("address", &self.address).finish_non_exhaustive()
    }
}

/// The keys of all workers, in the order of their slots.
pub(super) fn keys() -> Vec<Key> {
    registry().with(|table| table.keys())
}

/// A worker's key as a holder of data; a bare key is a connection's.
#[derive(Clone, Copy)]
pub(super) struct WorkerData(pub(super) Key);

impl Holder for WorkerData {
    fn bag<R>(self, f: impl FnOnce(&mut Bag) -> R) -> Option<R> {
        registry().with(|table| Some(f(&mut table.get_mut(self.0)?.data)))
    }
}
