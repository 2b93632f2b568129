//! The stored values of a connector, and what `config.yml` says about its service type.

use super::{AnyField, Declaration, Plain, field::as_switch};
use crate::{Error, Result, SourceType};
use serde::{Serialize, Serializer, de::DeserializeOwned, ser::SerializeMap};
use serde_json::{Map, Value};
use std::{
    collections::BTreeMap,
    fmt,
    sync::atomic::{AtomicBool, Ordering},
};

/// The stored values of the declared fields of one connector. Does not print them.
pub struct Values(BTreeMap<&'static str, Slot>);

struct Slot {
    value: Value,
    read: AtomicBool,
}

impl fmt::Debug for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Values {
    /// Takes the values of the declared fields from a connector record's `configuration`; what is
    /// not stored begins as the form does. Keys that are not declared are left alone.
    pub fn new(fields: &[&dyn AnyField], configuration: &Map<String, Value>) -> Self {
        let slot = |declaration: &Declaration| Slot {
            value: configuration
                .get(declaration.key)
                .and_then(|entry| entry.get("value"))
                .map_or_else(|| declaration.value.to_value(), Value::clone),
            read: AtomicBool::new(false),
        };
        let fields = fields.iter().map(|field| field.declaration());
        Self(
            fields
                .map(|declaration| (declaration.key, slot(declaration)))
                .collect(),
        )
    }

    /// Declared, but not read so far. After `build` this has to be empty: a conformance check.
    pub fn unread(&self) -> Vec<&'static str> {
        let unread = self
            .0
            .iter()
            .filter(|(_, slot)| !slot.read.load(Ordering::Relaxed));
        unread.map(|(key, _)| *key).collect()
    }

    pub(super) fn slot(&self, key: &'static str) -> Result<&Value> {
        let slot = self.0.get(key).ok_or_else(|| {
            Error::internal("a field is not in the list of its source").with("field", key)
        })?;
        slot.read.store(true, Ordering::Relaxed);
        Ok(&slot.value)
    }

    pub(super) fn shows(&self, declaration: &Declaration) -> Result<bool> {
        for dependency in declaration.depends_on {
            let stored = self.slot(dependency.field)?;
            let holds = match dependency.value {
                Plain::Toggle(on) => as_switch(stored) == Some(on),
                other => *stored == other.to_value(),
            };
            if !holds {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// What `config.yml` says under `sources.<service_type>`: options of ours that the reference service
/// lacks (DESIGN §3).
#[derive(Clone, Debug, Default)]
pub struct SourceOptions(Map<String, Value>);

impl SourceOptions {
    /// Wraps the mapping of the file.
    pub fn new(options: Map<String, Value>) -> Self {
        Self(options)
    }

    /// Reads all options of a source at once. Let `T` refuse unknown fields, so that a typing error
    /// is found; the error names the option.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_value(Value::Object(self.0.clone())).map_err(|error| {
            Error::invalid_config(format!(
                "an option of this source in config.yml cannot be used: {error}"
            ))
        })
    }
}

impl SourceType {
    /// The `configuration` of a new connector record.
    pub fn configuration(&self) -> Configuration {
        Configuration(self.fields)
    }

    /// All that is wrong with these values, without asking the data source.
    pub fn problems(&self, values: &Values) -> Vec<Error> {
        let fields = self.fields.iter();
        fields
            .filter_map(|field| field.check(values).err())
            .collect()
    }

    /// All problems as one error, in the words of service sheet §6; nothing if there are none.
    pub fn check(&self, values: &Values) -> Result<()> {
        let problems = self.problems(values);
        if problems.is_empty() {
            return Ok(());
        }
        if let Some(internal) = problems
            .iter()
            .position(|problem| problem.kind() == crate::ErrorKind::Internal)
        {
            return Err(problems
                .into_iter()
                .nth(internal)
                .unwrap_or_else(Error::stopped));
        }
        let texts: Vec<_> = problems.iter().map(Error::message).collect();
        let message = format!("Field validation errors: {}", texts.join("; "));
        Err(Error::invalid_config(message))
    }

    /// The declared keys that a connector's configuration lacks.
    pub fn missing_keys(&self, configuration: &Map<String, Value>) -> Vec<&'static str> {
        let keys = self.fields.iter().map(|field| field.declaration().key);
        keys.filter(|key| !configuration.contains_key(*key))
            .collect()
    }
}

/// Serialises as the `configuration` of a connector record.
#[derive(Clone, Copy, Debug)]
pub struct Configuration(&'static [&'static dyn AnyField]);

impl Configuration {
    /// As a JSON object.
    pub fn to_map(self) -> Map<String, Value> {
        let entry = |declaration: &Declaration| {
            // A declaration is made of constants that all have a JSON form.
            let entry = serde_json::to_value(declaration).unwrap_or(Value::Null);
            (declaration.key.to_owned(), entry)
        };
        let fields = self.0.iter().map(|field| field.declaration());
        fields.map(entry).collect()
    }
}

impl Serialize for Configuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for field in self.0 {
            map.serialize_entry(field.declaration().key, field.declaration())?;
        }
        map.end()
    }
}
