//! Time that moves only when everybody waits.

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use std::time::Duration;
use tokio::time::Instant;
use tributary_engine::Clock;

/// The clock of a Tokio runtime that was started paused (`#[tokio::test(start_paused = true)]`): it
/// jumps to the next moment somebody waits for.
#[derive(Clone, Debug)]
pub struct VirtualClock {
    begin: Instant,
    date: DateTime<Utc>,
}

impl VirtualClock {
    /// A clock that begins at this date.
    pub fn starting_at(date: DateTime<Utc>) -> Self {
        Self {
            begin: Instant::now(),
            date,
        }
    }
}

impl Default for VirtualClock {
    /// Begins on 1 January 2026.
    fn default() -> Self {
        let date = DateTime::from_timestamp(1_767_225_600, 0).unwrap_or_default();
        Self::starting_at(date)
    }
}

#[async_trait]
impl Clock for VirtualClock {
    fn now(&self) -> Duration {
        self.begin.elapsed()
    }

    fn utc(&self) -> DateTime<Utc> {
        self.date + TimeDelta::from_std(self.now()).unwrap_or_default()
    }

    async fn sleep(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }
}
