//! [`ServerSentEvents`]: one event of a `text/event-stream`, built and encoded.
//!
//! In scope: the bytes of an event, and of the HTTP chunk around it. Which of the two goes out, and whether a stream
//! is open at all, is decided by the caller.
//!
//! Invariants:
//! * what a browser's `EventSource` reads is what was put in, whatever the bytes: a line break splits `data` and
//!   comments into lines and never enters `event` or `id`, so no value can forge a field or end the event early;
//! * an event is one blank line at least, so its chunk is never the empty one that ends a body;
//! * the text is kept ready for the wire, so encoding is one copy, and a [`Prepared`] event is not even that.

use std::fmt::{self, Write as _};
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use memchr::memchr2;

use super::chunked;

/// One event of a `text/event-stream`.
///
/// Every field is optional. Setting `event`, `id` or `retry` again replaces the earlier value; `data` and `comment` add
/// lines. The order of the calls does not matter: fields are sent as comments, `event`, `id`, `retry`, `data`.
///
/// ```
/// use workerman::ServerSentEvents;
///
/// let event = ServerSentEvents::new().event("message").data("hello").id(1);
/// assert_eq!(event.to_string(), "event: message\nid: 1\ndata: hello\n\n");
/// ```
///
/// To send one event to many connections, build it once and send it by reference: it is then encoded once.
#[doc(alias = "__toString")]
#[doc(alias = "SSE")]
#[derive(Clone, Default)]
#[must_use = "an event does nothing until it is sent"]
pub struct ServerSentEvents {
    /// All lines in wire order, without the blank line at the end. Always UTF-8.
    lines: Vec<u8>,
    /// How many bytes of `lines` belong to each [`Field`].
    lengths: [usize; 5],
    prepared: OnceLock<Prepared>,
}

/// The fields in wire order.
#[derive(Clone, Copy)]
enum Field {
    Comment,
    Event,
    Id,
    Retry,
    Data,
}

/// Room made by the first field for short others, so that a small event takes one allocation.
const ROOM: usize = 64;

impl ServerSentEvents {
    /// An event without any field. Sent like that it is a lone blank line, which a browser ignores.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the event's type, which decides the listener it reaches: `source.addEventListener(name, …)`. Without it,
    /// or when empty, the browser takes `message`. Line breaks in it are removed.
    ///
    /// ```
    /// use workerman::ServerSentEvents;
    ///
    /// let event = ServerSentEvents::new().event("price\ndata: forged").data("12");
    /// assert_eq!(event.to_string(), "event: pricedata: forged\ndata: 12\n\n");
    /// ```
    pub fn event(self, name: impl AsRef<str>) -> Self {
        self.set(Field::Event, "event: ", name.as_ref(), b"\r\n")
    }

    /// Adds data. CR, LF and CRLF each end a line; the browser gets the lines back joined by LF, and so it does when
    /// this is called several times. An event without data never reaches a listener; empty data does.
    ///
    /// ```
    /// use workerman::ServerSentEvents;
    ///
    /// let event = ServerSentEvents::new().data("first\r\nsecond").data("third");
    /// assert_eq!(event.to_string(), "data: first\ndata: second\ndata: third\n\n");
    /// ```
    pub fn data(self, data: impl AsRef<str>) -> Self {
        self.add(Field::Data, |out| push_lines(out, b"data: ", data.as_ref()))
    }

    /// Sets the id, which the browser sends back as `Last-Event-ID` when it reconnects; an empty one resets it.
    /// Anything that can be displayed will do. Line breaks and NUL in it are removed: browsers ignore an id with NUL.
    ///
    /// ```
    /// use workerman::ServerSentEvents;
    ///
    /// assert_eq!(ServerSentEvents::new().id(7).to_string(), "id: 7\n\n");
    /// assert_eq!(ServerSentEvents::new().id("a-7\0\n").to_string(), "id: a-7\n\n");
    /// ```
    pub fn id(self, id: impl fmt::Display) -> Self {
        self.set(Field::Id, "id: ", id, b"\r\n\0")
    }

    /// Sets how many **milliseconds** the browser waits before it reconnects, for this stream from now on.
    ///
    /// ```
    /// use workerman::ServerSentEvents;
    ///
    /// assert_eq!(ServerSentEvents::new().retry(5000).to_string(), "retry: 5000\n\n");
    /// ```
    pub fn retry(self, milliseconds: u64) -> Self {
        self.set(Field::Retry, "retry: ", milliseconds, b"")
    }

    /// Adds a comment, which browsers ignore: the usual heartbeat. PHP spells it `['' => 'text']`. Line breaks split it
    /// into several comments.
    ///
    /// ```
    /// use workerman::ServerSentEvents;
    ///
    /// assert_eq!(ServerSentEvents::new().comment("heartbeat").to_string(), ": heartbeat\n\n");
    /// ```
    pub fn comment(self, text: impl AsRef<str>) -> Self {
        self.add(Field::Comment, |out| push_lines(out, b": ", text.as_ref()))
    }

    /// The event as shared bytes, encoded at the first call only.
    pub(crate) fn prepared(&self) -> &Prepared {
        self.prepared.get_or_init(|| {
            let mut bytes = Vec::new();
            self.encode_chunk_into(&mut bytes);
            Prepared { head: bytes.len() - self.encoded_len() - chunked::CRLF.len(), bytes: bytes.into() }
        })
    }

    /// Appends the plain event.
    pub(crate) fn encode_into(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.lines);
        out.push(b'\n');
    }

    /// The exact number of bytes [`encode_into`](Self::encode_into) appends; never 0.
    pub(crate) fn encoded_len(&self) -> usize {
        self.lines.len() + 1
    }

    /// Appends the event as one HTTP chunk.
    pub(crate) fn encode_chunk_into(&self, out: &mut Vec<u8>) {
        out.reserve(chunked::OVERHEAD + self.encoded_len());
        chunked::encode_head(self.encoded_len(), out);
        self.encode_into(out);
        out.extend_from_slice(chunked::CRLF);
    }

    /// Replaces the line of `field`; the `banned` bytes of the value, all ASCII, are left out.
    #[allow(clippy::indexing_slicing)] // a `Field` is always an index
    fn set(mut self, field: Field, name: &str, value: impl fmt::Display, banned: &[u8]) -> Self {
        let end = self.end(field);
        self.lines.drain(end - self.lengths[field as usize]..end);
        self.lengths[field as usize] = 0;
        self.add(field, |out| {
            out.extend_from_slice(name.as_bytes());
            // Only a user's `Display` can fail here: what it wrote until then stands.
            let _ = write!(Without { banned, out }, "{value}");
            out.push(b'\n');
        })
    }

    /// Adds lines behind those `field` already has. They are written at the end, which takes no second buffer, and
    /// then moved to their place.
    #[allow(clippy::indexing_slicing)] // a `Field` is always an index, and `lengths` adds up to the length of `lines`
    fn add(mut self, field: Field, write: impl FnOnce(&mut Vec<u8>)) -> Self {
        self.prepared.take();
        if self.lines.capacity() == 0 {
            self.lines.reserve(ROOM);
        }
        let before = self.lines.len();
        write(&mut self.lines);
        let added = self.lines.len() - before;
        let end = self.end(field);
        self.lines[end..].rotate_right(added);
        self.lengths[field as usize] += added;
        self
    }

    /// Where the lines of `field` end.
    fn end(&self, field: Field) -> usize {
        self.lengths.iter().take(field as usize + 1).sum()
    }
}

/// The plain event, as it is sent on HTTP/1.0: PHP's string cast.
impl fmt::Display for ServerSentEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", str::from_utf8(&self.lines).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for ServerSentEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ServerSentEvents").field(&self.to_string()).finish()
    }
}

/// An encoded event that many connections share: its HTTP chunk, with the plain event inside.
#[derive(Clone, Debug)]
pub(crate) struct Prepared {
    bytes: Arc<[u8]>,
    /// The length of the chunk's head, behind which the event begins.
    head: usize,
}

impl Prepared {
    /// The event as one HTTP chunk.
    pub(crate) fn chunk(&self) -> (&Arc<[u8]>, Range<usize>) {
        (&self.bytes, 0..self.bytes.len())
    }

    /// The plain event.
    pub(crate) fn event(&self) -> (&Arc<[u8]>, Range<usize>) {
        (&self.bytes, self.head..self.bytes.len() - chunked::CRLF.len())
    }
}

/// Writes text without the `banned` bytes.
struct Without<'a> {
    banned: &'a [u8],
    out: &'a mut Vec<u8>,
}

impl fmt::Write for Without<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for piece in text.as_bytes().split(|byte| self.banned.contains(byte)) {
            self.out.extend_from_slice(piece);
        }
        Ok(())
    }
}

/// Appends each line of `text` behind `name`; CR, LF and CRLF end a line, as in the HTML standard.
fn push_lines(out: &mut Vec<u8>, name: &[u8], text: &str) {
    let mut rest = text.as_bytes();
    out.reserve(name.len() + rest.len() + 1);
    loop {
        let (line, behind) = rest.split_at(memchr2(b'\r', b'\n', rest).unwrap_or(rest.len()));
        out.extend_from_slice(name);
        out.extend_from_slice(line);
        out.push(b'\n');
        match behind {
            [b'\r', b'\n', after @ ..] | [_, after @ ..] => rest = after,
            [] => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slice((bytes, range): (&Arc<[u8]>, Range<usize>)) -> &[u8] {
        &bytes[range]
    }

    fn encoded(event: &ServerSentEvents) -> Vec<u8> {
        let mut out = Vec::new();
        event.encode_into(&mut out);
        out
    }

    #[test]
    fn every_way_to_encode_gives_the_same_bytes() {
        for length in [0, 1, 7, 8, 9, 240, 248, 249, 5000, 70_000] {
            let event = ServerSentEvents::new().data("x".repeat(length)).comment("\u{e9}").id(length);
            let plain = encoded(&event);
            let mut chunk = b"before".to_vec();
            event.encode_chunk_into(&mut chunk);

            assert_eq!(plain.len(), event.encoded_len());
            assert_eq!(plain, event.to_string().as_bytes());
            assert_eq!(chunk, [format!("before{:x}\r\n", plain.len()).as_bytes(), &plain, b"\r\n"].concat());
            assert_eq!(slice(event.prepared().event()), plain);
            assert_eq!(slice(event.prepared().chunk()), &chunk[6..]);
        }
    }

    #[test]
    fn an_event_without_fields_is_one_blank_line_and_not_the_last_chunk() {
        let event = ServerSentEvents::new();
        assert_eq!(slice(event.prepared().chunk()), b"1\r\n\n\r\n");
        assert_eq!(slice(event.prepared().event()), b"\n");
    }

    #[test]
    fn a_prepared_event_is_encoded_once_and_shared_by_clones() {
        let event = ServerSentEvents::new().data("hello");
        let first = Arc::clone(event.prepared().chunk().0);
        assert!(Arc::ptr_eq(&first, event.prepared().event().0));
        let clone = event.clone();
        drop(event);
        assert!(Arc::ptr_eq(&first, clone.prepared().chunk().0));
    }

    #[test]
    fn changing_any_field_of_a_prepared_event_is_seen() {
        type Change = fn(ServerSentEvents) -> ServerSentEvents;
        let changes: [Change; 5] =
            [|e| e.event("b"), |e| e.data("b"), |e| e.id("b"), |e| e.retry(2), |e| e.comment("b")];
        for change in changes {
            let event = ServerSentEvents::new().event("a").data("a").id("a").retry(1).comment("a");
            let before = event.prepared().clone();
            let event = change(event);
            assert_ne!(slice(event.prepared().event()), slice(before.event()));
            assert_eq!(slice(event.prepared().event()), encoded(&event));
        }
    }

    #[test]
    fn a_small_event_takes_one_allocation() {
        let first = ServerSentEvents::new().event("message");
        let capacity = first.lines.capacity();
        assert_eq!(first.data("hello").id(1).retry(5000).lines.capacity(), capacity);
    }

    #[test]
    fn a_display_that_fails_leaves_a_whole_line() {
        struct Failing;
        impl fmt::Display for Failing {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("half\n")?;
                Err(fmt::Error)
            }
        }
        assert_eq!(ServerSentEvents::new().data("x").id(Failing).to_string(), "id: half\ndata: x\n\n");
    }

    #[test]
    fn debug_shows_the_text() {
        assert_eq!(format!("{:?}", ServerSentEvents::new().id(1)), r#"ServerSentEvents("id: 1\n\n")"#);
    }
}
