//! What a sync would do, without doing it: nothing is written to the index, to the records or to what is
//! remembered of the index.

use super::{
    history,
    settings::settings,
    work::{origin, plan, room, target_request},
};
use crate::{Config, Host, Status, context::Context, failure::Failure};
use async_trait::async_trait;
use std::sync::Arc;
use tributary_engine::{Counters, Job, Outcome, Rehearsal, Reporter, rehearsal::Rehearsed};
use tributary_protocol::{Connector, JobRequest, JobType, SyncJob, TriggerMethod};
use tributary_sdk::StopSignal;
use tributary_state::Overlay;

/// What a rehearsal found out.
#[derive(Debug)]
pub struct RehearsalReport {
    /// How the sync would end, and its counts.
    pub outcome: Outcome,
    /// Documents that would change.
    pub rehearsed: Rehearsed,
}

/// Rehearses a sync of a connector.
///
/// Reads the data source as the sync would, and the index. A sync of the same connector that runs at the
/// same time is not disturbed; what it does meanwhile may show in the report.
///
/// # Errors
/// Why the sync would not even begin; a sentence for the user.
pub async fn rehearse(
    config: Config,
    host: Host,
    connector: &Connector,
    job_type: JobType,
    request: &JobRequest,
    stop: StopSignal,
) -> Result<RehearsalReport, String> {
    let status = Status::new(Arc::clone(&host.clock));
    let context = Context::new(config, host, status, stop.clone());
    let rehearsed = rehearse_in(&context, connector, job_type, request, &stop).await;
    rehearsed.map_err(|failure| failure.to_string())
}

async fn rehearse_in(
    context: &Context,
    connector: &Connector,
    job_type: JobType,
    request: &JobRequest,
    stop: &StopSignal,
) -> Result<RehearsalReport, Failure> {
    let invalid = |error: &dyn std::fmt::Display| Failure::invalid_config(error.to_string());
    let now = context.clock().utc();
    let document = SyncJob::new_document(connector, job_type, TriggerMethod::OnDemand, now);
    let mut document = document.map_err(|error| invalid(&error))?;
    document.insert("metadata".into(), request.to_metadata().into());
    let record = SyncJob::from_source("rehearsal", &document).map_err(|error| invalid(&error))?;
    let room = room(context, &record.id).await?;
    let plan = plan(context, connector, &record, &room, stop).await?;
    let asked = target_request(context, connector, &record)?;
    let index = asked.index;
    let target = context.host.targets.target(asked).await;
    let target = target.map_err(|error| Failure::new("ElasticsearchError", error.message))?;
    let rehearsal = Arc::new(Rehearsal::new(target));
    let known = context.host.files.peek(&connector.id, index).await;
    let known = known.map_err(|error| {
        let text = format!("what is known of the index {index} cannot be read: {error}");
        Failure::new("DiskError", text)
    })?;
    let brake = history::brake(context, connector, &record).await;
    let job = Job {
        id: record.id.clone(),
        source: plan.source,
        run: plan.run,
        rules: plan.rules,
        target: rehearsal.clone(),
        clock: Arc::clone(context.clock()),
        files: Arc::clone(&room.files),
        folder: Arc::new(Overlay::new(known, Arc::clone(&room.state))),
        origin: origin(&record),
        reporter: Arc::new(Nobody),
        recorder: rehearsal.clone(),
        stop: stop.clone(),
        settings: settings(&context.config, &record, brake, Vec::new()),
    };
    let outcome = tributary_engine::run(job).await;
    Ok(RehearsalReport {
        outcome,
        rehearsed: rehearsal.found(),
    })
}

/// Nobody hears of the progress.
struct Nobody;

#[async_trait]
impl Reporter for Nobody {
    async fn report(&self, _: &Counters) {}
}
