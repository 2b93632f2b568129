//! Records that tell the service whether Elasticsearch answers.

use crate::{Status, metric_names::ELASTICSEARCH_UP, trouble::Trouble};
use async_trait::async_trait;
use std::sync::Arc;
use tributary_protocol::{
    Connector, JobType, SyncJob, TriggerMethod,
    records::{
        ConnectorChange, ConnectorFilter, JobChange, JobFilter, Records, RecordsError,
        RecordsErrorKind, Seen, Versioned,
    },
};

/// Passes every call on, and notes what came of it.
pub(crate) struct ObservedRecords {
    inner: Arc<dyn Records>,
    status: Status,
    trouble: Arc<Trouble>,
}

impl ObservedRecords {
    pub(crate) fn new(inner: Arc<dyn Records>, status: Status, trouble: Arc<Trouble>) -> Self {
        Self {
            inner,
            status,
            trouble,
        }
    }

    fn note<T>(&self, result: Result<T, RecordsError>) -> Result<T, RecordsError> {
        match &result {
            Err(error) if error.kind == RecordsErrorKind::Unavailable => {
                if self.status.fell_silent(&error.message) {
                    tracing::error!("lost contact, will go on when it is back: {error}");
                    metrics::gauge!(ELASTICSEARCH_UP).set(0.0);
                    self.trouble.count("contact", error);
                }
            }
            _ => {
                if self.status.answered() {
                    tracing::info!("Elasticsearch answers again");
                }
                metrics::gauge!(ELASTICSEARCH_UP).set(1.0);
            }
        }
        result
    }
}

#[async_trait]
impl Records for ObservedRecords {
    async fn prepare(&self) -> Result<(), RecordsError> {
        self.note(self.inner.prepare().await)
    }

    async fn connectors(
        &self,
        filter: &ConnectorFilter,
    ) -> Result<Vec<Versioned<Connector>>, RecordsError> {
        self.note(self.inner.connectors(filter).await)
    }

    async fn connector(&self, id: &str) -> Result<Option<Versioned<Connector>>, RecordsError> {
        self.note(self.inner.connector(id).await)
    }

    async fn change_connector(
        &self,
        id: &str,
        change: &ConnectorChange,
        seen: Option<Seen>,
    ) -> Result<(), RecordsError> {
        self.note(self.inner.change_connector(id, change, seen).await)
    }

    async fn jobs(&self, filter: &JobFilter) -> Result<Vec<Versioned<SyncJob>>, RecordsError> {
        self.note(self.inner.jobs(filter).await)
    }

    async fn job(&self, id: &str) -> Result<Option<Versioned<SyncJob>>, RecordsError> {
        self.note(self.inner.job(id).await)
    }

    async fn create_job(
        &self,
        connector: &Versioned<Connector>,
        job_type: JobType,
        trigger_method: TriggerMethod,
    ) -> Result<String, RecordsError> {
        self.note(
            self.inner
                .create_job(connector, job_type, trigger_method)
                .await,
        )
    }

    async fn change_job(
        &self,
        id: &str,
        change: &JobChange,
        seen: Option<Seen>,
    ) -> Result<Option<Seen>, RecordsError> {
        self.note(self.inner.change_job(id, change, seen).await)
    }
}
