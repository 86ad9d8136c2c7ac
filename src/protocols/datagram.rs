//! Datagrams: which protocols they can carry, and the messages in one of them.
//!
//! Invariants: nothing is kept from one datagram to the next; every message takes bytes away, so a datagram is done with
//! in as many steps as it has bytes, at most.

use std::convert::Infallible;

use super::frame::Frame;
use super::output::{Outbound, Output};
use super::tcp::Tcp;
use super::text::Text;
use super::{Codec, Limits, Protocol, Step};

/// A protocol that can be spoken over UDP: each of its messages stands for itself.
///
/// [`Tcp`] stands for bytes as they are: a datagram is a message. [`Text`], [`Frame`] and every
/// [`Protocol`] of your own may have several in one.
///
/// ```
/// use workerman::{Datagram, Frame, Tcp, Text};
///
/// fn can_be_spoken_over_udp<P: Datagram>() {}
///
/// can_be_spoken_over_udp::<Tcp>();
/// can_be_spoken_over_udp::<Text>();
/// can_be_spoken_over_udp::<Frame>();
/// ```
///
/// ```compile_fail
/// # use workerman::{Http, UdpWorker};
/// let worker = UdpWorker::<Http>::new("udp://0.0.0.0:8080"); // a request needs a connection
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be spoken over UDP",
    label = "not a protocol of datagrams",
    note = "a `UdpWorker` speaks `Tcp` (a datagram is a message), `Text`, `Frame` or a `Protocol` of your own",
    note = "`Http` and `Websocket` need connections: make a `Worker`"
)]
pub trait Datagram: Codec<Signal = Infallible> {
    /// What a datagram without bytes says, `None` for nothing. Only where it says something is one sent.
    #[doc(hidden)]
    fn nothing() -> Option<Self::Message> {
        None
    }
}

impl Datagram for Tcp {
    fn nothing() -> Option<Vec<u8>> {
        Some(Vec::new())
    }
}

impl Datagram for Text {}

impl Datagram for Frame {}

impl<P: Protocol> Datagram for P {}

/// No answer to a datagram has a date.
const NO_DATE: [u8; 29] = [b' '; 29];

/// The messages in a datagram, one after the other. What breaks the series is the last.
#[derive(Debug)]
pub(crate) struct Messages<'a, P> {
    /// Made when there is something to decode, as that may be user code.
    codec: Option<P>,
    rest: &'a [u8],
    limits: Limits,
    /// The datagram has no bytes, and nobody was told so yet.
    untold: bool,
}

/// Why the rest of a datagram is dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    /// So many bytes at the end are no whole message.
    Incomplete(usize),
    /// It is against the protocol.
    Refused(Box<str>),
}

impl<'a, P: Datagram> Messages<'a, P> {
    pub(crate) fn new(datagram: &'a [u8], max_package_size: usize) -> Self {
        let limits = Limits::of_size(max_package_size);
        Self { codec: None, rest: datagram, limits, untold: datagram.is_empty() }
    }

    fn take(&mut self, bytes: usize) {
        self.rest = self.rest.get(bytes..).unwrap_or_default();
    }

    fn give_up(&mut self, why: Broken) -> Option<Result<P::Message, Broken>> {
        self.rest = &[];
        Some(Err(why))
    }
}

impl<P: Datagram> Iterator for Messages<'_, P> {
    type Item = Result<P::Message, Broken>;

    fn next(&mut self) -> Option<Result<P::Message, Broken>> {
        if std::mem::take(&mut self.untold) {
            return P::nothing().map(Ok);
        }
        if self.rest.is_empty() {
            return None;
        }
        // What a codec would say to a connection has nobody to go to.
        let mut queue = Outbound::default();
        let codec = self.codec.get_or_insert_default();
        match codec.receive(self.rest, &self.limits, &mut Output::new(&mut queue, &NO_DATE, 0)) {
            Step::Message { consumed, message } if consumed > 0 => {
                self.take(consumed);
                Some(Ok(message))
            }
            Step::More { consumed } => {
                self.take(consumed);
                match self.rest.len() {
                    0 => None,
                    left => self.give_up(Broken::Incomplete(left)),
                }
            }
            Step::Part { .. } => self.give_up(Broken::Incomplete(self.rest.len())),
            Step::Refused(reason) => self.give_up(Broken::Refused(reason.into())),
            Step::Failed(reason) => self.give_up(Broken::Refused(reason)),
            _ => self.give_up(Broken::Refused("this has no place in a datagram".into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn messages<P: Datagram>(datagram: &[u8]) -> (Vec<P::Message>, Option<Broken>) {
        let (mut whole, mut broken) = (Vec::new(), None);
        for message in Messages::<P>::new(datagram, 100) {
            assert_eq!(broken, None, "nothing follows what is broken");
            match message {
                Ok(message) => whole.push(message),
                Err(why) => broken = Some(why),
            }
        }
        (whole, broken)
    }

    #[test]
    fn a_datagram_holds_messages_up_to_the_first_that_is_not_whole() {
        let lines = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
        assert_eq!(messages::<Text>(b"a\nb\r\n\n"), (lines(&["a", "b", ""]), None));
        assert_eq!(messages::<Text>(b"a\nbcd"), (lines(&["a"]), Some(Broken::Incomplete(3))));
        assert_eq!(messages::<Frame>(b"\0\0\0\x05x\0\0\0\x04"), (vec![b"x".to_vec(), vec![]], None));
        assert_eq!(messages::<Frame>(b"\0\0\0\x05x\0\0"), (vec![b"x".to_vec()], Some(Broken::Incomplete(2))));
        assert_eq!(messages::<Tcp>(b"a\nb"), (vec![b"a\nb".to_vec()], None));
    }

    #[test]
    fn what_is_refused_takes_the_rest_along() {
        let (whole, broken) = messages::<Frame>(b"\0\0\0\x05x\0\0\0\x03\0\0\0\x05y");
        assert_eq!(whole, [b"x"]);
        assert!(matches!(broken, Some(Broken::Refused(reason)) if reason.contains("does not count itself")));
        let (whole, broken) = messages::<Text>(&[&b"ok\n"[..], &[b'x'; 101], b"\nlost\n"].concat());
        assert_eq!(whole, ["ok"]);
        assert!(matches!(broken, Some(Broken::Refused(reason)) if reason.contains("max_package_size")));
    }

    #[test]
    fn a_datagram_without_bytes_is_a_message_of_raw_bytes_and_of_nothing_else() {
        assert_eq!(messages::<Tcp>(b""), (vec![vec![]], None));
        assert_eq!(messages::<Text>(b""), (vec![], None));
        assert_eq!(messages::<Frame>(b""), (vec![], None));
    }

    proptest! {
        #[test]
        fn garbage_has_an_end(datagram in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(messages::<Text>(&datagram).0.len() <= datagram.len());
            prop_assert!(messages::<Frame>(&datagram).0.len() <= datagram.len());
            prop_assert_eq!(messages::<Tcp>(&datagram).0, vec![datagram]);
        }
    }
}
