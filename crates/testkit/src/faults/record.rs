//! What went through the proxy.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use bytes::Bytes;
use tokio::sync::watch;

/// Headers whose values are never kept.
const SECRET_HEADERS: [&str; 6] = [
    "authorization",
    "proxy-authorization",
    "cookie",
    "set-cookie",
    "x-api-key",
    "es-secondary-authorization",
];

/// How an exchange ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Not yet.
    Open,
    /// The client got an answer to its end.
    Answered,
    /// The script cut it.
    Cut,
    /// Something else cut it: the client went away, the proxy was closed, the server did not answer.
    Failed(String),
}

/// One request and what became of it.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// Counted from 0 in the order of arrival.
    pub number: usize,
    /// The method.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Headers of the request; values that may be secret are `<hidden>`.
    pub headers: Vec<(String, String)>,
    /// Bytes of the request's body that were read so far, as sent (compressed, if the client compresses).
    pub request_bytes: u64,
    /// The first bytes of the request's body, as many as [`FaultProxy::keep_bodies`](super::FaultProxy::keep_bodies)
    /// asked for.
    pub request_body: Vec<u8>,
    /// The status that the client got.
    pub status: Option<u16>,
    /// The status that the real server gave, also where the client never saw it.
    pub server_status: Option<u16>,
    /// Bytes of the answer's body that were sent to the client so far.
    pub answer_bytes: u64,
    /// The name of the rule that was applied.
    pub rule: Option<String>,
    /// How it ended.
    pub outcome: Outcome,
    /// When its head had arrived.
    pub began: Instant,
    /// When it was over.
    pub ended: Option<Instant>,
}

impl Exchange {
    /// Whether method and a part of the target are these.
    pub fn is(&self, method: &str, target_part: &str) -> bool {
        self.method == method && self.target.contains(target_part)
    }

    /// A header of the request.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

/// All exchanges so far.
#[derive(Debug)]
pub(super) struct Recorder {
    records: Mutex<Records>,
    changes: watch::Sender<u64>,
}

/// Sorted by number.
#[derive(Debug, Default)]
struct Records {
    exchanges: Vec<Exchange>,
    next: usize,
}

impl Recorder {
    pub(super) fn new() -> Self {
        Self {
            records: Mutex::default(),
            changes: watch::Sender::new(0),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Records> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn all(&self) -> Vec<Exchange> {
        self.lock().exchanges.clone()
    }

    /// Forgets the exchanges that are over.
    pub(super) fn forget(&self) {
        self.lock()
            .exchanges
            .retain(|exchange| exchange.outcome == Outcome::Open);
    }

    pub(super) fn begin(&self, method: &str, target: &str, headers: &[(String, String)]) -> usize {
        let headers = headers
            .iter()
            .map(|(name, value)| {
                let secret = SECRET_HEADERS
                    .iter()
                    .any(|secret| name.eq_ignore_ascii_case(secret));
                (
                    name.clone(),
                    if secret {
                        "<hidden>".to_owned()
                    } else {
                        value.clone()
                    },
                )
            })
            .collect();
        let mut records = self.lock();
        let number = records.next;
        records.next += 1;
        records.exchanges.push(Exchange {
            number,
            method: method.to_owned(),
            target: target.to_owned(),
            headers,
            request_bytes: 0,
            request_body: Vec::new(),
            status: None,
            server_status: None,
            answer_bytes: 0,
            rule: None,
            outcome: Outcome::Open,
            began: Instant::now(),
            ended: None,
        });
        drop(records);
        self.changed();
        number
    }

    /// Changes one record without waking anybody: for byte counts.
    pub(super) fn count(&self, number: usize, change: impl FnOnce(&mut Exchange)) {
        let exchanges = &mut self.lock().exchanges;
        if let Ok(at) = exchanges.binary_search_by_key(&number, |exchange| exchange.number)
            && let Some(exchange) = exchanges.get_mut(at)
        {
            change(exchange);
        }
    }

    pub(super) fn update(&self, number: usize, change: impl FnOnce(&mut Exchange)) {
        self.count(number, change);
        self.changed();
    }

    fn changed(&self) {
        self.changes.send_modify(|version| *version += 1);
    }

    pub(super) async fn wait_for(
        &self,
        what: &str,
        limit: Duration,
        mut condition: impl FnMut(&[Exchange]) -> bool,
    ) -> Result<()> {
        let mut changes = self.changes.subscribe();
        let seen = tokio::time::timeout(limit, async {
            loop {
                changes.borrow_and_update();
                if condition(&self.lock().exchanges) || changes.changed().await.is_err() {
                    break;
                }
            }
        })
        .await;
        if seen.is_err() {
            bail!(
                "{what}: not within {} s. What went through the proxy:\n{}",
                limit.as_secs_f32(),
                self.summary()
            );
        }
        Ok(())
    }

    fn summary(&self) -> String {
        let exchanges = &self.lock().exchanges;
        let skipped = exchanges.len().saturating_sub(50);
        exchanges
            .iter()
            .skip(skipped)
            .map(|exchange| {
                format!(
                    "{} {} {} status {:?} rule {:?} {:?}\n",
                    exchange.number,
                    exchange.method,
                    exchange.target,
                    exchange.status,
                    exchange.rule,
                    exchange.outcome
                )
            })
            .collect()
    }
}

/// Writes the end of an exchange into its record, also when its task is aborted.
pub(super) struct Open<'a> {
    recorder: &'a Recorder,
    number: usize,
    outcome: Option<Outcome>,
}

impl<'a> Open<'a> {
    pub(super) fn new(recorder: &'a Recorder, number: usize) -> Self {
        Self {
            recorder,
            number,
            outcome: None,
        }
    }

    pub(super) fn rule(&self, name: &str) {
        self.recorder.update(self.number, |exchange| {
            exchange.rule = Some(name.to_owned())
        });
    }

    pub(super) fn request_piece(&self, piece: &Bytes, keep: usize) {
        self.recorder.count(self.number, |exchange| {
            exchange.request_bytes += piece.len() as u64;
            let wanted = keep
                .saturating_sub(exchange.request_body.len())
                .min(piece.len());
            exchange.request_body.extend_from_slice(&piece[..wanted]);
        });
    }

    pub(super) fn server_status(&self, status: u16) {
        self.recorder.update(self.number, |exchange| {
            exchange.server_status = Some(status)
        });
    }

    pub(super) fn status(&self, status: u16) {
        self.recorder
            .update(self.number, |exchange| exchange.status = Some(status));
    }

    pub(super) fn answer_piece(&self, length: usize) {
        self.recorder.count(self.number, |exchange| {
            exchange.answer_bytes += length as u64
        });
    }

    pub(super) fn end(mut self, outcome: Outcome) {
        self.outcome = Some(outcome);
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        let outcome = self
            .outcome
            .take()
            .unwrap_or_else(|| Outcome::Failed("the connection was closed".into()));
        self.recorder.update(self.number, |exchange| {
            exchange.outcome = outcome;
            exchange.ended = Some(Instant::now());
        });
    }
}
