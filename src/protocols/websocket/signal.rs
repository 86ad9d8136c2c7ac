//! What arrives besides messages.

use crate::protocols::http::{Http, Request, Response};
use crate::protocols::{Codec as _, Origin, Signal};

/// Something that a WebSocket connection's own callbacks are told.
#[derive(Debug, PartialEq)]
pub enum WebsocketSignal {
    /// A client asks to be let in. Unless the callback answers, it is.
    Connect(Request),
    /// It has been let in.
    Connected(Request),
    /// The server has let us in, with this answer.
    Opened(Response),
    /// It sent a Ping, which has been answered.
    Ping(Vec<u8>),
    /// It sent a Pong.
    Pong(Vec<u8>),
    /// It closes, with this code and reason, and has been answered.
    Close(u16, String),
}

impl WebsocketSignal {
    pub(crate) const CONNECT: usize = 0;
    pub(crate) const CONNECTED: usize = 1;
    pub(crate) const PING: usize = 2;
    pub(crate) const PONG: usize = 3;
    pub(crate) const CLOSE: usize = 4;
}

impl Signal for WebsocketSignal {
    fn callback(&self) -> usize {
        match self {
            Self::Connect(_) | Self::Opened(_) => Self::CONNECT,
            Self::Connected(_) => Self::CONNECTED,
            Self::Ping(_) => Self::PING,
            Self::Pong(_) => Self::PONG,
            Self::Close(..) => Self::CLOSE,
        }
    }

    fn stamp(&mut self, origin: Origin) {
        if let Self::Connect(request) = self {
            Http::stamp(request, origin);
        }
    }
}
