//! Old records are removed.

use crate::context::Context;
use std::time::Duration;

/// How often old records are looked for.
const EVERY: Duration = Duration::from_secs(6 * 60 * 60);

/// When old records were last removed.
#[derive(Default)]
pub(crate) struct Retention(Option<Duration>);

impl Retention {
    /// Removes records that are too old, now and then.
    pub(crate) async fn turn(&mut self, context: &Context) {
        let now = context.clock().now();
        if self.0.is_some_and(|last| now.saturating_sub(last) < EVERY) {
            return;
        }
        self.0 = Some(now);
        let oldest = context.clock().utc() - context.config.service.ledger_retention;
        match context.host.ledger.remove_before(oldest).await {
            Ok(0) => {}
            Ok(removed) => tracing::info!(removed, "removed old records of single documents"),
            Err(error) => tracing::warn!("old records of single documents stay: {error}"),
        }
    }
}
