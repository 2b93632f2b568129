//! Configuration fields of connectors.

use serde_json::{Map, Value, json};

use crate::errors::{Problem, Result, refuse};

/// Keys of a configuration field, in the order in which they are stored.
const KEYS: &str = "category default_value depends_on display label options order placeholder required sensitive tooltip type ui_restrictions validations value";

/// `PUT _configuration`: a whole new `configuration`, or new `values` for fields that are there.
pub(super) fn change(record: &mut Value, body: &Value) -> Result<()> {
    let configuration = &mut record["configuration"];
    match (
        body["configuration"].as_object(),
        body["values"].as_object(),
    ) {
        (Some(_), Some(_)) => {
            let wrong = "[configuration] and [values] cannot both be provided in the same request.";
            return Err(Problem::validation(wrong));
        }
        (None, None) => {
            return Err(Problem::validation(
                "[configuration] and [values] cannot both be null.",
            ));
        }
        (Some(fields), None) => {
            let fields = fields
                .iter()
                .map(|(name, field)| Ok((name.clone(), stored_form(name, field)?)));
            *configuration = Value::Object(fields.collect::<Result<_>>()?);
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
        }
    }
    record["status"] = json!("configured");
    Ok(())
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
    let mut stored = Map::new();
    for key in KEYS.split(' ') {
        let value = match key {
            "default_value" | "value" => Some(field[key].clone()),
            "required" | "sensitive" => Some(json!(field[key] == true)),
            // A tooltip may be null and stay so.
            "tooltip" => field.get(key).cloned(),
            _ => field.get(key).filter(|value| !value.is_null()).cloned(),
        };
        stored.extend(value.map(|value| (key.to_owned(), value)));
    }
    Ok(Value::Object(stored))
}
