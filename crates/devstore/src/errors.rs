//! Errors in the shape of Elasticsearch's error bodies.

use std::fmt::Display;

use serde_json::{Value, json};

/// The result of everything that a client can cause to fail.
pub(crate) type Result<T> = std::result::Result<T, Problem>;

/// Types of errors that have the status 400.
pub(crate) const ILLEGAL: &str = "illegal_argument_exception";
pub(crate) const PARSING: &str = "parsing_exception";
pub(crate) const SHAPE: &str = "x_content_parse_exception";
pub(crate) const DOCUMENT: &str = "document_parsing_exception";
pub(crate) const SHARD: &str = "query_shard_exception";
pub(crate) const STATE: &str = "status_exception";
pub(crate) const REQUEST: &str = "action_request_validation_exception";

/// A refused or failed request: what the client is told.
#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) status: u16,
    pub(crate) reason: String,
    /// The inner object, as it stands in bulk items.
    pub(crate) cause: Value,
}

impl Problem {
    pub(crate) fn new(status: u16, kind: &str, reason: impl Display) -> Problem {
        let reason = reason.to_string();
        let cause = json!({"type": kind, "reason": reason});
        Problem {
            status,
            reason,
            cause,
        }
    }

    pub(crate) fn missing_index(name: &str) -> Problem {
        let reason = format!("no such index [{name}]");
        Problem::new(404, "index_not_found_exception", reason).with("index", name)
    }

    pub(crate) fn not_found(reason: impl Display) -> Problem {
        Problem::new(404, "resource_not_found_exception", reason)
    }

    /// Something that Elasticsearch has and this store has not.
    pub(crate) fn unsupported(what: impl Display) -> Problem {
        let advice = "docs/store.md lists what is, and how to move to Elasticsearch";
        let reason = format!("{what} is not supported by this small store; {advice}");
        Problem::new(501, "not_supported_exception", reason)
    }

    /// The error for work that the end of the store interrupts.
    pub(crate) fn stopped() -> Problem {
        Problem::new(503, "node_closed_exception", "the store is being stopped")
    }

    pub(crate) fn with(mut self, key: &str, value: impl Into<Value>) -> Problem {
        self.cause[key] = value.into();
        self
    }

    /// The whole error body.
    pub(crate) fn body(&self) -> Value {
        let mut error = self.cause.clone();
        error["root_cause"] = json!([self.cause]);
        json!({"error": error, "status": self.status})
    }
}

/// What fails without the client's doing is a fault of the store itself.
impl<E: std::error::Error> From<E> for Problem {
    fn from(error: E) -> Problem {
        Problem::new(500, "store_failure", format!("the store failed: {error}"))
    }
}

/// Returns from a function with a 400 of the given type.
macro_rules! refuse {
    ($kind:expr, $($reason:tt)*) => {
        return Err(crate::errors::Problem::new(400, $kind, format!($($reason)*)))
    };
}

/// Returns from a function with a 501.
macro_rules! unsupported {
    ($($what:tt)*) => {
        return Err(crate::errors::Problem::unsupported(format!($($what)*)))
    };
}
pub(crate) use {refuse, unsupported};
