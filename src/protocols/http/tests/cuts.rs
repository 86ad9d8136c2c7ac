//! Promise: whatever the bytes are and wherever they are cut, there is one outcome.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

#[test]
fn an_idle_codec_is_parked_in_eight_bytes_and_one_in_a_body_is_not() {
    let step = |codec: &mut Http, input: &[u8]| {
        let mut queue = Outbound::default();
        codec.receive(input, &LIMITS, &mut Output::new(&mut queue, DATE, 0))
    };
    let mut codec = Http::default();
    assert_eq!(Http::default().park().unwrap(), 0, "a new connection starts with nothing");
    assert_eq!(step(&mut codec, b"GET / HT"), Step::More { consumed: 0 });
    let bits: u64 = codec.park().unwrap();
    let mut codec = Http::unpark(bits);
    assert!(matches!(codec.reading, Reading::Head { scanned: 8 }), "what was searched is not searched again");
    assert!(matches!(step(&mut codec, MINIMAL.as_bytes()), Step::Message { .. }));
    let codec = Http::unpark(codec.park().unwrap());
    assert!(!codec.stance().ready && codec.stance().owes && codec.ticket() == 1);

    for framing in ["Content-Length: 5\r\n\r\nhel", "Transfer-Encoding: chunked\r\n\r\n5\r\nhel"] {
        let mut codec = Http::default();
        let input = format!("POST / HTTP/1.1\r\nHost: a\r\n{framing}");
        assert_eq!(step(&mut codec, input.as_bytes()), Step::More { consumed: input.len() });
        let mut codec = codec.park().expect_err("a codec in a body");
        let step = step(&mut codec, b"lo\r\n0\r\n\r\n");
        assert!(matches!(step, Step::Message { message, .. } if message.raw_body() == b"hello"));
        assert!(codec.park().is_ok());
    }
}

/// Cuts `input` at these places.
fn pieces<'a>(input: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut at: Vec<_> = cuts.iter().map(|cut| cut.index(input.len() + 1)).chain([0, input.len()]).collect();
    at.sort_unstable();
    at.windows(2).map(|ends| &input[ends[0]..ends[1]]).collect()
}

proptest! {
    #[test]
    fn bodies_of_any_size_come_out_the_same_however_they_are_framed_and_cut(
        bodies in vec((any::<bool>(), vec(vec(any::<u8>(), 1..2000), 0..4)), 1..4),
        cuts in vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let (mut input, mut expected) = (Vec::new(), Vec::new());
        for (chunked, chunks) in bodies {
            let body = chunks.concat();
            if chunked {
                input.extend_from_slice(b"POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
                for chunk in chunks {
                    input.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                    input.extend(chunk);
                    input.extend_from_slice(b"\r\n");
                }
                input.extend_from_slice(b"0\r\n\r\n");
            } else {
                let head = format!("POST /l HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len());
                input.extend_from_slice(head.as_bytes());
                input.extend_from_slice(&body);
            }
            expected.push(body);
        }
        for outcome in [feed(pieces(&input, &cuts), &LIMITS), feed(input.chunks(1), &LIMITS)] {
            prop_assert_eq!((outcome.refused, outcome.left), (None, 0));
            let seen: Vec<_> = outcome.messages.into_iter().map(|seen| seen.body).collect();
            prop_assert_eq!(&seen, &expected);
        }
    }

    #[test]
    fn any_bytes_have_one_outcome_however_they_are_cut(
        parts in vec(prop::sample::select(vec![
            "GET", "POST", " ", " ", "/", "/a?b", "HTTP/1.1", "HTTP/1.0", "\r\n", "\r\n", "\r\n\r\n", "\r", "\n", ":",
            "Host: a\r\n", "Content-Length: 3\r\n", "Transfer-Encoding: chunked\r\n", "3\r\nabc\r\n", "0\r\n\r\n", "\0",
            "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "POST / HTTP/1.1\r\nHost: a\r\n",
        ]), 0..12),
    ) {
        let input = parts.concat();
        outcome(input);
    }

    /// Whole, mostly the quick way is taken; byte by byte, always the strict one.
    #[test]
    fn a_head_means_the_same_whichever_way_it_is_read(
        method in prop::sample::select(vec!["GET", "POST", "HEAD", "M_x", "!", "CONNECT", "", "OPTIONS"]),
        target in prop::sample::select(vec!["/", "/a?b=c#d", "/#", "/?", "*", "http://h/p?q", "/\u{e9}", "a", "/a b"]),
        version in prop::sample::select(vec!["1.1", "1.1", "1.1", "1.0", "1.2", "2.0", "1.1 ", "1.10"]),
        lines in vec(prop::sample::select(vec![
            "Host: a", "Host: a", "Host:b:80", "host: [::1]:1", "HOST: a@b", "Host: a:99999", "Host: ", "Accept: */*",
            "Connection: close", "connection:keep-alive", "Connection: x, Close ", "Content-Length: 0",
            "Content-Length: 7", "Content-Length: +7", "Transfer-Encoding: chunked", "Expect: 100-continue",
            "X-Trim: \t a b \t", "X-Tab:\ta", "X-High: \u{e9}", "X-None:", "X-Spaces:   ", "Bad Name: 1", "Bad : 1",
            "X:1:2", "x_under: 1", "x.dot: 1", ": none", "no colon", " folded", "\tfolded", "X-Nul: \0", "X-Del: \u{7f}",
            "A-Name-Of-Just-32-Bytes-xxxxxxxxx: 1", "A-Name-Of-Just-31-Bytes-xxxxxxx: 1", "X-Cr: \r1", "X-Lf: \n1",
        ]), 0..6),
        rest in prop::sample::select(vec!["", "x", "\r\n", "GET / HTTP/1.1\r\n"]),
    ) {
        outcome(format!("{method} {target} HTTP/{version}\r\n{}\r\n{rest}", lines.iter().map(|line| format!("{line}\r\n")).collect::<String>()));
    }
}
