//! What went before: all that a context is between two messages.

/// The longest distance of a back reference.
const WINDOW: usize = 32 * 1024;
/// Of what was sent, so much is kept. It is fed to the compressor anew for each message, which costs more than it saves
/// when it is long.
const SENT: usize = 4 * 1024;

/// The last bytes of each direction, as far as back references may lead there.
#[derive(Debug, Default)]
pub(in crate::protocols::websocket) struct History {
    pub(super) received: Vec<u8>,
    pub(super) sent: Vec<u8>,
}

impl History {
    pub(in crate::protocols::websocket) fn is_empty(&self) -> bool {
        self.received.is_empty() && self.sent.is_empty()
    }

    #[cfg(test)]
    pub(in crate::protocols::websocket) fn size(&self) -> usize {
        self.received.capacity() + self.sent.capacity()
    }

    /// Another message than the last of these was sent compressed: the next must not refer to them.
    pub(in crate::protocols::websocket) fn forget_sent(&mut self) {
        self.sent = Vec::new();
    }

    /// A message has come, and the next may refer to it.
    pub(in crate::protocols::websocket) fn has_received(&mut self, message: &[u8]) {
        append(&mut self.received, message, WINDOW);
    }

    /// A message was sent within a window of so many bits, and the next may refer to it.
    pub(super) fn has_sent(&mut self, message: &[u8], window_bits: u8) {
        append(&mut self.sent, message, SENT.min(1 << window_bits));
    }
}

/// Keeps the last `room` bytes of both.
fn append(kept: &mut Vec<u8>, message: &[u8], room: usize) {
    let message = message.get(message.len().saturating_sub(room)..).unwrap_or_default();
    let surplus = (kept.len() + message.len()).saturating_sub(room);
    kept.drain(..surplus.min(kept.len()));
    if kept.capacity() - kept.len() < message.len() {
        // Doubled at most, and never past what it may become.
        kept.reserve_exact(message.len().max(kept.len()).min(room - kept.len()));
    }
    kept.extend_from_slice(message);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_bytes_are_kept_and_no_more() {
        let all: Vec<u8> = (0..=255).cycle().take(1000).collect();
        for step in [1, 7, 99, 100, 101, 999] {
            let mut kept = Vec::new();
            let mut told = Vec::new();
            for piece in all.chunks(step) {
                append(&mut kept, piece, 100);
                told.extend_from_slice(piece);
                assert_eq!(kept, told[told.len().saturating_sub(100)..]);
                assert!(kept.capacity() <= 100);
            }
        }
    }
}
