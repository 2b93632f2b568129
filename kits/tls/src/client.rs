use crate::verifier::{AcceptAnything, AuthorityVerifier, PinVerifier};
use crate::{Fingerprint, Pem, TlsError};
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, Error, InconsistentKeys, RootCertStore};
use std::collections::HashSet;
use std::sync::Arc;

const CA_CERTIFICATE: &str = "CA certificate";
const CLIENT_CERTIFICATE: &str = "client certificate";
const CLIENT_KEY: &str = "client key";

/// What a client believes and how it shows itself. Builds a [`ClientConfig`].
///
/// Starts with trust in the system's certificate store. Of the three kinds of trust the first that
/// is set counts: a pinned [fingerprint](Self::fingerprint), then no
/// [verification](Self::without_verification) at all, then certificate authorities.
#[derive(Debug, Clone)]
pub struct ClientTls {
    system_roots: bool,
    authorities: Vec<Pem>,
    fingerprint: Option<String>,
    verify: bool,
    client: Option<(Pem, Pem)>,
    alpn: Vec<Vec<u8>>,
}

impl Default for ClientTls {
    fn default() -> Self {
        Self::new()
    }
}

impl ClientTls {
    /// Trust in the certificate store of the operating system. Where that is empty, as in minimal
    /// containers, Mozilla's list as it was when this program was built takes its place.
    pub fn new() -> Self {
        Self {
            system_roots: true,
            authorities: Vec::new(),
            fingerprint: None,
            verify: true,
            client: None,
            alpn: Vec::new(),
        }
    }

    /// No trust in the system's store: only in what [`Self::authority`] or [`Self::fingerprint`]
    /// add.
    #[must_use]
    pub fn without_system_roots(mut self) -> Self {
        self.system_roots = false;
        self
    }

    /// Trust in these certificates too; may be called several times. Certificates that cannot be
    /// parsed are passed over as long as one of the same PEM can.
    #[must_use]
    pub fn authority(mut self, pem: Pem) -> Self {
        self.authorities.push(pem);
        self
    }

    /// Trust in one certificate by its SHA-256 [`Fingerprint`], given as hex, and in nothing else.
    ///
    /// If it is the server's own certificate, neither its name nor its dates are looked at. If it
    /// is an authority's, which the server sends along or [`Self::authority`] holds, the server's
    /// certificate must be issued by it, be valid today, and bear the host name.
    #[must_use]
    pub fn fingerprint(mut self, hex: impl Into<String>) -> Self {
        self.fingerprint = Some(hex.into());
        self
    }

    /// Accept any server whatever it shows. Anybody in between can then read and change
    /// everything: the caller must warn, loudly and at each start.
    #[must_use]
    pub fn without_verification(mut self) -> Self {
        self.verify = false;
        self
    }

    /// Show this certificate (followed by its issuers, if the server needs them) when the server
    /// asks for one. The key is PKCS#8, RSA or EC, without a passphrase.
    #[must_use]
    pub fn client_certificate(mut self, certificate: Pem, key: Pem) -> Self {
        self.client = Some((certificate, key));
        self
    }

    /// Application protocols to offer, best first, such as `["h2", "http/1.1"]`. None by default.
    #[must_use]
    pub fn alpn<'a>(mut self, protocols: impl IntoIterator<Item = &'a str>) -> Self {
        self.alpn = protocols
            .into_iter()
            .map(|protocol| protocol.as_bytes().to_vec())
            .collect();
        self
    }

    /// Whether the server is authenticated at all. If not, the caller must warn.
    pub fn verifies(&self) -> bool {
        self.verify || self.fingerprint.is_some()
    }

    /// Reads the files and makes the configuration. Blocks on the disk for a few milliseconds.
    ///
    /// # Errors
    /// [`TlsError`] names the part that cannot be used and the way out. Parts that the chosen kind
    /// of trust does not need are checked all the same.
    pub fn build(&self) -> Result<Arc<ClientConfig>, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = self.verifier(&provider)?;
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut config = match &self.client {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let chain = certificate.certificates(CLIENT_CERTIFICATE)?;
                let key = key.private_key(CLIENT_KEY)?;
                builder
                    .with_client_auth_cert(chain, key)
                    .map_err(|error| match error {
                        Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                            TlsError::KeyMismatch
                        }
                        other => TlsError::Refused(other),
                    })?
            }
        };
        config.alpn_protocols = self.alpn.clone();
        Ok(Arc::new(config))
    }

    fn verifier(&self, provider: &CryptoProvider) -> Result<Arc<dyn ServerCertVerifier>, TlsError> {
        let algorithms = provider.signature_verification_algorithms;
        let mut roots = RootCertStore::empty();
        let mut anchors = HashSet::new();
        let mut authorities = Vec::new();
        for pem in &self.authorities {
            let certificates = pem.certificates(CA_CERTIFICATE)?;
            let usable = add_roots(&mut roots, &mut anchors, &certificates);
            if usable == 0 {
                return Err(pem.unusable(CA_CERTIFICATE));
            }
            authorities.extend(certificates);
        }
        if let Some(fingerprint) = &self.fingerprint {
            let pinned: Fingerprint = fingerprint.parse()?;
            return Ok(Arc::new(PinVerifier::new(pinned, authorities, algorithms)));
        }
        if !self.verify {
            return Ok(Arc::new(AcceptAnything { algorithms }));
        }
        if self.system_roots {
            // Errors of single files are of no interest as long as something was found.
            let system = rustls_native_certs::load_native_certs().certs;
            add_system_roots(&mut roots, &mut anchors, &system);
        }
        if roots.is_empty() {
            return Err(TlsError::NothingTrusted);
        }
        Ok(Arc::new(AuthorityVerifier::new(roots, anchors, algorithms)))
    }
}

/// Adds what can be parsed and returns how many that were.
fn add_roots(
    roots: &mut RootCertStore,
    anchors: &mut HashSet<Fingerprint>,
    certificates: &[CertificateDer<'static>],
) -> usize {
    let mut usable = 0;
    for certificate in certificates {
        if roots.add(certificate.clone()).is_ok() {
            anchors.insert(Fingerprint::of(certificate));
            usable += 1;
        }
    }
    usable
}

fn add_system_roots(
    roots: &mut RootCertStore,
    anchors: &mut HashSet<Fingerprint>,
    system: &[CertificateDer<'static>],
) {
    if add_roots(roots, anchors, system) == 0 {
        add_roots(roots, anchors, webpki_root_certs::TLS_SERVER_ROOT_CERTS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roots_with(system: &[CertificateDer<'static>]) -> usize {
        let mut roots = RootCertStore::empty();
        add_system_roots(&mut roots, &mut HashSet::new(), system);
        roots.len()
    }

    #[test]
    fn takes_the_built_in_list_only_where_the_system_has_nothing_usable() {
        let built_in = webpki_root_certs::TLS_SERVER_ROOT_CERTS;
        assert!(built_in.len() > 100);
        assert_eq!(roots_with(&[]), built_in.len());
        assert_eq!(
            roots_with(&[CertificateDer::from_slice(b"odd")]),
            built_in.len()
        );
        assert_eq!(roots_with(&built_in[..1]), 1);
    }
}
