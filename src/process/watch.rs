//! What this process can tell of itself for the screens: its workers, its connections, its memory.
//!
//! A look costs a walk over all connections and timers, and is taken when somebody asks.

use std::collections::HashMap;
use std::fs;
use std::time::SystemTime;

use super::local_time;
use super::plan::{self, PlannedWorker};
use super::screens::{ConnectionStatus, Counts, ProcessStatus, Status, Versions, WorkerRow, WorkerStatus};
use crate::connection::{self, tally::tally};
use crate::reactor::{self, Key};
use crate::{udp, worker};

/// What the loop waits with.
pub const EVENT_LOOP: &str = if cfg!(target_os = "linux") { "epoll" } else { "kqueue" };

/// The workers of this thread as they stand in the table at the start.
pub fn worker_rows() -> Vec<WorkerRow> {
    let user = user(rustix::process::geteuid().as_raw(), &fs::read_to_string("/etc/passwd").unwrap_or_default());
    let row = |worker: PlannedWorker| WorkerRow {
        event_loop: EVENT_LOOP.to_owned(),
        user: if worker.user.is_empty() { user.clone() } else { worker.user.clone() },
        listen: worker.shown_address(),
        transport: worker.transport,
        name: worker.name,
        count: worker.count,
    };
    plan::of_app().workers.into_iter().map(row).collect()
}

/// An app that runs, at this moment.
pub(super) fn status(
    daemon: bool,
    started: SystemTime,
    workers: Vec<WorkerStatus>,
    processes: Vec<ProcessStatus>,
) -> Status {
    Status {
        daemon,
        versions: versions(),
        started: local_time::format(started),
        uptime: reactor::wall_clock().duration_since(started).unwrap_or_default().as_secs(),
        load_average: load_average(),
        workers,
        processes,
    }
}

/// The workers of this thread with what they count: connections are each one's own, the rest is the whole process's.
/// Nothing is known here of messages by the second, which takes two looks.
pub fn process_status() -> Vec<ProcessStatus> {
    let tally = tally();
    let counts = Counts {
        memory: memory(),
        send_fail: tally.send_failures,
        timers: reactor::get().timers() as u64,
        total_request: tally.messages,
        ..Counts::default()
    };
    let status = |name: String, address: String, connections: usize| ProcessStatus {
        pid: std::process::id(),
        listening: named(address),
        name,
        counts: Some(Counts { connections: connections as u64, ..counts }),
    };
    let workers = worker::overview().into_iter();
    let workers = workers.map(|worker| status(worker.name, worker.address, worker.connections));
    workers.chain(udp::overview().into_iter().map(|(name, address)| status(name, address, 0))).collect()
}

/// The connections of this thread.
pub fn connection_status() -> Vec<ConnectionStatus> {
    let names: HashMap<Key, String> = worker::overview().into_iter().map(|worker| (worker.key, worker.name)).collect();
    let status = |connection: connection::Survey| {
        let transport = match connection.remote {
            _ if connection.is_encrypted => "ssl",
            Some(_) => "tcp",
            None => "unix",
        };
        let text = |address: Option<std::net::SocketAddr>| address.map_or_else(String::new, |found| found.to_string());
        ConnectionStatus {
            pid: std::process::id(),
            worker: names.get(&connection.worker).cloned().unwrap_or_default(),
            id: connection.id,
            transport: transport.to_owned(),
            protocol: protocol(connection.protocol, transport).to_owned(),
            is_ipv4: connection.remote.is_some_and(|address| address.is_ipv4()),
            is_ipv6: connection.remote.is_some_and(|address| address.is_ipv6()),
            received: connection.received as u64,
            queued: connection.queued as u64,
            bytes_read: connection.bytes_read,
            bytes_written: connection.bytes_written,
            status: status_name(connection.status).to_owned(),
            local: text(connection.local),
            remote: text(connection.remote),
        }
    };
    connection::survey().into_iter().map(status).collect()
}

/// The versions that stand on screens. That of the compiler is not known to a crate without a build script: it is the
/// least one, and how the program was built, where PHP tells of its JIT.
pub fn versions() -> Versions {
    let built = if cfg!(debug_assertions) { "debug" } else { "release" };
    let system = rustix::system::uname();
    Versions {
        workerman: env!("CARGO_PKG_VERSION").to_owned(),
        language: format!("Rust/{} ({built})", env!("CARGO_PKG_RUST_VERSION")),
        system: format!("{}/{}", system.sysname().to_string_lossy(), system.release().to_string_lossy()),
    }
}

/// The loads of the machine in hundredths, `None` where it does not tell.
pub fn load_average() -> Option<[u32; 3]> {
    loads(&fs::read_to_string("/proc/loadavg").ok()?)
}

/// `3.07 1.28 0.56 2/300 4711`
fn loads(text: &str) -> Option<[u32; 3]> {
    let mut loads = text.split(' ').map(|load| {
        let (whole, decimals) = load.split_once('.').filter(|(_, decimals)| decimals.len() == 2)?;
        whole.parse::<u32>().ok()?.checked_mul(100)?.checked_add(decimals.parse().ok()?)
    });
    Some([loads.next()??, loads.next()??, loads.next()??])
}

/// Bytes of this process in memory; 0 where the system does not tell.
fn memory() -> u64 {
    resident(&fs::read_to_string("/proc/self/status").unwrap_or_default())
}

/// `VmRSS:     1234 kB`
fn resident(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.unwrap_or(0).saturating_mul(1024)
}

/// The name of a user in `/etc/passwd`, else the number.
fn user(number: u32, table: &str) -> String {
    let name = table.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(number)).then_some(name)
    });
    name.map_or_else(|| number.to_string(), str::to_owned)
}

fn named(address: String) -> String {
    if address.is_empty() { "none".to_owned() } else { address }
}

/// The name of a type without its modules and parameters, as PHP shows that of a class; raw bytes are no protocol there.
fn protocol<'a>(name: &'a str, transport: &'a str) -> &'a str {
    let name = name.split('<').next().unwrap_or(name);
    let name = name.rsplit("::").next().unwrap_or(name);
    if name == "Tcp" { transport } else { name }
}

fn status_name(status: connection::Status) -> &'static str {
    match status {
        connection::Status::Initial => "INITIAL",
        connection::Status::Connecting => "CONNECTING",
        connection::Status::Established => "ESTABLISHED",
        connection::Status::Ending => "ENDING",
        connection::Status::Closing => "CLOSING",
        connection::Status::Closed => "CLOSED",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_tells_is_read() {
        assert_eq!(loads("3.07 1.28 0.56 2/300 4711\n"), Some([307, 128, 56]));
        for nonsense in ["", "1.00 2.00", "1 2 3", "a.bc 1.00 1.00", "99999999999.00 1.00 1.00"] {
            assert_eq!(loads(nonsense), None, "{nonsense}");
        }
        assert_eq!(resident("VmPeak:\t    9 kB\nVmRSS:\t    1234 kB\n"), 1234 * 1024);
        assert_eq!(resident(""), 0);
    }

    #[test]
    fn a_user_has_a_name_or_a_number() {
        let table = "root:x:0:0::/root:/bin/sh\nhalf\nwww-data:x:33:33::/var/www:/bin/false\n";
        assert_eq!([user(0, table), user(33, table), user(34, table)], ["root", "www-data", "34"]);
    }

    #[test]
    fn a_protocol_is_called_as_its_type() {
        for (name, expected) in [
            ("workerman::protocols::http::Http", "Http"),
            ("app::Lines<core::option::Option<u8>>", "Lines"),
            ("workerman::protocols::tcp::Tcp", "unix"),
            ("Bare", "Bare"),
        ] {
            assert_eq!(protocol(name, "unix"), expected);
        }
    }
}
