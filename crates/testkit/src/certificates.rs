//! Certificates for tests: good ones, and each kind of bad one. Made at each call, valid from 2020 to 2100.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType, date_time_ymd,
};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// A certificate with its private key.
#[derive(Debug, Clone)]
pub struct Certificate {
    /// The certificate in PEM.
    pub certificate_pem: String,
    /// The private key in PEM (PKCS #8).
    pub key_pem: String,
    der: Vec<u8>,
}

/// A pair of files as servers and clients are configured with.
#[derive(Debug, Clone)]
pub struct CertificateFiles {
    /// The certificate in PEM.
    pub certificate: PathBuf,
    /// The private key in PEM.
    pub key: PathBuf,
}

impl Certificate {
    /// SHA-256 of the certificate in lower-case hexadecimal, as in Elasticsearch's `ssl_assert_fingerprint`.
    pub fn fingerprint(&self) -> String {
        let hash = sha256(&self.der);
        hash.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Writes `NAME.pem` and `NAME.key` into a folder.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn write(&self, folder: &Path, name: &str) -> Result<CertificateFiles> {
        let files = CertificateFiles {
            certificate: folder.join(format!("{name}.pem")),
            key: folder.join(format!("{name}.key")),
        };
        for (path, text) in [
            (&files.certificate, &self.certificate_pem),
            (&files.key, &self.key_pem),
        ] {
            fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(files)
    }
}

/// SHA-256 by the provider that rustls uses, so that no further crate is needed.
fn sha256(bytes: &[u8]) -> Vec<u8> {
    let suite = aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256;
    match suite.tls13() {
        Some(suite) => suite.common.hash_provider.hash(bytes).as_ref().to_vec(),
        None => Vec::new(),
    }
}

/// An authority of our own.
#[derive(Debug)]
pub struct Authority {
    own: Certificate,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// A new authority; two of the same name do not trust each other's certificates.
    ///
    /// # Errors
    /// The key cannot be made.
    pub fn new(name: &str) -> Result<Self> {
        let key = KeyPair::generate()?;
        let mut parameters = parameters(name, &[]);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let own = sign(|key| Ok(parameters.self_signed(key)?), &key)?;
        Ok(Self {
            own,
            issuer: Issuer::new(parameters, key),
        })
    }

    /// The authority's own certificate in PEM: what clients are told to trust.
    pub fn pem(&self) -> &str {
        &self.own.certificate_pem
    }

    /// The authority's own certificate.
    pub fn certificate(&self) -> &Certificate {
        &self.own
    }

    /// A good server certificate for `localhost` and `127.0.0.1`.
    ///
    /// # Errors
    /// The key cannot be made.
    pub fn server(&self) -> Result<Certificate> {
        self.issue(server(&local_names()))
    }

    /// A server certificate for another host: `wrong.example`.
    ///
    /// # Errors
    /// The key cannot be made.
    pub fn wrong_host(&self) -> Result<Certificate> {
        self.issue(server(&[SanType::DnsName("wrong.example".try_into()?)]))
    }

    /// A server certificate that ended with the year 2020.
    ///
    /// # Errors
    /// The key cannot be made.
    pub fn expired(&self) -> Result<Certificate> {
        let mut parameters = server(&local_names());
        parameters.not_after = date_time_ymd(2020, 12, 31);
        self.issue(parameters)
    }

    /// A client certificate whose common name is `name`.
    ///
    /// # Errors
    /// The key cannot be made.
    pub fn client(&self, name: &str) -> Result<Certificate> {
        let mut parameters = parameters(name, &[]);
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.issue(parameters)
    }

    fn issue(&self, parameters: CertificateParams) -> Result<Certificate> {
        sign(
            |key| Ok(parameters.signed_by(key, &self.issuer)?),
            &KeyPair::generate()?,
        )
    }
}

/// A self-signed server certificate for `localhost` and `127.0.0.1` that calls itself an authority (`CA:TRUE`), as
/// the usual one-line commands make them. Strict verifiers refuse such a one as a server's.
///
/// # Errors
/// The key cannot be made.
pub fn self_signed_authority() -> Result<Certificate> {
    let mut parameters = server(&local_names());
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    sign(
        |key| Ok(parameters.self_signed(key)?),
        &KeyPair::generate()?,
    )
}

/// A self-signed server certificate for `localhost` and `127.0.0.1` that is no authority.
///
/// # Errors
/// The key cannot be made.
pub fn self_signed() -> Result<Certificate> {
    let parameters = server(&local_names());
    sign(
        |key| Ok(parameters.self_signed(key)?),
        &KeyPair::generate()?,
    )
}

/// TLS of a test server. With `client_authority` (PEM) a client must show a certificate of that authority.
///
/// # Errors
/// A PEM text is not what it should be.
pub fn server_config(
    server: &Certificate,
    client_authority: Option<&str>,
) -> Result<Arc<rustls::ServerConfig>> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?;
    let builder = match client_authority {
        None => builder.with_no_client_auth(),
        Some(pem) => {
            let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(
                Arc::new(roots(pem)?),
                provider,
            )
            .build()?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let chain = CertificateDer::pem_slice_iter(server.certificate_pem.as_bytes())
        .collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_slice(server.key_pem.as_bytes())?;
    Ok(Arc::new(builder.with_single_cert(chain, key)?))
}

/// The certificates of a PEM text as roots to trust.
///
/// # Errors
/// The text is not PEM, or a certificate cannot be a root.
pub fn roots(pem: &str) -> Result<rustls::RootCertStore> {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        roots.add(certificate?)?;
    }
    Ok(roots)
}

fn local_names() -> Vec<SanType> {
    let mut names = vec![SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST))];
    names.extend("localhost".try_into().ok().map(SanType::DnsName));
    names
}

fn parameters(name: &str, alternative_names: &[SanType]) -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters.subject_alt_names = alternative_names.to_vec();
    parameters.not_before = date_time_ymd(2020, 1, 1);
    parameters.not_after = date_time_ymd(2100, 1, 1);
    parameters.use_authority_key_identifier_extension = true;
    parameters
}

fn server(alternative_names: &[SanType]) -> CertificateParams {
    let mut parameters = parameters("test server", alternative_names);
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    parameters
}

fn sign(
    issue: impl FnOnce(&KeyPair) -> Result<rcgen::Certificate>,
    key: &KeyPair,
) -> Result<Certificate> {
    let signed = issue(key)?;
    Ok(Certificate {
        certificate_pem: signed.pem(),
        key_pem: key.serialize_pem(),
        der: signed.der().to_vec(),
    })
}
