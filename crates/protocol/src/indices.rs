//! Names and bodies of the protocol's indices.
//!
//! Elasticsearch from 8.10 brings index templates for them, and creates them as soon as something is
//! written. The bodies here are for servers without those templates.

use serde_json::{Value, json};

/// The alias of the connector index; what a service reads and writes.
pub const CONNECTORS_ALIAS: &str = ".elastic-connectors";
/// The connector index.
pub const CONNECTORS_INDEX: &str = ".elastic-connectors-v1";
/// The alias of the sync-job index; what a service reads and writes.
pub const SYNC_JOBS_ALIAS: &str = ".elastic-connectors-sync-jobs";
/// The sync-job index.
pub const SYNC_JOBS_INDEX: &str = ".elastic-connectors-sync-jobs-v1";
/// The index of our own records (DESIGN §6). The name lies within what the API key that Kibana makes for
/// a service may create and write.
pub const LEDGER_INDEX: &str = ".elastic-connectors-tributary-1";
/// What the names of identity indices begin with.
pub const ACCESS_CONTROL_INDEX_PREFIX: &str = ".search-acl-filter-";

/// The index of the identities that belongs to a content index.
pub fn access_control_index_name(index_name: &str) -> String {
    format!("{ACCESS_CONTROL_INDEX_PREFIX}{index_name}")
}

/// The body that creates the connector index, with its alias.
pub fn connectors_index_body() -> Value {
    let schedule = json!({"properties": {"enabled": boolean(), "interval": text()}});
    let feature = json!({"properties": {"enabled": boolean()}});
    let mut rules = rules_properties();
    rules["advanced_snippet"] = json!({"properties": {
        "created_at": date(), "updated_at": date(), "value": object()
    }});
    let rules = json!({"properties": rules});
    json!({
        "aliases": {CONNECTORS_ALIAS: {}},
        "settings": protocol_settings(),
        "mappings": {
            "dynamic": "false",
            "_meta": {
                "pipeline": {
                    "default_name": crate::pipeline::DEFAULT_PIPELINE,
                    "default_extract_binary_content": true,
                    "default_reduce_whitespace": true,
                    "default_run_ml_inference": true
                },
                "version": 1
            },
            "properties": {
                "api_key_id": keyword(),
                "api_key_secret_id": keyword(),
                "configuration": object(),
                "connector_id": keyword(),
                "custom_scheduling": object(),
                "deleted": boolean(),
                "description": text(),
                "error": keyword(),
                "features": {"properties": {
                    "filtering_advanced_config": boolean(),
                    "filtering_rules": boolean(),
                    "incremental_sync": feature,
                    "sync_rules": {"properties": {"advanced": feature, "basic": feature}}
                }},
                "filtering": {"properties": {
                    "active": rules, "domain": keyword(), "draft": rules
                }},
                "index_name": keyword(),
                "is_native": boolean(),
                "language": keyword(),
                "last_access_control_sync_error": keyword(),
                "last_access_control_sync_scheduled_at": date(),
                "last_access_control_sync_status": keyword(),
                "last_deleted_document_count": {"type": "long"},
                "last_incremental_sync_scheduled_at": date(),
                "last_indexed_document_count": {"type": "long"},
                "last_seen": date(),
                "last_sync_error": keyword(),
                "last_sync_scheduled_at": date(),
                "last_sync_status": keyword(),
                "last_synced": date(),
                "name": keyword(),
                "pipeline": {"properties": {
                    "extract_binary_content": boolean(),
                    "name": keyword(),
                    "reduce_whitespace": boolean(),
                    "run_ml_inference": boolean()
                }},
                "scheduling": {"properties": {
                    "access_control": schedule, "full": schedule, "incremental": schedule
                }},
                "service_type": keyword(),
                "status": keyword(),
                "sync_cursor": object(),
                "sync_now": boolean()
            }
        }
    })
}

/// The body that creates the sync-job index, with its alias.
pub fn sync_jobs_index_body() -> Value {
    let mut filtering = rules_properties();
    filtering["advanced_snippet"] = json!({"properties": {
        "created_at": date(), "updated_at": date(), "value": object()
    }});
    filtering["domain"] = keyword();
    filtering["warnings"] = json!({"properties": {"ids": keyword(), "messages": text()}});
    json!({
        "aliases": {SYNC_JOBS_ALIAS: {}},
        "settings": protocol_settings(),
        "mappings": {
            "dynamic": "false",
            "_meta": {"version": 1},
            "properties": {
                "cancelation_requested_at": date(),
                "canceled_at": date(),
                "completed_at": date(),
                "connector": {"properties": {
                    "configuration": object(),
                    "filtering": {"properties": filtering},
                    "id": keyword(),
                    "index_name": keyword(),
                    "language": keyword(),
                    "pipeline": {"properties": {
                        "extract_binary_content": boolean(),
                        "name": keyword(),
                        "reduce_whitespace": boolean(),
                        "run_ml_inference": boolean()
                    }},
                    "service_type": keyword(),
                    "sync_cursor": object()
                }},
                "created_at": date(),
                "deleted_document_count": {"type": "integer"},
                "error": keyword(),
                "indexed_document_count": {"type": "integer"},
                "indexed_document_volume": {"type": "integer"},
                "job_type": keyword(),
                "last_seen": date(),
                "metadata": object(),
                "started_at": date(),
                "status": keyword(),
                "total_document_count": {"type": "integer"},
                "trigger_method": keyword(),
                "worker_hostname": keyword()
            }
        }
    })
}

/// The body that creates an identity index, as the template of Elasticsearch says.
pub fn access_control_index_body() -> Value {
    json!({
        "settings": {"index": {
            "hidden": true, "number_of_replicas": 1, "number_of_shards": 1
        }},
        "mappings": {"dynamic": "false", "properties": {"created_at": date()}}
    })
}

/// The body that creates the index of our own records. Nothing but what is listed is indexed.
pub fn ledger_index_body() -> Value {
    // A longer term would be refused; the text is in the record all the same.
    let word = json!({"type": "keyword", "ignore_above": 1024});
    json!({
        "settings": protocol_settings(),
        "mappings": {
            "dynamic": "false",
            "_meta": {"version": 1},
            "properties": {
                "connector_id": word,
                "created_at": date(),
                "document_id": word,
                "index_name": word,
                "job_id": word,
                "outcome": keyword(),
                "record": keyword(),
                "stage": keyword()
            }
        }
    })
}

fn protocol_settings() -> Value {
    json!({"index": {"auto_expand_replicas": "0-1", "hidden": true, "number_of_shards": "1"}})
}

/// Basic rules and their validation, as both indices map them.
fn rules_properties() -> Value {
    json!({
        "rules": {"properties": {
            "created_at": date(),
            "field": keyword(),
            "id": keyword(),
            "order": {"type": "short"},
            "policy": keyword(),
            "rule": keyword(),
            "updated_at": date(),
            "value": keyword()
        }},
        "validation": {"properties": {
            "errors": {"properties": {"ids": keyword(), "messages": text()}},
            "state": keyword()
        }}
    })
}

fn boolean() -> Value {
    json!({"type": "boolean"})
}

fn date() -> Value {
    json!({"type": "date"})
}

fn keyword() -> Value {
    json!({"type": "keyword"})
}

fn object() -> Value {
    json!({"type": "object"})
}

fn text() -> Value {
    json!({"type": "text"})
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `path: type` of every mapped field.
    fn fields(body: &Value) -> Vec<String> {
        fn walk(path: &str, properties: &Value, found: &mut Vec<String>) {
            for (name, field) in properties.as_object().unwrap() {
                let path = if path.is_empty() {
                    name.clone()
                } else {
                    format!("{path}.{name}")
                };
                match field.get("properties") {
                    Some(inner) => walk(&path, inner, found),
                    None => found.push(format!("{path}: {}", field["type"].as_str().unwrap())),
                }
            }
        }
        let mut found = Vec::new();
        walk("", &body["mappings"]["properties"], &mut found);
        found.sort();
        found
    }

    #[track_caller]
    fn check_has(body: &Value, expected: &[&str]) {
        let fields = fields(body);
        for field in expected {
            assert!(
                fields.iter().any(|found| found == field),
                "{field} is not in {fields:#?}"
            );
        }
    }

    /// Types with the fields that have them; `(a|b)` stands for both.
    const CONNECTOR_FIELDS: [(&str, &str); 7] = [
        (
            "keyword",
            "api_key_id api_key_secret_id connector_id error index_name language name service_type \
             status last_sync_error last_sync_status last_access_control_sync_error \
             last_access_control_sync_status pipeline.name filtering.domain \
             filtering.(active|draft).rules.id filtering.(active|draft).rules.field \
             filtering.(active|draft).rules.policy filtering.(active|draft).rules.rule \
             filtering.(active|draft).rules.value filtering.(active|draft).validation.state \
             filtering.(active|draft).validation.errors.ids",
        ),
        (
            "text",
            "description scheduling.access_control.interval scheduling.full.interval \
             scheduling.incremental.interval filtering.(active|draft).validation.errors.messages",
        ),
        (
            "boolean",
            "deleted is_native sync_now scheduling.access_control.enabled scheduling.full.enabled \
             scheduling.incremental.enabled pipeline.extract_binary_content \
             pipeline.reduce_whitespace pipeline.run_ml_inference \
             features.filtering_advanced_config features.filtering_rules \
             features.incremental_sync.enabled features.sync_rules.basic.enabled \
             features.sync_rules.advanced.enabled",
        ),
        (
            "date",
            "last_seen last_synced last_sync_scheduled_at last_incremental_sync_scheduled_at \
             last_access_control_sync_scheduled_at filtering.(active|draft).rules.created_at \
             filtering.(active|draft).rules.updated_at \
             filtering.(active|draft).advanced_snippet.created_at \
             filtering.(active|draft).advanced_snippet.updated_at",
        ),
        (
            "long",
            "last_deleted_document_count last_indexed_document_count",
        ),
        ("short", "filtering.(active|draft).rules.order"),
        (
            "object",
            "configuration custom_scheduling sync_cursor \
             filtering.(active|draft).advanced_snippet.value",
        ),
    ];

    #[test]
    fn the_connector_index() {
        let body = connectors_index_body();
        assert_eq!(body["mappings"]["dynamic"], "false");
        assert_eq!(body["aliases"], json!({".elastic-connectors": {}}));
        assert_eq!(body["settings"]["index"]["hidden"], true);
        let mut expected: Vec<String> = CONNECTOR_FIELDS
            .into_iter()
            .flat_map(|(kind, names)| names.split_whitespace().map(move |name| (kind, name)))
            .flat_map(|(kind, name)| match name.contains('(') {
                true => ["active", "draft"]
                    .map(|set| format!("{}: {kind}", name.replace("(active|draft)", set)))
                    .to_vec(),
                false => vec![format!("{name}: {kind}")],
            })
            .collect();
        expected.sort();
        assert_eq!(fields(&body), expected);
    }

    #[test]
    fn the_sync_job_index() {
        let body = sync_jobs_index_body();
        assert_eq!(
            body["aliases"],
            json!({".elastic-connectors-sync-jobs": {}})
        );
        assert_eq!(body["settings"]["index"]["auto_expand_replicas"], "0-1");
        check_has(
            &body,
            &[
                "cancelation_requested_at: date",
                "connector.configuration: object",
                "connector.filtering.rules.value: keyword",
                "connector.filtering.warnings.messages: text",
                "connector.pipeline.run_ml_inference: boolean",
                "indexed_document_volume: integer",
                "job_type: keyword",
                "metadata: object",
            ],
        );
    }

    #[test]
    fn the_identity_index() {
        assert_eq!(
            access_control_index_name("search-books"),
            ".search-acl-filter-search-books"
        );
        assert_eq!(fields(&access_control_index_body()), ["created_at: date"]);
    }

    /// A property that is written but not mapped could not be searched for.
    #[test]
    fn everything_that_a_new_record_holds_is_mapped() {
        let now = chrono::DateTime::from_timestamp(1_795_590_161, 0).unwrap();
        let new = crate::connector::NewConnector {
            index_name: Some("search-books"),
            service_type: Some("dir"),
            description: Some("books"),
            ..Default::default()
        };
        let connector = crate::Connector::new_document(&new, now);
        let read = crate::Connector::from_source("c1", &connector).unwrap();
        let job = crate::SyncJob::new_document(
            &read,
            crate::JobType::Full,
            crate::TriggerMethod::OnDemand,
            now,
        )
        .unwrap();
        for (document, body) in [
            (connector, connectors_index_body()),
            (job, sync_jobs_index_body()),
        ] {
            for key in document.keys() {
                assert!(body["mappings"]["properties"].get(key).is_some(), "{key}");
            }
        }
    }
}
