//! The app that `tests/process_system.rs` and `tests/process_users.rs` start as a manager of services would. An example
//! only so that cargo builds it as a program. The environment says what it is.

use std::io::{Write, stdout};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use workerman::{Http, Tcp, UdpWorker, Worker};

fn main() -> workerman::Result<()> {
    match variable("LOG_FILE") {
        Some(path) => {
            let limit = variable("LOG_LIMIT").and_then(|limit| limit.parse().ok());
            limit.into_iter().for_each(Worker::set_log_file_max_size);
            Worker::set_log_file(path);
        }
        None => env_logger::init(),
    }
    variable("STDOUT_FILE").iter().for_each(Worker::set_stdout_file);
    if variable("THREAD").is_some() {
        std::thread::spawn(|| std::thread::sleep(Duration::from_secs(60)));
    }
    if let Some(address) = variable("UDP") {
        let worker = UdpWorker::<Tcp>::new(&format!("udp://{address}"));
        worker.set_count(variable("UDP_COUNT").and_then(|count| count.parse().ok()).unwrap_or(1));
        worker.set_reloadable(variable("UDP_STAYS").is_none());
        worker.on_message(|peer, bytes| peer.send([b"udp ", &bytes[..]].concat()));
        if worker.count() > 1 {
            worker.on_worker_start(|worker| say(&format!("udp {}", worker.id())));
            worker.on_worker_reload(|worker| say(&format!("udp reload {}", worker.id())));
            worker.on_worker_exit(|_, status, _| say(&format!("udp exit {status}")));
        }
    }
    let worker = Worker::<Http>::new(&variable("ADDRESS").unwrap_or_default());
    worker.set_name("web");
    worker.set_count(variable("COUNT").and_then(|count| count.parse().ok()).unwrap_or(1));
    variable("WORKER_USER").iter().for_each(|user| worker.set_user(user));
    variable("WORKER_GROUP").iter().for_each(|group| worker.set_group(group));
    worker.on_worker_start(|worker| {
        while worker.id() == 1 && variable("GATE").is_some_and(|gate| !Path::new(&gate).exists()) {
            std::thread::sleep(Duration::from_millis(5));
        }
        say(&format!("start {:?}", worker.local_addr()));
        log::info!("it starts");
    });
    Worker::on_master_reload(|| say("reload"));
    worker.on_worker_stop(|_| say("stop"));
    worker.on_message(|connection, request| {
        let path = request.path();
        match path {
            "/never" => return,
            "/crash" => std::process::exit(7),
            "/orphan" => {
                // Its own child ends at once, the child of that one later.
                let _ = Command::new("sh").args(["-c", "sleep 0.05 &"]).status();
            }
            "/log" => {
                let text = "x".repeat(200);
                (0..50).for_each(|_| log::info!("{text}"));
            }
            _ => {}
        }
        connection.send(format!("pid {} ok\n", std::process::id()));
    });
    Worker::run_all()
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// A reader that has gone is no reason to fail.
fn say(line: &str) {
    let _ = writeln!(stdout(), "{line}");
}
