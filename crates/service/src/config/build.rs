//! From the tree to a [`Config`].

use super::keys;
use super::nearest::near_miss;
use super::reader::Reader;
use super::settings::{
    BulkConfig, ClientCertificate, Config, ConnectorConfig, Credentials, ElasticsearchConfig,
    ErrorMonitorConfig, ExtractionServiceConfig, Pem, ServiceConfig, SourceOptions,
};
use super::tree::{Map, Node, Place, Value};
use super::{json, value};
use std::collections::BTreeMap;
use std::path::PathBuf;
use tributary_sdk::Secret;

pub(super) fn config(reader: &mut Reader<'_>) -> Config {
    if reader.get(&keys::FIPS_MODE) {
        let place = reader.place(&keys::FIPS_MODE);
        reader.error(
            keys::FIPS_MODE.description.path,
            place,
            "this program has no FIPS-validated cryptography; set it to false to run without",
        );
    }
    Config {
        elasticsearch: elasticsearch(reader),
        service: service(reader),
        extraction_service: extraction_service(reader),
        connectors: connectors(reader),
        sources: sources(reader),
    }
}

fn elasticsearch(reader: &mut Reader<'_>) -> ElasticsearchConfig {
    let (host, user_of_host) = without_user(reader.get(&keys::HOST));
    let ssl = reader.get(&keys::SSL);
    if !ssl && host.starts_with("https://") {
        reader.warnings.push(
            "elasticsearch.ssl is false, but elasticsearch.host begins with https://; TLS is used"
                .to_owned(),
        );
    }
    let no_passphrase = "elasticsearch.client_key_passphrase";
    if let Some(node) = reader
        .map
        .find(no_passphrase)
        .filter(|node| !node.is_null())
    {
        reader.error(
            no_passphrase,
            Some(node.place),
            "encrypted keys are not supported; decrypt the key with `openssl pkey -in key.pem \
             -out plain.pem`, protect the file by its mode, and remove this key",
        );
    }
    ElasticsearchConfig {
        host,
        credentials: credentials(reader, user_of_host),
        ssl,
        verify_certs: reader.get(&keys::VERIFY_CERTS),
        ca_certs: reader.find(&keys::CA_CERTS),
        ca_fingerprint: reader.find(&keys::CA_FINGERPRINT),
        client_certificate: client_certificate(reader),
        proxy: reader.find(&keys::PROXY),
        no_proxy: reader.get(&keys::NO_PROXY),
        headers: headers(reader),
        request_timeout: reader.get(&keys::REQUEST_TIMEOUT),
        max_wait_duration: reader.get(&keys::MAX_WAIT_DURATION),
        initial_backoff_duration: reader.get(&keys::INITIAL_BACKOFF_DURATION),
        backoff_multiplier: reader.get(&keys::BACKOFF_MULTIPLIER),
        max_retries: reader.get(&keys::MAX_RETRIES),
        retry_interval: reader.get(&keys::RETRY_INTERVAL),
        retry_on_timeout: reader.get(&keys::RETRY_ON_TIMEOUT),
        log_level: reader.get(&keys::ELASTICSEARCH_LOG_LEVEL),
        compress: reader.get(&keys::COMPRESS),
        feature_use_connectors_api: reader.get(&keys::FEATURE_USE_CONNECTORS_API),
        bulk: bulk(reader),
    }
}

/// Takes `user:password@` out of an address, so that it is never logged with it.
fn without_user(host: String) -> (String, Option<(String, Secret)>) {
    let Ok(mut url) = url::Url::parse(&host) else {
        return (host, None);
    };
    if url.username().is_empty() && url.password().is_none() {
        return (host, None);
    }
    let decode = |text: &str| {
        percent_encoding::percent_decode_str(text)
            .decode_utf8_lossy()
            .into_owned()
    };
    let username = decode(url.username());
    let password = Secret::new(decode(url.password().unwrap_or_default()));
    // Both can only fail for addresses without a host, which were refused before.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    let host = url.as_str().trim_end_matches('/').to_owned();
    (host, Some((username, password)))
}

fn credentials(reader: &mut Reader<'_>, of_host: Option<(String, Secret)>) -> Credentials {
    let api_key = reader.find(&keys::ELASTICSEARCH_API_KEY);
    let has_user = reader.is_set(&keys::USERNAME) || reader.is_set(&keys::PASSWORD);
    let username = reader.get(&keys::USERNAME);
    let password = reader.get(&keys::PASSWORD);
    if of_host.is_some() && (has_user || api_key.is_some()) {
        reader.warnings.push(
            "the user name and password in elasticsearch.host are not used, because other \
             credentials are given"
                .to_owned(),
        );
    }
    match (api_key, of_host) {
        (Some(api_key), _) => Credentials::ApiKey(api_key),
        (None, Some((username, password))) if !has_user => {
            Credentials::Basic { username, password }
        }
        (None, _) => Credentials::Basic { username, password },
    }
}

fn client_certificate(reader: &mut Reader<'_>) -> Option<ClientCertificate> {
    let certificate: Option<Pem> = reader.find(&keys::CLIENT_CERT);
    let key: Option<Pem> = reader.find(&keys::CLIENT_KEY);
    // Of a value that is wrong in itself nothing more is said.
    let has_certificate = reader.place(&keys::CLIENT_CERT);
    let has_key = reader.place(&keys::CLIENT_KEY);
    match (has_certificate, has_key) {
        (Some(place), None) => reader.error(
            keys::CLIENT_CERT.description.path,
            Some(place),
            "needs elasticsearch.client_key beside it; if the key is in the same file, give the \
             same path twice",
        ),
        (None, Some(place)) => reader.error(
            keys::CLIENT_KEY.description.path,
            Some(place),
            "needs elasticsearch.client_cert beside it",
        ),
        _ => {}
    }
    Some(ClientCertificate {
        certificate: certificate?,
        key: key?,
    })
}

fn headers(reader: &mut Reader<'_>) -> BTreeMap<String, Secret> {
    let mut headers = BTreeMap::new();
    let path = keys::HEADERS.description.path;
    let Some(node) = reader.get(&keys::HEADERS) else {
        return headers;
    };
    match &node.value {
        Value::Map(map) => read_headers(reader, map, "", &mut headers),
        _ => reader.error(
            path,
            Some(node.place),
            "must be a mapping of header names to values, such as {X-Team: search}",
        ),
    }
    headers
}

/// Names with dots were taken apart like all keys and are put together again here.
fn read_headers(
    reader: &mut Reader<'_>,
    map: &Map,
    prefix: &str,
    headers: &mut BTreeMap<String, Secret>,
) {
    for (name, (_, node)) in &map.0 {
        let name = super::tree::join(prefix, name);
        let is_origin = |map: &Map| map.get("file").is_some() || map.get("command").is_some();
        match &node.value {
            Value::Map(inner) if !is_origin(inner) => read_headers(reader, inner, &name, headers),
            _ => match value::secret(node, reader.environment) {
                Ok(value) => {
                    headers.insert(name, value);
                }
                Err(message) => {
                    let key = super::tree::join(keys::HEADERS.description.path, &name);
                    reader.error(key, Some(node.place), message);
                }
            },
        }
    }
}

fn bulk(reader: &mut Reader<'_>) -> BulkConfig {
    let max_text_document_size = reader.get(&keys::MAX_TEXT_DOCUMENT_SIZE);
    BulkConfig {
        queue_max_size: reader.find(&keys::QUEUE_MAX_SIZE),
        queue_max_mem_size: reader.get(&keys::QUEUE_MAX_MEM_SIZE),
        queue_refresh_interval: reader.get(&keys::QUEUE_REFRESH_INTERVAL),
        queue_refresh_timeout: reader.get(&keys::QUEUE_REFRESH_TIMEOUT),
        display_every: reader.get(&keys::DISPLAY_EVERY),
        chunk_size: reader.find(&keys::CHUNK_SIZE),
        chunk_max_mem_size: reader.find(&keys::CHUNK_MAX_MEM_SIZE),
        max_concurrency: reader.find(&keys::MAX_CONCURRENCY),
        concurrent_downloads: reader.get(&keys::CONCURRENT_DOWNLOADS),
        max_retries: reader.get(&keys::BULK_MAX_RETRIES),
        retry_interval: reader.get(&keys::BULK_RETRY_INTERVAL),
        max_text_document_size: (max_text_document_size > 0).then_some(max_text_document_size),
        enable_operations_logging: reader.get(&keys::ENABLE_OPERATIONS_LOGGING),
        error_monitor: ErrorMonitorConfig {
            enabled: reader.get(&keys::ERROR_MONITOR_ENABLED),
            max_total_errors: reader.get(&keys::MAX_TOTAL_ERRORS),
            max_consecutive_errors: reader.get(&keys::MAX_CONSECUTIVE_ERRORS),
            max_error_rate: reader.get(&keys::MAX_ERROR_RATE),
            error_window_size: reader.get(&keys::ERROR_WINDOW_SIZE),
            error_queue_size: reader.get(&keys::ERROR_QUEUE_SIZE),
        },
    }
}

fn service(reader: &mut Reader<'_>) -> ServiceConfig {
    ServiceConfig {
        worker_mode: reader.get(&keys::WORKER_MODE),
        service_types: reader.get(&keys::SERVICE_TYPES),
        idling: reader.get(&keys::IDLING),
        heartbeat: reader.get(&keys::HEARTBEAT),
        preflight_max_attempts: reader.get(&keys::PREFLIGHT_MAX_ATTEMPTS),
        preflight_idle: reader.get(&keys::PREFLIGHT_IDLE),
        max_errors: reader.get(&keys::MAX_ERRORS),
        max_errors_span: reader.get(&keys::MAX_ERRORS_SPAN),
        max_concurrent_content_syncs: reader.get(&keys::MAX_CONCURRENT_CONTENT_SYNCS),
        max_concurrent_access_control_syncs: reader.get(&keys::MAX_CONCURRENT_ACCESS_CONTROL_SYNCS),
        max_concurrent_scheduling_tasks: reader.get(&keys::MAX_CONCURRENT_SCHEDULING_TASKS),
        max_file_download_size: reader.get(&keys::MAX_FILE_DOWNLOAD_SIZE),
        job_cleanup_interval: reader.get(&keys::JOB_CLEANUP_INTERVAL),
        job_lease: reader.get(&keys::JOB_LEASE),
        state_dir: reader.get(&keys::STATE_DIR),
        state_index: reader.get(&keys::STATE_INDEX),
        ledger_retention: reader.get(&keys::LEDGER_RETENTION),
        memory_budget: reader.get(&keys::MEMORY_BUDGET),
        log_level: reader.get(&keys::LOG_LEVEL),
        health_address: reader.get(&keys::HEALTH_ADDRESS),
    }
}

fn extraction_service(reader: &mut Reader<'_>) -> Option<ExtractionServiceConfig> {
    // All keys are read in any case, so that what is wrong with them is said.
    let host = reader.find(&keys::EXTRACTION_HOST);
    let timeout = reader.get(&keys::EXTRACTION_TIMEOUT);
    let use_file_pointers = reader.get(&keys::USE_FILE_POINTERS);
    let shared_volume_dir = PathBuf::from(reader.get(&keys::SHARED_VOLUME_DIR));
    let stream_chunk_size = reader.get(&keys::STREAM_CHUNK_SIZE);
    Some(ExtractionServiceConfig {
        host: host?,
        timeout,
        use_file_pointers,
        shared_volume_dir,
        stream_chunk_size,
    })
}

fn sources(reader: &mut Reader<'_>) -> BTreeMap<String, SourceOptions> {
    let path = keys::SOURCES.description.path;
    let mut sources = BTreeMap::new();
    let Some(node) = reader.get(&keys::SOURCES) else {
        return sources;
    };
    let Value::Map(map) = &node.value else {
        reader.error(
            path,
            Some(node.place),
            "must be a mapping of service types to options",
        );
        return sources;
    };
    for (service_type, (_, node)) in &map.0 {
        match &node.value {
            Value::Map(options) => {
                sources.insert(service_type.clone(), SourceOptions(json::json_map(options)));
            }
            // The reference has a class name here: `postgresql: module:Class`.
            Value::Scalar { .. } => {}
            Value::List(_) => reader.error(
                format!("{path}.{service_type}"),
                Some(node.place),
                "must be a mapping of options",
            ),
        }
    }
    sources
}

fn connectors(reader: &mut Reader<'_>) -> Vec<ConnectorConfig> {
    let mut connectors: Vec<ConnectorConfig> = Vec::new();
    let mut places: Vec<(String, Place)> = Vec::new();
    let path = keys::CONNECTORS.description.path;
    if let Some(node) = reader.get(&keys::CONNECTORS) {
        match &node.value {
            Value::List(nodes) => {
                for (index, node) in nodes.iter().enumerate() {
                    let path = format!("{path}[{index}]");
                    let Some(connector) = connector(reader, node, &path) else {
                        continue;
                    };
                    let known = connectors
                        .iter()
                        .position(|known| known.connector_id == connector.connector_id);
                    if let Some((first_path, first)) = known.and_then(|known| places.get(known)) {
                        let message = format!(
                            "{:?} is already the id of {first_path} on line {}; remove one of the \
                             two",
                            connector.connector_id, first.line
                        );
                        reader.error(format!("{path}.connector_id"), Some(node.place), message);
                        continue;
                    }
                    places.push((path, node.place));
                    connectors.push(connector);
                }
            }
            _ => reader.error(
                path,
                Some(node.place),
                "must be a list; each entry begins with `- connector_id:`",
            ),
        }
    }
    if let Some(lone) = lone_connector(reader)
        && !connectors
            .iter()
            .any(|known| known.connector_id == lone.connector_id)
    {
        connectors.push(lone);
    }
    connectors
}

fn connector(reader: &mut Reader<'_>, node: &Node, path: &str) -> Option<ConnectorConfig> {
    let Value::Map(map) = &node.value else {
        reader.error(
            path,
            Some(node.place),
            "must be a mapping with connector_id and service_type",
        );
        return None;
    };
    for (name, (place, _)) in &map.0 {
        if !keys::CONNECTOR_NAMES.contains(&name.as_str()) {
            let warning = near_miss(path, name, *place, &keys::CONNECTOR_NAMES);
            reader.warnings.extend(warning);
        }
    }
    let connector_id = required_text(reader, map, node.place, path, keys::CONNECTOR_ID);
    let service_type = required_text(reader, map, node.place, path, keys::SERVICE_TYPE);
    let api_key = map
        .get(keys::API_KEY)
        .filter(|node| !node.is_null() && !node.is_empty_text())
        .and_then(|node| {
            value::secret(node, reader.environment)
                .map_err(|message| {
                    reader.error(
                        format!("{path}.{}", keys::API_KEY),
                        Some(node.place),
                        message,
                    );
                })
                .ok()
        });
    Some(ConnectorConfig {
        connector_id: connector_id?,
        service_type: service_type?,
        api_key,
    })
}

fn required_text(
    reader: &mut Reader<'_>,
    map: &Map,
    place: Place,
    path: &str,
    name: &str,
) -> Option<String> {
    let key = format!("{path}.{name}");
    let node = map
        .get(name)
        .filter(|node| !node.is_null() && !node.is_empty_text());
    let Some(node) = node else {
        reader.error(key, Some(place), "is missing; each connector needs one");
        return None;
    };
    value::text(node, reader.environment)
        .map_err(|message| reader.error(key, Some(node.place), message))
        .ok()
}

/// `connector_id` and `service_type` at the top, the way of old files.
fn lone_connector(reader: &mut Reader<'_>) -> Option<ConnectorConfig> {
    let id_place = reader.place(&keys::LONE_CONNECTOR_ID);
    let type_place = reader.place(&keys::LONE_SERVICE_TYPE);
    let connector_id = reader.find(&keys::LONE_CONNECTOR_ID);
    let service_type = reader.find(&keys::LONE_SERVICE_TYPE);
    match (id_place, type_place) {
        (None, None) => return None,
        (Some(place), None) => reader.error(
            keys::CONNECTOR_ID,
            Some(place),
            "needs service_type beside it; better, put both into the list `connectors`",
        ),
        (None, Some(place)) => reader.error(
            keys::SERVICE_TYPE,
            Some(place),
            "needs connector_id beside it; better, put both into the list `connectors`",
        ),
        (Some(place), Some(_)) => reader.warnings.push(format!(
            "connector_id and service_type at the top (line {}) are deprecated; put them into the \
             list `connectors`",
            place.line
        )),
    }
    Some(ConnectorConfig {
        connector_id: connector_id?,
        service_type: service_type?,
        api_key: None,
    })
}
