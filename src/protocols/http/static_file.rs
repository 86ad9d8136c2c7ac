//! Files below a directory, by the path of a request that may say anything.
//!
//! Invariant: nothing is sent that is not below the root, whatever the path says and wherever symbolic links lead. Decoding
//! happens once, before the path is taken apart, and each part of it must be a plain name. Whoever may write below the root
//! is trusted: links could be changed between the look at a path and its opening.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use super::conditional::Conditions;
use super::file::{NOT_FOUND, Wanted, content_type};
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
        let found = root.as_ref().canonicalize().ok().and_then(|root| find(&root, path));
        match found {
            None => Self::new(404, &[], NOT_FOUND),
            Some(Found::Directory) => redirect(request),
            Some(Found::File { root, path }) => file_or_neighbour(request, &root, &path),
        }
    }
}

/// What a path leads to. Paths here have no symbolic links in them any more.
enum Found {
    File { root: PathBuf, path: PathBuf },
    Directory,
}

fn find(root: &Path, path: &str) -> Option<Found> {
    let mut wanted = root.to_owned();
    wanted.extend(names(path)?);
    let mut path_found = inside(root, &wanted)?;
    if path_found.is_dir() {
        if !(path.is_empty() || path.ends_with('/')) {
            return Some(Found::Directory);
        }
        path_found = inside(root, &path_found.join("index.html"))?;
    } else if path.ends_with('/') {
        return None;
    }
    path_found.is_file().then(|| Found::File { root: root.to_owned(), path: path_found })
}

/// Where a path leads, if that is below the root.
fn inside(root: &Path, path: &Path) -> Option<PathBuf> {
    path.canonicalize().ok().filter(|path| path.starts_with(root))
}

/// The names that a path is made of, decoded; `None` when one of them is none.
fn names(path: &str) -> Option<Vec<OsString>> {
    let names = path.split('/').filter(|name| !name.is_empty());
    names.map(|name| decode(name).filter(|name| is_plain(name)).map(OsString::from_vec)).collect()
}

fn is_plain(name: &[u8]) -> bool {
    let is_hidden = name.starts_with(b".") && name != b".well-known";
    !is_hidden && !name.is_empty() && !name.iter().any(|byte| matches!(byte, b'/' | b'\\' | 0))
}

/// Undoes `%xx`, once. Half an escape is a mistake, or meant to be read differently by somebody else.
fn decode(text: &str) -> Option<Vec<u8>> {
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
    Some(decoded)
}

/// To the same place with a slash behind it, without which relative links would lead beside it.
fn redirect(request: &Request) -> Response {
    // Two slashes in front would be another host's name.
    let path = request.path().trim_start_matches('/');
    let question = if request.query_string().is_empty() { "" } else { "?" };
    let location = format!("/{path}/{question}{}", request.query_string());
    Response::new(301, &[("Location", &location)], "")
}

fn file_or_neighbour(request: &Request, root: &Path, path: &Path) -> Response {
    let wanted = Wanted::Asked(Conditions::of(request));
    let (kind, is_known) = content_type(path);
    let accepted = request.header("accept-encoding").unwrap_or_default();
    let neighbours = CODINGS.iter().filter(|_| is_known).filter_map(|(coding, extension)| {
        let neighbour = inside(root, &with_extension_added(path, extension))?;
        is_as_new(&neighbour, path).then_some((*coding, neighbour))
    });
    let neighbours: Vec<_> = neighbours.collect();
    let response = match neighbours.is_empty() {
        true => Response::default(),
        false => Response::new(200, &[("Vary", "Accept-Encoding")], ""),
    };
    match neighbours.iter().find(|(coding, _)| accepts(accepted, coding)) {
        Some((coding, neighbour)) => {
            let lines = [("Content-Type", kind.as_str()), ("Content-Encoding", coding)];
            response.with_wanted(neighbour, wanted).with_headers(&lines)
        }
        None => response.with_wanted(path, wanted),
    }
}

fn with_extension_added(path: &Path, extension: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(OsStr::new("."));
    name.push(extension);
    name.into()
}

fn is_as_new(neighbour: &Path, path: &Path) -> bool {
    let modified = |path: &Path| path.metadata().ok().filter(|found| found.is_file())?.modified().ok();
    modified(neighbour).zip(modified(path)).is_some_and(|(neighbour, original)| neighbour >= original)
}

/// Whether an `Accept-Encoding` header allows a coding: RFC 9110 §12.5.3.
fn accepts(header: &str, coding: &str) -> bool {
    let mut any = false;
    for item in header.split(',') {
        let (name, parameters) = item.split_once(';').unwrap_or((item, ""));
        let weight = parameters.split(';').find_map(|parameter| {
            let (name, value) = parameter.split_once('=')?;
            name.trim().eq_ignore_ascii_case("q").then(|| value.trim())
        });
        // A weight of nothing but zeros forbids it.
        let allowed = !weight.is_some_and(|weight| weight.bytes().all(|byte| matches!(byte, b'0' | b'.')));
        match name.trim() {
            name if name.eq_ignore_ascii_case(coding) => return allowed,
            "*" => any = allowed,
            _ => {}
        }
    }
    any
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
            let expected = expected.map(|names| names.iter().map(OsString::from).collect::<Vec<_>>());
            assert_eq!(names(path), expected, "{path}");
        }
    }

    #[test]
    fn a_coding_is_used_if_it_is_accepted() {
        for (header, expected) in [
            ("", false),
            ("gzip", true),
            ("deflate, GZIP;q=0.5", true),
            ("*", true),
            ("gzip;q=0", false),
            ("gzip; q=0.000, *", false),
            ("*;q=0, gzip", true),
            ("*;q=0", false),
            ("identity", false),
            ("x-gzip", false),
        ] {
            assert_eq!(accepts(header, "gzip"), expected, "{header}");
        }
    }

    proptest! {
        #[test]
        fn no_path_leads_out(path in "(/|\\.|%2e|%2f|%5c|%00|\\\\|a|%|\\PC){0,20}") {
            let names = names(&path).unwrap_or_default();
            let joined = Path::new("/root").join(names.iter().collect::<PathBuf>());
            prop_assert!(joined.components().all(|part| part != std::path::Component::ParentDir));
            prop_assert!(joined.starts_with("/root"));
            accepts(&path, "gzip");
        }
    }
}
