//! What a job needs, what it is allowed, and what it says at the end.

use crate::{
    clock::{Clock, Files},
    target::Target,
};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::{fmt, sync::Arc, time::Duration};
use tributary_protocol::ledger::{LedgerOutcome, Stage};
use tributary_sdk::{DocId, ErrorKind, Run, Scope, Source, StopSignal, rules::RuleSet};
use tributary_state::Folder;

/// All that one job needs. The job was claimed before, and its end is written after, by the service.
pub struct Job {
    /// The id of the job: one that was interrupted goes on under the same.
    pub id: String,
    /// The configured source.
    pub source: Arc<dyn Source>,
    /// What the session is opened for.
    pub run: Run,
    /// Basic sync rules, checked.
    pub rules: RuleSet,
    /// The index.
    pub target: Arc<dyn Target>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Scratch files, private to this job.
    pub files: Arc<dyn Files>,
    /// What is remembered of this index from run to run. Nobody else may use it meanwhile.
    pub folder: Arc<dyn Folder>,
    /// What the data source is read with, its configuration and rules, in a text of the service's own:
    /// cursors are worth nothing with another one.
    pub origin: String,
    /// Who hears of the progress.
    pub reporter: Arc<dyn Reporter>,
    /// Who keeps what became of single documents.
    pub recorder: Arc<dyn Recorder>,
    /// Comes when the job is canceled or suspended, or has lost its record. The service knows which.
    pub stop: StopSignal,
    /// Sizes and limits.
    pub settings: Settings,
}

/// Who hears of the progress of a job.
#[async_trait]
pub trait Reporter: Send + Sync {
    /// Tells how far the job is.
    ///
    /// *Behaviour.* Called every 10 seconds of the job, never twice at once, and dropped when the job
    /// ends. A failure to tell is the reporter's own matter; the next call comes all the same.
    async fn report(&self, counters: &Counters);
}

/// Who keeps what became of single documents.
#[async_trait]
pub trait Recorder: Send + Sync {
    /// Keeps entries.
    ///
    /// *Behaviour.* At most 1,000 at once, never called twice at once. When it returns they outlive the
    /// process. The same document may be told of again, by the same job and stage: the later entry
    /// counts. Documents are told of before they are deleted; without a record of it none is.
    ///
    /// # Errors
    /// Why they could not be kept; a sentence for the user.
    async fn record(&self, entries: &[LedgerEntry]) -> Result<(), String>;
}

/// Sizes and limits of a job.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The pool for documents, in bytes.
    pub document_pool: usize,
    /// The pool for the content of files, in bytes of base64 text.
    pub content_pool: usize,
    /// Entries in one bulk request (index and update = 2, delete = 1); `None` = automatic.
    pub chunk_entries: Option<usize>,
    /// Bytes in one bulk request; `None` = automatic.
    pub chunk_bytes: Option<usize>,
    /// Bulk requests at once; `None` = automatic.
    pub max_concurrency: Option<usize>,
    /// Files read at once.
    pub concurrent_downloads: usize,
    /// The largest file that is read, in bytes; a file of exactly this size is read.
    pub max_file_size: u64,
    /// The largest document without file, in bytes of its text; 0 = no limit.
    pub max_text_size: usize,
    /// Written into every document of a content index; `None` for identities.
    pub flags: Option<PipelineFlags>,
    /// When failing documents fail the job.
    pub error_monitor: ErrorMonitor,
    /// When a mass deletion stops the job.
    pub brake: Brake,
    /// How long the index may be out of reach before the job gives up.
    pub patience: Duration,
    /// Ids remembered in memory before scratch files are used.
    pub ids_in_memory: usize,
    /// Send all documents, whatever is remembered.
    pub force: bool,
    /// If there are any: only these documents are read again, where the source can do that; a full sync
    /// otherwise. For full syncs.
    pub replay: Vec<DocId>,
    /// What the keys of this job's hashes are made from. `None`: chance, so that nobody can choose ids or
    /// documents that collide; a simulation gives a number, so that a run can be repeated exactly.
    pub key: Option<u128>,
}

/// Of the memory of a job, one part in so many is for each of the two pools; the rest is for ids, pages
/// of listings, requests and answers.
const POOL_SHARE: usize = 4;
/// The same for ids that are remembered.
const IDS_SHARE: usize = 8;
/// What a remembered id takes, in bytes, where ids move between units.
const ID_BYTES: usize = 24;
/// No pool is smaller than this.
const LEAST_POOL: usize = 1 << 20;

impl Settings {
    /// The least memory that a job can do with, in bytes.
    pub const LEAST_MEMORY: usize = 8 << 20;

    /// The same, but such that the whole job takes no more memory than `bytes`. (A single document or file
    /// that is larger than its pool runs alone, and takes what it takes.)
    #[must_use]
    pub fn within(self, bytes: usize) -> Self {
        let pool = (bytes / POOL_SHARE).max(LEAST_POOL);
        let ids = bytes / IDS_SHARE / ID_BYTES;
        Self {
            document_pool: self.document_pool.min(pool),
            content_pool: self.content_pool.min(pool),
            ids_in_memory: self.ids_in_memory.min(ids),
            ..self
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            document_pool: 12 << 20,
            content_pool: 32 << 20,
            chunk_entries: None,
            chunk_bytes: None,
            max_concurrency: None,
            concurrent_downloads: 10,
            max_file_size: 10 << 20,
            max_text_size: 3 << 20,
            flags: Some(PipelineFlags::default()),
            error_monitor: ErrorMonitor::default(),
            brake: Brake::default(),
            patience: Duration::from_secs(15 * 60),
            ids_in_memory: 512 * 1024,
            force: false,
            replay: Vec::new(),
            key: None,
        }
    }
}

/// The switches of the ingest pipeline that travel in every content document (service sheet §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PipelineFlags {
    /// `_extract_binary_content`; also: whether the bytes of files are read at all.
    pub extract_binary_content: bool,
    /// `_reduce_whitespace`.
    pub reduce_whitespace: bool,
    /// `_run_ml_inference`.
    pub run_ml_inference: bool,
}

impl Default for PipelineFlags {
    fn default() -> Self {
        Self {
            extract_binary_content: true,
            reduce_whitespace: true,
            run_ml_inference: true,
        }
    }
}

/// `elasticsearch.bulk.error_monitor` (service sheet §§2, 5). Only deterministic rejections count in
/// the rate, and only after 1,000 results (DESIGN §4).
#[derive(Clone, Debug)]
pub struct ErrorMonitor {
    /// Whether failing documents can fail the job at all.
    pub enabled: bool,
    /// More than this many failed documents fail the job.
    pub max_total_errors: u64,
    /// More than this many failed documents in a row fail the job.
    pub max_consecutive_errors: u64,
    /// A larger part of the results of a window than this fails the job; 0 to 1.
    pub max_error_rate: f64,
    /// The results of a window.
    pub error_window_size: usize,
}

impl Default for ErrorMonitor {
    fn default() -> Self {
        Self {
            enabled: true,
            max_total_errors: 1000,
            max_consecutive_errors: 10,
            max_error_rate: 0.15,
            error_window_size: 100,
        }
    }
}

/// When a full sync that would delete much stops instead (DESIGN §4).
#[derive(Clone, Debug, Default)]
pub struct Brake {
    /// The highest number of documents the index had lately, if that is known; the number before the
    /// deletions counts otherwise.
    pub highest_count: Option<u64>,
    /// Deletes all the same: somebody allowed it, or rules or configuration changed since the last
    /// good run.
    pub released: bool,
}

/// Distinct documents of the run, and what became of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counters {
    /// Documents the source emitted.
    pub extracted: u64,
    /// Kept out by basic sync rules.
    pub filtered: u64,
    /// Written, whole or in part: the `indexed_document_count` of the job.
    pub indexed: u64,
    /// Not written, because the index has them as they are.
    pub unchanged: u64,
    /// Of those that were written, new in the index.
    pub created: u64,
    /// Bytes of their texts: the `indexed_document_volume` of the job is this in MiB.
    pub indexed_bytes: u64,
    /// Deleted.
    pub deleted: u64,
    /// Missing from the source, but kept: the source could not tell, or says that they exist.
    pub kept: u64,
    /// Missing from the source, but changed by somebody else since: not deleted.
    pub bounced: u64,
    /// Refused by the index.
    pub failed: u64,
    /// The source said that they cannot be indexed.
    pub skipped: u64,
    /// Larger than `max_text_size`: not written.
    pub too_large: u64,
    /// Written without a field that the index refused.
    pub without_field: u64,
    /// Files whose content was read.
    pub downloads: u64,
    /// Written without content, because the file could not be read.
    pub without_content: u64,
    /// Files not read, because they are too large.
    pub content_too_large: u64,
    /// Emitted again by the same or another unit.
    pub duplicates: u64,
    /// Written with the hash of an id of more than 512 bytes.
    pub hashed_ids: u64,
    /// Written for nobody, because who may read them could not be read.
    pub unreadable_access: u64,
    /// Items sent again after 429 or 5xx.
    pub retried: u64,
    /// Bulk requests.
    pub requests: u64,
}

/// Something that was not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// What was not read.
    pub scope: Scope,
    /// The kind of the error.
    pub kind: ErrorKind,
    /// Its text.
    pub why: String,
}

/// What became of one document that was not written as the source has it, or is deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerEntry {
    /// Its `_id`.
    pub id: DocId,
    /// What became of it.
    pub outcome: LedgerOutcome,
    /// Where.
    pub stage: Stage,
    /// Why; at most some kilobytes.
    pub reason: String,
    /// When.
    pub at: DateTime<Utc>,
}

/// How a job ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All was read.
    Completed,
    /// All that may be read was read; a person should know the rest.
    Warning(String),
    /// Something could not be read or written this time. All work is kept.
    Failed(String),
    /// The stop signal came.
    Stopped,
}

/// What a job says at the end.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// How it ended.
    pub verdict: Verdict,
    /// What it did.
    pub counters: Counters,
    /// What was not read; the first 100 of them.
    pub gaps: Vec<Gap>,
    /// How many gaps there were.
    pub gap_count: u64,
    /// Documents that were not written as the source has them; the first 100 of them.
    pub oddities: Vec<LedgerEntry>,
    /// Documents in the index at the end, if it could be asked.
    pub total_documents: Option<u64>,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Completed => f.write_str("completed"),
            Self::Warning(text) => write!(f, "completed with a warning: {text}"),
            Self::Failed(text) => write!(f, "failed: {text}"),
            Self::Stopped => f.write_str("stopped"),
        }
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job")
            .field("run", &self.run)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
