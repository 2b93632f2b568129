//! Time that moves only when everybody waits.

use crate::wire::Wire;
use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;
use tributary_engine::Clock;

/// 1 January 2026.
const BEGIN: i64 = 1_767_225_600;

/// The clock of the paused runtime, behind a wire.
pub struct VirtualClock {
    begin: Instant,
    wire: Arc<Wire>,
}

impl VirtualClock {
    /// Begins now.
    pub fn new(wire: Arc<Wire>) -> Self {
        let begin = Instant::now();
        Self { begin, wire }
    }
}

#[async_trait]
impl Clock for VirtualClock {
    fn now(&self) -> Duration {
        self.begin.elapsed()
    }

    fn utc(&self) -> DateTime<Utc> {
        let begin = DateTime::from_timestamp(BEGIN, 0).unwrap_or_default();
        begin + TimeDelta::from_std(self.now()).unwrap_or_default()
    }

    async fn sleep(&self, time: Duration) {
        tokio::time::sleep(time).await;
        if self.wire.is_dead() {
            std::future::pending::<()>().await;
        }
    }
}
