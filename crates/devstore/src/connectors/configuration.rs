//! Configuration fields of connectors.

use serde_json::{Map, Value, json};

use crate::errors::Problem;

/// Keys of a configuration field, in the order in which they are stored.
const KEYS: [&str; 15] = [
    "category",
    "default_value",
    "depends_on",
    "display",
    "label",
    "options",
    "order",
    "placeholder",
    "required",
    "sensitive",
    "tooltip",
    "type",
    "ui_restrictions",
    "validations",
    "value",
];

/// `PUT _configuration`: a whole new `configuration`, or new `values` for fields that are there.
pub(super) fn change(record: &mut Value, body: &Value) -> Result<(), Problem> {
    let given = |key: &str| body.get(key).and_then(Value::as_object);
    match (given("configuration"), given("values")) {
        (Some(_), Some(_)) => {
            return Err(Problem::validation(
                "[configuration] and [values] cannot both be provided in the same request.",
            ));
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
            record["configuration"] = Value::Object(fields.collect::<Result<_, Problem>>()?);
        }
        (None, Some(values)) => {
            let unknown: Vec<&str> = values
                .keys()
                .map(String::as_str)
                .filter(|key| record["configuration"][*key].is_null())
                .collect();
            if !unknown.is_empty() {
                return Err(Problem::validation(format!(
                    "Unknown [configuration] fields in the request payload: [{}]. Remove them from request or register their schema first.",
                    unknown.join(", ")
                )));
            }
            for (key, value) in values {
                record["configuration"][key]["value"] = value.clone();
            }
        }
    }
    record["status"] = json!("configured");
    Ok(())
}

/// A field as it is stored: unknown keys and nulls go, defaults come.
fn stored_form(name: &str, field: &Value) -> Result<Value, Problem> {
    let number = |constraint: &Value| constraint.is_number();
    for validation in field["validations"].as_array().into_iter().flatten() {
        let constraint = &validation["constraint"];
        let fits = match validation["type"].as_str() {
            Some("less_than" | "greater_than") => number(constraint),
            Some("included_in") => constraint.is_array(),
            _ => constraint.is_string(),
        };
        if !fits {
            let reason = format!(
                "[configuration] the constraint {constraint} of field [{name}] does not fit its validation"
            );
            return Err(Problem::new(400, "x_content_parse_exception", reason));
        }
    }
    let mut stored = Map::new();
    for key in KEYS {
        let value = &field[key];
        match key {
            "default_value" | "value" => drop(stored.insert(key.to_owned(), value.clone())),
            "required" | "sensitive" => drop(stored.insert(key.to_owned(), json!(*value == true))),
            // A tooltip may be null and stay so.
            "tooltip" if field.get(key).is_some() => {
                drop(stored.insert(key.to_owned(), value.clone()))
            }
            _ if value.is_null() => {}
            _ => drop(stored.insert(key.to_owned(), value.clone())),
        }
    }
    Ok(Value::Object(stored))
}
