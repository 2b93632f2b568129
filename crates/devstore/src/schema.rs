//! What a body may say: one check for all of them, so that bad input is refused in one place.

use serde_json::Value;

use crate::errors::{Result, refuse, unsupported};
use crate::select::plain_text;

/// Checks an object against the keys that are known, `key:kind|kind` with a `!` behind those that must be there.
/// A kind is `text`, `number`, `int` (zero or more), `bool`, `object`, `list`, `null`, `any`; `=one,two` lists values.
/// Keys and values that are not there are answered 501: Elasticsearch may know them.
pub(crate) fn check(path: &str, value: &Value, keys: &str) -> Result<()> {
    let Some(object) = value.as_object() else {
        refuse!("[{path}] must be an object, not {value}")
    };
    let known = || keys.split(' ').filter_map(|key| key.split_once(':'));
    for (key, value) in object {
        let is_this = |(name, _): &(&str, &str)| name.trim_end_matches('!') == key;
        let Some((_, kinds)) = known().find(is_this) else {
            unsupported!("[{path}.{key}]")
        };
        match kinds.strip_prefix('=') {
            Some(values) if values.split(',').all(|known| known != plain_text(value)) => {
                unsupported!("[{path}.{key}] with the value {value}")
            }
            None if !kinds.split('|').any(|kind| is(kind, value)) => {
                refuse!("[{path}.{key}] must be {kinds}, not {value}")
            }
            _ => {}
        }
    }
    let mut required = known().filter_map(|(name, _)| name.strip_suffix('!'));
    match required.find(|key| !object.contains_key(*key)) {
        Some(key) => refuse!("Required [{key}] is missing in [{path}]"),
        None => Ok(()),
    }
}

fn is(kind: &str, value: &Value) -> bool {
    match kind {
        "text" => value.is_string(),
        "number" => value.is_number(),
        "int" => value.is_u64(),
        "bool" => value.is_boolean(),
        "object" => value.is_object(),
        "list" => value.is_array(),
        "null" => value.is_null(),
        _ => true,
    }
}
