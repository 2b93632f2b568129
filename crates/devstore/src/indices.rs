//! Indices, aliases, mappings, settings and statistics.

use std::sync::Arc;

use chrono::Utc;
use serde_json::{Map, Value, json};

use crate::engine::random_name;
use crate::errors::{Problem, Result, refuse};
use crate::http::{Call, Reply};
use crate::select::{glob, many, plain_text};
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

/// The indices of an expression: names, aliases and patterns, separated by commas.
pub(crate) fn resolve(call: &Call, expression: &str) -> Result<Vec<Arc<Index>>> {
    let (wildcards, catalogue) = (
        call.param("expand_wildcards"),
        call.engine.storage.catalogue(),
    );
    let with_hidden = wildcards.contains("hidden") || wildcards.contains("all");
    let mut found: Vec<Arc<Index>> = Vec::new();
    for part in expression.split(',') {
        let part = if part == "_all" { "*" } else { part };
        let (is_pattern, before) = (part.contains('*'), found.len());
        let shows_hidden = !is_pattern || with_hidden || part.starts_with('.');
        for index in catalogue.values() {
            let mut names = index.aliases.keys().chain([&index.name]);
            if names.any(|name| glob(part, name)) && (shows_hidden || !index.is_hidden()) {
                found.push(index.clone());
            }
        }
        if found.len() == before && !is_pattern && !call.flag("ignore_unavailable")? {
            return Err(Problem::missing_index(part));
        }
    }
    found.sort_by(|left, right| left.name.cmp(&right.name));
    found.dedup_by(|left, right| left.name == right.name);
    Ok(found)
}

/// The one index that a write goes to. An index that is not there is made if `create` is set.
pub(crate) fn target(batch: &mut Batch, name: &str, create: bool) -> Result<Arc<Index>> {
    if let Some(index) = batch.catalogue.get(name) {
        return Ok(index.clone());
    }
    let indices = batch.catalogue.values();
    let mut behind = indices.filter(|index| index.aliases.contains_key(name));
    match (behind.next(), behind.next(), name) {
        (Some(index), None, _) => Ok(index.clone()),
        (Some(_), Some(_), _) => refuse!(
            "illegal_argument_exception",
            "no write index is defined for alias [{name}]"
        ),
        _ if !create => Err(Problem::missing_index(name)),
        // The two names of the protocol are aliases from the first write on.
        (_, _, ".elastic-connectors" | ".elastic-connectors-sync-jobs") => {
            create_index(batch, &format!("{name}-v1"), &Value::Null)
        }
        _ => create_index(batch, name, &Value::Null),
    }
}

fn create_index(batch: &mut Batch, name: &str, body: &Value) -> Result<Arc<Index>> {
    check_name(name)?;
    let mut indices = batch.catalogue.values();
    if indices.any(|index| index.name == name || index.aliases.contains_key(name)) {
        refuse!(
            "resource_already_exists_exception",
            "index or alias [{name}] already exists"
        );
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
    // The fields of a template by their types.
    let fields = template.and_then(|(_, template)| template["fields"].as_object());
    for (kind, names) in fields.into_iter().flatten() {
        for name in many(names) {
            index.mapping.add(&plain_text(name), json!({"type": kind}))?;
        }
    }
    for source in template
        .map(|(_, template)| template)
        .into_iter()
        .chain([body])
    {
        for (alias, options) in source["aliases"].as_object().into_iter().flatten() {
            check_alias(&batch.catalogue, alias)?;
            index.aliases.insert(alias.clone(), options.clone());
        }
        if !source["mappings"].is_null() {
            index.mapping.merge(&source["mappings"])?;
        }
        set_settings(&mut index.settings, "", &source["settings"])?;
    }
    Ok(batch.set_index(index))
}

fn check_alias(catalogue: &Catalogue, alias: &str) -> Result<()> {
    if catalogue.contains_key(alias) {
        refuse!(
            "invalid_alias_name_exception",
            "Invalid alias name [{alias}]: an index exists with the same name"
        );
    }
    check_name(alias)
}

/// Takes in settings: `index.a.b`, `a.b` and nested objects mean the same.
fn set_settings(settings: &mut Map<String, Value>, path: &str, value: &Value) -> Result<()> {
    if let Value::Object(children) = value {
        let mut children = children.iter();
        return children
            .try_for_each(|(key, child)| set_settings(settings, &format!("{path}.{key}"), child));
    }
    let path = path.trim_start_matches('.');
    let path = path.strip_prefix("index.").unwrap_or(path);
    if matches!(path, "default_pipeline" | "final_pipeline") {
        return Err(Problem::unsupported(format!("the index setting [{path}]")));
    }
    if !value.is_null() {
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

pub(crate) fn delete(call: &Call, expression: &str) -> Result<Reply> {
    let indices = resolve(call, expression)?;
    if indices
        .iter()
        .any(|index| !expression.split(',').any(|part| part == index.name))
    {
        refuse!(
            "illegal_argument_exception",
            "only indices can be deleted, no aliases or patterns: [{expression}]"
        );
    }
    call.engine
        .storage
        .write(|batch| indices.iter().try_for_each(|index| batch.drop_index(index)))?;
    indices
        .iter()
        .for_each(|index| call.engine.drop_full_text(index));
    acknowledged()
}

/// The answer to what was done and has no result.
pub(crate) fn acknowledged() -> Result<Reply> {
    Ok((200, json!({"acknowledged": true})))
}

/// What `GET /{index}`, `_mapping`, `_settings` and `_alias` show, by index.
pub(crate) fn show(call: &Call, expression: &str, parts: &[&str]) -> Result<Reply> {
    let mut shown = json!({});
    for index in resolve(call, expression)? {
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
                _ => json!(index.mapping.tree),
            };
        }
    }
    Ok((200, shown))
}

/// Changes indices in place.
fn change(
    call: &Call,
    expression: &str,
    change: impl Fn(&mut Index, &Catalogue) -> Result<()>,
) -> Result<Reply> {
    let indices = resolve(call, expression)?;
    call.engine.storage.write(|batch| {
        for known in &indices {
            let known = target(batch, &known.name, false)?;
            let mut index = known.as_ref().clone();
            change(&mut index, &batch.catalogue)?;
            batch.set_index(index);
        }
        Ok(())
    })?;
    acknowledged()
}

pub(crate) fn put_mapping(call: &Call, expression: &str) -> Result<Reply> {
    let body = call.any_object()?;
    change(call, expression, |index, _| index.mapping.merge(&body))
}

pub(crate) fn put_alias(call: &Call, expression: &str, alias: &str) -> Result<Reply> {
    let body = call.object("alias")?;
    change(call, expression, |index, catalogue| {
        check_alias(catalogue, alias)?;
        index.aliases.insert(alias.to_owned(), body.clone());
        Ok(())
    })
}

/// `_stats`: documents and, with `level=shards`, the sequence numbers.
pub(crate) fn stats(call: &Call, expression: &str) -> Result<Reply> {
    let (mut shown, mut all, indices) = (json!({}), 0, resolve(call, expression)?);
    for index in &indices {
        let view = call.engine.storage.view(&index.name)?;
        let (count, last) = (view.count, view.next.cast_signed() - 1);
        all += count;
        let (docs, history) = (json!({"count": count, "deleted": 0}), &index.history_uuid);
        let mut stats = json!({
            "uuid": index.uuid, "health": "green", "status": "open", "primaries": {"docs": docs}, "total": {"docs": docs}
        });
        if call.param("level") == "shards" {
            stats["shards"] = json!({"0": [{
                "routing": {"state": "STARTED", "primary": true, "node": "tributary", "relocating_node": null}, "docs": docs,
                "commit": {"num_docs": count, "user_data": {"history_uuid": history, "max_seq_no": last.to_string()}},
                "seq_no": {"max_seq_no": last, "local_checkpoint": last, "global_checkpoint": last},
            }]});
        }
        shown[&index.name] = stats;
    }
    let (shards, docs) = (
        shards(indices.len()),
        json!({"docs": {"count": all, "deleted": 0}}),
    );
    let all = json!({"primaries": docs, "total": docs});
    Ok((
        200,
        json!({"_shards": shards, "_all": all, "indices": shown}),
    ))
}

/// The `_shards` of an answer: each index is one shard, and none fails.
pub(crate) fn shards(count: usize) -> Value {
    json!({"total": count, "successful": count, "skipped": 0, "failed": 0})
}

/// Every search sees every acknowledged write, so there is nothing to do but to say so.
pub(crate) fn refresh(call: &Call, expression: &str) -> Result<Reply> {
    let found = resolve(call, expression)?;
    Ok((200, json!({"_shards": shards(found.len())})))
}
