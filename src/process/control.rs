//! The control socket of an app that runs: where its other commands ask it.
//!
//! It lies beside the pid file and is its user's alone (0600, from before anybody can connect). Whoever holds the pid file
//! makes it and removes it, so nobody else's is ever replaced. There are few peers at a time, and what they say is short.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mio::net::UnixListener;
use mio::{Interest, Registry, Token};
use slab::Slab;
use socket2::{Domain, SockAddr, Socket, Type};

use super::channel::{self, Channel};
use super::messages::{Answer, Question};
use super::screens::Status;

/// Commands that are answered at the same time; who comes on top has to try again.
const PEERS: usize = 16;
/// So long a command waits for its answer: a reload takes the longest.
const PATIENCE: Duration = Duration::from_secs(20);

/// The socket and those who ask.
#[derive(Debug)]
pub(crate) struct Control {
    path: PathBuf,
    listener: UnixListener,
    peers: Slab<Peer>,
}

#[derive(Debug)]
struct Peer {
    channel: Channel,
    /// What it was shown last, to count from.
    before: Option<(u64, Status)>,
}

/// Where the control socket of this pid file lies.
pub(crate) fn path_beside(pid_file: &Path) -> PathBuf {
    pid_file.with_extension("sock")
}

impl Control {
    /// Makes the socket, in the place of one that a dead app has left.
    ///
    /// # Errors
    ///
    /// When the directory cannot be written to.
    pub(crate) fn bind(path: &Path) -> io::Result<Self> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        by_short_way(path, |address| socket.bind(address))?;
        fs::set_permissions(path, Permissions::from_mode(0o600))?;
        socket.listen(i32::try_from(PEERS).unwrap_or(1))?;
        Self::from_fd(path, socket.into())
    }

    /// From the descriptor of this program's former self.
    ///
    /// # Errors
    ///
    /// When the descriptor cannot be told not to wait.
    pub(crate) fn from_fd(path: &Path, listener: OwnedFd) -> io::Result<Self> {
        let listener = std::os::unix::net::UnixListener::from(listener);
        listener.set_nonblocking(true)?;
        let listener = UnixListener::from_std(listener);
        Ok(Self { path: path.to_owned(), listener, peers: Slab::new() })
    }

    /// Has events come: of the socket under one token, of each peer under its own.
    ///
    /// # Errors
    ///
    /// When the loop takes nobody in.
    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(&mut self.listener, token, Interest::READABLE)
    }

    /// Takes in who waits.
    pub(crate) fn accept(&mut self, registry: &Registry, token: impl Fn(usize) -> Token) {
        while let Ok((stream, _)) = self.listener.accept() {
            let stream = UnixStream::from(OwnedFd::from(stream));
            let Ok(mut channel) = Channel::new(stream) else { continue };
            if self.peers.len() >= PEERS {
                continue;
            }
            let entry = self.peers.vacant_entry();
            let interest = Interest::READABLE | Interest::WRITABLE;
            if registry.register(channel.source(), token(entry.key()), interest).is_ok() {
                entry.insert(Peer { channel, before: None });
            }
        }
    }

    /// What a peer asks; it may ask again and again. Who has gone is forgotten.
    pub(crate) fn questions(&mut self, peer: usize) -> Vec<Question> {
        let Some(Peer { channel, .. }) = self.peers.get_mut(peer) else { return Vec::new() };
        let received = channel.receive();
        if received.end.is_some() || channel.flush().is_err() {
            self.peers.remove(peer);
            return Vec::new();
        }
        received.messages
    }

    /// Whether a peer is there.
    pub(crate) fn has(&self, peer: usize) -> bool {
        self.peers.contains(peer)
    }

    /// Answers a peer.
    pub(crate) fn answer(&mut self, peer: usize, answer: &Answer) {
        if let Some(found) = self.peers.get_mut(peer)
            && found.channel.send(answer).is_err()
        {
            self.peers.remove(peer);
        }
    }

    /// Lets a peer go, who will be answered by others.
    pub(crate) fn take(&mut self, peer: usize) -> Option<Channel> {
        self.peers.try_remove(peer).map(|peer| peer.channel)
    }

    /// Notes what a peer is shown at this time, in nanoseconds, and counts by the second since it was shown something last.
    pub(crate) fn count_since(&mut self, peer: usize, now: u64, status: &mut Status) {
        let Some(peer) = self.peers.get_mut(peer) else { return };
        if let Some((then, before)) = &peer.before {
            status.set_qps(before, now.saturating_sub(*then).saturating_add(500_000_000) / 1_000_000_000);
        }
        peer.before = Some((now, status.clone()));
    }
}

impl AsFd for Control {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        // What cannot be removed is replaced at the next start.
        let _ = fs::remove_file(&self.path);
    }
}

/// One who asks an app that runs.
#[derive(Debug)]
pub(crate) struct Client(UnixStream);

impl Client {
    /// Connects.
    ///
    /// # Errors
    ///
    /// When nobody listens there, or it is another user's.
    pub(crate) fn connect(path: &Path) -> io::Result<Self> {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        by_short_way(path, |address| socket.connect(address))?;
        let stream = UnixStream::from(OwnedFd::from(socket));
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self(stream))
    }

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    ///
    /// When the app ends, or does not answer in time.
    pub(crate) fn ask(&self, question: Question) -> io::Result<Answer> {
        channel::give(&self.0, &question, &[])?;
        channel::take(&self.0, |_| 0).map(|(answer, _)| answer)
    }
}

/// Calls with the address of a path; where that is too long for the system, with a shorter one through its directory.
fn by_short_way(path: &Path, call: impl FnOnce(&SockAddr) -> io::Result<()>) -> io::Result<()> {
    if let Ok(address) = SockAddr::unix(path) {
        return call(&address);
    }
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let opened = File::open(directory)?;
    call(&SockAddr::unix(Path::new(&format!("/proc/self/fd/{}", opened.as_raw_fd())).join(name))?)
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn only_its_user_may_ask_and_however_long_the_path() {
        let directory = tempfile::tempdir().expect("a directory");
        let deep = directory.path().join("d".repeat(120));
        fs::create_dir(&deep).expect("a directory");
        for place in [directory.path(), &deep] {
            let path = path_beside(&place.join("workerman.app.pid"));
            fs::write(&path, "left behind").expect("a file");
            let mut control = Control::bind(&path).expect("a socket");
            assert_eq!(fs::metadata(&path).expect("it is there").permissions().mode() & 0o777, 0o600);
            let asks = path.clone();
            let client = thread::spawn(move || Client::connect(&asks).expect("it listens").ask(Question::Status));
            let mut poll = mio::Poll::new().expect("a poll");
            let mut events = mio::Events::with_capacity(8);
            control.register(poll.registry(), Token(0)).expect("it is registered");
            let mut asked = Vec::new();
            while asked.is_empty() {
                poll.poll(&mut events, Some(Duration::from_secs(10))).expect("events");
                control.accept(poll.registry(), |peer| Token(peer + 1));
                asked = control.questions(0);
            }
            assert_eq!(asked, [Question::Status]);
            let answer = Answer { is_good: true, text: "a screen".into() };
            control.answer(0, &answer);
            assert_eq!(client.join().expect("it ends").expect("an answer"), answer);
            drop(control);
            assert!(!path.exists());
        }
    }

    #[test]
    fn more_peers_than_there_is_room_for_are_sent_away() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("workerman.app.sock");
        let mut control = Control::bind(&path).expect("a socket");
        let poll = mio::Poll::new().expect("a poll");
        let mut clients = Vec::new();
        for _ in 0..PEERS + 3 {
            clients.push(Client::connect(&path).expect("it listens"));
            control.accept(poll.registry(), Token);
        }
        assert_eq!(control.peers.len(), PEERS);
        assert!(clients.last().expect("one").ask(Question::Status).is_err());
    }
}
