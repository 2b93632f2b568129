//! Whether an index is still as we left it.
//!
//! A token is taken after the last acknowledgement and a refresh, and compared at the next start. Its
//! parts are those of which experience showed that no single one is enough (DESIGN §5, [E]): after a
//! snapshot was restored over an index plus one write, uuid and sequence numbers were equal and the
//! content was not, and only `history_uuid` told. The primary term stays out: a restart moves it.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One primary shard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardToken {
    /// Changes when a shard gets another history: a restored snapshot, a forced allocation.
    pub history_uuid: String,
    /// The highest sequence number given out; −1 if none.
    pub max_seq_no: i64,
}

/// What an index looked like at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// Of the index that the configured name stands for.
    pub index_uuid: String,
    /// The primary shards by number.
    pub shards: BTreeMap<u32, ShardToken>,
    /// Documents.
    pub count: u64,
    /// A hash of the mapping.
    pub mapping: String,
    /// A hash of the settings that act on documents (default pipeline, final pipeline, analysis…).
    pub settings: String,
    /// The name of the ingest pipeline and a hash of its content; `None` if it could not be read.
    pub pipeline: Option<(String, String)>,
    /// The version of the server.
    pub server_version: String,
}

/// How far what is remembered can be trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// The index is as we left it: what is unchanged need not be sent, and nothing has to be listed.
    Current,
    /// Somebody wrote; nothing else changed. Rows count where the index has the very same version.
    Reconcile,
    /// Nothing is known. Says why, for people.
    None(String),
}

impl Token {
    /// Whether what is there now can be the same index after some writes: they may have added fields to the
    /// mapping, and nothing else.
    pub fn is_followed_by(&self, now: &Self) -> bool {
        let now = Self {
            mapping: self.mapping.clone(),
            ..now.clone()
        };
        !matches!(self.compare(&now), Trust::None(_))
    }

    /// Compares what was noted with what is there now.
    pub fn compare(&self, now: &Self) -> Trust {
        let no = |why: &str| Trust::None(why.to_owned());
        if self.index_uuid != now.index_uuid {
            return no("the index was made anew, or its name stands for another one");
        }
        if self.pipeline.is_none() || now.pipeline.is_none() {
            return no("the ingest pipeline cannot be read with these privileges (read_pipeline)");
        }
        if self.pipeline != now.pipeline {
            return no("the ingest pipeline is another one");
        }
        if self.mapping != now.mapping {
            return no("the mapping of the index changed");
        }
        if self.settings != now.settings {
            return no("settings of the index that act on documents changed");
        }
        if self.server_version != now.server_version {
            return no("the server has another version");
        }
        if self.shards.is_empty() || !self.shards.keys().eq(now.shards.keys()) {
            return no("the index has other shards");
        }
        let mut is_written = false;
        for (before, after) in self.shards.values().zip(now.shards.values()) {
            if before.history_uuid != after.history_uuid {
                return no("the index has another history: it was restored or repaired");
            }
            if after.max_seq_no < before.max_seq_no {
                return no("the index lost writes");
            }
            is_written |= after.max_seq_no > before.max_seq_no;
        }
        match (is_written, self.count == now.count) {
            (false, true) => Trust::Current,
            (false, false) => no("the number of documents changed though nothing was written"),
            (true, _) => Trust::Reconcile,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> Token {
        let shard = |number: u32| {
            let shard = ShardToken {
                history_uuid: format!("h{number}"),
                max_seq_no: 10,
            };
            (number, shard)
        };
        Token {
            index_uuid: "u".into(),
            shards: [shard(0), shard(1)].into(),
            count: 5,
            mapping: "m".into(),
            settings: "s".into(),
            pipeline: Some(("p".into(), "x".into())),
            server_version: "9.4.3".into(),
        }
    }

    fn after(change: impl FnOnce(&mut Token)) -> Trust {
        let mut now = token();
        change(&mut now);
        token().compare(&now)
    }

    #[test]
    fn only_an_index_that_is_equal_in_everything_is_current() {
        assert_eq!(after(|_| {}), Trust::Current);
        let wrote = |now: &mut Token| {
            if let Some(shard) = now.shards.get_mut(&1) {
                shard.max_seq_no += 1;
            }
        };
        assert_eq!(after(wrote), Trust::Reconcile);
        assert_eq!(
            after(|now| {
                wrote(now);
                now.count = 6;
            }),
            Trust::Reconcile
        );
        let changes: [fn(&mut Token); 12] = [
            |now| now.index_uuid = "v".into(),
            |now| now.mapping = "n".into(),
            |now| now.settings = "t".into(),
            |now| now.pipeline = None,
            |now| now.pipeline = Some(("q".into(), "x".into())),
            |now| now.pipeline = Some(("p".into(), "y".into())),
            |now| now.server_version = "9.5.0".into(),
            |now| now.count = 4,
            |now| now.shards.clear(),
            |now| drop(now.shards.remove(&0)),
            |now| {
                now.shards
                    .values_mut()
                    .for_each(|shard| shard.history_uuid = "o".into())
            },
            |now| {
                now.shards
                    .values_mut()
                    .for_each(|shard| shard.max_seq_no = 9)
            },
        ];
        for (number, change) in changes.into_iter().enumerate() {
            assert!(matches!(after(change), Trust::None(_)), "change {number}");
        }
    }

    #[test]
    fn writes_of_a_run_make_no_other_index() {
        let mut now = token();
        now.mapping = "more fields".into();
        now.count = 9;
        now.shards
            .values_mut()
            .for_each(|shard| shard.max_seq_no += 3);
        assert!(token().is_followed_by(&now));
        let changes: [fn(&mut Token); 3] = [
            |now| now.index_uuid = "v".into(),
            |now| now.pipeline = Some(("p".into(), "y".into())),
            |now| now.settings = "t".into(),
        ];
        for change in changes {
            let mut other = now.clone();
            change(&mut other);
            assert!(!token().is_followed_by(&other));
        }
    }

    #[test]
    fn a_pipeline_that_could_not_be_read_then_is_not_trusted_now() {
        let mut before = token();
        before.pipeline = None;
        assert!(matches!(before.compare(&token()), Trust::None(_)));
        assert!(matches!(before.compare(&before), Trust::None(_)));
    }
}
