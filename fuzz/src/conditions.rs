//! Conditional requests and ranges, beside a reference written from RFC 9110 §13 and §14: exact numbers, dates by
//! writing them out again, and lists cut at their commas first.

use workerman::testing::fuzz::{self, Conditions, Selection, Validators, Weighed};

use super::is_field_value;

/// What a request for a file comes to: what RFC 9110 §13.2.2 says, and never a byte that is not there.
///
/// The first byte chooses what is asked for and how; each line of the rest is a header, named by its first byte.
pub fn conditions(input: &[u8]) {
    let Some((choice, rest)) = input.split_first() else { return };
    let choice = usize::from(*choice);
    let size = [0, 1, 10, 1000, u64::MAX - 1, u64::MAX, 10, 10][choice % 8];
    let (etag, modified) =
        [("\"a\"", Some(784_111_777)), ("W/\"a\"", None), ("\"a,b\"", Some(0)), ("", Some(u64::MAX))][choice / 8 % 4];
    let method = ["GET", "GET", "GET", "GET", "GET", "GET", "HEAD", "POST"][choice / 32];
    let mut wire = format!("{method} / HTTP/1.1\r\nHost: a\r\n").into_bytes();
    for line in rest.split(|byte| *byte == b'\n').take(20) {
        let Some((kind, value)) = line.split_first() else { continue };
        let name = match kind {
            b'M' => "If-Match",
            b'N' => "If-None-Match",
            b'S' => "If-Modified-Since",
            b'U' => "If-Unmodified-Since",
            b'F' => "If-Range",
            _ => "Range",
        };
        if !value.iter().all(is_field_value) {
            return;
        }
        wire.extend([name.as_bytes(), b":", value, b"\r\n"].concat());
    }
    wire.extend_from_slice(b"\r\n");
    let outcome = fuzz::receive([&wire[..]], super::LIMIT);
    let [request] = &outcome.requests[..] else { panic!("no request: {}", wire.escape_ascii()) };

    let weighed = Conditions::of(request).evaluate(Validators { etag, modified }, size);
    let header = |name| if method == "POST" { None } else { request.header(name) };
    let expected = reference(header, method == "GET", etag, modified, size);
    assert_eq!(weighed, expected, "{size}, {etag}, {modified:?}: {}", wire.escape_ascii());
    if let Weighed::Send(Selection::Part { start, length }) = weighed {
        assert!(length > 0 && start.checked_add(length).is_some_and(|end| end <= size), "past the end");
    }
}

fn reference<'a>(
    header: impl Fn(&'static str) -> Option<&'a str>,
    is_get: bool,
    etag: &str,
    modified: Option<u64>,
    size: u64,
) -> Weighed {
    let later_than = |name| match (header(name).and_then(date), modified) {
        (Some(date), Some(modified)) => Some(modified > date),
        _ => None,
    };
    // Step 1, step 2
    let failed = match header("if-match") {
        Some("*") => false,
        Some(list) => !tags(list).iter().any(|tag| tag == etag && is_tag(etag) && !etag.starts_with("W/")),
        None => later_than("if-unmodified-since") == Some(true),
    };
    if failed {
        return Weighed::Failed;
    }
    // Step 3, step 4
    let opaque = |tag: &str| tag.strip_prefix("W/").unwrap_or(tag).to_owned();
    let known = match header("if-none-match") {
        Some("*") => true,
        Some(list) => tags(list).iter().any(|tag| is_tag(etag) && opaque(tag) == opaque(etag)),
        None => later_than("if-modified-since") == Some(false),
    };
    if known {
        return Weighed::NotModified;
    }
    // Step 5, step 6
    let Some(range) = header("range").filter(|_| is_get) else { return Weighed::Send(Selection::Whole) };
    let is_same = match header("if-range") {
        None => true,
        Some(tag) if is_tag(tag) => tag == etag && !tag.starts_with("W/"),
        Some(text) => date(text).is_some() && date(text) == modified,
    };
    Weighed::Send(if is_same { select(range, size) } else { Selection::Whole })
}

/// The tags of a list, up to the first that is none.
fn tags(list: &str) -> Vec<String> {
    let mut elements = vec![String::new()];
    let mut quoted = false;
    for next in list.chars() {
        quoted ^= next == '"';
        match elements.last_mut() {
            Some(element) if next != ',' || quoted => element.push(next),
            _ => elements.push(String::new()),
        }
    }
    let elements = elements.iter().map(|element| element.trim_matches([' ', '\t']).to_owned());
    elements.filter(|element| !element.is_empty()).take_while(|element| is_tag(element)).collect()
}

/// `[ "W/" ] DQUOTE *etagc DQUOTE`
fn is_tag(text: &str) -> bool {
    let quoted = text.strip_prefix("W/").unwrap_or(text);
    let inside = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    inside.is_some_and(|inside| !inside.contains(['"', ' ', '\t']))
}

fn select(header: &str, size: u64) -> Selection {
    let whole = Selection::Whole;
    let Some(at) = header.find('=').filter(|at| header[..*at].to_lowercase() == "bytes") else { return whole };
    let specs: Vec<_> = header[at + 1..].split(',').map(|spec| spec.trim_matches([' ', '\t'])).collect();
    let specs: Vec<_> = specs.into_iter().filter(|spec| !spec.is_empty()).collect();
    let [spec] = specs[..] else { return whole };
    let Some(dash) = spec.find('-') else { return whole };
    let (first, last) = (&spec[..dash], &spec[dash + 1..]);
    if !first.chars().chain(last.chars()).all(|digit| digit.is_ascii_digit()) || spec == "-" {
        return whole;
    }
    // What no file can have counts as 2^64 - 1.
    let number = |digits: &str| {
        digits.bytes().fold(0, |sum: u64, digit| sum.saturating_mul(10).saturating_add((digit - b'0').into()))
    };
    let (begin, end) = if first.is_empty() {
        match (number(last), size) {
            (0, _) => return Selection::Unsatisfiable,
            (_, 0) => return whole,
            (count, _) => (u128::from(size.saturating_sub(count)), u128::from(size)),
        }
    } else {
        let end = if last.is_empty() { u128::from(size) } else { u128::from(number(last)) + 1 };
        let begin = u128::from(number(first));
        if !last.is_empty() && begin >= end {
            return whole;
        }
        (begin, end.min(size.into()))
    };
    if begin >= u128::from(size) {
        return Selection::Unsatisfiable;
    }
    let start = u64::try_from(begin).expect("below the size");
    Selection::Part { start, length: u64::try_from(end - begin).expect("at most the size") }
}

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const DAYS: [&str; 7] = ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"];

/// The seconds since 1970 of a date in one of the three formats of RFC 9110 §5.6.7: those whose date reads so.
fn date(text: &str) -> Option<u64> {
    let words: Vec<_> = text.split([' ', ',', '-', ':']).filter(|word| !word.is_empty()).collect();
    let month = MONTHS.iter().position(|name| words.contains(name))?;
    let numbers: Vec<u64> = words.iter().filter_map(|word| word.parse().ok()).collect();
    // Day, year and time, or day, time and year.
    let [day, a, b, c, d] = numbers[..] else { return None };
    let asctime = !text.contains(',');
    let (year, hour, minute, second) = if asctime { (d, a, b, c) } else { (a, b, c, d) };
    let short = text.contains('-');
    let year = match year {
        0..70 if short => year + 2000,
        70..100 if short => year + 1900,
        1970..10000 if !short => year,
        _ => return None,
    };
    let is_leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let month_days = [31, if is_leap(year) { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    if !(1..=month_days[month]).contains(&day) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let years: u64 = (1970..year).map(|year| if is_leap(year) { 366 } else { 365 }).sum();
    let days = years + month_days[..month].iter().sum::<u64>() + day - 1;
    let (weekday, month) = (DAYS[usize::try_from(days % 7).ok()?], MONTHS[month]);
    let time = format!("{hour:02}:{minute:02}:{second:02}");
    let written = [
        format!("{}, {day:02} {month} {year} {time} GMT", &weekday[..3]),
        format!("{weekday}, {day:02}-{month}-{:02} {time} GMT", year % 100),
        format!("{} {month} {day:2} {time} {year}", &weekday[..3]),
        format!("{} {month} {day:02} {time} {year}", &weekday[..3]),
    ];
    written.iter().any(|written| written == text).then_some(days * 86400 + hour * 3600 + minute * 60 + second)
}
