//! The `_connector` interface, as far as the service and the command line use it: connectors and their sync jobs,
//! kept as documents of two indices.
//!
//! Every change is one transaction: read, check, write. A change that changes nothing is answered `noop`.

use serde_json::{Map, Value, json};

use crate::dates;
use crate::documents::{merge, store};
use crate::engine::random_name;
use crate::errors::{Problem, REQUEST, Result, STATE, refuse, unsupported};
use crate::http::{Call, Reply};
use crate::indices::{check_name, one, target};
use crate::select::{entries, plain_text};
use crate::storage::{Batch, Document};

const CONNECTORS: &str = ".elastic-connectors-v1";
const JOBS: &str = ".elastic-connectors-sync-jobs-v1";
const ACCESS_CONTROL_PREFIX: &str = ".search-acl-filter-";
/// The beginning of the index names of connectors that Elastic runs.
const NATIVE_PREFIX: &str = "content-";

pub(crate) fn route(call: &Call, path: &[&str]) -> Result<Reply> {
    match (call.method, path) {
        ("POST", ["_sync_job"]) => create_job(call),
        (_, ["_secret" | "_sync_job"]) => unsupported!("[{} _connector/{}]", call.method, path[0]),
        ("GET", ["_sync_job", id]) => show(call, JOBS, id, Problem::not_found(id)),
        ("PUT", ["_sync_job", id, change]) => change_job(call, id, change),
        ("GET", []) => list(call),
        ("POST" | "PUT", []) => put(call, random_name()?),
        ("PUT", [id]) => put(call, (*id).to_owned()),
        ("GET", [id]) => show(call, CONNECTORS, id, missing(CONNECTORS, id)),
        ("PUT", [id, change @ ..]) => self::change(call, id, &change.join(".")),
        _ => unsupported!("[{} /_connector/{}]", call.method, path.join("/")),
    }
}

fn missing(index: &str, id: &str) -> Problem {
    match index {
        JOBS => Problem::not_found(format!("connector sync job [{id}] not found")),
        _ => Problem::not_found(format!("connector [{id}] not found")),
    }
}

/// A record inside a transaction. One that is marked as deleted is not there.
fn find(batch: &Batch, name: &str, id: &str) -> Result<(Document, Map<String, Value>)> {
    let index = one(&batch.catalogue, name).map_err(|_| missing(name, id))?;
    let document = batch.get(&index, id)?.ok_or_else(|| missing(name, id))?;
    let record: Map<String, Value> = serde_json::from_str(&document.source)?;
    match record.get("deleted") {
        Some(Value::Bool(true)) => Err(missing(name, id)),
        _ => Ok((document, record)),
    }
}

/// Changes one record.
fn edit(
    call: &Call,
    name: &str,
    id: &str,
    change: impl FnOnce(&mut Map<String, Value>) -> Result<()>,
) -> Result<Reply> {
    let result = call.engine.storage.write(|batch| {
        let (document, record) = find(batch, name, id)?;
        let mut changed = record.clone();
        change(&mut changed)?;
        if record == changed {
            return Ok("noop");
        }
        let index = target(batch, name)?;
        store(batch, &index, id, &changed, Some(&document))?;
        Ok("updated")
    })?;
    Ok((200, json!({"result": result})))
}

/// Writes a whole record, an object. Returns whether it is new.
fn write(batch: &mut Batch, name: &str, id: &str, record: &Value) -> Result<bool> {
    let index = target(batch, name)?;
    let former = batch.get(&index, id)?;
    let record = record.as_object().cloned().unwrap_or_default();
    store(batch, &index, id, &record, former.as_ref())?;
    Ok(former.is_none())
}

/// All records, as answers have them: with their ids, which are not stored.
fn all(call: &Call, name: &str) -> Result<Vec<Value>> {
    let Ok(view) = call.engine.storage.view(name) else {
        return Ok(Vec::new());
    };
    let mut records = Vec::new();
    for document in view.scan(0)? {
        let document = document?;
        let mut record = Map::from_iter([("id".to_owned(), json!(document.id))]);
        record.extend(serde_json::from_str::<Map<_, _>>(&document.source)?);
        if record.get("deleted") != Some(&json!(true)) {
            records.push(Value::Object(record));
        }
    }
    Ok(records)
}

fn show(call: &Call, name: &str, id: &str, missing: Problem) -> Result<Reply> {
    let mut records = all(call, name)?.into_iter();
    match records.find(|record| record["id"] == id) {
        Some(record) => Ok((200, record)),
        None => Err(missing),
    }
}

/// A page of all connectors; those without an index stand at the end.
fn list(call: &Call) -> Result<Reply> {
    let mut records = all(call, CONNECTORS)?;
    let name = |record: &Value| record["index_name"].as_str().map(str::to_owned);
    records.sort_by_key(|record| (name(record).is_none(), name(record)));
    let from = call.number("from")?.unwrap_or(0) as usize;
    let size = call.number("size")?.unwrap_or(100) as usize;
    let results: Vec<&Value> = records.iter().skip(from).take(size).collect();
    Ok((200, json!({"count": records.len(), "results": results})))
}

fn default_filtering() -> Value {
    let now = dates::now();
    let rule = json!({
        "created_at": now, "field": "_", "id": "DEFAULT", "order": 0, "policy": "include", "rule": "regex",
        "updated_at": now, "value": ".*"
    });
    let rules = json!({
        "advanced_snippet": {"created_at": now, "updated_at": now, "value": {}}, "rules": [rule],
        "validation": {"errors": [], "state": "valid"},
    });
    json!([{"active": rules, "domain": "DEFAULT", "draft": rules}])
}

/// Makes a connector, or makes it anew.
fn put(call: &Call, id: String) -> Result<Reply> {
    let body = call.object("connector.put")?;
    let mut record: Value = serde_json::from_str(include_str!("templates/connector.json"))?;
    record["filtering"] = default_filtering();
    for (key, value) in entries(&body).filter(|(_, value)| !value.is_null()) {
        record[key] = value.clone();
    }
    let is_native = record["is_native"] == true;
    if is_native {
        record["status"] = json!("needs_configuration");
    }
    if let Some(name) = record["index_name"].as_str() {
        check_name(name)?;
        if is_native && !name.starts_with(NATIVE_PREFIX) {
            refuse!(
                STATE,
                "A native connector needs an index that begins with {NATIVE_PREFIX}."
            );
        }
    }
    let created = call.engine.storage.write(|batch| {
        let is_same =
            |other: &Value| other["index_name"] == record["index_name"] && other["id"] != id;
        if let Some(name) = record["index_name"].as_str()
            && all(call, CONNECTORS)?.iter().any(is_same)
        {
            refuse!(STATE, "Index name [{name}] is used by another connector.");
        }
        write(batch, CONNECTORS, &id, &record)
    })?;
    Ok(match created {
        true => (201, json!({"result": "created", "id": id})),
        false => (200, json!({"result": "updated", "id": id})),
    })
}

/// The updates `PUT /_connector/{id}/{change}`. The others are changes of the document.
fn change(call: &Call, id: &str, change: &str) -> Result<Reply> {
    let mut body = match change {
        "_check_in" | "_filtering._activate" => json!({}),
        "_configuration" | "_filtering._validation" => {
            call.object(&format!("connector.{change}"))?
        }
        _ => unsupported!("[PUT /_connector/{id}/{change}]"),
    };
    edit(call, CONNECTORS, id, |record| {
        let mut filtering = record.get_mut("filtering").map_or(Value::Null, Value::take);
        if !filtering[0]["draft"].is_object() {
            filtering = default_filtering();
        }
        let draft = &mut filtering[0]["draft"];
        match change {
            "_check_in" => drop(record.insert("last_seen".to_owned(), json!(dates::now()))),
            "_configuration" => configure(record, &body)?,
            "_filtering._validation" => draft["validation"] = body["validation"].take(),
            _ if draft["validation"]["state"] != "valid" => {
                let state = draft["validation"]["state"].as_str().unwrap_or_default();
                refuse!(
                    STATE,
                    "The draft of the rules is [{state}]; it must be [valid] to be activated."
                );
            }
            _ => filtering[0]["active"] = filtering[0]["draft"].clone(),
        }
        record.insert("filtering".to_owned(), filtering);
        Ok(())
    })
}

/// `PUT _configuration`: a whole new `configuration`, or new `values` for fields that are there.
fn configure(record: &mut Map<String, Value>, body: &Value) -> Result<()> {
    let configuration = record.entry("configuration").or_insert_with(|| json!({}));
    match (body.get("configuration"), body.get("values")) {
        (Some(whole), None) => *configuration = whole.clone(),
        (None, Some(values)) => {
            let keys = entries(values).map(|(key, _)| key.as_str());
            let unknown: Vec<&str> = keys.filter(|key| !configuration[key].is_object()).collect();
            if !unknown.is_empty() {
                let (unknown, what) = (unknown.join(", "), "fields in the request payload");
                let advice = "Remove them from request or register their schema first.";
                refuse!(
                    REQUEST,
                    "Validation Failed: 1: Unknown [configuration] {what}: [{unknown}]. {advice};"
                );
            }
            for (key, value) in entries(values) {
                configuration[key]["value"] = value.clone();
            }
        }
        _ => refuse!(
            REQUEST,
            "Validation Failed: 1: give either [configuration] or [values].;"
        ),
    }
    record.insert("status".to_owned(), json!("configured"));
    Ok(())
}

/// Makes a sync job of a connector.
fn create_job(call: &Call) -> Result<Reply> {
    let body = call.object("job.post")?;
    let connector_id = body["id"].as_str().unwrap_or_default();
    let (id, now) = (random_name()?, dates::now());
    call.engine.storage.write(|batch| {
        let (_, connector) = find(batch, CONNECTORS, connector_id)?;
        let connector = Value::Object(connector);
        let (index, service_type) = (connector["index_name"].as_str(), &connector["service_type"]);
        let (Some(index), true) = (index, service_type.is_string()) else {
            refuse!(STATE, "Connector [{connector_id}] has no index attached or no service type.")
        };
        let job_type = body["job_type"].as_str().unwrap_or("full");
        let prefix = if job_type == "access_control" { ACCESS_CONTROL_PREFIX } else { "" };
        let (index, filtering) = (format!("{prefix}{index}"), &connector["filtering"][0]["active"]);
        // What the connector is now; later changes of it do not reach this job.
        let mut snapshot = json!({"id": connector_id, "filtering": filtering, "index_name": index});
        for key in ["language", "pipeline", "service_type", "configuration"] {
            if let Some(value) = connector.get(key) {
                snapshot[key] = value.clone();
            }
        }
        let job = json!({
            "connector": snapshot, "created_at": now, "deleted_document_count": 0, "indexed_document_count": 0,
            "indexed_document_volume": 0, "job_type": job_type, "last_seen": now, "metadata": {}, "status": "pending",
            "total_document_count": 0, "trigger_method": body["trigger_method"].as_str().unwrap_or("on_demand"),
        });
        write(batch, JOBS, &id, &job)
    })?;
    Ok((201, json!({"id": id})))
}

/// The updates `PUT /_connector/_sync_job/{id}/{change}`.
fn change_job(call: &Call, id: &str, change: &str) -> Result<Reply> {
    let mut body = match change {
        "_check_in" | "_cancel" => json!({}),
        "_claim" | "_stats" => call.object(&format!("job.{change}"))?,
        _ => unsupported!("[PUT /_connector/_sync_job/{id}/{change}]"),
    };
    let now = json!(dates::now());
    edit(call, JOBS, id, |job| {
        let status = job.get("status").map(plain_text).unwrap_or_default();
        match (change, status.as_str()) {
            ("_claim", _) => {
                let cursor = body["sync_cursor"].take();
                if let Some(Value::Object(connector)) = job.get_mut("connector")
                    && cursor.is_object()
                {
                    connector.insert("sync_cursor".to_owned(), cursor);
                }
                body["status"] = json!("in_progress");
                body["last_seen"] = now.clone();
                body["started_at"] = now;
            }
            ("_cancel", "pending" | "suspended") => {
                body = json!({
                    "status": "canceled", "cancelation_requested_at": now, "canceled_at": now, "completed_at": now
                })
            }
            ("_cancel", "in_progress") => {
                body = json!({"status": "canceling", "cancelation_requested_at": now});
            }
            ("_cancel", _) => {
                refuse!(STATE, "Invalid transition from [{status}] to [canceling].")
            }
            _ if body["last_seen"].is_null() => body["last_seen"] = now,
            _ => {}
        }
        if let Value::Object(mut body) = body {
            body.retain(|_, value| !value.is_null());
            merge(job, body);
        }
        Ok(())
    })
}
