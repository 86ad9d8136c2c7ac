//! A directory over HTTP: `ROOT=docs cargo run --example static_files`, then open
//! <http://127.0.0.1:8080/performance.svg> in a browser.

use workerman::{Http, Response, Worker};

fn main() -> workerman::Result<()> {
    env_logger::init();
    let address = std::env::var("ADDRESS").unwrap_or_else(|_| "127.0.0.1:8080".to_owned());
    let root = std::env::var("ROOT").unwrap_or_else(|_| ".".to_owned());
    let worker = Worker::<Http>::new(&address);
    worker.on_worker_start(|worker| println!("listening on {:?}", worker.local_addr()));
    worker
        .on_message(move |connection, request| connection.send(Response::static_file(&request, &root, request.path())));
    Worker::run_all()
}
