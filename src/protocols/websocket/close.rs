//! Closing: status codes (RFC 6455 §7.4), the payload of a Close frame, and what a peer can be blamed for.

use super::frame::{self, CONTROL_LIMIT, Opcode};
use super::talk::Role;

/// All is well.
pub(super) const NORMAL: u16 = 1000;
/// The process stops.
pub(super) const GOING_AWAY: u16 = 1001;
const PROTOCOL_ERROR: u16 = 1002;
/// What `on_websocket_close` is told when there is no code. It never travels.
const NO_CODE: u16 = 1005;
const INVALID_PAYLOAD: u16 = 1007;
const TOO_BIG: u16 = 1009;
/// Something failed here.
pub(super) const INTERNAL_ERROR: u16 = 1011;

/// What a peer did wrong: the code it is told, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) code: u16,
    pub(super) reason: &'static str,
}

impl Fault {
    pub(super) const TOO_BIG: Self = Self { code: TOO_BIG, reason: "the message is larger than max_package_size" };
    pub(super) const NOT_UTF8: Self = Self { code: INVALID_PAYLOAD, reason: "text that is not UTF-8" };
    #[cfg(feature = "deflate")]
    pub(super) const NOT_DEFLATE: Self = Self { code: INVALID_PAYLOAD, reason: "compressed data is malformed" };

    pub(super) const fn protocol(reason: &'static str) -> Self {
        Self { code: PROTOCOL_ERROR, reason }
    }
}

/// What a peer said when it closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Farewell<'a> {
    /// `None` when it gave no code.
    code: Option<u16>,
    pub(super) reason: &'a str,
}

impl<'a> Farewell<'a> {
    /// Takes the payload of a Close frame apart.
    pub(super) fn parse(payload: &'a [u8]) -> Result<Self, Fault> {
        let Some((code, reason)) = payload.split_first_chunk() else {
            return match payload {
                [] => Ok(Self { code: None, reason: "" }),
                _ => Err(Fault::protocol("a Close frame with half a code")),
            };
        };
        let code = u16::from_be_bytes(*code);
        if !may_travel(code) {
            return Err(Fault::protocol("a close code that may not be sent"));
        }
        let reason = std::str::from_utf8(reason).map_err(|_| Fault::NOT_UTF8)?;
        Ok(Self { code: Some(code), reason })
    }

    /// The code, 1005 for none, as browsers have it.
    pub(super) fn code(self) -> u16 {
        self.code.unwrap_or(NO_CODE)
    }

    /// Appends the answer: the same code.
    pub(super) fn push_answer<R: Role>(self, bytes: &mut Vec<u8>) {
        match self.code {
            Some(code) => push::<R>(bytes, code, ""),
            None => frame::push::<R>(bytes, Opcode::Close, false, b""),
        }
    }
}

/// Whether a code may stand in a Close frame: those that are defined for it, and those of libraries and apps.
pub(super) fn may_travel(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

/// Appends a Close frame. The reason is cut to what fits, between two characters.
pub(super) fn push<R: Role>(bytes: &mut Vec<u8>, code: u16, reason: &str) {
    let room = reason.len().min(CONTROL_LIMIT - size_of::<u16>());
    let reason = (0..=room).rev().find_map(|end| reason.get(..end)).unwrap_or_default();
    let payload = [&code.to_be_bytes(), reason.as_bytes()].concat();
    frame::push::<R>(bytes, Opcode::Close, false, &payload);
}

#[cfg(test)]
mod tests {
    use super::super::Server;
    use super::*;

    #[test]
    fn only_codes_that_may_travel_are_accepted() {
        let fine = |code: u16| Farewell::parse(&code.to_be_bytes()).is_ok();
        for code in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999] {
            assert!(fine(code), "{code}");
        }
        for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535] {
            assert!(!fine(code), "{code}");
        }
    }

    #[test]
    fn a_farewell_is_answered_with_its_code() {
        for (payload, code, answer) in [
            (&b""[..], 1005, &b"\x88\x00"[..]),
            (b"\x03\xe8", 1000, b"\x88\x02\x03\xe8"),
            (b"\x03\xe9gone", 1001, b"\x88\x02\x03\xe9"),
        ] {
            let farewell = Farewell::parse(payload).unwrap();
            let mut bytes = Vec::new();
            farewell.push_answer::<Server>(&mut bytes);
            assert_eq!((farewell.code(), bytes.as_slice()), (code, answer));
        }
        assert_eq!(Farewell::parse(b"\x03\xe9gone").unwrap().reason, "gone");
        assert_eq!(Farewell::parse(b"\x03"), Err(Fault::protocol("a Close frame with half a code")));
        assert_eq!(Farewell::parse(b"\x03\xe8\xff"), Err(Fault::NOT_UTF8));
    }

    #[test]
    fn a_reason_that_is_too_long_is_cut_between_characters() {
        let mut bytes = Vec::new();
        push::<Server>(&mut bytes, 1000, &"\u{20ac}".repeat(100));
        assert_eq!((bytes.len(), bytes[1]), (2 + 2 + 41 * 3, 125));
        assert!(std::str::from_utf8(&bytes[4..]).is_ok());
    }
}
