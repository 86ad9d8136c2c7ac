//! Opening a file below a directory, wherever symbolic links lead.
//!
//! Invariant: what is opened lay below the root when it was opened. Links are followed by looking where they lead, and what
//! they lead to is opened by a path in which there may be none: whoever puts one there in between is refused.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;

/// Opening a pipe or a device would wait or do something, were it not for the flags; they are no files.
pub(super) const READ: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

/// Opens what lies under a path that is the root with plain names behind it; answers the path without links as well.
pub(super) fn open(root: &Path, path: PathBuf) -> io::Result<(File, PathBuf)> {
    match open_plain(&path) {
        Ok(file) => Ok((file.into(), path)),
        // A link, in the root's own path perhaps; a walk takes one for something that is no directory.
        Err(Errno::LOOP | Errno::NOTDIR) => follow(root, &path).ok_or_else(|| io::ErrorKind::NotFound.into()),
        Err(error) => Err(error.into()),
    }
}

#[cold]
fn follow(root: &Path, path: &Path) -> Option<(File, PathBuf)> {
    let (root, path) = (root.canonicalize().ok()?, path.canonicalize().ok()?);
    let file = open_plain(&path).ok().filter(|_| path.starts_with(root))?;
    Some((file.into(), path))
}

/// Opens a path in which nothing is a link.
fn open_plain(path: &Path) -> Result<OwnedFd, Errno> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{ResolveFlags, openat2};
        match openat2(CWD, path, READ, Mode::empty(), ResolveFlags::NO_SYMLINKS) {
            // A system that does not know it, or a sandbox that knows no better.
            Err(Errno::NOSYS | Errno::PERM) => {}
            result => return result,
        }
    }
    walk(path)
}

/// The same, name by name.
fn walk(path: &Path) -> Result<OwnedFd, Errno> {
    #[cfg(target_os = "linux")]
    const STEP: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
    #[cfg(not(target_os = "linux"))]
    const STEP: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
    let mut names = path.components().peekable();
    let mut reached: Option<OwnedFd> = None;
    while let Some(name) = names.next() {
        let flags = if names.peek().is_some() { STEP } else { READ } | OFlags::NOFOLLOW;
        let next = match &reached {
            Some(directory) => openat(directory, name.as_os_str(), flags, Mode::empty()),
            None => openat(CWD, name.as_os_str(), flags, Mode::empty()),
        };
        reached = Some(next?);
    }
    reached.ok_or(Errno::NOENT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::Read;
    use std::os::unix::fs::symlink;

    fn text(file: impl Into<File>) -> String {
        let mut text = String::new();
        file.into().read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn links_are_followed_below_the_root_and_nowhere_else() {
        let outer = tempfile::tempdir().unwrap();
        let root = outer.path().join("root");
        fs::create_dir_all(root.join("sub")).unwrap();
        for path in ["secret", "root/sub/file"] {
            fs::write(outer.path().join(path), "text").unwrap();
        }
        for (link, to) in [("in", "sub/file"), ("directory", "sub"), ("out", "../secret"), ("up", "..")] {
            symlink(to, root.join(link)).unwrap();
        }
        symlink(root.join("sub/file"), root.join("absolute")).unwrap();
        symlink(&root, outer.path().join("current")).unwrap();
        for root in [root, outer.path().join("current")] {
            for (path, expected) in [
                ("sub/file", None),
                ("in", None),
                ("absolute", None),
                ("directory/file", None),
                ("missing", Some(io::ErrorKind::NotFound)),
                ("out", Some(io::ErrorKind::NotFound)),
                ("up/secret", Some(io::ErrorKind::NotFound)),
                ("sub/file/below", Some(io::ErrorKind::NotFound)),
            ] {
                let opened = open(&root, root.join(path)).map(|(file, _)| text(file));
                assert_eq!(opened.as_deref().map_err(io::Error::kind), expected.map_or(Ok("text"), Err), "{path}");
            }
        }
    }

    #[test]
    fn a_walk_comes_to_the_same_and_over_no_link() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        fs::create_dir(root.join("sub")).unwrap();
        fs::write(root.join("sub/file"), "text").unwrap();
        symlink("sub", root.join("directory")).unwrap();
        symlink("sub/file", root.join("file")).unwrap();
        assert_eq!(text(walk(&root.join("sub/file")).unwrap()), "text");
        assert_eq!(text(open_plain(&root.join("sub/file")).unwrap()), "text");
        for (path, errors) in [
            ("file", [Errno::LOOP, Errno::LOOP]),
            ("directory/file", [Errno::NOTDIR, Errno::LOOP]),
            ("sub/missing", [Errno::NOENT; 2]),
            ("sub/file/below", [Errno::NOTDIR; 2]),
        ] {
            let path = root.join(path);
            assert_eq!([walk(&path).unwrap_err(), open_plain(&path).unwrap_err()], errors, "{}", path.display());
        }
        assert!(walk(Path::new("")).is_err());
    }
}
