//! The programs that processes are started from: the master's own, and the one that lies on the disk now.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::place;
use super::supervisor::Image;
use crate::handover;

/// The program that runs, even when its file is gone.
const OWN: &str = "/proc/self/exe";

/// How this process was started, which is how all others are.
#[derive(Clone, Debug)]
pub(crate) struct Images {
    /// Where a newer program lies. A link stays a link, so that it may lead elsewhere by then.
    disk: PathBuf,
    name: OsString,
    arguments: Vec<OsString>,
}

impl Images {
    /// To be called before the working directory or the program's file change.
    pub(crate) fn find() -> Self {
        let mut arguments = std::env::args_os();
        let name = arguments.next().unwrap_or_default();
        let disk = linked(Path::new(&name)).unwrap_or_else(|| place::program().to_owned());
        Self { disk, name, arguments: arguments.collect() }
    }

    /// Starts a worker; answers its pid and the other end of its control socket. What stands for the program in lists of
    /// processes is this title.
    ///
    /// # Errors
    ///
    /// When the system starts none.
    pub(crate) fn spawn(&self, image: Image, title: &str) -> io::Result<(u32, UnixStream)> {
        let mut command = self.command(image);
        // A terminal's signals are for the master, and a manager's sockets too.
        command.arg0(title).process_group(0);
        for variable in ["NOTIFY_SOCKET", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"] {
            command.env_remove(variable);
        }
        with_control(command)
    }

    /// Starts the program as this process was started; answers the other end of its control socket.
    ///
    /// # Errors
    ///
    /// When the system starts none.
    pub(crate) fn spawn_alike(&self) -> io::Result<UnixStream> {
        let mut command = self.command(Image::Own);
        command.arg0(&self.name);
        with_control(command).map(|(_, control)| control)
    }

    /// Becomes the program on the disk, with this socket as its control socket. Comes back only if that fails.
    pub(crate) fn execute(&self, control: &UnixStream) -> io::Error {
        let prepare = || -> io::Result<(OwnedFd, String)> {
            let stdin = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?;
            let mark = handover::mark(control)?;
            rustix::stdio::dup2_stdin(control.as_fd())?;
            Ok((stdin, mark))
        };
        match prepare() {
            Err(error) => error,
            Ok((stdin, mark)) => {
                let error = self.command(Image::Disk).arg0(&self.name).env(handover::MARK, mark).exec();
                // Nobody could be told if that failed as well.
                let _ = rustix::stdio::dup2_stdin(stdin);
                error
            }
        }
    }

    fn command(&self, image: Image) -> Command {
        let program = match image {
            Image::Own => Path::new(OWN),
            Image::Disk => &self.disk,
        };
        let mut command = Command::new(program);
        command.args(&self.arguments);
        command
    }
}

fn with_control(mut command: Command) -> io::Result<(u32, UnixStream)> {
    let (ours, theirs) = UnixStream::pair()?;
    command.env(handover::MARK, handover::mark(&theirs)?).stdin(Stdio::from(OwnedFd::from(theirs)));
    Ok((command.spawn()?.id(), ours))
}

/// The absolute path by which the program was started, if that leads to it.
fn linked(name: &Path) -> Option<PathBuf> {
    let path = std::path::absolute(name).ok()?;
    let identity = |path: &Path| path.metadata().ok().map(|found| (found.dev(), found.ino()));
    (name.components().count() > 1 && identity(&path).is_some() && identity(&path) == identity(Path::new(OWN)))
        .then_some(path)
}
