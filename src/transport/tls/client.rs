//! The clients' side: whom they trust, and what they show.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientConfig, Resumption, UnbufferedClientConnection};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::SingleCertAndKey;
use rustls::{DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use super::options::TlsClientOptions;
use super::server::{FROM_12, FROM_13, certified, roots};
use super::{Session, Side, provider};
use crate::shared::Shared;
use crate::transport::Transport;

/// Sessions that are remembered by each set of options, to be resumed.
const SESSIONS: usize = 256;
/// So many sets of options are remembered; then all are forgotten.
const KNOWN: usize = 64;

thread_local! {
    /// Files are read once.
    static CONNECTORS: Shared<Vec<(TlsClientOptions, Connector)>> = const { Shared::new(Vec::new()) };
}

/// What makes TLS connections.
#[derive(Clone)]
pub(crate) struct Connector(Arc<ClientConfig>);

impl Connector {
    /// For these options, or why there is none.
    pub(crate) fn of(options: &TlsClientOptions) -> Result<Self, String> {
        let known = CONNECTORS.with(|connectors| {
            connectors.with(|known| known.iter().find(|(of, _)| of == options).map(|(_, connector)| connector.clone()))
        });
        if let Some(known) = known {
            return Ok(known);
        }
        let connector = Self(Arc::new(load(options)?));
        let new = (options.clone(), connector.clone());
        let old = CONNECTORS.with(|connectors| {
            connectors.with(|known| {
                let old = if known.len() >= KNOWN { std::mem::take(known) } else { Vec::new() };
                known.push(new);
                old
            })
        });
        drop(old);
        Ok(connector)
    }

    /// The client's end over this transport, to a server of this name.
    pub(crate) fn connect(
        &self,
        under: Transport,
        host: &str,
        options: &TlsClientOptions,
    ) -> Result<Transport, String> {
        let name = options.server_name.as_deref().unwrap_or(host);
        let of = ServerName::try_from(name.to_owned());
        let of = of.map_err(|_| format!("TLS: \"{name}\" is no name that a certificate could be for"))?;
        let connection = UnbufferedClientConnection::new(Arc::clone(&self.0), of).map_err(|error| error.to_string())?;
        Ok(Transport::Tls(Box::new(Session::new(under, Side::Client(connection)))))
    }
}

/// At the end of a loop.
pub(super) fn clear() {
    drop(CONNECTORS.with(|connectors| connectors.with(std::mem::take)));
}

fn load(options: &TlsClientOptions) -> Result<ClientConfig, String> {
    let provider = provider();
    let versions = if options.needs_tls13 { FROM_13 } else { FROM_12 };
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder.with_protocol_versions(versions).map_err(|error| error.to_string())?;
    let builder = if options.accepts_invalid {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody(Arc::clone(&provider))))
    } else {
        builder.with_root_certificates(trusted(options)?)
    };
    let mut config = match &options.identity {
        None => builder.with_no_client_auth(),
        Some((chain, key)) => {
            let identity = certified(chain, key, &provider).map_err(|error| error.to_string())?;
            builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(identity)))
        }
    };
    config.alpn_protocols.clone_from(&options.alpn);
    config.resumption = Resumption::in_memory_sessions(SESSIONS);
    Ok(config)
}

fn trusted(options: &TlsClientOptions) -> Result<RootCertStore, String> {
    let mut trusted = RootCertStore::empty();
    for file in &options.ca_files {
        trusted.roots.extend(roots(file).map_err(|error| error.to_string())?.roots);
    }
    if options.ca_files.is_empty() {
        trusted.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if trusted.is_empty() {
            return Err("TLS: this system trusts nobody: install its ca-certificates, or name a CA file".into());
        }
    }
    Ok(trusted)
}

/// Takes whatever certificate a server shows, as long as the server has its key.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
