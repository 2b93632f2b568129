//! One attempt of a job: what goes wrong in it, what happens beside it, and what the engine is given.

use crate::{
    clock::VirtualClock,
    dice::Dice,
    disk::WiredDisk,
    history::{History, Order},
    record::{Silent, SimulatedRecorder},
    source::{SimulatedSource, look},
    target::WiredTarget,
    wire::{Ending, Plan, Wire},
};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;
use tributary_engine::{Brake, Job, Outcome, Settings};
use tributary_sdk::{
    Listing, Run,
    rules::{BasicRule, RuleSet},
};
/// No attempt of a job takes longer than this, in virtual time.
const LONGEST: Duration = Duration::from_secs(48 * 3600);

/// What happens beside a job.
#[derive(Clone, Copy, Debug)]
enum Beside {
    Change,
    Meddle,
    Late,
    Swap,
    TakeAway,
}

impl History {
    /// What goes wrong in an attempt; `may_end`: it may end before its end.
    pub(crate) fn plan(&mut self, may_end: bool) -> Plan {
        let dice = &mut self.dice;
        let most = [30, 100, 150, 200, 400, 1200];
        let most = dice.pick(&most).copied().unwrap_or(100);
        let ending = (may_end || dice.percent(10)).then(|| {
            let at = 1 + dice.roll(most) as u64;
            let ending = if dice.percent(85) {
                Ending::Crash
            } else {
                Ending::Stop
            };
            (at, ending)
        });
        let rate = |dice: &mut Dice, most: usize, often: usize| match dice.percent(often) {
            true => 1 + dice.roll(most),
            false => 0,
        };
        Plan {
            ending,
            target: rate(dice, 30, 50),
            fatal: rate(dice, 8, 10),
            source: rate(dice, 10, 30),
            parts: rate(dice, 40, 20),
            questions: rate(dice, 60, 20),
            disk: rate(dice, 6, 12),
            recorder: rate(dice, 20, 12),
            latency: self.latency,
        }
    }

    /// What happens beside an attempt, and at which calls.
    fn besides(&mut self) -> Vec<(u64, Beside)> {
        let dice = &mut self.dice;
        let mut besides = Vec::new();
        let is_seen = look(&self.content).nature.promises.listing != Listing::Snapshot;
        let most = if is_seen { 25 } else { 8 };
        for _ in 0..if dice.percent(50) { dice.roll(most) } else { 0 } {
            besides.push((1 + dice.roll(200) as u64, Beside::Change));
        }
        for _ in 0..if dice.percent(15) { dice.roll(3) } else { 0 } {
            besides.push((1 + dice.roll(200) as u64, Beside::Meddle));
        }
        besides.push((1 + dice.roll(60) as u64, Beside::Late));
        match dice.roll(60) {
            0 => besides.push((20 + dice.roll(150) as u64, Beside::Swap)),
            1 => besides.push((20 + dice.roll(150) as u64, Beside::TakeAway)),
            _ => {}
        }
        besides
    }

    /// One attempt of a job; `None`: the process died.
    pub(crate) async fn attempt(&mut self, order: &mut Order, plan: Plan) -> Option<Outcome> {
        order.attempts += 1;
        let besides = match order.is_clean {
            true => Vec::new(),
            false => self.besides(),
        };
        self.trace.note(format_args!(
            "-- attempt {} of {}: {plan:?} {besides:?}",
            order.attempts, order.id
        ));
        let (content, index) = (Arc::clone(&self.content), Arc::clone(&self.index));
        let hook_dice = Mutex::new(self.dice.fork());
        let hook = move |number: u64| {
            for (_, beside) in besides.iter().filter(|(at, _)| *at == number) {
                let mut dice = hook_dice.lock().unwrap_or_else(PoisonError::into_inner);
                match beside {
                    Beside::Change => look(&content).change(&mut dice, true),
                    Beside::Meddle => index.meddle(&mut dice),
                    Beside::Late => index.arrive_late(),
                    Beside::Swap => index.swap(),
                    Beside::TakeAway => index.take_away(),
                }
            }
        };
        let wire = Wire::new(
            Arc::clone(&self.trace),
            plan,
            self.dice.fork(),
            Box::new(hook),
        );
        let wire = Arc::new(wire);
        let job = self.job(order, &wire, false);
        let begin = Instant::now();
        let outcome = run(job, &wire).await;
        // An index that is in trouble for so long exhausts the patience of a job.
        order.has_fatal |= wire.has_fatal() || begin.elapsed() > self.settings.patience;
        if let Some(outcome) = &outcome {
            self.trace.note(format_args!(
                "verdict: {} {:?} gaps {:?}",
                outcome.verdict, outcome.counters, outcome.gaps
            ));
        }
        outcome
    }

    /// What the engine is given.
    pub(crate) fn job(&self, order: &Order, wire: &Arc<Wire>, is_rehearsal: bool) -> Job {
        let target = WiredTarget {
            index: Arc::clone(&self.index),
            wire: Arc::clone(wire),
            content: Arc::clone(&self.content),
            ledger: Arc::clone(&self.ledger),
            job: order.id.clone(),
            is_rehearsal,
        };
        let mut run = Run::new(order.kind);
        run.content = true;
        let scratch = WiredDisk::new(Arc::default(), Arc::clone(wire));
        Job {
            id: order.id.clone(),
            source: Arc::new(SimulatedSource::new(
                Arc::clone(&self.content),
                Arc::clone(wire),
            )),
            run,
            rules: rules(),
            target: Arc::new(target),
            clock: Arc::new(VirtualClock::new(Arc::clone(wire))),
            files: Arc::new(scratch),
            folder: Arc::new(WiredDisk::new(Arc::clone(self.disk()), Arc::clone(wire))),
            origin: "origin".into(),
            reporter: Arc::new(Silent),
            recorder: Arc::new(SimulatedRecorder {
                ledger: Arc::clone(&self.ledger),
                wire: Arc::clone(wire),
                job: order.id.clone(),
            }),
            stop: wire.stop().signal(),
            settings: Settings {
                force: order.force,
                replay: order.replay.clone(),
                brake: Brake {
                    highest_count: None,
                    released: order.allow_deletes,
                },
                ..self.settings.clone()
            },
        }
    }
}

fn rules() -> RuleSet {
    let rule = serde_json::json!([{
        "id": "hide", "policy": "exclude", "field": "hide", "rule": "equals", "value": "true", "order": 1,
    }]);
    let rules: Vec<BasicRule> = serde_json::from_value(rule).unwrap_or_default();
    RuleSet::compile(&rules).unwrap_or_default()
}

/// Runs a job until its end, or the end of its process.
pub(crate) async fn run(job: Job, wire: &Wire) -> Option<Outcome> {
    let ended = {
        let work = tokio::time::timeout(LONGEST, tributary_engine::run(job));
        tokio::select! {
            biased;
            () = wire.crashed() => None,
            ended = work => Some(ended),
        }
    };
    // What was spawned is dropped, with the requests that are under way.
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    match ended {
        Some(Ok(outcome)) => Some(outcome),
        Some(Err(_)) => {
            wire.trace.broken("the job hangs");
            None
        }
        None => None,
    }
}
