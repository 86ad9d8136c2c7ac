//! Requests: the segments go in, and what `on_message` sees is compared with what PHP's saw.
//!
//! In PHP the app never answers and still gets all requests of a pipeline. Here the next one comes when the last one is
//! answered (RFC 9112 §9.3.2), so a request is answered when there is more to come: with a status that is left out when
//! the framework's own bytes are compared.
//!
//! By rule, not by entry:
//! * our error answers have `Content-Length: 0` and `Date` more than PHP's;
//! * PHP gives a chunked request a `Content-Length` in place of its `Transfer-Encoding`; here the head stays as sent;
//! * PHP's `post()` gives what is in a JSON body, where here `json` does (with its feature); what is no array is one in PHP,
//!   and an empty one if it is null or cannot be read.

use std::time::Duration;

use serde_json::Value;
use workerman::testing::{Peer, Simulation};
use workerman::{Http, Param, Params, Request, Response, TcpConnection, UploadError, Uploaded, Worker};

use super::common::Log;
use super::sha1::sha1;
use super::{Findings, bytes, latin1, list, recorded, without_additions};

const BETWEEN_SEGMENTS: Duration = Duration::from_millis(80);
const SILENCE: Duration = Duration::from_millis(350);
/// The status of an answer that only makes room for the next request.
const ANSWER: u16 = 299;

/// What a connection has seen.
struct Replay {
    simulation: Simulation,
    peer: Peer,
    log: Log<(TcpConnection<Http>, Request)>,
    unanswered: Option<TcpConnection<Http>>,
    requests: Vec<Request>,
    wire: Vec<u8>,
}

impl Replay {
    fn new(case: &Value) -> Self {
        let simulation = Simulation::new();
        let worker = Worker::<Http>::new("");
        if let Some(limit) = case["connection_props"]["maxPackageSize"].as_u64() {
            let limit = usize::try_from(limit).expect("a limit that fits");
            worker.on_connect(move |connection| connection.set_max_package_size(limit));
        }
        let log = Log::new();
        let write = log.writer();
        worker.on_message(move |connection, request| write((connection, request)));
        let peer = simulation.connect(worker);
        Self { simulation, peer, log, unanswered: None, requests: Vec::new(), wire: Vec::new() }
    }

    fn pass(&mut self, time: Duration) {
        self.simulation.advance(time);
        self.wire.extend(self.peer.read());
        for (connection, request) in self.log.take() {
            assert!(self.unanswered.replace(connection).is_none(), "a request came before the last one was answered");
            self.requests.push(request);
        }
    }

    fn send(&mut self, segment: &[u8]) {
        self.answer();
        self.peer.write(segment);
        self.pass(BETWEEN_SEGMENTS);
    }

    /// Whether there was something to answer.
    fn answer(&mut self) -> bool {
        let Some(connection) = self.unanswered.take() else {
            return false;
        };
        connection.send(Response::new(ANSWER, &[], ""));
        self.pass(Duration::ZERO);
        true
    }

    /// What the framework sent by itself, as PHP would have sent it.
    fn own_bytes(&self) -> String {
        let wire = without_additions(&self.wire);
        let heads = wire.split_inclusive("\r\n\r\n").filter(|head| !head.starts_with(&format!("HTTP/1.1 {ANSWER} ")));
        heads.collect()
    }
}

pub(crate) fn replay(case: &Value) -> Findings {
    let mut replay = Replay::new(case);
    for segment in list(&case["segments"]) {
        replay.send(&bytes(segment));
    }
    if case["then"] == "half_close" {
        replay.peer.finish();
    }
    replay.pass(SILENCE);
    let expected = list(&case["requests"]);
    while (replay.requests.len() < expected.len() || case["outcome"] == "rejected") && replay.answer() {}

    let mut found = Findings::default();
    let refusal = recorded(&bytes(&case["wire"]));
    let own = replay.own_bytes();
    if own != refusal {
        let line = own.strip_prefix("HTTP/1.1 ").and_then(|own| own.strip_suffix("\r\nConnection: close\r\n\r\n"));
        found.differs(if own.is_empty() { "not refused" } else { line.unwrap_or(&own) });
    }
    if replay.requests.len() != expected.len() {
        found.differs(format!("{} requests", replay.requests.len()));
    }
    // Who refuses closes, and nobody else does.
    let closes = if own == refusal { case["end"] == "eof" } else { !own.is_empty() };
    if closes != replay.peer.is_finished() {
        found.differs(if closes { "open" } else { "eof" });
    }
    for (php, ours) in expected.iter().zip(&replay.requests) {
        compare(php, ours, &mut found);
    }
    found
}

fn compare(php: &Value, ours: &Request, found: &mut Findings) {
    let mut field = |name: &str, ours: Option<&[u8]>| {
        let php = Some(&php[name]).filter(|php| !php.is_null()).map(bytes);
        if php.as_deref() != ours {
            found.differs(format!("{name}={}", ours.map_or("none".into(), |ours| ours.escape_ascii().to_string())));
        }
    };
    field("method", Some(ours.method().as_bytes()));
    field("uri", Some(ours.uri().as_bytes()));
    field("path", Some(ours.path().as_bytes()));
    field("queryString", Some(ours.query_string().as_bytes()));
    field("protocolVersion", Some(ours.protocol_version().as_bytes()));
    field("host", ours.host().map(str::as_bytes));
    field("hostWithoutPort", ours.host_without_port().map(str::as_bytes));
    field("rawBody", Some(ours.raw_body()));

    let is_chunked = ours.header("transfer-encoding").is_some();
    let head = without(&recorded(ours.raw_head()), is_chunked, "transfer-encoding");
    let php_head = without(&recorded(&bytes(&php["rawHead"])), is_chunked, "content-length");
    if head != php_head {
        found.differs("rawHead");
    }
    // All there is to say about PHP's `rawBuffer`.
    let whole = bytes(&php["rawHead"]).len() + 4 + bytes(&php["rawBody"]).len();
    assert_eq!(php["rawBuffer_len"], whole);
    assert_eq!(ours.raw_buffer(), [ours.raw_head(), b"\r\n\r\n", ours.raw_body()].concat());

    compare_headers(&php["header"], ours, is_chunked, found);
    compare_params("get", &php["get"], ours.get_all(), found);
    compare_post(&php["post"], ours, found);
    compare_cookies(&php["cookie"], ours, found);
    compare_files(&php["file"], ours, found);
    compare_trailers(&php["trailer"], ours, found);
}

/// A head without the lines of one header, if `really`.
fn without(head: &str, really: bool, name: &str) -> String {
    let is_other = |line: &&str| !line.to_ascii_lowercase().starts_with(&format!("{name}:"));
    let lines = head.split("\r\n").filter(|line| !really || is_other(line));
    lines.collect::<Vec<_>>().join("\r\n")
}

/// Names in lower case, in the order of their first lines, each with its joined value.
fn compare_headers(php: &Value, ours: &Request, is_chunked: bool, found: &mut Findings) {
    let mut names = Vec::new();
    for (name, _) in ours.headers() {
        let name = name.to_ascii_lowercase();
        let is_known = names.contains(&name) || (is_chunked && name == "transfer-encoding");
        if !is_known {
            names.push(name);
        }
    }
    let show = |name: &str, value: &[u8]| format!("{name}: {}", value.escape_ascii());
    let ours: Vec<_> = names.iter().map(|name| show(name, ours.header(name).unwrap_or_default().as_bytes())).collect();
    let php = php.as_object();
    let lines = php.into_iter().flatten().filter(|(name, _)| !is_chunked || *name != "content-length");
    let php: Vec<_> = lines.map(|(name, value)| show(name, &bytes(value))).collect();
    for change in super::changes(&php, &ours) {
        found.differs(format!("header {change}"));
    }
}

/// All parameters, arrays included, in their order.
fn compare_params(member: &str, php: &Value, ours: &Params, found: &mut Findings) {
    let (mut expected, mut params) = (Vec::new(), Vec::new());
    for (name, value) in elements(php) {
        show_php(&name, value, &mut expected);
    }
    for (name, value) in ours {
        show_ours(name, value, &mut params);
    }
    for change in super::changes(&expected, &params) {
        found.differs(format!("{member} {}", change.escape_default()));
    }
}

/// Of an array of PHP, names and values; a list is a map with the names 0, 1, …
fn elements(php: &Value) -> Vec<(String, &Value)> {
    let text = |name: &String| String::from_utf8_lossy(&latin1(name)).into_owned();
    let of_list = list(php).iter().enumerate().map(|(index, value)| (index.to_string(), value));
    of_list.chain(php.as_object().into_iter().flatten().map(|(name, value)| (text(name), value))).collect()
}

/// Each text as a line: `name[name]=text`.
fn show_php(name: &str, value: &Value, lines: &mut Vec<String>) {
    if value.is_array() || value.is_object() {
        for (inner, value) in elements(value) {
            show_php(&format!("{name}[{inner}]"), value, lines);
        }
    } else {
        lines.push(format!("{name}={}", String::from_utf8_lossy(&bytes(value))));
    }
}

fn show_ours(name: &str, value: &Param, lines: &mut Vec<String>) {
    match value {
        Param::Text(text) => lines.push(format!("{name}={text}")),
        Param::Array(array) => {
            for (inner, value) in array {
                show_ours(&format!("{name}[{inner}]"), value, lines);
            }
        }
    }
}

/// PHP's map of cookies; the last of a name counts, and stands where the first did.
fn compare_cookies(php: &Value, ours: &Request, found: &mut Findings) {
    let mut names = Vec::new();
    for (name, _) in ours.cookies() {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let show = |name: &str| format!("{name}={}", ours.cookie(name).unwrap_or_default());
    let ours: Vec<_> = names.iter().map(|name| show(name)).collect();
    let mut expected = Vec::new();
    for (name, value) in elements(php) {
        show_php(&name, value, &mut expected);
    }
    for change in super::changes(&expected, &ours) {
        found.differs(format!("cookie {change}"));
    }
}

/// What PHP's `post()` has of a form.
fn compare_post(php: &Value, ours: &Request, found: &mut Findings) {
    let content_type = ours.header("content-type").unwrap_or_default();
    if content_type.contains("json") && !content_type.contains("boundary=") {
        assert!(ours.post_all().is_empty(), "JSON is no form");
        #[cfg(feature = "json")]
        compare_json(php, ours, found);
    } else {
        compare_params("post", php, ours.post_all(), found);
    }
}

/// Each file as a line: `name[name]=` and what PHP knows of it.
fn compare_files(php: &Value, ours: &Request, found: &mut Findings) {
    fn show_php(name: &str, value: &Value, lines: &mut Vec<String>) {
        if value.get("tmp_file").is_none() {
            for (inner, value) in elements(value) {
                show_php(&format!("{name}[{inner}]"), value, lines);
            }
            return;
        }
        let text = |field: &str| String::from_utf8_lossy(&bytes(&value[field])).into_owned();
        let fields = ["name", "full_path", "type", "sha1"].map(text).join("; ");
        lines.push(format!("{name}={fields}; {}; error {}", value["size"], value["error"]));
    }
    fn show_ours(name: &str, uploaded: Uploaded<'_>, lines: &mut Vec<String>) {
        match uploaded {
            Uploaded::Array(array) => {
                for (inner, uploaded) in array {
                    show_ours(&format!("{name}[{inner}]"), uploaded, lines);
                }
            }
            Uploaded::File(file) => {
                let sha1 = sha1(&file.bytes().expect("it can be read"));
                let error = file.error().map_or(0, UploadError::code);
                let fields = [file.name(), file.full_path(), file.content_type(), &sha1].join("; ");
                lines.push(format!("{name}={fields}; {}; error {error}", file.size()));
            }
        }
    }
    let (mut expected, mut files) = (Vec::new(), Vec::new());
    for (name, value) in elements(php) {
        show_php(&name, value, &mut expected);
    }
    for (name, uploaded) in ours.files() {
        show_ours(name, uploaded, &mut files);
    }
    for change in super::changes(&expected, &files) {
        found.differs(format!("file {}", change.escape_default()));
    }
}

/// The last one of a name counts.
fn compare_trailers(php: &Value, ours: &Request, found: &mut Findings) {
    let names: Vec<_> = ours.trailers().map(|(name, _)| name.to_ascii_lowercase()).collect();
    let mut trailers: Vec<_> =
        names.iter().map(|name| format!("{name}={}", ours.trailer(name).unwrap_or_default())).collect();
    trailers.dedup();
    let mut expected = Vec::new();
    for (name, value) in elements(php) {
        show_php(&name, value, &mut expected);
    }
    for change in super::changes(&expected, &trailers) {
        found.differs(format!("trailer {change}"));
    }
}

#[cfg(feature = "json")]
fn compare_json(php: &Value, ours: &Request, found: &mut Findings) {
    let ours = match ours.json::<Value>() {
        Ok(Value::Null) | Err(_) => Value::Array(Vec::new()),
        Ok(value) if value.is_array() || value.is_object() => value,
        Ok(value) => Value::Array(vec![value]),
    };
    if *php != ours {
        found.differs(format!("json={ours}"));
    }
}
