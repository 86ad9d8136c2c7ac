//! Worker addresses: `scheme://host:port`, the scheme may be left out.

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
}

impl Address {
    /// Reads an address of the protocol with this scheme.
    pub(crate) fn parse(text: &str, scheme: &str) -> Result<Self, Error> {
        let bad = |reason: String| Error::Address { address: text.into(), reason: reason.into() };
        if text.is_empty() {
            return Ok(Self::None);
        }
        let authority = match text.split_once("://") {
            None => text,
            Some((given, rest)) if given.eq_ignore_ascii_case(scheme) => rest,
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
            Self::None => Ok(Vec::new()),
            Self::Tcp { host, port, .. } => Ok((&**host, *port).to_socket_addrs()?.collect()),
        }
    }
}

/// The address as given, `none` for none, as PHP's `getSocketName`.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Tcp { text, .. } => f.write_str(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_may_be_left_out() {
        for text in ["http://127.0.0.1:8080", "127.0.0.1:8080", "HTTP://127.0.0.1:8080/"] {
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
    fn an_error_names_the_address_and_what_is_wrong() {
        for (text, part) in [
            ("websocket://0.0.0.0:80", "\"websocket\""),
            ("http://0.0.0.0", "no port"),
            ("http://0.0.0.0:port", "\"port\""),
            ("http://0.0.0.0:65536", "65536"),
            ("http://:80", "no host"),
            ("://", "\"\""),
        ] {
            let error = Address::parse(text, "http").unwrap_err().to_string();
            assert!(error.contains(text) && error.contains(part), "{error}");
        }
    }
}
