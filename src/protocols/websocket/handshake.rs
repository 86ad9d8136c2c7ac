//! The opening handshake (RFC 6455 §4.2): what is asked of a request beyond HTTP, and the answer.

use super::deflate::{Agreed, Deflate, agree};
use crate::protocols::base64::{DIGITS, base64};
use crate::protocols::http::{Request, Response};

/// What stands behind the key before it is hashed (RFC 6455 §1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
pub(super) const VERSION: &str = "13";
/// Headers of the answer that are the handshake's own.
const OURS: [&str; 4] = ["Upgrade", "Connection", "Sec-WebSocket-Accept", "Sec-WebSocket-Extensions"];

/// What a client has asked for, until it is answered.
#[derive(Debug)]
pub(super) struct Asked {
    /// For the key.
    accept: String,
    /// The sub-protocols that it speaks, as sent.
    protocols: String,
    /// What was agreed to, and how that is said.
    extension: Option<(Agreed, String)>,
}

/// Looks whether a request is a handshake; if not, answers what it gets instead.
pub(super) fn examine(request: &Request, deflate: Deflate) -> Result<Asked, Response> {
    if request.method() != "GET" {
        return Err(refusal(400, "a WebSocket begins with GET"));
    }
    if !request.is_websocket_upgrade() {
        let upgrade = refusal(426, "this is for WebSocket").with_header("Upgrade", "websocket");
        return Err(upgrade.with_header("Connection", "Upgrade, close").with_header("Sec-WebSocket-Version", VERSION));
    }
    match request.header("sec-websocket-version") {
        Some(VERSION) => {}
        None => return Err(refusal(400, "no Sec-WebSocket-Version").with_header("Sec-WebSocket-Version", VERSION)),
        Some(_) => {
            let upgrade = refusal(426, "an unknown version of WebSocket").with_header("Upgrade", "websocket");
            let upgrade = upgrade.with_header("Connection", "Upgrade, close");
            return Err(upgrade.with_header("Sec-WebSocket-Version", VERSION));
        }
    }
    let Some(key) = request.header("sec-websocket-key").filter(|key| is_key(key.as_bytes())) else {
        return Err(refusal(400, "no Sec-WebSocket-Key of 16 bytes"));
    };
    Ok(Asked {
        accept: accept(key.as_bytes()),
        protocols: request.header("sec-websocket-protocol").unwrap_or_default().to_owned(),
        extension: request.header("sec-websocket-extensions").and_then(|offers| agree(offers, deflate)),
    })
}

/// An answer that ends the connection.
pub(super) fn refusal(status: u16, reason: &str) -> Response {
    Response::new(status, &[("Content-Type", "text/plain"), ("Connection", "close")], reason)
}

impl Asked {
    /// The answer that opens the connection, with what the app wants to say in it; and what was agreed to.
    pub(super) fn accept(self, own: Option<&Response>) -> (Response, Option<Agreed>) {
        let mut response = Response::new(
            101,
            &[("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", &self.accept)],
            "",
        );
        if let Some((_, extension)) = &self.extension {
            response = response.with_header("Sec-WebSocket-Extensions", extension);
        }
        for (name, value) in own.into_iter().flat_map(Response::headers) {
            if OURS.iter().any(|ours| ours.eq_ignore_ascii_case(name)) {
                continue;
            }
            if name.eq_ignore_ascii_case("sec-websocket-protocol") && !self.speaks(value) {
                log::warn!("Sec-WebSocket-Protocol {value:?} left out: the client does not speak it and would hang up");
                continue;
            }
            response = response.with_added_header(name, value);
        }
        (response, self.extension.map(|(agreed, _)| agreed))
    }

    /// Whether the client offers this sub-protocol. Their names have case.
    fn speaks(&self, protocol: &str) -> bool {
        self.protocols.split(',').any(|offered| offered.trim_ascii() == protocol)
    }
}

/// Whether this is 16 bytes in base64.
fn is_key(key: &[u8]) -> bool {
    matches!(key, [digits @ .., b'=', b'='] if digits.len() == 22 && digits.iter().all(|digit| DIGITS.contains(digit)))
}

/// What proves that the key was read (RFC 6455 §4.2.2).
pub(super) fn accept(key: &[u8]) -> String {
    let mut hash = sha1_smol::Sha1::new();
    hash.update(key);
    hash.update(GUID);
    base64(&hash.digest().bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_the_standard_gets_its_answer() {
        assert_eq!(accept(b"dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_eq!(accept(b"x3JJHMbDL1EzLkh9GBhXDw=="), "HSmrc0sMlYUkAGmm5OPpG2HaGWk=");
    }

    #[test]
    fn a_key_is_sixteen_bytes() {
        assert!(is_key(b"AAAAAAAAAAAAAAAAAAAAAA==") && is_key(b"dGhlIHNhbXBsZSBub25jZQ=="));
        let wrong: [&[u8]; 7] = [
            b"",
            b"YQ==",
            b"AAAAAAAAAAAAAAAAAAAAAAA=",
            b"AAAAAAAAAAAAAAAAAAAAAAAA",
            b"AAAAAAAAAAA-AAAAAAAAAA==",
            b"AAAAAAAAAAAAAAAAAAAAAAAAAA==",
            b"AAAAAAAAAAAAAAAAAAAAAA==,AAAAAAAAAAAAAAAAAAAAAA==",
        ];
        assert!(!wrong.into_iter().any(is_key));
    }
}
