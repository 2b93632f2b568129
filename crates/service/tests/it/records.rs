//! Records in memory: documents are merged as Elasticsearch merges them, state machines are enforced,
//! and calls go wrong as a test says.

use crate::record_changes::{
    connector_change_name, connector_partial, job_change_name, job_partial,
};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};
use tokio::time::Instant;
use tributary_engine::Clock;
use tributary_protocol::{
    Connector, JobType, SyncJob, TriggerMethod,
    records::{
        ConnectorChange, ConnectorFilter, JobChange, JobFilter, Records, RecordsError,
        RecordsErrorKind, Seen, Versioned,
    },
    updates::Partial,
};
use tributary_sdk::async_trait;

/// A stored document.
#[derive(Clone, Debug)]
struct Doc {
    source: Map<String, Value>,
    seq_no: u64,
    /// The version that listings show.
    listed: u64,
}

type Docs = BTreeMap<String, Doc>;

#[derive(Default)]
pub struct State {
    connectors: Docs,
    jobs: Docs,
    last_seq_no: u64,
    created: u64,
    prepared: bool,
    /// The names of the calls so far.
    calls: Vec<String>,
    faults: Vec<Fault>,
    away_until: Option<Instant>,
    /// The call, from 1, with which an outage begins, how long it is, and whether that call is carried
    /// out all the same.
    outage: Option<(usize, Duration, bool)>,
}

/// What goes wrong with the next call of a name.
struct Fault {
    call: String,
    how: How,
}

enum How {
    /// It fails; nothing is done.
    Refused(RecordsErrorKind),
    /// Somebody else does something just before.
    Meddled(Box<dyn FnOnce(&mut State) + Send>),
}

impl State {
    fn put(
        docs: fn(&mut Self) -> &mut Docs,
        state: &mut Self,
        id: &str,
        source: Map<String, Value>,
    ) {
        state.last_seq_no += 1;
        let seq_no = state.last_seq_no;
        let doc = Doc {
            source,
            seq_no,
            listed: seq_no,
        };
        docs(state).insert(id.to_owned(), doc);
    }

    pub fn put_connector(&mut self, id: &str, source: Value) {
        Self::put(|state| &mut state.connectors, self, id, object(source));
    }

    pub fn put_job(&mut self, id: &str, source: Value) {
        Self::put(|state| &mut state.jobs, self, id, object(source));
    }

    /// Changes a connector as Kibana or another instance does.
    pub fn merge_connector(&mut self, id: &str, doc: Value) {
        self.last_seq_no += 1;
        merge(
            self.connectors.get_mut(id).unwrap(),
            object(doc),
            self.last_seq_no,
        );
    }

    pub fn merge_job(&mut self, id: &str, doc: Value) {
        self.last_seq_no += 1;
        merge(
            self.jobs.get_mut(id).unwrap(),
            object(doc),
            self.last_seq_no,
        );
    }

    pub fn merge_job_if_there(&mut self, id: &str, doc: Value) {
        if self.jobs.contains_key(id) {
            self.merge_job(id, doc);
        }
    }

    pub fn delete_connector(&mut self, id: &str) {
        self.connectors.remove(id).unwrap();
    }

    pub fn delete_job(&mut self, id: &str) {
        self.jobs.remove(id).unwrap();
    }
}

fn object(value: Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap()
}

fn merge(doc: &mut Doc, partial: Map<String, Value>, seq_no: u64) {
    let before = doc.source.clone();
    merge_maps(&mut doc.source, partial);
    if doc.source != before {
        doc.seq_no = seq_no;
        doc.listed = seq_no;
    }
}

fn merge_maps(stored: &mut Map<String, Value>, partial: Map<String, Value>) {
    for (key, value) in partial {
        match (stored.get_mut(&key), value) {
            (Some(Value::Object(stored)), Value::Object(value)) => merge_maps(stored, value),
            (_, value) => {
                stored.insert(key, value);
            }
        }
    }
}

/// Clones are the same records.
#[derive(Clone)]
pub struct MemoryRecords {
    state: Arc<Mutex<State>>,
    clock: Arc<dyn Clock>,
}

fn error(kind: RecordsErrorKind) -> RecordsError {
    RecordsError::new(kind, format!("scripted {kind:?}"))
}

impl MemoryRecords {
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            state: Arc::default(),
            clock,
        }
    }

    /// The same records, as an instance with another clock writes them.
    pub fn with_clock(&self, clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            ..self.clone()
        }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub fn connector_source(&self, id: &str) -> Value {
        self.state().connectors[id].source.clone().into()
    }

    pub fn job_source(&self, id: &str) -> Value {
        self.state().jobs[id].source.clone().into()
    }

    pub fn read_connector(&self, id: &str) -> Connector {
        Connector::from_source(id, &self.state().connectors[id].source).unwrap()
    }

    pub fn read_job(&self, id: &str) -> SyncJob {
        SyncJob::from_source(id, &self.state().jobs[id].source).unwrap()
    }

    /// All jobs, oldest first.
    pub fn all_jobs(&self) -> Vec<SyncJob> {
        let state = self.state();
        let jobs = state.jobs.iter();
        let mut jobs: Vec<_> = jobs
            .map(|(id, doc)| SyncJob::from_source(id, &doc.source).unwrap())
            .collect();
        jobs.sort_by_key(|job| (job.created_at, job.id.clone()));
        jobs
    }

    pub fn is_prepared(&self) -> bool {
        self.state().prepared
    }

    /// How often this call was made.
    pub fn calls(&self, name: &str) -> usize {
        self.state()
            .calls
            .iter()
            .filter(|call| *call == name)
            .count()
    }

    pub fn call_count(&self) -> usize {
        self.state().calls.len()
    }

    /// The next `times` calls of this name fail.
    pub fn refuse(&self, call: &str, times: usize, kind: RecordsErrorKind) {
        let mut state = self.state();
        state.faults.extend((0..times).map(|_| Fault {
            call: call.to_owned(),
            how: How::Refused(kind),
        }));
    }

    /// Before the next call of this name somebody else does something.
    pub fn meddle(&self, call: &str, with: impl FnOnce(&mut State) + Send + 'static) {
        self.state().faults.push(Fault {
            call: call.to_owned(),
            how: How::Meddled(Box::new(with)),
        });
    }

    /// From now on nothing answers, for so long.
    pub fn away_for(&self, time: Duration) {
        self.state().away_until = Some(Instant::now() + time);
    }

    /// With the `n`th call (from 1) an outage begins; `carried_out` says whether that call has an
    /// effect, although its answer is lost.
    pub fn outage_at(&self, n: usize, time: Duration, carried_out: bool) {
        self.state().outage = Some((n, time, carried_out));
    }

    async fn call<T>(
        &self,
        name: &str,
        work: impl FnOnce(&mut State, DateTime<Utc>) -> Result<T, RecordsError>,
    ) -> Result<T, RecordsError> {
        // Over a network, so others may run in between.
        tokio::time::sleep(Duration::from_millis(2)).await;
        let now = self.clock.utc();
        let mut state = self.state();
        state.calls.push(name.to_owned());
        let unavailable = || Err(error(RecordsErrorKind::Unavailable));
        if state.away_until.is_some_and(|until| Instant::now() < until) {
            return unavailable();
        }
        if let Some((number, time, carried_out)) = state.outage
            && state.calls.len() == number
        {
            state.away_until = Some(Instant::now() + time);
            if carried_out {
                let _lost = work(&mut state, now);
            }
            return unavailable();
        }
        let fault = state.faults.iter().position(|fault| fault.call == name);
        match fault.map(|position| state.faults.remove(position).how) {
            Some(How::Refused(kind)) => return Err(error(kind)),
            Some(How::Meddled(with)) => with(&mut state),
            None => {}
        }
        work(&mut state, now)
    }
}

fn versioned<T>(record: T, doc: &Doc) -> Versioned<T> {
    Versioned {
        record,
        seen: Seen {
            seq_no: doc.seq_no,
            primary_term: 1,
        },
    }
}

fn write(
    docs: &mut Docs,
    id: &str,
    seq_no: u64,
    seen: Option<Seen>,
    partial: impl FnOnce(&Map<String, Value>) -> Result<Partial, RecordsError>,
) -> Result<Seen, RecordsError> {
    let doc = docs
        .get_mut(id)
        .ok_or_else(|| error(RecordsErrorKind::NotFound))?;
    if seen.is_some_and(|seen| seen.seq_no != doc.seq_no) {
        return Err(error(RecordsErrorKind::Conflict));
    }
    let partial = partial(&doc.source)?;
    merge(doc, partial, seq_no);
    Ok(Seen {
        seq_no: doc.seq_no,
        primary_term: 1,
    })
}

#[async_trait]
impl Records for MemoryRecords {
    async fn prepare(&self) -> Result<(), RecordsError> {
        self.call("prepare", |state, _| {
            state.prepared = true;
            Ok(())
        })
        .await
    }

    async fn connectors(
        &self,
        filter: &ConnectorFilter,
    ) -> Result<Vec<Versioned<Connector>>, RecordsError> {
        self.call("connectors", |state, _| {
            let all = filter.ids.is_empty() && filter.service_types.is_empty();
            let mut found = Vec::new();
            for (id, doc) in &state.connectors {
                let record = Connector::from_source(id, &doc.source).unwrap();
                let of_type = !record.is_native
                    && record
                        .service_type
                        .as_ref()
                        .is_some_and(|service_type| filter.service_types.contains(service_type));
                if !record.deleted && (all || filter.ids.contains(id) || of_type) {
                    found.push(versioned(record, doc));
                }
            }
            Ok(found)
        })
        .await
    }

    async fn connector(&self, id: &str) -> Result<Option<Versioned<Connector>>, RecordsError> {
        self.call("connector", |state, _| {
            let doc = state.connectors.get(id);
            Ok(doc.map(|doc| versioned(Connector::from_source(id, &doc.source).unwrap(), doc)))
        })
        .await
    }

    async fn change_connector(
        &self,
        id: &str,
        change: &ConnectorChange,
        seen: Option<Seen>,
    ) -> Result<(), RecordsError> {
        self.call(connector_change_name(change), |state, now| {
            state.last_seq_no += 1;
            write(
                &mut state.connectors,
                id,
                state.last_seq_no,
                seen,
                |source| {
                    let connector = Connector::from_source(id, source).unwrap();
                    connector_partial(&connector, change, now)
                },
            )
            .map(drop)
        })
        .await
    }

    async fn jobs(&self, filter: &JobFilter) -> Result<Vec<Versioned<SyncJob>>, RecordsError> {
        self.call("jobs", |state, _| {
            let mut found = Vec::new();
            for (id, doc) in &state.jobs {
                let job = SyncJob::from_source(id, &doc.source).unwrap();
                let connector = job.connector.id.clone().unwrap_or_default();
                let fits = (filter.connector_ids.is_empty()
                    || filter.connector_ids.contains(&connector))
                    && (filter.statuses.is_empty() || filter.statuses.contains(&job.status))
                    && (filter.job_types.is_empty() || filter.job_types.contains(&job.job_type))
                    && filter
                        .created_since
                        .is_none_or(|since| job.created_at >= Some(since));
                if fits {
                    let mut job = versioned(job, doc);
                    job.seen.seq_no = doc.listed;
                    found.push(job);
                }
            }
            found.sort_by_key(|job| (job.record.created_at, job.record.id.clone()));
            if !filter.oldest_first {
                found.reverse();
            }
            if filter.limit > 0 {
                found.truncate(filter.limit);
            }
            Ok(found)
        })
        .await
    }

    async fn job(&self, id: &str) -> Result<Option<Versioned<SyncJob>>, RecordsError> {
        self.call("job", |state, _| {
            let doc = state.jobs.get(id);
            Ok(doc.map(|doc| versioned(SyncJob::from_source(id, &doc.source).unwrap(), doc)))
        })
        .await
    }

    async fn create_job(
        &self,
        connector: &Versioned<Connector>,
        job_type: JobType,
        trigger_method: TriggerMethod,
    ) -> Result<String, RecordsError> {
        self.call("create_job", |state, now| {
            let source = SyncJob::new_document(&connector.record, job_type, trigger_method, now)
                .map_err(|error| {
                    RecordsError::new(RecordsErrorKind::Rejected, error.to_string())
                })?;
            state.created += 1;
            let id = format!("scheduled-{}", state.created);
            state.put_job(&id, source.into());
            Ok(id)
        })
        .await
    }

    async fn change_job(
        &self,
        id: &str,
        change: &JobChange,
        seen: Option<Seen>,
    ) -> Result<Option<Seen>, RecordsError> {
        self.call(job_change_name(change), |state, now| {
            state.last_seq_no += 1;
            let listed = state.jobs.get(id).map(|doc| doc.listed);
            let written = write(&mut state.jobs, id, state.last_seq_no, seen, |source| {
                let job = SyncJob::from_source(id, source).unwrap();
                job_partial(&job, change, now)
            })?;
            // A heartbeat is not made visible to listings.
            if let (JobChange::Stats { .. }, Some(_), Some(listed), Some(doc)) =
                (change, seen, listed, state.jobs.get_mut(id))
            {
                doc.listed = listed;
            }
            Ok(seen.and(Some(written)))
        })
        .await
    }
}
