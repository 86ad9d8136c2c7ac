//! Talks with a WebSocket server: `cargo run --example websocket_client`, with `cargo run --example websocket_echo` in another
//! terminal.
//!
//! It says what it is told on the way, comes back when it is cut off, and asks whether the server is there when that is silent.

use workerman::{AsyncTcpConnection, Timer, Worker, Ws};

fn main() -> workerman::Result<()> {
    env_logger::init();
    let address = std::env::var("ADDRESS").unwrap_or_else(|_| "127.0.0.1:9001".to_owned());
    let worker = Worker::<Ws>::new("");

    worker.on_worker_start(move |_| {
        let server = AsyncTcpConnection::<Ws>::new(&format!("ws://{address}/?from=example"));
        server.set_ping_interval(30);
        server.on_websocket_connect(|server, answer| {
            println!("let in with {}", answer.status());
            server.send("hello")
        });
        server.on_message(|_, message| println!("it says {message}"));
        server.on_websocket_close(|_, code, reason| println!("it closes: {code} {reason}"));
        server.on_error(|_, _, text| println!("{text}"));
        server.on_close(|server| server.reconnect(1));
        server.connect();
        Timer::add(10, move || server.send("still here"));
    });

    Worker::run_all()
}
