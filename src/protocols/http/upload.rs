//! [`UploadedFile`]: a file that came with a form, in memory while it is small and in a temporary file from there on.
//!
//! Invariants:
//! * the temporary file is created as a new one, readable by this user alone, and is gone when its owner is;
//! * a file that is complete holds no descriptor, so a request with many files holds none;
//! * what cannot be stored is an [`UploadError`] of the one file, as in PHP, and its size is still counted.

use std::borrow::Cow;
use std::fmt;
use std::fs::{self, File};
use std::hash::{BuildHasher as _, RandomState};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use tempfile::{Builder, NamedTempFile, TempPath};

use super::multipart::PartHead;
use super::uploads::Uploads;

/// Why an uploaded file has no contents; PHP's `UPLOAD_ERR_` constants.
///
/// ```
/// # fn example(file: &workerman::UploadedFile) {
/// use workerman::UploadError;
///
/// match file.error() {
///     None => println!("{} bytes", file.size()),
///     Some(UploadError::NoFile) => println!("nothing was chosen"),
///     Some(error) => println!("{error}, in PHP {}", error.code()),
/// }
/// # }
/// ```
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UploadError {
    /// The form's field was left empty: there is neither a name nor a byte.
    #[doc(alias = "UPLOAD_ERR_NO_FILE")]
    NoFile,
    /// The directory for temporary files does not exist.
    #[doc(alias = "UPLOAD_ERR_NO_TMP_DIR")]
    NoTemporaryDirectory,
    /// A temporary file could not be created or written: the disk is full, for instance.
    #[doc(alias = "UPLOAD_ERR_CANT_WRITE")]
    CannotWrite,
}

impl UploadError {
    /// PHP's number for it: 4, 6 or 7.
    ///
    /// ```
    /// assert_eq!(workerman::UploadError::CannotWrite.code(), 7);
    /// ```
    pub fn code(self) -> u8 {
        match self {
            Self::NoFile => 4,
            Self::NoTemporaryDirectory => 6,
            Self::CannotWrite => 7,
        }
    }
}

impl fmt::Display for UploadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoFile => "no file was uploaded",
            Self::NoTemporaryDirectory => "there is no directory for temporary files",
            Self::CannotWrite => "the file could not be stored",
        })
    }
}

impl std::error::Error for UploadError {}

/// A file that came with a form.
///
/// It is deleted when dropped, so [`save_to`](Self::save_to) what is to stay.
///
/// ```
/// # fn example(file: &workerman::UploadedFile) -> workerman::Result<()> {
/// if file.content_type() == "image/png" && file.size() < 1_000_000 {
///     file.save_to("avatars/42.png")?;
/// }
/// # Ok(())
/// # }
/// ```
pub struct UploadedFile {
    name: Box<str>,
    full_path: Box<str>,
    content_type: Box<str>,
    size: u64,
    contents: Result<Contents, UploadError>,
    /// Where the temporary file has been moved to.
    saved: OnceLock<PathBuf>,
}

enum Contents {
    Memory(Vec<u8>),
    File(TempPath),
}

impl UploadedFile {
    /// The file's name on the client's machine, without folders. It is what the client says: `..`, and names that mean
    /// something to your file system, can be among them, so do not make a path of it.
    ///
    /// ```
    /// # let file = workerman::testing::fuzz::uploaded("holiday/beach.jpg", "image/jpeg", b"...");
    /// assert_eq!(file.name(), "beach.jpg");
    /// ```
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name with its folders, as sent: browsers do so when a whole folder is chosen.
    ///
    /// ```
    /// # let file = workerman::testing::fuzz::uploaded("holiday/beach.jpg", "image/jpeg", b"...");
    /// assert_eq!(file.full_path(), "holiday/beach.jpg");
    /// ```
    pub fn full_path(&self) -> &str {
        &self.full_path
    }

    /// The type that the client gives, empty if it gives none. The contents may be something else.
    ///
    /// ```
    /// # let file = workerman::testing::fuzz::uploaded("beach.jpg", "image/jpeg", b"...");
    /// assert_eq!(file.content_type(), "image/jpeg");
    /// ```
    #[doc(alias = "type")]
    pub fn content_type(&self) -> &str {
        &self.content_type
    }

    /// How many bytes came, whether they could be stored or not.
    ///
    /// ```
    /// # let file = workerman::testing::fuzz::uploaded("beach.jpg", "image/jpeg", b"...");
    /// assert_eq!(file.size(), 3);
    /// ```
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Why there are no contents; `None` when all is well.
    ///
    /// PHP Workerman says 0 for a field that was left empty, and PHP itself says [`UploadError::NoFile`], as we do.
    ///
    /// ```
    /// # let file = workerman::testing::fuzz::uploaded("", "application/octet-stream", b"");
    /// assert_eq!(file.error(), Some(workerman::UploadError::NoFile));
    /// ```
    pub fn error(&self) -> Option<UploadError> {
        self.contents.as_ref().err().copied()
    }

    /// Where the file is on disk: in a temporary file, or where [`save_to`](Self::save_to) has moved that. `None` for a
    /// small file, which is kept in memory.
    ///
    /// ```
    /// # let file = workerman::testing::fuzz::uploaded("large", "", &[0; 100_000]);
    /// let size = std::fs::metadata(file.path().unwrap())?.len();
    /// assert_eq!(size, 100_000);
    /// # std::io::Result::Ok(())
    /// ```
    #[doc(alias = "tmp_name")]
    pub fn path(&self) -> Option<&Path> {
        match &self.contents {
            Ok(Contents::File(path)) => Some(self.saved.get().map_or(&**path, PathBuf::as_path)),
            _ => None,
        }
    }

    /// All of it. A large file is read from disk, which holds up the loop for as long as that takes.
    ///
    /// ```
    /// # let file = workerman::testing::fuzz::uploaded("a.txt", "text/plain", b"hello");
    /// assert_eq!(&*file.bytes()?, b"hello");
    /// # std::io::Result::Ok(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`error`](Self::error), unless it is that there is no file, and what reading ends with.
    #[doc(alias = "file_get_contents")]
    pub fn bytes(&self) -> io::Result<Cow<'_, [u8]>> {
        match self.source()? {
            Source::Memory(bytes) => Ok(Cow::Borrowed(bytes)),
            Source::File(mut file) => {
                let mut bytes = Vec::new();
                file.read_to_end(&mut bytes)?;
                Ok(Cow::Owned(bytes))
            }
        }
    }

    /// Reads it from its beginning.
    ///
    /// ```
    /// use std::io::{BufRead, BufReader};
    ///
    /// # let file = workerman::testing::fuzz::uploaded("a.csv", "text/csv", b"a,b\nc,d\n");
    /// let lines: Vec<String> = BufReader::new(file.reader()?).lines().collect::<Result<_, _>>()?;
    /// assert_eq!(lines, ["a,b", "c,d"]);
    /// # std::io::Result::Ok(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`error`](Self::error), unless it is that there is no file, and what the system says to opening it.
    #[doc(alias = "fopen")]
    pub fn reader(&self) -> io::Result<impl Read + '_> {
        self.source()
    }

    /// Stores it under this path, in place of a file that is there already, as PHP's `move_uploaded_file` does.
    ///
    /// On the file system of the temporary files it is renamed, to others it is copied; either way it is there as a
    /// whole or not at all, with the permissions of a new file. It can be read and stored again afterwards.
    ///
    /// ```
    /// # let directory = tempfile::tempdir()?;
    /// # let path = directory.path().join("a.txt");
    /// # let file = workerman::testing::fuzz::uploaded("a.txt", "text/plain", b"hello");
    /// file.save_to(&path)?;
    /// assert_eq!(std::fs::read(&path)?, b"hello");
    /// # std::io::Result::Ok(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`error`](Self::error), and what the system says: no such directory, no permission, no space.
    #[doc(alias = "move_uploaded_file")]
    pub fn save_to(&self, path: impl AsRef<Path>) -> io::Result<()> {
        if let Some(error) = self.error() {
            return Err(io::Error::other(error));
        }
        // Paths may be asked for after the process has changed its directory.
        let path = std::path::absolute(path)?;
        let mut copy = new_file(path.parent().unwrap_or(&path), 0o666)?;
        if let (Ok(Contents::File(temporary)), None) = (&self.contents, self.saved.get())
            && fs::rename(temporary, &path).is_ok()
        {
            // The empty one has got the permissions that a new file has here.
            let permitted = fs::metadata(copy.path()).and_then(|new| fs::set_permissions(&path, new.permissions()));
            let _ = self.saved.set(path);
            return permitted;
        }
        io::copy(&mut self.source()?, copy.as_file_mut())?;
        copy.persist(&path)?;
        Ok(())
    }

    fn source(&self) -> io::Result<Source<'_>> {
        match &self.contents {
            Ok(Contents::Memory(bytes)) => Ok(Source::Memory(bytes)),
            Ok(Contents::File(path)) => {
                File::open(self.saved.get().map_or(&**path, PathBuf::as_path)).map(Source::File)
            }
            Err(UploadError::NoFile) => Ok(Source::Memory(&[])),
            Err(error) => Err(io::Error::other(*error)),
        }
    }
}

/// Names it and not what is in it.
impl fmt::Debug for UploadedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UploadedFile")
            .field("name", &self.name)
            .field("content_type", &self.content_type)
            .field("size", &self.size)
            .field("error", &self.error())
            .field("path", &self.path())
            .finish_non_exhaustive()
    }
}

enum Source<'a> {
    Memory(&'a [u8]),
    File(File),
}

impl Read for Source<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Memory(bytes) => bytes.read(buffer),
            Self::File(file) => file.read(buffer),
        }
    }
}

/// A file that is arriving.
#[derive(Debug)]
pub(super) struct Upload {
    head: PartHead,
    size: u64,
    store: Result<Store, UploadError>,
}

#[derive(Debug)]
enum Store {
    Memory(Vec<u8>),
    File(NamedTempFile),
}

impl Upload {
    pub(super) fn new(head: PartHead) -> Self {
        Self { head, size: 0, store: Ok(Store::Memory(Vec::new())) }
    }

    /// Takes the next piece. If it cannot be stored, what there is of the file is deleted at once.
    pub(super) fn append(&mut self, piece: &[u8], uploads: &Uploads) {
        self.size += piece.len() as u64;
        let Ok(store) = &mut self.store else { return };
        if let Err(error) = store.append(piece, uploads) {
            log::warn!("an uploaded file is lost: {error}");
            self.store = Err(match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => UploadError::NoTemporaryDirectory,
                _ => UploadError::CannotWrite,
            });
        }
    }

    pub(super) fn finish(self) -> UploadedFile {
        let PartHead { name: _, file_name, full_path, content_type } = self.head;
        let name = file_name.unwrap_or_default();
        let contents = match self.store {
            Ok(_) if name.is_empty() && full_path.is_empty() && self.size == 0 => Err(UploadError::NoFile),
            Ok(Store::Memory(bytes)) => Ok(Contents::Memory(bytes)),
            Ok(Store::File(file)) => Ok(Contents::File(file.into_temp_path())),
            Err(error) => Err(error),
        };
        UploadedFile {
            name: name.into(),
            full_path: full_path.into(),
            content_type: content_type.into(),
            size: self.size,
            contents,
            saved: OnceLock::new(),
        }
    }
}

impl Store {
    fn append(&mut self, piece: &[u8], uploads: &Uploads) -> io::Result<()> {
        match self {
            Self::File(file) => file.write_all(piece),
            Self::Memory(bytes) if piece.len() <= uploads.in_memory.saturating_sub(bytes.len()) => {
                bytes.extend_from_slice(piece);
                Ok(())
            }
            Self::Memory(bytes) => {
                let mut file = new_file(&uploads.directory, 0o600)?;
                file.write_all(bytes)?;
                file.write_all(piece)?;
                *self = Self::File(file);
                Ok(())
            }
        }
    }
}

/// A new file with a name that nothing has, named like PHP Workerman's.
///
/// What makes it safe is that an existing file is never opened and that nobody else may read the new one. That the name
/// cannot be guessed keeps others from taking it first: the hasher's keys are the system's randomness, which the names
/// that `tempfile` makes are not.
fn new_file(directory: &Path, mode: u32) -> io::Result<NamedTempFile> {
    let prefix = format!("workerman.upload.{:016x}", RandomState::new().hash_one(mode));
    let mut builder = Builder::new();
    builder.prefix(&prefix);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        builder.permissions(fs::Permissions::from_mode(mode));
    }
    builder.tempfile_in(directory)
}

#[cfg(test)]
mod tests;
