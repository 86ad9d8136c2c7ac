//! Answers whose body is a file: which file, which part of it, and what is known of it.
//!
//! A response keeps the path. The file is opened when the answer is sent, so that a copy of a response owns no
//! descriptor and what the head says is true of the very bytes that follow it.

use std::ffi::OsStr;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::conditional::Conditions;
use super::request::Request;
use super::response::Response;

/// The body of an answer: a file, or a part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FileBody {
    pub(super) path: PathBuf,
    pub(super) wanted: Wanted,
}

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

    pub(super) fn with_wanted(mut self, path: &Path, wanted: Wanted) -> Self {
        if !path.is_file() {
            return self.with_status(404).with_body(NOT_FOUND);
        }
        self.parts.body.clear();
        self.parts.file = Some(Box::new(FileBody { path: path.to_owned(), wanted }));
        self
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
        let since = metadata.modified().ok().and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
        let modified = since.map(|since| since.as_secs());
        let settled = modified.zip(now).is_none_or(|(modified, now)| modified < now);
        let weak = if settled { "" } else { "W/" };
        let (size, inode) = (metadata.len(), metadata.ino());
        let nanoseconds = since.map_or(0, |since| since.as_nanos());
        Self {
            size,
            modified: modified.filter(|_| settled),
            etag: format!("{weak}\"{size:x}-{nanoseconds:x}-{inode:x}\""),
        }
    }
}

/// Where the table of `mime_guess` is out of date or means something rare.
const CORRECTED: [(&str, &str); 5] = [
    ("js", "text/javascript"), // RFC 9239 §6
    ("mjs", "text/javascript"),
    ("rpm", "application/x-redhat-package-manager"),
    ("ts", "video/mp2t"),  // what players of HLS ask for
    ("woff", "font/woff"), // RFC 8081 §4.4.5
];

/// The media type of a file by the extension of its name, and whether that is known.
pub(super) fn content_type(path: &Path) -> (String, bool) {
    let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
    // PHP takes `.txt` for a name with nothing in front of its extension.
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    let lower = extension.to_ascii_lowercase();
    let better = CORRECTED.iter().find(|(extension, _)| *extension == lower).map(|(_, kind)| *kind);
    match better.or_else(|| mime_guess::from_ext(extension).first_raw()) {
        None | Some(UNKNOWN) => (UNKNOWN.to_owned(), false),
        Some(text) if text.starts_with("text/") => (format!("{text};charset=utf-8"), true),
        Some(other) => (other.to_owned(), true),
    }
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
        for (name, expected, known) in [
            ("a.txt", "text/plain;charset=utf-8", true),
            (".txt", "text/plain;charset=utf-8", true),
            ("a.b.HTML", "text/html;charset=utf-8", true),
            ("style.css", "text/css;charset=utf-8", true),
            ("app.mjs", "text/javascript;charset=utf-8", true),
            ("a.json", "application/json", true),
            ("a.svg", "image/svg+xml", true),
            ("a.wasm", "application/wasm", true),
            ("film.mp4", "video/mp4", true),
            ("a.bin", UNKNOWN, false),
            ("a.nosuchtype", UNKNOWN, false),
            ("README", UNKNOWN, false),
            ("txt", UNKNOWN, false),
            ("", UNKNOWN, false),
        ] {
            assert_eq!(content_type(Path::new(name)), (expected.to_owned(), known), "{name}");
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
