//! The ledger in an index of our own (DESIGN §6).

use crate::{
    Client, Flavor, RequestError, RequestErrorKind, bulk,
    path::{path, with},
    transport::Request,
};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};
use tributary_engine::{Action, Operation, Source, Version};
use tributary_protocol::{
    Ledger, LedgerFilter, LedgerRecord,
    indices::ledger_index_body,
    records::{RecordsError, RecordsErrorKind},
    timestamp,
};

/// Records of one page.
const PAGE: usize = 500;
/// The largest window of a search. A listing ends there.
const MOST: usize = 10_000;
/// Records that are refused because the server has much to do are sent again so often.
const ATTEMPTS: u32 = 4;
const PAUSE: Duration = Duration::from_secs(1);

/// The ledger in an index, which is made when it is first needed.
pub struct ElasticLedger {
    client: Client,
    index: String,
    is_made: AtomicBool,
}

impl ElasticLedger {
    /// In the index of this name.
    pub fn new(client: Client, index: impl Into<String>) -> Self {
        Self {
            client,
            index: index.into(),
            is_made: AtomicBool::new(false),
        }
    }

    /// Makes the index unless it is there. Left to a write, the server would make it without its mapping.
    async fn make(&self) -> Result<(), RequestError> {
        if self.is_made.load(Ordering::Relaxed) {
            return Ok(());
        }
        let mut body = ledger_index_body();
        if self.client.info().await?.flavor == Flavor::Serverless {
            // Shards and replicas are no business of ours there.
            body["settings"] = json!({});
        }
        let what = format!("create the index {}", self.index);
        let request = Request::put(path(&[&self.index]), &what).json(&body);
        match self.client.send(&request).await {
            Ok(_) => {}
            Err(error) if error.server_kind == "resource_already_exists_exception" => {}
            // A key that may write to an index need not be one that may make it.
            Err(error) if error.is(RequestErrorKind::Forbidden) => {
                let what = format!("look for the index {}", self.index);
                let request = Request::new(reqwest::Method::HEAD, path(&[&self.index]), &what);
                if self.client.send(&request).await.is_err() {
                    return Err(error);
                }
            }
            Err(error) => return Err(error),
        }
        self.is_made.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Sends operations until none is refused for a reason that may pass.
    async fn send(&self, mut operations: Vec<Operation>, what: &str) -> Result<(), RecordsError> {
        let at = with(path(&[&self.index, "_bulk"]), "filter_path", bulk::FILTER);
        let failed = |kind, why: &str| {
            let message = format!("cannot {what} at {}: {why}", self.client.address());
            RecordsError::new(kind, message)
        };
        let mut attempt = 1;
        loop {
            let sent = bulk::send(&self.client, &at, &operations, what).await;
            let why = match sent {
                Ok(reply) => {
                    let read = bulk::read(&reply.body, &operations, self.client.signed_by());
                    let verdicts =
                        read.map_err(|why| failed(RecordsErrorKind::Unavailable, &why))?;
                    let mut left = Vec::new();
                    let mut why = String::new();
                    for (operation, answer) in operations.into_iter().zip(verdicts.answers) {
                        // A record that somebody else removed or wrote meanwhile is as good as removed.
                        let is_settled = answer.is_done()
                            || (matches!(operation.action, Action::Delete(_))
                                && matches!(answer.status, 404 | 409));
                        if is_settled {
                            continue;
                        }
                        why = answer.error.map_or_else(String::new, |error| error.reason);
                        if !matches!(answer.status, 429 | 500..=599) {
                            let kind = match answer.status {
                                403 => RecordsErrorKind::Forbidden,
                                _ => RecordsErrorKind::Rejected,
                            };
                            return Err(failed(kind, &why));
                        }
                        left.push(operation);
                    }
                    operations = left;
                    why
                }
                Err(error) if error.may_pass() => error.message,
                Err(error) => return Err(error.into()),
            };
            if operations.is_empty() {
                return Ok(());
            }
            if attempt == ATTEMPTS {
                return Err(failed(RecordsErrorKind::Unavailable, &why));
            }
            self.client.clock().sleep(PAUSE * attempt).await;
            attempt += 1;
        }
    }

    /// One page of records; none if there is no index.
    async fn page(
        &self,
        query: &Value,
        from: usize,
        size: usize,
        what: &str,
    ) -> Result<Vec<Hit>, RequestError> {
        let at = with(
            path(&[&self.index, "_search"]),
            "allow_partial_search_results",
            "false",
        );
        let body = json!({
            "query": query,
            "from": from,
            "size": size,
            "sort": [
                {"created_at": {"order": "desc", "unmapped_type": "date"}},
                {"record": {"order": "desc", "unmapped_type": "keyword"}},
            ],
            "seq_no_primary_term": true,
            "track_total_hits": false,
        });
        match self.client.send(&Request::post(at, what).json(&body)).await {
            Ok(reply) => Ok(self.client.json::<Page>(&reply, what)?.hits.hits),
            Err(error) if error.is(RequestErrorKind::NotFound) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    async fn refresh(&self, what: &str) -> Result<(), RequestError> {
        let request = Request::post(path(&[&self.index, "_refresh"]), what);
        match self.client.send(&request).await {
            Err(error) if !error.is(RequestErrorKind::NotFound) => Err(error),
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl Ledger for ElasticLedger {
    async fn append(&self, records: &[LedgerRecord]) -> Result<(), RecordsError> {
        self.make().await?;
        let operations = records.iter().map(|record| {
            let mut text = Value::Object(record.to_source()).to_string().into_bytes();
            text.pop();
            Operation {
                id: record.record.as_str().into(),
                action: Action::Index(Source::new(text, None)),
            }
        });
        let what = format!("keep records in the index {}", self.index);
        self.send(operations.collect(), &what).await
    }

    async fn list(&self, filter: &LedgerFilter) -> Result<Vec<LedgerRecord>, RecordsError> {
        let what = format!("list records of the index {}", self.index);
        self.refresh(&what).await?;
        let mut wanted = Vec::new();
        for (field, value) in [
            ("connector_id", &filter.connector_id),
            ("job_id", &filter.job_id),
            ("document_id", &filter.document_id),
        ] {
            if let Some(value) = value {
                wanted.push(json!({"term": {field: value}}));
            }
        }
        if !filter.outcomes.is_empty() {
            let outcomes: Vec<_> = filter.outcomes.iter().map(|one| one.as_str()).collect();
            wanted.push(json!({"terms": {"outcome": outcomes}}));
        }
        let query = json!({"bool": {"filter": wanted}});
        let limit = filter.limit.min(MOST);
        let mut found = Vec::new();
        let mut from = 0;
        while found.len() < limit {
            let size = PAGE.min(limit - from);
            let page = self.page(&query, from, size, &what).await?;
            let is_last = page.len() < size;
            from += page.len();
            for hit in page {
                match LedgerRecord::from_source(&hit.id, &hit.source) {
                    Ok(record) => found.push(record),
                    Err(error) => tracing::warn!("a record is left out: {error}"),
                }
            }
            if is_last || from >= limit {
                break;
            }
        }
        Ok(found)
    }

    async fn remove_before(&self, time: DateTime<Utc>) -> Result<u64, RecordsError> {
        let what = format!("remove old records of the index {}", self.index);
        let query = json!({"range": {"created_at": {"lt": timestamp::to_text(time)}}});
        let mut removed = 0;
        loop {
            self.refresh(&what).await?;
            let page = self.page(&query, 0, PAGE, &what).await?;
            if page.is_empty() {
                return Ok(removed);
            }
            removed += page.len() as u64;
            let operations = page.into_iter().map(|hit| Operation {
                id: hit.id.into(),
                action: Action::Delete(Version {
                    seq_no: hit.seq_no,
                    primary_term: hit.primary_term,
                }),
            });
            self.send(operations.collect(), &what).await?;
        }
    }
}

#[derive(Deserialize)]
struct Page {
    hits: Hits,
}

#[derive(Deserialize)]
struct Hits {
    #[serde(default)]
    hits: Vec<Hit>,
}

#[derive(Deserialize)]
struct Hit {
    #[serde(rename = "_id")]
    id: String,
    #[serde(rename = "_source")]
    source: Map<String, Value>,
    #[serde(rename = "_seq_no")]
    seq_no: u64,
    #[serde(rename = "_primary_term")]
    primary_term: u64,
}
