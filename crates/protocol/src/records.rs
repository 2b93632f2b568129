//! The records of connectors and sync jobs, wherever they are kept: what the service asks of them.
//! Implemented over the `_connector` API and over the two indices directly, by one crate that knows
//! the differences.

use crate::{
    Connector, ConnectorStatus, Features, FilteringValidation, JobStatus, JobType, SyncJob,
    TriggerMethod,
};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use std::fmt;

/// A record and the version in which it was read.
#[derive(Clone, Debug)]
pub struct Versioned<T> {
    /// What it says.
    pub record: T,
    /// Which write of it this is.
    pub seen: Seen,
}

/// Which write of a record was seen: `_seq_no` and `_primary_term`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// `_seq_no`.
    pub seq_no: u64,
    /// `_primary_term`.
    pub primary_term: u64,
}

/// Which connectors to list. Deleted ones never are.
#[derive(Clone, Debug, Default)]
pub struct ConnectorFilter {
    /// Only these ids, if any are given.
    pub ids: Vec<String>,
    /// Only these service types with `is_native: false`, if any are given (worker mode, service
    /// sheet §3). With ids too: what fits either.
    pub service_types: Vec<String>,
}

/// Which sync jobs to list.
#[derive(Clone, Debug, Default)]
pub struct JobFilter {
    /// Only of these connectors, if any are given.
    pub connector_ids: Vec<String>,
    /// Only in these states, if any are given.
    pub statuses: Vec<JobStatus>,
    /// Only of these types, if any are given.
    pub job_types: Vec<JobType>,
    /// Only those made at this time or later.
    pub created_since: Option<DateTime<Utc>>,
    /// Oldest `created_at` first; newest first otherwise.
    pub oldest_first: bool,
    /// At most so many; 0 = as many as one listing holds, which is 10,000.
    pub limit: usize,
}

/// A change of a connector record. Each is one partial update; see [`crate::updates`].
#[derive(Clone, Debug)]
pub enum ConnectorChange {
    /// The service is alive: `last_seen`.
    CheckIn,
    /// What `prepare` found missing (service sheet §3): only what is given is written.
    Prepare {
        /// The whole new configuration.
        configuration: Option<Map<String, Value>>,
        /// The service type.
        service_type: Option<String>,
        /// The features.
        features: Option<Features>,
        /// The new status.
        status: Option<ConnectorStatus>,
    },
    /// `status` and `error`.
    Status {
        /// The new status.
        status: ConnectorStatus,
        /// Why, if it is an error; `None` clears it.
        error: Option<String>,
    },
    /// The result of checking the draft of the sync rules; a valid draft is activated as well.
    FilteringChecked(FilteringValidation),
    /// A job of this type was due: `last_*_scheduled_at`.
    Scheduled {
        /// Which schedule.
        job_type: JobType,
        /// The new text of `last_*_scheduled_at`.
        at: DateTime<Utc>,
    },
    /// A job of this type begins.
    SyncStarted(JobType),
    /// A job ended (service sheet §4 step 6).
    SyncEnded(Box<SyncEnd>),
}

/// How a job ended, for both records.
#[derive(Clone, Debug)]
pub struct SyncEnd {
    /// The type of the job.
    pub job_type: JobType,
    /// `completed`, `error`, `canceled` or `suspended`.
    pub status: JobStatus,
    /// Why, if it failed; a warning is not an error.
    pub error: Option<String>,
    /// Documents written.
    pub indexed: u64,
    /// Bytes written.
    pub indexed_bytes: u64,
    /// Documents deleted.
    pub deleted: u64,
    /// Documents in the index, if it could be asked.
    pub total: Option<u64>,
    /// The reference's cursor after a good content job.
    pub sync_cursor: Option<Value>,
    /// Merged into the job's `metadata`.
    pub metadata: Map<String, Value>,
    /// When.
    pub at: DateTime<Utc>,
}

/// A change of a sync job record.
#[derive(Clone, Debug)]
pub enum JobChange {
    /// A worker takes the job (service sheet §4 step 2).
    Claim {
        /// The name of its host.
        worker_hostname: String,
        /// The connector's cursor, for an incremental job.
        sync_cursor: Option<Value>,
        /// Merged into `metadata`.
        metadata: Map<String, Value>,
    },
    /// How far it is (service sheet §4 step 5): `last_seen` too. Made conditional, this is the heartbeat
    /// that keeps a lease: it is sent once, and listings may show the record as it was before.
    Stats {
        /// Documents written.
        indexed: u64,
        /// Bytes written.
        indexed_bytes: u64,
        /// Documents deleted.
        deleted: u64,
        /// Merged into `metadata`.
        metadata: Map<String, Value>,
    },
    /// Somebody asks for its end: pending and suspended jobs end at once, a running one becomes
    /// `canceling` (protocol sheet §3.2).
    Cancel,
    /// It ended.
    Ended(Box<SyncEnd>),
}

/// Where the records are kept.
///
/// *Behaviour of all methods.* Several calls at once are allowed. Transport faults and 429, 500, 502,
/// 503, 504 are tried again inside, as `config.yml` says (`max_retries`, `retry_interval`); an `Err`
/// is what remains. After a write, a read sees it, and so does a listing. `seen` makes a write
/// conditional: another write in between is `Conflict`, and nothing is changed.
#[async_trait]
pub trait Records: Send + Sync {
    /// Creates the two indices if they are missing (service sheet §1 preflight).
    async fn prepare(&self) -> Result<(), RecordsError>;
    /// Lists connectors, by index name.
    async fn connectors(
        &self,
        filter: &ConnectorFilter,
    ) -> Result<Vec<Versioned<Connector>>, RecordsError>;
    /// One connector; `None` if there is none or it is deleted.
    async fn connector(&self, id: &str) -> Result<Option<Versioned<Connector>>, RecordsError>;
    /// Changes a connector. A missing record is `NotFound`.
    async fn change_connector(
        &self,
        id: &str,
        change: &ConnectorChange,
        seen: Option<Seen>,
    ) -> Result<(), RecordsError>;
    /// Lists sync jobs.
    async fn jobs(&self, filter: &JobFilter) -> Result<Vec<Versioned<SyncJob>>, RecordsError>;
    /// One sync job.
    async fn job(&self, id: &str) -> Result<Option<Versioned<SyncJob>>, RecordsError>;
    /// Makes a pending job of this connector as it is now; the answer is its id.
    async fn create_job(
        &self,
        connector: &Versioned<Connector>,
        job_type: JobType,
        trigger_method: TriggerMethod,
    ) -> Result<String, RecordsError>;
    /// Changes a sync job; the answer says which write of the record that was, if `seen` was given. A
    /// missing record is `NotFound`; a step that the state machine does not know is `Rejected`.
    async fn change_job(
        &self,
        id: &str,
        change: &JobChange,
        seen: Option<Seen>,
    ) -> Result<Option<Seen>, RecordsError>;
}

/// Why the records could not be read or written.
#[derive(Clone, Debug)]
pub struct RecordsError {
    /// What went wrong.
    pub kind: RecordsErrorKind,
    /// A sentence for the user: what, at which record and address, and the way out.
    pub message: String,
}

/// What went wrong with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordsErrorKind {
    /// No connection, no answer in time, 429, 5xx: may pass.
    Unavailable,
    /// 401.
    Unauthorised,
    /// 403: names the missing privilege and the index.
    Forbidden,
    /// There is no such record.
    NotFound,
    /// Somebody else changed it in between.
    Conflict,
    /// Anything that trying again will not change.
    Rejected,
}

impl RecordsError {
    /// Puts kind and sentence together.
    pub fn new(kind: RecordsErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }
}

impl fmt::Display for RecordsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for RecordsError {}
