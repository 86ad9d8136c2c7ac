//! HTTPS, `wss` and an event stream on one port: `cargo run --features tls --example https_server`, then
//! `curl -k https://127.0.0.1:8443/`, or open that in a browser.
//!
//! Environment: `ADDRESS`; `CERTIFICATE` and `KEY`, PEM files. Without them it makes a certificate of its own, of which every
//! browser warns.

use std::fs;
use std::path::{Path, PathBuf};

use workerman::{Http, Response, ServerSentEvents, Timer, TlsOptions, Websocket, Worker};

const PAGE: &str = r#"<!doctype html>
<title>https</title>
<pre id="log"></pre>
<script>
const log = text => document.getElementById("log").textContent += text + "\n";
const source = new EventSource("/events");
source.onmessage = event => log("event " + event.data);
const socket = new WebSocket("wss://" + location.host + "/ws");
socket.onopen = () => socket.send("hello");
socket.onmessage = event => log("socket " + event.data);
</script>
"#;

fn main() -> workerman::Result<()> {
    env_logger::init();
    let address = std::env::var("ADDRESS").unwrap_or_else(|_| "127.0.0.1:8443".to_owned());
    let directory = tempfile::tempdir()?;
    let (certificate, key) = match (std::env::var_os("CERTIFICATE"), std::env::var_os("KEY")) {
        (Some(certificate), Some(key)) => (certificate.into(), key.into()),
        _ => make_certificate(directory.path())?,
    };

    let echo = Worker::<Websocket>::new("");
    echo.on_message(|connection, message| connection.send(message));

    let worker = Worker::<Http>::new(&address);
    worker.set_transport_ssl(TlsOptions::new(certificate, key));
    worker.on_worker_start(|worker| println!("listening on {:?}", worker.local_addr()));
    worker.on_message(move |connection, request| match request.path() {
        "/events" => {
            connection.send(Response::new(200, &[("Content-Type", "text/event-stream")], ""));
            let mut count = 0;
            connection.add_timer(1, move || {
                count += 1;
                connection.send(ServerSentEvents::new().data(format!("{count}")))
            });
        }
        "/ws" => {
            let _ = connection.upgrade_to(echo, request);
        }
        "/tls" => {
            let tls = connection.tls().map(|tls| format!("{} with {}\n", tls.version, tls.cipher_suite));
            connection.send(tls.unwrap_or_else(|| "not encrypted\n".to_owned()));
        }
        _ => {
            connection.send(Response::new(200, &[("Content-Type", "text/html;charset=utf-8")], PAGE));
        }
    });
    // Certificates are renewed every few weeks, and nobody restarts a server for that.
    Timer::add(3600, move || worker.reload_certificates());
    Worker::run_all()
}

/// A certificate for this machine that nobody has signed.
fn make_certificate(directory: &Path) -> workerman::Result<(PathBuf, PathBuf)> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()])?;
    let (certificate, key) = (directory.join("certificate.pem"), directory.join("key.pem"));
    fs::write(&certificate, made.cert.pem())?;
    fs::write(&key, made.signing_key.serialize_pem())?;
    Ok((certificate, key))
}
