//! [`Cookie`]: one `Set-Cookie` line of an answer.
//!
//! Invariant: what is sent follows the grammar of RFC 6265 §4.1.1, so no attribute can be forged by a name, a value, a
//! path or a domain: a value is percent-encoded, and a cookie with any other part that does not fit is none.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

use super::class::{CONTROL, TOKEN};

/// What PHP's `rawurlencode` escapes: all that is not `unreserved` (RFC 3986 §2.3).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A cookie for the browser, set by [`Response::with_cookie`](crate::Response::with_cookie).
///
/// What is not set is not sent: the cookie then lasts until the browser closes and goes back to this host only, for
/// paths below that of the request.
///
/// ```
/// use workerman::{Cookie, Response, SameSite};
///
/// let cookie = Cookie::new("sid", "0123").path("/").max_age(3600).http_only(true).same_site(SameSite::Lax);
/// let response = Response::default().with_cookie(cookie);
/// assert_eq!(response.header("Set-Cookie"), Some("sid=0123; Max-Age=3600; Path=/; HttpOnly; SameSite=Lax"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a cookie does nothing until it is in a response"]
pub struct Cookie {
    name: String,
    /// Percent-encoded.
    value: String,
    domain: String,
    max_age: Option<i64>,
    path: String,
    secure: bool,
    http_only: bool,
    same_site: Option<SameSite>,
}

/// With which requests from other sites a browser sends a cookie.
///
/// ```
/// use workerman::{Cookie, SameSite};
///
/// let cookie = Cookie::new("embedded", "1").same_site(SameSite::None).secure(true);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SameSite {
    /// With none.
    Strict,
    /// With those that a click on a link makes.
    Lax,
    /// With all. Browsers want [`Cookie::secure`] beside it.
    None,
}

impl Cookie {
    /// A cookie with a name and a value. The name is a token; the value is any text or bytes, percent-encoded as PHP's
    /// `rawurlencode` does. An empty value is one, too.
    ///
    /// ```
    /// # use workerman::{Cookie, Response};
    /// let response = Response::default().with_cookie(Cookie::new("tea", "green & black"));
    /// assert_eq!(response.header("Set-Cookie"), Some("tea=green%20%26%20black"));
    /// ```
    pub fn new(name: impl Into<String>, value: impl AsRef<[u8]>) -> Self {
        Self {
            name: name.into(),
            value: encode(value.as_ref()),
            domain: String::new(),
            max_age: None,
            path: String::new(),
            secure: false,
            http_only: false,
            same_site: None,
        }
    }

    /// After how many seconds the browser forgets the cookie: 0 or less means at once, which deletes it.
    ///
    /// ```
    /// # use workerman::{Cookie, Response};
    /// let response = Response::default().with_cookie(Cookie::new("sid", "").max_age(0));
    /// assert_eq!(response.header("Set-Cookie"), Some("sid=; Max-Age=0"));
    /// ```
    #[doc(alias = "maxAge")]
    pub fn max_age(self, seconds: i64) -> Self {
        Self { max_age: Some(seconds), ..self }
    }

    /// For which paths it is: this one and those below it.
    ///
    /// ```
    /// # use workerman::{Cookie, Response};
    /// let response = Response::default().with_cookie(Cookie::new("a", "1").path("/shop"));
    /// assert_eq!(response.header("Set-Cookie"), Some("a=1; Path=/shop"));
    /// ```
    pub fn path(self, path: impl Into<String>) -> Self {
        Self { path: path.into(), ..self }
    }

    /// For which host it is, those below it included. A dot in front, which older standards wanted, is left off.
    ///
    /// ```
    /// # use workerman::{Cookie, Response};
    /// let response = Response::default().with_cookie(Cookie::new("a", "1").domain(".example.com"));
    /// assert_eq!(response.header("Set-Cookie"), Some("a=1; Domain=example.com"));
    /// ```
    pub fn domain(self, domain: impl Into<String>) -> Self {
        Self { domain: domain.into(), ..self }
    }

    /// Whether it goes over TLS only.
    ///
    /// ```
    /// # use workerman::{Cookie, Response};
    /// let response = Response::default().with_cookie(Cookie::new("a", "1").secure(true));
    /// assert_eq!(response.header("Set-Cookie"), Some("a=1; Secure"));
    /// ```
    pub fn secure(self, secure: bool) -> Self {
        Self { secure, ..self }
    }

    /// Whether it is kept from the page's scripts.
    ///
    /// ```
    /// # use workerman::{Cookie, Response};
    /// let response = Response::default().with_cookie(Cookie::new("a", "1").http_only(true));
    /// assert_eq!(response.header("Set-Cookie"), Some("a=1; HttpOnly"));
    /// ```
    #[doc(alias = "httpOnly")]
    pub fn http_only(self, http_only: bool) -> Self {
        Self { http_only, ..self }
    }

    /// With which requests from other sites it goes.
    ///
    /// ```
    /// # use workerman::{Cookie, Response, SameSite};
    /// let response = Response::default().with_cookie(Cookie::new("a", "1").same_site(SameSite::Strict));
    /// assert_eq!(response.header("Set-Cookie"), Some("a=1; SameSite=Strict"));
    /// ```
    #[doc(alias = "sameSite")]
    pub fn same_site(self, same_site: SameSite) -> Self {
        Self { same_site: Some(same_site), ..self }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The value of the `Set-Cookie` line, attributes in PHP's order, or why there is none.
    pub(super) fn line(&self) -> Result<String, &'static str> {
        self.line_in(Order::Response)
    }

    /// The same with this value, in the order of PHP's session cookie.
    #[cfg(feature = "session")]
    pub(crate) fn session_line(&self, value: &str) -> Result<String, &'static str> {
        Self { value: encode(value.as_ref()), ..self.clone() }.line_in(Order::Session)
    }

    #[cfg(feature = "session")]
    pub(crate) fn with_name(self, name: impl Into<String>) -> Self {
        Self { name: name.into(), ..self }
    }

    /// As [`Cookie::max_age`], but 0 means until the browser closes.
    #[cfg(feature = "session")]
    pub(crate) fn with_age(self, seconds: u32) -> Self {
        Self { max_age: (seconds > 0).then_some(seconds.into()), ..self }
    }

    fn line_in(&self, order: Order) -> Result<String, &'static str> {
        let domain = self.domain.strip_prefix('.').unwrap_or(&self.domain);
        if self.name.is_empty() || !self.name.bytes().all(|byte| TOKEN.has(byte)) {
            return Err("its name is no token");
        }
        // RFC 6265 §4.1.1, path-value: any CHAR except CTLs or ";". CHAR is ASCII.
        if !self.path.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_control() && byte != b';') {
            return Err("its path has a byte that no path may have");
        }
        if !self.domain.is_empty() && !is_domain(domain) {
            return Err("its domain is none");
        }
        let mut line = format!("{}={}", self.name, self.value);
        let mut attribute = |name: &str, value: &str| {
            line.push_str(name);
            line.push_str(value);
        };
        if !domain.is_empty() {
            attribute("; Domain=", domain);
        }
        if let Some(seconds) = self.max_age {
            attribute("; Max-Age=", &seconds.to_string());
        }
        if !self.path.is_empty() {
            attribute("; Path=", &self.path);
        }
        let same_site = match self.same_site {
            Some(SameSite::Strict) => "; SameSite=Strict",
            Some(SameSite::Lax) => "; SameSite=Lax",
            Some(SameSite::None) => "; SameSite=None",
            None => "",
        };
        let secure = if self.secure { "; Secure" } else { "" };
        let http_only = if self.http_only { "; HttpOnly" } else { "" };
        let flags = match order {
            Order::Response => [secure, http_only, same_site],
            #[cfg(feature = "session")]
            Order::Session => [same_site, secure, http_only],
        };
        line.extend(flags);
        debug_assert!(!line.bytes().any(|byte| CONTROL.has(byte)), "a line of its own: {line:?}");
        Ok(line)
    }
}

/// PHP has two orders of the attributes.
#[derive(Clone, Copy, Debug)]
enum Order {
    Response,
    #[cfg(feature = "session")]
    Session,
}

fn encode(value: &[u8]) -> String {
    percent_encode(value, RESERVED).to_string()
}

/// Labels of letters, digits and hyphens (RFC 6265 §4.1.1, by RFC 1034 §3.5 and RFC 1123 §2.1).
fn is_domain(domain: &str) -> bool {
    domain
        .split('.')
        .all(|label| !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn simple() -> Cookie {
        Cookie::new("a", "1")
    }

    #[test]
    fn the_attributes_stand_in_phps_order_whatever_the_order_of_the_calls() {
        let all = Cookie::new("n", "v").same_site(SameSite::None).http_only(true).secure(true);
        let all = all.path("/p").max_age(-1).domain("d.e");
        let line = "n=v; Domain=d.e; Max-Age=-1; Path=/p; Secure; HttpOnly; SameSite=None";
        assert_eq!(all.line().as_deref(), Ok(line));
    }

    #[test]
    fn what_is_not_set_or_empty_is_not_sent() {
        assert_eq!(Cookie::new("a", "").line().as_deref(), Ok("a="));
        let empty = simple().path("").domain("").secure(false).http_only(false);
        assert_eq!(empty.line().as_deref(), Ok("a=1"));
    }

    #[test]
    fn a_value_is_encoded_as_rawurlencode_does() {
        let all: Vec<u8> = (0..=255).collect();
        let line = Cookie::new("a", &all).line().unwrap();
        assert!(line.starts_with("a=%00%01%02") && line.ends_with("%FD%FE%FF"), "{line}");
        assert!(
            line.contains("%2C-.%2F0123456789%3A%3B")
                && line.contains("Z%5B%5C%5D%5E_%60a")
                && line.contains("z%7B%7C%7D~%7F")
        );
    }

    #[test]
    fn a_cookie_that_is_against_the_grammar_has_no_line() {
        for name in ["", "a b", "a=b", "a;b", "a\r\nb", "\u{e9}", "a\"", "a,b", "\0"] {
            assert!(Cookie::new(name, "1").line().is_err(), "{name:?}");
        }
        for path in ["/;Secure", "/\r\nX: 1", "/\n", "/\0", "/\t", "/\x7f", "/\u{e9}"] {
            assert!(simple().path(path).line().is_err(), "{path:?}");
        }
        for domain in [".", "..a", "a..b", "a.", "a;b", "a b", "a,b", "a\r\nb", "a\0", "\u{e9}.com", "a:80", "[::1]"] {
            assert!(simple().domain(domain).line().is_err(), "{domain:?}");
        }
        assert_eq!(simple().domain(".a.b").line().as_deref(), Ok("a=1; Domain=a.b"));
        assert!(simple().path("/a b,c=\"d\"").domain("127.0.0.1").line().is_ok());
    }

    proptest! {
        #[test]
        fn no_part_can_forge_another(
            name in ".{0,5}", value in any::<Vec<u8>>(), path in "[ -~;\r\n\t/]{0,9}", domain in "[a-z.;\r\n-]{0,9}"
        ) {
            let cookie = Cookie::new(name.clone(), &value).path(path.clone()).domain(domain.clone());
            if let Ok(line) = cookie.line() {
                let parts: Vec<&str> = line.split("; ").collect();
                let attributes = usize::from(!path.is_empty()) + usize::from(!domain.is_empty());
                prop_assert_eq!(line.matches(';').count(), attributes);
                prop_assert_eq!(parts.len(), attributes + 1);
                prop_assert!(line.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
                let start = format!("{name}=");
                prop_assert!(parts.first().is_some_and(|part| part.starts_with(&start)));
            }
        }
    }
}
