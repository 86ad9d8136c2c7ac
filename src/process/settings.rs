//! Where the files of a process lie, as the app sets it.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{logger, place};
use crate::worker::Worker;

/// PHP's `$logFileMaxSize`.
const LOG_LIMIT: u64 = 10 * 1024 * 1024;

static SETTINGS: Mutex<Settings> = Mutex::new(Settings::new());

/// What was set, for the whole process.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `None` for a logger of the app's own, or none.
    pub log_file: Option<PathBuf>,
    /// Bytes; 0 for no limit.
    pub log_file_max_size: u64,
    /// Where the output of a daemon goes.
    pub stdout_file: Option<PathBuf>,
    /// `None` for the usual place.
    pub pid_file: Option<PathBuf>,
    /// `start` is `start -d`.
    pub daemonize: bool,
}

impl Settings {
    const fn new() -> Self {
        Self { log_file: None, log_file_max_size: LOG_LIMIT, stdout_file: None, pid_file: None, daemonize: false }
    }

    /// What is set now.
    pub fn current() -> Self {
        lock().clone()
    }

    /// Where the pid file is, and whether the app has said so: then it has to be there, else it is a convenience, which
    /// a container with nothing to write to goes without.
    pub fn pid_file_place(&self) -> (PathBuf, bool) {
        match &self.pid_file {
            Some(path) => (path.clone(), true),
            None => (place::pid_file(place::program()), false),
        }
    }
}

/// # Files of the process
impl Worker<()> {
    /// Has the records of [`log`] go to this file, of all processes of the app: `2026-11-23 06:11:34 pid:4711 text`, in
    /// local time, from `info` on unless [`log::set_max_level`] says otherwise. Call it first in `main`. The file is made
    /// with its directory when the first record comes, and is only ever appended to. An app that has a logger of its own
    /// keeps that.
    ///
    /// ```no_run
    /// use workerman::{Http, Worker};
    ///
    /// fn main() -> workerman::Result<()> {
    ///     Worker::set_log_file("/var/log/app/app.log");
    ///     let worker = Worker::<Http>::new("http://0.0.0.0:8080");
    ///     Worker::run_all()
    /// }
    /// ```
    #[doc(alias = "logFile")]
    pub fn set_log_file(path: impl AsRef<Path>) {
        let path = path.as_ref();
        let limit = {
            let mut settings = lock();
            settings.log_file = Some(path.into());
            settings.log_file_max_size
        };
        logger::install(path, limit);
    }

    /// Sets the size in bytes above which the log file loses its first half: 10 MiB unless set, 0 for never. Call it
    /// before [`set_log_file`](Self::set_log_file).
    ///
    /// ```
    /// # use workerman::Worker;
    /// Worker::set_log_file_max_size(100 * 1024 * 1024);
    /// ```
    #[doc(alias = "logFileMaxSize")]
    pub fn set_log_file_max_size(bytes: u64) {
        lock().log_file_max_size = bytes;
    }

    /// Sets where the standard output and the standard error of a daemon go, `/dev/null` unless set. In the foreground
    /// both stay what they are.
    ///
    /// ```
    /// # use workerman::Worker;
    /// Worker::set_stdout_file("/var/log/app/stdout.log");
    /// ```
    #[doc(alias = "stdoutFile")]
    pub fn set_stdout_file(path: impl AsRef<Path>) {
        lock().stdout_file = Some(path.as_ref().into());
    }

    /// Sets where the number of the process that runs stands: `workerman.<program>.pid` beside the program unless set.
    /// One program runs for each such file, and the commands find it there.
    ///
    /// ```
    /// # use workerman::Worker;
    /// Worker::set_pid_file("/run/app/app.pid");
    /// ```
    #[doc(alias = "pidFile")]
    pub fn set_pid_file(path: impl AsRef<Path>) {
        lock().pid_file = Some(path.as_ref().into());
    }

    /// Has `start` go into the background, as `start -d` does.
    ///
    /// ```
    /// # use workerman::Worker;
    /// Worker::set_daemonize(true);
    /// ```
    #[doc(alias = "daemonize")]
    pub fn set_daemonize(daemonize: bool) {
        lock().daemonize = daemonize;
    }
}

fn lock() -> MutexGuard<'static, Settings> {
    SETTINGS.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_of_the_pid_file_is_the_apps_or_the_usual_one() {
        let mut settings = Settings::new();
        let (usual, chosen) = settings.pid_file_place();
        assert!(usual.starts_with(place::program().parent().expect("a directory")) && !chosen);
        settings.pid_file = Some("/run/app/app.pid".into());
        assert_eq!(settings.pid_file_place(), (PathBuf::from("/run/app/app.pid"), true));
    }
}
