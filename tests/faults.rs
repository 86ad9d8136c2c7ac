//! The promise: whatever its clients do, a server's memory, descriptors and processor time stay within bounds, and the
//! other clients are served.
//!
//! Each test has a server process of its own (`tests/outside/endurance.rs`) and looks at it through `/proc`: what counts
//! is what the system says the process uses, not what the framework believes. Client and server share a machine that may
//! be busy, so time is measured only where the promise is about time.

#![forbid(unsafe_code)]
#![allow(clippy::indexing_slicing)] // a failing index fails the test

mod outside;

#[path = "faults/bounds.rs"]
mod bounds;
#[path = "faults/descriptors.rs"]
mod descriptors;
#[path = "faults/idle.rs"]
mod idle;
#[path = "faults/slow_readers.rs"]
mod slow_readers;
#[path = "faults/storms.rs"]
mod storms;
#[path = "faults/target.rs"]
mod target;
#[path = "faults/uploads.rs"]
mod uploads;
