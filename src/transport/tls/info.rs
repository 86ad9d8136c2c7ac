//! What an app may know of a connection that is encrypted.

use rustls::CommonState;

/// What a handshake has agreed on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsInfo {
    /// `TLSv1_3` or `TLSv1_2`.
    pub version: String,
    /// Such as `TLS13_AES_256_GCM_SHA384`.
    pub cipher_suite: String,
    /// The protocol agreed on by ALPN.
    pub alpn: Option<Vec<u8>>,
    /// The peer's certificate, in DER, and those above it; empty if it has shown none.
    pub peer_certificates: Vec<Vec<u8>>,
}

impl TlsInfo {
    pub(super) fn of(common: &CommonState) -> Self {
        let certificates = common.peer_certificates().unwrap_or_default();
        Self {
            version: common.protocol_version().map(|version| format!("{version:?}")).unwrap_or_default(),
            cipher_suite: common
                .negotiated_cipher_suite()
                .map(|suite| format!("{:?}", suite.suite()))
                .unwrap_or_default(),
            alpn: common.alpn_protocol().map(<[u8]>::to_vec),
            peer_certificates: certificates.iter().map(|certificate| certificate.to_vec()).collect(),
        }
    }
}
