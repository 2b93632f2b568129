//! An operation on its way, and what its answer means for it.

use crate::{
    books::{Books, Halt},
    manifests::{Decided, Place},
    monitor::Mark,
    policy::{ITEM_ATTEMPTS, ItemConsequence},
    roll::IdHash,
    strip::strip_field,
    target::{Action, Answer, Operation},
};
use std::{mem, time::Duration};
use tributary_protocol::ledger::{LedgerOutcome, Stage};
use tributary_sdk::emitter::Permit;

/// The bytes of an action line, about.
const ACTION_OVERHEAD: usize = 64;

/// What an operation is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Document,
    Access,
    Deletion,
}

/// An operation on its way.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) hash: IdHash,
    pub(crate) operation: Operation,
    pub(crate) purpose: Purpose,
    /// Where its row is going to stand.
    pub(crate) place: Option<Place>,
    /// Of the document; 0 if that cannot be told.
    fingerprint: u64,
    /// Held until the answer.
    pub(crate) permits: [Option<Permit>; 2],
    pub(crate) attempts: u32,
    failing_since: Option<Duration>,
    /// What is said of it once it is written without the field that was refused.
    stripped: Option<String>,
    /// A request with it broke off, so it may have been carried out without our knowing.
    pub(crate) is_resent: bool,
}

impl Entry {
    pub(crate) fn new(
        hash: IdHash,
        operation: Operation,
        purpose: Purpose,
        permits: [Option<Permit>; 2],
    ) -> Self {
        Self {
            hash,
            operation,
            purpose,
            place: None,
            fingerprint: 0,
            permits,
            attempts: 0,
            failing_since: None,
            stripped: None,
            is_resent: false,
        }
    }

    /// With a place for its row, and the fingerprint that belongs there.
    pub(crate) fn at(self, place: Place, fingerprint: u64) -> Self {
        Self {
            place: Some(place),
            fingerprint,
            ..self
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        let text = match &self.operation.action {
            Action::Index(source) | Action::Update(source) => source.len(),
            Action::Delete(_) => 0,
        };
        text + self.operation.id.as_str().len() + ACTION_OVERHEAD
    }

    /// Whether it is to be sent again after a failure.
    pub(crate) fn has_patience(
        &mut self,
        consequence: ItemConsequence,
        now: Duration,
        patience: Duration,
    ) -> bool {
        let since = *self.failing_since.get_or_insert(now);
        let may_wait = consequence == ItemConsequence::Wait && now.saturating_sub(since) < patience;
        self.attempts < ITEM_ATTEMPTS || may_wait
    }

    /// NDJSON lines (`bulk.chunk_size` counts those, service sheet §2).
    pub(crate) fn lines(&self) -> usize {
        match self.operation.action {
            Action::Delete(_) => 1,
            Action::Index(_) | Action::Update(_) => 2,
        }
    }
}

/// Entries of one request.
#[derive(Default)]
pub(crate) struct Batch {
    pub(crate) number: u64,
    pub(crate) entries: Vec<Entry>,
    pub(crate) bytes: usize,
    pub(crate) lines: usize,
}

impl Batch {
    /// An empty batch with room for so many entries.
    pub(crate) fn with_capacity(entries: usize) -> Self {
        Self {
            entries: Vec::with_capacity(entries),
            ..Self::default()
        }
    }

    pub(crate) fn of(number: u64, entries: Vec<Entry>) -> Self {
        Self {
            number,
            bytes: entries.iter().map(Entry::bytes).sum(),
            lines: entries.iter().map(Entry::lines).sum(),
            entries,
        }
    }
}

pub(crate) fn done(entry: &Entry, answer: &Answer, books: &mut Books) -> Result<(), Halt> {
    let (place, hash) = (entry.place, entry.hash);
    match &entry.operation.action {
        Action::Index(source) => {
            if let Some(reason) = &entry.stripped {
                books.counters.without_field += 1;
                let reason = format!("indexed {reason}");
                let outcome = LedgerOutcome::Truncated;
                books.odd(&entry.operation.id, outcome, Stage::Index, reason);
            }
            books.written(place, hash, source.len(), entry.fingerprint, answer)
        }
        Action::Update(source) => books.written(place, hash, source.len(), 0, answer),
        Action::Delete(_) => {
            books.deleted(place, hash, true);
            Ok(())
        }
    }
}

pub(crate) fn refused(
    entry: &Entry,
    reason: String,
    mark: Mark,
    books: &mut Books,
) -> Result<(), Halt> {
    if entry.purpose == Purpose::Deletion {
        let reason = format!("could not be deleted: {reason}");
        books.odd(
            &entry.operation.id,
            LedgerOutcome::Kept,
            Stage::Delete,
            reason,
        );
        books.counters.kept += 1;
        if let Some(place) = entry.place {
            books.manifests.decide(place, Decided::Stays);
        }
        return Ok(());
    }
    let reason = match &entry.stripped {
        Some(stripped) => format!("{reason}; it was tried {stripped}"),
        None => reason,
    };
    books.refused(entry.place, entry.hash, &entry.operation.id, reason, mark)
}

/// Takes out the field that the answer names, once. It is told when the rest was written.
pub(crate) fn stripped(entry: &mut Entry, answer: &Answer) -> bool {
    let field = answer.error.as_ref().and_then(|error| error.field.as_ref());
    let (Some(field), None, Action::Index(source)) =
        (field, &entry.stripped, &mut entry.operation.action)
    else {
        return false;
    };
    if !strip_field(source, field) {
        return false;
    }
    entry.stripped = Some(format!("without the field {field}: {}", item_text(answer)));
    true
}

pub(crate) fn drop_attachment(entry: &mut Entry) -> bool {
    match &mut entry.operation.action {
        Action::Index(source) if source.has_attachment() => {
            *source = mem::take(source).without_attachment();
            entry.permits[1] = None;
            true
        }
        _ => false,
    }
}

pub(crate) fn item_text(answer: &Answer) -> String {
    match &answer.error {
        Some(error) => format!(
            "{} (status {}, {})",
            error.reason, answer.status, error.kind
        ),
        None => format!("status {}", answer.status),
    }
}
