//! Asking again when a database cannot be reached for a moment.

use std::time::Duration;
use tributary_sdk::{ErrorKind, Result};

const FIRST_DELAY: Duration = Duration::from_secs(1);
const LONGEST_DELAY: Duration = Duration::from_secs(10);

/// Runs `attempt` until it succeeds, at most `total` times (the field `retry_count`; less than one
/// counts as one). Only failures that may pass, unreachable and timed out, are worth another attempt.
/// Waits 1 s, 2 s, 4 s, 8 s and then 10 s between attempts.
pub async fn with_attempts<T, F>(total: i64, mut attempt: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    let mut delay = FIRST_DELAY;
    let mut left = total.max(1);
    loop {
        left -= 1;
        match attempt().await {
            Err(error) if left > 0 && may_pass(error.kind()) => tokio::time::sleep(delay).await,
            outcome => return outcome,
        }
        delay = (delay * 2).min(LONGEST_DELAY);
    }
}

fn may_pass(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Unavailable | ErrorKind::Timeout)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tributary_sdk::Error;

    async fn attempts(total: i64, kind: ErrorKind, succeeds_at: u32) -> (u32, bool, Duration) {
        let mut count = 0;
        let start = tokio::time::Instant::now();
        let outcome = with_attempts(total, || {
            count += 1;
            let outcome = if count == succeeds_at {
                Ok(())
            } else {
                Err(Error::new(kind, "no"))
            };
            std::future::ready(outcome)
        })
        .await;
        (count, outcome.is_ok(), start.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn asks_again_only_while_it_may_help() {
        let seconds = Duration::from_secs;
        assert_eq!(
            attempts(3, ErrorKind::Unavailable, 0).await,
            (3, false, seconds(3))
        );
        assert_eq!(
            attempts(3, ErrorKind::Timeout, 2).await,
            (2, true, seconds(1))
        );
        assert_eq!(
            attempts(3, ErrorKind::Unauthorised, 0).await,
            (1, false, seconds(0))
        );
        assert_eq!(
            attempts(0, ErrorKind::Unavailable, 0).await,
            (1, false, seconds(0))
        );
        assert_eq!(
            attempts(7, ErrorKind::Unavailable, 0).await,
            (7, false, seconds(35))
        );
    }
}
