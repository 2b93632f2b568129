use super::parse;
use crate::config::{Config, Credentials, KeyDescription, LogLevel, keys};
use std::path::PathBuf;
use std::time::Duration;
use tributary_sdk::Secret;

const MEBIBYTE: u64 = 1024 * 1024;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn an_empty_text_gives_the_defaults_of_the_reference() {
    let config = parse("");
    assert_eq!(config, Config::default());

    let elasticsearch = &config.elasticsearch;
    assert_eq!(elasticsearch.host, "http://localhost:9200");
    assert_eq!(
        elasticsearch.credentials,
        Credentials::Basic {
            username: "elastic".to_owned(),
            password: Secret::new("changeme")
        }
    );
    assert!(elasticsearch.ssl);
    assert!(elasticsearch.verify_certs);
    assert_eq!(elasticsearch.ca_certs, None);
    assert_eq!(elasticsearch.ca_fingerprint, None);
    assert_eq!(elasticsearch.client_certificate, None);
    assert_eq!(elasticsearch.proxy, None);
    assert!(elasticsearch.no_proxy.is_empty());
    assert!(elasticsearch.headers.is_empty());
    assert_eq!(elasticsearch.request_timeout, seconds(240));
    assert_eq!(elasticsearch.max_wait_duration, seconds(240));
    assert_eq!(elasticsearch.initial_backoff_duration, seconds(1));
    assert!((elasticsearch.backoff_multiplier - 2.0).abs() < f64::EPSILON);
    assert_eq!(elasticsearch.max_retries, 5);
    assert_eq!(elasticsearch.retry_interval, seconds(10));
    assert!(elasticsearch.retry_on_timeout);
    assert_eq!(elasticsearch.log_level, LogLevel::Info);
    assert!(elasticsearch.feature_use_connectors_api);
    assert!(!elasticsearch.compress);

    let bulk = &elasticsearch.bulk;
    assert_eq!(bulk.queue_max_size, None);
    assert_eq!(bulk.queue_max_mem_size, 25 * MEBIBYTE);
    assert_eq!(bulk.queue_refresh_interval, seconds(1));
    assert_eq!(bulk.queue_refresh_timeout, seconds(1300));
    assert_eq!(bulk.display_every, 100);
    assert_eq!(bulk.chunk_size, None);
    assert_eq!(bulk.chunk_max_mem_size, None);
    assert_eq!(bulk.max_concurrency, None);
    assert_eq!(bulk.concurrent_downloads, 10);
    assert_eq!(bulk.max_retries, 5);
    assert_eq!(bulk.retry_interval, seconds(10));
    assert_eq!(bulk.max_text_document_size, Some(3 * MEBIBYTE));
    assert!(!bulk.enable_operations_logging);

    let monitor = &bulk.error_monitor;
    assert!(monitor.enabled);
    assert_eq!(monitor.max_total_errors, 1000);
    assert_eq!(monitor.max_consecutive_errors, 10);
    assert!((monitor.max_error_rate - 0.15).abs() < f64::EPSILON);
    assert_eq!(monitor.error_window_size, 100);
    assert_eq!(monitor.error_queue_size, 10);

    let service = &config.service;
    assert!(!service.worker_mode);
    assert!(service.service_types.is_empty());
    assert_eq!(service.idling, seconds(30));
    assert_eq!(service.heartbeat, seconds(300));
    assert_eq!(service.preflight_max_attempts, 10);
    assert_eq!(service.preflight_idle, seconds(30));
    assert_eq!(service.max_errors, 20);
    assert_eq!(service.max_errors_span, seconds(600));
    assert_eq!(service.max_concurrent_content_syncs, 1);
    assert_eq!(service.max_concurrent_access_control_syncs, 1);
    assert_eq!(service.max_concurrent_scheduling_tasks, 4);
    assert_eq!(service.max_file_download_size, 10_485_760);
    assert_eq!(service.job_cleanup_interval, seconds(300));
    assert_eq!(service.log_level, LogLevel::Info);
    assert_eq!(service.health_address.as_deref(), Some("127.0.0.1:8585"));

    assert_eq!(config.extraction_service, None);
    assert!(config.connectors.is_empty());
    assert!(config.sources.is_empty());
}

#[test]
fn the_extraction_service_is_on_when_it_has_a_host() {
    assert_eq!(
        parse("extraction_service.timeout: 5").extraction_service,
        None
    );
    let extraction = parse("extraction_service.host: http://extract:8090/")
        .extraction_service
        .unwrap();
    assert_eq!(extraction.host, "http://extract:8090");
    assert_eq!(extraction.timeout, seconds(30));
    assert!(!extraction.use_file_pointers);
    assert_eq!(extraction.shared_volume_dir, PathBuf::from("/app/files"));
    assert_eq!(extraction.stream_chunk_size, 65_536);
}

#[test]
fn values_that_are_empty_or_null_count_as_not_set() {
    let text = "elasticsearch:\n  host:\n  api_key: ''\n  ca_certs: ~\n  bulk:\n    chunk_size: null\n\
                service:\nextraction_service:\n  host: ''\nconnectors:\nsources:\n";
    assert_eq!(parse(text), Config::default());
}

#[test]
fn what_is_set_can_be_told_from_what_is_not() {
    let bulk =
        parse("elasticsearch.bulk: {chunk_size: 500, chunk_max_mem_size: 3, max_concurrency: 5}")
            .elasticsearch
            .bulk;
    assert_eq!(bulk.chunk_size, Some(500));
    assert_eq!(bulk.chunk_max_mem_size, Some(3 * MEBIBYTE));
    assert_eq!(bulk.max_concurrency, Some(5));
}

#[test]
fn every_default_of_the_table_can_be_read() {
    // Setting each key to its own default changes nothing and is not an error.
    for KeyDescription { path, default, .. } in keys::ALL {
        if let Some(default) = default {
            assert_eq!(
                parse(&format!("{path}: {default}")),
                Config::default(),
                "{path}"
            );
        }
    }
}

#[test]
fn keys_are_listed_once() {
    let mut paths: Vec<&str> = keys::ALL.iter().map(|key| key.path).collect();
    paths.sort_unstable();
    paths.dedup();
    assert_eq!(paths.len(), keys::ALL.len());
}
