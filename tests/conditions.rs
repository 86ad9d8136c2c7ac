//! The promise: RFC 9110 §13 to §15 hold on the wire: what is asked about a file, what its answers say, and what each status
//! code has to come with.

mod common;
mod outside;

use std::fs::{self, File};
use std::time::{Duration, SystemTime};

use common::{Answer, DATE, answers, exchange, get, serve, split_head};
use outside::TemporaryDirectory;
use workerman::{Http, Response, Worker};

/// When the file was modified: a day before the virtual clock's time.
const MODIFIED: &str = "Sat, 05 Nov 1994 08:49:37 GMT";
const MODIFIED_SECONDS: u64 = 784_025_377;
/// What a 206 and a 304 must have if the 200 would: RFC 9110 §15.3.7, §15.4.5.
const KEPT: [(&str, &str); 4] = [
    ("Cache-Control", "max-age=60"),
    ("Content-Location", "/v1"),
    ("Expires", "Mon, 07 Nov 1994 00:00:00 GMT"),
    ("Vary", "Accept"),
];

/// A server of `0123456789`, of `/missing` and of an app's answer to everything else.
struct Server(TemporaryDirectory);

impl Server {
    fn new(name: &str) -> Self {
        let directory = TemporaryDirectory::new(&format!("conditions-{name}"));
        let path = directory.0.join("a.txt");
        fs::write(&path, b"0123456789").expect("it can be written");
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(MODIFIED_SECONDS);
        File::options().write(true).open(path).and_then(|file| file.set_modified(time)).expect("it has a time");
        Self(directory)
    }

    fn ask(&self, method: &str, target: &str, lines: &str) -> Answer {
        let directory = self.0.0.clone();
        let (simulation, worker) = serve(move |connection, request| match request.path() {
            "/file" => connection.send(Response::file(&request, directory.join("a.txt")).with_headers(&KEPT)),
            "/missing" => connection.send(Response::file(&request, directory.join("b.txt"))),
            _ => connection.send(Response::new(200, &[("ETag", "\"app\"")], "the app's")),
        });
        let wire = format!("{method} {target} HTTP/1.1\r\nHost: a\r\n{lines}\r\n");
        let bytes = exchange(&simulation, worker, wire).1;
        if method == "HEAD" {
            return Answer { head: split_head(&bytes).0, body: Vec::new() };
        }
        let [answer] = answers(&bytes).try_into().expect("one answer");
        answer
    }

    fn status(&self, method: &str, target: &str, lines: &str) -> u16 {
        self.ask(method, target, lines).status()
    }
}

#[test]
fn conditions_of_several_lines_are_one_list_and_two_dates_are_none() {
    let server = Server::new("lines");
    let etag = server.ask("GET", "/file", "").header("etag").expect("a tag").to_owned();
    let twice = |name: &str, one: &str, two: &str| format!("{name}: {one}\r\n{name}: {two}\r\n");
    let ask = |lines: String| server.status("GET", "/file", &lines);
    assert_eq!(ask(twice("If-None-Match", "\"x\"", &etag)), 304, "RFC 9110 §5.3");
    assert_eq!(ask(twice("If-Match", "\"x\"", &etag)), 200, "RFC 9110 §5.3");
    assert_eq!(ask(twice("If-Modified-Since", MODIFIED, MODIFIED)), 200, "RFC 9110 §13.1.3: more than one member");
    let earlier = "Fri, 04 Nov 1994 08:49:37 GMT";
    assert_eq!(ask(twice("If-Unmodified-Since", earlier, earlier)), 200, "RFC 9110 §13.1.4: more than one member");
    assert_eq!(ask(twice("Range", "bytes=0-1", "bytes=3-4")), 200, "several ranges");
    assert_eq!(
        ask(format!("Range: bytes=0-1\r\n{}", twice("If-Range", &etag, &etag))),
        200,
        "RFC 9110 §13.1.5: one tag"
    );
}

#[test]
fn what_only_looks_like_a_date_is_none() {
    let server = Server::new("dates");
    for (date, status) in [
        (MODIFIED, 304),
        ("Saturday, 05-Nov-94 08:49:37 GMT", 304),
        ("Sat Nov  5 08:49:37 1994", 304),
        // httpdate takes it.
        ("Saturday, 05-Nov-94(08:49:37 GMT", 200),
        ("Sun, 05 Nov 1994 08:49:37 GMT", 200),
        ("Sat, 05 Nov 1994 08:49:37", 200),
    ] {
        assert_eq!(server.status("GET", "/file", &format!("If-Modified-Since: {date}\r\n")), status, "{date}");
    }
}

#[test]
fn conditions_are_not_for_other_methods_nor_for_what_fails_without_them() {
    let server = Server::new("others");
    let etag = server.ask("GET", "/file", "").header("etag").expect("a tag").to_owned();
    for lines in
        [format!("If-None-Match: {etag}\r\n"), "If-Match: \"x\"\r\n".to_owned(), "Range: bytes=0-1\r\n".to_owned()]
    {
        for method in ["POST", "PUT", "DELETE", "OPTIONS", "TRACE"] {
            let answer = server.ask(method, "/file", &lines);
            assert_eq!((answer.status(), answer.body.len()), (200, 10), "RFC 9110 §13.2.1, §14.2: {method} {lines}");
        }
        assert_eq!(server.status("GET", "/missing", &lines), 404, "RFC 9110 §13.2.1: {lines}");
    }
    for lines in ["If-None-Match: \"app\"\r\n", "If-Match: \"x\"\r\n", "Range: bytes=0-1\r\n"] {
        assert_eq!(server.ask("GET", "/app", lines).body(), "the app's", "what is no file is the app's: {lines}");
    }
}

#[test]
fn a_part_and_a_304_have_what_the_whole_would_have() {
    let server = Server::new("kept");
    let whole = server.ask("GET", "/file", "");
    let etag = whole.header("etag").expect("a tag").to_owned();
    assert_eq!(whole.header("accept-ranges"), Some("bytes"), "RFC 9110 §14.3");
    let part = server.ask("GET", "/file", "Range: bytes=2-3\r\n");
    assert_eq!((part.status(), part.header("content-range")), (206, Some("bytes 2-3/10")), "RFC 9110 §15.3.7.1");
    assert_eq!((part.header("content-length"), part.body()), (Some("2"), "23".to_owned()), "RFC 9110 §15.3.7");
    for name in ["Date", "ETag", "Last-Modified", "Content-Type"].into_iter().chain(KEPT.map(|(name, _)| name)) {
        assert!(whole.header(name).is_some(), "{name}");
        assert_eq!(part.header(name), whole.header(name), "RFC 9110 §15.3.7: {name}");
    }
    let known = server.ask("GET", "/file", &format!("If-None-Match: {etag}\r\n"));
    assert_eq!((known.status(), known.body()), (304, String::new()), "RFC 9110 §15.4.5");
    for name in ["Date", "ETag"].into_iter().chain(KEPT.map(|(name, _)| name)) {
        assert_eq!(known.header(name), whole.header(name), "RFC 9110 §15.4.5: {name}");
    }
    for name in ["Last-Modified", "Content-Type", "Content-Length", "Content-Range", "Accept-Ranges"] {
        assert_eq!(known.header(name), None, "RFC 9110 §15.4.5: {name}");
    }
}

#[test]
fn what_cannot_be_sent_is_said_in_numbers() {
    let server = Server::new("refused");
    let answer = server.ask("GET", "/file", "Range: bytes=10-\r\n");
    assert_eq!((answer.status(), answer.header("content-range")), (416, Some("bytes */10")), "RFC 9110 §15.5.17");
    let answer = server.ask("GET", "/file", "If-Match: \"x\"\r\nRange: bytes=0-1\r\n");
    assert_eq!((answer.status(), answer.header("content-range")), (412, None), "RFC 9110 §13.2.2, §15.5.13");
    // One range of a list of one, and none of a list of two: never multipart/byteranges, RFC 9110 §15.3.7.2.
    for (range, status, kind) in
        [("0-0,", 206, "text/plain"), ("0-0,2-2", 200, "text/plain"), ("20-,30-", 200, "text/plain")]
    {
        let answer = server.ask("GET", "/file", &format!("Range: bytes={range}\r\n"));
        assert_eq!(answer.status(), status, "{range}");
        assert!(answer.header("content-type").is_some_and(|value| value.starts_with(kind)), "{range}");
    }
}

#[test]
fn each_status_code_has_its_phrase() {
    // RFC 9110 §15, but for the names that 413 and 422 have had since: those are PHP's.
    let table = "100 Continue;101 Switching Protocols;200 OK;201 Created;202 Accepted;203 Non-Authoritative Information;\
        204 No Content;205 Reset Content;206 Partial Content;300 Multiple Choices;301 Moved Permanently;302 Found;303 See Other;\
        304 Not Modified;305 Use Proxy;307 Temporary Redirect;308 Permanent Redirect;400 Bad Request;401 Unauthorized;\
        402 Payment Required;403 Forbidden;404 Not Found;405 Method Not Allowed;406 Not Acceptable;\
        407 Proxy Authentication Required;408 Request Timeout;409 Conflict;410 Gone;411 Length Required;\
        412 Precondition Failed;413 Payload Too Large;414 URI Too Long;415 Unsupported Media Type;416 Range Not Satisfiable;\
        417 Expectation Failed;421 Misdirected Request;422 Unprocessable Entity;426 Upgrade Required;\
        500 Internal Server Error;501 Not Implemented;502 Bad Gateway;503 Service Unavailable;504 Gateway Timeout;\
        505 HTTP Version Not Supported";
    for line in table.split(';') {
        let (code, phrase) = line.split_once(' ').expect("a code and a phrase");
        let code: u16 = code.parse().expect("a code");
        assert_eq!(Response::new(code, &[], "").reason_phrase(), phrase, "{code}");
    }
}

#[test]
fn an_answer_of_any_final_status_is_complete_and_the_next_one_follows() {
    let (simulation, worker): (_, Worker<Http>) = serve(|connection, request| {
        let status = request.path().trim_start_matches('/').parse().expect("a status");
        connection.send(Response::new(status, &[("X-A", "b")], "text"))
    });
    for status in 200..=999 {
        let requests = get(&format!("/{status}")) + &get("/299");
        let wire = exchange(&simulation, worker, requests).1;
        let [answer, next] = answers(&wire).try_into().expect("two answers");
        let has_content = !matches!(status, 204 | 205 | 304);
        assert_eq!((answer.status(), answer.body.len()), (status, if has_content { 4 } else { 0 }));
        assert!(answer.head.contains(DATE.trim_end()) && answer.header("x-a") == Some("b"), "{status}");
        assert_eq!((next.status(), next.body()), (299, "text".to_owned()), "behind {status}");
    }
}
