//! What part a worker has in the processes of its app.

use std::fmt;
use std::rc::Rc;

use crate::callback::{Slot, WorkerCallback};
use crate::error::BoxError;

/// A callback that is told how a process has ended, and which.
pub(crate) type ExitCallback = Slot<dyn FnMut(i32, u32) -> Result<(), BoxError>>;

/// Of one worker.
#[derive(Default)]
pub(crate) struct Part {
    /// Which of its processes this is, from 0 on.
    pub(crate) id: usize,
    /// It runs in other processes alone.
    pub(crate) absent: bool,
    /// A reload leaves its processes alone.
    pub(crate) stays: bool,
    /// Whom its processes run as; empty for whoever has started the app.
    pub(crate) user: Box<str>,
    pub(crate) group: Box<str>,
    pub(crate) on_reload: Rc<WorkerCallback>,
    pub(crate) on_exit: Rc<ExitCallback>,
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Part").field("id", &self.id).field("absent", &self.absent).finish_non_exhaustive()
    }
}
