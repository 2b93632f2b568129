use serde_json::json;

use super::*;
use crate::{Connector, filtering::FilteringValidation};
use tributary_sdk::rules::RuleProblem;

const NOW: &str = "2026-11-25T07:02:41.123456+00:00";

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_590_161, 123_456_000).unwrap()
}

fn map(value: Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap()
}

fn counters() -> JobCounters {
    JobCounters {
        deleted_document_count: 2,
        indexed_document_count: 40,
        indexed_document_volume: 7,
    }
}

/// The whole document, nothing more and nothing less.
#[track_caller]
fn check(partial: Partial, expected: Value) {
    assert_eq!(Value::Object(partial), expected);
}

#[test]
fn heartbeats() {
    check(heartbeat(now()), json!({"last_seen": NOW}));
    check(job_heartbeat(now()), json!({"last_seen": NOW}));
}

#[test]
fn prepare() {
    let configuration = map(json!({"host": {"value": ""}}));
    check(
        default_configuration(configuration.clone()),
        json!({"configuration": {"host": {"value": ""}}, "status": "needs_configuration"}),
    );
    check(
        repaired_configuration(configuration),
        json!({"configuration": {"host": {"value": ""}}}),
    );
    check(
        service_type("postgresql"),
        json!({"service_type": "postgresql"}),
    );
    let declared = Features::declared(tributary_sdk::Features {
        document_level_security: true,
        incremental: false,
        basic_rules: true,
        advanced_rules: true,
    });
    check(
        features(&declared),
        json!({"features": {
            "document_level_security": {"enabled": true},
            "incremental_sync": {"enabled": false},
            "sync_rules": {"advanced": {"enabled": true}, "basic": {"enabled": true}}
        }}),
    );
}

#[test]
fn status_of_the_connector() {
    check(connected(), json!({"status": "connected", "error": null}));
    check(
        connector_error("no route"),
        json!({"status": "error", "error": "no route"}),
    );
}

#[test]
fn scheduled_and_started() {
    check(
        sync_scheduled(JobType::Full, now()),
        json!({"last_sync_scheduled_at": NOW}),
    );
    check(
        sync_scheduled(JobType::Incremental, now()),
        json!({"last_incremental_sync_scheduled_at": NOW}),
    );
    check(
        sync_scheduled(JobType::AccessControl, now()),
        json!({"last_access_control_sync_scheduled_at": NOW}),
    );
    for job_type in [JobType::Full, JobType::Incremental] {
        check(
            sync_started(job_type),
            json!({
                "status": "connected", "error": null,
                "last_sync_status": "in_progress", "last_sync_error": null
            }),
        );
    }
    check(
        sync_started(JobType::AccessControl),
        json!({
            "status": "connected", "error": null,
            "last_access_control_sync_status": "in_progress",
            "last_access_control_sync_error": null
        }),
    );
}

#[test]
fn claim_and_stats() {
    check(
        job_claimed("worker-1", None, None, None, now()),
        json!({
            "status": "in_progress", "started_at": NOW, "last_seen": NOW,
            "worker_hostname": "worker-1"
        }),
    );
    check(
        job_claimed(
            "worker-1",
            Some(&json!({"page": 2})),
            Some(&json!({"old": 1})),
            Some(&map(json!({"tributary": {"lease": {"nonce": "n"}}}))),
            now(),
        ),
        json!({
            "status": "in_progress", "started_at": NOW, "last_seen": NOW,
            "worker_hostname": "worker-1", "connector": {"sync_cursor": {"page": 2, "old": null}},
            "metadata": {"tributary": {"lease": {"nonce": "n"}}}
        }),
    );
    check(
        job_stats(counters(), None, now()),
        json!({
            "deleted_document_count": 2, "indexed_document_count": 40,
            "indexed_document_volume": 7, "last_seen": NOW
        }),
    );
    let metadata = map(json!({"tributary": {"gaps": 1}}));
    assert_eq!(
        job_stats(counters(), Some(&metadata), now())["metadata"],
        json!(metadata)
    );
}

#[test]
fn ends_of_a_job() {
    let metadata = map(json!({"gaps": 0}));
    let end = JobEnd {
        counters: Some(counters()),
        total_document_count: Some(1_234),
        metadata: Some(&metadata),
    };
    check(
        job_completed(end, now()),
        json!({
            "status": "completed", "error": null, "last_seen": NOW, "completed_at": NOW,
            "deleted_document_count": 2, "indexed_document_count": 40,
            "indexed_document_volume": 7, "total_document_count": 1234, "metadata": {"gaps": 0}
        }),
    );
    let unknown = JobEnd::default();
    check(
        job_failed("Timeout: no answer", unknown, now()),
        json!({
            "status": "error", "error": "Timeout: no answer", "last_seen": NOW,
            "completed_at": NOW
        }),
    );
    check(
        job_canceled(unknown, now()),
        json!({
            "status": "canceled", "error": null, "last_seen": NOW, "canceled_at": NOW,
            "completed_at": NOW
        }),
    );
    check(
        job_suspended(unknown, now()),
        json!({"status": "suspended", "error": null, "last_seen": NOW}),
    );
}

#[test]
fn requests_to_cancel() {
    for waiting in [JobStatus::Pending, JobStatus::Suspended] {
        check(
            cancel_requested(waiting, now()).unwrap(),
            json!({
                "status": "canceled", "cancelation_requested_at": NOW, "canceled_at": NOW,
                "completed_at": NOW
            }),
        );
    }
    check(
        cancel_requested(JobStatus::InProgress, now()).unwrap(),
        json!({"status": "canceling", "cancelation_requested_at": NOW}),
    );
    for over in [
        JobStatus::Canceling,
        JobStatus::Canceled,
        JobStatus::Completed,
        JobStatus::Error,
    ] {
        assert!(cancel_requested(over, now()).is_err(), "{over}");
    }
}

#[test]
fn ends_of_a_sync() {
    let cursor = json!({"site": "b"});
    let stored = json!({"site": "a", "drive": "x"});
    let end = SyncEnd {
        job_type: JobType::Full,
        status: JobStatus::Completed,
        error: None,
        counters: Some(counters()),
        sync_cursor: Some(&cursor),
        stored_cursor: Some(&stored),
    };
    check(
        sync_ended(end, now()),
        json!({
            "status": "connected", "error": null, "last_seen": NOW, "last_synced": NOW,
            "last_sync_status": "completed", "last_sync_error": null,
            "last_deleted_document_count": 2, "last_indexed_document_count": 40,
            "sync_cursor": {"site": "b", "drive": null}
        }),
    );
    check(
        sync_ended(
            SyncEnd {
                status: JobStatus::Error,
                error: Some("E: x"),
                ..end
            },
            now(),
        ),
        json!({
            "status": "error", "error": "E: x", "last_seen": NOW, "last_synced": NOW,
            "last_sync_status": "error", "last_sync_error": "E: x",
            "last_deleted_document_count": 2, "last_indexed_document_count": 40
        }),
    );
    check(
        sync_ended(
            SyncEnd {
                status: JobStatus::Suspended,
                counters: None,
                ..end
            },
            now(),
        ),
        json!({
            "status": "connected", "error": null, "last_seen": NOW, "last_synced": NOW,
            "last_sync_status": "suspended", "last_sync_error": null
        }),
    );
    // Neither counters nor cursor of an identities job are the connector's.
    check(
        sync_ended(
            SyncEnd {
                job_type: JobType::AccessControl,
                ..end
            },
            now(),
        ),
        json!({
            "status": "connected", "error": null, "last_seen": NOW, "last_synced": NOW,
            "last_access_control_sync_status": "completed",
            "last_access_control_sync_error": null
        }),
    );
}

#[test]
fn a_valid_draft_becomes_active_and_nothing_else_changes() {
    let draft = json!({
        "advanced_snippet": {"created_at": "t", "updated_at": "t", "value": [{"query": "x"}]},
        "rules": [{"id": "1", "policy": "exclude", "odd": {"kept": true}}],
        "validation": {"state": "edited", "errors": []}
    });
    let active = json!({"rules": [], "validation": {"state": "valid", "errors": []}});
    let source = map(json!({
        "filtering": [{"domain": "DEFAULT", "active": active, "draft": draft}, {"domain": "B"}]
    }));
    let filtering = Connector::from_source("c", &source).unwrap().filtering;
    assert!(filtering.needs_validation());

    let mut valid = draft.clone();
    valid["validation"] = json!({"state": "valid", "errors": []});
    check(
        filtering_validated(&filtering, &FilteringValidation::of(Vec::new())),
        json!({"filtering": [{"domain": "DEFAULT", "active": valid, "draft": valid}, {"domain": "B"}]}),
    );

    let problem = RuleProblem {
        ids: vec!["1".into()],
        messages: vec!["No.".into()],
    };
    let mut invalid = draft;
    invalid["validation"] =
        json!({"state": "invalid", "errors": [{"ids": ["1"], "messages": ["No."]}]});
    check(
        filtering_validated(&filtering, &FilteringValidation::of(vec![problem])),
        json!({"filtering": [{"domain": "DEFAULT", "active": active, "draft": invalid}, {"domain": "B"}]}),
    );
}

#[test]
fn what_cannot_be_stored_is_cut() {
    let long = "é".repeat(20_000);
    let error = connector_error(&long)["error"].as_str().unwrap().to_owned();
    assert!(
        error.len() <= ERROR_LIMIT && error.ends_with("é …"),
        "{} bytes",
        error.len()
    );
    let many = JobCounters {
        indexed_document_count: 3_000_000_000,
        ..JobCounters::default()
    };
    assert_eq!(
        job_stats(many, None, now())["indexed_document_count"],
        json!(2_147_483_647)
    );
}

/// Merges as Elasticsearch does.
fn merge(stored: &mut Value, doc: &Value) {
    match (stored, doc) {
        (Value::Object(stored), Value::Object(doc)) => {
            for (key, value) in doc {
                merge(stored.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (stored, doc) => *stored = doc.clone(),
    }
}

fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(map) => map
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(key, value)| (key.clone(), without_nulls(value)))
            .collect::<Map<_, _>>()
            .into(),
        other => other.clone(),
    }
}

mod replaced {
    use proptest::prelude::*;

    use super::*;

    fn cursor() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<u8>().prop_map(Value::from),
            "[a-z]{0,3}".prop_map(Value::from),
            prop::collection::vec(any::<u8>(), 0..3).prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop::collection::vec(("[a-c]", inner), 0..4)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect()))
        })
    }

    proptest! {
        #[test]
        fn nothing_of_the_old_cursor_is_left(old in cursor(), new in cursor()) {
            let mut stored = old.clone();
            merge(&mut stored, &replacing(Some(&old), &new));
            prop_assert_eq!(without_nulls(&stored), without_nulls(&new));
            // Without an old one it goes in as it is.
            prop_assert_eq!(replacing(None, &new), new);
        }
    }
}
