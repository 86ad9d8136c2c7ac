//! What the tests of promises share: a log, a watch over nesting, values with a destructor, requests.

#![allow(dead_code)] // each file takes what it needs

use std::cell::Cell;
use std::fmt::Display;
use std::rc::Rc;

/// Lines that callbacks write and a test reads.
#[derive(Clone, Default)]
pub(crate) struct Log(Rc<Cell<Vec<String>>>);

impl Log {
    pub(crate) fn add(&self, line: impl Display) {
        let mut lines = self.0.take();
        lines.push(line.to_string());
        self.0.set(lines);
    }

    /// Everything since the last call.
    pub(crate) fn take(&self) -> Vec<String> {
        self.0.take()
    }

    pub(crate) fn len(&self) -> usize {
        let lines = self.0.take();
        let count = lines.len();
        self.0.set(lines);
        count
    }

    pub(crate) fn count(&self, line: &str) -> usize {
        let lines = self.0.take();
        let count = lines.iter().filter(|known| *known == line).count();
        self.0.set(lines);
        count
    }
}

/// Panics when a callback runs inside another.
#[derive(Clone, Default)]
pub(crate) struct Depth(Rc<Cell<bool>>);

impl Depth {
    pub(crate) fn enter(&self) -> Inside {
        assert!(!self.0.replace(true), "a callback runs inside another");
        Inside(self.clone())
    }
}

pub(crate) struct Inside(Depth);

impl Drop for Inside {
    fn drop(&mut self) {
        self.0.0.set(false);
    }
}

/// Does something when it is dropped.
pub(crate) struct OnDrop<F: FnMut()>(pub(crate) F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// Moved into a closure, it makes the closure own the value.
pub(crate) fn keep<T>(_value: &T) {}

/// A request without a body.
pub(crate) fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n")
}

/// The body of each answer in turn, each with its status; panics at what is no complete answer.
pub(crate) fn answers(wire: &str) -> Vec<(u16, String)> {
    let mut rest = wire;
    let mut found = Vec::new();
    while !rest.is_empty() {
        let (head, body) = rest.split_once("\r\n\r\n").expect("an answer's head is complete");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).expect("a length");
        let (body, after) = body.split_at_checked(length.parse().expect("a number")).expect("a complete body");
        found.push((status, body.to_owned()));
        rest = after;
    }
    found
}

/// What a test expects never to happen. It returns `()` and not `!`, which callbacks cannot return.
#[track_caller]
pub(crate) fn never() {
    panic!("what never happens has happened");
}

/// What a test lets fail.
pub(crate) fn boom() {
    panic!("boom");
}
