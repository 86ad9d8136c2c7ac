//! Promise: a real browser opens a page by `https` and, on the same origin, its `wss` and its event stream.

#![cfg(feature = "_tls")]

#[path = "outside/certificates.rs"]
mod certificates;
mod outside;

use std::sync::mpsc;

use certificates::{Authority, key_hash};
use outside::{Server, TemporaryDirectory, receive, start_browser};
use workerman::{Response, ServerSentEvents, TlsOptions, Websocket, Worker};

const PAGE: &str = r#"<!doctype html><meta charset="utf-8"><script>
  const log = [location.protocol, String(isSecureContext)];
  const socket = () => new Promise((resolve) => {
    const socket = new WebSocket(`wss://${location.host}/talk`);
    socket.onopen = () => socket.send("x".repeat(100000));
    socket.onmessage = (event) => { log.push(`back ${event.data.length}`); socket.close(4000); };
    socket.onclose = (event) => { log.push(`closed ${event.code} ${event.wasClean}`); resolve(); };
  });
  const events = () => new Promise((resolve) => {
    const source = new EventSource("/events");
    source.onmessage = (event) => { log.push(event.data); if (event.lastEventId == 3) { source.close(); resolve(); } };
  });
  const upload = async () => {
    const answer = await fetch("/echo", { method: "POST", body: new Uint8Array(3000000).fill(7) });
    const bytes = new Uint8Array(await answer.arrayBuffer());
    log.push(`echo ${bytes.length} ${bytes.every((byte) => byte === 7)}`);
  };
  const everything = async () => {
    await socket();
    await events();
    await upload();
    await fetch("/verdict", { method: "POST", body: log.join("\n") });
  };
  everything();
</script>"#;

#[test]
fn a_browser_opens_a_page_and_its_socket_and_its_events() {
    let authority = Authority::new();
    let pair = authority.sign(&["localhost", "127.0.0.1"]);
    // The browser trusts this key and no other: it knows no authority of ours.
    let trust = format!("--ignore-certificate-errors-spki-list={}", key_hash(&pair));
    let (sender, verdict) = mpsc::channel();
    let server = Server::start(move |page| {
        page.set_transport_ssl(TlsOptions::new(&pair.certificate, &pair.key));
        let talk = Worker::<Websocket>::new("");
        talk.on_message(|connection, message| connection.send(message));
        page.on_message(move |connection, request| match request.path() {
            "/" => drop(connection.send(PAGE)),
            "/talk" => drop(connection.upgrade_to(talk, request)),
            "/echo" => drop(connection.send(request.raw_body())),
            "/events" => {
                connection.send(Response::new(200, &[("Content-Type", "text/event-stream")], ""));
                for number in 1..=3 {
                    connection.send(ServerSentEvents::new().data(format!("event {number}")).id(number));
                }
            }
            "/verdict" => {
                let _ = sender.send(String::from_utf8_lossy(request.raw_body()).into_owned());
                connection.send("");
            }
            _ => drop(connection.send(Response::new(404, &[], ""))),
        });
    });
    let profile = TemporaryDirectory::new("browser");
    let _browser = start_browser(&profile.0, &[&trust], &format!("https://localhost:{}/", server.address.port()));
    let expected = "https:\ntrue\nback 100000\nclosed 4000 true\nevent 1\nevent 2\nevent 3\necho 3000000 true";
    assert_eq!(receive("a verdict", &verdict), expected);
}
