//! Worker addresses: `scheme://host:port`, the scheme may be left out; or `unix:///path` for any protocol.

use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};

use crate::error::Error;

/// Where a worker listens, as far as the text tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    /// A worker without a listener.
    None,
    /// TCP on this host and port.
    Tcp { text: Box<str>, host: Box<str>, port: u16 },
    /// A Unix socket of this path, or, with `@` in front, of this name without a file.
    Unix { text: Box<str>, path: Box<str> },
}

/// Bytes that the path of a Unix socket may have: `sockaddr_un` ends with a zero.
const UNIX_PATH: usize = if cfg!(target_os = "linux") { 107 } else { 103 };

impl Address {
    /// Reads an address of the protocol with this scheme. The type says what is spoken, so `tcp` fits all, as in PHP
    /// beside a `protocol`.
    pub(crate) fn parse(text: &str, scheme: &str) -> Result<Self, Error> {
        let bad = |reason: String| Error::Address { address: text.into(), reason: reason.into() };
        if text.is_empty() {
            return Ok(Self::None);
        }
        let authority = match text.split_once("://") {
            None => text,
            Some((given, path)) if given.eq_ignore_ascii_case("unix") => {
                check_path(path).map_err(bad)?;
                return Ok(Self::Unix { text: text.into(), path: path.into() });
            }
            Some((given, rest)) if [scheme, "tcp"].iter().any(|known| given.eq_ignore_ascii_case(known)) => rest,
            Some((given, _)) => {
                return Err(bad(format!("the scheme is \"{given}\", but the protocol of this worker is \"{scheme}\"")));
            }
        };
        let (host, port) = authority
            .trim_end_matches('/')
            .rsplit_once(':')
            .ok_or_else(|| bad(format!("there is no port, as in \"{scheme}://127.0.0.1:8080\"")))?;
        let port = port.parse().map_err(|_| bad(format!("\"{port}\" is not a port (0 to 65535)")))?;
        let host = match host.strip_prefix('[').map(|rest| rest.strip_suffix(']')) {
            Some(Some(literal)) => literal,
            Some(None) => return Err(bad("\"[\" without \"]\"".into())),
            None if host.contains(':') => return Err(bad("an IPv6 address stands in brackets: [::]:8080".into())),
            None if host.is_empty() => return Err(bad("there is no host; 0.0.0.0 is every IPv4 interface".into())),
            None => host,
        };
        Ok(Self::Tcp { text: text.into(), host: host.into(), port })
    }

    /// The socket addresses to listen on, in the order to try. Names are resolved by the system, which may block.
    pub(crate) fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
        match self {
            Self::None | Self::Unix { .. } => Ok(Vec::new()),
            Self::Tcp { host, port, .. } => Ok((&**host, *port).to_socket_addrs()?.collect()),
        }
    }
}

/// What is wrong with the path of a Unix socket, as far as the text tells.
pub(crate) fn check_path(path: &str) -> Result<(), String> {
    let length = path.trim_start_matches('@').len();
    match length {
        0 => Err("there is no path, as in \"unix:///run/app.sock\"".into()),
        _ if path.ends_with('/') => Err("a directory is no socket".into()),
        _ if path.contains('\0') => Err("there is a NUL in the path".into()),
        _ if length > UNIX_PATH => {
            Err(format!("the path has {length} bytes, and the system takes {UNIX_PATH} for a socket"))
        }
        _ => Ok(()),
    }
}

/// The address as given, `none` for none, as PHP's `getSocketName`.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Tcp { text, .. } | Self::Unix { text, .. } => f.write_str(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_may_be_left_out() {
        for text in ["http://127.0.0.1:8080", "127.0.0.1:8080", "HTTP://127.0.0.1:8080/", "tcp://127.0.0.1:8080"] {
            let Ok(address @ Address::Tcp { .. }) = Address::parse(text, "http") else { panic!("{text}") };
            assert_eq!(address.resolve().unwrap(), ["127.0.0.1:8080".parse().unwrap()]);
            assert_eq!(address.to_string(), text);
        }
        assert_eq!(Address::parse("", "http").unwrap(), Address::None);
    }

    #[test]
    fn ipv6_stands_in_brackets() {
        assert_eq!(
            Address::parse("http://[::1]:80", "http").unwrap().resolve().unwrap(),
            ["[::1]:80".parse().unwrap()]
        );
        assert!(Address::parse("http://::1:80", "http").is_err());
        assert!(Address::parse("http://[::1:80", "http").is_err());
    }

    #[test]
    fn a_unix_socket_serves_every_protocol() {
        for (text, expected) in [
            ("unix:///run/app.sock", "/run/app.sock"),
            ("UNIX://app.sock", "app.sock"),
            ("unix://@app", "@app"),
            ("unix:///tmp/a:1", "/tmp/a:1"),
            (&format!("unix:///{}", "a".repeat(UNIX_PATH - 1)), &format!("/{}", "a".repeat(UNIX_PATH - 1))),
        ] {
            let address = Address::parse(text, "text").unwrap();
            assert_eq!(address, Address::Unix { text: text.into(), path: expected.into() });
            assert_eq!(address.to_string(), text);
        }
    }

    #[test]
    fn an_error_names_the_address_and_what_is_wrong() {
        for (text, part) in [
            ("websocket://0.0.0.0:80", "\"websocket\""),
            ("http://0.0.0.0", "no port"),
            ("http://0.0.0.0:port", "\"port\""),
            ("http://0.0.0.0:65536", "65536"),
            ("http://:80", "no host"),
            ("://", "\"\""),
            ("unix://", "no path"),
            ("unix://@", "no path"),
            ("unix:///tmp/", "a directory"),
            (&format!("unix:///{}", "a".repeat(UNIX_PATH)), "bytes"),
        ] {
            let error = Address::parse(text, "http").unwrap_err().to_string();
            assert!(error.contains(text) && error.contains(part), "{error}");
        }
    }
}
