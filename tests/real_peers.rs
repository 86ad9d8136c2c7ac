//! curl, and clients that end, break and crowd their connections, over real sockets.

#![allow(clippy::indexing_slicing)] // a failing index fails the test

mod outside;

use std::fs;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::process::Command;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use outside::{
    Server, TemporaryDirectory, ask, connect, eventually, hang_up, now, read_to_end, receive, start_example,
};
use workerman::{Http, Response, SendStatus, ServerSentEvents, TcpConnection, Timer, Worker};

/// What most tests here talk to.
fn serve(worker: Worker<Http>) {
    worker.on_message(|connection, request| match request.path() {
        "/echo" => connection.send(request.raw_body()),
        "/length" => connection.send(format!("{} {} bytes", request.method(), request.raw_body().len())),
        "/events" => send_events(connection),
        "/late" => {
            Timer::delay(0.2, move || connection.send(long_body()));
            SendStatus::Queued
        }
        path => connection.send(format!("this is {path}\n")),
    });
}

/// Three events, then the end.
fn send_events(connection: TcpConnection<Http>) -> SendStatus {
    let mut number = 0;
    connection.add_timer(0.02, move || {
        number += 1;
        connection.send(ServerSentEvents::new().data(format!("hello {number}")));
        if number == 3 {
            connection.close();
        }
    });
    connection.send(Response::new(200, &[("Content-Type", "text/event-stream")], "\r\n"))
}

/// More than one write takes.
fn long_body() -> String {
    "0123456789abcdef".repeat(64 * 1024)
}

struct Curl {
    code: Option<i32>,
    output: String,
    /// With `-v`, the heads of both sides.
    talk: String,
}

fn curl<const N: usize>(arguments: [&str; N]) -> Curl {
    let result = Command::new("curl").args(["-sS", "--noproxy", "*", "--max-time", "20"]).args(arguments).output();
    let output = result.unwrap_or_else(|error| panic!("curl cannot be run ({error}): ./tests/run installs it"));
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Curl { code: output.status.code(), output: text(output.stdout), talk: text(output.stderr) }
}

#[test]
fn curl_gets_a_page() {
    let server = Server::start(serve);
    let curl = curl(["-i", &server.url("/page?x=1")]);
    assert_eq!(curl.code, Some(0), "{}", curl.talk);
    let (head, body) = curl.output.split_once("\r\n\r\n").expect("a head and a body");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(head.contains("\r\nContent-Length: 14\r\n") && head.contains("\r\nDate: "), "{head}");
    assert_eq!(body, "this is /page\n");
}

#[test]
fn curl_gets_back_what_it_posts() {
    let server = Server::start(serve);
    let curl = curl(["--data-binary", "a=1&b=two", &server.url("/echo")]);
    assert_eq!((curl.code, curl.output.as_str()), (Some(0), "a=1&b=two"), "{}", curl.talk);
}

#[test]
fn curl_gets_a_head_without_its_body() {
    let server = Server::start(serve);
    let (page, other) = (server.url("/page"), server.url("/other"));
    let curl = curl(["-I", "-w", "connects: %{num_connects}\n", &page, &other]);
    assert_eq!(curl.code, Some(0), "{}", curl.talk);
    let lengths: Vec<&str> = curl.output.lines().filter(|line| line.starts_with("Content-Length:")).collect();
    assert_eq!(lengths, ["Content-Length: 14", "Content-Length: 15"], "{}", curl.output);
    assert!(!curl.output.contains("this is"), "{}", curl.output);
    assert!(curl.output.ends_with("connects: 0\n"), "the connection is kept after HEAD: {}", curl.output);
}

#[test]
fn curl_asks_for_two_pages_on_one_connection() {
    let server = Server::start(serve);
    let (one, two) = (server.url("/one"), server.url("/two"));
    let curl = curl(["-w", "connects: %{num_connects}\n", &one, &two]);
    assert_eq!(curl.output, "this is /one\nconnects: 1\nthis is /two\nconnects: 0\n", "{}", curl.talk);
}

#[test]
fn curl_of_http_1_0_gets_an_answer_and_the_end_of_the_connection() {
    let server = Server::start(serve);
    let (one, two) = (server.url("/one"), server.url("/two"));
    let curl = curl(["-0", "-w", "connects: %{num_connects}\n", &one, &two]);
    assert_eq!(curl.output, "this is /one\nconnects: 1\nthis is /two\nconnects: 1\n", "{}", curl.talk);
}

#[test]
fn curl_uploads_in_chunks() {
    let server = Server::start(serve);
    let directory = TemporaryDirectory::new("chunked");
    let file = directory.0.join("body");
    let body: String = (0..50_000).map(|number| format!("{number:06}\n")).collect();
    fs::write(&file, &body).expect("the file can be written");
    let (data, url) = (format!("@{}", file.display()), server.url("/echo"));
    let curl = curl(["-v", "-H", "Transfer-Encoding: chunked", "-H", "Expect:", "--data-binary", &data, &url]);
    assert_eq!(curl.code, Some(0), "{}", curl.talk);
    assert!(curl.talk.contains("> Transfer-Encoding: chunked"), "{}", curl.talk);
    assert!(curl.output == body, "{} bytes came back of {}", curl.output.len(), body.len());
}

/// A server of the files in a directory, as requests ask for them.
fn serve_files(directory: &TemporaryDirectory) -> Server {
    let directory = directory.0.clone();
    Server::start(move |worker| {
        worker.on_message(move |connection, request| {
            connection.send(Response::file(&request, directory.join(request.path().trim_start_matches('/'))))
        });
    })
}

#[test]
fn curl_downloads_a_large_file_whole_in_parts_and_from_where_it_stopped() {
    let directory = TemporaryDirectory::new("download");
    let content: Vec<u8> = (0..3_000_000_u32).flat_map(u32::to_le_bytes).collect();
    fs::write(directory.0.join("file.bin"), &content).expect("the file can be written");
    let (server, copy) = (serve_files(&directory), directory.0.join("copy"));
    let (url, output) = (server.url("/file.bin"), copy.display().to_string());
    let copied = || fs::read(&copy).expect("curl has written it");
    let whole = curl(["-o", &output, &url]);
    assert!(whole.code == Some(0) && copied() == content, "{}", whole.talk);
    // Half of it is there already.
    fs::write(&copy, &content[..5_000_001]).expect("the file can be written");
    let rest = curl(["-C", "-", "-o", &output, &url]);
    assert!(rest.code == Some(0) && copied() == content, "{}", rest.talk);
    for (range, part) in [("0-0", 0..1), ("1000000-8999999", 1_000_000..9_000_000), ("-5", 11_999_995..12_000_000)] {
        let curl = curl(["-r", range, "-w", "%{http_code}", "-o", &output, &url]);
        assert!(curl.output == "206" && copied() == content[part], "{range}: {} {}", curl.output, curl.talk);
    }
    let past = curl(["-r", "12000000-", "-i", &url]);
    assert!(past.output.starts_with("HTTP/1.1 416 ") && past.output.contains("bytes */12000000"), "{}", past.output);
    let head = curl(["-I", &url]);
    assert!(head.output.contains("Content-Length: 12000000\r\n"), "{}", head.output);
}

#[test]
fn curl_is_told_that_it_has_a_file_already() {
    let directory = TemporaryDirectory::new("cached");
    let file = directory.0.join("page.html");
    fs::write(&file, "hello").expect("the file can be written");
    let long_ago = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    fs::File::options().write(true).open(&file).and_then(|file| file.set_modified(long_ago)).expect("it has a time");
    let server = serve_files(&directory);
    let (etag, copy, url) = (directory.0.join("etag"), directory.0.join("copy"), server.url("/page.html"));
    let (etag, output) = (etag.display().to_string(), copy.display().to_string());
    let status =
        |conditions: [&str; 2]| curl([conditions[0], conditions[1], "-w", "%{http_code}", "-o", &output, &url]);
    assert_eq!(status(["--etag-save", &etag]).output, "200");
    assert_eq!(status(["--etag-compare", &etag]).output, "304");
    assert_eq!(status(["-z", "15 Nov 2023"]).output, "304");
    assert_eq!(status(["-z", "14 Nov 2023"]).output, "200");
    fs::write(&file, "world").expect("the file can be written");
    assert_eq!(status(["--etag-compare", &etag]).output, "200");
    assert_eq!(fs::read_to_string(&copy).expect("curl has written it"), "world");
}

#[test]
fn curl_waits_for_100_continue_and_then_uploads_2_mib() {
    let server = Server::start(serve);
    let directory = TemporaryDirectory::new("expect");
    let file = directory.0.join("body");
    fs::write(&file, vec![b'x'; 2 * 1024 * 1024]).expect("the file can be written");
    let (data, url) = (format!("@{}", file.display()), server.url("/length"));
    let start = now();
    let options = ["-v", "--expect100-timeout", "10", "-H", "Expect: 100-continue", "--data-binary"];
    let curl = curl([options[0], options[1], options[2], options[3], options[4], options[5], &data, &url]);
    assert_eq!((curl.code, curl.output.as_str()), (Some(0), "POST 2097152 bytes"), "{}", curl.talk);
    assert!(curl.talk.contains("< HTTP/1.1 100 Continue"), "{}", curl.talk);
    assert!(start.elapsed() < Duration::from_secs(8), "curl did not have to give up waiting for it");
}

#[test]
fn curl_reads_an_event_stream_to_its_proper_end() {
    const EVENTS: &str = "data: hello 1\n\ndata: hello 2\n\ndata: hello 3\n\n";
    let server = Server::start(serve);
    for (version, framing) in
        [("--http1.1", "\r\nTransfer-Encoding: chunked\r\n"), ("--http1.0", "\r\nConnection: close\r\n")]
    {
        let curl = curl(["-N", "-i", version, "-H", "Accept: text/event-stream", &server.url("/events")]);
        assert_eq!(curl.code, Some(0), "{version}: {}", curl.talk);
        let (head, body) = curl.output.split_once("\r\n\r\n").expect("a head and a body");
        let head = format!("{head}\r\n");
        assert!(head.contains(framing), "{version}: {head}");
        assert!(head.contains("\r\nContent-Type: text/event-stream\r\n"), "{version}: {head}");
        assert!(!head.contains("Content-Length"), "{version}: {head}");
        assert_eq!(body, EVENTS, "{version}");
    }
}

#[test]
fn a_client_that_closes_its_half_gets_its_late_answer_whole() {
    let server = Server::start(serve);
    let mut client = server.connect();
    client.write_all(b"GET /late HTTP/1.1\r\nHost: test\r\n\r\n").expect("the request is sent");
    client.shutdown(Shutdown::Write).expect("half a connection can be closed");
    let answer = read_to_end(&mut client);
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(body == long_body(), "{} bytes of the body came", body.len());
}

#[test]
fn garbage_gets_a_400_that_can_be_read_however_much_follows_it() {
    let server = Server::start(serve);
    for extra in [0, 1, 100 * 1024] {
        let mut client = server.connect();
        let garbage = ["\u{1}\u{2} not http at all\r\n\r\n".as_bytes(), &vec![b'x'; extra]].concat();
        client.write_all(&garbage).expect("the garbage is sent");
        // Some of it arrives when the server has given its answer.
        thread::sleep(Duration::from_millis(20));
        let _ = client.write_all(&vec![b'y'; extra]);
        let answer = read_to_end(&mut client);
        assert!(answer.starts_with("HTTP/1.1 400 "), "{extra} bytes more: {answer:?}");
        assert!(answer.contains("\r\nConnection: close\r\n"), "{extra} bytes more: {answer:?}");
    }
}

#[test]
fn a_thousand_connections_leave_no_descriptor_behind() {
    let (server, address) = start_example("hello");
    let before = server.descriptors();
    for _ in 0..10 {
        let mut clients: Vec<_> = (0..100).map(|_| connect(address)).collect();
        for (number, client) in clients.iter_mut().enumerate() {
            // A third each: asks and reads, asks and goes, says nothing.
            match number % 3 {
                0 => drop(ask(client, "/", "hello world\n")),
                1 => client.write_all(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n").expect("the request is sent"),
                _ => {}
            }
        }
    }
    eventually("as many descriptors as before", || server.descriptors() == before);
}

/// A server that tells each connect and close, and a way to make it miss what happens for a moment.
fn observed() -> (Server, Receiver<&'static str>) {
    let (sender, events) = mpsc::channel();
    let server = Server::start(move |worker| {
        serve(worker);
        let connects = sender.clone();
        worker.on_connect(move |_| _ = connects.send("connect"));
        worker.on_close(move |_| _ = sender.send("close"));
    });
    (server, events)
}

/// Blocks the loop while `f` runs, so that all of what that does is seen at once.
fn at_once(server: &Server, f: impl FnOnce()) {
    let (blocked, is_blocked) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let block = move || {
        let _ = blocked.send(());
        let _ = released.recv_timeout(outside::PATIENCE);
    };
    server.handle.run(block).expect("the loop takes a task");
    receive("the loop is blocked", &is_blocked);
    f();
    drop(release);
}

#[test]
fn a_request_and_fin_that_arrive_together_get_an_answer_and_the_end() {
    let (server, events) = observed();
    let mut client = server.connect();
    assert_eq!(receive("the connection", &events), "connect");
    at_once(&server, || {
        client.write_all(b"GET /one HTTP/1.1\r\nHost: test\r\n\r\n").expect("the request is sent");
        client.shutdown(Shutdown::Write).expect("half a connection can be closed");
        thread::sleep(Duration::from_millis(20));
    });
    assert!(read_to_end(&mut client).ends_with("\r\n\r\nthis is /one\n"));
    assert_eq!(receive("the end of the connection", &events), "close");
}

#[test]
fn half_a_request_and_fin_that_arrive_together_end_the_connection() {
    let (server, events) = observed();
    for request in
        ["GET /one HTTP/1.1\r\nHo", "POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\n12345", ""]
    {
        let mut client = server.connect();
        assert_eq!(receive("the connection", &events), "connect");
        at_once(&server, || {
            client.write_all(request.as_bytes()).expect("the request is sent");
            client.shutdown(Shutdown::Write).expect("half a connection can be closed");
            thread::sleep(Duration::from_millis(20));
        });
        let start = now();
        assert_eq!(receive("the end of the connection", &events), "close", "{request:?}");
        assert!(start.elapsed() < Duration::from_secs(1), "{request:?}: at once");
        let answer = read_to_end(&mut client);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400 "), "{request:?}: {answer:?}");
    }
}

#[test]
fn fin_on_an_open_stream_ends_the_connection_at_once() {
    let (server, events) = observed();
    let mut client = server.connect();
    assert_eq!(receive("the connection", &events), "connect");
    let start = "GET /events HTTP/1.0\r\nHost: test\r\nAccept: text/event-stream\r\n\r\n";
    client.write_all(start.as_bytes()).expect("the request is sent");
    outside::read_until(&mut client, "\r\n\r\n");
    client.shutdown(Shutdown::Write).expect("half a connection can be closed");
    assert_eq!(receive("the end of the connection", &events), "close");
    let mut rest = Vec::new();
    let _ = client.read_to_end(&mut rest);
}

#[test]
fn a_reset_ends_the_connection_once_and_no_other() {
    let (server, events) = observed();
    let mut other = server.connect();
    assert_eq!(receive("the connection", &events), "connect");
    for request in ["", "GET /late HTTP/1.1\r\nHost: test\r\n\r\n", "GET /events HTTP/1.1\r\nHost: test\r\n\r\n"] {
        let mut client = server.connect();
        assert_eq!(receive("the connection", &events), "connect");
        client.write_all(request.as_bytes()).expect("the request is sent");
        thread::sleep(Duration::from_millis(20));
        socket2::SockRef::from(&client).set_linger(Some(Duration::ZERO)).expect("linger can be set");
        drop(client);
        assert_eq!(receive("the end of the connection", &events), "close", "{request:?}");
    }
    assert!(ask(&mut other, "/still", "this is /still\n").starts_with("HTTP/1.1 200 "));
    thread::sleep(Duration::from_millis(300));
    assert_eq!(events.try_recv().ok(), None, "one end for each connection");
    hang_up(&other);
    assert_eq!(receive("the end of the connection", &events), "close");
}

#[test]
fn half_a_request_head_costs_no_processor_time() {
    let (server, address) = start_example("hello");
    let mut client = connect(address);
    client.write_all(b"GET / HT").expect("half a head is sent");
    let used = || {
        let text = fs::read_to_string(format!("/proc/{}/schedstat", server.id())).expect("its time is known");
        text.split(' ').next().and_then(|nanoseconds| nanoseconds.parse::<u64>().ok()).expect("nanoseconds")
    };
    thread::sleep(Duration::from_millis(100));
    let before = used();
    thread::sleep(Duration::from_millis(300));
    let used = Duration::from_nanos(used() - before);
    assert!(used < Duration::from_millis(30), "{used:?} of 300 ms for eight bytes of one peer");
}

#[test]
fn closing_while_bytes_of_the_peer_are_unread_does_not_cut_the_answer() {
    let server = Server::start(|worker| {
        worker.on_message(|connection, _| {
            connection.pause_recv(); // what comes next stays in the kernel
            Timer::delay(0.2, move || connection.close_with("x".repeat(200_000)));
        });
    });
    let mut client = server.connect();
    client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").expect("the request is sent");
    thread::sleep(Duration::from_millis(50));
    client.write_all(b"GET /2 HTTP/1.1\r\nHost: a\r\n\r\n").expect("the next one is sent");
    thread::sleep(Duration::from_millis(300));
    assert!(read_to_end(&mut client).len() > 200_000);
}
