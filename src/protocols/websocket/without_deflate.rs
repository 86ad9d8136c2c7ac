//! In place of `deflate` when the feature is off: nothing is ever agreed to, so nothing else can happen.

use super::close::Fault;

/// There is nothing to set.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Deflate;

impl Deflate {
    pub(crate) const fn new() -> Self {
        Self
    }
}

/// What was agreed to: never anything.
#[derive(Clone, Copy, Debug)]
pub(super) enum Agreed {}

/// Nothing is kept.
#[derive(Debug, Default)]
pub(super) struct History;

/// There is none.
#[derive(Debug)]
pub(super) enum Inflater {}

pub(super) fn agree(_header: &str, _deflate: Deflate) -> Option<(Agreed, String)> {
    None
}

pub(super) fn offer(_deflate: Deflate) -> Option<String> {
    None
}

pub(super) fn agree_to(answer: &str, _deflate: Deflate) -> Result<Option<Agreed>, &'static str> {
    if answer.is_empty() { Ok(None) } else { Err("an extension that was not offered") }
}

pub(super) fn compress(_message: &[u8], agreed: Agreed, _history: &mut History, _compressed: &mut Vec<u8>) -> bool {
    match agreed {}
}

pub(super) fn clear() {}

impl Agreed {
    pub(super) const BITS: u32 = 28;

    pub(super) fn compresses(self, _length: usize) -> bool {
        match self {}
    }

    pub(super) fn takes_over(self) -> bool {
        match self {}
    }

    pub(super) fn way(self) -> u8 {
        match self {}
    }

    pub(super) fn bits(self) -> u64 {
        match self {}
    }

    pub(super) fn from_bits(_bits: u64) -> Option<Self> {
        None
    }
}

impl History {
    #[allow(clippy::unused_self)] // as the other
    pub(super) fn is_empty(&self) -> bool {
        true
    }

    #[allow(clippy::unused_self)]
    pub(super) fn forget_sent(&mut self) {}

    #[allow(clippy::unused_self)]
    pub(super) fn has_received(&mut self, _message: &[u8]) {}
}

impl Inflater {
    pub(super) fn new(_history: Option<&History>) -> Result<Self, Fault> {
        Err(Fault::protocol("there is no compression"))
    }

    pub(super) fn inflate(&mut self, _piece: &[u8], _bytes: &mut Vec<u8>, _limit: usize) -> Result<(), Fault> {
        match *self {}
    }

    pub(super) fn finish(&mut self, _bytes: &mut Vec<u8>, _limit: usize) -> Result<(), Fault> {
        match *self {}
    }
}
