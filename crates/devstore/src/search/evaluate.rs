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
            Query::Words {
                path,
                words: wanted,
                required,
            } => {
                let mut missing: Vec<&String> = wanted.iter().collect();
                any_text(source, path, |text| {
                    words(text).any(|word| {
                        missing.retain(|wanted| **wanted != word.text);
                        wanted.len() - missing.len() >= *required
                    })
                })
            }
            Query::Phrase {
                path,
                words: wanted,
                open_end,
            } => any_text(source, path, |text| {
                let found: Vec<String> = words(text).map(|word| word.text).collect();
                found.windows(wanted.len()).any(|window| {
                    let last = wanted.len() - 1;
                    window
                        .iter()
                        .zip(wanted)
                        .enumerate()
                        .all(|(at, (word, wanted))| {
                            word == wanted
                                || (*open_end && at == last && word.starts_with(wanted.as_str()))
                        })
                })
            }),
            Query::Exact { field, keys } if field.kind == Kind::Text => {
                any_text(source, &field.path, |text| {
                    words(text).any(|word| keys.contains(&word.text))
                })
            }
            Query::Exact { field, keys } => any_key(source, field, |key| keys.contains(key)),
            Query::Pattern {
                field,
                pattern,
                ignore_case,
            } => {
                let fits = |text: &str| {
                    if *ignore_case {
                        glob(pattern, &text.to_lowercase())
                    } else {
                        glob(pattern, text)
                    }
                };
                match field.kind {
                    Kind::Text => any_text(source, &field.path, |text| {
                        words(text).any(|word| fits(&word.text))
                    }),
                    _ => any_key(source, field, fits),
                }
            }
            Query::Range { field, low, high } => values_at(source, &field.path, &mut |value| {
                within(field, value, low.as_ref(), high.as_ref())
            }),
            Query::Exists { path } => values_at(source, path, &mut |_| true),
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

fn any_text(source: &Value, path: &str, mut fits: impl FnMut(&str) -> bool) -> bool {
    values_at(source, path, &mut |value| {
        key_of(Kind::Text, value).is_some_and(|text| fits(&text))
    })
}

fn any_key(source: &Value, field: &Field, fits: impl Fn(&str) -> bool) -> bool {
    values_at(source, &field.path, &mut |value| {
        key_of(field.kind, value).is_some_and(|key| {
            (field.ignore_above == usize::MAX || key.chars().count() <= field.ignore_above)
                && fits(&key)
        })
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

fn within(field: &Field, value: &Value, low: Option<&Edge>, high: Option<&Edge>) -> bool {
    let holds = |edge: Option<&Edge>, wanted: Ordering| {
        edge.is_none_or(|edge| match compare(field.kind, value, &edge.value) {
            Some(Ordering::Equal) => edge.inclusive,
            Some(order) => order == wanted,
            None => false,
        })
    };
    holds(low, Ordering::Greater) && holds(high, Ordering::Less)
}
