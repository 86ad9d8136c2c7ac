//! Heads as nearly all clients send them, taken apart in one pass.
//!
//! In scope: complete heads of printable ASCII whose lines end in CRLF and whose target is a path. Anything else, valid or
//! not, is none of this file's business: the answer is `None`, and `head` looks at it with httparse and the strict rules.
//!
//! Invariant: what is accepted here is accepted there, with the same outcome; tests and fuzzing compare the two.

use super::class::{PATH_END, TOKEN};
use super::head::{HEAD_LIMIT, HEADERS_LIMIT, Head, Rules};
use super::parts::Field;
use super::request::Request;

/// So many bytes are counted at a time.
const BLOCK: usize = 64;
/// So many bytes of a line are looked at together for the end of its name.
const NAME: usize = 32;

/// The head at the start of `input` and its length, blank line included; `None` unless it is complete and plain.
pub(super) fn read(input: &[u8]) -> Option<(Head, usize)> {
    let line = request_line(input)?;
    let mut request = Request::empty();
    let mut rules = Rules::default();
    let at = header_lines(input, line.length, request.fields_mut(), &mut rules)?;
    let lines = request.fields_mut().len();
    let length = at + 2;
    let head = input.get(..length)?;
    let is_plain = lines <= HEADERS_LIMIT
        && at <= HEAD_LIMIT
        && head.ends_with(b"\r\n\r\n")
        // The line ends, the blank line's among them.
        && odd_bytes(head) == 2 * (lines + 2);
    if !is_plain {
        return None;
    }
    request.set_head(head, line.method, line.minor);
    request.set_ascii_target(line.path, line.target);
    Some((rules.finish(request, line.method, line.minor).ok()?, length))
}

/// Takes the lines from `at` on; answers where the first is that begins with no name.
#[inline(never)] // the hottest loop there is: alone it has the registers for itself
fn header_lines(input: &[u8], mut at: usize, fields: &mut Vec<Field>, rules: &mut Rules) -> Option<usize> {
    loop {
        let line = input.get(at..)?;
        let colon = name_length(line)?;
        if colon == 0 {
            return Some(at);
        }
        let (name, rest) = line.split_at_checked(colon)?;
        let length = memchr::memchr(b'\n', rest)?;
        let Some([b':', value @ .., b'\r']) = rest.get(..length) else { return None };
        rules.look_at(name, value).ok()?;
        let colon = at + colon;
        fields.push(Field::new(at, colon, colon + length - 1));
        at = colon + length + 1;
    }
}

struct RequestLine<'a> {
    method: &'a [u8],
    /// How long the path is.
    path: usize,
    /// How long the target is, the path and what follows it.
    target: usize,
    minor: u8,
    /// How long the line is, with its CRLF.
    length: usize,
}

#[inline]
fn request_line(input: &[u8]) -> Option<RequestLine<'_>> {
    let (method, rest) = input.split_at_checked(name_length(input)?)?;
    let [b' ', rest @ ..] = rest else { return None };
    let path = rest.iter().position(|byte| PATH_END.has(*byte))?;
    let (_, query) = rest.split_at_checked(path)?;
    let target = path + query.iter().position(|byte| *byte <= b' ')?;
    let minor = match rest.get(target..)? {
        [b' ', b'H', b'T', b'T', b'P', b'/', b'1', b'.', minor @ (b'0' | b'1'), b'\r', b'\n', ..] => minor - b'0',
        _ => return None,
    };
    let is_plain = !method.is_empty() && method != b"CONNECT" && rest.first() == Some(&b'/');
    is_plain.then_some(RequestLine { method, path, target, minor, length: method.len() + target + 12 })
}

/// How many bytes are not printable ASCII.
#[inline]
fn odd_bytes(head: &[u8]) -> usize {
    let (blocks, rest) = head.as_chunks();
    let mut last = [b' '; BLOCK];
    if let Some(start) = last.get_mut(..rest.len()) {
        start.copy_from_slice(rest);
    }
    blocks.iter().map(odd_in_block).sum::<usize>() + odd_in_block(&last)
}

/// In this form the compiler makes a few vector instructions of it.
#[inline]
fn odd_in_block(block: &[u8; BLOCK]) -> usize {
    block.iter().fold(0_u8, |count, byte| count + u8::from(is_odd(*byte))).into()
}

#[inline]
fn is_odd(byte: u8) -> bool {
    byte.wrapping_sub(b' ') > b'~' - b' '
}

/// How long the name at the start of `line` is, if it is shorter than most.
#[inline(always)]
fn name_length(line: &[u8]) -> Option<usize> {
    match line.first_chunk() {
        Some(block) => length_in_block(block),
        None => line.iter().position(|byte| !TOKEN.has(*byte)),
    }
}

/// Looks at all bytes at once, then for the first that is none: names are too short for a loop to be quick.
#[inline(always)]
fn length_in_block(block: &[u8; NAME]) -> Option<usize> {
    const ALL: u64 = u64::from_le_bytes([1; 8]);
    let classes = block.map(|byte| u8::from(is_name_byte(byte)));
    let (words, _) = classes.as_chunks();
    let (nth, word) = words.iter().map(|word| u64::from_le_bytes(*word)).enumerate().find(|(_, word)| *word != ALL)?;
    Some(nth * 8 + (word ^ ALL).trailing_zeros() as usize / 8)
}

/// What names are made of in practice.
#[inline]
fn is_name_byte(byte: u8) -> bool {
    (byte | 0x20).wrapping_sub(b'a') < 26 || byte.wrapping_sub(b'0') < 10 || byte == b'-' || byte == b'_'
}

#[cfg(test)]
mod tests {
    use super::*;

    const BROWSER: &str = "GET /feed?since=7#now HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nUser-Agent: Mozilla/5.0 (X11)\r\n\
        Accept: text/html,*/*;q=0.8\r\nCookie: sid=0123456789abcdef; theme=dark\r\nUpgrade-Insecure-Requests: 1\r\n\
        X_Trace:  7 \r\nX-Empty:\r\nConnection: keep-alive\r\n\r\n";

    #[test]
    fn what_clients_send_is_plain() {
        let (head, length) = read(BROWSER.as_bytes()).unwrap();
        let request = head.request;
        assert_eq!(length, BROWSER.len());
        assert_eq!((request.method(), request.path(), request.query_string()), ("GET", "/feed", "since=7"));
        assert_eq!((request.header("x_trace"), request.header("X-Empty")), (Some("7"), Some("")));
        assert_eq!((request.headers().count(), request.header("connection")), (8, Some("keep-alive")));
        assert!(read(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc").is_some());
        assert!(read(b"GET / HTTP/1.0\r\n\r\n").is_some());
    }

    #[test]
    fn what_follows_is_not_looked_at() {
        for rest in ["\0", "GET", "\r\n", "\x7f\x7f"] {
            let (_, length) = read(&[BROWSER.as_bytes(), rest.as_bytes()].concat()).unwrap();
            assert_eq!(length, BROWSER.len());
        }
    }

    #[test]
    fn one_odd_byte_anywhere_is_found() {
        for at in 0..BROWSER.len() {
            for odd in [0, b'\t', b'\r', b'\n', 0x1f, 0x7f, 0x80, 0xff] {
                let mut head = BROWSER.as_bytes().to_vec();
                if std::mem::replace(&mut head[at], odd) != odd {
                    assert!(read(&head).is_none(), "{odd} at {at}");
                }
            }
        }
    }

    #[test]
    fn an_incomplete_head_is_not_plain() {
        for length in 0..BROWSER.len() {
            assert!(read(&BROWSER.as_bytes()[..length]).is_none(), "{length}");
        }
    }
}
