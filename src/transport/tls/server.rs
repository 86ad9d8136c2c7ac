//! The servers' side: from files to what accepts connections.

use std::fmt;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use rustls::client::verify_server_name;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{
    ClientHello, ParsedCertificate, ResolvesServerCert, ServerConfig, UnbufferedServerConnection, WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{Error as TlsError, RootCertStore, SupportedProtocolVersion};

use super::options::{TlsOptions, TlsVersion};
use super::{Session, Side, provider};
use crate::error::Error;
use crate::transport::Transport;

/// Versions that a side may speak.
pub(super) type Versions = &'static [&'static SupportedProtocolVersion];
pub(super) const FROM_12: Versions = &[&TLS13, &TLS12];
pub(super) const FROM_13: Versions = &[&TLS13];

/// What accepts TLS connections.
#[derive(Clone, Debug)]
pub(crate) struct Acceptor(Arc<ServerConfig>);

impl Acceptor {
    /// Reads the files. `alpn` counts if the app has said nothing about it.
    pub(crate) fn load(options: &TlsOptions, alpn: &[&str]) -> Result<Self, Error> {
        let provider = provider();
        let versions = if options.min_version == TlsVersion::Tls13 { FROM_13 } else { FROM_12 };
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
        let builder = builder.with_protocol_versions(versions).map_err(|error| bad(Path::new("TLS"), error))?;
        let builder = match &options.client_ca {
            None => builder.with_no_client_auth(),
            Some(file) => {
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots(file)?), Arc::clone(&provider));
                let verifier = if options.needs_client { verifier } else { verifier.allow_unauthenticated() };
                builder.with_client_cert_verifier(verifier.build().map_err(|error| bad(file, error))?)
            }
        };
        let files = options.certificates.iter();
        let certificates = files.map(|(chain, key)| certified(chain, key, &provider).map(Arc::new));
        let certificates = certificates.collect::<Result<_, _>>()?;
        let mut config = builder.with_cert_resolver(Arc::new(Certificates(certificates)));
        config.alpn_protocols = match &options.alpn {
            Some(names) => names.clone(),
            None => alpn.iter().map(|name| name.as_bytes().to_vec()).collect(),
        };
        // What a session is resumed by is with the client, so it costs nothing here.
        if let Ok(ticketer) = ticketer() {
            config.ticketer = ticketer;
        }
        Ok(Self(Arc::new(config)))
    }

    /// The server's end over this transport.
    pub(crate) fn accept(&self, under: Transport) -> Result<Transport, String> {
        let connection = UnbufferedServerConnection::new(Arc::clone(&self.0)).map_err(|error| error.to_string())?;
        Ok(Transport::Tls(Box::new(Session::new(under, Side::Server(connection)))))
    }
}

fn ticketer() -> Result<Arc<dyn rustls::server::ProducesTickets>, TlsError> {
    #[cfg(feature = "tls")]
    return rustls::crypto::aws_lc_rs::Ticketer::new();
    #[cfg(not(feature = "tls"))]
    rustls::crypto::ring::Ticketer::new()
}

/// The certificates of a worker, the usual one first.
#[derive(Debug)]
struct Certificates(Vec<Arc<CertifiedKey>>);

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let first = self.0.first()?;
        if self.0.len() == 1 {
            return Some(Arc::clone(first));
        }
        let name = hello.server_name().and_then(|name| ServerName::try_from(name).ok());
        let is_for_it = |certificate: &CertifiedKey| {
            let own = certificate.cert.first().and_then(|own| ParsedCertificate::try_from(own).ok());
            own.zip(name.as_ref()).is_some_and(|(own, name)| verify_server_name(&own, name).is_ok())
        };
        let is_taken = |certificate: &CertifiedKey| certificate.key.choose_scheme(hello.signature_schemes()).is_some();
        let mut taken = self.0.iter().filter(|certificate| is_taken(certificate));
        let best = taken.clone().find(|certificate| is_for_it(certificate));
        best.or_else(|| taken.next()).or(Some(first)).map(Arc::clone)
    }
}

/// A chain and its key.
pub(super) fn certified(chain: &Path, key: &Path, provider: &CryptoProvider) -> Result<CertifiedKey, Error> {
    let certificates = certificates(chain)?;
    if certificates.first().is_some_and(|own| ParsedCertificate::try_from(own).is_err()) {
        return Err(bad(chain, "the first certificate cannot be understood"));
    }
    let text = read(key)?;
    if text.windows(ENCRYPTED.len()).any(|window| window == ENCRYPTED) {
        return Err(bad(key, "the key is encrypted, and there is nobody to ask for its password"));
    }
    let private = PrivateKeyDer::from_pem_slice(&text).map_err(|error| bad(key, format!("no private key: {error}")))?;
    CertifiedKey::from_der(certificates, private, provider).map_err(|error| match error {
        TlsError::InconsistentKeys(_) => {
            bad(key, format!("the key is not that of the certificate in {}", chain.display()))
        }
        error => bad(key, error),
    })
}

/// As the PEM of a key begins that takes a password.
const ENCRYPTED: &[u8] = b"ENCRYPTED";

/// Those whom a file trusts.
pub(super) fn roots(file: &Path) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(file)? {
        roots.add(certificate).map_err(|error| bad(file, error))?;
    }
    Ok(roots)
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let text = read(file)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match certificates {
        Ok(certificates) if certificates.is_empty() => Err(bad(file, "there is no certificate in it")),
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(bad(file, format!("no PEM: {error}"))),
    }
}

fn read(file: &Path) -> Result<Vec<u8>, Error> {
    fs::read(file).map_err(|error| bad(file, error))
}

fn bad(file: &Path, reason: impl fmt::Display) -> Error {
    Error::Tls { file: file.to_string_lossy().into(), reason: reason.to_string().into() }
}
