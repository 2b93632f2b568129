//! What a person asked of one sync job beyond its type: `metadata.tributary.request`. A service that does
//! not know these words does an ordinary sync.

use crate::SyncJob;
use serde_json::{Map, Value, json};

/// The key of `metadata` under which all of ours stands.
pub const METADATA_KEY: &str = "tributary";
const REQUEST: &str = "request";
const FORCE: &str = "force";
const ALLOW_DELETES: &str = "allow_deletes";
const REPLAY: &str = "replay";

/// What is asked of a job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobRequest {
    /// Send all documents, whatever is known of the index.
    pub force: bool,
    /// Delete what is gone, however much that is.
    pub allow_deletes: bool,
    /// Only the documents that this job has failures of, if the data source can read them one by one.
    pub replay: Option<String>,
}

impl JobRequest {
    /// What was asked of a job. Values that cannot be meant count as not asked for.
    pub fn of(job: &SyncJob) -> Self {
        let ours = job.metadata.get(METADATA_KEY);
        let request = ours.and_then(|ours| ours.get(REQUEST));
        let is_set = |key: &str| request.and_then(|request| request.get(key)) == Some(&json!(true));
        let replay = request.and_then(|request| request.get(REPLAY)?.as_str());
        Self {
            force: is_set(FORCE),
            allow_deletes: is_set(ALLOW_DELETES),
            replay: replay.map(str::to_owned),
        }
    }

    /// For the `metadata` of a new job; empty if nothing is asked.
    pub fn to_metadata(&self) -> Map<String, Value> {
        let mut request = Map::new();
        if self.force {
            request.insert(FORCE.into(), true.into());
        }
        if self.allow_deletes {
            request.insert(ALLOW_DELETES.into(), true.into());
        }
        if let Some(job) = &self.replay {
            request.insert(REPLAY.into(), job.clone().into());
        }
        if request.is_empty() {
            return request;
        }
        Map::from_iter([(METADATA_KEY.to_owned(), json!({REQUEST: request}))])
    }
}
