//! One document: read, write, update, delete.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::engine::Engine;
use crate::errors::{Problem, Result, refuse};
use crate::http::{Call, Params, Reply};
use crate::indices::{resolve, target};
use crate::pipeline;
use crate::schema;
use crate::select::Selection;
use crate::storage::{Batch, Document, Index};

/// Longest id in bytes. One longer id fails a whole bulk request, as in Elasticsearch.
const ID_LIMIT: usize = 512;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Action {
    Index,
    Create,
    Update,
    Delete,
}

/// One write as the client asked for it.
#[derive(Debug)]
pub(crate) struct Operation {
    pub(crate) action: Action,
    pub(crate) index: String,
    pub(crate) id: Option<String>,
    /// Sequence number and primary term that the document must have.
    pub(crate) expected: (Option<u64>, Option<u64>),
    pub(crate) pipeline: Option<String>,
}

impl Operation {
    /// What makes an operation invalid before it is looked at; a bulk request fails as a whole then.
    pub(crate) fn check(&self) -> Result<()> {
        let is_new = matches!(self.action, Action::Index | Action::Create);
        let length = self.id.as_ref().map_or(1, String::len);
        let wrong = match (&self.id, self.expected) {
            _ if self.index.is_empty() => "index is missing".to_owned(),
            (Some(id), _) if length > ID_LIMIT => {
                format!(
                    "id [{id}] is too long, must be no longer than {ID_LIMIT} bytes but was: {length}"
                )
            }
            (None, _) if !is_new => "id is missing".to_owned(),
            (None, (Some(_), _)) => "an id is required for a write with [if_seq_no]".to_owned(),
            (_, (Some(_), None) | (None, Some(_))) => {
                "[if_seq_no] and [if_primary_term] belong together".to_owned()
            }
            _ if length == 0 => refuse!(
                "illegal_argument_exception",
                "if _id is specified it must not be empty"
            ),
            _ => return Ok(()),
        };
        Err(Problem::validation(wrong))
    }

    fn check_expectation(&self, index: &Index, id: &str, former: Option<&Document>) -> Result<()> {
        let (number, term) = (
            self.expected.0.unwrap_or_default(),
            self.expected.1.unwrap_or(1),
        );
        let reason = match former {
            None if self.expected.0.is_some() => {
                format!(
                    "required seqNo [{number}], primary term [{term}]. but no document was found"
                )
            }
            Some(former) if self.expected.0.is_some() && (former.seq_no != number || term != 1) => {
                format!(
                    "required seqNo [{number}], primary term [{term}]. current document has seqNo [{}] and primary term [1]",
                    former.seq_no
                )
            }
            Some(former) if self.action == Action::Create => {
                format!(
                    "document already exists (current version [{}])",
                    former.version
                )
            }
            _ => return Ok(()),
        };
        let reason = format!("[{id}]: version conflict, {reason}");
        let problem =
            Problem::new(409, "version_conflict_engine_exception", reason).with("shard", "0");
        Err(problem
            .with("index_uuid", index.uuid.as_str())
            .with("index", index.name.as_str()))
    }
}

/// What a write did.
pub(crate) struct Outcome {
    index: String,
    id: String,
    seq_no: u64,
    version: u64,
    result: &'static str,
}

impl Outcome {
    fn new(
        index: &Index,
        id: &str,
        (seq_no, version): (u64, u64),
        result: &'static str,
    ) -> Outcome {
        Outcome {
            index: index.name.clone(),
            id: id.to_owned(),
            seq_no,
            version,
            result,
        }
    }

    pub(crate) fn status(&self) -> u16 {
        match self.result {
            "created" => 201,
            "not_found" => 404,
            _ => 200,
        }
    }

    pub(crate) fn body(&self, params: &Params) -> Value {
        let copies = u8::from(self.result != "noop");
        let mut body = json!({
            "_index": self.index, "_id": self.id, "_version": self.version, "result": self.result,
            "_shards": {"total": copies, "successful": copies, "failed": 0}, "_seq_no": self.seq_no, "_primary_term": 1,
        });
        if params.refreshes() {
            body["forced_refresh"] = json!(true);
        }
        body
    }
}

/// Parses a source; a source that is not a JSON object is the client's mistake.
fn parse_source(id: &str, source: &str) -> Result<Map<String, Value>> {
    serde_json::from_str(source).map_err(|error| {
        let reason = format!(
            "[{}:{}] failed to parse document with id '{id}': {error}",
            error.line(),
            error.column()
        );
        Problem::new(400, "document_parsing_exception", reason)
    })
}

/// Carries out one operation inside a transaction. After an `Err` no document has changed.
pub(crate) fn apply(
    engine: &Engine,
    batch: &mut Batch,
    operation: &Operation,
    body: &str,
) -> Result<Outcome> {
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
    let former = former.as_ref();
    operation.check_expectation(&index, &id, former)?;
    match (operation.action, former) {
        (Action::Index | Action::Create, _) => {
            let mut document = parse_source(&id, body)?;
            let piped = pipeline::run(operation.pipeline.as_deref(), &mut document)?;
            let source = if piped {
                serde_json::to_string(&document)?
            } else {
                body.trim().to_owned()
            };
            store(batch, &index, &id, &document, source, former)
        }
        (Action::Update, _) => update(batch, operation, &index, &id, former, body),
        (Action::Delete, Some(former)) => Ok(Outcome::new(
            &index,
            &id,
            batch.remove(&index, former)?,
            "deleted",
        )),
        (Action::Delete, None) => Ok(Outcome::new(
            &index,
            &id,
            (batch.take_number(&index, 0)?, 1),
            "not_found",
        )),
    }
}

/// Writes a checked document, with the fields that it adds to the mapping.
pub(crate) fn store(
    batch: &mut Batch,
    index: &Arc<Index>,
    id: &str,
    document: &Map<String, Value>,
    source: String,
    former: Option<&Document>,
) -> Result<Outcome> {
    let limit = index
        .settings
        .get("mapping")
        .and_then(|mapping| mapping["total_fields"]["limit"].as_str()?.parse().ok());
    let additions = index.mapping.check(id, document, limit)?;
    if !additions.is_empty() {
        let mut changed = index.as_ref().clone();
        changed.mapping.add(additions)?;
        batch.set_index(changed);
    }
    let result = if former.is_some() {
        "updated"
    } else {
        "created"
    };
    Ok(Outcome::new(
        index,
        id,
        batch.put(index, id, &source, former)?,
        result,
    ))
}

fn update(
    batch: &mut Batch,
    operation: &Operation,
    index: &Arc<Index>,
    id: &str,
    former: Option<&Document>,
    body: &str,
) -> Result<Outcome> {
    let mut body = Value::Object(parse_source(id, body)?);
    schema::check("update", &body)?;
    let (as_upsert, detect_noop) = (body["doc_as_upsert"] == true, body["detect_noop"] != false);
    let mut object = |key: &str| match body[key].take() {
        Value::Object(object) => Some(object),
        _ => None,
    };
    let (partial, upsert) = (object("doc"), object("upsert"));
    if partial.is_none() && upsert.is_none() {
        return Err(Problem::validation("script or doc is missing"));
    }
    let Some(former) = former else {
        let Some(mut document) = (if as_upsert { partial } else { upsert }) else {
            let problem = Problem::new(
                404,
                "document_missing_exception",
                format!("[{id}]: document missing"),
            );
            return Err(problem.with("index", index.name.as_str()));
        };
        pipeline::run(operation.pipeline.as_deref(), &mut document)?;
        let source = serde_json::to_string(&document)?;
        return store(batch, index, id, &document, source, None);
    };
    let mut partial = partial.unwrap_or_default();
    // As in Elasticsearch a pipeline sees a partial document only if it may be inserted.
    if as_upsert {
        pipeline::run(operation.pipeline.as_deref(), &mut partial)?;
    }
    let mut document: Map<String, Value> = serde_json::from_str(&former.source)?;
    if !merge(&mut document, partial) && detect_noop {
        return Ok(Outcome::new(
            index,
            id,
            (former.seq_no, former.version),
            "noop",
        ));
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

/// A document as `_doc` and `_mget` show it.
fn find(engine: &Engine, name: &str, id: &str, wanted: &Selection) -> Result<Value> {
    let indices = resolve(&engine.storage.catalogue(), name, &Params::default())?;
    let [index] = indices.as_slice() else {
        refuse!(
            "illegal_argument_exception",
            "[{name}] does not name exactly one index"
        )
    };
    let mut shown = json!({"_index": index.name, "_id": id, "found": false});
    if let Some(document) = engine.storage.view(index)?.get(id)? {
        let (seq_no, version) = (document.seq_no, document.version);
        shown = json!({
            "_index": index.name, "_id": id, "_version": version, "_seq_no": seq_no, "_primary_term": 1, "found": true
        });
        if !wanted.nothing {
            shown["_source"] = wanted.apply(serde_json::from_str(&document.source)?);
        }
    }
    Ok(shown)
}

pub(crate) fn get(
    engine: &Engine,
    call: &Call,
    index: &str,
    id: &str,
    only_source: bool,
) -> Result<Reply> {
    let mut found = find(
        engine,
        index,
        id,
        &Selection::of_params(&call.params).unwrap_or_default(),
    )?;
    match (found["found"] == true, only_source) {
        (true, false) => Reply::ok(found),
        (true, true) => Reply::ok(found["_source"].take()),
        (false, false) => Reply::with(404, found),
        (false, true) => Err(Problem::not_found(format!(
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
) -> Result<Reply> {
    let action = match (action, call.params.text("op_type")) {
        (Action::Index, Some("create")) => Action::Create,
        (action, None | Some("index")) => action,
        (_, Some(other)) => refuse!(
            "illegal_argument_exception",
            "opType [{other}] is not allowed here"
        ),
    };
    if action != Action::Delete && call.body.is_empty() {
        refuse!("parsing_exception", "request body is required");
    }
    let (index, id) = (index.to_owned(), id.map(str::to_owned));
    let expected = (
        call.params.number("if_seq_no")?,
        call.params.number("if_primary_term")?,
    );
    let pipeline = call.params.text("pipeline").map(str::to_owned);
    let operation = Operation {
        action,
        index,
        id,
        expected,
        pipeline,
    };
    let outcome = engine
        .storage
        .write(|batch| apply(engine, batch, &operation, call.text()?))?;
    Reply::with(outcome.status(), outcome.body(&call.params))
}

/// `_mget`: `docs` with an index each, or `ids` of the index in the path.
pub(crate) fn get_many(engine: &Engine, call: &Call, index: Option<&str>) -> Result<Reply> {
    let body = call.object("mget")?;
    let default = Selection::of_params(&call.params).unwrap_or_default();
    let list = |key: &str| body[key].as_array().into_iter().flatten();
    let mut found = Vec::new();
    for wanted in list("docs").chain(list("ids")) {
        let id = wanted
            .get("_id")
            .unwrap_or(wanted)
            .as_str()
            .unwrap_or_default();
        let Some(name) = wanted["_index"].as_str().or(index) else {
            return Err(Problem::validation(format!(
                "index is missing for doc [{id}]"
            )));
        };
        let own = wanted.get("_source").map(Selection::of_body).transpose()?;
        let document = find(engine, name, id, own.as_ref().unwrap_or(&default));
        found.push(document.unwrap_or_else(
            |problem| json!({"_index": name, "_id": id, "error": problem.body()["error"]}),
        ));
    }
    if found.is_empty() {
        return Err(Problem::validation("no documents to get"));
    }
    Reply::ok(json!({"docs": found}))
}
