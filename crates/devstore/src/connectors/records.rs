//! Connectors.

use serde_json::{Value, json};

use super::{CONNECTORS, JOBS, UNSUPPORTED_TRANSITION, configuration, filtering};
use super::{all, edit, find, missing, page, passes, refuse_state, write};
use crate::dates;
use crate::documents::merge;
use crate::engine::Engine;
use crate::errors::{Problem, Result};
use crate::http::{Call, Reply};
use crate::indices::{check_name, target};
use crate::schema;
use crate::storage::{Batch, Index};

/// The states that may follow a state.
const TRANSITIONS: [(&str, &str); 5] = [
    ("created", "needs_configuration error"),
    ("needs_configuration", "configured error"),
    (
        "configured",
        "needs_configuration configured connected error",
    ),
    ("connected", "connected configured error"),
    ("error", "connected configured error"),
];
/// The beginning of the index names of connectors that Elastic runs.
const NATIVE_PREFIX: &str = "content-";

pub(super) fn list(engine: &Engine, call: &Call) -> Result<Reply> {
    let names = call
        .params
        .text("index_name")
        .filter(|names| !names.is_empty());
    names
        .into_iter()
        .flat_map(|names| names.split(','))
        .try_for_each(check_name)?;
    let (with_deleted, query) = (
        call.params.flag("include_deleted")?,
        call.params.text("query").unwrap_or_default(),
    );
    let mut records = all(engine, CONNECTORS, |record| {
        let found = |key: &str| {
            record[key]
                .as_str()
                .is_some_and(|text| text.contains(query))
        };
        let mut filters = [
            ("index_name", "index_name"),
            ("connector_name", "name"),
            ("service_type", "service_type"),
        ]
        .iter();
        (with_deleted || record["deleted"] != true)
            && filters.all(|(parameter, key)| passes(call, parameter, &record[*key]))
            && (query.is_empty() || ["index_name", "name", "description"].into_iter().any(found))
    })?;
    // Those without an index stand at the end.
    let place = |record: &Value| {
        record["index_name"]
            .as_str()
            .map_or((true, String::new()), |name| (false, name.to_owned()))
    };
    records.sort_by_key(place);
    page(call, &records)
}

pub(super) fn show(engine: &Engine, call: &Call, id: &str) -> Result<Reply> {
    let with_deleted = call.params.flag("include_deleted")?;
    let wanted = |record: &Value| record["id"] == id && (with_deleted || record["deleted"] != true);
    let record = all(engine, CONNECTORS, wanted)?.pop();
    Reply::ok(record.ok_or_else(|| missing(CONNECTORS, id))?)
}

/// Refuses an index name that is no index name, is taken, or does not suit a native connector.
fn check_index(batch: &Batch, index: &Index, id: &str, name: &Value, native: bool) -> Result<()> {
    let Some(name) = name.as_str() else {
        return Ok(());
    };
    check_name(name)?;
    for other in batch.all(index)?.iter().filter(|other| other.id != id) {
        let record: Value = serde_json::from_str(&other.source)?;
        if record["index_name"] == name && record["deleted"] != true {
            refuse_state!("Index name [{name}] is used by another connector.");
        }
    }
    if native && !name.starts_with(NATIVE_PREFIX) {
        refuse_state!(
            "Index attached to a native connector must start with the prefix: [{NATIVE_PREFIX}], not [{name}]."
        );
    }
    Ok(())
}

pub(super) fn put(engine: &Engine, call: &Call, id: Option<&str>) -> Result<Reply> {
    let body = call.object("connector.put")?;
    let id = id.map_or_else(|| engine.random_name(), |id| Ok(id.to_owned()))?;
    let native = body["is_native"] == true;
    let mut record: Value = serde_json::from_str(include_str!("../templates/connector.json"))?;
    record["filtering"] = filtering::default_filtering(&dates::now());
    record["is_native"] = json!(native);
    record["status"] = json!(if native {
        "needs_configuration"
    } else {
        "created"
    });
    for key in ["index_name", "language", "service_type"] {
        record[key] = body[key].clone();
    }
    record["name"] = json!(body["name"].as_str().unwrap_or_default());
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
    Reply::with(status, json!({"result": result, "id": id}))
}

pub(super) fn delete(engine: &Engine, call: &Call, id: &str) -> Result<Reply> {
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
    Reply::ok(json!({"acknowledged": true}))
}

/// The updates `PUT /_connector/{id}/{change}`; those of the draft are called `_filtering._validation` and so on.
pub(super) fn change(engine: &Engine, call: &Call, id: &str, change: &str) -> Result<Reply> {
    let shape = format!("connector.{change}");
    let body = match change {
        "_check_in" | "_filtering._activate" => json!({}),
        _ if schema::knows(&shape) => call.object(&shape)?,
        _ => {
            return Err(Problem::unsupported(format!(
                "[PUT /_connector/{id}/{change}]"
            )));
        }
    };
    let wants_fields = match change {
        "_scheduling" => Some(&body["scheduling"]),
        "_name" | "_api_key_id" | "_last_sync" => Some(&body),
        _ => None,
    };
    if wants_fields.is_some_and(|fields| *fields == json!({})) {
        return Err(Problem::validation(format!(
            "[{change}] needs at least one field to update"
        )));
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
            "_index_name" | "_native" => {
                let key = if change == "_native" {
                    "is_native"
                } else {
                    "index_name"
                };
                record[key] = body[key].clone();
                let index = batch
                    .catalogue()
                    .get(CONNECTORS)
                    .ok_or_else(|| missing(CONNECTORS, id))?;
                check_index(
                    batch,
                    index,
                    id,
                    &record["index_name"],
                    record["is_native"] == true,
                )?;
                if change == "_native" && was == "connected" {
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
                    .map_or("", |(_, to)| to);
                if !allowed.split(' ').any(|allowed| allowed == next) {
                    refuse_state!(
                        "Invalid transition attempt from [{was}] to [{next}]. {UNSUPPORTED_TRANSITION}"
                    );
                }
                record["status"] = json!(next);
            }
            // The others are laid over what is there.
            _ => {
                if let (Value::Object(record), Value::Object(body)) = (record, body) {
                    merge(record, body);
                }
            }
        }
        Ok(())
    })
}
