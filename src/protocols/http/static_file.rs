//! Files below a directory, by the path of a request that may say anything.
//!
//! Invariant: nothing is sent that is not below the root, whatever the path says and wherever symbolic links lead. Decoding
//! happens once, before the path is taken apart, and each part of it must be a plain name. A file is opened once, when it is
//! found, so that what was looked at is what is sent.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::accept::coding_weight;
use super::below;
use super::conditional::Conditions;
use super::file::{Wanted, content_type, failure};
use super::request::Request;
use super::response::Response;

/// Codings of files that may lie beside the plain one, the better first, with their extensions.
const CODINGS: [(&str, &str); 2] = [("br", "br"), ("gzip", "gz")];

impl Response {
    /// The file below a directory that a request asks for, as [`Response::file`] sends it. `path` is what follows the place
    /// where the directory is mounted, as it stands in the request: `request.path()`, or a part of that.
    ///
    /// No path leads out of the directory: neither `..`, escaped or not, nor a symbolic link, nor a NUL or backslash. Names
    /// that begin with a dot are not found, but for `.well-known`. A directory is answered with its `index.html`, and
    /// without a slash at its end with a redirection to where there is one. Methods other than `GET` and `HEAD` get 405.
    ///
    /// Where the client accepts it, a neighbour `name.br` or `name.gz` that is no older is sent in place of a file.
    ///
    /// The file is opened here: a response that you keep keeps a descriptor.
    ///
    /// ```
    /// # use workerman::{Http, Response, Worker};
    /// # let worker = Worker::<Http>::new("");
    /// worker.on_message(|connection, request| match request.path().strip_prefix("/static/") {
    ///     Some(path) => connection.send(Response::static_file(&request, "/var/www", path)),
    ///     None => connection.send("something else"),
    /// });
    /// ```
    #[doc(alias = "withFile")]
    pub fn static_file(request: &Request, root: impl AsRef<Path>, path: &str) -> Self {
        if !matches!(request.method(), "GET" | "HEAD") {
            return Self::new(405, &[("Allow", "GET, HEAD")], "");
        }
        let root = root.as_ref();
        match find(root, path) {
            Ok(Some(plain)) => file_or_neighbour(request, root, plain),
            Ok(None) => redirect(request),
            Err(error) => {
                let (status, body) = failure(Path::new(path), &error);
                Self::new(status, &[], body)
            }
        }
    }
}

/// A file, and its path without symbolic links.
struct Opened {
    file: File,
    path: PathBuf,
    metadata: Metadata,
}

/// What a path leads to: a file, or a directory whose slash is missing.
fn find(root: &Path, path: &str) -> io::Result<Option<Opened>> {
    let nothing = || io::Error::from(io::ErrorKind::NotFound);
    let mut wanted = root.to_owned();
    for name in names(path) {
        wanted.push(name.ok_or_else(nothing)?);
    }
    let is_directory = path.is_empty() || path.ends_with('/');
    if is_directory {
        wanted.push("index.html");
    }
    let opened = open(root, wanted)?;
    match opened.metadata.file_type() {
        kind if kind.is_file() => Ok(Some(opened)),
        kind if kind.is_dir() && !is_directory => Ok(None),
        _ => Err(nothing()),
    }
}

fn open(root: &Path, path: PathBuf) -> io::Result<Opened> {
    if root.as_os_str().is_empty() {
        return Err(io::ErrorKind::NotFound.into());
    }
    let (file, path) = below::open(root, path)?;
    let metadata = file.metadata()?;
    Ok(Opened { file, path, metadata })
}

/// The names that a path is made of, decoded; `None` for one that is none.
fn names(path: &str) -> impl Iterator<Item = Option<Cow<'_, OsStr>>> {
    path.split('/').filter(|name| !name.is_empty()).map(|name| decode(name).filter(|name| is_plain(name.as_bytes())))
}

fn is_plain(name: &[u8]) -> bool {
    let is_hidden = name.starts_with(b".") && name != b".well-known";
    !is_hidden && !name.is_empty() && !name.iter().any(|byte| matches!(byte, b'/' | b'\\' | 0))
}

/// Undoes `%xx`, once. Half an escape is a mistake, or meant to be read differently by somebody else.
fn decode(text: &str) -> Option<Cow<'_, OsStr>> {
    if !text.contains('%') {
        return Some(Cow::Borrowed(OsStr::new(text)));
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let mut digit = || bytes.next().and_then(|digit| char::from(digit).to_digit(16));
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            _ => byte,
        });
    }
    Some(Cow::Owned(OsString::from_vec(decoded)))
}

/// To the same place with a slash behind it, without which relative links would lead beside it.
fn redirect(request: &Request) -> Response {
    // Two slashes in front would be another host's name.
    let path = request.path().trim_start_matches('/');
    let question = if request.query_string().is_empty() { "" } else { "?" };
    let location = format!("/{path}/{question}{}", request.query_string());
    Response::new(301, &[("Location", &location)], "")
}

fn file_or_neighbour(request: &Request, root: &Path, plain: Opened) -> Response {
    let wanted = Wanted::Asked(Conditions::of(request));
    let kind = content_type(&plain.path);
    let neighbours = CODINGS.map(|(coding, extension)| {
        let path = kind.is_some().then(|| with_extension_added(&plain.path, extension))?;
        let neighbour = open(root, path).ok().filter(|neighbour| is_as_new(neighbour, &plain))?;
        Some((coding, neighbour))
    });
    if neighbours.iter().all(Option::is_none) {
        return Response::default().with_opened(plain.file, plain.path, wanted);
    }
    let response = Response::new(200, &[("Vary", "Accept-Encoding")], "");
    let accepted = request.header("accept-encoding").unwrap_or_default();
    let weighed =
        neighbours.into_iter().flatten().map(|(coding, file)| (coding_weight(accepted, coding), coding, file));
    // Of those that are liked equally, the first.
    match weighed.filter(|(weight, ..)| *weight > 0).min_by_key(|(weight, ..)| Reverse(*weight)) {
        Some((_, coding, neighbour)) => {
            let kind = kind.map(|kind| kind.to_string()).unwrap_or_default();
            let lines = [("Content-Type", kind.as_str()), ("Content-Encoding", coding)];
            response.with_opened(neighbour.file, neighbour.path, wanted).with_headers(&lines)
        }
        None => response.with_opened(plain.file, plain.path, wanted),
    }
}

fn with_extension_added(path: &Path, extension: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(OsStr::new("."));
    name.push(extension);
    name.into()
}

fn is_as_new(neighbour: &Opened, plain: &Opened) -> bool {
    let modified = |opened: &Opened| opened.metadata.modified().ok();
    neighbour.metadata.is_file()
        && modified(neighbour).zip(modified(plain)).is_some_and(|(neighbour, plain)| neighbour >= plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_path_is_made_of_plain_names_or_leads_nowhere() {
        let table: &[(&str, Option<&[&str]>)] = &[
            ("", Some(&[])),
            ("/", Some(&[])),
            ("/a/b.txt", Some(&["a", "b.txt"])),
            ("a//b/", Some(&["a", "b"])),
            ("/a%20b/%e4%B8%ad", Some(&["a b", "\u{4e2d}"])),
            ("/a+b", Some(&["a+b"])),
            ("/.well-known/x", Some(&[".well-known", "x"])),
            ("/a%252e", Some(&["a%2e"])),
            ("/..", None),
            ("/a/../b", None),
            ("/%2e%2E/b", None),
            ("/.%2e", None),
            ("/.", None),
            ("/.git/config", None),
            ("/%2egit", None),
            ("/a%2fb", None),
            ("/..%2f..%2fetc", None),
            ("/a\\b", None),
            ("/..%5cb", None),
            ("/a%00.txt", None),
            ("/a%", None),
            ("/a%2", None),
            ("/a%zz", None),
            ("/a%+1", None),
        ];
        for (path, expected) in table {
            let expected = expected.map(|names| names.iter().map(|name| OsStr::new(name).into()).collect::<Vec<_>>());
            assert_eq!(names(path).collect::<Option<Vec<_>>>(), expected, "{path}");
        }
    }

    proptest! {
        #[test]
        fn no_path_leads_out(path in "(/|\\.|%2e|%2f|%5c|%00|\\\\|a|%|\\PC){0,20}") {
            let names: Vec<_> = names(&path).collect::<Option<_>>().unwrap_or_default();
            let joined = Path::new("/root").join(names.iter().collect::<PathBuf>());
            prop_assert!(joined.components().all(|part| part != std::path::Component::ParentDir));
            prop_assert!(joined.starts_with("/root"));
        }
    }
}
