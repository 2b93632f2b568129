//! What is deleted, and what is not.

use crate::world::*;
use serde_json::json;
use std::collections::HashMap;
use tributary_engine::{Brake, TargetErrorKind, Verdict};
use tributary_sdk::{ErrorKind, JobKind, Listing, Presence, Promises};
use tributary_testkit::memory::{Call, Fault, MemoryFiles, MemoryTarget};

fn filled(ids: &[&str]) -> MemoryTarget {
    fill(MemoryTarget::default(), ids)
}

fn fill(target: MemoryTarget, ids: &[&str]) -> MemoryTarget {
    for id in ids {
        target.put(id, json!({"v": 0}));
    }
    target
}

fn keyed() -> Promises {
    Promises {
        listing: Listing::Keyed,
        ids_stay: true,
        parallel: 2,
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_snapshot_does_not_list_is_deleted() {
    let target = filled(&["a", "b", "c", "d", "e", "f", "g", "h", "i"]);
    let ran = World::new(Script::docs(&["b", "x"]), target).run().await;
    assert_eq!(ran.target.ids(), ["b", "x"]);
    assert_eq!((ran.counters().deleted, ran.counters().indexed), (8, 2));
    assert_eq!(ran.outcome.total_documents, Some(2));
}

#[tokio::test(start_paused = true)]
async fn with_a_gap_nothing_is_deleted() {
    for (kind, is_denied) in [
        (ErrorKind::Unavailable, false),
        (ErrorKind::BadResponse, false),
        (ErrorKind::NotFound, false),
        (ErrorKind::Timeout, false),
        (ErrorKind::Forbidden, true),
        (ErrorKind::Unsupported, true),
    ] {
        let failing = vec![Step::Upsert("b", json!({})), Step::Fail(kind)];
        let reporting = vec![Step::Upsert("b", json!({})), Step::Gap("p", kind)];
        for steps in [failing, reporting] {
            let script = Script::of(vec![vec![Step::Upsert("a", json!({}))], steps]);
            let ran = World::new(script, filled(&["a", "old"])).run().await;
            assert_eq!(ran.target.ids(), ["a", "b", "old"], "{kind:?}");
            assert_eq!(ran.outcome.gap_count, 1);
            assert_eq!(ran.counters().deleted, 0);
            match &ran.outcome.verdict {
                Verdict::Warning(text) => assert!(is_denied && text.contains("unit/1"), "{text}"),
                Verdict::Failed(text) => assert!(!is_denied && text.contains("unit/1"), "{text}"),
                other => panic!("{other}"),
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn some_errors_end_the_job_and_nothing_is_deleted() {
    for kind in [
        ErrorKind::Unauthorised,
        ErrorKind::InvalidConfig,
        ErrorKind::Internal,
    ] {
        let script = Script::of(vec![
            vec![Step::Fail(kind)],
            vec![Step::Upsert("a", json!({}))],
        ]);
        let ran = World::new(script, filled(&["old"])).run().await;
        assert!(
            matches!(ran.outcome.verdict, Verdict::Failed(_)),
            "{kind:?}"
        );
        assert!(ran.target.ids().contains(&"old".to_owned()));
    }
}

#[tokio::test(start_paused = true)]
async fn units_that_could_not_be_announced_are_a_gap_of_everything() {
    let mut script = Script::docs(&["a"]);
    script.announce_error = Some(ErrorKind::Unavailable);
    let ran = World::new(script, filled(&["old"])).run().await;
    assert_eq!(ran.target.ids(), ["a", "old"]);
    let Verdict::Failed(text) = &ran.outcome.verdict else {
        panic!("{}", ran.outcome.verdict)
    };
    assert!(text.contains("everything"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_source_that_cannot_be_opened_touches_nothing() {
    let mut script = Script::docs(&[]);
    script.open_error = Some(ErrorKind::NotFound);
    let ran = World::new(script, filled(&["old"])).run().await;
    assert_eq!(ran.target.ids(), ["old"]);
    assert!(matches!(ran.outcome.verdict, Verdict::Failed(_)));
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_walk_fails_the_job_and_deletes_nothing() {
    let script = Script::of(vec![vec![Step::Upsert("a", json!({})), Step::Panic]]);
    let ran = World::new(script, filled(&["old"])).run().await;
    assert!(ran.target.ids().contains(&"old".to_owned()));
    let Verdict::Failed(text) = &ran.outcome.verdict else {
        panic!("{}", ran.outcome.verdict)
    };
    assert!(
        text.contains("scripted panic") || text.contains("mistake of Tributary"),
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn without_a_snapshot_the_source_is_asked() {
    let mut script = Script::docs(&["a"]).promising(keyed());
    script.answers = HashMap::from([("gone", Presence::Gone), ("there", Presence::Present)]);
    let ran = World::new(script, filled(&["gone", "there", "who", "a"]))
        .run()
        .await;
    assert_eq!(ran.target.ids(), ["a", "there", "who"]);
    assert_eq!((ran.counters().deleted, ran.counters().kept), (1, 2));
    assert_eq!(ran.script.confirmed.lock().unwrap().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_cannot_answer_keeps_all() {
    for (kind, ends_job) in [
        (ErrorKind::Unavailable, false),
        (ErrorKind::Unauthorised, true),
    ] {
        let mut script = Script::docs(&["a"]).promising(keyed());
        script.confirm_error = Some(kind);
        let ran = World::new(script, filled(&["old"])).run().await;
        assert_eq!(ran.target.ids(), ["a", "old"]);
        assert_eq!(matches!(ran.outcome.verdict, Verdict::Failed(_)), ends_job);
    }
}

#[tokio::test(start_paused = true)]
async fn a_document_that_changed_since_the_scan_is_not_deleted() {
    let target = std::sync::Arc::new(filled(&["old", "changing"]));
    let script = std::sync::Arc::new(Script::docs(&["a"]));
    let world = World::over(script, target.clone());
    let run = tokio::spawn(world.run());
    // As soon as the scan is over, somebody writes.
    loop {
        if target.calls().contains(&Call::Page) {
            target.put("changing", json!({"v": "new"}));
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    let ran = run.await.unwrap();
    assert_eq!(ran.target.ids(), ["a", "changing"]);
    assert_eq!((ran.counters().deleted, ran.counters().bounced), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn announced_deletions_are_carried_out_last() {
    let script = Script::of(vec![vec![
        Step::Upsert("a", json!({})),
        Step::Delete("b"),
        Step::Delete("back"),
        Step::Upsert("back", json!({"v": 2})),
        Step::Upsert("leaves", json!({})),
        Step::Delete("leaves"),
        Step::Delete("never"),
    ]]);
    let mut world = World::new(script, filled(&["b", "back", "stranger"]));
    world.job.run.kind = JobKind::Incremental;
    let ran = world.run().await;
    assert_eq!(ran.target.ids(), ["a", "back", "stranger"]);
    assert_eq!(ran.counters().deleted, 2);
    let calls = ran.target.calls();
    assert!(
        !calls.contains(&Call::Scan),
        "an incremental job deletes only what it was told"
    );
}

#[tokio::test(start_paused = true)]
async fn a_deletion_is_void_if_another_unit_has_the_document() {
    let script = Script::of(vec![
        vec![
            Step::Upsert("moved", json!({"v": "here"})),
            Step::Sleep(500),
        ],
        vec![Step::Sleep(100), Step::Delete("moved")],
    ]);
    let script = script.promising(Promises {
        listing: Listing::Keyed,
        ids_stay: false,
        parallel: 2,
    });
    let ran = World::new(script, filled(&["moved"])).run().await;
    assert_eq!(ran.target.source("moved").unwrap()["v"], "here");
    assert_eq!(ran.counters().deleted, 0);
}

#[tokio::test(start_paused = true)]
async fn announced_deletions_are_confirmed_where_ids_move() {
    let steps = vec![
        Step::Delete("gone"),
        Step::Delete("there"),
        Step::Delete("who"),
    ];
    let mut script = Script::of(vec![steps]).promising(Promises::default());
    script.answers = HashMap::from([("gone", Presence::Gone), ("there", Presence::Present)]);
    let mut world = World::new(script, filled(&["gone", "there", "who"]));
    world.job.run.kind = JobKind::Incremental;
    let ran = world.run().await;
    assert_eq!(
        ran.target.ids(),
        ["there"],
        "unknown, told gone, and nothing hides: gone"
    );
    let steps = vec![
        Step::Delete("gone"),
        Step::Delete("who"),
        Step::Gap("p", ErrorKind::Timeout),
    ];
    let mut script = Script::of(vec![steps]).promising(Promises::default());
    script.answers = HashMap::from([("gone", Presence::Gone)]);
    let ran = World::new(script, filled(&["gone", "who"])).run().await;
    assert_eq!(ran.target.ids(), ["who"], "with a gap it may hide there");
}

fn many(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{n:05}")).collect()
}

#[tokio::test(start_paused = true)]
async fn the_brake_stops_a_mass_deletion() {
    let ids = many(3000);
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let ran = World::new(Script::docs(&["a"]), filled(&ids)).run().await;
    assert_eq!(ran.target.ids().len(), 3001);
    let Verdict::Failed(text) = &ran.outcome.verdict else {
        panic!("{}", ran.outcome.verdict)
    };
    assert!(
        text.contains("3000") && text.contains("deleted nothing"),
        "{text}"
    );
    let world = World::new(Script::docs(&["a"]), filled(&ids));
    let ran = world
        .settings(|settings| settings.brake.released = true)
        .run()
        .await;
    assert_eq!(ran.target.ids(), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn the_brake_lets_small_and_ordinary_deletions_pass() {
    let ids = many(1000);
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let ran = World::new(Script::docs(&["a"]), filled(&ids)).run().await;
    assert_eq!(ran.target.ids(), ["a"], "1,000 are few");
}

#[tokio::test(start_paused = true)]
async fn the_brake_remembers_how_large_the_index_was() {
    let ids = many(2600);
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let kept: Vec<&'static str> = many(1400)
        .into_iter()
        .map(|id| &*Box::leak(id.into_boxed_str()))
        .collect();
    let world = |highest| {
        let world = World::new(Script::docs(&kept), filled(&ids));
        world.settings(|settings| {
            settings.brake = Brake {
                highest_count: highest,
                released: false,
            }
        })
    };
    let ran = world(None).run().await;
    assert_eq!(ran.target.ids().len(), 1400, "1,200 of 2,600");
    let ran = world(Some(5000)).run().await;
    assert_eq!(ran.target.ids().len(), 2600, "1,400 of 5,000 would be left");
}

#[tokio::test(start_paused = true)]
async fn scratch_files_give_the_same_answer_as_memory() {
    let ids = many(400);
    let listed: Vec<&'static str> = ids
        .iter()
        .step_by(2)
        .map(|id| &*Box::leak(id.clone().into_boxed_str()))
        .collect();
    let filled_ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    for ids_in_memory in [1, 10, 150, 1000] {
        let world = World::new(Script::docs(&listed), filled(&filled_ids));
        let ran = world
            .settings(|settings| settings.ids_in_memory = ids_in_memory)
            .run()
            .await;
        assert_eq!(ran.target.ids(), listed);
        assert_eq!((ran.counters().deleted, ran.counters().indexed), (200, 200));
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_at_any_moment_deletes_nothing() {
    let ids = many(60);
    let listed: Vec<&'static str> = ids[..40]
        .iter()
        .map(|id| &*Box::leak(id.clone().into_boxed_str()))
        .collect();
    let filled_ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let run = |files: MemoryFiles| {
        let world = World::new(Script::docs(&listed), filled(&filled_ids)).with_files(files);
        world.settings(|settings| settings.ids_in_memory = 8)
    };
    let world = run(MemoryFiles::default());
    let files = world.files.clone();
    let ran = world.run().await;
    assert_eq!(ran.target.ids(), listed);
    let last = files.calls();
    assert!(last > 100);
    for n in 1..=last {
        let world = run(MemoryFiles::failing_at(n));
        let files = world.files.clone();
        let ran = world.run().await;
        // How ids fall into files, and so the number of calls, differs from run to run.
        if files.calls() >= n {
            let Verdict::Failed(text) = &ran.outcome.verdict else {
                panic!("call {n}")
            };
            assert!(text.contains("disk"), "{text}");
        }
        assert!(
            listed.iter().all(|id| ran.target.source(id).is_some()),
            "call {n}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_scan_that_breaks_begins_again() {
    let target = MemoryTarget::scripted(|number, call| match call {
        Call::Scan if number < 4 => Some(Fault::Refused(TargetErrorKind::Unavailable)),
        Call::Page if number < 8 => Some(Fault::Refused(TargetErrorKind::Unavailable)),
        _ => None,
    });
    let ran = World::new(Script::docs(&["a"]), fill(target, &["old", "older"]))
        .run()
        .await;
    assert_eq!(ran.outcome.verdict, Verdict::Completed);
    assert_eq!(ran.target.ids(), ["a"]);
    assert_eq!(ran.counters().deleted, 2);
}

#[tokio::test(start_paused = true)]
async fn a_scan_that_is_forbidden_deletes_nothing() {
    let target = MemoryTarget::scripted(|_, call| match call {
        Call::Page => Some(Fault::Refused(TargetErrorKind::Forbidden)),
        _ => None,
    });
    let ran = World::new(Script::docs(&["a"]), fill(target, &["old"]))
        .run()
        .await;
    assert_eq!(ran.target.ids(), ["a", "old"]);
    let Verdict::Failed(text) = &ran.outcome.verdict else {
        panic!()
    };
    assert!(text.contains("nothing was deleted"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_deletion_whose_answer_was_lost_counts_once() {
    let lost = std::sync::atomic::AtomicBool::new(true);
    let target = MemoryTarget::scripted(move |_, call| match call {
        Call::Bulk(_) if lost.swap(false, std::sync::atomic::Ordering::SeqCst) => Some(Fault::Half),
        _ => None,
    });
    let ran = World::new(Script::docs(&[]), fill(target, &["old", "older"]))
        .run()
        .await;
    assert_eq!(ran.target.ids(), Vec::<String>::new());
    assert_eq!(ran.counters().deleted, 2);
}
