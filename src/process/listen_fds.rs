//! Sockets that the manager has opened for the app: systemd's `LISTEN_FDS`.
//!
//! They begin at 3, and are meant for the process that `LISTEN_PID` names alone. The variables are read here, because the
//! crate that takes the descriptors is content without `LISTEN_PID`, knows no names, and believes any number.

use std::os::fd::{AsFd, OwnedFd};

use listenfd::ListenFd as Taker;
use socket2::SockRef;

use crate::worker::{Local, Which};

/// The first that is handed over.
const FIRST: i32 = 3;
/// A number beyond this is no number of sockets.
const MOST: i32 = 4096;
/// What systemd calls a socket that has no name.
const UNNAMED: &str = "unknown";

/// A descriptor that was handed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenFd {
    /// Its number.
    pub fd: i32,
    /// Its `FileDescriptorName=`, `unknown` for none.
    pub name: String,
}

/// The descriptors for the process of this number, as these variables of the environment tell. None at all, if they are
/// another process's or cannot be understood.
pub fn listen_fds(pid: u32, variable: impl Fn(&str) -> Option<String>) -> Vec<ListenFd> {
    let for_us = variable("LISTEN_PID").and_then(|text| text.parse().ok()) == Some(pid);
    let count: i32 = variable("LISTEN_FDS").and_then(|text| text.parse().ok()).unwrap_or(0);
    if !for_us || !(1..=MOST).contains(&count) {
        return Vec::new();
    }
    let names = variable("LISTEN_FDNAMES").unwrap_or_default();
    let names = names.split(':').map(|name| if name.is_empty() { UNNAMED } else { name });
    let names = names.chain(std::iter::repeat(UNNAMED));
    (FIRST..FIRST + count).zip(names).map(|(fd, name)| ListenFd { fd, name: name.to_owned() }).collect()
}

/// A socket that was handed over.
#[derive(Debug)]
pub struct Inherited {
    /// Its `FileDescriptorName=`, `unknown` for none.
    pub name: String,
    /// The socket; it does not block, and programs that this one starts do not get it.
    pub socket: OwnedFd,
}

/// Takes the sockets out of the environment. Once: there are none afterwards, and programs that this one starts find none.
/// What is no socket of a worker is logged by name and left as it is.
pub fn inherited_sockets() -> Vec<Inherited> {
    let given = listen_fds(std::process::id(), |name| std::env::var(name).ok());
    if given.is_empty() {
        return Vec::new();
    }
    let mut taker = Taker::from_env();
    let take = |(index, given): (usize, ListenFd)| {
        let socket = take(&mut taker, index);
        if socket.is_none() {
            log::warn!("descriptor {} of LISTEN_FDS, \"{}\", is no socket that workers have", given.fd, given.name);
        }
        Some(Inherited { name: given.name, socket: socket? })
    };
    given.into_iter().enumerate().filter_map(take).collect()
}

/// Takes out those that are where this worker is to listen.
pub fn claim(sockets: &mut Vec<Inherited>, which: Which) -> Vec<OwnedFd> {
    let fits = |inherited: &mut Inherited| {
        let local = Local::of(inherited.socket.as_fd());
        local.is_ok_and(|local| local.is_some_and(|local| which.is_at(&local)))
    };
    sockets.extract_if(.., fits).map(|inherited| inherited.socket).collect()
}

/// Closes those that no worker has claimed: who connects there is refused and does not wait for ever.
pub fn close_unclaimed(sockets: Vec<Inherited>) {
    for Inherited { name, socket } in sockets {
        let local = Local::of(socket.as_fd()).ok().flatten();
        let local = local.map_or_else(|| "somewhere".to_owned(), |local| format!("{local:?}"));
        log::warn!("socket \"{name}\" of LISTEN_FDS is closed: it is at {local}, and no worker is to listen there");
    }
}

/// The crate tells what a descriptor is not, and leaves it then. A manager's sockets block, unless it was told otherwise.
fn take(taker: &mut Taker, index: usize) -> Option<OwnedFd> {
    let tcp = taker.take_tcp_listener(index).ok().flatten().map(OwnedFd::from);
    let unix = || taker.take_unix_listener(index).ok().flatten().map(OwnedFd::from);
    let stream = tcp.or_else(unix);
    let socket = stream.or_else(|| taker.take_udp_socket(index).ok().flatten().map(OwnedFd::from))?;
    SockRef::from(&socket).set_nonblocking(true).ok()?;
    Some(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(pid: &str, count: &str, names: Option<&str>) -> Vec<(i32, String)> {
        let variable = |name: &str| match name {
            "LISTEN_PID" => Some(pid.to_owned()),
            "LISTEN_FDS" => Some(count.to_owned()),
            _ => names.map(str::to_owned),
        };
        listen_fds(4711, variable).into_iter().map(|ListenFd { fd, name }| (fd, name)).collect()
    }

    #[test]
    fn sockets_have_their_numbers_and_names() {
        let unknown = || "unknown".to_owned();
        assert_eq!(given("4711", "2", Some("web:chat")), [(3, "web".into()), (4, "chat".into())]);
        assert_eq!(given("4711", "2", Some("web")), [(3, "web".into()), (4, unknown())]);
        assert_eq!(given("4711", "1", Some("web:chat")), [(3, "web".into())]);
        assert_eq!(given("4711", "2", Some(":chat")), [(3, unknown()), (4, "chat".into())]);
        assert_eq!(given("4711", "2", None), [(3, unknown()), (4, unknown())]);
    }

    #[test]
    fn what_is_another_processs_or_nonsense_is_none() {
        for (pid, count) in
            [("4712", "1"), ("", "1"), ("4711", "0"), ("4711", "-1"), ("4711", "x"), ("4711", "2147483647")]
        {
            assert_eq!(given(pid, count, None), [], "{pid} {count}");
        }
        assert_eq!(listen_fds(4711, |_| None), []);
    }
}
