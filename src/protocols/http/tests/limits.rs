//! Promise: limits bite where they are said to, and before the bytes arrive.

use super::*;

/// A head whose blank line begins at this offset.
fn head_of(offset: usize) -> String {
    let start = "GET / HTTP/1.1\r\nHost: localhost\r\nX-Pad: ";
    format!("{start}{}\r\n\r\n", "a".repeat(offset - start.len()))
}

#[test]
fn junk_without_an_end_is_refused_at_16_kib() {
    // Rows 2 and 13.
    for length in [16384, 16385, 16665] {
        let junk = vec![b'a'; length];
        assert_eq!(feed([&junk[..]], &LIMITS).refused, Some(431), "{length}");
        assert_eq!(feed(junk.chunks(1), &LIMITS).refused, Some(431), "{length}");
        assert_eq!(feed(junk.chunks(4099), &LIMITS).refused, Some(431), "{length}");
    }
    let short = vec![b'a'; 16383];
    assert_eq!(feed(short.chunks(1), &LIMITS), Outcome { left: 16383, ..Outcome::default() });
}

#[test]
fn a_head_may_be_16_kib_long_however_it_is_cut() {
    // Row 14.
    let (fits, long) = (head_of(16383), head_of(16384));
    assert_eq!(feed([fits.as_bytes()], &LIMITS).messages.len(), 1);
    assert_eq!(feed([long.as_bytes()], &LIMITS).refused, Some(431));
    for cut in 16370..fits.len() {
        let (head, tail) = fits.as_bytes().split_at(cut);
        assert_eq!(feed([head, tail], &LIMITS).messages.len(), 1, "cut at {cut}");
        let (head, tail) = long.as_bytes().split_at(cut);
        assert_eq!(feed([head, tail], &LIMITS).refused, Some(431), "cut at {cut}");
    }
    assert_eq!(feed(fits.as_bytes().chunks(1), &LIMITS).messages.len(), 1);
    assert_eq!(feed(long.as_bytes().chunks(1), &LIMITS).refused, Some(431));
}

#[test]
fn a_head_may_have_100_lines() {
    let head = |lines: usize| format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(lines - 1));
    assert_eq!(accepted(head(100))[0].headers.len(), 100);
    assert_eq!(outcome(head(101)).refused, Some(431));
}

#[test]
fn a_body_over_the_limit_is_refused_before_it_comes() {
    // Row 4.
    let limits = Limits { max_package_size: 10, ..LIMITS };
    let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 27\r\n\r\n";
    assert_eq!(outcome_with(head.as_bytes(), &limits).refused, Some(413));
    // Head and body together.
    let limits = Limits { max_package_size: head.len() + 27, ..LIMITS };
    assert_eq!(outcome_with(format!("{head}{}", "x".repeat(27)).as_bytes(), &limits).messages.len(), 1);
    let limits = Limits { max_package_size: head.len() + 26, ..LIMITS };
    assert_eq!(outcome_with(head.as_bytes(), &limits).refused, Some(413));
}

#[test]
fn a_chunked_request_over_the_limit_is_refused() {
    // Row 22. PHP counts the bytes on the wire; we count the head and what the chunks carry.
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let empty = format!("{head}0\r\n\r\n");
    assert_eq!(outcome_with(empty.as_bytes(), &Limits { max_package_size: head.len(), ..LIMITS }).messages.len(), 1);
    assert_eq!(
        outcome_with(empty.as_bytes(), &Limits { max_package_size: head.len() - 1, ..LIMITS }).refused,
        Some(413)
    );
    let limits = Limits { max_package_size: head.len() + 99, ..LIMITS };
    assert_eq!(outcome_with(format!("{head}c8\r\n").as_bytes(), &limits).refused, Some(413));
    assert_eq!(outcome_with(format!("{head}10000000\r\n").as_bytes(), &limits).refused, Some(413));
}

#[test]
fn the_head_counts_towards_the_limit_of_a_chunked_request() {
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let whole = format!("{head}64\r\n{}\r\n0\r\n\r\n", "x".repeat(100));
    let limits = Limits { max_package_size: head.len() + 100, ..LIMITS };
    assert_eq!(outcome_with(whole.as_bytes(), &limits).messages.len(), 1);
    let limits = Limits { max_package_size: head.len() + 99, ..LIMITS };
    assert_eq!(outcome_with(whole.as_bytes(), &limits).refused, Some(413));
}
