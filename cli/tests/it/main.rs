//! The real binary, from outside.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod connectors;
mod errors;
mod jobs;
mod names;
mod program;
mod quickstart;
mod service;
mod sources;
