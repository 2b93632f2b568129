//! What became of single documents, in memory.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};
use tributary_engine::{LedgerEntry, Recorder};
use tributary_protocol::{
    Ledger, LedgerFilter, LedgerRecord,
    ledger::{LedgerOutcome, Stage},
    records::{RecordsError, RecordsErrorKind},
};

/// Keeps what one job says of single documents; the last word about each stage counts.
#[derive(Debug, Default)]
pub struct MemoryRecorder {
    entries: Mutex<BTreeMap<(String, Stage), LedgerEntry>>,
    is_broken: bool,
}

impl MemoryRecorder {
    /// One that can keep nothing.
    pub fn broken() -> Self {
        Self {
            is_broken: true,
            ..Self::default()
        }
    }

    /// Documents of which this was told, by stage, in the order of their ids.
    pub fn of(&self, outcome: LedgerOutcome) -> Vec<(String, Stage)> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let found = entries.iter();
        let found = found.filter(|(_, entry)| entry.outcome == outcome);
        found.map(|(key, _)| key.clone()).collect()
    }

    /// Why something was said of a document.
    pub fn reason(&self, id: &str, stage: Stage) -> Option<String> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = entries.get(&(id.to_owned(), stage))?;
        Some(entry.reason.clone())
    }
}

#[async_trait]
impl Recorder for MemoryRecorder {
    async fn record(&self, entries: &[LedgerEntry]) -> Result<(), String> {
        assert!(!entries.is_empty() && entries.len() <= 1000);
        if self.is_broken {
            return Err("nothing can be kept".into());
        }
        let mut kept = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        for entry in entries {
            kept.insert((entry.id.to_string(), entry.stage), entry.clone());
        }
        Ok(())
    }
}

/// A ledger that is a map.
#[derive(Debug, Default)]
pub struct MemoryLedger {
    records: Mutex<BTreeMap<String, LedgerRecord>>,
    failing: Mutex<Option<RecordsErrorKind>>,
}

impl MemoryLedger {
    /// From now on every call fails so, or none.
    pub fn fail(&self, kind: Option<RecordsErrorKind>) {
        *self.failing.lock().unwrap_or_else(PoisonError::into_inner) = kind;
    }

    /// Everything that is kept.
    pub fn all(&self) -> Vec<LedgerRecord> {
        self.records().values().cloned().collect()
    }

    fn records(&self) -> MutexGuard<'_, BTreeMap<String, LedgerRecord>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn step(&self) -> Result<(), RecordsError> {
        let failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        match *failing {
            Some(kind) => Err(RecordsError::new(kind, "scripted fault of the ledger")),
            None => Ok(()),
        }
    }
}

#[async_trait]
impl Ledger for MemoryLedger {
    async fn append(&self, records: &[LedgerRecord]) -> Result<(), RecordsError> {
        self.step()?;
        for record in records {
            self.records().insert(record.record.clone(), record.clone());
        }
        Ok(())
    }

    async fn list(&self, filter: &LedgerFilter) -> Result<Vec<LedgerRecord>, RecordsError> {
        self.step()?;
        let mut found = self.all();
        found.retain(|record| filter.accepts(record));
        found.sort_by_key(|record| std::cmp::Reverse(record.created_at));
        found.truncate(filter.limit);
        Ok(found)
    }

    async fn remove_before(&self, time: DateTime<Utc>) -> Result<u64, RecordsError> {
        self.step()?;
        let mut records = self.records();
        let before = records.len();
        records.retain(|_, record| record.created_at >= time);
        Ok((before - records.len()) as u64)
    }
}
