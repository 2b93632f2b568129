//! The one table of keys: known names, types, defaults, units and words.

use super::key::{Key, KeyDescription};
use super::settings::{LogLevel, Pem};
use super::tree::Node;
use super::value;
use std::path::PathBuf;
use std::time::Duration;
use tributary_sdk::Secret;

macro_rules! keys {
    ($($name:ident: $type:ty, $read:expr, {
        $path:literal, $default:expr, $unit:expr, $sample:expr, $about:literal
    })*) => {
        $(pub(super) static $name: Key<$type> = Key {
            description: KeyDescription {
                path: $path,
                default: $default,
                unit: $unit,
                sample: $sample,
                about: $about,
            },
            read: $read,
        };)*

        /// Every key, in the order of `config.yml.example`.
        pub(super) static ALL: &[&KeyDescription] = &[$(&$name.description),*];
    };
}

const SECONDS: Option<&str> = Some("seconds");
const DAYS: Option<&str> = Some("days");
const BYTES: Option<&str> = Some("bytes");
const MEBIBYTES: Option<&str> = Some("MiB");

/// The sections that keys live in; `sources` and `connectors` are checked by their own readers.
pub(super) const SECTIONS: [&str; 5] = [
    "elasticsearch",
    "elasticsearch.bulk",
    "elasticsearch.bulk.error_monitor",
    "service",
    "extraction_service",
];

/// The names in one entry of `connectors`.
pub(super) const CONNECTOR_ID: &str = "connector_id";
pub(super) const SERVICE_TYPE: &str = "service_type";
pub(super) const API_KEY: &str = "api_key";
pub(super) const CONNECTOR_NAMES: [&str; 3] = [CONNECTOR_ID, SERVICE_TYPE, API_KEY];

keys! {
    CONNECTORS: Option<Node>, value::raw, {
        "connectors", Some("[]"), None,
        Some("- connector_id: the-id-shown-in-kibana\n  service_type: postgresql\n  api_key: ${CONNECTOR_API_KEY}"),
        "The connectors this service handles. `api_key` is optional: it replaces the credentials \
         under `elasticsearch` for writing to the connector's content index."
    }
    LONE_CONNECTOR_ID: String, value::text, {
        "connector_id", None, None, Some("the-id-shown-in-kibana"),
        "Old way to name a single connector, together with `service_type`. Use `connectors`."
    }
    LONE_SERVICE_TYPE: String, value::text, {
        "service_type", None, None, Some("postgresql"),
        "Old way to give the service type of a single connector. Use `connectors`."
    }
    HOST: String, value::address, {
        "elasticsearch.host", Some("http://localhost:9200"), None, None,
        "The address of Elasticsearch, with scheme and port. A path is allowed."
    }
    USERNAME: String, value::text, {
        "elasticsearch.username", Some("elastic"), None, None,
        "The user name, if there is no API key."
    }
    PASSWORD: Secret, value::secret, {
        "elasticsearch.password", Some("changeme"), None, None,
        "The password, if there is no API key. As with every secret, `{file: /run/secrets/password}` \
         or `{command: pass show elasticsearch}` says where to take it from."
    }
    ELASTICSEARCH_API_KEY: Secret, value::secret, {
        "elasticsearch.api_key", None, None, Some("${ELASTICSEARCH_API_KEY}"),
        "The API key, as shown when it was made. It wins over user name and password."
    }
    SSL: bool, value::flag, {
        "elasticsearch.ssl", Some("true"), None, None,
        "Kept for old files. Whether TLS is used is decided by http:// or https:// in `host`."
    }
    VERIFY_CERTS: bool, value::flag, {
        "elasticsearch.verify_certs", Some("true"), None, None,
        "Whether the server's certificate is checked. Without, anybody on the way can read and \
         change everything."
    }
    CA_CERTS: Pem, value::pem, {
        "elasticsearch.ca_certs", None, None, Some("/etc/tributary/elasticsearch-ca.pem"),
        "A PEM file with the certificate authority to trust, or its text. The system's \
         authorities are trusted if it is not set."
    }
    CA_FINGERPRINT: String, value::fingerprint, {
        "elasticsearch.ca_fingerprint", None, None,
        Some("0f6b2c1d9a3e4f5061728394a5b6c7d8e9f00112233445566778899aabbccdde"),
        "The SHA-256 fingerprint of the certificate authority, which Elasticsearch prints at its \
         first start, or of the server's certificate."
    }
    CLIENT_CERT: Pem, value::pem, {
        "elasticsearch.client_cert", None, None, Some("/etc/tributary/client.pem"),
        "A PEM file with the certificate to show to a server that demands one, or its text."
    }
    CLIENT_KEY: Pem, value::pem, {
        "elasticsearch.client_key", None, None, Some("/etc/tributary/client.key"),
        "A PEM file with the key of that certificate, not encrypted. Also from a file or command \
         as for every secret."
    }
    PROXY: Secret, value::secret_address, {
        "elasticsearch.proxy", None, None, Some("http://proxy.example.org:3128"),
        "The HTTP proxy on the way to Elasticsearch, with user name and password if it wants them."
    }
    NO_PROXY: Vec<String>, value::words, {
        "elasticsearch.no_proxy", Some("[]"), None, None,
        "Hosts, domains and addresses that are reached without the proxy."
    }
    HEADERS: Option<Node>, value::raw, {
        "elasticsearch.headers", Some("{}"), None, None,
        "Headers to send with each request, by name."
    }
    REQUEST_TIMEOUT: Duration, value::some_seconds, {
        "elasticsearch.request_timeout", Some("240"), SECONDS, None,
        "The time one request may take."
    }
    MAX_WAIT_DURATION: Duration, value::seconds, {
        "elasticsearch.max_wait_duration", Some("240"), SECONDS, None,
        "How long to wait for Elasticsearch at the start."
    }
    INITIAL_BACKOFF_DURATION: Duration, value::some_seconds, {
        "elasticsearch.initial_backoff_duration", Some("1"), SECONDS, None,
        "The first pause of that wait."
    }
    BACKOFF_MULTIPLIER: f64, value::factor, {
        "elasticsearch.backoff_multiplier", Some("2"), None, None,
        "How much longer each further pause is."
    }
    MAX_RETRIES: u32, value::count, {
        "elasticsearch.max_retries", Some("5"), None, None,
        "How often a request that failed for a passing reason is tried again."
    }
    RETRY_INTERVAL: Duration, value::seconds, {
        "elasticsearch.retry_interval", Some("10"), SECONDS, None,
        "The pause before the first retry. The second waits twice as long, and so on."
    }
    RETRY_ON_TIMEOUT: bool, value::flag, {
        "elasticsearch.retry_on_timeout", Some("true"), None, None,
        "Whether a request that timed out is tried again."
    }
    ELASTICSEARCH_LOG_LEVEL: LogLevel, value::level, {
        "elasticsearch.log_level", Some("INFO"), None, None,
        "The least important messages to log about requests: DEBUG, INFO, WARNING, ERROR or \
         CRITICAL."
    }
    COMPRESS: bool, value::flag, {
        "elasticsearch.compress", Some("false"), None, None,
        "Whether documents and answers travel compressed (gzip): less traffic for more work."
    }
    FEATURE_USE_CONNECTORS_API: bool, value::flag, {
        "elasticsearch.feature_use_connectors_api", Some("true"), None, None,
        "Whether the `_connector` API is used. Where the server lacks it, the connector indices \
         are used in any case."
    }
    QUEUE_MAX_SIZE: usize, value::some_count, {
        "elasticsearch.bulk.queue_max_size", None, None, Some("1024"),
        "How many documents may wait to be written. Chosen automatically if not set."
    }
    QUEUE_MAX_MEM_SIZE: u64, value::some_mebibytes, {
        "elasticsearch.bulk.queue_max_mem_size", Some("25"), MEBIBYTES, None,
        "The memory that documents on their way may take, for each sync."
    }
    QUEUE_REFRESH_INTERVAL: Duration, value::some_seconds, {
        "elasticsearch.bulk.queue_refresh_interval", Some("1"), SECONDS, None,
        "How often a full queue is looked at again."
    }
    QUEUE_REFRESH_TIMEOUT: Duration, value::some_seconds, {
        "elasticsearch.bulk.queue_refresh_timeout", Some("1300"), SECONDS, None,
        "How long a full queue may stand still before the sync fails."
    }
    DISPLAY_EVERY: u64, value::some_count, {
        "elasticsearch.bulk.display_every", Some("100"), None, None,
        "After how many documents progress is logged."
    }
    CHUNK_SIZE: usize, value::some_count, {
        "elasticsearch.bulk.chunk_size", None, None, Some("500"),
        "The length of one bulk request. A document that is written counts as two entries, one \
         that is deleted as one. Chosen automatically if not set."
    }
    CHUNK_MAX_MEM_SIZE: u64, value::some_mebibytes, {
        "elasticsearch.bulk.chunk_max_mem_size", None, MEBIBYTES, Some("3"),
        "The size of one bulk request. Chosen automatically if not set."
    }
    MAX_CONCURRENCY: usize, value::some_count, {
        "elasticsearch.bulk.max_concurrency", None, None, Some("5"),
        "How many bulk requests are sent at the same time. Chosen automatically if not set."
    }
    CONCURRENT_DOWNLOADS: usize, value::some_count, {
        "elasticsearch.bulk.concurrent_downloads", Some("10"), None, None,
        "How many files are fetched at the same time, for each sync."
    }
    BULK_MAX_RETRIES: u32, value::count, {
        "elasticsearch.bulk.max_retries", Some("5"), None, None,
        "How often a bulk request that failed for a passing reason is tried again."
    }
    BULK_RETRY_INTERVAL: Duration, value::seconds, {
        "elasticsearch.bulk.retry_interval", Some("10"), SECONDS, None,
        "The pause before the first of these. The second waits twice as long, and so on."
    }
    MAX_TEXT_DOCUMENT_SIZE: u64, value::mebibytes, {
        "elasticsearch.bulk.max_text_document_size", Some("3"), MEBIBYTES, None,
        "The largest document without an attachment. Larger ones are left out and reported. \
         0 means no limit."
    }
    ENABLE_OPERATIONS_LOGGING: bool, value::flag, {
        "elasticsearch.bulk.enable_operations_logging", Some("false"), None, None,
        "Whether each single write and delete is logged."
    }
    ERROR_MONITOR_ENABLED: bool, value::flag, {
        "elasticsearch.bulk.error_monitor.enabled", Some("true"), None, None,
        "Whether a sync fails when too many documents are rejected."
    }
    MAX_TOTAL_ERRORS: u64, value::count, {
        "elasticsearch.bulk.error_monitor.max_total_errors", Some("1000"), None, None,
        "A sync fails when more documents than this are rejected."
    }
    MAX_CONSECUTIVE_ERRORS: u64, value::count, {
        "elasticsearch.bulk.error_monitor.max_consecutive_errors", Some("10"), None, None,
        "A sync fails when more documents than this are rejected in a row."
    }
    MAX_ERROR_RATE: f64, value::share, {
        "elasticsearch.bulk.error_monitor.max_error_rate", Some("0.15"), None, None,
        "A sync fails when a larger share than this of the latest documents is rejected: 0.15 is \
         15 percent."
    }
    ERROR_WINDOW_SIZE: usize, value::some_count, {
        "elasticsearch.bulk.error_monitor.error_window_size", Some("100"), None, None,
        "The number of latest documents that the share is taken from."
    }
    ERROR_QUEUE_SIZE: usize, value::count, {
        "elasticsearch.bulk.error_monitor.error_queue_size", Some("10"), None, None,
        "How many of the latest errors are kept to be shown."
    }
    WORKER_MODE: bool, value::flag, {
        "service.worker_mode", Some("false"), None, None,
        "Whether to handle every connector of the service types below, instead of those under \
         `connectors`."
    }
    SERVICE_TYPES: Vec<String>, value::words, {
        "service.service_types", Some("[]"), None, None,
        "The service types for worker mode, such as [postgresql, dir]."
    }
    IDLING: Duration, value::some_seconds, {
        "service.idling", Some("30"), SECONDS, None,
        "The pause between two rounds of looking for work."
    }
    HEARTBEAT: Duration, value::some_seconds, {
        "service.heartbeat", Some("300"), SECONDS, None,
        "How often each connector shows a sign of life."
    }
    PREFLIGHT_MAX_ATTEMPTS: u32, value::some_count, {
        "service.preflight_max_attempts", Some("10"), None, None,
        "How often the preparations at the start are tried."
    }
    PREFLIGHT_IDLE: Duration, value::seconds, {
        "service.preflight_idle", Some("30"), SECONDS, None,
        "The pause between two of these tries."
    }
    MAX_ERRORS: u32, value::count, {
        "service.max_errors", Some("20"), None, None,
        "The service ends when more errors than this happen within the time below."
    }
    MAX_ERRORS_SPAN: Duration, value::some_seconds, {
        "service.max_errors_span", Some("600"), SECONDS, None,
        "The time in which these errors are counted."
    }
    MAX_CONCURRENT_CONTENT_SYNCS: usize, value::some_count, {
        "service.max_concurrent_content_syncs", Some("1"), None, None,
        "How many content syncs run at the same time."
    }
    MAX_CONCURRENT_ACCESS_CONTROL_SYNCS: usize, value::some_count, {
        "service.max_concurrent_access_control_syncs", Some("1"), None, None,
        "How many access control syncs run at the same time."
    }
    MAX_CONCURRENT_SCHEDULING_TASKS: usize, value::some_count, {
        "service.max_concurrent_scheduling_tasks", Some("4"), None, None,
        "How many connectors are checked and scheduled at the same time."
    }
    MAX_FILE_DOWNLOAD_SIZE: u64, value::bytes, {
        "service.max_file_download_size", Some("10485760"), BYTES, None,
        "The largest file whose content is fetched."
    }
    JOB_CLEANUP_INTERVAL: Duration, value::some_seconds, {
        "service.job_cleanup_interval", Some("300"), SECONDS, None,
        "The pause between two searches for jobs that nobody works on any more."
    }
    JOB_LEASE: Duration, value::lease, {
        "service.job_lease", Some("30"), SECONDS, None,
        "After this time without a sign of life from the instance that runs a job, another one takes \
         the job over. At least 10."
    }
    STATE_DIR: Option<PathBuf>, value::folder, {
        "service.state_dir", None, None, Some("/var/lib/tributary"),
        "Where this service keeps what it knows of each index, so that unchanged documents are not sent \
         again. Without it: STATE_DIRECTORY (set by systemd), or tributary in XDG_STATE_HOME, or \
         .local/state/tributary in the home folder."
    }
    STATE_INDEX: String, value::text, {
        "service.state_index", Some(".elastic-connectors-tributary-1"), None, None,
        "The index in which is kept what became of single documents: which were refused, written in part \
         or deleted, and why. Made if it is missing; where it cannot be used, files in state_dir take its \
         place."
    }
    LEDGER_RETENTION: Duration, value::some_days, {
        "service.ledger_retention", Some("30"), DAYS, None,
        "How long that is kept."
    }
    MEMORY_BUDGET: u64, value::some_mebibytes, {
        "service.memory_budget", Some("128"), MEBIBYTES, None,
        "The memory that all syncs together may take. Besides it, the program itself takes up to 40 MiB."
    }
    LOG_LEVEL: LogLevel, value::level, {
        "service.log_level", Some("INFO"), None, None,
        "The least important messages to log: DEBUG, INFO, WARNING, ERROR or CRITICAL."
    }
    FIPS_MODE: bool, value::flag, {
        "service.fips_mode", Some("false"), None, None,
        "Whether only FIPS-validated cryptography may be used. This program has none, so it \
         refuses to start with true."
    }
    HEALTH_ADDRESS: Option<String>, value::listener, {
        "service.health_address", Some("127.0.0.1:8585"), None, None,
        "Where /healthz, /readyz and /metrics are served, or `off`."
    }
    EXTRACTION_HOST: String, value::address, {
        "extraction_service.host", None, None, Some("http://localhost:8090"),
        "The address of the text extraction service. Not used if not set."
    }
    EXTRACTION_TIMEOUT: Duration, value::some_seconds, {
        "extraction_service.timeout", Some("30"), SECONDS, None,
        "The time one extraction may take."
    }
    USE_FILE_POINTERS: bool, value::flag, {
        "extraction_service.use_file_pointers", Some("false"), None, None,
        "Whether files are handed over by name in a shared folder instead of being sent."
    }
    SHARED_VOLUME_DIR: String, value::text, {
        "extraction_service.shared_volume_dir", Some("/app/files"), None, None,
        "That folder, as this service sees it."
    }
    STREAM_CHUNK_SIZE: u64, value::some_bytes, {
        "extraction_service.stream_chunk_size", Some("65536"), BYTES, None,
        "The size of the pieces in which a file is sent."
    }
    SOURCES: Option<Node>, value::raw, {
        "sources", Some("{}"), None, Some("postgresql:\n  option: value"),
        "Options for data sources, by service type; the page of each source lists its own. Class \
         names, which the Elastic connector service has here, are passed over."
    }
}
