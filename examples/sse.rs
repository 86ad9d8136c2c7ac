//! Server-Sent Events: open <http://127.0.0.1:8080> in a browser and watch events arrive.
//!
//! `cargo run --example sse`, or `ADDRESS=127.0.0.1:9000 cargo run --example sse` for another address.

use workerman::{Http, Response, ServerSentEvents, Worker};

fn main() -> workerman::Result<()> {
    env_logger::init();
    let address = std::env::var("ADDRESS").unwrap_or_else(|_| "127.0.0.1:8080".to_owned());
    let worker = Worker::<Http>::new(&format!("http://{address}"));

    worker.on_worker_start(|worker| {
        if let Some(address) = worker.local_addr() {
            println!("open http://{address} in a browser");
        }
    });

    worker.on_message(|connection, request| {
        // The page, for whoever does not ask for events.
        if !request.accepts_event_stream() {
            connection.send(PAGE);
            return;
        }
        // An EventSource that reconnects says which event it saw last, and goes on from there.
        let mut id: u64 = request.last_event_id().and_then(|id| id.parse().ok()).unwrap_or(0);
        connection.send(Response::new(200, &[("Content-Type", "text/event-stream")], "\r\n"));
        // The timer ends with the connection.
        connection.add_timer(1, move || {
            id += 1;
            connection.send(ServerSentEvents::new().event("message").data(format!("hello {id}")).id(id))
        });
    });

    Worker::run_all()
}

const PAGE: &str = r#"<!doctype html>
<title>Server-Sent Events</title>
<style>body { font: 1.1em sans-serif; margin: 2em } li { font-family: monospace }</style>
<h1>Server-Sent Events</h1>
<p id="state">connecting…</p>
<ol id="events"></ol>
<script>
  const source = new EventSource(location.href);
  const state = document.getElementById("state");
  source.onopen = () => state.textContent = "connected";
  source.onerror = () => state.textContent = "reconnecting…";
  source.onmessage = (event) => {
    const item = document.createElement("li");
    item.value = event.lastEventId;
    item.textContent = event.data;
    document.getElementById("events").append(item);
  };
</script>
"#;
