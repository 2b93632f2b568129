//! Documents: read, written, updated and deleted, one at a time or many at once.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use serde_json::{Map, Value, json};

use crate::engine::random_name;
use crate::errors::{DOCUMENT, ILLEGAL, PARSING, Problem, REQUEST, Result, refuse};
use crate::http::{Call, Reply};
use crate::indices::{one, target};
use crate::pipeline;
use crate::schema;
use crate::select::{Selection, many, plain_text};
use crate::storage::{Batch, Document, Index};

/// Longest id in bytes. One longer id fails a whole bulk request, as in Elasticsearch.
const ID_LIMIT: usize = 512;
const FIELD_LIMIT: usize = 1000;

/// One write as the client asked for it.
#[derive(Debug)]
struct Operation {
    /// `index`, `create`, `update` or `delete`.
    action: String,
    index: String,
    id: Option<String>,
    /// Sequence number and primary term that the document must have.
    expected: (Option<u64>, Option<u64>),
    pipeline: String,
}

impl Operation {
    /// What makes an operation invalid before it is looked at; a bulk request fails as a whole then.
    fn check(&self) -> Result<()> {
        let is_new = matches!(self.action.as_str(), "index" | "create");
        let wrong = match (self.id.as_deref(), self.expected) {
            _ if self.index.is_empty() => "index is missing",
            (Some(id), _) if id.len() > ID_LIMIT => &format!(
                "id [{id}] is too long, must be no longer than {ID_LIMIT} bytes but was: {}",
                id.len()
            ),
            (None, _) if !is_new => "id is missing",
            (None, (Some(_), _)) => "an id is required for a write with [if_seq_no]",
            (_, (Some(_), None) | (None, Some(_))) => {
                "[if_seq_no] and [if_primary_term] belong together"
            }
            (Some(""), _) => refuse!(ILLEGAL, "if _id is specified it must not be empty"),
            _ => return Ok(()),
        };
        refuse!(REQUEST, "Validation Failed: 1: {wrong};")
    }

    fn check_expectation(&self, id: &str, former: Option<&Document>) -> Result<()> {
        let reason = match (self.expected, former.map(|former| former.seq_no)) {
            ((Some(number), Some(term)), found) if found != Some(number) || term != 1 => {
                format!("required seqNo [{number}], primary term [{term}], found {found:?}")
            }
            (_, Some(_)) if self.action == "create" => {
                let version = former.map_or(0, |former| former.version);
                format!("document already exists (current version [{version}])")
            }
            _ => return Ok(()),
        };
        let reason = format!("[{id}]: version conflict, {reason}");
        Err(Problem::new(
            409,
            "version_conflict_engine_exception",
            reason,
        ))
    }
}

/// What a write did: the index, the id, its sequence number and version, the result.
pub(crate) struct Outcome(Arc<Index>, String, (u64, u64), &'static str);

impl Outcome {
    fn reply(&self, call: &Call) -> Reply {
        let Outcome(index, id, (seq_no, version), result) = self;
        let copies = u8::from(*result != "noop");
        let mut body = json!({
            "_index": index.name, "_id": id, "_version": version, "result": result,
            "_shards": {"total": copies, "successful": copies, "failed": 0}, "_seq_no": seq_no, "_primary_term": 1,
        });
        // Every write is visible to searches, so the answer may say it wherever it was asked for.
        if !matches!(call.param("refresh"), "" | "false") {
            body["forced_refresh"] = json!(true);
        }
        match *result {
            "created" => (201, body),
            "not_found" => (404, body),
            _ => (200, body),
        }
    }
}

/// Parses a source; a source that is not a JSON object is the client's mistake.
fn parse_source(id: &str, source: &str) -> Result<Map<String, Value>> {
    match serde_json::from_str(source) {
        Ok(document) => Ok(document),
        Err(error) => refuse!(
            DOCUMENT,
            "[1:1] failed to parse document with id '{id}': {error}"
        ),
    }
}

/// Carries out one operation inside a transaction. After an `Err` no document has changed.
fn apply(batch: &mut Batch, operation: &Operation, body: &str) -> Result<Outcome> {
    operation.check()?;
    let index = match operation.action.as_str() {
        "delete" => one(&batch.catalogue, &operation.index)?,
        _ => target(batch, &operation.index)?,
    };
    let (id, former) = match &operation.id {
        Some(id) => (id.clone(), batch.get(&index, id)?),
        None => (random_name()?, None),
    };
    let former = former.as_ref();
    operation.check_expectation(&id, former)?;
    match (operation.action.as_str(), former) {
        ("update", _) => update(batch, &operation.pipeline, &index, &id, former, body),
        ("delete", Some(former)) => {
            let numbers = batch.remove(&index, former)?;
            Ok(Outcome(index, id, numbers, "deleted"))
        }
        ("delete", None) => {
            let number = batch.take_number(&index, 0)?;
            Ok(Outcome(index, id, (number, 1), "not_found"))
        }
        _ => {
            let mut document = parse_source(&id, body)?;
            pipeline::run(&operation.pipeline, &mut document)?;
            store(batch, &index, &id, &document, former)
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
    if let Cow::Owned(mapping) = index
        .mapping
        .check(id, document, limit.unwrap_or(FIELD_LIMIT))?
    {
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
    Ok(Outcome(index.clone(), id.to_owned(), numbers, result))
}

fn update(
    batch: &mut Batch,
    pipeline: &str,
    index: &Arc<Index>,
    id: &str,
    former: Option<&Document>,
    body: &str,
) -> Result<Outcome> {
    let mut body = Value::Object(parse_source(id, body)?);
    schema::check("update", &body)?;
    let as_upsert = body["doc_as_upsert"] == true;
    let mut object = |key: &str| serde_json::from_value::<Map<_, _>>(body[key].take()).ok();
    let (mut partial, mut upsert) = (object("doc"), object("upsert"));
    if partial.is_none() && upsert.is_none() {
        refuse!(REQUEST, "Validation Failed: 1: script or doc is missing;");
    }
    if as_upsert {
        upsert = partial.clone();
    }
    // As in Elasticsearch a pipeline sees a partial document only if it may be inserted.
    for document in upsert
        .iter_mut()
        .chain(partial.iter_mut().filter(|_| as_upsert))
    {
        pipeline::run(pipeline, document)?;
    }
    match (former, upsert) {
        (None, Some(document)) => store(batch, index, id, &document, None),
        (None, None) => {
            let reason = format!("[{id}]: document missing");
            Err(Problem::new(404, "document_missing_exception", reason))
        }
        (Some(former), _) => {
            let mut document = serde_json::from_str(&former.source)?;
            if merge(&mut document, partial.unwrap_or_default()) {
                return store(batch, index, id, &document, Some(former));
            }
            let numbers = (former.seq_no, former.version);
            Ok(Outcome(index.clone(), id.to_owned(), numbers, "noop"))
        }
    }
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
    let index = one(&call.engine.storage.catalogue()?, name)?;
    let Some(document) = call.engine.storage.view(&index.name)?.get(id)? else {
        return Ok(json!({"_index": index.name, "_id": id, "found": false}));
    };
    let (seq_no, version) = (document.seq_no, document.version);
    let mut shown = json!({
        "_index": index.name, "_id": id, "_version": version, "_seq_no": seq_no, "_primary_term": 1, "found": true
    });
    let wanted = Selection::of_source(call.param("_source"), &Value::Null)?;
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

pub(crate) fn write(call: &Call, action: &str, index: &str, id: Option<&str>) -> Result<Reply> {
    if action != "delete" && call.body.is_empty() {
        refuse!(PARSING, "request body is required");
    }
    let operation = Operation {
        action: action.to_owned(),
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
        .collect::<Result<Value>>()?;
    Ok((200, json!({"docs": found})))
}

/// Cuts a bulk body into operations and their source lines. The first malformed line fails the whole request.
fn parse_bulk<'b>(call: &'b Call, index: &str) -> Result<Vec<(Operation, &'b str)>> {
    if call.body.trim().is_empty() {
        refuse!(PARSING, "request body is required");
    }
    if !call.body.ends_with('\n') {
        refuse!(
            ILLEGAL,
            "The bulk request must be terminated by a newline [\\n]"
        );
    }
    let mut operations = Vec::new();
    let is_blank = |line: &str| line.trim().is_empty();
    let mut lines = call.body.split('\n').zip(1..);
    while let Some((line, number)) = lines.next() {
        if is_blank(line) {
            continue;
        }
        let Some(operation) = parse_action(call, line, index)? else {
            refuse!(
                ILLEGAL,
                "Malformed action/metadata line [{number}], expected one action"
            );
        };
        operation.check()?;
        let source = match operation.action.as_str() {
            "delete" => Some(("", 0)),
            _ => lines.next().filter(|(source, _)| !is_blank(source)),
        };
        let Some((source, _)) = source else {
            refuse!(
                ILLEGAL,
                "Malformed action/metadata line [{number}], expected a source after it"
            );
        };
        operations.push((operation, source));
    }
    Ok(operations)
}

/// `None` if the line is no action.
fn parse_action(call: &Call, line: &str, index: &str) -> Result<Option<Operation>> {
    let parsed = serde_json::from_str::<Map<String, Value>>(line).unwrap_or_default();
    let mut entries = parsed.into_iter();
    let (Some((action, metadata)), None) = (entries.next(), entries.next()) else {
        return Ok(None);
    };
    if !matches!(action.as_str(), "index" | "create" | "update" | "delete") {
        return Ok(None);
    }
    schema::check("bulk_action", &metadata)?;
    let given = |key: &str| {
        metadata
            .get(key)
            .filter(|value| !value.is_null())
            .map(plain_text)
    };
    let expected = (
        metadata["if_seq_no"].as_u64(),
        metadata["if_primary_term"].as_u64(),
    );
    Ok(Some(Operation {
        action,
        index: given("_index").unwrap_or_else(|| index.to_owned()),
        id: given("_id"),
        expected,
        pipeline: given("pipeline").unwrap_or_else(|| call.param("pipeline").to_owned()),
    }))
}

/// `_bulk`: many writes in one transaction, each with its own result.
pub(crate) fn bulk(call: &Call, index: &str) -> Result<Reply> {
    let begin = Instant::now();
    let operations = parse_bulk(call, index)?;
    let (mut errors, mut items) = (false, Vec::with_capacity(operations.len()));
    call.engine.storage.write(|batch| {
        for (operation, source) in operations {
            let item = match apply(batch, &operation, source) {
                Ok(outcome) => {
                    let (status, mut item) = outcome.reply(call);
                    item["status"] = json!(status);
                    item
                }
                // A fault of the store itself fails the request: nothing may be half written.
                Err(problem) if problem.status == 500 => return Err(problem),
                Err(problem) => {
                    errors = true;
                    let (index, id) = (&operation.index, &operation.id);
                    json!({"_index": index, "_id": id, "status": problem.status, "error": problem.cause})
                }
            };
            items.push(json!({operation.action: item}));
        }
        Ok(())
    })?;
    let took = begin.elapsed().as_millis() as u64;
    Ok((200, json!({"took": took, "errors": errors, "items": items})))
}
