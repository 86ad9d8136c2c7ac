//! Promise: with the feature `json`, a body is read into a type of the app's, whatever it says it is and however it came;
//! and what does not fit is an error that says so.

#![cfg(feature = "json")]

mod common;

use std::error::Error;

use common::{Log, bodies, exchange, serve};
use proptest::prelude::*;
use serde_json::{Value, json};
use workerman::{Request, Response};

/// The one request with this body.
fn request(lines: &str, body: &[u8]) -> Request {
    let log = Log::new();
    let write = log.writer();
    let (simulation, worker) = serve(move |connection, request| {
        write(request);
        connection.send("ok")
    });
    let head = format!("POST / HTTP/1.1\r\nHost: a\r\n{lines}Content-Length: {}\r\n\r\n", body.len());
    exchange(&simulation, worker, [head.as_bytes(), body].concat());
    log.take().pop().expect("a request")
}

#[derive(Debug, PartialEq, serde::Deserialize)]
struct Order<'a> {
    item: &'a str,
    #[serde(default)]
    count: u32,
}

#[test]
fn a_body_is_read_whatever_type_it_has() {
    for lines in ["", "Content-Type: application/json\r\n", "Content-Type: text/plain\r\n"] {
        let request = request(lines, br#" {"item": "tea", "count": 2, "more": null} "#);
        assert_eq!(request.json::<Order<'_>>().ok(), Some(Order { item: "tea", count: 2 }), "{lines:?}");
        assert_eq!(request.json::<Value>().ok(), Some(json!({"item": "tea", "count": 2, "more": null})), "asked twice");
    }
}

#[test]
fn a_body_in_chunks_is_read_too() {
    let (simulation, worker) = serve(|connection, request| {
        let order = request.json::<Order<'_>>();
        connection.send(format!("{order:?}"))
    });
    let chunked =
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"ite\r\n9\r\nm\":\"tea\"}\r\n0\r\n\r\n";
    let (_peer, answer) = exchange(&simulation, worker, chunked);
    assert_eq!(bodies(&answer), ["Ok(Order { item: \"tea\", count: 0 })"]);
}

#[test]
fn what_does_not_fit_says_where_and_why() {
    let deep = "[".repeat(100_000);
    let malformed: [&[u8]; 6] = [b"", b"{bad", b"1 2", b"\xef\xbb\xbf1", b"\"\xff\"", deep.as_bytes()];
    for body in malformed {
        let error = request("", body).json::<Value>().expect_err("not JSON");
        assert!(error.is_malformed(), "{error}");
    }
    let error = request("", b"{\"item\": 1}").json::<Order<'_>>().expect_err("another type");
    assert!(!error.is_malformed() && error.source().is_some());
    let text = error.to_string();
    assert!(
        text.starts_with("the body is not the JSON that is expected: ") && text.contains("line 1 column"),
        "{text}"
    );
    assert!(request("", b"{}").json::<Order<'_>>().expect_err("an item is missing").to_string().contains("`item`"));
}

#[test]
fn an_error_goes_out_with_a_question_mark() {
    let (simulation, worker) = serve(|connection, request| -> workerman::Result<()> {
        let number: u8 = request.json()?;
        connection.send(Response::new(200, &[], number.to_string()));
        Ok(())
    });
    for (body, status) in [("7", "200"), ("700", "500")] {
        let wire = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        let (_peer, answer) = exchange(&simulation, worker, wire);
        assert_eq!(String::from_utf8_lossy(&answer).split(' ').nth(1), Some(status), "{body}");
    }
}

proptest! {
    #[test]
    fn no_body_breaks_it(body in proptest::collection::vec(any::<u8>(), 0..100)) {
        let _ = request("", &body).json::<Value>();
    }
}
