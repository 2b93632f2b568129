//! Two places for the ledger: an index, and files for when there is no such index.

use super::FileLedger;
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use std::{
    cmp::Reverse,
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use tributary_protocol::{
    Ledger, LedgerFilter, LedgerRecord,
    records::{RecordsError, RecordsErrorKind},
};

/// Keeps records in an index, and in files while or where that is not possible.
pub struct LedgerWithFallback {
    index: Arc<dyn Ledger>,
    files: FileLedger,
    /// The index cannot be used, now and later; that was said.
    is_given_up: AtomicBool,
}

impl LedgerWithFallback {
    /// In this index, else in these files.
    pub fn new(index: Arc<dyn Ledger>, files: FileLedger) -> Self {
        Self {
            index,
            files,
            is_given_up: AtomicBool::new(false),
        }
    }
}

#[async_trait]
impl Ledger for LedgerWithFallback {
    async fn append(&self, records: &[LedgerRecord]) -> Result<(), RecordsError> {
        if !self.is_given_up.load(Ordering::Relaxed) {
            let error = match self.index.append(records).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            let may_pass = error.kind == RecordsErrorKind::Unavailable;
            if !may_pass && !self.is_given_up.swap(true, Ordering::Relaxed) {
                tracing::warn!(
                    "what becomes of single documents is kept in {} and not in an index: {error}; \
                     set service.state_index to an index that this service may write to",
                    self.files.folder().display()
                );
            } else {
                tracing::debug!(%error, "records are kept in files");
            }
        }
        self.files.append(records).await
    }

    async fn list(&self, filter: &LedgerFilter) -> Result<Vec<LedgerRecord>, RecordsError> {
        let mut found = self.files.list(filter).await?;
        match self.index.list(filter).await {
            Ok(others) => found.extend(others),
            // What nobody may read there, nobody wrote there.
            Err(error) if error.kind == RecordsErrorKind::Forbidden => {}
            Err(error) => return Err(error),
        }
        found.sort_by_key(|record| Reverse(record.created_at));
        let mut seen = HashSet::new();
        found.retain(|record| seen.insert(record.record.clone()));
        found.truncate(filter.limit);
        Ok(found)
    }

    async fn remove_before(&self, time: DateTime<Utc>) -> Result<u64, RecordsError> {
        let removed = self.files.remove_before(time).await?;
        match self.index.remove_before(time).await {
            Ok(others) => Ok(removed + others),
            Err(error) if error.kind == RecordsErrorKind::Forbidden => Ok(removed),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::files::tests::record;
    use tributary_testkit::memory::MemoryLedger;

    fn all() -> LedgerFilter {
        LedgerFilter {
            limit: 100,
            ..LedgerFilter::default()
        }
    }

    #[tokio::test]
    async fn records_go_to_files_while_the_index_is_away_and_for_good_where_it_may_not_be_used() {
        let folder = tempfile::tempdir().unwrap();
        let index = Arc::new(MemoryLedger::default());
        let ledger = LedgerWithFallback::new(index.clone(), FileLedger::new(folder.path().into()));
        ledger.append(&[record(1, 0)]).await.unwrap();
        index.fail(Some(RecordsErrorKind::Unavailable));
        ledger.append(&[record(2, 1)]).await.unwrap();
        index.fail(None);
        ledger.append(&[record(3, 2)]).await.unwrap();
        assert_eq!(index.all().len(), 2);
        let listed = ledger.list(&all()).await.unwrap();
        let ids: Vec<_> = listed.iter().map(|record| &*record.document_id).collect();
        assert_eq!(ids, ["d3", "d2", "d1"]);
        index.fail(Some(RecordsErrorKind::Forbidden));
        ledger.append(&[record(4, 3)]).await.unwrap();
        index.fail(None);
        ledger.append(&[record(5, 4)]).await.unwrap();
        assert_eq!(index.all().len(), 2);
        assert_eq!(ledger.list(&all()).await.unwrap().len(), 5);
    }
}
