//! Indices, aliases, mappings, settings and statistics.

use std::sync::Arc;

use chrono::Utc;
use serde_json::{Map, Value, json};

use crate::engine::Engine;
use crate::errors::{Problem, Result, refuse};
use crate::http::{Call, Params, Reply};
use crate::select::glob;
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
pub(crate) fn resolve(
    catalogue: &Catalogue,
    expression: &str,
    params: &Params,
) -> Result<Vec<Arc<Index>>> {
    let wildcards = params.text("expand_wildcards").unwrap_or("open");
    let with_hidden = wildcards.contains("hidden") || wildcards.contains("all");
    let mut found: Vec<Arc<Index>> = Vec::new();
    for part in expression
        .split(',')
        .map(|part| if part == "_all" { "*" } else { part })
    {
        let is_pattern = part.contains('*');
        let is_named = |index: &Index| {
            glob(part, &index.name) || index.aliases.keys().any(|alias| glob(part, alias))
        };
        let is_open = |index: &Index| {
            !is_pattern || with_hidden || part.starts_with('.') || !index.is_hidden()
        };
        let fits: Vec<_> = catalogue
            .values()
            .filter(|index| is_open(index) && is_named(index))
            .collect();
        if fits.is_empty() && !is_pattern && !params.flag("ignore_unavailable")? {
            return Err(Problem::missing_index(part));
        }
        for index in fits {
            if !found.iter().any(|known| known.name == index.name) {
                found.push(index.clone());
            }
        }
    }
    Ok(found)
}

/// The one index that a write goes to. An index that is not there is made if `create` is set.
pub(crate) fn target(
    engine: &Engine,
    batch: &mut Batch,
    name: &str,
    create: bool,
) -> Result<Arc<Index>> {
    if let Some(index) = batch.catalogue().get(name) {
        return Ok(index.clone());
    }
    let mut behind = batch
        .catalogue()
        .values()
        .filter(|index| index.aliases.contains_key(name));
    match (behind.next(), behind.next()) {
        (Some(index), None) => Ok(index.clone()),
        (Some(_), Some(_)) => refuse!(
            "illegal_argument_exception",
            "no write index is defined for alias [{name}]"
        ),
        (None, _) if !create => Err(Problem::missing_index(name)),
        // The two names of the protocol are aliases from the first write on.
        (None, _)
            if matches!(
                name,
                ".elastic-connectors" | ".elastic-connectors-sync-jobs"
            ) =>
        {
            create_index(engine, batch, &format!("{name}-v1"), &Value::Null)
        }
        (None, _) => create_index(engine, batch, name, &Value::Null),
    }
}

fn create_index(
    engine: &Engine,
    batch: &mut Batch,
    name: &str,
    body: &Value,
) -> Result<Arc<Index>> {
    check_name(name)?;
    if batch
        .catalogue()
        .values()
        .any(|index| index.name == name || index.aliases.contains_key(name))
    {
        refuse!(
            "resource_already_exists_exception",
            "index or alias [{name}] already exists"
        );
    }
    let (uuid, history_uuid) = (engine.random_name()?, engine.random_name()?);
    let (name, created_at) = (name.to_owned(), Utc::now().timestamp_millis());
    let mut index = Index {
        name,
        uuid,
        history_uuid,
        created_at,
        ..Index::default()
    };
    let templates: Map<String, Value> = serde_json::from_str(TEMPLATES)?;
    let template = templates
        .iter()
        .find(|(pattern, _)| glob(pattern, &index.name));
    for source in template
        .map(|(_, template)| template)
        .into_iter()
        .chain([body])
    {
        index
            .aliases
            .extend(source["aliases"].as_object().cloned().unwrap_or_default());
        if !source["mappings"].is_null() {
            index.mapping.merge(&source["mappings"])?;
        }
        set_settings(&mut index.settings, "", &source["settings"])?;
    }
    for alias in index.aliases.keys() {
        check_alias(batch.catalogue(), alias)?;
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

/// Lays settings over those of an index: `index.a.b`, `a.b` and nested objects mean the same. Kept as a tree of texts.
fn set_settings(tree: &mut Map<String, Value>, path: &str, value: &Value) -> Result<()> {
    if let Value::Object(children) = value {
        return children
            .iter()
            .try_for_each(|(key, child)| set_settings(tree, &format!("{path}.{key}"), child));
    }
    let path = path.trim_start_matches('.');
    let path = path.strip_prefix("index.").unwrap_or(path);
    if matches!(path, "default_pipeline" | "final_pipeline") {
        return Err(Problem::unsupported(format!("the index setting [{path}]")));
    }
    let (parents, name) = path.rsplit_once('.').unwrap_or(("", path));
    let mut place = tree;
    for parent in parents.split('.').filter(|parent| !parent.is_empty()) {
        let child = place.entry(parent).or_insert_with(|| json!({}));
        let Value::Object(child) = child else {
            refuse!(
                "illegal_argument_exception",
                "setting [{path}] has a value above it"
            )
        };
        place = child;
    }
    if !value.is_null() {
        let keeps = value.is_string() || value.is_array();
        place.insert(
            name.to_owned(),
            if keeps {
                value.clone()
            } else {
                json!(value.to_string())
            },
        );
    }
    Ok(())
}

pub(crate) fn create(engine: &Engine, call: &Call, name: &str) -> Result<Reply> {
    let body = call.object("create_index")?;
    engine
        .storage
        .write(|batch| create_index(engine, batch, name, &body))?;
    Reply::ok(json!({"acknowledged": true, "shards_acknowledged": true, "index": name}))
}

pub(crate) fn delete(engine: &Engine, call: &Call, expression: &str) -> Result<Reply> {
    let dropped = engine.storage.write(|batch| {
        let indices = resolve(batch.catalogue(), expression, &call.params)?;
        for index in &indices {
            if !expression.split(',').any(|part| part == index.name) {
                refuse!(
                    "illegal_argument_exception",
                    "only indices can be deleted, no aliases or patterns: [{expression}]"
                );
            }
            batch.drop_index(index)?;
        }
        Ok(indices)
    })?;
    dropped
        .iter()
        .for_each(|index| engine.drop_full_text(index));
    Reply::ok(json!({"acknowledged": true}))
}

/// What `GET /{index}`, `_mapping`, `_settings` and `_alias` show, by index.
pub(crate) fn show(
    engine: &Engine,
    call: &Call,
    expression: &str,
    parts: &[&str],
) -> Result<Reply> {
    let mut shown = json!({});
    for index in resolve(&engine.storage.catalogue(), expression, &call.params)? {
        let mut settings = json!({"number_of_shards": "1", "number_of_replicas": "0", "version": {"created": "9033000"}});
        if let Value::Object(settings) = &mut settings {
            settings.extend(index.settings.clone());
        }
        settings["uuid"] = json!(index.uuid);
        settings["provided_name"] = json!(index.name);
        settings["creation_date"] = json!(index.created_at.to_string());
        for part in parts {
            shown[&index.name][*part] = match *part {
                "aliases" => json!(index.aliases),
                "settings" => json!({"index": settings}),
                _ if index.mapping.tree.is_null() => json!({}),
                _ => index.mapping.tree.clone(),
            };
        }
    }
    Reply::ok(shown)
}

/// Changes indices in place.
fn change(
    engine: &Engine,
    call: &Call,
    expression: &str,
    change: impl Fn(&mut Index, &Catalogue) -> Result<()>,
) -> Result<Reply> {
    engine.storage.write(|batch| {
        for known in resolve(batch.catalogue(), expression, &call.params)? {
            let mut index = known.as_ref().clone();
            change(&mut index, batch.catalogue())?;
            batch.set_index(index);
        }
        Ok(())
    })?;
    Reply::ok(json!({"acknowledged": true}))
}

pub(crate) fn put_mapping(engine: &Engine, call: &Call, expression: &str) -> Result<Reply> {
    let body = call.any_object()?;
    change(engine, call, expression, |index, _| {
        index.mapping.merge(&body)
    })
}

/// `PUT` and `DELETE /{index}/_alias/{alias}`.
pub(crate) fn set_alias(
    engine: &Engine,
    call: &Call,
    expression: &str,
    alias: &str,
    add: bool,
) -> Result<Reply> {
    let body = call.object("alias")?;
    change(engine, call, expression, |index, catalogue| {
        check_alias(catalogue, alias)?;
        if add {
            index.aliases.insert(alias.to_owned(), body.clone());
        } else if index.aliases.remove(alias).is_none() {
            return Err(Problem::new(
                404,
                "aliases_not_found_exception",
                format!("aliases [{alias}] missing"),
            ));
        }
        Ok(())
    })
}

/// `_stats`: documents and, with `level=shards`, the sequence numbers.
pub(crate) fn stats(engine: &Engine, call: &Call, expression: &str) -> Result<Reply> {
    let (mut indices, mut all) = (Map::new(), 0);
    for index in resolve(&engine.storage.catalogue(), expression, &call.params)? {
        let view = engine.storage.view(&index)?;
        let (count, last) = (view.count, view.next.cast_signed() - 1);
        all += count;
        let (docs, history) = (json!({"count": count, "deleted": 0}), &index.history_uuid);
        let mut shown = json!({
            "uuid": index.uuid, "health": "green", "status": "open", "primaries": {"docs": docs}, "total": {"docs": docs}
        });
        if call.params.text("level") == Some("shards") {
            shown["shards"] = json!({"0": [{
                "routing": {"state": "STARTED", "primary": true, "node": "tributary", "relocating_node": null}, "docs": docs,
                "commit": {"num_docs": count, "user_data": {"history_uuid": history, "max_seq_no": last.to_string()}},
                "seq_no": {"max_seq_no": last, "local_checkpoint": last, "global_checkpoint": last},
            }]});
        }
        indices.insert(index.name.clone(), shown);
    }
    let (shards, docs) = (
        shards(indices.len()),
        json!({"docs": {"count": all, "deleted": 0}}),
    );
    Reply::ok(
        json!({"_shards": shards, "_all": {"primaries": docs, "total": docs}, "indices": indices}),
    )
}

/// The `_shards` of an answer: each index is one shard, and none fails.
pub(crate) fn shards(count: usize) -> Value {
    json!({"total": count, "successful": count, "skipped": 0, "failed": 0})
}

pub(crate) fn refresh(engine: &Engine, call: &Call, expression: &str) -> Result<Reply> {
    // Every search sees every acknowledged write, so there is nothing to do but to say so.
    let found = resolve(&engine.storage.catalogue(), expression, &call.params)?;
    Reply::ok(json!({"_shards": shards(found.len())}))
}
