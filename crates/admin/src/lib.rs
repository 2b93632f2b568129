//! What the people who run the service ask it over HTTP: `/metrics`, `/healthz`, `/readyz`.
//!
//! Knows nothing of the service: health comes through the trait [`Probes`], metrics through the
//! recorder of the `metrics` crate.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod health;
mod metrics;
mod server;

pub use health::{Probes, Report};
pub use metrics::{Metrics, MetricsError};
pub use server::{Admin, AdminError};
