//! An app as processes of a machine: the master and its workers, commands, files, what an operator sees, and what the
//! system's own manager is told.
//!
//! `run` finds out what this process is: a command, one process that does all (`single`), the master of others
//! (`master`), one of its workers (`child`). What is to be done with processes is decided by `supervisor`, which starts and
//! signals none. They talk by `messages` over a `channel`; whoever asks an app that runs comes by `control`. The other
//! parts know nothing of each other but data.

mod account;
mod announce;
mod backoff;
mod callbacks;
mod channel;
mod child;
mod command;
mod commands;
mod control;
mod daemon;
mod files;
mod image;
mod listen_fds;
mod local_time;
mod log_file;
mod logger;
mod master;
mod messages;
mod notify;
mod pid_file;
mod place;
mod plan;
mod run;
pub mod screens;
mod settings;
mod single;
mod supervisor;
mod watch;
mod watchdog;
mod wire;

pub use command::{Command, Usage};
pub use listen_fds::{Inherited, ListenFd, claim, close_unclaimed, inherited_sockets, listen_fds};
pub use log_file::LogFile;
pub use logger::line as log_line;
pub use notify::Notifier;
pub use pid_file::{Holder, PidFile, PidFileError};
pub use place::{pid_file as usual_pid_file, program, program_name};
pub use settings::Settings;
pub use watch::{EVENT_LOOP, connection_status, load_average, process_status, versions, worker_rows};
pub use watchdog::{Watchdog, limit as watchdog_limit, spawn as spawn_watchdog};
