//! Answers datagrams: `cargo run --example udp_echo -- 127.0.0.1:9000`, then `socat - udp:127.0.0.1:9000`.

use workerman::{Tcp, UdpWorker, Worker};

fn main() -> workerman::Result<()> {
    env_logger::init();
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9000".to_owned());
    let worker = UdpWorker::<Tcp>::new(&format!("udp://{address}"));

    worker.on_worker_start(|worker| {
        if let Some(address) = worker.local_addr() {
            println!("listening on udp://{address}");
        }
    });

    worker.on_message(|connection, bytes| connection.send([b"received: ", &bytes[..]].concat()));

    Worker::run_all()
}
