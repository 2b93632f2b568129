//! Documents: read, written, updated and deleted, one at a time or many at once.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use serde_json::{Map, Value, json};

use crate::engine::random_name;
use crate::errors::{Problem, Result, refuse};
use crate::http::{Call, Reply};
use crate::indices::target;
use crate::pipeline;
use crate::schema::check;
use crate::select::{many, pick, plain_text};
use crate::storage::{Batch, Document, Index, real};

/// Longest id in bytes. One longer id fails a whole bulk request, as in Elasticsearch.
const ID_LIMIT: usize = 512;
const ACTION: &str =
    "_index:text _id:text|null if_seq_no:int if_primary_term:int retry_on_conflict:int";

/// One write as the client asked for it.
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
        let may_be_new = matches!(self.action.as_str(), "index" | "create");
        let wrong = match (self.id.as_deref(), self.expected) {
            _ if self.index.is_empty() => "index is missing",
            (_, (Some(_), None) | (None, Some(_))) => "[if_primary_term] belongs to [if_seq_no]",
            (None, (None, None)) if may_be_new => return Ok(()),
            (None | Some(""), _) => "id is missing",
            (Some(id), _) if id.len() <= ID_LIMIT => return Ok(()),
            _ => &format!("id is too long, must be no longer than {ID_LIMIT} bytes"),
        };
        let reason = format!("Validation Failed: 1: {wrong};");
        let kind = "action_request_validation_exception";
        Err(Problem::new(400, kind, reason))
    }

    fn check_expectation(&self, id: &str, former: Option<&Document>) -> Result<()> {
        let reason = match (self.expected, former.map(|former| former.seq_no)) {
            ((Some(number), Some(term)), found) if found != Some(number) || term != 1 => {
                format!("required seqNo [{number}], primary term [{term}], found {found:?}")
            }
            (_, Some(_)) if self.action == "create" => "document already exists".to_owned(),
            _ => return Ok(()),
        };
        let reason = format!("[{id}]: version conflict, {reason}");
        let kind = "version_conflict_engine_exception";
        Err(Problem::new(409, kind, reason))
    }
}

/// The answer to a write that gave these numbers, the sequence number and the version.
fn done(index: &Index, id: &str, (seq_no, version): (u64, u64), result: &str) -> Reply {
    let status = match result {
        "created" => 201,
        "not_found" => 404,
        _ => 200,
    };
    let copies = u8::from(result != "noop");
    let shown = json!({
        "_index": index.name, "_id": id, "_version": version, "result": result,
        "_shards": {"total": copies, "successful": copies, "failed": 0}, "_seq_no": seq_no, "_primary_term": 1,
    });
    (status, shown)
}

/// Parses a source; a source that is not a JSON object is the client's mistake.
fn parse_source(source: &str) -> Result<Value> {
    let object = serde_json::from_str(source).map(Value::Object);
    object.map_err(|error| Problem::illegal(format!("no JSON object: {error}")).of_document())
}

/// Carries out one operation inside a transaction. After an `Err` no document has changed.
fn apply(batch: &mut Batch, operation: &Operation, body: &str) -> Result<Reply> {
    operation.check()?;
    let name = &operation.index;
    if operation.action == "delete" && !batch.catalogue.contains_key(real(name)) {
        return Err(Problem::missing_index(name));
    }
    let index = target(batch, name)?;
    let (id, former) = match &operation.id {
        Some(id) => (id.clone(), batch.get(&index, id)?),
        None => (random_name()?, None),
    };
    operation.check_expectation(&id, former.as_ref())?;
    match (operation.action.as_str(), former) {
        // As in Elasticsearch no pipeline sees a part of a document.
        ("update", former) => {
            let mut body = parse_source(body)?;
            check("update", &body, "doc!:object")?;
            let Some(former) = former else {
                let reason = format!("[{id}]: document missing");
                return Err(Problem::new(404, "document_missing_exception", reason));
            };
            let mut document = former.parsed()?;
            if merge(&mut document, body["doc"].take()) {
                return store(batch, &index, &id, &document, Some(&former));
            }
            let numbers = (former.seq_no, former.version);
            Ok(done(&index, &id, numbers, "noop"))
        }
        ("delete", former) => {
            let result = former.as_ref().map_or("not_found", |_| "deleted");
            let numbers = batch.put(&index, &id, "", former.as_ref())?;
            Ok(done(&index, &id, numbers, result))
        }
        (_, former) => {
            let mut document = parse_source(body)?;
            pipeline::run(&operation.pipeline, &mut document)?;
            store(batch, &index, &id, &document, former.as_ref())
        }
    }
}

/// Writes a document, an object, with the fields that it adds to the mapping.
pub(crate) fn store(
    batch: &mut Batch,
    index: &Arc<Index>,
    id: &str,
    document: &Value,
    former: Option<&Document>,
) -> Result<Reply> {
    if let Cow::Owned(mapping) = index.mapping.fit(document)? {
        let mut changed = index.as_ref().clone();
        changed.mapping = mapping;
        batch.set_index(changed)?;
    }
    let (number, version) = batch.put(index, id, &document.to_string(), former)?;
    let result = if version > 1 { "updated" } else { "created" };
    Ok(done(index, id, (number, version), result))
}

/// Lays a partial document over a document: objects are merged, everything else is replaced. A dotted name is a
/// name like any other. Returns whether anything changed.
pub(crate) fn merge(document: &mut Value, partial: Value) -> bool {
    match (document, partial) {
        (Value::Object(old), Value::Object(new)) => {
            let mut changed = false;
            for (key, value) in new {
                changed |= !old.contains_key(&key);
                changed |= merge(old.entry(key).or_insert(Value::Null), value);
            }
            changed
        }
        (old, new) => std::mem::replace(old, new) != *old,
    }
}

/// The `_source` of a document, filtered by the parameter `_source` of the address or else that of a body: a truth, a
/// pattern or a list of patterns. `None` if it is not wanted.
pub(crate) fn source_of(call: &Call, body: &Value, document: &Document) -> Result<Option<Value>> {
    let patterns: Vec<String> = match (call.param("_source"), body) {
        ("", Value::Bool(false)) | ("false", _) => return Ok(None),
        ("", Value::Bool(true)) | ("true", _) => Vec::new(),
        ("", patterns) => many(patterns).map(plain_text).collect(),
        (patterns, _) => patterns.split(',').map(str::to_owned).collect(),
    };
    Ok(Some(pick(document.parsed()?, &patterns)))
}

/// A document as `_doc` and `_mget` show it.
fn find(call: &Call, name: &str, id: &str) -> Result<Value> {
    let view = call.engine.storage.view(name)?;
    let index = &view.index.name;
    let Some(document) = view.get(id)? else {
        return Ok(json!({"_index": index, "_id": id, "found": false}));
    };
    let (seq_no, version) = (document.seq_no, document.version);
    let mut shown = json!({
        "_index": index, "_id": id, "_version": version, "_seq_no": seq_no, "_primary_term": 1, "found": true
    });
    if let Some(source) = source_of(call, &Value::Null, &document)? {
        shown["_source"] = source;
    }
    Ok(shown)
}

/// `GET /{index}/_doc/{id}`, and `_source` in the place of `_doc`.
pub(crate) fn get(call: &Call, index: &str, id: &str) -> Result<Reply> {
    let mut found = find(call, index, id)?;
    let status = if found["found"] == true { 200 } else { 404 };
    let is_source = call.path[1] == "_source";
    let shown = if is_source {
        found["_source"].take()
    } else {
        found
    };
    Ok((status, shown))
}

pub(crate) fn write(call: &Call, action: &str, index: &str, id: Option<&str>) -> Result<Reply> {
    let operation = Operation {
        action: action.to_owned(),
        index: index.to_owned(),
        id: id.map(str::to_owned),
        expected: (call.number("if_seq_no")?, call.number("if_primary_term")?),
        pipeline: call.param("pipeline").to_owned(),
    };
    let storage = &call.engine.storage;
    storage.write(|batch| apply(batch, &operation, call.body))
}

/// `/{index}/_mget` with `ids`.
pub(crate) fn get_many(call: &Call, index: &str) -> Result<Reply> {
    let body = call.object("mget", "ids!:list")?;
    let found = many(&body["ids"]).map(|id| find(call, index, &plain_text(id)));
    Ok((200, json!({"docs": found.collect::<Result<Value>>()?})))
}

/// Cuts a bulk body into operations and their source lines. The first malformed line fails the whole request.
fn parse_bulk<'b>(call: &'b Call, index: &str) -> Result<Vec<(Operation, &'b str)>> {
    let mut operations = Vec::new();
    let mut lines = call.body.lines();
    while let Some(line) = lines.find(|line| !line.trim().is_empty()) {
        let operation = parse_action(call, line, index)?;
        operation.check()?;
        let source = match operation.action.as_str() {
            "delete" => Some(""),
            _ => lines.next().filter(|source| !source.trim().is_empty()),
        };
        let Some(source) = source else {
            refuse!(
                "a source is expected after the action number [{}]",
                operations.len() + 1
            )
        };
        operations.push((operation, source));
    }
    if operations.is_empty() {
        refuse!("request body is required");
    }
    Ok(operations)
}

fn parse_action(call: &Call, line: &str, index: &str) -> Result<Operation> {
    let parsed = serde_json::from_str::<Map<String, Value>>(line).unwrap_or_default();
    let mut entries = parsed.into_iter();
    let (Some((action, metadata)), None) = (entries.next(), entries.next()) else {
        refuse!("malformed action, expected an object with one entry")
    };
    if !matches!(action.as_str(), "index" | "create" | "update" | "delete") {
        refuse!("malformed action, unknown: [{action}]");
    }
    check("action", &metadata, ACTION)?;
    let text = |key: &str| metadata[key].as_str().map(str::to_owned);
    let number = |key: &str| metadata[key].as_u64();
    Ok(Operation {
        action,
        index: text("_index").unwrap_or_else(|| index.to_owned()),
        id: text("_id"),
        expected: (number("if_seq_no"), number("if_primary_term")),
        pipeline: call.param("pipeline").to_owned(),
    })
}

/// `_bulk`: many writes in one transaction, each with its own result.
pub(crate) fn bulk(call: &Call, index: &str) -> Result<Reply> {
    let begin = Instant::now();
    let operations = parse_bulk(call, index)?;
    let (mut errors, mut items) = (false, Vec::with_capacity(operations.len()));
    call.engine.storage.write(|batch| {
        for (operation, source) in operations {
            let item = match apply(batch, &operation, source) {
                Ok((status, mut item)) => {
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
