//! The `_connector` interface: connectors and their sync jobs, kept as documents of two indices.
//!
//! Every change is one transaction: read, check, write. A change that changes nothing is answered `noop`.

mod configuration;
mod filtering;
mod jobs;
mod records;
pub(crate) mod schedule;

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::documents::store;
use crate::engine::Engine;
use crate::errors::{Problem, Result};
use crate::http::{Call, Reply};
use crate::indices::target;
use crate::storage::{Batch, Document, Index};

const CONNECTORS: &str = ".elastic-connectors-v1";
const JOBS: &str = ".elastic-connectors-sync-jobs-v1";
const UNSUPPORTED_TRANSITION: &str =
    "Such a status transition is not supported by the Connector Protocol.";

pub(crate) fn route(engine: &Engine, call: &Call, method: &str, path: &[&str]) -> Result<Reply> {
    match (method, path) {
        ("GET", []) => records::list(engine, call),
        ("POST" | "PUT", []) => records::put(engine, call, None),
        (_, ["_secret", ..]) => Err(Problem::unsupported("[_connector/_secret]")),
        ("POST", ["_sync_job"]) => jobs::create(engine, call),
        ("GET", ["_sync_job"]) => jobs::list(engine, call),
        ("GET", ["_sync_job", id]) => jobs::show(engine, id),
        ("DELETE", ["_sync_job", id]) => jobs::delete(engine, id),
        ("PUT", ["_sync_job", id, change]) => jobs::change(engine, call, id, change),
        ("GET", [id]) => records::show(engine, call, id),
        ("PUT", [id]) => records::put(engine, call, Some(id)),
        ("DELETE", [id]) => records::delete(engine, call, id),
        ("PUT", [id, change]) => records::change(engine, call, id, change),
        ("PUT", [id, first, second]) => {
            records::change(engine, call, id, &format!("{first}.{second}"))
        }
        _ => Err(Problem::unsupported(format!(
            "[{method} /_connector/{}]",
            path.join("/")
        ))),
    }
}

/// A check made with the record at hand that failed.
macro_rules! refuse_state {
    ($($reason:tt)*) => {
        crate::errors::refuse!("status_exception", $($reason)*)
    };
}
use refuse_state;

fn missing(index: &str, id: &str) -> Problem {
    let what = if index == JOBS {
        "connector sync job"
    } else {
        "connector"
    };
    Problem::not_found(format!("{what} [{id}] not found"))
}

/// A record with its index, inside a transaction.
fn find(
    engine: &Engine,
    batch: &mut Batch,
    name: &str,
    id: &str,
) -> Result<(Arc<Index>, Document, Value)> {
    let index = target(engine, batch, name, false).map_err(|_| missing(name, id))?;
    let document = batch.get(&index, id)?.ok_or_else(|| missing(name, id))?;
    let record = serde_json::from_str(&document.source)?;
    Ok((index, document, record))
}

/// Changes one record.
fn edit(
    engine: &Engine,
    name: &str,
    id: &str,
    change: impl FnOnce(&Batch, &mut Value) -> Result<()>,
) -> Result<Reply> {
    let result = engine.storage.write(|batch| {
        let (index, document, mut record) = find(engine, batch, name, id)?;
        if record["deleted"] == true {
            return Err(missing(name, id));
        }
        let before = record.clone();
        change(batch, &mut record)?;
        if record == before {
            return Ok("noop");
        }
        write(batch, &index, id, &record, Some(&document))?;
        Ok("updated")
    })?;
    Reply::ok(json!({"result": result}))
}

fn write(
    batch: &mut Batch,
    index: &Arc<Index>,
    id: &str,
    record: &Value,
    former: Option<&Document>,
) -> Result<()> {
    let map = record
        .as_object()
        .ok_or_else(|| Problem::internal("a record is not an object"))?;
    store(batch, index, id, map, record.to_string(), former)?;
    Ok(())
}

/// All stored records that `wanted` takes, in the order of their last writes. The id is not part of a stored record,
/// yet every answer has it.
fn all(engine: &Engine, name: &str, wanted: impl Fn(&Value) -> bool) -> Result<Vec<Value>> {
    let mut records = Vec::new();
    let Some(index) = engine.storage.catalogue().get(name).cloned() else {
        return Ok(records);
    };
    engine.storage.view(&index)?.scan(0, |row| {
        let mut record = Map::from_iter([("id".to_owned(), json!(row.id))]);
        record.extend(serde_json::from_str::<Map<String, Value>>(row.source)?);
        let record = Value::Object(record);
        if wanted(&record) {
            records.push(record);
        }
        Ok(true)
    })?;
    Ok(records)
}

/// One page of a list, with the count of all.
fn page(call: &Call, records: &[Value]) -> Result<Reply> {
    let from = call.params.number("from")?.unwrap_or(0) as usize;
    let size = call.params.number("size")?.unwrap_or(100) as usize;
    let results: Vec<&Value> = records.iter().skip(from).take(size).collect();
    Reply::ok(json!({"count": records.len(), "results": results}))
}

/// Whether a record passes a filter of the address: a list of values, or nothing at all.
fn passes(call: &Call, parameter: &str, value: &Value) -> bool {
    let wanted = call.params.text(parameter).unwrap_or_default();
    wanted.is_empty() || wanted.split(',').any(|wanted| value == wanted)
}
