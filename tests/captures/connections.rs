//! Connections: the app and its peer do what they did in PHP, and the order of everything is compared.
//!
//! By rule, not by entry:
//! * callbacks never nest: what PHP runs inside an operation, we run after the callback, in the same order (see
//!   `timeline`);
//! * `Sent` is PHP's `true`, `Queued` its `null`, `Dropped` and `Closed` its `false`;
//! * bytes are compared as answers are (see `responses`).

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use serde_json::{Value, json};
use workerman::testing::{Peer, Simulation};
use workerman::{Codec, Encode, Http, Status, Tcp, TcpConnection, Text, Timer, TimerId, Worker};

use super::responses::{Message, as_php, lines, returned};
use super::timeline::{Recording, show};
use super::{Findings, bytes, list, recorded};

/// So long the recorder waited after each step of the peer; it says about 80 ms, and 80 would meet timers.
const AFTER_STEP: Duration = Duration::from_millis(75);
const SILENCE: Duration = Duration::from_millis(350);
/// Longer than a connection lingers.
const AFTER_EOF: Duration = Duration::from_millis(1500);
/// What the kernel's buffers were to PHP.
const WINDOW: usize = 1 << 20;
const FILL: usize = 64 * 1024;
/// The recorder looked for an answer after each `send`, but did not read on.
const LOOK: usize = 4096;

/// Operations and settings that do not exist yet; a case that needs one is not replayed.
const LATER: [(&str, &str); 3] =
    [("open", "client connections"), ("pipe_backend", "pipe"), ("error_handler", "error_handler")];

/// A protocol whose cases are replayed.
trait Replayed: Codec + for<'a> Encode<&'a [u8]> {
    /// A message as the recorder writes it, and what `if_data` compares.
    fn describe(message: &Self::Message) -> (Value, String);
}

impl Replayed for Tcp {
    fn describe(message: &Vec<u8>) -> (Value, String) {
        let text = recorded(message);
        (Value::from(text.clone()), text)
    }
}

impl Replayed for Text {
    fn describe(line: &String) -> (Value, String) {
        (Value::from(line.clone()), line.clone())
    }
}

impl Replayed for Http {
    fn describe(request: &workerman::Request) -> (Value, String) {
        (json!({ "method": request.method(), "uri": request.uri() }), request.path().to_owned())
    }
}

/// What callbacks share.
#[derive(Default)]
struct Kept<T>(Cell<T>);

impl<T: Default> Kept<T> {
    fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        let mut value = self.0.take();
        let result = f(&mut value);
        self.0.set(value);
        result
    }
}

struct App<P> {
    worker: Worker<P>,
    on: Value,
    timeline: Kept<Vec<Value>>,
    timers: Kept<BTreeMap<String, TimerId>>,
    counts: Kept<BTreeMap<String, u64>>,
    later: Kept<Vec<&'static str>>,
}

type Handle<P> = Option<TcpConnection<P>>;

impl<P: Replayed> App<P> {
    fn log(&self, entry: Value) {
        self.timeline.with(|timeline| timeline.push(entry));
    }

    fn install(self: &Rc<Self>) {
        let worker = self.worker;
        let app = |event: &str| self.on.get(event).is_some().then(|| Rc::clone(self));
        if let Some(app) = app("workerStart") {
            worker.on_worker_start(move |_| app.run(None, &app.on["workerStart"], ""));
        }
        if let Some(app) = app("connect") {
            worker.on_connect(move |connection| app.event(connection, "connect", "onConnect"));
        }
        if let Some(app) = app("close") {
            worker.on_close(move |connection| app.event(connection, "close", "onClose"));
        }
        if let Some(app) = app("bufferFull") {
            worker.on_buffer_full(move |connection| app.event(connection, "bufferFull", "onBufferFull"));
        }
        if let Some(app) = app("bufferDrain") {
            worker.on_buffer_drain(move |connection| app.event(connection, "bufferDrain", "onBufferDrain"));
        }
        if let Some(app) = app("error") {
            worker.on_error(move |connection, code, text| {
                app.log(json!({ "on": "onError", "code": code, "msg": text }));
                app.run(Some(connection), &app.on["error"], "");
            });
        }
        if let Some(app) = app("message") {
            worker.on_message(move |connection, message| {
                let (data, text) = P::describe(&message);
                app.log(json!({ "on": "onMessage", "data": data }));
                app.run(Some(connection), &app.on["message"], &text);
            });
        }
    }

    fn event(self: &Rc<Self>, connection: TcpConnection<P>, event: &str, name: &str) {
        self.log(json!({ "on": name }));
        self.run(Some(connection), &self.on[event], "");
    }

    fn run(self: &Rc<Self>, connection: Handle<P>, ops: &Value, data: &str) {
        for op in list(ops) {
            self.operate(connection, op, data);
        }
    }

    fn operate(self: &Rc<Self>, connection: Handle<P>, op: &Value, data: &str) {
        let name = op[0].as_str().expect("an operation");
        match name {
            "nth" => {
                let count = self.counts.with(|counts| {
                    let count = counts.entry(op[1].to_string()).or_default();
                    *count += 1;
                    *count
                });
                if op[2] == count {
                    self.run(connection, &op[3], data);
                }
            }
            "if_data" if op[1] == data => self.run(connection, &op[2], data),
            "if_data" => {}
            "unset_cb" => {
                assert_eq!(op[1], "onBufferDrain");
                self.worker.on_buffer_drain(|_| {});
            }
            "timer" => {
                let label = op[1].as_str().expect("a label").to_owned();
                let (app, ops, known) = (Rc::clone(self), op[4].clone(), label.clone());
                let fire = move || {
                    app.log(json!({ "on": "timer", "label": known }));
                    app.run(connection, &ops, "");
                };
                let seconds = op[2].as_f64().expect("seconds");
                let id = if op[3] == true { Timer::add(seconds, fire) } else { Timer::delay(seconds, fire) };
                self.log(json!({ "op": name, "label": label }));
                self.timers.with(|timers| timers.insert(label, id));
            }
            "timer_del" => {
                let id = self.timers.with(|timers| timers.get(op[1].as_str().unwrap_or_default()).copied());
                self.log(json!({ "op": name, "label": op[1], "ret": id.is_some_and(Timer::del) }));
            }
            "timer_del_all" => {
                Timer::del_all();
                self.log(json!({ "op": name }));
            }
            "timer_throw" => {
                let app = Rc::clone(self);
                Timer::delay(op[1].as_f64().expect("seconds"), move || app.log(json!({ "on": "timer" })));
                self.log(json!({ "op": name }));
            }
            "log" => self.log(json!({ "op": name, "text": op[1] })),
            _ => self.operate_on(connection.expect("a connection"), name, op),
        }
    }

    fn operate_on(&self, connection: TcpConnection<P>, name: &str, op: &Value) {
        let x = || bytes(&op[1]["value"]);
        let mut entry = json!({ "op": name });
        match name {
            "send" => {
                let Ok(Message::Bytes(bytes)) = Message::new(&op[1]) else { unreachable!("{op}") };
                entry["ret"] = returned(connection.send(bytes.as_slice()));
            }
            "send_raw" => entry["ret"] = returned(connection.send_raw(x())),
            "end" if op[1].is_null() => connection.end(),
            "end" => connection.end_with(x().as_slice()),
            "close" if op[1].is_null() => connection.close(),
            "close" => connection.close_with(x().as_slice()),
            "broadcast" => {
                for other in self.worker.connections() {
                    other.send(x().as_slice());
                }
            }
            "status" => entry["ret"] = Value::from(connection.status().to_string()),
            "connections_count" => entry["ret"] = Value::from(self.worker.connections().count()),
            "queue" => {
                let size = connection.send_buffer_queue_size();
                entry["empty"] = Value::from(size == 0);
                entry["ge_max"] = Value::from(size >= connection.max_send_buffer_size());
            }
            "fill" => {
                let status = loop {
                    let status = returned(connection.send_raw(vec![b'f'; FILL]));
                    if status != true {
                        break status;
                    }
                };
                entry["ret"] = status;
            }
            "set" if op[1] == "maxSendBufferSize" => {
                connection.set_max_send_buffer_size(usize::try_from(op[2].as_u64().expect("a size")).expect("it fits"));
                return;
            }
            "call" | "prop" => {
                let member = op[1].as_str().expect("a member");
                match self.member(connection, member, op) {
                    Ok(value) => entry["ret"] = value,
                    Err(member) => return self.later.with(|later| later.push(member)),
                }
                entry[if name == "call" { "method" } else { "prop" }] = Value::from(member);
            }
            _ => unreachable!("{op}"),
        }
        self.log(entry);
    }

    /// What a method or a property says; `Err` is the name of a member that does not exist yet.
    fn member(&self, connection: TcpConnection<P>, member: &str, op: &Value) -> Result<Value, &'static str> {
        Ok(match member {
            "destroy" | "pauseRecv" | "resumeRecv" => {
                match member {
                    "destroy" => connection.destroy(),
                    "pauseRecv" => connection.pause_recv(),
                    _ => connection.resume_recv(),
                }
                Value::Null
            }
            "getRemoteIp" => Value::from(connection.remote_ip()),
            "getLocalIp" => Value::from(connection.local_ip()),
            "getLocalPort" => Value::from(connection.local_port()),
            "getLocalAddress" => Value::from(connection.local_address()),
            "isIpV4" => Value::from(connection.is_ipv4()),
            "isIpV6" => Value::from(connection.is_ipv6()),
            "getSendBufferQueueSize" => Value::from(connection.send_buffer_queue_size()),
            "bufferIsEmpty" => Value::from(connection.send_buffer_queue_size() == 0),
            "getStatus" if op[2] == false => Value::from(connection.status().to_string()),
            "getStatus" => Value::from(if connection.status() == Status::Established { 2 } else { -1 }),
            "maxSendBufferSize" => Value::from(connection.max_send_buffer_size()),
            "maxPackageSize" => Value::from(connection.max_package_size()),
            "id" => Value::from(connection.id()),
            "getRecvBufferQueueSize" => return Err("recv_buffer_queue_size"),
            "transport" => return Err("transport"),
            "protocol" => return Err("protocol"),
            "lingerTimeout" => return Err("linger_timeout"),
            _ => unreachable!("{member}"),
        })
    }
}

pub(crate) fn replay(case: &Value) -> Findings {
    let words = format!("{} {}", case["on"], case["connection_props"]);
    let mut found = Findings::default();
    for (word, member) in LATER {
        if words.contains(&format!("[\"{word}\"")) || words.contains(&format!("{{\"{word}\"")) {
            found.later.insert(member);
        }
    }
    match case["listen"].as_str() {
        _ if !found.later.is_empty() => {}
        Some("tcp") => replay_on::<Tcp>(case, &mut found),
        Some("http") => replay_on::<Http>(case, &mut found),
        Some("text") => replay_on::<Text>(case, &mut found),
        other => panic!("{other:?} is not known"),
    }
    found
}

fn replay_on<P: Replayed>(case: &Value, found: &mut Findings) {
    let simulation = Simulation::new();
    let worker = Worker::<P>::new("");
    let app = Rc::new(App {
        worker,
        on: case["on"].clone(),
        timeline: Kept::default(),
        timers: Kept::default(),
        counts: Kept::default(),
        later: Kept::default(),
    });
    app.install();
    simulation.start().expect("no listener can fail");
    let (wire, end) = act(&simulation, &app, case);
    found.later.extend(app.later.with(std::mem::take));

    let mut php = Recording::in_order(case);
    php.retain(|entry| !is_later(entry));
    let (php, ours) = (show(&php), show(&app.timeline.with(std::mem::take)));
    for change in super::changes(&php, &ours) {
        found.differs(change);
    }
    if case["end_varies"] == true {
        return;
    }
    if !is_wire(&case["wire"], &wire) {
        for change in super::changes(&lines(&recorded(&bytes(&case["wire"]))), &lines(&as_php(&wire))) {
            found.differs(format!("wire {change}"));
        }
    }
    if case["end"] != end {
        found.differs(end);
    }
}

fn act<P: Replayed>(simulation: &Simulation, app: &Rc<App<P>>, case: &Value) -> (Vec<u8>, &'static str) {
    let milliseconds = |value: &Value| Duration::from_millis(value.as_u64().unwrap_or_default());
    let mut wire = Vec::new();
    let mut peer: Option<Peer> = None;
    let mut is_closed = false;
    let connect = || {
        app.log(json!({ "peer": ["connect"] }));
        let peer = simulation.connect(app.worker);
        peer.set_window(WINDOW);
        if let (Some(seconds), Some(connection)) =
            (case["connection_props"]["lingerTimeout"].as_f64(), app.worker.connections().next())
        {
            connection.set_linger_timeout(seconds);
        }
        if let (Some(size), Some(connection)) =
            (case["connection_props"]["maxSendBufferSize"].as_u64(), app.worker.connections().next())
        {
            connection.set_max_send_buffer_size(usize::try_from(size).expect("it fits"));
        }
        peer
    };
    for step in list(&case["peer"]) {
        let name = step[0].as_str().expect("a step");
        if name == "no_connect" {
            simulation.advance(AFTER_EOF);
            app.log(json!({ "peer": step }));
            return (wire, "closed_by_peer");
        }
        let known = peer.is_some();
        let peer = peer.get_or_insert_with(connect);
        if name == "connect" {
            assert!(!known);
            simulation.advance(AFTER_STEP);
            continue;
        }
        app.log(json!({ "peer": step }));
        match name {
            "send" => peer.write(bytes(&step[1])),
            "half_close" => peer.finish(),
            "close" => {
                peer.finish();
                is_closed = true;
            }
            "sleep" => simulation.advance(milliseconds(&step[1])),
            "read" => {
                let start = wire.len();
                loop {
                    let before = wire.len();
                    simulation.run();
                    wire.extend(peer.read());
                    if wire.len() == before {
                        break;
                    }
                }
                // Reading takes no time here, waiting for more does: some of it, if there was something.
                let idle = if step[2].is_null() || wire.len() == start { &step[1] } else { &step[2] };
                // The recorder stopped at the end of the stream.
                if !peer.is_finished() {
                    simulation.advance(milliseconds(idle));
                }
            }
            _ => unreachable!("{step}"),
        }
        if !matches!(name, "sleep" | "read") {
            simulation.advance(AFTER_STEP);
        }
        if name == "send" {
            wire.extend(peer.read_at_most(LOOK));
        }
    }
    if is_closed {
        simulation.advance(AFTER_EOF);
        return (wire, "closed_by_peer");
    }
    let peer = peer.expect("a peer");
    loop {
        simulation.advance(SILENCE);
        let piece = peer.read();
        if piece.is_empty() {
            break;
        }
        wire.extend(piece);
    }
    let end = if peer.is_finished() { "eof" } else { "open" };
    if end == "eof" {
        simulation.advance(AFTER_EOF);
    }
    app.log(json!({ "peer": ["close_at_end"] }));
    peer.finish();
    simulation.advance(AFTER_STEP);
    (wire, end)
}

/// Whether the bytes are PHP's, where `"n": null` stands for any number.
fn is_wire(php: &Value, ours: &[u8]) -> bool {
    match list(php) {
        [filling, rest @ ..] if filling.is_object() && filling["n"].is_null() => {
            let rest: Vec<_> = rest.iter().flat_map(bytes).collect();
            let fill = bytes(&filling["r"]);
            ours.strip_suffix(rest.as_slice())
                .is_some_and(|filled| filled.chunks(fill.len()).all(|piece| piece == fill))
        }
        _ => bytes(php) == ours || recorded(&bytes(php)) == as_php(ours),
    }
}

/// Entries of members that do not exist yet.
fn is_later(entry: &Value) -> bool {
    let members = ["getRecvBufferQueueSize", "transport", "protocol", "lingerTimeout"];
    members.iter().any(|member| entry["method"] == *member || entry["prop"] == *member)
}
