//! The `_connector` interface: connectors and their sync jobs, kept as documents of two indices.
//!
//! Every change is one transaction: read, check, write. A change that changes nothing is answered `noop`.

mod changes;
mod jobs;
mod rules;

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::dates;
use crate::documents::store;
use crate::engine::random_name;
use crate::errors::{Problem, Result};
use crate::http::{Call, Reply};
use crate::indices::{acknowledged, check_name, target};
use crate::select::list;
use crate::storage::{Batch, Document, Index};

const CONNECTORS: &str = ".elastic-connectors-v1";
const JOBS: &str = ".elastic-connectors-sync-jobs-v1";

/// A check made with the record at hand that failed.
macro_rules! refuse_state {
    ($($reason:tt)*) => {
        crate::errors::refuse!("status_exception", $($reason)*)
    };
}
use refuse_state;

pub(crate) fn route(call: &Call, path: &[&str]) -> Result<Reply> {
    match (call.method, path) {
        (_, ["_secret", ..]) => call.unsupported(),
        ("POST", ["_sync_job"]) => jobs::create(call),
        ("GET", ["_sync_job"]) => jobs::list(call),
        ("GET", ["_sync_job", id]) => show(call, JOBS, id, |_| true, Problem::not_found(id)),
        ("DELETE", ["_sync_job", id]) => jobs::delete(call, id),
        ("PUT", ["_sync_job", id, change]) => jobs::change(call, id, change),
        ("GET", []) => list_connectors(call),
        ("POST" | "PUT", []) => put(call, random_name()?),
        ("PUT", [id]) => put(call, (*id).to_owned()),
        ("DELETE", [id]) => delete(call, id),
        ("PUT", [id, change]) => changes::change(call, id, change),
        ("PUT", [id, first, second]) => changes::change(call, id, &format!("{first}.{second}")),
        ("GET", [id]) => {
            let with_deleted = call.flag("include_deleted")?;
            let wanted = |record: &Value| with_deleted || record["deleted"] != true;
            show(call, CONNECTORS, id, wanted, missing(CONNECTORS, id))
        }
        _ => call.unsupported(),
    }
}

fn missing(index: &str, id: &str) -> Problem {
    let what = if index == JOBS {
        "connector sync job"
    } else {
        "connector"
    };
    Problem::not_found(format!("{what} [{id}] not found"))
}

/// A record with its index, inside a transaction.
fn find(batch: &mut Batch, name: &str, id: &str) -> Result<(Arc<Index>, Document, Value)> {
    let index = target(batch, name, false).map_err(|_| missing(name, id))?;
    let document = batch.get(&index, id)?.ok_or_else(|| missing(name, id))?;
    let record = serde_json::from_str(&document.source)?;
    Ok((index, document, record))
}

/// Changes one record.
fn edit(
    call: &Call,
    name: &str,
    id: &str,
    change: impl FnOnce(&Batch, &mut Map<String, Value>) -> Result<()>,
) -> Result<Reply> {
    let result = call.engine.storage.write(|batch| {
        let (index, document, record) = find(batch, name, id)?;
        let Value::Object(mut changed) = record.clone() else {
            return Err(missing(name, id));
        };
        if record["deleted"] == true {
            return Err(missing(name, id));
        }
        change(batch, &mut changed)?;
        if record.as_object() == Some(&changed) {
            return Ok("noop");
        }
        store(batch, &index, id, &changed, Some(&document))?;
        Ok("updated")
    })?;
    Ok((200, json!({"result": result})))
}

/// Writes a whole record; `fields` is an object.
fn write(batch: &mut Batch, name: &str, id: &str, fields: &Value) -> Result<bool> {
    let index = target(batch, name, true)?;
    let former = batch.get(&index, id)?;
    let fields = fields.as_object().cloned().unwrap_or_default();
    store(batch, &index, id, &fields, former.as_ref())?;
    Ok(former.is_none())
}

/// The record as every answer has it: with the id, which is not stored.
fn shown(document: &Document) -> Result<Value> {
    let mut record = Map::from_iter([("id".to_owned(), json!(document.id))]);
    record.extend(serde_json::from_str::<Map<String, Value>>(
        &document.source,
    )?);
    Ok(Value::Object(record))
}

fn show(
    call: &Call,
    name: &str,
    id: &str,
    wanted: impl Fn(&Value) -> bool,
    missing: Problem,
) -> Result<Reply> {
    let found = match call.engine.storage.view(name) {
        Ok(view) => view.get(id)?,
        Err(_) => None,
    };
    match found.as_ref().map(shown).transpose()? {
        Some(record) if wanted(&record) => Ok((200, record)),
        _ => Err(missing),
    }
}

/// All records that pass the filters of the address: parameters with the paths of the values that they list.
fn all(call: &Call, name: &str, filters: &[(&str, &str)]) -> Result<Vec<Value>> {
    let mut records = Vec::new();
    let Ok(view) = call.engine.storage.view(name) else {
        return Ok(records);
    };
    for document in view.scan(0)? {
        let record = shown(&document?)?;
        let passes = |(parameter, path): &(&str, &str)| {
            let wanted = list(call.param(parameter));
            let value = record.pointer(path).and_then(Value::as_str);
            wanted.is_empty() || value.is_some_and(|value| wanted.contains(&value))
        };
        if filters.iter().all(passes) {
            records.push(record);
        }
    }
    Ok(records)
}

/// One page of a list, with the count of all.
fn page(call: &Call, records: &[Value]) -> Result<Reply> {
    let from = call.number("from")?.unwrap_or(0) as usize;
    let size = call.number("size")?.unwrap_or(100) as usize;
    let results: Vec<&Value> = records.iter().skip(from).take(size).collect();
    Ok((200, json!({"count": records.len(), "results": results})))
}

fn list_connectors(call: &Call) -> Result<Reply> {
    list(call.param("index_name"))
        .into_iter()
        .try_for_each(check_name)?;
    let (with_deleted, query) = (call.flag("include_deleted")?, call.param("query"));
    let filters = [
        ("index_name", "/index_name"),
        ("connector_name", "/name"),
        ("service_type", "/service_type"),
    ];
    let mut records = all(call, CONNECTORS, &filters)?;
    records.retain(|record| {
        let mut texts = ["index_name", "name", "description"]
            .map(|key| record[key].as_str())
            .into_iter();
        let is_found =
            query.is_empty() || texts.any(|text| text.is_some_and(|text| text.contains(query)));
        is_found && (with_deleted || record["deleted"] != true)
    });
    // Those without an index stand at the end.
    let name = |record: &Value| record["index_name"].as_str().map(str::to_owned);
    records.sort_by_key(|record| (name(record).is_none(), name(record)));
    page(call, &records)
}

fn put(call: &Call, id: String) -> Result<Reply> {
    let body = call.object("connector.put")?;
    let mut record: Value = serde_json::from_str(include_str!("../templates/connector.json"))?;
    record["filtering"] = rules::default_filtering(&dates::now());
    for (key, value) in body
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(_, value)| !value.is_null())
    {
        record[key] = value.clone();
    }
    if record["is_native"] == true {
        record["status"] = json!("needs_configuration");
    }
    let created = call.engine.storage.write(|batch| {
        let index = target(batch, CONNECTORS, true)?;
        changes::check_index(batch, &index, &id, &record)?;
        write(batch, CONNECTORS, &id, &record)
    })?;
    let (status, result) = if created {
        (201, "created")
    } else {
        (200, "updated")
    };
    Ok((status, json!({"result": result, "id": id})))
}

fn delete(call: &Call, id: &str) -> Result<Reply> {
    let (hard, with_jobs) = (call.flag("hard")?, call.flag("delete_sync_jobs")?);
    call.engine.storage.write(|batch| {
        let (index, document, mut record) = find(batch, CONNECTORS, id)?;
        if hard {
            batch.remove(&index, &document)?;
        } else if record["deleted"] == true {
            return Err(missing(CONNECTORS, id));
        } else {
            record["deleted"] = json!(true);
            write(batch, CONNECTORS, id, &record)?;
        }
        let jobs = batch.catalogue.get(JOBS).filter(|_| with_jobs).cloned();
        let Some(jobs) = jobs else { return Ok(()) };
        for job in batch.all(&jobs)? {
            if shown(&job)?["connector"]["id"] == id {
                batch.remove(&jobs, &job)?;
            }
        }
        Ok(())
    })?;
    acknowledged()
}
