//! Several instances: one runs a job, another takes it over when the first is silent, and only then.

use crate::{
    instance::Instance,
    source::Behaviour,
    world::{World, at},
};
use chrono::TimeDelta;
use serde_json::{Value, json};
use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tributary_engine::Clock;
use tributary_protocol::{
    JobStatus, JobType,
    records::{JobChange, Records},
};

const LEASE: Duration = Duration::from_secs(30);
const MINUTE: Duration = Duration::from_secs(60);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A connector with a job `j` whose source stops half-way until it is opened.
fn world() -> (World, Arc<Behaviour>) {
    let mut world = World::default();
    let behaviour = world.connector("c", "plain");
    behaviour.open.send_replace(false);
    world.job("j", "c", JobType::Full);
    (world, behaviour)
}

/// Two instances whose clocks differ by half a day; the first runs the job, and has done so for a while.
async fn two(world: &World) -> (Instance, Instance) {
    let first = Instance::start(world, "first", TimeDelta::hours(-7));
    world.until_job("j", JobStatus::InProgress).await;
    let second = Instance::start(world, "second", TimeDelta::hours(5));
    tokio::time::sleep(seconds(40)).await;
    assert_eq!(worker(world), "first");
    (first, second)
}

fn worker(world: &World) -> String {
    world
        .records
        .read_job("j")
        .worker_hostname
        .unwrap_or_default()
}

fn lease(world: &World) -> Value {
    at(&world.records.job_source("j"), "/metadata/tributary/lease").clone()
}

/// Waits until the job is another instance's; what was seen of its status on the way.
async fn taken_over(world: &World, by: &str) -> Vec<JobStatus> {
    let mut statuses = vec![JobStatus::InProgress];
    for _ in 0..20_000 {
        let job = world.records.read_job("j");
        if statuses.last() != Some(&job.status) {
            statuses.push(job.status);
        }
        if job.status == JobStatus::InProgress && worker(world) == by {
            return statuses;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("never taken over by {by}: {statuses:?}");
}

#[tokio::test(start_paused = true)]
async fn another_instance_goes_on_when_one_dies() {
    let (world, behaviour) = world();
    let (first, second) = two(&world).await;
    let before = lease(&world)["nonce"].clone();
    let died = world.clock.now();
    first.kill();
    let statuses = taken_over(&world, "second").await;
    let took = world.clock.now() - died;
    // The last heartbeat was at most five seconds ago.
    assert!(
        took > LEASE - seconds(5) && took < LEASE + seconds(5),
        "{took:?}"
    );
    use JobStatus::{InProgress, Suspended};
    assert_eq!(statuses, [InProgress, Suspended, InProgress]);
    assert!(before.is_string() && lease(&world)["nonce"] != before);
    assert_eq!(lease(&world)["furthest"], 2);
    behaviour.open.send_replace(true);
    world.until_synced("c", JobStatus::Completed).await;
    let jobs = world.records.all_jobs();
    assert_eq!((jobs.len(), jobs[0].status), (1, JobStatus::Completed));
    assert_eq!(world.ids("index-c"), ["a", "b", "c"]);
    assert_eq!(behaviour.sessions.load(Ordering::SeqCst), 2);
    assert!(lease(&world)["nonce"].is_null());
    second.running.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_is_alive_keeps_its_job_however_the_clocks_differ() {
    let (world, behaviour) = world();
    let (first, second) = two(&world).await;
    tokio::time::sleep(MINUTE * 100).await;
    // What users see: the service is alive, by the clock of its machine.
    let job = world.records.read_job("j");
    let here = world.clock.utc() - TimeDelta::hours(7);
    assert!((here - job.last_seen.unwrap()).num_seconds() <= 6);
    behaviour.open.send_replace(true);
    world.until_synced("c", JobStatus::Completed).await;
    assert_eq!(worker(&world), "first");
    assert_eq!(behaviour.sessions.load(Ordering::SeqCst), 1);
    assert_eq!(second.requests(), 0);
    first.running.end().await.unwrap();
    second.running.end().await.unwrap();
}

/// The source may have more documents at once, so that a request is about to be sent all the time, or
/// later.
#[tokio::test(start_paused = true)]
async fn an_instance_that_stood_still_sends_nothing_when_it_wakes() {
    for opened_after in [0, 1, 20, 28, 40, 200] {
        let (world, behaviour) = world();
        let (first, second) = two(&world).await;
        let requests = first.requests();
        first.stall();
        tokio::time::sleep(seconds(opened_after)).await;
        behaviour.open.send_replace(true);
        world.until_synced("c", JobStatus::Completed).await;
        assert_eq!(worker(&world), "second", "{opened_after}");
        let record = world.records.job_source("j");
        let connector = world.records.connector_source("c");
        tokio::time::sleep(seconds(60)).await;
        first.wake();
        tokio::time::sleep(seconds(60)).await;
        assert_eq!(first.requests(), requests, "{opened_after}");
        assert_eq!(world.records.job_source("j"), record, "{opened_after}");
        for key in ["last_sync_status", "last_synced", "last_sync_error"] {
            let now = world.records.connector_source("c");
            assert_eq!(now[key], connector[key], "{opened_after}");
        }
        // It works as ever.
        second.running.end().await.unwrap();
        world.job("next", "c", JobType::Full);
        world.until_job("next", JobStatus::Completed).await;
        first.running.end().await.unwrap();
        assert_eq!(world.rooms_in_use(), 0, "{opened_after}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_is_shorter_than_the_lease_changes_nothing() {
    let (world, behaviour) = world();
    let (first, second) = two(&world).await;
    for _ in 0..5 {
        first.stall();
        tokio::time::sleep(seconds(20)).await;
        first.wake();
        tokio::time::sleep(seconds(20)).await;
    }
    behaviour.open.send_replace(true);
    world.until_synced("c", JobStatus::Completed).await;
    assert_eq!(worker(&world), "first");
    assert_eq!(behaviour.sessions.load(Ordering::SeqCst), 1);
    first.running.end().await.unwrap();
    second.running.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn who_cannot_reach_the_records_stops_writing_before_another_begins() {
    for opened_after in [10, 23, 27, 31] {
        let (world, behaviour) = world();
        let (first, second) = two(&world).await;
        let cut_off = world.clock.now();
        first.cut_off_from_records(MINUTE * 10);
        tokio::time::sleep(seconds(opened_after)).await;
        behaviour.open.send_replace(true);
        world.until_synced("c", JobStatus::Completed).await;
        let second_began = world.clock.now();
        let last = first.last_request();
        assert!(
            last < cut_off + LEASE - seconds(2),
            "{opened_after}: {last:?}"
        );
        assert!(last < second_began);
        let record = world.records.job_source("j");
        tokio::time::sleep(MINUTE * 15).await;
        assert_eq!(first.last_request(), last, "{opened_after}");
        assert_eq!(world.records.job_source("j"), record, "{opened_after}");
        first.running.end().await.unwrap();
        second.running.end().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_elasticsearch_is_waited_out_by_who_has_the_job() {
    // At different times between a heartbeat and a look at it.
    for (phase, opened_after) in [(0, 1), (1, 60), (2, 700), (3, 300), (4, 1)] {
        let (world, behaviour) = world();
        let (first, second) = two(&world).await;
        tokio::time::sleep(seconds(phase)).await;
        first.cut_off(MINUTE * 10);
        // Who is back first must not conclude from its own absence that the other is gone.
        second.cut_off(MINUTE * 10 - seconds(10));
        tokio::time::sleep(seconds(opened_after)).await;
        behaviour.open.send_replace(true);
        world.until_synced("c", JobStatus::Completed).await;
        assert_eq!(worker(&world), "first", "{opened_after}");
        assert_eq!(world.ids("index-c"), ["a", "b", "c"]);
        assert_eq!(behaviour.sessions.load(Ordering::SeqCst), 1);
        assert_eq!(second.requests(), 0);
        first.running.end().await.unwrap();
        second.running.end().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_that_ends_its_service_each_time_ends_with_an_error() {
    let (world, behaviour) = world();
    for name in ["zero", "one", "two", "three", "four"] {
        let instance = Instance::start(&world, name, TimeDelta::zero());
        taken_over(&world, name).await;
        // Each comes as far as the first did.
        tokio::time::sleep(seconds(20)).await;
        instance.kill();
    }
    let last = Instance::start(&world, "last", TimeDelta::zero());
    world.until_job("j", JobStatus::Error).await;
    world.until_synced("c", JobStatus::Error).await;
    let error = world.records.read_job("j").error.unwrap();
    assert!(
        error.starts_with("JobLost: the service fell silent 4 times in a row")
            && error.contains("on four"),
        "{error}"
    );
    assert_eq!(
        world.records.read_connector("c").last_sync_error,
        Some(error)
    );
    assert_eq!(behaviour.sessions.load(Ordering::SeqCst), 5);
    // The next one has all its chances.
    behaviour.open.send_replace(true);
    world.job("next", "c", JobType::Full);
    world.until_job("next", JobStatus::Completed).await;
    last.running.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_job_that_comes_further_each_time_goes_on() {
    let (world, behaviour) = world();
    let names = ["one", "two", "three", "four", "five", "six"];
    for (number, name) in names.into_iter().enumerate() {
        let all = &["a", "b", "c", "d", "e", "f", "g", "h", "i", "k", "l", "m"];
        *behaviour.documents.lock().unwrap() = all[..2 * (number + 1)].to_vec();
        let instance = Instance::start(&world, name, TimeDelta::zero());
        taken_over(&world, name).await;
        // Long enough for the progress to reach the record.
        tokio::time::sleep(seconds(20)).await;
        instance.kill();
    }
    assert_eq!(lease(&world)["takeovers"], 0);
    let last = Instance::start(&world, "last", TimeDelta::zero());
    behaviour.open.send_replace(true);
    world.until_job("j", JobStatus::Completed).await;
    last.running.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_cancel_reaches_a_job_whose_instance_is_dead() {
    let (world, behaviour) = world();
    let (first, second) = two(&world).await;
    first.kill();
    let cancel = JobChange::Cancel;
    world.records.change_job("j", &cancel, None).await.unwrap();
    let began = world.clock.now();
    world.until_job("j", JobStatus::Canceled).await;
    assert!(world.clock.now() - began < LEASE + seconds(5));
    world.until_synced("c", JobStatus::Canceled).await;
    assert_eq!(behaviour.sessions.load(Ordering::SeqCst), 1);
    second.running.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_cancel_and_a_deletion_are_noticed_within_seconds() {
    let (world, _) = world();
    let (first, second) = two(&world).await;
    let began = world.clock.now();
    let cancel = JobChange::Cancel;
    world.records.change_job("j", &cancel, None).await.unwrap();
    world.until_job("j", JobStatus::Canceled).await;
    assert!(world.clock.now() - began < seconds(10));
    world.job("k", "c", JobType::Full);
    world.until_job("k", JobStatus::InProgress).await;
    tokio::time::sleep(seconds(10)).await;
    let requests = first.requests() + second.requests();
    world.records.state().delete_job("k");
    world
        .until("the connector is free again", |records| {
            !records.read_connector("c").is_syncing(JobType::Full)
        })
        .await;
    assert_eq!(first.requests() + second.requests(), requests);
    first.running.end().await.unwrap();
    second.running.end().await.unwrap();
}

/// A person edits the record, or Kibana does.
#[tokio::test(start_paused = true)]
async fn changes_by_others_do_not_end_a_job() {
    let (world, behaviour) = world();
    let (first, second) = two(&world).await;
    for number in 0..50 {
        let note = json!({"metadata": {"note": number}});
        world.records.state().merge_job("j", note);
        tokio::time::sleep(Duration::from_millis(1777)).await;
    }
    behaviour.open.send_replace(true);
    world.until_synced("c", JobStatus::Completed).await;
    assert_eq!(worker(&world), "first");
    assert_eq!(behaviour.sessions.load(Ordering::SeqCst), 1);
    let metadata = world.records.job_source("j")["metadata"].clone();
    assert_eq!(metadata["note"], 49);
    assert_eq!(metadata["tributary"]["counters"]["extracted"], 3);
    first.running.end().await.unwrap();
    second.running.end().await.unwrap();
}

/// A job that we had begun and that a service without leases goes on with.
#[tokio::test(start_paused = true)]
async fn a_job_of_the_reference_is_never_taken_over() {
    let (world, behaviour) = world();
    let first = Instance::start(&world, "first", TimeDelta::zero());
    world.until_job("j", JobStatus::InProgress).await;
    tokio::time::sleep(seconds(20)).await;
    first.running.end().await.unwrap();
    assert_eq!(world.records.read_job("j").status, JobStatus::Suspended);
    let now = tributary_protocol::timestamp::to_text(world.clock.utc());
    let claim = json!({"status": "in_progress", "last_seen": now, "worker_hostname": "theirs"});
    world.records.state().merge_job("j", claim);
    let syncing = json!({"last_sync_status": "in_progress"});
    world.records.state().merge_connector("c", syncing);
    let second = Instance::start(&world, "second", TimeDelta::zero());
    tokio::time::sleep(seconds(290)).await;
    let job = world.records.read_job("j");
    assert_eq!(job.status, JobStatus::InProgress);
    assert_eq!(job.worker_hostname.as_deref(), Some("theirs"));
    // The rule of the reference.
    world.until_job("j", JobStatus::Error).await;
    let error = world.records.read_job("j").error.unwrap();
    assert!(error.contains("not seen any update"), "{error}");
    assert_eq!(behaviour.sessions.load(Ordering::SeqCst), 1);
    second.running.end().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_job_that_nobody_has_room_for_waits_as_suspended() {
    let (mut world, behaviour) = world();
    let busy = world.connector("d", "plain");
    busy.open.send_replace(false);
    let first = Instance::start(&world, "first", TimeDelta::zero());
    world.until_job("j", JobStatus::InProgress).await;
    world.job("other", "d", JobType::Full);
    let second = Instance::start(&world, "second", TimeDelta::zero());
    world.until_job("other", JobStatus::InProgress).await;
    first.kill();
    world.until_job("j", JobStatus::Suspended).await;
    tokio::time::sleep(MINUTE * 20).await;
    assert_eq!(world.records.read_job("j").status, JobStatus::Suspended);
    busy.open.send_replace(true);
    behaviour.open.send_replace(true);
    world.until_job("j", JobStatus::Completed).await;
    assert_eq!(worker(&world), "second");
    second.running.end().await.unwrap();
}

/// Elasticsearch goes away for a minute at each call that a takeover makes, with the call carried out or
/// not.
#[tokio::test(start_paused = true)]
async fn an_outage_in_the_middle_of_a_takeover_loses_nothing() {
    async fn begin() -> (World, Arc<Behaviour>, Instance, usize) {
        let (world, behaviour) = world();
        let (first, second) = two(&world).await;
        first.kill();
        let calls = world.records.call_count();
        (world, behaviour, second, calls)
    }
    let (world, behaviour, second, before) = begin().await;
    taken_over(&world, "second").await;
    behaviour.open.send_replace(true);
    world.until_synced("c", JobStatus::Completed).await;
    let calls = world.records.call_count() - before;
    second.running.end().await.unwrap();
    assert!((20..200).contains(&calls), "{calls}");
    for number in 1..=calls {
        for carried_out in [false, true] {
            let case = format!("outage at call {number}, carried out: {carried_out}");
            let (world, behaviour, second, before) = begin().await;
            behaviour.open.send_replace(true);
            world
                .records
                .outage_at(before + number, MINUTE, carried_out);
            let began = world.clock.now();
            world.until_synced("c", JobStatus::Completed).await;
            let took = world.clock.now() - began;
            assert!(took < MINUTE * 4, "{case}: {took:?}");
            let jobs = world.records.all_jobs();
            assert_eq!(
                (jobs.len(), jobs[0].status),
                (1, JobStatus::Completed),
                "{case}"
            );
            assert_eq!(behaviour.sessions.load(Ordering::SeqCst), 2, "{case}");
            assert_eq!(world.ids("index-c"), ["a", "b", "c"], "{case}");
            second.running.end().await.unwrap();
        }
    }
}
