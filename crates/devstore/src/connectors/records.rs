//! Connectors.

use serde_json::{Value, json};

use super::{
    CONNECTORS, JOBS, all, configuration, edit, filtering, find, missing, page, passes, refused,
    stored, write,
};
use crate::dates;
use crate::documents::merge;
use crate::engine::Engine;
use crate::errors::Problem;
use crate::http::{Call, Reply};
use crate::indices::{check_name, target};
use crate::storage::{Batch, Index};

/// The states that may follow a state.
const TRANSITIONS: [(&str, &[&str]); 5] = [
    ("created", &["needs_configuration", "error"]),
    ("needs_configuration", &["configured", "error"]),
    (
        "configured",
        &["needs_configuration", "configured", "connected", "error"],
    ),
    ("connected", &["connected", "configured", "error"]),
    ("error", &["connected", "configured", "error"]),
];
/// The beginning of the index names of connectors that Elastic runs.
const NATIVE_PREFIX: &str = "content-";

pub(super) fn list(engine: &Engine, call: &Call) -> Result<Reply, Problem> {
    for name in call
        .params
        .text("index_name")
        .into_iter()
        .flat_map(|names| names.split(','))
    {
        check_name(name)?;
    }
    let (with_deleted, query) = (
        call.params.flag("include_deleted")?,
        call.params.text("query"),
    );
    let mut records = all(engine, CONNECTORS, |record| {
        let found = |query: &str| {
            ["index_name", "name", "description"].iter().any(|key| {
                record[*key]
                    .as_str()
                    .is_some_and(|text| text.contains(query))
            })
        };
        (with_deleted || record["deleted"] != true)
            && passes(call, "index_name", &record["index_name"])
            && passes(call, "connector_name", &record["name"])
            && passes(call, "service_type", &record["service_type"])
            && query.is_none_or(found)
    })?;
    // Those without an index stand at the end.
    records.sort_by_key(|record| {
        (
            record["index_name"].is_null(),
            record["index_name"].as_str().map(str::to_owned),
        )
    });
    page(call, &records)
}

pub(super) fn show(engine: &Engine, call: &Call, id: &str) -> Result<Reply, Problem> {
    let with_deleted = call.params.flag("include_deleted")?;
    let record =
        stored(engine, CONNECTORS, id)?.filter(|record| with_deleted || record["deleted"] != true);
    Reply::ok(&record.ok_or_else(|| missing(CONNECTORS, id))?)
}

/// Refuses an index name that is no index name, is taken, or does not suit a native connector.
fn check_index(
    batch: &Batch,
    index: &Index,
    id: &str,
    name: &Value,
    native: bool,
) -> Result<(), Problem> {
    let Some(name) = name.as_str() else {
        return Ok(());
    };
    check_name(name)?;
    for other in batch.all(index)?.iter().filter(|other| other.id != id) {
        let record: Value = serde_json::from_str(&other.source)?;
        if record["index_name"] == name && record["deleted"] != true {
            return Err(refused(format!(
                "Index name [{name}] is used by another connector."
            )));
        }
    }
    if native && !name.starts_with(NATIVE_PREFIX) {
        return Err(refused(format!(
            "Index attached to a native connector must start with the prefix: [{NATIVE_PREFIX}]. The index name in the payload [{name}] doesn't comply."
        )));
    }
    Ok(())
}

pub(super) fn put(engine: &Engine, call: &Call, id: Option<&str>) -> Result<Reply, Problem> {
    let body = call.object("connector.put")?;
    let id = id.map_or_else(|| engine.random_name(), |id| Ok(id.to_owned()))?;
    let (now, native) = (dates::now(), body["is_native"] == true);
    let schedule = json!({"enabled": false, "interval": "0 0 0 * * ?"});
    let mut record = json!({
        "configuration": {}, "custom_scheduling": {}, "deleted": false,
        "filtering": filtering::default_filtering(&now),
        "index_name": body["index_name"], "is_native": native, "language": body["language"], "name": body["name"].as_str().unwrap_or_default(),
        "scheduling": {"access_control": schedule, "full": schedule, "incremental": schedule},
        "service_type": body["service_type"], "status": if native { "needs_configuration" } else { "created" }, "sync_now": false,
        "last_access_control_sync_error": null, "last_access_control_sync_scheduled_at": null, "last_access_control_sync_status": null,
        "last_deleted_document_count": null, "last_incremental_sync_scheduled_at": null, "last_indexed_document_count": null,
        "last_sync_error": null, "last_sync_scheduled_at": null, "last_sync_status": null, "last_synced": null,
    });
    if let Some(description) = body["description"].as_str() {
        record["description"] = json!(description);
    }
    let created = engine.storage.write(|batch| {
        let index = target(engine, batch, CONNECTORS, true)?;
        check_index(batch, &index, &id, &record["index_name"], native)?;
        let former = batch.get(&index, &id)?;
        write(batch, &index, &id, &record, former.as_ref())?;
        Ok(former.is_none())
    })?;
    let (status, result) = if created {
        (201, "created")
    } else {
        (200, "updated")
    };
    Reply::with(status, &json!({"result": result, "id": id}))
}

pub(super) fn delete(engine: &Engine, call: &Call, id: &str) -> Result<Reply, Problem> {
    let (hard, with_jobs) = (
        call.params.flag("hard")?,
        call.params.flag("delete_sync_jobs")?,
    );
    engine.storage.write(|batch| {
        let (index, document, mut record) = find(engine, batch, CONNECTORS, id)?;
        if hard {
            batch.remove(&index, &document)?;
        } else if record["deleted"] == true {
            return Err(missing(CONNECTORS, id));
        } else {
            record["deleted"] = json!(true);
            write(batch, &index, id, &record, Some(&document))?;
        }
        let jobs = batch.catalogue().get(JOBS).filter(|_| with_jobs).cloned();
        let Some(jobs) = jobs else { return Ok(()) };
        for job in batch.all(&jobs)? {
            let record: Value = serde_json::from_str(&job.source)?;
            if record["connector"]["id"] == id {
                batch.remove(&jobs, &job)?;
            }
        }
        Ok(())
    })?;
    Reply::ok(&json!({"acknowledged": true}))
}

/// The updates `PUT /_connector/{id}/{change}`; those of the draft are called `_filtering._validation` and so on.
pub(super) fn change(
    engine: &Engine,
    call: &Call,
    id: &str,
    change: &str,
) -> Result<Reply, Problem> {
    let body = match change {
        "_check_in" | "_filtering._activate" => Value::Null,
        "_last_sync"
        | "_configuration"
        | "_error"
        | "_features"
        | "_filtering"
        | "_filtering._validation"
        | "_index_name"
        | "_name"
        | "_native"
        | "_pipeline"
        | "_scheduling"
        | "_service_type"
        | "_status"
        | "_api_key_id" => call.object(&format!("connector.{change}"))?,
        _ => {
            return Err(Problem::unsupported(format!(
                "[PUT /_connector/{id}/{}]",
                change.replace('.', "/")
            )));
        }
    };
    let fields = body.as_object().cloned().unwrap_or_default();
    let nothing_in = |part: &Value| part.as_object().is_none_or(|part| part.is_empty());
    if matches!(change, "_name" | "_api_key_id" | "_last_sync") && fields.is_empty() {
        return Err(Problem::validation(format!(
            "[{change}] needs at least one field to update"
        )));
    }
    if change == "_scheduling" && nothing_in(&body["scheduling"]) {
        return Err(Problem::validation(
            "[scheduling] object needs to define at least one schedule type: [full | incremental | access_control]",
        ));
    }
    edit(engine, CONNECTORS, id, |batch, record| {
        let was = record["status"].as_str().unwrap_or_default().to_owned();
        match change {
            "_check_in" => record["last_seen"] = json!(dates::now()),
            "_configuration" => configuration::change(record, &body)?,
            "_error" => {
                let error = body["error"].as_str().filter(|error| !error.is_empty());
                record["error"] = json!(error);
                record["status"] = json!(if error.is_some() {
                    "error"
                } else {
                    "connected"
                });
            }
            "_filtering" => filtering::change(record, &body)?,
            "_filtering._validation" => filtering::validate(record, &body["validation"]),
            "_filtering._activate" => filtering::activate(record)?,
            "_index_name" => {
                let index = batch
                    .catalogue()
                    .get(CONNECTORS)
                    .cloned()
                    .ok_or_else(|| missing(CONNECTORS, id))?;
                check_index(
                    batch,
                    &index,
                    id,
                    &body["index_name"],
                    record["is_native"] == true,
                )?;
                record["index_name"] = body["index_name"].clone();
            }
            "_native" => {
                let native = body["is_native"] == true;
                if native
                    && record["index_name"]
                        .as_str()
                        .is_some_and(|name| !name.starts_with(NATIVE_PREFIX))
                {
                    return Err(refused(format!(
                        "The index of a native connector must start with the prefix: [{NATIVE_PREFIX}]."
                    )));
                }
                record["is_native"] = json!(native);
                if was == "connected" {
                    record["status"] = json!("configured");
                }
            }
            "_service_type" => {
                record["service_type"] = body["service_type"].clone();
                record["status"] = json!(if was == "created" {
                    "created"
                } else {
                    "needs_configuration"
                });
            }
            "_status" => {
                let next = body["status"].as_str().unwrap_or_default();
                let allowed = TRANSITIONS
                    .iter()
                    .find(|(from, _)| *from == was)
                    .is_some_and(|(_, to)| to.contains(&next));
                if !allowed {
                    return Err(refused(format!(
                        "Invalid transition attempt from [{was}] to [{next}]. Such a status transition is not supported by the Connector Protocol."
                    )));
                }
                record["status"] = json!(next);
            }
            // The others are laid over what is there.
            _ => {
                if let Value::Object(record) = record {
                    merge(record, fields);
                }
            }
        }
        Ok(())
    })
}
