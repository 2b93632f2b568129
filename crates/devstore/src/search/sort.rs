//! The order of matches, and where a page after another begins.

use std::cmp::Ordering;

use serde_json::{Value, json};

use crate::dates;
use crate::errors::{ILLEGAL, PARSING, Result, SHARD, refuse};
use crate::mapping::{Field, Kind, float_key, integer_key, number_of};
use crate::schema;
use crate::select::{entries, many, walk};
use crate::storage::Index;

/// What a list of matches is sorted by.
enum By {
    Score,
    /// The order of sequence numbers: `_shard_doc` and `_doc`.
    Number,
    /// `None`: a field that is not there, for which that is no error.
    Field(Option<Field>),
}

/// What of a match decides its place, in the order of texts; `None` where it has no value.
pub(crate) type Key = Option<String>;

/// The criteria, and whether they go downwards.
pub(crate) struct Order(Vec<(By, bool)>);

impl Order {
    /// Reads `sort`; none means by score. In a point in time the sequence number comes last.
    pub(crate) fn read(sort: &Value, in_point: bool, index: &Index) -> Result<Order> {
        let mut order = Order(Vec::new());
        for item in many(sort) {
            match item {
                Value::String(name) => order.add(name, &json!({}), index)?,
                Value::Object(_) => {
                    let mut names = entries(item);
                    names.try_for_each(|(name, options)| order.add(name, options, index))?;
                }
                _ => refuse!(PARSING, "malformed sort: {item}"),
            }
        }
        let has_number = order.0.iter().any(|(by, _)| matches!(by, By::Number));
        match order.0.is_empty() {
            true => order.0.push((By::Score, true)),
            false if in_point && !has_number => order.0.push((By::Number, false)),
            false => {}
        }
        Ok(order)
    }

    fn add(&mut self, name: &str, options: &Value, index: &Index) -> Result<()> {
        let short = json!({"order": options});
        let options = if options.is_object() { options } else { &short };
        schema::check("sort", options)?;
        let by = match (name, index.mapping.field(name)) {
            ("_score", _) => By::Score,
            ("_doc" | "_shard_doc", _) => By::Number,
            (_, None) if options["unmapped_type"].is_null() => {
                refuse!(SHARD, "No mapping found for [{name}] in order to sort on")
            }
            (_, Some(field)) if matches!(field.kind, Kind::Text | Kind::Object) => {
                refuse!(
                    ILLEGAL,
                    "Fielddata is disabled on [{name}], use [{name}.keyword]"
                )
            }
            (_, field) => By::Field(field),
        };
        let default = if matches!(by, By::Score) {
            "desc"
        } else {
            "asc"
        };
        let direction = options["order"].as_str().unwrap_or(default);
        self.0.push((by, direction == "desc"));
        Ok(())
    }

    pub(crate) fn by_score(&self) -> bool {
        self.0.iter().any(|(by, _)| matches!(by, By::Score))
    }

    pub(crate) fn by_field(&self) -> bool {
        self.0.iter().any(|(by, _)| matches!(by, By::Field(_)))
    }

    /// Whether it is the order in which documents lie.
    pub(crate) fn is_scan(&self) -> bool {
        matches!(self.0.as_slice(), [(By::Number, false)])
    }

    /// The keys of a document, and the values as hits show them.
    pub(crate) fn keys(&self, source: &Value, score: f32, seq_no: u64) -> (Vec<Key>, Vec<Value>) {
        let one = |(by, descending): &(By, bool)| match by {
            By::Score => (Some(float_key(score.into())), json!(score)),
            By::Number => (Some(integer_key(seq_no.cast_signed())), json!(seq_no)),
            By::Field(Some(field)) => best(field, *descending, source),
            By::Field(None) => (None, Value::Null),
        };
        self.0.iter().map(one).unzip()
    }

    /// The keys of `search_after`.
    pub(crate) fn after(&self, values: &[Value]) -> Result<Vec<Key>> {
        if values.len() != self.0.len() {
            refuse!(
                ILLEGAL,
                "search_after needs {} values, as many as sort",
                self.0.len()
            );
        }
        let key = |((by, _), value): (&(By, bool), &Value)| {
            let key = match by {
                By::Score => number_of(value).map(float_key),
                By::Number => value.as_i64().map(integer_key),
                By::Field(field) => field.as_ref().and_then(|field| field.key(value)),
            };
            match key {
                None if !value.is_null() => refuse!(ILLEGAL, "search_after does not fit: {value}"),
                key => Ok(key.filter(|_| !value.is_null())),
            }
        };
        self.0.iter().zip(values).map(key).collect()
    }

    /// The order of two lists of keys. Where there is no value, the match comes last.
    pub(crate) fn compare(&self, left: &[Key], right: &[Key]) -> Ordering {
        let pairs = self.0.iter().zip(left.iter().zip(right));
        let orders = pairs.map(|((_, descending), pair)| match pair {
            (Some(left), Some(right)) if *descending => right.cmp(left),
            (Some(left), Some(right)) => left.cmp(right),
            (left, right) => left.is_none().cmp(&right.is_none()),
        });
        orders.fold(Ordering::Equal, Ordering::then)
    }
}

/// The smallest value of a field, or the largest: its key, and the form in which hits show it.
fn best(field: &Field, largest: bool, source: &Value) -> (Key, Value) {
    let (mut best, mut shown) = (None, Value::Null);
    walk(source, "", &mut |path, value| {
        let key = field.exact_key(value).filter(|_| path == field.path);
        let is_better = if largest {
            key > best
        } else {
            best.is_none() || key < best
        };
        if key.is_some() && is_better {
            shown = match field.kind {
                Kind::Date => json!(dates::millis_of(value)),
                Kind::Boolean => json!(u8::from(*value == true || value == "true")),
                Kind::Float => json!(number_of(value)),
                _ => value.clone(),
            };
            best = key;
        }
    });
    (best, shown)
}
