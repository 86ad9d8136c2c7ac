//! A client that comes back: `cargo run --example tcp_client_reconnect`, with `nc -lk 127.0.0.1 1234` in another terminal,
//! started later, stopped, and started again.
//!
//! What is typed there appears here. It waits one second before it tries again, then two, up to half a minute.

use std::cell::Cell;
use std::rc::Rc;

use workerman::{AsyncTcpConnection, Text, Timer, Worker};

const LONGEST: u32 = 30;

fn main() -> workerman::Result<()> {
    env_logger::init();
    let address = std::env::var("ADDRESS").unwrap_or_else(|_| "127.0.0.1:1234".to_owned());
    let worker = Worker::<Text>::new("");
    worker.on_worker_start(move |_| {
        let server = AsyncTcpConnection::<Text>::new(&address);
        let wait = Rc::new(Cell::new(1));
        let good = Rc::clone(&wait);
        server.on_connect(move |server| {
            println!("connected to {}", server.address());
            good.set(1);
            server.send("hello")
        });
        server.on_message(|_, line| println!("it says {line}"));
        server.on_error(|_, _, text| println!("{text}"));
        server.on_close(move |server| {
            println!("trying again in {} s", wait.get());
            server.reconnect(wait.get());
            wait.set(LONGEST.min(wait.get() * 2));
        });
        server.connect();
        Timer::add(10, move || server.send("still here"));
    });
    Worker::run_all()
}
