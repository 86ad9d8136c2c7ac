//! What happens to a connection, in plain numbers: it waits in the reactor until the current callback has returned.

/// What happens to a connection besides messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Connect,
    /// A message was dropped because the send buffer is full.
    BufferOverflow,
    /// The peer was found gone when something was sent.
    PeerGone,
    /// A file that was being sent has become shorter, or can no longer be read.
    FileBroken,
    /// The peer broke the protocol, or the protocol its promises.
    ProtocolFailed,
    BufferFull,
    BufferDrain,
    Close,
}

impl Event {
    /// The inverse of `as u32`.
    pub(super) fn from_code(code: u32) -> Self {
        const BUT_CLOSE: [Event; 7] = [
            Event::Connect,
            Event::BufferOverflow,
            Event::PeerGone,
            Event::FileBroken,
            Event::ProtocolFailed,
            Event::BufferFull,
            Event::BufferDrain,
        ];
        BUT_CLOSE.into_iter().find(|event| *event as u32 == code).unwrap_or(Self::Close)
    }
}
