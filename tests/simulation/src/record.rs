//! Who keeps what became of single documents, and who hears of the progress.

use crate::wire::Wire;
use async_trait::async_trait;
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};
use tributary_engine::{Counters, LedgerEntry, Recorder, Reporter};
use tributary_protocol::ledger::LedgerOutcome;

/// The deletions on record, by job and document.
pub type Ledger = Arc<Mutex<BTreeSet<(String, String)>>>;

/// The record of one attempt of a job.
pub struct SimulatedRecorder {
    /// Where the entries are kept.
    pub ledger: Ledger,
    /// Behind this wire.
    pub wire: Arc<Wire>,
    /// The job.
    pub job: String,
}

#[async_trait]
impl Recorder for SimulatedRecorder {
    async fn record(&self, entries: &[LedgerEntry]) -> Result<(), String> {
        self.wire.cross(format!("record {}", entries.len())).await;
        self.wire.linger().await;
        let is_broken = self.wire.chance(self.wire.plan.recorder, 100);
        if is_broken {
            self.wire.trace.note("the record is not kept");
            self.wire.set_fatal();
            return Err("scripted failure of the record".into());
        }
        let mut ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        let deleted = entries
            .iter()
            .filter(|entry| entry.outcome == LedgerOutcome::Deleted);
        ledger.extend(deleted.map(|entry| (self.job.clone(), entry.id.to_string())));
        Ok(())
    }
}

/// Nobody hears of the progress.
pub struct Silent;

#[async_trait]
impl Reporter for Silent {
    async fn report(&self, _: &Counters) {}
}
