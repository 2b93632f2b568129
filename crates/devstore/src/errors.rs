//! Errors in the shape of Elasticsearch's error bodies.

use std::fmt::Display;

use serde_json::{Map, Value, json};

/// The result of everything that a client can cause to fail.
pub(crate) type Result<T> = std::result::Result<T, Problem>;

/// A refused or failed request: what the client is told.
#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) status: u16,
    kind: &'static str,
    pub(crate) reason: String,
    extra: Map<String, Value>,
}

impl Problem {
    pub(crate) fn new(status: u16, kind: &'static str, reason: impl Display) -> Problem {
        Problem {
            status,
            kind,
            reason: reason.to_string(),
            extra: Map::new(),
        }
    }

    /// A request check that failed before anything was done.
    pub(crate) fn validation(reason: impl Display) -> Problem {
        let reason = format!("Validation Failed: 1: {reason};");
        Problem::new(400, "action_request_validation_exception", reason)
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
        self.extra.insert(key.to_owned(), value.into());
        self
    }

    /// The inner object, as it stands in bulk items.
    pub(crate) fn cause(&self) -> Value {
        let mut cause = json!({"type": self.kind, "reason": self.reason});
        for (key, value) in &self.extra {
            cause[key] = value.clone();
        }
        cause
    }

    /// The whole error body.
    pub(crate) fn body(&self) -> Value {
        let mut error = self.cause();
        error["root_cause"] = json!([self.cause()]);
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
    ($kind:literal, $($reason:tt)*) => {
        return Err(crate::errors::Problem::new(400, $kind, format!($($reason)*)))
    };
}
pub(crate) use refuse;
