//! The log file that all processes of an app write to.
//!
//! Invariants: what one call writes stands there as a whole, once, and between no other's; a file that is above its limit
//! is cut as soon as somebody is alone with it; a file that was moved away or cut by another process is opened anew before the next record. For that a
//! record is written under a shared lock and the file is cut under the whole one. The locks are those of `fcntl`: a
//! process that may only read the file cannot hold a writer up.
//!
//! Workers may run as another user than their master. So the file belongs to that user, and so does the one that takes
//! its place; where it lies in a directory in which that user makes none, it is cut where it is.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rustix::fs::{FlockOperation, OFlags};
use rustix::process::{Gid, Uid};

/// As PHP's files.
const MODE: u32 = 0o644;
/// A file that others move away again and again is written to in the end, wherever it is.
const TRIES: usize = 5;
/// So often it is tried to be alone with a file that is to be cut, and so long apart; then the file grows by a sixteenth.
const LOCK_TRIES: usize = 50;
const LOCK_PAUSE: Duration = Duration::from_micros(200);
/// What is read at once, when a file is cut.
const PIECE: usize = 16 * 1024;

/// A log file that is open, and cut when it has become too large.
#[derive(Debug)]
pub struct LogFile {
    path: PathBuf,
    /// Bytes from which on the older half goes; 0 for never.
    limit: u64,
    file: File,
    /// A terminal or a pipe is neither locked nor cut.
    regular: bool,
    /// It could not be cut; it is tried again when it has this size.
    retry_at: u64,
}

impl LogFile {
    /// Opens the file to append to it, and makes it and its directory unless they are there. Above `limit` bytes the first
    /// half goes; 0 is no limit.
    ///
    /// # Errors
    ///
    /// When it cannot be opened.
    pub fn open(path: &Path, limit: u64) -> io::Result<Self> {
        if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
            fs::create_dir_all(directory)?;
        }
        let file = open(path)?;
        let regular = file.metadata()?.is_file();
        Ok(Self { path: path.into(), limit, file, regular, retry_at: 0 })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the file this user's, who can then open it anew.
    ///
    /// # Errors
    ///
    /// When this process may not.
    pub(super) fn give_to(&self, user: Option<Uid>, group: Option<Gid>) -> io::Result<()> {
        if self.regular { Ok(rustix::fs::fchown(&self.file, user, group)?) } else { Ok(()) }
    }

    /// Appends these bytes, whole lines, in one piece.
    ///
    /// # Errors
    ///
    /// When they cannot be written.
    pub fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        if !self.regular {
            return self.file.write_all(lines);
        }
        let size = self.append_shared(lines)?;
        if self.limit > 0 && size > self.limit.max(self.retry_at) {
            let cut = self.cut();
            self.retry_at = if cut.is_ok() { 0 } else { size + size / 16 };
        }
        Ok(())
    }

    /// Answers how large the file is now.
    fn append_shared(&mut self, lines: &[u8]) -> io::Result<u64> {
        for _ in 0..TRIES {
            rustix::fs::fcntl_lock(&self.file, FlockOperation::LockShared)?;
            if self.is_in_place() {
                break;
            }
            match self.open_anew() {
                // Closing the old one unlocks it.
                Ok(file) => self.file = file,
                Err(error) if self.is_removed() => return self.unlock().and(Err(error)),
                // Whoever moved it away lets us make no other.
                Err(_) => break,
            }
        }
        let written = self.file.write_all(lines);
        let size = self.file.metadata().map(|metadata| metadata.len());
        self.unlock()?;
        written.and(size)
    }

    /// The file that is there now. If there is none, one like the old.
    fn open_anew(&self) -> io::Result<File> {
        match options().create_new(true).open(&self.path) {
            Ok(file) => self.make_alike(&file).map(|()| file),
            Err(_) => open(&self.path),
        }
    }

    fn make_alike(&self, file: &File) -> io::Result<()> {
        let old = self.file.metadata()?;
        file.set_permissions(old.permissions())?;
        // Only root can and has to: a worker under its own user writes to the same file.
        let _ = rustix::fs::fchown(file, Some(Uid::from_raw(old.uid())), Some(Gid::from_raw(old.gid())));
        Ok(())
    }

    fn unlock(&self) -> io::Result<()> {
        Ok(rustix::fs::fcntl_lock(&self.file, FlockOperation::Unlock)?)
    }

    /// Whether the path leads to the file that is open.
    fn is_in_place(&self) -> bool {
        let same = |there: &fs::Metadata, ours: &fs::Metadata| (there.dev(), there.ino()) == (ours.dev(), ours.ino());
        matches!((fs::metadata(&self.path), self.file.metadata()), (Ok(there), Ok(ours)) if same(&there, &ours))
    }

    /// Whether nobody will ever read what is written now.
    fn is_removed(&self) -> bool {
        self.file.metadata().is_ok_and(|metadata| metadata.nlink() == 0)
    }

    /// Leaves the younger half.
    fn cut(&mut self) -> io::Result<()> {
        self.lock_alone()?;
        let size = self.file.metadata()?.len();
        // Somebody else may have done it meanwhile.
        let wanted = size > self.limit && self.is_in_place();
        match wanted.then(|| self.replace(size)).transpose() {
            // Closing the old one unlocks it.
            Ok(Some(file)) => self.file = file,
            Ok(None) => self.unlock()?,
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                let cut = self.cut_in_place(size);
                return self.unlock().and(cut);
            }
            Err(error) => return self.unlock().and(Err(error)),
        }
        Ok(())
    }

    /// For who may write to the file, and make no other beside it. A process that is killed just here takes the younger
    /// half with it, and another's record is not cut in two.
    fn cut_in_place(&mut self, size: u64) -> io::Result<()> {
        let mut younger = Vec::new();
        self.copy_from(self.first_to_keep(size), &mut younger)?;
        self.file.set_len(0)?;
        self.file.write_all(&younger)
    }

    /// Half of it goes, and more of one that has grown far beyond its limit.
    fn first_to_keep(&self, size: u64) -> u64 {
        (size / 2).max(size.saturating_sub(self.limit))
    }

    /// Others hold their locks for a moment only, but there may always be one. It is not waited for without end: who may
    /// read the file could hold a lock for ever.
    fn lock_alone(&self) -> io::Result<()> {
        let mut locked = Ok(());
        for _ in 0..LOCK_TRIES {
            locked = rustix::fs::fcntl_lock(&self.file, FlockOperation::NonBlockingLockExclusive);
            if locked.is_ok() {
                break;
            }
            thread::sleep(LOCK_PAUSE);
        }
        Ok(locked?)
    }

    fn replace(&mut self, size: u64) -> io::Result<File> {
        let mut name = self.path.clone().into_os_string();
        name.push(".tmp");
        let beside = PathBuf::from(name);
        // One of a process that was killed here; nobody else is, under the lock.
        let _ = fs::remove_file(&beside);
        let mut younger = options().create_new(true).open(&beside)?;
        let done = self.copy_from(self.first_to_keep(size), &mut younger).and_then(|()| {
            self.make_alike(&younger)?;
            fs::rename(&beside, &self.path)
        });
        match done {
            Ok(()) => Ok(younger),
            Err(error) => {
                let _ = fs::remove_file(&beside);
                Err(error)
            }
        }
    }

    /// Copies what stands behind the first end of a line from this position on.
    fn copy_from(&mut self, position: u64, to: &mut impl Write) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(position.saturating_sub(1)))?;
        let mut piece = vec![0; PIECE];
        let mut found = false;
        loop {
            let count = self.file.read(&mut piece)?;
            let Some(bytes) = piece.get(..count).filter(|bytes| !bytes.is_empty()) else { return Ok(()) };
            let start = if found { Some(0) } else { memchr::memchr(b'\n', bytes).map(|end| end + 1) };
            found |= start.is_some();
            to.write_all(start.and_then(|start| bytes.get(start..)).unwrap_or_default())?;
        }
    }
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    // To read is needed for the locks and for cutting.
    options.read(true).append(true).mode(MODE).custom_flags(OFlags::NOCTTY.bits().cast_signed());
    options
}

/// Opens the file, or makes it. A pipe and a terminal may be there for writing only.
fn open(path: &Path) -> io::Result<File> {
    options().create(true).open(path).or_else(|error| {
        let regular = fs::metadata(path).is_ok_and(|metadata| metadata.is_file());
        if regular { Err(error) } else { options().read(false).open(path).map_err(|_| error) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The place of a log file, in a directory of its own.
    fn place() -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("logs/app.log");
        (directory, path)
    }

    fn text(path: &Path) -> String {
        fs::read_to_string(path).expect("it is text")
    }

    #[test]
    fn a_file_and_its_directory_are_made_and_appended_to() {
        let (_directory, path) = place();
        LogFile::open(&path, 0).expect("it opens").append(b"one\n").expect("it is written");
        LogFile::open(&path, 0).expect("it opens").append(b"two\n").expect("it is written");
        assert_eq!(text(&path), "one\ntwo\n");
        assert_eq!(fs::metadata(&path).expect("it is there").mode() & 0o133, 0, "others only read");
    }

    #[test]
    fn above_the_limit_the_first_half_goes_at_the_end_of_a_line() {
        let (_directory, path) = place();
        let mut log = LogFile::open(&path, 40).expect("it opens");
        for number in 0..10 {
            log.append(format!("line {number}\n").as_bytes()).expect("it is written");
            assert!(text(&path).len() <= 40);
        }
        // Cut with 42 bytes after line 5, to three lines, and so again after line 8.
        assert_eq!(text(&path), "line 6\nline 7\nline 8\nline 9\n");
        let names = fs::read_dir(path.parent().expect("a directory")).expect("it is there").count();
        assert_eq!(names, 1, "nothing is left beside it");
    }

    #[test]
    fn without_a_limit_nothing_goes() {
        let (_directory, path) = place();
        let mut log = LogFile::open(&path, 0).expect("it opens");
        (0..100).for_each(|_| log.append(b"0123456789\n").expect("it is written"));
        assert_eq!(text(&path).len(), 1100);
    }

    #[test]
    fn a_record_that_is_larger_than_the_limit_is_written() {
        let (_directory, path) = place();
        let mut log = LogFile::open(&path, 10).expect("it opens");
        log.append(b"short\n").expect("it is written");
        log.append(b"longer than all that fits\n").expect("it is written");
        assert_eq!(text(&path), "", "and goes with the half it began in");
        log.append(b"next\n").expect("it is written");
        assert_eq!(text(&path), "next\n");
    }

    #[test]
    fn who_finds_the_file_cut_or_moved_by_another_goes_on_in_the_new_one() {
        let (_directory, path) = place();
        let mut one = LogFile::open(&path, 25).expect("it opens");
        let mut other = LogFile::open(&path, 25).expect("it opens");
        other.append(b"first, of the other\n").expect("it is written");
        one.append(b"second\n").expect("it cuts");
        other.append(b"third\n").expect("it is written");
        assert_eq!(text(&path), "second\nthird\n");
        fs::rename(&path, path.with_extension("old")).expect("it can be moved");
        one.append(b"fourth\n").expect("it is written");
        other.append(b"fifth\n").expect("it is written");
        assert_eq!(text(&path), "fourth\nfifth\n");
    }

    #[test]
    fn a_file_that_was_removed_and_cannot_be_made_again_is_an_error() {
        let (directory, path) = place();
        let mut log = LogFile::open(&path, 0).expect("it opens");
        fs::remove_dir_all(path.parent().expect("a directory")).expect("it can be removed");
        assert!(log.append(b"lost\n").is_err());
        drop(directory);
    }

    #[test]
    fn a_stale_file_beside_it_is_no_obstacle() {
        let (_directory, path) = place();
        let mut log = LogFile::open(&path, 10).expect("it opens");
        fs::write(path.with_extension("log.tmp"), "left behind").expect("it can be written");
        log.append(b"one\ntwo\nthree\n").expect("it is written");
        assert_eq!(text(&path), "three\n");
    }

    #[test]
    fn where_it_cannot_be_cut_it_grows() {
        let (_directory, path) = place();
        let mut log = LogFile::open(&path, 10).expect("it opens");
        fs::create_dir(path.with_extension("log.tmp")).expect("a directory can be made");
        log.append(b"0123456789\n").expect("it is written");
        log.append(b"0123456789\n").expect("it is written");
        assert_eq!(text(&path).len(), 22);
    }

    #[test]
    fn a_device_is_written_to() {
        let mut log = LogFile::open(Path::new("/dev/null"), 1).expect("it opens");
        log.append(b"gone\n").expect("it is written");
    }
}
