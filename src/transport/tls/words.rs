//! What is wrong, in words that help whoever reads them.

use rustls::{AlertDescription, CertificateError, Error, PeerIncompatible};

/// What a client gets that speaks HTTP without TLS.
pub(super) const NO_PLAIN_HTTP: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: text/plain\r\n\
    Content-Length: 33\r\n\r\nThis port speaks TLS: use https\r\n";

/// Why the first bytes of a peer cannot be TLS.
pub(super) fn without_tls(received: &[u8]) -> Option<String> {
    match received.first()? {
        // A handshake, an alert, or how old versions begin.
        0x15 | 0x16 | 0x80.. => None,
        _ => {
            let begin = received.split(|&byte| byte == b'\r' || byte == b'\n').next().unwrap_or_default();
            let begin = String::from_utf8_lossy(begin.get(..60).unwrap_or(begin));
            Some(format!("the peer does not speak TLS: it begins with {begin:?}"))
        }
    }
}

/// Whether they begin a request.
pub(super) fn is_http(received: &[u8]) -> bool {
    let method = received.split(|&byte| byte == b' ').next().unwrap_or_default();
    (3..=7).contains(&method.len()) && method.iter().all(u8::is_ascii_uppercase)
}

pub(super) fn of(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(error) => format!("TLS: the peer's certificate is refused: {}", certificate(error)),
        Error::NoCertificatesPresented => "TLS: the peer shows no certificate, and has to".into(),
        Error::AlertReceived(alert) => format!("TLS: the peer refuses: {}", received(*alert)),
        Error::PeerIncompatible(PeerIncompatible::NoCipherSuitesInCommon) => {
            "TLS: there is no cipher suite that both sides have".into()
        }
        Error::PeerIncompatible(
            PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
            | PeerIncompatible::Tls12NotOffered
            | PeerIncompatible::Tls12NotOfferedOrEnabled
            | PeerIncompatible::Tls13RequiredForQuic
            // An extension that clients of TLS 1.2 and 1.3 have, and older ones do not.
            | PeerIncompatible::SignatureAlgorithmsExtensionRequired,
        ) => "TLS: there is no version that both sides have (1.2 and 1.3 are there)".into(),
        Error::NoApplicationProtocol => "TLS: there is no protocol of ALPN that both sides have".into(),
        error => format!("TLS: {error}"),
    }
}

fn certificate(error: &CertificateError) -> String {
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "it has expired".into(),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => "it is not valid yet".into(),
        CertificateError::UnknownIssuer => "nobody who is trusted here has signed it (is it self-signed?)".into(),
        CertificateError::BadSignature => {
            "it is signed by somebody who only has the name of one who is trusted here".into()
        }
        CertificateError::NotValidForName => "it is for another name".into(),
        CertificateError::NotValidForNameContext { expected, presented } => {
            let names: Vec<&str> = presented.iter().map(|name| bare(name)).collect();
            format!("it is for {}, not for {}", names.join(", "), expected.to_str())
        }
        CertificateError::Revoked => "it was revoked".into(),
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "it is for another purpose".into()
        }
        error => error.to_string(),
    }
}

/// A name as people write it: `DnsName("a.b")` is how it comes.
fn bare(name: &str) -> &str {
    let inside = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    inside.unwrap_or(name).trim_matches('"')
}

fn received(alert: AlertDescription) -> String {
    match alert {
        AlertDescription::UnknownCA => "it does not trust who has signed our certificate".into(),
        AlertDescription::CertificateExpired => "our certificate has expired".into(),
        AlertDescription::CertificateRequired => "it wants a certificate of ours".into(),
        AlertDescription::BadCertificate | AlertDescription::CertificateUnknown => {
            "it does not like our certificate".into()
        }
        AlertDescription::ProtocolVersion => "there is no version that both sides have".into(),
        AlertDescription::HandshakeFailure => {
            "there is no cipher suite that both sides have, or it wants a certificate of ours".into()
        }
        AlertDescription::UnrecognisedName => "it has no such server name".into(),
        AlertDescription::NoApplicationProtocol => "it has none of our protocols of ALPN".into(),
        alert => format!("{alert:?}"),
    }
}
