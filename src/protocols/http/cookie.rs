//! The cookies of a request.
//!
//! In scope: names and values of the `Cookie` lines, split by the rules of PHP Workerman, and values decoded as
//! [`Cookie`](crate::Cookie) encodes them. Out of scope: cookies that are set, which are the response's.
//!
//! Invariants: each question reads the header, which is bounded; only values with a `%` are copied, at first use.

use percent_encoding::percent_decode_str;

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

/// Names and values as sent.
fn pairs(line: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = line;
    let pieces = std::iter::from_fn(move || {
        let (piece, behind) = cut(rest, b';').unwrap_or((rest, ""));
        rest = behind;
        (!piece.is_empty() || !behind.is_empty()).then_some(piece)
    });
    // PHP's `trim`: of what that takes away, a header line can only have spaces and tabs.
    pieces.filter_map(|piece| cut(piece, b'=').map(|(name, value)| (name.trim_ascii(), value)))
}

fn is_encoded(value: &str) -> bool {
    memchr::memchr(b'%', value.as_bytes()).is_some()
}
