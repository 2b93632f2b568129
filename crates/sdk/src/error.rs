//! One error type. The kind decides what happens, the message helps the user, the context says to what.

use std::{error::Error as StdError, fmt, time::Duration};

/// The result of everything in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, as far as the engine needs to know. What follows from it is *one* table, in the
/// engine; a source never decides that itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The configuration cannot work; only a person can change that.
    InvalidConfig,
    /// The data source does not accept the account at all.
    Unauthorised,
    /// The account is accepted, but may not read this.
    Forbidden,
    /// What was asked for is not there.
    NotFound,
    /// Asked too often. The kit waits and asks again; a source sees this only when patience ran out.
    RateLimited {
        /// What the data source asked us to wait; a duration, as a source does not read the clock.
        retry_after: Option<Duration>,
    },
    /// The data source cannot be reached or says that it is ill.
    Unavailable,
    /// No answer in time.
    Timeout,
    /// An answer that cannot be what the data source meant.
    BadResponse,
    /// The cursor is not accepted any more, or not readable. The engine walks the unit again, in
    /// full; without a cursor it is a gap like any other.
    DeadCursor,
    /// The source cannot do this, now or later.
    Unsupported,
    /// The job is ending. Hand it on with `?`.
    Stopped,
    /// A mistake of ours.
    Internal,
}

impl ErrorKind {
    /// All kinds; one that was rate limited asked for nothing.
    const ALL: [Self; 12] = [
        Self::InvalidConfig,
        Self::Unauthorised,
        Self::Forbidden,
        Self::NotFound,
        Self::RateLimited { retry_after: None },
        Self::Unavailable,
        Self::Timeout,
        Self::BadResponse,
        Self::DeadCursor,
        Self::Unsupported,
        Self::Stopped,
        Self::Internal,
    ];

    /// The kind that [`ErrorKind::name`] gives this word for.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The word for it in logs, job metadata and metrics labels.
    pub fn name(self) -> &'static str {
        match self {
            Self::InvalidConfig => "invalid_config",
            Self::Unauthorised => "unauthorised",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not_found",
            Self::RateLimited { .. } => "rate_limited",
            Self::Unavailable => "unavailable",
            Self::Timeout => "timeout",
            Self::BadResponse => "bad_response",
            Self::DeadCursor => "dead_cursor",
            Self::Unsupported => "unsupported",
            Self::Stopped => "stopped",
            Self::Internal => "internal",
        }
    }
}

/// An error: kind, message for the user, context, cause. Never holds secrets or payloads.
pub struct Error(Box<Parts>);

struct Parts {
    kind: ErrorKind,
    message: String,
    context: Vec<(&'static str, String)>,
    cause: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// `message` is a sentence for the user: what happened, and what to do about it.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Parts {
            kind,
            message: message.into(),
            context: Vec::new(),
            cause: None,
        }))
    }

    /// The job is ending.
    pub fn stopped() -> Self {
        Self::new(ErrorKind::Stopped, "the job is stopping")
    }

    /// A mistake of ours.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }

    /// The configuration cannot work.
    pub fn invalid_config(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidConfig, message)
    }

    /// Adds what the caller cannot know: an id, a table, a page.
    pub fn with(mut self, name: &'static str, value: impl fmt::Display) -> Self {
        self.0.context.push((name, value.to_string()));
        self
    }

    /// Keeps the cause as a cause; its text is never copied into the message.
    pub fn caused_by(mut self, cause: impl StdError + Send + Sync + 'static) -> Self {
        self.0.cause = Some(Box::new(cause));
        self
    }

    /// What went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The sentence for the user, without context and causes.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The message, the context, and every cause, on one line: for a log line or a record, where
    /// nobody will ask for [`StdError::source`] later.
    pub fn full_text(&self) -> String {
        let mut text = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            let said = error.to_string();
            if !said.is_empty() && !text.contains(&said) {
                text.push_str(": ");
                text.push_str(&said);
            }
            cause = error.source();
        }
        text
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        for (position, (name, value)) in self.0.context.iter().enumerate() {
            let opening = if position == 0 { " (" } else { ", " };
            write!(f, "{opening}{name}: {value}")?;
        }
        if self.0.context.is_empty() {
            Ok(())
        } else {
            f.write_str(")")
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.0.kind, self.full_text())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        let cause = self.0.cause.as_deref();
        cause.map(|cause| cause as &(dyn StdError + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_found_by_its_word() {
        for kind in ErrorKind::ALL {
            assert_eq!(ErrorKind::of_name(kind.name()), Some(kind));
        }
        assert_eq!(ErrorKind::of_name("x"), None);
    }

    #[test]
    fn says_message_context_and_each_cause_once() {
        let io = std::io::Error::other("connection reset");
        let error = Error::new(ErrorKind::Unavailable, "the server closed the connection")
            .with("host", "db1")
            .with("table", "t")
            .caused_by(io);
        assert_eq!(
            error.to_string(),
            "the server closed the connection (host: db1, table: t)"
        );
        assert_eq!(
            error.full_text(),
            "the server closed the connection (host: db1, table: t): connection reset"
        );
    }
}
