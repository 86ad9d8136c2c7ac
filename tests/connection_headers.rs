//! Promise: header lines that are set on a connection go along with its next answer, whatever that is, and with no other.

mod common;

use common::{Answer, GET, Log, answers, exchange, serve, text};
use workerman::{Response, SendStatus, ServerSentEvents};

fn only(bytes: &[u8]) -> Answer {
    let [answer] = answers(bytes).try_into().expect("one answer");
    answer
}

#[test]
fn they_go_along_with_one_answer_of_any_kind() {
    let file = std::env::temp_dir().join(format!("workerman-connection-headers-{}", std::process::id()));
    std::fs::write(&file, "a file").expect("a file can be written");
    let path = file.clone();
    let (simulation, worker) = serve(move |connection, request| {
        if !request.path().ends_with("plain") {
            connection.set_headers(&[("X-A", "1"), ("X-A", "2")]);
        }
        match request.path() {
            "/bytes" => connection.send(vec![b'a'; 10]),
            "/long" => connection.send("a".repeat(100_000)),
            "/response" => connection.send(Response::new(404, &[("X-B", "3")], "nothing")),
            "/none" => connection.send(Response::new(204, &[], "")),
            "/file" => connection.send(Response::file(&request, &path)),
            _ => connection.send("text"),
        }
    });
    for path in ["/", "/bytes", "/long", "/response", "/none", "/file", "/missing"] {
        let request = |path| format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
        let (_, bytes) = exchange(&simulation, worker, request(path) + &request("/plain"));
        let [first, second] = answers(&bytes).try_into().expect("two answers");
        assert_eq!(first.all("X-A"), ["1", "2"], "{path}");
        assert_eq!(second.all("X-A"), [""; 0], "{path}");
    }
    std::fs::remove_file(file).expect("it is there");
}

#[test]
fn of_a_header_that_stands_once_the_answers_own_stays() {
    let (simulation, worker) = serve(|connection, request| {
        connection.set_headers(&[("content-type", "text/plain"), ("Cache-Control", "no-store"), ("X-A", "1")]);
        match request.path() {
            "/text" => connection.send("text"),
            _ => connection.send(Response::new(200, &[("Content-Type", "text/css"), ("X-A", "0")], "")),
        }
    });
    let answer = only(&exchange(&simulation, worker, "GET /text HTTP/1.1\r\nHost: a\r\n\r\n").1);
    assert_eq!(answer.all("Content-Type"), ["text/plain"]);
    let answer = only(&exchange(&simulation, worker, GET).1);
    assert_eq!(answer.all("Content-Type"), ["text/css"]);
    assert_eq!((answer.all("Cache-Control"), answer.all("X-A")), (vec!["no-store"], vec!["0", "1"]));
}

#[test]
fn the_last_to_set_them_counts_and_none_takes_them_back() {
    let (simulation, worker) = serve(|connection, request| {
        connection.set_headers(&[("X-A", "1")]);
        match request.path() {
            "/none" => connection.set_headers(&[]),
            _ => connection.set_headers(&[("X-B", "2")]),
        }
        connection.send("text")
    });
    let answer = only(&exchange(&simulation, worker, GET).1);
    assert_eq!((answer.header("X-A"), answer.header("X-B")), (None, Some("2")));
    let answer = only(&exchange(&simulation, worker, "GET /none HTTP/1.1\r\nHost: a\r\n\r\n").1);
    assert_eq!((answer.header("X-A"), answer.header("X-B")), (None, None));
}

#[test]
fn a_line_can_neither_be_split_nor_contradict_the_framing() {
    let (simulation, worker) = serve(|connection, _| {
        connection.set_headers(&[("X-A", "1\r\nX-B: 2"), ("X C", "3"), ("Content-Length", "7"), ("X-D", "4")]);
        connection.send("text")
    });
    let answer = only(&exchange(&simulation, worker, GET).1);
    assert_eq!((answer.header("X-A"), answer.header("X-B"), answer.header("X-D")), (None, None, Some("4")));
    assert_eq!((answer.all("Content-Length"), answer.body()), (vec!["4"], "text".to_owned()));
}

#[test]
fn those_set_before_any_request_wait_for_the_first_answer() {
    let (simulation, worker) = serve(|connection, _| connection.send("text"));
    worker.on_connect(|connection| connection.set_headers(&[("X-A", "1")]));
    let (_, bytes) = exchange(&simulation, worker, GET.repeat(2));
    let [first, second] = answers(&bytes).try_into().expect("two answers");
    assert_eq!((first.header("X-A"), second.header("X-A")), (Some("1"), None));
}

#[test]
fn an_answer_before_the_answer_leaves_them() {
    let (simulation, worker) = serve(|connection, _| {
        connection.set_headers(&[("X-A", "1")]);
        connection.send(Response::new(103, &[("Link", "</a.css>")], ""));
        connection.send("text")
    });
    let wire = text(exchange(&simulation, worker, GET).1);
    let (interim, answer) = wire.split_once("\r\n\r\n").expect("two heads");
    assert!(!interim.contains("X-A") && answer.contains("X-A: 1\r\n"), "{wire}");
}

#[test]
fn an_event_stream_begins_with_them() {
    let (simulation, worker) = serve(|connection, _| {
        connection.set_headers(&[("X-A", "1")]);
        assert_eq!(connection.send(ServerSentEvents::new().data("early")), SendStatus::Dropped);
        connection.send(Response::new(200, &[("Content-Type", "text/event-stream")], ""));
        connection.send(ServerSentEvents::new().data("a"))
    });
    let (_, bytes) = exchange(&simulation, worker, GET);
    let (head, events, _) = common::stream(&bytes);
    assert_eq!((head.all("X-A"), events.len()), (vec!["1"], 1));
}

#[test]
fn what_is_set_for_a_request_that_was_answered_reaches_no_other() {
    let (simulation, worker) = serve(|connection, request| {
        match request.path() {
            "/late" => drop(connection.send("text")),
            _ => {
                connection.set_headers(&[("X-A", "0")]);
                connection.send_raw("HTTP/1.1 204 No Content\r\n\r\n");
            }
        }
        connection.set_headers(&[("X-A", "1")]);
    });
    for path in ["/late", "/raw"] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\nGET /late HTTP/1.1\r\nHost: a\r\n\r\n");
        let wire = text(exchange(&simulation, worker, request).1);
        assert_eq!((wire.matches("HTTP/1.1 20").count(), wire.contains("X-A")), (2, false), "{path}: {wire}");
    }
}

#[test]
fn a_connection_that_is_gone_takes_none() {
    let log = Log::new();
    let write = log.writer();
    let (simulation, worker) = serve(|connection, _| connection.send("text"));
    worker.on_close(move |connection| {
        connection.set_headers(&[("X-A", "1")]);
        write(connection.send("text"));
    });
    let (peer, _) = exchange(&simulation, worker, GET);
    peer.reset();
    simulation.run();
    assert_eq!(log.take(), [SendStatus::Closed]);
    let answer = only(&exchange(&simulation, worker, GET).1);
    assert_eq!(answer.header("X-A"), None);
}

#[cfg(feature = "session")]
#[test]
fn a_session_goes_along_beside_them() {
    let (simulation, worker) = serve(|connection, request| {
        connection.set_headers(&[("X-A", "1"), ("Set-Cookie", "a=1")]);
        request.session().and_then(|session| session.set("a", 1)).expect("it is in memory");
        connection.send("text")
    });
    let answer = only(&exchange(&simulation, worker, GET).1);
    let cookies = answer.all("Set-Cookie");
    assert_eq!((answer.all("X-A"), cookies.len(), cookies[0]), (vec!["1"], 2, "a=1"));
    assert!(cookies[1].starts_with("PHPSID="), "{cookies:?}");
}
