//! Addresses of `http://` and `https://`, and references to others from there (RFC 3986 §5).
//!
//! Invariants: an address is ASCII without control characters and without a fragment, so a request line of it is one line;
//! its origin is in lower case and without a port that goes without saying, so equal origins are equal texts.

use std::net::Ipv6Addr;

use super::error::HttpError;

/// An address that can be asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Url {
    /// `scheme://host:port/path?query`.
    text: String,
    host: u32,
    target: u32,
    port: u16,
}

impl Url {
    pub(super) fn parse(text: &str) -> Result<Self, HttpError> {
        let bad = |reason: String| HttpError::Address(reason.into());
        if text.bytes().any(|byte| byte.is_ascii_control()) {
            return Err(bad("there is a control character in it".into()));
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(bad(format!("there is no http:// or https:// in front of \"{text}\"")));
        };
        let (scheme, usual_port) = match scheme {
            _ if scheme.eq_ignore_ascii_case("http") => ("http", 80),
            _ if scheme.eq_ignore_ascii_case("https") => ("https", 443),
            _ => return Err(bad(format!("the scheme is \"{scheme}\", and http and https are known"))),
        };
        let (authority, target) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err(bad("a name and a password belong into the header Authorization".into()));
        }
        let (host, port) = split_port(authority).ok_or_else(|| bad(format!("\"{authority}\" has no valid port")))?;
        if !is_host(host) {
            return Err(bad(format!("\"{host}\" is no host")));
        }
        let mut url = Self { text: String::with_capacity(text.len() + 1), host: 0, target: 0, port: usual_port };
        url.text.push_str(scheme);
        url.text.push_str("://");
        url.host = length(&url.text)?;
        url.text.push_str(host);
        url.text.make_ascii_lowercase();
        if let Some(port) = port.filter(|port| *port != usual_port) {
            url.port = port;
            url.text.push(':');
            url.text.push_str(itoa::Buffer::new().format(port));
        }
        url.target = length(&url.text)?;
        let target = target.split('#').next().unwrap_or_default();
        if !target.starts_with('/') {
            url.text.push('/');
        }
        target.bytes().for_each(|byte| push_escaped(&mut url.text, byte));
        length(&url.text)?;
        Ok(url)
    }

    /// The address that is meant by this, which may be relative.
    pub(super) fn join(&self, reference: &str) -> Result<Self, HttpError> {
        let reference = reference.trim_matches([' ', '\t']).split('#').next().unwrap_or_default();
        if has_scheme(reference) {
            return Self::parse(reference);
        }
        if reference.starts_with("//") {
            let scheme = if self.is_tls() { "https:" } else { "http:" };
            return Self::parse(&format!("{scheme}{reference}"));
        }
        let (path, query) = split_query(reference);
        let (own_path, own_query) = split_query(self.target());
        let target = match path {
            "" if query.is_empty() => format!("{own_path}{own_query}"),
            "" => format!("{own_path}{query}"),
            _ if path.starts_with('/') => format!("{}{query}", without_dots(path)),
            _ => {
                let directory = own_path.rfind('/').and_then(|end| own_path.get(..=end)).unwrap_or("/");
                format!("{}{query}", without_dots(&format!("{directory}{path}")))
            }
        };
        Self::parse(&format!("{}{target}", self.origin()))
    }

    pub(super) fn is_tls(&self) -> bool {
        self.text.starts_with("https:")
    }

    /// What a client connects to.
    pub(super) fn dial(&self) -> String {
        let scheme = if self.is_tls() { "ssl" } else { "tcp" };
        let authority = self.authority();
        let host = split_port(authority).map_or(authority, |(host, _)| host);
        format!("{scheme}://{host}:{}", self.port)
    }

    /// What all addresses of one server have in common.
    pub(super) fn origin(&self) -> &str {
        self.text.get(..self.target as usize).unwrap_or_default()
    }

    /// Host and port, without a port that goes without saying.
    pub(super) fn authority(&self) -> &str {
        self.text.get(self.host as usize..self.target as usize).unwrap_or_default()
    }

    /// Path and query.
    pub(super) fn target(&self) -> &str {
        self.text.get(self.target as usize..).unwrap_or("/")
    }

    pub(super) fn into_text(self) -> String {
        self.text
    }
}

fn length(text: &str) -> Result<u32, HttpError> {
    // A server that takes longer ones is yet to be written.
    u32::try_from(text.len()).map_err(|_| HttpError::Address("it is too long".into()))
}

/// Host and port; `None` if what stands behind the colon is no port.
fn split_port(authority: &str) -> Option<(&str, Option<u16>)> {
    let behind_literal = authority.find(']').map_or(0, |end| end + 1);
    let (literal, rest) = authority.split_at_checked(behind_literal)?;
    let Some(colon) = rest.find(':') else { return Some((authority, None)) };
    let host = authority.get(..literal.len() + colon)?;
    match rest.get(colon + 1..)? {
        "" => Some((host, None)),
        port if port.bytes().all(|byte| byte.is_ascii_digit()) => {
            Some((host, Some(port.parse().ok().filter(|port| *port > 0)?)))
        }
        _ => None,
    }
}

fn is_host(host: &str) -> bool {
    if let Some(literal) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return literal.parse::<Ipv6Addr>().is_ok();
    }
    !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
}

fn has_scheme(reference: &str) -> bool {
    let Some((scheme, _)) = reference.split_once(':') else { return false };
    scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

/// The path, and the query with its question mark.
fn split_query(text: &str) -> (&str, &str) {
    text.split_at(text.find('?').unwrap_or(text.len()))
}

/// `remove_dot_segments` of RFC 3986 §5.2.4, of a path that begins with a slash.
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut ends_in_directory = false;
    for segment in path.split('/').skip(1) {
        ends_in_directory = matches!(segment, "." | "..");
        match segment {
            "." => {}
            ".." => drop(kept.pop()),
            _ => kept.push(segment),
        }
    }
    let mut clean = String::with_capacity(path.len());
    for segment in kept {
        clean.push('/');
        clean.push_str(segment);
    }
    if ends_in_directory || clean.is_empty() {
        clean.push('/');
    }
    clean
}

/// As browsers do: what may not stand in a target is escaped.
fn push_escaped(text: &mut String, byte: u8) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    if byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte) {
        text.push(char::from(byte));
    } else {
        let digit = |nibble: u8| char::from(HEX.get(usize::from(nibble)).copied().unwrap_or(b'0'));
        text.extend(['%', digit(byte >> 4), digit(byte & 15)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_apart() {
        for (text, origin, authority, target, dial) in [
            ("http://a", "http://a", "a", "/", "tcp://a:80"),
            ("HTTP://A.Test:80/B?c#d", "http://a.test", "a.test", "/B?c", "tcp://a.test:80"),
            ("https://a:443/", "https://a", "a", "/", "ssl://a:443"),
            ("https://a:80?q=1", "https://a:80", "a:80", "/?q=1", "ssl://a:80"),
            ("http://[::1]:8080/x", "http://[::1]:8080", "[::1]:8080", "/x", "tcp://[::1]:8080"),
            ("http://[2001:DB8::1]", "http://[2001:db8::1]", "[2001:db8::1]", "/", "tcp://[2001:db8::1]:80"),
            ("http://a:/ü ü", "http://a", "a", "/%C3%BC%20%C3%BC", "tcp://a:80"),
            ("http://a/%20{}\"", "http://a", "a", "/%20%7B%7D%22", "tcp://a:80"),
        ] {
            let url = Url::parse(text).unwrap();
            assert_eq!((url.origin(), url.authority(), url.target()), (origin, authority, target), "{text}");
            assert_eq!(url.dial(), dial);
            assert_eq!(Url::parse(&url.clone().into_text()).unwrap(), url);
        }
    }

    #[test]
    fn what_cannot_be_asked_is_refused() {
        for text in [
            "",
            "a",
            "//a",
            "/x",
            "ftp://a/",
            "http:a",
            "http://",
            "http:///x",
            "http://a:b/",
            "http://a:65536/",
            "http://a:0/",
            "http://a:-1",
            "http://user@a/",
            "http://a:1@b/",
            "http://[::1",
            "http://::1/",
            "http://[x]/",
            "http://a b/",
            "http://a\r\nX: y/",
            "http://a/\r\nX: y",
            "http://a/\n",
            "http://a\\b/",
            "http://ü/",
            "http://a%41/",
            "http://[::1]x/",
            "http://a\0",
        ] {
            assert!(matches!(Url::parse(text), Err(HttpError::Address(_))), "{text:?}");
        }
    }

    #[test]
    fn references_are_resolved_as_in_the_examples_of_rfc_3986() {
        let base = Url::parse("http://a/b/c/d;p?q").unwrap();
        for (reference, expected) in [
            ("g", "http://a/b/c/g"),
            ("./g", "http://a/b/c/g"),
            ("g/", "http://a/b/c/g/"),
            ("/g", "http://a/g"),
            ("//g", "http://g/"),
            ("?y", "http://a/b/c/d;p?y"),
            ("g?y", "http://a/b/c/g?y"),
            ("#s", "http://a/b/c/d;p?q"),
            ("g#s", "http://a/b/c/g"),
            ("g?y#s", "http://a/b/c/g?y"),
            (";x", "http://a/b/c/;x"),
            ("g;x", "http://a/b/c/g;x"),
            ("", "http://a/b/c/d;p?q"),
            (".", "http://a/b/c/"),
            ("./", "http://a/b/c/"),
            ("..", "http://a/b/"),
            ("../", "http://a/b/"),
            ("../g", "http://a/b/g"),
            ("../..", "http://a/"),
            ("../../", "http://a/"),
            ("../../g", "http://a/g"),
            ("../../../g", "http://a/g"),
            ("../../../../g", "http://a/g"),
            ("/./g", "http://a/g"),
            ("/../g", "http://a/g"),
            ("g.", "http://a/b/c/g."),
            (".g", "http://a/b/c/.g"),
            ("g..", "http://a/b/c/g.."),
            ("./../g", "http://a/b/g"),
            ("./g/.", "http://a/b/c/g/"),
            ("g/./h", "http://a/b/c/g/h"),
            ("g/../h", "http://a/b/c/h"),
            ("g;x=1/../y", "http://a/b/c/y"),
            ("g?y/../x", "http://a/b/c/g?y/../x"),
            ("https://g/x", "https://g/x"),
        ] {
            assert_eq!(base.join(reference).unwrap().into_text(), expected, "{reference}");
        }
        for reference in ["g:h", "javascript:alert(1)", "http:g", "//", "//a:b", "\r\n"] {
            assert!(base.join(reference).is_err(), "{reference:?}");
        }
    }
}
