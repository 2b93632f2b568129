//! What all loops share.

use crate::{
    Host, Status,
    config::{Config, ConnectorConfig},
    observed::ObservedRecords,
    running::Running,
    trouble::Trouble,
};
use std::{future::Future, sync::Arc, time::Duration};
use tokio::sync::Notify;
use tributary_engine::Clock;
use tributary_protocol::{
    Connector,
    records::{ConnectorFilter, Records, RecordsError, RecordsErrorKind, Versioned},
};
use tributary_sdk::{Secret, StopSignal};

/// How long something may go on being written after the service was told to end.
const FAREWELL: Duration = Duration::from_secs(10);
/// The longest pause between two attempts on the records.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

pub(crate) struct Context {
    pub(crate) config: Config,
    pub(crate) host: Host,
    /// The records of `host`, observed.
    pub(crate) records: Arc<dyn Records>,
    pub(crate) status: Status,
    pub(crate) trouble: Arc<Trouble>,
    pub(crate) running: Running,
    /// Jobs may have become claimable: the execute loops look at once.
    pub(crate) look_for_jobs: LookForJobs,
    /// The service is ending.
    pub(crate) ending: StopSignal,
}

/// One bell for each execute loop.
#[derive(Default)]
pub(crate) struct LookForJobs {
    pub(crate) content: Notify,
    pub(crate) access_control: Notify,
}

impl LookForJobs {
    pub(crate) fn ring(&self) {
        self.content.notify_one();
        self.access_control.notify_one();
    }
}

impl Context {
    pub(crate) fn new(config: Config, host: Host, status: Status, ending: StopSignal) -> Self {
        let service = &config.service;
        let limit = service.max_errors as usize;
        let trouble = Trouble::new(Arc::clone(&host.clock), limit, service.max_errors_span);
        let trouble = Arc::new(trouble);
        let inner = Arc::clone(&host.records);
        let records = ObservedRecords::new(inner, status.clone(), Arc::clone(&trouble));
        Self {
            config,
            host,
            records: Arc::new(records),
            status,
            trouble,
            running: Running::default(),
            look_for_jobs: LookForJobs::default(),
            ending,
        }
    }

    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        &self.host.clock
    }

    /// The connectors this service handles (service sheet §3).
    pub(crate) async fn connectors(&self) -> Result<Vec<Versioned<Connector>>, RecordsError> {
        let filter = ConnectorFilter {
            ids: self
                .config
                .connectors
                .iter()
                .map(|connector| connector.connector_id.clone())
                .collect(),
            service_types: match self.config.service.worker_mode {
                true => self.config.service.service_types.clone(),
                false => Vec::new(),
            },
        };
        if filter.ids.is_empty() && filter.service_types.is_empty() {
            // To the records, no filter at all means every connector there is.
            return Ok(Vec::new());
        }
        self.records.connectors(&filter).await
    }

    /// What config.yml says about a connector.
    pub(crate) fn named(&self, connector_id: &str) -> Option<&ConnectorConfig> {
        let mut connectors = self.config.connectors.iter();
        connectors.find(|connector| connector.connector_id == connector_id)
    }

    pub(crate) fn api_key(&self, connector_id: &str) -> Option<&Secret> {
        self.named(connector_id)?.api_key.as_ref()
    }

    /// Sleeps; `false` if the service ended meanwhile.
    pub(crate) async fn pause(&self, time: Duration) -> bool {
        tokio::select! {
            biased;
            () = self.ending.stopped() => false,
            () = self.clock().sleep(time) => true,
        }
    }

    /// Does something on the records and tries again while they are out of reach, for at most
    /// `patience`; for [`FAREWELL`] at most once the service is ending.
    pub(crate) async fn persist<T, F>(
        &self,
        patience: Duration,
        mut attempt: impl FnMut() -> F,
    ) -> Result<T, RecordsError>
    where
        F: Future<Output = Result<T, RecordsError>>,
    {
        let give_up_at = self.clock().now() + patience;
        let mut farewell = std::pin::pin!(async {
            self.ending.stopped().await;
            self.clock().sleep(FAREWELL).await;
        });
        let late = || {
            let message = "the service ended before Elasticsearch answered";
            Err(RecordsError::new(RecordsErrorKind::Unavailable, message))
        };
        let mut pause = Duration::from_secs(1);
        loop {
            let result = tokio::select! {
                biased;
                result = attempt() => result,
                () = &mut farewell => return late(),
            };
            match result {
                Err(error)
                    if error.kind == RecordsErrorKind::Unavailable
                        && self.clock().now() + pause <= give_up_at =>
                {
                    tracing::debug!(%error, "will try again");
                }
                result => return result,
            }
            tokio::select! {
                biased;
                () = &mut farewell => return late(),
                () = self.clock().sleep(pause) => {}
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}
