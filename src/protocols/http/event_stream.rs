//! A `text/event-stream` as a client reads it: HTML standard §9.2.5 and §9.2.6.
//!
//! In scope: from bytes, cut anywhere, to events, the last event id and the time to wait before coming back. Out of scope:
//! connections, and what an app makes of it.
//!
//! Invariants:
//! * bytes are looked at once; a line that is there as a whole is never copied before its field is known;
//! * an event and the line behind it are at most as large as the limit says;
//! * a stream that breaks off in an event has not told it: neither data nor id count before the blank line;
//! * an event is one allocation: its data with type and id behind.

use std::fmt;

use memchr::{memchr, memchr2};

/// What an event and its next line may have together, unless the app says otherwise.
pub(crate) const LIMIT: usize = 1 << 20;
/// A buffer with more room is given back after its event.
const KEPT: usize = 16 << 10;
/// What an event is called that has no type.
const MESSAGE: &str = "message";

/// An event of a stream that an [`EventSource`](crate::EventSource) reads, as a browser's `MessageEvent`.
///
/// ```
/// # use workerman::EventSource;
/// # let source = EventSource::new("http://127.0.0.1:1/events");
/// source.on_message(|_, event| println!("{} {}: {}", event.id(), event.event(), event.data()));
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct MessageEvent {
    /// Data, type and id, one behind the other.
    text: Box<str>,
    data: usize,
    event: usize,
}

impl MessageEvent {
    fn new(data: &str, event: &str, id: &str) -> Self {
        Self { text: [data, event, id].concat().into(), data: data.len(), event: data.len() + event.len() }
    }

    /// Its data, lines separated by LF.
    ///
    /// ```
    /// # use workerman::EventSource;
    /// # let source = EventSource::new("http://127.0.0.1:1/events");
    /// source.on_message(|_, event| println!("{}", event.data().lines().count()));
    /// ```
    pub fn data(&self) -> &str {
        self.text.get(..self.data).unwrap_or_default()
    }

    /// Its type: `message` unless the server says otherwise.
    ///
    /// ```
    /// # use workerman::EventSource;
    /// # let source = EventSource::new("http://127.0.0.1:1/events");
    /// source.on_message(|_, event| println!("{}", event.event() == "price"));
    /// ```
    pub fn event(&self) -> &str {
        let event = self.text.get(self.data..self.event).unwrap_or_default();
        if event.is_empty() { MESSAGE } else { event }
    }

    /// The id that the server has given last, with this event or before it; empty if it has given none.
    ///
    /// ```
    /// # use workerman::EventSource;
    /// # let source = EventSource::new("http://127.0.0.1:1/events");
    /// source.on_message(|_, event| println!("{:?}", event.id().parse::<u64>()));
    /// ```
    #[doc(alias = "lastEventId")]
    pub fn id(&self) -> &str {
        self.text.get(self.event..).unwrap_or_default()
    }
}

impl fmt::Debug for MessageEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("MessageEvent");
        out.field("event", &self.event()).field("data", &self.data()).field("id", &self.id()).finish()
    }
}

/// An event is larger than the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLarge;

/// Reads one stream after another from one source.
#[derive(Clone, Debug)]
pub struct EventStream {
    /// The beginning of a line.
    line: Vec<u8>,
    /// Lines of data, an LF behind each.
    data: Vec<u8>,
    event: String,
    /// The id of the event that is being read.
    id: String,
    /// That of the last event that was told.
    last_id: String,
    retry: Option<u64>,
    is_first_line: bool,
    is_after_cr: bool,
    limit: usize,
}

impl Default for EventStream {
    fn default() -> Self {
        Self {
            line: Vec::new(),
            data: Vec::new(),
            event: String::new(),
            id: String::new(),
            last_id: String::new(),
            retry: None,
            is_first_line: true,
            is_after_cr: false,
            limit: LIMIT,
        }
    }
}

impl EventStream {
    /// Goes on reading, to the end of the next event at most; what is left of the input is behind it.
    ///
    /// # Errors
    ///
    /// The stream is of no use any more, until [`restart`](Self::restart).
    pub fn receive(&mut self, input: &mut &[u8]) -> Result<Option<MessageEvent>, TooLarge> {
        if self.is_after_cr && !input.is_empty() {
            *input = input.strip_prefix(b"\n").unwrap_or(input);
            self.is_after_cr = false;
        }
        while let Some(end) = memchr2(b'\r', b'\n', input) {
            let (piece, behind) = input.split_at(end);
            self.check(piece.len())?;
            *input = self.skip_break(behind);
            let event = if self.line.is_empty() {
                self.end_line(piece)
            } else {
                let mut line = std::mem::take(&mut self.line);
                line.extend_from_slice(piece);
                let event = self.end_line(&line);
                line.clear();
                self.line = cooled(line);
                event
            };
            if event.is_some() {
                return Ok(event);
            }
        }
        self.check(input.len())?;
        self.line.extend_from_slice(input);
        *input = &[];
        Ok(None)
    }

    /// The next bytes are those of another connection. The id stays, as in browsers.
    pub fn restart(&mut self) {
        let (last_id, limit) = (std::mem::take(&mut self.last_id), self.limit);
        *self = Self { id: last_id.clone(), last_id, limit, ..Self::default() };
    }

    /// What the server is asked to go on behind.
    pub fn last_id(&self) -> &str {
        &self.last_id
    }

    /// Goes on behind this one, which has no line break and no NUL.
    pub fn set_last_id(&mut self, id: &str) {
        id.clone_into(&mut self.id);
        id.clone_into(&mut self.last_id);
    }

    /// The milliseconds to wait before coming back, if the server has said so since this was last asked.
    pub fn take_retry(&mut self) -> Option<u64> {
        self.retry.take()
    }

    /// How many bytes an event may have, with the line that is being read.
    pub fn set_limit(&mut self, bytes: usize) {
        self.limit = bytes;
    }

    fn check(&self, more: usize) -> Result<(), TooLarge> {
        let size = self.data.len() + self.event.len() + self.id.len() + self.line.len() + more;
        if size > self.limit { Err(TooLarge) } else { Ok(()) }
    }

    /// Behind a line break. The LF of a CRLF may be still to come.
    fn skip_break<'a>(&mut self, input: &'a [u8]) -> &'a [u8] {
        match input {
            [b'\r', b'\n', behind @ ..] => behind,
            [b'\r'] => {
                self.is_after_cr = true;
                &[]
            }
            [_, behind @ ..] => behind,
            [] => &[],
        }
    }

    fn end_line(&mut self, line: &[u8]) -> Option<MessageEvent> {
        let line = match line.strip_prefix(b"\xef\xbb\xbf") {
            Some(behind) if self.is_first_line => behind,
            _ => line,
        };
        self.is_first_line = false;
        if line.is_empty() {
            return self.dispatch();
        }
        let (field, value) = match memchr(b':', line).map(|colon| line.split_at(colon)) {
            Some((field, [_, b' ', value @ ..] | [_, value @ ..])) => (field, value),
            _ => (line, &b""[..]),
        };
        self.take_field(field, value);
        None
    }

    fn take_field(&mut self, field: &[u8], value: &[u8]) {
        match field {
            b"data" => {
                self.data.extend_from_slice(value);
                self.data.push(b'\n');
            }
            b"event" => String::from_utf8_lossy(value).as_ref().clone_into(&mut self.event),
            b"id" if !value.contains(&0) => String::from_utf8_lossy(value).as_ref().clone_into(&mut self.id),
            b"retry" if !value.is_empty() && value.iter().all(u8::is_ascii_digit) => {
                let digit = |sum: u64, digit: &u8| sum.saturating_mul(10).saturating_add(u64::from(digit - b'0'));
                self.retry = Some(value.iter().fold(0, digit));
            }
            // A comment, or of no meaning.
            _ => {}
        }
    }

    fn dispatch(&mut self) -> Option<MessageEvent> {
        self.last_id.clone_from(&self.id);
        let mut data = std::mem::take(&mut self.data);
        let event = data.pop().map(|_| MessageEvent::new(&String::from_utf8_lossy(&data), &self.event, &self.id));
        data.clear();
        self.data = cooled(data);
        self.event.clear();
        event
    }
}

/// Without the room that only a large event needs.
fn cooled(buffer: Vec<u8>) -> Vec<u8> {
    if buffer.capacity() > KEPT { Vec::new() } else { buffer }
}

#[cfg(test)]
mod tests;
