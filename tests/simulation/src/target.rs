//! The index as one attempt of a job reaches it: here requests go wrong.

use crate::{
    index::{Index, failed},
    record::Ledger,
    source::{Shared, look},
    wire::Wire,
};
use async_trait::async_trait;
use serde_json::value::RawValue;
use std::{
    sync::{Arc, PoisonError},
    time::Duration,
};
use tributary_engine::{
    Action, Answer, Operation, Scan, Scanned, Stored, Target, TargetError, TargetErrorKind, Token,
};
use tributary_sdk::DocId;

/// The index behind a wire.
#[derive(Clone)]
pub struct WiredTarget {
    /// The index.
    pub index: Arc<Index>,
    /// The wire.
    pub wire: Arc<Wire>,
    /// What the source holds: no document is deleted that was there all the time.
    pub content: Shared,
    /// The deletions on record.
    pub ledger: Ledger,
    /// The job.
    pub job: String,
    /// Nothing may be written: the run is a rehearsal.
    pub is_rehearsal: bool,
}

fn error(kind: TargetErrorKind) -> TargetError {
    TargetError::new(kind, format!("scripted failure: {kind:?}"))
}

/// How a request fails.
enum Trouble {
    Refused(TargetErrorKind),
    Lost,
    Half,
    Items,
}

impl WiredTarget {
    fn trouble(&self, is_bulk: bool) -> Option<Trouble> {
        let wire = &self.wire;
        if wire.chance(wire.plan.fatal, 1000) {
            wire.set_fatal();
            wire.trace.note("the index refuses us");
            let kind = match wire.roll(2) {
                0 => TargetErrorKind::Unauthorised,
                _ => TargetErrorKind::Forbidden,
            };
            return Some(Trouble::Refused(kind));
        }
        if !wire.chance(wire.plan.target, if is_bulk { 100 } else { 300 }) {
            return None;
        }
        let trouble = match wire.roll(if is_bulk { 7 } else { 2 }) {
            0 => Trouble::Refused(TargetErrorKind::Unavailable),
            1 => Trouble::Refused(TargetErrorKind::Busy {
                retry_after: (wire.roll(2) == 0).then_some(Duration::from_secs(3)),
            }),
            2 => Trouble::Refused(TargetErrorKind::Blocked),
            3 => Trouble::Lost,
            4 => Trouble::Half,
            5 => Trouble::Refused(TargetErrorKind::TooLarge),
            _ => Trouble::Items,
        };
        Some(trouble)
    }

    async fn simple(&self, what: &str) -> Result<(), TargetError> {
        self.wire.cross(format!("index {what}")).await;
        let trouble = self.trouble(false);
        self.wire.linger().await;
        match trouble {
            Some(Trouble::Refused(kind)) => Err(error(kind)),
            Some(_) => Err(error(TargetErrorKind::Unavailable)),
            None => Ok(()),
        }
    }

    fn exists(&self) -> Result<(), TargetError> {
        match self.index.exists() {
            true => Ok(()),
            false => {
                self.wire.set_fatal();
                Err(error(TargetErrorKind::NotFound))
            }
        }
    }

    /// What must be true of every request.
    fn check(&self, operations: &[Operation]) {
        let trace = &self.wire.trace;
        if self.is_rehearsal {
            trace.broken("a rehearsal writes to the index");
        }
        for clash in self.index.enter(operations) {
            trace.broken(format_args!("{clash} is in flight twice"));
        }
        let ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        let content = look(&self.content);
        for operation in operations {
            let id = operation.id.as_str();
            if !matches!(operation.action, Action::Delete(_)) {
                continue;
            }
            if !ledger.contains(&(self.job.clone(), id.to_owned())) {
                trace.broken(format_args!("the deletion of {id} is not on record"));
            }
            if content.always_there(id) {
                trace.broken(format_args!(
                    "{id} is deleted, and was in the source all the time"
                ));
            }
        }
    }

    fn some_fail(&self, operations: &[Operation]) -> Vec<Answer> {
        let kinds = [
            (429, "es_rejected_execution_exception"),
            (503, "unavailable_shards_exception"),
            (500, "null_pointer_exception"),
            (403, "cluster_block_exception"),
        ];
        let answer = |operation: &Operation| match self.wire.roll(3) {
            0 => {
                let (status, kind) = kinds[self.wire.roll(kinds.len())];
                failed(status, kind, None)
            }
            _ => self.index.apply(operation, true),
        };
        operations.iter().map(answer).collect()
    }
}

/// Takes ids out of flight, also when the request is dropped half-way.
struct Flight<'a> {
    index: &'a Index,
    operations: &'a [Operation],
    is_over: bool,
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        self.index.leave(self.operations);
        if !self.is_over {
            self.index.abandon(self.operations);
        }
    }
}

fn describe(operations: &[Operation]) -> String {
    let ids = operations.iter().map(|operation| match operation.action {
        Action::Index(_) => format!("+{}", operation.id),
        Action::Update(_) => format!("~{}", operation.id),
        Action::Delete(version) => format!("-{}@{}", operation.id, version.seq_no),
    });
    ids.collect::<Vec<_>>().join(" ")
}

#[async_trait]
impl Target for WiredTarget {
    async fn prepare(&self, _: bool) -> Result<(), TargetError> {
        self.simple("prepare").await?;
        self.index.make();
        Ok(())
    }

    fn findings(&self) -> Vec<String> {
        Vec::new()
    }

    async fn bulk(&self, operations: &[Operation]) -> Result<Vec<Answer>, TargetError> {
        self.wire
            .cross(format!("index bulk {}", describe(operations)))
            .await;
        self.check(operations);
        let mut flight = Flight {
            index: &self.index,
            operations,
            is_over: false,
        };
        let trouble = self.trouble(true);
        self.wire.linger().await;
        flight.is_over = true;
        self.exists()?;
        let bytes: usize = operations.iter().map(size).sum();
        if bytes > self.index.nature().most_bytes {
            return Err(error(TargetErrorKind::TooLarge));
        }
        let all = |operations: &[Operation], is_told| -> Vec<Answer> {
            let operations = operations.iter();
            operations
                .map(|operation| self.index.apply(operation, is_told))
                .collect()
        };
        match trouble {
            // A single operation that is too large loses its file, or is refused: that is for real.
            Some(Trouble::Refused(TargetErrorKind::TooLarge)) if operations.len() == 1 => {
                Err(error(TargetErrorKind::Unavailable))
            }
            Some(Trouble::Refused(kind)) => Err(error(kind)),
            Some(Trouble::Lost) => {
                all(operations, false);
                self.wire.trace.note("the answer is lost");
                Err(error(TargetErrorKind::Unavailable))
            }
            Some(Trouble::Half) => {
                all(&operations[..operations.len() / 2], false);
                self.wire
                    .trace
                    .note("half of it is done, the answer is lost");
                Err(error(TargetErrorKind::Unavailable))
            }
            Some(Trouble::Items) => Ok(self.some_fail(operations)),
            None => Ok(all(operations, true)),
        }
    }

    async fn scan(&self) -> Result<Box<dyn Scan>, TargetError> {
        self.simple("scan").await?;
        self.exists()?;
        let rows = self.index.shape().documents.into_iter();
        let rows = rows.map(|(id, (version, _))| Scanned {
            id: DocId::from(id),
            version,
        });
        let rows: Vec<_> = rows.collect();
        let pages = rows.chunks(self.index.nature().page).rev();
        Ok(Box::new(WiredScan {
            pages: pages.map(<[Scanned]>::to_vec).collect(),
            target: self.clone(),
        }))
    }

    async fn stored(&self, ids: &[DocId]) -> Result<Vec<Option<Stored>>, TargetError> {
        self.simple("stored").await?;
        self.exists()?;
        let shape = self.index.shape();
        let stored = |id: &DocId| {
            let (version, source) = shape.documents.get(id.as_str())?;
            Some(Stored {
                version: *version,
                source: RawValue::from_string(source.to_string()).ok()?,
            })
        };
        Ok(ids.iter().map(stored).collect())
    }

    async fn count(&self) -> Result<u64, TargetError> {
        self.simple("count").await?;
        self.exists()?;
        Ok(self.index.count())
    }

    async fn token(&self) -> Result<Option<Token>, TargetError> {
        self.simple("token").await?;
        self.exists()?;
        Ok(self.index.token())
    }
}

fn size(operation: &Operation) -> usize {
    match &operation.action {
        Action::Index(source) | Action::Update(source) => source.len(),
        Action::Delete(_) => 0,
    }
}

struct WiredScan {
    pages: Vec<Vec<Scanned>>,
    target: WiredTarget,
}

#[async_trait]
impl Scan for WiredScan {
    async fn next(&mut self) -> Result<Option<Vec<Scanned>>, TargetError> {
        self.target.simple("page").await?;
        Ok(self.pages.pop())
    }
}
