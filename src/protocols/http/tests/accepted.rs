//! Promise: what the standard lets be a request reaches the app, as it was meant.

use super::*;

const BROWSER: &str = "GET /index.html?a=1&b=2 HTTP/1.1\r\n\
    Host: localhost:8080\r\n\
    Connection: keep-alive\r\n\
    Cache-Control: max-age=0\r\n\
    sec-ch-ua: \"Chromium\";v=\"130\", \"Not?A_Brand\";v=\"99\"\r\n\
    sec-ch-ua-mobile: ?0\r\n\
    sec-ch-ua-platform: \"Linux\"\r\n\
    DNT: 1\r\n\
    Upgrade-Insecure-Requests: 1\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n\
    Sec-Fetch-Site: none\r\n\
    Sec-Fetch-Mode: navigate\r\n\
    Sec-Fetch-User: ?1\r\n\
    Sec-Fetch-Dest: document\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\n\
    Accept-Language: en-GB,en;q=0.9\r\n\
    Cookie: a=1; b=2\r\n\
    If-None-Match: \"abc\"\r\n\
    X-Last:  padded \t\r\n\r\n";

#[test]
fn a_minimal_request_is_one_message() {
    let [seen] = accepted(MINIMAL).try_into().unwrap();
    assert_eq!((seen.method.as_str(), seen.uri.as_str(), seen.version), ("GET", "/", "1.1"));
    assert_eq!(headers(&seen), [("Host", "a")]);
    assert_eq!((seen.raw_head.as_str(), seen.body.as_slice()), (MINIMAL.trim_end(), &b""[..]));
}

#[test]
fn a_browsers_request_keeps_all_its_headers() {
    let [seen] = accepted(BROWSER).try_into().unwrap();
    assert_eq!(seen.uri, "/index.html?a=1&b=2");
    let sent: Vec<_> = BROWSER.lines().skip(1).filter_map(|line| line.split_once(':')).collect();
    let sent: Vec<_> = sent.iter().map(|(name, value)| (*name, value.trim())).collect();
    assert_eq!(sent.len(), 19);
    assert_eq!(headers(&seen), sent);
}

#[test]
fn a_body_with_a_length_is_that_long() {
    let input = "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 14\r\n\r\n\r\n\r\nGET / HTTP";
    let [seen] = accepted(input).try_into().unwrap();
    assert_eq!(seen.body, b"\r\n\r\nGET / HTTP");
}

#[test]
fn a_chunked_body_is_its_chunks_joined_and_trailers_are_not_headers() {
    let input = "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n\
                 5;ext=val\r\nhello\r\n06\r\n world\r\n0\r\nChecksum: abc\r\nHost: evil\r\n\r\n";
    let [seen] = accepted(input).try_into().unwrap();
    assert_eq!(seen.body, b"hello world");
    assert_eq!(headers(&seen), [("Host", "a"), ("Transfer-Encoding", "Chunked")]);
}

#[test]
fn http_1_0_needs_no_host() {
    for input in [
        "GET / HTTP/1.0\r\n\r\n",
        "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        "GET / HTTP/1.0\r\nConnection: close\r\n\r\n",
        "PATCH /a HTTP/1.0\r\n\r\n",
        "POST /a HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc",
    ] {
        let [seen] = accepted(input).try_into().unwrap();
        assert_eq!(seen.version, "1.0", "{input:?}");
        assert_eq!(seen.body, input.split_once("\r\n\r\n").unwrap().1.as_bytes());
    }
}

#[test]
fn pipelined_requests_come_one_by_one() {
    let post = "POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
    let chunked = "POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nxyz\r\n0\r\n\r\n";
    let seen = accepted(format!("{MINIMAL}{post}{MINIMAL}{chunked}{BROWSER}"));
    let seen: Vec<_> = seen.iter().map(|seen| (seen.uri.as_str(), seen.body.as_slice())).collect();
    let expected: [(&str, &[u8]); 5] =
        [("/", b""), ("/b", b"abc"), ("/", b""), ("/c", b"xyz"), ("/index.html?a=1&b=2", b"")];
    assert_eq!(seen, expected);
}

#[test]
fn an_incomplete_request_behind_a_whole_one_waits() {
    let outcome = outcome(format!("{MINIMAL}GET /second HTTP/1.1\r\nHos"));
    assert_eq!((outcome.messages.len(), outcome.refused), (1, None));
    assert_eq!(outcome.left, "GET /second HTTP/1.1\r\nHos".len());
}

#[test]
fn an_empty_line_before_a_request_is_ignored() {
    // PHP: 400. RFC 9112 §2.2 asks for this.
    for input in [format!("\r\n{MINIMAL}"), format!("{MINIMAL}\r\n{MINIMAL}")] {
        for seen in accepted(&input) {
            assert_eq!((seen.method.as_str(), seen.raw_head.as_str()), ("GET", MINIMAL.trim_end()));
        }
    }
}

#[test]
fn several_empty_lines_before_a_request_have_one_outcome() {
    for lines in 2..4 {
        for seen in outcome(format!("{}{MINIMAL}", "\r\n".repeat(lines))).messages {
            assert_eq!((seen.method.as_str(), seen.raw_head.as_str()), ("GET", MINIMAL.trim_end()));
        }
    }
}

#[test]
fn what_php_refuses_but_the_standard_allows_reaches_the_app() {
    // Rows 3 and 17, where our rule is another: which methods there are is the app's business.
    let table = [
        ("MIAOWU /a HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi", "MIAOWU", "/a"),
        ("POSTS / HTTP/1.1\r\nHost: a\r\n\r\n", "POSTS", "/"),
        ("get / HTTP/1.1\r\nHost: a\r\n\r\n", "get", "/"),
        ("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", "TRACE", "/"),
        ("GET http://example.com/a?b HTTP/1.1\r\nHost: example.com\r\n\r\n", "GET", "http://example.com/a?b"),
        ("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS", "*"),
    ];
    for (input, method, uri) in table {
        let [seen] = accepted(input).try_into().unwrap();
        assert_eq!((seen.method.as_str(), seen.uri.as_str()), (method, uri));
    }
}

#[test]
fn names_that_only_look_like_framing_frame_nothing() {
    let head = "GET / HTTP/1.1\r\nHost: a\r\nX-Transfer-Encoding: chunked\r\nContent-Length-X: 5\r\n\r\n";
    assert_eq!(accepted(head)[0].headers.len(), 3);
}

#[test]
fn a_client_that_expects_it_is_told_to_continue_once_and_only_if_its_body_is_wanted() {
    let said = |pieces: &[&str], limits: &Limits| {
        let (mut codec, mut queue) = (Http::default(), Outbound::default());
        for piece in pieces {
            codec.receive(piece.as_bytes(), limits, &mut Output::new(&mut queue, DATE, 0));
        }
        String::from_utf8(queue.as_single().unwrap().to_vec()).unwrap()
    };
    let head = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 2\r\n\r\n";
    let more = "HTTP/1.1 100 Continue\r\n\r\n";
    assert_eq!(said(&[head], &LIMITS), more);
    assert_eq!(said(&[head, "h", "i"], &LIMITS), more);
    assert_eq!(said(&[&format!("{head}hi")], &LIMITS), "", "the body is there already");
    assert_eq!(said(&[&head.replace("1.1", "1.0")], &LIMITS), "");
    assert_eq!(said(&[&head.replace("100-Continue", "200-ok")], &LIMITS), "");
    assert_eq!(said(&[&head.replace("Length: 2", "Length: 0")], &LIMITS), "", "nothing to wait for");
    assert!(said(&[head], &Limits { max_package_size: 20, ..LIMITS }).starts_with("HTTP/1.1 413 "));
}
