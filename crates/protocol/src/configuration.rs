//! The configuration of a connector beside what its source declares.
//!
//! A record's configuration is kept as raw JSON: field name to `{label, value, type, …}`. It holds the
//! credentials of the data source.

use serde_json::{Map, Value};

/// The configuration with all that the source declares and the record lacks: fields, and properties of
/// fields. Values that are there stay, and so do fields that the source does not know. `None` when
/// nothing is missing.
///
/// A field that is not an object is taken as its value: people write `"host": "db"`. A declared null is
/// not missing: Elasticsearch drops such properties when its API writes the configuration, and asking for
/// them would write at every look.
pub fn repaired(
    stored: &Map<String, Value>,
    declared: &Map<String, Value>,
) -> Option<Map<String, Value>> {
    let mut repaired = stored.clone();
    let mut changed = false;
    for (key, declared_field) in declared {
        let Value::Object(declared_properties) = declared_field else {
            continue;
        };
        let field = repaired.entry(key.clone()).or_insert(Value::Null);
        if let Value::Object(properties) = field {
            for (name, value) in declared_properties {
                if !value.is_null() && !properties.contains_key(name) {
                    properties.insert(name.clone(), value.clone());
                    changed = true;
                }
            }
            continue;
        }
        let mut properties = declared_properties.clone();
        if !field.is_null() {
            properties.insert("value".into(), field.take());
        }
        *field = Value::Object(properties);
        changed = true;
    }
    changed.then_some(repaired)
}

/// The value of a field as the record holds it: `configuration.<key>.value`.
pub fn value<'a>(configuration: &'a Map<String, Value>, key: &str) -> Option<&'a Value> {
    configuration.get(key)?.get("value")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn map(value: Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap()
    }

    fn declared() -> Map<String, Value> {
        map(json!({
            "host": {"label": "Host", "order": 1, "tooltip": null, "depends_on": [], "value": ""},
            "port": {"label": "Port", "order": 2, "type": "int", "value": 5432}
        }))
    }

    #[test]
    fn missing_fields_and_properties_are_added_and_values_stay() {
        let stored = map(json!({
            "host": {"type": "str", "value": "db.example"},
            "port": "6543",
            "old": {"value": "kept"}
        }));
        assert_eq!(
            repaired(&stored, &declared()).map(Value::Object),
            Some(json!({
                "host": {
                    "type": "str", "value": "db.example", "label": "Host", "order": 1, "depends_on": []
                },
                "port": {"label": "Port", "order": 2, "type": "int", "value": "6543"},
                "old": {"value": "kept"}
            }))
        );
    }

    #[test]
    fn what_is_complete_is_left_alone() {
        // As the API writes it back: without the null.
        let mut stored = declared();
        stored["host"].as_object_mut().unwrap().remove("tooltip");
        assert_eq!(repaired(&stored, &declared()), None);
        let once = repaired(&Map::new(), &declared()).unwrap();
        assert_eq!(once, declared());
        assert_eq!(repaired(&once, &declared()), None);
    }

    #[test]
    fn a_value_that_is_null_on_purpose_stays_null() {
        let stored =
            map(json!({"port": {"label": "Port", "order": 2, "type": "int", "value": null}}));
        let all = repaired(&stored, &declared()).unwrap();
        assert_eq!(value(&all, "port"), Some(&Value::Null));
        assert_eq!(value(&all, "host"), Some(&json!("")));
        assert_eq!(value(&all, "nobody"), None);
    }
}
