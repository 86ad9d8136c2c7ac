//! Answers: the app does PHP's steps, and the bytes are compared.
//!
//! By rule, not by entry:
//! * `Date` stands in each of our answers (RFC 9110 §6.6.1);
//! * a request takes one answer, so steps that send several get as many requests;
//! * an event stream here is chunked and has `Cache-Control` and `X-Accel-Buffering`; they are taken off;
//! * a file has an `ETag` (RFC 9110 §8.8.3), which is taken off, and text of a known type its charset; PHP's `send` says null
//!   of every file, ours what it says of any answer, so that is not compared.

use std::cell::Cell;
use std::fs;
use std::marker::PhantomData;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use serde_json::Value;
use workerman::{Chunk, Cookie, Encode, Http, Response, SameSite, SendStatus, ServerSentEvents, TcpConnection};

use super::common::{Log, chunks, exchange, serve};
use super::{Findings, bytes, list, recorded, without_additions};

const STREAM_LINES: [&str; 3] =
    ["Cache-Control: no-cache\r\n", "X-Accel-Buffering: no\r\n", "Transfer-Encoding: chunked\r\n"];

/// What an app sends.
#[derive(Clone, Debug)]
pub(crate) enum Message {
    Bytes(Vec<u8>),
    Response(Response),
    Event(ServerSentEvents),
    Chunk(Vec<u8>),
}

/// A value of PHP that Rust's types rule out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cannot;

impl Message {
    pub(crate) fn new(x: &Value) -> Result<Self, Cannot> {
        match x["type"].as_str() {
            Some("string") => Ok(Self::Bytes(bytes(&x["value"]))),
            Some("response") => response(x).map(Self::Response),
            Some("sse") => event(x).map(Self::Event),
            Some("chunk") => Ok(Self::Chunk(bytes(&x["data"]))),
            _ => Err(Cannot),
        }
    }

    pub(crate) fn send(self, connection: TcpConnection<Http>) -> SendStatus {
        match self {
            Self::Bytes(bytes) => connection.send(bytes),
            Self::Response(response) => connection.send(response),
            Self::Event(event) => connection.send(event),
            Self::Chunk(bytes) => connection.send(Chunk::new(bytes)),
        }
    }

    fn close(self, connection: TcpConnection<Http>) {
        match self {
            Self::Bytes(bytes) => connection.close_with(bytes),
            Self::Response(response) => connection.close_with(response),
            Self::Event(event) => connection.close_with(event),
            Self::Chunk(bytes) => connection.close_with(Chunk::new(bytes)),
        }
    }

    fn end(self, connection: TcpConnection<Http>) {
        match self {
            Self::Bytes(bytes) => connection.end_with(bytes),
            Self::Response(response) => connection.end_with(response),
            Self::Event(event) => connection.end_with(event),
            Self::Chunk(bytes) => connection.end_with(Chunk::new(bytes)),
        }
    }
}

/// Whether an HTTP connection takes messages of a type.
struct Probe<M>(PhantomData<M>);

trait Otherwise {
    const SENDS: bool = false;
}

impl<M> Otherwise for Probe<M> {}

impl<M> Probe<M>
where
    Http: Encode<M>,
{
    const SENDS: bool = true;
}

const _: () = assert!(
    Probe::<Vec<u8>>::SENDS && !Probe::<i64>::SENDS && !Probe::<f64>::SENDS && !Probe::<bool>::SENDS,
    "what can be sent now is to be replayed"
);

/// PHP's `true`, `null` and `false`.
pub(crate) fn returned(status: SendStatus) -> Value {
    match status {
        SendStatus::Sent => Value::Bool(true),
        SendStatus::Queued => Value::Null,
        _ => Value::Bool(false),
    }
}

/// Text, as Rust's strings take it.
fn text(value: &Value) -> Result<String, Cannot> {
    let bytes = if value["bytes"].is_null() { bytes(value) } else { bytes(&value["bytes"]) };
    String::from_utf8(bytes).map_err(|_| Cannot)
}

fn status(value: &Value) -> u16 {
    value.as_u64().and_then(|status| u16::try_from(status).ok()).expect("a status")
}

fn headers(value: &Value) -> Result<Vec<(String, String)>, Cannot> {
    let mut lines = Vec::new();
    for header in list(value) {
        let name = text(&header[0])?;
        let values = header[1].as_array().map_or(std::slice::from_ref(&header[1]), Vec::as_slice);
        for value in values {
            lines.push((name.clone(), text(value)?));
        }
    }
    Ok(lines)
}

fn borrowed(headers: &[(String, String)]) -> Vec<(&str, &str)> {
    headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

fn response(x: &Value) -> Result<Response, Cannot> {
    let code = if x["status"].is_null() { 200 } else { status(&x["status"]) };
    let mut response = Response::new(code, &borrowed(&headers(&x["headers"])?), bytes(&x["body"]));
    for call in list(&x["calls"]) {
        response = match call[0].as_str().expect("a method") {
            "withStatus" if call[2].is_null() => response.with_status(status(&call[1])),
            "withStatus" => response.with_status_reason(status(&call[1]), &text(&call[2])?),
            "withHeader" | "header" => response.with_header(&text(&call[1])?, &text(&call[2])?),
            "withHeaders" => response.with_headers(&borrowed(&headers(&call[1]["map"])?)),
            "withoutHeader" => response.without_header(&text(&call[1])?),
            "withProtocolVersion" => response.with_protocol_version(&text(&call[1])?),
            "cookie" => response.with_cookie(cookie(&list(call)[1..])?),
            "withFile" => {
                let number = |at: usize| call[at].as_u64().unwrap_or_default();
                response.with_file(text(&call[1])?, number(2), number(3))
            }
            other => unreachable!("Response::{other}"),
        };
    }
    Ok(response)
}

/// The arguments of PHP's `cookie`: those that are not there are as if they were its defaults.
fn cookie(call: &[Value]) -> Result<Cookie, Cannot> {
    let argument = |at: usize| call.get(at).unwrap_or(&Value::Null);
    let value = if argument(1)["bytes"].is_null() { argument(1) } else { &argument(1)["bytes"] };
    let mut cookie = Cookie::new(text(argument(0))?, bytes(value)).path(text(argument(3))?).domain(text(argument(4))?);
    if let Some(seconds) = argument(2).as_i64() {
        cookie = cookie.max_age(seconds);
    }
    let flag = |at: usize| argument(at).as_bool().unwrap_or_default();
    cookie = cookie.secure(flag(5)).http_only(flag(6));
    Ok(match text(argument(7))?.as_str() {
        "" => cookie,
        "Strict" => cookie.same_site(SameSite::Strict),
        "Lax" => cookie.same_site(SameSite::Lax),
        "None" => cookie.same_site(SameSite::None),
        _ => return Err(Cannot),
    })
}

fn event(x: &Value) -> Result<ServerSentEvents, Cannot> {
    let mut event = ServerSentEvents::new();
    for field in list(&x["fields"]) {
        let (name, value) = (field[0].as_str().expect("a name"), &field[1]);
        if value.is_null() {
            continue;
        }
        event = match name {
            "event" => event.event(text(value)?),
            "data" => event.data(text(value)?),
            "id" => event.id(text(value)?),
            "retry" => event.retry(value.as_u64().ok_or(Cannot)?),
            "" => event.comment(text(value)?),
            _ => return Err(Cannot),
        };
    }
    Ok(event)
}

/// One thing that the app does.
enum Step {
    Send(Message),
    SendRaw(Vec<u8>),
    Close(Option<Message>),
    End(Message),
    SetHeaders(Vec<(String, String)>),
}

impl Step {
    fn new(step: &Value) -> Result<Self, Cannot> {
        Ok(match step["op"].as_str() {
            Some("send") => Self::Send(Message::new(&step["x"])?),
            Some("send_raw") => Self::SendRaw(bytes(&step["x"]["value"])),
            Some("close") if step["x"].is_null() => Self::Close(None),
            Some("close") => Self::Close(Some(Message::new(&step["x"])?)),
            Some("end") => Self::End(Message::new(&step["x"])?),
            Some("connection_headers") => Self::SetHeaders(headers(&step["headers"])?),
            other => unreachable!("{other:?}"),
        })
    }

    /// Whether it is a call, whose value is compared.
    fn returns(&self) -> bool {
        !matches!(self, Self::SetHeaders(_))
    }

    /// Whether a request begins with it: an answer of its own, or what is set for one.
    fn begins(&self, before: Option<&Self>) -> bool {
        if let Some(Self::SetHeaders(_)) = before {
            return false;
        }
        matches!(
            self,
            Self::SendRaw(_)
                | Self::SetHeaders(_)
                | Self::Send(Message::Bytes(_) | Message::Response(_))
                | Self::Close(Some(Message::Bytes(_) | Message::Response(_)))
                | Self::End(Message::Bytes(_) | Message::Response(_))
        )
    }
}

/// The files of a case, for as long as it is replayed.
struct Files(PathBuf);

impl Files {
    fn new(case: &Value) -> Self {
        let name = format!("workerman-captures-{}-{}", std::process::id(), super::name(case));
        let files = Self(std::env::temp_dir().join(name));
        fs::create_dir_all(&files.0).expect("a directory can be made");
        for file in list(&case["files"]) {
            let path = files.0.join(file["name"].as_str().expect("a name"));
            fs::write(&path, bytes(&file["content"])).expect("a file can be written");
            let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(file["mtime"].as_u64().expect("a time"));
            fs::File::options().write(true).open(path).and_then(|file| file.set_modified(modified)).expect("it is set");
        }
        files
    }

    /// The case with this directory for the recorder's.
    fn place(&self, case: &Value) -> Value {
        let text = case.to_string().replace("{FILES}", &self.0.display().to_string());
        serde_json::from_str(&text).expect("still JSON")
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// From the beginning of virtual time to 2023, when the recorded files were modified and a second had passed.
const UNTIL_THE_RECORDING: Duration = Duration::from_secs(1_700_000_001 - 784_111_777);

pub(crate) fn replay(case: &Value) -> Findings {
    if list(&case["files"]).is_empty() {
        return replay_steps(case);
    }
    let files = Files::new(case);
    replay_steps(&files.place(case))
}

fn replay_steps(case: &Value) -> Findings {
    let mut found = Findings::default();
    let steps = list(&case["steps"]);
    // What each request gets.
    let mut answers: Vec<Vec<(Step, &Value)>> = Vec::new();
    for step in steps {
        match Step::new(step) {
            Ok(step_of_ours) => match answers.last_mut() {
                Some(last) if !step_of_ours.begins(last.last().map(|(step, _)| step)) => {
                    last.push((step_of_ours, &step["returns"]));
                }
                _ => answers.push(vec![(step_of_ours, &step["returns"])]),
            },
            Err(Cannot) => found.differs("does not compile"),
        }
    }
    if !found.differences.is_empty() {
        return found;
    }

    let request = bytes(&case["request"]).repeat(answers.len());
    let log = Log::new();
    let write = log.writer();
    let expected: Vec<Value> =
        answers.iter().flatten().filter(|(step, _)| step.returns()).map(|(_, returns)| (*returns).clone()).collect();
    let steps: Vec<Vec<Step>> =
        answers.into_iter().map(|steps| steps.into_iter().map(|(step, _)| step).collect()).collect();
    let steps = Cell::new(steps.into_iter());
    let (simulation, worker) = serve(move |connection, _| {
        let mut rest = steps.take();
        let now = rest.next();
        steps.set(rest);
        for step in now.into_iter().flatten() {
            write(match step {
                Step::Send(message) => returned(message.send(connection)),
                Step::SendRaw(bytes) => returned(connection.send_raw(bytes)),
                Step::End(message) => {
                    message.end(connection);
                    Value::Null
                }
                Step::SetHeaders(headers) => {
                    connection.set_headers(&borrowed(&headers));
                    continue;
                }
                Step::Close(message) => {
                    match message {
                        Some(message) => message.close(connection),
                        None => connection.close(),
                    }
                    Value::Null
                }
            });
        }
    });
    let has_files = !list(&case["files"]).is_empty();
    if has_files {
        simulation.advance(UNTIL_THE_RECORDING);
    }
    let (peer, wire) = exchange(&simulation, worker, request);
    let returned = log.take();
    if returned != expected && !has_files {
        found.differs(format!("returns {}", Value::Array(returned)));
    }
    let php = lines(&recorded(&bytes(&case["wire"])));
    let mut ours = lines(&as_php(&wire));
    if has_files {
        ours.retain(|line| !line.starts_with("ETag: \\\""));
        for line in &mut ours {
            if line.starts_with("Content-Type: text/") && !line.ends_with("/html;charset=utf-8") {
                line.truncate(line.trim_end_matches(";charset=utf-8").len());
            }
        }
    }
    for change in super::changes(&php, &ours) {
        found.differs(change);
    }
    let end = if peer.is_finished() { "eof" } else { "open" };
    if case["end"] != end {
        found.differs(end);
    }
    found
}

/// Our bytes without what the rules take off.
pub(crate) fn as_php(wire: &[u8]) -> String {
    let wire = without_additions(wire);
    let Some((head, body)) = wire.split_once("\r\n\r\n") else {
        return wire;
    };
    let head = format!("{head}\r\n");
    if !STREAM_LINES.iter().all(|line| head.contains(line)) {
        return wire;
    }
    let head = STREAM_LINES.iter().fold(head, |head, line| head.replacen(line, "", 1));
    let (chunks, _) = chunks(&super::latin1(body));
    format!("{head}\r\n{}", recorded(&chunks.concat()))
}

/// Lines as the list names them: without CRLF at the end, everything else escaped; long ones by their length.
pub(crate) fn lines(wire: &str) -> Vec<String> {
    let show = |line: &str| match line.len() {
        0..200 => line.escape_default().to_string(),
        length => format!("{} and so on, {length} bytes", line.chars().take(20).collect::<String>()),
    };
    wire.split_inclusive('\n').map(|line| show(line.strip_suffix("\r\n").unwrap_or(line))).collect()
}
