//! Why a request failed.

use std::{fmt, time::Duration};
use tributary_engine::{TargetError, TargetErrorKind};

/// Why no client could be made: something in the settings cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct ConnectError {
    pub(crate) message: String,
}

impl ConnectError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
        }
    }
}

/// Why a request failed, after the retries that were allowed.
#[derive(Clone, Debug)]
pub struct RequestError {
    /// What went wrong.
    pub kind: RequestErrorKind,
    /// A sentence for the user: address, what was tried, what the server said, the way out.
    pub message: String,
    /// The HTTP status, if there was an answer.
    pub status: Option<u16>,
    /// The server's word for it, such as `index_not_found_exception`; empty if it had none.
    pub server_kind: String,
    /// The server's sentence; empty if it had none.
    pub reason: String,
    /// Whether the request may have been carried out all the same.
    pub uncertain: bool,
}

/// What went wrong with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestErrorKind {
    /// No connection: unknown host, refused, TLS or proxy trouble. Nothing was sent.
    Unreachable,
    /// The connection ended before the answer was complete.
    Interrupted,
    /// No answer in time.
    TimedOut,
    /// 500 and above: the server, or something before it, is in trouble.
    Unavailable,
    /// 429: asked too much at once.
    Busy {
        /// What the server asked us to wait.
        retry_after: Option<Duration>,
    },
    /// 413: the request is too large.
    TooLarge,
    /// A block on the index: disk flood stage, or read-only.
    Blocked,
    /// 401.
    Unauthorised,
    /// 403.
    Forbidden,
    /// 404, or an index, alias or pipeline that is not there.
    NotFound,
    /// 409: another version is there.
    Conflict,
    /// The server does not know this call.
    Unsupported,
    /// Anything else that repeating will not change.
    Rejected,
}

impl RequestError {
    pub(crate) fn new(kind: RequestErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            status: None,
            server_kind: String::new(),
            reason: String::new(),
            uncertain: matches!(
                kind,
                RequestErrorKind::Interrupted
                    | RequestErrorKind::TimedOut
                    | RequestErrorKind::Unavailable
            ),
        }
    }

    /// Whether the same request may succeed a little later without anybody acting.
    pub fn may_pass(&self) -> bool {
        matches!(
            self.kind,
            RequestErrorKind::Unreachable
                | RequestErrorKind::Interrupted
                | RequestErrorKind::TimedOut
                | RequestErrorKind::Unavailable
                | RequestErrorKind::Busy { .. }
        )
    }

    pub(crate) fn is(&self, kind: RequestErrorKind) -> bool {
        self.kind == kind
    }
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for RequestError {}

impl From<RequestError> for TargetError {
    fn from(error: RequestError) -> Self {
        let kind = match error.kind {
            RequestErrorKind::Unreachable
            | RequestErrorKind::Interrupted
            | RequestErrorKind::TimedOut
            | RequestErrorKind::Unavailable => TargetErrorKind::Unavailable,
            RequestErrorKind::Busy { retry_after } => TargetErrorKind::Busy { retry_after },
            RequestErrorKind::TooLarge => TargetErrorKind::TooLarge,
            RequestErrorKind::Blocked => TargetErrorKind::Blocked,
            RequestErrorKind::Unauthorised => TargetErrorKind::Unauthorised,
            RequestErrorKind::Forbidden => TargetErrorKind::Forbidden,
            RequestErrorKind::NotFound => TargetErrorKind::NotFound,
            RequestErrorKind::Conflict
            | RequestErrorKind::Unsupported
            | RequestErrorKind::Rejected => TargetErrorKind::Rejected,
        };
        Self::new(kind, error.message)
    }
}
