//! The file that names the process which runs: at most one of a place does.
//!
//! Invariants: whoever runs holds a lock on the file, from before its number stands in it until the end, so the lock
//! says whether one runs and the number only which; a file without a lock is stale, whatever it says. The lock belongs
//! to the open file, so it stays with a descriptor that is handed on, over an `exec` too, and ends with its last holder,
//! however that dies. The file is removed by its holder alone.
//!
//! To lock is a matter of being able to open: who may read the place of a stale file can keep others from starting. It
//! belongs into a directory that is the app's own.

use std::fmt;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rustix::fs::{FlockOperation, OFlags};
use rustix::io::Errno;

/// Others may read who runs.
const MODE: u32 = 0o644;
/// A start that meets another one looks so often for its number, a millisecond apart.
const LOOKS: usize = 100;
/// No number of a process is longer.
const LONGEST: usize = 32;

/// The place of the process that runs, held until this is dropped.
#[derive(Debug)]
pub struct PidFile {
    path: PathBuf,
    file: File,
    /// Another process, such as one that was forked off, does not remove the file.
    owner: u32,
}

impl PidFile {
    /// Takes the place for this process.
    ///
    /// # Errors
    ///
    /// [`PidFileError::Running`], when somebody has it; else what is wrong with the file.
    pub fn acquire(path: &Path) -> Result<Self, PidFileError> {
        for _ in 0..LOOKS {
            let file = open(path)?;
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) if is_at(&file, path) => return Self::take(path, file),
                // Whoever had it has removed it meanwhile.
                Ok(()) => {}
                Err(Errno::WOULDBLOCK) => {
                    let pid = read(&file);
                    if is_held(&file) && pid.is_some_and(is_alive) {
                        return Err(PidFileError::Running { pid });
                    }
                    // It has the lock and has not written yet, or somebody looks who has it, as we have just done.
                    drop(file);
                    thread::sleep(Duration::from_millis(1));
                }
                Err(errno) => return Err(PidFileError::io(path, errno.into())),
            }
        }
        Err(PidFileError::Running { pid: None })
    }

    /// The place of this process before it has executed itself anew, by the descriptor that held it.
    pub fn from_fd(path: &Path, file: OwnedFd) -> Self {
        Self { path: path.into(), file: file.into(), owner: std::process::id() }
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The process that has the place; `None` if nobody runs. A process without a number is one that just starts.
    ///
    /// # Errors
    ///
    /// When the file is there and cannot be read or locked.
    pub fn holder(path: &Path) -> Result<Option<Holder>, PidFileError> {
        let failed = |error| PidFileError::io(path, error);
        let file = match options().read(true).open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared) {
            Ok(()) => Ok(None),
            Err(Errno::WOULDBLOCK) => Ok(Some(Holder { pid: read(&file) })),
            Err(errno) => Err(failed(errno.into())),
        }
    }

    fn take(path: &Path, file: File) -> Result<Self, PidFileError> {
        let failed = |error| PidFileError::io(path, error);
        let owner = file.metadata().map_err(failed)?.uid();
        if owner != rustix::process::geteuid().as_raw() {
            return Err(PidFileError::Foreign { path: path.into(), owner });
        }
        let pid = std::process::id();
        let held = Self { path: path.into(), file, owner: pid };
        let text = format!("{pid}\n");
        held.file.set_permissions(Permissions::from_mode(MODE)).map_err(failed)?;
        // First over what stood there, then cut: the first line is a whole number at any time.
        held.file.write_all_at(text.as_bytes(), 0).map_err(failed)?;
        held.file.set_len(text.len() as u64).map_err(failed)?;
        Ok(held)
    }
}

/// What holds the place: for as long as this descriptor is open, or a copy of it.
impl AsFd for PidFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        if self.owner == std::process::id() && is_at(&self.file, &self.path) {
            // Still locked: nobody else can have taken it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Who has a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder {
    /// `None` while it starts.
    pub pid: Option<u32>,
}

/// Why a place cannot be had.
#[derive(Debug)]
pub enum PidFileError {
    /// Another process has it.
    Running {
        /// Which one; `None` if it does not say in time.
        pid: Option<u32>,
    },
    /// The file is another user's.
    Foreign {
        /// The file.
        path: PathBuf,
        /// The user's number.
        owner: u32,
    },
    /// The file cannot be made, read or locked.
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl PidFileError {
    fn io(path: &Path, source: io::Error) -> Self {
        Self::Io { path: path.into(), source }
    }
}

impl fmt::Display for PidFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Running { pid: Some(pid) } => write!(f, "already running, pid {pid}"),
            Self::Running { pid: None } => f.write_str("already running"),
            Self::Foreign { path, owner } => write!(f, "the pid file {} belongs to user {owner}", path.display()),
            Self::Io { path, source } => write!(f, "the pid file {}: {source}", path.display()),
        }
    }
}

impl std::error::Error for PidFileError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        if let Self::Io { source, .. } = self { Some(source) } else { None }
    }
}

/// Opens the file, or makes it. One that only its owner may open tells whose it is.
fn open(path: &Path) -> Result<File, PidFileError> {
    let opened = options().read(true).write(true).create(true).mode(MODE).open(path);
    let file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return open_foreign(path, error),
        Err(error) => return Err(PidFileError::io(path, error)),
    };
    match file.metadata() {
        Ok(metadata) if metadata.is_file() => Ok(file),
        Ok(_) => Err(PidFileError::io(path, io::Error::other("it is no file"))),
        Err(error) => Err(PidFileError::io(path, error)),
    }
}

/// Another user's file can at least be asked who runs.
fn open_foreign(path: &Path, denied: io::Error) -> Result<File, PidFileError> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.uid() != rustix::process::geteuid().as_raw() => options()
            .read(true)
            .open(path)
            .map_err(|_| PidFileError::Foreign { path: path.into(), owner: metadata.uid() }),
        _ => Err(PidFileError::io(path, denied)),
    }
}

/// Neither through a link at the end of the path, nor waiting for whoever a pipe may have.
fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed());
    options
}

/// Whether the path still leads to this file.
fn is_at(file: &File, path: &Path) -> bool {
    let same = |there: &fs::Metadata, ours: &fs::Metadata| (there.dev(), there.ino()) == (ours.dev(), ours.ino());
    matches!((fs::symlink_metadata(path), file.metadata()), (Ok(there), Ok(ours)) if same(&there, &ours))
}

/// Whether somebody runs: who only looks shares the lock with others.
fn is_held(file: &File) -> bool {
    rustix::fs::flock(file, FlockOperation::NonBlockingLockShared) == Err(Errno::WOULDBLOCK)
}

/// The number in the first line.
fn read(file: &File) -> Option<u32> {
    let mut text = String::new();
    file.take(LONGEST as u64).read_to_string(&mut text).ok()?;
    text.lines().next()?.trim().parse().ok()
}

/// A process of another user is alive too.
fn is_alive(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    pid.is_some_and(|pid| rustix::process::test_kill_process(pid) != Err(Errno::SRCH))
}
