//! Jobs that lost their service.

use crate::world::World;
use chrono::TimeDelta;
use serde_json::json;
use std::{sync::atomic::Ordering, time::Duration};
use tributary_engine::Clock;
use tributary_protocol::{JobStatus, JobType, records::RecordsErrorKind, timestamp};
use tributary_service::Actions;

/// A job that another instance runs, heard of so many seconds ago.
fn running_elsewhere(world: &World, id: &str, connector: &str, seconds_ago: i64, status: &str) {
    world.job(id, connector, JobType::Full);
    let seen = timestamp::to_text(world.clock.utc() - TimeDelta::seconds(seconds_ago));
    let mut state = world.records.state();
    state.merge_job(
        id,
        json!({"status": status, "last_seen": seen, "worker_hostname": "elsewhere"}),
    );
    state.merge_connector(connector, json!({"last_sync_status": "in_progress"}));
}

#[tokio::test(start_paused = true)]
async fn a_job_that_was_not_heard_of_for_five_minutes_ends_with_an_error() {
    let mut world = World::default();
    world.connector("c", "plain");
    world.connector("d", "plain");
    running_elsewhere(&world, "lost", "c", 301, "in_progress");
    running_elsewhere(&world, "half", "d", 400, "canceling");
    world.job("next", "c", JobType::Full);
    let running = world.start();
    world.until_job("next", JobStatus::Completed).await;
    for (job, connector) in [("lost", "c"), ("half", "d")] {
        let job = world.records.read_job(job);
        assert_eq!(job.status, JobStatus::Error);
        assert_eq!(
            job.error.unwrap(),
            "The job has not seen any update for some time."
        );
        let error = world.records.read_connector(connector).last_sync_error;
        assert!(connector == "c" || error.is_some());
    }
    running.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_job_that_another_instance_keeps_alive_stays_untouched() {
    let mut world = World::default();
    let behaviour = world.connector("c", "plain");
    running_elsewhere(&world, "theirs", "c", 0, "in_progress");
    world.job("next", "c", JobType::Full);
    let running = world.start();
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_secs(60)).await;
        let now = timestamp::to_text(world.clock.utc());
        world
            .records
            .state()
            .merge_job("theirs", json!({"last_seen": now}));
    }
    let job = world.records.read_job("theirs");
    assert_eq!(job.status, JobStatus::InProgress);
    assert_eq!(job.worker_hostname.unwrap(), "elsewhere");
    assert_eq!(world.records.read_job("next").status, JobStatus::Pending);
    assert_eq!(behaviour.sessions.load(Ordering::SeqCst), 0);
    running.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn connectors_of_other_services_are_left_to_them_but_orphans_end() {
    let mut world = World::default();
    world.connector("theirs", "plain");
    world.connector("gone", "plain");
    world.connector("ours", "plain");
    running_elsewhere(&world, "their-job", "theirs", 9999, "in_progress");
    running_elsewhere(&world, "orphan", "gone", 10, "in_progress");
    world.records.state().delete_connector("gone");
    world
        .config
        .connectors
        .retain(|connector| connector.connector_id == "ours");
    let running = world.start();
    world.until_job("orphan", JobStatus::Error).await;
    tokio::time::sleep(Duration::from_secs(700)).await;
    assert_eq!(
        world.records.read_job("their-job").status,
        JobStatus::InProgress
    );
    running.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn our_own_running_jobs_are_never_cleaned_up() {
    let mut world = World::default();
    let behaviour = world.connector("c", "plain");
    behaviour.open.send_replace(false);
    world.job("j", "c", JobType::Full);
    // No heartbeat reaches the record.
    world
        .records
        .refuse("stats", 2900, RecordsErrorKind::Unavailable);
    let running = world.start();
    tokio::time::sleep(Duration::from_secs(3000)).await;
    let job = world.records.read_job("j");
    assert_eq!((job.status, job.error), (JobStatus::InProgress, None));
    behaviour.open.send_replace(true);
    world.until_job("j", JobStatus::Completed).await;
    running.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_job_whose_record_refuses_its_heartbeats_ends_and_says_why() {
    let mut world = World::default();
    let behaviour = world.connector("c", "plain");
    behaviour.open.send_replace(false);
    world.job("j", "c", JobType::Full);
    world
        .records
        .refuse("stats", 10_000, RecordsErrorKind::Forbidden);
    let running = world.start();
    world.until_job("j", JobStatus::Error).await;
    let took = world.clock.now();
    assert!(
        (Duration::from_secs(300)..Duration::from_secs(320)).contains(&took),
        "{took:?}"
    );
    let error = world.records.read_job("j").error.unwrap();
    assert!(
        error.starts_with("JobLost: ") && error.contains("scripted Forbidden"),
        "{error}"
    );
    running.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_connector_left_as_syncing_by_a_crash_is_set_right() {
    let mut world = World::default();
    world.connector("c", "plain");
    // Killed between the connector's record and the job's.
    world
        .records
        .state()
        .merge_connector("c", json!({"last_sync_status": "in_progress"}));
    world.job("j", "c", JobType::Full);
    let running = world.start();
    tokio::time::sleep(Duration::from_secs(250)).await;
    assert_eq!(world.records.read_job("j").status, JobStatus::Pending);
    world.until_job("j", JobStatus::Completed).await;
    world.until_synced("c", JobStatus::Completed).await;
    assert!(world.clock.now() < Duration::from_secs(700));
    running.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn cleanup_runs_at_its_interval_too() {
    let mut world = World::default();
    world.connector("c", "plain");
    let only = Actions {
        schedule: false,
        sync_content: false,
        sync_access_control: false,
        cleanup: true,
    };
    let running = world.start_as("host-a", only);
    tokio::time::sleep(Duration::from_secs(10)).await;
    running_elsewhere(&world, "lost", "c", 1000, "in_progress");
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert_eq!(world.records.read_job("lost").status, JobStatus::Error);
    let connector = world.records.read_connector("c");
    assert_eq!(connector.last_sync_status, Some(JobStatus::Error));
    assert_eq!(connector.status.as_str(), "error");
    running.end().await.unwrap();
}
