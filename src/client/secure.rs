//! Between a socket that stands and a connection that is encrypted.

use std::rc::Rc;

use super::AsyncTcpConnection;
use super::attempt::{fail, if_current, stand};
use super::dial::Dialled;
use super::registry::{Stage, enter, with};
use super::target::Target;
use crate::connection::handshake;
use crate::protocols::Codec;
use crate::reactor::Key;
use crate::transport::tls::{Connector, TlsClientOptions};

/// A handshake, which is given up with this.
pub(super) struct Securing(Option<Key>);

impl Drop for Securing {
    fn drop(&mut self) {
        if let Some(key) = self.0 {
            handshake::cancel(key);
        }
    }
}

/// The server is to speak TLS. How long that may take is a matter of the attempt.
pub(super) fn secure(key: Key, dialled: Dialled, target: &Target) {
    let found = with(key, |entry| (entry.extra.as_ref().and_then(|extra| extra.tls.clone()), entry.attempt));
    let Some((options, attempt)) = found else { return };
    let options = options.unwrap_or_default();
    let (transport, remote) = dialled.into_transport();
    let connected = Connector::of(&options).and_then(|connector| connector.connect(transport, target.host(), &options));
    let transport = match connected {
        Ok(transport) => transport,
        Err(reason) => return fail(key, &reason),
    };
    enter(key, Stage::Securing(Securing(None)));
    let done = move |result: std::io::Result<_>| {
        if_current(key, attempt, |key| match result {
            Ok(transport) => stand(key, transport, remote),
            Err(error) => fail(key, &error.to_string()),
        });
    };
    let begun = handshake::begin(transport, false, 0, Box::new(done));
    with(key, |entry| {
        if let Stage::Securing(securing) = &mut entry.stage {
            securing.0 = begun;
        }
    });
}

/// # TLS
impl<P: Codec> AsyncTcpConnection<P> {
    /// Says how TLS is spoken with a server whose address asks for it (`ssl://`, `wss://`), from the next attempt to connect
    /// on. Without this, the server's certificate has to be for the host in the address, and signed by one of whom the system
    /// trusts.
    ///
    /// ```
    /// # use workerman::{AsyncTcpConnection, Tcp, TlsClientOptions};
    /// let upstream = AsyncTcpConnection::<Tcp>::new("ssl://127.0.0.1:8443");
    /// upstream.set_transport_ssl(TlsClientOptions::new().ca_file("our-ca.pem"));
    /// ```
    #[doc(alias = "transport")]
    #[doc(alias = "context")]
    pub fn set_transport_ssl(self, options: TlsClientOptions) {
        let options = Rc::new(options);
        with(self.key, |entry| entry.extra().tls = Some(options));
    }
}
