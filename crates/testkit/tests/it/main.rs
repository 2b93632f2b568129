//! Tests of the test kit itself: what it promises about servers, faults and certificates.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    missing_docs
)]

mod bulk_stub;
mod certificates;
mod client;
mod faults;
mod forward_proxy;
mod servers;
mod tcp_faults;
