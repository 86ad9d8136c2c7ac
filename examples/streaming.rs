//! Answers that come piece by piece: `cargo run --example streaming`, then
//!
//! * open <http://127.0.0.1:8080> in a browser, or
//! * `curl -N -d 'the quick brown fox' http://127.0.0.1:8080/chat`: tokens as Server-Sent Events, as language models send
//!   them, in answer to a POST;
//! * `curl -N http://127.0.0.1:8080/count`: text in chunks.
//!
//! Each ends with an empty `Chunk`, so the connection can take the next request.

use workerman::{Chunk, Http, Request, Response, SendStatus, ServerSentEvents, TcpConnection, Timer, Worker};

fn main() -> workerman::Result<()> {
    env_logger::init();
    let address = std::env::var("ADDRESS").unwrap_or_else(|_| "127.0.0.1:8080".to_owned());
    let worker = Worker::<Http>::new(&format!("http://{address}"));

    worker.on_worker_start(|worker| {
        if let Some(address) = worker.local_addr() {
            println!("open http://{address} in a browser");
        }
    });

    worker.on_message(|connection, request| match (request.method(), request.path()) {
        ("POST", "/chat") => chat(connection, &request),
        ("GET", "/count") => count(connection),
        ("GET", "/") => connection.send(PAGE),
        _ => connection.send(Response::new(404, &[], "not found")),
    });

    Worker::run_all()
}

/// A model that gives back what it is told, one token at a time.
fn chat(connection: TcpConnection<Http>, request: &Request) -> SendStatus {
    let prompt = String::from_utf8_lossy(request.raw_body()).into_owned();
    let tokens: Vec<String> = prompt.split_inclusive(' ').map(str::to_owned).collect();
    let mut tokens = tokens.into_iter();
    // The timer ends with the connection: nobody computes tokens for a client that has gone.
    connection.add_timer(0.05, move |timer_id| {
        if let Some(token) = tokens.next() {
            connection.send(ServerSentEvents::new().data(token));
            return;
        }
        Timer::del(timer_id);
        connection.send(ServerSentEvents::new().data("[DONE]"));
        connection.send(Chunk::new(""));
    });
    connection.send(Response::new(200, &[("Content-Type", "text/event-stream")], ""))
}

/// A line now and then, and an end.
fn count(connection: TcpConnection<Http>) -> SendStatus {
    let mut number = 0;
    connection.add_timer(0.1, move |timer_id| {
        number += 1;
        connection.send(Chunk::new(format!("line {number}\n")));
        if number == 5 {
            Timer::del(timer_id);
            connection.send(Chunk::new(""));
        }
    });
    let headers = [("Transfer-Encoding", "chunked"), ("Content-Type", "text/plain;charset=utf-8")];
    connection.send(Response::new(200, &headers, "counting\n"))
}

const PAGE: &str = r#"<!doctype html>
<title>Streaming</title>
<form><input name="prompt" size="60" value="the quick brown fox jumps over the lazy dog"> <button>send</button></form>
<p id="answer"></p>
<script>
  const answer = document.getElementById("answer");
  document.querySelector("form").onsubmit = async (event) => {
    event.preventDefault();
    answer.textContent = "";
    const response = await fetch("/chat", { method: "POST", body: event.target.prompt.value });
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
      const events = (rest + piece.value).split("\n\n");
      rest = events.pop();
      for (const token of events.map((text) => text.slice("data: ".length))) {
        if (token !== "[DONE]") answer.textContent += token;
      }
    }
  };
</script>
"#;
