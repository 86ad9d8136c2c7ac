//! Whether text is UTF-8, found as it arrives (RFC 6455 §8.1): at the byte after which it can no longer be.

/// What is known of a text whose end has not come.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Utf8 {
    /// The beginning of a character, of which the rest is to come.
    begun: [u8; 4],
    length: u8,
}

impl Utf8 {
    /// Looks at the next piece; answers whether the text can still be UTF-8.
    pub(super) fn accepts(&mut self, mut piece: &[u8]) -> bool {
        while self.length > 0
            && let [next, rest @ ..] = piece
        {
            piece = rest;
            if !self.goes_on(*next) {
                return false;
            }
        }
        match std::str::from_utf8(piece) {
            Ok(_) => true,
            Err(error) if error.error_len().is_some() => false,
            Err(error) => piece.get(error.valid_up_to()..).is_some_and(|begun| self.begin(begun)),
        }
    }

    /// Keeps the beginning of a character.
    fn begin(&mut self, begun: &[u8]) -> bool {
        begun.iter().all(|byte| self.keep(*byte).is_some())
    }

    /// Adds a byte to the character that has begun.
    fn goes_on(&mut self, byte: u8) -> bool {
        let Some(character) = self.keep(byte) else { return false };
        match std::str::from_utf8(character) {
            Ok(_) => self.length = 0,
            Err(error) => return error.error_len().is_none(),
        }
        true
    }

    fn keep(&mut self, byte: u8) -> Option<&[u8]> {
        *self.begun.get_mut(usize::from(self.length))? = byte;
        self.length += 1;
        self.begun.get(..usize::from(self.length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After how many bytes the text was refused, when it comes in pieces of this size.
    fn refused_at(text: &[u8], size: usize) -> Option<usize> {
        let mut utf8 = Utf8::default();
        let at = text.chunks(size).position(|piece| !utf8.accepts(piece));
        at.map(|at| ((at + 1) * size).min(text.len())).or((utf8.length > 0).then_some(text.len() + 1))
    }

    #[test]
    fn text_may_be_cut_anywhere() {
        let text = "plain, \u{e9}\u{20ac}\u{10ffff}\u{0}\u{7f}\u{80}\u{7ff}\u{800}\u{ffff}\u{10000} ende".as_bytes();
        for size in 1..=text.len() {
            assert_eq!(refused_at(text, size), None, "in pieces of {size}");
        }
    }

    #[test]
    fn what_cannot_become_text_is_found_at_its_byte() {
        for (text, at) in [
            (&b"ab\xff"[..], 3),
            (b"\x80", 1),
            (b"\xc0\xaf", 1),
            (b"\xe0\x80\x80", 2),
            (b"\xed\xa0\x80", 2),
            (b"\xf4\x90\x80\x80", 2),
            (b"\xf5", 1),
            (b"\xce\xba\xe1\xbd\xb9\xf4\x90\x80\x80 more", 7),
            (b"\xe2\x82a", 3),
            (b"abc\xe2\x82", 6),
        ] {
            assert_eq!(refused_at(text, 1), Some(at), "{text:x?}");
            for size in 2..=text.len() {
                let found = refused_at(text, size).unwrap();
                assert!(found >= at && found < at + size, "{text:x?} in pieces of {size}");
            }
        }
    }
}
