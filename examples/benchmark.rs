//! The server that is measured beside others: see `docs/performance.md`.
//!
//! Environment: `PORT`; `COUNT`, of processes; `SSE_INTERVAL_MS` and `SSE_SIZE`, the period and the size in bytes of the
//! event that goes to every subscriber of `/sse`, and of the message to every WebSocket of `/hear`; `FILES`, a directory
//! with a `file` for `/file` and a `static` for what is below `/static/`; `TLS_CERTIFICATE` and `TLS_KEY`, PEM files.

use std::hint::black_box;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use serde::Serialize;
use workerman::{
    Deadlines, Http, Request, Response, ServerSentEvents, TcpConnection, Timer, TimerId, Websocket, Worker,
};

/// So large a request is taken.
const LARGEST: usize = 64 << 20;

fn main() -> workerman::Result<()> {
    env_logger::init();
    let port: u16 = variable("PORT", 8080);
    let size: usize = variable("SSE_SIZE", 100);
    let files: PathBuf = variable("FILES", PathBuf::new());
    let statics = files.join("static");
    let interval = Duration::from_secs_f64(variable("SSE_INTERVAL_MS", 100.0) / 1000.0);

    let worker = Worker::<Http>::new(&format!("http://127.0.0.1:{port}"));
    #[cfg(feature = "_tls")]
    if let (Some(certificate), Some(key)) = (std::env::var_os("TLS_CERTIFICATE"), std::env::var_os("TLS_KEY")) {
        worker.set_transport_ssl(workerman::TlsOptions::new(certificate, key));
    }
    worker.set_count(variable("COUNT", 1));
    worker.set(Subscribers::default());
    worker.set_deadlines(Deadlines::default().keep_alive(0));

    let echo = Worker::<Websocket>::new("");
    echo.on_message(|connection, message| connection.send(message));
    let hearers = Worker::<Websocket>::new("");

    TcpConnection::set_default_max_package_size(LARGEST);
    worker.on_message(move |connection, request| match request.path() {
        "/plaintext" => {
            read_some(&request);
            connection.send(Response::new(200, &[("Content-Type", "text/plain")], "Hello, World!"));
        }
        "/json" => {
            connection.send(Response::json(&Message { message: "Hello, World!" }).unwrap_or_default());
        }
        "/echo" => {
            connection.send(Response::new(200, &[("Content-Type", "text/plain")], request.raw_body()));
        }
        "/sse" => {
            connection.send(Response::new(200, &[("Content-Type", "text/event-stream")], ""));
            worker.with(|subscribers: &mut Subscribers| subscribers.0.push(connection));
        }
        "/ws" => {
            let _ = connection.upgrade_to(echo, request);
        }
        "/hear" => {
            let _ = connection.upgrade_to(hearers, request);
            if hearers.get::<TimerId>().is_none() {
                let news = "x".repeat(size);
                hearers.set(Timer::add(interval, move || hearers.broadcast(&news)));
            }
        }
        "/file" => {
            connection.send(Response::file(&request, files.join("file")));
        }
        "/upload" => {
            connection.send(request.raw_body().len().to_string());
        }
        path => {
            let response = match path.strip_prefix("/static/") {
                Some(path) => Response::static_file(&request, &statics, path),
                None => Response::new(404, &[], ""),
            };
            connection.send(response);
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

#[derive(Serialize)]
struct Message {
    message: &'static str,
}

/// What a handler looks at: a parameter, and a cookie.
fn read_some(request: &Request) {
    if request.uri() != request.path() {
        black_box((request.get("a"), request.cookie("sid")));
    }
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
