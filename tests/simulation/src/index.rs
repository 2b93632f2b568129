//! An index that answers late, wrongly or not at all, is taken away, swapped, restored, and written to by
//! others.

use crate::{dice::Dice, wire::Trace};
use serde_json::{Map, Value};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tributary_engine::{Action, Answer, ItemError, Operation, Token, Version};
use tributary_state::ShardToken;

/// What an index holds.
#[derive(Clone, Debug, Default)]
pub struct Shape {
    /// Whether it is there at all.
    pub exists: bool,
    uuid: u64,
    history: u64,
    shards: Vec<u64>,
    /// The documents.
    pub documents: BTreeMap<String, (Version, Value)>,
    mapping: u64,
}

/// What one job did to the index, over all its attempts.
#[derive(Clone, Debug, Default)]
pub struct Deeds {
    /// Documents written, and those of which the answer said so.
    pub written: BTreeSet<String>,
    /// Written, as the job was told.
    pub told_written: BTreeSet<String>,
    /// Deleted.
    pub deleted: BTreeSet<String>,
    /// Asked to be written or deleted.
    pub sent: BTreeSet<String>,
    /// Changed by somebody else, or by a request that came late.
    pub tainted: BTreeSet<String>,
    /// The whole index was changed under the job.
    pub all_tainted: bool,
    /// Documents when the job began.
    pub count_before: u64,
    /// Documents that somebody else deleted, in the whole history.
    pub removed_by_others: u64,
}

/// One index, whatever its name stands for at the moment.
#[derive(Debug)]
pub struct Index(Mutex<State>);

#[derive(Debug)]
struct State {
    shape: Shape,
    saved: Option<Shape>,
    next_number: u64,
    deeds: Deeds,
    in_flight: BTreeSet<String>,
    late: Vec<Operation>,
    dice: Dice,
    trace: Arc<Trace>,
    nature: IndexNature,
}

/// What this server tells and takes.
#[derive(Clone, Copy, Debug)]
pub struct IndexNature {
    /// Primary shards.
    pub shards: usize,
    /// Whether it tells a token.
    pub tells_token: bool,
    /// Whether the ingest pipeline can be read.
    pub tells_pipeline: bool,
    /// A larger request is refused; bytes.
    pub most_bytes: usize,
    /// Documents in one page of a scan.
    pub page: usize,
}

impl Index {
    /// No index yet.
    pub fn new(nature: IndexNature, trace: Arc<Trace>, dice: Dice) -> Self {
        Self(Mutex::new(State {
            shape: Shape::default(),
            saved: None,
            next_number: 0,
            deeds: Deeds::default(),
            in_flight: BTreeSet::new(),
            late: Vec::new(),
            dice,
            trace,
            nature,
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How it is made.
    pub fn nature(&self) -> IndexNature {
        self.state().nature
    }

    /// All that it holds.
    pub fn shape(&self) -> Shape {
        self.state().shape.clone()
    }

    /// Whether it is there at all.
    pub fn exists(&self) -> bool {
        self.state().shape.exists
    }

    /// Documents.
    pub fn count(&self) -> u64 {
        self.state().shape.documents.len() as u64
    }

    /// What the job did so far.
    pub fn deeds(&self) -> Deeds {
        self.state().deeds.clone()
    }

    /// A job begins.
    pub fn begin_job(&self) {
        let mut state = self.state();
        let count_before = state.shape.documents.len() as u64;
        state.deeds = Deeds {
            count_before,
            removed_by_others: state.deeds.removed_by_others,
            ..Deeds::default()
        };
    }

    /// It is made if it is not there.
    pub fn make(&self) {
        let mut state = self.state();
        if !state.shape.exists {
            state.make();
        }
    }

    /// Somebody removes it.
    pub fn take_away(&self) {
        let mut state = self.state();
        state.trace.note("the index is removed");
        state.shape = Shape::default();
        state.deeds.all_tainted = true;
    }

    /// The name stands for another index, with other documents.
    pub fn swap(&self) {
        let mut state = self.state();
        state.trace.note("the name stands for another index");
        let documents = state.shape.documents.clone();
        state.make();
        let kept: Vec<_> = documents.into_iter().step_by(2).collect();
        for (id, (_, source)) in kept {
            state.write(&id, source);
        }
        state.deeds.all_tainted = true;
    }

    /// A snapshot is taken.
    pub fn save(&self) {
        let mut state = self.state();
        state.saved = Some(state.shape.clone());
    }

    /// The snapshot is restored over the index; then somebody writes until sequence numbers are equal.
    pub fn restore(&self) {
        let mut state = self.state();
        let Some(saved) = state.saved.clone().filter(|saved| saved.exists) else {
            return;
        };
        state.trace.note("a snapshot of the index is restored");
        state.next_number += 1;
        let history = state.next_number;
        let shards = state.shape.shards.clone();
        state.shape = Shape { history, ..saved };
        if shards.len() == state.shape.shards.len() {
            for (now, before) in state.shape.shards.iter_mut().zip(shards) {
                *now = (*now).max(before);
            }
        }
        state.deeds.all_tainted = true;
    }

    /// Somebody changes the mapping.
    pub fn map(&self) {
        let mut state = self.state();
        state.trace.note("somebody changes the mapping");
        state.shape.mapping += 1;
    }

    /// Somebody else writes, deletes, or makes a document.
    pub fn meddle(&self, dice: &mut Dice) {
        let mut state = self.state();
        if !state.shape.exists {
            return;
        }
        let ids: Vec<_> = state.shape.documents.keys().cloned().collect();
        let foreign = Value::from_iter([("v", Value::from("somebody else's"))]);
        match (dice.roll(3), dice.pick(&ids).cloned()) {
            (0, Some(id)) => {
                state.trace.note(format_args!("somebody else deletes {id}"));
                state.shape.documents.remove(&id);
                state.deeds.removed_by_others += 1;
                state.next_version(&id);
                state.deeds.tainted.insert(id);
            }
            (1, Some(id)) => {
                state.trace.note(format_args!("somebody else writes {id}"));
                state.write(&id, foreign);
                state.deeds.tainted.insert(id);
            }
            _ => {
                let id = format!("foreign-{}", dice.roll(20));
                state.trace.note(format_args!("somebody else writes {id}"));
                state.write(&id, foreign);
                state.deeds.tainted.insert(id);
            }
        }
    }

    /// Requests of a dead process arrive after all.
    pub fn arrive_late(&self) {
        let mut state = self.state();
        for operation in std::mem::take(&mut state.late) {
            if state.shape.exists {
                state.trace.note(format_args!("late: {}", operation.id));
                state.deeds.tainted.insert(operation.id.to_string());
                state.apply(&operation, false);
            }
        }
    }

    /// A request begins. Says which ids are in flight already.
    pub(crate) fn enter(&self, operations: &[Operation]) -> Vec<String> {
        let mut state = self.state();
        let mut clashes = Vec::new();
        for operation in operations {
            let id = operation.id.to_string();
            state.deeds.sent.insert(id.clone());
            if !state.in_flight.insert(id.clone()) {
                clashes.push(id);
            }
        }
        clashes
    }

    /// A request is over.
    pub(crate) fn leave(&self, operations: &[Operation]) {
        let mut state = self.state();
        for operation in operations {
            state.in_flight.remove(operation.id.as_str());
        }
    }

    /// A request is dropped half-way: it takes effect, in part, not at all, or later.
    pub(crate) fn abandon(&self, operations: &[Operation]) {
        let mut state = self.state();
        let count = match state.dice.roll(3) {
            0 => 0,
            1 => operations.len(),
            _ => state.dice.roll(operations.len() + 1),
        };
        let is_late = state.dice.percent(25);
        for operation in &operations[..count] {
            if is_late {
                state.late.push(operation.clone());
            } else if state.shape.exists {
                state.apply(operation, false);
            }
        }
    }

    /// Carries out one operation. `is_told`: the job hears of it.
    pub(crate) fn apply(&self, operation: &Operation, is_told: bool) -> Answer {
        self.state().apply(operation, is_told)
    }

    /// The token, as the server tells it.
    pub(crate) fn token(&self) -> Option<Token> {
        let state = self.state();
        let shape = &state.shape;
        let shard = |(number, last): (usize, &u64)| {
            let token = ShardToken {
                history_uuid: format!("history {}", shape.history),
                max_seq_no: i64::try_from(*last).unwrap_or(i64::MAX),
            };
            (u32::try_from(number).unwrap_or(0), token)
        };
        state.nature.tells_token.then(|| Token {
            index_uuid: format!("index {}", shape.uuid),
            shards: shape.shards.iter().enumerate().map(shard).collect(),
            count: shape.documents.len() as u64,
            mapping: format!("mapping {}", shape.mapping),
            settings: String::new(),
            pipeline: state.nature.tells_pipeline.then(Default::default),
            server_version: "simulated".into(),
        })
    }
}

impl State {
    fn make(&mut self) {
        self.next_number += 1;
        self.shape = Shape {
            exists: true,
            uuid: self.next_number,
            history: self.next_number,
            shards: vec![0; self.nature.shards],
            ..Shape::default()
        };
    }

    fn next_version(&mut self, id: &str) -> Version {
        let sum: usize = id.bytes().map(usize::from).sum();
        let shards = self.shape.shards.len().max(1);
        let seq_no = match self.shape.shards.get_mut(sum % shards) {
            Some(last) => {
                *last += 1;
                *last
            }
            None => 0,
        };
        Version {
            seq_no,
            primary_term: 1,
        }
    }

    fn write(&mut self, id: &str, source: Value) -> Version {
        let version = self.next_version(id);
        self.shape
            .documents
            .insert(id.to_owned(), (version, source));
        version
    }

    fn apply(&mut self, operation: &Operation, is_told: bool) -> Answer {
        let id = operation.id.as_str();
        let current = self.shape.documents.get(id).map(|(version, _)| *version);
        match &operation.action {
            Action::Delete(version) => {
                if current != Some(*version) {
                    return failed(409, "version_conflict_engine_exception", None);
                }
                self.shape.documents.remove(id);
                self.trace.note(format_args!("deleted {id}"));
                self.deeds.deleted.insert(id.to_owned());
                self.deeds.written.remove(id);
                let version = self.next_version(id);
                done(200, version)
            }
            Action::Index(source) => {
                let Ok(source) = serde_json::from_slice::<Value>(&source.to_text()) else {
                    return failed(400, "document_parsing_exception", None);
                };
                if source.get("refused").is_some() {
                    return failed(400, "document_parsing_exception", None);
                }
                if source.get("bad").is_some() {
                    return failed(400, "document_parsing_exception", Some("bad"));
                }
                let version = self.write(id, source);
                self.wrote(id, is_told);
                done(if current.is_none() { 201 } else { 200 }, version)
            }
            Action::Update(source) => {
                let change = serde_json::from_slice::<Map<String, Value>>(&source.to_text());
                let stored = self
                    .shape
                    .documents
                    .get(id)
                    .map(|(_, source)| source.clone());
                let (Ok(change), Some(Value::Object(mut document)), Some(current)) =
                    (change, stored, current)
                else {
                    return failed(404, "document_missing_exception", None);
                };
                let before = document.clone();
                document.extend(change);
                if document == before {
                    self.wrote(id, is_told);
                    return done(200, current);
                }
                let version = self.write(id, Value::Object(document));
                self.wrote(id, is_told);
                done(200, version)
            }
        }
    }

    fn wrote(&mut self, id: &str, is_told: bool) {
        self.deeds.written.insert(id.to_owned());
        if is_told {
            self.deeds.told_written.insert(id.to_owned());
        }
    }
}

pub(crate) fn done(status: u16, version: Version) -> Answer {
    Answer {
        status,
        version: Some(version),
        error: None,
    }
}

pub(crate) fn failed(status: u16, kind: &str, field: Option<&str>) -> Answer {
    Answer {
        status,
        version: None,
        error: Some(ItemError {
            kind: kind.into(),
            reason: "scripted".into(),
            field: field.map(Into::into),
        }),
    }
}
