//! Promise: the JSON example does what it says: things are added, changed, found and removed, and what is wrong is told.

#![cfg(feature = "json")]

mod outside;

use std::io::Write;
use std::net::{SocketAddr, TcpStream};

use outside::{connect, read_to_end, start_example};
use serde_json::{Value, json};

struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        assert!(self.head.contains("\r\nContent-Type: application/json\r\n"), "{}", self.head);
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// What it says is wrong.
    fn error(&self) -> String {
        let error = self.json().get("error").and_then(Value::as_str).map(str::to_owned);
        error.unwrap_or_else(|| panic!("no error in {}", self.body))
    }
}

fn ask(address: SocketAddr, method: &str, target: &str, body: &str) -> Answer {
    let mut client: TcpStream = connect(address);
    let length = body.len();
    let head =
        format!("{method} {target} HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
    write!(client, "{head}{body}").expect("the request is sent");
    let answer = read_to_end(&mut client);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {answer}"));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Answer { status: status.expect("a status"), head: format!("{head}\r\n"), body: body.to_owned() }
}

#[test]
fn things_are_added_changed_found_and_removed() {
    let (server, address) = start_example("json_api");
    assert_eq!(ask(address, "GET", "/todos", "").json(), json!([]));

    let added = ask(address, "POST", "/todos", r#"{"title": "buy milk"}"#);
    assert_eq!((added.status, added.json()), (201, json!({ "id": 1, "title": "buy milk", "done": false })));
    assert!(added.head.contains("\r\nLocation: /todos/1\r\n"), "{}", added.head);
    ask(address, "POST", "/todos", r#"{"title": "drink \"tea\" \u00fc", "done": true}"#);

    let changed = ask(address, "PUT", "/todos/1", r#"{"title": "buy oat milk"}"#);
    assert_eq!((changed.status, changed.json()["title"].as_str()), (200, Some("buy oat milk")));

    let milk = json!({ "id": 1, "title": "buy oat milk", "done": false });
    let tea = json!({ "id": 2, "title": "drink \"tea\" ü", "done": true });
    for (query, found) in [
        ("", json!([milk, tea])),
        ("?done=true", json!([tea])),
        ("?done=false", json!([milk])),
        ("?q=oat+milk", json!([milk])),
        ("?q=%C3%BC&done=true", json!([tea])),
        ("?q=beer", json!([])),
    ] {
        assert_eq!(ask(address, "GET", &format!("/todos{query}"), "").json(), found, "{query}");
    }
    assert_eq!(ask(address, "GET", "/todos/2", "").json(), tea);

    let removed = ask(address, "DELETE", "/todos/1", "");
    assert_eq!((removed.status, removed.body.as_str()), (204, ""));
    assert_eq!(ask(address, "DELETE", "/todos/1", "").status, 404);
    assert_eq!(ask(address, "GET", "/todos", "").json(), json!([tea]));

    server.signal("TERM");
    let (status, errors) = server.wait();
    assert_eq!((status.code(), errors.as_str()), (Some(0), ""));
}

#[test]
fn what_is_wrong_is_told_in_json_and_changes_nothing() {
    let (_server, address) = start_example("json_api");
    ask(address, "POST", "/todos", r#"{"title": "stay"}"#);
    for (method, target, body, status, error) in [
        ("POST", "/todos", r#"{"title": "#, 400, "the body is not JSON: EOF while parsing a value at line 1 column 10"),
        ("POST", "/todos", "", 400, "the body is not JSON: EOF while parsing a value at line 1 column 0"),
        ("POST", "/todos", "[]", 400, "the body is not the JSON that is expected: invalid length 0"),
        (
            "PUT",
            "/todos/1",
            r#"{"titel": ""}"#,
            400,
            "the body is not the JSON that is expected: unknown field `titel`",
        ),
        ("GET", "/todos?done=perhaps", "", 400, "provided string was not `true` or `false`"),
        ("GET", "/todos/7", "", 404, "there is no such thing"),
        ("PUT", "/todos/7", r#"{"title": "x"}"#, 404, "there is no such thing"),
        ("GET", "/todos/", "", 404, "there is no such thing"),
        ("GET", "/todos/-1", "", 404, "there is no such thing"),
        ("GET", "/todosandmore", "", 404, "there is no such thing"),
        ("GET", "/", "", 404, "there is no such thing"),
    ] {
        let answer = ask(address, method, target, body);
        assert_eq!(answer.status, status, "{method} {target} {body}");
        assert!(answer.error().starts_with(error), "{method} {target} {body}: {}", answer.error());
    }
    assert_eq!(ask(address, "GET", "/todos", "").json(), json!([{ "id": 1, "title": "stay", "done": false }]));
}

#[test]
fn a_method_that_is_not_allowed_learns_which_are() {
    let (_server, address) = start_example("json_api");
    for (method, target, allowed) in
        [("DELETE", "/todos", "GET, HEAD, POST"), ("POST", "/todos/1", "GET, HEAD, PUT, DELETE")]
    {
        let answer = ask(address, method, target, "");
        assert_eq!(answer.status, 405);
        assert!(answer.head.contains(&format!("\r\nAllow: {allowed}\r\n")), "{}", answer.head);
        assert_eq!(answer.error(), "this cannot be done here");
    }
}
