//! The commands that speak to an app which runs already.

use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::announce::{print, say};
use super::command::Command;
use super::control::{self, Client};
use super::messages::{Answer, Question};
use super::pid_file::PidFile;
use super::place::lines;
use super::screens;
use super::settings::Settings;
use crate::reactor::monotonic;
use crate::worker::stop::How;

/// How often a stop is looked after.
const LOOK: Duration = Duration::from_millis(10);
/// So often an app that starts is looked at for its number.
const LOOKS: usize = 100;
/// What an app has more than its own time, in nanoseconds: its master kills 1 s later.
const GRACE: u64 = 3_000_000_000;

/// Obeys a command; answers the exit code.
pub(super) fn obey(command: Command) -> i32 {
    let Some(pid) = running() else {
        if let Command::Status { json: true, .. } = command {
            return complain(&lines().not_run());
        }
        say(&lines().not_run());
        return 1;
    };
    match command {
        Command::Stop { graceful } => i32::from(!stop(pid, graceful)),
        Command::Reload { .. } => reload(),
        Command::Status { repeat: true, json } => live(json),
        Command::Status { repeat: false, json } => show(if json { Question::StatusJson } else { Question::Status }),
        Command::Connections => show(Question::Connections),
        Command::Start { .. } | Command::Restart { .. } => 1,
    }
}

/// Ends the app if it runs; ends this process if that cannot be done.
pub(super) fn stop_if_running(graceful: bool) {
    if let Some(pid) = running()
        && !stop(pid, graceful)
    {
        std::process::exit(1);
    }
}

/// Tells the app to stop, and waits until it has.
fn stop(pid: Pid, graceful: bool) -> bool {
    say(&lines().is_stopping(graceful));
    let (signal, how) = if graceful { (Signal::QUIT, How::Gracefully) } else { (Signal::INT, How::Plainly) };
    if let Err(errno) = kill_process(pid, signal)
        && errno != rustix::io::Errno::SRCH
    {
        print(&format!("{}\n", std::io::Error::from(errno)));
        say(&lines().stop_fail());
        return false;
    }
    let deadline = monotonic().saturating_add(how.time()).saturating_add(GRACE);
    while running() == Some(pid) {
        if monotonic() > deadline {
            say(&lines().stop_fail());
            return false;
        }
        std::thread::sleep(LOOK);
    }
    say(&lines().stop_success());
    true
}

fn reload() -> i32 {
    match ask(Question::Reload) {
        Ok(Answer { is_good: true, .. }) => {
            say(&lines().reloaded());
            0
        }
        Ok(Answer { text, .. }) => complain(&format!("the reload is refused: {text}")),
        Err(reason) => complain(&reason),
    }
}

fn show(question: Question) -> i32 {
    match ask(question).or_else(|_| ask(question)) {
        Ok(answer) => {
            print(&answer.text);
            i32::from(!answer.is_good)
        }
        Err(reason) => complain(&reason),
    }
}

/// The processes, again each second, until somebody interrupts it or the app ends.
fn live(json: bool) -> i32 {
    let question = if json { Question::StatusJson } else { Question::Status };
    let mut client = None;
    loop {
        match ask_again(&mut client, question) {
            Ok(answer) if json => print(&answer.text),
            Ok(answer) => print(&screens::live(&answer.text)),
            Err(reason) => return complain(&reason),
        }
        std::thread::sleep(Duration::from_secs(1));
    }
}

fn ask(question: Question) -> Result<Answer, String> {
    connect()?.ask(question).map_err(no_answer)
}

/// Asks on the connection that there is. A master that has become a new program meanwhile has let it go, and is asked on
/// another one.
fn ask_again(client: &mut Option<Client>, question: Question) -> Result<Answer, String> {
    if let Some(Ok(answer)) = client.as_ref().map(|client| client.ask(question)) {
        return Ok(answer);
    }
    client.insert(connect()?).ask(question).map_err(no_answer)
}

fn no_answer(error: std::io::Error) -> String {
    format!("the app does not answer: {error}")
}

fn connect() -> Result<Client, String> {
    let path = control::path_beside(&pid_file());
    Client::connect(&path).map_err(|error| format!("{}: {error}", path.display()))
}

/// The app that runs; one that just starts says soon who it is.
fn running() -> Option<Pid> {
    let path = pid_file();
    for _ in 0..LOOKS {
        match PidFile::holder(&path) {
            Ok(Some(holder)) => match holder.pid.and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?)) {
                Some(pid) => return Some(pid),
                None => std::thread::sleep(LOOK),
            },
            Ok(None) => return None,
            Err(error) => {
                complain(&error.to_string());
                return None;
            }
        }
    }
    None
}

fn pid_file() -> PathBuf {
    Settings::current().pid_file_place().0
}

/// Answers with the exit code of a failure.
fn complain(reason: &str) -> i32 {
    // Nobody may be there to read it.
    let _ = writeln!(std::io::stderr(), "{reason}");
    1
}
