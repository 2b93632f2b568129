//! The crate against real servers, and against fakes that fail on purpose.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod admin;
mod connection;
mod engines;
mod fake;
mod faults;
mod history;
mod jobs;
mod limits;
mod names;
mod odd;
mod records;
mod records_faults;
mod records_jobs;
mod scan;
mod store;
mod target;
mod tls;
mod token;
mod trouble;
