//! Records as their several writers make them.

use chrono::{DateTime, Utc};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::{
    Connector, ConnectorStatus, JobStatus, JobType, Pipeline, SyncJob, TriggerMethod,
    connector::NewConnector,
    states::ValidationState,
    sync_job::{JobCounters, NewJobError},
    timestamp,
};

const NOW: &str = "2026-11-25T07:02:41.123456+00:00";

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_590_161, 123_456_000).unwrap()
}

fn map(value: Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap()
}

fn connector(value: Value) -> Connector {
    Connector::from_source("c1", &map(value)).unwrap()
}

fn default_rules(created_at: &str) -> Value {
    json!({
        "advanced_snippet": {"created_at": created_at, "updated_at": created_at, "value": {}},
        "rules": [{
            "id": "DEFAULT", "policy": "include", "field": "_", "rule": "regex", "value": ".*",
            "order": 0, "created_at": created_at, "updated_at": created_at
        }],
        "validation": {"errors": [], "state": "valid"}
    })
}

/// Kibana writes every key, null included.
fn made_by_kibana() -> Value {
    let rules = default_rules("2026-11-20T10:00:00.000Z");
    let off = json!({"enabled": false, "interval": "0 0 0 * * ?"});
    json!({
        "api_key_id": null, "api_key_secret_id": null, "configuration": {},
        "custom_scheduling": {}, "description": null, "error": null, "features": null,
        "filtering": [{"active": rules, "domain": "DEFAULT", "draft": rules}],
        "index_name": "search-books", "is_native": false, "language": null,
        "last_access_control_sync_error": null, "last_access_control_sync_scheduled_at": null,
        "last_access_control_sync_status": null, "last_deleted_document_count": null,
        "last_incremental_sync_scheduled_at": null, "last_indexed_document_count": null,
        "last_seen": null, "last_sync_error": null, "last_sync_scheduled_at": null,
        "last_sync_status": null, "last_synced": null, "name": "books",
        "pipeline": {
            "extract_binary_content": true, "name": "search-default-ingestion",
            "reduce_whitespace": true, "run_ml_inference": false
        },
        "scheduling": {"access_control": off, "full": off, "incremental": off},
        "service_type": "postgresql", "status": "created", "sync_now": false
    })
}

/// A record that has been in use: by the API, by a reference service, times of Java and of Python.
fn in_use() -> Value {
    let mut active = default_rules("2026-11-20T10:00:00.123456789Z");
    active["rules"].as_array_mut().unwrap().insert(
        0,
        json!({
            "id": "r1", "policy": "exclude", "field": "size", "rule": ">", "value": "10", "order": 1
        }),
    );
    json!({
        "id": "c1",
        "api_key_id": "key-1",
        "configuration": {"password": {"label": "Password", "sensitive": true, "value": "geheim"}},
        "custom_scheduling": {},
        "deleted": false,
        "features": {
            "document_level_security": {"enabled": false}, "incremental_sync": {"enabled": true},
            "sync_rules": {"advanced": {"enabled": true}, "basic": {"enabled": true}}
        },
        "filtering": [{
            "active": active, "domain": "DEFAULT",
            "draft": {
                "advanced_snippet": {"value": [{"tables": ["a"], "query": "SELECT 1"}]},
                "rules": [], "validation": {"state": "edited", "errors": []}
            }
        }],
        "index_name": "search-books", "is_native": false, "language": "en",
        "last_seen": "2026-11-25T07:00:00.123456+00:00",
        "last_synced": "2026-11-25T06:00:00.000000+00:00",
        "last_sync_status": "completed", "last_sync_error": null,
        "last_sync_scheduled_at": "2026-11-25T05:59:58.123Z",
        "last_access_control_sync_status": "in_progress",
        "last_indexed_document_count": 622, "last_deleted_document_count": 0,
        "name": "books",
        "scheduling": {
            "full": {"enabled": true, "interval": "0 0 3 * * ?"},
            "incremental": {"enabled": "true", "interval": ""}
        },
        "service_type": "postgresql", "status": "connected",
        "sync_cursor": {"token": "geheim"},
        "something_of_the_future": {"deep": [1, 2]}
    })
}

#[test]
fn a_connector_made_by_kibana() {
    let read = connector(made_by_kibana());
    assert_eq!(read.status, ConnectorStatus::Created);
    assert!(!read.is_gate_open() && !read.deleted && read.features.is_none());
    assert_eq!(read.index_name.as_deref(), Some("search-books"));
    assert_eq!(
        read.pipeline,
        Some(Pipeline {
            run_ml_inference: false,
            ..Pipeline::default()
        })
    );
    assert_eq!(read.filtering.active.rules.len(), 1);
    assert!(read.filtering.active.rules[0].is_default());
    assert_eq!(read.filtering.active.advanced(), None);
    assert!(!read.filtering.needs_validation());
    assert!(
        JobType::ALL
            .iter()
            .all(|job_type| !read.scheduling.of(*job_type).enabled)
    );
    assert!(read.is_heartbeat_due(std::time::Duration::from_secs(300), now()));
}

#[test]
fn a_connector_in_use() {
    let read = connector(in_use());
    assert!(read.is_gate_open());
    assert_eq!(
        read.last_status(JobType::Incremental),
        Some(JobStatus::Completed)
    );
    assert!(read.is_syncing(JobType::AccessControl) && !read.is_syncing(JobType::Full));
    assert_eq!(
        read.last_scheduled_at(JobType::Full)
            .map(timestamp::to_text)
            .as_deref(),
        Some("2026-11-25T05:59:58.123000+00:00")
    );
    assert_eq!(read.last_scheduled_at(JobType::Incremental), None);
    assert_eq!(read.last_indexed_document_count, Some(622));
    assert_eq!(read.pipeline, None);
    let features = read.features.as_ref().unwrap();
    assert!(features.incremental_sync() && !features.document_level_security());
    assert_eq!(read.scheduling.of(JobType::Full).interval, "0 0 3 * * ?");
    assert!(read.scheduling.of(JobType::Incremental).enabled);
    assert_eq!(
        read.scheduling.of(JobType::Incremental).interval,
        "0 0 0 * * ?"
    );
    assert_eq!(read.filtering.active.rules[0].id, "r1");
    assert_eq!(
        read.filtering.draft.advanced(),
        Some(&json!([{"tables": ["a"], "query": "SELECT 1"}]))
    );
    assert_eq!(
        read.filtering.draft.validation.state,
        ValidationState::Edited
    );

    let five_minutes = std::time::Duration::from_secs(300);
    assert!(!read.is_heartbeat_due(five_minutes, now()));
    assert!(read.is_heartbeat_due(five_minutes, now() + chrono::Duration::seconds(300)));

    // The API's form, with the id in it.
    assert_eq!(serde_json::from_value::<Connector>(in_use()).unwrap(), read);
}

#[test]
fn neither_secrets_nor_cursors_are_shown() {
    let read = connector(in_use());
    let job = SyncJob::new_document(&read, JobType::Full, TriggerMethod::OnDemand, now()).unwrap();
    let job = SyncJob::from_source("j1", &job).unwrap();
    assert!(!format!("{read:?} {job:?} {:?}", job.connector).contains("geheim"));
}

#[test]
fn almost_nothing_is_enough() {
    let read = connector(json!({}));
    assert_eq!(read.status, ConnectorStatus::Created);
    assert_eq!(read.service_type, None);
    assert!(connector(json!({"status": "configured"})).is_gate_open());
    assert!(!connector(json!({"status": "configured", "deleted": true})).is_gate_open());
    assert_eq!(read.filtering.active.advanced(), None);
    assert_eq!(read.filtering.snapshot()["rules"], json!([]));
    // One object where a list should be, and empty texts.
    let read = connector(json!({
        "filtering": {"active": {"rules": [{"id": "a"}]}}, "index_name": "", "service_type": " ",
        "features": {}, "pipeline": {"name": "mine"}, "status": "CONNECTED", "last_synced": 0
    }));
    assert_eq!(read.filtering.active.rules.len(), 1);
    assert_eq!(
        (read.index_name.as_ref(), read.service_type.as_ref()),
        (None, None)
    );
    assert_eq!(read.pipeline, Some(Pipeline::named("mine")));
    assert_eq!(read.status, ConnectorStatus::Connected);
    assert_eq!(read.last_synced, DateTime::from_timestamp(0, 0));
}

#[test]
fn a_wrong_type_is_an_error_that_names_it() {
    for (source, message) in [
        (
            json!({"scheduling": {"full": {"enabled": [true]}}}),
            "connector 'c1': 'scheduling.full.enabled' must be true or false, but is a list",
        ),
        (
            json!({"status": "paused"}),
            "connector 'c1': 'status' is 'paused', but must be one of created, \
             needs_configuration, configured, connected, error",
        ),
        (
            json!({"configuration": "geheim"}),
            "connector 'c1': 'configuration' must be an object, but is text that is none",
        ),
        (
            json!({"filtering": [[]]}),
            "connector 'c1': 'filtering' must be a list of objects, or one object",
        ),
        (
            json!({"filtering": [{"draft": {"rules": {}}}]}),
            "connector 'c1': 'filtering.draft.rules' must be a list, but is an object",
        ),
        (
            json!({"last_seen": "yesterday"}),
            "connector 'c1': 'last_seen' must be an ISO 8601 date, but is text that is none",
        ),
        (
            json!({"last_indexed_document_count": -1}),
            "connector 'c1': 'last_indexed_document_count' must be a whole number from 0, but is \
             a number",
        ),
    ] {
        let error = Connector::from_source("c1", &map(source)).unwrap_err();
        assert_eq!(error.to_string(), message);
    }
}

#[test]
fn a_new_connector_document() {
    let new = NewConnector {
        index_name: Some("search-books"),
        service_type: Some("dir"),
        ..NewConnector::default()
    };
    let document = Connector::new_document(&new, now());
    let rules = default_rules(NOW);
    let off = json!({"enabled": false, "interval": "0 0 0 * * ?"});
    assert_eq!(
        Value::Object(document.clone()),
        json!({
            "configuration": {}, "custom_scheduling": {}, "deleted": false,
            "filtering": [{"active": rules, "domain": "DEFAULT", "draft": rules}],
            "index_name": "search-books", "is_native": false, "language": null,
            "last_access_control_sync_error": null,
            "last_access_control_sync_scheduled_at": null,
            "last_access_control_sync_status": null, "last_deleted_document_count": null,
            "last_incremental_sync_scheduled_at": null, "last_indexed_document_count": null,
            "last_sync_error": null, "last_sync_scheduled_at": null, "last_sync_status": null,
            "last_synced": null, "name": "",
            "scheduling": {"access_control": off, "full": off, "incremental": off},
            "service_type": "dir", "status": "created", "sync_now": false
        })
    );
    let read = Connector::from_source("c1", &document).unwrap();
    assert_eq!(read.status, ConnectorStatus::Created);
    assert!(read.filtering.active.rules[0].is_default());

    let native = NewConnector {
        is_native: true,
        ..NewConnector::default()
    };
    assert_eq!(
        Connector::new_document(&native, now())["status"],
        "needs_configuration"
    );
}

#[test]
fn a_new_job_document() {
    let read = connector(in_use());
    let document =
        SyncJob::new_document(&read, JobType::Incremental, TriggerMethod::Scheduled, now())
            .unwrap();
    assert_eq!(
        Value::Object(document.clone()),
        json!({
            "connector": {
                "configuration": in_use()["configuration"],
                "filtering": in_use()["filtering"][0]["active"],
                "id": "c1", "index_name": "search-books", "language": "en",
                "service_type": "postgresql"
            },
            "created_at": NOW, "deleted_document_count": 0, "indexed_document_count": 0,
            "indexed_document_volume": 0, "job_type": "incremental", "last_seen": NOW,
            "status": "pending", "total_document_count": 0, "trigger_method": "scheduled"
        })
    );
    let job = SyncJob::from_source("j1", &document).unwrap();
    assert_eq!(
        (job.status, job.job_type),
        (JobStatus::Pending, JobType::Incremental)
    );
    assert_eq!(job.trigger_method, TriggerMethod::Scheduled);
    assert_eq!(job.connector.filtering.rules, read.filtering.active.rules);
    assert_eq!(job.connector.pipeline, Pipeline::default());
    assert_eq!(job.created_at, Some(now()));

    let identities = SyncJob::new_document(
        &read,
        JobType::AccessControl,
        TriggerMethod::OnDemand,
        now(),
    )
    .unwrap();
    assert_eq!(
        identities["connector"]["index_name"],
        ".search-acl-filter-search-books"
    );

    let mut bare = read.clone();
    bare.service_type = None;
    let refused = SyncJob::new_document(&bare, JobType::Full, TriggerMethod::OnDemand, now());
    assert_eq!(refused, Err(NewJobError::NoServiceType("c1".into())));
    bare.index_name = None;
    let refused = SyncJob::new_document(&bare, JobType::Full, TriggerMethod::OnDemand, now());
    assert_eq!(refused, Err(NewJobError::NoIndex("c1".into())));
}

#[test]
fn a_job_of_another_service() {
    let active = &in_use()["filtering"][0]["active"];
    for filtering in [
        active.clone(),
        json!([active]),
        json!([{"domain": "DEFAULT", "active": active, "draft": {}}]),
    ] {
        let job: SyncJob = serde_json::from_value(json!({
            "id": "j9",
            "connector": {
                "id": "c1", "filtering": filtering, "index_name": "search-books", "pipeline": null,
                "service_type": "postgresql", "configuration": {}, "sync_cursor": {"a": 1}
            },
            "created_at": "2026-11-25T07:00:00Z", "started_at": "2026-11-25T07:00:05Z",
            "last_seen": "2026-11-25T07:01:00Z", "status": "in_progress", "trigger_method": null,
            "indexed_document_count": 12, "indexed_document_volume": 1.0, "error": null,
            "worker_hostname": "other", "metadata": {"x": 1}
        }))
        .unwrap();
        assert_eq!(job.id, "j9");
        assert_eq!(job.job_type, JobType::Full);
        assert_eq!(job.trigger_method, TriggerMethod::OnDemand);
        assert_eq!(job.connector.filtering.rules.len(), 2, "{filtering}");
        assert_eq!(job.connector.filtering.rules[0].id, "r1");
        assert_eq!(
            job.counters,
            JobCounters {
                deleted_document_count: 0,
                indexed_document_count: 12,
                indexed_document_volume: 1
            }
        );
        assert!(!job.is_idle(now()));
        assert!(job.is_idle(now() + chrono::Duration::seconds(300)));
    }
}

#[test]
fn a_volume_is_in_mebibytes() {
    let volume = |bytes| JobCounters::of_bytes(1, bytes, 2).indexed_document_volume;
    let volumes = [0, 524_287, 524_288, 1_572_863, 1_572_864, u64::MAX].map(volume);
    assert_eq!(volumes, [0, 0, 1, 1, 2, 1 << 44]);
    let counters = JobCounters::of_bytes(1, 0, 2);
    assert_eq!(
        (
            counters.indexed_document_count,
            counters.deleted_document_count
        ),
        (1, 2)
    );
}

#[test]
fn only_a_running_job_is_idle() {
    for status in JobStatus::ALL {
        let job = map(json!({"status": status, "created_at": "2020-01-01T00:00:00Z"}));
        let job = SyncJob::from_source("j1", &job).unwrap();
        assert_eq!(job.is_idle(now()), status.is_active(), "{status}");
    }
    let error = SyncJob::from_source("j1", &Map::new()).unwrap_err();
    assert_eq!(error.property, "status");
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
        Just(json!("in_progress")),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        let key = prop_oneof![
            Just("active"),
            Just("draft"),
            Just("rules"),
            Just("validation"),
            Just("state"),
            Just("full"),
            Just("enabled"),
            Just("interval"),
            Just("filtering"),
            Just("errors"),
            Just("advanced_snippet"),
            Just("value"),
            Just("pipeline"),
            Just("id")
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((key, inner), 0..4).prop_map(|pairs| {
                Value::Object(
                    pairs
                        .into_iter()
                        .map(|(key, value)| (key.into(), value))
                        .collect(),
                )
            }),
        ]
    })
}

proptest! {
    /// One property of a good record replaced by anything: it is read, or the error names the property.
    #[test]
    fn an_odd_property_is_read_or_named(index in any::<prop::sample::Index>(), odd in any_json()) {
        let mut source = map(in_use());
        let keys: Vec<String> = source.keys().cloned().collect();
        let key = index.get(&keys);
        source.insert(key.clone(), odd);
        if let Err(error) = Connector::from_source("c1", &source) {
            prop_assert!(error.property.starts_with(key.as_str()), "{} of {}", error, key);
        }
    }

    #[test]
    fn an_odd_job_is_read_or_refused(odd in any_json(), connector in any_json()) {
        let source = map(json!({"status": odd, "connector": connector, "metadata": odd}));
        let _ = SyncJob::from_source("j1", &source);
    }
}
