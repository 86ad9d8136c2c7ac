//! `connections`: all connections of an app on one screen.

use super::cell;

/// A connection, as its process tells of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConnectionStatus {
    /// The process.
    pub pid: u32,
    /// The worker's name.
    pub worker: String,
    /// The connection's number.
    pub id: u64,
    /// `tcp`, `udp` or `unix`.
    pub transport: String,
    /// `Http`
    pub protocol: String,
    /// Whether the peer is connected over IPv4.
    pub is_ipv4: bool,
    /// Whether the peer is connected over IPv6.
    pub is_ipv6: bool,
    /// Bytes that have come and are no message yet.
    pub received: u64,
    /// Bytes that wait for the peer.
    pub queued: u64,
    /// Bytes that have come in all.
    pub bytes_read: u64,
    /// Bytes that have left in all.
    pub bytes_written: u64,
    /// `ESTABLISHED`
    pub status: String,
    /// This side.
    pub local: String,
    /// The peer.
    pub remote: String,
}

/// The screen of `connections`, sorted by process and number.
pub fn connections(connections: &[ConnectionStatus]) -> String {
    let mut rows: Vec<&ConnectionStatus> = connections.iter().collect();
    rows.sort_by_key(|connection| (connection.pid, connection.id));
    let mut text = String::from(HEAD);
    rows.into_iter().for_each(|connection| text.push_str(&row(connection)));
    text
}

const HEAD: &str = "\
--------------------------------------------------------------------- WORKERMAN CONNECTION STATUS --------------------------------------------------------------------------------
PID      Worker          CID       Trans   Protocol        ipv4   ipv6   Recv-Q       Send-Q       Bytes-R      Bytes-W       Status         Local Address          Foreign Address
";

/// An id of several processes is longer than PHP's, and keeps its blank.
fn row(connection: &ConnectionStatus) -> String {
    format!(
        "{:<9}{:<16}{:<9} {:<8}{:<16} {:<7}{:<6}{:<13}{:<13}{:<13}{:<13} {:<14} {:<22} {:<22}\n",
        connection.pid,
        shortened(&connection.worker, 14),
        connection.id,
        cell(&connection.transport),
        shortened(&connection.protocol, 15),
        u8::from(connection.is_ipv4),
        u8::from(connection.is_ipv6),
        size(connection.received),
        size(connection.queued),
        size(connection.bytes_read),
        size(connection.bytes_written),
        cell(&connection.status),
        cell(&connection.local),
        cell(&connection.remote),
    )
}

/// A name of at most so many characters; a longer one ends in two dots.
fn shortened(name: &str, most: usize) -> String {
    let name = cell(name);
    if name.chars().count() <= most {
        return name;
    }
    name.chars().take(most - 2).chain("..".chars()).collect()
}

/// One decimal, in the next unit above 1024 of one, as PHP has it.
fn size(bytes: u64) -> String {
    const UNITS: [(u32, &str); 4] = [(40, "TB"), (30, "GB"), (20, "MB"), (10, "KB")];
    let Some((shift, unit)) = UNITS.into_iter().find(|(shift, _)| bytes > 1 << shift) else {
        return format!("{bytes}B");
    };
    let tenths = (u128::from(bytes) * 10 + (1 << (shift - 1))) >> shift;
    match tenths % 10 {
        0 => format!("{}{unit}", tenths / 10),
        tenth => format!("{}.{tenth}{unit}", tenths / 10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_as_in_php() {
        for (bytes, text) in [
            (0, "0B"),
            (27, "27B"),
            (1024, "1024B"),
            (1025, "1KB"),
            (1536, "1.5KB"),
            (1024 * 1024, "1024KB"),
            (1024 * 1024 + 1, "1MB"),
            (5 * 1024 * 1024 * 1024, "5GB"),
            (3 << 40, "3TB"),
            (u64::MAX, "16777216TB"),
        ] {
            assert_eq!(size(bytes), text, "{bytes}");
        }
    }

    #[test]
    fn long_names_end_in_two_dots() {
        assert_eq!(shortened("fourteen-chars", 14), "fourteen-chars");
        assert_eq!(shortened("fifteen-letters", 14), "fifteen-lett..");
        assert_eq!(shortened("äöüäöüäöüäöüäöü", 14), "äöüäöüäöüäöü..");
    }

    #[test]
    fn rows_are_sorted_by_process_and_number() {
        let rows =
            [(2, 1), (1, 10), (1, 9)].map(|(pid, id)| ConnectionStatus { pid, id, ..ConnectionStatus::default() });
        let screen = connections(&rows);
        let order: Vec<String> = screen.lines().skip(2).map(|line| line.split_whitespace().take(2).collect()).collect();
        assert_eq!(order, ["19", "110", "21"]);
    }
}
