//! The records of connectors and sync jobs, over the `_connector` API or over the two indices.
//!
//! Reading always goes to the indices: the API does not tell in which version it read. Writing goes to
//! the API where the reference service does it, the server has it, and no condition is asked for, which
//! the API does not know; everything else is a partial `_update` (protocol sheet §3.2, end).

mod api;
mod change;
mod create;
mod documents;

use crate::{Client, RequestError, RequestErrorKind, path::with, transport::Request};
use async_trait::async_trait;
use documents::{Documents, Found};
use serde_json::{Map, Value, json};
use tokio::sync::OnceCell;
use tributary_protocol::{
    Connector, IllegalTransition, JobType, RecordError, SyncJob, TriggerMethod,
    indices::{
        CONNECTORS_ALIAS, CONNECTORS_INDEX, SYNC_JOBS_ALIAS, SYNC_JOBS_INDEX,
        connectors_index_body, sync_jobs_index_body,
    },
    records::{
        ConnectorChange, ConnectorFilter, JobChange, JobFilter, Records, RecordsError,
        RecordsErrorKind, Seen, Versioned,
    },
    timestamp,
};

const CONNECTORS: Documents = Documents {
    alias: CONNECTORS_ALIAS,
    index: CONNECTORS_INDEX,
    record: "connector",
};
const SYNC_JOBS: Documents = Documents {
    alias: SYNC_JOBS_ALIAS,
    index: SYNC_JOBS_INDEX,
    record: "sync job",
};
/// Without a condition of the caller's, a change that somebody else overtakes is decided anew so often.
const ATTEMPTS: usize = 5;

/// How records are written (`elasticsearch.feature_use_connectors_api`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// By the `_connector` API; where the server does not have it, or our key may not use it, directly.
    Api,
    /// Directly, by updates of the two indices.
    Direct,
}

/// The records on the server.
#[derive(Debug)]
pub struct ElasticRecords {
    client: Client,
    wanted: Mode,
    found: OnceCell<Mode>,
}

impl ElasticRecords {
    /// The records on this server.
    pub fn new(client: Client, mode: Mode) -> Self {
        Self {
            client,
            wanted: mode,
            found: OnceCell::new(),
        }
    }

    /// How records are really written. Found out once.
    ///
    /// # Errors
    /// The server cannot be asked.
    pub async fn mode(&self) -> Result<Mode, RecordsError> {
        if self.wanted == Mode::Direct {
            return Ok(Mode::Direct);
        }
        Ok(*self.found.get_or_try_init(|| self.find_mode()).await?)
    }

    async fn find_mode(&self) -> Result<Mode, RequestError> {
        if !self.client.info().await?.may_have_connector_api() {
            return Ok(Mode::Direct);
        }
        let at = with("/_connector".to_owned(), "size", "1");
        let request = Request::get(at, "ask for the connector API");
        match self.client.send(&request).await {
            Ok(_) => Ok(Mode::Api),
            Err(error) if error.is(RequestErrorKind::Forbidden) => {
                // Keys made before 8.15 have the privileges on the indices alone.
                tracing::warn!(
                    "the connector API may not be used: {error}; the records are written directly"
                );
                Ok(Mode::Direct)
            }
            // Without the API, `_connector` is taken for an index, and `size` is not understood.
            Err(error) if matches!(error.status, Some(400 | 404 | 405 | 501)) => {
                tracing::info!("the server has no connector API; the records are written directly");
                Ok(Mode::Direct)
            }
            Err(error) => Err(error),
        }
    }

    fn now(&self) -> chrono::DateTime<chrono::Utc> {
        self.client.clock().utc()
    }

    async fn read_connector(&self, id: &str) -> Result<Option<Versioned<Connector>>, RecordsError> {
        let Some(found) = CONNECTORS.get(&self.client, id).await? else {
            return Ok(None);
        };
        let seen = found.seen;
        let record = Connector::from_source(id, &found.source).map_err(rejected)?;
        Ok((!record.deleted).then_some(Versioned { record, seen }))
    }

    async fn read_job(&self, id: &str) -> Result<Option<Versioned<SyncJob>>, RecordsError> {
        let Some(found) = SYNC_JOBS.get(&self.client, id).await? else {
            return Ok(None);
        };
        let seen = found.seen;
        let record = SyncJob::from_source(id, &found.source).map_err(rejected)?;
        Ok(Some(Versioned { record, seen }))
    }

    async fn existing_job(&self, id: &str) -> Result<Versioned<SyncJob>, RecordsError> {
        self.read_job(id)
            .await?
            .ok_or_else(|| SYNC_JOBS.missing(&self.client, id))
    }

    async fn existing_connector(&self, id: &str) -> Result<Versioned<Connector>, RecordsError> {
        self.read_connector(id)
            .await?
            .ok_or_else(|| CONNECTORS.missing(&self.client, id))
    }
}

#[async_trait]
impl Records for ElasticRecords {
    async fn prepare(&self) -> Result<(), RecordsError> {
        CONNECTORS
            .prepare(&self.client, connectors_index_body())
            .await?;
        SYNC_JOBS
            .prepare(&self.client, sync_jobs_index_body())
            .await
    }

    async fn connectors(
        &self,
        filter: &ConnectorFilter,
    ) -> Result<Vec<Versioned<Connector>>, RecordsError> {
        let mut wanted = Vec::new();
        if !filter.ids.is_empty() {
            wanted.push(json!({"ids": {"values": filter.ids}}));
        }
        if !filter.service_types.is_empty() {
            wanted.push(json!({"bool": {
                "filter": [{"terms": {"service_type": filter.service_types}}],
                "must_not": [{"term": {"is_native": true}}],
            }}));
        }
        let mut query = json!({"bool": {"must_not": [{"term": {"deleted": true}}]}});
        if !wanted.is_empty() {
            query["bool"]["filter"] =
                json!([{"bool": {"should": wanted, "minimum_should_match": 1}}]);
        }
        let found = CONNECTORS.search(&self.client, &query, None, 0).await?;
        let mut connectors = read_each(found, Connector::from_source);
        connectors.retain(|connector| !connector.record.deleted);
        // Sorted here: an index that was not made by its template cannot sort by a text.
        connectors.sort_by(|a, b| {
            let key = |c: &Connector| (c.index_name.is_none(), c.index_name.clone(), c.id.clone());
            key(&a.record).cmp(&key(&b.record))
        });
        Ok(connectors)
    }

    async fn connector(&self, id: &str) -> Result<Option<Versioned<Connector>>, RecordsError> {
        self.read_connector(id).await
    }

    async fn change_connector(
        &self,
        id: &str,
        change: &ConnectorChange,
        seen: Option<Seen>,
    ) -> Result<(), RecordsError> {
        if seen.is_none()
            && self.mode().await? == Mode::Api
            && self.change_connector_by_api(id, change).await?
        {
            return Ok(());
        }
        self.update_connector(id, change, seen).await
    }

    async fn jobs(&self, filter: &JobFilter) -> Result<Vec<Versioned<SyncJob>>, RecordsError> {
        let mut wanted = Vec::new();
        let mut terms = |field: &str, values: Vec<&str>| {
            if !values.is_empty() {
                wanted.push(json!({"terms": {field: values}}));
            }
        };
        terms(
            "connector.id",
            filter.connector_ids.iter().map(|id| &**id).collect(),
        );
        terms(
            "status",
            filter
                .statuses
                .iter()
                .map(|status| status.as_str())
                .collect(),
        );
        terms(
            "job_type",
            filter.job_types.iter().map(|kind| kind.as_str()).collect(),
        );
        if let Some(since) = filter.created_since {
            wanted.push(json!({"range": {"created_at": {"gte": timestamp::to_text(since)}}}));
        }
        let query = json!({"bool": {"filter": wanted}});
        let order = if filter.oldest_first { "asc" } else { "desc" };
        let sort = json!([{"created_at": {"order": order, "unmapped_type": "date"}}]);
        let found = SYNC_JOBS
            .search(&self.client, &query, Some(sort), filter.limit)
            .await?;
        Ok(read_each(found, SyncJob::from_source))
    }

    async fn job(&self, id: &str) -> Result<Option<Versioned<SyncJob>>, RecordsError> {
        self.read_job(id).await
    }

    async fn create_job(
        &self,
        connector: &Versioned<Connector>,
        job_type: JobType,
        trigger_method: TriggerMethod,
    ) -> Result<String, RecordsError> {
        if self.mode().await? == Mode::Api
            && let Some(id) = self
                .create_job_by_api(&connector.record.id, job_type, trigger_method)
                .await?
        {
            return Ok(id);
        }
        self.create_job_document(&connector.record, job_type, trigger_method)
            .await
    }

    async fn change_job(
        &self,
        id: &str,
        change: &JobChange,
        seen: Option<Seen>,
    ) -> Result<Option<Seen>, RecordsError> {
        if seen.is_none()
            && self.mode().await? == Mode::Api
            && self.change_job_by_api(id, change).await?
        {
            return Ok(None);
        }
        self.update_job(id, change, seen).await.map(Some)
    }
}

/// Reads each record on its own: one that cannot be read must not hide the others.
fn read_each<T>(
    found: Vec<Found>,
    read: impl Fn(&str, &Map<String, Value>) -> Result<T, RecordError>,
) -> Vec<Versioned<T>> {
    let mut records = Vec::with_capacity(found.len());
    for Found { id, source, seen } in found {
        match read(&id, &source) {
            Ok(record) => records.push(Versioned { record, seen }),
            Err(error) => tracing::warn!("a record is left out: {error}"),
        }
    }
    records
}

fn rejected(error: impl std::fmt::Display) -> RecordsError {
    RecordsError::new(RecordsErrorKind::Rejected, error.to_string())
}

fn illegal(id: &str, error: &IllegalTransition) -> RecordsError {
    RecordsError::new(
        RecordsErrorKind::Rejected,
        format!("the sync job {id} was not changed: {error}"),
    )
}

impl From<RequestError> for RecordsError {
    fn from(error: RequestError) -> Self {
        let kind = match error.kind {
            RequestErrorKind::Unreachable
            | RequestErrorKind::Interrupted
            | RequestErrorKind::TimedOut
            | RequestErrorKind::Unavailable
            | RequestErrorKind::Busy { .. }
            | RequestErrorKind::Blocked => RecordsErrorKind::Unavailable,
            RequestErrorKind::Unauthorised => RecordsErrorKind::Unauthorised,
            RequestErrorKind::Forbidden => RecordsErrorKind::Forbidden,
            RequestErrorKind::NotFound => RecordsErrorKind::NotFound,
            RequestErrorKind::Conflict => RecordsErrorKind::Conflict,
            RequestErrorKind::TooLarge
            | RequestErrorKind::Unsupported
            | RequestErrorKind::Rejected => RecordsErrorKind::Rejected,
        };
        Self::new(kind, error.message)
    }
}
