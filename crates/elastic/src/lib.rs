//! Elasticsearch and OpenSearch over HTTP. Every difference between servers lives here.
//!
//! [`Client`] is the connection: address, credentials, TLS, proxy, retries, what server it is. Over it
//! stand [`ElasticTarget`], the index that a job writes to, and [`ElasticRecords`], the records of
//! connectors and sync jobs.
//!
//! What holds for every request:
//!
//! * It carries the product origin `connectors` and a user agent that names product and version.
//! * Redirects are not followed, and proxies are never taken from the environment.
//! * An error names the address (without credentials), what was tried, what the server said, in
//!   short, and the way out. It never shows a credential.
//! * An answer of more than a fixed size is refused, so that memory stays bounded.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod admin;
mod bulk;
mod client;
mod connection;
mod error;
mod explain;
#[cfg(fuzzing)]
pub mod fuzzing;
mod ledger;
mod path;
mod privileges;
mod records;
mod refusal;
mod retry;
mod scan;
mod server;
mod target;
mod token;
mod transport;

pub use admin::{ApiKey, IndexSummary, License, SearchAnswer, SearchHit};
pub use client::Client;
pub use connection::{Connection, Credentials, ProxySettings, RetrySettings, TlsSettings};
pub use error::{ConnectError, RequestError, RequestErrorKind};
pub use ledger::ElasticLedger;
pub use privileges::{MissingPrivileges, NeededPrivileges};
pub use records::{ElasticRecords, Mode};
pub use server::{Flavor, ServerInfo};
pub use target::ElasticTarget;
pub use tributary_tls::Pem;
