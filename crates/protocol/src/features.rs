//! What a connector's source can do, as Kibana reads it to show or hide parts of its pages.

use serde::Serialize;
use serde_json::{Map, Value, json};

/// The features of a connector, as its record holds them: any part may be missing.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Features(Map<String, Value>);

impl Features {
    /// The form in which a source's features are written.
    pub fn declared(features: tributary_sdk::Features) -> Self {
        Self::from_map(object(json!({
            "document_level_security": {"enabled": features.document_level_security},
            "incremental_sync": {"enabled": features.incremental},
            "sync_rules": {
                "advanced": {"enabled": features.advanced_rules},
                "basic": {"enabled": features.basic_rules}
            }
        })))
    }

    /// As the record holds them.
    pub fn from_map(map: Map<String, Value>) -> Self {
        Self(map)
    }

    /// As the record holds them.
    pub fn as_map(&self) -> &Map<String, Value> {
        &self.0
    }

    /// Whether documents carry access tokens.
    pub fn document_level_security(&self) -> bool {
        self.flag("/document_level_security/enabled")
            .unwrap_or(false)
    }

    /// Whether incremental jobs exist.
    pub fn incremental_sync(&self) -> bool {
        self.flag("/incremental_sync/enabled").unwrap_or(false)
    }

    /// Whether basic sync rules apply; old records say it as `filtering_rules`.
    pub fn basic_rules(&self) -> bool {
        self.flag("/sync_rules/basic/enabled")
            .or_else(|| self.flag("/filtering_rules"))
            .unwrap_or(false)
    }

    /// Whether advanced sync rules apply; old records say it as `filtering_advanced_config`.
    pub fn advanced_rules(&self) -> bool {
        self.flag("/sync_rules/advanced/enabled")
            .or_else(|| self.flag("/filtering_advanced_config"))
            .unwrap_or(false)
    }

    /// Whether all that `declared` says is said here too. More may be said: updates merge, so what
    /// another version wrote stays, and asking for equality would write for ever.
    pub fn covers(&self, declared: &Self) -> bool {
        covers(&self.0, &declared.0)
    }

    fn flag(&self, pointer: &str) -> Option<bool> {
        let mut path = pointer.split('/').skip(1);
        let first = self.0.get(path.next()?)?;
        path.try_fold(first, |value, key| value.get(key))?.as_bool()
    }
}

fn covers(stored: &Map<String, Value>, declared: &Map<String, Value>) -> bool {
    declared
        .iter()
        .all(|(key, value)| match (stored.get(key), value) {
            (Some(Value::Object(stored)), Value::Object(value)) => covers(stored, value),
            (stored, value) => stored == Some(value),
        })
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn features(value: Value) -> Features {
        Features::from_map(object(value))
    }

    #[test]
    fn declared_features_have_the_form_that_kibana_reads() {
        let declared = Features::declared(tributary_sdk::Features {
            document_level_security: false,
            incremental: true,
            basic_rules: true,
            advanced_rules: false,
        });
        assert_eq!(
            serde_json::to_string(&declared).unwrap(),
            r#"{"document_level_security":{"enabled":false},"incremental_sync":{"enabled":true},"sync_rules":{"advanced":{"enabled":false},"basic":{"enabled":true}}}"#
        );
        assert!(declared.incremental_sync() && declared.basic_rules());
        assert!(!declared.document_level_security() && !declared.advanced_rules());
    }

    #[test]
    fn partial_and_old_features_are_read() {
        let old = features(json!({"filtering_rules": true, "filtering_advanced_config": true}));
        assert!(old.basic_rules() && old.advanced_rules());
        // The newer form wins.
        let both = features(json!({
            "filtering_rules": true, "sync_rules": {"basic": {"enabled": false}, "advanced": null}
        }));
        assert!(!both.basic_rules() && !both.advanced_rules());
        assert!(!features(json!({"incremental_sync": 5})).incremental_sync());
    }

    #[test]
    fn features_cover_what_they_say_and_more() {
        let declared = features(json!({"sync_rules": {"basic": {"enabled": true}}}));
        let more = features(json!({
            "native_connector_api_keys": {"enabled": true},
            "sync_rules": {"basic": {"enabled": true}, "advanced": {"enabled": true}}
        }));
        assert!(more.covers(&declared));
        assert!(!declared.covers(&more));
        let other = features(json!({"sync_rules": {"basic": {"enabled": false}}}));
        assert!(!other.covers(&declared));
        assert!(!Features::default().covers(&declared));
    }
}
