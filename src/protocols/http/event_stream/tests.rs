//! Events come out the same however their bytes are cut, and as browsers read them.
//!
//! The table follows the examples of HTML standard §9.2.6 and what the `format-*` cases of web-platform-tests ask.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::protocols::http::ServerSentEvents;

/// Type, data and id of each event; the last id; the last time to wait; whether it became too large.
type Outcome = (Vec<(String, String, String)>, String, Option<u64>, bool);

fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, limit: usize) -> Outcome {
    let mut stream = EventStream::default();
    stream.set_limit(limit);
    let (mut events, mut retry, mut is_too_large) = (Vec::new(), None, false);
    'pieces: for mut piece in pieces {
        loop {
            let event = match stream.receive(&mut piece) {
                Ok(event) => event,
                Err(TooLarge) => {
                    is_too_large = true;
                    break 'pieces;
                }
            };
            retry = stream.take_retry().or(retry);
            let Some(event) = event else { break };
            events.push((event.event().to_owned(), event.data().to_owned(), event.id().to_owned()));
        }
        assert!(piece.is_empty(), "all is taken");
    }
    (events, stream.last_id().to_owned(), retry, is_too_large)
}

/// Whole, byte by byte, and cut in two at each place: one outcome.
fn read_all_ways(input: &[u8], limit: usize) -> Outcome {
    let whole = read([input], limit);
    assert_eq!(read(input.chunks(1), limit), whole, "byte by byte: {}", input.escape_ascii());
    for cut in 0..input.len() {
        let (one, other) = input.split_at(cut);
        assert_eq!(read([one, &[], other], limit), whole, "cut at {cut}: {}", input.escape_ascii());
    }
    whole
}

fn events(input: &[u8]) -> Vec<String> {
    let texts = read_all_ways(input, LIMIT).0.into_iter().map(|(event, data, id)| format!("{event}|{data}|{id}"));
    texts.collect()
}

/// What a stream is, and the `type|data|id` of what it tells.
const TABLE: &[(&[u8], &[&str])] = &[
    // The standard's examples.
    (b"data: YHOO\ndata: +2\ndata: 10\n\n", &["message|YHOO\n+2\n10|"]),
    (
        b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n",
        &["message|first event|1", "message|second event|", "message| third event|"],
    ),
    (b"data\n\ndata\ndata\n\ndata:", &["message||", "message|\n|"]),
    (b"data:test\n\ndata: test\n\n", &["message|test|", "message|test|"]),
    (b"event: add\ndata: 73857293\n\nevent: remove\ndata: 2153\n\n", &["add|73857293|", "remove|2153|"]),
    // Line breaks.
    (b"data: a\rdata: b\r\ndata: c\n\r\n", &["message|a\nb\nc|"]),
    (b"data:test\r\r\ndata: b\r\n\r", &["message|test|", "message|b|"]),
    (b"data: a\r\n\r\n\r\n\r\rdata: b\n\n", &["message|a|", "message|b|"]),
    (b"data:a\x0bb\x0cc\xc2\x85d\xe2\x80\xa8e\n\n", &["message|a\u{b}b\u{c}c\u{85}d\u{2028}e|"]),
    // The byte order mark is one at the very beginning only.
    (b"\xef\xbb\xbfdata:1\n\n\xef\xbb\xbfdata:2\n\ndata:3\n\n", &["message|1|", "message|3|"]),
    (b"\xef\xbb\xbf\xef\xbb\xbfdata:1\n\ndata:2\n\ndata:3\n\n", &["message|2|", "message|3|"]),
    (b"\n\xef\xbb\xbfdata:1\n\ndata:2\n\n", &["message|2|"]),
    (b"\xef\xbbdata:1\n\n\xef", &[]),
    // Comments.
    (b":\r:\ndata:1\r:data:2\ndata:3\r\n:data:fail\r:line\rdata:4\n\n", &["message|1\n3\n4|"]),
    (b":\0:\ndata:1\n:data:3\n\n", &["message|1|"]),
    // Fields by their exact names.
    (b"data:test\nfoo:bar\nDATA:x\nData: x\n data: x\ndata : x\n\n", &["message|test|"]),
    (b"data:\ndata\ndata:test\n\n", &["message|\n\ntest|"]),
    (b"data\n\n", &["message||"]),
    (b"\0data:1\ndata:2\0\n\n", &["message|2\0|"]),
    (b"data:\ttest\r\ndata: \ndata:test\n\n", &["message|\ttest\n\ntest|"]),
    (b"data: one: two\n\n", &["message|one: two|"]),
    // Types.
    (b"event:test\ndata:x\n\ndata:x\n\n", &["test|x|", "message|x|"]),
    (b"event:\ndata:data\n\n", &["message|data|"]),
    (b"event: a\nevent: b\ndata: x\n\nevent: c\n\ndata: y\n\n", &["b|x|", "message|y|"]),
    // Ids.
    (b"id: 1\ndata: a\n\ndata: b\n\nid\ndata: c\n\n", &["message|a|1", "message|b|1", "message|c|"]),
    (b"id: 1\n\ndata: a\n\n", &["message|a|1"]),
    (b"id: 1\ndata: a\n\nid: 2\0x\ndata: b\n\nid:\0\ndata: c\n\n", &["message|a|1", "message|b|1", "message|c|1"]),
    (b"id: \xe2\x80\xa6\ndata: a\n\n", &["message|a|\u{2026}"]),
    // What is broken off is not told.
    (b"data: a\n\ndata: b", &["message|a|"]),
    (b"data: a\n\ndata: b\n", &["message|a|"]),
    // What is no UTF-8 is U+FFFD, and ends no line.
    (b"data: \xff\xc3\ndata:\xe2\x82\nevent: \xf0\nid: \xc0\n\n", &["\u{fffd}|\u{fffd}\u{fffd}\n\u{fffd}|\u{fffd}"]),
    (b"data:ok\xe2\x80\xa6\n\n", &["message|ok\u{2026}|"]),
];

#[test]
fn streams_are_read_as_the_standard_says() {
    for (input, expected) in TABLE {
        assert_eq!(events(input), *expected, "{}", input.escape_ascii());
    }
}

#[test]
fn only_digits_are_a_time_to_wait() {
    let table: [(&[u8], Option<u64>); 9] = [
        (b"retry:3000\n", Some(3000)),
        (b"retry: 03000\n", Some(3000)),
        (b"retry:3000\nretry:1000x\n", Some(3000)),
        (b"retry\nretry:\nretry: \n", None),
        (b"retry: +5\nretry: -5\nretry: 1e3\nretry:  5\nretry: 5 \n", None),
        (b"retry: \xd9\xa3\n", None),
        (b"retry: 5\nretry: 7\n", Some(7)),
        (b"retry: 99999999999999999999999\n", Some(u64::MAX)),
        (b"retry: 5", None),
    ];
    for (input, expected) in table {
        assert_eq!(read_all_ways(input, LIMIT).2, expected, "{}", input.escape_ascii());
    }
}

#[test]
fn an_id_counts_from_its_blank_line_on() {
    assert_eq!(read_all_ways(b"id: 1\ndata: a\n\nid: 2\ndata: b\n", LIMIT).1, "1");
    assert_eq!(read_all_ways(b"id: 1\ndata: a\n\nid: 2\n\n", LIMIT).1, "2");
    let mut stream = EventStream::default();
    stream.receive(&mut &b"id: 1\n\nid: 2\ndata: lost\nevent: lost"[..]).unwrap();
    stream.restart();
    let event = stream.receive(&mut &b"\xef\xbb\xbfdata: next\n\n"[..]).unwrap().unwrap();
    assert_eq!((event.data(), event.event(), event.id()), ("next", "message", "1"));
}

#[test]
fn a_source_goes_on_behind_the_id_that_it_is_given() {
    let mut stream = EventStream::default();
    stream.set_last_id("41");
    assert_eq!(stream.receive(&mut &b"data: a\n\n"[..]).unwrap().unwrap().id(), "41");
    stream.restart();
    assert_eq!(stream.last_id(), "41");
}

#[test]
fn an_event_has_a_limit_and_so_has_a_line() {
    let limit = 100;
    let line = |length: usize| [b"data: ".to_vec(), vec![b'x'; length], b"\n".to_vec()].concat();
    let fits = [line(94), b"\n".to_vec(), line(94)].concat();
    assert!(!read_all_ways(&fits, limit).3);
    for large in [line(95), [line(40), line(60)].concat(), [b":".to_vec(), line(100)].concat(), vec![b'x'; 101]] {
        assert!(read_all_ways(&large, limit).3, "{}", large.escape_ascii());
        let behind = [b"data: a\n\n".to_vec(), large].concat();
        assert_eq!(read_all_ways(&behind, limit).0.len(), 1, "what came before is told");
    }
    let many = line(10).repeat(1000);
    assert!(read_all_ways(&many[..800], limit).3);
    let endless = b": a comment\n\n".repeat(1000);
    assert!(!read([endless.as_slice()], limit).3);
}

#[test]
fn room_for_a_large_event_is_given_back() {
    let mut stream = EventStream::default();
    let event = [b"data: ".to_vec(), vec![b'x'; 100_000], b"\n\n".to_vec()].concat();
    for mut piece in event.chunks(1000) {
        let _ = stream.receive(&mut piece).unwrap();
    }
    assert_eq!((stream.line.capacity(), stream.data.capacity()), (0, 0));
}

fn text() -> impl Strategy<Value = String> {
    vec(prop::sample::select(vec!["a", ":", " ", "\n", "\r", "\0", "\u{feff}", "\u{e9}", "data: x", "\t"]), 0..8)
        .prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn what_our_servers_send_is_read_as_it_was_meant(
        parts in vec((prop::option::of(text()), vec(text(), 0..3), prop::option::of(text()), prop::option::of(any::<u64>())), 0..5),
        cut in 1_usize..20,
    ) {
        let (mut bytes, mut expected, mut last, mut wait) = (Vec::new(), Vec::new(), String::new(), None);
        for (event, data, id, retry) in parts {
            let mut sent = ServerSentEvents::new().comment("x");
            if let Some(event) = &event {
                sent = sent.event(event);
            }
            for data in &data {
                sent = sent.data(data);
            }
            if let Some(id) = &id {
                sent = sent.id(id);
                last = id.replace(['\r', '\n', '\0'], "");
            }
            if let Some(retry) = retry {
                sent = sent.retry(retry);
                wait = Some(retry);
            }
            bytes.extend_from_slice(sent.to_string().as_bytes());
            if !data.is_empty() {
                let event = event.unwrap_or_default().replace(['\r', '\n'], "");
                let event = if event.is_empty() { MESSAGE.to_owned() } else { event };
                let lines = data.join("\n").replace("\r\n", "\n").replace('\r', "\n");
                // A CR at the end of one and the LF behind it are two breaks.
                let ends = data.iter().any(|data| data.ends_with('\r'));
                expected.push((event, if ends { None } else { Some(lines) }, last.clone()));
            }
        }
        let outcome = read(bytes.chunks(cut), LIMIT);
        prop_assert_eq!(&outcome.1, &last);
        prop_assert_eq!(outcome.2, wait);
        prop_assert_eq!(outcome.0.len(), expected.len());
        for (read, expected) in outcome.0.iter().zip(&expected) {
            prop_assert_eq!((&read.0, &read.2), (&expected.0, &expected.2));
            if let Some(data) = &expected.1 {
                prop_assert_eq!(&read.1, data);
            }
        }
        prop_assert_eq!(read_all_ways(&bytes, LIMIT), outcome);
    }

    #[test]
    fn no_bytes_are_read_differently_in_pieces(
        parts in vec(prop::sample::select(vec![
            &b"data"[..], b":", b" ", b"\n", b"\r", b"\r\n", b"id", b"event", b"retry", b"7", b"\0", b"\xef\xbb\xbf", b"\xff",
        ]), 0..40),
        limit in prop::sample::select(vec![10, 30, LIMIT]),
    ) {
        read_all_ways(&parts.concat(), limit);
    }
}
