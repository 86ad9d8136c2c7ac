//! Work on other threads, and the way back to the loop.
//!
//! [`LoopHandle`] leads from any thread to a loop. [`Task`] is what most apps want of it: work for a few threads that are
//! kept for that, and what is to be done with its result on the loop. `pool` knows threads and jobs, no loops.

mod handle;
mod job;
mod pool;

pub use handle::LoopHandle;
pub use job::{Panicked, Task};
pub(crate) use job::{clear, look_up};
pub use pool::TaskError;
