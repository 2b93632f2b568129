//! The record of a sync job.

use std::{fmt, time::Duration};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, de};
use serde_json::{Map, Value, json};

use crate::{
    Connector, JobStatus, JobType, Pipeline, RecordError, TriggerMethod, filtering::SyncRules,
    indices, properties::Properties, timestamp,
};

/// A running job that was not heard of for so long has lost its service.
pub const IDLE_LIMIT: Duration = Duration::from_secs(300);

/// The error of a job that lost its service.
pub const IDLE_ERROR: &str = "The job has not seen any update for some time.";

/// A sync job, as the index `.elastic-connectors-sync-jobs` holds it.
///
/// `Debug` shows neither the configuration, which holds credentials, nor the cursor.
#[derive(Clone, PartialEq)]
pub struct SyncJob {
    /// The id of the document.
    pub id: String,
    /// When a user asked to stop it.
    pub cancelation_requested_at: Option<DateTime<Utc>>,
    /// When it was stopped on that request.
    pub canceled_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub completed_at: Option<DateTime<Utc>>,
    /// The connector as it was when the job was made.
    pub connector: ConnectorSnapshot,
    /// What it has done so far.
    pub counters: JobCounters,
    /// When it was made.
    pub created_at: Option<DateTime<Utc>>,
    /// Why it failed.
    pub error: Option<String>,
    /// What it does; a record without it is of a time when all jobs were full ones.
    pub job_type: JobType,
    /// The heartbeat of the service that runs it.
    pub last_seen: Option<DateTime<Utc>>,
    /// What the service keeps with it.
    pub metadata: Map<String, Value>,
    /// When a service began it, the last time if it was suspended.
    pub started_at: Option<DateTime<Utc>>,
    /// Its state.
    pub status: JobStatus,
    /// Documents in the index at its end.
    pub total_document_count: Option<u64>,
    /// Why it exists.
    pub trigger_method: TriggerMethod,
    /// Who runs it.
    pub worker_hostname: Option<String>,
}

/// What a job knows of its connector.
#[derive(Clone, PartialEq)]
pub struct ConnectorSnapshot {
    /// The id of the connector; `None` in a record that nobody can run.
    pub id: Option<String>,
    /// As in the connector.
    pub configuration: Map<String, Value>,
    /// The rules that were active.
    pub filtering: SyncRules,
    /// The index that the job writes: for access control jobs that of the identities.
    pub index_name: Option<String>,
    /// As in the connector.
    pub language: Option<String>,
    /// The ingest pipeline, the default one when the record names none.
    pub pipeline: Pipeline,
    /// As in the connector.
    pub service_type: Option<String>,
    /// Where an incremental job begins; written when the job is claimed.
    pub sync_cursor: Option<Value>,
}

/// What a job has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JobCounters {
    /// Documents deleted.
    pub deleted_document_count: u64,
    /// Documents written.
    pub indexed_document_count: u64,
    /// What was written, in MiB.
    pub indexed_document_volume: u64,
}

impl JobCounters {
    /// From bytes, as they are counted, to MiB, as the record holds them: rounded to the nearest.
    pub fn of_bytes(indexed: u64, indexed_bytes: u64, deleted: u64) -> Self {
        const MIB: u64 = 1 << 20;
        Self {
            deleted_document_count: deleted,
            indexed_document_count: indexed,
            indexed_document_volume: indexed_bytes / MIB
                + u64::from(indexed_bytes % MIB >= MIB / 2),
        }
    }
}

/// Why a connector cannot have jobs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NewJobError {
    /// No content index.
    #[error("connector '{0}' has no index: attach one to it first")]
    NoIndex(String),
    /// No type of source.
    #[error("connector '{0}' has no service type: set it first")]
    NoServiceType(String),
}

impl SyncJob {
    /// Reads the source of a document of the sync-job index.
    pub fn from_source(id: &str, source: &Map<String, Value>) -> Result<Self, RecordError> {
        let record = Properties::new("sync job", id, source);
        let nothing = Map::new();
        let connector = record.object("connector")?.unwrap_or(&nothing);
        Ok(Self {
            id: id.to_owned(),
            cancelation_requested_at: record.time("cancelation_requested_at")?,
            canceled_at: record.time("canceled_at")?,
            completed_at: record.time("completed_at")?,
            connector: ConnectorSnapshot::read(record.at("connector", connector))?,
            counters: JobCounters {
                deleted_document_count: record.count("deleted_document_count")?.unwrap_or(0),
                indexed_document_count: record.count("indexed_document_count")?.unwrap_or(0),
                indexed_document_volume: record.count("indexed_document_volume")?.unwrap_or(0),
            },
            created_at: record.time("created_at")?,
            error: record.filled_text("error")?,
            job_type: record.word("job_type")?.unwrap_or(JobType::Full),
            last_seen: record.time("last_seen")?,
            metadata: record.object("metadata")?.cloned().unwrap_or_default(),
            started_at: record.time("started_at")?,
            status: record.word("status")?.ok_or_else(|| {
                record.error("status", "is missing, nobody can tell what to do with it")
            })?,
            total_document_count: record.count("total_document_count")?,
            trigger_method: record
                .word("trigger_method")?
                .unwrap_or(TriggerMethod::OnDemand),
            worker_hostname: record.filled_text("worker_hostname")?,
        })
    }

    /// The source of a new job document, as the API makes it: for servers without that API.
    pub fn new_document(
        connector: &Connector,
        job_type: JobType,
        trigger_method: TriggerMethod,
        now: DateTime<Utc>,
    ) -> Result<Map<String, Value>, NewJobError> {
        let Some(index_name) = &connector.index_name else {
            return Err(NewJobError::NoIndex(connector.id.clone()));
        };
        let Some(service_type) = &connector.service_type else {
            return Err(NewJobError::NoServiceType(connector.id.clone()));
        };
        let index_name = match job_type.is_content() {
            true => index_name.clone(),
            false => indices::access_control_index_name(index_name),
        };
        let now = timestamp::to_text(now);

        let mut snapshot = Map::new();
        snapshot.insert(
            "configuration".into(),
            connector.configuration.clone().into(),
        );
        snapshot.insert("filtering".into(), connector.filtering.snapshot());
        snapshot.insert("id".into(), connector.id.clone().into());
        snapshot.insert("index_name".into(), index_name.into());
        if let Some(language) = &connector.language {
            snapshot.insert("language".into(), language.clone().into());
        }
        if let Some(pipeline) = &connector.pipeline {
            snapshot.insert("pipeline".into(), json!(pipeline));
        }
        snapshot.insert("service_type".into(), service_type.clone().into());

        let mut document = Map::new();
        document.insert("connector".into(), snapshot.into());
        document.insert("created_at".into(), now.clone().into());
        document.insert("deleted_document_count".into(), 0.into());
        document.insert("indexed_document_count".into(), 0.into());
        document.insert("indexed_document_volume".into(), 0.into());
        document.insert("job_type".into(), job_type.as_str().into());
        document.insert("last_seen".into(), now.into());
        document.insert("status".into(), JobStatus::Pending.as_str().into());
        document.insert("total_document_count".into(), 0.into());
        document.insert("trigger_method".into(), trigger_method.as_str().into());
        Ok(document)
    }

    /// Whether the job should be running, but was not heard of for longer than [`IDLE_LIMIT`]. One
    /// that never was heard of counts from its making.
    pub fn is_idle(&self, now: DateTime<Utc>) -> bool {
        let heard = self.last_seen.or(self.started_at).or(self.created_at);
        let silent = heard.is_none_or(|time| {
            (now - time)
                .to_std()
                .is_ok_and(|silence| silence > IDLE_LIMIT)
        });
        self.status.is_active() && silent
    }
}

impl ConnectorSnapshot {
    fn read(connector: Properties<'_>) -> Result<Self, RecordError> {
        Ok(Self {
            id: connector.filled_text("id")?,
            configuration: connector
                .object("configuration")?
                .cloned()
                .unwrap_or_default(),
            filtering: SyncRules::read_of_job(connector)?,
            index_name: connector.filled_text("index_name")?,
            language: connector.filled_text("language")?,
            pipeline: match connector.object("pipeline")? {
                Some(pipeline) => Pipeline::read(connector, "connector.pipeline", pipeline)?,
                None => Pipeline::default(),
            },
            service_type: connector.filled_text("service_type")?,
            sync_cursor: connector.value("sync_cursor").cloned(),
        })
    }
}

impl fmt::Debug for SyncJob {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SyncJob")
            .field("id", &self.id)
            .field("job_type", &self.job_type)
            .field("status", &self.status)
            .field("connector", &self.connector)
            .field("counters", &self.counters)
            .field("worker_hostname", &self.worker_hostname)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ConnectorSnapshot {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ConnectorSnapshot")
            .field("id", &self.id)
            .field("service_type", &self.service_type)
            .field("index_name", &self.index_name)
            .finish_non_exhaustive()
    }
}

/// Reads what the API answers: the source with the `id` in it.
impl<'de> Deserialize<'de> for SyncJob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let source = Map::deserialize(deserializer)?;
        let id = source.get("id").and_then(Value::as_str).unwrap_or_default();
        Self::from_source(id, &source).map_err(de::Error::custom)
    }
}
