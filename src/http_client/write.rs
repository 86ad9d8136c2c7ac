//! The head of a request as it goes onto the wire.
//!
//! Invariant: everything in here was judged before: the target by `url`, names, values and the method by `options`.

use super::exchange::Exchange;
use crate::protocols::http::client::{Expected, Outgoing};
use crate::protocols::pool;

const AGENT: &str = concat!("User-Agent: workerman/", env!("CARGO_PKG_VERSION"), "\r\n");
/// What this build decodes.
const ENCODINGS: &str = if cfg!(feature = "compression") { "Accept-Encoding: gzip, deflate\r\n" } else { "" };

/// A request, ready to leave.
pub(super) fn prepare(exchange: &Exchange) -> Outgoing {
    let mut head = pool::take();
    let mut push = |part: &str| head.extend_from_slice(part.as_bytes());
    let own = Own::of(&exchange.lines);
    push(&exchange.method);
    push(" ");
    push(exchange.url.target());
    push(" HTTP/1.1\r\n");
    if !own.host {
        push("Host: ");
        push(exchange.url.authority());
        push("\r\n");
    }
    if !own.agent {
        push(AGENT);
    }
    if !own.encoding {
        push(ENCODINGS);
    }
    if let Some(kind) = exchange.body.content_type.as_deref().filter(|_| !own.content_type) {
        push("Content-Type: ");
        push(kind);
        push("\r\n");
    }
    let length = exchange.body.bytes.as_ref().map(|bytes| bytes.len());
    // A server may wait for the length of what such a method usually has.
    let length = length.or(matches!(&*exchange.method, "POST" | "PUT" | "PATCH").then_some(0));
    if let Some(length) = length {
        push("Content-Length: ");
        push(itoa::Buffer::new().format(length));
        push("\r\n");
    }
    head.extend_from_slice(&exchange.lines);
    head.extend_from_slice(b"\r\n");
    let expected = Expected {
        head_only: exchange.method == "HEAD",
        in_pieces: exchange.in_pieces,
        // Who names encodings wants to see them.
        decodes: !own.encoding,
        max_head: exchange.client.max_head_size,
        max_body: exchange.max_body_size,
    };
    Outgoing { head, body: exchange.body.bytes.clone(), expected }
}

/// Which lines the app has set itself.
#[derive(Default)]
struct Own {
    host: bool,
    agent: bool,
    encoding: bool,
    content_type: bool,
}

impl Own {
    fn of(lines: &[u8]) -> Self {
        let mut own = Self::default();
        for name in names(lines) {
            match name.len() {
                4 => own.host |= name.eq_ignore_ascii_case(b"Host"),
                10 => own.agent |= name.eq_ignore_ascii_case(b"User-Agent"),
                12 => own.content_type |= name.eq_ignore_ascii_case(b"Content-Type"),
                15 => own.encoding |= name.eq_ignore_ascii_case(b"Accept-Encoding"),
                _ => {}
            }
        }
        own
    }
}

/// The lines of headers, each with its end.
pub(super) fn lines(lines: &[u8]) -> impl Iterator<Item = &[u8]> {
    lines.split_inclusive(|byte| *byte == b'\n')
}

/// The name of a line.
pub(super) fn name(line: &[u8]) -> &[u8] {
    line.split(|byte| *byte == b':').next().unwrap_or_default()
}

fn names(all: &[u8]) -> impl Iterator<Item = &[u8]> {
    lines(all).map(name)
}
