//! Elasticsearch as records, server and indices of the service.

use super::{ScratchFolders, SystemClock};
use crate::{
    Greeting, Host, Registry, Server, TargetFactory, TargetRequest,
    config::{self, Config},
    ledger::{FileLedger, LedgerWithFallback},
};
use async_trait::async_trait;
use std::{path::Path, sync::Arc};
use tributary_elastic::{
    Client, ConnectError, Connection, Credentials, ElasticLedger, ElasticRecords, ElasticTarget,
    Flavor, Mode, Pem, ProxySettings, RequestError, RequestErrorKind, RetrySettings, ServerInfo,
    TlsSettings,
};
use tributary_engine::{Target, TargetError, TargetErrorKind};
use tributary_protocol::{
    pipeline::{DEFAULT_PIPELINE, DEFAULT_PIPELINE_8},
    records::{RecordsError, RecordsErrorKind},
};

/// The oldest version of Elasticsearch that we know to do.
const OLDEST: (u32, u32) = (8, 10);

/// In the folder for what outlives the process; the folder of no index is called so.
const LEDGER_FOLDER: &str = "ledger";

/// The connection that config.yml describes.
pub fn connection(config: &Config) -> Connection {
    let settings = &config.elasticsearch;
    let credentials = match &settings.credentials {
        config::Credentials::ApiKey(key) => Credentials::ApiKey(key.clone()),
        config::Credentials::Basic { username, password } => Credentials::Basic {
            username: username.clone(),
            password: password.clone(),
        },
    };
    let no_proxy = (!settings.no_proxy.is_empty()).then(|| settings.no_proxy.join(","));
    Connection {
        headers: settings
            .headers
            .iter()
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect(),
        tls: TlsSettings {
            verify: settings.verify_certs,
            ca: settings.ca_certs.as_ref().map(pem),
            fingerprint: settings.ca_fingerprint.clone(),
            client_certificate: settings
                .client_certificate
                .as_ref()
                .map(|ours| (pem(&ours.certificate), pem(&ours.key))),
        },
        proxy: settings
            .proxy
            .clone()
            .map(|url| ProxySettings { url, no_proxy }),
        request_timeout: settings.request_timeout,
        compress: settings.compress,
        retry: RetrySettings {
            max_retries: settings.max_retries,
            interval: settings.retry_interval,
            on_timeout: settings.retry_on_timeout,
        },
        ..Connection::new(settings.host.clone()).with_credentials(credentials)
    }
}

fn pem(pem: &config::Pem) -> Pem {
    match pem {
        config::Pem::File(path) => Pem::File(path.clone()),
        config::Pem::Text(text) => Pem::Text(text.expose().to_owned()),
    }
}

/// The host of the real service: Elasticsearch as config.yml says, the clock of the machine, scratch
/// files in `temporary_folder`, what is known of indices in `state_folder`. Nothing is sent yet.
///
/// # Errors
/// Settings that no connection can be made from, or a folder that cannot be written to; the message
/// names it.
pub fn elastic_host(
    config: &Config,
    registry: Registry,
    hostname: String,
    temporary_folder: &Path,
    state_folder: &Path,
) -> Result<Host, HostError> {
    let clock = Arc::new(SystemClock::new());
    let client = Client::new(connection(config))?.with_clock(clock.clone());
    let mode = match config.elasticsearch.feature_use_connectors_api {
        true => Mode::Api,
        false => Mode::Direct,
    };
    let files =
        ScratchFolders::new(temporary_folder, state_folder).map_err(|error| HostError::Folder {
            folder: temporary_folder.display().to_string(),
            error,
        })?;
    Ok(Host {
        records: Arc::new(ElasticRecords::new(client.clone(), mode)),
        ledger: Arc::new(ledger(&client, config, state_folder)),
        server: Arc::new(ElasticServer(client.clone())),
        targets: Arc::new(ElasticTargets(client)),
        files: Arc::new(files),
        clock,
        registry,
        hostname,
    })
}

/// What became of single documents: in an index, or else in files in `state_folder`.
pub fn ledger(client: &Client, config: &Config, state_folder: &Path) -> LedgerWithFallback {
    let index = ElasticLedger::new(client.clone(), &config.service.state_index);
    let files = FileLedger::new(state_folder.join(LEDGER_FOLDER));
    LedgerWithFallback::new(Arc::new(index), files)
}

/// Why there is no host.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// No connection can be made from the settings.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The folder for scratch files cannot be used.
    #[error(
        "cannot make temporary files in {folder}: {error}. Set TMPDIR to a folder that can be \
         written to."
    )]
    Folder {
        /// The folder.
        folder: String,
        /// What the system said.
        #[source]
        error: std::io::Error,
    },
}

struct ElasticServer(Client);

#[async_trait]
impl Server for ElasticServer {
    async fn greet(&self) -> Result<Greeting, RecordsError> {
        let info = self.0.info().await.map_err(records_error)?;
        Ok(Greeting {
            product: info.to_string(),
            warning: too_old(info),
        })
    }
}

fn records_error(error: RequestError) -> RecordsError {
    let kind = match error.kind {
        _ if error.may_pass() => RecordsErrorKind::Unavailable,
        RequestErrorKind::Unauthorised => RecordsErrorKind::Unauthorised,
        RequestErrorKind::Forbidden => RecordsErrorKind::Forbidden,
        RequestErrorKind::NotFound => RecordsErrorKind::NotFound,
        RequestErrorKind::Conflict => RecordsErrorKind::Conflict,
        _ => RecordsErrorKind::Rejected,
    };
    RecordsError::new(kind, error.message)
}

fn too_old(info: &ServerInfo) -> Option<String> {
    if info.flavor != Flavor::Elasticsearch {
        return None;
    }
    let mut parts = info.version.split('.').map(str::parse::<u32>);
    let (Some(Ok(major)), Some(Ok(minor))) = (parts.next(), parts.next()) else {
        return None;
    };
    ((major, minor) < OLDEST).then(|| {
        let (major, minor) = OLDEST;
        format!("{info} is older than {major}.{minor}: some things may not work")
    })
}

struct ElasticTargets(Client);

#[async_trait]
impl TargetFactory for ElasticTargets {
    async fn target(&self, request: TargetRequest<'_>) -> Result<Arc<dyn Target>, TargetError> {
        let info = self.0.info().await.map_err(TargetError::from)?;
        let pipeline = self.pipeline(request.pipeline, info).await?;
        let client = match request.api_key {
            Some(key) => self
                .0
                .with_credentials(&Credentials::ApiKey(key.clone()))
                .map_err(|error| {
                    let message = format!("the connector's own api_key cannot be used: {error}");
                    TargetError::new(TargetErrorKind::Unauthorised, message)
                })?,
            None => self.0.clone(),
        };
        Ok(Arc::new(ElasticTarget::new(
            client,
            request.index,
            pipeline,
        )))
    }
}

impl ElasticTargets {
    /// The pipeline of this name. The default one has another name in version 8, and OpenSearch has
    /// none (protocol sheet §8).
    async fn pipeline(&self, name: &str, info: &ServerInfo) -> Result<Option<String>, TargetError> {
        let Some(candidates) = candidates(name, info) else {
            return Ok(Some(name.to_owned()));
        };
        for candidate in candidates {
            // The key that Kibana makes may not ask: then the name that belongs to the version is taken.
            if self.0.pipeline_exists(candidate).await? != Some(false) {
                return Ok(Some(candidate.to_owned()));
            }
        }
        tracing::warn!(
            "{info} has no pipeline '{name}': documents are indexed without it, and files without \
             their text"
        );
        Ok(None)
    }
}

/// The names that a default pipeline may have on this server, the likeliest first; `None` for any
/// other pipeline.
fn candidates(name: &str, info: &ServerInfo) -> Option<[&'static str; 2]> {
    if name != DEFAULT_PIPELINE && name != DEFAULT_PIPELINE_8 {
        return None;
    }
    Some(match info.major() {
        Some(8) if info.flavor == Flavor::Elasticsearch => [DEFAULT_PIPELINE_8, DEFAULT_PIPELINE],
        _ => [DEFAULT_PIPELINE, DEFAULT_PIPELINE_8],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(version: &str) -> ServerInfo {
        ServerInfo {
            flavor: Flavor::Elasticsearch,
            version: version.into(),
        }
    }

    #[test]
    fn the_default_pipeline_is_called_as_the_version_calls_it() {
        for (version, first) in [("8.19.8", DEFAULT_PIPELINE_8), ("9.4.3", DEFAULT_PIPELINE)] {
            for name in [DEFAULT_PIPELINE, DEFAULT_PIPELINE_8] {
                assert_eq!(candidates(name, &info(version)).unwrap()[0], first);
            }
        }
        assert_eq!(candidates("mine", &info("9.4.3")), None);
    }

    #[test]
    fn only_old_versions_are_warned_of() {
        assert!(too_old(&info("8.9.2")).unwrap().contains("8.10"));
        for version in ["8.10.0", "9.4.3", "", "10.0.0"] {
            assert_eq!(too_old(&info(version)), None, "{version}");
        }
    }

    #[test]
    fn the_connection_says_what_the_configuration_says() {
        struct Nothing;
        impl config::Environment for Nothing {
            fn variable(&self, _: &str) -> Option<String> {
                None
            }
            fn read_file(&self, _: &Path) -> Result<String, String> {
                Err("no files".into())
            }
            fn run_command(&self, _: &str) -> Result<String, String> {
                Err("no commands".into())
            }
        }
        let text = "elasticsearch:\n  host: https://es.example:9243\n  api_key: abc\n  \
                    request_timeout: 7\n  max_retries: 2\n  verify_certs: false\n  \
                    headers: {x-a: b}\n  compress: true\n  proxy: http://proxy:3128\n  no_proxy: [a.example, .b]\n";
        let config = Config::parse(text, &Nothing).unwrap().config;
        let connection = connection(&config);
        assert_eq!(connection.host, "https://es.example:9243");
        assert!(
            matches!(&connection.credentials, Credentials::ApiKey(key) if key.expose() == "abc")
        );
        assert_eq!(connection.request_timeout.as_secs(), 7);
        assert_eq!(connection.retry.max_retries, 2);
        assert!(!connection.tls.verify && connection.compress);
        assert_eq!(connection.headers[0].0, "x-a");
        let proxy = connection.proxy.unwrap();
        assert_eq!(proxy.no_proxy.as_deref(), Some("a.example,.b"));
    }
}
