//! Waiting for a sync job.

use super::shown;
use crate::{
    failure::{Exit, Failure, Result},
    output::complain,
    progress::Progress,
};
use std::time::{Duration, Instant};
use tributary_elastic::Client;
use tributary_protocol::{
    JobStatus, SyncJob,
    records::{Records, RecordsErrorKind},
};

/// How often the record is read.
const INTERVAL: Duration = Duration::from_millis(500);
/// How often documents are counted.
const COUNT_EVERY: Duration = Duration::from_secs(2);
/// After so long without a service, somebody may have forgotten to start one.
const LONELY: Duration = Duration::from_secs(45);
/// So long Elasticsearch may be out of reach.
const PATIENCE: Duration = Duration::from_secs(120);

/// Where more can be seen of a job than its record says: that is written only every ten seconds.
#[derive(Clone, Copy)]
pub(crate) struct Live<'a> {
    pub(crate) client: &'a Client,
    pub(crate) index: &'a str,
}

/// Shows how far a job is until it has ended; the answer is its last record.
pub(crate) async fn follow(
    records: &dyn Records,
    id: &str,
    live: Option<Live<'_>>,
    progress: Progress,
) -> Result<SyncJob> {
    let begun = Instant::now();
    let mut answered = Instant::now();
    let mut is_told = false;
    let mut counted = Counted::default();
    loop {
        match records.job(id).await {
            Ok(Some(job)) => {
                answered = Instant::now();
                let job = job.record;
                if job.status.is_final() {
                    progress.end();
                    return Ok(job);
                }
                if job.status.is_waiting() && begun.elapsed() > LONELY && !is_told {
                    is_told = true;
                    progress.note(
                        "no service has taken the job yet; is one running that handles this \
                         connector, and is the connector configured?",
                    );
                }
                progress.show(&line(&job, live, &mut counted).await);
            }
            Ok(None) => {
                return Err(Failure::new(
                    Exit::Sync,
                    format!("the sync job {id} was deleted"),
                ));
            }
            Err(error)
                if error.kind == RecordsErrorKind::Unavailable && answered.elapsed() < PATIENCE =>
            {
                progress.note(&error.message);
            }
            Err(error) => return Err(error.into()),
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

/// The documents of an index, as they were counted last.
#[derive(Default)]
struct Counted(Option<(Instant, u64)>);

impl Counted {
    /// Counting makes the store search ready, which costs: not at every look.
    async fn now(&mut self, live: Live<'_>) -> Option<u64> {
        let is_fresh = self.0.is_some_and(|(when, _)| when.elapsed() < COUNT_EVERY);
        if !is_fresh && let Ok(count) = live.client.count(live.index).await {
            self.0 = Some((Instant::now(), count));
        }
        self.0.map(|(_, count)| count)
    }
}

async fn line(job: &SyncJob, live: Option<Live<'_>>, counted: &mut Counted) -> String {
    let counters = &job.counters;
    if let Some(live) = live
        && job.status == JobStatus::InProgress
        && let Some(count) = counted.now(live).await
    {
        return format!("syncing: {count} documents in the index");
    }
    match job.status {
        JobStatus::Pending => "waiting for a service to take the job".to_owned(),
        JobStatus::Suspended => "suspended; goes on when a service starts".to_owned(),
        status => format!(
            "{status}: {} indexed, {} deleted",
            counters.indexed_document_count, counters.deleted_document_count
        ),
    }
}

/// One line about a job that ended.
pub(super) fn summary(job: &SyncJob) -> String {
    let counters = &job.counters;
    let took = shown::duration(job, chrono::Utc::now());
    let took = if took.is_empty() {
        took
    } else {
        format!(" in {took}")
    };
    let mut text = format!(
        "{}{took}: {} indexed, {} deleted",
        job.status, counters.indexed_document_count, counters.deleted_document_count
    );
    if let Some(total) = job.total_document_count {
        text.push_str(&format!(", {total} in the index"));
    }
    if let Some(warning) = shown::warning(job) {
        text.push_str(&format!("\nwarning: {warning}"));
    }
    text
}

/// Whether the job did what was wanted.
pub(super) fn verdict(job: &SyncJob) -> Result<()> {
    match job.status {
        JobStatus::Completed => Ok(()),
        status => {
            let why = job
                .error
                .as_deref()
                .map_or_else(String::new, |why| format!(": {why}"));
            let failure = Failure::new(Exit::Sync, format!("the sync ended as '{status}'{why}"));
            Err(match status {
                JobStatus::Error => {
                    failure.hint(format!("`tributary job view {}` tells more", job.id))
                }
                _ => failure,
            })
        }
    }
}

/// Says the end of a job that was not waited for by itself.
pub(crate) fn report(job: &SyncJob) -> Result<()> {
    if let Some(warning) = shown::warning(job) {
        complain(&format!("warning: {warning}"));
    }
    verdict(job)
}
