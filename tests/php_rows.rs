//! The promise: what PHP Workerman's own tests show of HTTP and of connections is tested here, row by row, and what they
//! show of other protocols where those are. Where we do otherwise, the row says which RFC asks for it; what needs members
//! that do not exist, says which. Sessions, rows 37 to 41, are in `sessions.rs`.
//!
//! [`SECTIONS`] is the list: 18 rows of heads, 10 of chunked bodies, 4 of answers and pipelining, 4 of connections, 3 of
//! responses and events, 2 of lines and frames, 5 of WebSocket and 3 of its clients, 3 of whole programs. A row is checked
//! by inputs of the table (`php_rows/cases.rs`), by tests of this file or another, or later.

mod common;

#[path = "php_rows/cases.rs"]
mod cases;

use std::net::UdpSocket;
use std::time::Duration;

use cases::{Case, Outcome, cases};
use common::{DATE, GET, Log, answers, exchange, serve, text};
use workerman::testing::Simulation;
use workerman::{
    Cookie, Http, Request, Response, SendStatus, ServerSentEvents, Status, TcpConnection, Text, UdpWorker, Worker,
};

/// A row of PHP's tests.
struct Row {
    what: &'static str,
    /// How many inputs of the table belong to it.
    cases: usize,
    /// Tests of this file, or of another: `file::test`.
    tests: &'static [&'static str],
    /// What those tests find otherwise than PHP, and why. Inputs of the table name theirs themselves.
    differs: &'static str,
    /// What cannot be tested yet, for lack of which member.
    later: &'static str,
}

const fn inputs(what: &'static str, cases: usize) -> Row {
    Row { what, cases, tests: &[], differs: "", later: "" }
}

const fn tested(what: &'static str, tests: &'static [&'static str]) -> Row {
    Row { what, cases: 0, tests, differs: "", later: "" }
}

const fn later(what: &'static str, later: &'static str) -> Row {
    Row { what, cases: 0, tests: &[], differs: "", later }
}

const DECODED: &[&str] = &["a_request_is_what_was_sent"];
const HEAD_AS_SENT: &str =
    "RFC 9112 §7.1.3 puts a length in place of the coding only as an example: the head stays as it was sent";

const JSON_IS_NO_FORM: &str = "RFC 9112 §7.1.3: the head stays as it was sent; RFC 8259: JSON is no form, so it is read by `json` and not by `post`";

const TRIMMED: &str = "RFC 9110 §5.5: white space around a field's value is none of it; PHP leaves what is behind it";

/// The sections of PHP's tests, how many rows each has, and the rows.
const SECTIONS: [(&str, usize, &[Row]); 9] = [
    ("heads", 18, HEADS),
    ("chunked", 10, CHUNKED),
    ("answers", 4, ANSWERS),
    ("connections", 4, CONNECTIONS),
    ("responses", 3, RESPONSES),
    ("lines and frames", 2, LINES),
    ("websocket", 5, WEBSOCKET),
    ("websocket clients", 3, CLIENTS),
    ("programs", 3, PROGRAMS),
];

const HEADS: &[Row] = &[
    later("requestClass gives the class of requests, and restores it", "requestClass: requests are of one type"),
    inputs("bytes without an end", 1),
    inputs("a method that is none of the seven", 1),
    inputs("a length over maxPackageSize", 1),
    inputs("HTTP/1.1 without headers", 1),
    inputs("malformed header lines", 12),
    inputs("two Hosts", 2),
    inputs("two transfer codings", 2),
    inputs("a name with an underscore", 1),
    inputs("bad Hosts", 8),
    inputs("good Hosts", 11),
    Row { tests: DECODED, ..inputs("HTTP/1.0", 5) },
    inputs("16 KiB of bytes without an end", 2),
    inputs("a head of 16 KiB", 2),
    inputs("a path of 500 bytes", 1),
    inputs("requests of all kinds", 6),
    inputs("request lines that are none", 16),
    inputs("lengths and codings", 10),
];

const CHUNKED: &[Row] = &[
    inputs("chunked bodies", 12),
    inputs("chunked bodies that are not complete", 4),
    inputs("malformed chunks", 5),
    inputs("chunked bodies over maxPackageSize", 4),
    Row { differs: HEAD_AS_SENT, ..tested("two chunks, decoded", DECODED) },
    tested("trailers, decoded", DECODED),
    Row { differs: JSON_IS_NO_FORM, ..tested("chunked JSON, decoded", DECODED) },
    Row { differs: TRIMMED, ..tested("chunked bodies at the edge, decoded", DECODED) },
    tested("found, then decoded", DECODED),
    tested("names of trailers in any case, with a default", &["a_trailer_is_found_in_any_case_or_not_at_all"]),
];

const ANSWERS: &[Row] = &[
    Row {
        differs: "RFC 9110 §6.6.1: a `Date` in every answer",
        ..tested("text, with headers", &["an_answer_has_phps_bytes"])
    },
    Row {
        differs: "RFC 9110 §6.6.1: a `Date` in every answer",
        ..tested("a Response, with headers", &["an_answer_has_phps_bytes"])
    },
    tested("the same bytes, decoded twice", &["the_same_bytes_are_equal_requests"]),
    Row { tests: &["requests_of_one_write_come_in_order"], ..inputs("pipelining", 5) },
];

const CONNECTIONS: &[Row] = &[
    tested("two requests in one write", &["requests_of_one_write_come_in_order"]),
    tested("end() with nothing queued", &["an_ended_connection_closes_when_its_linger_time_is_over"]),
    tested("end() with a message behind", &["nothing_behind_an_end_is_delivered"]),
    Row {
        later: "UdpConnection::jsonSerialize",
        ..tested("a connected UDP socket", &["a_udp_connection_says_who_and_where_and_sends"])
    },
];

const RESPONSES: &[Row] = &[
    Row {
        differs: "RFC 9110 §5.1: names have no case, so `with_headers` replaces; §6.6.1: a `Date` in every answer",
        ..tested("a Response and what is asked of it", &["a_response_is_what_was_made_of_it"])
    },
    Row {
        differs: "RFC 9110 §6.6.1, §8.8.3: a `Date` and an `ETag` beside PHP's lines",
        ..tested("a picture from its beginning", &["a_file_names_its_type_and_its_age"])
    },
    tested("an event with all its fields", &["an_event_has_its_fields_in_phps_order"]),
];

/// Rows 45 and 46 of PHP's.
const LINES: &[Row] = &[
    tested(
        "Text",
        &[
            "text_and_frame::a_line_longer_than_the_limit_closes",
            "text_and_frame::a_line_waits_for_its_end_and_comes_without_it",
        ],
    ),
    tested("Frame", &["text_and_frame::a_frame_waits_for_its_length_and_for_its_end"]),
];

/// Rows 47 to 51.
const WEBSOCKET: &[Row] = &[
    tested(
        "decoded: masked, compressed, with a length of 16 bits",
        &[
            "websocket_frames::messages_of_any_length_are_echoed_as_what_they_were",
            "websocket_deflate::messages_of_all_kinds_are_echoed_under_every_agreement",
            "websocket_peers::messages_come_back_as_they_were",
        ],
    ),
    Row {
        differs: "RFC 7692 §5: compressed for clients that have agreed to it, whatever the type is",
        ..tested(
            "encoded: each form of a length, and compressed",
            &[
                "websocket_frames::messages_of_any_length_are_echoed_as_what_they_were",
                "websocket_deflate::messages_of_all_kinds_are_echoed_under_every_agreement",
            ],
        )
    },
    tested("inflated over maxPackageSize", &["websocket_deflate::a_decompression_bomb_is_1009"]),
    Row {
        differs: "RFC 6455 §7.1.7: who breaks the protocol is told why",
        ..tested(
            "found, too long, or without a mask",
            &[
                "websocket_frames::messages_may_be_cut_anywhere",
                "websocket_frames::a_size_that_is_declared_counts_before_its_bytes_arrive",
                "websocket_frames::a_protocol_error_is_1002",
            ],
        )
    },
    Row {
        later: "arrays are no messages: `serde_json::to_string` makes text of them",
        ..tested(
            "sent before the handshake",
            &["websocket_handshake::what_is_sent_early_waits_for_the_handshake_and_keeps_its_order"],
        )
    },
];

/// Rows 52 to 54.
const CLIENTS: &[Row] = &[
    later("what a server sends, decoded", "connections of our own making"),
    later("what a client sends, encoded", "connections of our own making"),
    later("the answer to a handshake", "connections of our own making"),
];

/// Rows 55 to 57.
const PROGRAMS: &[Row] = &[
    tested(
        "a server of HTTP",
        &[
            "php_programs::the_http_server_answers_as_phps",
            "php_programs::its_events_come_and_end",
            "php_programs::its_session_is_read_once",
        ],
    ),
    tested("a server of UDP", &["udp::the_example_answers"]),
    Row {
        differs: "RFC 6455 §7.1.2: closing begins with a Close frame; who is not let in is told 403",
        ..tested(
            "a server of WebSocket and its client",
            &["php_programs::the_websocket_server_talks_and_either_side_may_leave"],
        )
    },
];

/// What came of an input: what was delivered, and what the framework said to the rest.
fn observe(case: &Case, segment: usize) -> Outcome {
    let delivered = Log::new();
    let write = delivered.writer();
    let (simulation, worker) = serve(move |connection: TcpConnection<Http>, request: Request| {
        write(request);
        connection.send("ok")
    });
    let limit = case.limit;
    worker.on_connect(move |connection| connection.set_max_package_size(limit));
    let peer = simulation.connect(worker);
    for piece in case.input.as_bytes().chunks(segment) {
        peer.write(piece);
        simulation.run();
    }
    let wire = peer.read();
    let refusals: Vec<_> = answers(&wire).into_iter().filter(|answer| answer.status() != 200).collect();
    let count = delivered.take().len();
    assert_eq!(answers(&wire).len(), count + refusals.len(), "{case:?}");
    match refusals.as_slice() {
        [] if count == 0 => {
            assert!(wire.is_empty() && !peer.is_finished(), "it waits: {case:?}");
            Outcome::Waits
        }
        [] => Outcome::Delivered(count),
        [refusal] => {
            assert_eq!(refusal.header("connection"), Some("close"), "{case:?}");
            assert!(count == 0 && peer.is_finished(), "{case:?}");
            Outcome::Refused(refusal.status())
        }
        more => panic!("{} refusals: {case:?}", more.len()),
    }
}

#[test]
fn every_input_of_the_table_has_its_outcome_however_it_comes() {
    let mut wrong = Vec::new();
    for case in cases() {
        for segment in [usize::MAX, 1] {
            let found = observe(&case, segment);
            if found != case.ours {
                wrong.push(format!("{found:?} in segments of {segment}: {case:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_row_is_there_and_every_difference_has_its_reason() {
    for (section, count, rows) in SECTIONS {
        assert_eq!(rows.len(), count, "rows of {section}");
    }
    let rows: Vec<_> = SECTIONS.iter().flat_map(|(_, _, rows)| *rows).collect();
    let cases = cases();
    let text_of = |file: &str| {
        let path = format!("{}/tests/{file}.rs", env!("CARGO_MANIFEST_DIR"));
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
    };
    for (number, row) in (1..).zip(&rows) {
        let found = cases.iter().filter(|case| case.row == number).count();
        assert_eq!(found, row.cases, "inputs of row {number}, {}", row.what);
        for test in row.tests {
            let (file, name) = test.split_once("::").unwrap_or(("php_rows", test));
            assert!(text_of(file).contains(&format!("fn {name}(")), "row {number}: there is no test {test}");
        }
        assert!(row.differs.is_empty() || row.differs.starts_with("RFC "), "row {number}: {}", row.differs);
        assert!(row.cases > 0 || !row.tests.is_empty() || !row.later.is_empty(), "row {number} is checked by nothing");
    }
    for case in &cases {
        let row = usize::from(case.row);
        assert!((1..=rows.len()).contains(&row), "{case:?}");
        assert_eq!(case.php != case.ours, case.why.starts_with("RFC "), "the RFC that asks for it: {case:?}");
    }
}

#[test]
fn a_request_is_what_was_sent() {
    let chunked = |body: &str| format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
    let json = "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n\
                f\r\n{\"key\":\"value\"}\r\n0\r\n\r\n";
    let table = [
        // Row 12.
        ("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n".to_owned(), "1.0", Some("keep-alive"), "", &[][..]),
        ("GET / HTTP/1.0\r\nConnection: close\r\n\r\n".to_owned(), "1.0", Some("close"), "", &[]),
        // Rows 23, 24 and 25.
        (chunked("5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"), "1.1", None, "hello world", &[]),
        (
            chunked("5\r\nhello\r\n0\r\nChecksum: abc123\r\nExpires: Wed\r\n\r\n"),
            "1.1",
            None,
            "hello",
            &[("Checksum", "abc123"), ("Expires", "Wed")],
        ),
        (json.to_owned(), "1.1", None, "{\"key\":\"value\"}", &[]),
        // Row 26.
        (chunked("0\r\n\r\n"), "1.1", None, "", &[]),
        (chunked("03\r\nabc\r\n0\r\n\r\n"), "1.1", None, "abc", &[]),
        (
            chunked("3\r\nabc\r\n0\r\nX-Sig:   sig   \r\nV:v \r\n\r\n"),
            "1.1",
            None,
            "abc",
            &[("X-Sig", "sig"), ("V", "v")],
        ),
        (chunked("2\r\nab\r\n2\r\ncd\r\n0\r\nEtag: \"x\"\r\n\r\n"), "1.1", None, "abcd", &[("Etag", "\"x\"")]),
        // Row 27.
        (chunked("4\r\nfour\r\n0\r\nX-T: one\r\n\r\n"), "1.1", None, "four", &[("X-T", "one")]),
    ];
    for (wire, version, connection, body, trailers) in table {
        let delivered = Log::new();
        let write = delivered.writer();
        let (simulation, worker) = serve(move |connection: TcpConnection<Http>, request: Request| {
            write(request);
            connection.send("ok")
        });
        exchange(&simulation, worker, &wire);
        let [request] = <[Request; 1]>::try_from(delivered.take()).expect("one request");
        assert_eq!((request.protocol_version(), request.header("connection")), (version, connection), "{wire}");
        assert_eq!(request.raw_body(), body.as_bytes(), "{wire}");
        let coding = wire.contains("chunked").then_some("chunked");
        assert_eq!((request.header("transfer-encoding"), request.header("content-length")), (coding, None), "{wire}");
        let found: Vec<_> = request.trailers().collect();
        assert_eq!(found, trailers.iter().map(|(name, value)| (*name, (*value).into())).collect::<Vec<_>>(), "{wire}");
        for (name, value) in trailers {
            assert_eq!(request.trailer(&name.to_lowercase()).as_deref(), Some(*value), "{wire}");
            assert_eq!(request.header(name), None, "a trailer is no header: {wire}");
        }
    }
}

#[test]
fn a_trailer_is_found_in_any_case_or_not_at_all() {
    let (simulation, worker) = serve(|connection: TcpConnection<Http>, request: Request| {
        let names = ["CHECKSUM", "checksum", "other"];
        connection.send(names.map(|name| request.trailer(name).unwrap_or("none".into()).into_owned()).join(" "))
    });
    let chunked = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nChecksum: 1\r\n\r\n";
    let (_peer, bytes) = exchange(&simulation, worker, chunked.to_owned() + GET);
    assert_eq!(common::bodies(&bytes), ["1 1 none", "none none none"]);
}

#[test]
fn an_answer_has_phps_bytes() {
    let lines = [("foo", "bar"), ("jhdxr", "a"), ("jhdxr", "b")];
    let (simulation, worker) = serve(move |connection: TcpConnection<Http>, request: Request| match request.path() {
        "/text" => connection.send("xiami"),
        "/response" => connection.send(Response::new(200, &lines, "xiami")),
        "/connection/text" => {
            connection.set_headers(&lines);
            connection.send("xiami")
        }
        _ => {
            connection.set_headers(&lines);
            connection.send(Response::default().with_body("xiami"))
        }
    });
    let own = "foo: bar\r\njhdxr: a\r\njhdxr: b\r\n";
    let table = [("/text", ""), ("/response", own), ("/connection/text", own), ("/connection/response", own)];
    for (path, own) in table {
        let (_peer, bytes) = exchange(&simulation, worker, common::get(path));
        let expected = format!(
            "HTTP/1.1 200 OK\r\n{own}Connection: keep-alive\r\nContent-Type: text/html;charset=utf-8\r\n\
             Content-Length: 5\r\n{DATE}\r\nxiami"
        );
        assert_eq!(text(bytes), expected);
    }
}

#[test]
fn the_same_bytes_are_equal_requests() {
    let delivered = Log::new();
    let write = delivered.writer();
    let (simulation, worker) = serve(move |connection: TcpConnection<Http>, request: Request| {
        write(request);
        connection.send("ok")
    });
    exchange(&simulation, worker, GET.repeat(2));
    let [one, two] = <[Request; 2]>::try_from(delivered.take()).expect("two requests");
    assert_eq!(one, two);
}

#[test]
fn requests_of_one_write_come_in_order() {
    let first = "GET /first HTTP/1.1\r\nHost: a\r\n\r\nGET /second HTTP/1.1\r\nHost: a\r\n\r\n";
    let post = "POST /save HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET /after HTTP/1.1\r\nHost: a\r\n\r\n";
    let table = [(first, ["GET /first ", "GET /second "]), (post, ["POST /save abc", "GET /after "])];
    for (wire, expected) in table {
        let delivered = Log::new();
        let write = delivered.writer();
        let (simulation, worker) = serve(move |connection: TcpConnection<Http>, request: Request| {
            write(format!("{} {} {}", request.method(), request.path(), text(request.raw_body())));
            connection.send("ok")
        });
        exchange(&simulation, worker, wire);
        assert_eq!(delivered.take(), expected);
    }
}

#[test]
fn an_ended_connection_closes_when_its_linger_time_is_over() {
    let (simulation, worker) = serve(|_, _| {});
    let peer = simulation.connect(worker);
    let connection = worker.connections().next().expect("a connection");
    connection.set_linger_timeout(0.01);
    connection.end();
    simulation.run();
    assert_eq!((connection.status(), peer.is_closed()), (Status::Ending, false));
    simulation.advance(Duration::from_millis(9));
    assert_eq!((connection.status(), peer.is_closed()), (Status::Ending, false));
    simulation.advance(Duration::from_millis(2));
    assert_eq!((connection.status(), peer.is_closed()), (Status::Closed, true));
}

#[test]
fn nothing_behind_an_end_is_delivered() {
    let delivered = Log::new();
    let write = delivered.writer();
    let simulation = Simulation::new();
    let worker = Worker::<Text>::new("");
    worker.on_message(move |connection, line| {
        write(line);
        connection.end();
    });
    let peer = simulation.connect(worker);
    peer.write("a\nb\n");
    simulation.run();
    assert_eq!(delivered.take(), ["a"]);
}

#[test]
fn a_udp_connection_says_who_and_where_and_sends() {
    let worker = UdpWorker::<Text>::new("udp://127.0.0.1:0");
    worker.listen().expect("a port is free");
    let local = worker.local_addr().expect("it listens");
    let peer = UdpSocket::bind("127.0.0.1:0").expect("a port is free");
    let connection = worker.connection(peer.local_addr().expect("an address"));
    assert_eq!(connection.send("foo"), SendStatus::Sent);
    let port = peer.local_addr().map_or(0, |address| address.port());
    assert_eq!((connection.remote_ip().as_str(), connection.remote_port()), ("127.0.0.1", port));
    assert_eq!(connection.remote_address(), format!("127.0.0.1:{port}"));
    assert_eq!((connection.local_ip().as_str(), connection.local_port()), ("127.0.0.1", local.port()));
    assert_eq!(connection.local_address(), local.to_string());
    assert!(connection.is_ipv4() && !connection.is_ipv6());
    connection.close_with("bye");
    peer.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout can be set");
    for expected in ["foo\n", "bye\n"] {
        let mut buffer = [0; 10];
        let length = peer.recv(&mut buffer).expect("a datagram");
        assert_eq!(text(&buffer[..length]), expected);
    }
}

#[test]
fn a_response_is_what_was_made_of_it() {
    let response = Response::new(201, &[("X-foo", "bar")], "hello world");
    assert_eq!((response.status(), response.reason_phrase()), (201, "Created"));
    assert_eq!((response.header("X-foo"), response.raw_body()), (Some("bar"), &b"hello world"[..]));
    let response = response.with_header("X-foo", "one").with_header("X-foo", "two").with_headers(&[("X-bar", "three")]);
    assert_eq!(response.headers().collect::<Vec<_>>(), [("X-foo", "two"), ("X-bar", "three")]);
    let response = response.without_header("X-bar").with_status_reason(202, "some reason");
    assert_eq!((response.header("X-bar"), response.status(), response.reason_phrase()), (None, 202, "some reason"));
    let response = response
        .with_protocol_version("1.0")
        .with_body("hello worker")
        .with_cookie(Cookie::new("foo", "bar").domain("xia.moe").http_only(true));

    let (simulation, worker) = serve(move |connection: TcpConnection<Http>, _| connection.send(&response));
    let expected = format!(
        "HTTP/1.0 202 some reason\r\nX-foo: two\r\nSet-Cookie: foo=bar; Domain=xia.moe; HttpOnly\r\n\
         Connection: keep-alive\r\nContent-Type: text/html;charset=utf-8\r\nContent-Length: 12\r\n{DATE}\r\nhello worker"
    );
    assert_eq!(text(exchange(&simulation, worker, GET).1), expected);
}

#[test]
fn a_file_names_its_type_and_its_age() {
    let path = std::env::temp_dir().join(format!("workerman-php-rows-{}.jpg", std::process::id()));
    std::fs::write(&path, b"a picture, it says").expect("a file");
    let modified = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(784_000_000);
    std::fs::File::options().write(true).open(&path).and_then(|file| file.set_modified(modified)).expect("its age");
    let response = Response::default().with_file(&path, 0, 12);
    let (simulation, worker) = serve(move |connection: TcpConnection<Http>, _| connection.send(&response));
    let (_peer, bytes) = exchange(&simulation, worker, GET);
    std::fs::remove_file(&path).expect("it is there");
    let [answer] = <[_; 1]>::try_from(answers(&bytes)).expect("one answer");
    assert_eq!((answer.status(), answer.header("content-type")), (206, Some("image/jpeg")));
    assert_eq!(answer.header("last-modified"), Some("Sat, 05 Nov 1994 01:46:40 GMT"));
    assert_eq!(answer.body(), "a picture, i");
}

#[test]
fn an_event_has_its_fields_in_phps_order() {
    let event = ServerSentEvents::new().event("ping").data("some thing").id(1000).retry(5000);
    assert_eq!(event.to_string(), "event: ping\nid: 1000\nretry: 5000\ndata: some thing\n\n");
}
