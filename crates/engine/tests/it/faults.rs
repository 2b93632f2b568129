//! An index in trouble.

use crate::world::*;
use serde_json::json;
use std::{sync::Arc, time::Duration};
use tributary_engine::{TargetErrorKind, Verdict};
use tributary_testkit::memory::{Call, Fault, MemoryTarget};

const IDS: [&str; 12] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];

fn small_batches(world: World) -> World {
    world.settings(|settings| settings.chunk_entries = Some(6))
}

fn is_bulk(call: &Call) -> bool {
    matches!(call, Call::Bulk(_))
}

#[tokio::test(start_paused = true)]
async fn trouble_that_passes_at_any_call_loses_and_doubles_nothing() {
    let target = MemoryTarget::default();
    target.put("old", json!({}));
    let ran = small_batches(World::new(Script::docs(&IDS), target))
        .run()
        .await;
    let calls = ran.target.calls();
    let faults = [
        Fault::Refused(TargetErrorKind::Unavailable),
        Fault::Refused(TargetErrorKind::Busy {
            retry_after: Some(Duration::from_secs(7)),
        }),
        Fault::Refused(TargetErrorKind::Blocked),
        Fault::Lost,
        Fault::Half,
    ];
    for fault in faults {
        for broken in 1..=calls.len() {
            // The last call counts the documents; without it the total is not known, no more.
            let fault = fault.clone();
            let target =
                MemoryTarget::scripted(move |number, _| (number == broken).then(|| fault.clone()));
            target.put("old", json!({}));
            let ran = small_batches(World::new(Script::docs(&IDS), target))
                .run()
                .await;
            assert_eq!(ran.outcome.verdict, Verdict::Completed, "call {broken}");
            assert_eq!(ran.target.ids(), IDS);
            assert_eq!(
                (ran.counters().indexed, ran.counters().deleted),
                (12, 1),
                "call {broken}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_waiting_does_not_mend_ends_the_job_and_says_why() {
    for kind in [
        TargetErrorKind::Unauthorised,
        TargetErrorKind::Forbidden,
        TargetErrorKind::NotFound,
    ] {
        let target =
            MemoryTarget::scripted(move |_, call| is_bulk(call).then_some(Fault::Refused(kind)));
        target.put("old", json!({}));
        let ran = World::new(Script::docs(&IDS), target).run().await;
        let Verdict::Failed(text) = &ran.outcome.verdict else {
            panic!("{kind:?}")
        };
        assert!(text.contains("scripted fault"), "{text}");
        assert_eq!(ran.target.ids(), ["old"]);
    }
}

#[tokio::test(start_paused = true)]
async fn an_index_away_for_ten_minutes_is_waited_for_but_not_for_ever() {
    for kind in [
        TargetErrorKind::Unavailable,
        TargetErrorKind::Busy { retry_after: None },
        TargetErrorKind::Busy {
            retry_after: Some(Duration::from_secs(45)),
        },
        TargetErrorKind::Blocked,
    ] {
        for (minutes, is_good) in [(10, true), (40, false)] {
            let begin = tokio::time::Instant::now();
            let target = MemoryTarget::scripted(move |_, call| {
                let is_away = begin.elapsed() < Duration::from_secs(minutes * 60);
                (is_bulk(call) && is_away).then_some(Fault::Refused(kind))
            });
            target.put("old", json!({}));
            let ran = small_batches(World::new(Script::docs(&IDS), target))
                .run()
                .await;
            let counters = (ran.counters().indexed, ran.counters().deleted);
            match &ran.outcome.verdict {
                Verdict::Completed => {
                    assert!(is_good && ran.target.ids() == IDS, "{kind:?}");
                    assert_eq!(counters, (12, 1), "{kind:?}");
                    let writes = IDS.iter().map(|id| ran.target.writes(id));
                    assert_eq!(writes.sum::<usize>(), 12, "{kind:?}: none twice");
                }
                Verdict::Failed(text) => {
                    assert!(!is_good, "{kind:?}: {text}");
                    let expected = ["could not be written to", "scripted fault"];
                    assert!(expected.iter().all(|part| text.contains(part)), "{text}");
                    assert_eq!(counters, (0, 0), "{kind:?}");
                    assert_eq!(ran.target.ids(), ["old"], "{kind:?}");
                }
                other => panic!("{other}"),
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn single_items_are_sent_again_and_superseded_by_newer_versions() {
    let begin = tokio::time::Instant::now();
    let target = MemoryTarget::scripted(move |_, call| {
        let is_busy = begin.elapsed() < Duration::from_secs(5);
        let item = ("a".to_owned(), 429, "es_rejected_execution_exception");
        (is_bulk(call) && is_busy).then(|| Fault::Items(vec![item]))
    });
    let steps = vec![
        Step::Upsert("a", json!({"v": 1})),
        Step::Upsert("b", json!({"v": 1})),
        Step::Sleep(3000),
        Step::Upsert("a", json!({"v": 2})),
        Step::Sleep(8000),
    ];
    let ran = World::new(Script::of(vec![steps]), target).run().await;
    assert_eq!(ran.outcome.verdict, Verdict::Completed);
    assert_eq!(ran.target.source("a").unwrap()["v"], 2);
    assert_eq!(ran.target.writes("a"), 1, "version 1 was given up");
    assert_eq!(ran.target.writes("b"), 1);
    assert!(ran.counters().retried > 0);
}

#[tokio::test(start_paused = true)]
async fn an_item_that_never_passes_is_one_failed_document() {
    let target = MemoryTarget::scripted(|_, call| {
        let item = ("c".to_owned(), 503, "unavailable_shards_exception");
        is_bulk(call).then(|| Fault::Items(vec![item]))
    });
    target.put("c", json!({"v": "old"}));
    let ran = World::new(Script::docs(&IDS), target).run().await;
    assert_eq!(ran.outcome.verdict, Verdict::Completed);
    assert_eq!(
        ran.target.source("c").unwrap()["v"],
        "old",
        "what is there stays"
    );
    assert_eq!((ran.counters().failed, ran.counters().indexed), (1, 11));
    assert_eq!(ran.outcome.oddities[0].id, "c".into());
}

#[tokio::test(start_paused = true)]
async fn a_refused_field_is_left_out_once() {
    let steps = vec![
        Step::Upsert("a", json!({"bad": {"x": 1}, "good": 1})),
        Step::Upsert("b", json!({"good": 1})),
    ];
    let target = MemoryTarget::default().refusing_field("bad");
    let ran = World::new(Script::of(vec![steps]), target).run().await;
    assert_eq!(ran.outcome.verdict, Verdict::Completed);
    let source = ran.target.source("a").unwrap();
    assert_eq!((source.get("bad"), &source["good"]), (None, &json!(1)));
    assert_eq!(
        (ran.counters().without_field, ran.counters().indexed),
        (1, 2)
    );
    assert!(ran.outcome.oddities[0].reason.contains("bad"));
    let steps = vec![Step::Upsert("a", json!({"bad": 1, "worse": 2}))];
    let target = MemoryTarget::default()
        .refusing_field("bad")
        .refusing_field("worse");
    let ran = World::new(Script::of(vec![steps]), target).run().await;
    assert!(ran.target.ids().is_empty(), "not field after field");
    assert_eq!(
        (ran.counters().failed, ran.counters().without_field),
        (1, 0)
    );
    // One sentence about one document, and not one that says it was indexed.
    assert_eq!(ran.outcome.oddities.len(), 1, "{:?}", ran.outcome.oddities);
    let reason = &ran.outcome.oddities[0].reason;
    assert!(
        reason.contains("worse") && reason.contains("it was tried without the field bad"),
        "{reason}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_too_large_or_refused_is_split() {
    for kind in [TargetErrorKind::TooLarge, TargetErrorKind::Rejected] {
        let target = MemoryTarget::scripted(move |_, call| match call {
            Call::Bulk(ids) if ids.len() > 2 => Some(Fault::Refused(kind)),
            _ => None,
        });
        let ran = World::new(Script::docs(&IDS), target).run().await;
        assert_eq!(ran.outcome.verdict, Verdict::Completed);
        assert_eq!(ran.target.ids(), IDS);
        let target = MemoryTarget::scripted(move |_, call| match call {
            Call::Bulk(ids) if ids.contains(&"e".to_owned()) => Some(Fault::Refused(kind)),
            _ => None,
        });
        let ran = World::new(Script::docs(&IDS), target).run().await;
        assert_eq!(ran.outcome.verdict, Verdict::Completed);
        assert_eq!(
            ran.target.ids().len(),
            11,
            "one bad document costs one document"
        );
        assert_eq!(ran.counters().failed, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn an_index_that_refuses_much_fails_the_job() {
    let ids: Vec<&'static str> = (0..3000)
        .map(|n| &*Box::leak(n.to_string().into_boxed_str()))
        .collect();
    let target = MemoryTarget::scripted(|_, call| match call {
        Call::Bulk(ids) => Some(Fault::Items(
            ids.iter()
                .step_by(3)
                .map(|id| (id.clone(), 400, "document_parsing_exception"))
                .collect(),
        )),
        _ => None,
    });
    target.put("old", json!({}));
    let ran = World::new(Script::docs(&ids), target).run().await;
    let Verdict::Failed(text) = &ran.outcome.verdict else {
        panic!()
    };
    assert!(
        text.contains("max_error_rate") && text.contains("scripted fault"),
        "{text}"
    );
    assert!(ran.target.source("old").is_some());
}

#[tokio::test(start_paused = true)]
async fn items_that_say_the_index_or_a_privilege_is_missing_end_the_job() {
    for (status, kind) in [
        (404, "index_not_found_exception"),
        (403, "security_exception"),
    ] {
        let target = MemoryTarget::scripted(move |_, call| match call {
            Call::Bulk(ids) => Some(Fault::Items(
                ids.iter().map(|id| (id.clone(), status, kind)).collect(),
            )),
            _ => None,
        });
        let ran = World::new(Script::docs(&IDS), target).run().await;
        let Verdict::Failed(text) = &ran.outcome.verdict else {
            panic!()
        };
        assert!(text.contains(kind), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_job_ends_when_it_is_stopped_while_the_index_is_away() {
    let target = MemoryTarget::scripted(|_, _| Some(Fault::Refused(TargetErrorKind::Unavailable)));
    let world = World::over(Arc::new(Script::docs(&IDS)), Arc::new(target));
    let stop = world.stop.clone();
    let running = tokio::spawn(world.run());
    tokio::time::sleep(Duration::from_secs(60)).await;
    stop.stop();
    assert_eq!(running.await.unwrap().outcome.verdict, Verdict::Stopped);
}
