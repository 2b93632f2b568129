//! How far a job is: for its record, and into the metrics.

use super::claim::Claimed;
use crate::metric_names::{
    BULK_REQUESTS, BULK_RETRIES, BYTES_INDEXED, DOCUMENTS_DELETED, DOCUMENTS_EXTRACTED,
    DOCUMENTS_FAILED, DOCUMENTS_INDEXED, SERVICE_TYPE,
};
use async_trait::async_trait;
use std::sync::{Mutex, PoisonError};
use tributary_engine::{Counters, Reporter};

/// The counters of a running job. The heartbeat writes them into its record.
pub(super) struct Progress {
    service_type: String,
    latest: Mutex<Counters>,
}

impl Progress {
    pub(super) fn new(claimed: &Claimed) -> Self {
        Self {
            service_type: claimed.service_type(),
            latest: Mutex::default(),
        }
    }

    /// What was reported last.
    pub(super) fn latest(&self) -> Counters {
        self.lock().clone()
    }

    /// Takes note of counters, and adds what is new in them to the metrics.
    pub(super) fn note(&self, counters: &Counters) {
        let before = std::mem::replace(&mut *self.lock(), counters.clone());
        let add = |name: &'static str, now: u64, before: u64| {
            let counter = metrics::counter!(name, SERVICE_TYPE => self.service_type.clone());
            counter.increment(now.saturating_sub(before));
        };
        add(DOCUMENTS_EXTRACTED, counters.extracted, before.extracted);
        add(DOCUMENTS_INDEXED, counters.indexed, before.indexed);
        add(DOCUMENTS_DELETED, counters.deleted, before.deleted);
        add(DOCUMENTS_FAILED, counters.failed, before.failed);
        add(BYTES_INDEXED, counters.indexed_bytes, before.indexed_bytes);
        add(BULK_REQUESTS, counters.requests, before.requests);
        add(BULK_RETRIES, counters.retried, before.retried);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Counters> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Reporter for Progress {
    async fn report(&self, counters: &Counters) {
        self.note(counters);
    }
}
