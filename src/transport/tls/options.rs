//! What an app says about TLS, in files and names. What is wrong with it is told by whoever reads the files.

use std::path::{Path, PathBuf};

/// Versions of TLS; older ones than these are not spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// TLS 1.2.
    Tls12,
    /// TLS 1.3.
    Tls13,
}

/// How a worker speaks TLS: PHP's `['ssl' => […]]` of a context, with `$worker->transport = 'ssl'`.
///
/// The files are read when the worker starts to listen, and again by
/// [`Worker::reload_certificates`](crate::Worker::reload_certificates) and when the app is reloaded.
///
/// ```no_run
/// use workerman::{Http, TlsOptions, TlsVersion, Worker};
///
/// let worker = Worker::<Http>::new("http://0.0.0.0:443");
/// let options = TlsOptions::new("/etc/ssl/example.com.pem", "/etc/ssl/private/example.com.key")
///     .certificate("/etc/ssl/example.org.pem", "/etc/ssl/private/example.org.key")
///     .min_version(TlsVersion::Tls13);
/// worker.set_transport_ssl(options);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct TlsOptions {
    /// Chain and key of each.
    pub(super) certificates: Vec<(PathBuf, PathBuf)>,
    pub(super) client_ca: Option<PathBuf>,
    pub(super) needs_client: bool,
    pub(super) alpn: Option<Vec<Vec<u8>>>,
    pub(super) min_version: TlsVersion,
}

impl TlsOptions {
    /// A certificate with those that have signed it, the server's own first, and its key; both in PEM, the key as PKCS#8,
    /// PKCS#1 or SEC1 and not encrypted. PHP's `local_cert` and `local_pk`.
    ///
    /// ```
    /// let options = workerman::TlsOptions::new("fullchain.pem", "privkey.pem");
    /// ```
    #[doc(alias = "local_cert")]
    #[doc(alias = "local_pk")]
    pub fn new(chain: impl AsRef<Path>, key: impl AsRef<Path>) -> Self {
        Self {
            certificates: vec![(chain.as_ref().into(), key.as_ref().into())],
            client_ca: None,
            needs_client: false,
            alpn: None,
            min_version: TlsVersion::Tls12,
        }
    }

    /// One more certificate. A client gets the first that is for the name it asks for and of a kind that it takes, else the
    /// first of all. PHP's `SNI_server_certs`.
    ///
    /// ```
    /// # use workerman::TlsOptions;
    /// let options = TlsOptions::new("a.pem", "a.key").certificate("b.pem", "b.key");
    /// ```
    #[doc(alias = "SNI_server_certs")]
    pub fn certificate(mut self, chain: impl AsRef<Path>, key: impl AsRef<Path>) -> Self {
        self.certificates.push((chain.as_ref().into(), key.as_ref().into()));
        self
    }

    /// Clients have to show a certificate that one of those in this file has signed. PHP's `verify_peer` and `cafile`.
    ///
    /// ```
    /// # use workerman::TlsOptions;
    /// let options = TlsOptions::new("a.pem", "a.key").client_ca("our-people.pem");
    /// ```
    #[doc(alias = "verify_peer")]
    #[doc(alias = "cafile")]
    pub fn client_ca(self, file: impl AsRef<Path>) -> Self {
        Self { client_ca: Some(file.as_ref().into()), needs_client: true, ..self }
    }

    /// Clients may show a certificate; if they do, one of those in this file has to have signed it.
    /// [`TcpConnection::tls`](crate::TcpConnection::tls) has it.
    ///
    /// ```
    /// # use workerman::TlsOptions;
    /// let options = TlsOptions::new("a.pem", "a.key").client_ca_optional("our-people.pem");
    /// ```
    pub fn client_ca_optional(self, file: impl AsRef<Path>) -> Self {
        Self { client_ca: Some(file.as_ref().into()), needs_client: false, ..self }
    }

    /// The protocols to agree on by ALPN, the best first. Unless set, `http/1.1` for workers of HTTP and WebSocket, none for
    /// others. A client that offers others only is refused.
    ///
    /// ```
    /// # use workerman::TlsOptions;
    /// let options = TlsOptions::new("a.pem", "a.key").alpn(["my-protocol/2", "my-protocol/1"]);
    /// ```
    #[doc(alias = "alpn_protocols")]
    pub fn alpn<N: AsRef<[u8]>>(self, names: impl IntoIterator<Item = N>) -> Self {
        Self { alpn: Some(names.into_iter().map(|name| name.as_ref().to_vec()).collect()), ..self }
    }

    /// The oldest version that is spoken: 1.2 unless set.
    ///
    /// ```
    /// # use workerman::{TlsOptions, TlsVersion};
    /// let options = TlsOptions::new("a.pem", "a.key").min_version(TlsVersion::Tls13);
    /// ```
    #[doc(alias = "crypto_method")]
    pub fn min_version(self, version: TlsVersion) -> Self {
        Self { min_version: version, ..self }
    }
}

/// How a client speaks TLS: PHP's `['ssl' => […]]` of its context. Without any of it, the server's certificate has to be for
/// the name in the address, and signed by one of whom the system trusts.
///
/// ```
/// use workerman::{AsyncTcpConnection, Tcp, TlsClientOptions};
///
/// let client = AsyncTcpConnection::<Tcp>::new("ssl://127.0.0.1:8443");
/// client.set_transport_ssl(TlsClientOptions::new().ca_file("our-ca.pem").server_name("internal.example.com"));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct TlsClientOptions {
    pub(super) ca_files: Vec<PathBuf>,
    pub(super) identity: Option<(PathBuf, PathBuf)>,
    pub(super) server_name: Option<String>,
    pub(super) alpn: Vec<Vec<u8>>,
    pub(super) accepts_invalid: bool,
    pub(super) needs_tls13: bool,
}

impl TlsClientOptions {
    /// The usual.
    ///
    /// ```
    /// assert_eq!(workerman::TlsClientOptions::new(), workerman::TlsClientOptions::default());
    /// ```
    pub fn new() -> Self {
        Self::default()
    }

    /// Trusts those in this PEM file, instead of those whom the system trusts; may be called again for more. The file is read
    /// once on each thread.
    ///
    /// ```
    /// let options = workerman::TlsClientOptions::new().ca_file("our-ca.pem");
    /// ```
    #[doc(alias = "cafile")]
    pub fn ca_file(mut self, file: impl AsRef<Path>) -> Self {
        self.ca_files.push(file.as_ref().into());
        self
    }

    /// Shows this certificate to servers that ask for one: chain and key in PEM.
    ///
    /// ```
    /// let options = workerman::TlsClientOptions::new().certificate("me.pem", "me.key");
    /// ```
    #[doc(alias = "local_cert")]
    #[doc(alias = "local_pk")]
    pub fn certificate(self, chain: impl AsRef<Path>, key: impl AsRef<Path>) -> Self {
        Self { identity: Some((chain.as_ref().into(), key.as_ref().into())), ..self }
    }

    /// The name that the server's certificate has to be for, and that it is asked for, if that is not the one in the address.
    ///
    /// ```
    /// let options = workerman::TlsClientOptions::new().server_name("internal.example.com");
    /// ```
    #[doc(alias = "peer_name")]
    #[doc(alias = "SNI_enabled")]
    pub fn server_name(self, name: &str) -> Self {
        Self { server_name: Some(name.to_owned()), ..self }
    }

    /// The protocols to offer by ALPN, the best first; none unless set.
    ///
    /// ```
    /// let options = workerman::TlsClientOptions::new().alpn(["http/1.1"]);
    /// ```
    #[doc(alias = "alpn_protocols")]
    pub fn alpn<N: AsRef<[u8]>>(self, names: impl IntoIterator<Item = N>) -> Self {
        Self { alpn: names.into_iter().map(|name| name.as_ref().to_vec()).collect(), ..self }
    }

    /// The oldest version that is spoken: 1.2 unless set.
    ///
    /// ```
    /// # use workerman::{TlsClientOptions, TlsVersion};
    /// let options = TlsClientOptions::new().min_version(TlsVersion::Tls13);
    /// ```
    #[doc(alias = "crypto_method")]
    pub fn min_version(self, version: TlsVersion) -> Self {
        Self { needs_tls13: version == TlsVersion::Tls13, ..self }
    }

    /// With `true`, takes whatever certificate the server shows: anybody on the way can read and change everything. For tests.
    /// PHP's `verify_peer` and `verify_peer_name` set to `false`.
    ///
    /// ```
    /// let options = workerman::TlsClientOptions::new().danger_accept_invalid_certs(true);
    /// ```
    #[doc(alias = "verify_peer")]
    #[doc(alias = "verify_peer_name")]
    #[doc(alias = "allow_self_signed")]
    pub fn danger_accept_invalid_certs(self, accept: bool) -> Self {
        Self { accepts_invalid: accept, ..self }
    }
}
