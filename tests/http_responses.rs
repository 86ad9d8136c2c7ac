//! Promise: an answer has the bytes PHP Workerman gives it, plus `Date`, except where RFC 9110 and 9112 ask for others;
//! and nothing an app puts into an answer can break the framing.
//!
//! The expected bytes are those of `shared/captures/http_responses.jsonl`, by the names in the tables.

mod common;

use std::cell::Cell;

use common::{Answer, DATE, GET, Log, answers, exchange, serve, text};
use workerman::{Cookie, Encode, Http, Response, SendStatus, TcpConnection};

/// All bytes that `request` gets when the app sends `message`.
fn wire<M: 'static>(request: &str, message: M) -> String
where
    Http: Encode<M>,
{
    let message = Cell::new(Some(message));
    let (simulation, worker) = serve(move |connection, _| {
        let message = message.take().expect("one request");
        assert_eq!(connection.send(message), SendStatus::Sent);
    });
    text(exchange(&simulation, worker, request).1)
}

/// The bytes of a PHP capture with the `Date` that we add.
fn dated(php: &str) -> String {
    php.replacen("\r\n\r\n", &format!("\r\n{DATE}\r\n"), 1)
}

fn answer(request: &str, response: Response) -> Answer {
    let bytes = wire(request, response);
    let [answer] = answers(bytes.as_bytes()).try_into().expect("one answer");
    answer
}

/// The answer to HEAD: a head, and not a byte behind it.
fn head_of<M: 'static>(message: M) -> Answer
where
    Http: Encode<M>,
{
    let bytes = wire("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", message);
    let (head, rest) = common::split_head(bytes.as_bytes());
    assert_eq!(rest, b"", "no body in answer to HEAD");
    Answer { head, body: Vec::new() }
}

#[test]
fn text_is_an_answer_with_phps_bytes() {
    let table = [
        ("string_empty", ""),
        ("string_text", "hello world"),
        ("string_zero", "0"),
        ("string_html", "<h1>It works</h1>"),
        ("string_looks_like_http", "HTTP/1.1 404 Not Found\r\n\r\n"),
    ];
    for (name, body) in table {
        let php = format!(
            "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Type: text/html;charset=utf-8\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        assert_eq!(wire(GET, body), dated(&php) + body, "{name}");
    }
}

#[test]
fn text_and_bytes_of_any_kind_are_the_same_answer() {
    let expected = wire(GET, "hello");
    assert_eq!(wire(GET, String::from("hello")), expected);
    assert_eq!(wire(GET, b"hello"), expected);
    assert_eq!(wire(GET, b"hello".as_slice()), expected);
    assert_eq!(wire(GET, b"hello".to_vec()), expected);
}

#[test]
fn any_byte_may_stand_in_a_body() {
    let body: Vec<u8> = (0..=255).collect();
    let sent = body.clone();
    let (simulation, worker) = serve(move |connection, _| connection.send(sent.clone()));
    assert_eq!(answers(&exchange(&simulation, worker, GET).1)[0].body, body);
}

#[test]
fn a_response_without_headers_has_phps_bytes() {
    let php = |status: &str, length: usize| {
        dated(&format!(
            "HTTP/1.1 {status}\r\nContent-Type: text/html;charset=utf-8\r\nContent-Length: {length}\r\nConnection: keep-alive\r\n\r\n"
        ))
    };
    let none = || Response::default();
    let table = [
        ("response_default", none(), php("200 OK", 0)),
        ("response_body_utf8", none().with_body("\u{4e2d}\u{6587}"), php("200 OK", 6) + "\u{4e2d}\u{6587}"),
        ("response_unknown_status", Response::new(299, &[], ""), php("299 ", 0)),
        ("response_phrases_3xx", Response::new(307, &[], ""), php("307 Temporary Redirect", 0)),
        ("response_phrases_5xx", Response::new(503, &[], ""), php("503 Service Unavailable", 0)),
        (
            "response_with_status_reason_utf8",
            none().with_status_reason(200, "d\u{e9}j\u{e0}"),
            php("200 d\u{e9}j\u{e0}", 0),
        ),
        (
            "response_reason_crlf_removed",
            none().with_status_reason(200, "OK\r\nX-Injected: 1"),
            php("200 OKX-Injected: 1", 0),
        ),
        (
            "response_with_status_resets_reason",
            none().with_status_reason(200, "Mine").with_status(201),
            php("201 Created", 0),
        ),
        (
            "response_without_header_all",
            Response::new(200, &[("A", "1")], "b").without_header("A"),
            php("200 OK", 1) + "b",
        ),
        // PHP compares names with case here and keeps the header.
        (
            "response_without_header_case",
            Response::new(200, &[("A", "1")], "b").without_header("a"),
            php("200 OK", 1) + "b",
        ),
        // PHP sends `HTTP/1.1X: y`.
        ("response_version_crlf", none().with_body("b").with_protocol_version("1.1\r\nX: y"), php("200 OK", 1) + "b"),
    ];
    for (name, response, expected) in table {
        assert_eq!(wire(GET, response), expected, "{name}");
    }
}

#[test]
fn a_response_with_headers_has_phps_bytes() {
    // Own lines first, in their order; then what is missing.
    let php = |own: &str| {
        dated(&format!(
            "HTTP/1.1 200 OK\r\n{own}Connection: keep-alive\r\nContent-Type: text/html;charset=utf-8\r\nContent-Length: 1\r\n\r\nb"
        ))
    };
    let new = |headers: &[(&str, &str)]| Response::new(200, headers, "b");
    let table = [
        ("response_header_order", new(&[("Z", "1"), ("A", "2"), ("M", "3")]), php("Z: 1\r\nA: 2\r\nM: 3\r\n")),
        (
            "response_header_list",
            new(&[("X-Foo", "a"), ("X-Foo", "b"), ("X-Foo", "c")]),
            php("X-Foo: a\r\nX-Foo: b\r\nX-Foo: c\r\n"),
        ),
        ("response_header_empty_value", new(&[("X-Foo", "")]), php("X-Foo: \r\n")),
        ("response_header_spaces_value", new(&[("X-Foo", "  a  ")]), php("X-Foo:   a  \r\n")),
        ("response_header_overwrite", new(&[("A", "1")]).with_header("A", "2"), php("A: 2\r\n")),
        (
            "response_with_header",
            Response::default().with_body("b").with_header("A", "1").with_header("B", "2"),
            php("A: 1\r\nB: 2\r\n"),
        ),
        // PHP makes two lines of these.
        ("response_with_headers_existing", new(&[("A", "1")]).with_headers(&[("A", "2")]), php("A: 2\r\n")),
        ("response_header_case_variants", new(&[("X-Foo", "1")]).with_header("x-foo", "2"), php("x-foo: 2\r\n")),
        (
            "response_with_added_header",
            new(&[("Set-Cookie", "a=1")]).with_added_header("set-cookie", "b=2"),
            php("Set-Cookie: a=1\r\nset-cookie: b=2\r\n"),
        ),
    ];
    for (name, response, expected) in table {
        assert_eq!(wire(GET, response), expected, "{name}");
    }
}

/// A case, the app's headers, and the lines that are to come of them.
type Case = (&'static str, &'static [(&'static str, &'static str)], &'static str);

#[test]
fn a_header_of_the_apps_own_replaces_the_usual_one_in_any_case() {
    let table: [Case; 5] = [
        (
            "response_content_type_lower",
            &[("content-type", "application/json")],
            "content-type: application/json\r\nConnection: keep-alive\r\nContent-Length: 2\r\nDATE",
        ),
        (
            "response_with_headers_content_type_twice",
            &[("Content-Type", "text/plain"), ("CONTENT-TYPE", "text/css")],
            "CONTENT-TYPE: text/css\r\nConnection: keep-alive\r\nContent-Length: 2\r\nDATE",
        ),
        (
            "own connection",
            &[("connection", "Keep-Alive")],
            "connection: Keep-Alive\r\nContent-Type: text/html;charset=utf-8\r\nContent-Length: 2\r\nDATE",
        ),
        (
            "own date",
            &[("dATE", "yesterday")],
            "dATE: yesterday\r\nConnection: keep-alive\r\nContent-Type: text/html;charset=utf-8\r\nContent-Length: 2\r\n",
        ),
        (
            "response_own_content_length",
            &[("Content-Length", "2")],
            "Connection: keep-alive\r\nContent-Type: text/html;charset=utf-8\r\nContent-Length: 2\r\nDATE",
        ),
    ];
    for (name, headers, lines) in table {
        let expected = format!("HTTP/1.1 200 OK\r\n{}\r\n{{}}", lines.replace("DATE", DATE));
        assert_eq!(wire(GET, Response::new(200, headers, "{}")), expected, "{name}");
    }
}

#[test]
fn answers_that_have_no_body_name_no_length() {
    // PHP sends a type, a length and even the body.
    for status in [204, 304] {
        for response in [Response::new(status, &[], ""), Response::new(status, &[], "x")] {
            let answer = answer(GET, response);
            assert_eq!((answer.status(), answer.body()), (status, String::new()));
            assert_eq!(answer.header("content-length"), None);
            assert_eq!(answer.header("content-type"), None);
            assert_eq!(answer.header("connection"), Some("keep-alive"));
        }
        let lying = Response::new(status, &[("Content-Length", "5"), ("Transfer-Encoding", "chunked")], "x");
        let answer = answer(GET, lying);
        assert_eq!((answer.header("content-length"), answer.header("transfer-encoding")), (None, None));
    }
    let etag = Response::new(304, &[("ETag", "\"abc\""), ("Content-Type", "text/css")], "");
    let expected = format!(
        "HTTP/1.1 304 Not Modified\r\nETag: \"abc\"\r\nContent-Type: text/css\r\nConnection: keep-alive\r\n{DATE}\r\n"
    );
    assert_eq!(wire(GET, etag), expected);
}

#[test]
fn a_204_names_no_length_even_to_head() {
    assert_eq!(head_of(Response::new(204, &[("Content-Length", "5")], "")).header("content-length"), None);
}

#[test]
fn the_answer_to_head_is_the_head_of_the_answer_to_get() {
    let html = "<h1>It works</h1>";
    let get = wire(GET, html);
    assert_eq!(format!("{}\r\n\r\n{html}", head_of(html).head), get);
    let response = || Response::new(404, &[("X-Foo", "1")], html);
    assert_eq!(format!("{}\r\n\r\n{html}", head_of(response()).head), wire(GET, response()));
}

#[test]
fn an_app_may_name_the_length_of_a_body_it_did_not_make_for_head() {
    let answer = head_of(Response::new(200, &[("Content-Length", "123456")], ""));
    assert_eq!(answer.header("content-length"), Some("123456"));
}

#[test]
fn head_of_an_event_stream_opens_none_and_names_no_length() {
    let answer = head_of(Response::new(200, &[("Content-Type", "text/event-stream")], "\r\n"));
    assert_eq!(answer.header("content-type"), Some("text/event-stream"));
    assert_eq!(answer.header("content-length"), None, "a stream has no length to name");
}

#[test]
fn http_1_0_is_answered_in_its_own_version() {
    let keep = "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
    assert!(wire(keep, "a").starts_with("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n"));
    assert!(wire("GET / HTTP/1.0\r\n\r\n", "a").starts_with("HTTP/1.0 200 OK\r\nConnection: close\r\n"));
    let answer = answer("GET / HTTP/1.0\r\n\r\n", Response::new(201, &[("A", "1")], "b"));
    assert!(answer.head.starts_with("HTTP/1.0 201 Created\r\nA: 1\r\nConnection: close\r\n"), "{}", answer.head);
    assert_eq!((answer.header("content-length"), answer.body()), (Some("1"), "b".into()));
}

#[test]
fn an_app_may_answer_in_http_1_0() {
    // response_version_10_headers
    let response = Response::new(200, &[("A", "1")], "b").with_protocol_version("1.0");
    let expected = "HTTP/1.0 200 OK\r\nA: 1\r\nConnection: keep-alive\r\nContent-Type: text/html;charset=utf-8\r\nContent-Length: 1\r\n\r\nb";
    assert_eq!(wire(GET, response), dated(expected));
}

#[test]
fn an_answer_that_closes_says_so_whatever_the_app_says() {
    let request = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    assert_eq!(answer(request, Response::default()).header("connection"), Some("close"));
    let lying = Response::new(200, &[("X-Foo", "1"), ("Connection", "keep-alive"), ("X-Bar", "2")], "b");
    let answer = answer(request, lying);
    assert_eq!(answer.header("connection"), Some("close"));
    assert_eq!((answer.header("x-foo"), answer.header("x-bar")), (Some("1"), Some("2")));
    // response_connection_close; PHP keeps the socket open.
    let (simulation, worker) =
        serve(|connection, _| connection.send(Response::new(200, &[("Connection", "close")], "b")));
    let (peer, bytes) = exchange(&simulation, worker, GET);
    let expected =
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: text/html;charset=utf-8\r\nContent-Length: 1\r\n\r\nb";
    assert_eq!(text(bytes), dated(expected));
    assert!(peer.is_closed());
}

#[test]
fn no_header_can_inject_another() {
    let table = [
        ("response_header_name_colon", "X:Bad", "1"),
        ("response_header_value_crlf", "X-Bad", "1\r\nInjected: 1"),
        ("response_header_value_lf", "X-Bad", "1\nInjected: 1"),
        ("a value with CR", "X-Bad", "1\rInjected: 1"),
        ("response_header_value_nul", "X-Nul", "a\0b"),
        ("response_header_name_space", "X Bad", "1"),
        ("a name with CRLF", "X-Bad\r\nInjected", "1"),
        ("an empty name", "", "1"),
        ("a name outside ASCII", "X-B\u{e4}d", "1"),
        ("a response split", "X-Bad", "1\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"),
    ];
    let expected = wire(GET, Response::new(200, &[("X-Good", "2")], "b"));
    for (kind, name, value) in table {
        let ways = [
            Response::new(200, &[(name, value), ("X-Good", "2")], "b"),
            Response::new(200, &[("X-Good", "2")], "b").with_header(name, value),
            Response::new(200, &[("X-Good", "2")], "b").with_headers(&[(name, value)]),
            Response::new(200, &[("X-Good", "2")], "b").with_added_header(name, value),
        ];
        for response in ways {
            assert_eq!(wire(GET, response), expected, "{kind}");
        }
    }
    for byte in (0..=31).chain([127]).filter(|byte| *byte != b'\t').map(char::from) {
        let response = Response::new(200, &[("X-Bad", &format!("a{byte}b")), ("X-Good", "2")], "b");
        assert_eq!(wire(GET, response), expected, "{byte:?}");
    }
    let odd = Response::new(200, &[("X-Odd", "a\tb \u{e9}\u{85}")], "b");
    assert!(wire(GET, odd).contains("\r\nX-Odd: a\tb \u{e9}\u{85}\r\n"));
    let reason = Response::default().with_status_reason(200, "a\r\n\r\nb\0\u{7f}\u{85}");
    assert!(wire(GET, reason).starts_with("HTTP/1.1 200 ab\r\n"));
}

#[test]
fn an_app_cannot_break_the_framing_with_headers() {
    let lies: [&[(&str, &str)]; 7] = [
        &[("Content-Length", "0")],
        &[("Content-Length", "100")],
        &[("content-length", "1"), ("CONTENT-LENGTH", "2")],
        &[("Transfer-Encoding", "gzip")],
        &[("transfer-encoding", "gzip, chunked"), ("X-Foo", "1")],
        &[("Transfer-Encoding", "chunked, chunked"), ("Content-Length", "3")],
        &[("Content-Length", "5"), ("Connection", "keep-alive"), ("Content-Type", "text/plain")],
    ];
    for lie in lies {
        let (simulation, worker) = serve(move |connection, _| connection.send(Response::new(200, lie, "body")));
        // The next answer begins where the client looks for it.
        let answers = answers(&exchange(&simulation, worker, GET.repeat(3)).1);
        assert_eq!(answers.len(), 3, "{lie:?}");
        for answer in answers {
            assert_eq!((answer.header("content-length"), answer.body().as_str()), (Some("4"), "body"), "{lie:?}");
        }
    }
}

#[test]
fn the_same_response_can_be_sent_many_times() {
    let page = Response::new(200, &[("A", "1")], "one");
    let (simulation, worker) = serve(move |connection, _| connection.send(&page));
    let (_peer, bytes) = exchange(&simulation, worker, GET.repeat(3));
    let answers = answers(&bytes);
    assert_eq!(answers.len(), 3);
    assert!(answers.iter().all(|answer| *answer == answers[0] && answer.body() == "one"));
}

#[test]
fn a_last_message_is_sent_before_the_close() {
    // response_close_with_response
    let (simulation, worker) =
        serve(|connection, _| connection.close_with(Response::new(200, &[("Connection", "close")], "bye")));
    let (peer, bytes) = exchange(&simulation, worker, GET);
    assert_eq!((answers(&bytes)[0].body().as_str(), peer.is_closed()), ("bye", true));
    // string_close_null
    let (_simulation, worker) = (simulation, worker);
    worker.on_message(|connection: TcpConnection<Http>, _| connection.close());
    let (peer, bytes) = exchange(&_simulation, worker, GET);
    assert_eq!((bytes.as_slice(), peer.is_closed()), (&b""[..], true));
}

#[test]
fn raw_bytes_leave_as_they_are() {
    // string_raw
    let raw = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let (simulation, worker) = serve(move |connection, _| {
        assert_eq!(connection.send_raw(&raw[..10]), SendStatus::Sent);
        assert_eq!(connection.send_raw(&raw[10..]), SendStatus::Sent);
    });
    assert_eq!(text(exchange(&simulation, worker, GET).1), raw);
}

const BIG: usize = 5 * 1024 * 1024;

fn big_body() -> Vec<u8> {
    (0..251).cycle().take(BIG).collect()
}

#[test]
fn a_big_body_leaves_whole_and_unbroken_through_a_small_window() {
    for (window, limit) in [(1000, usize::MAX), (65_536, usize::MAX), (65_536, 1777), (1 << 20, 65_537)] {
        for path in ["/response", "/bytes"] {
            let sent = Log::new();
            let write = sent.writer();
            let (simulation, worker) = serve(move |connection, request| {
                write(match request.path() {
                    "/response" => connection.send(Response::new(200, &[("A", "1")], big_body())),
                    "/bytes" => connection.send(big_body()),
                    _ => connection.send("small"),
                });
            });
            let peer = simulation.connect(worker);
            peer.set_window(window);
            peer.set_write_limit(limit);
            peer.write(common::get(path));
            let mut bytes = Vec::new();
            loop {
                simulation.run();
                let piece = peer.read();
                assert!(piece.len() <= window);
                if piece.is_empty() {
                    break;
                }
                bytes.extend(piece);
            }
            // A small answer behind it shows that not a byte was too much or too few.
            peer.write(GET);
            simulation.run();
            bytes.extend(peer.read());
            let [big, small] = answers(&bytes).try_into().expect("two answers");
            assert!(big.body == big_body(), "{path}, window {window}, writes of {limit}");
            assert_eq!(small.body(), "small");
            assert_eq!(sent.take(), [SendStatus::Queued, SendStatus::Sent]);
        }
    }
}

#[test]
fn a_big_body_is_sent_at_once_when_there_is_room() {
    let (simulation, worker) = serve(|connection, _| {
        assert_eq!(connection.send(big_body()), SendStatus::Sent);
        assert_eq!(connection.send_buffer_queue_size(), 0);
    });
    assert_eq!(answers(&exchange(&simulation, worker, GET).1)[0].body, big_body());
}

#[test]
fn the_date_is_that_of_the_answer() {
    let (simulation, worker) = serve(|connection, _| connection.send("now"));
    let date = |bytes: Vec<u8>| answers(&bytes)[0].header("date").map(str::to_owned);
    assert_eq!(date(exchange(&simulation, worker, GET).1).as_deref(), Some("Sun, 06 Nov 1994 08:49:37 GMT"));
    simulation.advance(std::time::Duration::from_secs(86_400 + 25));
    assert_eq!(date(exchange(&simulation, worker, GET).1).as_deref(), Some("Mon, 07 Nov 1994 08:50:02 GMT"));
}

#[test]
fn each_cookie_has_a_line_of_its_own_and_stands_beside_other_headers() {
    let response = Response::new(201, &[("X-A", "1"), ("Set-Cookie", "x=1")], "made")
        .with_cookie(Cookie::new("id", "7").max_age(60).path("/"))
        .with_cookie(Cookie::new("id", b"\xff").domain("example.com").secure(true));
    let answer = answer(GET, response);
    let cookies = ["x=1", "id=7; Max-Age=60; Path=/", "id=%FF; Domain=example.com; Secure"];
    assert_eq!((answer.all("set-cookie"), answer.header("x-a")), (cookies.to_vec(), Some("1")));
}

#[test]
fn a_cookie_against_the_grammar_is_left_out_and_the_answer_goes_out() {
    let response = Response::new(200, &[], "body")
        .with_cookie(Cookie::new("a\r\nX-Injected: 1", "1"))
        .with_cookie(Cookie::new("a", "1").path("/; HttpOnly"))
        .with_cookie(Cookie::new("a", "1").domain("a.example\r\nX-Injected: 1"))
        .with_cookie(Cookie::new("b", "; Path=/\r\nX-Injected: 1"));
    let answer = answer(GET, response);
    assert_eq!(answer.all("Set-Cookie"), ["b=%3B%20Path%3D%2F%0D%0AX-Injected%3A%201"]);
    assert_eq!((answer.header("X-Injected"), answer.body().as_str()), (None, "body"));
}

#[test]
fn a_redirect_is_302_to_its_location_unless_the_app_says_otherwise() {
    let found = answer(GET, Response::redirect("/login?from=%2F"));
    assert!(found.head.starts_with("HTTP/1.1 302 Found\r\n"), "{}", found.head);
    assert_eq!((found.header("location"), found.body.len()), (Some("/login?from=%2F"), 0));
    let moved = answer(GET, Response::redirect("/b").with_status(301));
    assert_eq!((moved.status(), moved.header("location")), (301, Some("/b")));
    let split = answer(GET, Response::redirect("/\r\nSet-Cookie: a=b"));
    assert_eq!((split.header("location"), split.header("set-cookie")), (None, None));
}
