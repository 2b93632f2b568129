//! Somebody else writes just before each of our writes: nothing of either is lost.

use crate::world::{World, at};
use serde_json::json;
use std::time::Duration;
use tributary_protocol::{JobStatus, JobType, TriggerMethod};

/// All that a connector goes through, with somebody writing before the change of this name.
async fn with_a_writer_before(call: &str) {
    let mut world = World::default();
    drop(world.connector("c", "rich"));
    let mut source = world.records.connector_source("c");
    let host = at(&source, "/configuration/host/value").clone();
    source["configuration"] = json!({"host": {"value": host}});
    source["scheduling"]["full"] = json!({"enabled": true, "interval": "0 1 * * * ?"});
    source["filtering"] = json!([{
        "active": {"rules": [], "advanced_snippet": {"value": {}}},
        "draft": {
            "rules": [{"id": "r", "policy": "exclude", "field": "name", "rule": "equals", "value": "b", "order": 1}],
            "advanced_snippet": {"value": {}},
            "validation": {"state": "edited", "errors": []}
        }
    }]);
    world.records.state().put_connector("c", source);
    for attempt in 0..3 {
        world.records.meddle(call, move |state| {
            state.merge_connector("c", json!({"description": format!("edited {attempt}")}));
            state.merge_job_if_there("scheduled-1", json!({"metadata": {"seen": attempt}}));
        });
    }
    let running = world.start();
    world
        .until("the scheduled job is done", |records| {
            records
                .all_jobs()
                .iter()
                .any(|job| job.status == JobStatus::Completed)
        })
        .await;
    world.until_synced("c", JobStatus::Completed).await;
    tokio::time::sleep(Duration::from_secs(100)).await;

    let source = world.records.connector_source("c");
    assert_eq!(source["description"], "edited 2", "{call}");
    assert_eq!(source["status"], "connected", "{call}");
    assert_eq!(at(&source, "/configuration/host/label"), "Host", "{call}");
    assert_eq!(at(&source, "/filtering/0/active/rules/0/id"), "r", "{call}");
    assert_eq!(world.ids("index-c"), ["a", "c"], "{call}");
    let jobs = world.records.all_jobs();
    assert_eq!(jobs.len(), 1, "{call}");
    assert_eq!(jobs[0].trigger_method, TriggerMethod::Scheduled);
    assert_eq!(jobs[0].job_type, JobType::Full);
    running.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn before_the_record_is_completed() {
    with_a_writer_before("prepare_connector").await;
}

#[tokio::test(start_paused = true)]
async fn before_the_status() {
    with_a_writer_before("status").await;
}

#[tokio::test(start_paused = true)]
async fn before_the_verdict_about_the_draft() {
    with_a_writer_before("filtering").await;
}

#[tokio::test(start_paused = true)]
async fn before_the_time_of_the_schedule() {
    with_a_writer_before("scheduled").await;
}

#[tokio::test(start_paused = true)]
async fn before_the_connector_is_marked_as_syncing() {
    with_a_writer_before("sync_started").await;
}

#[tokio::test(start_paused = true)]
async fn before_the_claim() {
    with_a_writer_before("claim").await;
}

#[tokio::test(start_paused = true)]
async fn before_the_end_of_the_job() {
    with_a_writer_before("ended").await;
}

#[tokio::test(start_paused = true)]
async fn before_the_end_in_the_connector() {
    with_a_writer_before("sync_ended").await;
}
