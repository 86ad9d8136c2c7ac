//! The limits a new connection starts with, of the process as in PHP.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::deadline::{Deadlines, NEVER, SECOND};

static MAX_SEND_BUFFER_SIZE: AtomicU32 = AtomicU32::new(1024 * 1024);
static MAX_PACKAGE_SIZE: AtomicU32 = AtomicU32::new(10 * 1024 * 1024);
/// In nanoseconds.
static LINGER: AtomicU64 = AtomicU64::new(1_000_000_000);
/// Head, body, keep-alive, write, farewell, ping, pong, handshake, in ticks; and the least rate of a body, in bytes a second.
static DEADLINES: [AtomicU32; 9] = [
    AtomicU32::new(30 * SECOND),
    AtomicU32::new(30 * SECOND),
    AtomicU32::new(75 * SECOND),
    AtomicU32::new(60 * SECOND),
    AtomicU32::new(10 * SECOND),
    AtomicU32::new(NEVER),
    AtomicU32::new(10 * SECOND),
    AtomicU32::new(10 * SECOND),
    AtomicU32::new(1024),
];

pub(super) fn deadlines() -> Deadlines {
    Deadlines::from_array(DEADLINES.each_ref().map(|deadline| deadline.load(Ordering::Relaxed)))
}

pub(super) fn set_deadlines(deadlines: [u32; 9]) {
    for (default, deadline) in DEADLINES.iter().zip(deadlines) {
        default.store(deadline, Ordering::Relaxed);
    }
}

/// For the send buffer and for a package, in bytes.
pub(super) fn limits() -> (u32, u32) {
    (MAX_SEND_BUFFER_SIZE.load(Ordering::Relaxed), MAX_PACKAGE_SIZE.load(Ordering::Relaxed))
}

/// How long a connection that ends listens for the peer's FIN, in nanoseconds.
pub(super) fn linger() -> u64 {
    LINGER.load(Ordering::Relaxed)
}

pub(super) fn set_linger(nanoseconds: u64) {
    LINGER.store(nanoseconds, Ordering::Relaxed);
}

pub(super) fn set_max_send_buffer_size(bytes: usize) {
    MAX_SEND_BUFFER_SIZE.store(clamp(bytes), Ordering::Relaxed);
}

pub(super) fn set_max_package_size(bytes: usize) {
    MAX_PACKAGE_SIZE.store(clamp(bytes), Ordering::Relaxed);
}

/// A limit above 4 GiB is no limit worth four more bytes in each connection.
pub(super) fn clamp(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}
