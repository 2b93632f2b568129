//! What a run has counted and noted so far.

use crate::{
    job::{Counters, Gap, Oddity, Settings},
    monitor::{Mark, Monitor},
    policy::{Consequence, consequence},
    roll::{Fate, IdHash, Roll},
};
use tributary_sdk::{DocId, Error, Scope};

/// Gaps and odd documents kept word for word; of the rest only the number is.
const SAMPLES: usize = 100;

/// Why a run ends before its end.
#[derive(Debug)]
pub(crate) enum Halt {
    /// The stop signal came.
    Stopped,
    /// Something went wrong; the text is for the user.
    Failed(String),
}

impl From<Error> for Halt {
    fn from(error: Error) -> Self {
        Self::Failed(error.full_text())
    }
}

impl From<std::io::Error> for Halt {
    fn from(error: std::io::Error) -> Self {
        Self::Failed(format!(
            "a scratch file of this job could not be used ({error}); nothing was deleted: free or mend the disk and start the job again"
        ))
    }
}

/// Counters, gaps, odd documents, and the roll.
pub(crate) struct Books {
    pub(crate) counters: Counters,
    pub(crate) gaps: Vec<Gap>,
    pub(crate) gap_count: u64,
    pub(crate) all_denied: bool,
    pub(crate) oddities: Vec<Oddity>,
    pub(crate) roll: Roll,
    pub(crate) roll_is_full: bool,
    monitor: Monitor,
}

impl Books {
    pub(crate) fn new(settings: &Settings, roll: Roll) -> Self {
        Self {
            counters: Counters::default(),
            gaps: Vec::new(),
            gap_count: 0,
            all_denied: true,
            oddities: Vec::new(),
            roll,
            roll_is_full: false,
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
            why: error.full_text(),
        };
        tracing::warn!(scope = %gap.scope, kind = gap.kind.name(), error = %gap.why, "a part of the data source was not read");
        self.gap_count += 1;
        if self.gaps.len() < SAMPLES {
            self.gaps.push(gap);
        }
        Ok(())
    }

    /// A document was not written as the source has it.
    pub(crate) fn odd(&mut self, id: &DocId, stage: &'static str, reason: String) {
        tracing::debug!(id = %id, stage, reason = %reason, "a document was not written as it is");
        if self.oddities.len() < SAMPLES {
            self.oddities.push(Oddity {
                id: id.to_string(),
                stage,
                reason,
            });
        }
    }

    /// A document exists, and that is all that happens to it.
    pub(crate) fn seen(&mut self, hash: IdHash, fate: Fate) {
        self.roll_is_full |= self.roll.note(hash, fate);
    }

    /// A document was written.
    pub(crate) fn written(
        &mut self,
        hash: IdHash,
        bytes: usize,
        created: bool,
    ) -> Result<(), Halt> {
        self.counters.indexed += 1;
        self.counters.created += u64::from(created);
        self.counters.indexed_bytes += bytes as u64;
        self.seen(hash, Fate::Indexed);
        self.mark(Mark::Good)
    }

    /// A document was not written.
    pub(crate) fn refused(
        &mut self,
        hash: IdHash,
        id: &DocId,
        reason: String,
        mark: Mark,
    ) -> Result<(), Halt> {
        self.counters.failed += 1;
        let halt = self.mark(mark).map_err(|halt| match halt {
            Halt::Failed(why) => Halt::Failed(format!("{why}; the last one, {id}: {reason}")),
            Halt::Stopped => Halt::Stopped,
        });
        self.odd(id, "index", reason);
        self.seen(hash, Fate::Failed);
        halt
    }

    fn mark(&mut self, mark: Mark) -> Result<(), Halt> {
        self.monitor.note(mark).map_err(Halt::Failed)
    }
}
