//! What a run in progress has noted, so that it can go on after an interruption.

use crate::{
    job::{Counters, Gap, Job},
    manifests::{Checkpoint, Manifests},
    patience::Failure,
    roll::{IdHasher, Roll},
};
use serde::{Deserialize, Serialize};
use std::{sync::Arc, time::Duration};
use tributary_sdk::{Cursor, ErrorKind, JobKind, Scope, Unit};
use tributary_state::{Folder, Journal, ManifestReader, Position, Result, Spot, StateError, Token};

/// The file of the journal.
pub(crate) const JOURNAL: &str = "run";
/// Notes are made safe at most so often.
const EVERY: Duration = Duration::from_secs(1);

/// One entry of the journal.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Note {
    /// A run begins: which job, what is trusted, how the index was.
    Begin(Box<Begin>),
    /// A unit, in the order of their numbers.
    Unit {
        unit: Unit,
        old: Option<String>,
        old_next: Option<Cursor>,
    },
    /// A walk can go on here; the manifest has all rows before.
    Point {
        unit: usize,
        cursor: Cursor,
        spot: Option<Spot>,
        position: Position,
        bytes: u64,
    },
    /// A walk is complete.
    End {
        unit: usize,
        next: Option<Cursor>,
        position: Position,
        missing: Option<Position>,
        bytes: u64,
    },
    /// Something smaller than a unit was not read.
    Gap {
        scope: Scope,
        kind: String,
        why: String,
    },
    /// What was counted so far.
    Counters(Box<Counters>),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Begin {
    pub(crate) job: String,
    pub(crate) kind: String,
    pub(crate) generation: u64,
    pub(crate) made_with: String,
    pub(crate) origin: String,
    /// The key of fingerprints, in hexadecimal digits.
    pub(crate) key: String,
    pub(crate) is_current: bool,
    pub(crate) token: Token,
}

/// A unit as the journal knows it.
#[derive(Debug)]
pub(crate) struct NotedUnit {
    pub(crate) unit: Unit,
    pub(crate) old: Option<String>,
    pub(crate) old_next: Option<Cursor>,
    pub(crate) reached: Option<NotedPlace>,
    pub(crate) bytes: u64,
}

#[derive(Debug)]
pub(crate) enum NotedPlace {
    Point(Cursor, Option<Spot>, Position),
    End(Option<Cursor>, Position, Option<Position>),
}

/// All that the journal of an interrupted run says.
#[derive(Debug)]
pub(crate) struct Noted {
    pub(crate) begin: Box<Begin>,
    pub(crate) units: Vec<NotedUnit>,
    pub(crate) gaps: Vec<Gap>,
    pub(crate) counters: Counters,
}

pub(crate) fn kind_name(kind: JobKind) -> &'static str {
    match kind {
        JobKind::Full => "full",
        JobKind::Incremental => "incremental",
        JobKind::AccessControl => "access_control",
    }
}

impl Noted {
    fn new(begin: Box<Begin>) -> Self {
        Self {
            begin,
            units: Vec::new(),
            gaps: Vec::new(),
            counters: Counters::default(),
        }
    }

    /// Takes in an entry; `None` if it cannot be one of this run.
    fn take(&mut self, note: Note) -> Option<()> {
        match note {
            Note::Begin(_) => return None,
            Note::Unit {
                unit,
                old,
                old_next,
            } => self.units.push(NotedUnit {
                unit,
                old,
                old_next,
                reached: None,
                bytes: 0,
            }),
            Note::Point {
                unit,
                cursor,
                spot,
                position,
                bytes,
            } => {
                let unit = self.units.get_mut(unit)?;
                unit.reached = Some(NotedPlace::Point(cursor, spot, position));
                unit.bytes = bytes;
            }
            Note::End {
                unit,
                next,
                position,
                missing,
                bytes,
            } => {
                let unit = self.units.get_mut(unit)?;
                unit.reached = Some(NotedPlace::End(next, position, missing));
                unit.bytes = bytes;
            }
            Note::Gap { scope, kind, why } => self.gaps.push(Gap {
                scope,
                kind: ErrorKind::of_name(&kind)?,
                why,
            }),
            Note::Counters(counters) => self.counters = *counters,
        }
        Some(())
    }

    /// The files that it needs.
    pub(crate) fn names(&self, file: &str) -> bool {
        let generation = self.begin.generation;
        file == JOURNAL
            || file.starts_with(&format!("m-{generation}-"))
            || file.starts_with(&format!("missing-{generation}-"))
    }
}

/// The journal of a run.
pub(crate) struct Notes {
    journal: Journal,
    folder: Arc<dyn Folder>,
    is_due: bool,
    last: Duration,
}

impl Notes {
    /// Begins a journal.
    pub(crate) async fn begin(job: &Job, begin: Begin) -> Result<Self> {
        let mut journal = Journal::create(Arc::clone(&job.folder), JOURNAL).await?;
        journal.push(&Note::Begin(Box::new(begin)))?;
        journal.sync().await?;
        Ok(Self {
            journal,
            folder: Arc::clone(&job.folder),
            is_due: false,
            last: job.clock.now(),
        })
    }

    /// Opens the journal of a run that was interrupted. `None` if there is none that can be used.
    pub(crate) async fn resume(job: &Job) -> Result<Option<(Self, Noted)>> {
        let folder = Arc::clone(&job.folder);
        let mut noted = None;
        let mut is_sound = true;
        let take = |note| match (&mut noted, note) {
            (None, Note::Begin(begin)) => noted = Some(Noted::new(begin)),
            (Some(noted), note) => is_sound &= noted.take(note).is_some(),
            (None, _) => is_sound = false,
        };
        let journal = match Journal::resume(folder, JOURNAL, take).await {
            Ok(journal) => journal,
            Err(error @ StateError::Io { .. }) => return Err(error),
            Err(error) => {
                tracing::debug!(%error, "there are no notes of an interrupted job");
                return Ok(None);
            }
        };
        let notes = Self {
            journal,
            folder: Arc::clone(&job.folder),
            is_due: false,
            last: job.clock.now(),
        };
        Ok(noted.filter(|_| is_sound).map(|noted| (notes, noted)))
    }

    /// Adds an entry, to be made safe with the next ones.
    pub(crate) fn push(&mut self, note: &Note) -> Result<()> {
        self.is_due = true;
        self.journal.push(note)
    }

    /// Whether it is time to make safe how far the run is.
    pub(crate) fn is_due(&self, now: Duration, manifests: &Manifests) -> bool {
        let has_news = self.is_due || manifests.has_news();
        has_news && now.saturating_sub(self.last) >= EVERY
    }

    /// Makes safe how far the run is.
    pub(crate) async fn turn(
        &mut self,
        now: Duration,
        manifests: &mut Manifests,
        counters: &Counters,
    ) -> Result<()> {
        for note in manifests.take_news().await? {
            self.journal.push(&note)?;
        }
        self.journal
            .push(&Note::Counters(Box::new(counters.clone())))?;
        let names = self.folder.sync_names().await;
        names.map_err(|source| StateError::Io {
            name: JOURNAL.into(),
            source,
        })?;
        self.journal.sync().await?;
        self.is_due = false;
        self.last = now;
        Ok(())
    }
}

/// Calls the roll of what an interrupted run had met.
pub(crate) async fn recount(
    folder: &Arc<dyn Folder>,
    manifests: &mut Manifests,
    hasher: IdHasher,
    roll: &mut Roll,
) -> std::result::Result<(), Failure> {
    for rows in &mut manifests.units {
        let Some(position) = rows.position else {
            continue;
        };
        let reader = ManifestReader::open_part(Arc::clone(folder), &rows.name, position).await;
        let mut reader = reader?;
        while let Some(block) = reader.next().await? {
            for row in block {
                let is_held = row.version.is_some();
                rows.held += u64::from(is_held);
                if roll.note(hasher.hash(&row.id), row.fate, is_held) {
                    roll.spill().await?;
                }
            }
        }
    }
    Ok(())
}

/// How far a unit is, as a note.
pub(crate) fn point(unit: usize, checkpoint: &Checkpoint, position: Position, bytes: u64) -> Note {
    Note::Point {
        unit,
        cursor: checkpoint.cursor.clone(),
        spot: checkpoint.spot,
        position,
        bytes,
    }
}
