//! A chat: `cargo run --example websocket_chat`, then open the address that it prints in two browser tabs.
//!
//! The page comes over HTTP, the talk goes over WebSocket on a port of its own.

use workerman::{Http, Response, Websocket, Worker};

/// Who somebody is.
#[derive(Clone)]
struct Name(String);

fn main() -> workerman::Result<()> {
    env_logger::init();
    let address = std::env::var("ADDRESS").unwrap_or_else(|_| "127.0.0.1:8080".to_owned());
    let talk = std::env::var("TALK_ADDRESS").unwrap_or_else(|_| "127.0.0.1:0".to_owned());

    let chat = Worker::<Websocket>::new(&format!("websocket://{talk}"));
    // Who reads nothing for a hundred messages is gone.
    chat.set_max_missed_broadcasts(100);

    chat.on_websocket_connect(|connection, request| {
        let name = request.get("name").unwrap_or_default().trim();
        if name.is_empty() || name.len() > 40 {
            connection.send(Response::new(400, &[], "who are you?"));
        } else {
            connection.set(Name(name.to_owned()));
        }
    });
    chat.on_websocket_connected(move |connection, _request| {
        if let Some(Name(name)) = connection.get() {
            chat.broadcast(format!("{name} is here"));
        }
    });
    chat.on_message(move |connection, message| {
        if let Some(Name(name)) = connection.get() {
            chat.broadcast(format!("{name}: {message}"));
        }
    });
    chat.on_close(move |connection| {
        if let Some(Name(name)) = connection.get() {
            chat.broadcast(format!("{name} has gone"));
        }
    });

    let page = Worker::<Http>::new(&format!("http://{address}"));
    page.on_message(move |connection, _request| {
        let port = chat.local_addr().map_or(0, |address| address.port());
        connection.send(PAGE.replace("{port}", &port.to_string()))
    });
    page.on_worker_start(|worker| {
        if let Some(address) = worker.local_addr() {
            println!("open http://{address} in a browser");
        }
    });

    Worker::run_all()
}

const PAGE: &str = r#"<!doctype html>
<meta charset="utf-8">
<title>Chat</title>
<form><input autofocus placeholder="say something"></form>
<ul></ul>
<script>
  const name = new URLSearchParams(location.search).get("name") || "guest " + Math.floor(Math.random() * 1000);
  const socket = new WebSocket(`ws://${location.hostname}:{port}/?name=${encodeURIComponent(name)}`);
  const show = (text) => {
    const item = document.createElement("li");
    item.textContent = text;
    document.querySelector("ul").prepend(item);
  };
  socket.onmessage = (event) => show(event.data);
  socket.onclose = (event) => show(`closed: ${event.code} ${event.reason}`);
  document.querySelector("form").onsubmit = (event) => {
    event.preventDefault();
    const input = document.querySelector("input");
    if (input.value) socket.send(input.value);
    input.value = "";
  };
</script>
"#;
