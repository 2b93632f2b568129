//! The way of a document, when nothing goes wrong.

use crate::world::*;
use serde_json::json;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tributary_engine::{PipelineFlags, TargetErrorKind, Verdict};
use tributary_sdk::{Access, JobKind, Promises, Stamp};
use tributary_testkit::memory::{Call, Fault, MemoryTarget};

#[tokio::test(start_paused = true)]
async fn writes_what_the_source_has() {
    let mut first = doc("a");
    first.stamp = Stamp::Item("2026-01-02T03:04:05+00:00".into());
    let script = Script::of(vec![
        vec![Step::Document(first)],
        vec![Step::Upsert("b", json!({"text": "ü"}))],
    ]);
    let ran = World::new(script, MemoryTarget::default()).run().await;
    assert_eq!(ran.outcome.verdict, Verdict::Completed);
    assert_eq!(ran.outcome.total_documents, Some(2));
    assert_eq!(
        ran.target.source("a").unwrap(),
        json!({"v": 1, "_timestamp": "2026-01-02T03:04:05+00:00", "id": "a",
            "_extract_binary_content": true, "_reduce_whitespace": true, "_run_ml_inference": true})
    );
    let stamp = &ran.target.source("b").unwrap()["_timestamp"];
    let stamp = stamp.as_str().unwrap();
    assert!(
        stamp.starts_with("2026-01-01T00:00:00.0") && stamp.ends_with("000+00:00"),
        "{stamp}"
    );
    let counters = ran.counters();
    assert_eq!(
        (counters.extracted, counters.indexed, counters.created),
        (2, 2, 2)
    );
    assert_eq!(counters.deleted, 0);
    assert!(counters.indexed_bytes > 100);
}

#[tokio::test(start_paused = true)]
async fn an_empty_source_is_a_good_run() {
    let ran = World::new(Script::of(vec![vec![]]), MemoryTarget::default())
        .run()
        .await;
    assert_eq!(ran.outcome.verdict, Verdict::Completed);
    assert_eq!(ran.outcome.total_documents, Some(0));
    assert_eq!(ran.counters().requests, 0);
}

#[tokio::test(start_paused = true)]
async fn units_are_walked_side_by_side_as_far_as_the_source_promises() {
    for (parallel, expected) in [(1, 1), (3, 3), (100, 6)] {
        let units = (0..6).map(|_| vec![Step::Sleep(100), Step::Upsert("x", json!({}))]);
        let script = Script::of(units.collect()).promising(Promises {
            parallel,
            ..snapshot()
        });
        let ran = World::new(script, MemoryTarget::default()).run().await;
        assert_eq!(ran.script.most_walking.load(Ordering::SeqCst), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn children_are_walked_too_and_each_once() {
    let mut script = Script::of(vec![
        vec![
            Step::Child(1),
            Step::Child(2),
            Step::Child(1),
            Step::Upsert("root", json!({})),
        ],
        vec![Step::Upsert("one", json!({}))],
        vec![Step::Upsert("two", json!({}))],
    ]);
    script.announced = Some(1);
    let ran = World::new(script, MemoryTarget::default()).run().await;
    assert_eq!(ran.target.ids(), ["one", "root", "two"]);
    assert_eq!(ran.target.writes("one"), 1);
    let mut walks = ran.script.walks.lock().unwrap().clone();
    walks.sort_unstable();
    assert_eq!(walks, [0, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn the_later_version_of_an_id_counts_and_it_is_counted_once() {
    let mut steps = Vec::new();
    for version in 0..50 {
        steps.push(Step::Upsert("x", json!({"v": version})));
        if version % 7 == 0 {
            steps.push(Step::Sleep(1200)); // the batch goes out in between
        }
        steps.push(Step::Upsert("y", json!({"v": version})));
    }
    let ran = World::new(Script::of(vec![steps]), MemoryTarget::default())
        .run()
        .await;
    assert_eq!(ran.target.source("x").unwrap()["v"], 49);
    assert_eq!(ran.target.source("y").unwrap()["v"], 49);
    let counters = ran.counters();
    assert_eq!((counters.extracted, counters.indexed), (2, 2));
    assert_eq!(counters.duplicates, 98);
}

#[tokio::test(start_paused = true)]
async fn a_newer_version_waits_for_the_answer_to_the_older() {
    let steps = vec![
        Step::Upsert("x", json!({"v": 1})),
        Step::Sleep(1200), // sent by now, and not answered for 10 s
        Step::Upsert("x", json!({"v": 2})),
        Step::Upsert("x", json!({"v": 3})),
    ];
    let target = MemoryTarget::default().with_latency(Duration::from_secs(10));
    let ran = World::new(Script::of(vec![steps]), target).run().await;
    assert_eq!(ran.target.source("x").unwrap()["v"], 3);
    assert_eq!(ran.target.writes("x"), 2, "version 2 was never sent");
}

#[tokio::test(start_paused = true)]
async fn a_document_of_two_units_belongs_to_the_first_where_ids_move() {
    let script = Script::of(vec![
        vec![Step::Upsert("x", json!({"v": "first"})), Step::Sleep(3000)],
        vec![Step::Sleep(100), Step::Upsert("x", json!({"v": "second"}))],
    ]);
    let script = script.promising(Promises {
        ids_stay: false,
        ..snapshot()
    });
    let ran = World::new(script, MemoryTarget::default()).run().await;
    assert_eq!(ran.target.source("x").unwrap()["v"], "first");
    assert_eq!(ran.target.writes("x"), 1);
    let counters = ran.counters();
    assert_eq!(
        (counters.extracted, counters.indexed, counters.duplicates),
        (1, 1, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn a_long_id_is_hashed() {
    let long = "ü".repeat(300);
    let script = Script::of(vec![vec![Step::Document(doc(long))]]);
    let ran = World::new(script, MemoryTarget::default()).run().await;
    let ids = ran.target.ids();
    assert_eq!(ids[0].len(), 32);
    assert_eq!(ran.target.source(&ids[0]).unwrap()["id"], ids[0].as_str());
    assert_eq!(ran.counters().hashed_ids, 1);
}

#[tokio::test(start_paused = true)]
async fn rules_keep_documents_out_and_delete_what_they_keep_out() {
    let rules = json!([
        {"id": "r1", "policy": "exclude", "field": "kind", "rule": "equals", "value": "draft", "order": 0},
        {"id": "r2", "policy": "exclude", "field": "_id", "rule": "starts_with", "value": "tmp", "order": 1},
        {"id": "DEFAULT", "policy": "include", "field": "_", "rule": "regex", "value": ".*", "order": 2},
    ]);
    let script = Script::of(vec![vec![
        Step::Upsert("a", json!({"kind": "draft"})),
        Step::Upsert("b", json!({"kind": "final"})),
        Step::Upsert("tmp1", json!({"kind": "final"})),
    ]]);
    let target = MemoryTarget::default();
    target.put("a", json!({"kind": "final"}));
    let ran = World::new(script, target).rules(rules).run().await;
    assert_eq!(ran.target.ids(), ["b"]);
    let counters = ran.counters();
    assert_eq!(
        (counters.extracted, counters.filtered, counters.indexed),
        (3, 2, 1)
    );
    assert_eq!(counters.deleted, 1);
}

#[tokio::test(start_paused = true)]
async fn access_is_written_and_never_as_an_empty_list() {
    let script = Script::of(vec![vec![
        Step::Document(doc("a").with_access(Access::tokens(["user:1", "group:2"]))),
        Step::Document(doc("b").with_access(Access::tokens(Vec::<String>::new()))),
        Step::Document(doc("c").with_access(Access::Unreadable("denied".into()))),
        Step::Document(doc("d")),
        Step::Access("d", Access::tokens(["user:9"])),
        Step::Access("missing", Access::tokens(["user:9"])),
    ]]);
    let mut world = World::new(script, MemoryTarget::default());
    world.job.run.access = true;
    let ran = world.run().await;
    let access = |id: &str| ran.target.source(id).unwrap()["_allow_access_control"].clone();
    assert_eq!(access("a"), json!(["group:2", "user:1"]));
    assert_eq!(access("b"), json!(["access:nobody"]));
    assert_eq!(access("c"), json!(["access:nobody"]));
    assert_eq!(access("d"), json!(["user:9"]));
    assert!(ran.target.source("missing").is_none());
    assert!(ran.target.is_protected());
    assert_eq!(ran.counters().unreadable_access, 1);
    assert_eq!(ran.outcome.oddities.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_flags_of_the_pipeline_travel_in_each_document() {
    let script = Script::docs(&["a"]);
    let world = World::new(script, MemoryTarget::default()).settings(|settings| {
        settings.flags = Some(PipelineFlags {
            extract_binary_content: false,
            reduce_whitespace: true,
            run_ml_inference: false,
        });
    });
    let ran = world.run().await;
    let source = ran.target.source("a").unwrap();
    assert_eq!(source["_extract_binary_content"], false);
    assert_eq!(source["_reduce_whitespace"], true);
    assert_eq!(source["_run_ml_inference"], false);
}

#[tokio::test(start_paused = true)]
async fn chunk_size_and_concurrency_are_honoured() {
    let ids: Vec<&'static str> = (0..100)
        .map(|n| &*Box::leak(format!("{n:03}").into_boxed_str()))
        .collect();
    let target = MemoryTarget::default().with_latency(Duration::from_secs(1));
    let world = World::new(Script::docs(&ids), target).settings(|settings| {
        settings.chunk_entries = Some(10);
        settings.max_concurrency = Some(2);
    });
    let ran = world.run().await;
    let sizes: Vec<_> = ran
        .target
        .calls()
        .into_iter()
        .filter_map(|call| match call {
            Call::Bulk(ids) => Some(ids.len()),
            _ => None,
        })
        .collect();
    assert_eq!(sizes, vec![5; 20], "an index operation counts twice");
    assert_eq!(ran.target.most_requests(), 2);
}

/// Documents of 1 KiB, many more than two requests hold; the sizes of the requests.
async fn automatic_sizes(target: MemoryTarget) -> Vec<usize> {
    let steps = (0..40_000).map(|n| {
        let id = &*Box::leak(format!("{n:05}").into_boxed_str());
        Step::Upsert(id, json!({"v": "x".repeat(1000)}))
    });
    let target = target.with_latency(Duration::from_secs(1));
    let world = World::new(Script::of(vec![steps.collect()]), target);
    let world = world.settings(|settings| settings.max_concurrency = Some(2));
    let ran = world.run().await;
    assert_eq!(ran.counters().indexed, 40_000);
    let calls = ran.target.calls().into_iter();
    let sizes = calls.filter_map(|call| match call {
        Call::Bulk(ids) => Some(ids.len()),
        _ => None,
    });
    sizes.collect()
}

#[tokio::test(start_paused = true)]
async fn requests_grow_where_the_index_is_far_away() {
    let sizes = automatic_sizes(MemoryTarget::default()).await;
    let largest = sizes.iter().max().unwrap();
    assert!(*largest > sizes[0] * 3 / 2, "{sizes:?}");
    // A quarter of the pool for documents.
    assert!(*largest < 3_200, "{sizes:?}");
}

#[tokio::test(start_paused = true)]
async fn requests_are_small_again_when_the_index_is_busy() {
    let busy = Arc::new(AtomicBool::new(false));
    let target = MemoryTarget::scripted(move |_, call| match call {
        // The first large request is too much.
        Call::Bulk(ids) if ids.len() > 1_300 && !busy.swap(true, Ordering::SeqCst) => {
            Some(Fault::Refused(TargetErrorKind::Busy { retry_after: None }))
        }
        _ => None,
    });
    let sizes = automatic_sizes(target).await;
    let refused = sizes.iter().position(|size| *size > 1_300).unwrap();
    let later = &sizes[refused + 1..];
    assert!(later.iter().any(|size| *size <= sizes[0]), "{sizes:?}");
    let smallest_full = later.iter().position(|size| *size <= sizes[0]).unwrap();
    // What was ready before keeps its size.
    assert!(smallest_full < later.len() / 2, "{sizes:?}");
}

#[tokio::test(start_paused = true)]
async fn progress_is_told_every_ten_seconds() {
    let steps = (0..31).flat_map(|n| {
        let id = &*Box::leak(n.to_string().into_boxed_str());
        [Step::Upsert(id, json!({})), Step::Sleep(1000)]
    });
    let ran = World::new(Script::of(vec![steps.collect()]), MemoryTarget::default())
        .run()
        .await;
    let reports = ran.reports.0.lock().unwrap();
    assert_eq!(reports.len(), 3);
    assert!(
        reports[0].indexed >= 8 && reports[2].indexed >= 28,
        "{reports:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_the_job_soon_and_deletes_nothing() {
    let target = MemoryTarget::default();
    target.put("old", json!({"v": 1}));
    let steps = vec![Step::Upsert("a", json!({})), Step::Sleep(3_600_000)];
    let world = World::new(Script::of(vec![steps]), target);
    let stop = world.stop.clone();
    let running = tokio::spawn(world.run());
    tokio::time::sleep(Duration::from_secs(5)).await;
    let begin = tokio::time::Instant::now();
    stop.stop();
    let ran = running.await.unwrap();
    assert!(begin.elapsed() < Duration::from_secs(1));
    assert_eq!(ran.outcome.verdict, Verdict::Stopped);
    assert_eq!(ran.target.ids(), ["a", "old"]);
    assert_eq!(ran.counters().indexed, 1);
}

#[tokio::test(start_paused = true)]
async fn skipped_documents_stay() {
    let target = MemoryTarget::default();
    target.put("odd", json!({"v": 1}));
    let script = Script::of(vec![vec![Step::Skip("odd"), Step::Upsert("a", json!({}))]]);
    let ran = World::new(script, target).run().await;
    assert_eq!(ran.target.ids(), ["a", "odd"]);
    assert_eq!(ran.counters().skipped, 1);
    assert_eq!(ran.outcome.verdict, Verdict::Completed);
}

#[tokio::test(start_paused = true)]
async fn a_document_over_the_text_limit_is_left_out_and_what_the_index_has_stays() {
    let target = MemoryTarget::default();
    target.put("big", json!({"v": "old"}));
    let script = Script::of(vec![vec![Step::Upsert(
        "big",
        json!({"v": "x".repeat(2000)}),
    )]]);
    let world = World::new(script, target).settings(|settings| settings.max_text_size = 1000);
    let ran = world.run().await;
    assert_eq!(ran.target.source("big").unwrap()["v"], "old");
    assert_eq!((ran.counters().too_large, ran.counters().failed), (1, 0));
    assert!(
        ran.outcome.oddities[0]
            .reason
            .contains("max_text_document_size")
    );
}

#[tokio::test(start_paused = true)]
async fn documents_larger_than_the_pool_pass_one_by_one() {
    let steps = (0..20).map(|n| {
        let id = &*Box::leak(n.to_string().into_boxed_str());
        Step::Upsert(
            id,
            json!({"v": "x".repeat(if n % 3 == 0 { 5000 } else { 50 })}),
        )
    });
    let steps: Vec<_> = steps.collect();
    let script = Script::of(vec![
        steps[..7].to_vec(),
        steps[7..14].to_vec(),
        steps[14..].to_vec(),
    ]);
    let world = World::new(script, MemoryTarget::default()).settings(|settings| {
        settings.document_pool = 1000;
        settings.max_text_size = 0;
    });
    let ran = world.run().await;
    assert_eq!(ran.outcome.verdict, Verdict::Completed);
    assert_eq!(ran.counters().indexed, 20);
}

#[tokio::test(start_paused = true)]
async fn identities_carry_the_query_of_their_tokens() {
    let mut ada = doc("ada@example.org").with_access(Access::tokens(["user:ada", "group:x"]));
    ada.body = json!({"email": "email:ada@example.org"});
    let steps = vec![Step::Document(ada), Step::Document(doc("nobody"))];
    let target = MemoryTarget::default();
    target.put("left", json!({"identity": {}}));
    let mut world = World::new(Script::of(vec![steps]), target);
    world.job.run.kind = JobKind::AccessControl;
    let ran = world.run().await;
    assert_eq!(ran.outcome.verdict, Verdict::Completed);
    assert_eq!(ran.target.ids(), ["ada@example.org", "nobody"]);
    let source = ran.target.source("ada@example.org").unwrap();
    assert_eq!(
        source["identity"],
        json!({"email": "email:ada@example.org"})
    );
    assert_eq!(
        source["query"]["template"]["params"]["access_control"],
        json!(["group:x", "user:ada"])
    );
    assert!(source.get("_allow_access_control").is_none());
    assert!(source.get("_extract_binary_content").is_none());
}
