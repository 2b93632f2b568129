//! The list of sources.

use tributary_service::Registry;

/// Every service type that this program can sync.
pub(crate) const REGISTRY: Registry = Registry::new(&[
    &tributary_source_dir::DIR,
    &tributary_source_postgresql::POSTGRESQL,
]);
