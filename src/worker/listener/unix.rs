//! Listeners on Unix sockets, and the file that names one.
//!
//! Invariants: a socket has its mode and owner and listens before it has its name, so nobody finds it half made; a name
//! is taken only where there is none, or a socket that nobody serves, and whoever is faster keeps it; what is removed
//! at the end is our own file.

use std::fs::{self, File, Metadata, Permissions};
use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, lchown};
use std::path::{Path, PathBuf, absolute};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use socket2::{Domain, SockAddr, Socket, Type};

use super::BACKLOG;
use super::account::{group, user};

/// So often the name is tried to be had before it is believed to be somebody's.
const ATTEMPTS: usize = 3;

/// Who may connect: the mode and the owner of the socket's file. What is not set is left to the system.
#[derive(Clone, Debug, Default)]
pub(in crate::worker) struct Access {
    pub(in crate::worker) mode: Option<u32>,
    /// A name or a number, or nothing.
    pub(in crate::worker) user: Box<str>,
    pub(in crate::worker) group: Box<str>,
}

/// The name of a socket that listens; removed when this is dropped, if it is still that socket's.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

/// Listens on a path, or on a name without a file, which begins with `@`.
pub(super) fn bind(path: &str, access: &Access) -> io::Result<(Socket, Option<SocketFile>)> {
    match path.strip_prefix('@') {
        Some(name) => Ok((bind_abstract(name, access)?, None)),
        None => bind_path(&absolute(path)?, access).map(|(socket, file)| (socket, Some(file))),
    }
}

impl SocketFile {
    /// That of a socket that this program has made before it became the present one; `None` if the name is no socket's
    /// any more.
    pub(super) fn found(path: &Path) -> Option<Self> {
        let found = fs::symlink_metadata(path).ok().filter(|found| found.file_type().is_socket())?;
        Some(Self { path: path.to_owned(), identity: identity(&found) })
    }
}

fn bind_path(path: &Path, access: &Access) -> io::Result<(Socket, SocketFile)> {
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::Error::new(ErrorKind::InvalidInput, "this is no path of a file"));
    };
    // A relative one was not measured with all that stands before it.
    SockAddr::unix(path).map_err(|error| explain(error, "its absolute path is too long for the system"))?;
    // All is prepared where nobody else gets in; it is removed with what is left in it.
    let workshop =
        tempfile::Builder::new().prefix(".").permissions(Permissions::from_mode(0o700)).tempdir_in(directory);
    let workshop = workshop.map_err(|error| explain(error, "no file can be made in its directory"))?;
    let made = workshop.path().join(name);
    let socket = bind_in(workshop.path(), &made)?;
    let (user, group) = (user(&access.user)?, group(&access.group)?);
    if user.is_some() || group.is_some() {
        lchown(&made, user, group).map_err(|error| explain(error, "the socket cannot be given to its owner"))?;
    }
    if let Some(mode) = access.mode {
        fs::set_permissions(&made, Permissions::from_mode(mode & 0o777))?;
    }
    socket.listen(BACKLOG)?;
    let identity = identity(&fs::symlink_metadata(&made)?);
    give_name(&made, path)?;
    Ok((socket, SocketFile { path: path.to_owned(), identity }))
}

/// A name that only Linux has, which ends with its socket.
fn bind_abstract(name: &str, access: &Access) -> io::Result<Socket> {
    if !cfg!(target_os = "linux") {
        return Err(io::Error::new(ErrorKind::Unsupported, "only Linux has sockets without a file"));
    }
    if access.mode.is_some() || !access.user.is_empty() || !access.group.is_empty() {
        let reason = "a socket without a file has neither mode nor owner: anybody may connect";
        return Err(io::Error::new(ErrorKind::InvalidInput, reason));
    }
    let socket = new_socket()?;
    socket.bind(&SockAddr::unix(format!("\0{name}"))?)?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}

fn new_socket() -> io::Result<Socket> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Makes the socket's file in a directory. Tools such as `ss` will show this name, so it is that of the worker if
/// there is room for it.
fn bind_in(directory: &Path, made: &Path) -> io::Result<Socket> {
    let socket = new_socket()?;
    if let Ok(address) = SockAddr::unix(made) {
        socket.bind(&address)?;
        return Ok(socket);
    }
    // The longest names have no room for the directory: there is a shorter way to it.
    let opened = File::open(directory)?;
    let short = format!("/proc/self/fd/{}/s", opened.as_raw_fd());
    socket.bind(&SockAddr::unix(short)?)?;
    fs::rename(directory.join("s"), made)?;
    Ok(socket)
}

/// Gives a socket that listens its name, unless that is another's.
fn give_name(made: &Path, path: &Path) -> io::Result<()> {
    for _ in 0..ATTEMPTS {
        match fs::hard_link(made, path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            result => return result,
        }
        if let Some(found) = find_unserved(path)?
            && replace(made, path, &found)?
        {
            return Ok(());
        }
    }
    Err(in_use())
}

/// The socket of this name, if nobody serves it; `None` if there is nothing now.
fn find_unserved(path: &Path) -> io::Result<Option<Metadata>> {
    let found = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        found => found?,
    };
    if !found.file_type().is_socket() {
        return Err(io::Error::new(ErrorKind::AlreadyExists, "there is a file of this name that is no socket"));
    }
    match new_socket()?.connect(&SockAddr::unix(path)?) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => Ok(Some(found)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            Err(explain(error, "there is a socket of this name, and whether it is served cannot be found out"))
        }
        // Its queue may be full, or it is one of another type.
        _ => Err(in_use()),
    }
}

/// Takes the place of the file that was found. If somebody was faster, theirs stays: the name is never without a file
/// that others could take for free.
fn replace(made: &Path, path: &Path, found: &Metadata) -> io::Result<bool> {
    match exchange(made, path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        result => result.map_err(|error| explain(error, "a socket that nobody serves cannot be replaced"))?,
    }
    let taken = fs::symlink_metadata(made)?;
    let replaced = identity(&taken) == identity(found) && taken.modified().ok() == found.modified().ok();
    if !replaced {
        exchange(made, path)?;
    }
    Ok(replaced)
}

fn exchange(one: &Path, other: &Path) -> io::Result<()> {
    Ok(renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE)?)
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if fs::symlink_metadata(&self.path).is_ok_and(|found| identity(&found) == self.identity) {
            // What cannot be removed is replaced at the next start.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// What tells a file from all others that are there at the same time.
fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

fn in_use() -> io::Error {
    io::Error::new(ErrorKind::AddrInUse, "somebody listens on this socket already")
}

fn explain(error: io::Error, what: &str) -> io::Error {
    io::Error::new(error.kind(), format!("{what}: {error}"))
}
