//! Indices, aliases, mappings, settings and statistics.

use std::sync::Arc;

use chrono::Utc;
use serde_json::{Map, Value, json};

use crate::engine::Engine;
use crate::errors::Problem;
use crate::http::{Call, Params, Reply};
use crate::select::glob;
use crate::storage::{Batch, Catalogue, Index};

/// What Elasticsearch's built-in templates say about the indices of the connector protocol.
const TEMPLATES: &str = include_str!("templates/indices.json");

pub(crate) fn check_name(name: &str) -> Result<(), Problem> {
    let wrong = if name.is_empty() || name == "." || name == ".." {
        "must not be empty, '.' or '..'"
    } else if name.chars().any(char::is_uppercase) {
        "must be lowercase"
    } else if name.starts_with(['_', '-', '+']) {
        "must not start with '_', '-', or '+'"
    } else if name.contains([
        '\\', '/', '*', '?', '"', '<', '>', '|', ' ', ',', '#', ':', '\0',
    ]) {
        "must not contain the following characters [' ','\"','*',',','/','<','>','?','\\','|','#',':']"
    } else if name.len() > 255 {
        "index name is too long, (> 255)"
    } else {
        return Ok(());
    };
    let reason = format!("Invalid index name [{name}], {wrong}");
    Err(Problem::new(400, "invalid_index_name_exception", reason).with("index", name))
}

/// The indices of an expression: names, aliases and patterns, separated by commas.
pub(crate) fn resolve(
    catalogue: &Catalogue,
    expression: &str,
    params: &Params,
) -> Result<Vec<Arc<Index>>, Problem> {
    let wildcards = params.text("expand_wildcards").unwrap_or("open");
    let hidden = wildcards
        .split(',')
        .any(|word| matches!(word, "hidden" | "all"));
    let mut found: Vec<Arc<Index>> = Vec::new();
    for part in expression.split(',') {
        let part = if part == "_all" { "*" } else { part };
        let before = found.len();
        for index in catalogue.values() {
            let fits = if part.contains('*') {
                let open = hidden || part.starts_with('.') || !index.is_hidden();
                open && (glob(part, &index.name)
                    || index.aliases.keys().any(|alias| glob(part, alias)))
            } else {
                index.name == part || index.aliases.contains_key(part)
            };
            if fits && !found.iter().any(|known| known.name == index.name) {
                found.push(index.clone());
            }
        }
        let known = found
            .iter()
            .any(|index| index.name == part || index.aliases.contains_key(part));
        if found.len() == before
            && !known
            && !part.contains('*')
            && !params.flag("ignore_unavailable")?
        {
            return Err(Problem::missing_index(part));
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
) -> Result<Arc<Index>, Problem> {
    if let Some(index) = batch.catalogue().get(name) {
        return Ok(index.clone());
    }
    let mut behind = batch
        .catalogue()
        .values()
        .filter(|index| index.aliases.contains_key(name));
    match (behind.next(), behind.next()) {
        (Some(index), None) => Ok(index.clone()),
        (Some(_), Some(_)) => Err(Problem::illegal(format!(
            "no write index is defined for alias [{name}]"
        ))),
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
) -> Result<Arc<Index>, Problem> {
    check_name(name)?;
    let taken = batch
        .catalogue()
        .values()
        .any(|index| index.aliases.contains_key(name));
    if taken || batch.catalogue().contains_key(name) {
        let uuid = batch.catalogue().get(name).map(|index| index.uuid.clone());
        let reason = format!(
            "index [{name}/{}] already exists",
            uuid.as_deref().unwrap_or("as an alias")
        );
        return Err(
            Problem::new(400, "resource_already_exists_exception", reason)
                .with("index", name)
                .with("index_uuid", uuid),
        );
    }
    let mut index = Index {
        name: name.to_owned(),
        uuid: engine.random_name()?,
        history_uuid: engine.random_name()?,
        created_at: Utc::now().timestamp_millis(),
        ..Index::default()
    };
    let templates: Map<String, Value> = serde_json::from_str(TEMPLATES)?;
    let template = templates
        .iter()
        .find(|(pattern, _)| glob(pattern, name))
        .map(|(_, template)| template);
    for source in template.into_iter().chain([body]) {
        if let Some(aliases) = source.get("aliases").and_then(Value::as_object) {
            index.aliases.extend(aliases.clone());
        }
        if let Some(mappings) = source
            .get("mappings")
            .filter(|mappings| !mappings.is_null())
        {
            index.mapping.merge(mappings)?;
        }
        if let Some(settings) = source.get("settings").and_then(Value::as_object) {
            set_settings(&mut index, settings)?;
        }
    }
    for alias in index.aliases.keys() {
        check_alias(batch.catalogue(), alias)?;
    }
    batch.set_index(index)
}

fn check_alias(catalogue: &Catalogue, alias: &str) -> Result<(), Problem> {
    check_name(alias)?;
    if catalogue.contains_key(alias) {
        let reason = format!(
            "Invalid alias name [{alias}]: an index or data stream exists with the same name as the alias"
        );
        return Err(Problem::new(400, "invalid_alias_name_exception", reason));
    }
    Ok(())
}

/// Lays settings over those of an index: `index.a.b`, `a.b` and nested objects mean the same.
fn set_settings(index: &mut Index, settings: &Map<String, Value>) -> Result<(), Problem> {
    fn set(tree: &mut Map<String, Value>, path: &str, value: &Value) {
        if let Value::Object(children) = value {
            return children
                .iter()
                .for_each(|(key, child)| set(tree, &format!("{path}.{key}"), child));
        }
        let path = path.trim_start_matches('.');
        let mut place = tree;
        let mut names = path
            .strip_prefix("index.")
            .unwrap_or(path)
            .split('.')
            .peekable();
        while let Some(name) = names.next() {
            if names.peek().is_none() {
                let text = if value.is_string() || value.is_array() || value.is_null() {
                    value.clone()
                } else {
                    json!(value.to_string())
                };
                place.insert(name.to_owned(), text);
                return;
            }
            let child = place.entry(name).or_insert_with(|| json!({}));
            if !child.is_object() {
                *child = json!({});
            }
            let Value::Object(child) = child else { return };
            place = child;
        }
    }
    for (key, value) in settings {
        set(&mut index.settings, key, value);
    }
    for pipeline in ["default_pipeline", "final_pipeline"] {
        if index
            .settings
            .get(pipeline)
            .is_some_and(|value| value != "_none")
        {
            return Err(Problem::unsupported(format!(
                "the index setting [{pipeline}]"
            )));
        }
    }
    Ok(())
}

fn shown_settings(index: &Index) -> Value {
    let mut settings = index.settings.clone();
    settings
        .entry("number_of_shards")
        .or_insert_with(|| json!("1"));
    settings
        .entry("number_of_replicas")
        .or_insert_with(|| json!("0"));
    settings.insert("uuid".to_owned(), json!(index.uuid));
    settings.insert(
        "creation_date".to_owned(),
        json!(index.created_at.to_string()),
    );
    settings.insert("provided_name".to_owned(), json!(index.name));
    settings.insert("version".to_owned(), json!({"created": "9033000"}));
    json!({"index": settings})
}

pub(crate) fn create(engine: &Engine, call: &Call, name: &str) -> Result<Reply, Problem> {
    let body = call.object("create_index")?;
    engine
        .storage
        .write(|batch| create_index(engine, batch, name, &body))?;
    Reply::ok(&json!({"acknowledged": true, "shards_acknowledged": true, "index": name}))
}

pub(crate) fn delete(engine: &Engine, call: &Call, expression: &str) -> Result<Reply, Problem> {
    if expression.contains('*') || expression == "_all" {
        return Err(Problem::illegal(
            "Wildcard expressions or all indices are not allowed",
        ));
    }
    let dropped = engine.storage.write(|batch| {
        let indices = resolve(batch.catalogue(), expression, &call.params)?;
        for index in &indices {
            if !expression.split(',').any(|part| part == index.name) {
                let reason = format!("The provided expression [{expression}] matches an alias, specify the corresponding concrete indices instead.");
                return Err(Problem::illegal(reason));
            }
            batch.drop_index(index)?;
        }
        Ok(indices)
    })?;
    dropped
        .iter()
        .for_each(|index| engine.drop_full_text(index));
    Reply::ok(&json!({"acknowledged": true}))
}

/// What `GET /{index}`, `_mapping`, `_settings` and `_alias` show, by index.
pub(crate) fn show(
    engine: &Engine,
    call: &Call,
    expression: &str,
    parts: &[&str],
) -> Result<Reply, Problem> {
    let mut shown = Map::new();
    for index in resolve(&engine.storage.catalogue(), expression, &call.params)? {
        let all = json!({"aliases": index.aliases, "mappings": index.mapping.tree(), "settings": shown_settings(&index)});
        let part = parts
            .iter()
            .map(|part| ((*part).to_owned(), all[*part].clone()))
            .collect();
        shown.insert(index.name.clone(), Value::Object(part));
    }
    Reply::ok(&shown)
}

/// Changes an index in place: its mapping, its settings, an alias.
pub(crate) fn change(
    engine: &Engine,
    call: &Call,
    expression: &str,
    change: impl Fn(&mut Index, &Catalogue) -> Result<(), Problem>,
) -> Result<Reply, Problem> {
    engine.storage.write(|batch| {
        for known in resolve(batch.catalogue(), expression, &call.params)? {
            let mut index = known.as_ref().clone();
            change(&mut index, batch.catalogue())?;
            batch.set_index(index)?;
        }
        Ok(())
    })?;
    Reply::ok(&json!({"acknowledged": true}))
}

pub(crate) fn put_mapping(
    engine: &Engine,
    call: &Call,
    expression: &str,
) -> Result<Reply, Problem> {
    let body = Value::Object(call.any_object()?);
    change(engine, call, expression, |index, _| {
        index.mapping.merge(&body)
    })
}

pub(crate) fn put_settings(
    engine: &Engine,
    call: &Call,
    expression: &str,
) -> Result<Reply, Problem> {
    let mut body = call.any_object()?;
    if let Some(Value::Object(inner)) = body.remove("settings") {
        body = inner;
    }
    change(engine, call, expression, |index, _| {
        set_settings(index, &body)
    })
}

/// `PUT` and `DELETE /{index}/_alias/{alias}`.
pub(crate) fn set_alias(
    engine: &Engine,
    call: &Call,
    expression: &str,
    alias: &str,
    add: bool,
) -> Result<Reply, Problem> {
    change(engine, call, expression, |index, catalogue| {
        check_alias(catalogue, alias)?;
        if add {
            index.aliases.insert(alias.to_owned(), json!({}));
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
pub(crate) fn stats(engine: &Engine, call: &Call, expression: &str) -> Result<Reply, Problem> {
    let (mut indices, mut all) = (Map::new(), 0);
    for index in resolve(&engine.storage.catalogue(), expression, &call.params)? {
        let view = engine.storage.view(&index)?;
        let (count, max_seq_no) = (
            view.count()?,
            i64::try_from(view.next()?).unwrap_or(i64::MAX) - 1,
        );
        all += count;
        let docs = json!({"docs": {"count": count, "deleted": 0}});
        let mut shown = json!({"uuid": index.uuid, "health": "green", "status": "open", "primaries": docs, "total": docs});
        if call.params.text("level") == Some("shards") {
            shown["shards"] = json!({"0": [{
                "routing": {"state": "STARTED", "primary": true, "node": "tributary", "relocating_node": null},
                "docs": {"count": count, "deleted": 0},
                "commit": {"num_docs": count, "user_data": {"history_uuid": index.history_uuid, "max_seq_no": max_seq_no.to_string()}},
                "seq_no": {"max_seq_no": max_seq_no, "local_checkpoint": max_seq_no, "global_checkpoint": max_seq_no},
            }]});
        }
        indices.insert(index.name.clone(), shown);
    }
    let (shards, docs) = (indices.len(), json!({"docs": {"count": all, "deleted": 0}}));
    Reply::ok(&json!({
        "_shards": {"total": shards, "successful": shards, "failed": 0},
        "_all": {"primaries": docs, "total": docs}, "indices": indices,
    }))
}

pub(crate) fn refresh(engine: &Engine, call: &Call, expression: &str) -> Result<Reply, Problem> {
    // Every search sees every acknowledged write, so there is nothing to do but to say so.
    let shards = resolve(&engine.storage.catalogue(), expression, &call.params)?.len();
    Reply::ok(&json!({"_shards": {"total": shards, "successful": shards, "failed": 0}}))
}
