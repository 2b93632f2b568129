//! Errors in the shape of Elasticsearch's error bodies.

use serde_json::{Map, Value, json};

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
        Problem {
            status,
            kind,
            reason: reason.into(),
            extra: Map::new(),
        }
    }

    pub(crate) fn illegal(reason: impl Into<String>) -> Problem {
        Problem::new(400, "illegal_argument_exception", reason)
    }

    pub(crate) fn parsing(reason: impl Into<String>) -> Problem {
        Problem::new(400, "parsing_exception", reason)
    }

    pub(crate) fn garbled(error: &serde_json::Error) -> Problem {
        Problem::new(
            400,
            "x_content_parse_exception",
            format!("the body is not valid JSON: {error}"),
        )
    }

    /// A request check that failed before anything was done.
    pub(crate) fn validation(reason: impl Into<String>) -> Problem {
        let reason = format!("Validation Failed: 1: {};", reason.into());
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
        let reason = format!(
            "{what} is not supported by this small store; docs/store.md lists what is, and how to move to Elasticsearch"
        );
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
    pub(crate) fn cause(&self) -> Value {
        let mut cause = json!({"type": self.kind, "reason": self.reason});
        if let Value::Object(map) = &mut cause {
            map.extend(self.extra.clone());
        }
        cause
    }

    /// The whole error body.
    pub(crate) fn body(&self) -> Value {
        let mut root = self.cause();
        if let Value::Object(map) = &mut root {
            map.remove("caused_by");
        }
        let mut error = json!({"root_cause": [root]});
        if let (Value::Object(map), Value::Object(cause)) = (&mut error, self.cause()) {
            map.extend(cause);
        }
        json!({"error": error, "status": self.status})
    }
}

macro_rules! failures_of_the_store {
    ($($error:ty),*) => {$(
        impl From<$error> for Problem {
            fn from(error: $error) -> Problem {
                Problem::internal(error)
            }
        }
    )*};
}
failures_of_the_store!(
    redb::TransactionError,
    redb::TableError,
    redb::StorageError,
    redb::CommitError,
    tantivy::TantivyError,
    std::io::Error,
    serde_json::Error
);
