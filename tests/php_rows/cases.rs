//! The table: inputs of PHP's tests, what PHP does with each, and what we do.

/// What becomes of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// So many requests are delivered.
    Delivered(usize),
    /// More has to come.
    Waits,
    /// Refused with this status, and closed.
    Refused(u16),
}

use Outcome::{Delivered, Refused, Waits};

/// An input of a row.
#[derive(Clone)]
pub(crate) struct Case {
    pub(crate) row: u8,
    pub(crate) input: String,
    pub(crate) limit: usize,
    pub(crate) php: Outcome,
    pub(crate) ours: Outcome,
    /// Where we differ: which RFC asks for it.
    pub(crate) why: &'static str,
}

impl std::fmt::Debug for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let input: String = self.input.chars().take(200).collect();
        let Self { row, php, ours, why, .. } = self;
        write!(f, "row {row}, {input:?}: PHP {php:?}, ours {ours:?} {why}")
    }
}

/// `maxPackageSize` in PHP's tests.
const LIMIT: usize = 1024 * 1024;

fn same(row: u8, outcome: Outcome, input: impl Into<String>) -> Case {
    Case { row, input: input.into(), limit: LIMIT, php: outcome, ours: outcome, why: "" }
}

fn differs(row: u8, php: Outcome, ours: Outcome, why: &'static str, input: impl Into<String>) -> Case {
    Case { row, input: input.into(), limit: LIMIT, php, ours, why }
}

/// A request with this line behind its Host.
fn with(line: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: h\r\n{line}\r\n\r\n")
}

fn host(value: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: {value}\r\n\r\n")
}

fn line(line: &str) -> String {
    format!("{line}\r\nHost: a\r\n\r\n")
}

fn chunked(body: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{body}")
}

/// A head whose blank line begins at this offset.
fn head_of(offset: usize) -> String {
    let start = "GET / HTTP/1.1\r\nHost: localhost\r\nX-Pad: ";
    format!("{start}{}\r\n\r\n", "a".repeat(offset - start.len()))
}

pub(crate) fn cases() -> Vec<Case> {
    let sections =
        [heads(), hosts(), versions_and_sizes(), lines(), framing(), chunks(), hostile_chunks(), pipelines()];
    sections.concat()
}

const METHODS: &str =
    "RFC 9110 §9.1: which methods there are is the app's affair, and they are compared with their case";

fn heads() -> Vec<Case> {
    let mut cases = vec![
        same(2, Refused(431), "a".repeat(16_665)),
        differs(3, Refused(400), Delivered(1), METHODS, "MIAOWU /a HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"),
        Case {
            limit: 10,
            ..same(
                4,
                Refused(413),
                format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 27\r\n\r\n{}", "x".repeat(27)),
            )
        },
        same(5, Refused(400), "GET / HTTP/1.1\r\n\r\n"),
    ];
    let malformed = [
        "Bad Name: a",
        "Host : h",
        "Host\t: h",
        " Host: h",
        "\tHost: h",
        "X\tY: z",
        ":novalue",
        "X@Y: a",
        "Cookie[0]: a",
        "no colon",
        "X-Folded: a\r\n X-Continued: bad",
        "\u{5934}: v",
    ];
    cases.extend(malformed.map(|line| same(6, Refused(400), with(line))));
    cases.extend(
        ["1.1", "1.0"]
            .map(|version| same(7, Refused(400), format!("GET / HTTP/{version}\r\nHost: a\r\nHost: b\r\n\r\n"))),
    );
    cases.extend(["chunked", "identity"].map(|second| {
        same(8, Refused(400), with(&format!("Transfer-Encoding: chunked\r\nTransfer-Encoding: {second}")))
    }));
    cases.push(same(9, Delivered(1), with("X-Custom_Header: ok")));
    cases
}

fn hosts() -> Vec<Case> {
    let bad = [
        "",
        "user@localhost:8080\r\nHost: localhost",
        "localhost:abc",
        "local host",
        "localhost:80a",
        ":8080",
        "localhost:8080, other.example.com",
        "localhost:8080:9090",
    ];
    let good = [
        "localhost",
        "example.com",
        "www.example.com",
        "example.com:8080",
        "subdomain.example.com",
        "192.168.0.1",
        "1.1.1.1",
        "1.1.1.1:8080",
        "localhost:80",
        "localhost:65535",
    ];
    let bad = bad.map(|value| same(10, Refused(400), host(value)));
    let good = good.map(|value| same(11, Delivered(1), host(value)));
    let none = same(11, Delivered(1), "GET / HTTP/1.0\r\n\r\n");
    bad.into_iter().chain(good).chain([none]).collect()
}

fn versions_and_sizes() -> Vec<Case> {
    let minimal = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let old = "GET / HTTP/1.0\r\n\r\n";
    let path = "a".repeat(499);
    vec![
        same(12, Delivered(1), old),
        same(12, Delivered(1), "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"),
        same(12, Delivered(1), "GET / HTTP/1.0\r\nConnection: close\r\n\r\n"),
        same(12, Delivered(1), "POST / HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc"),
        differs(
            12,
            Delivered(2),
            Delivered(1),
            "RFC 9112 §9.3: without `keep-alive` an HTTP/1.0 connection closes after the first answer",
            old.repeat(2),
        ),
        same(13, Refused(431), "a".repeat(16_384)),
        same(13, Refused(431), "a".repeat(16_385)),
        same(14, Delivered(1), head_of(16_383)),
        same(14, Refused(431), head_of(16_384)),
        same(15, Delivered(1), format!("POST /{path} HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello")),
        same(16, Delivered(1), minimal),
        same(16, Delivered(1), "PATCH /a HTTP/1.0\r\n\r\n"),
        same(16, Delivered(1), with("Content-Length: 5") + "hello"),
        differs(
            16,
            Delivered(1),
            Refused(400),
            "RFC 9112 §3.2, RFC 3986 §2: a target is ASCII",
            line("GET /\u{4e2d}\u{6587} HTTP/1.1"),
        ),
        same(16, Delivered(2), minimal.repeat(2)),
        same(16, Delivered(1), with("X-Transfer-Encoding: chunked")),
    ]
}

fn lines() -> Vec<Case> {
    let bad = [
        "GET\t/ HTTP/1.1",
        " GET / HTTP/1.1",
        "GET /a b HTTP/1.1",
        "GET /\x7f HTTP/1.1",
        "GET /a\r\nb HTTP/1.1",
        "GET / http/1.1",
        " get / HTTP/1.1",
        "GET  / HTTP/1.1",
        "GET /  HTTP/1.1",
        "GET / HTTP/1.1 ",
    ];
    let absolute = "RFC 9112 §3.2.2: a server must accept the absolute form";
    let asterisk = "RFC 9112 §3.2.4: `OPTIONS *` asks about the server itself";
    let version = "RFC 9110 §15.6.6: a version that we do not speak is 505";
    let mut cases: Vec<_> = bad.map(|bad| same(17, Refused(400), line(bad))).into();
    cases.extend([
        differs(17, Refused(400), Delivered(1), METHODS, line("POSTS / HTTP/1.1")),
        differs(17, Refused(400), Delivered(1), METHODS, line("get / HTTP/1.1")),
        differs(17, Refused(400), Delivered(1), absolute, line("GET http://example.com/ HTTP/1.1")),
        differs(17, Refused(400), Delivered(1), asterisk, line("OPTIONS * HTTP/1.1")),
        differs(17, Refused(400), Refused(505), version, line("GET / HTTP/2.0")),
        differs(17, Refused(400), Refused(505), version, "GET / HTTP/1.2\r\n\r\n"),
    ]);
    cases
}

fn framing() -> Vec<Case> {
    let bad = [
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: gzip",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Content-Length: abc",
        "Content-Length: 12abc",
        "Content-Length:",
        "Content-Length: 1,2",
        "Content-Length: 5\r\nContent-Length: 5",
        "Content-Length: 5\r\nX: y\r\ncontent-LENGTH: 5",
    ];
    let bad = bad.map(|line| same(18, Refused(400), with(line)));
    let huge = same(18, Refused(413), with(&format!("Content-Length: {}", "9".repeat(36))));
    bad.into_iter().chain([huge]).collect()
}

fn chunks() -> Vec<Case> {
    let whole = [
        "5\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n",
        "5\r\nhello\r\n0\r\nChecksum: abc\r\n\r\n",
        "5;ext=val\r\nhello\r\n0\r\n\r\n",
        "0\r\n\r\n",
        "05\r\nhello\r\n0\r\n\r\n",
        "A\r\n0123456789\r\n0\r\n\r\n",
        "4;a=1;b=2\r\nfour\r\n0\r\n\r\n",
        "4\r\nfour\r\n0\r\nA: 1\r\nB: 2\r\n\r\n",
        "4\r\nfour\r\n0\r\nA: with spaces inside \r\n\r\n",
    ];
    let begun = ["5\r\nhel", "", "0\r\nA: b\r\n", "0\r\nA: b"];
    let mut cases: Vec<_> = whole.map(|body| same(19, Delivered(1), chunked(body))).into();
    let lower = "POST / HTTP/1.1\r\nHost: a\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    cases.push(same(19, Delivered(1), lower));
    let old = "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    let faulty = "RFC 9112 §6.1: a transfer coding in HTTP/1.0 means faulty framing";
    cases.push(differs(19, Delivered(1), Refused(400), faulty, old));
    cases.extend(begun.map(|body| same(20, Waits, chunked(body))));
    cases
}

fn hostile_chunks() -> Vec<Case> {
    let bad = [
        "zz\r\n",
        "00000000000000005\r\nhello\r\n0\r\n\r\n",
        "8000000000000000\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhelloXX0\r\n\r\n",
    ];
    let mut cases: Vec<_> = bad.map(|body| same(21, Refused(400), chunked(body))).into();
    let counted = "RFC 9112 §7.1: a chunk's frame is no content; the limit counts the head and what the chunks carry";
    for content in [0, 100] {
        let frame = if content == 0 { String::new() } else { format!("64\r\n{}\r\n", "x".repeat(content)) };
        let whole = chunked(&format!("{frame}0\r\n\r\n"));
        // One byte over the limit as PHP counts, and as we do.
        let (theirs, ours) = (whole.len() - 1, chunked("").len() + content - 1);
        cases.push(Case { limit: theirs, ..differs(22, Refused(413), Delivered(1), counted, whole.as_str()) });
        cases.push(Case { limit: ours, ..same(22, Refused(413), whole) });
    }
    cases
}

fn pipelines() -> Vec<Case> {
    let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody";
    vec![
        same(32, Delivered(2), get.repeat(2)),
        same(32, Delivered(2), format!("{post}{get}")),
        same(32, Waits, "GET / HTTP/1.1\r\nHos"),
        same(32, Delivered(1), format!("{get}GET / HTT")),
        same(32, Delivered(3), get.repeat(3)),
    ]
}
