use super::{parse, warnings};
use crate::config::Config;
use serde_json::json;

#[test]
fn nested_dotted_and_mixed_keys_mean_the_same() {
    let nested = "elasticsearch:\n  host: https://es:9200\n  bulk:\n    chunk_size: 7\n    error_monitor:\n      enabled: false\n";
    for text in [
        "elasticsearch.host: https://es:9200\nelasticsearch.bulk.chunk_size: 7\nelasticsearch.bulk.error_monitor.enabled: no\n",
        "elasticsearch:\n  host: https://es:9200\nelasticsearch.bulk:\n  chunk_size: 7\n  error_monitor.enabled: false\n",
        "elasticsearch.bulk.chunk_size: 7\nelasticsearch:\n  host: https://es:9200\n  bulk.error_monitor:\n    enabled: off\n",
        "{elasticsearch: {host: 'https://es:9200'}, elasticsearch.bulk.chunk_size: 7, elasticsearch.bulk: {error_monitor: {enabled: false}}}",
        "base: &base\n  chunk_size: 7\n  error_monitor: {enabled: false}\nelasticsearch:\n  host: https://es:9200\n  bulk:\n    <<: *base\n",
        "\u{feff}# a comment\r\nelasticsearch.host: https://es:9200\r\nelasticsearch:\r\n  bulk: {chunk_size: 7, error_monitor.enabled: false}\r\n",
    ] {
        assert_eq!(parse(text), parse(nested), "{text}");
    }
    assert_ne!(parse(nested), Config::default());
}

#[test]
fn an_empty_section_hides_nothing() {
    let expected = parse("elasticsearch.host: https://es:9200");
    assert_eq!(
        parse("elasticsearch.host: https://es:9200\nelasticsearch:\n"),
        expected
    );
    assert_eq!(
        parse("elasticsearch:\nelasticsearch.host: https://es:9200\n"),
        expected
    );
}

#[test]
fn of_a_key_given_twice_the_later_counts_with_a_warning() {
    for text in [
        "service:\n  idling: 1\n  idling: 2\n",
        "service:\n  idling: 1\nservice.idling: 2\n",
        "service.idling: 1\nservice:\n  idling: 2\n",
        "service.idling: 1\nservice.idling: 2\n",
    ] {
        let parsed = super::try_parse(text).unwrap();
        assert_eq!(parsed.config.service.idling.as_secs(), 2, "{text}");
        assert_eq!(parsed.warnings.len(), 1, "{:?}", parsed.warnings);
        assert!(
            parsed.warnings[0].starts_with("service.idling is given twice, on lines"),
            "{:?}",
            parsed.warnings
        );
    }
}

#[test]
fn a_section_given_twice_is_the_later_one_as_in_pyyaml() {
    let text = "service:\n  idling: 1\nservice:\n  heartbeat: 2\n";
    let parsed = super::try_parse(text).unwrap();
    assert_eq!(parsed.config.service.idling.as_secs(), 30);
    assert_eq!(parsed.config.service.heartbeat.as_secs(), 2);
    assert_eq!(
        parsed.warnings,
        ["service is given twice, on lines 1 and 3; the one on line 3 counts"]
    );
}

#[test]
fn source_options_become_json() {
    let text = "sources:\n  postgresql:\n    fetch_size: 50\n    tables: [a, 'b', 3]\n    on: yes\n  mongodb: connectors.sources.mongo:MongoDataSource\nsources.postgresql.deep.er: 1.5\n";
    let config = parse(text);
    assert_eq!(
        serde_json::Value::Object(config.source_options("postgresql").0),
        json!({"fetch_size": 50, "tables": ["a", "b", 3], "on": true, "deep": {"er": 1.5}})
    );
    assert!(config.source_options("mongodb").0.is_empty());
    assert!(!format!("{config:?}").contains("50"), "{config:?}");
}

#[test]
fn unknown_keys_are_silent_unless_they_look_like_known_ones() {
    parse("kibana.host: x\nservice:\n  flavour: y\nmy_section: {host: z}\n");
    for (text, expected) in [
        ("elasticsearch.hots: x", "did you mean elasticsearch.host?"),
        (
            "elasticsearch:\n  pasword: x",
            "did you mean elasticsearch.password?",
        ),
        ("elasticserch.host: http://x", "did you mean elasticsearch?"),
        (
            "elasticsearch.bluk.chunk_size: 1",
            "did you mean elasticsearch.bulk?",
        ),
        (
            "service.log-level: DEBUG",
            "did you mean service.log_level?",
        ),
        ("service.idlling: 1", "did you mean service.idling?"),
        (
            "chunk_size: 1",
            "did you mean elasticsearch.bulk.chunk_size?",
        ),
        ("bulk: {chunk_size: 1}", "did you mean elasticsearch.bulk?"),
        (
            "connectors: [{connector_id: a, service_type: b, api_kye: c}]",
            "did you mean connectors[0].api_key?",
        ),
    ] {
        let warnings = warnings(text);
        assert_eq!(warnings.len(), 1, "{text}: {warnings:?}");
        assert!(warnings[0].contains(expected), "{text}: {warnings:?}");
        assert!(warnings[0].contains("(line "), "{text}: {warnings:?}");
    }
}
