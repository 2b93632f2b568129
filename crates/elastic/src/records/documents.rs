//! The documents of one of the two indices.

use crate::{
    Client, Flavor, RequestError, RequestErrorKind,
    path::{is_addressable, path, with},
    transport::{Reply, Request},
};
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tributary_protocol::{
    records::{RecordsError, RecordsErrorKind, Seen},
    updates::Partial,
};

/// Records of one page.
const PAGE: usize = 250;
/// The largest window of a search. A listing ends there.
const MOST: usize = 10_000;

/// One of the two indices.
pub(super) struct Documents {
    pub(super) alias: &'static str,
    pub(super) index: &'static str,
    /// What a document is called.
    pub(super) record: &'static str,
}

/// A document, and the version in which it was read.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) id: String,
    pub(super) source: Map<String, Value>,
    pub(super) seen: Seen,
}

impl Documents {
    pub(super) fn missing(&self, client: &Client, id: &str) -> RecordsError {
        RecordsError::new(
            RecordsErrorKind::NotFound,
            format!("there is no {} {id} at {}", self.record, client.address()),
        )
    }

    /// Creates index and alias unless they are there.
    pub(super) async fn prepare(
        &self,
        client: &Client,
        mut body: Value,
    ) -> Result<(), RecordsError> {
        let what = format!("look for the index {}", self.alias);
        let request = Request::new(Method::HEAD, path(&[self.alias]), &what);
        match client.send(&request).await {
            Ok(_) => return Ok(()),
            Err(error) if error.is(RequestErrorKind::NotFound) => {}
            Err(error) => return Err(error.into()),
        }
        if client.info().await?.flavor == Flavor::Serverless {
            // Shards and replicas are no business of ours there.
            body["settings"] = json!({});
        }
        let what = format!("create the index {}", self.index);
        let request = Request::put(path(&[self.index]), &what).json(&body);
        match client.send(&request).await {
            Ok(_) => return Ok(()),
            Err(error) if error.server_kind == "resource_already_exists_exception" => {}
            Err(error) => return Err(error.into()),
        }
        let what = format!("give the index {} its alias {}", self.index, self.alias);
        let add = json!({"actions": [{"add": {"index": self.index, "alias": self.alias}}]});
        let request = Request::post(path(&["_aliases"]), &what).json(&add);
        client.send(&request).await?;
        Ok(())
    }

    /// Reads a document as it is now.
    pub(super) async fn get(
        &self,
        client: &Client,
        id: &str,
    ) -> Result<Option<Found>, RequestError> {
        if !is_addressable(id) {
            return Ok(None);
        }
        let what = format!("read the {} {id}", self.record);
        let request = Request::get(path(&[self.alias, "_doc", id]), &what);
        let reply = match client.send(&request).await {
            Ok(reply) => reply,
            // Neither the document nor the index has to be there.
            Err(error) if error.is(RequestErrorKind::NotFound) => return Ok(None),
            Err(error) => return Err(error),
        };
        let hit: Hit = client.json(&reply, &what)?;
        Ok(Some(hit.into()))
    }

    /// Searches documents; 0 = no limit of the caller's. At most [`MOST`] are found.
    pub(super) async fn search(
        &self,
        client: &Client,
        query: &Value,
        sort: Option<Value>,
        limit: usize,
    ) -> Result<Vec<Found>, RequestError> {
        let what = format!("list {}s", self.record);
        let at = path(&[self.alias, "_search"]);
        let at = with(at, "allow_partial_search_results", "false");
        let limit = if limit == 0 { MOST } else { limit.min(MOST) };
        let mut found = Vec::new();
        loop {
            let size = PAGE.min(limit - found.len());
            let mut body = json!({
                "query": query,
                "from": found.len(),
                "size": size,
                "seq_no_primary_term": true,
                "track_total_hits": false,
            });
            if let Some(sort) = &sort {
                body["sort"] = sort.clone();
            }
            let reply = match client
                .send(&Request::post(at.clone(), &what).json(&body))
                .await
            {
                Ok(reply) => reply,
                Err(error) if error.is(RequestErrorKind::NotFound) => return Ok(found),
                Err(error) => return Err(error),
            };
            let page: Page = client.json(&reply, &what)?;
            let is_last = page.hits.hits.len() < size;
            found.extend(page.hits.hits.into_iter().map(Found::from));
            if is_last || found.len() >= limit {
                return Ok(found);
            }
        }
    }

    /// Changes the given properties of a document, and makes the change visible to listings.
    ///
    /// A conflict after an answer that got lost may be our own doing: then the document says so.
    pub(super) async fn update(
        &self,
        client: &Client,
        id: &str,
        change: &Partial,
        seen: Option<Seen>,
    ) -> Result<Seen, RecordsError> {
        if !is_addressable(id) {
            return Err(self.missing(client, id));
        }
        let what = format!("change the {} {id}", self.record);
        let at = self.write_path(client, "_update", id, true).await?;
        let at = match seen {
            Some(seen) => in_version(at, seen),
            None => with(at, "retry_on_conflict", "5"),
        };
        let request = Request::post(at, &what).json(&json!({"doc": change}));
        let error = match client.send(&request).await {
            Ok(reply) => return written(client, &reply, &what),
            Err(error) => error,
        };
        if error.is(RequestErrorKind::Conflict)
            && error.uncertain
            && let Some(now) = self.get(client, id).await?
            && contains(&now.source, change)
        {
            return Ok(now.seen);
        }
        Err(self.not_updated(client, id, error))
    }

    /// Changes the given properties of a document that is still in this version. Sent once, and listings
    /// learn of it when they do: a change that is made again and again costs no refresh each time.
    pub(super) async fn update_once(
        &self,
        client: &Client,
        id: &str,
        change: &Partial,
        seen: Seen,
    ) -> Result<Seen, RecordsError> {
        if !is_addressable(id) {
            return Err(self.missing(client, id));
        }
        let what = format!("change the {} {id}", self.record);
        let at = in_version(self.write_path(client, "_update", id, false).await?, seen);
        let request = Request::post(at, &what).json(&json!({"doc": change}));
        match client.send_once(&request).await {
            Ok(reply) => written(client, &reply, &what),
            Err(error) => Err(self.not_updated(client, id, error)),
        }
    }

    fn not_updated(&self, client: &Client, id: &str, error: RequestError) -> RecordsError {
        match error.kind {
            RequestErrorKind::Conflict => self.overtaken(client, id),
            RequestErrorKind::NotFound if error.server_kind == "document_missing_exception" => {
                self.missing(client, id)
            }
            _ => error.into(),
        }
    }

    /// Adds a document under an id that nobody else uses, and makes it visible to listings.
    pub(super) async fn create(
        &self,
        client: &Client,
        id: &str,
        document: &Map<String, Value>,
    ) -> Result<(), RecordsError> {
        let what = format!("create a {}", self.record);
        let at = self.write_path(client, "_create", id, true).await?;
        let request = Request::put(at, &what).json(&Value::Object(document.clone()));
        match client.send(&request).await {
            Ok(_) => Ok(()),
            // The first answer got lost: it is there.
            Err(error) if error.is(RequestErrorKind::Conflict) && error.uncertain => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    async fn write_path(
        &self,
        client: &Client,
        verb: &str,
        id: &str,
        refresh: bool,
    ) -> Result<String, RequestError> {
        let mut at = path(&[self.alias, verb, id]);
        if refresh {
            at = with(at, "refresh", "true");
        }
        // Without it, an index would take the alias's place when somebody has deleted both.
        Ok(if client.info().await?.knows_require_alias() {
            with(at, "require_alias", "true")
        } else {
            at
        })
    }

    pub(super) fn overtaken(&self, client: &Client, id: &str) -> RecordsError {
        RecordsError::new(
            RecordsErrorKind::Conflict,
            format!(
                "the {} {id} at {} was changed by somebody else in between",
                self.record,
                client.address()
            ),
        )
    }
}

/// Only if the document is in this version.
fn in_version(at: String, seen: Seen) -> String {
    let at = with(at, "if_seq_no", &seen.seq_no.to_string());
    with(at, "if_primary_term", &seen.primary_term.to_string())
}

/// Which write of a document an answer to `_update` speaks of.
fn written(client: &Client, reply: &Reply, what: &str) -> Result<Seen, RecordsError> {
    let written: Written = client.json(reply, what)?;
    Ok(Seen {
        seq_no: written.seq_no,
        primary_term: written.primary_term,
    })
}

/// Whether a partial update has been made: nothing in it would change the document.
fn contains(document: &Map<String, Value>, change: &Map<String, Value>) -> bool {
    change
        .iter()
        .all(|(key, new)| match (document.get(key), new) {
            (Some(Value::Object(inner)), Value::Object(new)) => contains(inner, new),
            (None, Value::Null) => true,
            (old, new) => old == Some(new),
        })
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
struct Written {
    #[serde(rename = "_seq_no")]
    seq_no: u64,
    #[serde(rename = "_primary_term")]
    primary_term: u64,
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

impl From<Hit> for Found {
    fn from(hit: Hit) -> Self {
        Self {
            id: hit.id,
            source: hit.source,
            seen: Seen {
                seq_no: hit.seq_no,
                primary_term: hit.primary_term,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recognises_a_change_that_was_made() {
        let map = |value: Value| value.as_object().cloned().unwrap();
        let document = map(json!({"a": 1, "b": null, "c": {"d": [1], "e": 2}}));
        for (change, is_made) in [
            (json!({}), true),
            (json!({"a": 1, "b": null, "x": null}), true),
            (json!({"c": {"d": [1]}}), true),
            (json!({"c": {"d": [1, 2]}}), false),
            (json!({"a": 2}), false),
            (json!({"a": null}), false),
            (json!({"x": {}}), false),
        ] {
            assert_eq!(
                contains(&document, &map(change.clone())),
                is_made,
                "{change}"
            );
        }
    }
}
