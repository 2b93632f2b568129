//! Jobs of instances of ours that fell silent: they are taken away from them, and go on.
//!
//! A job is taken away by setting it to `suspended` in the version that stood still; then it is claimed
//! as every suspended job is, by whoever has room for it. Kibana and a reference service see nothing that
//! a service which was told to end would not have done.

use super::{Mark, look_interval, new_nonce};
use crate::{
    change::change_connector, context::Context, failure::Failure, metric_names::JOBS_TAKEN_OVER,
    trouble::TurnErrors,
};
use std::{collections::HashMap, time::Duration};
use tributary_protocol::{
    Connector, JobStatus, SyncJob,
    records::{
        ConnectorChange, JobChange, JobFilter, RecordsError, RecordsErrorKind, Seen, SyncEnd,
        Versioned,
    },
};

const NAME: &str = "takeover";
/// So often in a row the service of a job may fall silent without the job having come further.
const MOST: u64 = 3;
/// How long the two records are tried to be written. Shorter than the time after which cleanup sets a
/// connector right that nobody seems to sync: then it may be syncing again.
const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) async fn run(context: &Context) {
    let length = context.config.service.job_lease;
    let interval = look_interval(length);
    let mut sightings = Sightings::default();
    loop {
        context.status.turn(NAME, interval);
        let mut errors = TurnErrors::of(&context.trouble, NAME);
        let wait = match turn(context, &mut sightings).await {
            Ok(wait) => wait.min(interval),
            Err(error) => {
                // Who cannot see a heartbeat must not conclude that there was none.
                sightings.clear();
                errors.records("look for jobs of silent instances", &error);
                match error.kind {
                    RecordsErrorKind::Unavailable => interval,
                    // As rare as in the other loops, or it alone would end the service.
                    _ => interval.max(context.config.service.idling),
                }
            }
        };
        if !context.pause(wait).await {
            return context.status.ended(NAME);
        }
    }
}

/// Looks at the jobs of other instances; the answer is when the next may be due.
async fn turn(context: &Context, sightings: &mut Sightings) -> Result<Duration, RecordsError> {
    let active = JobFilter {
        statuses: vec![JobStatus::InProgress, JobStatus::Canceling],
        ..JobFilter::default()
    };
    // Not the observed ones: every few seconds these would say that an outage is over, while writes still
    // fail, and many outages end the service.
    let records = &*context.host.records;
    let mut jobs = records.jobs(&active).await?;
    jobs.retain(|job| {
        Mark::of(&job.record).nonce.is_some() && !context.running.has_job(&job.record.id)
    });
    sightings.retain(&jobs);
    if jobs.is_empty() {
        return Ok(Duration::MAX);
    }
    let connectors: HashMap<_, _> = context
        .connectors()
        .await?
        .into_iter()
        .map(|connector| (connector.record.id.clone(), connector))
        .collect();
    let mut wait = Duration::MAX;
    for listed in jobs {
        let connector_id = listed.record.connector.id.as_ref();
        let Some(connector) = connector_id.and_then(|id| connectors.get(id)) else {
            continue;
        };
        // Heartbeats are not made visible to listings.
        let Some(job) = records.job(&listed.record.id).await? else {
            continue;
        };
        let mark = Mark::of(&job.record);
        if !job.record.status.is_active() || mark.nonce.is_none() {
            continue;
        }
        // Only now: a heartbeat that is in this answer began before.
        let now = context.clock().now();
        // The instance may keep its lease for longer than we would.
        let length = mark.length.max(context.config.service.job_lease);
        let left = sightings.left(&job, length, now);
        if !left.is_zero() {
            wait = wait.min(left);
        } else if let Err(error) = take_away(context, &job, &mark, connector).await {
            tracing::error!(job = job.record.id, "cannot take the job over: {error}");
            sightings.forget(&job.record.id);
        }
    }
    Ok(wait)
}

/// Since when each job was seen to stand still.
#[derive(Default)]
struct Sightings(HashMap<String, Sighting>);

struct Sighting {
    seen: Seen,
    since: Duration,
    last: Duration,
}

impl Sightings {
    fn clear(&mut self) {
        self.0.clear();
    }

    fn forget(&mut self, id: &str) {
        self.0.remove(id);
    }

    fn retain(&mut self, jobs: &[Versioned<SyncJob>]) {
        self.0
            .retain(|id, _| jobs.iter().any(|job| job.record.id == *id));
    }

    /// Takes note of a record that was read just now, and says how long it has still to stand as it is.
    /// It begins anew when the record has changed, and when we have not looked for a while: what kept us
    /// from looking may have kept the other instance from writing.
    fn left(&mut self, job: &Versioned<SyncJob>, length: Duration, now: Duration) -> Duration {
        let new = Sighting {
            seen: job.seen,
            since: now,
            last: now,
        };
        let sighting = self.0.entry(job.record.id.clone()).or_insert(new);
        if sighting.seen != job.seen || now.saturating_sub(sighting.last) > length / 2 {
            sighting.seen = job.seen;
            sighting.since = now;
        }
        sighting.last = now;
        (sighting.since + length).saturating_sub(now)
    }
}

/// Takes a job away from the instance that was silent. It goes on, unless it was to be canceled, or has
/// brought down its service too often.
async fn take_away(
    context: &Context,
    job: &Versioned<SyncJob>,
    mark: &Mark,
    connector: &Versioned<Connector>,
) -> Result<(), RecordsError> {
    let record = &job.record;
    let nonce = new_nonce();
    let end = Box::new(end(context, record, mark, &nonce));
    let change = JobChange::Ended(end.clone());
    let is_taken = context
        .persist(PATIENCE, || async {
            let changed = context
                .records
                .change_job(&record.id, &change, Some(job.seen))
                .await;
            match changed {
                Ok(_) => Ok(true),
                Err(error) if error.kind == RecordsErrorKind::NotFound => Ok(false),
                Err(error) if error.kind == RecordsErrorKind::Conflict => {
                    // It is alive after all, or somebody was faster: we, if an answer was lost.
                    let now = context.records.job(&record.id).await?;
                    Ok(now.is_some_and(|now| Mark::of(&now.record).is_ended_by(&nonce)))
                }
                Err(error) => Err(error),
            }
        })
        .await?;
    if !is_taken {
        return Ok(());
    }
    let worker = record.worker_hostname.as_deref().unwrap_or("unknown");
    tracing::warn!(
        connector = connector.record.id,
        job = record.id,
        worker,
        "the instance that ran the job is silent; the job is {} now",
        end.status
    );
    metrics::counter!(JOBS_TAKEN_OVER).increment(1);
    let told = context.persist(PATIENCE, || {
        change_connector(&*context.records, &connector.record.id, None, |now| {
            now.is_syncing(record.job_type)
                .then(|| ConnectorChange::SyncEnded(end.clone()))
        })
    });
    told.await?;
    context.look_for_jobs.ring();
    Ok(())
}

fn end(context: &Context, job: &SyncJob, mark: &Mark, nonce: &str) -> SyncEnd {
    let has_come_further = mark.extracted > mark.furthest;
    let takeovers = match has_come_further {
        true => 0,
        false => mark.takeovers + 1,
    };
    let furthest = mark.furthest.max(mark.extracted);
    let (status, error) = match job.status {
        JobStatus::Canceling => (JobStatus::Canceled, None),
        _ if takeovers > MOST => {
            let worker = job.worker_hostname.as_deref().unwrap_or("unknown");
            let text = format!(
                "the service fell silent {takeovers} times in a row while it ran this job, which never came \
                 further than {furthest} documents. Perhaps the job is what ends it: look at the end of \
                 its log, and for signs of too little memory, on {worker} (last) and the other machines; \
                 then sync again"
            );
            let failure = Failure::new("JobLost", text);
            (JobStatus::Error, Some(failure.to_string()))
        }
        _ => (JobStatus::Suspended, None),
    };
    SyncEnd {
        job_type: job.job_type,
        status,
        error,
        indexed: job.counters.indexed_document_count,
        indexed_bytes: job.counters.indexed_document_volume << 20,
        deleted: job.counters.deleted_document_count,
        total: job.total_document_count,
        sync_cursor: None,
        metadata: Mark::taken(nonce, furthest, takeovers),
        at: context.clock().utc(),
    }
}
