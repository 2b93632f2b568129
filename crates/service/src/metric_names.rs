//! The metrics of the service: one constant each, with what it says. `docs/operating/metrics.md` is
//! written from this list.

/// A metric.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// `counter` or `gauge`.
    pub kind: &'static str,
    /// Its labels.
    pub labels: &'static [&'static str],
    /// What it says.
    pub meaning: &'static str,
}

/// Label: the service type of the connector.
pub const SERVICE_TYPE: &str = "service_type";
/// Label: full, incremental or access_control.
pub const JOB_TYPE: &str = "job_type";
/// Label: how a job ended.
pub const VERDICT: &str = "verdict";
/// Label: which loop.
pub const LOOP: &str = "loop";

macro_rules! metrics {
    ($($constant:ident = $name:literal, $kind:literal, [$($label:ident),*], $meaning:literal;)+) => {
        $(
            #[doc = $meaning]
            pub const $constant: &str = $name;
        )+
        /// All of them.
        pub const ALL: &[Metric] = &[
            $(Metric { name: $name, kind: $kind, labels: &[$($label),*], meaning: $meaning }),+
        ];
    };
}

metrics! {
    JOBS_STARTED = "tributary_jobs_started_total", "counter", [SERVICE_TYPE, JOB_TYPE],
        "Sync jobs that were claimed.";
    JOBS_ENDED = "tributary_jobs_ended_total", "counter", [SERVICE_TYPE, JOB_TYPE, VERDICT],
        "Sync jobs that ended: `completed`, `warning` (completed, but something could not be read), `error`, `canceled`, `suspended`, `lost` (another instance has the job).";
    JOBS_TAKEN_OVER = "tributary_jobs_taken_over_total", "counter", [],
        "Sync jobs that were taken away from an instance that had fallen silent.";
    JOBS_RUNNING = "tributary_jobs_running", "gauge", [JOB_TYPE],
        "Sync jobs that run now.";
    DOCUMENTS_EXTRACTED = "tributary_documents_extracted_total", "counter", [SERVICE_TYPE],
        "Documents that sources emitted.";
    DOCUMENTS_INDEXED = "tributary_documents_indexed_total", "counter", [SERVICE_TYPE],
        "Documents that were written.";
    DOCUMENTS_DELETED = "tributary_documents_deleted_total", "counter", [SERVICE_TYPE],
        "Documents that were deleted.";
    DOCUMENTS_FAILED = "tributary_documents_failed_total", "counter", [SERVICE_TYPE],
        "Documents that the index refused.";
    BYTES_INDEXED = "tributary_indexed_bytes_total", "counter", [SERVICE_TYPE],
        "Bytes of the documents that were written.";
    BULK_REQUESTS = "tributary_bulk_requests_total", "counter", [SERVICE_TYPE],
        "Bulk requests.";
    BULK_RETRIES = "tributary_bulk_item_retries_total", "counter", [SERVICE_TYPE],
        "Documents that were sent again after 429 or 5xx.";
    LAST_HEARTBEAT = "tributary_last_heartbeat_timestamp_seconds", "gauge", [],
        "When a connector's heartbeat was last written, in seconds since 1970.";
    LOOP_ERRORS = "tributary_loop_errors_total", "counter", [LOOP],
        "Errors of the loops of the service; more than `service.max_errors` within `service.max_errors_span` end the process.";
    ELASTICSEARCH_UP = "tributary_elasticsearch_up", "gauge", [],
        "1 if Elasticsearch answered the last time it was asked, else 0.";
}

/// The page for people who operate the service.
pub fn page() -> String {
    let mut page = String::from(
        "# Metrics\n\n\
         `GET /metrics` on `service.health_address` answers in the text format of Prometheus. \
         Counters begin at 0 when the process starts.\n\n\
         | name | kind | labels | meaning |\n|---|---|---|---|\n",
    );
    for metric in ALL {
        let labels: Vec<_> = metric
            .labels
            .iter()
            .map(|label| format!("`{label}`"))
            .collect();
        page.push_str(&format!(
            "| `{}` | {} | {} | {} |\n",
            metric.name,
            metric.kind,
            labels.join(", "),
            metric.meaning
        ));
    }
    page
}
