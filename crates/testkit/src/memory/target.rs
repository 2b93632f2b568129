//! An index in memory.

use async_trait::async_trait;
use serde_json::{Map, Value, value::RawValue};
use std::{
    collections::{BTreeMap, HashSet},
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tributary_engine::{
    Action, Answer, ItemError, Operation, Scan, Scanned, Stored, Target, TargetError,
    TargetErrorKind, Token, Version,
};
use tributary_sdk::DocId;
use tributary_state::ShardToken;

/// A call the engine makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// `prepare`.
    Prepare,
    /// `bulk`, with the ids of its operations.
    Bulk(Vec<String>),
    /// `scan`.
    Scan,
    /// A page of a scan.
    Page,
    /// `stored`.
    Stored,
    /// `count`.
    Count,
    /// `token`.
    Token,
}

/// What goes wrong with a call.
#[derive(Clone, Debug)]
pub enum Fault {
    /// It is refused; nothing was carried out.
    Refused(TargetErrorKind),
    /// It was carried out, but the answer is lost.
    Lost,
    /// Only the first half of a bulk request was carried out, and the answer is lost.
    Half,
    /// These ids of a bulk request fail with this status and kind; the others are carried out.
    Items(Vec<(String, u16, &'static str)>),
}

type Script = dyn Fn(usize, &Call) -> Option<Fault> + Send + Sync;

/// An index in memory. Every write gets the next sequence number.
pub struct MemoryTarget {
    state: Mutex<State>,
    script: Box<Script>,
    latency: Duration,
    /// Fields that are refused, as a mapping conflict is.
    refused_fields: Vec<String>,
    page: usize,
    is_silent: bool,
}

#[derive(Default)]
struct State {
    documents: BTreeMap<String, (Version, Value)>,
    last_seq_no: u64,
    calls: Vec<Call>,
    in_flight: HashSet<String>,
    clashes: Vec<String>,
    writes: BTreeMap<String, usize>,
    deletions: Vec<String>,
    requests: usize,
    most_requests: usize,
    protected: bool,
    mapping: String,
    findings: Vec<String>,
}

impl fmt::Debug for MemoryTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryTarget").finish_non_exhaustive()
    }
}

impl Default for MemoryTarget {
    fn default() -> Self {
        Self::scripted(|_, _| None)
    }
}

impl MemoryTarget {
    /// An index whose calls go wrong as the script says; it gets the number of the call, from 1.
    pub fn scripted(
        script: impl Fn(usize, &Call) -> Option<Fault> + Send + Sync + 'static,
    ) -> Self {
        Self {
            state: Mutex::default(),
            script: Box::new(script),
            latency: Duration::from_millis(5),
            refused_fields: Vec::new(),
            page: 7,
            is_silent: false,
        }
    }

    /// Every call takes this long.
    pub fn with_latency(mut self, latency: Duration) -> Self {
        self.latency = latency;
        self
    }

    /// Documents with this top-level field are refused with a 400 that names it.
    pub fn refusing_field(mut self, field: &str) -> Self {
        self.refused_fields.push(field.into());
        self
    }

    /// From now on this is to be known about the index.
    pub fn find(&self, finding: &str) {
        self.state().findings.push(finding.into());
    }

    /// Writes as somebody else does.
    pub fn put(&self, id: &str, source: Value) {
        self.state().write(id, source);
    }

    /// Deletes as somebody else does.
    pub fn remove(&self, id: &str) {
        let mut state = self.state();
        state.documents.remove(id);
        state.next();
    }

    /// Changes the mapping.
    pub fn map(&self, mapping: &str) {
        self.state().mapping = mapping.into();
    }

    /// Never tells a token, as a serverless project.
    pub fn without_token(mut self) -> Self {
        self.is_silent = true;
        self
    }

    /// All ids.
    pub fn ids(&self) -> Vec<String> {
        self.state().documents.keys().cloned().collect()
    }

    /// A document.
    pub fn source(&self, id: &str) -> Option<Value> {
        self.state()
            .documents
            .get(id)
            .map(|(_, source)| source.clone())
    }

    /// The calls so far, in order.
    pub fn calls(&self) -> Vec<Call> {
        self.state().calls.clone()
    }

    /// How often each id was written by a bulk request.
    pub fn writes(&self, id: &str) -> usize {
        self.state().writes.get(id).copied().unwrap_or_default()
    }

    /// Ids deleted by bulk requests, in order.
    pub fn deletions(&self) -> Vec<String> {
        self.state().deletions.clone()
    }

    /// Ids that were in two requests at once: there must be none.
    pub fn clashes(&self) -> Vec<String> {
        self.state().clashes.clone()
    }

    /// The most bulk requests that were under way at once.
    pub fn most_requests(&self) -> usize {
        self.state().most_requests
    }

    /// Whether `prepare` was asked to map the access field.
    pub fn is_protected(&self) -> bool {
        self.state().protected
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn call(&self, call: Call) -> Option<Fault> {
        let number = {
            let mut state = self.state();
            state.calls.push(call.clone());
            state.calls.len()
        };
        (self.script)(number, &call)
    }

    async fn simple(&self, call: Call) -> Result<(), TargetError> {
        let fault = self.call(call);
        tokio::time::sleep(self.latency).await;
        match fault {
            None => Ok(()),
            Some(Fault::Refused(kind)) => Err(error(kind)),
            Some(_) => Err(error(TargetErrorKind::Unavailable)),
        }
    }

    fn apply(&self, operation: &Operation) -> Answer {
        let mut state = self.state();
        let id = operation.id.as_str();
        let current = state.documents.get(id).map(|(version, _)| *version);
        match &operation.action {
            Action::Delete(version) => match current {
                // As Elasticsearch and OpenSearch answer where a version is asked for.
                None => failed(
                    409,
                    "version_conflict_engine_exception",
                    "version conflict, but no document was found",
                    None,
                ),
                Some(current) if current != *version => failed(
                    409,
                    "version_conflict_engine_exception",
                    "version conflict",
                    None,
                ),
                Some(_) => {
                    state.documents.remove(id);
                    state.deletions.push(id.into());
                    let version = state.next();
                    done(200, version)
                }
            },
            Action::Index(source) => {
                let Ok(source) = serde_json::from_slice::<Value>(&source.to_text()) else {
                    return failed(400, "document_parsing_exception", "not JSON", None);
                };
                let field = self
                    .refused_fields
                    .iter()
                    .find(|field| source.get(field.as_str()).is_some());
                if let Some(field) = field {
                    let reason = format!("failed to parse field [{field}]");
                    return failed(400, "document_parsing_exception", &reason, Some(field));
                }
                let version = state.write(id, source);
                *state.writes.entry(id.into()).or_default() += 1;
                done(if current.is_none() { 201 } else { 200 }, version)
            }
            Action::Update(source) => {
                let change = serde_json::from_slice::<Map<String, Value>>(&source.to_text());
                let stored = state.documents.get(id).map(|(_, source)| source.clone());
                match (change, stored) {
                    (Ok(change), Some(Value::Object(mut document))) => {
                        document.extend(change);
                        let version = state.write(id, Value::Object(document));
                        *state.writes.entry(id.into()).or_default() += 1;
                        done(200, version)
                    }
                    (Ok(_), _) => failed(404, "document_missing_exception", "missing", None),
                    (Err(_), _) => failed(400, "document_parsing_exception", "not JSON", None),
                }
            }
        }
    }
}

impl State {
    fn next(&mut self) -> Version {
        self.last_seq_no += 1;
        Version {
            seq_no: self.last_seq_no,
            primary_term: 1,
        }
    }

    fn write(&mut self, id: &str, source: Value) -> Version {
        let version = self.next();
        self.documents.insert(id.into(), (version, source));
        version
    }
}

fn done(status: u16, version: Version) -> Answer {
    Answer {
        status,
        version: Some(version),
        error: None,
    }
}

fn failed(status: u16, kind: &str, reason: &str, field: Option<&str>) -> Answer {
    Answer {
        status,
        version: None,
        error: Some(ItemError {
            kind: kind.into(),
            reason: reason.into(),
            field: field.map(Into::into),
        }),
    }
}

fn error(kind: TargetErrorKind) -> TargetError {
    TargetError::new(kind, format!("scripted fault: {kind:?}"))
}

#[async_trait]
impl Target for MemoryTarget {
    async fn prepare(&self, protected: bool) -> Result<(), TargetError> {
        self.simple(Call::Prepare).await?;
        self.state().protected |= protected;
        Ok(())
    }

    fn findings(&self) -> Vec<String> {
        self.state().findings.clone()
    }

    async fn bulk(&self, operations: &[Operation]) -> Result<Vec<Answer>, TargetError> {
        let ids: Vec<String> = operations
            .iter()
            .map(|operation| operation.id.to_string())
            .collect();
        let fault = self.call(Call::Bulk(ids.clone()));
        {
            let mut state = self.state();
            for id in &ids {
                if !state.in_flight.insert(id.clone()) {
                    state.clashes.push(id.clone());
                }
            }
            state.requests += 1;
            state.most_requests = state.most_requests.max(state.requests);
        }
        let _leaving = Leaving(self, &ids);
        tokio::time::sleep(self.latency).await;
        match fault {
            Some(Fault::Refused(kind)) => Err(error(kind)),
            Some(Fault::Lost) => {
                operations
                    .iter()
                    .for_each(|operation| drop(self.apply(operation)));
                Err(error(TargetErrorKind::Unavailable))
            }
            Some(Fault::Half) => {
                let half = &operations[..operations.len() / 2];
                half.iter()
                    .for_each(|operation| drop(self.apply(operation)));
                Err(error(TargetErrorKind::Unavailable))
            }
            Some(Fault::Items(items)) => {
                let answer = |operation: &Operation| {
                    let item = items.iter().find(|(id, ..)| id == operation.id.as_str());
                    match item {
                        Some((_, status, kind)) => failed(*status, kind, "scripted fault", None),
                        None => self.apply(operation),
                    }
                };
                Ok(operations.iter().map(answer).collect())
            }
            None => Ok(operations
                .iter()
                .map(|operation| self.apply(operation))
                .collect()),
        }
    }

    async fn scan(&self) -> Result<Box<dyn Scan>, TargetError> {
        self.simple(Call::Scan).await?;
        let state = self.state();
        let rows = state.documents.iter().map(|(id, (version, _))| Scanned {
            id: DocId::from(id.as_str()),
            version: *version,
        });
        let rows: Vec<_> = rows.collect();
        let pages = rows
            .chunks(self.page)
            .rev()
            .map(<[Scanned]>::to_vec)
            .collect();
        drop(state);
        // The script is asked now, as a scan outlives this call.
        let faults = (0..=rows.len().div_ceil(self.page)).map(|_| self.call(Call::Page));
        let faults = faults.collect::<Vec<_>>().into_iter().rev().collect();
        Ok(Box::new(MemoryScan { pages, faults }))
    }

    async fn stored(&self, ids: &[DocId]) -> Result<Vec<Option<Stored>>, TargetError> {
        self.simple(Call::Stored).await?;
        let state = self.state();
        let stored = |id: &DocId| {
            let (version, source) = state.documents.get(id.as_str())?;
            Some(Stored {
                version: *version,
                source: RawValue::from_string(source.to_string()).ok()?,
            })
        };
        Ok(ids.iter().map(stored).collect())
    }

    async fn count(&self) -> Result<u64, TargetError> {
        self.simple(Call::Count).await?;
        Ok(self.state().documents.len() as u64)
    }

    async fn token(&self) -> Result<Option<Token>, TargetError> {
        self.simple(Call::Token).await?;
        let state = self.state();
        let shard = ShardToken {
            history_uuid: "history".into(),
            max_seq_no: i64::try_from(state.last_seq_no).unwrap_or(i64::MAX),
        };
        let token = Token {
            index_uuid: "index".into(),
            shards: [(0, shard)].into(),
            count: state.documents.len() as u64,
            mapping: state.mapping.clone(),
            settings: String::new(),
            pipeline: Some(Default::default()),
            server_version: "memory".into(),
        };
        Ok(Some(token).filter(|_| !self.is_silent))
    }
}

/// Takes ids out of flight, also when the request is dropped half-way.
struct Leaving<'a>(&'a MemoryTarget, &'a [String]);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        for id in self.1 {
            state.in_flight.remove(id);
        }
        state.requests -= 1;
    }
}

struct MemoryScan {
    pages: Vec<Vec<Scanned>>,
    faults: Vec<Option<Fault>>,
}

#[async_trait]
impl Scan for MemoryScan {
    async fn next(&mut self) -> Result<Option<Vec<Scanned>>, TargetError> {
        match self.faults.pop().flatten() {
            Some(Fault::Refused(kind)) => Err(error(kind)),
            Some(_) => Err(error(TargetErrorKind::Unavailable)),
            None => Ok(self.pages.pop()),
        }
    }
}
