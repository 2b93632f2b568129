//! Metrics: what is counted, and the page that lists them.

use crate::world::World;
use metrics_exporter_prometheus::PrometheusBuilder;
use std::{env, fs, path::Path, time::Duration};
use tributary_protocol::{JobStatus, JobType, records::RecordsErrorKind};
use tributary_service::metric_names;

#[tokio::test(start_paused = true)]
async fn a_sync_an_outage_and_an_error_are_counted() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let _here = ::metrics::set_default_local_recorder(&recorder);
    let mut world = World::default();
    let behaviour = world.connector("c", "plain");
    behaviour.open.send_replace(false);
    world.job("j", "c", JobType::Full);
    let running = world.start();
    world.until_job("j", JobStatus::InProgress).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let text = handle.render();
    assert!(
        text.contains("tributary_jobs_running{job_type=\"full\"} 1\n"),
        "{text}"
    );
    behaviour.open.send_replace(true);
    world.until_synced("c", JobStatus::Completed).await;
    world
        .records
        .refuse("connectors", 1, RecordsErrorKind::Forbidden);
    tokio::time::sleep(Duration::from_secs(40)).await;
    world.records.away_for(Duration::from_secs(100));
    tokio::time::sleep(Duration::from_secs(50)).await;
    let text = handle.render();
    for line in [
        "tributary_jobs_started_total{service_type=\"plain\",job_type=\"full\"} 1",
        "tributary_jobs_ended_total{service_type=\"plain\",job_type=\"full\",verdict=\"completed\"} 1",
        "tributary_jobs_running{job_type=\"full\"} 0",
        "tributary_documents_extracted_total{service_type=\"plain\"} 3",
        "tributary_documents_indexed_total{service_type=\"plain\"} 3",
        "tributary_loop_errors_total{loop=\"contact\"} 1",
        "tributary_elasticsearch_up 0",
    ] {
        assert!(text.contains(&format!("{line}\n")), "{line} in\n{text}");
    }
    assert!(
        text.contains("tributary_last_heartbeat_timestamp_seconds 17672256"),
        "{text}"
    );
    // Every name that is counted is on the page.
    for line in text.lines().filter(|line| line.starts_with("# TYPE ")) {
        let name = line.split(' ').nth(2).unwrap();
        assert!(
            metric_names::ALL.iter().any(|metric| metric.name == name),
            "{name}"
        );
    }
    running.end().await.unwrap();
}

#[test]
fn the_page_is_what_the_constants_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/operating/metrics.md");
    let page = metric_names::page();
    if env::var_os("UPDATE_EXPECTED").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &page).unwrap();
    }
    let written = fs::read_to_string(&path).expect("write it with UPDATE_EXPECTED=1");
    assert_eq!(written, page);
}

#[test]
fn names_are_unique_and_follow_the_conventions() {
    let mut names: Vec<_> = metric_names::ALL.iter().map(|metric| metric.name).collect();
    for metric in metric_names::ALL {
        let name = metric.name;
        assert!(name.starts_with("tributary_"), "{name}");
        assert_eq!(name.ends_with("_total"), metric.kind == "counter", "{name}");
    }
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), metric_names::ALL.len());
}
