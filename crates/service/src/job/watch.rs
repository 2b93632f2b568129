//! Keeps the lease of a running job, and notices when the job is to end (service sheet §4 step 5).

use super::{claim::Claimed, progress::Progress};
use crate::{
    context::Context,
    lease::{Mark, beat_interval},
    running::{Control, Why},
};
use std::{convert::Infallible, future::Future, time::Duration};
use tributary_protocol::{
    JobStatus, SyncJob,
    records::{JobChange, Records, RecordsError, RecordsErrorKind, Seen},
};

/// The pause after a heartbeat that got no answer.
const PAUSE: Duration = Duration::from_secs(1);
/// So often the record may change under one heartbeat.
const ATTEMPTS: usize = 5;
/// So long the record may refuse to be changed, for other reasons than an outage, before the job ends.
const PATIENCE: Duration = Duration::from_secs(300);

/// Writes how far the job is into its record, always in the version that it wrote or read last.
pub(super) struct Keeper<'a> {
    context: &'a Context,
    /// Not the observed ones: a heartbeat that fails among calls that do not would be a new outage each
    /// time, and many outages end the service.
    records: &'a dyn Records,
    claimed: &'a Claimed,
    progress: &'a Progress,
    interval: Duration,
    /// The record as it is, as far as we know; `None` if it has to be read.
    seen: Option<Seen>,
    refused_since: Option<Duration>,
}

impl<'a> Keeper<'a> {
    pub(super) fn new(context: &'a Context, claimed: &'a Claimed, progress: &'a Progress) -> Self {
        Self {
            context,
            records: &*context.host.records,
            claimed,
            progress,
            interval: beat_interval(context.config.service.job_lease),
            seen: claimed.seen,
            refused_since: None,
        }
    }

    /// Returns when the job was told to end: it was canceled, it is not ours any more, or the service is
    /// ending. While the records are out of reach it tries on: then nobody else can take the job either.
    pub(super) async fn watch(&mut self, control: &Control) {
        let mut wait = self.interval;
        while self.context.pause(wait).await {
            let beat = tokio::select! {
                biased;
                () = self.context.ending.stopped() => break,
                beat = self.beat() => beat,
            };
            match beat {
                Beat::Ours => wait = self.interval,
                Beat::NoAnswer => wait = PAUSE,
                Beat::End(why) => {
                    tracing::info!(job = self.claimed.job.id, ?why, "the job is told to end");
                    if let Why::Lost(_) = why {
                        self.claimed.lease.lose();
                    }
                    return control.end(why);
                }
            }
        }
        control.end(Why::Suspended);
    }

    /// Keeps the job while something else is done, so that nobody takes it for lost.
    pub(super) async fn during<T>(&mut self, work: impl Future<Output = T>) -> T {
        let keep = async {
            while self.context.pause(self.interval).await {
                // Whatever is the matter, the work will come upon it.
                let _ = self.beat().await;
            }
            std::future::pending::<Infallible>().await
        };
        tokio::select! {
            biased;
            done = work => done,
            never = keep => match never {},
        }
    }

    async fn beat(&mut self) -> Beat {
        let clock = self.context.clock();
        let patience = self.context.config.service.job_lease / 3;
        let renewed = tokio::select! {
            biased;
            renewed = self.renew() => renewed,
            () = clock.sleep(patience) => return self.no_answer(),
        };
        let looked = match renewed {
            Ok(None) => tokio::select! {
                biased;
                looked = self.look_at_connector() => looked,
                () = clock.sleep(patience) => return Beat::Ours,
            },
            other => other,
        };
        let error = match looked {
            Ok(None) => {
                self.refused_since = None;
                return Beat::Ours;
            }
            Ok(Some(why)) => return Beat::End(why),
            Err(error) => error,
        };
        tracing::debug!(job = self.claimed.job.id, %error, "cannot keep the job");
        if error.kind == RecordsErrorKind::Unavailable {
            return self.no_answer();
        }
        let now = clock.now();
        let since = *self.refused_since.get_or_insert(now);
        if now.saturating_sub(since) < PATIENCE {
            return Beat::NoAnswer;
        }
        Beat::End(Why::Lost(format!(
            "The records could not be used for {} s: {error}",
            PATIENCE.as_secs()
        )))
    }

    /// The heartbeat may have been carried out, so the record is read before the next.
    fn no_answer(&mut self) -> Beat {
        self.seen = None;
        self.refused_since = None;
        Beat::NoAnswer
    }

    /// One heartbeat; the answer is why the job has to end, if it has to.
    async fn renew(&mut self) -> Result<Option<Why>, RecordsError> {
        let (context, id) = (self.context, &self.claimed.job.id);
        let gone = || Ok(Some(Why::Lost("The job was deleted while it ran.".into())));
        for _ in 0..ATTEMPTS {
            let seen = match self.seen {
                Some(seen) => seen,
                None => {
                    let Some(job) = self.records.job(id).await? else {
                        return gone();
                    };
                    if let Some(why) = why_to_end(&job.record, &self.claimed.nonce) {
                        return Ok(Some(why));
                    }
                    job.seen
                }
            };
            let counters = self.progress.latest();
            let change = JobChange::Stats {
                indexed: counters.indexed,
                indexed_bytes: counters.indexed_bytes,
                deleted: counters.deleted,
                metadata: Mark::beat(counters.extracted),
            };
            let started = context.clock().now();
            match self.records.change_job(id, &change, Some(seen)).await {
                Ok(written) => {
                    self.seen = written;
                    self.claimed.lease.renew(started);
                    return Ok(None);
                }
                Err(error) if error.kind == RecordsErrorKind::NotFound => return gone(),
                // A cancel, another instance, a person, or an answer that was lost.
                Err(error) if error.kind == RecordsErrorKind::Conflict => self.seen = None,
                Err(error) => return Err(error),
            }
        }
        let message = format!("the record of job {id} changed again and again");
        Err(RecordsError::new(RecordsErrorKind::Conflict, message))
    }

    async fn look_at_connector(&self) -> Result<Option<Why>, RecordsError> {
        let id = &self.claimed.connector.id;
        Ok(match self.records.connector(id).await? {
            Some(_) => None,
            None => Some(Why::Lost(
                "The connector was deleted while the job ran.".into(),
            )),
        })
    }
}

/// What came of a heartbeat.
enum Beat {
    /// The job is ours for another while.
    Ours,
    /// Nobody can tell.
    NoAnswer,
    /// The job has to end.
    End(Why),
}

/// What the record of a running job says about it.
fn why_to_end(job: &SyncJob, nonce: &str) -> Option<Why> {
    let is_ours = Mark::of(job).is_of(nonce);
    let lost = |text: &str| Some(Why::Lost(text.to_owned()));
    match job.status {
        JobStatus::InProgress if is_ours => None,
        JobStatus::Canceling if is_ours => Some(Why::Canceled),
        JobStatus::Canceled => Some(Why::Canceled),
        _ if !is_ours => lost("Another instance took the job over."),
        status => lost(&format!(
            "Somebody else set the job to '{status}' while it ran."
        )),
    }
}
