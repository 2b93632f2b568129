use super::{errors, parse};
use crate::config::LogLevel;
use std::time::Duration;

const MEBIBYTE: u64 = 1024 * 1024;

#[test]
fn times_are_seconds_or_have_a_unit() {
    for (text, expected) in [
        ("30", Duration::from_secs(30)),
        ("0.5", Duration::from_millis(500)),
        ("\"30\"", Duration::from_secs(30)),
        ("500ms", Duration::from_millis(500)),
        ("30s", Duration::from_secs(30)),
        ("5 m", Duration::from_secs(300)),
        ("1h", Duration::from_secs(3600)),
    ] {
        assert_eq!(
            parse(&format!("service.idling: {text}")).service.idling,
            expected,
            "{text}"
        );
    }
    assert_eq!(
        parse("elasticsearch.retry_interval: 0")
            .elasticsearch
            .retry_interval,
        Duration::ZERO
    );
    for text in [
        "0",
        "-1",
        "abc",
        "1d",
        ".nan",
        ".inf",
        "1e999",
        "[1]",
        "''",
        "9999999999999",
    ] {
        let errors = errors(&format!("service.idling: {text}"));
        assert_eq!(errors.len(), 1, "{text}: {errors:?}");
        assert!(
            errors[0].starts_with("service.idling: must be a number of seconds above 0, got "),
            "{errors:?}"
        );
    }
}

#[test]
fn sizes_are_in_the_unit_of_the_key_or_their_own() {
    let queue = |text: &str| {
        parse(&format!("elasticsearch.bulk.queue_max_mem_size: {text}"))
            .elasticsearch
            .bulk
            .queue_max_mem_size
    };
    assert_eq!(queue("50"), 50 * MEBIBYTE);
    assert_eq!(queue("0.5"), MEBIBYTE / 2);
    assert_eq!(queue("64KiB"), 65_536);
    assert_eq!(queue("1 GB"), 1024 * MEBIBYTE);
    // Nobody means three million MiB.
    assert_eq!(queue("3145728"), 3 * MEBIBYTE);
    let file = |text: &str| {
        parse(&format!("service.max_file_download_size: {text}"))
            .service
            .max_file_download_size
    };
    assert_eq!(file("10485760"), 10_485_760);
    assert_eq!(file("10_485_760"), 10_485_760);
    assert_eq!(file("10MiB"), 10_485_760);
    for text in ["-5", "ten", "5 parsecs", "1e30", "{a: 1}"] {
        let errors = errors(&format!("service.max_file_download_size: {text}"));
        assert!(
            errors[0].contains("must be a number of bytes, got "),
            "{errors:?}"
        );
    }
}

#[test]
fn no_limit_for_text_is_zero() {
    let limit = |text| parse(text).elasticsearch.bulk.max_text_document_size;
    assert_eq!(limit("elasticsearch.bulk.max_text_document_size: 0"), None);
    assert_eq!(
        limit("elasticsearch.bulk.max_text_document_size: 5"),
        Some(5 * MEBIBYTE)
    );
}

#[test]
fn booleans_are_those_of_pyyaml() {
    for (text, expected) in [
        ("yes", true),
        ("On", true),
        ("TRUE", true),
        ("'true'", true),
        ("1", true),
        ("no", false),
        ("off", false),
        ("False", false),
        ("0", false),
    ] {
        let config = parse(&format!("service.worker_mode: {text}\n"));
        assert_eq!(config.service.worker_mode, expected, "{text}");
    }
    for text in ["maybe", "y", "2", "[]"] {
        let errors = errors(&format!("service.worker_mode: {text}"));
        assert!(errors[0].contains("must be true or false"), "{errors:?}");
    }
}

#[test]
fn lists_of_words_may_be_written_in_one_line() {
    for text in [
        "[dir, postgresql]",
        "dir, postgresql,",
        "\n  - dir\n  - postgresql",
    ] {
        let config = parse(&format!("service.service_types: {text}"));
        assert_eq!(
            config.service.service_types,
            ["dir", "postgresql"],
            "{text}"
        );
    }
    assert!(errors("service.service_types: {a: b}")[0].contains("must be a list of words"));
}

#[test]
fn levels_are_read_in_any_case() {
    for (text, expected) in [
        ("debug", LogLevel::Debug),
        ("INFO", LogLevel::Info),
        ("Warning", LogLevel::Warning),
        ("warn", LogLevel::Warning),
        ("ERROR", LogLevel::Error),
        ("CRITICAL", LogLevel::Critical),
    ] {
        assert_eq!(
            parse(&format!("service.log_level: {text}"))
                .service
                .log_level,
            expected
        );
    }
    assert!(errors("service.log_level: loud")[0].contains("one of DEBUG, INFO"));
}

#[test]
fn the_health_address_can_be_turned_off() {
    for text in ["off", "'off'", "false", "no"] {
        let config = parse(&format!("service.health_address: {text}"));
        assert_eq!(config.service.health_address, None, "{text}");
    }
    for text in ["0.0.0.0:1", "localhost:8585", "\"[::1]:0\""] {
        assert!(
            parse(&format!("service.health_address: {text}"))
                .service
                .health_address
                .is_some()
        );
    }
    for text in ["8585", "localhost", "localhost:99999", ":80"] {
        let errors = errors(&format!("service.health_address: '{text}'"));
        assert!(errors[0].contains("must be host:port"), "{errors:?}");
    }
}

#[test]
fn shares_and_factors_have_limits() {
    assert!(
        errors("elasticsearch.bulk.error_monitor.max_error_rate: 15")[0].contains("from 0 to 1")
    );
    assert!(errors("elasticsearch.backoff_multiplier: 0.5")[0].contains("from 1 to 1000"));
    assert!(errors("elasticsearch.bulk.chunk_size: 0")[0].contains("above 0"));
    assert!(errors("elasticsearch.max_retries: 2.5")[0].contains("a whole number"));
    assert_eq!(
        parse("elasticsearch.max_retries: 2.0")
            .elasticsearch
            .max_retries,
        2
    );
}
