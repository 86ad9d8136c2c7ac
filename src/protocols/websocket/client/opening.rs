//! The opening handshake (RFC 6455 §4.1): the request of a client, and what it demands of the answer.

use std::io::Write as _;

use memchr::memmem;

use super::setup::Setup;
use crate::protocols::base64::base64;
use crate::protocols::chance;
use crate::protocols::http::Response;
use crate::protocols::output::Output;
use crate::protocols::websocket::deflate::{self, Agreed, Deflate};
use crate::protocols::websocket::handshake::{VERSION, accept};

/// The longest head of an answer.
const HEAD_LIMIT: usize = 16 * 1024;
const HEADERS: usize = 100;
/// So many characters of a redirect's address are told.
const LOCATION_LIMIT: usize = 200;
const END: &[u8] = b"\r\n\r\n";
/// What an answer begins with.
const HTTP: &[u8] = b"HTTP/1.";

/// A request that waits for its answer.
#[derive(Debug)]
pub(in crate::protocols::websocket) struct Opening {
    /// For the key.
    accept: String,
    /// The sub-protocols that were offered, as sent.
    protocols: String,
    deflate: Deflate,
    /// So many bytes of the answer have been searched for its end.
    scanned: usize,
}

/// An answer that lets us in.
#[derive(Debug)]
pub(super) struct Answer {
    /// Of its head, in bytes.
    pub(super) size: usize,
    pub(super) response: Response,
    pub(super) agreed: Option<Agreed>,
}

impl Opening {
    /// Asks for a WebSocket.
    pub(super) fn begin(setup: &Setup, host: &str, uri: &str, output: &mut Output<'_>) -> Self {
        let key = base64(&chance::draw::<16>());
        let host = setup.host().unwrap_or(host);
        // Writing to an output does not fail.
        let _ = write!(
            output,
            "GET {uri} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: {VERSION}\r\nSec-WebSocket-Key: {key}\r\n"
        );
        if let Some(offer) = deflate::offer(setup.deflate) {
            let _ = write!(output, "Sec-WebSocket-Extensions: {offer}\r\n");
        }
        for (name, value) in setup.lines() {
            let _ = write!(output, "{name}: {value}\r\n");
        }
        output.bytes(b"\r\n");
        Self {
            accept: accept(key.as_bytes()),
            protocols: setup.protocols().to_owned(),
            deflate: setup.deflate,
            scanned: 0,
        }
    }

    /// Looks at what has come of the answer; `None` while its head is not complete. Or tells why this is no answer.
    pub(super) fn read(&mut self, input: &[u8]) -> Result<Option<Answer>, String> {
        if !HTTP.iter().zip(input).all(|(expected, byte)| expected == byte) {
            return Err("the server does not answer the WebSocket handshake in HTTP/1.1".to_owned());
        }
        let window = input.get(..HEAD_LIMIT.min(input.len())).unwrap_or_default();
        let from = self.scanned.saturating_sub(END.len() - 1);
        match memmem::find(window.get(from..).unwrap_or_default(), END) {
            Some(at) => self.examine(window.get(..from + at + END.len()).unwrap_or_default()).map(Some),
            None if input.len() > HEAD_LIMIT => {
                Err(format!("the server's answer to the WebSocket handshake is longer than {HEAD_LIMIT} bytes"))
            }
            None => {
                self.scanned = window.len();
                Ok(None)
            }
        }
    }

    #[cfg(test)]
    pub(super) fn scanned(&self) -> usize {
        self.scanned
    }

    /// A whole head.
    fn examine(&self, bytes: &[u8]) -> Result<Answer, String> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS];
        let mut parsed = httparse::Response::new(&mut headers);
        let Ok(httparse::Status::Complete(size)) = parsed.parse(bytes) else {
            return Err(bad("its head is malformed"));
        };
        let (status, minor) = (parsed.code.unwrap_or_default(), parsed.version);
        let head = Head { status, reason: parsed.reason.unwrap_or_default(), lines: parsed.headers };
        if status != 101 || minor != Some(1) {
            return Err(head.refusal());
        }
        if head.only("Upgrade")?.is_none_or(|upgrade| !upgrade.eq_ignore_ascii_case("websocket")) {
            return Err(bad("no \"Upgrade: websocket\""));
        }
        if !head.values("Connection").flat_map(|value| value.split(',')).any(is_upgrade) {
            return Err(bad("no \"Connection: Upgrade\""));
        }
        if head.only("Sec-WebSocket-Accept")? != Some(&self.accept) {
            return Err(bad("Sec-WebSocket-Accept does not fit our key"));
        }
        if let Some(protocol) = head.only("Sec-WebSocket-Protocol")?
            && !self.protocols.split(',').any(|offered| offered.trim_ascii() == protocol)
        {
            return Err(bad("a sub-protocol that was not offered"));
        }
        let extensions: Vec<&str> = head.values("Sec-WebSocket-Extensions").collect();
        let agreed = deflate::agree_to(&extensions.join(", "), self.deflate).map_err(bad)?;
        Ok(Answer { size, response: head.into_response(), agreed })
    }
}

/// The head of an answer, taken apart.
struct Head<'a> {
    status: u16,
    reason: &'a str,
    lines: &'a [httparse::Header<'a>],
}

impl<'a> Head<'a> {
    /// The values under this name, one for each line. What is no text is no value that anything expects.
    fn values(&self, name: &str) -> impl Iterator<Item = &'a str> {
        let lines = self.lines.iter().filter(move |line| line.name.eq_ignore_ascii_case(name));
        lines.map(|line| std::str::from_utf8(line.value).unwrap_or("\u{fffd}"))
    }

    /// The value under a name that may stand once.
    fn only(&self, name: &str) -> Result<Option<&'a str>, String> {
        let mut values = self.values(name);
        match (values.next(), values.next()) {
            (value, None) => Ok(value),
            _ => Err(bad(&format!("more than one {name}"))),
        }
    }

    /// What the app is told of an answer that does not let it in.
    fn refusal(&self) -> String {
        let Self { status, reason, .. } = self;
        let mut text = format!("the server answers the WebSocket handshake with {status} {reason}");
        if let Some(location) = self.values("Location").next().filter(|_| matches!(status, 300..=399)) {
            text.push_str(", see ");
            text.extend(location.chars().take(LOCATION_LIMIT));
        }
        text
    }

    fn into_response(self) -> Response {
        let response = Response::new(self.status, &[], "").with_status_reason(self.status, self.reason);
        self.lines.iter().fold(response, |response, line| {
            response.with_added_header(line.name, &String::from_utf8_lossy(line.value))
        })
    }
}

fn bad(reason: &str) -> String {
    format!("the server's answer to the WebSocket handshake is wrong: {reason}")
}

fn is_upgrade(token: &str) -> bool {
    token.trim_ascii().eq_ignore_ascii_case("upgrade")
}
