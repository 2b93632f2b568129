//! The store, seen by a client: every test starts its own on a free port, in its own folder.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod bad_input;
mod bulk;
mod connectors;
mod documents;
mod durability;
mod harness;
mod indices;
mod ingest;
mod jobs;
mod pages;
mod queries;
mod search;
mod security;
