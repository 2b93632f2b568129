//! What a run knows from the one before: what is unchanged is not sent, what is gone is deleted where
//! all was read, and nothing is believed that does not hold any more.

use crate::world::*;
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};
use tributary_engine::{Counters, TargetErrorKind, Verdict};
use tributary_sdk::{Access, ErrorKind, Listing, Presence, Promises, Stamp};
use tributary_state::MemoryFolder;
use tributary_testkit::memory::{Call, Fault, MemoryTarget};

/// An index, and what is remembered of it.
struct Place {
    target: Arc<MemoryTarget>,
    folder: Arc<MemoryFolder>,
}

impl Place {
    fn new() -> Self {
        Self {
            target: Arc::new(MemoryTarget::default()),
            folder: Arc::new(MemoryFolder::default()),
        }
    }

    fn world(&self, script: Script) -> World {
        World::over(Arc::new(script), self.target.clone()).remembering(&self.folder)
    }

    async fn run(&self, script: Script) -> Ran {
        self.world(script).run().await
    }

    /// Whether the last run listed the index.
    fn scans(&self) -> usize {
        let calls = self.target.calls();
        calls.iter().filter(|call| **call == Call::Scan).count()
    }
}

fn numbers(counters: &Counters) -> (u64, u64, u64) {
    (counters.indexed, counters.unchanged, counters.deleted)
}

fn docs(ids: impl IntoIterator<Item = usize>) -> Vec<Step> {
    let doc = |n: usize| doc(format!("{n:04}"));
    ids.into_iter().map(|n| Step::Document(doc(n))).collect()
}

fn changed(ids: impl IntoIterator<Item = usize>, body: Value) -> Vec<Step> {
    let changed = |n: usize| {
        let mut document = doc(format!("{n:04}"));
        document.body = body.clone();
        Step::Document(document)
    };
    ids.into_iter().map(changed).collect()
}

#[tokio::test(start_paused = true)]
async fn a_second_sync_sends_nothing_and_lists_nothing() {
    let place = Place::new();
    let first = place.run(Script::of(vec![docs(0..300)])).await;
    assert_eq!(numbers(first.counters()), (300, 0, 0));
    let scans = place.scans();
    let second = place.run(Script::of(vec![docs(0..300)])).await;
    assert_eq!(second.outcome.verdict, Verdict::Completed);
    assert_eq!(numbers(second.counters()), (0, 300, 0));
    assert_eq!(second.counters().extracted, 300);
    assert_eq!(second.outcome.total_documents, Some(300));
    assert_eq!(place.scans(), scans);
    assert_eq!(place.target.writes("0007"), 1);
}

#[tokio::test(start_paused = true)]
async fn what_changed_came_and_went_is_all_that_is_sent() {
    let place = Place::new();
    place.run(Script::of(vec![docs(0..300)])).await;
    let scans = place.scans();
    let steps = [
        docs(1..100),
        changed(100..103, json!({"v": 2})),
        docs(103..299),
        docs(300..304),
    ];
    let second = place.run(Script::of(vec![steps.concat()])).await;
    assert_eq!(numbers(second.counters()), (7, 295, 2));
    assert_eq!(second.counters().created, 4);
    assert_eq!(place.scans(), scans);
    assert_eq!(place.target.source("0101").unwrap()["v"], 2);
    assert_eq!(place.target.deletions(), ["0000", "0299"]);
    let third = place.run(Script::of(vec![steps.concat()])).await;
    assert_eq!(numbers(third.counters()), (0, 302, 0));
    assert_eq!(place.scans(), scans);
}

#[tokio::test(start_paused = true)]
async fn access_stamp_and_file_are_part_of_a_document() {
    let place = Place::new();
    let script = |a: Access, b: &str, content: &[u8]| {
        let mut stamped = doc("b");
        stamped.stamp = Stamp::Item(b.into());
        let file = doc("c").with_file("c.txt", None);
        let steps = vec![doc("a").with_access(a), stamped, file];
        let mut script = Script::of(vec![steps.into_iter().map(Step::Document).collect()]);
        script.files.insert("c.txt", content.to_vec());
        script
    };
    let one = || Access::tokens(["user:1", "user:2"]);
    place.run(script(one(), "x", b"one")).await;
    let same = place.run(script(one(), "x", b"one")).await;
    assert_eq!(numbers(same.counters()), (0, 3, 0));
    // The file has no version, so it was read to see.
    assert_eq!(same.counters().downloads, 1);
    let other = place
        .run(script(Access::tokens(["user:1"]), "y", b"two"))
        .await;
    assert_eq!(numbers(other.counters()), (3, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn what_somebody_else_did_to_the_index_is_put_right() {
    type Hand = fn(&MemoryTarget);
    let hands: [(Hand, u64); 4] = [
        (|target| target.put("0003", json!({"v": "by hand"})), 1),
        (|target| target.put("foreign", json!({})), 0),
        (|target| target.remove("0003"), 1),
        (|target| target.map("another"), 20),
    ];
    for (number, (hand, expected)) in hands.into_iter().enumerate() {
        let place = Place::new();
        place.run(Script::of(vec![docs(0..20)])).await;
        hand(&place.target);
        let second = place.run(Script::of(vec![docs(0..20)])).await;
        assert_eq!(second.counters().indexed, expected, "hand {number}");
        assert_eq!(place.target.ids().len(), 20, "hand {number}");
        assert_eq!(place.target.source("0003").unwrap()["v"], 1);
        let third = place.run(Script::of(vec![docs(0..20)])).await;
        assert_eq!(numbers(third.counters()), (0, 20, 0), "hand {number}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_by_somebody_else_during_the_run_is_noticed_at_the_next() {
    let target = Arc::new(MemoryTarget::default());
    let place = Place {
        target: target.clone(),
        folder: Arc::default(),
    };
    let steps = [docs(0..10), vec![Step::Sleep(5_000)], docs(10..20)].concat();
    let run = place.world(Script::of(vec![steps])).run();
    let hand = async {
        tokio::time::sleep(std::time::Duration::from_secs(3)).await;
        target.put("0003", json!({"v": "by hand"}));
    };
    tokio::join!(run, hand);
    assert_eq!(target.source("0003").unwrap()["v"], "by hand");
    place.run(Script::of(vec![docs(0..20)])).await;
    assert_eq!(target.source("0003").unwrap()["v"], 1);
}

#[tokio::test(start_paused = true)]
async fn everything_is_sent_where_that_is_asked_for_or_nothing_is_told() {
    let place = Place::new();
    place.run(Script::of(vec![docs(0..20)])).await;
    let world = place.world(Script::of(vec![docs(0..20)]));
    let forced = world.settings(|settings| settings.force = true).run().await;
    assert_eq!(forced.counters().indexed, 20);
    let silent = Place {
        target: Arc::new(MemoryTarget::default().without_token()),
        folder: Arc::default(),
    };
    for _ in 0..2 {
        let ran = silent.run(Script::of(vec![docs(0..20)])).await;
        assert_eq!(ran.counters().indexed, 20);
    }
}

#[tokio::test(start_paused = true)]
async fn deletions_go_on_where_all_was_read() {
    let place = Place::new();
    let other = |ids: std::ops::Range<usize>| docs(ids.map(|n| 1000 + n));
    place.run(Script::of(vec![docs(0..30), other(0..30)])).await;
    let broken = [docs(0..10), vec![Step::Fail(ErrorKind::Timeout)]].concat();
    let second = place.run(Script::of(vec![broken, other(1..30)])).await;
    assert!(matches!(second.outcome.verdict, Verdict::Failed(_)));
    assert_eq!(numbers(second.counters()), (0, 39, 1));
    assert_eq!(place.target.deletions(), ["1000"]);
    // The part that was not read is still known.
    let third = place.run(Script::of(vec![docs(0..29), other(1..30)])).await;
    assert_eq!(numbers(third.counters()), (0, 58, 1));
    assert_eq!(place.target.deletions(), ["1000", "0029"]);
}

#[tokio::test(start_paused = true)]
async fn where_ids_move_a_gap_anywhere_keeps_everything() {
    let place = Place::new();
    let wandering = Promises {
        ids_stay: false,
        ..snapshot()
    };
    let script = |units: Vec<Vec<Step>>| Script::of(units).promising(wandering);
    place.run(script(vec![docs(0..10), docs(10..20)])).await;
    let broken = vec![Step::Fail(ErrorKind::Timeout)];
    place.run(script(vec![broken, docs(11..20)])).await;
    assert_eq!(place.target.deletions(), Vec::<String>::new());
    let moved = [docs(1..10), docs(11..20)].concat();
    let third = place.run(script(vec![moved, Vec::new()])).await;
    assert_eq!(third.outcome.verdict, Verdict::Completed);
    assert_eq!(third.counters().deleted, 2);
    let mut deleted = place.target.deletions();
    deleted.sort();
    assert_eq!(deleted, ["0000", "0010"]);
}

#[tokio::test(start_paused = true)]
async fn a_unit_that_is_not_announced_any_more_is_gone_with_its_documents() {
    let place = Place::new();
    place.run(Script::of(vec![docs(0..10), docs(10..20)])).await;
    let mut script = Script::of(vec![docs(0..10)]);
    script.announce_error = Some(ErrorKind::Timeout);
    place.run(script).await;
    assert_eq!(place.target.deletions().len(), 0);
    let third = place.run(Script::of(vec![docs(0..10)])).await;
    assert_eq!(numbers(third.counters()), (0, 10, 10));
    let fourth = place.run(Script::of(vec![docs(0..10), docs(10..20)])).await;
    assert_eq!(numbers(fourth.counters()), (10, 10, 0));
}

#[tokio::test(start_paused = true)]
async fn what_nobody_can_tell_is_deleted_when_it_is_missed_again() {
    let place = Place::new();
    let keyed = Promises {
        listing: Listing::Keyed,
        ..snapshot()
    };
    place.target.put("stranger", json!({"v": 1}));
    let script = |ids: std::ops::Range<usize>| Script::of(vec![docs(ids)]).promising(keyed);
    let first = place.run(script(0..10)).await;
    assert_eq!((first.counters().deleted, first.counters().kept), (0, 1));
    let mut unanswered = script(1..10);
    unanswered.confirm_error = Some(ErrorKind::Timeout);
    let second = place.run(unanswered).await;
    assert_eq!((second.counters().deleted, second.counters().kept), (0, 2));
    let third = place.run(script(1..10)).await;
    assert_eq!((third.counters().deleted, third.counters().kept), (1, 1));
    let mut present = script(1..10);
    present.answers.insert("0000", Presence::Present);
    let fourth = place.run(present).await;
    assert_eq!((fourth.counters().deleted, fourth.counters().kept), (0, 1));
    let fifth = place.run(script(1..10)).await;
    assert_eq!((fifth.counters().deleted, fifth.counters().kept), (0, 1));
    let sixth = place.run(script(1..10)).await;
    assert_eq!((sixth.counters().deleted, sixth.counters().kept), (1, 0));
    assert_eq!(place.target.deletions(), ["stranger", "0000"]);
}

#[tokio::test(start_paused = true)]
async fn what_rules_keep_out_now_goes_without_a_question() {
    let place = Place::new();
    let keyed = Promises {
        listing: Listing::Keyed,
        ..snapshot()
    };
    let script = || {
        let mut script = Script::of(vec![docs(0..4)]).promising(keyed);
        script.answers.insert("0002", Presence::Present);
        script
    };
    place.run(script()).await;
    let rule = json!([{"id": "1", "policy": "exclude", "field": "_id", "rule": "equals",
        "value": "0002", "order": 0}]);
    let second = place.world(script()).rules(rule).run().await;
    assert_eq!(second.counters().filtered, 1);
    assert_eq!(place.target.deletions(), ["0002"]);
    assert!(second.script.confirmed.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_refused_document_is_tried_again_and_not_deleted() {
    let place = Place::new();
    place.run(Script::of(vec![docs(0..4)])).await;
    let skip = [docs(0..2), vec![Step::Skip("0002")], docs(3..4)].concat();
    let second = place.run(Script::of(vec![skip])).await;
    assert_eq!(numbers(second.counters()), (0, 3, 0));
    let third = place.run(Script::of(vec![docs(0..4)])).await;
    assert_eq!(numbers(third.counters()), (1, 3, 0));
}

#[tokio::test(start_paused = true)]
async fn damaged_memory_costs_a_full_sync_and_deletes_nothing_wrongly() {
    for file in ["head", "m-1-0"] {
        for share in [0.2, 0.5, 0.9] {
            let place = Place::new();
            place.run(Script::of(vec![docs(0..50)])).await;
            place.folder.alter(file, |bytes| {
                let at = (bytes.len() as f64 * share) as usize;
                bytes[at] ^= 1;
            });
            let ran = place.run(Script::of(vec![docs(0..50)])).await;
            assert_eq!(ran.outcome.verdict, Verdict::Completed, "{file} {share}");
            assert_eq!(numbers(ran.counters()), (50, 0, 0), "{file} {share}");
            let last = place.run(Script::of(vec![docs(1..50)])).await;
            assert_eq!(numbers(last.counters()), (0, 49, 1), "{file} {share}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_ends_the_job_and_the_next_one_puts_it_right() {
    for call in 1.. {
        let place = Place::new();
        place.run(Script::of(vec![docs(0..50)])).await;
        place.folder.fail_at(call);
        let second = place.run(Script::of(vec![docs(5..55)])).await;
        let Verdict::Failed(why) = &second.outcome.verdict else {
            assert!(call > 20, "{call}");
            break;
        };
        assert!(why.contains("no space left"), "{why}");
        let third = place.run(Script::of(vec![docs(5..55)])).await;
        assert_eq!(third.outcome.verdict, Verdict::Completed);
        assert_eq!(place.target.ids().len(), 50, "call {call}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_brake_keeps_what_is_known() {
    let place = Place::new();
    place.run(Script::of(vec![docs(0..2500)])).await;
    let second = place.run(Script::of(vec![docs(0..100)])).await;
    let Verdict::Failed(why) = &second.outcome.verdict else {
        panic!("{:?}", second.outcome.verdict);
    };
    assert!(why.contains("2400") && why.contains("2500"), "{why}");
    assert_eq!(second.counters().deleted, 0);
    let third = place.run(Script::of(vec![docs(0..2500)])).await;
    assert_eq!(third.outcome.verdict, Verdict::Completed);
    assert_eq!(third.counters().deleted, 0);
    let world = place.world(Script::of(vec![docs(0..100)]));
    let fourth = world
        .settings(|settings| settings.brake.released = true)
        .run()
        .await;
    assert_eq!(fourth.counters().deleted, 2400);
}

#[tokio::test(start_paused = true)]
async fn a_document_that_was_changed_by_hand_and_is_gone_from_the_source_goes() {
    let place = Place::new();
    place.run(Script::of(vec![docs(0..20)])).await;
    place.target.put("0003", json!({"v": "by hand"}));
    place.target.remove("0004");
    let steps = [docs(0..3), docs(5..20)].concat();
    let second = place.run(Script::of(vec![steps])).await;
    assert_eq!(numbers(second.counters()), (0, 18, 1));
    assert_eq!(place.target.deletions(), ["0003"]);
}

#[tokio::test(start_paused = true)]
async fn many_documents_are_compared_in_parts() {
    let place = Place::new();
    let ids = 0..70_000;
    place.run(Script::of(vec![docs(ids.clone())])).await;
    for id in ["0100", "10500", "69999"] {
        place.target.put(id, json!({}));
    }
    let second = place.run(Script::of(vec![docs(ids)])).await;
    assert_eq!(numbers(second.counters()), (3, 69_997, 0));
}

#[tokio::test(start_paused = true)]
async fn what_somebody_else_wrote_where_nothing_was_read_is_put_right_later() {
    let place = Place::new();
    place.run(Script::of(vec![docs(0..10), docs(10..20)])).await;
    place.target.put("0015", json!({"v": "by hand"}));
    let mut part = Script::of(vec![docs(0..10)]);
    part.announce_error = Some(ErrorKind::Timeout);
    place.run(part).await;
    let third = place.run(Script::of(vec![docs(0..10), docs(10..20)])).await;
    assert_eq!(numbers(third.counters()), (1, 19, 0));
    assert_eq!(place.target.source("0015").unwrap()["v"], 1);
}

#[tokio::test(start_paused = true)]
async fn what_somebody_else_did_beside_a_failed_request_is_noticed() {
    let refused = |number: usize, call: &Call| match call {
        Call::Bulk(_) if number < 5 => Some(Fault::Refused(TargetErrorKind::Unavailable)),
        _ => None,
    };
    let target = Arc::new(MemoryTarget::scripted(refused));
    let place = Place {
        target: Arc::clone(&target),
        ..Place::new()
    };
    let steps = || [docs(0..20), vec![Step::Sleep(20_000)]].concat();
    let meddler = async {
        tokio::time::sleep(Duration::from_secs(15)).await;
        target.remove("0007");
    };
    let (first, ()) = tokio::join!(place.run(Script::of(vec![steps()])), meddler);
    assert_eq!(first.outcome.verdict, Verdict::Completed);
    assert!(first.counters().retried > 0 && target.source("0007").is_none());
    // The request that failed took no sequence number; the deletion took one.
    let second = place.run(Script::of(vec![steps()])).await;
    assert_eq!(numbers(second.counters()), (1, 19, 0));
}
