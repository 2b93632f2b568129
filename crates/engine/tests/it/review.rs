//! Order, deletions, counters and memory where several things happen at once.

use crate::world::*;
use serde_json::json;
use std::{
    collections::HashMap,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::Duration,
};
use tributary_engine::{TargetErrorKind, Verdict};
use tributary_sdk::{Access, ErrorKind, JobKind, Listing, Presence, Promises};
use tributary_testkit::memory::{Call, Fault, MemoryTarget};

const BUSY: &str = "es_rejected_execution_exception";

fn filled(ids: &[&str]) -> MemoryTarget {
    let target = MemoryTarget::default();
    for id in ids {
        target.put(id, json!({"v": 0}));
    }
    target
}

fn moving(listing: Listing) -> Promises {
    Promises {
        listing,
        ids_stay: false,
        parallel: 4,
    }
}

fn bulks(ran: &Ran) -> Vec<Vec<String>> {
    let calls = ran.target.calls().into_iter();
    calls
        .filter_map(|call| match call {
            Call::Bulk(ids) => Some(ids),
            _ => None,
        })
        .collect()
}

fn names(count: usize) -> Vec<&'static str> {
    (0..count)
        .map(|n| &*Box::leak(format!("{n:05}").into_boxed_str()))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn the_newest_version_wins_whenever_an_older_one_is_due_again() {
    for moment in 0..60 {
        let is_first = AtomicBool::new(true);
        let target = MemoryTarget::scripted(move |_, call| match call {
            Call::Bulk(_) if is_first.swap(false, Ordering::SeqCst) => {
                Some(Fault::Items(vec![("x".into(), 429, BUSY)]))
            }
            _ => None,
        });
        let steps = vec![
            Step::Upsert("x", json!({"v": 1})),
            Step::Sleep(1200), // version 1 was refused by now and waits for its next attempt
            Step::Upsert("x", json!({"v": 2})),
            Step::Sleep(200 + moment * 10),
            Step::Upsert("x", json!({"v": 3})),
        ];
        let ran = World::new(Script::of(vec![steps]), target).run().await;
        assert_eq!(ran.target.source("x").unwrap()["v"], 3, "moment {moment}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_deletion_is_void_once_the_document_shows_a_sign_of_life() {
    let signs = [
        Step::Skip("x"),
        Step::Access("x", Access::tokens(["user:1"])),
        Step::Upsert("x", json!({"v": 1})),
    ];
    for sign in &signs {
        // In the same walk, afterwards.
        let steps = vec![Step::Delete("x"), sign.clone()];
        let mut world = World::new(Script::of(vec![steps]), filled(&["x"]));
        world.job.run.kind = JobKind::Incremental;
        assert_eq!(world.run().await.target.ids(), ["x"], "{sign:?}");
        // In another walk, before and afterwards.
        for (pause, other_pause) in [(0, 500), (500, 0)] {
            let script = Script::of(vec![
                vec![Step::Sleep(pause), sign.clone()],
                vec![Step::Sleep(other_pause), Step::Delete("x")],
            ]);
            let script = script.promising(moving(Listing::Keyed));
            let mut world = World::new(script, filled(&["x"]));
            world.job.run.kind = JobKind::Incremental;
            assert_eq!(world.run().await.target.ids(), ["x"], "{sign:?} {pause}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_document_that_left_its_first_unit_and_lives_in_a_second_stays() {
    let script = Script::of(vec![
        vec![
            Step::Upsert("x", json!({})),
            Step::Sleep(1000),
            Step::Delete("x"),
        ],
        vec![Step::Sleep(500), Step::Upsert("x", json!({}))],
    ]);
    let script = script.promising(moving(Listing::Keyed));
    let ran = World::new(script, filled(&["x"])).run().await;
    assert_eq!(ran.target.ids(), ["x"]);
    // Once the second unit has lost it, too, it is gone.
    let script = Script::of(vec![
        vec![
            Step::Upsert("x", json!({})),
            Step::Sleep(1000),
            Step::Delete("x"),
        ],
        vec![
            Step::Sleep(500),
            Step::Upsert("x", json!({})),
            Step::Sleep(1000),
            Step::Delete("x"),
        ],
    ]);
    let script = script.promising(moving(Listing::Keyed));
    let ran = World::new(script, filled(&["x"])).run().await;
    assert!(ran.target.ids().is_empty());
}

#[tokio::test(start_paused = true)]
async fn in_a_run_too_large_to_remember_owners_only_the_word_of_the_source_deletes() {
    let script = || {
        Script::of(vec![
            vec![Step::Upsert("a", json!({})), Step::Upsert("x", json!({}))],
            vec![Step::Sleep(500), Step::Delete("x")],
        ])
        .promising(moving(Listing::Keyed))
    };
    let few = |world: World| world.settings(|settings| settings.ids_in_memory = 1);
    let ran = few(World::new(script(), filled(&["x"]))).run().await;
    assert_eq!(ran.target.ids(), ["a", "x"]);
    let mut script = script();
    script.answers = HashMap::from([("x", Presence::Gone)]);
    let ran = few(World::new(script, filled(&["x"]))).run().await;
    assert_eq!(ran.target.ids(), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn a_person_who_comes_back_stays() {
    let steps = vec![Step::Delete("ada"), Step::Document(doc("ada"))];
    let mut world = World::new(Script::of(vec![steps]), filled(&["ada"]));
    world.job.run.kind = JobKind::AccessControl;
    assert_eq!(world.run().await.target.ids(), ["ada"]);
}

#[tokio::test(start_paused = true)]
async fn what_was_told_gone_and_stays_is_asked_about_once() {
    for listing in [Listing::Snapshot, Listing::Keyed] {
        let steps = vec![Step::Upsert("a", json!({})), Step::Delete("there")];
        let mut script = Script::of(vec![steps]).promising(moving(listing));
        script.answers = HashMap::from([("there", Presence::Present)]);
        let ran = World::new(script, filled(&["there"])).run().await;
        assert_eq!(ran.target.ids(), ["a", "there"], "{listing:?}");
        assert_eq!(ran.counters().kept, 1);
        assert_eq!(*ran.script.confirmed.lock().unwrap(), ["there"]);
    }
}

#[tokio::test(start_paused = true)]
async fn changes_of_access_wait_for_room_while_the_index_is_away() {
    let steps = names(20_000)
        .into_iter()
        .map(|id| Step::Access(id, Access::tokens(["user:1"])));
    let away = MemoryTarget::scripted(|_, call| match call {
        Call::Bulk(_) => Some(Fault::Refused(TargetErrorKind::Unavailable)),
        _ => None,
    });
    let script = Script::of(vec![steps.collect()]);
    let world = World::new(script, away).settings(|settings| settings.document_pool = 64 << 10);
    let stop = world.stop.clone();
    let running = tokio::spawn(world.run());
    tokio::time::sleep(Duration::from_secs(60)).await;
    stop.stop();
    let ran = running.await.unwrap();
    assert_eq!(ran.outcome.verdict, Verdict::Stopped);
    assert!(ran.counters().extracted < 1000, "{:?}", ran.counters());
}

#[tokio::test(start_paused = true)]
async fn each_document_counts_once_under_what_became_of_it() {
    let large = || json!({"v": "x".repeat(2000)});
    let rules = json!([
        {"id": "r1", "policy": "exclude", "field": "kind", "rule": "equals", "value": "draft", "order": 0},
        {"id": "DEFAULT", "policy": "include", "field": "_", "rule": "regex", "value": ".*", "order": 1},
    ]);
    let target = MemoryTarget::default().refusing_field("bad");
    // A refused field is taken out once, so two of them fail.
    let target = target.refusing_field("worse");
    let script = Script::of(vec![vec![
        Step::Upsert("large", large()),
        Step::Upsert("large", large()),
        Step::Upsert("shrinks", large()),
        Step::Upsert("shrinks", json!({})),
        Step::Upsert("fails", json!({"bad": 1, "worse": 1})),
        Step::Upsert("draft", json!({"kind": "draft"})),
        Step::Upsert("draft", json!({"kind": "draft"})),
        Step::Skip("odd"),
        Step::Skip("odd"),
        Step::Upsert("twice", json!({})),
        Step::Sleep(3000),
        Step::Upsert("twice", json!({})),
    ]]);
    let world = World::new(script, target).rules(rules);
    let world = world.settings(|settings| settings.max_text_size = 1000);
    let ran = world.run().await;
    let counters = ran.counters();
    assert_eq!((counters.extracted, counters.duplicates), (6, 5));
    assert_eq!((counters.indexed, counters.failed), (2, 1));
    assert_eq!(
        (counters.too_large, counters.filtered, counters.skipped),
        (1, 1, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn a_run_that_breaks_off_counts_each_document_once_too() {
    let steps = vec![
        Step::Upsert("x", json!({})),
        Step::Sleep(3000),
        Step::Upsert("x", json!({})),
        Step::Sleep(3000),
        Step::Fail(ErrorKind::Unauthorised),
    ];
    let ran = World::new(Script::of(vec![steps]), MemoryTarget::default())
        .run()
        .await;
    assert!(matches!(ran.outcome.verdict, Verdict::Failed(_)));
    assert_eq!(ran.target.writes("x"), 2);
    assert_eq!(ran.counters().indexed, 1);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_stopped_counts_each_document_once_too() {
    let steps = vec![
        Step::Upsert("x", json!({})),
        Step::Sleep(3000),
        Step::Upsert("x", json!({})),
        Step::Sleep(3_600_000),
    ];
    let world = World::new(Script::of(vec![steps]), MemoryTarget::default());
    let stop = world.stop.clone();
    let running = tokio::spawn(world.run());
    tokio::time::sleep(Duration::from_secs(10)).await;
    stop.stop();
    let ran = running.await.unwrap();
    assert_eq!(ran.outcome.verdict, Verdict::Stopped);
    assert_eq!(ran.target.writes("x"), 2);
    assert_eq!(ran.counters().indexed, 1);
}

#[tokio::test(start_paused = true)]
async fn the_brake_looks_at_what_would_be_deleted_and_not_at_what_is_asked_about() {
    let ids = names(3000);
    let script = || {
        Script::docs(&["a"]).promising(Promises {
            listing: Listing::Keyed,
            ..snapshot()
        })
    };
    let ran = World::new(script(), filled(&ids)).run().await;
    assert_eq!(ran.outcome.verdict, Verdict::Completed);
    assert_eq!((ran.counters().kept, ran.counters().deleted), (3000, 0));
    let mut script = script();
    script.answers = ids[..2000].iter().map(|id| (*id, Presence::Gone)).collect();
    let ran = World::new(script, filled(&ids)).run().await;
    let Verdict::Failed(text) = &ran.outcome.verdict else {
        panic!("{}", ran.outcome.verdict)
    };
    assert!(text.contains("delete 2000 documents"), "{text}");
    assert_eq!(ran.counters().deleted, 0);
}

#[tokio::test(start_paused = true)]
async fn requests_that_fail_together_are_one_failure() {
    let ids = names(40);
    let begin = tokio::time::Instant::now();
    let target = MemoryTarget::scripted(move |_, call| {
        let is_away = begin.elapsed() < Duration::from_millis(200);
        (matches!(call, Call::Bulk(_)) && is_away)
            .then_some(Fault::Refused(TargetErrorKind::Unavailable))
    });
    let world = World::new(Script::docs(&ids), target).settings(|settings| {
        settings.chunk_entries = Some(4);
        settings.max_concurrency = Some(10);
    });
    let ran = world.run().await;
    assert_eq!(ran.outcome.verdict, Verdict::Completed);
    assert!(
        begin.elapsed() < Duration::from_secs(3),
        "{:?}",
        begin.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn an_index_that_refuses_documents_for_ten_minutes_is_waited_for() {
    for (status, kind) in [
        (429, BUSY),
        (429, "cluster_block_exception"),
        (503, "unavailable_shards_exception"),
    ] {
        let begin = tokio::time::Instant::now();
        let target = MemoryTarget::scripted(move |_, call| match call {
            Call::Bulk(ids) if begin.elapsed() < Duration::from_secs(600) => Some(Fault::Items(
                ids.iter().map(|id| (id.clone(), status, kind)).collect(),
            )),
            _ => None,
        });
        let ids = names(50);
        let ran = World::new(Script::docs(&ids), target).run().await;
        assert_eq!(ran.outcome.verdict, Verdict::Completed, "{kind}");
        assert_eq!(ran.target.ids(), ids);
        assert_eq!(ran.counters().failed, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn rules_judge_a_document_with_an_odd_value_by_its_other_fields() {
    let rules = json!([
        {"id": "r1", "policy": "exclude", "field": "kind", "rule": "equals", "value": "draft", "order": 0},
        {"id": "DEFAULT", "policy": "include", "field": "_", "rule": "regex", "value": ".*", "order": 1},
    ]);
    let deep: &'static str = Box::leak(("[".repeat(200) + &"]".repeat(200)).into_boxed_str());
    for odd in ["1e400", deep] {
        let document = |id: &str, kind: &str| {
            let mut document = doc(id);
            document.body = json!({"kind": kind});
            document.raw = Some(("odd", odd));
            Step::Document(document)
        };
        let script = Script::of(vec![vec![document("a", "draft"), document("b", "final")]]);
        let ran = World::new(script, MemoryTarget::default())
            .rules(rules.clone())
            .run()
            .await;
        let tried: Vec<_> = bulks(&ran).concat();
        assert_eq!(tried, ["b"], "{odd}");
        assert_eq!(ran.counters().filtered, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn an_odd_person_costs_that_person_only() {
    let mut odd = doc("odd");
    odd.raw = Some(("number", "1e400"));
    let steps = vec![Step::Document(odd), Step::Document(doc("ada"))];
    let mut world = World::new(Script::of(vec![steps]), filled(&["odd"]));
    world.job.run.kind = JobKind::AccessControl;
    let ran = world.run().await;
    assert_eq!(ran.outcome.verdict, Verdict::Completed);
    assert_eq!(ran.target.ids(), ["ada", "odd"], "what the index has stays");
    assert_eq!((ran.counters().indexed, ran.counters().failed), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn reasons_are_kept_short() {
    let long = "ü".repeat(1 << 20);
    let script = Script::of(vec![vec![Step::Document(
        doc("a").with_access(Access::Unreadable(long)),
    )]]);
    let ran = World::new(script, MemoryTarget::default()).run().await;
    let reason = &ran.outcome.oddities[0].reason;
    assert!(reason.len() < 5000, "{}", reason.len());
    assert!(reason.starts_with("written for nobody: ü") && reason.ends_with('…'));
}

#[tokio::test(start_paused = true)]
async fn requests_keep_to_the_bytes_that_were_set() {
    let steps: Vec<_> = names(20)
        .into_iter()
        .map(|id| Step::Upsert(id, json!({"v": "x".repeat(300)})))
        .collect();
    let world = World::new(Script::of(vec![steps]), MemoryTarget::default());
    let ran = world
        .settings(|settings| settings.chunk_bytes = Some(1500))
        .run()
        .await;
    let sizes: Vec<_> = bulks(&ran).iter().map(Vec::len).collect();
    assert_eq!(sizes, [2; 10], "a third one would be too much");
}

#[tokio::test(start_paused = true)]
async fn a_deletion_that_is_refused_is_no_failed_document() {
    let target = MemoryTarget::scripted(|_, call| match call {
        Call::Bulk(ids) if ids.contains(&"old".to_owned()) => {
            Some(Fault::Refused(TargetErrorKind::Rejected))
        }
        _ => None,
    });
    target.put("old", json!({}));
    let ran = World::new(Script::docs(&["a"]), target).run().await;
    assert_eq!(ran.target.ids(), ["a", "old"]);
    assert_eq!((ran.counters().failed, ran.counters().kept), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn progress_is_told_though_nothing_is_sent() {
    let rules = json!([
        {"id": "r1", "policy": "exclude", "field": "_id", "rule": "starts_with", "value": "0", "order": 0},
        {"id": "DEFAULT", "policy": "include", "field": "_", "rule": "regex", "value": ".*", "order": 1},
    ]);
    let steps = names(15)
        .into_iter()
        .flat_map(|id| [Step::Upsert(id, json!({})), Step::Sleep(1000)]);
    let script = Script::of(vec![steps.collect()]);
    let ran = World::new(script, MemoryTarget::default())
        .rules(rules)
        .run()
        .await;
    let reports = ran.reports.0.lock().unwrap();
    assert!(reports[0].extracted >= 9, "{reports:?}");
}

#[tokio::test(start_paused = true)]
async fn what_somebody_else_deleted_while_the_index_was_busy_is_not_counted_as_ours() {
    let is_first = AtomicBool::new(true);
    let target = MemoryTarget::scripted(move |_, call| {
        let kind = TargetErrorKind::Busy { retry_after: None };
        (matches!(call, Call::Bulk(_)) && is_first.swap(false, Ordering::SeqCst))
            .then_some(Fault::Refused(kind))
    });
    target.put("old", json!({}));
    let world = World::new(Script::docs(&[]), target);
    let target = world.target.clone();
    let running = tokio::spawn(world.run());
    while !target
        .calls()
        .iter()
        .any(|call| matches!(call, Call::Bulk(_)))
    {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    target.remove("old");
    assert_eq!(running.await.unwrap().counters().deleted, 0);
}

#[tokio::test(start_paused = true)]
async fn a_change_of_access_waits_for_the_document_whose_file_is_being_read() {
    let mut script = Script::of(vec![vec![
        Step::Document(doc("x").with_file("x.txt", Some(5))),
        Step::Access("x", Access::tokens(["user:1"])),
        Step::Sleep(3000),
    ]]);
    script.files = HashMap::from([("x.txt", b"hello".to_vec())]);
    // The file is being read for a while.
    script.file_errors = HashMap::from([("x.txt", vec![ErrorKind::Timeout])]);
    let ran = World::new(script, MemoryTarget::default()).run().await;
    let source = ran.target.source("x").unwrap();
    assert_eq!(source["_attachment"], "aGVsbG8=");
    assert_eq!(source["_allow_access_control"], json!(["user:1"]));
    assert_eq!(ran.target.writes("x"), 2);
}

#[tokio::test(start_paused = true)]
async fn what_is_sent_again_is_counted_each_time() {
    let calls = AtomicUsize::new(0);
    let target = MemoryTarget::scripted(move |_, call| match call {
        Call::Bulk(_) if calls.fetch_add(1, Ordering::SeqCst) < 3 => {
            Some(Fault::Items(vec![("b".into(), 429, BUSY)]))
        }
        _ => None,
    });
    let ran = World::new(Script::docs(&["a", "b", "c"]), target)
        .run()
        .await;
    assert_eq!((ran.counters().retried, ran.counters().requests), (3, 4));
    assert_eq!((ran.counters().indexed, ran.counters().failed), (3, 0));
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_room_gets_it_at_once() {
    let begin = tokio::time::Instant::now();
    let steps = names(40)
        .into_iter()
        .map(|id| Step::Upsert(id, json!({"v": "x".repeat(500)})));
    let script = Script::of(vec![steps.collect()]);
    let world = World::new(script, MemoryTarget::default());
    let ran = world
        .settings(|settings| settings.document_pool = 1000)
        .run()
        .await;
    assert_eq!(ran.counters().indexed, 40);
    // A batch that is not asked for waits for a second.
    assert!(
        begin.elapsed() < Duration::from_secs(5),
        "{:?}",
        begin.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn a_change_of_access_counts_as_emitted_though_the_index_lacks_the_document() {
    let steps = vec![Step::Access("missing", Access::tokens(["user:1"]))];
    let ran = World::new(Script::of(vec![steps]), MemoryTarget::default())
        .run()
        .await;
    let counters = ran.counters();
    assert_eq!((counters.extracted, counters.duplicates), (1, 0));
    assert_eq!((counters.indexed, counters.failed), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_dead_cursor_where_there_was_none_is_a_gap() {
    let steps = vec![
        Step::Upsert("a", json!({})),
        Step::Fail(ErrorKind::DeadCursor),
    ];
    let ran = World::new(Script::of(vec![steps]), filled(&["old"]))
        .run()
        .await;
    assert!(matches!(ran.outcome.verdict, Verdict::Failed(_)));
    assert_eq!(ran.target.ids(), ["a", "old"]);
    assert_eq!(*ran.script.walks.lock().unwrap(), [0]);
}

#[tokio::test(start_paused = true)]
async fn patience_begins_anew_after_each_outage() {
    let begin = tokio::time::Instant::now();
    let target = MemoryTarget::scripted(move |_, call| {
        let minute = begin.elapsed().as_secs() / 60;
        let is_away = (0..10).contains(&minute) || (20..30).contains(&minute);
        (matches!(call, Call::Bulk(_)) && is_away)
            .then_some(Fault::Refused(TargetErrorKind::Unavailable))
    });
    let steps = vec![
        Step::Upsert("a", json!({})),
        Step::Sleep(21 * 60_000),
        Step::Upsert("b", json!({})),
    ];
    let ran = World::new(Script::of(vec![steps]), target).run().await;
    assert_eq!(ran.outcome.verdict, Verdict::Completed);
    assert_eq!(ran.target.ids(), ["a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn a_change_of_access_that_met_another_change_is_tried_again() {
    let is_first = AtomicBool::new(true);
    let target = MemoryTarget::scripted(move |_, call| match call {
        Call::Bulk(_) if is_first.swap(false, Ordering::SeqCst) => Some(Fault::Items(vec![(
            "x".into(),
            409,
            "version_conflict_engine_exception",
        )])),
        _ => None,
    });
    target.put("x", json!({"v": 1}));
    let steps = vec![Step::Access("x", Access::tokens(["user:1"]))];
    let ran = World::new(Script::of(vec![steps]), target).run().await;
    let source = ran.target.source("x").unwrap();
    assert_eq!(source["_allow_access_control"], json!(["user:1"]));
    assert_eq!((ran.counters().retried, ran.counters().failed), (1, 0));
}
