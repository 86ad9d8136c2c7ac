//! Gives back what it is told: `cargo run --release --example websocket_echo --features deflate`.
//!
//! Each message as what it was, text or bytes, as the Autobahn|Testsuite wants it.

use workerman::{TcpConnection, Websocket, Worker};

fn main() -> workerman::Result<()> {
    env_logger::init();
    let address = std::env::var("ADDRESS").unwrap_or_else(|_| "127.0.0.1:9001".to_owned());
    // The longest message of the suite is 16 MiB.
    TcpConnection::set_default_max_package_size(17 << 20);
    let worker = Worker::<Websocket>::new(&format!("websocket://{address}"));

    worker.on_worker_start(|worker| {
        if let Some(address) = worker.local_addr() {
            println!("listening on ws://{address}");
        }
    });

    worker.on_message(|connection, message| connection.send(message));

    Worker::run_all()
}
