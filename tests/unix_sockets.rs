//! The promise: what a connection does over TCP it does over a Unix socket, with real peers at the other end.

#![allow(clippy::indexing_slicing)] // a failing index fails the test

mod outside;

use std::fs;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;
use std::sync::mpsc::{self, Receiver};

use outside::{PATIENCE, Server, TemporaryDirectory, receive};
use tungstenite::Message as Theirs;
use workerman::{Frame, Http, Request, Response, ServerSentEvents, TcpConnection, Text, Timer, Websocket, Worker};

/// More than sockets take ahead of their readers.
const LARGE: usize = 6 << 20;

/// A server on a Unix socket, and what it tells of its callbacks.
struct Site {
    path: PathBuf,
    told: Receiver<String>,
    server: Server,
    directory: TemporaryDirectory,
}

impl Site {
    /// Sets up a worker for the address that it is given.
    fn start(name: &str, set_up: impl FnOnce(&str, mpsc::Sender<String>) + Send + 'static) -> Self {
        let directory = TemporaryDirectory::new(&format!("unix-{name}"));
        let path = directory.0.join("app.sock");
        let address = format!("unix://{}", path.display());
        let (sender, told) = mpsc::channel();
        let server = Server::start(move |_| set_up(&address, sender));
        Self { path, told, server, directory }
    }

    fn http(name: &str) -> Self {
        Self::start(name, |address, tell| {
            let worker = Worker::<Http>::new(address);
            worker.on_message(answer);
            worker.on_close(move |connection| tell.send(format!("closed {:?}", connection.remote_address())).is_ok());
        })
    }

    /// Has the app end.
    fn stop(&self) {
        self.server.handle.run(Worker::stop_all).expect("a loop that runs");
    }

    fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect(&self.path).expect("the server listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
        stream.set_write_timeout(Some(PATIENCE)).expect("a timeout can be set");
        stream
    }

    /// What curl prints.
    fn curl(&self, arguments: &[&str]) -> String {
        let seconds = PATIENCE.as_secs().to_string();
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--max-time", &seconds, "--unix-socket"]).arg(&self.path);
        let done = curl.args(arguments).output().expect("this test needs curl: ./tests/run installs it");
        assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8_lossy(&done.stdout).into_owned()
    }
}

fn content(length: usize) -> Vec<u8> {
    (0..length).map(|at| ((at * 7 + at / 251 + at / 65_536) % 255 + 1).to_le_bytes()[0]).collect()
}

fn answer(connection: TcpConnection<Http>, request: Request) {
    match request.path() {
        "/large" => drop(connection.send(content(LARGE))),
        "/length" => drop(connection.send(format!("{} bytes", request.raw_body().len()))),
        "/upload" => {
            let length = request.file("file").map_or(0, |file| file.size());
            connection.send(format!("{length} bytes in a file"));
        }
        "/file" => drop(connection.send(Response::file(&request, request.get("name").unwrap_or_default()))),
        "/late" => drop(Timer::delay(0.05, move || connection.send("late"))),
        "/last" => connection.end_with("last"),
        "/events" => {
            connection.send(Response::new(200, &[("Content-Type", "text/event-stream")], ""));
            let mut count = 0;
            connection.add_timer(0.01, move || {
                count += 1;
                connection.send(ServerSentEvents::new().data(format!("hello {count}")));
                if count == 3 {
                    connection.close();
                }
            });
        }
        path => drop(connection.send(format!("{} {path}", request.method()))),
    }
}

fn read_to_end(stream: &mut UnixStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).expect("a proper end");
    bytes
}

#[test]
fn curl_keeps_its_connection() {
    let site = Site::http("curl");
    let [one, two] = ["http://localhost/one", "http://localhost/two"];
    let output = site.curl(&["-w", " %{num_connects}\n", one, two]);
    assert_eq!(output, "GET /one 1\nGET /two 0\n");
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let site = Site::http("pipelined");
    let mut stream = site.connect();
    let requests = ["/1", "/late", "/3"].map(|path| format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).concat();
    stream.write_all(requests.as_bytes()).expect("they can be sent");
    stream.write_all(b"GET /4 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").expect("it can be sent");
    let answers = String::from_utf8(read_to_end(&mut stream)).expect("text");
    let places = ["GET /1", "late", "GET /3", "GET /4"].map(|body| answers.find(body).expect("an answer"));
    assert!(places.is_sorted(), "{answers}");
}

#[test]
fn an_event_stream_comes_to_its_proper_end() {
    let site = Site::http("events");
    let output = site.curl(&["-N", "-H", "Accept: text/event-stream", "http://localhost/events"]);
    assert_eq!(output, "data: hello 1\n\ndata: hello 2\n\ndata: hello 3\n\n");
}

#[test]
fn large_bodies_arrive_with_and_without_their_length_and_in_forms() {
    let site = Site::http("upload");
    let file = site.directory.0.join("body");
    fs::write(&file, content(LARGE)).expect("it can be written");
    let (file, url) = (file.display().to_string(), "http://localhost/length");
    assert_eq!(site.curl(&["-T", &file, url]), format!("{LARGE} bytes"));
    assert_eq!(site.curl(&["-T", &file, "-H", "Transfer-Encoding: chunked", url]), format!("{LARGE} bytes"));
    let form = site.curl(&["-F", &format!("file=@{file}"), "http://localhost/upload"]);
    assert_eq!(form, format!("{LARGE} bytes in a file"));
}

#[test]
fn a_file_arrives_as_it_is() {
    let site = Site::http("file");
    let (file, copy) = (site.directory.0.join("file"), site.directory.0.join("copy"));
    fs::write(&file, content(LARGE)).expect("it can be written");
    let url = format!("http://localhost/file?name={}", file.display());
    site.curl(&["-o", &copy.display().to_string(), &url]);
    assert!(fs::read(&copy).expect("it has come") == content(LARGE));
    site.curl(&["-r", "70000-5000000", "-o", &copy.display().to_string(), &url]);
    assert!(fs::read(&copy).expect("it has come") == content(LARGE)[70_000..5_000_001]);
}

#[test]
fn a_slow_reader_gets_everything_and_the_app_is_told_of_it() {
    let site = Site::start("slow", |address, tell| {
        let worker = Worker::<Http>::new(address);
        worker.on_message(answer);
        let full = tell.clone();
        worker.on_buffer_full(move |_| full.send("full".to_owned()).is_ok());
        worker.on_buffer_drain(move |_| tell.send("drain".to_owned()).is_ok());
    });
    let mut stream = site.connect();
    for _ in 0..2 {
        stream.write_all(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n").expect("it can be sent");
        assert_eq!(receive("that the buffer is full", &site.told), "full");
        let (mut head, mut body) = (Vec::new(), vec![0; LARGE]);
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).expect("a head");
            head.extend(byte);
        }
        for piece in body.chunks_mut(10_007) {
            stream.read_exact(piece).expect("the body");
        }
        assert!(body == content(LARGE));
        assert_eq!(receive("that all has left", &site.told), "drain");
    }
}

#[test]
fn who_closes_a_half_gets_a_late_answer() {
    let site = Site::http("half");
    let mut stream = site.connect();
    stream.write_all(b"GET /late HTTP/1.1\r\nHost: a\r\n\r\n").expect("it can be sent");
    stream.shutdown(Shutdown::Write).expect("it can be shut down");
    assert!(read_to_end(&mut stream).ends_with(b"\r\n\r\nlate"));
    assert_eq!(receive("the end", &site.told), "closed \"\"");
}

#[test]
fn who_goes_on_sending_can_read_the_last_answer() {
    let site = Site::http("end");
    for (request, answer) in [
        (&b"GET /last HTTP/1.1\r\nHost: a\r\n\r\n"[..], "HTTP/1.1 200 OK"),
        (b"BROKEN\x01REQUEST\r\n\r\n", "HTTP/1.1 400 Bad Request"),
    ] {
        let mut stream = site.connect();
        stream.write_all(request).expect("it can be sent");
        // All of this is read and thrown away, whatever the server has made of what came before.
        stream.write_all(&vec![b'x'; 1 << 20]).expect("the server listens on");
        stream.shutdown(Shutdown::Write).expect("it can be shut down");
        let text = String::from_utf8(read_to_end(&mut stream)).expect("text");
        assert!(text.starts_with(answer), "{text}");
        assert_eq!(receive("the end", &site.told), "closed \"\"");
    }
}

#[test]
fn a_peer_that_is_gone_closes_its_connection() {
    let site = Site::http("gone");
    for request in
        ["", "GET / HTTP/1.1\r\n", "GET /large HTTP/1.1\r\nHost: a\r\n\r\n", "GET /events HTTP/1.1\r\nHost: a\r\n\r\n"]
    {
        let mut stream = site.connect();
        stream.write_all(request.as_bytes()).expect("it can be sent");
        if request.ends_with("\r\n\r\n") {
            stream.read_exact(&mut [0; 8]).expect("an answer begins");
        }
        drop(stream);
        assert_eq!(receive("the end", &site.told), "closed \"\"", "{request}");
    }
    assert_eq!(site.curl(&["http://localhost/"]), "GET /", "the others are served");
}

#[test]
fn peers_have_no_address_and_no_limit_counts_them_by_one() {
    let site = Site::start("addresses", |address, tell| {
        let worker = Worker::<Text>::new(address);
        worker.set_max_connections_per_address(1);
        worker.on_message(move |connection, line| {
            let remote = (connection.remote_ip(), connection.remote_port(), connection.remote_address());
            let local = (connection.local_ip(), connection.local_port(), connection.local_address());
            assert_eq!((remote, local), Default::default());
            assert!(!connection.is_ipv4() && !connection.is_ipv6());
            assert_eq!(worker.refused_connections(), 0);
            connection.send(line)
        });
        worker.on_close(move |connection| tell.send(connection.remote_ip()).is_ok());
    });
    let mut streams = [site.connect(), site.connect(), site.connect()];
    for stream in &mut streams {
        stream.write_all(b"hello\n").expect("it can be sent");
        let mut line = [0; 6];
        stream.read_exact(&mut line).expect("a line");
        assert_eq!(&line, b"hello\n");
    }
    drop(streams);
    (0..3).for_each(|_| assert_eq!(receive("the end", &site.told), ""));
}

#[test]
fn frames_and_a_limit_of_connections_are_as_on_tcp() {
    let site = Site::start("frames", |address, _| {
        let worker = Worker::<Frame>::new(address);
        worker.set_max_connections(1);
        worker.on_message(|connection, frame| connection.send(frame));
    });
    let ask = |stream: &mut UnixStream| {
        stream.write_all(b"\0\0\0\x06hi").expect("it can be sent");
        let mut frame = [0; 6];
        stream.read_exact(&mut frame).expect("a frame");
        assert_eq!(&frame, b"\0\0\0\x06hi");
    };
    let (mut first, mut second) = (site.connect(), site.connect());
    ask(&mut first);
    drop(first);
    // The second has waited in the system's queue.
    ask(&mut second);
}

#[test]
fn websocket_messages_go_both_ways() {
    let site = Site::start("websocket", |address, _| {
        let worker = Worker::<Websocket>::new(address);
        worker.on_message(|connection, message| connection.send(message));
    });
    let (mut socket, _) = tungstenite::client("ws://localhost/", site.connect()).expect("a handshake");
    for message in [Theirs::text("hello"), Theirs::binary(content(LARGE / 8)), Theirs::text("")] {
        socket.send(message.clone()).expect("it can be sent");
        assert!(socket.read().expect("a message") == message);
    }
    socket.close(None).expect("it can be closed");
    while socket.read().is_ok() {}
}

#[test]
fn upgraded_connections_are_told_everything_and_said_goodbye_to() {
    let site = Site::start("upgrade", |address, tell| {
        let (site, chat) = (Worker::<Http>::new(address), Worker::<Websocket>::new(""));
        site.on_message(move |connection, request| connection.upgrade_to(chat, request).map(drop));
        site.on_close(move |_| tell.send("closed".to_owned()).is_ok());
        chat.on_message(move |_, message| chat.broadcast(message));
    });
    let mut guests = [(); 2].map(|()| tungstenite::client("ws://localhost/", site.connect()).expect("a handshake").0);
    for message in [Theirs::text("hello"), Theirs::binary(content(LARGE / 8)), Theirs::text("bye")] {
        guests[0].send(message.clone()).expect("it can be sent");
        for guest in &mut guests {
            assert!(guest.read().expect("a message") == message);
        }
    }
    site.stop();
    for guest in &mut guests {
        let Ok(Theirs::Close(Some(frame))) = guest.read() else { panic!("no goodbye") };
        assert_eq!(u16::from(frame.code), 1001);
        while guest.read().is_ok() {}
    }
    (0..2).for_each(|_| assert_eq!(receive("the end", &site.told), "closed"));
}

#[test]
fn who_does_not_read_misses_broadcasts_and_keeps_nobody_waiting() {
    let site = Site::start("broadcast", |address, _| {
        let worker = Worker::<Text>::new(address);
        worker.on_connect(|connection| connection.set_max_send_buffer_size(1000));
        worker.on_message(move |connection, _| {
            let told = worker.broadcast_except(connection, "x".repeat(99_999));
            connection.send(told.dropped.to_string());
        });
    });
    let (mut sleeper, mut teller) = (site.connect(), site.connect());
    let mut broadcast = || {
        teller.write_all(b"go\n").expect("it can be sent");
        let mut missed = [0; 2];
        teller.read_exact(&mut missed).expect("an answer");
        missed == *b"1\n"
    };
    let heard = (0..100).take_while(|_| !broadcast()).count();
    assert!((1..100).contains(&heard), "{heard} fit into the socket and the buffer");
    assert!(broadcast(), "the next one as well");
    // What found room arrives whole, and then there is room again.
    let mut line = vec![0; 100_000];
    for _ in 0..heard {
        sleeper.read_exact(&mut line).expect("a line");
        assert!(line.ends_with(b"xx\n"));
    }
    outside::eventually("it hears again", || !broadcast());
    sleeper.read_exact(&mut line).expect("a line");
    assert!(line.ends_with(b"xx\n"));
}
