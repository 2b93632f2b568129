//! The `_connector` interface, as far as the service and the command line use it: connectors and their sync jobs,
//! kept as documents of two indices.
//!
//! Every change is one transaction: read, check, write. A change that changes nothing is answered `noop`.

use serde_json::{Value, json};

use crate::dates;
use crate::documents::{merge, store};
use crate::engine::random_name;
use crate::errors::{Problem, Result, refuse, unsupported};
use crate::http::{Call, Reply};
use crate::indices::{check_name, target};
use crate::select::{entries, plain_text};
use crate::storage::{Batch, Document};

const CONNECTORS: &str = ".elastic-connectors-v1";
const JOBS: &str = ".elastic-connectors-sync-jobs-v1";
const ACCESS_CONTROL_PREFIX: &str = ".search-acl-filter-";
const CONNECTOR: &str = "description:text|null index_name:text|null is_native:bool|null language:text|null \
    name:text|null service_type:text|null";
const JOB: &str = "id!:text job_type:=full,incremental,access_control,null trigger_method:=on_demand,scheduled,null";
const STATS: &str = "deleted_document_count!:int indexed_document_count!:int indexed_document_volume!:int \
    total_document_count:int last_seen:text metadata:object";

pub(crate) fn route(call: &Call, path: &[&str]) -> Result<Reply> {
    match (call.method, path) {
        ("POST", ["_sync_job"]) => create_job(call),
        (_, ["_secret" | "_sync_job"]) => unsupported!("[{} _connector/{}]", call.method, path[0]),
        ("GET", ["_sync_job", id]) => show(call, JOBS, id),
        ("PUT", ["_sync_job", id, change]) => self::change(call, JOBS, id, change),
        ("GET", []) => list(call),
        ("PUT", [id]) => put(call, id),
        ("GET", [id]) => show(call, CONNECTORS, id),
        ("PUT", [id, change @ ..]) => self::change(call, CONNECTORS, id, &change.join("/")),
        _ => unsupported!("[{} /_connector/{}]", call.method, path.join("/")),
    }
}

/// The document of a record that is not marked as deleted; inside of a transaction that it is now.
fn find(call: &Call, name: &str, id: &str) -> Result<Document> {
    if let Ok(view) = call.engine.storage.view(name)
        && let Some(document) = view.get(id)?
        && document.parsed()?["deleted"] != true
    {
        return Ok(document);
    }
    let kind = if name == JOBS {
        "connector sync job"
    } else {
        "connector"
    };
    let reason = format!("{kind} [{id}] not found");
    Err(Problem::new(404, "resource_not_found_exception", reason))
}

/// Writes a whole record.
fn write(batch: &mut Batch, name: &str, id: &str, record: &Value) -> Result<Reply> {
    let index = target(batch, name)?;
    let former = batch.get(&index, id)?;
    store(batch, &index, id, record, former.as_ref())
}

/// A record as answers have it: with its id, which is not stored.
fn shown(document: &Document) -> Result<Value> {
    let mut shown = json!({"id": document.id});
    merge(&mut shown, document.parsed()?);
    Ok(shown)
}

fn show(call: &Call, name: &str, id: &str) -> Result<Reply> {
    Ok((200, shown(&find(call, name, id)?)?))
}

/// All connectors with their ids.
fn connectors(call: &Call) -> Result<Vec<Value>> {
    let Ok(view) = call.engine.storage.view(CONNECTORS) else {
        return Ok(Vec::new());
    };
    let mut records = Vec::new();
    for document in view.live(0)? {
        records.push(shown(&document?)?);
    }
    records.retain(|record| record["deleted"] != true);
    Ok(records)
}

/// A page of all connectors; those without an index stand at the end.
fn list(call: &Call) -> Result<Reply> {
    let mut records = connectors(call)?;
    let name = |record: &Value| record["index_name"].as_str().map(str::to_owned);
    records.sort_by_key(|record| (name(record).is_none(), name(record)));
    let from = call.number("from")?.unwrap_or(0) as usize;
    let size = call.number("size")?.unwrap_or(100) as usize;
    let results: Vec<&Value> = records.iter().skip(from).take(size).collect();
    Ok((200, json!({"count": records.len(), "results": results})))
}

/// A connector of which nothing is known yet.
fn blank() -> Result<Value> {
    let rules =
        include_str!("templates/rules.json").replace("NOW", &json!(dates::now()).to_string());
    let blank = include_str!("templates/connector.json").replace("RULES", &rules);
    let blank = blank.replace(
        "SCHEDULE",
        r#"{"enabled": false, "interval": "0 0 0 * * ?"}"#,
    );
    Ok(serde_json::from_str(&blank)?)
}

/// Makes a connector, or makes it anew.
fn put(call: &Call, id: &str) -> Result<Reply> {
    let (body, mut record) = (call.object("connector", CONNECTOR)?, blank()?);
    for (key, value) in entries(&body).filter(|(_, value)| !value.is_null()) {
        record[key] = value.clone();
    }
    let (status, written) = call.engine.storage.write(|batch| {
        if let Some(name) = record["index_name"].as_str() {
            check_name(name)?;
            let is_other = |other: &Value| other["index_name"] == name && other["id"] != id;
            if connectors(call)?.iter().any(is_other) {
                refuse!("Index name [{name}] is used by another connector.");
            }
        }
        write(batch, CONNECTORS, id, &record)
    })?;
    Ok((status, json!({"result": written["result"], "id": id})))
}

/// The changes that have calls of their own; the others are changes of the document.
fn change(call: &Call, name: &str, id: &str, change: &str) -> Result<Reply> {
    let keys = match (name, change) {
        (_, "_check_in") | (CONNECTORS, "_filtering/_activate") | (JOBS, "_cancel") => "",
        (CONNECTORS, "_configuration") => "values!:object",
        (CONNECTORS, "_filtering/_validation") => "validation!:object",
        (JOBS, "_claim") => "worker_hostname!:text sync_cursor:object|null",
        (JOBS, "_stats") => STATS,
        _ => unsupported!("[PUT /{}]", call.path.join("/")),
    };
    let body = call.object(change, keys)?;
    let result = call.engine.storage.write(|batch| {
        let mut record = find(call, name, id)?.parsed()?;
        let partial = partial_of(&record, change, body)?;
        if !merge(&mut record, partial) {
            return Ok("noop");
        }
        write(batch, name, id, &record)?;
        Ok("updated")
    })?;
    Ok((200, json!({"result": result})))
}

/// What a change lays over a record.
fn partial_of(record: &Value, change: &str, body: Value) -> Result<Value> {
    let (now, status) = (dates::now(), plain_text(&record["status"]));
    let mut filtering = record["filtering"].clone();
    let draft = filtering[0]["draft"].clone();
    Ok(match (change, status.as_str()) {
        ("_check_in", _) => json!({"last_seen": now}),
        ("_configuration", _) => {
            let mut partial = json!({"status": "configured"});
            for (key, value) in entries(&body["values"]) {
                if !record["configuration"][key].is_object() {
                    refuse!("Unknown [configuration] field in the request payload: [{key}]");
                }
                partial["configuration"][key]["value"] = value.clone();
            }
            partial
        }
        ("_filtering/_validation", _) if draft.is_object() => {
            filtering[0]["draft"]["validation"] = body["validation"].clone();
            json!({"filtering": filtering})
        }
        ("_filtering/_activate", _) if draft["validation"]["state"] == "valid" => {
            filtering[0]["active"] = draft;
            json!({"filtering": filtering})
        }
        ("_filtering/_validation" | "_filtering/_activate", _) => {
            let state = plain_text(&draft["validation"]["state"]);
            refuse!("the draft of the rules is missing or not [valid], but [{state}]")
        }
        ("_claim", _) => {
            let host = &body["worker_hostname"];
            let mut partial = json!({
                "status": "in_progress", "last_seen": now, "started_at": now, "worker_hostname": host
            });
            if body["sync_cursor"].is_object() {
                partial["connector"]["sync_cursor"] = body["sync_cursor"].clone();
            }
            partial
        }
        ("_cancel", "pending" | "suspended") => json!({
            "status": "canceled", "cancelation_requested_at": now, "canceled_at": now, "completed_at": now
        }),
        ("_cancel", "in_progress") => {
            json!({"status": "canceling", "cancelation_requested_at": now})
        }
        ("_cancel", _) => refuse!("Invalid transition from [{status}] to [canceling]."),
        _ => {
            let mut partial = json!({"last_seen": now});
            merge(&mut partial, body);
            partial
        }
    })
}

/// Makes a sync job of a connector.
fn create_job(call: &Call) -> Result<Reply> {
    let body = call.object("sync_job", JOB)?;
    let connector_id = plain_text(&body["id"]);
    let (id, now) = (random_name()?, dates::now());
    call.engine.storage.write(|batch| {
        let connector = find(call, CONNECTORS, &connector_id)?.parsed()?;
        let (index, service_type) = (connector["index_name"].as_str(), &connector["service_type"]);
        let (Some(index), true) = (index, service_type.is_string()) else {
            let missing = "has no index attached or no service type";
            refuse!("Connector [{connector_id}] {missing}.")
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
