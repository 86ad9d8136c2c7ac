//! Promise: what a server sends is one answer by the rules of RFC 9112, or none, however its bytes were cut; and nobody's
//! bytes are taken for the answer to another question.

#![allow(clippy::indexing_slicing)] // a failing index fails the test

use workerman::testing::fuzz::{Answered, Asked, answer};

const WHOLE: Asked = Asked { head_only: false, in_pieces: false, max_body: 1 << 20 };
const PIECES: Asked = Asked { in_pieces: true, ..WHOLE };
const HEAD: Asked = Asked { head_only: true, ..WHOLE };

/// What comes of these bytes: whole, byte by byte, and cut at every point.
fn cut(bytes: &[u8], asked: Asked, closes: bool) -> Answered {
    let whole = answer([bytes], asked, closes);
    let mut cuts = vec![bytes.chunks(1).collect::<Vec<_>>()];
    cuts.extend((1..bytes.len().min(600)).map(|at| vec![&bytes[..at], &bytes[at..]]));
    for pieces in cuts {
        let mut other = answer(pieces, asked, closes);
        assert_eq!(other.failed.is_some(), whole.failed.is_some(), "{}: {other:?}", bytes.escape_ascii());
        if whole.failed.is_none() {
            other.longest = whole.longest;
            assert_eq!(other, whole, "{}", bytes.escape_ascii());
        }
    }
    whole
}

/// The status, the body, and whether the connection can be used again.
fn taken(bytes: impl AsRef<[u8]>, asked: Asked, closes: bool) -> (u16, Vec<u8>, Option<bool>) {
    let answered = cut(bytes.as_ref(), asked, closes);
    assert_eq!(answered.failed, None, "{}", bytes.as_ref().escape_ascii());
    let response = answered.response.expect("an answer");
    let body = if asked.in_pieces { answered.pieces } else { response.body().to_vec() };
    (response.status(), body, answered.complete)
}

fn refused(bytes: impl AsRef<[u8]>) -> String {
    let whole = cut(bytes.as_ref(), WHOLE, false).failed;
    assert!(cut(bytes.as_ref(), PIECES, false).failed.is_some());
    whole.unwrap_or_else(|| panic!("taken: {}", bytes.as_ref().escape_ascii()))
}

#[test]
fn a_body_ends_where_the_head_says() {
    for asked in [WHOLE, PIECES] {
        for (bytes, status, body, reusable) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, "hello", true),
            ("HTTP/1.1 200\r\ncontent-length:5\r\n\r\nhello", 200, "hello", true),
            ("HTTP/1.1 200 \r\nContent-Length: \t5 \r\n\r\nhello", 200, "hello", true),
            ("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", 404, "", true),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\n\r\n",
                200,
                "hello",
                true,
            ),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n0\r\n\r\n", 200, "", true),
            ("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, "ok", false),
            ("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok", 200, "ok", true),
            ("HTTP/1.1 200 OK\r\nConnection: x, Close\r\nContent-Length: 2\r\n\r\nok", 200, "ok", false),
            ("HTTP/1.1 204 No Content\r\n\r\n", 204, "", true),
            ("HTTP/1.1 304 Not Modified\r\nContent-Length: 100\r\n\r\n", 304, "", true),
            ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, "ok", true),
            ("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 204 X\r\n\r\n", 204, "", true),
        ] {
            assert_eq!(taken(bytes, asked, false), (status, body.into(), Some(reusable)), "{bytes:?}");
            for length in 1..bytes.len() {
                let part = answer([&bytes.as_bytes()[..length]], asked, true);
                assert!(part.failed.is_some() && part.complete.is_none(), "{length} bytes of {bytes:?}: {part:?}");
            }
        }
    }
}

#[test]
fn an_answer_to_head_has_no_body() {
    for bytes in
        ["HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"]
    {
        assert_eq!(taken(bytes, HEAD, false), (200, vec![], Some(true)));
        assert_eq!(taken(format!("{bytes}hello"), HEAD, false), (200, vec![], Some(false)), "it has sent one");
    }
}

#[test]
fn a_body_without_a_length_ends_with_an_orderly_end_of_the_connection() {
    let bytes = b"HTTP/1.1 200 OK\r\n\r\nhello";
    assert_eq!(taken(bytes, WHOLE, true), (200, b"hello".to_vec(), Some(false)));
    assert_eq!(taken(bytes, PIECES, true), (200, b"hello".to_vec(), Some(false)));
    assert_eq!(cut(bytes, WHOLE, false).complete, None);
}

#[test]
fn whoever_goes_on_talking_is_not_asked_again() {
    let one = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    for more in [one, "x", "\r\n", "HTTP/1.1 200 OK\r\n", "\0"] {
        for asked in [WHOLE, PIECES] {
            assert_eq!(taken(format!("{one}{more}"), asked, false), (200, b"ok".to_vec(), Some(false)));
        }
    }
}

#[test]
fn what_two_readers_could_read_in_two_ways_is_refused() {
    let chunks = "\r\n2\r\nok\r\n0\r\n\r\n";
    for head in [
        "Content-Length: 2\r\nContent-Length: 2",
        "Content-Length: 2\r\nContent-Length: 3",
        "Content-Length: 2, 2",
        "Content-Length: +2",
        "Content-Length: -1",
        "Content-Length: 0x2",
        "Content-Length: 2 2",
        "Content-Length:",
        "Content-Length: \u{b2}",
        "Content-Length: 99999999999999999999999999",
        "Content-Length: 2\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 0",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: \x0bchunked",
        "Transfer-Encoding:",
        "X: y\r\n folded: z",
        "X: a\0b",
        "X: a\rb",
        "X: a\nY: b",
        "X : a",
        "X",
        ": a",
        "X\x01: a",
        "X: a\r\n\tb: c",
    ] {
        refused(format!("HTTP/1.1 200 OK\r\n{head}\r\n{chunks}"));
    }
    refused(format!("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n{chunks}"));
}

#[test]
fn what_is_no_answer_is_refused() {
    for bytes in [
        "\r\nHTTP/1.1 200 OK\r\n\r\n",
        "HTTP/2.0 200 OK\r\n\r\n",
        "HTTP/1.2 200 OK\r\n\r\n",
        "HTTP/1.1 99 OK\r\n\r\n",
        "HTTP/1.1 600 OK\r\n\r\n",
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/1.1 abc OK\r\n\r\n",
        "HTTP/1.1  200 OK\r\n\r\n",
        "http/1.1 200 OK\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 0\n\r\n",
        "HTTP/1.1 200 OK\n\r\n\r\n",
        "HTTP/1.1 200 a\rb\r\n\r\n",
        "HTTP/1.1 200 a\0b\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX\r\n\r\n",
    ] {
        refused(bytes);
    }
    assert_eq!(cut("HTTP/1.1 100 X\r\n\r\n".repeat(32).as_bytes(), WHOLE, false), Answered::default());
    refused("HTTP/1.1 100 X\r\n\r\n".repeat(33));
}

#[test]
fn a_head_has_a_bound() {
    let head = |length: usize| format!("HTTP/1.1 204 X\r\nA: {}\r\n\r\n", "a".repeat(length));
    assert_eq!(answer([head(30_000).as_bytes()], WHOLE, false).complete, Some(true));
    for bytes in [head(33_000), "a".repeat(33_000), format!("HTTP/1.1 204 X\r\n{}\r\n", "A: b\r\n".repeat(101))] {
        for size in [1, 100, bytes.len()] {
            assert!(answer(bytes.as_bytes().chunks(size), WHOLE, false).failed.is_some(), "in pieces of {size}");
        }
    }
}

#[test]
fn a_body_has_a_bound_that_bites_before_it_arrives() {
    let asked = Asked { max_body: 10, ..WHOLE };
    for asked in [asked, Asked { in_pieces: true, ..asked }] {
        for (bytes, closes) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n", false),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n", false),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n6\r\n", false),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7fffffffffffffff\r\n", false),
            ("HTTP/1.1 200 OK\r\n\r\n12345678901", true),
        ] {
            assert_eq!(cut(bytes.as_bytes(), asked, closes).failed.as_deref(), Some("TooLarge"), "{bytes:?}");
        }
        assert_eq!(taken("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n1234567890", asked, false).1, b"1234567890");
    }
    assert_eq!(taken("HTTP/1.1 200 OK\r\nContent-Length: 999999\r\n\r\n", HEAD, false).2, Some(true));
}

#[test]
fn trailers_and_headers_are_handed_on() {
    let answered = cut(
        b"HTTP/1.1 200 \xe4 OK\r\nX: 1\r\nSet-Cookie: a\r\nset-cookie: \xfc\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nDigest: d \r\nE:\r\n\r\n",
        WHOLE,
        false,
    );
    let response = answered.response.expect("an answer");
    assert_eq!((response.status(), response.reason(), response.protocol_version()), (200, "", "1.1"));
    assert_eq!(
        (response.header("x"), response.header("SET-COOKIE"), response.header("Y")),
        (Some("1"), Some("a"), None)
    );
    assert_eq!(response.headers().nth(2), Some(("set-cookie", "ü")));
    let trailers: Vec<(String, String)> =
        response.trailers().map(|(name, value)| (name.into(), value.into())).collect();
    assert_eq!(trailers, [("Digest".to_owned(), "d".to_owned()), ("E".to_owned(), String::new())]);
}

#[cfg(feature = "compression")]
mod compressed {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

    use super::{Asked, HEAD, PIECES, WHOLE, answer, refused, taken};

    fn encode<W>(plain: &[u8], mut encoder: W, finish: impl FnOnce(W) -> std::io::Result<Vec<u8>>) -> Vec<u8>
    where
        W: Write,
    {
        encoder.write_all(plain).expect("memory takes all");
        finish(encoder).expect("memory takes all")
    }

    fn gzip(plain: &[u8]) -> Vec<u8> {
        encode(plain, GzEncoder::new(Vec::new(), Compression::default()), GzEncoder::finish)
    }

    fn zlib(plain: &[u8]) -> Vec<u8> {
        encode(plain, ZlibEncoder::new(Vec::new(), Compression::default()), ZlibEncoder::finish)
    }

    fn deflate(plain: &[u8]) -> Vec<u8> {
        encode(plain, DeflateEncoder::new(Vec::new(), Compression::default()), DeflateEncoder::finish)
    }

    /// An answer of these bytes in an encoding, with a length or in chunks of three.
    fn encoded(coding: &str, body: &[u8], chunked: bool) -> Vec<u8> {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Encoding: {coding}\r\n");
        if !chunked {
            return [format!("{head}Content-Length: {}\r\n\r\n", body.len()).as_bytes(), body].concat();
        }
        let mut wire = format!("{head}Transfer-Encoding: chunked\r\n\r\n").into_bytes();
        for chunk in body.chunks(3) {
            wire.extend([format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat());
        }
        wire.extend(b"0\r\n\r\n");
        wire
    }

    #[test]
    fn a_compressed_body_arrives_as_it_was() {
        let text: Vec<u8> = (0..300_u32).flat_map(|number| number.to_string().into_bytes()).collect();
        let two = [gzip(&text[..100]), gzip(&text[100..])].concat();
        for (coding, body) in [
            ("gzip", gzip(&text)),
            ("X-GZip", gzip(&text)),
            ("gzip", two),
            ("gzip", [gzip(&text), vec![0; 10]].concat()),
            // What looks like another member behind that is none, wherever it is cut.
            ("gzip", [gzip(&text), vec![0], gzip(&text)[..20].to_vec()].concat()),
            ("deflate", zlib(&text)),
            ("deflate", deflate(&text)),
        ] {
            for asked in [WHOLE, PIECES] {
                for chunked in [false, true] {
                    assert_eq!(taken(encoded(coding, &body, chunked), asked, false), (200, text.clone(), Some(true)));
                }
            }
        }
        assert_eq!(taken(encoded("gzip", b"", false), WHOLE, false).1, b"");
        assert_eq!(taken("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 9\r\n\r\n", HEAD, false).1, b"");
    }

    #[test]
    fn what_is_not_known_is_left_as_it_is() {
        for coding in ["br", "gzip, gzip", "identity", "", "gzip\r\nContent-Encoding: gzip"] {
            assert_eq!(taken(encoded(coding, b"\x1f\x8b", false), WHOLE, false).1, b"\x1f\x8b", "{coding}");
        }
    }

    #[test]
    fn a_body_that_is_not_what_it_says_is_refused() {
        let whole = gzip(&[7; 1000]);
        let mut wrong = whole.clone();
        let last = wrong.len() - 6;
        wrong[last] ^= 1;
        for body in [&whole[..whole.len() - 1], &whole[..1], b"not gzip", &wrong] {
            refused(encoded("gzip", body, false));
            refused(encoded("gzip", body, true));
        }
        refused(encoded("deflate", b"\x78\x9c\xff\xff\xff", false));
    }

    #[test]
    fn a_bomb_is_refused_when_it_begins_to_go_off() {
        let bomb = gzip(&vec![0; 8 << 20]);
        assert!(bomb.len() < 9000);
        for asked in [WHOLE, PIECES, Asked { max_body: bomb.len(), ..WHOLE }] {
            let answered = answer([&encoded("gzip", &bomb, false)[..]], asked, false);
            assert_eq!(answered.failed.as_deref(), Some("TooLarge"));
            assert!(answered.longest <= 700 << 10, "{}", answered.longest);
        }
        let streamed = answer([&encoded("gzip", &bomb, false)[..]], Asked { max_body: usize::MAX, ..PIECES }, false);
        assert_eq!((streamed.failed, streamed.pieces.len()), (None, 8 << 20));
        assert!(streamed.longest <= 700 << 10, "{}", streamed.longest);
    }
}

#[test]
fn pieces_are_bounded() {
    let body = vec![b'x'; 1 << 20];
    let wire = [b"HTTP/1.1 200 OK\r\nContent-Length: 1048576\r\n\r\n", &body[..]].concat();
    let answered = answer([&wire[..]], PIECES, false);
    assert!(answered.longest <= 128 << 10 && answered.pieces == body && answered.complete == Some(true));
}
