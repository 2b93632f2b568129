//! Asking the index again and again, as long as its trouble may pass.

use crate::{
    books::Halt,
    job::Job,
    policy::{self, RequestConsequence},
    target::TargetError,
};
use std::io;
use tributary_state::StateError;

/// Why something that needs the index, files or the state came to nothing.
#[derive(Debug)]
pub(crate) enum Failure {
    Target(TargetError),
    /// Scratch files.
    Files(io::Error),
    State(StateError),
}

impl From<TargetError> for Failure {
    fn from(error: TargetError) -> Self {
        Self::Target(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Files(error)
    }
}

impl From<StateError> for Failure {
    fn from(error: StateError) -> Self {
        Self::State(error)
    }
}

impl From<Failure> for Halt {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Target(error) => Self::Failed(error.message),
            Failure::Files(error) => error.into(),
            Failure::State(error) => error.into(),
        }
    }
}

/// Asks something that can be asked again, as long as it fails because of a trouble of the index that may
/// pass.
pub(crate) async fn patiently<T, E, F>(job: &Job, mut ask: impl FnMut() -> F) -> Result<T, Halt>
where
    E: Into<Failure>,
    F: Future<Output = Result<T, E>>,
{
    let begin = job.clock.now();
    let mut attempt = 0;
    loop {
        let failure = match ask().await {
            Ok(answer) => return Ok(answer),
            Err(error) => error.into(),
        };
        let Failure::Target(error) = failure else {
            return Err(failure.into());
        };
        let is_over = job.clock.now().saturating_sub(begin) > job.settings.patience;
        if policy::request_consequence(error.kind) != RequestConsequence::Again || is_over {
            return Err(Halt::Failed(error.message));
        }
        attempt += 1;
        tracing::warn!(error = %error, attempt, "the index did not answer and will be asked again");
        job.clock.sleep(policy::pause(attempt, None)).await;
    }
}
