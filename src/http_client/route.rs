//! By which way servers are reached: straight or through a proxy, and how TLS is spoken with them.
//!
//! Ways are kept by the thread, once each, so that a client is a value that can be copied: it knows the number of its way.
//! Invariants: a number is never given to another way; connections of one way are never used for another.

use std::collections::HashMap;

use super::HttpClient;
use super::pool::with;
use crate::client::AsyncTcpConnection;
use crate::protocols::Codec;
use crate::reactor::Key;
#[cfg(feature = "_tls")]
use crate::transport::tls::TlsClientOptions;

/// So many ways a thread keeps. As it keeps them to its end, an app that makes up new ones without end is told.
const WAYS: usize = 4096;
/// The number of a way that leads nowhere.
const NOWHERE: u16 = u16::MAX;

/// What makes one way another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Way {
    proxy: Box<str>,
    #[cfg(feature = "_tls")]
    tls: Option<TlsClientOptions>,
    /// Connections stay for as long as somebody listens: were they counted with the others, there would soon be none for
    /// requests.
    is_for_streams: bool,
}

impl Way {
    /// Has a client go it.
    pub(super) fn lead<P: Codec>(&self, client: AsyncTcpConnection<P>) {
        if !self.proxy.is_empty() {
            client.set_proxy(&self.proxy);
        }
        #[cfg(feature = "_tls")]
        if let Some(options) = &self.tls {
            client.set_transport_ssl(options.clone());
        }
    }
}

/// A way, and the servers that are known by it, by their origins.
#[derive(Debug, Default)]
pub(super) struct Route {
    pub(super) way: Way,
    pub(super) names: HashMap<Box<str>, Key>,
}

/// # Ways
impl HttpClient {
    /// Sends requests through a proxy: `socks5://user:password@host:port` or `http://...`, as
    /// [`AsyncTcpConnection::set_proxy`](crate::AsyncTcpConnection::set_proxy) has it; empty for none. Connections through it are
    /// not used without it, nor the other way round. A thread remembers its proxies, 4,096 at most.
    ///
    /// ```
    /// let http = workerman::HttpClient::new().proxy("socks5://127.0.0.1:1080");
    /// ```
    #[doc(alias = "proxySocks5")]
    #[doc(alias = "proxyHttp")]
    pub fn proxy(self, address: &str) -> Self {
        self.turn(|way| way.proxy = address.into())
    }

    /// Says how TLS is spoken with servers of `https://`, those that a request is redirected to included. Without this, a
    /// server's certificate has to be for the host in the address, and signed by one of whom the system trusts. Needs the
    /// feature `tls`.
    ///
    /// ```
    /// use workerman::{HttpClient, TlsClientOptions};
    ///
    /// let http = HttpClient::new().transport_ssl(TlsClientOptions::new().ca_file("our-ca.pem"));
    /// ```
    #[cfg(feature = "_tls")]
    #[doc(alias = "context")]
    #[doc(alias = "set_transport_ssl")]
    pub fn transport_ssl(self, options: TlsClientOptions) -> Self {
        self.turn(|way| way.tls = Some(options))
    }

    /// A client of answers that do not end. How long one may take to begin, the source itself looks at.
    pub(crate) fn for_streams() -> Self {
        let client = Self::new().connect_timeout(0).max_conn_per_addr(u32::MAX);
        client.turn(|way| way.is_for_streams = true)
    }

    /// The same client on another way.
    fn turn(mut self, change: impl FnOnce(&mut Way)) -> Self {
        let number = with(|state| {
            let Some(route) = state.route(self.route) else { return usize::from(NOWHERE) };
            let mut way = route.way.clone();
            change(&mut way);
            if let Some(known) = state.routes.iter().position(|route| route.way == way) {
                return known;
            }
            if state.routes.len() >= WAYS {
                return usize::from(NOWHERE);
            }
            state.routes.push(Route { way, names: HashMap::new() });
            state.routes.len() - 1
        });
        // One that is out of numbers leads nowhere, rather than astray.
        self.route = u16::try_from(number).unwrap_or(NOWHERE);
        self
    }
}
