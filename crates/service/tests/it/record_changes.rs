//! What each change writes into a record in memory.

use chrono::{DateTime, Utc};
use tributary_protocol::{
    Connector, JobStatus, SyncJob,
    records::{ConnectorChange, JobChange, RecordsError, RecordsErrorKind},
    sync_job::JobCounters,
    updates::{self, JobEnd, Partial},
};

/// The name of a change, as faults name it.
pub fn connector_change_name(change: &ConnectorChange) -> &'static str {
    match change {
        ConnectorChange::CheckIn => "check_in",
        ConnectorChange::Prepare { .. } => "prepare_connector",
        ConnectorChange::Status { .. } => "status",
        ConnectorChange::FilteringChecked(_) => "filtering",
        ConnectorChange::Scheduled { .. } => "scheduled",
        ConnectorChange::SyncStarted(_) => "sync_started",
        ConnectorChange::SyncEnded(_) => "sync_ended",
    }
}

pub fn job_change_name(change: &JobChange) -> &'static str {
    match change {
        JobChange::Claim { .. } => "claim",
        JobChange::Stats { .. } => "stats",
        JobChange::Cancel => "cancel",
        JobChange::Ended(_) => "ended",
    }
}

fn counters(indexed: u64, bytes: u64, deleted: u64) -> JobCounters {
    JobCounters {
        deleted_document_count: deleted,
        indexed_document_count: indexed,
        indexed_document_volume: bytes >> 20,
    }
}

pub fn connector_partial(
    connector: &Connector,
    change: &ConnectorChange,
    now: DateTime<Utc>,
) -> Result<Partial, RecordsError> {
    let rejected = |text: String| Err(RecordsError::new(RecordsErrorKind::Rejected, text));
    Ok(match change {
        ConnectorChange::CheckIn => updates::heartbeat(now),
        ConnectorChange::Prepare {
            configuration,
            service_type,
            features,
            status,
        } => {
            let mut partial = Partial::new();
            if let Some(configuration) = configuration {
                partial.extend(updates::repaired_configuration(configuration.clone()));
            }
            if let Some(service_type) = service_type {
                partial.extend(updates::service_type(service_type));
            }
            if let Some(features) = features {
                partial.extend(updates::features(features));
            }
            if let Some(status) = status {
                partial.insert("status".into(), status.as_str().into());
            }
            partial
        }
        ConnectorChange::Status { status, error } => {
            if !connector.status.can_become(*status) {
                return rejected(format!("{} cannot become {status}", connector.status));
            }
            match error {
                Some(error) => updates::connector_error(error),
                None => updates::connected(),
            }
        }
        ConnectorChange::FilteringChecked(validation) => {
            updates::filtering_validated(&connector.filtering, validation)
        }
        ConnectorChange::Scheduled { job_type, at } => updates::sync_scheduled(*job_type, *at),
        ConnectorChange::SyncStarted(job_type) => {
            assert!(!connector.is_syncing(*job_type), "started twice");
            updates::sync_started(*job_type)
        }
        ConnectorChange::SyncEnded(end) => {
            let end_of = updates::SyncEnd {
                job_type: end.job_type,
                status: end.status,
                error: end.error.as_deref(),
                counters: Some(counters(end.indexed, end.indexed_bytes, end.deleted)),
                sync_cursor: end.sync_cursor.as_ref(),
                stored_cursor: connector.sync_cursor.as_ref(),
            };
            updates::sync_ended(end_of, end.at)
        }
    })
}

pub fn job_partial(
    job: &SyncJob,
    change: &JobChange,
    now: DateTime<Utc>,
) -> Result<Partial, RecordsError> {
    let check = |next: JobStatus| match job.status.can_become(next) {
        true => Ok(()),
        false => {
            let text = format!("a job cannot go from {} to {next}", job.status);
            Err(RecordsError::new(RecordsErrorKind::Rejected, text))
        }
    };
    Ok(match change {
        JobChange::Claim {
            worker_hostname,
            sync_cursor,
            metadata,
        } => {
            check(JobStatus::InProgress)?;
            let stored = job.connector.sync_cursor.as_ref();
            let cursor = sync_cursor.as_ref();
            updates::job_claimed(worker_hostname, cursor, stored, Some(metadata), now)
        }
        JobChange::Stats {
            indexed,
            indexed_bytes,
            deleted,
            metadata,
        } => updates::job_stats(
            counters(*indexed, *indexed_bytes, *deleted),
            Some(metadata),
            now,
        ),
        JobChange::Cancel => updates::cancel_requested(job.status, now)
            .map_err(|error| RecordsError::new(RecordsErrorKind::Rejected, error.to_string()))?,
        JobChange::Ended(end) => {
            check(end.status)?;
            let details = JobEnd {
                counters: Some(counters(end.indexed, end.indexed_bytes, end.deleted)),
                total_document_count: end.total,
                metadata: Some(&end.metadata),
            };
            match end.status {
                JobStatus::Completed => updates::job_completed(details, end.at),
                JobStatus::Canceled => updates::job_canceled(details, end.at),
                JobStatus::Suspended => updates::job_suspended(details, end.at),
                _ => updates::job_failed(end.error.as_deref().unwrap(), details, end.at),
            }
        }
    })
}
