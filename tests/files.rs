//! The promise: a file arrives exactly as it is, however large it is and however its reader reads, and costs neither memory
//! nor the others' time; what a client has already is not sent again.

#![allow(clippy::indexing_slicing)] // a failing index fails the test

mod common;
mod outside;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use allocation_counter::measure;
use common::{Answer, Log, answers, exchange, get, serve, split_head, text};
use outside::TemporaryDirectory;
use workerman::testing::{Peer, Simulation};
use workerman::{Http, Response, SendStatus, Worker};

/// When the files here were modified: a day before the virtual clock's time.
const MODIFIED: &str = "Sat, 05 Nov 1994 08:49:37 GMT";
const MODIFIED_SECONDS: u64 = 784_025_377;
/// More than is ever read at a time.
const LARGE: usize = 300_000;

struct Files(TemporaryDirectory);

impl Files {
    fn new(name: &str) -> Self {
        Self(TemporaryDirectory::new(&format!("files-{name}")))
    }

    fn add(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.0.0.join(name);
        fs::write(&path, content).expect("it can be written");
        age(&path);
        path
    }
}

fn age(path: &Path) {
    let file = File::options().write(true).open(path).expect("it can be opened");
    file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(MODIFIED_SECONDS)).expect("it has a time");
}

/// Bytes of which no stretch is like another.
fn content(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 7 + at / 251 + at / 65_536).to_le_bytes()[0]).collect()
}

/// A server of one file, as the request asks for it.
fn serve_file(path: &Path) -> (Simulation, Worker<Http>) {
    let path = path.to_owned();
    serve(move |connection, request| connection.send(Response::file(&request, &path)))
}

/// The answer to a request with these header lines.
fn ask(path: &Path, method: &str, lines: &str) -> Answer {
    let (simulation, worker) = serve_file(path);
    let bytes = exchange(&simulation, worker, format!("{method} / HTTP/1.1\r\nHost: a\r\n{lines}\r\n")).1;
    if method == "HEAD" {
        let (head, rest) = split_head(&bytes);
        assert_eq!(rest, b"", "no body in answer to HEAD");
        return Answer { head, body: Vec::new() };
    }
    let [answer] = answers(&bytes).try_into().expect("one answer");
    answer
}

/// Reads until nothing more comes, in pieces of this size.
fn read_all(simulation: &Simulation, peer: &Peer, piece: usize) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        simulation.run();
        let bytes = peer.read_at_most(piece);
        if bytes.is_empty() {
            return all;
        }
        all.extend(bytes);
    }
}

#[test]
fn a_file_has_phps_head_and_a_name_for_its_version() {
    let files = Files::new("head");
    let path = files.add("a.txt", b"hello file");
    let (simulation, worker) =
        serve(move |connection, _| connection.send(Response::new(200, &[("X-A", "b")], "").with_file(&path, 0, 0)));
    let wire = text(exchange(&simulation, worker, get("/")).1);
    let (before, rest) = wire.split_once("ETag: ").expect("a tag");
    let (etag, after) = rest.split_once("\r\n").expect("a line");
    let lines = ["HTTP/1.1 200 OK", "X-A: b", "Content-Length: 10", "Accept-Ranges: bytes", "Connection: keep-alive"];
    let more = format!("Content-Type: text/plain;charset=utf-8\r\nLast-Modified: {MODIFIED}\r\n");
    assert_eq!(before, lines.join("\r\n") + "\r\n" + &more);
    assert!(etag.starts_with('"') && etag.ends_with('"') && etag.len() > 10, "{etag}");
    assert_eq!(after, format!("{}\r\nhello file", common::DATE));
}

#[test]
fn every_part_of_a_file_arrives_exactly() {
    let files = Files::new("parts");
    let piece = 64 * 1024;
    for size in [1, 10, piece - 1, piece, piece + 1, LARGE] {
        let all = content(size);
        let path = files.add("a", &all);
        for offset in [0, 1, size / 2, size - 1].into_iter().filter(|offset| *offset < size) {
            for length in [0, 1, size / 3, piece, piece + 1, size, 2 * size] {
                let path = path.clone();
                let (simulation, worker) = serve(move |connection, _| {
                    connection.send(Response::default().with_file(&path, offset as u64, length as u64))
                });
                let [answer] = answers(&exchange(&simulation, worker, get("/")).1).try_into().expect("one answer");
                let end = if length == 0 { size } else { size.min(offset + length) };
                let part = offset > 0 || length > 0;
                assert_eq!(answer.status(), if part { 206 } else { 200 });
                let range = part.then(|| format!("bytes {offset}-{}/{size}", end - 1));
                assert_eq!(answer.header("content-range"), range.as_deref());
                assert!(answer.body == all[offset..end], "{offset} {length} of {size}");
            }
        }
    }
}

#[test]
fn a_file_arrives_exactly_however_it_is_read() {
    let files = Files::new("windows");
    let all = content(LARGE);
    let path = files.add("a.bin", &all);
    for (window, write_limit, piece) in
        [(usize::MAX, usize::MAX, 7_777), (usize::MAX, 1_000, 50_000), (999, usize::MAX, 999), (70_001, 70_000, 64_000)]
    {
        let (simulation, worker) = serve_file(&path);
        let peer = simulation.connect(worker);
        peer.set_window(window);
        peer.set_write_limit(write_limit);
        peer.write(get("/"));
        let bytes = read_all(&simulation, &peer, piece);
        let [answer] = answers(&bytes).try_into().expect("one answer");
        assert!(answer.body == all, "window {window}, write limit {write_limit}");
        assert!(!peer.is_finished(), "the connection is kept");
    }
}

#[test]
fn a_large_file_is_never_in_memory_as_a_whole() {
    const SIZE: usize = 16 << 20;
    let files = Files::new("memory");
    let path = files.add("a.bin", &content(SIZE));
    let (simulation, worker) = serve_file(&path);
    let peer = simulation.connect(worker);
    peer.set_window(4096);
    let started = measure(|| {
        peer.write(get("/"));
        simulation.run();
    });
    assert!(started.bytes_max < 256 * 1024, "{} bytes for a peer that does not read", started.bytes_max);
    let mut left = SIZE;
    let reading = measure(|| {
        while left > 100_000 {
            left -= peer.read_at_most(100_000).len().min(left);
            simulation.run();
            left -= usize::from(left < SIZE / 2) * left; // half of it is enough
        }
    });
    assert!(reading.bytes_max < 256 * 1024, "{} bytes while it is read", reading.bytes_max);
}

#[test]
fn a_fast_reader_of_a_large_file_leaves_the_others_their_turn() {
    const SIZE: usize = 8 << 20;
    let files = Files::new("turns");
    let path = files.add("a.bin", &content(SIZE));
    let (simulation, worker) = serve(move |connection, request| match request.path() {
        "/file" => connection.send(Response::file(&request, &path)),
        _ => connection.send("small"),
    });
    let (fast, other) = (simulation.connect(worker), simulation.connect(worker));
    fast.write(get("/file"));
    let mut came = 0;
    let mut turns = 0;
    while came < SIZE {
        other.write(get("/"));
        simulation.turn();
        let piece = fast.read().len();
        // What is due in its own turn may come in the one before, behind the request.
        assert!(piece < 520 * 1024, "{piece} bytes in one turn");
        came += piece;
        assert_eq!(common::bodies(&other.read()), ["small"]);
        turns += 1;
        assert!(turns < 100, "it goes on by itself");
    }
}

#[test]
fn what_was_asked_for_behind_a_file_comes_behind_it() {
    let files = Files::new("pipelined");
    let all = content(LARGE);
    let path = files.add("a.bin", &all);
    let short = files.add("b.bin", b"short");
    let (simulation, worker) = serve(move |connection, request| match request.path() {
        "/file" => connection.send(Response::file(&request, &path)),
        "/short" => connection.send(Response::file(&request, &short)),
        path => connection.send(path.to_owned()),
    });
    for window in [usize::MAX, 5_000] {
        let peer = simulation.connect(worker);
        peer.set_window(window);
        let requests = ["/1", "/file", "/2", "/short", "/file", "/file", "/3"];
        peer.write(requests.map(get).concat());
        let came = answers(&read_all(&simulation, &peer, 60_000));
        let expected: [&[u8]; 7] = [b"/1", &all, b"/2", b"short", &all, &all, b"/3"];
        assert_eq!(came.len(), 7);
        assert!(came.iter().zip(expected).all(|(answer, expected)| answer.body == expected), "window {window}");
    }
}

#[test]
fn many_requests_for_files_do_not_open_them_all() {
    let files = Files::new("descriptors");
    let path = files.add("a.bin", &content(LARGE));
    let (simulation, worker) = serve_file(&path);
    let peer = simulation.connect(worker);
    peer.set_window(1);
    peer.write(get("/").repeat(500));
    simulation.run();
    let open = fs::read_dir("/proc/self/fd").expect("Linux").filter(|entry| {
        let target = entry.as_ref().ok().and_then(|entry| fs::read_link(entry.path()).ok());
        target.is_some_and(|target| target == path)
    });
    // As many as have room below the limit of what may wait, which is 1 MiB.
    assert!(open.count() <= 5, "a descriptor for each request");
}

#[test]
fn the_buffer_has_drained_when_all_of_the_file_has_left() {
    let files = Files::new("drain");
    let path = files.add("a.bin", &content(LARGE));
    let log = Log::new();
    let note = log.writer();
    let (simulation, worker) = serve(move |connection, request| {
        let status = connection.send(Response::file(&request, &path));
        note(format!("{status:?} {}", connection.send_buffer_queue_size() > LARGE / 2));
    });
    let note = log.writer();
    worker.on_buffer_drain(move |connection| note(format!("drained {}", connection.send_buffer_queue_size())));
    let peer = simulation.connect(worker);
    peer.set_window(1000);
    peer.write(get("/"));
    simulation.run();
    assert_eq!(log.take(), ["Queued true"]);
    read_all(&simulation, &peer, 1000);
    assert_eq!(log.take(), ["drained 0"]);
}

#[test]
fn a_file_that_is_cut_short_ends_the_connection_and_is_never_padded() {
    let files = Files::new("cut");
    for kept in [0, 1, 100_000, LARGE - 1] {
        let all = content(LARGE);
        let path = files.add("a.bin", &all);
        let log = Log::new();
        let (simulation, worker) = serve_file(&path);
        let note = log.writer();
        worker.on_error(move |_, _, message| note(message.to_owned()));
        let note = log.writer();
        worker.on_close(move |_| note("closed".to_owned()));
        let peer = simulation.connect(worker);
        peer.set_window(1000);
        peer.write(get("/") + &get("/"));
        simulation.run();
        File::options().write(true).open(&path).expect("it is there").set_len(kept as u64).expect("it can be cut");
        let bytes = read_all(&simulation, &peer, 1000);
        let (head, body) = split_head(&bytes);
        assert!(head.contains(&format!("Content-Length: {LARGE}")), "{head}");
        assert!(body.len() < LARGE && all.starts_with(body), "{kept} were kept, {} came", body.len());
        assert!(peer.is_closed());
        assert_eq!(log.take(), ["the file that was being sent ends too soon or cannot be read", "closed"]);
    }
}

#[test]
fn a_file_that_is_deleted_or_replaced_while_it_is_sent_arrives_as_it_was() {
    let files = Files::new("deleted");
    let all = content(LARGE);
    for replace in [false, true] {
        let path = files.add("a.bin", &all);
        let (simulation, worker) = serve_file(&path);
        let peer = simulation.connect(worker);
        peer.set_window(1000);
        peer.write(get("/"));
        simulation.run();
        if replace {
            let other = files.add("b.bin", b"another");
            fs::rename(other, &path).expect("it can be replaced");
        } else {
            fs::remove_file(&path).expect("it can be deleted");
        }
        let [answer] = answers(&read_all(&simulation, &peer, 1000)).try_into().expect("one answer");
        assert!(answer.body == all);
    }
}

#[test]
fn the_head_tells_of_the_file_that_follows_it() {
    let files = Files::new("late");
    let path = files.add("a.txt", b"old");
    let (simulation, worker) = serve(move |connection, request| {
        let response = Response::file(&request, &path);
        fs::write(&path, b"new and longer").expect("it can be written");
        connection.send(response)
    });
    let [answer] = answers(&exchange(&simulation, worker, get("/")).1).try_into().expect("one answer");
    assert_eq!(answer.body(), "new and longer");
    assert!(answer.header("etag").is_some_and(|etag| etag.starts_with("W/\"e-")), "{}", answer.head);
    assert_eq!(answer.header("last-modified"), None, "it may change again in this second");
}

#[test]
fn the_answer_to_head_is_the_head() {
    let files = Files::new("method");
    for size in [0, 5, LARGE] {
        let path = files.add("a.html", &content(size));
        assert_eq!(ask(&path, "HEAD", "Range: bytes=1-2\r\n").head, ask(&path, "GET", "").head);
    }
}

#[test]
fn a_range_is_answered_with_that_part() {
    let files = Files::new("range");
    let all = content(LARGE);
    let path = files.add("a.bin", &all);
    for (range, start, end) in [
        ("0-0", 0, 1),
        ("5-9", 5, 10),
        ("-7", LARGE - 7, LARGE),
        ("100000-", 100_000, LARGE),
        ("1-99999999", 1, LARGE),
        ("0-", 0, LARGE),
    ] {
        let answer = ask(&path, "GET", &format!("Range: bytes={range}\r\n"));
        assert_eq!(answer.status(), 206, "{range}");
        assert_eq!(answer.header("content-range"), Some(&*format!("bytes {start}-{}/{LARGE}", end - 1)));
        assert!(answer.body == all[start..end], "{range}");
    }
    for lines in ["Range: bytes=0-1,3-4\r\n", "Range: bytes=x\r\n", "Range: bytes=0-1\r\nIf-Range: \"x\"\r\n"] {
        let answer = ask(&path, "GET", lines);
        assert!(answer.status() == 200 && answer.body == all, "{lines}");
    }
    let answer = ask(&path, "GET", &format!("Range: bytes={LARGE}-\r\n"));
    assert_eq!((answer.status(), answer.body()), (416, String::new()));
    assert_eq!(answer.header("content-range"), Some(&*format!("bytes */{LARGE}")));
}

#[test]
fn a_download_goes_on_where_it_ended_only_if_the_file_is_the_same() {
    let files = Files::new("resume");
    let path = files.add("a.txt", b"0123456789");
    let etag = ask(&path, "GET", "").header("etag").expect("a tag").to_owned();
    let resume = |condition: &str| ask(&path, "GET", &format!("Range: bytes=5-\r\nIf-Range: {condition}\r\n")).body();
    assert_eq!([resume(&etag), resume(MODIFIED)], ["56789", "56789"]);
    files.add("a.txt", b"abcdefghijk");
    assert_eq!(resume(&etag), "abcdefghijk");
}

#[test]
fn what_the_client_has_is_not_sent_again() {
    let files = Files::new("cached");
    let path = files.add("a.txt", b"hello");
    let etag = ask(&path, "GET", "").header("etag").expect("a tag").to_owned();
    for method in ["GET", "HEAD"] {
        for lines in [
            format!("If-None-Match: {etag}\r\n"),
            format!("If-None-Match: \"x\", W/{etag}\r\nRange: bytes=0-1\r\n"),
            format!("If-Modified-Since: {MODIFIED}\r\n"),
            "If-None-Match: *\r\n".to_owned(),
        ] {
            let answer = ask(&path, method, &lines);
            assert_eq!(answer.status(), 304, "{method} {lines}");
            assert_eq!(answer.header("etag"), Some(&*etag), "RFC 9110 §15.4.5");
            assert_eq!((answer.header("content-length"), answer.header("content-type")), (None, None));
        }
        assert_eq!(ask(&path, method, "If-Match: \"x\"\r\n").status(), 412);
        assert_eq!(ask(&path, method, "If-None-Match: \"x\"\r\n").status(), 200);
    }
    let lines = format!("Content-Length: 0\r\nRange: bytes=0-1\r\nIf-None-Match: {etag}\r\n");
    assert_eq!(ask(&path, "POST", &lines).body(), "hello", "only GET and HEAD have conditions");
}

#[test]
fn an_app_says_what_it_knows_better() {
    let files = Files::new("own");
    let path = files.add("a.bin", b"hello");
    let lines = [
        ("ETag", "\"v1\""),
        ("Last-Modified", "Sun, 06 Nov 1994 00:00:00 GMT"),
        ("Content-Type", "text/x-own"),
        ("Accept-Ranges", "none"),
        ("Content-Length", "77"),
    ];
    let (simulation, worker) = serve(move |connection, request| {
        let status = if request.path() == "/error" { 404 } else { 200 };
        connection.send(Response::file(&request, &path).with_headers(&lines).with_status(status))
    });
    let ask = |path: &str, line: &str| {
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\n{line}\r\n\r\n");
        let [answer] = answers(&exchange(&simulation, worker, request).1).try_into().expect("one answer");
        answer
    };
    let answer = ask("/", "X: y");
    for (name, value) in &lines[..4] {
        assert_eq!(answer.header(name), Some(*value));
    }
    assert_eq!((answer.header("content-length"), answer.header("content-disposition")), (Some("5"), None));
    let answer = ask("/", "If-None-Match: \"v1\"");
    assert_eq!((answer.status(), answer.header("etag")), (304, Some("\"v1\"")));
    assert_eq!(ask("/", "If-Modified-Since: Sat, 05 Nov 1994 12:00:00 GMT").status(), 200);
    let answer = ask("/error", "If-None-Match: \"v1\"");
    assert_eq!((answer.status(), answer.body()), (404, "hello".to_owned()), "RFC 9110 §13.2.1");
}

#[test]
fn what_is_no_file_is_not_found_and_not_waited_for() {
    let files = Files::new("none");
    let pipe = files.0.0.join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo runs").success());
    let nul = files.0.0.join("a\0b");
    for path in [files.0.0.join("missing"), files.0.0.clone(), pipe.clone(), nul, files.add("f", b"x").join("below")] {
        for method in ["GET", "HEAD"] {
            let answer = ask(&path, method, "");
            let body = if method == "GET" { "<h3>404 Not Found</h3>" } else { "" };
            assert_eq!((answer.status(), answer.body().as_str()), (404, body), "{}", path.display());
        }
    }
    // And what becomes one between the making of the answer and its sending.
    let path = files.add("late", b"x");
    let (simulation, worker) = serve(move |connection, request| {
        let response = Response::file(&request, &path);
        assert_eq!(response.status(), 200);
        fs::rename(&pipe, &path).expect("it can be replaced");
        connection.send(response)
    });
    let [answer] = answers(&exchange(&simulation, worker, get("/")).1).try_into().expect("one answer");
    assert_eq!((answer.status(), answer.body().as_str()), (404, "<h3>404 Not Found</h3>"));
}

#[test]
fn a_part_that_is_not_there_is_416() {
    let files = Files::new("past");
    let path = files.add("a.txt", b"0123456789");
    let empty = files.add("empty.txt", b"");
    for (path, offset, length, status) in
        [(&path, 10, 0, 416), (&path, u64::MAX, u64::MAX, 416), (&empty, 0, 1, 416), (&empty, 0, 0, 200)]
    {
        let path = path.clone();
        let (simulation, worker) =
            serve(move |connection, _| connection.send(Response::default().with_file(&path, offset, length)));
        let [answer] = answers(&exchange(&simulation, worker, get("/")).1).try_into().expect("one answer");
        assert_eq!((answer.status(), answer.body()), (status, String::new()));
    }
}

#[test]
fn a_peer_that_sends_no_more_gets_the_whole_file() {
    let files = Files::new("fin");
    let all = content(4 << 20);
    let path = files.add("a.bin", &all);
    let (simulation, worker) = serve_file(&path);
    for window in [100_000, usize::MAX] {
        let peer = simulation.connect(worker);
        peer.set_window(window);
        peer.write(get("/"));
        peer.finish();
        let [answer] = answers(&read_all(&simulation, &peer, 90_000)).try_into().expect("one answer");
        assert!(answer.body == all);
        assert!(peer.is_closed());
    }
}

#[test]
fn a_connection_that_closes_behind_a_file_sends_all_of_it_first() {
    let files = Files::new("close");
    let all = content(4 << 20);
    let path = files.add("a.bin", &all);
    for (line, window) in [("Connection: close\r\n", usize::MAX), ("Connection: close\r\n", 5_000), ("", usize::MAX)] {
        let path = path.clone();
        let (simulation, worker) = serve(move |connection, request| {
            connection.send(Response::file(&request, &path));
            connection.close();
        });
        let peer = simulation.connect(worker);
        peer.set_window(window);
        peer.write(format!("GET / HTTP/1.1\r\nHost: a\r\n{line}\r\n"));
        let [answer] = answers(&read_all(&simulation, &peer, 60_000)).try_into().expect("one answer");
        assert!(answer.body == all);
        assert!(peer.is_closed());
    }
}

#[test]
fn a_peer_that_stops_reading_a_file_is_closed_in_time() {
    let files = Files::new("stalled");
    let path = files.add("a.bin", &content(LARGE));
    let (simulation, worker) = serve_file(&path);
    let peer = simulation.connect(worker);
    peer.set_window(1000);
    peer.write(get("/"));
    simulation.advance(Duration::from_secs(50));
    peer.read_at_most(500);
    simulation.advance(Duration::from_secs(50));
    assert!(!peer.is_closed(), "it has read some");
    simulation.advance(Duration::from_secs(12));
    assert!(peer.is_closed());
}

#[test]
fn a_body_takes_the_place_of_a_file_and_a_status_without_one_has_none() {
    let files = Files::new("instead");
    let path = files.add("a.txt", b"hello");
    for (status, body, expected) in
        [(200, Some("text"), "text"), (200, None, "hello"), (205, None, ""), (204, None, "")]
    {
        let path = path.clone();
        let (simulation, worker) = serve(move |connection, _| {
            let response = Response::default().with_file(&path, 0, 0).with_status(status);
            let response = body.into_iter().fold(response, Response::with_body);
            assert_eq!(connection.send(&response), SendStatus::Sent);
        });
        let [answer] = answers(&exchange(&simulation, worker, get("/")).1).try_into().expect("one answer");
        assert_eq!((answer.status(), answer.body().as_str()), (status, expected));
    }
}
