//! The files of a form by the names of their fields, by the rules that hold for its other fields.

use std::fmt;

use super::form::may_be_urlencoded;
use super::params::{Param, Params, ParamsIter};
use super::request::Request;
use super::upload::UploadedFile;

/// # Files
///
/// They are those of a `multipart/form-data` body. One of more than 64 KiB is parsed while it arrives and its large files
/// go to disk, so that it does not have to fit into memory; see [`Http::set_upload_memory`](crate::Http).
impl Request {
    /// The file in a field of the form; the last one, if there are several of this name.
    ///
    /// ```
    /// # use workerman::{Http, Response, Worker};
    /// # let worker = Worker::<Http>::new("");
    /// worker.on_message(|connection, request| {
    ///     let Some(avatar) = request.file("avatar") else {
    ///         return connection.send(Response::new(400, &[], "no avatar"));
    ///     };
    ///     connection.send(format!("{} bytes", avatar.size()))
    /// });
    /// ```
    pub fn file(&self, name: &str) -> Option<&UploadedFile> {
        self.files().get(name)
    }

    /// The files of `<input type="file" name="photos[]" multiple>`, under `photos`.
    ///
    /// ```
    /// # fn example(request: &workerman::Request) -> std::io::Result<()> {
    /// for photo in request.file_array("photos").into_iter().flat_map(|photos| photos.list()) {
    ///     println!("{}", photo.name());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn file_array(&self, name: &str) -> Option<Files<'_>> {
        self.files().get_array(name)
    }

    /// All files of the form; PHP's `file()` without a name.
    ///
    /// ```
    /// # fn example(request: &workerman::Request) {
    /// println!("{} files", request.files().list().count());
    /// # }
    /// ```
    pub fn files(&self) -> Files<'_> {
        static NONE: Params = Params::new();
        // Asking for files is no reason to take another body apart.
        if self.header("content-type").is_none_or(may_be_urlencoded) {
            return Files { names: &NONE, files: &[] };
        }
        let submitted = self.submitted();
        Files { names: &submitted.names, files: &submitted.files }
    }
}

/// Files of a form by the names of their fields, which may be arrays as those of [`Params`] are.
#[derive(Clone, Copy)]
pub struct Files<'a> {
    names: &'a Params,
    files: &'a [UploadedFile],
}

/// One of [`Files`]: a file, or an array of them.
#[derive(Clone, Copy, Debug)]
pub enum Uploaded<'a> {
    /// Of `name="a"`.
    File(&'a UploadedFile),
    /// Of `name="a[]"` or `name="a[k]"`.
    Array(Files<'a>),
}

impl<'a> Files<'a> {
    /// The file under a name; `None` if there is an array.
    ///
    /// ```
    /// # fn example(request: &workerman::Request) {
    /// let front = request.file_array("cover").and_then(|cover| cover.get("front"));
    /// # }
    /// ```
    pub fn get(self, name: &str) -> Option<&'a UploadedFile> {
        self.at(self.names.get(name)?)
    }

    /// The array under a name; `None` if there is a file.
    ///
    /// ```
    /// # fn example(request: &workerman::Request) {
    /// let photos = request.files().get_array("photos");
    /// # }
    /// ```
    pub fn get_array(self, name: &str) -> Option<Self> {
        Some(Self { names: self.names.get_array(name)?, files: self.files })
    }

    /// Names and what is under them.
    ///
    /// ```
    /// # fn example(request: &workerman::Request) {
    /// for (name, uploaded) in request.files().iter() {
    ///     println!("{name}: {uploaded:?}");
    /// }
    /// # }
    /// ```
    pub fn iter(self) -> FilesIter<'a> {
        FilesIter { names: self.names.iter(), files: self.files }
    }

    /// All of them, those in arrays as well, whatever their names.
    ///
    /// ```
    /// # fn example(request: &workerman::Request) {
    /// let bytes: u64 = request.files().list().map(|file| file.size()).sum();
    /// # }
    /// ```
    pub fn list(self) -> impl Iterator<Item = &'a UploadedFile> {
        let mut open = vec![self.iter()];
        std::iter::from_fn(move || {
            while let Some(names) = open.last_mut() {
                match names.next() {
                    Some((_, Uploaded::File(file))) => return Some(file),
                    Some((_, Uploaded::Array(array))) => open.push(array.iter()),
                    None => drop(open.pop()),
                }
            }
            None
        })
    }

    /// Whether there are none.
    ///
    /// ```
    /// # fn example(request: &workerman::Request) {
    /// let nothing_chosen = request.files().is_empty();
    /// # }
    /// ```
    pub fn is_empty(self) -> bool {
        self.names.is_empty()
    }

    fn at(self, place: &str) -> Option<&'a UploadedFile> {
        self.files.get(place.parse::<usize>().ok()?)
    }
}

/// What [`Files::iter`] gives.
#[derive(Clone, Debug)]
pub struct FilesIter<'a> {
    names: ParamsIter<'a>,
    files: &'a [UploadedFile],
}

impl<'a> Iterator for FilesIter<'a> {
    type Item = (&'a str, Uploaded<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let (name, param) = self.names.next()?;
        let uploaded = match param {
            Param::Text(place) => Uploaded::File(self.files.get(place.parse::<usize>().ok()?)?),
            Param::Array(names) => Uploaded::Array(Files { names, files: self.files }),
        };
        Some((name, uploaded))
    }
}

impl<'a> IntoIterator for Files<'a> {
    type Item = (&'a str, Uploaded<'a>);
    type IntoIter = FilesIter<'a>;

    fn into_iter(self) -> FilesIter<'a> {
        self.iter()
    }
}

impl fmt::Debug for Files<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}
