//! Waiting, and what the server asks us to wait.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use std::time::{Duration, Instant};
use tributary_engine::Clock;

/// The longest wait a server is granted.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// The real clock.
pub(crate) struct SystemClock(Instant);

impl SystemClock {
    pub(crate) fn new() -> Self {
        Self(Instant::now())
    }
}

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> Duration {
        self.0.elapsed()
    }
    fn utc(&self) -> DateTime<Utc> {
        Utc::now()
    }
    async fn sleep(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }
}

/// Reads `Retry-After`: seconds or an HTTP date (RFC 9110 §10.2.3). Never more than five minutes.
pub(crate) fn retry_after(header: &str, now: DateTime<Utc>) -> Option<Duration> {
    let header = header.trim();
    let wait = if let Ok(seconds) = header.parse::<u64>() {
        Duration::from_secs(seconds)
    } else {
        let date = DateTime::parse_from_rfc2822(header).ok()?;
        (date.with_timezone(&Utc) - now)
            .to_std()
            .unwrap_or_default()
    };
    Some(wait.min(LONGEST_WAIT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_seconds_and_dates() {
        let now = DateTime::parse_from_rfc3339("2026-11-25T07:00:00Z")
            .unwrap()
            .to_utc();
        let read = |text| retry_after(text, now).map(|wait| wait.as_secs());
        assert_eq!(read("7"), Some(7));
        assert_eq!(read(" 0 "), Some(0));
        assert_eq!(read("99999999999999999999999"), None);
        assert_eq!(read("86400"), Some(300));
        assert_eq!(read("Wed, 25 Nov 2026 07:00:10 GMT"), Some(10));
        assert_eq!(read("Wed, 25 Nov 2026 06:00:10 GMT"), Some(0));
        assert_eq!(read("soon"), None);
        assert_eq!(read("-1"), None);
    }
}
