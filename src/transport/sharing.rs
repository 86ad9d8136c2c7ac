//! How the processes of an app share a worker's address: what the app has said of it, and what another process has handed
//! to this one.

use std::io;
use std::os::fd::OwnedFd;

/// Which sockets there are for several processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// One for each process, and the system deals out what comes.
    Each,
    /// One for all, and whoever is there first takes what comes.
    One,
}

impl Layout {
    /// What is best unless the app says otherwise, see `docs/performance.md`. Other systems than Linux let several have the
    /// address and give everything to one of them.
    pub(crate) const USUAL: Self = if cfg!(target_os = "linux") { Self::Each } else { Self::One };
}

/// Of one worker.
#[derive(Debug)]
pub(crate) struct Sharing {
    /// How many processes it is to have.
    pub(crate) count: usize,
    /// `None` for the usual layout.
    pub(crate) reuse_port: Option<bool>,
    pub(crate) handed: Option<Handed>,
}

impl Default for Sharing {
    fn default() -> Self {
        Self { count: 1, reuse_port: None, handed: None }
    }
}

impl Sharing {
    /// What the app wants, `usual` where it has not said.
    pub(crate) fn layout(&self, usual: Layout) -> Layout {
        match self.reuse_port {
            Some(true) => Layout::Each,
            Some(false) => Layout::One,
            None => usual,
        }
    }

    /// Whether a socket that this process makes for itself leaves the address to others as well.
    pub(crate) fn leaves_port(&self) -> bool {
        self.reuse_port == Some(true)
    }

    /// What was handed over, to listen on now.
    pub(crate) fn lend(&self) -> Option<io::Result<Handed>> {
        self.handed.as_ref().map(Handed::lend)
    }
}

/// Sockets that another process has made.
#[derive(Debug)]
pub(crate) struct Handed {
    pub(crate) sockets: Vec<OwnedFd>,
    /// So much is taken in at a visit, before other processes have theirs.
    pub(crate) budget: usize,
}

impl Handed {
    /// The same sockets once more: who listens no longer may begin again, though it could not bind.
    fn lend(&self) -> io::Result<Self> {
        let sockets = self.sockets.iter().map(OwnedFd::try_clone).collect::<io::Result<_>>()?;
        Ok(Self { sockets, budget: self.budget })
    }
}
