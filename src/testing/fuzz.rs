//! The door for fuzzing: the HTTP codec without a connection, its forms, event streams as a client reads them, and what is
//! weighed before a file is sent.

use crate::protocols::http::client::{Answers, End, Expected, HEAD_MOST, Outgoing};
pub use crate::protocols::http::conditional::{Conditions, Outcome as Weighed, Validators};
pub use crate::protocols::http::event_stream::{EventStream, MessageEvent, TooLarge};
pub use crate::protocols::http::form::Form;
pub use crate::protocols::http::multipart::{Boundary, Decoder, Error, Event, PartHead};
pub use crate::protocols::http::range::Selection;
pub use crate::protocols::http::uploads::Uploads;
use crate::protocols::http::{ClientResponse, Http, Request, UploadedFile};
use crate::protocols::output::{Outbound, Output};
use crate::protocols::{Codec as _, Encode as _, Limits, Step};

/// What became of some bytes.
#[derive(Debug, Default, PartialEq)]
pub struct Outcome {
    /// The requests that were delivered.
    pub requests: Vec<Request>,
    /// What came of bodies in pieces.
    pub pieces: Vec<u8>,
    /// The status line of the refusal at the end, if there is one.
    pub refused: Option<String>,
    /// Bytes that the codec is done with.
    pub consumed: usize,
}

/// What the app does with bodies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bodies {
    /// It receives whole requests.
    Whole,
    /// It is told of heads, and receives whole requests.
    Told,
    /// It is told of heads, and takes the bodies in pieces.
    InPieces,
}

/// Feeds pieces as a connection does: what was not consumed comes again, and a codec at rest is packed in between.
pub fn receive<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, max_package_size: usize) -> Outcome {
    receive_bodies(pieces, max_package_size, Bodies::Whole)
}

/// The same, for an app that does something else with bodies.
pub fn receive_bodies<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
    max_package_size: usize,
    bodies: Bodies,
) -> Outcome {
    let limits = Limits { tell_heads: bodies != Bodies::Whole, ..Limits::of_size(max_package_size) };
    let (mut outcome, mut codec, mut waiting) = (Outcome::default(), Http::default(), Vec::new());
    for piece in pieces {
        waiting.extend_from_slice(piece);
        let mut done = 0;
        while let Some(rest) = waiting.get(done..).filter(|rest| !rest.is_empty()) {
            let mut queue = Outbound::default();
            let mut output = Output::new(&mut queue, &[b' '; 29], 0);
            let mut step = codec.receive(rest, &limits, &mut output);
            if let Step::Head { consumed, message } = step {
                step = match codec.go_on(message, bodies == Bodies::InPieces, &mut output) {
                    Some(reason) => Step::Refused(reason),
                    None => {
                        done += consumed;
                        continue;
                    }
                };
            }
            match step {
                Step::Message { consumed, message } => {
                    done += consumed;
                    outcome.requests.push(message);
                }
                Step::Piece { consumed, start, length } => {
                    let piece = rest.get(start as usize..).and_then(|piece| piece.get(..length as usize));
                    outcome.pieces.extend_from_slice(piece.unwrap_or_default());
                    done += consumed;
                }
                Step::More { consumed } => {
                    done += consumed;
                    break;
                }
                Step::Head { .. } | Step::Part { .. } | Step::Refused(_) | Step::Failed(_) => {
                    let answer = String::from_utf8_lossy(queue.as_single().unwrap_or_default()).into_owned();
                    outcome.refused = Some(answer.lines().next().unwrap_or_default().to_owned());
                    return outcome;
                }
            }
        }
        outcome.consumed += done;
        waiting.drain(..done);
        codec = codec.park().map_or_else(|codec| codec, Http::unpark);
    }
    outcome
}

/// What a client has asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// For a head without a body.
    pub head_only: bool,
    /// For a body in pieces.
    pub in_pieces: bool,
    /// For a body of so many bytes at most.
    pub max_body: usize,
}

/// What came of a server's bytes.
#[derive(Debug, Default, PartialEq)]
pub struct Answered {
    /// The answer. Of one in pieces, the head.
    pub response: Option<ClientResponse>,
    /// What came in pieces.
    pub pieces: Vec<u8>,
    /// How long the longest was.
    pub longest: usize,
    /// Whether it was complete, and whether the connection can be used again.
    pub complete: Option<bool>,
    /// Why it is no answer.
    pub failed: Option<String>,
}

/// Feeds a client's codec as a connection does, which has asked once. In the end the server `closes`, or has not yet.
pub fn answer<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, asked: Asked, closes: bool) -> Answered {
    let Asked { head_only, in_pieces, max_body } = asked;
    let expected = Expected { head_only, in_pieces, decodes: true, max_head: HEAD_MOST, max_body };
    let (mut codec, mut waiting, mut queue) = (Answers::default(), Vec::new(), Outbound::default());
    let mut output = Output::new(&mut queue, &[b' '; 29], 0);
    codec.encode(Outgoing { head: Vec::new(), body: None, expected }, &mut output);
    let mut answered = Answered::default();
    for piece in pieces {
        waiting.extend_from_slice(piece);
        let mut done = 0;
        while let Some(rest) = waiting.get(done..).filter(|rest| !rest.is_empty()) {
            let step = codec.receive(rest, &Limits::of_size(0), &mut output);
            let (consumed, event) = match step {
                Step::Message { consumed, message } => (consumed, Some(message)),
                Step::More { consumed } => (consumed, None),
                _ => return answered,
            };
            done += consumed;
            let Some(event) = event else { break };
            answered.take(event);
            if answered.failed.is_some() {
                return answered;
            }
        }
        waiting.drain(..done);
    }
    if closes && let Some(event) = codec.close(true) {
        answered.take(event);
    }
    answered
}

impl Answered {
    fn take(&mut self, event: crate::protocols::http::client::Event) {
        if let Some(mut response) = event.response {
            response.set_trailers(event.trailers);
            self.response = Some(response);
        } else if let Some(response) = &mut self.response {
            response.set_trailers(event.trailers);
        }
        self.longest = self.longest.max(event.piece.len());
        self.pieces.extend(event.piece);
        match event.end {
            End::Not => {}
            End::Reusable => self.complete = Some(true),
            End::Last => self.complete = Some(false),
            // Whoever goes on talking has said all that was asked for.
            End::Failed(_) if self.complete.is_some() => self.complete = Some(false),
            End::Failed(fault) => self.failed = Some(format!("{fault:?}")),
        }
    }
}

/// A file as it comes out of a form.
///
/// # Panics
///
/// If no form can hold it.
pub fn uploaded(path: &str, content_type: &str, contents: &[u8]) -> UploadedFile {
    let head = format!(
        "--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"{path}\"\r\n\
         Content-Type: {content_type}\r\n\r\n"
    );
    let boundary = Boundary::from_content_type(b"multipart/form-data; boundary=b").ok().flatten();
    let mut form = Form::new(&boundary.expect("a boundary"), Uploads::default());
    form.append(&[head.as_bytes(), contents, b"\r\n--b--\r\n"].concat()).expect("a form");
    form.files.pop().expect("a file").1
}
