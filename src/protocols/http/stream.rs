//! Answers that come part by part: event streams, and answers in chunks.
//!
//! ```text
//!                  Response                    Chunk, event, raw bytes          empty Chunk
//!  exchange Open ───────────▶ Chunked / Plain ───────────────────────▶ (same) ─────────────▶ Idle
//!                             Parts / PlainParts
//! ```
//!
//! Invariants: the framing is ours whatever is sent inside, so a part can neither end the body nor begin another answer;
//! only the app's own end (the empty chunk, `close`) makes the last chunk, so a body that was given up is seen to be
//! incomplete (RFC 9112 §8).

use std::borrow::Cow;

use super::encode::{Keep, connection_line, end_of_head, own_lines, status_line};
use super::exchange::Phase;
use super::headers::Known;
use super::response::{Body, Response};
use super::{Http, chunked};
use crate::protocols::output::Output;
use crate::protocols::{Encode, Encoded};

const NO_PARTS: Encoded =
    Encoded::Stray("no answer in chunks is open here: send a Response with Transfer-Encoding: chunked first");

/// A part of an answer in chunks. The first is the body of a [`Response`] with `Transfer-Encoding: chunked`; an empty
/// chunk ends the answer, and the connection goes on with the next request.
///
/// ```
/// use workerman::{Chunk, Http, Response, Timer, Worker};
///
/// let worker = Worker::<Http>::new("http://127.0.0.1:0");
/// worker.on_message(|connection, _request| {
///     connection.send(Response::new(200, &[("Transfer-Encoding", "chunked")], "first, "));
///     let mut parts = ["second, ", "third"].into_iter();
///     connection.add_timer(1, move |timer_id| {
///         let part = parts.next().unwrap_or_default();
///         if part.is_empty() {
///             Timer::del(timer_id);
///         }
///         connection.send(Chunk::new(part));
///     });
/// });
/// ```
///
/// * HTTP/1.0 clients get the parts as they are, and the end of the connection as their end. The answer to HEAD is the
///   head; its parts are taken and not sent.
/// * On an event stream a chunk is a piece of the stream, and the empty chunk its end.
/// * Where no answer in chunks is open, a chunk is [`Dropped`](crate::SendStatus::Dropped), and that is logged once for a
///   connection.
/// * No part is ever dropped for lack of room, since that would leave a hole in the body. `send` answers
///   [`Queued`](crate::SendStatus::Queued) when the peer is slower than the app, and `on_buffer_full` and
///   `on_buffer_drain` say when to pause and when to go on.
/// * While an answer is open there is no deadline but the one for reading what waits. A peer that sends FIN still gets
///   the rest, unless nothing of it is made or read for 30 s.
/// * [`close`](crate::TcpConnection::close) ends the answer well. A callback that fails, `destroy` and a stop whose time is over do
///   not: an HTTP/1.1 client sees that something is missing.
#[derive(Clone, Debug, Default)]
#[must_use = "a chunk does nothing until it is sent"]
pub struct Chunk<'a>(Body<'a>);

impl<'a> Chunk<'a> {
    /// A part with these bytes; none at all is the end of the answer.
    ///
    /// ```
    /// # use workerman::Chunk;
    /// let part = Chunk::new("text");
    /// let owned = Chunk::new(vec![0; 65_536]); // is not copied
    /// let end = Chunk::new("");
    /// ```
    #[doc(alias = "__construct")]
    pub fn new(bytes: impl Into<Body<'a>>) -> Self {
        Self(bytes.into())
    }
}

impl Encode<Chunk<'_>> for Http {
    fn encode(&mut self, chunk: Chunk<'_>, output: &mut Output<'_>) -> Encoded {
        let bytes = chunk.0.0;
        match self.exchange.phase() {
            _ if !self.exchange.admits(output.ticket) => return NO_PARTS,
            Phase::Idle | Phase::Open | Phase::Raw => return NO_PARTS,
            Phase::Chunked | Phase::Plain | Phase::Parts | Phase::PlainParts if bytes.is_empty() => {
                self.encode_last_chunk(output);
                self.complete(output, false);
            }
            Phase::Chunked | Phase::Plain | Phase::Parts | Phase::PlainParts => self.encode_part(bytes, output),
        }
        Encoded::Done
    }
}

/// What a response opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stream {
    Events,
    Parts,
}

impl Http {
    /// What this response opens, if it is no whole answer.
    #[cold]
    pub(super) fn stream_of(&self, response: &Response) -> Option<Stream> {
        if !response.has_body() {
            None
        } else if response.is_event_stream() {
            // HEAD gets a whole answer: nobody is there to read events.
            (!self.exchange.head_only()).then_some(Stream::Events)
        } else {
            // 205 has no content (RFC 9110 §15.3.6).
            (response.status() != 205 && response.parts.headers.has(Known::Chunked)).then_some(Stream::Parts)
        }
    }

    /// The head of an answer that comes in parts, and the first of them.
    pub(super) fn open_stream(&mut self, stream: Stream, mut response: Response, output: &mut Output<'_>) {
        let http10 = self.exchange.http10() || response.parts.http10;
        let close = http10 || !self.exchange.keep_alive() || response.wants_close();
        let headers = &response.parts.headers;
        let date = *output.date;
        let mut tail = output.tail();
        status_line(&mut tail, &response, http10);
        // The app's own line stays where it is, if it is true.
        let own_coding = stream == Stream::Parts && !http10;
        own_lines(&mut tail, &response, close, Keep { length: false, coding: own_coding });
        if !headers.has(Known::Connection) {
            connection_line(&mut tail, close);
        }
        match stream {
            Stream::Events => stream_lines(&mut tail, &response, http10),
            Stream::Parts if headers.has(Known::ContentType) => {}
            Stream::Parts => tail.extend_from_slice(b"Content-Type: text/html;charset=utf-8\r\n"),
        }
        end_of_head(&mut tail, &response, &date);
        drop(tail);
        self.exchange.set_phase(match stream {
            Stream::Events if http10 => Phase::Plain,
            Stream::Events => Phase::Chunked,
            Stream::Parts if http10 => Phase::PlainParts,
            Stream::Parts => Phase::Parts,
        });
        if close {
            self.exchange.set_last();
        }
        // The "\r\n" that PHP programs give is not worth a chunk; anything more is the beginning of the stream.
        if stream == Stream::Parts || !response.raw_body().trim_ascii().is_empty() {
            self.encode_part(std::mem::take(&mut response.parts.body).into(), output);
        }
    }

    /// A part, in the framing of what is open. An empty one would end it, so it is left out.
    pub(super) fn encode_part(&self, bytes: Cow<'_, [u8]>, output: &mut Output<'_>) {
        if bytes.is_empty() || self.exchange.head_only() {
            return;
        }
        let chunked = self.exchange.phase().is_chunked();
        if chunked {
            chunked::encode_head(bytes.len(), &mut output.tail());
        }
        match bytes {
            Cow::Borrowed(bytes) => output.bytes(bytes),
            Cow::Owned(bytes) => output.owned(bytes),
        }
        if chunked {
            output.bytes(chunked::CRLF);
        }
    }

    /// The last chunk of what is open, if there are chunks at all.
    pub(super) fn encode_last_chunk(&self, output: &mut Output<'_>) {
        if self.exchange.phase().is_chunked() && !self.exchange.head_only() {
            output.bytes(b"0\r\n\r\n");
        }
    }
}

/// The lines that an event stream has unless the app has its own.
fn stream_lines(tail: &mut Vec<u8>, response: &Response, http10: bool) {
    let headers = &response.parts.headers;
    if !headers.has(Known::CacheControl) {
        tail.extend_from_slice(b"Cache-Control: no-cache\r\n");
    }
    if !headers.has(Known::XAccelBuffering) {
        tail.extend_from_slice(b"X-Accel-Buffering: no\r\n");
    }
    if !http10 {
        tail.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
    }
}
