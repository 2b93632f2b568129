//! One job, from claim to the last word in its record (service sheet §4).
//!
//! Everything that touches the records happens here; code of the source and the engine run in a task
//! of their own ([`work`]), so that a panic there ends this job and nothing else.

mod claim;
mod end;
mod history;
mod progress;
mod rehearse;
mod rules;
mod settings;
mod summary;
mod watch;
mod work;

pub use rehearse::{RehearsalReport, rehearse};

use crate::{
    context::Context,
    failure::Failure,
    metric_names::{JOB_TYPE, JOBS_RUNNING, JOBS_STARTED, SERVICE_TYPE},
    running::Control,
};
use claim::Claimed;
use progress::Progress;
use std::{sync::Arc, time::Duration};
use tokio_util::task::AbortOnDropHandle;
use tributary_protocol::{
    SyncJob,
    records::{RecordsError, Versioned},
};
use watch::Keeper;
use work::Worked;

/// A job that was told to stop is dropped after this time; nothing it has written is lost by that.
const STOP_PATIENCE: Duration = Duration::from_secs(4);

/// What came of an attempt on a job.
#[derive(Debug)]
pub(crate) enum Ran {
    /// It was claimed, and it ended.
    ToItsEnd,
    /// Somebody else has it, or the records are out of reach.
    NotClaimed,
    /// Its record refuses the claim, and will again.
    Refused(RecordsError),
}

/// Claims a job and runs it to its end.
pub(crate) async fn run(
    context: &Arc<Context>,
    connector_id: &str,
    job: Versioned<SyncJob>,
    control: &Arc<Control>,
) -> Ran {
    let claimed = match claim::claim(context, connector_id, job).await {
        Ok(Some(claimed)) => Arc::new(claimed),
        Ok(None) => return Ran::NotClaimed,
        Err(error) => return Ran::Refused(error),
    };
    let (service_type, job_type) = (claimed.service_type(), claimed.job.job_type);
    tracing::info!(
        connector = connector_id,
        job = claimed.job.id,
        service_type,
        "a {job_type} sync begins"
    );
    let labels = [
        (SERVICE_TYPE, service_type.clone()),
        (JOB_TYPE, job_type.to_string()),
    ];
    metrics::counter!(JOBS_STARTED, &labels).increment(1);
    let running = metrics::gauge!(JOBS_RUNNING, JOB_TYPE => job_type.as_str());
    running.increment(1.0);
    let progress = Arc::new(Progress::new(&claimed));
    let mut keeper = Keeper::new(context, &claimed, &progress);
    let worked = supervise(context, &claimed, control, &progress, &mut keeper).await;
    keeper
        .during(end::write(context, &claimed, control, &progress, worked))
        .await;
    running.decrement(1.0);
    Ran::ToItsEnd
}

async fn supervise(
    context: &Arc<Context>,
    claimed: &Arc<Claimed>,
    control: &Arc<Control>,
    progress: &Arc<Progress>,
    keeper: &mut Keeper<'_>,
) -> Worked {
    let stop = control.signal();
    let work = work::work(
        Arc::clone(context),
        Arc::clone(claimed),
        Arc::clone(progress),
        stop.clone(),
    );
    let work = AbortOnDropHandle::new(tokio::spawn(work));
    let watch = async {
        keeper.watch(control).await;
        // The reason is set; the work sees the signal.
        std::future::pending::<()>().await;
    };
    let overdue = async {
        stop.stopped().await;
        context.clock().sleep(STOP_PATIENCE).await;
    };
    tokio::select! {
        biased;
        worked = work => worked.unwrap_or_else(|error| {
            let what = format!("the sync of the service type '{}'", claimed.service_type());
            Worked::Failed(Failure::died(&what, error))
        }),
        () = overdue => {
            tracing::warn!(job = claimed.job.id, "did not stop by itself; dropped");
            Worked::Stopped
        }
        () = watch => Worked::Stopped,
    }
}
