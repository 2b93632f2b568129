//! Errors in the shape of Elasticsearch's error bodies.

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
    pub(crate) fn new(status: u16, kind: &'static str, reason: impl Into<String>) -> Problem {
        let (reason, extra) = (reason.into(), Map::new());
        Problem {
            status,
            kind,
            reason,
            extra,
        }
    }

    pub(crate) fn illegal(reason: impl Into<String>) -> Problem {
        Problem::new(400, "illegal_argument_exception", reason)
    }

    pub(crate) fn parsing(reason: impl Into<String>) -> Problem {
        Problem::new(400, "parsing_exception", reason)
    }

    /// A request check that failed before anything was done.
    pub(crate) fn validation(reason: impl std::fmt::Display) -> Problem {
        let reason = format!("Validation Failed: 1: {reason};");
        Problem::new(400, "action_request_validation_exception", reason)
    }

    pub(crate) fn missing_index(name: &str) -> Problem {
        Problem::new(
            404,
            "index_not_found_exception",
            format!("no such index [{name}]"),
        )
        .with("resource.type", "index_or_alias")
        .with("resource.id", name)
        .with("index", name)
    }

    pub(crate) fn not_found(reason: impl Into<String>) -> Problem {
        Problem::new(404, "resource_not_found_exception", reason)
    }

    /// Something that Elasticsearch has and this store has not.
    pub(crate) fn unsupported(what: impl std::fmt::Display) -> Problem {
        let advice = "docs/store.md lists what is, and how to move to Elasticsearch";
        let reason = format!("{what} is not supported by this small store; {advice}");
        Problem::new(501, "not_supported_exception", reason)
    }

    /// A fault of the store itself.
    pub(crate) fn internal(reason: impl std::fmt::Display) -> Problem {
        Problem::new(500, "store_failure", format!("the store failed: {reason}"))
    }

    pub(crate) fn with(mut self, key: &str, value: impl Into<Value>) -> Problem {
        self.extra.insert(key.to_owned(), value.into());
        self
    }

    /// The inner object, as it stands in bulk items.
    pub(crate) fn cause(&self) -> Map<String, Value> {
        let mut cause = Map::from_iter([("type".to_owned(), json!(self.kind))]);
        cause.insert("reason".to_owned(), json!(self.reason));
        cause.extend(self.extra.clone());
        cause
    }

    /// The whole error body.
    pub(crate) fn body(&self) -> Value {
        let mut error = Map::from_iter([("root_cause".to_owned(), json!([self.cause()]))]);
        error.extend(self.cause());
        json!({"error": error, "status": self.status})
    }
}

/// Returns from a function with a 400 of the given type.
macro_rules! refuse {
    ($kind:literal, $($reason:tt)*) => {
        return Err(crate::errors::Problem::new(400, $kind, format!($($reason)*)))
    };
}
pub(crate) use refuse;

macro_rules! faults_of_the_store {
    ($($error:ty),*) => {$(
        impl From<$error> for Problem {
            fn from(error: $error) -> Problem {
                Problem::internal(error)
            }
        }
    )*};
}
faults_of_the_store!(redb::TransactionError, redb::TableError, redb::StorageError);
faults_of_the_store!(
    redb::CommitError,
    tantivy::TantivyError,
    std::io::Error,
    serde_json::Error
);
