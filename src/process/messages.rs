//! What the processes of an app say to each other.
//!
//! ```text
//!  who starts it ──role──▶ process
//!  worker ──hello──▶ master ──order, sockets──▶ worker ──ready──▶ master
//! ```
//!
//! A master and a worker may be of two versions of this crate, while a reload goes on. So the first word of a worker has
//! the number of this language in it, and does not change.

use super::command::Command;
use super::plan::Plan;
use super::screens::{ConnectionStatus, Counts, ProcessStatus};
use super::supervisor::Why;
use super::wire::{Wire, wire_enum, wire_struct};
use crate::worker::stop::How;

/// Changed with everything here and in what it is made of.
pub(crate) const LANGUAGE: u64 = 1;

/// The first message that a process gets: what it is.
#[derive(Debug)]
pub(crate) enum Role<K> {
    /// A worker of the one who says it.
    Worker,
    /// The master, in the background.
    Daemon(Command),
    /// The master that it was before it executed itself anew, with what that had.
    Master(K),
}

impl<K: Kept> Role<K> {
    /// How many descriptors come with it.
    pub(crate) fn descriptors(&self) -> usize {
        match self {
            Self::Worker | Self::Daemon(_) => 0,
            Self::Master(kept) => kept.descriptors(),
        }
    }
}

/// What a master leaves to the one that it becomes.
pub(crate) trait Kept: Wire {
    /// How many descriptors come with it.
    fn descriptors(&self) -> usize;
}

/// The first word of a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hello {
    pub(crate) language: u64,
    pub(crate) plan: Plan,
}

/// What a worker is to do. Its lifeline comes with it, then the sockets of each worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Order {
    /// Unique among the processes of the app.
    pub(crate) number: u8,
    pub(crate) workers: Vec<Share>,
}

/// One of the workers that a process runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Share {
    /// Its place in the plan.
    pub(crate) index: usize,
    /// PHP's `$worker->id`.
    pub(crate) id: usize,
    pub(crate) sockets: usize,
    /// So many connections are taken at a visit.
    pub(crate) budget: usize,
}

/// From the master to a worker that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ToWorker {
    Retire(Why),
    /// The others are replaced, and this one is not.
    Reloaded,
    TellStatus,
    TellConnections,
}

/// From a worker to the master.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FromWorker {
    Hello(Hello),
    Ready,
    /// It will not come up.
    Failed(String),
    Status(Vec<ProcessStatus>),
    Connections(Vec<ConnectionStatus>),
    /// How a callback of it failed last.
    LastFailure(String),
}

/// From a process in the background to the one that has started it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FromDaemon {
    CameUp,
    Failed(String),
}

/// What a command asks of the app that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    Status,
    StatusJson,
    Connections,
    Reload,
}

impl Question {
    /// Whether the answer is a screen of processes.
    pub(crate) fn is_status(self) -> bool {
        matches!(self, Self::Status | Self::StatusJson)
    }
}

/// The answer: a screen, or why there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) is_good: bool,
    pub(crate) text: String,
}

impl Order {
    /// How many descriptors come with it.
    pub(crate) fn descriptors(&self) -> usize {
        self.workers.iter().fold(1, |sum: usize, share| sum.saturating_add(share.sockets))
    }
}

impl<K: Kept> Wire for Role<K> {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Worker => out.push(0),
            Self::Daemon(command) => {
                out.push(1);
                command.write(out);
            }
            Self::Master(kept) => {
                out.push(2);
                kept.write(out);
            }
        }
    }

    fn read(bytes: &mut &[u8]) -> Option<Self> {
        let (kind, rest) = bytes.split_first()?;
        *bytes = rest;
        match kind {
            0 => Some(Self::Worker),
            1 => Command::read(bytes).map(Self::Daemon),
            2 => K::read(bytes).map(Self::Master),
            _ => None,
        }
    }
}

/// Of a daemon: it starts, one way or the other.
impl Wire for Command {
    fn write(&self, out: &mut Vec<u8>) {
        let (graceful, quiet) = match *self {
            Self::Start { graceful, quiet, .. } | Self::Restart { graceful, quiet, .. } => (graceful, quiet),
            _ => (false, false),
        };
        graceful.write(out);
        quiet.write(out);
    }

    fn read(bytes: &mut &[u8]) -> Option<Self> {
        Some(Self::Start { daemon: true, graceful: bool::read(bytes)?, quiet: bool::read(bytes)? })
    }
}

wire_struct!(Hello { language, plan });
wire_struct!(Order { number, workers });
wire_struct!(Share { index, id, sockets, budget });
wire_struct!(Answer { is_good, text });
wire_struct!(Counts { memory, connections, send_fail, timers, total_request, qps });
wire_struct!(ProcessStatus { pid, listening, name, counts });
wire_struct!(ConnectionStatus {
    pid,
    worker,
    id,
    transport,
    protocol,
    is_ipv4,
    is_ipv6,
    received,
    queued,
    bytes_read,
    bytes_written,
    status,
    local,
    remote,
});
wire_enum!(How { 0 => Gracefully, 1 => Plainly, 2 => AtOnce });
wire_enum!(Why { 0 => Stop(how), 1 => Replaced });
wire_enum!(ToWorker { 0 => Retire(why), 1 => Reloaded, 2 => TellStatus, 3 => TellConnections });
wire_enum!(FromWorker {
    0 => Hello(hello),
    1 => Ready,
    2 => Failed(reason),
    3 => Status(rows),
    4 => Connections(rows),
    5 => LastFailure(text),
});
wire_enum!(FromDaemon { 0 => CameUp, 1 => Failed(reason) });
wire_enum!(Question { 0 => Status, 1 => StatusJson, 2 => Connections, 3 => Reload });
