//! What a connection at rest costs: eight bytes, whatever was agreed to.

use super::deflate::Agreed;
use super::*;
use crate::protocols::Pace;
use crate::protocols::output::Outbound;

const LIMITS: Limits = Limits::of_size(1 << 20);
const DATE: &[u8; 29] = b"Sun, 06 Nov 1994 08:49:37 GMT";

/// The server's end of a connection, which is packed whenever it can be.
struct End {
    codec: Websocket,
    queue: Outbound,
}

impl End {
    fn new(offer: &str) -> Self {
        let mut end = Self { codec: Websocket::unpark(0), queue: Outbound::default() };
        let request = format!(
            "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{offer}\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        );
        let Step::Signal { signal, .. } = end.receive(request.as_bytes()) else { panic!("no handshake") };
        assert!(!end.rests(), "a request waits for its answer");
        end.codec.follow(signal, &mut Output::new(&mut end.queue, DATE, 0)).expect("it is let in");
        end
    }

    fn receive(&mut self, bytes: &[u8]) -> Step<Message, WebsocketSignal> {
        self.codec.receive(bytes, &LIMITS, &mut Output::new(&mut self.queue, DATE, 0))
    }

    /// Packs the codec and unpacks it again; answers whether that is all there is of it.
    fn rests(&mut self) -> bool {
        match std::mem::take(&mut self.codec).park() {
            Ok(bits) => {
                self.codec = Websocket::unpark(bits);
                true
            }
            Err(codec) => {
                self.codec = codec;
                false
            }
        }
    }
}

/// A frame with a mask of zeros.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).expect("a short payload");
    [&[first, 0x80 | length, 0, 0, 0, 0], payload].concat()
}

#[test]
fn a_connection_between_two_messages_is_eight_bytes() {
    for offer in ["", "Sec-WebSocket-Extensions: permessage-deflate\r\n"] {
        let mut end = End::new(offer);
        let agreed = end.codec.talk.agreed.map(Agreed::bits);
        assert_eq!(agreed.is_some(), cfg!(feature = "deflate") && !offer.is_empty());
        for kind in [WebsocketType::Text, WebsocketType::Binary, WebsocketType::Auto] {
            end.codec.set_type(kind);
            assert!(end.rests());
            assert_eq!((end.codec.talk.kind, end.codec.talk.agreed.map(Agreed::bits)), (kind, agreed));
        }
        let step = end.receive(&frame(0x81, b"whole"));
        assert_eq!(step, Step::Message { consumed: 11, message: Message::from("whole") });
        assert!(end.rests());
        end.receive(&frame(0x01, b"half"));
        assert!(!end.rests(), "there is half a message");
        assert_eq!(end.receive(&frame(0x80, b"")), Step::Message { consumed: 6, message: Message::from("half") });
        assert!(end.rests());
        end.codec.probe(&mut Output::new(&mut end.queue, DATE, 0));
        assert!(end.rests() && end.codec.talk.probed && end.codec.stance().pace == Pace::Reply);
        end.codec.finish(&mut Output::new(&mut end.queue, DATE, 0));
        assert!(end.rests() && end.codec.stance().pace == Pace::Farewell);
    }
}

#[test]
fn a_head_that_arrives_costs_no_more_than_on_http() {
    let mut end = End { codec: Websocket::default(), queue: Outbound::default() };
    for piece in [&b"GET / HT"[..], b"GET / HTTP/1.1\r\nHost"] {
        assert_eq!(end.receive(piece), Step::More { consumed: 0 });
        assert!(end.rests());
    }
    assert!(size_of::<Websocket>() <= 48, "{}", size_of::<Websocket>());
}

#[cfg(feature = "deflate")]
#[test]
fn a_context_is_what_was_said_and_no_more() {
    let mut end = End::new("Sec-WebSocket-Extensions: permessage-deflate\r\n");
    // "Hello", as RFC 7692 has it.
    let hello = frame(0xc1, b"\xf2\x48\xcd\xc9\xc9\x07\x00");
    assert_eq!(end.receive(&hello), Step::Message { consumed: 13, message: Message::from("Hello") });
    assert!(!end.rests());
    let kept = end.codec.talk.rest.as_ref().map(|rest| rest.history.size());
    assert_eq!(kept, Some(5));

    let mut lean = End::new("Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover\r\n");
    lean.receive(&hello);
    assert!(lean.rests());
}
