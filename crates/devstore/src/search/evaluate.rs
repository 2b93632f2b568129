//! Whether a document matches a query, decided on its source. This is the last word; the full-text index only
//! saves looking at documents that cannot match.

use std::cmp::Ordering;

use serde_json::Value;

use crate::dates;
use crate::mapping::{Field, Kind, key_of, number_of};
use crate::search::query::{Bool, Edge, Query};
use crate::search::text::words;
use crate::select::glob;

/// All single values under a dotted path; lists are walked, nulls are no values.
pub(crate) fn values_at<'v>(
    value: &'v Value,
    path: &str,
    visit: &mut impl FnMut(&'v Value) -> bool,
) -> bool {
    match value {
        Value::Array(items) => items.iter().any(|item| values_at(item, path, visit)),
        Value::Null => false,
        value if path.is_empty() => visit(value),
        Value::Object(object) => {
            object
                .iter()
                .any(|(key, child)| match path.strip_prefix(key.as_str()) {
                    Some("") => values_at(child, "", visit),
                    Some(rest) => rest
                        .strip_prefix('.')
                        .is_some_and(|rest| values_at(child, rest, visit)),
                    None => false,
                })
        }
        _ => false,
    }
}

impl Query {
    pub(crate) fn matches(&self, id: &str, source: &Value) -> bool {
        match self {
            Query::All => true,
            Query::Nothing => false,
            Query::Words(path, wanted, required) => {
                let mut missing: Vec<&String> = wanted.iter().collect();
                any_word(source, path, |word| {
                    missing.retain(|wanted| **wanted != word);
                    wanted.len() - missing.len() >= *required
                })
            }
            Query::Phrase(path, wanted, open_end) => values_at(source, path, &mut |value| {
                let text = key_of(Kind::Text, value).unwrap_or_default();
                let found: Vec<String> = words(&text).map(|word| word.text).collect();
                let fits = |at: usize, word: &String| {
                    let is_open = *open_end && at + 1 == wanted.len();
                    *word == wanted[at] || (is_open && word.starts_with(&wanted[at]))
                };
                let mut windows = found.windows(wanted.len());
                windows.any(|window| window.iter().enumerate().all(|(at, word)| fits(at, word)))
            }),
            Query::Exact(field, keys) if field.kind == Kind::Text => {
                any_word(source, &field.path, |word| keys.contains(word))
            }
            Query::Exact(field, keys) => any_key(source, field, |key| keys.contains(key)),
            Query::Pattern(field, pattern, _) if field.kind == Kind::Text => {
                any_word(source, &field.path, |word| glob(pattern, word))
            }
            Query::Pattern(field, pattern, true) => {
                any_key(source, field, |key| glob(pattern, &key.to_lowercase()))
            }
            Query::Pattern(field, pattern, false) => {
                any_key(source, field, |key| glob(pattern, key))
            }
            Query::Range(field, low, high) => values_at(source, &field.path, &mut |value| {
                holds(field.kind, value, low, Ordering::Greater)
                    && holds(field.kind, value, high, Ordering::Less)
            }),
            Query::Exists(path) => values_at(source, path, &mut |_| true),
            Query::Ids(ids) => ids.contains(id),
            Query::Bool(Bool {
                must,
                filter,
                should,
                must_not,
                required,
            }) => {
                let holds = |query: &&Query| query.matches(id, source);
                must.iter().chain(filter).all(|query| holds(&query))
                    && !must_not.iter().any(|query| holds(&query))
                    && should.iter().filter(holds).take(*required).count() >= *required
            }
            Query::Best(queries) => queries.iter().any(|query| query.matches(id, source)),
            Query::Boosted(query, _) | Query::Constant(query) => query.matches(id, source),
        }
    }
}

fn any_word(source: &Value, path: &str, mut fits: impl FnMut(&str) -> bool) -> bool {
    values_at(source, path, &mut |value| {
        let text = key_of(Kind::Text, value).unwrap_or_default();
        words(&text).any(|word| fits(&word.text))
    })
}

fn any_key(source: &Value, field: &Field, fits: impl Fn(&str) -> bool) -> bool {
    values_at(source, &field.path, &mut |value| {
        key_of(field.kind, value)
            .is_some_and(|key| key.chars().count() <= field.ignore_above && fits(&key))
    })
}

/// Compares two values of a field in the field's own order.
pub(crate) fn compare(kind: Kind, left: &Value, right: &Value) -> Option<Ordering> {
    match kind {
        Kind::Date => Some(dates::millis_of(left)?.cmp(&dates::millis_of(right)?)),
        Kind::Integer(..) | Kind::Float => match (left.as_i64(), right.as_i64()) {
            (Some(left), Some(right)) => Some(left.cmp(&right)),
            _ => number_of(left)?.partial_cmp(&number_of(right)?),
        },
        _ => Some(key_of(kind, left)?.cmp(&key_of(kind, right)?)),
    }
}

/// Whether a value lies on the wanted side of an edge.
fn holds(kind: Kind, value: &Value, edge: &Edge, wanted: Ordering) -> bool {
    let Some((limit, inclusive)) = edge else {
        return true;
    };
    compare(kind, value, limit)
        .is_some_and(|order| order == wanted || (*inclusive && order == Ordering::Equal))
}
