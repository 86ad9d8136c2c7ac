//! A page and its WebSocket on one port: `cargo run --example http_and_websocket`, then open the address that it prints.
//!
//! The page counts who looks at it, together with everybody else who does.

use workerman::{Http, Response, Websocket, Worker};

fn main() -> workerman::Result<()> {
    env_logger::init();
    let address = std::env::var("ADDRESS").unwrap_or_else(|_| "127.0.0.1:8080".to_owned());

    // It has no port of its own: its connections come from the site.
    let viewers = Worker::<Websocket>::new("");
    viewers.on_websocket_connect(|connection, request| {
        if !request.is_same_origin() {
            connection.send(Response::new(403, &[], "not from there"));
        }
    });
    viewers.on_websocket_connected(move |_connection, _request| {
        viewers.broadcast(viewers.connections().count().to_string())
    });
    // It is still counted while its `on_close` runs.
    viewers.on_close(move |connection| {
        viewers.broadcast_except(connection, (viewers.connections().count() - 1).to_string())
    });

    let site = Worker::<Http>::new(&format!("http://{address}"));
    site.on_message(move |connection, request| match request.path() {
        "/" => {
            connection.send(PAGE);
        }
        "/viewers" => {
            // Whoever does not ask for a WebSocket there has been told so.
            let _ = connection.upgrade_to(viewers, request);
        }
        _ => {
            connection.send(Response::new(404, &[], "not found"));
        }
    });
    site.on_worker_start(|worker| {
        if let Some(address) = worker.local_addr() {
            println!("open http://{address} in a browser");
        }
    });

    Worker::run_all()
}

const PAGE: &str = r#"<!doctype html>
<meta charset="utf-8">
<title>Viewers</title>
<h1>Looking at this page: <output>nobody</output></h1>
<script>
  const socket = new WebSocket(`ws://${location.host}/viewers`);
  const output = document.querySelector("output");
  socket.onmessage = (event) => output.textContent = document.title = event.data;
  socket.onclose = () => output.textContent = document.title = "who knows";
</script>
"#;
