//! Elasticsearch goes away: at each call there is, for a minute, with the call carried out or not.

use crate::world::{Running, World, at};
use serde_json::json;
use std::{sync::atomic::Ordering, time::Duration};
use tributary_protocol::{JobStatus, JobType, TriggerMethod};

const MINUTE: Duration = Duration::from_secs(60);

/// A connector that is new to the service, has a draft of rules, and missed its time.
fn world() -> World {
    let mut world = World::default();
    drop(world.connector("c", "rich"));
    let mut source = world.records.connector_source("c");
    let host = at(&source, "/configuration/host/value").clone();
    source["configuration"] = json!({"host": {"value": host}});
    source["scheduling"]["full"] = json!({"enabled": true, "interval": "0 0 12 * * ?"});
    source["last_sync_scheduled_at"] = json!("2025-12-30T12:00:01Z");
    source["filtering"] = json!([{
        "active": {"rules": [], "advanced_snippet": {"value": {}}},
        "draft": {
            "rules": [{"id": "r", "policy": "exclude", "field": "name", "rule": "equals", "value": "z", "order": 1}],
            "advanced_snippet": {"value": {}},
            "validation": {"state": "edited", "errors": []}
        }
    }]);
    world.records.state().put_connector("c", source);
    world
}

async fn until_all_is_done(world: &World, running: &Running) {
    world
        .until("the connector is synced by its schedule", |records| {
            assert!(!running.task.is_finished(), "the service ended");
            records.read_connector("c").last_sync_status == Some(JobStatus::Completed)
        })
        .await;
}

fn check(world: &World, case: &str) {
    let source = world.records.connector_source("c");
    assert_eq!(source["status"], "connected", "{case}");
    assert_eq!(at(&source, "/configuration/host/label"), "Host", "{case}");
    assert_eq!(at(&source, "/filtering/0/active/rules/0/id"), "r", "{case}");
    let ids = world.ids("index-c");
    assert!(ids == ["a", "b", "c"], "{case}: {ids:?}");
    let jobs = world.records.all_jobs();
    assert_eq!(jobs.len(), 1, "{case}: {jobs:?}");
    assert_eq!(jobs[0].status, JobStatus::Completed, "{case}");
    assert_eq!(jobs[0].trigger_method, TriggerMethod::Scheduled, "{case}");
}

#[tokio::test(start_paused = true)]
async fn a_minute_away_at_any_call_changes_nothing_in_the_end() {
    // How many calls there are until all is done.
    let plain = world();
    let running = plain.start();
    until_all_is_done(&plain, &running).await;
    running.end().await.unwrap();
    check(&plain, "no outage");
    let calls = plain.records.call_count();
    assert!(calls > 30, "{calls}");

    for number in 1..=calls {
        for carried_out in [false, true] {
            let case = format!("outage at call {number}, carried out: {carried_out}");
            let world = world();
            world.records.outage_at(number, MINUTE, carried_out);
            let begin = tokio::time::Instant::now();
            let running = world.start();
            until_all_is_done(&world, &running).await;
            // Soon after the outage, and not only when cleanup looks.
            let took = begin.elapsed();
            assert!(took < MINUTE * 3, "{case}: {took:?}");
            tokio::time::sleep(Duration::from_secs(100)).await;
            check(&world, &case);
            assert!(running.status.why_not_ready().is_empty(), "{case}");
            running.end().await.unwrap();
            assert_eq!(world.rooms_in_use(), 0, "{case}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_long_outage_ends_neither_the_service_nor_the_running_sync() {
    let mut world = World::default();
    let behaviour = world.connector("c", "plain");
    behaviour.open.send_replace(false);
    world.job("j", "c", JobType::Full);
    let running = world.start();
    world.until_job("j", JobStatus::InProgress).await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    world.records.away_for(MINUTE * 60);
    tokio::time::sleep(MINUTE * 5).await;
    let reasons = running.status.why_not_ready();
    assert!(
        reasons
            .iter()
            .any(|reason| reason.contains("scripted Unavailable")),
        "{reasons:?}"
    );
    assert!(running.status.why_not_live().is_empty());
    // The lease cannot be renewed, so nothing is sent: for all we know, another instance has the job.
    let before = world.ids("index-c");
    behaviour.open.send_replace(true);
    tokio::time::sleep(MINUTE * 50).await;
    assert!(!running.task.is_finished());
    assert_eq!(world.ids("index-c"), before);
    assert_eq!(world.records.read_job("j").status, JobStatus::InProgress);
    world.until_job("j", JobStatus::Completed).await;
    world.until_synced("c", JobStatus::Completed).await;
    assert_eq!(world.ids("index-c"), ["a", "b", "c"]);
    assert_eq!(behaviour.sessions.load(Ordering::SeqCst), 1);
    assert!(running.status.why_not_ready().is_empty());
    running.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn told_to_end_during_an_outage() {
    let mut world = World::default();
    let behaviour = world.connector("c", "plain");
    behaviour.open.send_replace(false);
    world.job("j", "c", JobType::Full);
    let running = world.start();
    world.until_job("j", JobStatus::InProgress).await;
    tokio::time::sleep(MINUTE).await;
    world.records.away_for(MINUTE * 60);
    let begin = tokio::time::Instant::now();
    running.end().await.unwrap();
    assert!(
        begin.elapsed() < Duration::from_secs(25),
        "{:?}",
        begin.elapsed()
    );
    // Nobody could be told; whoever comes next takes the job over.
    tokio::time::sleep(MINUTE * 60).await;
    behaviour.open.send_replace(true);
    let running = world.start();
    world.until_job("j", JobStatus::Completed).await;
    assert_eq!(behaviour.sessions.load(Ordering::SeqCst), 2);
    running.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_short_outage_at_the_end_is_waited_out() {
    let mut world = World::default();
    let behaviour = world.connector("c", "plain");
    behaviour.open.send_replace(false);
    world.job("j", "c", JobType::Full);
    let running = world.start();
    world.until_job("j", JobStatus::InProgress).await;
    tokio::time::sleep(MINUTE).await;
    world.records.away_for(Duration::from_secs(5));
    running.end().await.unwrap();
    assert_eq!(world.records.read_job("j").status, JobStatus::Suspended);
    let status = world.records.read_connector("c").last_sync_status;
    assert_eq!(status, Some(JobStatus::Suspended));
}
