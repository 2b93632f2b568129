//! Errors of the loops: counted, and too many of them end the process (service sheet §3).

use crate::metric_names::{LOOP, LOOP_ERRORS};
use std::{
    collections::VecDeque,
    fmt::Display,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::sync::watch;
use tributary_engine::Clock;
use tributary_protocol::records::{RecordsError, RecordsErrorKind};

/// Counts the errors of all loops together.
///
/// What counts: one error per turn of a loop, however many connectors had it, because otherwise many
/// connectors would end the process by one common cause; and an outage of Elasticsearch once, however
/// long it is, because to start again would not end it.
pub(crate) struct Trouble {
    clock: Arc<dyn Clock>,
    limit: usize,
    span: Duration,
    times: Mutex<VecDeque<Duration>>,
    too_much: watch::Sender<Option<String>>,
}

impl Trouble {
    pub(crate) fn new(clock: Arc<dyn Clock>, limit: usize, span: Duration) -> Self {
        Self {
            clock,
            limit,
            span,
            times: Mutex::default(),
            too_much: watch::Sender::new(None),
        }
    }

    /// Counts one error of a loop.
    pub(crate) fn count(&self, name: &'static str, error: &dyn Display) {
        metrics::counter!(LOOP_ERRORS, LOOP => name).increment(1);
        let now = self.clock.now();
        let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        times.push_back(now);
        while times
            .front()
            .is_some_and(|time| now.saturating_sub(*time) > self.span)
        {
            times.pop_front();
        }
        if times.len() > self.limit {
            let reason = format!(
                "more than {} errors within {} s; the last one, in the {name} loop: {error}",
                self.limit,
                self.span.as_secs()
            );
            self.too_much.send_replace(Some(reason));
        }
    }

    /// Returns the reason to end the process, when there is one.
    pub(crate) async fn too_much(&self) -> String {
        let mut reasons = self.too_much.subscribe();
        // The sender lives in `self`, so this cannot fail.
        let reason = reasons
            .wait_for(Option::is_some)
            .await
            .ok()
            .and_then(|reason| reason.clone());
        reason.unwrap_or_default()
    }
}

/// The errors of one turn of a loop.
pub(crate) struct TurnErrors<'a> {
    trouble: &'a Trouble,
    name: &'static str,
    counted: bool,
}

impl<'a> TurnErrors<'a> {
    pub(crate) fn of(trouble: &'a Trouble, name: &'static str) -> Self {
        Self {
            trouble,
            name,
            counted: false,
        }
    }

    /// Logs an error of a call on the records and counts it, if it is to count.
    pub(crate) fn records(&mut self, doing: &str, error: &RecordsError) {
        match error.kind {
            // Somebody else was faster: the next turn sees what is there.
            RecordsErrorKind::Conflict => {
                tracing::debug!(doing, %error, "a record changed in between");
            }
            // Said, and counted, when contact was lost.
            RecordsErrorKind::Unavailable => tracing::debug!(doing, %error, "no answer"),
            RecordsErrorKind::NotFound
            | RecordsErrorKind::Unauthorised
            | RecordsErrorKind::Forbidden
            | RecordsErrorKind::Rejected => self.other(doing, error),
        }
    }

    /// Logs an error and counts it.
    pub(crate) fn other(&mut self, doing: &str, error: &dyn Display) {
        tracing::error!(r#loop = self.name, "{doing}: {error}");
        if !self.counted {
            self.counted = true;
            self.trouble.count(self.name, error);
        }
    }
}
