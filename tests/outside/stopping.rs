//! The server that `tests/process_stops.rs` stops in the middle of things. An example only so that cargo builds it as a
//! program, because signals belong to the main thread, which no `#[test]` runs on.

use std::io::{Write, stdout};
use std::process::ExitCode;

use workerman::{Http, Response, ServerSentEvents, Worker};

/// More than any socket's buffers hold.
const LARGE: usize = 32 << 20;

fn main() -> workerman::Result<ExitCode> {
    env_logger::init();
    let address = std::env::var("ADDRESS").unwrap_or_else(|_| "127.0.0.1:0".to_owned());
    let worker = Worker::<Http>::new(&address);
    worker.on_worker_start(|worker| say(&format!("start {:?}", worker.local_addr())));
    worker.on_worker_stop(|_| say("stop"));
    worker.on_message(|connection, request| match request.path() {
        "/never" => {}
        "/late" => {
            let seconds: f64 = request.get("seconds").and_then(|seconds| seconds.parse().ok()).unwrap_or(0.0);
            connection.add_timer(seconds, move || connection.send("late"));
        }
        "/large" => drop(connection.send(vec![b'x'; LARGE])),
        "/events" => {
            connection.send(Response::new(200, &[("Content-Type", "text/event-stream")], ""));
            connection.send(ServerSentEvents::new().data("one").id(1));
        }
        "/code" => {
            Worker::stop_all_with_code(3);
            connection.send("ok\n");
        }
        _ => drop(connection.send("ok\n")),
    });
    Worker::run_all()?;
    say("returned");
    Ok(Worker::exit_code())
}

/// A reader that has gone is no reason to fail.
fn say(line: &str) {
    let _ = writeln!(stdout(), "{line}");
}
