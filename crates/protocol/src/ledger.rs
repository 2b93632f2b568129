//! The ledger: what became of single documents that are not, or no longer, in the index as the data
//! source has them (DESIGN §6). One record for each document, job and stage; never a value of a document.

use crate::{
    RecordError,
    properties::{Properties, Word},
    records::RecordsError,
    states::words,
    timestamp,
};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::{Map, Value};
use std::fmt;

words! {
    /// What became of a document.
    LedgerOutcome {
        /// It was not written: the index refused it, or it is too large.
        Failed = "failed",
        /// The data source could not read it, so it was not written.
        Skipped = "skipped",
        /// It was written without a part of it: a field, or the content of its file.
        Truncated = "truncated",
        /// It was written for nobody, because who may read it could not be read.
        Quarantined = "quarantined",
        /// It was deleted from the index, because it is gone from the data source.
        Deleted = "deleted",
        /// It was to be deleted, but somebody else has changed it since: it stays.
        Kept = "kept",
    }
}

words! {
    /// Where that happened.
    Stage {
        /// While the data source was read.
        Read = "read",
        /// By sync rules.
        Rules = "rules",
        /// While the content of its file was read.
        Content = "content",
        /// While it was written to the index.
        Index = "index",
        /// While what is gone was deleted.
        Delete = "delete",
    }
}

impl LedgerOutcome {
    /// What a person may want to put right: everything but deletions.
    pub const FAILURES: &'static [Self] = &[
        Self::Failed,
        Self::Skipped,
        Self::Truncated,
        Self::Quarantined,
    ];
    /// What became of documents that were gone.
    pub const DELETIONS: &'static [Self] = &[Self::Deleted, Self::Kept];
}

/// What became of one document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerRecord {
    /// Names the record: the same for the same job, document and stage, so that a record that is written
    /// again takes the place of the first.
    pub record: String,
    /// The connector.
    pub connector_id: String,
    /// The sync job that did it.
    pub job_id: String,
    /// The index.
    pub index_name: String,
    /// The `_id` of the document.
    pub document_id: String,
    /// What became of it.
    pub outcome: LedgerOutcome,
    /// Where that happened.
    pub stage: Stage,
    /// Why; a sentence for the user.
    pub reason: String,
    /// The host of the service that did it.
    pub worker_hostname: String,
    /// When.
    pub created_at: DateTime<Utc>,
}

impl LedgerRecord {
    /// As it is kept.
    pub fn to_source(&self) -> Map<String, Value> {
        let mut source = Map::new();
        let mut put = |key: &str, value: &str| source.insert(key.into(), value.into());
        put("record", &self.record);
        put("connector_id", &self.connector_id);
        put("job_id", &self.job_id);
        put("index_name", &self.index_name);
        put("document_id", &self.document_id);
        put("outcome", self.outcome.as_str());
        put("stage", self.stage.as_str());
        put("reason", &self.reason);
        put("worker_hostname", &self.worker_hostname);
        put("created_at", &timestamp::to_text(self.created_at));
        source
    }

    /// Reads what is kept.
    ///
    /// # Errors
    /// It lacks what every record has, or has something else in its place.
    pub fn from_source(id: &str, source: &Map<String, Value>) -> Result<Self, RecordError> {
        let record = Properties::new("record of the ledger", id, source);
        let missing = |key: &str| record.error(key, "is missing");
        let text = |key: &str| record.text(key)?.ok_or_else(|| missing(key));
        Ok(Self {
            record: text("record")?,
            connector_id: text("connector_id")?,
            job_id: text("job_id")?,
            index_name: text("index_name")?,
            document_id: text("document_id")?,
            outcome: record.word("outcome")?.ok_or_else(|| missing("outcome"))?,
            stage: record.word("stage")?.ok_or_else(|| missing("stage"))?,
            reason: record.text("reason")?.unwrap_or_default(),
            worker_hostname: record.text("worker_hostname")?.unwrap_or_default(),
            created_at: record
                .time("created_at")?
                .ok_or_else(|| missing("created_at"))?,
        })
    }
}

/// Which records to list.
#[derive(Clone, Debug, Default)]
pub struct LedgerFilter {
    /// Only of this connector.
    pub connector_id: Option<String>,
    /// Only of this job.
    pub job_id: Option<String>,
    /// Only of this document.
    pub document_id: Option<String>,
    /// Only these, if any are given.
    pub outcomes: Vec<LedgerOutcome>,
    /// At most so many.
    pub limit: usize,
}

impl LedgerFilter {
    /// Whether a record is one of these, whatever the limit.
    pub fn accepts(&self, record: &LedgerRecord) -> bool {
        let is = |wanted: &Option<String>, value: &str| {
            wanted.as_deref().is_none_or(|wanted| wanted == value)
        };
        is(&self.connector_id, &record.connector_id)
            && is(&self.job_id, &record.job_id)
            && is(&self.document_id, &record.document_id)
            && (self.outcomes.is_empty() || self.outcomes.contains(&record.outcome))
    }
}

/// Where the ledger is kept.
///
/// *Behaviour of all methods.* Several calls at once are allowed. Faults that may pass are tried again
/// inside; an `Err` is what remains.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// Keeps records. Once it has returned, they outlive the process. Of two with the same
    /// [`record`](LedgerRecord::record), the later counts.
    async fn append(&self, records: &[LedgerRecord]) -> Result<(), RecordsError>;

    /// Lists records, the newest first. Sees every record that was kept before the call.
    async fn list(&self, filter: &LedgerFilter) -> Result<Vec<LedgerRecord>, RecordsError>;

    /// Removes records that are older than that; the answer says how many.
    async fn remove_before(&self, time: DateTime<Utc>) -> Result<u64, RecordsError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_reads_as_it_was_written() {
        for (outcome, stage) in LedgerOutcome::ALL.iter().zip(Stage::ALL.iter().cycle()) {
            let record = LedgerRecord {
                record: "r".into(),
                connector_id: "c".into(),
                job_id: "j".into(),
                index_name: "i".into(),
                document_id: "d\u{1}\"".into(),
                outcome: *outcome,
                stage: *stage,
                reason: "why".into(),
                worker_hostname: "host".into(),
                created_at: DateTime::from_timestamp_micros(1_700_000_000_123_456).unwrap(),
            };
            let mut source = record.to_source();
            assert_eq!(LedgerRecord::from_source("r", &source).unwrap(), record);
            source.remove("outcome");
            let error = LedgerRecord::from_source("r", &source).unwrap_err();
            assert!(error.to_string().contains("outcome"), "{error}");
        }
    }

    #[test]
    fn each_outcome_is_a_failure_or_a_deletion() {
        for outcome in LedgerOutcome::ALL {
            let lists = [LedgerOutcome::FAILURES, LedgerOutcome::DELETIONS];
            let found = lists.iter().filter(|list| list.contains(outcome));
            assert_eq!(found.count(), 1, "{outcome}");
        }
    }
}
