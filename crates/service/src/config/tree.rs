//! The configuration as a tree of words with their places, before anything has a type.

use std::collections::BTreeMap;
use std::fmt;

/// Longer dotted keys are taken as one word: nothing we know is half as deep.
const MAX_PIECES: usize = 16;

/// Where something stands in the text; both counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) line: usize,
    pub(super) column: usize,
}

impl Place {
    pub(super) const START: Self = Self { line: 1, column: 1 };
    pub(super) const END: Self = Self {
        line: usize::MAX,
        column: usize::MAX,
    };
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) value: Value,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    /// `plain` is false if quotes or a block style say that it is text and nothing else.
    Scalar {
        text: String,
        plain: bool,
    },
    List(Vec<Node>),
    Map(Map),
}

/// The value and the place of its key, by key.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Map(pub(super) BTreeMap<String, (Place, Node)>);

impl Map {
    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        self.0.get(key).map(|(_, node)| node)
    }

    /// Follows a dotted path. A word where a mapping should be ends the search.
    pub(super) fn find(&self, path: &str) -> Option<&Node> {
        let (first, rest) = match path.split_once('.') {
            Some((first, rest)) => (first, Some(rest)),
            None => (path, None),
        };
        let node = self.get(first)?;
        match (rest, &node.value) {
            (None, _) => Some(node),
            (Some(rest), Value::Map(map)) => map.find(rest),
            (Some(_), _) => None,
        }
    }
}

impl Node {
    pub(super) fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar { text, plain: true }
            if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    pub(super) fn is_empty_text(&self) -> bool {
        matches!(&self.value, Value::Scalar { text, .. } if text.is_empty())
    }
}

pub(super) fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

/// Turns `a.b: x` into `a: {b: x}` at every level and merges what then has the same name.
///
/// Later in the text wins over earlier, with a warning; an empty value never hides a mapping.
pub(super) fn undotted(map: Map, path: &str, warnings: &mut Vec<String>) -> Map {
    let mut entries: Vec<(String, (Place, Node))> = map.0.into_iter().collect();
    entries.sort_by_key(|(_, (place, _))| *place);
    let mut merged = Map::default();
    for (key, (place, node)) in entries {
        let full = join(path, &key);
        let node = Node {
            place: node.place,
            value: match node.value {
                Value::Map(map) => Value::Map(undotted(map, &full, warnings)),
                Value::List(nodes) => Value::List(
                    nodes
                        .into_iter()
                        .enumerate()
                        .map(|(index, node)| {
                            undotted_item(node, &format!("{full}[{index}]"), warnings)
                        })
                        .collect(),
                ),
                scalar => scalar,
            },
        };
        let pieces: Vec<&str> = key.split('.').collect();
        if pieces.len() > MAX_PIECES || pieces.iter().any(|piece| piece.is_empty()) {
            insert(&mut merged, &[&key], path, place, node, warnings);
        } else {
            insert(&mut merged, &pieces, path, place, node, warnings);
        }
    }
    merged
}

fn undotted_item(node: Node, path: &str, warnings: &mut Vec<String>) -> Node {
    match node.value {
        Value::Map(map) => Node {
            place: node.place,
            value: Value::Map(undotted(map, path, warnings)),
        },
        _ => node,
    }
}

fn insert(
    map: &mut Map,
    pieces: &[&str],
    path: &str,
    place: Place,
    node: Node,
    warnings: &mut Vec<String>,
) {
    let Some((first, rest)) = pieces.split_first() else {
        return;
    };
    if !rest.is_empty() {
        // `a.b.c: x` is `a: {b.c: x}`.
        let mut inner = Map::default();
        let inner_path = join(path, first);
        insert(&mut inner, rest, &inner_path, place, node, warnings);
        let wrapped = Node {
            place,
            value: Value::Map(inner),
        };
        insert(map, &[first], path, place, wrapped, warnings);
        return;
    }
    let Some((known_place, known)) = map.0.get_mut(*first) else {
        map.0.insert((*first).to_owned(), (place, node));
        return;
    };
    let full = join(path, first);
    let hides_nothing = node.is_null();
    match (&mut known.value, node.value) {
        (Value::Map(known), Value::Map(new)) => {
            for (key, (place, node)) in new.0 {
                insert(known, &[&key], &full, place, node, warnings);
            }
        }
        (Value::Map(_), _) if hides_nothing => {}
        (_, value) => {
            if !known.is_null() {
                warnings.push(given_twice(&full, *known_place, place));
            }
            *known_place = place;
            *known = Node {
                place: node.place,
                value,
            };
        }
    }
}

pub(super) fn given_twice(key: &str, first: Place, second: Place) -> String {
    format!(
        "{key} is given twice, on lines {} and {}; the one on line {} counts",
        first.line, second.line, second.line
    )
}
