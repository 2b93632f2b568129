//! What an index looks like now, for telling later whether it is still the same.

use crate::{
    RequestError, RequestErrorKind,
    path::{path, with},
    server::ServerInfo,
    target::ElasticTarget,
    transport::Request,
};
use md5::{Digest, Md5};
use serde::Deserialize;
use serde_json::{Map, Value, value::RawValue};
use std::collections::{BTreeMap, BTreeSet};
use tributary_engine::TargetError;
use tributary_protocol::pipeline::{DEFAULT_PIPELINE, DEFAULT_PIPELINE_8};
use tributary_state::{ShardToken, Token};

/// Settings that say how an index is kept, and nothing about what becomes of a document.
const KEEPING: [&str; 10] = [
    "auto_expand_replicas",
    "blocks",
    "lifecycle",
    "merge",
    "number_of_replicas",
    "priority",
    "provided_name",
    "refresh_interval",
    "routing",
    "translog",
];
/// Pipelines that call each other; more of them are not followed.
const MOST_PIPELINES: usize = 20;

#[derive(Deserialize)]
struct About {
    mappings: Box<RawValue>,
    settings: Settings,
}

#[derive(Deserialize)]
struct Settings {
    index: Map<String, Value>,
}

#[derive(Deserialize)]
struct Stats {
    indices: BTreeMap<String, IndexStats>,
}

#[derive(Deserialize)]
struct IndexStats {
    shards: BTreeMap<u32, Vec<ShardStats>>,
}

#[derive(Deserialize)]
struct ShardStats {
    routing: Routing,
    commit: Commit,
    seq_no: SequenceNumbers,
}

#[derive(Deserialize)]
struct Routing {
    primary: bool,
}

#[derive(Deserialize)]
struct Commit {
    user_data: UserData,
}

#[derive(Deserialize)]
struct UserData {
    history_uuid: String,
}

#[derive(Deserialize)]
struct SequenceNumbers {
    max_seq_no: i64,
}

impl ElasticTarget {
    /// Refreshes the index and takes its token. `None` where the server does not tell enough
    /// (serverless, a right that is missing): then nothing can be known about the index later.
    pub(crate) async fn read_token(&self) -> Result<Option<Token>, TargetError> {
        match self.take_token().await {
            Ok(token) => Ok(token),
            Err(error)
                if error.is(RequestErrorKind::Forbidden)
                    || error.is(RequestErrorKind::Unsupported) =>
            {
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn take_token(&self) -> Result<Option<Token>, RequestError> {
        let what = format!("look at the state of the index {}", self.index());
        let client = self.client();
        let info: &ServerInfo = client.info().await?;
        client
            .send_once(&Request::post(path(&[self.index(), "_refresh"]), &what))
            .await?;
        let request = Request::get(path(&[self.index()]), &what);
        let reply = self.client().send_once(&request).await?;
        // What cannot be read now will not be read later either.
        let Ok(about) = serde_json::from_slice::<BTreeMap<String, About>>(&reply.body) else {
            return Ok(None);
        };
        let (Some((name, about)), 1) = (about.first_key_value(), about.len()) else {
            return Ok(None);
        };
        let settings = &about.settings.index;
        let stats = with(path(&[self.index(), "_stats"]), "level", "shards");
        let stats = with(
            stats,
            "filter_path",
            "indices.*.shards.*.routing.primary,indices.*.shards.*.commit.user_data.history_uuid,indices.*.shards.*.seq_no.max_seq_no",
        );
        let stats = self.read(&Request::get(stats, &what)).await?;
        let count = Request::get(path(&[self.index(), "_count"]), &what);
        let count = self.read(&count).await?;
        let Some(shards) = primaries(stats, name, settings) else {
            return Ok(None);
        };
        let (Some(index_uuid), Some(count), Some(0)) = (
            settings.get("uuid").and_then(Value::as_str),
            count["count"].as_u64(),
            count.pointer("/_shards/failed").and_then(Value::as_u64),
        ) else {
            return Ok(None);
        };
        Ok(Some(Token {
            index_uuid: index_uuid.to_owned(),
            shards,
            count,
            mapping: hash_of_text(&about.mappings),
            settings: hash(&acting(settings)),
            pipeline: self.pipelines(settings, &what).await?,
            server_version: info.version.clone(),
        }))
    }

    /// The pipelines that documents pass, with those they call. `None` if one cannot be read, unless it
    /// is the one that belongs to the server.
    async fn pipelines(
        &self,
        settings: &Map<String, Value>,
        what: &str,
    ) -> Result<Option<(String, String)>, RequestError> {
        let set = |key: &str| settings.get(key).and_then(Value::as_str);
        // The pipeline of a request takes the place of the default one.
        let first = self.pipeline().or(set("default_pipeline"));
        let mut names: Vec<String> = [first, set("final_pipeline")]
            .into_iter()
            .flatten()
            .filter(|name| *name != "_none")
            .map(str::to_owned)
            .collect();
        let shown = names.join(" ");
        let mut seen = BTreeMap::new();
        while let Some(name) = names.pop() {
            if seen.contains_key(&name) {
                continue;
            }
            if seen.len() == MOST_PIPELINES || name.contains("{{") {
                return Ok(None);
            }
            let request = Request::get(path(&["_ingest", "pipeline", &name]), what);
            let content = match self.read(&request).await {
                Ok(content) => content[&name].clone(),
                Err(error) if error.is(RequestErrorKind::NotFound) => Value::Null,
                Err(error) if error.is(RequestErrorKind::Forbidden) && is_servers_own(&name) => {
                    Value::Null
                }
                Err(error) if error.is(RequestErrorKind::Forbidden) => return Ok(None),
                Err(error) => return Err(error),
            };
            names.extend(called(&content));
            seen.insert(name, content);
        }
        let seen = seen.into_iter().collect::<Map<_, _>>();
        Ok(Some((shown, hash(&Value::Object(seen)))))
    }

    async fn read(&self, request: &Request<'_>) -> Result<Value, RequestError> {
        let reply = self.client().send_once(request).await?;
        serde_json::from_slice(&reply.body).map_err(|error| {
            let text = format!(
                "cannot {} at {}: the answer cannot be read: {error}",
                request.what,
                self.client().address()
            );
            RequestError::new(RequestErrorKind::Interrupted, text)
        })
    }
}

/// What belongs to the server changes with its version only.
fn is_servers_own(pipeline: &str) -> bool {
    pipeline == DEFAULT_PIPELINE || pipeline == DEFAULT_PIPELINE_8
}

/// All primary shards; `None` if one is missing.
fn primaries(
    stats: Value,
    index: &str,
    settings: &Map<String, Value>,
) -> Option<BTreeMap<u32, ShardToken>> {
    let stats: Stats = serde_json::from_value(stats).ok()?;
    let copies = &stats.indices.get(index)?.shards;
    let mut shards = BTreeMap::new();
    for (number, copies) in copies {
        let primary = copies.iter().find(|copy| copy.routing.primary)?;
        let token = ShardToken {
            history_uuid: primary.commit.user_data.history_uuid.clone(),
            max_seq_no: primary.seq_no.max_seq_no,
        };
        shards.insert(*number, token);
    }
    let expected = settings.get("number_of_shards")?.as_str()?;
    (shards.len().to_string() == expected).then_some(shards)
}

/// The settings that may act on documents: all but those that are known not to.
fn acting(settings: &Map<String, Value>) -> Value {
    let settings = settings.iter();
    let acting = settings.filter(|(name, _)| !KEEPING.contains(&name.as_str()));
    Value::Object(
        acting
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect(),
    )
}

/// Pipelines that a pipeline calls, wherever in it.
fn called(content: &Value) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut open = vec![content];
    while let Some(value) = open.pop() {
        match value {
            Value::Array(items) => open.extend(items),
            Value::Object(members) => {
                let name = members.get("pipeline").and_then(|call| call.get("name"));
                names.extend(name.and_then(Value::as_str).map(str::to_owned));
                open.extend(members.values());
            }
            _ => {}
        }
    }
    names
}

/// Of the content, whatever the order of names. A text that no tree can hold (a thousand levels, a name
/// with half a character) as it stands.
fn hash_of_text(text: &RawValue) -> String {
    match serde_json::from_str(text.get()) {
        Ok(value) => hash(&value),
        Err(_) => digest(text.get().as_bytes()),
    }
}

/// Of the content, whatever the order of names.
fn hash(value: &Value) -> String {
    let mut sorted = value.clone();
    sorted.sort_all_objects();
    digest(sorted.to_string().as_bytes())
}

fn digest(bytes: &[u8]) -> String {
    let digest = Md5::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(fuzzing)]
pub(crate) mod fuzzing {
    use super::*;

    pub(crate) fn read(body: &[u8]) {
        if let Ok(text) = serde_json::from_slice::<&RawValue>(body) {
            hash_of_text(text);
        }
        if let Ok(Value::Object(answer)) = serde_json::from_slice(body) {
            hash(&acting(&answer));
            called(&Value::Object(answer.clone()));
            primaries(Value::Object(answer.clone()), "music", &answer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_hash_looks_at_the_content_alone() {
        let one = json!({"a": {"b": 1, "c": 2}, "d": [1, 2]});
        let other = json!({"d": [1, 2], "a": {"c": 2, "b": 1}});
        assert_eq!(hash(&one), hash(&other));
        assert_ne!(
            hash(&one),
            hash(&json!({"a": {"b": 1, "c": 2}, "d": [2, 1]}))
        );
    }

    #[test]
    fn a_mapping_that_no_tree_can_hold_has_a_hash() {
        let deep = format!("{}1{}", "{\"a\":".repeat(1000), "}".repeat(1000));
        let texts = [r#"{"a\ud800": 1}"#, r#"{"a\ud801": 1}"#, deep.as_str()];
        let hashes = texts.map(|text| {
            let answer = format!("{{\"mappings\":{text},\"settings\":{{\"index\":{{}}}}}}");
            let about: About = serde_json::from_str(&answer).unwrap();
            hash_of_text(&about.mappings)
        });
        assert!(hashes[0] != hashes[1] && hashes[1] != hashes[2]);
    }

    #[test]
    fn calls_are_found_wherever_they_stand() {
        let content = json!({"processors": [
            {"pipeline": {"name": "a", "if": "true"}},
            {"foreach": {"field": "x", "processor": {"pipeline": {"name": "b"}}}},
            {"set": {"field": "pipeline", "value": "c", "on_failure": [{"pipeline": {"name": "d"}}]}},
        ]});
        let expected = ["a", "b", "d"].map(str::to_owned);
        assert_eq!(called(&content), expected.into());
    }
}
