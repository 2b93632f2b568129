//! One of several instances on the same records: it has a clock of its own, may be cut off from
//! Elasticsearch, and may stand still as a process does that gets no time from its machine.

use crate::{
    records::MemoryRecords,
    world::{Running, Targets, World},
};
use chrono::{DateTime, TimeDelta, Utc};
use std::{
    future::Future,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::sync::watch;
use tributary_engine::{
    Answer, Clock, Operation, Scan, Scanned, Stored, Target, TargetError, TargetErrorKind, Token,
};
use tributary_protocol::{
    Connector, JobType, SyncJob, TriggerMethod,
    records::{
        ConnectorChange, ConnectorFilter, JobChange, JobFilter, Records, RecordsError,
        RecordsErrorKind, Seen, Versioned,
    },
};
use tributary_sdk::{DocId, async_trait};
use tributary_service::{Actions, Host, TargetFactory, TargetRequest};
use tributary_testkit::memory::{MemoryTarget, VirtualClock};

/// What is between an instance and everything else.
pub struct Link {
    /// While this is false, nothing that the instance waits for comes about: no time passes for it and
    /// no answer arrives, although what it sent before is carried out.
    moving: watch::Sender<bool>,
    /// Until then requests for records do not arrive.
    records_away_until: Mutex<Duration>,
    /// Until then requests to an index do not arrive.
    index_away_until: Mutex<Duration>,
    /// When requests to an index arrived.
    arrivals: Mutex<Vec<Duration>>,
    clock: VirtualClock,
}

impl Link {
    fn new(world: &World) -> Arc<Self> {
        Arc::new(Self {
            moving: watch::Sender::new(true),
            records_away_until: Mutex::default(),
            index_away_until: Mutex::default(),
            arrivals: Mutex::default(),
            clock: (*world.clock).clone(),
        })
    }

    async fn moves(&self) {
        let mut moving = self.moving.subscribe();
        moving.wait_for(|moving| *moving).await.unwrap();
    }

    /// A call to another place.
    async fn call<T, E>(
        &self,
        call: impl Future<Output = Result<T, E>>,
        away_until: &Mutex<Duration>,
        away: impl Fn() -> E,
    ) -> Result<T, E> {
        self.moves().await;
        let is_away = self.clock.now() < *away_until.lock().unwrap();
        let result = match is_away {
            true => Err(away()),
            false => call.await,
        };
        self.moves().await;
        result
    }

    async fn records<T>(
        &self,
        call: impl Future<Output = Result<T, RecordsError>>,
    ) -> Result<T, RecordsError> {
        let away = || RecordsError::new(RecordsErrorKind::Unavailable, "cut off");
        self.call(call, &self.records_away_until, away).await
    }

    async fn index<T>(
        &self,
        call: impl Future<Output = Result<T, TargetError>>,
    ) -> Result<T, TargetError> {
        let away = || TargetError::new(TargetErrorKind::Unavailable, "cut off");
        let arrives = async {
            self.arrivals.lock().unwrap().push(self.clock.now());
            call.await
        };
        self.call(arrives, &self.index_away_until, away).await
    }
}

/// Time as the instance has it.
struct LinkClock {
    link: Arc<Link>,
    clock: VirtualClock,
    ahead: TimeDelta,
    since_boot: Duration,
}

#[async_trait]
impl Clock for LinkClock {
    fn now(&self) -> Duration {
        self.since_boot + self.clock.now()
    }

    fn utc(&self) -> DateTime<Utc> {
        self.clock.utc() + self.ahead
    }

    async fn sleep(&self, time: Duration) {
        self.clock.sleep(time).await;
        self.link.moves().await;
    }
}

struct LinkRecords {
    inner: MemoryRecords,
    link: Arc<Link>,
}

#[async_trait]
impl Records for LinkRecords {
    async fn prepare(&self) -> Result<(), RecordsError> {
        self.link.records(self.inner.prepare()).await
    }

    async fn connectors(
        &self,
        filter: &ConnectorFilter,
    ) -> Result<Vec<Versioned<Connector>>, RecordsError> {
        self.link.records(self.inner.connectors(filter)).await
    }

    async fn connector(&self, id: &str) -> Result<Option<Versioned<Connector>>, RecordsError> {
        self.link.records(self.inner.connector(id)).await
    }

    async fn change_connector(
        &self,
        id: &str,
        change: &ConnectorChange,
        seen: Option<Seen>,
    ) -> Result<(), RecordsError> {
        let call = self.inner.change_connector(id, change, seen);
        self.link.records(call).await
    }

    async fn jobs(&self, filter: &JobFilter) -> Result<Vec<Versioned<SyncJob>>, RecordsError> {
        self.link.records(self.inner.jobs(filter)).await
    }

    async fn job(&self, id: &str) -> Result<Option<Versioned<SyncJob>>, RecordsError> {
        self.link.records(self.inner.job(id)).await
    }

    async fn create_job(
        &self,
        connector: &Versioned<Connector>,
        job_type: JobType,
        trigger_method: TriggerMethod,
    ) -> Result<String, RecordsError> {
        let call = self.inner.create_job(connector, job_type, trigger_method);
        self.link.records(call).await
    }

    async fn change_job(
        &self,
        id: &str,
        change: &JobChange,
        seen: Option<Seen>,
    ) -> Result<Option<Seen>, RecordsError> {
        self.link
            .records(self.inner.change_job(id, change, seen))
            .await
    }
}

struct LinkTargets {
    inner: Arc<Targets>,
    link: Arc<Link>,
}

#[async_trait]
impl TargetFactory for LinkTargets {
    async fn target(&self, request: TargetRequest<'_>) -> Result<Arc<dyn Target>, TargetError> {
        let inner = self.inner.index(request.index);
        let link = Arc::clone(&self.link);
        Ok(Arc::new(LinkTarget { inner, link }))
    }
}

struct LinkTarget {
    inner: Arc<MemoryTarget>,
    link: Arc<Link>,
}

#[async_trait]
impl Target for LinkTarget {
    fn findings(&self) -> Vec<String> {
        self.inner.findings()
    }

    async fn prepare(&self, protected: bool) -> Result<(), TargetError> {
        self.link.index(self.inner.prepare(protected)).await
    }

    async fn bulk(&self, operations: &[Operation]) -> Result<Vec<Answer>, TargetError> {
        self.link.index(self.inner.bulk(operations)).await
    }

    async fn scan(&self) -> Result<Box<dyn Scan>, TargetError> {
        let inner = self.link.index(self.inner.scan()).await?;
        let link = Arc::clone(&self.link);
        Ok(Box::new(LinkScan { inner, link }))
    }

    async fn stored(&self, ids: &[DocId]) -> Result<Vec<Option<Stored>>, TargetError> {
        self.link.index(self.inner.stored(ids)).await
    }

    async fn token(&self) -> Result<Option<Token>, TargetError> {
        self.link.index(self.inner.token()).await
    }

    async fn count(&self) -> Result<u64, TargetError> {
        self.link.index(self.inner.count()).await
    }
}

struct LinkScan {
    inner: Box<dyn Scan>,
    link: Arc<Link>,
}

#[async_trait]
impl Scan for LinkScan {
    async fn next(&mut self) -> Result<Option<Vec<Scanned>>, TargetError> {
        self.link.index(self.inner.next()).await
    }
}

/// A running instance.
pub struct Instance {
    pub running: Running,
    pub link: Arc<Link>,
}

impl Instance {
    /// An instance whose wall clock is ahead of the others' by so much.
    pub fn start(world: &World, hostname: &str, ahead: TimeDelta) -> Self {
        let link = Link::new(world);
        let clock = Arc::new(LinkClock {
            link: link.clone(),
            clock: (*world.clock).clone(),
            ahead,
            // Machines have been up for different times.
            since_boot: Duration::from_secs(hostname.len() as u64 * 100_000)
                + ahead.abs().to_std().unwrap(),
        });
        let host = Host {
            records: Arc::new(LinkRecords {
                inner: world.records.with_clock(clock.clone()),
                link: link.clone(),
            }),
            targets: Arc::new(LinkTargets {
                inner: world.targets.clone(),
                link: link.clone(),
            }),
            clock,
            ..world.host(hostname)
        };
        let running = world.run(host, Actions::default());
        Self { running, link }
    }

    /// It is no more, and had no time to say so.
    pub fn kill(&self) {
        // The task holds all there is of it; its sockets are closed.
        self.running.task.abort();
        *self.link.records_away_until.lock().unwrap() = Duration::MAX;
        *self.link.index_away_until.lock().unwrap() = Duration::MAX;
    }

    /// It gets no time from its machine.
    pub fn stall(&self) {
        self.link.moving.send_replace(false);
    }

    /// It gets time again.
    pub fn wake(&self) {
        self.link.moving.send_replace(true);
    }

    /// It cannot reach Elasticsearch for so long.
    pub fn cut_off(&self, time: Duration) {
        self.cut_off_from_records(time);
        *self.link.index_away_until.lock().unwrap() = self.link.clock.now() + time;
    }

    /// It cannot reach the records for so long, but the index.
    pub fn cut_off_from_records(&self, time: Duration) {
        *self.link.records_away_until.lock().unwrap() = self.link.clock.now() + time;
    }

    /// How many of its requests have arrived at an index.
    pub fn requests(&self) -> usize {
        self.link.arrivals.lock().unwrap().len()
    }

    /// When the last of them arrived, from the beginning of the test on.
    pub fn last_request(&self) -> Duration {
        let arrivals = self.link.arrivals.lock().unwrap();
        arrivals.last().copied().unwrap_or_default()
    }
}
