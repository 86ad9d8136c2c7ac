//! A real browser shows the events of `cargo run --example sse`, and comes back where it was when the connection breaks.
//!
//! Between the browser and the example stands a proxy. It adds a script to the page that tells it each event the page
//! shows, breaks the event stream after three of them, and keeps the heads of all requests.

#![allow(clippy::indexing_slicing)] // a failing index fails the test

mod outside;

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use outside::{Browser, connect, hang_up, now, start_example};

/// The whole test is over by then.
const LIMIT: Duration = Duration::from_secs(60);
/// So many events are shown before the stream breaks.
const BEFORE_THE_BREAK: usize = 3;

/// Reports what the page shows, one after the other.
const REPORTER: &str = r#"<script>
  let reports = Promise.resolve();
  const report = (item) => reports = reports.then(() => fetch("/reported/" + encodeURIComponent(item.textContent)));
  new MutationObserver((records) => {
    for (const record of records) for (const node of record.addedNodes) if (node.nodeName === "LI") report(node);
  }).observe(document.body, { childList: true, subtree: true });
</script>
"#;

#[test]
fn a_browser_shows_the_events_and_resumes_after_the_last_one() {
    let end = now() + LIMIT;
    let (_example, upstream) = start_example("sse");
    let proxy = Proxy::start(upstream);
    let _browser = Browser::open(&format!("http://{}/", proxy.address));

    for expected in ["hello 1", "hello 2", "hello 3"] {
        assert_eq!(proxy.shown(end), expected);
    }
    assert_eq!(proxy.shown(end), "hello 4", "the page goes on after the event it saw last");

    let streams = proxy.event_streams();
    assert_eq!(streams.len(), 2, "one stream, and one more after the break: {streams:#?}");
    assert_eq!(header(&streams[0], "last-event-id"), None, "{}", streams[0]);
    assert_eq!(header(&streams[1], "last-event-id"), Some("3"), "{}", streams[1]);
}

/// The value of a header of a request head.
fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines()
        .filter_map(|line| line.split_once(':'))
        .find_map(|(key, value)| key.eq_ignore_ascii_case(name).then_some(value.trim()))
}

struct Proxy {
    address: SocketAddr,
    shown: Receiver<String>,
    shared: Arc<Shared>,
}

struct Shared {
    upstream: SocketAddr,
    shown: Sender<String>,
    /// How many events the page has reported.
    reports: AtomicU32,
    heads: Mutex<Vec<String>>,
    stopped: AtomicBool,
}

impl Proxy {
    fn start(upstream: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("a listener has an address");
        let (sender, shown) = mpsc::channel();
        let shared = Arc::new(Shared {
            upstream,
            shown: sender,
            reports: AtomicU32::new(0),
            heads: Mutex::default(),
            stopped: AtomicBool::new(false),
        });
        let for_thread = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if for_thread.stopped.load(Ordering::SeqCst) {
                    return;
                }
                let shared = Arc::clone(&for_thread);
                // A client that goes away is no concern of the test; what it misses then is.
                thread::spawn(move || shared.serve(client).unwrap_or_default());
            }
        });
        Self { address, shown, shared }
    }

    /// The text of the next event that the page shows.
    fn shown(&self, end: Instant) -> String {
        let wait = end.saturating_duration_since(now());
        self.shown.recv_timeout(wait).unwrap_or_else(|_| {
            let heads = self.shared.heads.lock().expect("no thread panics with it");
            panic!("the page shows no further event within {LIMIT:?}; requests so far: {heads:#?}")
        })
    }

    /// The heads of the requests for the event stream.
    fn event_streams(&self) -> Vec<String> {
        let heads = self.shared.heads.lock().expect("no thread panics with it");
        heads.iter().filter(|head| is_event_stream(head)).cloned().collect()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

fn is_event_stream(head: &str) -> bool {
    header(head, "accept") == Some("text/event-stream")
}

impl Shared {
    /// One connection of the browser, with one request.
    fn serve(&self, mut client: TcpStream) -> std::io::Result<()> {
        client.set_read_timeout(Some(LIMIT))?;
        let Some(head) = read_head(&mut client)? else { return Ok(()) };
        self.heads.lock().expect("no thread panics with it").push(head.clone());
        let path = head.split(' ').nth(1).unwrap_or_default();
        if let Some(text) = path.strip_prefix("/reported/") {
            client.write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")?;
            self.reports.fetch_add(1, Ordering::SeqCst);
            let _ = self.shown.send(text.replace("%20", " "));
            return Ok(());
        }
        let mut server = connect(self.upstream);
        if is_event_stream(&head) {
            server.write_all(head.as_bytes())?;
            let result = self.pass_events(&mut server, &mut client);
            hang_up(&server);
            hang_up(&client);
            return result;
        }
        server.write_all(head.replacen("\r\n", "\r\nConnection: close\r\n", 1).as_bytes())?;
        server.shutdown(Shutdown::Write)?;
        let mut answer = Vec::new();
        server.read_to_end(&mut answer)?;
        let body = answer.windows(4).position(|window| window == b"\r\n\r\n").map_or(0, |end| end + 4);
        let body = String::from_utf8_lossy(&answer[body..]).into_owned() + REPORTER;
        write!(
            client,
            "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        )?;
        client.write_all(body.as_bytes())
    }

    /// Passes events on; the first stream breaks when the page shows enough of them, in the middle of the response.
    fn pass_events(&self, server: &mut TcpStream, client: &mut TcpStream) -> std::io::Result<()> {
        let breaks = self.reports.load(Ordering::SeqCst) == 0;
        let (mut last, mut events) = (0, 0);
        let mut buffer = [0; 4096];
        loop {
            let count = server.read(&mut buffer)?;
            if count == 0 || self.stopped.load(Ordering::SeqCst) {
                return Ok(());
            }
            client.write_all(&buffer[..count])?;
            for byte in &buffer[..count] {
                // An event ends with an empty line; the framing around it has CRLF only.
                events += usize::from(last == b'\n' && *byte == b'\n');
                last = *byte;
            }
            if breaks && events >= BEFORE_THE_BREAK {
                let start = now();
                while (self.reports.load(Ordering::SeqCst) as usize) < BEFORE_THE_BREAK && start.elapsed() < LIMIT {
                    thread::sleep(Duration::from_millis(5));
                }
                return Ok(());
            }
        }
    }
}

fn read_head(client: &mut TcpStream) -> std::io::Result<Option<String>> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if client.read(&mut byte)? == 0 {
            return Ok(None);
        }
        head.push(byte[0]);
    }
    Ok(Some(String::from_utf8_lossy(&head).into_owned()))
}
