//! Lines, frames and plain bytes: what `on_message` receives, and what the peer does.

use std::time::Duration;

use serde_json::Value;
use workerman::testing::Simulation;
use workerman::{Codec, Encode, Frame, SendStatus, Tcp, TcpConnection, Text, Worker};

use super::common::Log;
use super::{Findings, bytes, list};

const BETWEEN_SEGMENTS: Duration = Duration::from_millis(80);
const SILENCE: Duration = Duration::from_millis(350);

pub(crate) fn replay(case: &Value) -> Findings {
    match case["protocol"].as_str() {
        Some("text") => replay_on::<Text>(case),
        Some("frame") => replay_on::<Frame>(case),
        Some("tcp") => replay_on::<Tcp>(case),
        other => panic!("{other:?} is no protocol"),
    }
}

fn replay_on<P>(case: &Value) -> Findings
where
    P: Codec<Message: Into<Vec<u8>>> + Encode<Vec<u8>>,
{
    let (simulation, worker, messages, closes) =
        (Simulation::new(), Worker::<P>::new(""), Log::<Vec<u8>>::new(), Log::<()>::new());
    if let Some(limit) = case["connection_props"]["maxPackageSize"].as_u64() {
        let limit = usize::try_from(limit).expect("a limit that fits");
        worker.on_connect(move |connection| connection.set_max_package_size(limit));
    }
    let (steps, write) = (case["on_message"].clone(), messages.writer());
    worker.on_message(move |connection, message| {
        let message = message.into();
        write(message.clone());
        list(&steps).iter().for_each(|step| act(connection, step, &message));
    });
    let write = closes.writer();
    worker.on_close(move |_| write(()));

    let peer = simulation.connect(worker);
    for segment in list(&case["segments"]) {
        peer.write(bytes(segment));
        simulation.advance(BETWEEN_SEGMENTS);
    }
    if case["then"] == "half_close" {
        peer.finish();
    }
    simulation.advance(SILENCE);

    let mut found = Findings::default();
    let mut compare = |name: &str, php: Vec<u8>, ours: Vec<u8>| {
        if php != ours {
            found.differs(format!("{name}={}", ours.escape_ascii()));
        }
    };
    let messages: Vec<_> = messages.take().iter().map(|message| message.escape_ascii().to_string()).collect();
    let php: Vec<_> = list(&case["messages"]).iter().map(|message| bytes(message).escape_ascii().to_string()).collect();
    compare("messages", php.join("; ").into_bytes(), messages.join("; ").into_bytes());
    compare("wire", bytes(&case["wire"]), peer.read());
    if (case["end"] == "eof") != peer.is_finished() {
        found.differs(if peer.is_finished() { "eof" } else { "open" });
    }
    peer.finish();
    peer.reset();
    simulation.advance(Duration::from_secs(60));
    assert_eq!(case["on_close_called"], closes.take().len(), "once");
    found
}

fn act<P: Encode<Vec<u8>>>(connection: TcpConnection<P>, step: &Value, message: &[u8]) {
    match step[0].as_str() {
        Some("echo") => drop_status(connection.send(message.to_vec())),
        Some("send") => drop_status(connection.send(bytes(&step[1]["value"]))),
        Some("send_raw") => drop_status(connection.send_raw(bytes(&step[1]["value"]))),
        Some("close") => connection.close_with(bytes(&step[1]["value"])),
        other => panic!("{other:?} is no step"),
    }
}

fn drop_status(_: SendStatus) {}
