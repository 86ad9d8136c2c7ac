//! A TCP tunnel: `cargo run --example tcp_proxy`. `ADDRESS` and `OTHER_ADDRESS` are its two ends.
//!
//! Two programs that can both call out and cannot be called meet here. Who comes to the first address is joined with who comes
//! to the second, in the order of their coming, and from then on bytes go through in both directions. `ssh` behind a firewall:
//! `socat tcp:host:7000 tcp:localhost:22` inside, `ssh -p 7001 host` outside.

use std::collections::VecDeque;

use workerman::{Status, Tcp, TcpConnection, Worker};

/// Those of a worker who wait for a partner, the first first.
struct Waiting(VecDeque<TcpConnection<Tcp>>);

fn main() -> workerman::Result<()> {
    env_logger::init();
    let address = std::env::var("ADDRESS").unwrap_or_else(|_| "127.0.0.1:7000".to_owned());
    let other = std::env::var("OTHER_ADDRESS").unwrap_or_else(|_| "127.0.0.1:7001".to_owned());
    let door = |address: &str| {
        let worker = Worker::<Tcp>::new(&format!("tcp://{address}"));
        worker.set(Waiting(VecDeque::new()));
        worker.on_worker_start(|worker| {
            if let Some(address) = worker.local_addr() {
                println!("come in at {address}");
            }
        });
        worker
    };
    let (one, other) = (door(&address), door(&other));
    one.on_connect(move |connection| meet(connection, one, other));
    other.on_connect(move |connection| meet(connection, other, one));
    Worker::run_all()
}

/// Joins who has come with who waits on the other side, or lets it wait too.
fn meet(connection: TcpConnection<Tcp>, here: Worker<Tcp>, there: Worker<Tcp>) {
    match there.with(first).flatten() {
        Some(partner) => {
            connection.pipe(partner);
            partner.pipe(connection);
            partner.resume_recv();
        }
        None => {
            // What it says meanwhile waits with the system.
            connection.pause_recv();
            here.with(|waiting: &mut Waiting| waiting.0.push_back(connection));
        }
    }
}

/// The first who is still there.
fn first(waiting: &mut Waiting) -> Option<TcpConnection<Tcp>> {
    std::iter::from_fn(|| waiting.0.pop_front()).find(|connection| connection.status() == Status::Established)
}
