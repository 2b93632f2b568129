//! Reads typed values by their keys and collects everything that is wrong on the way.

use super::environment::Environment;
use super::error::ConfigError;
use super::key::Key;
use super::tree::{Map, Node, Place, Value};
use super::yaml;

pub(super) struct Reader<'a> {
    pub(super) map: &'a Map,
    pub(super) environment: &'a dyn Environment,
    pub(super) errors: Vec<ConfigError>,
    pub(super) warnings: Vec<String>,
}

impl Reader<'_> {
    /// The value, or the default where none is set or what is set is wrong (which is recorded).
    pub(super) fn get<T: Default>(&mut self, key: &Key<T>) -> T {
        let node = self
            .map
            .find(key.description.path)
            .filter(|node| !node.is_null());
        let found = node.and_then(|node| self.read(key, node));
        found.or_else(|| self.default(key)).unwrap_or_default()
    }

    /// The value if one is set. An empty text counts as not set.
    pub(super) fn find<T>(&mut self, key: &Key<T>) -> Option<T> {
        let node = self.map.find(key.description.path)?;
        if node.is_null() || node.is_empty_text() {
            return None;
        }
        self.read(key, node)
    }

    pub(super) fn is_set<T>(&self, key: &Key<T>) -> bool {
        self.place(key).is_some()
    }

    pub(super) fn place<T>(&self, key: &Key<T>) -> Option<Place> {
        let node = self.map.find(key.description.path)?;
        (!node.is_null() && !node.is_empty_text()).then_some(node.place)
    }

    /// Records what is wrong with a key, unless something is recorded already: a variable that is
    /// not set leaves a value that is bound to be wrong.
    pub(super) fn error(
        &mut self,
        key: impl Into<String>,
        place: Option<Place>,
        message: impl Into<String>,
    ) {
        let error = ConfigError::new(key, place, message);
        if !self.errors.iter().any(|known| known.key() == error.key()) {
            self.errors.push(error);
        }
    }

    fn read<T>(&mut self, key: &Key<T>, node: &Node) -> Option<T> {
        match (key.read)(node, self.environment) {
            Ok(value) => Some(value),
            Err(message) => {
                self.error(key.description.path, Some(node.place), message);
                None
            }
        }
    }

    fn default<T>(&self, key: &Key<T>) -> Option<T> {
        // Defaults are written as YAML in the table, so that the example can show them as they
        // are. A test reads every one of them.
        let text = format!("default: {}", key.description.default?);
        let map = yaml::parse(&text, &mut Vec::new()).ok()?;
        (key.read)(map.get("default")?, self.environment).ok()
    }
}

/// What to call a mapping that is something else; sections are checked once for all their keys.
pub(super) fn section_errors(map: &Map, sections: &[&str], errors: &mut Vec<ConfigError>) {
    for section in sections {
        if let Some(node) = map.find(section)
            && !matches!(node.value, Value::Map(_))
            && !node.is_null()
        {
            errors.push(ConfigError::new(
                *section,
                Some(node.place),
                super::value::wrong("a mapping of keys and values", node),
            ));
        }
    }
}
