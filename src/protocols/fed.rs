//! Feeding a codec as a connection does, for the tests of codecs that answer nothing.

use std::convert::Infallible;

use super::output::{Outbound, Output};
use super::{Codec, Limits, Step};

/// The messages in pieces that arrive one after the other, and the refusal at the end. What was not consumed comes again,
/// and a codec at rest is packed in between.
pub(super) fn messages<'a, P: Codec<Signal = Infallible>>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
    max_package_size: usize,
) -> (Vec<P::Message>, Option<Box<str>>) {
    let (mut codec, mut messages, mut waiting) = (P::default(), Vec::new(), Vec::new());
    let limits = Limits::of_size(max_package_size);
    for piece in pieces {
        waiting.extend_from_slice(piece);
        let mut done = 0;
        loop {
            let mut queue = Outbound::default();
            match codec.receive(&waiting[done..], &limits, &mut Output::new(&mut queue, &[b' '; 29], 0)) {
                Step::Message { consumed, message } => {
                    done += consumed;
                    messages.push(message);
                }
                Step::More { consumed: 0 } => break,
                Step::Failed(reason) => return (messages, Some(reason)),
                _ => panic!("no such step"),
            }
        }
        waiting.drain(..done);
        codec = codec.park().map_or_else(|codec| codec, P::unpark);
    }
    (messages, None)
}

/// What is written goes here.
pub(super) fn wire(write: impl FnOnce(&mut Output<'_>)) -> Vec<u8> {
    let mut queue = Outbound::default();
    write(&mut Output::new(&mut queue, &[b' '; 29], 0));
    queue.as_single().unwrap_or_default().to_vec()
}
