//! A client of WebSocket: however what a server sends is cut, one outcome, and nothing but masked frames behind the request.

use std::cell::Cell;
use std::rc::Rc;

use workerman::testing::Simulation;
use workerman::{AsyncTcpConnection, Message, Ws};

const LIMIT: usize = 3000;
/// For the first key of a simulation, which follows from its seed.
const ACCEPT: &str = "jwbYAxd9zNXNoM53G77r42hINv8=";

/// The first byte decides how the rest is cut, and whether it is all that the server sends or what comes behind a right answer,
/// with compression or without.
pub fn websocket_client(input: &[u8]) {
    let [how, rest @ ..] = input else { return };
    let extension = "Sec-WebSocket-Extensions: permessage-deflate\r\n";
    let lines = if how & 2 != 0 { extension } else { "" };
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {ACCEPT}\r\n{lines}\r\n"
    );
    let wire = if how & 1 != 0 { rest.to_vec() } else { [answer.as_bytes(), rest].concat() };
    let whole = converse([wire.as_slice()]);
    assert!(how & 1 != 0 || whole.told.first().is_some_and(|told| told == "let in"), "{:?}", whole.told);
    let size = usize::from(how >> 2) + 1;
    for size in [1, size] {
        let cut = converse(wire.chunks(size));
        assert_eq!(cut, whole, "in pieces of {size}: {}", wire.escape_ascii());
    }
    if whole.told.first().is_none_or(|told| told != "let in") {
        assert!(whole.frames.is_empty() && whole.told.iter().all(|told| told == "error" || told == "close"));
    }
    assert!(whole.frames.iter().rev().skip(1).all(|frame| frame.0 != 0x88), "nothing follows a Close");
}

/// What a connection came to.
#[derive(Debug, Default, PartialEq)]
struct Outcome {
    told: Vec<String>,
    frames: Vec<(u8, Vec<u8>)>,
    finished: bool,
}

fn converse<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Outcome {
    let simulation = Simulation::new();
    let client = AsyncTcpConnection::<Ws>::new("ws://a/");
    let log = Rc::new(Cell::new(Vec::new()));
    let add = |line: String| {
        let log = Rc::clone(&log);
        move || {
            let mut lines: Vec<String> = log.take();
            lines.push(line.clone());
            log.set(lines);
        }
    };
    let (let_in, error, end) = (add("let in".to_owned()), add("error".to_owned()), add("close".to_owned()));
    client.on_connect(|client| {
        if let Some(connection) = client.connection() {
            connection.set_max_package_size(LIMIT);
            connection.set_max_send_buffer_size(usize::MAX);
        }
    });
    client.on_websocket_connect(move |_, _| let_in());
    client.on_error(move |_, _, _| error());
    client.on_close(move |_| end());
    let messages = Rc::clone(&log);
    client.on_message(move |client, message: Message| {
        let mut lines = messages.take();
        lines.push(format!("{message:?}"));
        messages.set(lines);
        client.send(message)
    });
    client.connect();
    simulation.run();
    let peer = simulation.accept().expect("it connects");
    simulation.run();
    assert!(peer.read_text().ends_with("\r\n\r\n"));
    for piece in pieces {
        peer.write(piece);
        simulation.run();
    }
    Outcome { frames: frames(&peer.read()), finished: peer.is_finished(), told: log.take() }
}

/// The frames of the client: first bytes and payloads, all whole and masked.
fn frames(mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut frames = Vec::new();
    while let [first, second, rest @ ..] = bytes {
        assert_eq!(second & 0x80, 0x80, "a client masks");
        let (length, rest) = match second & 0x7f {
            126 => (usize::from(u16::from_be_bytes([rest[0], rest[1]])), &rest[2..]),
            length => (usize::from(length), rest),
        };
        assert!(second & 0x7f < 127 && rest.len() >= length + 4, "a whole frame of at most {LIMIT} bytes");
        let (mask, rest) = rest.split_at(4);
        let (payload, behind) = rest.split_at(length);
        frames.push((*first, payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect()));
        bytes = behind;
    }
    assert!(bytes.is_empty());
    frames
}
