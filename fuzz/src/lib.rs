//! What every input must hold to. The fuzz targets call these functions, and `tests/fuzz_corpus.rs` takes this file in
//! to replay the corpora on a stable compiler.
//!
//! The references beside the code under test are written from the RFCs and from the HTML standard: slow, whole at once,
//! and without a look at the codec.

mod answers;
mod conditions;
mod cookies;
mod event_stream;
mod form;
mod params;
mod websocket;
mod websocket_client;

use std::sync::mpsc::channel;
use std::time::Duration;

use workerman::testing::{Simulation, fuzz};
use workerman::{Http, Request, Response, ServerSentEvents, Timer, Worker};

pub use answers::http_response;
pub use conditions::conditions;
pub use cookies::cookies;
pub use event_stream::event_stream;
pub use form::multipart;
pub use params::params;
pub use websocket::{handshake, websocket};
pub use websocket_client::websocket_client;

const LIMIT: usize = 1024 * 1024;

/// Whole, byte by byte and in pieces of some other size: one outcome.
fn receive(input: &[u8]) -> fuzz::Outcome {
    let whole = fuzz::receive([input], LIMIT);
    let odd = input.iter().fold(7, |sum: usize, byte| sum.wrapping_mul(31).wrapping_add((*byte).into())) % 61 + 2;
    for size in [1, odd] {
        let mut cut = fuzz::receive(input.chunks(size), LIMIT);
        // Where a refusal comes in the middle, what was consumed before it is no part of the promise.
        if whole.refused.is_some() {
            cut.consumed = whole.consumed;
        }
        assert_eq!(cut, whole, "in pieces of {size}: {}", input.escape_ascii());
    }
    let status = whole.refused.as_ref().map(|line| line.split(' ').nth(1).unwrap_or_default().to_owned());
    if let Some(status) = status {
        assert!(["400", "413", "414", "431", "501", "505"].contains(&status.as_str()), "{status}");
    }
    whole
}

/// A request's head: accepted exactly when RFC 9112 and RFC 9110 allow it.
pub fn head(input: &[u8]) {
    let outcome = receive(input);
    // Every head that was accepted may be accepted.
    for request in &outcome.requests {
        let head = [request.raw_head(), b"\r\n\r\n"].concat();
        assert!(reference_head(&head), "accepted: {}", head.escape_ascii());
        let _ = (request.path(), request.query_string(), request.get("a"), request.host(), request.last_event_id());
        let _ = (request.get_all(), request.post_all(), request.cookies().count(), request.accepts("text/html"));
        assert_eq!(request.headers().count(), request.raw_head().windows(2).filter(|two| two == b"\r\n").count());
        for (name, _) in request.headers() {
            assert!(request.header(name).is_some());
        }
    }
    // The first one alone, and no other, is accepted.
    let mut first = input;
    while let Some(rest) = first.strip_prefix(b"\r\n") {
        first = rest;
    }
    if let Some(end) = first.windows(4).position(|four| four == b"\r\n\r\n") {
        let head = &first[..end + 4];
        let accepted = fuzz::receive([head], LIMIT).refused.is_none();
        assert_eq!(accepted, reference_head(head), "{}", head.escape_ascii());
    }
}

fn is_token(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte)
}

/// HTAB, SP, visible ASCII and what is above it: RFC 9110 §5.5.
fn is_field_value(byte: &u8) -> bool {
    *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f)
}

/// `%xx` is a byte, and all else is itself; bytes that are not UTF-8 are U+FFFD.
fn percent_decode(encoded: &[u8]) -> String {
    let (mut bytes, mut rest) = (Vec::new(), encoded);
    while let [first, behind @ ..] = rest {
        let digits = behind.get(..2).filter(|two| *first == b'%' && two.iter().all(u8::is_ascii_hexdigit));
        let decoded = digits.and_then(|two| u8::from_str_radix(std::str::from_utf8(two).ok()?, 16).ok());
        bytes.push(decoded.unwrap_or(*first));
        rest = if decoded.is_some() { &behind[2..] } else { behind };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn lines(text: &[u8]) -> Vec<&[u8]> {
    let (mut lines, mut start) = (Vec::new(), 0);
    while let Some(length) = text[start..].windows(2).position(|two| two == b"\r\n") {
        lines.push(&text[start..start + length]);
        start += length + 2;
    }
    lines
}

/// Whether a whole head, blank line included, is to be accepted by a server that knows no coding but `chunked`.
fn reference_head(head: &[u8]) -> bool {
    let lines = lines(head);
    let [request_line, fields @ .., b""] = lines.as_slice() else { return false };
    let words: Vec<_> = request_line.split(|byte| *byte == b' ').collect();
    let [method, target, version] = words[..] else { return false };
    let http10 = version == b"HTTP/1.0";
    if method.is_empty() || !method.iter().all(is_token) || (!http10 && version != b"HTTP/1.1") {
        return false;
    }
    if method == b"CONNECT" || !target.iter().all(u8::is_ascii_graphic) || !reference_target(target) {
        return false;
    }
    let (mut hosts, mut lengths, mut codings) = (Vec::new(), Vec::new(), Vec::new());
    for line in fields {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { return false };
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        if name.is_empty() || !name.iter().all(is_token) || !value.iter().all(is_field_value) {
            return false;
        }
        let value = value.trim_ascii();
        match name.to_ascii_lowercase().as_slice() {
            b"host" => hosts.push(value),
            b"content-length" => lengths.push(value),
            b"transfer-encoding" => codings.push(value),
            _ => {}
        }
    }
    let hosts_fit = match hosts[..] {
        [] => http10,
        [host] => reference_host(host),
        _ => false,
    };
    let framing_fits = match (&lengths[..], &codings[..]) {
        ([], []) => true,
        ([length], []) => {
            let digits = String::from_utf8_lossy(length);
            let fits = digits.trim_start_matches('0').len() < 10;
            !digits.is_empty()
                && digits.bytes().all(|byte| byte.is_ascii_digit())
                && fits
                && digits.parse::<u64>().is_ok_and(|length| length + head.len() as u64 <= LIMIT as u64)
        }
        ([], [coding]) => !http10 && coding.eq_ignore_ascii_case(b"chunked"),
        _ => false,
    };
    fields.len() <= 100 && head.len() < 16 * 1024 + 4 && hosts_fit && framing_fits
}

fn reference_target(target: &[u8]) -> bool {
    let text = String::from_utf8_lossy(target);
    let is_scheme = |scheme: &str| {
        scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme.chars().all(|next| next.is_ascii_alphanumeric() || "+-.".contains(next))
    };
    let absolute = text.split_once("://").is_some_and(|(scheme, rest)| {
        is_scheme(scheme) && reference_host(rest.split(['/', '?']).next().unwrap_or_default().as_bytes())
    });
    text.starts_with('/') || text == "*" || absolute
}

fn reference_host(host: &[u8]) -> bool {
    let Ok(host) = std::str::from_utf8(host) else { return false };
    let port_at = if host.starts_with('[') { host.find(']').map(|at| at + 1) } else { host.find(':') };
    let (name, port) = host.split_at(port_at.unwrap_or(host.len()).min(host.len()));
    let port_fits = port.is_empty()
        || port.strip_prefix(':').is_some_and(|digits| {
            let short = digits.trim_start_matches('0');
            !digits.is_empty()
                && digits.bytes().all(|digit| digit.is_ascii_digit())
                && short.len() < 6
                && short.parse().unwrap_or(0_u32) < 65536
        });
    let name_fits = match name.strip_prefix('[') {
        Some(literal) => literal.strip_suffix(']').is_some_and(|literal| literal.parse::<std::net::Ipv6Addr>().is_ok()),
        None => !name.is_empty() && is_reg_name(name.as_bytes()),
    };
    name_fits && port_fits
}

/// `reg-name` of RFC 3986.
fn is_reg_name(name: &[u8]) -> bool {
    match name {
        [] => true,
        [b'%', high, low, rest @ ..] => high.is_ascii_hexdigit() && low.is_ascii_hexdigit() && is_reg_name(rest),
        [byte, rest @ ..] => (byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(byte)) && is_reg_name(rest),
    }
}

/// A chunked body: taken apart exactly as RFC 9112 §7.1 says, and nothing behind it is touched.
pub fn chunked(input: &[u8]) {
    let head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let wire = [head, input].concat();
    receive(&wire);
    match reference_chunks(input) {
        Reference::Done(body, length) => {
            let outcome = fuzz::receive([&wire[..head.len() + length]], LIMIT);
            assert_eq!((outcome.refused.as_deref(), outcome.consumed), (None, head.len() + length));
            assert_eq!(outcome.requests.len(), 1, "not done: {}", input.escape_ascii());
            assert_eq!(outcome.requests[0].raw_body(), body);
            let rest = fuzz::receive([&wire[..head.len() + length - 1]], LIMIT);
            assert!(rest.requests.is_empty() && rest.refused.is_none(), "done before the end");
        }
        Reference::Refused => {
            let outcome = fuzz::receive([&wire[..]], LIMIT);
            assert!(outcome.requests.is_empty() && outcome.refused.is_some(), "accepted: {}", input.escape_ascii());
        }
        Reference::More => {
            assert!(fuzz::receive([&wire[..]], LIMIT).requests.is_empty(), "accepted: {}", input.escape_ascii());
        }
    }
}

enum Reference {
    /// The body, and how long it is on the wire.
    Done(Vec<u8>, usize),
    /// Not all is here, or what is here is not the beginning of any body.
    More,
    Refused,
}

/// Reads line by line. Bounds: 16 digits, 256 bytes of extension a chunk and 16 KiB a body, 8 KiB of trailers.
fn reference_chunks(input: &[u8]) -> Reference {
    let (mut body, mut at, mut extensions) = (Vec::new(), 0, 0);
    let line_at = |at: usize| {
        let end = input[at..].windows(2).position(|two| two == b"\r\n")?;
        Some((&input[at..at + end], at + end + 2))
    };
    loop {
        let Some((line, next)) = line_at(at) else { return Reference::More };
        at = next;
        let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let (digits, extension) = line.split_at(digits);
        extensions += extension.len();
        let blanks = extension.iter().take_while(|byte| b" \t".contains(byte)).count();
        let shape = matches!(extension[blanks..], [b';', ..]) || extension.is_empty();
        if digits.is_empty() || digits.len() > 16 || !shape || !extension.iter().all(is_field_value) {
            return Reference::Refused;
        }
        if extension.len() > 256 || extensions > 16 * 1024 {
            return Reference::Refused;
        }
        let size = usize::from_str_radix(&String::from_utf8_lossy(digits), 16).expect("at most 16 digits");
        if size > LIMIT - body.len() {
            return Reference::Refused;
        }
        if size == 0 {
            break;
        }
        let end = at + size;
        let Some(data) = input.get(at..end) else { return Reference::More };
        body.extend_from_slice(data);
        match input.get(end..end + 2) {
            Some(b"\r\n") => at = end + 2,
            Some(_) => return Reference::Refused,
            None => return Reference::More,
        }
    }
    let mut trailers = 0;
    loop {
        let Some((line, next)) = line_at(at) else { return Reference::More };
        at = next;
        if line.is_empty() {
            return Reference::Done(body, at);
        }
        trailers += line.len() + 2;
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { return Reference::Refused };
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        let fits = !name.is_empty() && name.iter().all(is_token) && value.iter().all(is_field_value);
        if !fits || trailers > 8 * 1024 {
            return Reference::Refused;
        }
    }
}

/// Events: what a browser reads is what was put in.
///
/// The input is a list of calls, each a byte that names the method and text up to the byte 0xff.
pub fn sse(input: &[u8]) {
    let (mut stream, mut expected) = (String::new(), EventSource::default());
    let (mut event, mut put) = (ServerSentEvents::new(), Put::default());
    for call in input.split(|byte| *byte == 0xff) {
        let Some((method, text)) = call.split_first() else { continue };
        let text = String::from_utf8_lossy(text).into_owned();
        match method % 6 {
            0 => {
                put.event = text.replace(['\r', '\n'], "");
                event = event.event(&text);
            }
            1 => {
                put.data.push(normalised(&text));
                event = event.data(&text);
            }
            2 => {
                put.id = Some(text.replace(['\r', '\n', '\0'], ""));
                event = event.id(&text);
            }
            3 => {
                put.retry = Some(text.len() as u64);
                event = event.retry(text.len() as u64);
            }
            4 => {
                put.comments.extend(normalised(&text).split('\n').map(str::to_owned));
                event = event.comment(&text);
            }
            _ => {
                stream += &std::mem::take(&mut event).to_string();
                expected.take(std::mem::take(&mut put));
            }
        }
    }
    stream += &event.to_string();
    expected.take(put);
    let mut seen = EventSource::default();
    seen.read(&stream);
    assert_eq!(seen, expected, "{stream:?}");
}

/// What was put into one event.
#[derive(Default)]
struct Put {
    event: String,
    data: Vec<String>,
    id: Option<String>,
    retry: Option<u64>,
    comments: Vec<String>,
}

/// What an `EventSource` has seen: HTML standard §9.2.6.
#[derive(Debug, Default, PartialEq)]
struct EventSource {
    /// Type, data and last event id.
    messages: Vec<(String, String, String)>,
    comments: Vec<String>,
    id: String,
    retry: Option<u64>,
}

impl EventSource {
    fn take(&mut self, put: Put) {
        self.id = put.id.unwrap_or(std::mem::take(&mut self.id));
        self.retry = put.retry.or(self.retry);
        self.comments.extend(put.comments);
        if !put.data.is_empty() {
            self.dispatch(put.event, put.data.join("\n"));
        }
    }

    fn dispatch(&mut self, event: String, data: String) {
        let event = if event.is_empty() { "message".to_owned() } else { event };
        self.messages.push((event, data, self.id.clone()));
    }

    fn read(&mut self, stream: &str) {
        let (mut event, mut data) = (String::new(), String::new());
        let text = normalised(stream.strip_prefix('\u{feff}').unwrap_or(stream));
        for line in text.split_terminator('\n') {
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                _ if line.is_empty() => {
                    let (event, mut data) = (std::mem::take(&mut event), std::mem::take(&mut data));
                    if data.pop().is_some() {
                        self.dispatch(event, data);
                    }
                }
                "" => self.comments.push(value.to_owned()),
                "event" => value.clone_into(&mut event),
                "data" => data += &format!("{value}\n"),
                "id" if !value.contains('\0') => value.clone_into(&mut self.id),
                "retry" => self.retry = value.parse().ok().or(self.retry),
                _ => {}
            }
        }
    }
}

/// Line breaks as the standard normalises them.
fn normalised(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n")
}

/// A connection: however its bytes are cut, and however slowly it reads, it gets the same answers.
///
/// The first three bytes choose the cuts, the client's window and the size of the server's writes.
pub fn http(input: &[u8]) {
    let [cut, window, write, wire @ ..] = input else { return };
    let whole = converse(&[wire], usize::MAX, usize::MAX, false);
    let mut random = usize::from(*cut) * 2 + 1;
    let (mut pieces, mut rest) = (Vec::new(), wire);
    while !rest.is_empty() {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let length = if *cut == 0 { 1 } else { (random >> 33) % (usize::from(*cut) + 1) + 1 };
        let (piece, after) = rest.split_at(length.min(rest.len()));
        pieces.push(piece);
        rest = after;
    }
    // A window of 0 would never be left.
    let window = if *window == 0 { usize::MAX } else { usize::from(*window) * 4 };
    let write = if *write == 0 { usize::MAX } else { usize::from(*write) };
    let cut = converse(&pieces, window, write, false);
    let same = cut.requests == whole.requests && cut.wire == whole.wire;
    assert!(same, "{cut:#?} is not {whole:#?}, {}", wire.escape_ascii());
    let in_pieces = converse(&pieces, window, write, true);
    // What is too large as a whole is not in pieces.
    let same = in_pieces.wire == whole.wire || whole.wire.windows(13).any(|status| status == b"HTTP/1.1 413 ");
    assert!(same, "{in_pieces:#?} is not {whole:#?}, {}", wire.escape_ascii());
    check_answers(&whole, wire);
}

/// What a connection came to.
#[derive(Default)]
struct Conversation {
    requests: Vec<Request>,
    /// Everything that was sent to the client, without the interim answers.
    wire: Vec<u8>,
}

impl std::fmt::Debug for Conversation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{:?}\n{}", self.requests, self.wire.escape_ascii())
    }
}

/// What an app has collected of a body.
#[derive(Clone, Default)]
struct Collected(Vec<u8>);

/// An app that answers with what it was sent, to a client with a window that takes so many bytes of each write.
fn converse(pieces: &[&[u8]], window: usize, write: usize, in_pieces: bool) -> Conversation {
    const DATE: &[u8] = b"\r\nDate: ";
    const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
    let simulation = Simulation::new();
    let worker = Worker::<Http>::new("");
    let (log, requests) = channel();
    if in_pieces {
        worker.on_head(|connection, _| {
            connection.set(Collected::default());
            connection.on_body(|connection, piece| {
                connection.with(|collected: &mut Collected| collected.0.extend_from_slice(piece));
            });
        });
    }
    worker.on_message(move |connection, request| {
        let collected = connection.with(|collected: &mut Collected| std::mem::take(&mut collected.0));
        let body = [request.raw_body(), &collected.unwrap_or_default()].concat();
        let text = format!("{} {}", request.method(), body.escape_ascii());
        match request.path().bytes().last() {
            Some(b's') => {
                connection.send(Response::new(200, &[("Content-Type", "text/event-stream")], ""));
                connection.send(ServerSentEvents::new().data(&text));
                connection.send(&ServerSentEvents::new().id(1).data("x".repeat(2000)));
                connection.close();
            }
            Some(b'l') => {
                Timer::delay(1, move || connection.send(text.clone()));
            }
            Some(b'n') => {
                connection.send(Response::new(204, &[("X-A", "b")], text));
            }
            Some(b'c') => {
                connection.send(Response::new(404, &[("Connection", "close")], text));
            }
            Some(b'r') if request.method() != "HEAD" => {
                connection.send_raw("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nraw");
            }
            _ => {
                connection.send(text);
            }
        }
        let _ = log.send(request);
    });
    let peer = simulation.connect(worker);
    peer.set_window(window);
    peer.set_write_limit(write);
    let mut wire = Vec::new();
    let settle = |wire: &mut Vec<u8>| loop {
        simulation.run();
        let bytes = peer.read();
        if bytes.is_empty() {
            break;
        }
        wire.extend(bytes);
    };
    for piece in pieces {
        peer.write(piece);
        settle(&mut wire);
    }
    // A late answer takes a second, and the next request may be late again.
    let mut quiet = 0;
    while quiet < 2 && !peer.is_closed() {
        let before = wire.len();
        simulation.advance(Duration::from_secs(1));
        settle(&mut wire);
        quiet = if wire.len() == before { quiet + 1 } else { 0 };
    }
    peer.finish();
    settle(&mut wire);
    simulation.advance(Duration::from_secs(2));
    settle(&mut wire);
    assert!(peer.is_closed(), "a connection stays behind");
    assert_eq!(worker.connections().count(), 0, "a handle stays behind");
    // Whether it is sent depends on whether the body was there already (RFC 9110 §10.1.1).
    while let Some(at) = wire.windows(CONTINUE.len()).position(|bytes| bytes == CONTINUE) {
        wire.drain(at..at + CONTINUE.len());
    }
    // The clock goes on from one conversation to the next.
    while let Some(at) = wire.windows(DATE.len()).position(|bytes| bytes == DATE) {
        wire.drain(at..at + DATE.len() + "Sun, 06 Nov 1994 08:49:37 GMT".len());
    }
    drop(simulation);
    Conversation { requests: requests.try_iter().collect(), wire }
}

/// One complete answer for each request, in order, and one more at most: the refusal, which is the last.
fn check_answers(conversation: &Conversation, sent: &[u8]) {
    let (mut rest, mut requests) = (conversation.wire.as_slice(), conversation.requests.iter());
    while !rest.is_empty() {
        let end = rest.windows(4).position(|four| four == b"\r\n\r\n").expect("the end of a head");
        let head = String::from_utf8(rest[..end].to_vec()).expect("a head is text");
        rest = &rest[end + 4..];
        let header = |name: &str| {
            let mut values = head.split("\r\n").filter_map(|line| line.split_once(": ")).filter(|line| line.0 == name);
            let value = values.next().map(|line| line.1);
            assert!(values.next().is_none(), "{name} twice: {head}");
            value
        };
        let status: u16 = head[9..12].parse().expect("a status");
        let request = requests.next();
        let refused = request.is_none();
        if refused {
            assert!(status >= 400 && rest.is_empty() && header("Connection") == Some("close"), "{head}");
        }
        let bodyless = status == 204 || request.is_some_and(|request| request.method() == "HEAD");
        assert!(status != 204 || header("Content-Length").is_none());
        if header("Transfer-Encoding").is_some() {
            assert!(rest.ends_with(b"0\r\n\r\n") && header("Content-Length").is_none());
            return;
        }
        if let Some(length) = header("Content-Length").filter(|_| !bodyless) {
            let length: usize = length.parse().expect("a length");
            assert!(length <= rest.len(), "an answer is cut off: {}", sent.escape_ascii());
            rest = &rest[length..];
        } else if header("Content-Type") == Some("text/event-stream") && !bodyless {
            return; // it ends with the connection
        }
        if header("Connection") == Some("close") {
            assert!(rest.is_empty(), "bytes behind the last answer");
            return;
        }
    }
    assert!(requests.next().is_none(), "a request without an answer: {}", sent.escape_ascii());
}
