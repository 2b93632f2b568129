//! Reading JSON trees: patterns, `_source` filters and `filter_path`.

use std::slice;

use serde_json::{Map, Value, json};

/// A text as it is, everything else as JSON.
pub(crate) fn plain_text(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

/// The items of a list, or the one value that stands for a list of one.
pub(crate) fn many(value: &Value) -> slice::Iter<'_, Value> {
    match value {
        Value::Null => [].iter(),
        Value::Array(items) => items.iter(),
        one => slice::from_ref(one).iter(),
    }
}

/// The entries of an object; none if it is no object.
pub(crate) fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

/// Visits every single value with its dotted path; lists are walked, nulls are no values.
pub(crate) fn walk<'v>(value: &'v Value, path: &str, visit: &mut impl FnMut(&str, &'v Value)) {
    match value {
        Value::Null => {}
        Value::Array(items) => items.iter().for_each(|item| walk(item, path, visit)),
        Value::Object(object) => {
            let dot = if path.is_empty() { "" } else { "." };
            for (key, child) in object {
                walk(child, &format!("{path}{dot}{key}"), visit);
            }
        }
        scalar => visit(path, scalar),
    }
}

/// Whether `text` fits `pattern`, in which `*` stands for any characters.
pub(crate) fn glob(pattern: &str, text: &str) -> bool {
    let Some((start, end)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let rest = text.strip_prefix(start);
    rest.is_some_and(|rest| {
        let mut ends = rest.char_indices().map(|(at, _)| &rest[at..]);
        end.is_empty() || ends.any(|rest| glob(end, rest)) || glob(end, "")
    })
}

/// The parts of `value` whose paths fit one of the patterns, and all that lies below them; everything if there are no
/// patterns. `*` crosses dots.
pub(crate) fn pick(value: Value, patterns: &[String]) -> Value {
    match patterns {
        [] => value,
        patterns => prune(value, "", patterns).unwrap_or_else(|| json!({})),
    }
}

fn prune(value: Value, path: &str, patterns: &[String]) -> Option<Value> {
    match value {
        Value::Object(object) => {
            let mut pruned = Map::new();
            for (key, child) in object {
                let path = format!("{path}.{key}");
                let is_picked = patterns.iter().any(|pattern| glob(pattern, &path[1..]));
                let child = match is_picked {
                    true => Some(child),
                    false => prune(child, &path, patterns),
                };
                pruned.extend(child.map(|child| (key, child)));
            }
            (!pruned.is_empty()).then_some(Value::Object(pruned))
        }
        Value::Array(items) => {
            let prune = |item| prune(item, path, patterns);
            let pruned: Vec<_> = items.into_iter().filter_map(prune).collect();
            (!pruned.is_empty()).then_some(Value::Array(pruned))
        }
        _ => None,
    }
}
