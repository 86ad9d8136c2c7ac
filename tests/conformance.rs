//! What RFC 9110 and RFC 9112 ask of a server and no other file's promise covers; `docs/http-conformance.md` names the
//! requirement of each.

mod common;

use std::time::Duration;

use common::{GET, Log, answers, bodies, exchange, serve, text};
use workerman::{Http, Request, Response, TcpConnection, Worker};

/// All that comes back for these bytes, from a server that answers with the method.
fn wire(request: &str) -> String {
    let (simulation, worker) =
        serve(|connection: TcpConnection<Http>, request: Request| connection.send(request.method().to_owned()));
    text(exchange(&simulation, worker, request).1)
}

#[test]
fn a_status_without_a_reason_keeps_its_space() {
    let (simulation, worker) = serve(|connection, _| connection.send(Response::new(299, &[], "")));
    assert!(text(exchange(&simulation, worker, GET).1).starts_with("HTTP/1.1 299 \r\n"));
}

#[test]
fn empty_elements_of_a_list_are_ignored() {
    for value in [", ,close", "close,,", ",\t,Close , ,x"] {
        let wire = wire(&format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: {value}\r\n\r\n{GET}"));
        assert_eq!(bodies(wire.as_bytes()), ["GET"], "{value}");
    }
}

#[test]
fn the_host_of_an_absolute_target_counts_and_not_the_header() {
    let (simulation, worker) =
        serve(|connection, request| connection.send(format!("{:?} {}", request.host(), request.path())));
    let request = "GET http://one:80/a?b HTTP/1.1\r\nHost: two\r\n\r\n";
    let (_peer, bytes) = exchange(&simulation, worker, request);
    assert_eq!(bodies(&bytes), ["Some(\"one:80\") /a"]);
}

#[test]
fn an_interim_answer_is_a_head_alone_and_http_1_0_gets_none() {
    let (simulation, worker) = serve(|connection, _| {
        let lines = [("Link", "</a.css>"), ("Content-Length", "5"), ("Transfer-Encoding", "chunked")];
        connection.send(Response::new(103, &lines, "hello"));
        connection.send("done")
    });
    let early = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 200 OK\r\n";
    assert!(text(exchange(&simulation, worker, GET).1).starts_with(early));
    let old = text(exchange(&simulation, worker, "GET / HTTP/1.0\r\n\r\n").1);
    assert!(old.starts_with("HTTP/1.0 200 OK\r\n"), "{old}");
}

#[test]
fn no_transfer_coding_goes_with_an_answer_without_a_body() {
    for status in [204, 304] {
        let (simulation, worker) = serve(move |connection, _| {
            connection.send(Response::new(status, &[("Transfer-Encoding", "chunked"), ("X-A", "b")], "body"))
        });
        let (_peer, bytes) = exchange(&simulation, worker, GET.repeat(2));
        for answer in answers(&bytes) {
            assert_eq!((answer.status(), answer.header("transfer-encoding"), answer.body.len()), (status, None, 0));
            assert_eq!(answer.header("content-length"), None);
        }
    }
}

#[test]
fn a_request_to_upgrade_is_answered_in_http() {
    for version in ["1.1", "1.0"] {
        let lines = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c, websocket\r\nHTTP2-Settings: AAMAAABk";
        let wire = wire(&format!("GET / HTTP/{version}\r\nHost: a\r\n{lines}\r\n\r\n"));
        assert!(wire.starts_with(&format!("HTTP/{version} 200 OK\r\n")), "{wire}");
    }
}

#[test]
fn an_answer_without_content_names_a_length_of_zero() {
    let (simulation, worker) = serve(|connection, _| connection.send(Response::new(200, &[("Allow", "GET")], "")));
    let (_peer, bytes) = exchange(&simulation, worker, "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(answers(&bytes)[0].header("content-length"), Some("0"));
}

#[test]
fn a_body_that_the_app_does_not_look_at_is_not_the_next_request() {
    for method in ["GET", "HEAD", "DELETE", "OPTIONS", "TRACE", "UNKNOWN"] {
        let delivered = Log::new();
        let write = delivered.writer();
        let (simulation, worker) = serve(move |connection: TcpConnection<Http>, request: Request| {
            write(format!("{} {}", request.method(), request.path()));
            connection.send(Response::new(204, &[], ""))
        });
        let body = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
        let length = body.len();
        for framing in [
            format!("Content-Length: {length}\r\n\r\n{body}"),
            format!("Transfer-Encoding: chunked\r\n\r\n{length:x}\r\n{body}\r\n0\r\n\r\n"),
        ] {
            exchange(&simulation, worker, format!("{method} / HTTP/1.1\r\nHost: a\r\n{framing}{GET}"));
            assert_eq!(delivered.take(), [format!("{method} /"), "GET /".to_owned()]);
        }
    }
}

#[test]
fn nothing_is_delivered_before_the_whole_head_and_the_whole_body_are_there() {
    let delivered = Log::new();
    let write = delivered.writer();
    let (simulation, worker) = serve(move |connection: TcpConnection<Http>, request: Request| {
        write(request.raw_body().len());
        connection.send("ok")
    });
    for wire in [
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX: y\r\n\r\n",
    ] {
        let peer = simulation.connect(worker);
        let (all, last) = wire.split_at(wire.len() - 1);
        peer.write(all);
        simulation.run();
        assert_eq!((delivered.take(), peer.read()), (vec![], vec![]));
        peer.write(last);
        simulation.run();
        assert_eq!((delivered.take(), bodies(&peer.read())), (vec![3], vec!["ok".to_owned()]));
    }
}

#[test]
fn a_method_is_compared_with_its_case() {
    // `head` is not HEAD: its answer has a body; `connect` is not CONNECT.
    for method in ["head", "Head", "connect"] {
        let target = if method == "connect" { "/" } else { "*" };
        let wire = wire(&format!("{method} {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert_eq!(bodies(wire.as_bytes()), [method]);
    }
}

#[test]
fn a_worker_may_want_the_common_methods_only() {
    let (simulation, worker) =
        serve(|connection: TcpConnection<Http>, request: Request| connection.send(request.method().to_owned()));
    let statuses = |method: &str, segment: usize| {
        let peer = simulation.connect(worker);
        peer.set_segment(segment);
        let target = if method == "CONNECT" { "a:80" } else { "/" };
        peer.write(format!("{GET}{method} {target} HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi{GET}"));
        simulation.run();
        let wire = text(peer.read());
        // Not `answers`: the one to HEAD has no body.
        let statuses = wire.split("HTTP/1.1 ").skip(1).map(|answer| answer[..3].to_owned()).collect::<Vec<_>>();
        (statuses.join(" "), peer.is_finished())
    };
    let (all, refused) = (("200 200 200".to_owned(), false), ("200 501".to_owned(), true));
    let common = ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"];
    let others = ["TRACE", "MIAOWU", "POSTS", "GE", "get", "Get", "PROPFIND", "!"];
    for only in [false, true, false] {
        worker.set_common_methods_only(only);
        for segment in [1, usize::MAX] {
            for method in common {
                assert_eq!(statuses(method, segment), all, "{method}");
            }
            for method in others {
                assert_eq!(statuses(method, segment), if only { refused.clone() } else { all.clone() }, "{method}");
            }
            assert_eq!(statuses("CONNECT", segment), refused);
        }
    }
    // Of this worker only, and told at once: nobody waits for the body of what is refused.
    worker.set_common_methods_only(true);
    let another = Worker::<Http>::new("");
    another.on_message(|connection, request| connection.send(request.method().to_owned()));
    let head = "MIAOWU / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";
    assert!(text(exchange(&simulation, worker, head).1).starts_with("HTTP/1.1 501 "));
    assert!(text(exchange(&simulation, another, head).1).starts_with("HTTP/1.1 100 "));
}

#[test]
fn a_trailer_changes_neither_its_own_request_nor_the_next() {
    let trailers = [
        "Content-Length: 5",
        "Transfer-Encoding: gzip",
        "Transfer-Encoding: chunked",
        "Host: evil",
        "Connection: close",
        "Keep-Alive: timeout=1",
        "Expect: 100-continue",
        "Upgrade: h2c",
        "TE: gzip",
        "Trailer: Host",
        "Content-Type: text/evil",
        "Content-Encoding: gzip",
        "Content-Range: bytes 0-1/2",
        "Authorization: Basic YTpi",
        "Cookie: a=b",
        "Cache-Control: no-cache",
        "Max-Forwards: 0",
        "Range: bytes=0-1",
        "If-Match: *",
    ];
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let all = trailers.join("\r\n");
    for trailer in trailers.into_iter().chain([all.as_str()]) {
        let seen = Log::new();
        let write = seen.writer();
        let (simulation, worker) = serve(move |connection: TcpConnection<Http>, request: Request| {
            let lines: Vec<_> = request.headers().map(|(name, value)| format!("{name}: {value}")).collect();
            write((lines.join(", "), text(request.raw_body()), text(request.raw_head())));
            connection.send("ok")
        });
        let (peer, wire) = exchange(&simulation, worker, format!("{head}3\r\nabc\r\n0\r\n{trailer}\r\n\r\n{GET}"));
        assert_eq!((bodies(&wire), peer.is_finished()), (vec!["ok".to_owned(); 2], false), "{trailer}");
        let posted = ("Host: a, Transfer-Encoding: chunked".to_owned(), "abc".to_owned(), head.trim_end().to_owned());
        let got = ("Host: a".to_owned(), String::new(), GET.trim_end().to_owned());
        assert_eq!(seen.take(), [posted, got], "{trailer}");
    }
}

#[test]
fn a_request_line_of_8000_octets_is_accepted() {
    for length in [8000, 16_000] {
        let path = "a".repeat(length - "GET / HTTP/1.1".len());
        let wire = wire(&format!("GET /{path} HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert_eq!(bodies(wire.as_bytes()), ["GET"]);
    }
}

#[test]
fn what_an_origin_server_has_no_use_for_changes_nothing() {
    let lines = [
        "TE: trailers, gzip;q=0.5",
        "TE:",
        "Keep-Alive: timeout=1, max=1",
        "Proxy-Connection: close",
        "Connection: TE, X-Unknown",
        "Max-Forwards: 0",
        "Via: 1.0 proxy",
        "X-Unknown: close",
        "Trailer: X-A",
        "Upgrade: websocket",
        "HTTP2-Settings: AAA",
        "Accept: nothing/at-all",
        "Range: bytes=0-0",
    ];
    let usual = wire(GET);
    for line in lines {
        assert_eq!(wire(&format!("GET / HTTP/1.1\r\nHost: a\r\n{line}\r\n\r\n")), usual, "{line}");
    }
    let all = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n\r\n", lines.join("\r\n"));
    assert_eq!(wire(&all.repeat(2)), usual.repeat(2));
}

#[test]
fn a_status_code_has_three_digits() {
    for status in [0, 1, 99, 1000, u16::MAX] {
        let (simulation, worker) = serve(move |connection, _| connection.send(Response::new(status, &[], "body")));
        let wire = text(exchange(&simulation, worker, GET).1);
        assert!(wire.starts_with("HTTP/1.1 500 Internal Server Error\r\n"), "{status}: {wire}");
    }
}

#[test]
fn a_client_that_was_told_to_continue_gets_a_final_answer() {
    let head = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";
    let chunked = head.replace("Content-Length: 2", "Transfer-Encoding: chunked");
    // What follows the head, and the status of the final answer.
    let table = [(head, "hi", 200), (&chunked, "2\r\nhi\r\n0\r\n\r\n", 200), (head, "h", 408), (&chunked, "zz", 400)];
    for (head, body, status) in table {
        let (simulation, worker) = serve(|connection: TcpConnection<Http>, _| connection.send("ok"));
        let (peer, wire) = exchange(&simulation, worker, head);
        assert_eq!(text(wire), "HTTP/1.1 100 Continue\r\n\r\n");
        peer.write(body);
        simulation.advance(Duration::from_secs(40));
        let [answer] = <[_; 1]>::try_from(answers(&peer.read())).expect("one answer");
        let connection = if status == 200 { "keep-alive" } else { "close" };
        assert_eq!((answer.status(), answer.header("connection")), (status, Some(connection)), "{head}{body}");
    }
}

#[test]
fn to_continue_is_one_of_a_list_of_expectations() {
    let more = "HTTP/1.1 100 Continue\r\n\r\n";
    for (lines, said) in [
        ("Expect: 100-continue", more),
        ("Expect: 100-Continue", more),
        ("Expect: , 100-continue ,", more),
        ("Expect: something, 100-continue", more),
        ("Expect: 100-continue\r\nExpect: something", more),
        ("Expect: something\r\nExpect: 100-continue", more),
        ("Expect: 100-continue\r\nExpect: 100-continue", more),
        ("Expect: 100-continued", ""),
        ("Expect: something", ""),
        ("Expect:", ""),
    ] {
        let head = format!("POST / HTTP/1.1\r\nHost: a\r\n{lines}\r\nContent-Length: 2\r\n\r\n");
        assert_eq!(wire(&head), said, "{lines}");
    }
}
