//! Against a real PostgreSQL.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod connecting;
mod form;
mod ids;
mod interrupted;
mod measure;
mod resuming;
mod rights;
mod rules;
mod snapshot;
mod support;
mod tables;
mod values;
