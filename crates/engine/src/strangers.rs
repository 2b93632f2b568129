//! Documents of the index of which nothing is known: whoever wrote them, this run did not meet them.

use crate::{
    books::{Books, Halt},
    job::{Counters, Job},
    log::LogWriter,
    missing::{GONE, KEPT_OUT},
    patience::{Failure, patiently},
    roll::{ClosedRoll, Partition, Standing},
    run::Run,
    settle::{CONFIRM_BATCH, brake},
    target::Scanned,
};
use std::{io, sync::Arc};
use tokio::sync::watch;
use tributary_sdk::{Listing, Presence};
use tributary_state::{Fate, Row};

/// Documents of the index that this run did not meet.
struct Strangers {
    log: LogWriter,
    /// Those that it met, and that rules keep out: nobody has to be asked about them.
    filtered: LogWriter,
    /// Documents in the index.
    scanned: u64,
}

impl Run {
    /// Finds strangers and deletes those that are proven gone. Only for a run without any gap.
    pub(crate) async fn delete_strangers(
        &mut self,
        job: &Job,
        books: &mut Books,
        roll: &ClosedRoll,
        progress: &watch::Sender<Counters>,
    ) -> Result<(), Halt> {
        let strangers = self.strangers(job, roll).await?;
        let gone = match self.promises.listing {
            Listing::Snapshot => strangers.log,
            _ => self.confirmed(strangers.log, job, books).await?,
        };
        let deleted = books.counters.deleted;
        let count = gone.count() + strangers.filtered.count();
        if let Err(why) = brake(count + deleted, strangers.scanned + deleted, job) {
            books.failure = Some(why);
            return Ok(());
        }
        let unknown = format!("{GONE}: in the index, but nothing is known of it");
        for (gone, why) in [(strangers.filtered, KEPT_OUT), (gone, &*unknown)] {
            let mut rows = gone.close().await?;
            loop {
                let batch = rows.next_batch(CONFIRM_BATCH).await?;
                if batch.is_empty() {
                    break;
                }
                for row in batch {
                    self.delete(row.id, row.version, None, why, books);
                }
                self.drain(job, books, progress, false).await?;
            }
            rows.remove().await?;
        }
        Ok(())
    }

    /// Lists the index and picks out what this run did not meet.
    async fn strangers(&self, job: &Job, roll: &ClosedRoll) -> Result<Strangers, Halt> {
        let mut attempt = 0;
        let listed = patiently(job, || {
            attempt += 1;
            self.scan_once(job, roll, attempt)
        });
        listed.await.map_err(|halt| match halt {
            Halt::Failed(why) => Halt::Failed(format!(
                "the documents of the index could not be listed, so nothing was deleted because of that list: {why}"
            )),
            halt => halt,
        })
    }

    async fn scan_once(
        &self,
        job: &Job,
        roll: &ClosedRoll,
        attempt: u32,
    ) -> Result<Strangers, Failure> {
        let list = |name: String| LogWriter::new(Arc::clone(&job.files), name, 1);
        let mut found = Strangers {
            log: list(format!("gone-{attempt}")),
            filtered: list(format!("filtered-{attempt}")),
            scanned: 0,
        };
        let mut scan = job.target.scan().await?;
        if let Some(met) = roll.in_memory() {
            while let Some(page) = scan.next().await? {
                found.scanned += page.len() as u64;
                for row in page {
                    self.sort_out(met, row, &mut found).await?;
                }
            }
            return Ok(found);
        }
        let parts = roll.partitions();
        let writer = |part: usize| {
            let name = format!("scan-{attempt}-{part:02}");
            LogWriter::new(Arc::clone(&job.files), name, parts)
        };
        let mut writers: Vec<_> = (0..parts).map(writer).collect();
        while let Some(page) = scan.next().await? {
            found.scanned += page.len() as u64;
            for row in page {
                let part = roll.partition_of(self.hasher.hash(&row.id));
                writers[part].push(&row).await?;
            }
        }
        for (part, writer) in writers.into_iter().enumerate() {
            let met = roll.load(part).await?;
            let mut rows = writer.close().await?;
            while let Some(row) = rows.next().await? {
                self.sort_out(&met, row, &mut found).await?;
            }
            rows.remove().await?;
        }
        Ok(found)
    }

    /// Notes a document that this run did not meet, unless it was decided already what becomes of it:
    /// because it was told gone (then the source was asked, or somebody wrote it since), or because the
    /// last run knew it.
    async fn sort_out(
        &self,
        met: &Partition,
        row: Scanned,
        found: &mut Strangers,
    ) -> io::Result<()> {
        let hash = self.hasher.hash(&row.id);
        if self.claims.is_decided(hash) || self.kept.contains(hash) {
            return Ok(());
        }
        match met.standing(hash) {
            Standing::Met => Ok(()),
            Standing::Filtered => found.filtered.push(&row).await,
            Standing::Unmet => found.log.push(&row).await,
        }
    }

    /// Those that the source confirms as gone. The others are remembered: what is missed a second time
    /// in a row is gone.
    async fn confirmed(
        &mut self,
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
            let batch = batch.into_iter().map(|row| Row {
                id: row.id,
                fate: Fate::Kept,
                fingerprint: 0,
                version: Some(row.version),
                home: None,
                missed: false,
            });
            for (mut row, version, answer) in self.ask(batch.collect(), job).await? {
                if answer == Some(Presence::Gone) {
                    let (id, version) = (row.id, row.version.unwrap_or(version));
                    gone.push(&Scanned { id, version }).await?;
                    continue;
                }
                books.counters.kept += 1;
                row.missed = answer == Some(Presence::Unknown);
                let unit = books.manifests.unit_of_orphans();
                books.keep(unit, row);
            }
            books.manifests.write().await?;
        }
    }
}
