//! From `run_all` to what the process is: a command, the app itself, its master, one of its workers.

use std::os::unix::net::UnixStream;
use std::process::exit;

use super::announce::{print, say};
use super::channel;
use super::command::Command;
use super::daemon::{self, Launcher};
use super::files::Files;
use super::image::Images;
use super::master::{Kept, Manner, Master};
use super::messages::Role;
use super::pid_file::{PidFile, PidFileError};
use super::place::lines;
use super::settings::Settings;
use super::{announce, child, commands, plan, single};
use crate::error::{BoxError, Error, Result};
use crate::handover;
use crate::worker::{Which, Worker, run};

/// What becomes of a start in the background otherwise than by a failure.
const STOPPED: &str = "the app was stopped before it served";

/// The process that a container begins with.
const FIRST: u32 = 1;

/// # All workers of a thread
impl Worker<()> {
    /// Does what the command line of the program says, see [`Command`]; without a word there it starts all workers made on
    /// this thread, and handles events until something [stops](#stopping) them. On another thread than the main one, and
    /// where there is no worker, it runs the loop and nothing else.
    ///
    /// Every worker's address is bound first, then every `on_worker_start` runs, then connections are accepted. A worker
    /// with a [count](Worker::set_count) above 1, and `start -d`, have a master (as has process 1 of a container), which starts the program once more for each
    /// process: **what stands before `run_all` in `main` runs once in each of them**, and what stands behind it when they
    /// end.
    ///
    /// A command other than `start` ends the process with its exit code.
    ///
    /// # Errors
    ///
    /// An [`Error`]: an address that is wrong, a port in use, a failing `on_worker_start`, a loop that is
    /// running on this thread already.
    ///
    /// ```no_run
    /// use workerman::{Http, Worker};
    ///
    /// fn main() -> workerman::Result<()> {
    ///     let worker = Worker::<Http>::new("http://0.0.0.0:8080");
    ///     worker.on_message(|connection, _request| connection.send("hello"));
    ///     Worker::run_all()
    /// }
    /// ```
    #[doc(alias = "runAll")]
    pub fn run_all() -> Result<()> {
        go(None)
    }

    /// The same with a command that the app has made itself, of a command line of its own.
    ///
    /// # Errors
    ///
    /// Those of [`run_all`](Self::run_all).
    ///
    /// ```no_run
    /// use workerman::{Command, Http, Worker};
    ///
    /// fn main() -> workerman::Result<()> {
    ///     let port = std::env::args().nth(1).unwrap_or_else(|| "8080".to_owned());
    ///     let worker = Worker::<Http>::new(&format!("http://0.0.0.0:{port}"));
    ///     worker.on_message(|connection, _request| connection.send("hello"));
    ///     Worker::run_all_with(Command::Start { daemon: false, graceful: false, quiet: true })
    /// }
    /// ```
    #[doc(alias = "command")]
    pub fn run_all_with(command: Command) -> Result<()> {
        go(Some(command))
    }
}

fn go(command: Option<Command>) -> Result<()> {
    if std::thread::current().name() != Some("main") || run::is_running() || Which::all().is_empty() {
        return run::run(|| Ok(()), || Ok(()), || {});
    }
    let images = Images::find();
    if let Some(control) = handover::take() {
        let (role, descriptors) = channel::take::<Role<Kept>>(&control, Role::descriptors)?;
        return match role {
            Role::Worker => child::run(control),
            Role::Daemon(command) => start_as_daemon(command, control, images),
            Role::Master(kept) => Master::resume(kept, descriptors, &plan::of_app(), images),
        };
    }
    let command = command.map_or_else(Command::from_arguments, Ok).unwrap_or_else(|usage| {
        print(&usage.to_string());
        exit(usage.exit_code())
    });
    let command = if Settings::current().daemonize { command.in_background() } else { command };
    // Programs read nothing but what they have asked for.
    if !matches!(command, Command::Status { json: true, .. }) {
        say(&lines().command(command));
    }
    match command {
        Command::Restart { graceful, daemon, quiet } => {
            commands::stop_if_running(graceful);
            start(Manner { daemon, graceful, quiet }, &images)
        }
        Command::Start { daemon, graceful, quiet } => start(Manner { daemon, graceful, quiet }, &images),
        other => exit(commands::obey(other)),
    }
}

fn start(manner: Manner, images: &Images) -> Result<()> {
    if let Ok(Some(holder)) = PidFile::holder(&Settings::current().pid_file_place().0) {
        already_running(holder.pid);
    }
    if manner.daemon {
        daemon::launch::<Kept>(manner.command(), images)?;
        announce::banner(manner);
        exit(0);
    }
    let files = take_files()?;
    let plan = plan::of_app();
    // Process 1 is handed the orphans of all others, and only a master can tell them from the app's own children: it has none.
    if plan.needs_one_process() && std::process::id() != FIRST {
        return single::run(manner, files);
    }
    let master = Master::new(plan, manner, files, images.clone())?;
    announce::banner(manner);
    master.run(|| {})
}

/// In the background, told by the process that waits for it.
fn start_as_daemon(command: Command, control: UnixStream, images: Images) -> Result<()> {
    let Command::Start { graceful, quiet, .. } = command else { return Ok(()) };
    let manner = Manner { daemon: true, graceful, quiet };
    let launcher = Launcher::new(control);
    let ended = launcher
        .detach()
        .and_then(|()| Files::take().map_err(failed))
        .and_then(|files| Ok(Master::new(plan::of_app(), manner, files, images)?))
        .and_then(|master| master.run(launcher.on_up()));
    launcher.ended(ended.as_ref().err().map_or_else(|| STOPPED.to_owned(), ToString::to_string));
    ended
}

fn take_files() -> Result<Files> {
    match Files::take() {
        Err(PidFileError::Running { pid }) => already_running(pid),
        taken => taken.map_err(failed),
    }
}

/// As it is for whoever reads what `main` returns.
fn failed(error: PidFileError) -> BoxError {
    Error::Processes { reason: error.to_string().into() }.into()
}

fn already_running(pid: Option<u32>) -> ! {
    say(&lines().already_running(pid));
    exit(1)
}
