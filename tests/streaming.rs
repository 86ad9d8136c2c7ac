//! Promise: the streaming example does what it says, on one connection that stays.

mod outside;

use std::io::Write;
use std::net::TcpStream;

use outside::{ask, connect, read_until, start_example};

/// The end of a chunked body.
const LAST: &str = "\r\n0\r\n\r\n";

fn post(client: &mut TcpStream, prompt: &str) -> String {
    let length = prompt.len();
    write!(client, "POST /chat HTTP/1.1\r\nHost: test\r\nContent-Length: {length}\r\n\r\n{prompt}")
        .expect("the request is sent");
    read_until(client, LAST)
}

#[test]
fn tokens_and_lines_come_one_by_one_and_the_connection_goes_on() {
    let (server, address) = start_example("streaming");
    let mut client = connect(address);
    let events = post(&mut client, "the quick fox");
    assert!(events.contains("\r\nContent-Type: text/event-stream\r\n"), "{events}");
    let tokens = ["data: the \n\n", "data: quick \n\n", "data: fox\n\n", "data: [DONE]\n\n"];
    assert!(events.ends_with(&(tokens.map(|token| format!("{:x}\r\n{token}", token.len())).join("\r\n") + LAST)));

    let lines = ask(&mut client, "/count", LAST);
    assert!(lines.starts_with("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"), "{lines}");
    let body = "9\r\ncounting\n\r\n7\r\nline 1\n\r\n7\r\nline 2\n\r\n7\r\nline 3\n\r\n7\r\nline 4\n\r\n7\r\nline 5\n";
    assert!(lines.ends_with(&format!("{body}{LAST}")), "{lines}");

    assert!(post(&mut client, "").ends_with(&format!("e\r\ndata: [DONE]\n\n{LAST}")));
    ask(&mut client, "/", "</script>\n");
    server.signal("TERM");
    let (status, errors) = server.wait();
    assert_eq!(status.code(), Some(0), "{errors}");
}
