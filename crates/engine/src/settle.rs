//! What is gone? Deletions come last: after all walks, when it is known what was not read.
//!
//! Nothing is remembered from run to run yet, so a document of the index that this run did not meet
//! is a stranger: it is deleted only if the whole run had no gap, only if the source's promises, or
//! its word, prove that it is gone, and only in the version that was seen.

use crate::{
    books::{Books, Halt},
    entry::{Entry, Purpose},
    job::{Counters, Job},
    log::LogWriter,
    policy::{Consequence, consequence},
    roll::{ClosedRoll, Partition},
    run::{Run, Tick, patiently},
    target::{Action, Operation, Scanned, TargetError},
};
use std::{io, sync::Arc};
use tokio::sync::watch;
use tributary_sdk::{DocId, DocRef, Error, ErrorKind, JobKind, Listing, Presence, Scope};

/// At most so many documents in one question to the source.
const CONFIRM_BATCH: usize = 100;
/// The brake never stops fewer deletions than this (DESIGN §4).
const BRAKE_FROM: u64 = 1000;

/// Why a scan ended early.
enum ScanFailure {
    Target(TargetError),
    Files(io::Error),
}

impl From<TargetError> for ScanFailure {
    fn from(error: TargetError) -> Self {
        Self::Target(error)
    }
}

impl From<io::Error> for ScanFailure {
    fn from(error: io::Error) -> Self {
        Self::Files(error)
    }
}

/// Documents of the index that this run did not meet.
struct Strangers {
    log: LogWriter,
    /// Documents in the index.
    scanned: u64,
}

impl Run {
    /// Finds out what is gone and deletes it. Corrects the counters to distinct documents.
    pub(crate) async fn settle(
        &mut self,
        job: &Job,
        books: &mut Books,
        progress: &watch::Sender<Counters>,
    ) -> Result<(), Halt> {
        let roll = books.close_roll().await?;
        if self.claims.forgotten() > 0 {
            let message = format!(
                "{} deletions more than fit into memory were announced at once; the next full sync carries them out",
                self.claims.forgotten()
            );
            books.gap(Scope::root(), Error::new(ErrorKind::Unsupported, message))?;
        }
        self.delete_announced(job, books, progress).await?;
        if self.kind != JobKind::Incremental && books.gap_count == 0 {
            let strangers = self.strangers(job, &roll).await?;
            let gone = match self.promises.listing {
                Listing::Snapshot => strangers.log,
                _ => self.confirmed(strangers.log, job, books).await?,
            };
            brake(gone.count(), strangers.scanned, job)?;
            self.delete_all(gone, job, books, progress).await?;
        }
        self.drain(job, books, progress, true).await
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
            let stored = patiently(job, || job.target.stored(ids)).await?;
            let rows: Vec<_> = ids
                .iter()
                .zip(&stored)
                .filter_map(|(id, stored)| {
                    stored.as_ref().map(|stored| Scanned {
                        id: id.clone(),
                        version: stored.version,
                    })
                })
                .collect();
            if self.promises.ids_stay {
                for row in rows {
                    self.delete(row, books);
                }
            } else {
                for (row, answer) in self.ask(rows, job).await? {
                    match answer {
                        Some(Presence::Gone) => self.delete(row, books),
                        Some(Presence::Unknown) if !may_hide => self.delete(row, books),
                        _ => books.counters.kept += 1,
                    }
                }
            }
            self.drain(job, books, progress, false).await?;
        }
        Ok(())
    }

    /// Lists the index and picks out what this run did not meet.
    async fn strangers(&self, job: &Job, roll: &ClosedRoll) -> Result<Strangers, Halt> {
        let begin = job.clock.now();
        let mut attempt = 0;
        loop {
            let error = match self.scan_once(job, roll, attempt).await {
                Ok(strangers) => return Ok(strangers),
                Err(ScanFailure::Files(error)) => return Err(error.into()),
                Err(ScanFailure::Target(error)) => error,
            };
            let is_over = job.clock.now().saturating_sub(begin) > job.settings.patience;
            let again = crate::policy::request_consequence(error.kind)
                == crate::policy::RequestConsequence::Again;
            if !again || is_over {
                return Err(Halt::Failed(format!(
                    "the documents of the index could not be listed, so nothing was deleted: {}",
                    error.message
                )));
            }
            attempt += 1;
            tracing::warn!(error = %error, attempt, "the scan of ids broke off and begins again");
            let pause = crate::policy::pause(attempt, None);
            job.clock.sleep(pause).await;
        }
    }

    async fn scan_once(
        &self,
        job: &Job,
        roll: &ClosedRoll,
        attempt: u32,
    ) -> Result<Strangers, ScanFailure> {
        let name = format!("gone-{attempt}");
        let mut log = LogWriter::new(Arc::clone(&job.files), name, 1);
        let mut scan = job.target.scan().await?;
        let mut scanned = 0;
        if let Some(met) = roll.in_memory() {
            while let Some(page) = scan.next().await? {
                scanned += page.len() as u64;
                for row in page {
                    if self.is_stranger(met, &row) {
                        log.push(&row).await?;
                    }
                }
            }
            return Ok(Strangers { log, scanned });
        }
        let parts = roll.partitions();
        let writer = |part: usize| {
            let name = format!("scan-{attempt}-{part:02}");
            LogWriter::new(Arc::clone(&job.files), name, parts)
        };
        let mut writers: Vec<_> = (0..parts).map(writer).collect();
        while let Some(page) = scan.next().await? {
            scanned += page.len() as u64;
            for row in page {
                let part = roll.partition_of(self.hasher.hash(&row.id));
                writers[part].push(&row).await?;
            }
        }
        for (part, writer) in writers.into_iter().enumerate() {
            let met = roll.load(part).await?;
            let mut rows = writer.close().await?;
            while let Some(row) = rows.next().await? {
                if self.is_stranger(&met, &row) {
                    log.push(&row).await?;
                }
            }
            rows.remove().await?;
        }
        Ok(Strangers { log, scanned })
    }

    /// Whether this run did not meet a document, nor decide about it because it was told gone: then the
    /// source was asked, or somebody wrote it since.
    fn is_stranger(&self, met: &Partition, row: &Scanned) -> bool {
        let hash = self.hasher.hash(&row.id);
        !met.contains(hash) && !self.claims.is_decided(hash)
    }

    /// Those that the source confirms as gone.
    async fn confirmed(
        &self,
        strangers: LogWriter,
        job: &Job,
        books: &mut Books,
    ) -> Result<LogWriter, Halt> {
        let mut gone = LogWriter::new(Arc::clone(&job.files), "confirmed".into(), 1);
        let mut rows = strangers.close().await?;
        loop {
            let batch = rows.next_batch(CONFIRM_BATCH).await?;
            if batch.is_empty() {
                rows.remove().await?;
                return Ok(gone);
            }
            for (row, answer) in self.ask(batch, job).await? {
                match answer {
                    Some(Presence::Gone) => gone.push(&row).await?,
                    // Unknown: only a second full sync in a row that misses it would tell, and
                    // nobody remembers the first one yet.
                    _ => books.counters.kept += 1,
                }
            }
        }
    }

    async fn delete_all(
        &mut self,
        gone: LogWriter,
        job: &Job,
        books: &mut Books,
        progress: &watch::Sender<Counters>,
    ) -> Result<(), Halt> {
        let mut rows = gone.close().await?;
        loop {
            let batch = rows.next_batch(CONFIRM_BATCH).await?;
            if batch.is_empty() {
                return Ok(rows.remove().await?);
            }
            for row in batch {
                self.delete(row, books);
            }
            self.drain(job, books, progress, false).await?;
        }
    }

    /// Asks the source whether documents still exist. `None`: it could not answer. A document that is
    /// not in the index any more is left out.
    async fn ask(
        &self,
        rows: Vec<Scanned>,
        job: &Job,
    ) -> Result<Vec<(Scanned, Option<Presence>)>, Halt> {
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
                asked.push(row);
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
        Ok(asked.into_iter().zip(answers).collect())
    }

    /// Deletes a document in the version that was seen.
    fn delete(&mut self, row: Scanned, books: &mut Books) {
        let hash = self.hasher.hash(&row.id);
        tracing::info!(id = %row.id, seq_no = row.version.seq_no, "deleting a document that is gone from the data source");
        let operation = Operation {
            id: row.id,
            action: Action::Delete(row.version),
        };
        let entry = Entry::new(hash, operation, Purpose::Deletion, [None, None]);
        self.sender.admit(entry, books);
    }

    /// Sends what is there until more may be added, or all of it.
    async fn drain(
        &mut self,
        job: &Job,
        books: &mut Books,
        progress: &watch::Sender<Counters>,
        all: bool,
    ) -> Result<(), Halt> {
        let mut tick = Tick::new(job);
        loop {
            self.admit_released(job, books);
            if all {
                self.sender.flush();
            }
            self.sender.turn(books);
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

/// Stops a full sync that would delete too much of an index of `scanned` documents.
fn brake(gone: u64, scanned: u64, job: &Job) -> Result<(), Halt> {
    let most = job.settings.brake.highest_count.unwrap_or(0);
    let before = scanned.max(most);
    let left = scanned.saturating_sub(gone);
    if job.settings.brake.released || gone <= BRAKE_FROM || left.saturating_mul(2) >= before {
        return Ok(());
    }
    Err(Halt::Failed(format!(
        "this sync would delete {gone} documents and leave {left} of {before}, so it deleted nothing; \
         if they are really gone from the data source, change the connector's configuration or sync rules \
         (saving them again is enough) or delete them by hand, and start a full sync"
    )))
}
