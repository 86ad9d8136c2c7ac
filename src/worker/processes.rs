//! How many processes a worker has, and how they share its address.

use super::Worker;
use crate::protocols::Codec;

/// # Several processes
impl<P: Codec> Worker<P> {
    /// Sets how many processes the worker has: 1 unless set, and for 0. Each is the app's program once more, with a loop of
    /// its own; a process of no worker, the *master*, starts them anew when they end. Nothing is shared between them but
    /// what they listen on. Set it before `run_all`; as many as there are processor cores is usual.
    ///
    /// ```
    /// # use workerman::{Http, Worker};
    /// # let worker = Worker::<Http>::new("");
    /// worker.set_count(4);
    /// assert_eq!(worker.count(), 4);
    /// ```
    #[doc(alias = "count")]
    pub fn set_count(self, count: usize) {
        self.entry(|entry| entry.sharing.count = count.max(1));
    }

    /// How many processes the worker has: PHP's `$worker->count`.
    ///
    /// ```
    /// # use workerman::{Http, Worker};
    /// assert_eq!(Worker::<Http>::new("").count(), 1);
    /// ```
    pub fn count(self) -> usize {
        self.entry(|entry| entry.sharing.count).unwrap_or(1)
    }

    /// Sets whether each process has a listener of its own on the address (`SO_REUSEPORT`), or all have the same. Unless
    /// set, each has its own on Linux, because the system then deals out connections evenly. With one for all, whoever is
    /// idle takes more, and nobody waits for a process that is busy or takes no more. A Unix socket is always one for all.
    /// Set it before the worker listens.
    ///
    /// A worker that listens inside a process which has several beside it, by [`listen`](Self::listen) in a callback, needs
    /// `true`: only then may the others listen there too.
    ///
    /// ```
    /// # use workerman::{Http, Worker};
    /// # let worker = Worker::<Http>::new("");
    /// worker.set_count(4);
    /// worker.set_reuse_port(false);
    /// ```
    #[doc(alias = "reusePort")]
    pub fn set_reuse_port(self, enabled: bool) {
        self.entry(|entry| entry.sharing.reuse_port = Some(enabled));
    }
}
