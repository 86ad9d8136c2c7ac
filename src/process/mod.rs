//! An app as processes of a machine: what its program is told.

mod command;

pub use command::{Command, Usage};
