//! How a server's certificate is judged.

use crate::Fingerprint;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme,
};
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

/// The server certificate did not have the pinned fingerprint, nor had one of its issuers.
#[derive(Debug)]
pub(crate) struct FingerprintMismatch {
    pub(crate) pinned: Fingerprint,
    pub(crate) presented: Vec<Fingerprint>,
}

impl fmt::Display for FingerprintMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "no certificate of the server has the pinned fingerprint {}",
            self.pinned
        )?;
        if let Some(leaf) = self.presented.first() {
            write!(f, "; its own certificate has {leaf}")?;
        }
        Ok(())
    }
}

impl std::error::Error for FingerprintMismatch {}

/// Trust by certificate authorities, plus certificates that are trusted as they are.
#[derive(Debug)]
pub(crate) struct AuthorityVerifier {
    roots: RootCertStore,
    /// Fingerprints of the certificates that `roots` was made from.
    anchors: HashSet<Fingerprint>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl AuthorityVerifier {
    pub(crate) fn new(
        roots: RootCertStore,
        anchors: HashSet<Fingerprint>,
        algorithms: WebPkiSupportedAlgorithms,
    ) -> Self {
        Self {
            roots,
            anchors,
            algorithms,
        }
    }

    fn verify_chain(
        &self,
        certificate: &ParsedCertificate<'_>,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        let chain = |intermediates: &[CertificateDer<'_>]| {
            verify_server_cert_signed_by_trust_anchor(
                certificate,
                &self.roots,
                intermediates,
                now,
                self.algorithms.all,
            )
        };
        let Err(error) = chain(intermediates) else {
            return Ok(());
        };
        if !self.anchors.contains(&Fingerprint::of(end_entity)) {
            return Err(error);
        }
        // This very certificate is configured as trusted, so neither its issuer nor the CA mark
        // matters (reqwest #1554 is the same complaint). webpki looks at the dates before both,
        // so these two answers also say that the certificate is valid today; the tests hold that.
        match chain(&[]) {
            Err(error) if !says_only_that_nobody_vouches(&error) => Err(error),
            _ => Ok(()),
        }
    }
}

fn says_only_that_nobody_vouches(error: &Error) -> bool {
    match error {
        Error::InvalidCertificate(CertificateError::UnknownIssuer) => true,
        // rustls has no word of its own for webpki's `CaUsedAsEndEntity` and hands it on as text.
        Error::InvalidCertificate(CertificateError::Other(other)) => {
            other.to_string() == "CaUsedAsEndEntity"
        }
        _ => false,
    }
}

impl ServerCertVerifier for AuthorityVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let certificate = ParsedCertificate::try_from(end_entity)?;
        self.verify_chain(&certificate, end_entity, intermediates, now)?;
        verify_server_name(&certificate, server_name)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Trust by one pinned fingerprint: of the server's own certificate, or of an authority.
#[derive(Debug)]
pub(crate) struct PinVerifier {
    pinned: Fingerprint,
    /// Configured authorities: servers need not send the root that was pinned.
    authorities: Vec<CertificateDer<'static>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl PinVerifier {
    pub(crate) fn new(
        pinned: Fingerprint,
        authorities: Vec<CertificateDer<'static>>,
        algorithms: WebPkiSupportedAlgorithms,
    ) -> Self {
        Self {
            pinned,
            authorities,
            algorithms,
        }
    }
}

impl ServerCertVerifier for PinVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let own = Fingerprint::of(end_entity);
        if own == self.pinned {
            // The handshake proves that the server has the key of exactly this certificate.
            return Ok(ServerCertVerified::assertion());
        }
        let authority = intermediates
            .iter()
            .chain(&self.authorities)
            .find(|certificate| Fingerprint::of(certificate) == self.pinned);
        let Some(authority) = authority else {
            let presented = std::iter::once(own)
                .chain(intermediates.iter().map(|other| Fingerprint::of(other)))
                .collect();
            let mismatch = FingerprintMismatch {
                pinned: self.pinned,
                presented,
            };
            return Err(CertificateError::Other(OtherError(Arc::new(mismatch))).into());
        };
        // Anybody can send a foreign authority along: it counts only if it vouches for the server.
        let mut roots = RootCertStore::empty();
        roots.add(authority.clone().into_owned())?;
        let certificate = ParsedCertificate::try_from(end_entity)?;
        verify_server_cert_signed_by_trust_anchor(
            &certificate,
            &roots,
            intermediates,
            now,
            self.algorithms.all,
        )?;
        verify_server_name(&certificate, server_name)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Accepts any server. Signatures are not checked either: without trust they prove nothing, and
/// old certificates that webpki cannot read must pass.
#[derive(Debug)]
pub(crate) struct AcceptAnything {
    pub(crate) algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for AcceptAnything {
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
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
