//! Who may see what: identity documents and the field that they are compared with.
//!
//! A content document lists the tokens that may see it in [`ALLOW_ACCESS_CONTROL_FIELD`]; without the
//! field everybody may, and Elasticsearch takes an empty list for no field. An identity document, in the
//! index of [`crate::indices::access_control_index_name`], holds a person's tokens as parameters of a
//! query that applications put into an API key.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use crate::timestamp;

/// The field of a content document with the tokens that may see it.
pub const ALLOW_ACCESS_CONTROL_FIELD: &str = "_allow_access_control";

/// How the mapping of the content index lets the tokens be compared as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TokenField {
    /// Text with a `.keyword` inside, as dynamic mapping makes it.
    #[default]
    Keyword,
    /// Text with a `.enum` inside: indices that were made before 9.0.
    Enum,
    /// A keyword itself.
    Plain,
}

impl TokenField {
    /// Picks what the index really has. `properties` is `mappings.properties` of the content index.
    /// Without the field there, what dynamic mapping will make of it.
    pub fn of_mapping(properties: &Map<String, Value>) -> Self {
        let Some(field) = properties.get(ALLOW_ACCESS_CONTROL_FIELD) else {
            return Self::Keyword;
        };
        let has = |name: &str| {
            field
                .get("fields")
                .is_some_and(|fields| fields.get(name).is_some())
        };
        if has("keyword") {
            Self::Keyword
        } else if has("enum") {
            Self::Enum
        } else if field.get("type").and_then(Value::as_str) == Some("keyword") {
            Self::Plain
        } else {
            Self::Keyword
        }
    }

    /// The full name of the field in a query.
    pub fn name(self) -> &'static str {
        match self {
            Self::Keyword => "_allow_access_control.keyword",
            Self::Enum => "_allow_access_control.enum",
            Self::Plain => ALLOW_ACCESS_CONTROL_FIELD,
        }
    }

    /// The mustache text of the query: documents for everybody, and those with one of the tokens that
    /// are given as the parameter `access_control`.
    pub fn query_source(self) -> String {
        // Blanks around the tags: a third brace beside two would be another kind of tag.
        format!(
            concat!(
                r#"{{"bool": {{"should": ["#,
                r#"{{"bool": {{"must_not": {{"exists": {{"field": "{field}"}}}}}}}}, "#,
                r#"{{"terms": {{"{tokens}": {{{{#toJson}}}}access_control{{{{/toJson}}}} }} }}"#,
                r#"], "minimum_should_match": 1}}}}"#
            ),
            field = ALLOW_ACCESS_CONTROL_FIELD,
            tokens = self.name(),
        )
    }
}

/// A person or an account, and what it may see.
#[derive(Clone, Debug, PartialEq)]
pub struct Identity {
    /// The id of the document: a mail address, a name, whatever the source identifies people by.
    pub id: String,
    /// What identifies the person, such as `email` to `email:ada@example.org`. Nulls are left out.
    pub identity: Map<String, Value>,
    /// The tokens. Each is written once; without any, the person sees what everybody sees.
    pub access_control: Vec<String>,
}

impl Identity {
    /// The source of the identity document. Its id is also its field `id`, as in every document that a
    /// service writes.
    pub fn to_source(&self, tokens: TokenField, created_at: DateTime<Utc>) -> Map<String, Value> {
        let mut access_control: Vec<&str> = Vec::with_capacity(self.access_control.len());
        let mut known = std::collections::HashSet::new();
        for token in self.access_control.iter().filter(|token| !token.is_empty()) {
            if known.insert(token) {
                access_control.push(token);
            }
        }
        let mut identity = self.identity.clone();
        identity.retain(|_, value| !value.is_null());

        let mut source = Map::new();
        source.insert("id".into(), self.id.clone().into());
        source.insert("identity".into(), identity.into());
        source.insert("created_at".into(), timestamp::to_text(created_at).into());
        source.insert(
            "query".into(),
            json!({"template": {
                "params": {"access_control": access_control},
                "source": tokens.query_source()
            }}),
        );
        source
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_is_a_query_once_the_tokens_are_put_in() {
        for (tokens, name) in [
            (TokenField::Keyword, "_allow_access_control.keyword"),
            (TokenField::Enum, "_allow_access_control.enum"),
            (TokenField::Plain, "_allow_access_control"),
        ] {
            let source = tokens.query_source();
            assert!(
                !source.contains("{{{") && source.contains("{{#toJson}}access_control{{/toJson}} ")
            );
            let rendered = source.replace(
                "{{#toJson}}access_control{{/toJson}}",
                r#"["user:ada","group:x"]"#,
            );
            assert_eq!(
                serde_json::from_str::<Value>(&rendered).unwrap(),
                json!({"bool": {
                    "should": [
                        {"bool": {"must_not": {"exists": {"field": "_allow_access_control"}}}},
                        {"terms": {name: ["user:ada", "group:x"]}}
                    ],
                    "minimum_should_match": 1
                }})
            );
        }
    }

    #[test]
    fn the_sub_field_is_the_one_that_the_index_has() {
        let of = |field: Value| {
            TokenField::of_mapping(json!({"_allow_access_control": field}).as_object().unwrap())
        };
        assert_eq!(TokenField::of_mapping(&Map::new()), TokenField::Keyword);
        assert_eq!(
            of(json!({"type": "text", "fields": {"keyword": {"type": "keyword"}}})),
            TokenField::Keyword
        );
        assert_eq!(
            of(json!({"type": "text", "fields": {"enum": {"type": "keyword"}, "stem": {}}})),
            TokenField::Enum
        );
        assert_eq!(of(json!({"type": "keyword"})), TokenField::Plain);
        assert_eq!(of(json!({"type": "text"})), TokenField::Keyword);
    }

    #[test]
    fn an_identity_document() {
        let identity = Identity {
            id: "ada@example.org".into(),
            identity: json!({"email": "email:ada@example.org", "username": null})
                .as_object()
                .cloned()
                .unwrap(),
            access_control: vec![
                "user:ada".into(),
                "group:x".into(),
                "user:ada".into(),
                "".into(),
            ],
        };
        let created_at = DateTime::from_timestamp(1_795_590_161, 123_456_000).unwrap();
        assert_eq!(
            Value::Object(identity.to_source(TokenField::Keyword, created_at)),
            json!({
                "id": "ada@example.org",
                "identity": {"email": "email:ada@example.org"},
                "created_at": "2026-11-25T07:02:41.123456+00:00",
                "query": {"template": {
                    "params": {"access_control": ["user:ada", "group:x"]},
                    "source": TokenField::Keyword.query_source()
                }}
            })
        );
    }
}
