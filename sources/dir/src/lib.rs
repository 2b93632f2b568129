//! The source `dir`: the files of one directory of the host that the service runs on.
//! Facts: sheet `dir`. What a user should know: README.md.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod api;
mod config;
mod content;
mod document;
#[cfg(test)]
mod fake;
mod find;
mod plan;
mod source;
mod walk;
#[cfg(test)]
mod walk_tests;

use tributary_sdk::{Features, SourceType};

/// The source, as the list of sources knows it.
pub const DIR: SourceType = SourceType {
    service_type: "dir",
    name: "System Directory",
    features: Features::BASIC,
    fields: &[&config::DIRECTORY, &config::PATTERN],
    build: source::build,
};
