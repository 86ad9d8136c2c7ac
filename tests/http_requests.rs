//! Promise: an app sees of a request exactly what the client sent, in the words of PHP Workerman, and may keep it for
//! as long as it likes.

mod common;

use std::sync::mpsc::channel;

use common::{GET, Log, bodies, exchange, serve};
use proptest::prelude::*;
use workerman::testing::Simulation;
use workerman::{Cookie, Param, Request, Response, Timer};

/// The one request that these bytes are.
fn request(bytes: impl AsRef<[u8]>) -> Request {
    let log = Log::new();
    let write = log.writer();
    let (simulation, worker) = serve(move |connection, request| {
        write(request);
        connection.send("ok")
    });
    exchange(&simulation, worker, bytes);
    log.take().pop().expect("a request")
}

fn with_lines(lines: impl AsRef<[u8]>) -> Request {
    request([b"GET /path?a=1 HTTP/1.1\r\nHost: example.com:8080\r\n", lines.as_ref(), b"\r\n"].concat())
}

#[test]
fn each_part_of_a_request_has_its_word() {
    let request = request(
        "POST /a/b.html?x=1&y=2 HTTP/1.1\r\nHost: localhost:80\r\nContent-Length: 5\r\nX-Foo: bar\r\n\r\nhello",
    );
    assert_eq!(request.method(), "POST");
    assert_eq!(request.uri(), "/a/b.html?x=1&y=2");
    assert_eq!(request.path(), "/a/b.html");
    assert_eq!(request.query_string(), "x=1&y=2");
    assert_eq!(request.protocol_version(), "1.1");
    assert_eq!(request.host(), Some("localhost:80"));
    assert_eq!(request.header("x-foo"), Some("bar"));
    assert_eq!(request.raw_body(), b"hello");
    assert_eq!(
        String::from_utf8_lossy(request.raw_head()),
        "POST /a/b.html?x=1&y=2 HTTP/1.1\r\nHost: localhost:80\r\nContent-Length: 5\r\nX-Foo: bar"
    );
    let headers: Vec<_> = request.headers().collect();
    let expected = [("Host", "localhost:80"), ("Content-Length", "5"), ("X-Foo", "bar")];
    assert_eq!(headers, expected.map(|(name, value)| (name, value.into())));
}

#[test]
fn a_body_is_as_long_as_its_head_says_if_that_says_so() {
    for (lines, body, length) in [
        ("Content-Length: 5", "hello", Some(5)),
        ("content-length:005 ", "hello", Some(5)),
        ("Content-Length: 0", "", Some(0)),
        ("X-A: 1", "", None),
        ("Transfer-Encoding: chunked", "5\r\nhello\r\n0\r\n\r\n", None),
    ] {
        let request = request(format!("POST / HTTP/1.1\r\nHost: a\r\n{lines}\r\n\r\n{body}"));
        assert_eq!(request.content_length(), length, "{lines}");
    }
}

#[test]
fn a_length_that_no_number_holds_is_not_taken_for_none() {
    let log = Log::new();
    let write = log.writer();
    let (simulation, worker) = serve(|connection, _| connection.send("never"));
    worker.on_head(move |_, request: &Request| write(request.content_length()));
    exchange(&simulation, worker, format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", "9".repeat(30)));
    assert_eq!(log.take(), [Some(u64::MAX)]);
}

#[test]
fn an_http_1_0_request_may_have_no_host() {
    let request = request("GET / HTTP/1.0\r\n\r\n");
    assert_eq!((request.protocol_version(), request.host()), ("1.0", None));
    assert_eq!((request.headers().count(), request.raw_body()), (0, &b""[..]));
}

#[test]
fn a_header_is_found_in_any_case_and_without_the_space_around_it() {
    let request = with_lines("X-FOO: \t a b \t\r\nempty:\r\nx-tab:\tc\r\n");
    for name in ["X-FOO", "x-foo", "X-Foo"] {
        assert_eq!(request.header(name), Some("a b"), "{name}");
    }
    assert_eq!(request.header("Empty"), Some(""));
    assert_eq!(request.header("X-Tab"), Some("c"));
    assert_eq!(request.header("X-Fo"), None);
    assert_eq!(request.header(""), None);
}

#[test]
fn lines_of_one_name_are_joined() {
    let request = with_lines("A: 1\r\nCookie: a=1\r\nB: x\r\na: 2\r\nA: 3\r\ncookie: b=2\r\n");
    assert_eq!(request.header("a"), Some("1,2,3"));
    assert_eq!(request.header("COOKIE"), Some("a=1; b=2"));
    assert_eq!(request.header("b"), Some("x"));
    let names: Vec<_> = request.headers().map(|(name, _)| name).collect();
    assert_eq!(names, ["Host", "A", "Cookie", "B", "a", "A", "cookie"], "`headers` shows the lines as they came");
}

#[test]
fn more_headers_than_fit_inline_are_all_there() {
    let lines: String = (0..90).map(|number| format!("X-{number}: v{number}\r\n")).collect();
    let request = with_lines(format!("{lines}X-0: again\r\n"));
    for number in 1..90 {
        assert_eq!(request.header(&format!("x-{number}")), Some(format!("v{number}").as_str()));
    }
    assert_eq!(request.header("x-0"), Some("v0,again"));
    assert_eq!(request.headers().count(), 92);
}

#[test]
fn a_value_that_is_not_utf_8_can_still_be_read() {
    let request = with_lines(b"A: caf\xe9\r\nB: gr\xc3\xbc\xc3\x9fe\r\nC: \xff\r\nC: ok\r\n");
    assert_eq!(request.header("a"), Some("caf\u{fffd}"));
    assert_eq!(request.header("b"), Some("gr\u{fc}\u{df}e"));
    assert_eq!(request.header("c"), Some("\u{fffd},ok"));
    assert_eq!(request.header("a"), Some("caf\u{fffd}"), "asked twice");
    assert!(request.headers().any(|(name, value)| name == "A" && value == "caf\u{fffd}"));
    assert!(request.raw_head().ends_with(b"C: \xff\r\nC: ok"), "the bytes as they came");
}

#[test]
fn odd_targets_are_split_without_guessing() {
    let table = [
        // target, path, query
        ("/", "/", ""),
        ("/?", "/", ""),
        ("/a?b?c", "/a", "b?c"),
        ("/a?b=/c?d", "/a", "b=/c?d"),
        ("/a%2Fb/../c", "/a%2Fb/../c", ""),
        ("/a+b", "/a+b", ""),
        ("/a#b?c", "/a", ""),
        ("/a?b#c", "/a", "b"),
        // PHP reads a host or a port out of these.
        ("//evil/x", "//evil/x", ""),
        ("//evil/x?q", "//evil/x", "q"),
        ("///x", "///x", ""),
        ("/a:80", "/a:80", ""),
        ("/a:80?q=1", "/a:80", "q=1"),
        ("/go?to=http://b/c", "/go", "to=http://b/c"),
        ("/http://b/c", "/http://b/c", ""),
        // Absolute form, as sent to proxies; PHP refuses it.
        ("http://example.com/a/b?c=1", "/a/b", "c=1"),
        ("http://example.com:8080", "/", ""),
        ("http://example.com?a=/b", "/", "a=/b"),
        ("HTTPS://example.com//a", "//a", ""),
    ];
    for (target, path, query) in table {
        let request = request(format!("GET {target} HTTP/1.1\r\nHost: example.com\r\n\r\n"));
        assert_eq!((request.path(), request.query_string()), (path, query), "{target}");
        assert_eq!(request.uri(), target);
    }
    let request = request("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!((request.method(), request.path(), request.query_string()), ("OPTIONS", "*", ""));
}

#[test]
fn query_parameters_are_decoded() {
    let query = "a=1&b=x+y%20z&c&d=&e=%C3%A9&%66=g&a=last&h=1=2&=empty&&i=%zz%4&j=%ff";
    let request = request(format!("GET /?{query} HTTP/1.1\r\nHost: a\r\n\r\n"));
    let table = [
        ("a", Some("last")),
        ("b", Some("x y z")),
        ("c", Some("")),
        ("d", Some("")),
        ("e", Some("\u{e9}")),
        ("f", Some("g")),
        ("h", Some("1=2")),
        ("i", Some("%zz%4")),
        ("j", Some("\u{fffd}")),
        ("A", None),
        ("k", None),
    ];
    for (name, value) in table {
        assert_eq!(request.get(name), value, "{name}");
    }
    assert_eq!(request.query_string(), query);
    assert_eq!(with_lines("").get("a"), Some("1"));
    assert_eq!(self::request(GET).get("a"), None);
}

#[test]
fn brackets_in_names_make_arrays_as_in_php() {
    let request = request("GET /?a[]=1&a[]=2&b[x][y]=3&c=4&d=5&d[]=6&e.f=7 HTTP/1.1\r\nHost: a\r\n\r\n");
    let texts: Vec<_> = request.get_array("a").into_iter().flatten().collect();
    assert_eq!(texts, [("0", &Param::Text("1".into())), ("1", &Param::Text("2".into()))]);
    assert_eq!(request.get_array("b").and_then(|b| b.get_array("x")?.get("y")), Some("3"));
    assert_eq!((request.get("a"), request.get_array("c"), request.get("c")), (None, None, Some("4")));
    assert_eq!((request.get("d"), request.get("e_f"), request.get("e.f")), (None, Some("7"), None));
    let names: Vec<_> = request.get_all().iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["a", "b", "c", "d", "e_f"]);
    assert!(request.post_all().is_empty(), "there is no body");
}

#[test]
fn the_fields_of_a_form_are_apart_from_the_query() {
    let form = |lines: &str, body: &str| {
        request(format!("POST /?a=q HTTP/1.1\r\nHost: a\r\n{lines}Content-Length: {}\r\n\r\n{body}", body.len()))
    };
    let sent = form("Content-Type: application/x-www-form-urlencoded\r\n", "a=1&b=two+words&c[]=x&c[]=%ff&a=2");
    assert_eq!((sent.get("a"), sent.post("a"), sent.post("b")), (Some("q"), Some("2"), Some("two words")));
    assert_eq!(sent.post_array("c").and_then(|c| c.get("1")), Some("\u{fffd}"));
    assert_eq!((sent.post("c"), sent.post("x"), sent.post_all().len()), (None, None, 3));
    assert_eq!(form("", "a=1").post("a"), Some("1"), "no type");
    assert_eq!(form("Content-Type: text/plain\r\n", "a=1").post("a"), Some("1"), "any type, as in PHP");
    assert!(form("Content-Type: application/json\r\n", "a=1").post_all().is_empty());
    assert!(form("Content-Type: multipart/form-data; boundary=b\r\n", "a=1").post_all().is_empty());
}

#[test]
fn a_request_in_used_parts_has_its_own_parameters() {
    let log = Log::new();
    let write = log.writer();
    let (simulation, worker) = serve(move |connection, request: Request| {
        let text = |value: Option<&str>| value.unwrap_or("none").to_owned();
        write([text(request.get("a")), text(request.post("b")), text(request.cookie("c"))].join(" "));
        connection.send("ok")
    });
    let with = "POST /?a=1 HTTP/1.1\r\nHost: a\r\nCookie: c=3\r\nContent-Length: 3\r\n\r\nb=2";
    exchange(&simulation, worker, [with, GET, with].concat());
    assert_eq!(log.take(), ["1 2 3", "none none none", "1 2 3"]);
}

#[test]
fn a_client_that_wants_an_event_stream_is_recognised() {
    let table = [
        ("Accept: text/event-stream\r\n", true),
        ("accept: Text/Event-Stream\r\n", true),
        ("Accept: text/html, text/event-stream;q=0.5, */*\r\n", true),
        ("Accept: text/event-stream ; charset=utf-8\r\n", true),
        ("Accept: text/html\r\nAccept: text/event-stream\r\n", true),
        ("Accept: text/event-stream;q=0\r\n", false),
        ("Accept: text/event-stream; q=0.000\r\n", false),
        ("Accept: text/event-streams\r\n", false),
        ("Accept: x-text/event-stream\r\n", false),
        ("Accept: text/html\r\n", false),
        ("Accept: */*\r\n", false),
        ("Accept:\r\n", false),
        ("", false),
    ];
    for (lines, accepts) in table {
        assert_eq!(with_lines(lines).accepts_event_stream(), accepts, "{lines:?}");
    }
}

#[test]
fn the_range_that_names_a_type_most_closely_decides() {
    let table = [
        ("", "text/html", true),
        ("Accept:\r\n", "text/html", true),
        ("Accept: */*\r\n", "text/html", true),
        ("Accept: text/*\r\n", "text/html", true),
        ("Accept: Text/HTML\r\n", "text/html; charset=utf-8", true),
        ("Accept: text/html;level=1;q=0.1\r\n", "TEXT/html", true),
        ("Accept: application/json\r\nAccept: text/html\r\n", "text/html", true),
        ("Accept: text/*;q=0, text/html\r\n", "text/html", true),
        ("Accept: */*;q=0, text/*; q=0.5\r\n", "text/html", true),
        ("Accept: text/html;q=x\r\n", "text/html", true),
        ("Accept: text/html, text/html;q=0\r\n", "text/html", true),
        ("Accept: text/html;q=0, */*\r\n", "text/html", false),
        ("Accept: */*, text/*;Q=0.000\r\n", "text/html", false),
        ("Accept: text/plain, image/*\r\n", "text/html", false),
        ("Accept: ,;/\r\n", "text/html", false),
        ("Accept: */html\r\n", "text/html", false),
        ("Accept: */*\r\n", "text", false),
    ];
    for (lines, media_type, accepts) in table {
        assert_eq!(with_lines(lines).accepts(media_type), accepts, "{lines:?} {media_type}");
    }
}

#[test]
fn cookies_are_taken_apart_as_php_does() {
    let request = with_lines("Cookie: a=1;b=2; a = \"x y\" ;flag; =v; c=b=c;;\r\nX: y\r\ncookie: d=+, e=5;A=6\r\n");
    let expected = [("a", "1"), ("b", "2"), ("a", " \"x y\" "), ("", "v"), ("c", "b=c"), ("d", "+, e=5"), ("A", "6")];
    assert_eq!(request.cookies().collect::<Vec<_>>(), expected);
    assert_eq!(
        (request.cookie("a"), request.cookie("A"), request.cookie("")),
        (Some(" \"x y\" "), Some("6"), Some("v"))
    );
    assert_eq!((request.cookie("flag"), request.cookie("e"), with_lines("").cookie("a")), (None, None, None));
    assert_eq!(with_lines(b"Cookie: a=\xff\xc3\xa9\r\n").cookie("a"), Some("\u{fffd}\u{e9}"));
}

#[test]
fn the_value_of_a_cookie_is_decoded_and_its_name_is_not() {
    let request =
        with_lines("Cookie: %61=b%20c; plain=+; d=%3B%3D%25; e=%E4%B8%AD; f=%FF; g=%; h=%4; i=%zz; d=%00\r\n");
    let expected =
        [("%61", "b c"), ("plain", "+"), ("d", ";=%"), ("e", "\u{4e2d}"), ("f", "\u{fffd}"), ("g", "%"), ("h", "%4")];
    assert_eq!(request.cookies().take(7).collect::<Vec<_>>(), expected);
    assert_eq!(request.cookies().skip(7).collect::<Vec<_>>(), [("i", "%zz"), ("d", "\0")]);
    assert_eq!((request.cookie("d"), request.cookie("a")), (Some("\0"), None));
    assert_eq!(request.header("cookie").map(|line| line.starts_with("%61=b%20c; ")), Some(true), "the line is as sent");
}

proptest! {
    #[test]
    fn what_a_response_sets_comes_back_as_a_cookie(name in "[a-zA-Z0-9!#$%&'*+.^_`|~-]{1,8}", value in "\\PC*|[\\x00-\\x7f]*") {
        let response = Response::default().with_cookie(Cookie::new(&name, &value));
        let line = response.header("Set-Cookie").expect("a cookie");
        let request = with_lines(format!("Cookie: x=%31; {line}\r\n"));
        prop_assert_eq!(request.cookie(&name), Some(value.as_str()));
    }
}

#[test]
fn fifty_cookies_or_one_of_4096_bytes_are_taken() {
    let fifty: Vec<_> = (0..50).map(|number| format!("name{number}={}", "v".repeat(200))).collect();
    assert_eq!(with_lines(format!("Cookie: {}\r\n", fifty.join("; "))).cookies().count(), 50);
    let one = "v".repeat(4096 - "a=".len());
    assert_eq!(with_lines(format!("Cookie: a={one}\r\n")).cookie("a"), Some(one.as_str()));
}

#[test]
fn a_host_may_be_asked_for_without_its_port() {
    for (host, without_port) in [("a", "a"), ("a.b:8080", "a.b"), ("[::1]:80", "[::1]"), ("[::1]", "[::1]")] {
        let request = request(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        assert_eq!(request.host_without_port(), Some(without_port), "{host}");
    }
    assert_eq!(request("GET http://b:1/ HTTP/1.1\r\nHost: a:2\r\n\r\n").host_without_port(), Some("b"));
    assert_eq!(request("GET / HTTP/1.0\r\n\r\n").host_without_port(), None);
}

#[test]
fn whether_a_connection_goes_on_is_what_the_client_says() {
    let table = [
        ("1.1", "", true),
        ("1.1", "Connection: keep-alive\r\n", true),
        ("1.1", "Connection: x, Close\r\n", false),
        ("1.1", "Connection: keep-alive\r\nConnection: close\r\n", false),
        ("1.0", "", false),
        ("1.0", "Connection: Keep-Alive\r\n", true),
        ("1.0", "Connection: keep-alive, close\r\n", false),
    ];
    for (version, lines, is_keep_alive) in table {
        let wire = format!("GET / HTTP/{version}\r\nHost: a\r\n{lines}\r\n");
        assert_eq!(request(&wire).is_keep_alive(), is_keep_alive, "{wire:?}");
        // The framework sees it the same way.
        let (simulation, worker) = serve(|connection, _request| connection.send("ok"));
        let (peer, _) = exchange(&simulation, worker, &wire);
        assert_eq!(!peer.is_finished(), is_keep_alive, "{wire:?}");
    }
}

#[test]
fn a_client_that_asks_for_websocket_is_recognised() {
    let both = "Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n";
    let table = [
        ("GET / HTTP/1.1", both, true),
        ("GET / HTTP/1.1", "Connection: upgrade\r\nUpgrade: h2c, websocket\r\n", true),
        ("GET / HTTP/1.1", "Connection: upgrade\r\n", false),
        ("GET / HTTP/1.1", "Upgrade: websocket\r\n", false),
        ("GET / HTTP/1.1", "Connection: upgrade\r\nUpgrade: h2c\r\n", false),
        ("GET / HTTP/1.0", both, false),
        ("POST / HTTP/1.1", both, false),
    ];
    for (line, lines, is_upgrade) in table {
        let request = request(format!("{line}\r\nHost: a\r\n{lines}\r\n"));
        assert_eq!(request.is_websocket_upgrade(), is_upgrade, "{line} {lines:?}");
    }
}

#[test]
fn the_whole_buffer_is_head_and_body() {
    let sent = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi";
    assert_eq!(request(sent).raw_buffer(), sent.as_bytes());
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunked = request(format!("{head}1\r\nh\r\n1\r\ni\r\n0\r\nX: y\r\n\r\n"));
    assert_eq!(
        chunked.raw_buffer(),
        [head, "hi"].concat().as_bytes(),
        "the head as sent, the body without its framing"
    );
}

#[test]
fn a_client_that_reconnects_says_what_it_has_seen() {
    assert_eq!(with_lines("last-event-id: 42\r\n").last_event_id(), Some("42"));
    assert_eq!(with_lines("Last-Event-ID: gr\u{fc}n 7\r\n").last_event_id(), Some("gr\u{fc}n 7"));
    assert_eq!(with_lines("Last-Event-ID:\r\n").last_event_id(), None);
    assert_eq!(with_lines("").last_event_id(), None);
}

#[test]
fn a_body_is_the_bytes_that_were_sent() {
    let body: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len());
    assert_eq!(request([head.as_bytes(), &body].concat()).raw_body(), body);
    let head = "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunks =
        body.chunks(999).flat_map(|chunk| [format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat());
    let chunked: Vec<u8> = head.bytes().chain(chunks).chain(*b"0\r\nX: y\r\n\r\n").collect();
    assert_eq!(request(chunked).raw_body(), body);
    // Any method may have one.
    let with_body = "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi";
    assert_eq!(request(with_body).raw_body(), b"hi");
}

#[test]
fn a_request_can_be_kept_for_later() {
    let (simulation, worker) = serve(|connection, request| {
        Timer::delay(60, move || connection.send(format!("{} {}", request.method(), request.path())));
    });
    let (first, _) = exchange(&simulation, worker, common::get("/first"));
    let (second, _) = exchange(&simulation, worker, common::get("/second"));
    simulation.advance(std::time::Duration::from_secs(61));
    assert_eq!(
        (bodies(&first.read()), bodies(&second.read())),
        (vec!["GET /first".into()], vec!["GET /second".into()])
    );
}

#[test]
fn a_request_can_be_given_to_a_thread() {
    let (to_thread, requests) = channel::<Request>();
    let reader = std::thread::spawn(move || {
        requests.into_iter().map(|request| request.header("x-big").map(str::len)).collect::<Vec<_>>()
    });
    let (simulation, worker) = serve(move |connection, request| {
        to_thread.send(request).expect("a thread");
        connection.send("taken")
    });
    let (_peer, answer) = exchange(&simulation, worker, with_big_header(3000).repeat(3));
    assert_eq!(bodies(&answer).len(), 3);
    drop(simulation);
    assert_eq!(reader.join().expect("no panic"), [Some(3000); 3]);
}

fn with_big_header(length: usize) -> String {
    format!("GET / HTTP/1.1\r\nHost: a\r\nX-Big: {}\r\n\r\n", "b".repeat(length))
}

#[test]
fn debug_output_names_the_request_and_not_its_body() {
    let shown = format!("{:?}", request("POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nsecret"));
    assert!(shown.contains("POST") && shown.contains("/p") && !shown.contains("secret"), "{shown}");
}

#[test]
fn requests_are_equal_when_their_bytes_are() {
    assert_eq!(request(GET), request(GET));
    assert_ne!(request(GET), with_lines(""));
}

#[test]
fn a_request_cut_into_single_bytes_on_the_wire_is_the_same() {
    let log = Log::new();
    let write = log.writer();
    let (simulation, worker) = serve(move |connection, request| {
        write(request);
        connection.send("ok")
    });
    for segment in [1, 3, 1000] {
        let peer = simulation.connect(worker);
        peer.set_segment(segment);
        peer.write("POST /a?b HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
        simulation.run();
        let request = log.take().pop().expect("a request");
        assert_eq!((request.uri(), request.raw_body()), ("/a?b", &b"hello"[..]), "segments of {segment}");
    }
}

proptest! {
    #[test]
    fn no_accessor_panics_on_anything_a_client_can_send(
        target in "[!-~]{0,30}",
        name in "[!#$%&'*+.^_`|~0-9A-Za-z-]{1,10}",
        value in proptest::collection::vec(prop_oneof![Just(b'\t'), b' '..=b'~', 0x80..=0xff_u8], 0..40),
    ) {
        let head = [b"GET /", target.as_bytes(), b" HTTP/1.1\r\nHost: a\r\nX", name.as_bytes(), b": ", &value, b"\r\n\r\n"];
        let request = request(head.concat());
        prop_assert_eq!(request.uri(), format!("/{target}"));
        let trimmed = String::from_utf8_lossy(value.trim_ascii()).into_owned();
        prop_assert_eq!(request.header(&format!("x{name}")), Some(trimmed.as_str()));
        let (path, query) = (request.path().to_owned(), request.query_string().to_owned());
        prop_assert!(path.starts_with('/') && request.uri().starts_with(&path) && request.uri().contains(&query));
        let _ = (request.get(&target), request.accepts_event_stream(), request.last_event_id(), request.host());
        let _ = (request.get_all(), request.post_all(), request.cookies().count(), request.accepts(&target));
        let _ = (request.host_without_port(), request.is_keep_alive(), request.is_websocket_upgrade());
    }
}

#[test]
fn a_simulation_leaves_nothing_for_the_next_on_its_thread() {
    for _ in 0..3 {
        assert_eq!(request(GET).path(), "/");
    }
    drop(Simulation::new());
}
