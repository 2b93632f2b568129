#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    unreachable_pub
)]
//! The service over records, indices and data sources in memory, in virtual time.

mod instance;
mod record_changes;
mod records;
mod source;
mod world;

mod cleanup;
mod conflicts;
mod connectors;
mod jobs;
mod leases;
mod metrics;
mod outages;
mod schedules;
mod scratch;
mod sharing;
mod start;
