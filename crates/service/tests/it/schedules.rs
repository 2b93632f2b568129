//! Jobs by schedule.

use crate::{source::SOON, world::World};
use serde_json::json;
use std::time::Duration;
use tributary_protocol::{JobStatus, JobType, SyncJob, TriggerMethod};
use tributary_service::Actions;

fn schedule(job_type: &str, interval: &str) -> serde_json::Value {
    json!({"scheduling": {job_type: {"enabled": true, "interval": interval}}})
}

fn scheduled(world: &World, job_type: JobType) -> Vec<SyncJob> {
    let mut jobs = world.records.all_jobs();
    jobs.retain(|job| job.job_type == job_type && job.trigger_method == TriggerMethod::Scheduled);
    jobs
}

/// The virtual clock begins on 1 January 2026 at 00:00:00.
#[tokio::test(start_paused = true)]
async fn a_job_is_made_when_its_time_comes_and_runs_at_once() {
    let mut world = World::default();
    world.connector("c", "plain");
    world
        .records
        .state()
        .merge_connector("c", schedule("full", "0 10 * * * ?"));
    let running = world.start();
    tokio::time::sleep(Duration::from_secs(599)).await;
    assert_eq!(scheduled(&world, JobType::Full).len(), 0);
    // Not up to 30 s later: the loop wakes when the schedule fires.
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    let jobs = scheduled(&world, JobType::Full);
    assert_eq!(jobs.len(), 1);
    assert_eq!(jobs[0].status, JobStatus::Completed);
    let noted = world
        .records
        .read_connector("c")
        .last_sync_scheduled_at
        .unwrap();
    assert!(noted <= jobs[0].created_at.unwrap());
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(scheduled(&world, JobType::Full).len(), 2);
    running.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn seconds_count() {
    let mut world = World::default();
    world.connector("c", "plain");
    world
        .records
        .state()
        .merge_connector("c", schedule("full", "0/10 * * * * ?"));
    let running = world.start();
    tokio::time::sleep(Duration::from_secs(101)).await;
    assert_eq!(scheduled(&world, JobType::Full).len(), 10);
    running.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn times_missed_while_no_service_ran_are_caught_up_once() {
    let mut world = World::default();
    world.connector("c", "plain");
    world
        .records
        .state()
        .merge_connector("c", schedule("full", "0 0 * * * ?"));
    let earlier = json!({"last_sync_scheduled_at": "2025-12-31T18:00:02Z"});
    world.records.state().merge_connector("c", earlier);
    let running = world.start();
    tokio::time::sleep(SOON).await;
    assert_eq!(scheduled(&world, JobType::Full).len(), 1);
    tokio::time::sleep(Duration::from_secs(1800)).await;
    assert_eq!(scheduled(&world, JobType::Full).len(), 1);
    running.end().await.unwrap();
    // Started again: nothing was missed.
    let running = world.start();
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(scheduled(&world, JobType::Full).len(), 1);
    running.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn two_instances_make_one_job_for_each_time() {
    let mut world = World::default();
    world.connector("c", "plain");
    world
        .records
        .state()
        .merge_connector("c", schedule("full", "0 0/5 * * * ?"));
    let a = world.start_as("host-a", Actions::default());
    let b = world.start_as("host-b", Actions::default());
    tokio::time::sleep(Duration::from_secs(3610)).await;
    assert_eq!(scheduled(&world, JobType::Full).len(), 12);
    a.end().await.unwrap();
    b.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn all_kinds_that_the_source_has_are_made() {
    let mut world = World::default();
    for (id, service_type) in [("r", "rich"), ("p", "plain")] {
        world.connector(id, service_type);
        for kind in ["full", "incremental", "access_control"] {
            world
                .records
                .state()
                .merge_connector(id, schedule(kind, "0 1 * * * ?"));
        }
    }
    let running = world.start();
    tokio::time::sleep(Duration::from_secs(70)).await;
    let made = |job_type| {
        let jobs = scheduled(&world, job_type).into_iter();
        let mut of: Vec<_> = jobs.map(|job| job.connector.id.unwrap()).collect();
        of.sort();
        of
    };
    assert_eq!(made(JobType::Full), ["p", "r"]);
    assert_eq!(made(JobType::Incremental), ["r"]);
    assert_eq!(made(JobType::AccessControl), ["r"]);
    running.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn nothing_is_made_before_there_is_a_configuration_or_an_index() {
    let mut world = World::default();
    world.new_connector("new", "plain");
    world.connector("detached", "plain");
    for id in ["new", "detached"] {
        world
            .records
            .state()
            .merge_connector(id, schedule("full", "0 * * * * ?"));
    }
    world
        .records
        .state()
        .merge_connector("detached", json!({"index_name": null}));
    let running = world.start();
    tokio::time::sleep(Duration::from_secs(200)).await;
    assert_eq!(scheduled(&world, JobType::Full).len(), 0);
    assert!(!running.task.is_finished());
    running.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_data_source_that_is_away_does_not_keep_jobs_from_being_made() {
    let mut world = World::default();
    let behaviour = world.connector("c", "plain");
    *behaviour.ping.lock().unwrap() = crate::source::Act::Hang;
    world
        .records
        .state()
        .merge_connector("c", schedule("full", "0 1 * * * ?"));
    let running = world.start();
    tokio::time::sleep(Duration::from_secs(62)).await;
    assert_eq!(scheduled(&world, JobType::Full).len(), 1);
    running.end().await.unwrap();
}
