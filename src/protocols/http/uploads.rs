//! Where the files of forms are kept, and from which size on disk: of the process, as in PHP.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock};

use super::Http;

static IN_MEMORY: AtomicUsize = AtomicUsize::new(64 * 1024);
static DIRECTORY: RwLock<Option<PathBuf>> = RwLock::new(None);

/// Where files are kept.
#[derive(Clone, Debug)]
pub struct Uploads {
    /// The most bytes of a file that stay in memory.
    pub in_memory: usize,
    /// Where temporary files are made.
    pub directory: PathBuf,
}

impl Default for Uploads {
    fn default() -> Self {
        let directory = DIRECTORY.read().unwrap_or_else(PoisonError::into_inner).clone();
        Self { in_memory: in_memory(), directory: directory.unwrap_or_else(std::env::temp_dir) }
    }
}

/// The most bytes of a form, or of a file in it, that stay in memory.
pub(super) fn in_memory() -> usize {
    IN_MEMORY.load(Ordering::Relaxed)
}

/// # Uploads
impl Http {
    /// Sets in bytes how large a form may be that is kept in memory; 64 KiB unless set. A larger `multipart/form-data`
    /// body is taken apart while it arrives: `raw_body` is empty, and each file in it that is larger than this goes to a
    /// temporary file, which is deleted with the request.
    ///
    /// ```
    /// use workerman::Http;
    ///
    /// Http::set_upload_memory(1024 * 1024);
    /// # Http::set_upload_memory(64 * 1024);
    /// ```
    pub fn set_upload_memory(bytes: usize) {
        IN_MEMORY.store(bytes, Ordering::Relaxed);
    }

    /// Sets where temporary files are made; where the system has them unless set.
    ///
    /// ```
    /// workerman::Http::set_upload_tmp_dir(std::env::temp_dir());
    /// ```
    #[doc(alias = "uploadTmpDir")]
    pub fn set_upload_tmp_dir(directory: impl Into<PathBuf>) {
        *DIRECTORY.write().unwrap_or_else(PoisonError::into_inner) = Some(directory.into());
    }
}
