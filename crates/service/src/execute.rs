//! Claims waiting jobs and runs them (service sheet §3). Content and access control jobs each have a
//! loop with its own limit.

use crate::{context::Context, fairness::Turns, job, trouble::TurnErrors};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};
use tokio::{sync::Notify, task::JoinSet};
use tributary_protocol::{
    Connector, JobStatus, JobType, SyncJob,
    records::{JobFilter, RecordsError, Seen, Versioned},
};

/// So many waiting jobs are read at once; when there are more, each connector that has none among
/// them is asked for its own.
const PAGE: usize = 500;

/// What one execute loop is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    /// Full and incremental jobs.
    Content,
    /// Access control jobs.
    AccessControl,
}

impl Lane {
    fn name(self) -> &'static str {
        match self {
            Self::Content => "sync_content",
            Self::AccessControl => "sync_access_control",
        }
    }

    fn job_types(self) -> Vec<JobType> {
        match self {
            Self::Content => vec![JobType::Full, JobType::Incremental],
            Self::AccessControl => vec![JobType::AccessControl],
        }
    }

    fn limit(self, context: &Context) -> usize {
        let service = &context.config.service;
        let limit = match self {
            Self::Content => service.max_concurrent_content_syncs,
            Self::AccessControl => service.max_concurrent_access_control_syncs,
        };
        limit.max(1)
    }

    fn bell(self, context: &Context) -> &Notify {
        match self {
            Self::Content => &context.look_for_jobs.content,
            Self::AccessControl => &context.look_for_jobs.access_control,
        }
    }
}

/// Looks for jobs every `idling`, when a job has ended, and when the schedule loop has made one. At the
/// end all running jobs are suspended.
pub(crate) async fn run(context: Arc<Context>, lane: Lane) {
    let idling = context.config.service.idling;
    let mut state = State::default();
    loop {
        context.status.turn(lane.name(), idling);
        let mut errors = TurnErrors::of(&context.trouble, lane.name());
        if let Err(error) = state.turn(&context, lane).await {
            errors.records("look for jobs", &error);
        }
        tokio::select! {
            biased;
            _ = context.pause(idling) => {}
            () = lane.bell(&context).notified() => {}
            Some(ended) = state.tasks.join_next() => {
                state.note(&context, ended, &mut errors);
            }
        }
        if context.ending.is_stopped() {
            break;
        }
    }
    // Each of them sees for itself that the service is ending.
    while let Some(ended) = state.tasks.join_next().await {
        let mut errors = TurnErrors::of(&context.trouble, lane.name());
        state.note(&context, ended, &mut errors);
    }
    context.status.ended(lane.name());
}

#[derive(Default)]
struct State {
    tasks: JoinSet<Attempt>,
    turns: Turns,
    /// Jobs that could not be claimed, in the version in which they were, and until when they are
    /// left alone: until they change, if there is no time.
    passed_over: HashMap<String, (Seen, Option<Duration>)>,
}

/// What came of an attempt on a job.
struct Attempt {
    job_id: String,
    seen: Seen,
    ran: job::Ran,
}

impl State {
    async fn turn(&mut self, context: &Arc<Context>, lane: Lane) -> Result<(), RecordsError> {
        let limit = lane.limit(context);
        if self.tasks.len() >= limit {
            return Ok(());
        }
        let connectors: HashMap<_, _> = context
            .connectors()
            .await?
            .into_iter()
            .map(|connector| (connector.record.id.clone(), connector.record))
            .collect();
        let jobs = waiting(context, lane, &connectors).await?;
        let now = context.clock().now();
        self.passed_over.retain(|id, (seen, until)| {
            let same = jobs
                .iter()
                .any(|job| job.record.id == *id && job.seen == *seen);
            same && until.is_none_or(|until| now < until)
        });
        let open = jobs.iter().filter(|job| {
            let passed_over = self.passed_over.contains_key(&job.record.id);
            !passed_over && may_run(context, &connectors, &job.record)
        });
        let order = self.turns.order(open, |job: &Versioned<SyncJob>| {
            (
                job.record.connector.id.as_deref().unwrap_or_default(),
                &job.record,
            )
        });
        let order: Vec<_> = order.into_iter().cloned().collect();
        for job in order {
            if self.tasks.len() >= limit || context.ending.is_stopped() {
                break;
            }
            let Some(connector_id) = job.record.connector.id.clone() else {
                continue;
            };
            let Some(place) = context.running.enter(&connector_id, &job.record) else {
                continue;
            };
            self.turns.served(&connector_id);
            let context = Arc::clone(context);
            self.tasks.spawn(async move {
                let (job_id, seen) = (job.record.id.clone(), job.seen);
                let ran = job::run(&context, &connector_id, job, &place.control).await;
                drop(place);
                Attempt { job_id, seen, ran }
            });
        }
        Ok(())
    }

    /// Takes note of an attempt that has ended; a place is free again.
    fn note(
        &mut self,
        context: &Context,
        ended: Result<Attempt, tokio::task::JoinError>,
        errors: &mut TurnErrors<'_>,
    ) {
        let attempt = match ended {
            Ok(attempt) => attempt,
            // Code of a source runs in a task of its own, so this is ours.
            Err(error) => return errors.other("run a job", &error),
        };
        let until = match attempt.ran {
            job::Ran::ToItsEnd => return,
            job::Ran::NotClaimed => Some(context.clock().now() + context.config.service.idling),
            job::Ran::Refused(error) => {
                errors.records("claim a job", &error);
                None
            }
        };
        self.passed_over
            .insert(attempt.job_id, (attempt.seen, until));
    }
}

/// Whether a job may be tried now.
fn may_run(context: &Context, connectors: &HashMap<String, Connector>, job: &SyncJob) -> bool {
    let Some(connector) = job.connector.id.as_ref().and_then(|id| connectors.get(id)) else {
        return false;
    };
    connector.is_gate_open()
        && !connector.is_syncing(job.job_type)
        && !context.running.has_job_of(&connector.id, job.job_type)
}

/// The waiting jobs of these connectors: all of them, or, if they are very many, the oldest, and the
/// oldest of every connector.
async fn waiting(
    context: &Context,
    lane: Lane,
    connectors: &HashMap<String, Connector>,
) -> Result<Vec<Versioned<SyncJob>>, RecordsError> {
    if connectors.is_empty() {
        return Ok(Vec::new());
    }
    let filter = |connector_ids, limit| JobFilter {
        connector_ids,
        statuses: vec![JobStatus::Pending, JobStatus::Suspended],
        job_types: lane.job_types(),
        created_since: None,
        oldest_first: true,
        limit,
    };
    let ids: Vec<_> = connectors.keys().cloned().collect();
    let mut jobs = context.records.jobs(&filter(ids, PAGE)).await?;
    if jobs.len() >= PAGE {
        let seen: HashSet<_> = jobs
            .iter()
            .filter_map(|job| job.record.connector.id.clone())
            .collect();
        for id in connectors.keys().filter(|id| !seen.contains(*id)) {
            jobs.extend(context.records.jobs(&filter(vec![id.clone()], 1)).await?);
        }
    }
    Ok(jobs)
}
