//! What a client accepts: its `Accept` header (RFC 9110 §12.5.1).
//!
//! In scope: whether a media type may be sent. Out of scope: which of several a client likes best, and parameters of media
//! types other than `q`, which are not looked at.
//!
//! Invariants: of the ranges that hold a type, those that name it most closely decide, in whatever order they stand.

use super::request::Request;

/// How closely a range names a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Closeness {
    /// `*/*`
    Any,
    /// `text/*`
    Kind,
    /// `text/html`
    Type,
}

impl Request {
    /// Whether the client accepts a media type: `text/html` if it says `text/html`, `text/*`, `*/*`, or nothing about
    /// what it accepts; not if what names the type most closely has `q=0`. Parameters other than `q` are not looked at.
    ///
    /// ```
    /// # fn example(request: &workerman::Request) {
    /// let body = if request.accepts("application/json") { "{}" } else { "nothing" };
    /// # }
    /// ```
    pub fn accepts(&self, media_type: &str) -> bool {
        match self.header("accept") {
            Some(ranges) if !ranges.is_empty() => accepts(ranges, media_type).is_some(),
            _ => true,
        }
    }

    /// Whether the client wants an event stream: `text/event-stream` is named among what it accepts. An `EventSource`
    /// always says so; compare this, not the whole header, because other clients name more types. Unlike
    /// [`accepts`](Self::accepts), this is no for `*/*`, which clients that know nothing of event streams send.
    ///
    /// ```
    /// # use workerman::{Http, Response, Worker};
    /// # let worker = Worker::<Http>::new("");
    /// worker.on_message(|connection, request| {
    ///     if request.accepts_event_stream() {
    ///         connection.send(Response::new(200, &[("Content-Type", "text/event-stream")], ""));
    ///     }
    /// });
    /// ```
    pub fn accepts_event_stream(&self) -> bool {
        self.header("accept").is_some_and(|ranges| accepts(ranges, "text/event-stream") == Some(Closeness::Type))
    }
}

/// How closely the ranges name a type, if they let it pass.
fn accepts(ranges: &str, media_type: &str) -> Option<Closeness> {
    let media_type = media_type.split(';').next().unwrap_or_default().trim();
    let held = ranges.split(',').filter_map(|range| {
        let mut parts = range.split(';').map(str::trim);
        let closeness = closeness(parts.next()?, media_type)?;
        Some((closeness, !parts.any(is_zero_weight)))
    });
    // Of two that are equally close, the one that lets pass counts.
    held.max().filter(|(_, passes)| *passes).map(|(closeness, _)| closeness)
}

fn closeness(range: &str, media_type: &str) -> Option<Closeness> {
    if range.eq_ignore_ascii_case(media_type) {
        return Some(Closeness::Type);
    }
    let ((kind, of_kind), (own_kind, _)) = (range.split_once('/')?, media_type.split_once('/')?);
    match (kind, of_kind) {
        ("*", "*") => Some(Closeness::Any),
        (kind, "*") if kind.eq_ignore_ascii_case(own_kind) => Some(Closeness::Kind),
        _ => None,
    }
}

/// `q=0`, `q=0.0` and so on: not accepted. What is no weight at all says nothing.
fn is_zero_weight(parameter: &str) -> bool {
    let weight = parameter.strip_prefix(['q', 'Q']).and_then(|rest| rest.strip_prefix('='));
    weight.is_some_and(|weight| matches!(weight, "0" | "0." | "0.0" | "0.00" | "0.000"))
}
