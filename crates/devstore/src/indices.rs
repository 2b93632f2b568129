//! Indices, mappings and statistics.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::engine::random_name;
use crate::errors::{Problem, Result, unsupported};
use crate::http::{Call, Reply};
use crate::mapping::Mapping;
use crate::search::points::part;
use crate::select::{entries, glob};
use crate::storage::{Batch, Index, real};

/// What Elasticsearch's built-in templates say about the indices of the connector protocol, as far as it is queried.
const TEMPLATES: &str = include_str!("templates/indices.json");
const FORBIDDEN: &str = "\\/*?\"<>| ,#:\0";

pub(crate) fn check_name(name: &str) -> Result<()> {
    let is_forbidden = |letter: char| letter.is_uppercase() || FORBIDDEN.contains(letter);
    let is_wrong = name.contains(is_forbidden) || name.starts_with(['_', '-', '+']);
    if is_wrong || name.len() > 255 || matches!(name, "" | "." | "..") {
        let rule = r#"lower case, at most 255 bytes, none of \/*?"<>|,#: nor spaces, no _, - or + at the start"#;
        let reason = format!("Invalid index name [{name}], must be {rule}");
        return Err(Problem::new(400, "invalid_index_name_exception", reason));
    }
    Ok(())
}

/// The index that a write goes to. An index that is not there is made.
pub(crate) fn target(batch: &mut Batch, name: &str) -> Result<Arc<Index>> {
    match batch.catalogue.get(real(name)).cloned() {
        Some(index) => Ok(index),
        None => create_index(batch, real(name), None),
    }
}

fn create_index(batch: &mut Batch, name: &str, mapping: Option<&Value>) -> Result<Arc<Index>> {
    check_name(name)?;
    if batch.catalogue.contains_key(name) || real(name) != name {
        let reason = format!("index [{name}] already exists");
        return Err(Problem::new(
            400,
            "resource_already_exists_exception",
            reason,
        ));
    }
    let templates: Map<String, Value> = serde_json::from_str(TEMPLATES)?;
    let template = templates.iter().find(|(pattern, _)| glob(pattern, name));
    let mut index = Index {
        name: name.to_owned(),
        uuid: random_name()?,
        mapping: Mapping::default(),
    };
    for mapping in template.map(|found| found.1).into_iter().chain(mapping) {
        index.mapping.merge(mapping)?;
    }
    batch.set_index(index)
}

pub(crate) fn create(call: &Call, name: &str) -> Result<Reply> {
    let keys = "aliases:object|null mappings:object settings:object|null";
    let body = call.object("create_index", keys)?;
    // Other settings change nothing here.
    if body["settings"].to_string().contains("_pipeline") {
        unsupported!("an index setting with a pipeline");
    }
    if let Some((alias, _)) = entries(&body["aliases"]).find(|(alias, _)| real(alias) != name) {
        unsupported!("the alias [{alias}]");
    }
    let storage = &call.engine.storage;
    storage.write(|batch| create_index(batch, name, body.get("mappings")))?;
    let shown = json!({"acknowledged": true, "shards_acknowledged": true, "index": name});
    Ok((200, shown))
}

pub(crate) fn delete(call: &Call, name: &str) -> Result<Reply> {
    let index = call.engine.storage.write(|batch| {
        let index = batch.catalogue.get(name).cloned();
        let index = index.ok_or_else(|| Problem::missing_index(name))?;
        batch.drop_index(&index)?;
        Ok(index)
    })?;
    call.engine.drop_full_text(&index);
    Ok((200, json!({"acknowledged": true})))
}

/// `GET /{index}` and `GET /{index}/_mapping`.
pub(crate) fn show(call: &Call, name: &str) -> Result<Reply> {
    let index = call.engine.storage.view(name)?.index;
    let settings = json!({"index": {"uuid": index.uuid, "number_of_shards": "1"}});
    let shown = json!({"mappings": index.mapping.tree(), "settings": settings});
    Ok((200, json!({&index.name: shown})))
}

pub(crate) fn put_mapping(call: &Call, name: &str) -> Result<Reply> {
    let body = call.any_object()?;
    call.engine.storage.write(|batch| {
        let mut index = Index::clone(&*call.engine.storage.view(name)?.index);
        index.mapping.merge(&body)?;
        batch.set_index(index)
    })?;
    Ok((200, json!({"acknowledged": true})))
}

/// `_stats` of one index or of those whose names fit a pattern: documents and sequence numbers.
/// Patterns pass over names with a dot in front, unless they begin with a dot themselves.
pub(crate) fn stats(call: &Call, pattern: &str) -> Result<Reply> {
    let (mut shown, storage) = (json!({}), &call.engine.storage);
    let mut names: Vec<String> = storage.catalogue()?.into_keys().collect();
    if pattern.contains('*') {
        let is_hidden = pattern.starts_with('.');
        names.retain(|name| glob(pattern, name) && name.starts_with('.') == is_hidden);
    } else {
        names = vec![pattern.to_owned()];
    }
    for name in &names {
        let view = storage.view(name)?;
        let ((next, count), uuid) = (view.counts, &view.index.uuid);
        let docs = json!({"count": count, "deleted": 0});
        let shard = json!({
            "routing": {"state": "STARTED", "primary": true, "node": "tributary"}, "docs": docs,
            "commit": {"user_data": {"history_uuid": uuid}}, "seq_no": {"max_seq_no": next.cast_signed() - 1},
        });
        shown[&view.index.name] = json!({"primaries": {"docs": docs}, "shards": {"0": [shard]}});
    }
    let shards = shards(names.len());
    Ok((200, json!({"_shards": shards, "indices": shown})))
}

/// The `_shards` of an answer: each index is one shard, and none fails.
pub(crate) fn shards(count: usize) -> Value {
    json!({"total": count, "successful": count, "skipped": 0, "failed": 0})
}

/// Every search sees every acknowledged write. This only makes that the next one need not take in the new ones.
pub(crate) fn refresh(call: &Call, name: &str) -> Result<Reply> {
    part(call, name)?;
    Ok((200, json!({"_shards": shards(1)})))
}
