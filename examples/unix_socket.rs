//! A server for a proxy on the same machine: `SOCKET=/tmp/app.sock cargo run --example unix_socket`, then
//! `curl --unix-socket /tmp/app.sock http://localhost/`. For nginx: `proxy_pass http://unix:/tmp/app.sock;`.
//!
//! Whom the proxy speaks for stands in a header that it sets; the peer of the socket is the proxy.

use workerman::{Http, Response, Worker};

fn main() -> workerman::Result<()> {
    env_logger::init();
    let path = std::env::var("SOCKET").unwrap_or_else(|_| "/tmp/app.sock".to_owned());
    let worker = Worker::<Http>::new(&format!("unix://{path}"));
    // The proxy runs as another user: who may connect is whoever may write to the file.
    worker.set_socket_mode(0o666);
    worker.on_worker_start(|worker| println!("listening on {:?}", worker.local_path().unwrap_or_default()));

    worker.on_message(|connection, request| {
        // Of a list, only what our own proxy has added at the end is true.
        let client = request.header("x-forwarded-for").and_then(|list| list.rsplit(',').next()).map(str::trim);
        let text = format!("{} for {}\n", request.path(), client.unwrap_or("somebody on this machine"));
        connection.send(Response::new(200, &[("Content-Type", "text/plain;charset=utf-8")], text))
    });

    Worker::run_all()
}
