//! Requests that depend on what the client has already: `If-Match`, `If-None-Match`, `If-Modified-Since`,
//! `If-Unmodified-Since` and `If-Range`, evaluated in the order of RFC 9110 §13.2.2.
//!
//! What is asked for is kept as it was sent and evaluated against the validators of the very bytes that are sent, so that
//! a file that is replaced in between cannot go out under the name of the one before.

use std::time::{Duration, SystemTime};

use super::range::{self, Selection};
use super::request::Request;

/// What a request wants to have considered. Methods other than GET and HEAD change something, so that it is too late
/// when their answer is made: they have no conditions here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    if_match: Option<String>,
    if_unmodified_since: Option<String>,
    if_none_match: Option<String>,
    if_modified_since: Option<String>,
    range: Option<String>,
    if_range: Option<String>,
}

/// What a representation is known by.
#[derive(Clone, Copy, Debug)]
pub struct Validators<'a> {
    /// With its quotes, and `W/` in front of a weak one.
    pub etag: &'a str,
    /// Seconds since 1970; `None` for what has no date, or one so fresh that it may come to stand for other bytes too.
    pub modified: Option<u64>,
}

/// What the conditions come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing is against it.
    Send(Selection),
    /// 304: the client has it.
    NotModified,
    /// 412: it is not what the client thinks.
    Failed,
}

impl Conditions {
    /// Those of a request.
    pub fn of(request: &Request) -> Self {
        let is_get = request.method() == "GET";
        if !is_get && request.method() != "HEAD" {
            return Self::default();
        }
        let header = |name| request.header(name).map(str::to_owned);
        // RFC 9110 §14.2: a range of GET only. Without one, `If-Range` says nothing: §13.1.5.
        let range = if is_get { header("range") } else { None };
        Self {
            if_match: header("if-match"),
            if_unmodified_since: header("if-unmodified-since"),
            if_none_match: header("if-none-match"),
            if_modified_since: header("if-modified-since"),
            if_range: if range.is_some() { header("if-range") } else { None },
            range,
        }
    }

    /// RFC 9110 §13.2.2, step by step, for a representation of `size` bytes.
    pub fn evaluate(&self, validators: Validators<'_>, size: u64) -> Outcome {
        let unmodified_since = |date: &Option<String>| {
            let date = date.as_deref().and_then(parse_date);
            validators.modified.zip(date).map(|(modified, date)| modified <= date)
        };
        let as_expected = match &self.if_match {
            Some(list) => list_has(list, validators.etag, Comparison::Strong),
            None => unmodified_since(&self.if_unmodified_since) != Some(false),
        };
        if !as_expected {
            return Outcome::Failed;
        }
        let is_known = match &self.if_none_match {
            Some(list) => list_has(list, validators.etag, Comparison::Weak),
            None => unmodified_since(&self.if_modified_since) == Some(true),
        };
        if is_known {
            return Outcome::NotModified;
        }
        let range = self.range.as_deref().filter(|_| self.is_same(validators));
        Outcome::Send(range.map_or(Selection::Whole, |range| range::select(range, size)))
    }

    /// `If-Range`: whether the part may be joined to what the client has.
    fn is_same(&self, validators: Validators<'_>) -> bool {
        let Some(condition) = self.if_range.as_deref() else { return true };
        if condition.starts_with('"') || condition.starts_with("W/") {
            let one = entity_tag(condition.as_bytes());
            return one.is_some_and(|(tag, rest)| rest.is_empty() && tag.is(validators.etag, Comparison::Strong));
        }
        // Equal, not later: §13.1.5.
        parse_date(condition).is_some_and(|date| validators.modified == Some(date))
    }
}

/// Seconds since 1970.
pub(super) fn parse_date(text: &str) -> Option<u64> {
    // In dates of the kind `Sunday, 06-Nov-94 08:49:37 GMT`, `httpdate` takes any byte between day and time.
    if text.contains('-') && text.len().checked_sub(13).and_then(|at| text.as_bytes().get(at)) != Some(&b' ') {
        return None;
    }
    let time = httpdate::parse_http_date(text).ok()?;
    time.duration_since(SystemTime::UNIX_EPOCH).ok().map(|since| since.as_secs())
}

/// A date for a header, if it is one that has four digits for its year.
pub(super) fn format_date(seconds: u64) -> Option<String> {
    const YEAR_10000: u64 = 253_402_300_800;
    let time = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))?;
    (seconds < YEAR_10000).then(|| httpdate::fmt_http_date(time))
}

/// How two entity tags are compared: RFC 9110 §8.8.3.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    /// Equal, and neither is weak.
    Strong,
    Weak,
}

/// An entity tag: what is between its quotes, and whether it is weak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct EntityTag<'a> {
    opaque: &'a [u8],
    weak: bool,
}

impl EntityTag<'_> {
    fn is(self, etag: &str, comparison: Comparison) -> bool {
        let Some((own, b"")) = entity_tag(etag.as_bytes()) else { return false };
        self.opaque == own.opaque && (comparison == Comparison::Weak || !self.weak && !own.weak)
    }
}

/// Whether a list of entity tags, or `*`, has this one. Behind what is malformed nothing counts.
fn list_has(list: &str, etag: &str, comparison: Comparison) -> bool {
    let list = list.trim_matches([' ', '\t']);
    if list == "*" {
        return true;
    }
    let mut rest = list.as_bytes();
    loop {
        rest = skip(rest, b" \t,");
        let Some((tag, behind)) = entity_tag(rest) else { return false };
        rest = skip(behind, b" \t");
        if !matches!(rest.first(), None | Some(b',')) {
            return false;
        }
        if tag.is(etag, comparison) {
            return true;
        }
    }
}

fn skip<'a>(bytes: &'a [u8], these: &[u8]) -> &'a [u8] {
    let count = bytes.iter().take_while(|byte| these.contains(byte)).count();
    bytes.get(count..).unwrap_or_default()
}

/// The entity tag at the beginning, and what stands behind it. A comma may be inside of one: RFC 9110 §8.8.3.
fn entity_tag(bytes: &[u8]) -> Option<(EntityTag<'_>, &[u8])> {
    let (weak, quoted) = match bytes.strip_prefix(b"W/") {
        Some(rest) => (true, rest),
        None => (false, bytes),
    };
    let inside = quoted.strip_prefix(b"\"")?;
    let end = inside.iter().position(|byte| !matches!(byte, 0x21 | 0x23..=0x7e | 0x80..))?;
    let (opaque, rest) = inside.split_at_checked(end)?;
    Some((EntityTag { opaque, weak }, rest.strip_prefix(b"\"")?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SIZE: u64 = 100;
    const NOV_1994: u64 = 784_111_777;
    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const EARLIER: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
    const LATER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

    fn conditions(lines: &[(&str, &str)]) -> Conditions {
        let mut conditions = Conditions::default();
        for (name, value) in lines {
            let field = match *name {
                "If-Match" => &mut conditions.if_match,
                "If-Unmodified-Since" => &mut conditions.if_unmodified_since,
                "If-None-Match" => &mut conditions.if_none_match,
                "If-Modified-Since" => &mut conditions.if_modified_since,
                "If-Range" => &mut conditions.if_range,
                "Range" => &mut conditions.range,
                _ => unreachable!("{name}"),
            };
            *field = Some((*value).to_owned());
        }
        conditions
    }

    fn outcome(lines: &[(&str, &str)], etag: &str) -> Outcome {
        conditions(lines).evaluate(Validators { etag, modified: Some(NOV_1994) }, SIZE)
    }

    const WHOLE: Outcome = Outcome::Send(Selection::Whole);
    const PART: Outcome = Outcome::Send(Selection::Part { start: 0, length: 2 });

    #[test]
    fn each_condition_means_what_the_standard_says() {
        use Outcome::{Failed, NotModified};
        let table: &[(&str, &str, &str, Outcome)] = &[
            ("13.1.1", "If-Match", "\"a\"", WHOLE),
            ("13.1.1", "If-Match", "\"x\", \"a\"", WHOLE),
            ("13.1.1", "If-Match", "*", WHOLE),
            ("13.1.1", "If-Match", "\"b\"", Failed),
            ("13.1.1, strong", "If-Match", "W/\"a\"", Failed),
            ("13.1.1, malformed", "If-Match", "a", Failed),
            ("13.1.2", "If-None-Match", "\"a\"", NotModified),
            ("13.1.2, weak", "If-None-Match", "W/\"a\"", NotModified),
            ("13.1.2", "If-None-Match", "*", NotModified),
            ("13.1.2, list", "If-None-Match", "\"x\",W/\"y\" ,\t\"a\"", NotModified),
            ("5.6.1.2, empty elements", "If-None-Match", ", ,\"a\",", NotModified),
            ("8.8.3, a comma inside", "If-None-Match", "\"x,\"", WHOLE),
            ("8.8.3, a comma inside", "If-None-Match", "\"x,y\",\"a\"", NotModified),
            ("8.8.3, W has its case", "If-None-Match", "w/\"a\"", WHOLE),
            ("13.1.2", "If-None-Match", "\"b\"", WHOLE),
            ("13.1.2, malformed", "If-None-Match", "", WHOLE),
            ("13.1.2, malformed", "If-None-Match", "\"a", WHOLE),
            ("13.1.2, malformed", "If-None-Match", "\"x\"\"a\"", WHOLE),
            ("13.1.2, malformed", "If-None-Match", "a", WHOLE),
            ("13.1.2, not of a list", "If-None-Match", "\"x\", *", WHOLE),
            ("13.1.3", "If-Modified-Since", DATE, NotModified),
            ("13.1.3", "If-Modified-Since", LATER, NotModified),
            ("13.1.3", "If-Modified-Since", EARLIER, WHOLE),
            ("5.6.7, an old format", "If-Modified-Since", "Sunday, 06-Nov-94 08:49:37 GMT", NotModified),
            ("5.6.7, an old format", "If-Modified-Since", "Sun Nov  6 08:49:37 1994", NotModified),
            ("13.1.3, not a date", "If-Modified-Since", "yesterday", WHOLE),
            ("13.1.3, not a date", "If-Modified-Since", "Sunday, 06-Nov-94(08:49:37 GMT", WHOLE),
            ("13.1.3, not a date", "If-Modified-Since", "-", WHOLE),
            ("13.1.4", "If-Unmodified-Since", DATE, WHOLE),
            ("13.1.4", "If-Unmodified-Since", LATER, WHOLE),
            ("13.1.4", "If-Unmodified-Since", EARLIER, Failed),
            ("13.1.4, not a date", "If-Unmodified-Since", "yesterday", WHOLE),
        ];
        for (section, name, value, expected) in table {
            assert_eq!(outcome(&[(name, value)], "\"a\""), *expected, "RFC 9110 §{section}: {name}: {value}");
        }
    }

    #[test]
    fn a_part_is_sent_only_to_who_has_the_rest_of_the_same() {
        let table: &[(&str, &str, Outcome)] = &[
            ("13.1.5, strong", "\"a\"", PART),
            ("13.1.5, another", "\"b\"", WHOLE),
            ("13.1.5, weak", "W/\"a\"", WHOLE),
            ("13.1.5, one tag only", "\"a\", \"b\"", WHOLE),
            ("13.1.5, no wildcard", "*", WHOLE),
            ("13.1.5, the date", DATE, PART),
            ("13.1.5, earlier", EARLIER, WHOLE),
            ("13.1.5, equal and not later", LATER, WHOLE),
            ("13.1.5, nonsense", "yesterday", WHOLE),
        ];
        for (section, value, expected) in table {
            let lines = [("Range", "bytes=0-1"), ("If-Range", *value)];
            assert_eq!(outcome(&lines, "\"a\""), *expected, "RFC 9110 §{section}: {value}");
        }
        let lines = [("Range", "bytes=0-1"), ("If-Range", "W/\"a\"")];
        assert_eq!(outcome(&lines, "W/\"a\""), WHOLE, "RFC 9110 §8.8.3.2: two weak ones are not strongly equal");
        assert_eq!(outcome(&[("If-Match", "W/\"a\"")], "W/\"a\""), Outcome::Failed, "RFC 9110 §8.8.3.2");
        assert_eq!(outcome(&[("If-None-Match", "\"a\"")], "W/\"a\""), Outcome::NotModified, "RFC 9110 §8.8.3.2");
    }

    #[test]
    fn conditions_are_weighed_in_the_order_of_the_standard() {
        use Outcome::{Failed, NotModified};
        type Lines = &'static [(&'static str, &'static str)];
        let table: &[(&str, Lines, Outcome)] = &[
            ("a tag counts before a date", &[("If-Match", "\"a\""), ("If-Unmodified-Since", EARLIER)], WHOLE),
            ("a tag counts before a date", &[("If-None-Match", "\"b\""), ("If-Modified-Since", LATER)], WHOLE),
            ("1 before 3", &[("If-Match", "\"b\""), ("If-None-Match", "\"a\"")], Failed),
            ("1, then 3", &[("If-Match", "\"a\""), ("If-None-Match", "\"a\"")], NotModified),
            ("2, then 4", &[("If-Unmodified-Since", DATE), ("If-Modified-Since", DATE)], NotModified),
            ("3 before 5", &[("If-None-Match", "\"a\""), ("Range", "bytes=0-1")], NotModified),
            ("3, then 5", &[("If-None-Match", "\"b\""), ("Range", "bytes=0-1")], PART),
            ("5 fails", &[("If-Range", "\"b\""), ("Range", "bytes=200-")], WHOLE),
            ("5", &[("If-Range", "\"a\""), ("Range", "bytes=200-")], Outcome::Send(Selection::Unsatisfiable)),
            ("6", &[("If-Range", "\"a\"")], WHOLE),
            ("6", &[], WHOLE),
        ];
        for (step, lines, expected) in table {
            assert_eq!(outcome(lines, "\"a\""), *expected, "RFC 9110 §13.2.2, {step}: {lines:?}");
        }
    }

    #[test]
    fn without_a_date_of_its_own_a_file_is_not_judged_by_dates() {
        let validators = Validators { etag: "\"a\"", modified: None };
        for lines in [[("If-Modified-Since", LATER)], [("If-Unmodified-Since", EARLIER)]] {
            assert_eq!(conditions(&lines).evaluate(validators, SIZE), WHOLE, "RFC 9110 §13.1.3, §13.1.4");
        }
        let lines = [("Range", "bytes=0-1"), ("If-Range", DATE)];
        assert_eq!(conditions(&lines).evaluate(validators, SIZE), WHOLE, "RFC 9110 §8.8.2.2");
    }

    #[test]
    fn dates_are_written_while_a_year_has_four_digits() {
        assert_eq!(format_date(NOV_1994).as_deref(), Some(DATE));
        assert_eq!(parse_date(DATE), Some(NOV_1994));
        assert!(format_date(253_402_300_799).is_some());
        assert_eq!(format_date(253_402_300_800), None);
        assert_eq!(format_date(u64::MAX), None);
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_odd_to_be_weighed(
            values in proptest::collection::vec("(W/)?[\"a,* \\t]{0,8}|\\PC*|[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9:]{8} GMT", 6),
            etag in "(W/)?\"[ab]\"|\\PC*",
            modified: Option<u64>,
            size: u64,
        ) {
            let mut values = values.into_iter();
            let mut next = || values.next();
            let conditions = Conditions {
                if_match: next(),
                if_unmodified_since: next(),
                if_none_match: next(),
                if_modified_since: next(),
                range: next(),
                if_range: next(),
            };
            for conditions in [
                Conditions { if_match: None, ..conditions.clone() },
                Conditions { if_match: None, if_none_match: None, if_unmodified_since: None, ..conditions.clone() },
                conditions,
            ] {
                conditions.evaluate(Validators { etag: &etag, modified }, size);
            }
        }
    }
}
