//! The order of matches, and where a page after another begins.

use std::cmp::Ordering;

use serde_json::{Value, json};

use crate::errors::{Result, refuse};
use crate::mapping::{Kind, Mapping};
use crate::schema::check;
use crate::select::{entries, many, walk};

/// One criterion: the path of a field, `_score`, or `_doc` for the order of sequence numbers.
struct By {
    path: String,
    kind: Kind,
    descending: bool,
}

/// What of a match decides its place, in the order of texts; `None` where it has no value. Then the value as hits show it.
pub(crate) type Key = (Option<String>, Value);

pub(crate) struct Order(Vec<By>);

impl Order {
    /// Reads `sort`; none means by score. In a point in time the sequence number comes last.
    pub(crate) fn read(sort: &Value, in_point: bool, mapping: &Mapping) -> Result<Order> {
        let mut order = Vec::new();
        for item in many(sort) {
            let name = item.as_str().map(|name| (name, &Value::Null));
            let names = entries(item).map(|(name, options)| (name.as_str(), options));
            for (name, options) in name.into_iter().chain(names) {
                order.push(By::read(name, options, mapping)?);
            }
        }
        if order.is_empty() {
            order.push(By::read("_score", &Value::Null, mapping)?);
        } else if in_point && order.iter().all(|by| by.path != "_doc") {
            order.push(By::read("_doc", &Value::Null, mapping)?);
        }
        Ok(Order(order))
    }

    pub(crate) fn by_score(&self) -> bool {
        self.0.iter().any(|by| by.path == "_score")
    }

    pub(crate) fn by_field(&self) -> bool {
        self.0
            .iter()
            .any(|by| by.path != "_score" && by.path != "_doc")
    }

    /// Whether it is the order in which documents lie.
    pub(crate) fn is_scan(&self) -> bool {
        matches!(self.0.as_slice(), [by] if by.path == "_doc" && !by.descending)
    }

    /// The keys of a document. Beside its fields the source has `_score` and `_doc`.
    pub(crate) fn keys(&self, source: &Value) -> Vec<Key> {
        self.0.iter().map(|by| by.best(source)).collect()
    }

    /// The keys of `search_after`, if it is given.
    pub(crate) fn after(&self, values: &Value) -> Result<Option<Vec<Key>>> {
        let Some(values) = values.as_array() else {
            return Ok(None);
        };
        if values.len() != self.0.len() {
            refuse!("search_after needs as many values as sort");
        }
        let mut keys = Vec::new();
        for (by, value) in self.0.iter().zip(values) {
            let key = by.kind.key(value).filter(|_| !value.is_null());
            if key.is_none() && !value.is_null() {
                refuse!("search_after does not fit: {value}");
            }
            keys.push((key, Value::Null));
        }
        Ok(Some(keys))
    }

    /// The order of two lists of keys. Where there is no value, the match comes last.
    pub(crate) fn compare(&self, left: &[Key], right: &[Key]) -> Ordering {
        let pairs = self.0.iter().zip(left.iter().zip(right));
        let orders = pairs.map(|(by, (left, right))| match (&left.0, &right.0) {
            (Some(left), Some(right)) if by.descending => right.cmp(left),
            (Some(left), Some(right)) => left.cmp(right),
            (left, right) => left.is_none().cmp(&right.is_none()),
        });
        orders.fold(Ordering::Equal, Ordering::then)
    }
}

impl By {
    fn read(name: &str, options: &Value, mapping: &Mapping) -> Result<By> {
        let options = match options {
            Value::Null => json!({}),
            Value::String(order) => json!({"order": order}),
            options => options.clone(),
        };
        check("sort", &options, "order:=asc,desc unmapped_type:text")?;
        let (kind, path) = match (name, mapping.field(name)) {
            ("_score", _) => (Kind::Float, "_score"),
            ("_doc" | "_shard_doc", _) => (Kind::Integer, "_doc"),
            (_, Some((Kind::Text | Kind::Object, _))) => {
                refuse!("Fielddata is disabled on [{name}], use [{name}.keyword]")
            }
            (_, Some(field)) => field,
            (_, None) if options["unmapped_type"].is_string() => (Kind::Object, ""),
            (_, None) => refuse!("No mapping found for [{name}] in order to sort on"),
        };
        let descending = options["order"].as_str().map(|order| order == "desc");
        Ok(By {
            path: path.to_owned(),
            kind,
            descending: descending.unwrap_or(path == "_score"),
        })
    }

    /// The smallest value of a document, or the largest.
    fn best(&self, source: &Value) -> Key {
        let mut keys = Vec::new();
        walk(source, "", &mut |path, value| {
            let key = self.kind.key(value).filter(|_| path == self.path);
            keys.extend(key.map(|key| (key, value)));
        });
        let order = |left: &&(String, &Value), right: &&(String, &Value)| left.0.cmp(&right.0);
        let best = match self.descending {
            true => keys.iter().max_by(order),
            false => keys.iter().min_by(order),
        };
        best.map_or((None, Value::Null), |(key, value)| {
            (Some(key.clone()), (*value).clone())
        })
    }
}
