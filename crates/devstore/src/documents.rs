//! One document: read, write, update, delete.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::engine::random_name;
use crate::errors::{Problem, Result, refuse};
use crate::http::{Call, Reply};
use crate::indices::{resolve, target};
use crate::pipeline;
use crate::schema;
use crate::select::{Selection, many, plain_text};
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
    pub(crate) pipeline: String,
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
            _ if length == 0 => {
                refuse!(
                    "illegal_argument_exception",
                    "if _id is specified it must not be empty"
                )
            }
            _ => return Ok(()),
        };
        Err(Problem::validation(wrong))
    }

    fn check_expectation(&self, index: &Index, id: &str, former: Option<&Document>) -> Result<()> {
        let reason = match (self.expected, former) {
            ((Some(number), term), _)
                if former.map(|former| (former.seq_no, 1)) != Some((number, term.unwrap_or(1))) =>
            {
                let found = match former {
                    Some(former) => format!("current document has seqNo [{}]", former.seq_no),
                    None => "but no document was found".to_owned(),
                };
                format!(
                    "required seqNo [{number}], primary term [{}]. {found}",
                    term.unwrap_or(1)
                )
            }
            (_, Some(former)) if self.action == Action::Create => {
                format!(
                    "document already exists (current version [{}])",
                    former.version
                )
            }
            _ => return Ok(()),
        };
        let reason = format!("[{id}]: version conflict, {reason}");
        let problem = Problem::new(409, "version_conflict_engine_exception", reason);
        Err(problem.with("index", index.name.as_str()))
    }
}

/// What a write did.
pub(crate) struct Outcome {
    index: String,
    id: String,
    /// Sequence number and version of the document.
    numbers: (u64, u64),
    result: &'static str,
}

impl Outcome {
    fn new(index: &Index, id: &str, numbers: (u64, u64), result: &'static str) -> Outcome {
        let (index, id) = (index.name.clone(), id.to_owned());
        Outcome {
            index,
            id,
            numbers,
            result,
        }
    }

    pub(crate) fn reply(&self, call: &Call) -> Reply {
        let (copies, (seq_no, version)) = (u8::from(self.result != "noop"), self.numbers);
        let mut body = json!({
            "_index": self.index, "_id": self.id, "_version": version, "result": self.result,
            "_shards": {"total": copies, "successful": copies, "failed": 0}, "_seq_no": seq_no, "_primary_term": 1,
        });
        // Every write is visible to searches, so the answer may say it wherever it was asked for.
        if !matches!(call.param("refresh"), "" | "false") {
            body["forced_refresh"] = json!(true);
        }
        let status = match self.result {
            "created" => 201,
            "not_found" => 404,
            _ => 200,
        };
        (status, body)
    }
}

/// Parses a source; a source that is not a JSON object is the client's mistake.
fn parse_source(id: &str, source: &str) -> Result<Map<String, Value>> {
    serde_json::from_str(source).map_err(|error| {
        let reason = format!("[1:1] failed to parse document with id '{id}': {error}");
        Problem::new(400, "document_parsing_exception", reason)
    })
}

/// Carries out one operation inside a transaction. After an `Err` no document has changed.
pub(crate) fn apply(batch: &mut Batch, operation: &Operation, body: &str) -> Result<Outcome> {
    operation.check()?;
    let index = target(batch, &operation.index, operation.action != Action::Delete)?;
    let (id, former) = match &operation.id {
        Some(id) => (id.clone(), batch.get(&index, id)?),
        None => (random_name()?, None),
    };
    let former = former.as_ref();
    operation.check_expectation(&index, &id, former)?;
    match (operation.action, former) {
        (Action::Index | Action::Create, _) => {
            let mut document = parse_source(&id, body)?;
            pipeline::run(&operation.pipeline, &mut document)?;
            store(batch, &index, &id, &document, former)
        }
        (Action::Update, _) => update(batch, operation, &index, &id, former, body),
        (Action::Delete, Some(former)) => Ok(Outcome::new(
            &index,
            &id,
            batch.remove(&index, former)?,
            "deleted",
        )),
        (Action::Delete, None) => {
            let number = batch.take_number(&index, 0)?;
            Ok(Outcome::new(&index, &id, (number, 1), "not_found"))
        }
    }
}

/// Writes a document, with the fields that it adds to the mapping.
pub(crate) fn store(
    batch: &mut Batch,
    index: &Arc<Index>,
    id: &str,
    document: &Map<String, Value>,
    former: Option<&Document>,
) -> Result<Outcome> {
    let limit = index.settings.get("mapping.total_fields.limit");
    let limit = limit.and_then(|limit| limit.as_str()?.parse().ok());
    let mapping = index.mapping.check(id, document, limit)?;
    if let std::borrow::Cow::Owned(mapping) = mapping {
        let mut changed = index.as_ref().clone();
        changed.mapping = mapping;
        batch.set_index(changed);
    }
    let result = if former.is_some() {
        "updated"
    } else {
        "created"
    };
    let numbers = batch.put(index, id, &serde_json::to_string(document)?, former)?;
    Ok(Outcome::new(index, id, numbers, result))
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
            let reason = format!("[{id}]: document missing");
            let problem = Problem::new(404, "document_missing_exception", reason);
            return Err(problem.with("index", index.name.as_str()));
        };
        pipeline::run(&operation.pipeline, &mut document)?;
        return store(batch, index, id, &document, None);
    };
    let mut partial = partial.unwrap_or_default();
    // As in Elasticsearch a pipeline sees a partial document only if it may be inserted.
    if as_upsert {
        pipeline::run(&operation.pipeline, &mut partial)?;
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
    store(batch, index, id, &document, Some(former))
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
fn find(call: &Call, name: &str, id: &str) -> Result<Value> {
    let indices = resolve(call, name)?;
    let [index] = indices.as_slice() else {
        refuse!(
            "illegal_argument_exception",
            "[{name}] does not name exactly one index"
        )
    };
    let Some(document) = call.engine.storage.view(&index.name)?.get(id)? else {
        return Ok(json!({"_index": index.name, "_id": id, "found": false}));
    };
    let (seq_no, version) = (document.seq_no, document.version);
    let mut shown = json!({
        "_index": index.name, "_id": id, "_version": version, "_seq_no": seq_no, "_primary_term": 1, "found": true
    });
    let wanted = Selection::of_call(call, &Value::Null)?;
    if !wanted.nothing {
        shown["_source"] = wanted.apply(serde_json::from_str(&document.source)?);
    }
    Ok(shown)
}

pub(crate) fn get(call: &Call, index: &str, id: &str) -> Result<Reply> {
    let found = find(call, index, id)?;
    Ok((if found["found"] == true { 200 } else { 404 }, found))
}

pub(crate) fn get_source(call: &Call, index: &str, id: &str) -> Result<Reply> {
    match find(call, index, id)? {
        mut found if found["found"] == true => Ok((200, found["_source"].take())),
        _ => Err(Problem::not_found(format!(
            "Document not found [{index}]/[{id}]"
        ))),
    }
}

pub(crate) fn write(call: &Call, action: Action, index: &str, id: Option<&str>) -> Result<Reply> {
    let action = match (action, call.param("op_type")) {
        (Action::Index, "create") => Action::Create,
        (action, "" | "index") => action,
        (_, other) => refuse!(
            "illegal_argument_exception",
            "opType [{other}] is not allowed here"
        ),
    };
    if action != Action::Delete && call.body.is_empty() {
        refuse!("parsing_exception", "request body is required");
    }
    let operation = Operation {
        action,
        index: index.to_owned(),
        id: id.map(str::to_owned),
        expected: (call.number("if_seq_no")?, call.number("if_primary_term")?),
        pipeline: call.param("pipeline").to_owned(),
    };
    let storage = &call.engine.storage;
    let outcome = storage.write(|batch| apply(batch, &operation, call.body))?;
    Ok(outcome.reply(call))
}

/// `/{index}/_mget` with `ids`.
pub(crate) fn get_many(call: &Call, index: &str) -> Result<Reply> {
    let body = call.object("mget")?;
    let ids = many(&body["ids"]).map(plain_text);
    let found = ids
        .map(|id| find(call, index, &id))
        .collect::<Result<Vec<_>>>()?;
    if found.is_empty() {
        return Err(Problem::validation("no documents to get"));
    }
    Ok((200, json!({"docs": found})))
}
