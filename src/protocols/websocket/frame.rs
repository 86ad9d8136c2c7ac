//! Frames as such (RFC 6455 §5.2): their heads, read and written, and their masks.
//!
//! Invariant: what one frame alone can be blamed for is found here, as soon as the byte that shows it is there.

use super::Message;
use super::close::Fault;
use super::mask;
use super::talk::Role;
use crate::protocols::chance;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Opcode {
    Continuation = 0x0,
    Text = 0x1,
    Binary = 0x2,
    Close = 0x8,
    Ping = 0x9,
    Pong = 0xa,
}

/// The longest payload of a control frame.
pub(super) const CONTROL_LIMIT: usize = 125;
/// The last frame of a message.
const FIN: u8 = 0x80;
/// The message is compressed (RFC 7692 §6).
const RSV1: u8 = 0x40;
const RSV2_AND_3: u8 = 0x30;
const MASKED: u8 = 0x80;

/// The head of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) opcode: Opcode,
    pub(super) fin: bool,
    pub(super) compressed: bool,
    /// Of the payload, in bytes.
    pub(super) length: u64,
    /// Zeros where there is none.
    pub(super) mask: [u8; 4],
    /// How long the head itself is.
    pub(super) size: usize,
}

impl Opcode {
    fn of(bits: u8) -> Option<Self> {
        use Opcode::{Binary, Close, Continuation, Ping, Pong, Text};
        [Continuation, Text, Binary, Close, Ping, Pong].into_iter().find(|opcode| *opcode as u8 == bits)
    }

    pub(super) fn of_message(message: &Message) -> Self {
        if message.is_text() { Self::Text } else { Self::Binary }
    }

    #[inline]
    pub(super) fn is_control(self) -> bool {
        self as u8 & 0x8 != 0
    }
}

impl Header {
    /// The head at the start of `input`, which the other side has sent; `None` while it is not complete. Without an
    /// extension, no message is compressed.
    #[inline]
    pub(super) fn parse<R: Role>(input: &[u8], extension: bool) -> Result<Option<Self>, Fault> {
        let [first, rest @ ..] = input else { return Ok(None) };
        if first & RSV2_AND_3 != 0 {
            return Err(Fault::protocol("a reserved bit is set"));
        }
        let Some(opcode) = Opcode::of(first & 0x0f) else { return Err(Fault::protocol("an unknown opcode")) };
        let (fin, compressed) = (first & FIN != 0, first & RSV1 != 0);
        if opcode.is_control() && !fin {
            return Err(Fault::protocol("a control frame in fragments"));
        }
        if compressed && !(extension && matches!(opcode, Opcode::Text | Opcode::Binary)) {
            return Err(Fault::protocol("RSV1 where nothing gives it a meaning"));
        }
        let [second, rest @ ..] = rest else { return Ok(None) };
        match second & MASKED {
            0 if !R::MASKS => return Err(Fault::protocol("a frame without a mask")),
            MASKED if R::MASKS => return Err(Fault::protocol("a frame with a mask")),
            _ => {}
        }
        let short = second & !MASKED;
        if opcode.is_control() && usize::from(short) > CONTROL_LIMIT {
            return Err(Fault::protocol("a control frame of more than 125 bytes"));
        }
        let Some((length, rest)) = length(short, rest)? else { return Ok(None) };
        let size = input.len() - rest.len();
        if R::MASKS {
            return Ok(Some(Self { opcode, fin, compressed, length, mask: [0; 4], size }));
        }
        let Some(mask) = rest.first_chunk() else { return Ok(None) };
        Ok(Some(Self { opcode, fin, compressed, length, mask: *mask, size: size + mask.len() }))
    }
}

/// The length of the payload, and what follows it. The shortest form has to be used.
#[inline]
fn length(short: u8, rest: &[u8]) -> Result<Option<(u64, &[u8])>, Fault> {
    match short {
        126 => match rest.split_first_chunk() {
            None => Ok(None),
            Some((bytes, rest)) => match u16::from_be_bytes(*bytes) {
                0..126 => Err(Fault::protocol("a length that is not written as short as can be")),
                length => Ok(Some((length.into(), rest))),
            },
        },
        127 => match rest.split_first_chunk() {
            None => Ok(None),
            Some((bytes, rest)) => match u64::from_be_bytes(*bytes) {
                0..0x1_0000 => Err(Fault::protocol("a length that is not written as short as can be")),
                0x8000_0000_0000_0000.. => Err(Fault::protocol("a length of more than 63 bits")),
                length => Ok(Some((length, rest))),
            },
        },
        _ => Ok(Some((short.into(), rest))),
    }
}

/// Appends the head of a whole message or of a control frame. Answers the mask that its payload is to have, if any.
#[inline]
#[allow(clippy::cast_possible_truncation)] // each length in the form that it fits
pub(super) fn push_head<R: Role>(
    bytes: &mut Vec<u8>,
    opcode: Opcode,
    compressed: bool,
    length: usize,
) -> Option<[u8; 4]> {
    let first = FIN | opcode as u8 | if compressed { RSV1 } else { 0 };
    let masked = if R::MASKS { MASKED } else { 0 };
    match length {
        0..126 => bytes.extend_from_slice(&[first, masked | length as u8]),
        126..0x1_0000 => {
            let [high, low] = (length as u16).to_be_bytes();
            bytes.extend_from_slice(&[first, masked | 126, high, low]);
        }
        _ => {
            bytes.extend_from_slice(&[first, masked | 127]);
            bytes.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    R::MASKS.then(|| {
        let mask = chance::draw();
        bytes.extend_from_slice(&mask);
        mask
    })
}

/// Appends a whole message or a control frame.
#[inline]
pub(super) fn push<R: Role>(bytes: &mut Vec<u8>, opcode: Opcode, compressed: bool, payload: &[u8]) {
    let mask = push_head::<R>(bytes, opcode, compressed, payload.len());
    let start = bytes.len();
    bytes.extend_from_slice(payload);
    if let Some(mask) = mask {
        mask::apply(bytes.get_mut(start..).unwrap_or_default(), mask);
    }
}

#[cfg(test)]
mod tests {
    use super::super::Server;
    use super::*;

    #[test]
    fn a_head_is_read_when_it_is_complete_and_not_before() {
        for (length, form) in [
            (0_u64, vec![0x80]),
            (125, vec![0x80 | 125]),
            (126, vec![0x80 | 126, 0, 126]),
            (0xffff, vec![0x80 | 126, 0xff, 0xff]),
            (0x1_0000, vec![0x80 | 127, 0, 0, 0, 0, 0, 1, 0, 0]),
            (i64::MAX as u64, vec![0x80 | 127, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
        ] {
            let head = [&[0x81], form.as_slice(), &[1, 2, 3, 4]].concat();
            for cut in 0..head.len() {
                assert_eq!(Header::parse::<Server>(&head[..cut], true), Ok(None), "{length}, {cut} bytes");
            }
            let header = Header::parse::<Server>(&[head.as_slice(), b"rest"].concat(), true).unwrap().unwrap();
            assert_eq!((header.length, header.mask, header.size), (length, [1, 2, 3, 4], head.len()));
            assert!(header.fin && !header.compressed && header.opcode == Opcode::Text);
        }
    }

    #[test]
    fn what_no_frame_may_be_is_refused_at_the_byte_that_shows_it() {
        let firsts = [0xb0, 0xa1, 0x91, 0x83, 0x84, 0x87, 0x8b, 0x8f, 0x08, 0x09, 0x0a, 0xc8, 0xc9, 0xc0, 0x40];
        for first in firsts {
            assert!(Header::parse::<Server>(&[first], true).is_err(), "{first:x}");
        }
        let longer: [&[u8]; 8] = [
            &[0x81, 0x00],
            &[0x81, 0x7f],
            &[0x89, 0x80 | 126],
            &[0x88, 0x80 | 127],
            &[0x81, 0xfe, 0, 125],
            &[0x81, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff],
            &[0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0],
            &[0x81, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        ];
        for head in longer {
            assert!(Header::parse::<Server>(head, true).is_err(), "{head:x?}");
            assert_eq!(Header::parse::<Server>(&head[..head.len() - 1], true), Ok(None), "{head:x?}");
        }
    }

    #[test]
    fn a_head_is_written_as_short_as_can_be() {
        for (length, expected) in [
            (0, vec![0x82, 0]),
            (125, vec![0x82, 125]),
            (126, vec![0x82, 126, 0, 126]),
            (0xffff, vec![0x82, 126, 0xff, 0xff]),
            (0x1_0000, vec![0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            let mut head = Vec::new();
            push_head::<Server>(&mut head, Opcode::Binary, false, length);
            assert_eq!(head, expected);
        }
        let mut head = Vec::new();
        push_head::<Server>(&mut head, Opcode::Text, true, 1);
        assert_eq!(head, [0xc1, 1]);
    }
}
