//! The changes that a service makes to records: one function for each, which gives the `doc` of an
//! `_update` request. Sections are those of the protocol's service description: 3 the loops, 4 a job.
//!
//! **Merging.** Elasticsearch merges objects of a `doc` into what is stored, property by property:
//! leaving a property out does not remove it. Lists are replaced whole. Where an object must be replaced,
//! see [`replacing`].
//!
//! **Concurrency.** Changes that another instance must not make at the same time are sent with
//! `if_seq_no` and `if_primary_term` of the record as it was read: all of the section on preparing,
//! [`sync_scheduled`], [`sync_started`], [`job_claimed`], [`filtering_validated`].
//!
//! **What cannot be stored is cut.** An error text is kept to 8 KiB (a keyword over 32,766 bytes is
//! refused), a job's counters to 2,147,483,647 (their mapping is `integer`): the end of a job must reach
//! its record whatever it says.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use crate::{
    ConnectorStatus, Features, Filtering, IllegalTransition, JobStatus, JobType,
    filtering::FilteringValidation, sync_job::JobCounters, timestamp,
};

/// The `doc` of an `_update` request.
pub type Partial = Map<String, Value>;

/// An error text is cut to so many bytes.
const ERROR_LIMIT: usize = 8 << 10;

macro_rules! partial {
    ($($key:literal: $value:expr),* $(,)?) => {{
        let mut partial = Map::new();
        $(partial.insert($key.to_owned(), Value::from($value));)*
        partial
    }};
}

/// Section 3, heartbeat: the service that handles the connector is alive.
pub fn heartbeat(now: DateTime<Utc>) -> Partial {
    partial! {"last_seen": timestamp::to_text(now)}
}

/// Section 3, prepare: a connector without a configuration gets the one of its source, and waits for
/// values.
pub fn default_configuration(configuration: Map<String, Value>) -> Partial {
    partial! {
        "configuration": configuration,
        "status": ConnectorStatus::NeedsConfiguration.as_str(),
    }
}

/// Section 3, prepare: a configuration that lacked fields or properties, see
/// [`crate::configuration::repaired`]. The status stays.
pub fn repaired_configuration(configuration: Map<String, Value>) -> Partial {
    partial! {"configuration": configuration}
}

/// Section 3, prepare: the service type that `config.yml` gives to a connector without one.
pub fn service_type(service_type: &str) -> Partial {
    partial! {"service_type": service_type}
}

/// Section 3, prepare: what the source can do.
pub fn features(features: &Features) -> Partial {
    partial! {"features": features.as_map().clone()}
}

/// Section 3, schedule: the data source was reached.
pub fn connected() -> Partial {
    partial! {"status": ConnectorStatus::Connected.as_str(), "error": Value::Null}
}

/// Section 3, schedule: the connector cannot work, and why.
pub fn connector_error(error: &str) -> Partial {
    partial! {"status": ConnectorStatus::Error.as_str(), "error": shortened(error)}
}

/// Section 3, schedule, and section 7: the result of the check of a draft. A valid draft becomes the
/// active set at once.
pub fn filtering_validated(filtering: &Filtering, validation: &FilteringValidation) -> Partial {
    partial! {"filtering": filtering.validated(validation)}
}

/// Section 3, due: a job of this type is made by schedule. Sent before the job is made; `now` is the time
/// that was given to [`crate::schedule::due`].
pub fn sync_scheduled(job_type: JobType, now: DateTime<Utc>) -> Partial {
    let now = timestamp::to_text(now);
    match job_type {
        JobType::Full => partial! {"last_sync_scheduled_at": now},
        JobType::Incremental => partial! {"last_incremental_sync_scheduled_at": now},
        JobType::AccessControl => partial! {"last_access_control_sync_scheduled_at": now},
    }
}

/// Section 4, step 1: the connector begins a sync.
pub fn sync_started(job_type: JobType) -> Partial {
    let mut partial = connected();
    partial.extend(last_sync(job_type, JobStatus::InProgress, None));
    partial
}

/// Section 4, step 2: this instance takes the job. An incremental one takes the connector's cursor
/// along; `stored_cursor` is what the job record holds already, from before it was suspended. `metadata`
/// is merged into the job's.
pub fn job_claimed(
    worker_hostname: &str,
    sync_cursor: Option<&Value>,
    stored_cursor: Option<&Value>,
    metadata: Option<&Map<String, Value>>,
    now: DateTime<Utc>,
) -> Partial {
    let now = timestamp::to_text(now);
    let mut partial = partial! {
        "status": JobStatus::InProgress.as_str(),
        "started_at": now.clone(),
        "last_seen": now,
        "worker_hostname": worker_hostname,
    };
    if let Some(cursor) = sync_cursor {
        let connector = partial! {"sync_cursor": replacing(stored_cursor, cursor)};
        partial.insert("connector".into(), connector.into());
    }
    if let Some(metadata) = metadata {
        partial.insert("metadata".into(), metadata.clone().into());
    }
    partial
}

/// Section 4, step 5: the service that runs the job is alive.
pub fn job_heartbeat(now: DateTime<Utc>) -> Partial {
    heartbeat(now)
}

/// Section 4, step 5: what the job has done so far, and `metadata` to be merged into the job's.
pub fn job_stats(
    counters: JobCounters,
    metadata: Option<&Map<String, Value>>,
    now: DateTime<Utc>,
) -> Partial {
    let mut partial = job_heartbeat(now);
    add_counters(&mut partial, counters);
    if let Some(metadata) = metadata {
        partial.insert("metadata".into(), metadata.clone().into());
    }
    partial
}

/// A user's wish to stop a job: a waiting one is stopped at once, a running one is asked to stop.
pub fn cancel_requested(
    status: JobStatus,
    now: DateTime<Utc>,
) -> Result<Partial, IllegalTransition> {
    let now = timestamp::to_text(now);
    if status.is_waiting() {
        return Ok(partial! {
            "status": JobStatus::Canceled.as_str(),
            "cancelation_requested_at": now.clone(),
            "canceled_at": now.clone(),
            "completed_at": now,
        });
    }
    Ok(partial! {
        "status": status.transition(JobStatus::Canceling)?.as_str(),
        "cancelation_requested_at": now,
    })
}

/// What is known at the end of a job.
#[derive(Clone, Copy, Debug, Default)]
pub struct JobEnd<'a> {
    /// What the job did; `None` when nobody can say, as after the loss of its service.
    pub counters: Option<JobCounters>,
    /// Documents in the index now.
    pub total_document_count: Option<u64>,
    /// To be merged into the job's metadata.
    pub metadata: Option<&'a Map<String, Value>>,
}

/// Section 4, step 6: the job ended well.
pub fn job_completed(end: JobEnd<'_>, now: DateTime<Utc>) -> Partial {
    job_ended(JobStatus::Completed, None, end, now)
}

/// Section 4, step 6: the job failed. `error` has the form `Class: text`.
pub fn job_failed(error: &str, end: JobEnd<'_>, now: DateTime<Utc>) -> Partial {
    job_ended(JobStatus::Error, Some(error), end, now)
}

/// Section 4, step 6: the job was stopped on a user's request.
pub fn job_canceled(end: JobEnd<'_>, now: DateTime<Utc>) -> Partial {
    job_ended(JobStatus::Canceled, None, end, now)
}

/// Section 4, step 6: the job was interrupted and goes on later.
pub fn job_suspended(end: JobEnd<'_>, now: DateTime<Utc>) -> Partial {
    job_ended(JobStatus::Suspended, None, end, now)
}

fn job_ended(
    status: JobStatus,
    error: Option<&str>,
    end: JobEnd<'_>,
    now: DateTime<Utc>,
) -> Partial {
    let now_text = timestamp::to_text(now);
    let mut partial = partial! {
        "status": status.as_str(),
        "error": error.map(shortened),
        "last_seen": now_text.clone(),
    };
    if status == JobStatus::Canceled {
        partial.insert("canceled_at".into(), now_text.clone().into());
    }
    if status.is_final() {
        partial.insert("completed_at".into(), now_text.into());
    }
    if let Some(counters) = end.counters {
        add_counters(&mut partial, counters);
    }
    if let Some(total) = end.total_document_count {
        partial.insert("total_document_count".into(), integer(total).into());
    }
    if let Some(metadata) = end.metadata {
        partial.insert("metadata".into(), metadata.clone().into());
    }
    partial
}

/// What a connector learns from the end of a job.
#[derive(Clone, Copy, Debug)]
pub struct SyncEnd<'a> {
    /// What the job was to do.
    pub job_type: JobType,
    /// How it ended: a final state, or suspended.
    pub status: JobStatus,
    /// Why it failed.
    pub error: Option<&'a str>,
    /// What it did; only a content job's are the connector's.
    pub counters: Option<JobCounters>,
    /// The source's new cursor; written only when a content job completed.
    pub sync_cursor: Option<&'a Value>,
    /// The cursor that the connector's record holds.
    pub stored_cursor: Option<&'a Value>,
}

/// Section 4, step 6: the connector after a job. It is in error when the job failed, else connected.
pub fn sync_ended(end: SyncEnd<'_>, now: DateTime<Utc>) -> Partial {
    let failed = end.status == JobStatus::Error;
    let mut partial = match failed {
        true => connector_error(end.error.unwrap_or("The sync failed.")),
        false => connected(),
    };
    let now = timestamp::to_text(now);
    partial.insert("last_seen".into(), now.clone().into());
    partial.insert("last_synced".into(), now.into());
    let error = partial
        .get("error")
        .and_then(Value::as_str)
        .map(str::to_owned);
    partial.extend(last_sync(end.job_type, end.status, error.as_deref()));
    if !end.job_type.is_content() {
        return partial;
    }
    if let Some(counters) = end.counters {
        partial.insert(
            "last_deleted_document_count".into(),
            counters.deleted_document_count.into(),
        );
        partial.insert(
            "last_indexed_document_count".into(),
            counters.indexed_document_count.into(),
        );
    }
    if let (JobStatus::Completed, Some(cursor)) = (end.status, end.sync_cursor) {
        partial.insert("sync_cursor".into(), replacing(end.stored_cursor, cursor));
    }
    partial
}

/// `new` in the form in which merging it over `stored` leaves nothing of `stored` behind: what only
/// `stored` has is set to null.
///
/// Without this, a cursor that starts anew as `{}` would leave the old one in place.
pub fn replacing(stored: Option<&Value>, new: &Value) -> Value {
    let (Some(Value::Object(stored)), Value::Object(new)) = (stored, new) else {
        return new.clone();
    };
    let mut replaced = Map::new();
    for (key, value) in new {
        replaced.insert(key.clone(), replacing(stored.get(key), value));
    }
    for (key, value) in stored {
        if !value.is_null() && !new.contains_key(key) {
            replaced.insert(key.clone(), Value::Null);
        }
    }
    replaced.into()
}

/// The state of the last sync: content and access control are apart.
fn last_sync(job_type: JobType, status: JobStatus, error: Option<&str>) -> Partial {
    match job_type.is_content() {
        true => partial! {"last_sync_status": status.as_str(), "last_sync_error": error},
        false => partial! {
            "last_access_control_sync_status": status.as_str(),
            "last_access_control_sync_error": error,
        },
    }
}

fn add_counters(partial: &mut Partial, counters: JobCounters) {
    partial.extend(partial! {
        "deleted_document_count": integer(counters.deleted_document_count),
        "indexed_document_count": integer(counters.indexed_document_count),
        "indexed_document_volume": integer(counters.indexed_document_volume),
    });
}

/// As large as the mapping of the sync-job index allows.
fn integer(count: u64) -> u64 {
    count.min(i32::MAX as u64)
}

fn shortened(error: &str) -> String {
    if error.len() <= ERROR_LIMIT {
        return error.to_owned();
    }
    let mark = " …";
    format!(
        "{}{mark}",
        &error[..error.floor_char_boundary(ERROR_LIMIT - mark.len())]
    )
}

#[cfg(test)]
mod tests;
