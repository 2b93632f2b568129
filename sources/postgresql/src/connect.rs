//! Connections to the server.

use crate::{
    config::Login,
    error::{Place, may_work_without_tls},
    tls::Tls,
};
use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{net::lookup_host, task::JoinHandle, time::timeout};
use tokio_postgres::{Client, Config, config::SslMode};
use tributary_sdk::{Error, ErrorKind, Result};
use tributary_sql::with_attempts;
use tributary_tls::{ClientTls, Pem};

/// From the first packet until the server has accepted the account.
const CONNECT_LIMIT: Duration = Duration::from_secs(30);
/// For each of several addresses of a host.
const ADDRESS_LIMIT: Duration = Duration::from_secs(10);
/// A statement of a connection that was given up is cancelled, but not at any price.
const CANCEL_LIMIT: Duration = Duration::from_secs(5);

/// A server and the account we have there.
pub(crate) struct Server {
    config: Config,
    place: Arc<Place>,
    authority: Option<String>,
    attempts: i64,
    tls: OnceLock<Tls>,
}

impl Server {
    pub(crate) fn new(login: Login) -> Self {
        let host = login
            .host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        let host = host.unwrap_or(&login.host).to_owned();
        let mut config = Config::new();
        config
            .user(&login.username)
            .password(login.password.expose())
            .dbname(&login.database)
            .application_name("tributary")
            .connect_timeout(ADDRESS_LIMIT)
            .keepalives_idle(Duration::from_secs(60))
            .keepalives_interval(Duration::from_secs(10))
            .keepalives_retries(6);
        let place = Place {
            host,
            port: login.port,
            user: login.username,
            database: login.database,
        };
        Self {
            config,
            place: Arc::new(place),
            authority: login.authority,
            attempts: login.attempts,
            tls: OnceLock::new(),
        }
    }

    pub(crate) fn place(&self) -> &Arc<Place> {
        &self.place
    }

    /// Opens a connection; tries again while the server may only be away for a moment.
    pub(crate) async fn connect(&self) -> Result<Connection> {
        with_attempts(self.attempts, || self.connect_once()).await
    }

    /// Opens a connection, or says why not, without a second attempt.
    pub(crate) async fn connect_once(&self) -> Result<Connection> {
        match timeout(CONNECT_LIMIT, self.dial()).await {
            Ok(outcome) => outcome,
            Err(_) => {
                let message = format!("{} did not answer in time", self.place);
                Err(Error::new(ErrorKind::Timeout, message))
            }
        }
    }

    async fn dial(&self) -> Result<Connection> {
        let mut config = self.config.clone();
        config.port(self.place.port);
        let is_socket = self.place.host.starts_with('/');
        if is_socket {
            config.host(&self.place.host);
        } else {
            for address in self.addresses().await? {
                config.host(&self.place.host).hostaddr(address);
            }
        }
        let tls = self.tls()?;
        if is_socket || self.authority.is_some() {
            // A socket never leaves the machine, and the server offers no TLS on it.
            config.ssl_mode(if is_socket {
                SslMode::Disable
            } else {
                SslMode::Require
            });
            return self
                .open(&config, &tls)
                .await
                .map_err(|error| self.place.explain(error));
        }
        config.ssl_mode(SslMode::Prefer);
        let first = match self.open(&config, &tls).await {
            Ok(connection) => return Ok(connection),
            Err(error) if may_work_without_tls(&error) => error,
            Err(error) => return Err(self.place.explain(error)),
        };
        config.ssl_mode(SslMode::Disable);
        self.open(&config, &tls)
            .await
            .map_err(|_| self.place.explain(first))
    }

    async fn open(
        &self,
        config: &Config,
        tls: &Tls,
    ) -> std::result::Result<Connection, tokio_postgres::Error> {
        let (client, driver) = config.connect(tls.clone()).await?;
        // What ends the connection reaches the client as the error of its next call.
        let driver = tokio::spawn(async move { drop(driver.await) });
        Ok(Connection {
            client,
            driver,
            tls: tls.clone(),
            place: Arc::clone(&self.place),
            is_busy: AtomicBool::new(false),
        })
    }

    async fn addresses(&self) -> Result<Vec<std::net::IpAddr>> {
        let Place { host, port, .. } = &*self.place;
        let unknown = || {
            let message = format!("the host {host} cannot be found; check its name");
            Error::new(ErrorKind::Unavailable, message)
        };
        let found = lookup_host((host.as_str(), *port))
            .await
            .map_err(|error| unknown().caused_by(error))?;
        let addresses: Vec<_> = found.map(|address| address.ip()).collect();
        if addresses.is_empty() {
            Err(unknown())
        } else {
            Ok(addresses)
        }
    }

    /// Made at the first connection, since it reads the certificates of the system.
    fn tls(&self) -> Result<Tls> {
        if let Some(tls) = self.tls.get() {
            return Ok(tls.clone());
        }
        let settings = match &self.authority {
            None => ClientTls::new().without_verification(),
            Some(pem) => ClientTls::new().authority(Pem::Text(pem.clone())),
        };
        let config = settings.build().map_err(|error| {
            Error::invalid_config(format!("'SSL certificate' cannot be used: {error}"))
                .with("field", "ssl_ca")
        })?;
        Ok(self.tls.get_or_init(|| Tls(config)).clone())
    }
}

/// A connection. Dropped while a statement runs, it has the server cancel that statement.
pub(crate) struct Connection {
    client: Client,
    driver: JoinHandle<()>,
    tls: Tls,
    place: Arc<Place>,
    is_busy: AtomicBool,
}

impl Connection {
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) fn client_mut(&mut self) -> &mut Client {
        &mut self.client
    }

    pub(crate) fn place(&self) -> &Arc<Place> {
        &self.place
    }

    /// Whether a statement may be running from now on.
    pub(crate) fn set_busy(&self, is_busy: bool) {
        self.is_busy.store(is_busy, Ordering::Relaxed);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // An idle connection says good-bye by itself once its client is gone.
        if !self.is_busy.load(Ordering::Relaxed) {
            return;
        }
        self.driver.abort();
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let cancel = self.client.cancel_token();
            let tls = self.tls.clone();
            runtime.spawn(async move {
                // Best effort: the server also notices the closed connection, only later.
                let _ = timeout(CANCEL_LIMIT, cancel.cancel_query(tls)).await;
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tributary_sdk::Secret;

    #[test]
    fn addresses_are_taken_with_and_without_brackets() {
        for (host, place) in [
            ("[2001:db8::1]", "[2001:db8::1]:5432"),
            ("::1", "[::1]:5432"),
            ("db1.example", "db1.example:5432"),
            ("/run/postgresql", "/run/postgresql:5432"),
        ] {
            let server = Server::new(Login {
                host: host.into(),
                port: 5432,
                username: "u".into(),
                password: Secret::new("p"),
                database: "d".into(),
                authority: None,
                attempts: 1,
            });
            assert_eq!(server.place().to_string(), place);
        }
    }
}
