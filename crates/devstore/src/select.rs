//! Choosing parts of a JSON tree by path patterns: `_source` filters and `filter_path`.

use serde_json::{Map, Value, json};

use crate::errors::Result;
use crate::http::Params;
use crate::schema;

/// Whether `text` fits `pattern`, in which `*` stands for any characters.
pub(crate) fn glob(pattern: &str, text: &str) -> bool {
    let Some((first, others)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let (middle, last) = others.rsplit_once('*').unwrap_or(("", others));
    for part in middle.split('*') {
        match rest.split_once(part) {
            Some((_, after)) if !part.is_empty() => rest = after,
            Some(_) => {}
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// Path patterns to keep and to leave out. No patterns to keep means keep everything.
#[derive(Debug, Default, Clone)]
pub(crate) struct Selection {
    /// Nothing at all is wanted.
    pub(crate) nothing: bool,
    includes: Vec<String>,
    excludes: Vec<String>,
}

fn list(text: &str) -> impl Iterator<Item = String> {
    text.split(',')
        .map(str::trim)
        .filter(|pattern| !pattern.is_empty())
        .map(str::to_owned)
}

impl Selection {
    /// `filter_path`: patterns with a leading `-` leave out. `**` is as good as `*`: both cross dots.
    pub(crate) fn of_filter_path(text: &str) -> Selection {
        let (out, includes): (Vec<_>, Vec<_>) =
            list(text).partition(|pattern| pattern.starts_with('-'));
        let excludes = out
            .iter()
            .map(|pattern| pattern.trim_start_matches('-').to_owned())
            .collect();
        Selection {
            nothing: false,
            includes,
            excludes,
        }
    }

    /// `_source` of a body: a truth, a pattern, a list of patterns, or includes and excludes.
    pub(crate) fn of_body(value: &Value) -> Result<Selection> {
        let body = match value {
            Value::Bool(_) | Value::Null => json!({}),
            Value::Object(_) => value.clone(),
            patterns => json!({"includes": patterns}),
        };
        schema::check("source_filter", &body)?;
        let patterns = |keys: [&str; 2]| {
            let given = keys.iter().flat_map(|key| {
                body[*key]
                    .as_array()
                    .cloned()
                    .unwrap_or(vec![body[*key].clone()])
            });
            given
                .filter_map(|pattern| pattern.as_str().map(str::to_owned))
                .collect()
        };
        let (includes, excludes) = (
            patterns(["includes", "include"]),
            patterns(["excludes", "exclude"]),
        );
        Ok(Selection {
            nothing: *value == false,
            includes,
            excludes,
        })
    }

    /// `_source`, `_source_includes` and `_source_excludes` of the address; `None` if none is given.
    pub(crate) fn of_params(params: &Params) -> Option<Selection> {
        let keys = ["_source", "_source_includes", "_source_excludes"];
        keys.iter().find_map(|key| params.text(key))?;
        let [source, includes, excludes] = keys.map(|key| params.text(key).unwrap_or_default());
        let patterns = list(source).filter(|pattern| pattern != "true" && pattern != "false");
        let includes = patterns.chain(list(includes)).collect();
        Some(Selection {
            nothing: source == "false",
            includes,
            excludes: list(excludes).collect(),
        })
    }

    /// The chosen parts of `value`.
    pub(crate) fn apply(&self, value: Value) -> Value {
        if self.includes.is_empty() && self.excludes.is_empty() {
            return value;
        }
        self.prune(value, "", self.includes.is_empty())
            .unwrap_or_else(|| json!({}))
    }

    fn prune(&self, value: Value, path: &str, kept: bool) -> Option<Value> {
        let pruned = match value {
            Value::Object(object) => {
                let mut pruned = Map::new();
                for (key, child) in object {
                    let path = if path.is_empty() {
                        key.clone()
                    } else {
                        format!("{path}.{key}")
                    };
                    let fits =
                        |patterns: &[String]| patterns.iter().any(|pattern| glob(pattern, &path));
                    let kept = kept || fits(&self.includes);
                    let child = if fits(&self.excludes) {
                        None
                    } else {
                        self.prune(child, &path, kept)
                    };
                    pruned.extend(child.map(|child| (key, child)));
                }
                Value::Object(pruned)
            }
            Value::Array(items) => items
                .into_iter()
                .filter_map(|item| self.prune(item, path, kept))
                .collect(),
            scalar => return kept.then_some(scalar),
        };
        (kept || (pruned != json!({}) && pruned != json!([]))).then_some(pruned)
    }
}
