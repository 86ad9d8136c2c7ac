//! What is said to the operator who starts an app, or gives it a command.

use std::io::Write as _;

use super::master::Manner;
use super::place::lines;
use super::{screens, watch};

/// The table of workers, and how the app is stopped.
pub(super) fn banner(manner: Manner) {
    if !manner.quiet {
        print(&screens::banner(&watch::versions(), &watch::worker_rows()));
    }
    print(&lines().started(manner.daemon));
}

/// A line, which the log has too.
pub(super) fn say(line: &str) {
    log::info!("{line}");
    print(&format!("{line}\n"));
}

/// The same of an app that runs: in the background only the log hears of it.
pub(super) fn tell(manner: Manner, line: &str) {
    if manner.daemon {
        log::info!("{line}");
    } else {
        say(line);
    }
}

/// Nobody may be there to read it, which is no failure.
pub(super) fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
