//! A run that changes nothing: what would be written and deleted is noted instead.

use crate::{
    job::{LedgerEntry, Recorder},
    target::{
        Action, Answer, ItemError, Operation, Scan, Scanned, Stored, Target, TargetError,
        TargetErrorKind, Token, Version,
    },
};
use async_trait::async_trait;
use std::{
    collections::{BTreeMap, HashSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};
use tributary_protocol::ledger::{LedgerOutcome, Stage};
use tributary_sdk::DocId;

/// Ids kept of each kind.
pub const SAMPLES: usize = 20;
/// Documents that would be deleted, and are not there for what comes afterwards. Of more than these, some
/// may be counted twice.
const MOST_DELETED: usize = 100_000;

/// What would happen to a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// It is written, and was not in the index before.
    Create,
    /// It is written over.
    Update,
    /// Only who may read it is changed.
    Access,
    /// It is deleted.
    Delete,
}

/// Documents of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// How many there are.
    pub count: u64,
    /// The first [`SAMPLES`] of them, and why, where there is a reason.
    pub first: Vec<(DocId, String)>,
}

impl Sample {
    fn add(&mut self, id: &DocId, why: &str) {
        self.count += 1;
        if self.first.len() < SAMPLES {
            self.first.push((id.clone(), why.to_owned()));
        }
    }
}

/// What a run would do.
#[derive(Clone, Debug, Default)]
pub struct Rehearsed {
    /// What would be written and deleted.
    pub changes: BTreeMap<Change, Sample>,
    /// Documents that would not be as the source has them.
    pub failures: BTreeMap<(LedgerOutcome, Stage), Sample>,
}

/// Stands in for an index, and for the ledger, of which everything can be read. What would be written is
/// answered as if it had been, and noted. An index that does not exist is empty.
pub struct Rehearsal {
    inner: Arc<dyn Target>,
    is_absent: AtomicBool,
    found: Mutex<Rehearsed>,
    deleted: Arc<Mutex<HashSet<DocId>>>,
    /// Documents of whose deletion there is a record.
    recorded: Mutex<HashSet<DocId>>,
}

impl Rehearsal {
    /// Over this index.
    pub fn new(inner: Arc<dyn Target>) -> Self {
        Self {
            inner,
            is_absent: AtomicBool::new(false),
            found: Mutex::default(),
            deleted: Arc::default(),
            recorded: Mutex::default(),
        }
    }

    /// What was noted so far.
    pub fn found(&self) -> Rehearsed {
        self.noted().clone()
    }

    fn noted(&self) -> MutexGuard<'_, Rehearsed> {
        locked(&self.found)
    }

    /// What would be deleted is not there any more.
    fn hide<T>(&self, ids: &[DocId], found: &mut [Option<T>]) {
        let deleted = locked(&self.deleted);
        for (id, found) in ids.iter().zip(found) {
            if deleted.contains(id) {
                *found = None;
            }
        }
    }

    fn is_absent(&self) -> bool {
        self.is_absent.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl Target for Rehearsal {
    async fn prepare(&self, _: bool) -> Result<(), TargetError> {
        match self.inner.count().await {
            Ok(_) => Ok(()),
            Err(error) if error.kind == TargetErrorKind::NotFound => {
                self.is_absent.store(true, Ordering::Relaxed);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn findings(&self) -> Vec<String> {
        self.inner.findings()
    }

    async fn bulk(&self, operations: &[Operation]) -> Result<Vec<Answer>, TargetError> {
        let ids: Vec<_> = operations.iter().map(|asked| asked.id.clone()).collect();
        let mut versions = Vec::with_capacity(ids.len());
        for ids in ids.chunks(1000) {
            versions.extend(self.versions(ids).await?);
        }
        let mut found = self.noted();
        let mut deleted = locked(&self.deleted);
        let mut answers = Vec::with_capacity(ids.len());
        for (operation, version) in operations.iter().zip(versions) {
            let (change, status) = match (&operation.action, version) {
                (Action::Index(_), None) => (Some(Change::Create), 201),
                (Action::Index(_), Some(_)) => (Some(Change::Update), 200),
                (Action::Update(_), Some(_)) => (Some(Change::Access), 200),
                (Action::Update(_), None) => (None, 404),
                (Action::Delete(known), Some(version)) if *known == version => {
                    if deleted.len() < MOST_DELETED {
                        deleted.insert(operation.id.clone());
                    }
                    // Its reason came with the record of it.
                    (None, 200)
                }
                (Action::Delete(_), _) => (None, 409),
            };
            if let Some(change) = change {
                let sample = found.changes.entry(change).or_default();
                sample.add(&operation.id, "");
            }
            let error = (status >= 400).then(|| ItemError {
                kind: "version_conflict_engine_exception".into(),
                reason: "not in this version".into(),
                field: None,
            });
            answers.push(Answer {
                status,
                version: None,
                error,
            });
        }
        Ok(answers)
    }

    async fn scan(&self) -> Result<Box<dyn Scan>, TargetError> {
        match self.is_absent() {
            true => Ok(Box::new(Nothing)),
            false => Ok(Box::new(Rest {
                inner: self.inner.scan().await?,
                deleted: Arc::clone(&self.deleted),
            })),
        }
    }

    async fn stored(&self, ids: &[DocId]) -> Result<Vec<Option<Stored>>, TargetError> {
        match self.is_absent() {
            true => Ok(ids.iter().map(|_| None).collect()),
            false => {
                let mut stored = self.inner.stored(ids).await?;
                self.hide(ids, &mut stored);
                Ok(stored)
            }
        }
    }

    async fn versions(&self, ids: &[DocId]) -> Result<Vec<Option<Version>>, TargetError> {
        match self.is_absent() {
            true => Ok(vec![None; ids.len()]),
            false => {
                let mut versions = self.inner.versions(ids).await?;
                self.hide(ids, &mut versions);
                Ok(versions)
            }
        }
    }

    async fn count(&self) -> Result<u64, TargetError> {
        match self.is_absent() {
            true => Ok(0),
            false => self.inner.count().await,
        }
    }

    async fn token(&self) -> Result<Option<Token>, TargetError> {
        match self.is_absent() {
            true => Ok(None),
            false => self.inner.token().await,
        }
    }
}

#[async_trait]
impl Recorder for Rehearsal {
    async fn record(&self, entries: &[LedgerEntry]) -> Result<(), String> {
        let mut found = self.noted();
        let mut recorded = locked(&self.recorded);
        for entry in entries {
            // A document that two units knew is deleted once.
            if entry.outcome == LedgerOutcome::Deleted
                && recorded.len() < MOST_DELETED
                && !recorded.insert(entry.id.clone())
            {
                continue;
            }
            let sample = match entry.outcome {
                LedgerOutcome::Deleted => found.changes.entry(Change::Delete).or_default(),
                outcome => found.failures.entry((outcome, entry.stage)).or_default(),
            };
            sample.add(&entry.id, &entry.reason);
        }
        Ok(())
    }
}

fn locked<T>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What would be left of the index.
struct Rest {
    inner: Box<dyn Scan>,
    deleted: Arc<Mutex<HashSet<DocId>>>,
}

#[async_trait]
impl Scan for Rest {
    async fn next(&mut self) -> Result<Option<Vec<Scanned>>, TargetError> {
        let mut page = self.inner.next().await?;
        if let Some(page) = &mut page {
            let deleted = locked(&self.deleted);
            page.retain(|row| !deleted.contains(&row.id));
        }
        Ok(page)
    }
}

/// No documents.
struct Nothing;

#[async_trait]
impl Scan for Nothing {
    async fn next(&mut self) -> Result<Option<Vec<Scanned>>, TargetError> {
        Ok(None)
    }
}
