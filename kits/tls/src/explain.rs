use crate::verifier::FingerprintMismatch;
use rustls::{AlertDescription, CertificateError, Error};
use std::error::Error as StdError;

/// Looks for a TLS failure in an error and the errors below it, and says in plain words what
/// happened and what to do. `None` if TLS was not the reason.
///
/// The words do not name configuration keys, because they differ from place to place.
pub fn explain(error: &(dyn StdError + 'static)) -> Option<String> {
    let mut current = Some(error);
    while let Some(error) = current {
        if let Some(tls) = error.downcast_ref::<Error>() {
            return Some(words(tls));
        }
        // The source of an I/O error skips the error inside it, so that has to be asked for.
        let inside = error
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::get_ref)
            .map(|inside| inside as &(dyn StdError + 'static));
        current = inside.or_else(|| error.source());
    }
    None
}

fn words(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(problem) => certificate_words(problem),
        Error::AlertReceived(
            AlertDescription::CertificateRequired | AlertDescription::HandshakeFailure,
        ) => "the server ended the handshake; it may demand a client certificate".to_owned(),
        Error::AlertReceived(
            AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateExpired
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::AccessDenied,
        ) => "the server refused our client certificate; use one that it trusts and that has not expired".to_owned(),
        Error::AlertReceived(AlertDescription::ProtocolVersion) | Error::PeerIncompatible(_) => {
            "the server offers no version or cipher that we accept; it must speak TLS 1.2 or 1.3"
                .to_owned()
        }
        Error::InvalidMessage(_) => {
            "the server does not speak TLS on this port; check the port and whether the address \
             should begin with http:// instead of https://"
                .to_owned()
        }
        other => format!("the TLS connection failed: {other}"),
    }
}

fn certificate_words(problem: &CertificateError) -> String {
    match problem {
        CertificateError::UnknownIssuer => {
            "the server's certificate was issued by an authority that is not trusted; configure \
             the CA certificate or pin the certificate's fingerprint"
                .to_owned()
        }
        CertificateError::BadSignature => {
            "the server's certificate bears the name of a trusted authority but not its \
             signature, so it is not trusted; configure the CA certificate that issued it"
                .to_owned()
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the server's certificate has expired; renew it, or correct this machine's clock"
                .to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the server's certificate is not valid yet; check this machine's clock".to_owned()
        }
        CertificateError::NotValidForNameContext {
            expected,
            presented,
        } => {
            let expected = expected.to_str();
            let presented = if presented.is_empty() {
                "no name at all".to_owned()
            } else {
                presented.join(", ")
            };
            format!(
                "the server's certificate is not for {expected} but for {presented}; use a name \
                 of the certificate in the address, or pin the certificate's fingerprint"
            )
        }
        CertificateError::NotValidForName => {
            "the server's certificate is for another host name".to_owned()
        }
        CertificateError::Other(other) => match other.0.downcast_ref::<FingerprintMismatch>() {
            Some(mismatch) => mismatch.to_string(),
            None if other.to_string() == "CaUsedAsEndEntity" => {
                "the server shows the certificate of an authority as its own; configure that very \
                 certificate as CA certificate, or pin its fingerprint"
                    .to_owned()
            }
            None => format!("the server's certificate is not acceptable: {other}"),
        },
        other => format!("the server's certificate is not acceptable: {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_tls_error_inside_others() {
        #[derive(Debug, thiserror::Error)]
        #[error("cannot connect")]
        struct Outer(#[source] std::io::Error);

        let tls = Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let outer = Outer(std::io::Error::other(tls));
        assert!(explain(&outer).unwrap().contains("not trusted"));
        assert_eq!(explain(&std::io::Error::other("disk full")), None);
    }
}
