//! The promise: a request costs no more instructions than it did.
//!
//! Callgrind counts what the server executes in user mode, which no other process and no cache disturbs: a repeat differs
//! by less than half a percent. Each figure is the difference of two runs, so that starting and stopping are not in it.
//!
//! The committed figures lie in `instructions.txt`; `UPDATE_INSTRUCTIONS=1 cargo test --test instructions` writes them
//! anew. They hold for one version of the compiler, since another one generates other code from the same source.

mod outside;

use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::Duration;

use outside::{PATIENCE, Process, connect, free_address, now};

/// What may grow before the test fails, in percent, and may shrink before it asks for a new figure.
const TOLERANCE: f64 = 5.0;
/// How many round trips the two runs make. The first ones of a process are dearer, so the short run has some too.
const ROUND_TRIPS: [usize; 2] = [100, 1100];
const SUBSCRIBERS: usize = 32;
/// How many events each subscriber waits for in the two runs.
const EVENTS: [usize; 2] = [5, 45];

#[test]
fn a_request_costs_no_more_instructions_than_it_did() {
    if let Some(reason) = reason_to_skip() {
        return say(&format!("tests/instructions: skipped: {reason}"));
    }
    let compiler = compiler();
    let update = std::env::var_os("UPDATE_INSTRUCTIONS").is_some();
    let committed = Figures::read();
    if !update && committed.compiler != compiler {
        return say(&format!(
            "tests/instructions: skipped: the figures hold for {}, this is {compiler}, which generates other code",
            committed.compiler
        ));
    }
    let server = build();
    let measured = Figures { compiler, kinds: measure(&server) };
    if update {
        std::fs::write(Figures::path(), measured.text()).expect("the figures can be written");
        return say(&format!("tests/instructions: written:\n{}", measured.text()));
    }
    let mut grown = String::new();
    for (kind, count) in &measured.kinds {
        let before = committed.of(kind).unwrap_or_else(|| panic!("{kind} has no figure: see above how to write it"));
        let change = (*count as f64 / before as f64 - 1.0) * 100.0;
        if change > TOLERANCE {
            let _ = writeln!(grown, "{kind}: {count} instructions, {change:+.1} % over the committed {before}");
        } else if change < -TOLERANCE {
            say(&format!(
                "tests/instructions: {kind}: {count}, {change:+.1} % against the committed {before}; keep it: \
                 UPDATE_INSTRUCTIONS=1 cargo test --test instructions"
            ));
        }
    }
    assert!(grown.is_empty(), "requests have become dearer:\n{grown}");
}

/// Past the test harness, which keeps what a passing test prints to itself.
fn say(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

fn reason_to_skip() -> Option<&'static str> {
    #[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
    return Some("the figures are of Linux on x86-64");
    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    {
        if !["avx2", "bmi2", "fma"].iter().all(|name| has_feature(name)) {
            return Some("this processor is older than x86-64-v3");
        }
        let valgrind = Command::new("valgrind").arg("--version").output();
        valgrind.is_err().then_some("valgrind is missing: apt-get install valgrind")
    }
}

fn has_feature(name: &str) -> bool {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    text.lines().find(|line| line.starts_with("flags")).is_some_and(|line| line.split(' ').any(|flag| flag == name))
}

/// What `rustc --version` says.
fn compiler() -> String {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("--version").output().expect("rustc runs");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Builds the benchmark's server for one kind of processor, in a directory of its own: other flags in the usual one would
/// have everything built anew each time.
fn build() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own file");
    let target = test.ancestors().nth(3).expect("a test lies in the target directory").join("instructions");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    // Not as an example: then all that any example or test needs would be built first.
    command.args(["build", "--quiet", "--release", "--locked", "--manifest-path=benches/alone/Cargo.toml"]);
    command.arg("--target-dir").arg(&target);
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    command.env("CARGO_ENCODED_RUSTFLAGS", "-Ctarget-cpu=x86-64-v3").env("CARGO_PROFILE_RELEASE_DEBUG", "0");
    let output = command.output().expect("cargo runs");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    target.join("release/benchmark")
}

/// Instructions for each request, and for each event and subscriber.
fn measure(server: &Path) -> Vec<(String, u64)> {
    let minimal = "GET /plaintext HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n".to_owned();
    let browser = include_str!("../benches/browser.http").replace('\n', "\r\n");
    let head =
        "POST /echo HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nContent-Type: text/plain\r\nContent-Length: 1024\r\n\r\n";
    let post = format!("{head}{}", "b".repeat(1024));
    let mut kinds = Vec::new();
    for (kind, request, depth) in
        [("minimal", &minimal, 1), ("browser", &browser, 1), ("post", &post, 1), ("pipelined", &minimal, 16)]
    {
        let [few, many] = ROUND_TRIPS.map(|count| count_requests(server, request, depth, count));
        kinds.push((kind.to_owned(), per(few, many)));
    }
    let [few, many] = EVENTS.map(|count| count_events(server, count));
    kinds.push(("event".to_owned(), per(few, many)));
    kinds
}

/// What a run came to.
struct Run {
    operations: u64,
    instructions: u64,
}

fn per(few: Run, many: Run) -> u64 {
    (many.instructions - few.instructions) / (many.operations - few.operations)
}

/// One connection that waits for each answer: how many requests a turn of the loop finds is the same each time.
fn count_requests(server: &Path, request: &str, depth: usize, round_trips: usize) -> Run {
    let (process, address) = start(server, 3_600_000);
    let mut stream = connect(address);
    let answer = first_answer(&mut stream, request);
    let requests = request.repeat(depth);
    let mut answers = vec![0; answer * depth];
    for _ in 0..round_trips {
        stream.write_all(requests.as_bytes()).expect("the requests are sent");
        stream.read_exact(&mut answers).expect("the answers come");
    }
    assert!(answers.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&answers));
    Run { operations: (round_trips * depth) as u64, instructions: stop(process) }
}

/// Sends a request and reads its answer; answers how long that is.
fn first_answer(stream: &mut TcpStream, request: &str) -> usize {
    stream.write_all(request.as_bytes()).expect("the request is sent");
    let head = outside::read_until(stream, "\r\n\r\n");
    let (head, body) = head.split_once("\r\n\r\n").expect("a whole head");
    let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let length: usize = length.expect("a Content-Length");
    stream.read_exact(&mut vec![0; length - body.len()]).expect("the body comes");
    head.len() + "\r\n\r\n".len() + length
}

/// Subscribers each of whom waits for so many events. Operations are the events that came, all of them: some subscribers
/// get one more at the start or at the end.
fn count_events(server: &Path, events: usize) -> Run {
    let (process, address) = start(server, 50);
    let mut streams: Vec<TcpStream> = (0..SUBSCRIBERS).map(|_| connect(address)).collect();
    for stream in &mut streams {
        stream.write_all(b"GET /sse HTTP/1.1\r\nHost: a\r\n\r\n").expect("the request is sent");
    }
    let (sender, enough) = mpsc::channel();
    let read = |stream| {
        let sender = sender.clone();
        thread::spawn(move || read_events(stream, events, &sender))
    };
    let readers: Vec<_> = streams.into_iter().map(read).collect();
    for _ in &readers {
        outside::receive("enough events", &enough);
    }
    let instructions = stop(process);
    let operations = readers.into_iter().map(|reader| reader.join().expect("the events come")).sum();
    Run { operations, instructions }
}

/// Counts the events of a stream up to its end, and tells when there are enough of them.
fn read_events(mut stream: TcpStream, enough: usize, sender: &Sender<()>) -> u64 {
    // A byte of an event that is nowhere else in it.
    let count = |bytes: &[u8]| bytes.iter().filter(|byte| **byte == b'T').count();
    let start = outside::read_until(&mut stream, "\r\n\r\n");
    let mut seen = start.split_once("\r\n\r\n").map_or(0, |(_, body)| count(body.as_bytes()));
    let mut buffer = [0; 4096];
    let mut told = false;
    loop {
        if seen >= enough && !std::mem::replace(&mut told, true) {
            let _ = sender.send(());
        }
        match stream.read(&mut buffer).expect("events come until the server ends") {
            0 => return seen as u64,
            length => seen += buffer.get(..length).map_or(0, count),
        }
    }
}

/// A server under callgrind.
fn start(server: &Path, interval: u32) -> (Process, SocketAddr) {
    let address = free_address();
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(server);
    command.env("PORT", address.port().to_string()).env("SSE_INTERVAL_MS", interval.to_string());
    let process = Process::start(&mut command);
    let start = now();
    while TcpStream::connect(address).is_err() {
        assert!(start.elapsed() < PATIENCE, "the server does not listen");
        thread::sleep(Duration::from_millis(20));
    }
    (process, address)
}

/// Ends a server; answers how many instructions it took.
fn stop(process: Process) -> u64 {
    process.signal("TERM");
    let (status, errors) = process.wait();
    assert!(status.success(), "{status}: {errors}");
    let count = errors.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok());
    count.unwrap_or_else(|| panic!("callgrind tells no count: {errors}"))
}

/// The data file: the compiler in the first line, then a kind and its count in each.
struct Figures {
    compiler: String,
    kinds: Vec<(String, u64)>,
}

impl Figures {
    fn path() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/instructions.txt")
    }

    fn read() -> Self {
        let text = std::fs::read_to_string(Self::path()).unwrap_or_default();
        let (compiler, rest) = text.split_once('\n').unwrap_or_default();
        let kind = |line: &str| {
            let (kind, count) = line.split_once(' ')?;
            Some((kind.to_owned(), count.trim().parse().ok()?))
        };
        Self { compiler: compiler.to_owned(), kinds: rest.lines().filter_map(kind).collect() }
    }

    fn text(&self) -> String {
        let lines = self.kinds.iter().map(|(kind, count)| format!("{kind} {count}\n"));
        std::iter::once(format!("{}\n", self.compiler)).chain(lines).collect()
    }

    fn of(&self, kind: &str) -> Option<u64> {
        self.kinds.iter().find(|(name, _)| name == kind).map(|(_, count)| *count)
    }
}
