//! A protocol that does what a test says, and what the tests look at: its steps, log lines, when its state begins and ends,
//! and how connections do.

#![allow(dead_code)] // each test file uses some of it

use std::cell::RefCell;
use std::fmt;

use log::{LevelFilter, Metadata, Record};
use workerman::testing::{Peer, Simulation};
use workerman::{Codec, Encode, Encoded, Output, PROTOCOL_FAIL, Protocol, Result, Status, Worker};

use crate::support::Log;

/// What one of its methods is given.
pub(crate) enum Step<'a> {
    Input(&'a [u8]),
    Decode(&'a [u8]),
    Encode(&'a [u8]),
}

impl Step<'_> {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Input(_) => "input",
            Self::Decode(_) => "decode",
            Self::Encode(_) => "encode",
        }
    }
}

type Play = dyn FnMut(Step<'_>) -> Result<Option<usize>>;

thread_local! {
    static SCRIPT: RefCell<Option<Box<Play>>> = const { RefCell::new(None) };
    static LINES: RefCell<Vec<(Kind, String)>> = const { RefCell::new(Vec::new()) };
}

/// The kinds of lines.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Step,
    State,
    Logged,
}

fn add(kind: Kind, line: String) {
    LINES.with_borrow_mut(|lines| lines.push((kind, line)));
}

fn take(kind: Kind) -> Vec<String> {
    LINES.with_borrow_mut(|lines| lines.extract_if(.., |(of, _)| *of == kind).map(|(_, line)| line).collect())
}

/// What all methods do from now on: `input` answers this, the others only fail as it does.
pub(crate) fn script(play: impl FnMut(Step<'_>) -> Result<Option<usize>> + 'static) {
    let _ = log::set_logger(&Logger).map(|()| log::set_max_level(LevelFilter::Debug));
    SCRIPT.set(Some(Box::new(play)));
    LINES.set(Vec::new());
}

/// The methods that were called since the last look, but for `encode`.
pub(crate) fn steps() -> Vec<String> {
    take(Kind::Step)
}

/// The lines that were logged on this thread since the last look.
pub(crate) fn logged() -> Vec<String> {
    take(Kind::Logged)
}

/// Bytes that come and go.
#[derive(Clone)]
pub(crate) struct Message(Vec<u8>);

impl From<&str> for Message {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.escape_ascii().to_string())
    }
}

/// The protocol. It has a field, so it lives in a box.
#[derive(Debug, Default)]
pub(crate) struct Script {
    _state: u8,
}

fn play(step: Step<'_>) -> Result<Option<usize>> {
    let mut script = Played(SCRIPT.take());
    script.0.as_mut().map_or(Ok(None), |script| script(step))
}

/// Goes back to its place, even when it panics, unless there is another by now.
struct Played(Option<Box<Play>>);

impl Drop for Played {
    fn drop(&mut self) {
        SCRIPT.with_borrow_mut(|place| *place = place.take().or(self.0.take()));
    }
}

impl Protocol for Script {
    type Message = Message;

    fn input(&mut self, buffer: &[u8]) -> Result<Option<usize>> {
        add(Kind::Step, format!("input {}", buffer.escape_ascii()));
        play(Step::Input(buffer))
    }

    fn decode(&mut self, package: &[u8]) -> Result<Message> {
        add(Kind::Step, format!("decode {}", package.escape_ascii()));
        play(Step::Decode(package))?;
        Ok(Message(package.to_vec()))
    }
}

impl Encode<Message> for Script {
    fn encode(&mut self, Message(bytes): Message, output: &mut Output<'_>) -> Encoded {
        // Before it fails, so that it has to be taken back.
        output.bytes(&bytes);
        play(Step::Encode(&bytes)).map(drop).into()
    }
}

/// All that a peer is told when it sends this in pieces.
pub(crate) fn tell<P: Codec>(sim: &Simulation, worker: Worker<P>, pieces: &[&[u8]]) -> (Peer, Vec<u8>) {
    let peer = sim.connect(worker);
    for piece in pieces {
        peer.write(piece);
        sim.run();
    }
    let answer = peer.read();
    (peer, answer)
}

/// Writes down what the app is told of the end of connections.
pub(crate) fn watch<P: Codec>(worker: Worker<P>) -> Log {
    let log = Log::default();
    worker.on_error({
        let log = log.clone();
        move |connection, code, text| {
            assert_ne!(connection.status(), Status::Established);
            assert_eq!(code, PROTOCOL_FAIL);
            log.add(format_args!("error {code} {text}"));
        }
    });
    worker.on_close({
        let log = log.clone();
        move |_| log.add("close")
    });
    log
}

/// Tells when it is made and dropped.
#[derive(Debug)]
pub(crate) struct State;

impl State {
    pub(crate) fn add(line: &str) {
        add(Kind::State, line.to_owned());
    }

    pub(crate) fn take() -> Vec<String> {
        take(Kind::State)
    }
}

impl Default for State {
    fn default() -> Self {
        Self::add("made");
        Self
    }
}

impl Drop for State {
    fn drop(&mut self) {
        Self::add("dropped");
    }
}

struct Logger;

impl log::Log for Logger {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        add(Kind::Logged, record.args().to_string());
    }

    fn flush(&self) {}
}
