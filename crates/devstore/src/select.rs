//! Reading JSON trees: patterns, `_source` filters and `filter_path`.

use std::slice;

use serde_json::{Map, Value, json};

use crate::errors::Result;
use crate::schema;

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
    let Some((first, others)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let (middle, last) = others.rsplit_once('*').unwrap_or(("", others));
    for part in middle.split('*').filter(|part| !part.is_empty()) {
        let Some((_, after)) = rest.split_once(part) else {
            return false;
        };
        rest = after;
    }
    rest.ends_with(last)
}

/// Path patterns to keep and to leave out. No patterns to keep means keep everything.
#[derive(Default)]
pub(crate) struct Selection {
    /// Nothing at all is wanted.
    pub(crate) nothing: bool,
    includes: Vec<String>,
    excludes: Vec<String>,
}

impl Selection {
    /// `filter_path`: patterns with a leading `-` leave out. `**` is as good as `*`: both cross dots.
    pub(crate) fn of_filter_path(text: &str) -> Selection {
        let mut selection = Selection::default();
        for pattern in text.split(',').filter(|pattern| !pattern.is_empty()) {
            match pattern.strip_prefix('-') {
                Some(pattern) => selection.excludes.push(pattern.to_owned()),
                None => selection.includes.push(pattern.to_owned()),
            }
        }
        selection
    }

    /// `_source` of the address, if it is there, or else that of the body: a truth, a pattern, a list of patterns, or
    /// includes and excludes.
    pub(crate) fn of_source(param: &str, body: &Value) -> Result<Selection> {
        let value = match param {
            "" => body.clone(),
            "true" | "false" => json!(param == "true"),
            patterns => patterns.split(',').collect(),
        };
        let body = match &value {
            Value::Bool(_) | Value::Null => json!({}),
            Value::Object(_) => value.clone(),
            patterns => json!({"includes": patterns}),
        };
        schema::check("source_filter", &body)?;
        let patterns = |key: &str| many(&body[key]).map(plain_text).collect();
        Ok(Selection {
            nothing: value == false,
            includes: patterns("includes"),
            excludes: patterns("excludes"),
        })
    }

    /// The chosen parts of `value`.
    pub(crate) fn apply(&self, value: Value) -> Value {
        if self.includes.is_empty() && self.excludes.is_empty() {
            return value;
        }
        let pruned = self.prune(value, "", self.includes.is_empty());
        pruned.unwrap_or_else(|| json!({}))
    }

    fn prune(&self, value: Value, path: &str, kept: bool) -> Option<Value> {
        let pruned = match value {
            Value::Object(object) => {
                let mut pruned = Map::new();
                for (key, child) in object {
                    let path = format!("{path}.{key}");
                    let fits = |pattern: &String| glob(pattern, &path[1..]);
                    if !self.excludes.iter().any(fits) {
                        let kept = kept || self.includes.iter().any(fits);
                        let child = self.prune(child, &path, kept);
                        pruned.extend(child.map(|child| (key, child)));
                    }
                }
                Value::Object(pruned)
            }
            Value::Array(items) => {
                let items = items.into_iter();
                items
                    .filter_map(|item| self.prune(item, path, kept))
                    .collect()
            }
            scalar => return kept.then_some(scalar),
        };
        (kept || (pruned != json!({}) && pruned != json!([]))).then_some(pruned)
    }
}
