//! Several processes on one port, with a master that keeps them running and takes over new programs:
//! `cargo build --example multi_process`, then `target/debug/examples/multi_process start -d`, and `status`, `connections`,
//! `reload`, `stop` in the place of `start`.
//!
//! What stands in `main` before `run_all` runs once in every process, and in the master. What is to happen once for all of
//! them, such as a clean-up each minute, is the business of the worker whose id is 0.

use workerman::{Http, Response, Timer, Worker};

fn main() -> workerman::Result<()> {
    env_logger::init();
    let address = std::env::var("ADDRESS").unwrap_or_else(|_| "127.0.0.1:8080".to_owned());
    let worker = Worker::<Http>::new(&address);
    worker.set_name("web");
    worker.set_count(std::env::var("COUNT").ok().and_then(|count| count.parse().ok()).unwrap_or(4));

    worker.on_worker_start(|worker| {
        println!("worker {} listens on {:?}", worker.id(), worker.local_addr());
        if worker.id() == 0 {
            Timer::add(60, || log::info!("once a minute, in one of the processes"));
        }
    });
    worker.on_message(move |connection, _request| {
        let text = format!("worker {}, pid {}, connection {}\n", worker.id(), std::process::id(), connection.id());
        connection.send(Response::new(200, &[("Content-Type", "text/plain;charset=utf-8")], text))
    });
    worker.on_worker_reload(|worker| log::info!("worker {} makes place for a newer one", worker.id()));
    worker.on_worker_exit(|_, status, pid| log::warn!("process {pid} ended with status {status}"));

    Worker::run_all()
}
