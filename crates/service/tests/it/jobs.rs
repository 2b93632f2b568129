//! Jobs: claim, run, cancel, suspend, end.

use crate::{
    source::{Act, SOON},
    world::{Asked, World, at},
};
use serde_json::json;
use std::{sync::atomic::Ordering, time::Duration};
use tributary_protocol::{
    ConnectorStatus, JobStatus, JobType,
    records::{JobChange, Records},
};
use tributary_sdk::{ErrorKind, JobKind, Secret};
use tributary_service::Actions;

#[tokio::test(start_paused = true)]
async fn a_full_sync_leaves_the_records_of_the_protocol() {
    let mut world = World::default();
    world.connector("c", "plain");
    world
        .targets
        .index("index-c")
        .put("gone", json!({"id": "gone"}));
    world.job("j", "c", JobType::Full);
    let running = world.start();
    world.until_synced("c", JobStatus::Completed).await;

    assert_eq!(world.ids("index-c"), ["a", "b", "c"]);
    let job = world.records.job_source("j");
    assert_eq!(job["status"], "completed");
    assert_eq!(job["indexed_document_count"], 3);
    assert_eq!(job["deleted_document_count"], 1);
    assert_eq!(job["total_document_count"], 3);
    assert_eq!(job["worker_hostname"], "host-a");
    for time in ["started_at", "completed_at", "last_seen"] {
        assert!(job[time].is_string(), "{time}");
    }
    assert_eq!(at(&job, "/metadata/tributary/counters/extracted"), 3);
    let connector = world.records.connector_source("c");
    assert_eq!(connector["status"], "connected");
    assert_eq!(connector["last_sync_status"], "completed");
    assert_eq!(connector["last_indexed_document_count"], 3);
    assert_eq!(connector["last_deleted_document_count"], 1);
    assert!(connector["last_synced"].is_string());
    assert!(connector["last_sync_error"].is_null() && connector["error"].is_null());
    let document = world.targets.index("index-c").source("a").unwrap();
    assert_eq!(document["_extract_binary_content"], true);
    running.end().await.unwrap();
    assert_eq!(world.rooms_in_use(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_should_be_known_about_the_index_is_in_the_record() {
    let mut world = World::default();
    world.connector("c", "plain");
    world.targets.index("index-c").find("hardly any room");
    world.job("j", "c", JobType::Full);
    let running = world.start();
    world.until_synced("c", JobStatus::Completed).await;
    let job = world.records.job_source("j");
    let findings = at(&job, "/metadata/tributary/findings");
    assert_eq!(*findings, json!(["hardly any room"]));
    running.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn pipeline_and_own_key_reach_the_content_index_only() {
    let mut world = World::default();
    let behaviour = world.connector("c", "rich");
    world.config.connectors[0].api_key = Some(Secret::new("own-key"));
    let pipeline = json!({
        "pipeline": {"name": "mine", "extract_binary_content": false, "reduce_whitespace": true, "run_ml_inference": false},
        "configuration": {"use_document_level_security": {"value": true}}
    });
    world.records.state().merge_connector("c", pipeline);
    world.job("full", "c", JobType::Full);
    world.job("people", "c", JobType::AccessControl);
    let running = world.start();
    world.until_job("full", JobStatus::Completed).await;
    world.until_job("people", JobStatus::Completed).await;

    let mut asked = world.targets.asked.lock().unwrap().clone();
    asked.sort_by(|a, b| a.index.cmp(&b.index));
    let ask = |index: &str, api_key: Option<&str>| Asked {
        index: index.into(),
        pipeline: "mine".into(),
        api_key: api_key.map(Into::into),
    };
    let people = ".search-acl-filter-index-c";
    assert_eq!(asked, [ask(people, None), ask("index-c", Some("own-key"))]);
    let document = world.targets.index("index-c").source("a").unwrap();
    assert_eq!(document["_extract_binary_content"], false);
    assert_eq!(document["_reduce_whitespace"], true);
    assert_eq!(world.ids(people), ["a", "b", "c"]);
    let person = world.targets.index(people).source("a").unwrap();
    assert!(person.get("_reduce_whitespace").is_none());
    let runs = behaviour.seen_runs.lock().unwrap().clone();
    let full = runs.iter().find(|run| run.kind == JobKind::Full).unwrap();
    assert!(full.access && !full.content);
    let connector = world.records.connector_source("c");
    assert_eq!(connector["last_access_control_sync_status"], "completed");
    assert_eq!(connector["last_sync_status"], "completed");
    running.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn kinds_that_a_source_lacks_end_with_a_clear_error() {
    let mut world = World::default();
    world.connector("c", "plain");
    world.job("people", "c", JobType::AccessControl);
    world.job("changes", "c", JobType::Incremental);
    let running = world.start();
    world.until_job("people", JobStatus::Error).await;
    world.until_job("changes", JobStatus::Error).await;
    let error = world.records.read_job("people").error.unwrap();
    assert_eq!(
        error,
        "Unsupported: the service type 'plain' has no document-level security; start a full sync instead"
    );
    let error = world.records.read_job("changes").error.unwrap();
    assert!(error.contains("has no incremental syncs"), "{error}");
    running.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_incremental_job_takes_the_cursor_along() {
    let mut world = World::default();
    world.connector("c", "rich");
    world
        .records
        .state()
        .merge_connector("c", json!({"sync_cursor": {"at": 7}}));
    world.job("changes", "c", JobType::Incremental);
    world.job("full", "c", JobType::Full);
    let running = world.start();
    world.until_job("full", JobStatus::Completed).await;
    let cursor = |id| world.records.read_job(id).connector.sync_cursor;
    assert_eq!(cursor("changes"), Some(json!({"at": 7})));
    assert_eq!(cursor("full"), None);
    running.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_failed_sync_says_so_in_both_records() {
    let mut world = World::default();
    let behaviour = world.connector("c", "plain");
    *behaviour.walk.lock().unwrap() =
        Act::Fail(ErrorKind::Unauthorised, "the password was changed");
    world.job("j", "c", JobType::Full);
    let running = world.start();
    world.until_synced("c", JobStatus::Error).await;
    let job = world.records.read_job("j");
    assert_eq!(job.status, JobStatus::Error);
    let error = job.error.unwrap();
    assert!(error.contains("the password was changed"), "{error}");
    assert!(error.split_once(": ").is_some(), "{error}");
    let connector = world.records.read_connector("c");
    assert_eq!(connector.last_sync_error, Some(error));
    assert_eq!(connector.status, ConnectorStatus::Error);
    running.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_warning_is_a_completed_job_that_says_what_was_not_read() {
    let mut world = World::default();
    let behaviour = world.connector("c", "plain");
    *behaviour.denied.lock().unwrap() = true;
    world.job("j", "c", JobType::Full);
    let running = world.start();
    world.until_synced("c", JobStatus::Completed).await;
    let job = world.records.job_source("j");
    assert!(job["error"].is_null());
    let ours = at(&job, "/metadata/tributary");
    assert!(ours["warning"].is_string(), "{ours}");
    assert_eq!(at(ours, "/gaps/count"), 1);
    assert_eq!(at(ours, "/gaps/first/0/scope"), "folder/secret");
    assert_eq!(at(ours, "/gaps/first/0/kind"), "forbidden");
    running.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_panic_ends_its_job_and_nothing_else() {
    let mut world = World::default();
    let walks = world.connector("walks", "plain");
    let builds = world.connector("builds", "plain");
    world.connector("good", "plain");
    *walks.walk.lock().unwrap() = Act::Panic;
    *builds.build_panics.lock().unwrap() = true;
    for id in ["walks", "builds", "good"] {
        world.job(id, id, JobType::Full);
    }
    let running = world.start();
    world.until_job("good", JobStatus::Completed).await;
    world.until_job("walks", JobStatus::Error).await;
    world.until_job("builds", JobStatus::Error).await;
    for id in ["walks", "builds"] {
        world.until_synced(id, JobStatus::Error).await;
        let error = world.records.read_job(id).error.unwrap();
        assert!(
            error.contains("scripted panic") || error.contains("panicked"),
            "{error}"
        );
    }
    running.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn progress_is_in_the_record_while_the_job_runs() {
    let mut world = World::default();
    let behaviour = world.connector("c", "plain");
    behaviour.open.send_replace(false);
    world.job("j", "c", JobType::Full);
    let running = world.start();
    world
        .until("two documents are counted", |records| {
            records.read_job("j").counters.indexed_document_count == 2
        })
        .await;
    let seen = world.records.read_job("j").last_seen;
    tokio::time::sleep(Duration::from_secs(21)).await;
    assert!(world.records.read_job("j").last_seen > seen);
    assert_eq!(
        world.records.read_connector("c").last_sync_status,
        Some(JobStatus::InProgress)
    );
    behaviour.open.send_replace(true);
    world.until_job("j", JobStatus::Completed).await;
    running.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_cancel_is_carried_out_within_ten_seconds() {
    let mut world = World::default();
    let behaviour = world.connector("c", "plain");
    behaviour.open.send_replace(false);
    world.job("j", "c", JobType::Full);
    let running = world.start();
    world.until_job("j", JobStatus::InProgress).await;
    tokio::time::sleep(Duration::from_secs(33)).await;
    world.job("next", "c", JobType::Full);
    world
        .records
        .change_job("j", &JobChange::Cancel, None)
        .await
        .unwrap();
    let begin = tokio::time::Instant::now();
    world.until_job("j", JobStatus::Canceled).await;
    assert!(
        begin.elapsed() < Duration::from_secs(10),
        "{:?}",
        begin.elapsed()
    );
    let job = world.records.read_job("j");
    assert!(job.canceled_at.is_some() && job.completed_at.is_some());
    assert_eq!((job.counters.indexed_document_count, job.error), (2, None));
    // The next job of the connector begins at once, not after idling.
    behaviour.open.send_replace(true);
    world.until_job("next", JobStatus::Completed).await;
    assert!(
        begin.elapsed() < Duration::from_secs(12),
        "{:?}",
        begin.elapsed()
    );
    running.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_pending_job_that_was_canceled_does_not_run() {
    let mut world = World::default();
    let behaviour = world.connector("c", "plain");
    world.job("j", "c", JobType::Full);
    // Canceled after it was listed, before it is claimed.
    world.records.meddle("sync_started", |state| {
        let status = json!({"status": "canceled", "completed_at": "2026-01-01T00:00:00Z"});
        state.merge_job("j", status);
    });
    let running = world.start();
    world.until_synced("c", JobStatus::Canceled).await;
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert_eq!(behaviour.sessions.load(Ordering::SeqCst), 0);
    assert_eq!(world.records.read_job("j").worker_hostname, None);
    // The connector is free again.
    world.job("k", "c", JobType::Full);
    world.until_job("k", JobStatus::Completed).await;
    running.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_cancel_at_the_last_moment_counts() {
    let mut world = World::default();
    world.connector("c", "plain");
    world.job("j", "c", JobType::Full);
    world.records.meddle("ended", |state| {
        state.merge_job("j", json!({"status": "canceling"}));
    });
    let running = world.start();
    world.until_synced("c", JobStatus::Canceled).await;
    assert_eq!(world.records.read_job("j").status, JobStatus::Canceled);
    running.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn running_jobs_are_suspended_at_the_end_and_picked_up_again() {
    let mut world = World::default();
    world.config.service.max_concurrent_content_syncs = 2;
    let first = world.connector("c", "plain");
    let second = world.connector("d", "plain");
    for (id, behaviour) in [("c", &first), ("d", &second)] {
        behaviour.open.send_replace(false);
        world.job(&format!("job-{id}"), id, JobType::Full);
    }
    let running = world.start();
    world.until_job("job-c", JobStatus::InProgress).await;
    world.until_job("job-d", JobStatus::InProgress).await;
    tokio::time::sleep(SOON).await;
    let begin = tokio::time::Instant::now();
    running.end().await.unwrap();
    assert!(
        begin.elapsed() < Duration::from_secs(3),
        "{:?}",
        begin.elapsed()
    );
    for id in ["c", "d"] {
        let job = world.records.read_job(&format!("job-{id}"));
        assert_eq!((job.status, job.completed_at), (JobStatus::Suspended, None));
        let status = world.records.read_connector(id).last_sync_status;
        assert_eq!(status, Some(JobStatus::Suspended));
    }
    assert_eq!(world.rooms_in_use(), 0);
    first.open.send_replace(true);
    second.open.send_replace(true);
    let running = world.start_as("host-b", Actions::default());
    world.until_job("job-c", JobStatus::Completed).await;
    world.until_job("job-d", JobStatus::Completed).await;
    assert_eq!(
        world.records.read_job("job-c").worker_hostname.unwrap(),
        "host-b"
    );
    running.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_source_that_ignores_the_stop_signal_is_dropped() {
    let mut world = World::default();
    let behaviour = world.connector("c", "plain");
    world.job("j", "c", JobType::Full);
    let running = world.start();
    world.until_job("j", JobStatus::Completed).await;
    // While the source is asked before the engine begins.
    *behaviour.ping.lock().unwrap() = Act::Hang;
    world.job("k", "c", JobType::Full);
    world.until_job("k", JobStatus::InProgress).await;
    let begin = tokio::time::Instant::now();
    running.end().await.unwrap();
    assert!(
        begin.elapsed() < Duration::from_secs(5),
        "{:?}",
        begin.elapsed()
    );
    assert_eq!(world.records.read_job("k").status, JobStatus::Suspended);
}

#[tokio::test(start_paused = true)]
async fn the_connector_is_deleted_in_mid_sync() {
    let mut world = World::default();
    let behaviour = world.connector("c", "plain");
    behaviour.open.send_replace(false);
    world.job("j", "c", JobType::Full);
    let running = world.start();
    world.until_job("j", JobStatus::InProgress).await;
    tokio::time::sleep(SOON).await;
    world.records.state().delete_connector("c");
    let begin = tokio::time::Instant::now();
    world.until_job("j", JobStatus::Error).await;
    assert!(begin.elapsed() < Duration::from_secs(10));
    let error = world.records.read_job("j").error.unwrap();
    assert_eq!(
        error,
        "JobLost: The connector was deleted while the job ran."
    );
    running.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_job_is_deleted_in_mid_sync() {
    let mut world = World::default();
    let behaviour = world.connector("c", "plain");
    behaviour.open.send_replace(false);
    world.job("j", "c", JobType::Full);
    let running = world.start();
    world.until_job("j", JobStatus::InProgress).await;
    tokio::time::sleep(SOON).await;
    world.records.state().delete_job("j");
    world.until_synced("c", JobStatus::Error).await;
    let error = world.records.read_connector("c").last_sync_error.unwrap();
    assert!(error.contains("The job was deleted"), "{error}");
    behaviour.open.send_replace(true);
    world.job("k", "c", JobType::Full);
    world.until_job("k", JobStatus::Completed).await;
    running.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_job_that_somebody_else_ended_is_left_as_he_wrote_it() {
    let mut world = World::default();
    let behaviour = world.connector("c", "plain");
    behaviour.open.send_replace(false);
    world.job("j", "c", JobType::Full);
    let running = world.start();
    world.until_job("j", JobStatus::InProgress).await;
    tokio::time::sleep(SOON).await;
    {
        let mut state = world.records.state();
        let end = json!({"status": "error", "error": "ended by another", "completed_at": "2026-01-01T00:00:00Z"});
        state.merge_job("j", end);
        state.merge_connector(
            "c",
            json!({"last_sync_status": "error", "last_sync_error": "ended by another"}),
        );
    }
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(
        world.records.read_job("j").error.unwrap(),
        "ended by another"
    );
    let error = world.records.read_connector("c").last_sync_error.unwrap();
    assert_eq!(error, "ended by another");
    // It does not run any more.
    behaviour.open.send_replace(true);
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(world.ids("index-c"), ["a", "b"]);
    running.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn invalid_rules_in_a_job_fail_it() {
    let mut world = World::default();
    let behaviour = world.connector("c", "plain");
    let rules = json!({"filtering": [{"active": {
        "rules": [{"id": "r", "policy": "exclude", "field": "name", "rule": "regex", "value": "(", "order": 1}],
        "advanced_snippet": {"value": {}}, "validation": {"state": "valid", "errors": []}
    }}]});
    world.records.state().merge_connector("c", rules);
    world.job("j", "c", JobType::Full);
    let running = world.start();
    world.until_job("j", JobStatus::Error).await;
    let error = world.records.read_job("j").error.unwrap();
    assert!(
        error.starts_with("InvalidSyncRules: ") && error.contains("r: "),
        "{error}"
    );
    assert_eq!(behaviour.sessions.load(Ordering::SeqCst), 0);
    running.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_brake_knows_the_week_and_opens_when_rules_have_changed() {
    let mut world = World::default();
    let behaviour = world.connector("c", "plain");
    let index = world.targets.index("index-c");
    for number in 0..3000 {
        index.put(&format!("d{number}"), json!({}));
    }
    // An earlier good run, with the same rules and values.
    world.job("earlier", "c", JobType::Full);
    let end = json!({"status": "completed", "total_document_count": 3003});
    world.records.state().merge_job("earlier", end);
    world.job("j", "c", JobType::Full);
    let running = world.start();
    world.until_job("j", JobStatus::Error).await;
    assert!(index.ids().len() >= 3000);

    let rules = json!({"filtering": [{"active": {
        "rules": [{"id": "r", "policy": "exclude", "field": "name", "rule": "equals", "value": "b", "order": 1}],
        "advanced_snippet": {"value": {}}, "validation": {"state": "valid", "errors": []}
    }}]});
    world.records.state().merge_connector("c", rules);
    world.job("k", "c", JobType::Full);
    world.until_job("k", JobStatus::Completed).await;
    assert_eq!(index.ids(), ["a", "c"]);
    assert_eq!(behaviour.sessions.load(Ordering::SeqCst), 2);
    running.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_job_without_index_says_so() {
    let mut world = World::default();
    world.connector("c", "plain");
    world.job("j", "c", JobType::Full);
    world
        .records
        .state()
        .merge_job("j", json!({"connector": {"index_name": null}}));
    let running = world.start();
    world.until_job("j", JobStatus::Error).await;
    let error = world.records.read_job("j").error.unwrap();
    assert!(error.contains("names no index"), "{error}");
    running.end().await.unwrap();
}
