//! Sorting of matches, and where a page after another begins.

use std::cmp::Ordering;

use serde_json::{Value, json};

use crate::dates;
use crate::errors::{Result, refuse};
use crate::mapping::{Kind, float_key, integer_key, number_of};
use crate::schema;
use crate::search::words::walk;
use crate::select::many;
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

/// What of a match decides its place, in the order of texts; `None` where it has no value.
pub(crate) type Key = Option<String>;

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
            Some(Kind::Text | Kind::Object | Kind::Opaque) => refuse!(
                "illegal_argument_exception",
                "Fielddata is disabled on [{name}], use [{name}.keyword] instead"
            ),
            _ => Ok(()),
        }
    }

    /// The key of a document, and the value as hits show it: the smallest of its values, or the largest if sorted
    /// downwards.
    pub(crate) fn key(
        &self,
        index: &Index,
        source: &Value,
        score: f32,
        shard_doc: u64,
    ) -> (Key, Value) {
        let name = match &self.by {
            By::Score => return (Some(float_key(score.into())), json!(score)),
            By::ShardDoc => return (Some(integer_key(shard_doc.cast_signed())), json!(shard_doc)),
            By::Field(name) => name,
        };
        let (mut best, mut shown) = (None, Value::Null);
        if let Some(field) = index.mapping.field(name) {
            walk(source, "", &mut |path, value| {
                let key = if path == field.path {
                    field.exact_key(value)
                } else {
                    None
                };
                let is_better = match self.descending {
                    true => key > best,
                    false => key.is_some() && (best.is_none() || key < best),
                };
                if is_better {
                    (best, shown) = (key, shown_value(field.kind, value));
                }
            });
        }
        (best, shown)
    }

    /// The key of a value of `search_after`.
    pub(crate) fn after(&self, index: &Index, value: &Value) -> Result<Key> {
        let key = match &self.by {
            _ if value.is_null() => return Ok(None),
            By::Score => number_of(value).map(float_key),
            By::ShardDoc => value.as_i64().map(integer_key),
            By::Field(name) => match index.mapping.field(name) {
                Some(field) => field.key(value),
                None => return Ok(None),
            },
        };
        if key.is_none() {
            refuse!(
                "illegal_argument_exception",
                "[search_after] does not fit the sort: {value}"
            );
        }
        Ok(key)
    }

    /// The order of two keys in the sorted list.
    pub(crate) fn compare(&self, left: &Key, right: &Key) -> Ordering {
        match (left, right) {
            (Some(left), Some(right)) if self.descending => right.cmp(left),
            (Some(left), Some(right)) => left.cmp(right),
            (left, right) if self.missing_first => left.is_some().cmp(&right.is_some()),
            (left, right) => left.is_none().cmp(&right.is_none()),
        }
    }
}

/// The form of a value among the sort keys: dates and truths are numbers.
fn shown_value(kind: Kind, value: &Value) -> Value {
    match kind {
        Kind::Date => json!(dates::millis_of(value)),
        Kind::Boolean => json!(u8::from(*value == true || value == "true")),
        Kind::Integer if value.is_string() => json!(number_of(value).map(|number| number as i64)),
        Kind::Float => json!(number_of(value)),
        _ => value.clone(),
    }
}

/// Reads `sort` of a request body.
pub(crate) fn parse(value: &Value) -> Result<Vec<Criterion>> {
    let mut criteria = Vec::new();
    for item in many(value) {
        match item {
            Value::Null => {}
            Value::String(name) => criteria.push(Criterion::new(name)),
            Value::Object(object) => {
                for (name, options) in object {
                    let short = json!({"order": options});
                    let options = if options.is_string() { &short } else { options };
                    schema::check("sort", options)?;
                    let mut criterion = Criterion::new(name);
                    if let Some(order) = options.get("order") {
                        criterion.descending = order == "desc";
                    }
                    criterion.missing_first = options["missing"] == "_first";
                    criterion.unmapped = options["unmapped_type"].is_string();
                    criteria.push(criterion);
                }
            }
            _ => refuse!("parsing_exception", "malformed sort: {item}"),
        }
    }
    Ok(criteria)
}
