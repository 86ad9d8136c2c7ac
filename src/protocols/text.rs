//! Lines of text: each message ends with a line feed.
//!
//! Invariants: a line is looked at once, however it is cut; one that is longer than a message may be is refused at the
//! byte that makes it so.

use std::convert::Infallible;

use memchr::memchr;

use super::output::Output;
use super::{Codec, Encode, Encoded, Limits, Step, sealed};

/// Lines: `on_message` receives each without its end, which is `\n` or `\r\n`; what is sent goes out with `\n` behind it.
///
/// Bytes that are not UTF-8 become U+FFFD. A line may have as many bytes as `max_package_size` says, its end included.
/// For `telnet`, and for programs in any language that can read a line.
///
/// ```
/// use workerman::{Text, Worker};
///
/// let worker = Worker::<Text>::new("text://127.0.0.1:0");
/// worker.on_message(|connection, line| connection.send(format!("you said {line}")));
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Text {
    /// So many bytes have been searched for the end of the line.
    scanned: usize,
}

impl sealed::Sealed for Text {}

impl Codec for Text {
    type Message = String;
    type Signal = Infallible;
    type Setup = ();

    const SCHEME: &'static str = "text";
    const ALIKE: bool = true;

    fn receive(&mut self, input: &[u8], limits: &Limits, _output: &mut Output<'_>) -> Step<String> {
        let new = input.get(self.scanned..).unwrap_or_default();
        let length = memchr(b'\n', new).map(|at| self.scanned + at + 1);
        if length.unwrap_or(input.len()) > limits.max_package_size {
            return Step::Failed("the line is longer than max_package_size".into());
        }
        let Some(consumed) = length else {
            self.scanned = input.len();
            return Step::More { consumed: 0 };
        };
        self.scanned = 0;
        let mut line = input.get(..consumed).unwrap_or_default();
        while let [rest @ .., b'\r' | b'\n'] = line {
            line = rest;
        }
        Step::Message { consumed, message: String::from_utf8_lossy(line).into_owned() }
    }

    fn park(self) -> Result<u64, Self> {
        u64::try_from(self.scanned).map_err(|_| self)
    }

    #[allow(clippy::cast_possible_truncation)] // it was a `usize`
    fn unpark(parked: u64) -> Self {
        Self { scanned: parked as usize }
    }
}

macro_rules! encode_lines {
    ($($message:ty),*) => {$(
        impl Encode<$message> for Text {
            fn encode(&mut self, message: $message, output: &mut Output<'_>) -> Encoded {
                output.bytes(message.as_ref());
                output.bytes(b"\n");
                Encoded::Done
            }
        }
    )*};
}

encode_lines!(&str, String, &String, &[u8], Vec<u8>, &Vec<u8>);

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::protocols::fed::{messages, wire};

    /// The lines, and whether the end was a refusal.
    fn lines<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, max_package_size: usize) -> (Vec<String>, bool) {
        let (lines, refusal) = messages::<Text>(pieces, max_package_size);
        (lines, refusal.is_some())
    }

    #[test]
    fn a_line_is_what_stands_before_its_end_however_it_is_cut() {
        let table: [(&[u8], &[&str]); 7] = [
            (b"hello\n", &["hello"]),
            (b"a\r\nb\n\r\n\nc", &["a", "b", "", ""]),
            (b"a\rb\n", &["a\rb"]),
            (b"a\r\r\n", &["a"]),
            (b"  a  \n", &["  a  "]),
            (b"a\0b\n\xff\n", &["a\0b", "\u{fffd}"]),
            (b"", &[]),
        ];
        for (input, expected) in table {
            for cut in 0..=input.len() {
                let (head, tail) = input.split_at(cut);
                assert_eq!(lines([head, tail], 100).0, expected, "{} cut at {cut}", input.escape_ascii());
            }
            assert_eq!(lines(input.chunks(1), 100), (expected.iter().map(|line| (*line).to_owned()).collect(), false));
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_refused_at_the_byte_that_makes_it_so() {
        assert_eq!(lines([&b"abcde\n"[..]], 6), (vec!["abcde".to_owned()], false));
        assert_eq!(lines([&b"abcdef"[..]], 6), (vec![], false));
        for input in [&b"abcdef\n"[..], b"abcdefg"] {
            assert_eq!(lines([input], 6), (vec![], true));
            assert_eq!(lines(input.chunks(1), 6), (vec![], true));
        }
    }

    proptest! {
        #[test]
        fn what_is_sent_comes_back(sent in vec("[^\r\n]{0,20}", 0..9), size in 1_usize..30) {
            let wire = wire(|output| sent.iter().for_each(|line| drop(Text::default().encode(line, output))));
            prop_assert_eq!(lines(wire.chunks(size), 100), (sent, false));
        }
    }
}
