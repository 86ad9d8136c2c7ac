//! A directory over HTTP: `cargo run --example static_files -- 127.0.0.1:8080 .`, then open it in a browser.

use workerman::{Http, Response, Worker};

fn main() -> workerman::Result<()> {
    env_logger::init();
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let root = arguments.next().unwrap_or_else(|| ".".to_owned());
    let worker = Worker::<Http>::new(&address);
    worker.on_worker_start(|worker| println!("listening on {:?}", worker.local_addr()));
    worker
        .on_message(move |connection, request| connection.send(Response::static_file(&request, &root, request.path())));
    Worker::run_all()
}
