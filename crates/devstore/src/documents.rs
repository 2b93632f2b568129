//! One document: read, write, update, delete.

use std::sync::Arc;

use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::engine::Engine;
use crate::errors::Problem;
use crate::http::{Call, Params, Reply};
use crate::indices::{resolve, target};
use crate::pipeline;
use crate::schema;
use crate::select::SourceFilter;
use crate::storage::{Batch, Document, Index};

/// Longest id in bytes. One longer id fails a whole bulk request, as in Elasticsearch.
pub(crate) const ID_LIMIT: usize = 512;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Action {
    Index,
    Create,
    Update,
    Delete,
}

impl Action {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Action::Index => "index",
            Action::Create => "create",
            Action::Update => "update",
            Action::Delete => "delete",
        }
    }
}

/// One write as the client asked for it.
#[derive(Debug)]
pub(crate) struct Operation {
    pub(crate) action: Action,
    pub(crate) index: String,
    pub(crate) id: Option<String>,
    /// Sequence number and primary term that the document must have.
    pub(crate) expected: Option<(u64, u64)>,
    pub(crate) pipeline: Option<String>,
}

impl Operation {
    /// What makes an operation invalid before it is looked at; a bulk request fails as a whole then.
    pub(crate) fn check(&self) -> Result<(), Problem> {
        match &self.id {
            Some(id) if id.len() > ID_LIMIT => Err(Problem::validation(format!(
                "id [{id}] is too long, must be no longer than {ID_LIMIT} bytes but was: {}",
                id.len()
            ))),
            Some(id) if id.is_empty() => {
                Err(Problem::illegal("if _id is specified it must not be empty"))
            }
            None if matches!(self.action, Action::Update | Action::Delete) => {
                Err(Problem::validation("id is missing"))
            }
            None if self.expected.is_some() => Err(Problem::validation(
                "an id is required for a write with [if_seq_no]",
            )),
            _ => Ok(()),
        }
    }
}

/// Joins the two halves of a condition; one without the other is refused.
pub(crate) fn expectation(
    seq_no: Option<u64>,
    primary_term: Option<u64>,
) -> Result<Option<(u64, u64)>, Problem> {
    match (seq_no, primary_term) {
        (Some(seq_no), Some(term)) => Ok(Some((seq_no, term))),
        (None, None) => Ok(None),
        _ => Err(Problem::validation(
            "[if_seq_no] and [if_primary_term] must be given together",
        )),
    }
}

/// What a write did.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) index: String,
    pub(crate) id: String,
    pub(crate) version: u64,
    pub(crate) seq_no: u64,
    pub(crate) result: &'static str,
}

impl Outcome {
    pub(crate) fn status(&self) -> u16 {
        match self.result {
            "created" => 201,
            "not_found" => 404,
            _ => 200,
        }
    }

    pub(crate) fn body(&self, refreshed: bool) -> Value {
        let copies = u8::from(self.result != "noop");
        let mut body = json!({
            "_index": self.index, "_id": self.id, "_version": self.version, "result": self.result,
            "_shards": {"total": copies, "successful": copies, "failed": 0},
            "_seq_no": self.seq_no, "_primary_term": 1,
        });
        if refreshed {
            body["forced_refresh"] = json!(true);
        }
        body
    }
}

/// Parses a source; a source that is not a JSON object is the client's mistake.
fn parse_source(id: &str, source: &str) -> Result<Map<String, Value>, Problem> {
    serde_json::from_str(source).map_err(|error| {
        let reason = format!(
            "[{}:{}] failed to parse document with id '{id}': {error}",
            error.line(),
            error.column()
        );
        Problem::new(400, "document_parsing_exception", reason)
    })
}

/// Carries out one operation inside a transaction. After an `Err` nothing of it has been done.
pub(crate) fn apply(
    engine: &Engine,
    batch: &mut Batch,
    operation: &Operation,
    body: &str,
) -> Result<Outcome, Problem> {
    operation.check()?;
    let index = target(
        engine,
        batch,
        &operation.index,
        operation.action != Action::Delete,
    )?;
    let (id, former) = match &operation.id {
        Some(id) => (id.clone(), batch.get(&index, id)?),
        None => (engine.random_name()?, None),
    };
    check_expectation(operation, &index, &id, former.as_ref())?;
    match operation.action {
        Action::Index | Action::Create => {
            let mut document = parse_source(&id, body)?;
            let piped = pipeline::run(operation.pipeline.as_deref(), &mut document)?;
            let source = if piped {
                serde_json::to_string(&document)?
            } else {
                body.trim().to_owned()
            };
            store(batch, &index, &id, &document, source, former.as_ref())
        }
        Action::Update => update(batch, operation, &index, &id, former.as_ref(), body),
        Action::Delete => {
            let (seq_no, version, result) = match &former {
                Some(former) => {
                    let (seq_no, version) = batch.remove(&index, former)?;
                    (seq_no, version, "deleted")
                }
                None => (batch.take_number(&index)?, 1, "not_found"),
            };
            Ok(Outcome {
                index: index.name.clone(),
                id,
                version,
                seq_no,
                result,
            })
        }
    }
}

fn check_expectation(
    operation: &Operation,
    index: &Index,
    id: &str,
    former: Option<&Document>,
) -> Result<(), Problem> {
    let reason = match (operation.expected, former) {
        (Some((seq_no, term)), None) => {
            format!("required seqNo [{seq_no}], primary term [{term}]. but no document was found")
        }
        (Some((seq_no, term)), Some(former)) if former.seq_no != seq_no || term != 1 => format!(
            "required seqNo [{seq_no}], primary term [{term}]. current document has seqNo [{}] and primary term [1]",
            former.seq_no
        ),
        (_, Some(former)) if operation.action == Action::Create => {
            format!(
                "document already exists (current version [{}])",
                former.version
            )
        }
        _ => return Ok(()),
    };
    let reason = format!("[{id}]: version conflict, {reason}");
    Err(
        Problem::new(409, "version_conflict_engine_exception", reason)
            .with("index_uuid", index.uuid.as_str())
            .with("shard", "0")
            .with("index", index.name.as_str()),
    )
}

/// Writes a checked document, with the fields that it adds to the mapping.
pub(crate) fn store(
    batch: &mut Batch,
    index: &Arc<Index>,
    id: &str,
    document: &Map<String, Value>,
    source: String,
    former: Option<&Document>,
) -> Result<Outcome, Problem> {
    let limits = &index
        .settings
        .get("mapping")
        .and_then(|mapping| mapping.get("total_fields"))
        .cloned()
        .unwrap_or_default();
    let limit = limits
        .get("limit")
        .and_then(Value::as_str)
        .and_then(|limit| limit.parse().ok());
    let additions = index.mapping.check(id, document, limit)?;
    if !additions.is_empty() {
        let mut changed = index.as_ref().clone();
        changed.mapping.add(additions)?;
        batch.set_index(changed)?;
    }
    let (seq_no, version) = batch.put(index, id, &source, former)?;
    let result = if former.is_some() {
        "updated"
    } else {
        "created"
    };
    Ok(Outcome {
        index: index.name.clone(),
        id: id.to_owned(),
        version,
        seq_no,
        result,
    })
}

fn update(
    batch: &mut Batch,
    operation: &Operation,
    index: &Arc<Index>,
    id: &str,
    former: Option<&Document>,
    body: &str,
) -> Result<Outcome, Problem> {
    let mut body = Value::Object(parse_source(id, body)?);
    schema::check("update", &body)?;
    let (doc_as_upsert, detect_noop) =
        (body["doc_as_upsert"] == true, body["detect_noop"] != false);
    let mut object = |key: &str| match body[key].take() {
        Value::Object(object) => Some(object),
        _ => None,
    };
    let (partial, upsert) = (object("doc"), object("upsert"));
    let Some(mut partial) = partial.or_else(|| upsert.as_ref().map(|_| Map::new())) else {
        return Err(Problem::validation("script or doc is missing"));
    };
    // As in Elasticsearch a pipeline sees the document that may be inserted, and no other partial document.
    if doc_as_upsert {
        pipeline::run(operation.pipeline.as_deref(), &mut partial)?;
    }
    let Some(former) = former else {
        let Some(mut document) = (if doc_as_upsert { Some(partial) } else { upsert }) else {
            let reason = format!("[{id}]: document missing");
            return Err(Problem::new(404, "document_missing_exception", reason)
                .with("index", index.name.as_str()));
        };
        if !doc_as_upsert {
            pipeline::run(operation.pipeline.as_deref(), &mut document)?;
        }
        let source = serde_json::to_string(&document)?;
        return store(batch, index, id, &document, source, None);
    };
    let mut document: Map<String, Value> = serde_json::from_str(&former.source)?;
    let changed = merge(&mut document, partial);
    if detect_noop && !changed {
        let (index, id) = (index.name.clone(), id.to_owned());
        return Ok(Outcome {
            index,
            id,
            version: former.version,
            seq_no: former.seq_no,
            result: "noop",
        });
    }
    let source = serde_json::to_string(&document)?;
    store(batch, index, id, &document, source, Some(former))
}

/// Lays a partial document over a document: objects are merged, everything else is replaced. A dotted name is a
/// name like any other. Returns whether anything changed.
pub(crate) fn merge(document: &mut Map<String, Value>, partial: Map<String, Value>) -> bool {
    let mut changed = false;
    for (key, value) in partial {
        match (document.get_mut(&key), value) {
            (Some(Value::Object(old)), Value::Object(new)) => changed |= merge(old, new),
            (Some(old), new) if *old == new => {}
            (_, new) => {
                document.insert(key, new);
                changed = true;
            }
        }
    }
    changed
}

/// A document as `_doc`, `_mget` and `_source` show it.
#[derive(Serialize)]
struct Found {
    _index: String,
    _id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    _version: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    _seq_no: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    _primary_term: Option<u64>,
    found: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    _source: Option<Box<RawValue>>,
}

fn find(engine: &Engine, name: &str, id: &str, filter: &SourceFilter) -> Result<Found, Problem> {
    let catalogue = engine.storage.catalogue();
    let indices = resolve(&catalogue, name, &Params::default())?;
    let [index] = indices.as_slice() else {
        return Err(Problem::illegal(format!(
            "[{name}] does not name exactly one index"
        )));
    };
    let document = engine.storage.view(index)?.get(id)?;
    Ok(Found {
        _index: index.name.clone(),
        _id: id.to_owned(),
        _version: document.as_ref().map(|document| document.version),
        _seq_no: document.as_ref().map(|document| document.seq_no),
        _primary_term: document.as_ref().map(|_| 1),
        found: document.is_some(),
        _source: document
            .map(|document| filter.apply(&document.source))
            .transpose()?
            .flatten(),
    })
}

pub(crate) fn get(
    engine: &Engine,
    call: &Call,
    index: &str,
    id: &str,
    only_source: bool,
) -> Result<Reply, Problem> {
    let found = find(
        engine,
        index,
        id,
        &SourceFilter::of_params(&call.params).unwrap_or_default(),
    )?;
    match (only_source, found.found) {
        (false, true) => Reply::ok(&found),
        (false, false) => Reply::with(404, &found),
        (true, true) => Reply::ok(&found._source),
        (true, false) => Err(Problem::not_found(format!(
            "Document not found [{index}]/[{id}]"
        ))),
    }
}

pub(crate) fn write(
    engine: &Engine,
    call: &Call,
    action: Action,
    index: &str,
    id: Option<&str>,
) -> Result<Reply, Problem> {
    let action = match (action, call.params.text("op_type")) {
        (Action::Index, Some("create")) => Action::Create,
        (action, None) => action,
        (Action::Index, Some("index")) => Action::Index,
        (_, Some(other)) => {
            return Err(Problem::illegal(format!(
                "opType [{other}] not allowed here"
            )));
        }
    };
    if action != Action::Delete && call.body.is_empty() {
        return Err(Problem::parsing("request body is required"));
    }
    let operation = Operation {
        action,
        index: index.to_owned(),
        id: id.map(str::to_owned),
        expected: expectation(
            call.params.number("if_seq_no")?,
            call.params.number("if_primary_term")?,
        )?,
        pipeline: call.params.text("pipeline").map(str::to_owned),
    };
    let outcome = engine
        .storage
        .write(|batch| apply(engine, batch, &operation, call.text()?))?;
    Reply::with(
        outcome.status(),
        &outcome.body(
            call.params
                .text("refresh")
                .is_some_and(|refresh| refresh != "false"),
        ),
    )
}

/// `_mget`: `docs` with an index each, or `ids` of the index in the path.
pub(crate) fn get_many(
    engine: &Engine,
    call: &Call,
    index: Option<&str>,
) -> Result<Reply, Problem> {
    let body = call.object("mget")?;
    let default = SourceFilter::of_params(&call.params).unwrap_or_default();
    let empty = Vec::new();
    let list = |key: &str| body.get(key).and_then(Value::as_array).unwrap_or(&empty);
    let mut found = Vec::new();
    for wanted in list("docs").iter().chain(list("ids")) {
        let id = wanted.get("_id").unwrap_or(wanted);
        let name = wanted.get("_index").and_then(Value::as_str).or(index);
        let (Some(id), Some(name)) = (id.as_str(), name) else {
            return Err(Problem::validation(
                "index and id of each document are needed",
            ));
        };
        let filter = wanted
            .get("_source")
            .map(SourceFilter::of_body)
            .transpose()?;
        found.push(
            match find(engine, name, id, filter.as_ref().unwrap_or(&default)) {
                Ok(found) => serde_json::value::to_raw_value(&found)?,
                Err(problem) => serde_json::value::to_raw_value(
                    &json!({"_index": name, "_id": id, "error": problem.body()["error"]}),
                )?,
            },
        );
    }
    if found.is_empty() {
        return Err(Problem::validation("no documents to get"));
    }
    Reply::ok(&std::collections::BTreeMap::from([("docs", found)]))
}
