//! Promise: what is no request, or may be read as two different ones, is refused, with the status that says why.

use super::*;

#[test]
fn a_bare_line_feed_before_a_request_is_refused() {
    assert_refused(&[(400, "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"), (400, "\n\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")]);
}

#[test]
fn request_lines_that_are_none_are_refused() {
    // Row 17. PHP also refuses `POSTS`, lower-case methods, absolute form and `OPTIONS *`: see the next test.
    assert_refused(&[
        (400, "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n"),
        (400, " GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        (400, " get / HTTP/1.1\r\nHost: a\r\n\r\n"),
        (400, "GET /\x7f HTTP/1.1\r\nHost: a\r\n\r\n"),
        (400, "GET /a\r\nb HTTP/1.1\r\nHost: a\r\n\r\n"),
        (400, "GET  / HTTP/1.1\r\nHost: a\r\n\r\n"),
        (400, "GET / HTTP/1.1 \r\nHost: a\r\n\r\n"),
        (400, "GET /\r\nHost: a\r\n\r\n"),
        (400, "GET\r\nHost: a\r\n\r\n"),
        (400, "G(T / HTTP/1.1\r\nHost: a\r\n\r\n"),
        (400, "GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n"),
        // PHP accepts; a URI is ASCII.
        (400, "GET /\u{4e2d}\u{6587} HTTP/1.1\r\nHost: a\r\n\r\n"),
        // PHP: 400. We say why.
        (505, "GET / HTTP/2.0\r\nHost: a\r\n\r\n"),
        (505, "PRI * HTTP/2.0\r\n\r\n"),
        (501, "CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n"),
    ]);
}

#[test]
fn a_line_that_does_not_end_in_a_version_is_malformed_and_not_an_unknown_version() {
    assert_refused(&[
        (400, "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n"),
        (400, "GET /  HTTP/1.1\r\nHost: a\r\n\r\n"),
        (400, "GET / http/1.1\r\nHost: a\r\n\r\n"),
        (400, "get / http/1.1\r\nHost: a\r\n\r\n"),
        (400, "GET / HTTP/1\r\nHost: a\r\n\r\n"),
        (400, "GET / HTTP/1.10\r\nHost: a\r\n\r\n"),
        (400, "GET / FTP/1.1\r\nHost: a\r\n\r\n"),
    ]);
}

#[test]
fn a_target_of_none_of_the_four_forms_is_refused() {
    for target in ["index.html", "a:80", "?a=1", "http:", "://a/b"] {
        assert_eq!(outcome(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n")).refused, Some(400), "{target:?}");
    }
}

#[test]
fn malformed_header_lines_are_refused() {
    // Row 6.
    assert_heads_refused(
        400,
        &[
            "Bad Name: a",
            "X : a",
            "X\t: a",
            " X: a",
            "\tX: a",
            "X\tY: z",
            ":novalue",
            "X@Y: a",
            "Cookie[0]: a",
            "no colon",
            "X-Folded: a\r\n continued",
            "X-Folded: a\r\n\tcontinued",
            "\u{5934}: v",
            // PHP lets these pass.
            "X: a\0b",
            "X: a\rb",
            "X: a\x7f",
            "X: a\nY: b",
        ],
    );
    assert_eq!(accepted("GET / HTTP/1.1\r\nHost: a\r\nX-Custom_Header!#$%&'*+.^`|~: ok\r\n\r\n").len(), 1);
}

#[test]
fn a_bare_line_feed_ends_no_line() {
    // PHP waits for more in such cases, then says 431.
    assert_refused(&[
        (400, "GET / HTTP/1.1\nHost: a\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\nHost: a\n\r\n\r\n"),
        (400, "GET / HTTP/1.0\n\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\nHost: a\n\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"),
    ]);
}

#[test]
fn exactly_one_valid_host_is_required() {
    // Rows 5, 7, 10 and 11.
    assert_refused(&[
        (400, "GET / HTTP/1.1\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\nX: y\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\nHost: a\r\nX: y\r\nhOST: a\r\n\r\n"),
        (400, "GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\nHost: user@localhost:8080\r\nHost: a\r\n\r\n"),
    ]);
    let bad = [
        "",
        "localhost:abc",
        "local host",
        "localhost:80a",
        ":8080",
        "localhost:",
        "localhost:8080, other.example.com",
        "localhost:8080:9090",
        "a/b",
        "[::1",
        "[]",
        "[::1]a",
        // PHP accepts these.
        "user@localhost",
        "a@b,c",
        "localhost:65536",
        "[anything goes]",
        "h\u{f6}st",
    ];
    for host in bad {
        assert_eq!(outcome(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")).refused, Some(400), "{host:?}");
    }
    let good = [
        "localhost",
        "example.com",
        "www.example.com",
        "example.com:8080",
        "192.168.0.1",
        "1.1.1.1:8080",
        "localhost:80",
        "localhost:65535",
        "[::1]",
        "[::1]:8080",
        "under_score",
    ];
    for host in good {
        assert_eq!(headers(&accepted(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"))[0]), [("Host", host)]);
    }
}

#[test]
fn ambiguous_framing_is_refused() {
    // Rows 8 and 18.
    assert_heads_refused(
        400,
        &[
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: chunked\r\nX: y\r\ntransfer-encoding: identity",
            "Content-Length: 5\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: chunked\r\nContent-Length: 5",
            "Content-Length: 0\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: gzip",
            "Transfer-Encoding: identity",
            "Transfer-Encoding: chunked, identity",
            "Transfer-Encoding: chunked, chunked",
            "Transfer-Encoding: chunked,",
            "Transfer-Encoding: xchunked",
            "Transfer-Encoding:",
            "Content-Length: abc",
            "Content-Length: 12abc",
            "Content-Length:",
            "Content-Length: 1,2",
            "Content-Length: 5, 5",
            "Content-Length: +5",
            "Content-Length: -5",
            "Content-Length: 0x5",
            "Content-Length: 5 5",
            "Content-Length: 5\r\nContent-Length: 5",
            "Content-Length: 5\r\nX: y\r\ncontent-LENGTH: 5",
            "Content-Length: 0\r\nContent-Length: 0",
        ],
    );
    assert_heads_refused(413, &["Content-Length: 999999999999999999999999999999999999"]);
    // PHP: 400. A coding we do not know is not a malformed request.
    assert_heads_refused(501, &["Transfer-Encoding: gzip, chunked", "Transfer-Encoding: chunked, br, chunked"]);
    // PHP accepts.
    assert_refused(&[(400, "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")]);
}

#[test]
fn hostile_chunks_are_refused() {
    // Row 21.
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    for body in [
        "zz\r\n",
        "00000000000000005\r\nhello",
        "8000000000000000\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhelloXX0\r\n\r\n",
        "\r\n",
        "-1\r\n",
        "0x5\r\nhello",
        "5\nhello",
        "0\r\nbad trailer\r\n\r\n",
    ] {
        assert_eq!(outcome(format!("{head}{body}")).refused, Some(400), "{body:?}");
    }
}
