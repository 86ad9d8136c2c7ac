//! WebSocket: the app and its peer do what they did in PHP; what the app saw and what the peer got are compared.
//!
//! By rule, not by entry:
//! * callbacks never nest, as for connections (see `timeline`);
//! * the answer to a handshake has its lines in any order, `Switching Protocols` with its `s`, and no
//!   `Sec-WebSocket-Version`, which is for refusals;
//! * of a refusal the status and `Sec-WebSocket-Version` are compared: PHP sends a page of HTML or nothing;
//! * PHP's strings are text unless `websocketType` says otherwise, and so are those that the app sends here.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use serde_json::{Value, json};
use workerman::testing::Simulation;
use workerman::{Message, Response, TcpConnection, Websocket, WebsocketType, Worker};

use super::responses::{self, returned};
use super::timeline::{Recording, show};
use super::{Findings, bytes, list, recorded};

const AFTER_SEGMENT: Duration = Duration::from_millis(80);
const SILENCE: Duration = Duration::from_millis(350);
const AFTER_EOF: Duration = Duration::from_millis(1500);

struct App {
    on: Value,
    events: Cell<Vec<Value>>,
    counts: Cell<BTreeMap<String, u64>>,
    cannot: Cell<bool>,
}

impl App {
    fn log(&self, entry: Value) {
        let mut events = self.events.take();
        events.push(entry);
        self.events.set(events);
    }

    fn install(self: &Rc<Self>, worker: Worker<Websocket>, max_package_size: Option<usize>) {
        let app = Rc::clone(self);
        worker.on_connect(move |connection| {
            if let Some(size) = max_package_size {
                connection.set_max_package_size(size);
            }
            if !app.on["connect"].is_null() {
                app.event(connection, "connect", json!({ "on": "onConnect" }), None);
            }
        });
        let app = Rc::clone(self);
        worker.on_websocket_connect(move |connection, request| {
            let entry = json!({ "on": "onWebSocketConnect", "path": request.path() });
            app.event(connection, "webSocketConnect", entry, None);
        });
        let app = Rc::clone(self);
        worker.on_websocket_connected(move |connection, _| {
            app.event(connection, "webSocketConnected", json!({ "on": "onWebSocketConnected" }), None);
        });
        if !self.on["message"].is_null() {
            let app = Rc::clone(self);
            worker.on_message(move |connection, message| {
                let entry = json!({ "on": "onMessage", "data": recorded(&message) });
                app.event(connection, "message", entry, Some(message));
            });
        }
        if !self.on["webSocketPing"].is_null() {
            let app = Rc::clone(self);
            worker.on_websocket_ping(move |connection, payload| {
                let entry = json!({ "on": "onWebSocketPing", "data": recorded(payload) });
                app.event(connection, "webSocketPing", entry, None);
            });
        }
        if !self.on["webSocketClose"].is_null() {
            let app = Rc::clone(self);
            worker.on_websocket_close(move |connection, _, _| {
                app.event(connection, "webSocketClose", json!({ "on": "onWebSocketClose" }), None);
            });
        }
        let app = Rc::clone(self);
        worker.on_close(move |connection| app.event(connection, "close", json!({ "on": "onClose" }), None));
    }

    fn event(&self, connection: TcpConnection<Websocket>, event: &str, entry: Value, message: Option<Message>) {
        self.log(entry);
        self.run(connection, &self.on[event], message.as_ref());
    }

    fn run(&self, connection: TcpConnection<Websocket>, ops: &Value, message: Option<&Message>) {
        for op in list(ops) {
            self.operate(connection, op, message);
        }
    }

    fn operate(&self, connection: TcpConnection<Websocket>, op: &Value, message: Option<&Message>) {
        let name = op[0].as_str().expect("an operation");
        let mut entry = json!({ "op": name });
        match name {
            "nth" => {
                let mut counts = self.counts.take();
                let count = counts.entry(op[1].to_string()).or_default();
                *count += 1;
                let is_nth = op[2] == *count;
                self.counts.set(counts);
                if is_nth {
                    self.run(connection, &op[3], message);
                }
                return;
            }
            "set" if op[1] == "headers" => {
                let lines = list(&op[2]["map"]).iter().filter_map(|line| line[1].as_str()?.split_once(": "));
                let lines: Vec<_> = lines.collect();
                connection.send(Response::new(101, &lines, ""));
                return;
            }
            "set" => {
                let binary = bytes(&op[2]["bytes"])[0] & 0xf == 2;
                let kind = if binary { WebsocketType::Binary } else { WebsocketType::Text };
                return connection.set_websocket_type(kind);
            }
            "echo" => entry["ret"] = returned(connection.send(message.expect("a message"))),
            "send" | "close" if !op[1].is_null() => {
                let Ok(responses::Message::Bytes(bytes)) = responses::Message::new(&op[1]) else {
                    return self.cannot.set(true);
                };
                let text = String::from_utf8(bytes);
                match (name, text) {
                    ("send", Ok(text)) => entry["ret"] = returned(connection.send(text)),
                    ("send", Err(error)) => entry["ret"] = returned(connection.send(error.into_bytes())),
                    (_, Ok(text)) => connection.close_with(text),
                    (_, Err(error)) => connection.close_with(error.into_bytes()),
                }
            }
            "send_raw" => entry["ret"] = returned(connection.send_raw(bytes(&op[1]["value"]))),
            "close_raw" => {
                connection.send_raw(bytes(&op[1]["value"]));
                connection.close();
            }
            "close" => connection.close(),
            "log" => entry["text"] = op[1].clone(),
            _ => unreachable!("{op}"),
        }
        self.log(entry);
    }
}

pub(crate) fn replay(case: &Value) -> Findings {
    let simulation = Simulation::new();
    let worker = Worker::new("");
    let app = Rc::new(App {
        on: case["on"].clone(),
        events: Cell::default(),
        counts: Cell::default(),
        cannot: Cell::default(),
    });
    let size = case["connection_props"]["maxPackageSize"].as_u64();
    app.install(worker, size.map(|size| usize::try_from(size).expect("it fits")));
    let (wire, end) = act(&simulation, worker, case);

    let mut found = Findings::default();
    if app.cannot.get() {
        found.differs("does not compile");
        return found;
    }
    let mut timeline = case.clone();
    timeline["timeline"] = timeline["events"].take();
    for entry in timeline["timeline"].as_array_mut().into_iter().flatten().filter(|entry| entry["data"].is_object()) {
        entry["data"] = Value::from(recorded(&bytes(&entry["data"])));
    }
    let (php, ours) = (show(&Recording::in_order(&timeline)), show(&app.events.take()));
    for change in super::changes(&php, &ours) {
        found.differs(change);
    }
    if case["handshake_reply"].is_null() || !wire.starts_with(b"HTTP/1.1 101 ") {
        let php = if case["handshake_reply"].is_null() { &case["wire"] } else { &case["handshake_reply"] };
        compare(&refusal(&bytes(php)), &refusal(&wire), &mut found);
    } else {
        let end = wire.windows(4).position(|four| four == b"\r\n\r\n").map_or(wire.len(), |at| at + 4);
        let (reply, frames) = wire.split_at(end);
        compare(&reply_lines(&bytes(&case["handshake_reply"])), &reply_lines(reply), &mut found);
        let php = bytes(&case["frames"]);
        if php != frames {
            compare(&describe(&php), &describe(frames), &mut found);
        }
    }
    if case["end"] != end {
        found.differs(end);
    }
    found
}

fn compare(php: &[String], ours: &[String], found: &mut Findings) {
    for change in super::changes(php, ours) {
        found.differs(change);
    }
}

/// All that the peer got, and how it ended.
fn act(simulation: &Simulation, worker: Worker<Websocket>, case: &Value) -> (Vec<u8>, &'static str) {
    let peer = simulation.connect(worker);
    let mut wire = Vec::new();
    for segment in list(&case["segments"]) {
        peer.write(bytes(segment));
        simulation.advance(AFTER_SEGMENT);
        wire.extend(peer.read());
    }
    if !case["then"].is_null() {
        peer.finish();
        simulation.advance(AFTER_EOF);
        return (wire, "closed_by_peer");
    }
    simulation.advance(SILENCE);
    wire.extend(peer.read());
    let end = if peer.is_finished() { "eof" } else { "open" };
    peer.finish();
    simulation.advance(AFTER_EOF);
    (wire, end)
}

/// The lines of an answer to a handshake, in order of the alphabet.
fn reply_lines(reply: &[u8]) -> Vec<String> {
    let reply = recorded(reply).replace("Switching Protocol\r\n", "Switching Protocols\r\n");
    let lines = reply.split_terminator("\r\n").filter(|line| *line != "Sec-WebSocket-Version: 13");
    let mut lines: Vec<_> = lines.map(str::to_owned).collect();
    lines.sort();
    lines
}

/// What is compared of a refusal.
fn refusal(answer: &[u8]) -> Vec<String> {
    let answer = recorded(answer);
    let lines = answer.split("\r\n").enumerate();
    let lines = lines.filter(|(nth, line)| *nth == 0 || line.starts_with("Sec-WebSocket-Version"));
    lines.map(|(_, line)| line.to_owned()).filter(|line| !line.is_empty()).collect()
}

/// Frames in words; long payloads by their length.
fn describe(mut bytes: &[u8]) -> Vec<String> {
    let mut frames = Vec::new();
    while let [first, second, rest @ ..] = bytes {
        let (length, rest) = match second {
            126 => (usize::from(u16::from_be_bytes([rest[0], rest[1]])), &rest[2..]),
            127 => {
                (usize::try_from(u64::from_be_bytes(rest[..8].try_into().expect("8"))).expect("it fits"), &rest[8..])
            }
            length => (usize::from(*length), rest),
        };
        let (payload, behind) = rest.split_at(length);
        frames.push(match (first, payload) {
            (0x88, [high, low, ..]) => format!("close {}", u16::from_be_bytes([*high, *low])),
            (_, payload) if payload.len() > 40 => format!("{first:x} of {length}"),
            (_, payload) => format!("{first:x} {}", payload.escape_ascii()),
        });
        bytes = behind;
    }
    frames
}
