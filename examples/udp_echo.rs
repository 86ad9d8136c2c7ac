//! Answers datagrams: `cargo run --example udp_echo`, then `socat - udp:127.0.0.1:9000`.

use workerman::{Tcp, UdpWorker, Worker};

fn main() -> workerman::Result<()> {
    env_logger::init();
    let address = std::env::var("ADDRESS").unwrap_or_else(|_| "127.0.0.1:9000".to_owned());
    let worker = UdpWorker::<Tcp>::new(&format!("udp://{address}"));

    worker.on_worker_start(|worker| {
        if let Some(address) = worker.local_addr() {
            println!("listening on udp://{address}");
        }
    });

    worker.on_message(|connection, bytes| connection.send([b"received: ", &bytes[..]].concat()));

    Worker::run_all()
}
