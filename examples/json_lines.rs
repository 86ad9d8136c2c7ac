//! A protocol of one's own, the one of PHP Workerman's manual: JSON by the line. `cargo run --example json_lines`, then
//! `echo '{"a": [1, 2]}' | nc 127.0.0.1 1234`.

use serde_json::{Value, json};
use workerman::{Encode, Encoded, Output, PROTOCOL_FAIL, Protocol, Result, Worker};

/// PHP's class `Protocols\JsonNL`.
#[derive(Default)]
struct JsonNl {
    /// So many bytes have been searched for the end of the line, so each is looked at once.
    scanned: usize,
}

impl Protocol for JsonNl {
    type Message = Value;

    const SCHEME: &'static str = "JsonNL";

    fn input(&mut self, buffer: &[u8]) -> Result<Option<usize>> {
        let new = buffer.get(self.scanned..).unwrap_or_default();
        let length = new.iter().position(|byte| *byte == b'\n').map(|at| self.scanned + at + 1);
        self.scanned = if length.is_some() { 0 } else { buffer.len() };
        Ok(length)
    }

    fn decode(&mut self, package: &[u8]) -> Result<Value> {
        Ok(serde_json::from_slice(package)?)
    }
}

impl Encode<Value> for JsonNl {
    fn encode(&mut self, message: Value, output: &mut Output<'_>) -> Encoded {
        serde_json::to_writer(&mut *output, &message).map(|()| output.bytes(b"\n")).into()
    }
}

fn main() -> Result<()> {
    env_logger::init();
    let address = std::env::var("ADDRESS").unwrap_or_else(|_| "127.0.0.1:1234".to_owned());
    let worker = Worker::<JsonNl>::new(&format!("JsonNL://{address}"));
    worker.on_worker_start(|worker| println!("listening on {:?}", worker.local_addr()));

    worker.on_connect(|connection| connection.set_max_package_size(64 * 1024));
    worker.on_message(|connection, message| connection.send(json!({ "code": 0, "msg": "ok", "data": message })));
    worker.on_error(|connection, code, text| {
        if code == PROTOCOL_FAIL {
            println!("{}: {text}", connection.remote_address());
        }
    });

    Worker::run_all()
}
