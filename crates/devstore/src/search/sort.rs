//! Sorting of matches, and where a page after another begins.

use std::cmp::Ordering;

use serde_json::{Value, json};

use crate::dates;
use crate::errors::{Result, refuse};
use crate::mapping::{Kind, number_of};
use crate::schema;
use crate::search::evaluate::{compare, values_at};
use crate::storage::Index;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum By {
    Score,
    /// The order of sequence numbers: `_shard_doc` and `_doc`.
    ShardDoc,
    Field(String),
}

/// One sort criterion.
#[derive(Clone, Debug)]
pub(crate) struct Criterion {
    pub(crate) by: By,
    pub(crate) descending: bool,
    missing_first: bool,
    unmapped: bool,
}

impl Criterion {
    pub(crate) fn new(name: &str) -> Criterion {
        let by = match name {
            "_score" => By::Score,
            "_doc" | "_shard_doc" => By::ShardDoc,
            field => By::Field(field.to_owned()),
        };
        Criterion {
            descending: by == By::Score,
            by,
            missing_first: false,
            unmapped: false,
        }
    }

    /// Refuses a field that cannot be sorted on.
    pub(crate) fn check(&self, index: &Index) -> Result<()> {
        let By::Field(name) = &self.by else {
            return Ok(());
        };
        match index.mapping.field(name).map(|field| field.kind) {
            None if !self.unmapped => {
                refuse!(
                    "query_shard_exception",
                    "No mapping found for [{name}] in order to sort on"
                )
            }
            Some(Kind::Text | Kind::Object(_) | Kind::Opaque) => {
                refuse!(
                    "illegal_argument_exception",
                    "Fielddata is disabled on [{name}], use [{name}.keyword] instead"
                )
            }
            _ => Ok(()),
        }
    }

    /// The key of a document: the smallest of its values, or the largest if sorted downwards. `Null`: it has none.
    pub(crate) fn key(&self, index: &Index, source: &Value, score: f32, shard_doc: u64) -> Value {
        let name = match &self.by {
            By::Score => return json!(score),
            By::ShardDoc => return json!(shard_doc),
            By::Field(name) => name,
        };
        let Some(field) = index.mapping.field(name) else {
            return Value::Null;
        };
        let wanted = if self.descending {
            Ordering::Greater
        } else {
            Ordering::Less
        };
        let mut best: Option<&Value> = None;
        values_at(source, &field.path, &mut |value| {
            if best.is_none_or(|best| compare(field.kind, value, best) == Some(wanted)) {
                best = Some(value);
            }
            false
        });
        best.map_or(Value::Null, |best| shown(field.kind, best))
    }

    /// A value of `search_after`, in the form of the keys.
    pub(crate) fn after(&self, index: &Index, value: &Value) -> Result<Value> {
        let field = match &self.by {
            By::Field(name) => index.mapping.field(name),
            _ if !value.is_number() => refuse!(
                "illegal_argument_exception",
                "[search_after] cannot be {value}"
            ),
            _ => None,
        };
        match field.filter(|_| value.is_string()) {
            _ if value.is_array() || value.is_object() => {
                refuse!(
                    "illegal_argument_exception",
                    "[search_after] cannot be {value}"
                )
            }
            Some(field) => Ok(shown(field.kind, value)),
            None => Ok(value.clone()),
        }
    }

    /// The order of two keys in the sorted list.
    pub(crate) fn compare(&self, left: &Value, right: &Value) -> Ordering {
        let missing = if self.missing_first {
            Ordering::Less
        } else {
            Ordering::Greater
        };
        let order = match (left, right) {
            (Value::Null, Value::Null) => return Ordering::Equal,
            (Value::Null, _) => return missing,
            (_, Value::Null) => return missing.reverse(),
            (Value::Number(_), Value::Number(_)) => {
                compare(Kind::Float, left, right).unwrap_or(Ordering::Equal)
            }
            (Value::Number(_), _) => Ordering::Less,
            (_, Value::Number(_)) => Ordering::Greater,
            _ => compare(Kind::Keyword, left, right).unwrap_or(Ordering::Equal),
        };
        if self.descending {
            order.reverse()
        } else {
            order
        }
    }
}

/// The form of a value among the sort keys: dates and truths are numbers.
fn shown(kind: Kind, value: &Value) -> Value {
    match kind {
        Kind::Date => dates::millis_of(value).map_or(Value::Null, Value::from),
        Kind::Boolean => json!(u8::from(*value == true || value == "true")),
        Kind::Integer(..) if value.is_string() => {
            number_of(value).map_or(Value::Null, |number| json!(number as i64))
        }
        Kind::Float => number_of(value).map_or(Value::Null, Value::from),
        _ => value.clone(),
    }
}

/// Reads `sort` of a request body.
pub(crate) fn parse(value: &Value) -> Result<Vec<Criterion>> {
    let mut criteria = Vec::new();
    for item in value
        .as_array()
        .map_or_else(|| std::slice::from_ref(value), Vec::as_slice)
    {
        match item {
            Value::Null => {}
            Value::String(name) => criteria.push(Criterion::new(name)),
            Value::Object(object) => {
                for (name, options) in object {
                    let options = if options.is_string() {
                        json!({"order": options})
                    } else {
                        options.clone()
                    };
                    schema::check("sort", &options)?;
                    let mut criterion = Criterion::new(name);
                    criterion.descending = options
                        .get("order")
                        .map_or(criterion.descending, |order| order == "desc");
                    criterion.missing_first = options["missing"] == "_first";
                    criterion.unmapped =
                        options["unmapped_type"].is_string() || options["ignore_unmapped"] == true;
                    criteria.push(criterion);
                }
            }
            _ => refuse!("parsing_exception", "malformed sort: {item}"),
        }
    }
    Ok(criteria)
}
