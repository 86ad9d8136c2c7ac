//! Answers in gzip, for clients that accept it and workers that want it.
//!
//! In scope: which answers are compressed, what their heads then say (RFC 9110 §8.4, §8.8.3, §12.5.3, §12.5.5).
//! Out of scope: what a client accepts (`accept`); event streams, answers in chunks and files, which leave as they are.
//!
//! Invariants: an answer depends on `Accept-Encoding` exactly when it has `Vary`, whichever form was chosen; the answer to
//! HEAD has the head of the answer to GET; nothing is sent in a form that is not smaller.

use super::Http;
use super::accept::coding_weight;
use super::gzip;
use super::headers::{Headers, Known};
use super::request::Request;
use super::response::Response;
use crate::protocols::output::Output;
use crate::protocols::{Encode as _, Encoded, pool};

/// How a worker's answers are compressed, for [`Worker::set_compression`](crate::Worker::set_compression): gzip at level 4,
/// bodies of 1 KiB and more.
///
/// ```
/// # use workerman::{Compression, Http, Worker};
/// # let worker = Worker::<Http>::new("");
/// worker.set_compression(Compression::new().level(3).threshold(512));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "settings do nothing until a worker has them"]
pub struct Compression {
    level: u8,
    threshold: usize,
}

impl Compression {
    /// Level 4, from 1 KiB on.
    ///
    /// ```
    /// # use workerman::{Compression, Http, Worker};
    /// # let worker = Worker::<Http>::new("");
    /// worker.set_compression(Compression::new());
    /// ```
    pub fn new() -> Self {
        Self { level: 4, threshold: 1024 }
    }

    /// How hard to try, from 1, the quickest, to 9, the smallest. The loop does nothing else meanwhile: 100 KB of JSON become
    /// 28 KB in 0.3 ms at level 1, 18 KB in 0.9 ms at level 4 and 17 KB in 2 ms at level 6, on one virtual core.
    ///
    /// ```
    /// let quick = workerman::Compression::new().level(1);
    /// ```
    pub fn level(self, level: u8) -> Self {
        Self { level: level.clamp(1, 9), ..self }
    }

    /// From how many bytes on a body is compressed. What fits into one packet anyway, about 1,400 bytes with its head, gains
    /// nothing.
    ///
    /// ```
    /// let eager = workerman::Compression::new().threshold(256);
    /// ```
    pub fn threshold(self, bytes: usize) -> Self {
        Self { threshold: bytes, ..self }
    }

    /// The number by which this thread knows the settings.
    pub(crate) fn number(self) -> u8 {
        gzip::number_of(self)
    }

    pub(super) fn effort(self) -> u8 {
        self.level
    }
}

impl Default for Compression {
    fn default() -> Self {
        Self::new()
    }
}

/// What a body can be compressed to.
enum Form {
    /// It is too short, of a kind that does not shrink, or not to be touched.
    Plain,
    /// It depends on what the client accepts.
    Negotiated,
}

impl Http {
    /// Takes note of what the answer to this request may be, before its exchange begins.
    #[inline]
    pub(super) fn negotiate(&mut self, settings: u8, request: &Request) {
        let accepted = settings > 0 && is_gzip_accepted(request);
        self.exchange.set_compression(settings, accepted);
    }

    /// Whether text of this length is no longer sent as it is.
    #[inline]
    pub(super) fn may_compress(&self, length: usize) -> bool {
        let number = self.exchange.compression();
        number > 0 && is_long(number, length)
    }

    /// Whether it is still to be decided in which form the answer goes out.
    #[inline]
    pub(super) fn is_compressing(&self) -> bool {
        self.exchange.compression() > 0
    }

    /// Encodes the answer in the form that is decided upon here.
    #[cold]
    pub(super) fn encode_compressed(&mut self, response: Response, output: &mut Output<'_>) -> Encoded {
        let response = self.compress(self.exchange.compression(), response);
        self.exchange.set_compression(0, false);
        self.encode(response, output)
    }

    /// Compresses the body if that is wanted, and says so in the head.
    fn compress(&self, number: u8, mut response: Response) -> Response {
        let length = self.length_of(&response);
        if let Form::Plain = form(&response, length, gzip::settings(number).threshold) {
            return response;
        }
        let parts = &mut *response.parts;
        vary(&mut parts.headers);
        if !self.exchange.accepts_gzip() {
            return response;
        }
        if parts.status == 304 {
            // Nothing but the tag, which is that of the answer that it stands for: RFC 9110 §15.4.5.
        } else if length > parts.body.len() {
            parts.headers.set_unmeasured();
            parts.headers.set("Content-Encoding", "gzip");
        } else if let Some(compressed) = gzip::compress(number, &parts.body) {
            pool::give(std::mem::replace(&mut parts.body, compressed));
            parts.headers.set("Content-Encoding", "gzip");
        } else {
            return response;
        }
        weaken(&mut parts.headers);
        response
    }

    /// The length of the body, or, to HEAD, of the one that the app did not make but measured.
    fn length_of(&self, response: &Response) -> usize {
        let named = if self.exchange.head_only() { response.header("content-length") } else { None };
        let named = named.and_then(|length| length.parse().ok()).unwrap_or_default();
        response.parts.body.len().max(named)
    }
}

// What is cold is so beside a loop that compresses nothing; one that does has more to do than to jump.
#[cold]
fn is_gzip_accepted(request: &Request) -> bool {
    request.header("accept-encoding").is_some_and(|header| coding_weight(header, "gzip") > 0)
}

#[cold]
fn is_long(settings: u8, length: usize) -> bool {
    length >= gzip::settings(settings).threshold
}

fn form(response: &Response, length: usize, threshold: usize) -> Form {
    let headers = &response.parts.headers;
    // What is encoded already, a part of something, or signed as it is.
    let untouchable = ["Content-Encoding", "Content-Range", "Content-Digest", "Repr-Digest", "Digest", "Content-MD5"];
    let forbids = |value: &str| value.split(',').any(|word| word.trim().eq_ignore_ascii_case("no-transform"));
    if headers.has(Known::CacheControl) && headers.get("Cache-Control").is_some_and(forbids)
        || untouchable.iter().any(|name| headers.get(name).is_some())
    {
        return Form::Plain;
    }
    match response.parts.status {
        304 => Form::Negotiated,
        204..=206 => Form::Plain,
        _ if length < threshold.max(1) => Form::Plain,
        _ if headers.get("Content-Type").is_none_or(shrinks) => Form::Negotiated,
        _ => Form::Plain,
    }
}

/// Adds to `Vary` what the answer depends on.
fn vary(headers: &mut Headers) {
    let values = headers.lines().filter(|line| line.0.eq_ignore_ascii_case("vary")).map(|line| line.1);
    let mut joined = String::new();
    for name in values.flat_map(|value| value.split(',')).map(str::trim).filter(|name| !name.is_empty()) {
        if name == "*" || name.eq_ignore_ascii_case("accept-encoding") {
            return;
        }
        joined.push_str(name);
        joined.push_str(", ");
    }
    if joined.is_empty() {
        return headers.add("Vary", "Accept-Encoding");
    }
    headers.set("Vary", &(joined + "Accept-Encoding"));
}

/// A strong tag stands for bytes, and these are others: RFC 9110 §8.8.3.3.
fn weaken(headers: &mut Headers) {
    let strong = headers.get("ETag").filter(|etag| !etag.starts_with("W/"));
    if let Some(weak) = strong.map(|etag| format!("W/{etag}")) {
        headers.set("ETag", &weak);
    }
}

/// Whether bodies of a type become much smaller: text in its many forms, and a few formats that do not compress themselves.
fn shrinks(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    let Some((kind, subtype)) = essence.split_once('/') else { return false };
    let is = |names: &[&str]| names.iter().any(|name| subtype.eq_ignore_ascii_case(name));
    let suffix = subtype.rsplit_once('+').map_or("", |(_, suffix)| suffix);
    let is_text = ["json", "xml", "yaml", "text"].iter().any(|name| suffix.eq_ignore_ascii_case(name));
    is_text
        || match kind {
            kind if kind.eq_ignore_ascii_case("text") => true,
            kind if kind.eq_ignore_ascii_case("application") => is(APPLICATIONS),
            kind if kind.eq_ignore_ascii_case("image") => is(&["bmp", "x-icon", "vnd.microsoft.icon"]),
            kind if kind.eq_ignore_ascii_case("font") => is(&["ttf", "otf", "collection"]),
            _ => false,
        }
}

const APPLICATIONS: &[&str] = &[
    "json",
    "javascript",
    "x-javascript",
    "ecmascript",
    "xml",
    "xml-dtd",
    "graphql",
    "ndjson",
    "x-ndjson",
    "jsonl",
    "json-seq",
    "yaml",
    "x-yaml",
    "toml",
    "sql",
    "rtf",
    "wasm",
    "x-www-form-urlencoded",
    "vnd.ms-fontobject",
];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_text_shrinks_and_what_is_compressed_does_not() {
        let table = [
            ("text/html;charset=utf-8", true),
            ("Text/CSS", true),
            ("text/x-anything", true),
            ("application/json", true),
            ("application/problem+json; charset=utf-8", true),
            ("application/atom+XML", true),
            ("image/svg+xml", true),
            ("application/javascript", true),
            ("application/wasm", true),
            ("font/ttf", true),
            ("image/png", false),
            ("image/jpeg", false),
            ("video/mp4", false),
            ("audio/mpeg", false),
            ("font/woff2", false),
            ("application/zip", false),
            ("application/gzip", false),
            ("application/pdf", false),
            ("application/octet-stream", false),
            ("application/epub+zip", false),
            ("", false),
            ("json", false),
        ];
        for (content_type, expected) in table {
            assert_eq!(shrinks(content_type), expected, "{content_type}");
        }
    }

    #[test]
    fn vary_is_completed_and_not_repeated() {
        let table: [(&[&str], &[&str]); 8] = [
            (&[], &["Accept-Encoding"]),
            (&["Accept"], &["Accept, Accept-Encoding"]),
            (&["Accept", "Origin"], &["Accept, Origin, Accept-Encoding"]),
            (&[" ,Accept,, "], &["Accept, Accept-Encoding"]),
            (&["accept-encoding"], &["accept-encoding"]),
            (&["Accept", "Origin, Accept-Encoding"], &["Accept", "Origin, Accept-Encoding"]),
            (&["*"], &["*"]),
            (&[""], &["", "Accept-Encoding"]),
        ];
        for (before, after) in table {
            let mut headers = Headers::default();
            before.iter().for_each(|value| headers.add("Vary", value));
            vary(&mut headers);
            assert_eq!(headers.lines().map(|line| line.1).collect::<Vec<_>>(), after, "{before:?}");
        }
    }

    proptest! {
        #[test]
        fn no_type_is_too_odd_to_be_read(content_type in "([a-z*-]{0,8}[ ;/+=]{0,3}){0,5}|\\PC*") {
            shrinks(&content_type);
        }
    }
}
