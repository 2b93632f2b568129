//! The service types that this program can sync.

use crate::config::nearest_name;
use std::fmt;
use tributary_sdk::SourceType;

/// The list of sources. Cheap to clone.
#[derive(Clone, Copy, Default)]
pub struct Registry(&'static [&'static SourceType]);

impl Registry {
    /// These, and no others.
    pub const fn new(sources: &'static [&'static SourceType]) -> Self {
        Self(sources)
    }

    /// All of them, in the order of the list.
    pub fn iter(&self) -> impl Iterator<Item = &'static SourceType> + use<> {
        self.0.iter().copied()
    }

    /// The source of this service type. The `Err` is a sentence for the user, with the nearest name.
    pub fn find(&self, service_type: &str) -> Result<&'static SourceType, String> {
        self.iter()
            .find(|source| source.service_type == service_type)
            .ok_or_else(|| self.explain_unknown(service_type))
    }

    fn explain_unknown(&self, service_type: &str) -> String {
        let known: Vec<_> = self.iter().map(|source| source.service_type).collect();
        match nearest_name(service_type, known.iter().copied()) {
            Some(nearest) => format!(
                "this service has no service type '{service_type}'; did you mean '{nearest}'?"
            ),
            None => format!(
                "this service has no service type '{service_type}'; it has {}",
                known.join(", ")
            ),
        }
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.iter().map(|source| source.service_type))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tributary_sdk::{Error, Features};

    const fn source(service_type: &'static str) -> SourceType {
        SourceType {
            service_type,
            name: service_type,
            features: Features::BASIC,
            fields: &[],
            build: |_| Err(Error::stopped()),
        }
    }

    static POSTGRESQL: SourceType = source("postgresql");
    static DIR: SourceType = source("dir");
    static ALL: &[&SourceType] = &[&DIR, &POSTGRESQL];

    #[test]
    fn an_unknown_service_type_names_the_nearest() {
        let registry = Registry::new(ALL);
        assert_eq!(registry.find("dir").unwrap().service_type, "dir");
        for (typed, expected) in [
            ("postgresq", "did you mean 'postgresql'?"),
            ("dirr", "did you mean 'dir'?"),
            ("sharepoint_online", "it has dir, postgresql"),
        ] {
            let error = registry.find(typed).unwrap_err();
            assert!(error.contains(expected) && error.contains(typed), "{error}");
        }
    }
}
