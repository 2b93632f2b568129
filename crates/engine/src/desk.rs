//! What became of single documents, on its way to the ledger.

use crate::{
    books::Halt,
    job::{LedgerEntry, Recorder},
};
use std::{mem, sync::Arc, time::Duration};

/// So many entries are kept at once.
pub(crate) const AT_ONCE: usize = 1000;
/// Entries wait so long for others.
const EVERY: Duration = Duration::from_secs(1);

/// Entries that wait to be kept. A document is not held up because nobody can keep a record of it; a
/// deletion is.
pub(crate) struct Desk {
    recorder: Arc<dyn Recorder>,
    waiting: Vec<LedgerEntry>,
    last: Duration,
    /// Entries that nobody has kept.
    lost: u64,
}

impl Desk {
    pub(crate) fn new(recorder: Arc<dyn Recorder>) -> Self {
        Self {
            recorder,
            waiting: Vec::new(),
            last: Duration::ZERO,
            lost: 0,
        }
    }

    pub(crate) fn push(&mut self, entry: LedgerEntry) {
        self.waiting.push(entry);
    }

    /// Has entries kept if there are many of them, or some for a while.
    pub(crate) async fn turn(&mut self, now: Duration) {
        if self.waiting.len() >= AT_ONCE || now.saturating_sub(self.last) >= EVERY {
            self.last = now;
            self.flush().await;
        }
    }

    /// Has all entries kept.
    pub(crate) async fn flush(&mut self) {
        let entries = mem::take(&mut self.waiting);
        for entries in entries.chunks(AT_ONCE) {
            if let Err(why) = self.recorder.record(entries).await {
                if self.lost == 0 {
                    tracing::warn!(
                        "documents that are not as the source has them cannot be put on record: {why}"
                    );
                }
                self.lost += entries.len() as u64;
            }
        }
    }

    /// Has the deletion of documents kept, which is not done otherwise.
    pub(crate) async fn require(&self, entries: &[LedgerEntry]) -> Result<(), Halt> {
        let recorded = self.recorder.record(entries).await;
        recorded.map_err(|why| {
            Halt::Failed(format!(
                "deletions cannot be put on record, so nothing more was deleted: {why}"
            ))
        })
    }
}
