//! The two questions of a supervisor: is it alive, and can it work?

use axum::{
    Json,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;

/// Who knows how the service is.
///
/// *Behaviour of both methods.* Answer at once, from memory: no I/O, no waiting. Asked from several
/// tasks at once.
pub trait Probes: Send + Sync {
    /// Whether the process does its work at all. If it does not, a supervisor starts it again.
    fn live(&self) -> Report;
    /// Whether it can work now. If it cannot, starting it again would not help.
    fn ready(&self) -> Report;
}

/// The answer to a probe.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// What is wrong, in sentences; nothing if all is well.
    pub reasons: Vec<String>,
}

impl Report {
    /// All is well.
    pub fn well() -> Self {
        Self::default()
    }

    /// Something is wrong.
    pub fn because(reason: impl Into<String>) -> Self {
        Self {
            reasons: vec![reason.into()],
        }
    }

    /// Whether all is well.
    pub fn is_well(&self) -> bool {
        self.reasons.is_empty()
    }
}

#[derive(Serialize)]
struct Body {
    status: &'static str,
    reasons: Vec<String>,
}

impl IntoResponse for Report {
    fn into_response(self) -> Response {
        let (code, status) = if self.is_well() {
            (StatusCode::OK, "ok")
        } else {
            (StatusCode::SERVICE_UNAVAILABLE, "failing")
        };
        let body = Body {
            status,
            reasons: self.reasons,
        };
        (code, [(header::CACHE_CONTROL, "no-store")], Json(body)).into_response()
    }
}
