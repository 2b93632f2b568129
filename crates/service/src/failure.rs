//! What people read in a record when something failed: `Class: text` (service sheet §4).

use std::{any::Any, fmt};
use tokio::task::JoinError;
use tributary_sdk::{Error, ErrorKind, Finding};

/// The longest text in a record, in bytes: `error` is a keyword, which Lucene keeps to 32,766 bytes.
const LIMIT: usize = 8 * 1024;

/// A failure as it is recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    class: &'static str,
    text: String,
}

impl Failure {
    pub(crate) fn new(class: &'static str, text: impl Into<String>) -> Self {
        Self {
            class,
            text: text.into(),
        }
    }

    pub(crate) fn invalid_config(text: impl Into<String>) -> Self {
        Self::new(class(ErrorKind::InvalidConfig), text)
    }

    pub(crate) fn unsupported(text: impl Into<String>) -> Self {
        Self::new(class(ErrorKind::Unsupported), text)
    }

    /// What a source has to complain about, all together.
    pub(crate) fn found(findings: &[Finding]) -> Self {
        Self::invalid_config(findings_text(findings))
    }

    /// A task of ours died.
    pub(crate) fn died(what: &str, error: JoinError) -> Self {
        let reason = match error.try_into_panic() {
            Ok(panic) => panic_text(&*panic),
            Err(error) => error.to_string(),
        };
        let text = format!("{what} broke off; this is a mistake in the program: {reason}");
        Self::new(class(ErrorKind::Internal), text)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::new(class(error.kind()), error.full_text())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{}: {}", self.class, self.text);
        f.write_str(shortened(&text, LIMIT))
    }
}

/// Findings as one line.
pub(crate) fn findings_text(findings: &[Finding]) -> String {
    let texts: Vec<_> = findings
        .iter()
        .map(|finding| match &finding.place {
            Some(place) => format!("{place}: {}", finding.message),
            None => finding.message.clone(),
        })
        .collect();
    texts.join("; ")
}

/// What a panic said.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "no reason was given".into())
}

/// At most so many bytes of a text, whole characters.
pub(crate) fn shortened(text: &str, limit: usize) -> &str {
    if text.len() <= limit {
        return text;
    }
    let end = (0..=limit).rev().find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or(0)]
}

fn class(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::InvalidConfig => "ConfigurationError",
        ErrorKind::Unauthorised => "Unauthorised",
        ErrorKind::Forbidden => "Forbidden",
        ErrorKind::NotFound => "NotFound",
        ErrorKind::RateLimited { .. } => "RateLimited",
        ErrorKind::Unavailable => "Unavailable",
        ErrorKind::Timeout => "Timeout",
        ErrorKind::BadResponse => "BadResponse",
        ErrorKind::DeadCursor => "DeadCursor",
        ErrorKind::Unsupported => "Unsupported",
        ErrorKind::Stopped => "Stopped",
        ErrorKind::Internal => "InternalError",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_class_and_text() {
        let error = Error::invalid_config("'Host' cannot be empty.").with("field", "host");
        let text = Failure::from(error).to_string();
        assert_eq!(
            text,
            "ConfigurationError: 'Host' cannot be empty. (field: host)"
        );
    }

    #[test]
    fn a_long_text_is_cut_at_a_character() {
        let text = Failure::unsupported("ü".repeat(LIMIT)).to_string();
        assert!(
            text.len() <= LIMIT && text.len() > LIMIT - 4,
            "{}",
            text.len()
        );
    }
}
