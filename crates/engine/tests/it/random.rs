//! Random mixes of units, changes and faults, each made from a seed: the index must equal the source.

use crate::world::*;
use serde_json::json;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};
use tributary_engine::{TargetErrorKind, Verdict};
use tributary_testkit::memory::{Call, Fault, MemoryTarget};

#[tokio::test(start_paused = true)]
async fn the_index_equals_the_source_whatever_goes_wrong_on_the_way() {
    for seed in 0..400 {
        let mut dice = Dice(seed);
        let mut truth = BTreeMap::new();
        let mut units = Vec::new();
        for unit in 0..1 + dice.roll(4) {
            let mut steps = Vec::new();
            for _ in 0..dice.roll(40) {
                let id: &'static str =
                    Box::leak(format!("{unit}-{}", dice.roll(15)).into_boxed_str());
                let version = dice.roll(1000);
                truth.insert(id.to_owned(), version);
                let mut document = doc(id);
                document.body = json!({"v": version});
                if dice.roll(3) == 0 {
                    document = document.with_file("f.txt", (dice.roll(2) == 0).then_some(30));
                }
                steps.push(Step::Document(document));
                if dice.roll(5) == 0 {
                    steps.push(Step::Sleep(dice.roll(2500)));
                }
            }
            units.push(steps);
        }
        let mut script = Script::of(units);
        script.files.insert("f.txt", vec![7; 30]);
        let rate = dice.roll(4);
        let fault_dice = Mutex::new(Dice(seed ^ 0xffff));
        let target = MemoryTarget::scripted(move |_, call| {
            let mut dice = fault_dice.lock().unwrap();
            if dice.roll(10) >= rate {
                return None;
            }
            Some(match (dice.roll(5), call) {
                (0, Call::Bulk(ids)) if ids.len() > 1 => Fault::Refused(TargetErrorKind::TooLarge),
                (1, Call::Bulk(ids)) => {
                    let item = |id: &String| (id.clone(), 429, "es_rejected_execution_exception");
                    Fault::Items(ids.iter().step_by(2).map(item).collect())
                }
                (2, Call::Bulk(_)) => Fault::Half,
                (3, Call::Bulk(_)) => Fault::Lost,
                _ => Fault::Refused(TargetErrorKind::Unavailable),
            })
        });
        let target = target.with_latency(Duration::from_millis(dice.roll(900)));
        for n in 0..dice.roll(30) {
            target.put(&format!("{}-{n}", dice.roll(6)), json!({"v": "old"}));
        }
        let world = World::over(Arc::new(script), Arc::new(target)).settings(|settings| {
            settings.document_pool = 400 + dice.roll(20_000) as usize;
            settings.content_pool = 10 + dice.roll(400) as usize;
            settings.chunk_entries = (dice.roll(2) == 0).then(|| 2 + dice.roll(20) as usize);
            settings.ids_in_memory = 1 + dice.roll(60) as usize;
            settings.max_file_size = 50;
            settings.patience = Duration::from_secs(100_000);
        });
        let ran = world.run().await;
        assert_eq!(ran.outcome.verdict, Verdict::Completed, "seed {seed}");
        let index: BTreeMap<_, _> = ran
            .target
            .ids()
            .into_iter()
            .map(|id| {
                let version = ran.target.source(&id).unwrap()["v"]
                    .as_u64()
                    .unwrap_or(u64::MAX);
                (id, version)
            })
            .collect();
        assert_eq!(index, truth, "seed {seed}");
        let counters = ran.counters();
        assert_eq!(counters.extracted, truth.len() as u64, "seed {seed}");
        assert_eq!(counters.indexed, truth.len() as u64, "seed {seed}");
        assert_eq!(
            counters.deleted,
            ran.target.deletions().len() as u64,
            "seed {seed}"
        );
    }
}
