//! The records of the Elastic connector protocol: connectors, sync jobs, schedules, identities.
//!
//! Plain types and pure functions, no I/O and no clock. Three rules hold everywhere:
//!
//! - **Reading is tolerant.** Records are written by Kibana, by the `_connector` API, by other connector
//!   services and by hand. Unknown properties are ignored, missing ones and null read as the default.
//!   A value of a type that cannot be meant is a [`RecordError`] that names record and property; each
//!   record is read on its own, so one odd record never hides the others.
//! - **Writing is partial.** A service never writes back a whole record that it read: [`updates`] has
//!   one function for each change, which gives the `doc` of an `_update` request.
//! - **Time is given.** Whoever calls says what time it is.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod configuration;
pub mod connector;
pub mod features;
pub mod filtering;
pub mod identity;
pub mod indices;
pub mod ledger;
pub mod pipeline;
mod properties;
pub mod quartz;
#[cfg(test)]
mod record_tests;
pub mod records;
pub mod request;
pub mod schedule;
pub mod states;
pub mod sync_job;
pub mod timestamp;
pub mod updates;

pub use connector::Connector;
pub use features::Features;
pub use filtering::{Filtering, FilteringValidation, SyncRules};
pub use ledger::{Ledger, LedgerFilter, LedgerRecord};
pub use pipeline::Pipeline;
pub use properties::RecordError;
pub use quartz::{Quartz, QuartzError};
pub use request::JobRequest;
pub use schedule::{Schedule, Scheduling};
pub use states::{
    ConnectorStatus, IllegalTransition, JobStatus, JobType, TriggerMethod, ValidationState,
};
pub use sync_job::SyncJob;
