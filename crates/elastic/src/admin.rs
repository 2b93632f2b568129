//! The other calls that the service, the command line and the first steps need.

use crate::{
    RequestError, RequestErrorKind,
    client::Client,
    path::{path, with},
    transport::{Reply, Request},
};
use reqwest::Method;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{json, value::RawValue};
use std::collections::BTreeMap;
use tributary_sdk::Secret;

/// An index in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexSummary {
    /// Its name.
    pub name: String,
    /// Its documents; `None` if it is closed.
    pub documents: Option<u64>,
    /// The bytes of its primary shards; `None` if it is closed.
    pub bytes: Option<u64>,
    /// `green`, `yellow` or `red`; empty where the server does not say.
    pub health: String,
}

/// The licence of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct License {
    /// Such as `basic` or `platinum`.
    pub kind: String,
    /// Whether it is in force.
    pub is_active: bool,
}

impl License {
    /// Whether it includes document-level security (Platinum and above, protocol sheet §8).
    pub fn has_document_level_security(&self) -> bool {
        self.is_active && matches!(&*self.kind, "platinum" | "enterprise" | "trial")
    }
}

/// A fresh API key.
#[derive(Clone, Debug)]
pub struct ApiKey {
    /// Its id, which is no secret.
    pub id: String,
    /// What goes into `config.yml`.
    pub encoded: Secret,
}

/// What a search found.
#[derive(Clone, Debug)]
pub struct SearchAnswer {
    /// How many documents match; at least that many, if there are more than 10,000.
    pub total: u64,
    /// The best of them.
    pub hits: Vec<SearchHit>,
}

/// A document that matches.
#[derive(Clone, Debug)]
pub struct SearchHit {
    /// Its `_id`.
    pub id: String,
    /// How well it matches.
    pub score: f64,
    /// Its `_source`.
    pub source: Box<RawValue>,
    /// Pieces of its fields with the words marked by `<em>`.
    pub highlight: BTreeMap<String, Vec<String>>,
}

impl Client {
    /// The indices of this name or pattern, by name. Hidden ones are listed if the pattern begins with
    /// a dot.
    ///
    /// # Errors
    /// As any request, after the retries of the settings.
    pub async fn indices(&self, pattern: &str) -> Result<Vec<IndexSummary>, RequestError> {
        #[derive(Deserialize)]
        struct Row {
            index: String,
            #[serde(rename = "docs.count")]
            documents: Option<String>,
            #[serde(rename = "pri.store.size")]
            bytes: Option<String>,
            health: Option<String>,
        }
        let what = "list the indices";
        let mut at = path(&["_cat", "indices", pattern]);
        for (name, value) in [
            ("format", "json"),
            ("bytes", "b"),
            ("h", "index,docs.count,pri.store.size,health"),
            ("s", "index"),
            (
                "expand_wildcards",
                if pattern.starts_with('.') {
                    "open,closed,hidden"
                } else {
                    "open,closed"
                },
            ),
        ] {
            at = with(at, name, value);
        }
        let rows: Vec<Row> = match self.send(&Request::get(at, what)).await {
            Ok(reply) => self.json(&reply, what)?,
            Err(error) if error.is(RequestErrorKind::NotFound) => Vec::new(),
            Err(error) if error.is(RequestErrorKind::Unsupported) => {
                return self.indices_by_stats(pattern, what).await;
            }
            Err(error) => return Err(error),
        };
        let number = |text: Option<String>| text.and_then(|text| text.parse().ok());
        Ok(rows
            .into_iter()
            .map(|row| IndexSummary {
                name: row.index,
                documents: number(row.documents),
                bytes: number(row.bytes),
                health: row.health.unwrap_or_default(),
            })
            .collect())
    }

    /// The same for our own store, which has no tables for people.
    async fn indices_by_stats(
        &self,
        pattern: &str,
        what: &str,
    ) -> Result<Vec<IndexSummary>, RequestError> {
        let reply = match self
            .send(&Request::get(path(&[pattern, "_stats"]), what))
            .await
        {
            Ok(reply) => reply,
            Err(error) if error.is(RequestErrorKind::NotFound) => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let stats: serde_json::Value = self.json(&reply, what)?;
        let mut summaries: Vec<_> = stats["indices"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, index)| IndexSummary {
                name: name.clone(),
                documents: index["primaries"]["docs"]["count"].as_u64(),
                bytes: index["primaries"]["store"]["size_in_bytes"].as_u64(),
                health: String::new(),
            })
            .collect();
        summaries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(summaries)
    }

    /// Whether there is an index or alias of this name.
    ///
    /// # Errors
    /// As any request, after the retries of the settings.
    pub async fn index_exists(&self, index: &str) -> Result<bool, RequestError> {
        let what = format!("look for the index {index}");
        let request = Request::new(Method::HEAD, path(&[index]), &what);
        found(self.send(&request).await)
    }

    /// Deletes an index with all its documents; `false` if there was none. Patterns are refused here,
    /// whatever the server would do with them.
    ///
    /// # Errors
    /// As any request, after the retries of the settings.
    pub async fn delete_index(&self, index: &str) -> Result<bool, RequestError> {
        let what = format!("delete the index {index}");
        if index.is_empty() || index == "_all" || index.contains(['*', ',', '?']) {
            return Err(RequestError::new(
                RequestErrorKind::Rejected,
                format!("cannot {what}: give the name of one index"),
            ));
        }
        found(self.send(&Request::delete(path(&[index]), &what)).await)
    }

    /// Deletes all documents of an index and leaves its mapping; the answer is their number.
    ///
    /// # Errors
    /// As any request, after the retries of the settings.
    pub async fn clean_index(&self, index: &str) -> Result<u64, RequestError> {
        #[derive(Deserialize)]
        struct Deleted {
            deleted: u64,
        }
        let what = format!("delete the documents of the index {index}");
        let mut at = path(&[index, "_delete_by_query"]);
        at = with(at, "refresh", "true");
        at = with(at, "conflicts", "proceed");
        let request = Request::post(at, &what).json(&json!({"query": {"match_all": {}}}));
        let reply = self.send(&request).await?;
        Ok(self.json::<Deleted>(&reply, &what)?.deleted)
    }

    /// Makes all writes visible and counts the documents of an index.
    ///
    /// # Errors
    /// As any request, after the retries of the settings.
    pub async fn count(&self, index: &str) -> Result<u64, RequestError> {
        #[derive(Deserialize)]
        struct Counted {
            count: u64,
        }
        let what = format!("count the documents of the index {index}");
        self.send(&Request::post(path(&[index, "_refresh"]), &what))
            .await?;
        let reply = self
            .send(&Request::get(path(&[index, "_count"]), &what))
            .await?;
        Ok(self.json::<Counted>(&reply, &what)?.count)
    }

    /// Searches words in all fields, with the small query language of `simple_query_string`, of which
    /// no text is an error; all words must occur. `highlight` names fields to show pieces of.
    ///
    /// # Errors
    /// As any request, after the retries of the settings.
    pub async fn search(
        &self,
        index: &str,
        words: &str,
        size: usize,
        highlight: &[&str],
    ) -> Result<SearchAnswer, RequestError> {
        let what = format!("search the index {index}");
        let mut body = json!({
            "size": size,
            "query": {"simple_query_string": {"query": words, "default_operator": "and"}},
        });
        if !highlight.is_empty() {
            let fields: serde_json::Map<_, _> = highlight
                .iter()
                .map(|field| ((*field).to_owned(), json!({})))
                .collect();
            body["highlight"] = json!({"fields": fields});
        }
        let request = Request::post(path(&[index, "_search"]), &what).json(&body);
        let reply = self.send(&request).await?;
        let found: Found = self.json(&reply, &what)?;
        Ok(SearchAnswer {
            total: found.hits.total.map_or(0, |total| total.value),
            hits: found
                .hits
                .hits
                .into_iter()
                .map(|hit| SearchHit {
                    id: hit.id,
                    score: hit.score.unwrap_or(0.0),
                    source: hit.source,
                    highlight: hit.highlight,
                })
                .collect(),
        })
    }

    /// Whether there is an ingest pipeline of this name; `None` if we may not ask.
    ///
    /// # Errors
    /// As any request, after the retries of the settings.
    pub async fn pipeline_exists(&self, pipeline: &str) -> Result<Option<bool>, RequestError> {
        let what = format!("look for the ingest pipeline {pipeline}");
        let request = Request::get(path(&["_ingest", "pipeline", pipeline]), &what);
        match found(self.send(&request).await) {
            Ok(exists) => Ok(Some(exists)),
            Err(error) if error.is(RequestErrorKind::Forbidden) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The licence; `None` if the server has no such thing.
    ///
    /// # Errors
    /// As any request, after the retries of the settings.
    pub async fn license(&self) -> Result<Option<License>, RequestError> {
        #[derive(Deserialize)]
        struct Answer {
            license: Inner,
        }
        #[derive(Deserialize)]
        struct Inner {
            #[serde(rename = "type")]
            kind: String,
            status: String,
        }
        let what = "ask for the licence";
        let reply = match self.send(&Request::get(path(&["_license"]), what)).await {
            Ok(reply) => reply,
            Err(error)
                if matches!(
                    error.kind,
                    RequestErrorKind::Unsupported | RequestErrorKind::NotFound
                ) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let Answer { license } = self.json(&reply, what)?;
        Ok(Some(License {
            is_active: license.status == "active",
            kind: license.kind,
        }))
    }

    /// Makes an API key for a connector, with the name and the role that Kibana gives it (protocol
    /// sheet §7).
    ///
    /// *Behaviour.* Not sent again when it may have been carried out: nobody would know the first key.
    ///
    /// # Errors
    /// As any request.
    pub async fn create_api_key(&self, index: &str) -> Result<ApiKey, RequestError> {
        #[derive(Deserialize)]
        struct Made {
            id: String,
            encoded: Secret,
        }
        let what = format!("make an API key for the index {index}");
        let role: String = index
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
            .collect();
        let body = json!({
            "name": format!("{index}-connector"),
            "role_descriptors": {
                format!("{role}-connector-role"): {
                    "cluster": ["monitor", "manage_connector"],
                    "index": [{
                        "names": [index, format!(".search-acl-filter-{index}"), ".elastic-connectors*"],
                        "privileges": ["all"],
                        "allow_restricted_indices": false,
                    }],
                },
            },
        });
        let request = Request::post(path(&["_security", "api_key"]), &what)
            .json(&body)
            .once();
        let reply = self.send(&request).await?;
        let made: Made = self.json(&reply, &what)?;
        Ok(ApiKey {
            id: made.id,
            encoded: made.encoded,
        })
    }

    /// The largest body that every node takes (`http.max_content_length`), if we may know.
    ///
    /// A server that answers 413 and closes while the body is still on its way often loses its own
    /// answer: the connection is reset, and the reset overtakes what was said.
    pub(crate) async fn body_limit(&self) -> Option<u64> {
        #[derive(Deserialize)]
        struct Nodes {
            nodes: BTreeMap<String, Node>,
        }
        #[derive(Deserialize)]
        struct Node {
            http: Option<Http>,
        }
        #[derive(Deserialize)]
        struct Http {
            max_content_length_in_bytes: u64,
        }
        let what = "ask for the largest body";
        let request = Request::get(path(&["_nodes", "http"]), what);
        let reply = self.send_once(&request).await.ok()?;
        let Nodes { nodes } = self.json(&reply, what).ok()?;
        nodes
            .into_values()
            .filter_map(|node| Some(node.http?.max_content_length_in_bytes))
            .min()
    }

    /// Reads a JSON answer.
    pub(crate) fn json<T: DeserializeOwned>(
        &self,
        reply: &Reply,
        what: &str,
    ) -> Result<T, RequestError> {
        serde_json::from_slice(&reply.body).map_err(|error| {
            RequestError::new(
                RequestErrorKind::Interrupted,
                format!(
                    "cannot {what} at {}: the answer cannot be read: {error}",
                    self.address()
                ),
            )
        })
    }
}

fn found(reply: Result<Reply, RequestError>) -> Result<bool, RequestError> {
    match reply {
        Ok(_) => Ok(true),
        Err(error) if error.is(RequestErrorKind::NotFound) => Ok(false),
        Err(error) => Err(error),
    }
}

#[derive(Deserialize)]
struct Found {
    hits: FoundHits,
}

#[derive(Deserialize)]
struct FoundHits {
    total: Option<Total>,
    #[serde(default)]
    hits: Vec<FoundHit>,
}

#[derive(Deserialize)]
struct Total {
    value: u64,
}

#[derive(Deserialize)]
struct FoundHit {
    #[serde(rename = "_id")]
    id: String,
    #[serde(rename = "_score")]
    score: Option<f64>,
    #[serde(rename = "_source")]
    source: Box<RawValue>,
    #[serde(default)]
    highlight: BTreeMap<String, Vec<String>>,
}
