//! The manifests of a run: for each unit the one of the last run, beside which it walks, and the new
//! one.
//!
//! A walk meets documents in an order, and their rows are kept in this order, though their answers come
//! in another one: a row waits until all before it are decided. So the next walk finds them beside its
//! own, and a checkpoint is a place between two rows.

use crate::notes::{self, Note, NotedPlace};
use std::{collections::VecDeque, mem, sync::Arc};
use tributary_sdk::{Cursor, DocId, Scope, UnitKey};
use tributary_state::{
    Fate, Folder, Listed, ManifestWriter, Merge, Position, Result, Row, Spot, StateError, Version,
};

/// Rows that wait for those before them. Beyond, nothing is taken from the walks until some are decided.
const MOST_WAITING: usize = 64 * 1024;
/// Rows of old manifests in memory, in all walks together.
const WINDOWS: usize = 32 * 1024;

/// Where the row of a document is going to stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    unit: usize,
    number: u64,
}

/// What stands at a place.
enum Slot {
    /// Something about it is not known yet.
    Waiting(Row),
    Row(Row),
    /// A row, and the bytes that were written for it.
    Written(Row, u64),
    /// Nothing, after all.
    Void,
    /// All before this is decided when this comes to the front.
    Checkpoint(Box<Checkpoint>),
    /// The walk is complete when this comes to the front.
    End(Option<Cursor>),
}

/// Where a walk can go on.
#[derive(Clone, Debug)]
pub(crate) struct Checkpoint {
    pub(crate) cursor: Cursor,
    pub(crate) spot: Option<Spot>,
}

/// How far a unit is.
#[derive(Debug, Default)]
pub(crate) struct Reached {
    /// The last checkpoint before which everything is decided, how far the manifest was then, and how
    /// many bytes had been written.
    pub(crate) checkpoint: Option<(Checkpoint, Position, u64)>,
    /// The walk is complete: how far the manifest was then, and from where the next changes are read.
    pub(crate) end: Option<(Option<Cursor>, Position)>,
}

/// What is kept of one unit.
pub(crate) struct UnitRows {
    /// `None`: documents that belong to no unit.
    pub(crate) key: Option<UnitKey>,
    /// The sealed manifest of the last run.
    pub(crate) old: Option<String>,
    /// From where the last run would have read changes.
    pub(crate) old_next: Option<Cursor>,
    /// Something of it was not read: the next changes are read from where this run would have begun.
    has_gap: bool,
    /// The new manifest.
    pub(crate) name: String,
    writer: Option<ManifestWriter>,
    /// How far the new manifest is, while it is closed.
    pub(crate) position: Option<Position>,
    merge: Option<Merge>,
    /// How far the file of missing rows is, when the walk is over.
    pub(crate) missing: Option<Position>,
    queue: VecDeque<Slot>,
    /// The number of the first place in the queue.
    first: u64,
    pub(crate) reached: Reached,
    /// Rows of documents that the index has.
    pub(crate) held: u64,
    /// Bytes written for its rows.
    pub(crate) bytes: u64,
    has_news: bool,
    /// Where an interrupted walk goes on.
    resume_at: Option<Spot>,
}

/// What became of a document.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Decided {
    /// It was written in this version.
    Written {
        fingerprint: u64,
        version: Option<Version>,
        bytes: usize,
    },
    /// The index has it as it is.
    Unchanged(u64),
    /// It exists; whatever the index has of it stays.
    Exists(Fate),
    /// It exists; what the index has of it, if anything, is not known, or stands at another place.
    Alive,
    /// It is gone.
    Void,
    /// It was to be deleted, and somebody else changed it.
    Changed,
    /// It was to be deleted, and could not be.
    Stays,
}

/// The manifests of a run.
pub(crate) struct Manifests {
    folder: Arc<dyn Folder>,
    generation: u64,
    pub(crate) units: Vec<UnitRows>,
    waiting: usize,
    /// Units whose first row is decided.
    ready: Vec<usize>,
    window: usize,
    has_news: bool,
    orphans: Option<usize>,
    is_lost: bool,
}

impl Manifests {
    /// `parallel`: walks at once.
    pub(crate) fn new(folder: Arc<dyn Folder>, generation: u64, parallel: usize) -> Self {
        Self {
            folder,
            generation,
            units: Vec::new(),
            waiting: 0,
            ready: Vec::new(),
            window: WINDOWS / parallel.max(1),
            has_news: false,
            orphans: None,
            is_lost: false,
        }
    }

    /// Makes room for a unit.
    pub(crate) fn add_unit(
        &mut self,
        key: Option<UnitKey>,
        old: Option<String>,
        old_next: Option<Cursor>,
    ) -> usize {
        let number = self.units.len();
        self.units.push(UnitRows {
            key,
            old,
            old_next,
            has_gap: false,
            name: format!("m-{}-{number}", self.generation),
            writer: None,
            position: None,
            merge: None,
            missing: None,
            queue: VecDeque::new(),
            first: 0,
            reached: Reached::default(),
            held: 0,
            bytes: 0,
            has_news: false,
            resume_at: None,
        });
        number
    }

    /// Where documents stand that belong to no unit.
    pub(crate) fn unit_of_orphans(&mut self) -> usize {
        match self.orphans {
            Some(number) => number,
            None => {
                let number = self.add_unit(None, None, None);
                *self.orphans.insert(number)
            }
        }
    }

    /// Whether something of the last run could not be read.
    pub(crate) fn is_lost(&self) -> bool {
        self.is_lost
    }

    /// What the last run knew of a unit cannot be read: nothing is known of it.
    pub(crate) fn lose(&mut self, unit: usize, why: &str) {
        tracing::warn!("nothing is known of what the last sync wrote here: {why}");
        self.is_lost = true;
        let rows = &mut self.units[unit];
        rows.old = None;
        rows.merge = None;
        rows.missing = None;
    }

    /// As [`Manifests::lose`], unless it is the disk that fails.
    fn lose_damaged(&mut self, unit: usize, error: StateError) -> Result<()> {
        match error {
            StateError::Io { .. } => Err(error),
            StateError::Damaged { .. } | StateError::UnknownVersion { .. } => {
                self.lose(unit, &error.to_string());
                Ok(())
            }
        }
    }

    /// The name of the file of missing rows of a unit.
    pub(crate) fn missing_name(&self, unit: usize) -> String {
        format!("missing-{}-{unit}", self.generation)
    }

    /// Whether some unit is farther than noted.
    pub(crate) fn has_news(&self) -> bool {
        self.has_news
    }

    /// How far the units are that are farther than noted; safe from a crash, but for names.
    pub(crate) async fn take_news(&mut self) -> Result<Vec<Note>> {
        self.has_news = false;
        let mut notes = Vec::new();
        for (unit, rows) in self.units.iter_mut().enumerate() {
            if !mem::take(&mut rows.has_news) {
                continue;
            }
            if let Some((next, position)) = &rows.reached.end {
                notes.push(Note::End {
                    unit,
                    next: next.clone(),
                    position: *position,
                    missing: rows.missing,
                    bytes: rows.bytes,
                });
            } else if let Some((checkpoint, position, bytes)) = &rows.reached.checkpoint {
                if let Some(writer) = &mut rows.writer {
                    writer.sync().await?;
                }
                if let Some(merge) = &mut rows.merge {
                    merge.sync().await?;
                }
                notes.push(notes::point(unit, checkpoint, *position, *bytes));
            }
        }
        Ok(notes)
    }

    /// Brings a unit to where an interrupted run had noted it.
    pub(crate) fn restore(&mut self, unit: usize, reached: NotedPlace, bytes: u64) {
        let rows = &mut self.units[unit];
        rows.bytes = bytes;
        match reached {
            NotedPlace::Point(_, spot, position) => {
                rows.position = Some(position);
                rows.resume_at = spot;
            }
            NotedPlace::End(next, position, missing) => {
                rows.position = Some(position);
                rows.missing = missing;
                rows.reached.end = Some((next, position));
            }
        }
    }

    /// The walk of a unit begins, perhaps once more.
    pub(crate) async fn begin_walk(&mut self, unit: usize) -> Result<()> {
        let missing = self.missing_name(unit);
        let rows = &mut self.units[unit];
        if let Some(old) = &rows.old {
            let folder = Arc::clone(&self.folder);
            let merge = match rows.resume_at.take() {
                Some(spot) => Merge::resume(folder, old, &missing, spot, self.window).await,
                None => Merge::new(folder, old, &missing, self.window).await,
            };
            match merge {
                Ok(merge) => rows.merge = Some(merge),
                Err(error) => self.lose_damaged(unit, error)?,
            }
        }
        Ok(())
    }

    /// What the last run knew of a document that a walk meets.
    pub(crate) async fn meet(&mut self, unit: usize, id: &DocId) -> Result<Listed> {
        let Some(merge) = &mut self.units[unit].merge else {
            return Ok(Listed::Unknown);
        };
        match merge.meet(id).await {
            Ok(listed) => Ok(listed),
            Err(error) => self.lose_damaged(unit, error).map(|()| Listed::Unknown),
        }
    }

    /// Keeps the place of a document about which something is not known yet.
    pub(crate) fn reserve(
        &mut self,
        unit: usize,
        id: DocId,
        home: Option<Scope>,
        old: Option<Version>,
    ) -> Place {
        let row = Row {
            id,
            fate: Fate::Seen,
            fingerprint: 0,
            version: old,
            home,
            missed: false,
        };
        self.push(unit, Slot::Waiting(row))
    }

    /// Adds the row of a document about which everything is known.
    pub(crate) fn add(&mut self, unit: usize, row: Row) {
        self.push(unit, Slot::Row(row));
    }

    /// Everything emitted so far by the walk of a unit lies before this.
    pub(crate) fn checkpoint(&mut self, unit: usize, cursor: Cursor) {
        let spot = self.units[unit].merge.as_mut().map(Merge::spot);
        let checkpoint = Box::new(Checkpoint { cursor, spot });
        self.push(unit, Slot::Checkpoint(checkpoint));
    }

    /// The walk of a unit is over. What it did not meet is missing.
    pub(crate) async fn end_walk(&mut self, unit: usize) -> Result<()> {
        let rows = &mut self.units[unit];
        if let Some(merge) = rows.merge.take() {
            match merge.finish().await {
                Ok(missing) => rows.missing = missing,
                Err(error) => self.lose_damaged(unit, error)?,
            }
        }
        Ok(())
    }

    /// Something of a unit was not read.
    pub(crate) fn note_gap(&mut self, unit: usize) {
        self.units[unit].has_gap = true;
    }

    /// The walk of a unit is complete. Its cursor does not move over a gap: what changed there would
    /// never be read again.
    pub(crate) fn complete(&mut self, unit: usize, next: Option<Cursor>) {
        let rows = &self.units[unit];
        let next = match rows.has_gap {
            true => rows.old_next.clone(),
            false => next,
        };
        self.push(unit, Slot::End(next));
    }

    fn push(&mut self, unit: usize, slot: Slot) -> Place {
        let rows = &mut self.units[unit];
        let is_ready = rows.queue.is_empty() && !matches!(slot, Slot::Waiting(_));
        let number = rows.first + rows.queue.len() as u64;
        rows.queue.push_back(slot);
        self.waiting += 1;
        if is_ready {
            self.ready.push(unit);
        }
        Place { unit, number }
    }

    /// Says what became of a document. Whether the index is known to have it.
    pub(crate) fn decide(&mut self, place: Place, decided: Decided) -> bool {
        let rows = &mut self.units[place.unit];
        let at = place.number.checked_sub(rows.first);
        let at = at.and_then(|at| usize::try_from(at).ok());
        let Some(slot) = at.and_then(|at| rows.queue.get_mut(at)) else {
            return false;
        };
        let Slot::Waiting(mut row) = mem::replace(slot, Slot::Void) else {
            return false;
        };
        let mut written = None;
        match decided {
            Decided::Written {
                fingerprint,
                version,
                bytes,
            } => {
                row.fate = Fate::Indexed;
                row.fingerprint = fingerprint;
                row.version = version;
                written = Some(bytes as u64);
            }
            Decided::Unchanged(fingerprint) => {
                row.fate = Fate::Unchanged;
                row.fingerprint = fingerprint;
            }
            Decided::Exists(fate) => row.fate = fate,
            Decided::Alive => row.version = None,
            Decided::Changed => {
                row.fate = Fate::Kept;
                row.version = None;
            }
            Decided::Stays => row.fate = Fate::Kept,
            Decided::Void => {}
        }
        let is_held = row.version.is_some();
        *slot = match (decided, written) {
            (Decided::Void, _) => Slot::Void,
            (_, Some(bytes)) => Slot::Written(row, bytes),
            (_, None) => Slot::Row(row),
        };
        if at == Some(0) {
            self.ready.push(place.unit);
        }
        is_held
    }

    /// Whether so many rows wait that no more should be taken in.
    pub(crate) fn is_full(&self) -> bool {
        self.waiting >= MOST_WAITING
    }

    /// Writes the rows that wait for nothing any more.
    pub(crate) async fn write(&mut self) -> Result<()> {
        while let Some(unit) = self.ready.pop() {
            self.write_unit(unit).await?;
        }
        Ok(())
    }

    async fn write_unit(&mut self, unit: usize) -> Result<()> {
        while let Some(slot) = self.units[unit].queue.front()
            && !matches!(slot, Slot::Waiting(_))
        {
            let slot = self.units[unit].queue.pop_front();
            self.units[unit].first += 1;
            self.waiting -= 1;
            match slot {
                Some(Slot::Row(row)) => {
                    self.units[unit].held += u64::from(row.version.is_some());
                    self.writer(unit).await?.push(&row).await?;
                }
                Some(Slot::Written(row, bytes)) => {
                    self.units[unit].held += u64::from(row.version.is_some());
                    self.units[unit].bytes += bytes;
                    self.writer(unit).await?.push(&row).await?;
                }
                Some(Slot::Checkpoint(checkpoint)) => {
                    let position = self.writer(unit).await?.mark();
                    let bytes = self.units[unit].bytes;
                    self.units[unit].reached.checkpoint = Some((*checkpoint, position, bytes));
                    self.units[unit].has_news = true;
                    self.has_news = true;
                }
                Some(Slot::End(next)) => {
                    let position = self.close(unit).await?;
                    self.units[unit].reached.end = Some((next, position));
                    self.units[unit].has_news = true;
                    self.has_news = true;
                }
                Some(Slot::Void | Slot::Waiting(_)) | None => {}
            }
        }
        Ok(())
    }

    /// The writer of the new manifest of a unit, opened if it is closed.
    async fn writer(&mut self, unit: usize) -> Result<&mut ManifestWriter> {
        let rows = &mut self.units[unit];
        let writer = match rows.writer.take() {
            Some(writer) => writer,
            None => {
                let folder = Arc::clone(&self.folder);
                match rows.position {
                    Some(position) => ManifestWriter::resume(folder, &rows.name, position).await?,
                    None => ManifestWriter::create(folder, &rows.name).await?,
                }
            }
        };
        Ok(rows.writer.insert(writer))
    }

    /// Closes the new manifest of a unit, which may be opened again. It is safe from a crash then.
    pub(crate) async fn close(&mut self, unit: usize) -> Result<Position> {
        let position = self.writer(unit).await?.sync().await?;
        let rows = &mut self.units[unit];
        rows.writer = None;
        rows.position = Some(position);
        Ok(position)
    }

    /// Whether a unit has no new manifest.
    pub(crate) fn is_bare(&self, unit: usize) -> bool {
        let rows = &self.units[unit];
        rows.writer.is_none() && rows.position.is_none()
    }

    /// Ends the new manifest of a unit. All rows must be decided.
    pub(crate) async fn seal(&mut self, unit: usize) -> Result<()> {
        self.writer(unit).await?;
        if let Some(writer) = self.units[unit].writer.take() {
            writer.seal().await?;
        }
        Ok(())
    }
}
