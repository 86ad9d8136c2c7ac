//! The app that `tests/process_commands.rs`, `tests/process_daemon.rs` and `tests/process_callbacks.rs` give commands to: a
//! worker that tells where it runs, and prints each of its callbacks. An example only so that cargo builds it as a program.
//!
//! Environment: `ADDRESS`, `COUNT`, `STOP_TIMEOUT`, `DAEMONIZE=yes`; `LOG_FILE`, `STDOUT_FILE`, `PID_FILE`; `OTHERS=2` for
//! workers without an address beside it, of which only the first is reloaded; `WITH=quiet` to start whatever the command
//! line says; `CERTIFICATE` and `KEY` for TLS; `MODE` for what is out of the ordinary.

use std::fmt::Display;
use std::io::{Write, stdout};
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use workerman::{Command, Http, PanicPolicy, Request, TcpConnection, Timer, Worker};

fn main() -> workerman::Result<ExitCode> {
    set_files();
    let mode = text("MODE");
    misbehave(&mode);
    match &*mode {
        "on a thread" => {
            let serve = || {
                Timer::delay(0, Worker::stop_all);
                run()
            };
            std::thread::spawn(serve).join().map_err(|_| "it panicked")??;
        }
        "no workers" => {
            Timer::delay(0, Worker::stop_all);
            Worker::run_all()?;
        }
        _ => run()?,
    }
    say(format!("returned pid {}", std::process::id()));
    Ok(Worker::exit_code())
}

/// What an app does wrong before it runs.
fn misbehave(mode: &str) {
    let is_worker = std::env::args().next().is_some_and(|name| name.contains("worker process"));
    assert!(mode != "panic in main" || !is_worker, "main was asked to panic");
    // All but who is started by the test.
    let is_given_a_role = std::env::var_os("WORKERMAN_CONTROL").is_some();
    assert!(mode != "panic in daemon" || !is_given_a_role, "main was asked to panic");
    if mode == "slow main" && is_given_a_role {
        std::thread::sleep(Duration::from_millis(300));
    }
}

fn run() -> workerman::Result<()> {
    let mode = text("MODE");
    if mode == "exit process" {
        Worker::set_panic_policy(PanicPolicy::ExitProcess);
    }
    Worker::set_stop_timeout(variable("STOP_TIMEOUT").unwrap_or(2.0));
    let web = Worker::<Http>::new(&variable("ADDRESS").unwrap_or_else(|| "127.0.0.1:0".to_owned()));
    web.set_name("web");
    web.set_count(variable("COUNT").unwrap_or(1));
    #[cfg(feature = "_tls")]
    if let Some((chain, key)) = variable::<String>("CERTIFICATE").zip(variable::<String>("KEY")) {
        web.set_transport_ssl(workerman::TlsOptions::new(chain, key));
    }
    web.on_message(move |connection, request| answer(web, connection, &request));
    web.on_worker_start(move |worker| start(worker, &mode));
    web.on_worker_stop(|worker| tell("stop", worker));
    web.on_worker_reload(|worker| tell("reload", worker));
    web.on_worker_exit(|worker, status, pid| say(format!("exit {} {pid} status {status}", worker.name())));
    for nth in 0..variable("OTHERS").unwrap_or(0) {
        add_other(nth);
    }
    Worker::on_master_reload(|| say(format!("master reload pid {}", std::process::id())));
    Worker::on_master_stop(|| say(format!("master stop pid {}", std::process::id())));
    match &*text("WITH") {
        "quiet" => Worker::run_all_with(Command::Start { daemon: false, graceful: false, quiet: true }),
        "status" => Worker::run_all_with(Command::Status { repeat: false, json: false }),
        _ => Worker::run_all(),
    }
}

fn start(worker: Worker<Http>, mode: &str) -> workerman::Result<()> {
    match mode {
        "fail in one" if worker.id() == 1 => return Err("as it was asked to".into()),
        "die in start" if worker.id() == 1 => std::process::exit(4),
        "die" if worker.id() == 1 => drop(Timer::delay(0, || std::process::exit(4))),
        _ => {}
    }
    tell("start", worker);
    Ok(())
}

fn set_files() {
    if let Some(path) = variable::<String>("LOG_FILE") {
        Worker::set_log_file(path);
    } else {
        env_logger::init();
    }
    Worker::set_daemonize(text("DAEMONIZE") == "yes");
    if let Some(path) = variable::<String>("STDOUT_FILE") {
        Worker::set_stdout_file(path);
    }
    if let Some(path) = variable::<String>("PID_FILE") {
        Worker::set_pid_file(path);
    }
}

fn add_other(nth: usize) {
    let worker = Worker::<Http>::new("");
    worker.set_name(&format!("other{nth}"));
    worker.set_reloadable(nth == 0);
    worker.on_worker_start(|worker| tell("start", worker));
    worker.on_worker_stop(|worker| tell("stop", worker));
    worker.on_worker_reload(|worker| tell("reload", worker));
}

fn answer(web: Worker<Http>, connection: TcpConnection<Http>, request: &Request) {
    let place = format!("worker {} pid {} connection {}", web.id(), std::process::id(), connection.id());
    let text = match request.path() {
        "/stop" => {
            Worker::stop_all();
            place
        }
        "/code" => {
            Worker::stop_all_with_code(3);
            place
        }
        "/panic" => panic!("as it was asked to"),
        "/stdin" => std::fs::read_link("/proc/self/fd/0").unwrap_or_default().display().to_string(),
        "/block" => {
            std::thread::sleep(Duration::from_secs_f64(0.3));
            place
        }
        "/never" => return,
        "/log" => {
            log::info!("a record of {}", std::process::id());
            place
        }
        _ => place,
    };
    connection.send(text + "\n");
}

fn tell(what: &str, worker: Worker<Http>) {
    let address = worker.local_addr().map(|address| format!(" on {address}")).unwrap_or_default();
    say(format!("{what} {} {} pid {}{address}", worker.name(), worker.id(), std::process::id()));
}

/// A reader that has gone is no reason to fail.
fn say(line: impl Display) {
    let _ = writeln!(stdout(), "{line}");
}

fn variable<T: FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok()?.parse().ok()
}

fn text(name: &str) -> String {
    variable(name).unwrap_or_default()
}
