//! Promise: a real browser's `WebSocket` talks with ours: text, bytes, sub-protocol, compression when there is any, and both
//! ways of closing; on a port of its own and on that of the page. And people in two tabs talk through the chat example.

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

/// Two tabs of one origin, so that a script may type into both and read them.
const TABS: &str = r#"<!doctype html><meta charset="utf-8">
<iframe src="/tab?name=Ann"></iframe><iframe src="/tab?name=Bob"></iframe>
<script>
  const [ann, bob] = document.querySelectorAll("iframe");
  const lines = (tab) => [...tab.contentDocument.querySelectorAll("li")].map((item) => item.textContent);
  const shows = async (tab, line) => {
    while (!lines(tab).includes(line)) await new Promise((resolve) => setTimeout(resolve, 10));
  };
  const say = (tab, text) => {
    tab.contentDocument.querySelector("input").value = text;
    tab.contentDocument.querySelector("form").requestSubmit();
  };
  onload = async () => {
    await shows(ann, "Ann is here");
    await shows(bob, "Bob is here");
    say(ann, "h\u00ef <b>Bob</b>");
    await shows(bob, "Ann: h\u00ef <b>Bob</b>");
    say(bob, "hello");
    await shows(ann, "Bob: hello");
    bob.remove();
    await shows(ann, "Bob has gone");
    await fetch("/verdict", { method: "POST", body: lines(ann).slice(0, 3).join("\n") });
  };
</script>"#;

#[test]
fn two_tabs_talk_through_the_page_of_the_chat_example() {
    let (_example, address) = outside::start_example("websocket_chat");
    let mut stream = outside::connect(address);
    let answer = outside::ask(&mut stream, "/", "</script>\n");
    let (_, page) = answer.split_once("\r\n\r\n").expect("a page");
    let page = page.to_owned();
    let (sender, verdict) = mpsc::channel();
    let server = Server::start(move |site| {
        site.on_message(move |connection, request| match request.path() {
            "/" => drop(connection.send(TABS)),
            "/tab" => drop(connection.send(page.as_str())),
            "/verdict" => {
                let _ = sender.send(String::from_utf8_lossy(request.raw_body()).into_owned());
                connection.send("");
            }
            _ => connection.close(),
        });
    });
    let _browser = Browser::open(&format!("http://{}/", server.address));
    let expected = "Bob has gone\nBob: hello\nAnn: h\u{ef} <b>Bob</b>";
    assert_eq!(outside::receive("a verdict", &verdict), expected);
}
