//! Where the counts of the process are kept, and their text form for Prometheus.

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use thiserror::Error;

/// The metrics of this process. Cheap to clone.
#[derive(Clone)]
pub struct Metrics(PrometheusHandle);

/// The metrics of a process cannot be kept twice.
#[derive(Debug, Error)]
#[error("metrics are kept by somebody else in this process already")]
pub struct MetricsError;

impl Metrics {
    /// Begins to keep everything that is counted in this process from now on; once per process.
    pub fn install() -> Result<Self, MetricsError> {
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        metrics::set_global_recorder(recorder).map_err(|_| MetricsError)?;
        Ok(Self(handle))
    }

    /// Metrics that were begun elsewhere.
    pub fn from_handle(handle: PrometheusHandle) -> Self {
        Self(handle)
    }

    /// All metrics in the text format of Prometheus.
    pub fn render(&self) -> String {
        self.0.run_upkeep();
        self.0.render()
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metrics")
    }
}
