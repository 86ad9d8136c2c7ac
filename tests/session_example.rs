//! Promise: the example of sessions does what it says, and its sessions outlive the program.

#![cfg(feature = "session")]

mod outside;

use std::io::Write;
use std::net::TcpStream;

use outside::{Process, Program, TemporaryDirectory, connect, read_until};

/// What a browser keeps: a connection, and the cookie it was given.
struct Browser {
    stream: TcpStream,
    cookie: String,
}

impl Browser {
    /// Sends a request and reads to this text at the end of the answer.
    fn ask(&mut self, request: &str, body: &str, end: &str) -> String {
        let (cookie, length) = (&self.cookie, body.len());
        let head = format!("{request} HTTP/1.1\r\nHost: a\r\nCookie: {cookie}\r\nContent-Length: {length}\r\n\r\n");
        self.stream.write_all((head + body).as_bytes()).expect("the request is sent");
        let answer = read_until(&mut self.stream, end);
        let set = answer.lines().find_map(|line| line.strip_prefix("Set-Cookie: "));
        if let Some(pair) = set.and_then(|line| line.split(';').next()) {
            self.cookie = pair.to_owned();
        }
        answer
    }
}

#[test]
fn a_visitor_is_known_from_login_to_logout_over_a_restart() {
    let folder = TemporaryDirectory::new("session-example");
    let start = || Program::new("session").with("FOLDER", folder.0.join("sessions")).serve();
    let stop = |process: Process| {
        process.signal("TERM");
        let (status, errors) = process.wait();
        assert_eq!(status.code(), Some(0), "{errors}");
    };

    let (process, address) = start();
    let mut browser = Browser { stream: connect(address), cookie: String::new() };
    browser.ask("GET /", "", "<p>page view 1</p>");
    let before = browser.cookie.clone();
    let welcome = browser.ask("POST /login", "name=Ada", "\r\n\r\n");
    assert!(welcome.starts_with("HTTP/1.1 303 See Other\r\nLocation: /\r\nSet-Cookie: PHPSID="), "{welcome}");
    assert!(welcome.contains("; Max-Age=1440; Path=/; SameSite=Lax; HttpOnly\r\n"), "{welcome}");
    assert_ne!(browser.cookie, before);
    assert!(browser.ask("GET /", "", "<p>page view 2</p>").contains("<p>welcome</p><p>hello Ada</p>"));
    stop(process);

    let (process, address) = start();
    browser.stream = connect(address);
    assert!(browser.ask("GET /", "", "<p>page view 3</p>").contains("<p></p><p>hello Ada</p>"));
    // Who has the id from before the login has nothing.
    let mut thief = Browser { stream: connect(address), cookie: before };
    thief.ask("GET /", "", "<p>page view 1</p>");
    browser.ask("POST /logout", "", "\r\n\r\n");
    assert!(!browser.ask("GET /", "", "<p>page view 1</p>").contains("Ada"));
    stop(process);
}
