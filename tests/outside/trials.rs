//! A program with a master that tests bring into trouble. What others have started of it waits `PAUSE` seconds before it
//! makes its workers, which run as `ACCOUNT`.

use std::time::Duration;

use workerman::{Http, Worker};

fn main() -> workerman::Result<()> {
    env_logger::init();
    let variable = |name| std::env::var(name).unwrap_or_default();
    if std::env::var_os("WORKERMAN_CONTROL").is_some() {
        std::thread::sleep(Duration::from_secs_f64(variable("PAUSE").parse().unwrap_or(0.0)));
    }
    let worker = Worker::<Http>::new(&variable("ADDRESS"));
    worker.set_count(2);
    worker.set_user(&variable("ACCOUNT"));
    worker.on_worker_start(|worker| println!("worker {} listens on {:?}", worker.id(), worker.local_addr()));
    worker.on_message(|connection, _request| connection.send("hello"));
    Worker::run_all()
}
