//! Promise: how a request's bytes were cut on the way changes nothing. Whole, byte by byte and cut in two at every
//! point they give the same messages, or are refused with the same status.
//!
//! The tables are those of PHP Workerman's own `HttpTest`; where our rule is another, the row says so.

mod accepted;
mod cuts;
mod limits;
mod refused;

use super::*;
use crate::protocols::output::Outbound;

const LIMITS: Limits = Limits::of_size(1024 * 1024);
const DATE: &[u8; 29] = b"Sun, 06 Nov 1994 08:49:37 GMT";

/// Everything an app can see of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    method: String,
    uri: String,
    version: &'static str,
    headers: Vec<(String, String)>,
    raw_head: String,
    body: Vec<u8>,
}

impl From<Request> for Seen {
    fn from(request: Request) -> Self {
        Self {
            method: request.method().to_owned(),
            uri: request.uri().to_owned(),
            version: request.protocol_version(),
            headers: request.headers().map(|(name, value)| (name.to_owned(), value.into_owned())).collect(),
            raw_head: String::from_utf8_lossy(request.raw_head()).into_owned(),
            body: request.raw_body().to_vec(),
        }
    }
}

/// What became of some input.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Outcome {
    messages: Vec<Seen>,
    /// The status of the refusal at the end.
    refused: Option<u16>,
    /// Bytes at the end that were neither consumed nor part of a message.
    left: usize,
}

/// Feeds pieces as a connection does: what was not consumed comes again, and the codec is parked in between.
fn feed<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, limits: &Limits) -> Outcome {
    feed_app(pieces, limits, false)
}

/// The same for an app that takes bodies in pieces, if it is told of heads.
fn feed_app<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, limits: &Limits, in_pieces: bool) -> Outcome {
    let (mut outcome, mut codec, mut waiting) = (Outcome::default(), Http::default(), Vec::new());
    let mut body = Vec::new();
    for piece in pieces {
        waiting.extend_from_slice(piece);
        let mut done = 0;
        while done < waiting.len() {
            let mut queue = Outbound::default();
            let mut output = Output::new(&mut queue, DATE, 0);
            let mut step = codec.receive(&waiting[done..], limits, &mut output);
            if let Step::Head { consumed, message } = step {
                assert!(limits.tell_heads && message.raw_body().is_empty() && codec.stance().ready);
                step = codec.go_on(message, in_pieces, &mut output).map_or(Step::More { consumed }, Step::Refused);
                if let Step::More { consumed } = step {
                    done += consumed;
                    continue;
                }
            }
            let mut deliver = |request: Request, body: &mut Vec<u8>| {
                let mut seen = Seen::from(request);
                assert!(body.is_empty() || seen.body.is_empty());
                seen.body.append(body);
                outcome.messages.push(seen);
            };
            match step {
                Step::Message { consumed, message } => {
                    done += consumed;
                    deliver(message, &mut body);
                }
                Step::Piece { consumed, start, length } => {
                    assert!(in_pieces && length > 0);
                    body.extend_from_slice(&waiting[done + start as usize..][..length as usize]);
                    done += consumed;
                }
                Step::More { consumed } => {
                    done += consumed;
                    break;
                }
                Step::Head { .. } | Step::Part { .. } | Step::Refused(_) | Step::Failed(_) => {
                    let answer = String::from_utf8(queue.as_single().unwrap().to_vec()).unwrap();
                    assert!(answer.starts_with("HTTP/1.1 ") && answer.ends_with("\r\n\r\n"), "{answer}");
                    assert!(answer.contains("\r\nConnection: close\r\nContent-Length: 0\r\n"), "{answer}");
                    outcome.refused = Some(answer[9..12].parse().unwrap());
                    return outcome;
                }
            }
        }
        waiting.drain(..done);
        codec = match codec.park() {
            Ok(bits) => Http::unpark(bits),
            Err(codec) => codec,
        };
    }
    outcome.left = waiting.len();
    outcome
}

/// Feeds the input in every way and insists on one outcome.
fn outcome_with(input: &[u8], limits: &Limits) -> Outcome {
    let whole = feed([input], limits);
    let assert_same = |cut: Outcome, how: &str| {
        let same = (cut.messages, cut.refused) == (whole.messages.clone(), whole.refused);
        assert!(same, "{how}, {} is not the same as {whole:?}", input.escape_ascii());
    };
    assert_same(feed(input.chunks(1), limits), "byte by byte");
    let told = Limits { tell_heads: true, ..*limits };
    assert_same(feed([input], &told), "told of heads");
    if whole.refused != Some(413) {
        assert_same(feed_app([input], &told, true), "in pieces");
        assert_same(feed_app(input.chunks(1), &told, true), "in pieces, byte by byte");
    }
    for cut in 1..input.len() {
        let (head, tail) = input.split_at(cut);
        assert_same(feed([head, tail], limits), &format!("cut at {cut}"));
    }
    whole
}

fn outcome(input: impl AsRef<[u8]>) -> Outcome {
    outcome_with(input.as_ref(), &LIMITS)
}

fn accepted(input: impl AsRef<[u8]>) -> Vec<Seen> {
    let outcome = outcome(input.as_ref());
    assert_eq!((outcome.refused, outcome.left), (None, 0), "{}", input.as_ref().escape_ascii());
    outcome.messages
}

fn assert_refused(table: &[(u16, &str)]) {
    for (status, input) in table {
        let outcome = outcome(input);
        assert_eq!((outcome.refused, outcome.messages), (Some(*status), vec![]), "{input:?}");
    }
}

fn assert_heads_refused(status: u16, lines: &[&str]) {
    for line in lines {
        let input = format!("GET / HTTP/1.1\r\nHost: a\r\n{line}\r\n\r\n");
        assert_eq!(outcome(&input).refused, Some(status), "{line:?}");
        let first = format!("GET / HTTP/1.1\r\n{line}\r\nHost: a\r\n\r\n");
        assert_eq!(outcome(&first).refused, Some(status), "{line:?} as the first line");
    }
}

fn headers(seen: &Seen) -> Vec<(&str, &str)> {
    seen.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

const MINIMAL: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
