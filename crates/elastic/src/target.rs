//! The index a job writes to.

mod place;
mod room;

use crate::{
    RequestError, RequestErrorKind, bulk,
    client::Client,
    path::{path, with},
    refusal,
    scan::IdScan,
    transport::Request,
};
use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{json, value::RawValue};
use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicBool, AtomicU64, Ordering},
};
use tributary_engine::{
    Answer, Operation, Scan, Stored, Target, TargetError, TargetErrorKind, Token, Version,
};
use tributary_sdk::DocId;

/// Who may read a document (DESIGN §3).
const ACCESS_FIELD: &str = "_allow_access_control";
/// Longer tokens are not in the keyword index, so they grant nothing. The largest number of characters
/// that always fits into a Lucene term of 32,766 bytes.
const LONGEST_TOKEN: u32 = 8191;
/// Documents of one answer that is too large are asked for in halves; a single one may have this size.
const LARGEST_DOCUMENT: usize = 256 << 20;
const LARGEST_GROUP: usize = 16 << 20;

/// An index on the server.
///
/// Requests are sent once: the engine decides what is tried again. (Only what OpenSearch refuses for a
/// neighbour's sake is sent again at once, in parts.) A request of which every operation was refused for
/// the same reason that has nothing to do with the documents (a block, a missing privilege, a missing
/// index or pipeline), or that the server will never have the memory for, is an `Err`. So is one after
/// which the name is found to stand for another index than at the beginning: `NotFound`. If that hits only some, for instance because
/// the block came in the middle, each gets its answer, and its [`kind`](tributary_engine::ItemError)
/// is `cluster_block_exception`, `security_exception` or `index_not_found_exception`.
pub struct ElasticTarget {
    client: Client,
    index: String,
    pipeline: Option<String>,
    bulk_path: String,
    /// Set by `prepare`. An alias must not come back as an index when somebody takes it away.
    is_alias: AtomicBool,
    /// Which index it was for `prepare`, if that could be asked.
    uuid: Mutex<Option<String>>,
    /// When it was last made sure that it still is, in milliseconds of the clock.
    looked_at: AtomicU64,
    findings: Mutex<Vec<String>>,
}

impl ElasticTarget {
    /// The index or alias of this name; documents pass the pipeline, if one is given.
    pub fn new(client: Client, index: impl Into<String>, pipeline: Option<String>) -> Self {
        let index = index.into();
        let mut bulk_path = path(&[&index, "_bulk"]);
        bulk_path = with(bulk_path, "filter_path", bulk::FILTER);
        if let Some(pipeline) = &pipeline {
            bulk_path = with(bulk_path, "pipeline", pipeline);
        }
        Self {
            client,
            index,
            pipeline,
            bulk_path,
            is_alias: AtomicBool::new(false),
            uuid: Mutex::default(),
            looked_at: AtomicU64::new(0),
            findings: Mutex::default(),
        }
    }

    /// The configured name.
    pub fn index(&self) -> &str {
        &self.index
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// The pipeline that documents pass, if one is given.
    pub(crate) fn pipeline(&self) -> Option<&str> {
        self.pipeline.as_deref()
    }

    fn error(&self, kind: TargetErrorKind, what: &str, why: &str) -> TargetError {
        TargetError::new(
            kind,
            format!("cannot {what} at {}: {why}", self.client.address()),
        )
    }

    /// Sends operations, once.
    async fn send_bulk(&self, operations: &[Operation]) -> Result<Vec<Answer>, TargetError> {
        let what = format!("write to the index {}", self.index);
        let at = if self.is_alias.load(Ordering::Relaxed) {
            with(self.bulk_path.clone(), "require_alias", "true")
        } else {
            self.bulk_path.clone()
        };
        let reply = match bulk::send(&self.client, &at, operations, &what).await {
            Ok(reply) => reply,
            Err(error) if error.is(RequestErrorKind::Interrupted) => {
                return Err(match self.client.body_limit().await {
                    Some(limit) if bulk::length(operations) > limit => self.error(
                        TargetErrorKind::TooLarge,
                        &what,
                        &format!("the request is larger than the {limit} bytes the server accepts"),
                    ),
                    _ => error.into(),
                });
            }
            Err(error) => {
                let memory = refusal::never_fits(&error.reason, bulk::length(operations));
                return Err(match memory {
                    Some((needed, limit)) => {
                        let why = refusal::too_much_memory(needed, limit);
                        self.error(TargetErrorKind::TooLarge, &what, &why)
                    }
                    None => error.into(),
                });
            }
        };
        let verdicts = bulk::read(&reply.body, operations, self.client.signed_by())
            .map_err(|why| self.error(TargetErrorKind::Unavailable, &what, &why))?;
        match verdicts.refused {
            None => match bulk::never_fits(&verdicts.answers, operations) {
                Some(why) => Err(self.error(TargetErrorKind::TooLarge, &what, &why)),
                None => Ok(verdicts.answers),
            },
            Some((status, refusal)) => {
                let words = refusal.in_words(status, self.client.signed_by());
                let error = RequestError::new(refusal.meaning(status), String::new());
                Err(self.error(TargetError::from(error).kind, &what, &words))
            }
        }
    }

    /// OpenSearch refuses every document of a request that has one which its pipeline cannot read, and
    /// does not say which. So the documents are sent in ever smaller parts until each has an answer of its
    /// own.
    async fn part_from_neighbours(
        &self,
        operations: &[Operation],
        answers: &mut [Answer],
    ) -> Result<(), TargetError> {
        // Other operations of the request may stand in between; they were carried out.
        let mut parts = bulk::unread(answers);
        if parts.iter().map(ExactSizeIterator::len).sum::<usize>() < 2 {
            return Ok(());
        }
        while let Some(part) = parts.pop() {
            let sent = self.send_bulk(&operations[part.clone()]).await?;
            answers[part.clone()].clone_from_slice(&sent);
            let still = bulk::unread(&sent);
            if part.len() > 1 && !still.is_empty() {
                let middle = part.start + part.len() / 2;
                parts.extend([part.start..middle, middle..part.end]);
            }
        }
        Ok(())
    }

    async fn map_access(&self) -> Result<(), TargetError> {
        let what = format!("map {ACCESS_FIELD} in the index {}", self.index);
        let at = path(&[&self.index, "_mapping"]);
        let at = with(
            at,
            "filter_path",
            &format!("*.mappings.properties.{ACCESS_FIELD}.type"),
        );
        let reply = self.client.send_once(&Request::get(at, &what)).await?;
        let mapped: serde_json::Value = self.parse(&reply.body, &what)?;
        let is_mapped = mapped.as_object().is_some_and(|indices| {
            indices
                .values()
                .any(|index| index["mappings"]["properties"].get(ACCESS_FIELD).is_some())
        });
        if is_mapped {
            return Ok(());
        }
        let body = json!({"properties": {ACCESS_FIELD: {
            "type": "text",
            "fields": {"keyword": {"type": "keyword", "ignore_above": LONGEST_TOKEN}},
        }}});
        let request = Request::put(path(&[&self.index, "_mapping"]), &what).json(&body);
        match self.client.send_once(&request).await {
            Ok(_) => Ok(()),
            Err(error) if error.reason.contains("Limit of total fields") => Err(self.error(
                TargetErrorKind::Rejected,
                &what,
                &format!(
                    "{}; without this field documents with permissions would be public, so raise \
                     index.mapping.total_fields.limit of the index",
                    error.reason
                ),
            )),
            Err(error) => Err(error.into()),
        }
    }

    fn parse<'a, T: Deserialize<'a>>(&self, body: &'a [u8], what: &str) -> Result<T, TargetError> {
        serde_json::from_slice(body).map_err(|error| {
            self.error(
                TargetErrorKind::Unavailable,
                what,
                &format!("the answer cannot be read: {error}"),
            )
        })
    }

    async fn refresh(&self, what: &str) -> Result<(), TargetError> {
        let request = Request::post(path(&[&self.index, "_refresh"]), what);
        let reply = self.client.send_once(&request).await?;
        let refreshed: Sharded = self.parse(&reply.body, what)?;
        self.complete(refreshed.shards, what)
    }

    /// A part of the index that did not answer makes an answer worthless.
    fn complete(&self, shards: Shards, what: &str) -> Result<(), TargetError> {
        if shards.failed == 0 {
            return Ok(());
        }
        Err(self.error(
            TargetErrorKind::Unavailable,
            what,
            &format!("{} shards of the index did not answer", shards.failed),
        ))
    }

    async fn stored_group(
        &self,
        ids: &[DocId],
        stored: &mut Vec<Option<Stored>>,
    ) -> Result<(), TargetError> {
        let what = format!("read documents of the index {}", self.index);
        let mut at = path(&[&self.index, "_mget"]);
        at = with(
            at,
            "filter_path",
            "docs._id,docs.found,docs._seq_no,docs._primary_term,docs._source,docs.error",
        );
        let names: Vec<_> = ids.iter().map(DocId::as_str).collect();
        let mut request = Request::post(at, &what).json(&json!({"ids": names}));
        request.largest_answer = if ids.len() == 1 {
            LARGEST_DOCUMENT
        } else {
            LARGEST_GROUP
        };
        let reply = match self.client.send_once(&request).await {
            Ok(reply) => reply,
            // The only good answer that is refused is one that is too large.
            Err(error) if is_oversized(&error) && ids.len() > 1 => {
                let (left, right) = ids.split_at(ids.len() / 2);
                Box::pin(self.stored_group(left, stored)).await?;
                return Box::pin(self.stored_group(right, stored)).await;
            }
            Err(error) => return Err(error.into()),
        };
        for document in self.found(&reply.body, ids.len(), &what)? {
            stored.push(
                match (document.found, document.version(), document.source) {
                    (true, Some(version), Some(source)) => Some(Stored {
                        version,
                        source: source.to_owned(),
                    }),
                    (true, ..) => {
                        return Err(self.error(
                            TargetErrorKind::Rejected,
                            &what,
                            "the index does not keep the source of documents (_source is disabled)",
                        ));
                    }
                    (false, ..) => None,
                },
            );
        }
        Ok(())
    }

    /// One answer for each document that was asked for.
    fn found<'a>(
        &self,
        body: &'a [u8],
        asked: usize,
        what: &str,
    ) -> Result<Vec<FoundDocument<'a>>, TargetError> {
        let found: Found<'_> = self.parse(body, what)?;
        if found.docs.len() != asked {
            let why = format!("{} answers for {asked} ids", found.docs.len());
            return Err(self.error(TargetErrorKind::Unavailable, what, &why));
        }
        for document in &found.docs {
            if let Some(error) = document.error {
                let error: serde_json::Value =
                    serde_json::from_str(error.get()).unwrap_or_default();
                let refusal = refusal::Refusal::of_error(&error);
                let kind = match refusal.kind == "index_not_found_exception" {
                    true => TargetErrorKind::NotFound,
                    false => TargetErrorKind::Unavailable,
                };
                return Err(self.error(kind, what, &refusal.reason));
            }
            if document.found && document.version().is_none() {
                let why = "the answer names no version";
                return Err(self.error(TargetErrorKind::Unavailable, what, why));
            }
        }
        Ok(found.docs)
    }
}

fn is_oversized(error: &RequestError) -> bool {
    error.is(RequestErrorKind::Rejected) && error.status.is_none()
}

#[async_trait]
impl Target for ElasticTarget {
    async fn prepare(&self, protected: bool) -> Result<(), TargetError> {
        self.resolve_or_create().await?;
        if protected {
            self.map_access().await?;
        }
        self.look_around().await
    }

    fn findings(&self) -> Vec<String> {
        let findings = self.findings.lock();
        findings.unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn bulk(&self, operations: &[Operation]) -> Result<Vec<Answer>, TargetError> {
        if operations.is_empty() {
            return Ok(Vec::new());
        }
        let mut answers = self.send_bulk(operations).await?;
        self.part_from_neighbours(operations, &mut answers).await?;
        let is_first = answers.iter().any(|answer| {
            let version = answer.version;
            version.is_some_and(|version| version.seq_no == 0)
        });
        self.look_again(is_first).await?;
        Ok(answers)
    }

    async fn scan(&self) -> Result<Box<dyn Scan>, TargetError> {
        let what = format!("list the ids of the index {}", self.index);
        // What the sync did not write to this very index would look as if the source had lost it.
        self.is_still_the_same().await?;
        self.refresh(&what).await?;
        let at = path(&[&self.index, "_settings", "index.number_of_shards"]);
        let at = with(at, "flat_settings", "true");
        // Only for speed: where it may not be asked, one slice does.
        let shards = match self.client.send_once(&Request::get(at, &what)).await {
            Ok(reply) => shards_of(&reply.body),
            Err(_) => 1,
        };
        let scan = IdScan::open(self.client.clone(), &self.index, shards).await?;
        Ok(Box::new(scan))
    }

    async fn stored(&self, ids: &[DocId]) -> Result<Vec<Option<Stored>>, TargetError> {
        let mut stored = Vec::with_capacity(ids.len());
        if !ids.is_empty() {
            self.stored_group(ids, &mut stored).await?;
        }
        Ok(stored)
    }

    async fn versions(&self, ids: &[DocId]) -> Result<Vec<Option<Version>>, TargetError> {
        let what = format!("look for documents of the index {}", self.index);
        let at = path(&[&self.index, "_mget"]);
        let at = with(at, "_source", "false");
        let filter = "docs._id,docs.found,docs._seq_no,docs._primary_term,docs.error";
        let at = with(at, "filter_path", filter);
        let names: Vec<_> = ids.iter().map(DocId::as_str).collect();
        let request = Request::post(at, &what).json(&json!({"ids": names}));
        let reply = self.client.send_once(&request).await?;
        let found = self.found(&reply.body, ids.len(), &what)?;
        Ok(found
            .iter()
            .map(|document| document.version().filter(|_| document.found))
            .collect())
    }

    async fn count(&self) -> Result<u64, TargetError> {
        let what = format!("count the documents of the index {}", self.index);
        self.refresh(&what).await?;
        let request = Request::get(path(&[&self.index, "_count"]), &what);
        let reply = self.client.send_once(&request).await?;
        let counted: Counted = self.parse(&reply.body, &what)?;
        self.complete(counted.shards, &what)?;
        Ok(counted.count)
    }

    async fn token(&self) -> Result<Option<Token>, TargetError> {
        self.read_token().await
    }
}

fn shards_of(settings: &[u8]) -> usize {
    serde_json::from_slice::<serde_json::Value>(settings)
        .ok()
        .and_then(|settings| {
            let index = settings.as_object()?.values().next()?;
            let shards = index["settings"]["index.number_of_shards"].as_str()?;
            shards.parse().ok()
        })
        .unwrap_or(1)
}

#[derive(Deserialize)]
struct Sharded {
    #[serde(rename = "_shards")]
    shards: Shards,
}

#[derive(Deserialize)]
struct Counted {
    count: u64,
    #[serde(rename = "_shards")]
    shards: Shards,
}

#[derive(Clone, Copy, Deserialize)]
struct Shards {
    failed: u64,
}

#[derive(Deserialize)]
struct Found<'a> {
    #[serde(borrow)]
    docs: Vec<FoundDocument<'a>>,
}

#[derive(Deserialize)]
struct FoundDocument<'a> {
    #[serde(default)]
    found: bool,
    #[serde(rename = "_seq_no")]
    seq_no: Option<u64>,
    #[serde(rename = "_primary_term")]
    primary_term: Option<u64>,
    #[serde(rename = "_source", borrow)]
    source: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

impl FoundDocument<'_> {
    fn version(&self) -> Option<Version> {
        Some(Version {
            seq_no: self.seq_no?,
            primary_term: self.primary_term?,
        })
    }
}
