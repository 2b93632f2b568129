//! Reading JSON trees: patterns, `_source` filters and `filter_path`.

use std::slice;

use serde_json::{Map, Value, json};

use crate::errors::Result;
use crate::http::Call;
use crate::schema;

/// A text as it is, everything else as JSON.
pub(crate) fn plain_text(value: &Value) -> String {
    let text = value.as_str().map(str::to_owned);
    text.unwrap_or_else(|| value.to_string())
}

/// The items of a list, or the one value that stands for a list of one.
pub(crate) fn many(value: &Value) -> slice::Iter<'_, Value> {
    match value {
        Value::Null => [].iter(),
        Value::Array(items) => items.iter(),
        one => slice::from_ref(one).iter(),
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
#[derive(Debug, Default)]
pub(crate) struct Selection {
    /// Nothing at all is wanted.
    pub(crate) nothing: bool,
    includes: Vec<String>,
    excludes: Vec<String>,
}

/// The parts of a text between commas.
pub(crate) fn list(text: &str) -> Vec<&str> {
    let parts = text.split(',').map(str::trim);
    parts.filter(|part| !part.is_empty()).collect()
}

impl Selection {
    /// `filter_path`: patterns with a leading `-` leave out. `**` is as good as `*`: both cross dots.
    pub(crate) fn of_filter_path(text: &str) -> Selection {
        let mut selection = Selection::default();
        for pattern in list(text) {
            match pattern.strip_prefix('-') {
                Some(pattern) => selection.excludes.push(pattern.to_owned()),
                None => selection.includes.push(pattern.to_owned()),
            }
        }
        selection
    }

    /// `_source` of a body: a truth, a pattern, a list of patterns, or includes and excludes.
    fn of_body(value: &Value) -> Result<Selection> {
        let body = match value {
            Value::Bool(_) | Value::Null => json!({}),
            Value::Object(_) => value.clone(),
            patterns => json!({"includes": patterns}),
        };
        schema::check("source_filter", &body)?;
        let patterns = |key: &str| many(&body[key]).map(plain_text).collect();
        Ok(Selection {
            nothing: *value == false,
            includes: patterns("includes"),
            excludes: patterns("excludes"),
        })
    }

    /// `_source`, `_source_includes` and `_source_excludes` of the address, or else that of the body.
    pub(crate) fn of_call(call: &Call, body: &Value) -> Result<Selection> {
        let [includes, excludes] =
            ["_source_includes", "_source_excludes"].map(|key| list(call.param(key)));
        match call.param("_source") {
            "" if includes.is_empty() && excludes.is_empty() => Self::of_body(body),
            "" | "true" => Self::of_body(&json!({"includes": includes, "excludes": excludes})),
            "false" => Self::of_body(&json!(false)),
            patterns => Self::of_body(&json!(list(patterns))),
        }
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
