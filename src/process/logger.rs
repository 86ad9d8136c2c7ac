//! The log of an app that has no logger of its own: PHP's lines, in a file that all processes share.
//!
//! `2026-11-23 06:11:34 pid:4711 text`. PHP knows no levels, so what is `info` is a line of PHP's, and of others the text
//! begins with the level. A record of several lines stands there as it is, as stack traces do in PHP.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use log::{Level, LevelFilter, Log, Metadata, Record};
use rustix::process::{Gid, Uid};

use super::local_time;
use super::log_file::LogFile;
use crate::reactor;

static LOGGER: Logger = Logger(Mutex::new(State::new()));

/// Has all records go to this file from here on, cut above `limit` bytes (0 for never). `false` if the app has a logger of
/// its own, which then gets them as before.
pub(super) fn install(path: &Path, limit: u64) -> bool {
    let ours = {
        let mut state = LOGGER.state();
        state.wanted = Some((path.into(), limit));
        state.file = None;
        if !state.installed {
            state.installed = log::set_logger(&LOGGER).is_ok();
            if state.installed && log::max_level() == LevelFilter::Off {
                log::set_max_level(LevelFilter::Info);
            }
        }
        state.installed
    };
    if !ours {
        log::warn!("{}: not written, because the app has a logger of its own", path.display());
    }
    ours
}

/// Makes the file of this app this user's, who is about to write to it, and opens it while that is sure to be possible.
pub(super) fn give_to(user: Option<Uid>, group: Option<Gid>) {
    let given = LOGGER.state().open().and_then(|file| file.map_or(Ok(()), |file| file.give_to(user, group)));
    if let Err(error) = given {
        log::warn!("the log file cannot be given to the user of the workers: {error}");
    }
}

/// The line of a record.
pub fn line(time: SystemTime, pid: u32, level: Level, text: &dyn std::fmt::Display) -> String {
    let mut line = format!("{} pid:{pid} ", local_time::format(time));
    // A `String` takes everything; an error of the text's own leaves what there is.
    let _ = match level {
        Level::Error => write!(line, "error: {text}"),
        Level::Warn => write!(line, "warning: {text}"),
        Level::Info => write!(line, "{text}"),
        Level::Debug => write!(line, "debug: {text}"),
        Level::Trace => write!(line, "trace: {text}"),
    };
    line.push('\n');
    line
}

struct Logger(Mutex<State>);

struct State {
    /// Where to, and the limit.
    wanted: Option<(PathBuf, u64)>,
    /// Opened with the first record.
    file: Option<LogFile>,
    installed: bool,
}

impl State {
    const fn new() -> Self {
        Self { wanted: None, file: None, installed: false }
    }

    /// `None` for no file.
    fn open(&mut self) -> std::io::Result<Option<&mut LogFile>> {
        if let (Some((path, limit)), true, None) = (&self.wanted, self.installed, &self.file) {
            self.file = Some(LogFile::open(path, *limit)?);
        }
        Ok(self.file.as_mut())
    }

    fn append(&mut self, line: &str) -> std::io::Result<()> {
        self.open()?.map_or(Ok(()), |file| file.append(line.as_bytes()))
    }
}

impl Logger {
    /// What a panic of another thread has left is whole: nothing in here runs user code under the lock.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        // Formatted before the lock is taken: what is logged may log.
        let line = line(reactor::wall_clock(), std::process::id(), record.level(), record.args());
        let written = self.state().append(&line);
        if let Err(error) = written {
            // Nobody else can be told.
            let _ = write!(std::io::stderr(), "the log file: {error}\n{line}");
        }
    }

    fn flush(&self) {}
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_line_is_phps_and_tells_of_other_levels() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_414_294);
        let stamp = local_time::format(time);
        for (level, text) in [
            (Level::Info, "Workerman[app] stopping"),
            (Level::Warn, "warning: Workerman[app] stopping"),
            (Level::Error, "error: Workerman[app] stopping"),
            (Level::Debug, "debug: Workerman[app] stopping"),
        ] {
            let line = line(time, 4711, level, &"Workerman[app] stopping");
            assert_eq!(line, format!("{stamp} pid:4711 {text}\n"));
        }
    }
}
