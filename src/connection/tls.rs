//! What a connection can be asked about its encryption.

use super::TcpConnection;
use crate::protocols::Codec;
#[cfg(feature = "_tls")]
use crate::transport::tls::TlsInfo;

/// # TLS
impl<P: Codec> TcpConnection<P> {
    /// Whether what is sent and received here is encrypted on its way: PHP's `$connection->transport === 'ssl'`. Behind a
    /// proxy that speaks TLS for the app it is not; that proxy tells by `X-Forwarded-Proto`.
    ///
    /// ```
    /// # use workerman::{Http, Worker};
    /// # let worker = Worker::<Http>::new("");
    /// worker.on_message(|connection, request| {
    ///     let scheme = if connection.is_encrypted() { "https" } else { "http" };
    ///     connection.send(format!("{scheme}://{}{}", request.host().unwrap_or_default(), request.uri()))
    /// });
    /// ```
    #[doc(alias = "transport")]
    pub fn is_encrypted(self) -> bool {
        self.read(|connection| connection.transport.is_encrypted()).unwrap_or_default()
    }

    /// What the handshake of TLS has agreed on, and the certificate of the peer if it has shown one; `None` on a connection
    /// that is not encrypted, or is gone. It is put together anew each time.
    ///
    /// ```
    /// # use workerman::{Http, Worker};
    /// # let worker = Worker::<Http>::new("");
    /// worker.on_connect(|connection| {
    ///     if let Some(tls) = connection.tls() {
    ///         println!("{} with {}", tls.version, tls.cipher_suite);
    ///     }
    /// });
    /// ```
    #[cfg(feature = "_tls")]
    pub fn tls(self) -> Option<TlsInfo> {
        self.read(|connection| connection.transport.tls()).flatten()
    }
}
