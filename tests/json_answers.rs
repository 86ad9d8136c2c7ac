//! Promise: `Response::json` sends a value as JSON, whole or not at all.

#![cfg(feature = "json")]

mod common;

use std::collections::BTreeMap;

use common::{GET, answers, exchange, serve};
use serde_json::{Value, json};
use workerman::{PanicPolicy, Response, Worker};

#[test]
fn a_value_is_sent_as_json_with_its_type_and_length() {
    let value = json!({ "text": "\u{4e2d}\r\n\"", "numbers": [1, -2, 0.5], "none": null, "long": "x".repeat(100_000) });
    let sent = value.clone();
    let (simulation, worker) = serve(move |connection, _| -> workerman::Result<()> {
        connection.send(Response::json(&sent)?.with_header("X-A", "1"));
        Ok(())
    });
    let answers = answers(&exchange(&simulation, worker, GET.repeat(3)).1);
    assert_eq!(answers.len(), 3);
    for answer in answers {
        assert_eq!((answer.status(), answer.header("content-type")), (200, Some("application/json")));
        assert_eq!(serde_json::from_slice::<Value>(&answer.body).expect("JSON"), value);
    }
}

#[test]
fn what_can_be_serialised_can_be_sent() {
    let table = [
        (Response::json("text"), "\"text\""),
        (Response::json(&Some(1)), "1"),
        (Response::json(&()), "null"),
        (Response::json(&[1, 2][..]), "[1,2]"),
        (Response::json(&BTreeMap::from([(1, 'a')])), r#"{"1":"a"}"#),
    ];
    for (response, body) in table {
        assert_eq!(response.expect("it is JSON").raw_body(), body.as_bytes());
    }
}

#[test]
fn a_value_that_fails_is_not_sent_in_part() {
    Worker::set_panic_policy(PanicPolicy::CloseConnection);
    let (simulation, worker) = serve(|connection, _| -> workerman::Result<()> {
        let keys_that_are_no_text = BTreeMap::from([(vec![1], 1)]);
        connection.send(Response::json(&("begun", keys_that_are_no_text))?);
        Ok(())
    });
    let answers = answers(&exchange(&simulation, worker, GET).1);
    assert_eq!((answers[0].status(), answers[0].body.len()), (500, 0));
    // The buffer that it was begun in is used again, empty.
    assert_eq!(Response::default().raw_body(), b"");
}
