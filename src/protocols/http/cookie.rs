//! The cookies of a request.
//!
//! In scope: names and values of the `Cookie` lines, split by the rules of PHP Workerman, and values decoded as
//! [`Cookie`](crate::Cookie) encodes them. Out of scope: cookies that are set, which are the response's.
//!
//! Invariants: each question reads the header, which is bounded; only values with a `%` are copied, at first use.

use percent_encoding::percent_decode_str;

use super::class::TOKEN;
use super::parts::cut;
use super::request::Request;

impl Request {
    /// A cookie, by its name with its case. The last one wins when a name comes twice.
    ///
    /// The value is what [`Cookie::new`](crate::Cookie::new) was given: `%xx` is decoded as PHP's `rawurldecode` does, so
    /// a `+` stays, and a `%` that begins no byte; quotes and spaces around it stay, too. A client may have encoded
    /// anything, control characters included. PHP Workerman does not decode; `header("cookie")` is the line as sent.
    ///
    /// ```
    /// # fn example(request: &workerman::Request) {
    /// let theme = request.cookie("theme").unwrap_or("light");
    /// # }
    /// ```
    pub fn cookie(&self, name: &str) -> Option<&str> {
        if let Ok(line) = self.only_value("cookie")
            && let Ok(value) = plain(line.unwrap_or_default(), name.as_bytes())
        {
            return value;
        }
        self.cookies().filter(|(other, _)| *other == name).last().map(|(_, value)| value)
    }

    /// All cookies in the order they came, those of several `Cookie` lines too; of those with one name, the last counts.
    /// What has no `=` is none. Bytes that are not UTF-8 become U+FFFD.
    ///
    /// ```
    /// # fn example(request: &workerman::Request) {
    /// for (name, value) in request.cookies() {
    ///     println!("{name}={value}");
    /// }
    /// # }
    /// ```
    pub fn cookies(&self) -> impl Iterator<Item = (&str, &str)> {
        let line = self.header("cookie").unwrap_or_default();
        let mut decoded = if is_encoded(line) { self.decoded_cookies(line) } else { &[] }.iter();
        pairs(line).map(move |(name, value)| {
            let decoded = if is_encoded(value) { decoded.next() } else { None };
            (name, decoded.map_or(value, String::as_str))
        })
    }

    /// The values that are encoded, decoded.
    #[cold]
    fn decoded_cookies(&self, line: &str) -> &[String] {
        let encoded = pairs(line).map(|(_, value)| value).filter(|value| is_encoded(value));
        let decode = |value| percent_decode_str(value).decode_utf8_lossy().into_owned();
        self.rare().cookies.get_or_init(|| encoded.map(decode).collect())
    }
}

/// Something is not as nearly all clients send it.
struct Odd;

/// A cookie of a line in which it stands for itself, without a look at what the others are.
fn plain<'a>(line: &'a [u8], name: &[u8]) -> Result<Option<&'a str>, Odd> {
    if name.is_empty() || !name.iter().all(|byte| TOKEN.has(*byte)) {
        return Err(Odd);
    }
    let mut found = None;
    let mut rest = line;
    while !rest.is_empty() {
        let end = memchr::memchr(b';', rest).unwrap_or(rest.len());
        let (piece, behind) = rest.split_at_checked(end).ok_or(Odd)?;
        rest = behind.get(1..).unwrap_or_default();
        match piece.trim_ascii_start().strip_prefix(name) {
            Some([b'=', value @ ..]) => found = Some(value),
            Some([b' ' | b'\t', ..]) => return Err(Odd),
            _ => {}
        }
    }
    match found.map(std::str::from_utf8).transpose() {
        Ok(value) if !value.is_some_and(is_encoded) => Ok(value),
        _ => Err(Odd),
    }
}

/// Names and values as sent.
fn pairs(line: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = line;
    let pieces = std::iter::from_fn(move || {
        let end = memchr::memchr(b';', rest.as_bytes()).unwrap_or(rest.len());
        let (piece, behind) = rest.split_at_checked(end)?;
        rest = behind.get(1..).unwrap_or_default();
        (!piece.is_empty() || !behind.is_empty()).then_some(piece)
    });
    // PHP's `trim`: of what that takes away, a header line can only have spaces and tabs.
    pieces.filter_map(|piece| cut(piece, b'=').map(|(name, value)| (name.trim_ascii(), value)))
}

fn is_encoded(value: &str) -> bool {
    memchr::memchr(b'%', value.as_bytes()).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn a_cookie_found_at_once_is_the_one_found_by_reading_all(line in "[ab=; \t%1\"]{0,30}", name in "[ab= ]{0,2}") {
            if let Ok(value) = plain(line.as_bytes(), name.as_bytes()) {
                assert_eq!(value, pairs(&line).filter(|(other, _)| *other == name).last().map(|(_, value)| value));
            }
        }
    }

    #[test]
    fn the_usual_cookie_is_found_at_once() {
        let line = b"sid=1; theme=dark; sid=2";
        assert!(matches!(plain(line, b"sid"), Ok(Some("2"))) && matches!(plain(line, b"lang"), Ok(None)));
        assert!(plain(b"sid =1", b"sid").is_err() && plain(b"sid=%20", b"sid").is_err() && plain(line, b"").is_err());
    }
}
