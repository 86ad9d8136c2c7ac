//! The smallest server: `cargo run --example hello`, then `curl http://127.0.0.1:8080/`.

use workerman::{Http, Response, Worker};

fn main() -> workerman::Result<()> {
    env_logger::init();
    let address = std::env::var("ADDRESS").unwrap_or_else(|_| "127.0.0.1:8080".to_owned());
    let worker = Worker::<Http>::new(&address);
    worker.on_worker_start(|worker| println!("listening on {:?}", worker.local_addr()));
    worker.on_message(|connection, request| {
        let name = request.get("name").unwrap_or("world");
        // Text that is sent as it is goes out as HTML, as in PHP. What a client says must not be a part of that.
        connection.send(Response::new(200, &[("Content-Type", "text/plain;charset=utf-8")], format!("hello {name}\n")))
    });
    Worker::run_all()
}
