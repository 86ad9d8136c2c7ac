//! A chat by the line, as in the manual of PHP Workerman: `cargo run --example text_server`, then
//! `telnet 127.0.0.1 2347` in two terminals.

use workerman::{Text, Worker};

/// Who somebody is.
#[derive(Clone, Copy)]
struct Uid(u64);

fn say(worker: Worker<Text>, line: &str) {
    for connection in worker.connections() {
        connection.send(line);
    }
}

fn main() -> workerman::Result<()> {
    env_logger::init();
    let address = std::env::var("ADDRESS").unwrap_or_else(|_| "127.0.0.1:2347".to_owned());
    let worker = Worker::<Text>::new(&format!("text://{address}"));
    worker.on_worker_start(|worker| println!("listening on {:?}", worker.local_addr()));

    let mut users = 0;
    worker.on_connect(move |connection| {
        // Nobody types so long a line.
        connection.set_max_package_size(4096);
        users += 1;
        connection.set(Uid(users));
        say(worker, &format!("user[{users}] comes"));
    });

    worker.on_message(move |connection, line| {
        if let Some(Uid(uid)) = connection.get() {
            say(worker, &format!("user[{uid}] said: {line}"));
        }
    });

    worker.on_close(move |connection| {
        if let Some(Uid(uid)) = connection.get() {
            say(worker, &format!("user[{uid}] goes"));
        }
    });

    Worker::run_all()
}
