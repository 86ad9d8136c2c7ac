//! permessage-deflate (RFC 7692): compressed messages.
//!
//! A context that is taken over from message to message is nothing but the last bytes that went before, so that is what a
//! connection keeps of it: at most 32 KiB of what came, 4 KiB of what went, and nothing until something did. The machines
//! that compress and decompress, hundreds of kilobytes, are the thread's; a connection has one only while a message is
//! between its first and its last byte.
//!
//! Invariants: what is decompressed never grows past the limit of a message, whatever it was compressed from; no back
//! reference leads farther than the peer has agreed to.

mod compress;
mod history;
mod inflate;
mod negotiate;

pub(super) use compress::compress;
pub(super) use history::History;
pub(super) use inflate::Inflater;
pub(super) use negotiate::{Agreed, agree, agree_to, offer};

/// How messages are compressed on a worker's connections, with clients that can (RFC 7692). With the feature `deflate`.
///
/// Unless set otherwise, messages of 128 bytes and more are compressed, and both sides take their context over from one
/// message to the next, as clients ask for it. For this a connection keeps up to 32 KiB of what has come and 4 KiB of what
/// was sent.
///
/// ```
/// use workerman::{Deflate, Websocket, Worker};
///
/// let worker = Worker::<Websocket>::new("websocket://127.0.0.1:0");
/// worker.set_deflate(Deflate::default().level(1).threshold(1024).client_context(false));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Deflate {
    on: bool,
    level: u8,
    threshold: u16,
    client_context: bool,
    server_context: bool,
}

impl Default for Deflate {
    fn default() -> Self {
        Self::new()
    }
}

impl Deflate {
    pub(crate) const fn new() -> Self {
        Self { on: true, level: 6, threshold: 128, client_context: true, server_context: true }
    }

    /// No compression, whatever clients offer.
    ///
    /// ```
    /// # use workerman::{Deflate, Websocket, Worker};
    /// # let worker = Worker::<Websocket>::new("");
    /// worker.set_deflate(Deflate::off());
    /// ```
    pub fn off() -> Self {
        Self { on: false, ..Self::default() }
    }

    /// Sets how hard to try, from 1 (fast) to 9 (small); 6 unless set.
    ///
    /// ```
    /// # use workerman::Deflate;
    /// let deflate = Deflate::default().level(1);
    /// ```
    pub fn level(self, level: u8) -> Self {
        Self { level: level.clamp(1, 9), ..self }
    }

    /// Sets from how many bytes on a message is compressed; 128 unless set, at most 65,535.
    ///
    /// ```
    /// # use workerman::Deflate;
    /// let deflate = Deflate::default().threshold(1024);
    /// ```
    pub fn threshold(self, bytes: usize) -> Self {
        Self { threshold: u16::try_from(bytes).unwrap_or(u16::MAX), ..self }
    }

    /// Sets whether what was sent helps to compress what comes next; so unless set. Without, each message is compressed on
    /// its own.
    ///
    /// ```
    /// # use workerman::Deflate;
    /// let deflate = Deflate::default().server_context(false);
    /// ```
    #[doc(alias = "server_no_context_takeover")]
    pub fn server_context(self, takeover: bool) -> Self {
        Self { server_context: takeover, ..self }
    }

    /// Sets whether clients may refer back to their earlier messages; so unless set. Without, a connection at rest keeps
    /// nothing of what it has received.
    ///
    /// ```
    /// # use workerman::Deflate;
    /// let deflate = Deflate::default().client_context(false);
    /// ```
    #[doc(alias = "client_no_context_takeover")]
    pub fn client_context(self, takeover: bool) -> Self {
        Self { client_context: takeover, ..self }
    }
}

/// What stands at the end of each flushed block and is left out on the wire (RFC 7692 §7.2.1).
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// Frees what the thread keeps.
pub(super) fn clear() {
    compress::clear();
    inflate::clear();
}

#[cfg(test)]
mod tests;
