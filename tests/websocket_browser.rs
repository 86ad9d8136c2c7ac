//! Promise: a real browser's `WebSocket` talks with ours: text, bytes, sub-protocol, compression when there is any, and both
//! ways of closing; on a port of its own and on that of the page.

mod outside;

use std::sync::mpsc;

use outside::{Browser, Server};
use workerman::{Response, Websocket, Worker};

/// Tries everything, one after the other, and posts what has come of it.
const PAGE: &str = r#"<!doctype html><meta charset="utf-8"><script>
  const log = [];
  const open = (use) => new Promise((resolve) => {
    const socket = new WebSocket("ws://127.0.0.1:{port}/", ["soap", "chat"]);
    socket.binaryType = "arraybuffer";
    socket.onclose = (event) => {
      log.push(`closed ${event.code} ${event.reason} ${event.wasClean}`);
      resolve();
    };
    socket.onopen = () => use(socket);
  });
  const echo = (socket, message) => new Promise((resolve) => {
    socket.onmessage = (event) => resolve(event.data);
    socket.send(message);
  });
  const everything = async () => {
    await open(async (socket) => {
      log.push(`open ${socket.protocol} ${socket.extensions}`);
      for (const text of ["", "h\u00e9llo \u20ac \u{1f600}", "x".repeat(100000)]) {
        log.push(`text ${(await echo(socket, text)) === text}`);
      }
      for (const length of [0, 125, 126, 65536, 300000]) {
        const bytes = new Uint8Array(length).map((_, at) => at * at % 251);
        const back = new Uint8Array(await echo(socket, bytes));
        log.push(`bytes ${back.length === length && back.every((byte, at) => byte === bytes[at])}`);
      }
      socket.close(4321, "b\u00fee");
    });
    await open((socket) => socket.send("close me"));
    await open((socket) => socket.close());
    await fetch("/verdict", { method: "POST", body: log.join("\n") });
  };
  everything();
</script>"#;

#[test]
fn a_browser_talks_and_closes() {
    talk_on("websocket://127.0.0.1:0");
}

#[test]
fn a_browser_talks_and_closes_on_the_port_of_the_page() {
    talk_on("");
}

/// With a WebSocket at this address, or on the page's port.
fn talk_on(websocket: &'static str) {
    let (sender, verdict) = mpsc::channel();
    let server = Server::start(move |page| {
        let talk = Worker::<Websocket>::new(websocket);
        talk.on_websocket_connect(move |connection, request| {
            let address = page.local_addr().expect("the page is there");
            assert!(request.is_from(&[&format!("http://{address}")]));
            assert_eq!(request.is_same_origin(), websocket.is_empty());
            connection.send(Response::new(101, &[("Sec-WebSocket-Protocol", "chat")], ""))
        });
        talk.on_message(|connection, message| {
            if message == "close me" {
                connection.close_with_code(4001, "enough");
            } else {
                connection.send(message);
            }
        });
        page.on_message(move |connection, request| {
            if request.path() == "/verdict" {
                let _ = sender.send(String::from_utf8_lossy(request.raw_body()).into_owned());
            }
            if request.is_websocket_upgrade() {
                connection.upgrade_to(talk, request).expect("an upgrade");
                return;
            }
            let address = talk.local_addr().or_else(|| page.local_addr());
            connection.send(PAGE.replace("{port}", &address.map_or(0, |address| address.port()).to_string()));
        });
    });
    let _browser = Browser::open(&format!("http://{}/", server.address));
    let extension = if cfg!(feature = "deflate") { "permessage-deflate" } else { "" };
    let expected = [
        format!("open chat {extension}"),
        "text true\n".repeat(3) + &"bytes true\n".repeat(5) + "closed 4321  true",
        "closed 4001 enough true".to_owned(),
        "closed 1005  true".to_owned(),
    ];
    assert_eq!(outside::receive("a verdict", &verdict), expected.join("\n"));
}
