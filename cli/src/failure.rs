//! Why a command failed, how that is printed, and the exit code.

use std::{fmt, process::ExitCode};
use tributary_elastic::{ConnectError, RequestError, RequestErrorKind};
use tributary_protocol::records::{RecordsError, RecordsErrorKind};
use tributary_service::ServiceError;

/// What a command returns.
pub(crate) type Result<T, E = Failure> = std::result::Result<T, E>;

/// The exit codes, as `--help` and docs/using/command-line.md list them. (2, for arguments that clap
/// refuses, is clap's own.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Something failed.
    Failed = 1,
    /// The arguments cannot be used.
    Usage = 2,
    /// The configuration cannot be used.
    Configuration = 3,
    /// Elasticsearch cannot be reached, or does not let us do this.
    Elasticsearch = 4,
    /// The sync that was waited for did not complete.
    Sync = 5,
    /// Interrupted a second time.
    Interrupted = 130,
}

/// Why a command failed: what happened and to what, then what to do about it.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    error: anyhow::Error,
    hint: Option<String>,
}

impl Failure {
    pub(crate) fn new(exit: Exit, text: impl fmt::Display) -> Self {
        Self {
            exit,
            error: anyhow::anyhow!("{text}"),
            hint: None,
        }
    }

    pub(crate) fn usage(text: impl fmt::Display) -> Self {
        Self::new(Exit::Usage, text)
    }

    pub(crate) fn configuration(text: impl fmt::Display) -> Self {
        Self::new(Exit::Configuration, text)
    }

    /// What to do about it.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Says it on standard error.
    pub(crate) fn report(self) -> ExitCode {
        crate::output::complain(&self.to_string());
        ExitCode::from(self.exit as u8)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {:#}", self.error)?;
        match &self.hint {
            Some(hint) => write!(f, "\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self {
            exit: Exit::Failed,
            error,
            hint: None,
        }
    }
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        Self::configuration(error)
    }
}

impl From<RequestError> for Failure {
    fn from(error: RequestError) -> Self {
        let refused = matches!(
            error.kind,
            RequestErrorKind::Unauthorised | RequestErrorKind::Forbidden
        );
        let exit = match error.may_pass() || refused {
            true => Exit::Elasticsearch,
            false => Exit::Failed,
        };
        Self::new(exit, error)
    }
}

impl From<RecordsError> for Failure {
    fn from(error: RecordsError) -> Self {
        Self::new(exit_of(&error), error)
    }
}

impl From<ServiceError> for Failure {
    fn from(error: ServiceError) -> Self {
        let exit = match &error {
            ServiceError::Unreachable { error, .. }
            | ServiceError::Refused(error)
            | ServiceError::NotPrepared { error, .. } => exit_of(error),
            ServiceError::TooManyErrors(_) | ServiceError::Broken(_) => Exit::Failed,
        };
        Self::new(exit, error)
    }
}

fn exit_of(error: &RecordsError) -> Exit {
    match error.kind {
        RecordsErrorKind::Unavailable
        | RecordsErrorKind::Unauthorised
        | RecordsErrorKind::Forbidden => Exit::Elasticsearch,
        RecordsErrorKind::NotFound | RecordsErrorKind::Conflict | RecordsErrorKind::Rejected => {
            Exit::Failed
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn says_what_happened_and_what_to_do() {
        let failure =
            Failure::usage("there is no connector 'x'").hint("see `tributary connector list`");
        assert_eq!(
            failure.to_string(),
            "error: there is no connector 'x'\nhint: see `tributary connector list`"
        );
        let caused: std::io::Result<()> = Err(std::io::Error::other("disk full"));
        let failure: Failure = caused
            .context("cannot write config.yml")
            .unwrap_err()
            .into();
        assert_eq!(
            failure.to_string(),
            "error: cannot write config.yml: disk full"
        );
    }

    #[test]
    fn the_exit_code_tells_the_kinds_apart() {
        for (kind, exit) in [
            (RecordsErrorKind::Unavailable, Exit::Elasticsearch),
            (RecordsErrorKind::Unauthorised, Exit::Elasticsearch),
            (RecordsErrorKind::Forbidden, Exit::Elasticsearch),
            (RecordsErrorKind::NotFound, Exit::Failed),
        ] {
            assert_eq!(Failure::from(RecordsError::new(kind, "x")).exit, exit);
        }
    }
}
