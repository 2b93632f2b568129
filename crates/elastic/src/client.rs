//! The connection to one server.

use crate::{
    ConnectError, Connection, Credentials, Flavor, ProxySettings, RequestError, RequestErrorKind,
    RetrySettings, ServerInfo, TlsSettings, retry::SystemClock, server::MediaTypes,
    transport::Request,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use reqwest::{
    Method, NoProxy, Proxy, RequestBuilder,
    header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue},
    redirect,
};
use std::{fmt, sync::Arc, time::Duration};
use tokio::sync::OnceCell;
use tributary_engine::Clock;
use tributary_sdk::Secret;
use tributary_tls::ClientTls;
use url::Url;

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// Idle connections are closed by us before load balancers close them, which would look like a fault.
const IDLE_TIMEOUT: Duration = Duration::from_secs(45);

/// A connection to one Elasticsearch or OpenSearch. Cloning is cheap; clones share connections and
/// what is known about the server.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
    authorization: Option<HeaderValue>,
    signed_by: &'static str,
    clock: Arc<dyn Clock>,
}

struct Shared {
    http: reqwest::Client,
    /// Scheme, host, port and prefix, without a slash at the end and without credentials.
    base: String,
    retry: RetrySettings,
    proxied: bool,
    compress: bool,
    info: OnceCell<ServerInfo>,
}

impl Client {
    /// Prepares a connection. Nothing is sent yet; certificate files are read.
    ///
    /// # Errors
    /// An address, header, certificate or proxy that cannot be used; the message says which and why.
    pub fn new(connection: Connection) -> Result<Self, ConnectError> {
        let (base, found) = base(&connection.host)?;
        let credentials = match connection.credentials {
            Credentials::None => found,
            given => given,
        };
        let mut builder = reqwest::Client::builder()
            .http1_only()
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT.min(connection.request_timeout))
            .timeout(connection.request_timeout)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .tcp_nodelay(true)
            .gzip(connection.compress)
            .default_headers(headers(&connection.headers)?)
            .user_agent(concat!("tributary/", env!("CARGO_PKG_VERSION")))
            // None from the environment: whoever wants one says so.
            .no_proxy();
        let secure = base.starts_with("https:") || connection.proxy.is_some();
        let tls = tls(&connection.tls, secure)?
            .build()
            .map_err(|error| ConnectError::new(format!("cannot connect to {base}: {error}")))?;
        builder = builder.tls_backend_preconfigured(tls.as_ref().clone());
        if let Some(settings) = &connection.proxy {
            builder = builder.proxy(proxy(settings)?);
        }
        let http = builder
            .build()
            .map_err(|error| ConnectError::new(format!("cannot make an HTTP client: {error}")))?;
        let (authorization, signed_by) = authorization(&credentials)?;
        Ok(Self {
            shared: Arc::new(Shared {
                http,
                base,
                retry: connection.retry,
                proxied: connection.proxy.is_some(),
                compress: connection.compress,
                info: OnceCell::new(),
            }),
            authorization,
            signed_by,
            clock: Arc::new(SystemClock::new()),
        })
    }

    /// The same connection, signed with other credentials: a connector's own API key, for the writes
    /// to its content index.
    ///
    /// # Errors
    /// Credentials that cannot stand in a header.
    pub fn with_credentials(&self, credentials: &Credentials) -> Result<Self, ConnectError> {
        let (authorization, signed_by) = authorization(credentials)?;
        Ok(Self {
            authorization,
            signed_by,
            ..self.clone()
        })
    }

    /// The same connection with another clock: it waits between attempts, and gives records their
    /// dates.
    #[must_use]
    pub fn with_clock(&self, clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            ..self.clone()
        }
    }

    /// The address, without credentials.
    pub fn address(&self) -> &str {
        &self.shared.base
    }

    /// What server it is. Asked once, then remembered; a failure is not remembered.
    ///
    /// *Behaviour.* Sent once, without retries.
    ///
    /// # Errors
    /// As any request; besides, what answers may be neither Elasticsearch nor OpenSearch.
    pub async fn info(&self) -> Result<&ServerInfo, RequestError> {
        self.shared.info.get_or_try_init(|| self.ask_info()).await
    }

    async fn ask_info(&self) -> Result<ServerInfo, RequestError> {
        let what = "ask what server this is";
        let request = Request::get("/".to_owned(), what);
        let reply = match self.exchange(&request, MediaTypes::PLAIN).await {
            Ok(reply) => reply,
            // Without the privilege `monitor` nobody tells us; the calls we need may work all the same.
            Err(error)
                if error.is(RequestErrorKind::Forbidden) && !error.server_kind.is_empty() =>
            {
                tracing::debug!(%error, "the version of the server is not known");
                return Ok(ServerInfo::unversioned());
            }
            Err(error) => return Err(error),
        };
        let product = reply
            .headers
            .get("x-elastic-product")
            .and_then(|product| product.to_str().ok());
        let info = ServerInfo::of(&reply.body, product).ok_or_else(|| {
            RequestError::new(
                RequestErrorKind::Rejected,
                format!(
                    "cannot {what} at {}: what answers there is neither Elasticsearch nor OpenSearch; \
                     check host, port and path",
                    self.address()
                ),
            )
        })?;
        if info.flavor == Flavor::Elasticsearch && info.major().is_some_and(|major| major < 8) {
            return Err(RequestError::new(
                RequestErrorKind::Rejected,
                format!(
                    "{} runs {info}, which is too old: version 8.10 or newer is needed",
                    self.address()
                ),
            ));
        }
        Ok(info)
    }

    /// Waits until the server answers: the first pause is `first`, each next one `factor` times
    /// longer, all together at most `longest`. Only faults that may pass are waited out.
    ///
    /// # Errors
    /// The last error, when the time is over; at once what waiting does not change, such as
    /// credentials that are not accepted.
    pub async fn wait(
        &self,
        first: Duration,
        factor: u32,
        longest: Duration,
    ) -> Result<&ServerInfo, RequestError> {
        let deadline = self.clock.now() + longest;
        let mut pause = first;
        loop {
            let error = match self.info().await {
                Ok(info) => return Ok(info),
                Err(error) => error,
            };
            let left = deadline.saturating_sub(self.clock.now());
            if !error.may_pass() || left.is_zero() {
                return Err(error);
            }
            tracing::warn!(%error, "waiting for the server");
            self.clock.sleep(pause.min(left)).await;
            pause = pause.saturating_mul(factor.max(1));
        }
    }

    /// Asks the server for a sign of life, each time anew.
    ///
    /// # Errors
    /// As any request. Sent once, without retries.
    pub async fn ping(&self) -> Result<(), RequestError> {
        let request = Request::get("/".to_owned(), "reach the server");
        match self.exchange(&request, MediaTypes::PLAIN).await {
            Ok(_) => Ok(()),
            Err(error) if error.is(RequestErrorKind::Forbidden) => Ok(()),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn builder(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("{}{path}", self.shared.base);
        let builder = self.shared.http.request(method, url);
        match &self.authorization {
            Some(value) => builder.header(AUTHORIZATION, value.clone()),
            None => builder,
        }
    }

    pub(crate) fn retry(&self) -> &RetrySettings {
        &self.shared.retry
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    pub(crate) fn signed_by(&self) -> &'static str {
        self.signed_by
    }

    pub(crate) fn is_proxied(&self) -> bool {
        self.shared.proxied
    }

    pub(crate) fn compresses(&self) -> bool {
        self.shared.compress
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("address", &self.shared.base)
            .finish_non_exhaustive()
    }
}

/// Takes an address apart: where requests go, and the credentials that stood in it.
fn base(host: &str) -> Result<(String, Credentials), ConnectError> {
    let way_out = "it must look like https://host:9200";
    let mut url = Url::parse(host.trim()).map_err(|error| {
        // The text itself may hold a password.
        ConnectError::new(format!(
            "the address of Elasticsearch cannot be read ({error}); {way_out}"
        ))
    })?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err(ConnectError::new(format!(
            "the address of Elasticsearch begins with {:?}; {way_out}",
            format!("{}:", url.scheme())
        )));
    }
    let decoded = |text: &str| {
        percent_encoding::percent_decode_str(text)
            .decode_utf8_lossy()
            .into_owned()
    };
    let credentials = match (url.username(), url.password()) {
        ("", None) => Credentials::None,
        (username, password) => Credentials::Basic {
            username: decoded(username),
            password: Secret::new(decoded(password.unwrap_or(""))),
        },
    };
    // These fail only for addresses without a host, and that was checked.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.set_fragment(None);
    Ok((url.as_str().trim_end_matches('/').to_owned(), credentials))
}

fn headers(given: &[(String, Secret)]) -> Result<HeaderMap, ConnectError> {
    let mut headers = HeaderMap::new();
    headers.insert(
        HeaderName::from_static("x-elastic-product-origin"),
        HeaderValue::from_static("connectors"),
    );
    for (name, value) in given {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| {
            ConnectError::new(format!("the header name {name:?} is not possible in HTTP"))
        })?;
        let mut value = HeaderValue::from_str(value.expose()).map_err(|_| {
            ConnectError::new(format!(
                "the value of the header {name} holds a character that is not possible in HTTP"
            ))
        })?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(headers)
}

/// The value of `Authorization`, and what it is called in messages.
fn authorization(
    credentials: &Credentials,
) -> Result<(Option<HeaderValue>, &'static str), ConnectError> {
    let (text, signed_by) = match credentials {
        Credentials::None => return Ok((None, "credentials")),
        Credentials::Basic { username, password } => {
            let pair = Secret::new(format!("{username}:{}", password.expose()));
            (
                Secret::new(format!("Basic {}", STANDARD.encode(pair.expose()))),
                "user name and password",
            )
        }
        Credentials::ApiKey(key) => {
            let key = key.expose().trim();
            let encoded = if key.contains(':') {
                STANDARD.encode(key)
            } else {
                key.to_owned()
            };
            (Secret::new(format!("ApiKey {encoded}")), "API key")
        }
    };
    let mut value = HeaderValue::from_str(text.expose()).map_err(|_| {
        ConnectError::new(format!(
            "the {signed_by} hold a character that cannot be sent; copy the `encoded` value again"
        ))
    })?;
    value.set_sensitive(true);
    Ok((Some(value), signed_by))
}

fn tls(settings: &TlsSettings, secure: bool) -> Result<ClientTls, ConnectError> {
    let mut tls = ClientTls::new();
    if !secure {
        // Never used; so the system's certificates need not be read.
        return Ok(tls.without_verification());
    }
    if !settings.verify {
        tls = tls.without_verification();
    }
    if let Some(ca) = &settings.ca {
        tls = tls.authority(ca.clone());
    }
    if let Some(fingerprint) = &settings.fingerprint {
        tls = tls.fingerprint(fingerprint.clone());
    }
    if let Some((certificate, key)) = &settings.client_certificate {
        tls = tls.client_certificate(certificate.clone(), key.clone());
    }
    Ok(tls)
}

fn proxy(settings: &ProxySettings) -> Result<Proxy, ConnectError> {
    let bad = |why: &str| {
        ConnectError::new(format!(
            "the address of the proxy cannot be used ({why}); it must look like http://proxy:3128"
        ))
    };
    let url = Url::parse(settings.url.expose().trim()).map_err(|error| bad(&error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(bad("only http and https proxies work"));
    }
    let proxy = Proxy::all(url).map_err(|_| bad("it is no address"))?;
    Ok(proxy.no_proxy(settings.no_proxy.as_deref().and_then(NoProxy::from_string)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_addresses_apart() {
        let (address, credentials) = base(" https://a%40b:p%3Aq@es.example:9243/prefix/ ").unwrap();
        assert_eq!(address, "https://es.example:9243/prefix");
        assert_eq!(
            credentials,
            Credentials::Basic {
                username: "a@b".to_owned(),
                password: Secret::new("p:q"),
            }
        );
        assert_eq!(
            base("http://localhost:9200").unwrap().0,
            "http://localhost:9200"
        );
        for bad in [
            "localhost:9200",
            "es.example",
            "",
            "ftp://x",
            "https://",
            "http://u:secret@",
        ] {
            let error = base(bad).unwrap_err().to_string();
            assert!(
                error.contains("https://host:9200") && !error.contains("secret"),
                "{error}"
            );
        }
    }

    #[test]
    fn signs_with_either_form_of_key() {
        let of = |credentials| {
            let (value, _) = authorization(&credentials).unwrap();
            value.unwrap().to_str().unwrap().to_owned()
        };
        assert_eq!(
            of(Credentials::ApiKey(Secret::new("aWQ6a2V5\n"))),
            "ApiKey aWQ6a2V5"
        );
        assert_eq!(
            of(Credentials::ApiKey(Secret::new("id:key"))),
            "ApiKey aWQ6a2V5"
        );
        let basic = Credentials::Basic {
            username: "elastic".to_owned(),
            password: Secret::new("ü:"),
        };
        assert_eq!(of(basic), "Basic ZWxhc3RpYzrDvDo=");
        assert!(authorization(&Credentials::ApiKey(Secret::new("a\u{1}b"))).is_err());
    }

    #[test]
    fn says_which_setting_cannot_be_used() {
        let refused = |change: fn(&mut Connection)| {
            let mut connection = Connection::new("https://es.example:9243");
            change(&mut connection);
            Client::new(connection).unwrap_err().to_string()
        };
        let header = |c: &mut Connection| c.headers = vec![("a b".to_owned(), Secret::new("x"))];
        assert!(refused(header).contains("\"a b\""));
        let value = |c: &mut Connection| c.headers = vec![("a".to_owned(), Secret::new("hush\n"))];
        assert!(refused(value).contains("header a") && !refused(value).contains("hush"));
        let proxy = |c: &mut Connection| {
            c.proxy = Some(ProxySettings {
                url: Secret::new("socks5://u:hush@x"),
                no_proxy: None,
            });
        };
        assert!(refused(proxy).contains("proxy") && !refused(proxy).contains("hush"));
        let ca = |c: &mut Connection| c.tls.ca = Some(tributary_tls::Pem::Text("no".to_owned()));
        assert!(refused(ca).contains("CA certificate"));
    }
}
