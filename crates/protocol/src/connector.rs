//! The record of a connector.

use std::{fmt, time::Duration};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, de};
use serde_json::{Map, Value, json};

use crate::{
    ConnectorStatus, Features, Filtering, JobStatus, JobType, Pipeline, RecordError, Scheduling,
    properties::Properties, timestamp,
};

/// A connector, as the index `.elastic-connectors` holds it.
///
/// `Debug` shows neither the configuration, which holds credentials, nor the cursor.
#[derive(Clone, PartialEq)]
pub struct Connector {
    /// The id of the document; never a property of its source.
    pub id: String,
    /// The id of the API key that Kibana made for it.
    pub api_key_id: Option<String>,
    /// The id of the secret that holds that key; only for connectors that Elastic runs.
    pub api_key_secret_id: Option<String>,
    /// Field name to field, see [`crate::configuration`].
    pub configuration: Map<String, Value>,
    /// Schedules of a kind that no source uses.
    pub custom_scheduling: Map<String, Value>,
    /// Deleted, but still there: to be treated as absent.
    pub deleted: bool,
    /// What the user says about it.
    pub description: Option<String>,
    /// What went wrong last.
    pub error: Option<String>,
    /// What its source can do; `None` until a service has written it.
    pub features: Option<Features>,
    /// Its sync rules.
    pub filtering: Filtering,
    /// The content index; `None` while none is attached.
    pub index_name: Option<String>,
    /// Run by Elastic, not by its user.
    pub is_native: bool,
    /// The language of its documents, such as `en`.
    pub language: Option<String>,
    /// The heartbeat of the service that handles it.
    pub last_seen: Option<DateTime<Utc>>,
    /// When a sync last ended.
    pub last_synced: Option<DateTime<Utc>>,
    /// The error of the last content sync.
    pub last_sync_error: Option<String>,
    /// The state of the last content sync.
    pub last_sync_status: Option<JobStatus>,
    /// When a full sync was last made by schedule.
    pub last_sync_scheduled_at: Option<DateTime<Utc>>,
    /// When an incremental sync was last made by schedule.
    pub last_incremental_sync_scheduled_at: Option<DateTime<Utc>>,
    /// The error of the last access control sync.
    pub last_access_control_sync_error: Option<String>,
    /// The state of the last access control sync.
    pub last_access_control_sync_status: Option<JobStatus>,
    /// When an access control sync was last made by schedule.
    pub last_access_control_sync_scheduled_at: Option<DateTime<Utc>>,
    /// Documents that the last content sync deleted.
    pub last_deleted_document_count: Option<u64>,
    /// Documents that the last content sync wrote.
    pub last_indexed_document_count: Option<u64>,
    /// What people call it.
    pub name: Option<String>,
    /// Its ingest pipeline; `None` means the default one.
    pub pipeline: Option<Pipeline>,
    /// When jobs run by themselves.
    pub scheduling: Scheduling,
    /// The type of its source; `None` until it is known.
    pub service_type: Option<String>,
    /// Its state; a record without one counts as created.
    pub status: ConnectorStatus,
    /// The position from which the source's next incremental sync goes on, in the source's own form.
    pub sync_cursor: Option<Value>,
    /// The old way to ask for a sync. Nobody writes it any more.
    pub sync_now: bool,
}

/// What a new connector begins with.
#[derive(Clone, Debug, Default)]
pub struct NewConnector<'a> {
    /// The content index.
    pub index_name: Option<&'a str>,
    /// What people call it.
    pub name: Option<&'a str>,
    /// What the user says about it.
    pub description: Option<&'a str>,
    /// The type of its source.
    pub service_type: Option<&'a str>,
    /// The language of its documents.
    pub language: Option<&'a str>,
    /// Run by Elastic.
    pub is_native: bool,
}

impl Connector {
    /// Reads the source of a document of the connector index.
    pub fn from_source(id: &str, source: &Map<String, Value>) -> Result<Self, RecordError> {
        let record = Properties::new("connector", id, source);
        let object = |key| Ok(record.object(key)?.cloned().unwrap_or_default());
        Ok(Self {
            id: id.to_owned(),
            api_key_id: record.filled_text("api_key_id")?,
            api_key_secret_id: record.filled_text("api_key_secret_id")?,
            configuration: object("configuration")?,
            custom_scheduling: object("custom_scheduling")?,
            deleted: record.flag("deleted")?.unwrap_or(false),
            description: record.text("description")?,
            error: record.filled_text("error")?,
            features: record.object("features")?.cloned().map(Features::from_map),
            filtering: Filtering::read(record)?,
            index_name: record.filled_text("index_name")?,
            is_native: record.flag("is_native")?.unwrap_or(false),
            language: record.filled_text("language")?,
            last_seen: record.time("last_seen")?,
            last_synced: record.time("last_synced")?,
            last_sync_error: record.filled_text("last_sync_error")?,
            last_sync_status: record.word("last_sync_status")?,
            last_sync_scheduled_at: record.time("last_sync_scheduled_at")?,
            last_incremental_sync_scheduled_at: record
                .time("last_incremental_sync_scheduled_at")?,
            last_access_control_sync_error: record.filled_text("last_access_control_sync_error")?,
            last_access_control_sync_status: record.word("last_access_control_sync_status")?,
            last_access_control_sync_scheduled_at: record
                .time("last_access_control_sync_scheduled_at")?,
            last_deleted_document_count: record.count("last_deleted_document_count")?,
            last_indexed_document_count: record.count("last_indexed_document_count")?,
            name: record.text("name")?,
            pipeline: match record.object("pipeline")? {
                Some(pipeline) => Some(Pipeline::read(record, "pipeline", pipeline)?),
                None => None,
            },
            scheduling: match record.object("scheduling")? {
                Some(scheduling) => Scheduling::read(record, scheduling)?,
                None => Scheduling::default(),
            },
            service_type: record.filled_text("service_type")?,
            status: record.word("status")?.unwrap_or(ConnectorStatus::Created),
            sync_cursor: record.value("sync_cursor").cloned(),
            sync_now: record.flag("sync_now")?.unwrap_or(false),
        })
    }

    /// The source of a new connector document, as the API makes it: for servers without that API.
    pub fn new_document(new: &NewConnector<'_>, now: DateTime<Utc>) -> Map<String, Value> {
        let status = match new.is_native {
            true => ConnectorStatus::NeedsConfiguration,
            false => ConnectorStatus::Created,
        };
        let schedule = json!({"enabled": false, "interval": crate::schedule::DEFAULT_INTERVAL});
        let mut document = Map::new();
        let mut set = |key: &str, value: Value| document.insert(key.to_owned(), value);
        set("configuration", json!({}));
        set("custom_scheduling", json!({}));
        set("deleted", false.into());
        if let Some(description) = new.description {
            set("description", description.into());
        }
        set(
            "filtering",
            Filtering::for_new_connector(&timestamp::to_text(now)),
        );
        set("index_name", new.index_name.into());
        set("is_native", new.is_native.into());
        set("language", new.language.into());
        for key in [
            "last_access_control_sync_error",
            "last_access_control_sync_scheduled_at",
            "last_access_control_sync_status",
            "last_deleted_document_count",
            "last_incremental_sync_scheduled_at",
            "last_indexed_document_count",
            "last_sync_error",
            "last_sync_scheduled_at",
            "last_sync_status",
            "last_synced",
        ] {
            set(key, Value::Null);
        }
        set("name", new.name.unwrap_or_default().into());
        set(
            "scheduling",
            json!({"access_control": schedule, "full": schedule, "incremental": schedule}),
        );
        set("service_type", new.service_type.into());
        set("status", status.as_str().into());
        set("sync_now", false.into());
        document
    }

    /// Whether it may sync at all: it is there, and it has a configuration.
    pub fn is_gate_open(&self) -> bool {
        !self.deleted && self.status.is_gate_open()
    }

    /// The state of the last sync of this kind: content and access control are apart.
    pub fn last_status(&self, job_type: JobType) -> Option<JobStatus> {
        match job_type.is_content() {
            true => self.last_sync_status,
            false => self.last_access_control_sync_status,
        }
    }

    /// Whether some instance says that it is running a sync of this kind.
    pub fn is_syncing(&self, job_type: JobType) -> bool {
        self.last_status(job_type) == Some(JobStatus::InProgress)
    }

    /// When a job of this type was last made by schedule.
    pub fn last_scheduled_at(&self, job_type: JobType) -> Option<DateTime<Utc>> {
        match job_type {
            JobType::Full => self.last_sync_scheduled_at,
            JobType::Incremental => self.last_incremental_sync_scheduled_at,
            JobType::AccessControl => self.last_access_control_sync_scheduled_at,
        }
    }

    /// Whether the last heartbeat is older than `interval`, or there was none. One from the future, by
    /// another machine's clock, counts as old when it is more than `interval` ahead.
    pub fn is_heartbeat_due(&self, interval: Duration, now: DateTime<Utc>) -> bool {
        let Some(last_seen) = self.last_seen else {
            return true;
        };
        (now - last_seen)
            .abs()
            .to_std()
            .map_or(true, |age| age > interval)
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Connector")
            .field("id", &self.id)
            .field("service_type", &self.service_type)
            .field("index_name", &self.index_name)
            .field("status", &self.status)
            .field("last_sync_status", &self.last_sync_status)
            .finish_non_exhaustive()
    }
}

/// Reads what the API answers: the source with the `id` in it.
impl<'de> Deserialize<'de> for Connector {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let source = Map::deserialize(deserializer)?;
        let id = source.get("id").and_then(Value::as_str).unwrap_or_default();
        Self::from_source(id, &source).map_err(de::Error::custom)
    }
}
