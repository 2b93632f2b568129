//! The shapes of request bodies, read from `templates/requests.json`, so that bad input is refused in one place.
//!
//! A shape is an object of keys (`key!` must be there, `*` is any other key, `...name` takes in another shape), a list
//! with the shape of its items, or words joined by `|`, the first that fits decides: `text`, `number`, `int` (zero or
//! more), `whole`, `bool`, `object`, `list`, `null`, `any`, `date`, `cron`, `=one,of,these`, `@name` of another shape.
//! `unsupported` marks what Elasticsearch takes and this store does not.

use std::sync::LazyLock;

use serde_json::Value;

use crate::dates;
use crate::errors::{Problem, Result, refuse};
use crate::select::plain_text;

static SHAPES: LazyLock<Value> = LazyLock::new(|| {
    serde_json::from_str(include_str!("templates/requests.json")).unwrap_or_default()
});

/// Checks a body against the shape of that name.
pub(crate) fn check(name: &str, body: &Value) -> Result<()> {
    fits(&SHAPES[name], body, name)
}

/// Whether a list of names such as `unsupported_queries` has this one.
pub(crate) fn lists(list: &str, name: &str) -> bool {
    let names = SHAPES[list].as_str().unwrap_or_default();
    names.split(' ').any(|known| known == name)
}

/// Whether there is a shape of that name.
pub(crate) fn knows(name: &str) -> bool {
    SHAPES[name].is_object()
}

fn fits(shape: &'static Value, value: &Value, path: &str) -> Result<()> {
    match (shape, value) {
        (Value::String(words), _) => word_fits(words, value, path),
        (Value::Array(shapes), Value::Array(values)) => {
            let mut each = values.iter();
            each.try_for_each(|value| fits(&shapes[0], value, path))
        }
        (Value::Array(_), _) => {
            refuse!(
                "x_content_parse_exception",
                "[{path}] must be a list, not {value}"
            )
        }
        (_, Value::Object(object)) => {
            for (key, value) in object {
                let Some(shape) = shape_of(shape, key) else {
                    refuse!(
                        "x_content_parse_exception",
                        "[{path}] unknown field [{key}]"
                    )
                };
                fits(shape, value, &format!("{path}.{key}"))?;
            }
            let mut required = required(shape).into_iter();
            match required.find(|key| !object.contains_key(*key)) {
                Some(key) => {
                    refuse!(
                        "x_content_parse_exception",
                        "Required [{key}] is missing in [{path}]"
                    )
                }
                None => Ok(()),
            }
        }
        _ => refuse!(
            "x_content_parse_exception",
            "[{path}] must be an object, not {value}"
        ),
    }
}

/// The shapes that `...name` takes in.
fn included(shape: &'static Value) -> impl Iterator<Item = &'static Value> {
    let keys = shape.as_object().into_iter().flatten().map(|(key, _)| key);
    keys.filter_map(|key| Some(&SHAPES[key.strip_prefix("...")?]))
}

fn shape_of(shape: &'static Value, key: &str) -> Option<&'static Value> {
    let own = shape.get(key).or_else(|| shape.get(format!("{key}!")));
    own.or_else(|| included(shape).find_map(|shape| shape_of(shape, key)))
        .or_else(|| shape.get("*"))
}

fn required(shape: &'static Value) -> Vec<&'static str> {
    let own = shape.as_object().into_iter().flatten();
    let own = own.filter_map(|(key, _)| key.strip_suffix('!'));
    own.chain(included(shape).flat_map(required)).collect()
}

fn word_fits(words: &'static str, value: &Value, path: &str) -> Result<()> {
    for word in words.split('|') {
        let is_fit = match word {
            "any" => true,
            "text" => value.is_string(),
            "number" => value.is_number(),
            "int" => value.is_u64(),
            "whole" => value.is_i64(),
            "bool" => value.is_boolean(),
            "object" => value.is_object(),
            "list" => value.is_array(),
            "null" => value.is_null(),
            "date" => {
                value.is_i64()
                    || value
                        .as_str()
                        .is_some_and(|text| dates::parse(text).is_some())
            }
            "cron" => value.as_str().is_some_and(is_cron),
            "unsupported" => {
                return Err(Problem::unsupported(format!(
                    "[{path}] with the value {value}"
                )));
            }
            _ => match word.split_at(1) {
                ("@", name) => return fits(&SHAPES[name], value, path),
                (_, list) => list.split(',').any(|known| known == plain_text(value)),
            },
        };
        if is_fit {
            return Ok(());
        }
    }
    let words = words.replace('|', " or ").replace('=', "one of ");
    refuse!(
        "x_content_parse_exception",
        "[{path}] must be {words}, not {value}"
    )
}

fn is_cron(text: &str) -> bool {
    cronp::Schedule::<cronp::Quartz, 2>::parse(text).is_ok()
}
