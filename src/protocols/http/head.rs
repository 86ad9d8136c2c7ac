//! Request heads: what is plain is read by `plain`; of the rest the end is found and httparse takes it apart.
//!
//! httparse is lenient by design; the strict pass over its spans rejects what RFC 9112 calls malformed and smugglers live
//! on: bare LF, a second `Host` or length, a length beside a transfer coding. The rules are the same for both ways.

use std::mem::MaybeUninit;
use std::net::Ipv6Addr;
use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::class::HOST_NAME;
use super::parts::{Field, trim};
use super::plain;
use super::request::Request;

/// The blank line that ends a head must begin before this offset.
pub(super) const HEAD_LIMIT: usize = 16 * 1024;
/// The most header lines a head may have.
pub(super) const HEADERS_LIMIT: usize = 100;

pub(super) const BLANK_LINE: &[u8] = b"\r\n\r\n";
pub(super) static FINDER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(BLANK_LINE));

/// A request's head, and what it says about the rest of the message and of the connection.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) request: Request,
    pub(super) framing: Framing,
    pub(super) head_only: bool,
    pub(super) http10: bool,
    pub(super) keep_alive: bool,
    pub(super) expects_continue: bool,
}

/// How the end of the body is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    None,
    Length(usize),
    Chunked,
}

/// A request that gets an error instead of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) reason: &'static str,
}

impl Refusal {
    pub(super) const TOO_LARGE: Self = Self { status: 413, reason: "the request is larger than max_package_size" };
    const TARGET_TOO_LONG: Self = Self { status: 414, reason: "the request line is longer than 16 KiB" };
    const HEAD_TOO_LARGE: Self = Self { status: 431, reason: "the request head is larger than 16 KiB" };
    const TOO_MANY_HEADERS: Self = Self { status: 431, reason: "the request has more than 100 header lines" };

    pub(super) const fn malformed(reason: &'static str) -> Self {
        Self { status: 400, reason }
    }
}

/// The length of the empty lines in front of a request line, which a server should ignore (RFC 9112 §2.2).
#[inline]
pub(super) fn leading_lines(input: &[u8]) -> usize {
    input.chunks_exact(2).take_while(|line| *line == b"\r\n").count() * 2
}

/// The head at the start of `input` and its length, blank line included; `None` while it is not complete. The first
/// `scanned` bytes were looked at before.
#[inline]
pub(super) fn read(input: &[u8], scanned: u16) -> Result<Option<(Head, usize)>, Refusal> {
    // Mostly all of it has come at once. Whatever is not plain is looked at again, by its end first, so that the outcome
    // does not depend on how the bytes were cut.
    if scanned == 0
        && let Some(plain) = plain::read(input)
    {
        return Ok(Some(plain));
    }
    let end = find_end(input, scanned);
    let looked_at = if let Ok(Some(length)) = end { length } else { input.len() };
    if has_bare_line_break(input.get(..looked_at.min(HEAD_LIMIT)).unwrap_or_default(), scanned) {
        return Err(Refusal::malformed("a bare CR or LF"));
    }
    match end? {
        Some(length) => parse(input.get(..length).unwrap_or_default()).map(Some),
        None => Ok(None),
    }
}

/// Whether a CR or an LF stands alone. It is said at once: to its sender such a head may be complete.
pub(super) fn has_bare_line_break(head: &[u8], scanned: u16) -> bool {
    // A CR at the end of the last look may have got its LF.
    let from = usize::from(scanned).saturating_sub(1);
    let mut breaks = memchr::memchr2_iter(b'\r', b'\n', head.get(from..).unwrap_or_default()).map(|at| from + at);
    breaks.any(|at| match head.get(at) {
        Some(b'\r') => head.get(at + 1).is_some_and(|next| *next != b'\n'),
        _ => at.checked_sub(1).is_none_or(|before| head.get(before) != Some(&b'\r')),
    })
}

/// The length of the head at the start of `input`, if its end is there.
fn find_end(input: &[u8], scanned: u16) -> Result<Option<usize>, Refusal> {
    // The blank line may have begun in the last three bytes of the last look.
    let from = usize::from(scanned).saturating_sub(3);
    match FINDER.find(input.get(from..).unwrap_or_default()) {
        Some(at) if from + at < HEAD_LIMIT => Ok(Some(from + at + 4)),
        None if input.len() < HEAD_LIMIT || has_begun_to_end(input) => Ok(None),
        _ if is_all_target(input) => Err(Refusal::TARGET_TOO_LONG),
        _ => Err(Refusal::HEAD_TOO_LARGE),
    }
}

/// Whether all of a head that may be there is a request line, and not only its method.
#[cold]
fn is_all_target(input: &[u8]) -> bool {
    let head = input.get(..HEAD_LIMIT).unwrap_or(input);
    !head.contains(&b'\r') && head.contains(&b' ')
}

/// Whether what came is over the limit only by the beginning of a blank line that begins before it.
#[cold]
fn has_begun_to_end(input: &[u8]) -> bool {
    [&b"\r"[..], b"\r\n", b"\r\n\r"]
        .iter()
        .any(|begun| input.len() < HEAD_LIMIT + begun.len() && input.ends_with(begun))
}

/// Whether the request line ends in a version of HTTP, whichever.
#[cold]
fn names_a_version(bytes: &[u8]) -> bool {
    let line = bytes.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let mut words = line.split(|byte| *byte == b' ');
    let version = words.nth(2).and_then(|version| version.strip_prefix(b"HTTP/"));
    words.next().is_none()
        && matches!(version, Some([major, b'.', minor]) if major.is_ascii_digit() && minor.is_ascii_digit())
}

/// Origin form, absolute form or `*` (RFC 9112 §3.2); authority form is for CONNECT.
#[inline]
fn is_target(target: &str) -> bool {
    let is_absolute = |(scheme, rest): (&str, &str)| {
        scheme.starts_with(|byte: char| byte.is_ascii_alphabetic())
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
            && rest.split(['/', '?']).next().is_some_and(|authority| check_host(authority.as_bytes()).is_ok())
    };
    target.starts_with('/') || target == "*" || target.split_once("://").is_some_and(is_absolute)
}

/// Parses the head at the start of `input`; answers its length too, blank line included.
fn parse(input: &[u8]) -> Result<(Head, usize), Refusal> {
    // httparse skips any number of empty lines; the spans of a request begin at its first byte.
    if let Some(b'\r' | b'\n') = input.first() {
        return Err(Refusal::malformed("a line break before the request"));
    }
    let mut lines = [const { MaybeUninit::uninit() }; HEADERS_LIMIT];
    let mut parsed = httparse::Request::new(&mut []);
    let bytes = match parsed.parse_with_uninit_headers(input, &mut lines) {
        // It takes a bare LF for a line end, so its blank line may be another than ours.
        Ok(httparse::Status::Complete(length)) if length < HEAD_LIMIT + BLANK_LINE.len() => {
            let head = input.get(..length).unwrap_or_default();
            if !head.ends_with(BLANK_LINE) {
                return Err(Refusal::malformed("the blank line is not one"));
            }
            head
        }
        Err(httparse::Error::TooManyHeaders) => return Err(Refusal::TOO_MANY_HEADERS),
        Err(httparse::Error::Version) if names_a_version(input) => {
            return Err(Refusal { status: 505, reason: "not HTTP/1.0 or HTTP/1.1" });
        }
        _ => return Err(Refusal::malformed("malformed request head")),
    };
    let (Some(method), Some(target), Some(minor)) = (parsed.method, parsed.path, parsed.version) else {
        return Err(Refusal::malformed("malformed request line"));
    };
    if !target.is_ascii() {
        return Err(Refusal::malformed("a byte above 127 in the request target"));
    }
    if method == "CONNECT" {
        return Err(Refusal { status: 501, reason: "CONNECT is for proxies" });
    }
    if !is_target(target) {
        return Err(Refusal::malformed("a request target of no known form"));
    }
    let mut request = Request::empty();
    request.set_head(bytes, method.as_bytes(), minor);
    request.set_target(target);
    let mut rules = Rules::default();
    for line in &*parsed.headers {
        let name = line.name.as_bytes();
        let field = Field::of(bytes, name, line.value);
        // httparse takes a bare LF for a line end; between two lines of ours stands CRLF.
        if !field.follows_line_end(bytes) {
            return Err(Refusal::malformed("a line of the head does not end in CRLF"));
        }
        rules.look_at(name, line.value)?;
        request.fields_mut().push(field);
    }
    Ok((rules.finish(request, method.as_bytes(), minor)?, bytes.len()))
}

/// What the header lines say about framing and the connection, gathered line by line.
#[derive(Default)]
pub(super) struct Rules {
    hosts: usize,
    length: Option<usize>,
    chunked: bool,
    close: bool,
    keep_alive: bool,
    expects_continue: bool,
}

impl Rules {
    #[inline(always)]
    pub(super) fn look_at(&mut self, name: &[u8], value: &[u8]) -> Result<(), Refusal> {
        // By length and first letter: most lines are none of those that matter.
        match (name.len(), name.first().map_or(0, |first| first | 0x20)) {
            (4, b'h') | (6, b'e') | (10 | 14, b'c') | (17, b't') => self.look_closer(name, value),
            _ => Ok(()),
        }
    }

    #[inline(never)]
    fn look_closer(&mut self, name: &[u8], value: &[u8]) -> Result<(), Refusal> {
        let value = trim(value);
        match (name.len(), name.first().map_or(0, |first| first | 0x20)) {
            (4, b'h') if is(name, b"Host") => {
                self.hosts += 1;
                check_host(value)?;
            }
            (6, b'e') if is(name, b"Expect") => {
                self.expects_continue |= tokens(value).any(|token| token.eq_ignore_ascii_case(b"100-continue"));
            }
            // What browsers send, without taking it apart.
            (10, b'c') if value == b"keep-alive" && is(name, b"Connection") => self.keep_alive = true,
            (10, b'c') if is(name, b"Connection") => {
                for token in tokens(value) {
                    self.close |= token.eq_ignore_ascii_case(b"close");
                    self.keep_alive |= token.eq_ignore_ascii_case(b"keep-alive");
                }
            }
            (14, b'c') if is(name, b"Content-Length") => {
                if self.length.is_some() {
                    return Err(Refusal::malformed("more than one Content-Length"));
                }
                self.length = Some(parse_length(value)?);
            }
            (17, b't') if is(name, b"Transfer-Encoding") => self.look_at_coding(value)?,
            _ => {}
        }
        Ok(())
    }

    fn look_at_coding(&mut self, value: &[u8]) -> Result<(), Refusal> {
        if self.chunked {
            return Err(Refusal::malformed("more than one Transfer-Encoding"));
        }
        if value.eq_ignore_ascii_case(b"chunked") {
            self.chunked = true;
            return Ok(());
        }
        let is_chunked = |coding: &[u8]| coding.eq_ignore_ascii_case(b"chunked");
        if !tokens(value).next_back().is_some_and(is_chunked) {
            return Err(Refusal::malformed("a Transfer-Encoding that does not end in chunked"));
        }
        if tokens(value).all(is_chunked) {
            return Err(Refusal::malformed("a Transfer-Encoding that is not chunked once and nothing else"));
        }
        Err(Refusal { status: 501, reason: "an unknown transfer coding" })
    }

    #[inline]
    pub(super) fn finish(self, request: Request, method: &[u8], minor: u8) -> Result<Head, Refusal> {
        let http10 = minor == 0;
        if self.hosts > 1 || (self.hosts == 0 && !http10) {
            return Err(Refusal::malformed("not exactly one Host"));
        }
        let framing = match (self.length, self.chunked) {
            (Some(_), true) => return Err(Refusal::malformed("both Content-Length and Transfer-Encoding")),
            (None, true) if http10 => return Err(Refusal::malformed("Transfer-Encoding in HTTP/1.0")),
            (None, true) => Framing::Chunked,
            (None | Some(0), false) => Framing::None,
            (Some(length), false) => Framing::Length(length),
        };
        Ok(Head {
            request,
            framing,
            head_only: method == b"HEAD",
            http10,
            keep_alive: !self.close && (!http10 || self.keep_alive),
            expects_continue: self.expects_continue && !http10,
        })
    }
}

/// Whether this is the header's name. Most clients write names as the standards do, and comparing those is quick.
#[inline]
pub(super) fn is<const N: usize>(name: &[u8], canonical: &[u8; N]) -> bool {
    name == canonical || name.eq_ignore_ascii_case(canonical)
}

/// The elements of a comma-separated list, without the white space around them.
pub(super) fn tokens(value: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|token| !token.is_empty())
}

/// Digits only. What does not fit is the largest number there is, which every limit refuses.
pub(super) fn parse_length(value: &[u8]) -> Result<usize, Refusal> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(Refusal::malformed("a Content-Length that is not a number"));
    }
    Ok(value.iter().fold(0_usize, |sum, digit| sum.saturating_mul(10).saturating_add(usize::from(digit - b'0'))))
}

/// `uri-host [ ":" port ]` of RFC 9110 §7.2, without user info.
#[inline]
fn check_host(value: &[u8]) -> Result<(), Refusal> {
    let end = value.iter().position(|byte| !HOST_NAME.has(*byte)).unwrap_or(value.len());
    let (name, rest) = value.split_at(end);
    if !name.is_empty() && is_port(rest) || is_rare_host(value) {
        return Ok(());
    }
    Err(Refusal::malformed("a malformed Host"))
}

/// Nothing, or a colon and a port.
#[inline]
fn is_port(text: &[u8]) -> bool {
    match text {
        [] => true,
        [b':', digits @ ..] => {
            let with = |port: u32, digit: &u8| {
                let longer = port * 10 + u32::from(digit.wrapping_sub(b'0'));
                (digit.is_ascii_digit() && longer <= 65535).then_some(longer)
            };
            !digits.is_empty() && digits.iter().try_fold(0, with).is_some()
        }
        _ => false,
    }
}

/// An address in brackets, or a name with escapes.
#[cold]
fn is_rare_host(value: &[u8]) -> bool {
    if let Some(rest) = value.strip_prefix(b"[") {
        let (literal, port) = rest.split_at(memchr::memchr(b']', rest).unwrap_or(rest.len()));
        let literal = std::str::from_utf8(literal).unwrap_or_default();
        return literal.parse::<Ipv6Addr>().is_ok() && port.strip_prefix(b"]").is_some_and(is_port);
    }
    let end = value.iter().position(|byte| !HOST_NAME.has(*byte) && *byte != b'%').unwrap_or(value.len());
    let (name, port) = value.split_at(end);
    !name.is_empty() && is_escaped(name) && is_port(port)
}

/// Whether two hexadecimal digits follow each `%`.
fn is_escaped(text: &[u8]) -> bool {
    let mut parts = text.split(|byte| *byte == b'%').skip(1);
    parts.all(|part| matches!(part, [high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit()))
}
