//! The part of a job that runs code of its source: build and check the source, then the engine
//! (service sheet §4 steps 3 to 5). Runs in a task of its own.

use super::{
    claim::Claimed,
    history,
    progress::Progress,
    rules::{Rules, rules},
    settings::{flags, settings},
};
use crate::{
    Room, StateRoom, TargetRequest,
    context::Context,
    failure::Failure,
    lease::LeasedTarget,
    ledger::JobLedger,
    prepare::service_type,
    sources::{self, is_access_wanted},
};
use md5::{Digest, Md5};
use serde_json::Value;
use std::{collections::BTreeSet, io, sync::Arc, time::Duration};
use tributary_engine::{Job, Outcome, Reporter, Target, TargetErrorKind};
use tributary_protocol::{
    Connector, JobRequest, JobType, LedgerFilter, SyncJob, ledger::LedgerOutcome,
};
use tributary_sdk::{DocId, JobKind, Run, Source, SourceType, StopSignal, rules::RuleSet};

/// How long the index may be out of reach before the engine has begun.
const PATIENCE: Duration = Duration::from_secs(180);
const PAUSE: Duration = Duration::from_secs(5);

/// So many documents are looked up in the ledger for a replay.
const MOST_REPLAYED: usize = 10_000;

/// How the work ended.
pub(super) enum Worked {
    /// The engine gave its verdict; and what a person should know about the index.
    Outcome(Box<Outcome>, Vec<String>),
    /// It came not so far.
    Failed(Failure),
    /// The stop signal came before the engine had begun, or nobody waited for it any more.
    Stopped,
}

pub(super) async fn work(
    context: Arc<Context>,
    claimed: Arc<Claimed>,
    progress: Arc<Progress>,
    stop: StopSignal,
) -> Worked {
    let prepared = tokio::select! {
        biased;
        () = stop.stopped() => return Worked::Stopped,
        prepared = prepare(&context, &claimed, progress, &stop) => prepared,
    };
    match prepared {
        Ok((job, _rooms)) => {
            let target = Arc::clone(&job.target);
            let outcome = tributary_engine::run(job).await;
            Worked::Outcome(Box::new(outcome), target.findings())
        }
        Err(failure) => Worked::Failed(failure),
    }
}

async fn prepare(
    context: &Context,
    claimed: &Claimed,
    progress: Arc<dyn Reporter>,
    stop: &StopSignal,
) -> Result<(Job, (Room, Option<StateRoom>)), Failure> {
    let (connector, record) = (&claimed.connector, &claimed.job);
    let room = room(context, &record.id).await?;
    let plan = plan(context, connector, record, &room, stop).await?;
    let target = target(context, claimed).await?;
    let brake = history::brake(context, connector, record).await;
    let replay = replay(context, record).await?;
    let state = state(context, claimed).await;
    let folder = match &state {
        Some(state) => Arc::clone(&state.folder),
        None => Arc::clone(&room.state),
    };
    let job = Job {
        id: record.id.clone(),
        source: plan.source,
        run: plan.run,
        rules: plan.rules,
        target,
        clock: Arc::clone(context.clock()),
        files: Arc::clone(&room.files),
        folder,
        origin: origin(record),
        reporter: progress,
        recorder: Arc::new(JobLedger::new(context, &connector.id, record)),
        stop: stop.clone(),
        settings: settings(&context.config, record, brake, replay),
    };
    Ok((job, (room, state)))
}

/// Room for the files of a job.
pub(super) async fn room(context: &Context, job_id: &str) -> Result<Room, Failure> {
    let room = context.host.files.room(&format!("sync-{job_id}")).await;
    room.map_err(|error| Failure::new("DiskError", format!("no room for temporary files: {error}")))
}

/// What a job reads, checked.
pub(super) struct Plan {
    pub(super) source: Arc<dyn Source>,
    pub(super) run: Run,
    pub(super) rules: RuleSet,
}

/// Builds the source of a job and checks it.
pub(super) async fn plan(
    context: &Context,
    connector: &Connector,
    record: &SyncJob,
    room: &Room,
    stop: &StopSignal,
) -> Result<Plan, Failure> {
    let source_type = source_type(context, connector, record)?;
    let kind = kind(source_type, record.job_type)?;
    // Fields that the record lacks read as they begin in a new form: the check of the connector is about
    // to write just that.
    let source = sources::build(
        &context.config,
        source_type,
        &connector.configuration,
        stop.clone(),
        room.folder.clone(),
    )?;
    sources::examine(&*source).await?;
    let Rules { basic, advanced } = rules(source_type, &*source, record).await?;
    let run = Run {
        kind,
        rules: advanced,
        content: record.job_type.is_content() && flags(record).extract_binary_content,
        access: is_access_wanted(source_type, connector) || kind == JobKind::AccessControl,
    };
    Ok(Plan {
        source,
        run,
        rules: basic,
    })
}

/// The documents that a job is to read again; none if it is to read everything.
async fn replay(context: &Context, record: &SyncJob) -> Result<Vec<DocId>, Failure> {
    let Some(earlier) = JobRequest::of(record).replay else {
        return Ok(Vec::new());
    };
    let filter = LedgerFilter {
        job_id: Some(earlier),
        outcomes: LedgerOutcome::FAILURES.to_vec(),
        limit: MOST_REPLAYED,
        ..LedgerFilter::default()
    };
    let found = context.host.ledger.list(&filter).await;
    let found = found.map_err(|error| Failure::new("ElasticsearchError", error.to_string()))?;
    let ids: BTreeSet<_> = found.into_iter().map(|found| found.document_id).collect();
    Ok(ids.into_iter().map(DocId::from).collect())
}

/// What is known of the index of the job. `None` if that cannot be used: the job goes on without it.
async fn state(context: &Context, claimed: &Claimed) -> Option<StateRoom> {
    let index = claimed.job.connector.index_name.as_deref()?;
    let state = context.host.files.state(&claimed.connector.id, index).await;
    match state {
        Ok(state) => Some(state),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            tracing::warn!(
                index,
                "another process uses what is known of this index, so all documents are sent: give each process its own service.state_dir"
            );
            None
        }
        Err(error) => {
            tracing::warn!(
                index,
                %error,
                "what is known of this index cannot be kept, so all documents are sent: set service.state_dir to a folder that can be written to"
            );
            None
        }
    }
}

/// What the data source is read with, but for its secrets.
pub(super) fn origin(job: &SyncJob) -> String {
    let is_plain = |field: &Value| field["sensitive"] != Value::Bool(true);
    let fields = job.connector.configuration.iter();
    let fields: Vec<_> = fields
        .filter(|(_, field)| is_plain(field))
        .map(|(name, field)| (name, &field["value"]))
        .collect();
    let text = format!("{fields:?} {:?}", job.connector.filtering);
    let digest = Md5::digest(text.as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn source_type(
    context: &Context,
    connector: &Connector,
    record: &SyncJob,
) -> Result<&'static SourceType, Failure> {
    let named = context.named(&connector.id);
    let name = service_type(connector, named)
        .or(record.connector.service_type.as_deref())
        .ok_or_else(|| Failure::invalid_config("the connector has no service type"))?;
    context
        .host
        .registry
        .find(name)
        .map_err(Failure::invalid_config)
}

fn kind(source_type: &SourceType, job_type: JobType) -> Result<JobKind, Failure> {
    let lacks = |what: &str| {
        Err(Failure::unsupported(format!(
            "the service type '{}' has no {what}; start a full sync instead",
            source_type.service_type
        )))
    };
    match job_type {
        JobType::Full => Ok(JobKind::Full),
        JobType::Incremental if source_type.features.incremental => Ok(JobKind::Incremental),
        JobType::Incremental => lacks("incremental syncs"),
        JobType::AccessControl if source_type.features.document_level_security => {
            Ok(JobKind::AccessControl)
        }
        JobType::AccessControl => lacks("document-level security"),
    }
}

/// What the job asks of the index.
pub(super) fn target_request<'a>(
    context: &'a Context,
    connector: &Connector,
    record: &'a SyncJob,
) -> Result<TargetRequest<'a>, Failure> {
    let snapshot = &record.connector;
    let Some(index) = snapshot.index_name.as_deref() else {
        return Err(Failure::invalid_config(
            "the job names no index: attach one to the connector and sync again",
        ));
    };
    // The own key of a connector is for its content index (service sheet §2).
    let is_content = record.job_type.is_content();
    Ok(TargetRequest {
        index,
        pipeline: &snapshot.pipeline.name,
        api_key: context.api_key(&connector.id).filter(|_| is_content),
    })
}

/// The index of the job. Waits a while if it is out of reach.
async fn target(context: &Context, claimed: &Claimed) -> Result<Arc<dyn Target>, Failure> {
    let request = target_request(context, &claimed.connector, &claimed.job)?;
    let give_up_at = context.clock().now() + PATIENCE;
    loop {
        let lease = &claimed.lease;
        match lease.within(context.host.targets.target(request)).await {
            Ok(target) => return Ok(Arc::new(LeasedTarget::new(target, Arc::clone(lease)))),
            Err(error) => {
                let may_pass = matches!(
                    error.kind,
                    TargetErrorKind::Unavailable | TargetErrorKind::Busy { .. }
                );
                if !may_pass || context.clock().now() >= give_up_at {
                    return Err(Failure::new("ElasticsearchError", error.message));
                }
            }
        }
        context.clock().sleep(PAUSE).await;
    }
}
