//! What a run has counted and noted so far.

use crate::{
    clock::Clock,
    desk::Desk,
    job::{Counters, Gap, LedgerEntry, Settings},
    manifests::{Decided, Manifests, Place},
    monitor::{Mark, Monitor},
    policy::{Consequence, consequence},
    roll::{ClosedRoll, Count, IdHash, Roll},
    target::{Action, Answer},
};
use std::{collections::HashSet, io, mem, sync::Arc};
use tributary_protocol::ledger::{LedgerOutcome, Stage};
use tributary_sdk::{DocId, Error, Scope};
use tributary_state::{Fate, Row, StateError};

/// Gaps and odd documents kept word for word; of the rest only the number is.
const SAMPLES: usize = 100;

/// Scopes of gaps kept; beyond, everything counts as a gap.
const MOST_GAP_SCOPES: usize = 10_000;

/// Bytes kept of a reason; somebody else's sentence can be as long as a document.
const REASON_LIMIT: usize = 2000;

/// The beginning of a text.
fn shortened(mut text: String) -> String {
    if text.len() > REASON_LIMIT {
        text.truncate(text.floor_char_boundary(REASON_LIMIT));
        text.push('…');
        text.shrink_to_fit();
    }
    text
}

/// Why a run ends before its end.
#[derive(Debug)]
pub(crate) enum Halt {
    /// The stop signal came.
    Stopped,
    /// Something went wrong; the text is for the user.
    Failed(String),
    /// A file of what was remembered cannot be read: the run goes on without it.
    Lost(String),
}

impl From<Error> for Halt {
    fn from(error: Error) -> Self {
        Self::Failed(shortened(error.full_text()))
    }
}

impl From<StateError> for Halt {
    fn from(error: StateError) -> Self {
        match error {
            StateError::Io { .. } => Self::Failed(format!(
                "{error}; the index lacks nothing because of that: free or mend the disk, or remove the folder of the state, and start the job again"
            )),
            StateError::Damaged { .. } | StateError::UnknownVersion { .. } => {
                Self::Lost(error.to_string())
            }
        }
    }
}

impl From<std::io::Error> for Halt {
    fn from(error: std::io::Error) -> Self {
        Self::Failed(format!(
            "a scratch file of this job could not be used ({error}); nothing was deleted: free or mend the disk and start the job again"
        ))
    }
}

/// A deletion that was not carried out, because the document is not there in that version.
pub(crate) struct Conflict {
    pub(crate) id: DocId,
    pub(crate) hash: IdHash,
    pub(crate) place: Option<Place>,
    /// It may have been sent before.
    pub(crate) is_resent: bool,
}

/// Counters, gaps, odd documents, and the roll.
pub(crate) struct Books {
    pub(crate) counters: Counters,
    pub(crate) gaps: Vec<Gap>,
    pub(crate) gap_count: u64,
    pub(crate) all_denied: bool,
    pub(crate) oddities: Vec<LedgerEntry>,
    /// What became of single documents is handed in here.
    pub(crate) desk: Desk,
    clock: Arc<dyn Clock>,
    pub(crate) roll: Roll,
    pub(crate) roll_is_full: bool,
    pub(crate) manifests: Manifests,
    /// Where something was not read, each scope once.
    gap_scopes: HashSet<Scope>,
    /// Deletions that found another version, or none: the index does not say which.
    pub(crate) conflicts: Vec<Conflict>,
    /// Announced deletions that were carried out.
    pub(crate) gone: HashSet<IdHash>,
    /// Distinct documents that the index is known to have; when the roll is closed.
    pub(crate) held: u64,
    /// Documents that stay although the run did not meet them.
    pub(crate) held_unmet: u64,
    /// Operations that took a sequence number, and those that may have.
    pub(crate) writes: u64,
    pub(crate) doubtful_writes: u64,
    /// Why the job fails although it came to its end.
    pub(crate) failure: Option<String>,
    /// The counters are those of distinct documents.
    is_counted: bool,
    monitor: Monitor,
}

impl Books {
    pub(crate) fn new(
        settings: &Settings,
        roll: Roll,
        manifests: Manifests,
        desk: Desk,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            counters: Counters::default(),
            gaps: Vec::new(),
            gap_count: 0,
            all_denied: true,
            oddities: Vec::new(),
            desk,
            clock,
            roll,
            roll_is_full: false,
            manifests,
            gap_scopes: HashSet::new(),
            conflicts: Vec::new(),
            gone: HashSet::new(),
            held: 0,
            held_unmet: 0,
            writes: 0,
            doubtful_writes: 0,
            failure: None,
            is_counted: false,
            monitor: Monitor::new(settings.error_monitor.clone()),
        }
    }

    /// Something was not read. An error that ends the job is handed back.
    pub(crate) fn gap(&mut self, scope: Scope, error: Error) -> Result<(), Halt> {
        match consequence(error.kind()) {
            Consequence::EndsJob => return Err(error.into()),
            Consequence::Gap => self.all_denied = false,
            Consequence::Denied => {}
        }
        let gap = Gap {
            scope,
            kind: error.kind(),
            why: shortened(error.full_text()),
        };
        // A walk that goes on after an interruption meets it again.
        let is_known = |known: &Gap| known.scope == gap.scope && known.why == gap.why;
        if self.gap_scopes.contains(&gap.scope) && self.gaps.iter().any(is_known) {
            return Ok(());
        }
        tracing::warn!(scope = %gap.scope, kind = gap.kind.name(), error = %gap.why, "a part of the data source was not read");
        self.gap_count += 1;
        if self.gap_scopes.len() < MOST_GAP_SCOPES {
            self.gap_scopes.insert(gap.scope.clone());
        } else {
            self.gap_scopes.insert(Scope::root());
        }
        if self.gaps.len() < SAMPLES {
            self.gaps.push(gap);
        }
        Ok(())
    }

    /// A document was not written as the source has it.
    pub(crate) fn odd(&mut self, id: &DocId, outcome: LedgerOutcome, stage: Stage, reason: String) {
        tracing::debug!(id = %id, %stage, reason = %reason, "a document was not written as it is");
        let entry = self.entry(id.clone(), outcome, stage, reason);
        if self.oddities.len() < SAMPLES {
            self.oddities.push(entry.clone());
        }
        self.desk.push(entry);
    }

    /// A document that was to be deleted stays.
    pub(crate) fn not_deleted(&mut self, id: DocId, reason: String) {
        let entry = self.entry(id, LedgerOutcome::Kept, Stage::Delete, reason);
        self.desk.push(entry);
    }

    /// What becomes of a document, now.
    pub(crate) fn entry(
        &self,
        id: DocId,
        outcome: LedgerOutcome,
        stage: Stage,
        reason: String,
    ) -> LedgerEntry {
        LedgerEntry {
            id,
            outcome,
            stage,
            reason: shortened(reason),
            at: self.clock.utc(),
        }
    }

    /// Whether something was not read that a document of this unit and home may be in.
    pub(crate) fn has_gap_at(&self, unit: &Scope, home: Option<&Scope>) -> bool {
        let hides = |gap: &Scope| match home {
            Some(home) => gap.contains(home),
            None => gap.contains(unit) || unit.contains(gap),
        };
        self.gap_scopes.iter().any(hides)
    }

    /// A document exists, and that is all that happens to it.
    pub(crate) fn add_row(&mut self, unit: usize, hash: IdHash, row: Row) {
        self.note(hash, row.fate, row.version.is_some());
        self.manifests.add(unit, row);
    }

    /// A document stays although this run did not meet it.
    pub(crate) fn keep(&mut self, unit: usize, row: Row) {
        self.held_unmet += u64::from(row.version.is_some());
        let fate = Fate::Kept;
        self.manifests.add(unit, Row { fate, ..row });
    }

    /// Says what became of a document.
    pub(crate) fn decide(
        &mut self,
        place: Option<Place>,
        hash: IdHash,
        fate: Fate,
        decided: Decided,
    ) {
        let is_held = place.is_some_and(|place| self.manifests.decide(place, decided));
        self.note(hash, fate, is_held);
    }

    /// A document that was to be deleted is not in the index any more; `by_us`: because we deleted it.
    pub(crate) fn deleted(&mut self, place: Option<Place>, hash: IdHash, by_us: bool) {
        self.counters.deleted += u64::from(by_us);
        match place {
            Some(place) => {
                self.manifests.decide(place, Decided::Void);
            }
            None => drop(self.gone.insert(hash)),
        }
    }

    /// A document is going to be written as a later emission has it. Its place says that it exists: an
    /// interruption may come before the later one is written, and a walk that goes on may not meet it again.
    pub(crate) fn superseded(&mut self, place: Option<Place>) {
        if let Some(place) = place {
            self.manifests.decide(place, Decided::Alive);
        }
    }

    fn note(&mut self, hash: IdHash, fate: Fate, is_held: bool) {
        self.roll_is_full |= self.roll.note(hash, fate, is_held);
    }

    /// An operation was answered: did it take a sequence number?
    pub(crate) fn count_write(&mut self, action: &Action, answer: &Answer) {
        match action {
            // One that changes nothing takes none.
            Action::Index(_) | Action::Delete(_) if answer.is_done() => self.writes += 1,
            _ => self.doubtful_writes += 1,
        }
    }

    /// A document was written.
    pub(crate) fn written(
        &mut self,
        place: Option<Place>,
        hash: IdHash,
        bytes: usize,
        fingerprint: u64,
        answer: &Answer,
    ) -> Result<(), Halt> {
        self.counters.indexed += 1;
        self.counters.created += u64::from(answer.status == 201);
        self.counters.indexed_bytes += bytes as u64;
        let version = answer.version;
        let decided = Decided::Written {
            fingerprint,
            version,
            bytes,
        };
        self.decide(place, hash, Fate::Indexed, decided);
        self.mark(Mark::Good)
    }

    /// A document was not written.
    pub(crate) fn refused(
        &mut self,
        place: Option<Place>,
        hash: IdHash,
        id: &DocId,
        reason: String,
        mark: Mark,
    ) -> Result<(), Halt> {
        let reason = shortened(reason);
        self.counters.failed += 1;
        let halt = self.mark(mark).map_err(|halt| match halt {
            Halt::Failed(why) => Halt::Failed(format!("{why}; the last one, {id}: {reason}")),
            halt => halt,
        });
        self.odd(id, LedgerOutcome::Failed, Stage::Index, reason);
        self.decide(place, hash, Fate::Failed, Decided::Exists(Fate::Failed));
        halt
    }

    /// Ends the roll, and corrects the counters to distinct documents.
    pub(crate) async fn close_roll(&mut self) -> io::Result<ClosedRoll> {
        let roll = self.take_roll().close().await?;
        let count = roll.count().await?;
        self.counters.duplicates = self.counters.extracted.saturating_sub(count.all);
        self.counters.extracted = count.all;
        self.held = count.held;
        self.correct(&count);
        Ok(roll)
    }

    /// As far as that is possible, corrects the counters of a run that broke off. Documents that were
    /// still on their way are counted as emitted, as often as they were.
    pub(crate) async fn count_what_there_is(&mut self, has_time: bool) {
        if self.is_counted || (self.roll.is_spilled() && !has_time) {
            return;
        }
        // Why the run broke off is told, and not that a disk is full as well.
        if let Ok(roll) = self.take_roll().close().await
            && let Ok(count) = roll.count().await
        {
            self.correct(&count);
        }
    }

    fn take_roll(&mut self) -> Roll {
        self.is_counted = true;
        let fresh = self.roll.fresh();
        mem::replace(&mut self.roll, fresh)
    }

    fn correct(&mut self, count: &Count) {
        self.counters.indexed = count.indexed;
        self.counters.failed = count.failed;
        self.counters.too_large = count.too_large;
        self.counters.skipped = count.skipped;
        self.counters.unchanged = count.unchanged;
        self.counters.filtered = count.filtered;
    }

    fn mark(&mut self, mark: Mark) -> Result<(), Halt> {
        self.monitor.note(mark).map_err(Halt::Failed)
    }
}
