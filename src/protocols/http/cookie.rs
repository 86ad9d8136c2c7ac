//! The cookies of a request.
//!
//! In scope: names and values as the `Cookie` lines have them, by the rules of PHP Workerman. Out of scope: cookies that
//! are set, which are the response's.
//!
//! Invariants: nothing is copied and nothing kept: each question reads the header.

use super::request::Request;

impl Request {
    /// A cookie, by its name with its case. The last one wins when a name comes twice.
    ///
    /// The value is what was sent, as in PHP Workerman: `%xx` is not decoded, and quotes and spaces around it stay.
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
        let pairs = self.header("cookie").unwrap_or_default().split(';');
        // PHP's `trim`; a NUL never gets here.
        let space = [' ', '\t', '\n', '\r', '\x0b'];
        pairs.filter_map(move |pair| pair.split_once('=').map(|(name, value)| (name.trim_matches(space), value)))
    }
}
