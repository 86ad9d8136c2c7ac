//! Messages between two processes of an app, over a Unix socket: each behind its length, some with descriptors.
//!
//! Descriptors travel only while both sides wait for each other ([`give`], [`take`]); from then on a [`Channel`] never
//! waits. A message of the other side is no longer than [`LONGEST`].

use std::io::{self, ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::io::retry_on_intr;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};

use super::wire::{self, Wire};

/// Bytes of a message at most: the table of a few hundred thousand connections.
pub(crate) const LONGEST: usize = 64 << 20;
/// Messages that come at once at most: who says more is not waiting for what it is told.
const MOST: usize = 1024;
/// Descriptors in one packet; the system takes 253.
const PACKET: usize = 64;
/// Bytes before a message.
const HEAD: usize = 8;

/// One end of a socket that never waits.
#[derive(Debug)]
pub(crate) struct Channel {
    stream: mio::net::UnixStream,
    incoming: Vec<u8>,
    outgoing: Vec<u8>,
}

/// What has come.
#[derive(Debug)]
pub(crate) struct Received<T> {
    /// Whole messages.
    pub(crate) messages: Vec<T>,
    /// Why nothing comes any more: the other side is gone, or talks nonsense.
    pub(crate) end: Option<io::Error>,
}

impl Channel {
    /// From a socket that may have waited so far.
    ///
    /// # Errors
    ///
    /// When the socket cannot be told not to wait.
    pub(crate) fn new(socket: UnixStream) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        Ok(Self { stream: mio::net::UnixStream::from_std(socket), incoming: Vec::new(), outgoing: Vec::new() })
    }

    /// What has come in part, and what waits for room: for whoever goes on with the socket.
    pub(crate) fn unfinished(&self) -> (Vec<u8>, Vec<u8>) {
        (self.incoming.clone(), self.outgoing.clone())
    }

    /// Goes on where another has stopped.
    ///
    /// # Errors
    ///
    /// Those of [`new`](Self::new).
    pub(crate) fn resume(socket: UnixStream, (incoming, outgoing): (Vec<u8>, Vec<u8>)) -> io::Result<Self> {
        Ok(Self { incoming, outgoing, ..Self::new(socket)? })
    }

    /// What is registered with the loop, for both directions.
    pub(crate) fn source(&mut self) -> &mut mio::net::UnixStream {
        &mut self.stream
    }

    /// Sends a message; what finds no room leaves with [`flush`](Self::flush).
    ///
    /// # Errors
    ///
    /// When the other side is gone.
    pub(crate) fn send(&mut self, message: &impl Wire) -> io::Result<()> {
        self.outgoing.extend(framed(message));
        self.flush()
    }

    /// Sends what waits for room.
    ///
    /// # Errors
    ///
    /// When the other side is gone.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        while !self.outgoing.is_empty() {
            match self.stream.write(&self.outgoing) {
                Ok(count) => drop(self.outgoing.drain(..count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.outgoing = Vec::new();
        Ok(())
    }

    /// Whether all that was sent has left.
    #[cfg(test)]
    fn is_flushed(&self) -> bool {
        self.outgoing.is_empty()
    }

    /// Takes all that has come. Who goes on while it is taken, beyond what anybody has to say, talks nonsense.
    pub(crate) fn receive<T: Wire>(&mut self) -> Received<T> {
        let mut messages = Vec::new();
        let mut buffer = [0; 16 * 1024];
        let mut taken = 0;
        let end = loop {
            if taken > 2 * LONGEST || messages.len() > MOST {
                break Some(nonsense());
            }
            match self.stream.read(&mut buffer) {
                Ok(0) => break Some(ErrorKind::UnexpectedEof.into()),
                Ok(count) => {
                    taken += count;
                    self.incoming.extend_from_slice(buffer.get(..count).unwrap_or_default());
                    if let Err(error) = self.take_whole(&mut messages) {
                        break Some(error);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break None,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => break Some(error),
            }
        };
        if self.incoming.is_empty() {
            self.incoming = Vec::new();
        }
        Received { messages, end }
    }

    fn take_whole<T: Wire>(&mut self, messages: &mut Vec<T>) -> io::Result<()> {
        while let Some((head, rest)) = self.incoming.split_first_chunk::<HEAD>() {
            let length = length(*head)?;
            let Some(body) = rest.get(..length) else { return Ok(()) };
            messages.push(wire::decode(body).ok_or_else(nonsense)?);
            self.incoming.drain(..HEAD + length);
        }
        Ok(())
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

impl From<Channel> for OwnedFd {
    fn from(channel: Channel) -> Self {
        channel.stream.into()
    }
}

/// Sends a message and descriptors, which the other side has to [`take`].
///
/// # Errors
///
/// When the other side is gone, or does not take.
pub(crate) fn give(socket: impl AsFd, message: &impl Wire, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    let socket = socket.as_fd();
    let frame = framed(message);
    let mut rest = &*frame;
    while !rest.is_empty() {
        let sent = retry_on_intr(|| rustix::net::send(socket, rest, SendFlags::NOSIGNAL))?;
        rest = rest.split_at(sent).1;
    }
    for packet in descriptors.chunks(PACKET) {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(PACKET))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        control.push(SendAncillaryMessage::ScmRights(packet));
        retry_on_intr(|| sendmsg(socket, &[IoSlice::new(&[0])], &mut control, SendFlags::NOSIGNAL))?;
    }
    Ok(())
}

/// Waits for a message that [`give`] has sent, and for so many descriptors as it tells.
///
/// # Errors
///
/// When the other side is gone, talks nonsense, or nothing comes in the time that the socket has.
pub(crate) fn take<T: Wire>(mut socket: &UnixStream, count: impl FnOnce(&T) -> usize) -> io::Result<(T, Vec<OwnedFd>)> {
    let mut head = [0; HEAD];
    socket.read_exact(&mut head)?;
    let mut body = vec![0; length(head)?];
    socket.read_exact(&mut body)?;
    let message = wire::decode(&body).ok_or_else(nonsense)?;
    let wanted = count(&message);
    let mut descriptors = Vec::new();
    while descriptors.len() < wanted {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(PACKET))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut byte = [0];
        let received = retry_on_intr(|| {
            recvmsg(socket, &mut [IoSliceMut::new(&mut byte)], &mut control, RecvFlags::CMSG_CLOEXEC)
        })?;
        if received.bytes == 0 || received.flags.contains(ReturnFlags::CTRUNC) {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        for part in control.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = part {
                descriptors.extend(rights);
            }
        }
    }
    Ok((message, descriptors))
}

fn framed(message: &impl Wire) -> Vec<u8> {
    let mut frame = vec![0; HEAD];
    message.write(&mut frame);
    let length = (frame.len() - HEAD) as u64;
    if let Some(head) = frame.first_chunk_mut::<HEAD>() {
        *head = length.to_le_bytes();
    }
    frame
}

fn length(head: [u8; HEAD]) -> io::Result<usize> {
    usize::try_from(u64::from_le_bytes(head)).ok().filter(|length| *length <= LONGEST).ok_or_else(nonsense)
}

fn nonsense() -> io::Error {
    io::Error::new(ErrorKind::InvalidData, "a message that cannot be understood")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn pair() -> (UnixStream, UnixStream) {
        let (one, other) = UnixStream::pair().expect("two ends");
        one.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
        (one, other)
    }

    #[test]
    fn descriptors_arrive_with_their_message_however_many() {
        let (one, other) = pair();
        let file = tempfile::tempfile().expect("a file");
        let message = vec!["sockets".to_owned()];
        give(&other, &message, &[file.as_fd(); 150]).expect("it is sent");
        give(&other, &7_u64, &[]).expect("it is sent");
        let (taken, descriptors) = take::<Vec<String>>(&one, |_| 150).expect("it has come");
        assert_eq!((taken, descriptors.len()), (message, 150));
        let is_same = |found: &OwnedFd| rustix::fs::fstat(found).map(|it| it.st_ino);
        assert!(descriptors.iter().all(|found| is_same(found) == rustix::fs::fstat(&file).map(|it| it.st_ino)));
        assert_eq!(take::<u64>(&one, |_| 0).expect("it has come").0, 7);
    }

    #[test]
    fn who_is_gone_or_silent_is_an_error() {
        let (one, other) = pair();
        one.set_read_timeout(Some(Duration::from_millis(1))).expect("a timeout");
        assert_eq!(take::<u64>(&one, |_| 0).map(drop).map_err(|error| error.kind()), Err(ErrorKind::WouldBlock));
        give(&other, &7_u64, &[]).expect("it is sent");
        drop(other);
        assert!(take::<u64>(&one, |_| 1).is_err(), "the descriptor never comes");
        assert!(give(&one, &7_u64, &[]).is_err());
    }

    #[test]
    fn messages_come_whole_however_they_are_cut() {
        let (one, mut other) = pair();
        let mut channel = Channel::new(one).expect("a channel");
        let bytes = [framed(&"first".to_owned()), framed(&String::new())].concat();
        let mut messages = Vec::new();
        for byte in bytes {
            other.write_all(&[byte]).expect("it is sent");
            let received = channel.receive::<String>();
            assert!(received.end.is_none());
            messages.extend(received.messages);
        }
        assert_eq!(messages, ["first", ""]);
        drop(other);
        assert!(channel.receive::<String>().end.is_some());
    }

    #[test]
    fn a_message_that_is_too_long_or_nonsense_ends_the_channel() {
        for bytes in [(LONGEST as u64 + 1).to_le_bytes().to_vec(), framed(&7_u64)] {
            let (one, mut other) = pair();
            let mut channel = Channel::new(one).expect("a channel");
            other.write_all(&bytes).expect("it is sent");
            assert!(channel.receive::<String>().end.is_some());
        }
    }

    #[test]
    fn who_talks_without_end_is_not_listened_to_for_ever() {
        let (one, mut other) = pair();
        let mut channel = Channel::new(one).expect("a channel");
        let talks = std::thread::spawn(move || {
            let words: Vec<u8> = std::iter::repeat_n(framed(&true), 100).flatten().collect();
            while other.write_all(&words).is_ok() {}
        });
        let mut ended = false;
        while !ended {
            let received = channel.receive::<bool>();
            assert!(received.messages.len() < 2 * MOST + 16 * 1024);
            ended = received.end.is_some();
        }
        drop(channel);
        talks.join().expect("it ends");
    }

    #[test]
    fn what_finds_no_room_waits_for_it() {
        let (one, other) = pair();
        let (mut sender, mut receiver) = (Channel::new(one).expect("a channel"), Channel::new(other).expect("another"));
        let long = "x".repeat(4 << 20);
        sender.send(&long).expect("the other side is there");
        assert!(!sender.is_flushed());
        let mut messages: Vec<String> = Vec::new();
        while messages.is_empty() {
            sender.flush().expect("the other side is there");
            messages = receiver.receive().messages;
        }
        assert!(sender.is_flushed() && messages == [long]);
    }
}
