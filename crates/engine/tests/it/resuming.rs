//! A run that was interrupted goes on where it was, and counts as if it had not been.

use crate::world::*;
use serde_json::json;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::time::timeout;
use tributary_engine::Verdict;
use tributary_sdk::{Access, ErrorKind, Promises};
use tributary_state::{Folder, Head, MemoryFolder};
use tributary_testkit::memory::MemoryTarget;

fn docs(unit: usize, ids: std::ops::Range<usize>, version: usize) -> Vec<Step> {
    let mut steps = Vec::new();
    for n in ids {
        let mut document = doc(format!("{unit}-{n:03}"));
        document.body = json!({"v": version});
        steps.push(Step::Document(document));
        if n % 10 == 9 {
            steps.extend([Step::Checkpoint, Step::Sleep(400)]);
        }
    }
    steps
}

fn world(script: &Arc<Script>, target: &Arc<MemoryTarget>, folder: &Arc<MemoryFolder>) -> World {
    World::over(Arc::clone(script), Arc::clone(target)).remembering(folder)
}

#[tokio::test(start_paused = true)]
async fn an_interrupted_walk_goes_on_at_its_last_checkpoint() {
    let (target, folder) = (Arc::default(), Arc::new(MemoryFolder::default()));
    let script = Arc::new(Script::of(vec![docs(0, 0..200, 1)]));
    let first = timeout(
        Duration::from_secs(5),
        world(&script, &target, &folder).run(),
    );
    assert!(first.await.is_err());
    folder.crash();
    let second = world(&script, &target, &folder).run().await;
    assert_eq!(second.outcome.verdict, Verdict::Completed);
    let counters = second.counters();
    assert_eq!((counters.extracted, counters.indexed), (200, 200));
    let bytes: usize = (0..200)
        .map(|n| {
            target
                .source(&format!("0-{n:03}"))
                .unwrap()
                .to_string()
                .len()
        })
        .sum();
    assert_eq!(counters.indexed_bytes, bytes as u64);
    assert_eq!(target.writes("0-000"), 1);
    let again = (0..200).filter(|n| target.writes(&format!("0-{n:03}")) > 1);
    assert!(again.count() <= 40);
}

#[tokio::test(start_paused = true)]
async fn another_job_begins_at_the_start() {
    let (target, folder) = (Arc::default(), Arc::new(MemoryFolder::default()));
    let script = Arc::new(Script::of(vec![docs(0, 0..200, 1)]));
    let first = world(&script, &target, &folder).run();
    assert!(timeout(Duration::from_secs(5), first).await.is_err());
    let mut other = world(&script, &target, &folder);
    other.job.id = "other".into();
    assert_eq!(other.run().await.counters().indexed, 200);
    assert_eq!(target.writes("0-000"), 2);
}

#[tokio::test(start_paused = true)]
async fn what_was_met_before_an_interruption_is_not_missing_after_it() {
    let (target, folder) = (Arc::default(), Arc::new(MemoryFolder::default()));
    let old = Arc::new(Script::of(vec![docs(0, 0..200, 1), docs(1, 0..200, 1)]));
    world(&old, &target, &folder).run().await;
    let mut steps = [
        docs(0, 5..50, 1),
        vec![Step::Skip("0-050")],
        docs(0, 51..200, 2),
    ];
    steps[0].push(Step::Checkpoint);
    let new = Arc::new(Script::of(vec![steps.concat(), docs(1, 0..195, 1)]));
    for seconds in [2, 3, 4] {
        let run = world(&new, &target, &folder).run();
        assert!(timeout(Duration::from_secs(seconds), run).await.is_err());
        folder.crash();
    }
    let last = world(&new, &target, &folder).run().await;
    assert_eq!(last.outcome.verdict, Verdict::Completed);
    let mut deleted = target.deletions();
    deleted.sort();
    let gone = (0..5).map(|n| format!("0-{n:03}"));
    let gone = gone.chain((195..200).map(|n| format!("1-{n:03}")));
    assert_eq!(deleted, gone.collect::<Vec<_>>());
    let counters = last.counters();
    assert_eq!(
        (counters.extracted, counters.indexed, counters.unchanged),
        (390, 149, 240)
    );
    assert_eq!((counters.skipped, counters.deleted), (1, 10));
}

#[tokio::test(start_paused = true)]
async fn interrupted_anywhere_and_again_nothing_is_lost_and_all_is_counted() {
    for seed in 0..60_u64 {
        let mut dice = Dice(seed);
        let (target, folder) = (
            Arc::new(MemoryTarget::default()),
            Arc::new(MemoryFolder::default()),
        );
        for round in 0..3 {
            let mut truth = BTreeMap::new();
            let mut units = Vec::new();
            for unit in 0..1 + dice.roll(4) as usize {
                let mut steps = Vec::new();
                for n in 0..dice.roll(80) as usize {
                    if dice.roll(6) == 0 {
                        continue;
                    }
                    let version = if dice.roll(4) == 0 { round } else { 0 };
                    truth.insert(format!("{unit}-{n:03}"), version);
                    steps.extend(docs(unit, n..n + 1, version));
                }
                units.push(steps);
            }
            let script = Arc::new(Script::of(units));
            let mut crashes = 0;
            let job = |world: World| {
                let mut world = world;
                world.job.id = format!("job {round}");
                world.settings(|settings| settings.ids_in_memory = 20)
            };
            let ran = loop {
                let limit = match crashes < 6 {
                    true => 20 + dice.roll(3000),
                    false => u64::MAX >> 20,
                };
                let run = job(world(&script, &target, &folder)).run();
                match timeout(Duration::from_millis(limit), run).await {
                    Ok(ran) => break ran,
                    Err(_) => {
                        crashes += 1;
                        if dice.roll(2) == 0 {
                            folder.crash();
                        }
                        if dice.roll(8) == 0 {
                            // The disk is lost.
                            for (name, _) in folder.list().await.unwrap() {
                                folder.remove(&name).await.unwrap();
                            }
                        }
                    }
                }
            };
            assert_eq!(ran.outcome.verdict, Verdict::Completed, "seed {seed}");
            let ids: Vec<_> = truth.keys().cloned().collect();
            assert_eq!(target.ids(), ids, "seed {seed} round {round}");
            for (id, version) in &truth {
                let source = target.source(id).unwrap();
                assert_eq!(source["v"], *version, "seed {seed} round {round} {id}");
            }
            let counters = ran.counters();
            let met = counters.indexed + counters.unchanged;
            assert_eq!(counters.extracted, ids.len() as u64, "seed {seed}");
            assert_eq!(met, ids.len() as u64, "seed {seed} round {round}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_somebody_else_wrote_before_or_during_an_interruption_is_put_right() {
    let (target, folder) = (Arc::new(MemoryTarget::default()), Arc::default());
    let script = Arc::new(Script::of(vec![docs(0, 0..200, 1)]));
    world(&script, &target, &folder).run().await;
    target.put("0-150", json!({"v": "before"}));
    let mut job = world(&script, &target, &folder);
    job.job.id = "second".into();
    assert!(timeout(Duration::from_secs(4), job.run()).await.is_err());
    folder.crash();
    target.put("0-160", json!({"v": "meanwhile"}));
    target.put("0-005", json!({"v": "behind"}));
    let mut job = world(&script, &target, &folder);
    job.job.id = "second".into();
    let second = job.run().await;
    let counters = second.counters();
    assert_eq!((counters.indexed, counters.unchanged), (2, 198));
    let v = |id: &str| target.source(id).unwrap()["v"].clone();
    assert_eq!((v("0-150"), v("0-160")), (json!(1), json!(1)));
    // Where the walk had been already, the next sync sees it.
    let mut job = world(&script, &target, &folder);
    job.job.id = "third".into();
    assert_eq!(job.run().await.counters().indexed, 1);
    assert_eq!(v("0-005"), json!(1));
}

#[tokio::test(start_paused = true)]
async fn an_access_change_of_a_document_that_is_not_there_stays_what_it_was() {
    let (target, folder) = (Arc::default(), Arc::new(MemoryFolder::default()));
    let access = Step::Access("ghost", Access::tokens(["user:1"]));
    let begin = vec![access, Step::Checkpoint, Step::Sleep(5000)];
    let script = Arc::new(Script::of(vec![[begin, docs(0, 0..20, 1)].concat()]));
    let first = world(&script, &target, &folder).run();
    assert!(timeout(Duration::from_secs(4), first).await.is_err());
    folder.crash();
    let second = world(&script, &target, &folder).run().await;
    let counters = second.counters();
    assert_eq!((counters.extracted, counters.indexed), (21, 20));
    assert_eq!(counters.filtered, 0);
}

#[tokio::test(start_paused = true)]
async fn a_gap_that_is_met_again_after_an_interruption_is_one_gap() {
    let (target, folder) = (Arc::default(), Arc::new(MemoryFolder::default()));
    let gap = vec![Step::Gap("part", ErrorKind::Timeout), Step::Sleep(5000)];
    let steps = [docs(0, 0..20, 1), gap, docs(0, 20..40, 1)].concat();
    let script = Arc::new(Script::of(vec![steps]));
    let first = world(&script, &target, &folder).run();
    assert!(timeout(Duration::from_secs(4), first).await.is_err());
    folder.crash();
    let second = world(&script, &target, &folder).run().await;
    assert_eq!(second.outcome.gap_count, 1);
    assert_eq!(second.counters().indexed, 40);
}

#[tokio::test(start_paused = true)]
async fn a_job_whose_notes_are_damaged_begins_anew_and_counts_anew() {
    let (target, folder) = (Arc::default(), Arc::new(MemoryFolder::default()));
    let script = Arc::new(Script::of(vec![docs(0, 0..200, 1)]));
    let few = |world: World| world.settings(|settings| settings.ids_in_memory = 5);
    let first = few(world(&script, &target, &folder)).run();
    assert!(timeout(Duration::from_secs(6), first).await.is_err());
    folder.alter("m-1-0", |bytes| {
        let late = bytes.len() * 2 / 3;
        bytes[late] ^= 1;
    });
    let second = few(world(&script, &target, &folder)).run().await;
    assert_eq!(second.outcome.verdict, Verdict::Completed);
    let counters = second.counters();
    assert_eq!((counters.extracted, counters.indexed), (200, 200));
}

#[tokio::test(start_paused = true)]
async fn deletions_that_an_interruption_cut_off_are_all_counted() {
    let mut partly = 0;
    for millis in (2000..5000).step_by(100) {
        let target = MemoryTarget::default().with_latency(Duration::from_millis(50));
        let (target, folder) = (Arc::new(target), Arc::new(MemoryFolder::default()));
        let old = Arc::new(Script::of(vec![docs(0, 0..100, 1)]));
        world(&old, &target, &folder).run().await;
        let new = Arc::new(Script::of(vec![docs(0, 0..50, 1)]));
        let second = || {
            let mut world = world(&new, &target, &folder);
            world.job.id = "second".into();
            world.settings(|settings| {
                settings.chunk_entries = Some(4);
                settings.max_concurrency = Some(1);
            })
        };
        let limit = Duration::from_millis(millis);
        let first = timeout(limit, second().run()).await;
        if first.is_ok() || target.deletions().len() == 50 {
            break;
        }
        folder.crash();
        partly += usize::from((1..50).contains(&target.deletions().len()));
        let counters = second().run().await.outcome.counters;
        assert_eq!((counters.deleted, counters.bounced), (50, 0), "{millis}");
        assert_eq!(target.ids().len(), 50);
    }
    assert!(partly >= 3, "{partly}");
}

/// Of two emissions, the first is given up for the second. After an interruption between the two nothing
/// may look as if the document had not been met.
#[tokio::test(start_paused = true)]
async fn a_document_that_was_emitted_on_both_sides_of_a_checkpoint_is_not_missing() {
    let target = MemoryTarget::default().with_latency(Duration::from_secs(5));
    let (target, folder) = (Arc::new(target), Arc::new(MemoryFolder::default()));
    let old = vec![Step::Upsert("x", json!({"v": 0})), Step::Checkpoint];
    let old = Arc::new(Script::of(vec![old]));
    world(&old, &target, &folder).run().await;
    let second = |later: Vec<Step>| {
        let begin = vec![Step::Upsert("x", json!({"v": 1})), Step::Checkpoint];
        let script = Arc::new(Script::of(vec![[begin, later].concat()]));
        let mut world = world(&script, &target, &folder);
        world.job.id = "second".into();
        world
    };
    let again = vec![Step::Upsert("x", json!({"v": 2})), Step::Sleep(60_000)];
    let seconds = Duration::from_secs(18);
    assert!(timeout(seconds, second(again).run()).await.is_err());
    folder.crash();
    let ran = second(vec![Step::Upsert("y", json!({"v": 1}))]).run().await;
    assert_eq!(ran.outcome.verdict, Verdict::Completed);
    assert_eq!(ran.counters().deleted, 0);
    assert_eq!(target.ids(), ["x", "y"]);
}

#[tokio::test(start_paused = true)]
async fn where_ids_move_a_resumed_run_deletes_no_stranger() {
    let (target, folder) = (Arc::new(MemoryTarget::default()), Arc::default());
    target.put("wanderer", json!({"v": 1}));
    let wandering = Promises {
        ids_stay: false,
        ..snapshot()
    };
    let there = || vec![Step::Upsert("wanderer", json!({"v": 1}))];
    let wait = vec![Step::Checkpoint, Step::Sleep(20_000)];
    let before = vec![docs(0, 0..10, 1), [wait.clone(), there()].concat()];
    let before = Arc::new(Script::of(before).promising(wandering));
    let first = world(&before, &target, &folder).run();
    assert!(timeout(Duration::from_secs(5), first).await.is_err());
    folder.crash();
    // Meanwhile it went where the walk had been already.
    let after = vec![[docs(0, 0..10, 1), there()].concat(), wait];
    let after = Arc::new(Script::of(after).promising(wandering));
    let second = world(&after, &target, &folder).run().await;
    assert_eq!(second.outcome.verdict, Verdict::Completed);
    assert!(target.ids().contains(&"wanderer".to_owned()));
}

/// From where the changes of the only unit are read next, as the folder has it.
async fn next_changes(folder: &Arc<MemoryFolder>) -> Option<u64> {
    let head = Head::load(folder.clone()).await.unwrap().unwrap();
    let next = head.units.into_iter().next().unwrap().next;
    next.map(|next| next.read().unwrap())
}

#[tokio::test(start_paused = true)]
async fn the_cursor_of_a_unit_with_a_gap_does_not_move() {
    let (target, folder) = (Arc::default(), Arc::new(MemoryFolder::default()));
    let script = |steps: Vec<Step>, next: u64| {
        let mut script = Script::of(vec![steps]);
        script.next = Some(next);
        Arc::new(script)
    };
    let job = |id: &str, script: &Arc<Script>| {
        let mut world = world(script, &target, &folder);
        world.job.id = id.into();
        world
    };
    job("first", &script(docs(0, 0..20, 1), 1)).run().await;
    assert_eq!(next_changes(&folder).await, Some(1));
    let gap = || vec![Step::Gap("part", ErrorKind::Timeout)];
    job("second", &script([gap(), docs(0, 0..20, 1)].concat(), 2))
        .run()
        .await;
    assert_eq!(next_changes(&folder).await, Some(1));
    // The walk goes on behind the gap, and does not meet it again.
    let pause = vec![Step::Checkpoint, Step::Sleep(5000)];
    let steps = script([gap(), pause, docs(0, 0..20, 1)].concat(), 3);
    let third = job("third", &steps).run();
    assert!(timeout(Duration::from_secs(4), third).await.is_err());
    folder.crash();
    let third = job("third", &steps).run().await;
    assert_eq!(third.outcome.gap_count, 1);
    assert_eq!(next_changes(&folder).await, Some(1));
    job("fourth", &script(docs(0, 0..20, 1), 4)).run().await;
    assert_eq!(next_changes(&folder).await, Some(4));
}
