//! The answer to a handshake: what lets us in, what does not, and that it may come in any pieces.

use super::*;
use crate::protocols::output::Outbound;

const LIMITS: Limits = Limits::of_size(1 << 20);
const DATE: &[u8; 29] = b"Sun, 06 Nov 1994 08:49:37 GMT";
/// For a key of zeros, which is what there is without a source of random bytes.
const ACCEPT: &str = "ICX+Yqv66kxgM0FcWaLWlFLwTAI=";

/// The client's end of a connection, packed whenever it can be.
struct End {
    codec: Ws,
    queue: Outbound,
}

impl End {
    /// One that has asked.
    fn new(set_up: impl FnOnce(&mut Setup)) -> Self {
        let mut setup = Setup::default();
        set_up(&mut setup);
        let mut end = Self { codec: Ws::unpark(0), queue: Outbound::default() };
        end.codec.open(&setup, "a", "/chat", &mut Output::new(&mut end.queue, DATE, 0));
        end
    }

    fn receive(&mut self, bytes: &[u8]) -> Step<Message, WebsocketSignal> {
        let step = self.codec.receive(bytes, &LIMITS, &mut Output::new(&mut self.queue, DATE, 0));
        let codec = std::mem::take(&mut self.codec);
        self.codec = codec.park().map_or_else(|codec| codec, Ws::unpark);
        step
    }

    /// Why this is no answer.
    fn refuses(mut self, answer: &str) -> String {
        match self.receive(answer.as_bytes()) {
            Step::Failed(reason) => reason.into(),
            other => panic!("{answer}: {other:?}"),
        }
    }
}

fn answer(lines: &str) -> String {
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {ACCEPT}\r\n{lines}\r\n"
    )
}

/// What came of an answer and two frames, in pieces.
fn told<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<String> {
    let (mut end, mut waiting, mut told) = (End::new(|_| {}), Vec::new(), Vec::new());
    for piece in pieces {
        waiting.extend_from_slice(piece);
        let mut done = 0;
        loop {
            match end.receive(&waiting[done..]) {
                Step::More { consumed } => break done += consumed,
                Step::Signal { consumed, signal: WebsocketSignal::Opened(answer) } => {
                    done += consumed;
                    told.push(format!("{} {}", answer.status(), answer.header("x-greeting").unwrap_or_default()));
                }
                Step::Message { consumed, message } => {
                    done += consumed;
                    told.push(message.to_string());
                }
                other => panic!("{other:?}"),
            }
        }
        waiting.drain(..done);
    }
    assert!(waiting.is_empty() && end.codec.talk.bits().is_some(), "nothing is left");
    told
}

#[test]
fn an_answer_and_what_follows_it_may_come_in_any_pieces() {
    let bytes = [answer("X-Greeting: hello\r\n").as_bytes(), b"\x81\x03one\x01\x01t\x80\x02wo"].concat();
    let expected = ["101 hello", "one", "two"];
    assert_eq!(told([bytes.as_slice()]), expected);
    assert_eq!(told(bytes.chunks(1)), expected);
    for at in 1..bytes.len() {
        let (before, behind) = bytes.split_at(at);
        assert_eq!(told([before, behind]), expected, "cut at {at}");
    }
}

#[test]
fn the_request_says_what_the_standard_wants_and_what_the_app_wants() {
    let request =
        |set_up: fn(&mut Setup)| String::from_utf8(End::new(set_up).queue.as_single().unwrap().to_vec()).unwrap();
    let head = "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n";
    let offer = if cfg!(feature = "deflate") {
        "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
    } else {
        ""
    };
    assert_eq!(request(|_| {}), format!("{head}{offer}\r\n"));
    let own = request(|setup| {
        setup.set_header("Cookie", "a=1");
        setup.set_header("cookie", "b=2");
        setup.set_header("X-Split", "1\r\nX-Other: 2");
        setup.set_header("X:", "1");
        setup.set_header("upgrade", "h2c");
        setup.set_header("sec-websocket-key", "mine");
        setup.set_protocols(&["soap", "chat"]);
        setup.set_header("host", "b:1");
    });
    let lines = "cookie: b=2\r\nSec-WebSocket-Protocol: soap, chat\r\n";
    assert_eq!(own, format!("{}{offer}{lines}\r\n", head.replace("Host: a", "Host: b:1")));
}

#[test]
fn an_answer_that_is_not_as_the_standard_wants_it_is_refused() {
    let right = answer("");
    for (wrong, why) in [
        (right.replace("101 Switching Protocols", "200 OK"), "200 OK"),
        (right.replace("101 Switching Protocols", "401 Unauthorized"), "401 Unauthorized"),
        (right.replace("HTTP/1.1", "HTTP/1.0"), "101 Switching"),
        (
            "HTTP/1.1 302 Found\r\nLocation: https://b/\r\nContent-Length: 0\r\n\r\n".to_owned(),
            "302 Found, see https://b/",
        ),
        ("HTTP/1.0 503 Busy\r\n\r\nlater".to_owned(), "503 Busy"),
        (right.replace("Upgrade: websocket\r\n", ""), "Upgrade: websocket"),
        (right.replace("Upgrade: websocket", "Upgrade: websockets"), "Upgrade: websocket"),
        (right.replace("Connection: Upgrade", "Connection: keep-alive"), "Connection: Upgrade"),
        (right.replace("Sec-WebSocket-Accept", "X-Accept"), "Sec-WebSocket-Accept"),
        (right.replace(ACCEPT, &ACCEPT.to_lowercase()), "Sec-WebSocket-Accept"),
        (answer("Sec-WebSocket-Accept: x\r\n"), "more than one Sec-WebSocket-Accept"),
        (answer("Sec-WebSocket-Protocol: chat\r\n"), "a sub-protocol"),
        (answer("Sec-WebSocket-Extensions: permessage-bzip2\r\n"), "an extension"),
        (answer("no header\r\n"), "malformed"),
        (answer(&"A: b\r\n".repeat(120)), "malformed"),
        (answer(&format!("A: {}\r\n", "a".repeat(17_000))), "longer than 16384 bytes"),
        ("HTTP/2 101\r\n".to_owned(), "HTTP/1.1"),
        ("SSH-2.0-OpenSSH_9.7\r\n".to_owned(), "HTTP/1.1"),
        ("\0".to_owned(), "HTTP/1.1"),
    ] {
        let reason = End::new(|_| {}).refuses(&wrong);
        assert!(reason.contains(why) && reason.contains("handshake"), "{wrong}: {reason}");
    }
}

#[test]
fn what_is_right_may_be_said_in_other_ways() {
    let right = answer("");
    for fine in [
        right.replace("Upgrade: websocket", "UPGRADE:WebSocket"),
        right.replace("Connection: Upgrade", "connection: keep-alive, upgrade"),
        right.replace("Connection: Upgrade", "Connection: keep-alive\r\nConnection: Upgrade"),
        right.replace("101 Switching Protocols", "101"),
        right.replace("101 Switching Protocols", "101 Switching Protocol"),
        right.replace("\r\n\r\n", "\r\nX-Name: \u{e9}\r\n\r\n"),
    ] {
        let step = End::new(|_| {}).receive(fine.as_bytes());
        assert!(matches!(step, Step::Signal { consumed, .. } if consumed == fine.len()), "{fine}: {step:?}");
    }
}

#[test]
fn a_sub_protocol_is_one_that_was_offered() {
    let end = || End::new(|setup| setup.set_protocols(&["soap", "chat"]));
    for (line, fine) in [
        ("", true),
        ("Sec-WebSocket-Protocol: chat\r\n", true),
        ("Sec-WebSocket-Protocol: Chat\r\n", false),
        ("Sec-WebSocket-Protocol: soap, chat\r\n", false),
        ("Sec-WebSocket-Protocol:\r\n", false),
        ("Sec-WebSocket-Protocol: soap\r\nSec-WebSocket-Protocol: chat\r\n", false),
    ] {
        let step = end().receive(answer(line).as_bytes());
        assert_eq!(matches!(step, Step::Signal { .. }), fine, "{line}: {step:?}");
    }
}

#[test]
fn an_answer_without_end_is_looked_at_once() {
    let mut end = End::new(|_| {});
    let mut bytes = b"HTTP/1.1 101 Switching Protocols\r\nA: ".to_vec();
    bytes.resize(16 * 1024, b'a');
    assert_eq!(end.receive(&bytes), Step::More { consumed: 0 });
    let scanned = end.codec.talk.rest.as_ref().and_then(|rest| rest.opening.as_ref()).map(Opening::scanned);
    assert_eq!(scanned, Some(bytes.len()));
    bytes.push(b'a');
    assert!(matches!(end.receive(&bytes), Step::Failed(_)));
}

#[cfg(feature = "deflate")]
#[test]
fn compression_is_as_the_server_accepts_it() {
    use crate::protocols::websocket::Deflate;

    type SetUp = fn(&mut Setup);
    /// Whether we compress, and how much of what has come is kept.
    type Fine = Option<(bool, usize)>;
    let lean = |setup: &mut Setup| setup.set_deflate(Deflate::default().server_context(false).client_context(false));
    let cases: [(SetUp, &str, Fine); 14] = [
        (|_| {}, "permessage-deflate", Some((true, 5))),
        (|_| {}, "permessage-deflate; server_no_context_takeover", Some((true, 0))),
        (|_| {}, "permessage-deflate; server_max_window_bits=8; client_max_window_bits=9", Some((true, 5))),
        (|_| {}, "permessage-deflate; client_max_window_bits=8", Some((false, 5))),
        (|_| {}, "permessage-deflate; client_no_context_takeover", Some((true, 5))),
        (|_| {}, "permessage-deflate; client_max_window_bits", None),
        (|_| {}, "permessage-deflate; client_max_window_bits=16", None),
        (|_| {}, "permessage-deflate; unknown", None),
        (|_| {}, "permessage-deflate, permessage-deflate", None),
        (|_| {}, "permessage-deflate\r\nSec-WebSocket-Extensions: x", None),
        (lean, "permessage-deflate; server_no_context_takeover", Some((true, 0))),
        (lean, "permessage-deflate", None),
        (|setup| setup.set_deflate(Deflate::off()), "permessage-deflate", None),
        (|setup| setup.set_deflate(Deflate::off()), "", Some((false, 0))),
    ];
    for (set_up, value, fine) in cases {
        let line = if value.is_empty() { String::new() } else { format!("Sec-WebSocket-Extensions: {value}\r\n") };
        let mut end = End::new(set_up);
        let step = end.receive(answer(&line).as_bytes());
        let Some((compresses, kept)) = fine else {
            assert!(matches!(step, Step::Failed(_)), "{value}: {step:?}");
            continue;
        };
        assert!(matches!(step, Step::Signal { .. }), "{value}: {step:?}");
        assert_eq!(end.codec.talk.agreed.is_some_and(|agreed| agreed.compresses(1000)), compresses, "{value}");
        if !value.is_empty() {
            // "Hello", as RFC 7692 has it.
            let step = end.receive(b"\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00");
            assert_eq!(step, Step::Message { consumed: 9, message: Message::from("Hello") });
        }
        assert_eq!(end.codec.talk.rest.map_or(0, |rest| rest.history.size()), kept, "{value}");
    }
}

#[test]
fn a_worker_of_it_lets_nobody_in() {
    let mut end = End { codec: Ws::default(), queue: Outbound::default() };
    assert!(matches!(end.receive(b"GET / HTTP/1.1\r\n"), Step::Failed(_)));
}
