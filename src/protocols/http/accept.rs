//! What a client accepts: its `Accept` and `Accept-Encoding` headers (RFC 9110 §12.5.1, §12.5.3).
//!
//! In scope: whether a media type may be sent, and how well a coding is liked. Out of scope: which of several media types
//! a client likes best, and parameters of media types other than `q`, which are not looked at.
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
        let (range, parameters) = range.split_once(';').unwrap_or((range, ""));
        let closeness = closeness(range.trim(), media_type)?;
        Some((closeness, weight(parameters) > 0))
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

/// How well the client likes a coding by its `Accept-Encoding`, in thousandths; 0 for one that it forbids, or likes less
/// than none at all: RFC 9110 §12.5.3. Without the header there is nothing to weigh.
pub(super) fn coding_weight(header: &str, coding: &str) -> u16 {
    let weight_of = |coding: &str| {
        let mut items = header.split(',').map(|item| item.split_once(';').unwrap_or((item, "")));
        items.find(|(name, _)| is_coding(name.trim(), coding)).map(|(_, parameters)| weight(parameters))
    };
    let own = weight_of(coding).or_else(|| weight_of("*")).unwrap_or_default();
    // Identity that is not named is what is left when nothing else fits.
    if own < weight_of("identity").unwrap_or_default() { 0 } else { own }
}

/// `x-gzip` is another name of `gzip`: RFC 9110 §8.4.1.3.
fn is_coding(name: &str, coding: &str) -> bool {
    name.eq_ignore_ascii_case(coding) || coding == "gzip" && name.eq_ignore_ascii_case("x-gzip")
}

/// The weight among parameters in thousandths (RFC 9110 §12.4.2); what is no weight says nothing.
fn weight(parameters: &str) -> u16 {
    let mut values = parameters.split(';').filter_map(|parameter| parameter.split_once('='));
    let value = values.find(|(name, _)| name.trim().eq_ignore_ascii_case("q")).map_or("1", |(_, value)| value.trim());
    let (whole, fraction) = value.split_once('.').unwrap_or((value, ""));
    let digits = fraction.len() <= 3 && fraction.bytes().all(|byte| byte.is_ascii_digit());
    match whole {
        "0" if digits => format!("{fraction:0<3}").parse().unwrap_or_default(),
        _ => 1000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_coding_is_used_if_it_is_accepted_and_liked() {
        let table = [
            ("gzip", true),
            ("GZIP", true),
            ("x-gzip", true),
            ("gzip, deflate, br, zstd", true),
            ("br;q=1.0, gzip;q=0.001", true),
            ("deflate, gzip ; q=0.5", true),
            ("gzip;Q=0.5;x=y", true),
            ("*", true),
            ("*;q=0.1", true),
            ("*;q=0, gzip", true),
            ("identity, gzip", true),
            ("identity;q=0.5, gzip;q=0.5", true),
            ("identity;q=0", false),
            ("identity;q=0, *", true),
            ("gzip;q=nonsense", true),
            ("gzip;q=", true),
            (",,gzip,", true),
            ("", false),
            ("deflate, br", false),
            ("gzip;q=0", false),
            ("gzip;q=0.", false),
            ("gzip; q=0.000, *", false),
            ("x-gzip;q=0", false),
            ("*;q=0", false),
            ("identity", false),
            ("identity, gzip;q=0.5", false),
            ("identity;q=0.51, *;q=0.5", false),
            ("gzipped", false),
        ];
        for (header, expected) in table {
            assert_eq!(coding_weight(header, "gzip") > 0, expected, "RFC 9110 §12.5.3: {header}");
        }
    }

    #[test]
    fn of_two_codings_the_weights_tell_which_is_liked_better() {
        for (header, gzip, br) in [
            ("gzip, br", 1000, 1000),
            ("gzip;q=0.8, br;q=0.25", 800, 250),
            ("br;q=0.5, *;q=0.125", 125, 500),
            ("identity;q=0.5, br;q=0.4, gzip;q=0.6", 600, 0),
            ("x-br, x-gzip", 1000, 0),
        ] {
            assert_eq!((coding_weight(header, "gzip"), coding_weight(header, "br")), (gzip, br), "{header}");
        }
    }

    #[test]
    fn a_weight_is_a_number_of_thousandths() {
        let table = [
            ("", 1000),
            ("q=0", 0),
            ("q=0.", 0),
            ("q=0.5", 500),
            ("q=0.05", 50),
            ("q=0.001", 1),
            (" Q = 0.5 ", 500),
            ("level=1; q=0.5", 500),
            ("q=1.000", 1000),
            // What is none.
            ("q=2", 1000),
            ("q=", 1000),
            ("q", 1000),
            ("q=.5", 1000),
            ("q=0.0000", 1000),
            ("q=-0", 1000),
        ];
        for (parameters, expected) in table {
            assert_eq!(weight(parameters), expected, "{parameters}");
        }
    }

    proptest! {
        #[test]
        fn no_header_is_too_odd_to_be_read(header in "([a-z*/-]{0,8}[ ;,=q.0-9]{0,8}){0,5}|\\PC*") {
            coding_weight(&header, "gzip");
            accepts(&header, "text/html");
        }
    }
}
