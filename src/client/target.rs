//! The address of a client, read: who is to be connected to, whether TLS is spoken with him, and what he is asked for.
//!
//! `scheme://host:port/path?query`. The type says which protocol is spoken, so `tcp` fits all, and `ssl` or `tls` in its
//! place asks for TLS, as do the secure schemes of those protocols that have one. What goes into the line of a request or
//! into a header has no byte in it that could end that.

use std::borrow::Cow;
use std::net::Ipv6Addr;

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::address::check_path;

/// The schemes of a protocol that has one for TLS too.
struct Known {
    /// The codec's.
    scheme: &'static str,
    plain: &'static str,
    secure: &'static str,
}

const KNOWN: &[Known] = &[
    Known { scheme: "http", plain: "http", secure: "https" },
    Known { scheme: "ws", plain: "ws", secure: "wss" },
    Known { scheme: "websocket", plain: "ws", secure: "wss" },
];

/// The ports of HTTP and WebSocket, and PHP's for `ssl`.
const PORT: u16 = 80;
const SECURE_PORT: u16 = 443;

/// What a path may hold that a request's line may not.
const ESCAPED: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>');

/// An address as it is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// TLS is spoken with it.
    pub(crate) secure: bool,
    pub(crate) place: Place,
    /// Path and query for the line of a request: `/` at least.
    pub(crate) uri: Box<str>,
}

/// Where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A name or a number; IPv6 without brackets.
    Host { host: Box<str>, port: u16 },
    /// The path of a Unix socket, or, with `@` in front, a name without a file.
    Unix(Box<str>),
}

impl Target {
    /// Reads the address of a client whose protocol has this scheme; or tells what is wrong with it.
    pub(crate) fn parse(text: &str, scheme: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("there is no address".into());
        }
        let (given, rest) = text.split_once("://").map_or((None, text), |(given, rest)| (Some(given), rest));
        if given.is_some_and(|given| given.eq_ignore_ascii_case("unix")) {
            check_path(rest)?;
            return Ok(Self { secure: false, place: Place::Unix(rest.into()), uri: "/".into() });
        }
        let secure = given.map_or(Ok(false), |given| is_secure(given, scheme))?;
        let (authority, uri) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err("a user and a password have no place in it".into());
        }
        let (host, port) = split_authority(authority)?;
        let has_usual_port = secure || KNOWN.iter().any(|known| known.scheme == scheme);
        let port = match port {
            Some(port) => port,
            None if has_usual_port => usual_port(secure),
            None => return Err(format!("there is no port, as in \"{scheme}://127.0.0.1:8080\"")),
        };
        Ok(Self { secure, place: Place::Host { host: host.into(), port }, uri: request_uri(uri)? })
    }

    /// The host, IPv6 without brackets: the name that a certificate is for. Of a Unix socket, `localhost`.
    pub(crate) fn host(&self) -> &str {
        match &self.place {
            Place::Host { host, .. } => host,
            Place::Unix(_) => "localhost",
        }
    }

    /// For the header `Host`: with brackets, and with the port where that is not the usual one.
    pub(crate) fn host_header(&self) -> Cow<'_, str> {
        match &self.place {
            Place::Host { host, port } if *port != usual_port(self.secure) => authority(host, *port).into(),
            _ if self.host().contains(':') => format!("[{}]", self.host()).into(),
            _ => self.host().into(),
        }
    }
}

/// `host:port`, IPv6 in brackets.
pub(super) fn authority(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// Whether this scheme asks a client of the protocol for TLS.
fn is_secure(given: &str, scheme: &str) -> Result<bool, String> {
    let is = |name: &str| given.eq_ignore_ascii_case(name);
    let known = KNOWN.iter().find(|known| known.scheme == scheme);
    if is(scheme) || is("tcp") || known.is_some_and(|known| is(known.plain)) {
        Ok(false)
    } else if is("ssl") || is("tls") || known.is_some_and(|known| is(known.secure)) {
        Ok(true)
    } else {
        Err(format!("the scheme is \"{given}\", but this client speaks \"{scheme}\""))
    }
}

fn usual_port(secure: bool) -> u16 {
    if secure { SECURE_PORT } else { PORT }
}

/// The host, without brackets, and the port if there is one.
pub(super) fn split_authority(authority: &str) -> Result<(&str, Option<u16>), String> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (literal, behind) = rest.split_once(']').ok_or("\"[\" without \"]\"")?;
            // With or without the name of an interface behind a `%`, which the system understands.
            let number = literal.split('%').next().unwrap_or_default();
            number.parse::<Ipv6Addr>().map_err(|_| format!("\"{literal}\" is not an IPv6 address"))?;
            match behind.strip_prefix(':') {
                None if !behind.is_empty() => return Err(format!("\"{behind}\" behind the \"]\"")),
                port => (literal, port),
            }
        }
        None => authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port))),
    };
    if port.is_some_and(|port| port.contains(':')) {
        return Err("an IPv6 address stands in brackets: [::1]:8080".into());
    }
    if host.is_empty() {
        return Err("there is no host".into());
    }
    if let Some(odd) = host.chars().find(|odd| !odd.is_ascii_graphic() || "\"\\<>^`{|}".contains(*odd)) {
        return Err(format!("{odd:?} in the name of a host; one that is not in ASCII is written as \"xn--...\""));
    }
    let number = |port: &str| match port.parse() {
        Ok(number @ 1..) if !port.starts_with('+') => Ok(number),
        _ => Err(format!("\"{port}\" is not a port (1 to 65535)")),
    };
    Ok((host, port.map(number).transpose()?))
}

/// Path and query for the line of a request.
fn request_uri(text: &str) -> Result<Box<str>, String> {
    let uri = text.split('#').next().unwrap_or_default();
    if uri.contains(char::is_control) {
        return Err("a control character in the path".into());
    }
    let slash = if uri.starts_with('/') { "" } else { "/" };
    Ok(format!("{slash}{}", utf8_percent_encode(uri, ESCAPED)).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(text: &str, scheme: &str) -> (bool, String, u16, String) {
        match Target::parse(text, scheme) {
            Ok(Target { secure, place: Place::Host { host, port }, uri }) => (secure, host.into(), port, uri.into()),
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn the_scheme_says_whether_tls_is_spoken_and_which_port_is_meant() {
        for (text, scheme, secure, port) in [
            ("tcp://a:1", "tcp", false, 1),
            ("a:1", "tcp", false, 1),
            ("text://a:1", "text", false, 1),
            ("TCP://a:1", "text", false, 1),
            ("ssl://a:1", "text", true, 1),
            ("tls://a", "frame", true, 443),
            ("http://a", "http", false, 80),
            ("https://a", "http", true, 443),
            ("a", "http", false, 80),
            ("tcp://a", "ws", false, 80),
            ("ws://a", "ws", false, 80),
            ("ws://a", "websocket", false, 80),
            ("websocket://a", "websocket", false, 80),
            ("wss://a", "ws", true, 443),
            ("WSS://a:8443", "websocket", true, 8443),
            ("ssl://a", "ws", true, 443),
        ] {
            assert_eq!(host(text, scheme), (secure, "a".into(), port, "/".into()), "{text}");
        }
    }

    #[test]
    fn hosts_and_their_headers() {
        for (text, scheme, name, header) in [
            ("http://example.com", "http", "example.com", "example.com"),
            ("http://example.com:80", "http", "example.com", "example.com"),
            ("http://example.com:443", "http", "example.com", "example.com:443"),
            ("https://example.com:443", "http", "example.com", "example.com"),
            ("ws://[::1]", "ws", "::1", "[::1]"),
            ("ws://[::1]:81", "ws", "::1", "[::1]:81"),
            ("tcp://[fe80::1%eth0]:7", "tcp", "fe80::1%eth0", "[fe80::1%eth0]:7"),
            ("text://xn--bcher-kva.example:1", "text", "xn--bcher-kva.example", "xn--bcher-kva.example:1"),
            ("unix:///run/app.sock", "http", "localhost", "localhost"),
        ] {
            let target = Target::parse(text, scheme).expect(text);
            assert_eq!((target.host(), &*target.host_header()), (name, header), "{text}");
        }
    }

    #[test]
    fn what_is_asked_for_fits_into_one_line() {
        for (text, uri) in [
            ("ws://a", "/"),
            ("ws://a/", "/"),
            ("ws://a/chat?room=1&x=%20", "/chat?room=1&x=%20"),
            ("ws://a?room=1", "/?room=1"),
            ("ws://a/chat#top", "/chat"),
            ("ws://a#top", "/"),
            ("ws://a/x y/ä", "/x%20y/%C3%A4"),
            ("ws://a/user@home:1", "/user@home:1"),
        ] {
            assert_eq!(host(text, "ws"), (false, "a".into(), 80, uri.into()), "{text}");
        }
    }

    #[test]
    fn a_unix_socket_serves_every_protocol() {
        for (text, path) in [("unix:///run/app.sock", "/run/app.sock"), ("UNIX://@app", "@app")] {
            let target = Target::parse(text, "text").expect(text);
            assert_eq!(target, Target { secure: false, place: Place::Unix(path.into()), uri: "/".into() });
        }
    }

    #[test]
    fn an_error_says_what_is_wrong() {
        for (text, part) in [
            ("", "no address"),
            ("http://a:1", "\"http\", but this client speaks \"text\""),
            ("wss://a:1", "\"wss\""),
            ("://a:1", "\"\""),
            ("text://a", "no port"),
            ("a", "no port"),
            ("text://", "no host"),
            ("text://:1", "no host"),
            ("text:///path", "no host"),
            ("text://a:", "\"\" is not a port"),
            ("text://a:0", "\"0\" is not a port"),
            ("text://a:+1", "\"+1\""),
            ("text://a:65536", "65536"),
            ("text://a:port", "\"port\""),
            ("text://::1:80", "brackets"),
            ("text://[::1:80", "\"[\""),
            ("text://[a]:80", "\"a\" is not an IPv6 address"),
            ("text://[::1]80", "\"80\" behind"),
            ("text://me:secret@a:1", "a user and a password"),
            ("text://a b:1", "' '"),
            ("text://a\r\nX:1", "'\\r'"),
            ("text://bücher.example:1", "xn--"),
            ("text://a:1/\r\nX-Header: 1", "a control character"),
            ("unix://", "no path"),
        ] {
            let error = Target::parse(text, "text").expect_err(text);
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
