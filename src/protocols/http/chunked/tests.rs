//! Chunks come out the same however they are cut, and what is hostile is refused at its first byte.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const LIMIT: usize = 1 << 20;

/// What becomes of a body: its bytes and trailers, how many bytes of input it took, and whether it is done.
type Outcome = Result<(Vec<u8>, Vec<u8>, usize, bool), Error>;

/// Decodes pieces one after the other until the body is done.
fn decode<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, limit: usize) -> Outcome {
    let (mut decoder, mut body, mut trailers, mut total) = (Decoder::default(), Vec::new(), Vec::new(), 0);
    for piece in pieces {
        let mut rest = piece;
        while let Some(next) = decoder.next(&mut rest, limit)? {
            match next {
                Piece::Data(data) => {
                    assert!(!data.is_empty());
                    body.extend_from_slice(data);
                }
                Piece::Trailers(fields) => trailers.extend_from_slice(fields),
                Piece::End => return Ok((body, trailers, total + piece.len() - rest.len(), true)),
            }
        }
        assert!(rest.is_empty(), "all is consumed until the body is done");
        total += piece.len();
    }
    Ok((body, trailers, total, false))
}

/// Decodes whole, byte by byte and cut in two at every point, and insists on one outcome.
fn decode_every_way(input: &[u8], limit: usize) -> Outcome {
    let whole = decode([input], limit);
    assert_eq!(decode(input.chunks(1), limit), whole, "byte by byte: {}", input.escape_ascii());
    for cut in 0..=input.len() {
        let (head, tail) = input.split_at(cut);
        assert_eq!(decode([head, tail], limit), whole, "cut at {cut}: {}", input.escape_ascii());
    }
    whole
}

#[test]
fn a_body_is_its_chunks_joined() {
    let table: &[(&str, &str)] = &[
        ("0\r\n\r\n", ""),
        ("5\r\nhello\r\n0\r\n\r\n", "hello"),
        ("5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", "hello world"),
        ("05\r\nhello\r\n00\r\n\r\n", "hello"),
        ("0000000000000005\r\nhello\r\n0000000000000000\r\n\r\n", "hello"),
        ("A\r\n0123456789\r\n0\r\n\r\n", "0123456789"),
        ("a\r\n\r\n0\r\n\r\n\r\n\n\r\n0\r\n\r\n", "\r\n0\r\n\r\n\r\n\n"),
        ("5;ext=val\r\nhello\r\n0;last\r\n\r\n", "hello"),
        ("4;a=1;b=\"\u{e9}, \t2\"\r\nfour\r\n0\r\n\r\n", "four"),
        ("4 \t ; a\r\nfour\r\n0\t;b\r\n\r\n", "four"),
        ("4;\r\nfour\r\n0\r\n\r\n", "four"),
        ("5\r\nhello\r\n0\r\nChecksum: abc\r\n\r\n", "hello"),
        ("5\r\nhello\r\n0\r\nsig:  a \t\u{e9} \r\n!#$%&'*+-.^_`|~09azAZ:\r\n\r\n", "hello"),
    ];
    for (input, body) in table {
        let (decoded, _, consumed, done) = decode_every_way(input.as_bytes(), LIMIT).unwrap();
        assert_eq!((decoded.as_slice(), consumed, done), (body.as_bytes(), input.len(), true), "{input:?}");
    }
}

#[test]
fn trailer_fields_are_handed_on_as_they_are() {
    for fields in ["", "a: b\r\n", "Checksum:abc \r\nx-empty:\r\na: \u{e9}\t\r\n"] {
        let input = format!("5;e\r\nhello\r\n0\r\n{fields}\r\nGET");
        let (_, trailers, consumed, _) = decode_every_way(input.as_bytes(), LIMIT).unwrap();
        assert_eq!((trailers.as_slice(), consumed), (fields.as_bytes(), input.len() - 3));
    }
}

#[test]
fn hostile_framing_is_malformed() {
    let table: &[&[u8]] = &[
        // sizes
        b"\r\n",
        b";a\r\n",
        b"zz\r\n",
        b"-1\r\n",
        b"+5\r\n",
        b"0x5\r\n",
        b" 5\r\n",
        b"\t5\r\n",
        b"5_0\r\n",
        b"5,5\r\n",
        b"5.\r\n",
        b"5\0\r\n",
        b"\xef\xbc\x95\r\n",
        b"8000000000000000\r\n",
        b"ffffffffffffffff\r\n",
        b"00000000000000005\r\n",
        b"10000000000000000\r\n",
        // what stands between a size and its line end
        b"5 \r\nhello",
        b"5\t\r\nhello",
        b"5 5\r\nhello",
        b"5 \nhello",
        b"5\nhello",
        b"5\rhello",
        b"5\r\rhello",
        b"5\r;a\nhello",
        b"5;a\nhello",
        b"5;a\rb\r\nhello",
        b"5;a\r\r\nhello",
        b"5;a\0\r\nhello",
        b"5;a\x0b\r\nhello",
        b"5;a\x1b\r\nhello",
        b"5;a\x7f\r\nhello",
        // what follows the data
        b"5\r\nhelloXX",
        b"5\r\nhello\n0\r\n\r\n",
        b"5\r\nhello\r0\r\n\r\n",
        b"5\r\nhello0\r\n\r\n",
        b"5\r\nhelloX\n0\r\n\r\n",
        b"5\r\nhello\rX0\r\n\r\n",
        b"5\r\nhello\r\n\r\n",
        b"5\r\nhello!\r\n0\r\n\r\n",
        // the end
        b"0\n\r\n",
        b"0\r\n\n",
        b"0\r\n\r\r\n",
        b"0\r\nGET / HTTP/1.1\r\n",
        b"0\r\n: a\r\n\r\n",
        b"0\r\nname\r\n\r\n",
        b"0\r\nname : a\r\n\r\n",
        b"0\r\na b: c\r\n\r\n",
        b"0\r\n\xc3\xa9: c\r\n\r\n",
        b"0\r\n folded: a\r\n\r\n",
        b"0\r\na: b\r\n folded\r\n\r\n",
        b"0\r\na: b\n\r\n",
        b"0\r\na: b\rc\r\n\r\n",
        b"0\r\na: b\0\r\n\r\n",
        b"0\r\na: b\x7f\r\n\r\n",
    ];
    for input in table {
        assert_eq!(decode_every_way(input, usize::MAX), Err(Error::Malformed), "{}", input.escape_ascii());
    }
}

#[test]
fn a_body_that_is_not_done_asks_for_more() {
    let input = b"5;a=b\r\nhello\r\n0 ;c\r\nName: value\r\n\r\n";
    for cut in 0..input.len() {
        let (_, _, consumed, done) = decode([&input[..cut]], LIMIT).unwrap();
        assert_eq!((consumed, done), (cut, false));
    }
}

#[test]
fn a_body_over_the_limit_is_refused_at_the_declared_size() {
    let body = "5\r\nhello\r\n3\r\nyou\r\n0\r\n\r\n";
    assert_eq!(decode_every_way(body.as_bytes(), 8).unwrap().0, b"helloyou");
    assert_eq!(decode_every_way(body.as_bytes(), 7), Err(Error::TooLarge));
    assert_eq!(decode_every_way(b"5\r\nhello\r\n3\r", 7), Err(Error::TooLarge));
    assert_eq!(decode_every_way(b"40000000;", LIMIT), Err(Error::TooLarge));
    assert_eq!(decode_every_way(b"7fffffffffffffff\r", LIMIT), Err(Error::TooLarge));
    assert_eq!(decode_every_way(b"1\r", 0), Err(Error::TooLarge));
    assert!(decode_every_way(b"0\r\n\r\n", 0).is_ok());
    // Sizes that only together leave the range of a number.
    let both = [b"1\r\nx\r\n".repeat(2), b"7fffffffffffffff\r\n".to_vec()].concat();
    assert_eq!(decode_every_way(&both, isize::MAX as usize), Err(Error::TooLarge));
    assert!(!decode_every_way(&both, usize::MAX).unwrap().3);
}

#[test]
fn extensions_are_bounded_for_a_chunk_and_for_the_body() {
    let chunk = |length: usize| format!("1;{}\r\nx\r\n", "e".repeat(length - 1));
    assert_eq!(decode_every_way(chunk(256).as_bytes(), LIMIT).unwrap().0, b"x");
    assert_eq!(decode_every_way(chunk(257).as_bytes(), LIMIT), Err(Error::Malformed));
    assert_eq!(decode_every_way(format!("1{};", " ".repeat(256)).as_bytes(), LIMIT), Err(Error::Malformed));

    let full = chunk(256).repeat(64);
    assert!(decode([format!("{full}0\r\n\r\n").as_bytes()], LIMIT).unwrap().3);
    assert_eq!(decode([format!("{full}0;").as_bytes()], LIMIT), Err(Error::Malformed));
    assert_eq!(decode([chunk(2).repeat(8193).as_bytes()], LIMIT), Err(Error::Malformed));
}

#[test]
fn trailers_are_bounded() {
    let body = |length: usize| format!("0\r\n{}n:{}\r\n\r\n", "a: b\r\n".repeat(4), "v".repeat(length - 4 * 6 - 4));
    assert!(decode([body(8192).as_bytes()], LIMIT).unwrap().3);
    assert!(decode([format!("0;extension\r\n{}", &body(8192)[3..]).as_bytes()], LIMIT).unwrap().3);
    assert_eq!(decode([body(8193).as_bytes()], LIMIT), Err(Error::Malformed));
    assert_eq!(decode([format!("0\r\n{}", "n".repeat(8193)).as_bytes()], LIMIT), Err(Error::Malformed));
    assert_eq!(decode([format!("0\r\n{}", "a:\r\n".repeat(2049)).as_bytes()], LIMIT), Err(Error::Malformed));
}

#[test]
fn a_decoder_is_ready_for_the_next_body_when_one_is_done() {
    let input = [b"3;e\r\none\r\n0\r\na: b\r\n\r\n".repeat(5000), b"GET".to_vec()].concat();
    let (mut decoder, mut rest) = (Decoder::default(), &input[..]);
    for _ in 0..5000 {
        let pieces = [Piece::Data(b"one"), Piece::Trailers(b"a: b\r\n"), Piece::End];
        assert_eq!(pieces.map(|_| decoder.next(&mut rest, 3).unwrap().unwrap()), pieces);
    }
    assert_eq!(rest, b"GET");
}

#[test]
fn an_encoded_head_is_the_size_in_hex() {
    for (length, head) in
        [(0, "0\r\n"), (1, "1\r\n"), (15, "f\r\n"), (16, "10\r\n"), (usize::MAX, "ffffffffffffffff\r\n")]
    {
        let mut out = Vec::new();
        encode_head(length, &mut out);
        assert_eq!(out, head.as_bytes());
        assert!(out.len() + CRLF.len() <= OVERHEAD);
    }
}

/// One of some bytes, among them all that a rule could confuse.
fn text() -> impl Strategy<Value = Vec<u8>> {
    vec(prop_oneof![b'!'..=b'~', Just(b' '), Just(b'\t'), Just(b';'), 0x80..=0xff_u8], 0..20)
}

/// The size line of a chunk.
fn size_line() -> impl Strategy<Value = (bool, usize, Option<(usize, Vec<u8>)>)> {
    (any::<bool>(), 0..=14_usize, proptest::option::of((0..3_usize, text())))
}

fn push_size(out: &mut Vec<u8>, size: usize, (upper, zeros, extension): (bool, usize, Option<(usize, Vec<u8>)>)) {
    let digits = if upper { format!("{size:X}") } else { format!("{size:x}") };
    out.extend(std::iter::repeat_n(b'0', zeros.min(16 - digits.len())));
    out.extend_from_slice(digits.as_bytes());
    if let Some((blanks, extension)) = extension {
        out.extend(std::iter::repeat_n(b' ', blanks));
        out.push(b';');
        out.extend(extension);
    }
    out.extend_from_slice(CRLF);
}

proptest! {
    #[test]
    fn any_body_in_any_chunks_comes_out_the_same_and_the_next_request_stays(
        chunks in vec((vec(any::<u8>(), 1..300), size_line()), 0..8),
        last in size_line(),
        trailers in vec((text(), text()), 0..4),
        next in vec(any::<u8>(), 0..50),
        cuts in vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let (mut body, mut input) = (Vec::new(), Vec::new());
        for (data, line) in chunks {
            push_size(&mut input, data.len(), line);
            input.extend_from_slice(&data);
            input.extend_from_slice(CRLF);
            body.extend(data);
        }
        push_size(&mut input, 0, last);
        let mut fields = Vec::new();
        for (name, value) in trailers {
            fields.push(b'x');
            fields.extend(name.into_iter().filter(|byte| TOKEN.has(*byte)));
            fields.push(b':');
            fields.extend(value);
            fields.extend_from_slice(CRLF);
        }
        input.extend_from_slice(&fields);
        input.extend_from_slice(CRLF);

        let length = input.len();
        input.extend(next);
        let expected = Ok((body.clone(), fields, length, true));
        prop_assert_eq!(&decode([&input[..]], body.len()), &expected);
        prop_assert_eq!(&decode(input.chunks(1), body.len()), &expected);

        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(input.len())).collect();
        cuts.extend([0, input.len()]);
        cuts.sort_unstable();
        let pieces = cuts.windows(2).map(|ends| &input[ends[0]..ends[1]]);
        prop_assert_eq!(&decode(pieces, body.len()), &expected);
    }

    #[test]
    fn any_bytes_have_one_outcome_however_they_are_cut(
        input in vec(prop_oneof![
            4 => prop::sample::select(b"\r\n;: \t015aF".to_vec()),
            1 => any::<u8>(),
        ], 0..60),
        limit in prop_oneof![0..10_usize, Just(usize::MAX)],
    ) {
        let _ = decode_every_way(&input, limit);
    }
}
