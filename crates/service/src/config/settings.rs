//! What a configuration says, with types and units.

use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;
use tributary_sdk::Secret;

/// The whole of `config.yml`. Prints without secrets.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// How to reach Elasticsearch and how to write to it.
    pub elasticsearch: ElasticsearchConfig,
    /// How the service itself behaves.
    pub service: ServiceConfig,
    /// The separate text extraction service; `None` if its host is not configured.
    pub extraction_service: Option<ExtractionServiceConfig>,
    /// The connectors this service handles, in the order of the text; ids are unique.
    pub connectors: Vec<ConnectorConfig>,
    /// Options for sources, by service type.
    pub sources: BTreeMap<String, SourceOptions>,
}

impl Config {
    /// The options under `sources.<service type>`; empty if there are none.
    pub fn source_options(&self, service_type: &str) -> SourceOptions {
        self.sources.get(service_type).cloned().unwrap_or_default()
    }
}

/// The section `elasticsearch`.
#[derive(Debug, Clone, PartialEq)]
pub struct ElasticsearchConfig {
    /// An `http://` or `https://` address without user name, password and closing slash.
    pub host: String,
    /// How requests are authenticated.
    pub credentials: Credentials,
    /// The reference's switch for TLS. Whether TLS is used is decided by `host` alone.
    pub ssl: bool,
    /// Whether the server's certificate is checked.
    pub verify_certs: bool,
    /// The certificate authority that is trusted instead of the system's.
    pub ca_certs: Option<Pem>,
    /// The SHA-256 fingerprint, in hex, of the server's certificate or of its authority.
    pub ca_fingerprint: Option<String>,
    /// The certificate to show to a server that demands one.
    pub client_certificate: Option<ClientCertificate>,
    /// The HTTP proxy on the way; a secret because it may hold a password.
    pub proxy: Option<Secret>,
    /// Host names, domains (`.example.org`) and addresses that are reached without the proxy.
    pub no_proxy: Vec<String>,
    /// Headers sent with each request; secrets because they may hold a token.
    pub headers: BTreeMap<String, Secret>,
    /// The time one request may take.
    pub request_timeout: Duration,
    /// The longest wait for Elasticsearch at the start.
    pub max_wait_duration: Duration,
    /// The first pause while waiting at the start.
    pub initial_backoff_duration: Duration,
    /// What each further pause is multiplied with; at least 1.
    pub backoff_multiplier: f64,
    /// How often a failed request is tried again.
    pub max_retries: u32,
    /// The pause before the first retry; the n-th retry waits n times as long.
    pub retry_interval: Duration,
    /// Whether a request that timed out is tried again.
    pub retry_on_timeout: bool,
    /// The least important messages to log about requests.
    pub log_level: LogLevel,
    /// Whether the `_connector` API is used where the server has it.
    pub feature_use_connectors_api: bool,
    /// Whether documents and answers travel compressed (gzip).
    pub compress: bool,
    /// How documents are written.
    pub bulk: BulkConfig,
}

/// The section `elasticsearch.bulk`. `None` means: chosen by the service while it runs.
#[derive(Debug, Clone, PartialEq)]
pub struct BulkConfig {
    /// The number of documents that may wait to be written.
    pub queue_max_size: Option<usize>,
    /// The memory that documents on their way may take, in bytes.
    pub queue_max_mem_size: u64,
    /// How often a full queue is looked at again.
    pub queue_refresh_interval: Duration,
    /// How long a full queue may stand still before the sync fails.
    pub queue_refresh_timeout: Duration,
    /// After how many documents progress is logged.
    pub display_every: u64,
    /// NDJSON entries in one request: 2 for an index or update, 1 for a delete.
    pub chunk_size: Option<usize>,
    /// The size of one request, in bytes.
    pub chunk_max_mem_size: Option<u64>,
    /// Requests at the same time.
    pub max_concurrency: Option<usize>,
    /// Files fetched at the same time, for each sync.
    pub concurrent_downloads: usize,
    /// How often a failed bulk request is tried again.
    pub max_retries: u32,
    /// The pause before the first retry; the n-th retry waits n times as long.
    pub retry_interval: Duration,
    /// The largest document without an attachment, in bytes of JSON; `None` for no limit.
    pub max_text_document_size: Option<u64>,
    /// Whether each operation is logged.
    pub enable_operations_logging: bool,
    /// When too many rejected documents end a sync.
    pub error_monitor: ErrorMonitorConfig,
}

/// The section `elasticsearch.bulk.error_monitor`.
#[derive(Debug, Clone, PartialEq)]
pub struct ErrorMonitorConfig {
    /// Whether errors are counted at all.
    pub enabled: bool,
    /// More errors than this end the sync.
    pub max_total_errors: u64,
    /// More errors in a row than this end the sync.
    pub max_consecutive_errors: u64,
    /// A larger share of errors than this ends the sync; between 0 and 1.
    pub max_error_rate: f64,
    /// The number of latest results that the share is taken from.
    pub error_window_size: usize,
    /// How many errors are kept to be shown.
    pub error_queue_size: usize,
}

/// The section `service`.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceConfig {
    /// Whether all connectors of `service_types` are handled, rather than a list of ids.
    pub worker_mode: bool,
    /// The service types handled in worker mode.
    pub service_types: Vec<String>,
    /// The pause between two rounds of the loops.
    pub idling: Duration,
    /// How old the last sign of life may become before a new one is written.
    pub heartbeat: Duration,
    /// How often the preparations at the start are tried.
    pub preflight_max_attempts: u32,
    /// The pause between two of them.
    pub preflight_idle: Duration,
    /// More errors than this within `max_errors_span` end the process.
    pub max_errors: u32,
    /// The time in which errors are counted.
    pub max_errors_span: Duration,
    /// Content syncs at the same time.
    pub max_concurrent_content_syncs: usize,
    /// Access control syncs at the same time.
    pub max_concurrent_access_control_syncs: usize,
    /// Connectors looked after at the same time by the scheduler.
    pub max_concurrent_scheduling_tasks: usize,
    /// The largest file that is fetched, in bytes.
    pub max_file_download_size: u64,
    /// The pause between two searches for abandoned jobs.
    pub job_cleanup_interval: Duration,
    /// How long an instance may be silent before another one takes its jobs over.
    pub job_lease: Duration,
    /// Where is kept what is known of indices; `None` for the usual place.
    pub state_dir: Option<PathBuf>,
    /// The index of what became of single documents.
    pub state_index: String,
    /// How long that is kept.
    pub ledger_retention: Duration,
    /// The memory for all syncs together, in bytes.
    pub memory_budget: u64,
    /// The least important messages to log.
    pub log_level: LogLevel,
    /// Where health and metrics are served, as `host:port`; `None` for nowhere.
    pub health_address: Option<String>,
}

/// The section `extraction_service`.
#[derive(Debug, Clone, PartialEq)]
pub struct ExtractionServiceConfig {
    /// An `http://` or `https://` address without a closing slash.
    pub host: String,
    /// The time one extraction may take.
    pub timeout: Duration,
    /// Whether files are handed over by name in a shared folder instead of being sent.
    pub use_file_pointers: bool,
    /// That folder, as this service sees it.
    pub shared_volume_dir: PathBuf,
    /// The size of the pieces in which a file is sent, in bytes.
    pub stream_chunk_size: u64,
}

/// One entry of `connectors`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectorConfig {
    /// The id of the connector's record.
    pub connector_id: String,
    /// What it connects to, such as `postgresql`.
    pub service_type: String,
    /// The key for writing to its content index, instead of the global credentials.
    pub api_key: Option<Secret>,
}

/// How requests to Elasticsearch are authenticated. An API key wins over a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credentials {
    /// An API key, as given: the encoded form or `id:key`.
    ApiKey(Secret),
    /// User name and password.
    Basic {
        /// The user name.
        username: String,
        /// The password.
        password: Secret,
    },
}

/// A certificate of ours and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The certificate, followed by its issuers if needed.
    pub certificate: Pem,
    /// The private key, without a passphrase.
    pub key: Pem,
}

/// Something in PEM. Not parsed here: whoever connects says what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pem {
    /// A file, relative to the working directory.
    File(PathBuf),
    /// The PEM text itself.
    Text(Secret),
}

/// How important a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum LogLevel {
    /// Everything.
    Debug,
    /// What normally happens.
    #[default]
    Info,
    /// What somebody should look at.
    Warning,
    /// What went wrong.
    Error,
    /// What ends the service.
    Critical,
}

/// Options for one source. `Debug` shows only the names, for nobody knows what the values hold.
#[derive(Clone, PartialEq, Default)]
pub struct SourceOptions(pub serde_json::Map<String, Json>);

impl fmt::Debug for SourceOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
