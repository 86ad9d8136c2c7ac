//! Whose connections they are: those of a worker here, those of a client in the layer above. The driver asks its owner for
//! callbacks and limits.
//!
//! Of workers there are few, with connections by the thousand: what the driver asks for lies side by side. Clients are as
//! many as their connections, so they have little of their own.

use std::cell::Cell;

use super::admission::Admission;
use super::callbacks::Callbacks;
use super::deadline::Deadlines;
use crate::protocols::{Codec, Limits};
use crate::reactor::Key;

/// Whose connections a driver drives.
pub(crate) trait Owner<P: Codec>: 'static {
    fn callbacks(&self) -> &Callbacks<P>;

    /// Of the codecs; the size is each connection's own.
    fn limits(&self) -> Limits;

    /// How long peers may take.
    fn deadlines(&self) -> Deadlines;

    /// How many connections there may be.
    fn admission(&self) -> &Admission;

    /// The worker, as a key of the layer above; [`NOBODY`] for none.
    fn worker(&self) -> Key {
        NOBODY
    }

    /// The client, as a key of the layer above.
    fn client(&self) -> Key {
        Key::NONE
    }

    /// Lends what the app has set for the codec of a client.
    fn with_setup(&self, f: impl FnOnce(&P::Setup)) {
        f(&P::Setup::default());
    }

    /// What a server is asked first may take it so many nanoseconds, 0 for ever.
    fn allow(&self, _time: u64) {}

    /// This connection is forgotten.
    fn gone(&self, _connection: Key) {}
}

/// The worker of connections that belong to none.
pub(super) const NOBODY: Key = Key { slot: u32::MAX, generation: 0 };

/// A worker, or nobody.
pub(crate) struct OfWorker<P: Codec> {
    pub(crate) callbacks: Callbacks<P>,
    worker: Cell<Key>,
    deadlines: Cell<Deadlines>,
    limits: Cell<Limits>,
    admission: Admission,
    /// Who misses so many broadcasts in a row is closed, 0 for nobody.
    pub(crate) max_missed: Cell<u32>,
}

impl<P: Codec> Default for OfWorker<P> {
    fn default() -> Self {
        Self {
            callbacks: Callbacks::default(),
            worker: Cell::new(NOBODY),
            deadlines: Cell::default(),
            limits: Cell::new(Limits::of_size(0)),
            admission: Admission::default(),
            max_missed: Cell::default(),
        }
    }
}

impl<P: Codec> OfWorker<P> {
    pub(crate) fn set_worker(&self, worker: Key) {
        self.worker.set(worker);
    }

    pub(crate) fn set_deadlines(&self, deadlines: Deadlines) {
        self.deadlines.set(deadlines);
    }

    /// Of the codecs; the size is each connection's own.
    pub(crate) fn limit(&self, change: impl FnOnce(&mut Limits)) {
        let mut limits = self.limits.get();
        change(&mut limits);
        self.limits.set(limits);
    }
}

impl<P: Codec> Owner<P> for OfWorker<P> {
    #[inline]
    fn callbacks(&self) -> &Callbacks<P> {
        &self.callbacks
    }

    #[inline]
    fn limits(&self) -> Limits {
        self.limits.get()
    }

    #[inline]
    fn deadlines(&self) -> Deadlines {
        self.deadlines.get()
    }

    #[inline]
    fn admission(&self) -> &Admission {
        &self.admission
    }

    #[inline]
    fn worker(&self) -> Key {
        self.worker.get()
    }
}
