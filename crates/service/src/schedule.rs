//! Jobs that are due by their schedule (service sheet §3).

use crate::{
    change::{Changed, change_connector},
    check::Checks,
    context::Context,
    trouble::TurnErrors,
};
use chrono::{DateTime, SubsecRound, Utc};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};
use tributary_protocol::{
    Connector, JobType, TriggerMethod,
    records::{ConnectorChange, JobFilter, RecordsError, RecordsErrorKind, Versioned},
};
use tributary_sdk::SourceType;

const NAME: &str = "schedule";

/// In this order jobs that are due together are made.
const TYPES: [JobType; 3] = [JobType::AccessControl, JobType::Incremental, JobType::Full];

/// The shortest pause between two looks, however often a schedule fires.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);

/// Clocks of the servers may differ by so much from ours.
const CLOCK_SKEW: chrono::Duration = chrono::Duration::seconds(60);

/// Looks for due jobs, then has the connectors checked; at the latest every `idling`, and as soon as a
/// schedule fires.
pub(crate) async fn run(context: Arc<Context>) {
    let idling = context.config.service.idling;
    let mut schedules = Schedules::default();
    let mut checks = Checks::new(&context);
    loop {
        context.status.turn(NAME, idling);
        let mut pause = idling;
        let mut errors = TurnErrors::of(&context.trouble, NAME);
        checks.collect(&mut errors);
        match context.connectors().await {
            Ok(connectors) => {
                let ids: HashSet<_> = connectors.iter().map(|one| one.record.id.clone()).collect();
                schedules.lines.retain(|(id, _), _| ids.contains(id));
                checks.keep_only(&ids);
                for connector in connectors {
                    schedules.look(&context, &connector, &mut errors).await;
                    let now = context.clock().utc();
                    pause = pause.min(next_look(&context, &connector.record, now, idling));
                    checks.begin(connector);
                }
            }
            Err(error) => errors.records("list connectors", &error),
        }
        if !context.pause(pause.max(SHORTEST_PAUSE)).await {
            checks.end().await;
            return context.status.ended(NAME);
        }
    }
}

/// How long until the first schedule of this connector fires, if that is soon.
fn next_look(
    context: &Context,
    connector: &Connector,
    now: DateTime<Utc>,
    idling: Duration,
) -> Duration {
    let fires = TYPES
        .into_iter()
        .filter(|job_type| is_scheduled(context, connector, *job_type))
        .filter_map(|job_type| {
            connector
                .scheduling
                .of(job_type)
                .next_after(now)
                .ok()
                .flatten()
        })
        .min();
    match fires {
        Some(time) => (time - now).to_std().unwrap_or_default().min(idling),
        None => idling,
    }
}

/// Whether this kind of job can be made by schedule at all.
fn is_scheduled(context: &Context, connector: &Connector, job_type: JobType) -> bool {
    if !connector.is_gate_open() || connector.index_name.is_none() {
        return false;
    }
    let Some(source) = connector
        .service_type
        .as_deref()
        .and_then(|service_type| context.host.registry.find(service_type).ok())
    else {
        return false;
    };
    connector.scheduling.of(job_type).enabled && is_offered(source, connector, job_type)
}

/// Whether source and connector record both have the feature that this kind of job needs.
fn is_offered(source: &SourceType, connector: &Connector, job_type: JobType) -> bool {
    let features = connector.features.as_ref();
    match job_type {
        JobType::Full => true,
        JobType::Incremental => {
            source.features.incremental
                && features.is_none_or(|features| features.incremental_sync())
        }
        JobType::AccessControl => {
            source.features.document_level_security
                && features.is_none_or(|features| features.document_level_security())
        }
    }
}

/// What this process knows of the schedules.
#[derive(Default)]
struct Schedules {
    lines: HashMap<(String, JobType), Line>,
}

/// What this process knows of one schedule.
#[derive(Clone, Copy, Default)]
struct Line {
    /// When it was last looked at.
    looked: Option<DateTime<Utc>>,
    /// A job that was due, and may not have been made.
    owed: Option<Owed>,
}

/// A job that was due.
#[derive(Clone, Copy)]
struct Owed {
    /// The `last_*_scheduled_at` that was written for it.
    at: DateTime<Utc>,
    /// Whether that is known to be in the record.
    noted: bool,
    /// Whether it may have been made already: the answer was lost.
    doubtful: bool,
}

impl Schedules {
    async fn look(
        &mut self,
        context: &Context,
        connector: &Versioned<Connector>,
        errors: &mut TurnErrors<'_>,
    ) {
        for job_type in TYPES {
            let key = (connector.record.id.clone(), job_type);
            let line = self.lines.entry(key).or_default();
            if let Err(error) = line.look(context, connector, job_type).await {
                errors.records("make a scheduled job", &error);
            }
        }
    }
}

impl Line {
    async fn look(
        &mut self,
        context: &Context,
        connector: &Versioned<Connector>,
        job_type: JobType,
    ) -> Result<(), RecordsError> {
        // As exact as the record keeps it, to recognise it later.
        let now = context.clock().utc().trunc_subsecs(3);
        if let Some(owed) = self.owed {
            self.settle(context, connector, job_type, owed).await?;
        }
        let record = &connector.record;
        let due = match is_scheduled(context, record, job_type) {
            // An interval that cannot be read is said by the check of the connector.
            true => self.is_due(record, job_type, now),
            false => false,
        };
        if !due {
            self.looked = Some(now);
            return Ok(());
        }
        let changed = change_connector(&*context.records, &record.id, Some(connector), |record| {
            let wanted = record.is_gate_open() && self.is_due(record, job_type, now);
            wanted.then_some(ConnectorChange::Scheduled { job_type, at: now })
        });
        match changed.await {
            Ok(Changed::Done(_)) => {
                self.looked = Some(now);
                let owed = Owed {
                    at: now,
                    noted: true,
                    doubtful: false,
                };
                self.make(context, &record.id, job_type, owed).await
            }
            Ok(Changed::Unwanted(_) | Changed::Gone) => {
                self.looked = Some(now);
                Ok(())
            }
            Err(error) => {
                if error.kind == RecordsErrorKind::Unavailable {
                    // Written or not? The record will say, when it can be read again.
                    self.owed = Some(Owed {
                        at: now,
                        noted: false,
                        doubtful: false,
                    });
                }
                Err(error)
            }
        }
    }

    fn is_due(&self, record: &Connector, job_type: JobType, now: DateTime<Utc>) -> bool {
        let schedule = record.scheduling.of(job_type);
        let last = record.last_scheduled_at(job_type);
        matches!(schedule.due(last, self.looked, now), Ok(Some(_)))
    }

    /// Goes on with what an outage interrupted.
    async fn settle(
        &mut self,
        context: &Context,
        connector: &Versioned<Connector>,
        job_type: JobType,
        owed: Owed,
    ) -> Result<(), RecordsError> {
        let record = &connector.record;
        if !owed.noted {
            let noted = record
                .last_scheduled_at(job_type)
                .is_some_and(|time| time.trunc_subsecs(3) == owed.at);
            if !noted {
                // Not written, or somebody else wrote after us: then the usual rule decides.
                self.owed = None;
                return Ok(());
            }
            self.looked = Some(owed.at);
        }
        if owed.doubtful {
            let filter = JobFilter {
                connector_ids: vec![record.id.clone()],
                job_types: vec![job_type],
                created_since: Some(owed.at - CLOCK_SKEW),
                ..JobFilter::default()
            };
            let jobs = context.records.jobs(&filter).await?;
            let made = jobs
                .iter()
                .any(|job| job.record.trigger_method == TriggerMethod::Scheduled);
            if made {
                self.owed = None;
                context.look_for_jobs.ring();
                return Ok(());
            }
        }
        let owed = Owed {
            noted: true,
            ..owed
        };
        self.make(context, &record.id, job_type, owed).await
    }

    async fn make(
        &mut self,
        context: &Context,
        connector_id: &str,
        job_type: JobType,
        owed: Owed,
    ) -> Result<(), RecordsError> {
        self.owed = Some(owed);
        let Some(connector) = context.records.connector(connector_id).await? else {
            self.owed = None;
            return Ok(());
        };
        let made = context
            .records
            .create_job(&connector, job_type, TriggerMethod::Scheduled)
            .await;
        match made {
            Ok(id) => {
                tracing::info!(
                    connector = connector_id,
                    job = id,
                    "a {job_type} sync is due"
                );
                self.owed = None;
                context.look_for_jobs.ring();
                Ok(())
            }
            Err(error) => {
                let may_pass = error.kind == RecordsErrorKind::Unavailable;
                self.owed = may_pass.then_some(Owed {
                    doubtful: true,
                    ..owed
                });
                Err(error)
            }
        }
    }
}
