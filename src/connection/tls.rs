//! What a connection can be asked about its encryption.

use super::TcpConnection;
use crate::protocols::Codec;
use crate::transport::tls::TlsInfo;

/// # TLS
impl<P: Codec> TcpConnection<P> {
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
    #[doc(alias = "transport")]
    pub fn tls(self) -> Option<TlsInfo> {
        self.read(|connection| connection.transport.tls()).flatten()
    }
}
