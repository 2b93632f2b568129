//! Why the service ended.

use std::time::Duration;
use thiserror::Error;
use tributary_protocol::records::RecordsError;

/// Why the service ended by itself.
#[derive(Debug, Error)]
pub enum ServiceError {
    /// Elasticsearch did not answer at the start.
    #[error(
        "gave up after waiting {} s (elasticsearch.max_wait_duration): {error}",
        waited.as_secs()
    )]
    Unreachable {
        /// How long it was waited for.
        waited: Duration,
        /// The last answer.
        #[source]
        error: RecordsError,
    },
    /// Elasticsearch refused us at the start, and would again.
    #[error(transparent)]
    Refused(RecordsError),
    /// The indices of the records could not be made.
    #[error("the records could not be prepared in {attempts} attempts: {error}")]
    NotPrepared {
        /// How often it was tried.
        attempts: u32,
        /// The last answer.
        #[source]
        error: RecordsError,
    },
    /// Too many errors in the loops.
    #[error("{0} (service.max_errors, service.max_errors_span)")]
    TooManyErrors(String),
    /// A loop ended that should not; a mistake of ours.
    #[error("a loop of the service broke: {0}")]
    Broken(String),
}
