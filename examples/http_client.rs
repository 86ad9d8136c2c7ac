//! A page made of what another server says, asked for while the browser waits: `cargo run --example http_client`, then
//! `curl http://127.0.0.1:8080/?city=Berlin`. `/copy` hands a long answer on as it arrives, as fast as the browser takes it.
//!
//! The other server is the second worker here, so that the example is complete. `ADDRESS=127.0.0.1:9000` has it listen there.

use workerman::{
    Chunk, Http, HttpClient, HttpError, Request, RequestOptions, Response, SendStatus, TcpConnection, Worker,
};

/// What may wait for a slow browser before the other server has to.
const ENOUGH: usize = 256 * 1024;

fn main() -> workerman::Result<()> {
    env_logger::init();
    let address = std::env::var("ADDRESS").unwrap_or_else(|_| "127.0.0.1:8080".to_owned());
    let weather = Worker::<Http>::new("http://127.0.0.1:0");
    weather.on_message(answer);

    let worker = Worker::<Http>::new(&format!("http://{address}"));
    worker.on_worker_start(|worker| println!("listening on http://{}", worker.local_addr().expect("it listens")));
    worker.on_message(move |connection, request| {
        let base = format!("http://{}", weather.local_addr().expect("it listens"));
        match request.path() {
            "/copy" => copy(connection, &format!("{base}/long")),
            _ => ask(connection, &base, request.get("city").unwrap_or("Paris")),
        }
    });

    Worker::run_all()
}

/// Answers when the other server has answered.
fn ask(connection: TcpConnection<Http>, base: &str, city: &str) {
    // Settings are all that a client is: one can be made wherever it is needed.
    let http = HttpClient::new().timeout(5);
    http.post(&format!("{base}/weather"), city, move |answer| match answer {
        Ok(weather) if weather.is_success() => connection.send(format!("The weather: {}\n", weather.text())),
        Ok(_) => connection.send(Response::new(502, &[], "the other server has no answer\n")),
        Err(HttpError::Timeout) => connection.send(Response::new(504, &[], "the other server is too slow\n")),
        Err(error) => connection.send(Response::new(502, &[], format!("{error}\n"))),
    });
}

/// Hands an answer on, piece by piece.
fn copy(connection: TcpConnection<Http>, url: &str) {
    connection.send(Response::new(200, &[("Transfer-Encoding", "chunked")], ""));
    let options = RequestOptions::new().on_chunk(move |request, piece| {
        if !connection.send(Chunk::new(piece)).is_accepted() {
            request.abort();
        } else if connection.send_buffer_queue_size() > ENOUGH {
            request.pause();
            connection.on_buffer_drain(move |_| request.resume());
        }
    });
    let request = HttpClient::new().request(url, options, move |answer| match answer {
        Ok(_) => connection.send(Chunk::new("")),
        // Without its last chunk it is seen to be incomplete.
        Err(_) => {
            connection.destroy();
            SendStatus::Closed
        }
    });
    // A browser that leaves while it is waited for.
    connection.on_close(move |_| request.abort());
}

/// The other server.
fn answer(connection: TcpConnection<Http>, request: Request) {
    match request.path() {
        "/weather" => connection.send(format!("rain in {}", String::from_utf8_lossy(request.raw_body()))),
        _ => connection.send("0123456789abcdef".repeat(1 << 16)),
    };
}
