//! The promise: the servers with which PHP Workerman's own feature tests talk do the same here. Rows 55 and 57 of the list in
//! `php_rows.rs`.

#[path = "websocket/client.rs"]
mod client;
mod support;

use std::time::Duration;

use client::{Frame, close, exchange, frames, handshake, open, text};
use support::{Log, answers, get};
use workerman::testing::Simulation;
use workerman::{Http, Request, Response, ServerSentEvents, TcpConnection, Timer, Websocket, Worker};

/// PHP's `tests/Feature/Stub/HttpServer.php`.
fn serve(connection: TcpConnection<Http>, request: Request) -> workerman::Result<()> {
    match request.path() {
        "/" => drop(connection.send("Hello Chance")),
        "/get" => {
            let keys = request.get_array("key");
            let keys: Vec<_> = keys.iter().flat_map(|keys| [keys.get("0"), keys.get("1")]).collect();
            connection.send(serde_json::json!({ "foo": request.get("foo"), "key": keys }).to_string());
        }
        "/post" => drop(connection.send(request.raw_body())),
        "/header" => drop(connection.send(request.header("foo").unwrap_or_default())),
        #[cfg(feature = "session")]
        "/setSession" => {
            request.session()?.set("foo", "bar")?;
            connection.send("");
        }
        #[cfg(feature = "session")]
        "/session" => drop(connection.send(request.session()?.pull::<String>("foo").unwrap_or_default())),
        "/sse" => {
            connection.send(Response::new(200, &[("Content-Type", "text/event-stream")], "\r\n"));
            let mut count = 0;
            Timer::add(0.001, move |timer| {
                connection.send(ServerSentEvents::new().data(format!("hello{count}")));
                count += 1;
                if count == 5 {
                    Timer::del(timer);
                    connection.close();
                }
            });
        }
        "/file" => {
            let file = request.file("file").ok_or("no file")?;
            connection.send(
                serde_json::json!({ "error": file.error().map_or(0, |error| error.code()), "name": file.name() })
                    .to_string(),
            );
        }
        _ => drop(connection.send(Response::new(404, &[], "404 not found"))),
    }
    Ok(())
}

#[test]
fn the_http_server_answers_as_phps() {
    let sim = Simulation::new();
    let worker = Worker::<Http>::new("");
    worker.on_message(serve);
    let ask = |request: String| {
        let peer = sim.connect(worker);
        peer.write(request);
        sim.run();
        peer.read_text()
    };
    let body = |request: String| answers(&ask(request)).remove(0);
    assert!(ask(get("/")).contains("\r\nContent-Length: 12\r\n"));
    assert_eq!(body(get("/")), (200, "Hello Chance".to_owned()));
    assert_eq!(body(get("/get?foo=bar&key[0]=hello&key[1]=chance")).1, r#"{"foo":"bar","key":["hello","chance"]}"#);
    let post =
        |head: &str, body: &str| format!("POST {head}\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let json = r#"{"foo":"bar","key":["hello","chance"]}"#;
    assert_eq!(body(post("/post HTTP/1.1\r\nContent-Type: application/json", json)).1, json);
    assert_eq!(body("GET /header HTTP/1.1\r\nHost: a\r\nfoo: bar\r\n\r\n".to_owned()).1, "bar");
    let form =
        "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"HttpServer.php\"\r\n\r\n<?php\r\n--x--\r\n";
    let form = post("/file HTTP/1.1\r\nContent-Type: multipart/form-data; boundary=x", form);
    assert_eq!(body(form).1, r#"{"error":0,"name":"HttpServer.php"}"#);
    assert_eq!(body(get("/404")), (404, "404 not found".to_owned()));
}

#[test]
fn its_events_come_and_end() {
    let sim = Simulation::new();
    let worker = Worker::<Http>::new("");
    worker.on_message(serve);
    let peer = sim.connect(worker);
    peer.write("GET /sse HTTP/1.0\r\nHost: a\r\n\r\n");
    sim.advance(Duration::from_secs(1));
    let all = peer.read_text();
    let (_, events) = all.split_once("\r\n\r\n").expect("a head");
    assert_eq!(events, (0..5).map(|count| format!("data: hello{count}\n\n")).collect::<String>());
    assert!(peer.is_finished());
}

#[cfg(feature = "session")]
#[test]
fn its_session_is_read_once() {
    let sim = Simulation::new();
    let worker = Worker::<Http>::new("");
    worker.on_message(serve);
    let peer = sim.connect(worker);
    peer.write(get("/setSession"));
    sim.run();
    let answer = peer.read_text();
    let cookie = answer.split("\r\nSet-Cookie: ").nth(1).and_then(|rest| rest.split(';').next()).expect("a cookie");
    let ask = || {
        peer.write(format!("GET /session HTTP/1.1\r\nHost: a\r\nCookie: {cookie}\r\n\r\n"));
        sim.run();
        peer.read_text()
    };
    assert!(ask().ends_with("\r\n\r\nbar"));
    assert!(ask().ends_with("\r\n\r\n"), "it was taken");
}

#[test]
fn the_websocket_server_talks_and_either_side_may_leave() {
    let sim = Simulation::new();
    let worker = Worker::<Websocket>::new("");
    let log = Log::default();
    let (connected, heard, closed) = (log.clone(), log.clone(), log.clone());
    worker.on_websocket_connect(move |_, _| connected.add("connected"));
    worker.on_message(move |connection, message| {
        heard.add(&message);
        connection.send("Hello Chance")
    });
    worker.on_close(move |_| closed.add("closed"));
    let peer = open(&sim, worker);
    assert_eq!(exchange(&sim, &peer, text("Hello Workerman")), [Frame::text("Hello Chance")]);
    assert_eq!(exchange(&sim, &peer, close(1000, "")), [Frame::close(1000)]);
    peer.finish();
    sim.run();
    assert_eq!(log.take(), ["connected", "Hello Workerman", "closed"]);

    // The server leaves at once.
    worker.on_websocket_connect(|connection, _| connection.close());
    let peer = sim.connect(worker);
    peer.write(handshake(""));
    sim.run();
    assert!(peer.read_text().starts_with("HTTP/1.1 403 ") && peer.is_finished());
    // Or when the client is in.
    worker.on_websocket_connect(|_, _| {});
    worker.on_websocket_connected(|connection, _| connection.close());
    let peer = sim.connect(worker);
    peer.write(handshake(""));
    sim.run();
    let all = peer.read();
    let end = all.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4;
    assert_eq!(frames(all.get(end..).unwrap_or_default()), [Frame::close(1000)]);
}
