//! What became of single documents is on record, and without a record nothing is deleted.

use crate::world::*;
use serde_json::json;
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::time::timeout;
use tributary_engine::{TargetErrorKind, Verdict};
use tributary_protocol::ledger::{
    LedgerOutcome::{self, Deleted, Failed, Kept, Quarantined, Skipped, Truncated},
    Stage::{self, Content, Delete, Index, Read},
};
use tributary_sdk::{Access, ErrorKind};
use tributary_state::MemoryFolder;
use tributary_testkit::memory::{Call, Fault, MemoryRecorder, MemoryTarget};

fn ids(found: &[(&str, Stage)]) -> Vec<(String, Stage)> {
    let found = found.iter();
    found.map(|(id, stage)| ((*id).into(), *stage)).collect()
}

#[tokio::test(start_paused = true)]
async fn each_odd_document_is_on_record_once_for_each_stage() {
    let mut large = doc("large");
    large.body = json!({"text": "x".repeat(900)});
    let mut bad = doc("bad");
    bad.body = json!({"bad": 1, "v": 1});
    let mut worse = doc("worse");
    worse.body = json!({"bad": 1});
    worse.raw = Some(("bad", "[1]"));
    let mut script = Script::of(vec![vec![
        Step::Skip("skipped"),
        Step::Document(large),
        Step::Document(bad),
        Step::Document(doc("secret").with_access(Access::Unreadable("401".into()))),
        Step::Document(doc("file").with_file("f.txt", Some(3))),
        Step::Document(doc("good")),
    ]]);
    script.file_errors = HashMap::from([("f.txt", vec![ErrorKind::Forbidden])]);
    let world = World::new(script, MemoryTarget::default().refusing_field("bad"))
        .settings(|settings| settings.max_text_size = 500);
    let ran = world.run().await;
    assert_eq!(ran.outcome.verdict, Verdict::Completed);
    let of = |outcome: LedgerOutcome| ran.recorder.of(outcome);
    assert_eq!(of(Skipped), ids(&[("skipped", Read)]));
    assert_eq!(of(Failed), ids(&[("large", Index)]));
    assert_eq!(of(Truncated), ids(&[("bad", Index), ("file", Content)]));
    assert_eq!(of(Quarantined), ids(&[("secret", Read)]));
    assert_eq!(of(Deleted), []);
    let reason = ran.recorder.reason("bad", Index).unwrap();
    assert!(reason.contains("without the field bad"), "{reason}");
}

#[tokio::test(start_paused = true)]
async fn deletions_say_why() {
    let (target, folder) = (Arc::new(MemoryTarget::default()), Arc::default());
    let run = |script: Script| World::over(Arc::new(script), target.clone()).remembering(&folder);
    run(Script::docs(&["a", "b", "c", "d"])).run().await;
    target.put("stranger", json!({"v": 0}));
    target.put("c", json!({"v": "foreign"}));
    let script = Script::of(vec![vec![
        Step::Upsert("a", json!({"v": 1})),
        Step::Upsert("d", json!({"v": 1, "drop": "yes"})),
    ]]);
    let rules = json!([{"id": "1", "policy": "exclude", "field": "drop", "rule": "equals", "value": "yes", "order": 0}]);
    let ran = run(script).rules(rules).run().await;
    assert_eq!(ran.outcome.verdict, Verdict::Completed);
    let deleted = ran.recorder.of(Deleted);
    let expected = ids(&[
        ("b", Delete),
        ("c", Delete),
        ("d", Delete),
        ("stranger", Delete),
    ]);
    assert_eq!(deleted, expected);
    let why = |id: &str| ran.recorder.reason(id, Delete).unwrap();
    assert!(why("b").contains("not listed in unit/0"), "{}", why("b"));
    assert!(why("d").contains("sync rules"), "{}", why("d"));
    assert!(why("stranger").contains("nothing is known"));
}

#[tokio::test(start_paused = true)]
async fn what_changed_before_it_could_be_deleted_is_on_record_as_kept() {
    let folder = Arc::new(MemoryFolder::default());
    let target = Arc::new(MemoryTarget::scripted(|_, call| match call {
        Call::Bulk(ids) if ids == &["b"] => Some(Fault::Items(vec![(
            "b".into(),
            409,
            "version_conflict_engine_exception",
        )])),
        _ => None,
    }));
    let run = |script: Script| World::over(Arc::new(script), target.clone()).remembering(&folder);
    run(Script::docs(&["a", "b"])).run().await;
    let ran = run(Script::docs(&["a"])).run().await;
    assert_eq!(ran.counters().bounced, 1);
    assert_eq!(ran.recorder.of(Deleted), []);
    assert_eq!(ran.recorder.of(Kept), ids(&[("b", Delete)]));
}

#[tokio::test(start_paused = true)]
async fn without_a_record_nothing_is_deleted_and_all_else_is_written() {
    let (target, folder) = (Arc::new(MemoryTarget::default()), Arc::default());
    let run = |script: Script| World::over(Arc::new(script), target.clone()).remembering(&folder);
    run(Script::docs(&["a", "b"])).run().await;
    let mut script = Script::docs(&["a", "c"]);
    script.units[0].push(Step::Skip("odd"));
    let mut world = run(script);
    world.job.recorder = Arc::new(MemoryRecorder::broken());
    let ran = world.run().await;
    let Verdict::Failed(why) = &ran.outcome.verdict else {
        panic!("{}", ran.outcome.verdict);
    };
    assert!(why.contains("record"), "{why}");
    assert_eq!(target.ids(), ["a", "b", "c"]);
}

/// After an interruption the walk does not meet them again.
#[tokio::test(start_paused = true)]
async fn what_an_interrupted_run_found_is_on_record_before_its_checkpoint() {
    for millis in (50..4000).step_by(250) {
        let (target, folder) = (
            Arc::new(MemoryTarget::default()),
            Arc::new(MemoryFolder::default()),
        );
        let names: Vec<&'static str> = (0..30)
            .map(|n| &*Box::leak(format!("{n:02}").into_boxed_str()))
            .collect();
        let steps = names
            .iter()
            .flat_map(|id| [Step::Skip(id), Step::Checkpoint, Step::Sleep(100)]);
        let script = Arc::new(Script::of(vec![steps.collect()]));
        let recorder = Arc::new(MemoryRecorder::default());
        let world = || {
            let mut world = World::over(script.clone(), target.clone()).remembering(&folder);
            world.job.recorder = recorder.clone();
            world
        };
        let first = timeout(Duration::from_millis(millis), world().run()).await;
        if first.is_err() {
            folder.crash();
            let second = world().run().await;
            assert_eq!(second.counters().skipped, 30, "{millis}");
        }
        let skipped = recorder.of(Skipped);
        assert_eq!(skipped.len(), 30, "{millis}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_two_units_knew_is_deleted_once() {
    // How often "b" was sent since this is not 0. The second time, nothing is carried out.
    let sent = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&sent);
    let target = Arc::new(MemoryTarget::scripted(move |_, call| {
        let is_it = matches!(call, Call::Bulk(ids) if ids.contains(&"b".to_owned()));
        let before = match is_it && count.load(Ordering::Relaxed) > 0 {
            true => count.fetch_add(1, Ordering::Relaxed),
            false => 0,
        };
        (before == 2).then_some(Fault::Refused(TargetErrorKind::Unavailable))
    }));
    let folder = Arc::new(MemoryFolder::default());
    let_both_know_b(&target, &folder).await;
    sent.store(1, Ordering::Relaxed);
    let ran = two_units([&["a"], &["c"]], &target, &folder).run().await;
    assert_eq!(ran.counters().deleted, 1);
    assert_eq!(sent.load(Ordering::Relaxed), 2);
}
