//! The one place that makes TLS client configurations.
//!
//! Everything that connects somewhere (Elasticsearch, databases, vendors) gets its
//! [`rustls::ClientConfig`] from [`ClientTls`], so that trust, pinning and client certificates mean
//! the same thing everywhere. The only cryptography is aws-lc-rs; there is no ring and no OpenSSL.
//!
//! What holds for every configuration made here:
//!
//! * TLS 1.2 and 1.3. Older versions and SHA-1 signatures are refused.
//! * Revocation lists and OCSP are not consulted.
//! * A certificate that is itself configured as trusted is accepted as a server certificate, also
//!   when it is marked as a certificate authority, which is what `openssl req -x509` makes.
//!   Its host name and its dates are still checked.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod client;
mod error;
mod explain;
mod fingerprint;
mod pem;
mod verifier;

pub use client::ClientTls;
pub use error::TlsError;
pub use explain::explain;
pub use fingerprint::Fingerprint;
pub use pem::Pem;

use rustls::crypto::CryptoProvider;

/// Makes aws-lc-rs the cryptography of this process for libraries that build their own
/// configurations. May be called any number of times, from any thread; the first call counts.
///
/// `main` calls it before anything else, and so does each test binary that makes an HTTP client.
pub fn install_provider() {
    if CryptoProvider::get_default().is_none() {
        // An error means that another thread was faster, which is just as good.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    }
}
