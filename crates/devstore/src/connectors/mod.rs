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
use crate::errors::Problem;
use crate::http::{Call, Reply};
use crate::indices::target;
use crate::storage::{Batch, Document, Index};

const CONNECTORS: &str = ".elastic-connectors-v1";
const JOBS: &str = ".elastic-connectors-sync-jobs-v1";

pub(crate) fn route(
    engine: &Engine,
    call: &Call,
    method: &str,
    path: &[&str],
) -> Result<Reply, Problem> {
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
fn refused(reason: impl Into<String>) -> Problem {
    Problem::new(400, "status_exception", reason)
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
fn find(
    engine: &Engine,
    batch: &mut Batch,
    name: &str,
    id: &str,
) -> Result<(Arc<Index>, Document, Value), Problem> {
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
    change: impl FnOnce(&Batch, &mut Value) -> Result<(), Problem>,
) -> Result<Reply, Problem> {
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
    Reply::ok(&json!({"result": result}))
}

fn write(
    batch: &mut Batch,
    index: &Arc<Index>,
    id: &str,
    record: &Value,
    former: Option<&Document>,
) -> Result<(), Problem> {
    let Value::Object(map) = record else {
        return Err(Problem::internal("a record is not an object"));
    };
    store(batch, index, id, map, record.to_string(), former)?;
    Ok(())
}

/// A stored record; `None` if there is none, or no index yet.
fn stored(engine: &Engine, name: &str, id: &str) -> Result<Option<Value>, Problem> {
    let catalogue = engine.storage.catalogue();
    let Some(index) = catalogue.get(name) else {
        return Ok(None);
    };
    let document = engine.storage.view(index)?.get(id)?;
    document
        .map(|document| Ok(with_id(id, serde_json::from_str(&document.source)?)))
        .transpose()
}

/// All stored records that `wanted` takes, in the order of their last writes.
fn all(
    engine: &Engine,
    name: &str,
    wanted: impl Fn(&Value) -> bool,
) -> Result<Vec<Value>, Problem> {
    let catalogue = engine.storage.catalogue();
    let mut records = Vec::new();
    if let Some(index) = catalogue.get(name) {
        engine.storage.view(index)?.scan(0.., |_, row| {
            let record = with_id(row.id, serde_json::from_str(row.source)?);
            if wanted(&record) {
                records.push(record);
            }
            Ok(true)
        })?;
    }
    Ok(records)
}

/// The id is not part of a stored record, yet every answer has it.
fn with_id(id: &str, record: Map<String, Value>) -> Value {
    let mut shown = Map::from_iter([("id".to_owned(), json!(id))]);
    shown.extend(record);
    Value::Object(shown)
}

/// One page of a list, with the count of all.
fn page(call: &Call, records: &[Value]) -> Result<Reply, Problem> {
    let number = |key: &str, default: u64| -> Result<usize, Problem> {
        let number = call.params.number(key)?.unwrap_or(default);
        usize::try_from(number).map_err(|_| Problem::illegal(format!("[{key}] is too large")))
    };
    let (from, size) = (number("from", 0)?, number("size", 100)?);
    let results: Vec<&Value> = records.iter().skip(from).take(size).collect();
    Reply::ok(&json!({"count": records.len(), "results": results}))
}

/// Whether a record passes a filter of the address: a list of values, or nothing at all.
fn passes(call: &Call, parameter: &str, value: &Value) -> bool {
    let wanted = call
        .params
        .text(parameter)
        .filter(|wanted| !wanted.is_empty());
    wanted.is_none_or(|wanted| wanted.split(',').any(|wanted| value == wanted))
}
