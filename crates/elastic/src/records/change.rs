//! Changes as partial updates.

use super::{ATTEMPTS, CONNECTORS, ElasticRecords, SYNC_JOBS, illegal};
use tributary_protocol::{
    Connector, JobStatus, SyncJob,
    records::{
        ConnectorChange, JobChange, RecordsError, RecordsErrorKind, Seen, SyncEnd, Versioned,
    },
    sync_job::JobCounters,
    updates::{self, Partial},
};

impl ElasticRecords {
    pub(super) async fn update_connector(
        &self,
        id: &str,
        change: &ConnectorChange,
        seen: Option<Seen>,
    ) -> Result<(), RecordsError> {
        if !builds_on_the_record(change) {
            let partial = self.connector_partial(change, None)?;
            let updated = CONNECTORS.update(&self.client, id, &partial, seen).await;
            return updated.map(drop);
        }
        let mut attempt = 1;
        loop {
            let now = self.existing_connector(id).await?;
            if seen.is_some_and(|seen| seen != now.seen) {
                return Err(CONNECTORS.overtaken(&self.client, id));
            }
            let partial = self.connector_partial(change, Some(&now.record))?;
            let updated = CONNECTORS
                .update(&self.client, id, &partial, Some(now.seen))
                .await;
            match updated {
                // The result of a check is for the draft that was checked, so it is not written over
                // another one.
                Err(error)
                    if error.kind == RecordsErrorKind::Conflict
                        && seen.is_none()
                        && attempt < ATTEMPTS
                        && !matches!(change, ConnectorChange::FilteringChecked(_)) =>
                {
                    attempt += 1;
                }
                other => return other.map(drop),
            }
        }
    }

    fn connector_partial(
        &self,
        change: &ConnectorChange,
        record: Option<&Connector>,
    ) -> Result<Partial, RecordsError> {
        Ok(match change {
            ConnectorChange::CheckIn => updates::heartbeat(self.now()),
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
                    partial.insert("status".to_owned(), status.as_str().into());
                }
                partial
            }
            ConnectorChange::Status { status, error } => {
                let mut partial = match error {
                    Some(error) => updates::connector_error(error),
                    None => updates::connected(),
                };
                partial.insert("status".to_owned(), status.as_str().into());
                partial
            }
            ConnectorChange::FilteringChecked(validation) => {
                let filtering = record
                    .map(|record| record.filtering.clone())
                    .unwrap_or_default();
                updates::filtering_validated(&filtering, validation)
            }
            ConnectorChange::Scheduled { job_type, at } => updates::sync_scheduled(*job_type, *at),
            ConnectorChange::SyncStarted(job_type) => updates::sync_started(*job_type),
            ConnectorChange::SyncEnded(end) => updates::sync_ended(
                updates::SyncEnd {
                    job_type: end.job_type,
                    status: end.status,
                    error: end.error.as_deref(),
                    counters: Some(counters(end)),
                    sync_cursor: end.sync_cursor.as_ref(),
                    stored_cursor: record.and_then(|record| record.sync_cursor.as_ref()),
                },
                end.at,
            ),
        })
    }

    pub(super) async fn update_job(
        &self,
        id: &str,
        change: &JobChange,
        seen: Option<Seen>,
    ) -> Result<Seen, RecordsError> {
        if let JobChange::Stats {
            indexed,
            indexed_bytes,
            deleted,
            metadata,
        } = change
        {
            let counters = JobCounters::of_bytes(*indexed, *indexed_bytes, *deleted);
            let metadata = (!metadata.is_empty()).then_some(metadata);
            let partial = updates::job_stats(counters, metadata, self.now());
            return match seen {
                Some(seen) => {
                    SYNC_JOBS
                        .update_once(&self.client, id, &partial, seen)
                        .await
                }
                None => SYNC_JOBS.update(&self.client, id, &partial, None).await,
            };
        }
        let mut attempt = 1;
        loop {
            let now = self.existing_job(id).await?;
            if seen.is_some_and(|seen| seen != now.seen) {
                return Err(SYNC_JOBS.overtaken(&self.client, id));
            }
            let partial = self.job_partial(change, &now)?;
            match SYNC_JOBS
                .update(&self.client, id, &partial, Some(now.seen))
                .await
            {
                Err(error)
                    if error.kind == RecordsErrorKind::Conflict
                        && seen.is_none()
                        && attempt < ATTEMPTS =>
                {
                    attempt += 1;
                }
                other => return other,
            }
        }
    }

    fn job_partial(
        &self,
        change: &JobChange,
        job: &Versioned<SyncJob>,
    ) -> Result<Partial, RecordsError> {
        let job = &job.record;
        let become_ = |next: JobStatus| {
            job.status
                .transition(next)
                .map_err(|error| illegal(&job.id, &error))
        };
        Ok(match change {
            JobChange::Claim {
                worker_hostname,
                sync_cursor,
                metadata,
            } => {
                become_(JobStatus::InProgress)?;
                updates::job_claimed(
                    worker_hostname,
                    sync_cursor.as_ref(),
                    job.connector.sync_cursor.as_ref(),
                    (!metadata.is_empty()).then_some(metadata),
                    self.now(),
                )
            }
            JobChange::Cancel => updates::cancel_requested(job.status, self.now())
                .map_err(|error| illegal(&job.id, &error))?,
            JobChange::Ended(end) => {
                become_(end.status)?;
                let what_is_known = updates::JobEnd {
                    counters: Some(counters(end)),
                    total_document_count: end.total,
                    metadata: (!end.metadata.is_empty()).then_some(&end.metadata),
                };
                match end.status {
                    JobStatus::Completed => updates::job_completed(what_is_known, end.at),
                    JobStatus::Canceled => updates::job_canceled(what_is_known, end.at),
                    JobStatus::Suspended => updates::job_suspended(what_is_known, end.at),
                    JobStatus::Error => {
                        let error = end.error.as_deref().unwrap_or("The sync failed.");
                        updates::job_failed(error, what_is_known, end.at)
                    }
                    JobStatus::Pending | JobStatus::InProgress | JobStatus::Canceling => {
                        return Err(RecordsError::new(
                            RecordsErrorKind::Rejected,
                            format!("the sync job {} cannot end as {}", job.id, end.status),
                        ));
                    }
                }
            }
            JobChange::Stats { .. } => Partial::new(),
        })
    }
}

/// Whether what is written depends on what is there.
fn builds_on_the_record(change: &ConnectorChange) -> bool {
    match change {
        ConnectorChange::FilteringChecked(_) => true,
        ConnectorChange::SyncEnded(end) => end.sync_cursor.is_some(),
        _ => false,
    }
}

fn counters(end: &SyncEnd) -> JobCounters {
    JobCounters::of_bytes(end.indexed, end.indexed_bytes, end.deleted)
}
