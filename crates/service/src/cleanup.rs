//! Jobs that lost their service (service sheet §3, cleanup).

use crate::{
    change::change_connector, context::Context, lease::Mark, ledger::Retention, trouble::TurnErrors,
};
use serde_json::Map;
use std::{collections::HashMap, time::Duration};
use tributary_protocol::{
    Connector, JobStatus, JobType, SyncJob,
    records::{
        ConnectorChange, ConnectorFilter, JobChange, JobFilter, RecordsError, SyncEnd, Versioned,
    },
    sync_job::{IDLE_ERROR, IDLE_LIMIT},
};

const NAME: &str = "cleanup";

/// The error of a connector that says it is syncing while no job of it runs.
const STRAY_ERROR: &str =
    "The service ended while it wrote the state of a sync. The next sync sets this right.";

pub(crate) async fn run(context: &Context) {
    let interval = context.config.service.job_cleanup_interval;
    let mut strays = Strays::default();
    let mut retention = Retention::default();
    loop {
        context.status.turn(NAME, interval);
        let mut errors = TurnErrors::of(&context.trouble, NAME);
        if let Err(error) = turn(context, &mut strays, &mut errors).await {
            errors.records("look for lost jobs", &error);
        }
        retention.turn(context).await;
        if !context.pause(interval).await {
            return context.status.ended(NAME);
        }
    }
}

async fn turn(
    context: &Context,
    strays: &mut Strays,
    errors: &mut TurnErrors<'_>,
) -> Result<(), RecordsError> {
    let active = JobFilter {
        statuses: vec![JobStatus::InProgress, JobStatus::Canceling],
        ..JobFilter::default()
    };
    let jobs = context.records.jobs(&active).await?;
    let ours: HashMap<_, _> = context
        .connectors()
        .await?
        .into_iter()
        .map(|connector| (connector.record.id.clone(), connector))
        .collect();
    let foreign = jobs.iter().any(|job| connector_of(job, &ours).is_none());
    // Connectors of other services are looked up only to learn whether they exist.
    let all: HashMap<_, _> = match foreign {
        true => {
            let everything = context
                .records
                .connectors(&ConnectorFilter::default())
                .await?;
            everything
                .into_iter()
                .map(|connector| (connector.record.id.clone(), connector))
                .collect()
        }
        false => HashMap::new(),
    };
    let now = context.clock().utc();
    for job in &jobs {
        if context.running.has_job(&job.record.id) {
            continue;
        }
        let connector = connector_of(job, &ours);
        let is_lost = match connector {
            // Those of our own instances have leases, and are taken over.
            Some(_) => Mark::of(&job.record).nonce.is_none() && job.record.is_idle(now),
            None => connector_of(job, &all).is_none(),
        };
        if is_lost && let Err(error) = end(context, job, connector).await {
            errors.records("end a lost job", &error);
        }
    }
    strays.turn(context, &jobs, ours, errors).await;
    Ok(())
}

fn connector_of<'a>(
    job: &Versioned<SyncJob>,
    connectors: &'a HashMap<String, Versioned<Connector>>,
) -> Option<&'a Versioned<Connector>> {
    connectors.get(job.record.connector.id.as_ref()?)
}

fn lost(job_type: JobType, error: &str, job: Option<&SyncJob>, context: &Context) -> SyncEnd {
    let counters = job.map(|job| job.counters).unwrap_or_default();
    SyncEnd {
        job_type,
        status: JobStatus::Error,
        error: Some(error.into()),
        indexed: counters.indexed_document_count,
        indexed_bytes: counters.indexed_document_volume << 20,
        deleted: counters.deleted_document_count,
        total: job.and_then(|job| job.total_document_count),
        sync_cursor: None,
        metadata: Map::new(),
        at: context.clock().utc(),
    }
}

/// Ends a lost job, and tells its connector.
async fn end(
    context: &Context,
    job: &Versioned<SyncJob>,
    connector: Option<&Versioned<Connector>>,
) -> Result<(), RecordsError> {
    let record = &job.record;
    let reason = match connector {
        Some(_) => IDLE_ERROR,
        None => "The connector of this job does not exist any more.",
    };
    tracing::warn!(job = record.id, "ended a lost job: {reason}");
    let end = Box::new(lost(record.job_type, reason, Some(record), context));
    let change = JobChange::Ended(end.clone());
    context
        .records
        .change_job(&record.id, &change, Some(job.seen))
        .await?;
    let Some(connector) = connector else {
        return Ok(());
    };
    let id = &connector.record.id;
    let told = change_connector(&*context.records, id, Some(connector), |now| {
        now.is_syncing(record.job_type)
            .then(|| ConnectorChange::SyncEnded(end.clone()))
    });
    told.await.map(drop)
}

/// Connectors that say they are syncing while no job of them runs: a service died between two writes.
/// Nobody would ever sync them again. They are set right when they were seen so for [`IDLE_LIMIT`], by
/// our own clock; a claim takes a moment only.
#[derive(Default)]
struct Strays {
    since: HashMap<(String, JobType), Duration>,
}

impl Strays {
    async fn turn(
        &mut self,
        context: &Context,
        active: &[Versioned<SyncJob>],
        connectors: HashMap<String, Versioned<Connector>>,
        errors: &mut TurnErrors<'_>,
    ) {
        let now = context.clock().now();
        let mut since = HashMap::new();
        for (id, connector) in connectors {
            for job_type in [JobType::Full, JobType::AccessControl] {
                let works = active.iter().any(|job| {
                    job.record.connector.id.as_ref() == Some(&id)
                        && job.record.job_type.is_content() == job_type.is_content()
                });
                let is_stray = connector.record.is_syncing(job_type)
                    && !works
                    && !context.running.has_job_of(&id, job_type);
                if !is_stray {
                    continue;
                }
                let key = (id.clone(), job_type);
                let first = self.since.get(&key).copied().unwrap_or(now);
                if now - first < IDLE_LIMIT {
                    since.insert(key, first);
                    continue;
                }
                tracing::warn!(connector = id, "said it is syncing, but no job of it runs");
                let end = Box::new(lost(job_type, STRAY_ERROR, None, context));
                let told = change_connector(&*context.records, &id, Some(&connector), |now| {
                    now.is_syncing(job_type)
                        .then(|| ConnectorChange::SyncEnded(end.clone()))
                });
                if let Err(error) = told.await {
                    errors.records("set a connector right", &error);
                    since.insert(key, first);
                }
            }
        }
        self.since = since;
    }
}
