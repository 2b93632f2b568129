//! Against golden files, and against a second, naive reading of the rules.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod glob;
mod golden;
