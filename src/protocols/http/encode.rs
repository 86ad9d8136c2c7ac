//! Answers onto the wire: which headers, which framing, and whether the connection closes after it.

mod file;

use super::exchange::Phase;
use super::head::Refusal;
use super::headers::{Headers, Known, append};
use super::response::{Body, Response};
use super::sse::ServerSentEvents;
use super::{Http, status};
use crate::protocols::broadcast::Editions;
use crate::protocols::output::{After, Output};
use crate::protocols::{Encode, Encoded};

const NO_REQUEST: Encoded = Encoded::Stray("no request is waiting for an answer here");
const NO_STREAM: Encoded =
    Encoded::Stray("no event stream is open here: send a Response with Content-Type: text/event-stream first");

/// Text and bytes are the body of a 200 answer, `text/html` unless a `Response` says otherwise.
macro_rules! encode_bodies {
    ($($body:ty),*) => {$(
        impl Encode<$body> for Http {
            #[inline]
            fn encode(&mut self, body: $body, output: &mut Output<'_>) -> Encoded {
                let bytes: &[u8] = body.as_ref();
                self.encode_body(bytes, output)
            }
        }
    )*};
}

encode_bodies!(&str, &String, &[u8], &Vec<u8>);

impl<const N: usize> Encode<&[u8; N]> for Http {
    fn encode(&mut self, body: &[u8; N], output: &mut Output<'_>) -> Encoded {
        self.encode_body(body, output)
    }
}

impl Encode<Vec<u8>> for Http {
    fn encode(&mut self, body: Vec<u8>, output: &mut Output<'_>) -> Encoded {
        if self.may_compress(body.len()) || has_lines(output) {
            return self.encode_as_response(body.into(), output);
        }
        let encoded = self.encode_body_head(body.len(), output);
        if encoded == Encoded::Done && !self.exchange.head_only() {
            output.owned(body);
        }
        encoded
    }
}

impl Encode<String> for Http {
    fn encode(&mut self, body: String, output: &mut Output<'_>) -> Encoded {
        self.encode(body.into_bytes(), output)
    }
}

impl Encode<Response> for Http {
    fn encode(&mut self, mut response: Response, output: &mut Output<'_>) -> Encoded {
        if self.exchange.phase() != Phase::Open || !self.exchange.admits(output.ticket) {
            return NO_REQUEST;
        }
        if response.parts.status == 205 {
            response.parts.body.clear(); // it has no content, and says so: RFC 9110 §15.3.6
        }
        if !(100..=999).contains(&response.parts.status) {
            log::error!("{} is not a status code: 500 is sent instead", response.parts.status);
            response.parts.status = 500;
        }
        if output.headers.is_some() {
            response = take_headers(response, output);
        }
        if response.parts.status < 200 {
            self.encode_interim(&response, output);
        } else if response.parts.file.is_some() {
            self.encode_file(response, output);
        } else if response.parts.headers.has_stream()
            && let Some(stream) = self.stream_of(&response)
        {
            self.open_stream(stream, response, output);
        } else if self.is_compressing() {
            return self.encode_compressed(response, output);
        } else {
            self.encode_whole(&response, output);
            if response.has_body() && !self.exchange.head_only() {
                output.reusable(&mut response.parts.body);
            }
        }
        Encoded::Done
    }
}

impl Encode<&Response> for Http {
    fn encode(&mut self, response: &Response, output: &mut Output<'_>) -> Encoded {
        self.encode(response.clone(), output)
    }
}

impl Encode<ServerSentEvents> for Http {
    /// An event that is sent once is formatted where it will be sent from.
    fn encode(&mut self, event: ServerSentEvents, output: &mut Output<'_>) -> Encoded {
        match self.stream(output.ticket) {
            Some(Phase::Chunked) => event.encode_chunk_into(&mut output.tail()),
            Some(_) => event.encode_into(&mut output.tail()),
            None => return NO_STREAM,
        }
        Encoded::Done
    }

    fn editions(event: ServerSentEvents) -> Editions {
        Editions::event(event.prepared().clone())
    }
}

impl Encode<&ServerSentEvents> for Http {
    /// An event that is sent to many is formatted once.
    fn encode(&mut self, event: &ServerSentEvents, output: &mut Output<'_>) -> Encoded {
        let prepared = match self.stream(output.ticket) {
            Some(Phase::Chunked) => event.prepared().chunk(),
            Some(_) => event.prepared().event(),
            None => return NO_STREAM,
        };
        output.shared(prepared.0, prepared.1);
        Encoded::Done
    }

    fn editions(event: &ServerSentEvents) -> Editions {
        Editions::event(event.prepared().clone())
    }
}

/// Without the feature nothing is compressed.
#[cfg(not(feature = "compression"))]
impl Http {
    const fn may_compress(&self, _length: usize) -> bool {
        false
    }

    const fn is_compressing(&self) -> bool {
        false
    }

    fn encode_compressed(&self, _response: Response, _output: &mut Output<'_>) -> Encoded {
        unreachable!("nothing is compressed")
    }
}

impl Http {
    /// The framing of the event stream that a handle with this ticket may speak to.
    #[inline]
    pub(super) fn stream(&self, ticket: u32) -> Option<Phase> {
        let open = matches!(self.exchange.phase(), Phase::Chunked | Phase::Plain) && self.exchange.admits(ticket);
        open.then_some(self.exchange.phase())
    }

    fn encode_body(&mut self, body: &[u8], output: &mut Output<'_>) -> Encoded {
        if self.may_compress(body.len()) || has_lines(output) {
            return self.encode_as_response(body.into(), output);
        }
        let encoded = self.encode_body_head(body.len(), output);
        if encoded == Encoded::Done && !self.exchange.head_only() {
            output.bytes(body);
        }
        encoded
    }

    #[cold]
    fn encode_as_response(&mut self, body: Body<'_>, output: &mut Output<'_>) -> Encoded {
        self.encode(Response::new(200, &[], body), output)
    }

    /// The head of a 200 answer in PHP's order, for a body of this length.
    fn encode_body_head(&mut self, length: usize, output: &mut Output<'_>) -> Encoded {
        if self.exchange.phase() != Phase::Open || !self.exchange.admits(output.ticket) {
            return NO_REQUEST;
        }
        let date = *output.date;
        let close = self.complete(output, false);
        output.headers = None;
        let mut tail = output.tail();
        tail.extend_from_slice(if self.exchange.http10() { b"HTTP/1.0 200 OK\r\n" } else { b"HTTP/1.1 200 OK\r\n" });
        connection_line(&mut tail, close);
        tail.extend_from_slice(b"Content-Type: text/html;charset=utf-8\r\n");
        content_length(&mut tail, length);
        date_and_blank_line(&mut tail, &date);
        Encoded::Done
    }

    /// The head of a whole answer.
    fn encode_whole(&mut self, response: &Response, output: &mut Output<'_>) {
        let date = *output.date;
        let close = self.complete(output, response.wants_close());
        let mut tail = output.tail();
        status_line(&mut tail, response, self.exchange.http10());
        let has_body = response.has_body();
        // PHP's order without headers: type, length, connection; with headers: those, connection, type, length.
        let bare = response.parts.headers.is_empty();
        if !bare {
            let length = self.exchange.head_only() && has_body;
            own_lines(&mut tail, response, close, Keep { length, coding: false });
            if !response.parts.headers.has(Known::Connection) {
                connection_line(&mut tail, close);
            }
        }
        if has_body {
            if !response.parts.headers.has(Known::ContentType) {
                tail.extend_from_slice(b"Content-Type: text/html;charset=utf-8\r\n");
            }
            // The answer to HEAD may name the length of a body that was not made; a stream has none.
            let named = self.exchange.head_only() && response.parts.headers.has(Known::ContentLength);
            if !named && response.has_length() {
                content_length(&mut tail, response.parts.body.len());
            }
        }
        if bare {
            connection_line(&mut tail, close);
        }
        end_of_head(&mut tail, response, &date);
    }

    /// An answer before the answer (RFC 9110 §15.2): the request stays open. HTTP/1.0 knows none.
    fn encode_interim(&self, response: &Response, output: &mut Output<'_>) {
        if !self.exchange.http10() {
            let mut tail = output.tail();
            status_line(&mut tail, response, false);
            own_lines(&mut tail, response, false, Keep::default());
            tail.extend_from_slice(b"\r\n");
        }
    }

    /// Takes note that the answer is complete; answers whether the connection closes after it.
    #[inline]
    pub(super) fn complete(&mut self, output: &mut Output<'_>, wants_close: bool) -> bool {
        self.exchange.set_phase(Phase::Idle);
        let close = self.will_close(wants_close);
        if close {
            output.after = if self.is_receiving() { After::End } else { After::Close };
        }
        close
    }

    /// Whether the connection closes after an answer.
    #[inline]
    fn will_close(&self, wants_close: bool) -> bool {
        wants_close || !self.exchange.keep_alive()
    }
}

impl Response {
    /// Whether answers with this status have a body, be it empty (RFC 9110 §6.4.1).
    #[inline]
    pub(super) fn has_body(&self) -> bool {
        !matches!(self.parts.status, 204 | 304)
    }

    #[inline]
    pub(super) fn is_event_stream(&self) -> bool {
        self.parts.headers.has(Known::EventStream) && self.has_body()
    }

    /// Whether the length of what is sent is known and named.
    #[inline]
    fn has_length(&self) -> bool {
        #[cfg(feature = "compression")]
        if self.parts.headers.has(Known::Unmeasured) {
            return false;
        }
        !self.is_event_stream()
    }

    /// With the lines that go along with it.
    pub(crate) fn accompanied(mut self, headers: &Headers) -> Self {
        self.parts.headers.accompany(headers);
        self
    }

    #[inline]
    pub(super) fn wants_close(&self) -> bool {
        self.parts.headers.has(Known::Close)
    }
}

/// Whether text needs a head that is not the usual one.
#[inline]
fn has_lines(output: &Output<'_>) -> bool {
    output.headers.is_some_and(|headers| !headers.is_empty())
}

/// What goes along with the answer stands behind its own lines, as in PHP. An interim answer leaves it.
#[cold]
fn take_headers(response: Response, output: &mut Output<'_>) -> Response {
    if response.parts.status < 200 {
        return response;
    }
    match output.headers.take() {
        Some(headers) => response.accompanied(headers),
        None => response,
    }
}

/// A complete answer that refuses the request and closes the connection.
pub(super) fn refuse(refusal: Refusal, output: &mut Output<'_>) {
    let date = *output.date;
    output.after = After::End;
    let mut tail = output.tail();
    tail.extend_from_slice(b"HTTP/1.1 ");
    decimal(&mut tail, refusal.status.into());
    tail.push(b' ');
    tail.extend_from_slice(status::phrase(refusal.status).as_bytes());
    tail.extend_from_slice(b"\r\nConnection: close\r\nContent-Length: 0\r\n");
    date_and_blank_line(&mut tail, &date);
}

#[inline(always)]
pub(super) fn status_line(tail: &mut Vec<u8>, response: &Response, http10: bool) {
    if response.parts.status == 200 && response.parts.reason.is_none() && !http10 && !response.parts.http10 {
        tail.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
    } else {
        other_status_line(tail, response, http10);
    }
}

#[inline(never)]
fn other_status_line(tail: &mut Vec<u8>, response: &Response, http10: bool) {
    tail.extend_from_slice(if http10 || response.parts.http10 { b"HTTP/1.0 " } else { b"HTTP/1.1 " });
    decimal(tail, response.parts.status.into());
    tail.push(b' ');
    tail.extend_from_slice(response.reason_phrase().as_bytes());
    tail.extend_from_slice(b"\r\n");
}

/// Which of the app's own lines about framing are true, and so may stay.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Keep {
    pub(super) length: bool,
    pub(super) coding: bool,
}

/// The app's own lines, but for those that would contradict the framing.
#[inline(always)]
pub(super) fn own_lines(tail: &mut Vec<u8>, response: &Response, close: bool, keep: Keep) {
    let headers = &response.parts.headers;
    let lies = close && headers.has(Known::Connection) && !response.wants_close();
    let framed =
        !keep.coding && headers.has(Known::TransferEncoding) || !keep.length && headers.has(Known::ContentLength);
    if lies || framed {
        honest_lines(tail, response, lies, keep);
    } else {
        tail.extend_from_slice(headers.as_bytes());
    }
}

#[inline(never)]
fn honest_lines(tail: &mut Vec<u8>, response: &Response, lies: bool, keep: Keep) {
    for (name, value) in response.parts.headers.lines() {
        let kept = match name.len() {
            10 if name.eq_ignore_ascii_case("connection") => {
                if lies {
                    connection_line(tail, true);
                }
                !lies
            }
            14 if name.eq_ignore_ascii_case("content-length") => keep.length,
            17 => keep.coding || !name.eq_ignore_ascii_case("transfer-encoding"),
            _ => true,
        };
        if kept {
            append(tail, name, value);
        }
    }
}

#[inline]
pub(super) fn connection_line(tail: &mut Vec<u8>, close: bool) {
    // Two calls, each with a length that the compiler knows.
    if close {
        tail.extend_from_slice(b"Connection: close\r\n");
    } else {
        tail.extend_from_slice(b"Connection: keep-alive\r\n");
    }
}

#[inline]
fn content_length(tail: &mut Vec<u8>, length: usize) {
    tail.extend_from_slice(b"Content-Length: ");
    decimal(tail, length);
    tail.extend_from_slice(b"\r\n");
}

/// The end of a head, with `Date` unless the app has set it.
#[inline(always)]
pub(super) fn end_of_head(tail: &mut Vec<u8>, response: &Response, date: &[u8; 29]) {
    if response.parts.headers.has(Known::Date) {
        tail.extend_from_slice(b"\r\n");
    } else {
        date_and_blank_line(tail, date);
    }
}

/// The `Date` line and the end of the head, in one piece: every answer ends so.
#[inline]
fn date_and_blank_line(tail: &mut Vec<u8>, date: &[u8; 29]) {
    let mut line = *b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n";
    if let Some((_, rest)) = line.split_first_chunk_mut::<6>()
        && let Some((value, _)) = rest.split_first_chunk_mut()
    {
        *value = *date;
    }
    tail.extend_from_slice(&line);
}

/// Appends a number without the machinery of `format!`, which costs more than all the rest of a short answer.
#[inline]
fn decimal(tail: &mut Vec<u8>, number: usize) {
    tail.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}
