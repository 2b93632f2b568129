//! A run that changes nothing says what a run would do.

use crate::world::*;
use serde_json::json;
use std::sync::Arc;
use tributary_engine::{Verdict, rehearsal::Change};
use tributary_protocol::ledger::{LedgerOutcome, Stage};
use tributary_state::{Folder, MemoryFolder};
use tributary_testkit::memory::{Call, Fault, MemoryTarget};

#[tokio::test(start_paused = true)]
async fn it_says_what_would_change_and_changes_nothing() {
    let (target, folder) = (
        Arc::new(MemoryTarget::default()),
        Arc::new(MemoryFolder::default()),
    );
    let run = |script: Script| World::over(Arc::new(script), target.clone()).remembering(&folder);
    let docs = |ids: std::ops::Range<usize>| ids.map(|n| Step::Document(doc(format!("{n:03}"))));
    run(Script::of(vec![docs(0..100).collect()])).run().await;
    let files = folder.list().await.unwrap();
    let calls = target.calls().len();
    let next = || {
        let mut script = Script::of(vec![docs(30..130).collect()]);
        script.units[0].push(Step::Upsert("050", json!({"v": 2})));
        script.units[0].push(Step::Skip("odd"));
        script
    };
    let (world, rehearsal) = run(next()).rehearsing();
    let rehearsed = world.run().await;
    assert_eq!(rehearsed.outcome.verdict, Verdict::Completed);
    assert_eq!(folder.list().await.unwrap(), files);
    let calls = &target.calls()[calls..];
    let is_write = |call: &Call| matches!(call, Call::Bulk(_) | Call::Prepare);
    assert!(!calls.iter().any(is_write), "{calls:?}");
    let found = rehearsal.found();
    let sample = |change: Change| &found.changes[&change];
    let deleted = sample(Change::Delete);
    assert_eq!((deleted.count, deleted.first.len()), (30, 20));
    assert!(deleted.first[0].1.contains("not listed"));
    assert_eq!(sample(Change::Create).count, 30);
    assert_eq!(sample(Change::Update).first[0].0, "050".into());
    assert_eq!(
        found.failures[&(LedgerOutcome::Skipped, Stage::Read)].count,
        1
    );
    // And so it comes.
    let ran = run(next()).run().await;
    let (said, done) = (rehearsed.counters(), ran.counters());
    assert_eq!(said, done);
    assert_eq!((done.indexed, done.created, done.deleted), (31, 30, 30));
}

#[tokio::test(start_paused = true)]
async fn what_would_be_deleted_is_counted_once_where_the_index_is_listed_too() {
    let target = Arc::new(MemoryTarget::default());
    let folder = Arc::new(MemoryFolder::default());
    let run = |script: Script| World::over(Arc::new(script), target.clone()).remembering(&folder);
    let docs = |ids: std::ops::Range<usize>| ids.map(|n| Step::Document(doc(format!("{n:03}"))));
    run(Script::of(vec![docs(0..100).collect()])).run().await;
    target.put("stranger", json!({"v": 1}));
    let (world, rehearsal) = run(Script::of(vec![docs(30..100).collect()])).rehearsing();
    let rehearsed = world.run().await;
    assert_eq!(rehearsed.counters().deleted, 31);
    assert_eq!(rehearsal.found().changes[&Change::Delete].count, 31);
}

#[tokio::test(start_paused = true)]
async fn what_two_units_knew_would_be_deleted_once() {
    let (target, folder) = (Arc::default(), Arc::default());
    let_both_know_b(&target, &folder).await;
    let (world, rehearsal) = two_units([&["a"], &["c"]], &target, &folder).rehearsing();
    let rehearsed = world.run().await;
    assert_eq!(rehearsed.counters().deleted, 1);
    assert_eq!(rehearsal.found().changes[&Change::Delete].count, 1);
}

#[tokio::test(start_paused = true)]
async fn an_index_that_is_not_there_is_not_made() {
    let target = MemoryTarget::scripted(|_, call| match call {
        Call::Count => Some(Fault::Refused(tributary_engine::TargetErrorKind::NotFound)),
        _ => None,
    });
    let target = Arc::new(target);
    let world = World::over(Arc::new(Script::docs(&["a", "b"])), target.clone());
    let (world, rehearsal) = world.rehearsing();
    let ran = world.run().await;
    assert_eq!(ran.outcome.verdict, Verdict::Completed);
    assert_eq!(rehearsal.found().changes[&Change::Create].count, 2);
    assert_eq!(target.calls(), [Call::Count]);
}
