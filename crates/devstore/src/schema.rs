//! The shapes of request bodies, read from `templates/requests.json`, so that bad input is refused in one place.
//!
//! A shape is an object of keys (`key!` must be there, `*` is any other key, `...name` takes in another shape), a list
//! with the shape of its items, `@name` of another shape, or words joined by `|`: `text`, `number`, `int` (zero or
//! more), `whole`, `bool`, `object`, `list`, `null`, `any`, `date`, `cron`, `=one,of,these`. `unsupported` marks what
//! Elasticsearch takes and this store does not.

use std::sync::LazyLock;

use serde_json::Value;

use crate::connectors::schedule;
use crate::dates;
use crate::errors::{Problem, Result};

static SHAPES: LazyLock<Value> = LazyLock::new(|| {
    serde_json::from_str(include_str!("templates/requests.json")).unwrap_or_default()
});

/// Checks a body against the shape of that name.
pub(crate) fn check(name: &str, body: &Value) -> Result<()> {
    fits(&SHAPES[name], body, name)
}

/// Whether a list of names such as `unsupported_queries` has this one.
pub(crate) fn lists(list: &str, name: &str) -> bool {
    SHAPES[list]
        .as_array()
        .is_some_and(|names| names.iter().any(|known| known == name))
}

/// Whether there is a shape of that name.
pub(crate) fn knows(name: &str) -> bool {
    SHAPES[name].is_object()
}

fn refuse(reason: String) -> Problem {
    Problem::new(400, "x_content_parse_exception", reason)
}

fn fits(shape: &'static Value, value: &Value, path: &str) -> Result<()> {
    match shape {
        Value::String(words) => word_fits(words, value, path),
        Value::Array(items) => match (value, items.first()) {
            (Value::Array(values), Some(shape)) => {
                values.iter().try_for_each(|value| fits(shape, value, path))
            }
            _ => Err(refuse(format!("[{path}] must be a list, not {value}"))),
        },
        shape => {
            let object = value
                .as_object()
                .ok_or_else(|| refuse(format!("[{path}] must be an object, not {value}")))?;
            for (key, value) in object {
                let shape = shape_of(shape, key)
                    .ok_or_else(|| refuse(format!("[{path}] unknown field [{key}]")))?;
                fits(shape, value, &format!("{path}.{key}"))?;
            }
            match required(shape)
                .into_iter()
                .find(|key| !object.contains_key(*key))
            {
                Some(key) => Err(refuse(format!("Required [{key}] is missing in [{path}]"))),
                None => Ok(()),
            }
        }
    }
}

/// The shapes that `...name` takes in.
fn included(shape: &'static Value) -> impl Iterator<Item = &'static Value> {
    let names = shape
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(key, _)| key.strip_prefix("..."));
    names.map(|name| &SHAPES[name])
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
        let text = value.as_str();
        let fit = match word {
            "any" => true,
            "text" => value.is_string(),
            "number" => value.is_number(),
            "int" => value.is_u64(),
            "whole" => value.is_i64(),
            "bool" => value.is_boolean(),
            "object" => value.is_object(),
            "list" => value.is_array(),
            "null" => value.is_null(),
            "date" => value.is_i64() || text.is_some_and(|text| dates::parse(text).is_some()),
            "cron" => text.is_some_and(schedule::is_valid),
            "unsupported" => {
                return Err(Problem::unsupported(format!(
                    "[{path}] with the value {value}"
                )));
            }
            _ => match (word.strip_prefix('@'), word.strip_prefix('=')) {
                (Some(name), _) if words.len() == word.len() => {
                    return fits(&SHAPES[name], value, path);
                }
                (Some(name), _) => {
                    !value.is_null() && fits(&SHAPES[name], value, path).map(|()| true)?
                }
                (_, Some(list)) => {
                    let text = text.map_or_else(|| value.to_string(), str::to_owned);
                    list.split(',').any(|known| known == text)
                }
                _ => false,
            },
        };
        if fit {
            return Ok(());
        }
    }
    Err(refuse(format!(
        "[{path}] must be {}, not {value}",
        words.replace('|', " or ").replace('=', "one of ")
    )))
}
