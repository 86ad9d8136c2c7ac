//! The client that the Autobahn|Testsuite's fuzzing server judges: runs all of its cases, one after the other, and gives back
//! what it is told.
//!
//! `ADDRESS=127.0.0.1:9001 cargo run --release --features deflate --example autobahn`

use std::cell::Cell;
use std::rc::Rc;

use workerman::{AsyncTcpConnection, TcpConnection, Worker, Ws};

const AGENT: &str = "workerman";

fn main() -> workerman::Result<()> {
    env_logger::init();
    // The longest message of the suite is 16 MiB.
    TcpConnection::set_default_max_package_size(17 << 20);
    TcpConnection::set_default_max_send_buffer_size(64 << 20);
    let worker = Worker::<Ws>::new("");
    worker.on_worker_start(|_| count(run));
    Worker::run_all()
}

/// A client that is to ask for this, and says what goes wrong.
fn client(uri: &str) -> AsyncTcpConnection<Ws> {
    let address = std::env::var("ADDRESS").unwrap_or_else(|_| "127.0.0.1:9001".to_owned());
    let client = AsyncTcpConnection::<Ws>::new(&format!("ws://{address}{uri}"));
    let place = uri.to_owned();
    client.on_error(move |_, code, text| eprintln!("{place}: {code} {text}"));
    client
}

/// Asks how many cases there are.
fn count(then: fn(u32, u32)) {
    let client = client("/getCaseCount");
    let count = Rc::new(Cell::new(0));
    let told = Rc::clone(&count);
    client.on_message(move |_, message| told.set(message.to_string().parse().unwrap_or(0)));
    client.on_close(move |_| then(1, count.get()));
    client.connect();
}

/// Runs a case, then those that follow it.
fn run(case: u32, last: u32) {
    if case > last {
        return report();
    }
    let client = client(&format!("/runCase?case={case}&agent={AGENT}"));
    client.on_message(|client, message| client.send(message));
    client.on_close(move |_| run(case + 1, last));
    client.connect();
}

/// Has the reports written.
fn report() {
    let client = client(&format!("/updateReports?agent={AGENT}"));
    client.on_close(|_| Worker::stop_all());
    client.connect();
}
