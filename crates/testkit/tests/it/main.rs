//! Tests of the test kit itself: what it promises about servers, faults and certificates.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod servers;
