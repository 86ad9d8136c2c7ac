//! The server whose processes `tests/process_reload.rs`, `tests/process_deaths.rs` and `tests/process_tls.rs` replace and
//! kill.
//!
//! What it does stands at the end of its own file, behind the program: `answer=new count=2 fail=panic`. So copies that
//! differ are different programs, which nothing but the file that a process was started from tells apart. `/` answers
//! the word and the process. Environment: `ADDRESS`, `LOG`, `PID_FILE`, `WORKER_USER`; `CERTIFICATE` and `KEY` for TLS.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write, stdout};
use std::str::FromStr;
use std::time::Duration;

use workerman::{Http, Request, Response, ServerSentEvents, TcpConnection, Worker};

/// More than any socket's buffers hold.
const LARGE: usize = 32 << 20;
/// Bytes at the end of the file in which the words stand, all of them.
const TAIL: i64 = 128;
const MARK: &str = "\ngeneration ";

fn main() -> workerman::Result<()> {
    let words = words();
    let word = |name: &str| words.split(' ').find_map(|word| word.strip_prefix(name)).map(str::to_owned);
    if let Ok(path) = std::env::var("LOG") {
        Worker::set_log_file(path);
    }
    if let Ok(path) = std::env::var("PID_FILE") {
        Worker::set_pid_file(path);
    }
    Worker::set_stream_end_window(Duration::from_millis(number(word("window=")).unwrap_or(100)));
    if let Some(time) = number(word("patience=")).map(Duration::from_millis) {
        Worker::set_graceful_timeout(time);
        Worker::set_stop_timeout(time);
    }
    match word("fail=").as_deref() {
        Some("exit") => std::process::exit(3),
        Some("panic") => panic!("this program does so"),
        Some("hang") => std::thread::sleep(Duration::from_secs(60)),
        _ => {}
    }
    let address = std::env::var("ADDRESS").unwrap_or_else(|_| "127.0.0.1:0".to_owned());
    let answer = word("answer=").unwrap_or_else(|| "first".to_owned());
    let worker = Worker::<Http>::new(&address);
    worker.set_name("web");
    worker.set_count(number(word("count=")).unwrap_or(4));
    if let Ok(user) = std::env::var("WORKER_USER") {
        worker.set_user(&user);
    }
    #[cfg(feature = "_tls")]
    if let Some((chain, key)) = std::env::var("CERTIFICATE").ok().zip(std::env::var("KEY").ok()) {
        worker.set_transport_ssl(workerman::TlsOptions::new(chain, key));
    }
    let fails_at_start = word("fail=").is_some_and(|fail| fail == "start");
    worker.on_worker_start(move |worker| {
        if fails_at_start {
            std::process::exit(4);
        }
        say(&format!("{} listens on {:?}", std::process::id(), worker.local_addr()));
    });
    worker.on_message(move |connection, request| serve(connection, &request, &answer));
    if let Some(address) = word("beside=") {
        Worker::<Http>::new(&address);
    }
    Worker::run_all()
}

/// What stands behind the program.
fn words() -> String {
    let mut text = Vec::new();
    let read = File::open("/proc/self/exe").and_then(|mut file| {
        file.seek(SeekFrom::End(-TAIL))?;
        file.read_to_end(&mut text)
    });
    read.expect("a program can read its own file");
    let text = String::from_utf8_lossy(&text);
    text.rsplit_once(MARK).map(|(_, words)| words.trim().to_owned()).unwrap_or_default()
}

fn number<T: FromStr>(text: Option<String>) -> Option<T> {
    text.and_then(|text| text.parse().ok())
}

fn serve(connection: TcpConnection<Http>, request: &Request, answer: &str) {
    match request.path() {
        "/late" => {
            let seconds: f64 = number(request.get("seconds").map(Into::into)).unwrap_or(0.3);
            connection.add_timer(seconds, move || connection.send("late\n"));
        }
        "/large" => drop(connection.send(vec![b'x'; LARGE])),
        "/stuck" => stuck(),
        "/orphan" => {
            // Whose parent ends at once, so that process 1 has to take it in.
            let status = std::process::Command::new("sh").args(["-c", "sleep 0.1 &"]).status();
            connection.send(format!("{status:?}\n"));
        }
        "/events" => {
            let mut id: u64 = request.last_event_id().and_then(|id| id.parse().ok()).unwrap_or(0);
            connection.send(Response::new(200, &[("Content-Type", "text/event-stream")], ""));
            connection.add_timer(0.5, move || {
                id += 1;
                connection.send(ServerSentEvents::new().data("tick").id(id))
            });
        }
        _ => drop(connection.send(format!("{answer} {}\n", std::process::id()))),
    }
}

/// A callback that does not come back.
fn stuck() -> ! {
    loop {
        std::thread::sleep(Duration::from_micros(10));
    }
}

/// A reader that has gone is no reason to fail.
fn say(line: &str) {
    let _ = writeln!(stdout(), "{line}");
}
