//! Answers whose body is a file: which file, which part of it, and what is known of it.
//!
//! A response keeps the path, or the file itself where it had to be opened to be found. Otherwise the file is opened when
//! the answer is sent, so that a copy of a response owns no descriptor. Either way it is looked at then: what the head says
//! is true of the very bytes that follow it.

use std::ffi::OsStr;
use std::fmt;
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::conditional::Conditions;
use super::request::Request;
use super::response::Response;

/// The body of an answer: a file, or a part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FileBody {
    pub(super) path: PathBuf,
    pub(super) wanted: Wanted,
    pub(super) opened: Option<Opened>,
}

/// A file that is open already, and shared by the copies of a response.
#[derive(Clone, Debug)]
pub(super) struct Opened(pub(super) Arc<File>);

impl PartialEq for Opened {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Opened {}

/// What of a file is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// What the app says: from here, so many bytes, 0 for all.
    Part { offset: u64, length: u64 },
    /// What the request says.
    Asked(Conditions),
}

pub(super) const NOT_FOUND: &str = "<h3>404 Not Found</h3>";
/// All but `attr-char` of RFC 8187 §3.2.1.
const NO_ATTR_CHAR: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'!')
    .remove(b'#')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b'-')
    .remove(b'.')
    .remove(b'^')
    .remove(b'_')
    .remove(b'`')
    .remove(b'|')
    .remove(b'~');
const UNKNOWN: &str = "application/octet-stream";

/// # Files
impl Response {
    /// Makes a file the body, or `length` bytes of it from `offset` on; a length of 0 means up to the end. A part is sent
    /// with 206 and `Content-Range`, as PHP does, whatever was asked for; a part that does not exist is 416.
    ///
    /// The file is read as the peer takes it, so its size does not matter, and as it is when the answer is sent.
    /// `Content-Type` follows from the extension, a file of no known type is to be saved (`Content-Disposition`), and
    /// `Content-Length`, `Accept-Ranges`, `Last-Modified` and `ETag` are added; what you set yourself stays. If there is no
    /// such file, the answer is 404; if it may not be read, 403.
    ///
    /// This is PHP's `withFile`, which knows nothing of the request. [`Response::file`] answers conditions and ranges.
    /// Neither keeps anyone from `..` in a path: [`Response::static_file`] does.
    ///
    /// ```
    /// # use workerman::{Http, Response, Worker};
    /// # let worker = Worker::<Http>::new("");
    /// worker.on_message(|connection, _request| {
    ///     connection.send(Response::new(200, &[], "").with_file("/var/www/report.pdf", 0, 0))
    /// });
    /// ```
    #[doc(alias = "withFile")]
    #[must_use]
    pub fn with_file(self, path: impl AsRef<Path>, offset: u64, length: u64) -> Self {
        self.with_wanted(path.as_ref(), Wanted::Part { offset, length })
    }

    /// A file in answer to a request: 206 with the part of it that `Range` asks for, 304 when the client has it already
    /// (`If-None-Match`, `If-Modified-Since`), 412 or 416 where RFC 9110 wants that, else the whole of it with 200. Several
    /// ranges at once are answered with the whole.
    ///
    /// All else is as with [`Response::with_file`]. Conditions count for `GET` and `HEAD`, and as long as the status is 200:
    /// `Response::file(…).with_status(404)` is an error page.
    ///
    /// ```
    /// # use workerman::{Http, Response, Worker};
    /// # let worker = Worker::<Http>::new("");
    /// worker.on_message(|connection, request| {
    ///     connection.send(Response::file(&request, "/var/www/film.mp4").with_header("Cache-Control", "no-cache"))
    /// });
    /// ```
    #[doc(alias = "withFile")]
    pub fn file(request: &Request, path: impl AsRef<Path>) -> Self {
        Self::default().with_wanted(path.as_ref(), Wanted::Asked(Conditions::of(request)))
    }

    pub(super) fn with_wanted(self, path: &Path, wanted: Wanted) -> Self {
        if !path.is_file() {
            return self.with_status(404).with_body(NOT_FOUND);
        }
        self.with_file_body(FileBody { path: path.to_owned(), wanted, opened: None })
    }

    /// A file that is open already, and is one.
    pub(super) fn with_opened(self, file: File, path: PathBuf, wanted: Wanted) -> Self {
        self.with_file_body(FileBody { path, wanted, opened: Some(Opened(file.into())) })
    }

    fn with_file_body(mut self, file: FileBody) -> Self {
        self.parts.body.clear();
        self.parts.file = Some(Box::new(file));
        self
    }
}

/// The answer in place of a file that cannot be sent, in PHP's words.
pub(super) fn failure(path: &Path, error: &io::Error) -> (u16, &'static str) {
    use io::ErrorKind::{InvalidFilename, InvalidInput, NotADirectory, NotFound, PermissionDenied};
    match error.kind() {
        NotFound | NotADirectory | InvalidInput | InvalidFilename => (404, NOT_FOUND),
        PermissionDenied => (403, "403 Forbidden"),
        _ => {
            log::error!("{} cannot be sent: {error}", path.display());
            (500, "")
        }
    }
}

/// What is told of a file besides its bytes.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) size: u64,
    /// Seconds since 1970, unless the file has changed in this second: it may change once more in it, unseen.
    pub(super) modified: Option<u64>,
    /// Made of size, modification time and inode. Weak for a file that has just changed, for the same reason.
    pub(super) etag: String,
}

impl Known {
    /// Of a file at a time, in seconds since 1970.
    pub(super) fn new(metadata: &Metadata, now: Option<u64>) -> Self {
        let since = u64::try_from(metadata.mtime()).ok();
        let settled = since.zip(now).is_none_or(|(modified, now)| modified < now);
        let nanoseconds = since.map_or(0, |seconds| {
            let rest = u64::try_from(metadata.mtime_nsec()).unwrap_or_default();
            seconds.saturating_mul(1_000_000_000).saturating_add(rest)
        });
        let size = metadata.len();
        let mut etag = String::with_capacity(64);
        etag.push_str(if settled { "\"" } else { "W/\"" });
        push_hex(&mut etag, size);
        etag.push('-');
        push_hex(&mut etag, nanoseconds);
        etag.push('-');
        push_hex(&mut etag, metadata.ino());
        etag.push('"');
        Self { size, modified: since.filter(|_| settled), etag }
    }
}

/// Appends a number without the machinery of `format!`.
fn push_hex(text: &mut String, number: u64) {
    let digits = (64 - (number | 1).leading_zeros()).div_ceil(4);
    let digit =
        |place: u32| u32::try_from(number >> (4 * place) & 15).ok().and_then(|digit| char::from_digit(digit, 16));
    text.extend((0..digits).rev().filter_map(digit));
}

/// Where the table of `mime_guess` is out of date or means something rare.
const CORRECTED: [(&str, &str); 5] = [
    ("js", "text/javascript"), // RFC 9239 §6
    ("mjs", "text/javascript"),
    ("rpm", "application/x-redhat-package-manager"),
    ("ts", "video/mp2t"),  // what players of HLS ask for
    ("woff", "font/woff"), // RFC 8081 §4.4.5
];

/// A media type, written with the charset where it is text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ContentType(&'static str);

impl ContentType {
    /// What is said of files of no known type.
    pub(super) const UNKNOWN: Self = Self(UNKNOWN);

    /// What it is made of.
    pub(super) fn texts(self) -> [&'static str; 2] {
        [self.0, if self.0.starts_with("text/") { ";charset=utf-8" } else { "" }]
    }
}

impl fmt::Display for ContentType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.texts().iter().try_for_each(|text| f.write_str(text))
    }
}

/// The media type of a file by the extension of its name, if that is known.
pub(super) fn content_type(path: &Path) -> Option<ContentType> {
    let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
    // PHP takes `.txt` for a name with nothing in front of its extension.
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    let better =
        CORRECTED.iter().find(|(corrected, _)| extension.eq_ignore_ascii_case(corrected)).map(|(_, kind)| *kind);
    let kind = better.or_else(|| mime_guess::from_ext(extension).first_raw())?;
    (kind != UNKNOWN).then_some(ContentType(kind))
}

/// What has a file saved under its name. Control characters, quotes and backslashes are left out, as in PHP; a name that
/// is not ASCII stands there a second time, as RFC 8187 has it written.
pub(super) fn attachment(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name: String = name.chars().filter(|c| !c.is_control() && !matches!(c, '"' | '\\')).collect();
    if name.is_ascii() {
        return format!("attachment; filename=\"{name}\"");
    }
    let ascii: String = name.chars().map(|c| if c.is_ascii() { c } else { '_' }).collect();
    format!("attachment; filename=\"{ascii}\"; filename*=UTF-8''{}", utf8_percent_encode(&name, NO_ATTR_CHAR))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_type_follows_from_the_extension_in_any_case() {
        for (name, expected) in [
            ("a.txt", Some("text/plain;charset=utf-8")),
            (".txt", Some("text/plain;charset=utf-8")),
            ("a.b.HTML", Some("text/html;charset=utf-8")),
            ("style.css", Some("text/css;charset=utf-8")),
            ("app.MJS", Some("text/javascript;charset=utf-8")),
            ("a.json", Some("application/json")),
            ("a.svg", Some("image/svg+xml")),
            ("a.wasm", Some("application/wasm")),
            ("film.mp4", Some("video/mp4")),
            ("a.bin", None),
            ("a.nosuchtype", None),
            ("README", None),
            ("txt", None),
            ("", None),
        ] {
            let found = content_type(Path::new(name)).map(|kind| kind.to_string());
            assert_eq!(found.as_deref(), expected, "{name}");
        }
    }

    #[test]
    fn a_number_in_a_tag_has_no_zeros_in_front() {
        for number in [0, 1, 15, 16, 0xabc, u64::from(u32::MAX), u64::MAX] {
            let mut text = String::new();
            push_hex(&mut text, number);
            assert_eq!(text, format!("{number:x}"));
        }
    }

    #[test]
    fn a_file_is_saved_under_its_name_and_nothing_else_can_be_said_by_it() {
        for (name, expected) in [
            ("/d/a b.bin", "attachment; filename=\"a b.bin\""),
            ("q\"x\\\r\n\u{7f}.bin", "attachment; filename=\"qx.bin\""),
            ("\u{e9};%.bin", "attachment; filename=\"_;%.bin\"; filename*=UTF-8''%C3%A9%3B%25.bin"),
        ] {
            assert_eq!(attachment(Path::new(name)), expected);
        }
    }

    proptest! {
        #[test]
        fn no_name_is_too_odd(name in "\\PC*|[\\x00-\\xff]*") {
            content_type(Path::new(&name));
            let value = attachment(Path::new(&name));
            prop_assert!(!value.bytes().any(|byte| byte.is_ascii_control()));
            prop_assert_eq!(value.matches('"').count(), 2);
        }
    }
}
