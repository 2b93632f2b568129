//! What the record of a job says about its lease: `metadata.tributary.lease`.

use serde_json::{Map, Value, json};
use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};
use tributary_protocol::{SyncJob, request::METADATA_KEY as KEY};

const LEASE: &str = "lease";

/// The mark in a record. All of it is empty in a record that none of our instances has touched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    /// Who works on the job now; `None` if no instance of ours does.
    pub(crate) nonce: Option<String>,
    /// Who wrote the last end, or took the job away from an instance that was silent.
    pub(crate) ended: Option<String>,
    /// The length of the lease, as its holder keeps it.
    pub(crate) length: Duration,
    /// Documents that the source has emitted since the claim.
    pub(crate) extracted: u64,
    /// The most documents that any earlier attempt had come to when its service fell silent.
    pub(crate) furthest: u64,
    /// How often in a row the service fell silent without having come further than that.
    pub(crate) takeovers: u64,
}

impl Mark {
    pub(crate) fn of(job: &SyncJob) -> Self {
        let lease = job.metadata.get(KEY).and_then(|ours| ours.get(LEASE));
        let text = |key: &str| Some(lease?.get(key)?.as_str()?.to_owned());
        let number = |key: &str| lease.and_then(|lease| lease.get(key)?.as_u64());
        Self {
            nonce: text("nonce"),
            ended: text("ended"),
            length: Duration::from_millis(number("milliseconds").unwrap_or(0)),
            extracted: number("extracted").unwrap_or(0),
            furthest: number("furthest").unwrap_or(0),
            takeovers: number("takeovers").unwrap_or(0),
        }
    }

    /// Whether the holder of this nonce has the job.
    pub(crate) fn is_of(&self, nonce: &str) -> bool {
        self.nonce.as_deref() == Some(nonce)
    }

    /// Whether the holder of this nonce wrote the end that is there.
    pub(crate) fn is_ended_by(&self, nonce: &str) -> bool {
        self.ended.as_deref() == Some(nonce)
    }

    /// For a claim.
    pub(crate) fn claimed(nonce: &str, length: Duration) -> Map<String, Value> {
        let milliseconds = u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
        metadata(json!({
            "nonce": nonce, "ended": null, "milliseconds": milliseconds, "extracted": 0,
        }))
    }

    /// For a heartbeat.
    pub(crate) fn beat(extracted: u64) -> Map<String, Value> {
        metadata(json!({"extracted": extracted}))
    }

    /// For the end of a job, into the other metadata of it. The nonce goes: a suspended job may be
    /// claimed by a service that knows of no leases.
    pub(crate) fn ended(nonce: &str, metadata: &mut Map<String, Value>) {
        let lease = json!({"nonce": null, "ended": nonce});
        let ours = metadata.entry(KEY).or_insert_with(|| json!({}));
        if let Some(ours) = ours.as_object_mut() {
            ours.insert(LEASE.into(), lease);
        }
    }

    /// For a job that is taken away from an instance that was silent.
    pub(crate) fn taken(nonce: &str, furthest: u64, takeovers: u64) -> Map<String, Value> {
        metadata(json!({
            "nonce": null, "ended": nonce, "furthest": furthest, "takeovers": takeovers,
        }))
    }
}

fn metadata(lease: Value) -> Map<String, Value> {
    Map::from_iter([(KEY.to_owned(), json!({LEASE: lease}))])
}

/// A word that nobody else has.
pub(crate) fn new_nonce() -> String {
    let half = || RandomState::new().hash_one(0);
    format!("{:016x}{:016x}", half(), half())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(metadata: &Value) -> SyncJob {
        let source = json!({"status": "in_progress", "metadata": metadata});
        SyncJob::from_source("j", source.as_object().unwrap()).unwrap()
    }

    #[test]
    fn reads_what_it_writes() {
        let claimed = Mark::claimed("n", Duration::from_millis(30_500)).into();
        let mark = Mark::of(&job(&claimed));
        assert!(mark.is_of("n") && !mark.is_of("m"));
        assert_eq!(mark.length, Duration::from_millis(30_500));

        let mut metadata = Map::from_iter([(KEY.to_owned(), json!({"counters": {"failed": 1}}))]);
        Mark::ended("n", &mut metadata);
        assert_eq!(metadata[KEY]["counters"]["failed"], 1);
        let mark = Mark::of(&job(&metadata.into()));
        assert!(mark.nonce.is_none() && mark.is_ended_by("n"));

        let mark = Mark::of(&job(&Mark::taken("n", 7, 2).into()));
        assert_eq!((mark.furthest, mark.takeovers), (7, 2));
        assert!(mark.nonce.is_none() && mark.is_ended_by("n"));
    }

    #[test]
    fn what_others_keep_there_is_no_mark() {
        for metadata in [
            json!({}),
            json!({"tributary": 1}),
            json!({"tributary": {"lease": []}}),
            json!({"tributary": {"lease": {"nonce": 7, "extracted": -1}}}),
        ] {
            assert_eq!(Mark::of(&job(&metadata)), Mark::default(), "{metadata}");
        }
    }

    #[test]
    fn nonces_differ() {
        let all: std::collections::HashSet<_> = (0..1000).map(|_| new_nonce()).collect();
        assert_eq!(all.len(), 1000);
        assert!(all.iter().all(|nonce| nonce.len() == 32));
    }
}
