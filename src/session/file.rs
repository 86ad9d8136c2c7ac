//! Sessions in files, one for each, for all processes of the machine and over restarts.
//!
//! Invariants: a file is there as a whole or not at all; its name is made of a checked id, so none leaves the folder; its
//! age is told by its modification time, which is set from the reactor's wall clock, so that the two cannot disagree.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::OFlags;

use super::handler::SessionHandler;
use super::{id, record};
use crate::error::Result;
use crate::reactor;

/// What the names of files begin with, as PHP's do.
const PREFIX: &str = "session_";
/// What the names of files begin with that are still being written.
const TEMPORARY: &str = ".session_";

/// Keeps sessions as files `session_<id>` in a folder of the app's own: over restarts, and for all processes that use it.
///
/// Folder and files are for this user only (0700, 0600). A file is written beside its place and then moved there, so it
/// is never seen half. Reading and writing wait for the disk, and the loop with it, as in PHP; on a machine that is not
/// out of memory this is the page cache. Nothing bounds how many files there are but the lifetime of sessions.
///
/// ```no_run
/// use workerman::{FileSessionHandler, Session};
///
/// Session::set_handler(FileSessionHandler::new("/var/lib/my-app/sessions")?);
/// # workerman::Result::<()>::Ok(())
/// ```
#[derive(Debug)]
pub struct FileSessionHandler {
    folder: PathBuf,
}

impl FileSessionHandler {
    /// Sessions in this folder, which is made unless it is there. One that others may look into gets a warning in the
    /// log: a place in a directory that all may write to, such as `/tmp`, can be prepared by others.
    ///
    /// ```
    /// # use workerman::FileSessionHandler;
    /// assert!(FileSessionHandler::new("/proc/none").is_err());
    /// ```
    ///
    /// # Errors
    ///
    /// When the folder cannot be made, or is none.
    #[doc(alias = "sessionSavePath")]
    #[doc(alias = "save_path")]
    pub fn new(folder: impl Into<PathBuf>) -> io::Result<Self> {
        let folder = folder.into();
        DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        if fs::metadata(&folder)?.permissions().mode() & 0o077 != 0 {
            log::warn!("{}: others may look into the folder of the sessions", folder.display());
        }
        Ok(Self { folder })
    }

    /// Where a session lies. Ids are checked before they come here, and here, where it matters.
    fn path(&self, id: &str) -> Option<PathBuf> {
        id::is_valid(id).then(|| self.folder.join(format!("{PREFIX}{id}")))
    }

    /// The file of a session that has not ended; one that has is removed.
    fn live(&self, id: &str, lifetime: Duration) -> io::Result<Option<File>> {
        let Some(path) = self.path(id) else { return Ok(None) };
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
        let file = match OpenOptions::new().read(true).custom_flags(flags).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Ok(None);
        }
        if has_ended(metadata.modified()?, lifetime) {
            remove(&path)?;
            return Ok(None);
        }
        Ok(Some(file))
    }
}

impl SessionHandler for FileSessionHandler {
    fn read(&self, id: &str, lifetime: Duration) -> Result<Option<Vec<u8>>> {
        let Some(file) = self.live(id, lifetime)? else { return Ok(None) };
        let mut data = Vec::new();
        // One byte more than can be right, so that it is seen to be wrong.
        file.take(record::MAX_BYTES as u64 + 1).read_to_end(&mut data)?;
        Ok(Some(data))
    }

    fn write(&self, id: &str, data: &[u8], _lifetime: Duration) -> Result<()> {
        let path = self.path(id).ok_or("not a session id")?;
        // Made anew, 0600, and gone again if anything fails before it has its name.
        let mut file = tempfile::Builder::new().prefix(TEMPORARY).tempfile_in(&self.folder)?;
        file.write_all(data)?;
        file.as_file().set_modified(now())?;
        file.persist(path)?;
        Ok(())
    }

    fn destroy(&self, id: &str) -> Result<()> {
        if let Some(path) = self.path(id) {
            remove(&path)?;
        }
        Ok(())
    }

    fn exists(&self, id: &str, lifetime: Duration) -> Result<bool> {
        Ok(self.live(id, lifetime)?.is_some())
    }

    fn update_timestamp(&self, id: &str, lifetime: Duration) -> Result<()> {
        if let Some(file) = self.live(id, lifetime)? {
            file.set_modified(now())?;
        }
        Ok(())
    }

    fn gc(&self, lifetime: Duration) -> Result<()> {
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if !name.starts_with(PREFIX) && !name.starts_with(TEMPORARY) {
                continue;
            }
            // Of the entry itself, not of what a link leads to. Another process may have been quicker.
            let Ok(metadata) = entry.metadata() else { continue };
            if metadata.is_file() && metadata.modified().is_ok_and(|modified| has_ended(modified, lifetime)) {
                remove(&entry.path())?;
            }
        }
        Ok(())
    }
}

/// A file from the future is new: clocks are set back now and then.
fn has_ended(modified: SystemTime, lifetime: Duration) -> bool {
    now().duration_since(modified).unwrap_or_default() >= lifetime
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn now() -> SystemTime {
    reactor::get().clock.wall()
}
