//! What a client says of itself in its handshake.

use crate::protocols::http::Headers;
use crate::protocols::websocket::WebsocketType;
use crate::protocols::websocket::deflate::Deflate;

/// Lines that are the handshake's own.
const OURS: [&str; 5] =
    ["Connection", "Upgrade", "Sec-WebSocket-Key", "Sec-WebSocket-Version", "Sec-WebSocket-Extensions"];
const PROTOCOL: &str = "Sec-WebSocket-Protocol";

/// What a client was told before it connects.
#[derive(Clone, Debug)]
pub struct Setup {
    headers: Headers,
    pub(super) deflate: Deflate,
    pub(super) kind: WebsocketType,
}

impl Default for Setup {
    fn default() -> Self {
        Self { headers: Headers::default(), deflate: Deflate::new(), kind: WebsocketType::Auto }
    }
}

impl Setup {
    /// A line of the request. What is no header is left out with a warning, and so is what the handshake says itself.
    pub(crate) fn set_header(&mut self, name: &str, value: &str) {
        if OURS.iter().any(|ours| ours.eq_ignore_ascii_case(name)) {
            log::warn!("header {name} left out: it is the WebSocket handshake's own");
        } else {
            self.headers.set(name, value);
        }
    }

    /// The sub-protocols to offer.
    pub(crate) fn set_protocols(&mut self, protocols: &[&str]) {
        match protocols {
            [] => self.headers.remove(PROTOCOL),
            _ => self.headers.set(PROTOCOL, &protocols.join(", ")),
        }
    }

    #[cfg(feature = "deflate")]
    pub(crate) fn set_deflate(&mut self, deflate: Deflate) {
        self.deflate = deflate;
    }

    pub(crate) fn set_type(&mut self, kind: WebsocketType) {
        self.kind = kind;
    }

    /// The sub-protocols that are offered, as sent.
    pub(super) fn protocols(&self) -> &str {
        self.headers.get(PROTOCOL).unwrap_or_default()
    }

    /// A `Host` in the place of that of the address.
    pub(super) fn host(&self) -> Option<&str> {
        self.headers.get("Host")
    }

    /// The lines beside these of the handshake and `Host`.
    pub(super) fn lines(&self) -> impl Iterator<Item = (&str, &str)> {
        self.headers.lines().filter(|(name, _)| !name.eq_ignore_ascii_case("Host"))
    }
}
