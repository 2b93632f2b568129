//! The updates `PUT /_connector/{id}/{change}`: most lay their body over the record, some do more.

use serde_json::{Map, Value, json};

use super::{CONNECTORS, edit, missing, refuse_state, rules};
use crate::dates;
use crate::documents::merge;
use crate::errors::{Problem, Result, refuse};
use crate::http::{Call, Reply};
use crate::indices::check_name;
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
/// Keys of a configuration field, in the order in which they are stored.
const FIELD_KEYS: &str = "category default_value depends_on display label options order placeholder required sensitive tooltip type ui_restrictions validations value";

/// Those of the draft are called `_filtering._validation` and so on.
pub(super) fn change(call: &Call, id: &str, change: &str) -> Result<Reply> {
    let shape = format!("connector.{change}");
    if !schema::knows(&shape) {
        return call.unsupported();
    }
    let mut body = match change {
        "_check_in" | "_filtering._activate" => json!({}),
        _ => call.object(&shape)?,
    };
    let wants_fields = match change {
        "_scheduling" => &body["scheduling"],
        "_name" | "_api_key_id" | "_last_sync" => &body,
        _ => &Value::Null,
    };
    if *wants_fields == json!({}) {
        return Err(Problem::validation(format!(
            "[{change}] needs at least one field to update"
        )));
    }
    edit(call, CONNECTORS, id, |batch, record| {
        let was = record
            .get("status")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned();
        match change {
            "_check_in" => body = json!({"last_seen": dates::now()}),
            "_configuration" => {
                configure(record, &body)?;
                body = json!({"status": "configured"});
            }
            "_error" if body["error"].as_str().is_none_or(str::is_empty) => {
                body = json!({"error": null, "status": "connected"});
            }
            "_error" => body["status"] = json!("error"),
            "_filtering" => body = json!({"filtering": rules::changed(record, &body)?}),
            "_filtering._validation" => {
                let mut entry = rules::entry(record);
                entry["draft"]["validation"] = body["validation"].take();
                body = json!({"filtering": [entry]});
            }
            "_filtering._activate" => body = json!({"filtering": [rules::activated(record)?]}),
            "_native" if was == "connected" => body["status"] = json!("configured"),
            "_service_type" if was != "created" => body["status"] = json!("needs_configuration"),
            "_status" => check_transition(&was, body["status"].as_str().unwrap_or_default())?,
            _ => {}
        }
        if let Value::Object(body) = body {
            merge(record, body);
        }
        if matches!(change, "_index_name" | "_native") {
            let index = batch.catalogue.get(CONNECTORS);
            let index = index.ok_or_else(|| missing(CONNECTORS, id))?;
            check_index(batch, index, id, &Value::Object(record.clone()))?;
        }
        Ok(())
    })
}

fn check_transition(was: &str, next: &str) -> Result<()> {
    let allowed = TRANSITIONS.iter().find(|(from, _)| *from == was);
    if allowed.is_some_and(|(_, to)| to.split(' ').any(|to| to == next)) {
        return Ok(());
    }
    refuse_transition(was, next)
}

pub(super) fn refuse_transition<T>(was: &str, next: &str) -> Result<T> {
    refuse_state!(
        "Invalid transition attempt from [{was}] to [{next}]. Such a status transition is not supported by the Connector Protocol."
    )
}

/// Refuses a record whose index name is no index name, is taken, or does not suit a native connector.
pub(super) fn check_index(batch: &Batch, index: &Index, id: &str, record: &Value) -> Result<()> {
    let Some(name) = record["index_name"].as_str() else {
        return Ok(());
    };
    check_name(name)?;
    for other in batch.all(index)?.iter().filter(|other| other.id != id) {
        let other: Value = serde_json::from_str(&other.source)?;
        if other["index_name"] == name && other["deleted"] != true {
            refuse_state!("Index name [{name}] is used by another connector.");
        }
    }
    if record["is_native"] == true && !name.starts_with(NATIVE_PREFIX) {
        refuse_state!(
            "Index attached to a native connector must start with the prefix: [{NATIVE_PREFIX}], not [{name}]."
        );
    }
    Ok(())
}

/// `PUT _configuration`: a whole new `configuration`, or new `values` for fields that are there.
fn configure(record: &mut Map<String, Value>, body: &Value) -> Result<()> {
    let (whole, values) = (
        body["configuration"].as_object(),
        body["values"].as_object(),
    );
    let configuration = record.entry("configuration").or_insert_with(|| json!({}));
    match (whole, values) {
        (Some(_), Some(_)) => {
            let wrong = "[configuration] and [values] cannot both be provided in the same request.";
            Err(Problem::validation(wrong))
        }
        (None, None) => {
            let wrong = "[configuration] and [values] cannot both be null.";
            Err(Problem::validation(wrong))
        }
        (Some(fields), None) => {
            *configuration = json!({});
            for (name, field) in fields {
                configuration[name] = stored_form(name, field)?;
            }
            Ok(())
        }
        (None, Some(values)) => {
            let unknown = values.keys().filter(|key| !configuration[*key].is_object());
            let unknown: Vec<&str> = unknown.map(String::as_str).collect();
            if !unknown.is_empty() {
                let unknown = unknown.join(", ");
                return Err(Problem::validation(format!(
                    "Unknown [configuration] fields in the request payload: [{unknown}]. Remove them from request or register their schema first."
                )));
            }
            for (key, value) in values {
                configuration[key]["value"] = value.clone();
            }
            Ok(())
        }
    }
}

/// A field as it is stored: unknown keys and nulls go, defaults come.
fn stored_form(name: &str, field: &Value) -> Result<Value> {
    for validation in field["validations"].as_array().into_iter().flatten() {
        let constraint = &validation["constraint"];
        let fits = match validation["type"].as_str() {
            Some("less_than" | "greater_than") => constraint.is_number(),
            Some("included_in") => constraint.is_array(),
            _ => constraint.is_string(),
        };
        if !fits {
            refuse!(
                "x_content_parse_exception",
                "the constraint {constraint} of field [{name}] does not fit its validation"
            );
        }
    }
    let mut stored = json!({});
    for key in FIELD_KEYS.split(' ') {
        match (key, field.get(key)) {
            ("required" | "sensitive", given) => stored[key] = json!(given == Some(&json!(true))),
            ("default_value" | "value", given) => stored[key] = json!(given),
            // A tooltip may be null and stay so.
            (_, Some(given)) if !given.is_null() || key == "tooltip" => stored[key] = given.clone(),
            _ => {}
        }
    }
    Ok(stored)
}
