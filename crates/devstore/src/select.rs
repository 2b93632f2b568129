//! Choosing parts of a JSON tree by path patterns: `_source` filters and `filter_path`.

use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::errors::Problem;
use crate::http::Params;
use crate::schema;

/// Whether `text` fits `pattern`, in which `*` stands for any characters.
pub(crate) fn glob(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = rest.get(at + part.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// Path patterns to keep and to leave out. No patterns to keep means keep everything.
#[derive(Debug, Default, Clone)]
pub(crate) struct Selection {
    pub(crate) includes: Vec<String>,
    pub(crate) excludes: Vec<String>,
}

impl Selection {
    /// The patterns of `filter_path`; those with a leading `-` leave out. `**` is as good as `*`: both cross dots.
    pub(crate) fn of_filter_path(text: &str) -> Selection {
        let mut selection = Selection::default();
        for pattern in text
            .split(',')
            .map(str::trim)
            .filter(|pattern| !pattern.is_empty())
        {
            match pattern.strip_prefix('-') {
                Some(pattern) => selection.excludes.push(pattern.to_owned()),
                None => selection.includes.push(pattern.to_owned()),
            }
        }
        selection
    }

    /// The chosen parts of `value`.
    pub(crate) fn apply(&self, value: &Value) -> Value {
        self.prune(value, "", self.includes.is_empty())
            .unwrap_or_else(|| Value::Object(Map::new()))
    }

    fn prune(&self, value: &Value, path: &str, kept: bool) -> Option<Value> {
        match value {
            Value::Object(object) => {
                let mut pruned = Map::new();
                for (key, child) in object {
                    let path = if path.is_empty() {
                        key.clone()
                    } else {
                        format!("{path}.{key}")
                    };
                    if self.excludes.iter().any(|pattern| glob(pattern, &path)) {
                        continue;
                    }
                    let kept = kept || self.includes.iter().any(|pattern| glob(pattern, &path));
                    if let Some(child) = self.prune(child, &path, kept) {
                        pruned.insert(key.clone(), child);
                    }
                }
                (kept || !pruned.is_empty()).then_some(Value::Object(pruned))
            }
            Value::Array(items) => {
                let pruned: Vec<Value> = items
                    .iter()
                    .filter_map(|item| self.prune(item, path, kept))
                    .collect();
                (kept || !pruned.is_empty()).then_some(Value::Array(pruned))
            }
            scalar => kept.then(|| scalar.clone()),
        }
    }
}

/// What of a document's source an answer shows.
#[derive(Debug, Default, Clone)]
pub(crate) struct SourceFilter {
    hidden: bool,
    selection: Selection,
}

impl SourceFilter {
    /// Reads `_source` of a request body: a truth, a pattern, a list of patterns, or includes and excludes.
    pub(crate) fn of_body(value: &Value) -> Result<SourceFilter, Problem> {
        let mut filter = SourceFilter {
            hidden: *value == false,
            ..SourceFilter::default()
        };
        let body = match value {
            Value::Bool(_) => return Ok(filter),
            Value::Object(_) => value.clone(),
            patterns => json!({"includes": patterns}),
        };
        schema::check("source_filter", &body)?;
        let patterns = |key: &str| match &body[key] {
            Value::Array(items) => items
                .iter()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect(),
            other => other
                .as_str()
                .map(str::to_owned)
                .into_iter()
                .collect::<Vec<String>>(),
        };
        filter.selection.includes = [patterns("includes"), patterns("include")].concat();
        filter.selection.excludes = [patterns("excludes"), patterns("exclude")].concat();
        Ok(filter)
    }

    /// Reads `_source`, `_source_includes` and `_source_excludes` of the address; `None` if none is given.
    pub(crate) fn of_params(params: &Params) -> Option<SourceFilter> {
        let list = |name| {
            params
                .text(name)
                .map(|text| text.split(',').map(str::to_owned).collect::<Vec<_>>())
        };
        let (includes, excludes) = (list("_source_includes"), list("_source_excludes"));
        let mut filter = SourceFilter::default();
        match params.text("_source") {
            None if includes.is_none() && excludes.is_none() => return None,
            Some("false") => filter.hidden = true,
            None | Some("true" | "") => {}
            Some(text) => filter.selection.includes = text.split(',').map(str::to_owned).collect(),
        }
        filter
            .selection
            .includes
            .extend(includes.unwrap_or_default());
        filter
            .selection
            .excludes
            .extend(excludes.unwrap_or_default());
        Some(filter)
    }

    /// Whether no source is wanted at all.
    pub(crate) fn is_hidden(&self) -> bool {
        self.hidden
    }

    /// The wanted part of a source, byte for byte where nothing is left out.
    pub(crate) fn apply(&self, source: &str) -> Result<Option<Box<RawValue>>, Problem> {
        if self.hidden {
            return Ok(None);
        }
        if self.selection.includes.is_empty() && self.selection.excludes.is_empty() {
            return Ok(Some(RawValue::from_string(source.to_owned())?));
        }
        let chosen = self.selection.apply(&serde_json::from_str(source)?);
        Ok(Some(serde_json::value::to_raw_value(&chosen)?))
    }
}
