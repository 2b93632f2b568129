//! Taking a job (service sheet §4 steps 1 and 2).

use crate::{
    change::{Changed, change_connector},
    context::Context,
    failure::Failure,
    lease::{Lease, Mark, new_nonce},
};
use serde_json::Map;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tributary_protocol::{
    Connector, JobStatus, JobType, SyncJob,
    records::{
        ConnectorChange, JobChange, JobFilter, RecordsError, RecordsErrorKind, Seen, SyncEnd,
        Versioned,
    },
};

/// How long a claim is tried while the records are out of reach.
const PATIENCE: Duration = Duration::from_secs(180);
/// A claim by somebody else shows in the job's record within this time.
const DOUBT: Duration = Duration::from_secs(30);
/// So often the job's record may change under our hands.
const ATTEMPTS: usize = 5;

/// A job that is ours.
pub(super) struct Claimed {
    /// The connector as it was at the claim.
    pub(super) connector: Connector,
    /// The job as it was before the claim.
    pub(super) job: SyncJob,
    /// What its record knows us by.
    pub(super) nonce: String,
    /// The record after the claim; `None` if it has to be read.
    pub(super) seen: Option<Seen>,
    /// Until when we may work on it.
    pub(super) lease: Arc<Lease>,
}

impl Claimed {
    /// For labels and messages.
    pub(super) fn service_type(&self) -> String {
        let known = self.connector.service_type.as_ref();
        let known = known.or(self.job.connector.service_type.as_ref());
        known.cloned().unwrap_or_else(|| "unknown".into())
    }
}

/// Takes a job: first its connector is marked as syncing, then the job is claimed, both under
/// concurrency control. `None` if somebody else has it, or if the records are out of reach. An `Err`
/// means that the claim will be refused again.
pub(super) async fn claim(
    context: &Context,
    connector_id: &str,
    job: Versioned<SyncJob>,
) -> Result<Option<Claimed>, RecordsError> {
    let job_type = job.record.job_type;
    let Some(connector) = out_of_reach_is_none(mark(context, connector_id, job_type).await)? else {
        return Ok(None);
    };
    let nonce = new_nonce();
    let length = context.config.service.job_lease;
    // Before the claim is sent: others count from when they see it.
    let started = context.clock().now();
    let taken = match take(context, &connector, &job, &nonce).await {
        Ok(taken) => taken,
        Err(error) if error.kind == RecordsErrorKind::Unavailable => {
            // Whatever was written is put right by cleanup.
            return Ok(None);
        }
        Err(error) => {
            let failure = Failure::new("ClaimRefused", error.message.clone());
            let end = ended(
                context,
                job_type,
                JobStatus::Error,
                Some(failure.to_string()),
            );
            release(context, connector_id, end).await;
            return Err(error);
        }
    };
    match taken {
        Taken::Ours(seen) => Ok(Some(Claimed {
            connector,
            job: job.record,
            nonce,
            seen,
            lease: Arc::new(Lease::new(Arc::clone(context.clock()), length, started)),
        })),
        Taken::ByAnother => Ok(None),
        Taken::Over(status) => {
            release(
                context,
                connector_id,
                ended(context, job_type, status, None),
            )
            .await;
            Ok(None)
        }
    }
}

fn out_of_reach_is_none<T>(
    result: Result<Option<T>, RecordsError>,
) -> Result<Option<T>, RecordsError> {
    match result {
        Err(error) if error.kind == RecordsErrorKind::Unavailable => Ok(None),
        Err(error) if error.kind == RecordsErrorKind::Conflict => Ok(None),
        result => result,
    }
}

/// Marks the connector as syncing; `None` if it is, or may not be.
async fn mark(
    context: &Context,
    connector_id: &str,
    job_type: JobType,
) -> Result<Option<Connector>, RecordsError> {
    // Set when an answer was lost: then the mark that is found may be ours.
    let doubt = AtomicBool::new(false);
    let changed = context
        .persist(PATIENCE, || async {
            let changed = change_connector(&*context.records, connector_id, None, |connector| {
                let free = connector.is_gate_open() && !connector.is_syncing(job_type);
                free.then_some(ConnectorChange::SyncStarted(job_type))
            });
            let changed = changed.await;
            if is_unavailable(&changed) {
                doubt.store(true, Ordering::Relaxed);
            }
            changed
        })
        .await?;
    match changed {
        Changed::Done(connector) => Ok(Some(connector.record)),
        Changed::Gone => Ok(None),
        Changed::Unwanted(connector) => {
            let connector = connector.record;
            let may_be_ours = doubt.load(Ordering::Relaxed) && connector.is_syncing(job_type);
            if may_be_ours
                && context.pause(DOUBT).await
                && !is_worked_on(context, connector_id, job_type).await?
            {
                return Ok(Some(connector));
            }
            Ok(None)
        }
    }
}

fn is_unavailable<T>(result: &Result<T, RecordsError>) -> bool {
    matches!(result, Err(error) if error.kind == RecordsErrorKind::Unavailable)
}

/// Whether some job of this connector and kind is running.
async fn is_worked_on(
    context: &Context,
    connector_id: &str,
    job_type: JobType,
) -> Result<bool, RecordsError> {
    let job_types: Vec<_> = JobType::ALL
        .iter()
        .copied()
        .filter(|other| other.is_content() == job_type.is_content())
        .collect();
    let filter = JobFilter {
        connector_ids: vec![connector_id.to_owned()],
        statuses: vec![JobStatus::InProgress, JobStatus::Canceling],
        job_types,
        ..JobFilter::default()
    };
    let jobs = context
        .persist(PATIENCE, || context.records.jobs(&filter))
        .await?;
    Ok(!jobs.is_empty())
}

/// What became of the job.
enum Taken {
    /// We have it, with its record in this version.
    Ours(Option<Seen>),
    /// Somebody else runs it, and keeps the connector's record.
    ByAnother,
    /// It does not wait any more, and nobody runs it.
    Over(JobStatus),
}

async fn take(
    context: &Context,
    connector: &Connector,
    job: &Versioned<SyncJob>,
    nonce: &str,
) -> Result<Taken, RecordsError> {
    let id = &job.record.id;
    let is_incremental = job.record.job_type == JobType::Incremental;
    let change = JobChange::Claim {
        worker_hostname: context.host.hostname.clone(),
        sync_cursor: connector.sync_cursor.clone().filter(|_| is_incremental),
        metadata: Mark::claimed(nonce, context.config.service.job_lease),
    };
    let mut seen = job.seen;
    for _ in 0..ATTEMPTS {
        let claimed = context
            .persist(PATIENCE, || {
                context.records.change_job(id, &change, Some(seen))
            })
            .await;
        match claimed {
            Ok(written) => return Ok(Taken::Ours(written)),
            Err(error) if error.kind == RecordsErrorKind::NotFound => {
                return Ok(Taken::Over(JobStatus::Canceled));
            }
            Err(error) if error.kind != RecordsErrorKind::Conflict => return Err(error),
            Err(_) => {}
        }
        let now = context
            .persist(PATIENCE, || context.records.job(id))
            .await?;
        let Some(now) = now else {
            return Ok(Taken::Over(JobStatus::Canceled));
        };
        let record = &now.record;
        if record.status.is_active() {
            // If the answer to our own claim was lost, this is it.
            return Ok(match Mark::of(record).is_of(nonce) {
                true => Taken::Ours(Some(now.seen)),
                false => Taken::ByAnother,
            });
        }
        if !record.status.is_waiting() {
            return Ok(Taken::Over(record.status));
        }
        seen = now.seen;
    }
    Ok(Taken::Over(JobStatus::Suspended))
}

fn ended(
    context: &Context,
    job_type: JobType,
    status: JobStatus,
    error: Option<String>,
) -> Box<SyncEnd> {
    Box::new(SyncEnd {
        job_type,
        status,
        error,
        indexed: 0,
        indexed_bytes: 0,
        deleted: 0,
        total: None,
        sync_cursor: None,
        metadata: Map::new(),
        at: context.clock().utc(),
    })
}

/// Takes our mark off the connector again.
async fn release(context: &Context, connector_id: &str, end: Box<SyncEnd>) {
    let released = context
        .persist(PATIENCE, || {
            change_connector(&*context.records, connector_id, None, |connector| {
                connector
                    .is_syncing(end.job_type)
                    .then(|| ConnectorChange::SyncEnded(end.clone()))
            })
        })
        .await;
    if let Err(error) = released {
        tracing::error!(connector = connector_id, "still marked as syncing: {error}");
    }
}
