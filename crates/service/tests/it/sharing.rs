//! Whose turn it is: among instances, connectors and jobs.

use crate::world::World;
use serde_json::json;
use std::{sync::atomic::Ordering, time::Duration};
use tributary_protocol::{JobStatus, JobType, records::RecordsErrorKind};
use tributary_service::Actions;

#[tokio::test(start_paused = true)]
async fn two_instances_share_the_jobs_and_each_runs_once() {
    let mut world = World::default();
    let mut behaviours = Vec::new();
    for number in 0..8 {
        let id = format!("c{number}");
        behaviours.push(world.connector(&id, "plain"));
        world.job(&format!("j{number}"), &id, JobType::Full);
    }
    let a = world.start_as("host-a", Actions::default());
    let b = world.start_as("host-b", Actions::default());
    for number in 0..8 {
        world
            .until_job(&format!("j{number}"), JobStatus::Completed)
            .await;
    }
    for behaviour in &behaviours {
        assert_eq!(behaviour.sessions.load(Ordering::SeqCst), 1);
    }
    let workers: Vec<_> = world
        .records
        .all_jobs()
        .into_iter()
        .map(|job| job.worker_hostname)
        .collect();
    for host in ["host-a", "host-b"] {
        assert!(workers.contains(&Some(host.into())), "{workers:?}");
    }
    a.end().await.unwrap();
    b.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn one_job_of_a_connector_runs_at_a_time_whoever_runs_it() {
    let mut world = World::default();
    world.config.service.max_concurrent_content_syncs = 4;
    let behaviour = world.connector("c", "plain");
    behaviour.open.send_replace(false);
    for number in 0..3 {
        world.job(&format!("j{number}"), "c", JobType::Full);
    }
    let a = world.start_as("host-a", Actions::default());
    let b = world.start_as("host-b", Actions::default());
    tokio::time::sleep(Duration::from_secs(100)).await;
    let active = |world: &World| {
        let jobs = world.records.all_jobs();
        jobs.iter().filter(|job| job.status.is_active()).count()
    };
    assert_eq!(active(&world), 1);
    assert_eq!(behaviour.sessions.load(Ordering::SeqCst), 1);
    behaviour.open.send_replace(true);
    world.until_job("j2", JobStatus::Completed).await;
    world.until_job("j0", JobStatus::Completed).await;
    a.end().await.unwrap();
    b.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn one_job_for_an_index_runs_at_a_time() {
    let mut world = World::default();
    world.config.service.max_concurrent_content_syncs = 4;
    let first = world.connector("c", "plain");
    let second = world.connector("d", "plain");
    first.open.send_replace(false);
    for id in ["c", "d"] {
        world
            .records
            .state()
            .merge_connector(id, json!({"index_name": "shared"}));
        world.job(&format!("job-{id}"), id, JobType::Full);
    }
    let running = world.start();
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert_eq!(
        world.records.read_job("job-c").status,
        JobStatus::InProgress
    );
    assert_eq!(world.records.read_job("job-d").status, JobStatus::Pending);
    assert_eq!(second.sessions.load(Ordering::SeqCst), 0);
    first.open.send_replace(true);
    world.until_job("job-d", JobStatus::Completed).await;
    running.end().await.unwrap();
}

/// More jobs of one connector than are listed at once.
#[tokio::test(start_paused = true)]
async fn a_connector_with_many_jobs_does_not_starve_the_others() {
    let mut world = World::default();
    world.connector("busy", "plain");
    world.connector("quiet", "plain");
    for number in 0..520 {
        world.job(&format!("busy-{number:03}"), "busy", JobType::Full);
    }
    world.job("quiet", "quiet", JobType::Full);
    let running = world.start();
    world.until_job("quiet", JobStatus::Completed).await;
    let jobs = world.records.all_jobs();
    let done = jobs
        .iter()
        .filter(|job| job.status == JobStatus::Completed)
        .count();
    assert!(done <= 3, "{done}");
    running.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn jobs_of_a_connector_run_oldest_first_without_pauses_between() {
    let mut world = World::default();
    world.connector("c", "plain");
    for number in (0..12).rev() {
        world.job(&format!("j{number:02}"), "c", JobType::Full);
        let made = format!("2025-12-31T00:{number:02}:00Z");
        world
            .records
            .state()
            .merge_job(&format!("j{number:02}"), json!({"created_at": made}));
    }
    let running = world.start();
    world.until_job("j11", JobStatus::Completed).await;
    assert!(tributary_engine::Clock::now(&*world.clock) < Duration::from_secs(25));
    let mut jobs = world.records.all_jobs();
    jobs.sort_by_key(|job| job.started_at);
    let order: Vec<_> = jobs.into_iter().map(|job| job.id).collect();
    assert!(order.is_sorted(), "{order:?}");
    running.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_job_whose_claim_is_refused_holds_up_nobody() {
    let mut world = World::default();
    world.connector("c", "plain");
    world.connector("d", "plain");
    world.job("bad", "c", JobType::Full);
    world.job("good", "d", JobType::Full);
    world.records.refuse("claim", 1, RecordsErrorKind::Rejected);
    let running = world.start();
    world.until_job("good", JobStatus::Completed).await;
    world.until_synced("c", JobStatus::Error).await;
    tokio::time::sleep(Duration::from_secs(200)).await;
    // Left alone while its record stays as it is; the connector says why.
    assert_eq!(world.records.read_job("bad").status, JobStatus::Pending);
    world
        .records
        .state()
        .merge_job("bad", json!({"metadata": {"mended": true}}));
    world.until_job("bad", JobStatus::Completed).await;
    running.end().await.unwrap();
}
