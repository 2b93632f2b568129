//! The connector service: the loops that keep connector records and run sync jobs.
//!
//! Read in this order: [`config`], [`host`] (what the service needs from the world), [`service`] (the
//! whole), then the loops `heartbeat`, `schedule` with `check`, `execute` with `job` and `lease`, `cleanup`.
//!
//! Three rules hold everywhere:
//!
//! - **Records are changed on what is there now.** Whatever another instance, Kibana or a user may
//!   write too is changed under concurrency control, and decided again when somebody else was faster.
//! - **Nobody waits for a stranger.** One connector, data source or job that hangs or panics holds up
//!   nobody else.
//! - **An outage is waited out.** While Elasticsearch is away nothing is forgotten and nothing ends.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod config;
pub mod host;
pub mod metric_names;
pub mod production;
pub mod service;

mod change;
mod check;
mod cleanup;
mod context;
mod error;
mod execute;
mod failure;
mod fairness;
mod heartbeat;
mod job;
mod lease;
pub mod ledger;
mod observed;
mod preflight;
mod prepare;
mod registry;
mod running;
mod schedule;
mod sources;
mod status;
mod trouble;

pub use config::Config;
pub use error::ServiceError;
pub use host::{
    FilesFactory, Greeting, Host, Room, Server, StateRoom, TargetFactory, TargetRequest,
};
pub use job::{RehearsalReport, rehearse};
pub use registry::Registry;
pub use service::{Actions, Service};
pub use status::Status;
