#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod authority;
mod client_certificate;
mod handshake;
mod pinning;
