//! An app as processes of a machine: what its program is told, and where its files are.
//!
//! The parts know nothing of each other but data, and none of them starts or signals a process.

mod command;
mod local_time;
mod log_file;
mod logger;
mod pid_file;
mod place;
mod settings;

pub use command::{Command, Usage};
pub use log_file::LogFile;
pub use logger::line as log_line;
pub use pid_file::{Holder, PidFile, PidFileError};
pub use place::{pid_file as usual_pid_file, program, program_name};
pub use settings::Settings;
