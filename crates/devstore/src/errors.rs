//! Errors in the shape of Elasticsearch's error bodies.

use std::fmt::Display;

use serde_json::{Value, json};

/// The result of everything that a client can cause to fail.
pub(crate) type Result<T> = std::result::Result<T, Problem>;

/// A refused or failed request: what the client is told.
#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) status: u16,
    /// The inner object, as it stands in bulk items.
    pub(crate) cause: Value,
}

impl Problem {
    pub(crate) fn new(status: u16, kind: &str, reason: impl Display) -> Problem {
        let cause = json!({"type": kind, "reason": reason.to_string()});
        Problem { status, cause }
    }

    pub(crate) fn illegal(reason: impl Display) -> Problem {
        Problem::new(400, "illegal_argument_exception", reason)
    }

    /// The same for a document that cannot be taken.
    pub(crate) fn of_document(mut self) -> Problem {
        self.cause["type"] = json!("document_parsing_exception");
        self
    }

    pub(crate) fn missing_index(name: &str) -> Problem {
        if name.contains(['*', ',']) || name == "_all" {
            return Problem::unsupported(format!("[{name}] in the place of one index"));
        }
        let reason = format!("no such index [{name}]");
        Problem::new(404, "index_not_found_exception", reason)
    }

    /// Something that Elasticsearch has and this store has not.
    pub(crate) fn unsupported(what: impl Display) -> Problem {
        let advice = "docs/store.md lists what is, and how to move to Elasticsearch";
        let reason = format!("{what} is not supported by this small store; {advice}");
        Problem::new(501, "not_supported_exception", reason)
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

/// Returns from a function with a 400.
macro_rules! refuse {
    ($($reason:tt)*) => {
        return Err(crate::errors::Problem::illegal(format!($($reason)*)))
    };
}

/// Returns from a function with a 501.
macro_rules! unsupported {
    ($($what:tt)*) => {
        return Err(crate::errors::Problem::unsupported(format!($($what)*)))
    };
}
pub(crate) use {refuse, unsupported};
