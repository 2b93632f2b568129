//! Real servers, scripted faults and certificates for the tests of this workspace.
//!
//! - [`servers`]: PostgreSQL, Elasticsearch and OpenSearch as child processes on free ports.
//! - [`faults`]: an HTTP/1.1 reverse proxy that fails on request.
//! - [`tcp_faults`]: the same for any protocol over TCP.
//! - [`forward_proxy`]: a recording HTTP proxy, for clients that are told to use one.
//! - [`certificates`]: good and bad certificates.
//! - [`memory`]: an index, scratch files and a clock in memory, with faults at every call.
//! - [`walk`]: a session without an engine, for the tests of one source.
//! - [`bulk_stub`]: a bulk endpoint that accepts and discards, for measurements.
//!
//! Nothing here ships. Errors are [`anyhow::Error`] with the whole story in them (the server's log, for example).
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod bulk_stub;
pub mod certificates;
pub mod faults;
pub mod forward_proxy;
mod gate;
mod http1;
pub mod memory;
pub mod servers;
pub mod tcp_faults;
pub mod walk;
