//! Advanced sync rules: their schema and the words of its violations (shared database sheet §H).

use serde_json::{Map, Value, value::RawValue};
use tributary_sdk::{Error, Finding, Result};

/// Where findings about the rules belong.
const PLACE: &str = "advanced_snippet";
const REQUIRED: &str = "['tables', 'query']";
const KNOWN: [&str; 3] = ["tables", "query", "id_columns"];

/// A statement whose rows become documents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The tables it names, in the order of the rule: the field `table` of its documents, and a part
    /// of their ids. At least one.
    pub tables: Vec<String>,
    /// The statement, as the user typed it.
    pub query: String,
    /// The columns that make up the document id; `None`: the primary keys of the tables.
    pub id_columns: Option<Vec<String>>,
}

/// Reads advanced rules. An empty array or object means that there are none.
///
/// # Errors
/// The inner error is the first violation of the schema, for the user. The outer one, that the text
/// is not JSON at all.
pub fn parse_rules(rules: &RawValue) -> Result<std::result::Result<Vec<Rule>, Finding>> {
    let value: Value = serde_json::from_str(rules.get()).map_err(|error| {
        Error::invalid_config("the advanced sync rules are not valid JSON").caused_by(error)
    })?;
    Ok(read_rules(value).map_err(|message| Finding::at(PLACE, message)))
}

fn read_rules(value: Value) -> std::result::Result<Vec<Rule>, String> {
    match value {
        Value::Object(members) if members.is_empty() => Ok(Vec::new()),
        Value::Array(items) => {
            let rules = items.into_iter().enumerate();
            rules
                .map(|(position, item)| read_rule(&format!("data[{position}]"), item))
                .collect()
        }
        _ => Err("data must be array".into()),
    }
}

fn read_rule(place: &str, value: Value) -> std::result::Result<Rule, String> {
    let Value::Object(mut members) = value else {
        return Err(format!("{place} must be object"));
    };
    if !members.contains_key("tables") || !members.contains_key("query") {
        return Err(format!("{place} must contain {REQUIRED} properties"));
    }
    let tables = read_names(&mut members, place, "tables")?.unwrap_or_default();
    let query = match members.get("query") {
        Some(Value::String(query)) if query.is_empty() => {
            return Err(format!(
                "{place}.query must be longer than or equal to 1 characters"
            ));
        }
        Some(Value::String(query)) => query.clone(),
        _ => return Err(format!("{place}.query must be string")),
    };
    let id_columns = read_names(&mut members, place, "id_columns")?;
    let mut unknown: Vec<String> = members
        .keys()
        .filter(|key| !KNOWN.contains(&key.as_str()))
        .map(|key| format!("'{key}'"))
        .collect();
    if !unknown.is_empty() {
        unknown.sort();
        let unknown = unknown.join(", ");
        return Err(format!("{place} must not contain {{{unknown}}} properties"));
    }
    Ok(Rule {
        tables,
        query,
        id_columns,
    })
}

fn read_names(
    members: &mut Map<String, Value>,
    place: &str,
    key: &str,
) -> std::result::Result<Option<Vec<String>>, String> {
    let items = match members.get(key) {
        None => return Ok(None),
        Some(Value::Array(items)) if items.is_empty() => {
            return Err(format!("{place}.{key} must contain at least 1 items"));
        }
        Some(Value::Array(items)) => items,
        Some(_) => return Err(format!("{place}.{key} must be array")),
    };
    let names = items.iter().enumerate().map(|(position, item)| match item {
        Value::String(name) => Ok(name.clone()),
        _ => Err(format!("{place}.{key}[{position}] must be string")),
    });
    names.collect::<std::result::Result<_, _>>().map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parsed(text: &str) -> std::result::Result<Vec<Rule>, String> {
        let rules = RawValue::from_string(text.to_owned()).unwrap();
        parse_rules(&rules).unwrap().map_err(|finding| {
            assert_eq!(finding.place.as_deref(), Some("advanced_snippet"));
            finding.message
        })
    }

    #[test]
    fn reads_rules() {
        assert_eq!(parsed("[]").unwrap(), []);
        assert_eq!(parsed(" {} ").unwrap(), []);
        let rules = parsed(
            r#"[{"tables": ["b", "a"], "query": "SELECT 1"},
                {"tables": ["nopk"], "query": "SELECT * FROM nopk", "id_columns": ["x", "Y"]}]"#,
        )
        .unwrap();
        assert_eq!(rules[0].tables, ["b", "a"]);
        assert_eq!(rules[0].id_columns, None);
        assert_eq!(rules[1].id_columns.as_deref().unwrap(), ["x", "Y"]);
    }

    #[test]
    fn names_the_first_violation() {
        for (text, expected) in [
            ("1", "data must be array"),
            (r#"{"a":1}"#, "data must be array"),
            ("[1]", "data[0] must be object"),
            (
                "[{}]",
                "data[0] must contain ['tables', 'query'] properties",
            ),
            (
                r#"[{"tables":["a"]}]"#,
                "data[0] must contain ['tables', 'query'] properties",
            ),
            (
                r#"[{"tables":["a"],"query":""}]"#,
                "data[0].query must be longer than or equal to 1 characters",
            ),
            (
                r#"[{"tables":["a"],"query":1}]"#,
                "data[0].query must be string",
            ),
            (
                r#"[{"tables":[],"query":"x"}]"#,
                "data[0].tables must contain at least 1 items",
            ),
            (
                r#"[{"tables":"a","query":"x"}]"#,
                "data[0].tables must be array",
            ),
            (
                r#"[{"tables":[1],"query":"x"}]"#,
                "data[0].tables[0] must be string",
            ),
            (
                r#"[{"tables":["a"],"query":"x"},{"tables":["a"],"query":"x","id_columns":[]}]"#,
                "data[1].id_columns must contain at least 1 items",
            ),
            (
                r#"[{"tables":["a"],"query":"x","foo":1}]"#,
                "data[0] must not contain {'foo'} properties",
            ),
        ] {
            assert_eq!(parsed(text).unwrap_err(), expected);
        }
    }

    proptest! {
        #[test]
        fn what_is_valid_is_read(
            tables in prop::collection::vec(".*", 1..4),
            query in ".+",
            id_columns in prop::option::of(prop::collection::vec(".*", 1..3)),
        ) {
            let mut rule = serde_json::json!({"tables": tables, "query": query});
            if let Some(columns) = &id_columns {
                rule["id_columns"] = serde_json::json!(columns);
            }
            let rules = parsed(&serde_json::json!([rule]).to_string()).unwrap();
            prop_assert_eq!(rules, vec![Rule { tables, query, id_columns }]);
        }
    }
}
