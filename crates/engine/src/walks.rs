//! The units of a run and their walks: where they begin, and what their end means.

use crate::{
    books::{Books, Halt},
    job::Job,
    notes::{Note, Noted, NotedPlace, Notes, recount},
    replay,
    run::Run,
};
use std::sync::Arc;
use tokio::sync::mpsc;
use tributary_sdk::{
    Cursor, End, Error, ErrorKind, JobKind, Mode, Result as SourceResult, Scope, Session,
    StopSignal, Unit, UnitKey,
    emitter::{Emitter, Item, Origin},
};

/// A unit of this run.
pub(crate) struct Progress {
    unit: Unit,
    number: usize,
    /// Where its walk begins; nothing: at the start.
    from: Option<Cursor>,
}

impl Run {
    /// Brings everything to where an interrupted run was.
    pub(crate) async fn go_on(
        &mut self,
        job: &Job,
        books: &mut Books,
        notes: Notes,
        noted: Noted,
    ) -> Result<(), Halt> {
        tracing::info!(
            units = noted.units.len(),
            "the job goes on where it was interrupted"
        );
        books.counters = noted.counters;
        books.counters.indexed_bytes = noted.units.iter().map(|unit| unit.bytes).sum();
        let gap_scopes: Vec<_> = noted.gaps.iter().map(|gap| gap.scope.clone()).collect();
        for gap in noted.gaps {
            books.gap(gap.scope, Error::new(gap.kind, gap.why))?;
        }
        for mut noted in noted.units {
            if !self.recalled.is_current {
                noted.old = None;
            }
            let key = noted.unit.key();
            self.recalled.take_unit(&key);
            let manifests = &mut books.manifests;
            let number = manifests.add_unit(Some(key.clone()), noted.old, noted.old_next);
            let from = match &noted.reached {
                Some(NotedPlace::Point(cursor, ..)) => Some(cursor.clone()),
                Some(NotedPlace::End(..)) | None => None,
            };
            // It may be the gap of a child, which is noted as well: then changes are read once more.
            if gap_scopes.iter().any(|gap| key.scope.contains(gap)) {
                manifests.note_gap(number);
            }
            if !matches!(noted.reached, Some(NotedPlace::End(..))) {
                self.queue.push_back(key.clone());
            }
            if let Some(reached) = noted.reached {
                manifests.restore(number, reached, noted.bytes);
            }
            let progress = Progress {
                unit: noted.unit,
                number,
                from,
            };
            self.units.insert(key, progress);
        }
        self.claims.set_incomplete();
        self.notes = Some(notes);
        recount(
            &job.folder,
            &mut books.manifests,
            self.hasher,
            &mut books.roll,
        )
        .await
        .map_err(Halt::from)
    }

    /// Begins the walk of a unit.
    pub(crate) async fn start_walk(
        &mut self,
        key: &UnitKey,
        out: &mpsc::Sender<(Origin, Item)>,
        job: &Job,
        books: &mut Books,
    ) -> Result<(), Halt> {
        let Some(progress) = self.units.get(key) else {
            return Ok(());
        };
        books.manifests.begin_walk(progress.number).await?;
        let unit = progress.unit.clone();
        let from = progress.from.clone();
        let emitter = Emitter::new(Some(&unit), &self.budget, out);
        let session = Arc::clone(&self.session);
        let stop = self.stop.clone();
        if *key == replay::unit().key() {
            let (target, ids) = (Arc::clone(&job.target), job.settings.replay.clone());
            self.tasks
                .spawn(replay::reread(session, target, ids, emitter, stop));
        } else {
            self.tasks
                .spawn(walk(session, self.kind, unit, from, emitter, stop));
        }
        self.walking += 1;
        Ok(())
    }

    /// The number of the unit that an item comes from.
    pub(crate) fn find(&mut self, key: Arc<UnitKey>) -> Option<usize> {
        if self.last_number.is_none() || !Arc::ptr_eq(&key, &self.last_key) {
            self.last_number = self.units.get(&*key).map(|progress| progress.number);
            self.last_key = key;
        }
        self.last_number
    }

    /// A unit that is known in this run already stays as it is.
    pub(crate) fn add_unit(&mut self, mut unit: Unit, books: &mut Books) -> Result<(), Halt> {
        let key = unit.key();
        if self.units.contains_key(&key) {
            return Ok(());
        }
        // Nothing is read by changes yet.
        unit.mode = Mode::Full;
        let old = self.recalled.take_unit(&key);
        let (files, next) = old.map(|old| (old.manifests, old.next)).unzip();
        let file = files.and_then(|files| files.into_iter().next());
        let next = next.flatten();
        if let Some(notes) = &mut self.notes {
            notes.push(&Note::Unit {
                unit: unit.clone(),
                old: file.clone(),
                old_next: next.clone(),
            })?;
        }
        let number = books.manifests.add_unit(Some(key.clone()), file, next);
        let progress = Progress {
            unit,
            number,
            from: None,
        };
        self.units.insert(key.clone(), progress);
        self.queue.push_back(key);
        Ok(())
    }

    /// The announcement of units, or a walk, is over.
    pub(crate) async fn ended(
        &mut self,
        origin: Origin,
        end: SourceResult<End>,
        job: &Job,
        books: &mut Books,
        out: &mpsc::Sender<(Origin, Item)>,
    ) -> Result<(), Halt> {
        let Some(key) = origin else {
            self.announcing = false;
            return match end {
                Ok(_) => Ok(()),
                Err(error) => books.gap(Scope::root(), error),
            };
        };
        self.walking -= 1;
        let Some(progress) = self.units.get_mut(&*key) else {
            return Ok(());
        };
        let number = progress.number;
        let is_dead = matches!(&end, Err(error) if error.kind() == ErrorKind::DeadCursor);
        if is_dead && progress.from.take().is_some() {
            progress.unit.mode = Mode::Full;
            self.queue.push_back(UnitKey::clone(&key));
            return Ok(());
        }
        books.manifests.end_walk(number).await?;
        if *key == replay::unit().key() && self.needs_full_sync(&end, job, books) {
            books.manifests.complete(number, None);
            self.announce(out);
            return Ok(());
        }
        match end {
            Ok(end) => {
                books.manifests.complete(number, end.next);
                Ok(())
            }
            Err(error) => books.gap(key.scope.clone(), error),
        }
    }
}

async fn walk(
    session: Arc<dyn Session>,
    kind: JobKind,
    unit: Unit,
    from: Option<Cursor>,
    out: Emitter,
    stop: StopSignal,
) {
    let work = async {
        match kind {
            JobKind::AccessControl => session.identities(from, &out).await,
            JobKind::Full | JobKind::Incremental => session.walk(&unit, from, &out).await,
        }
    };
    let end = stop.race(work).await;
    out.end(end).await;
}
