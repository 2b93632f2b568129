//! Tables of a PostgreSQL database.
//!
//! One connection holds a read-only snapshot; the tables are read side by side at that instant, each
//! by a server-side cursor in the order of its primary key. Facts: PostgreSQL sheet, shared database
//! sheet.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod api;
mod catalogue;
mod config;
mod connect;
mod cursor;
mod decode;
mod documents;
mod error;
#[cfg(fuzzing)]
pub mod fuzzing;
mod plan;
mod rules;
mod snapshot;
mod source;
mod tls;

use tributary_sdk::{Features, SourceType};

/// The service type `postgresql`.
pub const POSTGRESQL: SourceType = SourceType {
    service_type: "postgresql",
    name: "PostgreSQL",
    features: Features {
        advanced_rules: true,
        ..Features::BASIC
    },
    fields: config::FIELDS,
    build: source::build,
};
