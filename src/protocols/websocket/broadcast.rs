//! A message for many connections: one frame for each opcode and each way of compressing that they have agreed to.
//!
//! Invariant: a compressed frame refers to nothing before it, so every peer can read it that has agreed to such a window,
//! whatever went before; what comes after it refers to nothing before it either.

use std::sync::Arc;

use super::deflate::{self, Agreed, History};
use super::frame::{self, Opcode};
use super::talk::{Phase, Talk};
use super::{Message, Server};
use crate::protocols::pool;

/// A message and its frames.
#[derive(Debug)]
pub(in crate::protocols) struct Frames {
    opcode: Opcode,
    /// It goes out as what it is, whatever the connection's type.
    is_message: bool,
    payload: Vec<u8>,
    /// Few, so they are searched in order. `None` where compressing makes it no smaller.
    made: Vec<(Way, Option<Arc<[u8]>>)>,
}

/// What tells one frame from another: the opcode, and the window and level, 0 for none.
type Way = (Opcode, u8);

impl Frames {
    pub(super) fn new(opcode: Opcode, payload: Vec<u8>) -> Self {
        Self { opcode, is_message: false, payload, made: Vec::new() }
    }

    pub(super) fn of_message(message: Message) -> Self {
        let opcode = Opcode::of_message(&message);
        Self { is_message: true, ..Self::new(opcode, message.into_bytes()) }
    }

    /// Which of the frames it is, made now if it is the first time.
    fn nth(&mut self, opcode: Opcode, agreed: Option<Agreed>) -> usize {
        let way = (opcode, agreed.map_or(0, Agreed::way));
        let known = self.made.iter().position(|(made, _)| *made == way);
        known.unwrap_or_else(|| {
            let frame = match agreed {
                Some(agreed) => self.compressed(opcode, agreed),
                None => Some(frame(opcode, false, &self.payload)),
            };
            self.made.push((way, frame));
            self.made.len() - 1
        })
    }

    /// A compressed frame without anything before it.
    fn compressed(&self, opcode: Opcode, agreed: Agreed) -> Option<Arc<[u8]>> {
        let (mut compressed, mut nothing): (_, History) = (pool::take(), Default::default());
        let smaller = deflate::compress(&self.payload, agreed, &mut nothing, &mut compressed);
        let frame = smaller.then(|| frame(opcode, true, &compressed));
        pool::give(compressed);
        frame
    }

    fn get(&self, nth: usize) -> Option<&Arc<[u8]>> {
        self.made.get(nth)?.1.as_ref()
    }
}

fn frame(opcode: Opcode, compressed: bool, payload: &[u8]) -> Arc<[u8]> {
    let mut frame = pool::take();
    frame::push::<Server>(&mut frame, opcode, compressed, payload);
    let shared = Arc::from(frame.as_slice());
    pool::give(frame);
    shared
}

impl Talk<Server> {
    /// The frame that this connection can be sent, once its handshake is done.
    #[inline]
    pub(super) fn frame_of<'a>(&mut self, frames: &'a mut Frames) -> Option<&'a Arc<[u8]>> {
        let Phase::Open = self.phase else { return None };
        let opcode = if frames.is_message { frames.opcode } else { self.opcode(frames.opcode, &frames.payload)? };
        let agreed = self.agreed.filter(|agreed| agreed.compresses(frames.payload.len()));
        let mut nth = frames.nth(opcode, agreed);
        if agreed.is_some() {
            if frames.get(nth).is_some() {
                self.forget_sent();
            } else {
                nth = frames.nth(opcode, None);
            }
        }
        frames.get(nth)
    }

    /// What is compressed next must not refer to what the peer will no longer have right behind it.
    fn forget_sent(&mut self) {
        if let Some(rest) = &mut self.rest {
            rest.history.forget_sent();
            self.tidy();
        }
    }
}
