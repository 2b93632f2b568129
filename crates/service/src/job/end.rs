//! The last word about a job, in its record and in that of its connector (service sheet §4 step 6).

use super::{
    claim::Claimed,
    progress::Progress,
    summary::{of_counters, summary},
    work::Worked,
};
use crate::{
    change::{Changed, change_connector},
    context::Context,
    failure::Failure,
    lease::Mark,
    metric_names::{JOB_TYPE, JOBS_ENDED, SERVICE_TYPE, VERDICT},
    running::{Control, Why},
};
use std::time::Duration;
use tributary_engine::{Counters, Verdict};
use tributary_protocol::{
    JobStatus,
    records::{ConnectorChange, JobChange, RecordsError, RecordsErrorKind, SyncEnd},
};

/// How long the last word is tried to be written while the records are out of reach.
const PATIENCE: Duration = Duration::from_secs(2 * 60 * 60);
/// So often the job's record may change under our hands.
const ATTEMPTS: usize = 10;

/// Writes the end of a job. What cannot be written in the end is in the log, whole.
pub(super) async fn write(
    context: &Context,
    claimed: &Claimed,
    control: &Control,
    progress: &Progress,
    worked: Worked,
) {
    let (mut end, is_warning) = sync_end(context, claimed, control, progress, worked);
    let written = write_records(context, claimed, &mut end).await;
    let verdict = match (&written, end.status, is_warning) {
        (Ok(Job::NotOurs), ..) => "lost",
        (_, JobStatus::Completed, true) => "warning",
        (_, status, _) => status.as_str(),
    };
    let labels = [
        (SERVICE_TYPE, claimed.service_type()),
        (JOB_TYPE, end.job_type.to_string()),
        (VERDICT, verdict.to_owned()),
    ];
    metrics::counter!(JOBS_ENDED, &labels).increment(1);
    let why = end.error.as_deref().unwrap_or_default();
    tracing::info!(
        connector = claimed.connector.id,
        job = claimed.job.id,
        indexed = end.indexed,
        deleted = end.deleted,
        "the sync ended: {verdict} {why}"
    );
    if let Err(error) = written {
        tracing::error!(
            connector = claimed.connector.id,
            job = claimed.job.id,
            "the end of the sync could not be written: {error}. It was: {end:?}"
        );
    }
}

fn sync_end(
    context: &Context,
    claimed: &Claimed,
    control: &Control,
    progress: &Progress,
    worked: Worked,
) -> (SyncEnd, bool) {
    let mut is_warning = false;
    let mut total = None;
    let (counters, mut metadata, result) = match worked {
        Worked::Outcome(outcome, findings) => {
            progress.note(&outcome.counters);
            total = outcome.total_documents;
            let metadata = summary(&outcome, &findings);
            let result = match outcome.verdict {
                Verdict::Completed => (JobStatus::Completed, None),
                Verdict::Warning(_) => {
                    is_warning = true;
                    (JobStatus::Completed, None)
                }
                Verdict::Failed(text) => failed(&Failure::new("SyncFailed", text)),
                Verdict::Stopped => stopped(context, control),
            };
            (outcome.counters, metadata, result)
        }
        Worked::Failed(failure) => {
            let counters = progress.latest();
            let metadata = of_counters(&counters);
            (counters, metadata, failed(&failure))
        }
        Worked::Stopped => {
            let counters = progress.latest();
            let metadata = of_counters(&counters);
            (counters, metadata, stopped(context, control))
        }
    };
    let Counters {
        indexed,
        indexed_bytes,
        deleted,
        ..
    } = counters;
    let (status, error) = result;
    Mark::ended(&claimed.nonce, &mut metadata);
    let end = SyncEnd {
        job_type: claimed.job.job_type,
        status,
        error,
        indexed,
        indexed_bytes,
        deleted,
        total,
        sync_cursor: None,
        metadata,
        at: context.clock().utc(),
    };
    (end, is_warning)
}

fn failed(failure: &Failure) -> (JobStatus, Option<String>) {
    (JobStatus::Error, Some(failure.to_string()))
}

/// Why the work was stopped decides how the job ended.
fn stopped(context: &Context, control: &Control) -> (JobStatus, Option<String>) {
    match control.why() {
        Some(Why::Canceled) => (JobStatus::Canceled, None),
        Some(Why::Suspended) => (JobStatus::Suspended, None),
        Some(Why::Lost(text)) => failed(&Failure::new("JobLost", text.clone())),
        None if context.ending.is_stopped() => (JobStatus::Suspended, None),
        None => failed(&Failure::new(
            "InternalError",
            "the sync stopped without a reason",
        )),
    }
}

/// Who has the job's record.
enum Job {
    /// We have, and the end is in it.
    Ended,
    /// It was deleted.
    Gone,
    /// Somebody else ended it, or runs it.
    NotOurs,
}

async fn write_records(
    context: &Context,
    claimed: &Claimed,
    end: &mut SyncEnd,
) -> Result<Job, RecordsError> {
    let (job, written) = context
        .persist(PATIENCE, || write_job(context, claimed, end.clone()))
        .await?;
    *end = written;
    match job {
        Job::Ended | Job::Gone => {}
        Job::NotOurs => {
            tracing::warn!(
                job = claimed.job.id,
                "somebody else ended the job, or took it over"
            );
            return Ok(job);
        }
    }
    let id = &claimed.connector.id;
    let told = context.persist(PATIENCE, || {
        change_connector(&*context.records, id, None, |connector| {
            connector
                .is_syncing(end.job_type)
                .then(|| ConnectorChange::SyncEnded(Box::new(end.clone())))
        })
    });
    if let Changed::Gone = told.await? {
        tracing::warn!(
            connector = id,
            "the connector was deleted while it was synced"
        );
    }
    Ok(job)
}

/// Writes the end into the job's record; the answer says what was written. A cancel that came at the
/// last moment counts.
async fn write_job(
    context: &Context,
    claimed: &Claimed,
    mut end: SyncEnd,
) -> Result<(Job, SyncEnd), RecordsError> {
    let id = &claimed.job.id;
    for _ in 0..ATTEMPTS {
        let Some(job) = context.records.job(id).await? else {
            return Ok((Job::Gone, end));
        };
        let mark = Mark::of(&job.record);
        let is_ours = mark.is_of(&claimed.nonce);
        match job.record.status {
            JobStatus::Canceling if is_ours => cancel(&mut end),
            JobStatus::InProgress if is_ours => {}
            // The answer to an earlier attempt was lost.
            status if mark.is_ended_by(&claimed.nonce) => {
                if status == JobStatus::Canceled {
                    cancel(&mut end);
                }
                return Ok((Job::Ended, end));
            }
            _ => return Ok((Job::NotOurs, end)),
        }
        let change = JobChange::Ended(Box::new(end.clone()));
        match context
            .records
            .change_job(id, &change, Some(job.seen))
            .await
        {
            Ok(_) => return Ok((Job::Ended, end)),
            Err(error) if error.kind == RecordsErrorKind::NotFound => {
                return Ok((Job::Gone, end));
            }
            Err(error) if error.kind == RecordsErrorKind::Conflict => {}
            Err(error) => return Err(error),
        }
    }
    let message = format!("the record of job {id} changed again and again");
    Err(RecordsError::new(RecordsErrorKind::Conflict, message))
}

fn cancel(end: &mut SyncEnd) {
    end.status = JobStatus::Canceled;
    end.error = None;
}
