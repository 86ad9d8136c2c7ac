//! The server that is measured beside others: see `docs/performance.md`.
//!
//! Environment: `PORT`; `SSE_INTERVAL_MS` and `SSE_SIZE`, the period and the size in bytes of the event that goes to
//! every subscriber of `/sse`.

use std::str::FromStr;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use workerman::{Deadlines, Http, Response, ServerSentEvents, TcpConnection, Timer, Worker};

fn main() -> workerman::Result<()> {
    env_logger::init();
    let port: u16 = variable("PORT", 8080);
    let size: usize = variable("SSE_SIZE", 100);
    let interval = Duration::from_secs_f64(variable("SSE_INTERVAL_MS", 100.0) / 1000.0);

    let worker = Worker::<Http>::new(&format!("http://127.0.0.1:{port}"));
    worker.set(Subscribers::default());
    worker.set_deadlines(Deadlines::default().keep_alive(0));

    worker.on_message(move |connection, request| match request.path() {
        "/plaintext" => {
            connection.send(Response::new(200, &[("Content-Type", "text/plain")], "Hello, World!"));
        }
        "/json" => {
            let body = format!("{{\"message\":\"{}\"}}", "Hello, World!");
            connection.send(Response::new(200, &[("Content-Type", "application/json")], body));
        }
        "/echo" => {
            connection.send(Response::new(200, &[("Content-Type", "text/plain")], request.raw_body()));
        }
        "/sse" => {
            connection.send(Response::new(200, &[("Content-Type", "text/event-stream")], ""));
            worker.with(|subscribers: &mut Subscribers| subscribers.0.push(connection));
        }
        _ => {
            connection.send(Response::new(404, &[], ""));
        }
    });

    worker.on_worker_start(move |_| {
        Timer::add(interval, move || {
            worker.with(|subscribers: &mut Subscribers| {
                if subscribers.0.is_empty() {
                    return;
                }
                let event = event(size);
                subscribers.0.retain(|connection| connection.send(&event) != workerman::SendStatus::Closed);
            })
        });
    });
    Worker::run_all()
}

#[derive(Default)]
struct Subscribers(Vec<TcpConnection<Http>>);

/// An event of `size` bytes that carries the time at which it was made.
fn event(size: usize) -> ServerSentEvents {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).map(Duration::from).unwrap_or_default();
    let stamp = format!("T{:020} ", now.as_nanos());
    let width = size.saturating_sub("data: \n\n".len());
    ServerSentEvents::new().data(format!("{stamp:x<width$}"))
}

fn variable<T: FromStr>(name: &str, default: T) -> T {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}
