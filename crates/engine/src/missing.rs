//! Documents that the last run knew and this one did not meet.
//!
//! Each row of theirs is judged: it has another place by now; or it is gone, as the promises of the
//! session, rules or the source itself say; or it stays, because something was not read that it may be
//! in, or because nobody can tell. What stays keeps its row.

use crate::{
    books::{Books, Halt},
    job::{Counters, Job},
    roll::{ClosedRoll, IdHash, Standing},
    run::Run,
    settle::{CONFIRM_BATCH, brake},
};
use std::{cmp::Reverse, collections::HashSet, mem, sync::Arc};
use tokio::sync::watch;
use tributary_sdk::{JobKind, Listing, Presence, Scope};
use tributary_state::{Fate, ManifestReader, ManifestWriter, Position, Row, UnitState, Version};

/// Documents that stay and are remembered, so that they are not taken for strangers.
const MOST_KEPT: usize = 100_000;
/// Deletions that are remembered where several units have some: a document that two units knew is deleted
/// once. Of more than these, some may be sent and recorded twice.
const MOST_CONDEMNED: usize = 100_000;
/// Why documents are deleted, for the record.
pub(crate) const KEPT_OUT: &str = "sync rules keep it out";
pub(crate) const GONE: &str = "gone from the data source";
/// Rows judged together.
const CHUNK: usize = 32 * 1024;

/// Documents that stay although this run did not meet them.
#[derive(Default)]
pub(crate) struct Kept {
    hashes: HashSet<IdHash>,
    is_incomplete: bool,
}

impl Kept {
    fn insert(&mut self, hash: IdHash) {
        if self.hashes.len() < MOST_KEPT {
            self.hashes.insert(hash);
        } else {
            self.is_incomplete = true;
        }
    }

    pub(crate) fn contains(&self, hash: IdHash) -> bool {
        self.hashes.contains(&hash)
    }

    /// Whether there are more of them than were remembered.
    pub(crate) fn is_incomplete(&self) -> bool {
        self.is_incomplete
    }
}

/// Rows to be judged: the unit to which those that stay belong, its scope, and the file.
struct Suspects {
    unit: usize,
    scope: Scope,
    file: String,
    /// How much of the file counts; `None`: all, it is sealed.
    until: Option<Position>,
}

/// What is to happen with a row.
enum Judged {
    Elsewhere,
    Stays(Row),
    Gone(Row),
    /// The source is asked.
    Ask(Row),
}

impl Run {
    /// Deletes what the last run knew and this one did not meet, as far as it is proven gone. Returns the
    /// units of the last run that stay as they were.
    pub(crate) async fn delete_missing(
        &mut self,
        job: &Job,
        books: &mut Books,
        roll: &ClosedRoll,
        progress: &watch::Sender<Counters>,
    ) -> Result<Vec<UnitState>, Halt> {
        let (suspects, carried) = self.suspects(books);
        let mut gone = Vec::new();
        for suspects in suspects {
            match self.judge(&suspects, job, books, roll).await {
                Ok(found) => gone.extend(found),
                Err(Halt::Lost(why)) => books.manifests.lose(suspects.unit, &why),
                Err(halt) => return Err(halt),
            }
        }
        let count = gone.iter().map(|(_, position)| position.rows).sum();
        let before = self.recalled.count_before().unwrap_or(0);
        let is_stopped = match brake(count, before, job) {
            Ok(()) => false,
            Err(why) => {
                books.failure = Some(why);
                true
            }
        };
        let most_condemned = match gone.len() {
            0 | 1 => 0,
            _ => MOST_CONDEMNED,
        };
        let mut condemned = HashSet::new();
        for (unit, position) in gone {
            let name = gone_name(unit);
            let scope = books.manifests.units[unit].key.as_ref();
            let missing = match scope.map(|key| &key.scope) {
                Some(scope) if *scope != Scope::root() => format!("{GONE}: not listed in {scope}"),
                _ => format!("{GONE}: not listed"),
            };
            let folder = Arc::clone(&job.folder);
            let mut reader = ManifestReader::open_part(folder, &name, position).await?;
            while let Some(rows) = reader.next().await? {
                for row in rows {
                    match row.version {
                        Some(version) if !is_stopped => {
                            // In another version it is another try: one of the two may be out of date.
                            let deletion = (self.hasher.hash(&row.id), version);
                            if condemned.contains(&deletion) {
                                continue;
                            }
                            if condemned.len() < most_condemned {
                                condemned.insert(deletion);
                            }
                            let id = row.id.clone();
                            let place =
                                books.manifests.reserve(unit, row.id, row.home, row.version);
                            let why = match (row.fate, row.missed) {
                                (Fate::Filtered, _) => KEPT_OUT.to_owned(),
                                (_, true) => format!("{missing}, for the second time in a row"),
                                (_, false) => missing.clone(),
                            };
                            self.delete(id, version, Some(place), &why, books);
                        }
                        _ => self.keep(unit, row, books),
                    }
                }
                self.drain(job, books, progress, false).await?;
            }
        }
        Ok(carried)
    }

    fn suspects(&mut self, books: &mut Books) -> (Vec<Suspects>, Vec<UnitState>) {
        let mut suspects = Vec::new();
        for unit in 0..books.manifests.units.len() {
            let rows = &books.manifests.units[unit];
            if let (Some(position), Some(key)) = (rows.missing, &rows.key) {
                suspects.push(Suspects {
                    unit,
                    scope: key.scope.clone(),
                    file: books.manifests.missing_name(unit),
                    until: Some(position),
                });
            }
        }
        if let Some(file) = self.recalled.orphans() {
            suspects.push(Suspects {
                unit: books.manifests.unit_of_orphans(),
                scope: Scope::root(),
                file,
                until: None,
            });
        }
        let mut carried = Vec::new();
        for state in self.recalled.take_unlisted() {
            let scope = state.key.scope.clone();
            let is_over = self.may_be_gone(&scope, None, books);
            match state.manifests.as_slice() {
                [file] if is_over => suspects.push(Suspects {
                    unit: books.manifests.add_unit(Some(state.key), None, None),
                    scope,
                    file: file.clone(),
                    until: None,
                }),
                _ => carried.push(state),
            }
        }
        (suspects, carried)
    }

    /// Whether a document that was not met can be gone: all that it may be in was read.
    fn may_be_gone(&self, unit: &Scope, home: Option<&Scope>, books: &Books) -> bool {
        let is_read = match self.promises.ids_stay {
            true => !books.has_gap_at(unit, home),
            false => books.gap_count == 0 && !self.recalled.is_resumed,
        };
        self.kind != JobKind::Incremental && is_read
    }

    /// Judges rows. Those that stay get a row; those that are gone, a place in a file.
    async fn judge(
        &mut self,
        suspects: &Suspects,
        job: &Job,
        books: &mut Books,
        roll: &ClosedRoll,
    ) -> Result<Option<(usize, Position)>, Halt> {
        let folder = Arc::clone(&job.folder);
        let mut reader = match suspects.until {
            Some(until) => ManifestReader::open_part(folder, &suspects.file, until).await?,
            None => ManifestReader::open(folder, &suspects.file).await?,
        };
        let mut gone = None;
        let mut rows = Vec::new();
        loop {
            let more = reader.next().await?;
            let is_over = more.is_none();
            rows.extend(more.into_iter().flatten());
            if rows.len() >= CHUNK || is_over {
                let chunk = mem::take(&mut rows);
                self.judge_chunk(suspects, chunk, job, books, roll, &mut gone)
                    .await?;
            }
            if is_over {
                break;
            }
        }
        match gone {
            None => Ok(None),
            Some(mut gone) => Ok(Some((
                suspects.unit,
                ManifestWriter::sync(&mut gone).await?,
            ))),
        }
    }

    async fn judge_chunk(
        &mut self,
        suspects: &Suspects,
        rows: Vec<Row>,
        job: &Job,
        books: &mut Books,
        roll: &ClosedRoll,
        gone: &mut Option<ManifestWriter>,
    ) -> Result<(), Halt> {
        let mut proven = Vec::new();
        let mut asked = Vec::new();
        for (mut row, standing) in self.standings(rows, roll).await? {
            if standing == Standing::Filtered {
                row.fate = Fate::Filtered;
            }
            match self.judge_row(suspects, row, standing, books) {
                Judged::Elsewhere => {}
                Judged::Stays(row) => self.keep(suspects.unit, row, books),
                Judged::Gone(row) => proven.push(row),
                Judged::Ask(row) => asked.push(row),
            }
        }
        let (known, unknown): (Vec<_>, Vec<_>) = proven
            .into_iter()
            .partition(|row| row.version.is_some() && !self.is_stale(row));
        for row in known {
            writer(gone, suspects.unit, job).await?.push(&row).await?;
        }
        let mut unknown = unknown.into_iter().peekable();
        while unknown.peek().is_some() {
            let batch: Vec<_> = unknown.by_ref().take(CONFIRM_BATCH).collect();
            let written = count_written(&batch);
            let found = self.look_up(batch, job).await?;
            self.count_absent(written, &found, books);
            for (mut row, version, _) in found {
                row.version = Some(version);
                writer(gone, suspects.unit, job).await?.push(&row).await?;
            }
        }
        let mut asked = asked.into_iter().peekable();
        while asked.peek().is_some() {
            let batch: Vec<_> = asked.by_ref().take(CONFIRM_BATCH).collect();
            let written = count_written(&batch);
            let found = self.ask(batch, job).await?;
            self.count_absent(written, &found, books);
            for (mut row, version, answer) in found {
                if self.is_stale(&row) {
                    row.version = None;
                }
                let is_gone = match answer {
                    Some(Presence::Gone) => {
                        row.missed = false;
                        true
                    }
                    Some(Presence::Unknown) => mem::replace(&mut row.missed, true),
                    Some(Presence::Present) => {
                        row.missed = false;
                        false
                    }
                    None => false,
                };
                if is_gone {
                    row.version = row.version.or(Some(version));
                    writer(gone, suspects.unit, job).await?.push(&row).await?;
                } else {
                    books.counters.kept += 1;
                    self.keep(suspects.unit, row, books);
                }
            }
        }
        books.manifests.write().await?;
        Ok(())
    }

    fn judge_row(
        &self,
        suspects: &Suspects,
        row: Row,
        standing: Standing,
        books: &Books,
    ) -> Judged {
        let hash = self.hasher.hash(&row.id);
        if standing == Standing::Met || books.gone.contains(&hash) {
            return Judged::Elsewhere;
        }
        if self.claims.is_decided(hash) {
            return Judged::Stays(row);
        }
        // The run met it, and rules keep it out: nobody has to be asked.
        if standing == Standing::Filtered {
            return Judged::Gone(row);
        }
        if !self.may_be_gone(&suspects.scope, row.home.as_ref(), books) {
            return Judged::Stays(row);
        }
        match self.promises.listing {
            Listing::Snapshot => Judged::Gone(row),
            Listing::Keyed | Listing::Drifting => Judged::Ask(row),
        }
    }

    /// Whether this run met these documents; each document once, in their order.
    async fn standings(
        &self,
        rows: Vec<Row>,
        roll: &ClosedRoll,
    ) -> Result<Vec<(Row, Standing)>, Halt> {
        let rows = rows.into_iter().enumerate();
        let mut hashed: Vec<_> = rows
            .map(|(number, row)| (self.hasher.hash(&row.id), number, row))
            .collect();
        // Of several rows of one document, the last counts.
        hashed.sort_by_key(|(hash, number, _)| (*hash, Reverse(*number)));
        hashed.dedup_by_key(|(hash, ..)| *hash);
        let mut found = Vec::with_capacity(hashed.len());
        let mut loaded = None;
        for (hash, number, row) in hashed {
            let standing = match roll.in_memory() {
                Some(met) => met.standing(hash),
                None => {
                    let part = roll.partition_of(hash);
                    let partition = match loaded.take() {
                        Some((at, partition)) if at == part => partition,
                        _ => roll.load(part).await?,
                    };
                    let (_, partition) = loaded.insert((part, partition));
                    partition.standing(hash)
                }
            };
            found.push((number, row, standing));
        }
        found.sort_unstable_by_key(|(number, ..)| *number);
        let found = found.into_iter();
        Ok(found.map(|(_, row, standing)| (row, standing)).collect())
    }

    /// Whether the index has something else than the row says, or nothing.
    fn is_stale(&self, row: &Row) -> bool {
        self.recalled.is_stale(self.hasher.hash(&row.id))
    }

    /// Documents that we wrote, that are gone from the source, and that the index does not have any more:
    /// before an interruption this very run deleted them, as far as anybody can tell.
    fn count_absent(
        &self,
        written: usize,
        found: &[(Row, Version, Option<Presence>)],
        books: &mut Books,
    ) {
        if self.recalled.is_resumed {
            let found = found.iter().filter(|(row, ..)| row.version.is_some());
            books.counters.deleted += written.saturating_sub(found.count()) as u64;
        }
    }

    /// A document stays, with its row.
    fn keep(&mut self, unit: usize, mut row: Row, books: &mut Books) {
        if self.is_stale(&row) {
            row.version = None;
        }
        // After a gap nobody looks for strangers.
        if books.gap_count == 0 {
            self.kept.insert(self.hasher.hash(&row.id));
        }
        books.keep(unit, row);
    }
}

/// Rows of documents that we wrote.
fn count_written(rows: &[Row]) -> usize {
    rows.iter().filter(|row| row.version.is_some()).count()
}

fn gone_name(unit: usize) -> String {
    format!("gone-{unit}")
}

async fn writer<'a>(
    gone: &'a mut Option<ManifestWriter>,
    unit: usize,
    job: &Job,
) -> Result<&'a mut ManifestWriter, Halt> {
    let writer = match gone.take() {
        Some(writer) => writer,
        None => ManifestWriter::create(Arc::clone(&job.folder), &gone_name(unit)).await?,
    };
    Ok(gone.insert(writer))
}
