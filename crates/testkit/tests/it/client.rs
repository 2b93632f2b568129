//! The client of these tests.

use std::sync::Arc;

use anyhow::Result;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tributary_testkit::certificates::{Certificate, roots};

/// A client that trusts the authorities in `pem` and shows `identity`.
pub(crate) fn client(pem: &str, identity: Option<&Certificate>) -> Result<reqwest::ClientBuilder> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots(pem)?);
    let config = match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let chain = CertificateDer::pem_slice_iter(identity.certificate_pem.as_bytes())
                .collect::<Result<_, _>>()?;
            builder.with_client_auth_cert(
                chain,
                PrivateKeyDer::from_pem_slice(identity.key_pem.as_bytes())?,
            )?
        }
    };
    Ok(reqwest::Client::builder()
        .tls_backend_preconfigured(config)
        .no_proxy())
}

/// A client for plain HTTP.
pub(crate) fn plain() -> Result<reqwest::Client> {
    Ok(client("", None)?.build()?)
}
