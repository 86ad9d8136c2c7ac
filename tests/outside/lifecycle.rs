//! The server that `tests/process.rs` starts and signals: it prints what happens to it. An example only so that cargo
//! builds it as a program, because signals belong to the main thread, which no `#[test]` runs on.
//!
//! `GET /stop` ends the loop; with `MODE=stay` the process stays for a while after that, with `MODE=twice` a loop has run
//! and ended before.

use std::io::{Write, stdout};
use std::time::Duration;

use workerman::{Http, Timer, Worker};

fn main() -> workerman::Result<()> {
    env_logger::init();
    let address = std::env::var("ADDRESS").unwrap_or_else(|_| "127.0.0.1:0".to_owned());
    let mode = std::env::var("MODE").unwrap_or_default();
    if mode == "twice" {
        Timer::delay(0, Worker::stop_all);
        Worker::run_all()?;
    }

    let worker = Worker::<Http>::new(&address);
    worker.on_worker_start(|worker| say(&format!("start {:?}", worker.local_addr())));
    worker.on_worker_stop(|worker| say(&format!("stop with {} connections", worker.connections().count())));
    worker.on_connect(|_| say("connect"));
    worker.on_close(|_| say("close"));
    worker.on_message(|connection, request| {
        if request.path() == "/stop" {
            Worker::stop_all();
        }
        connection.send("ok\n")
    });
    Worker::run_all()?;
    say("returned");
    if mode == "stay" {
        std::thread::sleep(Duration::from_secs(30));
    }
    Ok(())
}

/// A reader that has gone is no reason to fail.
fn say(line: &str) {
    let _ = writeln!(stdout(), "{line}");
}
