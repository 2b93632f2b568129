//! Preflight, heartbeats, the end of the service.

use crate::{
    source::{Act, SOON},
    world::World,
};
use std::{sync::atomic::Ordering, time::Duration};
use tributary_protocol::{JobType, records::RecordsErrorKind};
use tributary_sdk::StopSignal;
use tributary_service::{Service, ServiceError};

#[tokio::test(start_paused = true)]
async fn the_first_heartbeat_comes_at_once_and_then_every_interval() {
    let mut world = World::default();
    world.new_connector("c", "plain");
    let running = world.start();
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert_eq!(world.records.calls("check_in"), 1);
    let first = world.records.read_connector("c").last_seen.unwrap();
    tokio::time::sleep(Duration::from_secs(290)).await;
    assert_eq!(world.records.calls("check_in"), 1);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(world.records.calls("check_in"), 2);
    assert!(world.records.read_connector("c").last_seen.unwrap() > first);
    running.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn data_sources_that_hang_hold_up_nobody() {
    let mut world = World::default();
    for id in ["a", "b", "c", "d"] {
        *world.connector(id, "plain").ping.lock().unwrap() = Act::Hang;
    }
    world.connector("e", "plain");
    world.job("j", "e", JobType::Full);
    let running = world.start();
    tokio::time::sleep(SOON).await;
    // All have a heartbeat, and the one that works is synced.
    assert_eq!(world.records.calls("check_in"), 5);
    world
        .until_job("j", tributary_protocol::JobStatus::Completed)
        .await;
    // The four are in all places for checks, but not for ever.
    world
        .until("a is in error", |records| {
            records.read_connector("a").error.is_some()
        })
        .await;
    let error = world.records.read_connector("a").error.unwrap();
    assert_eq!(
        error,
        "Timeout: the data source did not answer within 120 s"
    );
    tokio::time::sleep(SOON).await;
    assert_eq!(
        world.records.read_connector("e").status.as_str(),
        "connected"
    );
    running.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn waits_for_elasticsearch_with_growing_pauses() {
    let mut world = World::default();
    world.new_connector("c", "plain");
    *world.server.errors.lock().unwrap() = vec![RecordsErrorKind::Unavailable; 4];
    let running = world.start();
    // 1 + 2 + 4 s: the fourth attempt failed too.
    tokio::time::sleep(Duration::from_millis(14_500)).await;
    assert_eq!(world.server.greeted.load(Ordering::SeqCst), 4);
    let reasons = running.status.why_not_ready();
    assert!(
        reasons
            .iter()
            .any(|reason| reason.contains("does not answer")),
        "{reasons:?}"
    );
    assert!(running.status.why_not_live().is_empty());
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(world.server.greeted.load(Ordering::SeqCst), 5);
    assert!(world.records.is_prepared());
    assert_eq!(running.status.why_not_ready(), Vec::<String>::new());
    running.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn gives_up_when_elasticsearch_does_not_come() {
    let world = World::default();
    *world.server.errors.lock().unwrap() = vec![RecordsErrorKind::Unavailable; 1000];
    let begin = tokio::time::Instant::now();
    let error = world.start().task.await.unwrap().unwrap_err();
    assert!(matches!(error, ServiceError::Unreachable { .. }), "{error}");
    assert!(
        error
            .to_string()
            .contains("240 s (elasticsearch.max_wait_duration)"),
        "{error}"
    );
    assert_eq!(begin.elapsed().as_secs(), 240);
}

#[tokio::test(start_paused = true)]
async fn a_refused_password_is_not_tried_again() {
    let world = World::default();
    *world.server.errors.lock().unwrap() = vec![RecordsErrorKind::Unauthorised; 10];
    let error = world.start().task.await.unwrap().unwrap_err();
    assert!(matches!(error, ServiceError::Refused(_)), "{error}");
    assert_eq!(world.server.greeted.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn the_records_are_prepared_in_several_attempts() {
    let world = World::default();
    world
        .records
        .refuse("prepare", 9, RecordsErrorKind::Forbidden);
    let running = world.start();
    tokio::time::sleep(Duration::from_secs(9 * 30 + 1)).await;
    assert!(world.records.is_prepared());
    running.end().await.unwrap();

    let world = World::default();
    world
        .records
        .refuse("prepare", 10, RecordsErrorKind::Forbidden);
    let error = world.start().task.await.unwrap().unwrap_err();
    assert!(
        matches!(error, ServiceError::NotPrepared { attempts: 10, .. }),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn told_to_end_while_waiting() {
    let world = World::default();
    *world.server.errors.lock().unwrap() = vec![RecordsErrorKind::Unavailable; 1000];
    let running = world.start();
    tokio::time::sleep(Duration::from_secs(5)).await;
    let begin = tokio::time::Instant::now();
    running.end().await.unwrap();
    assert!(begin.elapsed() < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn too_many_errors_end_the_service_with_the_reason() {
    let mut world = World::default();
    world.new_connector("c", "plain");
    world.config.service.max_errors = 5;
    world
        .records
        .refuse("connectors", 1000, RecordsErrorKind::Forbidden);
    let error = world.start().task.await.unwrap().unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, ServiceError::TooManyErrors(_)), "{text}");
    assert!(text.contains("more than 5 errors within 600 s"), "{text}");
    assert!(text.contains("scripted Forbidden"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn errors_that_are_far_apart_do_not_end_the_service() {
    let mut world = World::default();
    world.new_connector("c", "plain");
    world.config.service.max_errors = 5;
    let running = world.start();
    for _ in 0..30 {
        world
            .records
            .refuse("connectors", 1, RecordsErrorKind::Forbidden);
        tokio::time::sleep(Duration::from_secs(200)).await;
    }
    assert!(!running.task.is_finished());
    running.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn many_connectors_with_one_common_error_are_one_error() {
    let mut world = World::default();
    for number in 0..50 {
        world.new_connector(&format!("c{number:02}"), "plain");
    }
    world
        .records
        .refuse("prepare_connector", 50, RecordsErrorKind::Forbidden);
    let running = world.start();
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert!(!running.task.is_finished());
    let status = world.records.read_connector("c49").status;
    assert_eq!(status.as_str(), "needs_configuration");
    running.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn worker_mode_takes_the_listed_types_and_leaves_the_rest() {
    let mut world = World::default();
    for (id, service_type) in [("p", "plain"), ("r", "rich"), ("n", "plain")] {
        world.new_connector(id, service_type);
    }
    world.config.connectors.clear();
    world.config.service.worker_mode = true;
    world.config.service.service_types = vec!["plain".into()];
    let native = serde_json::json!({"is_native": true});
    world.records.state().merge_connector("n", native);
    let running = world.start();
    tokio::time::sleep(SOON).await;
    assert!(world.records.read_connector("p").last_seen.is_some());
    assert!(world.records.read_connector("r").last_seen.is_none());
    assert!(world.records.read_connector("n").last_seen.is_none());
    running.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn without_connectors_no_connector_is_touched() {
    let mut world = World::default();
    world.new_connector("c", "plain");
    world.config.connectors.clear();
    let running = world.start();
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert!(world.records.read_connector("c").last_seen.is_none());
    running.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn only_the_chosen_loops_run() {
    let mut world = World::default();
    world.connector("c", "plain");
    world.job("j", "c", JobType::Full);
    let actions = tributary_service::Actions {
        sync_content: false,
        sync_access_control: false,
        ..tributary_service::Actions::default()
    };
    let running = world.start_as("host-a", actions);
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert_eq!(world.records.read_job("j").status.as_str(), "pending");
    assert_eq!(
        world.records.read_connector("c").status.as_str(),
        "connected"
    );
    running.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn no_loop_at_all_ends_at_once() {
    let world = World::default();
    let none = tributary_service::Actions {
        schedule: false,
        sync_content: false,
        sync_access_control: false,
        cleanup: false,
    };
    let service = Service::new(world.config.clone(), world.host("host-a")).with_actions(none);
    service.run(StopSignal::never()).await.unwrap();
}
