//! Frames: each message begins with its length.
//!
//! Invariants: a length is judged before what it promises arrives; the four bytes of it are the only ones looked at.

use std::convert::Infallible;

use super::output::Output;
use super::{Codec, Encode, Encoded, Limits, Step, sealed};

/// Bytes of the length.
const HEAD: usize = 4;

/// Messages of bytes, each behind a length of four bytes, the highest first, which counts itself.
///
/// A message may have as many bytes as `max_package_size` says, its length included.
///
/// ```
/// use workerman::{Frame, Worker};
///
/// let worker = Worker::<Frame>::new("frame://127.0.0.1:0");
/// worker.on_message(|connection, bytes| connection.send(bytes));
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Frame;

impl sealed::Sealed for Frame {}

impl Codec for Frame {
    type Message = Vec<u8>;
    type Signal = Infallible;
    type Setup = ();

    const SCHEME: &'static str = "frame";

    fn receive(&mut self, input: &[u8], limits: &Limits, _output: &mut Output<'_>) -> Step<Vec<u8>> {
        let Some((head, _)) = input.split_first_chunk::<HEAD>() else { return Step::More { consumed: 0 } };
        let length = u32::from_be_bytes(*head) as usize;
        if length < HEAD {
            return Step::Failed("the length of the frame does not count itself".into());
        }
        if length > limits.max_package_size {
            return Step::Failed("the frame is longer than max_package_size".into());
        }
        match input.get(HEAD..length) {
            Some(message) => Step::Message { consumed: length, message: message.to_vec() },
            None => Step::More { consumed: 0 },
        }
    }

    fn park(self) -> Result<u64, Self> {
        Ok(0)
    }

    fn unpark(_parked: u64) -> Self {
        Self
    }
}

macro_rules! encode_frames {
    ($($message:ty),*) => {$(
        impl Encode<$message> for Frame {
            fn encode(&mut self, message: $message, output: &mut Output<'_>) -> Encoded {
                let Ok(length) = u32::try_from(HEAD + message.len()) else {
                    return Encoded::Stray("a frame has less than 4 GiB");
                };
                output.bytes(&length.to_be_bytes());
                output.bytes(message.as_ref());
                Encoded::Done
            }
        }
    )*};
}

encode_frames!(&str, String, &String, &[u8], Vec<u8>, &Vec<u8>);

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::protocols::fed::{messages, wire};

    #[test]
    fn a_length_that_cannot_be_is_refused_before_anything_follows_it() {
        for (head, limit) in [([0, 0, 0, 0], 100), ([0, 0, 0, 3], 100), ([0, 0, 0, 101], 100), ([255; 4], 1 << 20)] {
            assert!(messages::<Frame>([&head[..]], limit).1.is_some(), "{head:?}");
            assert_eq!(messages::<Frame>([&head[..3]], limit), (vec![], None));
        }
        assert_eq!(messages::<Frame>([&[0, 0, 0, 4][..]], 4), (vec![vec![]], None));
        assert_eq!(messages::<Frame>([&[0, 0, 0, 100][..]], 100), (vec![], None));
    }

    proptest! {
        #[test]
        fn what_is_sent_comes_back_however_it_is_cut(
            sent in vec(vec(any::<u8>(), 0..50), 0..9),
            size in 1_usize..60,
        ) {
            let wire = wire(|output| sent.iter().for_each(|message| drop(Frame.encode(message, output))));
            prop_assert_eq!(messages::<Frame>(wire.chunks(size), 54), (sent, None));
        }
    }
}
