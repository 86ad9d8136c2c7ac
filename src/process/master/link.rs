//! The master's end of what ties a worker process to it: its control socket, and its lifeline, which tells the process
//! when the master is gone, and the master what the process is stuck in.

use std::io::{self, ErrorKind, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use crate::callback::cut;
use crate::process::channel::Channel;

/// Bytes of a line on the lifeline at most.
const LONGEST: usize = 4096;
/// Lines that are taken at a time. The rest is taken with the next one.
const MOST: usize = 64;

#[derive(Debug)]
pub(super) struct Link {
    pub(super) channel: Channel,
    /// Once the process has its order.
    pub(super) lifeline: Option<Lifeline>,
    /// What it has last told of itself: a callback that failed, or has been running for too long.
    pub(super) last: Option<String>,
    /// Nothing comes on its control socket any more.
    pub(super) is_silent: bool,
}

impl Link {
    pub(super) fn new(channel: Channel) -> Self {
        Self { channel, lifeline: None, last: None, is_silent: false }
    }

    /// Keeps what the process tells of itself, however much that is.
    pub(super) fn keep(&mut self, text: &str) {
        self.last = Some(printable(cut(text, LONGEST)));
    }

    /// Whether the process has been told what it is to do.
    pub(super) fn has_order(&self) -> bool {
        self.lifeline.is_some()
    }
}

/// Lines of text, one way.
#[derive(Debug)]
pub(super) struct Lifeline {
    stream: mio::net::UnixStream,
    text: Vec<u8>,
}

impl Lifeline {
    pub(super) fn new(stream: UnixStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self { stream: mio::net::UnixStream::from_std(stream), text: Vec::new() })
    }

    pub(super) fn stream(&mut self) -> &mut mio::net::UnixStream {
        &mut self.stream
    }

    /// The lines that have come. Of one that is too long the beginning is kept.
    pub(super) fn lines(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut buffer = [0; 1024];
        while lines.len() < MOST {
            match self.stream.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => self.take(buffer.get(..count).unwrap_or_default(), &mut lines),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        lines
    }

    fn take(&mut self, bytes: &[u8], lines: &mut Vec<String>) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let room = LONGEST.saturating_sub(self.text.len());
            let is_whole = part.ends_with(b"\n");
            self.text.extend(part.iter().filter(|byte| **byte != b'\n').take(room));
            if is_whole {
                lines.push(printable(&String::from_utf8_lossy(&std::mem::take(&mut self.text))));
            }
        }
    }
}

/// What a process says is the text of one line in the log: no further ones, and nothing that moves a terminal's cursor.
pub(super) fn printable(text: &str) -> String {
    text.replace(char::is_control, " ")
}

impl AsFd for Lifeline {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn lines_are_cut_where_they_end_and_bounded() {
        let (ours, mut theirs) = UnixStream::pair().expect("two ends");
        let mut lifeline = Lifeline::new(ours).expect("a lifeline");
        theirs.write_all(b"one\ntw").expect("it is sent");
        assert_eq!(lifeline.lines(), ["one"]);
        theirs.write_all(b"o\n\n").expect("it is sent");
        assert_eq!(lifeline.lines(), ["two", ""]);
        theirs.write_all(&vec![b'x'; 3 * LONGEST]).expect("it is sent");
        theirs.write_all(b"\nend\n").expect("it is sent");
        assert_eq!(lifeline.lines(), ["x".repeat(LONGEST), "end".into()]);
    }
}
