//! What is gone? Deletions come last: after all walks, when it is known what was not read.
//!
//! First what the source announced; then what the last run knew and this one did not meet, scope by
//! scope; at last, if the index may hold documents of which nothing is known, those. Each is deleted
//! only if the source's promises, or its word, prove that it is gone, and only in the version that is
//! known.

use crate::{
    books::{Books, Halt},
    desk::AT_ONCE,
    entry::{Entry, Purpose},
    job::{Counters, Job},
    manifests::{Decided, Place},
    patience::patiently,
    policy::{Consequence, consequence},
    run::{Run, Tick},
    target::{Action, Operation, Version},
};
use std::mem;
use tokio::sync::watch;
use tributary_protocol::ledger::{LedgerOutcome, Stage};
use tributary_sdk::{DocId, DocRef, Error, ErrorKind, JobKind, Presence, Scope};
use tributary_state::{Fate, Row, UnitState};

/// At most so many documents in one question to the source.
pub(crate) const CONFIRM_BATCH: usize = 100;
/// The brake never stops fewer deletions than this (DESIGN §4).
const BRAKE_FROM: u64 = 1000;
const ANNOUNCED: &str = "the data source said that it was deleted";

impl Run {
    /// Finds out what is gone and deletes it. Corrects the counters to distinct documents. Returns the
    /// units of the last run that stay as they were.
    pub(crate) async fn settle(
        &mut self,
        job: &Job,
        books: &mut Books,
        progress: &watch::Sender<Counters>,
    ) -> Result<Vec<UnitState>, Halt> {
        let roll = books.close_roll().await?;
        if self.claims.forgotten() > 0 {
            let message = format!(
                "{} deletions more than fit into memory were announced at once; the next full sync carries them out",
                self.claims.forgotten()
            );
            books.gap(Scope::root(), Error::new(ErrorKind::Unsupported, message))?;
        }
        self.delete_announced(job, books, progress).await?;
        self.drain(job, books, progress, true).await?;
        let carried = self.delete_missing(job, books, &roll, progress).await?;
        self.drain(job, books, progress, true).await?;
        let may_have_strangers = self.recalled.has_strangers() || books.manifests.is_lost();
        // What moves may have gone, during an interruption, to where the walks had been already.
        let is_one_look = self.promises.ids_stay || !self.recalled.is_resumed;
        let is_whole = self.kind != JobKind::Incremental
            && is_one_look
            && books.gap_count == 0
            && books.failure.is_none()
            && !self.kept.is_incomplete();
        if is_whole && may_have_strangers {
            self.delete_strangers(job, books, &roll, progress).await?;
            self.drain(job, books, progress, true).await?;
        }
        Ok(carried)
    }

    /// Carries out what the source announced. Where ids move, the document may be in another place by
    /// now, so the source is asked.
    async fn delete_announced(
        &mut self,
        job: &Job,
        books: &mut Books,
        progress: &watch::Sender<Counters>,
    ) -> Result<(), Halt> {
        let known = self.claims.take_announced();
        // Whether the document may be in a unit that was not read, or that nobody remembers.
        let may_hide =
            !self.promises.ids_stay && (books.gap_count > 0 || self.claims.is_incomplete());
        for ids in known.chunks(CONFIRM_BATCH) {
            let rows: Vec<_> = ids.iter().map(|id| kept_row(id.clone())).collect();
            let answers = match self.promises.ids_stay {
                true => self.look_up(rows, job).await?,
                false => self.ask(rows, job).await?,
            };
            for (row, version, answer) in answers {
                match answer {
                    Some(Presence::Gone) => self.delete(row.id, version, None, ANNOUNCED, books),
                    Some(Presence::Unknown) if !may_hide => {
                        self.delete(row.id, version, None, ANNOUNCED, books);
                    }
                    _ => books.counters.kept += 1,
                }
            }
            self.drain(job, books, progress, false).await?;
        }
        Ok(())
    }

    /// The versions that the index has now; nobody is asked, so each counts as gone. A document that is
    /// not in the index is left out.
    pub(crate) async fn look_up(
        &self,
        rows: Vec<Row>,
        job: &Job,
    ) -> Result<Vec<(Row, Version, Option<Presence>)>, Halt> {
        let ids: Vec<DocId> = rows.iter().map(|row| row.id.clone()).collect();
        let versions = patiently(job, || job.target.versions(&ids)).await?;
        let found = rows.into_iter().zip(versions);
        Ok(found
            .filter_map(|(row, version)| Some((row, version?, Some(Presence::Gone))))
            .collect())
    }

    /// Asks the source whether documents still exist, and the index in which version. `None`: the source
    /// could not answer. A document that is not in the index any more is left out.
    pub(crate) async fn ask(
        &self,
        rows: Vec<Row>,
        job: &Job,
    ) -> Result<Vec<(Row, Version, Option<Presence>)>, Halt> {
        let ids: Vec<DocId> = rows.iter().map(|row| row.id.clone()).collect();
        let stored = patiently(job, || job.target.stored(&ids)).await?;
        let mut asked = Vec::new();
        let mut docs = Vec::new();
        for (row, stored) in rows.into_iter().zip(stored) {
            if let Some(stored) = stored {
                docs.push(DocRef {
                    id: row.id.clone(),
                    stored: stored.source,
                });
                asked.push((row, stored.version));
            }
        }
        if docs.is_empty() {
            return Ok(Vec::new());
        }
        let answers = match self.session.confirm(&docs).await {
            Ok(answers) if answers.len() == docs.len() => answers.into_iter().map(Some).collect(),
            Ok(answers) => {
                let (given, wanted) = (answers.len(), docs.len());
                tracing::warn!(
                    given,
                    wanted,
                    "the source did not answer for each document; all of them stay"
                );
                vec![None; wanted]
            }
            Err(error) if consequence(error.kind()) == Consequence::EndsJob => {
                return Err(error.into());
            }
            Err(error) => {
                tracing::warn!(error = %error.full_text(), "the source could not say whether documents still exist; they stay");
                vec![None; docs.len()]
            }
        };
        let answered = asked.into_iter().zip(answers);
        Ok(answered
            .map(|((row, version), answer)| (row, version, answer))
            .collect())
    }

    /// Deletes a document in this version, once that is on record.
    pub(crate) fn delete(
        &mut self,
        id: DocId,
        version: Version,
        place: Option<Place>,
        why: &str,
        books: &mut Books,
    ) {
        let hash = self.hasher.hash(&id);
        tracing::debug!(id = %id, seq_no = version.seq_no, why, "deleting a document");
        let record = books.entry(
            id.clone(),
            LedgerOutcome::Deleted,
            Stage::Delete,
            why.to_owned(),
        );
        let operation = Operation {
            id,
            action: Action::Delete(version),
        };
        let mut entry = Entry::new(hash, operation, Purpose::Deletion, [None, None]);
        // Before an interruption it may have been sent already.
        entry.is_resent = self.recalled.is_resumed;
        let entry = match place {
            Some(place) => entry.at(place, 0),
            None => entry,
        };
        self.condemned.push((entry, record));
    }

    /// Puts deletions on record, and then sends them; if not all of them are wanted, only when there are
    /// many.
    async fn carry_out(&mut self, books: &mut Books, all: bool) -> Result<(), Halt> {
        while !self.condemned.is_empty() && (all || self.condemned.len() >= AT_ONCE) {
            let count = self.condemned.len().min(AT_ONCE);
            let (entries, records): (Vec<_>, Vec<_>) = self.condemned.drain(..count).unzip();
            books.desk.require(&records).await?;
            for entry in entries {
                self.sender.admit(entry, books);
            }
        }
        Ok(())
    }

    /// Looks which documents that could not be deleted are there at all.
    async fn resolve_conflicts(&self, job: &Job, books: &mut Books) -> Result<(), Halt> {
        let conflicts = mem::take(&mut books.conflicts);
        for batch in conflicts.chunks(CONFIRM_BATCH) {
            let ids: Vec<_> = batch.iter().map(|conflict| conflict.id.clone()).collect();
            let versions = patiently(job, || job.target.versions(&ids)).await?;
            for (conflict, version) in batch.iter().zip(versions) {
                if version.is_none() {
                    books.deleted(conflict.place, conflict.hash, conflict.is_resent);
                    continue;
                }
                books.counters.bounced += 1;
                let why = "somebody else has changed it since; the next full sync looks again";
                books.not_deleted(conflict.id.clone(), why.to_owned());
                if let Some(place) = conflict.place {
                    books.manifests.decide(place, Decided::Changed);
                }
            }
        }
        Ok(())
    }

    /// Sends what is there until more may be added, or all of it.
    pub(crate) async fn drain(
        &mut self,
        job: &Job,
        books: &mut Books,
        progress: &watch::Sender<Counters>,
        all: bool,
    ) -> Result<(), Halt> {
        self.carry_out(books, all).await?;
        let mut tick = Tick::new(job);
        loop {
            books.desk.turn(job.clock.now()).await;
            self.admit_released(job, books);
            if all {
                self.sender.flush();
            }
            self.sender.turn(books);
            if books.conflicts.len() >= CONFIRM_BATCH || self.sender.is_idle() {
                self.resolve_conflicts(job, books).await?;
            }
            books.manifests.write().await?;
            let is_done = match all {
                true => self.sender.is_idle(),
                false => !self.sender.is_congested(),
            };
            if is_done {
                return Ok(());
            }
            tokio::select! {
                biased;
                Some(returned) = self.sender.returned(), if self.sender.has_requests() => {
                    self.sender.take(returned?, books)?;
                    progress.send_replace(books.counters.clone());
                }
                () = tick.next() => {}
            }
        }
    }
}

fn kept_row(id: DocId) -> Row {
    Row {
        id,
        fate: Fate::Kept,
        fingerprint: 0,
        version: None,
        home: None,
        missed: false,
    }
}

/// Stops a full sync that would delete too much of an index of `scanned` documents.
pub(crate) fn brake(gone: u64, scanned: u64, job: &Job) -> Result<(), String> {
    let most = job.settings.brake.highest_count.unwrap_or(0);
    let before = scanned.max(most);
    let left = scanned.saturating_sub(gone);
    if job.settings.brake.released || gone <= BRAKE_FROM || left.saturating_mul(2) >= before {
        return Ok(());
    }
    Err(format!(
        "this sync would delete {gone} documents and leave {left} of {before}, so it deleted nothing; \
         look at what would go with `tributary job start --dry-run`; if it is really gone from the data \
         source, start a full sync with `tributary job start --allow-deletes`"
    ))
}
