//! What became of single documents, on record (DESIGN §6): in an index where that is possible, else in
//! files of this machine.

mod fallback;
mod files;
mod retention;

pub use fallback::LedgerWithFallback;
pub use files::FileLedger;
pub(crate) use retention::Retention;

use crate::context::Context;
use async_trait::async_trait;
use md5::{Digest, Md5};
use std::sync::Arc;
use tributary_engine::{LedgerEntry, Recorder};
use tributary_protocol::{Ledger, LedgerRecord, SyncJob};

/// The ledger, as one job writes it.
pub(crate) struct JobLedger {
    ledger: Arc<dyn Ledger>,
    connector_id: String,
    job_id: String,
    index_name: String,
    worker_hostname: String,
}

impl JobLedger {
    pub(crate) fn new(context: &Context, connector_id: &str, job: &SyncJob) -> Self {
        Self {
            ledger: Arc::clone(&context.host.ledger),
            connector_id: connector_id.to_owned(),
            job_id: job.id.clone(),
            index_name: job.connector.index_name.clone().unwrap_or_default(),
            worker_hostname: context.host.hostname.clone(),
        }
    }

    fn record(&self, entry: &LedgerEntry) -> LedgerRecord {
        let id = entry.id.as_str();
        let name = format!("{}:{}{}:{id}", self.job_id.len(), self.job_id, entry.stage);
        let digest = Md5::digest(name);
        LedgerRecord {
            record: digest.iter().map(|byte| format!("{byte:02x}")).collect(),
            connector_id: self.connector_id.clone(),
            job_id: self.job_id.clone(),
            index_name: self.index_name.clone(),
            document_id: id.to_owned(),
            outcome: entry.outcome,
            stage: entry.stage,
            reason: entry.reason.clone(),
            worker_hostname: self.worker_hostname.clone(),
            created_at: entry.at,
        }
    }
}

#[async_trait]
impl Recorder for JobLedger {
    async fn record(&self, entries: &[LedgerEntry]) -> Result<(), String> {
        let records: Vec<_> = entries.iter().map(|entry| self.record(entry)).collect();
        let kept = self.ledger.append(&records).await;
        kept.map_err(|error| error.to_string())
    }
}
