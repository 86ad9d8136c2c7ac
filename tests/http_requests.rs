//! Promise: an app sees of a request exactly what the client sent, in the words of PHP Workerman, and may keep it for
//! as long as it likes.

mod common;

use std::sync::mpsc::channel;

use common::{GET, Log, bodies, exchange, serve};
use proptest::prelude::*;
use workerman::testing::Simulation;
use workerman::{Request, Timer};

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
    }
}

#[test]
fn a_simulation_leaves_nothing_for_the_next_on_its_thread() {
    for _ in 0..3 {
        assert_eq!(request(GET).path(), "/");
    }
    drop(Simulation::new());
}
