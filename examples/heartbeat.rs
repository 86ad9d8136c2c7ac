//! Silent clients are closed: `cargo run --example heartbeat`, then `telnet 127.0.0.1 1234`, and say nothing.
//!
//! A client that has lost its network does not say so. Two ways to find out: the manual's, with a timer that looks at all
//! connections, for clients that have agreed to say something now and then; and, over WebSocket, asking the client with Pings,
//! which browsers answer by themselves.
//!
//! The longest silence is 55 seconds: `SILENCE=5 cargo run --example heartbeat` has less patience. `ADDRESS` and
//! `WEBSOCKET_ADDRESS` are where it listens.

use std::time::{Duration, Instant};

use workerman::{Deadlines, Text, Timer, Websocket, Worker};

/// When a client has last said something.
#[derive(Clone, Copy)]
struct LastMessage(Instant);

fn main() -> workerman::Result<()> {
    env_logger::init();
    let address = std::env::var("ADDRESS").unwrap_or_else(|_| "127.0.0.1:1234".to_owned());
    let websocket = std::env::var("WEBSOCKET_ADDRESS").unwrap_or_else(|_| "127.0.0.1:0".to_owned());
    let silence: f64 = std::env::var("SILENCE").map_or(Ok(55.0), |seconds| seconds.parse())?;

    let worker = Worker::<Text>::new(&format!("text://{address}"));
    worker.on_connect(|connection| connection.set(LastMessage(now())));
    worker.on_message(|connection, line| {
        connection.set(LastMessage(now()));
        connection.send(line)
    });
    worker.on_worker_start(move |worker| {
        Timer::add(silence / 5.0, move || {
            for connection in worker.connections() {
                let silent = connection.get().map_or(Duration::ZERO, |LastMessage(at)| at.elapsed());
                if silent.as_secs_f64() > silence {
                    connection.close();
                }
            }
        });
    });

    let asking = Worker::<Websocket>::new(&format!("websocket://{websocket}"));
    // After most of that time a Ping; whoever answers is there.
    asking.set_deadlines(Deadlines::default().ping(silence * 0.8).pong(silence * 0.2));
    asking.on_message(|connection, message| connection.send(message));

    asking.on_worker_start(move |asking| {
        for address in [worker.local_addr(), asking.local_addr()].into_iter().flatten() {
            println!("listening on {address}");
        }
    });
    Worker::run_all()
}

#[allow(clippy::disallowed_methods)] // the framework has a clock of its own, an app has not
fn now() -> Instant {
    Instant::now()
}
