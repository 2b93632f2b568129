//! The service as a whole: preflight, then the loops, until it is told to end.

use crate::{
    Host, ServiceError, Status,
    config::Config,
    context::Context,
    execute::{self, Lane},
    preflight,
};
use crate::{cleanup, failure::panic_text, heartbeat, lease::takeover, schedule};
use futures_util::FutureExt;
use std::{future::Future, panic::AssertUnwindSafe, sync::Arc, time::Duration};
use tokio::task::JoinSet;
use tributary_sdk::{StopSignal, StopSource};

/// So long the loops may take to end: running jobs are suspended, and that has to reach the records.
const FAREWELL: Duration = Duration::from_secs(20);

/// Which loops run (`--action` of the reference).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Actions {
    /// Heartbeats, completing and checking connectors, jobs by schedule.
    pub schedule: bool,
    /// Full and incremental syncs.
    pub sync_content: bool,
    /// Access control syncs.
    pub sync_access_control: bool,
    /// Ending jobs that lost their service.
    pub cleanup: bool,
}

impl Default for Actions {
    /// All of them.
    fn default() -> Self {
        Self {
            schedule: true,
            sync_content: true,
            sync_access_control: true,
            cleanup: true,
        }
    }
}

/// The connector service.
#[derive(Debug)]
pub struct Service {
    config: Config,
    host: Host,
    actions: Actions,
    status: Status,
}

impl Service {
    /// A service with all its loops, not yet running.
    pub fn new(config: Config, host: Host) -> Self {
        let status = Status::new(Arc::clone(&host.clock));
        Self {
            config,
            host,
            actions: Actions::default(),
            status,
        }
    }

    /// Runs only these loops.
    pub fn with_actions(self, actions: Actions) -> Self {
        Self { actions, ..self }
    }

    /// How the service is, from now on and after [`Service::run`] has begun.
    pub fn status(&self) -> Status {
        self.status.clone()
    }

    /// Runs until `stop` comes; then running jobs become `suspended`, within seconds.
    ///
    /// # Errors
    /// Elasticsearch cannot be reached or used at the start, or there were more than `max_errors` errors
    /// within `max_errors_span`. Errors of a connector, a data source or a job are never an error of
    /// the service.
    pub async fn run(self, stop: StopSignal) -> Result<(), ServiceError> {
        let ending = StopSource::new();
        let context = Context::new(self.config, self.host, self.status, ending.signal());
        let context = Arc::new(context);
        let started = tokio::select! {
            biased;
            started = preflight::run(&context) => started?,
            () = stop.stopped() => false,
        };
        if !started {
            return Ok(());
        }
        let mut loops = begin(&context, self.actions);
        let result = tokio::select! {
            biased;
            () = stop.stopped() => Ok(()),
            reason = context.trouble.too_much() => Err(ServiceError::TooManyErrors(reason)),
            ended = loops.join_next() => match ended {
                // Without any loop there is nothing to wait for.
                None => Ok(()),
                Some(Ok(reason)) => Err(ServiceError::Broken(reason)),
                Some(Err(error)) => Err(ServiceError::Broken(error.to_string())),
            },
        };
        if let Err(error) = &result {
            tracing::error!("the service ends: {error}");
        }
        ending.stop();
        let all_ended = async { while loops.join_next().await.is_some() {} };
        tokio::select! {
            () = all_ended => tracing::info!("all loops have ended"),
            () = context.clock().sleep(FAREWELL) => {
                tracing::error!("some jobs could not be suspended in time; cleanup will end them");
            }
        }
        result
    }
}

fn begin(context: &Arc<Context>, actions: Actions) -> JoinSet<String> {
    let mut loops = JoinSet::new();
    if actions.schedule {
        let shared = Arc::clone(context);
        loops.spawn(guarded("heartbeat", async move {
            heartbeat::run(&shared).await
        }));
        loops.spawn(guarded("schedule", schedule::run(Arc::clone(context))));
    }
    if actions.sync_content {
        let lane = execute::run(Arc::clone(context), Lane::Content);
        loops.spawn(guarded("sync_content", lane));
    }
    if actions.sync_access_control {
        let lane = execute::run(Arc::clone(context), Lane::AccessControl);
        loops.spawn(guarded("sync_access_control", lane));
    }
    if actions.cleanup || actions.sync_content || actions.sync_access_control {
        let shared = Arc::clone(context);
        loops.spawn(guarded(
            "takeover",
            async move { takeover::run(&shared).await },
        ));
    }
    if actions.cleanup {
        let shared = Arc::clone(context);
        loops.spawn(guarded(
            "cleanup",
            async move { cleanup::run(&shared).await },
        ));
    }
    loops
}

/// Says which loop ended, and why if it broke.
async fn guarded(name: &'static str, work: impl Future<Output = ()>) -> String {
    match AssertUnwindSafe(work).catch_unwind().await {
        Ok(()) => name.to_owned(),
        Err(panic) => format!("{name}: {}", panic_text(&*panic)),
    }
}
