//! Promise: what PHP Workerman 5.2.2 did with a request, an answer or a connection, we do as well, except where one list
//! says what we do instead and why.
//!
//! The oracle: `tests/captures/*.jsonl` are recordings of PHP, one case a line (their format: `tests/captures/README.md`).
//! Each case is replayed on the memory transport in virtual time. What a runner finds different becomes remarks, and
//! the remarks of a case must be those of its entry in [`differences`], no more and no less: a case that matches has no
//! entry, unless PHP's behaviour is marked there as one not to copy.

#![allow(clippy::indexing_slicing)] // serde_json answers `null` for what is not there

mod common;

#[path = "common/sha1.rs"]
mod sha1;

#[path = "captures/connections.rs"]
mod connections;
#[path = "captures/differences.rs"]
mod differences;
#[path = "captures/messages.rs"]
mod messages;
#[path = "captures/requests.rs"]
mod requests;
#[path = "captures/responses.rs"]
mod responses;
#[cfg(feature = "session")]
#[path = "captures/sessions.rs"]
mod sessions;
#[path = "captures/timeline.rs"]
mod timeline;
#[path = "captures/websockets.rs"]
mod websockets;

use std::collections::{BTreeMap, BTreeSet};

use differences::List;
use serde_json::Value;

/// PHP does not do it right: such a case needs an entry whatever comes out.
const NOT_TO_COPY: [&str; 3] = ["php_crash", "php_unsafe", "php_bug"];

/// What came of a replay.
#[derive(Debug, Default)]
struct Findings {
    /// Members of the PHP API that the case needs and that do not exist yet; the rest is compared all the same.
    later: BTreeSet<&'static str>,
    /// What we do differently, in the words of the list.
    differences: Vec<String>,
}

impl Findings {
    fn differs(&mut self, remark: impl Into<String>) {
        self.differences.push(remark.into());
    }
}

#[test]
fn requests_arrive_as_in_php_except_where_the_list_says_why_not() {
    check(include_str!("captures/http_requests.jsonl"), 239, &differences::REQUESTS, requests::replay);
}

#[test]
fn answers_leave_as_in_php_except_where_the_list_says_why_not() {
    check(include_str!("captures/http_responses.jsonl"), 156, &differences::RESPONSES, responses::replay);
}

#[test]
fn connections_live_as_in_php_except_where_the_list_says_why_not() {
    check(include_str!("captures/connection_semantics.jsonl"), 58, &differences::CONNECTIONS, connections::replay);
}

#[test]
fn websockets_speak_as_in_php_except_where_the_list_says_why_not() {
    check(include_str!("captures/websocket.jsonl"), 91, &differences::WEBSOCKETS, websockets::replay);
}

#[test]
fn lines_frames_and_bytes_arrive_as_in_php_except_where_the_list_says_why_not() {
    check(include_str!("captures/text_frame_custom.jsonl"), 35, &differences::MESSAGES, messages::replay);
}

#[cfg(feature = "session")]
#[test]
fn sessions_are_as_in_php_except_where_the_list_says_why_not() {
    check(include_str!("captures/sessions.jsonl"), 32, &differences::SESSIONS, sessions::replay);
}

/// By no rule and no list: the bytes of PHP, and the one line that RFC 9110 §6.6.1 asks for.
#[test]
fn text_leaves_with_phps_bytes_and_a_date_behind_its_headers() {
    let mut names = Vec::new();
    for case in include_str!("captures/http_responses.jsonl").lines() {
        let case: Value = serde_json::from_str(case).expect("a line is JSON");
        let [step] = list(&case["steps"]) else { continue };
        let is_text = step["op"] == "send" && step["x"]["type"] == "string";
        if !is_text || !bytes(&case["request"]).starts_with(b"GET / HTTP/1.1\r\n") {
            continue;
        }
        let php = recorded(&bytes(&case["wire"]));
        let (head, body) = php.split_once("\r\n\r\n").expect("a head");
        let message = bytes(&step["x"]["value"]);
        let (simulation, worker) = common::serve(move |connection, _| connection.send(message.as_slice()));
        let (_peer, ours) = common::exchange(&simulation, worker, bytes(&case["request"]));
        assert_eq!(recorded(&ours), format!("{head}\r\n{}\r\n{body}", common::DATE), "{}", name(&case));
        names.push(name(&case).to_owned());
    }
    assert!(names.len() >= 8, "{names:?}");
}

/// Replays all cases of a file and compares what is found with the list, both ways.
fn check(file: &str, count: usize, list: &List, replay: fn(&Value) -> Findings) {
    let cases: Vec<Value> = file.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect();
    let names: BTreeSet<_> = cases.iter().map(name).collect();
    assert_eq!((cases.len(), names.len()), (count, count), "all cases are there, each with a name of its own");

    let mut later = entries(list.later.iter().flat_map(|(what, names)| names.iter().map(|name| (*name, *what))));
    let mut differ = entries(list.differences.iter().flat_map(|(_, cases)| cases.iter().copied()));
    let mut agree = entries(list.agreed.iter().copied());

    let mut wrong = Vec::new();
    let mut counts = BTreeMap::<&str, usize>::new();
    for case in &cases {
        let name = name(case);
        let entry = [later.remove(name), differ.remove(name), agree.remove(name)];
        // In PHP each case had a process of its own; here it has a loop of its own, and loops belong to threads.
        let found = std::thread::scope(|scope| scope.spawn(|| replay(case)).join());
        let found = found.unwrap_or_else(|_| panic!("{name} cannot be replayed"));
        let found_later = found.later.iter().copied().collect::<Vec<_>>().join(", ");
        let found_different = found.differences.join("; ");
        let kind = match (found_later.is_empty(), found_different.is_empty()) {
            (true, true) => "the same",
            (true, false) => "different",
            (false, true) => "later",
            (false, false) => "later, and different",
        };
        *counts.entry(kind).or_default() += 1;

        let flagged = case["flags"]
            .as_array()
            .is_some_and(|flags| flags.iter().any(|flag| NOT_TO_COPY.iter().any(|not| flag == not)));
        let found = [found_later, found_different];
        for ((what, found), entry) in ["later", "different"].into_iter().zip(&found).zip(entry) {
            match (found.as_str(), entry) {
                ("", None) => {}
                ("", Some(entry)) => wrong.push(format!("{name}: listed as {what}, but is not: {entry:?}")),
                (_, None) => wrong.push(format!("{name}: not listed as {what}: {found:?}")),
                (_, Some(entry)) if found != entry => {
                    wrong.push(format!("{name}: {what}\n    listed: {entry:?}\n    found:  {found:?}"));
                }
                _ => {}
            }
        }
        let same = found.iter().all(String::is_empty);
        match (flagged && same, entry[2]) {
            (true, None) => wrong.push(format!("{name}: PHP is at fault and yet we do the same; is that meant?")),
            (false, Some(_)) => wrong.push(format!("{name}: listed as agreed for no reason")),
            _ => {}
        }
    }
    for name in later.keys().chain(differ.keys()).chain(agree.keys()) {
        wrong.push(format!("{name}: listed, but there is no such case"));
    }
    println!("{counts:?}");
    assert!(wrong.is_empty(), "{} disagreements with the list:\n{}", wrong.len(), wrong.join("\n"));
}

/// Entries by name; none may stand twice.
fn entries(list: impl Iterator<Item = (&'static str, &'static str)>) -> BTreeMap<&'static str, &'static str> {
    let mut entries = BTreeMap::new();
    for (name, entry) in list {
        assert!(!entry.is_empty(), "{name}: an entry says what is different");
        assert!(entries.insert(name, entry).is_none(), "{name} is listed twice");
    }
    entries
}

fn name(case: &Value) -> &str {
    case["name"].as_str().expect("a case has a name")
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// What a BYTES value stands for.
fn bytes(value: &Value) -> Vec<u8> {
    match value {
        Value::Null => Vec::new(),
        Value::String(text) => latin1(text),
        Value::Array(parts) => parts.iter().flat_map(bytes).collect(),
        Value::Number(number) => number.to_string().into_bytes(),
        Value::Object(object) => {
            // `null` is any number, for whom it matters.
            let count = object["n"].as_u64().unwrap_or_default();
            bytes(&object["r"]).repeat(usize::try_from(count).expect("a count that fits"))
        }
        Value::Bool(_) => unreachable!("{value} is no BYTES"),
    }
}

/// Each character below U+0100 is one byte.
fn latin1(text: &str) -> Vec<u8> {
    text.chars().map(|char| u8::try_from(char).expect("a byte")).collect()
}

/// Bytes as PHP's recorder writes them.
fn recorded(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

/// Our bytes without `Date` (RFC 9110 §6.6.1), and without the length of an error that the framework itself sends.
fn without_additions(wire: &[u8]) -> String {
    let is_date = |line: &str| line.len() == 37 && line.starts_with("Date: ") && line.ends_with(" GMT\r\n");
    let wire: String = recorded(wire).split_inclusive('\n').filter(|line| !is_date(line)).collect();
    wire.replace("\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", "\r\nConnection: close\r\n\r\n")
}

/// What was added and taken away between two lists, as `+line` and `-line`; empty when they are equal.
fn changes(php: &[String], ours: &[String]) -> Vec<String> {
    // How long the longest common part is, from each pair of positions to the end.
    let mut common = vec![vec![0_usize; ours.len() + 1]; php.len() + 1];
    for i in (0..php.len()).rev() {
        for j in (0..ours.len()).rev() {
            common[i][j] =
                if php[i] == ours[j] { common[i + 1][j + 1] + 1 } else { common[i + 1][j].max(common[i][j + 1]) };
        }
    }
    let (mut i, mut j, mut changes) = (0, 0, Vec::new());
    loop {
        match (php.get(i), ours.get(j)) {
            (None, None) => return changes,
            (Some(left), Some(right)) if left == right => (i, j) = (i + 1, j + 1),
            (Some(left), right) if right.is_none() || common[i + 1][j] >= common[i][j + 1] => {
                changes.push(format!("-{left}"));
                i += 1;
            }
            (_, right) => {
                changes.extend(right.map(|right| format!("+{right}")));
                j += 1;
            }
        }
    }
}
