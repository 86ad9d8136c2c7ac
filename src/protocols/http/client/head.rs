//! The head of an answer: where it ends, what it says, and how the body ends (RFC 9112 §6.3).
//!
//! In scope: one look at each byte until the end is there, then httparse, and a strict pass over its spans as for requests.
//! Invariants: what is accepted has CRLF at the end of every line, one length or none, and no field on two lines; so two
//! readers of the same bytes agree on where the answer ends.

use std::borrow::Cow;
use std::mem::MaybeUninit;

use super::Fault;
use super::response::ClientResponse;
use crate::protocols::http::head::{BLANK_LINE, FINDER, HEADERS_LIMIT, has_bare_line_break, is, parse_length, tokens};
use crate::protocols::http::parts::{Field, trim};

/// No head may be longer than this, whatever the app sets: offsets have 16 bits.
pub(crate) const HEAD_MOST: usize = 32 * 1024 - BLANK_LINE.len();

/// What the head of an answer says.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) response: ClientResponse,
    pub(super) framing: Framing,
    pub(super) keep_alive: bool,
    pub(super) coding: Coding,
}

/// How the end of the body is found, if the request does not say that there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    None,
    Length(usize),
    Chunked,
    UntilClose,
}

/// What the body was encoded in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Coding {
    /// In nothing, or in what is the app's to decode.
    #[default]
    Other,
    Gzip,
    Deflate,
}

/// The head at the start of `input` and its length, blank line included; `None` while it is not complete. The first
/// `scanned` bytes were looked at before.
pub(super) fn read(input: &[u8], scanned: usize, limit: usize) -> Result<Option<(Head, usize)>, Fault> {
    let limit = limit.min(HEAD_MOST);
    // The blank line may have begun in the last three bytes of the last look.
    let from = scanned.saturating_sub(3);
    let found = FINDER.find(input.get(from..).unwrap_or_default()).map(|at| from + at);
    match found {
        Some(at) if at <= limit => {
            let length = at + BLANK_LINE.len();
            parse(input.get(..length).unwrap_or_default()).map(|head| Some((head, length)))
        }
        None if input.len() < limit + BLANK_LINE.len() => {
            let looked_at = u16::try_from(scanned).unwrap_or(u16::MAX);
            if has_bare_line_break(input, looked_at) {
                return Err(Fault::Malformed("a line of the head does not end in CRLF"));
            }
            Ok(None)
        }
        _ => Err(Fault::HeadTooLarge),
    }
}

/// Parses a head, blank line included.
fn parse(bytes: &[u8]) -> Result<Head, Fault> {
    // Bytes above 127 that are not UTF-8 are mostly Latin-1, and are that by the older standards.
    let text = match std::str::from_utf8(bytes) {
        Ok(_) => Cow::Borrowed(bytes),
        Err(_) => Cow::Owned(bytes.iter().map(|byte| char::from(*byte)).collect::<String>().into_bytes()),
    };
    let mut lines = [const { MaybeUninit::uninit() }; HEADERS_LIMIT];
    let mut parsed = httparse::Response::new(&mut []);
    let config = httparse::ParserConfig::default();
    match config.parse_response_with_uninit_headers(&mut parsed, &text, &mut lines) {
        // It takes a bare LF for a line end, so its blank line may be another than ours.
        Ok(httparse::Status::Complete(length)) if length == text.len() => {}
        Err(httparse::Error::TooManyHeaders) => return Err(Fault::Malformed("more than 100 header lines")),
        Err(httparse::Error::Version) => return Err(Fault::Malformed("neither HTTP/1.0 nor HTTP/1.1")),
        _ => return Err(Fault::Malformed("the head is malformed")),
    }
    let (Some(minor), Some(status), Some(reason)) = (parsed.version, parsed.code, parsed.reason) else {
        return Err(Fault::Malformed("the status line is malformed"));
    };
    if !(100..600).contains(&status) || !text.starts_with(b"HTTP/") {
        return Err(Fault::Malformed("a status that is none"));
    }
    let mut response = ClientResponse::empty();
    let parts = response.parts();
    (parts.status, parts.minor) = (status, minor);
    parts.reason = range_of(&text, reason.as_bytes());
    let mut rules = Rules::default();
    for line in &*parsed.headers {
        let name = line.name.as_bytes();
        let field = Field::of(&text, name, line.value);
        // Between two lines of ours stands CRLF.
        if !field.follows_line_end(&text) {
            return Err(Fault::Malformed("a line of the head does not end in CRLF"));
        }
        rules.look_at(name, trim(line.value))?;
        parts.fields.push(field);
    }
    parts.head.extend_from_slice(&text);
    rules.finish(response, minor)
}

/// Where a part of the head is. An empty one may be anywhere.
#[allow(clippy::cast_possible_truncation)] // a head is at most twice HEAD_MOST long
fn range_of(head: &[u8], part: &[u8]) -> std::ops::Range<u16> {
    let start = (part.as_ptr() as usize).wrapping_sub(head.as_ptr() as usize);
    if part.is_empty() { 0..0 } else { start as u16..(start + part.len()) as u16 }
}

/// What the header lines say about framing and the connection, gathered line by line.
#[derive(Default)]
struct Rules {
    length: Option<usize>,
    chunked: bool,
    close: bool,
    keep_alive: bool,
    codings: u8,
    coding: Coding,
}

impl Rules {
    fn look_at(&mut self, name: &[u8], value: &[u8]) -> Result<(), Fault> {
        // By length: most lines are none of those that matter.
        match name.len() {
            10 if is(name, b"Connection") => {
                for token in tokens(value) {
                    self.close |= token.eq_ignore_ascii_case(b"close");
                    self.keep_alive |= token.eq_ignore_ascii_case(b"keep-alive");
                }
            }
            14 if is(name, b"Content-Length") => {
                if self.length.is_some() {
                    return Err(Fault::Malformed("more than one Content-Length"));
                }
                let length = parse_length(value).map_err(|_| Fault::Malformed("a Content-Length that is no number"))?;
                self.length = Some(length);
            }
            16 if is(name, b"Content-Encoding") => {
                self.codings = self.codings.saturating_add(1);
                self.coding = match value {
                    _ if value.eq_ignore_ascii_case(b"gzip") || value.eq_ignore_ascii_case(b"x-gzip") => Coding::Gzip,
                    _ if value.eq_ignore_ascii_case(b"deflate") => Coding::Deflate,
                    _ => Coding::Other,
                };
            }
            17 if is(name, b"Transfer-Encoding") => {
                if self.chunked || !value.eq_ignore_ascii_case(b"chunked") {
                    return Err(Fault::Malformed("a Transfer-Encoding that is not chunked once and nothing else"));
                }
                self.chunked = true;
            }
            _ => {}
        }
        Ok(())
    }

    fn finish(self, response: ClientResponse, minor: u8) -> Result<Head, Fault> {
        let framing = match (self.length, self.chunked) {
            (Some(_), true) => return Err(Fault::Malformed("both Content-Length and Transfer-Encoding")),
            (None, true) if minor == 0 => return Err(Fault::Malformed("Transfer-Encoding in HTTP/1.0")),
            (None, true) => Framing::Chunked,
            (Some(0), false) => Framing::None,
            (Some(length), false) => Framing::Length(length),
            (None, false) => Framing::UntilClose,
        };
        // What is encoded twice is left to the app.
        let coding = if self.codings == 1 { self.coding } else { Coding::Other };
        Ok(Head { response, framing, keep_alive: !self.close && (minor == 1 || self.keep_alive), coding })
    }
}
