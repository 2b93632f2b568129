//! The shapes of request bodies, read from `templates/requests.json`, so that bad input is refused in one place.
//!
//! A shape is an object of keys (`key!` must be there, `*` is any other key, `...name` takes in another shape), a list
//! with the shape of its items, or words joined by `|`: `text`, `number`, `int` (zero or more), `count` (the same,
//! 32 bits), `bool`, `object`, `list`, `null`, `any`, `=one,of,these`. Keys and words that are not there are answered
//! 501: Elasticsearch may know them.

use std::sync::LazyLock;

use serde_json::Value;

use crate::errors::{Result, SHAPE, refuse, unsupported};
use crate::select::{entries, plain_text};

static SHAPES: LazyLock<Value> = LazyLock::new(|| {
    serde_json::from_str(include_str!("templates/requests.json")).unwrap_or_default()
});

/// Checks a body against the shape of that name.
pub(crate) fn check(name: &str, body: &Value) -> Result<()> {
    match &SHAPES[name] {
        Value::Null => unsupported!("[{name}]"),
        shape => fits(shape, body, name),
    }
}

fn fits(shape: &'static Value, value: &Value, path: &str) -> Result<()> {
    match (shape, value) {
        (Value::String(words), _) => word_fits(words, value, path),
        (Value::Array(shapes), Value::Array(values)) => {
            let mut values = values.iter();
            values.try_for_each(|value| fits(&shapes[0], value, path))
        }
        (Value::Object(_), Value::Object(object)) => {
            for (key, value) in object {
                let path = format!("{path}.{key}");
                match shape_of(shape, key) {
                    Some(shape) => fits(shape, value, &path)?,
                    None => unsupported!("[{path}]"),
                }
            }
            match required(shape).find(|key| !object.contains_key(*key)) {
                Some(key) => refuse!(SHAPE, "Required [{key}] is missing in [{path}]"),
                None => Ok(()),
            }
        }
        _ => refuse!(SHAPE, "[{path}] must be an object or a list, not {value}"),
    }
}

/// The shapes that `...name` takes in.
fn included(shape: &'static Value) -> impl Iterator<Item = &'static Value> {
    entries(shape).filter_map(|(key, _)| Some(&SHAPES[key.strip_prefix("...")?]))
}

fn shape_of(shape: &'static Value, key: &str) -> Option<&'static Value> {
    let own = shape.get(key).or_else(|| shape.get(format!("{key}!")));
    let own = own.or_else(|| included(shape).find_map(|shape| shape_of(shape, key)));
    own.or_else(|| shape.get("*"))
}

fn required(shape: &'static Value) -> Box<dyn Iterator<Item = &'static str>> {
    let own = entries(shape).filter_map(|(key, _)| key.strip_suffix('!'));
    Box::new(own.chain(included(shape).flat_map(required)))
}

fn word_fits(words: &'static str, value: &Value, path: &str) -> Result<()> {
    let fits = |word: &str| match word {
        "any" => true,
        "text" => value.is_string(),
        "number" => value.is_number(),
        "int" => value.is_u64(),
        "count" => value.as_u64().is_some_and(|count| count <= i32::MAX as u64),
        "bool" => value.is_boolean(),
        "object" => value.is_object(),
        "list" => value.is_array(),
        "null" => value.is_null(),
        list => list[1..].split(',').any(|known| known == plain_text(value)),
    };
    if words.split('|').any(fits) {
        return Ok(());
    }
    if words.contains('=') && value.is_string() {
        unsupported!("[{path}] with the value {value}");
    }
    refuse!(SHAPE, "[{path}] must be {words}, not {value}")
}
