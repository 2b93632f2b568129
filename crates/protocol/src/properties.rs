//! Reading the properties of a record, with errors that name them.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use crate::timestamp;

/// A record that cannot be what its writer meant. Never holds a value of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{record} '{id}': '{property}' {reason}")]
pub struct RecordError {
    /// `connector` or `sync job`.
    pub record: &'static str,
    /// The id of the record.
    pub id: String,
    /// The path of the property, such as `scheduling.full.enabled`.
    pub property: String,
    reason: String,
}

/// A word of a closed list, as the protocol's states and types are.
pub(crate) trait Word: Sized + 'static {
    const WORDS: &'static [&'static str];

    fn from_word(word: &str) -> Option<Self>;
}

/// An object inside a record, or the record itself.
#[derive(Clone, Copy)]
pub(crate) struct Properties<'a> {
    record: &'static str,
    id: &'a str,
    /// Where the object is in the record; empty for the record itself.
    path: &'a str,
    map: &'a Map<String, Value>,
}

impl<'a> Properties<'a> {
    pub(crate) fn new(record: &'static str, id: &'a str, map: &'a Map<String, Value>) -> Self {
        Self {
            record,
            id,
            path: "",
            map,
        }
    }

    /// Another object of the same record.
    pub(crate) fn at<'b>(self, path: &'b str, map: &'b Map<String, Value>) -> Properties<'b>
    where
        'a: 'b,
    {
        Properties {
            record: self.record,
            id: self.id,
            path,
            map,
        }
    }

    pub(crate) fn error(self, key: &str, reason: impl Into<String>) -> RecordError {
        let property = match self.path {
            "" => key.to_owned(),
            path => format!("{path}.{key}"),
        };
        RecordError {
            record: self.record,
            id: self.id.to_owned(),
            property,
            reason: reason.into(),
        }
    }

    fn wrong_type(self, key: &str, wanted: &str, found: &Value) -> RecordError {
        self.error(key, format!("must be {wanted}, but is {}", kind_of(found)))
    }

    /// The value; `None` when it is missing or null.
    pub(crate) fn value(self, key: &str) -> Option<&'a Value> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    /// Text. A number or a bool is taken as text, as Elasticsearch does for keywords.
    pub(crate) fn text(self, key: &str) -> Result<Option<String>, RecordError> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(scalar @ (Value::Number(_) | Value::Bool(_))) => Ok(Some(scalar.to_string())),
            Some(other) => Err(self.wrong_type(key, "text", other)),
        }
    }

    /// Text that says something: blanks alone count as missing.
    pub(crate) fn filled_text(self, key: &str) -> Result<Option<String>, RecordError> {
        Ok(self.text(key)?.filter(|text| !text.trim().is_empty()))
    }

    /// A switch. The texts that Elasticsearch accepts for it are accepted too.
    pub(crate) fn flag(self, key: &str) -> Result<Option<bool>, RecordError> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(Value::String(text)) if text == "true" => Ok(Some(true)),
            Some(Value::String(text)) if text == "false" || text.is_empty() => Ok(Some(false)),
            Some(other) => Err(self.wrong_type(key, "true or false", other)),
        }
    }

    /// A count, also written as `3.0` or `"3"`.
    pub(crate) fn count(self, key: &str) -> Result<Option<u64>, RecordError> {
        let Some(value) = self.value(key) else {
            return Ok(None);
        };
        let count = match value {
            Value::Number(number) => number.as_u64().or_else(|| {
                let float = number.as_f64()?;
                ((0.0..1e15).contains(&float) && float.fract() == 0.0).then_some(float as u64)
            }),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        count
            .map(Some)
            .ok_or_else(|| self.wrong_type(key, "a whole number from 0", value))
    }

    pub(crate) fn time(self, key: &str) -> Result<Option<DateTime<Utc>>, RecordError> {
        let Some(value) = self.value(key) else {
            return Ok(None);
        };
        timestamp::from_value(value)
            .map(Some)
            .ok_or_else(|| self.wrong_type(key, "an ISO 8601 date", value))
    }

    pub(crate) fn object(self, key: &str) -> Result<Option<&'a Map<String, Value>>, RecordError> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::Object(map)) => Ok(Some(map)),
            Some(other) => Err(self.wrong_type(key, "an object", other)),
        }
    }

    pub(crate) fn list(self, key: &str) -> Result<Option<&'a [Value]>, RecordError> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::Array(list)) => Ok(Some(list)),
            Some(other) => Err(self.wrong_type(key, "a list", other)),
        }
    }

    /// A word of a closed list, in any case; an empty one counts as missing.
    pub(crate) fn word<W: Word>(self, key: &str) -> Result<Option<W>, RecordError> {
        let Some(text) = self.filled_text(key)? else {
            return Ok(None);
        };
        W::from_word(&text.trim().to_ascii_lowercase())
            .map(Some)
            .ok_or_else(|| {
                self.error(
                    key,
                    format!(
                        "is '{}', but must be one of {}",
                        shortened(&text),
                        W::WORDS.join(", ")
                    ),
                )
            })
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a bool",
        Value::Number(_) => "a number",
        Value::String(_) => "text that is none",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// Enough of a text to recognise it in a message.
pub(crate) fn shortened(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(60) {
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
        None => Cow::Borrowed(text),
    }
}
