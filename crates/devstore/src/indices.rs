//! Indices, mappings and statistics.

use std::sync::Arc;

use chrono::Utc;
use serde_json::{Map, Value, json};

use crate::engine::random_name;
use crate::errors::{ILLEGAL, Problem, Result, refuse, unsupported};
use crate::http::{Call, Reply};
use crate::select::{entries, glob, many, plain_text};
use crate::storage::{Batch, Catalogue, Index};

/// What Elasticsearch's built-in templates say about the indices of the connector protocol.
const TEMPLATES: &str = include_str!("templates/indices.json");
const FORBIDDEN: &str = "\\/*?\"<>| ,#:\0";

pub(crate) fn check_name(name: &str) -> Result<()> {
    let wrong = match name {
        "" | "." | ".." => "must not be empty, '.' or '..'",
        name if name.chars().any(char::is_uppercase) => "must be lowercase",
        name if name.starts_with(['_', '-', '+']) => "must not start with '_', '-', or '+'",
        name if name.contains(|character| FORBIDDEN.contains(character)) => {
            "must not contain any of ' \"*,/<>?\\|#:'"
        }
        name if name.len() > 255 => "index name is too long, (> 255)",
        _ => return Ok(()),
    };
    refuse!(
        "invalid_index_name_exception",
        "Invalid index name [{name}], {wrong}"
    )
}

/// The indices of a pattern, or the one index behind a name or an alias. Patterns pass over names with a dot in front.
pub(crate) fn resolve(catalogue: &Catalogue, pattern: &str) -> Result<Vec<Arc<Index>>> {
    let pattern = if pattern == "_all" { "*" } else { pattern };
    let is_named = |index: &&Arc<Index>| {
        let mut names = index.aliases.keys().chain([&index.name]);
        names.any(|name| glob(pattern, name))
            && (pattern.starts_with('.') || !pattern.contains('*') || !index.name.starts_with('.'))
    };
    let found: Vec<_> = catalogue.values().filter(is_named).cloned().collect();
    match found.len() {
        0 if !pattern.contains('*') => Err(Problem::missing_index(pattern)),
        2.. if !pattern.contains('*') => {
            refuse!(ILLEGAL, "no write index is defined for alias [{pattern}]")
        }
        _ => Ok(found),
    }
}

/// The one index of a name or an alias.
pub(crate) fn one(catalogue: &Catalogue, name: &str) -> Result<Arc<Index>> {
    match resolve(catalogue, name)?.pop() {
        Some(index) if !name.contains('*') && name != "_all" => Ok(index),
        _ => unsupported!("[{name}] in the place of the name of one index"),
    }
}

/// The one index that a write goes to. An index that is not there is made.
pub(crate) fn target(batch: &mut Batch, name: &str) -> Result<Arc<Index>> {
    if let Some(index) = batch.catalogue.get(name) {
        return Ok(index.clone());
    }
    match (resolve(&batch.catalogue, name), name) {
        (Ok(found), _) if found.len() == 1 => Ok(found[0].clone()),
        (Err(problem), _) if problem.status != 404 => Err(problem),
        // The two names of the protocol are aliases from the first write on.
        (_, ".elastic-connectors" | ".elastic-connectors-sync-jobs") => {
            create_index(batch, &format!("{name}-v1"), &Value::Null)
        }
        _ => create_index(batch, name, &Value::Null),
    }
}

fn create_index(batch: &mut Batch, name: &str, body: &Value) -> Result<Arc<Index>> {
    check_name(name)?;
    if resolve(&batch.catalogue, name).is_ok() {
        let kind = "resource_already_exists_exception";
        refuse!(kind, "index or alias [{name}] already exists");
    }
    let mut index = Index {
        name: name.to_owned(),
        uuid: random_name()?,
        history_uuid: random_name()?,
        created_at: Utc::now().timestamp_millis(),
        ..Index::default()
    };
    let templates: Map<String, Value> = serde_json::from_str(TEMPLATES)?;
    let template = templates.iter().find(|(pattern, _)| glob(pattern, name));
    let template = template.map_or(&Value::Null, |(_, template)| template);
    for (kind, names) in entries(&template["fields"]) {
        for name in many(names) {
            index
                .mapping
                .add(&plain_text(name), json!({"type": kind}))?;
        }
    }
    for source in [template, body] {
        for (alias, options) in entries(&source["aliases"]) {
            check_name(alias)?;
            if batch.catalogue.contains_key(alias) {
                let kind = "invalid_alias_name_exception";
                refuse!(kind, "[{alias}] cannot be an alias: an index has that name");
            }
            index.aliases.insert(alias.clone(), options.clone());
        }
        if !source["mappings"].is_null() {
            index.mapping.merge(&source["mappings"])?;
        }
        set_settings(&mut index.settings, "", &source["settings"])?;
    }
    Ok(batch.set_index(index))
}

/// Takes in settings: `index.a.b`, `a.b` and nested objects mean the same.
fn set_settings(settings: &mut Map<String, Value>, path: &str, value: &Value) -> Result<()> {
    for (key, child) in entries(value) {
        set_settings(settings, &format!("{path}.{key}"), child)?;
    }
    let path = path.trim_start_matches('.');
    let path = path.strip_prefix("index.").unwrap_or(path);
    if matches!(path, "default_pipeline" | "final_pipeline") {
        unsupported!("the index setting [{path}]");
    }
    if !value.is_null() && !value.is_object() {
        settings.insert(path.to_owned(), json!(plain_text(value)));
    }
    Ok(())
}

pub(crate) fn create(call: &Call, name: &str) -> Result<Reply> {
    let body = call.object("create_index")?;
    call.engine
        .storage
        .write(|batch| create_index(batch, name, &body))?;
    Ok((
        200,
        json!({"acknowledged": true, "shards_acknowledged": true, "index": name}),
    ))
}

pub(crate) fn delete(call: &Call, name: &str) -> Result<Reply> {
    let index = call.engine.storage.write(|batch| {
        let index = match batch.catalogue.get(name) {
            Some(index) => index.clone(),
            None if resolve(&batch.catalogue, name)?.is_empty() => {
                return Err(Problem::missing_index(name));
            }
            None => refuse!(
                ILLEGAL,
                "only an index can be deleted, no alias or pattern: [{name}]"
            ),
        };
        batch.drop_index(&index)?;
        Ok(index)
    })?;
    call.engine.drop_full_text(&index);
    Ok((200, json!({"acknowledged": true})))
}

/// `GET /{index}` and `GET /{index}/_mapping`.
pub(crate) fn show(call: &Call, pattern: &str, parts: &[&str]) -> Result<Reply> {
    let mut shown = json!({});
    for index in resolve(&call.engine.storage.catalogue()?, pattern)? {
        let mut settings = json!({
            "number_of_shards": "1", "number_of_replicas": "0", "uuid": index.uuid, "provided_name": index.name,
            "creation_date": index.created_at.to_string(), "version": {"created": "9033000"},
        });
        for (key, value) in &index.settings {
            settings[key] = value.clone();
        }
        for part in parts {
            shown[&index.name][*part] = match *part {
                "aliases" => json!(index.aliases),
                "settings" => json!({"index": settings}),
                _ => index.mapping.tree(),
            };
        }
    }
    Ok((200, shown))
}

pub(crate) fn put_mapping(call: &Call, name: &str) -> Result<Reply> {
    let body = call.any_object()?;
    call.engine.storage.write(|batch| {
        let mut index = one(&batch.catalogue, name)?.as_ref().clone();
        index.mapping.merge(&body)?;
        batch.set_index(index);
        Ok(())
    })?;
    Ok((200, json!({"acknowledged": true})))
}

/// `_stats`: documents and, with `level=shards`, the sequence numbers.
pub(crate) fn stats(call: &Call, pattern: &str) -> Result<Reply> {
    let (mut shown, storage) = (json!({}), &call.engine.storage);
    let indices = resolve(&storage.catalogue()?, pattern)?;
    for index in &indices {
        let view = storage.view(&index.name)?;
        let (next, count) = view.counts;
        let last = next.cast_signed() - 1;
        let (docs, history) = (json!({"count": count, "deleted": 0}), &index.history_uuid);
        let mut stats = json!({
            "uuid": index.uuid, "health": "green", "status": "open", "primaries": {"docs": docs}, "total": {"docs": docs}
        });
        if call.param("level") == "shards" {
            stats["shards"] = json!({"0": [{
                "routing": {"state": "STARTED", "primary": true, "node": "tributary"}, "docs": docs,
                "commit": {"num_docs": count, "user_data": {"history_uuid": history, "max_seq_no": last.to_string()}},
                "seq_no": {"max_seq_no": last, "local_checkpoint": last, "global_checkpoint": last},
            }]});
        }
        shown[&index.name] = stats;
    }
    Ok((
        200,
        json!({"_shards": shards(indices.len()), "indices": shown}),
    ))
}

/// The `_shards` of an answer: each index is one shard, and none fails.
pub(crate) fn shards(count: usize) -> Value {
    json!({"total": count, "successful": count, "skipped": 0, "failed": 0})
}

/// Every search sees every acknowledged write, so there is nothing to do but to say so.
pub(crate) fn refresh(call: &Call, pattern: &str) -> Result<Reply> {
    let found = resolve(&call.engine.storage.catalogue()?, pattern)?;
    Ok((200, json!({"_shards": shards(found.len())})))
}
