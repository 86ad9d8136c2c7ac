//! The promise: what PHP Workerman's own tests show of HTTP and of connections is tested here, row by row, and what they
//! show of other protocols where those are. Where we do otherwise, the row says which RFC asks for it; what needs members
//! that do not exist, says which. Sessions, rows 37 to 41, are in `sessions.rs`.
//!
//! `php_rows/rows.rs` is the list: 18 rows of heads, 10 of chunked bodies, 4 of answers and pipelining, 4 of connections, 3 of
//! responses and events, 2 of lines and frames, 5 of WebSocket and 3 of its clients, 3 of whole programs. A row is checked
//! by inputs of the table (`php_rows/cases.rs`), by tests of this file or another, or later.

mod common;

#[path = "php_rows/cases.rs"]
mod cases;
#[path = "php_rows/rows.rs"]
mod rows;

use std::net::UdpSocket;
use std::time::Duration;

use cases::{Case, Outcome, cases};
use common::{DATE, GET, Log, answers, exchange, serve, text};
use rows::SECTIONS;
use workerman::testing::Simulation;
use workerman::{
    Cookie, Http, Request, Response, SendStatus, ServerSentEvents, Status, TcpConnection, Text, UdpWorker, Worker,
};

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
