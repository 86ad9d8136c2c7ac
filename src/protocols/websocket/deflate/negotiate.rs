//! The negotiation of permessage-deflate (RFC 7692 §5 and §7.1).
//!
//! A server accepts the first offer that it can; one that is malformed, that has a parameter nobody knows, or that asks for
//! a window of 256 bytes, which the compressor has not, is passed over.

use std::fmt::Write as _;

use super::Deflate;

const NAME: &str = "permessage-deflate";
const SMALLEST_WINDOW: u8 = 9;
const LARGEST_WINDOW: u8 = 15;

/// What both sides keep to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::protocols::websocket) struct Agreed {
    /// What comes may refer to what came.
    context_in: bool,
    /// What is sent may refer to what was sent.
    pub(super) context_out: bool,
    /// Of the window for what is sent.
    pub(super) window_bits: u8,
    pub(super) level: u8,
    pub(super) threshold: u16,
}

/// What a client offers, or a server accepts.
#[derive(Debug, Default, PartialEq, Eq)]
struct Offer {
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_max_window_bits: Option<u8>,
    /// `Some(None)` without a value.
    client_max_window_bits: Option<Option<u8>>,
}

/// Weighs a `Sec-WebSocket-Extensions` header; answers what was agreed and the header of the answer, if anything.
pub(in crate::protocols::websocket) fn agree(header: &str, deflate: Deflate) -> Option<(Agreed, String)> {
    if !deflate.on {
        return None;
    }
    let offers = split(header, b',').filter_map(Offer::parse);
    offers.filter_map(|offer| offer.accept(deflate)).next()
}

/// The header by which a client offers it. How small the server makes its window is left to that.
pub(in crate::protocols::websocket) fn offer(deflate: Deflate) -> Option<String> {
    let mut offer = format!("{NAME}; client_max_window_bits");
    if !deflate.server_context {
        offer.push_str("; server_no_context_takeover");
    }
    if !deflate.client_context {
        offer.push_str("; client_no_context_takeover");
    }
    deflate.on.then_some(offer)
}

/// What has come of that offer, by the header of the answer, which may be empty.
pub(in crate::protocols::websocket) fn agree_to(
    answer: &str,
    deflate: Deflate,
) -> Result<Option<Agreed>, &'static str> {
    if answer.is_empty() {
        return Ok(None);
    }
    // What is not what was offered, or is more than one, has a parameter or a name that it must not have.
    let accepted = Offer::parse(answer).filter(|_| deflate.on).ok_or("an extension that was not offered")?;
    if accepted.client_max_window_bits == Some(None) {
        return Err("client_max_window_bits without a value");
    }
    if !deflate.server_context && !accepted.server_no_context_takeover {
        return Err("the server keeps a context that it was asked to give up");
    }
    Ok(Some(Agreed {
        context_in: !accepted.server_no_context_takeover,
        context_out: deflate.client_context && !accepted.client_no_context_takeover,
        window_bits: accepted.client_max_window_bits.flatten().unwrap_or(LARGEST_WINDOW),
        level: deflate.level,
        threshold: deflate.threshold,
    }))
}

impl Agreed {
    /// How many bits [`Agreed::bits`] uses.
    pub(in crate::protocols::websocket) const BITS: u32 = 28;

    /// Whether a message of this length is worth compressing. An empty one never is: a flush of nothing is nothing; nor is
    /// one for a window that the compressor has not.
    pub(in crate::protocols::websocket) fn compresses(self, length: usize) -> bool {
        length >= usize::from(self.threshold).max(1) && self.window_bits >= SMALLEST_WINDOW
    }

    /// Whether what comes may refer to what came.
    pub(in crate::protocols::websocket) fn takes_over(self) -> bool {
        self.context_in
    }

    /// The window and the level, never 0: two connections with the same can be sent the same.
    pub(in crate::protocols::websocket) fn way(self) -> u8 {
        self.window_bits << 4 | self.level
    }

    pub(in crate::protocols::websocket) fn bits(self) -> u64 {
        u64::from(self.threshold)
            | u64::from(self.level) << 16
            | u64::from(self.window_bits) << 20
            | u64::from(self.context_in) << 24
            | u64::from(self.context_out) << 25
            // Something was agreed to.
            | 1 << 26
    }

    /// The inverse of [`Agreed::bits`]; 0 is nothing.
    #[allow(clippy::cast_possible_truncation)] // the bits that are meant
    pub(in crate::protocols::websocket) fn from_bits(bits: u64) -> Option<Self> {
        (bits & 1 << 26 != 0).then_some(Self {
            context_in: bits & 1 << 24 != 0,
            context_out: bits & 1 << 25 != 0,
            window_bits: (bits >> 20 & 0xf) as u8,
            level: (bits >> 16 & 0xf) as u8,
            threshold: bits as u16,
        })
    }
}

impl Offer {
    /// `permessage-deflate` and its parameters, each at most once and with a value that it may have.
    fn parse(offer: &str) -> Option<Self> {
        let mut parts = split(offer, b';');
        if parts.next()? != NAME {
            return None;
        }
        let mut offered = Self::default();
        for parameter in parts {
            let (name, value) = match parameter.split_once('=') {
                Some((name, value)) => (name.trim_ascii_end(), Some(unquote(value.trim_ascii_start())?)),
                None => (parameter, None),
            };
            let is_new = match (name, value) {
                ("server_no_context_takeover", None) => {
                    !std::mem::replace(&mut offered.server_no_context_takeover, true)
                }
                ("client_no_context_takeover", None) => {
                    !std::mem::replace(&mut offered.client_no_context_takeover, true)
                }
                ("server_max_window_bits", Some(value)) => {
                    offered.server_max_window_bits.replace(window_bits(value)?).is_none()
                }
                ("client_max_window_bits", None) => offered.client_max_window_bits.replace(None).is_none(),
                ("client_max_window_bits", Some(value)) => {
                    offered.client_max_window_bits.replace(Some(window_bits(value)?)).is_none()
                }
                _ => false,
            };
            if !is_new {
                return None;
            }
        }
        Some(offered)
    }

    fn accept(&self, deflate: Deflate) -> Option<(Agreed, String)> {
        let window_bits = self.server_max_window_bits.unwrap_or(LARGEST_WINDOW);
        if window_bits < SMALLEST_WINDOW {
            return None;
        }
        let agreed = Agreed {
            context_in: deflate.client_context && !self.client_no_context_takeover,
            context_out: deflate.server_context && !self.server_no_context_takeover,
            window_bits,
            level: deflate.level,
            threshold: deflate.threshold,
        };
        let mut answer = NAME.to_owned();
        // What we decide for ourselves we say too: the client then need not keep a window for it.
        if !agreed.context_out {
            answer.push_str("; server_no_context_takeover");
        }
        if !agreed.context_in {
            answer.push_str("; client_no_context_takeover");
        }
        if let Some(bits) = self.server_max_window_bits {
            let _ = write!(answer, "; server_max_window_bits={bits}");
        }
        // A smaller window of the client's is its own affair: what it sends is read with the largest.
        if let Some(Some(bits)) = self.client_max_window_bits {
            let _ = write!(answer, "; client_max_window_bits={bits}");
        }
        Some((agreed, answer))
    }
}

/// The parts between separators that stand outside of quotes, without the white space around them.
fn split(text: &str, separator: u8) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let (mut quoted, mut escaped) = (false, false);
        let end = text.bytes().position(|byte| {
            let ends = !quoted && byte == separator;
            if byte == b'"' && !escaped {
                quoted = !quoted;
            }
            escaped = quoted && !escaped && byte == b'\\';
            ends
        });
        let (part, behind) = match end {
            Some(end) => (text.get(..end)?, text.get(end + 1..)),
            None => (text, None),
        };
        rest = behind;
        Some(part.trim_ascii())
    })
}

/// A value without its quotes. Of the values there are, none needs an escape.
fn unquote(value: &str) -> Option<&str> {
    match value.strip_prefix('"') {
        Some(rest) => rest.strip_suffix('"'),
        None => Some(value),
    }
}

/// 8 to 15, without zeros in front.
fn window_bits(value: &str) -> Option<u8> {
    match value.as_bytes() {
        [digit @ b'8'..=b'9'] => Some(digit - b'0'),
        [b'1', digit @ b'0'..=b'5'] => Some(10 + digit - b'0'),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(header: &str) -> Option<String> {
        agree(header, Deflate::default()).map(|(_, answer)| answer)
    }

    #[test]
    fn each_parameter_is_answered_as_the_standard_says() {
        for (offer, expected) in [
            ("permessage-deflate", "permessage-deflate"),
            (" permessage-deflate ", "permessage-deflate"),
            ("permessage-deflate; client_max_window_bits", "permessage-deflate"),
            ("permessage-deflate;client_max_window_bits=8", "permessage-deflate; client_max_window_bits=8"),
            ("permessage-deflate; client_max_window_bits=\"12\"", "permessage-deflate; client_max_window_bits=12"),
            ("permessage-deflate; server_max_window_bits=9", "permessage-deflate; server_max_window_bits=9"),
            ("permessage-deflate; server_max_window_bits = 15", "permessage-deflate; server_max_window_bits=15"),
            (
                "permessage-deflate; client_no_context_takeover; server_no_context_takeover",
                "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
            ),
            (
                "permessage-deflate; server_max_window_bits=10; client_max_window_bits=11; \
                 server_no_context_takeover;client_no_context_takeover",
                "permessage-deflate; server_no_context_takeover; client_no_context_takeover; \
                 server_max_window_bits=10; client_max_window_bits=11",
            ),
        ] {
            assert_eq!(answer(offer).as_deref(), Some(expected), "{offer}");
        }
    }

    #[test]
    fn an_offer_that_is_not_valid_is_passed_over() {
        for offer in [
            "",
            "x-webkit-deflate-frame",
            "permessage-deflate2",
            "permessage-bzip2; client_max_window_bits",
            "permessage-deflate; server_max_window_bits",
            "permessage-deflate; server_max_window_bits=8",
            "permessage-deflate; server_max_window_bits=7",
            "permessage-deflate; server_max_window_bits=16",
            "permessage-deflate; server_max_window_bits=09",
            "permessage-deflate; server_max_window_bits=",
            "permessage-deflate; server_max_window_bits=+9",
            "permessage-deflate; server_max_window_bits=\"10",
            "permessage-deflate; client_max_window_bits=16",
            "permessage-deflate; client_max_window_bits=\"\"",
            "permessage-deflate; client_max_window_bits; client_max_window_bits",
            "permessage-deflate; server_no_context_takeover=1",
            "permessage-deflate; client_no_context_takeover=\"\"",
            "permessage-deflate; client_no_context_takeover; client_no_context_takeover",
            "permessage-deflate; unknown",
            "permessage-deflate; unknown=1",
            "permessage-deflate;",
            "permessage-deflate=1",
            "\"permessage-deflate\"",
            "permessage-deflate; a=\", permessage-deflate",
        ] {
            assert_eq!(answer(offer), None, "{offer}");
        }
    }

    #[test]
    fn the_first_offer_that_can_be_accepted_is() {
        let next = "permessage-deflate; server_max_window_bits=12";
        for first in [
            "permessage-bzip2",
            "permessage-deflate; server_max_window_bits=8",
            "permessage-deflate; a=\"b, c\"",
            "permessage-deflate; a=\"b\\\", permessage-deflate\"",
            "",
        ] {
            let header = format!("{first}, {next}, permessage-deflate");
            assert_eq!(answer(&header).as_deref(), Some(next), "{header}");
        }
        assert_eq!(answer("permessage-deflate, permessage-deflate; server_max_window_bits=9").unwrap(), NAME);
    }

    #[test]
    fn a_worker_may_want_less_than_clients_offer() {
        let lean = Deflate::default().server_context(false).client_context(false);
        let (agreed, answer) = agree(NAME, lean).unwrap();
        assert_eq!(answer, "permessage-deflate; server_no_context_takeover; client_no_context_takeover");
        assert!(!agreed.context_in && !agreed.context_out);
        assert_eq!(agree(NAME, Deflate::off()), None);
    }

    #[test]
    fn what_was_agreed_is_packed_and_unpacked() {
        for offer in [NAME, "permessage-deflate; server_max_window_bits=9; client_no_context_takeover"] {
            let deflate = Deflate::default().level(9).threshold(70_000).server_context(false);
            let (agreed, _) = agree(offer, deflate).unwrap();
            assert_eq!(Agreed::from_bits(agreed.bits()), Some(agreed));
            assert_eq!(agreed.bits() >> Agreed::BITS, 0);
        }
        assert_eq!(Agreed::from_bits(0), None);
    }
}
