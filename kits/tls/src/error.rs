use std::path::PathBuf;

/// Why no TLS configuration could be made. Each message says what to do; none shows key material.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A PEM file could not be read.
    #[error("cannot read the {what} file {}", path.display())]
    File {
        /// What the file was for, such as `CA certificate`.
        what: &'static str,
        /// The file as it was configured.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The text or file is not what it should be.
    #[error("the {what} {origin} cannot be used: {problem}")]
    Pem {
        /// What it was for, such as `CA certificate`.
        what: &'static str,
        /// Where it came from: `text` or `file <path>`.
        origin: String,
        /// What is wrong, and the way out.
        problem: String,
    },
    /// The fingerprint is not a SHA-256 fingerprint in hex.
    #[error("the certificate fingerprint cannot be used: {0}")]
    Fingerprint(String),
    /// The client key belongs to another certificate.
    #[error(
        "the client key does not belong to the client certificate; give the key that the first \
         certificate was made with"
    )]
    KeyMismatch,
    /// Nothing at all would be trusted.
    #[error(
        "no certificate authority is trusted: configure a CA certificate, pin a fingerprint, or \
         allow the system's certificate store"
    )]
    NothingTrusted,
    /// The TLS library refused the configuration.
    #[error("the TLS configuration was refused")]
    Refused(#[from] rustls::Error),
}
