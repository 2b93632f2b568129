//! How to reach the server, in plain values: the caller maps its configuration to them.

use std::time::Duration;
use tributary_sdk::Secret;
use tributary_tls::Pem;

/// How to reach the server and how to behave towards it.
#[derive(Clone, Debug)]
pub struct Connection {
    /// The address, such as `https://localhost:9200`; a path is kept as a prefix. A user name and a
    /// password in it count if `credentials` has none.
    pub host: String,
    /// How requests are signed.
    pub credentials: Credentials,
    /// Sent with every request; they win over our own headers of the same name.
    pub headers: Vec<(String, Secret)>,
    /// Whom to trust, for `https` addresses.
    pub tls: TlsSettings,
    /// The proxy on the way; none unless given.
    pub proxy: Option<ProxySettings>,
    /// The longest a request may take, from connecting to the last byte of the answer.
    pub request_timeout: Duration,
    /// How requests other than those of a target are tried again.
    pub retry: RetrySettings,
    /// Whether bodies are compressed (gzip): those of bulk requests, and all answers.
    pub compress: bool,
}

impl Connection {
    /// The defaults of the reference service (service sheet §2) for this address.
    pub fn new(host: impl Into<String>) -> Self {
        Self {
            host: host.into(),
            credentials: Credentials::None,
            headers: Vec::new(),
            tls: TlsSettings::default(),
            proxy: None,
            request_timeout: Duration::from_secs(240),
            retry: RetrySettings::default(),
            compress: false,
        }
    }

    /// The same connection with these credentials.
    #[must_use]
    pub fn with_credentials(mut self, credentials: Credentials) -> Self {
        self.credentials = credentials;
        self
    }
}

/// How requests are signed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Credentials {
    /// Not at all.
    #[default]
    None,
    /// With a user name and a password.
    Basic {
        /// The user name.
        username: String,
        /// The password.
        password: Secret,
    },
    /// With an API key: the `encoded` value of the answer that made it, or `id:api_key`.
    ApiKey(Secret),
}

/// Whom to trust, and how to show who we are.
#[derive(Clone, Debug)]
pub struct TlsSettings {
    /// Whether the server's certificate is verified at all. If not, the caller warns.
    pub verify: bool,
    /// Trusted besides the system's certificate authorities.
    pub ca: Option<Pem>,
    /// SHA-256 fingerprint, in hex, of the only certificate that is trusted.
    pub fingerprint: Option<String>,
    /// Our own certificate and its key.
    pub client_certificate: Option<(Pem, Pem)>,
}

impl Default for TlsSettings {
    fn default() -> Self {
        Self {
            verify: true,
            ca: None,
            fingerprint: None,
            client_certificate: None,
        }
    }
}

/// The proxy on the way.
#[derive(Clone, Debug)]
pub struct ProxySettings {
    /// Its address, such as `http://proxy:3128`; a user name and a password in it are used.
    pub url: Secret,
    /// Hosts that are reached directly, comma-separated, as in the variable `NO_PROXY`.
    pub no_proxy: Option<String>,
}

/// How requests are tried again after 429, 500, 502, 503, 504, a fault on the way, or a time-out.
/// The n-th wait is n times `interval`; what the server asks for (`Retry-After`) counts instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetrySettings {
    /// How often, after the first time.
    pub max_retries: u32,
    /// The first wait.
    pub interval: Duration,
    /// Whether after a time-out too.
    pub on_timeout: bool,
}

impl Default for RetrySettings {
    fn default() -> Self {
        Self {
            max_retries: 5,
            interval: Duration::from_secs(10),
            on_timeout: true,
        }
    }
}
