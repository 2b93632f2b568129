//! How much room the mapping of an index has left. Beyond its limits documents are refused one by one,
//! so it is said before.

use serde_json::{Map, Value};

/// From this part of a limit on it is spoken of, in per cent.
const NEARLY: usize = 90;

const FIELDS: &str = "index.mapping.total_fields.limit";
const DEPTH: &str = "index.mapping.depth.limit";
const IGNORE: &str = "index.mapping.total_fields.ignore_dynamic_beyond_limit";

/// The limits of an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limits {
    fields: usize,
    depth: usize,
    /// Whether new fields beyond the limit are left out of the mapping; `None` if the server cannot.
    ignores: Option<bool>,
}

impl Limits {
    /// Reads the flat settings of an index, and the defaults for those that it lacks.
    pub(super) fn of(settings: &Value, defaults: &Value) -> Self {
        let text = |key: &str| {
            let set = settings.get(key).or_else(|| defaults.get(key));
            set.and_then(Value::as_str)
        };
        let number = |key: &str, otherwise| {
            let number = text(key).and_then(|text| text.parse().ok());
            number.unwrap_or(otherwise)
        };
        // The defaults of all versions, for servers that do not say them.
        Self {
            fields: number(FIELDS, 1000),
            depth: number(DEPTH, 20),
            ignores: text(IGNORE).map(|text| text == "true"),
        }
    }

    /// What a person should know about the mapping of this index; nothing as long as there is room.
    pub(super) fn findings(self, index: &str, mapping: &Value) -> Vec<String> {
        let Used { fields, depth } = used(mapping);
        let is_near = |count: usize, limit: usize| count * 100 >= limit.saturating_mul(NEARLY);
        let mut findings = Vec::new();
        if is_near(fields, self.fields) {
            let beyond = match self.ignores {
                Some(true) => "new fields beyond that are kept but cannot be searched",
                _ => "documents with new fields beyond that are refused",
            };
            let mut way_out = format!(
                "raise {FIELDS}, or map objects with many names as flattened before the next sync"
            );
            if self.ignores == Some(false) {
                way_out.push_str(&format!(
                    ", or set {IGNORE} to true: new fields are then kept but cannot be searched"
                ));
            }
            findings.push(format!(
                "the mapping of the index {index} has {fields} of the {} fields it may have; {beyond}: \
                 {way_out}",
                self.fields
            ));
        }
        if is_near(depth, self.depth) {
            findings.push(format!(
                "the mapping of the index {index} is {depth} levels deep, of the {} it may be; documents \
                 with deeper objects are indexed without them: raise {DEPTH}, or map such objects as \
                 flattened before the next sync",
                self.depth
            ));
        }
        findings
    }
}

/// What a mapping uses of its limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Used {
    /// Fields, objects, sub-fields, aliases and runtime fields: each counts.
    fields: usize,
    /// Names in the longest path.
    depth: usize,
}

fn used(mapping: &Value) -> Used {
    let runtime = members(mapping, "runtime").map_or(0, Map::len);
    let mut used = Used {
        fields: runtime,
        depth: 0,
    };
    let mut open: Vec<(usize, &Value)> = vec![(0, mapping)];
    while let Some((depth, at)) = open.pop() {
        used.depth = used.depth.max(depth);
        for (_, field) in members(at, "properties").into_iter().flatten() {
            used.fields += 1 + members(field, "fields").map_or(0, Map::len);
            open.push((depth + 1, field));
        }
    }
    used
}

fn members<'a>(of: &'a Value, key: &str) -> Option<&'a Map<String, Value>> {
    of.get(key)?.as_object()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// As the server counted it: with a limit of 9, one more field was taken and the next refused.
    #[test]
    fn counts_as_the_server_does() {
        let mapping = json!({
            "runtime": {"rt": {"type": "keyword"}},
            "properties": {
                "a": {"type": "text", "fields": {"k": {"type": "keyword"}}},
                "o": {"properties": {"x": {"type": "long"}, "p": {"properties": {"y": {"type": "long"}}}}},
                "al": {"type": "alias", "path": "a"},
                "properties": {"type": "long"},
            },
        });
        assert_eq!(
            used(&mapping),
            Used {
                fields: 9,
                depth: 3
            }
        );
        assert_eq!(used(&json!({})), Used::default());
        assert_eq!(used(&Value::Null), Used::default());
    }

    #[test]
    fn speaks_from_nine_tenths_on_and_names_the_way_out() {
        let mapping = |count: usize| {
            let fields = (0..count).map(|n| (format!("f{n}"), json!({"type": "long"})));
            json!({"properties": fields.collect::<Map<_, _>>()})
        };
        let limits = Limits::of(
            &json!({FIELDS: "100", IGNORE: "false"}),
            &json!({DEPTH: "20"}),
        );
        assert!(limits.findings("x", &mapping(89)).is_empty());
        let findings = limits.findings("search-x", &mapping(90));
        assert_eq!(findings.len(), 1);
        for part in [
            "search-x",
            "90 of the 100",
            "raise index.mapping.total_fields.limit",
            IGNORE,
        ] {
            assert!(findings[0].contains(part), "{findings:?}");
        }
        let limits = Limits::of(&json!({FIELDS: "100", IGNORE: "true"}), &Value::Null);
        let findings = limits.findings("x", &mapping(100));
        assert!(
            findings[0].contains("cannot be searched: raise"),
            "{findings:?}"
        );
        // A server without the choice is not told of it.
        let limits = Limits::of(&json!({}), &json!({}));
        assert!(!limits.findings("x", &mapping(950))[0].contains(IGNORE));
    }

    #[test]
    fn speaks_of_depth_too() {
        let deep = |levels: usize| {
            (0..levels).fold(
                json!({"type": "long"}),
                |inner, _| json!({"properties": {"a": inner}}),
            )
        };
        let limits = Limits::of(&Value::Null, &Value::Null);
        assert!(limits.findings("x", &deep(17)).is_empty());
        let findings = limits.findings("x", &deep(18));
        assert!(
            findings[0].contains("18 levels deep, of the 20"),
            "{findings:?}"
        );
    }
}
